"""The private keys: in the signer's memory only, and what it signs with them.

privsep/signer_gate.h says what a worker may ask; the contents are written down
here by hand from RFC 8446, 4.4.3 and RFC 8422, 5.4.
"""
import array
import base64
import concurrent.futures
import hashlib
import os
import signal
import ssl
import time

import pytest

import postern
import tls
from postern import eventually
from puppet import LOGIN, REPLY, SIGN, Puppet, login, sign, text, u32

PLACES = {"default": 0, **{kind: n + 1 for n, kind in enumerate(tls.KINDS)}}
SERVER = b"TLS 1.3, server CertificateVerify"
CLIENT = b"TLS 1.3, client CertificateVerify"

PKCS1 = {0x0401: "sha256", 0x0501: "sha384", 0x0601: "sha512"}
PSS = {0x0804: "sha256", 0x0805: "sha384", 0x0806: "sha512"}
ECDSA = {0x0403: "sha256", 0x0503: "sha384", 0x0603: "sha512"}
ED25519 = {0x0807: None}
HASHES = {**PKCS1, **PSS, **ECDSA, **ED25519}
SCHEMES13 = {"p256": [0x0403], "p384": [0x0503], "rsa2048": list(PSS),
             "rsa4096": list(PSS), "ed25519": [0x0807]}
SCHEMES12 = {"p256": list(ECDSA), "p384": list(ECDSA),
             "rsa2048": [*PKCS1, *PSS], "rsa4096": [*PKCS1, *PSS],
             "ed25519": [0x0807]}
ODD = (0, 1, 0x0101, 0x0201, 0x0203, 0x0402, 0x0703, 0x0808, 0x0809, 0x080a,
       0x081a, 0xfeff, 0x10403, 0xffffffff)


def proof13(size=32, words=SERVER, spaces=64, separator=b"\0"):
    return b" " * spaces + words + separator + os.urandom(size)


def exchange12(curve=29, point=None, length=None, kind=3):
    if point is None:
        point = {23: b"\4" + os.urandom(64), 24: b"\4" + os.urandom(96),
                 25: b"\4" + os.urandom(132), 29: os.urandom(32),
                 30: os.urandom(56)}[curve]
    return os.urandom(64) + bytes([kind]) + curve.to_bytes(2, "big") \
        + bytes([len(point) if length is None else length]) + point


@pytest.fixture(scope="module")
def pop(puppets):
    return puppets("pop3d", tls.configuration(*tls.KINDS))


# (b) What an evil worker has signed

def verifies(kind, scheme, content, signature):
    """By the certificate's public key, as a client would."""
    pair = tls.certificates()[kind]
    base = "%s/verify-%d-%s" % (tls.DIR, scheme, kind)
    tls.openssl("x509", "-in", pair.chain, "-noout", "-pubkey", "-out",
                base + ".pub")
    postern.write(base + ".in", content)
    postern.write(base + ".sig", signature)
    options = []
    if HASHES[scheme] is not None:
        options += ["-digest", HASHES[scheme]]
    if scheme in PSS:
        options += ["-pkeyopt", "rsa_padding_mode:pss",
                    "-pkeyopt", "rsa_pss_saltlen:digest"]
    return b"Verified Successfully" in tls.openssl(
        "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", base + ".pub",
        "-in", base + ".in", "-sigfile", base + ".sig", *options)


@pytest.mark.parametrize("kind", sorted(tls.KINDS))
def test_what_a_handshake_needs_is_signed(pop, kind):
    """Each scheme of each version that the kind has; each one verifies."""
    faults = pop.gate_faults()
    for scheme in SCHEMES13[kind]:
        for size in (32, 48):
            content = proof13(size)
            with Puppet(pop) as puppet:
                signature = puppet.sign(PLACES[kind], scheme, content)
            assert verifies(kind, scheme, content, signature), hex(scheme)
    for scheme in SCHEMES12[kind]:
        content = exchange12((23, 24, 29)[scheme % 3])
        with Puppet(pop) as puppet:
            signature = puppet.sign(PLACES[kind], scheme, content)
        assert verifies(kind, scheme, content, signature), hex(scheme)
    assert pop.gate_faults() == faults


