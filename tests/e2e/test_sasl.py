"""AUTH in both protocols, where secrets may go, and what submission adds."""
import base64
import re

import pytest

import postern
import tls
from postern import Pop, Smtp, password, split_trace
from tls import Service

LETTER = (b"From: a@example.test\r\nTo: b@example.test\r\nSubject: x\r\n"
          b"\r\nHello.\r\n")
HERE, THERE = "192.0.2.1", "192.0.2.2"	# both ours, neither is loopback


def b64(data):
    data = data if isinstance(data, bytes) else data.encode()
    return base64.b64encode(data).decode()


def plain(name, secret=None, authzid=""):
    return b64("%s\0%s\0%s" % (
        authzid, name, password(name) if secret is None else secret))


class PopAuth:
    """What AUTH looks like in POP3 (RFC 5034)."""
    good, bad, program = "+OK", "-ERR", "pop3d"

    def __init__(self, daemon, way="pop3s", **how):
        self.talk = tls.pop(daemon, way) if way else Pop(daemon, **how)

    def say(self, line):
        return self.talk.cmd(line)

    def line(self):
        return self.talk.line().decode()

    def challenge(self, line):
        """Say it; what the server asks, decoded."""
        reply = self.say(line)
        assert reply.startswith("+ "), reply
        return base64.b64decode(reply[2:]).decode()

    def is_in(self):
        return self.say("STAT").startswith("+OK")

    def is_new(self):
        return self.say("NOOP").startswith("-ERR") and \
            self.talk.multi("CAPA") is not None


class SmtpAuth(PopAuth):
    """And in SMTP (RFC 4954)."""
    good, bad, program = "235", "5", "smtpd"

    def __init__(self, daemon, way="submissions", **how):
        self.talk = tls.smtp(daemon, way) if way else Smtp(daemon, **how)

    def say(self, line):
        reply = self.talk.cmd(line)
        return "%d %s" % (reply.code, reply.text)

    def line(self):
        reply = self.talk.reply()
        return "%d %s" % (reply.code, reply.text)

    def challenge(self, line):
        reply = self.say(line)
        assert reply.startswith("334 "), reply
        return base64.b64decode(reply[4:]).decode()

    def is_in(self):
        return self.say("MAIL FROM:<a@example.test>").startswith("250")

    def is_new(self):
        return self.say("MAIL FROM:<a@example.test>").startswith("530")


@pytest.fixture(scope="module")
def pop3d(daemons):
    return daemons("pop3d", tls.configuration("p256"), also=("pop3s",))


@pytest.fixture(scope="module")
def smtpd(daemons):
    return daemons("smtpd", tls.configuration("p256") + "retry-schedule 1s\n",
                   also=("submission", "submissions"))


@pytest.fixture(params=(PopAuth, SmtpAuth), ids=("pop3", "smtp"))
def auth(request, pop3d, smtpd):
    """auth() is a new session with TLS on, of either protocol."""
    daemon = {"pop3d": pop3d, "smtpd": smtpd}[request.param.program]

    def new(way=None):
        return request.param(daemon, *((way,) if way else ()))
    new.daemon, new.kind = daemon, request.param
    return new


@pytest.fixture(scope="module", autouse=True)
def no_secrets_in_the_log(pop3d, smtpd):
    """Whatever was said: neither a secret nor its base64, nor PLAIN's."""
    yield
    secret = re.compile("secret-of|" + "|".join(
        re.escape(b64(b"x" * skip + b"secret-of-user")[4 if skip else 0:16])
        for skip in range(3)))
    for daemon in (pop3d, smtpd):
        assert [line for line in daemon.lines if secret.search(line)] == []


# Good ones

