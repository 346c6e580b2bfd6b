"""sendmail: what programs of this host send mail with."""
import os
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest

import packages
import postern
from postern import PATIENCE, messages, split_trace, wait_messages

PROGRAM = postern.BASE + "/bin/sendmail"
USAGE, DATAERR, NOUSER, UNAVAILABLE, IOERR, TEMPFAIL = 64, 65, 67, 69, 74, 75
LETTER = b"From: someone@example.test\nSubject: x\n\nHello.\n"


@pytest.fixture(scope="module")
def smtpd(daemons):
    # Whom it runs as must be able to reach it, wherever the tree is.
    os.makedirs(os.path.dirname(PROGRAM), 0o755, exist_ok=True)
    shutil.copy(os.path.join(postern.BUILD, "bin", "sendmail"), PROGRAM)
    return daemons("smtpd", "retry-schedule 1s\n")


def program(daemon, name=PROGRAM):
    """A script, as other programs are told to call it."""
    path = daemon.dir + "/sendmail"
    if not os.path.exists(path):
        postern.write(path, "#!/bin/sh\nexec %s -C %s \"$@\"\n" % (
            name, daemon.conf_path), 0o755)
    return path


def run(argv, text=b"", user="alice"):
    uid, gid, home = postern.accounts.people[user][:3]
    return subprocess.run(
        argv, input=text, capture_output=True, check=False, cwd="/",
        timeout=PATIENCE * 3, user=uid, group=gid, extra_groups=[],
        env={"PATH": "/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8",
             "USER": user, "LOGNAME": user, "TERM": "dumb"})


def send(daemon, *args, text=LETTER, user="alice", status=0):
    done = run([PROGRAM, "-C", daemon.conf_path, *args], text, user)
    assert done.returncode == status, done
    if status == 0:
        assert done.stderr == b""
    else:
        assert re.fullmatch(rb"sendmail: [^\n]+\n", done.stderr), done
    return (done.stdout + done.stderr).decode()


def stored(user, count=1):
    """The newest letter: its trace, and all below that."""
    wait_messages(user, count)
    return split_trace(messages(user)[-1], b"\n")


def fields_of(letter):
    return letter.split(b"\n\n", 1)[0].split(b"\n")


def test_recipients(smtpd, users):
    one, two, three = users(3)
    send(smtpd, one, "%s@example.test, Three <%s>" % (two, three))
    for user in (one, two, three):
        letter = stored(user)[1]
        assert letter.startswith(LETTER.split(b"\n\n", maxsplit=1)[0])
        assert letter.endswith(b"\n\nHello.\n")
        assert b"\nDate: " in letter and b"\nMessage-ID: <" in letter
    smtpd.wait_log("event=received .* client=local .*user=alice")
    assert messages(one)[0].startswith(
        b"Return-Path: <alice@mx.example.test>\n")


def test_from_header(smtpd, users):
    one, two, three, four = users(4)
    send(smtpd, "-t", text=(
        "From: a@example.test\nTo: One (first) <%s>,\n \"T, wo\" <%s@localhost>"
        "\nBcc: %s\nCc: friends: %s, ; (all)\nbcc:\n x-%s,\n\nBcc: body\n"
        % (one, two, three, four, one)).replace(" x-%s,\n" % one, " %s,\n" %
                                                three).encode())
    for user in (one, two, three, four):
        letter = stored(user)[1]
        assert b"\nTo: One (first)" in letter
        assert not [line for line in fields_of(letter)
                    if line.lower().startswith(b"bcc") or
                    three.encode() in line]
        assert letter.endswith(b"\n\nBcc: body\n")


def test_resent(smtpd, users):
    """Sent again: only to whom it is sent again, and the last time only."""
    one, two, three = users(3)
    send(smtpd, "-t", text=(
        "Resent-From: alice\nResent-To: %s\nResent-From: x@example.test\n"
        "Resent-To: %s\nFrom: a@example.test\nTo: %s\n\n" % (
            one, two, three)).encode())
    stored(one)
    send(smtpd, two, three)
    assert b"Resent" not in stored(two)[1] + stored(three)[1]


def test_sender(smtpd, user):
    for args, path in ((["-f", "list@example.test"], b"list@example.test"),
                       (["-fbob"], b"bob@mx.example.test"),
                       (["-r", "Bob <bob@x.test>"], b"bob@x.test"),
                       (["-f", "<>"], b""), (["-f", ""], b"")):
        send(smtpd, *args, user)
        count = len(wait_messages(user, 1))
        assert messages(user)[-1].startswith(b"Return-Path: <%s>\n" % path)
        for name in os.listdir(_new(user)):
            os.unlink(_new(user) + "/" + name)
        assert count == 1
    assert "not one sender" in send(smtpd, "-f", "a, b", user, status=USAGE)


