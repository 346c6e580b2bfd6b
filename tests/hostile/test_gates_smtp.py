"""C9: what a worker in an attacker's hands gets out of smtpd's gates."""
import contextlib
import os

import postern
import private
from gates import LIMIT, all_of, matrix, must_end, others, unharmed
from postern import eventually, message_files
from puppet import (
    ABORT, COMMIT, DATA, EXPAND, GOOD, MAIL, RCPT, REPLY, VERIFY, Puppet,
    mail, rcpt, tree, u32, u64)


def idle(puppet):
    pass


def sender(puppet):
    assert puppet.ask(MAIL, mail()).verdict()[0] == 250


def recipient(puppet):
    puppet.transaction("bob")


def content(puppet):
    puppet.transaction("bob").data(b"never\n")


SMTP_STATES = {
    "idle": (idle, {MAIL, ABORT, VERIFY, EXPAND}),
    "sender": (sender, {RCPT, DATA, ABORT, VERIFY, EXPAND}),
    "recipient": (recipient, {RCPT, DATA, ABORT, VERIFY, EXPAND}),
    "content": (content, {COMMIT, ABORT}),
}


def spooled(daemon):
    return [name for where in ("incoming", "queue", "failed")
            for name in os.listdir(os.path.join(daemon.spool, where))]


def nothing_arrives(daemon, *users):
    """Nothing is queued, and nothing was delivered."""
    eventually(lambda: spooled(daemon) == [], "an empty spool")
    for name in users:
        assert message_files(name) == [], name


def test_C9_smtp_every_request_in_every_state(smtp):
    postern.clear("bob")
    cases = matrix(smtp, SMTP_STATES)
    assert len(cases) > 250
    before = tree(private.HOMES, leave_out=others())
    with unharmed(smtp, len(cases)):
        all_of(must_end, cases)
    assert tree(private.HOMES, leave_out=others()) == before
    nothing_arrives(smtp, "bob")
    assert not smtp.log("event=login")


def test_smtp_what_is_allowed(smtp):
    """And what the table does allow, it answers: in the same states."""
    for name, (reach, allowed) in SMTP_STATES.items():
        for number in allowed:
            with Puppet(smtp) as puppet:
                reach(puppet)
                answer = puppet.ask(number, GOOD[number])
                assert answer.type == number | REPLY, (name, number)
    smtp.wait_no_session()


EVIL_PATHS = (
    "a b", "@", "a@", "@b", "a@b c", "a\r\n@b", "a@b\r\nX: y", "a\n@b",
    "a@b\nX", "\x7f@b", "\x01@b", '"a\nb"@c', '"a\0b"@c', "<a@b>", "a@b>",
    "a@b> SIZE=1", "a" * 253 + "@b", "a@" + "b" * 256, "a@b..c", "\xff@b",
    "a@[1.2.3.4", "a@[IPv6:::1::]")


def test_C5_C9_smtp_paths_that_lie(smtp):
    """What an honest worker would have refused is a fault."""
    postern.clear("bob")
    rows = [(idle, MAIL, mail(sender=path)) for path in EVIL_PATHS]
    rows += [(idle, MAIL, mail(flags=flags)) for flags in (
        8, 16, 0x80000000, 0xffffffff)]
    rows += [(idle, MAIL, payload) for payload in (
        mail(helo="h" * 256), mail(helo="h\0h"),
        mail(tls="t" * 80), mail(tls="t\0t"),
        u32(0xffffffff) + mail()[4:])]
    rows += [(sender, RCPT, rcpt(local, domain)) for local, domain in (
        ("a\nb", "example.test"),
        ("bob\r", "example.test"), ("bob", "example.test\n"),
        ("bob", "exam ple.test"), ("bob", "example..test"),
        ("bob", "example.test\0"), ("b\0b", "example.test"),
        ("b" * 243, "example.test"), ("bob", "e" * 256),
        ("bob", "[127.0.0.1"), ("bob", ">"), ("bob\x7f", "example.test"),
        ("bob", "@example.test"))]
    rows += [(idle, MAIL, mail(ret=3)), (idle, MAIL, mail(envid="e" * 101)),
             (idle, MAIL, mail(envid="a b")), (idle, MAIL, mail(envid="+2b"))]
    rows += [(sender, RCPT, rcpt("bob", notify=notify, orcpt=orcpt))
             for notify, orcpt in (
                 (3, ""), (16, ""), (0xffffffff, ""), (0, "rfc822"),
                 (0, "rfc822;a\r\nb"), (0, "rfc822;" + "a" * 494),
                 (0, "rfc822;a+b"))]
    cases = [(smtp, reach, lambda p, n=n, payload=payload: p.ask(n, payload),
              "%#x %r" % (n, payload)) for reach, n, payload in rows]
    with unharmed(smtp, len(cases)):
        all_of(must_end, cases)
    nothing_arrives(smtp, "bob")


