"""Generations that change while something else does."""
import ctypes
import os
import signal
import socket
import time

import pytest

import postern
from postern import Pop, Smtp, eventually, kill


def of_master(daemon, role):
    return [p.pid for p in daemon.processes(role)
            if p.ppid == daemon.process.pid]


@pytest.mark.may_crash
def test_the_spawner_ends_last(daemons):
    """All roles of a generation are killed while a session's end is not told
    of yet: the master forgets it once, and starts another."""
    daemon = daemons("pop3d")
    spawner, = of_master(daemon, "pop3d-worker")
    # Of those before the last one the master has been told.
    eventually(lambda: len(daemon.waiting_workers()) > 1, "some wait")
    os.kill(spawner, signal.SIGSTOP)
    pop = Pop(daemon)
    pop.ok("QUIT")
    pop.close()
    # All at once: those of the next generation come soon after the first.
    for pid in [pid for role in ("login", "pop3d-agents", "signer")
                for pid in of_master(daemon, role)]:
        kill(pid)
    daemon.wait_log("event=role-ended", 3)
    kill(spawner)
    daemon.wait_log("event=generation number=2")
    with Pop(daemon) as pop:
        pop.ok("QUIT")


@pytest.mark.may_crash
def test_roles_of_two_generations_end(daemons):
    """One by one, those of the generation that is just being started, too: a
    later one serves, whatever its number."""
    daemon = daemons("pop3d")
    roles = ("login", "pop3d-agents", "signer", "pop3d-worker")
    for _ in range(5):
        killed = [pid for role in roles for pid in of_master(daemon, role)
                  if kill(pid) is None]
        eventually(lambda: all(set(of_master(daemon, role)) - set(killed)
                               for role in roles), "there are others")
        daemon.wait_ready()


SYS_pidfd_getfd = 438
FD_MASTER, FD_LOG = 3, 4	# privsep/channel.h


def shut(pid, number):
    """Shut this socket of another process down."""
    pidfd = os.pidfd_open(pid)
    fd = ctypes.CDLL(None, use_errno=True).syscall(
        SYS_pidfd_getfd, pidfd, number, 0)
    os.close(pidfd)
    if fd == -1:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    with socket.socket(fileno=fd) as sock:
        sock.shutdown(socket.SHUT_RDWR)


@pytest.mark.may_crash
@pytest.mark.parametrize("number", [FD_MASTER, FD_LOG],
                         ids=["channel", "log"])
@pytest.mark.parametrize("role", ["smtpd-worker", "login", "smtpd-queue",
                                  "smtpd-resolver"])
def test_a_role_that_lets_go(daemons, role, number):
    """Whoever closes its channel or its log is killed and replaced; whoever
    is being served is served on."""
    daemon = daemons("smtpd", "prefork 2")
    pid, = of_master(daemon, role)
    with Smtp(daemon) as smtp:
        shut(pid, number)
        daemon.wait_log("event=role-ended role=%s pid=%d" % (role, pid))
        eventually(lambda: set(of_master(daemon, role)) - {pid},
                   "there is another")
        if role != "smtpd-queue":
            daemon.wait_log("event=generation number=2")
        smtp.expect("NOOP", 250)
        smtp.quit()
    daemon.wait_ready()


@pytest.mark.may_crash
def test_an_old_spawner_ends_first(daemons):
    """The last session of a retired generation ends with its spawner: the
    other roles, the old keys among them, are let go."""
    daemon = daemons("pop3d", "prefork 2")
    old = {p.pid for p in daemon.processes()} - {daemon.process.pid}
    spawner, = of_master(daemon, "pop3d-worker")
    pop = Pop(daemon)
    daemon.reload()
    daemon.wait_log("event=generation number=2")
    os.kill(spawner, signal.SIGSTOP)
    pop.close()
    eventually(lambda: not [p for p in daemon.processes("pop3d-worker")
                            if p.ppid == spawner and p.state != "Z"],
               "the session's worker has ended")
    kill(spawner)
    eventually(lambda: not old & {p.pid for p in daemon.processes()},
               "nothing of the old generation is left")


def is_refused(daemon):
    try:
        daemon.connect().close()
        return False
    except OSError:
        return True


def test_stopping_while_starting(daemons):
    """Who comes after SIGTERM is not taken, whatever becomes ready then."""
    daemon = daemons("pop3d", "prefork 2")
    waiting = {p.pid for p in daemon.processes("pop3d-worker")}
    pop = Pop(daemon)
    eventually(lambda: {p.pid for p in daemon.processes("pop3d-worker")}
               - waiting, "another waits")
    # A worker that does not say goodbye keeps the master for a while.
    busy = [p.pid for p in daemon.processes("pop3d-worker")
            if p.ppid != daemon.process.pid
            and len(os.listdir("/proc/%d/fd" % p.pid)) > 5]
    for pid in busy:
        os.kill(pid, signal.SIGSTOP)
    daemon.reload()
    time.sleep(0.004)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.wait_log("event=stopping")
    eventually(lambda: is_refused(daemon), "nobody is taken any more")
    end = time.monotonic() + 1
    while time.monotonic() < end:
        assert is_refused(daemon)
        time.sleep(0.05)
    pop.close()
    assert daemon.process.wait(postern.PATIENCE) == 0
    daemon.wait_nothing_left()


