"""Every request in every state, well-formed and not, of a puppet; and proof
that nobody else has noticed."""
import concurrent.futures
import contextlib

import postern
from postern import eventually, message_files, put_message
from puppet import (
    COMMIT, DELIVER, EXPUNGE, FETCH, GOOD, MESSAGE_MAX, OTHERS, REQUESTS,
    VERIFY, Puppet, expunge, fetch, mailbox, u32, u64)

LETTERS = 12			# in each mailbox: a bitmap of two octets
LIMIT = 65536			# message-size-limit


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
