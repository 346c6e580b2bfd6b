"""Commands and files, in aliases and in ~/.forward.

A recorder stands for the command: it tells who it is and what it was given,
and then does what its arguments say.
"""
import ast
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time

import pytest

import postern
from postern import Smtp, eventually, wait_messages

pytestmark = pytest.mark.may_crash
LETTER = b"Subject: to a command\r\n\r\nHello.\r\nFrom me\r\n"
COMMANDS = postern.BASE + "/commands"
RECORDS = postern.BASE + "/records"
CONF = ("retry-schedule 1s\ntrusted-networks none\ncommand-user _posternc\n"
        "command-timeout 20s\nmax-errors 1000\n")

RECORDER = """#!/usr/bin/python3
import json, os, sys, time
fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd")
             if os.path.exists("/proc/self/fd/" + fd))
letter = b"" if "deaf" in sys.argv else sys.stdin.buffer.read()
status = open("/proc/self/status").read()
name = "%s/%d.%d" % ("RECORDS", time.time_ns(), os.getpid())
with open(name + ".new", "w") as file:
    json.dump({
        "argv": sys.argv, "environ": {k: v for k, v in os.environ.items()},
        "ids": [os.getresuid(), os.getresgid(), os.getgroups()],
        "cwd": os.getcwd(), "letter": letter.decode("latin-1"),
        "fds": fds,
        "session": os.getsid(0) == os.getpid(), "umask": os.umask(0),
        "status": status}, file)
os.rename(name + ".new", name)
for word in sys.argv[1:]:
    verb, _, value = word.partition("=")
    if verb == "say":
        os.write(1, value.encode())
    elif verb == "until":
        while not os.path.exists(value):
            time.sleep(0.01)
    elif verb == "flood":
        for _ in range(int(value)):
            os.write(2, b"flood" * 4096)
    elif verb == "sleep":
        time.sleep(float(value))
    elif verb == "deaf-to-term":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif verb == "daemon":
        if os.fork() == 0:
            time.sleep(float(value))
            os._exit(0)
    elif verb == "kill":
        os.kill(os.getpid(), int(value))
    elif verb == "once" and not os.path.exists(value):
        open(value, "w").close()
        sys.exit(75)
    elif verb == "exit":
        sys.exit(int(value))
"""


@pytest.fixture(scope="module")
def smtpd(daemons):
    os.makedirs(COMMANDS, 0o755, exist_ok=True)
    os.makedirs(RECORDS, exist_ok=True)
    os.chmod(RECORDS, 0o1777)
    postern.write(COMMANDS + "/record", RECORDER.replace("RECORDS", RECORDS),
                  0o755)
    return daemons("smtpd", CONF)


@pytest.fixture(autouse=True)
def empty(smtpd):
    smtpd.forget_log()
    for name in os.listdir(RECORDS):
        os.unlink(RECORDS + "/" + name)
    yield
    postern.write("/etc/aliases", "")


@pytest.fixture
def people(users):
    names = users(3)
    yield names
    for name in names:
        forward(name, None)


def record(*words):
    return '"|%s"' % " ".join([COMMANDS + "/record", *words])


def forward(user, text, mode=0o600):
    path = postern.home(user) + "/.forward"
    if os.path.lexists(path):
        os.unlink(path)
    if text is not None:
        postern.write(path, text, mode)
        uid, gid = postern.accounts.people[user][:2]
        os.chown(path, uid, gid)
    return path


def send(smtpd, *recipients, sender="sender@example.test", letter=LETTER):
    with Smtp(smtpd) as smtp:
        assert smtp.mail(letter, *recipients, sender=sender).code == 250
        smtp.quit()


def records(count=None):
    def found():
        names = [n for n in os.listdir(RECORDS) if not n.endswith(".new")]
        return sorted(names) if count is None or len(names) >= count else None
    names = eventually(found, "%s records" % count) if count else found()
    result = []
    for name in names:
        with open(RECORDS + "/" + name, encoding="utf-8") as file:
            result.append(json.load(file))
    return result


def over(smtpd):
    eventually(lambda: not os.listdir(smtpd.spool + "/queue"), "it is over")
    assert os.listdir(smtpd.spool + "/held") == []


