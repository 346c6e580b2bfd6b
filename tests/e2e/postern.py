"""What the end-to-end tests stand on: accounts, daemons, letters.

A test reads like a dialogue; everything that is not said in it is here.
"""
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import private
# Tests have these from here, too.
from dialogue import (PATIENCE, Dialogue, Ended, Pop, Smtp, password,
                      stuff)

BUILD = os.environ.get("POSTERN_BUILD", "build")
LIBEXEC = os.path.join(BUILD, "libexec", "postern")
BASE = private.ROOT + "/postern-test"
PEOPLE = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")
CROWD = tuple("user%02d" % number for number in range(50))
SYSTEM_USERS = {"_postern": 901, "_posternq": 902, "_posternr": 903,
                "_posternd": 904, "_posternk": 905, "_posternc": 906}
SANITIZED = "asan" in os.path.basename(BUILD)

accounts = None				# private.Accounts, by set_up()


def set_up():
    """Once a run: the host's accounts, homes and PAM service."""
    global accounts
    accounts = private.Accounts()
    accounts.people["root"] = (0, 0, "/root",
                               private.crypt("root") + ":19000:0:99999:7:::")
    for name, uid in SYSTEM_USERS.items():
        accounts.add(name, uid, None, home="/nonexistent")
    for offset, name in enumerate(PEOPLE):
        accounts.add(name, 2000 + offset, password(name))
    for offset, name in enumerate(CROWD):
        accounts.add(name, 2100 + offset, password(name))
    accounts.add("toor", 0, password("toor"))
    accounts.add("lowly", 500, password("lowly"))
    accounts.add("none", 65534, password("none"))
    accounts.add("locked", 2050, None)
    accounts.add("expired", 2051, password("expired"), expired=True)
    accounts.add("spaces", 2052, " two  words ")
    accounts.add("eightbit", 2053, "gr\u00fc\u00dfe")
    accounts.add("homeless", 2054, password("homeless"))
    accounts.add("a.rather-long_name.of-forty-nine.characters.in.all",
                 2055, "long")
    accounts.write()
    for name in PEOPLE + CROWD + ("spaces", "eightbit", "expired", "lowly",
            "a.rather-long_name.of-forty-nine.characters.in.all"):
        accounts.make_home(name)
    os.makedirs(BASE, 0o755, exist_ok=True)
    os.makedirs(BASE + "/pam.d", exist_ok=True)
    # The first daemon makes a certificate of its own there.
    os.makedirs(BASE + "/tls", exist_ok=True)
    pam_service(PAM)
    write("/etc/aliases", "")


PAM = "auth required pam_unix.so\naccount required pam_unix.so\n"


def pam_service(text):
    for name in ("postern", "other"):
        write(BASE + "/pam.d/" + name, text)


def write(path, text, mode=0o644):
    """Replace a file in one step."""
    data = text if isinstance(text, bytes) else text.encode()
    with open(path + ".new", "wb") as file:
        file.write(data)
    os.chmod(path + ".new", mode)
    os.rename(path + ".new", path)


def eventually(condition, what, seconds=None, every=0.02):
    """Wait until condition() is true, and return what it gave."""
    end = time.monotonic() + (seconds or PATIENCE)
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError("not in time: " + what)
        time.sleep(every)


# Daemons

# What a sanitizer says: of anything; of a signal, and of which process; and
# the lines around that, which name no process.
REPORT = re.compile(r"Sanitizer|runtime error")
SIGNAL_REPORT = re.compile(
    r"==(\d+)==ERROR: AddressSanitizer: SEGV on unknown address (0x[0-9a-f]+)")
AROUND_SIGNAL = re.compile(
    r"AddressSanitizer:DEADLYSIGNAL$|AddressSanitizer can not provide "
    r"additional info\.$|SUMMARY: AddressSanitizer: SEGV ")

# What no client can bring about, whatever it does.
ABNORMAL = re.compile(
    r"event=(worker-crash|role-ended|died|gate-fault|gate-failed|no-agent|"
    r"no-login|no-generation|no-queue|spool-fault|unreadable|undeliverable)")


