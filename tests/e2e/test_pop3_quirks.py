"""What mail programs in the field need beyond the RFCs, or do against them."""
import os
import poplib
import re

import pytest

import postern
from letters import SHORT
from postern import Pop, home, maildir, password, put_message



# Lines

@pytest.mark.parametrize("length", (1025, 3072, 16384, 16385, 70000))
def test_a_long_line_is_one_error(pop3d, user, length):
    """Its rest is thrown away, not executed, however it is cut."""
    for number in range(3):
        put_message(user, SHORT)
    with Pop(pop3d, user) as pop:
        for end in (b"\r\n", b"\n"):
            for inside in (b"DELE 1", b"\rDELE 1\r", b"DELE 1\0", b" DELE 1"):
                pop.send(b"X" * (length - len(inside)) + inside + end
                         + b"NOOP" + end)
                assert pop.line().startswith(b"-ERR")
                assert pop.line().startswith(b"+OK")
        assert pop.stat()[0] == 3


def test_two_long_lines_are_two_errors(pop3d, user):
    put_message(user, SHORT)
    with Pop(pop3d, user) as pop:
        pop.send((b"A" * 5000 + b"\r\n") + b"B" * 30000 + b"\r\nDELE 1" +
                 b" " * 2000 + b"\r\nSTAT\r\n")
        for _ in range(3):
            assert pop.line().startswith(b"-ERR")
        assert re.match(rb"\+OK 1 \d+$", pop.line())


def test_numbers_that_wrap(pop3d, user):
    """2^32 + 1 is not message 1, nor is what a NUL hides."""
    put_message(user, SHORT)
    with Pop(pop3d, user) as pop:
        for verb in ("LIST", "RETR", "DELE", "UIDL"):
            for number in (2 ** 16 + 1, 2 ** 32 + 1, 2 ** 64 + 1, -1,
                           "1\0", "1\0 2", "\0" + "1", "01", "1 "):
                if number == "1 " and verb != "DELE":
                    pop.say("%s 1 " % verb)	# a space behind is harmless
                    assert pop.line().startswith(b"+OK")
                    if verb == "RETR":
                        pop.body()
                elif number != "1 ":
                    pop.err("%s %s" % (verb, number))
            pop.ok("NOOP")
        pop.err("TOP %d 0" % (2 ** 32 + 1))
        assert pop.stat()[0] == 1


def test_lone_line_feeds_everywhere(pop3d, user):
    put_message(user, SHORT)
    with Pop(pop3d) as pop:
        pop.send("CAPA\nUSER %s\nPASS %s\nRETR 1\nDELE 1\nQUIT\n" % (
            user, password(user)))
        while pop.fill():
            pass
        assert pop.buffer.count(b"+OK") == 6, pop.buffer
    assert postern.message_files(user) == []


def test_status_lines_are_short(pop3d, user):
    """poplib takes 2048 octets, RFC 2449 512: whatever is said back."""
    put_message(user, SHORT, name="1." + "u" * 200 + ".host")
    with Pop(pop3d, user) as pop:
        for line in ("CAPA", "STAT", "LIST 1", "UIDL 1", "TOP 1 0", "RETR 1",
                     "X" * 250, "LIST " + "9" * 245, "LANG " + "x" * 245,
                     "AUTH " + "y" * 3000, "Y" * 10000, "LANG"):
            pop.say(line)
            reply = pop.line()
            assert len(reply) + 2 <= 512, line
            if reply.startswith(b"+OK") and line in (
                    "CAPA", "TOP 1 0", "RETR 1", "LANG"):
                assert all(len(each) + 2 <= 512 for each in pop.body())


def test_poplib_and_2048_octets(pop3d, user):
    """Long lines of a message go through whole; poplib must be told so."""
    content = b"Subject: long lines\n\n" + b"".join(
        b"%d:" % n + b"z" * n + b"\n" for n in (998, 2046, 2048, 2050, 20000))
    put_message(user, content)
    client = poplib.POP3(pop3d.addresses[0], pop3d.port,
                          timeout=postern.PATIENCE)
    old, poplib._MAXLINE = poplib._MAXLINE, 100000
    try:
        client.user(user)
        client.pass_(password(user))
        _, lines, octets = client.retr(1)
        assert b"\n".join(lines) + b"\n" == content
        assert client.list()[1] == [b"1 %d" % octets]
        client.quit()
    finally:
        poplib._MAXLINE = old


