"""postern queue, mailq: who sees which letters, and what can be done to them."""
import contextlib
import fcntl
import json
import os
import re
import shutil
import smtplib
import socket
import struct
import subprocess
import threading
import time

import pytest

import postern
from postern import PATIENCE, Smtp, eventually, wait_messages
from sink import Sink
from test_local import Here, Local, sock_of

BIN = postern.BASE + "/bin"
USAGE, NOINPUT, TEMPFAIL = 64, 66, 75
MANY = 1000 if postern.SANITIZED else 10000
LETTER = b"From: x@example.test\r\nSubject: %s\r\n\r\nHello.\r\n"
PORT = 2599
CONF = ("retry-schedule 1h\nmax-messages 100000\nrate-per-source 100000\n"
        "route dead.example smtp://127.0.0.1:%d\n"
        "route hung.example smtp://127.0.0.1:%d\n" % (PORT, PORT + 1))


@pytest.fixture(scope="module")
def smtpd(daemons):
    os.makedirs(BIN, 0o755, exist_ok=True)
    for name in ("postern", "sendmail"):
        shutil.copy(os.path.join(postern.BUILD, "bin", name), BIN)
    return daemons("smtpd", CONF, also=("submission",))


@pytest.fixture(autouse=True)
def clean(request):
    """Each test begins with an empty queue."""
    yield
    if "smtpd" in request.fixturenames:
        daemon = request.getfixturevalue("smtpd")
        tool(daemon, "release", "-a")
        eventually(lambda: tool(daemon, "delete", "-a").returncode == 0 and
                   letters(daemon) == [], "the queue is empty")


def run(argv, user="root"):
    uid, gid = postern.accounts.people[user][:2]
    return subprocess.run(
        argv, capture_output=True, check=False, cwd="/", text=True,
        stdin=subprocess.DEVNULL, timeout=PATIENCE * 3, user=uid, group=gid,
        extra_groups=[], env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8",
                              "TZ": "UTC"})


def tool(daemon, *args, user="root"):
    return run([BIN + "/postern", "queue", "-C", daemon.conf_path, *args],
               user)


def done(daemon, *args, user="root", status=0):
    result = tool(daemon, *args, user=user)
    assert result.returncode == status, result
    return result.stdout


def letters(daemon, *args, user="root"):
    listing = json.loads(done(daemon, "list", "-j", *args, user=user))
    assert listing["count"] == len(listing["letters"])
    return listing["letters"]


def send(daemon, user, *recipients, subject=b"x"):
    """As a program of the host; the id."""
    with Local(sock_of(daemon), user) as local:
        reply = local.mail(LETTER % subject, *recipients,
                           sender=user + "@example.test")
        assert reply.code == 250, reply
        local.quit()
    return re.search(r"\b[0-9A-Za-z]{20}\b", reply.text).group(0)


def wait_deferred(daemon, *ids):
    eventually(lambda: all(letter["state"] == "deferred"
                           for letter in letters(daemon)
                           if letter["id"] in ids), "deferred")


def states(daemon):
    return {letter["id"]: letter["state"] for letter in letters(daemon)}


def test_users_see_their_own(smtpd):
    alice = {send(smtpd, "alice", "a%d@dead.example" % n) for n in range(2)}
    bob = send(smtpd, "bob", "b@dead.example")
    with Smtp(smtpd) as smtp:		# a stranger, from the network
        smtp.mail(LETTER % b"x", "c@dead.example")
        smtp.quit()
    root = letters(smtpd)
    assert len(root) == 4
    assert {letter["id"] for letter in letters(smtpd, user="alice")} == alice
    assert [letter["id"] for letter in letters(smtpd, user="bob")] == [bob]
    assert letters(smtpd, user="carol") == []
    stranger, = [x for x in root if x["id"] not in alice | {bob}]
    assert "uid" not in stranger and "login" not in stranger
    mine = letters(smtpd, user="bob")[0]
    assert (mine["uid"], mine["login"], mine["client"]) == (
        postern.accounts.people["bob"][0], "bob", "local")
    wait_deferred(smtpd, *alice, bob)
    # Another's letter is as unknown as none at all.
    for verb in ("show", "list", "retry", "hold", "release", "delete"):
        for name in (bob, stranger["id"]):
            answer = tool(smtpd, verb, name, user="alice")
            nobodys = tool(smtpd, verb, "A" * 20, user="alice")
            assert answer.returncode == nobodys.returncode == NOINPUT
            assert (answer.stdout, answer.stderr.replace(name, "A" * 20)) == (
                nobodys.stdout, nobodys.stderr)
    assert tool(smtpd, "show", "-c", bob, user="alice").stdout == ""
    for verb in ("hold", "delete"):
        assert done(smtpd, verb, "-a", user="carol").startswith("0 letters")
        assert done(smtpd, verb, "-u", "bob", user="alice").startswith(
            "0 letters")
    assert set(states(smtpd).values()) == {"deferred"}
    assert done(smtpd, "delete", "-a", user="alice") == "2 letters deleted\n"
    assert len(letters(smtpd)) == 2


