/*
 * mailbox: which format a maildrop has, and for whom it is used.
 *
 * Runs in agents, as the user whose mail it is; touches nothing, but looks
 * whether the agent's channel has hung up.
 */
#include <errno.h>
#include <poll.h>

#include "mailbox.h"

static int channel = -1;

void
mailbox_use_channel(int sock)
{
	channel = sock;
}

int
mailbox_sleep(int ms)
{
	/* Requests that wait are no reason to wake up; poll tells of its end. */
	struct pollfd pfd = { .fd = channel, .events = 0 };

	if (poll(&pfd, 1, ms) <= 0)
		return 0;
	errno = ECANCELED;
	return -1;
}

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