def _new(user):
    return postern.accounts.people[user][2] + "/Maildir/new"


def test_from_field(smtpd, users):
    name = iter(users(5))
    for args, text, wanted in (
            (["-F", 'The "Boss"'], b"Subject: x\n\ny\n",
             b'From: "The \\"Boss\\""\n <alice@mx.example.test>\nSubject: x\n'),
            (["-F", "J\u00fcrgen X"], b"\ny\n",
             b"From: =?utf-8?q?J=C3=BCrgen_X?=\n <alice@mx.example.test>\n"),
            (["-f", "bob@x.test"], b"y\n", b"From: bob@x.test\n"),
            (["-f", "<>", "-F", "a\nb"], b"", b"From: alice@mx.example.test\n"),
            (["-F", "ignored"], b"From: me\n\ny\n", b"From: me\n")):
        user = next(name)
        send(smtpd, *args, user, text=text)
        letter = stored(user)[1]
        assert letter.startswith(wanted), letter
        assert (b"\n\ny\n" in letter) == (b"y" in text)


def test_dots(smtpd, users):
    for args, text, wanted in (
            ([], b"Subject: x\n\n..\n.a\n.\nb\n", b"..\n.a\n"),
            ([], b"Subject: x\r\n\r\na\rb\0\r\n.\r\nb\r\n", b"a\nb\n"),
            (["-i"], b"Subject: x\n\n.\n..\n.a\n.", b".\n..\n.a\n.\n"),
            (["-oi"], b"Subject: x\n\n.\nb", b".\nb\n"),
            (["-O", "IgnoreDots"], b"Subject: x\n\n.\nb", b".\nb\n")):
        user, = users(1)
        send(smtpd, *args, user, text=text)
        assert stored(user)[1].split(b"\n\n", 1)[1] == wanted


def test_large(smtpd, user):
    """Whole, line by line, with dots wherever pieces meet."""
    body = b"".join(b"." * (n % 97) + b"%d\xc3\xbc\n" % n
                    for n in range(30000)) + b"." * 200000 + b"\n"
    send(smtpd, "-i", user, text=b"Subject: x\n\n" + body)
    assert stored(user)[1].split(b"\n\n", 1)[1] == body


def test_header_too_long(smtpd, user):
    text = b"".join(b"X-%d: %s\n" % (n, b"x" * 900) for n in range(300))
    assert "header is over" in send(smtpd, user, text=text, status=DATAERR)


def test_nothing_is_open(smtpd, user):
    """What it opens is not taken for what it was not given."""
    for closed, to, status in (("<&-", user, IOERR),
                               ("<&- >&- 2>&-", user, IOERR),
                               (">&- 2>&-", "unknown", NOUSER),
                               (">&- 2>&-", user, 0)):
        done = run(["/bin/sh", "-c", 'exec "$@" ' + closed, "sh", PROGRAM,
                    "-C", smtpd.conf_path, to], LETTER)
        assert done.returncode == status, (closed, done)
    wait_messages(user, 1)
    assert len(messages(user)) == 1


def test_what_waits_for_input(smtpd, user):
    """Nobody is connected to before all of the message is there."""
    smtpd.wait_no_session()
    with subprocess.Popen([PROGRAM, "-C", smtpd.conf_path, user],
                          stdin=subprocess.PIPE) as process:
        process.stdin.write(LETTER)
        process.stdin.flush()
        assert not smtpd.session_processes()
        process.kill()
    assert messages(user) == []


def test_smtp(smtpd, user):
    text = b"".join((b"EHLO x\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<",
                     user.encode(), b"@localhost>\r\nDATA\r\n"))
    done = run([PROGRAM, "-C", smtpd.conf_path, "-bs"],
               text + b"Subject: y\r\n\r\nhi\r\n.\r\nQUIT\r\n")
    assert done.returncode == 0 and done.stderr == b""
    codes = re.findall(rb"^(\d\d\d) ", done.stdout, re.M)
    assert codes == [b"220", b"250", b"250", b"250", b"354", b"250", b"221"]
    assert stored(user)[1].endswith(b"\n\nhi\n")


