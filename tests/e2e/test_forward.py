"""~/.forward: where it may send mail, and what it can't make us do (C7)."""
import os
import stat

import pytest

import postern
from postern import Smtp, eventually, wait_messages
from sink import Sink

pytestmark = pytest.mark.may_crash
LETTER = b"Subject: to be forwarded\r\n\r\nHello.\r\n"


@pytest.fixture(scope="module")
def smtpd(daemons):
    return daemons("smtpd", "retry-schedule 1s\ntrusted-networks none\n"
                   "route else.example smtp://192.0.2.2\n")


def forward(user, text, mode=0o600):
    path = postern.home(user) + "/.forward"
    if os.path.lexists(path):
        os.unlink(path)
    if text is not None:
        postern.write(path, text, mode)
        st = os.stat(postern.home(user))
        os.chown(path, st.st_uid, st.st_gid)
    return path


@pytest.fixture
def people(users):
    names = users(3)
    yield names
    for name in names:
        path = postern.home(name) + "/.forward"
        if os.path.lexists(path):
            os.unlink(path)


def send(smtpd, *recipients, sender="sender@example.test"):
    with Smtp(smtpd) as smtp:
        assert smtp.mail(LETTER, *recipients, sender=sender).code == 250
        smtp.quit()


def over(smtpd):
    eventually(lambda: not os.listdir(smtpd.spool + "/queue"), "it is over")
    assert os.listdir(smtpd.spool + "/held") == []


def test_elsewhere(smtpd, people):
    alice, bob, _ = people
    forward(alice, "# away\nme@else.example, %s@example.test\n" % bob)
    with Sink() as sink:
        send(smtpd, alice)
        wait_messages(bob, 1)
        eventually(lambda: sink.letters, "it comes elsewhere")
        over(smtpd)
    letter, = sink.letters
    assert letter.sender.startswith("MAIL FROM:<sender@example.test>")
    assert letter.recipients[0].startswith("RCPT TO:<me@else.example>")
    assert letter.content.startswith(
        b"Delivered-To: %s@mx.example.test\r\nReceived: " % alice.encode())
    assert letter.content.endswith(LETTER)
    assert postern.messages(alice) == []


def test_at_once(smtpd, people):
    """As it is when a letter comes, however soon after another."""
    alice, bob, _ = people
    for turn in range(1, 6):
        forward(alice, None)
        send(smtpd, alice)
        wait_messages(alice, turn)
        forward(alice, bob + "\n")
        send(smtpd, alice)
        wait_messages(bob, turn)


def test_and_here(smtpd, people):
    """The mailbox once, whoever names it how often."""
    alice, bob, _ = people
    forward(alice, "\\%s, %s\n%s@example.test\n" % (alice, bob, alice))
    send(smtpd, alice)
    wait_messages(bob, 1)
    wait_messages(alice, 1)
    over(smtpd)
    assert len(postern.messages(alice)) == 1


def test_nowhere(smtpd, people):
    alice = people[0]
    forward(alice, "/dev/null\n")
    send(smtpd, alice)
    smtpd.wait_log(r"event=delivered .*account=%s .*thrown away" % alice)
    over(smtpd)
    assert postern.messages(alice) == []


def test_loops(smtpd, people):
    """Round in a ring: the sender is told. With a mailbox in it: it ends."""
    alice, bob, carol = people
    forward(alice, bob + "\n")
    forward(bob, alice + "\n")
    send(smtpd, alice, sender="%s@example.test" % carol)
    bounce, = wait_messages(carol, 1)
    assert b"5.4.6" in bounce
    over(smtpd)
    forward(bob, "\\%s, %s\n" % (bob, alice))
    forward(alice, "\\%s, %s\n" % (alice, bob))
    send(smtpd, alice, sender="%s@example.test" % carol)
    wait_messages(bob, 1)
    over(smtpd)
    assert len(postern.messages(alice)) == 2
    assert len(postern.messages(bob)) == 1
    assert len(postern.messages(carol)) == 1


def test_nobody_there(smtpd, people):
    """A bounce says whom the sender wrote to, and not more than it must."""
    alice, _, carol = people
    forward(alice, "nobody-here, there@else.example\n")
    with Sink() as sink:
        send(smtpd, alice, sender="%s@example.test" % carol)
        eventually(lambda: sink.letters, "it comes elsewhere")
        bounce, = wait_messages(carol, 1)
    assert b"nobody-here" in bounce
    assert b"there@else.example" not in bounce.partition(b"--")[0]
    over(smtpd)


def link_to_shadow(path, _):
    os.symlink("/etc/shadow", path)


def fifo(path, _):
    os.mkfifo(path, 0o600)


def huge(path, _):
    with open(path, "wb") as f:
        f.truncate(1 << 30)


def of_group(path, _):
    postern.write(path, "|/bin/secret\n", 0o660)


def in_sticky_home(path, home):
    postern.write(path, "secret@else.example\n", 0o600)
    os.chmod(home, 0o1777)


def of_another(path, _):
    postern.write(path, "|/bin/secret, secret@else.example\n", 0o644)


def broken(path, _):
    postern.write(path, "secret secret\n", 0o600)


def command(path, _):
    postern.write(path, "|secret\n", 0o600)


@pytest.mark.parametrize("make", (link_to_shadow, fifo, huge, of_group,
                                  in_sticky_home, of_another, broken,
                                  command))
def test_refused(smtpd, people, make):
    """The mail is in the mailbox, and nobody is told what the file says."""
    alice = people[0]
    home = postern.home(alice)
    path = forward(alice, None)
    st = os.stat(home)
    smtpd.forget_log()
    try:
        make(path, home)
        if make is not of_another:
            os.chown(path, st.st_uid, st.st_gid, follow_symlinks=False)
        with Sink() as sink:
            send(smtpd, alice)
            wait_messages(alice, 1)
            over(smtpd)
        assert not sink.letters
        smtpd.wait_log(r"event=forward-refused user=%s " % alice)
        assert not smtpd.log("secret") and not smtpd.log("root:")
    finally:
        os.chmod(home, stat.S_IMODE(st.st_mode))