def to_be_signed(kind):
    """The part of a certificate that its issuer signs."""
    der = tls.certificates()[kind].der()
    return der[4:4 + 4 + int.from_bytes(der[6:8], "big")]


def bad_contents():
    proof, exchange = proof13(), exchange12()
    return [
        b"", b"\0", os.urandom(20), os.urandom(32), os.urandom(48),
        os.urandom(64), os.urandom(98), os.urandom(130), os.urandom(512),
        to_be_signed("default"),
        # Another role's, another version's, another protocol's proofs.
        proof13(words=CLIENT), proof13(48, words=CLIENT),
        proof13(words=b"TLS 1.4, server CertificateVerify"),
        proof13(words=b"QUIC 1, server CertificateVerify\0"),
        proof13(words=SERVER.lower()),
        b"\0" * 64 + proof[64:], b"\t" * 64 + proof[64:],
        b"SSHSIG" + os.urandom(124),
        # Cut, grown, moved.
        proof[:-1], proof + b"\0", proof[1:], b" " + proof, proof * 2,
        proof[:98], proof[:97], proof[:64], proof[:63],
        proof13(0), proof13(20), proof13(31), proof13(33), proof13(47),
        proof13(49), proof13(64), proof13(spaces=63), proof13(spaces=65),
        proof13(separator=b""), proof13(separator=b" "),
        proof13(separator=b"\0\0"), proof13(separator=b"\1"),
        # Key exchanges that are none of a curve by its name.
        exchange[:-1], exchange + b"\0", exchange[1:], exchange * 2,
        exchange[:64], exchange[:65], exchange[:67], exchange[:68],
        exchange12(kind=1), exchange12(kind=2), exchange12(kind=0),
        exchange12(length=0), exchange12(length=31), exchange12(length=33),
        exchange12(length=255), exchange12(point=b""),
        exchange12(point=os.urandom(31)), exchange12(point=os.urandom(33)),
        exchange12(23, os.urandom(32)), exchange12(23, b"\4" + bytes(63)),
        exchange12(23, b"\2" + os.urandom(32)),
        exchange12(23, b"\2" + os.urandom(64)),
        exchange12(24, b"\4" + os.urandom(64)),
        exchange12(22, b"\4" + os.urandom(64)),
        exchange12(29, b"\4" + os.urandom(64)),
        exchange12(0xff01, os.urandom(32)), exchange12(0, b"\4" * 65),
        # Finite-field groups (RFC 7919), and DHE's own parameters.
        exchange12(256, os.urandom(256 - 1)),
        os.urandom(64) + b"\1\0" + os.urandom(256) + b"\0\1\2",
    ]


