/*
 * handout: the delivery channels' state machine.
 *
 * Runs in the queue, as queue-user; touches the channels that the master made,
 * and passes read-only descriptors of letters on them.
 *
 * What comes back is the word of a process that is the recipient, who may be
 * anybody: it decides about that one delivery and nothing else, and its texts
 * are cut and made printable.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "privsep/message.h"
#include "smtpd/address.h"
#include "smtpd/handout.h"

#define ASK_MS		60000	/* the master answers at once or is gone */
#define IDENTIFY_MS	120000	/* login: NSS may be slow */
#define DELIVER_MS	300000	/* absolute, whatever the agent says */
#define SETTLE_MS	60000
#define AGAIN_MS	1000	/* first wait when there is no channel */
#define AGAIN_MAX_MS	30000
#define REUSE_MAX	100	/* letters on a channel, then others' turn */
#define SHORT_LINE	5	/* errands: then parked letters come */
#define UNPARK_MAX	15	/* so many at a time */

enum line_state {
	LINE_WANTING,
	LINE_ASKED,
	LINE_IDENTIFY,
	LINE_DELIVER,
	LINE_UNSETTLED,
	LINE_SETTLE
};

struct parked {
	STAILQ_ENTRY(parked)	link;
	struct spool_name	name;
};

struct line {
	TAILQ_ENTRY(line)	 link;		/* wanting or active */
	TAILQ_ENTRY(line)	 bucket;
	enum line_state		 state;
	int			 fd;		/* the channel, or -1 */
	uint64_t		 tag;
	uint64_t		 deadline;	/* of the state, monotonic ms;
						 * WANTING: not before */
	uint64_t		 wait_ms;	/* last wait for a channel */
	size_t			 served;	/* letters on this channel */
	size_t			 waiting;	/* errands in line */
	struct errand		*current;	/* DELIVER, UNSETTLED */
	struct errand_list	 errands;
	STAILQ_HEAD(, parked)	 parked;
	char			 account[65];
};

static void	line_next(struct handout *, struct line *, uint64_t);

static struct line_list *
bucket_of(const struct handout *h, const char *account)
{
	return (struct line_list *)(uintptr_t)
	    &h->buckets[outcome_key(account) % HANDOUT_BUCKETS];
}

static struct line *
line_find(const struct handout *h, const char *account)
{
	struct line *l;

	TAILQ_FOREACH(l, bucket_of(h, account), bucket)
		if (strcmp(l->account, account) == 0)
			return l;
	return NULL;
}

static struct line *
line_get(struct handout *h, const char *account)
{
	struct line *l = line_find(h, account);

	if (l != NULL)
		return l;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return NULL;
	if (strlcpy(l->account, account, sizeof(l->account)) >=
	    sizeof(l->account)) {
		free(l);
		errno = ENAMETOOLONG;
		return NULL;
	}
	l->fd = -1;
	l->state = LINE_WANTING;
	TAILQ_INIT(&l->errands);
	STAILQ_INIT(&l->parked);
	TAILQ_INSERT_TAIL(bucket_of(h, account), l, bucket);
	TAILQ_INSERT_TAIL(&h->wanting, l, link);
	return l;
}

static void
unpark(struct handout *h, struct line *l, size_t max, int tell)
{
	struct parked *p;

	while (max-- > 0 && (p = STAILQ_FIRST(&l->parked)) != NULL) {
		STAILQ_REMOVE_HEAD(&l->parked, link);
		if (tell)
			h->ops->unpark(h->arg, &p->name);
		free(p);
	}
}

/* Back to the end of those who want a channel, without one. */
static void
line_close(struct handout *h, struct line *l, uint64_t not_before)
{
	if (l->fd != -1)
		close(l->fd);
	l->fd = -1;
	if (l->state != LINE_WANTING) {
		TAILQ_REMOVE(&h->active, l, link);
		TAILQ_INSERT_TAIL(&h->wanting, l, link);
		h->channels--;
	}
	l->state = LINE_WANTING;
	l->served = 0;
	l->deadline = not_before;
}

/* Nobody is in it any more. */
static void
line_free(struct handout *h, struct line *l)
{
	line_close(h, l, 0);
	TAILQ_REMOVE(&h->wanting, l, link);
	TAILQ_REMOVE(bucket_of(h, l->account), l, bucket);
	free(l);
}