def test_not_sending(smtpd, user):
    assert user in send(smtpd, "-bv", user)
    send(smtpd, "-bv", "unknown", status=NOUSER)
    assert send(smtpd, "-bp", user=user) == "Mail queue is empty\n"
    assert send(smtpd, "-q") == "" and send(smtpd, "-q30m") == ""
    send(smtpd, "-q", user, status=USAGE)
    for name, status in (("mailq", TEMPFAIL), ("newaliases", 0)):
        done = subprocess.run([name], executable=PROGRAM, check=False,
                              capture_output=True)
        assert done.returncode == status and b"\n" in (
            done.stdout + done.stderr)
    assert messages(user) == []


def test_newaliases(smtpd):
    """What the server would find fault with, each with its line; nothing has
    to be built."""
    postern.write("/etc/aliases.list", "alice, bob\n")
    postern.write("/etc/aliases.bad", "a b c\n")
    good = ("team: alice, bob\nlist: :include:/etc/aliases.list\n"
            "x: \\alice@Localhost, y@elsewhere.test\n")

    def check(text, status, *lines):
        postern.write("/etc/aliases", text)
        for argv in (["newaliases"], ["sendmail", "-bi"]):
            done = subprocess.run(argv + ["-C", smtpd.conf_path],
                                  executable=PROGRAM, check=False,
                                  capture_output=True, text=True)
            assert done.returncode == status, done
            assert (done.stdout + done.stderr).splitlines() == list(lines)

    try:
        check(good, 0, "/etc/aliases: 3 names")
        check("", 0, "/etc/aliases: 0 names")
        check(good + "\nno colon\nbad: ::\nz: :include:/etc/aliases.bad,"
              " :include:/etc/none\n", DATAERR, *(
                  "newaliases: /etc/aliases:" + text for text in (
                      "5: not \"name: target\"",
                      "6: target is neither an account nor an address",
                      "7: /etc/aliases.bad: has a mistake in line 1: "
                      "target is neither an account nor an address",
                      "7: /etc/none: No such file or directory")))
        conf = smtpd.dir + "/other.conf"
        postern.write("/etc/map", "@x.test bob\nno colon\n")
        postern.write(conf, "aliases /etc/aliases\ndomain-map /etc/map\n"
                      "relay-recipients /etc/none\n")
        postern.write("/etc/aliases", good)
        done = subprocess.run(["newaliases", "-C", conf], check=False,
                              executable=PROGRAM, capture_output=True,
                              text=True)
        assert done.returncode == DATAERR
        assert done.stdout == "/etc/aliases: 3 names\n"
        assert done.stderr.startswith("newaliases: /etc/map:2: ")
        assert "\nnewaliases: /etc/none: " in done.stderr
        os.chmod("/etc/aliases", 0o666)
        done = subprocess.run(["newaliases", "-C", smtpd.conf_path],
                              executable=PROGRAM, check=False,
                              capture_output=True, text=True)
        assert done.returncode == DATAERR
        assert "must be a file of root's" in done.stderr
        os.unlink("/etc/aliases")
        done = subprocess.run(["newaliases", "-C", smtpd.conf_path],
                              executable=PROGRAM, check=False,
                              capture_output=True, text=True)
        assert done.returncode == 0 and "no such file" in done.stdout
    finally:
        postern.write("/etc/aliases", "")


def test_mistakes(smtpd, user):
    for args in (["-bd"], ["-bz", user], ["-Z", user], ["-f"], [],
                 ["-N", "never,delay", user], ["-N", "x\r\nDATA", user],
                 ["-R", "some", user], ["-V", "a\nb", user], ["a b"],
                 ["<" + user], [user + "@x..test"], [user + "\r\nDATA"]):
        send(smtpd, *args, status=USAGE)
    send(smtpd, "-t", text=b"To: (nobody)\n\n", status=DATAERR)
    send(smtpd, "-t", text=b"To: a b\n\n", status=DATAERR)
    # After the first address none is an option any more.
    send(smtpd, user, "-fx", status=NOUSER)
    assert messages(user) == []


def test_refused(smtpd, user):
    """For all or for none, and who it was is said."""
    text = send(smtpd, user, "unknown", status=NOUSER)
    assert "unknown@mx.example.test: 550 5.1.1" in text
    assert "nothing was sent" in text
    assert messages(user) == []


def test_dsn(smtpd, users):
    user, sender = users(2)
    send(smtpd, "-N", "success,delay", "-R", "hdrs", "-V", "a+b=c", user,
         user=sender)
    stored(user)
    report = stored(sender)[1]
    assert b"Original-Envelope-Id: a+b=c\n" in report


