"""C18: a step down that fails, or that only seems to succeed, ends the role.

One system call at a time fails, or lies, in one role (lame.py).  The daemon
must not serve anybody with a role that is less confined than it should be: no
session, at most the temporary error.
"""
import concurrent.futures
import os
import shutil
import subprocess
import sys

import pytest

import postern
from postern import Daemon, Dialogue, eventually

HERE = os.path.dirname(os.path.abspath(__file__))
LAME = os.path.join(HERE, "lame.py")
# Where every role's user can reach them.
REACHED = postern.BASE + "/lame"
DUMPABLE, NO_NEW_PRIVS, PDEATHSIG, AMBIENT = "0=4", "0=38", "0=1", "0=47"
NEW_LIMIT, FILTER = "2!0", "0=1,1=0"

SEAL = [("prctl", DUMPABLE, "fail"), ("prctl", NO_NEW_PRIVS, "fail"),
        ("prlimit64", NEW_LIMIT, "fail"), ("seccomp", FILTER, "fail"),
        ("seccomp", FILTER, "lie")]
# Of one that was exec'd as its user: what is left is the capability.
EXECED = [("capset", "-", "fail"), ("prctl", AMBIENT, "fail")]
USER = [(call, "-", mode) for call in ("setgroups", "setresgid", "setresuid")
        for mode in ("fail", "lie")]
# Of one that stays root; for others a new uid is an end of dumps, too.
LIMITED = [("capset", "-", "fail"), ("capset", "-", "lie"),
           ("prctl", AMBIENT, "fail"), ("prctl", DUMPABLE, "lie")]
BOUND = [("prctl", PDEATHSIG, "fail")]
ROOM = [("landlock_create_ruleset", "-", "fail"),
        ("landlock_restrict_self", "-", "fail"),
        ("landlock_restrict_self", "-", "lie")]

# Of these the role itself dies at its start ...
ROLES = [
    ("pop3d", "pop3d-worker", SEAL + EXECED + ROOM + [
        ("capset", "-", "lie"), ("chroot", "-", "fail"),
        ("chroot", "-", "lie"), ("prlimit64", NEW_LIMIT, "lie")]),
    ("pop3d", "signer", SEAL + EXECED + ROOM + BOUND),
    ("pop3d", "login", SEAL + LIMITED + BOUND),
    ("pop3d", "pop3d-agents", SEAL + LIMITED + BOUND),
    ("smtpd", "smtpd-programs", SEAL + LIMITED + BOUND),
    ("smtpd", "smtpd-worker", [("capset", "-", "fail"),
                               ("chroot", "-", "fail"),
                               ("seccomp", FILTER, "fail")]),
]
# ... and of these each of its forks, before its first request.
FORKS = [
    ("pop3d", "pop3d-agents", USER + ROOM),
    ("smtpd", "smtpd-agents", USER + ROOM),
]
QUEUE = USER + ROOM + SEAL


def cases(table):
    return [(program, role, fault) for program, role, faults in table
            for fault in possible(faults)]


def possible(faults):
    """A sanitizer's runtime ends by itself where it may set no limit, and
    its builds set fewer."""
    return [fault for fault in faults
            if not (postern.SANITIZED and fault[0] == "prlimit64")]


def lame_daemon(program, role, fault):
    """A daemon one of whose executables is lame; not started."""
    daemon = own_libexec(program)
    make_lame(daemon, role, fault)
    return daemon


def own_libexec(program):
    daemon = Daemon(program)
    libexec = daemon.dir + "/libexec"
    os.mkdir(libexec, 0o755)
    for name in os.listdir(postern.LIBEXEC):
        os.symlink(os.path.join(postern.LIBEXEC, name),
                   os.path.join(libexec, name))
    daemon.configure("libexec-dir %s\n%s" % (
        libexec, "retry-schedule 1s\n" if program == "smtpd" else ""))
    return daemon


