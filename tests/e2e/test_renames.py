"""A mail program that renames files all the time hides none from us."""
import multiprocessing
import os
import random

import pytest

import boxes
import postern
from postern import Pop

# Of one reading: with few messages it is over at once, with many each is seen
# when others have moved on.
COUNTS = {30: 10, 3000: 5}	# messages: sessions


@pytest.fixture(scope="module")
def pop3d(daemons):
    return daemons("pop3d", boxes.Maildir.conf)


def rename_all_the_time(cur, ready, stop):
    """New flags for each message, again and again."""
    rng = random.Random(2)
    while not stop.is_set():
        for name in os.listdir(cur):
            flags = "".join(f for f in "DFPRS" if rng.random() < 0.4)
            try:
                os.rename(cur + name, "%s%s:2,%s" % (
                    cur, name.partition(":")[0], flags))
            except FileNotFoundError:	# deleted meanwhile
                pass
        ready.set()


@pytest.fixture
def crowded(user, request):
    """A box of so many messages, and somebody who renames them."""
    box, rng = boxes.Maildir(user), random.Random(1)
    for number in range(request.param):
        box.put(b"Subject: %d\n\nx\n" % number)
    box.note(rng, 1.0)
    ready, stop = multiprocessing.Event(), multiprocessing.Event()
    renamer = multiprocessing.Process(
        target=rename_all_the_time, args=(box.path + "/cur/", ready, stop))
    renamer.start()
    try:
        assert ready.wait(postern.PATIENCE)
        yield box, request.param
        assert renamer.is_alive()
    finally:
        stop.set()
        renamer.join()


@pytest.mark.parametrize("crowded", COUNTS, indirect=True)
def test_renamed_all_the_time(pop3d, user, crowded):
    box, count = crowded
    rng, uidls = random.Random(3), None
    for _ in range(COUNTS[count]):
        with Pop(pop3d, user) as pop:
            assert pop.stat()[0] == count
            found = pop.uidl()
            assert uidls in (None, found)
            uidls = found
            for _ in range(40):
                number = rng.randrange(1, count + 1)
                assert b"\r\nx\r\n" in pop.retr(number)
            assert pop.quit().startswith("+OK")
    with Pop(pop3d, user) as pop:
        pop.send("".join("DELE %d\r\n" % n for n in range(1, count + 1)))
        for _ in range(count):
            assert pop.line().startswith(b"+OK")
        reply = pop.quit()
    left = len(box.handles())
    assert left == 0 or reply.startswith("-ERR [SYS/TEMP]"), (left, reply)
