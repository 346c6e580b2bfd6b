"""Remote hosts and name servers that misbehave, and do not stop: each letter
has its verdict, at once or when it is given up, and the report to its sender
names the cause."""
import contextlib
import datetime
import re
import socket
import ssl
import threading

import pytest

import dnsstub
import postern
from postern import BASE, CROWD, eventually
from sink import Gone, Sink
from test_bounce import LETTER, Report, send

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


def deaf(sink, session, line):
    session.say("354 go on")
    silence(sink, session, line)


def mute(sink, session, line):
    session.say("220 2.0.0 go")
    silence(sink, session, line)


def many(code):
    return MANY.replace("%s", code) + code + " end"


# When there is a verdict.  One that FAILS is there at once, and there is no
# second try; any other is "later", by so many minutes of RFC 5321 section
# 4.5.3.2, of which relay-timeout is five.  Where nothing is to be waited for
# (0) a daemon serves whose shortest time-out is half an hour: so those who
# wait for one are found out, and nobody has to be quick.
FAILS = None
QUICK, PATIENT = 4, 3600		# relay-timeout
GIVE_UP = 3
SLACK = 10		# of a machine under load; the queue's limit is farther off

# What the host does, the status of the report, a part of its words, and when
# there is a verdict.  A status that the host gave for a failure is its own;
# one for later becomes 5 when the letter is given up.
HOSTS = {
    "silent": ({"greeting": silence}, "5.4.2", LATE, 5),
    "trickles": ({"greeting": trickle}, "5.4.2", LATE, 5),
    "EHLO silent": ({"EHLO": silence}, "5.4.2", LATE, 5),
    "MAIL silent": ({"MAIL": silence}, "5.4.2", LATE, 5),
    "RCPT silent": ({"RCPT": silence}, "5.4.2", LATE, 5),
    "DATA silent": ({"DATA": silence}, "5.4.2", LATE, 2),
    "reads no content": ({"DATA": deaf}, "5.4.2", LATE, 3),
    "end silent": ({"end": silence}, "5.4.2", LATE, 10),
    "end trickles": ({"end": trickle}, "5.4.2", LATE, 10),
    "closes": ({"greeting": close}, "5.4.2", CLOSED, 0),
    "EHLO closes": ({"EHLO": close}, "5.4.2", CLOSED, 0),
    "MAIL closes": ({"MAIL": close}, "5.4.2", CLOSED, 0),
    "RCPT closes": ({"RCPT": close}, "5.4.2", CLOSED, 0),
    "DATA closes": ({"DATA": close}, "5.4.2", CLOSED, 0),
    "end closes": ({"end": close}, "5.4.2", CLOSED, 0),
    "greets 4xx": ({"greeting": "421 4.3.2 busy now"}, "5.3.2",
                   "421 4.3.2 busy now", 0),
    "EHLO 4xx": ({"EHLO": "451 4.3.0 no EHLO"}, "5.3.0",
                 "451 4.3.0 no EHLO", 0),
    "MAIL 4xx": ({"MAIL": "451 4.3.1 no MAIL"}, "5.3.1",
                 "451 4.3.1 no MAIL", 0),
    "RCPT 4xx": ({"RCPT": "450 4.2.1 grey"}, "5.2.1", "450 4.2.1 grey", 0),
    "DATA 4xx": ({"DATA": "451 4.3.0 no DATA"}, "5.3.0",
                 "451 4.3.0 no DATA", 0),
    "end 4xx": ({"end": "452 4.3.1 full"}, "5.3.1", "452 4.3.1 full", 0),
    "421 at RCPT": ({"RCPT": "421 4.3.2 shutting"}, "5.3.2",
                    "421 4.3.2 shutting", 0),
    "greets 5xx": ({"greeting": "554 5.7.1 no access"}, "5.7.1",
                   "554 5.7.1 no access", 0),
    "EHLO and HELO 5xx": ({"EHLO": "550 5.7.1 away", "HELO": "550 5.7.1 away"},
                          "5.7.1", "550 5.7.1 away", FAILS),
    "MAIL 5xx": ({"MAIL": "550 5.7.1 not you"}, "5.7.1",
                 "550 5.7.1 not you", FAILS),
    "RCPT 5xx": ({"RCPT": "550 5.1.1 unknown"}, "5.1.1",
                 "550 5.1.1 unknown", FAILS),
    "DATA 5xx": ({"DATA": "554 5.6.0 no"}, "5.6.0", "554 5.6.0 no", FAILS),
    "end 5xx": ({"end": "554 5.7.1 spam"}, "5.7.1", "554 5.7.1 spam", FAILS),
    "another protocol": ({"greeting": "HTTP/1.1 200 OK"}, "5.5.0", GARBAGE, 0),
    "EHLO garbage": ({"EHLO": b"\0\xff\r\n"}, "5.5.0", GARBAGE, 0),
    "MAIL garbage": ({"MAIL": "2"}, "5.5.0", GARBAGE, 0),
    "RCPT garbage": ({"RCPT": "999 what"}, "5.5.0", GARBAGE, 0),
    "end garbage": ({"end": "OK"}, "5.5.0", GARBAGE, 0),
    "greets for ever": ({"greeting": forever}, "5.5.0", ENDLESS, 0),
    "EHLO for ever": ({"EHLO": forever}, "5.5.0", ENDLESS, 0),
    "greets 100,000 lines": ({"greeting": many("220")}, "5.5.0", ENDLESS, 0),
    "EHLO 100,000 lines": ({"EHLO": many("250")}, "5.5.0", ENDLESS, 0),
    "RCPT 100,000 lines": ({"RCPT": many("550")}, "5.5.0", ENDLESS, 0),
    "end 100,000 lines": ({"end": many("554")}, "5.5.0", ENDLESS, 0),
    "a line without end": ({"EHLO": "250 " + "x" * 100000}, "5.5.0",
                           "a line of the host's reply is too long", 0),
    "no TLS, which is wanted": ({}, "5.7.4", "TLS is required", 0),
    "STARTTLS 4xx": ({"STARTTLS": "454 4.7.0 no TLS now"}, "5.7.0",
                     "454 4.7.0 no TLS now", 0),
    "STARTTLS nonsense": ({"STARTTLS": nonsense}, "5.7.0", "TLS failed", 0),
    "STARTTLS and more": ({"STARTTLS": b"220 2.0.0 go\r\n250 2.0.0 so\r\n"},
                          "5.7.0", "octets behind the reply to STARTTLS", 0),
    "STARTTLS closes": ({"STARTTLS": close}, "5.4.2", CLOSED, 0),
    "STARTTLS silent": ({"STARTTLS": silence}, "5.4.2", LATE, 2),
    "TLS silent": ({"STARTTLS": mute}, "5.7.0", "TLS failed: timeout", 2),
    "a certificate of nobody": ({}, "5.7.5", "certificate", 0),
}
TLS = {"no TLS, which is wanted": "encrypt", "STARTTLS 4xx": "encrypt",
       "STARTTLS and more": "encrypt",
       "STARTTLS nonsense": "encrypt", "STARTTLS closes": "encrypt",
       "STARTTLS silent": "encrypt", "TLS silent": "encrypt",
       "a certificate of nobody": "verify"}
