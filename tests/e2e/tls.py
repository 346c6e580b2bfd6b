"""TLS in the tests: certificates of every kind and fault, and dialogues in it.

certificates() makes, once a run, below BASE/tls-test: a CA, a certificate of
each kind of key for a name of its own, and some that no client should take.
"""
import concurrent.futures
import os
import socket
import ssl
import struct
import subprocess

import postern

DIR = postern.BASE + "/tls-test"
CA = DIR + "/ca.pem"
HOST = "mx.example.test"		# what the default certificate is for
KINDS = {
    "p256": ("EC", "ec_paramgen_curve:P-256"),
    "p384": ("EC", "ec_paramgen_curve:P-384"),
    "rsa2048": ("RSA", "rsa_keygen_bits:2048"),
    "rsa4096": ("RSA", "rsa_keygen_bits:4096"),
    "ed25519": ("ED25519", None),
}
FAULTS = ("expired", "wrong", "selfsigned")
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = {"1.2": TLS12, "1.3": TLS13}
IMPLICIT = ("pop3s", "submissions")

_made = {}


class Pair:
    """A certificate (with its chain) and its key, both PEM."""

    def __init__(self, name):
        self.name = name
        self.chain, self.key = DIR + "/" + name + ".pem", DIR + "/" + name \
            + ".key"

    def text(self):
        with open(self.chain, encoding="ascii") as file:
            return file.read()

    def der(self):
        """The leaf, as a client sees it."""
        return ssl.PEM_cert_to_DER_cert(self.text().partition(
            "-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")

    def install(self, chain, key):
        """As an administrator replaces files that are in use."""
        postern.write(chain, self.text())
        with open(self.key, "rb") as file:
            postern.write(key, file.read(), 0o600)


def host_of(kind):
    """The name by which a daemon with configuration() has this one."""
    return HOST if kind == "default" else kind + ".example.test"


def openssl(*arguments, **how):
    done = subprocess.run(["openssl", *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, timeout=300, **how)
    assert done.returncode == 0, (arguments, done.stdout[-2000:])
    return done.stdout


def make_key(path, kind):
    algorithm, option = KINDS[kind]
    openssl("genpkey", "-algorithm", algorithm, "-out", path,
            *(("-pkeyopt", option) if option else ()))
    os.chmod(path, 0o600)


def make(name, kind, names, ca="ca"):
    """A certificate for these names; by itself if ca is None."""
    pair = Pair(name)
    make_key(pair.key, kind)
    alternatives = ",".join("IP:" + n if n[0].isdigit() else "DNS:" + n
                            for n in names)
    by = ("-CA", DIR + "/" + ca + ".pem", "-CAkey", DIR + "/" + ca + ".key"
          ) if ca else ()
    openssl("req", "-x509", *by, "-key", pair.key, "-out", pair.chain,
            "-subj", "/CN=" + names[0], "-days", "30",
            "-addext", "subjectAltName=" + alternatives,
            "-addext", "basicConstraints=critical,CA:FALSE",
            "-addext", "keyUsage=critical,digitalSignature",
            "-addext", "extendedKeyUsage=serverAuth")
    if ca not in (None, "ca"):
        with open(pair.chain, "a", encoding="ascii") as file, \
                open(DIR + "/" + ca + ".pem", encoding="ascii") as above:
            file.write(above.read())
    return pair


def make_authority(name, ca=None):
    pair = Pair(name)
    make_key(pair.key, "p256")
    by = ("-CA", DIR + "/" + ca + ".pem", "-CAkey", DIR + "/" + ca + ".key"
          ) if ca else ()
    openssl("req", "-x509", *by, "-key", pair.key, "-out", pair.chain,
            "-subj", "/CN=Postern test " + name, "-days", "30",
            "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign")


def make_expired(name, names):
    """One that ended yesterday: only `openssl ca' makes it."""
    pair = make(name, "p256", names)
    work = DIR + "/db"
    os.makedirs(work)
    for file, text in (("index", ""), ("serial", "1000\n"), ("conf", (
            "[ca]\ndefault_ca=x\n[x]\ndatabase=%s/index\nserial=%s/serial\n"
            "new_certs_dir=%s\ndefault_md=sha256\npolicy=p\n"
            "copy_extensions=copy\n[p]\ncommonName=supplied\n"
            % (work, work, work)))):
        postern.write(work + "/" + file, text)
    openssl("req", "-new", "-key", pair.key, "-out", work + "/csr",
            "-subj", "/CN=" + names[0],
            "-addext", "subjectAltName=DNS:" + names[0])
    openssl("ca", "-batch", "-notext", "-config", work + "/conf",
            "-in", work + "/csr", "-out", pair.chain, "-cert", CA,
            "-keyfile", DIR + "/ca.key", "-startdate", "20240101000000Z",
            "-enddate", "20240201000000Z")
    return pair


def certificates():
    """{kind or fault: Pair}; and names for them in /etc/hosts."""
    if _made:
        return _made
    os.makedirs(DIR, 0o755)
    make_authority("ca")
    make_authority("inner", "ca")
    local = (HOST, "localhost", "127.0.0.1")
    jobs = {kind: (make, kind, kind, (host_of(kind),) + local,
                   "inner" if kind == "rsa2048" else "ca") for kind in KINDS}
    jobs.update({
        "default": (make, "default", "p256", local),
        "renewed": (make, "renewed", "p256", local),
        "wild": (make, "wild", "p256", ("*.wild.example.test",)),
        "expired": (make_expired, "expired", (host_of("expired"),)),
        "wrong": (make, "wrong", "p256", ("elsewhere.example.test",)),
        "selfsigned": (make, "selfsigned", "p256", (host_of("selfsigned"),),
                       None),
    })
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        futures = {name: pool.submit(*job) for name, job in jobs.items()}
        _made.update({name: f.result() for name, f in futures.items()})
    with open("/etc/hosts", "a", encoding="ascii") as hosts:
        hosts.write("127.0.0.1 %s a.wild.example.test\n" % " ".join(
            host_of(name) for name in jobs))
    return _made


def configuration(*names):
    """Configuration lines: the default pair, and others by their names."""
    made = certificates()
    lines = ["tls-certificate " + made["default"].chain,
             "tls-key " + made["default"].key]
    for name in names or (*KINDS, *FAULTS, "wild"):
        lines.append("tls-certificate %s %s %s" % (
            "*.wild.example.test" if name == "wild" else host_of(name),
            made[name].chain, made[name].key))
    return "\n".join(lines) + "\n"


# The client's side

def context(version=None, verify=True, alpn=None):
    """A client's; version is the only one that it speaks."""
    made = ssl.create_default_context(cafile=CA if _made else None)
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if version is not None:
        made.minimum_version = made.maximum_version = version
    if alpn is not None:
        made.set_alpn_protocols(alpn)
    return made


class Service:
    """A daemon by way of another of its services, for Pop and Smtp.

    With TLS from the beginning where the service has it so.
    """

    def __init__(self, daemon, service, ctx=None, name=HOST, clear=False):
        self.daemon, self.service = daemon, service
        self.context, self.name = ctx, name
        self.clear = clear or service not in IMPLICIT

    def connect(self, source=None, address=None):
        sock = socket.create_connection(
            (address or self.daemon.addresses[0],
             self.daemon.ports[self.service]), timeout=postern.PATIENCE * 3,
            source_address=(source, 0) if source else None)
        return sock if self.clear else wrap(sock, self.context, self.name)


def wrap(sock, ctx=None, name=HOST):
    return (ctx or context()).wrap_socket(sock, server_hostname=name)


def upgrade(talk, ctx=None, name=HOST):
    """STLS or STARTTLS in a Pop or Smtp; it goes on inside TLS."""
    if isinstance(talk, postern.Pop):
        talk.ok("STLS")
    else:
        talk.expect("STARTTLS", 220)
    assert talk.buffer == b"", "in the clear, behind its reply: %r" \
        % talk.buffer
    talk.sock = wrap(talk.sock, ctx, name)
    return talk


def pop(daemon, way="pop3s", ctx=None, name=HOST, user=None, **how):
    """A Pop inside TLS, by "pop3s" or (STLS) "pop3"."""
    talk = postern.Pop(Service(daemon, way, ctx, name), **how)
    if way not in IMPLICIT:
        upgrade(talk, ctx, name)
    if user is not None:
        talk.ok("USER " + user)
        talk.ok("PASS " + postern.password(user))
    return talk


def smtp(daemon, way="submissions", ctx=None, name=HOST,
         hello="EHLO client.example.test", **how):
    """A Smtp inside TLS, by any of its three services."""
    if way in IMPLICIT:
        return postern.Smtp(Service(daemon, way, ctx, name), hello, **how)
    talk = upgrade(postern.Smtp(Service(daemon, way), **how), ctx, name)
    if hello is not None:
        talk.expect(hello, 250)
    return talk


# Octet by octet, for what no library would send

# The only suites of TLS 1.2 that the server may choose.
ECDSA_SUITES = (0xc02b, 0xc02c, 0xcca9)
RSA_SUITES = (0xc02f, 0xc030, 0xcca8)
SUITES13 = (0x1301, 0x1302, 0x1303)
ALERT, HANDSHAKE, APPLICATION = 21, 22, 23
PROTOCOL_VERSION, HANDSHAKE_FAILURE, NO_PROTOCOL = 70, 40, 120


def _vector(data, size):
    return len(data).to_bytes(size, "big") + data


def _extension(number, data):
    return struct.pack(">H", number) + _vector(data, 2)


def hello(legacy=0x0303, versions=(), suites=ECDSA_SUITES + RSA_SUITES,
          compression=b"\0", name=HOST, extra=b""):
    """A ClientHello as one record or several."""
    def words(*numbers):
        return b"".join(struct.pack(">H", n) for n in numbers)
    extensions = _extension(0, _vector(b"\0" + _vector(name.encode(), 2), 2)) \
        if name else b""
    extensions += _extension(10, _vector(words(29, 23, 24), 2))
    extensions += _extension(11, _vector(b"\0", 1))
    extensions += _extension(13, _vector(words(
        0x0403, 0x0503, 0x0807, 0x0804, 0x0805, 0x0401, 0x0501), 2))
    if versions:
        extensions += _extension(43, _vector(words(*versions), 1))
        extensions += _extension(51, _vector(
            words(29) + _vector(os.urandom(32), 2), 2))
    extensions += extra
    body = struct.pack(">H", legacy) + os.urandom(32) + _vector(b"", 1) \
        + _vector(words(*suites), 2) + _vector(compression, 1)
    if legacy > 0x0300:
        body += _vector(extensions, 2)
    message = b"\x01" + _vector(body, 3)
    return b"".join(
        b"\x16" + struct.pack(">H", min(legacy, 0x0301))
        + _vector(message[at:at + 16384], 2)
        for at in range(0, len(message), 16384))


def record(sock):
    """The next one as (type, content); None at the end."""
    def exactly(count):
        data = b""
        while len(data) < count:
            more = sock.recv(count - len(data))
            if not more:
                return None
            data += more
        return data
    try:
        head = exactly(5)
        if head is None:
            return None
        content = exactly(int.from_bytes(head[3:], "big"))
    except ConnectionResetError:
        return None
    return None if content is None else (head[0], content)


def answer_to(daemon, octets, service="pop3s"):
    """What a raw first flight gets: "server-hello", an alert's number, None."""
    with Service(daemon, service, clear=True).connect() as sock:
        sock.settimeout(postern.PATIENCE)
        sock.sendall(octets)
        got = record(sock)
        if got is None:
            return None
        if got[0] == ALERT:
            return got[1][1]
        assert got[0] == HANDSHAKE and got[1][0] == 2, got
        return "server-hello"


def s_client(daemon, service, *arguments, stdin=b"", name=HOST,
             timeout=postern.PATIENCE):
    """openssl s_client: (status, all that it printed)."""
    start = {"pop3": ("-starttls", "pop3"), "smtp": ("-starttls", "smtp"),
             "submission": ("-starttls", "smtp")}.get(service, ())
    done = subprocess.run(
        ["openssl", "s_client", "-connect",
         "127.0.0.1:%d" % daemon.ports[service], "-servername", name,
         "-CAfile", CA, *start, *arguments], input=stdin,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
        check=False)
    return done.returncode, done.stdout.decode("latin-1")
