"""A worker in an attacker's hands: what puppet.c obeys, and the gates' talk.

The numbers and layouts are written down here once more, by hand, from
privsep/login_gate.h, privsep/signer_gate.h, pop3d/gates.h, smtpd/gates.h and
privsep/channel.h: what the tests expect must not follow a slip in the daemon's
own tables.
"""
import os
import re
import stat
import struct
import time

import postern
from postern import Daemon, Dialogue, eventually

LOGIN, IDENTIFY, MEMBERS = 0x001, 0x301, 0x321
OPEN, FETCH, EXPUNGE, RECOUNT = 0x101, 0x102, 0x103, 0x104
MAIL, RCPT, DATA, COMMIT, ABORT, VERIFY, EXPAND = range(0x201, 0x208)
DELIVER, SETTLE = 0x302, 0x303
SIGN = 0x401				# the signer's, nobody else's
CHANNEL = range(1, 14)		# CH_SPAWN to CH_DELIVERY; 1 is LOGIN, too
REPLY = 0x8000

REQUESTS = (LOGIN, OPEN, FETCH, EXPUNGE, RECOUNT, MAIL, RCPT, DATA, COMMIT,
            ABORT, VERIFY, EXPAND, IDENTIFY, MEMBERS, DELIVER, SETTLE)
OTHERS = (0,) + tuple(n for n in CHANNEL if n != LOGIN) + (
    0x100, 0x105, 0x200, 0x208, 0x300, 0x304, 0x400, SIGN, 0x402,
    LOGIN | REPLY, OPEN | REPLY, MAIL | REPLY, IDENTIFY | REPLY, SIGN | REPLY,
    0x10001, 0x01000000, 0x7fffffff, 0x80000000, 0xffffffff)

MESSAGE_MAX = 8192			# octets of fields
LOG_LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} (session=[0-9a-f]+ )?"
    r"[ -~]*$")


def u32(n):
    return struct.pack("<I", n & 0xffffffff)


def u64(n):
    return struct.pack("<Q", n & 0xffffffffffffffff)


def text(value):
    data = value if isinstance(value, bytes) else value.encode("latin-1")
    return u32(len(data)) + data


def login(name, secret=None, mechanism="USER", tls=""):
    if secret is None:
        secret = postern.password(name)
    return text(name) + text(secret) + text(mechanism) + text(tls)


def sign(key, scheme, content):
    return u32(key) + u32(scheme) + text(content)


def fetch(first, count=1):
    return u32(first) + u32(count)


def expunge(at, last, bits):
    return u32(at) + u32(last) + text(bits)


def mail(sender="sender@example.test", helo="client.example.test", flags=2,
         size=0, tls="", ret=0, envid=""):
    return (text(helo) + text(tls) + u32(flags) + u64(size) + text(sender)
            + u32(ret) + text(envid))


def mailbox(local, domain="example.test"):
    return text(local) + text(domain)


def rcpt(local, domain="example.test", notify=0, orcpt=""):
    return mailbox(local, domain) + u32(notify) + text(orcpt)


def deliver():
    return (text("1") + u64(1) + text("") + text("alice@example.test")
            + u64(0) * 3 + u32(0))


# A payload that the table of its own gate finds nothing wrong with.
GOOD = {
    LOGIN: login("nobody-here", "x"), IDENTIFY: text("alice"),
    MEMBERS: text("root"),
    OPEN: b"", FETCH: fetch(0), EXPUNGE: expunge(0, 1, b"\0"),
    RECOUNT: u32(0),
    MAIL: mail(), RCPT: rcpt("alice"), DATA: b"", COMMIT: u64(0),
    ABORT: b"", VERIFY: mailbox("alice"),
    EXPAND: mailbox("alice") + u32(0),
    DELIVER: deliver(), SETTLE: text("1"),
}


class Answer:
    """One message that came back over the gate."""

    def __init__(self, number, data, descriptors):
        self.type, self.data, self.descriptors = number, data, descriptors

    def u32(self, at=0):
        return struct.unpack_from("<I", self.data, at)[0]

    def verdict(self):
        """(code, enhanced code, text) of an SMTP verdict."""
        code, rest = self.u32(), self.data[4:]
        words = []
        while rest:
            n = struct.unpack_from("<I", rest)[0]
            words.append(rest[4:4 + n].decode("ascii"))
            rest = rest[4 + n:]
        return (code,) + tuple(words)

    def __repr__(self):
        return "<%#x %r %d>" % (self.type, self.data, self.descriptors)


