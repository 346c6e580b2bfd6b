"""pop3d: what a maildrop shows, and what deleting in it does."""
import os
import re
import socket

import pytest

import postern
from letters import SHORT, as_sent
from postern import Pop, password, put_message

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
        # Those that wait are left: their loss would renew the generation.
        waiting = {p.pid for p in pop3d.waiting_workers()}
        for process in pop3d.processes("pop3d-worker"):
            if process.ppid != pop3d.process.pid and \
                    process.pid not in waiting and \
                    len(os.listdir("/proc/%d/fd" % process.pid)) > 5:
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


# Whose it is

def test_more_behind_quit(pop3d, user):
    """A slow client gets the end of its message, whatever it said last."""
    content = b"Subject: large\n\n" + b"0123456789abcde\n" * 800000
    put_message(user, content)
    with Pop(pop3d, user) as pop:
        pop.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        pop.send("RETR 1\r\nQUIT\r\n")
        pop.line()		# so these were read, and no more
        pop.send("NOOP\r\n")
        assert sum(len(line) + 2 for line in pop.body()) == len(as_sent(
            content))
        assert pop.line() == b"+OK goodbye"


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


def test_files_that_are_no_messages_are_told(pop3d, user):
    """Somebody copied mail as root, or took the right to read it."""
    put_message(user, SHORT, "1700000001.good.host")
    os.chown(put_message(user, SHORT, "1700000002.roots.host"), 0, 0)
    os.chmod(put_message(user, SHORT, "1700000003.shut.host"), 0)
    pop3d.forget_log()
    with Pop(pop3d, user) as pop:
        assert pop.uidl() == ["1700000001.good.host"]
        pop.quit()
    pop3d.wait_log("event=messages-skipped messages=2 "
                   "first=170000000[23].(roots|shut).host text=")


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


def test_back_at_once_after_quit(pop3d, user):
    """The lock of a session that has said goodbye is in nobody's way."""
    for _ in range(100):
        with Pop(pop3d, user) as pop:
            pop.say("QUIT")
            assert pop.line().startswith(b"+OK")
