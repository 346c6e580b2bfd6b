"""Make another process make a system call: what would happen if it did?

By ptrace(2), x86-64: the process is blocked in a system call, so the
instruction before its program counter is one.  It is not fit for use
afterwards.
"""
import ctypes
import errno
import os
import platform
import signal
import time

PTRACE_SINGLESTEP, PTRACE_GETREGS, PTRACE_SETREGS = 9, 12, 13
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
WALL = 0x40000000
SYSCALL = b"\x0f\x05"		# the instruction
REGISTERS = ("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9",
             "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax", "rip", "cs",
             "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs",
             "gs")

NUMBER = {
    "read": 0, "write": 1, "open": 2, "close": 3, "mmap": 9, "mprotect": 10,
    "ioctl": 16, "pipe": 22, "pwrite64": 18, "dup": 32, "socket": 41,
    "connect": 42, "accept": 43, "sendto": 44, "bind": 49, "listen": 50,
    "socketpair": 53, "clone": 56, "fork": 57, "vfork": 58, "execve": 59,
    "kill": 62, "flock": 73, "fcntl": 72, "truncate": 76, "ftruncate": 77,
    "chdir": 80, "rename": 82, "mkdir": 83, "unlink": 87, "symlink": 88,
    "chmod": 90, "chown": 92, "ptrace": 101, "setuid": 105, "setgid": 106,
    "setgroups": 116, "setresuid": 117, "setresgid": 119, "mknod": 133,
    "prctl": 157, "setrlimit": 160, "chroot": 161, "mount": 165,
    "tkill": 200, "tgkill": 234, "openat": 257, "fchownat": 260,
    "unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266,
    "fchmodat": 268, "unshare": 272,
    "prlimit64": 302, "setns": 308, "process_vm_readv": 310, "bpf": 321,
    "execveat": 322, "io_uring_setup": 425, "pidfd_open": 434, "clone3": 435,
    "memfd_create": 319, "landlock_create_ruleset": 444,
}


def is_possible():
    return platform.machine() == "x86_64"


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in REGISTERS]


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                         ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request, pid, data=None):
    if _libc.ptrace(request, pid, None, data) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _sleeps(pid):
    """Ended ones raise FileNotFoundError."""
    with open("/proc/%d/stat" % pid, encoding="ascii",
              errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0] == "S"


class Died(Exception):
    """The process was killed by this signal."""


class Held:
    """A process that is stopped and made to do things."""

    def __init__(self, pid):
        self.pid, self.is_dead = pid, False
        self.saved = Registers()
        while not self._is_caught():
            _ptrace(PTRACE_DETACH, pid)

    def _is_caught(self):
        """Stop it; in a system call, as it should be, and not elsewhere?"""
        while not _sleeps(self.pid):
            time.sleep(0.01)
        _ptrace(PTRACE_ATTACH, self.pid)
        self._wait()
        _ptrace(PTRACE_GETREGS, self.pid, ctypes.byref(self.saved))
        with open("/proc/%d/mem" % self.pid, "rb", buffering=0) as memory:
            memory.seek(self.saved.rip - 2)
            return memory.read(2) == SYSCALL

    def _wait(self):
        _, status = os.waitpid(self.pid, WALL)
        if not os.WIFSTOPPED(status):
            self.is_dead = True
            raise Died(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)

    def call(self, name, *arguments):
        """Its result, -errno for an error; raises Died when it is killed."""
        registers = Registers()
        ctypes.pointer(registers)[0] = self.saved
        room = self.saved.rsp - 4096
        values = []
        for argument in arguments:
            if isinstance(argument, bytes):
                self._write(room, argument + b"\0")
                argument = room
                room += 512
            values.append(argument & 0xffffffffffffffff)
        values += [0] * (6 - len(values))
        for register, value in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"),
                                   values):
            setattr(registers, register, value)
        registers.rax = NUMBER[name]
        registers.orig_rax = 0xffffffffffffffff		# nothing to restart
        registers.rip -= 2				# the instruction
        _ptrace(PTRACE_SETREGS, self.pid, ctypes.byref(registers))
        _ptrace(PTRACE_SINGLESTEP, self.pid)
        self._wait()
        _ptrace(PTRACE_GETREGS, self.pid, ctypes.byref(registers))
        return ctypes.c_long(registers.rax).value

    def _write(self, address, data):
        with open("/proc/%d/mem" % self.pid, "r+b", buffering=0) as memory:
            memory.seek(address)
            memory.write(data)

    def release(self):
        """End it: its state is not what it believes."""
        if not self.is_dead:
            self.is_dead = True
            try:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, WALL)
            except (ProcessLookupError, ChildProcessError):
                pass

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.release()


def outcome(held, name, *arguments):
    """"killed", the name of an error, or the result as a number."""
    try:
        result = held.call(name, *arguments)
    except Died as died:
        assert died.args[0] == signal.SIGSYS, "signal %d" % died.args[0]
        return "killed"
    if -4096 < result < 0:
        return errno.errorcode.get(-result, str(result))
    return result
