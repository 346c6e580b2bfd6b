"""pop3d's dialogue: RFC 1939, CAPA (RFC 2449), response codes, limits."""
import os
import re
import threading
import time

import pytest

import postern
from postern import Dialogue, Pop, password, put_message

SHORT = b"Subject: one\nFrom: a@example.test\n\nHello.\n"


# States and arguments

#   command       before USER, after USER, in the maildrop
STATES = [
    ("CAPA", "+", "+", "+"),
    ("NOOP", "-", "-", "+"),
    ("STAT", "-", "-", "+"),
    ("LIST", "-", "-", "+"),
    ("LIST 1", "-", "-", "+"),
    ("UIDL", "-", "-", "+"),
    ("UIDL 1", "-", "-", "+"),
    ("RETR 1", "-", "-", "+"),
    ("TOP 1 0", "-", "-", "+"),
    ("DELE 1", "-", "-", "+"),
    ("RSET", "-", "-", "+"),
    ("USER alice", "+", None, "-"),
    ("PASS x", "-", None, "-"),
    ("APOP alice d41d8cd98f00b204e9800998ecf8427e", "-", "-", "-"),
    ("XYZZY", "-", "-", "-"),
    ("", "-", "-", "-"),
    (" ", "-", "-", "-"),
    (" STAT", "-", "-", "-"),
    ("STATX", "-", "-", "-"),
    ("QUIT", "+", "+", "+"),
]
MULTI = {"CAPA", "LIST", "UIDL", "RETR 1", "TOP 1 0"}


@pytest.mark.parametrize("state", (0, 1, 2))
def test_every_command_in_every_state(pop3d, user, state):
    put_message(user, SHORT)
    pop = Pop(pop3d, user if state == 2 else None)
    for command, *expected in STATES:
        if expected[state] is None:
            continue
        for form in (command, command.lower()):
            if state == 1:
                pop.ok("USER " + user)
            status = pop.status(form)
            assert status == expected[state], (form, state)
            if status == "-":		# too many in a row end the session
                pop.multi("CAPA")
            if status == "+" and command in MULTI:
                pop.body()
            if command == "DELE 1" and status == "+":
                pop.ok("RSET")
            if command == "QUIT":
                assert pop.is_closed()
                return


BAD_ARGUMENTS = [
    "STAT 1", "NOOP 1", "RSET 1", "QUIT now",
    "LIST 0", "LIST 3", "LIST -1", "LIST +1", "LIST 1x", "LIST x", "LIST 0x1",
    "LIST 1 2", "LIST 1,2", "LIST 4294967297", "LIST 18446744073709551617",
    "LIST 99999999999999999999999999999999", "LIST \xb2",
    "UIDL 0", "UIDL 3", "UIDL 1 2", "UIDL x",
    "RETR", "RETR 0", "RETR 3", "RETR 1 2", "RETR x", "RETR 4294967297",
    "DELE", "DELE 0", "DELE 3", "DELE 1 1", "DELE x", "DELE 4294967297",
    "TOP", "TOP 1", "TOP 1 x", "TOP 1 -1", "TOP 1 1 1", "TOP 0 1", "TOP 3 1",
    "TOP x 1", "TOP 1 99999999999999999999999",
]


def test_C13_strict_arguments(pop3d, user):
    """C13, C14: numbers that are none, are too large or too many."""
    put_message(user, SHORT)
    put_message(user, SHORT)
    with Pop(pop3d, user) as pop:
        for line in BAD_ARGUMENTS:
            pop.err(line)
            pop.ok("NOOP")	# too many in a row end the session
        assert pop.stat()[0] == 2
        assert len(pop.list()) == 2
        pop.quit()


def test_C13_lines_too_long(pop3d, user):
    """C13: a line over the limit gets one -ERR, however long it is."""
    put_message(user, SHORT)
    with Pop(pop3d) as pop:
        for length in (256, 512, 4096, 100000):
            pop.err("USER " + "x" * length)
            pop.err("X" * length)
        pop.ok("USER " + user)
        pop.ok("PASS " + password(user))
        for length in (256, 1000, 20000, 300000):
            pop.err("LIST 1" + " " * length)
        pop.ok("NOOP")


def test_C13_odd_octets(pop3d, user):
    """C13: NULs, controls and 8-bit octets in names, verbs, arguments."""
    put_message(user, SHORT)
    with Pop(pop3d) as pop:
        for line in (b"USER ali\0ce", b"\0", b"\0STAT", b"STAT\0", b"\xff\xfe",
                     b"USER\t" + user.encode(), b"US\0ER x"):
            pop.err(line)
        pop.ok("USER " + user)
        pop.ok("PASS " + password(user))
        for line in (b"LIST 1\0", b"LIST \0001", b"RETR 1\0002", b"LIST 1\t2",
                     b"STAT\x01", b"\x80\x81", b"LIST 1\r"):
            pop.err(line)
        pop.ok("NOOP")


