/*
 * mbox_rewrite: octets out of an mbox, so that a crash leaves it old or new.
 *
 * Runs in agents, as the user whose mail it is, with both locks; changes the
 * mbox's file in place, and ~/.postern/expunge.INODE.
 *
 * The file can't be replaced by another: programs have it open, its directory
 * may not be ours, and there may be no room for a second one.  Nothing but
 * octets at its end go: it is cut off, which is one system call.  Otherwise
 * what stays behind the first gap moves towards the beginning, a window at a
 * time.  In both ways ~/.postern is synced before the mbox is changed: a
 * delivery does not sync its tombstone, and where the letter is gone nothing
 * else would say, after a power cut, that it was delivered.
 *
 * 1. The journal is made as large as it will ever be; says what stays; and has
 *    the first window's octets in its first slot.  It is synced, then its
 *    directory.  Until then the mbox is the old one, from now on it will be
 *    the new one.
 * 2. The window is written where it belongs; the mbox is synced.
 * 3. The next window goes to the other slot; the journal is synced.  A slot
 *    that is torn has not been acted on, and the other is then the last one.
 *    Back to 2, which may be done again: it reads nothing from the mbox.
 * 4. When all has moved, a slot says so.  The file is cut off and synced, the
 *    journal removed.
 *
 * What lies behind the windows that were moved is still as it was, since it
 * moves towards the beginning.  So after a crash this goes on where it was,
 * with what foreign programs may have appended meanwhile as one more range to
 * be kept.  If they did anything else to the mbox, the journal is about a file
 * that is no more, and is removed.  That is seen at the ends of ranges, and at
 * what a slot says of all behind its window, to the end of the file: there is
 * always some, as whatever goes has left its room there.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mbox_rewrite.h"
#include "path.h"
#include "state.h"

#define TAIL_SAMPLE	4096

uint8_t rewrite_buffer[JOURNAL_SLOT + JOURNAL_WINDOW_MAX];
uint64_t rewrite_window = JOURNAL_WINDOW_MAX;

/* Hash of at most size octets before the end of [from, end). */
int
rewrite_hash_end(int fd, uint64_t from, uint64_t end, size_t size,
    uint64_t *hash)
{
	uint8_t octets[TAIL_SAMPLE];

	if (end - from < size)
		size = (size_t)(end - from);
	if (io_pread(fd, octets, size, end - size) == -1)
		return -1;
	*hash = journal_hash(*hash, octets, size);
	return 0;
}

/* Of what is cut off: its beginning and its end. */
int
rewrite_hash_tail(int fd, uint64_t from, uint64_t end, uint64_t *hash)
{
	uint64_t first = end - from < TAIL_SAMPLE ? end : from + TAIL_SAMPLE;

	*hash = JOURNAL_HASH_START;
	if (rewrite_hash_end(fd, from, first, TAIL_SAMPLE, hash) == -1)
		return -1;
	return rewrite_hash_end(fd, from, end, TAIL_SAMPLE, hash);
}

static int
file_size(const struct mailbox *mb, uint64_t *size)
{
	struct stat st;

	if (fstat(mb->file, &st) == -1)
		return -1;
	*size = (uint64_t)st.st_size;
	return 0;
}

/* What is kept in all, when the mbox has this size by now. */
static uint64_t
total_of(const struct journal *j, uint64_t size)
{
	return j->kept + (size - j->size);
}

/* Fill the window with the kept octets from pos on. */
static int
read_window(struct rewrite *rw, uint64_t pos, size_t len)
{
	const struct journal *j = &rw->journal;
	uint64_t skip = pos, piece;
	uint8_t *p = REWRITE_WINDOW;
	uint32_t i;

	for (i = 0; i < j->count && len > 0; i++) {
		const struct journal_range *r = &j->ranges[i];

		if (skip >= r->length) {
			skip -= r->length;
			continue;
		}
		piece = r->length - skip < len ? r->length - skip : len;
		if (io_pread(rw->mb->file, p, (size_t)piece,
		    r->offset + skip) == -1)
			return -1;
		p += piece;
		len -= (size_t)piece;
		skip = 0;
	}
	/* Behind the ranges: what was appended since. */
	return io_pread(rw->mb->file, p, len, j->size + skip);
}

