"""Postern among other mail servers: Postfix, OpenSMTPD and Exim as the other
side, in both directions, and Dovecot's LMTP server behind it."""
import email
import re
import smtplib

import pytest

import hosts
import mtas
import postern


@pytest.fixture(scope="module")
def net(host):
    reason = mtas.missing()
    if reason is not None:
        pytest.skip(reason)
    mtas.lay_out()
    net = hosts.Network()
    net.alpha = net.host("alpha", 11, ["alex"])
    net.gamma = net.host("gamma", 13, ["greta"])
    net.peers = {kind.name: kind(net, 20 + number) for number, kind in
                 enumerate((*mtas.EVERY, mtas.Dovecot))}
    net.serve_names()
    yield net
    for peer in net.peers.values():
        peer.stop()
    net.end()
    assert not net.odd_lines()


@pytest.fixture(scope="module")
def alpha(net, daemons):
    net.alpha.start(daemons, net.certificate(net.alpha), (
        "relay-tls * verify\n" + "".join(
            "relay-tls %s may\n" % peer.host.domain
            for peer in net.peers.values() if not peer.takes_tls) +
        "trusted-networks %s %s\n"
        "relay-domains loop.test\nroute loop.test smtp://mx.postfix.test\n"
        "route dovecot.test lmtp:%s/lmtp\n"
        "route by-tcp.dovecot.test lmtp://%s:24\n" % (
            hosts.ROUTER4, hosts.ROUTER6, net.peers["dovecot"].top,
            net.peers["dovecot"].host.mx)))
    return net.alpha


@pytest.fixture(scope="module", params=[kind.name for kind in mtas.EVERY])
def peer(request, net):
    return net.peers[request.param].start()


LETTER = """From: %s
To: someone@example.test
Subject: %s
Date: Mon, 1 Jan 2024 00:00:00 +0000
Message-ID: <%s@example.test>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Gr\u00fc\u00dfe!
.
..
"""


def letter(sender, token, more=""):
    return (LETTER % (sender, token, token) + more).encode()


def post(host, sender, recipient, text, options=("BODY=8BITMIME",),
         of_each=()):
    """Through this host, which takes everything from us."""
    with smtplib.SMTP(host.addresses[0], 25, "client.example.test",
                      timeout=postern.PATIENCE) as smtp:
        smtp.ehlo()
        smtp.command_encoding = "utf-8"
        assert smtp.sendmail(
            sender, recipient, text.replace(b"\n", b"\r\n"),
            list(options), list(of_each)) == {}


def received(text):
    """The newest trace line, in one line."""
    message = email.message_from_string(text.decode())
    return " ".join(message["Received"].split())


MANY = 60			# letters to one host


class Report:
    """Any server's delivery status notification."""

    def __init__(self, text):
        message = email.message_from_bytes(text)
        assert message.get_content_type() == "multipart/report"
        assert message["Return-Path"] in (None, "<>")
        self.text = text
        groups = [group for part in message.walk()
                  if part.get_content_type() == "message/delivery-status"
                  for group in part.get_payload()]
        self.fields = groups[0]
        self.recipient, = [g for g in groups[1:] if g["Final-Recipient"]]


# What the other side says of TLS in its trace.
SAYS_TLS = {"postfix": r"using TLSv1\.3 with cipher \S+",
            "opensmtpd": r"with ESMTPS id \S+ \(TLSv1\.3:\S+\)",
            "exim": r"\(TLS1\.3\) tls \S+"}
NO_TLS = "Debian's OpenSMTPD 6.8 completes no handshake (its issue 1171), and \
no newer one could be fetched"


