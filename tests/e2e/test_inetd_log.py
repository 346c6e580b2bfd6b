"""Under inetd everything is told to the log and nothing to the client."""
import contextlib
import os
import resource
import socket
import subprocess

import pytest

import postern
import private

DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8),
           "urandom": (1, 9)}


@pytest.fixture(scope="module")
def log(host):
    """A /dev of our own with a log in it, which is ours to read."""
    top = private.ROOT + "/dev-with-log"
    os.mkdir(top)
    private.mount("tmpfs", top, "tmpfs", 0, "mode=0755")
    for name, (major, minor) in DEVICES.items():
        os.mknod(top + "/" + name, 0o666 | 0o020000,
                 os.makedev(major, minor))
        os.chmod(top + "/" + name, 0o666)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(top + "/log")
    sock.setblocking(False)
    private.mount(top, "/dev", None, private.MS_BIND)
    yield sock
    subprocess.run(["umount", "/dev"], check=True)


def logged(log):
    lines = []
    with contextlib.suppress(BlockingIOError):
        while True:
            lines.append(log.recv(8192).decode("ascii", "replace"))
    return "\n".join(lines)


def served(program, conf="", **how):
    """What a client gets, until it has been greeted or the end."""
    daemon = postern.Daemon(program, conf)
    with socket.create_server(("127.0.0.1", 0)) as door:
        client = socket.create_connection(door.getsockname())
        server, _ = door.accept()
    process = subprocess.Popen(
        [os.path.join(postern.BUILD, "sbin", program), "-i", "-f",
         daemon.conf_path], stdin=server, stdout=server, stderr=server,
        start_new_session=True, cwd="/", env={}, **how)
    server.close()
    client.settimeout(postern.PATIENCE)
    got = b""
    while not got.endswith(b"\n"):
        data = client.recv(4096)
        if not data:
            break
        got += data
    client.close()
    process.wait(postern.PATIENCE)
    return got


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))


@pytest.mark.parametrize("program", ("pop3d", "smtpd"))
def test_the_client_sees_the_protocol_only(log, program):
    greeting = {"pop3d": b"+OK ", "smtpd": b"220 "}[program]
    refusal = {"pop3d": b"-ERR [SYS/TEMP]", "smtpd": b"421 "}[program]
    fresh = "%s/%s-first" % (postern.BASE, program)
    got = served(program)
    assert got.startswith(greeting) and got.count(b"\n") == 1, got
    got = served(program, "no-such-keyword\n")
    assert got.startswith(refusal) and got.count(b"\n") == 1, got
    assert "no-such-keyword" in logged(log)
    if not postern.SANITIZED:
        got = served(program, preexec_fn=few_descriptors)
        assert got.startswith(greeting) and got.count(b"\n") == 1, got
        assert "event=few-descriptors" in logged(log)
    got = served(program, "tls-certificate %s/c.pem\ntls-key %s/k.pem\n"
                 % (fresh, fresh))
    assert got.startswith(greeting) and got.count(b"\n") == 1, got
    assert "event=certificate-made" in logged(log)