def test_C5_helo_cannot_bend_the_trace(smtp):
    """The claim may hold anything: one header line comes of it, and one line
    of log."""
    postern.clear("bob")
    claims = ["x\r\nX-Injected: yes", "x\n\nbody", "x\r\n\tby evil",
              "\x1b[2J", "\x01\x7f\xff", "a) (b", "x;\ndate", "", " ", "<>",
              "\"", "\\", "%s%n", "h" * 255]
    with unharmed(smtp, 0), Puppet(smtp) as puppet:
        for claim in claims:
            assert puppet.letter(b"Subject: x\n\nbody\n", "bob",
                                 helo=claim)[0] == 250
    found = postern.wait_messages("bob", len(claims))
    for message in found:
        trace, rest = postern.split_trace(message, b"\n")
        assert rest == b"Subject: x\n\nbody\n"
        assert all(0x20 <= octet < 0x7f or octet in b"\t\n"
                   for octet in trace), trace
        assert trace.count(b"\nReceived: ") == 1
        assert b"Injected" not in trace or b"??X-Injected" in trace
        # No claim can pose as the address that the master saw.
        assert (b"(localhost [127.0.0.1])\n\tby mx.example.test (Postern) with"
                in trace)


def test_C9_no_relay_whatever_the_worker_asks(smtp):
    postern.clear("bob")
    places = [("bob", "elsewhere.example"), ("bob", ""), ("bob", "[10.9.8.7]"),
              ("bob%elsewhere.example", "example.test"),
              ("bob@elsewhere.example", "example.test"),
              ("@elsewhere.example:bob", "example.test"),
              ("elsewhere.example!bob", "example.test"),
              ("bob", "example.test.elsewhere.example"),
              ("bob", "sub.example.test"), ("../bob", "example.test"),
              ("/etc/passwd", "example.test"), ("|/bin/sh", "example.test"),
              (":include:/etc/passwd", "example.test"),
              ("toor", "example.test"), ("lowly", "example.test"),
              ("none", "example.test"), ("_postern", "example.test"),
              ("-f", "example.test"), ("bob ", "example.test"),
              ("", "example.test")]
    with unharmed(smtp, 0), Puppet(smtp) as puppet:
        sender(puppet)
        for place in places:
            answer = puppet.ask(RCPT, rcpt(*place))
            assert 550 <= answer.verdict()[0] < 560, (place, answer.verdict())
        assert puppet.ask(DATA).verdict()[0] == 554
        # Refused ones don't ride along with one that is good.
        assert puppet.ask(RCPT, rcpt("bob")).verdict()[0] == 250
        puppet.data(b"x\n")
        assert puppet.ask(COMMIT, u64(2)).verdict()[0] == 250
    found, = postern.wait_messages("bob", 1)
    assert found.startswith(b"Return-Path: <sender@example.test>\n"
                            b"Delivered-To: bob@example.test\n")
    nothing_arrives(smtp)


def test_C9_the_count_must_be_right(smtp):
    """COMMIT with another count than came down the pipe: 451, no letter, and
    the session goes on; DATA without a recipient: 554."""
    postern.clear("bob")
    with unharmed(smtp, 7), Puppet(smtp) as puppet:
        for octets in (0, 1, 5, 7, 1 << 32 | 6, (1 << 64) - 1):
            assert puppet.letter(b"12345\n", "bob", octets=octets)[0] == 451
        nothing_arrives(smtp, "bob")
        # Nothing of it is left in the session.
        assert puppet.ask(DATA) is None
    with Puppet(smtp) as puppet:
        sender(puppet)
        answer = puppet.ask(DATA)
        assert answer.verdict()[0] == 554 and answer.descriptors == 0
        assert puppet.ask(RCPT, rcpt("bob")).verdict()[0] == 250
        puppet.data(b"good\n")
        assert puppet.ask(ABORT).verdict()[0] == 250
        assert puppet.letter(b"\nbetter\n", "bob")[0] == 250
    found, = postern.wait_messages("bob", 1)
    assert postern.split_trace(found, b"\n")[1] == b"\nbetter\n"


def test_C9_gone_before_commit(smtp):
    """Whoever vanishes or says other things than COMMIT has sent nothing."""
    postern.clear("bob")
    with unharmed(smtp, 0):
        for octets in (0, 1, 5000):
            with Puppet(smtp) as puppet:
                puppet.transaction("bob").data(b"x" * octets)
            with Puppet(smtp) as puppet:
                puppet.transaction("bob")
                assert puppet.ask(DATA).verdict()[0] == 354
                puppet.write(b"x" * octets)
        eventually(lambda: len(smtp.session_processes()) == 1,
                   "their sessions ended")
        nothing_arrives(smtp, "bob")


