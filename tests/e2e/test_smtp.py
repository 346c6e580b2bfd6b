"""smtpd's dialogue: RFC 5321 and its extensions, and where letters go."""
import itertools
import os
import re
import threading
import time

import pytest

import postern
from postern import (Dialogue, Pop, Smtp, eventually, messages, password,
                     split_trace, stuff, wait_messages)

LETTER = (b"From: Sender <sender@example.test>\r\nTo: you@example.test\r\n"
          b"Subject: a letter\r\n\r\nHello.\r\n")


def as_stored(content):
    return content.replace(b"\r\n", b"\n")


def delivered(user, count=1):
    """The contents delivered to a user, without what the server added."""
    return [split_trace(message, b"\n")[1]
            for message in wait_messages(user, count)]


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
    assert delivered(first) == [b"fine\n\n"]


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


# Paths and parameters

LONG_DOMAIN = ".".join(["d" * 60] * 3) + ".test"
MAIL_GOOD = [
    "<>", "<a@b>", "<sender@example.test>", "<a.b.c@example.test>",
    "<\"quoted local\"@example.test>", "<\"a\\\"b\"@example.test>",
    "<\"\"@example.test>", "<a@[192.0.2.1]>", "<a@[IPv6:2001:db8::1]>",
    "<@relay.test:a@example.test>", "<@r1.test,@r2.test:a@example.test>",
    "<!#$%&'*+-/=?^_`{|}~@example.test>", "<" + "x" * 64 + "@example.test>",
    "<a@" + LONG_DOMAIN + ">", " <a@example.test>", "<A@EXAMPLE.TEST>",
    "<a@example.test> SIZE=100", "<a@example.test> BODY=8BITMIME",
    "<a@example.test> BODY=7BIT size=0", "<a@example.test> body=8bitmime",
    "<x@xn--bcher-kva.test>", "<1@2>",
]
MAIL_BAD = [
    "", "a@example.test", "<a@example.test", "a@example.test>", "<a@>", "<@b>",
    "<a@b@c>", "<.a@example.test>", "<a.@example.test>", "<a..b@example.test>",
    "<a b@example.test>", "<a@example..test>", "<a@.test>", "<a@-b.test>",
    "<a@b-.test>", "<a@ex_ample!.test>", "<\"a@example.test>", "<a\"@b>",
    "<a@[1.2.3]>", "<a@[1.2.3.256]>", "<a@[IPv6:zz]>", "<a@[192.0.2.1>",
    "<a@[192.0.2.1]x>", "<" + "x" * 65 + "@example.test>",
    "<a@" + "d" * 64 + ".test>", "<a@" + ".".join(["d" * 60] * 5) + ">",
    "<\xe4@example.test>", "<a@\xe4.test>", "<a\x01b@example.test>",
    "<<a@example.test>>", "<a@example.test>>", "<a@example.test>x",
    "<a@example.test> SIZE=", "<a@example.test> SIZE=x",
    "<a@example.test> SIZE=-1", "<a@example.test> SIZE",
    "<a@example.test> SIZE=1 SIZE=2", "<a@example.test> BODY=BINARY",
    "<a@example.test> BODY", "<a@example.test> BODY=8BITMIME BODY=7BIT",
    "<a@example.test> UNKNOWN", "<a@example.test> UNKNOWN=1",
    "<a@example.test> RET=ALL", "<a@example.test> AUTH=<>",
    "<a@example.test> =1", "<a@example.test> SIZE==1", "<a@example.test> \xff",
    "<postmaster>", "<a>", "<@a,@b>", "<@a:>", "<a@example.test:25>",
    "<a@example.test> SIZE=99999999999999999999999999", "< a@example.test>",
    "<a@example.test >", "<a@example.test\t>", "<\"a\"b@example.test>",
]


def test_sender_grammar(smtpd):
    for path in MAIL_GOOD:
        with Smtp(smtpd) as smtp:
            assert smtp.cmd("MAIL FROM:" + path).code == 250, path
            smtp.expect("RCPT TO:<alice@example.test>", 250)


