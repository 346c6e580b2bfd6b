"""What each live process has, compared with an exact list.

The list is privsep/README.md's table in other words.
"""
import contextlib
import os
import re
import socket
import subprocess
import time

import pytest

import postern
from boxes import MAIL_GID, Mbox
from postern import Pop, Smtp, eventually, put_message

CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER",
                "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
                "LINUX_IMMUTABLE", "NET_BIND_SERVICE") + ("?",) * 7 + (
                "SYS_CHROOT",) + ("?",) * 5 + ("SYS_RESOURCE",) + (
                "?",) * 4 + ("AUDIT_WRITE",)
MASTER_CAPS = {"SETUID", "SETGID", "SETPCAP", "SYS_CHROOT", "KILL",
               "NET_BIND_SERVICE", "CHOWN", "FOWNER", "DAC_OVERRIDE",
               "DAC_READ_SEARCH", "AUDIT_WRITE", "SYS_RESOURCE"}
LOGIN_CAPS = {"SETUID", "SETGID", "CHOWN", "FOWNER", "DAC_OVERRIDE",
              "DAC_READ_SEARCH", "AUDIT_WRITE"}
AGENTS_CAPS = {"SETUID", "SETGID"}
# A sanitizer's runtime reports to the master's stderr.
STANDARD = {0: "null", 1: "null", 2: "pipe" if postern.SANITIZED else "null"}

# Of each role: ids, permitted and effective capabilities, number of seccomp
# filters (each child adds its own), root, environment, descriptors, limits.
EXACT = {
    "master": dict(
        user="root", caps=MASTER_CAPS, filters=1, root="/",
        limits={"core": 0}),
    "spawner": dict(
        user="_postern", caps=set(), filters=2, root="empty",
        fds={**STANDARD, 3: "socket", 4: "socket"},
        limits={"core": 0, "file size": 0, "address space": 512 << 20}),
    "waiting worker": dict(
        user="_postern", caps=set(), filters=3, root="empty",
        fds={**STANDARD, 3: "socket"},
        limits={"core": 0, "file size": 0, "address space": 512 << 20,
                "processes": 0, "open files": 64}),
    "login": dict(
        user="root", caps=LOGIN_CAPS, filters=2, root="/",
        fds={**STANDARD, 3: "socket", 4: "socket", 6: "socket"},
        limits={"core": 0}),
    # That of smtpd has a second way, to programs.
    "smtpd's login": dict(
        user="root", caps=LOGIN_CAPS, filters=2, root="/",
        fds={**STANDARD, 3: "socket", 4: "socket", 6: "socket", 9: "socket"},
        limits={"core": 0}),
    "login, a session": dict(
        user="root", caps=LOGIN_CAPS, filters=2, root="/",
        fds={**STANDARD, 3: "socket", 4: "socket", 5: "socket", 6: "socket"},
        limits={"core": 0}),
    "agents": dict(
        user="root", caps=AGENTS_CAPS, filters=2, root="/",
        fds={**STANDARD, 3: "socket", 4: "socket", 6: "socket"},
        limits={"core": 0}),
    "programs": dict(
        user="root", caps=AGENTS_CAPS, filters=2, root="/",
        fds={**STANDARD, 3: "socket", 4: "socket", 6: "socket"},
        limits={"core": 0}),
    # What it runs is in a session of its own: see test_programs.py.
    "agent of programs": dict(
        user="the user", caps=set(), filters=2, root="/",
        limits={"core": 0}),
    "signer": dict(
        user="_posternk", caps=set(), filters=2, root="/",
        fds={**STANDARD, 3: "socket", 4: "socket", 5: "anon_inode"},
        limits={"core": 0, "file size": 0, "processes": 0}),
    "queue": dict(
        user="_posternq", caps=set(), filters=2, root="/",
        fds={**STANDARD, 3: "socket", 4: "socket", 5: "spool",
             6: "spool/incoming", 7: "socket", 8: "spool/queue",
             9: "spool/held", 10: "spool/failed", 11: "anon_inode",
             12: "/etc"},
        limits={"core": 0, "processes": 0}),
    "resolver": dict(
        user="_posternd", caps=set(), filters=2, root="empty",
        # The event loop's, and the pair of pipes of libunbound's context.
        fds={**STANDARD, 3: "socket", 4: "socket", 5: "anon_inode",
             6: "pipe", 7: "pipe"},
        limits={"core": 0, "file size": 0, "address space": 512 << 20,
                "processes": 0}),
    "relay": dict(
        user="_posternr", caps=set(), filters=2, root="empty",
        fds={**STANDARD, 3: "socket", 4: "socket"},
        limits={"core": 0, "file size": 0, "address space": 512 << 20}),
    "relay, a connection": dict(
        user="_posternr", caps=set(), filters=3, root="empty",
        limits={"core": 0, "file size": 0, "address space": 512 << 20,
                "processes": 0, "open files": 64}),
    "POP3 agent": dict(
        user="the user", caps=set(), filters=3, root="/",
        limits={"core": 0, "processes": 0}),
    # The user with the spool directory's group, beside an agent on an mbox.
    "keeper": dict(
        user="the user", group="mail", caps=set(), filters=3, root="/",
        limits={"core": 0, "processes": 0}),
    "SMTP agent": dict(
        user="_posternq", caps=set(), filters=3, root="/",
        limits={"core": 0, "processes": 0}),
}
LIMITS = {"core": "Max core file size", "file size": "Max file size",
          "address space": "Max address space", "processes": "Max processes",
          "open files": "Max open files"}


