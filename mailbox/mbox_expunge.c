/*
 * mbox_expunge: remove messages from an mbox.
 *
 * Runs in agents, as the user whose maildrop it is; changes the mbox's file
 * and ~/.postern.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mbox_rewrite.h"

static int
is_marked(const struct mailbox *mb, const uint8_t *bitmap, size_t i)
{
	return (bitmap[i / 8] & (1U << (i % 8))) != 0 &&
	    (mb->index.entries[i].flags & MBOX_GONE) == 0;
}

static size_t
count_marked(const struct mailbox *mb, const uint8_t *bitmap)
{
	size_t i, n = 0;

	for (i = 0; i < mb->index.count; i++)
		n += (size_t)is_marked(mb, bitmap, i);
	return n;
}

static int
by_offset(const void *left, const void *right)
{
	const struct mbox_gap *a = left, *b = right;

	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* The space of all that is marked, rising, neighbours joined; their number. */
static size_t
make_gaps(const struct mailbox *mb, const uint8_t *bitmap,
    struct mbox_gap *gaps)
{
	size_t i, n = 0, joined = 0;

	for (i = 0; i < mb->index.count; i++)
		if (is_marked(mb, bitmap, i)) {
			gaps[n].offset = mb->index.entries[i].from;
			gaps[n++].length = mb->index.entries[i].space;
		}
	if (n > 0)
		qsort(gaps, n, sizeof(*gaps), by_offset);
	for (i = 1; i < n; i++)
		if (gaps[joined].offset + gaps[joined].length ==
		    gaps[i].offset)
			gaps[joined].length += gaps[i].length;
		else
			gaps[++joined] = gaps[i];
	return n == 0 ? 0 : joined + 1;
}

/* Octets that went before this offset; gaps[i].length is summed up by now. */
static uint64_t
moved_by(const struct mbox_gap *gaps, size_t count, uint64_t offset)
{
	size_t low = 0, high = count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (gaps[middle].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? 0 : gaps[low - 1].length;
}

/* What is removed is gone, and what is behind it has moved. */
static void
correct_index(struct mailbox *mb, const uint8_t *bitmap,
    struct mbox_gap *gaps, size_t count)
{
	size_t i;

	for (i = 1; i < count; i++)
		gaps[i].length += gaps[i - 1].length;
	for (i = 0; i < mb->index.count; i++) {
		struct mbox_entry *entry = &mb->index.entries[i];

		if (is_marked(mb, bitmap, i))
			entry->flags |= MBOX_GONE;
		else
			entry->from -= moved_by(gaps, count, entry->from);
	}
}

static int
remove_marked(struct mailbox *mb, const uint8_t *bitmap, size_t marked)
{
	struct mbox_gap *gaps = calloc(marked, sizeof(*gaps));
	size_t count;
	int r;

	if (gaps == NULL)
		return -1;
	count = make_gaps(mb, bitmap, gaps);
	r = mbox_twins_remove(mb, bitmap);
	if (r == 0)
		r = mbox_rewrite(mb, mb->known.size, gaps, count);
	if (r == 0) {
		correct_index(mb, bitmap, gaps, count);
		r = mbox_index_settle(mb);
	}
	free(gaps);			/* keeps errno */
	return r;
}

static int
expunge_locked(struct mailbox *mb, const uint8_t *bitmap, size_t *failed)
{
	if (mb->file == -1) {		/* others have removed it all */
		*failed = 0;
		return 0;
	}
	if (mbox_recover(mb) == -1 || mbox_index_refresh(mb) == -1)
		return -1;
	*failed = count_marked(mb, bitmap);
	if (*failed == 0)
		return 0;
	if (remove_marked(mb, bitmap, *failed) == -1)
		return -1;
	*failed = 0;
	return 0;
}

int
mbox_expunge(struct mailbox *mb, const uint8_t *bitmap, size_t *failed)
{
	int r;

	*failed = count_marked(mb, bitmap);
	if (*failed == 0)
		return 0;
	if (mb->is_read_only) {
		errno = EROFS;
		return -1;
	}
	if (mbox_lock(mb, MBOX_DELIVERY_PATIENCE_MS) == -1)
		return -1;
	r = expunge_locked(mb, bitmap, failed);
	mbox_unlock(mb);		/* keeps errno */
	return r;
}