def test_every_form(auth, user):
    """PLAIN and LOGIN, with and without initial response, in any case."""
    name, secret = b64(user), b64(password(user))
    for first, *more in [
            ["AUTH PLAIN " + plain(user)],
            ["auth plain " + plain(user)],
            ["AUTH PLAIN", ("", plain(user))],
            ["AUTH PLAIN " + plain(user, authzid=user)],
            ["AUTH LOGIN", ("Username:", name), ("Password:", secret)],
            ["Auth Login " + name, ("Password:", secret)],
            ["AUTH PLAIN " + plain(user + "@example.test", password(user))],
            ["AUTH PLAIN " + plain(user + "@MX.example.TEST", password(user))],
            ["AUTH LOGIN", ("Username:", b64(user + "@localhost")),
             ("Password:", secret)]]:
        session = auth()
        line = first
        for asked, line_after in more:
            assert session.challenge(line) == asked, first
            line = line_after
        reply = session.say(line)
        assert reply.startswith(auth.kind.good), (first, reply)
        assert session.is_in()
        session.talk.close()
        auth.daemon.wait_no_session()
    for mechanism, count in (("PLAIN", 6), ("LOGIN", 3)):
        auth.daemon.wait_log(r"event=login user=%s[ @].*mechanism=%s "
                             "tls=\"TLSv1.3" % (user, mechanism), count)


def test_odd_secrets(auth):
    """Octets and spaces are the account's business."""
    for name, secret in (("spaces", " two  words "),
                         ("eightbit", "gr\u00fc\u00dfe")):
        for line in ("AUTH PLAIN " + plain(name, secret),):
            session = auth()
            assert session.say(line).startswith(auth.kind.good), name
            session.talk.close()


def test_only_once(auth, user):
    session = auth()
    assert session.say("AUTH PLAIN " + plain(user)).startswith(auth.kind.good)
    assert session.say("AUTH PLAIN " + plain(user)).startswith(auth.kind.bad)
    if auth.kind is SmtpAuth:
        ehlo = session.talk.expect("EHLO x.example", 250)
        assert not [line for line in ehlo.lines if line.startswith("AUTH")]
    assert session.is_in()


def test_offered(pop3d, smtpd):
    with tls.pop(pop3d) as pop:
        capa = pop.multi("CAPA")
        assert b"SASL PLAIN LOGIN" in capa and b"USER" in capa
        assert pop.multi("AUTH") == [b"PLAIN", b"LOGIN"]
        pop.say("AUTH ")		# Outlook's way to ask
        assert pop.line().startswith(b"+OK")
        assert pop.body() == [b"PLAIN", b"LOGIN"]
    for service in ("submission", "submissions"):
        with tls.smtp(smtpd, service) as smtp:
            assert "AUTH PLAIN LOGIN" in smtp.expect("EHLO x", 250).lines
            assert "AUTH" in smtp.expect("HELP", 214).text.split()


def test_never_on_port_25(smtpd, user):
    for make in (Smtp, lambda d: tls.smtp(d, "smtp")):
        with make(smtpd) as smtp:
            assert "AUTH" not in smtp.expect("EHLO x.example", 250).text
            assert smtp.expect("AUTH PLAIN " + plain(user), 502, 503)
            assert "AUTH" not in smtp.expect("HELP", 214).text.split()
            smtp.envelope("alice")
    assert not smtpd.log("event=login user=%s " % user)


# Bad ones

