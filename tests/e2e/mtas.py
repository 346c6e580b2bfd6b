"""Other mail servers, each at a host of its own: Postfix, OpenSMTPD, Exim,
and Dovecot's LMTP server.

Debian's packages, unpacked, never installed.  Each takes mail for its users
from everybody, and for everybody from the router, which is us; asks the name
server; sends in TLS only, to who has a good certificate; and delivers into
Maildirs.
"""
import glob
import os
import shutil
import subprocess
import sys

import hosts
import packages
import postern
import private

sys.path.append(os.path.join(os.path.dirname(packages.__file__), "bench"))

import servers  # noqa: E402

ACCOUNTS = tuple(servers.USERS.items()) + (
    ("Debian-exim", 916), ("opensmtpd", 917), ("opensmtpq", 918))
# A recipient to whom they send by alpha's submission, as alex.
BY_LOGIN = "alex+by-login@alpha.test"
TRUSTED = "/etc/ssl/certs/ca-certificates.crt"
LAID_OUT = tuple((servers.LAID_OUT + directory, directory)
                 for directory in ("/usr/lib", "/usr/bin", "/var/lib"))


def lay_out():
    """Once a run, before there are hosts: files where they look for them."""
    if os.path.isdir(servers.PEERS):
        return
    os.mkdir(servers.PEERS)
    for name in (*packages.MAIL_SERVERS, opensmtpd()):
        shutil.copytree(hosts.unpacked(name), servers.PEERS, symlinks=True,
                        dirs_exist_ok=True, ignore=shutil.ignore_patterns(
                            "man", "sendmail", "mailq", "newaliases",
                            "rmail"))
    servers._lay_out_lib()


def opensmtpd():
    """The name of the package that it is of here."""
    return next(filter(lambda name: os.path.isdir(hosts.unpacked(name)),
                       packages.OPENSMTPD), packages.OPENSMTPD[-1])


def missing():
    return hosts.missing(
        [*packages.NAME_SERVER, *packages.MAIL_SERVERS, opensmtpd()])


class Server:
    """One of them; what it has lies below its host's directory."""

    port = 25
    key = "p256"
    takes_tls = True
    environment = {}

    def __init__(self, net, number):
        self.net = net
        self.host = net.host(self.name, number, ["bob"], accounts=ACCOUNTS,
                             mounts=(*LAID_OUT, *self.mounts()))
        self.host.server = self
        self.top = self.host.top + "/server"
        os.mkdir(self.top, 0o755)
        self.log = self.top + "/mainlog"
        self.process = None

    def mounts(self):
        return ()

    def start(self):
        """Unless it runs; its host."""
        if self.process is not None:
            return self.host
        pair = self.net.certificate(self.host, self.key)
        self.known = {
            "top": self.top, "peers": servers.PEERS, "mx": self.host.mx,
            "domain": self.host.domain, "cert": pair.chain, "key": pair.key,
            "trusted": TRUSTED, "log": self.log, "router4": hosts.ROUTER4,
            "router6": hosts.ROUTER6, "address4": self.host.address4,
            "address6": self.host.address6, "by_login": BY_LOGIN,
            "password": postern.password("alex")}
        self.prepare()
        with open(self.top + "/output", "wb") as output:
            self.process = subprocess.Popen(
                [*self.host.enter, *self.argv], stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, cwd="/", start_new_session=True,
                env=dict({"PATH": hosts.PATH}, **self.environment))
        postern.eventually(self._answers, self.name + " serves")
        return self.host

    def _answers(self):
        assert self.process.poll() is None, "%s has ended: %s" % (
            self.name, self.lines())
        try:
            with postern.socket.create_connection(
                    (self.host.addresses[0], self.port), timeout=5) as sock:
                return sock.recv(3) == b"220"
        except OSError:
            return False

    def lines(self):
        found = []
        for path in sorted(glob.glob(self.top + "/*")):
            if os.path.basename(path) in ("output", "mainlog", "paniclog"):
                with open(path, encoding="utf-8", errors="replace") as file:
                    found += file.read().splitlines()
        return found

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        for process in postern.all_processes():
            if process.exe.startswith(servers.PEERS) and (
                    process.is_in(self.host.holder.pid)):
                postern.kill(process.pid)
        private.kill_group(self.process)