class Census:
    """One daemon, a session in each state; processes by what they are."""

    def __init__(self, daemon, user, is_mbox=False):
        self.daemon, self.user, self.is_mbox = daemon, user, is_mbox
        self.sessions, self.found = [], {}
        program = daemon.program
        if program == "pop3d":
            self.sessions.append(Pop(daemon, user))
            self.sessions[-1].ok("STAT")
            # Who has let the user in goes; who is looked at stays.
            eventually(lambda: len(daemon.processes("login")) == 1,
                       "that login is over")
            trying = Pop(daemon)
            trying.ok("USER nobody-here")
            trying.say("PASS x")		# answered in two seconds
            self.sessions.append(trying)
        else:
            smtp = Smtp(daemon)
            # To a host that says nothing, for as long as we look.
            assert smtp.mail(b"Subject: out\r\n\r\nx\r\n",
                             "far@remote.test").code == 250
            path = postern.home(user) + "/.forward"
            uid, gid = postern.accounts.people[user][:2]
            postern.write(path, '"|/bin/sleep 600"', 0o600)
            os.chown(path, uid, gid)
            assert smtp.mail(b"Subject: x\r\n\r\nx\r\n",
                             user).code == 250
            smtp.envelope("alice")
            self.sessions.append(smtp)
        idle = Pop(daemon) if program == "pop3d" else Smtp(daemon)
        self.sessions.append(idle)
        eventually(self.is_taken, "the expected processes of " + program)

    def is_taken(self):
        """Not while some process is ending."""
        try:
            return self.take()
        except (FileNotFoundError, ProcessLookupError):
            return False

    def take(self):
        processes = {p.pid: p for p in self.daemon.processes()}
        master = self.daemon.process.pid
        self.found = {}
        for process in processes.values():
            if process.state == "Z":
                return False
            self.found.setdefault(self.name(process, processes, master),
                                  []).append(process)
        wanted = {"master", "spawner", "waiting worker", "serving worker",
                  "login", "agents", "signer"}
        if self.daemon.program == "pop3d":
            wanted |= {"login, a session", "POP3 agent"}
            wanted |= {"keeper"} if self.is_mbox else set()
        else:
            wanted |= {"queue", "SMTP agent", "relay",
                       "relay, a connection", "resolver", "smtpd's login",
                       "programs", "agent of programs"}
            wanted -= {"login"}
        serving = 3 if self.daemon.program == "pop3d" else 2
        return (set(self.found) == wanted
                and len(self.found["serving worker"]) == serving
                and all(self.has_stepped_down(name, process)
                        for name, group in self.found.items()
                        for process in group))

    @staticmethod
    def has_stepped_down(name, process):
        """The filter comes last; a role that serves nobody yet may be slow."""
        exact = EXACT.get(name, EXACT["waiting worker"])
        have = process.status().get("Seccomp_filters", exact["filters"])
        return int(have) >= exact["filters"]

    @staticmethod
    def name(process, processes, master):
        if process.pid == master:
            return "master"
        is_child = process.ppid != master
        kind = process.role.split("-")[-1]
        if kind == "worker":
            if not is_child:
                return "spawner"
            fds = os.listdir("/proc/%d/fd" % process.pid)
            return "waiting worker" if len(fds) == 4 else "serving worker"
        if kind == "relay":
            return "relay, a connection" if is_child else "relay"
        if kind == "login" and not is_child:
            is_first = processes[master].role == "pop3d"
            return "login" if is_first else "smtpd's login"
        if kind == "login":
            return "login, a session"
        if kind == "programs":
            return "agent of programs" if is_child else "programs"
        if kind == "agents":
            if not is_child:
                return "agents"
            if process.status()["Gid"].split()[0] == str(MAIL_GID):
                return "keeper"
            return ("POP3" if process.role.startswith("pop3d") else "SMTP"
                    ) + " agent"
        return kind

    def close(self):
        for session in self.sessions:
            session.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(postern.home(self.user) + "/.forward")


