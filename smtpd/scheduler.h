/*
 * scheduler: who has the spool.  One process at a time looks at what is due
 * and hands it out: it holds a lock on the spool directory.  Several servers
 * (one of its own for each client of inetd's, "smtpd -q") may put letters in
 * at the same time.
 */
#ifndef SMTPD_SCHEDULER_H
#define SMTPD_SCHEDULER_H

#include "smtpd/job.h"

/*
 * dir, the spool directory, is ours for good: nobody else may have that open
 * file.  0; or -1 with errno, EWOULDBLOCK when another scheduler has it.
 */
int	scheduler_lock(int dir);
void	scheduler_unlock(int dir);

/*
 * Tells of letters that other servers put in: a descriptor to poll, opened
 * before confinement as the spool's owner, or -1.
 */
int	scheduler_watch(const char *spool_path);
/* What it says has come: 0, or -1 when that is not known: a scan is due. */
int	scheduler_look(int watch, struct queue *);

/* Has nothing more to be done now, here and elsewhere? */
int	scheduler_is_done(const struct queue *);
/*
 * Is there a letter due that this queue has not looked at?  Asked after the
 * lock is given up: whoever committed one, and found the lock taken, did that
 * before, and relies on us.  1, 0, or -1 with errno.
 */
int	scheduler_has_news(const struct queue *);

#endif