static void
line_close_or_free(struct handout *h, struct line *l, uint64_t not_before)
{
	if (l->waiting > 0) {
		line_close(h, l, not_before);
		return;
	}
	unpark(h, l, SIZE_MAX, 1);
	line_free(h, l);
}

static void
set_state(struct line *l, enum line_state state, uint64_t deadline)
{
	l->state = state;
	l->deadline = deadline;
}

/* An agent's text: printable, and cut. */
static void
take_text(char *dst, size_t size, const char *src)
{
	size_t i;

	for (i = 0; i + 1 < size && src[i] != '\0'; i++)
		dst[i] = src[i] >= ' ' && src[i] <= '~' ? src[i] : '?';
	dst[i] = '\0';
}

static struct errand_result
make_result(enum delivery_verdict verdict, const char *status,
    const char *text)
{
	struct errand_result r = { .verdict = verdict };

	take_text(r.status, sizeof(r.status), status);
	take_text(r.text, sizeof(r.text), text);
	return r;
}

/* Give one errand back to its owner, who may free it. */
static void
give_back(struct handout *h, struct errand *e, const struct errand_result *r)
{
	e->line = NULL;
	h->ops->done(h->arg, e, r);
}

/* What is true of the account is true of everybody in its line. */
static void
give_back_all(struct handout *h, struct line *l,
    const struct errand_result *r)
{
	struct errand *e;

	while ((e = TAILQ_FIRST(&l->errands)) != NULL) {
		TAILQ_REMOVE(&l->errands, e, link);
		l->waiting--;
		give_back(h, e, r);
	}
}

/*
 * The channel ended in mid-talk.  A crash may be the letter's fault, so that
 * one waits and the next is tried; silence is the account's.
 */
static void
line_broken(struct handout *h, struct line *l, const char *why, int is_silent,
    uint64_t now)
{
	struct errand_result r = make_result(DELIVERY_DEFERRED, "4.3.0", why);
	struct errand *e = l->current;

	l->current = NULL;
	if (e != NULL && l->state == LINE_DELIVER)
		give_back(h, e, &r);
	else if (e != NULL) {
		/* Delivered; the owner will record it all the same. */
		e->line = NULL;
	}
	if (is_silent || l->state == LINE_IDENTIFY)
		give_back_all(h, l, &r);
	line_close_or_free(h, l, now);
}

static void
send_identify(struct handout *h, struct line *l, uint64_t now)
{
	struct message m;

	message_begin(&m, REQ_IDENTIFY);
	put_str(&m, l->account);
	set_state(l, LINE_IDENTIFY, now + IDENTIFY_MS);
	if (message_send(l->fd, &m) == -1)
		line_broken(h, l, "no delivery agent", 0, now);
}

/* Delivered-To: the recipient as the sender wrote it. */
static int
forward_path(const struct handout *h, const struct recipient *r,
    char path[ADDRESS_PRINT_MAX])
{
	struct address address;

	strlcpy(address.local, r->local, sizeof(address.local));
	strlcpy(address.domain, r->domain[0] != '\0' ? r->domain :
	    h->hostname, sizeof(address.domain));
	return address_print(&address, path, ADDRESS_PRINT_MAX);
}

static void
send_deliver(struct handout *h, struct line *l, struct errand *e, uint64_t now)
{
	const struct letter *letter = e->letter;
	char path[ADDRESS_PRINT_MAX];
	struct message m;

	message_begin(&m, REQ_DELIVER);
	put_str(&m, letter->name.id);
	put_u64(&m, letter->arrived);
	put_str(&m, letter->envelope.sender);
	if (forward_path(h, &letter->envelope.recipients[e->recipient],
	    path) == -1)
		path[0] = '\0';
	put_str(&m, path);
	put_u64(&m, letter->offset);
	put_u64(&m, letter->length);
	put_u64(&m, letter->lines);
	put_u32(&m, e->is_tried != 0);
	put_fd(&m, letter->fd);
	e->is_tried = 1;
	l->current = e;
	l->served++;
	set_state(l, LINE_DELIVER, now + DELIVER_MS);
	if (message_send(l->fd, &m) == -1)
		line_broken(h, l, "no delivery agent", 0, now);
}

