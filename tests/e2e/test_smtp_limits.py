"""smtpd: limits of sources, errors and time, and its end."""
import threading
import time

import postern
from letters import LETTER, delivered
from postern import Dialogue, Smtp, messages, stuff


def test_C16_too_many_errors(smtpd):
    """C16: nonsense without end gets a 421."""
    for line in ("XYZZY", "MAIL FROM:<", "NOOP", "VRFY alice"):
        with Smtp(smtpd) as smtp:
            for _ in range(2000):
                if smtp.cmd(line).code == 421:
                    break
            else:
                raise AssertionError("never ended: " + line)
            assert smtp.is_closed()


def test_limit_per_source(daemons):
    daemon = daemons("smtpd", "max-sessions-per-source 2\n"
                     "limits-exempt 192.0.2.0/24")
    daemon.wait_no_session()
    time.sleep(0.2)
    two = [Smtp(daemon, source="127.0.0.9") for _ in range(2)]
    with Smtp(daemon, source="127.0.0.9") as third:
        assert third.greeting.code == 421, third.greeting
        assert third.is_closed()
    with Smtp(daemon, source="127.0.0.10") as other:
        assert other.greeting.code == 220
    for smtp in two:
        smtp.expect("NOOP", 250)
        smtp.close()


def test_C16_idle_timeout(daemons):
    """C16: silence, and a DATA that stalls, end with 421."""
    daemon = daemons("smtpd", "idle-timeout 4s")
    postern.clear("alice")
    silent, stalled = Smtp(daemon), Smtp(daemon)
    stalled.envelope("alice")
    stalled.expect("DATA", 354)
    stalled.send(b"half a li")
    for smtp in (silent, stalled):
        assert smtp.reply().code == 421
        assert smtp.is_closed()
        smtp.close()
    daemon.wait_no_session()
    assert messages("alice") == []


def test_C16_login_timeout(daemons):
    """C16: who does not log in is told that it took too long."""
    daemon = daemons("smtpd", "login-timeout 1s\nidle-timeout 1h",
                     also=("submission",))
    daemon.service = "submission"
    with Smtp(daemon) as smtp:
        said = smtp.reply()
        assert said.code == 421 and said.status == "4.4.2", said
        assert smtp.is_closed()
    daemon.wait_log("event=timeout client=")
    daemon.wait_no_session()


def test_sigterm_says_421(daemons, user):
    daemon = daemons("smtpd")
    smtp = Smtp(daemon)
    smtp.envelope(user)
    ended = []
    thread = threading.Thread(target=lambda: ended.append(daemon.stop()))
    thread.start()
    assert smtp.reply().code == 421
    assert smtp.is_closed()
    smtp.close()
    thread.join()
    assert ended == [0]
    daemon.wait_nothing_left()


def test_slow_octets(smtpd, user):
    """Every octet in a segment of its own."""
    with Dialogue(smtpd) as talk:
        stream = (b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<%s@example.test>\r\n"
                  b"DATA\r\n" % user.encode() + stuff(LETTER[:60])
                  + b"QUIT\r\n")
        for octet in stream:
            talk.send(bytes([octet]))
            time.sleep(0.0005)
        while talk.fill():
            pass
        assert b"\r\n221 " in talk.buffer
    assert len(delivered(user)) == 1
