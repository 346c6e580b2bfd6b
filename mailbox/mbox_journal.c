/*
 * mbox_journal: encode and decode what ~/.postern remembers of an mbox.
 *
 * Runs in agents, as the user whose mail it is; touches nothing but memory.
 * What is read was written by us or by the user, and may be torn.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mbox_journal.h"
#include "mbox_sum.h"

static const uint8_t journal_magic[8] = "pstrnMB1";
static const uint8_t intent_magic[8] = "pstrnMD1";

static void
put64(uint8_t *p, uint64_t value)
{
	int i;

	for (i = 0; i < 8; i++)
		p[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t
get64(const uint8_t *p)
{
	uint64_t value = 0;
	int i;

	for (i = 0; i < 8; i++)
		value |= (uint64_t)p[i] << (8 * i);
	return value;
}

uint64_t
journal_hash(uint64_t hash, const void *data, size_t len)
{
	return mbox_sum(hash, data, len);
}

size_t
journal_head_size(uint32_t count)
{
	return JOURNAL_FIXED + (size_t)count * JOURNAL_RANGE + JOURNAL_CHECK;
}

uint64_t
journal_slot_at(const struct journal *j, uint64_t number)
{
	uint64_t head = journal_head_size(j->count);

	return head + number % 2 * (JOURNAL_SLOT + j->window);
}

void
journal_put(const struct journal *j, uint8_t *data)
{
	size_t size = journal_head_size(j->count) - JOURNAL_CHECK;
	uint8_t *p = data + JOURNAL_FIXED;
	uint32_t i;

	memset(data, 0, JOURNAL_FIXED);
	memcpy(data, journal_magic, sizeof(journal_magic));
	put64(data + 8, j->ino);
	put64(data + 16, j->size);
	put64(data + 24, j->begin);
	put64(data + 32, j->window);
	put64(data + 40, j->count);
	for (i = 0; i < j->count; i++, p += JOURNAL_RANGE) {
		put64(p, j->ranges[i].offset);
		put64(p + 8, j->ranges[i].length);
		put64(p + 16, j->ranges[i].sample);
	}
	put64(p, journal_hash(JOURNAL_HASH_START, data, size));
}

uint32_t
journal_count(const uint8_t fixed[JOURNAL_FIXED])
{
	uint64_t count = get64(fixed + 40);

	if (memcmp(fixed, journal_magic, sizeof(journal_magic)) != 0 ||
	    count > JOURNAL_RANGES_MAX)
		return 0;
	return (uint32_t)count;
}

/* Each behind the one before, none beyond the end, with at least one gap. */
static int
ranges_are_sound(struct journal *j)
{
	uint64_t at = j->begin + 1;
	uint32_t i;

	j->kept = 0;
	for (i = 0; i < j->count; i++) {
		const struct journal_range *r = &j->ranges[i];

		if (r->offset < at || r->offset >= j->size || r->length == 0 ||
		    r->length > j->size - r->offset)
			return 0;
		at = r->offset + r->length;
		j->kept += r->length;
	}
	return 1;
}

int
journal_get(struct journal *j, const uint8_t *data, size_t len)
{
	const uint8_t *p = data + JOURNAL_FIXED;
	uint32_t i;

	memset(j, 0, sizeof(*j));
	errno = EBADMSG;
	if (len < JOURNAL_FIXED || (j->count = journal_count(data)) == 0 ||
	    len != journal_head_size(j->count) ||
	    journal_hash(JOURNAL_HASH_START, data, len - JOURNAL_CHECK) !=
	    get64(data + len - JOURNAL_CHECK))
		return -1;
	j->ino = get64(data + 8);
	j->size = get64(data + 16);
	j->begin = get64(data + 24);
	j->window = get64(data + 32);
	if (j->size > INT64_MAX / 4 || j->begin >= j->size ||
	    j->window < JOURNAL_WINDOW_MIN || j->window > JOURNAL_WINDOW_MAX)
		return -1;
	j->ranges = calloc(j->count, sizeof(*j->ranges));
	if (j->ranges == NULL)
		return -1;
	for (i = 0; i < j->count; i++, p += JOURNAL_RANGE) {
		j->ranges[i].offset = get64(p);
		j->ranges[i].length = get64(p + 8);
		j->ranges[i].sample = get64(p + 16);
	}
	if (ranges_are_sound(j))
		return 0;
	free(j->ranges);
	j->ranges = NULL;
	errno = EBADMSG;
	return -1;
}

