"""TLS: every kind of key and version, what is refused, what leaves nothing."""
import base64
import os
import poplib
import re
import smtplib
import ssl
import subprocess
import threading
import time

import pytest

import postern
import tls
from postern import Pop, Smtp, eventually, password, put_message, split_trace
from tls import Service

LETTER = (b"From: a@example.test\r\nTo: b@example.test\r\nSubject: by TLS\r\n"
          b"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
          b"Message-ID: <1@example.test>\r\n\r\nHello.\r\n")
WAYS = [("pop3d", "pop3"), ("pop3d", "pop3s"), ("smtpd", "smtp"),
        ("smtpd", "submission"), ("smtpd", "submissions")]


@pytest.fixture(scope="module")
def pop3d(daemons):
    return daemons("pop3d", tls.configuration(), also=("pop3s",))


@pytest.fixture(scope="module")
def smtpd(daemons):
    return daemons("smtpd", tls.configuration() + "retry-schedule 1s\n",
                   also=("submission", "submissions"))


@pytest.fixture(params=WAYS, ids=lambda way: way[1])
def way(request, pop3d, smtpd):
    """Each way to TLS: (daemon, service)."""
    daemon, service = request.param
    return {"pop3d": pop3d, "smtpd": smtpd}[daemon], service


def inside(daemon, service, ctx=None, name=tls.HOST):
    """A dialogue within TLS, greeted (and in SMTP, said EHLO)."""
    make = tls.pop if daemon.program == "pop3d" else tls.smtp
    return make(daemon, service, ctx, name)


def assert_alive(talk):
    if isinstance(talk, Pop):
        talk.multi("CAPA")
    else:
        talk.expect("NOOP", 250)


# Round trips with Python's own libraries

def submit(daemon, service, user, name, ctx):
    port = daemon.ports[service]
    if service == "submissions":
        client = smtplib.SMTP_SSL(name, port, timeout=postern.PATIENCE,
                                  context=ctx)
    else:
        client = smtplib.SMTP(name, port, timeout=postern.PATIENCE)
        assert not client.has_extn("auth")
        client.starttls(context=ctx)
    with client:
        client.login(user, password(user))
        client.sendmail("sender@example.test", user + "@example.test", LETTER)


def collect(daemon, service, user, name, ctx):
    port = daemon.ports[service]
    if service == "pop3s":
        box = poplib.POP3_SSL(name, port, timeout=postern.PATIENCE,
                              context=ctx)
    else:
        box = poplib.POP3(name, port, timeout=postern.PATIENCE)
        box.stls(context=ctx)
    box.user(user)
    box.pass_(password(user))
    found = []
    for number in range(1, box.stat()[0] + 1):
        found.append(b"".join(line + b"\r\n" for line in box.retr(number)[1]))
        box.dele(number)
    box.quit()
    return found


@pytest.mark.parametrize("version", sorted(tls.VERSIONS))
@pytest.mark.parametrize("kind", sorted(tls.KINDS))
def test_round_trips(pop3d, smtpd, user, kind, version):
    """Each kind of key, in each version, by each way: checked by the client
    against the name, there and back again."""
    name = tls.host_of(kind)
    for out, back in (("submission", "pop3s"), ("submissions", "pop3")):
        ctx = tls.context(tls.VERSIONS[version])
        submit(smtpd, out, user, name, ctx)
        postern.wait_messages(user, 1)
        message, = collect(pop3d, back, user, name, ctx)
        trace, content = split_trace(message)
        assert content == LETTER
        assert b"with ESMTPSA id" in trace, trace
        assert b"TLSv" + version.encode() in trace, trace
    for daemon in (smtpd, pop3d):
        daemon.wait_log(r"event=login user=%s .*tls=\"?TLSv%s" % (
            user, version), 2)
    assert postern.messages(user) == []


def test_port_25_with_tls(smtpd, user):
    """STARTTLS, no login: a letter for here, by ESMTPS."""
    with tls.smtp(smtpd, "smtp") as smtp:
        assert smtp.mail(LETTER, user).code == 250
        smtp.quit()
    message, = postern.wait_messages(user, 1)
    assert b"with ESMTPS id" in message
    with Smtp(smtpd) as smtp:
        assert smtp.mail(LETTER, user).code == 250
    assert b"with ESMTP id" in b"".join(postern.wait_messages(user, 2))


