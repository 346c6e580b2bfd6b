"""The queue: several recipients, hung mailboxes, reloads and sudden ends.

What is counted here is markers in subjects: each letter at each of its
recipients once, whatever happened on the way.
"""
import collections
import os
import random
import re
import signal
import threading
import time

import postern
from postern import (Pop, Smtp, eventually, maildir, message_files, messages,
                     wait_messages)

LETTER = b"Subject: %s\r\n\r\nHello.\r\n"
MARKER = re.compile(rb"^Subject: (marker-\S+)", re.M)
COUNT_RELOAD = 60 if postern.SANITIZED else 300
COUNT_KILL = 100 if postern.SANITIZED else 500
CONF = "retry-schedule 1s\nmax-messages 1000"
KILLS = 6
RELOADS = 3
SENDING = 10		# seconds
CATCHING = 300		# seconds in which an agent is seen at its work


def letter(number):
    return LETTER % (b"marker-%05d" % number)


def markers(user):
    return [m for text in messages(user) for m in MARKER.findall(text)]


def spool(daemon, place="queue"):
    return os.listdir(os.path.join(daemon.spool, place))


class Unusable:
    """A mailbox that can't be entered for a while."""

    def __init__(self, user):
        self.path = maildir(user)

    def __enter__(self):
        with open(self.path, "wb"):
            pass
        os.chmod(self.path, 0o000)
        return self

    def __exit__(self, *exc):
        os.unlink(self.path)


def send(daemon, count, recipients, first=0, seconds=0):
    """That many letters over one connection, each to recipients(number)."""
    with Smtp(daemon) as smtp:
        for number in range(first, first + count):
            assert smtp.mail(letter(number),
                             *recipients(number)).code == 250
            time.sleep(seconds / count)
        smtp.quit()


def test_one_of_several_has_to_wait(daemons, users):
    """A deferral is not forgotten when others' deliveries are recorded."""
    daemon = daemons("smtpd", CONF)
    names = users(6)
    for stuck in (0, 3, 5):
        postern.clear(*names)
        with Unusable(names[stuck]):
            send(daemon, 10, lambda number: names)
            for name in names:
                if name != names[stuck]:
                    wait_messages(name, 10)
            assert len(spool(daemon)) == 10
        for name in names:
            wait_messages(name, 10)
            assert sorted(markers(name)) == sorted(set(markers(name)))
        eventually(lambda: spool(daemon) == [], "an empty queue")
    assert spool(daemon, "failed") == []
    assert daemon.log("event=(spool-fault|undeliverable|unreadable)") == []
    for name in names:
        assert len(message_files(name)) == 10


def test_answers_of_different_turns(daemons, users):
    """The one that waits answers first, the last one long after."""
    daemon = daemons("smtpd", CONF)
    names = users(4)
    blocker = b"Subject: first\r\n\r\n" + b"x" * 70 * 10 + b"\r\n"
    with Unusable(names[0]):
        # The last one's line is long before the letter comes to it.
        with Smtp(daemon) as smtp:
            for _ in range(30):
                assert smtp.mail(blocker, names[3]).code == 250
            assert smtp.mail(letter(1), *names).code == 250
            smtp.quit()
        wait_messages(names[3], 31)
        for name in names[1:3]:
            wait_messages(name, 1)
        eventually(lambda: len(spool(daemon)) <= 1, "the others' are done")
        assert len(spool(daemon)) == 1
    wait_messages(names[0], 1)
    eventually(lambda: spool(daemon) == [], "an empty queue")
    assert [markers(name) for name in names] == [[b"marker-00001"]] * 4


