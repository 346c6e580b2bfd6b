"""Other mail programs at work on the mailboxes that are ours.

Dovecot and Postfix come as unpacked packages, laid over /usr/lib in a mount
name space of theirs (see tests/bench/servers.py); mutt, s-nail and procmail
are the host's.
"""
import contextlib
import os
import pty
import select
import shutil
import smtplib
import subprocess
import sys
import time

import packages
import postern
import private

sys.path.append(os.path.join(os.path.dirname(packages.__file__), "bench"))

import servers  # noqa: E402

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
SENDER = "sender@example.test"
MAIL = 8			# the group of /var/mail


def missing():
    """What is not on this host, or None."""
    for name in ("mutt", "s-nail", "procmail", "nsenter", "setpriv"):
        if shutil.which(name, path=PATH) is None:
            return name
    absent = [name for name in packages.NEIGHBOURS
              if not os.path.isdir(_unpacked(name))]
    return "the packages " + ", ".join(absent) if absent else None


def _unpacked(name):
    return os.path.join(postern.BUILD, "packages", name)


def lay_out():
    """Once a run: accounts of theirs, their files where they look for them."""
    if os.path.isdir(servers.PEERS):
        return
    for name, uid in servers.USERS.items():
        postern.accounts.add(name, uid, None, home="/nonexistent")
    postern.accounts.write()
    postern.write("/etc/pam.d/dovecot", postern.PAM)
    os.mkdir(servers.PEERS)
    for name in packages.NEIGHBOURS:
        shutil.copytree(_unpacked(name), servers.PEERS, symlinks=True,
                        dirs_exist_ok=True)
    servers._lay_out_lib()


def is_of(process, box):
    try:
        return box.uid in process.uids()
    except (FileNotFoundError, ProcessLookupError, KeyError):	# ended
        return False


class Server:
    """One of theirs, and a name space that its tools can be run in."""

    def start(self):
        self.process = subprocess.Popen(
            self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, preexec_fn=servers.as_peer, cwd="/",
            start_new_session=True, env=dict({"PATH": PATH},
                                             **self.environment))
        postern.eventually(self._answers, self.argv[0] + " serves", 20)
        return self

    environment = {}

    def _answers(self):
        assert self.process.poll() is None, self.argv[0] + " has ended"
        try:
            with postern.socket.create_connection(
                    ("127.0.0.1", self.port), timeout=5) as sock:
                return sock.recv(1) in (b"+", b"2")
        except OSError:
            return False

    def pids(self):
        return [p for p in postern.all_processes()
                if p.exe.startswith(servers.PEERS)]

    def stop(self):
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        end = time.monotonic() + 5
        while any(p.sid == self.process.pid for p in self.pids()) \
                and time.monotonic() < end:
            time.sleep(0.05)
        for process in self.pids():
            if process.sid == self.process.pid:
                postern.kill(process.pid)


# procmail takes its locks the other way round than Debian wants it: whoever
# waits for it with the file locked may wait for itself, and gives up soon.
DOVECOT = """\
mbox_lock_timeout = 2s
protocols = pop3
listen = 127.0.0.1
base_dir = %(top)s/base
state_dir = %(top)s/state
log_path = %(top)s/log
ssl = no
disable_plaintext_auth = no
auth_failure_delay = 0
mail_location = %(location)s
mail_privileged_group = mail
mail_access_groups = mail
mbox_write_locks = fcntl dotlock
mbox_read_locks = fcntl
postmaster_address = postmaster@example.test
lda_mailbox_autocreate = yes
passdb {
  driver = pam
}
userdb {
  driver = passwd
}
service pop3-login {
  inet_listener pop3 {
    port = %(port)d
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
"""
LOCATIONS = {"maildir": "maildir:~/Maildir",
             "mbox": "mbox:~/mail:INBOX=/var/mail/%u"}


