"""Floods and tarpits: whoever is in no hurry is not in others' way."""
import smtplib
import threading
import time

import pytest

import dnsstub
from postern import CROWD, eventually
from sink import Sink

LETTER = b"Subject: hello\r\n\r\nhello\r\n"
TARPITS = 160


@pytest.fixture
def zone():
    return dnsstub.Zone()


@pytest.fixture
def smtpd(daemons, host, zone):
    names = dnsstub.Server(zone)
    # Minutes are minutes here: none of this is by a time-out.
    yield daemons("smtpd", "relay-timeout 300s\nretry-schedule 10m\n"
                  "trusted-networks 127.0.0.0/8\n"
                  "dns-server %s@%d" % (names.address, names.port))
    names.close()


def send(smtpd, sender, *recipients):
    """A letter for each."""
    with smtplib.SMTP("127.0.0.1", smtpd.port) as client:
        for recipient in recipients:
            assert client.sendmail(sender + "@example.test", [recipient],
                                   LETTER) == {}


def recipients(sink):
    return [r.partition("<")[2].partition(">")[0]
            for letter in sink.letters for r in letter.recipients]


@pytest.mark.parametrize("stage", ("greeting", "MAIL", "end"))
def test_C16_tarpits(smtpd, zone, stage):
    """More hosts that accept and then say nothing than there are
    connections for strangers."""
    zone.host("known.example", "192.0.2.2")
    zone.host("new.example", "192.0.2.2")
    domains = ["tar%d.example" % n for n in range(TARPITS)]
    for domain in domains:
        zone.mail(domain, (10, "mx." + domain))
        zone.host("mx." + domain, "192.0.2.1")
    is_over = threading.Event()

    def never(*_):
        is_over.wait(300)
    with Sink("192.0.2.1", **{stage: never}) as tar, Sink() as good:
        send(smtpd, CROWD[1], "a@known.example")
        eventually(lambda: good.letters, "the first comes")
        send(smtpd, CROWD[0], *["x@" + domain for domain in domains])
        eventually(lambda: len(tar.sessions) >= 75, "the pits are full")
        # Known to be quick: at once, and not when others give up.
        begun = time.monotonic()
        send(smtpd, CROWD[1], "b@known.example")
        eventually(lambda: "b@known.example" in recipients(good),
                   "a known host gets its letter")
        known = time.monotonic() - begun
        send(smtpd, CROWD[1], "c@new.example")
        eventually(lambda: "c@new.example" in recipients(good),
                   "a new host gets its letter")
        new = time.monotonic() - begun - known
        print("tarpits at %s: %d connections; known host after %.1f s, new "
              "one after %.1f s" % (stage, len(tar.sessions), known, new))
        # What had not ended is not given up, and what has is told why.
        # (Nobody had to give way if the first were slow by then.)
        if stage != "end" and new > 1:
            smtpd.wait_log("event=deferred .*the host is too slow, and "
                           "other letters wait")
        assert not smtpd.log("event=unsure")
        is_over.set()


def test_flood_of_one_sender(smtpd, zone):
    """Hundreds of letters to as many domains with slow hosts; another's
    letter to one of the same kind does not wait for all of them."""
    domains = ["flood%d.example" % n for n in range(600)]
    for domain in domains + ["other.example"]:
        zone.host(domain, "192.0.2.2")

    def slowly(sink, session, line):
        time.sleep(2)
    with Sink(end=slowly) as sink:
        send(smtpd, CROWD[0], *["x@" + domain for domain in domains])
        # Seconds later: all of the flood is older.
        eventually(lambda: sink.letters, "some have come")
        before = len(sink.letters)
        send(smtpd, CROWD[1], "y@other.example")
        eventually(lambda: "y@other.example" in recipients(sink),
                   "the other's letter comes")
        during = recipients(sink).index("y@other.example")
        print("%d of the flood before the other's letter was sent, %d before "
              "it came" % (before, during))
        assert during - before < 500
        eventually(lambda: len(sink.letters) == 601, "all come")


def test_flood_to_one_destination(smtpd, zone):
    """Neither another destination nor another sender to the same one waits
    for all of it."""
    zone.host("flooded.example", "192.0.2.1")
    zone.host("quiet.example", "192.0.2.2")

    def slowly(sink, session, line):
        time.sleep(0.3)
    with Sink("192.0.2.1", end=slowly) as flooded, Sink() as quiet:
        send(smtpd, CROWD[0], *["x%d@flooded.example" % n
                                for n in range(600)])
        send(smtpd, CROWD[1], "y@quiet.example", "y@flooded.example")
        eventually(lambda: quiet.letters, "the quiet one gets its letter")
        print("%d of the flood were there by then" % len(flooded.letters))
        assert len(flooded.letters) < 400
        eventually(lambda: "y@flooded.example" in recipients(flooded),
                   "the other sender's letter comes")
        print("%d before the other sender's" % len(flooded.letters))
        assert len(flooded.letters) < 500
        eventually(lambda: len(flooded.letters) == 601, "all come")


def test_slow_names(daemons, host, zone):
    """One name server asks all others, of whom a hundred are slow: whose
    names are quickly found do not wait for those, nor are put off."""
    is_over = threading.Event()

    def late(query, *_):
        is_over.wait(12)
        return dnsstub.fails(query)
    late_domains = ["late%d.example" % n for n in range(100)]
    quick = ["quick%d.example" % n for n in range(8)]
    for domain in late_domains:
        zone.odd(domain, late)
    for domain in quick:
        zone.host(domain, "192.0.2.2")
    names = dnsstub.Server(zone)
    smtpd = daemons("smtpd", "retry-schedule 10m\n"
                    "trusted-networks 127.0.0.0/8\n"
                    "dns-server %s@%d\n" % (names.address, names.port))
    with Sink() as sink:
        send(smtpd, CROWD[0], *["x@" + domain for domain in late_domains])
        for number, domain in enumerate(quick):
            eventually(lambda n=number: len(zone.asked) > 20 * n,
                       "it goes on asking")
            send(smtpd, CROWD[1], "y@" + domain)
        eventually(lambda: len(sink.letters) == len(quick), "they come")
        took = [int(line.split("delay=")[1].split()[0]) for line in
                smtpd.wait_log("event=delivered .*to=y@", len(quick))]
        print("seconds:", took)
        assert max(took) <= 30
    assert not smtpd.log("event=deferred .*to=y@")
    is_over.set()
    names.close()
