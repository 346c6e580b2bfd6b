/*
 * connection_later: what one mail exchanger puts off another may take (RFC 5321
 * section 5.1), in the same attempt: else a backup is of no use while the best
 * host answers, but is full or has no name server.
 *
 * Runs in the queue, as queue-user; touches memory.
 *
 * The connection goes on to the next host with what the one before has put off,
 * and ends there: other letters begin with the best host.  Other addresses of
 * the same host are not asked, nor very many hosts: who is put off for a while
 * because nobody knows him here is a stranger to all of them.
 */
#include <stdlib.h>
#include <string.h>

#include "smtpd/connection.h"

#define MOVES_MAX	2	/* hosts after the first */

/* Is this address of the host in use? */
static int
is_same_host(const struct connection *c, size_t i)
{
	return strcmp(c->hosts->addresses[i].host,
	    connection_address(c)->host) == 0;
}

static int
has_another_host(const struct connection *c)
{
	size_t i;

	for (i = 0; i < c->hosts->count; i++)
		if ((c->tried & UINT64_C(1) << i) == 0 && !is_same_host(c, i))
			return 1;
	return 0;
}

int
connection_put_off(struct connection *c, struct errand *e, uint32_t stage,
    const struct errand_result *r)
{
	/* If it may have arrived it must not go to two hosts. */
	if (r->verdict != DELIVERY_DEFERRED || stage == RELAY_AT_START ||
	    (stage == RELAY_AT_END && r->code == 0) || c->is_hurried ||
	    c->moves == MOVES_MAX || !has_another_host(c))
		return -1;
	e->why = malloc(sizeof(*e->why));
	if (e->why == NULL)
		return -1;
	*e->why = *r;
	c->later[c->later_count++] = e;
	return 0;
}

void
connection_move(struct connection *c)
{
	size_t i;

	for (i = 0; i < c->hosts->count; i++)
		if (is_same_host(c, i))
			c->tried |= UINT64_C(1) << i;
	c->moves++;
	c->batch_count = 0;
	c->is_tired = 0;
	connection_begin(c);
	connection_try_next(c);
}

void
connection_tell_later(struct connection *c)
{
	struct errand_result r;
	struct errand *e;
	size_t i;

	for (i = 0; i < c->later_count; i++) {
		e = c->later[i];
		r = *e->why;
		free(e->why);
		e->why = NULL;
		destination_tell(c->destination, e, &r);
	}
	c->later_count = 0;
}
