/*
 * mbox: one file as a maildrop.
 *
 * Runs in agents, as the user whose mail it is; after mbox_enter() it can
 * touch nothing but the file that it has open and ~/.postern.
 *
 * The locks are held while the file is indexed and while it is written, not
 * for the whole of a session: mail comes in meanwhile, and other programs may
 * even rewrite it.  So each fetch looks whether it still is the file that was
 * indexed, if not, whether the message is where it was, and if not, finds it
 * again.
 */
#include <sys/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mbox.h"
#include "state.h"

#define SESSION_LOCK	"pop3.lock"

static void
close_descriptor(int fd)
{
	int saved = errno;

	if (fd != -1)
		close(fd);
	errno = saved;
}

static void
mbox_close(struct mailbox *mb)
{
	int saved = errno;

	if (mb == NULL)
		return;
	while (mb->locks.depth > 0)
		mbox_unlock(mb);
	mbox_index_free(&mb->index);
	close_descriptor(mb->file);
	close_descriptor(mb->reader);
	close_descriptor(mb->session);	/* and so the lock is given up */
	close_descriptor(mb->directory);
	close_descriptor(mb->state);
	free(mb);
	errno = saved;
}

static int
mbox_enter(struct mailbox **mbp, const struct config *config,
    const struct identity *id, int create, int dirs[MAILBOX_DIRS_MAX],
    size_t *count)
{
	struct mailbox *mb = calloc(1, sizeof(*mb));

	*mbp = NULL;
	*count = 0;
	if (mb == NULL)
		return -1;
	mb->state = mb->directory = mb->file = mb->reader = mb->session = -1;
	mb->locks.dotlock.fd = -1;
	if (mbox_place_enter(mb, config, id, create) == -1) {
		mbox_close(mb);		/* keeps errno */
		return -1;
	}
	/* Not the directory of the mbox, which may be the whole home. */
	if (mb->state != -1)
		dirs[(*count)++] = mb->state;
	*mbp = mb;
	return 0;
}

/*
 * One session at a time; EBUSY: another has it.  Where the disk is full or
 * can't be written the lock is the directory's alone, and if there is not even
 * that, then each session looks for itself what became of its messages.
 */
static int
lock_session(struct mailbox *mb)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (mb->state == -1)
		return 0;
	if (flock(mb->state, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK) {
		errno = EBUSY;
		return -1;
	}
	if (mb->session == -1)
		mb->session = state_open(mb->state, SESSION_LOCK,
		    O_RDWR | O_CREAT, mb->uid);
	if (mb->session == -1)
		return errno == ENOSPC || errno == EDQUOT || errno == EROFS ?
		    0 : -1;
	if (fcntl(mb->session, F_OFD_SETLK, &whole) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		errno = EBUSY;
	return -1;
}

static int
mbox_open(struct mailbox *mb)
{
	int r, patience = mb->has_waited ? 0 : MBOX_OPEN_PATIENCE_MS;

	if (lock_session(mb) == -1)
		return -1;
	mb->has_waited = 1;	/* who tries again has waited long enough */
	if (mbox_lock(mb, patience) == -1)
		return -1;
	r = mb->file == -1 ? 0 : mbox_recover(mb);
	if (r == 0)
		r = mbox_index_build(mb);
	mbox_unlock(mb);
	return r;
}

static size_t
mbox_count(const struct mailbox *mb)
{
	return mb->index.count;
}

static const struct mailbox_message *
mbox_message(const struct mailbox *mb, size_t number)
{
	static struct mailbox_message message;

	if (number >= mb->index.count)
		return NULL;
	message.octets = mb->index.entries[number].octets;
	mbox_uidl(&mb->index.entries[number], message.uidl);
	return &message;
}

/* Has anybody changed the file since it was indexed? */
static int
has_changed(struct mailbox *mb)
{
	struct mbox_identity now;

	if (mb->has_changed)
		return 1;
	if (mbox_file_identify(mb, &now) == -1 ||
	    !mbox_identity_is_same(&now, &mb->known))
		mb->has_changed = 1;
	return mb->has_changed;
}

/* Find everything again. */
static int
refresh(struct mailbox *mb)
{
	int r;

	if (mbox_lock(mb, MBOX_OPEN_PATIENCE_MS) == -1)
		return -1;
	r = mb->file == -1 ? 0 : mbox_recover(mb);
	if (r == 0)
		r = mbox_index_refresh(mb);
	mbox_unlock(mb);
	return r;
}

static int
mbox_fetch(struct mailbox *mb, size_t number, int *fd, uint64_t *offset,
    uint64_t *length)
{
	struct mbox_entry *entry;

	*fd = -1;
	if (number >= mb->index.count) {
		errno = EINVAL;
		return -1;
	}
	entry = &mb->index.entries[number];
	if (has_changed(mb) && ((entry->flags & MBOX_GONE) != 0 ||
	    !mbox_entry_is_intact(mb->reader, entry)) && refresh(mb) == -1)
		return -1;
	if (mb->file == -1 || (entry->flags & MBOX_GONE) != 0) {
		errno = ENOENT;
		return -1;
	}
	*fd = fcntl(mb->reader, F_DUPFD_CLOEXEC, 0);
	if (*fd == -1)
		return -1;
	*offset = MBOX_HEADER(entry);
	*length = entry->length;
	return 0;
}

const struct mailbox_ops mbox_ops = {
	.name = "mbox",
	.content = CONTENT_MBOX,
	.enter = mbox_enter,
	.open = mbox_open,
	.count = mbox_count,
	.message = mbox_message,
	.fetch = mbox_fetch,
	.is_older = mbox_is_older,
	.expunge = mbox_expunge,
	.append = mbox_append,
	.settle = mbox_settle,
	.close = mbox_close,
};
