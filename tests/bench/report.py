"""Tables, and the way into the private host."""
import os
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.environ["POSTERN_BUILD"] = os.path.abspath(os.environ.get(
    "POSTERN_BUILD", os.path.join(os.path.dirname(TESTS), "build")))

import meter  # noqa: E402
import private  # noqa: E402
import servers  # noqa: E402


def enter(peers):
    """Fetch the peers, then go in; {peer: directories} of what there is."""
    reason = private.missing()
    if reason is not None:
        print("bench: left out: no private host can be made here (%s)"
              % reason)
        sys.exit(0)
    found = servers.fetch(os.environ["POSTERN_BUILD"], *peers)
    sys.stdout.flush()
    private.enter(network=True)
    return found


class Cost:
    """Of one run: seconds on the clock, and of CPU, over so many items."""

    def __init__(self, wall, before, after, count):
        self.count, self.wall = count, wall
        self.user = after[0] - before[0]
        self.system = after[1] - before[1]

    @property
    def cpu(self):
        return self.user + self.system


def keep(best, key, cost):
    """The cheapest round counts: noise only ever adds."""
    if key not in best:
        best[key] = cost
    elif cost.cpu < best[key].cpu:
        cost.wall = min(cost.wall, best[key].wall)
        best[key] = cost
    else:
        best[key].wall = min(cost.wall, best[key].wall)


def costs(item, best, names, targets=()):
    """The table; the last column is the first server's share of that row's."""
    account = meter.group("probe")
    account.remove()
    print("CPU: all processes of the server, by %s; ms per %s\n" % (
        account.name, item))
    print("%-16s %8s %9s %9s %8s %8s %8s   %s" % (
        "server", "clients", "wall s", "a second", "CPU ms", "user", "sys",
        names[0] + "'s share" + (" (target)" if targets else "")))
    for at_a_time in sorted(set(key[1] for key in best)):
        first = best[names[0], at_a_time]
        for name in names:
            cost = best[name, at_a_time]
            share = ""
            if name != names[0]:
                share = "%.2f" % (first.cpu / cost.cpu)
                if name in targets:
                    share += " (%.2f)" % targets[name]
            print("%-16s %8d %9.2f %9.0f %8.3f %8.3f %8.3f   %s" % (
                name, at_a_time, cost.wall, cost.count / cost.wall,
                *(1000 * part / cost.count for part in (
                    cost.cpu, cost.user, cost.system)), share))
    print(flush=True)


def middle(list_of_memory):
    """The median process, by size."""
    ordered = sorted(list_of_memory, key=lambda memory: memory.total)
    return ordered[len(ordered) // 2]


def memory(tables):
    print("memory in kB: PSS, of it private, page tables (VmPTE)\n")
    print("%-16s %-32s %9s %9s %9s %9s" % (
        "server", "", "PSS", "private", "tables", "PSS+PTE"))
    for name, rows in tables:
        for what, memory in rows:
            print("%-16s %-32s %9.0f %9.0f %9.0f %9.0f" % (
                name, what, memory.pss, memory.private, memory.tables,
                memory.total))
    print(flush=True)