class Hung:
    """A delivery agent of this user's, stopped wherever it is."""

    def __init__(self, daemon, user):
        self.daemon, self.user = daemon, user
        self.uid = postern.accounts.people[user][0]
        self.pid = None

    def find(self):
        for process in self.daemon.processes("smtpd-agents"):
            try:
                if process.uids()[0] == self.uid:
                    return process.pid
            except OSError:
                pass
        return None

    def is_caught(self):
        pid = self.find()
        if pid is None:
            return False
        self.pid = pid
        try:
            os.kill(pid, signal.SIGSTOP)
            while postern.Process(pid).state not in "TZX":
                time.sleep(0.001)
            return postern.Process(pid).state == "T"
        except (ProcessLookupError, FileNotFoundError):
            return False		# it was at its end

    def stop(self):
        eventually(self.is_caught, "an agent of " + self.user, CATCHING,
                   every=0.001)

    def release(self):
        postern.kill(self.pid, signal.SIGCONT)


def test_hung_mailboxes_do_not_stop_others(daemons, users):
    """Two agents that say nothing, 230 letters for both: others get theirs."""
    daemon = daemons("smtpd", CONF)
    first, second, third = users(3)
    hung = [Hung(daemon, first), Hung(daemon, second)]
    stoppers = [threading.Thread(target=h.stop) for h in hung]
    for thread in stoppers:
        thread.start()
    sent = 0
    while any(thread.is_alive() for thread in stoppers):
        send(daemon, 10, lambda number: (first, second), sent)
        sent += 10
    for thread in stoppers:
        thread.join()
    assert all(h.pid is not None for h in hung), "no agent was seen"
    try:
        send(daemon, 230, lambda number: (first, second), sent)
        sent += 230
        send(daemon, 5, lambda number: (third,), 90000)
        wait_messages(third, 5)
        send(daemon, 5, lambda number: (first, third), sent)
        sent += 5
        wait_messages(third, 10)
    finally:
        for h in hung:
            h.release()
    eventually(lambda: spool(daemon) == [], "an empty queue", 300)
    for name in (first, second):
        assert len(set(markers(name))) == len(markers(name))
    assert len(markers(first)) == sent and len(markers(second)) == sent - 5
    assert len(markers(third)) == 10


def test_reload_while_delivering(daemons, users):
    """SIGHUP ends the queue and starts another: each letter arrives once."""
    daemon = daemons("smtpd", CONF)
    names = users(10)
    sent, done, error = [], [], []

    def sender():
        """So many, and more until it was done often enough."""
        try:
            with Smtp(daemon) as smtp:
                while len(sent) < COUNT_RELOAD or len(done) < RELOADS:
                    for number in range(len(sent), len(sent) + 10):
                        assert smtp.mail(letter(number), names[number % 10],
                                         names[(number + 1) % 10]).code == 250
                        time.sleep(SENDING / 2 / COUNT_RELOAD)
                    sent.extend(range(10))
                smtp.quit()
        except Exception as problem:		# shown below
            error.append(problem)
            raise
    thread = threading.Thread(target=sender)
    thread.start()
    while thread.is_alive():
        # One start a second; what comes sooner is taken together.
        for _ in range(3):
            time.sleep(SENDING / 20)
            daemon.reload()
        try:
            daemon.wait_log("event=reloaded", len(done) + 1)
        except AssertionError:
            done.extend([False] * RELOADS)
            raise
        done.append(True)
    thread.join()
    assert not error
    eventually(lambda: sum(len(markers(name)) for name in names)
               >= 2 * len(sent), "everything delivered")
    eventually(lambda: spool(daemon) == [], "an empty queue")
    for number, name in enumerate(names):
        got = collections.Counter(markers(name))
        assert set(got.values()) == {1}
        assert len(got) == 2 * len(sent) // 10
    assert spool(daemon, "failed") == []
    assert daemon.log("event=(spool-fault|undeliverable|unreadable)") == []


class Collector(threading.Thread):
    """Collects by POP3 and deletes at once; what ever came is counted."""

    def __init__(self, pop3d, users):
        super().__init__(daemon=True)
        self.pop3d, self.users = pop3d, users
        self.found = collections.Counter()
        self.is_over = threading.Event()
        self.error = None

    def run(self):
        try:
            while not self.is_over.is_set():
                for user in self.users:
                    self.collect(user)
        except Exception as error:		# shown by the test
            self.error = error
            raise

    def collect(self, user):
        with Pop(self.pop3d, user) as pop:
            for number in range(1, pop.stat()[0] + 1):
                for marker in MARKER.findall(pop.retr(number)):
                    self.found[user, marker] += 1
                pop.ok("DELE %d" % number)
            pop.quit()