def bad_requests():
    """(what, request number, payload, descriptors): none of them is granted."""
    found = [("content %d %r" % (len(c), c[:80]), SIGN, sign(
        PLACES["p256"], 0x0403, c), 0) for c in bad_contents()]
    found += [("content as RSA's %r" % c[:80], SIGN, sign(
        PLACES["rsa2048"], 0x0401, c), 0) for c in (
            os.urandom(32), proof13(), to_be_signed("default"),
            bytes.fromhex("3031300d060960864801650304020105000420")
            + os.urandom(32))]
    found += [("content as Ed25519's", SIGN, sign(
        PLACES["ed25519"], 0x0807, c), 0) for c in (
            os.urandom(32), proof13(words=CLIENT), b"SSHSIG" + bytes(60))]
    for kind in tls.KINDS:
        for scheme in (*HASHES, *ODD):
            if scheme not in SCHEMES13[kind]:
                found.append(("1.3 %s %#x" % (kind, scheme), SIGN, sign(
                    PLACES[kind], scheme, proof13()), 0))
            if scheme not in SCHEMES12[kind]:
                found.append(("1.2 %s %#x" % (kind, scheme), SIGN, sign(
                    PLACES[kind], scheme, exchange12()), 0))
    found += [("key %#x" % key, SIGN, sign(key, 0x0403, proof13()), 0)
              for key in (len(PLACES), 33, 255, 0x7fffffff, 0x80000000,
                          0xffffffff)]
    good = sign(0, 0x0403, proof13())
    found += [("type %#x" % number, number, payload, 0) for number, payload in (
        (0, good), (0x400, good), (0x402, good), (SIGN | REPLY, good),
        (LOGIN, login("bob")), (LOGIN, good), (0x101, b""), (0x201, b""),
        *((n, b"") for n in range(2, 14)), (0xffffffff, good))]
    found += [("shape", SIGN, payload, 0) for payload in (
        b"", good[:4], good[:8], good[:12], good[:-1], good + b"\0",
        good + u32(0), u32(0) + u32(0x0403) + u32(0xffffffff) + proof13(),
        u32(0) + u32(0x0403) + u32(200) + proof13(),
        u32(0) + text(proof13()), sign(0, 0x0403, proof13(8000)),
        sign(0, 0x0403, bytes(513)))]
    found += [("%d descriptors" % n, SIGN, good, n) for n in (1, 2, 16)]
    return found


def test_nothing_else_is_signed(pop):
    """Each is refused without a word, is the end of what the signer has to say
    to that session, and is logged; it harms nobody else."""
    cases = bad_requests()
    assert len(cases) > 200
    faults, generations = pop.gate_faults(), pop.generations()

    def ask(what, number, payload, descriptors):
        with Puppet(pop) as puppet:
            answer = puppet.ask_signer(number, payload, descriptors)
            assert answer is None, "%s was answered: %r" % (what, answer)
            assert puppet.sign(0, 0x0403, proof13()) is None, what
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(ask, *case) for case in cases]:
            future.result()
    eventually(lambda: pop.gate_faults() >= faults + len(cases),
               "%d faults, %d there" % (len(cases),
                                        pop.gate_faults() - faults))
    assert pop.gate_faults() == faults + len(cases)
    assert all("gates=signer" in line and "session=" in line and
               "client=127.0.0.1" in line
               for line in pop.log("event=gate-fault")[faults:])
    assert pop.generations() == generations and not pop.crashes()
    pop.check_log()


def test_one_signature_a_session(pop):
    """However it is asked for: one, and no second one."""
    faults = pop.gate_faults()
    with Puppet(pop) as puppet:
        assert puppet.sign(0, 0x0403, proof13()) is not None
        assert puppet.sign(0, 0x0403, proof13()) is None
        assert puppet.sign(0, 0x0403, proof13()) is None
    # All at once: the signer has the others before it when it has signed one.
    signer, = pop.processes("signer")
    with Puppet(pop) as puppet:
        postern.kill(signer.pid, signal.SIGSTOP)
        try:
            for _ in range(3):
                puppet.send_signer(SIGN, sign(0, 0x0403, proof13()))
        finally:
            postern.kill(signer.pid, signal.SIGCONT)
        assert puppet.collect_signer().type == SIGN | REPLY
        assert puppet.collect_signer() is None
    pop.wait_log("event=gate-fault", faults + 1)
    with Puppet(pop) as puppet:			# another key, another version
        assert puppet.sign(PLACES["rsa2048"], 0x0804, proof13()) is not None
        assert puppet.sign(PLACES["p256"], 0x0403, exchange12()) is None
    with Puppet(pop) as puppet:			# a refused one was the one
        assert puppet.sign(0, 0x0403, os.urandom(32)) is None
        assert puppet.sign(0, 0x0403, proof13()) is None
    with Puppet(pop) as puppet:			# not after a login, either
        postern.clear("bob")
        assert puppet.sign(0, 0x0403, proof13()) is not None
        puppet.opened("bob")
        assert puppet.sign(0, 0x0403, proof13()) is None
    pop.wait_log("event=gate-fault", faults + 2)