@pytest.fixture(scope="module")
def pop3d(daemons):
    return daemons("pop3d", "prefork 3\nlogin-timeout 1h")


@pytest.fixture(scope="module")
def smtpd(daemons):
    # Nobody accepts: the kernel does, and the other side never speaks.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield daemons("smtpd", "prefork 3\nretry-schedule 1s\n"
                      "relay-host 127.0.0.1:%d" % silent.getsockname()[1])


@pytest.fixture(scope="module", params=("pop3d", "smtpd", "mbox_pop3d"))
def census(request):
    daemon = request.getfixturevalue(request.param)
    postern.clear("alice", "bob")
    put_message("bob", b"Subject: x\n\nx\n")
    is_mbox = request.param == "mbox_pop3d"
    if is_mbox:
        Mbox("bob").put(b"Subject: x\n\nx\n")
    taken = Census(daemon, "bob", is_mbox)
    yield taken
    taken.close()


def each(census):
    for name, processes in census.found.items():
        for process in processes:
            yield name, process, EXACT.get(name)


def capabilities(mask):
    return {CAPABILITIES[bit] if bit < len(CAPABILITIES) else str(bit)
            for bit in range(64) if int(mask, 16) >> bit & 1}


def kind(pid, fd):
    link = os.readlink("/proc/%d/fd/%s" % (pid, fd))
    if link == "/dev/null":
        return "null"
    match = re.match(r"/memfd:(\w+)", link)
    if match:
        return "memfd"
    if re.match(r"(socket|pipe|anon_inode):", link):
        return link.split(":")[0]
    return re.sub(r"^.*/(spool|Maildir)\b", r"\1", link)


def descriptors(process):
    """{number: kind}"""
    found = {}
    for fd in os.listdir("/proc/%d/fd" % process.pid):
        with contextlib.suppress(FileNotFoundError):	# closed just now
            found[int(fd)] = kind(process.pid, fd)
    return found


def limits(pid):
    with open("/proc/%d/limits" % pid, encoding="ascii") as file:
        rows = {line[:26].strip(): line[26:].split() for line in file}
    return {name: rows[row][:2] for name, row in LIMITS.items()}


def test_C18_ids_and_groups(census):
    """C18: user, group (real, effective, saved, fs), no other groups."""
    uids = {"root": 0, **postern.SYSTEM_USERS,
            "the user": postern.accounts.people["bob"][0]}
    for name, process, exact in each(census):
        status = process.status()
        user = exact["user"] if exact else "_postern"
        assert status["Uid"].split() == [str(uids[user])] * 4, name
        group = MAIL_GID if name == "keeper" else uids[user]
        assert status["Gid"].split() == [str(group)] * 4, name
        assert status["Groups"] == "", name


def test_C18_capabilities(census):
    """C18: no more than the list says; nothing inheritable or ambient."""
    with open("/proc/self/status", encoding="ascii") as file:
        ours = capabilities(re.search(r"CapEff:\s*(\w+)", file.read()).group(1))
    for name, process, exact in each(census):
        status = process.status()
        wanted = (exact["caps"] if exact else set()) & ours
        assert capabilities(status["CapPrm"]) == wanted, name
        assert capabilities(status["CapEff"]) == wanted, name
        assert capabilities(status["CapInh"]) == set(), name
        assert capabilities(status["CapAmb"]) == set(), name
        assert capabilities(status["CapBnd"]) <= MASTER_CAPS, name


def test_system_call_filters(census):
    for name, process, exact in each(census):
        status = process.status()
        assert status["NoNewPrivs"] == "1", name
        assert status["Seccomp"] == "2", name
        if "Seccomp_filters" in status:
            assert int(status["Seccomp_filters"]) == (
                exact["filters"] if exact else 3), name


def test_root_and_working_directory(census):
    empty = census.daemon.run_dir + "/empty"
    for name, process, exact in each(census):
        wanted = exact["root"] if exact else "empty"
        wanted = empty if wanted == "empty" else wanted
        assert os.readlink("/proc/%d/root" % process.pid) == wanted, name
        assert os.readlink("/proc/%d/cwd" % process.pid) == wanted, name
    assert os.listdir(empty) == []
    status = os.stat(empty)
    assert status.st_uid == 0 and status.st_mode & 0o022 == 0


