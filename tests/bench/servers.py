"""The servers that are measured, each started in an account of its own.

The peers are Debian's packages, unpacked, never installed: their files are
laid over /usr/lib in a mount name space of theirs, inside the private host.
Every server logs to the same /dev/log, asks the same PAM stack, and has its
own defaults but for what is written here.
"""
import ctypes
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time

import clients
import meter
import packages
import postern
import private

PEERS = private.ROOT + "/peers"
LAID_OUT = private.ROOT + "/laid-out"
PACKAGES = {
    "popa3d": ("popa3d",),
    "dovecot": ("dovecot-core", "dovecot-pop3d", "libexttextcat-2.0-0",
                "liblua5.4-0", "libunwind8", "libwrap0", "libapparmor1",
                "libstemmer0d", "libsodium23", "libtirpc3", "libicu72"),
    "postfix": ("postfix", "libdb5.3", "libicu72", "libnsl2", "libsasl2-2",
                "libtirpc3"),
    "opensmtpd": ("opensmtpd", "libdb5.3", "libevent-2.1-7"),
}
USERS = {"popa3d": 911, "dovecot": 912, "dovenull": 913, "postfix": 914,
         "postdrop": 915, "opensmtpd": 917, "opensmtpq": 918}
# What more than one of them has.
SHARED = ("man", "sendmail", "mailq", "newaliases", "rmail")
_libc = ctypes.CDLL(None, use_errno=True)


def fetch(build, *peers):
    """Before the private host; {peer: directories}, without what failed."""
    found = {}
    for peer in peers:
        unpacked = packages.unpack(build, *PACKAGES[peer])
        missing = [name for name, where in unpacked.items() if where is None]
        if missing:
            print("left out: %s: no package %s" % (peer, ", ".join(missing)))
        else:
            found[peer] = list(unpacked.values())
    return found


def prepare(peers):
    """In the private host: accounts, PAM, /dev/log, the peers' files."""
    postern.set_up()
    for name, uid in USERS.items():
        postern.accounts.add(name, uid, None, home="/nonexistent")
    postern.accounts.write()
    for service in ("postern", "popa3d", "dovecot", "other"):
        postern.write("/etc/pam.d/" + service, postern.PAM)
    _own_dev()
    _drain_log()
    os.mkdir(PEERS)
    for directories in peers.values():
        for directory in directories:
            shutil.copytree(directory, PEERS, symlinks=True,
                            dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns(*SHARED))
    _lay_out_lib()


def _own_dev():
    """A /dev with what is needed and a place for the log's socket."""
    top = private.ROOT + "/dev"
    os.mkdir(top)
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        open(os.path.join(top, name), "wb").close()
        private.mount("/dev/" + name, os.path.join(top, name), None,
                      private.MS_BIND)
    os.symlink("/proc/self/fd", top + "/fd")
    os.mkdir(top + "/shm", 0o1777)
    private.mount(top, "/dev", None, private.MS_BIND | private.MS_REC)


def _drain_log():
    """Who reads the log, in a process that is nobody's cost."""
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind("/dev/log")
    os.chmod("/dev/log", 0o666)
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            with open(private.ROOT + "/log", "wb", buffering=0) as file:
                while True:
                    file.write(log.recv(65536).rstrip(b"\0\n") + b"\n")
        os._exit(0)
    os.waitpid(child, 0)
    log.close()


def log_tail():
    with open(private.ROOT + "/log", encoding="utf-8",
              errors="replace") as file:
        return "".join(file.readlines()[-15:])


def _lay_out_lib():
    """Directories with compiled-in names: the host's files and theirs."""
    lib = _lay_out("/usr/lib")
    for name in ("dovecot", "postfix"):
        os.symlink(os.path.join(PEERS, "usr/lib", name), lib + "/" + name)
    state = _lay_out("/var/lib")
    os.mkdir(state + "/popa3d", 0o755)
    os.makedirs(state + "/opensmtpd/empty")
    os.symlink(PEERS + "/usr/bin/doveconf", _lay_out("/usr/bin") + "/doveconf")
    with open("/etc/ld.so.conf", "a", encoding="ascii") as file:
        file.write("".join("%s/%s\n" % (PEERS, where) for where in (
            "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu",
            "usr/lib/aarch64-linux-gnu", "lib/aarch64-linux-gnu")))
    # What is only there for the peers comes last, and the cache is /etc's.
    if os.path.isdir("/var/cache/ldconfig"):
        os.mkdir(LAID_OUT + "/ldconfig")
        private.mount(LAID_OUT + "/ldconfig", "/var/cache/ldconfig", None,
                      private.MS_BIND)
    subprocess.run(["/sbin/ldconfig", "-X", "-i"], check=True,
                   stderr=subprocess.DEVNULL)