def test_lone_line_feed_and_single_octets(pop3d, user):
    """QUIRKS: clients that end lines with LF; octets that come one by one."""
    put_message(user, SHORT)
    with Pop(pop3d) as pop:
        pop.send("USER %s\nPASS %s\n" % (user, password(user)))
        assert pop.line().startswith(b"+OK")
        assert pop.line().startswith(b"+OK")
        for octet in b"STAT\r\nNOOP\r\n":
            pop.send(bytes([octet]))
            time.sleep(0.002)
        assert re.match(rb"\+OK 1 \d+$", pop.line())
        assert pop.line().startswith(b"+OK")


def test_a_line_that_never_ends(pop3d):
    """EOF in the middle of a line is no command."""
    with Pop(pop3d) as pop:
        pop.send("QUIT")
        pop.sock.shutdown(1)
        assert pop.is_closed()
    pop3d.wait_no_session()


def test_C20_other_protocols(pop3d):
    """C20: a browser's or another server's request ends the session."""
    for line in ("GET / HTTP/1.1", "POST / HTTP/1.0", "CONNECT x:25 HTTP/1.1",
                 "EHLO there", "SSH-2.0-x"):
        with Pop(pop3d) as pop:
            pop.send(line + "\r\nHost: x\r\n\r\nUSER alice\r\nCAPA\r\n")
            assert pop.line().startswith(b"-ERR")
            assert pop.is_closed(), line


def test_C16_too_many_bad_commands(pop3d):
    """C16: nonsense without end ends the session."""
    with Pop(pop3d) as pop:
        with pytest.raises((postern.Ended, OSError)):
            for _ in range(200):
                pop.err("XYZZY")


# Greeting and capabilities

def test_greeting_offers_no_apop(pop3d):
    with Pop(pop3d) as pop:
        assert pop.greeting.startswith("+OK")
        assert "<" not in pop.greeting
        assert len(pop.greeting) <= 510


def test_capabilities(pop3d, user):
    with Pop(pop3d) as pop:
        before = [line.decode() for line in pop.multi("CAPA")]
        for name in ("USER", "TOP", "UIDL", "PIPELINING", "RESP-CODES",
                     "AUTH-RESP-CODE"):
            assert name in before, before
        assert "EXPIRE NEVER" in before
        assert all(len(line) <= 510 for line in before)
        pop.ok("USER " + user)
        pop.ok("PASS " + password(user))
        after = [line.decode() for line in pop.multi("CAPA")]
        assert "TOP" in after and "UIDL" in after and "PIPELINING" in after


# The maildrop

CONTENTS = [
    SHORT,
    b"Subject: no line end after this\n\nlast",
    b"Subject: header only\n",
    b"Subject: header only, and not ended",
    b"",
    b"\n",
    b"\n\n\n",
    b".",
    b".\n",
    b"..\n.\n",
    b".first octet is a dot: x\n\n.\n..\n...\n",
    b"Subject: dots\n\n" + b".\n" * 500,
    b"Subject: dots\n\n" + b"x\n.x\n" * 500 + b".",
    b"Subject: 8-bit\n\n\xe4\xf6\xfc\xff\x80\n",
    b"Subject: long line\n\n" + b"x" * 100000 + b"\n",
    b"Subject: a bare CR\n\na\rb\n",
    b"Subject: more than one chunk\n\n" + b"0123456789abcde\n" * 20000,
]


def as_sent(content):
    """A stored message as RETR must give it (lines that end in LF)."""
    text = content.replace(b"\n", b"\r\n")
    if text and not text.endswith(b"\r\n"):
        text += b"\r\n"
    if text and b"\r\n\r\n" not in b"\r\n" + text:
        text += b"\r\n"		# a header without its end gets one
    return text


def test_sizes_and_octets(pop3d, user):
    """STAT and LIST count what RETR sends; stuffing from the first octet."""
    for content in CONTENTS:
        put_message(user, content)
    with Pop(pop3d, user) as pop:
        listed = pop.list()
        assert [number for number, _ in listed] == list(
            range(1, len(CONTENTS) + 1))
        assert pop.stat() == (len(CONTENTS), sum(s for _, s in listed))
        for number, size in listed:
            assert pop.ok("LIST %d" % number).startswith(
                "+OK %d %d" % (number, size))
            got = pop.retr(number)
            wanted = as_sent(CONTENTS[number - 1])
            if wanted:
                assert got == wanted
            assert len(got) == size, CONTENTS[number - 1][:40]
        pop.quit()


