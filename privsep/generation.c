/*
 * generation: spawner, login, agents, signer, relay and resolver, exec'd
 * together with a new address layout and canary; new sessions go to the newest,
 * older ones drain.
 *
 * Runs in the master, as root.
 */
#include <sys/wait.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"
#include "log.h"
#include "master.h"

#define EVERY		1	/* seconds: at most one generation in these */
#define START_PATIENCE	30	/* seconds for one to be seen to work */

static struct {
	unsigned	 number;
	time_t		 last;		/* start of the newest */
	const char	*wanted;	/* why the newest must serve nobody */
	struct generation *starting;	/* NULL: none */
	int		 is_awaited;	/* the one before serves nobody new */
	int		 is_due;	/* wants to start, after EVERY */
	int		 has_served;	/* one has: who fails is tried again */
} state;

struct generation *
generation_newest(void)
{
	struct generation *g;

	if (state.is_awaited)
		return state.starting;
	TAILQ_FOREACH(g, &master.generations, link)
		if (g->is_serving && !g->is_retired)
			return g;
	return state.starting;
}

static void	begin_to_serve(struct generation *);

static void
worker_ended(struct generation *g, struct message *m)
{
	uint64_t serial = get_u64(m);
	int status = (int)get_u32(m);

	if (get_end(m) == -1)
		return;
	if (is_crash(status))
		generation_failed(g, "worker-crash");
	if (crowd_lost(g, serial))
		/* Those after it might do the same: once a second is enough. */
		generation_failed(g, "worker-lost");
	else if (session_worker_ended(serial, status) == -1)
		crowd_gone(g);
	crowd_ask(g);
}

static void
spawner_heard(struct child *c, struct message *m)
{
	struct generation *g = c->owner;

	if (m->type == CH_WAITING && crowd_heard(g, m) == 1) {
		begin_to_serve(g);
		listen_pause(0);
	} else if (m->type == CH_ENDED)
		worker_ended(g, m);
}

#define BIT(note)	(1U << (note))

/* What each can have seen of a session; who has none, nothing. */
static unsigned
notes_of(const struct generation *g, const struct child *c)
{
	if (c == &g->login)
		return BIT(NOTE_LOGGED_IN) | BIT(NOTE_LOGIN_FAILED) |
		    BIT(NOTE_CRASHED) | BIT(NOTE_GATE_FAULT);
	if (c == &g->signer)
		return BIT(NOTE_GATE_FAULT);
	if (c == &g->relay)
		return BIT(NOTE_CRASHED);
	if (c == &g->resolver)
		return 0;
	return BIT(NOTE_CRASHED) | BIT(NOTE_USER_CRASHED) |
	    BIT(NOTE_GATE_FAULT);
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
	if (get_end(m) == -1)
		return;
	if (note < 32 && (notes_of(g, c) & BIT(note)) != 0)
		session_note(id, (enum note)note);
	else
		child_faulted(c);
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

static void
retire(struct generation *g)
{
	g->is_retired = 1;
	crowd_dismiss_all(g);
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
	crowd_dismiss_all(g);
	g->is_closed = 1;
	roles_forget(g);
	free_later(g);
}

/* The one that is starting is given up; whoever served goes on. */
static void
start_ended(const char *why)
{
	struct generation *g = state.starting;
	int was_new, is_alone;

	if (g == NULL)
		return;
	state.starting = NULL;
	state.is_awaited = 0;
	was_new = setting_give_up();
	retire(g);
	is_alone = generation_newest() == NULL;
	/* What was to come into force does not, whoever serves. */
	if (!is_alone || (was_new && state.has_served))
		log_event(LOG_ERR, 0, "event=renewal-failed number=%u why=%s "
		    "text=\"%s\"", g->number, why, is_alone ?
		    "another will serve, as configured before" :
		    "the old generation serves on");
	if (is_alone)
		generation_wanted(why);
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
	state.is_awaited = 0;
	state.wanted = NULL;
	state.has_served = 1;
	g->is_serving = 1;
	TAILQ_FOREACH(old, &master.generations, link)
		if (old != g)
			retire(old);
	log_event(LOG_INFO, 0, "event=generation number=%u", g->number);
	crowd_shrink();
	crowd_ask(g);
}

static struct generation *
generation_new(void)
{
	struct generation *g = calloc(1, sizeof(*g));
	struct child *c;
	size_t i;

	if (g == NULL)
		fatal("generation");
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

static int
start(void)
{
	struct generation *g = generation_new(), *old;
	struct setting with;

	setting_to_start_with(&with);
	state.last = master.now;
	state.is_due = 0;
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
	crowd_ask(g);
	return 0;
}

/* However often we are told: once a second, and the last word counts. */
static int
start_or_defer(void)
{
	if (!state.has_served || master.now - state.last >= EVERY)
		return start();
	if (state.starting != NULL)
		retire(state.starting);
	state.starting = NULL;
	state.is_due = 1;
	return 0;
}

int
generation_start_awaited(void)
{
	state.is_awaited = 1;
	return start_or_defer();
}

int
generation_start_with(struct config *fresh)
{
	return setting_propose(fresh) == -1 ? -1 : start_or_defer();
}

void
generation_wanted(const char *why)
{
	struct generation *g;

	if (state.wanted == NULL && !master.is_stopping) {
		log_event(LOG_NOTICE, 0, "event=renew why=%s", why);
		state.wanted = why;
		listen_pause(0);
	}
	/* Their layout may be known to whoever caused the crash. */
	TAILQ_FOREACH(g, &master.generations, link)
		if (g != state.starting)
			crowd_dismiss_all(g);
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

/* Its spawner hangs, or the system has no room: another one may do better. */
static void
renew_if_stuck(struct generation *g)
{
	if (!crowd_is_stuck(g))
		return;
	g->asked_at = master.now;
	if (state.starting != NULL || state.is_due || state.wanted != NULL)
		return;
	log_event(LOG_ERR, 0, "event=renew why=no-workers");
	(void)start_or_defer();
}

void
generation_tick(void)
{
	struct generation *g, *old;

	if (master.is_stopping)
		return;
	TAILQ_FOREACH(old, &master.generations, link)
		roles_hurry(old);
	if (state.starting != NULL &&
	    master.now - state.starting->started > START_PATIENCE)
		start_ended("too-slow");
	if ((state.is_due || (state.starting == NULL && state.wanted != NULL &&
	    state.has_served)) && master.now - state.last >= EVERY)
		(void)start();
	crowd_shrink();
	g = generation_newest();
	if (g != NULL && g->is_serving)
		renew_if_stuck(g);
	if (g != NULL)
		crowd_ask(g);
	if (state.starting != NULL && state.starting != g)
		crowd_ask(state.starting);
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
