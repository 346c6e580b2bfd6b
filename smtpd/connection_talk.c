/*
 * connection_talk: what is said to the relay that has a connection, and what
 * its answers mean.
 *
 * Runs in the queue, as queue-user; touches the channel to that relay, and
 * passes it the connected socket and read-only descriptors of letters.
 *
 * The relay reads what a stranger sends, and may be in his hands: it decides
 * about the recipients of the letters that it was given, and nothing else.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "privsep/log.h"
#include "privsep/message.h"
#include "smtpd/connection.h"
#include "smtpd/srs.h"
#include "smtpd/xtext.h"

#define IDLE_MS		3000	/* for another letter to come */
#define SERVED_MAX	100	/* letters on one connection */
#define RESTARTS_MAX	2	/* of a letter whose connection was over */
#define SLOW_MS		10000	/* for a letter, and a ms for 100 octets */
#define SEND_TIMES	8	/* relay-timeouts, and a ms for each octet */

int
connection_greet(struct connection *c)
{
	const struct destination *d = c->destination;
	const struct relay_auth *auth = d->hop.auth;
	const struct mx_address *a = connection_address(c);
	struct message m;
	int r;

	message_begin(&m, REQ_GREET);
	put_u32(&m, d->hop.protocol == REMOTE_SMTP ? RELAY_SMTP : RELAY_LMTP);
	put_u32(&m, c->in_clear ? RELAY_TLS_NONE : d->hop.tls);
	put_str(&m, a->host);
	put_str(&m, d->outbound->config->hostname);
	put_str(&m, auth != NULL ? auth->user : "");
	put_str(&m, auth != NULL ? auth->secret : "");
	put_fd(&m, c->sock);
	r = message_send(c->relay, &m);
	explicit_bzero(&m, sizeof(m));
	return r;
}

static void
log_greeting(const struct connection *c, const char *tls, int is_verified)
{
	const struct mx_address *a = connection_address(c);
	char key[LOG_VALUE_MAX], host[LOG_VALUE_MAX], value[LOG_VALUE_MAX];

	log_event(LOG_INFO, 0, "event=connected destination=%s host=%s "
	    "address=%s tls=%s verified=%s",
	    log_value(c->destination->hop.key, key),
	    log_value(a->host, host), a->text, log_value(tls[0] != '\0' ? tls : "-",
	    value), is_verified ? "yes" : "no");
}

/* The host is none that takes letters; the next address, or without TLS. */
void
connection_refused(struct connection *c, uint32_t verdict, uint32_t code,
    const char *status, const char *text)
{
	struct errand_result r = connection_result(verdict == RELAY_FAIL ?
	    DELIVERY_FAILED : DELIVERY_DEFERRED, status, text);

	r.code = code;
	if (verdict == RELAY_NO_TLS && !c->in_clear &&
	    c->destination->hop.tls == RELAY_TLS_MAY) {
		connection_shut(c);
		c->in_clear = 1;
		if (connection_start(c) == 0)
			return;
		connection_avoid_for(c, "can't connect to", errno);
	} else {
		connection_avoid(c, &r);
		c->refusals += verdict == RELAY_FAIL;
	}
	connection_try_next(c);
}

/* For the next letter, and in nobody's way. */
static void
become_idle(struct connection *c)
{
	connection_set_state(c, CONNECTION_IDLE, IDLE_MS);
	c->slow_at = UINT64_MAX;
}

/*
 * Of the letter; rewritten, if it goes on to one whom its sender did not
 * write to.  Anew with each try, so that it is good for all of its time.
 */
static const char *
reverse_path(const struct connection *c, char buf[ADDRESS_PRINT_MAX])
{
	const struct errand *e = c->batch[0];
	const char *sender = e->letter->envelope.sender;

	return e->is_rewritten && srs_forward(c->destination->outbound->config,
	    sender, (uint64_t)time(NULL), buf) == 0 ? buf : sender;
}

/* What the sender asked for, or, behind an alias, whom he wrote to. */
static void
find_orcpt(const struct errand *e, char orcpt[ORCPT_MAX])
{
	const struct recipient *r =
	    &e->letter->envelope.recipients[e->recipient];
	char path[ADDRESS_PRINT_MAX];
	struct address address;

	strlcpy(orcpt, r->orcpt, ORCPT_MAX);
	if (orcpt[0] != '\0' || r->domain == NULL || r->domain[0] == '\0')
		return;
	strlcpy(address.local, r->local, sizeof(address.local));
	strlcpy(address.domain, r->domain, sizeof(address.domain));
	if (address_print(&address, path, sizeof(path)) == 0 &&
	    strcasecmp(path, e->account) != 0)
		orcpt_make(path, orcpt);
}

