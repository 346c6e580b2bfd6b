/*
 * mbox_twins: what is remembered of messages that are alike; see mbox_uidl.c.
 *
 * Runs in agents, as the user whose mail it is; touches memory only.  The text
 * is the user's own file, but anybody's bug may have written it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mbox_twins.h"

#define ORDINAL_LIMIT	UINT32_C(0xfffffff0)

void
twins_free(struct twins *twins)
{
	size_t i;

	for (i = 0; i < twins->count; i++)
		free(twins->twin[i].live);
	free(twins->twin);
	memset(twins, 0, sizeof(*twins));
}

static int
by_hash(const void *a, const void *b)
{
	return memcmp(((const struct twin *)a)->hash,
	    ((const struct twin *)b)->hash, MBOX_HASH_SIZE);
}

struct twin *
twins_find(struct twins *twins, const uint8_t *hash)
{
	size_t low = 0, high = twins->sorted, middle;
	int r;

	while (low < high) {
		middle = low + (high - low) / 2;
		r = memcmp(twins->twin[middle].hash, hash, MBOX_HASH_SIZE);
		if (r == 0)
			return &twins->twin[middle];
		if (r < 0)
			low = middle + 1;
		else
			high = middle;
	}
	/* Those added since: no hash is added that was to be found. */
	return NULL;
}

struct twin *
twins_add(struct twins *twins, const uint8_t *hash)
{
	struct twin *twin;
	size_t room;

	if (twins->count == twins->room) {
		room = twins->room == 0 ? 16 : twins->room * 2;
		twin = reallocarray(twins->twin, room, sizeof(*twin));
		if (twin == NULL)
			return NULL;
		twins->twin = twin;
		twins->room = room;
	}
	twin = &twins->twin[twins->count++];
	memset(twin, 0, sizeof(*twin));
	memcpy(twin->hash, hash, MBOX_HASH_SIZE);
	return twin;
}

/* Room for one range more. */
static int
grow(struct twin *twin)
{
	struct twin_range *live;
	size_t room;

	if (twin->live_count < twin->live_room)
		return 0;
	room = twin->live_room == 0 ? 4 : twin->live_room * 2;
	live = reallocarray(twin->live, room, sizeof(*live));
	if (live == NULL)
		return -1;
	twin->live = live;
	twin->live_room = room;
	return 0;
}

static int
add_range(struct twin *twin, uint32_t low, uint32_t high)
{
	if (twin->live_count > 0 &&
	    twin->live[twin->live_count - 1].high + 1 == low) {
		twin->live[twin->live_count - 1].high = high;
		return 0;
	}
	if (grow(twin) == -1)
		return -1;
	twin->live[twin->live_count].low = low;
	twin->live[twin->live_count++].high = high;
	return 0;
}

static size_t
range_size(const struct twin_range *range)
{
	return (size_t)(range->high - range->low) + 1;
}

static size_t
live_size(const struct twin *twin)
{
	size_t i, n = 0;

	for (i = 0; i < twin->live_count; i++)
		n += range_size(&twin->live[i]);
	return n;
}

int
twin_fit(struct twin *twin, size_t count, uint32_t day)
{
	size_t have = live_size(twin), more;
	struct twin_range *last;

	if (have == count)
		return 0;
	twin->day = day;
	/* Another program has removed some, who knows which: the last. */
	for (; have > count; have--) {
		last = &twin->live[twin->live_count - 1];
		if (last->low == last->high)
			twin->live_count--;
		else
			last->high--;
	}
	more = count - have;
	if (more == 0)
		return 1;
	if (more > ORDINAL_LIMIT - twin->next) {
		errno = EOVERFLOW;
		return -1;
	}
	if (add_range(twin, twin->next, twin->next + (uint32_t)more - 1) == -1)
		return -1;
	twin->next += (uint32_t)more;
	return 1;
}

uint32_t
twin_next(const struct twin *twin, struct twin_place *place)
{
	const struct twin_range *r = &twin->live[place->range];
	uint32_t ordinal;

	if (place->range == twin->live_count)
		return twin->next;	/* not after twin_fit() */
	ordinal = r->low + place->number++;
	if (ordinal == r->high) {
		place->range++;
		place->number = 0;
	}
	return ordinal;
}

