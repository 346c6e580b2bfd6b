/*
 * policy: what the site wants of all its maildrops, as POP3 knows it (RFC 2449,
 * 6.5 and 6.7): time between two logins, and how long mail may stay.
 */
#ifndef POP3D_POLICY_H
#define POP3D_POLICY_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "../mailbox/mailbox.h"
#include "../privsep/agents.h"

/*
 * Before the agent confines itself: open the file that remembers the last
 * login, ~/.postern/login-stamp.  -1 if there is no login-delay, or with a
 * log line if there is one but no file: then nobody is kept out.
 */
int	policy_enter(const struct agent *);

/* Is it sooner after the last login than login-delay allows? */
int	policy_is_too_soon(const struct agent *, int stamp, time_t now);
/* This was a login.  0 or -1 with errno. */
int	policy_stamp(int stamp, time_t now);

/*
 * Mark (in the bitmap of a maildrop of count messages) what is older than
 * expire says and not yet marked; how many these are.
 */
size_t	policy_expire(const struct agent *, const struct mailbox_ops *,
	    struct mailbox *, size_t count, uint8_t *bitmap, time_t now);

#endif