# Messages

BODYLESS = [b"Subject: header only\n", b"Subject: not ended", b"a: b\r\nc: d\r\n",
            b"Subject: x\n \n", b"\ta\n"]


@pytest.mark.parametrize("content", BODYLESS)
def test_a_message_without_a_body(pop3d, user, content):
    """Outlook Express, Netscape: the empty line comes, and is counted."""
    put_message(user, content)
    with Pop(pop3d, user) as pop:
        lines = content.replace(b"\r", b"").rstrip(b"\n").split(b"\n")
        assert pop.multi("RETR 1") == lines + [b""]
        assert pop.multi("TOP 1 0") == lines + [b""]
        assert pop.multi("TOP 1 5") == lines + [b""]
        assert pop.list() == [(1, len(pop.retr(1)))]
        assert pop.stat() == (1, len(pop.retr(1)))


def test_no_body_by_smtp(pop3d, smtpd, user):
    """The same for a message that came by SMTP, whose size is in its name."""
    with postern.Smtp(smtpd) as smtp:
        for content in (b"Subject: nothing\r\n", b""):
            assert smtp.mail(content, user).code == 250
    postern.wait_messages(user, 2)
    with Pop(pop3d, user) as pop:
        for number, size in pop.list():
            got = pop.retr(number)
            assert len(got) == size and got.endswith(b"\r\n\r\n")
            assert b"".join(line + b"\r\n" for line in pop.multi(
                "TOP %d 0" % number)) == got


def test_no_nul_is_sent(pop3d, user):
    """A NUL hangs Outlook: another octet in its place, LIST stays right."""
    content = b"Subject: n\0l\n\0\n\n\0\0body\n.\0\n\0.\n" + b"\0" * 70000
    put_message(user, content)
    with Pop(pop3d, user) as pop:
        got = pop.retr(1)
        assert pop.list() == [(1, len(got))]
        assert got == content.replace(b"\n", b"\r\n").replace(
            b"\0", b"\x80") + b"\r\n"
        assert b"\0" not in b"".join(pop.multi("TOP 1 3"))


def test_no_message_id_is_needed(pop3d, user):
    """Spam has none, and copies by aliases have the same: UIDLs differ."""
    for _ in range(3):
        put_message(user, b"Received: x\n\nspam\n")
        put_message(user, b"Message-ID: <1@x>\n\nby two aliases\n")
    with Pop(pop3d, user) as pop:
        assert len(set(pop.uidl())) == 6 and all(pop.uidl())


def test_listings_have_one_space_and_no_status(pop3d, user):
    """K-9, mpop: NUMBER SP VALUE in a listing, after +OK for one message."""
    for _ in range(3):
        put_message(user, SHORT)
    with Pop(pop3d, user) as pop:
        for verb in ("LIST", "UIDL"):
            for number, line in enumerate(pop.multi(verb), 1):
                assert re.match(rb"%d [!-~]+$" % number, line), line
                one = pop.ok("%s %d" % (verb, number))
                assert one.encode() == b"+OK " + line


# Login

def test_outlook_probes_mechanisms(pop3d, user):
    """"AUTH " with a space, or nothing behind: the mechanisms, one a line."""
    with Pop(pop3d) as pop:
        for line in ("AUTH", "AUTH ", "auth  "):
            assert pop.multi(line) == [b"PLAIN", b"LOGIN"]
        pop.ok("USER " + user)
        pop.ok("PASS " + password(user))


def test_outlook_says_utf8_too_late(pop3d, user):
    with Pop(pop3d, user) as pop:
        pop.ok("UTF8")
        pop.ok("STAT")


