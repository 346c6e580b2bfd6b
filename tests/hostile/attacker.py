#!/usr/bin/python3
"""A user against the processes that read and write her mailbox (C6).

attacker.py WHAT HOME SECONDS SEED CANARY...: puts links, FIFOs, directories and
modes where a mailbox should be, again and again, and aims them at the canaries.
WHAT is "maildir" or "mbox", run as the user, or "stranger": another user of
a spool directory where everybody may make files.  What was delivered is
never deleted, only moved about below HOME or beside the mbox, so that the
test can count it.
"""
import contextlib
import fcntl
import os
import random
import select
import sys
import time

what, home, seconds, seed = *sys.argv[1:3], float(sys.argv[3]), int(sys.argv[4])
canaries = sys.argv[5:]
dice = random.Random(seed)
top = os.path.join(home, "Maildir")
mbox = "/var/mail/" + os.path.basename(home)
state = os.path.join(home, ".postern")
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
    if what != "maildir" and dice.random() < 0.6:
        return os.path.join(directory, "file")
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


def swap_here(path):
    """As swap(), in a directory of its own file system."""
    away = unique(path)
    has_moved = False
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, away)
        has_moved = True
    with contextlib.suppress(OSError):
        put_odd(path)
    time.sleep(dice.random() * 0.01)
    # If it is a mailbox again by now, then it is kept, too.
    with contextlib.suppress(OSError):
        os.rename(path, unique(path))
    if has_moved and not os.path.lexists(path):
        with contextlib.suppress(OSError):
            os.link(away, path, follow_symlinks=False)
            os.unlink(away)


def swap_state():
    """~/.postern, or something in it."""
    name = dice.choice(("", "/pop3.lock", "/mbox-twins", "/mbox-twins.new"))
    if name:
        swap_here(state + name)
        return
    away = unique(state)
    os.rename(state, away)
    with contextlib.suppress(OSError):
        put_odd(state)
    time.sleep(dice.random() * 0.01)
    with contextlib.suppress(OSError):
        os.rename(state, unique(os.path.join(home, "odd")))
    with contextlib.suppress(OSError):
        os.rename(away, state)


def mbox_modes():
    os.chmod(mbox, dice.choice((0o666, 0o777, 0o400, 0)))
    time.sleep(dice.random() * 0.005)
    os.chmod(mbox, 0o600)


def second_name():
    name = unique(mbox)
    os.link(mbox, name)
    time.sleep(dice.random() * 0.01)
    os.unlink(name)


def hold_mbox():
    with open(mbox, "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(dice.random() * 0.01)


def old_lock():
    """One that everybody may take for forgotten."""
    path = mbox + ".lock"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    os.utime(path, (1, 1))
    time.sleep(dice.random() * 0.01)
    os.unlink(path)


def squat():
    """A name that is free may be anybody's."""
    path = dice.choice((mbox, mbox, mbox + ".lock"))
    if os.path.lexists(path):
        return
    put_odd(path)
    time.sleep(dice.random() * 0.02)
    try:
        os.unlink(path)
    except (IsADirectoryError, PermissionError):
        os.rmdir(path)


WAYS = {
    # The lock is opened by POP3 sessions only, of which there are fewer.
    "maildir": [lambda: swap(top), swap_folder, swap_folder, modes, litter,
                litter, replace_temporary, replace_temporary, hold_lock,
                vanish] + [swap_lock] * 6,
    "mbox": [lambda: swap_here(mbox)] * 6 + [
        lambda: swap_here(mbox + ".lock"), swap_state, mbox_modes,
        second_name, hold_mbox, old_lock],
    "stranger": [squat, squat, squat, old_lock],
}


def main():
    os.umask(0)
    end = time.monotonic() + seconds
    done = 0
    while time.monotonic() < end or done < 300 or \
            not select.select([0], [], [], 0)[0]:
        with contextlib.suppress(OSError):
            dice.choice(WAYS[what])()
            done += 1
        time.sleep(dice.random() * (0.004 if what == "maildir" else 0.01))
    print(done)


main()
