"""smtpd's dialogue: greeting, sequence, replies, pipelining (RFC 5321)."""
import pytest

from letters import LETTER, as_stored, delivered
from postern import Smtp, stuff


# Greeting, EHLO, sequence

def test_greeting_and_ehlo(smtpd):
    with Smtp(smtpd, hello=None) as smtp:
        assert smtp.greeting.code == 220
        assert smtp.greeting.text.split()[:2] == ["mx.example.test", "ESMTP"]
        reply = smtp.expect("EHLO client.example.test", 250)
        assert reply.lines[0].split()[0] == "mx.example.test"
        words = [line.split()[0] for line in reply.lines[1:]]
        for word in ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE"):
            assert word in words
        size = [line for line in reply.lines if line.startswith("SIZE")]
        assert size == ["SIZE %d" % (50 * 1024 * 1024)]
        assert len(smtp.expect("HELO client.example.test", 250).lines) == 1
        smtp.quit()


@pytest.mark.parametrize("name", [
    "client", "a.b.c", "[127.0.0.1]", "[IPv6:::1]", "under_score.example",
    "127.0.0.1", "localhost.", "-odd-.example", "x" * 200])
def test_hello_names(smtpd, name):
    """QUIRKS: names that are none are taken; they grant nothing."""
    for verb in ("EHLO", "HELO", "ehlo"):
        with Smtp(smtpd, verb + " " + name) as smtp:
            smtp.envelope("alice")


def test_hello_refused(smtpd):
    with Smtp(smtpd, hello=None) as smtp:
        for line in ("EHLO", "HELO", "EHLO a b", "EHLO \xe4", "HELO a\tb",
                     "EHLO " + "x" * 300):
            assert smtp.cmd(line).code in (501, 500), line
        smtp.expect("MAIL FROM:<a@example.test>", 503)


#    command                    fresh  greeted  MAIL     RCPT
SEQUENCE = [
    ("MAIL FROM:<a@example.test>", 503, 250, 503, 503),
    ("RCPT TO:<alice@example.test>", 503, 503, 250, 250),
    ("DATA",                       503, 503, (503, 554), 354),
    ("RSET",                       250, 250, 250, 250),
    ("NOOP",                       250, 250, 250, 250),
    ("NOOP with words",            250, 250, 250, 250),
    ("HELP",                       214, 214, 214, 214),
    ("HELP MAIL",                  214, 214, 214, 214),
    ("VRFY alice",                 (250, 252, 503), (250, 252), (250, 252),
                                   (250, 252)),
    ("EXPN list",                  (502, 503), 502, 502, 502),
    ("BDAT 0 LAST",                503, 503, 503, 250),
    ("BDAT",                       501, 501, 501, 501),
    ("EHLO again.example",         250, 250, 250, 250),
    ("HELO again.example",         250, 250, 250, 250),
    ("QUIT",                       221, 221, 221, 221),
    ("QUIT now",                   501, 501, 501, 501),
    ("RSET now",                   501, 501, 501, 501),
    ("XYZZY",                      500, 500, 500, 500),
    ("",                           500, 500, 500, 500),
    ("MAIL",                       (501, 503), 501, 503, 503),
    ("RCPT",                       (501, 503), 503, 501, 501),
    ("DATA now",                   (501, 503), (501, 503), (501, 503), 501),
]


@pytest.mark.parametrize("state", range(4))
def test_every_command_in_every_state(smtpd, state):
    """C3: after each, the state is as the table says and no other."""
    for command, *expected in SEQUENCE:
        codes = expected[state]
        codes = codes if isinstance(codes, tuple) else (codes,)
        for form in (command, command.swapcase()):
            with Smtp(smtpd, hello="EHLO x.example" if state else None) as smtp:
                if state >= 2:
                    smtp.expect("MAIL FROM:<b@example.test>", 250)
                if state >= 3:
                    smtp.expect("RCPT TO:<alice@example.test>", 250)
                reply = smtp.expect(form, *codes)
                assert_state(smtp, command, reply.code, state)