def test_queue_killed_while_mail_is_collected(daemons, users):
    """kill -9 of the queue alone: nobody gets anything twice, or not at all.

    The mailbox can't tell by the letter that it had it: it is gone at once.
    """
    pop3d = daemons("pop3d")
    daemon = daemons("smtpd", CONF)
    names = users(5)
    collector = Collector(pop3d, names)
    killed, sent, error = [], [], []

    def sender():
        """So many, and more as long as not enough was killed."""
        try:
            while len(sent) < COUNT_KILL or len(killed) < KILLS:
                send(daemon, 10, lambda n: (names[n % 5], names[(n + 1) % 5],
                                            names[(n + 2) % 5]), len(sent),
                     10 * SENDING / COUNT_KILL)
                sent.extend(range(10))
        except Exception as problem:		# shown below
            error.append(problem)
            raise
    thread = threading.Thread(target=sender)
    collector.start()
    thread.start()
    pauses = random.Random(1)
    while thread.is_alive():
        queues = eventually(lambda: daemon.processes("smtpd-queue"),
                            "a queue", every=0.005)
        # It has much to do when it comes, and then little.
        time.sleep(pauses.choice((0.01, 0.03, 0.1, 0.4)))
        for process in queues:
            postern.kill(process.pid)
            killed.append(process.pid)
        eventually(lambda: not set(p.pid for p in queues) & set(
            p.pid for p in daemon.processes("smtpd-queue")), "its end")
    thread.join()
    assert not error
    eventually(lambda: spool(daemon) == [], "an empty queue")
    eventually(lambda: collector.error or
               len(collector.found) >= 3 * len(sent), "all is collected")
    time.sleep(2)
    collector.is_over.set()
    collector.join()
    assert collector.error is None
    print("%d letters, each for three; the queue was killed %d times"
          % (len(sent), len(killed)))
    assert len(collector.found) == 3 * len(sent)
    assert [m for m, n in collector.found.items() if n > 1] == []


FULL = 5000 if postern.SANITIZED else 200000


def test_full_mailbox_after_a_restart(daemons, user):
    """One look through a full mailbox, not one for each letter."""
    conf = "retry-schedule 1s"
    daemon = daemons("smtpd", conf)
    with Unusable(user):
        send(daemon, 100, lambda number: (user,))
        eventually(lambda: len(daemon.log("event=deferred")) >= 100,
                   "100 deferrals")
        assert daemon.stop() == 0
        daemon.wait_nothing_left()
    first = postern.put_message(user, b"Subject: old\n\nx\n")
    uid, gid = postern.accounts.people[user][:2]
    new = os.path.dirname(first)
    for number in range(FULL):
        path = "%s/1000000000.Qold%017d.host,S=16,W=19" % (new, number)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        os.chown(path, uid, gid)
    daemon.forget_log()
    daemon.start()
    daemon.wait_log("event=delivered", 100)
    assert len(daemon.log("event=delivered")) == 100
    eventually(lambda: spool(daemon) == [], "an empty queue")
    daemon.wait_no_session()
    begun = time.process_time()
    assert len(os.listdir(new)) == FULL + 101
    look, took = time.process_time() - begun, spent_by_agents(daemon)
    print("100 letters into %d messages: %.2f s of CPU; a look takes %.2f"
          % (FULL, took, look))
    if not postern.SANITIZED:
        assert took < 30 * look


def spent_by_agents(daemon):
    """Seconds of CPU time of the agents that have ended."""
    agents, = [p for p in daemon.processes("smtpd-agents")
               if p.ppid == daemon.process.pid]
    with open("/proc/%d/stat" % agents.pid, encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
