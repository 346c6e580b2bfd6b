"""Aliases that lead elsewhere, and lists that others keep."""
import os

import pytest

import postern
from postern import Smtp, eventually, wait_messages
from sink import Sink

pytestmark = pytest.mark.may_crash
LISTS = "/etc/lists"
LETTER = b"Subject: to a list\r\n\r\nHello.\r\n"


@pytest.fixture(scope="module")
def smtpd(daemons):
    return daemons("smtpd", "retry-schedule 1s\ntrusted-networks none\n"
                   "route else.example smtp://192.0.2.2\n"
                   "route xn--mller-kva.example smtp://192.0.2.2\n")


@pytest.fixture
def aliases(host):
    def put(text):
        postern.write("/etc/aliases", text)
    os.makedirs(LISTS, exist_ok=True)
    yield put
    postern.write("/etc/aliases", "")


def send(smtpd, *recipients):
    with Smtp(smtpd) as smtp:
        assert smtp.mail(LETTER, *recipients).code == 250
        smtp.quit()


def recipients(letters):
    return sorted(r.partition("<")[2].partition(">")[0]
                  for letter in letters for r in letter.recipients)


def test_elsewhere(smtpd, user, aliases):
    """A stranger may write to it: it is the administrator who relays."""
    aliases("away: her@else.example, %s, Him@ELSE.example,\n"
            "\ther@else.example\n" % user)
    with Sink() as sink:
        send(smtpd, "away", "away+detail")
        wait_messages(user, 1)
        eventually(lambda: sink.letters, "it comes elsewhere")
        eventually(lambda: not os.listdir(smtpd.spool + "/queue"),
                   "it is over")
    assert recipients(sink.letters) == ["Him@else.example",
                                        "her@else.example"]
    assert sink.letters[0].sender.startswith(
        "MAIL FROM:<sender@example.test>")


def test_elsewhere_knows_the_alias(smtpd, user, aliases):
    """Whoever tells of it can say what was written to."""
    aliases("away: me@else.example\n")
    with Sink() as sink:
        send(smtpd, "away@example.test")
        eventually(lambda: sink.letters, "it comes")
        assert sink.letters[0].recipients == [
            "RCPT TO:<me@else.example> ORCPT=rfc822;away@example.test"]


def test_list(smtpd, users, aliases):
    """Its keeper changes it at any moment; what is wrong makes mail wait."""
    first, second = users(2)
    path = LISTS + "/team"
    aliases("team: :include:%s\n" % path)
    postern.write(path, "# members\n%s\nhim@else.example\n" % first)
    os.chown(path, 1000, 1000)
    with Sink() as sink:
        send(smtpd, "team")
        wait_messages(first, 1)
        eventually(lambda: sink.letters, "it comes elsewhere")
    postern.write(path, "%s, secret:word\n" % first)
    send(smtpd, "team")
    smtpd.wait_log(r"event=aliases error=.*%s: has a mistake" % path)
    smtpd.wait_log(r"event=deferred .*to=team@.*status=4\.3\.5 ")
    postern.write(path, "%s\n" % second)
    wait_messages(second, 1, seconds=30)
    assert len(postern.messages(first)) == 1
    assert not smtpd.log("secret")


def test_nowhere(smtpd, aliases):
    aliases("noreply: /dev/null\n")
    send(smtpd, "noreply")
    smtpd.wait_log("event=discarded ")
    eventually(lambda: not os.listdir(smtpd.spool + "/queue"), "it is over")


