"""Relay hosts, routes, TLS and passwords on the way out."""
import os
import ssl

import pytest

import dnsstub
from postern import BASE, eventually, write
from sink import Sink
from test_relay import LETTER, send

pytestmark = pytest.mark.may_crash


@pytest.fixture(scope="module")
def zone():
    zone = dnsstub.Zone()
    zone.host("smart.example", "192.0.2.2")
    zone.host("open.example", "192.0.2.2")
    zone.host("strict.example", "192.0.2.2")
    zone.host("checked.example", "192.0.2.2")
    zone.host("clear.example", "192.0.2.2")
    return zone


@pytest.fixture(scope="module")
def names(host, zone):
    server = dnsstub.Server(zone)
    yield server
    server.close()


@pytest.fixture(scope="module")
def context(host):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(BASE + "/tls/cert.pem", BASE + "/tls/key.pem")
    return context


@pytest.fixture(scope="module")
def start(daemons, names):
    def start(conf):
        return daemons("smtpd", "retry-schedule 1s\nrelay-timeout 5s\n"
                       "trusted-networks 127.0.0.0/8\n"
                       "dns-server %s@%d\n%s" % (names.address, names.port,
                                                 conf))
    return start


@pytest.fixture(scope="module")
def by_tls(start):
    return start("relay-tls strict.example encrypt\n"
                 "relay-tls checked.example verify\n"
                 "relay-tls clear.example none\n")


def test_tls_where_it_is_offered(by_tls, context):
    with Sink(context=context) as sink:
        send(by_tls, "b@open.example")
        eventually(lambda: sink.letters, "it comes")
    assert sink.letters[0].session.is_tls
    assert by_tls.log(r"event=connected .*mx:open.example .*tls=\S*TLSv1.3")


def test_none_is_none(by_tls, context):
    with Sink(context=context) as sink:
        send(by_tls, "b@clear.example")
        eventually(lambda: sink.letters, "it comes")
    assert not sink.letters[0].session.is_tls


def test_broken_tls_is_left_out(by_tls, context):
    """Who offers it and can't: in the clear, where it is not asked for."""
    def nonsense(sink, session, line):
        session.say("220 2.0.0 go")
        session.say(b"this is no handshake\r\n" * 100)
        return ""
    with Sink(context=context, STARTTLS=nonsense) as sink:
        send(by_tls, "b@open.example")
        eventually(lambda: sink.letters, "it comes", seconds=60)
    assert not sink.letters[0].session.is_tls


def test_encrypt_or_not_at_all(by_tls, context):
    with Sink() as sink:
        send(by_tls, "b@strict.example")
        by_tls.wait_log(r"event=deferred .*to=b@strict.example ")
        assert not sink.letters
    with Sink(context=context) as sink:
        eventually(lambda: sink.letters, "it comes", seconds=60)
    assert sink.letters[0].session.is_tls


def test_verify_does(by_tls, context):
    """A certificate of nobody we know, for another name: nothing is sent."""
    with Sink(context=context) as sink:
        send(by_tls, "b@checked.example")
        by_tls.wait_log(r"event=deferred .*to=b@checked.example ")
        assert not sink.letters
        assert not any(c.startswith("MAIL") for s in sink.sessions
                       for c in s.commands)


@pytest.fixture(scope="module")
def smart(start, context):
    path = BASE + "/relay-auth"
    write(path, "smart.example user secret-of-user\n")
    os.chmod(path, 0o600)
    return start("relay-host smart.example:2525\nrelay-auth %s\n"
                 "route lists.example lmtp:%s/lists.sock\n"
                 "route .sub.example smtp://192.0.2.1:2526\n" % (path, BASE))


def test_smarthost_with_auth(smart, context):
    class Host(Sink):
        extensions = Sink.extensions + ("AUTH PLAIN LOGIN",)
    with Host(port=2525, context=context) as sink:
        send(smart, "b@anywhere.example", "c@elsewhere.example")
        eventually(lambda: sink.letters, "it comes", seconds=60)
    assert len(sink.letters) == 1 and len(sink.letters[0].recipients) == 2
    session = sink.letters[0].session
    assert session.is_tls
    assert session.login == ("AUTH PLAIN "
                             "AHVzZXIAc2VjcmV0LW9mLXVzZXI=")
    assert not smart.log("secret-of-user")


def test_no_password_in_the_clear(smart):
    class Host(Sink):
        extensions = Sink.extensions + ("AUTH PLAIN LOGIN",)
    with Host(port=2525) as sink:
        send(smart, "d@anywhere.example")
        smart.wait_log(r"event=deferred .*to=d@anywhere.example ")
        assert not sink.letters
        assert all(s.login is None for s in sink.sessions)


def test_routes(smart, host):
    path = BASE + "/lists.sock"
    with Sink(unix=path) as lists, Sink("192.0.2.1", 2526) as sub:
        os.chmod(path, 0o777)
        send(smart, "l@lists.example", "s@a.b.sub.example")
        eventually(lambda: lists.letters and sub.letters, "both come",
                   seconds=60)
    assert lists.letters[0].session.commands[0].startswith("LHLO ")
    assert LETTER in lists.letters[0].content
