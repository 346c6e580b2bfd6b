/*
 * spawner: keeps workers forked ahead and reaps them.
 *
 * Runs as its own process, as worker-user from its exec on, confined to an
 * empty root before it forks its first worker; a fork of it is a worker and
 * never comes back here.  Touches its channel to the master and, before that,
 * the certificates; never sees a client.
 */
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../wire/tls.h"
#include "channel.h"
#include "keyring.h"
#include "log.h"
#include "message.h"
#include "role.h"
#include "sandbox.h"
#include "sigchld.h"
#include "worker.h"
#include "worker_life.h"

#define WORKERS_MAX	65536	/* running at once */
#define FORK_RETRY_MS	100
#define GOODBYE		5	/* seconds for the workers' last words */

struct child {
	pid_t		pid;
	uint64_t	serial;
};

static struct {
	struct config	 config;
	struct child	*children;	/* unordered */
	size_t		 count;
	size_t		 room;
	uint64_t	 owed[SPAWN_MAX];	/* serials, a ring */
	size_t		 owed_first;
	size_t		 owed_count;
	struct sandbox_filter worker_filter;
} spawner;

static void
tell_master(const struct message *m)
{
	/* Gone it may be, which serve() sees as well; there is no other fault. */
	if (message_send(FD_MASTER, m) == -1 && errno != EPIPE &&
	    errno != ECONNRESET)
		fatal("telling the master");
}

static void
remember(pid_t pid, uint64_t serial)
{
	struct child *grown;

	if (spawner.count == spawner.room) {
		spawner.room = spawner.room == 0 ? 64 : spawner.room * 2;
		grown = reallocarray(spawner.children, spawner.room,
		    sizeof(*grown));
		if (grown == NULL)
			fatal("remembering a worker");
		spawner.children = grown;
	}
	spawner.children[spawner.count].pid = pid;
	spawner.children[spawner.count++].serial = serial;
}

static void
reap(void)
{
	struct message m;
	size_t i;
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (i = 0; i < spawner.count; i++)
			if (spawner.children[i].pid == pid)
				break;
		if (i == spawner.count)
			continue;
		message_begin(&m, CH_ENDED);
		put_u64(&m, spawner.children[i].serial);
		put_u32(&m, (uint32_t)status);
		spawner.children[i] = spawner.children[--spawner.count];
		tell_master(&m);
	}
}

/* Fork one waiting worker; 0, or -1 when the system has no room now. */
static int
spawn(uint64_t serial)
{
	struct message m;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return -1;
	pid = fork();
	if (pid == -1) {
		close(pair[0]);
		close(pair[1]);
		return -1;
	}
	if (pid == 0) {
		close(pair[0]);
		worker_life(pair[1], &spawner.config, &spawner.worker_filter);
		_exit(0);
	}
	close(pair[1]);
	remember(pid, serial);
	message_begin(&m, CH_WAITING);
	put_u64(&m, serial);
	put_fd(&m, pair[0]);
	tell_master(&m);
	close(pair[0]);
	return 0;
}

static void
end_worker(uint64_t serial)
{
	size_t i;

	for (i = 0; i < spawner.count; i++)
		if (spawner.children[i].serial == serial)
			(void)kill(spawner.children[i].pid, SIGKILL);
}

static void
owe(uint64_t serial)
{
	spawner.owed[(spawner.owed_first + spawner.owed_count++) %
	    SPAWN_MAX] = serial;
}

/* Fork what was asked for; what the system has no room for stays owed. */
static void
pay(void)
{
	while (spawner.owed_count > 0 && spawner.count < WORKERS_MAX &&
	    spawn(spawner.owed[spawner.owed_first]) == 0) {
		spawner.owed_first = (spawner.owed_first + 1) % SPAWN_MAX;
		spawner.owed_count--;
	}
}

static void
obey(struct message *m)
{
	uint64_t serial = get_u64(m);
	uint32_t n;

	switch (m->type) {
	case CH_SPAWN:
		n = get_u32(m);
		if (get_end(m) == -1 || n > SPAWN_MAX - spawner.owed_count)
			peer_fatal("bad request to spawn");
		while (n-- > 0)
			owe(serial++);
		break;
	case CH_END:
		if (get_end(m) == -1)
			peer_fatal("bad request to end");
		end_worker(serial);
		break;
	default:
		peer_fatal("unknown request %u", m->type);
	}
}

/* Certificates into contexts, ready for the first handshake. */
static void
warm_tls(void)
{
	static struct keyring ring;

	if (keyring_receive(FD_KEYRING, &ring) == -1)
		fatal("certificates");
	tls_warm(&ring, worker_program.alpn);
	keyring_forget(&ring);
}

/*
 * Everything the workers will need is allocated, opened and touched before
 * the doors close; the filter of the workers is compiled once, here.
 */
static void
confine(int has_tls)
{
	struct sandbox_filter own;

	tzset();
	sandbox_compile(SANDBOX_SPAWNER, &own);
	sandbox_compile(SANDBOX_WORKER, &spawner.worker_filter);
	if (worker_program.warm != NULL)
		worker_program.warm(&spawner.config);
	if (has_tls)
		warm_tls();
	role_enclose(&spawner.config, &spawner.config.worker_user, ROLE_FORKS,
	    &own);
}

static void
serve(const sigset_t *while_waiting)
{
	static const struct timespec retry = {
		.tv_nsec = FORK_RETRY_MS * 1000000L,
	};
	struct pollfd pfd = { .fd = FD_MASTER, .events = POLLIN };
	struct message m;
	int n;

	for (;;) {
		pay();
		if (sigchld_came())
			reap();
		n = ppoll(&pfd, 1, spawner.owed_count > 0 ? &retry : NULL,
		    while_waiting);
		if (n <= 0)
			continue;
		n = message_recv(FD_MASTER, &m, 0);
		if (n <= 0)
			return;
		obey(&m);
	}
}

/*
 * The master let go, or died.  Workers see that, too: they say goodbye and
 * end, and who does not is ended.
 */
static void
linger(const sigset_t *while_waiting)
{
	static const struct timespec pause = { .tv_nsec = 100000000L };
	size_t i;
	int rounds;

	for (rounds = 0; rounds < GOODBYE * 10 && spawner.count > 0; rounds++) {
		(void)ppoll(NULL, 0, &pause, while_waiting);
		reap();
	}
	for (i = 0; i < spawner.count; i++)
		(void)kill(spawner.children[i].pid, SIGKILL);
}

int
main(void)
{
	sigset_t while_waiting;
	unsigned have;

	have = role_start(worker_program.name, ROLE_SPAWNER,
	    ROLE_FD(FD_KEYRING), &spawner.config);
	mallopt(M_ARENA_MAX, 1);
	sigchld_begin(&while_waiting);
	confine((have & ROLE_FD(FD_KEYRING)) != 0);
	serve(&while_waiting);
	linger(&while_waiting);
	return 0;
}