def test_C19_environment(census):
    """C19: the caller's environment reaches the master and no other."""
    for name, process, _ in each(census):
        with open("/proc/%d/environ" % process.pid, "rb") as file:
            environment = file.read()
        if name != "master":
            assert environment == b"", (name, environment)


def test_C19_undumpable(census):
    """C19: /proc/PID is root's, even where the process is not root."""
    for name, process, _ in each(census):
        assert os.stat("/proc/%d/environ" % process.pid).st_uid == 0, name
        assert limits(process.pid)["core"] == ["0", "0"], name


def steady(name, found, wanted):
    """Without those that come and go."""
    if name == "queue":		# the letter, and its line to relay
        return {fd: k for fd, k in found.items() if fd in wanted
                or not (k == "socket" or k.startswith("spool/queue/"))}
    if name == "resolver":	# channels and name servers
        return {fd: k for fd, k in found.items() if fd in wanted
                or k != "socket"}
    return found


def test_C19_descriptors(census):
    """C19: exactly those that the role needs."""
    for name, process, exact in each(census):
        found = descriptors(process)
        if exact and "fds" in exact:
            wanted = dict(exact["fds"])
            if name == "agents" and census.daemon.program == "smtpd":
                wanted[7] = "socket"
            # The spawner may just be making another worker.
            end = time.monotonic() + postern.PATIENCE
            while steady(name, found, wanted) != wanted and \
                    time.monotonic() < end:
                found = descriptors(process)
            found = steady(name, found, wanted)
            assert found == wanted, name
        elif name == "serving worker":
            rest = sorted(k for fd, k in found.items() if fd > 2)
            assert rest in (["socket"] * 4, ["memfd"] + ["socket"] * 4), found
        elif name == "POP3 agent":
            rest = sorted(k for fd, k in found.items() if fd > 2)
            assert rest.count("socket") == 2 + census.is_mbox, found
            state = postern.home(census.user) + "/.postern"
            mailbox = {"/var/mail", "/var/mail/bob", state,
                       state + "/pop3.lock"}
            assert all(k == "socket" or (k in mailbox if census.is_mbox else
                                         k.startswith("Maildir"))
                       or k == postern.home(census.user) for k in rest), found
        elif name == "keeper":
            rest = sorted(k for fd, k in found.items() if fd > 2)
            assert rest == ["/var/mail", "socket", "socket"], found
        elif name == "SMTP agent":
            rest = sorted(k for fd, k in found.items() if fd > 2)
            assert rest.count("socket") == 3, found
            assert all(k == "socket" or k.startswith("spool")
                       or k in ("pipe", "/etc") for k in rest), found
        elif name == "agent of programs":
            rest = sorted(k for fd, k in found.items() if fd > 2)
            rest = [k for k in rest if not k.startswith("spool/queue/")]
            # Its command, and what it says; gate and log; the letter goes.
            assert rest == ["anon_inode", "pipe", "pipe", "socket",
                            "socket"], found
        elif name == "relay, a connection":
            rest = sorted(k for fd, k in found.items() if fd > 2)
            assert rest == ["socket"] * 2, found	# gate and host
        elif name == "master":
            assert all(k in ("null", "socket", "anon_inode", "pipe", "memfd")
                       for k in found.values()), found


def test_C19_descriptors_are_not_inherited_by_exec(census):
    """C19: close-on-exec on all but the standard ones."""
    for name, process, _ in each(census):
        for fd in os.listdir("/proc/%d/fdinfo" % process.pid):
            try:
                with open("/proc/%d/fdinfo/%s" % (process.pid, fd),
                          encoding="ascii") as file:
                    flags = int(re.search(r"flags:\s*(\w+)",
                                          file.read()).group(1), 8)
            except FileNotFoundError:		# closed just now
                continue
            assert int(fd) <= 2 or flags & 0o2000000, (name, fd)


def test_limits(census):
    for name, process, exact in each(census):
        have = limits(process.pid)
        wanted = exact or EXACT["waiting worker"]
        for limit, value in wanted["limits"].items():
            # A sanitizer's runtime needs the room that others would bound.
            if postern.SANITIZED and limit != "core":
                continue
            assert have[limit] == [str(value)] * 2, (name, limit)


@pytest.mark.skipif(postern.SANITIZED,
                    reason="a sanitizer's memory is terabytes")
def test_no_secret_stays_behind(census):
    """The password is in no process but the one that was told it."""
    secret = postern.password(census.user).encode()
    for name, process, _ in each(census):
        if name != "master":		# its log and ours are not at issue
            assert secret not in memory(process.pid), name


