"""Real programs in, real programs out: every octet below the trace the same.

Messages: Debian's samples (libpython3.11-testsuite, spamassassin) as far as
they are valid SMTP content, and four that are hard in their own way.
"""
import glob
import os
import poplib
import smtplib
import subprocess

import pytest

import postern
from postern import password, put_message, split_trace

SAMPLES = os.path.join(postern.BUILD, "packages")
PATTERNS = (
    "libpython3.11-testsuite/usr/lib/python3.*/test/test_email/data/*.txt",
    "spamassassin/usr/share/doc/spamassassin/examples/sample-*.txt",
)


def normal(content):
    """CR LF line ends and a final one, as any SMTP client sends it.

    One of the samples has no body: the end of its header would be added.
    Another has no header: the empty line before its body would be.
    """
    content = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    first = content.partition(b"\r\n")[0]
    if first and b":" not in first and not first.startswith(b"From "):
        content = b"\r\n" + content
    return content if b"\r\n\r\n" in content else content + b"\r\n"


def is_valid(content):
    """Can it be SMTP content? (RFC 5321, 2.3.8 and 4.1.1.4)"""
    return b"\0" not in content and b"\r" not in content.replace(b"\r\n", b"")


def samples():
    found = {}
    for pattern in PATTERNS:
        for path in sorted(glob.glob(os.path.join(SAMPLES, pattern))):
            with open(path, "rb") as file:
                content = normal(file.read())
            if is_valid(content):
                found[os.path.basename(path)] = content
    return found


def hard_ones():
    head = b"From: a@example.test\r\nSubject: %s\r\n\r\n"
    line = b"".join(b"%c" % (33 + n % 94) for n in range(76)) + b"\r\n"
    return {
        "30 MB": head % b"30 MB" + line * (30 * 1024 * 1024 // len(line)),
        "100,000 lines": head % b"one octet a line" + b"x\r\n" * 100000,
        "dots": b".From: a@example.test\r\n".replace(b".From", b"From")
                + b"Subject: dots\r\n\r\n"
                + b".\r\n..\r\n.x\r\n...y\r\n. \r\n" * 1000 + b".\r\n",
        "8-bit": head % b"8-bit"
                 + "Grüße aus Köln — 你好 — здравствуй\r\n".encode() * 100
                 + bytes(range(128, 256)) + b"\r\n",
    }


@pytest.fixture(scope="module")
def letters(host):
    found = samples()
    if not found:
        pytest.skip("Debian's sample messages could not be fetched")
    assert len(found) >= 40
    found.update(hard_ones())
    return found


@pytest.fixture(scope="module")
def work(host):
    path = postern.BASE + "/roundtrip"
    os.makedirs(path, exist_ok=True)
    return path


def run(command, **how):
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300,
                          env={"PATH": "/usr/bin:/bin", "HOME": "/run",
                               "LC_ALL": "C"}, check=False, **how)
    assert done.returncode == 0, (command, done.stdout[-2000:])
    return done.stdout


# In: each sends all letters to one account

def in_smtplib(port, user, letters, work):
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        for content in letters.values():
            smtp.sendmail("sender@example.test", user + "@example.test",
                          content, ["BODY=8BITMIME"])


def in_curl(port, user, letters, work):
    for content in letters.values():
        postern.write(work + "/curl", content)
        run(["curl", "-sS", "smtp://127.0.0.1:%d/client.example.test" % port,
             "--mail-from", "sender@example.test",
             "--mail-rcpt", user + "@example.test",
             "--upload-file", work + "/curl"])


def in_msmtp(port, user, letters, work):
    postern.write(work + "/msmtprc", (
        "account default\nhost 127.0.0.1\nport %d\nfrom sender@example.test\n"
        "auth off\ntls off\nset_date_header off\nset_msgid_header off\n"
        "set_from_header off\nundisclosed_recipients off\n"
        "remove_bcc_headers off\n" % port), 0o600)
    for content in letters.values():
        run(["msmtp", "-C", work + "/msmtprc", user + "@example.test"],
            input=content.replace(b"\r\n", b"\n"))


def in_swaks(port, user, letters, work):
    for content in letters.values():
        postern.write(work + "/swaks", postern.stuff(content))
        run(["swaks", "--server", "127.0.0.1", "--port", str(port),
             "--from", "sender@example.test", "--to", user + "@example.test",
             "--ehlo", "client.example.test", "--no-data-fixup",
             "--no-strip-from", "--suppress-data", "--silent", "3",
             "--data", "@" + work + "/swaks"])


# Out: each collects all, and leaves them

def out_poplib(port, user, count, work):
    box = poplib.POP3("127.0.0.1", port, timeout=postern.PATIENCE)
    box.user(user)
    box.pass_(password(user))
    assert box.stat()[0] == count
    found = [b"".join(line + b"\r\n" for line in box.retr(n)[1])
             for n in range(1, count + 1)]
    box.quit()
    return found


