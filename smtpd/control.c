/*
 * control: the queue's own clients come, are read from, and go.
 *
 * Runs in the queue, as queue-user; touches the clients' sockets, which the
 * master has accepted and of which the kernel has said whose they are.  What
 * comes over them may be anything (C8).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "privsep/hurry.h"
#include "privsep/log.h"
#include "smtpd/control.h"

#define PATIENCE_MS	60000	/* for a request, or for the next one */
#define WORK_MS		900000	/* for an answer */
#define SLICE_US	3000	/* of work, then it is letters' turn */
#define PAUSE_MS	2	/* between two slices */

void
control_init(struct control *ctl, struct queue *q)
{
	memset(ctl, 0, sizeof(*ctl));
	ctl->queue = q;
	TAILQ_INIT(&ctl->clients);
}

static void
let_go(struct control_client *c)
{
	struct control *ctl = c->control;

	control_end(c);
	hurry_close(c->fd);
	TAILQ_REMOVE(&ctl->clients, c, link);
	ctl->count--;
	free(c);
}

static void
refuse(int fd, enum control_refusal why)
{
	struct message m;

	message_begin(&m, REPLY_REFUSED);
	put_u32(&m, why);
	(void)message_send(fd, &m);
	hurry_close(fd);
}

static size_t
count_of(const struct control *ctl, uint32_t uid)
{
	const struct control_client *c;
	size_t n = 0;

	TAILQ_FOREACH(c, &ctl->clients, link)
		n += c->uid == uid;
	return n;
}

/* Who has been silent the longest gives way; nobody who is being served. */
static int
make_room(struct control *ctl)
{
	struct control_client *c, *oldest = NULL;

	if (ctl->count < CONTROL_CLIENTS)
		return 0;
	TAILQ_FOREACH(c, &ctl->clients, link)
		if (c->state != CONTROL_WORKING && (oldest == NULL ||
		    c->deadline < oldest->deadline))
			oldest = c;
	if (oldest == NULL)
		return -1;
	let_go(oldest);
	return 0;
}

void
control_accept(struct control *ctl, const struct facts *facts, int fd)
{
	struct control_client *c;

	if (!ctl->is_open) {
		refuse(fd, CONTROL_ELSEWHERE);
		return;
	}
	if ((facts->uid != 0 && count_of(ctl, facts->uid) >= CONTROL_EACH) ||
	    make_room(ctl) == -1 || (c = calloc(1, sizeof(*c))) == NULL) {
		refuse(fd, CONTROL_BUSY);
		return;
	}
	c->control = ctl;
	c->fd = fd;
	c->session = facts->session;
	c->uid = facts->uid;
	c->state = control_gates.first_state;
	c->deadline = ctl->queue->now_ms + PATIENCE_MS;
	TAILQ_INSERT_TAIL(&ctl->clients, c, link);
	ctl->count++;
}

size_t
control_poll(struct control *ctl, struct pollfd *pfd)
{
	struct control_client *c;
	size_t n = 0;

	TAILQ_FOREACH(c, &ctl->clients, link) {
		ctl->watching[n] = c;
		pfd[n].fd = c->fd;
		/* Being served, it has only an end that could be heard of. */
		pfd[n].events = c->state == CONTROL_WORKING ? 0 : POLLIN;
		pfd[n++].revents = 0;
	}
	ctl->watched = n;
	return n;
}

static void
take_request(struct control_client *c)
{
	static struct message m;
	const struct gate *g;
	int n;

	/* It closes descriptors that came with the request. */
	hurry_begin();
	n = message_recv(c->fd, &m, 0);
	hurry_end();
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 0 || (n == -1 && errno != EBADMSG)) {
		let_go(c);
		return;
	}
	g = n == 1 ? gate_find(&control_gates, c->state, 0, &m) : NULL;
	c->state = g != NULL ? g->handler(c, c->fd, &m) : STATE_FAULT;
	if (n == 1)
		message_discard(&m);
	if (c->state == CONTROL_WORKING) {
		c->deadline = c->control->queue->now_ms + WORK_MS;
		return;
	}
	log_event(LOG_WARNING, c->session, "event=control-fault "
	    "uid=%u", c->uid);
	let_go(c);
}

void
control_ready(struct control *ctl, const struct pollfd *pfd)
{
	size_t i, n = ctl->watched;

	/* One can go only by its own descriptor: the others stay good. */
	ctl->watched = 0;
	for (i = 0; i < n; i++) {
		struct control_client *c = ctl->watching[i];

		if (pfd[i].revents == 0)
			continue;
		if (c->state == CONTROL_WORKING)
			let_go(c);
		else
			take_request(c);
	}
}

/* The client is waiting for it, so there is room; or he breaks the rules. */
static void
reply(struct control_client *c)
{
	const int is_sent = message_send(c->fd, &c->reply) == 0;

	if (c->state == CONTROL_IDLE)
		control_end(c);
	message_begin(&c->reply, 0);
	c->deadline = c->control->queue->now_ms + PATIENCE_MS;
	if (!is_sent)
		let_go(c);
}

static uint64_t
clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* A little of each request; is there more to do? */
static int
work_once(struct control *ctl)
{
	struct control_client *c, *next;
	int is_working = 0;

	TAILQ_FOREACH_SAFE(c, &ctl->clients, link, next) {
		if (c->state != CONTROL_WORKING)
			continue;
		is_working = 1;
		if (control_work(c))
			reply(c);
	}
	return is_working;
}

void
control_run(struct control *ctl)
{
	const uint64_t now = ctl->queue->now_ms;
	struct control_client *c, *next;
	uint64_t start;
	int is_working;

	TAILQ_FOREACH_SAFE(c, &ctl->clients, link, next)
		if (c->deadline <= now)
			let_go(c);
	if (now < ctl->resume)
		return;
	start = clock_us();
	do
		is_working = work_once(ctl);
	while (is_working && clock_us() - start < SLICE_US);
	ctl->resume = is_working ? now + (clock_us() - start) / 1000 + PAUSE_MS
	    : 0;
}

uint64_t
control_next(const struct control *ctl)
{
	const struct control_client *c;
	uint64_t next = UINT64_MAX;

	TAILQ_FOREACH(c, &ctl->clients, link) {
		if (c->state == CONTROL_WORKING && ctl->resume < next)
			next = ctl->resume;
		if (c->deadline < next)
			next = c->deadline;
	}
	return next;
}

void
control_free(struct control *ctl)
{
	while (!TAILQ_EMPTY(&ctl->clients))
		let_go(TAILQ_FIRST(&ctl->clients));
}
