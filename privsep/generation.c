/*
 * generation: spawner, login and agents, exec'd together with a new address
 * layout and canary; new sessions go to the newest, older ones drain.
 *
 * Runs in the master, as root.
 */
#include <sys/epoll.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"
#include "log.h"
#include "master.h"

#define EVERY		1	/* seconds: at most one generation in these */

static struct {
	unsigned	 number;
	uint64_t	 serial;	/* next worker's, and so session's id */
	time_t		 last;		/* start of the newest */
	const char	*wanted;	/* why the newest must serve nobody */
	int		 is_due;	/* a new one is to be tried, without haste */
	time_t		 queue_last;
} state;

struct generation *
generation_newest(void)
{
	struct generation *g = TAILQ_FIRST(&master.generations);

	return g != NULL && !g->is_retired ? g : NULL;
}

static void
ask_workers(struct generation *g)
{
	size_t have = g->waiting_count + g->asked;
	struct message m;
	uint32_t n;

	if (g->is_retired || state.wanted != NULL ||
	    have >= master.config->prefork)
		return;
	n = (uint32_t)(master.config->prefork - have);
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
		generation_wanted("worker-crash");
	if (waiting_ended(g, serial))
		/* Those after it might do the same: once a second is enough. */
		generation_wanted("worker-lost");
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
	uint64_t id;
	uint32_t note;

	(void)c;
	if (m->type != CH_NOTE)
		return;
	id = get_u64(m);
	note = get_u32(m);
	if (get_end(m) == 0)
		session_note(id, (enum note)note);
}

/* Let go of a retired generation that serves nobody any more. */
static void
let_go(struct generation *g)
{
	if (!g->is_retired || g->is_closed || g->sessions > 0)
		return;
	g->is_closed = 1;
	child_let_go(&g->spawner);
	child_let_go(&g->login);
	child_let_go(&g->agents);
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
	let_go(g);
}

static void
forget_if_ended(struct generation *g)
{
	if (g->spawner.pid != 0 || g->login.pid != 0 || g->agents.pid != 0 ||
	    g->sessions > 0)
		return;
	TAILQ_REMOVE(&master.generations, g, link);
	generation_throw_waiting(g);
	child_let_go(&g->spawner);
	child_let_go(&g->login);
	child_let_go(&g->agents);
	if (g->spawner.log.fd != -1)
		watch_close(&g->spawner.log);
	if (g->login.log.fd != -1)
		watch_close(&g->login.log);
	if (g->agents.log.fd != -1)
		watch_close(&g->agents.log);
	free_later(g);
}

static int
start_role(struct generation *g, struct child *c, const char *executable,
    enum role role, int link, int hint)
{
	struct child_descriptors d = { .link = link, .hint = hint };
	int r;

	c->owner = g;
	c->channel.fd = c->log.fd = -1;
	c->heard = role == ROLE_SPAWNER ? spawner_heard : note_heard;
	d.config = config_send(master.config, role);
	if (d.config == -1)
		return -1;
	r = child_start(c, executable, &d);
	close(d.config);
	return r;
}

static int
start_roles(struct generation *g)
{
	int r, link[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) == -1)
		return -1;
	r = start_role(g, &g->spawner, master.daemon->spawner, ROLE_SPAWNER,
	    -1, -1) == -1 ||
	    start_role(g, &g->login, "login", ROLE_LOGIN, link[0], -1) == -1 ||
	    start_role(g, &g->agents, master.daemon->agents, ROLE_AGENTS,
	    link[1], master.hint[1]) == -1 ? -1 : 0;
	close(link[0]);
	close(link[1]);
	return r;
}

/* The one that serves goes on serving, if there is one. */
static void
start_failed(struct generation *g)
{
	log_event(LOG_CRIT, 0, "event=no-generation text=\"%s\"",
	    strerror(errno));
	g->is_retired = 1;
	TAILQ_INSERT_TAIL(&master.generations, g, link);
	let_go(g);
	forget_if_ended(g);
	if (generation_newest() == NULL)
		generation_wanted("start-failed");
	else
		state.is_due = 1;
}

