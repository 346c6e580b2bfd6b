/*
 * children: reap and bound the forks that serve one session each.
 *
 * Runs in login and agents, as root, and in relay, as relay-user; touches its
 * children and the channel to the master.
 */
#include <sys/wait.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "children.h"
#include "crash.h"
#include "log.h"
#include "message.h"
#include "sigchld.h"

#define REFUSALS_EVERY	10	/* seconds between lines about those refused */

static time_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

void
note_master(uint64_t session, enum note note)
{
	struct message m;

	message_begin(&m, CH_NOTE);
	put_u64(&m, session);
	put_u32(&m, (uint32_t)note);
	(void)message_send(FD_MASTER, &m);
}

void
children_init(struct children *c)
{
	memset(c, 0, sizeof(*c));
	sigchld_begin(&c->while_waiting);
}

void
children_add(struct children *c, pid_t pid, uint64_t session,
    unsigned seconds, enum note crash_note)
{
	struct children_entry *e;

	if (c->count == c->room) {
		c->room = c->room == 0 ? 64 : c->room * 2;
		e = reallocarray(c->entries, c->room, sizeof(*e));
		if (e == NULL)
			fatal("remembering a child");
		c->entries = e;
	}
	e = &c->entries[c->count++];
	e->pid = pid;
	e->session = session;
	e->deadline = seconds != 0 ? now() + seconds : 0;
	e->crash_note = crash_note;
	e->is_for_queue = 0;
}

static void
reap_one(struct children *c, pid_t pid, int status)
{
	size_t i;

	for (i = 0; i < c->count; i++)
		if (c->entries[i].pid == pid)
			break;
	if (i == c->count)
		return;
	if (is_crash(status))
		note_master(c->entries[i].session, c->entries[i].crash_note);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_FAULTED)
		note_master(c->entries[i].session, NOTE_GATE_FAULT);
	if (WIFSIGNALED(status))
		log_event(LOG_ERR, c->entries[i].session,
		    "event=died pid=%d signal=%d", (int)pid,
		    WTERMSIG(status));
	if (c->entries[i].is_for_queue)
		c->for_queue--;
	c->entries[i] = c->entries[--c->count];
}

/* End those past their deadline; milliseconds until the next one, or -1. */
static int
enforce_deadlines(struct children *c)
{
	time_t t = now(), left, nearest = -1;
	size_t i;

	for (i = 0; i < c->count; i++) {
		if (c->entries[i].deadline == 0)
			continue;
		left = c->entries[i].deadline - t;
		if (left <= 0) {
			(void)kill(c->entries[i].pid, SIGKILL);
			left = 1;
		}
		if (nearest == -1 || left < nearest)
			nearest = left;
	}
	return nearest == -1 ? -1 : (int)nearest * 1000;
}

int
children_poll(struct children *c, struct pollfd *pfd, nfds_t n)
{
	struct timespec ts;
	int ms, status, ready;
	pid_t pid;

	ms = enforce_deadlines(c);
	ts.tv_sec = ms / 1000;
	ts.tv_nsec = (ms % 1000) * 1000000L;
	ready = ppoll(pfd, n, ms == -1 ? NULL : &ts, &c->while_waiting);
	if (ready == -1 && errno != EINTR)
		fatal("poll");
	if (ready == -1)
		ready = 0;
	if (sigchld_came())
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			reap_one(c, pid, status);
	return ready;
}

static void
life_begin(void)
{
	sigset_t none;

	sigemptyset(&none);
	if (signal(SIGCHLD, SIG_DFL) == SIG_ERR ||
	    sigprocmask(SIG_SETMASK, &none, NULL) == -1)
		fatal("signals");
}

static int
is_for_queue(const struct facts *f)
{
	return f->service == SERVICE_DELIVERY ||
	    f->service == SERVICE_PROGRAM || f->service == SERVICE_RELAY;
}

/* One of the queue's beyond what it may have: said once, then and when. */
static void
refuse(const struct children *c, const char *name)
{
	static time_t told;

	if (told != 0 && now() - told < REFUSALS_EVERY)
		return;
	told = now();
	log_event(LOG_ERR, 0, "event=no-%s text=\"the queue has %zu\"", name,
	    c->for_queue);
}

/* One more child, and in it life, which does not return. */
static void
serve_facts(struct children *c, const char *name, unsigned seconds,
    const struct facts *facts, int sock, void (*life)(const struct facts *,
    int))
{
	pid_t pid = fork();

	if (pid == 0) {
		life_begin();
		life(facts, sock);
		_exit(0);
	}
	if (pid == -1) {
		log_event(LOG_ERR, facts->session,
		    "event=no-%s text=\"fork: %s\"", name, strerror(errno));
		return;
	}
	children_add(c, pid, facts->session, seconds, NOTE_CRASHED);
	if (is_for_queue(facts)) {
		c->entries[c->count - 1].is_for_queue = 1;
		c->for_queue++;
	}
}

static void
serve_one(struct children *c, const char *name, unsigned seconds,
    struct message *m, void (*life)(const struct facts *, int))
{
	struct facts facts;
	int sock;

	if (m->type != CH_SERVE)
		bug("%s was sent %u", name, m->type);
	get_facts(m, &facts);
	sock = get_fd(m);
	if (get_end(m) == -1)
		bug("%s was sent a malformed session", name);
	if (is_for_queue(&facts) && c->for_queue >= CHILDREN_FOR_QUEUE)
		refuse(c, name);
	else
		serve_facts(c, name, seconds, &facts, sock, life);
	close(sock);
}

void
children_serve(struct children *c, const char *name, unsigned seconds,
    void (*life)(const struct facts *, int))
{
	struct pollfd pfd = { .fd = FD_MASTER, .events = POLLIN };
	struct message m;
	int n;

	for (;;) {
		if (children_poll(c, &pfd, 1) <= 0)
			continue;
		n = message_recv(FD_MASTER, &m, 1);
		if (n == -1 && errno == EBADMSG)
			continue;	/* no descriptor left for it, say */
		if (n != 1)
			return;
		serve_one(c, name, seconds, &m, life);
		message_discard(&m);
	}
}