def test_out(alpha, peer):
    """To them: in TLS that is good, as both see it; octet for octet."""
    text = letter("alex@alpha.test", "out")
    post(alpha, "alex@alpha.test", "bob@" + peer.domain, text)
    got = peer.wait_letter("bob", "Subject: out")
    assert got.endswith(b"\n" + text)
    assert b"return-path: <alex@alpha.test>\n" in got.lower()
    assert "mx.alpha.test" in received(got)
    log = r"event=connected .*host=%s .*tls=" % peer.mx
    if not peer.server.takes_tls:
        alpha.smtpd.wait_log(log + "- verified=no")
        pytest.skip("only without TLS: " + NO_TLS)
    assert re.search(SAYS_TLS[peer.name], received(got)), received(got)
    alpha.smtpd.wait_log(log + r"\"TLSv1.3 \S+\" verified=yes")


def test_in(alpha, peer):
    """From them: they let nobody pass whose certificate is not good."""
    text = letter("bob@" + peer.domain, "in-" + peer.name)
    post(peer, "bob@" + peer.domain, "alex@alpha.test", text)
    got = alpha.wait_letter("alex", "Subject: in-" + peer.name)
    assert got.endswith(b"\n" + text)
    assert got.startswith(b"Return-Path: <bob@%s>\n" % peer.domain.encode())
    assert re.match(
        r"from %s \(%s \[\S+\]\) \(claimed TLSv1\.3 \S+\) by mx\.alpha\.test "
        r"\(Postern\) with ESMTPS id" % (peer.mx, peer.mx),
        received(got)), received(got)


def test_their_refusal(alpha, peer):
    """They do not know the user: our sender is told so, by us."""
    text = letter("alex@alpha.test", "refused-by-" + peer.name)
    post(alpha, "alex@alpha.test", "unknown@" + peer.domain, text)
    got = Report(alpha.wait_letter("alex", "refused-by-" + peer.name))
    assert got.fields["Reporting-MTA"] == "dns; mx.alpha.test"
    assert got.recipient["Final-Recipient"] == (
        "rfc822; unknown@" + peer.domain)
    assert got.recipient["Action"] == "failed"
    assert got.recipient["Status"].startswith("5.")
    assert got.recipient["Remote-MTA"] == "dns; " + peer.mx
    assert got.recipient["Diagnostic-Code"].startswith("smtp; 550")


def test_our_bounce(alpha, peer):
    """One of ours reaches their user."""
    text = letter("bob@" + peer.domain, "bounced")
    post(alpha, "bob@" + peer.domain, "unknown@" + peer.domain, text)
    got = Report(peer.wait_letter("bob", "bounced"))
    assert got.fields["Reporting-MTA"] == "dns; mx.alpha.test"
    assert got.recipient["Action"] == "failed"


def test_our_refusal(alpha, peer):
    """We do not know the user: their report comes in, from nobody."""
    text = letter("alex@alpha.test", "refused-to-" + peer.name)
    post(peer, "alex@alpha.test", "unknown@alpha.test", text)
    got = alpha.wait_letter("alex", "refused-to-" + peer.name)
    assert got.startswith(b"Return-Path: <>\n")
    assert b"550 5.1.1" in got
    if peer.name != "opensmtpd":	# which has a form of its own
        got = Report(got)
        assert peer.mx in got.fields["Reporting-MTA"]
        assert got.recipient["Status"] in ("5.1.1", "5.0.0")


def test_large(alpha, peer):
    """Both ways, in pieces (CHUNKING) where the other side has that."""
    more = "".join(".%d %s\n" % (n, "x" * (n % 900)) for n in range(10000))
    for one, sender, other, friend in ((alpha, "alex", peer, "bob"),
                                       (peer, "bob", alpha, "alex")):
        token = "large-by-" + one.name
        sender = "%s@%s" % (sender, one.domain)
        text = letter(sender, token, more)
        post(one, sender, "%s@%s" % (friend, other.domain), text)
        assert other.wait_letter(friend, "Subject: " + token).endswith(
            b"\n" + text)
        other.clear(friend)
    if peer.name == "exim":		# K in its log is for CHUNKING
        lines = peer.server.lines()
        assert any(re.search(r"<= alex@alpha\.test .* K S=4\d{6}", line)
                   for line in lines), lines
        assert any(re.search(r"=> alex@alpha\.test .* K ", line)
                   for line in lines), lines