def test_C13_sender_grammar_refused(smtpd):
    """C13: what is no path or parameter is refused, and changes nothing."""
    for path in MAIL_BAD:
        with Smtp(smtpd) as smtp:
            reply = smtp.cmd("MAIL FROM:" + path)
            assert reply.code in (501, 553, 555, 500, 552, 504), (path, reply)
            smtp.expect("RCPT TO:<alice@example.test>", 503)
            smtp.expect("MAIL FROM:<a@example.test>", 250)


def test_parameters_need_ehlo(smtpd):
    with Smtp(smtpd, "HELO x.example") as smtp:
        smtp.expect("MAIL FROM:<a@example.test> SIZE=1", 501, 503, 555)
        smtp.expect("MAIL FROM:<a@example.test>", 250)


RCPT_GOOD = [
    "<alice@example.test>", "<ALICE@Example.TEST>", "<alice@localhost>",
    "<alice@mx.example.test>", "<\"alice\"@example.test>",
    "<\"al\\ice\"@example.test>", "<@relay.test,@r2.test:alice@example.test>",
    " <alice@example.test>",
]
RCPT_UNKNOWN = [
    "<unknown@example.test>", "<alice.@example.test>", "<bob smith>",
    "<nobody-here@localhost>", "<\"alice bob\"@example.test>",
    "<\"\"@example.test>", "<alic@example.test>", "<alicee@example.test>",
    "<../alice@example.test>", "<\"/etc/passwd\"@example.test>",
    "<\"|/bin/true\"@example.test>", "<:include:/etc/passwd@example.test>",
    "<_postern@example.test>", "<daemon@example.test>",
    "<lowly@example.test>", "<none@example.test>", "<toor@example.test>",
]
RCPT_RELAY = [
    "<a@elsewhere.test>", "<alice@sub.example.test>", "<alice@[192.0.2.1]>",
    "<alice%elsewhere.test@elsewhere.test>", "<a@example.tes>",
    "<a@xexample.test>", "<@example.test:a@elsewhere.test>",
]
RCPT_BAD = [
    "", "<>", "<alice", "alice@example.test", "<alice@>", "<@example.test>",
    "<alice@example.test> NOTIFY=SOMETIMES", "<alice@example.test> X",
    "<\xe4@example.test>", "<alice@example.test>x", "<a@b@example.test>",
    "<alice@example.test> <bob@example.test>",
]


def test_recipients_taken(smtpd):
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<a@example.test>", 250)
        for path in RCPT_GOOD:
            assert smtp.cmd("RCPT TO:" + path).code == 250, path


@pytest.mark.parametrize("paths,codes", [
    (RCPT_UNKNOWN, (550, 501, 553)), (RCPT_RELAY, (550, 551, 554)),
    (RCPT_BAD, (501, 553, 555, 550)),
], ids=("unknown", "relay", "syntax"))
def test_C26_recipients_refused(smtpd, paths, codes):
    """C26: refused at RCPT, so that no bounce is ever needed."""
    for path in paths:
        with Smtp(smtpd) as smtp:
            smtp.expect("MAIL FROM:<a@example.test>", 250)
            reply = smtp.cmd("RCPT TO:" + path)
            assert reply.code in codes, (path, reply)
            smtp.expect("DATA", 503, 554)


def test_status_of_refusals(smtpd):
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<a@example.test>", 250)
        reply = smtp.expect("RCPT TO:<unknown@example.test>", 550)
        assert reply.status == "5.1.1"
        reply = smtp.cmd("RCPT TO:<a@elsewhere.test>")
        assert reply.status in ("5.7.1", "5.7.0"), reply


def test_routes_are_ignored_percent_is_not_a_route(smtpd):
    """alice%elsewhere.test@example.test is a local name, and unknown."""
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<a@example.test>", 250)
        smtp.expect("RCPT TO:<alice%elsewhere.test@example.test>", 550)
        smtp.expect("RCPT TO:<elsewhere.test!alice@example.test>", 550)


@pytest.fixture
def aliases(host):
    def write(text):
        postern.write("/etc/aliases", text)
        time.sleep(0.05)
    yield write
    postern.write("/etc/aliases", "")


@pytest.mark.parametrize("address", (
    "postmaster", "Postmaster", "POSTMASTER", "postmaster@example.test",
    "postmaster@localhost"))