POSTFIX = """\
myhostname = %(mx)s
mydomain = %(domain)s
mydestination = %(domain)s
mynetworks = %(router4)s [%(router6)s]
inet_interfaces = all
inet_protocols = all
smtputf8_enable = yes
smtpd_tls_cert_file = %(cert)s
smtpd_tls_key_file = %(key)s
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
smtp_tls_security_level = verify
smtp_tls_CAfile = %(trusted)s
smtp_tls_loglevel = 1
smtpd_tls_loglevel = 1
message_size_limit = 50000000
mailbox_size_limit = 0
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
maillog_file = %(log)s
maillog_file_prefixes = %(top)s
biff = no
recipient_delimiter = +
relay_domains = loop.test
transport_maps = inline:{loop.test=smtp:[mx.alpha.test]}
"""


class Postfix(Server):
    name = "postfix"

    def prepare(self):
        laid = servers.Postfix()
        laid.port = self.port
        laid.prepare()
        self.argv, self.environment = laid.argv, laid.environment
        etc = laid.environment["MAIL_CONFIG"]
        with open(etc + "/main.cf", encoding="ascii") as file:
            mine = POSTFIX % self.known
            names = [line.split(" ")[0] for line in mine.splitlines()]
            lines = [line for line in file if line.split(" ")[0] not in names]
        postern.write(etc + "/main.cf", "".join(lines) + mine)
        with open(etc + "/master.cf", "a", encoding="ascii") as file:
            file.write("postlog unix-dgram n - n - 1 postlogd\n")


OPENSMTPD = """\
pki %(mx)s cert "%(cert)s"
pki %(mx)s key "%(key)s"
smtp max-message-size "50M"
table users { bob = "%(hash)s" }
%(listen)s
action "local" maildir
action "out" relay tls helo %(mx)s
table logins { up = "alex:%(password)s" }
action "by login" relay host "smtp+tls://up@mx.alpha.test:587" auth <logins> \
 helo %(mx)s
match auth from any for any action "out"
match from src { %(router4)s, %(router6)s } for rcpt-to "%(by_login)s" \
 action "by login"
match from any for domain "%(domain)s" action "local"
match from src { %(router4)s, %(router6)s } for any action "out"
match from local for any action "out"
"""


class OpenSMTPD(Server):
    name = "opensmtpd"
    key = "rsa2048"		# of another kind it has no use here

    @property
    def takes_tls(self):
        """No handshake succeeds with 6.8 as the server if the library is
        OpenSSL 3 (its issue 1171)."""
        return opensmtpd() != "opensmtpd"

    def mounts(self):
        path = self.net.top + "/opensmtpd-spool"
        os.mkdir(path)
        return ((path, "/var/spool"),
                (servers.PEERS + "/usr/libexec", "/usr/libexec"))

    def prepare(self):
        self.known["hash"] = private.crypt(postern.password("bob"))
        self.known["listen"] = "".join(
            "listen on %s tls pki %s hostname %s\n"
            "listen on %s port 587 tls-require pki %s hostname %s auth <users>"
            "\n" % ((address, self.host.mx, self.host.mx) * 2)
            for address in self.host.addresses)
        postern.write(self.top + "/conf", OPENSMTPD % self.known)
        self.argv = [servers.PEERS + "/usr/sbin/smtpd", "-d", "-f",
                     self.top + "/conf"]