def test_forward_command(smtpd, people):
    """As the user, at home, with a clean environment and three descriptors."""
    alice = people[0]
    uid, gid, home = postern.accounts.people[alice][:3]
    forward(alice, record("one", r'\"two words\"', "$HOME"[1:]) + "\n")
    send(smtpd, alice + "+detail")
    it, = records(1)
    over(smtpd)
    assert it["argv"] == [COMMANDS + "/record", "one", "two words", "HOME"]
    assert it["ids"] == [[uid] * 3, [gid] * 3, []]
    assert it["cwd"] == home and it["session"] and it["umask"] == 0o77
    assert it["fds"] == [0, 1, 2]
    environ = it["environ"]
    environ.pop("LC_CTYPE", None)	# Python's own
    assert environ == {
        "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh",
        "HOME": home, "USER": alice, "LOGNAME": alice,
        "SENDER": "sender@example.test",
        "RECIPIENT": alice + "+detail@example.test",
        "ORIGINAL_RECIPIENT": alice + "+detail@example.test",
        "LOCAL": alice + "+detail", "DOMAIN": "example.test",
        "EXTENSION": "detail"}
    assert it["letter"].startswith(
        "Return-Path: <sender@example.test>\n"
        "Delivered-To: %s@mx.example.test\nReceived: " % alice)
    assert it["letter"].endswith("\nHello.\nFrom me\n")
    assert re.search(r"NoNewPrivs:\s+1", it["status"])
    assert re.search(r"Seccomp:\s+2", it["status"])
    assert re.search(r"CapEff:\s+0+\b", it["status"])
    assert postern.messages(alice) == []
    smtpd.wait_log("event=delivered .*account=%s .*given to a command" % alice)
    assert not smtpd.log("two words")


EXITS = {
    0: None, 1: "5.3.0", 64: "5.3.0", 65: "5.6.0", 66: "5.3.0", 67: "5.1.1",
    68: "5.1.2", 69: "5.3.0", 70: "5.3.0", 71: "4.3.0", 72: "5.3.0",
    73: "4.3.0", 74: "4.3.0", 75: "4.3.0", 76: "5.5.0", 77: "5.7.0",
    78: "5.3.5", 99: "5.3.0", 126: "4.3.5", 127: "4.3.5", 255: "5.3.0"}


def test_exit_status(smtpd, people):
    """Each of sysexits.h: delivered, tried again, or told to the sender."""
    alice, _, carol = people
    for status, code in EXITS.items():
        smtpd.forget_log()
        forward(alice, record("say=secret-words", "exit=%d" % status))
        send(smtpd, alice, sender=carol + "@example.test")
        if code is None:
            smtpd.wait_log("event=delivered .*account=%s " % alice)
        elif code[0] == "5":
            bounce, = wait_messages(carol, 1)
            assert b"\nStatus: %s\n" % code.encode() in bounce, status
            # What a user's command says is the user's (C7).
            assert b"secret-words" not in bounce
            assert COMMANDS.encode() not in bounce
            smtpd.wait_log("event=command-failed .*user=%s .*output=\"?"
                           "secret-words" % alice)
        else:
            smtpd.wait_log(r"event=deferred .*account=%s .*status=%s "
                           % (alice, re.escape(code)))
            forward(alice, record("exit=0"))
        over(smtpd)
        postern.clear(carol)
    assert postern.messages(alice) == []
    assert not smtpd.log(COMMANDS)


def test_killed_and_absent(smtpd, people):
    """Ended by a signal, not there, not to be run: the letter waits."""
    alice = people[0]
    postern.write(COMMANDS + "/plain", "no program\n", 0o755)
    for entry, told in (
            (record("kill=11"), "ended by signal 11"),
            ("|/nonexistent/command", "No such file"),
            ("|/etc/passwd", "Permission denied"),
            ("|%s/plain" % COMMANDS, "Exec format error")):
        smtpd.forget_log()
        forward(alice, entry)
        send(smtpd, alice)
        smtpd.wait_log("event=deferred .*account=%s .*%s" % (alice, told))
        forward(alice, record("exit=0"))
        over(smtpd)


