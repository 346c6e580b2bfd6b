"""Domains whose addresses are mapped, and files of any size to look up in."""
import os
import time

import pytest

import postern
from postern import Smtp, eventually, messages, wait_messages
from sink import Sink
from test_local import Local

pytestmark = pytest.mark.may_crash
LETTER = b"Subject: mapped\r\n\r\nHello.\r\n"
MAP = "/etc/domain-map"
RECIPIENTS = "/etc/relay-recipients"
LARGE = 100000


@pytest.fixture(scope="module")
def smtpd(daemons):
    postern.write(MAP, "")
    postern.write(RECIPIENTS, "")
    return daemons("smtpd", "retry-schedule 1s\ntrusted-networks none\n"
                   "route else.example smtp://192.0.2.2\n"
                   "relay-domains backup.example\n"
                   "relay-recipients %s\ndomain-map %s\n" % (RECIPIENTS, MAP))


@pytest.fixture
def put(smtpd):
    def to(text):
        postern.write(MAP, text)
    yield to
    postern.write(MAP, "")
    postern.write("/etc/aliases", "")


def send(smtpd, *recipients):
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<sender@example.test>", 250)
        for recipient in recipients:
            smtp.expect("RCPT TO:<%s>" % recipient, 250)
        smtp.expect("DATA", 354)
        smtp.sock.sendall(LETTER + b".\r\n")
        assert smtp.reply().code == 250
        smtp.quit()


def codes(smtpd, *recipients):
    """What a stranger is told about each."""
    with Smtp(smtpd) as smtp:
        smtp.expect("MAIL FROM:<sender@example.test>", 250)
        return [smtp.cmd("RCPT TO:<%s>" % r).code for r in recipients]


def is_over(smtpd):
    eventually(lambda: not os.listdir(smtpd.spool + "/queue"), "it is over")


def test_addresses(smtpd, users, put):
    """Who is there, who is not, and that an account of that name is not."""
    first, second, third = users(3)
    put("# ours\ninfo@virt.example\t%s, Her@else.example\n"
        "Team@VIRT.example  %s,\n\t%s\n@all.example  %s\n"
        "one@all.example  %s\n" % (first, first, second, third, second))
    assert codes(smtpd, "info@virt.example", "INFO+x@Virt.Example",
                 "team@virt.example", "postmaster@virt.example",
                 "any@all.example", first + "@virt.example",
                 "nobody@virt.example", "info@other.example") == [
                     250, 250, 250, 250, 250, 550, 550, 550]
    with Sink() as sink:
        send(smtpd, "info+detail@virt.example", "team@virt.example",
             "any@all.example", "one@all.example")
        eventually(lambda: sink.letters, "it comes elsewhere")
        for name in (first, second, third):
            wait_messages(name, 1)
        is_over(smtpd)
    assert [r for letter in sink.letters for r in letter.recipients] == [
        "RCPT TO:<Her@else.example> ORCPT=rfc822;info+2Bdetail@virt.example"]
    assert [len(messages(n)) for n in (first, second, third)] == [1, 1, 1]


def test_in_aliases(smtpd, users, put):
    """A mapped address is one wherever it stands; a domain of accounts can
    be mapped in part."""
    first, second = users(2)
    postern.write("/etc/aliases", "list: info@virt.example\n")
    put("info@virt.example  %s\nlist2@example.test  list, %s\n" % (
        first, second))
    send(smtpd, "list@example.test")
    wait_messages(first, 1)
    send(smtpd, "list2@example.test", second + "@example.test")
    wait_messages(first, 2)
    wait_messages(second, 1)
    with open(postern.home(second) + "/.forward", "w",
              encoding="ascii") as file:
        file.write("info@virt.example\n")
    os.chown(postern.home(second) + "/.forward",
             *postern.accounts.people[second][:2])
    send(smtpd, second + "@example.test")
    wait_messages(first, 3)
    is_over(smtpd)


def test_change(smtpd, users, put):
    """It counts at once, without a word to the server."""
    first, second = users(2)
    put("a@virt.example  %s\n" % first)
    send(smtpd, "a@virt.example")
    wait_messages(first, 1)
    put("a@virt.example  %s\n" % second)
    send(smtpd, "a@virt.example")
    wait_messages(second, 1)
    put("a@new.example  %s\n" % second)
    assert codes(smtpd, "a@virt.example", "a@new.example") == [550, 250]


