"""C4: the calls that lead from a letter to a command, by strace."""
import ast
import re
import shutil
import signal
import subprocess

import pytest

import postern
from postern import eventually
from programs import empty, forward, over, people, send, smtpd  # noqa: F401

pytestmark = pytest.mark.may_crash


# What names a file, makes or changes a process, or makes a descriptor.
TRACED = ("trace=%file,%process,%creds,socket,connect,accept4,dup,dup2,dup3,"
          "fcntl,close_range,memfd_create,pipe,pipe2")
CALL = re.compile(r"(\w+)\((.*)\) += (-?\w+)")
# Those that say no name.
OF_DESCRIPTORS = re.compile(r'newfstatat\(\d+, "", ')


def is_traced(pid, tracer):
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        return "\nTracerPid:\t%d\n" % tracer in file.read()


def calls(text):
    """[(pid, call, arguments, result)]; two halves of one are joined."""
    found, begun = [], {}
    for pid, rest in re.findall(r"(?m)^(\d+) +(.*)$", text):
        if rest.endswith(" <unfinished ...>"):
            begun[pid] = rest[:-len(" <unfinished ...>")]
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)$", rest)
        if resumed:
            rest = begun.pop(pid) + resumed.group(1)
        call = CALL.match(rest)
        if call and not OF_DESCRIPTORS.match(rest):
            found.append((int(pid),) + call.groups())
    return found


def trace(pid, work):
    """The calls of this process and of all its forks, while work is done."""
    path = postern.BASE + "/trace"
    tracer = subprocess.Popen(
        ["strace", "-f", "-v", "-s", "4096", "-o", path, "-e", TRACED,
         "-p", str(pid)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        eventually(lambda: is_traced(pid, tracer.pid)
                   or tracer.poll() is not None, "strace has it")
        if tracer.poll() is not None:
            why = tracer.stderr.read().decode()
            assert "not permitted" in why, why
            pytest.skip("no process may be traced here")
        work()
    finally:
        if tracer.poll() is None:
            tracer.send_signal(signal.SIGINT)
        tracer.communicate()
    with open(path, encoding="ascii", errors="replace") as file:
        return calls(file.read())


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")
@pytest.mark.skipif(postern.SANITIZED,
                    reason="a sanitizer's runtime opens what it likes")
def test_C4_as_the_kernel_sees_it(smtpd, people):
    """C4: one letter, one execve, of what ~/.forward says; whoever makes it
    is the user by then, has three descriptors and one that the exec closes,
    and has opened nothing but that file."""
    alice = people[0]
    uid, gid, home = postern.accounts.people[alice][:3]
    forward(alice, r'"|/bin/echo one \"two  words\""')
    server, = [p for p in smtpd.processes("smtpd-programs")
               if p.ppid == smtpd.process.pid]

    def letter():
        send(smtpd, alice + "+/zebra/$id", sender='"/zebra`id`"@zebra.test',
             letter=b"Subject: |/zebra\r\n\r\n|/zebra\r\n")
        smtpd.wait_log("event=delivered .*account=%s " % alice)
        over(smtpd)
    seen = trace(server.pid, letter)

    execs = [c for c in seen if c[1] in ("execve", "execveat")]
    assert len(execs) == 1, execs
    child, _, arguments, result = execs[0]
    assert result == "0"
    path, argv, environment = ast.literal_eval("(%s)" % arguments)
    assert path == "/bin/echo" and argv == ["/bin/echo", "one", "two  words"]
    assert environment == [
        "PATH=/usr/bin:/bin", "SHELL=/bin/sh", "HOME=" + home,
        "USER=" + alice, "LOGNAME=" + alice, "SENDER=/zebra_id_@zebra.test",
        "RECIPIENT=%s+/zebra/_id@example.test" % alice,
        "ORIGINAL_RECIPIENT=%s+/zebra/_id@example.test" % alice,
        "LOCAL=%s+/zebra/_id" % alice, "DOMAIN=example.test",
        "EXTENSION=/zebra/_id"]
    assert not [c for c in seen if "zebra" in c[2] and c is not execs[0]]

    # Two forks: the agent, and in it the command.
    forks = {int(c[3]): c[0] for c in seen if c[1] in ("clone", "fork")}
    agent = forks[child]
    assert forks == {agent: server.pid, child: agent}
    of_agent = [c[1:] for c in seen if c[0] == agent]
    drop = [c for c in of_agent if c[0] in ("setgroups", "setresgid",
                                             "setresuid")][:3]
    assert drop == [("setgroups", "0, NULL", "0"),
                    ("setresgid", "%d, %d, %d" % (gid, gid, gid), "0"),
                    ("setresuid", "%d, %d, %d" % (uid, uid, uid), "0")]
    sealed = ("prctl", "PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0", "0")
    opened = [c for c in of_agent if '"' in c[1]]
    assert of_agent.index(drop[2]) < of_agent.index(sealed) < \
        of_agent.index(opened[0])
    assert [c[1].split('"')[1] for c in opened] == [home, ".forward"]

    before = [c[1:] for c in seen[:seen.index(execs[0])] if c[0] == child]
    close = before.index(("close_range", "4, 4294967295, 0", "0"))
    assert before[close + 1:] == [("chdir", '"%s"' % home, "0")], before
    assert {c[0] for c in before[:close]} == {"prctl", "fcntl", "dup2"}
    assert [c[2] for c in before if c[0] == "dup2"] == ["0", "1", "2", "3"]
    assert ("fcntl", "3, F_SETFD, FD_CLOEXEC", "0") in before[:close]
    assert [c[1] for c in before if c[0] == "prctl"] == [
        "PR_SET_PDEATHSIG, SIGKILL"]