/* A slot's check is about its journal, too: an older one's is none of ours. */
static uint64_t
slot_check(const struct journal *j, const struct journal_slot *slot,
    const uint8_t *window, const uint8_t data[JOURNAL_SLOT])
{
	uint8_t key[24];
	uint64_t hash;

	put64(key, j->ino);
	put64(key + 8, j->size);
	put64(key + 16, j->begin);
	hash = journal_hash(JOURNAL_HASH_START, key, sizeof(key));
	hash = journal_hash(hash, data, JOURNAL_SLOT - JOURNAL_CHECK);
	return journal_hash(hash, window, (size_t)slot->length);
}

void
journal_slot_put(const struct journal *j, const struct journal_slot *slot,
    const uint8_t *window, uint8_t data[JOURNAL_SLOT])
{
	memset(data, 0, JOURNAL_SLOT);
	put64(data, slot->number);
	put64(data + 8, slot->pos);
	put64(data + 16, slot->length);
	put64(data + 24, slot->size);
	put64(data + 32, slot->tail);
	put64(data + JOURNAL_SLOT - JOURNAL_CHECK,
	    slot_check(j, slot, window, data));
}

int
journal_slot_get(const struct journal *j, struct journal_slot *slot,
    const uint8_t data[JOURNAL_SLOT])
{
	uint64_t kept;

	slot->number = get64(data);
	slot->pos = get64(data + 8);
	slot->length = get64(data + 16);
	slot->size = get64(data + 24);
	slot->tail = get64(data + 32);
	if (slot->number == 0 || slot->length > j->window ||
	    slot->pos > INT64_MAX / 4 || slot->size > INT64_MAX / 4 ||
	    slot->size < j->size)
		return -1;
	/* All that was to be kept, and what others have appended since. */
	kept = j->kept + (slot->size - j->size);
	if (slot->pos + slot->length > kept ||
	    (slot->length == 0 && slot->pos != kept))
		return -1;
	return 0;
}

int
journal_slot_is_whole(const struct journal *j, const struct journal_slot *slot,
    const uint8_t *window, const uint8_t data[JOURNAL_SLOT])
{
	return slot_check(j, slot, window, data) ==
	    get64(data + JOURNAL_SLOT - JOURNAL_CHECK);
}

void
intent_put(const struct intent *in, uint8_t data[INTENT_SIZE])
{
	memset(data, 0, INTENT_SIZE);
	memcpy(data, intent_magic, sizeof(intent_magic));
	put64(data + 8, in->ino);
	put64(data + 16, in->start);
	put64(data + 24, in->length);
	put64(data + 32, in->hash);
	put64(data + 40, in->prefix_len);
	put64(data + 48, in->has_nul);
	memcpy(data + 56, in->prefix, in->prefix_len);
	put64(data + INTENT_SIZE - 8, journal_hash(JOURNAL_HASH_START, data,
	    INTENT_SIZE - 8));
}

int
intent_get(struct intent *in, const uint8_t *data, size_t len)
{
	uint64_t prefix_len;

	errno = EBADMSG;
	if (len != INTENT_SIZE ||
	    memcmp(data, intent_magic, sizeof(intent_magic)) != 0 ||
	    journal_hash(JOURNAL_HASH_START, data, INTENT_SIZE - 8) !=
	    get64(data + INTENT_SIZE - 8))
		return -1;
	in->ino = get64(data + 8);
	in->start = get64(data + 16);
	in->length = get64(data + 24);
	in->hash = get64(data + 32);
	prefix_len = get64(data + 40);
	if (in->start > INT64_MAX / 4 || in->length > INT64_MAX / 4 ||
	    in->length < 2 || prefix_len > INTENT_PREFIX ||
	    prefix_len > in->length || get64(data + 48) > 1)
		return -1;
	in->has_nul = (uint32_t)get64(data + 48);
	in->prefix_len = (uint32_t)prefix_len;
	memcpy(in->prefix, data + 56, INTENT_PREFIX);
	return 0;
}
