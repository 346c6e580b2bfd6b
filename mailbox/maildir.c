/*
 * maildir: a user's Maildir as a maildrop.
 *
 * Runs in agents, as the user whose mail it is, and can touch nothing but
 * what that user can; after maildir_enter() nothing but what is below the
 * Maildir.
 *
 * A message may have several links: backups and other servers' copies
 * make them, and reading or unlinking our name of it harms none of them.
 */
#include <sys/file.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "maildir.h"
#include "path.h"

#define LOCK_NAME	"postern.lock"
#define RENAMES_MAX	20	/* in a row, each just before we use the name */

static const char *const folder_names[MAILDIR_FOLDERS] = {
	[MAILDIR_NEW] = "new",
	[MAILDIR_CUR] = "cur",
	[MAILDIR_TMP] = "tmp",
};

static void
close_keep_errno(int fd)
{
	int saved = errno;

	if (fd != -1)
		close(fd);
	errno = saved;
}

static int
open_folders(struct mailbox *mb, int create)
{
	int fd, i;

	for (i = 0; i < MAILDIR_FOLDERS; i++) {
		fd = path_open(mb->maildir, folder_names[i], O_RDONLY,
		    create);
		/* For a reader a folder that is not there is empty. */
		if (fd == -1 && errno == ENOENT && !create)
			continue;
		if (fd == -1)
			return -1;
		mb->folder[i] = fd;
		if (path_check(fd, mb->uid, 1) == -1)
			return -1;
	}
	return 0;
}

/*
 * The file that the session's lock is on.  It is opened here, since a
 * confined reader may not create; it stays when the session ends, since a
 * lock on a file that is removed excludes nobody.
 *
 * Who is over quota, or whose disk is full, must get at the mail to remove
 * some of it: without the file the lock is the directory's alone.
 */
