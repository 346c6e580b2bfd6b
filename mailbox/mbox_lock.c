/*
 * mbox_lock: fcntl lock and dotlock of an mbox, in Debian's order.
 *
 * Runs in agents, as the user whose mail it is; touches the mbox's file, and
 * NAME.lock by the keeper (or itself, where there is none).
 *
 * Debian policy 11.6: first fcntl(2), then the dotlock.  Some programs do it
 * the other way round, so who can't have the second gives up the first before
 * it waits.  The fcntl lock is an OFD lock: it excludes POSIX ones, and is not
 * lost when another descriptor of the file is closed.
 *
 * A program that replaces or removes an mbox does so with its locks, so the
 * name is looked at again when we have ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mbox.h"
#include "path.h"

#define PAUSE_MS	20		/* between tries, to five times it */
#define TOUCH_SECONDS	60

static int companion = -1;

void
mailbox_use_companion(int sock)
{
	companion = sock;
}

static int
lock_name(const struct mailbox *mb, char name[NAME_MAX + 1])
{
	if (snprintf(name, NAME_MAX + 1, "%s.lock", mb->name) <= NAME_MAX)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int
take_file(struct mailbox *mb)
{
	struct flock whole = { .l_whence = SEEK_SET,
	    .l_type = mb->is_read_only ? F_RDLCK : F_WRLCK };

	if (fcntl(mb->file, F_OFD_SETLK, &whole) == 0) {
		mb->locks.has_file = 1;
		return 0;
	}
	if (errno == EAGAIN || errno == EACCES)
		errno = EBUSY;
	return -1;
}

static void
drop_file(struct mailbox *mb)
{
	struct flock whole = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
	int saved = errno;

	if (mb->locks.has_file)
		(void)fcntl(mb->file, F_OFD_SETLK, &whole);
	mb->locks.has_file = 0;
	errno = saved;
}

/*
 * Where nobody can make one, nobody else has one either (that would be EEXIST).
 * The fcntl lock is there; and who has no room left must get at the mail.
 */
static int
is_impossible(const struct mailbox *mb, int error)
{
	return (error == EROFS && mb->is_read_only) ||
	    ((error == ENOSPC || error == EDQUOT) && !mb->is_delivery);
}

static int
take_dotlock(struct mailbox *mb)
{
	char name[NAME_MAX + 1];
	int r;

	if (companion != -1)
		r = keeper_ask(companion, REQ_KEEPER_LOCK);
	else if (lock_name(mb, name) == -1)
		return -1;
	else
		r = dotlock_make(mb->directory, name, mb->uid,
		    &mb->locks.dotlock);
	if (r == 0) {
		mb->locks.has_dotlock = 1;
		mb->locks.touched = time(NULL);
	} else if (errno == EEXIST)
		errno = EBUSY;
	return r == -1 && is_impossible(mb, errno) ? 0 : r;
}

static void
drop_dotlock(struct mailbox *mb)
{
	char name[NAME_MAX + 1];
	int saved = errno;

	if (mb->locks.has_dotlock && companion != -1)
		(void)keeper_ask(companion, REQ_KEEPER_UNLOCK);
	else if (mb->locks.has_dotlock && lock_name(mb, name) == 0)
		(void)dotlock_remove(mb->directory, name, &mb->locks.dotlock);
	mb->locks.has_dotlock = 0;
	errno = saved;
}

/*
 * The new name is on disk, too.  Where that can't be asked for (the directory
 * can't be read, or we are confined already), the sync of the file must do.
 */
static int
sync_directory(const struct mailbox *mb)
{
	int fd, r, saved;

	fd = openat(mb->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return errno == EACCES ? 0 : -1;
	r = path_sync(fd);
	saved = errno;
	close(fd);
	errno = saved;
	return r;
}

int
mbox_create(struct mailbox *mb)
{
	int r;

	if (companion != -1)
		r = keeper_ask(companion, REQ_KEEPER_MAKE);
	else
		r = keeper_make(mb->directory, mb->name,
		    keeper_mode(mb->directory));
	if (r == 0)
		return sync_directory(mb);
	return errno == EEXIST ? 0 : -1;
}

/* The file that has the name; 1 there is none and need not be, 0, or -1. */
static int
find_file(struct mailbox *mb)
{
	int tries;

	if (mb->file != -1 && mbox_file_is_named(mb))
		return 0;
	for (tries = 0; tries < 3; tries++) {
		if (mbox_file_open(mb) == 0)
			return 0;
		if (errno == EAGAIN)		/* somebody replaces it */
			break;
		if (errno != ENOENT)
			return -1;
		if (!mb->is_delivery)
			return 1;
		if (mbox_create(mb) == -1)
			return -1;
	}
	errno = EBUSY;			/* or removes it all the time */
	return -1;
}

/* Both locks on the file that has the name; EBUSY: not now. */
static int
try_once(struct mailbox *mb)
{
	int r = find_file(mb);

	if (r != 0)
		return r == 1 ? 0 : -1;
	if (take_file(mb) == -1)
		return -1;
	if (take_dotlock(mb) == -1) {
		drop_file(mb);
		return -1;
	}
	if (mbox_file_is_named(mb))
		return 0;
	drop_dotlock(mb);
	drop_file(mb);
	errno = EBUSY;
	return -1;
}

int
mbox_lock(struct mailbox *mb, int patience_ms)
{
	int64_t end;

	if (mb->locks.depth > 0) {
		mb->locks.depth++;
		return 0;
	}
	if (mb->directory == -1)
		return 0;
	end = now_ms() + patience_ms;
	while (try_once(mb) == -1) {
		if (errno != EBUSY)
			return -1;
		if (now_ms() >= end) {
			errno = EBUSY;
			return -1;
		}
		/* Not in step with others who wait. */
		if (mailbox_sleep(PAUSE_MS +
		    (int)arc4random_uniform(4 * PAUSE_MS)) == -1)
			return -1;
	}
	mb->locks.depth = 1;
	return 0;
}

void
mbox_unlock(struct mailbox *mb)
{
	if (mb->locks.depth == 0 || --mb->locks.depth > 0)
		return;
	/* The other way round: who has the fcntl lock finds no dotlock. */
	drop_dotlock(mb);
	drop_file(mb);
}

void
mbox_lock_touch(struct mailbox *mb)
{
	time_t now = time(NULL);

	if (!mb->locks.has_dotlock || now - mb->locks.touched < TOUCH_SECONDS)
		return;
	mb->locks.touched = now;
	if (companion != -1)
		(void)keeper_ask(companion, REQ_KEEPER_TOUCH);
	else
		(void)dotlock_touch(&mb->locks.dotlock);
}
