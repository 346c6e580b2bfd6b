"""Who sends: the name of the client's host, if it is confirmed (C21)."""
import contextlib
import itertools
import re
import socket
import threading

import pytest

import dnsstub
import hosts
import postern
from postern import Smtp
from sink import Sink
from starts import Place, run
from test_dns import HERE, header, record

HELLO = "EHLO claim.example"
RELAYS = "127.0.0.9"		# it may
_numbers = itertools.count(20)


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
    return daemons("smtpd", "trusted-networks 127.0.0.9\n"
                   "dns-server %s@%d\n" % (names.address, names.port))


class Client:
    """One host, of which no name server has been asked before."""

    def __init__(self, zone):
        number = next(_numbers)
        self.zone = zone
        self.address = "192.0.2.%d" % number
        self.reverse = "%d.2.0.192.in-addr.arpa" % number
        self.name = "client-%d.example.org" % number
        hosts._ip("address add %s/32 dev lo" % self.address)

    def asked(self):
        """What has been, about it."""
        of_it = (self.reverse, self.name)
        return [each for each in self.zone.asked if each[0] in of_it]


@pytest.fixture
def client(host, zone):
    return Client(zone)


def send(smtpd, user, source):
    """A letter from there, and who that was by its trace."""
    with Smtp(smtpd, HELLO, source=source) as smtp:
        assert smtp.mail(b"Subject: x\r\n\r\nx\r\n", user).code == 250
        return trace(user)


def trace(user):
    letter = postern.wait_messages(user, 1)[0]
    postern.clear(user)
    return re.search(rb"^Received: from claim\.example \((.*)\)\r?\n", letter,
                     re.M).group(1).decode("ascii")


def logged(smtpd, source):
    """The name in the log's line about the last letter from there."""
    line = smtpd.wait_log(r"event=received .* client=%s " % re.escape(
        source))[-1]
    return re.search(r" name=(\S+) helo=", line).group(1)


def is_unknown(smtpd, user, client):
    assert send(smtpd, user, client.address) == "unknown [%s]" % client.address
    assert logged(smtpd, client.address) == "unknown"
    return True


def test_confirmed(smtpd, client, user):
    client.zone.add(client.reverse, dnsstub.PTR, client.name.upper() + ".")
    client.zone.host(client.name, "192.0.2.9", client.address)
    assert send(smtpd, user, client.address) == "%s [%s]" % (
        client.name, client.address)
    assert logged(smtpd, client.address) == client.name
    assert client.asked() == [(client.reverse, dnsstub.PTR),
                              (client.name, dnsstub.A)]


def test_refused_recipients_tell_it(smtpd, client):
    client.zone.add(client.reverse, dnsstub.PTR, client.name)
    client.zone.host(client.name, client.address)
    with Smtp(smtpd, HELLO, source=client.address) as smtp:
        def is_logged():
            smtp.envelope()
            smtp.expect("RCPT TO:<nobody@else.example>", 550)
            smtp.expect("RSET", 250)
            return smtpd.log("event=refused .* client=%s name=%s" % (
                client.address, client.name))
        postern.eventually(is_logged, "a refusal with the name")


def test_delegated(smtpd, client, user):
    """RFC 2317: the name of the address is an alias, and the host's is."""
    below = "x.0-127.2.0.192.in-addr.arpa"
    client.zone.add(client.reverse, dnsstub.CNAME, below)
    client.zone.add(below, dnsstub.PTR, client.name)
    client.zone.add(client.name, dnsstub.CNAME, "canonical.example")
    client.zone.host("canonical.example", client.address)
    assert send(smtpd, user, client.address) == "%s [%s]" % (
        client.name, client.address)


def test_C21_not_confirmed(smtpd, client, user):
    """Whoever has an address may call it anything."""
    client.zone.add(client.reverse, dnsstub.PTR, client.name)
    client.zone.host(client.name, "192.0.2.9", "2001:db8::1")
    assert is_unknown(smtpd, user, client)


def test_several_names(smtpd, client, user):
    client.zone.add(client.reverse, dnsstub.PTR, "a.several.example",
                    "b.several.example", client.name)
    client.zone.host("a.several.example", "192.0.2.9")
    client.zone.host(client.name, client.address)
    assert send(smtpd, user, client.address) == "%s [%s]" % (
        client.name, client.address)


def test_C21_many_names(smtpd, client, user):
    """Nobody has us ask for all of them."""
    client.zone.add(client.reverse, dnsstub.PTR, *(
        "n%d.many.example" % n for n in range(40)))
    assert is_unknown(smtpd, user, client)
    assert len([name for name, _ in client.zone.asked
                if name.endswith(".many.example")]) == 3


