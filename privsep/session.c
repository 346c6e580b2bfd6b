/*
 * session: one client from hand-out to the end of its worker.
 *
 * Runs in the master, as root; holds the far end of worker and gate, never
 * reads what a client or a worker's gate says.
 */
#include <sys/epoll.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash.h"
#include "log.h"
#include "master.h"

#define GRACE		30	/* seconds beyond a worker's own clock */
#define GOODBYE		5	/* seconds for a worker's last words */
#define LINES_A_SECOND	20	/* log budget of a session */
#define HASH_SIZE	4096

static struct session_list hash[HASH_SIZE];
static int has_hash;

static struct session_list *
bucket(uint64_t id)
{
	size_t i;

	for (i = 0; !has_hash && i < HASH_SIZE; i++)
		TAILQ_INIT(&hash[i]);
	has_hash = 1;
	return &hash[id % HASH_SIZE];
}

struct session *
session_find(uint64_t id)
{
	struct session *s;

	TAILQ_FOREACH(s, bucket(id), hash)
		if (s->facts.session == id)
			return s;
	return NULL;
}

static void
flush_suppressed(struct session *s)
{
	if (s->log_suppressed > 0)
		log_event(LOG_WARNING, s->facts.session,
		    "event=log-suppressed lines=%u", s->log_suppressed);
	s->log_suppressed = 0;
	s->log_lines = 0;
}

static void
kill_worker(const struct session *s)
{
	struct message m;

	message_begin(&m, CH_END);
	put_u64(&m, s->facts.session);
	(void)message_send(s->generation->spawner.channel.fd, &m);
}

/* Its worker is known to be gone, or nobody is left who could tell. */
static void
session_free(struct session *s)
{
	struct generation *g = s->generation;

	TAILQ_REMOVE(bucket(s->facts.session), s, hash);
	TAILQ_REMOVE(&master.sessions, s, link);
	/* Not before: until then it counts, and a crash has an address. */
	limits_end(s->source);
	master.session_count--;
	free_later(s);
	generation_session_over(g);
}

static void
forget_name(struct session *s)
{
	if (s->name != -1)
		close(s->name);
	s->name = -1;
}

/*
 * The worker let go of its channel.  It counts until the spawner has told of
 * its end: whoever only closes the channel would be beyond limits and clock.
 */
static void
session_over(struct session *s)
{
	flush_suppressed(s);
	watch_close(&s->channel);
	if (s->gate.fd != -1)
		watch_close(&s->gate);
	if (s->signer.fd != -1)
		watch_close(&s->signer);
	forget_name(s);
	s->over_at = master.now;
	if (s->is_reaped || s->generation->spawner.pid == 0)
		session_free(s);
}

void
session_spawner_ended(const struct generation *g)
{
	struct session *s, *next;

	TAILQ_FOREACH_SAFE(s, &master.sessions, link, next)
		if (s->generation == g && s->over_at != 0)
			session_free(s);
}

/* The worker sees the end of its channel, says goodbye and exits. */
void
session_end(struct session *s)
{
	if (s->kill_by != 0 || s->channel.fd == -1)
		return;
	s->kill_by = master.now + GOODBYE;
	(void)shutdown(s->channel.fd, SHUT_WR);
}

static void
worker_logs(struct session *s, struct message *m)
{
	char line[LOG_LINE_MAX];
	uint32_t level = get_u32(m);

	get_str(m, line, sizeof(line));
	if (get_end(m) == -1 || level > LOG_DEBUG)
		return;
	/* A worker's word is marked as such, and wakes nobody up. */
	if (level < LOG_ERR)
		level = LOG_ERR;
	if (++s->log_lines > LINES_A_SECOND)
		s->log_suppressed++;
	else
		log_event((int)level, s->facts.session, "by=worker %s", line);
}