def assert_state(smtp, command, code, before):
    if code == 221 or command == "BDAT":
        if code != 221:
            assert smtp.reply().code == 421
        assert smtp.is_closed()
        return
    if code == 354:
        return
    after = before
    if code == 250:
        verb = command.split()[0]
        if verb in ("EHLO", "HELO"):
            after = 1
        elif verb == "RSET" and before > 1:
            after = 1
        elif verb == "BDAT":
            after = 1
        elif verb == "MAIL":
            after = 2
        elif verb == "RCPT":
            after = 3
    if after == 0:
        smtp.expect("MAIL FROM:<c@example.test>", 503)
    elif after == 1:
        smtp.expect("RCPT TO:<alice@example.test>", 503)
        smtp.expect("MAIL FROM:<c@example.test>", 250)
    else:
        smtp.expect("MAIL FROM:<c@example.test>", 503)
        smtp.expect("RCPT TO:<alice@example.test>", 250)


def test_C3_transactions_leave_nothing_behind(smtpd, users):
    """C3: after every way a transaction can end, nothing of it is left."""
    first, second = users(2)
    ends = [
        lambda s: s.expect("RSET", 250),
        lambda s: s.expect("EHLO again.example", 250),
        lambda s: s.expect("HELO again.example", 250),
        lambda s: (s.expect("DATA", 354), s.send(b"a\nb\r\n.\r\n"),
                   s.reply()),
        lambda s: (s.expect("DATA", 354), s.send(b"a\0b\r\n.\r\n"),
                   s.reply()),
        lambda s: (s.expect("DATA", 354), s.send(b"fine\r\n.\r\n"),
                   s.reply()),
    ]
    with Smtp(smtpd) as smtp:
        for end in ends:
            smtp.envelope(first)
            end(smtp)
            smtp.expect("DATA", 503, 554)
            smtp.expect("RCPT TO:<%s@example.test>" % first, 503)
            assert smtp.mail(LETTER, second, sender="other@example.test"
                             ).code == 250
            smtp.expect("RCPT TO:<%s@example.test>" % first, 503)
    assert len(delivered(second, len(ends))) == len(ends)
    assert delivered(first) == [b"\nfine\n"]


def test_enhanced_status_codes(smtpd):
    """RFC 2034: on every reply but greeting, HELO, EHLO and 354."""
    with Smtp(smtpd) as smtp:
        for line in ("MAIL FROM:<a@example.test>",
                     "RCPT TO:<alice@example.test>",
                     "RCPT TO:<unknown@example.test>",
                     "RCPT TO:<x@elsewhere.test>", "RCPT TO:<", "NOOP",
                     "XYZZY", "MAIL FROM:<a@example.test>", "VRFY alice",
                     "RSET", "DATA", "QUIT"):
            reply = smtp.cmd(line)
            assert reply.status is not None, (line, reply)
            assert reply.status[0] == str(reply.code)[0], (line, reply)


@pytest.mark.parametrize("line", [
    b"NOOP\nMAIL FROM:<evil@example.test>", b"NOOP\rRSET", b"NOOP\0",
    b"\0NOOP", b"MAIL FROM:<a@example.test>\nRCPT TO:<alice@example.test>"])
def test_C1_commands_end_with_cr_lf(smtpd, line):
    """C1: a bare LF or CR in a command is no line end."""
    with Smtp(smtpd) as smtp:
        reply = smtp.cmd(line)
        assert reply.code in (500, 501), reply
        smtp.expect("RCPT TO:<alice@example.test>", 503)
        smtp.expect("NOOP", 250)


