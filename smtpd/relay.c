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

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../privsep/become.h"
#include "../privsep/channel.h"
#include "../privsep/children.h"
#include "../privsep/log.h"
#include "../privsep/message.h"
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

/* The gate takes FD_MASTER's place; whatever else was inherited is closed. */
static int
take_gate(int gate)
{
	sigset_t none;

	sigemptyset(&none);
	if (signal(SIGCHLD, SIG_DFL) == SIG_ERR ||
	    sigprocmask(SIG_SETMASK, &none, NULL) == -1)
		fatal("signals");
	if (dup3(gate, FD_MASTER, O_CLOEXEC) == -1)
		fatal("relay's gate");
	closefrom(FD_MASTER + 1);
	log_init_socket(-1);
	return FD_MASTER;
}

static void
relay_life(int gate)
{
	gate = take_gate(gate);
#ifndef POSTERN_SANITIZE
	become_bounded(RLIMIT_NPROC, 0);
	become_bounded(RLIMIT_NOFILE, 64);
#endif
	sandbox_install(&relays.child_filter);
	_exit(relay_serve(gate, (int64_t)relays.config.relay_timeout * 1000) ==
	    -1 ? CHILD_FAULTED : 0);
}

static void
serve_channel(struct message *m)
{
	struct facts facts;
	int gate;
	pid_t pid;

	if (m->type != CH_SERVE)
		bug("the relay was sent %u", m->type);
	get_facts(m, &facts);
	gate = get_fd(m);
	if (get_end(m) == -1 || facts.service != SERVICE_RELAY)
		bug("the relay was sent a malformed channel");
	pid = fork();
	if (pid == 0)
		relay_life(gate);
	if (pid == -1)
		log_event(LOG_ERR, facts.session,
		    "event=no-relay text=\"fork: %s\"", strerror(errno));
	else
		children_add(&relays.children, pid, facts.session,
		    LIFE_SECONDS, NOTE_CRASHED);
	close(gate);
}

/* What the children need is read, opened and touched before the doors close. */
static void
confine(void)
{
	struct sandbox_filter own;
	char empty[CONFIG_PATH_MAX + 8];

	tzset();
	sandbox_compile(SANDBOX_RELAY_SPAWNER, &own);
	sandbox_compile(SANDBOX_RELAY, &relays.child_filter);
	tls_client_warm(NULL);
	snprintf(empty, sizeof(empty), "%s/empty", relays.config.run_dir);
	become_enclosed(empty);
	become_user(relays.config.relay_user.uid, relays.config.relay_user.gid);
	become_sealed();
	become_bounded(RLIMIT_CORE, 0);
#ifndef POSTERN_SANITIZE
	become_bounded(RLIMIT_FSIZE, 0);
	become_bounded(RLIMIT_AS, UINT64_C(512) << 20);
#endif
	sandbox_landlock(NULL, 0);
	sandbox_install(&own);
	malloc_trim(0);
}

/*
 * When the master lets go, the children end their letters by themselves: the
 * queue, which has their gates, says when they end.
 */
int
main(void)
{
	struct pollfd pfd = { .fd = FD_MASTER, .events = POLLIN };
	struct message m;
	int n;

	(void)role_start("smtpd-relay", ROLE_RELAY, 0, &relays.config);
	mallopt(M_ARENA_MAX, 1);
	confine();
	children_init(&relays.children);
	role_ready();
	for (;;) {
		if (children_poll(&relays.children, &pfd, 1) <= 0)
			continue;
		n = message_recv(FD_MASTER, &m, 1);
		if (n == -1 && errno == EBADMSG)
			continue;	/* no descriptor left for it, say */
		if (n != 1)
			return 0;
		serve_channel(&m);
		message_discard(&m);
	}
}
