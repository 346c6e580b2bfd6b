"""Unix groups as members of aliases: who gets it, and when a change counts."""
import os
import subprocess

import pytest

import postern
from postern import Smtp, eventually, messages, wait_messages
from test_local import Local

pytestmark = pytest.mark.may_crash
LETTER = b"Subject: to a group\r\n\r\nHello.\r\n"
STAFF = 5000
CONF = "retry-schedule 1s\ntrusted-networks none\n"


@pytest.fixture(scope="module")
def smtpd(daemons):
    return daemons("smtpd", CONF)


@pytest.fixture
def groups(host):
    """Say who is in groups; a host of others afterwards."""
    with open("/etc/group", encoding="ascii") as file:
        before = file.read()
    with open("/etc/passwd", encoding="ascii") as file:
        accounts = file.read()

    def put(primary=(), **lists):
        rows = ["%s:x:%d:%s\n" % (name, STAFF + number, ",".join(users))
                for number, (name, users) in enumerate(lists.items())]
        postern.write("/etc/group", before + "".join(rows))
        lines = [line.split(":") for line in accounts.splitlines()]
        for line in lines:
            if line[0] in primary:
                line[3] = str(STAFF)
        postern.write("/etc/passwd", "".join(":".join(line) + "\n"
                                             for line in lines))
    yield put
    postern.write("/etc/group", before)
    postern.write("/etc/passwd", accounts)
    postern.write("/etc/aliases", "")


@pytest.fixture
def fresh(smtpd, groups):
    """Groups that the queue does not remember: a new queue does not."""
    def put(*args, **lists):
        groups(*args, **lists)
        old = {p.pid for p in smtpd.processes("smtpd-queue")}
        smtpd.reload()
        eventually(lambda: {p.pid for p in smtpd.processes("smtpd-queue")}
                   - old, "another queue")
    return put


def send(smtpd, *recipients):
    with Smtp(smtpd) as smtp:
        assert smtp.mail(LETTER, *recipients).code == 250
        smtp.quit()


def is_over(smtpd):
    eventually(lambda: not os.listdir(smtpd.spool + "/queue"), "it is over")


def test_members(smtpd, users, fresh):
    """Listed, or by the primary group; once; nobody who has no mail here."""
    listed, primary, both, other = users(4)
    postern.write("/etc/aliases", "all: :group:staff, %s\n" % both)
    fresh((primary, both), staff=(listed, both, "root", "lowly", "nobody",
                                  "gone"))
    send(smtpd, "all", "all+detail")
    for name in (listed, primary, both):
        wait_messages(name, 1)
    is_over(smtpd)
    assert messages(other) == [] and messages("lowly") == []
    assert [len(messages(name)) for name in (listed, primary, both)] == [1] * 3


def test_change(smtpd, users, fresh):
    """Who has joined gets what is sent from then on, and who has left not."""
    first, second = users(2)
    postern.write("/etc/aliases", "all: :group:staff\n")
    fresh(staff=(first,))
    send(smtpd, "all")
    wait_messages(first, 1)
    fresh(staff=(second,))
    send(smtpd, "all")
    wait_messages(second, 1)
    is_over(smtpd)
    assert len(messages(first)) == 1


def test_by_itself(smtpd, users, groups):
    """Within a minute, without a word to the server."""
    first, second = users(2)
    postern.write("/etc/aliases", "soon: :group:soon\n")
    groups(soon=(first,))
    send(smtpd, "soon")
    wait_messages(first, 1)
    groups(soon=(first, second))

    def has_come():
        send(smtpd, "soon")
        return messages(second)
    eventually(has_come, "the new member has mail", seconds=180, every=5)
    is_over(smtpd)


def test_lists(smtpd, users, fresh):
    """In a list that somebody keeps; the owner of the alias is the sender;
    what is another's alias goes where that goes."""
    owner, member, away = users(3)
    os.makedirs("/etc/lists", exist_ok=True)
    postern.write("/etc/lists/team", "# all\n:group:staff\n")
    postern.write("/etc/aliases", "team: :include:/etc/lists/team\n"
                  "owner-team: %s\n%s: %s\n" % (owner, away, owner))
    fresh(staff=(member, away))
    send(smtpd, "team")
    letter, = wait_messages(member, 1)
    assert letter.startswith(b"Return-Path: <owner-team@mx.example.test>\n")
    wait_messages(owner, 1)
    is_over(smtpd)
    assert messages(away) == []


def test_me_and_others(smtpd, users, fresh):
    """An alias of a member with the group in it: the account."""
    member, other = users(2)
    postern.write("/etc/aliases", "%s: :group:staff\n" % member)
    fresh(staff=(member, other))
    send(smtpd, member)
    wait_messages(member, 1)
    wait_messages(other, 1)
    is_over(smtpd)


def test_unknown(smtpd, user, fresh):
    """It waits, and where the mistake is stands in the log, once."""
    postern.write("/etc/aliases", "# first\nall: :group:absent, %s\n" % user)
    fresh()
    start = len(smtpd.lines)
    send(smtpd, "all")
    wait_messages(user, 1)
    smtpd.wait_log(r"event=deferred .*to=all@.*status=4\.3\.5 .*"
                   "group absent is unknown")
    eventually(lambda: len([line for line in smtpd.lines[start:] if
                            "event=deferred" in line]) > 2, "tried again")
    told = [line for line in smtpd.lines[start:]
            if "/etc/aliases:2: group absent is unknown" in line]
    assert len(told) == 1
    fresh(absent=(user,))
    is_over(smtpd)
    assert len(messages(user)) == 1


def test_C10_nss_out_of_order(smtpd, user, fresh):
    """C10: no answer is never a group without members."""
    postern.write("/etc/aliases", "all: :group:staff\n")
    fresh(staff=(user,))
    os.rename("/etc/group", "/etc/group.aside")
    os.symlink("group", "/etc/group")		# ELOOP
    try:
        send(smtpd, "all")
        smtpd.wait_log(r"event=deferred .*to=all@.*status=4\.3\.0 ")
    finally:
        os.rename("/etc/group.aside", "/etc/group")
    wait_messages(user, 1)
    is_over(smtpd)


def test_expn(smtpd, user, fresh):
    """Which group it is, is told; not who is in it."""
    postern.write("/etc/aliases", "all: %s, :group:staff\n" % user)
    fresh(staff=(user,))
    with Local(smtpd.run_dir + "/smtpd.sock", user) as smtp:
        reply = smtp.expect("EXPN all", 250)
    assert "Members of the group staff" in reply.text


def test_once(smtpd, user, daemons, fresh):
    """A queue that runs until nothing is due stays until it knows."""
    postern.write("/etc/aliases", "all: :group:staff\n")
    fresh(staff=(user,))
    smtpd.stop()
    smtpd.wait_nothing_left()
    try:
        done = subprocess.run(
            [postern.BUILD + "/sbin/smtpd", "-q", "-f", smtpd.conf_path],
            env={"PATH": "/usr/bin:/bin"}, check=False)
        assert done.returncode == 0
    finally:
        smtpd.start()
