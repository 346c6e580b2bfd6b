"""smtpd: paths and parameters, and which recipients are taken."""
import os
import time

import pytest

import postern
from letters import LETTER, as_stored, delivered
from postern import Smtp, stuff

LONG_DOMAIN = ".".join(["d" * 60] * 3) + ".test"
MAIL_GOOD = [
    "<>", "<a@b>", "<sender@example.test>", "<a.b.c@example.test>",
    "<\"quoted local\"@example.test>", "<\"a\\\"b\"@example.test>",
    "<\"\"@example.test>", "<a@[192.0.2.1]>", "<a@[IPv6:2001:db8::1]>",
    "<@relay.test:a@example.test>", "<@r1.test,@r2.test:a@example.test>",
    "<!#$%&'*+-/=?^_`{|}~@example.test>", "<" + "x" * 64 + "@example.test>",
    "<" + "x" * 241 + "@example.test>",
    "<a@" + LONG_DOMAIN + ">", " <a@example.test>", "<A@EXAMPLE.TEST>",
    "<a@example.test> SIZE=100", "<a@example.test> BODY=8BITMIME",
    "<a@example.test> BODY=7BIT size=0", "<a@example.test> body=8bitmime",
    "<x@xn--bcher-kva.test>", "<1@2>",
]
MAIL_BAD = [
    "", "a@example.test", "<a@example.test", "a@example.test>", "<a@>", "<@b>",
    "<a@b@c>", "<.a@example.test>", "<a.@example.test>", "<a..b@example.test>",
    "<a b@example.test>", "<a@example..test>", "<a@.test>", "<a@-b.test>",
    "<a@b-.test>", "<a@ex_ample!.test>", "<\"a@example.test>", "<a\"@b>",
    "<a@[1.2.3]>", "<a@[1.2.3.256]>", "<a@[IPv6:zz]>", "<a@[192.0.2.1>",
    "<a@[192.0.2.1]x>", "<" + "x" * 242 + "@example.test>",
    "<a@" + "d" * 64 + ".test>", "<a@" + ".".join(["d" * 60] * 5) + ">",
    "<\xe4@example.test>", "<a@\xe4.test>", "<a\x01b@example.test>",
    "<<a@example.test>>", "<a@example.test>>", "<a@example.test>x",
    "<a@example.test> SIZE=", "<a@example.test> SIZE=x",
    "<a@example.test> SIZE=-1", "<a@example.test> SIZE",
    "<a@example.test> SIZE=1 SIZE=2", "<a@example.test> BODY=BINARY",
    "<a@example.test> BODY", "<a@example.test> BODY=8BITMIME BODY=7BIT",
    "<a@example.test> UNKNOWN", "<a@example.test> UNKNOWN=1",
    "<a@example.test> RET=ALL", "<a@example.test> AUTH=<>",
    "<a@example.test> =1", "<a@example.test> SIZE==1", "<a@example.test> \xff",
    "<postmaster>", "<a>", "<@a,@b>", "<@a:>", "<a@example.test:25>",
    "<a@example.test> SIZE=99999999999999999999999999", "< a@example.test>",
    "<a@example.test >", "<a@example.test\t>", "<\"a\"b@example.test>",
]


def test_sender_grammar(smtpd):
    for path in MAIL_GOOD:
        with Smtp(smtpd) as smtp:
            assert smtp.cmd("MAIL FROM:" + path).code == 250, path
            smtp.expect("RCPT TO:<alice@example.test>", 250)


def test_C13_sender_grammar_refused(smtpd):
    """C13: what is no path or parameter is refused, and changes nothing."""
    for path in MAIL_BAD:
        with Smtp(smtpd) as smtp:
            reply = smtp.cmd("MAIL FROM:" + path)
            assert reply.code in (501, 553, 555, 500, 552, 504), (path, reply)
            smtp.expect("RCPT TO:<alice@example.test>", 503)
            smtp.expect("MAIL FROM:<a@example.test>", 250)


def test_parameters_need_ehlo(smtpd):
    with Smtp(smtpd, "HELO x.example") as smtp:
        smtp.expect("MAIL FROM:<a@example.test> SIZE=1", 501, 503, 555)
        smtp.expect("MAIL FROM:<a@example.test>", 250)