def test_postmaster(smtpd, user, aliases, address):
    """RFC 5321, 4.5.1: postmaster, also without a domain."""
    aliases("postmaster: root\nroot: %s\n" % user)
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<a@example.test>", 250)
        smtp.expect("RCPT TO:<%s>" % address, 250)
        smtp.expect("DATA", 354)
        smtp.send(stuff(LETTER))
        assert smtp.reply().code == 250
    assert delivered(user) == [as_stored(LETTER)]


def test_aliases(smtpd, users, aliases):
    """One name for several; a loop; each gets one copy."""
    one, two, three = users(3)
    aliases("# people\nteam: %s, %s\nboth: team, %s, %s\nloop: loop2\n"
            "loop2: loop\n" % (one, two, two, three))
    with Smtp(smtpd) as smtp:
        assert smtp.mail(LETTER, "both", one).code == 250
        smtp.quit()
    for user in (one, two, three):
        assert delivered(user) == [as_stored(LETTER)]


def test_root_is_never_delivered_as_uid_0(smtpd, aliases):
    """Mail for root without an alias: not lost, not silent, not as uid 0."""
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<a@example.test>", 250)
        reply = smtp.cmd("RCPT TO:<root@example.test>")
    assert reply.code in (250, 450, 451, 550), reply
    assert not os.path.exists("/root/Maildir")


# The content

def test_trace_header(smtpd, user):
    """RFC 5321, 4.4: Return-Path, Received; and Delivered-To for loops."""
    with Smtp(smtpd, "EHLO claimed.example") as smtp:
        reply = smtp.mail(LETTER, user, sender="who@remote.test")
        assert reply.code == 250
    message, = wait_messages(user, 1)
    trace, content = split_trace(message, b"\n")
    assert content == as_stored(LETTER)
    text = trace.decode("ascii")
    assert text.count("Return-Path: <who@remote.test>\n") == 1
    assert re.search(r"^Delivered-To: %s@example\.test$" % user, text, re.M)
    received = re.search(r"^Received: (.*(?:\n[ \t].*)*)", text, re.M)
    line = " ".join(received.group(1).split())
    assert re.match(r"from claimed\.example \(.*\[?127\.0\.0\.1\]?\)", line)
    assert "by mx.example.test" in line
    match = re.search(r" with (\S+) id (\w+)", line)
    assert match and match.group(1) == "ESMTP", line
    assert re.search(r"; \w{3}, +\d+ \w{3} \d{4} \d\d:\d\d:\d\d [-+]\d{4}",
                     line), line
    assert text.index("Return-Path") < text.index("Received")
    assert smtpd.wait_log("id=%s|queue=%s|%s" % ((match.group(2),) * 3))


def test_null_sender_and_helo(smtpd, user):
    with Smtp(smtpd, "HELO old.example") as smtp:
        assert smtp.mail(LETTER, user, sender="").code == 250
    message, = wait_messages(user, 1)
    assert message.startswith(b"Return-Path: <>\n")
    assert b"with SMTP id" in b" ".join(message.split())


def test_C5_trace_cannot_be_forged(smtpd, user):
    """C5: no octet of name or path ends the trace line it stands in."""
    with Smtp(smtpd, hello=None) as smtp:
        smtp.cmd(b"EHLO a)\rX-Forged: 1")
        smtp.cmd(b"EHLO evil(comment)by;[1.2.3.4]")
        smtp.say(b"MAIL FROM:<\"a\\\nX-Forged: 1\"@example.test>")
        smtp.reply()
        assert smtp.mail(LETTER, user,
                         sender="\"x> y\\\\\\\" (z)\"@example.test").code == 250
    message, = wait_messages(user, 1)
    assert b"X-Forged" not in message
    trace, content = split_trace(message, b"\n")
    assert content == as_stored(LETTER)
    assert b"Return-Path: <\"x> y\\\\\\\" (z)\"@example.test>\n" in trace


