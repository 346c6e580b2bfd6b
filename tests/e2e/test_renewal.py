"""Certificates that are renewed, broken, missing, under sessions that go on."""
import concurrent.futures
import os
import re
import socket
import stat

import pytest

import postern
import tls
from postern import Pop, eventually, put_message

SESSIONS = 200
SHORT = b"Subject: x\n\nHello.\n"


@pytest.fixture(scope="module")
def crowd(host):
    """Accounts enough for as many sessions: each has its mailbox alone."""
    names = ["renew%03d" % n for n in range(SESSIONS)]
    if names[0] not in host.accounts.people:
        for offset, name in enumerate(names):
            host.accounts.add(name, 3000 + offset, host.password(name))
        host.accounts.write()
    for name in names:
        host.accounts.make_home(name)
        put_message(name, SHORT)
    return names


def place(name):
    """(chain, key): paths for a daemon's pair, nothing there yet."""
    directory = tls.DIR + "/live-" + name
    os.makedirs(directory)
    return directory + "/cert.pem", directory + "/key.pem"


def settings(chain, key):
    return ("tls-certificate %s\ntls-key %s\n" % (chain, key)
            + "max-sessions 500\nmax-sessions-per-source 500\n"
            + "login-timeout 1h\n")


def served(daemon):
    with tls.pop(daemon, ctx=tls.context(verify=False)) as pop:
        pop.multi("CAPA")
        return pop.sock.getpeercert(True)


def reload(daemon):
    """SIGHUP, until a generation with what is new serves."""
    before = len(daemon.log("event=generation "))
    daemon.reload()
    daemon.wait_log("event=generation ", before + 1)


def in_threads(function, cases):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(function, *zip(*cases)))


def test_200_sessions_ten_renewals(daemons, crowd):
    """None in flight notices; who comes after sees what is new."""
    made = tls.certificates()
    chain, key = place("renewed")
    made["default"].install(chain, key)
    daemon = daemons("pop3d", settings(chain, key), also=("pop3s",))

    def begin(number, name):
        return tls.pop(daemon, ("pop3s", "pop3")[number % 2], user=name)
    sessions = in_threads(begin, list(enumerate(crowd)))
    # Sent to a worker before, they shake hands after it.
    late = []
    for number in range(10):
        late.append(socket.create_connection(
            ("127.0.0.1", daemon.ports["pop3s"])))
        late[-1].settimeout(postern.PATIENCE)
        pair = made[("renewed", "default")[number % 2]]
        # Who comes after it was handed out after it.
        served(daemon)
        pair.install(chain, key)
        reload(daemon)
        assert served(daemon) == pair.der()
    for number, sock in enumerate(late):
        with tls.wrap(sock) as secure:
            assert secure.recv(3) == b"+OK"
            assert secure.getpeercert(True) == made[
                ("default", "renewed")[number % 2]].der()

    def finish(pop):
        assert pop.stat() == (1, len(SHORT) + 3)
        assert pop.retr(1) == SHORT.replace(b"\n", b"\r\n")
        pop.ok("DELE 1")
        assert pop.quit().startswith("+OK")
    in_threads(finish, [(pop,) for pop in sessions])
    assert not [name for name in crowd if postern.message_files(name)]
    assert len(daemon.log("event=generation ")) == 11
    # What the old ones served with goes with their last sessions.
    daemon.wait_no_session()
    eventually(lambda: len(daemon.processes("signer")) == 1, "one signer")
    assert not daemon.log("worker-crash|role-ended|no-signature|gate-fault")