EXIM = """\
primary_hostname = %(mx)s
exim_path = %(peers)s/usr/sbin/exim4
spool_directory = %(top)s/spool
log_file_path = %(top)s/%%slog
pid_file_path = %(top)s/pid
message_size_limit = 50M
daemon_smtp_ports = 25 : 587
acl_smtp_rcpt = rcpt
tls_advertise_hosts = *
tls_certificate = %(cert)s
tls_privatekey = %(key)s
chunking_advertise_hosts = *
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
log_selector = +tls_cipher +received_recipients
host_lookup =
rfc1413_query_timeout = 0s
begin acl
rcpt:
 accept hosts = <; %(router4)s ; %(router6)s
 accept authenticated = *
 require message = relaying denied
  domains = %(domain)s
 require verify = recipient
 accept
begin routers
by_login:
 driver = manualroute
 condition = ${if eq {$local_part@$domain}{%(by_login)s}}
 route_list = * mx.alpha.test
 transport = smtp_by_login
remote:
 driver = dnslookup
 domains = ! %(domain)s
 transport = smtp
 ignore_target_hosts = 127.0.0.0/8
 no_more
local:
 driver = accept
 check_local_user
 local_part_suffix = +*
 local_part_suffix_optional
 transport = maildir
 cannot_route_message = Unknown user
begin authenticators
PLAIN:
 driver = plaintext
 public_name = PLAIN
 server_advertise_condition = ${if def:tls_in_cipher}
 server_condition = ${if and {{eq {$auth2}{bob}}{eq {$auth3}{secret-of-bob}}}}
 server_set_id = $auth2
 client_send = ^alex^%(password)s
begin transports
smtp_by_login:
 driver = smtp
 port = 587
 hosts_require_auth = *
 hosts_require_tls = *
 tls_verify_hosts = *
 tls_verify_certificates = %(trusted)s
 tls_verify_cert_hostnames = *
smtp:
 driver = smtp
 port = 25
 hosts_require_tls = *
 tls_verify_hosts = *
 tls_verify_certificates = %(trusted)s
 tls_verify_cert_hostnames = *
maildir:
 driver = appendfile
 maildir_format
 directory = $home/Maildir
 create_directory
 return_path_add
begin retry
* * F,1h,1s
"""


class Exim(Server):
    name = "exim"

    def prepare(self):
        uid = dict(ACCOUNTS)["Debian-exim"]
        for directory in ("", "/spool"):
            os.makedirs(self.top + directory, 0o750, exist_ok=True)
            os.chown(self.top + directory, uid, uid)
        os.chmod(self.top, 0o755)
        os.makedirs(self.host.etc("exim4"), exist_ok=True)
        postern.write(self.host.etc("exim4/exim4.conf"), EXIM % self.known)
        # Who reads it is no longer root.
        pair = self.known["key"]
        os.chown(pair, 0, uid)
        os.chmod(pair, 0o640)
        self.argv = [servers.PEERS + "/usr/sbin/exim4", "-bdf", "-q1s"]


DOVECOT = """\
protocols = lmtp
listen = %(address4)s
base_dir = %(top)s/base
state_dir = %(top)s/state
log_path = %(log)s
ssl = required
ssl_cert = <%(cert)s
ssl_key = <%(key)s
mail_location = maildir:~/Maildir
auth_username_format = %%Ln
postmaster_address = postmaster@%(domain)s
passdb {
  driver = pam
}
userdb {
  driver = passwd
}
service lmtp {
  inet_listener lmtp {
    port = 24
  }
  unix_listener %(top)s/lmtp {
    mode = 0666
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
"""


class Dovecot(Server):
    """Its lmtpd, by TCP and by a Unix socket in the directory top."""
    name, port = "dovecot", 24

    def prepare(self):
        for directory in ("/base", "/state"):
            os.mkdir(self.top + directory, 0o755)
        with open(self.log, "wb"):
            os.chmod(self.log, 0o666)
        postern.write(self.top + "/conf", DOVECOT % self.known)
        self.argv = [servers.PEERS + "/usr/sbin/dovecot", "-F", "-c",
                     self.top + "/conf"]


EVERY = (Postfix, OpenSMTPD, Exim)
