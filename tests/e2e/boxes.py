"""Mailboxes as other programs on the host see and change them.

A box of either format: what is in it as a POP3 client must get it, and the
changes that mail programs make, each made the way they make it (Maildir: by
tmp/ and rename; mbox: in place, under the fcntl lock and FILE.lock).
"""
import contextlib
import fcntl
import os
import re
import subprocess
import time

import pytest

import postern

# Header fields of an mbox message that are programs' notes, not mail.
NOTES = re.compile(rb"(Status|X-Status|X-UID|X-Keywords|X-IMAP|X-IMAPbase|"
                   rb"Content-Length|Lines):", re.I)
FIELD = re.compile(rb"[!-9;-~]+:|[ \t]")
QUOTED = re.compile(rb"^>(>*From )", re.M)
TO_QUOTE = re.compile(rb"^(>*From )", re.M)
SEPARATOR = re.compile(rb"(?:\A|(?<=\n\n))From (?=[^\n]*\n)")
PSEUDO = (b"From MAILER-DAEMON Mon Jan  1 00:00:00 2024\n"
          b"Date: Mon, 1 Jan 2024 00:00:00 +0000\n"
          b"From: Mail System Internal Data <MAILER-DAEMON@mx.example.test>\n"
          b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"
          b"Message-ID: <1704067200@mx.example.test>\n"
          b"X-IMAP: 1704067200 0000000012\nStatus: RO\n\n"
          b"This text is part of the internal format of your mail folder, and"
          b" is not\na real message.\n\n")
PATIENCE = 60			# seconds for a lock
MAIL_GID = 8			# has the spool directory, in Debian


def wire(content):
    """Stored content as RETR must send it.

    CR LF line ends, a final one, an end of the header; a NUL, which hangs
    programs, is 0x80.
    """
    content = re.sub(rb"(?<!\r)\n", b"\r\n", content.replace(b"\0", b"\x80"))
    if content and content[-1:] != b"\n":
        content += b"\r\n"
    if content and b"\r" not in content.split(b"\n"):
        content += b"\r\n"
    return content


def top(octets, lines):
    """What TOP must send of a message that RETR sends so."""
    rows = octets.split(b"\n")[:-1]
    for number, row in enumerate(rows):
        if row == b"\r":
            return b"".join(r + b"\n" for r in rows[:number + 1 + lines])
    return octets + b"\r\n"


class Owned:
    """The files of one account."""

    def __init__(self, user):
        self.user = user
        self.uid, self.gid, self.home, _ = postern.accounts.people[user]

    def own(self, path, mode):
        os.chmod(path, mode)
        os.chown(path, self.uid, self.gid)


class Maildir(Owned):
    """Handles are paths."""
    form = "maildir"
    conf = "mailbox maildir ~/Maildir\n"
    counter = 0

    def __init__(self, user):
        super().__init__(user)
        postern.clear(user)
        self.path = postern.maildir(user)
        for name in ("", "/new", "/cur", "/tmp"):
            os.mkdir(self.path + name)
            self.own(self.path + name, 0o700)

    def put(self, content, twin=False):
        """A delivery; with twin of the same octets as another."""
        Maildir.counter += 1
        name = "%d.M%dP%d.host,S=%d" % (
            1000000000 + Maildir.counter // 3, Maildir.counter, os.getpid(),
            len(content))
        path = self.path + "/tmp/" + name
        with open(path, "wb") as file:
            file.write(content)
        self.own(path, 0o600)
        os.rename(path, self.path + "/new/" + name)
        return self.path + "/new/" + name

    def fill(self, contents, rng):
        """Many at once, as a host that moved here had them."""
        for number, content in enumerate(contents):
            Maildir.counter += 1
            name = rng.choice((
                "%d.M%dP%d.host", "%d.%d_%d.host,S=7", "%d.H%dQ%d,S=1,W=2",
                "%d.V%dI%d.a-very-long.name-of-some.host.example.test,U=5",
                "%d.x%d.\xe9%d")) % (1000000000 + number // 7,
                                    Maildir.counter, number)
            where = rng.choice(("new/" + name, "cur/%s:2,%s" % (
                name, rng.choice(("", "S", "RS")))))
            with open(os.path.join(self.path, where), "wb") as file:
                file.write(content)
            self.own(os.path.join(self.path, where), 0o600)

    def handles(self):
        return [os.path.join(self.path, folder, name)
                for folder in ("new", "cur")
                for name in sorted(os.listdir(os.path.join(self.path, folder)))]

    def read(self):
        """[(handle, stored content)], of a box that nobody is changing."""
        found = []
        for path in self.handles():
            with contextlib.suppress(FileNotFoundError), \
                    open(path, "rb") as file:
                found.append((path, file.read()))
        return found

    def remove(self, handle):
        os.unlink(handle)

    def note(self, rng, share=0.3):
        """Another program marks messages: renames, new/ to cur/."""
        for path in self.handles():
            if rng.random() < share:
                self.note_one(rng, path)

    def note_one(self, rng, path):
        base = os.path.basename(path).partition(":")[0]
        flags = "".join(f for f in "DFPRS" if rng.random() < 0.4)
        where = "cur/%s:2,%s" % (base, flags)
        if rng.random() < 0.1:
            where = "new/" + base	# as mutt marks it new again
        with contextlib.suppress(FileNotFoundError):	# deleted just now
            os.rename(path, os.path.join(self.path, where))

    def tidy(self, rng):
        """What only the other format has."""

    def expected(self, content):
        """Content given to a delivery, as a client gets it."""
        return wire(content)

    def check(self):
        """Are all files well-formed, and is nothing left in between?"""
        # A delivery's tombstone goes when the queue has it on record.
        postern.eventually(lambda: not os.listdir(self.path + "/tmp"),
                           "an empty tmp/ for " + self.user)