def _lay_out(directory):
    """A copy made of links, without the peers' names in it; its path."""
    copy = LAID_OUT + directory
    real = LAID_OUT + "/real" + directory
    os.makedirs(copy)
    os.makedirs(real)
    private.mount(directory, real, None, private.MS_BIND | private.MS_REC)
    for name in os.listdir(real):
        if name not in PACKAGES and name != "doveconf":
            os.symlink(os.path.join(real, name), os.path.join(copy, name))
    return copy


def as_peer(mounts=()):
    """Where the files are as the peers know them, before an exec."""
    private._check(_libc.unshare(private.CLONE_NEWNS), "unshare")
    for directory in ("/usr/lib", "/usr/bin", "/var/lib"):
        private.mount(LAID_OUT + directory, directory, None, private.MS_BIND)
    for source, target in mounts:
        private.mount(source, target, None, private.MS_BIND)


def empty_maildrops():
    """What is left of a maildrop after its last letter was collected."""
    for name in postern.CROWD:
        uid, gid, home, _ = postern.accounts.people[name]
        postern.clear(name)
        for directory in ("/Maildir", "/Maildir/new", "/Maildir/cur",
                          "/Maildir/tmp"):
            os.mkdir(home + directory, 0o700)
            os.chown(home + directory, uid, gid)
        with open("/var/mail/" + name, "wb"):
            pass
        os.chmod("/var/mail/" + name, 0o660)
        os.chown("/var/mail/" + name, uid, 8)


class Certificate:
    """Self-signed, its key of a kind that `openssl genpkey' knows."""
    KINDS = {"ecdsa": ("EC", "ec_paramgen_curve:P-256"),
             "rsa": ("RSA", "rsa_keygen_bits:2048")}

    def __init__(self, kind, top):
        self.chain = "%s/%s-cert.pem" % (top, kind)
        self.key = "%s/%s-key.pem" % (top, kind)
        algorithm, option = self.KINDS[kind]
        for arguments in (
                ("genpkey", "-algorithm", algorithm, "-pkeyopt", option,
                 "-out", self.key),
                ("req", "-x509", "-key", self.key, "-out", self.chain,
                 "-days", "30", "-subj", "/CN=" + clients.NAME, "-addext",
                 "subjectAltName=DNS:" + clients.NAME)):
            subprocess.run(["openssl", *arguments], check=True,
                           stdin=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL,
                           env={"PATH": os.environ["PATH"]})
        os.chmod(self.key, 0o600)


