/*
 * control_view: a letter as it is shown: read, but neither locked nor changed.
 */
#ifndef SMTPD_CONTROL_VIEW_H
#define SMTPD_CONTROL_VIEW_H

#include "smtpd/control_gate.h"
#include "smtpd/job.h"

struct view {
	uint32_t		 place;		/* of enum letter_place */
	int			 is_damaged;	/* letter is not there, */
	int			 is_name;	/* or was not looked at */
	struct letter		 letter;	/* its name always is */
	const struct outcome	**last;		/* of each recipient what counts
						 * by now, or NULL */
};

/* What a name says without a look into the file. */
uint32_t view_place(const struct queue *, const struct spool_name *,
	    int is_failed);
/*
 * 0, or -1 with errno: ENOENT, it is gone; others, it can't be read now.  A
 * file that is no letter is_damaged.
 */
int	view_open(struct view *, const struct queue *,
	    const struct spool_name *, int is_failed);
/* The name alone, for who needs no more. */
void	view_name(struct view *, const struct queue *,
	    const struct spool_name *, int is_failed);
void	view_close(struct view *);

/* Is it this user's to see and to move?  Root's is any. */
int	view_is_of(const struct view *, uint32_t uid);
/* All conditions but id and place. */
int	view_matches(const struct view *, const struct config *,
	    const struct selection *);

void	view_letter(const struct view *, struct letter_record *);
void	view_recipient(const struct view *, uint32_t i,
	    struct recipient_record *);

#endif
