"""Commands in aliases and in ~/.forward."""
import os
import re
import shutil

import pytest

import postern
from postern import Smtp, wait_messages
from programs import (COMMANDS, CONF, empty, forward, over,  # noqa: F401
                      people, record, records, send, smtpd)

pytestmark = pytest.mark.may_crash


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
