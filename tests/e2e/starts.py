"""What the tests of starting share: places of daemons that others start."""
import os
import socket
import subprocess

import pytest

import postern
from postern import BUILD, PATIENCE, eventually

LETTER = b"Subject: started\r\n\r\n.It was there.\r\n"
CLEAN = {"PATH": "/usr/bin:/bin"}


# What is started

class Place(postern.Daemon):
    """Configuration, port and spool of a daemon that others start."""

    count = 0

    def __init__(self, program, conf="", **how):
        Place.count += 1
        if "retry-schedule" not in conf:
            conf += "\nretry-schedule 1s\n"
        super().__init__(program, conf, "start-%d" % Place.count, **how)
        self.path = os.path.join(BUILD, "sbin", program)
        self.command = [self.path, "-i", "-f", self.conf_path]


def ours():
    """Live processes of any daemon's; tests of this file run alone."""
    return [p for p in postern.all_processes()
            if p.exe.startswith(BUILD + "/") and "/packages/" not in p.exe]


def wait_nobody():
    try:
        eventually(lambda: not ours(), "no process left")
    except AssertionError:
        raise AssertionError("left: %s" % ours()) from None


@pytest.fixture(autouse=True)
def alone(host):
    wait_nobody()
    yield
    wait_nobody()


def stop(process):
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


# inetd's part played here

def run(place, stdin, *options, program=None, stderr=subprocess.PIPE, **how):
    return subprocess.Popen(
        [program or place.path, *options, "-f", place.conf_path], stdin=stdin,
        stdout=subprocess.DEVNULL, stderr=stderr, env=CLEAN, cwd="/",
        start_new_session=True, **how)


def door_at(port):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(16)
    return sock


def door(place):
    return door_at(place.port)


def connection_to(port):
    """The two ends of a connection to a port of this host."""
    with door_at(port) as sock:
        client = socket.create_connection(("127.0.0.1", port),
                                          timeout=PATIENCE)
        return client, sock.accept()[0]


def connection(place):
    return connection_to(place.port)


# A service manager's

def activated(place, socks, names=None, pid=None, options=("-d",)):
    """Started with these sockets as LISTEN_FDS."""
    def place_sockets():
        copies = [os.dup(os.dup2(sock.fileno(), 100 + i))
                  for i, sock in enumerate(socks)]
        for i, copy in enumerate(copies):
            os.dup2(copy, 3 + i)
    script = "LISTEN_PID=%s LISTEN_FDS=%d %s exec %s %s -f %s" % (
        pid or "$$", len(socks),
        "LISTEN_FDNAMES=" + names if names is not None else "", place.path,
        " ".join(options), place.conf_path)
    return subprocess.Popen(
        ["/bin/sh", "-c", script], stdin=subprocess.DEVNULL, env=CLEAN,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/",
        preexec_fn=place_sockets, close_fds=False, start_new_session=True)