def test_a_large_letter_each_way(pop3d, smtpd, user):
    """More than buffers and windows hold, in records of every size."""
    body = b"".join(b"%08d " % n * 8 + b"\r\n" for n in range(60000))
    with tls.smtp(smtpd) as smtp:
        smtp.expect("AUTH PLAIN " + base64.b64encode(
            ("\0%s\0%s" % (user, password(user))).encode()).decode(), 235)
        assert smtp.mail(LETTER + body, user).code == 250
    postern.wait_messages(user, 1)
    with tls.pop(pop3d, "pop3", user=user) as pop:
        assert split_trace(pop.retr(1))[1] == LETTER + body
        # Octets, and so records, one by one.
        for octet in b"STAT\r\nNOOP\r\n":
            pop.send(bytes([octet]))
        assert pop.line().startswith(b"+OK 1 ")
        assert pop.line().startswith(b"+OK")
        pop.quit()


# Which certificate

def shown(daemon, service, name, version=None):
    """The certificate that a client gets that asks for this name."""
    ctx = tls.context(version, verify=False)
    with inside(daemon, service, ctx, name) as talk:
        return talk.sock.getpeercert(True)


def test_sni(way):
    """By name, by wildcard, else the default, as without any name."""
    made = tls.certificates()
    expected = {tls.host_of(kind): kind for kind in tls.KINDS}
    expected.update({
        "P256.EXAMPLE.test": "p256", "a.wild.example.test": "wild",
        "b.wild.example.test": "wild", "wild.example.test": "default",
        "a.b.wild.example.test": "default", "unknown.test": "default",
        tls.HOST: "default", None: "default", "x" * 60 + ".test": "default"})
    for name, kind in expected.items():
        assert shown(*way, name) == made[kind].der(), name


def test_chain_is_sent(pop3d):
    """The one with an intermediate is complete for who knows the root only."""
    _, text = tls.s_client(pop3d, "pop3s", "-showcerts", "-verify_return_error",
                           "-verify_hostname", tls.host_of("rsa2048"),
                           name=tls.host_of("rsa2048"), stdin=b"QUIT\r\n")
    assert "Verify return code: 0 (ok)" in text, text
    assert text.count("BEGIN CERTIFICATE") == 2, text


@pytest.mark.parametrize("fault", tls.FAULTS)
def test_bad_certificates(way, fault):
    """They are served as configured; clients that look refuse them."""
    name = tls.host_of(fault)
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        inside(*way, tls.context(), name)
    assert {"expired": "expired", "wrong": "mismatch",
            "selfsigned": "self-signed"}[fault] in str(caught.value)
    with inside(*way, tls.context(verify=False), name) as talk:
        assert_alive(talk)


# C2: what stands behind STLS and STARTTLS, and what is forgotten

def test_C2_pop3_octets_behind_stls(pop3d, user):
    put_message(user, b"Subject: x\n\nx\n")
    for behind in (b"CAPA\r\n", b"NOOP\r\n", b"Q", b"\n", b"\0",
                   tls.hello(), b"USER %s\r\nPASS %s\r\nDELE 1\r\nQUIT\r\n" % (
                       user.encode(), password(user).encode())):
        with Pop(pop3d) as pop:
            pop.send(b"STLS\r\n" + behind)
            assert pop.line().startswith(b"+OK")
            # No answer to it, neither in the clear nor in TLS.
            assert pop.is_closed(), behind
    pop3d.wait_log("event=starttls-injection", 7)
    assert not pop3d.log("user=%s " % user)
    assert len(postern.messages(user)) == 1


def test_C2_smtp_octets_behind_starttls(smtpd, user):
    for service in ("smtp", "submission"):
        for behind in (b"NOOP\r\n", b"E", tls.hello(),
                       b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<%s@example.test>"
                       b"\r\nDATA\r\nx\r\n.\r\n" % user.encode()):
            with Smtp(Service(smtpd, service)) as smtp:
                smtp.send(b"STARTTLS\r\n" + behind)
                assert smtp.reply().code == 220
                assert smtp.is_closed(), behind
    smtpd.wait_log("event=starttls-injection", 8)
    assert postern.messages(user) == []


