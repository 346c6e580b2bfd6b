"""What each role can't do: held at a system call and made to try.

The lists are those of privsep/README.md's table in other words.
"""
import contextlib
import os

import pytest

import inject
import postern
from boxes import MAIL_GID, Mbox
from postern import Pop, Smtp, eventually, put_message

SIGNAL_INIT = ("kill", 1, 0)
MUST_FAIL = [
    ("open", b"/etc/passwd", 0), ("openat", -100, b"/", 0),
    ("openat", -100, b"/etc/shadow", 0), ("socket", 2, 1, 0),
    ("socket", 1, 1, 0), ("socket", 16, 3, 0), SIGNAL_INIT,
    ("execve", b"/bin/true", 0, 0), ("ptrace", 16, 1), ("setuid", 0),
    ("setresuid", 0, 0, 0), ("setgid", 0), ("chroot", b"/"),
    ("mount", b"x", b"/", b"tmpfs", 0), ("unshare", 0x10000000),
    ("prctl", 38, 0), ("bpf", 0), ("io_uring_setup", 1, 0),
    ("process_vm_readv", 1, 0), ("setns", 0, 0), ("symlink", b"a", b"b"),
    ("chmod", b"/", 0o777), ("mkdir", b"/x", 0o700), ("truncate", b"/x", 0),
]
MORE_OF_WORKERS = [
    ("fork",), ("clone", 17, 0), ("accept", 3, 0, 0), ("connect", 3, 0, 0),
    ("bind", 3, 0, 0), ("listen", 3, 1), ("tgkill", 1, 1, 9),
    ("prlimit64", 0, 7, 0, 0), ("pwrite64", 3, b"x", 1, 0),
    ("ftruncate", 3, 0), ("flock", 3, 2), ("fcntl", 3, 1), ("unlink", b"x"),
    ("rename", b"x", b"y"), ("memfd_create", b"x", 0), ("ioctl", 3, 0x541b, 0),
    ("dup", 3), ("mmap", 0, 4096, 5, 0x22, -1, 0),
    ("mprotect", 0, 4096, 5)]

needs_ptrace = pytest.mark.skipif(
    not inject.is_possible(), reason="knows x86-64's registers only")
loose_tables = pytest.mark.skipif(
    postern.SANITIZED, reason="a sanitizer build has looser tables")


def hold(pids, calls):
    """Stop each process and let it make one call; {call: outcome}."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(inject.Held(pid)) for pid in pids]
        return {call: inject.outcome(process, *call)
                for process, call in zip(held, calls)}


@needs_ptrace
@loose_tables
@pytest.mark.parametrize("program", ("pop3d", "smtpd"))
def test_worker_is_killed(daemons, program):
    """Every system call that is not on the worker's list kills it."""
    calls = MUST_FAIL + MORE_OF_WORKERS
    daemon = daemons(program, "prefork %d" % (len(calls) + 4))
    spawner = {p.pid for p in daemon.processes(program + "-worker")
               if p.ppid == daemon.process.pid}

    def waiting():
        found = [p.pid for p in daemon.processes(program + "-worker")
                 if p.ppid in spawner and p.state == "S"
                 and p.status().get("Seccomp_filters", "3") == "3"]
        return found if len(found) >= len(calls) else None
    pids = eventually(waiting, "workers to be held")
    # The spawner must not throw the others away when the first one dies.
    with inject.Held(spawner.pop()):
        results = hold(pids, calls)
    for call, result in results.items():
        assert result == "killed", (call, result)
    daemon.wait_log("event=generation number=2")


