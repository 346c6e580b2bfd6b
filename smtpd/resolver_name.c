/*
 * resolver_name: the names of clients' addresses.
 *
 * Runs in the resolver, as resolver-user; touches the channels on which session
 * agents wait and, through a libunbound of its own, name servers.
 *
 * Who connects has a question asked, so that these are bounded apart from the
 * queue's.  A question that nobody waits for any more still costs sockets until
 * libunbound is done with it, and is counted until then: silent name servers
 * can take the places of other names, and nothing else.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <unbound-event.h>

#include "../privsep/log.h"
#include "../privsep/message.h"
#include "dns_reverse.h"
#include "resolver_channel.h"
#include "resolver_name.h"

struct look {
	int			 sock;		/* -1: nobody waits */
	struct event_base	*base;
	struct ub_ctx		*unbound;
	struct event		*hangup;
	struct event		*timer;
	struct dns_reverse	 reverse;
};

static size_t look_count;

/* Time is up, nobody is at the other end, or it has been told. */
static void
let_go(evutil_socket_t sock, short events, void *arg)
{
	struct look *l = arg;

	(void)sock;
	(void)events;
	if (l->sock == -1)
		return;
	event_free(l->hangup);
	event_free(l->timer);
	close(l->sock);
	l->sock = -1;
}

/* There is room for one message in a channel that had none. */
static void
tell(const struct look *l)
{
	struct message m;

	message_begin(&m, REPLY_NAME);
	put_str(&m, l->reverse.name);
	(void)message_send(l->sock, &m);
}

static void
look_free(struct look *l)
{
	let_go(-1, 0, l);
	look_count--;
	free(l);
}

static void	ask(evutil_socket_t, short, void *);

/* The next question waits until libunbound has come back to its caller. */
static void
answered(void *arg, int rcode, void *packet, int len, int security,
    char *why_bogus, int was_ratelimited)
{
	struct look *l = arg;

	(void)why_bogus;
	(void)was_ratelimited;
	dns_reverse_answered(&l->reverse, resolver_answer(l->reverse.type,
	    l->reverse.asked, rcode, packet, len, security));
	if (event_base_once(l->base, -1, EV_TIMEOUT, ask, l, NULL) == -1)
		fatal("a question");
}

static void
ask(evutil_socket_t sock, short events, void *arg)
{
	struct look *l = arg;
	int id;

	(void)sock;
	(void)events;
	if (l->sock != -1 && !l->reverse.is_over &&
	    ub_resolve_event(l->unbound, l->reverse.asked,
	    (int)l->reverse.type, DNS_IN, l, answered, &id) == 0)
		return;
	if (l->sock != -1)
		tell(l);
	look_free(l);
}

void
resolver_name(struct event_base *base, struct ub_ctx *unbound,
    const char *address, int sock)
{
	static const struct timeval patience = {
		.tv_sec = DNS_NAME_MS / 1000
	};
	struct look *l = NULL;

	if (unbound != NULL && look_count < DNS_NAMES_MAX)
		l = calloc(1, sizeof(*l));
	if (l == NULL || dns_reverse_begin(&l->reverse, address) == -1 ||
	    fcntl(sock, F_SETFL, O_NONBLOCK) == -1) {
		free(l);
		close(sock);
		return;
	}
	look_count++;
	l->sock = sock;
	l->base = base;
	l->unbound = unbound;
	l->hangup = event_new(base, sock, EV_READ, let_go, l);
	l->timer = evtimer_new(base, let_go, l);
	if (l->hangup == NULL || event_add(l->hangup, NULL) == -1 ||
	    l->timer == NULL || event_add(l->timer, &patience) == -1)
		fatal("a channel");
	ask(-1, 0, l);
}