def test_stored_with_cr_lf(pop3d, user):
    """A file that some program stored with CR LF is not given CR CR LF."""
    put_message(user, b"Subject: x\r\n\r\nline\r\n.\r\nlast")
    with Pop(pop3d, user) as pop:
        size = pop.stat()[1]
        got = pop.retr(1)
        assert len(got) == size
        assert b"\r\r" not in got
        assert got == b"Subject: x\r\n\r\nline\r\n.\r\nlast\r\n"


def test_size_in_the_name(pop3d, user):
    """Sizes in Maildir names, as ours and other programs' deliveries set."""
    put_message(user, SHORT, name="1.a.host,S=%d,W=%d" % (
        len(SHORT), len(as_sent(SHORT))))
    put_message(user, SHORT, name="2.a.host,S=%d,W=%d:2,S" % (
        len(SHORT), len(as_sent(SHORT))), where="cur")
    put_message(user, SHORT, name="3.a.host,S=%d:2,S" % len(SHORT),
                where="cur")
    with Pop(pop3d, user) as pop:
        for number, size in pop.list():
            assert size == len(as_sent(SHORT))
            assert pop.retr(number) == as_sent(SHORT)


@pytest.mark.parametrize("lie", ("S=7,W=7", "S=%d,W=%d", "S=0,W=0", "S=,W=",
                                 "W=99999999999999999999999", "W=-1", "S=1",
                                 "W=%d"))
def test_C23_wrong_size_in_the_name(pop3d, user, lie):
    """C23: a name that lies about the size costs one try at most.

    Never are other octets sent than were listed; the next session is right.
    """
    lie = lie.replace("%d", str(len(SHORT) + 1))
    put_message(user, SHORT, name="1.a.host," + lie)
    put_message(user, SHORT, name="2.a.host")
    with Pop(pop3d, user) as pop:
        size = dict(pop.list())[1]
        try:
            got = pop.retr(1)
            assert len(got) == size and got == as_sent(SHORT)
        except (AssertionError, postern.Ended) as error:
            assert "-ERR" in str(error) or isinstance(error, postern.Ended)

    def is_right():
        with Pop(pop3d, user) as pop:
            size = dict(pop.list())[1]
            got = pop.retr(1)
            return len(got) == size and got == as_sent(SHORT)
    pop3d.wait_no_session()
    assert is_right()


def test_C23_edited_in_place(pop3d, user):
    """The file is as long as its name says, and what is sent of it is not.

    That costs one session, which ends in it; not every one from then on.
    """
    edited = SHORT[:-2] + b"\n\n"
    put_message(user, edited, name="1.Q1.mx.example.test,S=%d,W=%d" % (
        len(SHORT), len(as_sent(SHORT))))
    put_message(user, SHORT, name="2.Q2.mx.example.test")
    with Pop(pop3d, user) as pop:
        uidls = pop.uidl()
        with pytest.raises(postern.Ended):
            pop.retr(1)
    pop3d.wait_log("event=message-changed")
    pop3d.wait_no_session()
    with Pop(pop3d, user) as pop:
        assert pop.uidl() == uidls
        assert pop.retr(1) == as_sent(edited)
        assert pop.retr(2) == as_sent(SHORT)


def test_top(pop3d, user):
    body = [b"line %d" % n for n in range(10)]
    put_message(user, b"Subject: top\nX-A: b\n\n"
                + b"".join(line + b"\n" for line in body))
    put_message(user, b"Subject: no body\n")
    put_message(user, b"Subject: dots\n\n.\n..\nx\n")
    with Pop(pop3d, user) as pop:
        header = [b"Subject: top", b"X-A: b", b""]
        assert pop.multi("TOP 1 0") == header
        assert pop.multi("TOP 1 1") == header + body[:1]
        assert pop.multi("TOP 1 9") == header + body[:9]
        assert pop.multi("TOP 1 10") == header + body
        assert pop.multi("TOP 1 4000000000") == header + body
        # RFC 1939: the headers, the blank line; clients wait for it.
        assert pop.multi("TOP 2 0")[0] == b"Subject: no body"
        assert pop.multi("TOP 3 2") == [b"Subject: dots", b"", b".", b".."]


