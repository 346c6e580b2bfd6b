"""BDAT (RFC 3030): messages in pieces, and what other programs make of them."""
import email
import itertools
import random
import re

import pytest

from postern import Smtp, messages, split_trace, wait_messages

LETTER = (b"From: a@example.test\r\nSubject: pieces\r\n\r\n.\r\n..\r\n"
          b"\r\n.\r\nQUIT\r\nno end")


def bdat(piece, last=False):
    return b"BDAT %d%s\r\n" % (len(piece), b" LAST" * last) + piece


def contents(user, count):
    return [split_trace(message, b"\n")[1]
            for message in wait_messages(user, count)]


def cut(content, size):
    return [content[at:at + size] for at in range(0, len(content), size)]


def test_ehlo_offers_it(smtpd):
    with Smtp(smtpd, hello=None) as smtp:
        assert "CHUNKING" in smtp.expect("EHLO x.example", 250).lines
        smtp.quit()


@pytest.mark.parametrize("size", [1, 7, 100])
def test_pieces_of_every_size(smtpd, users, size):
    user, = users(1)
    with Smtp(smtpd) as smtp:
        smtp.envelope(user)
        pieces = cut(LETTER, size)
        for piece in pieces[:-1]:
            smtp.send(bdat(piece))
            assert smtp.reply().code == 250
        smtp.send(bdat(pieces[-1], True))
        assert smtp.reply().code == 250
        smtp.quit()
    assert contents(user, 1) == [LETTER.replace(b"\r\n", b"\n") + b"\n"]


def test_pipelined_and_large(smtpd, users):
    """All in one go, in segments that fit nothing; a megabyte of it."""
    user, = users(1)
    dice = random.Random(5)
    body = b"".join(b"%070d\r\n" % dice.randrange(10 ** 70)
                    for _ in range(16000))
    letter = b"Subject: large\r\n\r\n" + body
    pieces = cut(letter, 65536)
    stream = b"MAIL FROM:<a@example.test>\r\nRCPT TO:<%s@example.test>\r\n" \
        % user.encode() + b"".join(map(bdat, pieces)) + bdat(b"", True)
    with Smtp(smtpd) as smtp:
        for segment in cut(stream, 9973):
            smtp.send(segment)
        for _ in range(3 + len(pieces)):
            assert smtp.reply().code == 250
        smtp.quit()
    assert contents(user, 1) == [letter.replace(b"\r\n", b"\n")]


# C1

LINE_ENDS = (b"\r", b"\n", b"\r\n", b"\0", b"")


def is_good(content):
    rest = content.replace(b"\r\n", b"")
    return not set(rest) & set(b"\r\n\0")


def test_C1_corpus(smtpd, users):
    """Every sequence that was ever taken for an end; none is one here."""
    user, = users(1)
    expected = []
    smtp = None
    for number, (one, dot, two) in enumerate(itertools.product(
            LINE_ENDS, (b".", b"..", b""), LINE_ENDS)):
        if number % 8 == 0:		# before the errors are too many
            if smtp:
                smtp.quit()
            smtp = Smtp(smtpd)
        content = (b"X: %d\r\n\r\na" % number + one + dot + two
                   + b"MAIL FROM:<evil@example.test>\r\n")
        at = 14 + number % 5
        smtp.envelope(user)
        if not is_good(content):
            smtp.send(bdat(content[:at]) + bdat(content[at:], True))
            codes = [smtp.reply().code, smtp.reply().code]
            assert codes in ([250, 554], [554, 503]), (content, codes)
        else:
            smtp.send(bdat(content[:at]) + bdat(content[at:], True))
            assert [smtp.reply().code, smtp.reply().code] == [250, 250]
            expected.append(content.replace(b"\r\n", b"\n"))
        # The session is where it should be.
        smtp.expect("NOOP", 250)
        smtp.expect("RCPT TO:<alice@example.test>", 503)
    smtp.quit()
    assert sorted(contents(user, len(expected))) == sorted(expected)


def test_C3_what_follows_an_error_is_not_obeyed(smtpd, users):
    user, other = users(2)
    evil = (b"RSET\r\nMAIL FROM:<evil@example.test>\r\n"
            b"RCPT TO:<%s@example.test>\r\nDATA\r\nevil\r\n.\r\n"
            % other.encode())
    with Smtp(smtpd) as smtp:
        smtp.send(bdat(evil))				# no transaction
        assert smtp.reply().code == 503
        smtp.expect("MAIL FROM:<a@example.test>", 250)
        smtp.send(bdat(evil, True))			# no recipient
        assert smtp.reply().code == 503
        smtp.expect("RCPT TO:<%s@example.test>" % user, 250)
        smtp.send(bdat(b"a\nb" + evil) + bdat(evil, True))
        assert smtp.reply().code == 554
        assert smtp.reply().code == 503
        smtp.envelope(user)
        smtp.send(bdat(b"fine\r\n", True))
        assert smtp.reply().code == 250
        smtp.quit()
    assert contents(user, 1) == [b"\nfine\n"]
    assert messages(other) == []


