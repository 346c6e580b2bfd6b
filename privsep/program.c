/*
 * program: open what is to be executed, if it is nobody else's to write.
 *
 * Runs in the master, as root; looks at files, reads none.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "config.h"
#include "program.h"

/* Root's, or ours when Postern runs unprivileged for a test. */
static int
is_trusted(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & 022) == 0 &&
	    (st.st_uid == 0 || st.st_uid == geteuid());
}

int
program_open(const char *libexec_dir, const char *name,
    char path[PROGRAM_PATH_MAX])
{
	int fd;

	snprintf(path, PROGRAM_PATH_MAX, "%s/%s", libexec_dir, name);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd == -1 || is_trusted(fd))
		return fd;
	close(fd);
	errno = EPERM;
	return -1;
}
