/*
 * worker: smtpd's part of the spawner and of each worker.
 *
 * Runs in the worker, as worker-user, confined, for one client.  The session
 * stands in memory that a waiting worker has not touched.
 */
#include "session.h"

static struct session the_session;

static void
serve(struct worker *worker)
{
	session_init(&the_session, worker);
	session_run(&the_session);
}

const struct worker_program worker_program = {
	.name = "smtpd",
	.alpn = "smtp",
	.warm = NULL,
	.serve = serve
};