class Daemon:
    """One pop3d or smtpd with directories, ports and log of its own.

    It listens for service on port, and for those in also on ports[service]; at
    a host of the tests' network (hosts.py) on the standard ports.
    """

    next_port = 10000
    every = []			# of the whole run

    def __init__(self, program, conf="", name=None, service=None,
                 addresses=("127.0.0.1",), run=None, also=(), at=None):
        self.program, self.at = program, at
        self.service = service or {"pop3d": "pop3", "smtpd": "smtp"}[program]
        self.dir = os.path.join(BASE, name or "%s-%d" % (program,
                                                       Daemon.next_port))
        self.ports = {}
        for each in (self.service, *also):
            self.ports[each] = at.PORTS[each] if at else Daemon.next_port
            Daemon.next_port += 1
        self.addresses = at.addresses if at else addresses
        self.run_dir = run or self.dir + "/run"
        self.spool = self.dir + "/spool"
        os.makedirs(self.dir, 0o755)
        self.conf_path = self.dir + "/postern.conf"
        self.configure(conf)
        self.lines = []
        self.process = None
        self.old_sids = []	# of masters that were killed
        self.reports = []	# of a sanitizer, not looked at yet
        self.crashed = set()	# processes that a test sent a crash signal
        self.reader = None
        Daemon.every.append(self)

    @property
    def port(self):
        return self.ports[self.service]

    @port.setter
    def port(self, number):
        self.ports[self.service] = number

    def configure(self, conf):
        listen = "".join("listen %s %s:%d\n" % (
            service, "[%s]" % a if ":" in a else a, port)
            for a in self.addresses for service, port in self.ports.items())
        settings = {
            "hostname": "mx.example.test",
            "domains": "mx.example.test example.test localhost",
            "limits-exempt": "127.0.0.0/8",
            "max-sessions": "200",
            "max-sessions-per-source": "200",
            "max-messages": "100000",
            "run-dir": self.run_dir, "spool-dir": self.spool,
            "libexec-dir": LIBEXEC,
            "pam-confdir": BASE + "/pam.d",
            "tls-certificate": BASE + "/tls/cert.pem",
            "tls-key": BASE + "/tls/key.pem",
        }
        for line in conf.splitlines():
            words = line.split()
            if words and not (words[0] == "tls-certificate"
                              and len(words) == 4):
                settings.pop(words[0], None)
        write(self.conf_path, listen + "".join(
            "%s %s\n" % pair for pair in settings.items()) + conf)

    def start(self, wait=True):
        self.process = subprocess.Popen(
            [*(self.at.enter if self.at else ()),
             os.path.join(BUILD, "sbin", self.program), "-d", "-f",
             self.conf_path], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True, cwd="/",
            env={"PATH": "/usr/bin:/bin", "SECRET_OF_THE_CALLER": "leaked?"})
        self.reader = threading.Thread(
            target=self._read_log, args=(self.process.stderr,), daemon=True)
        self.reader.start()
        if wait:
            self.wait_ready()
        return self

    def _read_log(self, stream):
        for line in stream:
            line = line.decode("ascii", "backslashreplace").rstrip("\n")
            self.lines.append(line)
            if REPORT.search(line):
                self.reports.append(line)

    def wait_ready(self):
        def accepts():
            if self.process.poll() is not None:
                raise AssertionError("%s ended at its start:\n%s" % (
                    self.program, "\n".join(self.lines[-20:])))
            try:
                with self.connect() as sock:
                    sock.settimeout(PATIENCE)
                    if sock.recv(1) not in (b"+", b"2"):
                        return False
                    sock.sendall(b"QUIT\r\n")
                    while sock.recv(1000):
                        pass
                    return True
            except OSError:
                return False
        eventually(accepts, "%s serves on its port" % self.program)

    def connect(self, source=None, address=None):
        return socket.create_connection(
            (address or self.addresses[0], self.port), timeout=PATIENCE * 3,
            source_address=(source, 0) if source else None)

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def reload(self, conf=None):
        if conf is not None:
            self.configure(conf)
        self.process.send_signal(signal.SIGHUP)

    def stop(self, seconds=None):
        """SIGTERM, and its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds or PATIENCE)

    def kill_tree(self):
        """kill -9 every process of the daemon."""
        while True:
            pids = [p.pid for p in self.processes()]
            if self.is_alive():
                pids.insert(0, self.process.pid)
            if not pids:
                break
            for pid in pids:
                kill(pid)
            if self.process.returncode is None:
                self.process.poll()
            time.sleep(0.01)
        self.process.wait()

    def processes(self, role=None):
        """Live processes started by this daemon's master, it included."""
        sids = self.old_sids + [self.process.pid]
        found = [p for p in all_processes() if p.sid in sids]
        if role is not None:
            found = [p for p in found if p.role == role]
        return found

    def log(self, pattern):
        """Log lines that match, so far."""
        expression = re.compile(pattern)
        return [line for line in self.lines if expression.search(line)]

    def wait_log(self, pattern, count=1, seconds=None):
        eventually(lambda: len(self.log(pattern)) >= count,
                   "%s logs %r" % (self.program, pattern), seconds)
        return self.log(pattern)

    def forget_log(self):
        self.lines.clear()

    def crash(self, pid, number=signal.SIGSEGV):
        """Send a crash signal, once: what a sanitizer says of it is ours."""
        if pid not in self.crashed:
            self.crashed.add(pid)
            kill(pid, number)

    def new_reports(self):
        """What a sanitizer has reported and no test brought about."""
        count = len(self.reports)
        lines, self.reports[:count] = self.reports[:count], []
        return ["%s: %s" % (self.program, line) for line in lines
                if not self.is_brought_about(line)]

    def is_brought_about(self, line):
        match = SIGNAL_REPORT.match(line)
        if match:
            return int(match.group(1)) in self.crashed
        return len(self.crashed) > 0 and bool(AROUND_SIGNAL.match(line))

    def leftovers(self):
        """What is still there after the end: processes, files."""
        left = ["process %d %s %s" % (p.pid, p.role, p.state)
                for p in self.processes()]
        # A master that was killed could not remove its sockets.
        was_killed = self.process is not None and (
            self.process.returncode or 0) < 0
        for where, _, names in os.walk(self.run_dir):
            left += [os.path.join(where, name) for name in names
                     if not (was_killed and name.startswith("smtpd."))]
        return left

    def wait_nothing_left(self):
        def none():
            return not self.leftovers()
        try:
            eventually(none, "nothing left")
        except AssertionError:
            raise AssertionError("left by %s: %s" % (
                self.program, self.leftovers())) from None
        if self.reader is not None:
            self.reader.join(PATIENCE)	# to the last line

    def wait_no_session(self):
        """Until every session of the past has ended on the server's side."""
        eventually(lambda: not self.session_processes(),
                   "%s's sessions ended" % self.program)

    def waiting_workers(self):
        """Workers without a client: they have no more than their channel."""
        found = []
        for process in self.processes(self.program + "-worker"):
            try:
                if (process.ppid != self.process.pid and process.state == "S"
                        and len(os.listdir("/proc/%d/fd" % process.pid)) == 4):
                    found.append(process)
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found

    def session_processes(self):
        """Processes that serve one session: children of login and agents."""
        by_pid = {p.pid: p for p in self.processes()}
        return [p for p in by_pid.values()
                if p.role in ("login", "pop3d-agents", "smtpd-agents")
                and p.ppid in by_pid and by_pid[p.ppid].role == p.role]


