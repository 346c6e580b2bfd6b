"""pop3d's dialogue: states, arguments, capabilities, pipelining."""
import re
import time

import pytest

import postern
from letters import SHORT, as_sent
from postern import Dialogue, Pop, password, put_message

# States and arguments

#   command       before USER, after USER, in the maildrop
STATES = [
    ("CAPA", "+", "+", "+"),
    ("NOOP", "-", "-", "+"),
    ("STAT", "-", "-", "+"),
    ("LIST", "-", "-", "+"),
    ("LIST 1", "-", "-", "+"),
    ("UIDL", "-", "-", "+"),
    ("UIDL 1", "-", "-", "+"),
    ("RETR 1", "-", "-", "+"),
    ("TOP 1 0", "-", "-", "+"),
    ("DELE 1", "-", "-", "+"),
    ("RSET", "-", "-", "+"),
    ("USER alice", "+", None, "-"),
    ("PASS x", "-", None, "-"),
    ("APOP alice d41d8cd98f00b204e9800998ecf8427e", "-", "-", "-"),
    ("XYZZY", "-", "-", "-"),
    ("", "-", "-", "-"),
    (" ", "-", "-", "-"),
    (" STAT", "-", "-", "-"),
    ("STATX", "-", "-", "-"),
    ("QUIT", "+", "+", "+"),
]
MULTI = {"CAPA", "LIST", "UIDL", "RETR 1", "TOP 1 0"}


@pytest.mark.parametrize("state", (0, 1, 2))
def test_every_command_in_every_state(pop3d, user, state):
    put_message(user, SHORT)
    pop = Pop(pop3d, user if state == 2 else None)
    for command, *expected in STATES:
        if expected[state] is None:
            continue
        for form in (command, command.lower()):
            if state == 1:
                pop.ok("USER " + user)
            status = pop.status(form)
            assert status == expected[state], (form, state)
            if status == "-":		# too many in a row end the session
                pop.multi("CAPA")
            if status == "+" and command in MULTI:
                pop.body()
            if command == "DELE 1" and status == "+":
                pop.ok("RSET")
            if command == "QUIT":
                assert pop.is_closed()
                return


BAD_ARGUMENTS = [
    "STAT 1", "NOOP 1", "RSET 1", "QUIT now",
    "LIST 0", "LIST 3", "LIST -1", "LIST +1", "LIST 1x", "LIST x", "LIST 0x1",
    "LIST 1 2", "LIST 1,2", "LIST 4294967297", "LIST 18446744073709551617",
    "LIST 99999999999999999999999999999999", "LIST \xb2",
    "UIDL 0", "UIDL 3", "UIDL 1 2", "UIDL x",
    "RETR", "RETR 0", "RETR 3", "RETR 1 2", "RETR x", "RETR 4294967297",
    "DELE", "DELE 0", "DELE 3", "DELE 1 1", "DELE x", "DELE 4294967297",
    "TOP", "TOP 1", "TOP 1 x", "TOP 1 -1", "TOP 1 1 1", "TOP 0 1", "TOP 3 1",
    "TOP x 1", "TOP 1 99999999999999999999999",
]


def test_C13_strict_arguments(pop3d, user):
    """C13, C14: numbers that are none, are too large or too many."""
    put_message(user, SHORT)
    put_message(user, SHORT)
    with Pop(pop3d, user) as pop:
        for line in BAD_ARGUMENTS:
            pop.err(line)
            pop.ok("NOOP")	# too many in a row end the session
        assert pop.stat()[0] == 2
        assert len(pop.list()) == 2
        pop.quit()


def test_C13_lines_too_long(pop3d, user):
    """C13: a line over the limit gets one -ERR, however long it is."""
    put_message(user, SHORT)
    with Pop(pop3d) as pop:
        for length in (256, 512, 4096, 100000):
            pop.err("USER " + "x" * length)
            pop.err("X" * length)
        pop.ok("USER " + user)
        pop.ok("PASS " + password(user))
        for length in (256, 1000, 20000, 300000):
            pop.err("LIST 1" + " " * length)
        pop.ok("NOOP")


def test_C13_odd_octets(pop3d, user):
    """C13: NULs, controls and 8-bit octets in names, verbs, arguments."""
    put_message(user, SHORT)
    with Pop(pop3d) as pop:
        for line in (b"USER ali\0ce", b"\0", b"\0STAT", b"STAT\0", b"\xff\xfe",
                     b"USER\t" + user.encode(), b"US\0ER x"):
            pop.err(line)
        pop.ok("USER " + user)
        pop.ok("PASS " + password(user))
        for line in (b"LIST 1\0", b"LIST \0001", b"RETR 1\0002", b"LIST 1\t2",
                     b"STAT\x01", b"\x80\x81", b"LIST 1\r"):
            pop.err(line)
        pop.ok("NOOP")