class Mbox(Owned):
    """Handles are numbers, valid as long as nobody removes anything."""
    form = "mbox"
    conf = "mailbox mbox /var/mail/%u\n"
    clock = 0

    def __init__(self, user):
        super().__init__(user)
        postern.clear(user)
        self.path = "/var/mail/" + user
        for path in (self.path, self.path + ".lock"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        with open(self.path, "wb"):
            pass
        self.own(self.path, 0o660)

    def own(self, path, mode):
        os.chmod(path, mode)
        os.chown(path, self.uid, 8)

    @contextlib.contextmanager
    def locked(self):
        """The file, locked in Debian's order."""
        end = time.monotonic() + PATIENCE
        with open(self.path, "r+b") as file:
            while not self._lock(file):
                if time.monotonic() > end:
                    raise AssertionError("no lock on " + self.path)
                time.sleep(0.005)
            try:
                yield file
                file.flush()
            finally:
                os.unlink(self.path + ".lock")
                fcntl.lockf(file, fcntl.LOCK_UN)

    def _lock(self, file):
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        try:
            os.close(os.open(self.path + ".lock",
                             os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            os.chown(self.path + ".lock", self.uid, 8)
        except FileExistsError:
            fcntl.lockf(file, fcntl.LOCK_UN)
            return False
        return True

    @staticmethod
    def split(data):
        """Messages with their "From " lines, up to the next one's."""
        if data:
            assert data.startswith(b"From "), data[:80]
        starts = [match.start() for match in SEPARATOR.finditer(data)]
        return [data[a:b] for a, b in zip(starts, starts[1:] + [len(data)])]

    @staticmethod
    def content(message):
        """What is mail in a message of the file."""
        body = message[message.index(b"\n") + 1:]
        assert body.endswith(b"\n"), body[-80:]
        body = body[:-1]		# the blank line after it
        kept, at = [], 0
        while at < len(body) and body[at:at + 1] not in (b"\n", b"\r"):
            end = body.find(b"\n", at) + 1 or len(body)
            while body[end:end + 1] in (b" ", b"\t"):
                end = body.find(b"\n", end) + 1 or len(body)
            if not NOTES.match(body, at):
                kept.append(body[at:end])
            at = end
        # Of nothing at all the blank line is the end of the header.
        return QUOTED.sub(rb"\1", b"".join(kept) + body[at:]) or b"\n"

    def put(self, content, twin=False):
        """A delivery; with twin after the same "From " line as another."""
        Mbox.clock += 1
        line = time.strftime("From other@example.test %a %b %e %H:%M:%S %Y\n",
                             time.gmtime(1700000000 + Mbox.clock)).encode()
        if content and not content.endswith(b"\n"):
            content += b"\n"
        with self.locked() as file:
            for message in self._messages(file.read()) if twin else ():
                if self.content(message) == content:
                    line = message[:message.index(b"\n") + 1]
                    break
            file.seek(0, os.SEEK_END)
            file.write(line + TO_QUOTE.sub(rb">\1", content) + b"\n")

    def fill(self, contents, rng):
        """Many at once, as a host that moved here had them."""
        with self.locked() as file:
            for number, content in enumerate(contents):
                # Several came in one second.
                file.write(time.strftime(
                    "From other@example.test %a %b %e %H:%M:%S %Y\n",
                    time.gmtime(1600000000 + number // 20)).encode())
                file.write(TO_QUOTE.sub(rb">\1", content) + b"\n")

    def _messages(self, data):
        return [m for m in self.split(data) if b"FOLDER INTERNAL" not in m]

    def read(self):
        """[(handle, stored content)], in one moment."""
        with self.locked() as file:
            return [(n, self.content(message)) for n, message in
                    enumerate(self._messages(file.read()))]

    def handles(self):
        return [handle for handle, _ in self.read()]

    @staticmethod
    def _rewrite(file, messages):
        """In place, as programs do that may make no file there."""
        file.seek(0)
        file.write(b"".join(messages))
        file.truncate()

    def remove(self, handle):
        with self.locked() as file:
            data = file.read()
            kept = self.split(data)
            gone = self._messages(data)[handle]
            # Of two that are the same octets the one that is meant.
            at = [n for n, m in enumerate(kept) if m == gone]
            before = self._messages(data)[:handle].count(gone)
            del kept[at[before]]
            self._rewrite(file, kept)

    def note(self, rng, share=0.3):
        """Another program rewrites Status and other notes."""
        with self.locked() as file:
            self._rewrite(file, [
                self._noted(rng, m) if rng.random() < share
                and b"FOLDER INTERNAL" not in m else m
                for m in self.split(file.read())])

    @staticmethod
    def _noted(rng, message):
        """With other notes, where programs put them: last in the header."""
        lines = message.split(b"\n")
        kept, at = [lines[0]], 1
        while at < len(lines) - 2 and lines[at] not in (b"", b"\r"):
            if not FIELD.match(lines[at]):
                return message		# no header that a program knows
            if not NOTES.match(lines[at]):
                kept.append(lines[at])
            at += 1
        notes = [b"Status: " + rng.choice((b"O", b"RO", b"R"))]
        if rng.random() < 0.4:
            notes.append(b"X-Status: " + rng.choice((b"A", b"F", b"AF", b"D")))
        if rng.random() < 0.3:
            notes.append(b"X-UID: %d" % rng.randrange(1, 99999))
        if rng.random() < 0.3:
            notes.append(b"X-Keywords: " + b" " * rng.randrange(50))
        if rng.random() < 0.2:
            # Right or not; but nobody could tell if another letter began
            # just there.
            length = len(message) - len(b"\n".join(lines[:at + 1])) - 2
            notes.append(b"Content-Length: %d" % max(0, rng.choice(
                (length, length, 10 ** 9, length + 2, length - 1))))
        return b"\n".join(kept + notes + lines[at:])

    def tidy(self, rng):
        """A program of the UW kind makes or removes its own message."""
        with self.locked() as file:
            data = file.read()
            if data.startswith(PSEUDO):
                self._rewrite(file, [data[len(PSEUDO):]])
            else:
                self._rewrite(file, [PSEUDO, data])

    def expected(self, content):
        return wire(content + b"\n" if content[-1:] != b"\n" else content)

    def check(self):
        """Is it a well-formed mbox, and is no lock left?"""
        with self.locked() as file:
            data = file.read()
        for message in self.split(data):
            assert message.endswith(b"\n\n"), message[-80:]
            self.content(message)


FORMS = {box.form: box for box in (Maildir, Mbox)}


def accepted(form):
    """The format's name, if this build takes it."""
    path = postern.BASE + "/form"
    postern.write(path, FORMS[form].conf)
    if subprocess.run([postern.BUILD + "/sbin/pop3d", "-n", "-f", path],
                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                      check=False).returncode != 0:
        pytest.skip("no %s in this build" % form)
    return form