/* The first range that does not end before it. */
static size_t
find_range(const struct twin *twin, uint32_t ordinal)
{
	size_t low = 0, high = twin->live_count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (twin->live[middle].high < ordinal)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int
twin_remove(struct twin *twin, uint32_t ordinal, uint32_t day)
{
	struct twin_range *r;
	size_t i = find_range(twin, ordinal);

	if (i == twin->live_count || twin->live[i].low > ordinal)
		return 0;
	if (grow(twin) == -1)
		return -1;
	twin->day = day;
	r = &twin->live[i];
	if (r->low == r->high) {
		memmove(r, r + 1, (twin->live_count - i - 1) * sizeof(*r));
		twin->live_count--;
	} else if (ordinal == r->low) {
		r->low++;
	} else if (ordinal == r->high) {
		r->high--;
	} else {
		memmove(r + 1, r, (twin->live_count - i) * sizeof(*r));
		twin->live_count++;
		r[0].high = ordinal - 1;
		r[1].low = ordinal + 1;
	}
	return 0;
}

/* A decimal number and the octet behind it; 0 if it is none. */
static int
take_number(const char **p, uint32_t *n, const char *ends)
{
	const char *start = *p;
	uint64_t v = 0;

	for (; **p >= '0' && **p <= '9'; (*p)++) {
		v = v * 10 + (uint64_t)(**p - '0');
		if (v > ORDINAL_LIMIT)
			return 0;
	}
	*n = (uint32_t)v;
	if (*p == start || **p == '\0' || strchr(ends, **p) == NULL)
		return 0;
	(*p)++;
	return 1;
}

static int
take_hash(const char **p, uint8_t hash[MBOX_HASH_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	const char *high, *low;
	size_t i;

	for (i = 0; i < MBOX_HASH_SIZE; i++, *p += 2) {
		if ((*p)[0] == '\0' || (*p)[1] == '\0' ||
		    (high = strchr(digits, (*p)[0])) == NULL ||
		    (low = strchr(digits, (*p)[1])) == NULL)
			return 0;
		hash[i] = (uint8_t)((high - digits) << 4 | (low - digits));
	}
	return *(*p)++ == ' ';
}

/* "0-4,7-7", rising, below next; or "-".  1, 0 malformed, -1. */
static int
take_ranges(const char *p, struct twin *twin)
{
	uint32_t low, high, above = 0;

	if (p[0] == '-' && p[1] == '\n')
		return 1;
	do {
		if (!take_number(&p, &low, "-") ||
		    !take_number(&p, &high, ",\n") || low < above ||
		    high < low || high >= twin->next)
			return 0;
		if (add_range(twin, low, high) == -1)
			return -1;
		above = high + 1;
	} while (p[-1] == ',');
	return 1;
}

static int
parse_line(struct twins *twins, const char *p)
{
	uint8_t hash[MBOX_HASH_SIZE];
	uint32_t next, day;
	struct twin *twin;
	int r;

	if (!take_hash(&p, hash) || !take_number(&p, &next, " ") ||
	    !take_number(&p, &day, " "))
		return 0;
	twin = twins_add(twins, hash);
	if (twin == NULL)
		return -1;
	twin->next = next;
	twin->day = day;
	r = take_ranges(p, twin);
	if (r != 1) {
		free(twin->live);
		twins->count--;
	}
	return r;
}

int
twins_parse(struct twins *twins, const char *text)
{
	const char *lf;
	size_t i, kept;

	for (; (lf = strchr(text, '\n')) != NULL; text = lf + 1)
		if (parse_line(twins, text) == -1) {
			twins_free(twins);
			return -1;
		}
	if (twins->count > 1 && mergesort(twins->twin, twins->count,
	    sizeof(*twins->twin), by_hash) == -1) {
		twins_free(twins);
		return -1;
	}
	/* Of two lines for one hash, the first. */
	for (i = kept = 0; i < twins->count; i++) {
		if (kept > 0 && by_hash(&twins->twin[kept - 1],
		    &twins->twin[i]) == 0)
			free(twins->twin[i].live);
		else
			twins->twin[kept++] = twins->twin[i];
	}
	twins->count = twins->sorted = kept;
	return 0;
}
