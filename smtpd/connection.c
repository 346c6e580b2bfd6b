/*
 * connection: one connection to a remote host: the socket, connected here, and
 * the relay that gets it and speaks.
 *
 * Runs in the queue, as queue-user; touches the socket until a relay has it,
 * and the channel to that; passes it read-only descriptors of letters.  Never
 * reads an octet from the host.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "privsep/log.h"
#include "privsep/message.h"
#include "smtpd/connection.h"
#include "smtpd/ourselves.h"

#define CONNECT_MS	30000	/* for one address; less with relay-timeout */
#define CONNECT_QUICK_MS 5000	/* ... while there are others to try */
#define ASK_MS		60000	/* the master answers at once or is gone */
#define HOLD_MS		1000	/* when there is no relay */
#define AVOID_MS	300000	/* an address that was tried in vain */
#define GREET_TIMES	4	/* relay-timeouts: greeting, EHLO, TLS, AUTH */
#define TRY_TIMES	3	/* so many silent hosts, and no more */
#define SLOW_MS		10000	/* to the greeting */
#define SEND_BUFFER	(512 * 1024)

/* A stranger's text: printable, and cut. */
static void
take_text(char *dst, size_t size, const char *src)
{
	size_t i;

	for (i = 0; i + 1 < size && src[i] != '\0'; i++)
		dst[i] = src[i] >= ' ' && src[i] <= '~' ? src[i] : '?';
	dst[i] = '\0';
}

/* "5.1.10": a class, and twice one to three digits (RFC 3463 section 2). */
static int
is_status(const char *s, char class)
{
	size_t n;
	int i;

	if (*s++ != class)
		return 0;
	for (i = 0; i < 2; i++) {
		if (*s++ != '.')
			return 0;
		n = strspn(s, "0123456789");
		if (n == 0 || n > 3)
			return 0;
		s += n;
	}
	return *s == '\0';
}

struct errand_result
connection_result(enum delivery_verdict verdict, const char *status,
    const char *text)
{
	static const char none[][OUTCOME_STATUS_MAX] = {
		[DELIVERED] = "2.0.0", [DELIVERY_DEFERRED] = "4.0.0",
		[DELIVERY_FAILED] = "5.0.0"
	};
	struct errand_result r = { .verdict = verdict };

	strlcpy(r.status, is_status(status, none[verdict][0]) ? status :
	    none[verdict], sizeof(r.status));
	take_text(r.text, sizeof(r.text), text);
	return r;
}

uint64_t
connection_patience(const struct connection *c)
{
	return (uint64_t)c->destination->outbound->config->relay_timeout *
	    1000;
}

void
connection_set_state(struct connection *c, enum connection_state state,
    uint64_t patience)
{
	c->state = state;
	c->since = c->destination->outbound->now;
	c->deadline = c->destination->outbound->now + patience;
}

const struct mx_address *
connection_address(const struct connection *c)
{
	return &c->hosts->addresses[c->address];
}

void
connection_shut(struct connection *c)
{
	if (c->sock != -1)
		close(c->sock);
	if (c->relay != -1)
		close(c->relay);
	c->sock = c->relay = -1;
}

static void
forget(struct connection *c)
{
	struct outbound *o = c->destination->outbound;

	connection_shut(c);
	hosts_release(c->hosts);
	TAILQ_REMOVE(&o->connections, c, link);
	o->connection_count--;
	c->destination->connections--;
	free(c);
}

void
connection_close(struct connection *c)
{
	struct destination *d = c->destination;
	struct errand_result r = connection_result(DELIVERY_DEFERRED, "4.4.2",
	    "the connection ended before the host had answered");
	size_t i;

	connection_tell_later(c);
	strlcpy(r.remote, connection_address(c)->host, sizeof(r.remote));
	for (i = 0; i < c->batch_count; i++) {
		if (c->batch[i] == NULL)
			continue;
		log_event(LOG_WARNING, 0, "event=unsure id=%s text=\"the "
		    "relay ended without an answer: the host may get the "
		    "letter twice\"", c->batch[i]->letter->name.id);
		destination_tell(d, c->batch[i], &r);
	}
	forget(c);
}

/* What a relay says that has a letter, and breaks off, is still heard. */
void
connection_hurry(struct connection *c)
{
	struct message m;

	c->destination->standing = STANDING_SLOW;
	if (c->state == CONNECTION_SENDING) {
		c->is_hurried = 1;
		message_begin(&m, REQ_HURRY);
		(void)message_send(c->relay, &m);
	} else
		connection_refused(c, RELAY_DEFER, 0, "4.4.2", CONNECTION_SLOW);
}

