/*
 * schedule: which letter is due when.  Names in bounded memory: the spool is
 * the truth, this is the soonest part of it.
 *
 * There are three kinds: what has just come, or is asked for; what was found in
 * the spool, and was never deferred; and what was.  Those that are due come in
 * turns: a million that are tried again hold up nobody's new letter, nor do as
 * many that nobody has got to yet.
 */
#ifndef SMTPD_SCHEDULE_H
#define SMTPD_SCHEDULE_H

#include "privsep/config.h"
#include "smtpd/spool.h"

struct schedule_entry {
	uint64_t		when;	/* seconds since 1970; by name.due, or
				 * later if it could not be done then */
	struct spool_name	name;
	int			is_fresh; /* nobody can have tried it yet */
	int			is_asked; /* somebody wants it tried now */
};

struct schedule_heap {
	struct schedule_entry	*entries;	/* entries[0] is the soonest */
	size_t			 count;
	size_t			 size;
	uint64_t		 horizon;	/* later than that, the spool
						 * may have more */
};

enum { SCHEDULE_FRESH, SCHEDULE_NEW, SCHEDULE_AGAIN, SCHEDULE_KINDS };

struct schedule {
	struct schedule_heap	 heaps[SCHEDULE_KINDS];
	size_t			 limit;		/* of each */
	int			 turn;		/* whose it was */
};

void	schedule_init(struct schedule *, size_t limit);
void	schedule_free(struct schedule *);
/* One more; beyond twice the limit it is left to the spool. */
void	schedule_push(struct schedule *, const struct schedule_entry *);
/*
 * The soonest, if it is due by then, of a kind of which there is room: 1; else
 * 0.
 */
int	schedule_pop(struct schedule *, uint64_t now, int has_room_for_again,
	    struct schedule_entry *);
/* SCHEDULE_FRESH, SCHEDULE_NEW or SCHEDULE_AGAIN. */
int	schedule_kind(const struct schedule_entry *);
/* When the soonest is due, of a kind of which there is room; UINT64_MAX: none. */
uint64_t schedule_next(const struct schedule *, int has_room_for_again);
size_t	schedule_count(const struct schedule *);
/* The first of that id, or the next after one; NULL: none. */
const struct schedule_entry *schedule_find(const struct schedule *,
	    const char *id, const struct schedule_entry *after);
/* Is what is due, of a kind, in the spool only? */
int	schedule_is_short(const struct schedule *, uint64_t now);

/* Anew: begin, collect each in any order, end; the limit's soonest stay. */
void	schedule_begin(struct schedule *);
void	schedule_collect(struct schedule *, const struct schedule_entry *);
void	schedule_end(struct schedule *);

/*
 * Seconds from the attempt of this number (from 1) to the next: from the
 * configured schedule, its last entry for ever, up to a tenth more by noise
 * (any number), so that what failed together does not come together.
 */
uint64_t retry_delay(const struct config *, uint32_t attempt, uint32_t noise);
/* No due time lies further ahead, in seconds, if the clock is right. */
uint64_t retry_delay_max(const struct config *);
/*
 * How many attempts a letter gets whatever the clock says: as many as the
 * schedule names, as far as they come before it is given up.
 */
uint32_t retry_attempts(const struct config *);

#endif
