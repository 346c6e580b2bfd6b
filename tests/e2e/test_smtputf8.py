"""SMTPUTF8 (RFC 6531): addresses in UTF-8, declared and not."""
import pytest

from postern import Smtp, wait_messages


def utf8(text):
    """As Smtp sends it: it writes latin-1."""
    return text.encode().decode("latin-1")


@pytest.fixture(scope="module")
def smtpd(daemons):
    return daemons("smtpd", "retry-schedule 1s\n"
                   "domains example.test xn--bcher-kva.test\n")


def test_ehlo_offers_it(smtpd):
    with Smtp(smtpd, hello=None) as smtp:
        lines = smtp.expect("EHLO x.example", 250).lines
        assert "SMTPUTF8" in lines and "8BITMIME" in lines
        assert len(smtp.expect("HELO x.example", 250).lines) == 1
        smtp.expect("MAIL FROM:<a@example.test> SMTPUTF8", 555)


def test_not_declared(smtpd):
    with Smtp(smtpd) as smtp:
        reply = smtp.expect(utf8("MAIL FROM:<j\u00f6rg@example.test>"), 553)
        assert reply.status == "5.6.7"
        smtp.expect("MAIL FROM:<a@example.test>", 250)
        reply = smtp.expect(utf8("RCPT TO:<j\u00f6rg@example.test>"), 553)
        assert reply.status == "5.6.7"


def test_letter(smtpd, users):
    user, = users(1)
    content = "Subject: Gr\u00fc\u00dfe\r\n\r\n\u4e2d\u6587\r\n".encode()
    with Smtp(smtpd) as smtp:
        smtp.expect(utf8("MAIL FROM:<j\u00f6rg@b\u00fccher.test> SMTPUTF8 "
                         "BODY=8BITMIME"), 250)
        # Ours by its name in the DNS; and a name that nobody here has.
        smtp.expect(utf8("RCPT TO:<%s@B\u00dcCHER.test>" % user), 250)
        reply = smtp.expect(utf8("RCPT TO:<j\u00f6rg@b\u00fccher.test>"), 550)
        assert reply.status == "5.1.1"
        smtp.expect("DATA", 354)
        smtp.send(content + b".\r\n")
        assert smtp.reply().code == 250
        smtp.quit()
    message, = wait_messages(user, 1)
    assert message.startswith(
        "Return-Path: <j\u00f6rg@b\u00fccher.test>\n"
        "Delivered-To: {0}@xn--bcher-kva.test\n".format(user).encode())
    assert b" with UTF8SMTP id " in message
    assert message.endswith(content.replace(b"\r\n", b"\n"))


def test_long_local_parts(smtpd, users):
    """Lists and forwarders put whole addresses into one: VERP, SRS."""
    user, = users(1)
    sender = "bounces-%s=else.example@lists.example" % ("x" * 200)
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<%s> SMTPUTF8" % sender, 250)
        # Its name in the DNS, by which the letter is kept, is the longer one.
        for length, code in ((241, 550), (236, 550), (235, 250)):
            local = (user + "+").ljust(length, "d")
            reply = smtp.expect(
                utf8("RCPT TO:<%s@b\u00fccher.test>" % local), code)
            assert reply.status == ("2.1.5" if code == 250 else "5.1.3")
        smtp.expect("DATA", 354)
        smtp.send(b"Subject: x\r\n\r\n.\r\n")
        assert smtp.reply().code == 250
        smtp.quit()
    message, = wait_messages(user, 1)
    assert message.startswith((
        "Return-Path: <%s>\nDelivered-To: %s@xn--bcher-kva.test\n" % (
            sender, local)).encode())


@pytest.mark.parametrize("domain", [
    "a.\U0001f600.test", "ab--\u00e4.test", "xn--a.\u00e4", "\u05d0a.test",
    "a\uff20example.test", "%s\u00e4.test" % (56 * "a")])
def test_no_host(smtpd, domain):
    """IDNA2008 knows no such name; an answer, and the session goes on."""
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<> SMTPUTF8", 250)
        reply = smtp.expect(utf8("RCPT TO:<a@%s>" % domain), 550)
        assert reply.status == "5.1.2"
        smtp.expect("RCPT TO:<postmaster>", 250)


@pytest.mark.parametrize("path", [
    b"<\xc3@example.test>", b"<\xff@example.test>", b"<\xc0\x80@x.test>",
    b"<a@\xed\xa0\x80.test>", b"<a\xc2\x85b@example.test>",
    b"<a@\xc3\xa4..test>", b"<\xf4\x90\x80\x80@x.test>"])
def test_no_utf8(smtpd, path):
    text = path.decode("latin-1")
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:%s SMTPUTF8" % text, 501)
        smtp.expect("MAIL FROM:<> SMTPUTF8", 250)
        smtp.expect("RCPT TO:" + text, 501)
