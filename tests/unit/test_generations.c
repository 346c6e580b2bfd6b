/* LINK: privsep/generation privsep/crowd privsep/setting privsep/roles privsep/session privsep/child privsep/program privsep/crash privsep/facts privsep/message privsep/log */
/* LIBS: -Wl,--wrap=fork,--wrap=socketpair,--wrap=kill */
/*
 * The master's generations among roles that die, hang and are slow, at any
 * moment: the real generation, roles, child and session on real channels, with
 * a clock, processes and an event loop that are the test's, so that thousands
 * of interleavings take seconds and each can be had again by its seed.
 *
 * Whatever happened: somebody serves, or is being started, or will be at the
 * next tick; never two starts within a second; and when nothing goes wrong any
 * more, soon one generation serves, has workers waiting, and of the others is
 * left what still has a session.
 *
 *	GENERATIONS_SEED	of the first round
 *	GENERATIONS_ROUNDS	how many
 */
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "privsep/become.h"
#include "privsep/keyring.h"
#include "privsep/log.h"
#include "privsep/master.h"

#define ROUNDS		800
#define TURNS		60	/* of chaos in a round */
#define PATIENCE	300	/* seconds for all to be well again */
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

/* What goes wrong, and what people do */

static const int statuses[] = {
	SIGSEGV, SIGKILL, SIGSYS, 0, 1 << 8, SIGABRT
};

static void
a_role_dies(void)
{
	struct process *p = some_process();

	if (p != NULL)
		process_ends(p, statuses[roll(6)]);
}

static void
a_role_stops(void)
{
	struct process *p = some_process();

	if (p != NULL)
		p->is_deaf = 1;
}

static void
a_role_goes_on(void)
{
	struct process *p;

	TAILQ_FOREACH(p, &world.processes, link)
		if (p->is_deaf) {
			p->is_deaf = 0;
			return;
		}
}

static void
a_worker_dies(void)
{
	struct process *p = some_process();
	struct worker *w = p != NULL ? TAILQ_FIRST(&p->workers) : NULL;

	if (w != NULL && !p->is_deaf)
		worker_ends(p, w, statuses[roll(6)]);
}

static void
a_role_lets_go(void)
{
	struct process *p = some_process();

	if (p != NULL)
		shutdown(one_in(2) ? p->channel : p->log, SHUT_RDWR);
}

static void
a_client_comes(void)
{
	struct gates gates = { { -1, -1 }, { -1, -1 } };
	struct generation *g = generation_newest();
	struct waiting *w;
	struct facts f;

	if (g == NULL || generation_is_wanted() || !g->is_serving ||
	    (w = crowd_take(g)) == NULL)
		return;
	facts_init(&f);
	f.service = SERVICE_POP3;
	f.session = w->serial;
	session_start(g, w, &gates, NULL, &f);
	free(w);
}

static void
a_client_goes(void)
{
	struct session *s = TAILQ_FIRST(&master.sessions);

	if (s != NULL)
		session_end(s);
}

static void
a_session_crashes(void)
{
	session_note(1, NOTE_CRASHED);
}

static struct config *
new_config(void)
{
	struct config *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->prefork = 1 + roll(4);
	c->max_sessions = 100;
	c->login_timeout = c->idle_timeout = 60;
	c->forward_commands = one_in(2);
	strlcpy(c->libexec_dir, world.libexec, sizeof(c->libexec_dir));
	return c;
}

static void
a_hangup_comes(void)
{
	(void)generation_start_with(new_config());
}

static void
files_change(void)
{
	static time_t looked;

	if (looked != master.now)
		(void)generation_start_awaited();
	looked = master.now;
}

static void
time_passes(void)
{
	master.now += 1 + (one_in(10) ? roll(40) : 0);
}

static const struct {
	void	(*happens)(void);
	unsigned weight;
} mishaps[] = {
	{ a_role_dies, 6 }, { a_role_stops, 1 }, { a_role_goes_on, 1 },
	{ a_worker_dies, 3 }, { a_role_lets_go, 2 }, { a_client_comes, 10 },
	{ a_client_goes, 8 }, { a_session_crashes, 1 }, { a_hangup_comes, 2 },
	{ files_change, 1 }, { time_passes, 8 },
};
#define MISHAPS	(sizeof(mishaps) / sizeof(mishaps[0]))

static void
something_happens(void)
{
	unsigned sum = 0, n;
	size_t i;

	for (i = 0; i < MISHAPS; i++)
		sum += mishaps[i].weight;
	n = roll(sum);
	for (i = 0; n >= mishaps[i].weight; i++)
		n -= mishaps[i].weight;
	mishaps[i].happens();
}

