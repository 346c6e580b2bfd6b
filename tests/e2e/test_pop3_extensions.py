"""CAPA and what it announces: RFC 2449, 2595, 3206, 5034, 6856."""
import base64
import os
import poplib
import re
import smtplib
import stat
import time

import pytest

import boxes
import postern
import tls
from letters import SHORT
from postern import Dialogue, Pop, home, maildir, password, put_message

CODES = re.compile(r"-ERR \[([^]]*)\] ")
KNOWN_CODES = {"IN-USE", "LOGIN-DELAY", "SYS/TEMP", "SYS/PERM", "AUTH", "UTF8"}
DAY = 86400


@pytest.fixture(scope="module")
def pop3d(daemons):
    return daemons("pop3d", tls.configuration(), also=("pop3s",))


def capabilities(pop):
    found = {}
    for line in pop.multi("CAPA"):
        tag, *arguments = line.decode("ascii").split(" ")
        assert tag not in found and all(arguments), line
        found[tag] = arguments
    return found


# CAPA (RFC 2449)

def test_capa_says_what_there_is(pop3d, user):
    with Pop(pop3d) as pop:
        before = capabilities(pop)
        assert before == {
            "TOP": [], "UIDL": [], "USER": [], "SASL": ["PLAIN", "LOGIN"],
            "STLS": [], "RESP-CODES": [], "AUTH-RESP-CODE": [],
            "PIPELINING": [], "UTF8": ["USER"], "LANG": [],
            "EXPIRE": ["NEVER"], "IMPLEMENTATION": ["Postern"]}
        pop.ok("USER " + user)
        pop.ok("PASS " + password(user))
        # RFC 2595, 4: STLS is told of in AUTHORIZATION only.
        del before["STLS"]
        assert capabilities(pop) == before


def test_capa_format(pop3d):
    """RFC 2449, 3: tags of 1 to 65 letters, digits and signs, one space."""
    with Pop(pop3d) as pop:
        for line in pop.multi("CAPA"):
            assert len(line) <= 510
            assert re.match(rb"[A-Za-z0-9][!-\-/-~]{0,64}( [!-~]+)*$", line)


def test_capa_changes_with_tls(pop3d, user):
    with Pop(pop3d) as pop:
        before = capabilities(pop)
        tls.upgrade(pop)
        after = capabilities(pop)
        assert set(before) - set(after) == {"STLS"}
    with tls.pop(pop3d, "pop3s") as pop:
        assert capabilities(pop) == after


def test_no_version_is_told(pop3d, user):
    """IMPLEMENTATION says what it is, not how old: nobody is told by us."""
    with Pop(pop3d) as pop:
        texts = pop.greeting + str(capabilities(pop)["IMPLEMENTATION"])
        assert not re.search(r"\d+\.\d+", texts)


def test_response_codes(pop3d, user):
    """RFC 2449, 8: a text that begins with "[" is a registered code."""
    put_message(user, SHORT)
    replies = []
    with Pop(pop3d) as pop:
        for line in ("XYZZY", "STAT", "USER", "PASS x", "USER [x", "PASS [x",
                     "AUTH [x", "LANG [x", "RETR [x"):
            replies.append(pop.cmd(line))
    with Pop(pop3d, user) as first, Pop(pop3d) as second:
        replies += [first.cmd(line) for line in ("RETR 9", "USER x", "TOP 1",
                                                 "UIDL 0", "LIST x")]
        second.ok("USER " + user)
        replies.append(second.cmd("PASS " + password(user)))
    for reply in replies:
        match = CODES.match(reply)
        assert match is None or match.group(1) in KNOWN_CODES, reply
        assert "[" not in reply or match, reply
    assert "[IN-USE]" in replies[-1]


def test_255_octets(pop3d, user):
    """RFC 2449, 4: a command has 255 octets, and no more."""
    put_message(user, SHORT)
    with Pop(pop3d, user) as pop:
        fits = "LIST 1" + " " * (255 - 2 - 6)
        pop.ok(fits)
        pop.err(fits + " ")
        pop.ok("LANG " + "en" + "-abcdefgh" * 27)	# 252 with its CR LF
        pop.ok("NOOP")


