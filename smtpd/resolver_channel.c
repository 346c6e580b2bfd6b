/*
 * resolver_channel: one queue's questions, given to libunbound, and its answers
 * given back.
 *
 * Runs in the resolver, as resolver-user; touches the channel to the queue and,
 * through libunbound, name servers.
 */
#include <sys/queue.h>

#include <arpa/nameser.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <unbound-event.h>

#include "../privsep/config_table.h"
#include "../privsep/log.h"
#include "../privsep/message.h"
#include "dns_packet.h"
#include "dns_reply.h"
#include "resolver_channel.h"

#define SECURE		2	/* as ub_event_callback_type has it */
#define BOGUS		1

struct lookup {
	TAILQ_ENTRY(lookup)	 link;
	struct channel		*channel;
	struct event		*timer;
	uint32_t		 id;
	enum dns_type		 type;
	int			 async_id;
	int			 is_starting;	/* inside ub_resolve_event() */
	int			 is_over;	/* ... which has answered */
	struct message		*reply;		/* that the queue did not take */
	char			 name[HOSTNAME_MAX];
};
TAILQ_HEAD(lookup_list, lookup);

struct channel {
	int			 sock;
	struct event_base	*base;
	struct ub_ctx		*unbound;
	struct event		*readable;
	struct event		*writable;	/* while there are unsent ones */
	size_t			 count;		/* in both lists */
	struct lookup_list	 lookups;	/* under way */
	struct lookup_list	 unsent;	/* answered, in that order */
};

static void
lookup_free(struct lookup *l)
{
	struct channel *c = l->channel;

	TAILQ_REMOVE(l->reply != NULL ? &c->unsent : &c->lookups, l, link);
	c->count--;
	if (l->timer != NULL)
		event_free(l->timer);
	free(l->reply);
	free(l);
}

/* The queue is gone, or breaks the rules. */
static void
channel_close(struct channel *c)
{
	struct lookup *l;

	while ((l = TAILQ_FIRST(&c->lookups)) != NULL) {
		(void)ub_cancel(c->unbound, l->async_id);
		lookup_free(l);
	}
	while ((l = TAILQ_FIRST(&c->unsent)) != NULL)
		lookup_free(l);
	event_free(c->writable);
	event_free(c->readable);
	close(c->sock);
	free(c);
}

/* The queue has other things to do: there are never more than it asked for. */
static void
keep_reply(struct lookup *l, const struct message *m)
{
	struct channel *c = l->channel;

	l->reply = malloc(sizeof(*l->reply));
	if (l->reply == NULL)
		fatal("out of memory");
	*l->reply = *m;
	TAILQ_REMOVE(&c->lookups, l, link);
	TAILQ_INSERT_TAIL(&c->unsent, l, link);
	if (l->timer != NULL)
		(void)evtimer_del(l->timer);
	if (event_add(c->writable, NULL) == -1)
		fatal("a channel");
}

static int
is_not_now(int error)
{
	return error == EAGAIN || error == EINTR || error == ENOBUFS;
}

/* The lookup is over, unless its answer must be kept. */
static void
finish(struct lookup *l, const struct dns_answer *answer)
{
	struct message m;

	message_begin(&m, REPLY_LOOKUP);
	put_u32(&m, l->id);
	dns_reply_put(&m, answer);
	if (message_send(l->channel->sock, &m) == -1 && is_not_now(errno))
		keep_reply(l, &m);
	else if (l->is_starting)
		l->is_over = 1;
	else
		lookup_free(l);
}

static void
writable(evutil_socket_t sock, short events, void *arg)
{
	struct channel *c = arg;
	struct lookup *l;

	(void)events;
	while ((l = TAILQ_FIRST(&c->unsent)) != NULL) {
		if (message_send((int)sock, l->reply) == -1 &&
		    is_not_now(errno))
			return;
		lookup_free(l);
	}
	(void)event_del(c->writable);
}

static struct dns_answer *
new_answer(enum dns_type type)
{
	static struct dns_answer answer;	/* too large for a stack */

	memset(&answer, 0, sizeof(answer));
	answer.type = type;
	answer.status = DNS_TEMPFAIL;
	return &answer;
}

