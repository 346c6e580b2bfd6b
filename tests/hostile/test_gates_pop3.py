"""C9: what a worker in an attacker's hands gets out of pop3d's gates."""
import os
import threading

import pytest

import postern
import private
from gates import LETTERS, all_of, fill, matrix, must_end, others, unharmed
from postern import eventually, message_files, messages
from puppet import (
    EXPUNGE, FETCH, LOGIN, OPEN, RECOUNT, Puppet, expunge, fetch, login,
    text, tree, u32)


def new(puppet):
    pass


def entered(puppet):
    puppet.logged_in("bob")


def opened(puppet):
    puppet.opened("bob")


def expunging(puppet):
    opened(puppet)
    assert puppet.ask(EXPUNGE, expunge(0, 0, b"\0")).u32() == 0


# While one has bob's mailbox nobody else gets it: each opens it in turn.
one_at_a_time = threading.Lock()


def bob_must_end(daemon, reach, ask, what):
    if reach in (new, entered):
        must_end(daemon, reach, ask, what)
        return
    with one_at_a_time:
        must_end(daemon, reach, ask, what)


POP3_STATES = {
    "new": (new, {LOGIN}),
    "entered": (entered, {OPEN}),
    "opened": (opened, {FETCH, EXPUNGE, RECOUNT}),
    "expunging": (expunging, {EXPUNGE}),
}


def test_C9_pop3_every_request_in_every_state(pop):
    fill("bob")
    with Puppet(pop) as puppet:
        puppet.opened("bob")		# makes the lock's file
    pop.wait_no_session()
    before = tree(private.HOMES, leave_out=others())
    cases = matrix(pop, POP3_STATES)
    assert len(cases) > 200
    with unharmed(pop, len(cases)):
        all_of(bob_must_end, cases)
    assert tree(private.HOMES, leave_out=others()) == before
    # Nobody came in but those whose password was given.
    assert [line for line in pop.log("event=login ")
            if not ("user=bob " in line or "user=alice " in line)] == []


def test_C9_pop3_fields_that_lie(pop, user):
    """The right request, the right size, and wrong inside."""
    fill("bob")
    bad = {
        "opened": [(FETCH, fetch(*pair)) for pair in (
            (0, 0), (LETTERS, 1), (0, LETTERS + 1), (1, LETTERS), (0, 17),
            (LETTERS - 1, 2), (0xffffffff, 1), (0xfffffff0, 16),
            (0, 0xffffffff), (0xffffffff, 0xffffffff))]
        + [(EXPUNGE, payload) for payload in (
            expunge(0, 1, b"\0\x10"),		# a thirteenth letter
            expunge(0, 1, b"\0\x80"), expunge(0, 1, b"\xff" * 3),
            expunge(0, 1, b"\0" * 4096), expunge(0, 1, b"\0"),
            expunge(0, 0, b"\0\0"), expunge(1, 1, b"\0"),
            expunge(0xffffffff, 1, b"\0"), expunge(0, 2, b"\0\0"),
            expunge(0, 1, b"") + b"\0",
            u32(0) + u32(1) + u32(3) + b"\0\0",
            u32(0) + u32(1) + u32(1) + b"\0\0",
            u32(0) + u32(1) + u32(0xffffffff) + b"\0\0")]
        + [(RECOUNT, u32(n)) for n in (LETTERS, 0xffffffff)],
        "expunging": [(EXPUNGE, payload) for payload in (
            expunge(0, 1, b"\0\0"), expunge(0, 1, b"\0"),
            expunge(2, 1, b"\0"), expunge(1, 0, b"\0"),
            expunge(1, 1, b"\0\0"), expunge(1, 1, b"\xf0"))],
        "new": [(LOGIN, payload) for payload in (
            login("a" * 256, "x"), login("bob", "x" * 1024),
            login("bob", "x", "m" * 32), login("bob\0", "x"),
            login("bob", "x\0y"), login("bob", "x", "\0"),
            login("bob", "x", tls="t" * 80), login("bob", "x", tls="t\0t"),
            u32(0xffffffff) * 3, u32(0) + u32(0xfffffff0) + u32(0),
            u32(4) + text("bob") + text("x"))],
    }
    cases = [(pop, POP3_STATES[state][0],
              lambda p, n=number, payload=payload: p.ask(n, payload),
              "%s %#x %r" % (state, number, payload))
             for state, rows in bad.items() for number, payload in rows]
    with unharmed(pop, len(cases)):
        all_of(bob_must_end, cases)
    assert len(message_files("bob")) == LETTERS


