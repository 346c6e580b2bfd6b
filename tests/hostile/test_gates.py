"""C9: what a worker in an attacker's hands gets out of the gates.

Every request in every state, well-formed and not.  Only what the tables allow
may have an effect; anything else ends that session, is logged, and touches
nobody else.
"""
import os
import random
import time

import pytest

import postern
import private
from gates import all_of, fill, others, unharmed
from postern import eventually
from puppet import (
    ABORT, COMMIT, DATA, EXPAND, EXPUNGE, FETCH, GOOD, LOGIN, MAIL,
    MESSAGE_MAX, OPEN, OTHERS, RCPT, REQUESTS, SETTLE, VERIFY, Puppet,
    expunge, fetch, login, mail, rcpt, text, tree, u32, u64)


# The worker's other channel: to the master

def test_C5_C9_what_a_worker_tells_the_master(pop):
    """Its lines are the master's to stamp, bound and clean."""
    mark = len(pop.lines)
    with unharmed(pop, 1), Puppet(pop) as puppet:
        for line in (b"event=x text=\n2000-01-01T00:00:00 event=login",
                     b"\r\nevent=forged", b"\x1b[2J\x7f\xff",
                     b"session=1 event=login user=root", b"%s%n%99999d"):
            assert puppet.log(line) == "OK"
        puppet.log(b"event=nul\0")
        puppet.log(b"event=long" + b"x" * 1024)
        puppet.log(b"event=level", level=99)
        puppet.tell_master(6, u32(6))
        puppet.tell_master(6, u32(6) + text(b"event=more") + b"x")
        for number in (0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 0xffffffff):
            for payload in (b"", u64(1), u64(1) + u32(1), b"\xff" * 100):
                puppet.tell_master(number, payload)
                puppet.tell_master(number, payload, 1)
        begun = time.monotonic()

        def floods():
            for _ in range(300):
                puppet.log(b"event=flood")
            return pop.log("event=log-suppressed")
        eventually(floods, "lines are suppressed")
        seconds = time.monotonic() - begun
        # It still is what it was: nobody's session.
        assert puppet.ask(OPEN) is None or pytest.fail("logged in by log")
    lines = pop.lines[mark:]
    assert len([line for line in lines if "event=flood" in line]) <= \
        40 * (1 + seconds)
    for word in ("event=nul", "event=long", "event=level", "event=more"):
        assert not [line for line in lines if word in line], word
    for line in lines:
        if "forged" in line or "user=root" in line:
            assert " session=" in line.split("event=")[0], line
    assert [line for line in lines if "text=\\x0a2000" in line]


def test_C16_who_hangs_up_on_the_master_is_not_out_of_reach(pop, smtp):
    """A worker that lets its channel go is beyond the limits and the clock of
    the master, so it ends."""
    for daemon in (pop, smtp):
        with unharmed(daemon, 0), Puppet(daemon) as puppet:
            puppet.say("D")
            try:
                assert puppet.line() == b"OK"
            except (postern.Ended, ConnectionError):
                continue
            assert puppet.is_closed(), "it went on without its channel"


# All of it at random

