"""POP3 and delivery on an mbox, in the spool directory and in the home."""
import os
import random

import pytest

import boxes
import postern
from postern import Pop, Smtp, split_trace

FROM = b"From other@example.test Mon Nov 23 04:46:20 2026\n"
LETTERS = [
    b"Subject: one\nFrom: a@example.test\n\nHello.\n",
    b"Subject: two\n\n.dots\n..\n.\n\n\n",
    b"Subject: quoted\n\nFrom here\n>From there\n>>From a b\n>other\n",
    b"Subject: a border\n\ntext\n\nFrom x@y Mon Nov 23 04:46:20 2026\nmore\n",
    b"Subject: eight\n\n\xff\x80\xe4\n",
    b"Subject: body-less\n\n",
    b"no header, only text\n",
    b"Subject: long\n\n" + b"x" * 300000 + b"\nend\n",
    b"Subject: crlf\r\nTo: x\r\n\r\nline\r\n",
    b"Subject: note in the body\n\nStatus: this stays\nLines: so does this\n",
]
SPOOLS = {"group": 0o2775, "sticky": 0o1777}


@pytest.fixture(scope="module", params=SPOOLS)
def spool(request, host):
    os.chown("/var/mail", 0, 8)
    os.chmod("/var/mail", SPOOLS[request.param])
    yield request.param
    os.chmod("/var/mail", 0o2775)


@pytest.fixture(scope="module")
def pop3d(daemons, spool):
    return daemons("pop3d", boxes.Mbox.conf)


@pytest.fixture(scope="module")
def smtpd(daemons, spool):
    return daemons("smtpd", boxes.Mbox.conf + "retry-schedule 1s\n")


@pytest.fixture
def box(user):
    return boxes.Mbox(user)


def check_all(daemon, user, contents):
    """Every command tells of the same octets; the UIDLs."""
    with Pop(daemon, user) as pop:
        sizes = [size for _, size in pop.list()]
        assert pop.stat() == (len(sizes), sum(sizes))
        got = [pop.retr(n + 1) for n in range(len(sizes))]
        tops = [b"".join(line + b"\r\n" for line in
                         pop.multi("TOP %d 1" % (n + 1)))
                for n in range(len(sizes))]
        uidls = pop.uidl()
        assert pop.quit().startswith("+OK")
    assert got == [boxes.wire(content) for content in contents]
    assert sizes == [len(content) for content in got]
    assert tops == [boxes.top(content, 1) for content in got]
    assert len(set(uidls)) == len(uidls)
    assert not os.path.exists("/var/mail/%s.lock" % user)
    return uidls


def test_what_a_client_sees(pop3d, user, box):
    for letter in LETTERS:
        box.put(letter)
    before = open(box.path, "rb").read()
    uidls = check_all(pop3d, user, LETTERS)
    assert open(box.path, "rb").read() == before
    assert check_all(pop3d, user, LETTERS) == uidls


def test_large_one_is_remembered(pop3d, user, box):
    """Its index is kept; mail that comes, or a note in it, changes nothing."""
    letters = [b"Subject: %d\n\n" % n + b"the line %d\n" % n * 200
               for n in range(700)]
    kept = box.home + "/.postern/mbox-index"
    for letter in letters[:650]:
        box.put(letter)
    assert os.path.getsize(box.path) > 1 << 20
    uidls = check_all(pop3d, user, letters[:650])
    assert os.stat(kept).st_uid == os.stat(box.path).st_uid
    for letter in letters[650:]:
        box.put(letter)
    again = check_all(pop3d, user, letters)
    assert again[:650] == uidls
    assert check_all(pop3d, user, letters) == again
    box.note(random.Random(4), share=0.8)
    assert check_all(pop3d, user, letters) == again
    with Pop(pop3d, user) as pop:
        for number in (1, 300, 700):
            assert pop.cmd("DELE %d" % number).startswith("+OK")
        assert pop.quit().startswith("+OK")
    left = [n for n in range(700) if n + 1 not in (1, 300, 700)]
    assert check_all(pop3d, user, [letters[n] for n in left]) == [
        again[n] for n in left]


def test_no_notes_are_shown(pop3d, user, box):
    """Status fields and the like, a message that hides, a restart."""
    rng = random.Random(4)
    for letter in LETTERS:
        box.put(letter)
    uidls = check_all(pop3d, user, LETTERS)
    for _ in range(4):
        box.note(rng, share=0.8)
        box.tidy(rng)
        assert check_all(pop3d, user, LETTERS) == uidls
    pop3d.stop()
    pop3d.start()
    assert check_all(pop3d, user, LETTERS) == uidls