def test_owner(smtpd, users, aliases):
    """The members' letters have the owner for a sender, who gets bounces."""
    owner, first, second = users(3)
    aliases("team: \\%s, them@else.example, nobody-here, inner\n"
            "inner: %s, team-archive\nteam-archive: him@else.example\n"
            "owner-team: %s\n" % (first, second, owner))
    with Sink() as sink:
        send(smtpd, "team", first)
        eventually(lambda: len(recipients(sink.letters)) == 2,
                   "it comes elsewhere")
        wait_messages(owner, 1)
        wait_messages(second, 1)
        wait_messages(first, 2)
        eventually(lambda: not os.listdir(smtpd.spool + "/queue"),
                   "it is over")
    assert recipients(sink.letters) == ["him@else.example",
                                        "them@else.example"]
    for letter in sink.letters:
        assert letter.sender.startswith(
            "MAIL FROM:<owner-team@mx.example.test>")
    letter, = postern.messages(second)
    assert letter.startswith(b"Return-Path: <owner-team@mx.example.test>\n")
    bounce, = postern.messages(owner)
    assert b"nobody-here@mx.example.test" in bounce
    assert os.listdir(smtpd.spool + "/held") == []


def test_details(smtpd, users, aliases):
    """Whoever is named with a detail, in capitals or twice gets it once."""
    first, second = users(2)
    aliases("team: %s+lists, %s, \\%s+x, %s@example.test, %s\n" % (
        first, first, first, first, second.upper()))
    send(smtpd, "team", first, first + "+more")
    wait_messages(first, 1)
    wait_messages(second, 1)
    eventually(lambda: not os.listdir(smtpd.spool + "/queue"), "it is over")
    assert [len(postern.messages(name)) for name in (first, second)] == [1, 1]


def test_another_delimiter(daemons, users, aliases):
    """With one that names may hold the whole name comes first."""
    other = daemons("smtpd", "retry-schedule 1s\nrecipient-delimiter -\n")
    name = "a.rather-long_name.of-forty-nine.characters.in.all"
    first, = users(1)
    postern.clear(name)
    aliases("team: %s-lists, %s\n" % (first, name))
    send(other, "team")
    wait_messages(first, 1)
    wait_messages(name, 1)
    other.stop()


def test_utf8(smtpd, user, aliases):
    """An address in UTF-8 goes where that is taken, and else fails."""
    aliases("away: j\u00f6rg@else.example, her@M\u00fcller.example\n"
            "owner-away: %s\nj\u00fcrgen: away\n" % user)
    with Sink() as sink:
        send(smtpd, "away")
        eventually(lambda: len(recipients(sink.letters)) == 2,
                   "it comes elsewhere")
    assert recipients(sink.letters) == ["her@xn--mller-kva.example",
                                        "j\u00f6rg@else.example"]
    said = [letter.sender for letter in sink.letters
            if "j\u00f6rg" in "".join(letter.recipients)]
    assert len(said) == 1 and " SMTPUTF8" in said[0]

    class Plain(Sink):
        extensions = ("PIPELINING", "8BITMIME")
    with Plain() as sink:
        send(smtpd, "away")
        smtpd.wait_log(r"event=failed .*status=5\.6\.7 ")
    bounce, = wait_messages(user, 1)
    assert b"5.6.7" in bounce


def test_bounce_to_a_list(smtpd, user, aliases):
    """It stays one: nobody is told of it."""
    aliases("team: \\%s\nowner-team: team\n" % user)
    with Smtp(smtpd) as smtp:
        assert smtp.mail(LETTER, "team", sender="").code == 250
        smtp.quit()
    letter, = wait_messages(user, 1)
    assert letter.startswith(b"Return-Path: <>\n")


def test_one_account_by_many_names(daemons, user, aliases):
    """In capitals, and with a detail that could be part of a name: once."""
    smtpd = daemons("smtpd", "recipient-delimiter -\nretry-schedule 1s\n")
    aliases("many: %s, %s, %s-x, %s\n" % (
        user.upper(), user.capitalize(), user, user))
    for name in ("many", "many-detail"):
        send(smtpd, name)
    smtpd.wait_log("event=delivered", 2)
    eventually(lambda: not os.listdir(smtpd.spool + "/queue"), "it is over")
    wait_messages(user, 2)
    assert len(smtpd.log("event=delivered")) == 2
    # And beside a recipient of the letter itself.
    send(smtpd, "many", user.upper(), user + "-y")
    eventually(lambda: not os.listdir(smtpd.spool + "/queue"), "it is over")
    wait_messages(user, 3)
