"""alex at one host writes to john at the other.

Hosts with networks and accounts of their own, a real name server (nsd) between
them: straight, by a smarthost, by a backup MX, over IPv6 only.
"""
import email
import os
import re
import shutil
import time

import pytest

import hosts
import packages
import postern
from postern import password, write


# Its name server says so much of it that no datagram holds it.
MANY = "many-exchangers.test"


@pytest.fixture(scope="module")
def net(host):
    reason = hosts.missing(packages.NAME_SERVER)
    if reason is not None:
        pytest.skip(reason)
    net = hosts.Network()
    net.alpha = net.host("alpha", 11, ["alex", "greta"])
    net.beta = net.host("beta", 12, ["john"])
    net.gamma = net.host("gamma", 13, ["greta"])
    net.delta = net.host("delta", 14, ["bob"])
    net.mail("delta.test", (20, net.beta.mx))
    net.mail("twin.test", (10, net.ns.mx), (20, "backup.twin.test"))
    net.mail("own.test", (10, "backup.twin.test"))
    net.add("backup.twin.test", *net.beta.addresses)
    net.mail(MANY, (5, net.beta.mx), *((10 + n, "mx-%02d.a-name-of-some-length-"
                                        "to-fill-packets.%s" % (n, MANY))
                                       for n in range(80)))
    net.mail("xn--bcher-kva.test", (10, net.beta.mx))
    net.add("mx.half.test", hosts.NET4 % 12, hosts.NET6 % 99)
    net.mail("half.test", (10, "mx.half.test"))
    if hosts.HAS_IPV6:
        hosts.swallow(hosts.NET6 % 99)
        net.six = net.host("six", 15, ["alex"], families=(6,))
        net.seis = net.host("seis", 16, ["john"], families=(6,))
    net.serve_names()
    yield net
    net.end()
    assert not net.odd_lines()


@pytest.fixture(scope="module")
def start(net, daemons):
    """smtpd and pop3d at a host, as its administrator would have them."""
    def start(host, conf=""):
        host.start(daemons, net.certificate(host), conf)
        return host
    return start


@pytest.fixture(scope="module")
def alpha(net, start):
    return start(net.alpha, "relay-tls * verify\nrelay-tls half.test may\n")


@pytest.fixture(scope="module")
def beta(net, start):
    path = net.beta.etc("backup")
    write(path, "bob@delta.test\n@twin.test\n@own.test\n")
    # Its name for the file: it has an /etc of its own.
    return start(net.beta, "relay-tls * verify\nrelay-tls twin.test may\n"
                 "relay-tls own.test may\nrelay-domains delta.test "
                 "twin.test own.test\n"
                 "relay-recipients /etc/backup\n"
                 "domains %s half.test xn--bcher-kva.test\n" % MANY)


LETTER = """From: %s
To: %s
Subject: %s
Date: Mon, 1 Jan 2024 00:00:00 +0000
Message-ID: <%s@example.test>

Gr\u00fc\u00dfe!
.
..
"""


def letter(sender, recipient, token):
    return (LETTER % (sender, recipient, token, token)).encode()


def by_msmtp(host, user, recipient, token):
    """By submission, with the password, in TLS that is verified."""
    sender = "%s@%s" % (user, host.domain)
    path = host.file(user, ".msmtprc", (
        "account default\nhost %s\nport 587\nfrom %s\nauth on\nuser %s\n"
        "password %s\ntls on\ntls_trust_file system\n" % (
            host.mx, sender, user, password(user))))
    text = letter(sender, recipient, token)
    host.run(user, "msmtp", "-C", path, recipient, given=text)
    return text


def with_mpop(host, user):
    """By mpop, in TLS that is verified: all there is, and it is gone then."""
    for name in ("", "/cur", "/new", "/tmp"):
        path = host.home(user) + "/got" + name
        os.mkdir(path)
        os.chown(path, host.uid(user), host.uid(user))
    path = host.file(user, ".mpoprc", (
        "account default\nhost %s\nport 995\nuser %s\npassword %s\nauth on\n"
        "tls on\ntls_starttls off\ntls_trust_file system\nkeep off\n"
        "received_header off\ndelivery maildir ~/got\n" % (
            host.mx, user, password(user))))
    host.run(user, "mpop", "-C", path)
    found = host.letters(user, "got/new")
    shutil.rmtree(host.home(user) + "/got")
    return found