def test_what_goes_on_is_not_the_senders(smtpd, user):
    """Where somebody's .forward leads is not told to who wrote to him."""
    uid, gid, home = postern.accounts.people[user][:3]
    postern.write(home + "/.forward", "elsewhere@dead.example\n")
    os.chown(home + "/.forward", uid, gid)
    send(smtpd, "alice", user + "@example.test")
    eventually(lambda: [r["address"] for letter in letters(smtpd)
                        for r in letter["recipients"]] ==
               ["elsewhere@dead.example"], "it goes on")
    assert letters(smtpd, user="alice") == []
    assert letters(smtpd, user=user) == []


def test_who_logs_in_is_an_owner(smtpd, user):
    with smtplib.SMTP("127.0.0.1", smtpd.ports["submission"]) as client:
        client.login(user, postern.password(user))
        client.sendmail(user + "@example.test", ["x@dead.example"],
                        LETTER % b"x")
    one, = letters(smtpd, user=user)
    assert (one["login"], one["uid"]) == (user,
                                          postern.accounts.people[user][0])
    assert one["client"] == "127.0.0.1"
    assert letters(smtpd, user="alice") == []


def test_hold_survives(daemons, user):
    """An order, a kill -9, a tenth of a second or a day: it stays on hold."""
    daemon = daemons("smtpd", CONF)
    with Sink(address="127.0.0.1", port=PORT) as sink:
        sink.replies["RCPT"] = "450 4.2.0 later"
        one = send(daemon, "alice", "a@dead.example")
        two = send(daemon, "alice", "b@dead.example")
        wait_deferred(daemon, one, two)
        assert done(daemon, "hold", one, user="alice") == \
            "1 letter put on hold\n"
        assert done(daemon, "hold", one, user="alice") == \
            "0 letters put on hold, 1 left as it was\n"
        del sink.replies["RCPT"]
        assert daemon.stop() == 0
        daemon.start()
        assert states(daemon) == {one: "held", two: "deferred"}
        daemon.old_sids.append(daemon.process.pid)
        daemon.kill_tree()
        daemon.start()
        assert states(daemon) == {one: "held", two: "deferred"}
        # Tried now is what is not held.
        assert done(daemon, "retry", "-a") == \
            "1 letter to be tried now, 1 left as it was\n"
        eventually(lambda: states(daemon) == {one: "held"}, "two is gone")
        assert done(daemon, "release", one, user="alice") == \
            "1 letter released\n"
        eventually(lambda: states(daemon) == {}, "one is gone")
        assert [letter.recipients for letter in sink.letters] == [
            ["RCPT TO:<b@dead.example>"], ["RCPT TO:<a@dead.example>"]]
    daemon.wait_log("event=queue-request .*request=HOLD uid=2000 letters=1 "
                    "id=" + one)


def test_retry_lifts_a_rest(smtpd):
    """Nobody there: the host rests, and what comes is put off without a try,
    until somebody asks for it."""
    one = send(smtpd, "alice", "a@dead.example")
    wait_deferred(smtpd, one)
    letter, = letters(smtpd)
    recipient, = letter["recipients"]
    assert (recipient["state"], recipient["status"][0]) == ("deferred", "4")
    assert letter["next_try"] > letter["arrived"] + 3000
    with Sink(address="127.0.0.1", port=PORT) as sink:
        two = send(smtpd, "bob", "b@dead.example")
        wait_deferred(smtpd, two)
        assert sink.sessions == []
        assert done(smtpd, "retry", one, user="alice") == \
            "1 letter to be tried now\n"
        eventually(lambda: sink.letters, "it comes")
        done(smtpd, "retry", "-d", "Dead.Example")
        eventually(lambda: len(sink.letters) == 2, "the other comes, too")
        eventually(lambda: letters(smtpd) == [], "both are gone")


