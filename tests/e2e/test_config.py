"""Starting, and refusing to: options, mistakes, files that others may write."""
import os
import shutil
import subprocess

import pytest

import postern
from postern import Pop, Smtp

PROGRAMS = ("pop3d", "smtpd")


def check(program, *arguments):
    """Run it; (status, what it said)."""
    done = subprocess.run([os.path.join(postern.BUILD, "sbin", program),
                           *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=postern.PATIENCE, check=False, text=True)
    assert done.returncode >= 0, done.stdout
    return done.returncode, done.stdout


@pytest.fixture
def conf(host):
    path = postern.BASE + "/check.conf"

    def write(text, mode=0o644):
        postern.write(path, text, mode)
        return path
    yield write
    if os.path.exists(path):
        os.unlink(path)


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_empty_file_is_good(conf, program):
    assert check(program, "-n", "-f", conf("")) == (0, "")
    assert check(program, "-n", "-f", conf("# nothing\n\n  \n"))[0] == 0


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("line", [
    "no-such-keyword 1", "max-sessions", "max-sessions many",
    "max-sessions 99999999999999999999", "idle-timeout 5x", "listen",
    "listen pop3", "listen pop3 127.0.0.1", "listen pop3 127.0.0.1:0",
    "listen pop3 127.0.0.1:99999", "listen gopher 127.0.0.1:70",
    "hostname a b", "hostname -x", "domains", "plaintext-login sometimes",
    "mailbox maildir /etc", "mailbox mbox", "run-dir relative/path",
    "run-dir /a/../b", "trusted-networks 1.2.3",
    "limits-exempt 127.0.0.0/33", "message-size-limit -1",
    "message-size-limit 1 2", "retry-schedule"])
def test_mistakes_are_told_with_file_and_line(conf, program, line):
    path = conf("# first\n\n%s\n" % line)
    status, text = check(program, "-n", "-f", path)
    assert status != 0
    assert "%s:3" % path in text, text
    assert text.count("\n") <= 2


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_mistake_is_told_of(conf, program):
    _, text = check(program, "-n", "-f", conf("wrong 1\nhostname x\nworse 2\n"))
    assert ":1" in text and ":3" in text


@pytest.mark.parametrize("program", PROGRAMS)
def test_options(conf, program):
    path = conf("max-sessions 10\n")
    assert check(program, "-n", "-f", path, "-o", "max-sessions 20")[0] == 0
    status, text = check(program, "-n", "-f", path, "-o", "max-sessions x")
    assert status != 0 and "-o" in text
    assert check(program, "-n", "-f", "/nonexistent/postern.conf")[0] != 0
    assert check(program, "-Z")[0] != 0
    assert check(program, "-n", "-f", path, "surplus")[0] != 0


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("mode,uid,gid", [
    (0o666, 0, 0), (0o664, 0, 2000), (0o644, 2000, 0), (0o602, 0, 0)])
def test_C24_configuration_that_others_may_write(conf, program, mode, uid,
                                                 gid):
    """C24: refused, whoever made it so."""
    path = conf("", mode)
    os.chown(path, uid, gid)
    status, text = check(program, "-n", "-f", path)
    assert status != 0 and path in text


@pytest.mark.parametrize("program", PROGRAMS)
def test_C24_directory_that_others_may_write(host, program):
    """C24: who may write the directory may replace the file."""
    directory = postern.BASE + "/open-" + program
    os.makedirs(directory, exist_ok=True)
    os.chmod(directory, 0o777)
    postern.write(directory + "/postern.conf", "")
    assert check(program, "-n", "-f", directory + "/postern.conf")[0] != 0
    os.chmod(directory, 0o755)
    assert check(program, "-n", "-f", directory + "/postern.conf")[0] == 0
    os.chown(directory, 2000, 2000)
    assert check(program, "-n", "-f", directory + "/postern.conf")[0] != 0


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("line", [
    "worker-user no-such-user", "worker-user root", "queue-user root",
    "libexec-dir /nonexistent"])
def test_does_not_start_with(host, program, line):
    if line.startswith("queue") and program == "pop3d":
        return
    daemon = postern.Daemon(program, line)
    daemon.start(wait=False)
    assert daemon.process.wait(postern.PATIENCE) > 0
    postern.eventually(lambda: daemon.lines, "the reason")
    daemon.wait_nothing_left()


def test_several_listeners(daemons):
    daemon = daemons("pop3d", addresses=("127.0.0.1", "127.0.0.2", "::1"))
    for address in daemon.addresses:
        with Pop(daemon, address=address) as pop:
            assert pop.greeting.startswith("+OK")


def test_each_takes_its_own_services(host, daemons):
    """One file for both daemons."""
    pop3d, smtpd = postern.Daemon("pop3d"), postern.Daemon("smtpd")
    both = ("listen smtp 127.0.0.1:%d\nlisten pop3 127.0.0.1:%d\n"
            % (smtpd.port, pop3d.port))
    for daemon in (pop3d, smtpd):
        with open(daemon.conf_path, encoding="ascii") as file:
            rest = [line for line in file if not line.startswith("listen")]
        postern.write(daemon.conf_path, both + "".join(rest))
        daemon.start()
    with Pop(pop3d, "alice") as pop, Smtp(smtpd) as smtp:
        pop.ok("STAT")
        smtp.expect("NOOP", 250)
    for daemon in (pop3d, smtpd):
        assert daemon.stop() == 0
        daemon.wait_nothing_left()


def test_without_root(host):
    """Says what it needs, and does nothing."""
    # The build itself may lie where only root gets to.
    program = shutil.copy(os.path.join(postern.BUILD, "sbin", "pop3d"),
                          postern.BASE)
    done = subprocess.run(
        [program, "-d", "-f", "/dev/null"], user=2000, group=2000,
        extra_groups=[], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        timeout=postern.PATIENCE, check=False)
    assert done.returncode > 0 and done.stderr
