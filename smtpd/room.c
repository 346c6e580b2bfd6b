/*
 * room: which destination may have a connection more, and which connection
 * must end so that others find room.
 *
 * Runs in the queue, as queue-user; touches memory, and ends channels to
 * relays.
 *
 * A connection that waits for another letter, and there is none, waits only as
 * long as nobody wants its place.
 *
 * A connection that has not got on for some seconds is slow.  It does not
 * count among the quick ones any more, so that others can have its place; but
 * where others wait and too many are slow, the one that has been waited for
 * longest breaks off.  Quick places are not the same for all: whose hosts have
 * taken a letter quickly finds some that strangers can't have, and who was
 * slow of late has half of them.  So any number of hosts that greet nobody
 * costs those that do only seconds.  A host that has the end of a letter and
 * says nothing can't be told to break off: the letter would be sent twice, and
 * it has ten minutes (RFC 5321 section 4.5.3.2.6).  So that any number of those
 * costs only strangers more than that, some places are never theirs.
 */
#include <stdint.h>

#include "smtpd/connection.h"
#include "smtpd/room.h"

#define SLOW_MAX	50	/* while others wait */
#define ROOM_STRANGER	(OUTBOUND_QUICK * 3 / 4)
#define ROOM_SLOW	(OUTBOUND_QUICK / 2)
#define KEPT		25	/* of all, for hosts that have been quick */

static int
is_slow(const struct connection *c)
{
	return c->slow_at <= c->destination->outbound->now;
}

static size_t
count_slow(const struct outbound *o)
{
	const struct connection *c;
	size_t n = 0;

	TAILQ_FOREACH(c, &o->connections, link)
		n += is_slow(c) != 0;
	return n;
}

static int
is_known_quick(const struct destination *d)
{
	return d->failures == 0 && d->standing == STANDING_QUICK;
}

static size_t
places(const struct destination *d)
{
	if (is_known_quick(d))
		return OUTBOUND_QUICK;
	return d->failures > 0 || d->standing == STANDING_SLOW ? ROOM_SLOW :
	    ROOM_STRANGER;
}

static size_t
all_places(const struct destination *d)
{
	return is_known_quick(d) ? OUTBOUND_CONNECTIONS :
	    OUTBOUND_CONNECTIONS - KEPT;
}

int
room_is_there(const struct destination *d)
{
	const struct outbound *o = d->outbound;

	return o->connection_count < all_places(d) &&
	    o->connection_count - count_slow(o) < places(d);
}

/* That can still break off, and has been in its state longest. */
static struct connection *
slowest(const struct outbound *o)
{
	struct connection *c, *found = NULL;

	TAILQ_FOREACH(c, &o->connections, link)
		if (is_slow(c) && !c->is_hurried &&
		    c->state != CONNECTION_ASKED && (found == NULL ||
		    c->since < found->since))
			found = c;
	return found;
}

/* That has been without a letter longest. */
static struct connection *
idlest(const struct outbound *o)
{
	struct connection *c, *found = NULL;

	TAILQ_FOREACH(c, &o->connections, link)
		if (c->state == CONNECTION_IDLE &&
		    c->destination->waiting == 0 && (found == NULL ||
		    c->since < found->since))
			found = c;
	return found;
}

void
room_make(struct outbound *o)
{
	struct connection *c;
	size_t n;

	for (n = o->short_count; n > 0 && (c = idlest(o)) != NULL; n--)
		connection_close(c);
	n = count_slow(o);
	while (n-- > SLOW_MAX && (c = slowest(o)) != NULL)
		connection_hurry(c);
}

uint64_t
room_next(const struct outbound *o)
{
	const struct connection *c;
	uint64_t next = UINT64_MAX;

	TAILQ_FOREACH(c, &o->connections, link)
		if (!is_slow(c) && c->slow_at < next)
			next = c->slow_at;
	return next;
}
