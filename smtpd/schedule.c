/*
 * schedule: the heaps of due times, and how long to wait for the next attempt.
 *
 * Runs in the queue, as queue-user; touches nothing but memory.
 */
#include <stdlib.h>
#include <string.h>

#include "smtpd/schedule.h"

#define RETRY_DEFAULT	300	/* seconds, for an empty schedule */

void
schedule_init(struct schedule *s, size_t limit)
{
	memset(s, 0, sizeof(*s));
	s->limit = limit;
	schedule_begin(s);
}

void
schedule_free(struct schedule *s)
{
	int kind;

	for (kind = 0; kind < SCHEDULE_KINDS; kind++)
		free(s->heaps[kind].entries);
	memset(s, 0, sizeof(*s));
}

int
schedule_kind(const struct schedule_entry *entry)
{
	if (entry->is_fresh || entry->is_asked)
		return SCHEDULE_FRESH;
	return spool_name_is_first(&entry->name) ? SCHEDULE_NEW :
	    SCHEDULE_AGAIN;
}

/* Room for one more, at most twice the limit. */
static int
make_room(struct schedule_heap *h, size_t limit)
{
	struct schedule_entry *grown;
	size_t size;

	if (h->count < h->size)
		return 0;
	if (h->count >= 2 * limit)
		return -1;
	size = h->size > 0 ? h->size * 2 : 256;
	if (size > 2 * limit)
		size = 2 * limit;
	grown = reallocarray(h->entries, size, sizeof(*grown));
	if (grown == NULL)
		return -1;
	h->entries = grown;
	h->size = size;
	return 0;
}

/* It is in the spool only. */
static void
leave_out(struct schedule_heap *h, uint64_t when)
{
	if (when <= h->horizon)
		h->horizon = when - (when > 0);
}

/* By time, then by id, which is by time, too. */
static int
by_when(const void *left, const void *right)
{
	const struct schedule_entry *a = left, *b = right;

	if (a->when != b->when)
		return a->when < b->when ? -1 : 1;
	return strcmp(a->name.id, b->name.id);
}

static void
swap(struct schedule_entry *a, struct schedule_entry *b)
{
	struct schedule_entry c = *a;

	*a = *b;
	*b = c;
}

void
schedule_push(struct schedule *s, const struct schedule_entry *entry)
{
	struct schedule_heap *h = &s->heaps[schedule_kind(entry)];
	size_t at, parent;

	if (make_room(h, s->limit) == -1) {
		leave_out(h, entry->when);
		return;
	}
	at = h->count++;
	h->entries[at] = *entry;
	while (at > 0) {
		parent = (at - 1) / 2;
		if (by_when(&h->entries[parent], &h->entries[at]) <= 0)
			break;
		swap(&h->entries[parent], &h->entries[at]);
		at = parent;
	}
}

static int
is_due(const struct schedule_heap *h, uint64_t now)
{
	return h->count > 0 && h->entries[0].when <= now;
}

static void
pop(struct schedule_heap *h, struct schedule_entry *entry)
{
	size_t at = 0, child;

	*entry = h->entries[0];
	h->entries[0] = h->entries[--h->count];
	for (;;) {
		child = 2 * at + 1;
		if (child >= h->count)
			break;
		if (child + 1 < h->count &&
		    by_when(&h->entries[child + 1], &h->entries[child]) < 0)
			child++;
		if (by_when(&h->entries[at], &h->entries[child]) <= 0)
			break;
		swap(&h->entries[at], &h->entries[child]);
		at = child;
	}
}

int
schedule_pop(struct schedule *s, uint64_t now, int has_room_for_again,
    struct schedule_entry *entry)
{
	int i, kind;

	for (i = 1; i <= SCHEDULE_KINDS; i++) {
		kind = (s->turn + i) % SCHEDULE_KINDS;
		if (!is_due(&s->heaps[kind], now) ||
		    (kind == SCHEDULE_AGAIN && !has_room_for_again))
			continue;
		s->turn = kind;
		pop(&s->heaps[kind], entry);
		return 1;
	}
	return 0;
}

