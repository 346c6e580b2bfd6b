/*
 * destination: a next hop: its line of errands, its addresses, and whether it
 * can be had.
 *
 * Runs in the queue, as queue-user; touches memory, and the resolver's channel
 * through mx.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "privsep/log.h"
#include "smtpd/connection.h"

#define CONNECTIONS_FIRST	2
#define CONNECTIONS_MAX		20	/* to one destination */
#define REST_MS_MAX		UINT64_C(1800000)
#define QUIET_MAX		10000	/* about 3 kB each */
#define NOTHING_MS	30000	/* while there are connections all the same */
/*
 * Destinations.  More than DNS_CROWD, so that slow answers, one for each, have
 * their places for DNS_CROWD_MS only, and less than DNS_ASKED_MAX, so that a
 * quick one's questions find room beside them.
 */
#define RESOLVING_MAX		80

static void
forget_addresses(struct destination *d)
{
	hosts_release(d->hosts);
	d->hosts = NULL;
	d->fresh_until = 0;
}

void
destination_free(struct destination *d)
{
	struct outbound *o = d->outbound;

	if (d->mx != NULL) {
		mx_cancel(d->mx);
		o->resolving--;
	}
	destination_unpark(d, SIZE_MAX, 1);
	forget_addresses(d);
	TAILQ_REMOVE(d->is_quiet ? &o->quiet : &o->busy, d, link);
	o->quiet_count -= d->is_quiet != 0;
	TAILQ_REMOVE(&o->buckets[outcome_key(d->hop.key) % OUTBOUND_BUCKETS],
	    d, bucket);
	free(d);
}

/* What is known of the longest quiet goes, so that there are never many. */
static void
make_room(struct outbound *o)
{
	while (o->quiet_count >= QUIET_MAX)
		destination_free(TAILQ_FIRST(&o->quiet));
}

struct destination *
destination_get(struct outbound *o, const struct next_hop *hop)
{
	struct destination_list *bucket =
	    &o->buckets[outcome_key(hop->key) % OUTBOUND_BUCKETS];
	struct destination *d;
	size_t i;

	TAILQ_FOREACH(d, bucket, bucket)
		if (strcmp(d->hop.key, hop->key) == 0)
			break;
	if (d != NULL && !d->is_quiet)
		return d;
	if (d != NULL) {
		TAILQ_REMOVE(&o->quiet, d, link);
		o->quiet_count--;
	} else {
		d = calloc(1, sizeof(*d));
		if (d == NULL)
			return NULL;
		d->outbound = o;
		d->hop = *hop;
		d->limit = CONNECTIONS_FIRST;
		TAILQ_INIT(&d->errands);
		for (i = 0; i < PARKED_LINES; i++)
			STAILQ_INIT(&d->parked[i]);
		TAILQ_INSERT_TAIL(bucket, d, bucket);
		make_room(o);
	}
	d->is_quiet = 0;
	d->moved = o->now;
	TAILQ_INSERT_TAIL(&o->busy, d, link);
	return d;
}

size_t
destination_take(struct destination *d, struct errand **batch, size_t max)
{
	const struct letter *letter = NULL;
	struct errand *e;
	size_t n = 0;

	while (n < max && (e = TAILQ_FIRST(&d->errands)) != NULL &&
	    (n == 0 || (e->letter == letter &&
	    e->is_rewritten == batch[0]->is_rewritten))) {
		letter = e->letter;
		TAILQ_REMOVE(&d->errands, e, link);
		d->waiting--;
		e->is_sent = 1;
		batch[n++] = e;
	}
	d->moved = d->outbound->now;
	d->is_slow = 0;
	return n;
}

void
destination_return(struct destination *d, struct errand *e)
{
	e->is_sent = 0;
	TAILQ_INSERT_HEAD(&d->errands, e, link);
	d->waiting++;
}

void
destination_tell(struct destination *d, struct errand *e,
    const struct errand_result *r)
{
	e->destination = NULL;
	e->is_sent = 0;
	d->outbound->ops->done(d->outbound->arg, e, r);
}

void
destination_tell_all(struct destination *d, const struct errand_result *r)
{
	struct errand *e;

	while ((e = TAILQ_FIRST(&d->errands)) != NULL) {
		TAILQ_REMOVE(&d->errands, e, link);
		d->waiting--;
		destination_tell(d, e, r);
	}
	d->moved = d->outbound->now;
	d->is_slow = 0;
}