def test_bad_responses(auth, user):
    """Cancelled, not base64, not what the mechanism says: the exchange ends
    at once, the session goes on as it was, and no try was counted."""
    good = plain(user)
    cases = [
        ["AUTH PLAIN", "*"], ["AUTH LOGIN", "*"],
        ["AUTH LOGIN", b64(user), "*"],
        ["AUTH PLAIN", ""], ["AUTH PLAIN ="], ["AUTH PLAIN", "="],
        ["AUTH PLAIN !"], ["AUTH PLAIN", "not base64"],
        ["AUTH PLAIN " + good + "="], ["AUTH PLAIN " + good[:-1] + "!"],
        ["AUTH PLAIN", good[:3]], ["AUTH PLAIN", " " + good],
        ["AUTH PLAIN", good + " "], ["AUTH PLAIN " + good + " " + good],
        ["AUTH PLAIN " + b64("no zero octets")],
        ["AUTH PLAIN " + b64("\0one")], ["AUTH PLAIN " + b64("\0\0x")],
        ["AUTH PLAIN " + b64("\0a\0b\0c")], ["AUTH PLAIN " + b64(b"\0\0\0")],
        ["AUTH LOGIN", ""], ["AUTH LOGIN", "!"],
        ["AUTH LOGIN", b64("a\0b")], ["AUTH LOGIN", b64(user), "!"],
        ["AUTH LOGIN", b64(user), b64("a\0b")],
        ["AUTH PLAIN", "x" * 3070],
        ["AUTH PLAIN", "QUIT"[:4] + "\t"],
    ]
    session = auth()
    for lines in cases:
        for line in lines[:-1]:
            session.challenge(line)
        reply = session.say(lines[-1])
        assert reply.startswith(auth.kind.bad), (lines, reply)
        if session.say("NOOP").startswith("421"):
            raise AssertionError("ended after %r" % lines)
        if auth.kind is PopAuth:
            session.talk.multi("CAPA")
        elif cases.index(lines) % 5 == 4:	# too many errors end it
            session = auth()
    assert session.say("AUTH PLAIN " + good).startswith(auth.kind.good)
    assert not auth.daemon.log("event=login-failed user=%s " % user)


def test_a_response_too_long(auth, user):
    """One reply, however long; never taken for a command, even in parts."""
    for length in (3072, 12288, 20000, 100000):
        session = auth()
        session.challenge("AUTH PLAIN")
        session.talk.send(b"A" * length + b"\r\n")
        assert session.line().startswith(auth.kind.bad)
        session = auth()
        session.talk.send(b"AUTH PLAIN " + b"A" * length + b"\r\n")
        assert session.line().startswith(auth.kind.bad)
        assert session.say("AUTH PLAIN " + plain(user)).startswith(
            auth.kind.good)
        session.talk.close()
        auth.daemon.wait_no_session()


def test_unknown_mechanisms(auth):
    session = auth()
    for name in ("CRAM-MD5", "EXTERNAL", "ANONYMOUS", "PLAINX", "PLAI",
                 "GSSAPI", "SCRAM-SHA-256", "X" * 100, "PLAIN\t="):
        assert session.say("AUTH " + name).startswith(auth.kind.bad), name
        session.say("NOOP")
        if auth.kind is PopAuth:
            session.talk.multi("CAPA")
    assert session.is_new()


def test_interrupted(auth, user):
    """A client that goes away in the middle of an exchange."""
    for first in ("AUTH PLAIN", "AUTH LOGIN"):
        session = auth()
        session.challenge(first)
        session.talk.send(plain(user)[:5])
        session.talk.drop()
    auth.daemon.wait_no_session()


def refusals(auth, tries):
    """The replies to tries that all wait for the same two seconds."""
    sessions = [auth() for _ in tries]
    for session, line in zip(sessions, tries):
        session.talk.say(line)
    return sessions, [session.line() for session in sessions]


def test_C12_refusals_are_alike(auth, user):
    """Whatever is wrong with it, the reply does not tell."""
    tries = ["AUTH PLAIN " + plain(*pair) for pair in (
        (user, "wrong"), ("nobody-here", "wrong"), ("locked", "x"),
        ("expired", password("expired")), ("root", "root"),
        ("toor", password("toor")), ("lowly", password("lowly")),
        ("none", password("none")), (user, password(user) + " "), (user, ""),
        ("%s@elsewhere.test" % user, password(user)),
        ("%s@" % user, password(user)))]
    sessions, replies = refusals(auth, tries)
    assert len(set(replies)) == 1, replies
    assert replies[0].startswith(auth.kind.bad)
    for session in sessions:
        assert session.is_new()
        session.talk.close()
    # Not another's name: well-formed, but nobody acts for another.
    for authzid in ("alice", user.upper(), user + "@example.test", "root"):
        session = auth()
        assert session.say("AUTH PLAIN " + plain(
            user, authzid=authzid)) == replies[0]
        assert session.is_new()
    assert not auth.daemon.log("event=login user=(%s|alice) " % user)