@needs_ptrace
@loose_tables
def test_agent_of_pop3_cannot(daemons, users):
    """An agent that is a user: only its own Maildir, and nothing to run."""
    daemon = daemons("pop3d", "max-sessions-per-source 100")
    other, *names = users(len(MUST_FAIL) + 8)
    put_message(other, b"Subject: private\n\nx\n", name="1.private.host")
    private = postern.maildir(other) + "/new/1.private.host"
    own = None
    calls = MUST_FAIL + [
        ("open", private.encode(), 0), ("open", b"/proc/self/environ", 0),
        ("fork",), ("clone", 17, 0), ("tgkill", 1, 1, 9),
        ("mmap", 0, 4096, 5, 0x22, -1, 0)]
    sessions, pids = [], []
    for name in names[:len(calls) + 1]:
        put_message(name, b"Subject: own\n\nx\n", name="1.own.host")
        seen = {p.pid for p in daemon.session_processes()}
        sessions.append(Pop(daemon, name))
        own = postern.maildir(name) + "/new/1.own.host"
        pid, = eventually(lambda: [
            p.pid for p in daemon.session_processes()
            if p.role == "pop3d-agents" and p.pid not in seen], "an agent")
        pids.append(pid)
    # The proof that this test can see a success: the owner opens its own.
    assert isinstance(hold(pids[-1:], [("open", own.encode(), 0)])[
        ("open", own.encode(), 0)], int)
    results = hold(pids[:-1], calls)
    for session in sessions:
        session.close()
    for call, result in results.items():
        assert result in ("killed", "EPERM", "EACCES"), (call, result)


@needs_ptrace
@loose_tables
def test_keeper_cannot(mbox_pop3d, users):
    """It makes and removes files in one directory, and can read not one."""
    made, create = 0o300, 0o301		# O_CREAT | O_EXCL, and O_WRONLY
    theirs = Mbox(users(1)[0])
    theirs.put(b"Subject: private\n\nx\n")
    path = theirs.path.encode()
    calls = MUST_FAIL + [
        ("open", path, 0), ("openat", -100, path, 0), ("openat", -100, path, 1),
        ("openat", -100, path, 0o101), ("openat", -100, b"/var/mail", 0o20000000
                                        | 0o200000 | 2, 0o600),
        # Makes them, which it may, but does not get them to read.
        ("openat", -100, b"/var/mail/new1", made, 0o600),
        ("openat", -100, b"/var/mail/new2", made | 2, 0o600),
        ("openat", -100, b"/run/new", create, 0o600),
        ("openat", -100, b"/etc/new", create, 0o600),
        ("unlinkat", -100, b"/etc/passwd", 0),
        ("unlinkat", -100, b"/var/mail", 0x200),
        ("linkat", -100, path, -100, b"/var/mail/new", 0),
        ("renameat", -100, path, -100, b"/var/mail/new"),
        ("symlinkat", path, -100, b"/var/mail/new"),
        ("fchmodat", -100, path, 0o666), ("fchownat", -100, path, 0, 0, 0),
        ("fork",), ("clone", 17, 0), ("tgkill", 1, 1, 9),
        ("mmap", 0, 4096, 5, 0x22, -1, 0), ("mprotect", 0, 4096, 5)]
    before = os.listdir("/var/mail")
    results = {}
    user, = users(1)
    uid = str(postern.accounts.people[user][0])

    def keepers(state="", filters=""):
        found = []
        for process in mbox_pop3d.session_processes():
            with contextlib.suppress(OSError):	# has just ended
                found.append(process.status())
        return [int(status["Pid"]) for status in found
                if status["Uid"].split()[0] == uid
                and status["Gid"].split()[0] == str(MAIL_GID)
                and status["State"].startswith(state)
                and status.get("Seccomp_filters", filters) >= filters]
    while len(results) < len(calls):
        with Pop(mbox_pop3d, user):
            # There is no mbox, so nobody waits for it to have stepped down.
            keeper, = eventually(lambda: keepers("S", "3"), "a keeper")
            with inject.Held(keeper) as held:
                if not results:		# the proof that it can see a success
                    assert isinstance(inject.outcome(
                        held, "openat", -100, b"/var/mail/new", create, 0o600),
                        int)
                    assert inject.outcome(held, "unlinkat", -100,
                                          b"/var/mail/new", 0) == 0
                while len(results) < len(calls) and not held.is_dead:
                    call = calls[len(results)]
                    results[call] = inject.outcome(held, *call)
        eventually(lambda: not keepers(), "its end")
    for call, result in results.items():
        assert result in ("killed", "EPERM", "EACCES", "EISDIR"), (call, result)
    for name in ("new1", "new2"):
        os.unlink("/var/mail/" + name)
    assert os.listdir("/var/mail") == before
    assert len(theirs.read()) == 1


