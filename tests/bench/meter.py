"""What a server costs: CPU time and memory of all its processes together.

A server is started inside a control group of its own, so that nothing that it
forks, and whoever reaps it, is lost from the account; where none can be had,
the tree of processes is summed up.
"""
import ctypes
import os
import re
import resource
import time

PR_SET_CHILD_SUBREAPER = 36
TICK = os.sysconf("SC_CLK_TCK")


class Group:
    """Base: enter() in the child before its exec; cpu() = (user, system)."""

    def enter(self):
        pass

    def remove(self):
        pass


class ControlGroup(Group):
    def __init__(self, path):
        os.mkdir(path)
        self.path = path

    def enter(self):
        with open(self.path + "/cgroup.procs", "w", encoding="ascii") as file:
            file.write("0")

    def _read(self, name):
        with open(os.path.join(self.path, name), encoding="ascii") as file:
            return file.read()

    def pids(self):
        return [int(pid) for pid in self._read("cgroup.procs").split()]

    def remove(self):
        for _ in range(100):
            try:
                os.rmdir(self.path)
                return
            except OSError:
                time.sleep(0.05)


class Version2(ControlGroup):
    name = "control group, version 2"

    def cpu(self):
        stat = dict(line.split() for line in
                    self._read("cpu.stat").splitlines())
        return int(stat["user_usec"]) / 1e6, int(stat["system_usec"]) / 1e6


class Version1(ControlGroup):
    name = "control group, version 1"

    def cpu(self):
        return (int(self._read("cpuacct.usage_user")) / 1e9,
                int(self._read("cpuacct.usage_sys")) / 1e9)


class Tree(Group):
    """Without control groups: our descendants, and those reaped already.

    All children of the measuring process are the server's, and it adopts the
    orphans among them.  Loses children that a parent which ignores SIGCHLD
    never waited for.
    """
    name = "process tree (no control group to be had)"

    def __init__(self):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.start = self._total()

    def pids(self):
        parents = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    parents[int(name)] = int(_stat(int(name))[1])
                except OSError:
                    pass
        found, fresh = [], [os.getpid()]
        while fresh:
            fresh = [pid for pid, ppid in parents.items() if ppid in fresh]
            found += fresh
        return found

    def _total(self):
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        user, system = usage.ru_utime, usage.ru_stime
        for pid in self.pids():
            try:
                fields = _stat(pid)
            except OSError:
                continue
            user += (int(fields[11]) + int(fields[13])) / TICK
            system += (int(fields[12]) + int(fields[14])) / TICK
        return user, system

    def cpu(self):
        user, system = self._total()
        return user - self.start[0], system - self.start[1]


def _stat(pid):
    """/proc/PID/stat from the state on."""
    with open("/proc/%d/stat" % pid, encoding="ascii",
              errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def times(pid):
    """CPU seconds: the process's own, and those of children it waited for."""
    fields = _stat(pid)
    return ((int(fields[11]) + int(fields[12])) / TICK,
            (int(fields[13]) + int(fields[14])) / TICK)


def parent(pid):
    return int(_stat(pid)[1])


def _own_directory(controller):
    """Our own place in the hierarchy, as a directory; "" is version 2."""
    place = None
    with open("/proc/self/cgroup", encoding="ascii") as file:
        for line in file:
            _, names, path = line.rstrip("\n").split(":", 2)
            if names == controller or controller in names.split(","):
                place = path
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            before, after = line.split(" - ")
            fstype, _, options = after.split()
            if fstype == ("cgroup" if controller else "cgroup2") and (
                    not controller or controller in options.split(",")):
                root, point = before.split()[3:5]
                if place is not None and place.startswith(root):
                    return os.path.join(
                        point, os.path.relpath(place, root))
    return None


def group(name):
    """The best kind of account that this host allows."""
    for controller, kind in (("", Version2), ("cpuacct", Version1)):
        directory = _own_directory(controller)
        if directory is None:
            continue
        path = os.path.join(directory, "postern-bench-%d-%s" % (
            time.monotonic_ns(), name))
        made = None
        try:
            made = kind(path)
            made.cpu()
            return made
        except (OSError, KeyError):
            if made is not None:
                made.remove()
    return Tree()


class Memory:
    """kB of one process, or of several together."""

    def __init__(self, pss=0, private=0, tables=0):
        self.pss, self.private, self.tables = pss, private, tables

    @classmethod
    def of(cls, pid):
        with open("/proc/%d/smaps_rollup" % pid, encoding="ascii",
                  errors="replace") as file:
            text = file.read()
        pss, = re.findall(r"^Pss:\s+(\d+)", text, re.M)
        private = re.findall(r"^Private_\w+:\s+(\d+)", text, re.M)
        with open("/proc/%d/status" % pid, encoding="ascii",
                  errors="replace") as file:
            tables, = re.findall(r"^VmPTE:\s+(\d+)", file.read(), re.M)
        return cls(int(pss), sum(map(int, private)), int(tables))

    def __add__(self, other):
        return Memory(self.pss + other.pss, self.private + other.private,
                      self.tables + other.tables)

    def per(self, count, base=None):
        base = base or Memory()
        return Memory((self.pss - base.pss) / count,
                      (self.private - base.private) / count,
                      (self.tables - base.tables) / count)

    @property
    def total(self):
        return self.pss + self.tables


def memory(pids):
    whole = Memory()
    for pid in pids:
        try:
            whole += Memory.of(pid)
        except (OSError, ValueError):
            pass
    return whole