def test_the_gate_is_not_the_signers(pop):
    """SIGN asked of login, and LOGIN of the signer, are faults alike."""
    faults = pop.gate_faults()
    with Puppet(pop) as puppet:
        assert puppet.ask(SIGN, sign(0, 0x0403, proof13())) is None
    with Puppet(pop) as puppet:
        assert puppet.ask_signer(LOGIN, login("bob")) is None
    pop.wait_log("event=gate-fault", faults + 2)


def test_C12_faults_count_against_the_address(puppets):
    daemon = puppets("pop3d", tls.configuration("p256")
                     + "limits-exempt 127.0.0.1\n")
    for n in range(5):
        with Puppet(daemon, "127.0.0.80") as puppet:
            assert puppet.sign(0, 0x0403, os.urandom(32)) is None
            daemon.wait_log("event=gate-fault gates=signer", n + 1)
            time.sleep(0.05)

    def refused():
        with postern.Dialogue(daemon, "127.0.0.80") as client:
            return client.line().startswith(b"-ERR [SYS/TEMP]")
    eventually(refused, "the address is refused")
    Puppet(daemon, "127.0.0.81").close()


# (a) Where the keys are

def components(kind):
    """What of a key is secret, as big-endian octets: {name: octets}."""
    pair = tls.certificates()[kind]
    if kind.startswith("rsa"):
        der = tls.openssl("rsa", "-in", pair.key, "-traditional", "-outform",
                          "DER").partition(b"writing RSA key\n")
        return dict(zip(("d", "p", "q", "dp", "dq", "qinv"),
                        integers(der[2] or der[0])[3:]))
    der = tls.openssl("pkey", "-in", pair.key, "-outform", "DER")
    if kind == "ed25519":
        return {"seed": der[-32:]}
    size = {"p256": 32, "p384": 48}[kind]
    at = der.index(b"\x02\x01\x01\x04" + bytes([size])) + 5
    return {"scalar": der[at:at + size]}


def integers(der):
    """Those of a SEQUENCE of nothing else."""
    def length(at):
        if der[at] < 0x80:
            return der[at], at + 1
        count = der[at] & 0x7f
        return int.from_bytes(der[at + 1:at + 1 + count], "big"), \
            at + 1 + count
    _, at = length(1)
    found = []
    while at < len(der):
        assert der[at] == 2, at
        size, at = length(at + 1)
        found.append(der[at:at + size].lstrip(b"\0"))
        at += size
    return found


