/*
 * generations_world: what the master's generations live in, for their tests:
 * the real generation, roles, child and session on real channels, with a clock,
 * processes and the master's other files that are the test's; each program
 * that uses it has one source.
 */
#ifndef TESTS_GENERATIONS_WORLD_H
#define TESTS_GENERATIONS_WORLD_H

#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/become.h"
#include "privsep/keyring.h"
#include "privsep/log.h"
#include "privsep/master.h"

/* No test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

#define FORKS		8	/* workers in a step */
#define WATCHES_MAX	4096
#define CORPSES_MAX	256
#define LINES		64	/* of the log, for who looks for a fault */

struct master master;

/* A number that depends on the seed alone. */
static uint64_t dice;

static unsigned
roll(unsigned sides)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (unsigned)(dice >> 33) % sides;
}

static int
one_in(unsigned n)
{
	return roll(n) == 0;
}

/* A worker, of the spawner that forked it. */
struct worker {
	TAILQ_ENTRY(worker)	 link;
	uint64_t		 serial;
	int			 fd;	/* its end of the channel */
};

/* A role's process: its ends of channel and log. */
struct process {
	TAILQ_ENTRY(process)	 link;
	pid_t			 pid;
	int			 channel;
	int			 log;
	int			 is_spawner;
	int			 is_deaf;	/* stopped: does nothing */
	int			 has_spoken;	/* CH_READY is out */
	uint64_t		 first, owed;	/* workers asked for */
	TAILQ_HEAD(, worker)	 workers;
};

static struct {
	TAILQ_HEAD(, process)	 processes;
	struct { pid_t pid; int status; } corpses[CORPSES_MAX];
	size_t			 corpse_count;
	pid_t			 next_pid;
	int			 pairs[2][2];	/* the last two made */
	struct { struct watch *w; short events; } watches[WATCHES_MAX];
	size_t			 watch_count;
	void			*graves[65536];
	size_t			 grave_count;
	int			 is_calm;	/* nothing goes wrong any more */
	time_t			 started;	/* the last generation */
	unsigned		 newest;	/* its number */
	size_t			 starts, served;
	char			 lines[LINES][LOG_LINE_MAX];
	size_t			 line_count;
	char			 libexec[64];
} world;

/* What the master's other files would do */

void
watch_add(struct watch *w, uint32_t events)
{
	assert_in_range(world.watch_count, 0, WATCHES_MAX - 1);
	world.watches[world.watch_count].w = w;
	world.watches[world.watch_count++].events = (short)events;
}

static size_t
watch_at(const struct watch *w)
{
	size_t i;

	for (i = 0; i < world.watch_count; i++)
		if (world.watches[i].w == w)
			return i;
	fail_msg("no such watch");
	return 0;
}

void
watch_change(struct watch *w, uint32_t events)
{
	world.watches[watch_at(w)].events = (short)events;
}

void
watch_close(struct watch *w)
{
	size_t i = watch_at(w);

	world.watches[i] = world.watches[--world.watch_count];
	assert_int_equal(close(w->fd), 0);
	w->fd = -1;
}

void
free_later(void *p)
{
	size_t i;

	for (i = 0; i < world.grave_count; i++)
		assert_ptr_not_equal(world.graves[i], p);
	world.graves[world.grave_count++] = p;
}

static void
bury(void)
{
	while (world.grave_count > 0)
		free(world.graves[--world.grave_count]);
}

