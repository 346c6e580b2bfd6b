"""Delivery to an mbox and POP3 on it while agents and keepers are killed.

Three places: the spool directory as Debian has it (root:mail, 2775), with a
sticky bit (1777), and the user's home.
"""
import collections
import contextlib
import os
import random
import re
import signal
import threading
import time

import pytest

import postern
import private
from postern import Ended, Pop, Smtp

PLACES = {"group": ("/var/mail/%u", 0o2775), "sticky": ("/var/mail/%u", 0o1777),
          "home": ("~/mbox", 0o2775)}
COUNT = 60 if postern.SANITIZED else 150
MARKER = re.compile(rb"^Subject: (marker-\d+-)\r?$", re.M)
USERS = ("alice", "bob", "carol")


class Place:
    def __init__(self, name):
        self.name = name
        self.path, mode = PLACES[name]
        self.conf = "mailbox mbox %s\nretry-schedule 1s\n" % self.path
        os.chown("/var/mail", 0, 8)
        os.chmod("/var/mail", mode)

    def of(self, user):
        if self.name == "home":
            return postern.home(user) + "/mbox"
        return "/var/mail/" + user

    def clear(self, *users):
        postern.clear(*users)
        for user in users:
            for end in ("", ".lock"):
                try:
                    os.unlink(self.of(user) + end)
                except FileNotFoundError:
                    pass

    def markers(self, user):
        try:
            with open(self.of(user), "rb") as file:
                return [m.decode() for m in MARKER.findall(file.read())]
        except FileNotFoundError:
            return []


@pytest.fixture(scope="module", params=PLACES)
def place(request, host):
    yield Place(request.param)
    os.chmod("/var/mail", 0o2775)


@pytest.fixture(scope="module")
def pop3d(daemons, place):
    return daemons("pop3d", place.conf.replace("retry-schedule 1s\n", ""))


@pytest.fixture(scope="module")
def smtpd(daemons, place):
    return daemons("smtpd", place.conf)


