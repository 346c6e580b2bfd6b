/*
 * maildrop: the worker's view of the maildrop: the index that the agent gave,
 * what is marked as deleted, and messages fetched ahead of their turn.
 * Message numbers are the client's, from 1.
 */
#ifndef POP3D_MAILDROP_H
#define POP3D_MAILDROP_H

#include <stddef.h>
#include <stdint.h>

#include "../mailbox/mailbox.h"
#include "gates.h"

/* Where a message's content is, as stored (LF line ends). */
struct fetched {
	enum pop3_fetch	verdict;
	int		fd;		/* if FETCH_OK */
	uint64_t	offset;
	uint64_t	length;
	enum mailbox_content content;
	uint64_t	stamp;		/* gates.h; 0: always good */
};

struct maildrop {
	int		 gate;
	int		 index;		/* memfd, or -1 while not open */
	uint32_t	 count;		/* messages, deleted ones too */
	uint32_t	 left;		/* not marked as deleted */
	uint64_t	 octets;	/* of all */
	uint64_t	 octets_left;	/* of those */
	uint8_t		*deleted;	/* bitmap */
	uint32_t	 last;		/* fetched last, 0 none */
	uint32_t	 run;		/* messages to fetch ahead */
	uint32_t	 ahead_first;	/* number of ahead[0] */
	uint32_t	 ahead_count;
	struct fetched	 ahead[POP3_FETCH_MAX];
	uint32_t	 asked_first;	/* what was asked for and not taken */
	uint32_t	 asked_count;	/* 0: nothing */
};

/* Everything returns 0, or -1 with errno: gate or memory failed. */

/* Ask for it; the answer comes by the gate, and may take a while. */
int	maildrop_ask(struct maildrop *, int gate);
/* Take the answer.  It is open if *verdict is OPEN_OK. */
int	maildrop_open(struct maildrop *, enum pop3_open *verdict);
void	maildrop_close(struct maildrop *);

/* count index entries from message first on, count at most MAILDROP_BLOCK. */
#define MAILDROP_BLOCK	50
int	maildrop_read(const struct maildrop *, uint32_t first, uint32_t count,
	    struct mailbox_message *);

int	maildrop_is_deleted(const struct maildrop *, uint32_t number);
int	maildrop_delete(struct maildrop *, uint32_t number);
void	maildrop_reset(struct maildrop *);

/*
 * A message's content; the descriptor is the caller's.  Others are fetched
 * ahead when messages are asked for in order, at once if more_waits; and the
 * agent opens the next ones while these are sent.
 */
int	maildrop_fetch(struct maildrop *, uint32_t number, int more_waits,
	    struct fetched *);
/*
 * After its content was read: was it there all the time?  A new message behind
 * it changes nothing; a file that another program rewrote does.
 */
int	maildrop_is_unchanged(struct maildrop *, uint32_t number,
	    const struct fetched *);

/*
 * It is not as long as listed: the last thing that can be said of it, or of
 * any.
 */
int	maildrop_recount(struct maildrop *, uint32_t number);

/*
 * Remove what is marked; 0 and *failed are still there.  With may_expire the
 * agent is asked even if nothing is: it knows what is too old.
 */
int	maildrop_expunge(struct maildrop *, int may_expire, uint32_t *failed);

/* The gates themselves (stubs.c).  The descriptors are the caller's. */
int	ask_open(int gate);
int	take_open(int gate, enum pop3_open *verdict, uint32_t *count,
	    uint64_t *octets, int *index);
/* Ask for them; take what was asked for, before any other gate is used. */
int	ask_fetch(int gate, uint32_t first, uint32_t count);
int	take_fetch(int gate, uint32_t count, struct fetched *);
int	ask_recount(int gate, uint32_t number);
int	ask_expunge(int gate, const uint8_t *bitmap, size_t len,
	    uint32_t *failed);

#endif
