"""Commands that take long, do odd things, or lose who waits for them."""
import os
import time

import pytest

import postern
from postern import eventually, wait_messages
from programs import (CONF, empty, forward, over, people,  # noqa: F401
                      record, records, send, smtpd)

pytestmark = pytest.mark.may_crash


def test_flood_and_deaf(smtpd, people):
    """One writes without end, one does not read: neither holds us up."""
    alice, bob, carol = people
    forward(alice, record("flood=2000", "exit=1"))
    forward(bob, record("deaf", "exit=0"))
    send(smtpd, alice, bob, sender=carol + "@example.test",
         letter=b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 100000)
    smtpd.wait_log("event=failed .*account=%s .*exit status 1" % alice)
    smtpd.wait_log("event=delivered .*account=%s " % bob)
    line, = smtpd.log("event=command-failed .*user=%s " % alice)
    assert len(line) < 900
    over(smtpd)


def test_daemon(smtpd, people):
    """What a command leaves behind is not waited for, nor ended."""
    alice = people[0]
    forward(alice, record("daemon=60"))
    start = time.monotonic()
    send(smtpd, alice)
    smtpd.wait_log("event=delivered .*account=%s " % alice)
    assert time.monotonic() - start < 50
    over(smtpd)
    left = [p for p in postern.all_processes() if p.is_of(alice)
            and p.role.startswith("python")]
    assert left
    for process in left:
        postern.kill(process.pid)


def test_time_is_over(daemons, people):
    """Asked to end, and then made to, with all that is of its group."""
    alice, bob, carol = people
    smtpd = daemons("smtpd", CONF.replace("20s", "2s"))
    forward(alice, record("sleep=600"))
    forward(bob, record("deaf-to-term", "daemon=600", "sleep=600"))
    send(smtpd, alice, bob, sender=carol + "@example.test")
    bounce, = wait_messages(carol, 1)
    assert bounce.count(b"the command's time was over") >= 2
    over(smtpd)
    eventually(lambda: not [p for p in postern.all_processes()
                            if p.is_of(alice) or p.is_of(bob)], "their end")


def test_a_slow_one_stops_nobody(smtpd, people):
    """Not other commands, and not mail for the mailbox."""
    alice, bob, carol = people
    forward(alice, record("sleep=600"))
    forward(bob, record("quick"))
    send(smtpd, alice, sender="")
    records(1)
    send(smtpd, bob)
    send(smtpd, carol)
    wait_messages(carol, 1)
    smtpd.wait_log("event=delivered .*account=%s " % bob)
    sleeping, = [p for p in postern.all_processes()
                 if p.is_of(alice) and p.role.startswith("python")]
    os.kill(sleeping.pid, 9)
    forward(alice, None)
    over(smtpd)


def test_queue_is_killed(smtpd, people):
    """Nobody waits for its end: it is ended, and tried again, never twice at
    once."""
    alice = people[0]
    forward(alice, record("sleep=600"))
    send(smtpd, alice)
    records(1)
    queue, = smtpd.processes("smtpd-queue")
    os.kill(queue.pid, 9)
    seen = records(2)
    running = [p for p in postern.all_processes()
               if p.is_of(alice) and p.role.startswith("python")]
    assert len(running) == 1 and len(seen) == 2
    forward(alice, record("done"))
    os.kill(running[0].pid, 15)
    smtpd.wait_log("event=delivered .*account=%s " % alice)
    over(smtpd)


def test_reload_while_one_runs(smtpd, people):
    """A command that runs may end in peace: it is not run again."""
    alice, bob, _ = people
    gate = postern.home(alice) + "/go-on"
    forward(alice, record("until=" + gate))
    send(smtpd, alice)
    records(1)
    smtpd.forget_log()
    queue, = smtpd.processes("smtpd-queue")
    smtpd.reload()
    smtpd.wait_log("event=reloaded")
    postern.write(gate, "")
    send(smtpd, bob)
    smtpd.wait_log("event=delivered .*account=%s .*given to a command" % alice)
    wait_messages(bob, 1)
    over(smtpd)
    os.unlink(gate)
    assert len(records()) == 1
    assert queue.pid not in [p.pid for p in smtpd.processes("smtpd-queue")]


def test_its_agent_is_killed(smtpd, people):
    """Then the command ends with it, before it is run again."""
    alice = people[0]
    forward(alice, record("sleep=600"))
    send(smtpd, alice)
    records(1)
    agent, = [p for p in smtpd.processes("smtpd-programs") if p.is_of(alice)]
    os.kill(agent.pid, 9)
    records(2)
    running = [p for p in postern.all_processes()
               if p.is_of(alice) and p.role.startswith("python")]
    assert len(running) == 1
    forward(alice, record("done"))
    os.kill(running[0].pid, 15)
    smtpd.wait_log("event=delivered .*account=%s " % alice)
    over(smtpd)


def test_reload(smtpd, people):
    """New processes, and what is allowed by then."""
    alice = people[0]
    smtpd.reload(CONF + "forward-commands no\n")
    smtpd.wait_log("event=reloaded")
    forward(alice, record("never"))
    send(smtpd, alice)
    wait_messages(alice, 1)
    smtpd.reload(CONF)
    smtpd.wait_log("event=reloaded", 2)
    forward(alice, record("now"))
    send(smtpd, alice)
    records(1)
    over(smtpd)
    assert [r["argv"][1] for r in records()] == ["now"]
