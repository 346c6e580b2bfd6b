"""Who waits for another program's lock on an mbox, and who gives up.

The server is stopped, the client vanishes: nobody wants the result any more,
and no process of ours may stay to wait for the rest of its patience.
"""
import contextlib
import fcntl
import os
import time

import pytest

import boxes
import postern
from postern import Ended, Pop, Smtp, eventually

FEW = 4.5 if not postern.SANITIZED else 20	# seconds; the patience is 5, 30


@contextlib.contextmanager
def held(box, how):
    """Another program has one of the two locks, and keeps it."""
    lock = box.path + ".lock"
    with open(box.path, "r+b") as file:
        if how == "fcntl":
            fcntl.lockf(file, fcntl.LOCK_EX)
        else:
            postern.write(lock, "%d\n" % os.getpid())
            os.chown(lock, box.uid, box.gid)
        try:
            yield
        finally:
            if how == "dotlock":
                os.unlink(lock)


def agents(daemon, user):
    """The agent and its keeper, once they are the user."""
    uid = postern.accounts.people[user][0]
    found = []
    for process in daemon.session_processes():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if process.uids()[0] == uid:
                found.append(process.pid)
    return found


def wait_agents(daemon, user):
    eventually(lambda: len(agents(daemon, user)) == 2, "an agent that waits")
    time.sleep(0.2)		# to begin to wait; if it does not yet, it will
    assert len(agents(daemon, user)) == 2


@pytest.fixture
def box(user):
    os.chown("/var/mail", 0, 8)
    os.chmod("/var/mail", 0o2775)
    return boxes.Mbox(user)


@pytest.mark.parametrize("how", ("fcntl", "dotlock"))
def test_delivery_waits_and_the_server_stops(daemons, user, box, how):
    smtpd = daemons("smtpd", box.conf + "retry-schedule 1s\n")
    took = []
    with Smtp(smtpd) as smtp:
        with held(box, how):
            assert smtp.mail(b"Subject: it\r\n\r\nx\r\n", user).code == 250
            smtp.quit()
            # A busy host may need long for it, but not each time.
            while len(took) < 3 and min(took, default=FEW) >= FEW:
                if took:
                    smtpd.start()
                wait_agents(smtpd, user)
                begun = time.monotonic()
                assert smtpd.stop() == 0
                eventually(lambda: not smtpd.leftovers(), "the end of all")
                took.append(time.monotonic() - begun)
            assert min(took) < FEW, took
            assert os.path.exists(box.path + ".lock") == (how == "dotlock")
            assert os.path.getsize(box.path) == 0
    smtpd.start()
    eventually(lambda: len(box.read()) == 1, "the letter")
    smtpd.wait_no_session()
    assert len(box.read()) == 1


@pytest.mark.parametrize("how", ("fcntl", "dotlock"))
def test_session_waits_and_the_server_stops(daemons, user, box, how):
    pop3d = daemons("pop3d", box.conf)
    box.put(b"Subject: it\n\nx\n")
    took = []
    with held(box, how):
        while len(took) < 3 and min(took, default=FEW) >= FEW:
            if took:
                pop3d.start()
            with Pop(pop3d) as pop:
                pop.ok("USER " + user)
                pop.say("PASS " + postern.password(user))
                wait_agents(pop3d, user)
                begun = time.monotonic()
                assert pop3d.stop() == 0
                eventually(lambda: not pop3d.leftovers(), "the end of all")
                took.append(time.monotonic() - begun)
                assert pop.line().startswith(
                    b"-ERR [SYS/TEMP] the server ends")
                assert pop.is_closed()
        assert min(took) < FEW, took
    pop3d.start()
    with Pop(pop3d, user) as pop:
        assert pop.stat()[0] == 1


@pytest.mark.parametrize("how", ("close", "reset"))
def test_session_waits_and_the_client_goes(daemons, user, box, how):
    """Who comes back at once does not find the session in use by nobody."""
    pop3d = daemons("pop3d", box.conf)
    box.put(b"Subject: it\n\nx\n")
    took = []
    while len(took) < 3 and min(took, default=FEW) >= FEW:
        with held(box, "dotlock"):
            pop = Pop(pop3d)
            pop.ok("USER " + user)
            pop.say("PASS " + postern.password(user))
            wait_agents(pop3d, user)
            begun = time.monotonic()
            pop.drop() if how == "reset" else pop.close()
            eventually(lambda: not agents(pop3d, user), "the agent's end")
            took.append(time.monotonic() - begun)
    assert min(took) < (FEW if how == "close" else FEW / 2), took
    with Pop(pop3d, user) as pop:
        assert pop.stat()[0] == 1


def test_client_that_only_listens(daemons, user, box):
    """One that has said all, and half closed, is served to its QUIT."""
    pop3d = daemons("pop3d", box.conf)
    box.put(b"Subject: it\n\nx\n")
    with Pop(pop3d) as pop:
        with held(box, "dotlock"):
            pop.send("USER %s\r\nPASS %s\r\nDELE 1\r\nQUIT\r\n" % (
                user, postern.password(user)))
            pop.sock.shutdown(1)
            wait_agents(pop3d, user)
            time.sleep(1.5)		# longer than one with no more to say
        assert pop.line().startswith(b"+OK")
        assert pop.line().startswith(b"+OK 1 ")
        assert pop.line().startswith(b"+OK")
        assert pop.line() == b"+OK goodbye"
    assert box.read() == []


def test_expunge_waits_and_the_server_stops(daemons, user, box):
    """Nothing is deleted, and the client is not told that it was."""
    pop3d = daemons("pop3d", box.conf)
    box.put(b"Subject: it\n\nx\n")
    with Pop(pop3d, user) as pop:
        pop.ok("DELE 1")
        with held(box, "dotlock"):
            pop.say("QUIT")
            time.sleep(0.2)
            assert pop3d.stop() == 0
            eventually(lambda: not pop3d.leftovers(), "the end of all")
            with contextlib.suppress(Ended, ConnectionResetError):
                assert pop.line().startswith(b"-ERR")
    assert len(box.read()) == 1
    pop3d.start()
