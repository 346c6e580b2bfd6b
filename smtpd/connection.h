/*
 * connection: one connection to a destination, and the destination as far as
 * its connections know it.  For outbound.c, destination.c and connection.c
 * only.  All times are monotonic ms.
 */
#ifndef SMTPD_CONNECTION_H
#define SMTPD_CONNECTION_H

#include "smtpd/hosts.h"
#include "smtpd/mx.h"
#include "smtpd/outbound.h"
#include "smtpd/relay_gate.h"

#define BATCH_MAX	50	/* recipients of one transaction */
#define CONNECTION_SLOW	"the host is too slow, and other letters wait"

#define PARKED_LINES	16	/* a flood is in one of them */

struct aside {
	STAILQ_ENTRY(aside)	 link;
	struct spool_name	 name;
};

enum standing {			/* what is known of its hosts */
	STANDING_NONE,
	STANDING_QUICK,		/* took a letter quickly */
	STANDING_SLOW		/* were waited for */
};

struct destination {
	TAILQ_ENTRY(destination) link;		/* busy or quiet */
	TAILQ_ENTRY(destination) bucket;
	struct outbound		*outbound;
	struct next_hop		 hop;
	int			 is_quiet;
	/* its addresses */
	struct mx		*mx;		/* being asked for, or NULL */
	struct hosts		*hosts;		/* or NULL */
	uint64_t		 fresh_until;	/* or that there are none */
	/* its line */
	struct errand_list	 errands;
	size_t			 waiting;
	uint64_t		 moved;		/* when somebody left it */
	int			 is_slow;
	STAILQ_HEAD(, aside)	 parked[PARKED_LINES];	/* by sender */
	size_t			 parked_count;
	size_t			 parked_turn;	/* whose next one comes */
	/* its connections */
	size_t			 connections;
	size_t			 limit;
	enum standing		 standing;
	unsigned		 failures;	/* in a row */
	uint64_t		 rest_until;
	struct errand_result	 why;		/* of the last failure */
};

enum connection_state {
	CONNECTION_OPENING,	/* the socket, to one address after another */
	CONNECTION_ASKED,	/* for a relay */
	CONNECTION_GREETING,
	CONNECTION_IDLE,
	CONNECTION_SENDING
};

struct connection {
	TAILQ_ENTRY(connection)	 link;
	struct destination	*destination;
	enum connection_state	 state;
	int			 sock;		/* to the host, or -1 */
	int			 relay;		/* to who speaks there, or -1 */
	uint64_t		 tag;
	uint64_t		 since;		/* of the state, and address */
	uint64_t		 deadline;	/* of the state */
	uint64_t		 slow_at;	/* of the greeting, or a letter */
	int			 is_hurried;	/* its relay breaks off */
	uint64_t		 last_try;	/* no further address later */
	struct hosts		*hosts;		/* when it began */
	size_t			 address;	/* the one in use */
	uint64_t		 tried;		/* a bit for each */
	int			 in_clear;	/* TLS with it has failed */
	int			 is_tired;	/* the host has ended it */
	size_t			 refusals;	/* addresses that said 5xx */
	struct errand_result	 why;		/* of the last one in vain */
	int			 has_dsn;
	unsigned		 served;	/* letters */
	size_t			 batch_count;
	struct errand		*batch[BATCH_MAX];	/* NULL: answered */
	unsigned		 moves;		/* to other hosts, with what the
						 * ones before had put off: */
	size_t			 later_count;
	struct errand		*later[BATCH_MAX];	/* why is their own */
};

/* destination.c */
struct destination *destination_get(struct outbound *,
	    const struct next_hop *);
/*
 * The first letter's errands, at most max, and with one reverse-path, are the
 * caller's: how many.
 */
size_t	destination_take(struct destination *, struct errand **, size_t max);
/* Back to the head of the line. */
void	destination_return(struct destination *, struct errand *);
void	destination_tell(struct destination *, struct errand *,
	    const struct errand_result *);
/* Everybody in line is told the same. */
void	destination_tell_all(struct destination *,
	    const struct errand_result *);
/* Remember a letter of that sender; -1: too many are. */
int	destination_park(struct destination *, uint64_t sender,
	    const struct spool_name *);
/* Let at most max parked letters come again, and tell the owner unless not. */
void	destination_unpark(struct destination *, size_t max, int tell);
/* Ask for its addresses, if they are not known, or not any more. */
void	destination_resolve(struct destination *);
int	destination_is_resolved(const struct destination *);
/* Is there something to do for it, if there is room? */
int	destination_may_go_on(const struct destination *);
/* The hosts could not be had: rest, if no other connection has one. */
void	destination_failed(struct destination *,
	    const struct errand_result *, int is_permanent);
/* A letter has arrived, sooner or later. */
void	destination_succeeded(struct destination *, int is_quick);
/* A host ends a connection in mid-letter: half as many, until it takes some. */
void	destination_tired(struct destination *);
void	destination_free(struct destination *);

/* connection.c */
struct connection *connection_open(struct destination *);
/* The master's answer.  It may free the connection, as may all below. */
void	connection_relay(struct connection *, int fd);
void	connection_ready(struct connection *);
void	connection_expire(struct connection *);
/*
 * It has had its time, and others wait: break off, unless the end of a letter
 * is on its way.
 */
void	connection_hurry(struct connection *);
/* IDLE only: is its host one of the destination's by now, too? */
int	connection_is_current(struct connection *);
/* What was not answered is given back. */
void	connection_close(struct connection *);
/* For so many ms at most. */
void	connection_set_state(struct connection *, enum connection_state,
	    uint64_t patience);
/* relay-timeout, in ms. */
uint64_t connection_patience(const struct connection *);
/* The one in use; the caller's as long as the connection is. */
const struct mx_address *connection_address(const struct connection *);
/* It is in vain, and not used again for a while. */
void	connection_avoid(struct connection *, const struct errand_result *why);
void	connection_avoid_for(struct connection *, const char *what, int error);
/* To the address in use: 0, or -1 with errno. */
int	connection_start(struct connection *);
/* Set the clocks of a way to a host: until when it may be tried. */
void	connection_begin(struct connection *);
/* To the next one, or give up. */
void	connection_try_next(struct connection *);
/* Let socket and relay go. */
void	connection_shut(struct connection *);
/* Printable, cut, and with a status of that class: what a stranger said. */
struct errand_result connection_result(enum delivery_verdict,
	    const char *status, const char *text);

/* connection_later.c: what one mail exchanger puts off another may take. */

/*
 * The host in use has put that errand off at that relay_stage: 0, and it waits
 * for the next host; or -1: there is none, or no use in it.
 */
int	connection_put_off(struct connection *, struct errand *,
	    uint32_t stage, const struct errand_result *);
/* Go there with all that is put off. */
void	connection_move(struct connection *);
/* No other host is to be had. */
void	connection_tell_later(struct connection *);

/* connection_talk.c */
/* Give the socket to the relay: 0, or -1 with errno. */
int	connection_greet(struct connection *);
/* IDLE only: send the next letter in line. */
void	connection_send(struct connection *);
/* The relay has something to say, or has ended. */
void	connection_heard(struct connection *);
/* The host takes no letters: the next address, or the same without TLS. */
void	connection_refused(struct connection *, uint32_t relay_verdict,
	    uint32_t code, const char *status, const char *text);

#endif
