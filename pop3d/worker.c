/*
 * worker: what pop3d gives to the spawner: one client's session.
 *
 * Runs in the worker, as worker-user, confined; touches the client's
 * connection, the gate and the signer.
 */
#include "../privsep/worker.h"
#include "session.h"

/* One to a process; its buffers cost memory only when they are used. */
static struct session session;

static void
serve(struct worker *worker)
{
	session_begin(&session, worker);
	session_run(&session);
}

const struct worker_program worker_program = {
	.name = "pop3d",
	.alpn = "pop3",
	.warm = NULL,
	.serve = serve
};