def test_pipelined_across_login(pop3d, user):
    """RFC 2449, 6.6: nothing that came early is thrown away."""
    put_message(user, SHORT)
    secret = base64.b64encode(
        ("\0%s\0%s" % (user, password(user))).encode()).decode()
    for login in ("USER %s\r\nPASS %s\r\n" % (user, password(user)),
                  "AUTH PLAIN %s\r\n" % secret,
                  "AUTH PLAIN\r\n%s\r\n" % secret):
        with Dialogue(pop3d) as talk:
            talk.send("LANG en\r\nUTF8\r\n" + login + "CAPA\r\nSTAT\r\n"
                      "XYZZY\r\nLIST\r\nRETR 1\r\nQUIT\r\n")
            while talk.fill():
                pass
        text = talk.buffer
        assert text.count(b"-ERR") == 1
        assert text.endswith(b".\r\n+OK goodbye\r\n")
        order = [text.index(part) for part in (
            b"+OK en", b"+OK UTF-8", b"PIPELINING", b"-ERR", b"\r\n1 ",
            b"Subject: one")]
        assert order == sorted(order)


# STLS (RFC 2595)

def test_stls_forgets_what_came_before(pop3d, user):
    """UTF-8 mode, too; and a mode does not keep a client from TLS."""
    with Pop(pop3d) as pop:
        pop.ok("UTF8")
        pop.err(b"USER \xfc")
        tls.upgrade(pop)
        pop.ok(b"USER \xfc")
        pop.err("PASS x")


# LANG (RFC 6856, 3)

def test_language_listing(pop3d, user):
    for pop in (Pop(pop3d), Pop(pop3d, user)):
        with pop:
            lines = [line.decode("utf-8") for line in pop.multi("LANG")]
            assert [line.split(" ", 1)[0] for line in lines] == [
                "en", "i-default"]
            assert all(re.match(r"[a-z-]+( \S.*)?$", line) for line in lines)


@pytest.mark.parametrize("language,tag", [
    ("en", "en"), ("EN", "en"), ("en-US", "en"), ("en-GB-oxendict", "en"),
    ("en-GB-oxendicts", None), ("*", "en"), ("i-default", "i-default"),
    ("de", None), ("MUL", None),
    ("e", None), ("en_US", None), ("en-", None), ("*-en", None),
    ("\xe9\xf1", None), ("en de", None)])
def test_language(pop3d, user, language, tag):
    """The exact tag behind +OK, or -ERR and nothing has changed."""
    for pop in (Pop(pop3d), Pop(pop3d, user)):
        with pop:
            reply = pop.cmd("LANG " + language)
            if tag is None:
                assert reply.startswith("-ERR ")
            else:
                assert re.match(r"\+OK %s [ -~]+$" % tag, reply)
            pop.multi("CAPA")


def test_texts_are_ascii(pop3d, user):
    """Whatever language was chosen: all texts are English, in ASCII."""
    for language in ("i-default", "en"):
        with Pop(pop3d) as pop:
            pop.ok("LANG " + language)
            pop.ok(b"USER " + "gr\u00fc\u00dfe".encode())
            for reply in (pop.err("PASS x"), pop.err("XYZZY"), pop.ok("QUIT")):
                assert reply.isascii() and reply.isprintable()


# UTF8 (RFC 6856, 2)

def test_utf8_names_and_passwords(pop3d):
    """USER of the capability: UTF-8 is taken, with the mode and without."""
    for mode in (False, True):
        with Pop(pop3d) as pop:
            if mode:
                pop.ok("UTF8")
            pop.ok("USER eightbit")
            pop.ok("PASS gr\u00fc\u00dfe".encode())


def test_not_utf8_is_refused(pop3d):
    """RFC 6856, 2.2: in UTF-8 mode, what breaks RFC 3629; no try is spent."""
    with Pop(pop3d) as pop:
        pop.ok("UTF8")
        for bad in (b"\xfc", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80",
                    b"\xf4\x90\x80\x80", b"a\x80b"):
            assert "[AUTH]" not in pop.err(b"USER " + bad)
            pop.ok("USER eightbit")
            assert "[AUTH]" not in pop.err(b"PASS " + bad)
            assert "[AUTH]" not in pop.err("PASS " + "x")
        pop.ok("USER eightbit")
        pop.ok("PASS gr\u00fc\u00dfe".encode())


