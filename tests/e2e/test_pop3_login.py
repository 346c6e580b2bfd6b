"""pop3d: who may log in, what refusals tell, and accounts out of order."""
import threading
import time

import pytest

import postern
from postern import Pop, password


def refused():
    long = "x" * 60
    return [
        ("wrong password", "alice", "wrong"),
        ("one octet more", "alice", password("alice") + "x"),
        ("one octet less", "alice", password("alice")[:-1]),
        ("case", "alice", password("alice").upper()),
        ("unknown", "nobody-here", "x"),
        ("long and unknown", long, "x"),
        ("root", "root", "root"),
        ("another uid 0", "toor", password("toor")),
        ("below login-min-uid", "lowly", password("lowly")),
        ("65534", "none", password("none")),
        ("system user", "_postern", ""),
        ("locked", "locked", "!"),
        ("expired", "expired", password("expired")),
        ("empty", "alice", ""),
        ("path", "../alice", password("alice")),
        ("foreign domain", "alice@elsewhere.test", password("alice")),
        ("8-bit", "\xe4\xff", "\xff"),
        ("8-bit password", "alice", "\xff\xfe\x01"),
        ("format", "%s%n%s%n", "%s%n"),
        ("options", "-f root", "x"),
        ("escape", "alice\x1b[31m", password("alice")),
    ]


def test_C10_C11_every_refusal_is_the_same(pop3d):
    """C10, C11: one text and one time for every kind of failed login."""
    replies, late = set(), refused()
    for _ in range(TURNS):
        # A busy host makes some late, but not the same ones each time.
        late = attempts(pop3d, late, replies)
        if not late:
            break
    assert not late, "always late: %s" % late
    assert len(replies) == 1, replies
    assert replies.pop().startswith("-ERR [AUTH]")


TURNS = 8		# of a measurement that a busy host may spoil