def out_curl(port, user, count, work):
    postern.write(work + "/curlrc", 'user = "%s:%s"\n' % (
        user, password(user)), 0o600)
    run(["curl", "-sS", "-K", work + "/curlrc",
         "pop3://127.0.0.1:%d/[1-%d]" % (port, count),
         "-o", work + "/got-#1"])
    return take_files(work + "/got-*", "\r\n")


def out_mpop(port, user, count, work):
    maildir = work + "/mpop"
    for name in ("", "/new", "/cur", "/tmp"):
        os.makedirs(maildir + name, exist_ok=True)
    postern.write(work + "/mpoprc", (
        "account default\nhost 127.0.0.1\nport %d\nuser %s\npassword %s\n"
        "auth user\ntls off\nkeep on\nreceived_header off\n"
        "delivery maildir %s\nuidls_file %s\n" % (
            port, user, password(user), maildir,
            work + "/uidls-" + user)), 0o600)
    run(["mpop", "-C", work + "/mpoprc"])
    return take_files(maildir + "/new/*", "\n")


def out_fetchmail(port, user, count, work):
    os.makedirs(work + "/fetched", exist_ok=True)
    postern.write(work + "/keep", (
        '#!/bin/sh\nexec cat >"$(mktemp %s/fetched/XXXXXX)"\n' % work), 0o755)
    postern.write(work + "/fetchmailrc", (
        'set no syslog\nset invisible\nset idfile "%s/fetchids"\n'
        'poll localhost protocol POP3 service %d no dns bad-header accept\n'
        'user "%s" password "%s" keep fetchall no rewrite no forcecr\n'
        'no dropstatus pass8bits sslproto "" mda "%s/keep"\n' % (
            work, port, user, password(user), work)), 0o600)
    run(["fetchmail", "--nosyslog", "--nodetach", "--pidfile",
         work + "/fetchmail.pid", "-f", work + "/fetchmailrc"])
    return take_files(work + "/fetched/*", "\n")


def take_files(pattern, end):
    found = []
    for path in sorted(glob.glob(pattern)):
        with open(path, "rb") as file:
            content = file.read()
        if end == "\n":
            assert b"\r" not in content, path
            content = content.replace(b"\n", b"\r\n")
        found.append(content)
        os.unlink(path)
    return found


IN = {"smtplib": in_smtplib, "curl": in_curl, "msmtp": in_msmtp,
      "swaks": in_swaks}
OUT = {"poplib": out_poplib, "curl": out_curl, "mpop": out_mpop,
       "fetchmail": out_fetchmail}


@pytest.fixture(scope="module", params=sorted(IN))
def filled(request, smtpd, letters, work):
    """An account that one program has sent all letters to."""
    user = "user%02d" % sorted(IN).index(request.param)
    postern.clear(user)
    IN[request.param](smtpd.port, user, letters, work)
    postern.wait_messages(user, len(letters))
    yield user
    postern.clear(user)


def as_fetchmail_keeps(content):
    """fetchmail itself drops an mbox line and ends an unended header."""
    if content.startswith(b"From "):
        content = content[content.index(b"\r\n") + 2:]
    return content if b"\r\n\r\n" in content else content + b"\r\n"


@pytest.mark.parametrize("program", sorted(OUT))
def test_octet_for_octet(pop3d, filled, letters, work, program):
    got = OUT[program](pop3d.port, filled, len(letters), work)
    assert len(got) == len(letters)
    keeps = as_fetchmail_keeps if program == "fetchmail" else lambda c: c
    contents = {}
    for message in got:
        trace, content = split_trace(message)
        assert all(name in trace for name in (
            b"Return-Path: <sender@example.test>\r\n", b"Delivered-To: ",
            b"Received: from ")), trace
        contents.setdefault(content, []).append(trace)
    wrong = [name for name, content in letters.items()
             if keeps(content) not in contents]
    assert not wrong, "%s: not as sent: %s" % (program, wrong)
    assert sum(map(len, contents.values())) == len(letters)


def test_uidls_of_real_programs(pop3d, smtpd, user, work):
    """A second run of mpop collects only what is new, whatever has moved."""
    for n in range(3):
        put_message(user, b"Subject: %d\n\nx\n" % n)
    assert len(out_mpop(pop3d.port, user, 3, work)) == 3
    for path in postern.message_files(user):
        os.rename(path, path.replace("/new/", "/cur/") + ":2,S")
    put_message(user, b"Subject: new\n\nx\n")
    got = out_mpop(pop3d.port, user, 1, work)
    assert [m.split(b"\r\n")[0] for m in got] == [b"Subject: new"]


def test_fetchmail_deletes(pop3d, user, work):
    """What a program has collected and deleted is gone, the rest is not."""
    for n in range(5):
        put_message(user, b"Subject: %d\n\nx\n" % n)
    box = poplib.POP3("127.0.0.1", pop3d.port, timeout=postern.PATIENCE)
    box.user(user)
    box.pass_(password(user))
    for n in (1, 3, 5):
        box.retr(n)
        box.dele(n)
    box.quit()
    assert sorted(m[9:10] for m in postern.messages(user)) == [b"1", b"3"]
