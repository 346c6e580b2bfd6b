"""kill -9 at any moment of a letter's whole way: lists, .forward, relay, bounce.

Letters go to mailboxes, through a list with an owner, through .forward files,
to a host elsewhere and to one that refuses them.  Afterwards none is lost; none
is in a mailbox twice; the host has one twice only where its reply to the end of
the letter was lost or not yet on record; and whoever sent one that was refused
was told once.

What is on record the host can see: the next letter comes on a connection only
when the outcome of the one before is.

POSTERN_CRASH_LETTERS (500; with a sanitizer build 150) is how many are answered
250 before it ends, POSTERN_CRASH_KILLS (40) how many processes die at least.
"""
import collections
import email
import os
import random
import re
import threading
import time

import pytest

import dnsstub
import postern
from postern import CROWD, Ended, Smtp
from sink import Sink
from test_crash import Killer, LONGEST

pytestmark = pytest.mark.may_crash

LETTERS = int(os.environ.get("POSTERN_CRASH_LETTERS",
                             "150" if postern.SANITIZED else "500"))
KILLS = int(os.environ.get("POSTERN_CRASH_KILLS", "40"))
CONNECTIONS = 10
VICTIMS = {"smtpd", "smtpd-queue", "smtpd-relay", "smtpd-resolver",
           "smtpd-agents", "smtpd-worker"}
SUBJECT = re.compile(rb"^Subject: (marker-\d+-)\r?$", re.M)

DIRECT = CROWD[:10]
MEMBERS, OWNER = CROWD[10:12], CROWD[12]
AWAY, MOVED, NEW_PLACE = CROWD[13:16]
SENDERS = CROWD[16:20]
ALIASES = ("team: %s, %s, tm@sink.example, no-team@refuse.example\n"
           "owner-team: %s\n" % (*MEMBERS, OWNER))
FORWARDS = {AWAY: "fwd@sink.example", MOVED: NEW_PLACE + "@example.test"}


def ends(recipient, sender):
    """Where a letter to it must be in the end: (kind, where, who)."""
    local, _, domain = recipient.partition("@")
    if local == "team":
        return ([("box", user, "") for user in MEMBERS]
                + ends("tm@sink.example", OWNER)
                + ends("no-team@refuse.example", OWNER))
    if local in FORWARDS:
        return ends(FORWARDS[local], sender)
    if domain == "example.test":
        return [("box", local, "")]
    if domain == "sink.example":
        return [("sink", recipient, "")]
    return [("told", sender, recipient)]


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
                        if (smtp.greeting.code != 220
                                or smtp.cmd("EHLO x.test").code != 250):
                            continue
                        while not self.tally.is_done():
                            self.send_one(smtp)
                except (OSError, Ended):
                    time.sleep(0.02)
        except Exception as error:		# shown by the test
            self.error = error
            raise

    def recipients(self, number):
        chosen = [self.random.choice(DIRECT) + "@example.test"]
        others = ("team@example.test", AWAY + "@example.test",
                  MOVED + "@example.test", "r%d@sink.example" % (number % 7),
                  "s@sink.example", "no%d@refuse.example" % (number % 5),
                  "nobody@refuse.example")
        chosen += self.random.sample(others, self.random.choice((0, 1, 2, 4)))
        self.random.shuffle(chosen)
        return chosen

    def send_one(self, smtp):
        number = self.tally.next_number()
        marker, sender = "marker-%06d-" % number, self.random.choice(SENDERS)
        recipients = self.recipients(number)
        content = (b"Subject: %s\r\n\r\n" % marker.encode() + b"x" * 70
                   + b"\r\n") * 1 + b"y\r\n" * self.random.choice((0, 9000))
        self.tally.sent(marker, [end for r in recipients
                                 for end in ends(r, sender)])
        if smtp.cmd("MAIL FROM:<%s@example.test>" % sender).code != 250:
            raise Ended("refused")
        for recipient in recipients:
            if smtp.cmd("RCPT TO:<%s>" % recipient).code != 250:
                raise Ended("refused")
        if smtp.cmd("DATA").code != 354:
            raise Ended("refused")
        smtp.send(postern.stuff(content))
        if smtp.reply().code == 250:
            self.tally.answered(marker)


