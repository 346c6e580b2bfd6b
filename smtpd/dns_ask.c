/*
 * dns_ask: questions to the resolver.
 *
 * Runs in the queue, as queue-user; touches the channel to the resolver, which
 * the master makes.  When that ends, another is asked for, and whatever had no
 * answer is asked again.
 */
#include <sys/queue.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "privsep/config_table.h"
#include "privsep/message.h"
#include "smtpd/dns_ask.h"
#include "smtpd/dns_reply.h"

#define PATIENCE_MS	(DNS_PATIENCE_MS + 10000)
#define AGAIN_MS	1000	/* when there is no channel */

struct dns_question {
	TAILQ_ENTRY(dns_question) link;
	struct dns_client	*client;
	uint32_t		 id;		/* 0: not sent */
	enum dns_type		 type;
	uint64_t		 deadline;
	uint64_t		 sent_at;
	dns_answered		 answered;	/* NULL: nobody waits */
	void			*arg;
	char			 name[HOSTNAME_MAX];
};
TAILQ_HEAD(question_list, dns_question);

struct dns_client {
	int			(*need)(void *, uint64_t);
	void			*arg;
	int			 fd;		/* the channel, or -1 */
	int			 is_asked_for;
	uint64_t		 tag;
	uint64_t		 not_before;	/* to ask for it again */
	uint32_t		 last_id;
	size_t			 sent_count;
	struct question_list	 waiting;
	struct question_list	 sent;
};

struct dns_client *
dns_new(int (*need)(void *arg, uint64_t tag), void *arg)
{
	struct dns_client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->need = need;
	c->arg = arg;
	c->fd = -1;
	TAILQ_INIT(&c->waiting);
	TAILQ_INIT(&c->sent);
	return c;
}

static void
drop(struct dns_question *q)
{
	struct dns_client *c = q->client;

	TAILQ_REMOVE(q->id != 0 ? &c->sent : &c->waiting, q, link);
	c->sent_count -= q->id != 0;
	free(q);
}

/* The resolver is at work on what was sent, and counts it until it answers. */
void
dns_cancel(struct dns_question *q)
{
	if (q->id != 0)
		q->answered = NULL;
	else
		drop(q);
}

void
dns_free(struct dns_client *c)
{
	struct dns_question *q;

	while ((q = TAILQ_FIRST(&c->waiting)) != NULL ||
	    (q = TAILQ_FIRST(&c->sent)) != NULL)
		drop(q);
	if (c->fd != -1)
		close(c->fd);
	free(c);
}

/* In the order of the deadlines: what was begun is done first. */
static void
enqueue(struct dns_client *c, struct dns_question *q)
{
	struct dns_question *before;

	TAILQ_FOREACH_REVERSE(before, &c->waiting, question_list, link)
		if (before->deadline <= q->deadline)
			break;
	if (before != NULL)
		TAILQ_INSERT_AFTER(&c->waiting, before, q, link);
	else
		TAILQ_INSERT_HEAD(&c->waiting, q, link);
}

struct dns_question *
dns_ask(struct dns_client *c, enum dns_type type, const char *name,
    dns_answered answered, void *arg, uint64_t now)
{
	struct dns_question *q;

	if (!config_is_hostname(name)) {
		errno = EINVAL;
		return NULL;
	}
	q = calloc(1, sizeof(*q));
	if (q == NULL)
		return NULL;
	q->client = c;
	q->type = type;
	q->deadline = now + PATIENCE_MS;
	q->answered = answered;
	q->arg = arg;
	strlcpy(q->name, name, sizeof(q->name));
	enqueue(c, q);
	return q;
}

/* The question ends with this. */
static void
tell(struct dns_question *q, const struct dns_answer *answer)
{
	dns_answered answered = q->answered;
	void *arg = q->arg;

	dns_cancel(q);
	if (answered != NULL)
		answered(arg, answer);
}

static void
tell_nothing(struct dns_question *q)
{
	static struct dns_answer none;	/* too large for a stack */

	memset(&none, 0, sizeof(none));
	none.type = q->type;
	none.status = DNS_TEMPFAIL;
	tell(q, &none);
}

/* The channel ended: what it did not answer waits for the next one. */
static void
hang_up(struct dns_client *c, uint64_t now)
{
	struct dns_question *q;

	close(c->fd);
	c->fd = -1;
	c->not_before = now + AGAIN_MS;
	while ((q = TAILQ_FIRST(&c->sent)) != NULL) {
		if (q->answered == NULL) {
			drop(q);
			continue;
		}
		TAILQ_REMOVE(&c->sent, q, link);
		c->sent_count--;
		q->id = 0;
		enqueue(c, q);
	}
}

