"""C9: what a worker in an attacker's hands gets out of the gates.

Every request in every state, well-formed and not.  Only what the tables allow
may have an effect; anything else ends that session, is logged, and touches
nobody else.
"""
import concurrent.futures
import contextlib
import os
import random
import threading
import time

import pytest

import postern
import private
from postern import eventually, message_files, messages, put_message
from puppet import (
    ABORT, COMMIT, DATA, DELIVER, EXPAND, EXPUNGE, FETCH, GOOD, LOGIN, MAIL,
    MESSAGE_MAX, OPEN, OTHERS, RCPT, RECOUNT, REPLY, REQUESTS, SETTLE, VERIFY,
    Puppet, expunge, fetch, login, mail, mailbox, rcpt, text, tree, u32, u64)

LETTERS = 12			# in each mailbox: a bitmap of two octets
LIMIT = 65536			# message-size-limit


@pytest.fixture(scope="module")
def pop(puppets):
    return puppets("pop3d")


@pytest.fixture(scope="module")
def smtp(puppets):
    return puppets("smtpd", "message-size-limit %d\nretry-schedule 1s\n"
                   "trusted-networks none\n"
                   % LIMIT)


def fill(name, count=LETTERS):
    postern.clear(name)
    for n in range(count):
        put_message(name, b"Subject: %s %d\n\nbody\n" % (name.encode(), n))
    return name


def others():
    """The homes of those whose sessions go on meanwhile."""
    return [postern.home(name) for name in ("alice", "dave")]


@contextlib.contextmanager
def unharmed(daemon, faults=None):
    """Whatever is done: nobody else notices, and every fault is logged."""
    someone = {"pop3d": "alice", "smtpd": "dave"}[daemon.program]
    generations, crashes = daemon.generations(), daemon.crashes()
    before = daemon.gate_faults()
    other = Puppet(daemon)
    if daemon.program == "pop3d":
        other.opened(fill(someone))
    else:
        postern.clear(someone)
        other.transaction(someone)
    yield
    if daemon.program == "pop3d":
        assert other.ask(FETCH, fetch(0)).u32(4) == 0
        assert other.read(100) == b"Subject: alice 0\n\nbody\n"
        assert other.ask(EXPUNGE, expunge(0, 1, b"\1\0")).u32() == 0
        assert len(message_files(someone)) == LETTERS - 1
    else:
        other.data(b"Subject: other\n\n")
        assert other.ask(COMMIT, u64(16)).verdict()[0] == 250
        postern.wait_messages(someone, 1)
    other.close()
    with Puppet(daemon) as another:
        if daemon.program == "pop3d":
            another.opened(someone)
        else:
            assert another.ask(VERIFY, mailbox(someone)) is not None
    daemon.wait_no_session()
    if faults is not None:
        eventually(lambda: daemon.gate_faults() >= before + faults,
                   "%d faults logged" % faults)
        assert daemon.gate_faults() == before + faults
    assert daemon.is_alive()
    assert daemon.generations() == generations
    assert daemon.crashes() == crashes
    daemon.check_log()


def all_of(function, cases, threads=4):
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(function, *case) for case in cases]:
            future.result()


def must_end(daemon, reach, ask, what):
    """This request ends the session, unanswered."""
    with Puppet(daemon) as puppet:
        reach(puppet)
        answer = ask(puppet)
        assert answer is None, "%s was answered: %r" % (what, answer)
        # And there is nobody left to ask.
        assert puppet.is_shut(), what


def shapes(number):
    """Ways to ask for this that no table allows, in whatever state."""
    good = GOOD[number]
    rides = 1 if number == DELIVER else 0
    found = [("%s with %d descriptors" % (hex(number), n),
              lambda p, n=n: p.ask(number, good, n))
             for n in (0, 1, 2, 16) if n != rides]
    # More than a message may carry: the kernel cuts them off.
    found += [("%s with %d descriptors" % (hex(number), n),
               lambda p, n=n: p.ask_zeros(number, len(good), n))
              for n in (17, 64)]
    if good:
        found += [("%s without its last octet" % hex(number),
                   lambda p: p.ask(number, good[:-1], rides)),
                  ("%s without fields" % hex(number),
                   lambda p: p.ask(number, b"", rides))]
    found += [("%s and an octet" % hex(number),
               lambda p: p.ask(number, good + b"\0", rides)),
              ("%s and four octets" % hex(number),
               lambda p: p.ask(number, good + u32(0), rides))]
    found += [("%s of %d octets" % (hex(number), n),
               lambda p, n=n: p.ask_zeros(number, n, rides))
              for n in (MESSAGE_MAX - 1, MESSAGE_MAX, MESSAGE_MAX + 1, 65536)]
    return found


FRAMES = [("%d octets without a frame" % n,
           lambda p, n=n: p.ask_octets(b"\1" * n)) for n in (1, 2, 3)]