def test_many(alpha, peer):
    """Connections are used again, which all of them are content with."""
    log = "event=connected .*host=%s " % peer.mx
    before = len(alpha.smtpd.log(log))
    with smtplib.SMTP(alpha.addresses[0], 25, "client.example.test",
                      timeout=postern.PATIENCE) as smtp:
        for n in range(MANY):
            text = letter("alex@alpha.test", "many-%d-" % n)
            smtp.sendmail("alex@alpha.test", "bob@" + peer.domain,
                          text.replace(b"\n", b"\r\n"), ["BODY=8BITMIME"])

    def there():
        return sum(b"Subject: many-" in text for text in peer.letters("bob"))
    postern.eventually(lambda: there() >= MANY, "all come")
    for n in range(MANY):
        peer.wait_letter("bob", "Subject: many-%d-" % n)
    alpha.smtpd.wait_log("event=delivered .*to=bob@" + peer.domain, MANY)
    assert len(alpha.smtpd.log(log)) - before < MANY / 3
    peer.clear("bob")


def test_dsn(alpha, peer):
    """Who wants to know of success is told so by who delivers."""
    for one, sender, other, friend in (
            (alpha, "alex", peer, "bob"), (peer, "bob", alpha, "alex")):
        token = "dsn-by-" + one.name + "-to-" + other.name
        address = "%s@%s" % (sender, one.domain)
        friend = "%s@%s" % (friend, other.domain)
        post(one, address, friend, letter(address, token), (
            "BODY=8BITMIME", "RET=HDRS", "ENVID=QQ" + token), (
                "NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;" + friend))
        if other.name == "opensmtpd":	# no ENVID, and a form of its own
            assert b"delivered" in one.wait_letter(sender, token)
            continue
        envid = "" if one.name == "opensmtpd" else "QQ"
        got = Report(one.wait_letter(sender, envid + token))
        assert other.mx in got.fields["Reporting-MTA"]
        assert got.recipient["Final-Recipient"].endswith(friend)
        assert got.recipient["Action"] == "delivered"
        assert got.recipient["Status"].startswith("2.")
        assert b"Gr\xc3\xbc" not in got.text	# the header came back


@pytest.mark.parametrize("name", ["opensmtpd", "exim"])
def test_smarthost_of_theirs(alpha, net, name):
    """They log in at our submission, and send as who that is."""
    peer = net.peers[name].start()
    token = "by-login-of-" + name
    text = letter("bob@" + peer.domain, token)
    post(peer, "bob@" + peer.domain, mtas.BY_LOGIN, text)
    got = alpha.wait_letter("alex", token)
    assert got.endswith(b"\n" + text)
    assert " with ESMTPSA id" in received(got)
    alpha.smtpd.wait_log("event=login user=alex .*service=submission ")


@pytest.fixture(scope="module")
def gamma(net, daemons):
    net.gamma.start(daemons, net.certificate(net.gamma))
    return net.gamma


# What their logs say of it.
LOGIN = {"exim": r"<= greta@gamma\.test .* X=TLS1\.3\S* .*A=PLAIN:bob",
         "opensmtpd": r"(\w+) smtp tls ciphers=TLSv1\.3:\S+\n(.*\n)*"
                      r"\1 smtp authentication user=bob result=ok"}


@pytest.mark.parametrize("name, policy", [("exim", "verify"),
                                          ("opensmtpd", "encrypt")])