def test_sendmail_q(smtpd):
    """Each for his own, root for all; who asks in vain is not told so."""
    one, two = (send(smtpd, user, "a@dead.example") for user in
                ("alice", "bob"))
    wait_deferred(smtpd, one, two)
    with Sink(address="127.0.0.1", port=PORT) as sink:
        for user, left in (("alice", [two]), ("root", [])):
            result = run([BIN + "/sendmail", "-C", smtpd.conf_path, "-q"],
                         user)
            assert (result.returncode, result.stdout, result.stderr) == (
                0, "", "")
            eventually(lambda left=left: list(states(smtpd)) == left,
                       "%s's letters go" % user)
        assert len(sink.letters) == 2


def test_delete(smtpd, user):
    """Gone, and nobody is told but the log."""
    one = send(smtpd, user, "a@dead.example", user + "@example.test")
    wait_messages(user, 1)
    wait_deferred(smtpd, one)
    shown = letters(smtpd)[0]["recipients"]
    assert [r["state"] for r in shown] == ["deferred", "delivered"]
    assert done(smtpd, "delete", one, user=user) == "1 letter deleted\n"
    assert letters(smtpd) == []
    assert os.listdir(smtpd.spool + "/queue") == []
    smtpd.wait_log(r"event=deleted id=%s uid=%d from=%s@example.test" % (
        one, postern.accounts.people[user][0], user))
    wait_messages(user, 1)
    assert tool(smtpd, "delete", one, user=user).returncode == NOINPUT


def test_in_delivery(smtpd):
    """What somebody has in his hands is neither deleted nor held."""
    go_on = threading.Event()

    def wait(*_):
        assert go_on.wait(PATIENCE * 2)

    with Sink(address="127.0.0.1", port=PORT + 1, DATA=wait) as sink:
        one = send(smtpd, "alice", "a@hung.example")
        eventually(lambda: any("DATA" in session.commands
                               for session in sink.sessions), "it is sent")
        for verb in ("delete", "hold"):
            answer = tool(smtpd, verb, one, user="alice")
            assert answer.returncode == TEMPFAIL
            assert "in delivery just now" in answer.stderr
        assert states(smtpd) == {one: "active"}
        go_on.set()
        eventually(lambda: sink.letters, "it comes")
        eventually(lambda: letters(smtpd) == [], "the queue is empty")


def test_standing_in_line(smtpd):
    """Open in the queue, but in nobody's hands: it is taken out of the line."""
    with socket.create_server(("127.0.0.1", PORT + 1), backlog=50):
        one = send(smtpd, "alice", "a@hung.example")
        eventually(lambda: states(smtpd).get(one) == "active", "it is open")
        assert done(smtpd, "hold", one, user="alice") == \
            "1 letter put on hold\n"
        assert states(smtpd) == {one: "held"}
        assert done(smtpd, "release", one).startswith("1 letter")
        eventually(lambda: states(smtpd).get(one) == "active", "it is open")
        assert done(smtpd, "delete", one) == "1 letter deleted\n"
        assert states(smtpd) == {}


def test_what_root_keeps(smtpd):
    """Its owner sees that, and can't take it away."""
    one = send(smtpd, "alice", "a@dead.example")
    wait_deferred(smtpd, one)
    assert done(smtpd, "hold", one, user="alice").startswith("1 letter ")
    assert "held_by_root" not in letters(smtpd)[0]
    assert done(smtpd, "hold", one).startswith("1 letter ")
    assert letters(smtpd, user="alice")[0]["held_by_root"] is True
    for verb in ("hold", "release", "retry", "delete"):
        assert done(smtpd, verb, one, user="alice").endswith(
            ", 1 left as it was\n")
    assert states(smtpd) == {one: "held"}
    assert done(smtpd, "hold", one).startswith("0 letters ")
    assert done(smtpd, "release", one) == "1 letter released\n"
    wait_deferred(smtpd, one)
    assert done(smtpd, "delete", one, user="alice") == "1 letter deleted\n"