def attempts(pop3d, rows, replies):
    """Try to log in; those that were not refused after whole two seconds."""
    in_time, late, early = [], [], []

    def attempt(row):
        _, name, secret = row
        with Pop(pop3d) as pop:
            pop.ok("USER " + name)
            begun = time.monotonic()
            replies.add(pop.cmd("PASS " + secret))
            seconds = time.monotonic() - begun
        where = early if seconds < 1.9 else \
            late if 0.5 < seconds % 2 < 1.9 else in_time
        where.append(row)
    threads = [threading.Thread(target=attempt, args=(row,)) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not early, early
    assert len(in_time) + len(late) == len(rows)
    return late


def test_success_is_at_once(pop3d, user):
    """Not after the two seconds of a failure, but on the busiest host."""
    def is_quick():
        pop3d.wait_no_session()
        begun = time.monotonic()
        with Pop(pop3d, user) as pop:
            pop.ok("STAT")
            return time.monotonic() - begun < 1
    assert any(is_quick() for _ in range(TURNS))


def test_C12_three_tries(pop3d, user):
    """C12: at most three tries a session; the right one still works third."""
    with Pop(pop3d) as pop:
        for _ in range(2):
            pop.ok("USER " + user)
            pop.err("PASS wrong")
        pop.ok("USER " + user)
        pop.ok("PASS " + password(user))
        pop.ok("STAT")
    with Pop(pop3d) as pop:
        for _ in range(3):
            pop.ok("USER " + user)
            pop.err("PASS wrong")
        assert pop.is_closed()
    pop3d.wait_no_session()


@pytest.mark.parametrize("name,secret", [
    ("spaces", " two  words "),
    ("eightbit", "gr\u00fc\u00dfe"),
    ("a.rather-long_name.of-forty-nine.characters.in.all", "long"),
    ("alice@example.test", None),
    ("alice@localhost", None),
    ("alice@EXAMPLE.Test", None),
])
def test_names_and_passwords(pop3d, name, secret):
    """QUIRKS: spaces and 8-bit in PASS, long names, account@domain."""
    secret = password(name.split("@")[0]) if secret is None else secret
    with Pop(pop3d) as pop:
        pop.ok("USER " + name)
        pop.ok(b"PASS " + secret.encode())
        pop.ok("STAT")
        pop.quit()


def test_no_secret_in_the_log(pop3d, user):
    secrets = (password(user), "a-wrong-secret")
    with Pop(pop3d) as pop:
        pop.ok("USER " + user)
        pop.err("PASS " + secrets[1])
        pop.err("PASS " + secrets[1] + " before USER")
        pop.err("USER")
        pop.ok("USER " + user)
        pop.ok("PASS " + secrets[0])
        pop.quit()
    pop3d.wait_log("event=login user=%s " % user)
    for line in pop3d.lines:
        assert not any(secret in line for secret in secrets), line


def test_C5_no_control_octet_in_the_log(pop3d):
    """C5: what a client says can't forge a line of the log."""
    with Pop(pop3d) as pop:
        pop.say(b"USER x\x1b[2J\x07\x08 event=login user=root")
        pop.line()
        pop.say("PASS x")
        pop.line()
    pop3d.wait_no_session()
    assert not pop3d.log(r"[\x00-\x1f\x7f-\xff]")
    assert not pop3d.log(r" event=login user=root( |$)")


@pytest.mark.parametrize("setting,loopback,other", [
    ("never", False, False), ("loopback", True, False), ("always", True, True)])
def test_plaintext_login(daemons, user, setting, loopback, other):
    """A secret is taken in the clear only where the administrator says so."""
    daemon = daemons("pop3d", "plaintext-login " + setting,
                     addresses=("127.0.0.1", "192.0.2.1"))
    for source, address, allowed in (("127.0.0.1", "127.0.0.1", loopback),
                                     ("192.0.2.2", "192.0.2.1", other)):
        with Pop(daemon, source=source, address=address) as pop:
            assert (b"USER" in pop.multi("CAPA")) == allowed
            if allowed:
                pop.ok("USER " + user)
                pop.ok("PASS " + password(user))
            else:
                pop.err("USER " + user)
                pop.err("PASS " + password(user))
                pop.err("STAT")


@pytest.fixture
def pam(host):
    yield postern.pam_service
    postern.pam_service(postern.PAM)


def test_C10_nss_out_of_order(pop3d, user, broken_nss):
    """C10: no lookup is not "wrong password"."""
    with Pop(pop3d) as pop:
        pop.ok("USER " + user)
        assert "[SYS/TEMP]" in pop.err("PASS " + password(user))


@pytest.mark.parametrize("text", [
    "auth required pam_no_such_module.so\naccount required pam_unix.so\n",
    "auth required pam_unix.so\naccount required pam_no_such_module.so\n",
], ids=("auth", "account"))
def test_C10_pam_out_of_order(pop3d, user, pam, text):
    """C10: a missing module is not "wrong password"; repaired, it works."""
    pam(text)

    def fails():
        with Pop(pop3d) as pop:
            pop.ok("USER " + user)
            return "[SYS/TEMP]" in pop.cmd("PASS " + password(user))
    postern.eventually(fails, "[SYS/TEMP]")
    pam(postern.PAM)

    def works():
        with Pop(pop3d) as pop:
            pop.ok("USER " + user)
            return pop.cmd("PASS " + password(user)).startswith("+OK")
    postern.eventually(works, "login with PAM repaired")


def test_C10_pam_says_no(pop3d, user, pam):
    """C10: a right password that the account stack refuses is a refusal."""
    pam("auth required pam_unix.so\naccount required pam_deny.so\n")

    def refused():
        with Pop(pop3d) as pop:
            pop.ok("USER " + user)
            return "[AUTH]" in pop.cmd("PASS " + password(user))
    postern.eventually(refused, "refused by the account stack")


def test_home_missing(pop3d):
    """An account without its home (not mounted): a temporary error."""
    with Pop(pop3d) as pop:
        pop.ok("USER homeless")
        assert "[SYS/TEMP]" in pop.err("PASS " + password("homeless"))


def test_a_new_account_and_password(pop3d, user):
    """Changed account files are seen without a restart."""
    def works(name, secret):
        with Pop(pop3d) as pop:
            pop.ok("USER " + name)
            return pop.cmd("PASS " + secret).startswith("+OK")
    postern.accounts.add("newcomer", 2900, "first")
    postern.accounts.write()
    postern.clear("newcomer")
    postern.eventually(lambda: works("newcomer", "first"), "login")
    postern.accounts.add("newcomer", 2900, "second")
    postern.accounts.write()
    postern.eventually(lambda: works("newcomer", "second"), "login")
    assert not works("newcomer", "first")