def test_lone_line_feed_and_single_octets(pop3d, user):
    """QUIRKS: clients that end lines with LF; octets that come one by one."""
    put_message(user, SHORT)
    with Pop(pop3d) as pop:
        pop.send("USER %s\nPASS %s\n" % (user, password(user)))
        assert pop.line().startswith(b"+OK")
        assert pop.line().startswith(b"+OK")
        for octet in b"STAT\r\nNOOP\r\n":
            pop.send(bytes([octet]))
            time.sleep(0.002)
        assert re.match(rb"\+OK 1 \d+$", pop.line())
        assert pop.line().startswith(b"+OK")


def test_a_line_that_never_ends(pop3d):
    """EOF in the middle of a line is no command."""
    with Pop(pop3d) as pop:
        pop.send("QUIT")
        pop.sock.shutdown(1)
        assert pop.is_closed()
    pop3d.wait_no_session()


def test_C20_other_protocols(pop3d):
    """C20: a browser's or another server's request ends the session."""
    for line in ("GET / HTTP/1.1", "POST / HTTP/1.0", "CONNECT x:25 HTTP/1.1",
                 "EHLO there", "SSH-2.0-x"):
        with Pop(pop3d) as pop:
            pop.send(line + "\r\nHost: x\r\n\r\nUSER alice\r\nCAPA\r\n")
            assert pop.line().startswith(b"-ERR")
            assert pop.is_closed(), line


def test_C16_too_many_bad_commands(pop3d):
    """C16: nonsense without end ends the session."""
    with Pop(pop3d) as pop:
        with pytest.raises((postern.Ended, OSError)):
            for _ in range(200):
                pop.err("XYZZY")


# Greeting and capabilities

def test_greeting_offers_no_apop(pop3d):
    with Pop(pop3d) as pop:
        assert pop.greeting.startswith("+OK")
        assert "<" not in pop.greeting
        assert len(pop.greeting) <= 510


def test_capabilities(pop3d, user):
    with Pop(pop3d) as pop:
        before = [line.decode() for line in pop.multi("CAPA")]
        for name in ("USER", "TOP", "UIDL", "PIPELINING", "RESP-CODES",
                     "AUTH-RESP-CODE"):
            assert name in before, before
        assert "EXPIRE NEVER" in before
        assert all(len(line) <= 510 for line in before)
        pop.ok("USER " + user)
        pop.ok("PASS " + password(user))
        after = [line.decode() for line in pop.multi("CAPA")]
        assert "TOP" in after and "UIDL" in after and "PIPELINING" in after


# Pipelining

def test_pipelining(pop3d, user):
    """Answered in order, in few segments."""
    for n in range(20):
        put_message(user, b"Subject: %d\n\nbody %d\n" % (n, n))
    with Dialogue(pop3d) as talk:
        assert talk.line().startswith(b"+OK")
        talk.send("USER %s\r\nPASS %s\r\n" % (user, password(user)))
        talk.line()
        talk.line()
        before = talk.data_segments()
        commands = [b"STAT", b"LIST 1", b"NOOP"] + [
            b"RETR %d" % n for n in range(1, 21)] + [
            b"DELE %d" % n for n in range(1, 21)] + [b"QUIT"]
        talk.send(b"".join(c + b"\r\n" for c in commands))
        while talk.fill():
            pass
        segments = talk.data_segments() - before
    text = talk.buffer
    position = 0
    for n in range(20):
        wanted = b"Subject: %d\r\n\r\nbody %d\r\n.\r\n" % (n, n)
        assert wanted in text[position:], n
        position = text.index(wanted, position) + len(wanted)
    assert text.count(b"+OK") == len(commands)
    # Twenty small messages: not twenty writes.
    assert segments <= 6, segments
    assert postern.message_files(user) == []


def test_whole_session_in_one_segment(pop3d, user):
    put_message(user, SHORT)
    with Dialogue(pop3d) as talk:
        talk.send("CAPA\r\nUSER %s\r\nPASS %s\r\nSTAT\r\nRETR 1\r\nDELE 1\r\n"
                  "QUIT\r\n" % (user, password(user)))
        while talk.fill():
            pass
    assert talk.buffer.count(b"+OK") == 8, talk.buffer
    assert as_sent(SHORT) in talk.buffer
    assert postern.message_files(user) == []
