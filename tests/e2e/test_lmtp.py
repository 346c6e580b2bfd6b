"""Unix sockets: LMTP (RFC 2033), and SMTP for programs of this host."""
import os
import socket

import pytest

import postern
from postern import (Smtp, eventually, messages, split_trace, stuff,
                     wait_messages)

LETTER = b"From: a@example.test\r\nSubject: x\r\n\r\nHello.\r\n"
SOCKET = "/run/lmtp.sock"


class Unix(Smtp):
    """The same dialogue over a Unix socket, as some user."""

    def __init__(self, path, hello, uid=0):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(postern.PATIENCE)
        self.buffer = b""
        os.seteuid(uid)
        try:
            self.sock.connect(path)
        finally:
            os.seteuid(0)
        self.greeting = self.reply()
        assert self.greeting.code == 220
        if hello is not None:
            self.expect(hello, 250)


@pytest.fixture(scope="module")
def smtpd(daemons):
    return daemons("smtpd", "retry-schedule 1s\nlisten lmtp %s\n"
                   "relay-domains backup.test\n" % SOCKET)


def lmtp(hello="LHLO client.example.test"):
    return Unix(SOCKET, hello)


def stored(user, count=1):
    return [split_trace(message, b"\n")[1]
            for message in wait_messages(user, count)]


def test_lhlo(smtpd):
    with lmtp(None) as client:
        assert "LMTP" in client.greeting.text
        for line in ("HELO x", "EHLO x", "STARTTLS", "AUTH PLAIN", "EXPN x"):
            client.expect(line, 502)
        words = [line.split()[0] for line in client.expect(
            "LHLO x.example", 250).lines[1:]]
        for word in ("PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME",
                     "CHUNKING", "DSN", "SMTPUTF8"):
            assert word in words
        assert "STARTTLS" not in words and "AUTH" not in words
        client.quit()


def test_a_reply_for_each_recipient(smtpd, users):
    one, two, three = users(3)
    with lmtp() as client:
        client.expect("MAIL FROM:<a@example.test>", 250)
        for name, code in ((one, 250), ("unknown", 550), (two, 250)):
            client.expect("RCPT TO:<%s@example.test>" % name, code)
        client.expect("DATA", 354)
        client.send(stuff(LETTER))
        replies = [client.reply() for _ in range(2)]
        assert [reply.code for reply in replies] == [250, 250]
        assert len({reply.text for reply in replies}) == 1	# one queue id
        # In pieces; and somebody who is named twice is answered twice.
        client.expect("MAIL FROM:<a@example.test>", 250)
        for _ in range(2):
            client.expect("RCPT TO:<%s@example.test>" % three, 250)
        client.send(b"BDAT %d LAST\r\n" % len(LETTER) + LETTER + b"NOOP\r\n")
        assert [client.reply().code for _ in range(3)] == [250] * 3
        # None is left, so there is nothing to answer.
        client.expect("MAIL FROM:<a@example.test>", 250)
        client.expect("RCPT TO:<unknown@example.test>", 550)
        client.expect("DATA", 503)
        client.quit()
    for user in (one, two, three):
        assert stored(user) == [LETTER.replace(b"\r\n", b"\n")]
    assert b" with LMTP id " in messages(one)[0]


def test_faulty_for_each(smtpd, users):
    one, two = users(2)
    with lmtp() as client:
        for send in (b"DATA\r\na\nb\r\n.\r\n", b"BDAT 5 LAST\r\na\nb\r\n"):
            client.envelope(one, two)
            client.send(send)
            if send.startswith(b"DATA"):
                assert client.reply().code == 354
            assert [client.reply().code for _ in range(2)] == [554, 554]
            client.expect("RCPT TO:<%s@example.test>" % one, 503)
        # One for a piece after which others are to come.
        client.envelope(one, two)
        client.send(b"BDAT 5\r\na\nb\r\nNOOP\r\n")
        assert [client.reply().code for _ in range(2)] == [554, 250]
        client.quit()


def test_no_relay(smtpd):
    """What arrives by LMTP has arrived: only relay domains go on."""
    with lmtp() as client:
        client.expect("MAIL FROM:<a@example.test>", 250)
        assert client.expect("RCPT TO:<x@elsewhere.test>", 550
                             ).status == "5.7.1"
        client.expect("RCPT TO:<x@backup.test>", 250)


# Programs of this host

def test_local_program(smtpd, users):
    """Who it is says the kernel, and it may send anywhere."""
    user, other = users(2)
    uid = postern.accounts.people[user][0]
    with Unix(smtpd.run_dir + "/smtpd.sock", "EHLO localhost", uid) as client:
        client.expect("AUTH PLAIN", 502)
        client.expect("STARTTLS", 502)
        client.expect("LHLO x", 502)
        assert client.expect("VRFY " + other, 250).text.endswith(
            "<%s@mx.example.test>" % other)
        client.expect("EXPN unknown", 550)
        client.expect("MAIL FROM:<a@example.test>", 250)
        client.expect("RCPT TO:<x@elsewhere.test>", 250)
        client.expect("RSET", 250)
        assert client.mail(LETTER, other).code == 250
        client.quit()
    message, = wait_messages(other, 1)
    assert b"(uid %d)\n" % uid in message
    assert b"\nDate: " in message and b"\nMessage-ID: <" in message
    eventually(lambda: smtpd.log(
        "event=received .* client=local .*user=%s" % user), "its log")


def test_garbage_harms_nobody(smtpd):
    """C8: the socket is open to all."""
    for octets in (b"\0" * 5000, b"\r\n" * 3000, os.urandom(20000),
                   b"EHLO x\r\n" * 300, b"BDAT 99999\r\n", b""):
        with Unix(smtpd.run_dir + "/smtpd.sock", None, 65534) as client:
            try:
                client.send(octets)
                client.sock.shutdown(socket.SHUT_WR)
                while client.fill():
                    pass
            except (BrokenPipeError, ConnectionResetError):
                pass
    with Unix(smtpd.run_dir + "/smtpd.sock", "EHLO x") as client:
        client.quit()
