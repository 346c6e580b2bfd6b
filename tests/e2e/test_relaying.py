"""Whom smtpd takes mail for other hosts from, and VRFY and EXPN."""
import os

import pytest

import postern
from postern import Smtp, split_trace, wait_messages

RECIPIENTS = "/run/relay-recipients"


@pytest.fixture(scope="module")
def smtpd(daemons):
    postern.write(RECIPIENTS, "bob@backup.test\n@all.backup.test\n")
    os.chmod(RECIPIENTS, 0o644)
    return daemons("smtpd", "retry-schedule 1s\n"
                   "trusted-networks 127.0.0.2/32\n"
                   "relay-domains backup.test .backup.test\n"
                   "relay-recipients %s\nmax-messages 3\n" % RECIPIENTS)


#    recipient                      stranger       trusted
TABLE = [
    ("alice@example.test",          250, None,     250, None),
    ("unknown@example.test",        550, "5.1.1",  550, "5.1.1"),
    ("a@elsewhere.test",            550, "5.7.1",  250, None),
    ("a@sub.example.test",          550, "5.7.1",  250, None),
    ("a@[192.0.2.1]",               550, "5.7.1",  250, None),
    ("a@192.0.2.1",                 550, "5.7.1",  550, "5.1.2"),
    ("bob@backup.test",             250, None,     250, None),
    ("BOB@Backup.Test",             250, None,     250, None),
    ("eve@backup.test",             550, "5.1.1",  550, "5.1.1"),
    ("eve@all.backup.test",         250, None,     250, None),
    ("eve@sub.backup.test",         550, "5.1.1",  550, "5.1.1"),
    ("a@xbackup.test",              550, "5.7.1",  250, None),
    ("alice%elsewhere.test@example.test", 550, "5.1.1", 550, "5.1.1"),
    ("alice+x@example.test",        250, None,     250, None),
    ("unknown+x@example.test",      550, "5.1.1",  550, "5.1.1"),
]


@pytest.mark.parametrize("source,at", [("127.0.0.1", 0), ("127.0.0.2", 2),
                                       ("127.0.0.3", 0)])
def test_who_may_send_where(smtpd, source, at):
    with Smtp(smtpd, source=source) as smtp:
        smtp.expect("MAIL FROM:<a@example.test>", 250)
        for recipient, *expected in TABLE:
            code, status = expected[at:at + 2]
            reply = smtp.cmd("RCPT TO:<%s>" % recipient)
            assert reply.code == code, (recipient, reply)
            assert status is None or reply.status == status, reply
        smtp.expect("RSET", 250)
        smtp.quit()


def test_detail_is_kept(smtpd, users):
    user, = users(1)
    with Smtp(smtpd) as smtp:
        smtp.envelope("%s+list@example.test" % user)
        smtp.expect("DATA", 354)
        smtp.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
        assert smtp.reply().code == 250
    message, = wait_messages(user, 1)
    assert b"\nDelivered-To: %s+list@example.test\n" % user.encode() in message
    assert split_trace(message, b"\n")[1] == b"Subject: x\n\nx\n"


def test_nothing_is_told_to_strangers(smtpd):
    for source in ("127.0.0.1", "127.0.0.2"):
        with Smtp(smtpd, source=source) as smtp:
            replies = {smtp.expect("VRFY " + name, 252).text for name in (
                "alice", "unknown", "alice@example.test", "x@elsewhere.test")}
            assert len(replies) == 1
            smtp.expect("EXPN alice", 502)


def test_max_messages(smtpd, users):
    user, = users(1)
    with Smtp(smtpd) as smtp:
        for _ in range(3):
            assert smtp.mail(b"x\r\n", user).code == 250
        smtp.expect("MAIL FROM:<a@example.test>", 421)
        assert smtp.is_closed()
    with Smtp(smtpd) as smtp:
        assert smtp.mail(b"x\r\n", user).code == 250
    wait_messages(user, 4)
