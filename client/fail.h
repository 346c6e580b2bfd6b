/*
 * fail: the end of a program of client/ that could not do what it was asked.
 */
#ifndef CLIENT_FAIL_H
#define CLIENT_FAIL_H

/*
 * Who says so: "sendmail" if not told otherwise, whom nobody may be listening
 * to; who is used by hand does not write to the system log.
 */
void	fail_as(const char *program, int is_by_hand);

/*
 * One line on standard error and in the system log, and exit with this code of
 * <sysexits.h>.  What others said may be part of the text: what is not
 * printable ASCII becomes a question mark.
 */
_Noreturn void fail(int code, const char *, ...)
    __attribute__((format(printf, 2, 3)));
/* The same, but go on. */
void	complain(const char *, ...) __attribute__((format(printf, 1, 2)));

#endif