def test_uidl(pop3d, user):
    """Legal, unique, and the same when a message moves or others go."""
    for n in range(5):
        put_message(user, SHORT)
    put_message(user, SHORT, name="2000.name with spaces.host")
    put_message(user, SHORT, name="2001." + "x" * 100 + ".host")
    put_message(user, SHORT, name="2002.\u00e4\u00f6.host")
    put_message(user, SHORT, name="2003.flags.host:2,FS", where="cur")
    with Pop(pop3d, user) as pop:
        before = pop.uidl()
        assert len(before) == 9 == len(set(before))
        for n, uidl in enumerate(before, 1):
            assert re.match(r"^[\x21-\x7e]{1,70}$", uidl)
            assert pop.ok("UIDL %d" % n) == "+OK %d %s" % (n, uidl)
        pop.ok("DELE 2")
        assert [line.split()[0] for line in pop.multi("UIDL")] == [
            b"%d" % n for n in (1, 3, 4, 5, 6, 7, 8, 9)]
        pop.err("UIDL 2")
        pop.quit()
    top = postern.maildir(user)
    for name in os.listdir(top + "/new"):
        os.rename(top + "/new/" + name, top + "/cur/" + name + ":2,S")
    with Pop(pop3d, user) as pop:
        assert sorted(pop.uidl()) == sorted(before[:1] + before[2:])


def test_two_files_of_one_name(pop3d, user):
    """new/X and cur/X:2,: still two messages with two UIDLs."""
    put_message(user, SHORT, name="3000.twice.host")
    put_message(user, SHORT, name="3000.twice.host:2,S", where="cur")
    with Pop(pop3d, user) as pop:
        uidls = pop.uidl()
        assert len(uidls) == len(set(uidls)) == pop.stat()[0]


def test_moved_and_removed_meanwhile(pop3d, user):
    """Another program reads and removes mail during the session."""
    first = put_message(user, SHORT)
    second = put_message(user, SHORT)
    with Pop(pop3d, user) as pop:
        assert pop.stat()[0] == 2
        os.rename(first, first.replace("/new/", "/cur/") + ":2,S")
        os.unlink(second)
        assert pop.retr(1) == as_sent(SHORT)
        pop.err("RETR 2")
        pop.ok("NOOP")
        pop.ok("DELE 1")
        pop.ok("DELE 2")
        pop.quit()
    assert postern.message_files(user) == []


def test_new_mail_waits_for_the_next_session(pop3d, user):
    put_message(user, SHORT)
    with Pop(pop3d, user) as pop:
        assert pop.stat()[0] == 1
        put_message(user, SHORT)
        assert pop.stat()[0] == 1
        assert len(pop.list()) == 1
        pop.quit()
    with Pop(pop3d, user) as pop:
        assert pop.stat()[0] == 2


def test_empty_and_missing_maildrop(pop3d, user):
    with Pop(pop3d, user) as pop:
        assert pop.stat() == (0, 0)
        assert pop.list() == [] and pop.uidl() == []
        pop.err("RETR 1")
        pop.quit()


def test_deletion_at_quit_only(pop3d, user):
    for n in range(4):
        put_message(user, b"Subject: %d\n\nx\n" % n)
    with Pop(pop3d, user) as pop:
        total = pop.stat()[1]
        pop.ok("DELE 2")
        for line in ("DELE 2", "RETR 2", "TOP 2 0", "LIST 2", "UIDL 2"):
            pop.err(line)
        assert pop.stat()[0] == 3 and pop.stat()[1] < total
        assert [n for n, _ in pop.list()] == [1, 3, 4]
        pop.ok("RSET")
        assert pop.stat() == (4, total)
        pop.ok("DELE 1")
        pop.ok("DELE 3")
        assert len(postern.message_files(user)) == 4
        pop.quit()
    assert [m[9:10] for m in postern.messages(user)] == [b"1", b"3"]


@pytest.mark.parametrize("how", ("close", "reset", "half", "kill"))
def test_no_deletion_without_quit(pop3d, user, how):
    """Lost connections and a dead worker delete nothing."""
    put_message(user, SHORT)
    pop = Pop(pop3d, user)
    pop.ok("DELE 1")
    if how == "close":
        pop.close()
    elif how == "reset":
        pop.drop()
    elif how == "half":
        pop.send("QUI")
        pop.close()
    else:
        for process in pop3d.processes("pop3d-worker"):
            parent = [p for p in pop3d.processes("pop3d-worker")
                      if p.pid == process.ppid]
            if parent:
                postern.kill(process.pid)
        pop.is_closed()
        pop.close()
    pop3d.wait_no_session()
    assert len(postern.message_files(user)) == 1


