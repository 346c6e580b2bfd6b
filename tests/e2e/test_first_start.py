"""What somebody meets who starts Postern for the first time."""
import os
import signal
import subprocess

import postern
from postern import BUILD, PATIENCE, eventually

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
# Neither package nor compiler is needed for what is built.
RULES = "deps-run all: ;\ninclude run.mk\n"


def test_run_directory_is_made(daemons):
    """With all above it: what holds it may be empty after each start."""
    top = postern.BASE + "/fresh"
    daemon = daemons("pop3d", "run-dir %s/run/postern\n" % top)
    for path, mode in (("", 0o755), ("/run", 0o755), ("/run/postern", 0o755),
                       ("/run/postern/empty", 0o555)):
        assert os.stat(top + path).st_mode & 0o7777 == mode, path
    assert daemon.is_alive()


def test_spool_is_no_typing_mistake(host):
    """Letters wait elsewhere if the whole path is new."""
    daemon = postern.Daemon("smtpd", "spool-dir %s/spol/postern\n"
                            % postern.BASE)
    daemon.start(wait=False)
    assert daemon.process.wait(PATIENCE) == 1
    daemon.wait_log("/spol/postern: No such file or directory")
    assert not os.path.exists(postern.BASE + "/spol")


def test_spool_that_is_there(daemons):
    """An empty one of root's is taken; any other stays as it is, and so does
    what a slip of the pen names."""
    top = postern.BASE + "/spools"
    os.makedirs(top + "/empty")
    daemons("smtpd", "spool-dir %s/empty\n" % top)
    status = os.stat(top + "/empty")
    assert status.st_mode & 0o7777 == 0o700
    assert status.st_uid == postern.SYSTEM_USERS["_posternq"]
    for mode in (0o1777, 0o755, 0o700):
        os.chmod(top, mode)
        daemon = postern.Daemon("smtpd", "spool-dir %s\n" % top)
        daemon.start(wait=False)
        assert daemon.process.wait(PATIENCE) == 1
        daemon.wait_log("spools: must be owned by _posternq, with mode 0700")
        status = os.stat(top)
        assert (status.st_uid, status.st_mode & 0o7777) == (0, mode)


def test_directory_that_cannot_be_made(host):
    """The message names the directory and says why."""
    postern.write(postern.BASE + "/a-file", "")
    for keyword in ("run-dir", "spool-dir"):
        daemon = postern.Daemon("smtpd", "%s %s/a-file/postern\n" % (
            keyword, postern.BASE))
        daemon.start(wait=False)
        assert daemon.process.wait(PATIENCE) == 1
        daemon.wait_log("/a-file/postern.*: Not a directory")


def test_no_pam_service(daemons):
    """Nobody can log in, and the log says at the start which file is missing."""
    folder = postern.BASE + "/pam-other"
    os.makedirs(folder)
    postern.write(folder + "/other", "auth required pam_deny.so\n"
                  "account required pam_deny.so\n")
    daemon = daemons("pop3d", "pam-confdir %s\n" % folder)
    daemon.wait_log("event=pam-service-missing service=postern "
                    "text=.*%s/postern" % folder)
    postern.write(folder + "/postern", postern.PAM)
    daemon.forget_log()
    daemon.reload()
    daemon.wait_log("event=generation")
    assert not daemon.log("pam-service-missing")


def tried():
    """Processes of servers, but for those that this file's tests started."""
    known = {p.pid for d in postern.Daemon.every if d.is_alive()
             for p in d.processes()}
    return [p for p in postern.all_processes() if p.pid not in known
            and p.exe.startswith(BUILD + "/") and "/packages/" not in p.exe]


def make_run():
    """It serves, with the letter's way shown."""
    process = subprocess.Popen(
        ["make", "-s", "-f", "-", "run", "B=" + BUILD], cwd=TOP,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={"PATH": os.environ["PATH"]})
    process.stdin.write(RULES)
    process.stdin.close()
    process.stdin = None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith("Ctrl-C ends it"):
            break
    assert any("The letter came back" in line for line in seen), seen
    assert tried()
    return process


def test_make_run_ends_with_make(host):
    """Ctrl-C goes to all of the terminal's group, kill to make alone."""
    for end in (lambda p: os.killpg(p.pid, signal.SIGINT),
                lambda p: p.terminate()):
        process = make_run()
        end(process)
        assert "Ending." in process.communicate(timeout=PATIENCE)[0]
        eventually(lambda: not tried(), "nothing of make run is left")