const struct dns_answer *
resolver_answer(enum dns_type type, const char *name, int rcode,
    const void *packet, int len, int security)
{
	struct dns_answer *answer = new_answer(type);

	if (security == BOGUS)
		answer->status = DNS_BOGUS;
	else if ((rcode == ns_r_noerror || rcode == ns_r_nxdomain) &&
	    packet != NULL && len > 0)
		/* Of a failure it may be the question that we get back. */
		dns_packet_read(packet, (size_t)len, name, answer);
	answer->is_secure = security == SECURE;
	return answer;
}

static void
answered(void *arg, int rcode, void *packet, int len, int security,
    char *why_bogus, int was_ratelimited)
{
	struct lookup *l = arg;

	(void)why_bogus;
	(void)was_ratelimited;
	finish(l, resolver_answer(l->type, l->name, rcode, packet, len,
	    security));
}

static void
timed_out(evutil_socket_t fd, short events, void *arg)
{
	struct lookup *l = arg;

	(void)fd;
	(void)events;
	(void)ub_cancel(l->channel->unbound, l->async_id);
	finish(l, new_answer(l->type));
}

static int
is_type(uint32_t type)
{
	return type == DNS_A || type == DNS_PTR || type == DNS_MX ||
	    type == DNS_AAAA;
}

/*
 * Names whose servers say nothing, however many, must not have all the places
 * for long.
 */
static struct timeval
patience(const struct channel *c)
{
	struct timeval tv = { .tv_sec = DNS_PATIENCE_MS / 1000 };

	if (c->count > DNS_CROWD)
		tv.tv_sec = DNS_CROWD_MS / 1000;
	return tv;
}

static void
lookup_start(struct lookup *l)
{
	struct channel *c = l->channel;
	struct timeval tv = patience(c);
	int result;

	l->timer = evtimer_new(c->base, timed_out, l);
	l->is_starting = 1;
	result = l->timer == NULL || event_add(l->timer, &tv) == -1 ?
	    -1 : ub_resolve_event(c->unbound, l->name, (int)l->type, DNS_IN,
	    l, answered, &l->async_id);
	l->is_starting = 0;
	if (result != 0)
		finish(l, new_answer(l->type));
	else if (l->is_over)
		lookup_free(l);
}

/* 0, or -1 for what no queue asks. */
static int
ask(struct channel *c, struct message *m)
{
	struct lookup *l;
	uint32_t id = get_u32(m), type = get_u32(m);
	char name[HOSTNAME_MAX];

	get_str(m, name, sizeof(name));
	if (m->type != REQ_LOOKUP || get_end(m) == -1 || !is_type(type) ||
	    !config_is_hostname(name) || c->count >= DNS_ASKED_MAX)
		return -1;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		fatal("out of memory");
	l->channel = c;
	l->id = id;
	l->type = (enum dns_type)type;
	strlcpy(l->name, name, sizeof(l->name));
	TAILQ_INSERT_TAIL(&c->lookups, l, link);
	c->count++;
	lookup_start(l);
	return 0;
}

static void
readable(evutil_socket_t sock, short events, void *arg)
{
	struct channel *c = arg;
	struct message m;
	int n = message_recv((int)sock, &m, 0);

	(void)events;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 1 && ask(c, &m) == 0)
		return;
	if (n == 1) {
		message_discard(&m);
		log_event(LOG_ERR, 0, "event=gate-fault service=resolver");
	}
	channel_close(c);
}

void
resolver_channel(struct event_base *base, struct ub_ctx *unbound, int sock)
{
	struct channel *c = calloc(1, sizeof(*c));

	if (c == NULL || fcntl(sock, F_SETFL, O_NONBLOCK) == -1)
		fatal("a channel");
	c->sock = sock;
	c->base = base;
	c->unbound = unbound;
	TAILQ_INIT(&c->lookups);
	TAILQ_INIT(&c->unsent);
	c->readable = event_new(base, sock, EV_READ | EV_PERSIST, readable, c);
	c->writable = event_new(base, sock, EV_WRITE | EV_PERSIST, writable,
	    c);
	if (c->readable == NULL || c->writable == NULL || event_add(c->readable, NULL) == -1)
		fatal("a channel");
}
