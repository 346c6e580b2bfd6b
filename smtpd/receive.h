/*
 * receive: a message's content, on its way from the connection down the
 * agent's pipe: what DATA (receive.c) and BDAT (bdat.c) have in common.  The
 * state of it is session->receive.
 */
#ifndef SMTPD_RECEIVE_H
#define SMTPD_RECEIVE_H

#include "session.h"

enum receive_outcome {
	RECEIVE_GOOD,
	RECEIVE_GONE,		/* the client closed, or the connection broke */
	RECEIVE_TIMEOUT,
	RECEIVE_SHUTDOWN,
	RECEIVE_SLOW,
	RECEIVE_FAR_TOO_BIG
};

/*
 * Ask the agent for its pipe.  1: it is there; 0: the verdict says why not;
 * -1: the gate failed, and the session is over.
 */
int	receive_open(struct session *, int is_chunked, struct verdict *);

/* The next octets of the stream. */
enum receive_outcome receive_chunk(struct session *, const uint8_t **,
	    size_t *);
/* Take in octets of the stream; returns how many were content or framing. */
size_t	receive_take(struct session *, const uint8_t *, size_t);
/* BDAT: that was all of it; what is held back follows. */
void	receive_end(struct session *);
/* Nothing stays gathered here. */
void	receive_flush(struct session *);

/* Would so many octets of content be more than we read to their end? */
int	receive_is_far_too_big(const struct session *, uint64_t octets);
/* Is whoever sent that many octets since then only keeping us busy? */
int	receive_is_slow(uint64_t octets, time_t since);

/*
 * In sync with the client the transaction ends: after the last piece, with a
 * reply for each recipient where it is LMTP, or at one that spoilt it.
 */
void	receive_conclude(struct session *, int is_last);
/* The end was not seen: there is no way back to commands. */
void	receive_give_up(struct session *, enum receive_outcome);

#endif
