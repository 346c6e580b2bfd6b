"""smtpd: where letters go."""
import os
import time

import postern
from letters import LETTER, as_stored, delivered
from postern import (
    Pop, Smtp, eventually, messages, password, split_trace, stuff,
    wait_messages)


def test_many_recipients(smtpd, users):
    """RFC 5321, 4.5.3.1.8: a hundred at least; a name twice is one copy."""
    names = users(30)
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<a@example.test>", 250)
        for n in range(120):
            smtp.expect("RCPT TO:<%s@%s>" % (
                names[n % 30], ("example.test", "localhost",
                                "mx.example.test", "EXAMPLE.test")[n // 30]),
                250)
        smtp.expect("DATA", 354)
        smtp.send(stuff(LETTER))
        assert smtp.reply().code == 250
    for name in names:
        assert delivered(name) == [as_stored(LETTER)]


def test_some_recipients_refused(smtpd, users):
    one, two = users(2)
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<a@example.test>", 250)
        smtp.expect("RCPT TO:<%s@example.test>" % one, 250)
        smtp.expect("RCPT TO:<unknown@example.test>", 550)
        smtp.expect("RCPT TO:<%s@example.test>" % two, 250)
        smtp.expect("DATA", 354)
        smtp.send(stuff(LETTER))
        assert smtp.reply().code == 250
    assert delivered(one) == delivered(two) == [as_stored(LETTER)]


def test_home_missing_defers(daemons):
    """A home that is not there (not mounted) is waited for; nothing is lost."""
    daemon = daemons("smtpd", "retry-schedule 1s 1s 1s 1s 2s")
    with Smtp(daemon) as smtp:
        assert smtp.mail(LETTER, "homeless").code == 250
    daemon.wait_log("event=(defer|deferred)|verdict=deferred")
    home = postern.home("homeless")
    assert not os.path.exists(home)
    time.sleep(1.2)
    assert not os.path.exists(home), "a missing home must not be made"
    try:
        postern.clear("homeless")
        assert delivered("homeless") == [as_stored(LETTER)]
    finally:
        os.system("rm -rf " + home)


def test_deferred_survives_a_restart(daemons):
    daemon = daemons("smtpd", "retry-schedule 1s")
    home = postern.home("homeless")
    with Smtp(daemon) as smtp:
        assert smtp.mail(LETTER, "homeless").code == 250
    daemon.wait_log("defer")
    assert daemon.stop() == 0
    daemon.wait_nothing_left()
    daemon.start()
    try:
        postern.clear("homeless")
        assert delivered("homeless") == [as_stored(LETTER)]
    finally:
        os.system("rm -rf " + home)


def test_spool_is_empty_afterwards(daemons, users):
    daemon = daemons("smtpd", "retry-schedule 1s")
    names = users(5)
    with Smtp(daemon) as smtp:
        for _ in range(4):
            assert smtp.mail(LETTER, *names).code == 250
        smtp.envelope(names[0])
        smtp.expect("RSET", 250)
        smtp.envelope(names[0])
        smtp.expect("DATA", 354)
        smtp.send(b"a\nb\r\n.\r\n")
        smtp.reply()
        smtp.quit()
    for name in names:
        assert len(delivered(name, 4)) == 4
    daemon.wait_no_session()
    eventually(lambda: spool_files(daemon) == [], "an empty spool")


def spool_files(daemon):
    found = []
    for where, _, names in os.walk(daemon.spool):
        found += [os.path.join(where, name) for name in names
                  if os.path.getsize(os.path.join(where, name)) > 0]
    return found


def test_delivered_file_is_the_users(smtpd, user):
    """C18: owner, group and mode of what is delivered and made."""
    uid, gid, home, _ = postern.accounts.people[user]
    with Smtp(smtpd) as smtp:
        assert smtp.mail(LETTER, user).code == 250
    wait_messages(user, 1)
    for where, directories, names in os.walk(home):
        for name in directories + names:
            status = os.lstat(os.path.join(where, name))
            assert (status.st_uid, status.st_gid) == (uid, gid), name
            assert status.st_mode & 0o077 == 0, name


def test_C10_nss_out_of_order(smtpd, user, broken_nss):
    """C10: 451, never 550, while accounts can't be looked up."""
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<a@example.test>", 250, 451)
        reply = smtp.cmd("RCPT TO:<%s@example.test>" % user)
        assert 400 <= reply.code < 500, reply
        reply = smtp.cmd("RCPT TO:<unknown@example.test>")
        assert 400 <= reply.code < 500, reply


def test_C6_maildir_is_a_link(smtpd, users):
    """C6: a delivery through a link into another's home reaches nobody."""
    one, other = users(2)
    os.mkdir(postern.home(other) + "/Maildir", 0o777)
    os.chmod(postern.home(other) + "/Maildir", 0o777)
    os.symlink(postern.maildir(other), postern.maildir(one))
    with Smtp(smtpd) as smtp:
        assert smtp.mail(LETTER, one).code == 250
    smtpd.wait_log("defer")
    assert messages(other) == []
    os.unlink(postern.maildir(one))
    assert delivered(one) == [as_stored(LETTER)]


def test_delivered_mail_can_be_collected(smtpd, pop3d, user):
    with Smtp(smtpd) as smtp:
        for n in range(3):
            assert smtp.mail(LETTER + b"%d\r\n" % n, user).code == 250
    wait_messages(user, 3)
    with Pop(pop3d, user) as pop:
        assert pop.stat()[0] == 3
        assert len(set(pop.uidl())) == 3
        bodies = sorted(split_trace(pop.retr(n))[1] for n in (1, 2, 3))
        assert bodies == sorted(LETTER + b"%d\r\n" % n for n in range(3))
        for number, size in pop.list():
            assert len(pop.retr(number)) == size
            pop.ok("DELE %d" % number)
        pop.quit()
    assert messages(user) == []
    for name in os.listdir(postern.maildir(user) + "/tmp"):
        raise AssertionError("left in tmp/: " + name)


def test_password_is_not_asked_for_delivery(smtpd):
    """An account whose password is locked still gets its mail."""
    postern.clear("locked")
    with Smtp(smtpd) as smtp:
        assert smtp.mail(LETTER, "locked").code == 250
    assert delivered("locked") == [as_stored(LETTER)]
    assert password("locked")
