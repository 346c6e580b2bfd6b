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

#include "state.h"

static void
close_keep_errno(int fd)
{
	int saved = errno;

	if (fd != -1)
		close(fd);
	errno = saved;
}

/* Is it a directory that only this user can change? */
static int
check_directory(int fd, uid_t uid)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return -1;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return -1;
	}
	if (st.st_uid != uid || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

int
state_sync(int state)
{
	if (fsync(state) == 0)
		return 0;
	/* Some network file systems have nothing to sync a directory with. */
	return errno == EINVAL || errno == EOPNOTSUPP ? 0 : -1;
}

/* Sync the home in which ~/.postern was made, if it can be read. */
static int
sync_home(int home)
{
	int fd, r;

	fd = openat(home, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return errno == EACCES ? 0 : -1;
	r = state_sync(fd);
	close_keep_errno(fd);
	return r;
}

static int
open_or_make(int home)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd;

	fd = openat(home, STATE_DIRECTORY, flags);
	if (fd != -1 || errno != ENOENT)
		return fd;
	if (mkdirat(home, STATE_DIRECTORY, 0700) == -1) {
		if (errno != EEXIST)
			return -1;
	} else if (sync_home(home) == -1)
		return -1;
	return openat(home, STATE_DIRECTORY, flags);
}

int
state_enter(const struct identity *id)
{
	struct stat st;
	int home, fd = -1;

	if (id->home[0] != '/') {
		errno = EINVAL;
		return -1;
	}
	home = open(id->home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (home == -1)
		return -1;
	if (fstat(home, &st) == 0) {
		if (st.st_uid != id->uid && st.st_uid != 0)
			errno = EPERM;
		else
			fd = open_or_make(home);
	}
	close_keep_errno(home);
	if (fd != -1 && check_directory(fd, id->uid) == -1) {
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