def test_nobody_there(daemons, tmp_path):
    daemon = daemons("smtpd")
    shutil.copy(os.path.join(postern.BUILD, "bin", "sendmail"), PROGRAM)
    assert daemon.stop() == 0
    for mode in ("-bm", "-bs"):
        text = send(daemon, mode, "alice", status=TEMPFAIL)
        assert "no mail server at %s/smtpd.sock" % daemon.run_dir in text
    daemon.kill_tree()
    # No configuration that can be read: where it is by default.
    done = run([PROGRAM, "-C", str(tmp_path / "none"), "alice"], LETTER)
    assert done.returncode == TEMPFAIL and b"/smtpd.sock" in done.stderr


def serve(listener, last):
    """A server that has enough of a message before it has read it."""
    conn = listener.accept()[0]
    with conn, conn.makefile("rb") as lines:
        conn.sendall(b"220 x.example ESMTP\r\n")
        for line in lines:
            if line.startswith(b"DATA"):
                break
            conn.sendall(b"250 2.0.0 Yes\r\n")
        conn.sendall(b"354 Go ahead\r\n")
        assert lines.read(100000)
        conn.sendall(last)


def test_host_with_an_underscore(smtpd, daemons, user):
    """As containers have them: mail from and to this host, too."""
    daemon = daemons("smtpd", "hostname web_1.example.test\n"
                     "domains web_1.example.test\n")
    send(daemon, user, user + "@web_1.example.test")
    assert len(wait_messages(user, 1)) == 1
    assert messages(user)[0].startswith(
        b"Return-Path: <alice@web_1.example.test>\n")


@pytest.fixture
def elsewhere():
    """A listening socket of our own, and a configuration that leads to it."""
    where = postern.BASE + "/early"
    shutil.rmtree(where, ignore_errors=True)
    os.makedirs(where, 0o755)
    postern.write(where + "/conf", "run-dir %s\n" % where)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(where + "/smtpd.sock")
        os.chmod(where + "/smtpd.sock", 0o666)
        listener.listen(1)
        yield listener, where + "/conf"


def test_stopped_while_it_waits(smtpd, elsewhere):
    """^Z and fg: the answer is still waited for, and the message not lost."""
    listener, conf = elsewhere
    with subprocess.Popen([PROGRAM, "-C", conf, "bob@x.test"],
                          stdin=subprocess.PIPE) as client:
        def is_in(state):
            return postern.Process(client.pid).state == state
        client.stdin.write(LETTER)
        client.stdin.close()
        conn = listener.accept()[0]
        with conn, conn.makefile("rb") as lines:
            conn.sendall(b"220 x.example ESMTP\r\n")
            for line in lines:
                if line == b".\r\n":
                    break
                if line.startswith((b"EHLO", b"MAIL", b"RCPT")):
                    conn.sendall(b"250 2.0.0 Yes\r\n")
                elif line.startswith(b"DATA"):
                    conn.sendall(b"354 Go ahead\r\n")
            postern.eventually(lambda: is_in("S"), "it waits")
            client.send_signal(signal.SIGSTOP)
            postern.eventually(lambda: is_in("T"), "it has stopped")
            client.send_signal(signal.SIGCONT)
            postern.eventually(lambda: not is_in("T"), "it goes on")
            conn.sendall(b"250 2.0.0 Taken\r\n")
        assert client.wait(PATIENCE) == 0


@pytest.mark.parametrize("last,status,said", [
    (b"552 5.3.4 Too large\r\n", UNAVAILABLE, "552 5.3.4 Too large"),
    (b"554-5.6.0 No,\r\n554 5.6.0 never\r\n", UNAVAILABLE, "5.6.0 never"),
    (b"421 4.3.2 Closing\r\n", TEMPFAIL, "421 4.3.2 Closing; "),
    (b"250 2.0.0 Got it\r\n", TEMPFAIL, "went away: "),
    (b"", TEMPFAIL, "went away: ")])
def test_closed_in_data(smtpd, elsewhere, last, status, said):
    """Closed before all of it was sent: what it said first is what counts."""
    listener, conf = elsewhere
    server = threading.Thread(target=serve, args=(listener, last))
    server.start()
    done = run([PROGRAM, "-C", conf, "bob"],
               LETTER + 200000 * b"Hello, hello, hello.\n")
    server.join()
    assert done.returncode == status, done
    assert said in done.stderr.decode(), done
    assert b"nothing was sent" in done.stderr


# As other programs call it

