"""smtpd: the content, octet for octet, its end, its trace and its size."""
import itertools
import re
import time

import pytest

from letters import LETTER, as_stored, delivered
from postern import Pop, Smtp, messages, split_trace, stuff, wait_messages


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


@pytest.mark.parametrize("first", [
    b" by evil.example with ESMTPS", b"\tfolded", b"hello", b"hello there",
    b": x", b"caf\xc3\xa9: x", b"X Y: z",
    b"From", b">>From x", b"x" * 300 + b": y"])
def test_C5_content_is_no_part_of_the_trace(smtpd, user, first):
    """What begins with no field does not go on with ours: it is the body."""
    content = first + b"\r\nSubject: x\r\n\r\ny\r\n"
    with Smtp(smtpd) as smtp:
        assert smtp.mail(content, user).code == 250
    assert delivered(user) == [b"\n" + as_stored(content)]


@pytest.mark.parametrize("first", [
    b"Subject: x", b"X-A : b", b"From: a@example.test", b"x" * 200 + b": y",
    b"From a@example.test Mon Jan  1 00:00:00 2024",
    b">From a@example.test Mon Jan  1 00:00:00 2024", b"", b"A:\r\n b"])
def test_a_header_is_left_alone(smtpd, user, first):
    content = first + b"\r\nno field\r\n\r\ny\r\n"
    with Smtp(smtpd) as smtp:
        assert smtp.mail(content, user).code == 250
    assert delivered(user) == [as_stored(content)]


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

    But a header that does not end gets its end: programs wait for it; and a
    letter without a header the empty line behind ours.
    """
    content = CONTENTS[what]
    with Smtp(smtpd) as smtp:
        assert smtp.mail(content, user).code == 250
    message, = wait_messages(user, 1)
    if what in ("one line", "dots", "dot first"):
        content = b"\r\n" + content
    elif b"\r\n\r\n" not in b"\r\n" + content:
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


# Sizes and loops

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
    assert delivered(user) == [b"\n" + as_stored(fits)]


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