def test_flood_and_deaf(smtpd, people):
    """One writes without end, one does not read: neither holds us up."""
    alice, bob, carol = people
    forward(alice, record("flood=2000", "exit=1"))
    forward(bob, record("deaf", "exit=0"))
    send(smtpd, alice, bob, sender=carol + "@example.test",
         letter=b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 100000)
    smtpd.wait_log("event=failed .*account=%s .*exit status 1" % alice)
    smtpd.wait_log("event=delivered .*account=%s " % bob)
    line, = smtpd.log("event=command-failed .*user=%s " % alice)
    assert len(line) < 900
    over(smtpd)


def test_daemon(smtpd, people):
    """What a command leaves behind is not waited for, nor ended."""
    alice = people[0]
    forward(alice, record("daemon=60"))
    start = time.monotonic()
    send(smtpd, alice)
    smtpd.wait_log("event=delivered .*account=%s " % alice)
    assert time.monotonic() - start < 50
    over(smtpd)
    left = [p for p in postern.all_processes() if p.is_of(alice)
            and p.role.startswith("python")]
    assert left
    for process in left:
        postern.kill(process.pid)


def test_more_than_one(smtpd, people):
    """What is done stays done, though another must be tried again."""
    alice, bob, carol = people
    once = postern.home(alice) + "/once"
    if os.path.exists(once):
        os.unlink(once)
    forward(alice, "\\%s, %s@example.test\n%s, %s\n" % (
        alice, bob, record("first"), record("second", "once=" + once)))
    forward(carol, "%s\n%s\n" % (record("third"), record("exit=67")))
    send(smtpd, alice + "+x", carol, sender=bob + "@example.test")
    wait_messages(bob, 2)
    over(smtpd)
    argv = [r["argv"][1] for r in records()]
    assert sorted(argv) == ["exit=67", "first", "second", "second", "third"]
    assert len(postern.messages(alice)) == 1
    assert len(postern.messages(bob)) == 2
    for it in records():
        if it["argv"][1] in ("first", "second"):
            assert it["environ"]["RECIPIENT"] == alice + "+x@example.test"
            assert it["letter"].count("Delivered-To: ") == 1
    bounce, = [m for m in postern.messages(bob) if b"5.1.1" in m]
    assert b"Final-Recipient: rfc822; %s@example.test\n" % carol.encode() \
        in bounce


def test_changed(smtpd, people):
    """Nothing is run that is not in ~/.forward at that time."""
    alice, bob, carol = people
    # The only one: the letter goes where the new one says.
    forward(alice, record("old", "exit=75"))
    send(smtpd, alice)
    smtpd.wait_log("event=deferred .*account=%s " % alice)
    forward(alice, record("new"))
    over(smtpd)
    assert records()[-1]["argv"][1] == "new"
    # One of several, and nobody else has the letter: the mailbox.
    forward(bob, "%s\n%s\n" % (record("exit=75", "a"),
                                record("exit=75", "b")))
    send(smtpd, bob)
    smtpd.wait_log("event=deferred .*account=%s " % bob, 2)
    forward(bob, record("never"))
    wait_messages(bob, 1)
    over(smtpd)
    assert len(postern.messages(bob)) == 1
    # The mailbox has it: it is not wanted any more.
    forward(carol, "\\%s, %s\n" % (carol, record("exit=75", "c")))
    send(smtpd, carol)
    smtpd.wait_log("event=deferred .*account=%s " % carol)
    forward(carol, "\\%s\n" % carol)
    over(smtpd)
    assert len(postern.messages(carol)) == 1
    assert "never" not in [r["argv"][1] for r in records()]


def test_alias(smtpd, people):
    """As command-user; what it says goes back to the sender."""
    alice, _, carol = people
    uid = postern.SYSTEM_USERS["_posternc"]
    postern.write("/etc/aliases", "cmd: %s, %s\nsame: %s\nbad: %s\n" % (
        record("hello"), alice, record("hello"),
        record("say=no-such-list", "exit=67")))
    send(smtpd, "cmd+x", "same")
    wait_messages(alice, 1)
    over(smtpd)
    it, = records(1)			# of two aliases, once
    assert it["ids"] == [[uid] * 3, [uid] * 3, []] and it["cwd"] == "/"
    assert it["environ"]["USER"] == "_posternc"
    assert it["environ"]["RECIPIENT"] == "cmd+x@example.test"
    assert it["environ"]["EXTENSION"] == "x"
    assert it["letter"].startswith(
        "Return-Path: <sender@example.test>\n"
        "Delivered-To: cmd+x@example.test\n")
    send(smtpd, "bad", sender=carol + "@example.test")
    bounce, = wait_messages(carol, 1)
    assert b"no-such-list" in bounce and b"\nStatus: 5.1.1\n" in bounce
    over(smtpd)
    # Changed while it waits: as it is then.
    postern.write("/etc/aliases", "cmd: %s\n" % record("exit=75"))
    send(smtpd, "cmd")
    smtpd.wait_log("event=deferred .*account=_posternc ")
    postern.write("/etc/aliases", "cmd: %s\n" % alice)
    wait_messages(alice, 2)
    over(smtpd)