def send(smtp, marker, user, size=0):
    content = (b"Subject: %s\r\n\r\nFrom me\r\n" % marker.encode()
               + (b"y" * 70 + b"\r\n") * (size // 72))
    assert smtp.mail(content, user).code == 250


def keepers(daemon, user):
    """Processes beside an agent of this user's."""
    return [p for p in daemon.session_processes()
            if p.role.endswith("-agents") and p.is_of(user) and keeps(p.pid)]


def keeps(pid):
    """An agent has a descriptor on the mbox; a keeper on no mail at all."""
    try:
        names = os.listdir("/proc/%d/fd" % pid)
    except (FileNotFoundError, ProcessLookupError):
        return False		# has just ended
    for number in names:
        try:
            target = os.readlink("/proc/%d/fd/%s" % (pid, number))
        except (FileNotFoundError, ProcessLookupError):
            continue
        if "/.postern" in target or target.endswith("/mbox"):
            return False
    return True


def test_file_made(place, smtpd, pop3d):
    """Made by the user, for the user (and the spool's group)."""
    place.clear("alice")
    with Smtp(smtpd) as smtp:
        send(smtp, "marker-1-", "alice")
    postern.eventually(lambda: place.markers("alice"), "a letter")
    st = os.stat(place.of("alice"))
    uid = postern.accounts.people["alice"][0]
    expected = {"group": (uid, 8, 0o660), "sticky": (uid, uid, 0o600),
                "home": (uid, uid, 0o600)}[place.name]
    assert (st.st_uid, st.st_gid, st.st_mode & 0o7777) == expected
    smtpd.wait_no_session()
    assert not os.path.exists(place.of("alice") + ".lock")
    state = postern.home("alice") + "/.postern"
    assert os.stat(state).st_mode & 0o7777 == 0o700
    assert not [n for n in os.listdir(state) if n[:5] in ("begun", "done.")]
    with Pop(pop3d, "alice") as pop:
        assert pop.stat()[0] == 1
        text = pop.retr(1)
        assert b"\r\nFrom me\r\n" in text and not text.startswith(b"From ")
        pop.ok("DELE 1")
        pop.quit()
    assert os.path.getsize(place.of("alice")) == 0


@pytest.mark.may_crash
def test_keeper_is_little(place, pop3d):
    """The user with the directory's group, no more; gone with the agent."""
    place.clear("bob")
    uid, gid = postern.accounts.people["bob"][:2]
    with Pop(pop3d, "bob") as pop:
        pop.stat()
        found = postern.eventually(lambda: keepers(pop3d, "bob"),
                                   "a keeper")
        assert len(found) == 1
        status = found[0].status()
        group = 8 if place.name == "group" else gid
        assert found[0].uids() == (uid,) * 4
        assert status["Gid"].split() == [str(group)] * 4
        assert status["Groups"] == ""
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        if not postern.SANITIZED:
            assert status["Seccomp"] == "2"
        agent = [p for p in pop3d.session_processes()
                 if p.is_of("bob") and p.pid != found[0].pid]
        assert len(agent) == 1
        assert agent[0].status()["Gid"].split() == [str(gid)] * 4
        before = len(pop3d.log("event=died"))
        postern.kill(agent[0].pid)
        postern.eventually(lambda: not keepers(pop3d, "bob"), "its end")
        pop3d.wait_log("event=died", before + 1)


@pytest.mark.parametrize("trap", ("file", "symlink", "dangling", "hard link",
                                  "fifo", "directory"))
def test_squatter(place, smtpd, pop3d, trap):
    """Another user was there first, where everybody may make files."""
    if place.name != "sticky":
        pytest.skip("only in a directory where everybody may make files")
    place.clear("dave", "erin")
    path, uid = place.of("dave"), postern.accounts.people["erin"][0]
    victim = postern.home("dave") + "/precious"
    if trap == "hard link":
        victim = "/var/mail/precious"
    postern.write(victim, "precious\n")
    os.chown(victim, postern.accounts.people["dave"][0], -1)
    if trap == "file":
        postern.write(path, "", 0o666)
        os.chown(path, uid, uid)
    elif trap == "symlink":
        os.symlink(victim, path)
    elif trap == "dangling":
        os.symlink(victim + "-none", path)
    elif trap == "hard link":
        os.link(victim, path)
    elif trap == "fifo":
        os.mkfifo(path, 0o666)
    else:
        os.mkdir(path, 0o777)
    before = len(smtpd.log("event=deferred"))
    with Smtp(smtpd) as smtp:
        send(smtp, "marker-1-", "dave")
    smtpd.wait_log("event=deferred", before + 1)
    with Pop(pop3d) as pop:
        pop.ok("USER dave")
        assert pop.cmd("PASS " + postern.password("dave")).startswith("-ERR")
    with open(victim, "rb") as file:
        assert file.read() == b"precious\n"
    assert not os.path.exists(victim + "-none")
    os.rmdir(path) if trap == "directory" else os.unlink(path)
    os.unlink(victim)
    postern.eventually(lambda: place.markers("dave"), "a letter")
    smtpd.wait_no_session()
    place.clear("dave")


def test_home_of_root(place, pop3d, smtpd):
    """An account for mail only: its mail waits for a ~/.postern, and the log
    says so; one that root makes is enough."""
    if place.name == "home":
        pytest.skip("the mbox is in the home")
    name, uid, home = "mailonly", 2901, private.HOMES + "/mailonly"
    postern.accounts.add(name, uid, "secret", home=home)
    postern.accounts.write()
    place.clear(name)		# makes it the user's
    os.chown(home, 0, 0)
    os.chmod(home, 0o755)
    before = len(smtpd.log("event=no-state user=mailonly"))
    with Smtp(smtpd) as smtp:
        send(smtp, "marker-1-", name)
    smtpd.wait_log("event=no-state user=mailonly", before + 1)
    with Pop(pop3d) as pop:
        pop.ok("USER " + name)
        assert "[SYS/TEMP]" in pop.err("PASS secret")
    assert place.markers(name) == []
    os.mkdir(home + "/.postern", 0o700)
    os.chown(home + "/.postern", uid, uid)
    postern.eventually(lambda: place.markers(name) == ["marker-1-"], "a letter")
    smtpd.wait_no_session()
    with Pop(pop3d) as pop:
        pop.ok("USER " + name)
        pop.ok("PASS secret")
        assert pop.stat()[0] == 1
        pop.ok("DELE 1")
        assert pop.quit().startswith("+OK")
    assert place.markers(name) == []
    place.clear(name)


def test_lock_of_a_dead_process(place, pop3d, smtpd):
    """A lock whose process is gone holds nobody up; a live one's does.

    So does another host's, and a container's: a number that is no process here
    may well be one there.
    """
    place.clear("carol")
    lock = place.of("carol") + ".lock"
    uid, gid = postern.accounts.people["carol"][:2]
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        here = "%s %d\n" % (file.read().strip(),
                            os.stat("/proc/self/ns/pid").st_ino)
    postern.write(lock, "%d\n%s" % (child, here))
    os.chown(lock, uid, gid)
    with Pop(pop3d, "carol") as pop:
        assert pop.stat() == (0, 0)
        pop.quit()
    with Smtp(smtpd) as smtp:
        send(smtp, "marker-1-", "carol")
    postern.eventually(lambda: place.markers("carol"), "a letter")
    smtpd.wait_no_session()
    assert not os.path.exists(lock)
    for text in ("%d\n%s" % (os.getpid(), here), "%d\n" % child,
                 "%d\n0%s" % (child, here)):
        postern.write(lock, text)
        os.chown(lock, uid, gid)
        with Pop(pop3d) as pop:
            pop.ok("USER carol")
            assert pop.cmd("PASS " + postern.password("carol")).startswith(
                "-ERR [IN-USE]")
    os.unlink(lock)
    place.clear("carol")


def is_user(process):
    try:
        return process.uids()[0] >= 1000
    except (FileNotFoundError, ProcessLookupError):
        return False		# has just ended


class Worker(threading.Thread):
    """Does something over and over until told to end."""

    def __init__(self, work, pause):
        super().__init__(daemon=True)
        self.work, self.pause = work, pause
        self.is_over = threading.Event()
        self.error = None

    def run(self):
        try:
            while not self.is_over.wait(self.pause):
                self.work()
        except Exception as error:		# shown by the test
            self.error = error
            raise

    def end(self):
        self.is_over.set()
        self.join()
        assert self.error is None, self.error


@pytest.mark.may_crash
def test_kill_9(place, pop3d, smtpd):
    """Agents and keepers of both daemons are killed; each letter comes once."""
    place.clear(*USERS)
    found, killed = collections.Counter(), collections.Counter()
    rng = random.Random(3)
    where, in_peace = {}, [0]

    def kill_one():
        # Whoever was killed too often may finish what he looks for.
        daemon = rng.choice((pop3d, smtpd)[in_peace[0]:])
        victims = [p for p in daemon.session_processes()
                   if p.role.endswith("-agents") and is_user(p)]
        if victims:
            victim = rng.choice(victims)
            postern.kill(victim.pid, signal.SIGKILL)
            killed[victim.role] += 1

    def collect():
        user = rng.choice(USERS)
        try:
            with Pop(pop3d) as pop:
                pop.ok("USER " + user)
                if not pop.cmd("PASS " + postern.password(user)).startswith(
                        "+OK"):
                    return
                take(pop, user)
        except (OSError, Ended):
            pass

    def take(pop, user):
        """Only what was surely deleted counts; what was not comes again."""
        got = []
        for number in range(1, pop.stat()[0] + 1):
            if not pop.cmd("RETR %d" % number).startswith("+OK"):
                continue
            text = b"".join(line + b"\r\n" for line in pop.body())
            assert b"\0" not in text
            got += [m.decode() for m in MARKER.findall(text)]
            if rng.random() < 0.7:
                pop.ok("DELE %d" % number)
            else:
                got.pop()
        try:
            done = pop.cmd("QUIT").startswith("+OK")
        except (OSError, Ended):
            done = None
        # Wait until whoever deletes has ended, then see what is left.
        if not done:
            left = settled(user)
            got = [m for m in got if m not in left]
        found.update(got)

    def settled(user):
        """What is left when a session has been there since."""
        try:
            for tries in range(1000):
                in_peace[0] = int(tries > 20)
                left = looked_at(user)
                if left is not None:
                    return left
                time.sleep(0.05)
        finally:
            in_peace[0] = 0
        raise AssertionError("no session in a thousand tries")

    def looked_at(user):
        """None: it was killed, or another's lock is there."""
        with contextlib.suppress(OSError, Ended, AssertionError):
            with Pop(pop3d, user) as pop:
                left = []
                for number in range(1, pop.stat()[0] + 1):
                    left += [m.decode() for m in
                             MARKER.findall(pop.retr(number))]
                pop.quit()
                return left
        return None
    workers = [Worker(kill_one, 0.03), Worker(collect, 0.02)]
    for worker in workers:
        worker.start()
    with Smtp(smtpd) as smtp:
        while len(where) < COUNT or not (killed["pop3d-agents"]
                                         and killed["smtpd-agents"]):
            assert all(worker.is_alive() for worker in workers)
            marker, user = "marker-%d-" % len(where), rng.choice(USERS)
            where[marker] = user
            send(smtp, marker, user, rng.choice((0, 0, 3000, 200000)))
            time.sleep(0.02)
    workers[0].end()
    workers[1].end()

    def count():
        total = collections.Counter(found)
        for user in USERS:
            total.update(settled(user))
        return total
    postern.eventually(lambda: len(count()) == len(where), "all letters",
                       every=0.3)
    time.sleep(1.5)
    total = count()
    print("%s: %d letters, %d collected, killed: %s" % (
        place.name, len(where), sum(found.values()), dict(killed)))
    assert set(total) == set(where)
    assert [m for m in total if total[m] != 1] == []
    assert killed["pop3d-agents"] > 0 and killed["smtpd-agents"] > 0
    smtpd.wait_no_session()
    pop3d.wait_no_session()
    for user in USERS:
        assert not os.path.exists(place.of(user) + ".lock")
        state = os.listdir(postern.home(user) + "/.postern")
        assert not [n for n in state if n.startswith(("begun", "expunge"))]
