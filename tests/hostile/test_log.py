"""C5, C9: an agent in its user's hands, and the log.

It shares the log socket of its role with all other agents.  What it says is
marked as its own, and bounded, so that it neither poses as others nor drowns
what they say.
"""
import array
import ctypes
import multiprocessing
import os
import re
import signal
import socket
import struct
import time

import pytest

import postern
from lingering import LINGER, lingering
from postern import Pop, Smtp, eventually
from puppet import text, u32

pytestmark = pytest.mark.may_crash
FD_LOG = 4				# privsep/channel.h
CH_LOG = 6
EMERGENCY = 0
PIDFD_GETFD = 438
FORGED = (b"event=login-failed user=mallory client=203.0.113.9 service=pop3",
          b"session=1 event=login user=root client=203.0.113.9",
          b"by=agent uid=0 pid=1 event=login user=root client=203.0.113.9")
BUDGET = 50				# lines of a user in a second


@pytest.fixture(scope="module")
def pop3d(daemons):
    return daemons("pop3d", "max-sessions-per-source 100\n"
                   "login-timeout 60\n")


@pytest.fixture(scope="module")
def smtpd(daemons):
    return daemons("smtpd", "command-user _posternc\nmax-errors 1000\n"
                   "trusted-networks none\n")


def log_socket(daemon, role):
    """The end of the log socket that this role's agents have."""
    process, = [p for p in daemon.processes(role)
                if p.ppid == daemon.process.pid]
    pidfd = os.pidfd_open(process.pid)
    fd = ctypes.CDLL(None, use_errno=True).syscall(
        PIDFD_GETFD, pidfd, FD_LOG, 0)
    os.close(pidfd)
    assert fd != -1, os.strerror(ctypes.get_errno())
    return socket.socket(fileno=fd)


def line(words, level=EMERGENCY):
    return u32(CH_LOG) + u32(level) + text(words)


def as_user(user, function, *arguments):
    """In a process that is what an agent of the user is."""
    uid, gid = postern.accounts.people[user][:2]

    def life():
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        function(*arguments)
    process = multiprocessing.get_context("fork").Process(target=life)
    process.start()
    return process


def flood(sock, stop):
    while not stop.is_set():
        for words in FORGED:
            sock.send(line(words))


def ended(process):
    process.join(postern.PATIENCE)
    assert process.exitcode == 0


def marks(user, pid):
    return "by=agent uid=%d pid=%d " % (postern.accounts.people[user][0], pid)


def test_C5_C9_flood_and_forgery(pop3d, users):
    """Failed logins and others' lines stand in the log, as they are, and the
    forged ones are the forger's."""
    alice, bob, carol = users(3)
    stop = multiprocessing.get_context("fork").Event()
    with log_socket(pop3d, "pop3d-agents") as sock:
        pop3d.forget_log()
        begun = time.monotonic()
        flooder = as_user(alice, flood, sock, stop)
        try:
            pop3d.wait_log("event=log-suppressed by=agent uid=%d "
                           % postern.accounts.people[alice][0])
            sessions = [Pop(pop3d) for _ in range(5)]
            for session in sessions:
                session.say("USER " + carol)
                assert session.line().startswith(b"+OK")
                session.say("PASS wrong")
            for session in sessions:
                assert session.line().startswith(b"-ERR")
                session.close()
            pop3d.wait_log(r" session=\S+ event=login-failed user=%s client=12"
                           % carol, 5)
            with Pop(pop3d, bob) as session:
                session.quit()
            pop3d.wait_log(r" session=\S+ event=login user=%s " % bob)
            # Who shares the socket is heard as well.
            other = as_user(bob, sock.send, line(b"event=said-by-bob"))
            pop3d.wait_log(marks(bob, other.pid) + "event=said-by-bob$")
            ended(other)
            pop3d.wait_log("event=log-suppressed by=agent ", 3)
        finally:
            stop.set()
            ended(flooder)
    seconds = time.monotonic() - begun
    forged = pop3d.log("203.0.113.9")
    assert forged and len(forged) <= BUDGET * (2 + seconds)
    for found in forged:
        assert re.match(r"\S+ " + marks(alice, flooder.pid), found), found
    for words in FORGED:
        assert [f for f in forged if f.endswith(words.decode())]


def credentials(uid, gid):
    return array.array("B", struct.pack("3i", os.getpid(), uid, gid))


def claim_root(sock):
    try:
        sock.sendmsg([line(b"event=said-as-root")], [(
            socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials(0, 0))])
    except PermissionError:
        return
    os._exit(1)


@pytest.mark.parametrize("role", ("smtpd-agents", "smtpd-programs"))
def test_C5_nobody_is_another(smtpd, users, role):
    """The kernel sees to who it is; an id in a message is another's only for
    root."""
    user, = users(1)
    with log_socket(smtpd, role) as sock:
        ended(as_user(user, claim_root, sock))
        # What is no line at all is passed over, nor is it the socket's end.
        for junk in (b"", u32(CH_LOG), u32(99) + u32(6) + text(b"event=junk"),
                     line(b"event=junk\0"), line(b"event=junk", 8),
                     line(b"event=junk") + b"x", line(b"event=junk" * 200)):
            ended(as_user(user, sock.send, junk))
        last = as_user(user, sock.send, line(b"event=la\nst\x1b[2J"))
        smtpd.wait_log(re.escape(marks(user, last.pid)
                                 + r"event=la\x0ast\x1b[2J"))
        ended(last)
    assert not smtpd.log("event=junk|said-as-root")
    with Smtp(smtpd) as smtp:
        smtp.quit()


def test_a_session_agent_says_who_it_is(smtpd, users):
    """The real one, which is queue-user: its line stands behind its mark."""
    user, = users(1)
    with Smtp(smtpd) as smtp:
        assert smtp.mail(b"Subject: x\r\n\r\nx\r\n", user).code == 250
        smtp.quit()
    found = smtpd.wait_log(r" event=received id=\S+ ")
    assert re.match(r"\S+ by=agent uid=%d pid=\d+ session=[0-9a-f]+ event="
                    % postern.SYSTEM_USERS["_posternq"], found[-1]), found
    eventually(lambda: smtpd.log(r"^\S+ event=delivered .*account=%s " % user),
               "the queue's own lines stand as they are")


def send_lingering(sock, sent, stop):
    """Descriptors with lines; to close one takes long (test_descriptors)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held = lingering(listener)
        socket.send_fds(sock, [line(b"event=with-a-descriptor")],
                        [held.fileno()])
        held.close()
        sent.set()
        stop.wait(postern.PATIENCE)
    os._exit(0)


def test_C8_the_master_waits_for_no_descriptor(smtpd, users):
    """A line that has a socket with it is none, and holds nobody up."""
    user, = users(1)
    context = multiprocessing.get_context("fork")
    sent, stop = context.Event(), context.Event()
    with log_socket(smtpd, "smtpd-programs") as sock:
        os.kill(smtpd.process.pid, signal.SIGSTOP)
        try:
            process = as_user(user, send_lingering, sock, sent, stop)
            eventually(sent.is_set, "it is sent")
        finally:
            os.kill(smtpd.process.pid, signal.SIGCONT)
        begun = time.monotonic()
        with Smtp(smtpd) as smtp:
            smtp.quit()
        assert time.monotonic() - begun < LINGER
        stop.set()
        ended(process)
    assert not smtpd.log("with-a-descriptor")