def make_cases(made, other, chain, key):
    """What can be wrong with a pair: (name, how to make it, complaint)."""
    def write(path, text, mode=0o600):
        return lambda: postern.write(path, text, mode)

    def text_of(path):
        with open(path, encoding="ascii") as file:
            return file.read()
    good_key = text_of(made.key)
    encrypted = tls.openssl("pkey", "-in", made.key, "-aes128", "-passout",
                            "pass:x").decode()
    p521 = tls.openssl("genpkey", "-algorithm", "EC", "-pkeyopt",
                       "ec_paramgen_curve:P-521").decode()
    postern.write(tls.DIR + "/p521.key", p521, 0o600)
    tls.openssl("req", "-x509", "-key", tls.DIR + "/p521.key", "-subj", "/CN=x",
                "-out", tls.DIR + "/p521.pem")
    postern.write(tls.DIR + "/rsa1024.key", tls.openssl(
        "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"))
    tls.openssl("req", "-x509", "-key", tls.DIR + "/rsa1024.key", "-subj",
                "/CN=x", "-out", tls.DIR + "/rsa1024.pem")

    def install(name):
        pair = tls.Pair(name)
        return lambda: pair.install(chain, key)

    def link_of_another():
        os.unlink(key)
        os.symlink(other.key, key)
        os.chown(other.key, 2000, 2000)
    return [
        ("another's key", write(key, text_of(other.key)), key),
        ("another's certificate", write(chain, other.text()), ""),
        ("no PEM", write(key, "garbage\n"), key),
        ("no PEM certificate", write(chain, "garbage\n"), chain),
        ("cut", write(chain, made.text()[:300]), chain),
        ("cut key", write(key, good_key[:100]), key),
        ("two swapped", write(chain, good_key), chain),
        ("a key in the certificate's file",
         write(chain, made.text() + good_key, 0o600), chain),
        ("empty", write(key, ""), key),
        ("encrypted", write(key, encrypted), key),
        ("readable by all", lambda: os.chmod(key, 0o644), key),
        ("writable by a group", lambda: os.chmod(key, 0o620), key),
        ("certificate writable", lambda: os.chmod(chain, 0o666), chain),
        ("somebody's key", lambda: os.chown(key, 2000, 2000), key),
        ("no key", lambda: os.unlink(key), key),
        ("no certificate", lambda: os.unlink(chain), chain),
        ("a directory", lambda: (os.unlink(key), os.mkdir(key)), key),
        ("a FIFO", lambda: (os.unlink(key), os.mkfifo(key, 0o600)), key),
        ("a link to somebody's", link_of_another, key),
        ("too large", write(key, good_key + "\n" * 300000), key),
        ("P-521", install("p521"), chain),
        ("RSA of 1024 bits", install("rsa1024"), chain),
    ]


def test_a_broken_pair_is_refused(daemons):
    """Each kind of fault: logged with its file, the old pair serves on, as
    does a session; and a good one is taken afterwards."""
    made = tls.certificates()
    chain, key = place("broken")
    made["default"].install(chain, key)
    other = tls.make("another", "p256", ("another.example.test",))
    daemon = daemons("pop3d", settings(chain, key), also=("pop3s",))
    with tls.pop(daemon) as going_on:
        for name, spoil, complaint in make_cases(
                made["renewed"], other, chain, key):
            made["renewed"].install(chain, key)
            spoil()
            said = len(daemon.lines)
            generations = len(daemon.log("event=generation "))
            daemon.reload()

            def told(said=said, complaint=complaint):
                return [line for line in daemon.lines[said:]
                        if complaint in line and re.search(
                            "event=(certificate|reload-failed|fatal) ", line)]
            eventually(told, "a word about " + name)
            eventually(lambda: not starting(daemon), "the end of it")
            assert served(daemon) == made["default"].der(), name
            assert len(daemon.log("event=generation ")) == generations, name
            going_on.ok("CAPA")
            going_on.body()
            if os.path.isdir(key):
                os.rmdir(key)
            elif os.path.lexists(key):
                os.unlink(key)
        made["renewed"].install(chain, key)
        reload(daemon)
        assert served(daemon) == made["renewed"].der()
        going_on.quit()
    eventually(lambda: len(daemon.processes("signer")) == 1, "one signer")
    eventually(lambda: len(daemon.processes("login")) == 1, "one login")
    # Not a word of what is in the files.
    assert not daemon.log("PRIVATE|BEGIN|MII|MHc")


def starting(daemon):
    """Is there more of the daemon than one generation's roles?"""
    return len(daemon.processes("login")) > 1


def test_a_broken_start_is_refused(daemons):
    """With such a pair it does not start at all, and says why."""
    made = tls.certificates()
    for spoil in ("key", "chain"):
        chain, key = place("start-" + spoil)
        made["default"].install(chain, key)
        path = key if spoil == "key" else chain
        postern.write(path, "garbage\n", 0o600)
        daemon = postern.Daemon("pop3d", settings(chain, key),
                                also=("pop3s",)).start(wait=False)
        assert daemon.process.wait(postern.PATIENCE) != 0
        eventually(lambda d=daemon, p=path: d.log(re.escape(p)), "the reason")
        daemon.wait_nothing_left()


