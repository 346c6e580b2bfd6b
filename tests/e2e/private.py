"""A private host: name spaces and an /etc of its own.

Everything that a daemon or a client touches (accounts, homes, mailboxes,
spool, run directory, network) lies in name spaces that end with the last
process in them, so nothing of the real host is read wrongly or written at all.
Used by tests/run, tests/bench and etc/try-postern.
"""
import ctypes
import errno
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG = 1

ROOT = "/run"			# replaced by a tmpfs inside
ETC = ROOT + "/etc"
HOMES = ROOT + "/home"

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, "%s: %s" % (what, os.strerror(number)))


def mount(source, target, fstype=None, flags=0, data=None):
    def text(value):
        return value.encode() if value is not None else None
    _check(_libc.mount(text(source), text(target), text(fstype),
                       ctypes.c_ulong(flags), text(data)),
           "mount %s" % target)


def crypt(password, rounds=1000):
    """SHA-512, as pam_unix reads it."""
    lib = ctypes.CDLL("libcrypt.so.1")
    lib.crypt.restype = ctypes.c_char_p
    salt = "$6$rounds=%d$%s$" % (rounds, os.urandom(8).hex())
    return lib.crypt(password.encode("utf-8", "surrogateescape"),
                     salt.encode()).decode()


def _loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh14x", b"lo", 0x1 | 0x40)  # UP, RUNNING
        fcntl.ioctl(sock, 0x8914, request)                   # SIOCSIFFLAGS


def _add_address4(name, address):
    """An IPv4 address on lo that is no loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH2x4s8x", name, socket.AF_INET,
                              socket.inet_aton(address))
        fcntl.ioctl(sock, 0x8916, request)                   # SIOCSIFADDR


def _add_address6(address):
    """Another IPv6 address on lo; quietly not, where there is no IPv6."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            request = struct.pack("16sIi",
                                  socket.inet_pton(socket.AF_INET6, address),
                                  128, socket.if_nametoindex("lo"))
            fcntl.ioctl(sock, 0x8916, request)               # SIOCSIFADDR
    except OSError:
        pass


def _private_files():
    """A tmpfs of our own over /run, with a copy of /etc and homes in it."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("tmpfs", ROOT, "tmpfs", MS_NODEV, "mode=0755")
    shutil.copytree("/etc", ETC, symlinks=True, ignore_dangling_symlinks=True,
                    ignore=_unreadable)
    mount(ETC, "/etc", None, MS_BIND)
    os.mkdir(HOMES, 0o755)
    os.mkdir(ROOT + "/mail")
    os.chmod(ROOT + "/mail", 0o3775)
    os.chown(ROOT + "/mail", 0, 8)
    if os.path.isdir("/var/mail"):
        mount(ROOT + "/mail", "/var/mail", None, MS_BIND)


def _unreadable(directory, names):
    """What of /etc is no file that can be copied."""
    def odd(name):
        path = os.path.join(directory, name)
        return not (os.path.islink(path) or os.path.isfile(path)
                    or os.path.isdir(path))
    return [name for name in names if odd(name)]


def enter(network):
    """Fork into new name spaces; only the child returns, as process 1's child.

    The caller itself waits and ends with the child's status, process 1 reaps
    whatever loses its parent, and everything inside dies with it.  Raises
    OSError where the name spaces can't be had.
    """
    flags = CLONE_NEWNS | CLONE_NEWPID | (CLONE_NEWNET if network else 0)
    _check(_libc.unshare(flags), "unshare")
    init = os.fork()
    if init != 0:
        _wait_outside(init)
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _private_files()
    if network:
        _loopback_up()
        _add_address4(b"lo:1", "192.0.2.1")
        _add_address4(b"lo:2", "192.0.2.2")
        for address in ("fd00:0:0:1::1", "fd00:0:0:1::2", "fd00:0:0:2::1"):
            _add_address6(address)
    main = os.fork()
    if main != 0:
        _reap_until(main)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _wait_outside(init):
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)

    def pass_on(number, frame):
        os.kill(init, number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    _, status = os.waitpid(init, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xff)


def _reap_until(main):
    """Process 1: reap orphans; end, and so end all, with the main process."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)

    def pass_on(number, frame):
        try:
            os.kill(main, number)
        except ProcessLookupError:
            pass		# it has just ended
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    while True:
        pid, status = os.wait()
        if pid == main:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def missing():
    """Why a private host can't be made here, or None."""
    if os.geteuid() != 0:
        return "not root"
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _check(_libc.unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET),
                   "unshare")
            _check_mounts()
        except OSError as error:
            os.write(write, str(error).encode())
            os._exit(1)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        reason = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return (reason or "unknown") if status != 0 else None


def _check_mounts():
    """Mounts of the kinds needed, seen by this process and its child only."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", ROOT, "tmpfs", MS_NODEV, "mode=0755")
    child = os.fork()
    if child == 0:
        try:
            mount("proc", "/proc", "proc", 0)
        except OSError:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise OSError(errno.EPERM, "mount /proc refused")


class Accounts:
    """passwd, shadow and group written whole; nothing of the host's stays."""

    SYSTEM = (("root", 0, 0), ("daemon", 1, 1), ("bin", 2, 2),
              ("mail", 8, 8), ("nobody", 65534, 65534))

    def __init__(self):
        self.people = {}	# name: (uid, home, shadow fields 2-9)
        self.has_hosts = False
        for name, uid, _ in self.SYSTEM:
            self.add(name, uid, None, home="/nonexistent")

    def add(self, name, uid, password, home=None, expired=False, gid=None):
        home = home or os.path.join(HOMES, name)
        secret = crypt(password) if password is not None else "!"
        ends = "1" if expired else ""
        self.people[name] = (uid, uid if gid is None else gid, home,
                             "%s:19000:0:99999:7::%s:" % (secret, ends))

    def write(self, etc="/etc"):
        rows = self.people.items()
        self._put(etc + "/passwd", 0o644, (
            "%s:x:%d:%d::%s:/bin/sh" % (name, uid, gid, home)
            for name, (uid, gid, home, _) in rows))
        self._put(etc + "/shadow", 0o600, (
            "%s:%s" % (name, shadow) for name, (_, _, _, shadow) in rows))
        groups = {gid: name for name, (_, gid, _, _) in reversed(list(rows))}
        self._put(etc + "/group", 0o644, (
            "%s:x:%d:" % (name, gid) for gid, name in groups.items()))
        if not self.has_hosts:	# others may have added to them
            self._put(etc + "/hosts", 0o644, ("127.0.0.1 localhost",))
        self.has_hosts = True
        self._put(etc + "/nsswitch.conf", 0o644, (
            "passwd: files", "group: files", "shadow: files", "hosts: files"))

    @staticmethod
    def _put(path, mode, lines):
        with open(path + ".new", "w", encoding="utf-8",
                  errors="surrogateescape") as file:
            file.write("".join(line + "\n" for line in lines))
        os.chmod(path + ".new", mode)
        os.rename(path + ".new", path)

    def make_home(self, name):
        """An empty home, whatever was there."""
        uid, gid, home, _ = self.people[name]
        shutil.rmtree(home, ignore_errors=True)
        os.makedirs(home, 0o700)
        os.chown(home, uid, gid)
        return home


def kill_group(process):
    """End a process started in a session of its own, and what it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        pass