def test_C12_three_failures(auth, user):
    """However they are made; the third ends the session."""
    one = auth()
    assert one.say("AUTH PLAIN " + plain(user, "wrong")).startswith(
        auth.kind.bad)
    assert one.challenge("AUTH LOGIN " + b64(user)) == "Password:"
    assert one.say(b64("wrong")).startswith(auth.kind.bad)
    if auth.kind is PopAuth:
        one.say("USER " + user)
        assert one.say("PASS wrong").startswith(auth.kind.bad)
    else:
        assert one.say("AUTH PLAIN " + plain(user, "wrong")).startswith("535")
        assert one.line().startswith("421")
    assert one.talk.is_closed()
    assert len(auth.daemon.wait_log("client=127.0.0.1 .*tls=\"TLSv1.3")) >= 1


# Where a secret may go

def reach(daemon, service, source):
    """A dialogue in the clear, from an address of ours."""
    make = Pop if daemon.program == "pop3d" else Smtp
    return make(Service(daemon, service, clear=True), source=source)


def offers(talk):
    if isinstance(talk, Pop):
        capa = talk.multi("CAPA")
        assert (b"USER" in capa) == (b"SASL PLAIN LOGIN" in capa)
        assert bool(talk.multi("AUTH")) == (b"USER" in capa)
        return b"USER" in capa
    return "AUTH PLAIN LOGIN" in talk.expect("EHLO x.example", 250).lines


def assert_refused(talk, user):
    """No secret is taken, whichever way it comes; and after TLS it is."""
    if isinstance(talk, Pop):
        assert "+" not in talk.status("USER " + user)
        talk.err("PASS " + password(user))
        talk.err("AUTH PLAIN")
        talk.err("AUTH PLAIN " + plain(user))
        talk.err("AUTH LOGIN")
        assert b"STLS" in talk.multi("CAPA")
    else:
        for line in ("AUTH PLAIN", "AUTH PLAIN " + plain(user), "AUTH LOGIN"):
            talk.expect(line, 538, 530)
        reply = talk.expect("MAIL FROM:<a@example.test>", 530)
        assert "STARTTLS" in reply.text
    tls.upgrade(talk)
    assert offers(talk)


@pytest.mark.parametrize("program", ("pop3d", "smtpd"))
@pytest.mark.parametrize("setting", ("never", "loopback", "always"))
def test_plaintext_login(daemons, user, program, setting):
    daemon = daemons(program, tls.configuration("p256")
                     + "plaintext-login %s\n" % setting
                     + "limits-exempt 127.0.0.0/8 192.0.2.0/24\n",
                     addresses=(HERE, "127.0.0.1"),
                     also=("submission",) if program == "smtpd" else ())
    service = {"pop3d": "pop3", "smtpd": "submission"}[program]
    for source, local in (("127.0.0.1", "127.0.0.1"), (THERE, HERE)):
        daemon.addresses = (local,)
        may = setting == "always" or (setting == "loopback"
                                      and source == "127.0.0.1")
        talk = reach(daemon, service, source)
        assert offers(talk) == may, (setting, source)
        if not may:
            assert_refused(talk, user)
        line = "AUTH PLAIN " + plain(user)
        if program == "pop3d":
            talk.ok(line)
            talk.quit()
        else:
            talk.expect(line, 235)
            talk.quit()
    assert len(daemon.wait_log("event=login user=%s " % user, 2)) == 2
    clear = daemon.log("event=login user=%s .*tls=none" % user)
    assert len(clear) == {"never": 0, "loopback": 1, "always": 2}[setting]


# Submission

def test_login_comes_first(smtpd, user):
    for service in ("submission", "submissions"):
        with tls.smtp(smtpd, service) as smtp:
            for line in ("MAIL FROM:<a@example.test>", "VRFY alice",
                         "RCPT TO:<alice@example.test>", "DATA"):
                assert smtp.expect(line, 530).status == "5.7.0", line
            for line in ("NOOP", "RSET"):
                smtp.expect(line, 250)
            smtp.send("MAIL FROM:<a@b.test>\r\nRCPT TO:<%s@example.test>\r\n"
                      "DATA\r\nRSET\r\n" % user)
            assert [smtp.reply().code for _ in range(4)] == [530] * 3 + [250]
            smtp.expect("AUTH PLAIN " + plain(user), 235)
            assert smtp.mail(LETTER, user).code == 250
            smtp.expect("MAIL FROM:<a@example.test>", 250)
            smtp.expect("AUTH PLAIN " + plain(user), 503)
    assert len(postern.wait_messages(user, 2)) == 2