def test_programs_that_know_no_capa(pop3d, user):
    """Thunderbird, K-9, neomutt: TOP and UIDL work without being asked for."""
    put_message(user, SHORT)
    with Pop(pop3d, user) as pop:
        pop.multi("UIDL")
        pop.multi("TOP 1 0")
    with Pop(pop3d, user) as pop:
        assert pop.stat()[0] == 1
        for probe in ("XTND XLST Message-Id", "XSENDER 1", "XAUTH x", "IDLE",
                      "FOO", "LAST", "APOP x y"):
            pop.err(probe)		# and the session goes on
        pop.multi("UIDL")


def test_last_is_no_command(pop3d, user):
    """LAST went with RFC 1725; what was read is the client's to know.

    Answering it means remembering across sessions what was retrieved; a
    program that still asks takes -ERR for "does not say" and goes by UIDL.
    """
    put_message(user, SHORT)
    with Pop(pop3d, user) as pop:
        pop.err("LAST")
        pop.retr(1)
        pop.err("LAST")
        pop.ok("RSET")


def test_spaces_and_octets_of_a_password(pop3d):
    """All behind one space is the password, in whatever character set."""
    with Pop(pop3d) as pop:
        pop.ok("USER spaces")
        pop.err("PASS two  words")
        pop.ok("USER spaces")
        pop.ok("PASS  two  words ")
    with Pop(pop3d) as pop:
        pop.ok("USER eightbit")
        pop.err("PASS gr\xfc\xdfe")		# Latin-1: other octets
        pop.ok("USER eightbit")
        pop.ok("PASS gr\u00fc\u00dfe".encode())


def test_names_with_spaces_and_octets(pop3d):
    """No such accounts; but a refusal like any other, and nothing worse."""
    with Pop(pop3d) as pop:
        pop.ok(b"USER  ali ce \xff\xfe\x01")
        assert pop.err("PASS x").startswith("-ERR [AUTH]")
        pop.ok("USER " + "n" * 255)
        assert pop.err("PASS x").startswith("-ERR [AUTH]")
        pop.err("USER " + "n" * 256)
        pop.ok("USER alice")


# The end of a session

def test_quit_says_what_was_not_deleted(pop3d, user):
    """-ERR, and the message is there in the next session."""
    put_message(user, SHORT)
    put_message(user, SHORT, where="cur", name="9.kept.host:2,S")
    with Pop(pop3d, user) as pop:
        pop.ok("DELE 1")
        pop.ok("DELE 2")
        os.chmod(maildir(user) + "/cur", 0o500)
        assert pop.quit().startswith("-ERR [SYS/TEMP]")
    os.chmod(maildir(user) + "/cur", 0o700)
    with Pop(pop3d, user) as pop:
        assert pop.uidl() == ["9.kept.host"]
        pop.ok("DELE 1")
        assert pop.quit().startswith("+OK")
    assert postern.message_files(user) == []


@pytest.mark.parametrize("end", (b"", b"QUIT", b"QUI", b"QUIT\r", b"quit "))
def test_half_a_quit_deletes_nothing(pop3d, user, end):
    put_message(user, SHORT)
    with Pop(pop3d, user) as pop:
        pop.ok("DELE 1")
        pop.send(end)
    pop3d.wait_no_session()
    assert len(postern.message_files(user)) == 1


def test_quit_and_gone(pop3d, user):
    """A program that does not wait for QUIT's answer has said it."""
    put_message(user, SHORT)
    with Pop(pop3d, user) as pop:
        pop.ok("DELE 1")
        pop.send("QUIT\r\n")
    pop3d.wait_no_session()
    assert postern.message_files(user) == []


def test_two_sessions_of_outlook(pop3d, user):
    """RETR in one and DELE in the next, at once: no delay by default."""
    put_message(user, SHORT)
    with Pop(pop3d, user) as pop:
        uidl = pop.uidl()
        pop.retr(1)
        pop.quit()
    with Pop(pop3d, user) as pop:
        assert pop.uidl() == uidl
        pop.ok("DELE 1")
        pop.quit()
    assert postern.message_files(user) == []
    assert not os.path.exists(home(user) + "/.postern/login-stamp")
