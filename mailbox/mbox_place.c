/*
 * mbox_place: the file of an mbox, and what is beside it.
 *
 * Runs in agents, as the user whose mail it is, before they confine themselves
 * (to ~/.postern: the descriptors of the mbox itself stay); opens and makes
 * ~/.postern, opens the directory of the mbox and the mbox.
 *
 * The directory is often one where everybody may make files (/var/mail), so
 * what has the name there is not believed until it is open: a regular file of
 * the user's, with no second name.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../privsep/log.h"
#include "mbox.h"
#include "path.h"
#include "state.h"

#define REPLACED_MAX	10	/* in a row, each just when we open it */

static void
close_file(int *fd)
{
	int saved = errno;

	if (*fd != -1)
		close(*fd);
	*fd = -1;
	errno = saved;
}

int
mbox_place_find(struct mailbox *mb, const struct config *config,
    const struct identity *id, int create)
{
	int is_absent;

	mb->directory = path_file(config->mailbox_path, id, create, mb->name,
	    &is_absent);
	return mb->directory == -1 ? -1 : 0;
}

/* It is the administrator who can mend that: all that the user sees is a wait. */
static void
log_no_state(const struct identity *id, int error)
{
	char user[LOG_VALUE_MAX];

	if (error == EACCES || error == EPERM || error == ENOTDIR ||
	    error == ELOOP)
		log_event(LOG_ERR, 0, "event=no-state user=%s error=\"%s\" "
		    "text=\"an mbox needs ~/.postern, the user's own\"",
		    log_value(id->name, user), strerror(error));
	errno = error;
}

int
mbox_place_enter(struct mailbox *mb, const struct config *config,
    const struct identity *id, int create)
{
	int is_absent;

	mb->uid = id->uid;
	mb->is_delivery = create;
	strlcpy(mb->hostname, config->hostname, sizeof(mb->hostname));
	mb->state = state_enter(id);
	/*
	 * What can't be remembered now need not be, to read: whoever is over
	 * quota, or whose disk has an error, must get at the mail.
	 */
	if (mb->state == -1 && (create || (errno != ENOSPC &&
	    errno != EDQUOT && errno != EROFS))) {
		log_no_state(id, errno);
		return -1;
	}
	mb->directory = path_file(config->mailbox_path, id, create, mb->name,
	    &is_absent);
	if (mb->directory == -1) {
		/* A directory below the home that nobody made yet is empty. */
		if (is_absent && !create)
			return 0;
		return -1;
	}
	if (create && mbox_create(mb) == -1)
		return -1;
	if (mbox_file_open(mb) == -1 && (create || errno != ENOENT))
		return -1;
	return 0;
}

static int
is_mbox(const struct stat *st, uid_t uid)
{
	return S_ISREG(st->st_mode) && st->st_uid == uid && st->st_nlink == 1;
}

static int
open_checked(const struct mailbox *mb, int flags, struct stat *st)
{
	int fd;

	/* Not blocking: somebody may have put a FIFO there. */
	fd = openat(mb->directory, mb->name, flags | O_NOFOLLOW | O_NONBLOCK |
	    O_NOCTTY | O_CLOEXEC);
	if (fd == -1) {
		if (errno == ELOOP || errno == ENXIO || errno == EISDIR)
			errno = EPERM;
		return -1;
	}
	if (fstat(fd, st) == -1 || !is_mbox(st, mb->uid)) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	return fd;
}

/* Both descriptors, of one file; EAGAIN: it was replaced between both. */
static int
open_both(struct mailbox *mb)
{
	struct stat st, same;

	close_file(&mb->file);
	close_file(&mb->reader);
	if (mb->directory == -1) {
		errno = ENOENT;
		return -1;
	}
	mb->file = open_checked(mb, O_RDWR, &st);
	mb->is_read_only = mb->file == -1 && errno == EROFS &&
	    !mb->is_delivery;
	if (mb->is_read_only)
		mb->file = open_checked(mb, O_RDONLY, &st);
	if (mb->file == -1)
		return -1;
	mb->reader = open_checked(mb, O_RDONLY, &same);
	if (mb->reader != -1 &&
	    (st.st_dev != same.st_dev || st.st_ino != same.st_ino)) {
		close_file(&mb->reader);
		errno = EAGAIN;
	}
	if (mb->reader != -1)
		return 0;
	close_file(&mb->file);
	return -1;
}

int
mbox_file_open(struct mailbox *mb)
{
	int r, tries = 0;

	do
		r = open_both(mb);
	while (r == -1 && errno == EAGAIN && ++tries < REPLACED_MAX);
	return r;
}

int
mbox_file_is_named(const struct mailbox *mb)
{
	struct stat named, st;

	return mb->file != -1 && fstat(mb->file, &st) == 0 &&
	    fstatat(mb->directory, mb->name, &named, AT_SYMLINK_NOFOLLOW) ==
	    0 && st.st_dev == named.st_dev && st.st_ino == named.st_ino;
}

static int64_t
nanoseconds(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

int
mbox_file_identify(const struct mailbox *mb, struct mbox_identity *identity)
{
	struct stat st;

	if (fstat(mb->file, &st) == -1)
		return -1;
	identity->dev = st.st_dev;
	identity->ino = st.st_ino;
	identity->size = (uint64_t)st.st_size;
	identity->mtime = nanoseconds(&st.st_mtim);
	identity->ctime = nanoseconds(&st.st_ctim);
	return 0;
}

int
mbox_identity_is_same(const struct mbox_identity *a,
    const struct mbox_identity *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	    a->mtime == b->mtime && a->ctime == b->ctime;
}