/* The channel is free: the next letter, or the end of it. */
static void
line_next(struct handout *h, struct line *l, uint64_t now)
{
	struct errand *e;

	if (l->waiting < SHORT_LINE)
		unpark(h, l, UNPARK_MAX, 1);
	e = TAILQ_FIRST(&l->errands);
	if (e == NULL || (l->served >= REUSE_MAX &&
	    !TAILQ_EMPTY(&h->wanting))) {
		line_close_or_free(h, l, now);
		return;
	}
	TAILQ_REMOVE(&l->errands, e, link);
	l->waiting--;
	send_deliver(h, l, e, now);
}

static void
heard_identify(struct handout *h, struct line *l, struct message *m,
    uint64_t now)
{
	char text[VERDICT_TEXT_MAX + 1];
	uint32_t verdict = get_u32(m);
	struct errand_result r;

	get_str(m, text, sizeof(text));
	if (get_end(m) == -1 || verdict > DELIVERY_FAILED) {
		line_broken(h, l, "no delivery agent", 0, now);
		return;
	}
	if (verdict == DELIVERED) {
		l->wait_ms = 0;
		line_next(h, l, now);
		return;
	}
	r = make_result((enum delivery_verdict)verdict,
	    verdict == DELIVERY_FAILED ? "5.1.1" : "4.3.0", text);
	give_back_all(h, l, &r);
	line_close_or_free(h, l, now);
}

static void
heard_deliver(struct handout *h, struct line *l, struct message *m,
    uint64_t now)
{
	char status[OUTCOME_STATUS_MAX], text[VERDICT_TEXT_MAX + 1];
	uint32_t verdict = get_u32(m);
	struct errand *e = l->current;
	struct errand_result r;

	get_str(m, status, sizeof(status));
	get_str(m, text, sizeof(text));
	if (get_end(m) == -1 || verdict > DELIVERY_FAILED) {
		line_broken(h, l, "delivery agent failed", 0, now);
		return;
	}
	r = make_result((enum delivery_verdict)verdict, status, text);
	if (verdict == DELIVERED) {
		/* The owner may settle at once or at the end of the turn. */
		e->is_unsettled = 1;
		set_state(l, LINE_UNSETTLED, UINT64_MAX);
		h->ops->done(h->arg, e, &r);
		return;
	}
	l->current = NULL;
	give_back(h, e, &r);
	line_next(h, l, now);
}

static void
line_heard(struct handout *h, struct line *l, uint64_t now)
{
	struct message m;
	int n = message_recv(l->fd, &m, 0);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 1 && l->state == LINE_IDENTIFY &&
	    m.type == REPLY_OF(REQ_IDENTIFY))
		heard_identify(h, l, &m, now);
	else if (n == 1 && l->state == LINE_DELIVER &&
	    m.type == REPLY_OF(REQ_DELIVER))
		heard_deliver(h, l, &m, now);
	else if (n == 1 && l->state == LINE_SETTLE &&
	    m.type == REPLY_OF(REQ_SETTLE) && get_end(&m) == 0)
		line_next(h, l, now);
	else
		line_broken(h, l, "delivery agent failed", 0, now);
	if (n == 1)
		message_discard(&m);
}

void
handout_init(struct handout *h, const struct handout_ops *ops, void *arg,
    const char *hostname)
{
	size_t i;

	memset(h, 0, sizeof(*h));
	h->ops = ops;
	h->arg = arg;
	h->hostname = hostname;
	h->next_tag = 1;
	TAILQ_INIT(&h->wanting);
	TAILQ_INIT(&h->active);
	for (i = 0; i < HANDOUT_BUCKETS; i++)
		TAILQ_INIT(&h->buckets[i]);
}

int
handout_add(struct handout *h, struct errand *e)
{
	struct line *l = line_get(h, e->account);

	if (l == NULL)
		return -1;
	e->line = l;
	TAILQ_INSERT_TAIL(&l->errands, e, link);
	l->waiting++;
	return 0;
}

size_t
handout_backlog(const struct handout *h, const char *account)
{
	const struct line *l = line_find(h, account);

	return l != NULL ? l->waiting : 0;
}

int
handout_park(struct handout *h, const char *account,
    const struct spool_name *name)
{
	struct line *l = line_find(h, account);
	struct parked *p;

	if (l == NULL) {
		errno = ENOENT;
		return -1;
	}
	p = malloc(sizeof(*p));
	if (p == NULL)
		return -1;
	p->name = *name;
	STAILQ_INSERT_TAIL(&l->parked, p, link);
	return 0;
}