def test_never_mixed_with_DATA(smtpd, users):
    user, = users(1)
    with Smtp(smtpd) as smtp:
        smtp.envelope(user)
        smtp.send(bdat(b"Subject: a\r\n\r\n"))
        assert smtp.reply().code == 250
        for line in ("DATA", "MAIL FROM:<b@example.test>",
                     "RCPT TO:<alice@example.test>", "VRFY alice"):
            smtp.expect(line, 503)
        smtp.expect("NOOP", 250)
        smtp.send(bdat(b"b", True))
        assert smtp.reply().code == 250
        # Begun and forgotten.
        smtp.envelope(user)
        smtp.send(bdat(b"Subject: c\r\n\r\n"))
        assert smtp.reply().code == 250
        smtp.expect("RSET", 250)
        smtp.expect("DATA", 503)
        smtp.quit()
    assert contents(user, 1) == [b"Subject: a\n\nb\n"]


def test_lost_framing_ends_the_session(smtpd):
    for line in ("BDAT", "BDAT x", "BDAT 5 LATS", "BDAT -1", "BDAT 1 2"):
        with Smtp(smtpd) as smtp:
            smtp.envelope("alice")
            smtp.expect(line, 501)
            assert smtp.reply().code == 421
            assert smtp.is_closed()


def test_too_large(smtpd):
    """The limit counts what came; nobody waits for what can't come."""
    with Smtp(smtpd) as smtp:
        smtp.envelope("alice")
        smtp.expect("BDAT 18446744073709551615 LAST", 552)
        assert smtp.is_closed()


# BINARYMIME

def everything(dice):
    """Octets of every kind, and whatever looks like an end and is none."""
    pieces = [bytes(range(256)), b"\r\n--outer", b"\n.\r\n",
              b"\r\n--inner-\r\n",
              b"\0\r\r\n\n", b"--outer--\r\n", b"\r\n", b"\r"]
    while True:
        octets = b"".join(dice.choice(pieces)
                          for _ in range(dice.randrange(40)))
        if not re.search(rb"(^|\r\n)--(outer|inner)(--)?[ \t]*\r\n",
                         octets + b"\r\n"):
            return octets


def test_binary_parts_come_out_as_they_were(smtpd, users):
    """Stored as base64; a program that reads mail sees the same octets."""
    user, = users(1)
    dice = random.Random(8)
    sent = []
    with Smtp(smtpd) as smtp:
        for number in range(12):
            one, two = everything(dice), everything(dice)
            sent.append((one, two))
            letter = (b"Subject: %d\r\nMIME-Version: 1.0\r\n"
                      b"Content-Transfer-Encoding: binary\r\n"
                      b"Content-Type: multipart/mixed; boundary=outer\r\n\r\n"
                      b"--outer\r\nContent-Type: application/octet-stream\r\n"
                      b"Content-Transfer-Encoding: binary\r\n\r\n%s\r\n"
                      b"--outer\r\nContent-Type: multipart/related;\r\n"
                      b" boundary=\"inner\"\r\n\r\n"
                      b"--inner\r\nContent-Transfer-Encoding: BINARY\r\n\r\n"
                      b"%s\r\n--inner\r\n\r\nplain\r\n--inner--\r\n"
                      b"--outer--\r\n" % (number, one, two))
            smtp.expect("MAIL FROM:<a@example.test> BODY=BINARYMIME", 250)
            smtp.expect("RCPT TO:<%s@example.test>" % user, 250)
            pieces = cut(letter, dice.randrange(1, 500))
            for piece in pieces:
                smtp.send(bdat(piece))
            smtp.send(bdat(b"", True))
            for _ in range(len(pieces) + 1):
                assert smtp.reply().code == 250
        smtp.quit()
    for content in contents(user, len(sent)):
        message = email.message_from_bytes(content)
        first, second = message.get_payload()
        inner, plain = second.get_payload()
        assert not set(content) & {0, 13}
        assert message["Content-Transfer-Encoding"] == "8bit"
        assert (first.get_payload(decode=True), inner.get_payload(
            decode=True)) == sent[int(message["Subject"])]
        assert plain.get_payload() == "plain"


def test_binarymime_by_BDAT_only(smtpd):
    with Smtp(smtpd) as smtp:
        assert "BINARYMIME" in smtp.expect("EHLO x.example", 250).lines
        smtp.expect("MAIL FROM:<a@example.test> BODY=BINARYMIME", 250)
        smtp.expect("RCPT TO:<alice@example.test>", 250)
        smtp.expect("DATA", 503)
        # Octets are for parts that say so.
        smtp.send(bdat(b"Subject: x\r\n\r\na\nb", True))
        assert smtp.reply().code == 554
        smtp.expect("RCPT TO:<alice@example.test>", 503)
        smtp.quit()
