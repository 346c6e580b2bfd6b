/*
 * schedule: which letter is due when.  A heap of names in bounded memory: the
 * spool is the truth, this is the soonest part of it.
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

struct schedule {
	struct schedule_entry	*entries;	/* entries[0] is the soonest */
	size_t			 count;
	size_t			 size;
	size_t			 limit;
	int			 is_cut;	/* the spool has more */
};

void	schedule_init(struct schedule *, size_t limit);
void	schedule_free(struct schedule *);
/* One more; beyond twice the limit it is dropped, and is_cut set. */
void	schedule_push(struct schedule *, const struct schedule_entry *);
/* The soonest, if it is due by then: 1; else 0. */
int	schedule_pop(struct schedule *, uint64_t now, struct schedule_entry *);
/* When the soonest is due; UINT64_MAX: none. */
uint64_t schedule_next(const struct schedule *);

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
