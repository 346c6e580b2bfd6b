/*
 * spool: the directories, names, ids and the end of a letter's stay.
 *
 * Runs in the session agent and in the queue, both as queue-user; touches the
 * spool directory only.  spool_write.c writes a letter, spool_read.c reads it
 * and records what became of it.
 *
 * What is promised, and by what:
 *
 *  1. The agent makes a file in incoming/ under a new name (O_EXCL) and locks
 *     it (flock) before anything is in it.
 *  2. It writes envelope, trace and content, and the header, without which
 *     the file is no letter, last.
 *  3. It calls fdatasync() on the file, renames it into queue/, and calls
 *     fsync() on queue/.  Only then is 250 said.
 *  4. So after a power cut a letter that got 250 is in queue/, whole.  One
 *     that did not may be there too, whole; its sender tries again.
 *  5. A file in incoming/ that nobody has locked is a dead agent's.  It never
 *     got 250, and the queue removes it.
 *  6. The agent's lock lasts until step 3 is done, so the queue never hands
 *     out what is not yet durable.
 *  7. The queue opens a letter read-only, locks that open file, and looks
 *     whether the name still means it.  Delivery agents get copies of that
 *     descriptor, so the lock lives while anyone can still deliver.  A queue
 *     that was started anew skips what is locked and looks again.  Nobody
 *     holds a descriptor on which a letter could be changed but the queue,
 *     while it appends an outcome.
 *  8. A delivery is on record (an outcome record and fdatasync(), or, when
 *     it was the last, unlink() and fsync() on queue/) before SETTLE allows
 *     the mailbox to forget that it has the letter.  Between delivery and
 *     record a crash makes the queue ask again, with "may have been tried
 *     before" set, and the mailbox finds what it has.
 *  9. Outcome records have one size and a check each, and go to a place that
 *     is a multiple of it; one that is torn or damaged is passed over, and a
 *     torn last one is written over by the next.  A final one is never
 *     written over; a deferral is, by the next of the same delivery, since
 *     all that a torn one takes along is the number of the attempt.
 * 10. A deferral is a rename, and needs no sync: either name is the letter,
 *     and the earlier one is only tried too soon.  Nor does its record, if
 *     nothing else goes on record with it.
 * 11. Room for the outcomes is allocated in the file (fallocate()) before a
 *     command is run, or a letter is sent that stays for others' sake: what
 *     nobody else remembers is not begun if it could not be put on record.
 *     Where a file system can't promise room (EOPNOTSUPP), or breaks its
 *     promise, it may be done twice.
 * 12. A letter with nobody left to try is unlinked when all of its recipients
 *     have it, or when a letter that tells of those who don't is in queue/
 *     (derived.h) or not wanted.  What can't be told of moves to failed/, and
 *     so does a file that is not a letter.
 *
 * System calls for a letter that fits in the writer's buffer (256 KiB).  In:
 * openat, flock, fstat, pwrite, fdatasync, renameat, fsync, close.  Out:
 * openat, flock, fstat (twice), newfstatat, pread (twice), unlinkat, close,
 * and an fsync that is shared by all that ended in the same turn of the loop.
 */
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "smtpd/spool.h"

#define ID_LEN_MIN	16	/* shortest that is taken */
#define ID_LEN_MAX	24
#define ID_TIME		9	/* digits of time: until the year 2398 */
#define DUE_DIGITS	10

static const char digits62[] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static const char *const places[] = { "incoming", "queue", "held", "failed" };

int
spool_enter(const char *path, uid_t owner, int *dir)
{
	struct stat st;
	int fd;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1 || st.st_uid != owner ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	*dir = fd;
	return 0;
}

int
spool_make(int dir)
{
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (mkdirat(dir, places[i], 0700) == -1 && errno != EEXIST)
			return -1;
	/* A letter in queue/ is as safe as queue/ is. */
	return fsync(dir);
}

int
spool_open(struct spool *spool, int dir)
{
	int *const fds[] = { &spool->incoming, &spool->queue, &spool->held,
	    &spool->failed };
	size_t i;

	spool->incoming = spool->queue = spool->held = spool->failed = -1;
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		*fds[i] = openat(dir, places[i],
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (*fds[i] == -1) {
			spool_close(spool);
			return -1;
		}
	}
	return 0;
}

void
spool_close(struct spool *spool)
{
	int saved = errno;

	if (spool->incoming != -1)
		close(spool->incoming);
	if (spool->queue != -1)
		close(spool->queue);
	if (spool->held != -1)
		close(spool->held);
	if (spool->failed != -1)
		close(spool->failed);
	spool->incoming = spool->queue = spool->held = spool->failed = -1;
	errno = saved;
}

int
spool_id_make(char id[QUEUE_ID_MAX])
{
	uint8_t noise[SPOOL_ID_LEN - ID_TIME];
	struct timespec now;
	uint64_t us;
	size_t i;

	clock_gettime(CLOCK_REALTIME, &now);
	us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	for (i = ID_TIME; i-- > 0; us /= 62)
		id[i] = digits62[us % 62];
	if (getrandom(noise, sizeof(noise), 0) != (ssize_t)sizeof(noise))
		return -1;
	/* 256 is no multiple of 62: not uniform, and no secret. */
	for (i = 0; i < sizeof(noise); i++)
		id[ID_TIME + i] = digits62[noise[i] % 62];
	id[SPOOL_ID_LEN] = '\0';
	return 0;
}