def make_lame(daemon, role, fault):
    """The next process of that role has this fault."""
    path = os.path.join(daemon.dir, "libexec", role)
    postern.write(path + ".py", (
        "import runpy, sys\nsys.argv = %r\n"
        "runpy.run_path(%r, run_name='__main__')\n") % (
            [LAME, *fault, os.path.join(REACHED, role)],
            REACHED + "/lame.py"))
    shutil.copy(REACHED + "/lame", path + ".new")
    os.rename(path + ".new", path)


def is_served(daemon, seconds=5):
    """Does a client get a session with anything behind it?"""
    try:
        with Dialogue(daemon) as client:
            client.sock.settimeout(seconds)
            greeting = client.line()
            if daemon.program == "pop3d":
                if greeting.startswith(b"-ERR [SYS/TEMP]"):
                    return False
                assert greeting.startswith(b"+OK"), greeting
                client.say("USER alice")
                client.line()
                client.say("PASS " + postern.password("alice"))
                reply = client.line()
                assert reply.startswith((b"+OK", b"-ERR [SYS/TEMP]")), reply
                return reply.startswith(b"+OK")
            if greeting.startswith(b"421 "):
                return False
            assert greeting.startswith(b"220 "), greeting
            client.say("HELO x")
            client.line()
            client.say("MAIL FROM:<a@example.test>")
            reply = client.line()
            assert reply.startswith((b"250", b"4")), reply
            return reply.startswith(b"250")
    except (postern.Ended, OSError):
        return False


def end(daemon, what):
    """It says why, and SIGTERM still ends the daemon, cleanly."""
    try:
        daemon.wait_log("event=(fatal|bug) .*%s" % (
            "Operation not permitted" if what.endswith("fail") else ""))
        if daemon.is_alive():
            status = daemon.stop()
            # One that is just finding out that it can't start says so.
            assert status in (0, 1), (what, status)
        else:
            status = daemon.process.returncode
            assert status == 1, what
        if status == 1:
            daemon.wait_log("event=start-failed")
        daemon.wait_nothing_left()
    finally:
        daemon.kill_tree()


def try_role(daemon, role, what):
    daemon.start(wait=False)
    try:
        line = daemon.wait_log("event=role-ended role=%s |event=start-failed"
                               % role)[0]
        assert "status=0 " not in line + " ", (what, line)
        for _ in range(2):
            assert not is_served(daemon), what
    except AssertionError as error:
        raise AssertionError("%s: %s\n%s" % (
            what, error, "\n".join(daemon.lines[-20:]))) from error
    finally:
        end(daemon, what)


def try_fork(daemon, role, what):
    daemon.start(wait=False)
    try:
        daemon.wait_log("event=generation ")
        def answers():
            with Dialogue(daemon) as client:
                return client.line()
        eventually(lambda: not raises(answers), "somebody answers")
        for _ in range(2):
            assert not is_served(daemon), what
        assert not daemon.log("event=role-ended"), what
    except AssertionError as error:
        raise AssertionError("%s: %s\n%s" % (
            what, error, "\n".join(daemon.lines[-20:]))) from error
    finally:
        end(daemon, what)


def raises(function):
    try:
        function()
        return False
    except (postern.Ended, OSError):
        return True


def run_all(table, attempt):
    """Two at a time; every failure is told of."""
    postern.clear("alice")
    jobs = [(lame_daemon(*case), case[1], "%s: %s %s %s" % (
        (case[1],) + case[2])) for case in cases(table)]
    errors = []
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(attempt, *job) for job in jobs]:
            try:
                future.result()
            except AssertionError as error:
                errors.append(str(error))
    assert not errors, "%d of %d:\n%s" % (
        len(errors), len(jobs), "\n\n".join(errors[:4]))


@pytest.fixture(scope="module", autouse=True)
def reached(host):
    """lame, and the roles' executables, below no private directory."""
    if os.path.isdir(REACHED):
        return
    shutil.copytree(postern.LIBEXEC, REACHED)
    shutil.copy(LAME, REACHED)
    subprocess.run(["cc", "-o", REACHED + "/lame", HERE + "/lame.c"],
                   check=True)