class Server:
    is_peer = True
    environment = {}
    mounts = ()			# more, of a peer: [(source, target)]
    cpus = None			# where it may run, if not everywhere
    tls_port = None		# where TLS begins with the connection

    def start(self):
        self.group = meter.group(self.name)
        self.prepare()

        def inside():
            self.group.enter()
            if self.cpus is not None:
                os.sched_setaffinity(0, self.cpus)
            if self.is_peer:
                as_peer(self.mounts)
        # What daemonizes ends at once; what stays is the group's.
        process = subprocess.Popen(
            self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            preexec_fn=inside, cwd="/", start_new_session=True,
            env=dict({"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                     **self.environment))
        try:
            postern.eventually(lambda: self._answers(process),
                               self.name + " serves", 20)
        except BaseException:
            self.stop()
            print(log_tail())
            raise
        return self

    def _answers(self, process):
        if process.poll() not in (None, 0):
            raise AssertionError("%s ended at its start" % self.name)
        try:
            with clients.connect(self.port, 0) as sock:
                return sock.recv(1) in (b"+", b"2")
        except OSError:
            return False

    def prepare(self):
        pass

    def busy(self):
        """Workers that have a client, where they are processes of ours."""
        return []

    def keep_waiting(self, count):
        """So many processes from now on, where that depends on the rush."""

    def settle(self):
        """Until what the last clients left has ended."""
        count, since = None, time.monotonic()
        while time.monotonic() - since < 0.5:
            time.sleep(0.1)
            now = len(self.group.pids())
            if now != count:
                count, since = now, time.monotonic()

    def cpu(self):
        return self.group.cpu()

    def roles(self):
        """{name of program: pids}"""
        found = {}
        for pid in self.group.pids():
            try:
                name = os.path.basename(os.readlink("/proc/%d/exe" % pid))
            except OSError:
                continue
            found.setdefault(name, []).append(pid)
        return found

    def stop(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            until = time.monotonic() + 3
            for pid in self.group.pids():
                postern.kill(pid, number)
            while self.group.pids() and time.monotonic() < until:
                if number == signal.SIGKILL:
                    for pid in self.group.pids():
                        postern.kill(pid, number)
                time.sleep(0.05)
        self.group.remove()


class Postern(Server):
    is_peer = False

    def __init__(self, program, services, conf="", build=None,
                 certificate=None):
        """services: {name: port}"""
        self.name, self.port = program, next(iter(services.values()))
        self.tls_port = services.get("pop3s")
        build = build or postern.BUILD
        top = "%s/bench-%s-%d" % (postern.BASE, program, self.port)
        os.mkdir(top)
        listen = "".join("listen %s 127.0.0.1:%d\n" % service
                         for service in services.items())
        certificate = certificate or Certificate("ecdsa", top)
        postern.write(top + "/conf", (
            "hostname mx.example.test\n"
            "domains mx.example.test example.test localhost\n"
            "run-dir %s/run\nspool-dir %s/spool\nlibexec-dir "
            "%s/libexec/postern\ntls-certificate %s\ntls-key %s\n" % (
                top, top, build, certificate.chain, certificate.key))
                      + listen + conf)
        self.conf, self.spool = top + "/conf", top + "/spool"
        self.argv = [os.path.join(build, "sbin", program), "-f", self.conf]

    def busy(self):
        roles, by_fds = self.roles(), {}
        for pid in roles.get(self.name + "-worker", []):
            if meter.parent(pid) not in roles[self.name]:
                by_fds.setdefault(len(os.listdir("/proc/%d/fd" % pid)),
                                  []).append(pid)
        # One that waits has its channel and no client.
        return [pid for fds in sorted(by_fds)[1:] for pid in by_fds[fds]]

    def keep_waiting(self, count):
        with open(self.conf, "a", encoding="ascii") as file:
            file.write("prefork %d\n" % count)


class Pop3d(Postern):
    def __init__(self, build=None, port=10110):
        super().__init__("pop3d", {"pop3": port}, build=build)


class Pop3s(Postern):
    """In the clear, and beside it in TLS."""
    started = itertools.count()

    def __init__(self, certificate, port=10210, mailbox="maildir"):
        port += 2 * next(Pop3s.started)		# directories go by it
        super().__init__(
            "pop3d", {"pop3": port, "pop3s": port + 1},
            certificate=certificate,
            conf="mailbox mbox /var/mail/%u\n" if mailbox == "mbox" else "")


class Smtpd(Postern):
    def __init__(self, build=None, port=10025, conf=""):
        super().__init__("smtpd", {"smtp": port}, conf=conf, build=build)


class Popa3d(Server):
    """As a standalone server: one fork a connection and two in it."""
    name, port = "popa3d", 110
    argv = [PEERS + "/usr/sbin/popa3d", "-D"]

    def prepare(self):
        here = os.path.dirname(os.path.abspath(__file__))
        clock = private.ROOT + "/clock.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", clock,
                        here + "/clock.c"], check=True)
        self.environment = {"LD_PRELOAD": clock}


DOVECOT = """\
protocols = pop3
listen = 127.0.0.1
base_dir = %(top)s/base
state_dir = %(top)s/state
login_trusted_networks =
ssl = %(ssl)s
disable_plaintext_auth = no
%(location)spassdb {
  driver = pam
}
userdb {
  driver = passwd
}
service pop3-login {
%(more)s  inet_listener pop3 {
    port = %(port)d
  }
%(tls)s}
"""
DOVECOT_MAILDIR = "mail_location = maildir:~/Maildir\n"
# Its indexes are beside the mbox's, as its manual has it.
DOVECOT_MBOX = """\
mail_location = mbox:~/mail:INBOX=/var/mail/%u
mail_privileged_group = mail
"""
DOVECOT_TLS = """\
  inet_listener pop3s {
    port = %d
    ssl = yes
  }
"""


class Dovecot(Server):
    """As it comes: a login process a connection, no cache of passwords."""
    name, port, more = "dovecot", 11110, ""

    def __init__(self, certificate=None, mailbox="maildir"):
        self.certificate = certificate
        self.location = DOVECOT_MBOX if mailbox == "mbox" else DOVECOT_MAILDIR
        if certificate is not None:
            self.tls_port = self.port + 100

    def _tls(self):
        if self.certificate is None:
            return {"ssl": "no", "tls": ""}
        return {"ssl": "yes\nssl_cert = <%s\nssl_key = <%s" % (
            self.certificate.chain, self.certificate.key),
                "tls": DOVECOT_TLS % self.tls_port}

    def prepare(self):
        top = private.ROOT + "/" + self.name
        for directory in ("/base", "/state"):
            os.makedirs(top + directory, 0o755, exist_ok=True)
        postern.write(top + "/conf", DOVECOT % {
            "top": top, "port": self.port, "more": self.more,
            "location": self.location, **self._tls()})
        self.argv = [PEERS + "/usr/sbin/dovecot", "-F", "-c", top + "/conf"]


class DovecotShared(Dovecot):
    """Its "high-performance mode": login processes serve many clients."""
    name, port = "dovecot-hp", 11111
    more = "  service_count = 0\n  process_min_avail = 2\n"


POSTFIX_QUEUE = ("active", "bounce", "corrupt", "defer", "deferred", "flush",
                 "hold", "incoming", "maildrop", "pid", "private", "public",
                 "saved", "trace")
POSTFIX = """\
compatibility_level = 3.6
queue_directory = %(top)s/spool
data_directory = %(top)s/data
command_directory = %(peers)s/usr/sbin
daemon_directory = %(peers)s/usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.example.test
mydomain = example.test
mydestination = mx.example.test, example.test, localhost
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
home_mailbox = Maildir/
alias_maps =
alias_database =
mailbox_command =
smtpd_client_connection_count_limit = 0
"""


class Postfix(Server):
    """smtpd, cleanup, qmgr, local(8), smtp(8) as they come; not chrooted."""
    name, port = "postfix", 10026

    def __init__(self, conf=""):
        self.conf = conf

    def prepare(self):
        top = private.ROOT + "/postfix"
        uid, gid = USERS["postfix"], USERS["postdrop"]
        shutil.rmtree(top, ignore_errors=True)
        os.makedirs(top + "/etc")
        os.makedirs(top + "/data", 0o700)
        os.chown(top + "/data", uid, -1)
        os.mkdir(top + "/spool")
        for name in POSTFIX_QUEUE:
            directory = os.path.join(top, "spool", name)
            os.mkdir(directory, 0o700)
            os.chown(directory, 0 if name == "pid" else uid, -1)
        os.chmod(top + "/spool/pid", 0o755)
        os.chown(top + "/spool/public", uid, gid)
        os.chmod(top + "/spool/public", 0o710)
        os.chown(top + "/spool/maildrop", uid, gid)
        os.chmod(top + "/spool/maildrop", 0o730)
        postern.write(top + "/etc/main.cf",
                      POSTFIX % {"top": top, "peers": PEERS} + self.conf)
        with open(PEERS + "/usr/share/postfix/master.cf.dist",
                  encoding="utf-8") as file:
            lines = file.read().replace("smtp      inet", "%d     inet"
                                        % self.port, 1)
        postern.write(top + "/etc/master.cf", _without_chroot(lines))
        postern.write(top + "/etc/dynamicmaps.cf", "")
        self.environment = {"MAIL_CONFIG": top + "/etc"}
        self.argv = [PEERS + "/usr/lib/postfix/sbin/master", "-c",
                     top + "/etc", "-d"]


def _without_chroot(text):
    """There is no system below the queue directory to live in."""
    lines = []
    for line in text.splitlines():
        words = line.split(None, 7)
        if len(words) == 8 and words[4] == "y" and line[0] != "#":
            words[4] = "n"
            line = " ".join(words)
        lines.append(line)
    return "\n".join(lines) + "\n"


OPENSMTPD = """\
listen on 127.0.0.1 port %(port)d hostname mx.example.test
action "local" maildir
action "out" relay host smtp://127.0.0.1:%(sink)d helo mx.example.test
match from any for domain "example.test" action "local"
match from src 127.0.0.0/8 for any action "out"
"""


class OpenSMTPD(Server):
    """As it comes; all that is not for this host goes to the sink."""
    name, port = "opensmtpd", 10027

    def __init__(self, sink):
        self.sink = sink

    def prepare(self):
        top = private.ROOT + "/opensmtpd"
        shutil.rmtree(top + "/spool", ignore_errors=True)
        os.makedirs(top + "/spool")
        postern.write(top + "/conf", OPENSMTPD % {
            "port": self.port, "sink": self.sink})
        self.mounts = ((top + "/spool", "/var/spool"),
                       (PEERS + "/usr/libexec", "/usr/libexec"))
        self.argv = [PEERS + "/usr/sbin/smtpd", "-F", "-f", top + "/conf"]