int
spool_id_is_legal(const char *id)
{
	size_t len = strnlen(id, QUEUE_ID_MAX);

	return len >= ID_LEN_MIN && len <= ID_LEN_MAX &&
	    strspn(id, digits62) == len;
}

int
spool_name_print(const struct spool_name *name, char buf[SPOOL_NAME_MAX])
{
	int n;

	n = snprintf(buf, SPOOL_NAME_MAX, "%0*llx.%llx.%s", DUE_DIGITS,
	    (unsigned long long)name->due, (unsigned long long)name->size,
	    name->id);
	if (name->due >> (4 * DUE_DIGITS) != 0 || n < 0 ||
	    n >= SPOOL_NAME_MAX || !spool_id_is_legal(name->id)) {
		errno = EINVAL;
		return -1;
	}
	return 0;
}

/* Lower-case hexadecimal digits up to a dot; how many, or 0. */
static size_t
parse_hex(const char *text, size_t max, uint64_t *v)
{
	static const char hex[] = "0123456789abcdef";
	const char *digit;
	size_t i;

	*v = 0;
	for (i = 0; text[i] != '.'; i++) {
		if (i == max || text[i] == '\0' ||
		    (digit = strchr(hex, text[i])) == NULL)
			return 0;
		*v = *v << 4 | (uint64_t)(digit - hex);
	}
	return i;
}

int
spool_name_parse(const char *text, struct spool_name *name)
{
	char again[SPOOL_NAME_MAX];
	const char *p = text;
	size_t n;

	memset(name, 0, sizeof(*name));
	n = parse_hex(p, DUE_DIGITS, &name->due);
	if (n != DUE_DIGITS)
		goto strange;
	p += n + 1;
	n = parse_hex(p, 16, &name->size);
	if (n == 0)
		goto strange;
	p += n + 1;
	if (strlcpy(name->id, p, sizeof(name->id)) >= sizeof(name->id))
		goto strange;
	/* One way to write it only: so no leading zeros, no odd id. */
	if (spool_name_print(name, again) == -1 || strcmp(again, text) != 0)
		goto strange;
	return 0;
strange:
	errno = EINVAL;
	return -1;
}

int
spool_name_is_first(const struct spool_name *name)
{
	const char *digit;
	uint64_t us = 0;
	size_t i;

	for (i = 0; i < ID_TIME; i++) {
		if (name->id[i] == '\0' ||
		    (digit = strchr(digits62, name->id[i])) == NULL)
			return 0;
		us = us * 62 + (uint64_t)(digit - digits62);
	}
	/* The id may have been made in the second after. */
	return us / 1000000 - name->due <= 1;
}

/* A stream of its own over a directory that we keep open. */
static DIR *
list(int dir)
{
	DIR *d;
	int fd;

	fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return NULL;
	d = fdopendir(fd);
	if (d == NULL)
		close(fd);
	return d;
}

int
spool_scan(const struct spool *spool, void (*each)(void *,
    const struct spool_name *), void *arg, size_t *strange)
{
	struct spool_name name;
	struct dirent *entry;
	DIR *d;
	int saved;

	*strange = 0;
	d = list(spool->queue);
	if (d == NULL)
		return -1;
	while (errno = 0, (entry = readdir(d)) != NULL) {
		if (spool_name_parse(entry->d_name, &name) == 0)
			each(arg, &name);
		else if (entry->d_name[0] != '.')
			++*strange;
	}
	saved = errno;
	closedir(d);
	errno = saved;
	return saved == 0 ? 0 : -1;
}

/* Whoever writes a file holds its lock: a free one is a dead agent's. */
static int
clean_one(int dir, const char *name)
{
	int fd, removed = 0;

	fd = openat(dir, name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		return 0;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		removed = unlinkat(dir, name, 0) == 0;
	close(fd);
	return removed;
}

int
spool_clean(const struct spool *spool)
{
	struct dirent *entry;
	DIR *d;
	int removed = 0;

	d = list(spool->incoming);
	if (d == NULL)
		return -1;
	while ((entry = readdir(d)) != NULL)
		if (entry->d_name[0] != '.')
			removed += clean_one(spool->incoming, entry->d_name);
	closedir(d);
	return removed;
}

int
spool_remove(const struct spool *spool, const struct spool_name *name)
{
	char text[SPOOL_NAME_MAX];

	if (spool_name_print(name, text) == -1)
		return -1;
	return unlinkat(spool->queue, text, 0);
}

int
spool_defer(const struct spool *spool, struct spool_name *name, uint64_t due)
{
	struct spool_name later = *name;
	char from[SPOOL_NAME_MAX], to[SPOOL_NAME_MAX];

	later.due = due;
	if (spool_name_print(name, from) == -1 ||
	    spool_name_print(&later, to) == -1 ||
	    renameat(spool->queue, from, spool->queue, to) == -1)
		return -1;
	*name = later;
	return 0;
}

int
spool_fail(const struct spool *spool, const struct spool_name *name)
{
	char text[SPOOL_NAME_MAX];

	if (spool_name_print(name, text) == -1)
		return -1;
	return renameat(spool->queue, text, spool->failed, name->id);
}

int
spool_sync(const struct spool *spool, int failed_too)
{
	/* The new name first, so that no letter is ever without one. */
	if (failed_too && fsync(spool->failed) == -1)
		return -1;
	return fsync(spool->queue);
}