/* Read a slot's window, and what is behind the place that it is meant for. */
static int
prepare_slot(struct rewrite *rw, struct journal_slot *slot)
{
	if (read_window(rw, slot->pos, (size_t)slot->length) == -1)
		return -1;
	return rewrite_hash_tail(rw->mb->file,
	    rw->journal.begin + slot->pos + slot->length, slot->size,
	    &slot->tail);
}

/* Put a slot, and the window that it is about, to disk. */
static int
write_slot(struct rewrite *rw, const struct journal_slot *slot)
{
	journal_slot_put(&rw->journal, slot, REWRITE_WINDOW,
	    rewrite_buffer);
	if (io_pwrite(rw->fd, rewrite_buffer,
	    JOURNAL_SLOT + (size_t)slot->length,
	    journal_slot_at(&rw->journal, slot->number)) == -1 ||
	    fsync(rw->fd) == -1)
		return -1;
	rw->slot = *slot;
	return 0;
}

/* Step 3, and the first of step 4. */
int
rewrite_next_slot(struct rewrite *rw)
{
	const struct journal *j = &rw->journal;
	struct journal_slot slot = {
		.number = rw->slot.number + 1,
		.pos = rw->slot.pos + rw->slot.length,
	};
	uint64_t size, left;

	if (file_size(rw->mb, &size) == -1)
		return -1;
	if (size < j->size) {
		errno = ESTALE;
		return -1;
	}
	left = total_of(j, size);
	if (left < slot.pos) {
		errno = ESTALE;
		return -1;
	}
	left -= slot.pos;
	slot.length = left < j->window ? left : j->window;
	slot.size = size;
	return prepare_slot(rw, &slot) == -1 ? -1 : write_slot(rw, &slot);
}

static int
cut_off(struct mailbox *mb, uint64_t size)
{
	int r;

	do
		r = ftruncate(mb->file, (off_t)size);
	while (r == -1 && errno == EINTR);
	return r == -1 ? -1 : fsync(mb->file);
}

/* All that goes is at the end.  Nobody's mail goes with it who took no lock. */
static int
cut_tail(struct mailbox *mb, const struct journal *j)
{
	uint64_t size;

	if ((mb->state != -1 && path_sync(mb->state) == -1) ||
	    file_size(mb, &size) == -1)
		return -1;
	if (size != j->size) {
		errno = ESTALE;
		return -1;
	}
	return cut_off(mb, j->begin);
}

void
rewrite_remove_journal(const struct rewrite *rw)
{
	int saved = errno;

	/* Should it come back, it will be seen to be done. */
	(void)unlinkat(rw->mb->state, rw->name, 0);
	errno = saved;
}

/* Step 2. */
static int
write_window(struct rewrite *rw)
{
	if (io_pwrite(rw->mb->file, REWRITE_WINDOW, (size_t)rw->slot.length,
	    rw->journal.begin + rw->slot.pos) == -1)
		return -1;
	return fsync(rw->mb->file);
}

/* Steps 2 to 4, from the slot that is on disk, its window in memory. */
int
rewrite_run(struct rewrite *rw)
{
	const struct journal *j = &rw->journal;
	uint64_t size;

	if (file_size(rw->mb, &size) == -1)
		return -1;
	/* Once more for what came meanwhile from somebody without a lock. */
	while (rw->slot.length > 0 || size > rw->slot.size) {
		mbox_lock_touch(rw->mb);
		if ((rw->slot.length > 0 && write_window(rw) == -1) ||
		    rewrite_next_slot(rw) == -1 ||
		    file_size(rw->mb, &size) == -1)
			return -1;
	}
	if (cut_off(rw->mb, j->begin + rw->slot.pos) == -1)
		return -1;
	rewrite_remove_journal(rw);
	return 0;
}

/* What stays between and behind the gaps. */
static int
make_ranges(struct rewrite *rw, const struct mbox_gap *gaps, size_t count)
{
	struct journal *j = &rw->journal;
	uint64_t end, next;
	size_t i;

	if (count > JOURNAL_RANGES_MAX) {
		errno = EFBIG;
		return -1;
	}
	j->ranges = calloc(count, sizeof(*j->ranges));
	if (j->ranges == NULL)
		return -1;
	j->begin = gaps[0].offset;
	for (i = 0; i < count; i++) {
		struct journal_range *r = &j->ranges[j->count];

		end = gaps[i].offset + gaps[i].length;
		next = i + 1 < count ? gaps[i + 1].offset : j->size;
		if (end == next)
			continue;
		r->offset = end;
		r->length = next - end;
		r->sample = JOURNAL_HASH_START;
		if (rewrite_hash_end(rw->mb->file, end, next, JOURNAL_SAMPLE,
		    &r->sample) == -1)
			return -1;
		j->kept += r->length;
		j->count++;
	}
	return 0;
}

