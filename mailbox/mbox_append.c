/*
 * mbox_append: the delivery of a letter to an mbox, on disk and once.
 *
 * Runs in agents, as the recipient; changes the mbox's file, and makes,
 * renames and removes files in ~/.postern.
 *
 * A delivery is named by its queue id, so whoever tries it again finds what an
 * earlier try left:
 *
 *	B  begun.ID	where it began, how long it is, a hash of it
 *	D  done.ID	the tombstone: it was delivered
 *
 * 1. B is written and synced, and its directory.
 * 2. The last octet of the letter, a line end, is written where it will be.  So
 *    from here on the place of the letter in the file is known, and nobody who
 *    appends behind a torn one can be taken for a part of it.
 * 3. The rest is written, from its beginning; the mbox is synced.
 * 4. B is renamed to D.  This need not be on disk before the letter has gone
 *    again, and whoever removes it sees to that (mbox_rewrite.c).
 * 5. settle() removes D, after the queue has put the outcome on record.
 *
 * All but 5 happens under the mbox's locks, and whoever has them next looks
 * for a B first (mbox_undo.c).  The place that B means holds
 *
 *	nothing (the file ends where it began)	B is removed
 *	the letter, by its hash			B is renamed to D
 *	its beginning, and NULs not written	it is taken out, B is removed
 *	anything else				B is removed
 *
 * The last can only be when the power failed or we were killed in 2 to 4, and
 * a program that knows nothing of this changed the mbox before us.  The letter
 * is then delivered again: rather twice than not at all.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mbox_append.h"
#include "mbox_letter.h"
#include "mbox_rewrite.h"
#include "path.h"
#include "state.h"

#define HEAD_MAX	(16 * 1024)
#define SWEEP_EVERY	256	/* deliveries, about */
#define GROWN_MAX	5	/* times in a row, each just then */

int
append_names(const char *id, struct append_names *names)
{
	size_t len = strlen(id), i;

	errno = EINVAL;
	if (len == 0 || len > APPEND_ID_MAX)
		return -1;
	for (i = 0; i < len; i++)
		if (!isascii((unsigned char)id[i]) ||
		    !isalnum((unsigned char)id[i]))
			return -1;
	snprintf(names->begun, sizeof(names->begun), APPEND_BEGUN "%s", id);
	snprintf(names->done, sizeof(names->done), APPEND_DONE "%s", id);
	return 0;
}

