"""What a service manager gives: sockets (LISTEN_FDS), and somebody to tell."""
import re
import signal
import socket
import subprocess
import time

import pytest

from postern import PATIENCE, Dialogue, Smtp
from starts import (CLEAN, Place, activated, alone, door,  # noqa: F401
                    stop)


def test_named_sockets():
    """Served as they are named, else by port; the file's are not opened."""
    place, other = Place("smtpd"), Place("smtpd")
    with door(place) as one, door(other) as two:
        process = activated(place, (one, two), "odd-name:smtp.socket")
        try:
            for port in (place.port, other.port):
                with Smtp(other if port == other.port else place) as smtp:
                    smtp.quit()
            process.send_signal(signal.SIGHUP)
            time.sleep(1)
            with Smtp(other) as smtp:
                smtp.quit()
        finally:
            stop(process)
        text = process.stderr.read().decode()
        listening = re.findall("event=listening service=(.*) address=(.*)",
                               text)
        assert listening.count(("smtp", "inherited")) == 2
        # But for the sockets of this host, which nobody has given; those are
        # named again when the reload is through.
        assert {service for service, where in listening
                if where != "inherited"} == {"local", "control"}
        assert process.returncode == 0


def test_sockets_of_somebody_else():
    """A LISTEN_PID that is not ours: the sockets are not, either."""
    place = Place("pop3d")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(1)
        process = activated(place, (sock,), "pop3", pid=1)
        place.process = process
        place.wait_ready()
        stop(process)


@pytest.mark.parametrize("names,kind", (
    ("pop3", "tcp"), ("smtp", "unix"), ("smtp", "none")))
def test_wrong_sockets(names, kind):
    place = Place("smtpd")
    if kind == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(place.dir + "/socket")
        sock.listen(1)
    elif kind == "tcp":
        sock = door(place)
    else:
        sock = open("/dev/null", "rb")
    with sock:
        process = activated(place, (sock,), names)
        text = process.communicate(timeout=PATIENCE)[1].decode()
    assert process.returncode == 1
    assert text.startswith("smtpd: LISTEN_FD"), text


# NOTIFY_SOCKET

@pytest.mark.parametrize("kind", ("path", "abstract"))
@pytest.mark.parametrize("program", ("pop3d", "smtpd"))
def test_notify(program, kind):
    place = Place(program)
    address = place.dir + "/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address if kind == "path" else "\0" + address)
        sock.settimeout(PATIENCE)
        heard = []

        def await_word(word):
            while True:
                heard.append(sock.recv(1000).decode().split("\n"))
                assert all("=" in line for line in heard[-1]), heard
                if any(line.startswith(word) for line in heard[-1]):
                    return heard[-1]
        place.process = subprocess.Popen(
            [place.path, "-d", "-f", place.conf_path],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
            env=dict(CLEAN, NOTIFY_SOCKET=address if kind == "path"
                     else "@" + address), start_new_session=True)
        try:
            await_word("READY=1")
            assert len(heard) == 1
            # Ready means ready.
            with Dialogue(place) as talk:
                talk.line()
                await_word("STATUS=1 sessions, 1 served")
            for process in place.processes("login"):
                with open("/proc/%d/environ" % process.pid, "rb") as file:
                    assert file.read() == b""
            place.reload()
            reloading = await_word("RELOADING=1")
            stamp = int(reloading[1].split("MONOTONIC_USEC=")[1])
            assert 0 <= time.monotonic() * 1e6 - stamp < PATIENCE * 1e6
            await_word("READY=1")
            place.reload("no-such-keyword yes\n")
            await_word("RELOADING=1")
            await_word("READY=1")
            place.process.terminate()
            await_word("STOPPING=1")
        finally:
            stop(place.process)
    assert place.process.returncode == 0


@pytest.mark.parametrize("address", ("/nonexistent/socket", "@nobody", "x", "",
                                     "/" + "x" * 200))
def test_notify_nobody(address):
    """A service manager that can't be told is no reason not to serve."""
    place = Place("pop3d")
    place.process = subprocess.Popen(
        [place.path, "-d", "-f", place.conf_path], stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, cwd="/", start_new_session=True,
        env=dict(CLEAN, NOTIFY_SOCKET=address))
    place.wait_ready()
    stop(place.process)
    assert place.process.returncode == 0