def matrix(daemon, states):
    """Every request in every state that does not allow it, and every shape."""
    cases = []
    for name, (reach, allowed) in states.items():
        for number in REQUESTS + OTHERS:
            what = "%s: %#x" % (name, number)
            if number not in allowed:
                cases.append((daemon, reach, lambda p, n=number: p.ask(
                    n, GOOD.get(n, b""), int(n == DELIVER)), what))
                cases.append((daemon, reach, lambda p, n=number: p.ask_zeros(
                    n, 8), what + " of zeros"))
        for number in allowed:
            cases += [(daemon, reach, ask, "%s: %s" % (name, what))
                      for what, ask in shapes(number)]
        cases += [(daemon, reach, ask, "%s: %s" % (name, what))
                  for what, ask in FRAMES]
    return cases


# POP3

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


# SMTP

def idle(puppet):
    pass


def sender(puppet):
    assert puppet.ask(MAIL, mail()).verdict()[0] == 250


def recipient(puppet):
    puppet.transaction("bob")


def content(puppet):
    puppet.transaction("bob").data(b"never\n")


SMTP_STATES = {
    "idle": (idle, {MAIL, ABORT, VERIFY, EXPAND}),
    "sender": (sender, {RCPT, DATA, ABORT, VERIFY, EXPAND}),
    "recipient": (recipient, {RCPT, DATA, ABORT, VERIFY, EXPAND}),
    "content": (content, {COMMIT, ABORT}),
}


def spooled(daemon):
    return [name for where in ("incoming", "queue", "failed")
            for name in os.listdir(os.path.join(daemon.spool, where))]


def nothing_arrives(daemon, *users):
    """Nothing is queued, and nothing was delivered."""
    eventually(lambda: spooled(daemon) == [], "an empty spool")
    for name in users:
        assert message_files(name) == [], name


def test_C9_smtp_every_request_in_every_state(smtp):
    postern.clear("bob")
    cases = matrix(smtp, SMTP_STATES)
    assert len(cases) > 250
    before = tree(private.HOMES, leave_out=others())
    with unharmed(smtp, len(cases)):
        all_of(must_end, cases)
    assert tree(private.HOMES, leave_out=others()) == before
    nothing_arrives(smtp, "bob")
    assert not smtp.log("event=login")


def test_smtp_what_is_allowed(smtp):
    """And what the table does allow, it answers: in the same states."""
    for name, (reach, allowed) in SMTP_STATES.items():
        for number in allowed:
            with Puppet(smtp) as puppet:
                reach(puppet)
                answer = puppet.ask(number, GOOD[number])
                assert answer.type == number | REPLY, (name, number)
    smtp.wait_no_session()


EVIL_PATHS = (
    "a b", "@", "a@", "@b", "a@b c", "a\r\n@b", "a@b\r\nX: y", "a\n@b",
    "a@b\nX", "\x7f@b", "\x01@b", '"a\nb"@c', '"a\0b"@c', "<a@b>", "a@b>",
    "a@b> SIZE=1", "a" * 65 + "@b", "a@" + "b" * 256, "a@b..c", "\xff@b",
    "a@[1.2.3.4", "a@[IPv6:::1::]")


def test_C5_C9_smtp_paths_that_lie(smtp):
    """What an honest worker would have refused is a fault."""
    postern.clear("bob")
    rows = [(idle, MAIL, mail(sender=path)) for path in EVIL_PATHS]
    rows += [(idle, MAIL, mail(flags=flags)) for flags in (
        8, 16, 0x80000000, 0xffffffff)]
    rows += [(idle, MAIL, payload) for payload in (
        mail(helo="h" * 256), mail(helo="h\0h"),
        mail(tls="t" * 80), mail(tls="t\0t"),
        u32(0xffffffff) + mail()[4:])]
    rows += [(sender, RCPT, rcpt(local, domain)) for local, domain in (
        ("a\nb", "example.test"),
        ("bob\r", "example.test"), ("bob", "example.test\n"),
        ("bob", "exam ple.test"), ("bob", "example..test"),
        ("bob", "example.test\0"), ("b\0b", "example.test"),
        ("b" * 65, "example.test"), ("bob", "e" * 256),
        ("bob", "[127.0.0.1"), ("bob", ">"), ("bob\x7f", "example.test"),
        ("bob", "@example.test"))]
    rows += [(idle, MAIL, mail(ret=3)), (idle, MAIL, mail(envid="e" * 101)),
             (idle, MAIL, mail(envid="a b")), (idle, MAIL, mail(envid="+2b"))]
    rows += [(sender, RCPT, rcpt("bob", notify=notify, orcpt=orcpt))
             for notify, orcpt in (
                 (3, ""), (16, ""), (0xffffffff, ""), (0, "rfc822"),
                 (0, "rfc822;a\r\nb"), (0, "rfc822;" + "a" * 494),
                 (0, "rfc822;a+b"))]
    cases = [(smtp, reach, lambda p, n=n, payload=payload: p.ask(n, payload),
              "%#x %r" % (n, payload)) for reach, n, payload in rows]
    with unharmed(smtp, len(cases)):
        all_of(must_end, cases)
    nothing_arrives(smtp, "bob")