def test_mistakes(smtpd, user, put):
    """File and line, once; mail for that address waits, others' does not."""
    start = len(smtpd.lines)
    put("good@virt.example  %s\nno-address  %s\n\nbad@virt.example  (x)\n"
        % (user, user))
    assert codes(smtpd, "bad@virt.example") == [250]
    send(smtpd, "good@virt.example")
    wait_messages(user, 1)
    send(smtpd, "bad@virt.example")
    smtpd.wait_log(r"event=deferred .*to=bad@virt.*status=4\.3\.5 ")
    for line in (2, 4):
        assert len([text for text in smtpd.lines[start:]
                    if "%s:%d: " % (MAP, line) in text]) == 1
    put("good@virt.example  %s\nbad@virt.example  %s\n" % (user, user))
    wait_messages(user, 2)
    is_over(smtpd)


def test_C24_others_can_write(smtpd, user, put):
    """C24: the table that was read before stays; nobody is turned away."""
    put("a@virt.example  %s\n" % user)
    send(smtpd, "a@virt.example")
    wait_messages(user, 1)
    postern.write(MAP, "a@virt.example  root\n", 0o666)
    assert codes(smtpd, "a@virt.example", "x@none.example") == [451, 451]
    # What comes by another way has what was read before.
    postern.write("/etc/aliases", "list: a@virt.example\n")
    send(smtpd, "list@example.test")
    wait_messages(user, 2)
    smtpd.wait_log(r"event=aliases error=.*%s: must be" % MAP)
    is_over(smtpd)


def test_asked_for(smtpd, user, put):
    """VRFY and EXPN for who is known."""
    put("info@virt.example  %s, her@else.example\n" % user)
    with Local(smtpd.run_dir + "/smtpd.sock", user) as smtp:
        assert smtp.expect("VRFY info@virt.example", 250).text.endswith(
            "<info@virt.example>")
        reply = smtp.expect("EXPN info@virt.example", 250)
        assert user in reply.text and "her@else.example" in reply.text
        smtp.expect("VRFY nobody@virt.example", 550)


def best(smtpd, recipient, code, count=15):
    """The quickest answer, each in a session of its own."""
    found = []
    for _ in range(count):
        with Smtp(smtpd) as smtp:
            smtp.expect("MAIL FROM:<sender@example.test>", 250)
            start = time.monotonic()
            smtp.expect("RCPT TO:<%s>" % recipient, code)
            found.append(time.monotonic() - start)
    return min(found)


@pytest.mark.parametrize("path, index, line, last, unknown", (
    (MAP, "domain-map.index", "user%d@virt.example %s\n",
     "user99999@virt.example", "nobody@virt.example"),
    (RECIPIENTS, "relay-recipients.index", "user%d@backup.example # %s\n",
     "user99999@backup.example", "nobody@backup.example")))
def test_cost(smtpd, user, put, path, index, line, last, unknown):
    """A look-up costs the same in a file of 100,000 lines."""
    index = smtpd.spool + "/" + index
    postern.write(path, line % (99999, user))
    small = best(smtpd, last, 250), best(smtpd, unknown, 550)
    postern.write(path, "".join(line % (n, user) for n in range(LARGE)))
    before = os.stat(index).st_ino if os.path.exists(index) else 0
    unindexed = best(smtpd, last, 250, 3)
    send(smtpd, user + "@example.test")		# and it is read
    eventually(lambda: os.path.exists(index) and
               os.stat(index).st_ino != before, "there is an index",
               seconds=90)
    large = best(smtpd, last, 250), best(smtpd, unknown, 550)
    print("%s: found %.2f and %.2f ms, not %.2f and %.2f ms, "
          "without an index %.1f ms" % (
              path, small[0] * 1000, large[0] * 1000, small[1] * 1000,
              large[1] * 1000, unindexed * 1000))
    assert large[0] < small[0] * 4 + 0.002
    assert large[1] < small[1] * 4 + 0.002
    postern.write(path, "")