/* The address in use is in vain. */
void
connection_avoid(struct connection *c, const struct errand_result *why)
{
	const struct mx_address *a = connection_address(c);
	const struct destination *d = c->destination;
	uint64_t until = d->outbound->now + AVOID_MS;
	size_t i;

	c->why = *why;
	strlcpy(c->why.remote, a->host, sizeof(c->why.remote));
	c->hosts->avoid_until[c->address] = until;
	if (d->hosts == NULL || d->hosts == c->hosts)
		return;
	i = hosts_find(d->hosts, a);
	if (i < d->hosts->count)
		d->hosts->avoid_until[i] = until;
}

void
connection_avoid_for(struct connection *c, const char *what, int error)
{
	const struct mx_address *a = connection_address(c);
	struct errand_result r;
	char text[OUTCOME_TEXT_MAX];

	/* Cut rather than lost: it is for people. */
	(void)snprintf(text, sizeof(text), "%s %.64s[%s]: %s", what,
	    a->host, a->text, strerror(error));
	r = connection_result(DELIVERY_DEFERRED, "4.4.1", text);
	connection_avoid(c, &r);
}

int
connection_is_current(struct connection *c)
{
	struct hosts *now = c->destination->hosts;
	size_t i;

	if (now == NULL || now == c->hosts)
		return 1;
	i = hosts_find(now, connection_address(c));
	if (i == now->count)
		return 0;
	hosts_release(c->hosts);
	c->hosts = hosts_hold(now);
	c->address = i;
	c->tried = UINT64_C(1) << i;
	return 1;
}

/* The best that was not tried; those that were in vain of late come last. */
static int
choose(struct connection *c)
{
	const struct hosts *h = c->hosts;
	size_t i;
	int late;

	for (late = 0; late < 2; late++)
		for (i = 0; i < h->count; i++)
			if ((c->tried & UINT64_C(1) << i) == 0 && (late ||
			    h->avoid_until[i] <=
			    c->destination->outbound->now)) {
				c->address = i;
				c->tried |= UINT64_C(1) << i;
				c->in_clear = 0;
				return 0;
			}
	return -1;
}

static int
bind_source(const struct config *config, int sock, int family)
{
	struct sockaddr_storage ss;
	struct sockaddr_in *in4 = (void *)&ss;
	struct sockaddr_in6 *in6 = (void *)&ss;
	socklen_t len;
	size_t i;

	for (i = 0; i < config->relay_source_count; i++)
		if (config->relay_sources[i].family == family)
			break;
	if (i == config->relay_source_count)
		return 0;
	memset(&ss, 0, sizeof(ss));
	ss.ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		memcpy(&in4->sin_addr, config->relay_sources[i].address, 4);
		len = sizeof(*in4);
	} else {
		memcpy(&in6->sin6_addr, config->relay_sources[i].address, 16);
		len = sizeof(*in6);
	}
	return bind(sock, (struct sockaddr *)&ss, len);
}

/*
 * How long to wait for the address in use: one that swallows what is sent to
 * it, as IPv6 does on many a broken line, must not hold up the next.
 */
static uint64_t
connect_patience(const struct connection *c)
{
	uint64_t ms = CONNECT_MS, most = connection_patience(c);
	size_t i;

	for (i = 0; i < c->hosts->count; i++)
		if ((c->tried & UINT64_C(1) << i) == 0)
			ms = CONNECT_QUICK_MS;
	return ms < most ? ms : most;
}

/* 0: connected or on the way; -1 with errno. */
int
connection_start(struct connection *c)
{
	const struct mx_address *a = connection_address(c);
	int family = a->address.ss_family;

	c->sock = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (c->sock == -1)
		return -1;
	if (family != AF_UNIX && bind_source(c->destination->outbound->config,
	    c->sock, family) == -1)
		return -1;
	if (connect(c->sock, (const struct sockaddr *)&a->address, a->len) ==
	    -1 && errno != EINPROGRESS)
		return -1;
	connection_set_state(c, CONNECTION_OPENING, connect_patience(c));
	return 0;
}