int
config_send(const struct config *c, enum role role)
{
	(void)c;
	(void)role;
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void
config_forget_secrets(struct config *c)
{
	(void)c;
}

int
keyring_send(const struct config *c, int *certificates, int *keys,
    config_report report)
{
	(void)c;
	if (!world.is_calm && one_in(8)) {
		report("no such key");
		return -1;
	}
	*certificates = open("/dev/null", O_RDONLY | O_CLOEXEC);
	*keys = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return 0;
}

void
become_for_exec(uid_t uid, gid_t gid, int capability)
{
	(void)uid;
	(void)gid;
	(void)capability;
}

int
listen_open(const struct config *c)
{
	(void)c;
	return !world.is_calm && one_in(8) ? -1 : 0;
}

void
listen_pause(int is_paused)
{
	(void)is_paused;
}

int
queue_ended(pid_t pid, int status)
{
	(void)pid;
	(void)status;
	return 0;
}

void
limits_begin(struct source *s)
{
	(void)s;
}

void
limits_end(struct source *s)
{
	(void)s;
}

void
limits_login_failed(struct source *s)
{
	(void)s;
}

void
limits_crashed(struct source *s)
{
	(void)s;
}

/* Processes */

int	__wrap_socketpair(int, int, int, int[2]);
int	__real_socketpair(int, int, int, int[2]);
pid_t	__wrap_fork(void);
int	__wrap_kill(pid_t, int);

int
__wrap_socketpair(int domain, int type, int protocol, int pair[2])
{
	int r = __real_socketpair(domain, type, protocol, pair);

	memcpy(world.pairs[0], world.pairs[1], sizeof(world.pairs[0]));
	memcpy(world.pairs[1], pair, sizeof(world.pairs[0]));
	return r;
}

/* A role's: channel and log are the pairs that were made last. */
pid_t
__wrap_fork(void)
{
	struct process *p;

	if (!world.is_calm && one_in(40)) {
		errno = EAGAIN;
		return -1;
	}
	p = calloc(1, sizeof(*p));
	assert_non_null(p);
	p->pid = ++world.next_pid;
	p->channel = fcntl(world.pairs[0][1], F_DUPFD_CLOEXEC, 0);
	p->log = fcntl(world.pairs[1][1], F_DUPFD_CLOEXEC, 0);
	assert_int_not_equal(fcntl(p->channel, F_SETFL, O_NONBLOCK), -1);
	TAILQ_INIT(&p->workers);
	TAILQ_INSERT_TAIL(&world.processes, p, link);
	return p->pid;
}

static struct process *
process_find(pid_t pid)
{
	struct process *p;

	TAILQ_FOREACH(p, &world.processes, link)
		if (p->pid == pid)
			return p;
	return NULL;
}

/* Its descriptors are closed, its death is known to who asks. */
static void
process_ends(struct process *p, int status)
{
	struct worker *w;

	assert_in_range(world.corpse_count, 0, CORPSES_MAX - 1);
	world.corpses[world.corpse_count].pid = p->pid;
	world.corpses[world.corpse_count++].status = status;
	close(p->channel);
	close(p->log);
	while ((w = TAILQ_FIRST(&p->workers)) != NULL) {
		TAILQ_REMOVE(&p->workers, w, link);
		close(w->fd);
		free(w);
	}
	TAILQ_REMOVE(&world.processes, p, link);
	free(p);
}

int
__wrap_kill(pid_t pid, int sig)
{
	struct process *p = process_find(pid);

	assert_int_equal(sig, SIGKILL);
	if (p != NULL)
		process_ends(p, SIGKILL);
	return 0;
}

static void
worker_ends(struct process *p, struct worker *w, int status)
{
	struct message m;

	message_begin(&m, CH_ENDED);
	put_u64(&m, w->serial);
	put_u32(&m, (uint32_t)status);
	(void)message_send(p->channel, &m);
	TAILQ_REMOVE(&p->workers, w, link);
	close(w->fd);
	free(w);
}

static void
spawn(struct process *p)
{
	struct worker *w = calloc(1, sizeof(*w));
	struct message m;
	int pair[2];

	assert_non_null(w);
	assert_int_equal(__real_socketpair(AF_UNIX, SOCK_SEQPACKET |
	    SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	w->serial = p->first++;
	w->fd = pair[1];
	p->owed--;
	TAILQ_INSERT_TAIL(&p->workers, w, link);
	message_begin(&m, CH_WAITING);
	put_u64(&m, w->serial);
	put_fd(&m, pair[0]);
	(void)message_send(p->channel, &m);
	close(pair[0]);
}

/* Whoever's master has let go of them ends. */
static void
workers_act(struct process *p)
{
	struct worker *w, *next;
	char octet;

	TAILQ_FOREACH_SAFE(w, &p->workers, link, next)
		if (recv(w->fd, &octet, 1, 0) == 0)
			worker_ends(p, w, 0);
}

static void
spawner_obeys(struct process *p, struct message *m)
{
	struct worker *w, *next;
	uint64_t serial = get_u64(m);

	if (m->type == CH_SPAWN) {
		p->first = serial;
		p->owed = get_u32(m);
	} else TAILQ_FOREACH_SAFE(w, &p->workers, link, next)
		if (w->serial == serial)
			worker_ends(p, w, SIGKILL);
}

/* One step of a role: it says that it is ready, obeys, or ends. */
static void
process_acts(struct process *p)
{
	struct message m;
	int n;

	if (p->is_deaf)
		return;
	workers_act(p);
	if (!p->has_spoken) {
		p->has_spoken = 1;
		message_begin(&m, CH_READY);
		(void)message_send(p->channel, &m);
	}
	for (n = 0; n < FORKS && p->owed > 0; n++)
		spawn(p);
	if (n > 0)
		return;
	n = message_recv(p->channel, &m, 1);
	if (n == 0 && TAILQ_EMPTY(&p->workers))
		process_ends(p, 0);
	else if (n == 1 && (m.type == CH_SPAWN || m.type == CH_END))
		spawner_obeys(p, &m);
	if (n == 1)
		message_discard(&m);
}

static struct process *
some_process(void)
{
	struct process *p;
	unsigned n = 0;

	TAILQ_FOREACH(p, &world.processes, link)
		n++;
	if (n == 0)
		return NULL;
	n = roll(n);
	TAILQ_FOREACH(p, &world.processes, link)
		if (n-- == 0)
			break;
	return p;
}

#endif
