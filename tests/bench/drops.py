"""Maildrops of a size, as other programs leave them.

Kinds: "maildir" with names that say no size, as mutt, procmail and most others
give them; "sized" with such as the server itself gives; "mbox".
"""
import os
import shutil

import postern

LINE = 72			# octets, but for every seventh line
MAIL = 8			# the group of /var/mail
SPOOL = "/var/mail/"


def letter(number, size):
    """A message with LF ends: lines of text, a dot before some of them."""
    head = (b"From: someone@example.org\nTo: user@example.test\n"
            b"Date: Mon, 1 Jan 2024 00:00:00 +0000\n"
            b"Message-ID: <%d@example.org>\nSubject: letter %d\n\n"
            % (number, number))
    line = (b"%07d " % number * LINE)[:LINE - 1] + b"\n"
    block = line * 6 + b".a dot, and a short line\n"
    return (head + block * ((size - len(head)) // len(block) + 1))[
        :size - 1] + b"\n"


def octets(content):
    return len(content) + content.count(b"\n")


def fill(user, kind, count, size):
    """An account's maildrop, made anew; octets on the wire."""
    uid, gid, home, _ = postern.accounts.people[user]
    postern.clear(user)
    for path in (home + "/mail", home + "/.postern", SPOOL + user):
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.exists(path):
            os.unlink(path)
    if kind == "mbox":
        return _mbox(user, uid, count, size)
    for folder in ("", "/new", "/cur", "/tmp"):
        os.mkdir(home + "/Maildir" + folder, 0o700)
        os.chown(home + "/Maildir" + folder, uid, gid)
    total = 0
    for number in range(count):
        content = letter(number, size)
        total += octets(content)
        name = "%d.%s%d.mx" % (1700000000 + number,
                               "Q" if kind == "sized" else "M", number)
        if kind == "sized":
            name += ",S=%d,W=%d" % (len(content), octets(content))
        fd = os.open("%s/Maildir/cur/%s:2," % (home, name),
                     os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(fd, content)
        os.fchown(fd, uid, gid)
        os.close(fd)
    return total


def _mbox(user, uid, count, size):
    total = 0
    with open(SPOOL + user, "wb") as file:
        for number in range(count):
            content = letter(number, size)
            total += octets(content)
            file.write(b"From someone@example.org Mon Jan  1 00:00:00 2024\n"
                       + content + b"\n")
    os.chmod(SPOOL + user, 0o660)
    os.chown(SPOOL + user, uid, MAIL)
    return total


def forget(user):
    """All of an account's files, so that memory is free for the next."""
    postern.clear(user)
    if os.path.exists(SPOOL + user):
        os.unlink(SPOOL + user)
