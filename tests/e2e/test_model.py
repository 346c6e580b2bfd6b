"""Random histories of maildrops against a simple model of RFC 1939.

Sessions, deliveries and other programs' changes, interleaved at random by one
hand; the model says what each reply must be.  POSTERN_MODEL_SEED repeats a
run, POSTERN_MODEL_STEPS makes it longer or shorter.
"""
import os
import random
import time

import pytest

import boxes
import postern
from postern import Pop, Smtp, password, split_trace

SEED = os.environ.get("POSTERN_MODEL_SEED")
STEPS = int(os.environ.get("POSTERN_MODEL_STEPS",
                           200 if postern.SANITIZED else 800))
USERS = 6
FLYING, THERE, GONE = "flying", "there", "gone"


# The model

class Letter:
    """One message: what it was when it was given, what a client sees."""

    def __init__(self, content, state, octets=None):
        self.content, self.state = content, state
        self.octets = octets	# as RETR sends it; None: not seen yet
        self.uidl = None
        self.stored = None	# as it was put there, unless smtpd did it
        self.is_twin = False	# its octets are another's too

    def is_it(self, octets):
        if self.octets is not None:
            return self.octets == octets
        return split_trace(octets)[1] == self.content


class Maildrop:
    """What one user has and had."""

    def __init__(self, box):
        self.box, self.user = box, box.user
        self.letters = []	# whatever was not yet deleted
        self.uidls = {}		# every UIDL there ever was: its letter
        self.session = None

    def there(self, *states):
        return [l for l in self.letters if l.state in (states or (THERE,))]

    def gone(self, letter):
        letter.state = GONE
        self.letters.remove(letter)

    def find(self, octets, fresh=False):
        """The letter of these octets, that has no UIDL yet if fresh."""
        for letter in self.letters:
            if letter.is_it(octets) and not (fresh and letter.uidl):
                letter.state, letter.octets = THERE, octets
                return letter
        raise AssertionError("%s: nobody sent this: %r" % (
            self.user, octets[:300]))


