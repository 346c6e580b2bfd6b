"""C8: what a user of this host sends with his octets.

A descriptor that nobody takes is closed by whoever closes the socket that it
came over.  Of a TCP socket with SO_LINGER, whose peer does not read, that takes
as long as the user likes; nobody else may have to wait for it.
"""
import multiprocessing
import os
import signal
import socket
import time

import pytest

import postern
from lingering import LINGER, lingering
from postern import Smtp, eventually, wait_messages

AT_ONCE = 12		# clients, more than one user may have


@pytest.fixture(scope="module")
def smtpd(daemons):
    return daemons("smtpd", "max-sessions-per-source 3\n"
                   "limits-exempt 127.0.0.0/8\n")


def clients(user, path, kind, ready, stop):
    """Many at once; what they send has such sockets with it."""
    uid, gid = postern.accounts.people[user][:2]
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    kept = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(AT_ONCE):
            sock = socket.socket(socket.AF_UNIX, kind)
            kept.append(sock)
            sock.connect(path)
            with lingering(listener) as held:
                socket.send_fds(sock, [b"NOOP\r\n"], [held.fileno()])
        ready.set()
        stop.wait(postern.PATIENCE)
    os._exit(0)


@pytest.mark.parametrize("name, kind", (
    ("smtpd.sock", socket.SOCK_STREAM), ("smtpd.ctl", socket.SOCK_SEQPACKET)))
def test_C8_nobody_waits_for_a_descriptor(smtpd, users, name, kind):
    """Master and queue go on, whoever is refused or breaks the rules."""
    attacker, reader = users(2)
    context = multiprocessing.get_context("fork")
    ready, stop = context.Event(), context.Event()
    process = context.Process(target=clients, args=(
        attacker, smtpd.run_dir + "/" + name, kind, ready, stop))
    # So that it is the server's close that is the last one.
    os.kill(smtpd.process.pid, signal.SIGSTOP)
    try:
        process.start()
        eventually(ready.is_set, "all are sent")
    finally:
        os.kill(smtpd.process.pid, signal.SIGCONT)
    try:
        begun = time.monotonic()
        for _ in range(3):
            with Smtp(smtpd) as smtp:
                assert smtp.mail(b"Subject: x\r\n\r\nx\r\n", reader).code == 250
                smtp.quit()
        wait_messages(reader, 3)
        assert time.monotonic() - begun < LINGER
    finally:
        stop.set()
        process.join(postern.PATIENCE)
