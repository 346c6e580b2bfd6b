/*
 * generation: spawner, login, agents, signer, relay and resolver, exec'd
 * together with a new address layout and canary; new sessions go to the newest,
 * older ones drain.
 *
 * Runs in the master, as root.
 */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"
#include "keyring.h"
#include "log.h"
#include "master.h"

#define EVERY		1	/* seconds: at most one generation in these */
#define START_PATIENCE	30	/* seconds for one to be seen to work */
#define CROWD_GROWTH	16	/* times prefork are kept waiting at most */
#define CROWD_SECONDS	10	/* without a rush, and there are fewer again */

static struct {
	unsigned	 number;
	uint64_t	 serial;	/* next worker's, and so session's id */
	time_t		 last;		/* start of the newest */
	const char	*wanted;	/* why the newest must serve nobody */
	struct setting	 setting;	/* in force; config: master.config */
	struct setting	 next;		/* of the one that is starting */
	struct generation *starting;	/* NULL: none */
	int		 is_awaited;	/* the one before must serve nobody new */
	int		 is_due;	/* wants to start, after EVERY */
	int		 has_served;	/* one has: who fails is tried again */
	uint32_t	 crowd;		/* workers to be kept waiting */
	time_t		 rush;		/* when they were last too few */
	time_t		 second;	/* in which so many were taken: */
	uint32_t	 taken;
} state = {
	.setting = { .certificates = -1, .keys = -1 },
	.next = { .certificates = -1, .keys = -1 }
};

struct generation *
generation_newest(void)
{
	struct generation *g;

	if (state.starting != NULL && state.is_awaited)
		return state.starting;
	TAILQ_FOREACH(g, &master.generations, link)
		if (g->is_serving && !g->is_retired)
			return g;
	return state.starting;
}

/*
 * The last one that waited was taken.  If as many came in this second as are
 * kept waiting, more are.
 */
static void
crowd_grow(void)
{
	uint32_t most = master.config->prefork * CROWD_GROWTH;

	if (state.taken <= state.crowd)
		return;
	state.rush = master.now;
	state.crowd = state.crowd > most / 2 ? most : state.crowd * 2;
}

static void
count_taken(void)
{
	if (state.second != master.now)
		state.taken = 0;
	state.second = master.now;
	state.taken++;
}

static void
crowd_shrink(void)
{
	if (state.crowd < master.config->prefork)
		state.crowd = master.config->prefork;
	else if (state.crowd > master.config->prefork &&
	    master.now - state.rush >= CROWD_SECONDS) {
		state.crowd -= (state.crowd - master.config->prefork + 3) / 4;
		state.rush = master.now;
	}
}

static void	begin_to_serve(struct generation *);
static void	start_ended(const char *why);

static void
ask_workers(struct generation *g)
{
	size_t have = g->waiting_count + g->asked;
	uint32_t want = g->is_serving ? state.crowd : 1;
	struct message m;
	uint32_t n;

	if (g->is_retired || (g->is_serving &&
	    (state.wanted != NULL || master.has_enough)) || have >= want)
		return;
	n = (uint32_t)(want - have);
	message_begin(&m, CH_SPAWN);
	put_u64(&m, state.serial);
	put_u32(&m, n);
	if (message_send(g->spawner.channel.fd, &m) == -1)
		return;		/* asked again at the next tick */
	state.serial += n;
	g->asked += n;
}

static void
worker_waits(struct generation *g, struct message *m)
{
	struct waiting *w;
	uint64_t serial = get_u64(m);
	int fd = get_fd(m);

	if (get_end(m) == -1) {
		if (fd != -1)
			close(fd);
		return;
	}
	if (g->asked > 0)
		g->asked--;
	w = calloc(1, sizeof(*w));
	/* Ours not to block on, whatever the spawner made of it. */
	if (w == NULL || g->is_retired ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) == -1) {
		free(w);
		close(fd);
		return;
	}
	w->serial = serial;
	w->channel = fd;
	TAILQ_INSERT_TAIL(&g->waiting, w, link);
	g->waiting_count++;
	begin_to_serve(g);
	listen_pause(0);
}

/* One that waited ended before it had a client. 1: it was here. */
static int
waiting_ended(struct generation *g, uint64_t serial)
{
	struct waiting *w;

	TAILQ_FOREACH(w, &g->waiting, link)
		if (w->serial == serial)
			break;
	if (w == NULL)
		return 0;
	TAILQ_REMOVE(&g->waiting, w, link);
	g->waiting_count--;
	close(w->channel);
	free(w);
	return 1;
}

static void
worker_ended(struct generation *g, struct message *m)
{
	uint64_t serial = get_u64(m);
	int status = (int)get_u32(m);

	if (get_end(m) == -1)
		return;
	if (is_crash(status))
		generation_failed(g, "worker-crash");
	if (waiting_ended(g, serial))
		/* Those after it might do the same: once a second is enough. */
		generation_failed(g, "worker-lost");
	else if (session_worker_ended(serial, status) == -1 && g->asked > 0)
		g->asked--;	/* its WAITING was lost on the way */
	ask_workers(g);
}

