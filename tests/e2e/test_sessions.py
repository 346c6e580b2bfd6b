"""Many sessions at once, and what the death of one means to the others."""
import os
import random
import signal
import threading
import time

import pytest

import postern
from postern import Pop, Smtp, eventually, messages, put_message

SESSIONS = 20


def in_threads(function, items):
    errors = []

    def run(item):
        try:
            function(item)
        except BaseException as error:		# shown below
            errors.append((item, error))
    threads = [threading.Thread(target=run, args=(item,)) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def test_C19_twenty_sessions_see_only_their_own(pop3d, users):
    """C19: twenty users at once, each with mail that names its owner."""
    names = users(SESSIONS)
    for name in names:
        for n in range(20):
            put_message(name, b"Subject: for %s %d\n\n%s\n" % (
                name.encode(), n, name.encode() * 50))
    together = threading.Barrier(SESSIONS)

    def session(name):
        dice = random.Random(name)
        for _ in range(3):
            with Pop(pop3d) as pop:
                together.wait(postern.PATIENCE)
                pop.ok("USER " + name)
                pop.ok("PASS " + postern.password(name))
                assert pop.stat()[0] == 20
                for number in dice.sample(range(1, 21), 20):
                    text = pop.retr(number)
                    assert text.startswith(b"Subject: for %s " % name.encode())
                    for other in names:
                        assert other == name or other.encode() not in text
                together.wait(postern.PATIENCE)
                pop.quit()
    in_threads(session, names)
    pop3d.wait_no_session()


def test_twenty_senders_at_once(smtpd, users):
    names = users(SESSIONS)

    def session(name):
        with Smtp(smtpd) as smtp:
            for n in range(10):
                content = b"Subject: %s\r\n\r\n" % name.encode()
                content += (b"%s\r\n" % name.encode()) * 100
                assert smtp.mail(content, name).code == 250
            smtp.quit()
    in_threads(session, names)
    for name in names:
        for message in postern.wait_messages(name, 10):
            for other in names:
                assert other == name or other.encode() not in message


def serving(daemon):
    """Workers that have a client: those that hold a TCP socket."""
    found = []
    for process in daemon.processes(daemon.program + "-worker"):
        try:
            links = [os.readlink("/proc/%d/fd/%s" % (process.pid, fd))
                     for fd in os.listdir("/proc/%d/fd" % process.pid)]
        except OSError:
            continue
        inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
        if inodes & tcp_inodes():
            found.append(process)
    return found


def tcp_inodes():
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table, encoding="ascii") as file:
            for line in list(file)[1:]:
                found.add(line.split()[9])
    found.discard("0")
    return found


@pytest.mark.may_crash
@pytest.mark.parametrize("number", (signal.SIGKILL, signal.SIGSEGV,
                                    signal.SIGABRT, signal.SIGTERM))
def test_a_worker_killed(pop3d, users, number):
    """It costs its own session only."""
    names = users(6)
    for name in names:
        put_message(name, b"Subject: %s\n\nx\n" % name.encode())
    pop3d.wait_no_session()
    eventually(lambda: not serving(pop3d), "no session")
    victim = login(pop3d, names[0])
    # Another one, that was refused before, may be at its end.
    eventually(lambda: len(serving(pop3d)) == 1, "one session")
    target, = serving(pop3d)
    others = [login(pop3d, name) for name in names[1:]]
    try:
        pop3d.crash(target.pid, number)
        try:
            while victim.sock.recv(100):
                pass
        except ConnectionResetError:
            pass
        for name, pop in zip(names[1:], others):
            assert pop.stat()[0] == 1
            assert name.encode() in pop.retr(1)
        with login(pop3d, names[0]) as again:
            assert again.stat()[0] == 1
        for pop in others:
            pop.quit()
    finally:
        for pop in others + [victim]:
            pop.close()


def login(daemon, name):
    """Log in, as soon as it goes: renewals may be held back for a second."""
    found = []

    def try_once():
        pop = Pop(daemon)
        if pop.greeting.startswith("+OK"):
            pop.ok("USER " + name)
            if pop.cmd("PASS " + postern.password(name)).startswith("+OK"):
                found.append(pop)
                return True
        else:
            assert pop.greeting.startswith("-ERR [SYS/TEMP]"), pop.greeting
        pop.close()
        return False
    eventually(try_once, "login of " + name)
    return found[0]


@pytest.mark.may_crash
@pytest.mark.parametrize("program,role", [
    (program, role) for program in ("pop3d", "smtpd")
    for role in ("worker", "waiting worker", "login", "agents", "queue")
    if (program, role) != ("pop3d", "queue")])
