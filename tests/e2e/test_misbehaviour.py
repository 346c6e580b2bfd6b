"""Remote hosts and name servers that misbehave, and do not stop: each letter
has its verdict, at once or when it is given up, and the report to its sender
names the cause."""
import contextlib
import os
import socket
import ssl
import threading
import time

import pytest

import dnsstub
import postern
from postern import BASE, CROWD, eventually
from sink import Gone, Sink
from test_bounce import Report, send

pytestmark = pytest.mark.may_crash
SENDER = CROWD[0]
MANY = "".join("%s-line %d of very many\r\n" % ("%s", i)
               for i in range(100000))
LATE = "the host did not answer in time"
CLOSED = "the host closed the connection"
GARBAGE = "what the host says is not SMTP"
ENDLESS = "a reply of the host's has no end"


def close(sink, session, line):
    # Not close() alone: another thread may be reading.
    session.sock.shutdown(socket.SHUT_RDWR)
    raise Gone


def silence(sink, session, line):
    sink.is_over.wait(600)
    raise Gone


def trickle(sink, session, line):
    while not sink.is_over.wait(0.5):
        session.say(b"2")
    raise Gone


def forever(sink, session, line):
    while not sink.is_over.is_set():
        session.say(b"250-and so on\r\n" * 100)
    raise Gone


def nonsense(sink, session, line):
    session.say("220 2.0.0 go")
    session.fill()
    session.say(b"this is no handshake\r\n" * 100)
    raise Gone


def many(code):
    return MANY.replace("%s", code) + code + " end"


