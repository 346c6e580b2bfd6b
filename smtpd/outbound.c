/*
 * outbound: who gets a connection, and when.
 *
 * Runs in the queue, as queue-user; touches memory.  room.c says how many there
 * may be, destination.c knows a next hop, connection.c opens sockets, connection_talk.c speaks with relays.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smtpd/connection.h"
#include "smtpd/idna.h"
#include "smtpd/room.h"
#include "smtpd/sender.h"

#define BACKLOG_LONG	100	/* errands in line: later letters are parked */
#define BACKLOG_SHORT	20	/* then parked letters come */
#define UNPARK_MAX	50	/* so many at a time */
#define SLOW_MS		10000	/* a line that does not move */
#define LETTERS_EACH	4	/* that wait, before one connection more pays */
#define STILL_MS	500	/* without a move, and it pays for a single one */

void
outbound_init(struct outbound *o, const struct outbound_ops *ops, void *arg,
    const struct config *config, struct dns_client *dns)
{
	size_t i;

	memset(o, 0, sizeof(*o));
	o->ops = ops;
	o->arg = arg;
	o->config = config;
	o->dns = dns;
	o->next_tag = 1;
	TAILQ_INIT(&o->connections);
	TAILQ_INIT(&o->busy);
	TAILQ_INIT(&o->quiet);
	for (i = 0; i < OUTBOUND_BUCKETS; i++)
		TAILQ_INIT(&o->buckets[i]);
}

int
outbound_add(struct outbound *o, struct errand *e)
{
	char domain[IDNA_MAX];
	struct next_hop hop;
	struct destination *d;
	const char *at = strrchr(e->account, '@');

	errno = EINVAL;
	if (at == NULL || idna_to_ascii(at + 1, domain) == -1)
		return -1;
	if (next_hop_find(o->config, domain, &hop) == -1)
		return -1;
	d = destination_get(o, &hop);
	if (d == NULL)
		return -1;
	e->destination = d;
	e->is_sent = 0;
	TAILQ_INSERT_TAIL(&d->errands, e, link);
	if (d->waiting++ == 0) {
		d->moved = o->now;
		d->is_slow = 0;
	}
	return 0;
}

/*
 * Nobody can come for its letters now, and has not for some time: they shall
 * not take the places of those that others could have.
 */
static int
is_left_out(const struct destination *d)
{
	return d->is_slow && d->connections == 0 && d->mx == NULL &&
	    (!destination_may_go_on(d) || !room_is_there(d));
}

int
outbound_is_stuck(const struct errand *e)
{
	const struct destination *d = e->destination;

	if (d == NULL || e->is_sent || d->rest_until > d->outbound->now)
		return 0;
	if (is_left_out(d))
		return 1;
	/* The next letter stays, or a connection that is there is in vain. */
	return TAILQ_FIRST(&d->errands)->letter != e->letter &&
	    (d->is_slow || d->waiting > BACKLOG_LONG);
}

void
outbound_lift(const struct errand *e)
{
	e->destination->rest_until = 0;
}

void
outbound_withdraw(struct errand *e)
{
	TAILQ_REMOVE(&e->destination->errands, e, link);
	e->destination->waiting--;
	e->destination = NULL;
}

int
outbound_park(const struct errand *e, const struct spool_name *name)
{
	if (e->destination == NULL)
		return -1;
	return destination_park(e->destination,
	    sender_key(&e->letter->envelope), name);
}

void
outbound_forget_parked(struct outbound *o)
{
	struct destination *d;

	TAILQ_FOREACH(d, &o->busy, link)
		destination_unpark(d, SIZE_MAX, 0);
}

/* Do as many letters wait as are worth that many connections? */
static int
is_worth(const struct destination *d, size_t connections)
{
	const struct letter *letter = NULL;
	const struct errand *e;
	size_t n = 0;

	TAILQ_FOREACH(e, &d->errands, link) {
		if (e->letter == letter)
			continue;
		letter = e->letter;
		if (n++ == connections * LETTERS_EACH)
			return 1;
	}
	return 0;
}

