/*
 * fail: the end of a program of client/ that could not do what it was asked.
 */
#ifndef CLIENT_FAIL_H
#define CLIENT_FAIL_H

/*
 * One line on standard error and in the system log, and exit with this code of
 * <sysexits.h>.  What others said may be part of the text: what is not
 * printable ASCII becomes a question mark.
 */
_Noreturn void fail(int code, const char *, ...)
    __attribute__((format(printf, 2, 3)));

#endif
