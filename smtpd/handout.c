/*
 * handout: who gets a delivery channel, and when.
 *
 * Runs in the queue, as queue-user; touches the channels that the master made.
 * handout_talk.c talks on them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smtpd/handout_line.h"

#define ASK_MS		60000	/* the master answers at once or is gone */
#define AGAIN_MS	1000	/* first wait when there is no channel */
#define AGAIN_MAX_MS	30000
#define DELIVER_MS	300000	/* absolute, whatever the agent says */

void
handout_init(struct handout *h, const struct handout_ops *ops, void *arg,
    const char *hostname)
{
	size_t i;

	memset(h, 0, sizeof(*h));
	h->ops = ops;
	h->arg = arg;
	h->hostname = hostname;
	h->next_tag = 1;
	h->patience = DELIVER_MS;
	TAILQ_INIT(&h->wanting);
	TAILQ_INIT(&h->active);
	for (i = 0; i < HANDOUT_BUCKETS; i++)
		TAILQ_INIT(&h->buckets[i]);
}

int
handout_add(struct handout *h, struct errand *e)
{
	struct line *l = line_get(h, e);

	if (l == NULL)
		return -1;
	e->line = l;
	TAILQ_INSERT_TAIL(&l->errands, e, link);
	l->waiting++;
	return 0;
}

int
handout_is_stuck(const struct errand *e)
{
	const struct line *l = e->line;

	/* The next one stays, or a channel that is open at last is in vain. */
	return l != NULL && l->current != e && TAILQ_FIRST(&l->errands) != e &&
	    (l->is_slow || l->waiting > BACKLOG_MAX);
}

int
handout_has_begun(const struct errand *e)
{
	return e->line != NULL && e->line->current == e;
}

void
handout_withdraw(struct errand *e)
{
	TAILQ_REMOVE(&e->line->errands, e, link);
	e->line->waiting--;
	e->line = NULL;
}

int
handout_park(struct handout *h, const struct errand *e,
    const struct spool_name *name)
{
	struct line *l = line_find(h, e);
	struct parked *p;

	if (l == NULL) {
		errno = ENOENT;
		return -1;
	}
	p = malloc(sizeof(*p));
	if (p == NULL)
		return -1;
	p->name = *name;
	STAILQ_INSERT_TAIL(&l->parked, p, link);
	return 0;
}

void
handout_forget_parked(struct handout *h)
{
	struct line *l;

	TAILQ_FOREACH(l, &h->wanting, link)
		line_unpark(h, l, SIZE_MAX, 0);
	TAILQ_FOREACH(l, &h->active, link)
		line_unpark(h, l, SIZE_MAX, 0);
}

/* May there be one more channel? */
static int
has_room(const struct handout *h)
{
	const struct line *l;
	size_t quick = h->channels;

	TAILQ_FOREACH(l, &h->active, link)
		quick -= l->is_slow != 0;
	return h->channels < HANDOUT_CHANNELS && quick < HANDOUT_QUICK;
}

static void
serve_idle(struct handout *h, uint64_t now)
{
	struct line *l, *next;

	TAILQ_FOREACH_SAFE(l, &h->active, link, next)
		if (l->state == LINE_IDLE && l->waiting > 0)
			line_next(h, l, now);
}

/* Others have need of the place of one that is idle. */
static int
make_room(struct handout *h)
{
	struct line *l;

	if (has_room(h))
		return 1;
	TAILQ_FOREACH(l, &h->active, link)
		if (l->state == LINE_IDLE) {
			line_close_or_free(h, l, 0);
			return has_room(h);
		}
	return 0;
}

void
handout_ask(struct handout *h, uint64_t now)
{
	struct line *l, *next;

	serve_idle(h, now);
	TAILQ_FOREACH_SAFE(l, &h->wanting, link, next) {
		if (now < h->ask_after)
			return;
		if (l->deadline > now)
			continue;
		if (!make_room(h))
			return;
		if ((h->is_of_programs ? h->ops->need_program : h->ops->need)(
		    h->arg, h->next_tag) == -1) {
			h->ask_after = now + AGAIN_MS;
			return;
		}
		l->tag = h->next_tag++;
		TAILQ_REMOVE(&h->wanting, l, link);
		TAILQ_INSERT_TAIL(&h->active, l, link);
		h->channels++;
		line_set_state(l, LINE_ASKED, now, ASK_MS);
	}
}