def test_nobody_is_the_command_user(smtpd, people):
    """It gets no mail of its own, and its ~/.forward is none."""
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<>", 250)
        assert smtp.cmd("RCPT TO:<_posternc@example.test>").code == 550


def test_c4_octets(smtpd, users):
    """C4: no octet of an address is ever more than data."""
    postern.write("/etc/aliases", "team: %s\n" % record("fixed"))
    wanted = 0
    with Smtp(smtpd) as smtp:
        for octet in range(1, 256):
            local = b'"team+a\\' + bytes([octet]) + b'b"'
            if octet < 0x80:
                smtp.expect("MAIL FROM:<>", 250)
            else:
                smtp.expect("MAIL FROM:<> SMTPUTF8", 250)
                local = b'"team+a' + chr(octet).encode() + b'b"'
            smtp.send(b"RCPT TO:<" + local + b"@example.test>\r\n")
            code = smtp.reply().code
            # As what it is: a line end ends the command, and its rest is one.
            while octet in (10, 13) and code in (500, 501, 502):
                try:
                    smtp.sock.settimeout(0.5)
                    code = smtp.reply().code
                except OSError:
                    break
            if code == 250:
                wanted += 1
                smtp.expect("DATA", 354)
                smtp.send(postern.stuff(b"Subject: %d\r\n\r\n" % octet))
                assert smtp.reply().code == 250
            smtp.cmd("RSET")
    assert wanted > 90
    seen = records(wanted)
    over(smtpd)
    assert len(seen) == wanted
    safe = re.compile(r"team\+a[\w!@%=+:,./\u0080-\u00ff-]b")
    for it in seen:
        assert it["argv"] == [COMMANDS + "/record", "fixed"]
        environ = it["environ"]
        assert safe.fullmatch(environ["LOCAL"]), environ["LOCAL"]
        assert set(environ) - {"LC_CTYPE"} == {
            "PATH", "SHELL", "HOME", "USER", "LOGNAME", "SENDER", "RECIPIENT",
            "ORIGINAL_RECIPIENT", "LOCAL", "DOMAIN", "EXTENSION"}
        assert environ["SENDER"] == "MAILER-DAEMON"


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


def test_bad_entries(smtpd, people):
    """A mistake is told of; in ~/.forward the mailbox has the letter."""
    alice = people[0]
    for entry in ("|record", "|/bin/cat | /bin/sh", '"|/bin/x \\"a"',
                  "|/bin/sh -c $(id)", "|", "/"):
        forward(alice, entry)
        send(smtpd, alice)
        wait_messages(alice, 1)
        smtpd.wait_log("event=forward-refused user=%s " % alice)
        smtpd.forget_log()
        postern.clear(alice)
    os.makedirs("/etc/lists", exist_ok=True)
    postern.write("/etc/lists/list", "# members\n" + record("included"))
    postern.write("/etc/aliases", "bad: |record\nlist: :include:/etc/lists/"
                  "list\n")
    send(smtpd, "bad")
    smtpd.wait_log("event=aliases error=\"/etc/aliases:1: a command needs an "
                   "absolute path\"")
    smtpd.wait_log(r"event=deferred .*to=bad@.*status=4\.3\.5 ")
    send(smtpd, "list")
    smtpd.wait_log("event=aliases error=\"/etc/lists/list: has a mistake in "
                   "line 2: only an alias can be a command or a file")
    smtpd.wait_log(r"event=deferred .*to=list@.*status=4\.3\.5 ")
    postern.write("/etc/aliases", "bad: /dev/null\nlist: /dev/null\n")
    over(smtpd)
    assert records() == []


def mbox(path):
    with open(path, "rb") as file:
        return file.read()