CONTENTS = {
    "empty": b"",
    "one line": b"x\r\n",
    "empty lines": b"\r\n\r\n\r\n",
    "dots": b".\r\n..\r\n...\r\n.x\r\n",
    "dot first": b".\r\n",
    "header only": b"Subject: x\r\n",
    "8-bit": b"Subject: x\r\n\r\n\xe4\xf6\xfc\xff\x80\x01\x7f\r\n",
    "998": b"Subject: x\r\n\r\n" + b"y" * 998 + b"\r\n",
    "long line": b"Subject: x\r\n\r\n" + b"y" * 100000 + b"\r\n",
    "From line": b"Subject: x\r\n\r\nFrom me to you\r\n>From x\r\n",
    "looks like a trace": b"Return-Path: <a@b>\r\nDelivered-To: x@y\r\n"
                          b"\r\nx\r\n",
    "many lines": b"\r\n" * 50000,
}


@pytest.mark.parametrize("what", CONTENTS)
def test_content_octet_for_octet(smtpd, pop3d, user, what):
    """In by SMTP, out by POP3: the same octets below the trace.

    But a header that does not end gets its end: programs wait for it.
    """
    content = CONTENTS[what]
    with Smtp(smtpd) as smtp:
        assert smtp.mail(content, user).code == 250
    message, = wait_messages(user, 1)
    if b"\r\n\r\n" not in b"\r\n" + content:
        content += b"\r\n"
    assert message.endswith(as_stored(content))
    with Pop(pop3d, user) as pop:
        got = pop.retr(1)
        assert len(got) == pop.stat()[1]
        assert got.endswith(content)
        assert got == as_sent(message)


def as_sent(stored):
    return stored.replace(b"\n", b"\r\n")


def test_no_final_line_end_is_possible(smtpd, user):
    """The data ends with CR LF . CR LF: a dot alone as the first line."""
    with Smtp(smtpd) as smtp:
        smtp.envelope(user)
        smtp.expect("DATA", 354)
        smtp.send(b".\r\n")
        assert smtp.reply().code == 250
    assert delivered(user) == [b"\n"]	# the end of the header


ENDS = (b"\r", b"\n", b"\r\n", b"\0", b"")
CORPUS = [before + dots + after
          for before, dots, after in itertools.product(
              ENDS, (b"", b".", b".."), ENDS)]
EVIL = (b"MAIL FROM:<evil@example.test>\r\nRCPT TO:<%s@example.test>\r\n"
        b"DATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\nNOOP\r\n")


def expected_content(stream):
    """What the stream after 354 means, by RFC 5321 and by it alone.

    The content, or None if it must be refused.
    """
    end = 0 if stream.startswith(b".\r\n") else stream.index(b"\r\n.\r\n") + 2
    lines = stream[:end].split(b"\r\n")
    if any(octet in line for line in lines for octet in (b"\r", b"\n", b"\0")):
        return None
    return b"\r\n".join(line[1:] if line.startswith(b".") else line
                        for line in lines)


@pytest.mark.parametrize("split", (0, 1, 7), ids=("whole", "octets", "sevens"))
def test_C1_end_of_data(smtpd, users, split):
    """C1: all line ends around all dots; only CR LF . CR LF ends the data."""
    good, victim = users(2)
    wanted = []
    cases = CORPUS if split == 0 else CORPUS[::3]

    def one(sequence):
        stream = b"Subject: first\r\n\r\nline" + sequence + EVIL % (
            victim.encode()) + b"last\r\n.\r\n"
        content = expected_content(stream)
        with Smtp(smtpd) as smtp:
            smtp.envelope(good)
            smtp.expect("DATA", 354)
            if split == 0:
                smtp.send(stream)
            else:
                for start in range(0, len(stream), split):
                    smtp.send(stream[start:start + split])
                    if start % 5 == 0:
                        time.sleep(0.0005)
            reply = smtp.reply()
            if content is None:
                assert 500 <= reply.code < 600, (sequence, reply)
            else:
                assert reply.code == 250, (sequence, reply)
                wanted.append(content.replace(b"\r\n", b"\n"))

    for sequence in cases:
        # What comes after a true end of data is a true command.
        if sequence != b"\r\n.\r\n":
            one(sequence)
    assert sorted(delivered(good, len(wanted))) == sorted(wanted)
    assert messages(victim) == []


