"""Real mail programs by TLS: there and back, and what they do not put up with.

Each program submits or collects by both ways to TLS, with a key of each kind
(sanitized, of another kind each time); then it is shown certificates that are expired, for another
name, or nobody's, and has to say so.
"""
import base64
import glob
import os
import pty
import re
import select
import subprocess
import time

import pytest

import postern
import tls
from postern import password, put_message, split_trace

HEADER = (b"From: %s@example.test\r\nTo: b@example.test\r\n"
          b"Subject: by %s\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
          b"Message-ID: <1@example.test>\r\n\r\n")
BODY = b"Hello.\r\n.\r\n..\r\n"
KINDS = sorted(tls.KINDS)


@pytest.fixture(scope="module")
def pop3d(daemons):
    return daemons("pop3d", tls.configuration(), also=("pop3s",))


@pytest.fixture(scope="module")
def smtpd(daemons):
    return daemons("smtpd", tls.configuration() + "retry-schedule 1s\n",
                   also=("submission", "submissions"))


@pytest.fixture(scope="module")
def work(host):
    path = postern.BASE + "/tls-clients"
    os.makedirs(path, exist_ok=True)
    return path


class Case:
    """Whom to reach, how, as whom; and a directory to do it in."""

    def __init__(self, daemon, service, kind, user, work, verify=True):
        self.port, self.service = daemon.ports[service], service
        self.kind, self.name = kind, tls.host_of(kind)
        self.user, self.verify = user, verify
        self.implicit = service in tls.IMPLICIT
        self.work = "%s/%s-%s-%d" % (work, user, service, time.monotonic_ns())
        os.makedirs(self.work)

    def file(self, name, text, mode=0o600):
        path = self.work + "/" + name
        postern.write(path, text, mode)
        return path

    def run(self, command, **how):
        """(exit status, output)."""
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=postern.PATIENCE, check=False, cwd=self.work, env={
                "PATH": "/usr/bin:/bin", "HOME": self.work, "LC_ALL": "C",
                "TERM": "vt100"}, **how)
        return done.returncode, done.stdout.decode("latin-1")

    def starttls(self):
        return "off" if self.implicit else "on"


# In: each submits one letter to the user itself; exit status and output

def in_curl(c, content):
    scheme = "smtps" if c.implicit else "smtp"
    config = 'user = "%s:%s"\n' % (c.user, password(c.user))
    return c.run(
        ["curl", "-sS", "-K", c.file("curlrc", config),
         *(() if c.verify else ("--insecure",)), "--cacert", tls.CA,
         "--ssl-reqd", "%s://%s:%d/client.example.test" % (
             scheme, c.name, c.port),
         "--mail-from", c.user + "@example.test", "--mail-rcpt",
         c.user + "@example.test", "--upload-file", c.file("mail", content)])


def in_msmtp(c, content):
    config = (
        "account default\nhost %s\nport %d\nfrom %s@example.test\nauth on\n"
        "user %s\npassword %s\ntls on\ntls_starttls %s\nset_date_header off\n"
        "set_msgid_header off\nset_from_header off\n"
        "undisclosed_recipients off\nremove_bcc_headers off\n" % (
            c.name, c.port, c.user, c.user, password(c.user),
            c.starttls()))
    config += "tls_trust_file %s\n" % tls.CA if c.verify \
        else "tls_trust_file\ntls_certcheck off\n"
    return c.run(["msmtp", "-C", c.file("msmtprc", config),
                  c.user + "@example.test"],
                 input=content.replace(b"\r\n", b"\n"))


def in_swaks(c, content):
    return c.run(
        ["swaks", "--server", c.name, "--port", str(c.port),
         "--tls-on-connect" if c.implicit else "--tls", "--tls-sni", c.name,
         *(("--tls-verify", "--tls-ca-path", tls.CA) if c.verify else ()),
         "--auth", "LOGIN" if c.implicit else "PLAIN", "--auth-user", c.user,
         "--auth-password", password(c.user),
         "--from", c.user + "@example.test", "--to", c.user + "@example.test",
         "--ehlo", "client.example.test", "--no-data-fixup",
         "--no-strip-from", "--data",
         "@" + c.file("mail", postern.stuff(content))])