class Dovecot(Server):
    """Its POP3 server, and its own delivery program."""

    def __init__(self, form, port=11210):
        self.port = port
        self.top = private.ROOT + "/dovecot-" + form
        for directory in ("/base", "/state"):
            os.makedirs(self.top + directory, 0o755, exist_ok=True)
        self.conf = self.top + "/conf"
        self.log = self.top + "/log"
        with open(self.log, "wb"):
            os.chmod(self.log, 0o666)
        postern.write(self.conf, DOVECOT % {
            "top": self.top, "port": port, "location": LOCATIONS[form]})
        self.argv = [servers.PEERS + "/usr/sbin/dovecot", "-F", "-c",
                     self.conf]

    def lda(self, box, letter):
        """As the user, who needs the group for a dotlock in /var/mail."""
        done = _run(["nsenter", "--mount=/proc/%d/ns/mnt" % self.process.pid,
                     "setpriv", "--reuid=%d" % box.uid, "--regid=%d" % box.gid,
                     "--groups=%d" % MAIL,
                     servers.PEERS + "/usr/lib/dovecot/dovecot-lda",
                     "-c", self.conf, "-e", "-f", SENDER],
                    box, letter, is_root=True)
        return done.returncode == 0

    def wait_written(self, box):
        """Status lines of an mbox are written after the end of a session."""
        postern.eventually(lambda: not any(
            p.role == "pop3" and is_of(p, box) for p in self.pids()),
            "Dovecot is done with the mailbox of " + box.user)


MAIN = """\
mail_spool_directory = /var/mail
mailbox_delivery_lock = fcntl, dotlock
virtual_mailbox_domains = virtual.test
virtual_mailbox_base = /
virtual_mailbox_maps = texthash:%(top)s/etc/boxes
virtual_uid_maps = texthash:%(top)s/etc/uids
virtual_gid_maps = %(gids)s
virtual_minimum_uid = 1000
virtual_mailbox_lock = fcntl, dotlock
virtual_mailbox_limit = 0
mailbox_size_limit = 0
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
maillog_file = /run/postfix.log
maillog_file_prefixes = /run
biff = no
deliver_lock_attempts = 4
"""


class Postfix(Server):
    """Its local(8), and its virtual(8) for the domain virtual.test."""

    def __init__(self, form, names, port=10126):
        laid = servers.Postfix()
        laid.port = port
        laid.prepare()
        self.port, self.argv = port, laid.argv
        self.environment = laid.environment
        top = private.ROOT + "/postfix"
        with open(top + "/etc/main.cf", encoding="ascii") as file:
            lines = [line for line in file
                     if form == "maildir" or "home_mailbox" not in line]
        postern.write(top + "/etc/main.cf", "".join(lines) + MAIN % {
            "top": top,
            "gids": "static:%d" % MAIL if form == "mbox"
                    else "texthash:%s/etc/uids" % top})
        with open(top + "/etc/master.cf", "a", encoding="ascii") as file:
            file.write("postlog unix-dgram n - n - 1 postlogd\n")
        postern.write(top + "/etc/boxes", "".join(
            "%s@virtual.test %s\n" % (name, (
                "run/home/%s/Maildir/" if form == "maildir"
                else "var/mail/%s") % name) for name in names))
        postern.write(top + "/etc/uids", "".join(
            "%s@virtual.test %d\n" % (name, postern.accounts.people[name][0])
            for name in names))

    def local(self, box, letter, domain="example.test"):
        with smtplib.SMTP("127.0.0.1", self.port, "client.example.test",
                          timeout=60) as smtp:
            smtp.sendmail(SENDER, "%s@%s" % (box.user, domain), letter)
        return True

    def virtual(self, box, letter):
        return self.local(box, letter, "virtual.test")

    def is_idle(self):
        """Nothing waits in its queue."""
        top = private.ROOT + "/postfix/spool/"
        return not any(names for name in ("incoming", "active", "deferred",
                                          "maildrop")
                       for _, _, names in os.walk(top + name))


def _run(argv, box, given=b"", is_root=False):
    who = {} if is_root else {"user": box.uid, "group": box.gid,
                              "extra_groups": []}
    return subprocess.run(
        argv, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=120, check=False, cwd=box.home, env=_environment(box), **who)


