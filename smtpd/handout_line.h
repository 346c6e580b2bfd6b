/*
 * handout_line: one account's line of errands, and its channel.  For handout.c,
 * handout_line.c and handout_talk.c only.  now is monotonic, in ms.
 */
#ifndef SMTPD_HANDOUT_LINE_H
#define SMTPD_HANDOUT_LINE_H

#include "smtpd/account.h"
#include "smtpd/handout.h"

enum line_state {
	LINE_WANTING,
	LINE_ASKED,
	LINE_IDENTIFY,
	LINE_DELIVER,
	LINE_UNSETTLED,
	LINE_IDLE		/* has no letter, and waits for the next */
};

struct parked {
	STAILQ_ENTRY(parked)	link;
	struct spool_name	name;
};

struct line {
	TAILQ_ENTRY(line)	 link;		/* wanting or active */
	TAILQ_ENTRY(line)	 bucket;
	enum line_state		 state;
	int			 fd;		/* the channel, or -1 */
	uint64_t		 tag;
	uint64_t		 since;		/* of the state, monotonic ms */
	uint64_t		 deadline;	/* of the state; WANTING: not
						 * before */
	int			 is_slow;	/* in this state */
	uint64_t		 wait_ms;	/* last wait for a channel */
	size_t			 served;	/* letters on this channel */
	int			 has_delivered;	/* one of them, or more */
	size_t			 waiting;	/* errands in line */
	struct errand		*current;	/* DELIVER, UNSETTLED */
	struct errand_list	 errands;
	STAILQ_HEAD(, parked)	 parked;
	char			 account[ACCOUNT_LIMIT + 1];
	char			 own[ACCOUNT_LIMIT + 1];	/* login's name for
						 * it, or "": the same */
	char			 digest[PROGRAM_DIGEST_MAX];	/* or "" */
};

/* The line of such an errand; NULL: none. */
struct line *line_find(const struct handout *, const struct errand *);
/* Found or made; NULL with errno. */
struct line *line_get(struct handout *, const struct errand *);
/* Let at most max parked letters go, and tell the owner unless told not to. */
void	line_unpark(struct handout *, struct line *, size_t max, int tell);
/* Back to the end of those who want a channel, without one. */
void	line_close(struct handout *, struct line *, uint64_t not_before);
/* The same, or the line's end if nobody is in it any more. */
void	line_close_or_free(struct handout *, struct line *,
	    uint64_t not_before);
/* For so many ms at most. */
void	line_set_state(struct line *, enum line_state, uint64_t now,
	    uint64_t patience);
/* When it will be slow; UINT64_MAX: it is, or nobody is waited for. */
uint64_t line_slow_at(const struct line *);

/*
 * handout_talk.c.  Begin to talk on a new channel.  It and all below may free
 * the line.
 */
void	line_identify(struct handout *, struct line *, uint64_t now);
/* The channel is free: the next letter, or the end of it. */
void	line_next(struct handout *, struct line *, uint64_t now);
void	line_settle(struct handout *, struct line *, const char *id,
	    uint64_t now);
/* The channel is readable, or its peer gone. */
void	line_heard(struct handout *, struct line *, uint64_t now);
/* The channel ended in mid-talk, or was silent beyond the deadline. */
void	line_broken(struct handout *, struct line *, const char *why,
	    int is_silent, uint64_t now);

#endif