RCPT_GOOD = [
    "<alice@example.test>", "<ALICE@Example.TEST>", "<alice@localhost>",
    "<alice@mx.example.test>", "<\"alice\"@example.test>",
    "<\"al\\ice\"@example.test>", "<@relay.test,@r2.test:alice@example.test>",
    " <alice@example.test>",
]
RCPT_UNKNOWN = [
    "<unknown@example.test>", "<alice.@example.test>", "<bob smith>",
    "<nobody-here@localhost>", "<\"alice bob\"@example.test>",
    "<\"\"@example.test>", "<alic@example.test>", "<alicee@example.test>",
    "<../alice@example.test>", "<\"/etc/passwd\"@example.test>",
    "<\"|/bin/true\"@example.test>", "<:include:/etc/passwd@example.test>",
    "<_postern@example.test>", "<daemon@example.test>",
    "<lowly@example.test>", "<none@example.test>", "<toor@example.test>",
]
RCPT_RELAY = [
    "<a@elsewhere.test>", "<alice@sub.example.test>", "<alice@[192.0.2.1]>",
    "<alice%elsewhere.test@elsewhere.test>", "<a@example.tes>",
    "<a@xexample.test>", "<@example.test:a@elsewhere.test>",
]
RCPT_BAD = [
    "", "<>", "<alice", "alice@example.test", "<alice@>", "<@example.test>",
    "<alice@example.test> NOTIFY=SOMETIMES", "<alice@example.test> X",
    "<\xe4@example.test>", "<alice@example.test>x", "<a@b@example.test>",
    "<alice@example.test> <bob@example.test>",
]


def test_recipients_taken(smtpd):
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<a@example.test>", 250)
        for path in RCPT_GOOD:
            assert smtp.cmd("RCPT TO:" + path).code == 250, path


@pytest.mark.parametrize("paths,codes", [
    (RCPT_UNKNOWN, (550, 501, 553)), (RCPT_RELAY, (550, 551, 554)),
    (RCPT_BAD, (501, 553, 555, 550)),
], ids=("unknown", "relay", "syntax"))
def test_C26_recipients_refused(smtpd, paths, codes):
    """C26: refused at RCPT, so that no bounce is ever needed."""
    for path in paths:
        with Smtp(smtpd) as smtp:
            smtp.expect("MAIL FROM:<a@example.test>", 250)
            reply = smtp.cmd("RCPT TO:" + path)
            assert reply.code in codes, (path, reply)
            smtp.expect("DATA", 503, 554)


def test_status_of_refusals(smtpd):
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<a@example.test>", 250)
        reply = smtp.expect("RCPT TO:<unknown@example.test>", 550)
        assert reply.status == "5.1.1"
        reply = smtp.cmd("RCPT TO:<a@elsewhere.test>")
        assert reply.status in ("5.7.1", "5.7.0"), reply


def test_routes_are_ignored_percent_is_not_a_route(smtpd):
    """alice%elsewhere.test@example.test is a local name, and unknown."""
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<a@example.test>", 250)
        smtp.expect("RCPT TO:<alice%elsewhere.test@example.test>", 550)
        smtp.expect("RCPT TO:<elsewhere.test!alice@example.test>", 550)


@pytest.fixture
def aliases(host):
    def write(text):
        postern.write("/etc/aliases", text)
        time.sleep(0.05)
    yield write
    postern.write("/etc/aliases", "")


@pytest.mark.parametrize("address", (
    "postmaster", "Postmaster", "POSTMASTER", "postmaster@example.test",
    "postmaster@localhost"))
def test_postmaster(smtpd, user, aliases, address):
    """RFC 5321, 4.5.1: postmaster, also without a domain."""
    aliases("postmaster: root\nroot: %s\n" % user)
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<a@example.test>", 250)
        smtp.expect("RCPT TO:<%s>" % address, 250)
        smtp.expect("DATA", 354)
        smtp.send(stuff(LETTER))
        assert smtp.reply().code == 250
    assert delivered(user) == [as_stored(LETTER)]


def test_aliases(smtpd, users, aliases):
    """One name for several; a loop; each gets one copy."""
    one, two, three = users(3)
    aliases("# people\nteam: %s, %s\nboth: team, %s, %s\nloop: loop2\n"
            "loop2: loop\n" % (one, two, two, three))
    with Smtp(smtpd) as smtp:
        assert smtp.mail(LETTER, "both", one).code == 250
        smtp.quit()
    for user in (one, two, three):
        assert delivered(user) == [as_stored(LETTER)]


def test_root_is_never_delivered_as_uid_0(smtpd, aliases):
    """Mail for root without an alias: not lost, not silent, not as uid 0."""
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<a@example.test>", 250)
        reply = smtp.cmd("RCPT TO:<root@example.test>")
    assert reply.code in (250, 450, 451, 550), reply
    assert not os.path.exists("/root/Maildir")
