"""Hosts of their own: a network of several, with a real name server.

Each host is a network and a mount name space with an /etc, accounts and homes
of its own; an Ethernet of its own (veth) leads to the router between them,
which is the name space that the tests themselves run in, inside the private
host.  All of it ends with the last process in there.
"""
import contextlib
import glob
import ipaddress
import os
import shutil
import socket
import subprocess

import packages
import postern
import private
import tls

TOP = private.ROOT + "/hosts"
ROUTER4, NET4 = "198.51.100.1", "198.51.100.%d"
ROUTER6, NET6 = "2001:db8::1", "2001:db8::%d"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
NS = 53				# what the name server's addresses end in
HAS_IPV6 = os.path.exists("/proc/sys/net/ipv6/conf/all")


def missing(names):
    """Which of these packages are not there, why hosts can't be, or None."""
    absent = [name for name in names if not os.path.isdir(unpacked(name))]
    if absent:
        return "the packages could not be fetched: " + ", ".join(absent)
    for name in ("ip", "nsenter", "setpriv"):
        if shutil.which(name, path=PATH) is None:
            return "no " + name
    try:
        _ip("link add v-try type veth peer name v-try2", "link del v-try")
    except OSError as error:
        return "no virtual Ethernet here: %s" % error
    return None


def unpacked(name):
    return os.path.join(postern.BUILD, "packages", name)