def test_utf8_takes_no_argument(pop3d):
    with Pop(pop3d) as pop:
        pop.err("UTF8 USER")
        pop.ok("UTF8")
        pop.ok("utf8")


@pytest.mark.parametrize("mode", (False, True))
def test_messages_are_sent_as_they_are(pop3d, user, mode):
    """UTF-8, another character set, or none: the octets that are stored.

    Nothing says that they are letters of UTF-8 mode: they did not come by
    SMTPUTF8.
    """
    contents = [
        "Subject: Gr\u00fc\u00dfe\nFrom: \u4f60@example.test\n\n\u2014\n".encode(),
        b"Subject: gr\xfc\xdfe\n\n\xfc\n", b"Subject: x\n\n\xff\xfe\n"]
    for content in contents:
        put_message(user, content)
    with Pop(pop3d) as pop:
        if mode:
            pop.ok("UTF8")
        pop.ok("USER " + user)
        pop.ok("PASS " + password(user))
        sizes = dict(pop.list())
        for number, content in enumerate(contents, 1):
            got = pop.retr(number)
            assert got == content.replace(b"\n", b"\r\n")
            assert len(got) == sizes[number]
            pop.multi("TOP %d 1" % number)


@pytest.fixture(scope="module")
def smtpd(daemons):
    return daemons("smtpd", "retry-schedule 1s\n")


def collect(pop3d, user, mode):
    """{subject: (listed size, RETR, TOP n 0)}, by poplib."""
    pop, found = poplib.POP3("127.0.0.1", pop3d.ports["pop3"], 30), {}
    if mode:
        assert pop.utf8().startswith(b"+OK")
    pop.user(user)
    pop.pass_(password(user))
    for line in pop.list()[1]:
        number, size = (int(word) for word in line.split())
        whole = b"\r\n".join(pop.retr(number)[1]) + b"\r\n"
        top = b"\r\n".join(pop.top(number, 0)[1]) + b"\r\n"
        name = re.search(rb"^X-Name: (.*)\r$", whole, re.M).group(1)
        found[name.decode()] = (size, whole, top)
    pop.quit()
    return found


@pytest.mark.parametrize("way", ("smtpd", "maildir by others"))
def test_surrogates_of_what_came_by_smtputf8(pop3d, smtpd, user, way):
    """RFC 6856, 2.1 and 4: without UTF8 nobody gets such a header raw."""
    body = "Gr\u00fc\u00dfe \u2014\r\n.\r\n"
    declared = ("X-Name: declared\r\nFrom: J\u00f6rg <j\u00f6rg@example.test>"
                "\r\nSubject: \u4f60\u597d\r\n\r\n" + body).encode()
    not_declared = declared.replace(b"declared", b"old", 1)
    if way == "smtpd":
        with smtplib.SMTP("127.0.0.1", smtpd.port, timeout=30) as smtp:
            # The sender's address comes back in Return-Path, at the top.
            smtp.sendmail("j\u00f6rg@example.test", user + "@example.test",
                          declared, ["SMTPUTF8", "BODY=8BITMIME"])
            smtp.sendmail("jorg@example.test", user + "@example.test",
                          not_declared, ["BODY=8BITMIME"])
        postern.wait_messages(user, 2)
    else:
        for word, content in (("UTF8SMTPS", declared),
                              ("ESMTP", not_declared)):
            put_message(user, (
                "Return-Path: <j\u00f6rg@x>\nReceived: from a (b [::1])\n\t"
                "by c (Postfix) with %s id 1; now\n" % word).encode() +
                content.replace(b"\r\n", b"\n"))
    raw, plain = collect(pop3d, user, True), collect(pop3d, user, False)
    assert sorted(raw) == sorted(plain) == ["declared", "old"]
    assert raw["old"] == plain["old"]
    assert raw["declared"][1].endswith(declared)
    for found in (raw, plain):
        for size, whole, top in found.values():
            assert len(whole) == size and whole.startswith(top)
            assert whole.endswith(body.encode())
    header = plain["declared"][2]
    assert header.isascii() and not raw["declared"][2].isascii()
    assert b"\r\nSubject: ??????\r\n" in header
    assert b"Return-Path: <j??rg@" in header
    assert len(plain["declared"][1]) == len(raw["declared"][1])


