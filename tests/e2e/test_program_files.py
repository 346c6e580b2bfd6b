"""Files in aliases and in ~/.forward."""
import os
import re
import stat
import time

import pytest

import postern
from postern import wait_messages
from programs import (COMMANDS, empty, forward, over, people,  # noqa: F401
                      send, smtpd)

pytestmark = pytest.mark.may_crash


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
