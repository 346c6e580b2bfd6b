/*
 * handout_line: one account's line, which waits for a channel or has one.
 *
 * Runs in the queue, as queue-user; touches memory, and closes the channels
 * that handout_talk.c talks on.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smtpd/handout_line.h"

#define SLOW_MS		10000	/* in any state in which it is waited for */

static struct line_list *
bucket_of(const struct handout *h, const char *account)
{
	return (struct line_list *)(uintptr_t)
	    &h->buckets[outcome_key(account) % HANDOUT_BUCKETS];
}

struct line *
line_find(const struct handout *h, const struct errand *e)
{
	struct line *l;

	TAILQ_FOREACH(l, bucket_of(h, e->account), bucket)
		if (strcmp(l->account, e->account) == 0 &&
		    strcmp(l->digest, e->digest) == 0)
			return l;
	return NULL;
}

struct line *
line_get(struct handout *h, const struct errand *e)
{
	struct line *l = line_find(h, e);

	if (l != NULL)
		return l;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return NULL;
	if (strlcpy(l->account, e->account, sizeof(l->account)) >=
	    sizeof(l->account)) {
		free(l);
		errno = ENAMETOOLONG;
		return NULL;
	}
	strlcpy(l->digest, e->digest, sizeof(l->digest));
	l->fd = -1;
	l->state = LINE_WANTING;
	TAILQ_INIT(&l->errands);
	STAILQ_INIT(&l->parked);
	TAILQ_INSERT_TAIL(bucket_of(h, l->account), l, bucket);
	TAILQ_INSERT_TAIL(&h->wanting, l, link);
	return l;
}

void
line_unpark(struct handout *h, struct line *l, size_t max, int tell)
{
	struct parked *p;

	while (max-- > 0 && (p = STAILQ_FIRST(&l->parked)) != NULL) {
		STAILQ_REMOVE_HEAD(&l->parked, link);
		if (tell)
			h->ops->unpark(h->arg, &p->name);
		free(p);
	}
}

/* Back to the end of those who want a channel, without one. */
void
line_close(struct handout *h, struct line *l, uint64_t not_before)
{
	if (l->fd != -1)
		close(l->fd);
	l->fd = -1;
	if (l->state != LINE_WANTING) {
		TAILQ_REMOVE(&h->active, l, link);
		TAILQ_INSERT_TAIL(&h->wanting, l, link);
		h->channels--;
	}
	l->state = LINE_WANTING;
	l->is_slow = 0;
	l->served = 0;
	l->has_delivered = 0;
	l->deadline = not_before;
}

/* Nobody is in it any more. */
static void
line_free(struct handout *h, struct line *l)
{
	line_close(h, l, 0);
	TAILQ_REMOVE(&h->wanting, l, link);
	TAILQ_REMOVE(bucket_of(h, l->account), l, bucket);
	free(l);
}

void
line_close_or_free(struct handout *h, struct line *l, uint64_t not_before)
{
	if (l->waiting > 0) {
		line_close(h, l, not_before);
		return;
	}
	line_unpark(h, l, SIZE_MAX, 1);
	line_free(h, l);
}

void
line_set_state(struct line *l, enum line_state state, uint64_t now,
    uint64_t patience)
{
	l->state = state;
	l->since = now;
	l->deadline = patience < UINT64_MAX - now ? now + patience :
	    UINT64_MAX;
	l->is_slow = 0;
}

uint64_t
line_slow_at(const struct line *l)
{
	if (l->is_slow || l->fd == -1 || l->state == LINE_UNSETTLED ||
	    l->state == LINE_IDLE)
		return UINT64_MAX;
	return l->since + SLOW_MS;
}