def test_first_start_makes_one(daemons):
    """Self-signed, ECDSA, for the host's name; the key is root's alone; the
    other daemon, and the next start, use the same."""
    tls.certificates()
    chain, key = tls.DIR + "/first/tls/cert.pem", \
        tls.DIR + "/first/tls/key.pem"
    os.makedirs(tls.DIR + "/first")
    conf = settings(chain, key)
    pop3d = daemons("pop3d", conf, also=("pop3s",))
    st = os.lstat(key)
    assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (0, 0, 0o600)
    assert stat.S_ISREG(st.st_mode)
    st = os.lstat(chain)
    assert (st.st_uid, stat.S_IMODE(st.st_mode)) == (0, 0o644)
    assert sorted(os.listdir(os.path.dirname(key))) == ["cert.pem", "key.pem"]
    text = tls.openssl("x509", "-in", chain, "-noout", "-text",
                       "-ext", "subjectAltName").decode()
    assert "prime256v1" in text and "ecdsa-with-SHA256" in text
    assert "DNS:" + tls.HOST in text
    assert "CA:TRUE" not in text
    with open(chain, "rb") as file:
        before = file.read()
    shown = served(pop3d)
    assert tls.openssl("x509", "-in", chain, "-outform", "DER") == shown
    # A client that has it as its authority is content with it.
    ctx = tls.context()
    ctx.load_verify_locations(chain)
    with tls.pop(pop3d, ctx=ctx) as pop:
        pop.multi("CAPA")
    smtpd = daemons("smtpd", conf, also=("submissions",))
    with tls.smtp(smtpd, ctx=ctx) as smtp:
        assert smtp.sock.getpeercert(True) == shown
    assert pop3d.stop() == 0
    pop3d.wait_nothing_left()
    pop3d.start()
    assert served(pop3d) == shown
    with open(chain, "rb") as file:
        assert file.read() == before


def test_two_first_starts_at_once(daemons):
    """Both daemons end up with one pair."""
    tls.certificates()
    directory = tls.DIR + "/at-once"
    conf = settings(directory + "/cert.pem", directory + "/key.pem")
    both = [postern.Daemon("pop3d", conf, also=("pop3s",)),
            postern.Daemon("smtpd", conf, also=("submissions",))]
    for daemon in both:
        daemon.start(wait=False)
    try:
        for daemon in both:
            daemon.wait_ready()
        with tls.smtp(both[1], ctx=tls.context(verify=False)) as smtp:
            assert smtp.sock.getpeercert(True) == served(both[0])
        assert sorted(os.listdir(directory)) == ["cert.pem", "key.pem"]
    finally:
        for daemon in both:
            assert daemon.stop() == 0
            daemon.wait_nothing_left()


def test_one_without_the_other(daemons):
    """That is a mistake, and nothing is written over."""
    made = tls.certificates()
    for missing in (0, 1):
        paths = place("half-%d" % missing)
        made["default"].install(*paths)
        os.unlink(paths[missing])
        daemon = postern.Daemon("pop3d", settings(*paths),
                                also=("pop3s",)).start(wait=False)
        assert daemon.process.wait(postern.PATIENCE) != 0
        eventually(lambda d=daemon, p=paths[missing]: d.log(re.escape(p)),
                   "the name of the file")
        assert not os.path.exists(paths[missing])
        daemon.wait_nothing_left()


def test_names_come_and_go(daemons, user):
    """SIGHUP adds and removes certificates by name; a session goes on."""
    made = tls.certificates()
    put_message(user, SHORT)
    daemon = daemons("pop3d", tls.configuration("p256"), also=("pop3s",))

    def shown(name):
        with tls.pop(daemon, ctx=tls.context(verify=False), name=name) as pop:
            return pop.sock.getpeercert(True)
    with Pop(daemon, user) as pop:
        assert shown(tls.host_of("p384")) == made["default"].der()
        daemon.configure(tls.configuration("p384", "ed25519"))
        reload(daemon)
        assert shown(tls.host_of("p384")) == made["p384"].der()
        assert shown(tls.host_of("ed25519")) == made["ed25519"].der()
        assert shown(tls.host_of("p256")) == made["default"].der()
        assert pop.retr(1) == SHORT.replace(b"\n", b"\r\n")
        pop.quit()