def test_selections(smtpd):
    a = send(smtpd, "alice", "X@dead.example")
    b = send(smtpd, "bob", "y@Dead.Example", "z@hung.example")
    with Smtp(smtpd) as smtp:
        smtp.mail(LETTER % b"x", "z@dead.example", sender="")
        smtp.quit()
    c, = {letter["id"] for letter in letters(smtpd)} - {a, b}
    wait_deferred(smtpd, a, b, c)
    done(smtpd, "hold", b)
    for args, wanted in (
            ([], {a, b, c}), (["-a"], {a, b, c}), (["-s", "<>"], {c}),
            (["-s", ""], {c}), (["--sender", "ALICE@example.test"], {a}),
            (["-s", "@example.test"], {a, b}), (["-s", "@example"], set()),
            (["-r", "x@dead.example"], {a}), (["-r", "<y@dead.example>"], {b}),
            (["-r", "@dead.example"], {a, b, c}),
            (["-d", "hung.example"], {b}), (["-d", "127.0.0.1"], {a, b, c}),
            (["-t", "held"], {b}), (["-t", "deferred"], {a, c}),
            (["-t", "held", "-t", "deferred"], {a, b, c}),
            (["-t", "active"], set()), (["-u", "bob"], {b}),
            (["-u", str(postern.accounts.people["alice"][0])], {a}),
            (["-u", "alice", "-d", "hung.example"], set()),
            (["-s", "@example.test", "-t", "deferred"], {a}),
            ([a, c], {a, c}), ([b, "-t", "deferred"], set())):
        assert {x["id"] for x in letters(smtpd, *args)} == wanted, args
    assert done(smtpd, "delete", "-d", "hung.example", "-s",
                "bob@example.test", "-j") == (
        '{"request":"delete","done":1,"unchanged":0,"in_delivery":0,'
        '"faults":0}\n')
    assert set(states(smtpd)) == {a, c}


def test_what_people_read(smtpd):
    one = send(smtpd, "alice", "a@dead.example", "b@hung.example",
               subject=b"the subject")
    wait_deferred(smtpd, one)
    done(smtpd, "hold", one)
    text = done(smtpd, "show", one, user="alice")
    for pattern in ("^Id: +%s$" % one, "^State: +held by root$", "^Attempts: +1$",
                    r"^Owner: +alice \(uid 2000\), from local$",
                    "^Sender: +<alice@example.test>$",
                    "^Recipient: +<a@dead.example> deferred\n"
                    r" +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 4\.4\.1 "):
        assert re.search(pattern, text, re.M), (pattern, text)
    content = done(smtpd, "show", "-c", one, user="alice")
    assert content.startswith("Received: ")
    assert "\nSubject: the subject\n" in content
    assert content.endswith("\n\nHello.\n")
    listed = done(smtpd, "list", user="alice")
    assert "\n" + one + "!" in listed and "<" not in listed
    assert re.search(r"^ +\(4\.4\.1 .*\)\n +a@dead.example\n", listed, re.M)
    assert listed.endswith("\n\n-- 1 Kbytes in 1 Request.\n")
    mailq = [BIN + "/sendmail", "-C", smtpd.conf_path, "-bp"]
    assert run(mailq, "alice").stdout == run(mailq).stdout == listed
    assert run(mailq, "bob").stdout == "Mail queue is empty\n"


def test_content_on_a_terminal(smtpd):
    """A letter says nothing to a terminal; to a file it is what it is."""
    one = send(smtpd, "alice", "a@dead.example",
               subject=b"\x1b]0;x\x07 \xc2\x9b2J")
    argv = [BIN + "/postern", "queue", "-C", smtpd.conf_path, "show", "-c", one]
    assert "\nSubject: \x1b]0;x\x07 \x9b2J\n" in run(argv).stdout
    ours, theirs = os.openpty()
    with open(ours, "rb") as terminal:
        with subprocess.Popen(argv, stdout=theirs, stdin=subprocess.DEVNULL):
            os.close(theirs)
            shown = b""
            with contextlib.suppress(OSError):	# the end, on a terminal
                while piece := os.read(terminal.fileno(), 4096):
                    shown += piece
    assert b"\r\nSubject: ?]0;x? ?2J\r\n" in shown
    assert shown.endswith(b"Hello.\r\n") and b"\x1b" not in shown


def test_large_content(smtpd):
    """Page by page, to the last octet; and a row of recipients that fills
    several pages."""
    body = b"".join(b"%08d\r\n" % n for n in range(200000))
    people = ["someone-with-a-long-name-%04d@dead.example" % n
              for n in range(500)]
    with Local(sock_of(smtpd), "alice") as local:
        assert local.mail(b"Subject: x\r\n\r\n" + body, *people).code == 250
        local.quit()
    one, = letters(smtpd, user="alice")
    content = done(smtpd, "show", "-c", one["id"], user="alice")
    assert content.split("\n\n", 1)[1].encode() == body.replace(b"\r", b"")
    assert [r["address"] for r in one["recipients"]] == people


