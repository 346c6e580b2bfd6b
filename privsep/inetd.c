/*
 * inetd: how a master that was started for one client, for as long as clients
 * come, or for the queue alone comes to its end.
 *
 * Runs in the master, as root; touches the client's socket only to hand it on.
 *
 * When nobody is served any more the queue is run once, whatever was heard of
 * letters before: the spool is the truth.  So a letter that a client of ours
 * committed has been seen by us, or by another scheduler that had the spool at
 * that time (smtpd/scheduler.c), before we end.
 *
 * Nobody who connects while a "wait" server is ending is lost: what was
 * accepted is served to its end, and what was not stays in the listening
 * socket, which is inetd's, for the next server.
 */
#include <sys/socket.h>

#include <string.h>

#include "log.h"
#include "master.h"

#define IDLE	30	/* seconds without a client; idle-timeout if shorter */

static struct {
	int	has_begun;
	time_t	quiet_since;
	int	is_last_run;	/* of the queue, with nobody served */
} inetd;

/* The one client, as if it had just been accepted. */
static void
take_client(struct inheritance *in)
{
	struct sockaddr_storage peer, local;
	socklen_t len = sizeof(peer);

	in->count = 0;
	memset(&peer, 0, sizeof(peer));
	memset(&local, 0, sizeof(local));
	/* Gone already, it is nobody: its session will see that. */
	(void)getpeername(in->sockets[0].fd, (struct sockaddr *)&peer, &len);
	len = sizeof(local);
	(void)getsockname(in->sockets[0].fd, (struct sockaddr *)&local, &len);
	inherit_unmap(&peer);
	inherit_unmap(&local);
	master.served++;
	session_accept(in->sockets[0].fd, in->sockets[0].service,
	    (struct sockaddr *)&peer, (struct sockaddr *)&local);
}

void
inetd_begin(void)
{
	inetd.has_begun = 1;
	inetd.quiet_since = master.now;
	if (master.mode != START_NOWAIT)
		return;
	/* The worker that waits is the last that is needed. */
	master.has_enough = 1;
	take_client(master.inherited);
}

void
inetd_client_came(void)
{
	inetd.is_last_run = 0;
}

static int
is_quiet(void)
{
	time_t idle = master.config->idle_timeout;

	if (master.session_count > 0) {
		inetd.quiet_since = master.now;
		inetd.is_last_run = 0;
	}
	if (master.mode != START_WAIT)
		return master.session_count == 0;
	return master.now - inetd.quiet_since >= (idle < IDLE ? idle : IDLE);
}

void
inetd_tick(void)
{
	if (master.mode == START_ALONE || !inetd.has_begun ||
	    master.is_stopping || !is_quiet())
		return;
	if (!queue_is_at_rest())
		return;
	if (!inetd.is_last_run) {
		inetd.is_last_run = 1;
		queue_want();
	}
	if (queue_is_at_rest())
		master_stop();
}