def test_file(smtpd, people):
    """Appended as an mbox has it, and only to a file that is the user's."""
    alice, bob, carol = people
    uid = postern.accounts.people[alice][0]
    path = postern.home(alice) + "/saved"
    forward(alice, path)
    send(smtpd, alice)
    smtpd.wait_log("event=delivered .*account=%s .*written to a file" % alice)
    send(smtpd, alice)
    smtpd.wait_log("event=delivered .*account=%s .*written to a file" % alice,
                   2)
    over(smtpd)
    text = mbox(path)
    st = os.stat(path)
    assert st.st_uid == uid and stat.S_IMODE(st.st_mode) == 0o600
    assert len(re.findall(rb"(?m)^From sender@example.test ", text)) == 2
    assert text.count(b"\n>From me\n\n") == 2
    assert b"\nDelivered-To: %s@mx.example.test\n" % alice.encode() in text
    assert os.listdir(postern.home(alice)).count("saved.lock") == 0
    # A link, another's file, one that all may write, a FIFO: it waits.
    for make in (lambda: os.symlink(path, path + "2"),
                 lambda: postern.write(path + "2", "mine\n", 0o644),
                 lambda: (postern.write(path + "2", "", 0o666),
                          os.chown(path + "2", uid, uid)),
                 lambda: os.mkfifo(path + "2", 0o666),
                 lambda: os.link(path, path + "2")):
        make()
        smtpd.forget_log()
        forward(alice, path + "2")
        send(smtpd, alice)
        smtpd.wait_log("event=deferred .*account=%s .*the file can't be "
                       "written: " % alice)
        os.unlink(path + "2")
        forward(alice, "/dev/null")
        over(smtpd)
    assert mbox(path) == text
    # A slash at its end: a Maildir.
    box = postern.home(bob) + "/Other"
    forward(bob, box + "/\n")
    send(smtpd, bob)
    smtpd.wait_log("event=delivered .*account=%s " % bob)
    assert len(os.listdir(box + "/new")) == 1
    assert postern.messages(bob) == []
    # Of an alias: command-user's.
    shared = COMMANDS + "/archive"
    os.makedirs(shared, exist_ok=True)
    os.chown(shared, postern.SYSTEM_USERS["_posternc"], 0)
    postern.write("/etc/aliases", "archive: %s/all, %s\n" % (shared, carol))
    send(smtpd, "archive")
    wait_messages(carol, 1)
    over(smtpd)
    assert os.stat(shared + "/all").st_uid == postern.SYSTEM_USERS[
        "_posternc"]


def test_file_is_locked(smtpd, people):
    """Another program has the lock: it is waited for."""
    alice = people[0]
    path = postern.home(alice) + "/locked"
    postern.write(path + ".lock", "")
    forward(alice, path)
    send(smtpd, alice)
    time.sleep(0.5)
    assert not os.path.exists(path) or mbox(path) == b""
    os.unlink(path + ".lock")
    smtpd.wait_log("event=delivered .*account=%s .*written to a file" % alice)
    over(smtpd)
    assert mbox(path).count(b"Subject: to a command") == 1


def test_loop(smtpd, people):
    """A command that sends it back: the sender is told, and that is all."""
    alice, _, carol = people
    postern.write(COMMANDS + "/again", "#!/bin/sh\nexec '%s' -f '%s@example."
                  "test' -i '%s'\n" % (sendmail(smtpd), carol, alice), 0o755)
    forward(alice, "|%s/again" % COMMANDS)
    send(smtpd, alice, sender=carol + "@example.test")
    bounce, = wait_messages(carol, 1)
    assert b"\nStatus: 5.4.6\n" in bounce
    over(smtpd)
    postern.clear(carol)
    postern.write(COMMANDS + "/again", "#!/bin/sh\nexec '%s' -f '%s@example."
                  "test' -i again@example.test\n" % (sendmail(smtpd), carol),
                  0o755)
    postern.write("/etc/aliases", "again: |%s/again\n" % COMMANDS)
    send(smtpd, "again", sender=carol + "@example.test")
    bounce, = wait_messages(carol, 1)
    assert b"\nStatus: 5.4.6\n" in bounce
    over(smtpd)