@pytest.fixture(scope="module", autouse=True)
def filters_work(host):
    """Where lame.py works at all: a program that needs the call sees it."""
    code = "import os\nos.chroot('/')\n"
    for mode, status in (("fail", 1), ("lie", 0)):
        done = subprocess.run(
            [sys.executable, LAME, "chroot", "-", mode, sys.executable, "-c",
             code], stderr=subprocess.PIPE, check=False)
        assert done.returncode == status, done.stderr
    assert b"PermissionError" in subprocess.run(
        [sys.executable, LAME, "chroot", "-", "fail", sys.executable, "-c",
         code], stderr=subprocess.PIPE, check=False).stderr


@pytest.mark.may_crash
def test_C18_a_role_that_cannot_step_down_ends(host):
    run_all(ROLES, try_role)


@pytest.mark.may_crash
@pytest.mark.parametrize("role,fault", (
    ("pop3d-worker", ("capset", "-", "lie")),
    ("login", ("seccomp", FILTER, "lie")),
    ("pop3d-agents", ("capset", "-", "lie"))))
def test_C18_one_that_cannot_step_down_later(users, role, fault):
    """A new generation that fails so serves nobody: the old one goes on, its
    sessions as well; when the fault is gone a new one takes over."""
    postern.clear("alice")
    daemon = own_libexec("pop3d").start()
    try:
        with postern.Pop(daemon, "alice") as pop:
            make_lame(daemon, role, fault)
            daemon.reload()
            daemon.wait_log("event=renewal-failed number=2 ")
            bob, = users(1)
            with postern.Pop(daemon, bob) as other:
                other.ok("STAT")
            pop.ok("NOOP")
            path = os.path.join(daemon.dir, "libexec", role)
            os.symlink(os.path.join(postern.LIBEXEC, role), path + ".new")
            os.rename(path + ".new", path)
            daemon.reload()
            daemon.wait_log("event=generation number=3")
            assert is_served(daemon, postern.PATIENCE)
            pop.ok("STAT")
            pop.quit()
        assert daemon.stop() == 0
        daemon.wait_nothing_left()
    finally:
        daemon.kill_tree()


@pytest.mark.may_crash
def test_C18_an_agent_that_cannot_step_down_ends(host):
    run_all(FORKS, try_fork)


def try_queue(daemon, role, what):
    """Mail is taken and kept; nobody delivers it."""
    daemon.start()
    try:
        daemon.wait_log("event=role-ended role=smtpd-queue")
        with postern.Smtp(daemon) as smtp:
            # Its directories may have become root's: then nothing is taken.
            taken = smtp.cmd("MAIL FROM:<a@example.test>")
            assert taken.code in (250, 451), taken
            if taken.code == 250:
                smtp.expect("RSET", 250)
                assert smtp.mail(b"x\r\n", "alice").code == 250
        daemon.wait_log("event=role-ended role=smtpd-queue", 2)
        if taken.code == 250:
            assert len(os.listdir(daemon.spool + "/queue")) == 1, what
        assert not daemon.log("event=delivered"), what
        assert postern.message_files("alice") == [], what
    except AssertionError as error:
        raise AssertionError("%s: %s\n%s" % (
            what, error, "\n".join(daemon.lines[-20:]))) from error
    finally:
        end(daemon, what)


@pytest.mark.may_crash
def test_C18_a_queue_that_cannot_step_down_ends(host):
    run_all([("smtpd", "smtpd-queue", QUEUE)], try_queue)


MASTER = SEAL + LIMITED + [("prctl", "0=24", "fail")]


@pytest.mark.parametrize("program", ("pop3d", "smtpd"))
def test_C18_a_master_that_cannot_step_down_ends(host, program):
    for fault in possible(MASTER):
        daemon = Daemon(program)
        done = subprocess.run(
            [sys.executable, LAME, *fault,
             os.path.join(postern.BUILD, "sbin", program), "-d", "-f",
             daemon.conf_path], stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE, timeout=postern.PATIENCE, check=False)
        assert done.returncode not in (0, None), (fault, done.stderr)
        assert not postern.REPORT.search(done.stderr.decode()), fault
        assert b"event=generation" not in done.stderr, (fault, done.stderr)
        with pytest.raises(OSError):
            daemon.connect().close()