def _ip(*lines, enter=()):
    done = subprocess.run(
        [*enter, "ip", "-batch", "-"], check=False, timeout=60,
        input="".join(line + "\n" for line in lines).encode(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={"PATH": PATH})
    if done.returncode != 0:
        raise OSError("%s: %s" % (lines, done.stdout.decode()))


def _has_interface(name):
    return os.path.exists("/proc/sys/net/ipv4/conf/" + name)


def _set(path, text):
    """Where there is such a thing: there may be no IPv6."""
    if os.path.exists("/proc/sys/net/" + path):
        with open("/proc/sys/net/" + path, "w", encoding="ascii") as file:
            file.write(text)


def _no_waiting():
    """No second's pause before a new IPv6 address counts, in this space."""
    for name in ("all", "default"):
        _set("ipv6/conf/%s/accept_dad" % name, "0")


class Host:
    """One host; what is started in it is started with enter before it."""

    PORTS = {"smtp": 25, "submission": 587, "submissions": 465, "pop3": 110,
             "pop3s": 995}

    def __init__(self, net, name, number, people=(), families=(4, 6),
                 accounts=(), mounts=()):
        """mounts: (directory, over which other one) besides those of all."""
        self.name, self.domain = name, name + ".test"
        self.mx = "mx." + self.domain
        self.top = "%s/%s" % (net.top, name)
        self.wire = "v%d-%d" % (net.serial, number)
        self.daemons, self.server = {}, None
        self.address4 = NET4 % number if 4 in families else None
        self.address6 = NET6 % number if 6 in families and HAS_IPV6 else None
        self.addresses = tuple(filter(None, (self.address4, self.address6)))
        self.accounts = private.Accounts()
        os.makedirs(self.top + "/home", 0o755)
        os.makedirs(self.top + "/mail")
        shutil.copytree("/etc", self.top + "/etc", symlinks=True,
                        ignore_dangling_symlinks=True)
        self._settle(people, accounts)
        self._begin(mounts)
        self._connect()

    def _settle(self, people, accounts):
        for user, uid in (*postern.SYSTEM_USERS.items(), *accounts):
            self.accounts.add(user, uid, None, home="/nonexistent")
        for offset, user in enumerate(people):
            self.accounts.add(user, 2000 + offset, postern.password(user))
        self.accounts.write(self.etc())
        for user in people:
            os.mkdir(self.home(user), 0o700)
            os.chown(self.home(user), self.uid(user), self.uid(user))
        server = NET4 if self.address4 else NET6
        for name, text in (
                ("resolv.conf", "nameserver %s\n" % (server % NS)),
                ("hostname", self.mx + "\n"), ("mailname", self.mx + "\n"),
                ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
                ("aliases", "postmaster: root\n"), ("nsswitch.conf", (
                    "passwd: files\ngroup: files\nshadow: files\n"
                    "hosts: files dns\n"))):
            path = self.etc(name)
            if os.path.lexists(path):
                os.unlink(path)
            postern.write(path, text)

    def _begin(self, mounts):
        mounts = ((self.etc(), "/etc"), (self.top + "/home", private.HOMES),
                  (self.top + "/mail", "/var/mail"), *mounts)

        def inside():
            private._check(private._libc.unshare(
                private.CLONE_NEWNS | private.CLONE_NEWNET), "unshare")
            _no_waiting()
            for what, where in mounts:
                private.mount(what, where, None, private.MS_BIND)
        # It is there only for its name spaces.
        self.holder = subprocess.Popen(
            ["sleep", "infinity"], preexec_fn=inside, cwd="/",
            stdin=subprocess.DEVNULL, env={"PATH": PATH})
        at = "/proc/%d/ns/" % self.holder.pid
        self.enter = ("nsenter", "--mount=" + at + "mnt",
                      "--net=" + at + "net", "--")

    def _connect(self):
        wire = self.wire
        ours = ["link add %s type veth peer name eth0 netns %d" % (
            wire, self.holder.pid), "link set %s up" % wire]
        theirs = ["link set lo up", "link set eth0 up"]
        for address, router, nodad in ((self.address4, ROUTER4, ""),
                                       (self.address6, ROUTER6, " nodad")):
            if address is not None:
                ours.append("address add %s peer %s dev %s%s" % (
                    router, address, wire, nodad))
                theirs += ["address add %s peer %s dev eth0%s" % (
                    address, router, nodad),
                    "route add default via %s dev eth0 onlink" % router]
        _ip(*ours)
        _ip(*theirs, enter=self.enter)

    def etc(self, name=""):
        return os.path.join(self.top, "etc", name)

    def uid(self, user):
        return self.accounts.people[user][0]

    def home(self, user):
        """Seen from outside, as all paths are."""
        return "%s/home/%s" % (self.top, user)

    def run(self, user, *argv, given=b"", status=0):
        """A program of this user's here; its output."""
        done = subprocess.run(
            [*self.enter, "setpriv", "--reuid=%d" % self.uid(user),
             "--regid=%d" % self.uid(user), "--clear-groups", *argv],
            input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=postern.PATIENCE * 2, check=False, cwd="/", env={
                "PATH": "/usr/bin:/bin", "HOME": private.HOMES + "/" + user,
                "USER": user, "LOGNAME": user, "LC_ALL": "C.UTF-8",
                "TERM": "dumb"})
        assert done.returncode == status, (argv, done)
        return done.stdout

    def file(self, user, name, text):
        """One in the user's home; its path for the user."""
        path = os.path.join(self.home(user), name)
        postern.write(path, text, 0o600)
        os.chown(path, self.uid(user), self.uid(user))
        return os.path.join(private.HOMES, user, name)

    def letters(self, user, where="Maildir/new"):
        """What is in the user's mailbox."""
        found = []
        for path in sorted(glob.glob("%s/%s/*" % (self.home(user), where))):
            with open(path, "rb") as file:
                found.append(file.read().replace(b"\r\n", b"\n"))
        return found

    def clear(self, user):
        shutil.rmtree(self.home(user) + "/Maildir", ignore_errors=True)

    def wait_letter(self, user, token, count=1):
        """The one letter that has this token in it."""
        def have():
            return [letter for letter in self.letters(user)
                    if token.encode() in letter]
        postern.eventually(lambda: len(have()) >= count,
                           "%s has a letter with %s" % (user, token))
        assert len(have()) == count, have()
        return have()[-1]

    def start(self, daemons, pair, conf=""):
        """Our two daemons; daemons is the fixture, pair their certificate."""
        self.conf = (
            "hostname %s\ndomains %s %s localhost\ntls-certificate %s\n"
            "tls-key %s\nretry-schedule 1s\n" % (
                self.mx, self.domain, self.mx, pair.chain, pair.key))
        for program, also in (("smtpd", "submission"), ("pop3d", "pop3s")):
            self.daemons[program] = daemons(
                program, self.conf + conf, at=self, also=(also,))
        self.smtpd = self.daemons["smtpd"]

    def reload(self, conf):
        """Our smtpd with other settings than it was started with."""
        generation = "event=generation number="
        before = len(self.smtpd.log(generation))
        self.smtpd.reload(self.conf + conf)
        self.smtpd.wait_log(generation, before + 1)

    def logs(self):
        """{program: lines} of what was started here."""
        found = {name: daemon.lines for name, daemon in self.daemons.items()}
        if self.server is not None:
            found[self.server.name] = self.server.lines()
        return found

    def end(self):
        self.holder.kill()
        self.holder.wait()


def swallow(address):
    """Nothing gets there, and nobody is told: so the router has it."""
    _ip("route replace blackhole " + address)


class Network:
    """The router, the name server, and the hosts."""

    serial = 0
    wires = []			# of one that has ended, and may be there yet

    def __init__(self):
        for wire in filter(_has_interface, Network.wires):
            with contextlib.suppress(OSError):	# its other end went first
                _ip("link del " + wire)
        Network.serial += 1
        self.top = "%s/%d" % (TOP, self.serial)
        _set("ipv4/ip_forward", "1")
        _set("ipv6/conf/all/forwarding", "1")
        _no_waiting()
        os.makedirs(self.top)
        if not os.path.isdir(tls.DIR):
            os.makedirs(tls.DIR)
            tls.make_authority("ca")
        self.hosts, self.records = [], []
        self.server = None
        self.ns = self.host("ns", NS)

    def host(self, name, number, *how, **more):
        host = Host(self, name, number, *how, **more)
        self.hosts.append(host)
        self.add(host.mx, *host.addresses)
        for address in host.addresses:
            self.records.append("%s. PTR %s." % (
                ipaddress.ip_address(address).reverse_pointer, host.mx))
        if name != "ns":
            self.records.append("%s. MX 10 %s." % (host.domain, host.mx))
        with open(tls.CA, encoding="ascii") as authority, open(
                host.etc("ssl/certs/ca-certificates.crt"), "a",
                encoding="ascii") as trusted:
            trusted.write(authority.read())
        return host

    def add(self, name, *addresses):
        for address in addresses:
            self.records.append("%s. %s %s" % (
                name, "AAAA" if ":" in address else "A", address))

    def mail(self, domain, *exchangers):
        for preference, name in exchangers:
            self.records.append("%s. MX %d %s." % (domain, preference, name))

    @staticmethod
    def certificate(host, kind="p256"):
        """One for the host's name, by an authority that all hosts trust."""
        return tls.make(host.name, kind, (host.mx, *host.addresses))

    def serve_names(self):
        """Start the name server; all of the zone is known by now."""
        top = self.ns.top + "/nsd"
        os.mkdir(top)
        postern.write(top + "/zone", (
            "$TTL 60\n. SOA mx.ns.test. root.ns.test. 1 3600 600 86400 5\n"
            ". NS mx.ns.test.\n" + "".join(
                record + "\n" for record in self.records)))
        postern.write(top + "/conf", (
            'server:\n%s username: ""\n zonesdir: "%s"\n database: ""\n'
            ' pidfile: "%s/pid"\n xfrdfile: "%s/xfrd"\n logfile: "%s/log"\n'
            ' zonelistfile: "%s/zones"\n'
            ' xfrdir: "%s"\n server-count: 1\nremote-control:\n'
            ' control-enable: no\nzone:\n name: "."\n zonefile: "%s/zone"\n'
            % ("".join(" ip-address: %s\n" % address
                       for address in self.ns.addresses), *[top] * 7)))
        self.server = subprocess.Popen(
            [*self.ns.enter, unpacked("nsd") + "/usr/sbin/nsd", "-d", "-c",
             top + "/conf"], stdin=subprocess.DEVNULL, cwd="/",
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, env={
                "PATH": PATH, "LD_LIBRARY_PATH": ":".join(
                    path for name in packages.NAME_SERVER
                    for path in glob.glob(unpacked(name) + "/usr/lib/*-*"))})

        postern.eventually(self._answers, "nsd serves")

    def _answers(self):
        assert self.server.poll() is None, "nsd has ended"
        try:
            socket.create_connection((self.ns.addresses[0], 53), 5).close()
            return True
        except OSError:
            return False

    def odd_lines(self):
        """Of our daemons' logs, what no client can bring about."""
        return [line for host in self.hosts
                for daemon in host.daemons.values() for line in daemon.lines
                if postern.ABNORMAL.search(line)]

    def end(self):
        if self.server is not None:
            private.kill_group(self.server)
        for host in self.hosts:
            host.end()
        Network.wires = [host.wire for host in self.hosts]
