/*
 * sender: how many letters of each sender are open, and those of one who has
 * too many, set aside until some of his have left.
 */
#ifndef SMTPD_SENDER_H
#define SMTPD_SENDER_H

#include <sys/queue.h>

#include <stddef.h>
#include <stdint.h>

#include "smtpd/schedule.h"

#define SENDER_FEW	25	/* open letters that nobody is refused */
#define SENDERS_ASIDE	100000	/* letters, of all */

struct sender;
TAILQ_HEAD(sender_list, sender);
#define SENDER_BUCKETS	256

struct senders {
	size_t			 aside;		/* letters, of all */
	struct sender_list	 buckets[SENDER_BUCKETS];
};

void	senders_init(struct senders *);
/* Who it is: whose letter it is, if that is known, or else the reverse-path. */
uint64_t sender_key(const struct envelope *);
/* One more of his letters is open. */
void	sender_open(struct senders *, uint64_t key);
/*
 * It is not any more.  1 with another one of his that was set aside and may
 * come now; or 0.
 */
int	sender_close(struct senders *, uint64_t key, struct schedule_entry *);
/* Has he more than a few? */
int	sender_is_busy(const struct senders *, uint64_t key);
/* Set one aside for a sender who is busy: 0, or -1: too many are. */
int	sender_put_aside(struct senders *, uint64_t key,
	    const struct schedule_entry *);
/* Forget what is set aside: the spool is about to be read anew. */
void	senders_forget(struct senders *);

#endif
