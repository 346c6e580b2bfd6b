/*
 * generations_checks: the event loop of a world of generations, and what must
 * hold in it, whatever happened: somebody serves, or is being started, or will
 * be at the next tick; never two starts within a second; and when nothing goes
 * wrong any more, soon one generation serves, has workers waiting, and of the
 * others is left what still has a session.
 */
#ifndef TESTS_GENERATIONS_CHECKS_H
#define TESTS_GENERATIONS_CHECKS_H

#include "generations_world.h"

#define PATIENCE	300	/* seconds for all to be well again */

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

/* What people do */

static struct config *
new_config(void)
{
	struct config *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->prefork = 1 + roll(4);
	c->max_sessions = 100;
	c->login_timeout = c->idle_timeout = 60;
	c->forward_commands = one_in(2);
	c->client_names = one_in(2);
	strlcpy(c->libexec_dir, world.libexec, sizeof(c->libexec_dir));
	return c;
}

static void
a_hangup_comes(void)
{
	(void)generation_start_with(new_config());
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
	f.service = one_in(2) ? SERVICE_SMTP : SERVICE_POP3;
	strlcpy(f.client, "192.0.2.7", sizeof(f.client));
	f.session = w->serial;
	session_start(g, w, &gates, NULL, &f);
	free(w);
}

/* From the first generation on */

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
	.named = 1U << SERVICE_SMTP, .needs_login = needs_login,
};

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

#endif
