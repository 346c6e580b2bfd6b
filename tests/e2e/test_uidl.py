"""RFC 1939, 7: a UIDL stays, whatever happens, and is nobody else's ever."""
import random
import re

import pytest

import boxes
import postern
from postern import Pop, Smtp

COUNT = 2000 if postern.SANITIZED else 10000
LEGAL = re.compile(r"[!-~]{1,70}\Z")


@pytest.fixture(scope="module", params=sorted(boxes.FORMS))
def form(request, host):
    return boxes.accepted(request.param)


@pytest.fixture(scope="module")
def pop3d(daemons, form):
    return daemons("pop3d", boxes.FORMS[form].conf)


@pytest.fixture(scope="module")
def smtpd(daemons, form):
    return daemons("smtpd", boxes.FORMS[form].conf)


@pytest.fixture
def box(form, user):
    return boxes.FORMS[form](user)


def letters(count, rng):
    """Of every five, two are the same octets as one before."""
    found = []
    for number in range(count):
        if number % 5 > 2:
            found.append(found[number - rng.randrange(1, 3)])
            continue
        found.append(b"Subject: letter %d\nFrom: somebody@example.test\n\n%s"
                     % (number, b"line\n" * rng.randrange(30)))
    return found


def listing(daemon, user):
    """[(octets, UIDL)]"""
    with Pop(daemon, user) as pop:
        sizes = [octets for _, octets in pop.list()]
        uidls = pop.uidl()
        assert pop.quit().startswith("+OK")
    assert len(sizes) == len(uidls) == len(set(uidls))
    assert all(LEGAL.match(uidl) for uidl in uidls)
    return list(zip(sizes, uidls))


def delete(daemon, user, numbers):
    with Pop(daemon, user) as pop:
        pop.send("".join("DELE %d\r\n" % number for number in numbers))
        for _ in numbers:
            assert pop.line().startswith(b"+OK")
        assert pop.quit().startswith("+OK")


def test_ten_thousand_keep_theirs(pop3d, box):
    """Through restarts, moves to cur/, flags, rewritten Status lines."""
    rng = random.Random(1939)
    box.fill(letters(COUNT, rng), rng)
    first = listing(pop3d, box.user)
    assert len(first) == COUNT
    assert pop3d.stop() == 0
    pop3d.wait_nothing_left()
    pop3d.start()
    assert listing(pop3d, box.user) == first
    for share in (1.0, 0.5, 0.1):
        box.note(rng, share)
        assert listing(pop3d, box.user) == first
    box.tidy(rng)			# mbox: a program's own message
    assert listing(pop3d, box.user) == first
    box.note(rng, 0.5)
    box.tidy(rng)
    assert listing(pop3d, box.user) == first


def test_deletions_and_arrivals_change_no_other(pop3d, smtpd, box):
    """Some of them identical, and none gets what another one had."""
    rng = random.Random(1939)
    count = COUNT // 10
    box.fill(letters(count, rng), rng)
    now = listing(pop3d, box.user)
    ever = {uidl for _, uidl in now}
    for turn in range(5):
        gone = sorted(rng.sample(range(len(now)), len(now) // 4))
        delete(pop3d, box.user, [number + 1 for number in gone])
        kept = [row for at, row in enumerate(now) if at not in gone]
        assert listing(pop3d, box.user) == kept
        box.note(rng)
        for _ in range(10):
            # What is there; what was there; and through our smtpd.
            content = rng.choice(letters(count, random.Random(turn)))
            box.put(rng.choice([c for _, c in box.read()]), True)
            box.put(content)
        with Smtp(smtpd) as smtp:
            for _ in range(3):
                assert smtp.mail(b"Subject: same\r\n\r\nsame\r\n",
                                 box.user).code == 250
        postern.eventually(
            lambda: len(box.handles()) == len(kept) + 23, "deliveries")
        now = listing(pop3d, box.user)
        stayed = [row for row in now if row in kept]
        came = {uidl for _, uidl in now} - {uidl for _, uidl in kept}
        assert stayed == kept
        assert len(came) == 23
        assert not came & ever, came & ever
        ever |= came


def test_identical_messages_have_different_ones(pop3d, box):
    """Which of them is deleted is one's own choice, and so is what stays."""
    content = b"Subject: the same\n\nthe same\n"
    for _ in range(5):
        box.put(content, True)
    ever = [uidl for _, uidl in listing(pop3d, box.user)]
    now = ever[:]
    for number in (1, 2, 3, 3):		# at last the last of them
        delete(pop3d, box.user, [number])
        del now[number - 1]
        assert [uidl for _, uidl in listing(pop3d, box.user)] == now
        box.put(content, True)
        after = [uidl for _, uidl in listing(pop3d, box.user)]
        new = [uidl for uidl in after if uidl not in now]
        assert [uidl for uidl in after if uidl in now] == now
        assert len(new) == 1 and new[0] not in ever
        ever += new
        now = after