class Tally:
    def __init__(self):
        self.lock = threading.Lock()
        self.ends, self.good, self.number = {}, set(), 0
        self.limit = time.monotonic() + LONGEST * max(1, LETTERS // 2000)

    def next_number(self):
        with self.lock:
            self.number += 1
            return self.number

    def sent(self, marker, wanted):
        with self.lock:
            self.ends[marker] = wanted

    def answered(self, marker):
        with self.lock:
            self.good.add(marker)

    def is_done(self):
        return len(self.good) >= LETTERS or time.monotonic() > self.limit

    def wanted(self):
        return {(marker,) + end for marker in self.good
                for end in self.ends[marker]}


class Boxes:
    """What came to mailboxes: letters, and what senders were told."""

    def __init__(self):
        self.seen, self.count = set(), collections.Counter()

    def look(self):
        for user in CROWD[:20]:
            for path in postern.message_files(user):
                name = os.path.basename(path).partition(":")[0]
                if (user, name) not in self.seen:
                    self.seen.add((user, name))
                    with open(path, "rb") as file:
                        self.take(user, file.read())
        return self.count

    def take(self, user, text):
        marker, = SUBJECT.findall(text)
        if user not in SENDERS and user != OWNER:
            self.count[marker.decode(), "box", user, ""] += 1
            return
        message = email.message_from_bytes(text)
        assert message.get_content_type() == "multipart/report"
        for group in message.get_payload()[1].get_payload()[1:]:
            who = group["Final-Recipient"].partition("; ")[2]
            assert group["Action"] == "failed" and group["Status"] == "5.1.1"
            assert "550 5.1.1 nobody" in group["Diagnostic-Code"]
            self.count[marker.decode(), "told", user, who] += 1


def taken(sink):
    """{end: [letter, ...]} of what the host said 250 to, in order."""
    found = collections.defaultdict(list)
    with sink.lock:
        letters = list(sink.letters)
    for letter in letters:
        marker = SUBJECT.search(letter.content).group(1).decode()
        for line in letter.recipients:
            address = line.partition("<")[2].partition(">")[0]
            found[marker, "sink", address, ""].append(letter)
    return found


def is_on_record(letter):
    """The next one came by the same connection."""
    return any(line.startswith("MAIL")
               for line in letter.session.commands[letter.at:])


@pytest.fixture
def smtpd(daemons, host):
    postern.clear(*CROWD)
    postern.write("/etc/aliases", ALIASES)
    for user, target in FORWARDS.items():
        uid, gid, home, _ = postern.accounts.people[user]
        postern.write(home + "/.forward", target + "\n")
        os.chown(home + "/.forward", uid, gid)
    zone = dnsstub.Zone()
    zone.mail("sink.example", (10, "mx.sink.example"))
    zone.host("mx.sink.example", "192.0.2.2")
    zone.host("refuse.example", "192.0.2.2")
    names = dnsstub.Server(zone)
    yield daemons("smtpd", "retry-schedule 1s\nmax-sessions 100\n"
                  "trusted-networks 127.0.0.0/8\ndns-server %s@%d"
                  % (names.address, names.port))
    names.close()
    postern.write("/etc/aliases", "")
    postern.clear(*CROWD)


def rcpt(sink, session, line):
    return "550 5.1.1 nobody" if "@refuse.example" in line else None


def end(sink, session, line):
    """It takes its time: more can happen before it answers."""
    time.sleep(random.random() * 0.03)


class Murder(Killer):
    def has_killed_enough(self):
        return self.error is not None or (
            sum(self.victims.values()) >= KILLS
            and VICTIMS <= set(self.victims))


def waiting(daemon):
    return [name for _, _, names in os.walk(daemon.spool + "/queue")
            for name in names]


def test_kill_9_on_the_way(smtpd):
    tally, boxes = Tally(), Boxes()
    with Sink(RCPT=rcpt, end=end) as sink:
        killer = Murder(smtpd, 0.3)
        senders = [Sender(smtpd, n, tally) for n in range(CONNECTIONS)]
        begun = time.monotonic()
        for thread in senders + [killer]:
            thread.start()
        for thread in senders:
            thread.join()
        postern.eventually(killer.has_killed_enough, "more victims",
                           seconds=LONGEST)
        killer.is_over.set()
        killer.join()
        killing = time.monotonic() - begun
        # Once more, all at once, and then they have the time that they need.
        smtpd.kill_tree()
        smtpd.start()
        wanted = tally.wanted()

        def missing():
            there = set(boxes.look()) | set(taken(sink))
            return sorted(wanted - there)
        try:
            postern.eventually(lambda: not missing(), "all are there",
                               seconds=LONGEST, every=0.5)
            postern.eventually(lambda: waiting(smtpd) == [],
                               "an empty spool", seconds=LONGEST)
        finally:
            boxes.look()
            at_sink = taken(sink)
            again = {e: l for e, l in at_sink.items() if len(l) > 1}
            print("%d sent, %d answered 250, with %d ends: %d mailboxes, %d "
                  "elsewhere, %d refused; %d missing; %d twice elsewhere; "
                  "%.0f s of killing %d: %s; %.0f s in all" % (
                      len(tally.ends), len(tally.good), len(wanted),
                      sum(e[1] == "box" for e in wanted),
                      sum(e[1] == "sink" for e in wanted),
                      sum(e[1] == "told" for e in wanted), len(missing()),
                      len(again), killing, sum(killer.victims.values()),
                      dict(killer.victims), time.monotonic() - begun))
    assert not [t.error for t in senders + [killer] if t.error]
    assert len(tally.good) >= LETTERS, "only %d in time" % len(tally.good)
    assert [e for e, n in boxes.count.items() if n > 1] == []
    for letters in again.values():
        assert not any(is_on_record(letter) for letter in letters[:-1])
    # Nobody got what was not for him, and who got none of it has got all.
    arrived = set(boxes.count) | set(at_sink)
    sent = {(marker,) + e for marker, all in tally.ends.items() for e in all}
    assert arrived <= sent
    begun = {e[0] for e in arrived}
    assert {e for e in sent if e[0] in begun} == arrived
