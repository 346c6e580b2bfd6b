"""Mail that can be read, though nothing can be written: a full disk, and one
that an error has made read-only.  What can't be done is said, nothing is lost,
and what could not be remembered does no harm.
"""
import contextlib
import ctypes
import os
import shutil

import pytest

import boxes
import postern
import private
from postern import Pop

LETTERS = [b"Subject: one\n\nFirst.\n", b"Subject: two\n\nSecond.\n",
           b"Subject: two\n\nSecond.\n", b"Subject: three\n\n" + b"x" * 9000
           + b"\n"]
MS_RDONLY, MS_REMOUNT = 1, 32
_libc = ctypes.CDLL(None, use_errno=True)
PLACES = {"home": lambda box: [box.home],
          "spool": lambda box: ["/var/mail"],
          "both": lambda box: [box.home, "/var/mail"]}


@contextlib.contextmanager
def read_only(*paths):
    for path in paths:
        private.mount(path, path, None, private.MS_BIND)
        private.mount("none", path, None, private.MS_BIND
                      | MS_REMOUNT | MS_RDONLY)
    try:
        yield
    finally:
        for path in paths:
            assert _libc.umount2(path.encode(), 2) == 0


@contextlib.contextmanager
def full(box):
    """The home on a disk of its own, where nothing has room any more."""
    kept = box.home + ".kept"
    os.rename(box.home, kept)
    os.mkdir(box.home, 0o700)
    private.mount("tmpfs", box.home, "tmpfs", 0,
                  "size=256k,nr_inodes=64,mode=0700,uid=%d,gid=%d" % (box.uid, box.gid))
    try:
        copy_all(kept, box.home)
        fill(box.home + "/filler")
        yield
    finally:
        assert _libc.umount2(box.home.encode(), 2) == 0
        os.rmdir(box.home)
        os.rename(kept, box.home)


def copy_all(source, target):
    """Everything, with its owners and modes."""
    for name in os.listdir(source):
        path = os.path.join(source, name)
        if os.path.isdir(path):
            shutil.copytree(path, os.path.join(target, name))
        else:
            shutil.copy2(path, target)
    for where, folders, names in os.walk(target):
        for name in folders + names:
            new = os.path.join(where, name)
            st = os.stat(os.path.join(source, os.path.relpath(new, target)))
            os.chown(new, st.st_uid, st.st_gid)


def fill(path):
    """Blocks first, then names: nobody can make so much as a directory."""
    with open(path, "wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
    number = 0
    with contextlib.suppress(OSError):
        while True:
            os.mkdir("%s-%d" % (path, number))
            number += 1


def look(daemon, user):
    """What a client sees, whole: sizes, UIDLs, octets."""
    with Pop(daemon, user) as pop:
        sizes, uidls = pop.list(), pop.uidl()
        got = [pop.retr(n + 1) for n in range(len(sizes))]
        assert [len(octets) for octets in got] == [size for _, size in sizes]
        assert pop.quit() == "+OK goodbye"
    return uidls, got


def try_to_delete(daemon, user, *numbers):
    with Pop(daemon, user) as pop:
        for number in numbers:
            pop.ok("DELE %d" % number)
        return pop.quit()


@pytest.fixture(params=("maildir", "mbox"), scope="module")
def form(request, host):
    os.chown("/var/mail", 0, 8)
    os.chmod("/var/mail", 0o2775)
    return boxes.FORMS[request.param]


@pytest.fixture(scope="module")
def pop3d(daemons, form):
    return daemons("pop3d", form.conf)


@pytest.fixture
def box(form, user):
    made = form(user)
    for letter in LETTERS:
        made.put(letter, twin=True)
    return made


def contents(box):
    return sorted(boxes.wire(content) for _, content in box.read())


def is_as_it_was(box):
    return contents(box) == sorted(map(boxes.wire, LETTERS))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("had_session", (True, False))
def test_read_only(pop3d, user, box, place, had_session):
    before = look(pop3d, user) if had_session else None
    with read_only(*PLACES[place](box)):
        seen = look(pop3d, user)
        assert before is None or seen == before
        assert sorted(seen[1]) == sorted(map(boxes.wire, LETTERS))
        assert look(pop3d, user) == seen
        may_delete = box.form == "maildir" and place == "spool"
        if not may_delete:
            reply = try_to_delete(pop3d, user, 1)
            assert reply.startswith("-ERR [SYS/TEMP] some deleted"), reply
            assert len(look(pop3d, user)[1]) == len(LETTERS)
    assert is_as_it_was(box)
    assert look(pop3d, user) == seen
    assert try_to_delete(pop3d, user, 1, 3) == "+OK goodbye"
    assert contents(box) == sorted((seen[1][1], seen[1][3]))


@pytest.mark.parametrize("had_session", (True, False))
def test_full_home(pop3d, user, box, had_session):
    """Whoever is out of room must be able to read mail and to remove it."""
    before = look(pop3d, user) if had_session else None
    with full(box):
        with pytest.raises(OSError):
            os.mkdir(box.home + "/none")
        seen = look(pop3d, user)
        assert before is None or seen == before
        assert sorted(seen[1]) == sorted(map(boxes.wire, LETTERS))
        if box.form == "mbox":
            # No room for a journal: all as it was, and it is said.
            reply = try_to_delete(pop3d, user, 1)
            assert reply.startswith("-ERR [SYS/TEMP] some deleted"), reply
            assert is_as_it_was(box)
            # The last ones need none.
            assert try_to_delete(pop3d, user, 3, 4) == "+OK goodbye"
            assert contents(box) == sorted(seen[1][:2])
        else:
            assert try_to_delete(pop3d, user, 1, 3) == "+OK goodbye"
        left = look(pop3d, user)
        assert len(left[1]) == 2
        assert set(left[0]) <= set(seen[0])
        reply = try_to_delete(pop3d, user, 1, 2)
        assert reply == "+OK goodbye"
        assert look(pop3d, user) == ([], [])


def test_full_spool(pop3d, user, box):
    """No room for an mbox's lock either; and no letter comes in without it."""
    if box.form != "mbox":
        pytest.skip("a Maildir is in the home")
    before = look(pop3d, user)
    with open(box.path, "rb") as file:
        content = file.read()
    private.mount("tmpfs", "/var/mail", "tmpfs", 0,
                  "size=256k,nr_inodes=64,mode=2775,gid=8")
    try:
        postern.write(box.path, content)
        box.own(box.path, 0o660)
        fill("/var/mail/filler")
        with pytest.raises(OSError):
            os.mkdir("/var/mail/none")
        assert look(pop3d, user) == before
        assert try_to_delete(pop3d, user, 1) == "+OK goodbye"
        assert look(pop3d, user)[0] == before[0][1:]
    finally:
        pop3d.wait_no_session()
        assert _libc.umount2(b"/var/mail", 2) == 0


def test_session_lock_without_room(pop3d, user, box):
    """Two sessions at a time: not even then."""
    look(pop3d, user)
    with read_only(box.home):
        with Pop(pop3d, user) as pop:
            with Pop(pop3d) as other:
                other.ok("USER " + user)
                assert "[IN-USE]" in other.err("PASS "
                                               + postern.password(user))
            pop.ok("STAT")
            pop.quit()
