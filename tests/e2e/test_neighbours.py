"""Living with others: many mail programs at work on the same mailboxes.

mutt, mail(1) (s-nail), procmail, Postfix's local(8) and virtual(8), Dovecot's
delivery program and POP3 server, and our two daemons, all at the same time:
nothing is lost, nothing is there twice, no UIDL is used again, and every
mailbox is well-formed.  Each letter says who may delete it, so that whoever
else makes it vanish is found out.

POSTERN_NEIGHBOURS is how many deliveries, reads and deletions are made, both
formats together; a quarter of them in mbox, where everybody waits for locks.
POSTERN_NEIGHBOURS_SEED makes the same choices again, though not at the same
moments.
"""
import collections
import contextlib
import hashlib
import itertools
import os
import poplib
import random
import re
import threading
import time

import pytest

import boxes
import neighbours
import postern
from postern import Pop, Smtp, password

SEED = os.environ.get("POSTERN_NEIGHBOURS_SEED")
OPERATIONS = int(os.environ.get("POSTERN_NEIGHBOURS",
                                120 if postern.SANITIZED else 400))
SHARE = {"maildir": 0.75, "mbox": 0.25}
THREADS = 5
NAMES = postern.CROWD[10:26]
TOKEN = re.compile(rb"^X-Token: (\S+)\r?$", re.M)
SUM = re.compile(rb"^X-Sum: (\S+)\r?$", re.M)
# What each reader must have done for the play to count.
PARTS = {"pop3d": ("pop3d reads", "pop3d deletes"),
         "dovecot": ("dovecot reads", "dovecot deletes"),
         "mutt": ("mutt reads",), "s-nail": ("s-nail reads",)}
# Both end well though they could not lock an mbox, and so filed letters away
# and left them where they were; mutt forgets its marks when another rewrites it.
TROUBLE = re.compile(rb"[Uu]nable to |Timeout exceeded|externally modified")
OWNERS = {"keep": 20, "pop3d": 35, "dovecot": 20, "mutt": 15, "s-nail": 10}


def digest(message):
    """Of the body; ends of lines and of the last line are the program's."""
    body = message.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
    return hashlib.sha256(body.rstrip(b"\n")).hexdigest().encode()


def token_of(message):
    """Its token, after a look whether all of it is there."""
    found, total = TOKEN.findall(message), SUM.findall(message)
    assert len(found) == len(total) == 1, (found, message[:2000])
    assert digest(message) == total[0], "changed: %r" % message
    return found[0].decode()


class Gate:
    """Many at once, or one alone."""

    def __init__(self):
        self.changed, self.count = threading.Condition(), 0

    @contextlib.contextmanager
    def shared(self):
        with self.changed:
            self.changed.wait_for(lambda: self.count >= 0)
            self.count += 1
        try:
            yield
        finally:
            with self.changed:
                self.count -= 1
                self.changed.notify_all()

    @contextlib.contextmanager
    def alone(self):
        with self.changed:
            self.changed.wait_for(lambda: self.count == 0)
            self.count = -1
        try:
            yield
        finally:
            with self.changed:
                self.count = 0
                self.changed.notify_all()


class Account:
    """A mailbox, and what is known of it."""

    def __init__(self, form, name):
        self.box = boxes.FORMS[form](name)
        neighbours.settle_in(self.box)
        self.session = threading.Lock()		# of our pop3d
        self.gate = Gate()
        self.sent = {}		# token: its owner; accepted by somebody
        self.uidls = {}		# ever seen: token
        self.tokens = {}	# and the other way round
        self.deleted = {}	# token: by which POP3 server
        self.unsure = set()	# tokens that it may have deleted
        self.failed = set()	# programs that may have stopped half-way
        self.garbled = set()	# programs that filed away what was no letter
        self.said = []		# what they wrote, in order

    def know(self, uidl, token):
        """A UIDL belongs to one message, a message has one UIDL."""
        assert self.uidls.setdefault(uidl, token) == token, (
            "%s was %s's and is %s's" % (uidl, self.uidls[uidl], token))
        assert self.tokens.setdefault(token, uidl) == uidl, (
            "%s was %s and is %s" % (token, self.tokens[token], uidl))


