/*
 * policy: login-delay and expire.
 *
 * Runs in agents' children, as the user who logged in; touches
 * ~/.postern/login-stamp, which it opens before the agent confines itself, and
 * asks the maildrop how old its messages are.
 *
 * Both are here and not in the worker, which might be taken over; and the
 * delay is the site's wish to programs, not a wall: the stamp is the user's
 * own file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../mailbox/state.h"
#include "../privsep/log.h"
#include "policy.h"

#define STAMP_NAME	"login-stamp"
#define STAMP_MAX	24	/* octets: seconds since 1970, and an LF */
#define DIGITS_MAX	18	/* as many as always fit */
#define DAY		86400

int
policy_enter(const struct agent *agent)
{
	int state, stamp = -1, error;

	if (agent->config->login_delay == 0)
		return -1;
	state = state_enter(&agent->identity);
	if (state != -1)
		stamp = state_open(state, STAMP_NAME, O_RDWR | O_CREAT,
		    agent->identity.uid);
	error = errno;
	if (state != -1)
		close(state);
	/* Without a home there will be more to say about it. */
	if (stamp == -1 && error != ENOENT)
		log_event(LOG_WARNING, agent->facts.session,
		    "event=no-login-stamp error=\"%s\"", strerror(error));
	return stamp;
}

/* The seconds that the stamp says, or -1: nothing that we wrote. */
static int64_t
read_stamp(int stamp)
{
	char text[STAMP_MAX];
	int64_t seconds = 0;
	ssize_t i, n;

	n = pread(stamp, text, sizeof(text), 0);
	for (i = 0; i < n; i++) {
		if (text[i] == '\n' && i > 0)
			return seconds;
		if (i == DIGITS_MAX || text[i] < '0' || text[i] > '9')
			return -1;
		seconds = seconds * 10 + (text[i] - '0');
	}
	return -1;
}

int
policy_is_too_soon(const struct agent *agent, int stamp, time_t now)
{
	int64_t last;

	if (stamp == -1 || (last = read_stamp(stamp)) == -1)
		return 0;
	/* One from the future is that of a clock that was wrong. */
	return now >= last && now - last < agent->config->login_delay;
}

int
policy_stamp(int stamp, time_t now)
{
	char text[STAMP_MAX];
	int len;

	if (stamp == -1)
		return 0;
	len = snprintf(text, sizeof(text), "%lld\n", (long long)now);
	if (len < 0 || (size_t)len >= sizeof(text)) {
		errno = EINVAL;
		return -1;
	}
	if (pwrite(stamp, text, (size_t)len, 0) != len)
		return -1;
	return ftruncate(stamp, len);
}

size_t
policy_expire(const struct agent *agent, const struct mailbox_ops *ops,
    struct mailbox *box, size_t count, uint8_t *bitmap, time_t now)
{
	time_t limit = (time_t)agent->config->expire * DAY;
	size_t i, n = 0;
	uint8_t bit;

	if (limit == 0 || ops->is_older == NULL || now <= limit)
		return 0;
	for (i = 0; i < count; i++) {
		bit = (uint8_t)(1U << (i % 8));
		if ((bitmap[i / 8] & bit) == 0 &&
		    ops->is_older(box, i, now - limit)) {
			bitmap[i / 8] |= bit;
			n++;
		}
	}
	return n;
}
