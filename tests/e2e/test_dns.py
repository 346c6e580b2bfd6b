"""C21: name servers that lie, are silent, or send what is no answer."""
import random
import struct
import time

import pytest

import dnsstub
from postern import eventually
from sink import Sink
from test_relay import send


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
                   "dns-server %s@%d\n" % (names.address, names.port))


def header(query, count, flags=0x8180):
    at = 12
    while query[at]:
        at += 1 + query[at]
    return (query[:2] + struct.pack("!5H", flags, 1, count, 0, 0)
            + query[12:at + 5])


def record(owner, kind, data):
    return owner + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


HERE = b"\xc0\x0c"			# the name that was asked for

NONSENSE = {
    "another id": lambda q, *_: bytes([q[0] ^ 1]) + header(q, 0)[1:],
    "a pointer to itself": lambda q, o, k, t: header(q, 1) + record(
        b"\xc0" + bytes([len(header(q, 1))]), k, b"\0\0\0"),
    "more records than there are": lambda q, *_: header(q, 500),
    "a length beyond the end": lambda q, o, k, t: header(q, 1) + HERE
    + struct.pack("!HHIH", k, 1, 60, 9999) + b"x",
    "octets": lambda q, *_: q[:2] + b"\xff" * 300,
}


def got(sink, domain):
    return any("@%s>" % domain in r for letter in sink.letters
               for r in letter.recipients)


def test_C21_no_answer(smtpd, zone):
    """They are put off, and come with right answers."""
    domains = {"n%d.example" % i: what for i, what in enumerate(NONSENSE)}
    for domain, what in domains.items():
        zone.odd(domain, NONSENSE[what])
    with Sink() as sink:
        for domain in domains:
            send(smtpd, "b@" + domain, sender="")
        for domain in domains:
            smtpd.wait_log(r"event=(deferred|failed) .*to=b@%s " % domain,
                           seconds=120)
            assert not smtpd.log(r"event=failed .*to=b@%s " % domain)
        assert not sink.letters
        for domain in domains:
            zone.names[domain] = {}
            zone.host(domain, "192.0.2.2")
        for domain, what in domains.items():
            eventually(lambda d=domain: got(sink, d), what, seconds=120)


ODD = {
    "empty": b"", "a preference alone": b"\0\x0a",
    "control octets": b"\0\x0a" + dnsstub.name("a\r\nb\x1b.example"),
    "a path": b"\0\x0a" + dnsstub.name("../../etc.example"),
    "a long label": b"\0\x0a\x3f" + b"x" * 63 + b"\0",
    "a long name": b"\0\x0a" + (b"\x3f" + b"x" * 63) * 4 + b"\0",
    "a pointer out of it": b"\0\x0a\xff\xff",
}


def test_C21_odd_exchangers(smtpd, zone):
    """Beside a right one they do no harm."""
    domains = {"o%d.example" % i: what for i, what in enumerate(ODD)}
    for domain, what in domains.items():
        zone.mail(domain, ODD[what], (20, "good." + domain))
        zone.host("good." + domain, "192.0.2.2")
    with Sink() as sink:
        for domain in domains:
            send(smtpd, "b@" + domain, sender="")
        for domain in domains:
            smtpd.wait_log(r"event=(delivered|deferred|failed) .*to=b@%s "
                           % domain, seconds=120)
            line = smtpd.log(r"to=b@%s " % domain)[0]
            assert all(" " <= c <= "~" for c in line)
            assert got(sink, domain) or "event=delivered" not in line


def test_C21_circle(smtpd, zone):
    """A name that is an alias of itself has no address, now or for good."""
    zone.odd("circle.example", lambda q, o, k, t: header(q, 1) + record(
        HERE, dnsstub.CNAME, HERE))
    send(smtpd, "b@circle.example", sender="")
    smtpd.wait_log(r"event=(deferred|failed) .*to=b@circle.example ",
                   seconds=90)
    zone.names["circle.example"] = {}


def test_C21_odd_addresses(smtpd, zone):
    zone.mail("a.example", (10, "mx.a.example"))
    zone.add("mx.a.example", dnsstub.A, b"", b"\x7f\0\0", b"12345",
             "192.0.2.2")
    zone.add("mx.a.example", dnsstub.AAAA, b"", b"x" * 15, b"x" * 17)
    with Sink() as sink:
        send(smtpd, "b@a.example", sender="")
        smtpd.wait_log(r"event=(delivered|deferred) .*to=b@a.example ",
                       seconds=90)
        assert sink.letters or smtpd.log(r"to=b@a.example .*status=4\.4\.3")


def test_C21_very_large(smtpd, zone):
    """By TCP, and the best are taken."""
    zone.mail("large.example", *((i + 1, "h%d.large.example" % i)
                                 for i in range(300)))
    zone.host("h0.large.example", "192.0.2.2")
    with Sink() as sink:
        send(smtpd, "b@large.example", sender="")
        eventually(lambda: sink.letters, "it comes", seconds=60)


def test_C21_at_random(smtpd, zone):
    """Right answers with octets changed; the resolver lives on."""
    rng = random.Random(21)
    zone.mail("r.example", (10, "mx.r.example"))
    right = dict(zone.names["r.example"])

    def spoil(query, owner, kind, tcp):
        zone.names["r.example"] = right
        packet = bytearray(zone.answer(query))
        zone.names["r.example"] = spoil
        for _ in range(rng.randrange(1, 4)):
            packet[rng.randrange(2, len(packet))] = rng.randrange(256)
        return bytes(packet[:rng.randrange(12, len(packet) + 1)])
    zone.names["r.example"] = spoil
    for number in range(30):
        send(smtpd, "b%d@r.example" % number, sender="")
    eventually(lambda: len(zone.asked) > 60, "many questions", seconds=60)
    zone.host("fine.example", "192.0.2.2")
    with Sink() as sink:
        send(smtpd, "b@fine.example", sender="")
        eventually(lambda: any("fine" in r for l in sink.letters
                               for r in l.recipients), "it comes",
                   seconds=60)
    assert not smtpd.log("event=died")
    zone.names["r.example"] = {}


def test_domains_of_a_network_of_its_own(smtpd, zone):
    """libunbound would say of these, without asking, that there are none."""
    with Sink() as sink:
        for domain in ("office.test", "office.home.arpa"):
            zone.host(domain, "192.0.2.2")
            send(smtpd, "b@" + domain)
            eventually(lambda d=domain: got(sink, d), domain)


def test_late_answers(smtpd, zone):
    """Who has to ask far hosts first is waited for."""
    def late(query, owner, kind, tcp):
        if kind != dnsstub.A:
            return header(query, 0)
        time.sleep(1.8)
        return header(query, 1) + record(HERE, kind, bytes((192, 0, 2, 2)))
    zone.odd("late.example", late)
    with Sink() as sink:
        send(smtpd, "b@late.example")
        eventually(lambda: got(sink, "late.example"), "it comes")
    assert not smtpd.log("event=deferred .*to=b@late.example")