def in_s_client(c, content):
    login = base64.b64encode(("\0%s\0%s" % (
        c.user, password(c.user))).encode())
    dialogue = [b"EHLO client.example.test\r\n", b"AUTH PLAIN %s\r\n" % login,
                b"MAIL FROM:<%s@example.test>\r\nRCPT TO:<%s@example.test>\r\n"
                b"DATA\r\n" % (c.user.encode(), c.user.encode()),
                postern.stuff(content), b"QUIT\r\n"]
    return s_client(c, dialogue)


def s_client(c, dialogue):
    # Upper-case R and Q at the start of a line are its own commands.
    start = () if c.implicit else ("-starttls", {
        "submission": "smtp"}.get(c.service, c.service))
    verify = ("-verify_return_error", "-verify_hostname", c.name,
              "-CAfile", tls.CA) if c.verify else ()
    status, text = c.run(
        ["openssl", "s_client", "-quiet", *verify, "-servername", c.name,
         *start, "-connect", "%s:%d" % (c.name, c.port)],
        input=b"".join(dialogue))
    return status, text


def mutt_settings(c):
    return "".join("set %s\n" % line for line in (
        "from=%s@example.test" % c.user, "realname=", "use_from=yes",
        "hostname=client.example.test", "copy=no", "user_agent=no",
        "ssl_force_tls=yes", "ssl_starttls=yes", "ssl_use_tlsv1_3=yes",
        "ssl_ca_certificates_file=" + tls.CA,
        "certificate_file=%s" % c.file("certificates", ""),
        "message_cachedir=", "header_cache=", "tmpdir=" + c.work,
        "pop_checkinterval=0", "pop_delete=no", "mail_check=0",
        "quit=yes", "confirmappend=no", "confirmcreate=no", "mbox_type=mbox",
        "folder=" + c.work, "move=no", "mark_old=no", "sleep_time=0"))


def in_mutt(c, content):
    """It makes the header itself."""
    scheme = "smtps" if c.implicit else "smtp"
    config = mutt_settings(c) + (
        'set smtp_url="%s://%s@%s:%d/"\nset smtp_pass="%s"\n'
        'set smtp_authenticators="plain"\n' % (
            scheme, c.user, c.name, c.port, password(c.user)))
    return c.run(["mutt", "-n", "-F", c.file("muttrc", config), "-s", "by mutt",
                  "--", c.user + "@example.test"],
                 input=content.partition(b"\r\n\r\n")[2].replace(
                     b"\r\n", b"\n"))


IN = {"curl": in_curl, "msmtp": in_msmtp, "mutt": in_mutt,
      "openssl": in_s_client, "swaks": in_swaks}


# Out: each collects the one letter there is; exit status, output, letters

def out_curl(c):
    scheme = "pop3s" if c.implicit else "pop3"
    config = 'user = "%s:%s"\n' % (c.user, password(c.user))
    status, text = c.run(
        ["curl", "-sS", "-K", c.file("curlrc", config),
         *(() if c.verify else ("--insecure",)), "--cacert", tls.CA,
         "--ssl-reqd", "%s://%s:%d/1" % (scheme, c.name, c.port),
         "-o", c.work + "/got"])
    return status, text, collected(c.work + "/got", b"\r\n")


def out_mpop(c):
    for name in ("", "/new", "/cur", "/tmp"):
        os.makedirs(c.work + "/mail" + name)
    config = (
        "account default\nhost %s\nport %d\nuser %s\npassword %s\nauth on\n"
        "tls on\ntls_starttls %s\nkeep on\nreceived_header off\n"
        "delivery maildir %s/mail\nuidls_file %s/uidls\n" % (
            c.name, c.port, c.user, password(c.user),
            c.starttls(), c.work, c.work))
    config += "tls_trust_file %s\n" % tls.CA if c.verify \
        else "tls_trust_file\ntls_certcheck off\n"
    status, text = c.run(["mpop", "-C", c.file("mpoprc", config)])
    return status, text, collected(c.work + "/mail/new/*", b"\n")


