"""What senders are told: failures, delays, successes; and who is told when
there is nobody to tell."""
import collections
import email
import os
import re
import smtplib
import threading
import time

import pytest

import dnsstub
import postern
from postern import eventually, maildir, message_files, messages, wait_messages
from sink import Sink

LETTER = (b"From: me@example.test\r\nSubject: hello\r\nX-Long: a\r\n b\r\n\r\n"
          b"the body\r\n--boundary\r\n")
REFUSED = {"RCPT": "550-5.1.1 nobody of\r\n550-5.1.1 that name\x01\x1b\r\n"
           "550 5.1.1 here"}


@pytest.fixture(scope="module")
def zone():
    zone = dnsstub.Zone()
    zone.host("sink.example", "192.0.2.2")
    zone.mail("far.example", (10, "sink.example"))
    return zone


@pytest.fixture(scope="module")
def conf(host, zone):
    server = dnsstub.Server(zone)
    yield ("relay-timeout 5s\ntrusted-networks 127.0.0.0/8\n"
           "dns-server %s@%d\n" % (server.address, server.port))
    server.close()


@pytest.fixture(scope="module")
def smtpd(daemons, conf):
    return daemons("smtpd", "retry-schedule 1s\n" + conf)


@pytest.fixture
def aliases(host):
    yield lambda text: postern.write("/etc/aliases", text)
    postern.write("/etc/aliases", "")


def send(smtpd, sender, *recipients, letter=LETTER, options=(), of_each=()):
    with smtplib.SMTP("127.0.0.1", smtpd.port) as client:
        assert client.sendmail(sender, recipients, letter, options,
                               of_each) == {}


class Report:
    """A delivery status notification, as Python's email package sees it."""

    def __init__(self, text):
        self.text = text
        assert all(len(line) < 999 for line in text.split(b"\n"))
        self.message = m = email.message_from_bytes(text)
        assert m["Return-Path"] == "<>"
        assert m["From"] == "Mail Delivery System <MAILER-DAEMON@mx.example.test>"
        assert m["Auto-Submitted"] == "auto-replied"
        assert m["Message-ID"] and m["Date"]
        assert email.utils.parsedate_to_datetime(m["Date"])
        assert m.get_content_type() == "multipart/report"
        assert m.get_param("report-type") == "delivery-status"
        self.person, self.status, self.returned = m.get_payload()
        for part in m.walk():
            assert not part.defects
        assert self.person.get_content_type() == "text/plain"
        assert self.status.get_content_type() in (
            "message/delivery-status", "message/global-delivery-status")
        if self.status.get_content_type() == "message/delivery-status":
            groups = self.status.get_payload()
        else:		# which this package doesn't know
            payload = self.status.get_payload()
            if not isinstance(payload, str):
                payload = payload[0].as_string()
            groups = [email.message_from_string(g)
                      for g in payload.strip().split("\n\n")]
        self.fields, self.recipients = groups[0], groups[1:]
        assert self.fields["Reporting-MTA"] == "dns; mx.example.test"
        assert self.fields["Arrival-Date"]

    def words(self):
        text = self.person.get_payload(decode=True)
        assert all(len(line) <= 78 for line in text.split(b"\n"))
        return b" ".join(text.split()).decode()


def told(user, count=1, seconds=None):
    return [Report(m) for m in wait_messages(user, count, seconds)]


def test_failure(smtpd, user):
    with Sink(**REFUSED):
        send(smtpd, user + "@example.test", "b@far.example", "c@far.example")
        report, = told(user)
    assert report.message["To"] == "<%s@example.test>" % user
    assert report.fields["Original-Envelope-Id"] is None
    assert [r["Final-Recipient"] for r in report.recipients] == [
        "rfc822; b@far.example", "rfc822; c@far.example"]
    for each in report.recipients:
        assert each["Action"] == "failed"
        assert each["Status"] == "5.1.1"
        assert each["Remote-MTA"] == "dns; sink.example"
        code = each["Diagnostic-Code"]
        assert code.startswith("smtp; 550 5.1.1 nobody of that name")
        assert code.isprintable() and code.endswith("here")
        assert each["Original-Recipient"] is None
        assert email.utils.parsedate_to_datetime(each["Last-Attempt-Date"])
    assert "<b@far.example> host sink.example said: 550 5.1.1" in report.words()
    # What comes back is the header.
    assert report.returned.get_content_type() == "text/rfc822-headers"
    back = report.returned.get_payload()
    assert "Subject: hello\n" in back and "Received: from" in back
    assert b"the body" not in report.text
    eventually(lambda: os.listdir(smtpd.spool + "/queue") == [], "an end")
    assert os.listdir(smtpd.spool + "/held") == []
    assert os.listdir(smtpd.spool + "/failed") == []