static void
channel_ready(struct watch *w, uint32_t events)
{
	struct session *s = w->owner;
	struct message m;
	int n, budget = 16;

	(void)events;
	while (budget-- > 0) {
		n = message_recv(w->fd, &m, 0);
		if (n == 0 || (n == -1 && errno != EAGAIN &&
		    errno != EBADMSG)) {
			session_over(s);
			return;
		}
		if (n == -1 && errno == EAGAIN)
			return;
		if (n == 1 && m.type == CH_LOG)
			worker_logs(s, &m);
		else if (n == 1 && m.type == CH_ALIVE)
			s->alive_by = master.now +
			    master.config->idle_timeout + GRACE;
	}
}

/* Who is to answer what comes on this end. */
static struct child *
receiver(const struct session *s, const struct watch *w)
{
	struct generation *g = s->generation;

	if (w == &s->signer)
		return &g->signer;
	return master.daemon->needs_login(s->facts.service) ? &g->login :
	    &g->agents;
}

/* The session's first request came: the privileged side takes over. */
static void
gate_ready(struct watch *w, uint32_t events)
{
	struct session *s = w->owner;
	struct message m;

	/* With nobody at the other end, no request is worth an answer. */
	if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
		watch_close(w);
		return;
	}
	message_begin(&m, CH_SERVE);
	put_facts(&m, &s->facts);
	put_fd(&m, w->fd);
	if (w == &s->gate && s->name != -1)
		put_fd(&m, s->name);
	if (message_send(receiver(s, w)->channel.fd, &m) == -1 &&
	    errno == EAGAIN) {
		s->is_paused = 1;		/* until the next tick */
		watch_change(w, 0);
		return;
	}
	if (w == &s->gate)
		forget_name(s);
	watch_close(w);
}

static void
far_end(struct session *s, struct watch *w, int fd)
{
	w->fd = fd;
	w->ready = gate_ready;
	w->owner = s;
	if (fd != -1)
		watch_add(w, EPOLLIN);
}

/*
 * One end of a pair to this role, with facts, among them of which client; the
 * other, or -1.
 */