/* Later, and later still while there is none. */
static void
no_channel(struct handout *h, struct line *l, uint64_t now)
{
	l->wait_ms = l->wait_ms == 0 ? AGAIN_MS : l->wait_ms * 2;
	if (l->wait_ms > AGAIN_MAX_MS)
		l->wait_ms = AGAIN_MAX_MS;
	line_close(h, l, now + l->wait_ms);
}

void
handout_channel(struct handout *h, uint64_t tag, int fd, uint64_t now)
{
	struct line *l;

	TAILQ_FOREACH(l, &h->active, link)
		if (l->state == LINE_ASKED && l->tag == tag)
			break;
	if (l == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	if (fd == -1 || fcntl(fd, F_SETFL, O_NONBLOCK) == -1) {
		if (fd != -1)
			close(fd);
		no_channel(h, l, now);
		return;
	}
	l->fd = fd;
	line_identify(h, l, now);
}

size_t
handout_poll(struct handout *h, struct pollfd *pfd)
{
	struct line *l;
	size_t n = 0;

	TAILQ_FOREACH(l, &h->active, link) {
		if (l->fd == -1)
			continue;
		h->watching[n] = l;
		pfd[n].fd = l->fd;
		/* Unsettled, it has nothing to say, but it may die. */
		pfd[n].events = POLLIN;
		pfd[n].revents = 0;
		n++;
	}
	h->watched = n;
	return n;
}

void
handout_ready(struct handout *h, const struct pollfd *pfd, uint64_t now)
{
	size_t i, n = h->watched;

	/* A line can go only by its own channel: the others stay good. */
	h->watched = 0;
	for (i = 0; i < n; i++)
		if (pfd[i].revents != 0)
			line_heard(h, h->watching[i], now);
}

static void
tell_slow(struct handout *h, struct line *l)
{
	struct errand *e;

	l->is_slow = 1;
	TAILQ_FOREACH(e, &l->errands, link)
		h->ops->slow(h->arg, e);
}

void
handout_expire(struct handout *h, uint64_t now)
{
	struct line *l, *next;

	TAILQ_FOREACH_SAFE(l, &h->active, link, next) {
		if (line_slow_at(l) <= now)
			tell_slow(h, l);
		if (l->deadline > now)
			continue;
		if (l->state == LINE_ASKED)
			no_channel(h, l, now);
		else if (l->state == LINE_IDLE)
			line_close_or_free(h, l, now);
		else
			line_broken(h, l, "delivery agent does not answer", 1,
			    now);
	}
}

int
handout_close(struct handout *h)
{
	const struct line *l;

	h->is_closing = 1;
	TAILQ_FOREACH(l, &h->active, link)
		if (l->state == LINE_DELIVER)
			return 1;
	return 0;
}

uint64_t
handout_next(const struct handout *h)
{
	const struct line *l;
	uint64_t next = UINT64_MAX, ask = UINT64_MAX;

	TAILQ_FOREACH(l, &h->active, link) {
		if (l->deadline < next)
			next = l->deadline;
		if (line_slow_at(l) < next)
			next = line_slow_at(l);
	}
	if (!has_room(h))
		return next;
	TAILQ_FOREACH(l, &h->wanting, link)
		if (l->deadline < ask)
			ask = l->deadline;
	if (ask < h->ask_after)
		ask = h->ask_after;
	return ask < next ? ask : next;
}

void
handout_settle(struct handout *h, struct errand *e, uint64_t now)
{
	struct line *l = e->line;

	e->is_unsettled = 0;
	e->line = NULL;
	if (l == NULL)
		return;		/* its agent is gone; the mailbox keeps it */
	line_settle(h, l, e->letter->name.id, now);
}

void
handout_drop(struct handout *h, struct errand *e, uint64_t now)
{
	struct line *l = e->line;

	e->is_unsettled = 0;
	e->line = NULL;
	if (l == NULL)
		return;
	l->current = NULL;
	line_close_or_free(h, l, now);
}