def test_ret_envid_orcpt(smtpd, user):
    with Sink(**REFUSED):
        send(smtpd, user + "@example.test", "b@far.example", options=[
            "RET=FULL", "ENVID=id+2B1"], of_each=[
            "NOTIFY=FAILURE", "ORCPT=rfc822;B+2Bb@Far.example"])
        report, = told(user)
    assert report.fields["Original-Envelope-Id"] == "id+1"
    assert report.recipients[0]["Original-Recipient"] == (
        "rfc822;B+b@Far.example")
    assert report.returned.get_content_type() == "message/rfc822"
    back = report.returned.get_payload()[0].as_bytes()
    assert back.endswith(LETTER.replace(b"\r\n", b"\n").partition(b"\n")[2])


def test_large_and_8bit_letters(smtpd, user):
    """Too large a letter comes back as its header, 8-bit text as it was."""
    large = LETTER + b"x" * 70 + (b"y" * 70 + b"\r\n") * 5000
    eight = LETTER + "gr\u00fc\u00df".encode() + b"\r\n"
    sender = user + "@example.test"
    with Sink(**REFUSED):
        send(smtpd, sender, "b@far.example", letter=large,
             options=["RET=FULL"])
        report, = told(user)
        assert report.returned.get_content_type() == "text/rfc822-headers"
        postern.clear(user)
        send(smtpd, sender, "b@far.example", letter=eight,
             options=["RET=FULL", "BODY=8BITMIME"])
        report, = told(user)
        assert report.message["Content-Transfer-Encoding"] == "8bit"
        assert report.returned["Content-Transfer-Encoding"] == "8bit"
        assert "gr\u00fc\u00df".encode() in report.text
        # A header that should not have been: the report is plain anyway.
        postern.clear(user)
        send(smtpd, sender, "b@far.example",
             letter=b"X-Odd: \xff\xfe\r\n" + eight)
        report, = told(user)
        assert report.text.isascii() and b"X-Odd: ??" in report.text


def test_notify(smtpd, users):
    """Who is told of what; a host that has DSN tells of the rest itself."""
    sender, here = users(2)
    address = sender + "@example.test"
    smtpd.forget_log()
    with Sink(**REFUSED):
        for what in ("NEVER", "SUCCESS", "DELAY"):
            send(smtpd, address, "b@far.example", of_each=["NOTIFY=" + what])
            smtpd.wait_log(r"event=failed .*to=b@far\.example")
            smtpd.forget_log()
    # Local success.
    send(smtpd, address, here + "@example.test", of_each=["NOTIFY=SUCCESS"])
    report, = told(sender)
    assert report.recipients[0]["Action"] == "delivered"
    assert report.recipients[0]["Status"].startswith("2.")
    assert report.recipients[0]["Final-Recipient"] == (
        "rfc822; %s@example.test" % here)
    assert report.returned.get_content_type() == "text/rfc822-headers"
    postern.clear(sender)
    # Relayed to one without DSN, and to one with it.
    with Sink() as sink:
        send(smtpd, address, "b@far.example", options=["RET=HDRS",
             "ENVID=abc"], of_each=["NOTIFY=SUCCESS,FAILURE"])
        eventually(lambda: sink.letters, "it comes")
        assert "RET=HDRS ENVID=abc" in sink.letters[0].sender
        assert "NOTIFY=SUCCESS,FAILURE" in sink.letters[0].recipients[0]
    assert message_files(sender) == []
    with Sink() as sink:
        sink.extensions = ("PIPELINING", "8BITMIME")
        # A new connection: the old sink is gone.
        send(smtpd, address, "b@far.example", of_each=["NOTIFY=SUCCESS"])
        report, = told(sender, seconds=60)
    assert report.recipients[0]["Action"] == "relayed"
    assert len(sink.letters) == 1


