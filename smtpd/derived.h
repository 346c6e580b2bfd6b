/*
 * derived: letters that the queue itself writes because of another one, its
 * parent: what a sender is told, what goes on under another sender.  Each
 * comes exactly once, whenever this process is killed:
 *
 *  1. derived_begin(), content, spool_hold(): whole, and on disk, in held/,
 *     under an id that follows from the parent's and from what it is for.  Who
 *     comes here again writes the same file anew.
 *  2. letter_record() on the parent: an OUTCOME_SPLIT or OUTCOME_NOTIFIED
 *     whose target is that id, and with it, in one go, what it stands for.
 *  3. derived_release(): from held/ into queue/, and on disk there.
 *  4. Only now may the parent leave queue/.
 *
 * A letter that is opened has its recorded ones released first
 * (derived_release_all()): so what was on record is on its way, and what was
 * not is not, and is made anew if it is still wanted.  What lies in held/ of
 * no letter in queue/ is nobody's, and derived_clean() removes it.
 */
#ifndef SMTPD_DERIVED_H
#define SMTPD_DERIVED_H

#include "smtpd/spool.h"

/* what: "bounce.1", "list.NAME": for one parent each means one letter. */
void	derived_id(const char *parent, const char *what,
	    char id[QUEUE_ID_MAX]);
/*
 * The one that is being written, of which there is one at a time: the caller's
 * until spool_hold() or spool_abort().  NULL with errno.
 */
struct spool_writer *derived_begin(const struct spool *,
	    const struct envelope_writer *, const char *parent,
	    const char *what);
/*
 * Let it go, due now.  1 with *name: it has just gone; 0: it went before; or
 * -1 with errno: it may have gone or not, and the parent must stay.
 */
int	derived_release(const struct spool *, const char *id, uint64_t now,
	    struct spool_name *name);
/*
 * All that are on record; each() for those that have just gone.  0, or -1 with
 * errno.
 */
int	derived_release_all(const struct spool *, const struct letter *,
	    uint64_t now, void (*each)(void *, const struct spool_name *),
	    void *arg);
/*
 * At a start: remove what no letter in queue/ can have on record.  How many,
 * or -1 with errno.
 */
int	derived_clean(const struct spool *);

#endif