def by_curl(host, user, recipient, token):
    sender = "%s@%s" % (user, host.domain)
    text = letter(sender, recipient, token)
    path = host.file(user, "letter", text.replace(b"\n", b"\r\n"))
    config = host.file(user, ".curlrc", 'user = "%s:%s"\n' % (
        user, password(user)))
    host.run(user, "curl", "-sS", "-K", config, "--ssl-reqd",
             "smtp://%s:587/client.%s" % (host.mx, host.domain),
             "--mail-from", sender, "--mail-rcpt", recipient,
             "--upload-file", path)
    return text


def with_curl(host, user):
    """The first letter there is, by STLS; it stays."""
    config = host.file(user, ".curlrc", 'user = "%s:%s"\n' % (
        user, password(user)))
    got = host.run(user, "curl", "-sS", "-K", config, "--ssl-reqd",
                   "pop3://%s/1" % host.mx)
    host.clear(user)
    return [got.replace(b"\r\n", b"\n")]


def hops(text):
    """What each host on the way says of the one before, the last one first."""
    found = []
    for field in email.message_from_bytes(text).get_all("Received"):
        words = " ".join(field.split())
        found.append(re.match(
            r"from \S+ \(([^()]+)\) \(claimed TLSv1\.3 \S+\) by (\S+) "
            r"\(Postern\) with (\S+) id", words).groups())
    return found


def ip(host):
    return "[%s]" % ("IPv6:" + host.address6 if host.address6
                     else host.address4)


def named(host):
    """As on port 25, where the name is looked up."""
    return host.mx + " " + ip(host)


@pytest.mark.parametrize("submit, collect", [
    (by_msmtp, with_mpop), (by_curl, with_curl)])
def test_there_and_back(alpha, beta, submit, collect):
    """By MX and port 25, in TLS; the certificates are good all the way."""
    for one, user, other, friend in ((alpha, "alex", beta, "john"),
                                     (beta, "john", alpha, "alex")):
        text = submit(one, user, "%s@%s" % (friend, other.domain), "there")
        other.wait_letter(friend, "there")
        got, = collect(other, friend)
        assert got.endswith(b"\n" + text)
        assert got.startswith(b"Return-Path: <%s@%s>\n" % (
            user.encode(), one.domain.encode()))
        assert hops(got) == [(named(one), other.mx, "ESMTPS"),
                             (ip(one), one.mx, "ESMTPSA")]
        one.smtpd.wait_log(r"event=connected .*host=%s .*verified=yes"
                           % other.mx)


def test_domain_in_utf8(alpha, beta):
    """From sendmail by SMTPUTF8 to a domain that the DNS has in ASCII."""
    sendmail = postern.BASE + "/sendmail"
    shutil.copy(os.path.join(postern.BUILD, "bin", "sendmail"), sendmail)
    alpha.run("alex", sendmail, "-C", alpha.smtpd.conf_path, "-i", "-t",
              given="To: John <john+\u00e4@B\u00fccher.test>\n"
              "Subject: utf-8-domain\n\nGr\u00fc\u00dfe\n".encode())
    got = beta.wait_letter("john", "utf-8-domain")
    assert re.search(rb"\n\tby mx\.beta\.test \(Postern\) with UTF8SMTPS id "
                     rb"\S+\n\tfor <john\+\xc3\xa4@", got), got
    assert got.endswith("\n\nGr\u00fc\u00dfe\n".encode())
    beta.clear("john")


def test_answer_of_many_packets(alpha, beta):
    """The name server says it by TCP only, and the resolver asks so."""
    by_msmtp(alpha, "alex", "john@" + MANY, "many")
    beta.wait_letter("john", "many")
    beta.clear("john")