def test_C1_replies_stay_in_step(smtpd, user):
    """C1: after a refused content the next command gets its own reply."""
    with Smtp(smtpd) as smtp:
        for bad in (b"a\rb", b"a\nb", b"a\0b", b"a\n.\nb", b"a\r.\rb", b"\r",
                    b"a\n.\r\nb", b"a\r\n.\nb", b"a\r\n.\rb"):
            smtp.envelope(user)
            smtp.expect("DATA", 354)
            smtp.send(bad + b"\r\n.\r\n")
            reply = smtp.reply()
            assert reply.code in (554, 550), (bad, reply)
            assert re.search("bare (CR|LF)|NUL", reply.text, re.I), reply
            smtp.expect("NOOP", 250)
        assert smtp.mail(LETTER, user).code == 250
    assert delivered(user) == [as_stored(LETTER)]


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


@pytest.mark.parametrize("at", (3, 30, 1000))
def test_dropped_in_the_middle_of_data(smtpd, user, at):
    """No end of data: no message."""
    smtp = Smtp(smtpd)
    smtp.envelope(user)
    smtp.expect("DATA", 354)
    smtp.send((LETTER + b"x" * 2000)[:at])
    smtp.drop()
    smtpd.wait_no_session()
    with Smtp(smtpd) as smtp:
        assert smtp.mail(LETTER, user).code == 250
    assert delivered(user) == [as_stored(LETTER)]


# Sizes, loops, many recipients, pipelining