# What the host does, the status of the report, a part of its words.  A status
# that the host gave for a failure is its own; one for later becomes 5 when the
# letter is given up.
HOSTS = {
    "silent": ({"greeting": silence}, "5.4.2", LATE),
    "trickles": ({"greeting": trickle}, "5.4.2", LATE),
    "EHLO silent": ({"EHLO": silence}, "5.4.2", LATE),
    "MAIL silent": ({"MAIL": silence}, "5.4.2", LATE),
    "RCPT silent": ({"RCPT": silence}, "5.4.2", LATE),
    "DATA silent": ({"DATA": silence}, "5.4.2", LATE),
    "end silent": ({"end": silence}, "5.4.2", LATE),
    "end trickles": ({"end": trickle}, "5.4.2", LATE),
    "closes": ({"greeting": close}, "5.4.2", CLOSED),
    "EHLO closes": ({"EHLO": close}, "5.4.2", CLOSED),
    "MAIL closes": ({"MAIL": close}, "5.4.2", CLOSED),
    "RCPT closes": ({"RCPT": close}, "5.4.2", CLOSED),
    "DATA closes": ({"DATA": close}, "5.4.2", CLOSED),
    "end closes": ({"end": close}, "5.4.2", CLOSED),
    "greets 4xx": ({"greeting": "421 4.3.2 busy now"}, "5.3.2", "busy now"),
    "EHLO 4xx": ({"EHLO": "451 4.3.0 no EHLO"}, "5.3.0", "no EHLO"),
    "MAIL 4xx": ({"MAIL": "451 4.3.1 no MAIL"}, "5.3.1", "no MAIL"),
    "RCPT 4xx": ({"RCPT": "450 4.2.1 grey"}, "5.2.1", "450 4.2.1 grey"),
    "DATA 4xx": ({"DATA": "451 4.3.0 no DATA"}, "5.3.0", "no DATA"),
    "end 4xx": ({"end": "452 4.3.1 full"}, "5.3.1", "452 4.3.1 full"),
    "421 at RCPT": ({"RCPT": "421 4.3.2 shutting"}, "5.3.2", "shutting"),
    "greets 5xx": ({"greeting": "554 5.7.1 no access"}, "5.7.1", "no access"),
    "EHLO and HELO 5xx": ({"EHLO": "550 5.7.1 away", "HELO": "550 5.7.1 away"},
                          "5.7.1", "550 5.7.1 away"),
    "MAIL 5xx": ({"MAIL": "550 5.7.1 not you"}, "5.7.1", "550 5.7.1 not you"),
    "RCPT 5xx": ({"RCPT": "550 5.1.1 unknown"}, "5.1.1", "550 5.1.1 unknown"),
    "DATA 5xx": ({"DATA": "554 5.6.0 no"}, "5.6.0", "554 5.6.0 no"),
    "end 5xx": ({"end": "554 5.7.1 spam"}, "5.7.1", "554 5.7.1 spam"),
    "another protocol": ({"greeting": "HTTP/1.1 200 OK"}, "5.5.0", GARBAGE),
    "EHLO garbage": ({"EHLO": b"\0\xff\r\n"}, "5.5.0", GARBAGE),
    "MAIL garbage": ({"MAIL": "2"}, "5.5.0", GARBAGE),
    "RCPT garbage": ({"RCPT": "999 what"}, "5.5.0", GARBAGE),
    "end garbage": ({"end": "OK"}, "5.5.0", GARBAGE),
    "greets for ever": ({"greeting": forever}, "5.5.0", ENDLESS),
    "EHLO for ever": ({"EHLO": forever}, "5.5.0", ENDLESS),
    "greets 100,000 lines": ({"greeting": many("220")}, "5.5.0", ENDLESS),
    "EHLO 100,000 lines": ({"EHLO": many("250")}, "5.5.0", ENDLESS),
    "RCPT 100,000 lines": ({"RCPT": many("550")}, "5.5.0", ENDLESS),
    "end 100,000 lines": ({"end": many("554")}, "5.5.0", ENDLESS),
    "a line without end": ({"EHLO": "250 " + "x" * 100000}, "5.5.0",
                           "a line of the host's reply is too long"),
    "no TLS, which is wanted": ({}, "5.7.4", "TLS is required"),
    "STARTTLS 4xx": ({"STARTTLS": "454 4.7.0 no TLS now"}, "5.7.0",
                     "no TLS now"),
    "STARTTLS nonsense": ({"STARTTLS": nonsense}, "5.7.0", "TLS failed"),
    "STARTTLS and more": ({"STARTTLS": b"220 2.0.0 go\r\n250 2.0.0 so\r\n"},
                          "5.7.0", "octets behind the reply to STARTTLS"),
    "STARTTLS closes": ({"STARTTLS": close}, "5.4.2", CLOSED),
    "STARTTLS silent": ({"STARTTLS": silence}, "5.4.2", LATE),
    "a certificate of nobody": ({}, "5.7.5", "certificate"),
}
TLS = {"no TLS, which is wanted": "encrypt", "STARTTLS 4xx": "encrypt",
       "STARTTLS and more": "encrypt",
       "STARTTLS nonsense": "encrypt", "STARTTLS closes": "encrypt",
       "STARTTLS silent": "encrypt", "a certificate of nobody": "verify"}
# No connection, or no host at all.
NAMES = {
    "refused.example": ("5.4.1", "Connection refused"),
    "swallows.example": ("5.4.1", "Connection timed out"),
    "nowhere.example": ("5.1.2", "there is no domain nowhere.example"),
    "null.example": ("5.1.10", "takes no mail"),
    "bare.example": ("5.4.4", "has an address"),
    "illegal.example": ("5.4.4", "names that no host can have"),
    "self.example": ("5.4.6", "would come back to this host"),
    "loopback.example": ("5.4.6", "would come back to this host"),
    "circle.example": ("5.4.3", "no name server tells"),
    "fails.example": ("5.4.3", "no name server tells"),
    "garbage.example": ("5.4.3", "no name server tells"),
}
PORT = 2600


def domain(what):
    return "h%d.example" % list(HOSTS).index(what)