def test_by_a_smarthost(alpha, beta, net, start):
    """gamma gives all it has to alpha's submission, under a name of there."""
    path = net.gamma.top + "/etc/relay-auth"
    write(path, "%s greta %s\n" % (alpha.mx, password("greta")), 0o600)
    gamma = start(net.gamma, "relay-host %s:587\nrelay-tls * verify\n"
                  "relay-auth /etc/relay-auth\n" % alpha.mx)
    text = by_msmtp(gamma, "greta", "john@beta.test", "smart")
    got = beta.wait_letter("john", "smart")
    assert got.endswith(b"\n" + text)
    assert hops(got) == [(named(alpha), beta.mx, "ESMTPS"),
                         (ip(gamma), alpha.mx, "ESMTPSA"),
                         (ip(gamma), gamma.mx, "ESMTPSA")]
    alpha.smtpd.wait_log("event=received .*client=%s .*user=greta"
                          % (gamma.address6 or gamma.address4))
    # Whoever can't log in there can't send by it.
    write(path, "%s greta wrong\n" % alpha.mx, 0o600)
    gamma.smtpd.reload()
    gamma.smtpd.wait_log("event=generation number=2")
    by_msmtp(gamma, "greta", "john@beta.test", "wrong-password")
    gamma.smtpd.wait_log(r"event=deferred .*to=john@beta.test .*status=4\.")
    assert len(alpha.smtpd.log("event=received .*user=greta")) == 1
    write(path, "%s greta %s\n" % (alpha.mx, password("greta")), 0o600)
    gamma.smtpd.reload()
    beta.wait_letter("john", "wrong-password")


def test_by_a_backup(alpha, beta, net, start):
    """delta is down; beta takes it in until delta is there again."""
    text = by_msmtp(alpha, "alex", "bob@delta.test", "backup")
    beta.smtpd.wait_log("event=deferred .*to=bob@delta.test")
    alpha.smtpd.wait_log("event=delivered .*to=bob@delta.test")
    assert not net.delta.letters("bob")
    # Nobody but those it is to take in, and nobody elsewhere.
    for address, status in (("nobody@delta.test", "5.1.1"),
                            ("bob@gamma.test", "5.7.1")):
        with postern.Smtp(beta.smtpd) as client:
            client.expect("MAIL FROM:<x@alpha.test>", 250)
            assert client.expect("RCPT TO:<%s>" % address,
                                 550).status == status
    delta = start(net.delta)
    got = delta.wait_letter("bob", "backup")
    assert got.endswith(b"\n" + text)
    assert hops(got) == [(named(beta), delta.mx, "ESMTPS"),
                         (named(alpha), beta.mx, "ESMTPS"),
                         (ip(alpha), alpha.mx, "ESMTPSA")]


def test_backup_by_another_name(beta, net):
    """A mail exchanger that is this host is found by its address, too: no
    letter goes round."""
    for domain in ("twin.test", "own.test"):
        with postern.Smtp(beta.smtpd) as client:
            assert client.mail(b"Subject: round\r\n\r\nx\r\n", "bob@" + domain,
                               sender="x@alpha.test").code == 250
    beta.smtpd.wait_log("event=deferred .*to=bob@twin.test .*status=4.4.1 ")
    beta.smtpd.wait_log("event=failed .*to=bob@own.test .*status=5.4.6 ")
    assert len(beta.smtpd.log("event=received .*from=x@alpha.test")) == 2
    assert not beta.smtpd.log("event=delivered .*@(twin|own).test")


@pytest.mark.skipif(not hosts.HAS_IPV6, reason="no IPv6 here")
def test_half_broken(alpha, beta):
    """One address of the host swallows everything: soon the next is tried."""
    by_msmtp(alpha, "alex", "john@half.test", "half")
    begun = time.monotonic()
    beta.wait_letter("john", "half")
    assert time.monotonic() - begun < 25	# and not 30, for each address
    alpha.smtpd.wait_log("event=connected .*destination=mx:half.test .*"
                          "address=%s " % beta.address4)


@pytest.mark.skipif(not hosts.HAS_IPV6, reason="no IPv6 here")
def test_over_ipv6_only(net, start):
    """Hosts with no other address, their name server asked by it too."""
    six, seis = start(net.six), start(net.seis)
    text = by_msmtp(six, "alex", "john@seis.test", "six")
    got = seis.wait_letter("john", "six")
    assert hops(got) == [(named(six), seis.mx, "ESMTPS"),
                         (ip(six), six.mx, "ESMTPSA")]
    got, = with_mpop(seis, "john")
    assert got.endswith(b"\n" + text)
    by_msmtp(seis, "john", "alex@six.test", "back")
    six.wait_letter("alex", "back")
