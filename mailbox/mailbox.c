/*
 * mailbox: which format a maildrop has.
 *
 * Runs in agents, as the user whose mail it is; touches nothing.
 */
#include <errno.h>

#include "mailbox.h"

const struct mailbox_ops *
mailbox_format(const struct config *config)
{
	switch (config->mailbox_format) {
	case MAILBOX_MAILDIR:
		return &maildir_ops;
	case MAILBOX_MBOX:
		return &mbox_ops;
	}
	errno = ENOTSUP;
	return NULL;
}
