"""Letters to other hosts: looked up in DNS, handed over, tried again."""
import os
import signal
import smtplib
import threading
import time

import pytest

import dnsstub
from postern import CROWD, PATIENCE, eventually
from sink import Sink

LETTER = b"From: a@example.test\r\nSubject: hello\r\n\r\n.dots\r\n..\r\nend\r\n"


@pytest.fixture(scope="module")
def zone():
    return dnsstub.Zone()


@pytest.fixture(scope="module")
def names(host, zone):
    server = dnsstub.Server(zone)
    yield server
    server.close()


@pytest.fixture(scope="module")
def smtpd(daemons, names):
    return daemons("smtpd", "retry-schedule 1s\nrelay-timeout 5s\n"
                   "trusted-networks 127.0.0.0/8\n"
                   "dns-server %s@%d" % (names.address, names.port))


def send(smtpd, *recipients, letter=LETTER, sender=CROWD[0] + "@example.test"):
    with smtplib.SMTP("127.0.0.1", smtpd.port) as client:
        assert client.sendmail(sender, recipients, letter) == {}


def test_by_mx(smtpd, zone):
    zone.mail("one.example", (10, "mx.one.example"))
    zone.host("mx.one.example", "192.0.2.2")
    with Sink() as sink:
        send(smtpd, "b@one.example", "C@One.Example", '""@one.example')
        eventually(lambda: sink.letters, "the letter comes")
    letter, = sink.letters
    assert letter.sender.startswith(
        "MAIL FROM:<%s@example.test>" % CROWD[0])
    assert [r.partition(" ")[2].split(" ")[0] for r in letter.recipients] == [
        "TO:<b@one.example>", "TO:<C@one.example>", 'TO:<""@one.example>']
    assert letter.content.endswith(LETTER)
    assert b"Received: " in letter.content


def test_better_ones_first(smtpd, zone):
    """The backup gets it while the first is down; then the first again."""
    zone.mail("two.example", (20, "backup.two.example"),
              (10, "first.two.example"))
    zone.host("first.two.example", "192.0.2.1")
    zone.host("backup.two.example", "192.0.2.2")
    with Sink("192.0.2.2") as backup:
        send(smtpd, "b@two.example")
        eventually(lambda: backup.letters, "the backup gets it")
    with Sink("192.0.2.1") as first, Sink("192.0.2.2") as backup:
        # What was tried in vain is passed over for a while: a new start.
        smtpd.reload()
        send(smtpd, "b@two.example")
        eventually(lambda: first.letters or backup.letters, "it comes")


@pytest.mark.parametrize("number, stage, reply", (
    (0, "MAIL", "451 4.3.2 not now"), (1, "RCPT", "450 4.2.0 grey"),
    (2, "DATA", "451 4.3.0 later"), (3, "end", "452 4.3.1 full"),
    (4, "MAIL", "421 4.3.2 bye"), (5, "RCPT", None),
))
def test_backup_takes_what_the_first_puts_off(smtpd, zone, number, stage,
                                              reply):
    """RFC 5321 section 5.1: the next one, in the same attempt; what the first
    takes or refuses is its own."""
    domain = "off%d.example" % number
    zone.mail(domain, (20, "backup." + domain), (10, "first." + domain))
    zone.host("first." + domain, "192.0.2.1")
    zone.host("backup." + domain, "192.0.2.2")

    def say(sink, session, line):
        if stage == "RCPT" and "b@" not in line:
            return "250 2.1.5 ok" if "d@" in line else "550 5.1.1 unknown"
        if reply is None:
            session.sock.close()
        return reply
    people = ("b@" + domain,) if stage != "RCPT" or reply is None else (
        "b@" + domain, "c@" + domain)
    with Sink("192.0.2.1", **{stage: say}) as first, Sink() as backup:
        send(smtpd, *people)
        eventually(lambda: backup.letters, "the backup gets it")
        assert backup.letters[0].recipients[0].startswith(
            "RCPT TO:<b@%s>" % domain)
        assert len(backup.letters[0].recipients) == 1
        smtpd.wait_log(r"event=delivered .*to=b@" + domain)
        assert not smtpd.log(r"event=deferred .*to=b@" + domain)
        if len(people) > 1:
            smtpd.wait_log(r"event=failed .*to=c@" + domain)
        assert not first.letters