def out_fetchmail(c):
    keep = c.file("keep", '#!/bin/sh\nexec cat >>%s/got\n' % c.work, 0o755)
    config = (
        'set no syslog\nset invisible\nset idfile "%s/ids"\n'
        'poll %s protocol POP3 service %d no dns bad-header accept\n'
        'user "%s" password "%s" keep fetchall no rewrite no forcecr\n'
        'no dropstatus pass8bits %s sslproto "TLS1.2+" %s mda "%s"\n' % (
            c.work, c.name, c.port, c.user, password(c.user),
            "ssl" if c.implicit else "", 'sslcertck sslcertfile "%s"' % tls.CA
            if c.verify else "no sslcertck", keep))
    status, text = c.run(["fetchmail", "--nosyslog", "--nodetach", "-v",
                          "--pidfile", c.work + "/pid",
                          "-f", c.file("fetchmailrc", config)])
    return status, text, collected(c.work + "/got", b"\n")


def out_s_client(c):
    # It takes a line that begins with R or Q for an order to itself.
    status, text = s_client(c, [
        b"USER %s\r\nPASS %s\r\n" % (c.user.encode(),
                                     password(c.user).encode()),
        b"retr 1\r\n", b"quit\r\n"])
    match = re.search(r"\+OK[^\n]*octets[^\n]*\n.*?\+OK[^\n]*\n"
                      r"(.*?\r?\n)\.\r?\n", text, re.S)
    letters = [] if not match else [match.group(1).encode("latin-1").replace(
        b"\r\n", b"\n").replace(b"\n..", b"\n.").replace(b"\n", b"\r\n")]
    return status, text, letters


def out_mutt(c):
    """Its screen is a pseudo-terminal; it copies the letter to a file."""
    scheme = "pops" if c.implicit else "pop"
    config = mutt_settings(c) + (
        'set pop_user="%s"\nset pop_pass="%s"\nset pop_authenticators="user"\n'
        % (c.user, password(c.user)))
    if not c.verify:
        # Its user has said "(a)ccept always" before.
        with open(tls.certificates()[c.kind].chain, encoding="ascii") as file:
            postern.write(c.work + "/certificates", file.read())
        config += "unset ssl_verify_dates\nunset ssl_verify_host\n"
    command = ["mutt", "-n", "-F", c.file("muttrc", config), "-f",
               "%s://%s@%s:%d/" % (scheme, c.user, c.name, c.port), "-e",
               'push "<copy-message>%s/got<enter><exit>"' % c.work]
    status, text = on_a_terminal(c, command)
    return status, text, collected(c.work + "/got", b"\n", is_mbox=True)