def test_C5_helo_cannot_bend_the_trace(smtp):
    """The claim may hold anything: one header line comes of it, and one line
    of log."""
    postern.clear("bob")
    claims = ["x\r\nX-Injected: yes", "x\n\nbody", "x\r\n\tby evil",
              "\x1b[2J", "\x01\x7f\xff", "a) (b", "x;\ndate", "", " ", "<>",
              "\"", "\\", "%s%n", "h" * 255]
    with unharmed(smtp, 0), Puppet(smtp) as puppet:
        for claim in claims:
            assert puppet.letter(b"Subject: x\n\nbody\n", "bob",
                                 helo=claim)[0] == 250
    found = postern.wait_messages("bob", len(claims))
    for message in found:
        trace, rest = postern.split_trace(message, b"\n")
        assert rest == b"Subject: x\n\nbody\n"
        assert all(0x20 <= octet < 0x7f or octet in b"\t\n"
                   for octet in trace), trace
        assert trace.count(b"\nReceived: ") == 1
        assert b"Injected" not in trace or b"??X-Injected" in trace
        # No claim can pose as the address that the master saw.
        assert b"([127.0.0.1])\n\tby mx.example.test (Postern) with" in trace


def test_C9_no_relay_whatever_the_worker_asks(smtp):
    postern.clear("bob")
    places = [("bob", "elsewhere.example"), ("bob", ""), ("bob", "[10.9.8.7]"),
              ("bob%elsewhere.example", "example.test"),
              ("bob@elsewhere.example", "example.test"),
              ("@elsewhere.example:bob", "example.test"),
              ("elsewhere.example!bob", "example.test"),
              ("bob", "example.test.elsewhere.example"),
              ("bob", "sub.example.test"), ("../bob", "example.test"),
              ("/etc/passwd", "example.test"), ("|/bin/sh", "example.test"),
              (":include:/etc/passwd", "example.test"),
              ("toor", "example.test"), ("lowly", "example.test"),
              ("none", "example.test"), ("_postern", "example.test"),
              ("-f", "example.test"), ("bob ", "example.test"),
              ("", "example.test")]
    with unharmed(smtp, 0), Puppet(smtp) as puppet:
        sender(puppet)
        for place in places:
            answer = puppet.ask(RCPT, rcpt(*place))
            assert 550 <= answer.verdict()[0] < 560, (place, answer.verdict())
        assert puppet.ask(DATA).verdict()[0] == 554
        # Refused ones don't ride along with one that is good.
        assert puppet.ask(RCPT, rcpt("bob")).verdict()[0] == 250
        puppet.data(b"x\n")
        assert puppet.ask(COMMIT, u64(2)).verdict()[0] == 250
    found, = postern.wait_messages("bob", 1)
    assert found.startswith(b"Return-Path: <sender@example.test>\n"
                            b"Delivered-To: bob@example.test\n")
    nothing_arrives(smtp)


def test_C9_the_count_must_be_right(smtp):
    """COMMIT with another count than came down the pipe: 451, no letter, and
    the session goes on; DATA without a recipient: 554."""
    postern.clear("bob")
    with unharmed(smtp, 7), Puppet(smtp) as puppet:
        for octets in (0, 1, 5, 7, 1 << 32 | 6, (1 << 64) - 1):
            assert puppet.letter(b"12345\n", "bob", octets=octets)[0] == 451
        nothing_arrives(smtp, "bob")
        # Nothing of it is left in the session.
        assert puppet.ask(DATA) is None
    with Puppet(smtp) as puppet:
        sender(puppet)
        answer = puppet.ask(DATA)
        assert answer.verdict()[0] == 554 and answer.descriptors == 0
        assert puppet.ask(RCPT, rcpt("bob")).verdict()[0] == 250
        puppet.data(b"good\n")
        assert puppet.ask(ABORT).verdict()[0] == 250
        assert puppet.letter(b"\nbetter\n", "bob")[0] == 250
    found, = postern.wait_messages("bob", 1)
    assert postern.split_trace(found, b"\n")[1] == b"\nbetter\n"