def test_nobody_takes_it_now(smtpd, zone):
    """Who is put off by all is told what the first said, and comes again."""
    zone.mail("off.example", (20, "backup.off.example"),
              (10, "first.off.example"), (30, "none.off.example"))
    zone.host("first.off.example", "192.0.2.1")
    zone.host("backup.off.example", "192.0.2.2")
    zone.host("none.off.example", "fd00:0:0:1::2")
    with Sink("192.0.2.1", RCPT=once("450 4.2.0 grey")) as first, Sink(
            RCPT="450 4.2.0 greyer") as backup:
        send(smtpd, "b@off.example")
        eventually(lambda: first.letters, "it comes")
    assert len(backup.sessions) == 1
    line, = smtpd.log(r"event=deferred .*to=b@off\.example")
    assert "greyer" in line


def test_ipv6_only(smtpd, zone):
    zone.mail("six.example", (10, "mx.six.example"))
    zone.host("mx.six.example", "fd00:0:0:1::2")
    with Sink("fd00:0:0:1::2") as sink:
        send(smtpd, "b@six.example")
        eventually(lambda: sink.letters, "it comes by IPv6")


def test_implicit_mx_through_cname(smtpd, zone):
    zone.add("alias.example", dnsstub.CNAME, "plain.example")
    zone.host("plain.example", "192.0.2.2")
    with Sink() as sink:
        send(smtpd, "b@alias.example")
        eventually(lambda: sink.letters, "it comes to the host itself")


@pytest.mark.parametrize("domain, status", (
    ("nowhere.example", "5.1.2"), ("null.example", "5.1.10"),
    ("bare.example", "5.4.4"), ("loop.example", "5.4.6"),
    ("mxloop.example", "5.4.6"), ("zero.example", "5.4.6"),
    ("illegal.example", "5.4.4"),
))
def test_nobody_there(smtpd, zone, domain, status):
    zone.mail("null.example", (0, "."))
    zone.mail("bare.example", (10, "nothing.example"))
    zone.add("nothing.example", dnsstub.PTR, "x")
    zone.mail("loop.example", (10, "me.example"))
    zone.host("me.example", "127.0.0.1", "::1")
    zone.mail("mxloop.example", (10, "mx.example.test"),
              (10, "other.example"))
    zone.host("other.example", "192.0.2.2")
    zone.mail("zero.example", (10, "zero.zero.example"))
    zone.host("zero.zero.example", "0.0.0.0")
    # The domain has an address, too, but says that others take its mail.
    zone.mail("illegal.example", (10, "mx 1.example"), (20, "m/x.example"))
    zone.host("illegal.example", "192.0.2.2")
    with Sink() as sink:
        send(smtpd, "b@" + domain)
        smtpd.wait_log(r"event=failed .*to=b@%s .*status=%s " % (
            domain, status.replace(".", r"\.")))
    assert not sink.letters


def test_name_servers_fail(smtpd, zone):
    """They wait until something is said."""
    ways = {"fails.example": dnsstub.fails,
            "garbage.example": lambda *_: b"\1\2\3",
            "cut.example": lambda query, *_: query[:12]}
    for domain, way in ways.items():
        zone.odd(domain, way)
        send(smtpd, "b@" + domain)
    for domain in ways:
        smtpd.wait_log(r"event=deferred .*to=b@%s .*status=4\.4\.3 " % domain,
                       seconds=90)
        zone.names[domain] = {}
        zone.host(domain, "192.0.2.2")
    with Sink() as sink:
        eventually(lambda: len({r for l in sink.letters
                                for r in l.recipients}) == 3,
                   "they come at last", seconds=90)


# What a host may do, and what becomes of the letter: "later" is tried again
# and comes, "fails" does not.

def close(_, session, line):
    session.sock.close()
    return None


def close_once(sink, session, line):
    if session.number == 0:
        session.sock.close()
    return None


def once(reply):
    def say(sink, session, line):
        said = getattr(sink, "said", 0)
        sink.said = said + 1
        return reply if said == 0 else None
    return say