/* One more connection: the first at once, others when letters pile up. */
static int
is_wanted(const struct destination *d, size_t coming)
{
	if (d->waiting == 0)
		return 0;
	if (d->connections == 0 || (coming == 0 &&
	    d->moved + STILL_MS <= d->outbound->now))
		return 1;
	return is_worth(d, d->connections);
}

/* Connections that are there for the next letter, or will be soon. */
static size_t
serve_idle(struct destination *d)
{
	struct connection *c, *next;
	size_t coming = 0;

	TAILQ_FOREACH_SAFE(c, &d->outbound->connections, link, next) {
		if (c->destination != d)
			continue;
		if (c->state == CONNECTION_IDLE && !connection_is_current(c))
			connection_close(c);
		else if (c->state == CONNECTION_IDLE)
			connection_send(c);
		else if (c->state != CONNECTION_SENDING && c->later_count == 0)
			coming++;
	}
	return coming;
}

/* Others that want a connection may have one: no more than a fair share. */
static void
share(struct outbound *o)
{
	const struct destination *d;
	size_t n = 0;

	TAILQ_FOREACH(d, &o->busy, link)
		n += d->waiting > 0;
	o->share = n > 0 ? OUTBOUND_QUICK / n : OUTBOUND_QUICK;
	if (o->share == 0)
		o->share = 1;
}

/* Is there room?  If not, those who could make some shall. */
static int
has_room(struct destination *d)
{
	if (room_is_there(d))
		return 1;
	d->outbound->short_count++;
	return 0;
}

static void
open_more(struct destination *d)
{
	struct outbound *o = d->outbound;
	size_t limit = d->limit, coming = 0, opened = 0, n;

	if (d->connections > 0)
		coming = serve_idle(d);
	/* One that is dead, or may be, costs a single probe. */
	if (d->failures > 0)
		limit = 1;
	if (limit > o->share)
		limit = o->share;
	while (d->mx == NULL && is_wanted(d, coming) &&
	    d->connections < limit && o->hold_until <= o->now && destination_is_resolved(d) &&
	    has_room(d)) {
		n = d->connections;
		/* One that is in vain at once: so would be the next. */
		if (connection_open(d) == NULL || d->connections == n)
			return;
		coming++;
		opened++;
	}
	/* Then it is others' turn. */
	if (opened > 0) {
		TAILQ_REMOVE(&o->busy, d, link);
		TAILQ_INSERT_TAIL(&o->busy, d, link);
	}
}

/* Nothing to do for it: what is known of it stays for a while. */
static void
make_quiet(struct destination *d)
{
	struct outbound *o = d->outbound;

	destination_unpark(d, SIZE_MAX, 1);
	TAILQ_REMOVE(&o->busy, d, link);
	TAILQ_INSERT_TAIL(&o->quiet, d, link);
	o->quiet_count++;
	d->is_quiet = 1;
}

/* Not what would only be parked again. */
static int
may_unpark(const struct destination *d)
{
	return d->waiting < BACKLOG_SHORT && d->mx == NULL &&
	    (d->waiting == 0 || !d->is_slow);
}

static void
run_one(struct destination *d)
{
	struct outbound *o = d->outbound;

	if (may_unpark(d))
		destination_unpark(d, UNPARK_MAX, 1);
	if (d->waiting > 0 && d->rest_until > o->now)
		destination_tell_all(d, &d->why);
	if (d->waiting > 0)
		destination_resolve(d);
	if (d->waiting > 0)
		open_more(d);
	if (d->waiting == 0 && d->connections == 0 && d->mx == NULL)
		make_quiet(d);
}

void
outbound_run(struct outbound *o, uint64_t now)
{
	struct destination *d, *next, *last;

	o->now = now;
	o->short_count = 0;
	share(o);
	last = TAILQ_LAST(&o->busy, destination_list);
	TAILQ_FOREACH_SAFE(d, &o->busy, link, next) {
		run_one(d);
		if (d == last)
			break;
	}
	if (o->short_count > 0)
		room_make(o);
}