def test_C2_octet_by_octet(pop3d, smtpd):
    """Drip-fed: what follows STLS is the handshake or nothing."""
    for talk, line in ((Pop(pop3d), b"STLS\r\nNOOP\r\n"),
                       (Smtp(smtpd), b"STARTTLS\r\nNOOP\r\n")):
        for octet in line:
            try:
                talk.send(bytes([octet]))
            except OSError:
                break
            time.sleep(0.002)
        assert talk.line()[:3] in (b"+OK", b"220")
        data = b""
        try:
            while talk.fill():
                pass
            data = talk.buffer
        except ConnectionResetError:
            pass
        # An alert at most.
        assert data == b"" or (data[0] == tls.ALERT and len(data) < 20), data
        talk.close()


def test_C2_pop3_is_new_after_stls(pop3d, user):
    with Pop(pop3d) as pop:
        before = pop.multi("CAPA")
        assert b"STLS" in before and b"SASL PLAIN LOGIN" in before
        pop.ok("USER " + user)
        tls.upgrade(pop)
        pop.err("PASS " + password(user))
        after = pop.multi("CAPA")
        assert b"STLS" not in after and b"USER" in after
        pop.err("STLS")
        pop.ok("USER " + user)
        pop.ok("PASS " + password(user))
        pop.err("STLS")
        pop.quit()
    with Pop(pop3d, user) as pop:		# not after login, either
        pop.err("STLS")
        pop.err("STLS x")
    with tls.pop(pop3d, "pop3s") as pop:
        assert b"STLS" not in pop.multi("CAPA")
        pop.err("STLS")


def test_C2_smtp_is_new_after_starttls(smtpd, user):
    for service in ("smtp", "submission"):
        with Smtp(Service(smtpd, service), hello=None) as smtp:
            before = smtp.expect("EHLO before.example", 250).lines
            assert "STARTTLS" in before
            smtp.expect("STARTTLS now", 501)
            if service == "smtp":
                smtp.envelope(user)
            tls.upgrade(smtp)
            smtp.expect("MAIL FROM:<a@example.test>", 503, 530)
            smtp.expect("RCPT TO:<%s@example.test>" % user, 503, 530)
            smtp.expect("DATA", 503, 530)
            after = smtp.expect("EHLO after.example", 250).lines
            assert "STARTTLS" not in after
            smtp.expect("STARTTLS", 503)
            if service == "smtp":
                smtp.expect("DATA", 503)
                assert smtp.mail(LETTER, user).code == 250
    message, = postern.wait_messages(user, 1)
    assert b"after.example" in message and b"before.example" not in message
    with tls.smtp(smtpd) as smtp:
        assert "STARTTLS" not in smtp.expect("EHLO x", 250).lines
        smtp.expect("STARTTLS", 503)


# C20: other protocols

@pytest.mark.parametrize("line", [
    "GET / HTTP/1.1", "POST / HTTP/1.1", "HEAD / HTTP/1.0", "PUT /x HTTP/1.1",
    "OPTIONS * HTTP/1.1", "CWD /", "PASV", "STOR x", "FEAT",
    "PORT 1,2,3,4,5,6"])
def test_C20_other_protocols(way, line):
    """HTTP and FTP, in TLS and in the clear: one refusal, the end."""
    daemon, service = way
    talks = [inside(daemon, service)]
    if service not in tls.IMPLICIT:
        talks.append((Pop if daemon.program == "pop3d" else Smtp)(
            Service(daemon, service)))
    for talk in talks:
        talk.send(line + "\r\nHost: x\r\n\r\nCAPA\r\nEHLO x\r\n")
        first = talk.line()
        assert first[:4] in (b"-ERR", b"500 ", b"421 ", b"554 "), first
        assert talk.is_closed()
        talk.close()


def test_C20_plaintext_to_a_tls_port(pop3d, smtpd):
    """HTTP or either protocol's commands there: no greeting, the end."""
    for daemon, service in ((pop3d, "pop3s"), (smtpd, "submissions")):
        for line in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"QUIT\r\n" * 3,
                     b"EHLO client.example.test\r\n", b"\0" * 300,
                     b"\x16\x03\x01\xff\xff" + b"x" * 300):
            with Service(daemon, service, clear=True).connect() as sock:
                sock.sendall(line)
                data = b""
                try:
                    while more := sock.recv(1000):
                        data += more
                except ConnectionResetError:
                    pass
                assert data == b"" or data[0] == tls.ALERT, data
    pop3d.wait_log("event=tls-failed", 5)