def test_size_limit(daemons, user):
    smtpd = daemons("smtpd", "message-size-limit 100K\nretry-schedule 1s")
    limit = 100 * 1024
    with Smtp(smtpd) as smtp:
        reply = smtp.expect("EHLO x.example", 250)
        assert "SIZE %d" % limit in reply.lines
        for size in (limit + 1, 10 ** 12, 2 ** 64 - 1):
            smtp.expect("MAIL FROM:<a@example.test> SIZE=%d" % size, 552)
        smtp.expect("MAIL FROM:<a@example.test> SIZE=%d" % limit, 250)
        smtp.expect("RSET", 250)
        fits = (b"x" * 78 + b"\r\n") * (limit // 80)
        assert len(fits) == limit
        assert smtp.mail(fits, user).code == 250
        assert smtp.mail(fits + b"more\r\n", user).code == 552
        # A false declaration is only a hint.
        smtp.expect("MAIL FROM:<a@example.test> SIZE=10", 250)
        smtp.expect("RCPT TO:<%s@example.test>" % user, 250)
        smtp.expect("DATA", 354)
        smtp.send(stuff(fits * 20))
        assert smtp.reply().code == 552
        smtp.expect("NOOP", 250)
    assert delivered(user) == [as_stored(fits) + b"\n"]


def test_C26_received_loop(smtpd, user):
    """C26: a letter that goes round is refused; a much-travelled one is not."""
    with Smtp(smtpd) as smtp:
        line = b"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n"
        reply = smtp.mail(line * 20 + LETTER, user)
        assert reply.code == 250, reply
        reply = smtp.mail(line * 150 + LETTER, user)
        assert reply.code == 554 and reply.status == "5.4.6", reply
        # In the body they are text.
        assert smtp.mail(LETTER + line * 150, user).code == 250
    assert len(delivered(user, 2)) == 2


def test_many_recipients(smtpd, users):
    """RFC 5321, 4.5.3.1.8: a hundred at least; a name twice is one copy."""
    names = users(30)
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<a@example.test>", 250)
        for n in range(120):
            smtp.expect("RCPT TO:<%s@%s>" % (
                names[n % 30], ("example.test", "localhost",
                                "mx.example.test", "EXAMPLE.test")[n // 30]),
                250)
        smtp.expect("DATA", 354)
        smtp.send(stuff(LETTER))
        assert smtp.reply().code == 250
    for name in names:
        assert delivered(name) == [as_stored(LETTER)]


def test_some_recipients_refused(smtpd, users):
    one, two = users(2)
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<a@example.test>", 250)
        smtp.expect("RCPT TO:<%s@example.test>" % one, 250)
        smtp.expect("RCPT TO:<unknown@example.test>", 550)
        smtp.expect("RCPT TO:<%s@example.test>" % two, 250)
        smtp.expect("DATA", 354)
        smtp.send(stuff(LETTER))
        assert smtp.reply().code == 250
    assert delivered(one) == delivered(two) == [as_stored(LETTER)]


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


def test_C16_too_many_errors(smtpd):
    """C16: nonsense without end gets a 421."""
    for line in ("XYZZY", "MAIL FROM:<", "NOOP", "VRFY alice"):
        with Smtp(smtpd) as smtp:
            for _ in range(2000):
                if smtp.cmd(line).code == 421:
                    break
            else:
                raise AssertionError("never ended: " + line)
            assert smtp.is_closed()


def test_vrfy(smtpd):
    with Smtp(smtpd) as smtp:
        assert smtp.cmd("VRFY alice").code in (250, 252)
        assert smtp.cmd("VRFY alice@example.test").code in (250, 252)
        assert smtp.cmd("VRFY <alice@example.test>").code in (250, 252)
        assert smtp.cmd("VRFY nobody-at-all").code in (252, 550)
        smtp.expect("VRFY", 501)
        smtp.expect("VRFY a b c", 501, 550, 553)


# Limits and time

def test_limit_per_source(daemons):
    daemon = daemons("smtpd", "max-sessions-per-source 2\n"
                     "limits-exempt 192.0.2.0/24")
    daemon.wait_no_session()
    time.sleep(0.2)
    two = [Smtp(daemon, source="127.0.0.9") for _ in range(2)]
    with Smtp(daemon, source="127.0.0.9") as third:
        assert third.greeting.code == 421, third.greeting
        assert third.is_closed()
    with Smtp(daemon, source="127.0.0.10") as other:
        assert other.greeting.code == 220
    for smtp in two:
        smtp.expect("NOOP", 250)
        smtp.close()


def test_C16_idle_timeout(daemons):
    """C16: silence, and a DATA that stalls, end with 421."""
    daemon = daemons("smtpd", "idle-timeout 4s")
    postern.clear("alice")
    silent, stalled = Smtp(daemon), Smtp(daemon)
    stalled.envelope("alice")
    stalled.expect("DATA", 354)
    stalled.send(b"half a li")
    for smtp in (silent, stalled):
        assert smtp.reply().code == 421
        assert smtp.is_closed()
        smtp.close()
    daemon.wait_no_session()
    assert messages("alice") == []


def test_sigterm_says_421(daemons, user):
    daemon = daemons("smtpd")
    smtp = Smtp(daemon)
    smtp.envelope(user)
    ended = []
    thread = threading.Thread(target=lambda: ended.append(daemon.stop()))
    thread.start()
    assert smtp.reply().code == 421
    assert smtp.is_closed()
    smtp.close()
    thread.join()
    assert ended == [0]
    daemon.wait_nothing_left()


# Delivery

def test_home_missing_defers(daemons):
    """A home that is not there (not mounted) is waited for; nothing is lost."""
    daemon = daemons("smtpd", "retry-schedule 1s 1s 1s 1s 2s")
    with Smtp(daemon) as smtp:
        assert smtp.mail(LETTER, "homeless").code == 250
    daemon.wait_log("event=(defer|deferred)|verdict=deferred")
    home = postern.home("homeless")
    assert not os.path.exists(home)
    time.sleep(1.2)
    assert not os.path.exists(home), "a missing home must not be made"
    try:
        postern.clear("homeless")
        assert delivered("homeless") == [as_stored(LETTER)]
    finally:
        os.system("rm -rf " + home)


def test_deferred_survives_a_restart(daemons):
    daemon = daemons("smtpd", "retry-schedule 1s")
    home = postern.home("homeless")
    with Smtp(daemon) as smtp:
        assert smtp.mail(LETTER, "homeless").code == 250
    daemon.wait_log("defer")
    assert daemon.stop() == 0
    daemon.wait_nothing_left()
    daemon.start()
    try:
        postern.clear("homeless")
        assert delivered("homeless") == [as_stored(LETTER)]
    finally:
        os.system("rm -rf " + home)


def test_spool_is_empty_afterwards(daemons, users):
    daemon = daemons("smtpd", "retry-schedule 1s")
    names = users(5)
    with Smtp(daemon) as smtp:
        for _ in range(4):
            assert smtp.mail(LETTER, *names).code == 250
        smtp.envelope(names[0])
        smtp.expect("RSET", 250)
        smtp.envelope(names[0])
        smtp.expect("DATA", 354)
        smtp.send(b"a\nb\r\n.\r\n")
        smtp.reply()
        smtp.quit()
    for name in names:
        assert len(delivered(name, 4)) == 4
    daemon.wait_no_session()
    eventually(lambda: spool_files(daemon) == [], "an empty spool")


def spool_files(daemon):
    found = []
    for where, _, names in os.walk(daemon.spool):
        found += [os.path.join(where, name) for name in names
                  if os.path.getsize(os.path.join(where, name)) > 0]
    return found


def test_delivered_file_is_the_users(smtpd, user):
    """C18: owner, group and mode of what is delivered and made."""
    uid, gid, home, _ = postern.accounts.people[user]
    with Smtp(smtpd) as smtp:
        assert smtp.mail(LETTER, user).code == 250
    wait_messages(user, 1)
    for where, directories, names in os.walk(home):
        for name in directories + names:
            status = os.lstat(os.path.join(where, name))
            assert (status.st_uid, status.st_gid) == (uid, gid), name
            assert status.st_mode & 0o077 == 0, name


@pytest.fixture
def broken_nss(host):
    os.rename("/etc/passwd", "/etc/passwd.aside")
    os.symlink("passwd", "/etc/passwd")
    yield
    os.rename("/etc/passwd.aside", "/etc/passwd")


def test_C10_nss_out_of_order(smtpd, user, broken_nss):
    """C10: 451, never 550, while accounts can't be looked up."""
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<a@example.test>", 250, 451)
        reply = smtp.cmd("RCPT TO:<%s@example.test>" % user)
        assert 400 <= reply.code < 500, reply
        reply = smtp.cmd("RCPT TO:<unknown@example.test>")
        assert 400 <= reply.code < 500, reply


def test_C6_maildir_is_a_link(smtpd, users):
    """C6: a delivery through a link into another's home reaches nobody."""
    one, other = users(2)
    os.mkdir(postern.home(other) + "/Maildir", 0o777)
    os.chmod(postern.home(other) + "/Maildir", 0o777)
    os.symlink(postern.maildir(other), postern.maildir(one))
    with Smtp(smtpd) as smtp:
        assert smtp.mail(LETTER, one).code == 250
    smtpd.wait_log("defer")
    assert messages(other) == []
    os.unlink(postern.maildir(one))
    assert delivered(one) == [as_stored(LETTER)]


def test_delivered_mail_can_be_collected(smtpd, pop3d, user):
    with Smtp(smtpd) as smtp:
        for n in range(3):
            assert smtp.mail(LETTER + b"%d\r\n" % n, user).code == 250
    wait_messages(user, 3)
    with Pop(pop3d, user) as pop:
        assert pop.stat()[0] == 3
        assert len(set(pop.uidl())) == 3
        bodies = sorted(split_trace(pop.retr(n))[1] for n in (1, 2, 3))
        assert bodies == sorted(LETTER + b"%d\r\n" % n for n in range(3))
        for number, size in pop.list():
            assert len(pop.retr(number)) == size
            pop.ok("DELE %d" % number)
        pop.quit()
    assert messages(user) == []
    for name in os.listdir(postern.maildir(user) + "/tmp"):
        raise AssertionError("left in tmp/: " + name)


def test_password_is_not_asked_for_delivery(smtpd):
    """An account whose password is locked still gets its mail."""
    postern.clear("locked")
    with Smtp(smtpd) as smtp:
        assert smtp.mail(LETTER, "locked").code == 250
    assert delivered("locked") == [as_stored(LETTER)]
    assert password("locked")


def test_slow_octets(smtpd, user):
    """Every octet in a segment of its own."""
    with Dialogue(smtpd) as talk:
        stream = (b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<%s@example.test>\r\n"
                  b"DATA\r\n" % user.encode() + stuff(LETTER[:60])
                  + b"QUIT\r\n")
        for octet in stream:
            talk.send(bytes([octet]))
            time.sleep(0.0005)
        while talk.fill():
            pass
        assert b"\r\n221 " in talk.buffer
    assert len(delivered(user)) == 1