def memory(pid):
    """All writable memory of a process."""
    found = []
    with open("/proc/%d/maps" % pid, encoding="utf-8") as maps, \
            open("/proc/%d/mem" % pid, "rb", buffering=0) as mem:
        for line in maps:
            match = re.match(r"(\w+)-(\w+) rw", line)
            if match and "[v" not in line:
                start, end = (int(x, 16) for x in match.groups())
                with contextlib.suppress(OSError):
                    mem.seek(start)
                    found.append(mem.read(end - start))
    return b"".join(found)


# What they link

COMMON = {"linux-vdso.so.1", "libc.so.6", "libbsd.so.0", "libmd.so.0",
          "libseccomp.so.2", "ld-linux-x86-64.so.2"}
TLS = {"libssl.so.3", "libcrypto.so.3"}
IDNA = {"libidn2.so.0", "libunistring.so.2"}
LINKS = {"login": {"libpam.so.0", "libaudit.so.1", "libcap-ng.so.0"},
         "pop3d-worker": TLS, "smtpd-worker": TLS, "smtpd-relay": TLS,
         "smtpd-agents": IDNA, "smtpd-programs": IDNA, "smtpd-queue": IDNA,
         "smtpd-resolver": {
             "libunbound.so.8", "libevent_core-2.1.so.7", "libevent-2.1.so.7",
             "libresolv.so.2", "libnettle.so.8", "libhogweed.so.6",
             "libgmp.so.10"},
         "signer": {"libcrypto.so.3"}, "make-certificate": {"libcrypto.so.3"}}


def programs():
    yield from (os.path.join(postern.BUILD, "sbin", name)
                for name in ("pop3d", "smtpd"))
    for name in sorted(os.listdir(postern.LIBEXEC)):
        yield os.path.join(postern.LIBEXEC, name)


def linked(path):
    lines = subprocess.run(["ldd", path], stdout=subprocess.PIPE, check=True,
                           text=True).stdout.splitlines()
    return {os.path.basename(line.split()[0]) for line in lines}


not_as_shipped = pytest.mark.skipif(
    postern.SANITIZED, reason="a sanitizer build is linked otherwise")


@not_as_shipped
def test_C25_linked_libraries():
    """C25: exactly the allow-list; no root process links OpenSSL."""
    for path in programs():
        allowed = COMMON | LINKS.get(os.path.basename(path), set())
        found = {re.sub(r"^ld-linux.*", "ld-linux-x86-64.so.2", name)
                 for name in linked(path)}
        assert found <= allowed, (path, found - allowed)


def test_C25_mapped_files(census):
    """C25: also of the live processes; workers have no PAM, no root OpenSSL."""
    for name, process, exact in each(census):
        with open("/proc/%d/maps" % process.pid, encoding="utf-8") as maps:
            files = {os.path.basename(line.split()[5]) for line in maps
                     if len(line.split()) > 5 and "/" in line.split()[5]}
        text = " ".join(files)
        if exact and exact["user"] == "root":
            assert "libssl" not in text and "libcrypto" not in text, name
        if "login" not in name:
            assert "libpam" not in text and "pam_" not in text, (name, files)


@not_as_shipped
def test_C25_hardened():
    """Position-independent, full RELRO, no executable stack, no set-id bit."""
    for path in programs():
        text = subprocess.run(["readelf", "-hldW", path],
                              stdout=subprocess.PIPE, check=True,
                              text=True).stdout
        assert re.search(r"Type:\s+DYN", text), path
        assert "GNU_RELRO" in text and "BIND_NOW" in text, path
        assert re.search(r"GNU_STACK.* RW +0x", text), path
        assert os.stat(path).st_mode & 0o6022 == 0, path


def test_C4_no_shell():
    """C4: nothing that runs a command line is called by any program."""
    for path in programs():
        text = subprocess.run(["readelf", "-W", "--dyn-syms", path],
                              stdout=subprocess.PIPE, check=True,
                              text=True).stdout
        used = set(re.findall(r"UND (\w+)", text))
        for name in ("system", "popen", "wordexp", "strcpy", "strcat",
                     "sprintf", "vsprintf", "gets", "strtok", "mktemp",
                     "alloca", "dlopen", "execl", "execlp", "execvp"):
            assert name not in used, (path, name)


def test_roles_refuse_to_be_started_by_hand():
    for name in os.listdir(postern.LIBEXEC):
        done = subprocess.run([os.path.join(postern.LIBEXEC, name)],
                              stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE,
                              timeout=postern.PATIENCE, check=False)
        assert done.returncode not in (0, None) and done.returncode > 0, name
