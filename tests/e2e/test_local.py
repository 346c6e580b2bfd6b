"""Clients of this host: the Unix sockets, who they are for, whose they are."""
import contextlib
import os
import signal
import socket
import stat

import pytest

import postern
from postern import Smtp, eventually
from starts import activated, stop

LETTER = b"Subject: from here\r\n\r\nhello\r\n"


class Here:
    """Speaks through a socket file, as a user of this host."""

    service = None

    def __init__(self, path, user="root", kind=socket.SOCK_STREAM):
        self.path, self.user, self.kind = path, user, kind

    def connect(self, source=None, address=None):
        sock = socket.socket(socket.AF_UNIX, self.kind)
        sock.settimeout(postern.PATIENCE * 3)
        uid, gid = postern.accounts.people[self.user][:2]
        # The kernel notes the ids of who connects.
        os.setegid(gid)
        os.seteuid(uid)
        try:
            sock.connect(self.path)
        except OSError:
            sock.close()
            raise
        finally:
            os.seteuid(0)
            os.setegid(0)
        return sock


class Local(Smtp):
    def __init__(self, path, user="root", hello="EHLO here"):
        self.sock = Here(path, user).connect()
        self.buffer = b""
        self.greeting = self.reply()
        if hello is not None and self.greeting.code == 220:
            self.expect(hello, 250)


def sock_of(daemon):
    return daemon.run_dir + "/smtpd.sock"


def is_refused(path, kind=socket.SOCK_STREAM, user="root"):
    try:
        Here(path, user, kind).connect().close()
    except OSError as error:
        return type(error)
    return None


@pytest.fixture(scope="module")
def lmtp(daemons):
    """A directory of root's, with a socket in it."""
    place = postern.BASE + "/lmtp"
    os.makedirs(place, 0o755, exist_ok=True)
    return place + "/sock"


@pytest.fixture(scope="module")
def smtpd(daemons, lmtp):
    return daemons("smtpd", "listen lmtp %s\nretry-schedule 1s\n"
                   "max-sessions-per-source 3\nlimits-exempt none" % lmtp)


def test_modes(smtpd, lmtp):
    """Everybody may hand in mail, and see to it; LMTP is for a group."""
    queue = postern.SYSTEM_USERS["_posternq"]
    for path, mode, gid in ((sock_of(smtpd), 0o666, 0),
                            (smtpd.run_dir + "/smtpd.ctl", 0o666, 0),
                            (lmtp, 0o660, queue)):
        status = os.lstat(path)
        assert stat.S_ISSOCK(status.st_mode), path
        assert stat.S_IMODE(status.st_mode) == mode, path
        assert (status.st_uid, status.st_gid) == (0, gid), path
    assert is_refused(lmtp, user="alice") is PermissionError
    assert is_refused(lmtp, user="_posternq") is None


def test_a_user_sends(smtpd, user):
    """By the kernel's word: no login, no TLS, whatever HELO says."""
    with Local(sock_of(smtpd), "alice") as local:
        assert "STARTTLS" not in local.cmd("EHLO root").text
        assert local.mail(LETTER, user).code == 250
        local.quit()
    postern.wait_messages(user, 1)
    text = postern.messages(user)[0].decode()
    assert "uid %d" % postern.accounts.people["alice"][0] in text
    smtpd.wait_log(r"event=received .*client=local .*user=alice")


def test_lmtp_delivers(smtpd, lmtp, user):
    with Local(lmtp, hello="LHLO here") as local:
        local.envelope(user, user.upper())
        local.expect("DATA", 354)
        local.send(postern.stuff(LETTER))
        assert local.reply().code == 250
        assert local.reply().code == 250
        local.quit()
    postern.wait_messages(user, 1)


def test_limits_count_users(smtpd):
    """One user's many sessions are in nobody else's way."""
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(Local(sock_of(smtpd), "bob"))
        assert Local(sock_of(smtpd), "bob", None).greeting.code == 421
        with Local(sock_of(smtpd), "carol") as local:
            local.quit()
    smtpd.wait_log(r"event=refused client=local service=local "
                   r"why=source-limit")


def test_control_goes_to_the_queue(smtpd):
    """SEQPACKET only; the queue has it, and lives."""
    path = smtpd.run_dir + "/smtpd.ctl"
    assert is_refused(path) is not None
    before = {p.pid for p in smtpd.processes("smtpd-queue")}
    with Here(path, "alice", socket.SOCK_SEQPACKET).connect() as sock:
        with contextlib.suppress(BrokenPipeError):
            sock.send(b"\0\0\0\0")
        with contextlib.suppress(ConnectionResetError):
            sock.recv(1)
    # Far more than a user may have in a minute.
    for _ in range(300):
        with Here(path, "bob", socket.SOCK_SEQPACKET).connect():
            pass
    with Smtp(smtpd) as smtp:
        smtp.quit()
    assert {p.pid for p in smtpd.processes("smtpd-queue")} == before