def test_mistakes(smtpd):
    for args in (["delete"], ["hold"], ["show"], ["frobnicate"], ["-x"],
                 ["delete", "-a", "A" * 20], ["delete", "-a", "-s", "x"],
                 ["list", "-t", "lost"], ["list", "-c"], ["show", "-cj", "x"],
                 ["list", "-s", "x" * 400]):
        answer = tool(smtpd, *args)
        assert (answer.returncode, answer.stdout) == (USAGE, ""), args
        assert answer.stderr != ""
    assert tool(smtpd, "list", "-u", "no-such-user").returncode == 67
    assert "usage:" in done(smtpd, "--help")
    for name in ("", "../../etc/passwd", "A" * 500, "0", "A" * 20):
        assert tool(smtpd, "delete", name).returncode == NOINPUT
    assert run([BIN + "/postern"]).returncode == USAGE
    assert run([BIN + "/postern", "help"]).stdout.startswith("usage:")


def test_nobody_there(daemons):
    daemon = daemons("smtpd", CONF)
    assert daemon.stop() == 0
    answer = tool(daemon, "list", user="alice")
    assert answer.returncode == TEMPFAIL
    assert answer.stderr.startswith("postern queue: no mail server at %s/"
                                    % daemon.run_dir)
    daemon.kill_tree()