def test_many_messages(pop3d, user):
    """More than one expunge bitmap, fetch batch and index page."""
    count = 3000
    for n in range(count):
        put_message(user, b"Subject: %d\n\n%d\n" % (n, n))
    with Pop(pop3d, user) as pop:
        assert pop.stat()[0] == count
        listed = pop.list()
        assert len(listed) == count
        assert len(set(pop.uidl())) == count
        for number in (1, 16, 17, 256, 257, 2999, 3000):
            assert pop.retr(number) == b"Subject: %d\r\n\r\n%d\r\n" % (
                number - 1, number - 1)
        pop.send(b"".join(b"DELE %d\r\n" % n for n in range(1, count + 1)
                          if n != 1500))
        for _ in range(count - 1):
            assert pop.line().startswith(b"+OK")
        pop.quit()
    assert postern.messages(user) == [b"Subject: 1499\n\n1499\n"]


# Pipelining

def test_pipelining(pop3d, user):
    """Answered in order, in few segments."""
    for n in range(20):
        put_message(user, b"Subject: %d\n\nbody %d\n" % (n, n))
    with Dialogue(pop3d) as talk:
        assert talk.line().startswith(b"+OK")
        talk.send("USER %s\r\nPASS %s\r\n" % (user, password(user)))
        talk.line()
        talk.line()
        before = talk.data_segments()
        commands = [b"STAT", b"LIST 1", b"NOOP"] + [
            b"RETR %d" % n for n in range(1, 21)] + [
            b"DELE %d" % n for n in range(1, 21)] + [b"QUIT"]
        talk.send(b"".join(c + b"\r\n" for c in commands))
        while talk.fill():
            pass
        segments = talk.data_segments() - before
    text = talk.buffer
    position = 0
    for n in range(20):
        wanted = b"Subject: %d\r\n\r\nbody %d\r\n.\r\n" % (n, n)
        assert wanted in text[position:], n
        position = text.index(wanted, position) + len(wanted)
    assert text.count(b"+OK") == len(commands)
    # Twenty small messages: not twenty writes.
    assert segments <= 6, segments
    assert postern.message_files(user) == []


def test_whole_session_in_one_segment(pop3d, user):
    put_message(user, SHORT)
    with Dialogue(pop3d) as talk:
        talk.send("CAPA\r\nUSER %s\r\nPASS %s\r\nSTAT\r\nRETR 1\r\nDELE 1\r\n"
                  "QUIT\r\n" % (user, password(user)))
        while talk.fill():
            pass
    assert talk.buffer.count(b"+OK") == 8, talk.buffer
    assert as_sent(SHORT) in talk.buffer
    assert postern.message_files(user) == []


# Login

def refused():
    long = "x" * 60
    return [
        ("wrong password", "alice", "wrong"),
        ("one octet more", "alice", password("alice") + "x"),
        ("one octet less", "alice", password("alice")[:-1]),
        ("case", "alice", password("alice").upper()),
        ("unknown", "nobody-here", "x"),
        ("long and unknown", long, "x"),
        ("root", "root", "root"),
        ("another uid 0", "toor", password("toor")),
        ("below login-min-uid", "lowly", password("lowly")),
        ("65534", "none", password("none")),
        ("system user", "_postern", ""),
        ("locked", "locked", "!"),
        ("expired", "expired", password("expired")),
        ("empty", "alice", ""),
        ("path", "../alice", password("alice")),
        ("foreign domain", "alice@elsewhere.test", password("alice")),
        ("8-bit", "\xe4\xff", "\xff"),
        ("8-bit password", "alice", "\xff\xfe\x01"),
        ("format", "%s%n%s%n", "%s%n"),
        ("options", "-f root", "x"),
        ("escape", "alice\x1b[31m", password("alice")),
    ]


def test_C10_C11_every_refusal_is_the_same(pop3d):
    """C10, C11: one text and one time for every kind of failed login."""
    replies, late = set(), refused()
    for _ in range(TURNS):
        # A busy host makes some late, but not the same ones each time.
        late = attempts(pop3d, late, replies)
        if not late:
            break
    assert not late, "always late: %s" % late
    assert len(replies) == 1, replies
    assert replies.pop().startswith("-ERR [AUTH]")


TURNS = 8		# of a measurement that a busy host may spoil