/* 0 or -1 with errno. */
static int
send_letter(struct connection *c)
{
	char sender[ADDRESS_PRINT_MAX], orcpt[ORCPT_MAX];
	const struct letter *l = c->batch[0]->letter;
	const struct recipient *to;
	struct message m;
	size_t i;

	for (i = 0; i < c->batch_count; i++) {
		to = &l->envelope.recipients[c->batch[i]->recipient];
		message_begin(&m, REQ_TO);
		put_str(&m, c->batch[i]->account);
		put_u32(&m, to->notify);
		find_orcpt(c->batch[i], orcpt);
		put_str(&m, orcpt);
		if (message_send(c->relay, &m) == -1)
			return -1;
	}
	message_begin(&m, REQ_SEND);
	put_str(&m, l->name.id);
	put_u64(&m, l->offset);
	put_u64(&m, l->length);
	put_u64(&m, l->lines);
	put_u32(&m, l->envelope.flags);
	put_str(&m, reverse_path(c, sender));
	put_u32(&m, l->envelope.ret);
	put_str(&m, l->envelope.envid);
	put_u32(&m, (uint32_t)c->batch_count);
	put_fd(&m, l->fd);
	return message_send(c->relay, &m);
}

/* The host has not heard of it: another connection, for all that we know. */
static void
take_back(struct connection *c)
{
	struct errand *e;
	size_t i;

	for (i = c->batch_count; i-- > 0;) {
		e = c->batch[i];
		if (e->tries == RESTARTS_MAX)
			continue;
		e->tries++;
		c->batch[i] = NULL;
		destination_return(c->destination, e);
	}
}

static void
send_batch(struct connection *c)
{
	c->served++;
	connection_set_state(c, CONNECTION_SENDING, SEND_TIMES *
	    connection_patience(c) + c->batch[0]->letter->length);
	c->slow_at = c->since + SLOW_MS + c->batch[0]->letter->length / 100;
	if (send_letter(c) == -1) {
		take_back(c);
		connection_close(c);
	}
}

void
connection_send(struct connection *c)
{
	c->batch_count = destination_take(c->destination, c->batch,
	    BATCH_MAX);
	if (c->batch_count > 0)
		send_batch(c);
}

/* What a better host has put off, and nothing else: it comes first again. */
static void
send_later(struct connection *c)
{
	size_t i;

	c->batch_count = c->later_count;
	c->later_count = 0;
	for (i = 0; i < c->batch_count; i++) {
		c->batch[i] = c->later[i];
		free(c->batch[i]->why);
		c->batch[i]->why = NULL;
	}
	c->served = SERVED_MAX;
	send_batch(c);
}

static void
heard_greet(struct connection *c, struct message *m)
{
	char status[RELAY_STATUS_MAX], text[RELAY_TEXT_MAX];
	char tls[LOG_VALUE_MAX];
	uint32_t verdict = get_u32(m), code = get_u32(m);
	uint32_t extensions, is_verified;

	get_str(m, status, sizeof(status));
	get_str(m, text, sizeof(text));
	extensions = get_u32(m);
	(void)get_u64(m);
	get_str(m, tls, sizeof(tls));
	is_verified = get_u32(m);
	if (get_end(m) == -1 || verdict > RELAY_NO_TLS) {
		connection_refused(c, RELAY_DEFER, 0, "4.3.0",
		    "the relay failed");
		return;
	}
	if (verdict != RELAY_READY) {
		connection_refused(c, verdict, code, status, text);
		return;
	}
	log_greeting(c, tls, is_verified != 0);
	c->has_dsn = (extensions & RELAY_HAS_DSN) != 0;
	c->destination->failures = 0;
	c->destination->rest_until = 0;
	if (c->later_count > 0)
		send_later(c);
	else
		become_idle(c);
}

/* An idle connection that was over, or is now: nothing is said of the letter. */
static int
is_to_restart(const struct errand *e, uint32_t verdict, uint32_t stage,
    uint32_t code)
{
	return verdict == DELIVERY_DEFERRED && stage == RELAY_AT_START &&
	    (code == 0 || code == 421) && e->tries < RESTARTS_MAX;
}