def test_surrogate_in_an_mbox(daemons, user):
    box = boxes.Mbox(user)
    pop3d = daemons("pop3d", boxes.Mbox.conf)
    with open(box.path, "wb") as file:
        file.write(b"From x Mon Nov 23 04:46:20 2026\nStatus: RO\n"
                   b"Received: by h with UTF8SMTP;\nX-Name: a\n"
                   b"Subject: \xc3\xbc\n\n>From \xc3\xbc\n\n")
    raw = collect(pop3d, user, True)["a"]
    plain = collect(pop3d, user, False)["a"]
    assert raw[1] == (b"Received: by h with UTF8SMTP;\r\nX-Name: a\r\n"
                      b"Subject: \xc3\xbc\r\n\r\nFrom \xc3\xbc\r\n")
    assert plain[1] == raw[1].replace(b"t: \xc3\xbc", b"t: ??")
    assert plain[0] == raw[0] == len(raw[1])


# LOGIN-DELAY (RFC 2449, 6.5 and 8.1.1)

@pytest.fixture(scope="module")
def slow(daemons):
    return daemons("pop3d", "login-delay 3s")


def try_login(daemon, user):
    with Pop(daemon) as pop:
        pop.ok("USER " + user)
        return pop.cmd("PASS " + password(user))


def test_login_delay(slow, user):
    put_message(user, SHORT)
    with Pop(slow) as pop:
        assert capabilities(pop)["LOGIN-DELAY"] == ["3"]
    begun = time.time()
    with Pop(slow, user) as pop:
        assert capabilities(pop)["LOGIN-DELAY"] == ["3"]
        pop.quit()
    slow.wait_no_session()
    reply = try_login(slow, user)
    assert time.time() - begun > 3 or reply.startswith("-ERR [LOGIN-DELAY] ")
    # A try that came too soon does not make it longer.
    postern.eventually(lambda: try_login(slow, user).startswith("+OK"),
                       "login after the delay", every=0.3)
    assert time.time() - begun > 2
    stamp = home(user) + "/.postern/login-stamp"
    uid, gid, _, _ = postern.accounts.people[user]
    status = os.stat(stamp)
    assert stat.S_IMODE(status.st_mode) == 0o600 and status.st_uid == uid
    assert stat.S_IMODE(os.stat(home(user) + "/.postern").st_mode) == 0o700
    with open(stamp, encoding="ascii") as file:
        assert begun - 1 <= int(file.read()) <= time.time() + 1


def test_login_delay_is_not_for_wrong_passwords(slow, user):
    """Who has not logged in does not keep the user out."""
    with Pop(slow) as pop:
        pop.ok("USER " + user)
        pop.err("PASS wrong")
    assert try_login(slow, user).startswith("+OK")


@pytest.mark.parametrize("what", ("link", "fifo", "directory", "garbage",
                                  "future", "foreign", "state is a link"))
def test_C6_login_stamp(slow, user, users, what):
    """C6: whatever stands there, nothing is followed and nobody kept out."""
    uid, gid, _, _ = postern.accounts.people[user]
    other, = users(1)
    state, stamp = home(user) + "/.postern", home(user) + "/.postern/login-stamp"
    victim = home(other) + "/victim"
    postern.write(victim, "1\n", 0o666)
    if what == "state is a link":
        os.mkdir(home(other) + "/elsewhere", 0o777)
        os.chmod(home(other) + "/elsewhere", 0o777)
        os.symlink(home(other) + "/elsewhere", state)
    else:
        os.mkdir(state, 0o700)
        os.chown(state, uid, gid)
    if what == "link":
        os.symlink(victim, stamp)
    elif what == "fifo":
        os.mkfifo(stamp)
    elif what == "directory":
        os.mkdir(stamp)
    elif what in ("garbage", "future", "foreign"):
        postern.write(stamp, {"garbage": "x" * 5000, "foreign": "%d\n"
                              % time.time(), "future": "99999999999\n"}[what])
        if what != "foreign":
            os.chown(stamp, uid, gid)
    assert try_login(slow, user).startswith("+OK")
    with open(victim, encoding="ascii") as file:
        assert file.read() == "1\n"
    assert os.listdir(home(other)) != [] and not os.path.exists(
        home(other) + "/elsewhere/login-stamp")


