"""A spool without room for a record: what has been done is not done again,
and what could not be put on record is not done yet."""
import contextlib
import ctypes
import os
import signal
import threading

import pytest

import postern
import private
from postern import Smtp, eventually
from sink import Sink

pytestmark = pytest.mark.may_crash	# "spool-fault" is what it is about
_libc = ctypes.CDLL(None, use_errno=True)
PORT = 9426
COMMAND = postern.BASE + "/full-spool"
CONF = ("message-size-limit 100K\nretry-schedule 1s\ntrusted-networks 127.0.0.0/8\n"
        "command-user _posternc\n"
        "route good.example smtp://127.0.0.1:%d\n"
        "route dead.example smtp://127.0.0.1:9\n" % PORT)
LETTER = b"Subject: once\r\n\r\nHello.\r\n"
# More records than there is room left in a page that the letter has.
OTHERS = ["x%d@dead.example" % n for n in range(6)]
# Tells of its run, and waits until it may go on.
SCRIPT = """#!/bin/sh
cat >/dev/null
echo run >>%(at)s/runs
while [ ! -e %(at)s/go ]; do sleep 0.02; done
"""


@pytest.fixture
def smtpd(daemons, host):
    daemon = daemons("smtpd", CONF)
    assert daemon.stop() == 0
    uid = postern.SYSTEM_USERS["_posternq"]
    private.mount("tmpfs", daemon.spool, "tmpfs", 0,
                  "size=8m,mode=0700,uid=%d,gid=%d" % (uid, uid))
    os.makedirs(COMMAND, exist_ok=True)
    os.chmod(COMMAND, 0o777)
    for name in os.listdir(COMMAND):
        os.unlink(COMMAND + "/" + name)
    postern.write(COMMAND + "/run", SCRIPT % {"at": COMMAND}, 0o755)
    postern.write("/etc/aliases", "cmd: |%s/run\n" % COMMAND)
    daemon.start()
    yield daemon
    postern.write("/etc/aliases", "")
    assert daemon.stop() == 0
    assert _libc.umount2(daemon.spool.encode(), 2) == 0


def send(smtpd, *recipients):
    with Smtp(smtpd) as smtp:
        assert smtp.mail(LETTER, *recipients).code == 250
        smtp.quit()


@contextlib.contextmanager
def full(smtpd):
    path = smtpd.spool + "/filler"
    with open(path, "wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
    yield
    os.unlink(path)


def runs():
    try:
        with open(COMMAND + "/runs", encoding="ascii") as file:
            return len(file.readlines())
    except FileNotFoundError:
        return 0


def test_command_is_run_once(smtpd):
    """It had begun when the spool ran full; another recipient goes on."""
    send(smtpd, "cmd@example.test", *OTHERS)
    eventually(lambda: runs() == 1, "it runs")
    with full(smtpd):
        postern.write(COMMAND + "/go", "")
        smtpd.wait_log("event=delivered .*to=cmd@example.test")
        smtpd.forget_log()
        smtpd.wait_log("event=deferred .*to=x5@dead.example", 3)
        assert runs() == 1


def test_command_waits_for_room(smtpd):
    """It is not begun in a full spool, and is when there is room again."""
    postern.write(COMMAND + "/go", "")
    queue, = smtpd.processes("smtpd-queue")
    os.kill(queue.pid, signal.SIGSTOP)
    send(smtpd, "cmd@example.test")
    with full(smtpd):
        os.kill(queue.pid, signal.SIGCONT)
        smtpd.wait_log("event=deferred .*status=4.3.1 .*spool is full", 2)
        assert runs() == 0
    eventually(lambda: not os.listdir(smtpd.spool + "/queue"), "it is over")
    assert runs() == 1


def test_relayed_once(smtpd):
    """The same of a letter that another host has taken."""
    go_on = threading.Event()

    def wait(*_):
        assert go_on.wait(postern.PATIENCE)

    with Sink(address="127.0.0.1", port=PORT, end=wait) as sink:
        send(smtpd, "a@good.example", *OTHERS)
        eventually(lambda: sink.sessions and any(
            "DATA" in session.commands for session in sink.sessions),
            "it is sent")
        with full(smtpd):
            go_on.set()
            smtpd.wait_log("event=delivered .*to=a@good.example")
            smtpd.forget_log()
            smtpd.wait_log("event=deferred .*to=x5@dead.example", 3)
            assert len(sink.letters) == 1