void
dns_channel(struct dns_client *c, uint64_t tag, int fd, uint64_t now)
{
	if (!c->is_asked_for || tag != c->tag) {
		if (fd != -1)
			close(fd);
		return;
	}
	c->is_asked_for = 0;
	c->not_before = now + AGAIN_MS;
	if (fd != -1 && fcntl(fd, F_SETFL, O_NONBLOCK) == -1) {
		close(fd);
		fd = -1;
	}
	c->fd = fd;
}

void
dns_poll(struct dns_client *c, struct pollfd *pfd)
{
	pfd->fd = c->fd;
	pfd->events = POLLIN;
	pfd->revents = 0;
}

static struct dns_question *
find(struct dns_client *c, uint32_t id)
{
	struct dns_question *q;

	TAILQ_FOREACH(q, &c->sent, link)
		if (q->id == id)
			break;
	return q;
}

/* 0; or -1: an answer to what was not asked. */
static int
hear_answer(struct dns_client *c, struct message *m)
{
	static struct dns_answer answer;
	struct dns_question *q = find(c, get_u32(m));

	if (q == NULL)
		return -1;
	answer.type = q->type;
	/* From here on it is as one that was never sent. */
	TAILQ_REMOVE(&c->sent, q, link);
	c->sent_count--;
	q->id = 0;
	TAILQ_INSERT_HEAD(&c->waiting, q, link);
	if (dns_reply_get(m, &answer) == -1)
		tell_nothing(q);
	else
		tell(q, &answer);
	return 0;
}

/* Each answer takes a question away, so that there is an end to them. */
static void
hear(struct dns_client *c, uint64_t now)
{
	struct message m;
	int n;

	while (c->fd != -1) {
		n = message_recv(c->fd, &m, 0);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n != 1 || m.type != REPLY_LOOKUP ||
		    hear_answer(c, &m) == -1)
			hang_up(c, now);
	}
}

static void
send_waiting(struct dns_client *c, uint64_t now)
{
	struct dns_question *q;
	struct message m;

	while (c->fd != -1 && c->sent_count < DNS_ASKED_MAX &&
	    (q = TAILQ_FIRST(&c->waiting)) != NULL) {
		if (++c->last_id == 0)
			c->last_id = 1;
		message_begin(&m, REQ_LOOKUP);
		put_u32(&m, c->last_id);
		put_u32(&m, q->type);
		put_str(&m, q->name);
		if (message_send(c->fd, &m) == -1) {
			if (errno != EAGAIN && errno != EINTR)
				hang_up(c, now);
			return;
		}
		q->id = c->last_id;
		q->sent_at = now;
		TAILQ_REMOVE(&c->waiting, q, link);
		TAILQ_INSERT_TAIL(&c->sent, q, link);
		c->sent_count++;
	}
}

static void
ask_for_channel(struct dns_client *c, uint64_t now)
{
	if (c->fd != -1 || c->is_asked_for || TAILQ_EMPTY(&c->waiting) ||
	    c->not_before > now)
		return;
	c->tag++;
	if (c->need(c->arg, c->tag) == -1)
		c->not_before = now + AGAIN_MS;
	else
		c->is_asked_for = 1;
}

/* A resolver that does not even say that it has found nothing is no good. */
static void
expire(struct dns_client *c, uint64_t now)
{
	struct dns_question *q;

	TAILQ_FOREACH(q, &c->sent, link)
		if (q->answered != NULL && q->deadline <= now)
			tell_nothing(q);
	q = TAILQ_FIRST(&c->sent);
	if (q != NULL && q->sent_at + PATIENCE_MS <= now)
		hang_up(c, now);
	while ((q = TAILQ_FIRST(&c->waiting)) != NULL && q->deadline <= now)
		tell_nothing(q);
}

void
dns_run(struct dns_client *c, const struct pollfd *pfd, uint64_t now)
{
	if (pfd->fd == c->fd && pfd->revents != 0)
		hear(c, now);
	expire(c, now);
	ask_for_channel(c, now);
	send_waiting(c, now);
}

uint64_t
dns_next(const struct dns_client *c)
{
	const struct dns_question *w = TAILQ_FIRST(&c->waiting);
	const struct dns_question *s = TAILQ_FIRST(&c->sent);
	uint64_t next = UINT64_MAX;

	if (s != NULL)
		next = s->sent_at + PATIENCE_MS;
	TAILQ_FOREACH(s, &c->sent, link)
		if (s->answered != NULL && s->deadline < next)
			next = s->deadline;
	if (w == NULL)
		return next;
	if (w->deadline < next)
		next = w->deadline;
	if (c->fd == -1 && !c->is_asked_for && c->not_before < next)
		next = c->not_before;
	if (c->fd != -1 && c->sent_count < DNS_ASKED_MAX)
		next = 0;
	return next;
}