# EXPIRE (RFC 2449, 6.7)

@pytest.fixture(scope="module")
def expiring(daemons):
    return daemons("pop3d", "expire 30")


def put_old(user, days, name_days=None, where="cur"):
    now = time.time()
    name = "%d.M%dP%d.host:2,S" % (
        now - (days if name_days is None else name_days) * DAY,
        days, 0 if name_days is None else name_days)
    path = put_message(user, b"Subject: %d\n\nx\n" % days, name=name,
                       where=where)
    os.utime(path, (now - days * DAY, now - days * DAY))
    return path


def test_expire_removes_what_is_too_old_at_quit(expiring, user):
    old = [put_old(user, 31), put_old(user, 4000)]
    kept = [put_old(user, 29), put_old(user, 31, 1), put_old(user, 1, 31),
            put_message(user, SHORT, name="no-date.host")]
    os.utime(kept[-1], (1, 1))
    with Pop(expiring) as pop:
        assert capabilities(pop)["EXPIRE"] == ["30"]
    with Pop(expiring, user) as pop:
        assert pop.stat()[0] == 6		# still there, in this session
        assert capabilities(pop)["EXPIRE"] == ["30"]
    expiring.wait_no_session()
    assert len(postern.message_files(user)) == 6	# no QUIT, no removal
    with Pop(expiring, user) as pop:
        assert pop.quit().startswith("+OK")
    expiring.wait_no_session()
    assert postern.message_files(user) == sorted(kept)
    assert not any(os.path.exists(path) for path in old)
    expiring.wait_log("event=expired user=%s messages=2$" % user)


def test_expire_and_deletion_together(expiring, user):
    put_old(user, 100)
    kept = put_old(user, 3)
    put_old(user, 2)
    with Pop(expiring, user) as pop:
        pop.ok("DELE 3")
        assert pop.quit().startswith("+OK")
    expiring.wait_no_session()
    assert postern.message_files(user) == [kept]


def test_expire_failing_is_not_the_clients_affair(expiring, user):
    path = put_old(user, 100)
    os.chmod(maildir(user) + "/cur", 0o500)
    with Pop(expiring, user) as pop:
        assert pop.quit().startswith("+OK")
    expiring.wait_no_session()
    os.chmod(maildir(user) + "/cur", 0o700)
    assert os.path.exists(path)


def test_nothing_expires_by_default(pop3d, user):
    path = put_old(user, 10000)
    with Pop(pop3d, user) as pop:
        assert capabilities(pop)["EXPIRE"] == ["NEVER"]
        pop.quit()
    pop3d.wait_no_session()
    assert os.path.exists(path)


def test_expire_in_an_mbox(daemons, user):
    """There the "From " line says when; the day counts, whatever the zone."""
    daemon = daemons("pop3d", "expire 30\nmailbox mbox ~/mbox")
    uid, gid, _, _ = postern.accounts.people[user]
    now = time.time()
    letters = [b"From a@b %s\nSubject: %d\n\nx\n\n" % (
        time.asctime(time.gmtime(now - days * DAY)).encode(), days)
        for days in (4000, 29, 33, 0)]
    postern.write(home(user) + "/mbox", b"".join(letters), 0o600)
    os.chown(home(user) + "/mbox", uid, gid)
    with Pop(daemon, user) as pop:
        assert pop.stat()[0] == 4
    daemon.wait_no_session()
    with Pop(daemon, user) as pop:
        assert pop.stat()[0] == 4
        pop.ok("DELE 4")
        assert pop.quit().startswith("+OK")
    daemon.wait_no_session()
    with open(home(user) + "/mbox", "rb") as file:
        assert file.read() == letters[1]