class Session:
    """A session as RFC 1939 has it: numbers, marks, and what is expected."""

    def __init__(self, drop, pop):
        self.drop, self.pop = drop, pop
        drop.session = self
        self.letters, self.marked = [], set()
        self.bad = 0
        self._learn()

    def _learn(self):
        """Which letter has which number, and is every letter there?"""
        drop, uidls = self.drop, self.pop.uidl()
        assert len(set(uidls)) == len(uidls), uidls
        unknown = [n for n, uidl in enumerate(uidls, 1)
                   if uidl not in drop.uidls]
        self.pop.send("".join("RETR %d\r\n" % n for n in unknown))
        fresh = {n: self._retrieved() for n in unknown}
        for number, uidl in enumerate(uidls, 1):
            assert 1 <= len(uidl) <= 70 and uidl.isascii()
            if number in fresh:
                letter = drop.find(fresh[number], fresh=True)
                letter.uidl = uidl
                drop.uidls[uidl] = letter
            letter = drop.uidls[uidl]
            assert letter.state == THERE, "%s: %s is used again or not gone" \
                % (drop.user, uidl)
            self.letters.append(letter)
        for letter in drop.there():
            assert letter in self.letters, "%s: lost: %r" % (
                drop.user, (letter.uidl, letter.content[:200]))

    def _retrieved(self):
        reply = self.pop.line()
        assert reply.startswith(b"+OK"), reply
        return self._body()

    def _body(self):
        return b"".join(line + b"\r\n" for line in self.pop.body())

    # What each command must be answered; what is returned reads the answer.

    def status(self, expected):
        def read():
            line = self.pop.line().decode("ascii")
            assert line.split(" ")[0] == expected, line
        return read

    def exactly(self, expected):
        def read():
            line = self.pop.line().decode("ascii")
            assert line == expected or line.startswith(expected + " "), (
                line, expected)
        return read

    def rows(self, expected):
        def read():
            self.status("+OK")()
            assert self.pop.body() == expected
        return read

    def octets_of(self, letter, expected):
        """Whoever deleted it outside leaves us the octets, or an error."""
        def read():
            line = self.pop.line()
            if not line.startswith(b"+OK"):
                assert line.startswith(b"-ERR"), line
                assert letter.state == GONE, line
            else:
                got = self._body()
                assert got == expected, (got[:2000], expected[:2000])
        return read

    def size(self, number):
        return len(self.letters[number - 1].octets)

    def left(self):
        return [n for n in range(1, len(self.letters) + 1)
                if n not in self.marked]

    def is_number(self, number):
        good = 1 <= number <= len(self.letters) and number not in self.marked
        self.bad = 0 if good else self.bad + 1
        return good

    def stat(self):
        return "STAT", self.exactly("+OK %d %d" % (
            len(self.left()), sum(self.size(n) for n in self.left())))

    def noop(self):
        self.bad = 0
        return "NOOP", self.status("+OK")

    def list(self):
        return "LIST", self.rows([b"%d %d" % (n, self.size(n))
                                  for n in self.left()])

    def uidl(self):
        return "UIDL", self.rows([
            b"%d %s" % (n, self.letters[n - 1].uidl.encode())
            for n in self.left()])

    def list_one(self, number):
        return "LIST %d" % number, (
            self.exactly("+OK %d %d" % (number, self.size(number)))
            if self.is_number(number) else self.status("-ERR"))

    def uidl_one(self, number):
        return "UIDL %d" % number, (
            self.exactly("+OK %d %s" % (number, self.letters[number - 1].uidl))
            if self.is_number(number) else self.status("-ERR"))

    def retr(self, number):
        if not self.is_number(number):
            return "RETR %d" % number, self.status("-ERR")
        letter = self.letters[number - 1]
        return "RETR %d" % number, self.octets_of(letter, letter.octets)

    def top(self, number, lines):
        command = "TOP %d %d" % (number, lines)
        if not self.is_number(number):
            return command, self.status("-ERR")
        letter = self.letters[number - 1]
        return command, self.octets_of(letter, boxes.top(letter.octets, lines))

    def dele(self, number):
        if not self.is_number(number):
            return "DELE %d" % number, self.status("-ERR")
        self.marked.add(number)
        return "DELE %d" % number, self.status("+OK")

    def rset(self):
        self.marked.clear()
        return "RSET", self.status("+OK")

    def quit(self):
        def read():
            self.status("+OK")()
            assert self.pop.is_closed()
            self.pop.close()
            for number in self.marked:
                letter = self.letters[number - 1]
                if letter.state != GONE:
                    self.drop.gone(letter)
            self.drop.session = None
        return "QUIT", read


# Who does things at random