def test_a_crash_makes_a_new_generation(daemons, users, program, role):
    """Running sessions go on; new ones are served by the new generation."""
    daemon = daemons(program, "retry-schedule 1s")
    name, = users(1)
    put_message(name, b"Subject: x\n\nx\n")
    role_exe = {"login": "login", "queue": "smtpd-queue"}.get(
        role, program + ("-agents" if role == "agents" else "-worker"))
    master = daemon.process.pid
    before = {p.pid for p in daemon.processes(role_exe) if p.ppid == master}
    running = start_session(daemon, program, name)
    eventually(lambda: len(serving(daemon)) == 1, "one session")
    if role == "worker":
        first, = serving(daemon)
        second = start_session(daemon, program, "alice", is_login=False)
        eventually(lambda: len(serving(daemon)) == 2, "two sessions")
        target, = [p.pid for p in serving(daemon) if p.pid != first.pid]
    elif role == "waiting worker":
        second = None
        target = eventually(
            lambda: [p.pid for p in daemon.waiting_workers()
                     if p.ppid in before], "one that waits")[0]
    else:
        second = None
        target = sorted(before)[0]
    daemon.crash(target)

    def renewed():
        now = {p.pid for p in daemon.processes(role_exe) if p.ppid == master}
        return now - before
    eventually(renewed, "a new " + role_exe)
    daemon.wait_log("event=(renew|role-ended) ")
    if role != "queue":
        daemon.wait_log("event=generation number=2")
    use_session(running, program)
    with start_session(daemon, program, "bob") as fresh:
        use_session(fresh, program)
    running.close()
    if second is not None:
        second.close()
    # The old generation ends with its last session.
    if role not in ("queue",):
        eventually(lambda: not before & {
            p.pid for p in daemon.processes(role_exe)}, "old ones gone")


def start_session(daemon, program, name, is_login=True):
    if program == "pop3d":
        postern.clear(*(() if name.startswith("user") else (name,)))
        return login(daemon, name) if is_login else Pop(daemon)
    smtp = Smtp(daemon)
    smtp.expect("MAIL FROM:<a@example.test>", 250)
    return smtp


def use_session(session, program):
    if program == "pop3d":
        session.ok("STAT")
        session.ok("NOOP")
    else:
        session.expect("RCPT TO:<alice@example.test>", 250)
        session.expect("NOOP", 250)


@pytest.mark.may_crash
def test_crashes_are_held_back(daemons):
    """At most one new generation a second, however often something dies."""
    daemon = daemons("pop3d")
    master = daemon.process.pid
    seen = {p.pid for p in daemon.processes("login") if p.ppid == master}
    begun = time.monotonic()
    while time.monotonic() - begun < 3 or (
            len(seen) < 2 and time.monotonic() - begun < postern.PATIENCE):
        for process in daemon.processes("login"):
            if process.ppid == master:
                seen.add(process.pid)
                daemon.crash(process.pid)
        time.sleep(0.02)
    assert 2 <= len(seen) <= 4 + time.monotonic() - begun, seen
    # While held back, clients get the temporary error, and later service.
    def served():
        with Pop(daemon) as pop:
            return pop.greeting.startswith("+OK")
    eventually(served, "service again")


def test_sighup(daemons, users):
    """New sessions get the new configuration, running ones go on."""
    daemon = daemons("pop3d")
    name, = users(1)
    put_message(name, b"Subject: x\n\nx\n")
    old = Pop(daemon, name)
    old.ok("DELE 1")
    assert old.greeting.startswith("+OK")
    daemon.reload("max-sessions-per-source 2\nlimits-exempt 192.0.2.0/24")

    def limited():
        pops = [Pop(daemon, source="127.0.0.77") for _ in range(3)]
        for pop in pops:
            pop.close()
        time.sleep(0.1)
        return "[SYS/TEMP]" in pops[2].greeting
    eventually(limited, "the new limit")
    assert old.stat()[0] == 0
    old.quit()
    assert postern.message_files(name) == []


def test_sighup_with_a_mistake(daemons):
    """A configuration that is wrong is told of, and the old one stays."""
    daemon = daemons("pop3d")
    with open(daemon.conf_path, "a", encoding="ascii") as file:
        file.write("no-such-keyword 1\n")
    daemon.reload()
    daemon.wait_log("no-such-keyword")
    with Pop(daemon, "alice") as pop:
        pop.ok("STAT")
    assert daemon.is_alive()


def test_sighup_smtpd_keeps_a_transaction(daemons, users):
    daemon = daemons("smtpd", "retry-schedule 1s")
    name, = users(1)
    smtp = Smtp(daemon)
    smtp.envelope(name)
    daemon.reload("retry-schedule 1s\nhostname renamed.example.test\n"
                  "domains example.test")

    def renamed():
        with Smtp(daemon) as fresh:
            return "renamed.example.test" in fresh.greeting.text
    eventually(renamed, "the new name")
    smtp.expect("DATA", 354)
    smtp.send(postern.stuff(b"Subject: x\r\n\r\nx\r\n"))
    assert smtp.reply().code == 250
    smtp.close()
    postern.wait_messages(name, 1)