def test_reload_and_stop(daemons, user):
    """A socket stands while it is wanted, and its file no longer."""
    place = postern.BASE + "/reload"
    os.makedirs(place, 0o755, exist_ok=True)
    daemon = daemons("smtpd", "listen lmtp %s/one" % place)
    inode = os.lstat(sock_of(daemon)).st_ino
    with Local(sock_of(daemon)) as local:
        daemon.reload("listen lmtp %s/two" % place)
        daemon.wait_log("event=reloaded")
        assert os.listdir(place) == ["two"]
        assert os.lstat(sock_of(daemon)).st_ino == inode
        local.expect("NOOP", 250)
        local.quit()
    # A configuration that can't be opened changes nothing, and leaves none.
    daemon.reload("listen lmtp %s/three\nlisten lmtp %s" % (
        place, sock_of(daemon)))
    daemon.wait_log("event=renewal-failed|event=reload-failed")
    assert os.listdir(place) == ["two"]
    with Local(sock_of(daemon)) as local:
        local.quit()
    assert daemon.stop() == 0
    assert os.listdir(place) == []


def test_C6_what_is_in_the_way(daemons):
    """C6: nothing is replaced but a dead socket of ours, and nothing is made
    where others could have their hands in."""
    place = postern.BASE + "/way"
    os.makedirs(place, 0o755, exist_ok=True)
    path = place + "/sock"
    people = postern.accounts.people

    def start():
        daemon = postern.Daemon("smtpd", "listen lmtp " + path)
        daemon.start(wait=False)
        status = None
        if daemon.process.poll() is None:
            with contextlib.suppress(AssertionError):
                daemon.wait_ready()
                status = 0
        if status is None:
            daemon.process.wait(postern.PATIENCE * 2)
            status = 1
        else:
            daemon.stop()
        daemon.wait_nothing_left()
        return status, "\n".join(daemon.lines)

    def left_behind(owner=0):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(path)
        os.chown(path, owner, owner)

    left_behind()
    assert start()[0] == 0
    assert not os.path.exists(path)
    left_behind(people["alice"][0])
    assert start()[0] == 1
    os.unlink(path)
    for make in (lambda: os.symlink("/etc/passwd", path),
                 lambda: open(path, "w", encoding="ascii").close(),
                 lambda: os.mkfifo(path)):
        make()
        before = os.lstat(path)
        assert start()[0] == 1
        assert os.lstat(path).st_ino == before.st_ino
        os.unlink(path)
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(path)
        alive.listen()
        status, text = start()
        assert status == 1 and "in use" in text, text
    os.unlink(path)
    for mode, uid in ((0o777, 0), (0o1777, 0), (0o775, 0),
                      (0o755, people["alice"][0])):
        os.chmod(place, mode)
        os.chown(place, uid, uid)
        assert start()[0] == 1, oct(mode)
        os.chown(place, 0, 0)
    os.chmod(place, 0o755)


def test_two_servers_of_one_run_dir(daemons):
    """The second one does not start, and leaves the first one's sockets."""
    first = daemons("smtpd")
    second = postern.Daemon("smtpd", run=first.run_dir)
    second.start(wait=False)
    assert second.process.wait(postern.PATIENCE * 2) != 0
    with Local(sock_of(first)) as local:
        local.quit()


def test_after_a_crash(daemons):
    """The files that a killed master left are no hindrance."""
    daemon = daemons("smtpd")
    daemon.kill_tree()
    assert os.path.exists(sock_of(daemon))
    assert is_refused(sock_of(daemon)) is ConnectionRefusedError
    daemon.start()
    with Local(sock_of(daemon)) as local:
        local.quit()


def test_sockets_of_a_service_manager(user):
    """Named or not, a Unix socket that was given is served, not made."""
    place = postern.Daemon("smtpd")
    place.path = os.path.join(postern.BUILD, "sbin", "smtpd")
    folder = os.path.dirname(place.conf_path)
    path, control = folder + "/given", folder + "/control"
    with socket.socket(socket.AF_UNIX) as one, \
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as two:
        for sock, name in ((one, path), (two, control)):
            sock.bind(name)
            sock.listen()
        process = activated(place, (one, two), "local:x")
        try:
            with Local(path, "root") as local:
                local.quit()
            Here(control, kind=socket.SOCK_SEQPACKET).connect().close()
            assert not os.path.exists(place.run_dir + "/smtpd.sock")
            process.send_signal(signal.SIGHUP)
            eventually(lambda: is_refused(path) is None, "still there")
        finally:
            stop(process)
        process.stderr.read()
        assert os.path.exists(path)
        # Not what it is named, or nothing that it can be.
        for names in ("smtp:control", "local:local", "control:control",
                      "lmtp:lmtp"):
            process = activated(place, (one, two), names)
            text = process.stderr.read().decode()
            assert process.wait(postern.PATIENCE) == 1
            assert "of another kind" in text, (names, text)


def test_no_room_for_the_path(daemons):
    """A run-dir that is too deep for sockets is told of at the start."""
    daemon = postern.Daemon("smtpd", run=postern.BASE + "/" + "x" * 100)
    daemon.start(wait=False)
    assert daemon.process.wait(postern.PATIENCE * 2) != 0
    daemon.wait_log("File name too long")


def test_rate(daemons):
    """So many sessions of one source in a minute, however short."""
    daemon = daemons("smtpd", "rate-per-source 3\nlimits-exempt none")
    for _ in range(3):
        with Local(sock_of(daemon), "alice") as local:
            local.quit()
    assert Local(sock_of(daemon), "alice", None).greeting.code == 421
    with Local(sock_of(daemon), "bob") as local:
        local.quit()
    for _ in range(2):		# one more has seen that it serves
        with Smtp(daemon) as smtp:
            smtp.quit()
    assert Smtp(daemon, None).greeting.code == 421
    daemon.wait_log(r"event=refused client=127.0.0.1 .* why=source-rate")