def test_who_relays(smtpd, user):
    """A login is leave to send elsewhere; TLS is not."""
    with tls.smtp(smtpd) as smtp:
        smtp.expect("AUTH PLAIN " + plain(user), 235)
        smtp.expect("MAIL FROM:<%s@example.test> AUTH=<>" % user, 250)
        smtp.expect("RCPT TO:<x@elsewhere.test>", 250)
        smtp.expect("RCPT TO:<x@192.0.2.1>", 550)
        smtp.expect("RCPT TO:<unknown@example.test>", 550)
        smtp.expect("RSET", 250)
        assert smtp.expect("VRFY " + user, 250).text.endswith(
            "<%s@mx.example.test>" % user)
        smtp.expect("VRFY unknown", 550)
        # RFC 5321, 3.5.2: listed where it is answered.
        assert "EXPN" in smtp.expect("EHLO x.example", 250).lines
        assert smtp.expect("EXPN " + user, 250).text.endswith(
            "<%s@mx.example.test>" % user)
        smtp.quit()


DATE = b"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
ID = b"Message-ID: <mine@example.test>\r\n"


@pytest.mark.parametrize("service", ("smtp", "submission", "submissions"))
def test_date_and_message_id(smtpd, user, service):
    """Added where missing, in submission only, below what was there."""
    head = b"From: a@example.test\r\nSubject: x\r\n"
    contents = [head + more + b"\r\nDate: body %d\r\n" % n
                for n, more in enumerate((
                    b"", DATE, ID, DATE + ID,
                    b"date: x\r\nMESSAGE-id: <y@z>\r\n",
                    b"Dates: x\r\nX-Message-ID: y\r\n"))]
    with tls.smtp(smtpd, service) as smtp:
        if service != "smtp":
            smtp.expect("AUTH PLAIN " + plain(user), 235)
        for content in contents:
            assert smtp.mail(content, user).code == 250
    found = [split_trace(m, b"\n") for m in postern.wait_messages(
        user, len(contents))]
    how = b"with ESMTPS id" if service == "smtp" else b"with ESMTPSA id"
    assert all(how in trace and b"TLSv1.3" in trace for trace, _ in found)
    added = []
    for content in contents:
        content = content.replace(b"\r\n", b"\n")
        header, _, body = content.partition(b"\n\n")
        match, = [got for _, got in found
                  if got.startswith(header + b"\n")
                  and got.endswith(b"\n\n" + body)]
        added.append(match)
        new = match[len(header) + 1:len(match) - len(body) - 1]
        fields = sorted(line.split(b":")[0].lower()
                        for line in new.split(b"\n") if line)
        present = [line.split(b":")[0].lower() for line in header.split(b"\n")]
        wanted = [] if service == "smtp" else [
            name for name in (b"date", b"message-id") if name not in present]
        assert fields == wanted, (content, match)
    ids = re.findall(rb"\nMessage-ID: (<[^>\n]+@mx\.example\.test>)\n",
                     b"".join(added))
    assert len(set(ids)) == len(ids) == (0 if service == "smtp" else 3)


def test_who_sent_it_is_the_agents_word(smtpd, user):
    """The login stands in the log beside the letter, whoever MAIL names."""
    with tls.smtp(smtpd) as smtp:
        smtp.expect("AUTH PLAIN " + plain(user), 235)
        assert smtp.mail(LETTER, user, sender="other@example.test").code == 250
    message, = postern.wait_messages(user, 1)
    assert b"Return-Path: <other@example.test>" in message
    assert smtpd.wait_log("event=received id=.* from=other@example.test .*"
                          "user=%s$" % user)
