"""C6: a user who swaps links, FIFOs, directories and modes under her mailbox.

Meanwhile mail is delivered to her and to others and collected by POP3.  No
octet may land outside her own home and mbox, nothing may hang, and nobody
else's mail may be touched.  An mbox is in a spool directory where everybody may
make files, so another user attacks there, too.
"""
import collections
import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time

import pytest

import postern
from postern import Pop, Smtp, eventually
from puppet import tree

ATTACKER = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        "attacker.py")
SECONDS = 6
SENDERS = 5
MARKER = re.compile(rb"^Marker: (\S+)", re.M)
FILLER = b"0123456789abcdef" * 4 + b"\r\n"


def make_canaries(other_uid):
    """Places where a process of the user could write, if it were led there."""
    made = []
    for name, uid, mode, file_mode in (
            ("root", 0, 0o755, 0o644), ("open", 0, 0o1777, 0o666),
            ("other", other_uid, 0o777, 0o666)):
        path = os.path.join(postern.BASE, "canary-" + name)
        os.makedirs(path + "/new")
        with open(path + "/file", "wb") as file:
            file.write(b"untouched\n")
        for one, bits in ((path, mode), (path + "/new", mode),
                          (path + "/file", file_mode)):
            os.chown(one, uid, uid)
            os.chmod(one, bits)
        made.append(path)
    return made


def canary_state(paths):
    """Links that the attacker made to the files are hers, not octets."""
    return {path: state[:2] + state[3:]
            for path, state in tree(*paths).items()}


def assert_untouched(canaries, before):
    now = canary_state(canaries)
    changed = [path for path in set(now) | set(before)
               if now.get(path) != before.get(path)]
    assert not changed, changed[:5]


