/*
 * mbox_append: what delivery and recovery share.
 */
#ifndef MAILBOX_MBOX_APPEND_H
#define MAILBOX_MBOX_APPEND_H

#include "mbox.h"
#include "mbox_journal.h"

#define APPEND_BEGUN	"begun."	/* and the queue id: an intent */
#define APPEND_DONE	"done."		/* the tombstone */
#define APPEND_ID_MAX	64
#define APPEND_NAME_MAX	(sizeof(APPEND_BEGUN) + APPEND_ID_MAX)

/* The files in ~/.postern of one delivery; EINVAL: no legal id. */
struct append_names {
	char	begun[APPEND_NAME_MAX];
	char	done[APPEND_NAME_MAX];
};
int	append_names(const char *queue_id, struct append_names *);

/*
 * Find out how far every delivery came that has an intent, and finish or undo
 * it.  The caller holds the locks and no rewrite is pending.
 */
int	append_recover(struct mailbox *);
/* Remove tombstones that the queue has forgotten. */
void	append_sweep(const struct mailbox *, time_t now);

#endif
