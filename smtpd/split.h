/*
 * split: a letter that goes on as another one: to the members of a list, with
 * its owner for a sender, or to where an account's mail is forwarded.
 */
#ifndef SMTPD_SPLIT_H
#define SMTPD_SPLIT_H

#include "smtpd/expand.h"
#include "smtpd/job.h"

/*
 * To these targets of a list, of which "owner-LIST" is the sender; recipient
 * is the one that led there.  What can't be written now is news: a deferral.
 */
void	job_split_list(struct queue *, struct job *, const char *list,
	    const struct expand_target *, size_t count, uint32_t recipient);
/* To the addresses of an errand, for good: 0, or -1: it is not on record. */
int	job_forward(struct queue *, struct job *, const struct errand *);

#endif