static int
fill_file(int fd, uint64_t size)
{
	static const uint8_t nothing[4096];
	uint64_t at;
	size_t piece;

	for (at = 0; at < size; at += piece) {
		piece = size - at < sizeof(nothing) ? (size_t)(size - at) :
		    sizeof(nothing);
		if (io_pwrite(fd, nothing, piece, at) == -1)
			return -1;
	}
	return 0;
}

/* Room for all that it will hold: later there must be no lack of it. */
static int
reserve(struct rewrite *rw)
{
	struct journal *j = &rw->journal;
	uint64_t size;
	int r;

	j->window = rewrite_window;
	while (j->window / 2 >= j->kept && j->window > JOURNAL_WINDOW_MIN)
		j->window /= 2;
	for (;;) {
		size = journal_slot_at(j, 1) + JOURNAL_SLOT + j->window;
		r = fallocate(rw->fd, 0, 0, (off_t)size);
		if (r == -1 && (errno == EOPNOTSUPP || errno == ENOSYS))
			r = fill_file(rw->fd, size);
		if (r == 0)
			return 0;
		if ((errno != ENOSPC && errno != EDQUOT && errno != EFBIG) ||
		    j->window == JOURNAL_WINDOW_MIN)
			return -1;
		/* Whoever is short of room must be able to delete mail. */
		j->window /= 2;
		if (ftruncate(rw->fd, 0) == -1)
			return -1;
	}
}

/* Step 1. */
static int
begin(struct rewrite *rw)
{
	struct journal *j = &rw->journal;
	struct journal_slot slot = { .number = 1, .size = j->size };
	size_t size = journal_head_size(j->count);
	uint8_t *head = malloc(size);
	int r;

	if (head == NULL)
		return -1;
	r = reserve(rw);
	if (r == 0) {
		journal_put(j, head);
		r = io_pwrite(rw->fd, head, size, 0);
	}
	free(head);
	if (r == -1)
		return -1;
	slot.length = j->kept < j->window ? j->kept : j->window;
	if (prepare_slot(rw, &slot) == -1 || write_slot(rw, &slot) == -1)
		return -1;
	return path_sync(rw->mb->state);
}

int
rewrite_name(struct rewrite *rw)
{
	struct stat st;

	if (fstat(rw->mb->file, &st) == -1)
		return -1;
	rw->journal.ino = st.st_ino;
	rw->journal.size = (uint64_t)st.st_size;
	snprintf(rw->name, sizeof(rw->name), "expunge.%" PRIx64,
	    (uint64_t)st.st_ino);
	return 0;
}

void
rewrite_finish(struct rewrite *rw)
{
	int saved = errno;

	if (rw->fd != -1)
		close(rw->fd);
	free(rw->journal.ranges);
	errno = saved;
}

int
mbox_rewrite(struct mailbox *mb, uint64_t size, const struct mbox_gap *gaps,
    size_t count)
{
	struct rewrite rw = { .mb = mb, .fd = -1 };
	int r;

	if (count == 0)
		return 0;
	if (rewrite_name(&rw) == -1)
		return -1;
	if (rw.journal.size != size) {
		errno = ESTALE;
		return -1;
	}
	r = make_ranges(&rw, gaps, count);
	if (r == 0 && rw.journal.count == 0)
		r = cut_tail(mb, &rw.journal);
	else if (r == 0) {
		rw.fd = state_open(mb->state, rw.name,
		    O_RDWR | O_CREAT | O_TRUNC, mb->uid);
		if (rw.fd == -1)
			r = -1;
		else if ((r = begin(&rw)) == -1)
			rewrite_remove_journal(&rw);	/* all as it was */
		else
			r = rewrite_run(&rw);
	}
	rewrite_finish(&rw);
	return r;
}
