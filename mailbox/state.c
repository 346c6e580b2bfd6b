/*
 * state: a user's ~/.postern.
 *
 * Runs in agents, as the user whose mail it is, before they confine
 * themselves (state_enter) or after; touches nothing but ~/.postern.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "path.h"
#include "state.h"

static void
close_keep_errno(int fd)
{
	int saved = errno;

	if (fd != -1)
		close(fd);
	errno = saved;
}

int
state_enter(const struct identity *id)
{
	int home, fd;

	if (id->home[0] != '/') {
		errno = EINVAL;
		return -1;
	}
	home = path_base(id->home, id->uid);
	if (home == -1)
		return -1;
	fd = path_open(home, STATE_DIRECTORY, O_RDONLY, 1);
	close_keep_errno(home);
	if (fd != -1 && path_check(fd, id->uid, 1) == -1) {
		close_keep_errno(fd);
		fd = -1;
	}
	return fd;
}

int
state_open(int state, const char *name, int flags, uid_t owner)
{
	struct stat st;
	int fd;

	if (state == -1) {
		errno = (flags & O_CREAT) != 0 ? EROFS : ENOENT;
		return -1;
	}
	fd = openat(state, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
	    O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == 0) {
		if (S_ISREG(st.st_mode) && st.st_uid == owner &&
		    st.st_nlink == 1)
			return fd;
		errno = EPERM;
	}
	close_keep_errno(fd);
	return -1;
}