def sendmail(smtpd):
    """A program that sends mail by this server; no command may trace itself."""
    path = COMMANDS + "/sendmail"
    shutil.copy(os.path.join(postern.BUILD, "bin", "sendmail"), path)
    postern.write(path + ".sh", "#!/bin/sh\nASAN_OPTIONS=detect_leaks=0 exec "
                  "'%s' -C '%s' \"$@\"\n" % (path, smtpd.conf_path), 0o755)
    return path + ".sh"


def test_vacation(smtpd, people):
    """An answer, written by a command: from the user, and by no loop."""
    alice, _, carol = people
    postern.write(COMMANDS + "/vacation", "#!/bin/sh\n(echo To: $SENDER; echo "
                  "Subject: away; echo) | '%s' -t -i -f '<>'\n"
                  % sendmail(smtpd), 0o755)
    forward(alice, '\\%s, "|%s/vacation"\n' % (alice, COMMANDS))
    send(smtpd, alice, sender=carol + "@example.test")
    answer, = wait_messages(carol, 1)
    assert b"\nSubject: away\n" in answer
    assert answer.startswith(b"Return-Path: <>\n")
    wait_messages(alice, 1)
    over(smtpd)


@pytest.mark.skipif(not shutil.which("procmail"), reason="no procmail here")
def test_procmail(smtpd, people):
    alice = people[0]
    uid = postern.accounts.people[alice][0]
    rc = postern.home(alice) + "/.procmailrc"
    postern.write(rc, "LOGFILE=$HOME/procmail.log\n:0\n* ^Subject: to a "
                  "command\nsorted/\n:0\n/dev/null\n")
    os.chown(rc, uid, uid)
    forward(alice, '"|/usr/bin/procmail"\n')
    send(smtpd, alice)
    smtpd.wait_log("event=delivered .*account=%s " % alice)
    assert len(os.listdir(postern.home(alice) + "/sorted/new")) == 1
    over(smtpd)


def test_time_is_over(daemons, people):
    """Asked to end, and then made to, with all that is of its group."""
    alice, bob, carol = people
    smtpd = daemons("smtpd", CONF.replace("20s", "2s"))
    forward(alice, record("sleep=600"))
    forward(bob, record("deaf-to-term", "daemon=600", "sleep=600"))
    send(smtpd, alice, bob, sender=carol + "@example.test")
    bounce, = wait_messages(carol, 1)
    assert bounce.count(b"the command's time was over") >= 2
    over(smtpd)
    eventually(lambda: not [p for p in postern.all_processes()
                            if p.is_of(alice) or p.is_of(bob)], "their end")


def test_a_slow_one_stops_nobody(smtpd, people):
    """Not other commands, and not mail for the mailbox."""
    alice, bob, carol = people
    forward(alice, record("sleep=600"))
    forward(bob, record("quick"))
    send(smtpd, alice, sender="")
    records(1)
    send(smtpd, bob)
    send(smtpd, carol)
    wait_messages(carol, 1)
    smtpd.wait_log("event=delivered .*account=%s " % bob)
    sleeping, = [p for p in postern.all_processes()
                 if p.is_of(alice) and p.role.startswith("python")]
    os.kill(sleeping.pid, 9)
    forward(alice, None)
    over(smtpd)


def test_queue_is_killed(smtpd, people):
    """Nobody waits for its end: it is ended, and tried again, never twice at
    once."""
    alice = people[0]
    forward(alice, record("sleep=600"))
    send(smtpd, alice)
    records(1)
    queue, = smtpd.processes("smtpd-queue")
    os.kill(queue.pid, 9)
    seen = records(2)
    running = [p for p in postern.all_processes()
               if p.is_of(alice) and p.role.startswith("python")]
    assert len(running) == 1 and len(seen) == 2
    forward(alice, record("done"))
    os.kill(running[0].pid, 15)
    smtpd.wait_log("event=delivered .*account=%s " % alice)
    over(smtpd)


def test_reload_while_one_runs(smtpd, people):
    """A command that runs may end in peace: it is not run again."""
    alice, bob, _ = people
    gate = postern.home(alice) + "/go-on"
    forward(alice, record("until=" + gate))
    send(smtpd, alice)
    records(1)
    smtpd.forget_log()
    queue, = smtpd.processes("smtpd-queue")
    smtpd.reload()
    smtpd.wait_log("event=reloaded")
    postern.write(gate, "")
    send(smtpd, bob)
    smtpd.wait_log("event=delivered .*account=%s .*given to a command" % alice)
    wait_messages(bob, 1)
    over(smtpd)
    os.unlink(gate)
    assert len(records()) == 1
    assert queue.pid not in [p.pid for p in smtpd.processes("smtpd-queue")]