/* The event loop */

static void
reap(void)
{
	size_t i, n = world.corpse_count;
	struct { pid_t pid; int status; } each[CORPSES_MAX];

	memcpy(each, world.corpses, n * sizeof(each[0]));
	world.corpse_count = 0;
	for (i = 0; i < n; i++)
		assert_int_equal(generation_child_ended(each[i].pid,
		    each[i].status), 1);
}

/* All that is ready, in some order, or some of it; signals among them. */
static int
turn(void)
{
	struct pollfd pfd[WATCHES_MAX];
	struct watch *ready[WATCHES_MAX], *w;
	size_t i, j, n = 0;
	int reaped = 0;

	for (i = 0; i < world.watch_count; i++) {
		pfd[i].fd = world.watches[i].w->fd;
		pfd[i].events = world.watches[i].events;
	}
	(void)poll(pfd, world.watch_count, 0);
	for (i = 0; i < world.watch_count; i++)
		if (pfd[i].revents != 0)
			ready[n++] = world.watches[i].w;
	for (i = n; i > 1; i--) {
		j = roll((unsigned)i);
		w = ready[i - 1];
		ready[i - 1] = ready[j];
		ready[j] = w;
	}
	if (n > 1 && one_in(3))
		n = 1 + roll((unsigned)n);
	for (i = 0; i <= n; i++) {
		if (world.corpse_count > 0 && !reaped &&
		    (world.is_calm ? i == n : one_in(3))) {
			reap();
			reaped = 1;
		}
		if (i < n && ready[i]->fd != -1)
			ready[i]->ready(ready[i], EPOLLIN);
	}
	return n > 0 || reaped;
}

static void
tick(void)
{
	static time_t last;

	generation_tick();
	if (master.now != last)
		session_tick();
	last = master.now;
	bury();
}

/* As master.c's patience() has it. */
static int
has_clock(void)
{
	struct generation *g = generation_newest();

	return !TAILQ_EMPTY(&master.sessions) || generation_is_wanted() ||
	    generation_is_starting() || g == NULL || g->waiting_count == 0;
}

static void
show(int level, const char *line)
{
	(void)level;
	snprintf(world.lines[world.line_count++ % LINES], LOG_LINE_MAX,
	    "%lld %s", (long long)master.now, line);
	if (strstr(line, "event=generation ") != NULL)
		world.served++;
}

static void
show_generation(struct generation *g)
{
	struct child *c;
	size_t i;

	fprintf(stderr, "generation %u%s%s%s: %zu sessions, %zu wait, %zu are "
	    "asked for, %zu dismissed\n", g->number,
	    g->is_serving ? " serving" : "", g->is_retired ? " retired" : "",
	    g->is_closed ? " closed" : "", g->sessions, g->waiting_count,
	    g->asked, g->dismissed);
	for (i = 0; (c = roles_at(g, i)) != NULL; i++)
		if (c->pid != 0)
			fprintf(stderr, "\t%s, pid %d%s%s%s\n", c->name,
			    (int)c->pid, process_find(c->pid) == NULL ?
			    " dead" : process_find(c->pid)->is_deaf ?
			    " deaf" : "", c->is_ready ? " ready" : "",
			    c->is_let_go ? " let go" : "");
}

static void __attribute__((noreturn))
is_wrong(const char *what, uint64_t seed)
{
	size_t i = world.line_count > LINES ? world.line_count - LINES : 0;
	struct generation *g;

	TAILQ_FOREACH(g, &master.generations, link)
		show_generation(g);

	for (; i < world.line_count; i++)
		fprintf(stderr, "%s\n", world.lines[i % LINES]);
	fail_msg("%s at %lld, seed %llu", what, (long long)master.now,
	    (unsigned long long)seed);
	abort();
}

static void
check_starts(uint64_t seed)
{
	const struct generation *g = TAILQ_FIRST(&master.generations);

	if (g == NULL || g->number <= world.newest)
		return;
	if (world.newest != 0 && g->started - world.started < 1)
		is_wrong("two starts in a second", seed);
	world.starts++;
	world.newest = g->number;
	world.started = g->started;
}

static int
is_manned(struct generation *g)
{
	struct child *c;
	size_t i, j;

	for (i = 0; (c = roles_at(g, i)) != NULL; i++) {
		if (c->name == NULL || process_find(c->pid) != NULL)
			continue;
		for (j = 0; j < world.corpse_count; j++)
			if (world.corpses[j].pid == c->pid)
				break;
		if (j == world.corpse_count)
			return 0;
	}
	return 1;
}