static void
spawner_heard(struct child *c, struct message *m)
{
	struct generation *g = c->owner;

	if (m->type == CH_WAITING)
		worker_waits(g, m);
	else if (m->type == CH_ENDED)
		worker_ended(g, m);
}

static void
note_heard(struct child *c, struct message *m)
{
	struct generation *g = c->owner;
	uint64_t id;
	uint32_t note;

	if (m->type == CH_READY && get_end(m) == 0) {
		c->is_ready = 1;
		begin_to_serve(g);
	}
	if (m->type != CH_NOTE)
		return;
	id = get_u64(m);
	note = get_u32(m);
	if (get_end(m) == 0)
		session_note(id, (enum note)note);
}

void
generation_let_go(struct generation *g)
{
	g->is_closed = 1;
	roles_let_go(g);
}

/* Let go of a retired generation that serves nobody any more. */
static void
let_go(struct generation *g)
{
	if (g->is_retired && !g->is_closed && g->sessions == 0)
		generation_let_go(g);
}

void
generation_throw_waiting(struct generation *g)
{
	struct waiting *w;

	while ((w = TAILQ_FIRST(&g->waiting)) != NULL) {
		TAILQ_REMOVE(&g->waiting, w, link);
		close(w->channel);
		free(w);
	}
	g->waiting_count = 0;
}

static void
retire(struct generation *g)
{
	g->is_retired = 1;
	generation_throw_waiting(g);
	/* What they have begun they end; the queue asks for others. */
	child_let_go(&g->relay);
	child_let_go(&g->resolver);
	let_go(g);
}

static void
forget_if_ended(struct generation *g)
{
	if (!roles_have_ended(g) || g->sessions > 0)
		return;
	TAILQ_REMOVE(&master.generations, g, link);
	generation_throw_waiting(g);
	g->is_closed = 1;
	roles_forget(g);
	free_later(g);
}

static void
setting_drop(struct setting *s)
{
	if (s->config != NULL)
		config_forget_secrets(s->config);
	free(s->config);
	s->config = NULL;
	if (s->certificates != -1)
		close(s->certificates);
	if (s->keys != -1)
		close(s->keys);
	s->certificates = s->keys = -1;
}

/* What is served with from now on; 0, or -1: then nothing has changed. */
static int
setting_into_force(void)
{
	if (state.next.config != NULL) {
		if (listen_open(state.next.config) == -1)
			return -1;
		config_forget_secrets(master.config);
		free_later(master.config);
		master.config = state.next.config;
		state.next.config = NULL;
		log_event(LOG_INFO, 0, "event=reloaded");
		/* It ends, and queue_tick() renews it. */
		child_let_go(&master.queue);
	}
	if (state.next.keys != -1) {
		setting_drop(&state.setting);
		state.setting = state.next;
		state.next.certificates = state.next.keys = -1;
	}
	return 0;
}

/* The one that is starting is given up; whoever served goes on. */
static void
start_ended(const char *why)
{
	struct generation *g = state.starting;

	if (g == NULL)
		return;
	state.starting = NULL;
	setting_drop(&state.next);
	retire(g);
	if (generation_newest() == NULL)
		generation_wanted(why);
	else
		log_event(LOG_ERR, 0, "event=renewal-failed number=%u why=%s "
		    "text=\"the old generation serves on\"", g->number, why);
	listen_pause(0);
}

/* It has a worker and its keys: from now on it serves, and alone. */
static void
begin_to_serve(struct generation *g)
{
	struct generation *old;

	if (master.is_stopping || g != state.starting || !roles_are_ready(g))
		return;
	if (setting_into_force() == -1) {
		start_ended("no-listener");
		return;
	}
	state.starting = NULL;
	state.wanted = NULL;
	state.has_served = 1;
	g->is_serving = 1;
	TAILQ_FOREACH(old, &master.generations, link)
		if (old != g)
			retire(old);
	log_event(LOG_INFO, 0, "event=generation number=%u", g->number);
	crowd_shrink();
	ask_workers(g);
}

static struct generation *
generation_new(void)
{
	struct generation *g = calloc(1, sizeof(*g));
	struct child *c;
	size_t i;

	if (g == NULL)
		fatal("generation");
	if (state.serial == 0)
		/* Ids that don't repeat from one start to the next. */
		state.serial = (uint64_t)time(NULL) << 24;
	g->number = ++state.number;
	g->started = master.now;
	TAILQ_INIT(&g->waiting);
	for (i = 0; (c = roles_at(g, i)) != NULL; i++) {
		c->channel.fd = c->log.fd = -1;
		c->owner = g;
		c->heard = c == &g->spawner ? spawner_heard : note_heard;
	}
	return g;
}