void
outbound_channel(struct outbound *o, uint64_t tag, int fd, uint64_t now)
{
	struct connection *c;

	o->now = now;
	TAILQ_FOREACH(c, &o->connections, link)
		if (c->state == CONNECTION_ASKED && c->tag == tag)
			break;
	if (c != NULL)
		connection_relay(c, fd);
	else if (fd != -1)
		close(fd);
}

size_t
outbound_poll(struct outbound *o, struct pollfd *pfd)
{
	struct connection *c;
	size_t n = 0;

	TAILQ_FOREACH(c, &o->connections, link) {
		if (c->state == CONNECTION_ASKED)
			continue;
		o->watching[n] = c;
		pfd[n].fd = c->state == CONNECTION_OPENING ? c->sock :
		    c->relay;
		pfd[n].events = c->state == CONNECTION_OPENING ? POLLOUT :
		    POLLIN;
		pfd[n++].revents = 0;
	}
	o->watched = n;
	return n;
}

void
outbound_ready(struct outbound *o, const struct pollfd *pfd, uint64_t now)
{
	size_t i, n = o->watched;

	/* One can go only by its own descriptor: the others stay good. */
	o->now = now;
	o->watched = 0;
	for (i = 0; i < n; i++)
		if (pfd[i].revents != 0)
			connection_ready(o->watching[i]);
}

static uint64_t
slow_at(const struct destination *d)
{
	return d->is_slow || d->waiting == 0 ? UINT64_MAX :
	    d->moved + SLOW_MS;
}

static void
tell_slow(struct destination *d)
{
	struct errand *e;

	d->is_slow = 1;
	TAILQ_FOREACH(e, &d->errands, link)
		d->outbound->ops->slow(d->outbound->arg, e);
}

void
outbound_expire(struct outbound *o, uint64_t now)
{
	struct connection *c, *next;
	struct destination *d;

	o->now = now;
	TAILQ_FOREACH_SAFE(c, &o->connections, link, next)
		if (c->deadline <= now)
			connection_expire(c);
	TAILQ_FOREACH(d, &o->busy, link)
		if (slow_at(d) <= now)
			tell_slow(d);
}

uint64_t
outbound_next(const struct outbound *o)
{
	const struct connection *c;
	const struct destination *d;
	uint64_t next = o->short_count > 0 ? room_next(o) : UINT64_MAX;

	TAILQ_FOREACH(c, &o->connections, link)
		if (c->deadline < next)
			next = c->deadline;
	TAILQ_FOREACH(d, &o->busy, link) {
		if (slow_at(d) < next)
			next = slow_at(d);
		if (d->waiting > 0 && d->connections == 0 &&
		    destination_may_go_on(d) && o->hold_until < next &&
		    room_is_there(d))
			next = o->hold_until;
		if (d->waiting > 0 && d->connections > 0 &&
		    d->connections < d->limit && d->moved + STILL_MS > o->now &&
		    d->moved + STILL_MS < next)
			next = d->moved + STILL_MS;
	}
	return next;
}

int
outbound_is_sending(const struct outbound *o)
{
	const struct connection *c;

	TAILQ_FOREACH(c, &o->connections, link)
		if (c->state == CONNECTION_SENDING)
			return 1;
	return 0;
}

int
outbound_is_idle(const struct outbound *o)
{
	return TAILQ_EMPTY(&o->busy);
}

void
outbound_free(struct outbound *o)
{
	struct errand_result r = connection_result(DELIVERY_DEFERRED, "4.3.0",
	    "the queue ends");
	struct destination *d;

	while (!TAILQ_EMPTY(&o->connections))
		connection_close(TAILQ_FIRST(&o->connections));
	while ((d = TAILQ_FIRST(&o->busy)) != NULL) {
		destination_tell_all(d, &r);
		destination_free(d);
	}
	while ((d = TAILQ_FIRST(&o->quiet)) != NULL)
		destination_free(d);
}