def test_C20_alpn(way):
    """Who names protocols must name ours."""
    daemon, service = way
    ours = {"pop3d": "pop3", "smtpd": "smtp"}[daemon.program]
    for version in tls.VERSIONS.values():
        for offer in ([ours], ["http/1.1", ours], [ours, "h2"]):
            with inside(daemon, service, tls.context(version, alpn=offer)) \
                    as talk:
                assert talk.sock.selected_alpn_protocol() == ours
                assert_alive(talk)
        with inside(daemon, service, tls.context(version)) as talk:
            assert talk.sock.selected_alpn_protocol() is None
        for offer in (["http/1.1"], ["h2", "http/1.1"], ["ftp"], ["imap"],
                      [ours.upper()], [ours + "s"], ["po"]):
            with pytest.raises(ssl.SSLError, match="(?i)no.application.proto"):
                inside(daemon, service, tls.context(version, alpn=offer))


# What is not spoken

@pytest.mark.parametrize("service", ("pop3s", "submissions"))
def test_old_versions(pop3d, smtpd, service):
    daemon = pop3d if service == "pop3s" else smtpd
    everything = tls.ECDSA_SUITES + (0xc009, 0xc00a, 0xc013, 0x2f, 0x35, 0xa)
    for legacy in (0x0300, 0x0301, 0x0302):
        assert tls.answer_to(daemon, tls.hello(legacy, suites=everything),
                             service) in (tls.PROTOCOL_VERSION,
                                          tls.HANDSHAKE_FAILURE)
    assert tls.answer_to(daemon, tls.hello(
        versions=(0x0302, 0x0301), suites=everything), service) \
        == tls.PROTOCOL_VERSION
    # SSLv2's own form of a hello.
    sslv2 = b"\x01\x03\x01\0\x06\0\0\0\x10" + b"\x01\0\x80\0\0\x2f" \
        + b"c" * 16
    assert tls.answer_to(daemon, b"\x80" + bytes([len(sslv2)]) + sslv2,
                         service) != "server-hello"
    assert tls.answer_to(daemon, tls.hello(), service) == "server-hello"
    assert tls.answer_to(daemon, tls.hello(
        versions=(0x0304,), suites=tls.SUITES13), service) == "server-hello"


def test_suites(pop3d):
    """Six of TLS 1.2, three of 1.3; every other number that there is fails."""
    for name, suites in ((tls.HOST, tls.ECDSA_SUITES),
                         (tls.host_of("rsa2048"), tls.RSA_SUITES)):
        for suite in suites:
            assert tls.answer_to(pop3d, tls.hello(
                suites=(suite,), name=name)) == "server-hello", hex(suite)
    for suite in tls.SUITES13:
        assert tls.answer_to(pop3d, tls.hello(versions=(0x0304,), suites=(
            suite,))) == "server-hello", hex(suite)
    allowed = tls.ECDSA_SUITES + tls.RSA_SUITES + tls.SUITES13
    signals = (0x00ff, 0x5600)		# no suites
    others = [n for n in range(1, 0x10000)
              if n not in allowed + signals]
    for name in (tls.HOST, tls.host_of("rsa2048"), tls.host_of("ed25519")):
        for at in range(0, len(others), 7000):
            assert tls.answer_to(pop3d, tls.hello(
                suites=others[at:at + 7000], name=name)) \
                == tls.HANDSHAKE_FAILURE, (name, at)
    assert tls.answer_to(pop3d, tls.hello(
        versions=(0x0304,), suites=(0x1304, 0x1305))) == tls.HANDSHAKE_FAILURE


def test_a_fragmented_hello(pop3d):
    """As post-quantum ones are: several records, several segments."""
    whole = tls.hello(suites=tuple(range(1, 9000)) + tls.ECDSA_SUITES)
    assert len(whole) > 16384
    assert tls.answer_to(pop3d, whole) == "server-hello"