/* It closes, or says 421, in the middle of a letter: once for all of it. */
static void
note_end(struct connection *c, uint32_t verdict, uint32_t stage,
    uint32_t code)
{
	if (verdict != DELIVERY_DEFERRED || stage == RELAY_AT_START ||
	    (code != 0 && code != 421) || c->is_tired || c->is_hurried)
		return;
	c->is_tired = 1;
	destination_tired(c->destination);
}

static int
heard_to(struct connection *c, struct message *m)
{
	struct destination *d = c->destination;
	char status[RELAY_STATUS_MAX], text[RELAY_TEXT_MAX];
	uint32_t index = get_u32(m), verdict = get_u32(m);
	uint32_t stage = get_u32(m), code = get_u32(m);
	struct errand_result r;
	struct errand *e;

	get_str(m, status, sizeof(status));
	get_str(m, text, sizeof(text));
	if (get_end(m) == -1 || index >= c->batch_count ||
	    c->batch[index] == NULL || verdict > DELIVERY_FAILED ||
	    stage > RELAY_AT_END)
		return -1;
	e = c->batch[index];
	c->batch[index] = NULL;
	if (c->is_hurried && verdict == DELIVERY_DEFERRED && code == 0 &&
	    stage != RELAY_AT_END) {
		strlcpy(status, "4.4.2", sizeof(status));
		strlcpy(text, CONNECTION_SLOW, sizeof(text));
	} else if (is_to_restart(e, verdict, stage, code)) {
		e->tries++;
		destination_return(d, e);
		return 0;
	}
	if (stage == RELAY_AT_END && code == 0 && verdict != DELIVERED)
		log_event(LOG_WARNING, 0, "event=unsure id=%s text=\"the host "
		    "did not answer the end of the letter: it may get it "
		    "twice\"", e->letter->name.id);
	r = connection_result((enum delivery_verdict)verdict, status, text);
	r.has_dsn = c->has_dsn;
	r.code = code;
	strlcpy(r.remote, connection_address(c)->host, sizeof(r.remote));
	note_end(c, verdict, stage, code);
	if (connection_put_off(c, e, stage, &r) == 0)
		return 0;
	if (verdict == DELIVERED)
		destination_succeeded(d, c->slow_at > d->outbound->now);
	destination_tell(d, e, &r);
	return 0;
}

static void
heard_send(struct connection *c, struct message *m)
{
	uint32_t is_reusable = get_u32(m);
	int has_forgotten = 0;
	size_t i;

	(void)get_u64(m);
	if (get_end(m) == -1)
		is_reusable = 0;
	for (i = 0; i < c->batch_count; i++)
		has_forgotten |= c->batch[i] != NULL;
	if (c->later_count > 0 && !has_forgotten && !c->is_hurried) {
		connection_move(c);
		return;
	}
	if (!is_reusable || has_forgotten || c->is_hurried ||
	    c->served >= SERVED_MAX) {
		connection_close(c);
		return;
	}
	c->batch_count = 0;
	become_idle(c);
}

/* The relay ended, or broke the rules. */
static void
lost(struct connection *c)
{
	if (c->state == CONNECTION_GREETING)
		connection_refused(c, RELAY_DEFER, 0, "4.4.2",
		    "the relay to the host ended");
	else
		connection_close(c);
}

/* 1: a recipient's fate, and there may be more; 0: c may be gone. */
static int
hear(struct connection *c)
{
	struct message m;
	int is_on = 0, n = message_recv(c->relay, &m, 0);

	/* It ended without a look at HURRY: that is told before its words. */
	if (n == -1 && errno == ECONNRESET && c->is_hurried)
		n = message_recv(c->relay, &m, 0);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n != 1)
		lost(c);
	else if (c->state == CONNECTION_GREETING && m.type == REPLY_GREET)
		heard_greet(c, &m);
	else if (c->state == CONNECTION_SENDING && m.type == REPLY_SEND)
		heard_send(c, &m);
	else if (c->state == CONNECTION_SENDING && m.type == REPLY_TO &&
	    heard_to(c, &m) == 0)
		is_on = 1;
	else
		lost(c);
	if (n == 1)
		message_discard(&m);
	return is_on;
}

/* All that is there, so that it goes on record at once. */
void
connection_heard(struct connection *c)
{
	size_t left = BATCH_MAX + 1;

	while (left-- > 0 && hear(c))
		;
}