def test_smarthost_of_ours(alpha, gamma, net, name, policy):
    """All that gamma has goes to their submission, after a login there."""
    theirs = net.peers[name].start()
    if not theirs.server.takes_tls:
        pytest.skip(NO_TLS)
    postern.write(gamma.etc("relay-auth"), "%s bob %s\n" % (
        theirs.mx, postern.password("bob")), 0o600)
    gamma.reload(
        "relay-host %s:587\nrelay-auth /etc/relay-auth\nrelay-tls * %s\n"
        "trusted-networks %s %s\n" % (
            theirs.mx, policy, hosts.ROUTER4, hosts.ROUTER6))
    text = letter("greta@gamma.test", "by-" + name)
    post(gamma, "greta@gamma.test", "alex@alpha.test", text)
    got = alpha.wait_letter("alex", "Subject: by-" + name)
    assert got.endswith(b"\n" + text)
    assert "from %s " % theirs.mx in received(got)
    gamma.smtpd.wait_log(r"event=connected .*host=%s .*tls=\"TLSv1.3 \S+\" "
                         "verified=" % theirs.mx)
    says = "\n".join(theirs.server.lines())
    assert re.search(LOGIN[name], says), says


def test_loop(alpha, net):
    """Postfix and we think of each other that he knows where it goes: who has
    sent it is told so, once."""
    net.peers["postfix"].start()
    post(alpha, "alex@alpha.test", "bob@loop.test",
         letter("alex@alpha.test", "loop"))
    got = Report(alpha.wait_letter("alex", "Subject: loop\n"))
    assert got.recipient["Final-Recipient"] == "rfc822; bob@loop.test"
    assert got.recipient["Status"].startswith("5.4.")
    assert b"hops" in got.text


# What needs SMTPUTF8: an address, and fields of the header.
UTF8 = letter("gr\u00fc\u00dfe@alpha.test", "smtputf8").replace(
    b"someone", "j\u00fcrgen".encode())


@pytest.mark.parametrize("name", ["postfix", "exim"])
def test_utf8(alpha, net, name):
    peer = net.peers[name].start()
    post(alpha, "gr\u00fc\u00dfe@alpha.test", "bob+\u00e4@" + peer.domain, UTF8,
         ("BODY=8BITMIME", "SMTPUTF8"))
    got = peer.wait_letter("bob", "Subject: smtputf8")
    assert got.endswith(b"\n" + UTF8)
    assert "UTF8SMTPS" in received(got) or name == "exim", received(got)
    token = "smtputf8-from-" + name
    post(peer, "gr\u00fc\u00dfe@" + peer.domain, "alex+\u00e4@alpha.test",
         UTF8.replace(b"Subject: smtputf8", b"Subject: " + token.encode()),
         ("BODY=8BITMIME", "SMTPUTF8"))
    got = alpha.wait_letter("alex", token)
    assert got.startswith("Return-Path: <gr\u00fc\u00dfe@%s>\n".encode() %
                          peer.domain.encode())
    assert " with UTF8SMTPS " in received(got)


def test_utf8_to_who_has_it_not(alpha, net):
    """OpenSMTPD does not: the sender is told, and nothing is spoilt."""
    net.peers["opensmtpd"].start()
    token = "smtputf8-refused"
    post(alpha, "alex@alpha.test", "bob@opensmtpd.test",
         UTF8.replace(b"Subject: smtputf8", b"Subject: " + token.encode()),
         ("BODY=8BITMIME", "SMTPUTF8"))
    got = Report(alpha.wait_letter("alex", token))
    assert got.recipient["Action"] == "failed"
    assert got.recipient["Status"] == "5.6.7"


@pytest.mark.parametrize("domain", ["dovecot.test", "by-tcp.dovecot.test"])
def test_lmtp(alpha, net, domain):
    """Dovecot's lmtpd as what delivers, one verdict for each recipient; by a
    Unix socket of this host, or in TLS to another."""
    dovecot = net.peers["dovecot"].start()
    text = letter("alex@alpha.test", "lmtp-" + domain)
    post(alpha, "alex@alpha.test", ["bob@" + domain, "unknown@" + domain], text)
    got = dovecot.wait_letter("bob", "Subject: lmtp-" + domain)
    assert got.endswith(b"\n" + text)
    assert re.search(" with LMTP(A|S|) ", received(got))
    got = Report(alpha.wait_letter("alex", "lmtp-" + domain))
    assert got.recipient["Final-Recipient"] == "rfc822; unknown@" + domain
    assert got.recipient["Status"] == "5.1.1"