@pytest.fixture
def forward(users):
    """Sets ~/.forward of an account of its own, which it gives back."""
    user, = users(1)
    path = postern.home(user) + "/.forward"

    def forward(text):
        postern.write(path, text, 0o600)
        os.chown(path, *[os.stat(postern.home(user)).st_uid] * 2)
        return user
    yield forward
    os.unlink(path)


def test_success_of_what_goes_on(smtpd, users, aliases, forward):
    """RFC 3461 section 5.2.7: a list is where it arrives; one address more
    tells for itself; that there are several is told."""
    sender, member = users(2)
    address = sender + "@example.test"
    asked = ["NOTIFY=SUCCESS", "ORCPT=rfc822;x@y.example"]
    aliases("team: %s\nowner-team: %s\n" % (member, sender))
    send(smtpd, address, "team@example.test", of_each=asked)
    report, = told(sender)
    assert report.recipients[0]["Action"] == "delivered"
    assert report.recipients[0]["Final-Recipient"] == (
        "rfc822; team@example.test")
    postern.clear(sender)
    user = forward("b@far.example\n")
    with Sink(**REFUSED):
        send(smtpd, address, user + "@example.test")
        report, = told(sender)
        assert report.recipients[0]["Original-Recipient"] == (
            "rfc822;%s@example.test" % user)
    postern.clear(sender)
    with Sink() as sink:
        send(smtpd, address, user + "@example.test", of_each=asked)
        eventually(lambda: sink.letters, "it comes")
        assert sink.letters[0].recipients == [
            "RCPT TO:<b@far.example> " + " ".join(asked)]
        eventually(lambda: os.listdir(smtpd.spool + "/queue") == [], "an end")
        assert message_files(sender) == []
        forward("b@far.example, %s\n" % member)
        send(smtpd, address, user + "@example.test", of_each=asked)
        report, = told(sender)
        assert report.recipients[0]["Action"] == "expanded"
        eventually(lambda: len(sink.letters) == 2, "it comes")
        assert "NOTIFY=NEVER" in sink.letters[1].recipients[0]


def test_unknown_after_expansion(smtpd, user, aliases):
    """The name that was written to, not what it leads to."""
    aliases("team: nosuchaccount\n")
    send(smtpd, user + "@example.test", "team@example.test")
    report, = told(user)
    assert report.recipients[0]["Final-Recipient"] == (
        "rfc822; team@example.test")
    assert report.recipients[0]["Action"] == "failed"


def test_no_sender(smtpd, users, aliases):
    """Nothing goes to nobody; postmaster is told."""
    master, = users(1)
    aliases("postmaster: %s\n" % master)
    with Sink(**REFUSED) as sink:
        send(smtpd, "", "b@far.example", options=["RET=FULL"])
        report, = told(master)
        assert len(sink.sessions) == 1
    assert report.message["To"] == "<postmaster@mx.example.test>"
    assert report.recipients[0]["Final-Recipient"] == "rfc822; b@far.example"
    assert report.returned.get_content_type() == "text/rfc822-headers"


def test_double_bounce(smtpd, users, aliases):
    """The sender's host refuses what it is told: once more, to postmaster."""
    master, = users(1)
    aliases("postmaster: %s\n" % master)
    with Sink(**REFUSED) as sink:
        send(smtpd, "a@far.example", "b@far.example")
        report, = told(master)
        senders = [c for s in sink.sessions for c in s.commands
                   if c.startswith("MAIL")]
    assert [s.split()[1] for s in senders] == ["FROM:<a@far.example>",
                                               "FROM:<>"]
    assert report.recipients[0]["Final-Recipient"] == "rfc822; a@far.example"


