/*
 * path: from the configured path of a mailbox to an open directory.
 *
 * Directories above the user's own (the home, or what the administrator wrote
 * before the user's name) are opened as they are; from there on no link is
 * followed, and whatever was opened must be the user's or root's and writable
 * by nobody else.
 */
#ifndef MAILBOX_PATH_H
#define MAILBOX_PATH_H

#include <sys/types.h>

#include <limits.h>

#include "../privsep/facts.h"

/*
 * Open the directory that the path names ("~/...", or absolute with "%u"), for
 * reading; it must be the user's own.  With create, make what is missing (mode
 * 0700).  -1 with errno; *is_absent: not there, but the place where it would
 * be is.
 */
int	path_directory(const char *path, const struct identity *, int create,
	    int *is_absent);
/*
 * The same for a file: the directory that it is in (O_PATH), and its name
 * there.  The file itself is not looked at; and its directory, if that is the
 * home or the administrator's part of the path, may be anybody's to write.
 */
int	path_file(const char *path, const struct identity *, int create,
	    char name[NAME_MAX + 1], int *is_absent);

/*
 * A directory above the user's own (O_PATH), opened as it is; EPERM if it is
 * neither the user's nor root's.
 */
int	path_base(const char *path, uid_t uid);
/* Open or make a directory below another; never by a link. */
int	path_open(int parent, const char *name, int flags, int create);
/*
 * Is it a directory that only this user can change?  0, or -1 with errno.
 * What leads to the user's own may be root's.
 */
int	path_check(int fd, uid_t uid, int is_own);
/* fsync() of a directory, on file systems that know it. */
int	path_sync(int directory);

#endif
