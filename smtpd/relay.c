/*
 * relay: forks a process for each connection to another host.
 *
 * Runs as its own process, as relay-user from its exec on, confined to an
 * empty root without files before it serves.  The parent reads the system's
 * trusted certificates first, and then only the channel from the master.  A
 * fork of it is confined as a worker is, has the gate to the queue and nothing
 * else, not even the log: it is the one that reads what remote hosts say.
 */
#include <sys/resource.h>

#include <fcntl.h>
#include <malloc.h>
#include <time.h>
#include <unistd.h>

#include "../privsep/become.h"
#include "../privsep/channel.h"
#include "../privsep/children.h"
#include "../privsep/log.h"
#include "../privsep/role.h"
#include "../privsep/sandbox.h"
#include "../wire/tls_client.h"
#include "relay.h"

/*
 * No connection is so long: letters have deadlines of their own, which only
 * a process that is not ours any more would pass.
 */
#define LIFE_SECONDS	(24 * 3600)

static struct {
	struct config		config;
	struct children		children;
	struct sandbox_filter	child_filter;
} relays;

/*
 * The gate takes FD_MASTER's place; whatever else was inherited is closed, the
 * log with it.
 */
static void
relay_life(const struct facts *facts, int gate)
{
	if (facts->service != SERVICE_RELAY)
		bug("the relay was sent a session of service %u",
		    facts->service);
	if (dup3(gate, FD_MASTER, O_CLOEXEC) == -1)
		fatal("relay's gate");
	log_init_socket(-1);
	closefrom(FD_MASTER + 1);
#ifndef POSTERN_SANITIZE
	become_bounded(RLIMIT_NPROC, 0);
	become_bounded(RLIMIT_NOFILE, 64);
#endif
	sandbox_install(&relays.child_filter);
	_exit(relay_serve(FD_MASTER,
	    (int64_t)relays.config.relay_timeout * 1000) == -1 ?
	    CHILD_FAULTED : 0);
}

/* What the children need is read, opened and touched before the doors close. */
static void
confine(void)
{
	struct sandbox_filter own;

	tzset();
	sandbox_compile(SANDBOX_RELAY_SPAWNER, &own);
	sandbox_compile(SANDBOX_RELAY, &relays.child_filter);
	tls_client_warm(NULL);
	role_enclose(&relays.config, &relays.config.relay_user, ROLE_FORKS,
	    &own);
}

/*
 * When the master lets go, the children end their letters by themselves: the
 * queue, which has their gates, says when they end.
 */
int
main(void)
{
	(void)role_start("smtpd-relay", ROLE_RELAY, 0, &relays.config);
	mallopt(M_ARENA_MAX, 1);
	confine();
	children_init(&relays.children);
	role_ready();
	children_serve(&relays.children, "relay", LIFE_SECONDS, relay_life);
	return 0;
}
