/*
 * gates: what a privileged side can be asked, as one constant table.
 *
 * A gate is a request, the states in which it is allowed, its bounds and its
 * handler.  gate_find() is a pure function of table, state and message, so
 * that a test can walk every request through every state; gates_serve() runs
 * a session on it.  A request that the table does not allow ends the session.
 */
#ifndef PRIVSEP_GATES_H
#define PRIVSEP_GATES_H

#include <stddef.h>
#include <stdint.h>

#include "message.h"

#define IN_STATE(s)	(1U << (s))
#define STATE_END	(-1)	/* a handler's: the session is over, in order */
#define STATE_FAULT	(-2)	/* a handler's: the peer broke the rules */

struct gate {
	uint32_t	 request;
	const char	*name;		/* as in logs and tests */
	uint32_t	 states;	/* IN_STATE() bits in which it is legal */
	int		 once;		/* at most once a session */
	int		 descriptors;	/* exactly so many ride along */
	size_t		 min_size;	/* octets of fields, inclusive */
	size_t		 max_size;
	/*
	 * Decodes the rest of the request, acts, replies on sock, and returns
	 * the next state, STATE_END or STATE_FAULT.  The caller discards the
	 * request afterwards.
	 */
	int		(*handler)(void *session, int sock,
			    struct message *request);
};

struct gate_table {
	const char		*service;	/* as in logs */
	const struct gate	*gates;
	size_t			 count;		/* at most 32 */
	int			 first_state;
};

/*
 * The gate that a received message may pass in this state, or NULL.  used has
 * bit i set when gates[i] was used before in this session.
 */
const struct gate *gate_find(const struct gate_table *, int state,
	    uint32_t used, const struct message *);

/*
 * Serve requests until the peer closes (0), a handler ends the session (0),
 * the peer breaks the rules (-1, EPROTO) or is silent for idle_ms (-1,
 * ETIMEDOUT; idle_ms -1: no limit).
 */
int	gates_serve(const struct gate_table *, void *session, int sock,
	    int idle_ms);

#endif