class Puppet(Dialogue):
    """One worker, and what it is told to do."""

    def __init__(self, daemon, source=None, patience=True):
        end = time.monotonic() + postern.PATIENCE
        while True:
            super().__init__(daemon, source)
            self.greeting = self.line().decode("ascii")
            if self.greeting == "READY":
                return
            self.close()
            # A generation comes at most once a second.
            if not patience or time.monotonic() > end:
                raise AssertionError("no puppet: " + self.greeting)
            time.sleep(0.02)

    def order(self, line):
        self.say(line)
        return self.line().decode("ascii")

    def _answer(self, line):
        """None at the end of the gate, else the message."""
        if line in ("EOF", "ERR 32"):		# EPIPE: it ended before
            return None
        words = line.split(" ")
        assert words[0] == "M", line
        return Answer(int(words[1]), bytes.fromhex(words[2]), int(words[3]))

    def _request(self, order):
        """ETOOMANYREFS: too many descriptors of all workers are under way."""
        line = "ERR 109"
        while line == "ERR 109":
            line = self.order(order)
        return self._answer(line)

    def ask(self, number, payload=b"", descriptors=0):
        return self._request("S %d %s %d" % (
            number, payload.hex() or "-", descriptors))

    def send_only(self, number, payload=b"", descriptors=0):
        assert self.order("Q %d %s %d" % (
            number, payload.hex() or "-", descriptors)) == "OK"

    def collect(self, milliseconds=postern.PATIENCE * 1000):
        return self._answer(self.order("C %d" % milliseconds))

    def ask_zeros(self, number, length, descriptors=0):
        """A request of so many octets, even beyond what a message holds."""
        return self._request("Z %d %d %d" % (number, length, descriptors))

    def is_shut(self):
        """Has the other side of the gate ended?"""
        return self.order("S %d - 0" % OPEN) in ("EOF", "ERR 32")

    def ask_octets(self, octets):
        """Octets that need not even have the frame of a request."""
        return self._answer(self.order("B " + octets.hex()))

    def ask_signer(self, number=SIGN, payload=b"", descriptors=0):
        return self._request("G %d %s %d" % (
            number, payload.hex() or "-", descriptors))

    def send_signer(self, number=SIGN, payload=b"", descriptors=0):
        """Without waiting; it may have hung up already (EPIPE)."""
        assert self.order("H %d %s %d" % (
            number, payload.hex() or "-", descriptors)) in ("OK", "ERR 32")

    def collect_signer(self, milliseconds=postern.PATIENCE * 1000):
        return self._answer(self.order("I %d" % milliseconds))

    def sign(self, key, scheme, content):
        """A signature; None if there is none, and the signer hung up."""
        answer = self.ask_signer(SIGN, sign(key, scheme, content))
        if answer is None:
            return None
        assert answer.type == SIGN | REPLY and answer.descriptors == 0
        assert answer.u32() == len(answer.data) - 4
        return answer.data[4:]

    def tell_master(self, number, payload=b"", descriptors=0):
        return self.order("L %d %s %d" % (
            number, payload.hex() or "-", descriptors))

    def log(self, line, level=6):
        """What a worker logs with (CH_LOG)."""
        return self.tell_master(6, u32(level) + text(line))

    def write(self, data):
        """Down the pipe, or to whatever descriptor came last."""
        line = "OK"
        for at in range(0, len(data), 4000):
            line = self.order("W " + data[at:at + 4000].hex())
            if line != "OK":
                break
        return line

    def read(self, count):
        line = self.order("R %d" % count)
        assert line.startswith("D "), line
        return bytes.fromhex(line[2:])

    def try_to(self, name):
        """One trial; None if this process did not live to tell."""
        try:
            return self.order("T " + name)
        except (postern.Ended, ConnectionError):
            return None

    # Whole steps

    def login(self, name, secret=None):
        answer = self.ask(LOGIN, login(name, secret))
        return None if answer is None else answer.u32()

    def logged_in(self, name):
        assert self.login(name) == 0
        return self

    def opened(self, name):
        answer = self.logged_in(name).ask(OPEN)
        assert answer.type == OPEN | REPLY and answer.u32() == 0, answer
        return self

    def transaction(self, *users, **how):
        assert self.ask(MAIL, mail(**how)).verdict()[0] == 250
        for user in users:
            assert self.ask(RCPT, rcpt(user)).verdict()[0] == 250
        return self

    def data(self, content=b""):
        answer = self.ask(DATA)
        assert answer.verdict()[0] == 354 and answer.descriptors == 1
        assert self.write(content) == "OK"
        assert self.order("X") == "OK"
        return self

    def letter(self, content, *users, octets=None, **how):
        """A whole transaction; COMMIT's verdict."""
        self.transaction(*users, **how).data(content)
        return self.ask(COMMIT, u64(len(content) if octets is None
                                    else octets)).verdict()


class PuppetDaemon(Daemon):
    """A daemon whose workers are puppets; the rest of it is as shipped."""

    def __init__(self, program, conf="", **how):
        super().__init__(program, "libexec-dir %s/hostile\n%s" % (
            postern.BUILD, conf), **how)
        self.faults = 0

    def is_brought_about(self, line):
        """A puppet that is told to crash does so at an address of its own."""
        match = postern.SIGNAL_REPORT.match(line)
        if match:
            return int(match.group(2), 16) == 0xdead000
        return bool(postern.AROUND_SIGNAL.match(line))

    def wait_ready(self):
        def ready():
            assert self.is_alive(), "\n".join(self.lines[-20:])
            try:
                Puppet(self).close()
                return True
            except OSError:
                return False
        eventually(ready, "%s hands out puppets" % self.program)

    def generations(self):
        return len(self.log("event=generation "))

    def crashes(self):
        return self.log("crash|event=died|role-ended|event=renew")

    def gate_faults(self):
        """Logged ones, and those beyond what a user may say in a second."""
        return len(self.log("event=gate-fault")) + sum(
            int(line.rsplit("=", 1)[1])
            for line in self.log("event=log-suppressed by=agent "))

    def check_log(self):
        """C5: every line is one that the master began, in plain ASCII."""
        assert [line for line in self.lines if not LOG_LINE.match(line)] == []


def tree(*tops, leave_out=()):
    """Every file below: {path: (kind and mode, owner, size, content)}.

    Not the cache of sizes, which is there when messages are old enough.
    """
    found = {}
    for top in tops:
        for where, folders, names in os.walk(top):
            folders[:] = [n for n in folders
                          if os.path.join(where, n) not in leave_out]
            for name in folders + names:
                if name == "postern.sizes":
                    continue
                path = os.path.join(where, name)
                st = os.lstat(path)
                content = b""
                if stat.S_ISREG(st.st_mode) and st.st_size < 1 << 20:
                    with open(path, "rb") as file:
                        content = file.read()
                found[path] = (st.st_mode, st.st_uid, st.st_nlink, content)
    return found
