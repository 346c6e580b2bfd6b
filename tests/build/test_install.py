"""make install: which files, with which modes, naming which places."""
import glob
import os
import re
import shutil
import stat
import subprocess

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("POSTERN_BUILD", os.path.join(TOP, "build"))

PROGRAMS = {
    "sbin/pop3d", "sbin/smtpd", "sbin/postern-sendmail", "bin/postern",
    "libexec/postern/login", "libexec/postern/signer",
    "libexec/postern/make-certificate",
    "libexec/postern/pop3d-worker", "libexec/postern/pop3d-agents",
    "libexec/postern/smtpd-worker", "libexec/postern/smtpd-agents",
    "libexec/postern/smtpd-queue", "libexec/postern/smtpd-relay",
    "libexec/postern/smtpd-resolver", "libexec/postern/smtpd-programs",
}
TEXTS = {
    "share/man/man5/postern.conf.5",
    "share/man/man8/pop3d.8", "share/man/man8/smtpd.8",
    "share/man/man8/postern-sendmail.8", "share/man/man1/postern.1",
    "share/doc/postern/CHANGES.md", "share/doc/postern/INSTALL",
    "share/doc/postern/LICENSE", "share/doc/postern/README.md",
    "share/doc/postern/SECURITY.md", "share/doc/postern/privsep.md",
    "share/postern/pam.d/postern", "share/postern/postern.conf",
    "share/postern/certbot-deploy-hook",
    "share/postern/inetd.conf.sample",
    "share/postern/openrc/pop3d", "share/postern/openrc/smtpd",
    "share/postern/systemd/pop3d.service",
    "share/postern/systemd/pop3d.socket",
    "share/postern/systemd/pop3d-tls.socket",
    "share/postern/systemd/smtpd.service",
    "share/postern/systemd/smtpd.socket",
    "share/postern/systemd/smtpd-submission.socket",
    "share/postern/systemd/smtpd-submissions.socket",
    "share/postern/sysusers.d/postern.conf",
    "share/postern/tmpfiles.d/postern.conf",
    "share/postern/xinetd.d/postern-pop3d",
    "share/postern/xinetd.d/postern-smtpd",
}
KEPT = {"etc/postern/postern.conf", "etc/pam.d/postern"}
PAGES = ("man5/postern.conf.5", "man8/pop3d.8", "man8/smtpd.8",
         "man8/postern-sendmail.8", "man1/postern.1")

# Replacing one of the usual directories must not touch what another one
# was replaced with: these hold /run/postern and /usr/local/sbin.
ODD = "/opt/run/postern-1.0+x/usr/local/sbin~"
ODD_PLACES = {"PREFIX": ODD, "SYSCONFDIR": "/opt/etc",
              "LOCALSTATEDIR": "/srv/mail.d", "RUNDIR": "/srv/run_d"}


