/*
 * mbox_dotlock: NAME.lock beside an mbox.
 *
 * Runs in a keeper, as the user with the directory's group, or (in tests) in
 * the process that uses the mbox; makes and removes NAME.lock, and reads it and
 * two files of /proc before it is confined.
 *
 * The file holds the process's number in decimal and a line end, as Debian's
 * liblockfile writes it.  That number means something only where it was given:
 * a spool may be shared with other hosts and with containers that number their
 * processes anew.  So a second line says where: the boot of the kernel and the
 * namespace of processes, both unique.  Only a lock of here is removed because
 * its process is dead; any other has to grow old.  Where the disk is full the
 * file is empty, which no program minds: it must be possible to remove mail
 * then.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "mbox_keeper.h"

#define HERE_MAX	80	/* octets of the second line, with its LF and NUL */
#define LOCK_TEXT_MAX	(HERE_MAX + 24)
#define BOOT_ID_LEN	36

static char here[HERE_MAX];	/* the second line; empty: not known */

static void
close_keep_errno(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

/*
 * Untouched for long: whoever made it has died, or forgotten it.  Locks are
 * made by the user's programs or by root's; a file of somebody else is the
 * mailbox of somebody whose name ends so.
 */
static int
is_stale(int directory, const char *name, uid_t user)
{
	struct stat st;

	return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (st.st_uid == user || st.st_uid == 0) &&
	    time(NULL) - st.st_mtim.tv_sec > DOTLOCK_STALE_SECONDS;
}

static int
make_once(int directory, const char *name)
{
	return openat(directory, name, O_WRONLY | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, 0644);
}

int
dotlock_make(int directory, const char *name, uid_t user,
    struct dotlock *lock)
{
	char text[LOCK_TEXT_MAX];
	struct stat st;
	int fd, n;

	fd = make_once(directory, name);
	if (fd == -1 && errno == EEXIST) {
		if (is_stale(directory, name, user) &&
		    unlinkat(directory, name, 0) == -1 && errno != ENOENT)
			return -1;
		fd = make_once(directory, name);	/* if it is gone by now */
	}
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1) {
		close_keep_errno(fd);
		return -1;
	}
	n = snprintf(text, sizeof(text), "%ld\n%s", (long)getpid(), here);
	if (write(fd, text, (size_t)n) != n)
		errno = 0;		/* without a number it is a lock, too */
	lock->fd = fd;
	lock->dev = st.st_dev;
	lock->ino = st.st_ino;
	return 0;
}

int
dotlock_touch(const struct dotlock *lock)
{
	return futimens(lock->fd, NULL);
}

/* Is that the file that now has the name? */
static int
is_named(int directory, const char *name, dev_t dev, ino_t ino)
{
	struct stat st;

	return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_dev == dev && st.st_ino == ino;
}

int
dotlock_remove(int directory, const char *name, struct dotlock *lock)
{
	int r = 0;

	/* Held too long, it may have been thought stale, and be another's. */
	if (is_named(directory, name, lock->dev, lock->ino))
		r = unlinkat(directory, name, 0);
	close_keep_errno(lock->fd);
	lock->fd = -1;
	return r;
}

/* Find out what here is. */
static void
find_here(void)
{
	char boot[BOOT_ID_LEN + 1] = "";
	struct stat st;
	int fd;

	here[0] = '\0';
	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return;
	if (io_pread(fd, boot, BOOT_ID_LEN, 0) == 0 &&
	    strspn(boot, "0123456789abcdef-") == BOOT_ID_LEN &&
	    stat("/proc/self/ns/pid", &st) == 0)
		snprintf(here, sizeof(here), "%s %ju\n", boot,
		    (uintmax_t)st.st_ino);
	close(fd);
}

/* The process of here that a lock names, or -1. */
static pid_t
owner_of(int fd)
{
	char text[LOCK_TEXT_MAX], *second;
	const char *error;
	ssize_t n;
	long long number;

	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	second = strchr(text, '\n');
	if (second == NULL || here[0] == '\0' || strcmp(second + 1, here) != 0)
		return -1;
	*second = '\0';
	number = strtonum(text, 1, 1 << 30, &error);
	return error == NULL ? (pid_t)number : -1;
}

void
dotlock_clear_dead(int directory, const char *name)
{
	struct stat st;
	pid_t owner;
	int fd;

	find_here();
	fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_NOCTTY | O_CLOEXEC);
	if (fd == -1)
		return;
	/*
	 * As long as fd is open its inode is no other file's, and with the
	 * flock no two of us look and remove at a time: so a lock that was
	 * made after this one is not taken for it.
	 */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    flock(fd, LOCK_EX | LOCK_NB) == 0) {
		owner = owner_of(fd);
		if (owner != -1 && kill(owner, 0) == -1 && errno == ESRCH &&
		    is_named(directory, name, st.st_dev, st.st_ino))
			(void)unlinkat(directory, name, 0);
	}
	close(fd);
}
