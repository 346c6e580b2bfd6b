/*
 * schedule: the heap of due times, and how long to wait for the next attempt.
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
}

void
schedule_free(struct schedule *s)
{
	free(s->entries);
	memset(s, 0, sizeof(*s));
}

/* Room for one more, at most twice the limit. */
static int
make_room(struct schedule *s)
{
	struct schedule_entry *grown;
	size_t size;

	if (s->count < s->size)
		return 0;
	if (s->count >= 2 * s->limit)
		return -1;
	size = s->size > 0 ? s->size * 2 : 256;
	if (size > 2 * s->limit)
		size = 2 * s->limit;
	grown = reallocarray(s->entries, size, sizeof(*grown));
	if (grown == NULL)
		return -1;
	s->entries = grown;
	s->size = size;
	return 0;
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
	size_t at, parent;

	if (make_room(s) == -1) {
		s->is_cut = 1;
		return;
	}
	at = s->count++;
	s->entries[at] = *entry;
	while (at > 0) {
		parent = (at - 1) / 2;
		if (by_when(&s->entries[parent], &s->entries[at]) <= 0)
			break;
		swap(&s->entries[parent], &s->entries[at]);
		at = parent;
	}
}

int
schedule_pop(struct schedule *s, uint64_t now, struct schedule_entry *entry)
{
	size_t at = 0, child;

	if (s->count == 0 || s->entries[0].when > now)
		return 0;
	*entry = s->entries[0];
	s->entries[0] = s->entries[--s->count];
	for (;;) {
		child = 2 * at + 1;
		if (child >= s->count)
			break;
		if (child + 1 < s->count &&
		    by_when(&s->entries[child + 1], &s->entries[child]) < 0)
			child++;
		if (by_when(&s->entries[at], &s->entries[child]) <= 0)
			break;
		swap(&s->entries[at], &s->entries[child]);
		at = child;
	}
	return 1;
}

uint64_t
schedule_next(const struct schedule *s)
{
	return s->count > 0 ? s->entries[0].when : UINT64_MAX;
}

/* Keep the limit's soonest, sorted: which is a heap, too. */
static void
cut(struct schedule *s)
{
	qsort(s->entries, s->count, sizeof(*s->entries), by_when);
	if (s->count > s->limit) {
		s->count = s->limit;
		s->is_cut = 1;
	}
}

void
schedule_begin(struct schedule *s)
{
	s->count = 0;
	s->is_cut = 0;
}

void
schedule_collect(struct schedule *s, const struct schedule_entry *entry)
{
	if (s->count >= 2 * s->limit)
		cut(s);
	if (make_room(s) == -1) {
		s->is_cut = 1;
		return;
	}
	s->entries[s->count++] = *entry;
}

void
schedule_end(struct schedule *s)
{
	if (s->count > 0)
		cut(s);
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