class Fuzzer:
    """Messages that mix what is right with what is not."""

    def __init__(self, daemon, seed, user):
        self.daemon, self.dice, self.user = daemon, random.Random(seed), user
        self.sent = 0

    def payload(self, number):
        dice = self.dice
        good = {
            LOGIN: lambda: login(self.user), FETCH: lambda: fetch(
                dice.randrange(14), dice.randrange(18)),
            EXPUNGE: lambda: expunge(dice.randrange(3), dice.randrange(2),
                                     os.urandom(dice.randrange(1, 3))),
            MAIL: lambda: mail(flags=dice.randrange(5)),
            RCPT: lambda: rcpt(dice.choice((self.user, "nobody", "root"))),
            COMMIT: lambda: u64(dice.randrange(20)),
        }.get(number, lambda: GOOD.get(number, b""))()
        return good

    def mutate(self, data):
        dice = self.dice
        data = bytearray(data)
        for _ in range(dice.randrange(1, 4)):
            kind = dice.randrange(4)
            at = dice.randrange(len(data) + 1)
            if kind == 0 and at < len(data):
                data[at] = dice.choice((0, 1, 0x7f, 0x80, 0xff,
                                        dice.randrange(256)))
            elif kind == 1:
                data[at:at] = dice.randbytes(dice.randrange(1, 9))
            elif kind == 2:
                del data[at:at + dice.randrange(1, 9)]
            else:
                data[at:at] = u32(dice.choice((0, 1, 0xffffffff, 0x7fffffff,
                                               8192, 65536)))
        return bytes(data[:MESSAGE_MAX])

    def step(self, puppet, requests):
        """One message; whether the gate is still open."""
        dice = self.dice
        number = dice.choice(requests) if dice.random() < 0.9 \
            else dice.choice(REQUESTS + OTHERS)
        payload = self.payload(number)
        descriptors = 0
        if dice.random() < 0.15:
            # Not of LOGIN: a wrong secret costs two seconds.
            payload = self.mutate(payload) if number != LOGIN \
                else payload + b"x"
        if dice.random() < 0.03:
            descriptors = dice.randrange(1, 17)
        self.sent += 1
        answer = puppet.ask(number, payload, descriptors)
        if answer is not None and answer.descriptors and number == DATA:
            puppet.write(dice.randbytes(dice.randrange(20)))
            puppet.order("X")
        return answer is not None

    def session(self):
        pop3 = self.daemon.program == "pop3d"
        with Puppet(self.daemon) as puppet:
            if pop3:
                puppet.logged_in(self.user)
            requests = (OPEN, FETCH, FETCH, EXPUNGE) if pop3 else (
                MAIL, RCPT, DATA, COMMIT, ABORT, VERIFY, EXPAND)
            for _ in range(20):
                if not self.step(puppet, requests):
                    break

    def run(self, messages_wanted):
        while self.sent < messages_wanted:
            self.session()


def test_C9_at_random(pop, smtp, users):
    """Thousands of messages from a seed; the daemons stay as they are."""
    names = users(6)
    for name in names:
        fill(name)
    theirs = others() + [postern.home(name) for name in names]
    before = tree(private.HOMES, leave_out=theirs)
    seed = int(os.environ.get("POSTERN_SEED", "20261123"))
    fuzzers = [Fuzzer(daemon, (seed << 8) + n, name) for n, (daemon, name)
               in enumerate(zip((pop, smtp) * 3, names))]
    print("POSTERN_SEED=%d" % seed)
    with unharmed(pop), unharmed(smtp):
        all_of(lambda fuzzer: fuzzer.run(700), [(f,) for f in fuzzers], 6)
    assert tree(private.HOMES, leave_out=theirs) == before
    assert sum(fuzzer.sent for fuzzer in fuzzers) > 2000


# What it costs

@pytest.mark.parametrize("program", ("pop3d", "smtpd"))
def test_C12_faults_count_against_the_address(puppets, program):
    """Five of them, and its next connection gets the temporary error."""
    daemon = puppets(program, "limits-exempt 127.0.0.1\n")
    request = (LOGIN, b"") if program == "pop3d" else (COMMIT, b"")
    for _ in range(5):
        with Puppet(daemon, "127.0.0.77") as puppet:
            assert puppet.ask(*request) is None
            daemon.wait_log("event=gate-fault", daemon.faults + 1)
            daemon.faults += 1
            time.sleep(0.05)
    refused_at_once(daemon, "127.0.0.77")
    Puppet(daemon, "127.0.0.78").close()
    Puppet(daemon).close()


def refused_at_once(daemon, source):
    def refused():
        with postern.Dialogue(daemon, source) as client:
            return client.line().startswith(
                b"-ERR [SYS/TEMP]" if daemon.program == "pop3d" else b"421 ")
    eventually(refused, "%s is refused" % source)
    daemon.wait_log("event=refused client=%s .*why=source-limit"
                    % source.replace(".", r"\."))


def test_C12_an_agent_s_faults_count_too(puppets):
    daemon = puppets("pop3d", "limits-exempt 127.0.0.1\n")
    fill("bob")
    for n in range(5):
        with Puppet(daemon, "127.0.0.79") as puppet:
            puppet.logged_in("bob")
            assert puppet.ask(SETTLE) is None
            daemon.wait_log("event=gate-fault", n + 1)
            time.sleep(0.05)
    refused_at_once(daemon, "127.0.0.79")
