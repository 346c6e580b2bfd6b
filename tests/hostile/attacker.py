#!/usr/bin/python3
"""A user against the processes that read and write her mailbox (C6).

attacker.py HOME SECONDS SEED CANARY...: run as the user.  Puts links, FIFOs,
directories and modes where a mailbox should be, again and again, and aims them
at the canaries.  What was delivered is never deleted, only moved about below
HOME, so that the test can count it.
"""
import contextlib
import fcntl
import os
import random
import sys
import time

home, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
canaries = sys.argv[4:]
dice = random.Random(seed)
top = os.path.join(home, "Maildir")
count = 0


@contextlib.contextmanager
def inside(name):
    """A folder of the Maildir, by a way that no link of ours leads astray."""
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY
    maildir = os.open(top, flags)
    try:
        folder = os.open(name, flags, dir_fd=maildir)
        try:
            yield "/proc/self/fd/%d" % folder
        finally:
            os.close(folder)
    finally:
        os.close(maildir)


def any_folder():
    return dice.choice(("tmp", "new", "cur"))


def unique(stem):
    global count
    count += 1
    return "%s.%d.%d" % (stem, os.getpid(), count)


def canary():
    directory = dice.choice(canaries)
    return dice.choice((directory, os.path.join(directory, "file"),
                        os.path.join(directory, "new"),
                        os.path.join(directory, "none"),
                        os.path.join(directory, "none")))


def put_odd(path):
    """Something that is no directory of ours, or one that is odd."""
    kind = dice.randrange(8)
    if kind < 3:
        os.symlink(canary(), path)
    elif kind == 3:
        os.link(os.path.join(dice.choice(canaries), "file"), path)
    elif kind == 4:
        os.mkfifo(path, 0o666)
    elif kind == 5:
        with open(path, "wb"):
            pass
    elif kind == 6:
        os.mkdir(path, dice.choice((0o777, 0o500, 0, 0o700)))
    else:
        os.symlink(os.path.basename(path) + ".loop", path)


def swap(path):
    """Move what is there away, something odd in, and after a while back."""
    away = unique(os.path.join(home, os.path.basename(path)))
    os.rename(path, away)
    try:
        with contextlib.suppress(OSError):
            put_odd(path)
        time.sleep(dice.random() * 0.01)
    finally:
        with contextlib.suppress(OSError):
            os.rename(path, unique(os.path.join(home, "odd")))
        with contextlib.suppress(OSError):
            os.rename(away, path)


def swap_folder():
    with inside(".") as place:
        swap(os.path.join(place, any_folder()))


def swap_lock():
    with inside(".") as place:
        swap(os.path.join(place, "postern.lock"))


def modes():
    path = dice.choice((home, top, top + "/tmp", top + "/new", top + "/cur",
                        top + "/postern.lock"))
    os.chmod(path, dice.choice((0o777, 0o500, 0o000, 0o1777, 0o770)))
    time.sleep(dice.random() * 0.005)
    os.chmod(path, 0o700)


def litter():
    """Odd things among the letters."""
    with inside(any_folder()) as place:
        path = unique(os.path.join(place, "%d" % dice.randrange(10**9)))
        put_odd(path)
        time.sleep(dice.random() * 0.005)
        os.rename(path, unique(os.path.join(home, "odd")))


def replace_temporary():
    """A letter that is being written becomes a link to something else."""
    with inside("tmp") as place:
        path = os.path.join(place, dice.choice(os.listdir(place) or [""]))
        os.rename(path, unique(os.path.join(home, "letter")))
        put_odd(path)
        time.sleep(dice.random() * 0.003)
        os.rename(path, unique(os.path.join(home, "odd")))


def hold_lock():
    with open(top + "/postern.lock", "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(dice.random() * 0.01)


def vanish():
    """No Maildir at all: a new one may come in its place."""
    away = unique(os.path.join(home, "Maildir"))
    os.rename(top, away)
    time.sleep(dice.random() * 0.01)
    with contextlib.suppress(OSError):
        os.rename(top, unique(os.path.join(home, "Maildir")))
    with contextlib.suppress(OSError):
        os.rename(away, top)


def main():
    os.umask(0)
    end = time.monotonic() + seconds
    done = 0
    ways = ((lambda: swap(top)), swap_folder, swap_folder, modes, litter,
            litter, replace_temporary, replace_temporary, hold_lock, vanish)
    # The lock is opened by POP3 sessions only, of which there are fewer.
    ways += (swap_lock,) * 6
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            dice.choice(ways)()
            done += 1
        time.sleep(dice.random() * 0.004)
    print(done)


main()
