"""Letters to other hosts: looked up in DNS, handed over, tried again."""
import smtplib
import time

import pytest

import dnsstub
from postern import eventually
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


def send(smtpd, *recipients, letter=LETTER, sender="a@example.test"):
    with smtplib.SMTP("127.0.0.1", smtpd.port) as client:
        assert client.sendmail(sender, recipients, letter) == {}


def test_by_mx(smtpd, zone):
    zone.mail("one.example", (10, "mx.one.example"))
    zone.host("mx.one.example", "192.0.2.2")
    with Sink() as sink:
        send(smtpd, "b@one.example", "C@One.Example")
        eventually(lambda: sink.letters, "the letter comes")
    letter, = sink.letters
    assert letter.sender.startswith("MAIL FROM:<a@example.test>")
    assert [r.partition(" ")[2].split(" ")[0] for r in letter.recipients] == [
        "TO:<b@one.example>", "TO:<C@one.example>"]
    assert letter.content.endswith(LETTER)
    assert b"Received: " in letter.content
