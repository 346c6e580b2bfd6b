"""Fixtures: the private host, a daemon a module, a fresh account a test."""
import itertools
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import boxes  # noqa: E402
import postern  # noqa: E402
import private  # noqa: E402

_crowd = itertools.cycle(postern.CROWD)


@pytest.fixture(scope="session")
def host():
    reason = os.environ.get("POSTERN_NO_PRIVATE_HOST")
    if reason is not None:
        pytest.skip("no private host: " + reason)
    # What is set up here takes the place of the host's accounts.
    if not os.path.ismount(private.ROOT) or not os.path.isdir(private.HOMES):
        pytest.exit("this is no private host: call tests/run", 2)
    if postern.accounts is None:
        postern.set_up()
    yield postern
    found = reports()
    assert not found, found


def reports():
    """What a sanitizer reported of any daemon since this was last asked."""
    found = []
    for daemon in postern.Daemon.every:
        of_it = daemon.new_reports()
        if of_it:
            found += of_it + daemon.lines[-60:]
    return "\n".join(found)


@pytest.fixture(scope="module")
def daemons(host):
    """Start daemons for this module; afterwards nothing of them is left."""
    started = []

    def start(program, conf="", **how):
        daemon = postern.Daemon(program, conf, **how)
        started.append(daemon)
        return daemon.start()
    yield start
    failures = []
    for daemon in started:
        if daemon.is_alive():
            status = daemon.stop()
            if status != 0:
                failures.append("%s ended with %d\n%s" % (
                    daemon.program, status, "\n".join(daemon.lines[-20:])))
    for daemon in started:
        try:
            daemon.wait_nothing_left()
        except AssertionError as error:
            failures.append(str(error))
            daemon.kill_tree()
    found = reports()
    if found:
        failures.append(found)
    assert not failures, "\n".join(failures)


@pytest.fixture(scope="module")
def pop3d(daemons):
    return daemons("pop3d")


@pytest.fixture(scope="module")
def smtpd(daemons):
    return daemons("smtpd", "retry-schedule 1s\ntrusted-networks none")


@pytest.fixture(scope="module")
def mbox_pop3d(daemons):
    """On an mbox in a spool directory as Debian has it."""
    os.chown("/var/mail", 0, boxes.MAIL_GID)
    os.chmod("/var/mail", 0o2775)
    return daemons("pop3d", "prefork 3\nmailbox mbox /var/mail/%u")


@pytest.fixture
def user(host):
    """An account with an empty home."""
    name = next(_crowd)
    postern.clear(name)
    return name


@pytest.fixture
def users(host):
    """A way to get more of them."""
    def fresh(count):
        names = [next(_crowd) for _ in range(count)]
        postern.clear(*names)
        return names
    return fresh


@pytest.fixture
def broken_nss(host):
    """Account look-ups fail, as when a directory server is down."""
    os.rename("/etc/passwd", "/etc/passwd.aside")
    os.symlink("passwd", "/etc/passwd")		# ELOOP
    yield
    os.rename("/etc/passwd.aside", "/etc/passwd")


@pytest.fixture(autouse=True)
def still_alive(request):
    """After each test: is the daemon still alive, and did nothing crash?"""
    daemons = [request.getfixturevalue(name) for name in ("pop3d", "smtpd")
               if name in request.fixturenames]
    seen = [len(daemon.lines) for daemon in daemons]
    yield
    for daemon, start in zip(daemons, seen):
        assert daemon.is_alive(), "%s has died\n%s" % (
            daemon.program, "\n".join(daemon.lines[-20:]))
        if "may_crash" not in request.keywords:
            odd = [line for line in daemon.lines[start:]
                   if postern.ABNORMAL.search(line)]
            assert not odd, odd
    found = reports()
    assert not found, found


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "may_crash: the test itself makes processes crash")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With a failure show what the daemons logged last."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for name in ("pop3d", "smtpd"):
            daemon = item.funcargs.get(name)
            if daemon is not None:
                report.sections.append((
                    "log of " + name, "\n".join(daemon.lines[-30:])))
        for name in item.funcargs:
            for what, lines in getattr(item.funcargs[name], "logs", dict)(
                    ).items():
                report.sections.append(("log of %s at %s" % (what, name),
                                        "\n".join(lines[-40:])))