class Process:
    """What /proc says of one process."""

    def __init__(self, pid):
        self.pid = pid
        with open("/proc/%d/stat" % pid, encoding="ascii",
                  errors="replace") as file:
            tail = file.read().rpartition(")")[2].split()
        self.state, self.ppid, self.sid = tail[0], int(tail[1]), int(tail[3])
        try:
            self.exe = os.readlink("/proc/%d/exe" % pid)
        except OSError:
            self.exe = ""		# a zombie, or the kernel's
        self.role = os.path.basename(self.exe)

    def status(self):
        with open("/proc/%d/status" % self.pid, encoding="ascii",
                  errors="replace") as file:
            return dict((line.split(":", 1)[0], line.split(":", 1)[1].strip())
                        for line in file)

    def uids(self):
        return tuple(int(x) for x in self.status()["Uid"].split())

    def is_of(self, user):
        """Does it run as this user?  No, if it has just ended."""
        try:
            return self.uids() == (accounts.people[user][0],) * 4
        except (FileNotFoundError, ProcessLookupError):
            return False

    def is_in(self, pid):
        """In the network name space of that process?"""
        try:
            return os.readlink("/proc/%d/ns/net" % self.pid) == os.readlink(
                "/proc/%d/ns/net" % pid)
        except OSError:
            return False

    def __repr__(self):
        return "<%d %s %s>" % (self.pid, self.role or "?", self.state)


def all_processes():
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                found.append(Process(int(name)))
            except (FileNotFoundError, ProcessLookupError):
                pass
    return found


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


# Mailboxes

def home(user):
    return accounts.people[user][2]


def maildir(user):
    return os.path.join(home(user), "Maildir")


def clear(*users):
    for user in users:
        accounts.make_home(user)


def put_message(user, content, name=None, where="new", stamp=[0]):
    """A message in the Maildir, as some other program delivered it."""
    uid, gid, _, _ = accounts.people[user]
    top = maildir(user)
    for directory in (top, top + "/new", top + "/cur", top + "/tmp"):
        if not os.path.isdir(directory):
            os.mkdir(directory, 0o700)
            os.chown(directory, uid, gid)
    stamp[0] += 1
    name = name or "%d.M%dP1.host" % (1000000000 + stamp[0], stamp[0])
    path = os.path.join(top, where, name)
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, 0o600)
    os.chown(path, uid, gid)
    return path


def message_files(user):
    return sorted(glob.glob(maildir(user) + "/new/*")
                  + glob.glob(maildir(user) + "/cur/*"))


def messages(user):
    found = []
    for path in message_files(user):
        with open(path, "rb") as file:
            found.append(file.read())
    return found


def wait_messages(user, count, seconds=None):
    eventually(lambda: len(message_files(user)) >= count,
               "%d messages for %s, %d there" % (
                   count, user, len(message_files(user))), seconds)
    found = messages(user)
    assert len(found) == count, "%d messages instead of %d" % (
        len(found), count)
    return found


TRACE = re.compile(rb"(Return-Path|Delivered-To|Received):", re.I)


def split_trace(message, end=b"\r\n"):
    """(trace header, content): what the server added and what it was given.

    Taken are one Return-Path, one Delivered-To and one Received line with
    their continuation lines, in any order, from the top.
    """
    seen, position = set(), 0
    while True:
        match = TRACE.match(message, position)
        if not match or match.group(1).lower() in seen:
            break
        seen.add(match.group(1).lower())
        position = message.index(end, position) + len(end)
        while message[position:position + 1] in (b" ", b"\t"):
            position = message.index(end, position) + len(end)
    return message[:position], message[position:]


def remove_all():
    shutil.rmtree(BASE, ignore_errors=True)