static void
check(uint64_t seed)
{
	struct generation *g = generation_newest();

	check_starts(seed);
	if (g == NULL && !generation_is_starting() && !generation_is_wanted())
		is_wrong("nobody serves, nobody is started", seed);
	if (g != NULL && g->is_retired)
		is_wrong("one that is retired is to serve", seed);
	if (g != NULL && !generation_is_wanted() && !is_manned(g))
		is_wrong("one that lacks a role is to serve", seed);
}

/* One serves, has who waits, and of the others only those with sessions. */
static int
is_well(void)
{
	struct generation *g = generation_newest(), *old;

	if (g == NULL || !g->is_serving || g->waiting_count == 0 ||
	    g->asked > 0 || generation_is_wanted() || generation_is_starting())
		return 0;
	TAILQ_FOREACH(old, &master.generations, link)
		if (old != g && old->sessions == 0)
			return 0;
	return 1;
}

static void
everybody_acts(void)
{
	struct process *p, *next;

	TAILQ_FOREACH_SAFE(p, &world.processes, link, next)
		process_acts(p);
}

/* Nothing goes wrong any more: it does not take long, nor clients, either. */
static void
calm_down(uint64_t seed)
{
	time_t by = master.now + PATIENCE;
	int is_busy, i;

	world.is_calm = 1;
	while (!is_well()) {
		if (master.now > by)
			is_wrong("not well for long", seed);
		for (i = 0; i < 200; i++) {
			everybody_acts();
			is_busy = turn();
			tick();
			check(seed);
			if (!is_busy && world.corpse_count == 0)
				break;
		}
		if (!is_busy)
			master.now += has_clock() ? 1 : 60;
	}
	world.is_calm = 0;
}

static void
round_of(uint64_t seed)
{
	struct process *p;
	unsigned i;

	dice = seed * 0x9e3779b97f4a7c15u + 1;
	for (i = 0; i < TURNS; i++) {
		while (one_in(2))
			something_happens();
		while (!one_in(4) && (p = some_process()) != NULL)
			process_acts(p);
		(void)turn();
		tick();
		check(seed);
	}
	calm_down(seed);
}

static void
make_roles(void)
{
	static const char *const names[] = { "worker", "login", "agents",
	    "signer", "relay", "resolver", "programs" };
	char path[128];
	size_t i;
	int fd;

	strlcpy(world.libexec, "/tmp/generations.XXXXXX",
	    sizeof(world.libexec));
	assert_non_null(mkdtemp(world.libexec));
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", world.libexec, names[i]);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
		assert_int_not_equal(fd, -1);
		close(fd);
	}
}

static void
remove_roles(void)
{
	struct dirent *d;
	DIR *dir = opendir(world.libexec);

	assert_non_null(dir);
	while ((d = readdir(dir)) != NULL)
		(void)unlinkat(dirfd(dir), d->d_name, 0);
	closedir(dir);
	assert_int_equal(rmdir(world.libexec), 0);
}

static int
needs_login(enum service service)
{
	(void)service;
	return 1;
}

static const struct daemon postern = {
	.name = "smtpd", .spawner = "worker", .agents = "agents",
	.relay = "relay", .resolver = "resolver", .programs = "programs",
	.needs_login = needs_login,
};

static uint64_t
number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static struct process *
spawner_of(const struct generation *g)
{
	return process_find(g->spawner.pid);
}

/* Nobody is served, all wait that are to; what comes next has a second. */
static void
settle(void)
{
	int i;

	session_end_all();
	for (i = 0; i < 50; i++) {
		calm_down(0);
		world.is_calm = 1;
		everybody_acts();
		(void)turn();
		tick();
	}
	assert_true(TAILQ_EMPTY(&master.sessions));
	master.now += 2;
}

/* What the spawner refuses as too much is never asked for. */
static void
test_a_rush_is_bounded(void **state)
{
	struct generation *g;
	struct waiting *w;
	struct message m;
	struct process *p;
	size_t owed, taken = 0;
	int i;

	(void)state;
	settle();
	g = generation_newest();
	p = spawner_of(g);
	master.config->prefork = 1000;
	/* All in one second: more than SPAWN_MAX would be kept waiting. */
	while (taken < SPAWN_MAX * 3 / 2) {
		process_acts(p);
		(void)turn();
		for (; (w = crowd_take(g)) != NULL; taken++)
			crowd_dismiss(g, w);
	}
	assert_int_equal(g->asked, SPAWN_MAX);
	for (owed = p->owed; message_recv(p->channel, &m, 0) == 1;) {
		assert_int_equal(m.type, CH_SPAWN);
		(void)get_u64(&m);
		owed += get_u32(&m);
	}
	assert_int_equal(owed, SPAWN_MAX);
	/* It will not hear of these again. */
	process_ends(p, SIGKILL);
	master.config->prefork = 4;
	for (i = 0; i < 100; i++) {
		master.now += 20;
		crowd_shrink();
	}
	settle();
}