def test_cron(smtpd, user):
    postern.write("/etc/aliases", "root: %s\n" % user)
    done = run([program(smtpd), "-i", "-FCronDaemon", "-B8BITMIME", "-oem",
                "root"], (
                    "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@h>"
                    " echo\nMIME-Version: 1.0\nContent-Type: text/plain; "
                    "charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n"
                    "gr\u00fc\u00dfe\n.\n10%\r20%\n").encode(), "root")
    assert done.returncode == 0 and done.stderr == b""
    letter = stored(user)[1]
    assert letter.endswith("\n\ngr\u00fc\u00dfe\n.\n10%\n20%\n".encode())
    assert letter.startswith(b"From: root (Cron Daemon)\n")


def test_php(smtpd, user):
    done = run(["/bin/sh", "-c", program(smtpd) + " -t -i -fweb@example.test"],
               b"To: %s@example.test\r\nSubject: form\r\nX-PHP: 1\r\n\r\n"
               b"first\r\n.\r\nlast\r\n" % user.encode(), "bob")
    assert done.returncode == 0 and done.stderr == b""
    letter = stored(user)[1]
    assert letter.startswith(b"From: web@example.test\nTo: ")
    assert letter.endswith(b"\n\nfirst\n.\nlast\n")


@pytest.mark.skipif(not shutil.which("mutt"), reason="no mutt")
def test_mutt(smtpd, users):
    one, two = users(2)
    done = run(["mutt", "-n", "-F", "/dev/null", "-e", "set copy=no",
                "-e", "set send_charset=utf-8",
                "-e", "set sendmail=\"%s -oem -oi\"" % program(smtpd),
                "-s", "hi", "-b", two + "@example.test", "--",
                one + "@example.test"], "gr\u00fc\u00dfe\n.\nx\n".encode())
    assert done.returncode == 0, done
    for user in (one, two):
        letter = stored(user)[1]
        assert letter.endswith("gr\u00fc\u00dfe\n.\nx\n".encode())
        assert two.encode() not in letter


@pytest.mark.skipif(not shutil.which("s-nail"), reason="no s-nail")
def test_s_nail(smtpd, users):
    one, two = users(2)
    done = run(["s-nail", "-:/", "-S", "mta=" + program(smtpd), "-S",
                "sendwait", "-s", "hi", "-c", two + "@example.test",
                one + "@example.test"], b"text\n")
    assert done.returncode == 0, done
    for user in (one, two):
        assert stored(user)[1].endswith(b"\n\ntext\n")
    # What was refused is known to the program that called.
    done = run(["s-nail", "-:/", "-S", "mta=" + program(smtpd), "-S",
                "sendwait", "-s", "hi", "unknown@example.test"], b"text\n")
    assert done.returncode != 0, done


PATCH = """From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
From: Carol <carol@example.test>
Date: Mon, 1 Jan 2024 00:00:00 +0000
Subject: [PATCH] Gr\u00fc\u00dfe

From here on.
.
---
 x | 1 +
"""


@pytest.fixture(scope="module")
def git(host):
    """git with its send-email, which comes unpacked, and what that needs."""
    where = [os.path.join(postern.BUILD, "packages", name)
             for name in packages.GIT_EMAIL]
    if not shutil.which("git") or not all(map(os.path.isdir, where)):
        pytest.skip("no git, or its package git-email could not be fetched")
    top = postern.BASE + "/git"
    for directory in where:		# where everybody can read it
        shutil.copytree(directory + "/usr", top, dirs_exist_ok=True)
    return ["env", "PERL5LIB=%s/share/perl5" % top, "git",
            "--exec-path=%s/lib/git-core" % top, "-c", "user.name=Alice",
            "-c", "user.email=alice@example.test"]


def test_git_send_email(smtpd, users, git):
    one, two = users(2)
    path = postern.home("alice") + "/0001.patch"
    postern.write(path, PATCH)
    done = run([*git, "send-email",
                "--sendmail-cmd=" + program(smtpd), "--confirm=never",
                "--from=Alice <alice@example.test>", "--suppress-cc=self",
                "--to=One <%s@example.test>" % one,
                "--cc=%s@example.test" % two, "--8bit-encoding=UTF-8",
                "--transfer-encoding=8bit",
                "--envelope-sender=list@example.test", path])
    assert done.returncode == 0, done
    for user in (one, two):
        trace, letter = stored(user)
        assert trace.startswith(b"Return-Path: <list@example.test>\n")
        assert letter.startswith(b"From: Alice <alice@example.test>\nTo: ")
        assert letter.endswith(PATCH.partition("\n\n")[2].encode()), letter