# No connection, or no host at all.
NAMES = {
    "refused.example": ("5.4.1", "Connection refused", 0),
    "swallows.example": ("5.4.1", "Connection timed out", 5),
    "nowhere.example": ("5.1.2", "there is no domain nowhere.example", FAILS),
    "null.example": ("5.1.10", "takes no mail", FAILS),
    "bare.example": ("5.4.4", "has an address", FAILS),
    "illegal.example": ("5.4.4", "names that no host can have", FAILS),
    "self.example": ("5.4.6", "would come back to this host", FAILS),
    "loopback.example": ("5.4.6", "would come back to this host", FAILS),
    "circle.example": ("5.4.3", "no name server tells", 0),
    "fails.example": ("5.4.3", "no name server tells", 0),
    "garbage.example": ("5.4.3", "no name server tells", 0),
}
# What is no answer at all is waited out: the resolver's patience, in seconds.
UNHEARD = {"garbage.example": 30}
PORT = 2600


LARGE = b"Subject: large\r\n\r\n" + b"of many buffers\r\n" * 500000


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


class Trial:
    """Letters to all of them at once; verdicts: {domain: [status, words,
    minutes]}."""

    def __init__(self, daemons, names):
        self.verdicts = dict(NAMES, **{
            domain(what): row[1:] for what, row in HOSTS.items()})
        self.reports, self.sent, self.seen = {}, {}, set()
        conf = ("retry-schedule 1s\ngive-up-after %ds\n"
                "trusted-networks 127.0.0.0/8\ndns-server %s@%d\n"
                "route swallows.example smtp://192.0.2.2:%d\n"
                % (GIVE_UP, names.address, names.port, PORT - 1))
        for number, what in enumerate(HOSTS):
            name = domain(what)
            conf += "route %s smtp://mx.%s:%d\nrelay-tls mx.%s %s\n" % (
                name, name, PORT + number, name, TLS.get(what, "none"))
        self.quick, self.patient = (
            daemons("smtpd", conf + "relay-timeout %ds\n" % seconds)
            for seconds in (QUICK, PATIENT))

    def daemon(self, name):
        return self.quick if self.verdicts[name][2] else self.patient

    def send(self):
        large = domain("reads no content")
        for name in self.verdicts:
            self.sent[name] = datetime.datetime.now()
            send(self.daemon(name), SENDER + "@example.test", "b@" + name,
                 letter=LARGE if name == large else LETTER)

    def look(self):
        for path in postern.message_files(SENDER):
            if path not in self.seen:
                self.seen.add(path)
                with open(path, "rb") as file:
                    report = Report(file.read())
                recipient, = report.recipients
                of = recipient["Final-Recipient"].partition("@")[2]
                assert of not in self.reports, "told twice of " + of
                self.reports[of] = report
        return len(self.reports) == len(self.verdicts)

    def outcomes(self, name):
        """[(event, seconds since the letter was sent)] of each try."""
        pattern = "event=(deferred|failed) .*to=b@%s " % re.escape(name)
        return [(re.search(pattern, line)[1], (datetime.datetime.fromisoformat(
            line.split()[0]) - self.sent[name]).total_seconds())
                for line in self.daemon(name).log(pattern)]


