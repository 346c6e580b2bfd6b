/*
 * outbound: letters to other hosts.  A destination for each next hop, with its
 * line of errands, its addresses, and a few connections.
 *
 *	errands of one letter ─┐
 *	                       ├─ destination ─┬─ connection: socket, relay process
 *	errands of another ────┘               └─ connection
 *
 * Nothing here waits: sockets are connected without blocking, relays and the
 * resolver answer through poll(), every state has a deadline.  A relay tells
 * what became of its own letter and nothing else; its texts are made
 * printable and cut (C5).
 *
 * A destination whose hosts could all not be had rests, longer each time.
 * Whatever is due for it meanwhile is deferred without a try; then one
 * connection probes it.
 */
#ifndef SMTPD_OUTBOUND_H
#define SMTPD_OUTBOUND_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "smtpd/dns_ask.h"
#include "smtpd/handout.h"

#define OUTBOUND_CONNECTIONS	200	/* at once, to all destinations */
#define OUTBOUND_QUICK	100	/* of them, not counting slow ones */
#define OUTBOUND_PARKED	10000	/* letters set aside for one destination */

struct outbound_ops {
	/* Ask the master for a relay: CH_NEED_RELAY; -1: not now. */
	int	(*need)(void *arg, uint64_t tag);
	/* An errand is out of our hands; its owner may free it. */
	void	(*done)(void *arg, struct errand *,
		    const struct errand_result *);
	/* A parked letter may come again. */
	void	(*unpark)(void *arg, const struct spool_name *);
	/* The errand waits in a line that does not move, or is too long. */
	void	(*slow)(void *arg, struct errand *);
};

struct destination;
struct connection;
TAILQ_HEAD(destination_list, destination);
TAILQ_HEAD(connection_list, connection);
#define OUTBOUND_BUCKETS 4096

struct outbound {
	const struct outbound_ops *ops;
	void			*arg;
	const struct config	*config;
	struct dns_client	*dns;
	uint64_t		 now;		/* monotonic ms, of this turn */
	uint64_t		 next_tag;
	uint64_t		 hold_until;	/* no relay can be had */
	size_t			 connection_count;
	size_t			 share;		/* of each that has letters */
	size_t			 short_count;	/* wait for a connection */
	size_t			 resolving;	/* destinations */
	size_t			 watched;	/* of the last outbound_poll() */
	struct connection	*watching[OUTBOUND_CONNECTIONS];
	struct connection_list	 connections;	/* to all destinations */
	struct destination_list	 busy;		/* in turns */
	struct destination_list	 quiet;		/* what is known of others; the
						 * longest quiet first */
	size_t			 quiet_count;
	struct destination_list	 buckets[OUTBOUND_BUCKETS];
};

/* dns: the caller's, who polls and runs it. */
void	outbound_init(struct outbound *, const struct outbound_ops *,
	    void *arg, const struct config *, struct dns_client *);
/*
 * Put an errand (whose account is "local@domain") in its destination's line.
 * -1 with errno: ENOMEM, or EINVAL for what has no domain.
 */
int	outbound_add(struct outbound *, struct errand *);
/* Does it wait behind so many others that it had better come again? */
int	outbound_is_stuck(const struct errand *);
/* Its destination is tried now, even if it rests. */
void	outbound_lift(const struct errand *);
/* Take an errand that waits out of its line. */
void	outbound_withdraw(struct errand *);
/* Remember a letter until that errand's line is short again; -1: too many. */
int	outbound_park(const struct errand *, const struct spool_name *);
/* Forget what is parked: the spool is about to be read anew. */
void	outbound_forget_parked(struct outbound *);
/*
 * After all outcomes of the turn are on record: open connections, send the next
 * letters, tell what could not be tried.
 */
void	outbound_run(struct outbound *, uint64_t now);
/* The master's answer; fd -1: not now.  The descriptor is taken over. */
void	outbound_channel(struct outbound *, uint64_t tag, int fd,
	    uint64_t now);
/* Fill pfd (room for OUTBOUND_CONNECTIONS); how many. */
size_t	outbound_poll(struct outbound *, struct pollfd *);
/* After poll(), with the same array; then what is late. */
void	outbound_ready(struct outbound *, const struct pollfd *,
	    uint64_t now);
void	outbound_expire(struct outbound *, uint64_t now);
/* When outbound_expire() or outbound_run() has something to do. */
uint64_t outbound_next(const struct outbound *);
/* Does any host have a letter that it has not answered yet? */
int	outbound_is_sending(const struct outbound *);
/* Is nothing waiting or under way? */
int	outbound_is_idle(const struct outbound *);
/* At the end of tests: drop everything; errands are given back, deferred. */
void	outbound_free(struct outbound *);

#endif