void
handout_forget_parked(struct handout *h)
{
	struct line *l;

	TAILQ_FOREACH(l, &h->wanting, link)
		unpark(h, l, SIZE_MAX, 0);
	TAILQ_FOREACH(l, &h->active, link)
		unpark(h, l, SIZE_MAX, 0);
}

void
handout_ask(struct handout *h, uint64_t now)
{
	struct line *l, *next;

	TAILQ_FOREACH_SAFE(l, &h->wanting, link, next) {
		if (h->channels == HANDOUT_CHANNELS)
			return;
		if (l->deadline > now)
			continue;
		if (h->ops->need(h->arg, h->next_tag) == -1) {
			l->deadline = now + AGAIN_MS;
			return;
		}
		l->tag = h->next_tag++;
		TAILQ_REMOVE(&h->wanting, l, link);
		TAILQ_INSERT_TAIL(&h->active, l, link);
		h->channels++;
		set_state(l, LINE_ASKED, now + ASK_MS);
	}
}

/* Later, and later still while there is none. */
static void
no_channel(struct handout *h, struct line *l, uint64_t now)
{
	l->wait_ms = l->wait_ms == 0 ? AGAIN_MS : l->wait_ms * 2;
	if (l->wait_ms > AGAIN_MAX_MS)
		l->wait_ms = AGAIN_MAX_MS;
	line_close(h, l, now + l->wait_ms);
}

void
handout_channel(struct handout *h, uint64_t tag, int fd, uint64_t now)
{
	struct line *l;

	TAILQ_FOREACH(l, &h->active, link)
		if (l->state == LINE_ASKED && l->tag == tag)
			break;
	if (l == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	if (fd == -1 || fcntl(fd, F_SETFL, O_NONBLOCK) == -1) {
		if (fd != -1)
			close(fd);
		no_channel(h, l, now);
		return;
	}
	l->fd = fd;
	send_identify(h, l, now);
}

size_t
handout_poll(struct handout *h, struct pollfd *pfd)
{
	struct line *l;
	size_t n = 0;

	TAILQ_FOREACH(l, &h->active, link) {
		if (l->fd == -1)
			continue;
		h->watching[n] = l;
		pfd[n].fd = l->fd;
		/* Unsettled, it has nothing to say, but it may die. */
		pfd[n].events = POLLIN;
		pfd[n].revents = 0;
		n++;
	}
	h->watched = n;
	return n;
}

void
handout_ready(struct handout *h, const struct pollfd *pfd, uint64_t now)
{
	size_t i, n = h->watched;

	/* A line can go only by its own channel: the others stay good. */
	h->watched = 0;
	for (i = 0; i < n; i++)
		if (pfd[i].revents != 0)
			line_heard(h, h->watching[i], now);
}

void
handout_expire(struct handout *h, uint64_t now)
{
	struct line *l, *next;

	TAILQ_FOREACH_SAFE(l, &h->active, link, next) {
		if (l->deadline > now)
			continue;
		if (l->state == LINE_ASKED)
			no_channel(h, l, now);
		else
			line_broken(h, l, "delivery agent does not answer", 1,
			    now);
	}
}

uint64_t
handout_next(const struct handout *h)
{
	const struct line *l;
	uint64_t next = UINT64_MAX;

	TAILQ_FOREACH(l, &h->active, link)
		if (l->deadline < next)
			next = l->deadline;
	if (h->channels == HANDOUT_CHANNELS)
		return next;
	TAILQ_FOREACH(l, &h->wanting, link)
		if (l->deadline < next)
			next = l->deadline;
	return next;
}

void
handout_settle(struct handout *h, struct errand *e, uint64_t now)
{
	struct line *l = e->line;
	struct message m;

	e->is_unsettled = 0;
	e->line = NULL;
	if (l == NULL)
		return;		/* its agent is gone; the mailbox keeps it */
	l->current = NULL;
	message_begin(&m, REQ_SETTLE);
	put_str(&m, e->letter->name.id);
	set_state(l, LINE_SETTLE, now + SETTLE_MS);
	if (message_send(l->fd, &m) == -1)
		line_broken(h, l, "delivery agent failed", 0, now);
}

void
handout_drop(struct handout *h, struct errand *e, uint64_t now)
{
	struct line *l = e->line;

	e->is_unsettled = 0;
	e->line = NULL;
	if (l == NULL)
		return;
	l->current = NULL;
	line_close_or_free(h, l, now);
}