static void
give_up(struct connection *c)
{
	struct destination *d = c->destination;
	struct errand_result why = c->why;
	int is_refused = c->refusals == c->hosts->count;

	if (c->later_count > 0) {
		connection_tell_later(c);
		forget(c);
		return;
	}
	if (!is_refused && why.verdict == DELIVERY_FAILED) {
		why.verdict = DELIVERY_DEFERRED;
		why.status[0] = '4';
	}
	forget(c);
	destination_failed(d, &why, is_refused);
}

void
connection_try_next(struct connection *c)
{
	connection_shut(c);
	for (;;) {
		/* With none left, or none known any more, it is over. */
		if (c->last_try <= c->destination->outbound->now ||
		    choose(c) == -1) {
			give_up(c);
			return;
		}
		if (connection_start(c) == 0)
			return;
		connection_avoid_for(c, "can't connect to", errno);
		connection_shut(c);
	}
}

void
connection_begin(struct connection *c)
{
	uint64_t now = c->destination->outbound->now;

	c->slow_at = now + SLOW_MS;
	c->last_try = now + TRY_TIMES * (CONNECT_MS +
	    GREET_TIMES * connection_patience(c));
}

struct connection *
connection_open(struct destination *d)
{
	struct outbound *o = d->outbound;
	struct connection *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->destination = d;
	c->hosts = hosts_hold(d->hosts);
	c->sock = c->relay = -1;
	c->why = connection_result(DELIVERY_DEFERRED, "4.4.1",
	    "no address could be reached");
	connection_begin(c);
	TAILQ_INSERT_TAIL(&o->connections, c, link);
	o->connection_count++;
	d->connections++;
	connection_try_next(c);
	return c;
}

/* As mx.c does it by name: only hosts that are better than us are left. */
static void
avoid_ourselves(struct connection *c)
{
	struct errand_result r = connection_result(DELIVERY_FAILED, "5.4.6",
	    "mail for that domain would come back to this host");
	size_t i;

	for (i = c->address; i < c->hosts->count; i++)
		c->tried |= UINT64_C(1) << i;
	if (c->address == 0) {
		connection_avoid(c, &r);
		c->refusals = c->hosts->count;
	}
	connection_try_next(c);
}

/* The socket is there, or not: ask for somebody to speak on it. */
static void
heard_socket(struct connection *c)
{
	struct outbound *o = c->destination->outbound;
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(c->sock, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error != 0) {
		connection_avoid_for(c, "can't connect to", error);
		connection_try_next(c);
		return;
	}
	if (!c->destination->hop.is_named && ourselves_at(o->config, c->sock,
	    &connection_address(c)->address)) {
		avoid_ourselves(c);
		return;
	}
	c->tag = o->next_tag++;
	connection_set_state(c, CONNECTION_ASKED, ASK_MS);
	if (o->ops->need(o->arg, c->tag) == -1)
		connection_relay(c, -1);
}

/*
 * The host is not at fault: its letters wait a moment.  But not in the way of
 * all others, if it lasts.
 */
static void
do_without(struct connection *c)
{
	struct destination *d = c->destination;
	struct errand_result r = connection_result(DELIVERY_DEFERRED, "4.3.0",
	    "no process is there to send it");

	d->outbound->hold_until = d->outbound->now + HOLD_MS;
	connection_close(c);
	if (d->is_slow && d->connections == 0)
		destination_tell_all(d, &r);
}

void
connection_relay(struct connection *c, int fd)
{
	int room = SEND_BUFFER;

	c->relay = fd;
	if (fd == -1 || fcntl(fd, F_SETFL, O_NONBLOCK) == -1) {
		do_without(c);
		return;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	connection_set_state(c, CONNECTION_GREETING, GREET_TIMES *
	    connection_patience(c));
	if (connection_greet(c) == -1) {
		connection_avoid_for(c, "no relay to", errno);
		connection_try_next(c);
		return;
	}
	close(c->sock);
	c->sock = -1;
}

void
connection_ready(struct connection *c)
{
	if (c->state == CONNECTION_OPENING)
		heard_socket(c);
	else if (c->relay != -1)
		connection_heard(c);
}

void
connection_expire(struct connection *c)
{
	switch (c->state) {
	case CONNECTION_OPENING:
		connection_avoid_for(c, "can't connect to", ETIMEDOUT);
		connection_try_next(c);
		break;
	case CONNECTION_ASKED:
		do_without(c);
		break;
	case CONNECTION_GREETING:
		connection_refused(c, RELAY_DEFER, 0, "4.4.2",
		    "the host does not answer");
		break;
	default:
		connection_close(c);
	}
}