MANY = "".join("250-line %d of very many\r\n" % i for i in range(100000))

MISBEHAVIOURS = {
    "greets 4xx": ({"greeting": once("421 4.3.2 busy")}, "later"),
    "greets 5xx": ({"greeting": once("554 5.3.2 no mail now")}, "later"),
    "closes": ({"greeting": close_once}, "later"),
    "greets with nonsense": ({"greeting": once("HTTP/1.1 200 OK")}, "later"),
    "HELO only": ({"EHLO": "502 5.5.1 what"}, "taken"),
    "neither": ({"EHLO": "550 5.7.1 go away", "HELO": "550 5.7.1 go away"},
                "fails 5.7.1"),
    "EHLO closes": ({"EHLO": close_once}, "later"),
    "EHLO without end": ({"EHLO": once(MANY + "250 end")}, "later"),
    "EHLO too long a line": ({"EHLO": once("250 " + "x" * 5000)}, "later"),
    "MAIL 4xx": ({"MAIL": once("451 4.3.0 later")}, "later"),
    "MAIL 5xx": ({"MAIL": "550 5.7.1 not you"}, "fails 5.7.1"),
    "MAIL closes": ({"MAIL": close_once}, "later"),
    "RCPT 4xx": ({"RCPT": once("450 4.2.1 grey")}, "later"),
    "RCPT 5xx": ({"RCPT": "550 5.1.1 unknown"}, "fails 5.1.1"),
    "RCPT 5xx of many lines": (
        {"RCPT": "550-5.1.1 one\r\n550-5.1.1 two\x01\x1b\r\n550 5.1.1 three"},
        "fails 5.1.1"),
    "RCPT without a status": ({"RCPT": "550 unknown"}, "fails 5.0.0"),
    "DATA 4xx": ({"DATA": once("451 4.3.0 later")}, "later"),
    "DATA 5xx": ({"DATA": "554 5.6.0 no"}, "fails 5.6.0"),
    "DATA closes": ({"DATA": close_once}, "later"),
    "end 4xx": ({"end": once("452 4.3.1 full")}, "later"),
    "end 5xx": ({"end": "554 5.7.1 spam"}, "fails 5.7.1"),
    "421 in between": ({"RCPT": once("421 4.3.2 shutting down")}, "later"),
    "QUIT closes": ({"QUIT": close}, "taken"),
    "a code that is none": ({"RCPT": once("999 what")}, "later"),
}


@pytest.mark.parametrize("what", MISBEHAVIOURS)
def test_misbehaviour(smtpd, zone, what):
    replies, expected = MISBEHAVIOURS[what]
    number = list(MISBEHAVIOURS).index(what)
    domain = "m%d.example" % number
    zone.host(domain, "192.0.2.2")
    with Sink(**replies) as sink:
        send(smtpd, "b@" + domain)
        if expected.startswith("fails"):
            line = smtpd.wait_log(r"event=failed .*to=b@%s " % domain)[0]
            assert "status=" + expected.split()[1] in line
            assert all(" " <= c <= "~" for c in line)
            assert not sink.letters
            return
        eventually(lambda: sink.letters, "it comes", seconds=60)
        if expected == "later":
            smtpd.wait_log(r"event=deferred .*to=b@%s " % domain)
        smtpd.wait_log(r"event=delivered .*to=b@%s " % domain)


def test_silence(smtpd, zone):
    """Nothing is said; relay-timeout later the next address has its turn."""
    zone.mail("silent.example", (10, "s1.example"), (20, "s2.example"))
    zone.host("s1.example", "192.0.2.1")
    zone.host("s2.example", "192.0.2.2")

    def nothing(sink, session, line):
        time.sleep(60)
    with Sink("192.0.2.1", greeting=nothing), Sink("192.0.2.2") as second:
        send(smtpd, "b@silent.example")
        eventually(lambda: second.letters, "the second gets it", seconds=60)