def on_a_terminal(c, command):
    """Run it until it ends; a certificate that it asks about is rejected."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(c.work)
        os.execve("/usr/bin/" + command[0], command, {
            "PATH": "/usr/bin:/bin", "HOME": c.work, "LC_ALL": "C",
            "TERM": "vt100", "LINES": "50", "COLUMNS": "200"})
    text, asked, end = b"", 0, time.monotonic() + postern.PATIENCE
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.5)[0]:
            continue
        try:
            text += os.read(terminal, 65536)
        except OSError:
            break
        if text.count(b"(r)eject") > asked:
            asked = text.count(b"(r)eject")
            os.write(terminal, b"r")
    os.close(terminal)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status, text.decode("latin-1")


def collected(pattern, end, is_mbox=False):
    found = []
    for path in sorted(glob.glob(pattern)):
        with open(path, "rb") as file:
            content = file.read()
        if is_mbox:			# its separator, status and last line
            content = re.sub(rb"\n(Status: \w+\n)?Content-Length: \d+\n"
                             rb"Lines: \d+\n", b"\n",
                             content.partition(b"\n")[2])[:-1]
        found.append(content.replace(b"\n", b"\r\n") if end == b"\n"
                     else content)
    return found


OUT = {"curl": out_curl, "fetchmail": out_fetchmail, "mpop": out_mpop,
       "mutt": out_mutt, "openssl": out_s_client}


def cases(programs, services):
    for number, program in enumerate(sorted(programs)):
        for service in services:
            one = KINDS[(number * 2 + len(service)) % len(KINDS)]
            for kind in [one] if postern.SANITIZED else KINDS:
                yield program, service, kind


@pytest.mark.parametrize("program,service,kind",
                         cases(IN, ("submission", "submissions")))
def test_in(smtpd, user, work, program, service, kind):
    content = HEADER % (user.encode(), program.encode()) + BODY
    case = Case(smtpd, service, kind, user, work)
    status, text = IN[program](case, content)
    assert status == 0, text[-2000:]
    message, = postern.wait_messages(user, 1)
    trace, got = split_trace(message.replace(b"\n", b"\r\n"))
    assert b"with ESMTPSA id" in trace
    if program == "mutt":
        assert got.endswith(b"\r\n\r\n" + BODY) and b"Subject: by mutt" in got
    else:
        assert got == content


@pytest.mark.parametrize("program,service,kind",
                         cases(OUT, ("pop3", "pop3s")))
def test_out(pop3d, user, work, program, service, kind):
    content = HEADER % (user.encode(), program.encode()) + BODY
    put_message(user, content.replace(b"\r\n", b"\n"))
    case = Case(pop3d, service, kind, user, work)
    status, text, letters = OUT[program](case)
    assert status == 0, text[-2000:]
    assert letters == [content]


# What they have to say of a certificate that is not good; swaks (20201014)
# looks at the chain only, and at no name.
COMPLAINT = {
    "curl": "SSL|certificate", "msmtp": "certificate", "mpop": "certificate",
    "swaks": "certificate verify failed|ERROR", "fetchmail": "certificate",
    "openssl": "verify error|certificate", "mutt": "(?i)certificate",
}
BLIND = {("swaks", "wrong")}


def logins(daemon, user):
    return len(daemon.log("event=login user=%s " % user))


@pytest.mark.parametrize("fault", tls.FAULTS)
@pytest.mark.parametrize("program", sorted(IN))
def test_in_bad_certificate(smtpd, user, work, program, fault):
    content = HEADER % (user.encode(), program.encode()) + BODY
    before = logins(smtpd, user)
    for count, service in enumerate(("submission", "submissions"), 1):
        case = Case(smtpd, service, fault, user, work)
        status, text = IN[program](case, content)
        if (program, fault) in BLIND:
            postern.wait_messages(user, count)
            continue
        assert status != 0, text[-2000:]
        assert re.search(COMPLAINT[program], text), text[-2000:]
        assert logins(smtpd, user) == before
    if program == "mutt":
        return			# it can't be told not to look, without a screen
    postern.clear(user)
    status, text = IN[program](Case(smtpd, "submissions", fault, user, work,
                                    verify=False), content)
    assert status == 0, text[-2000:]
    postern.wait_messages(user, 1)


@pytest.mark.parametrize("fault", tls.FAULTS)
@pytest.mark.parametrize("program", sorted(OUT))
def test_out_bad_certificate(pop3d, user, work, program, fault):
    content = HEADER % (user.encode(), program.encode()) + BODY
    put_message(user, content.replace(b"\r\n", b"\n"))
    before = logins(pop3d, user)
    for service in ("pop3", "pop3s"):
        case = Case(pop3d, service, fault, user, work)
        status, text, letters = OUT[program](case)
        assert letters == [] and (status != 0 or program == "mutt"), text
        assert re.search(COMPLAINT[program], text), text[-2000:]
        assert logins(pop3d, user) == before
    status, text, letters = OUT[program](Case(
        pop3d, "pop3s", fault, user, work, verify=False))
    assert letters == [content], text[-2000:]
