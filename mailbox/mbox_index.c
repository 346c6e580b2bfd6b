/*
 * mbox_index: the messages of an mbox in this session, and where they are when
 * another program has changed the file.
 *
 * Runs in agents, as the user whose mail it is; reads the mbox, and by way of
 * mbox_uidl.c reads and writes ~/.postern.
 *
 * Message numbers and UIDLs stay as they were when the session began.  A file
 * that changed is read again as a whole, and its messages are matched by hash
 * and ordinal, so it does not matter how it changed.
 *
 * The index of a large mbox is remembered for the next session, which reads
 * only what came since.  Then the file is treated as one that has changed: a
 * message is hashed before it is given away, and all is read before anything
 * is removed.  So a wrong memory gives wrong sizes or names at worst, till the
 * first message that is not where it should be: then all is read again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mbox_cache.h"

#define TOUCH_EVERY	1024	/* messages: none takes long alone */
/* So many octets are read faster than they are remembered. */
#define WORTH_MIN	(1024 * 1024)
#define WORTH_PART	64	/* or that part of the mbox */

struct reading {
	struct mailbox		*mb;
	struct mbox_index	*index;
};

static int
index_add(void *arg, const struct mbox_entry *entry)
{
	const struct reading *reading = arg;
	struct mbox_index *index = reading->index;
	struct mbox_entry *entries;
	size_t room;

	if (index->count % TOUCH_EVERY == 0)
		mbox_lock_touch(reading->mb);
	if (index->count == index->room) {
		room = index->room == 0 ? 256 : index->room + index->room / 2;
		entries = reallocarray(index->entries, room,
		    sizeof(*entries));
		if (entries == NULL)
			return -1;
		index->entries = entries;
		index->room = room;
	}
	index->entries[index->count++] = *entry;
	return 0;
}

void
mbox_index_free(struct mbox_index *index)
{
	free(index->entries);
	memset(index, 0, sizeof(*index));
}

/* Add what is in the file from there on, where a message or it begins. */
static int
read_on(struct mailbox *mb, struct mbox_index *index, uint64_t from,
    uint64_t size, uint64_t *first)
{
	struct reading reading = { mb, index };

	return mbox_scan(mb->file, from, size, first, index_add, &reading);
}

/* Read the whole file.  What it was is noted first, so no change is missed. */
static int
index_read(struct mailbox *mb, struct mbox_index *index)
{
	struct mbox_identity identity;

	memset(index, 0, sizeof(*index));
	if (mb->file == -1)
		return 0;
	if (mbox_file_identify(mb, &identity) == -1 || read_on(mb, index, 0,
	    identity.size, &mb->first) == -1 ||
	    mbox_twins_number(mb, index) == -1) {
		mbox_index_free(index);
		return -1;
	}
	mb->known = identity;
	return 0;
}

/* The last message that is known may have grown, but must be there. */
static int
read_news(struct mailbox *mb, uint64_t size)
{
	struct mbox_index *index = &mb->index;
	size_t i = --index->count;
	struct mbox_entry last = index->entries[i];
	uint64_t first;

	return read_on(mb, index, last.from, size, &first) == 0 &&
	    index->count > i &&
	    memcmp(index->entries[i].hash, last.hash, MBOX_HASH_SIZE) == 0 ?
	    0 : -1;
}

static int
is_worth(uint64_t octets, uint64_t size)
{
	return octets >= WORTH_MIN && octets >= size / WORTH_PART;
}

/* Take another session's index; -1: there is none that is good. */
static int
index_recall(struct mailbox *mb)
{
	struct mbox_identity now;
	uint64_t known;
	int is_same;

	if (mb->file == -1 || mbox_file_identify(mb, &now) == -1 ||
	    !is_worth(now.size, now.size) || mbox_cache_load(mb, &now,
	    &mb->index, &mb->first, &known, &is_same) == -1)
		return -1;
	if ((!is_same && read_news(mb, now.size) == -1) ||
	    mbox_twins_number(mb, &mb->index) == -1) {
		mbox_index_free(&mb->index);
		return -1;
	}
	mb->known = now;
	mb->is_remembered = mb->has_changed = 1;
	if (is_worth(now.size - known, now.size))
		mbox_cache_store(mb);
	return 0;
}

int
mbox_index_build(struct mailbox *mb)
{
	mbox_index_free(&mb->index);
	mb->has_changed = mb->is_remembered = 0;
	if (index_recall(mb) == 0)
		return 0;
	if (index_read(mb, &mb->index) == -1)
		return -1;
	if (mb->file != -1 && is_worth(mb->known.size, mb->known.size))
		mbox_cache_store(mb);
	return 0;
}

static int
compare_names(const struct mbox_entry *a, const struct mbox_entry *b)
{
	int r = memcmp(a->hash, b->hash, MBOX_HASH_SIZE);

	if (r != 0)
		return r;
	return (a->ordinal > b->ordinal) - (a->ordinal < b->ordinal);
}

static int
by_name(const void *a, const void *b)
{
	return compare_names(a, b);
}

static const struct mbox_entry *
find(const struct mbox_index *sorted, const struct mbox_entry *key)
{
	size_t low = 0, high = sorted->count, middle;
	int r;

	while (low < high) {
		middle = low + (high - low) / 2;
		r = compare_names(&sorted->entries[middle], key);
		if (r == 0)
			return &sorted->entries[middle];
		if (r < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* Where a message is now.  Its number, name and size stay. */
static void
move_entry(struct mbox_entry *entry, const struct mbox_entry *now)
{
	if (now == NULL) {
		entry->flags |= MBOX_GONE;
		return;
	}
	entry->flags &= (uint16_t)~MBOX_GONE;
	entry->from = now->from;
	entry->from_len = now->from_len;
	entry->space = now->space;
	entry->length = now->length;
}

int
mbox_index_refresh(struct mailbox *mb)
{
	struct mbox_identity now;
	struct mbox_index fresh;
	size_t i;

	if (mb->file != -1) {
		if (mbox_file_identify(mb, &now) == -1)
			return -1;
		if (!mb->is_remembered &&
		    mbox_identity_is_same(&now, &mb->known))
			return 0;
	}
	if (mb->is_remembered)
		mbox_cache_remove(mb);
	if (index_read(mb, &fresh) == -1)
		return -1;
	/* libbsd's mergesort: see maildir_index.c. */
	if (fresh.count > 1 && mergesort(fresh.entries, fresh.count,
	    sizeof(*fresh.entries), by_name) == -1) {
		mbox_index_free(&fresh);
		return -1;
	}
	for (i = 0; i < mb->index.count; i++)
		move_entry(&mb->index.entries[i],
		    find(&fresh, &mb->index.entries[i]));
	mbox_index_free(&fresh);
	mb->has_changed = mb->is_remembered = 0;
	return 0;
}

int
mbox_index_settle(struct mailbox *mb)
{
	return mbox_file_identify(mb, &mb->known);
}