def test_stopping_keeps_nobody_waiting(daemons):
    """While sessions end, nobody is forked for clients that can't come: the
    end would have to wait for them."""
    daemon = daemons("pop3d", "prefork 4")
    pop = Pop(daemon)			# which does not hear a goodbye
    eventually(lambda: len(daemon.waiting_workers()) == 4, "others wait")
    before = {p.pid for p in daemon.processes("pop3d-worker")}
    after = set()
    daemon.process.send_signal(signal.SIGTERM)
    while daemon.process.poll() is None:
        after |= {p.pid for p in daemon.processes("pop3d-worker")}
        time.sleep(0.02)
    pop.close()
    assert after <= before, "%d more" % len(after - before)
    daemon.wait_nothing_left()


@pytest.mark.may_crash
def test_a_start_that_hangs(daemons):
    """A renewal whose signer hangs is given up, and tried again."""
    daemon = daemons("pop3d", "prefork 2")
    for _ in range(20):
        old = set(of_master(daemon, "signer"))
        started = len(daemon.log("event=generation number="))
        kill(old.copy().pop())
        fresh = eventually(lambda: set(of_master(daemon, "signer")) - old,
                           "another signer")
        hung = fresh.pop()
        os.kill(hung, signal.SIGSTOP)
        eventually(lambda: daemon.log("why=too-slow") or
                   len(daemon.log("event=generation number=")) > started,
                   "it is given up, or was ready before", seconds=60)
        if daemon.log("why=too-slow"):
            break
        os.kill(hung, signal.SIGCONT)
    assert daemon.log("why=too-slow"), "always ready before it was stopped"
    daemon.wait_log("event=generation number=", started + 1)
    with Pop(daemon) as pop:
        pop.ok("QUIT")
    kill(hung)


def test_many_renewals(daemons):
    """However often SIGHUP comes, one start a second, and the last counts."""
    daemon = daemons("pop3d", "hostname first.example.test")
    begun = time.monotonic()
    for number in range(30):
        daemon.configure("hostname mx%d.example.test" % number)
        daemon.reload()
        time.sleep(0.01)

    def greets():
        with Pop(daemon) as pop:
            return "mx29." in pop.greeting
    eventually(greets, "the last configuration")
    # The first, and one that begins with each second.
    assert len(daemon.log("event=generation ")) <= \
        3 + time.monotonic() - begun


def test_more_wait_under_load(daemons):
    """prefork is what waits on a quiet day; a rush makes it more."""
    daemon = daemons("pop3d", "prefork 2")
    spawner, = of_master(daemon, "pop3d-worker")

    def workers():
        return len([p for p in daemon.processes("pop3d-worker")
                    if p.ppid == spawner])
    eventually(lambda: workers() == 2, "two wait")
    clients = []

    def rush():
        """As many as fit into a second; on a slow host they may not."""
        for _ in range(20):
            clients.append(daemon.connect())
        return len(clients) > 150 or workers() > len(clients) + 2
    eventually(rush, "more wait", every=0.1)
    for client in clients:
        assert client.recv(1) == b"+"
    eventually(lambda: workers() > len(clients) + 2, "more wait")
    for client in clients:
        client.close()
    eventually(lambda: workers() <= 2 * 16, "none but those that wait")


# Who sends mail to other hosts

SENDERS = ("smtpd-relay", "smtpd-resolver")


@pytest.mark.may_crash
@pytest.mark.parametrize("role", SENDERS)
def test_a_crash_of_a_sender(daemons, role):
    """It makes a new generation, whole; sessions that run go on."""
    daemon = daemons("smtpd", "prefork 2")
    old = {each: of_master(daemon, each)[0] for each in SENDERS}
    with Smtp(daemon) as smtp:
        daemon.crash(old[role])
        daemon.wait_log("event=role-ended role=" + role)
        daemon.wait_log("event=generation number=2")
        new = {each: of_master(daemon, each) for each in SENDERS}
        for each in SENDERS:
            assert len(new[each]) == 1 and new[each] != [old[each]], each
        smtp.expect("NOOP", 250)
        smtp.quit()
    with Smtp(daemon) as smtp:
        smtp.quit()


def test_senders_of_an_old_generation(daemons):
    """They end when a new one serves, though sessions of theirs go on."""
    daemon = daemons("smtpd", "prefork 2")
    old = {of_master(daemon, each)[0] for each in SENDERS}
    with Smtp(daemon) as smtp:
        daemon.reload()
        daemon.wait_log("event=generation number=2")
        eventually(lambda: not old & {p.pid for p in daemon.processes()},
                   "old relay and resolver end")
        assert len(of_master(daemon, "login")) == 2
        smtp.expect("NOOP", 250)
        smtp.quit()
    assert not daemon.log("event=role-ended")


@pytest.mark.may_crash
def test_a_crash_of_a_connection(daemons):
    """A host's bytes that crash its relay make a new generation, and the
    letter is tried again."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        daemon = daemons("smtpd", "prefork 2\nretry-schedule 1s\n"
                         "relay-host 127.0.0.1:%d" % silent.getsockname()[1])
        with Smtp(daemon) as smtp:
            assert smtp.mail(b"Subject: x\r\n\r\nx\r\n",
                             "far@remote.test").code == 250
            smtp.quit()
        parent, = of_master(daemon, "smtpd-relay")

        def connections(of=None):
            return [p.pid for p in daemon.processes("smtpd-relay")
                    if p.ppid != daemon.process.pid and of in (None, p.ppid)]
        first, = eventually(lambda: connections(parent), "a connection")
        daemon.crash(first)
        daemon.wait_log("by=relay .*event=died pid=%d" % first)
        daemon.wait_log("event=generation number=2")
        eventually(lambda: set(connections()) - {first}, "the next try")


def test_none_for_pop3(daemons):
    daemon = daemons("pop3d")
    for role in SENDERS:
        assert not daemon.processes(role)
    assert not os.path.exists(daemon.run_dir + "/smtpd.sock")