class Player:
    def __init__(self, form, seed, pop3d, smtpd):
        self.rng = random.Random("%s %s" % (form, seed))
        self.pop3d, self.smtpd = pop3d, smtpd
        names = postern.CROWD[:USERS]
        self.drops = [Maildrop(boxes.FORMS[form](name)) for name in names]
        self.smtp, self.serial, self.count = None, 0, {}
        self.history = []
        self.reload_after = 0

    def say(self, drop, what):
        self.history.append("%s: %s" % (drop.user if drop else "-", what))

    def step(self):
        drop = self.rng.choice(self.drops)
        name, = self.rng.choices(list(self.WEIGHTS), self.WEIGHTS.values())
        self.say(drop, name)
        getattr(self, name)(drop)
        self.count[name] = self.count.get(name, 0) + 1

    WEIGHTS = {"commands": 55, "open": 14, "open_second": 0.3, "quit": 8,
               "drop_line": 3, "put": 10, "send": 5, "note": 6, "remove": 3,
               "tidy": 1, "verify": 2, "reload": 0.1}

    # POP3

    def login(self, drop):
        """A session; who vanished just before may still hold the lock."""
        end = time.monotonic() + postern.PATIENCE
        while True:
            pop = Pop(self.pop3d)
            pop.ok("USER " + drop.user)
            reply = pop.cmd("PASS " + password(drop.user))
            if reply.startswith("+OK"):
                return pop
            pop.close()
            assert reply.startswith("-ERR [IN-USE]"), reply
            assert time.monotonic() < end, reply

    def open(self, drop):
        if drop.session is None:
            Session(drop, self.login(drop))
            self.say(drop, "has %d" % len(drop.session.letters))

    def open_second(self, drop):
        """It is made to wait about a second, in case the first ends."""
        if drop.session is None:
            return
        with Pop(self.pop3d) as pop:
            pop.ok("USER " + drop.user)
            reply = pop.cmd("PASS " + password(drop.user))
            assert reply.startswith("-ERR [IN-USE]"), reply

    def one_command(self, session):
        rng, count = self.rng, len(session.letters)
        if rng.random() < 0.1 and session.bad < 15:
            number = rng.choice((0, count + 1, rng.randrange(count + 1)))
        elif session.left():
            number = rng.choice(session.left())
        else:
            return session.noop()
        if rng.random() < 0.3:
            return rng.choice((session.stat, session.noop, session.list,
                               session.uidl, session.rset))()
        if rng.random() < 0.35:
            return session.dele(number)
        if rng.random() < 0.2:
            return session.top(number, rng.choice((0, 1, 2, 10, 10 ** 9)))
        return rng.choice((session.list_one, session.uidl_one, session.retr,
                           session.retr))(number)

    def talk(self, drop, end=False):
        """Some commands at once, and something happens before the replies."""
        session, rng = drop.session, self.rng
        count = 1 if rng.random() < 0.6 else rng.randrange(1, 20)
        if rng.random() < 0.02:
            pairs = [session.retr(n) for n in session.left()]
        else:
            pairs = [self.one_command(session) for _ in range(count)]
        if end:
            pairs.append(session.quit())
        self.say(drop, ", ".join(line for line, _ in pairs))
        session.pop.send("".join(line + "\r\n" for line, _ in pairs))
        other = rng.choice((self.put, self.note, self.remove, self.send))
        # What QUIT removes is in nobody else's hands now.
        if rng.random() > 0.2 or (end and other == self.remove):
            other = None
        else:
            self.say(drop, "meanwhile " + other.__name__)
            other(drop)
        try:
            for _, read in pairs:
                read()
        except postern.Ended:
            # A file rewritten under a message that is being sent: better no
            # end of it than a wrong one.
            if drop.box.form != "mbox" or other not in (self.note,
                                                        self.remove):
                raise
            self.count["cut off"] = self.count.get("cut off", 0) + 1
            session.pop.close()
            drop.session = None

    def commands(self, drop):
        if drop.session is not None:
            self.talk(drop)

    def quit(self, drop):
        if drop.session is not None:
            self.talk(drop, end=True)
            if self.rng.random() < 0.5:
                self.verify(drop)

    def drop_line(self, drop):
        """However a connection ends without QUIT, nothing is deleted."""
        session = drop.session
        if session is None:
            return
        how = self.rng.randrange(4)
        if how == 0:
            session.pop.drop()
        elif how == 1:
            session.pop.send("DELE 1\r\nQUI")
            session.pop.drop()
        elif how == 2:		# ended in the middle of a line
            session.pop.send("QUIT")
        session.pop.close()
        drop.session = None

    def reload(self, _):
        """A new generation; at most one a second is made."""
        if time.monotonic() > self.reload_after:
            self.reload_after = time.monotonic() + 2
            self.pop3d.reload()

    # Deliveries and other programs

    def content(self, sent):
        """Line ends are LF; what is sent must have a name of its own."""
        rng = self.rng
        self.serial += 1
        name = b"Subject: letter %d\n" % self.serial
        if not sent and rng.random() < 0.15:
            return rng.choice((
                b"", b"\n", b"\n\n\n", b".\n", b"no end", name,
                name + b"\nno end", name + b"\n.", b"\nno header\n",
                name + b"\nNUL \0 CR \r and \xff\xfe\n",
                name.replace(b"\n", b"\r\n") + b"\r\nCR LF\r\n.\r\n",
                name + b"\nmixed\r\nends\n\r\n",
                name + b"\n" + b"." * rng.randrange(150000)))
        lines = [rng.choice((
            b"", b".", b"..", b".x", b"From here on", b">From there",
            b"From a@b Mon Jan  1 00:00:00 2024", b"Status: R", b"x" * 998,
            "Gr\u00fc\u00dfe".encode(), b"%d" % rng.random().__hash__()))
            for _ in range(rng.randrange(20))]
        if rng.random() < 0.03:
            lines *= 500
        return name + b"To: you@example.test\n\n" + b"".join(
            line + b"\n" for line in lines)

    def put(self, drop):
        """Another program delivers; sometimes what is there already."""
        twins = [l for l in drop.there() if l.stored is not None]
        is_twin = twins and self.rng.random() < 0.15
        if is_twin:
            twin = self.rng.choice(twins)
            content = twin.stored
        else:
            content = self.content(sent=False)
        letter = Letter(content, THERE, drop.box.expected(content))
        letter.stored = content
        for each in drop.letters:
            if each.octets == letter.octets:
                each.is_twin = letter.is_twin = True
        drop.box.put(content, is_twin)
        drop.letters.append(letter)

    def send(self, drop):
        """Through our smtpd, to one or two."""
        to = [drop] + self.rng.sample(self.drops, self.rng.randrange(2))
        to = list(dict.fromkeys(to))
        content = self.content(sent=True).replace(b"\n", b"\r\n")
        if self.smtp is None:
            self.smtp = Smtp(self.smtpd)
        reply = self.smtp.mail(content, *[each.user for each in to])
        assert reply.code == 250, reply
        for each in to:
            each.letters.append(Letter(content, FLYING))
        if self.rng.random() < 0.1:
            self.smtp.quit()
            self.smtp = None
        if self.rng.random() < 0.3:
            self.land(drop)

    def land(self, drop):
        """Until all that was sent is there; the pairs (handle, octets)."""
        def landed():
            found = [(handle, boxes.wire(content))
                     for handle, content in drop.box.read()]
            missing = [l for l in drop.there(FLYING)
                       if not any(l.is_it(octets) for _, octets in found)]
            return None if missing else (found,)
        found, = postern.eventually(landed, drop.user + " gets all letters")
        for letter in drop.there(FLYING):
            letter.state = THERE
        return found

    def note(self, drop):
        drop.box.note(self.rng)

    def tidy(self, drop):
        drop.box.tidy(self.rng)

    def remove(self, drop):
        """Another program deletes one; which of twins it was, who knows."""
        found = self.land(drop)
        if not found:
            return
        handle, octets = self.rng.choice(found)
        letter = drop.find(octets)
        if not letter.is_twin:
            drop.box.remove(handle)
            drop.gone(letter)

    def verify(self, drop):
        """Octet for octet, the box is what the model says."""
        found = [octets for _, octets in self.land(drop)]
        for letter in sorted(drop.letters, key=lambda l: l.octets is None):
            mine = [octets for octets in found if letter.is_it(octets)]
            assert mine, "%s: lost: %r" % (drop.user, letter.content[:200])
            found.remove(mine[0])
        assert not found, "%s: twice, or never sent: %r" % (
            drop.user, [octets[:200] for octets in found])
        drop.box.check()

    def play(self, steps):
        for _ in range(steps):
            self.step()
        for drop in self.drops:
            if drop.session is not None:
                self.talk(drop, end=self.rng.random() < 0.5)
        for drop in self.drops:
            if drop.session is not None:
                self.drop_line(drop)
            self.land(drop)
            self.open(drop)		# all of it, by POP3 too
            self.quit(drop)
            self.verify(drop)

    def end(self):
        for drop in self.drops:
            if drop.session is not None:
                drop.session.pop.close()
        if self.smtp is not None:
            self.smtp.close()


# The tests

@pytest.fixture(scope="module", params=sorted(boxes.FORMS))
def form(request, host):
    return boxes.accepted(request.param)


@pytest.fixture(scope="module")
def pop3d(daemons, form):
    return daemons("pop3d", boxes.FORMS[form].conf)


@pytest.fixture(scope="module")
def smtpd(daemons, form):
    return daemons("smtpd", boxes.FORMS[form].conf + "retry-schedule 1s\n")


def test_random_histories(form, pop3d, smtpd):
    seed = SEED or "%d" % random.SystemRandom().randrange(10 ** 9)
    # Locks make an mbox the slower one.
    steps = STEPS if form == "maildir" else STEPS // 2
    print("\nPOSTERN_MODEL_SEED=%s POSTERN_MODEL_STEPS=%d (%s)" % (
        seed, STEPS, form))
    player = Player(form, seed, pop3d, smtpd)
    begin = time.monotonic()
    try:
        player.play(steps)
    except BaseException:
        print("\n".join(player.history[-60:]))
        raise
    finally:
        player.end()
        print("%.1f s: %s" % (time.monotonic() - begin, ", ".join(
            "%s %d" % pair for pair in sorted(player.count.items()))))