def test_spool_is_anothers(daemons):
    """As long as "smtpd -q", say, has it, nobody here can be asked."""
    daemon = daemons("smtpd", CONF)
    assert daemon.stop() == 0
    lock = os.open(daemon.spool, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    daemon.start()
    answer = tool(daemon, "list")
    os.close(lock)
    assert answer.returncode == TEMPFAIL
    assert "another process is at work" in answer.stderr
    eventually(lambda: tool(daemon, "list").returncode == 0, "it has it")
    assert done(daemon, "list") == "Mail queue is empty\n"


def ask(request, fields=b""):
    return struct.pack("<I", request) + fields


SELECTION = struct.pack("<IIIIIII", 0, 0, 0, 0, 0, 0, 0)
LIST, CONTENT, NEXT, DELETE = 0x501, 0x502, 0x503, 0x507


def control(daemon, user):
    sock = Here(daemon.run_dir + "/smtpd.ctl", user,
                socket.SOCK_SEQPACKET).connect()
    sock.settimeout(PATIENCE)
    return sock


def is_ended(sock):
    """Without an answer but that it is refused."""
    try:
        data = sock.recv(65536)
        return data == b"" or data[:4] == struct.pack("<I", 0x8504)
    except ConnectionResetError:
        return True


def is_let_go(smtpd, said, descriptors=()):
    """Not if there were too many in this second: that is no fault of his."""
    before = len(smtpd.log("event=control-fault uid=2001"))
    with control(smtpd, "bob") as sock:
        try:
            socket.send_fds(sock, said, descriptors)
        except BrokenPipeError:
            return False
        assert is_ended(sock), said
    until = time.monotonic() + 2
    while time.monotonic() < until:
        if len(smtpd.log("event=control-fault uid=2001")) > before:
            return True
        time.sleep(0.01)
    return False


def test_garbage(smtpd):
    """Whoever says what nobody asks for is let go, and nobody else."""
    one = send(smtpd, "alice", "a@dead.example")
    wait_deferred(smtpd, one)
    queue = {p.pid for p in smtpd.processes("smtpd-queue")}
    first = control(smtpd, "root")
    for fields in (b"\0", b"\0" * 3, ask(0), ask(0x500), ask(0x508),
                   ask(NEXT), ask(NEXT, b"\0"), ask(LIST),
                   ask(LIST, SELECTION + b"\0"), ask(LIST, SELECTION[:-1]),
                   ask(LIST, b"\xff" * 28), ask(LIST, b"\0" * 1020),
                   ask(LIST, struct.pack("<IIIIIII", 0x20, *[0] * 6)),
                   ask(LIST, struct.pack("<IIIIIII", 0, 0x20, *[0] * 5)),
                   ask(CONTENT, struct.pack("<I", 5) + b"a\0bcd"),
                   ask(CONTENT, struct.pack("<I", 900)),
                   ask(DELETE, SELECTION[:20]), b"\xff" * 8196,
                   b"\xff" * 9000):
        eventually(lambda f=fields: is_let_go(smtpd, [f]), fields)
    # A descriptor that nobody wants.
    eventually(lambda: is_let_go(smtpd, [ask(LIST, SELECTION)], [0]), "fd")
    first.send(ask(LIST, SELECTION))
    assert one.encode() in first.recv(65536)
    first.close()
    assert {p.pid for p in smtpd.processes("smtpd-queue")} == queue


def test_who_does_not_read(smtpd, user):
    """Asks for all of it, and never reads: nobody waits for him."""
    with Local(sock_of(smtpd), "alice") as local:
        assert local.mail(LETTER % b"x" + b"x" * 70 * 30000,
                          "a@dead.example").code == 250
        local.quit()
    one, = letters(smtpd)
    socks = [control(smtpd, "alice") for _ in range(3)]
    fields = struct.pack("<I", len(one["id"])) + one["id"].encode()
    for sock in socks:
        sock.send(ask(CONTENT, fields))
        sock.setblocking(False)
    queue, = smtpd.processes("smtpd-queue")
    before = queue.status()["VmRSS"]

    def are_let_go():
        for sock in socks:
            try:
                sock.send(ask(NEXT))
                return False
            except BlockingIOError:
                return False
            except OSError:
                continue
        return True

    eventually(are_let_go, "they are let go")
    send(smtpd, "bob", user + "@example.test")
    wait_messages(user, 1)
    grown = int(queue.status()["VmRSS"].split()[0]) - int(before.split()[0])
    assert grown < 1000 or postern.SANITIZED
    assert len(letters(smtpd)) == 1
    for sock in socks:
        sock.close()


def test_many_at_once(smtpd, user):
    """A hundred of one user's: four are served, the others say so."""
    send(smtpd, "alice", "a@dead.example")
    socks = []

    def is_served():
        """The master lets so many in, in a second."""
        sock = control(smtpd, "carol")
        with contextlib.suppress(BrokenPipeError):
            sock.send(ask(LIST, SELECTION))
        if is_ended(sock):
            sock.close()
            return False
        socks.append(sock)
        return len(socks) == 4

    eventually(is_served, "four of one user's are served")
    for _ in range(96):
        with control(smtpd, "carol") as sock:
            assert is_ended(sock)
    assert len(letters(smtpd, user="alice")) == 1
    for sock in socks:
        sock.send(ask(LIST, SELECTION))
        assert sock.recv(65536)[:4] == struct.pack("<I", 0x8501)
        sock.close()
    # Of many users: who has been silent the longest gives way.
    crowd = [control(smtpd, postern.CROWD[n % 20]) for n in range(60)]
    assert len(letters(smtpd)) == 1
    send(smtpd, "bob", user + "@example.test")
    wait_messages(user, 1)
    for sock in crowd:
        sock.close()


def test_many_letters_while_mail_flows(smtpd, users, tmp_path):
    """Each of them is listed once; and letters do not wait for that."""
    names = users(5)
    with Smtp(smtpd) as smtp:
        for _ in range(MANY // 1000):
            for n in range(1000):
                smtp.say("MAIL FROM:<x@example.test>\r\nRCPT TO:<"
                         "a%d@dead.example>\r\nDATA" % n)
                smtp.send(postern.stuff(LETTER % b"x"))
                for code in (250, 250, 354, 250):
                    assert smtp.reply().code == code
        smtp.quit()
    eventually(lambda: len(letters(smtpd, "-t", "deferred")) == MANY,
               "all are deferred")
    count = 0
    for n in range(3):
        with open(tmp_path / str(n), "w+b") as out, subprocess.Popen(
                [BIN + "/postern", "queue", "-C", smtpd.conf_path, "-j"],
                stdout=out, cwd="/") as lister:
            while lister.poll() is None:
                send(smtpd, "bob", *(name + "@example.test"
                                     for name in names))
                count += 1
            out.seek(0)
            ids = [letter["id"] for letter in json.load(out)["letters"]]
        assert len(set(ids)) == len(ids) >= MANY
    assert count >= 3
    for name in names:
        wait_messages(name, count)
    eventually(lambda: len(letters(smtpd)) == MANY, "theirs are gone")
    assert done(smtpd, "hold", "-a") == "%d letters put on hold\n" % MANY
    assert set(states(smtpd).values()) == {"held"}
    assert done(smtpd, "delete", "-t", "held") == \
        "%d letters deleted\n" % MANY
