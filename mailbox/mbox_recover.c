/*
 * mbox_recover: finish or undo whatever a crash has left.
 *
 * Runs in agents, as the user whose mail it is, with both locks, before
 * anything is read from the mbox.
 */
#include "mbox_append.h"
#include "mbox_rewrite.h"

int
mbox_recover(struct mailbox *mb)
{
	if (mb->file == -1)
		return 0;
	/* In this order: a rewrite is begun only when no append is pending. */
	if (mbox_rewrite_recover(mb) == -1)
		return -1;
	return append_recover(mb);
}