int
generation_start(void)
{
	struct generation *g, *old;

	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return -1;
	if (state.serial == 0)
		/* Ids that don't repeat from one start to the next. */
		state.serial = (uint64_t)time(NULL) << 24;
	g->number = ++state.number;
	TAILQ_INIT(&g->waiting);
	g->spawner.channel.fd = g->login.channel.fd = g->agents.channel.fd = -1;
	g->spawner.log.fd = g->login.log.fd = g->agents.log.fd = -1;
	state.last = master.now;
	if (start_roles(g) == -1) {
		start_failed(g);
		return -1;
	}
	TAILQ_FOREACH(old, &master.generations, link)
		retire(old);
	TAILQ_INSERT_HEAD(&master.generations, g, link);
	state.wanted = NULL;
	state.is_due = 0;
	log_event(LOG_INFO, 0, "event=generation number=%u", g->number);
	ask_workers(g);
	return 0;
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

int
generation_is_wanted(void)
{
	return state.wanted != NULL;
}

void
generation_tick(void)
{
	struct generation *g = generation_newest();

	if (master.is_stopping)
		return;
	if ((state.wanted != NULL || state.is_due) &&
	    master.now - state.last >= EVERY)
		(void)generation_start();
	else if (g != NULL && state.wanted == NULL)
		ask_workers(g);
}

struct waiting *
generation_take(struct generation *g)
{
	struct waiting *w = TAILQ_FIRST(&g->waiting);

	if (w == NULL)
		return NULL;
	TAILQ_REMOVE(&g->waiting, w, link);
	g->waiting_count--;
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

static int
role_ended(struct generation *g, struct child *c, pid_t pid, int status)
{
	if (c->pid != pid)
		return 0;
	c->pid = 0;
	if (c == &g->spawner)
		session_spawner_ended(g);
	if (!g->is_closed && !master.is_stopping) {
		log_event(LOG_CRIT, 0, "event=role-ended role=%s pid=%d "
		    "status=%#x", c->name, (int)pid, (unsigned)status);
		child_let_go(c);
		/* Running sessions go on; new ones need whole generations. */
		if (!g->is_retired) {
			generation_wanted("role-ended");
			retire(g);
		}
	}
	forget_if_ended(g);
	return 1;
}

int
generation_child_ended(pid_t pid, int status)
{
	struct generation *g, *next;

	if (pid == master.queue.pid) {
		master.queue.pid = 0;
		if (!master.is_stopping && !master.queue.is_let_go)
			log_event(LOG_CRIT, 0, "event=role-ended role=%s "
			    "pid=%d status=%#x", master.queue.name, (int)pid,
			    (unsigned)status);
		child_let_go(&master.queue);
		return 1;
	}
	for (g = TAILQ_FIRST(&master.generations); g != NULL; g = next) {
		next = TAILQ_NEXT(g, link);
		if (role_ended(g, &g->spawner, pid, status) ||
		    role_ended(g, &g->login, pid, status) ||
		    role_ended(g, &g->agents, pid, status))
			return 1;
	}
	return 0;
}

static void
queue_heard(struct child *c, struct message *m)
{
	uint64_t tag;

	if (m->type != CH_NEED_DELIVERY)
		return;
	tag = get_u64(m);
	if (get_end(m) == 0)
		session_need_delivery(c, tag);
}

void
queue_start(void)
{
	struct child_descriptors d = { .link = -1, .hint = master.hint[0] };
	struct child *c = &master.queue;

	if (master.daemon->queue == NULL)
		return;
	if (c->log.fd != -1)
		watch_close(&c->log);
	state.queue_last = master.now;
	c->heard = queue_heard;
	d.config = config_send(master.config, ROLE_QUEUE);
	if (d.config == -1 || child_start(c, master.daemon->queue, &d) == -1)
		log_event(LOG_CRIT, 0, "event=no-queue text=\"%s\"",
		    strerror(errno));
	if (d.config != -1)
		close(d.config);
}

void
queue_tick(void)
{
	if (master.daemon->queue != NULL && master.queue.pid == 0 &&
	    !master.is_stopping && master.now - state.queue_last >= EVERY)
		queue_start();
}
