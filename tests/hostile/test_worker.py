"""A worker that tries what it may not: it ends, it alone, and it costs.

Each trial is one of puppet.c's, made by a process that is confined as every
worker is.
"""
import signal
import time

import pytest

import postern
from postern import eventually, put_message
from puppet import (
    COMMIT, FETCH, LOGIN, REPLY, Puppet, fetch, login, u64)

# What the system-call table has no room for: SIGSYS.  A crash is a crash.
FORBIDDEN = ("open", "socket", "fork", "exec", "kill", "ptrace", "mmap-exec",
             "setuid", "accept", "prctl", "prlimit", "flock", "pwrite",
             "truncate", "abort")
TRIALS = dict.fromkeys(FORBIDDEN, signal.SIGSYS)
TRIALS["segv"] = signal.SIGSEGV


@pytest.fixture(scope="module", params=("pop3d", "smtpd"))
def daemon(request, puppets):
    return puppets(request.param, "prefork 24\nretry-schedule 1s\n"
                   if request.param == "smtpd" else "prefork 24\n")


def start_other(daemon):
    """A session that is in the middle of something."""
    other = Puppet(daemon)
    if daemon.program == "pop3d":
        postern.clear("alice")
        put_message("alice", b"Subject: x\n\nbody\n")
        return other.opened("alice")
    postern.clear("alice")
    return other.transaction("alice").data(b"body\n")


def finish_other(daemon, other):
    if daemon.program == "pop3d":
        assert other.ask(FETCH, fetch(0)).u32(4) == 0
        assert other.read(100) == b"Subject: x\n\nbody\n"
    else:
        assert other.ask(COMMIT, u64(5)).verdict()[0] == 250
        postern.wait_messages("alice", 1)
    other.close()


@pytest.mark.skipif(postern.SANITIZED,
                    reason="a sanitizer build has looser tables")
@pytest.mark.may_crash
def test_a_worker_that_tries_is_ended(daemon):
    """Every trial: no return, a line in the log, nobody else disturbed."""
    before, begun = daemon.generations(), time.monotonic()
    other = start_other(daemon)
    logged_in = Puppet(daemon)
    if daemon.program == "pop3d":
        postern.clear("bob")
        logged_in.opened("bob")
    workers = {name: Puppet(daemon) for name in TRIALS}
    for count, (name, number) in enumerate(TRIALS.items(), 1):
        answer = workers[name].try_to(name)
        assert answer is None, "%s: %s" % (name, answer)
        line = daemon.wait_log("event=worker-crash", count)[-1]
        assert "signal=%d " % number in line, (name, line)
        assert "client=127.0.0.1" in line and "session=" in line
        workers[name].close()
    assert daemon.is_alive()
    # At most one generation a second comes of it, and one does come.
    daemon.wait_log("event=generation ", before + 1)
    assert daemon.generations() - before <= \
        time.monotonic() - begun + 2
    finish_other(daemon, other)
    logged_in.close()
    # New clients are served, by processes that were exec'd anew.
    with Puppet(daemon) as puppet:
        assert puppet.greeting == "READY"
    daemon.wait_no_session()
    assert not daemon.log("event=died|role-ended")
    assert {line.split("why=")[1] for line in daemon.log("event=renew")} == \
        {"worker-crash"}
    daemon.check_log()


@pytest.mark.may_crash
def test_one_generation_a_second(daemon):
    """However fast workers crash; meanwhile clients get the temporary
    error, and at last they are served."""
    refusal = "-ERR [SYS/TEMP]" if daemon.program == "pop3d" else "421 4"
    before, begun = daemon.generations(), time.monotonic()
    greetings = []

    def is_enough():
        return (time.monotonic() > begun + 2.5 and
                daemon.generations() - before >= 2 and
                len({line[:len(refusal)] for line in greetings}) > 1)
    while not is_enough() and time.monotonic() < begun + postern.PATIENCE:
        with postern.Dialogue(daemon) as client:
            greetings.append(client.line().decode())
            if greetings[-1] == "READY":
                client.say("T segv")
                assert client.is_closed()
    assert daemon.generations() - before <= 2 + time.monotonic() - begun
    assert daemon.generations() - before >= 2
    assert {"READY", refusal} == {
        line[:len(refusal)] for line in greetings}, set(greetings)
    Puppet(daemon).close()


@pytest.mark.may_crash
@pytest.mark.parametrize("program", ("pop3d", "smtpd"))
def test_C12_crashes_count_against_the_address(puppets, program):
    """Five crashes from one address and it is refused; others are not, nor is
    one that limits-exempt names."""
    daemon = puppets(program, "limits-exempt 127.0.0.1\nprefork 16\n")
    bad = [Puppet(daemon, "127.0.0.66") for _ in range(5)]
    late = Puppet(daemon, "127.0.0.66")
    exempt = [Puppet(daemon) for _ in range(6)]
    for count, puppet in enumerate(bad + exempt, 1):
        assert puppet.try_to("segv") is None
        daemon.wait_log("event=worker-crash", count)
    # Who is refused is refused before a generation is looked for.
    refusal = b"-ERR [SYS/TEMP]" if program == "pop3d" else b"421 "
    with postern.Dialogue(daemon, "127.0.0.66") as client:
        assert client.line().startswith(refusal)
        assert client.is_closed()
    daemon.wait_log(r"event=refused client=127\.0\.0\.66 "
                    "service=.* why=source-limit")
    Puppet(daemon, "127.0.0.67").close()
    Puppet(daemon).close()
    # A session of the same address that did no harm goes on.
    assert late.ask(0x206, bytes(8)) is not None if program == "smtpd" \
        else late.ask(LOGIN, login("alice")).type == LOGIN | REPLY
    late.close()


@pytest.mark.may_crash
def test_a_crash_counts_though_the_master_was_left_before(puppets):
    """Whoever lets go of the master's channel first pays as well, and the
    master does not trip over an address that it has forgotten."""
    daemon = puppets("pop3d", "limits-exempt 127.0.0.1\nprefork 16\n")
    for n in range(8):
        client = Puppet(daemon, "127.0.1.%d" % n)
        client.say("D")
        try:
            client.line()
            client.say("T segv")
        except (postern.Ended, ConnectionError):
            pass
        eventually(lambda: client.is_closed(1), "it ends")
        client.close()
    daemon.wait_no_session()
    assert daemon.is_alive()
    Puppet(daemon).close()
