/*
 * path: from the configured path of a mailbox to an open directory.
 *
 * Runs in agents, as the user whose mail it is, before they confine
 * themselves; opens and makes directories, and nothing in them.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../privsep/config.h"
#include "path.h"

static void
close_keep_errno(int fd)
{
	int saved = errno;

	if (fd != -1)
		close(fd);
	errno = saved;
}

int
path_sync(int directory)
{
	if (fsync(directory) == 0)
		return 0;
	/* Some network file systems have nothing to sync a directory with. */
	return errno == EINVAL || errno == EOPNOTSUPP ? 0 : -1;
}

int
path_check(int fd, uid_t uid, int is_own)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return -1;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return -1;
	}
	if ((st.st_uid != uid && (is_own || st.st_uid != 0)) ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

int
path_base(const char *path, uid_t uid)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == 0) {
		if (st.st_uid == uid || st.st_uid == 0)
			return fd;
		errno = EPERM;
	}
	close_keep_errno(fd);
	return -1;
}

/* Sync the directory in which something was made, if it can be read. */
static int
sync_parent(int parent)
{
	int fd, r;

	fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return errno == EACCES ? 0 : -1;
	r = path_sync(fd);
	close_keep_errno(fd);
	return r;
}

int
path_open(int parent, const char *name, int flags, int create)
{
	int fd;

	flags |= O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	fd = openat(parent, name, flags);
	if (fd != -1 || errno != ENOENT || !create)
		return fd;
	if (mkdirat(parent, name, 0700) == -1) {
		if (errno != EEXIST)
			return -1;
	} else if (sync_parent(parent) == -1)
		return -1;
	return openat(parent, name, flags);
}

/*
 * Split the configured path: base is opened as it is (the home, or the
 * administrator's part of an absolute path), rest is walked without links.
 */
static int
split_path(const char *path, const char *home, char *base, size_t base_size,
    const char **rest)
{
	const char *slash, *user;
	size_t len;

	if (strncmp(path, "~/", 2) == 0) {
		*rest = path + 2;
		if (home[0] == '/' &&
		    strlcpy(base, home, base_size) < base_size)
			return 0;
		errno = EINVAL;
		return -1;
	}
	/* The last slash before the user's name, or before the last part. */
	user = strstr(path, "%u");
	len = user == NULL ? strlen(path) : (size_t)(user - path);
	slash = memrchr(path, '/', len);
	if (path[0] != '/' || slash == NULL) {
		errno = EINVAL;
		return -1;
	}
	len = (size_t)(slash - path) + 1;
	if (len >= base_size) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(base, path, len);
	base[len] = '\0';
	*rest = slash + 1;
	return 0;
}

/* The next part of the path, "%u" replaced; 1, 0 at the end, -1. */
static int
next_part(const char **rest, const char *user, char part[NAME_MAX + 1])
{
	size_t n, len = 0;
	const char *p;

	*rest += strspn(*rest, "/");
	if (**rest == '\0')
		return 0;
	for (p = *rest; *p != '\0' && *p != '/'; p++) {
		if (p[0] != '%') {
			n = 1;
			part[len] = *p;
		} else if (p[1] == 'u' && strchr(user, '/') == NULL &&
		    (n = strlen(user)) <= NAME_MAX - len) {
			memcpy(part + len, user, n);
			p++;
		} else {
			errno = EINVAL;
			return -1;
		}
		len += n;
		if (len >= NAME_MAX) {
			errno = ENAMETOOLONG;
			return -1;
		}
	}
	part[len] = '\0';
	*rest = p;
	if (len == 0 || strcmp(part, ".") == 0 || strcmp(part, "..") == 0) {
		errno = EINVAL;
		return -1;
	}
	return 1;
}

/*
 * Walk from the base to the directory, or if name is wanted, to the one before
 * the last part, which is the name; its descriptor or -1.
 */
static int
walk(int base, const char *rest, const struct identity *id, int create,
    char *name)
{
	char part[NAME_MAX + 1];
	int fd = -1, next, is_last = 0, r;

	while (!is_last) {
		r = next_part(&rest, id->name, part);
		if (r != 1) {
			if (r == 0)
				errno = EINVAL;
			close_keep_errno(fd);
			return -1;
		}
		is_last = rest[strspn(rest, "/")] == '\0';
		if (is_last && name != NULL) {
			strlcpy(name, part, sizeof(part));
			return fd != -1 ? fd :
			    fcntl(base, F_DUPFD_CLOEXEC, 0);
		}
		next = path_open(fd == -1 ? base : fd, part,
		    is_last ? O_RDONLY : O_PATH, create);
		close_keep_errno(fd);
		if (next == -1)
			return -1;
		fd = next;
		if (path_check(fd, id->uid, is_last) == -1) {
			close_keep_errno(fd);
			return -1;
		}
	}
	return fd;
}

static int
enter(const char *path, const struct identity *id, int create, char *name,
    int *is_absent)
{
	char base[CONFIG_PATH_MAX + sizeof(id->home)];
	const char *rest;
	int fd, top;

	*is_absent = 0;
	if (split_path(path, id->home, base, sizeof(base), &rest) == -1)
		return -1;
	top = path_base(base, id->uid);
	if (top == -1)
		return -1;
	fd = walk(top, rest, id, create, name);
	*is_absent = fd == -1 && errno == ENOENT;
	close_keep_errno(top);
	return fd;
}

int
path_directory(const char *path, const struct identity *id, int create,
    int *is_absent)
{
	return enter(path, id, create, NULL, is_absent);
}

int
path_file(const char *path, const struct identity *id, int create,
    char name[NAME_MAX + 1], int *is_absent)
{
	return enter(path, id, create, name, is_absent);
}