static int
open_lock(struct mailbox *mb)
{
	struct stat st;

	mb->lock = openat(mb->maildir, LOCK_NAME, O_RDWR | O_CREAT |
	    O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (mb->lock == -1 && (errno == ENOSPC || errno == EDQUOT ||
	    errno == EROFS))
		return 0;
	if (mb->lock == -1 || fstat(mb->lock, &st) == -1)
		return -1;
	if (!S_ISREG(st.st_mode) || st.st_uid != mb->uid || st.st_nlink != 1) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

static void
maildir_close(struct mailbox *mb)
{
	int i;

	if (mb == NULL)
		return;
	maildir_index_free(&mb->index);
	free(mb->delivered.hashes);
	for (i = 0; i < MAILDIR_FOLDERS; i++)
		close_keep_errno(mb->folder[i]);
	close_keep_errno(mb->lock);	/* and so the lock is given up */
	close_keep_errno(mb->maildir);
	free(mb);
}

static struct mailbox *
mailbox_new(const struct config *config, const struct identity *id)
{
	struct mailbox *mb = calloc(1, sizeof(*mb));
	int i;

	if (mb == NULL)
		return NULL;
	mb->uid = id->uid;
	strlcpy(mb->hostname, config->hostname, sizeof(mb->hostname));
	mb->maildir = mb->lock = -1;
	for (i = 0; i < MAILDIR_FOLDERS; i++)
		mb->folder[i] = -1;
	return mb;
}

static int
maildir_enter(struct mailbox **mbp, const struct config *config,
    const struct identity *id, int create, int dirs[MAILBOX_DIRS_MAX],
    size_t *count)
{
	struct mailbox *mb;
	int is_absent;

	*mbp = NULL;
	*count = 0;
	mb = mailbox_new(config, id);
	if (mb == NULL)
		return -1;
	mb->maildir = path_directory(config->mailbox_path, id, create,
	    &is_absent);
	if (mb->maildir == -1 && is_absent && !create) {
		*mbp = mb;
		return 0;
	}
	if (mb->maildir == -1 || open_folders(mb, create) == -1 ||
	    (!create && open_lock(mb) == -1)) {
		maildir_close(mb);	/* keeps errno */
		return -1;
	}
	dirs[(*count)++] = mb->maildir;
	*mbp = mb;
	return 0;
}

/*
 * Both locks are of the open file: closing another descriptor of it does not
 * drop them.  Some network file systems have none for directories.
 */
static int
lock_session(struct mailbox *mb)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (flock(mb->maildir, LOCK_EX | LOCK_NB) == -1 &&
	    (errno == EWOULDBLOCK || mb->lock == -1))
		return -1;
	if (mb->lock == -1)
		return 0;
	return fcntl(mb->lock, F_OFD_SETLK, &whole);
}

static int
maildir_open(struct mailbox *mb)
{
	if (mb->maildir == -1)
		return 0;
	if (lock_session(mb) == -1) {
		if (errno == EAGAIN || errno == EACCES)
			errno = EBUSY;
		return -1;
	}
	return maildir_index_build(mb);
}

static size_t
maildir_count(const struct mailbox *mb)
{
	return mb->index.count;
}

static const struct mailbox_message *
maildir_message(const struct mailbox *mb, size_t number)
{
	static struct mailbox_message message;
	const struct maildir_entry *entry;

	if (number >= mb->index.count)
		return NULL;
	entry = &mb->index.entries[number];
	message.octets = entry->octets;
	maildir_name_uidl(entry->name, entry->unique_len, entry->base_len,
	    (entry->flags & ENTRY_TWIN) != 0, message.uidl);
	return &message;
}

int
maildir_entry_open(struct mailbox *mb, struct maildir_entry *entry,
    struct stat *st)
{
	int fd, tries;

	for (tries = 0; ; tries++) {
		/* Not blocking: somebody may have put a FIFO there. */
		fd = openat(mb->folder[entry->folder], entry->name, O_RDONLY |
		    O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd != -1)
			break;
		if (errno == ELOOP || errno == ENXIO) {
			errno = ESTALE;
			return -1;
		}
		/* Gone is remembered: not looked for at every try. */
		if (errno != ENOENT || (entry->flags & ENTRY_GONE) != 0)
			return -1;
		if (tries == RENAMES_MAX) {
			errno = EAGAIN;
			return -1;
		}
		if (maildir_index_refresh(mb, entry) == -1)
			return -1;
	}
	if (fstat(fd, st) == -1) {
		close_keep_errno(fd);
		return -1;
	}
	if (!S_ISREG(st->st_mode) || st->st_uid != mb->uid) {
		close(fd);
		errno = ESTALE;
		return -1;
	}
	return fd;
}

/* Is this still the file whose octets were listed? */
static int
is_as_indexed(const struct maildir_entry *entry, const struct stat *st)
{
	uint64_t size = (uint64_t)st->st_size;

	if (entry->size != MAILDIR_UNSAID && entry->size != size)
		return 0;
	if ((entry->flags & ENTRY_COUNTED) != 0)
		return entry->mtime == maildir_mtime(st);
	return maildir_is_plausible(size, entry->octets);
}

static int
maildir_fetch(struct mailbox *mb, size_t number, int *fd, uint64_t *offset,
    uint64_t *length)
{
	struct maildir_entry *entry;
	struct stat st;

	if (number >= mb->index.count) {
		errno = EINVAL;
		return -1;
	}
	entry = &mb->index.entries[number];
	*fd = maildir_entry_open(mb, entry, &st);
	if (*fd == -1)
		return -1;
	if (!is_as_indexed(entry, &st)) {
		close(*fd);
		*fd = -1;
		if ((entry->flags & ENTRY_COUNTED) == 0)
			maildir_entry_correct(mb, entry);
		errno = ESTALE;
		return -1;
	}
	*offset = 0;
	*length = (uint64_t)st.st_size;
	return 0;
}

/*
 * Its name says when, and so does its file: a copy keeps the name.  Only what
 * both say is old is.
 */
static int
maildir_is_older(struct mailbox *mb, size_t number, time_t than)
{
	const struct maildir_entry *entry = &mb->index.entries[number];
	struct stat st;

	if (than <= 0 || entry->seconds == 0 ||
	    entry->seconds >= (uint64_t)than ||
	    (entry->flags & ENTRY_GONE) != 0)
		return 0;
	return fstatat(mb->folder[entry->folder], entry->name, &st,
	    AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	    st.st_mtime < than;
}

/* One pass of removal over what is marked and still there; what is left. */
static size_t
expunge_pass(struct mailbox *mb, const uint8_t *bitmap, int *changed,
    size_t *missed, int *error)
{
	struct maildir_entry *entry;
	size_t i, failed = 0;

	*missed = 0;
	for (i = 0; i < mb->index.count; i++) {
		entry = &mb->index.entries[i];
		if ((bitmap[i / 8] & (1U << (i % 8))) == 0 ||
		    (entry->flags & ENTRY_GONE) != 0)
			continue;
		if (unlinkat(mb->folder[entry->folder], entry->name, 0) == 0) {
			changed[entry->folder] = 1;
			entry->flags |= ENTRY_GONE;
		} else if (errno == ENOENT) {
			(*missed)++;
		} else {
			*error = errno;
			failed++;
		}
	}
	return failed;
}

/*
 * Remove what is marked, under whatever name it has by then: 0, or the error
 * for what is left.  Gone is as good as removed.
 */
static int
expunge_all(struct mailbox *mb, const uint8_t *bitmap, int *changed,
    size_t *failed)
{
	size_t missed;
	int error, tries;

	for (tries = 0; ; tries++) {
		error = 0;
		*failed = expunge_pass(mb, bitmap, changed, &missed, &error);
		if (missed == 0)
			return error;
		if (tries == RENAMES_MAX)
			error = EAGAIN;
		else if (maildir_index_refresh(mb, NULL) == -1)
			error = errno;
		else
			continue;
		*failed += missed;
		return error;
	}
}

static int
maildir_expunge(struct mailbox *mb, const uint8_t *bitmap, size_t *failed)
{
	int changed[MAILDIR_FOLDERS] = { 0 }, error, i;

	error = expunge_all(mb, bitmap, changed, failed);
	for (i = 0; i < MAILDIR_FOLDERS; i++)
		if (changed[i] && path_sync(mb->folder[i]) == -1)
			error = errno;
	if (error != 0) {
		errno = error;
		return -1;
	}
	return 0;
}

const struct mailbox_ops maildir_ops = {
	.name = "maildir",
	.enter = maildir_enter,
	.open = maildir_open,
	.count = maildir_count,
	.message = maildir_message,
	.fetch = maildir_fetch,
	.recount = maildir_recount,
	.is_older = maildir_is_older,
	.expunge = maildir_expunge,
	.append = maildir_append,
	.settle = maildir_settle,
	.close = maildir_close,
};
