/*
 * directories: make a directory with those above it.
 *
 * Runs in the master, as root, before it serves; touches the paths that the
 * configuration names.
 */
#include <sys/stat.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "directories.h"

/* 0 also if it is there. */
static int
make_one(const char *path, mode_t mode)
{
	return mkdir(path, mode) == 0 || errno == EEXIST ? 0 : -1;
}

int
directories_make(const char *path, mode_t mode)
{
	char above[PATH_MAX], *slash;

	if (make_one(path, mode) == 0)
		return 0;
	if (errno != ENOENT)
		return -1;
	if (strlcpy(above, path, sizeof(above)) >= sizeof(above)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (slash = strchr(above + 1, '/'); slash != NULL;
	    slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (make_one(above, 0755) == -1)
			return -1;
		*slash = '/';
	}
	return make_one(path, mode);
}