def _environment(box):
    return {"PATH": PATH, "HOME": box.home, "USER": box.user, "LC_ALL": "C",
            "LOGNAME": box.user, "TERM": "vt100", "MAIL": box.path,
            "SHELL": "/bin/sh", "MAILRC": "/dev/null"}


# The user's own programs

PROCMAIL = {"maildir": "DEFAULT=$HOME/Maildir/\nLOCKSLEEP=1\n",
            "mbox": "DEFAULT=/var/mail/$LOGNAME\nLOCKSLEEP=1\n"}
MUTT = """\
set folder=~
set delete=yes quit=yes move=no confirmappend=no confirmcreate=no
set wait_key=no sleep_time=0 beep=no mark_old=yes save_empty=yes
set mbox_type=mbox spoolfile="%(path)s" timeout=1 suspend=no
unset record help markers prompt_after
"""
SAVED = {"mutt": "saved-by-mutt", "s-nail": "saved-by-s-nail"}


def settle_in(box):
    """Set-up files of an account whose box this is."""
    for name, text in ((".procmailrc", PROCMAIL[box.form]),
                       (".muttrc", MUTT % {"path": box.path})):
        path = os.path.join(box.home, name)
        postern.write(path, text)
        os.chown(path, box.uid, box.gid)
    os.mkdir(box.home + "/mail", 0o700)		# Dovecot's other folders
    os.chown(box.home + "/mail", box.uid, box.gid)


def procmail(box, letter):
    """As a delivery agent, run as the user whose mail it is."""
    return _run(["procmail", "-d", box.user], box, letter).returncode == 0


def mutt(box):
    """Read one; file away what is meant for it; its exit status and screen."""
    keys = ("<first-entry><display-message><exit>"
            "<tag-pattern>~s for-mutt<enter>"
            "<tag-prefix-cond><save-message>~/%s<enter><end-cond>"
            "<sync-mailbox><quit>" % SAVED["mutt"])
    return _on_terminal(["mutt", "-n", "-F", box.home + "/.muttrc", "-f",
                         box.path, "-e", "push '%s'" % keys], box)


def mail(box):
    """Read one; file away what is meant for it; its exit status and output."""
    path = "maildir://" + box.path if box.form == "maildir" else box.path
    done = _run(["s-nail", "-n", "-S", "hold", "-S", "keep", "-S",
                 "folder=" + box.home, "-S", "noheader", "-f", path], box,
                b"type .\nmove /for-s-nail %s\nquit\n"
                % (box.home + "/" + SAVED["s-nail"]).encode())
    return done.returncode, done.stdout


def _on_terminal(argv, box, patience=110):
    """mutt: its exit status, and all that it has shown.

    If it has to be killed it leaves its dotlock, and the others wait for it.
    Where something went wrong it forgets what it was told to do and waits for
    keys.  It asks whether to break another's dotlock after some seconds, and
    holds its own lock meanwhile.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        argv, stdin=theirs, stdout=theirs, stderr=theirs, cwd=box.home,
        env=_environment(box), user=box.uid, group=box.gid, extra_groups=[],
        start_new_session=True)
    os.close(theirs)
    screen, begin, heard = b"", time.monotonic(), time.monotonic()
    try:
        while time.monotonic() < begin + patience:
            if select.select([ours], [], [], 0.2)[0]:
                data = os.read(ours, 65536)
                screen, heard = screen + data, time.monotonic()
                if b"remove lock" in data:
                    os.write(ours, b"n")
            elif time.monotonic() > heard + 2:
                os.write(ours, b"q")
                heard = time.monotonic()
        process.kill()
    except OSError:		# EIO: the terminal's other side is closed
        pass
    finally:
        os.close(ours)
    return process.wait(patience), screen


def saved(box, program):
    """Messages that it has filed away, with what it wrote around them."""
    try:
        with open(os.path.join(box.home, SAVED[program]), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