uint64_t
schedule_next(const struct schedule *s, int has_room_for_again)
{
	uint64_t next = UINT64_MAX;
	const struct schedule_heap *h;
	int kind;

	for (kind = 0; kind < SCHEDULE_KINDS; kind++) {
		h = &s->heaps[kind];
		if (h->count > 0 && h->entries[0].when < next &&
		    (kind != SCHEDULE_AGAIN || has_room_for_again))
			next = h->entries[0].when;
	}
	return next;
}

size_t
schedule_count(const struct schedule *s)
{
	size_t n = 0;
	int kind;

	for (kind = 0; kind < SCHEDULE_KINDS; kind++)
		n += s->heaps[kind].count;
	return n;
}

const struct schedule_entry *
schedule_find(const struct schedule *s, const char *id,
    const struct schedule_entry *after)
{
	const struct schedule_heap *h;
	const struct schedule_entry *e;
	size_t i;

	for (h = s->heaps; h < s->heaps + SCHEDULE_KINDS; h++)
		for (i = 0; i < h->count; i++) {
			e = &h->entries[i];
			if (after == NULL && strcmp(e->name.id, id) == 0)
				return e;
			if (e == after)
				after = NULL;
		}
	return NULL;
}

int
schedule_is_short(const struct schedule *s, uint64_t now)
{
	const struct schedule_heap *h;

	/* What was deferred since may be in it, too, but is not next. */
	for (h = s->heaps; h < s->heaps + SCHEDULE_KINDS; h++)
		if (h->horizon < now && (h->count == 0 ||
		    h->entries[0].when > h->horizon))
			return 1;
	return 0;
}

/* Keep the limit's soonest, sorted: which is a heap, too. */
static void
cut(struct schedule_heap *h, size_t limit)
{
	qsort(h->entries, h->count, sizeof(*h->entries), by_when);
	if (h->count > limit) {
		h->count = limit;
		leave_out(h, h->entries[limit].when);
	}
}

void
schedule_begin(struct schedule *s)
{
	int kind;

	for (kind = 0; kind < SCHEDULE_KINDS; kind++) {
		s->heaps[kind].count = 0;
		s->heaps[kind].horizon = UINT64_MAX;
	}
}

void
schedule_collect(struct schedule *s, const struct schedule_entry *entry)
{
	struct schedule_heap *h = &s->heaps[schedule_kind(entry)];

	if (h->count >= 2 * s->limit)
		cut(h, s->limit);
	if (make_room(h, s->limit) == -1) {
		leave_out(h, entry->when);
		return;
	}
	h->entries[h->count++] = *entry;
}

void
schedule_end(struct schedule *s)
{
	int kind;

	for (kind = 0; kind < SCHEDULE_KINDS; kind++)
		if (s->heaps[kind].count > 0)
			cut(&s->heaps[kind], s->limit);
}

uint64_t
retry_delay(const struct config *config, uint32_t attempt, uint32_t noise)
{
	uint64_t delay = RETRY_DEFAULT;
	size_t i = attempt > 0 ? attempt - 1 : 0;

	if (config->retry_count > 0) {
		if (i >= config->retry_count)
			i = config->retry_count - 1;
		delay = config->retry_schedule[i];
	}
	return delay + noise % (delay / 10 + 1);
}

uint64_t
retry_delay_max(const struct config *config)
{
	uint64_t longest = config->retry_count > 0 ? 0 : RETRY_DEFAULT;
	size_t i;

	for (i = 0; i < config->retry_count; i++)
		if (config->retry_schedule[i] > longest)
			longest = config->retry_schedule[i];
	return longest + longest / 10;
}

uint32_t
retry_attempts(const struct config *config)
{
	uint64_t age = 0;
	uint32_t n;

	for (n = 0; n < config->retry_count; n++) {
		age += config->retry_schedule[n];
		if (age > config->give_up_after)
			return n + 1;
	}
	return n;
}