def test_file_ends_early(pop3d, user, box):
    """Without an empty line, or without a newline, after the last one."""
    for end in (b"", b"\n", b"\n\n"):
        with box.locked() as file:
            file.truncate(0)
            file.write(FROM + b"Subject: x\n\nlast line" + end)
        uidls = check_all(pop3d, user, [b"Subject: x\n\nlast line\n"])
        if end == b"":
            first = uidls
        assert uidls == first


def test_deletion(pop3d, user, box):
    for letter in LETTERS:
        box.put(letter)
    uidls = check_all(pop3d, user, LETTERS)
    with Pop(pop3d, user) as pop:
        for number in (1, 3, 10):
            pop.ok("DELE %d" % number)
        box.put(b"Subject: meanwhile\n\nx\n")
        pop.drop()
    pop3d.wait_no_session()
    assert len(box.read()) == len(LETTERS) + 1
    with Pop(pop3d, user) as pop:
        for number in (1, 3, 10):
            pop.ok("DELE %d" % number)
        box.put(b"Subject: and another\n\nx\n")
        assert pop.quit().startswith("+OK")
    left = LETTERS[1:2] + LETTERS[3:9] + [
        b"Subject: meanwhile\n\nx\n", b"Subject: and another\n\nx\n"]
    now = check_all(pop3d, user, left)
    assert now[:7] == uidls[1:2] + uidls[3:9]
    with Pop(pop3d, user) as pop:
        for number in range(len(left)):
            pop.ok("DELE %d" % (number + 1))
        assert pop.quit().startswith("+OK")
    assert os.stat(box.path).st_size == 0


def test_twins(pop3d, user, box):
    """Letters that are alike to the last octet have UIDLs of their own."""
    letter = b"Subject: again\n\nand again\n"
    box.put(letter)
    for _ in range(4):
        box.put(letter, twin=True)
    seen = check_all(pop3d, user, [letter] * 5)
    with Pop(pop3d, user) as pop:
        pop.ok("DELE 2")
        pop.ok("DELE 5")
        assert pop.quit().startswith("+OK")
    assert check_all(pop3d, user, [letter] * 3) == [
        seen[0], seen[2], seen[3]]
    box.put(letter, twin=True)
    assert check_all(pop3d, user, [letter] * 4)[3] not in seen


def test_changes_in_a_session(pop3d, user, box):
    for letter in LETTERS:
        box.put(letter)
    with Pop(pop3d, user) as pop:
        assert pop.retr(2) == boxes.wire(LETTERS[1])
        box.put(b"Subject: new\n\nx\n")
        box.remove(0)
        box.note(random.Random(1), share=1)
        assert pop.retr(3) == boxes.wire(LETTERS[2])
        pop.err("RETR 1")
        assert pop.retr(10) == boxes.wire(LETTERS[9])
        pop.ok("DELE 10")
        pop.ok("DELE 1")
        assert pop.quit().startswith("+OK")
    check_all(pop3d, user, LETTERS[1:9] + [b"Subject: new\n\nx\n"])


def test_changes_under_what_is_fetched_ahead(pop3d, user, box):
    """Places of messages that wait for their turn are looked up again."""
    rng = random.Random(2)
    letters = [b"Subject: %d\n\n%d\n" % (n, n) for n in range(100)]
    box.fill(letters, None)
    with Pop(pop3d, user) as pop:
        for number, letter in enumerate(letters):
            assert pop.retr(number + 1) == boxes.wire(letter)
            if number % 10 == 9:
                box.note(rng, share=0.5)
                box.put(b"Subject: new\n\nx\n")
        assert pop.quit().startswith("+OK")


def test_one_session_at_a_time(pop3d, user, box):
    box.put(LETTERS[0])
    with Pop(pop3d, user) as pop:
        with Pop(pop3d) as other:
            other.ok("USER " + user)
            assert "[IN-USE]" in other.err("PASS " + postern.password(user))
        # But no lock is held that would keep mail out.
        box.put(LETTERS[1])
        assert pop.quit().startswith("+OK")
    check_all(pop3d, user, LETTERS[:2])


def test_locked_by_another_program(pop3d, user, box):
    box.put(LETTERS[0])
    with box.locked():
        with Pop(pop3d) as pop:
            pop.ok("USER " + user)
            assert "[IN-USE]" in pop.err("PASS " + postern.password(user))
    check_all(pop3d, user, LETTERS[:1])