int
generation_start(void)
{
	const struct setting with = {
		.config = state.next.config != NULL ? state.next.config :
		    master.config,
		.certificates = state.next.keys != -1 ?
		    state.next.certificates : state.setting.certificates,
		.keys = state.next.keys != -1 ? state.next.keys :
		    state.setting.keys
	};
	struct generation *g = generation_new(), *old;

	state.last = master.now;
	state.is_due = state.is_awaited = 0;
	TAILQ_FOREACH(old, &master.generations, link)
		if (old == state.starting || state.wanted != NULL)
			retire(old);
	state.wanted = NULL;
	state.starting = g;
	TAILQ_INSERT_HEAD(&master.generations, g, link);
	if (roles_start(g, &with) == -1) {
		log_event(LOG_CRIT, 0, "event=no-generation text=\"%s\"",
		    strerror(errno));
		start_ended("start-failed");
		forget_if_ended(g);
		return -1;
	}
	ask_workers(g);
	return 0;
}

int
generation_start_awaited(void)
{
	int r = generation_start();

	state.is_awaited = 1;
	return r;
}

static void
report(const char *text)
{
	log_event(LOG_ERR, 0, "event=certificate text=\"%s\"", text);
}

int
generation_start_with(struct config *fresh)
{
	const struct config *c = fresh != NULL ? fresh : master.config;
	struct setting next = { .config = fresh, .certificates = -1,
	    .keys = -1 };

	if (keyring_send(c, &next.certificates, &next.keys, report) == -1) {
		setting_drop(&next);
		return -1;
	}
	setting_drop(&state.next);
	state.next = next;
	/* However often we are told: the last word counts. */
	if (state.has_served && master.now - state.last < EVERY) {
		if (state.starting != NULL)
			retire(state.starting);
		state.starting = NULL;
		state.is_due = 1;
		return 0;
	}
	return generation_start();
}

void
generation_wanted(const char *why)
{
	struct generation *g = generation_newest();

	if (state.wanted == NULL && !master.is_stopping) {
		log_event(LOG_NOTICE, 0, "event=renew why=%s", why);
		state.wanted = why;
		listen_pause(0);
	}
	/* Their layout may be known to whoever caused the crash. */
	if (g != NULL)
		generation_throw_waiting(g);
}

void
generation_failed(struct generation *g, const char *why)
{
	if (g == state.starting)
		start_ended(why);
	else
		generation_wanted(why);
}

int
generation_is_wanted(void)
{
	return state.wanted != NULL;
}

int
generation_is_starting(void)
{
	return state.starting != NULL || state.is_due;
}

void
generation_tick(void)
{
	struct generation *g = generation_newest();

	if (master.is_stopping)
		return;
	if (state.starting != NULL &&
	    master.now - state.starting->started > START_PATIENCE)
		start_ended("too-slow");
	if ((state.is_due || (state.starting == NULL && state.wanted != NULL &&
	    state.has_served)) && master.now - state.last >= EVERY)
		(void)generation_start();
	crowd_shrink();
	if (g != NULL)
		ask_workers(g);
	if (state.starting != NULL && state.starting != g)
		ask_workers(state.starting);
}

struct waiting *
generation_take(struct generation *g)
{
	struct waiting *w = TAILQ_FIRST(&g->waiting);

	if (w == NULL)
		return NULL;
	TAILQ_REMOVE(&g->waiting, w, link);
	count_taken();
	if (--g->waiting_count == 0)
		crowd_grow();
	ask_workers(g);
	return w;
}

uint64_t
generation_next_id(void)
{
	return state.serial++;
}

void
generation_session_over(struct generation *g)
{
	g->sessions--;
	let_go(g);
	forget_if_ended(g);
}

static void
role_ended(struct generation *g, struct child *c, int status)
{
	pid_t pid = c->pid;

	c->pid = 0;
	if (c == &g->spawner) {
		g->sessions++;		/* not forgotten while we need it */
		session_spawner_ended(g);
		g->sessions--;
		let_go(g);
	}
	/* Whoever is left of an old one has the layout of what crashed. */
	if (is_crash(status) && g->is_retired && !g->is_closed)
		generation_wanted("role-crash");
	if ((!c->is_let_go || WIFSIGNALED(status)) && !master.is_stopping)
		log_event(LOG_CRIT, 0, "event=role-ended role=%s pid=%d "
		    "status=%#x", c->name, (int)pid, (unsigned)status);
	if (!c->is_let_go && !master.is_stopping) {
		child_let_go(c);
		/* Running sessions go on; new ones need whole generations. */
		if (!g->is_retired) {
			generation_failed(g, "role-ended");
			retire(g);
		}
	}
	forget_if_ended(g);
}

int
generation_child_ended(pid_t pid, int status)
{
	struct generation *g;
	struct child *c;
	size_t i;

	if (queue_ended(pid, status))
		return 1;
	TAILQ_FOREACH(g, &master.generations, link)
		for (i = 0; (c = roles_at(g, i)) != NULL; i++)
			if (c->pid == pid) {
				role_ended(g, c, status);
				return 1;
			}
	return 0;
}
