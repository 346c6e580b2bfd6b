"""SRS: what is forwarded has a sender of ours, and his bounces come back."""
import os
import re

import pytest

import postern
from postern import BASE, Smtp, eventually, wait_messages
from sink import Sink
from test_forward import forward

pytestmark = pytest.mark.may_crash
LETTER = b"Subject: to be forwarded\r\n\r\nHello.\r\n"
SENDER = "Alice@far.example"


def secret_file(name, *secrets):
    path = "%s/%s" % (BASE, name)
    postern.write(path, "# ours\n" + "".join(s + "\n" for s in secrets))
    os.chmod(path, 0o600)
    return path


ROUTES = ("retry-schedule 1s\nroute .example smtp://192.0.2.2\n")


@pytest.fixture(scope="module")
def smtpd(daemons):
    return daemons("smtpd", ROUTES + "trusted-networks none\n"
                   "srs-domain srs.example\nsrs-secret %s\n"
                   % secret_file("srs", "the secret of this host"))


@pytest.fixture
def bob(users):
    name, = users(1)
    yield name
    forward(name, None)
    postern.write("/etc/aliases", "")


def send(smtpd, *recipients, sender=SENDER):
    with Smtp(smtpd) as smtp:
        assert smtp.mail(LETTER, *recipients, sender=sender).code == 250
        smtp.quit()


def comes(sink, count=1):
    eventually(lambda: len(sink.letters) >= count, "it comes elsewhere")
    return sink.letters


def sender_of(letter):
    return re.match(r"MAIL FROM:<([^>]*)>", letter.sender).group(1)


def forwarded_all(smtpd, bob, sender=SENDER):
    """What the next hosts are told, by ~/.forward and by an alias."""
    forward(bob, "me@else.example\n")
    postern.write("/etc/aliases", "away: you@other.example\n")
    found = set()
    with Sink() as sink:
        for recipient in bob, "away":
            send(smtpd, recipient, sender=sender)
        for letter in comes(sink, 2):
            found.add(sender_of(letter))
    return found


def forwarded(smtpd, bob, sender=SENDER):
    """The same by both."""
    path, = forwarded_all(smtpd, bob, sender)
    return path


def test_there_and_back(smtpd, bob):
    path = forwarded(smtpd, bob)
    assert re.fullmatch(r"SRS0=[A-Za-z0-9+/]{6}=[A-Z2-7]{2}=far\.example="
                        r"Alice@srs\.example", path)
    with Sink() as sink:
        send(smtpd, path, path.lower(), sender="")
        letter, = comes(sink)
    assert sender_of(letter) == ""
    assert sorted(r.lower() for r in letter.recipients)[0].startswith(
        "rcpt to:<alice@far.example>")
    assert not smtpd.log("the secret")


def test_nothing_but_bounces(smtpd, bob):
    """No relay to anybody, and none with a sender to him."""
    path = forwarded(smtpd, bob)
    local, _, domain = path.partition("@")
    bad = local[:5] + ("A" if local[5] != "A" else "B") + local[6:]
    old = re.sub(r"^(.{12})..", r"\1AA", local)
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<>", 250)
        for name in (bad, old, "SRS0=x", "SRS0=a=b=far.example=alice",
                     local.replace("Alice", "carol"), bob, "nobody"):
            assert smtp.cmd("RCPT TO:<%s@%s>" % (name, domain)).code == 550
        assert smtp.cmd("RCPT TO:<%s@far.example>" % local).code == 550
        smtp.expect("RCPT TO:<postmaster@%s>" % domain, 250)
        smtp.expect("RSET", 250)
        smtp.expect("MAIL FROM:<carol@far.example>", 250)
        reply = smtp.cmd("RCPT TO:<%s>" % path)
        assert reply.code == 550 and "5.7.1" in reply.lines[0]


def test_who_keeps_his_own(smtpd, bob):
    for sender in ("", "%s@example.test" % bob, "x" * 45 + "@far.example",
                   "SRS0=abcd=AB=far.example=alice@srs.example"):
        assert forwarded(smtpd, bob, sender) == sender


def test_of_another_forwarder(smtpd, bob):
    path = forwarded(smtpd, bob, "SRS0=abcd=AB=far.example=al@near.example")
    assert re.fullmatch(r"SRS1=[^=]{6}=near\.example==abcd=AB=far\.example="
                        r"al@srs\.example", path)
    with Sink() as sink:
        send(smtpd, path, sender="")
        letter, = comes(sink)
    assert letter.recipients[0].startswith(
        "RCPT TO:<SRS0=abcd=AB=far.example=al@near.example>")


def test_bounce_of_ours(smtpd, bob):
    """The next host refuses: the sender himself is told, at once."""
    forward(bob, "me@else.example\n")
    with Sink(RCPT=lambda sink, session, line:
              "550 5.1.1 no" if "me@else" in line else None) as sink:
        send(smtpd, bob)
        letter, = comes(sink)
    assert sender_of(letter) == ""
    assert letter.recipients[0].startswith("RCPT TO:<Alice@far.example>")


def test_two_senders_of_one_letter(daemons, bob):
    """Whom he wrote to himself sees his own address; a domain that is ours."""
    smtpd = daemons("smtpd", ROUTES + "trusted-networks 0.0.0.0/0\n"
                    "domains example.test\nsrs-domain example.test\n"
                    "srs-secret %s\n" % secret_file("srs2", "x" * 16))
    postern.write("/etc/aliases", "away: you@else.example\n")
    with Sink() as sink:
        send(smtpd, "him@else.example", "away", bob)
        letters = comes(sink, 2)
        wait_messages(bob, 1)
    told = {sender_of(l): l.recipients for l in letters}
    assert len(told) == 2
    assert told.pop(SENDER)[0].startswith("RCPT TO:<him@else.example>")
    path, = told
    assert path.startswith("SRS0=") and path.endswith("@example.test")
    with Sink() as sink:
        send(smtpd, path, sender="")
        letter, = comes(sink)
    assert letter.recipients[0].startswith("RCPT TO:<Alice@far.example>")


def test_new_secret(daemons, bob):
    """A new one signs; what the old one has signed comes back."""
    conf = (ROUTES + "trusted-networks none\nsrs-domain srs.example\n"
            "srs-secret %s\n")
    smtpd = daemons("smtpd", conf % secret_file("srs3", "o" * 16))
    path = forwarded(smtpd, bob)
    secret_file("srs3", "n" * 16, "o" * 16)
    smtpd.reload()
    # One of the two may go out before it is the new one's turn.
    eventually(lambda: path not in forwarded_all(smtpd, bob),
               "the new one signs")
    with Sink() as sink:
        send(smtpd, path, sender="")
        comes(sink)