GARBAGE = {
    "lines": b"\x12a\r\nX-Evil: yes\r\n (\x07example\0",
    "control octets": dnsstub.name("a\x1b]0;b\x07.example"),
    "quotes": dnsstub.name('a")\\b.example'),
    "spaces": dnsstub.name("a event=login user=root.example"),
    "underscores": dnsstub.name("a_b.example"),
    "an address": dnsstub.name("10.0.0.1"),
    "a hyphen first": dnsstub.name("-a.example"),
    "the root": b"\0",
    "nothing": b"",
    "a pointer out of it": b"\xff\xff",
    "a long name": (b"\x3f" + b"x" * 63) * 4 + b"\0",
    "no ASCII": dnsstub.name("b\xfccher.example"),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_C21_garbage(smtpd, client, user, what):
    """It is no host's name, and nobody is asked about it."""
    client.zone.add(client.reverse, dnsstub.PTR, GARBAGE[what])
    before = len(client.zone.asked)
    assert is_unknown(smtpd, user, client)
    assert set(client.zone.asked[before:]) == {(client.reverse, dnsstub.PTR)}


ODD = {
    "octets": lambda q, *_: q[:2] + b"\xff" * 300,
    "a circle": lambda q, o, k, t: header(q, 1) + record(
        HERE, dnsstub.CNAME, HERE),
    "a failure": dnsstub.fails,
}


@pytest.mark.parametrize("what", ODD)
def test_C21_odd(smtpd, client, user, what):
    client.zone.odd(client.reverse, ODD[what])
    assert is_unknown(smtpd, user, client)


def test_C21_silent(smtpd, client, user):
    """A letter does not wait for ever; the next one has the same name."""
    client.zone.odd(client.reverse, dnsstub.silent)
    with Smtp(smtpd, HELLO, source=client.address) as smtp:
        for _ in range(2):
            assert smtp.mail(b"x\r\n", user).code == 250
            assert trace(user) == "unknown [%s]" % client.address
    assert logged(smtpd, client.address) == "unknown"


def test_C21_late(smtpd, client, user):
    """While it waits for a name, the greeting and other clients do not."""
    asked, go_on = threading.Event(), threading.Event()

    def late(query, owner, kind, tcp):
        asked.set()
        go_on.wait(60)
        client.zone.names.pop(owner, None)
        client.zone.add(owner, dnsstub.PTR, client.name)
        return client.zone.answer(query)
    client.zone.odd(client.reverse, late)
    client.zone.host(client.name, client.address)
    with Smtp(smtpd, HELLO, source=client.address) as smtp:
        # Greeted, and not one answer has come.
        assert asked.wait(60) and not go_on.is_set()
        assert send(smtpd, user, "127.0.0.1") == "localhost [127.0.0.1]"
        go_on.set()
        assert smtp.mail(b"x\r\n", user).code == 250
        assert trace(user) in ["%s [%s]" % (name, client.address)
                               for name in (client.name, "unknown")]


def test_C21_many_silent(smtpd, zone, client, user):
    """They are in nobody's way: neither other names nor mail that leaves."""
    silent = [Client(zone) for _ in range(40)]
    for each in silent:
        zone.odd(each.reverse, dnsstub.silent)
    zone.add(client.reverse, dnsstub.PTR, client.name)
    zone.host(client.name, client.address)
    zone.host("elsewhere.example", "192.0.2.2")
    with contextlib.ExitStack() as stack, Sink() as sink:
        for each in silent:
            stack.enter_context(Smtp(smtpd, HELLO, source=each.address))
        postern.eventually(lambda: all(each.asked() for each in silent),
                           "all of them are asked about")
        assert send(smtpd, user, client.address) == "%s [%s]" % (
            client.name, client.address)
        with Smtp(smtpd, HELLO, source=RELAYS) as smtp:
            assert smtp.mail(b"x\r\n", "b@elsewhere.example").code == 250
        postern.eventually(lambda: sink.letters, "it is sent")


@pytest.mark.may_crash
def test_C21_resolver_gone(smtpd, client, user):
    """Nobody waits for one that has died."""
    client.zone.odd(client.reverse, dnsstub.silent)
    with Smtp(smtpd, HELLO, source=client.address) as smtp:
        postern.eventually(client.asked, "it is asked")
        smtp.envelope(user)
        old, = smtpd.processes("smtpd-resolver")
        postern.kill(old.pid)
        smtp.expect("DATA", 354)
        smtp.send(b"x\r\n.\r\n")
        assert smtp.reply().code == 250
    assert trace(user) == "unknown [%s]" % client.address


def test_off(daemons, names, client, user):
    client.zone.add(client.reverse, dnsstub.PTR, client.name)
    off = daemons("smtpd", "client-names no\ndns-server %s@%d\n" % (
        names.address, names.port))
    assert send(off, user, client.address) == "[%s]" % client.address
    assert logged(off, client.address) == "-"
    assert not client.asked()


def test_from_inetd(names, client, user):
    """It is there for one connection, and so is its resolver."""
    client.zone.add(client.reverse, dnsstub.PTR, client.name)
    client.zone.host(client.name, client.address)
    place = Place("smtpd", "dns-server %s@%d\n" % (names.address, names.port))
    with socket.create_server(("127.0.0.1", 0)) as door, \
            socket.create_connection(door.getsockname(), postern.PATIENCE,
                                     (client.address, 0)) as sock:
        end = door.accept()[0]
        process = run(place, end, "-i")
        end.close()
        talk = Smtp.__new__(Smtp)
        talk.sock, talk.buffer = sock, b""
        assert talk.reply().code == 220
        talk.expect(HELLO, 250)
        assert talk.mail(b"x\r\n", user).code == 250
        talk.expect("QUIT", 221)
        assert process.wait(postern.PATIENCE) == 0
    assert trace(user) == "%s [%s]" % (client.name, client.address)


def test_this_host(smtpd, zone, user):
    before = len(zone.asked)
    assert send(smtpd, user, "127.0.0.1") == "localhost [127.0.0.1]"
    assert logged(smtpd, "127.0.0.1") == "localhost"
    assert len(zone.asked) == before