/* A spawner can't make the master hold descriptors without end. */
static void
test_workers_that_nobody_asked_for(void **state)
{
	struct generation *g;
	struct process *p;
	size_t waiting;
	int i;

	(void)state;
	settle();
	g = generation_newest();
	p = spawner_of(g);
	waiting = g->waiting_count;
	assert_int_equal(g->asked, 0);
	p->first = 1;
	for (p->owed = 50; p->owed > 0;)
		spawn(p);
	(void)turn();
	assert_int_equal(g->waiting_count, waiting);
	assert_int_equal(g->dismissed, 50);
	for (i = 0; i < 3; i++) {
		everybody_acts();
		(void)turn();
	}
	assert_int_equal(g->dismissed, 0);
	assert_int_equal(g->asked, 0);
}

/* Each role tells of what it can have seen; else it is in other hands. */
static void
test_a_role_that_tells_what_it_cannot_know(void **state)
{
	static const struct { size_t role; enum note note; } lies[] = {
		{ 0, NOTE_LOGGED_IN }, { 2, NOTE_LOGGED_IN },
		{ 2, NOTE_LOGIN_FAILED }, { 3, NOTE_LOGGED_IN },
		{ 3, NOTE_CRASHED }, { 4, NOTE_GATE_FAULT },
		{ 4, NOTE_LOGGED_IN }, { 5, NOTE_CRASHED },
		{ 5, NOTE_LOGGED_IN }, { 1, 0 }, { 1, 32 }, { 1, 1000 },
		{ 1, UINT32_MAX },
	};
	struct generation *g;
	struct message m;
	struct session *s;
	struct child *c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		settle();
		a_client_comes();
		g = generation_newest();
		s = TAILQ_FIRST(&master.sessions);
		assert_non_null(s);
		c = roles_at(g, lies[i].role);
		message_begin(&m, CH_NOTE);
		put_u64(&m, s->facts.session);
		put_u32(&m, lies[i].note);
		assert_int_equal(message_send(process_find(c->pid)->channel,
		    &m), 0);
		(void)turn();
		assert_false(s->is_logged_in);
		if (c != &g->spawner)	/* which is not listened to at all */
			assert_true(g->is_retired || process_find(c->pid) ==
			    NULL);
	}
	settle();
}

/* Files have changed: whoever comes waits, however soon after a start. */
static void
test_an_awaited_start_within_the_second(void **state)
{
	struct generation *old;

	(void)state;
	settle();
	a_hangup_comes();
	settle();
	old = generation_newest();
	a_hangup_comes();
	assert_int_equal(generation_start_awaited(), 0);
	assert_null(generation_newest());
	assert_true(generation_is_starting());
	a_hangup_comes();
	assert_null(generation_newest());
	master.now++;
	tick();
	assert_non_null(generation_newest());
	assert_ptr_not_equal(generation_newest(), old);
	assert_false(generation_newest()->is_serving);
	settle();
	assert_true(generation_newest()->is_serving);
}

static size_t
descriptors(void)
{
	size_t n = 0;
	int fd;

	for (fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

static void
test_nothing_stops_it(void **state)
{
	uint64_t seed = number_of("GENERATIONS_SEED", 1);
	uint64_t rounds = number_of("GENERATIONS_ROUNDS", ROUNDS);

	(void)state;
	for (; rounds > 0; rounds--)
		round_of(seed++);
	printf("%zu generations were started, %zu served\n", world.starts,
	    world.served);
	assert_in_range(descriptors(), 0, 200);
}

static int
setup(void **state)
{
	(void)state;
	make_roles();
	TAILQ_INIT(&world.processes);
	TAILQ_INIT(&master.generations);
	TAILQ_INIT(&master.sessions);
	master.hint[0] = master.hint[1] = -1;
	master.queue.channel.fd = master.queue.log.fd = -1;
	master.daemon = &postern;
	master.config = new_config();
	master.now = 1000;
	world.is_calm = 1;
	log_init_master(show);
	assert_int_equal(generation_start_with(NULL), 0);
	calm_down(0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	remove_roles();
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_rush_is_bounded),
		cmocka_unit_test(test_workers_that_nobody_asked_for),
		cmocka_unit_test(test_a_role_that_tells_what_it_cannot_know),
		cmocka_unit_test(test_an_awaited_start_within_the_second),
		cmocka_unit_test(test_nothing_stops_it),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