@pytest.fixture(scope="module")
def trial(daemons, host):
    names = dnsstub.Server(make_zone())
    trial = Trial(daemons, names)
    postern.clear(SENDER)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(BASE + "/tls/cert.pem", BASE + "/tls/key.pem")
    with contextlib.ExitStack() as stack:
        stack.callback(names.close)
        full = swallow(PORT - 1)
        for number, (what, row) in enumerate(HOSTS.items()):
            sink = Sink(port=PORT + number, context=context
                        if what in TLS and not what.startswith("no TLS")
                        else None, **row[0])
            sink.is_over = threading.Event()
            stack.callback(sink.close)
            stack.callback(sink.is_over.set)
        trial.send()
        with contextlib.suppress(AssertionError):	# shown by each test
            eventually(trial.look, "all reports", seconds=150, every=0.2)
        del full
        yield trial


def check(trial, name):
    status, words, minutes = trial.verdicts[name]
    assert name in trial.reports, "not told in time"
    report = trial.reports[name]
    recipient, = report.recipients
    assert recipient["Action"] == "failed"
    assert recipient["Status"] == status, report.words()
    assert words in report.words()
    assert "b@" in recipient["Final-Recipient"]
    assert recipient["Diagnostic-Code"].isprintable()
    # Nobody is quoted who has not said it.
    assert (" said: " in report.words()) == recipient[
        "Diagnostic-Code"].startswith("smtp;"), report.words()
    trial.daemon(name).wait_log("event=failed .*to=b@%s " % re.escape(name))
    outcomes = trial.outcomes(name)
    events, times = zip(*outcomes)
    if minutes is FAILS:
        assert events == ("failed",)
        return
    assert set(events[:-1]) == {"deferred"} and events[-1] == "failed"
    patience = minutes * QUICK / 5
    assert patience <= times[0] < patience + UNHEARD.get(
        name, 0) + SLACK, outcomes
    # Given up at the first try that ends later than that.
    assert GIVE_UP - 1 <= times[-1] < GIVE_UP + 1 + patience + UNHEARD.get(
        name, 0) + SLACK, outcomes


@pytest.mark.parametrize("what", HOSTS)
def test_host(trial, what):
    check(trial, domain(what))


@pytest.mark.parametrize("name", NAMES)
def test_name(trial, name):
    check(trial, name)