def make_zone():
    zone = dnsstub.Zone()
    for what in HOSTS:
        zone.host("mx." + domain(what), "192.0.2.2")
    zone.host("refused.example", "192.0.2.1")
    zone.mail("null.example", (0, "."))
    zone.mail("bare.example", (10, "nothing.example"))
    zone.add("nothing.example", dnsstub.PTR, "x")
    zone.mail("illegal.example", (10, "mx 1.example"))
    zone.host("illegal.example", "192.0.2.2")
    zone.mail("self.example", (10, "mx.example.test"), (20, "a.example"))
    zone.mail("loopback.example", (10, "lo.example"))
    zone.host("lo.example", "127.0.0.1", "::1")
    zone.add("circle.example", dnsstub.CNAME, "circle2.example")
    zone.add("circle2.example", dnsstub.CNAME, "circle.example")
    zone.odd("fails.example", dnsstub.fails)
    zone.odd("garbage.example", lambda *_: b"\1\2\3")
    return zone


def swallow(port):
    """A port where no connection is ever made: its line is full."""
    sock = socket.socket()
    sock.bind(("192.0.2.2", port))
    sock.listen(0)
    fill = []
    for _ in range(3):
        each = socket.socket()
        each.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            each.connect(("192.0.2.2", port))
        fill.append(each)
    return sock, fill


@pytest.fixture(scope="module")
def reports(daemons, host):
    """{recipient's domain: its report}: all are sent at once."""
    names = dnsstub.Server(make_zone())
    conf = ("retry-schedule 1s\ngive-up-after 3s\nrelay-timeout 3s\n"
            "trusted-networks 127.0.0.0/8\ndns-server %s@%d\n"
            "route swallows.example smtp://192.0.2.2:%d\n"
            % (names.address, names.port, PORT - 1))
    for number, what in enumerate(HOSTS):
        conf += "route %s smtp://mx.%s:%d\n" % (domain(what), domain(what),
                                               PORT + number)
        conf += "relay-tls mx.%s %s\n" % (domain(what),
                                         TLS.get(what, "none"))
    smtpd = daemons("smtpd", conf)
    postern.clear(SENDER)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(BASE + "/tls/cert.pem", BASE + "/tls/key.pem")
    found, seen = {}, set()

    def look():
        for path in postern.message_files(SENDER):
            if os.path.basename(path) not in seen:
                seen.add(os.path.basename(path))
                with open(path, "rb") as file:
                    report = Report(file.read())
                report.time = time.monotonic() - begun
                recipient, = report.recipients
                of = recipient["Final-Recipient"].partition("@")[2]
                assert of not in found, "told twice of " + of
                found[of] = report
        return len(found) == len(HOSTS) + len(NAMES)
    with contextlib.ExitStack() as stack:
        stack.callback(names.close)
        full = swallow(PORT - 1)
        for number, (what, (replies, _, _)) in enumerate(HOSTS.items()):
            sink = Sink(port=PORT + number, context=context
                        if what in TLS and not what.startswith("no TLS")
                        else None, **replies)
            sink.is_over = threading.Event()
            stack.callback(sink.close)
            stack.callback(sink.is_over.set)
        begun = time.monotonic()
        for name in [domain(what) for what in HOSTS] + list(NAMES):
            send(smtpd, SENDER + "@example.test", "b@" + name)
        with contextlib.suppress(AssertionError):	# shown by each test
            eventually(look, "all reports", seconds=150, every=0.2)
        print("%d reports of %d; the last after %.0f s" % (
            len(found), len(HOSTS) + len(NAMES),
            max(r.time for r in found.values())))
        del full
        yield found


def check(report, status, words):
    recipient, = report.recipients
    assert recipient["Action"] == "failed"
    assert recipient["Status"] == status, report.words()
    assert words in report.words()
    assert "b@" in recipient["Final-Recipient"]
    assert recipient["Diagnostic-Code"] is None or recipient[
        "Diagnostic-Code"].isprintable()


@pytest.mark.parametrize("what", HOSTS)
def test_host(reports, what):
    assert domain(what) in reports, "not told in time"
    check(reports[domain(what)], *HOSTS[what][1:])


@pytest.mark.parametrize("name", NAMES)
def test_name(reports, name):
    assert name in reports, "not told in time"
    check(reports[name], *NAMES[name])