def test_C6_what_is_no_mbox(pop3d, user, users, box):
    """A link, a second name, another's file, a FIFO; and a file of another
    kind.  Nothing of it is read or changed."""
    other, = users(1)
    theirs = boxes.Mbox(other)
    theirs.put(b"Subject: secret\n\nx\n")
    secret = open(theirs.path, "rb").read()

    def text():
        with open(box.path, "wb") as file:
            file.write(b"some text\n\n" + FROM + b"Subject: x\n\nx\n")
        box.own(box.path, 0o600)

    def fifo():
        os.mkfifo(box.path)
        box.own(box.path, 0o600)

    for make in (text, fifo, lambda: os.link(theirs.path, box.path),
                 lambda: os.symlink(theirs.path, box.path)):
        os.unlink(box.path)
        make()
        with Pop(pop3d) as pop:
            pop.ok("USER " + user)
            assert "[SYS/TEMP]" in pop.err("PASS " + postern.password(user))
        pop3d.wait_log("event=maildrop-failed user=" + user)
        pop3d.forget_log()
    assert open(theirs.path, "rb").read() == secret
    os.unlink(box.path)


def test_no_mbox_is_an_empty_one(pop3d, user):
    boxes.Mbox(user)
    os.unlink("/var/mail/" + user)
    check_all(pop3d, user, [])
    assert not os.path.exists("/var/mail/" + user)


def test_delivery_and_retrieval(pop3d, smtpd, user, box):
    """What comes by SMTP goes by POP3, whatever is in it."""
    letters = [letter.replace(b"\r\n", b"\n") for letter in LETTERS]
    with Smtp(smtpd) as smtp:
        for letter in letters:
            smtp.mail(letter.replace(b"\n", b"\r\n"), user)
        smtp.quit()
    postern.eventually(lambda: len(box.read()) == len(letters),
                       "letters delivered")
    with Pop(pop3d, user) as pop:
        got = [split_trace(pop.retr(n + 1))[1] for n in range(len(letters))]
        sizes = [size for _, size in pop.list()]
        assert [len(pop.retr(n + 1)) for n in range(len(sizes))] == sizes
        for number in range(len(sizes)):
            pop.ok("DELE %d" % (number + 1))
        assert pop.quit().startswith("+OK")
    for letter in letters:
        want = letter.replace(b"\n", b"\r\n")
        assert any(want in one + b"\r\n" for one in got), want[:80]
    assert os.stat(box.path).st_size == 0


def test_delivery_makes_the_file(pop3d, smtpd, user, spool):
    boxes.Mbox(user)
    path = "/var/mail/" + user
    os.unlink(path)
    with Smtp(smtpd) as smtp:
        smtp.mail(b"Subject: first\r\n\r\nx\r\n", user)
        smtp.quit()
    postern.eventually(lambda: os.path.exists(path)
                       and os.stat(path).st_size > 0, "the file")
    st = os.stat(path)
    assert st.st_uid == postern.accounts.people[user][0]
    assert st.st_mode & 0o007 == 0
    with Pop(pop3d, user) as pop:
        assert pop.stat()[0] == 1


def test_in_the_home(daemons, user):
    """A path below the home, where the dotlock is the companion's, too."""
    daemon = daemons("pop3d", "mailbox mbox ~/mbox\n")
    uid, gid, home, _ = postern.accounts.people[user]
    path = os.path.join(home, "mbox")
    with open(path, "wb") as file:
        for letter in LETTERS[:2]:
            file.write(FROM + letter + b"\n")
    os.chown(path, uid, gid)
    check_all(daemon, user, LETTERS[:2])
    with Pop(daemon, user) as pop:
        pop.ok("DELE 1")
        assert pop.quit().startswith("+OK")
    assert open(path, "rb").read() == FROM + LETTERS[1] + b"\n"


def test_many_gaps(pop3d, user, box):
    """Every other one of some hundred, so that all the rest moves."""
    letters = [b"Subject: %d\n\n%s\n" % (n, b"x" * (n * 37 % 3000))
               for n in range(400)]
    box.fill(letters, None)
    uidls = check_all(pop3d, user, letters)
    with Pop(pop3d, user) as pop:
        for number in range(0, 400, 2):
            pop.ok("DELE %d" % (number + 1))
        assert pop.quit().startswith("+OK")
    assert check_all(pop3d, user, letters[1::2]) == uidls[1::2]