def test_pipelining(smtpd, users):
    """RFC 2920: groups of commands; the replies in order, few segments."""
    one, two = users(2)
    with Smtp(smtpd) as smtp:
        before = smtp.data_segments()
        smtp.send("RSET\r\nMAIL FROM:<a@example.test>\r\n"
                  "RCPT TO:<%s@example.test>\r\n"
                  "RCPT TO:<unknown@example.test>\r\n"
                  "RCPT TO:<%s@example.test>\r\nDATA\r\n" % (one, two))
        codes = [smtp.reply().code for _ in range(6)]
        assert codes == [250, 250, 250, 550, 250, 354]
        assert smtp.data_segments() - before <= 2
        before = smtp.data_segments()
        smtp.send(stuff(LETTER) + b"MAIL FROM:<b@example.test>\r\n"
                  + b"RCPT TO:<%s@example.test>\r\nDATA\r\n" % one.encode())
        assert [smtp.reply().code for _ in range(4)] == [250, 250, 250, 354]
        assert smtp.data_segments() - before <= 3
        smtp.send(stuff(LETTER) + b"QUIT\r\n")
        assert [smtp.reply().code for _ in range(2)] == [250, 221]
        assert smtp.is_closed()
    assert delivered(one, 2) == [as_stored(LETTER)] * 2
    assert delivered(two) == [as_stored(LETTER)]


def test_C3_pipelined_after_refused_data(smtpd, user):
    """C3: content sent without waiting, where DATA is refused, is commands."""
    with Smtp(smtpd) as smtp:
        smtp.send("MAIL FROM:<a@example.test>\r\n"
                  "RCPT TO:<unknown@example.test>\r\nDATA\r\n")
        assert [smtp.reply().code for _ in range(3)][:2] == [250, 550]
        smtp.expect("RSET", 250)
        assert smtp.mail(LETTER, user).code == 250
    assert delivered(user) == [as_stored(LETTER)]


def test_C13_command_lines(smtpd):
    """C13: a line over the limit gets one reply, however long it is."""
    with Smtp(smtpd) as smtp:
        for length in (2100, 5000, 100000):
            smtp.expect("NOOP " + "x" * length, 500)
            smtp.expect("NOOP", 250)
        smtp.expect("MAIL FROM:<%s@example.test>" % ("x" * 3000), 500, 501)
        smtp.expect(b"\xff\xfe\xfd", 500)
        smtp.expect("NOOP " + "y" * 400, 250)


@pytest.mark.parametrize("line", ["GET / HTTP/1.1", "POST / HTTP/1.0",
                                  "CONNECT x:25 HTTP/1.1"])
def test_C20_other_protocols(smtpd, line):
    """C20: a browser that was sent here is shown the door."""
    with Smtp(smtpd, hello=None) as smtp:
        smtp.send(line + "\r\nHost: mx\r\n\r\nEHLO x\r\n")
        assert smtp.reply().code in (421, 500, 554)
        assert smtp.is_closed()


def test_C20_first_line_too_long_to_read(smtpd):
    """C20: a browser whose first line nobody reads whole, on either side of
    the greeting."""
    body = "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<alice@localhost>\r\n"
    for hello in (None, "EHLO client.example.test"):
        with Smtp(smtpd, hello=hello) as smtp:
            smtp.send("POST /%s HTTP/1.1\r\nHost: mx\r\nAccept: */*\r\n\r\n%s"
                      % ("A" * 5000, body))
            assert smtp.reply().code == 500
            assert smtp.reply().code == 421
            assert smtp.is_closed()


def test_vrfy(smtpd):
    with Smtp(smtpd) as smtp:
        assert smtp.cmd("VRFY alice").code in (250, 252)
        assert smtp.cmd("VRFY alice@example.test").code in (250, 252)
        assert smtp.cmd("VRFY <alice@example.test>").code in (250, 252)
        assert smtp.cmd("VRFY nobody-at-all").code in (252, 550)
        smtp.expect("VRFY", 501)
        smtp.expect("VRFY a b c", 501, 550, 553)