def test_C9_gone_before_commit(smtp):
    """Whoever vanishes or says other things than COMMIT has sent nothing."""
    postern.clear("bob")
    with unharmed(smtp, 0):
        for octets in (0, 1, 5000):
            with Puppet(smtp) as puppet:
                puppet.transaction("bob").data(b"x" * octets)
            with Puppet(smtp) as puppet:
                puppet.transaction("bob")
                assert puppet.ask(DATA).verdict()[0] == 354
                puppet.write(b"x" * octets)
        eventually(lambda: len(smtp.session_processes()) == 1,
                   "their sessions ended")
        nothing_arrives(smtp, "bob")


def test_C9_the_limit_is_the_agent_s(smtp):
    """A worker that sends without end gets 552 and leaves no octet."""
    postern.clear("bob")
    with unharmed(smtp, 0), Puppet(smtp) as puppet:
        for octets in (LIMIT + 1, 20 * 1000 * 1000):
            puppet.transaction("bob")
            assert puppet.ask(DATA).verdict()[0] == 354
            assert puppet.order("F %d" % octets) == "OK"
            largest = max([os.path.getsize(os.path.join(
                smtp.spool, "incoming", name)) for name in os.listdir(
                    smtp.spool + "/incoming")] + [0])
            assert largest <= 2 * LIMIT
            assert puppet.order("X") == "OK"
            assert puppet.ask(COMMIT, u64(octets)).verdict()[0] == 552
            nothing_arrives(smtp, "bob")
        # Line ends count twice, as they come from and go to the network.
        assert puppet.letter(b"\n" * (LIMIT // 2 + 1), "bob")[0] == 552
        assert puppet.letter(b"\n" * (LIMIT // 2), "bob")[0] == 250
        assert puppet.ask(MAIL, mail(size=LIMIT + 1)).verdict()[0] == 552
        assert puppet.ask(MAIL, mail(size=1 << 63)).verdict()[0] == 552
    postern.wait_messages("bob", 1)


NASTY = (
    b"", b"\n", b"no line end", b"\0", b"a\0b\n\0\n", b"\n.\n", b".\n..\n",
    b"From bob Thu Jan  1\n", b"\nReceived: x\n",
    b"Return-Path: <x>\nDelivered-To: root\n\n", b"\x1b]0;x\x07\n",
    bytes(range(256)).replace(b"\r", b"") * 3, b"\xff" * 5000 + b"\n",
    b"\n.\nMAIL FROM:<a@b>\nRCPT TO:<root>\nDATA\nsecond\n.\n",
    b"POSTERN\0\1\2", b"x" * 20000, b".", b"a\n.", b"\n\n\n")
WITH_CR = (
    b"\r", b"\r\n", b"a\rb\n", b"a\r\nb\n", b"\r\n.\r\n", b"a\n.\r\n",
    b"\n.\r\nMAIL FROM:<a@b>\r\n", b"x" * 20000 + b"\r", b"a\n\r.\r\n")


def with_its_header_ended(content):
    if content.startswith(b"\n") or b"\n\n" in content:
        return content
    return content + (b"\n" if content[-1:] in (b"", b"\n") else b"\n\n")


def test_C1_C5_content_is_nothing_but_content(smtp, daemons):
    """Content that no honest worker would pass: one letter, byte for byte, or
    refused; and what pop3d then counts is what it sends."""
    postern.clear("bob")
    with unharmed(smtp, 0), Puppet(smtp) as puppet:
        for octets in WITH_CR:
            verdict = puppet.letter(octets, "bob")
            assert verdict[0] == 554, (octets, verdict)
        nothing_arrives(smtp, "bob")
        for octets in NASTY:
            verdict = puppet.letter(octets, "bob")
            assert verdict[0] == 250, (octets, verdict)
    found = postern.wait_messages("bob", len(NASTY))
    assert sorted(postern.split_trace(m, b"\n")[1] for m in found) == \
        sorted(with_its_header_ended(content) for content in NASTY)
    nothing_arrives(smtp)
    # And nobody in between has made a second letter or an endless one of it.
    with postern.Pop(daemons("pop3d"), "bob") as pop:
        sizes = pop.list()
        assert len(sizes) == len(NASTY)
        for number, size in sizes:
            body = retrieve(pop, number)
            assert len(body) == size, body[:200]
            assert body.replace(b"\r\n", b"\n").rstrip(b"\n") in [
                message.replace(b"\0", b"\x80").rstrip(b"\n")
                for message in found]
        pop.ok("NOOP")
        pop.quit()


def retrieve(pop, number):
    """RETR's octets: nothing but a dot alone on its line ends them."""
    pop.ok("RETR %d" % number)
    while b"\r\n.\r\n" not in b"\r\n" + pop.buffer:
        assert pop.fill(), "closed after %r" % pop.buffer
    body, rest = (b"\r\n" + pop.buffer).split(b"\r\n.\r\n", 1)
    assert rest == b""
    pop.buffer = b""
    return body[2:].replace(b"\r\n..", b"\r\n.") + b"\r\n"


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