static int
hand_pair(const struct child *server, enum service service, const char *client)
{
	struct message m;
	struct facts f;
	int r, pair[2];

	if (server->channel.fd == -1 || socketpair(AF_UNIX,
	    SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return -1;
	facts_init(&f);
	f.service = service;
	f.session = crowd_next_id();
	strlcpy(f.client, client, sizeof(f.client));
	message_begin(&m, CH_SERVE);
	put_facts(&m, &f);
	put_fd(&m, pair[1]);
	r = message_send(server->channel.fd, &m);
	close(pair[1]);
	if (r == 0)
		return pair[0];
	close(pair[0]);
	return -1;
}

/*
 * Whoever is not of this host gets looked up while the worker greets him.  The
 * resolver is told the address and nothing else, and whoever has this end hears
 * one name and asks nothing.
 */
static int
look_up(struct generation *g, const struct facts *f)
{
	if (!master.config->client_names ||
	    (master.daemon->named & 1U << f->service) == 0 ||
	    (f->flags & FACT_LOOPBACK) != 0)
		return -1;
	return hand_pair(&g->resolver, SERVICE_NAME, f->client);
}

void
session_start(struct generation *g, struct waiting *w,
    const struct gates *gates, struct source *source, const struct facts *f)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		fatal("session");
	s->facts = *f;
	s->generation = g;
	s->source = source;
	s->channel.fd = w->channel;
	s->channel.ready = channel_ready;
	s->channel.owner = s;
	if (master.daemon->needs_login(f->service))
		s->login_by = master.now + master.config->login_timeout;
	s->alive_by = master.now + master.config->idle_timeout + GRACE;
	g->sessions++;
	limits_begin(source);
	master.session_count++;
	TAILQ_INSERT_TAIL(&master.sessions, s, link);
	TAILQ_INSERT_HEAD(bucket(f->session), s, hash);
	watch_add(&s->channel, EPOLLIN);
	far_end(s, &s->gate, gates->agent[1]);
	far_end(s, &s->signer, gates->signer[1]);
	s->name = look_up(g, f);
}

void
session_note(uint64_t id, enum note note)
{
	struct session *s = session_find(id);

	switch (note) {
	case NOTE_LOGGED_IN:
		if (s != NULL)
			s->is_logged_in = 1;
		break;
	case NOTE_LOGIN_FAILED:
		if (s != NULL)
			limits_login_failed(s->source);
		break;
	case NOTE_CRASHED:
		generation_wanted("session-crash");
		/* FALLTHROUGH */
	case NOTE_USER_CRASHED:
	case NOTE_GATE_FAULT:
		if (s != NULL)
			limits_crashed(s->source);
		break;
	}
}

int
session_worker_ended(uint64_t id, int status)
{
	struct session *s = session_find(id);

	if (s == NULL)
		return -1;
	s->is_reaped = 1;
	if (is_crash(status)) {
		log_event(LOG_CRIT, id, "event=worker-crash signal=%d "
		    "client=%s", WTERMSIG(status), s->facts.client);
		limits_crashed(s->source);
	}
	if (s->channel.fd == -1)
		session_free(s);
	return 0;
}

/* Its time is over: the worker is told, so that it can say so. */
static void
session_late(struct session *s)
{
	struct message m;

	log_event(LOG_INFO, s->facts.session, "event=timeout client=%s",
	    s->facts.client);
	message_begin(&m, CH_LATE);
	(void)message_send(s->channel.fd, &m);
	session_end(s);
}

static void
session_check(struct session *s)
{
	if (s->over_at != 0) {
		if (master.now > s->over_at)
			kill_worker(s);		/* again, until it is gone */
		return;
	}
	flush_suppressed(s);
	if (s->kill_by != 0) {
		if (master.now >= s->kill_by)
			kill_worker(s);
	} else if ((s->login_by != 0 && !s->is_logged_in &&
	    master.now >= s->login_by) || master.now >= s->alive_by)
		session_late(s);
	if (s->is_paused) {
		s->is_paused = 0;
		if (s->gate.fd != -1)
			watch_change(&s->gate, EPOLLIN);
		if (s->signer.fd != -1)
			watch_change(&s->signer, EPOLLIN);
	}
}

void
session_tick(void)
{
	struct session *s, *next;

	for (s = TAILQ_FIRST(&master.sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		session_check(s);
	}
}

void
session_end_all(void)
{
	struct session *s;

	TAILQ_FOREACH(s, &master.sessions, link)
		session_end(s);
}

void
session_kill_all(void)
{
	struct session *s;

	TAILQ_FOREACH(s, &master.sessions, link)
		if (s->over_at == 0)
			kill_worker(s);
}

/* What the queue can ask for, and where the role that serves it stands. */
static const struct need {
	uint32_t	request, answer;
	enum service	service;
	size_t		role;		/* in struct generation */
} needs[] = {
	{ CH_NEED_DELIVERY, CH_DELIVERY, SERVICE_DELIVERY,
	    offsetof(struct generation, login) },
	{ CH_NEED_RELAY, CH_RELAY, SERVICE_RELAY,
	    offsetof(struct generation, relay) },
	{ CH_NEED_RESOLVER, CH_RESOLVER, SERVICE_RESOLVER,
	    offsetof(struct generation, resolver) },
	{ CH_NEED_PROGRAM, CH_PROGRAM, SERVICE_PROGRAM,
	    offsetof(struct generation, login) },
};
#define NEEDS	(sizeof(needs) / sizeof(needs[0]))

/*
 * The queue gets one end of a pair, and the other goes to relay or resolver,
 * or to login, where it will ask IDENTIFY, and then the agent that this names.
 */
void
session_need(struct child *queue, uint32_t request, uint64_t tag)
{
	struct generation *g = generation_newest();
	struct message m;
	size_t i;
	int fd = -1;

	for (i = 0; i < NEEDS && needs[i].request != request; i++)
		;
	if (i == NEEDS)
		return;
	if (g != NULL)
		fd = hand_pair((struct child *)(void *)((char *)g +
		    needs[i].role), needs[i].service, "");
	message_begin(&m, needs[i].answer);
	put_u64(&m, tag);
	if (fd != -1)
		put_fd(&m, fd);
	(void)message_send(queue->channel.fd, &m);
	if (fd != -1)
		close(fd);
}