def test_command_user_with_mail(daemons, people):
    """An account as others: its own ~/.forward, and what aliases name."""
    alice = people[0]
    smtpd = daemons("smtpd", "retry-schedule 1s\ncommand-user %s\n" % alice)
    forward(alice, record("own"))
    postern.write("/etc/aliases", "cmd: %s\n" % record("alias"))
    send(smtpd, alice, "cmd")
    over(smtpd)
    assert sorted(it["argv"][1] for it in records()) == ["alias", "own"]
    assert not smtpd.log("event=gate-fault")


def test_not_allowed(daemons, people):
    """Then nothing is run, and there is no process that could."""
    alice = people[0]
    smtpd = daemons("smtpd", "retry-schedule 1s\nforward-commands no\n")
    assert smtpd.processes("smtpd-programs") == []
    forward(alice, record("never"))
    send(smtpd, alice)
    wait_messages(alice, 1)
    smtpd.wait_log("event=forward-refused user=%s .*has a command or a file"
                   % alice)
    postern.write("/etc/aliases", "cmd: %s\n" % record("never"))
    send(smtpd, "cmd")
    smtpd.wait_log("event=deferred .*to=cmd@.*status=4.3.5 .*there is no "
                   "command-user")
    postern.write("/etc/aliases", "cmd: /dev/null\n")
    over(smtpd)
    assert records() == []


def test_not_allowed_any_more(daemons, people):
    """What waits for a command of ~/.forward is for the mailbox then, once."""
    alice, bob, _ = people
    smtpd = daemons("smtpd", CONF)
    forward(alice, "%s, %s\n" % (record("a", "exit=75"),
                                 record("b", "exit=75")))
    forward(bob, "\\%s, %s\n" % (bob, record("c", "exit=75")))
    send(smtpd, alice, bob)
    smtpd.wait_log("event=deferred .*exit status 75", 3)
    smtpd.reload("retry-schedule 1s\nforward-commands no\n")
    smtpd.wait_log("event=reloaded")
    over(smtpd)
    assert smtpd.processes("smtpd-programs") == []
    wait_messages(alice, 1)
    wait_messages(bob, 1)


def test_aliases_that_it_may_not_read(smtpd, people):
    """command-user looks itself: what it can't read it does not obey."""
    postern.write("/etc/aliases", "cmd: %s\n" % record("read"), 0o640)
    os.chown("/etc/aliases", 0, postern.SYSTEM_USERS["_posternq"])
    try:
        send(smtpd, "cmd")
        smtpd.wait_log("event=deferred .*account=_posternc .*status=4.3.5 "
                       ".*the aliases file can't be used")
        assert records() == []
    finally:
        os.chown("/etc/aliases", 0, 0)
        os.chmod("/etc/aliases", 0o644)
    over(smtpd)
    assert len(records()) == 1


def test_its_agent_is_killed(smtpd, people):
    """Then the command ends with it, before it is run again."""
    alice = people[0]
    forward(alice, record("sleep=600"))
    send(smtpd, alice)
    records(1)
    agent, = [p for p in smtpd.processes("smtpd-programs") if p.is_of(alice)]
    os.kill(agent.pid, 9)
    records(2)
    running = [p for p in postern.all_processes()
               if p.is_of(alice) and p.role.startswith("python")]
    assert len(running) == 1
    forward(alice, record("done"))
    os.kill(running[0].pid, 15)
    smtpd.wait_log("event=delivered .*account=%s " % alice)
    over(smtpd)


def test_reload(smtpd, people):
    """New processes, and what is allowed by then."""
    alice = people[0]
    smtpd.reload(CONF + "forward-commands no\n")
    smtpd.wait_log("event=reloaded")
    forward(alice, record("never"))
    send(smtpd, alice)
    wait_messages(alice, 1)
    smtpd.reload(CONF)
    smtpd.wait_log("event=reloaded", 2)
    forward(alice, record("now"))
    send(smtpd, alice)
    records(1)
    over(smtpd)
    assert [r["argv"][1] for r in records()] == ["now"]
