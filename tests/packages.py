"""Debian packages that tests need the files of, without installing them.

Downloaded and unpacked once, below the build directory, before the private
host cuts us off from the network.
"""
import glob
import os
import platform
import shutil
import subprocess
import tempfile

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

# What tests/e2e/test_starting.py starts our daemons with, and their libraries:
# installed, inetd and xinetd would put each other out, and listen.
SUPERSERVERS = ["openbsd-inetd", "xinetd", "libwrap0", "libevent-2.1-7",
                "libtirpc3"]
if not os.path.exists("/usr/bin/systemd-socket-activate"):
    SUPERSERVERS += ["systemd", "libsystemd-shared", "libip4tc2", "libkmod2"]

# What shares our mailboxes in tests/e2e/test_neighbours.py: they would be the
# host's mail servers if they were installed.
NEIGHBOURS = ["dovecot-core", "dovecot-pop3d", "libexttextcat-2.0-0",
              "liblua5.4-0", "libunwind8", "libwrap0", "libapparmor1",
              "libstemmer0d", "libsodium23", "libtirpc3", "libicu72",
              "postfix", "libdb5.3", "libnsl2", "libsasl2-2"]

# A name server and the other mail servers of tests/e2e/test_hosts*.py.
NAME_SERVER = ["nsd", "libfstrm0", "libprotobuf-c1", "libevent-2.1-7"]
MAIL_SERVERS = [*NEIGHBOURS, "dovecot-lmtpd",
                "exim4-daemon-light", "libgnutls-dane0", "libidn12",
                "libevent-2.1-7"]
# NAME~backports is what the suite of backports to this release has under that
# name, if it has: no handshake succeeds with Debian 12's OpenSMTPD as the
# server (its issue 1171).
OPENSMTPD = ["opensmtpd~backports", "opensmtpd"]	# the first there is

# A program of git's that calls sendmail.
GIT_EMAIL = ["git-email", "libmailtools-perl"]

# Mail to send.
SAMPLES = ["libpython3.11-testsuite", "spamassassin"]
ALL = list(dict.fromkeys([*SAMPLES, *SUPERSERVERS, *NEIGHBOURS, *NAME_SERVER,
                          *MAIL_SERVERS, *OPENSMTPD, *GIT_EMAIL]))


def unpack(build, *names):
    """{name: directory or None} for each package."""
    top = os.path.abspath(os.path.join(build, "packages"))
    found = {}
    for name in names:
        directory = os.path.join(top, name)
        if not os.path.isdir(directory):
            _fetch(top, name, directory)
        found[name] = directory if os.path.isdir(directory) else None
    return found


def _apt(work, *arguments):
    return subprocess.run(
        ["apt-get", "-q", "-o", "APT::Sandbox::User=root", *arguments],
        cwd=work, timeout=300, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def _fetch(top, name, directory):
    os.makedirs(top, exist_ok=True)
    work = tempfile.mkdtemp(".part", name, top)	# others may be at it, too
    try:
        name, _, suite = name.partition("~")
        options = _of_suite(work, suite) if suite else ()
        if not _apt(work, *options, "download", name):
            # A machine with everything installed may still have no lists.
            _apt(work, *options, "update")
            _apt(work, *options, "download", name)
        package, = glob.glob(work + "/*.deb")
        subprocess.run(["dpkg-deb", "-x", package, work + "/root"], check=True)
        os.rename(work + "/root", directory)
    except (OSError, subprocess.SubprocessError, ValueError):
        pass
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _of_suite(work, suite):
    """apt's options for a suite beside this release, by the machine's own
    mirror, with Debian's keys, and with lists that are not the machine's."""
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "none")
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format",
         "$(REPO_URI) $(RELEASE) $(CODENAME)", "Created-By: Packages",
         "Component: main"],
        timeout=300, check=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
    mirrors = [words[0] for words in map(str.split, targets.splitlines())
               if release in words[1:]]
    if not mirrors or not os.path.exists(KEYRING):
        raise ValueError
    with open(work + "/list", "w", encoding="ascii") as file:
        file.write("deb [signed-by=%s] %s %s-%s main\n" % (
            KEYRING, mirrors[0], release, suite))
    for name in ("lists", "cache"):
        os.mkdir(os.path.join(work, name))
    return [word for option in (
        "Dir::Etc::SourceList=%s/list" % work, "Dir::Etc::SourceParts=-",
        "Dir::State::Lists=%s/lists" % work, "Dir::Cache=%s/cache" % work)
        for word in ("-o", option)]
