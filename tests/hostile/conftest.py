"""Fixtures: those of the end-to-end tests, and daemons with puppet workers."""
import importlib.util
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
E2E = os.path.join(os.path.dirname(HERE), "e2e")
sys.path[:0] = [HERE, E2E]

_spec = importlib.util.spec_from_file_location(
    "e2e_conftest", os.path.join(E2E, "conftest.py"))
_e2e = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_e2e)
globals().update({name: value for name, value in vars(_e2e).items()
                  if not name.startswith("_")})

import gates  # noqa: E402
import puppet  # noqa: E402


@pytest.fixture(scope="module")
def puppets(host):
    """Start daemons whose workers are puppets; nothing of them is left."""
    started = []

    def start(program, conf="", **how):
        daemon = puppet.PuppetDaemon(program, conf, **how)
        started.append(daemon)
        return daemon.start()
    yield start
    for daemon in started:
        assert daemon.is_alive(), "%s has died\n%s" % (
            daemon.program, "\n".join(daemon.lines[-20:]))
        assert daemon.stop() == 0, "\n".join(daemon.lines[-20:])
    for daemon in started:
        daemon.wait_nothing_left()
    found = _e2e.reports()
    assert not found, found


@pytest.fixture(scope="module")
def pop(puppets):
    return puppets("pop3d")


@pytest.fixture(scope="module")
def smtp(puppets):
    return puppets("smtpd", "message-size-limit %d\nretry-schedule 1s\n"
                   "trusted-networks none\n" % gates.LIMIT)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With a failure show what the daemons logged last."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for name, daemon in item.funcargs.items():
            if isinstance(daemon, puppet.postern.Daemon):
                report.sections.append(("log of " + name, "\n".join(
                    daemon.log("renew|crash|died") + daemon.lines[-30:])))