@pytest.mark.parametrize("program", ("pop3d", "smtpd"))
def test_nothing_is_left(daemons, users, program):
    """After the last session: the processes and descriptors of the start."""
    # So many that no rush makes it keep more for a while.
    daemon = daemons(program, "prefork 40")
    names = users(10)
    for name in names:
        put_message(name, b"Subject: x\n\nx\n")
    with start_session(daemon, program, "alice") as first:
        use_session(first, program)
    daemon.wait_no_session()
    settle(daemon)
    before = census(daemon)
    for round_ in range(3):
        sessions = [start_session(daemon, program, name) for name in names]
        for session in sessions:
            use_session(session, program)
        for n, session in enumerate(sessions):
            if n % 3 == 0:
                session.drop()
            elif n % 3 == 1:
                session.close()
            else:
                session.quit()
    daemon.wait_no_session()
    eventually(lambda: census(daemon) == before, "as before: %s" % (before,))
    assert daemon.stop() == 0
    daemon.wait_nothing_left()


def settle(daemon):
    seen = []

    def same():
        seen.append(census(daemon))
        return seen[-6:] == seen[-1:] * 6
    eventually(same, "a steady state", every=0.2)


def census(daemon):
    """How many processes of each role, and how many descriptors they hold."""
    found = {}
    for process in daemon.processes():
        try:
            fds = len(os.listdir("/proc/%d/fd" % process.pid))
        except OSError:
            fds = -1
        found.setdefault((process.role, process.state == "Z"), []).append(fds)
    return {key: sorted(value) for key, value in found.items()}


@pytest.mark.parametrize("program", ("pop3d", "smtpd"))
def test_master_killed(daemons, program):
    """kill -9 of the master: everything else ends by itself."""
    daemon = daemons(program)
    session = Pop(daemon, None) if program == "pop3d" else Smtp(daemon)
    os.kill(daemon.process.pid, signal.SIGKILL)
    daemon.process.wait()
    eventually(lambda: not daemon.processes(), "no process left")
    session.close()


def test_second_daemon_on_the_same_port(daemons):
    """It says why it can't, and doesn't disturb the first."""
    daemon = daemons("pop3d")
    other = postern.Daemon("pop3d")
    other.port = daemon.port
    other.configure("")
    other.start(wait=False)
    assert other.process.wait(postern.PATIENCE) != 0
    eventually(lambda: other.log("in use"), "the reason")
    with Pop(daemon) as pop:
        assert pop.greeting.startswith("+OK")
    other.wait_nothing_left()


def test_two_smtpd_on_one_spool(daemons):
    """Only one is the spool's scheduler."""
    daemon = daemons("smtpd", "retry-schedule 1s")
    other = postern.Daemon("smtpd", "retry-schedule 1s")
    other.spool = daemon.spool
    other.configure("retry-schedule 1s")
    other.start(wait=False)
    postern.clear("alice")
    with Smtp(daemon) as smtp:
        for n in range(20):
            assert smtp.mail(b"Subject: %d\r\n\r\nx\r\n" % n,
                             "alice").code == 250
    try:
        assert len(postern.wait_messages("alice", 20)) == 20
        time.sleep(1)
        assert len(messages("alice")) == 20
    finally:
        if other.is_alive():
            other.stop()
    other.wait_nothing_left()


def test_changed_pam_or_nss_files(daemons, users):
    """A change of PAM's or NSS's files: a new generation, nobody dropped."""
    daemon = daemons("pop3d")
    name, = users(1)
    put_message(name, b"Subject: x\n\nx\n")
    with open("/etc/nsswitch.conf", encoding="ascii") as file:
        nsswitch = file.read()
    with Pop(daemon, name) as old:
        for number, change in enumerate((
                lambda: postern.pam_service(postern.PAM + "# changed\n"),
                lambda: postern.write("/etc/nsswitch.conf",
                                      nsswitch + "# changed\n")), 2):
            time.sleep(1.1)			# looked at once a second
            change()
            with Pop(daemon) as new:
                assert new.greeting.startswith("+OK")
                daemon.wait_log("event=generation number=%d$" % number)
                assert len(daemon.log("event=files-changed")) == number - 1
                assert old.ok("NOOP")
        assert old.retr(1) == b"Subject: x\r\n\r\nx\r\n"
        old.quit()
    postern.pam_service(postern.PAM)
    postern.write("/etc/nsswitch.conf", nsswitch)