class Village:
    """All the programs, and what they have done."""

    def __init__(self, form, pop3d, smtpd, dovecot, postfix):
        self.pop3d, self.smtpd, self.dovecot = pop3d, smtpd, dovecot
        self.postfix = postfix
        self.accounts = [Account(form, name) for name in NAMES]
        self.count = collections.Counter()
        self.lock, self.failures = threading.Lock(), []
        self.serial, self.wanted = 0, OPERATIONS * SHARE[form]
        self.deliveries = {
            "smtpd": (30, self.by_smtpd), "lda": (10, self.by_lda),
            "procmail": (15, lambda account, letter:
                         neighbours.procmail(account.box, letter)),
            "local": (10, lambda account, letter:
                      postfix.local(account.box, letter)),
            "virtual": (8, lambda account, letter:
                        postfix.virtual(account.box, letter))}
        self.visits = {"pop3d": (10, self.visit_pop3d),
                       "dovecot": (5, self.visit_dovecot),
                       "mutt": (3, self.visit_mutt),
                       "s-nail": (2, self.visit_mail)}

    def did(self, what, count=1):
        with self.lock:
            self.count[what] += count

    def done(self):
        with self.lock:
            return sum(self.count.values())

    # Deliveries

    def letter(self, rng, account, owner):
        with self.lock:
            self.serial += 1
            number = self.serial
        token = "%s-%d" % (account.box.user, number)
        body = b"".join(b"%d %s\n" % (n, b"x" * rng.randrange(78))
                        for n in range(rng.randrange(1, 60))) + b"end.\n"
        return token, (
            "From: Sender <sender@example.test>\nTo: <%s@example.test>\n"
            "Subject: for-%s number %d\nX-Token: %s\nX-Sum: %s\n"
            "Message-ID: <%s@example.test>\n"
            "Date: Mon, 01 Jan 2024 00:00:00 +0000\n\n" % (
                account.box.user, owner, number, token,
                digest(b"\n\n" + body).decode(), token)).encode() + body

    def deliver(self, rng, account, name=None, owner=None):
        if name is None:
            name, = rng.choices(list(self.deliveries),
                                [w for w, _ in self.deliveries.values()])
        if owner is None:
            owner, = rng.choices(list(OWNERS), OWNERS.values())
        token, letter = self.letter(rng, account, owner)
        if self.deliveries[name][1](account, letter):
            account.sent[token] = owner
            self.did(name + " delivers")
        else:
            self.did(name + " refuses")

    def by_smtpd(self, account, letter):
        with Smtp(self.smtpd) as smtp:
            reply = smtp.mail(letter.replace(b"\n", b"\r\n"),
                              account.box.user)
            return reply.code == 250

    def by_lda(self, account, letter):
        """In an mbox it writes what Dovecot had put off, too."""
        with account.gate.shared():
            return self.dovecot.lda(account.box, letter)

    # Readers

    def visit_pop3d(self, rng, account):
        """Every letter that is only ours to delete must be there."""
        if not account.session.acquire(blocking=False):
            return
        try:
            known = {token for token, owner in account.sent.items()
                     if owner in ("keep", "pop3d") and token in account.tokens
                     and token not in account.deleted}
            gone = set(account.deleted)
            with account.gate.shared(), Pop(self.pop3d) as pop:
                pop.ok("USER " + account.box.user)
                reply = pop.cmd("PASS " + password(account.box.user))
                if reply.startswith("-ERR [IN-USE]"):	# the lock of an mbox
                    self.did("pop3d: busy")
                    return
                assert reply.startswith("+OK"), reply
                try:
                    self.hold_session(rng, account, pop, known, gone)
                except postern.Ended:
                    # A file rewritten under a message that is being sent:
                    # better no end of it than a wrong one.
                    if account.box.form != "mbox":
                        raise
                    self.did("pop3d: cut off")
        finally:
            account.session.release()

    def hold_session(self, rng, account, pop, known, gone):
        uidls = pop.uidl()
        assert len(set(uidls)) == len(uidls)
        fresh = [n for n, uidl in enumerate(uidls, 1)
                 if uidl not in account.uidls]
        others = [n for n in range(1, len(uidls) + 1) if n not in fresh]
        wanted = fresh + rng.sample(others, min(len(others), 8))
        pop.send("".join("RETR %d\r\n" % n for n in wanted))
        mine = []
        for number in wanted:
            token = self.read_message(account, pop, uidls[number - 1])
            assert token not in gone, "%s came back, deleted by %s" % (
                token, account.deleted[token])
            if token is not None and account.sent.get(token) == "pop3d":
                mine.append((number, token))
        there = {account.uidls.get(uidl) for uidl in uidls}
        assert known <= there, "not listed: %s" % sorted(known - there)
        for number, _ in mine:
            pop.ok("DELE %d" % number)
        if rng.random() < 0.1:
            pop.drop()			# and nothing is deleted
            postern.eventually(lambda: self.is_free(account), "the session "
                               "of %s ends" % account.box.user)
        elif pop.quit().startswith("+OK"):
            for _, token in mine:
                account.deleted[token] = "pop3d"
            self.did("pop3d deletes", len(mine))
        else:
            self.did("pop3d: QUIT says no")

    def is_free(self, account):
        with Pop(self.pop3d) as pop:
            pop.ok("USER " + account.box.user)
            return pop.cmd("PASS " + password(account.box.user))[0] == "+"

    def read_message(self, account, pop, uidl):
        """Its token; None if somebody else had deleted it."""
        line = pop.line()
        if line.startswith(b"+OK"):
            token = token_of(b"".join(row + b"\r\n" for row in pop.body()))
            account.know(uidl, token)
            self.did("pop3d reads")
            return token
        assert line.startswith(b"-ERR"), line
        owner = account.sent.get(account.uidls.get(uidl))
        assert owner not in ("keep", "pop3d"), (line, uidl)
        self.did("pop3d: gone")
        return None

    def visit_dovecot(self, rng, account):
        with account.gate.shared():
            try:
                self.hold_dovecot(rng, account)
            except (poplib.error_proto, OSError):
                self.did("dovecot: fails")
            finally:
                self.dovecot.wait_written(account.box)

    def hold_dovecot(self, rng, account):
        pop, mine = poplib.POP3("127.0.0.1", self.dovecot.port, 60), []
        try:
            pop.user(account.box.user)
            pop.pass_(password(account.box.user))
            numbers = range(1, pop.stat()[0] + 1)
            for number in rng.sample(numbers, min(len(numbers), 20)):
                self.did("dovecot reads")
                try:
                    token = token_of(b"\n".join(pop.retr(number)[1]))
                except AssertionError:	# its index is older than the file
                    self.did("dovecot: garbles")
                    continue
                if account.sent.get(token) == "dovecot":
                    pop.dele(number)
                    mine.append(token)
            pop.quit()
            for token in mine:
                account.deleted[token] = "dovecot"
            self.did("dovecot deletes", len(mine))
        except BaseException:		# did it delete, or did it not?
            account.unsure.update(mine)
            raise
        finally:
            pop.close()

    def visit_mutt(self, rng, account):
        with account.gate.shared():
            self.did_file(account, "mutt", neighbours.mutt(account.box))

    def visit_mail(self, rng, account):
        """It never looks whether another has rewritten an mbox meanwhile.

        What is behind the length that it saw it takes for new mail, though it
        is but the end of the old, if that was moved by new Status lines.
        """
        with account.gate.alone() if account.box.form == "mbox" \
                else account.gate.shared():
            self.did_file(account, "s-nail", neighbours.mail(account.box))

    def did_file(self, account, program, outcome):
        """A message may have vanished just when it wanted to write it."""
        status, said = outcome
        account.said.append((program, status, said))
        self.did(program + (" reads" if status == 0 else ": fails"))
        if status != 0 or TROUBLE.search(said):
            account.failed.add(program)

    # The play

    def work(self, seed):
        rng = random.Random(seed)
        try:
            while self.done() < self.wanted and not self.failures:
                account = rng.choice(self.accounts)
                if rng.random() < 0.75:
                    self.deliver(rng, account)
                else:
                    name, = rng.choices(list(self.visits), [
                        w for w, _ in self.visits.values()])
                    self.visits[name][1](rng, account)
        except BaseException as error:	# of a thread: the test's to raise
            self.failures.append(error)

    def play(self, seed):
        threads = [threading.Thread(target=self.work,
                                    args=("%s %d" % (seed, n),))
                   for n in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def catch_up(self, seed):
        """Who had nothing to do by chance, in a short play, does it now."""
        rng = random.Random(seed)
        for name in self.deliveries:
            for account in self.accounts:
                if not self.count[name + " delivers"]:
                    self.deliver(rng, account, name)
        for name, (_, visit) in self.visits.items():
            for account in self.accounts:
                if not all(self.count[what] for what in PARTS[name]):
                    # It is in the mailbox when procmail ends.
                    self.deliver(rng, account, "procmail", name)
                    visit(rng, account)

    # The end

    def settle(self):
        """Until whatever was accepted has been delivered."""
        def no_spool():
            return not any(names for _, _, names in
                           os.walk(self.smtpd.spool + "/queue"))
        postern.eventually(self.postfix.is_idle, "Postfix delivers", 60)
        postern.eventually(lambda: all(
            self.where(account)[2] == [] for account in self.accounts),
            "all is delivered: %s" % [self.where(account)[2]
                                      for account in self.accounts], 30, 0.5)

    def where(self, account):
        """(tokens in the box, {program: tokens filed away}, not there)"""
        inbox = collections.Counter(
            token_of(content) for _, content in account.box.read())
        filed = {name: self.filed(account, name)
                 for name in neighbours.SAVED}
        lost = [(token, owner) for token, owner in account.sent.items()
                if not inbox[token] and token not in account.deleted
                and token not in account.unsure
                and owner not in account.garbled
                and not filed.get(owner, {}).get(token)]
        return inbox, filed, lost

    def filed(self, account, name):
        """The letters that it filed away.

        mutt copies out of an mbox without a lock from where it knew a letter
        to be; if another has rewritten it by then, its copy is anything.
        """
        tokens = collections.Counter()
        for message in boxes.Mbox.split(neighbours.saved(account.box, name)):
            try:
                tokens[token_of(boxes.Mbox.content(message))] += 1
            except AssertionError:
                if name != "mutt" or account.box.form != "mbox":
                    raise
                account.garbled.add(name)
                account.failed.add(name)
        return tokens

    def judge(self, account):
        inbox, filed, lost = self.where(account)
        assert not lost, "lost: %s" % lost
        twice = [token for token, count in inbox.items() if count > 1]
        assert not twice, "twice: %s" % twice
        back = [(token, by) for token, by in account.deleted.items()
                if inbox[token]]
        assert not back, "came back: %s" % back
        both = [(name, token) for name, tokens in filed.items()
                for token in tokens
                if inbox[token] and name not in account.failed]
        assert not both, "filed away and still there: %s\n%s" % (
            both, account.said)
        for name, tokens in filed.items():
            self.did(name + " deletes", len(tokens))
        for name in account.garbled:
            self.did(name + ": garbles")
        account.box.check()
        with Pop(self.pop3d, account.box.user) as pop:
            uidls = pop.uidl()
            for number, uidl in enumerate(uidls, 1):
                token = token_of(pop.retr(number))
                account.know(uidl, token)
                assert inbox[token], token
            assert len(uidls) == len(inbox)


@pytest.fixture(scope="module", params=sorted(boxes.FORMS))
def form(request, host):
    lacking = neighbours.missing()
    if lacking:
        pytest.skip("not here: " + lacking)
    neighbours.lay_out()
    return boxes.accepted(request.param)


@pytest.fixture(scope="module")
def pop3d(daemons, form):
    return daemons("pop3d", boxes.FORMS[form].conf)


@pytest.fixture(scope="module")
def smtpd(daemons, form):
    return daemons("smtpd", boxes.FORMS[form].conf + "retry-schedule 1s\n")


@pytest.fixture(scope="module")
def dovecot(form):
    server = neighbours.Dovecot(form).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def postfix(form):
    server = neighbours.Postfix(form, NAMES).start()
    yield server
    server.stop()


def test_living_with_others(form, pop3d, smtpd, dovecot, postfix):
    seed = SEED or "%d" % random.SystemRandom().randrange(10 ** 9)
    begin = time.monotonic()
    village = Village(form, pop3d, smtpd, dovecot, postfix)
    try:
        village.play(seed)
        village.catch_up(seed)
        village.settle()
        for account in village.accounts:
            village.judge(account)
    finally:
        print("\nPOSTERN_NEIGHBOURS_SEED=%s POSTERN_NEIGHBOURS=%d (%s)\n"
              "%.1f s: %d operations: %s" % (
                  seed, OPERATIONS, form, time.monotonic() - begin,
                  village.done(), ", ".join("%s %d" % pair for pair in
                                            sorted(village.count.items()))))
    for name in village.deliveries:
        assert village.count[name + " delivers"] > 0, name
    for what in itertools.chain(*PARTS.values()):
        assert village.count[what] > 0, what
