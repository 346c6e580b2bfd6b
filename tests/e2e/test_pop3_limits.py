"""pop3d: limits of sources, sessions and time, and its end."""
import time

import pytest

import postern
from letters import SHORT
from postern import Pop, put_message


def test_limit_per_source(daemons):
    """Over a limit there is a reply, not silence; others are served."""
    daemon = daemons("pop3d", "max-sessions-per-source 3\n"
                     "limits-exempt 192.0.2.0/24")
    daemon.wait_no_session()
    source = "127.0.0.7"
    three = postern.eventually(lambda: _open(daemon, source, 3),
                               "three sessions")
    with Pop(daemon, source=source) as fourth:
        assert fourth.greeting.startswith("-ERR [SYS/TEMP]")
        assert fourth.is_closed()
    with Pop(daemon, "alice", source="127.0.0.8") as other:
        other.ok("STAT")
    three[0].quit()
    again = postern.eventually(lambda: _open(daemon, source, 1),
                               "a place again")
    for pop in three[1:] + again:
        pop.ok("CAPA")
        pop.close()


def _open(daemon, source, count):
    """So many sessions, or none: one that has ended may still be counted."""
    pops = [Pop(daemon, source=source) for _ in range(count)]
    if all(pop.greeting.startswith("+OK") for pop in pops):
        return pops
    for pop in pops:
        pop.close()
    daemon.wait_no_session()
    time.sleep(0.05)
    return None


def test_limit_per_source_ipv6(daemons):
    """An IPv6 source is its /64."""
    daemon = daemons("pop3d", "max-sessions-per-source 2\n"
                     "limits-exempt 192.0.2.0/24", addresses=("::1",))
    addresses = ["fd00:0:0:1::1", "fd00:0:0:1::2"]
    try:
        open_ones = [Pop(daemon, source=a) for a in addresses]
    except OSError:
        pytest.skip("no IPv6 here")
    with Pop(daemon, source=addresses[1]) as third:
        assert third.greeting.startswith("-ERR [SYS/TEMP]")
    with Pop(daemon, source="fd00:0:0:2::1") as other:
        assert other.greeting.startswith("+OK")
    for pop in open_ones:
        pop.close()


def test_C16_full_house(daemons):
    """C16: when full, a session that has logged in stays; others give way."""
    daemon = daemons("pop3d", "max-sessions 4\nmax-sessions-per-source 4\n"
                     "login-timeout 1h")
    postern.clear("alice", "bob")
    keep = [Pop(daemon, "alice"), Pop(daemon, "bob")]
    idle = [Pop(daemon), Pop(daemon)]
    late = []

    def gets_in():
        pop = Pop(daemon)
        late.append(pop)
        return pop.greeting.startswith("+OK")
    postern.eventually(gets_in, "a place for a new client")
    for pop in keep:
        pop.ok("NOOP")
        pop.close()
    for pop in idle + late:
        pop.close()


def test_C16_login_timeout(daemons):
    """C16: not logging in, or doing so slowly, ends the session."""
    daemon = daemons("pop3d", "login-timeout 4s\nidle-timeout 1h")
    postern.clear("alice")
    stays = Pop(daemon, "alice")
    begun = time.monotonic()
    silent, slow = Pop(daemon), Pop(daemon)
    try:
        while time.monotonic() - begun < postern.PATIENCE:
            slow.ok("CAPA")
            slow.body()
            time.sleep(0.2)
        raise AssertionError("kept by CAPA")
    except (postern.Ended, OSError, AssertionError) as error:
        assert "kept" not in str(error), error
    assert time.monotonic() - begun > 3
    said = b"".join(iter(lambda: silent.sock.recv(1000), b""))
    assert said.endswith(b"-ERR the time to log in is over\r\n"), said
    stays.ok("STAT")
    stays.close()
    for pop in (silent, slow):
        pop.close()


def test_C16_idle_timeout(daemons):
    """C16: silence after login ends the session, without deleting."""
    daemon = daemons("pop3d", "idle-timeout 4s")
    postern.clear("alice")
    put_message("alice", SHORT)
    pop = Pop(daemon, "alice")
    pop.ok("DELE 1")
    for _ in range(5):
        time.sleep(1)
        begun = time.monotonic()
        pop.ok("NOOP")
    while pop.sock.recv(1000):
        pass
    assert time.monotonic() - begun > 3.5
    daemon.wait_no_session()
    assert len(postern.message_files("alice")) == 1


def test_C16_reader_that_stalls(daemons):
    """C16: a client that asks for much and reads nothing is dropped."""
    daemon = daemons("pop3d", "idle-timeout 4s")
    postern.clear("alice")
    put_message("alice", b"Subject: large\n\n" + b"x" * 79 + b"\n"
                + (b"y" * 79 + b"\n") * 400000)
    pop = Pop(daemon, "alice")
    pop.say("RETR 1")
    daemon.wait_no_session()
    pop.close()


def test_sigterm_says_good_bye(daemons):
    """SIGTERM ends sessions cleanly: nothing deleted, connection closed."""
    daemon = daemons("pop3d")
    postern.clear("alice")
    put_message("alice", SHORT)
    pop, fresh = Pop(daemon, "alice"), Pop(daemon)
    pop.ok("DELE 1")
    assert daemon.stop() == 0
    for each in (pop, fresh):
        while each.sock.recv(1000):
            pass
        each.close()
    assert len(postern.message_files("alice")) == 1
    daemon.wait_nothing_left()