def test_no_compression_no_renegotiation(pop3d):
    assert tls.answer_to(pop3d, tls.hello(compression=b"\1\0")) \
        == "server-hello"
    status, text = ask_for_renegotiation(pop3d)
    assert "Compression: NONE" in text
    assert "Secure Renegotiation IS supported" in text
    assert "RENEGOTIATING" in text and "IMPLEMENTATION" not in text
    assert re.search("no renegotiation|no_renegotiation", text), text
    assert status != 0


def ask_for_renegotiation(daemon):
    """openssl s_client in TLS 1.2: "R" on a line of its own asks for it."""
    process = subprocess.Popen(
        ["openssl", "s_client", "-connect",
         "127.0.0.1:%d" % daemon.ports["pop3s"], "-tls1_2"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    hangs = threading.Timer(postern.PATIENCE, process.kill)
    hangs.start()
    text = read_until(process, rb"\n\+OK")
    process.stdin.write(b"R\n")
    process.stdin.flush()
    text += read_until(process, rb"no[ _]renegotiation")
    try:
        rest = process.communicate(b"CAPA\nQUIT\n")[0]
    finally:
        hangs.cancel()
    return process.returncode, (text + rest).decode("latin-1")


def read_until(process, pattern):
    """What it says until it has said that, or ends."""
    text = b""
    while not re.search(pattern, text):
        data = process.stdout.read1()
        if not data:
            break
        text += data
    return text


@pytest.mark.parametrize("version", sorted(tls.VERSIONS))
def test_no_tickets_no_sessions(way, version):
    """Nothing to resume with is given, and nothing is resumed."""
    daemon, service = way
    ctx = tls.context(tls.VERSIONS[version])
    with inside(daemon, service, ctx) as talk:
        assert_alive(talk)
        session = talk.sock.session
        assert session is None or (not session.has_ticket and
                                   (version == "1.3" or session.id == b""))
    if session is None:
        return
    with Service(daemon, service, clear=True).connect() as raw:
        raw.settimeout(postern.PATIENCE)
        if service in tls.IMPLICIT:
            with ctx.wrap_socket(raw, server_hostname=tls.HOST,
                                 session=session) as again:
                assert not again.session_reused


def test_no_ticket_is_seen(pop3d):
    path = tls.DIR + "/session"
    for version in ("-tls1_2", "-tls1_3"):
        _, text = tls.s_client(pop3d, "pop3s", version, "-sess_out", path,
                               "-ign_eof", stdin=b"CAPA\r\nQUIT\r\n")
        assert "New, TLSv1." in text and "IMPLEMENTATION" in text, text
        assert "ession Ticket" not in text, text


def test_no_early_data(pop3d):
    """A session of another server's, good for early data: neither resumed,
    nor is what came early obeyed."""
    pair = tls.certificates()["default"]
    port = postern.Daemon.next_port
    postern.Daemon.next_port += 1
    other = subprocess.Popen(
        ["openssl", "s_server", "-accept", "127.0.0.1:%d" % port, "-cert",
         pair.chain, "-key", pair.key, "-tls1_3", "-early_data", "-quiet"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    path, early = tls.DIR + "/early-session", tls.DIR + "/early-data"
    postern.write(early, "CAPA\r\nQUIT\r\n")
    try:
        def got():
            run = subprocess.Popen(
                ["openssl", "s_client", "-connect", "127.0.0.1:%d" % port,
                 "-tls1_3", "-servername", tls.HOST, "-sess_out", path],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL)
            time.sleep(0.3)
            run.communicate(b"Q\n", postern.PATIENCE)
            return os.path.exists(path) and os.path.getsize(path) > 0
        eventually(got, "a session with early data")
    finally:
        other.kill()
        other.communicate()
    status, text = tls.s_client(
        pop3d, "pop3s", "-tls1_3", "-sess_in", path, "-early_data", early,
        "-ign_eof", stdin=b"QUIT\r\n")
    assert "Early data was rejected" in text, text
    assert "New, TLSv1.3" in text and "IMPLEMENTATION" not in text, text


def test_groups(pop3d):
    """The server's order in TLS 1.2; no key on a curve that is weak."""
    _, text = tls.s_client(pop3d, "pop3s", "-tls1_2", "-groups",
                           "P-384:P-256:X25519", stdin=b"QUIT\r\n")
    assert "Server Temp Key: X25519" in text
    _, text = tls.s_client(pop3d, "pop3s", "-tls1_3", "-groups",
                           "P-521:P-256", stdin=b"QUIT\r\n")
    assert "Server Temp Key: ECDH, prime256v1" in text or \
        "Server Temp Key: ECDH, P-256" in text, text


# Ends

def test_close_notify(way):
    """The end is said within TLS; a cut can be told from it."""
    with inside(*way) as talk:
        talk.sock.suppress_ragged_eofs = False
        talk.say("QUIT")
        talk.line()
        assert talk.sock.recv(1) == b""


def test_pipelined_in_tls(pop3d, user):
    put_message(user, b"Subject: x\n\nx\n")
    with tls.pop(pop3d) as pop:
        pop.send("USER %s\r\nPASS %s\r\nSTAT\r\nQUIT\r\n" % (
            user, password(user)))
        assert [pop.line()[:3] for _ in range(4)] == [b"+OK"] * 4
        assert pop.is_closed()


def busy_workers(daemon):
    """Those that have more descriptors than one that waits."""
    spawned = [p.pid for p in daemon.processes("%s-worker" % daemon.program)
               if p.ppid != daemon.process.pid]
    counts = []
    for pid in spawned:
        try:
            counts.append(len(os.listdir("/proc/%d/fd" % pid)))
        except OSError:
            pass
    return len([n for n in counts if n > min(counts, default=0)])


def test_C16_dropped_handshakes(pop3d, smtpd):
    """Whoever goes away in the middle leaves no process and no session."""
    for daemon, service in ((pop3d, "pop3s"), (smtpd, "submissions")):
        daemon.wait_no_session()
        with Service(daemon, service, clear=True).connect():
            eventually(lambda d=daemon: busy_workers(d) == 1, "one is busy")
        for cut in (1, 5, 40, 200):
            for drop in (True, False):
                talk = postern.Dialogue(Service(daemon, service, clear=True))
                talk.send(tls.hello(versions=(0x0304,),
                                    suites=tls.SUITES13)[:cut])
                talk.drop() if drop else talk.close()
        # After the server's flight, before the client's.
        talk = postern.Dialogue(Service(daemon, service, clear=True))
        talk.send(tls.hello(versions=(0x0304,), suites=tls.SUITES13))
        assert tls.record(talk.sock)[1][0] == 2
        talk.drop()
        daemon.wait_log("event=tls-failed", 9)
        eventually(lambda d=daemon: busy_workers(d) == 0, "workers are gone")
        with inside(daemon, service) as other:
            assert_alive(other)


def test_C16_login_timeout_bounds_the_handshake(daemons):
    daemon = daemons("pop3d", tls.configuration("p256") + "login-timeout 5s\n",
                     also=("pop3s",))
    hello = tls.hello(versions=(0x0304,), suites=tls.SUITES13)
    begun = time.monotonic()
    silent, half, slow, full = [postern.Dialogue(
        Service(daemon, "pop3s", clear=True)) for _ in range(4)]
    stls = Pop(daemon)
    half.send(hello[:100])
    full.send(hello)
    stls.ok("STLS")
    for octet in hello[:6]:
        slow.send(bytes([octet]))
        time.sleep(0.3)
    for talk in (silent, half, slow, stls):
        assert talk.is_closed()
    while full.fill():
        pass
    assert time.monotonic() - begun > 4
    for talk in (silent, half, slow, full, stls):
        talk.close()
    daemon.wait_log("event=(tls-failed|timeout)", 5)
    daemon.wait_no_session()


def test_C20_names_cost_nothing(pop3d):
    """CVE-2017-15130: server names without end leave no memory behind."""
    for n in range(200):
        assert tls.answer_to(pop3d, tls.hello(
            name="%d-%s.test" % (n, "x" * 200))) == "server-hello"
    for bad in ("", "\0", "a\0b.test", "x" * 300, "ä", "..", "*"):
        tls.answer_to(pop3d, tls.hello(name=bad))
    with tls.pop(pop3d) as pop:
        assert_alive(pop)