int
destination_park(struct destination *d, uint64_t sender,
    const struct spool_name *name)
{
	struct aside *a;

	if (d->parked_count >= OUTBOUND_PARKED ||
	    (a = malloc(sizeof(*a))) == NULL)
		return -1;
	a->name = *name;
	STAILQ_INSERT_TAIL(&d->parked[sender % PARKED_LINES], a, link);
	d->parked_count++;
	return 0;
}

/* One of each line in turn, so that nobody waits for all of a flood. */
void
destination_unpark(struct destination *d, size_t max, int tell)
{
	struct aside *a;
	size_t line;

	while (max > 0 && d->parked_count > 0) {
		line = d->parked_turn++ % PARKED_LINES;
		a = STAILQ_FIRST(&d->parked[line]);
		if (a == NULL)
			continue;
		STAILQ_REMOVE_HEAD(&d->parked[line], link);
		d->parked_count--;
		max--;
		if (tell)
			d->outbound->ops->unpark(d->outbound->arg, &a->name);
		free(a);
	}
}

/*
 * Half of what a letter waits after as many tries: whoever comes later for
 * the first time is told at once, and who has waited may be the probe.
 */
static uint64_t
rest_ms(const struct destination *d)
{
	const struct config *c = d->outbound->config;
	size_t i = d->failures - 1;
	uint64_t ms;

	if (c->retry_count == 0)
		return 0;
	if (i >= c->retry_count)
		i = c->retry_count - 1;
	ms = (uint64_t)c->retry_schedule[i] * 1000 / 2;
	return ms < REST_MS_MAX ? ms : REST_MS_MAX;
}

void
destination_failed(struct destination *d, const struct errand_result *why,
    int is_permanent)
{
	char host[LOG_VALUE_MAX], text[LOG_VALUE_MAX];

	if (d->connections > 0) {
		/* Others have one: not so many at once, then. */
		d->limit = d->connections;
		return;
	}
	forget_addresses(d);
	d->limit = CONNECTIONS_FIRST;
	d->why = *why;
	d->rest_until = 0;
	if (!is_permanent) {
		d->failures++;
		d->rest_until = d->outbound->now + rest_ms(d);
	}
	log_event(LOG_NOTICE, 0, "event=unreachable destination=%s "
	    "status=%s text=%s", log_value(d->hop.key, host), why->status,
	    log_value(why->text, text));
	destination_tell_all(d, why);
}

void
destination_succeeded(struct destination *d, int is_quick)
{
	d->standing = is_quick ? STANDING_QUICK : STANDING_SLOW;
	d->failures = 0;
	d->rest_until = 0;
	if (d->limit < CONNECTIONS_MAX)
		d->limit++;
}

void
destination_tired(struct destination *d)
{
	d->limit = d->limit > 1 ? d->limit / 2 : 1;
}

static void
resolved(void *arg, const struct mx_result *r)
{
	struct destination *d = arg;
	struct hosts *old = d->hosts;
	struct errand_result why;

	d->outbound->resolving -= d->mx != NULL;
	d->mx = NULL;
	if (r->kind != OUTCOME_DELIVERED) {
		why = connection_result(r->kind == OUTCOME_FAILED ?
		    DELIVERY_FAILED : DELIVERY_DEFERRED, r->status, r->text);
		forget_addresses(d);
		d->fresh_until = d->outbound->now + NOTHING_MS;
		destination_failed(d, &why, r->kind == OUTCOME_FAILED);
		return;
	}
	d->hosts = hosts_new(r, old);
	hosts_release(old);
	d->fresh_until = d->outbound->now + (uint64_t)r->ttl * 1000;
}

int
destination_is_resolved(const struct destination *d)
{
	return d->hosts != NULL;
}

int
destination_may_go_on(const struct destination *d)
{
	return d->mx == NULL && (d->hosts != NULL ||
	    d->outbound->resolving < RESOLVING_MAX);
}

void
destination_resolve(struct destination *d)
{
	static struct mx_result r;	/* too large for a stack */
	struct outbound *o = d->outbound;

	/* Nor is it asked all the time for what connections have no need of. */
	if (d->mx != NULL || (d->fresh_until > o->now &&
	    (d->hosts != NULL || d->connections > 0)))
		return;
	if (mx_is_known(o->config, &d->hop, &r)) {
		resolved(d, &r);
		return;
	}
	if (o->resolving >= RESOLVING_MAX)
		return;		/* in turns */
	d->mx = mx_start(o->dns, o->config, &d->hop, resolved, d, o->now);
	if (d->mx == NULL)
		fatal("out of memory");
	o->resolving++;
}