def base64_of(kind, secret):
    """The characters of the PEM file that hold nothing but these octets."""
    with open(tls.certificates()[kind].key, encoding="ascii") as file:
        lines = [line for line in file.read().split("\n")
                 if line and not line.startswith("-")]
    der = base64.b64decode("".join(lines))
    begin, found = der.index(secret), []
    end = begin + len(secret)
    for number, line in enumerate(lines):
        first = number * 48		# the octet that a line begins with
        chars = [n for n in range(0, len(line), 4)
                 if first + n // 4 * 3 >= begin
                 and first + n // 4 * 3 + 3 <= end]
        if chars:
            found.append(line[chars[0]:chars[-1] + 4].encode())
    return found


def windows():
    """Every eight octets of every form of every secret: {word: whose}.

    So whatever copy there is, at whatever address, one of the aligned words
    of memory that it covers is among them.
    """
    found = {}
    for kind in tls.KINDS:
        for name, secret in components(kind).items():
            for form, octets in (("octets", secret),
                                 ("limbs", secret[::-1]),
                                 *(("PEM", t) for t in base64_of(
                                     kind, secret))):
                for at in range(len(octets) - 7):
                    word = int.from_bytes(octets[at:at + 8], "little")
                    found[word] = (kind, name, form)
    return found


def memory(pid):
    """The process's readable memory in pieces."""
    with open("/proc/%d/maps" % pid, encoding="ascii") as maps, \
            open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for line in maps:
            words = line.split(None, 5)
            begin, end = (int(x, 16) for x in words[0].split("-"))
            if words[1][0] != "r" or "[v" in line:
                continue
            try:
                mem.seek(begin)
                yield mem.read(end - begin)
            except OSError:		# not there any more, or a device's
                pass


def found_in(pid, wanted, clean):
    """{(kind, component, form)} that this process's memory holds.

    What is the same in many, as forks are, is looked through but once.
    """
    found, total = set(), 0
    for piece in memory(pid):
        total += len(piece)
        for at in range(0, len(piece), 65536):
            part = piece[at:at + 65536]
            digest = hashlib.sha1(part).digest()
            if digest in clean:
                continue
            words = array.array("Q", part[:len(part) // 8 * 8])
            hits = wanted.keys() & set(words)
            found.update(wanted[word] for word in hits)
            if not hits:
                clean.add(digest)
    assert total > 100000, "could not read process %d" % pid
    return found


def hold_handshake(daemon, name):
    """A client that has the server's flight and sends nothing more."""
    talk = postern.Dialogue(tls.Service(daemon, "pop3s", clear=True))
    talk.send(tls.hello(versions=(0x0304,), suites=tls.SUITES13, name=name))
    assert tls.record(talk.sock)[1][0] == 2
    while tls.record(talk.sock)[0] != tls.APPLICATION:
        pass
    return talk


@pytest.mark.skipif(postern.SANITIZED, reason="its memory is not as shipped")
def test_the_keys_are_in_the_signer_only(host, daemons, users):
    """Of all kinds, in every form, while sessions of every sort go on."""
    daemon = daemons("pop3d", tls.configuration(*tls.KINDS), also=("pop3s",))
    names = users(10)
    held, number = [], 0
    for kind in tls.KINDS:
        name = tls.host_of(kind)
        held.append(hold_handshake(daemon, name))
        for version in tls.VERSIONS.values():
            held.append(tls.pop(daemon, ("pop3", "pop3s")[number % 2],
                                tls.context(version), name,
                                user=names[number]))
            number += 1
        held.append(tls.pop(daemon, name=name))
    assert isinstance(held[1].sock, ssl.SSLSocket)
    wanted, clean, roles = windows(), set(), {}
    for process in daemon.processes():
        found = found_in(process.pid, wanted, clean)
        roles.setdefault(process.role, []).append(found)
        if process.role != "signer":
            assert found == set(), process
    assert set(roles) == {"pop3d", "pop3d-worker", "login", "pop3d-agents",
                          "signer"}
    assert len(roles["pop3d-worker"]) > 20		# 20 that serve, spawner
    assert len(roles["pop3d-agents"]) == 11
    # And this search finds what is there.
    found, = roles["signer"]
    for kind in tls.KINDS:
        for name in components(kind):
            assert {f for k, n, f in found if (k, n) == (kind, name)}, \
                "the search does not find %s of %s" % (name, kind)
    for talk in held:
        talk.close()


@pytest.mark.skipif(postern.SANITIZED, reason="its memory is not as shipped")
def test_nobody_else_can_open_them(host, daemons):
    """No descriptor of another role leads to a key; the master's own, which
    it hands to the next signer, is the one that is known."""
    daemon = daemons("pop3d", tls.configuration(*tls.KINDS), also=("pop3s",))
    wanted = windows()
    with tls.pop(daemon):
        for process in daemon.processes():
            for name in os.listdir("/proc/%d/fd" % process.pid):
                path = "/proc/%d/fd/%s" % (process.pid, name)
                if not os.path.isfile(path) or process.role in (
                        "pop3d", "signer"):
                    continue
                with open(path, "rb") as file:
                    data = file.read()
                assert b"PRIVATE KEY" not in data, (process, name)
                for at in range(8):
                    words = array.array("Q", data[at:at + (
                        len(data) - at) // 8 * 8])
                    assert not wanted.keys() & set(words), (process, name)