def attempts(pop3d, rows, replies):
    """Try to log in; those that were not refused after whole two seconds."""
    in_time, late, early = [], [], []

    def attempt(row):
        _, name, secret = row
        with Pop(pop3d) as pop:
            pop.ok("USER " + name)
            begun = time.monotonic()
            replies.add(pop.cmd("PASS " + secret))
            seconds = time.monotonic() - begun
        where = early if seconds < 1.9 else \
            late if 0.5 < seconds % 2 < 1.9 else in_time
        where.append(row)
    threads = [threading.Thread(target=attempt, args=(row,)) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not early, early
    assert len(in_time) + len(late) == len(rows)
    return late


def test_success_is_at_once(pop3d, user):
    """Not after the two seconds of a failure, but on the busiest host."""
    def is_quick():
        pop3d.wait_no_session()
        begun = time.monotonic()
        with Pop(pop3d, user) as pop:
            pop.ok("STAT")
            return time.monotonic() - begun < 1
    assert any(is_quick() for _ in range(TURNS))


def test_C12_three_tries(pop3d, user):
    """C12: at most three tries a session; the right one still works third."""
    with Pop(pop3d) as pop:
        for _ in range(2):
            pop.ok("USER " + user)
            pop.err("PASS wrong")
        pop.ok("USER " + user)
        pop.ok("PASS " + password(user))
        pop.ok("STAT")
    with Pop(pop3d) as pop:
        for _ in range(3):
            pop.ok("USER " + user)
            pop.err("PASS wrong")
        assert pop.is_closed()
    pop3d.wait_no_session()


@pytest.mark.parametrize("name,secret", [
    ("spaces", " two  words "),
    ("eightbit", "gr\u00fc\u00dfe"),
    ("a.rather-long_name.of-forty-nine.characters.in.all", "long"),
    ("alice@example.test", None),
    ("alice@localhost", None),
    ("alice@EXAMPLE.Test", None),
])
def test_names_and_passwords(pop3d, name, secret):
    """QUIRKS: spaces and 8-bit in PASS, long names, account@domain."""
    secret = password(name.split("@")[0]) if secret is None else secret
    with Pop(pop3d) as pop:
        pop.ok("USER " + name)
        pop.ok(b"PASS " + secret.encode())
        pop.ok("STAT")
        pop.quit()


def test_no_secret_in_the_log(pop3d, user):
    secrets = (password(user), "a-wrong-secret")
    with Pop(pop3d) as pop:
        pop.ok("USER " + user)
        pop.err("PASS " + secrets[1])
        pop.err("PASS " + secrets[1] + " before USER")
        pop.err("USER")
        pop.ok("USER " + user)
        pop.ok("PASS " + secrets[0])
        pop.quit()
    pop3d.wait_log("event=login user=%s " % user)
    for line in pop3d.lines:
        assert not any(secret in line for secret in secrets), line


def test_C5_no_control_octet_in_the_log(pop3d):
    """C5: what a client says can't forge a line of the log."""
    with Pop(pop3d) as pop:
        pop.say(b"USER x\x1b[2J\x07\x08 event=login user=root")
        pop.line()
        pop.say("PASS x")
        pop.line()
    pop3d.wait_no_session()
    assert not pop3d.log(r"[\x00-\x1f\x7f-\xff]")
    assert not pop3d.log(r" event=login user=root( |$)")


@pytest.mark.parametrize("setting,loopback,other", [
    ("never", False, False), ("loopback", True, False), ("always", True, True)])
def test_plaintext_login(daemons, user, setting, loopback, other):
    """A secret is taken in the clear only where the administrator says so."""
    daemon = daemons("pop3d", "plaintext-login " + setting,
                     addresses=("127.0.0.1", "192.0.2.1"))
    for source, address, allowed in (("127.0.0.1", "127.0.0.1", loopback),
                                     ("192.0.2.2", "192.0.2.1", other)):
        with Pop(daemon, source=source, address=address) as pop:
            assert (b"USER" in pop.multi("CAPA")) == allowed
            if allowed:
                pop.ok("USER " + user)
                pop.ok("PASS " + password(user))
            else:
                pop.err("USER " + user)
                pop.err("PASS " + password(user))
                pop.err("STAT")


# The environment out of order

@pytest.fixture
def broken_nss(host):
    """Account look-ups fail, as when a directory server is down."""
    os.rename("/etc/passwd", "/etc/passwd.aside")
    os.symlink("passwd", "/etc/passwd")		# ELOOP
    yield
    os.rename("/etc/passwd.aside", "/etc/passwd")


@pytest.fixture
def pam(host):
    yield postern.pam_service
    postern.pam_service(postern.PAM)


def test_C10_nss_out_of_order(pop3d, user, broken_nss):
    """C10: no lookup is not "wrong password"."""
    with Pop(pop3d) as pop:
        pop.ok("USER " + user)
        assert "[SYS/TEMP]" in pop.err("PASS " + password(user))


@pytest.mark.parametrize("text", [
    "auth required pam_no_such_module.so\naccount required pam_unix.so\n",
    "auth required pam_unix.so\naccount required pam_no_such_module.so\n",
], ids=("auth", "account"))
def test_C10_pam_out_of_order(pop3d, user, pam, text):
    """C10: a missing module is not "wrong password"; repaired, it works."""
    pam(text)

    def fails():
        with Pop(pop3d) as pop:
            pop.ok("USER " + user)
            return "[SYS/TEMP]" in pop.cmd("PASS " + password(user))
    postern.eventually(fails, "[SYS/TEMP]")
    pam(postern.PAM)

    def works():
        with Pop(pop3d) as pop:
            pop.ok("USER " + user)
            return pop.cmd("PASS " + password(user)).startswith("+OK")
    postern.eventually(works, "login with PAM repaired")


def test_C10_pam_says_no(pop3d, user, pam):
    """C10: a right password that the account stack refuses is a refusal."""
    pam("auth required pam_unix.so\naccount required pam_deny.so\n")

    def refused():
        with Pop(pop3d) as pop:
            pop.ok("USER " + user)
            return "[AUTH]" in pop.cmd("PASS " + password(user))
    postern.eventually(refused, "refused by the account stack")


def test_home_missing(pop3d):
    """An account without its home (not mounted): a temporary error."""
    with Pop(pop3d) as pop:
        pop.ok("USER homeless")
        assert "[SYS/TEMP]" in pop.err("PASS " + password("homeless"))


def test_a_new_account_and_password(pop3d, user):
    """Changed account files are seen without a restart."""
    def works(name, secret):
        with Pop(pop3d) as pop:
            pop.ok("USER " + name)
            return pop.cmd("PASS " + secret).startswith("+OK")
    postern.accounts.add("newcomer", 2900, "first")
    postern.accounts.write()
    postern.clear("newcomer")
    postern.eventually(lambda: works("newcomer", "first"), "login")
    postern.accounts.add("newcomer", 2900, "second")
    postern.accounts.write()
    postern.eventually(lambda: works("newcomer", "second"), "login")
    assert not works("newcomer", "first")


# Locks and limits

def test_in_use(pop3d, user):
    """One session at a time; the lock ends with it, however it ends."""
    put_message(user, SHORT)
    for end in ("quit", "drop"):
        first = Pop(pop3d, user)
        with Pop(pop3d) as second:
            second.ok("USER " + user)
            assert "[IN-USE]" in second.err("PASS " + password(user))
        first.ok("STAT")
        getattr(first, end)()

        def again():
            with Pop(pop3d) as pop:
                pop.ok("USER " + user)
                return pop.cmd("PASS " + password(user)).startswith("+OK")
        postern.eventually(again, "lock gone after " + end)


def test_C6_links_in_the_maildir(pop3d, user):
    """C6: a link, FIFO or directory in new/ is no message."""
    good = put_message(user, SHORT)
    new = postern.maildir(user) + "/new"
    os.symlink("/etc/shadow", new + "/1.link.host")
    os.symlink(good, new + "/2.link.host")
    os.mkfifo(new + "/3.fifo.host")
    os.mkdir(new + "/4.directory.host")
    with open("/etc/shadow", "rb") as file:
        shadow = file.read()
    with Pop(pop3d, user) as pop:
        count, _ = pop.stat()
        for number in range(1, count + 1):
            pop.say("RETR %d" % number)
            if pop.line().startswith(b"+OK"):
                lines = pop.body()
                assert not set(lines) & set(shadow.splitlines())
        pop.quit()


def test_C6_maildir_is_a_link_to_another_user(pop3d, user, users):
    """C6: ~/Maildir or ~/Maildir/new as a link into somebody else's."""
    other, = users(1)
    put_message(other, b"Subject: private\n\nprivate\n")
    os.symlink(postern.maildir(other), postern.maildir(user))
    with Pop(pop3d) as pop:
        pop.ok("USER " + user)
        if pop.cmd("PASS " + password(user)).startswith("+OK"):
            assert pop.stat() == (0, 0)
    assert len(postern.message_files(other)) == 1


def test_limit_per_source(daemons):
    """Over a limit there is a reply, not silence; others are served."""
    daemon = daemons("pop3d", "max-sessions-per-source 3\n"
                     "limits-exempt 192.0.2.0/24")
    daemon.wait_no_session()
    source = "127.0.0.7"
    three = postern.eventually(lambda: _open(daemon, source, 3),
                               "three sessions")
    with Pop(daemon, source=source) as fourth:
        assert fourth.greeting.startswith("-ERR [SYS/TEMP]")
        assert fourth.is_closed()
    with Pop(daemon, "alice", source="127.0.0.8") as other:
        other.ok("STAT")
    three[0].quit()
    again = postern.eventually(lambda: _open(daemon, source, 1),
                               "a place again")
    for pop in three[1:] + again:
        pop.ok("CAPA")
        pop.close()


def _open(daemon, source, count):
    """So many sessions, or none: one that has ended may still be counted."""
    pops = [Pop(daemon, source=source) for _ in range(count)]
    if all(pop.greeting.startswith("+OK") for pop in pops):
        return pops
    for pop in pops:
        pop.close()
    daemon.wait_no_session()
    time.sleep(0.05)
    return None


def test_limit_per_source_ipv6(daemons):
    """An IPv6 source is its /64."""
    daemon = daemons("pop3d", "max-sessions-per-source 2\n"
                     "limits-exempt 192.0.2.0/24", addresses=("::1",))
    addresses = ["fd00:0:0:1::1", "fd00:0:0:1::2"]
    try:
        open_ones = [Pop(daemon, source=a) for a in addresses]
    except OSError:
        pytest.skip("no IPv6 here")
    with Pop(daemon, source=addresses[1]) as third:
        assert third.greeting.startswith("-ERR [SYS/TEMP]")
    with Pop(daemon, source="fd00:0:0:2::1") as other:
        assert other.greeting.startswith("+OK")
    for pop in open_ones:
        pop.close()


def test_C16_full_house(daemons):
    """C16: when full, a session that has logged in stays; others give way."""
    daemon = daemons("pop3d", "max-sessions 4\nmax-sessions-per-source 4\n"
                     "login-timeout 1h")
    postern.clear("alice", "bob")
    keep = [Pop(daemon, "alice"), Pop(daemon, "bob")]
    idle = [Pop(daemon), Pop(daemon)]
    late = []

    def gets_in():
        pop = Pop(daemon)
        late.append(pop)
        return pop.greeting.startswith("+OK")
    postern.eventually(gets_in, "a place for a new client")
    for pop in keep:
        pop.ok("NOOP")
        pop.close()
    for pop in idle + late:
        pop.close()


def test_C16_login_timeout(daemons):
    """C16: not logging in, or doing so slowly, ends the session."""
    daemon = daemons("pop3d", "login-timeout 4s\nidle-timeout 1h")
    postern.clear("alice")
    stays = Pop(daemon, "alice")
    begun = time.monotonic()
    silent, slow = Pop(daemon), Pop(daemon)
    try:
        while time.monotonic() - begun < postern.PATIENCE:
            slow.ok("CAPA")
            slow.body()
            time.sleep(0.2)
        raise AssertionError("kept by CAPA")
    except (postern.Ended, OSError, AssertionError) as error:
        assert "kept" not in str(error), error
    assert time.monotonic() - begun > 3
    while silent.sock.recv(1000):
        pass
    stays.ok("STAT")
    stays.close()
    for pop in (silent, slow):
        pop.close()


def test_C16_idle_timeout(daemons):
    """C16: silence after login ends the session, without deleting."""
    daemon = daemons("pop3d", "idle-timeout 4s")
    postern.clear("alice")
    put_message("alice", SHORT)
    pop = Pop(daemon, "alice")
    pop.ok("DELE 1")
    for _ in range(5):
        time.sleep(1)
        begun = time.monotonic()
        pop.ok("NOOP")
    while pop.sock.recv(1000):
        pass
    assert time.monotonic() - begun > 3.5
    daemon.wait_no_session()
    assert len(postern.message_files("alice")) == 1


def test_C16_reader_that_stalls(daemons):
    """C16: a client that asks for much and reads nothing is dropped."""
    daemon = daemons("pop3d", "idle-timeout 4s")
    postern.clear("alice")
    put_message("alice", b"Subject: large\n\n" + b"x" * 79 + b"\n"
                + (b"y" * 79 + b"\n") * 400000)
    pop = Pop(daemon, "alice")
    pop.say("RETR 1")
    daemon.wait_no_session()
    pop.close()


def test_sigterm_says_good_bye(daemons):
    """SIGTERM ends sessions cleanly: nothing deleted, connection closed."""
    daemon = daemons("pop3d")
    postern.clear("alice")
    put_message("alice", SHORT)
    pop, fresh = Pop(daemon, "alice"), Pop(daemon)
    pop.ok("DELE 1")
    assert daemon.stop() == 0
    for each in (pop, fresh):
        while each.sock.recv(1000):
            pass
        each.close()
    assert len(postern.message_files("alice")) == 1
    daemon.wait_nothing_left()


def test_back_at_once_after_quit(pop3d, user):
    """The lock of a session that has said goodbye is in nobody's way."""
    for _ in range(100):
        with Pop(pop3d, user) as pop:
            pop.say("QUIT")
            assert pop.line().startswith(b"+OK")
