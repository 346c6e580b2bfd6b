/*
 * local: makes and removes the Unix sockets of the listening daemon.
 *
 * Runs in the master, as root; touches the socket's file and looks at the
 * directories above it, and at nothing that a client has said.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config_table.h"
#include "local.h"

#define BACKLOG	1024

static const char *
path_of(const struct listener *l)
{
	return ((const struct sockaddr_un *)(const void *)&l->address)
	    ->sun_path;
}

/* Control clients send whole requests; all others speak a protocol of lines. */
static int
type_of(const struct listener *l)
{
	return l->service == SERVICE_CONTROL ? SOCK_SEQPACKET : SOCK_STREAM;
}

int
local_listener(struct listener *l, enum service service, const char *run_dir,
    const char *name)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int n;

	memset(l, 0, sizeof(*l));
	n = snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", run_dir, name);
	snprintf(l->text, sizeof(l->text), "%s", un.sun_path);
	if (n < 0 || (size_t)n >= sizeof(un.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	l->service = service;
	memcpy(&l->address, &un, sizeof(un));
	l->address_len = sizeof(un);
	return 0;
}

/* Nobody else can put anything in the place of the socket, or could before. */
static int
check_directory(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct stat st;
	char *slash;
	int fd, r;

	strlcpy(dir, path, sizeof(dir));
	slash = strrchr(dir, '/');
	slash[slash == dir] = '\0';
	fd = config_open(dir);
	if (fd == -1)
		return -1;
	r = fstat(fd, &st);
	close(fd);
	if (r == 0 && (st.st_mode & 022) == 0)
		return 0;
	errno = EPERM;
	return -1;
}

/* Does anybody listen there?  Who is busy, or of another type, does. */
static int
is_served(const struct listener *l)
{
	int fd, r;

	fd = socket(AF_UNIX, type_of(l) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return 1;
	r = connect(fd, (const struct sockaddr *)&l->address, l->address_len);
	if (r == -1 && errno != ECONNREFUSED)
		r = 0;
	close(fd);
	return r == 0;
}

static int
remove_stale(const struct listener *l)
{
	struct stat st;

	if (lstat(path_of(l), &st) == -1)
		return errno == ENOENT ? 0 : -1;
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid()) {
		errno = EEXIST;
		return -1;
	}
	if (is_served(l)) {
		errno = EADDRINUSE;
		return -1;
	}
	return unlink(path_of(l));
}

/* It never has a wider mode than it shall have, not for an instant. */
static int
bind_as(int fd, const struct listener *l, mode_t mode)
{
	mode_t old = umask(0777 & ~mode);
	int r = bind(fd, (const struct sockaddr *)&l->address, l->address_len);

	(void)umask(old);
	return r;
}

int
local_open(const struct listener *l, gid_t gid, struct stat *file)
{
	int saved, fd, is_for_all = l->service != SERVICE_LMTP;

	if (check_directory(path_of(l)) == -1 || remove_stale(l) == -1)
		return -1;
	fd = socket(AF_UNIX, type_of(l) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	if (bind_as(fd, l, is_for_all ? 0666 : 0660) == 0 &&
	    (is_for_all || lchown(path_of(l), (uid_t)-1, gid) == 0) &&
	    lstat(path_of(l), file) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

void
local_remove(const struct listener *l, const struct stat *file)
{
	struct stat st;

	if (lstat(path_of(l), &st) == 0 && S_ISSOCK(st.st_mode) &&
	    st.st_dev == file->st_dev && st.st_ino == file->st_ino)
		(void)unlink(path_of(l));
}

int
local_peer(int fd, uint32_t *uid)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == -1 ||
	    len != sizeof(who) || who.uid == FACTS_NO_UID)
		return -1;
	*uid = who.uid;
	return 0;
}
