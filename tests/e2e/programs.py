"""What the tests of commands and files share.

A recorder stands for the command: it tells who it is and what it was given,
and then does what its arguments say.
"""
import json
import os

import pytest

import postern
from postern import Smtp, eventually

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
