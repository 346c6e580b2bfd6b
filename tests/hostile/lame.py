#!/usr/bin/python3
"""Exec a program for which one system call does not do its work (C18).

lame.py CALL ARGUMENT MODE PROGRAM [ARGUMENTS]: from here on CALL fails with
EPERM (MODE "fail"), or says that it succeeded and does nothing ("lie").
ARGUMENT narrows it: "-", "0=4" (its argument 0 is 4), "2!0" (its argument
2 is not 0) or two of these with a comma.  A seccomp filter does it, so it
holds for forks as well, and only there.
"""
import ctypes
import os
import sys

ALLOW, ERRNO = 0x7fff0000, 0x00050000
EPERM = 1
NOT_EQUAL, EQUAL = 1, 4
ATTRIBUTE_NNP = 3


class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int),
                ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def make_lame(call, argument, mode):
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(lib.seccomp_init(ctypes.c_uint32(ALLOW)))
    number = lib.seccomp_syscall_resolve_name(call.encode())
    if number < 0:
        sys.exit("no such system call: " + call)
    compares = [Compare(int(word[0]), EQUAL if word[1] == "=" else NOT_EQUAL,
                        int(word[2:]), 0)
                for word in argument.split(",") if word != "-"]
    action = ERRNO | (EPERM if mode == "fail" else 0)
    # NO_NEW_PRIVS stays as it is: it is one of the things to be seen.
    if lib.seccomp_attr_set(context, ATTRIBUTE_NNP, ctypes.c_uint32(0)) != 0 \
            or lib.seccomp_rule_add_array(
                context, ctypes.c_uint32(action), number,
                len(compares), (Compare * len(compares))(*compares)) != 0 \
            or lib.seccomp_load(context) != 0:
        sys.exit("no filter")


if __name__ == "__main__":
    make_lame(*sys.argv[1:4])
    os.execv(sys.argv[4], sys.argv[4:])