/* Was it delivered?  1, 0 or -1. */
static int
is_done(const struct mailbox *mb, const struct append_names *names)
{
	struct stat st;

	if (fstatat(mb->state, names->done, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : -1;
}

/* LFs to be added, so that the last message ends with an empty line. */
static int
count_newlines(int fd, uint64_t size, unsigned *newlines)
{
	char end[3] = { '\n', '\n', '\n' };
	size_t len = size < 3 ? (size_t)size : 3;

	if (io_pread(fd, end + 3 - len, len, size - len) == -1)
		return -1;
	if (end[2] != '\n')
		*newlines = 2;
	else	/* an empty line may be CR LF */
		*newlines = end[1] != '\n' &&
		    (end[1] != '\r' || end[0] != '\n');
	return 0;
}

static int
measure(void *arg, const void *data, size_t len)
{
	struct intent *in = arg;
	size_t room = sizeof(in->prefix) - in->prefix_len;

	if (room > len)
		room = len;
	memcpy(in->prefix + in->prefix_len, data, room);
	in->prefix_len += (uint32_t)room;
	in->length += len;
	in->hash = journal_hash(in->hash, data, len);
	in->has_nul |= memchr(data, '\0', len) != NULL;
	return 0;
}

/* Step 1. */
static int
write_intent(const struct mailbox *mb, const struct append_names *names,
    const struct intent *in)
{
	uint8_t data[INTENT_SIZE];
	int fd, r, saved;

	intent_put(in, data);
	fd = state_open(mb->state, names->begun, O_WRONLY | O_CREAT | O_EXCL,
	    mb->uid);
	if (fd == -1)
		return -1;
	r = io_pwrite(fd, data, sizeof(data), 0);
	if (r == 0)
		r = fsync(fd);
	saved = errno;
	if (close(fd) == -1 && r == 0) {
		saved = errno;
		r = -1;
	}
	errno = saved;
	if (r == 0)
		r = path_sync(mb->state);
	return r;
}

struct writer {
	int		 fd;
	uint64_t	 at;
	size_t		 used;
	uint8_t		 buffer[256 * 1024];
};

static int
flush(struct writer *w)
{
	if (io_pwrite(w->fd, w->buffer, w->used, w->at) == -1)
		return -1;
	w->at += w->used;
	w->used = 0;
	return 0;
}

static int
write_more(void *arg, const void *data, size_t len)
{
	struct writer *w = arg;
	const uint8_t *p = data;
	size_t piece;

	for (; len > 0; p += piece, len -= piece) {
		piece = sizeof(w->buffer) - w->used;
		if (piece > len)
			piece = len;
		memcpy(w->buffer + w->used, p, piece);
		w->used += piece;
		if (w->used == sizeof(w->buffer) && flush(w) == -1)
			return -1;
	}
	return 0;
}

/* Steps 2 and 3. */
static int
write_letter(struct mailbox *mb, const struct mailbox_letter *letter,
    unsigned newlines, const struct intent *in)
{
	static struct writer w;

	if (io_pwrite(mb->file, "\n", 1, in->start + in->length - 1) == -1)
		return -1;
	w.fd = mb->file;
	w.at = in->start;
	w.used = 0;
	if (mbox_letter_print(letter, newlines, write_more, &w) == -1 ||
	    flush(&w) == -1)
		return -1;
	return fsync(mb->file);
}

/* Take back what was written; what can't be is taken back by the next. */
static void
undo(struct mailbox *mb, const struct append_names *names,
    const struct intent *in)
{
	struct stat st;
	int saved = errno;

	if (fstat(mb->file, &st) == 0 &&
	    (uint64_t)st.st_size <= in->start + in->length &&
	    ((uint64_t)st.st_size <= in->start ||
	    (ftruncate(mb->file, (off_t)in->start) == 0 &&
	    fsync(mb->file) == 0)))
		(void)unlinkat(mb->state, names->begun, 0);
	errno = saved;
}

/* Where it is to be, and what: all that the intent says. */
static int
plan(const struct mailbox *mb, const struct mailbox_letter *letter,
    unsigned *newlines, struct intent *in)
{
	struct stat st;

	memset(in, 0, sizeof(*in));
	in->hash = JOURNAL_HASH_START;
	if (fstat(mb->file, &st) == -1)
		return -1;
	in->ino = st.st_ino;
	in->start = (uint64_t)st.st_size;
	if (count_newlines(mb->file, in->start, newlines) == -1)
		return -1;
	return mbox_letter_print(letter, *newlines, measure, in);
}

/* Has somebody who takes no lock appended since?  1, 0 or -1. */
static int
has_grown(const struct mailbox *mb, const struct intent *in)
{
	struct stat st;

	if (fstat(mb->file, &st) == -1)
		return -1;
	return (uint64_t)st.st_size != in->start;
}

static int
deliver(struct mailbox *mb, const struct mailbox_letter *letter,
    const struct append_names *names)
{
	struct intent in;
	unsigned newlines;
	int r, tries = 0;

	do {
		if (tries++ == GROWN_MAX) {
			errno = EBUSY;
			return -1;
		}
		if (plan(mb, letter, &newlines, &in) == -1)
			return -1;
		r = write_intent(mb, names, &in);
		/* That took a while, and we would write over it. */
		if (r == 0 && (r = has_grown(mb, &in)) == 1)
			(void)unlinkat(mb->state, names->begun, 0);
	} while (r == 1);
	if (r == -1 || write_letter(mb, letter, newlines, &in) == -1) {
		undo(mb, names, &in);
		return -1;
	}
	return renameat(mb->state, names->begun, mb->state, names->done);
}

static int
append_locked(struct mailbox *mb, const struct mailbox_letter *letter,
    const struct append_names *names)
{
	int r;

	if (mbox_recover(mb) == -1)
		return -1;
	/* Only now: another's try may just have been found to be complete. */
	r = is_done(mb, names);
	if (r != 0)
		return r == 1 ? 0 : -1;
	return deliver(mb, letter, names);
}

int
mbox_append(struct mailbox *mb, const struct mailbox_letter *letter)
{
	struct append_names names;
	int r;

	if (append_names(letter->queue_id, &names) == -1)
		return -1;
	if (letter->head_len > HEAD_MAX || letter->length > INT64_MAX / 4 ||
	    letter->offset > INT64_MAX / 4) {
		errno = EINVAL;
		return -1;
	}
	r = is_done(mb, &names);
	if (r != 0)
		return r == 1 ? 0 : -1;
	if (mbox_lock(mb, MBOX_DELIVERY_PATIENCE_MS) == -1)
		return -1;
	r = append_locked(mb, letter, &names);
	mbox_unlock(mb);		/* keeps errno */
	if (r == 0 && arc4random_uniform(SWEEP_EVERY) == 0)
		append_sweep(mb, time(NULL));
	return r;
}

int
mbox_settle(struct mailbox *mb, const char *queue_id)
{
	struct append_names names;

	if (append_names(queue_id, &names) == -1)
		return -1;
	/* Not synced: a tombstone that comes back is removed by a sweep. */
	if (unlinkat(mb->state, names.done, 0) == 0 || errno == ENOENT)
		return 0;
	return -1;
}