@pytest.mark.may_crash
def test_nobody_at_all(smtpd, aliases):
    """Postmaster can't be told: the end of it, and it is kept."""
    aliases("postmaster: nosuchaccount\n")
    with Sink(**REFUSED):
        send(smtpd, "", "b@far.example")
        line, = smtpd.wait_log("event=undeliverable")
        eventually(lambda: os.listdir(smtpd.spool + "/queue") == [], "an end")
    kept = os.listdir(smtpd.spool + "/failed")
    assert kept == [re.search(r" id=(\S+)", line).group(1)]
    os.unlink(smtpd.spool + "/failed/" + kept[0])


def test_utf8(smtpd, user):
    """RFC 6533: told in UTF-8 of who is written in it."""
    sender = user + "@example.test"
    letter = "Subject: Gr\u00fc\u00dfe\r\n\r\ntext\r\n".encode()
    with Sink(**REFUSED):
        with smtplib.SMTP("127.0.0.1", smtpd.port) as client:
            client.ehlo()
            client.command_encoding = "utf-8"
            assert client.mail(sender, ["SMTPUTF8", "BODY=8BITMIME"])[0] == 250
            assert client.rcpt("j\u00f6rg@far.example")[0] == 250
            assert client.data(letter)[0] == 250
        report, = told(user)
    assert report.status.get_content_type() == "message/global-delivery-status"
    assert "Final-Recipient: utf-8; j\u00f6rg@far.example\n".encode() in (
        report.text)
    assert report.returned.get_content_type() == "message/global-headers"
    assert "Subject: Gr\u00fc\u00dfe".encode() in report.text


def test_delay_then_failure(daemons, conf, users):
    """Late: told once.  Given up: told again, with what the trouble was."""
    sender, full = users(2)
    smtpd = daemons("smtpd", "retry-schedule 1s\ngive-up-after 6s\n"
                    "delay-notice 2s\n" + conf)
    path = maildir(full)
    with open(path, "wb"):
        pass
    os.chmod(path, 0o000)
    send(smtpd, sender + "@example.test", full + "@example.test",
         options=["RET=FULL"])
    late, failed = sorted(told(sender, 2, 60),
                          key=lambda r: r.recipients[0]["Action"])
    os.unlink(path)
    assert late.recipients[0]["Action"] == "delayed"
    assert late.recipients[0]["Status"].startswith("4.")
    assert email.utils.parsedate_to_datetime(
        late.recipients[0]["Will-Retry-Until"])
    assert late.returned.get_content_type() == "text/rfc822-headers"
    assert failed.recipients[0]["Action"] == "failed"
    assert failed.recipients[0]["Status"].startswith("5.")
    assert failed.returned.get_content_type() == "message/rfc822"
    time.sleep(1.5)
    assert len(message_files(sender)) == 2


COUNT = 40 if postern.SANITIZED else 150


@pytest.mark.may_crash
def test_kill_9(daemons, conf, users):
    """The queue is killed again and again: each is told exactly once."""
    sender, = users(1)
    smtpd = daemons("smtpd", "retry-schedule 1s\nmax-messages 1000\n" + conf)
    is_over = threading.Event()

    def killer():
        while not is_over.wait(0.2):
            for process in smtpd.processes("smtpd-queue"):
                postern.kill(process.pid)
    with Sink(**REFUSED):
        with smtplib.SMTP("127.0.0.1", smtpd.port) as client:
            for number in range(COUNT):
                client.sendmail(sender + "@example.test", ["b@far.example"],
                                b"Subject: marker-%d-\r\n\r\nx\r\n" % number)
                if number == COUNT // 3:
                    thread = threading.Thread(target=killer)
                    thread.start()
        time.sleep(5)
        is_over.set()
        thread.join()
        eventually(lambda: len(message_files(sender)) >= COUNT
                   and os.listdir(smtpd.spool + "/queue") == [],
                   "all are told", 90)
    found = collections.Counter(
        m for text in messages(sender)
        for m in re.findall(rb"^Subject: (marker-\d+-)", text, re.M))
    assert len(found) == COUNT
    assert [m for m, n in found.items() if n > 1] == []
    assert os.listdir(smtpd.spool + "/failed") == []