class Sender(threading.Thread):
    """Letters to the attacker and to others, each with a name of its own."""

    def __init__(self, smtpd, number, victim, others, is_over):
        super().__init__(daemon=True)
        self.smtpd, self.number, self.is_over = smtpd, number, is_over
        self.victim, self.others = victim, others
        self.good, self.error, self.slowest = {}, None, 0

    def run(self):
        try:
            count = 0
            while not self.is_over.is_set():
                with Smtp(self.smtpd) as smtp:
                    for _ in range(50):
                        count += 1
                        self.one(smtp, count)
                        if self.is_over.is_set():
                            break
        except BaseException as error:		# told of below
            self.error = error

    def one(self, smtp, count):
        marker = "%d-%d" % (self.number, count)
        user = self.victim if count % 3 else \
            self.others[count // 3 % len(self.others)]
        begun = time.monotonic()
        reply = smtp.mail(b"Marker: %s\r\n\r\n" % marker.encode()
                          + FILLER * (1 + count % 400), user)
        self.slowest = max(self.slowest, time.monotonic() - begun)
        assert reply.code == 250, reply
        self.good[marker] = user


class Collector(threading.Thread):
    """The victim's own mail program, which takes what it gets."""

    def __init__(self, pop3d, user, is_over):
        super().__init__(daemon=True)
        self.pop3d, self.user, self.is_over = pop3d, user, is_over
        self.sessions = self.retrieved = self.slowest = 0
        self.error = None

    def run(self):
        while not self.is_over.is_set() and self.error is None:
            begun = time.monotonic()
            try:
                # What the server ends it may end, if it says so at once.
                with contextlib.suppress(postern.Ended, ConnectionError):
                    self.session()
            except BaseException as error:	# told of below
                self.error = error
            self.slowest = max(self.slowest, time.monotonic() - begun)

    def session(self):
        with Pop(self.pop3d) as pop:
            pop.cmd("USER " + self.user)
            if not pop.cmd("PASS " + postern.password(
                    self.user)).startswith("+OK"):
                return
            self.sessions += 1
            total = pop.stat()[0]
            for number in range(max(1, total - 5), total + 1):
                if pop.cmd("RETR %d" % number).startswith("+OK"):
                    assert b"root" not in b"".join(pop.body())
                    self.retrieved += 1
            pop.cmd("QUIT")


def markers_in(path, found):
    if not os.path.isfile(path) or os.path.islink(path):
        return
    with open(path, "rb") as file:
        content = file.read()
    if content.startswith((b"Return-Path:", b"From ")):
        for marker in MARKER.findall(content):
            found[marker.decode()] += 1


def markers_below(directory):
    """{marker: how many files}: of whole letters, wherever they are."""
    found = collections.Counter()
    for where, _, names in os.walk(directory):
        for name in names:
            markers_in(os.path.join(where, name), found)
    return found


def spooled(smtpd):
    return os.listdir(smtpd.spool + "/queue")


class Maildir:
    conf = ""
    letters = 500		# at least, while it is attacked

    @staticmethod
    def prepare(users):
        """Fresh accounts have none."""

    @staticmethod
    def attackers(victim, stranger):
        return [("maildir", victim), ("maildir", victim)]

    @staticmethod
    def make_good(user):
        """After the attack: a mailbox again, whatever is left of it."""
        uid = postern.accounts.people[user][0]
        home = postern.home(user)
        os.chmod(home, 0o700)
        for where, folders, _ in os.walk(home):
            for name in folders:
                if not os.path.islink(os.path.join(where, name)):
                    os.chmod(os.path.join(where, name), 0o700)
        top = postern.maildir(user)
        for path in [top] + [top + "/" + f for f in ("tmp", "new", "cur")]:
            if os.path.islink(path) or not os.path.isdir(path):
                if os.path.lexists(path):
                    os.rename(path, odd_name(home))
                os.mkdir(path, 0o700)
                os.chown(path, uid, uid)
        put_aside(top + "/postern.lock", uid, odd_name(home))

    @staticmethod
    def delivered(user):
        return markers_below(postern.maildir(user) + "/new")

    @staticmethod
    def anywhere(user):
        return markers_below(postern.home(user))

    @staticmethod
    def places(user):
        return [postern.home(user)]


class Mbox:
    conf = "mailbox mbox /var/mail/%u\n"
    letters = 100

    @staticmethod
    def prepare(users):
        os.chmod("/var/mail", 0o1777)
        for name in os.listdir("/var/mail"):
            if name.partition(".")[0] in users:
                path = "/var/mail/" + name
                if os.path.isdir(path) and not os.path.islink(path):
                    os.rmdir(path)
                else:
                    os.unlink(path)

    @staticmethod
    def attackers(victim, stranger):
        return [("mbox", victim), ("stranger", stranger)]

    @staticmethod
    def make_good(user):
        uid = postern.accounts.people[user][0]
        home = postern.home(user)
        box = "/var/mail/" + user
        put_aside(box, uid, box + ".odd")
        put_aside(box + ".lock", None, box + ".odd-lock")
        state = home + "/.postern"
        if os.path.islink(state) or not os.path.isdir(state):
            if os.path.lexists(state):
                os.rename(state, odd_name(home))
        else:
            os.chmod(state, 0o700)
            for name in os.listdir(state):
                put_aside(state + "/" + name, uid, odd_name(home))

    @staticmethod
    def delivered(user):
        found = collections.Counter()
        markers_in("/var/mail/" + user, found)
        return found

    @staticmethod
    def anywhere(user):
        found = markers_below(postern.home(user))
        for path in Mbox.places(user)[1:]:
            markers_in(path, found)
        return found

    @staticmethod
    def places(user):
        return [postern.home(user)] + [
            "/var/mail/" + name for name in os.listdir("/var/mail")
            if name.partition(".")[0] == user]


def odd_name(home):
    return "%s/odd-%d" % (home, time.monotonic_ns())


def put_aside(path, uid, away):
    """If it is not a file of that user's alone, move it away."""
    if os.path.lexists(path) and (
            os.path.islink(path) or not os.path.isfile(path)
            or os.stat(path).st_nlink != 1 or os.stat(path).st_uid != uid):
        os.rename(path, away)


def attack(place, victim, stranger, canaries):
    home = postern.home(victim)
    script = postern.BASE + "/attacker.py"
    shutil.copyfile(ATTACKER, script)
    os.chmod(script, 0o755)
    found = []
    for seed, (what, user) in enumerate(place.attackers(victim, stranger)):
        uid, gid = postern.accounts.people[user][:2]
        found.append(subprocess.Popen(
            [sys.executable, "-I", script, what, home, str(SECONDS),
             str(seed)] + canaries, user=uid, group=gid, extra_groups=[],
            cwd="/", stdout=subprocess.PIPE, stdin=subprocess.PIPE))
    return found


def assert_owners(place, user, stranger=None):
    """Nothing there is root's or another's, but second names of canaries."""
    people = postern.accounts.people
    uids = {people[user][0], people[stranger or user][0]}
    for path in place.places(user):
        for found in [path] + [
                os.path.join(where, name) for where, folders, names
                in (os.walk(path) if not os.path.islink(path) else ())
                for name in folders + names]:
            status = os.lstat(found)
            assert status.st_uid in uids or status.st_nlink > 1, found


@pytest.fixture(params=(Maildir, Mbox))
def place(request):
    yield request.param
    os.chmod("/var/mail", 0o2775)


def test_C6_a_mailbox_that_moves(daemons, users, place):
    victim, *others = users(4)
    place.prepare([victim] + others)
    canaries = make_canaries(postern.accounts.people[others[0]][0])
    before = canary_state(canaries)
    smtpd = daemons("smtpd", place.conf + "retry-schedule 1s\n")
    pop3d = daemons("pop3d", place.conf)
    with Smtp(smtpd) as smtp:		# so that there is something to attack
        assert smtp.mail(b"Marker: first\r\n\r\n", victim).code == 250
    eventually(lambda: place.delivered(victim), "the first letter")
    with Pop(pop3d, victim) as pop:
        pop.quit()
    attackers = attack(place, victim, others[0], canaries)
    is_over, end = threading.Event(), time.monotonic() + SECONDS
    threads = [Sender(smtpd, n, victim, others, is_over)
               for n in range(SENDERS)]
    collectors = [Collector(pop3d, victim, is_over) for _ in range(2)]
    for thread in threads + collectors:
        thread.start()
    eventually(lambda: any(t.error for t in threads + collectors) or (
        time.monotonic() > end
        and sum(len(t.good) for t in threads) > place.letters
        and sum(c.sessions for c in collectors) > 5),
        "letters and sessions under attack", 300)
    is_over.set()
    for thread in threads + collectors:
        thread.join(300)
        assert not thread.is_alive(), "it hangs"
        assert thread.error is None, repr(thread.error)
    moves = [int(process.communicate(timeout=postern.PATIENCE)[0])
             for process in attackers]
    place.make_good(victim)

    good = {"first": victim}
    for thread in threads:
        good.update(thread.good)
    theirs = [m for m, user in good.items() if user != victim]
    print("%d letters, %d of them the victim's; %s moves; slowest %.1f s; "
          "%d sessions, %d retrieved, slowest %.1f s" % (
              len(good), len(good) - len(theirs), moves,
              max(t.slowest for t in threads),
              sum(c.sessions for c in collectors),
              sum(c.retrieved for c in collectors),
              max(c.slowest for c in collectors)))
    # Nothing outside.
    assert_untouched(canaries, before)
    # What was put off comes in now; nothing is lost, hers or others'.
    eventually(lambda: spooled(smtpd) == [], "an empty spool", 300, every=0.2)
    there = place.anywhere(victim)
    lost = [m for m, user in good.items() if user == victim and not there[m]]
    assert not lost, "%d lost: %s" % (len(lost), lost[:5])
    for other in others:
        there = place.delivered(other)
        wanted = {m for m, user in good.items() if user == other}
        missing, more = wanted - set(there), set(there) - wanted
        assert not missing and not more, (
            other, len(missing), len(more), sorted(missing | more)[:5])
        assert set(there.values()) <= {1}, other
        assert_owners(place, other)
    assert_owners(place, victim, others[0])
    assert_untouched(canaries, before)
    assert min(moves) > 100
    # No one else but she noticed.
    with Pop(pop3d, others[1]) as pop:
        assert pop.stat()[0] == len(place.delivered(others[1]))
    with Pop(pop3d, victim) as pop:
        pop.ok("STAT")
    for daemon in (smtpd, pop3d):
        daemon.wait_no_session()
        assert not daemon.log("event=(worker-crash|role-ended|renew|died|bug)")
    shutil.rmtree(postern.BASE + "/canary-root")
    shutil.rmtree(postern.BASE + "/canary-open")
    shutil.rmtree(postern.BASE + "/canary-other")
    postern.clear(victim, *others)
    place.prepare([victim] + others)