def make(build, *arguments):
    """make, with the settings of the make that runs this, but for places."""
    environment = {name: value for name, value in os.environ.items()
                   if not name.endswith("DIR")
                   and name not in ("PREFIX", "MAKELEVEL", "MFLAGS")}
    given = os.environ.get("MAKEFLAGS", "").partition("-- ")[2].split()
    environment["MAKEFLAGS"] = " -- " + " ".join(
        word for word in given
        if re.match("(CC|CFLAGS|LDFLAGS|SANITIZE|WERROR)=", word))
    done = subprocess.run(
        ["make", "-s", "-C", TOP, "B=%s" % build, *arguments],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", umask=0o077, timeout=600)
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A copy of what was built, to leave that as it is."""
    copy = tmp_path_factory.mktemp("install") / "build"
    copy.mkdir()
    for folder in ("obj", "bin", "sbin", "libexec"):
        shutil.copytree(os.path.join(BUILD, folder), copy / folder)
    for name in glob.glob(os.path.join(BUILD, "places")):
        shutil.copy2(name, copy)
    return copy


@pytest.fixture(scope="module")
def usual(build):
    """An installation into the usual places."""
    root = build.parent / "usual"
    make(build, "install", "DESTDIR=%s" % root)
    return root


@pytest.fixture(scope="module")
def odd(usual, build):
    """One into odd places; after the usual one, so that all are built anew."""
    root = build.parent / "odd"
    make(build, "install", "DESTDIR=%s" % root,
         *("%s=%s" % place for place in ODD_PLACES.items()))
    return root


def files(root):
    return {os.path.relpath(os.path.join(folder, name), root)
            for folder, _, names in os.walk(root) for name in names}


def expected(prefix, kept):
    return {os.path.join(prefix, name) for name in PROGRAMS | TEXTS} | kept


def is_program(name):
    return re.search("/s?bin/|/libexec/", name) is not None


def lint(page):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page],
                          stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stdout


def test_files(usual):
    assert files(usual) == expected("usr/local", KEPT)


def test_what_the_spool_is_made_in(usual, odd):
    """smtpd makes no more than the last directory of its path."""
    assert (usual / "var/spool").is_dir()
    assert (odd / "srv/mail.d/spool").is_dir()


def test_modes_C8(usual):
    """Nothing set-id, nothing that others may write, whatever umask says."""
    for folder, folders, names in os.walk(usual):
        for name in folders:
            path = os.path.join(folder, name)
            assert stat.S_IMODE(os.lstat(path).st_mode) == 0o755, path
        for name in names:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            assert stat.S_ISREG(mode), path
            wanted = 0o755 if is_program(path[len(str(usual)):]) else 0o644
            assert stat.S_IMODE(mode) == wanted, (path, oct(mode))


def test_texts_name_no_place_of_the_build(usual, build):
    for name in files(usual):
        if is_program(name):
            continue
        text = (usual / name).read_text(encoding="utf-8")
        for place in (TOP + "/", BUILD, str(build.parent), str(usual)):
            assert place not in text, (name, place)
        assert not re.search(r"@[A-Z]+DIR@", text), name


def test_what_the_administrator_changed_is_kept(usual, build):
    for name in KEPT:
        with open(usual / name, "a", encoding="ascii") as file:
            file.write("# mine\n")
    before = {name: (usual / name).read_bytes() for name in KEPT}
    (usual / "usr/local/share/postern/postern.conf").write_text("old\n")
    make(build, "install", "DESTDIR=%s" % usual)
    for name in KEPT:
        assert (usual / name).read_bytes() == before[name]
    assert (usual / "usr/local/share/postern/postern.conf").read_text() \
        != "old\n"


@pytest.mark.parametrize("page", PAGES)
def test_pages(usual, page):
    lint(usual / "usr/local/share/man" / page)


def test_configuration_is_good(usual, tmp_path):
    """The sample as it is, and with every default in it said aloud."""
    sample = usual / "usr/local/share/postern/postern.conf"
    text = sample.read_text()
    said = re.sub(r"(?m)^#(?=[a-z])", "", text)
    assert len(re.findall(r"(?m)^[a-z]", said)) > 20
    aloud = tmp_path / "postern.conf"
    aloud.write_text(said)
    for program in ("pop3d", "smtpd"):
        for path in (sample, aloud):
            done = subprocess.run(
                [usual / "usr/local/sbin" / program, "-n", "-f", path],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            assert (done.returncode, done.stdout) == (0, "")


def test_INSTALL_speaks_of_what_is_there(usual):
    """The files that INSTALL copies, and the packages that it names."""
    with open(os.path.join(TOP, "INSTALL"), encoding="ascii") as file:
        text = file.read()
    named = set(re.findall(r"/usr/local/[\w/.*-]+[\w*]", text))
    assert len(named) > 5
    for name in named:
        assert glob.glob(str(usual) + name), name
    with open(os.path.join(TOP, "deps.txt"), encoding="ascii") as file:
        deps = dict(re.findall(r"(?m)^([a-z0-9.+-]+)\s+(\w+)", file.read()))
    command = re.search(r" (gcc(?:[^\n]*\\\n)*[^\n]*)\n", text)
    packages = command.group(1).replace("\\\n", " ").split()
    assert "ca-certificates" in packages
    for package in packages:
        assert deps[package] == "build", package


def test_accounts(usual):
    """What systemd-sysusers reads: no colon may be in a description."""
    text = (usual / "usr/local/share/postern/sysusers.d/postern.conf"
            ).read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    pattern = re.compile(r'u (_\w+) +- "([\w ]+)" +/nonexistent '
                         r'/usr/sbin/nologin')
    named = [pattern.fullmatch(line).group(1) for line in lines]
    sample = (usual / "usr/local/share/postern/postern.conf").read_text()
    assert named == re.findall(r"(?m)^#\w+-user (_\w+)$", sample)


def test_other_places(odd):
    root = ODD.lstrip("/")
    assert files(odd) == expected(root, {"opt/etc/postern/postern.conf",
                                         "etc/pam.d/postern"})
    for name in files(odd):
        data = (odd / name).read_bytes().replace(ODD.encode(), b"ODD")
        for place in (b"/usr/local", b"/run/postern", b"/var/spool/postern",
                      b"/etc/postern/postern.conf"):
            if is_program(name) or re.search(
                    "man[158]|systemd|tmpfiles|postern.conf$|INSTALL", name):
                assert place not in data.replace(
                    b"/opt/etc/postern/postern.conf", b""), (name, place)
    for program in ("pop3d", "smtpd"):
        data = (odd / root / "sbin" / program).read_bytes()
        for place in (ODD + "/libexec/postern", "/srv/run_d",
                      "/srv/mail.d/spool/postern",
                      "/opt/etc/postern/postern.conf"):
            assert place.encode() + b"\0" in data, (program, place)
        service = (odd / root / "share/postern/systemd" / (
            program + ".service")).read_text()
        assert "ExecStart=%s/sbin/%s -d\n" % (ODD, program) in service
    page = (odd / root / "share/man/man8/smtpd.8").read_text()
    assert "\n.It Pa /srv/mail.d/spool/postern\n" in page
    assert "\n.It Pa /srv/run_d/smtpd.pid\n" in page
    lint(odd / root / "share/man/man8/smtpd.8")
    lint(odd / root / "share/man/man5/postern.conf.5")


def test_uninstall(odd, build):
    make(build, "uninstall", "DESTDIR=%s" % odd,
         *("%s=%s" % place for place in ODD_PLACES.items()))
    assert files(odd) == {"opt/etc/postern/postern.conf", "etc/pam.d/postern"}
