/*
 * directories: make a directory with those above it.
 */
#ifndef PRIVSEP_DIRECTORIES_H
#define PRIVSEP_DIRECTORIES_H

#include <sys/types.h>

/*
 * Make the directory at this absolute path with this mode; what is missing
 * above it is made too, for everybody to pass (0755): a file system that is
 * empty after each start of the host has none of it.  Not for what lasts:
 * there it is a typing mistake.  One that is there stays as it is, whoever's
 * it is: the caller looks.  0 or -1 with errno.
 */
int	directories_make(const char *path, mode_t);

#endif