def test_C9_pop3_what_a_worker_gets_is_to_read(pop):
    """Neither the index nor a letter can be written by way of its descriptor,
    and EXPUNGE acts once, on the letters that it names."""
    fill("bob")
    kept = messages("bob")
    with unharmed(pop, 0), Puppet(pop) as puppet:
        puppet.opened("bob")
        assert len(puppet.read(4096)) == LETTERS * 80
        answer = puppet.ask(FETCH, fetch(2, 3))
        assert answer.descriptors == 3
        assert puppet.read(100) == kept[2]
        assert puppet.write(b"x") == "ERR 9"		# EBADF: read only
        assert puppet.ask(EXPUNGE, expunge(0, 1, b"\5\0")).u32() == 0
        assert messages("bob") == [kept[1]] + kept[3:]
        assert puppet.is_shut()
        # Once more in one go, the second queued behind the first.
    with Puppet(pop) as puppet:
        puppet.opened("bob")
        # A file that it has to write would be the end of it (RLIMIT_FSIZE),
        # and this one is sealed.
        if postern.SANITIZED:		# such builds have no such limit
            assert puppet.write(b"x") == "ERR 1"		# EPERM
        else:
            before = pop.generations()
            with pytest.raises((postern.Ended, ConnectionError)):
                puppet.write(b"x")
            # One that crashed is the end of its generation, soon.
            pop.wait_log("event=generation ", before + 1)
    with Puppet(pop) as puppet:
        puppet.opened("bob")
        puppet.send_only(EXPUNGE, expunge(0, 1, b"\1\0"))
        puppet.order("Q %d %s 0" % (EXPUNGE, expunge(0, 1, b"\2\0").hex()))
        assert puppet.collect().u32() == 0
        assert puppet.collect() is None
    pop.wait_no_session()
    assert messages("bob") == kept[3:]


def test_C9_C12_three_tries_and_one_identity(pop):
    """No more than three tries however they are sent; none after success, no
    second user, no mailbox by way of a failed try."""
    fill("bob")
    fill("carol")

    def slowly():
        with Puppet(pop) as puppet:
            assert puppet.login("bob", "wrong") == 1
            assert puppet.login("root", "root") == 1
            assert puppet.login("bob", "wrong") == 3	# the last one
            assert puppet.is_shut()

    def at_once():
        with Puppet(pop) as puppet:
            for _ in range(3):
                puppet.send_only(LOGIN, login("carol", "wrong"))
            for _ in range(5):
                puppet.send_only(LOGIN, login("carol"))
            assert [puppet.collect().u32() for _ in range(3)] == [1, 1, 3]
            assert puppet.collect() is None

    def then_open():
        with Puppet(pop) as puppet:
            puppet.send_only(LOGIN, login("carol", "wrong"))
            puppet.send_only(OPEN)
            puppet.send_only(LOGIN, login("carol"))
            assert puppet.collect().u32() == 1
            assert puppet.collect() is None

    def then_another():
        with Puppet(pop) as puppet:
            puppet.send_only(LOGIN, login("bob"))
            puppet.send_only(LOGIN, login("carol"))
            assert puppet.collect().u32() == 0
            assert puppet.collect() is None

    def over_and_over():
        """Who has logged in is asked OPEN, and is nobody else's agent."""
        with Puppet(pop) as puppet:
            puppet.send_only(LOGIN, login("bob"))
            puppet.send_only(OPEN)
            assert puppet.collect().u32() == 0
            assert puppet.collect().u32() == 0
            pid, = eventually(lambda: [
                p.pid for p in pop.session_processes() if p.is_of("bob")],
                "bob's agent")
            assert puppet.ask(LOGIN, login("carol")) is None
            eventually(lambda: not os.path.exists("/proc/%d" % pid),
                       "bob's agent is gone")

    with unharmed(pop, 3):
        mark = len(pop.lines)
        over_and_over()
        all_of(lambda f: f(), [(slowly,), (at_once,), (then_open,),
                               (then_another,)])
    lines = pop.lines[mark:]
    assert not [line for line in lines if "event=login user=carol" in line]
    assert len([line for line in lines
                if "event=login-failed user=carol" in line]) == 4


def test_C9_no_login_in_the_clear(puppets):
    """The worker's word does not make a connection one for secrets."""
    daemon = puppets("pop3d", "plaintext-login never\n")
    with Puppet(daemon) as puppet:
        assert puppet.login("bob") == 1
        assert puppet.ask(OPEN) is None