@needs_ptrace
@loose_tables
def test_agent_of_smtp_cannot(daemons):
    """The session agent: no exec, no network, no file but spool and tables."""
    daemon = daemons("smtpd")
    smtp = Smtp(daemon)
    smtp.envelope("alice")
    agent, = [p for p in daemon.session_processes()
              if p.role == "smtpd-agents"]
    postern.put_message("alice", b"Subject: private\n\nx\n",
                        name="1.private.host")
    calls = [
        ("open", b"/etc/shadow", 0), ("open", b"/home", 0),
        ("open", (postern.maildir("alice") + "/new/1.private.host").encode(),
         0), ("open", b"/etc/passwd", 2), ("socket", 2, 1, 0),
        ("socket", 10, 2, 0), ("socket", 16, 3, 0), ("socket", 17, 3, 0),
        ("execve", b"/bin/true", 0, 0), ("ptrace", 16, 1), ("setuid", 0),
        ("setresuid", 0, 0, 0), ("setgid", 0), ("chroot", b"/"),
        ("mount", b"x", b"/", b"tmpfs", 0), ("unshare", 0x10000000),
        ("bpf", 0), ("setns", 0, 0), SIGNAL_INIT, ("fork",),
        ("mkdir", b"/run/x", 0o700), ("unlink", b"/etc/passwd")]
    with inject.Held(agent.pid) as held:
        for call in calls:
            result = inject.outcome(held, *call)
            assert result in ("EPERM", "EACCES", "EAFNOSUPPORT", "EAGAIN"), (
                call, result)
    smtp.close()


def hold_role(daemon, role):
    """One of a generation before may be on its way out: then None."""
    found = [p for p in daemon.processes(role)
             if p.ppid == daemon.process.pid and p.state == "S"]
    with contextlib.suppress(FileNotFoundError, ProcessLookupError,
                             ChildProcessError, inject.Died):
        return inject.Held(found[-1].pid) if found else None
    return None


@needs_ptrace
@loose_tables
def test_root_roles_cannot(daemons):
    """login and agents: root, but not all of what root can do."""
    daemon = daemons("smtpd")
    calls = [("ptrace", 16, 1), ("mount", b"x", b"/", b"tmpfs", 0),
             ("unshare", 0x10000000), ("clone", 0x10000011, 0),
             ("clone", 0x40000011, 0), ("bpf", 0), ("setns", 0, 0),
             ("io_uring_setup", 1, 0), ("process_vm_readv", 1, 0)]
    network = [("socket", 2, 1, 0), ("socket", 10, 1, 0),
               ("socket", 17, 3, 0), ("execve", b"/bin/true", 0, 0),
               ("open", b"/etc/shadow", 2), ("chroot", b"/etc"),
               ("chown", b"/etc/passwd", 1, 1)]
    for role, extra in (("login", []), ("smtpd-agents", network),
                        ("smtpd-programs", [("chroot", b"/etc"), (
                            "chown", b"/etc/passwd", 1, 1)])):
        with eventually(lambda role=role: hold_role(daemon, role),
                        role) as held:
            for call in calls + extra:
                result = inject.outcome(held, *call)
                if role == "smtpd-agents" and call[0] == "open":
                    # Root's file, by its mode: agents opens none.
                    continue
                assert result in ("EPERM", "EACCES", "EAFNOSUPPORT"), (
                    role, call, result)
    daemon.wait_log("event=role-ended")