def test_5xx_greeting_is_not_the_end(smtpd, zone):
    """It is the next host's turn; and all of them may mean today only."""
    zone.mail("proud.example", (10, "p1.example"), (20, "p2.example"))
    zone.host("p1.example", "192.0.2.1")
    zone.host("p2.example", "192.0.2.2")
    refusal = "554 5.7.1 no access for you"
    with Sink("192.0.2.1", greeting=refusal), Sink("192.0.2.2") as second:
        send(smtpd, "b@proud.example")
        eventually(lambda: second.letters, "the second gets it")
    with Sink("192.0.2.1", greeting=refusal), \
            Sink("192.0.2.2", greeting=refusal):
        send(smtpd, "c@proud.example")
        line = smtpd.wait_log(r"event=deferred .*to=c@proud.example ")[0]
        assert "status=4.7.1" in line and "no access for you" in line
    with Sink("192.0.2.2") as second:
        eventually(lambda: second.letters, "it comes when they let us in")
    assert not smtpd.log(r"event=failed .*@proud.example")


def test_some_of_them(smtpd, zone):
    """Each recipient has its own end; nobody gets it twice."""
    zone.host("some.example", "192.0.2.2")

    def rcpt(sink, session, line):
        if "<no@" in line:
            return "550 5.1.1 unknown"
        if "<later@" in line and len(tries) < 2:
            tries.append(line)
            return "450 4.2.0 later"
        return None
    tries = []
    with Sink(RCPT=rcpt) as sink:
        send(smtpd, "yes@some.example", "no@some.example",
             "later@some.example")
        eventually(lambda: any("<later@" in r for l in sink.letters
                               for r in l.recipients), "later", seconds=60)
        smtpd.wait_log(r"event=delivered .*to=later@some.example ")
    got = [r.partition("<")[2].partition(">")[0]
           for l in sink.letters for r in l.recipients]
    assert sorted(got) == ["later@some.example", "yes@some.example"]
    smtpd.wait_log(r"event=failed .*to=no@some.example .*status=5.1.1")


@pytest.mark.parametrize("at_once", (False, True))
def test_reload_in_the_midst_of_a_letter(smtpd, zone, at_once):
    """The host may answer before the queue goes: it does not get it twice."""
    zone.host("midst.example", "192.0.2.2")
    ended, go_on = threading.Event(), threading.Event()

    def end(_sink, _session, _line):
        ended.set()
        go_on.wait(PATIENCE)

    with Sink(end=end) as sink:
        send(smtpd, "one@midst.example")
        assert ended.wait(PATIENCE)
        queue, = smtpd.processes("smtpd-queue")
        smtpd.forget_log()
        if at_once:
            # It hears the answer and that it has to go in the same turn.
            os.kill(queue.pid, signal.SIGSTOP)
            go_on.set()
            eventually(lambda: sink.letters, "the letter is there")
            time.sleep(0.3)
        smtpd.reload()
        smtpd.wait_log("event=reloaded")
        os.kill(queue.pid, signal.SIGCONT)
        go_on.set()
        smtpd.wait_log("event=delivered .*to=one@midst.example")
        send(smtpd, "two@midst.example")
        smtpd.wait_log("event=delivered .*to=two@midst.example")
        assert queue.pid not in [p.pid for p in
                                 smtpd.processes("smtpd-queue")]
    assert [letter.recipients[0].partition("<")[2].partition("@")[0]
            for letter in sink.letters] == ["one", "two"]


def test_one_connection_for_many(smtpd, zone):
    zone.host("many.example", "192.0.2.2")
    with Sink() as sink:
        for i in range(30):
            send(smtpd, "b%d@many.example" % i)
        eventually(lambda: len({r for l in sink.letters
                                for r in l.recipients
                                if "@many.example" in r}) == 30, "all come")
        assert len(sink.sessions) < 15


def test_a_dead_destination_costs_one_probe(daemons, names, zone):
    smtpd = daemons("smtpd", "retry-schedule 20s\nrelay-timeout 5s\n"
                    "trusted-networks 127.0.0.0/8\n"
                    "dns-server %s@%d" % (names.address, names.port))
    zone.host("dead.example", "192.0.2.2")
    with Sink(greeting="421 4.3.2 no") as sink:
        for i in range(20):
            send(smtpd, "b%d@dead.example" % i)
        smtpd.wait_log(r"event=deferred .*@dead\.example", 20)
        assert 1 <= len(sink.sessions) <= 2