def test_C9_the_limit_is_the_agent_s(smtp):
    """A worker that sends without end gets 552 and leaves no octet."""
    postern.clear("bob")
    with unharmed(smtp, 0), Puppet(smtp) as puppet:
        for octets in (LIMIT + 1, 20 * 1000 * 1000):
            puppet.transaction("bob")
            assert puppet.ask(DATA).verdict()[0] == 354
            assert puppet.order("F %d" % octets) == "OK"
            with os.scandir(smtp.spool + "/incoming") as files:
                for entry in files:
                    # It may be gone by now: the agent removes it meanwhile.
                    with contextlib.suppress(FileNotFoundError):
                        assert entry.stat().st_size <= 2 * LIMIT
            assert puppet.order("X") == "OK"
            assert puppet.ask(COMMIT, u64(octets)).verdict()[0] == 552
            nothing_arrives(smtp, "bob")
        # Line ends count twice, as they come from and go to the network.
        assert puppet.letter(b"\n" * (LIMIT // 2 + 1), "bob")[0] == 552
        assert puppet.letter(b"\n" * (LIMIT // 2), "bob")[0] == 250
        assert puppet.ask(MAIL, mail(size=LIMIT + 1)).verdict()[0] == 552
        assert puppet.ask(MAIL, mail(size=1 << 63)).verdict()[0] == 552
    postern.wait_messages("bob", 1)


def test_C9_C16_an_agent_that_nobody_hears(smtp):
    """A worker that takes no answers and leaves its end of the gate in the
    agent's keeping does not leave the agent behind."""
    before = len(smtp.processes("smtpd-agents"))
    with Puppet(smtp) as puppet:
        for _ in range(400):	# more than wait to be heard, and to be sent
            puppet.send_only(VERIFY, GOOD[VERIFY])
        assert puppet.order("E") == "OK"
    eventually(lambda: len(smtp.processes("smtpd-agents")) == before,
               "the agent ends")


NASTY = (
    b"", b"\n", b"no line end", b"\0", b"a\0b\n\0\n", b"\n.\n", b".\n..\n",
    b"From bob Thu Jan  1\n", b"\nReceived: x\n",
    b"Return-Path: <x>\nDelivered-To: root\n\n", b"\x1b]0;x\x07\n",
    bytes(range(256)).replace(b"\r", b"") * 3, b"\xff" * 5000 + b"\n",
    b"\n.\nMAIL FROM:<a@b>\nRCPT TO:<root>\nDATA\nsecond\n.\n",
    b"POSTERN\0\1\2", b"x" * 20000, b".", b"a\n.", b"\n\n\n")
WITH_CR = (
    b"\r", b"\r\n", b"a\rb\n", b"a\r\nb\n", b"\r\n.\r\n", b"a\n.\r\n",
    b"\n.\r\nMAIL FROM:<a@b>\r\n", b"x" * 20000 + b"\r", b"a\n\r.\r\n")


def with_its_header_ended(content):
    """What begins with no field has none: all of it is the body."""
    first = content.partition(b"\n")[0]
    if first and b":" not in first and not first.startswith(b"From "):
        return b"\n" + content
    if content.startswith(b"\n") or b"\n\n" in content:
        return content
    return content + (b"\n" if content[-1:] in (b"", b"\n") else b"\n\n")


def test_C1_C5_content_is_nothing_but_content(smtp, daemons):
    """Content that no honest worker would pass: one letter, byte for byte, or
    refused; and what pop3d then counts is what it sends."""
    postern.clear("bob")
    with unharmed(smtp, 0), Puppet(smtp) as puppet:
        for octets in WITH_CR:
            verdict = puppet.letter(octets, "bob")
            assert verdict[0] == 554, (octets, verdict)
        nothing_arrives(smtp, "bob")
        for octets in NASTY:
            verdict = puppet.letter(octets, "bob")
            assert verdict[0] == 250, (octets, verdict)
    found = postern.wait_messages("bob", len(NASTY))
    assert sorted(postern.split_trace(m, b"\n")[1] for m in found) == \
        sorted(with_its_header_ended(content) for content in NASTY)
    nothing_arrives(smtp)
    # And nobody in between has made a second letter or an endless one of it.
    with postern.Pop(daemons("pop3d"), "bob") as pop:
        sizes = pop.list()
        assert len(sizes) == len(NASTY)
        for number, size in sizes:
            body = retrieve(pop, number)
            assert len(body) == size, body[:200]
            assert body.replace(b"\r\n", b"\n").rstrip(b"\n") in [
                message.replace(b"\0", b"\x80").rstrip(b"\n")
                for message in found]
        pop.ok("NOOP")
        pop.quit()


def retrieve(pop, number):
    """RETR's octets: nothing but a dot alone on its line ends them."""
    pop.ok("RETR %d" % number)
    while b"\r\n.\r\n" not in b"\r\n" + pop.buffer:
        assert pop.fill(), "closed after %r" % pop.buffer
    body, rest = (b"\r\n" + pop.buffer).split(b"\r\n.\r\n", 1)
    assert rest == b""
    pop.buffer = b""
    return body[2:].replace(b"\r\n..", b"\r\n.") + b"\r\n"
