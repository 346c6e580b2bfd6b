"""kill -9 at any moment: what was answered 250 arrives, and arrives once.

POSTERN_CRASH_MESSAGES (5000) is how many are answered 250 before it ends,
POSTERN_CRASH_SECONDS (45) how long that takes at least; with a sanitizer
build 500 and 25.
"""
import collections
import os
import random
import re
import signal
import threading
import time

import postern
from postern import CROWD, Ended, Pop, Smtp, messages

COUNT = int(os.environ.get("POSTERN_CRASH_MESSAGES",
                           "500" if postern.SANITIZED else "5000"))
SECONDS = float(os.environ.get("POSTERN_CRASH_SECONDS",
                               "15" if postern.SANITIZED else "45"))
CONNECTIONS = 20
LONGEST = 600		# seconds; on a host that is as slow as that


class Sender(threading.Thread):
    """One connection; a letter that got no answer is sent no second time."""

    def __init__(self, daemon, number, tally):
        super().__init__(daemon=True)
        self.daemon_, self.number, self.tally = daemon, number, tally
        self.random = random.Random(number)
        self.error = None

    def run(self):
        try:
            while not self.tally.is_done():
                try:
                    with Smtp(self.daemon_, hello=None) as smtp:
                        # A worker whose master died says 421 and ends.
                        if (smtp.greeting.code != 220
                                or smtp.cmd("EHLO x.test").code != 250):
                            continue
                        while not self.tally.is_done():
                            self.send_one(smtp)
                            self.think()
                except (OSError, Ended):
                    time.sleep(0.02)
        except Exception as error:		# shown by the test
            self.error = error
            raise

    def think(self):
        """Now and then a pause, so that all lasts as long as it should."""
        if self.random.random() < 0.25:
            time.sleep(self.random.expovariate(
                1 / (4 * SECONDS * CONNECTIONS / COUNT)))

    def send_one(self, smtp):
        marker = self.tally.next_marker()
        size = self.random.choice((0, 0, 10, 1000, 30000))
        user = self.random.choice(CROWD)
        content = (b"Subject: %s\r\n\r\n" % marker.encode()
                   + b"x" * 70 + b"\r\n") + (b"y" * 70 + b"\r\n") * (size // 72)
        self.tally.sent(marker, user)
        if smtp.cmd("MAIL FROM:<s@example.test>").code != 250:
            raise Ended("refused")
        if smtp.cmd("RCPT TO:<%s@example.test>" % user).code != 250:
            raise Ended("refused")
        if smtp.cmd("DATA").code != 354:
            raise Ended("refused")
        smtp.send(postern.stuff(content))
        if smtp.reply().code == 250:
            self.tally.answered(marker)


class Tally:
    def __init__(self, count):
        self.count, self.lock = count, threading.Lock()
        self.where, self.good, self.number = {}, set(), 0
        self.end = time.monotonic() + LONGEST

    def next_marker(self):
        with self.lock:
            self.number += 1
            return "marker-%06d-" % self.number

    def sent(self, marker, user):
        with self.lock:
            self.where[marker] = user

    def answered(self, marker):
        with self.lock:
            self.good.add(marker)

    def is_done(self):
        return len(self.good) >= self.count or time.monotonic() > self.end


class Killer(threading.Thread):
    """Kills a random process of the daemon, over and over."""

    def __init__(self, daemon, pause):
        super().__init__(daemon=True)
        self.daemon_, self.pause = daemon, pause
        self.victims = collections.Counter()
        self.is_over = threading.Event()
        self.random = random.Random(1)
        self.error = None

    def run(self):
        try:
            while not self.is_over.wait(self.pause):
                self.kill_one()
        except Exception as error:		# shown by the test
            self.error = error
            raise

    def kill_one(self):
        by_role = collections.defaultdict(list)
        for process in self.daemon_.processes():
            if process.role:
                by_role[process.role].append(process.pid)
        role = self.random.choice(sorted(by_role) or [None])
        if role is None:
            return
        pid = self.random.choice(by_role[role])
        postern.kill(pid, signal.SIGKILL)
        if pid == self.daemon_.process.pid:
            self.daemon_.process.wait(postern.PATIENCE)
            self.restart()
        elif role == self.daemon_.program:
            role = "fork of the master"		# which has not exec'd yet
        self.victims[role] += 1

    def has_killed_enough(self):
        return self.error is not None or (
            self.victims["smtpd"] > 0 and len(self.victims) >= 4)

    def restart(self):
        self.daemon_.old_sids.append(self.daemon_.process.pid)
        # A fork of its that has not exec'd yet has its listening sockets.
        postern.eventually(
            lambda: not self.daemon_.processes(self.daemon_.program),
            "no fork of the old master is left")
        self.daemon_.start()


class Collector(threading.Thread):
    """Collects by POP3 what has come, and deletes it, over and over.

    So a redelivery after a crash can't be known by the first copy's presence.
    """

    def __init__(self, pop3d, users):
        super().__init__(daemon=True)
        self.pop3d, self.users = pop3d, users
        self.found = collections.Counter()
        self.is_over = threading.Event()
        self.error = None

    def run(self):
        try:
            while not self.is_over.wait(0.05):
                for user in self.users:
                    self.collect(user)
        except Exception as error:		# shown by the test
            self.error = error
            raise

    def collect(self, user):
        with Pop(self.pop3d, user) as pop:
            count = pop.stat()[0]
            for number in range(1, count + 1):
                text = pop.retr(number)
                for marker in MARKER.findall(text):
                    self.found[marker.decode()] += 1
                pop.ok("DELE %d" % number)
            pop.quit()


MARKER = re.compile(rb"^Subject: (marker-\d+-)\r?$", re.M)
COLLECTED = CROWD[:10]


def markers_of(user):
    found = []
    for message in messages(user):
        found += MARKER.findall(message)
    return [marker.decode() for marker in found]


def test_kill_9_anywhere(daemons):
    postern.clear(*CROWD)
    collector = Collector(daemons("pop3d"), COLLECTED)
    collector.start()
    daemon = daemons("smtpd", "retry-schedule 1s\nmax-sessions 100")
    tally = Tally(COUNT)
    killer = Killer(daemon, 0.15)
    senders = [Sender(daemon, n, tally) for n in range(CONNECTIONS)]
    begun = time.monotonic()
    for thread in senders + [killer]:
        thread.start()
    for thread in senders:
        thread.join()
    # Each kind of process has been killed, however slow the host is.
    postern.eventually(killer.has_killed_enough, "more victims")
    killer.is_over.set()
    killer.join()
    sending = time.monotonic() - begun
    collector.is_over.set()
    collector.join()
    # Once more, all at once, and then it has the time that it needs.
    daemon.kill_tree()
    daemon.start()
    count = collections.Counter()

    def all_there():
        count.clear()
        count.update(collector.found)
        for user in CROWD:
            for marker in markers_of(user):
                count[marker] += 1
        return all(count[marker] for marker in tally.good)
    try:
        postern.eventually(all_there, "every answered letter in its mailbox",
                           every=0.5)
    finally:
        lost = [m for m in tally.good if count[m] == 0]
        twice = [m for m in count if count[m] > 1]
        print("%d sent, %d answered 250, %d of the others arrived too; "
              "%d lost, %d twice; %.0f s; killed: %s" % (
                  len(tally.where), len(tally.good),
                  sum(1 for m in count if m not in tally.good), len(lost),
                  len(twice), sending, dict(killer.victims)))
        print("%d of them collected and deleted meanwhile"
              % sum(collector.found.values()))
    time.sleep(1.5)
    all_there()
    assert not [thread.error for thread in senders + [killer, collector]
                if thread.error]
    assert len(tally.good) >= COUNT, "only %d in time" % len(tally.good)
    assert [m for m in tally.good if count[m] == 0] == []
    assert [m for m in count if count[m] > 1] == []
    # Every one with its own recipient, none with another.
    for user in CROWD:
        for marker in markers_of(user):
            assert tally.where[marker] == user
    assert killer.has_killed_enough()
    # Nothing stays behind in tmp/ for ever, and nothing in the spool.
    daemon.wait_no_session()
    postern.eventually(lambda: waiting(daemon) == [], "an empty spool")


def waiting(daemon):
    found = []
    for where, _, names in os.walk(daemon.spool + "/queue"):
        found += [os.path.join(where, name) for name in names]
    return found
