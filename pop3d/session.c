/*
 * session: the loop of a POP3 session, its beginning and end, and the commands
 * that are about the session itself (RFC 1939, 4 and 6; RFC 2449; RFC 2595).
 *
 * Runs in the worker, as worker-user, confined; touches the client's
 * connection, the gate and, by way of TLS, the signer.
 */
#include <sys/socket.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "../privsep/log.h"
#include "login.h"
#include "session.h"

#define DRAIN_MAX	64	/* times that more is read at the end */

static void
session_heard(void *worker)
{
	worker_alive(worker);
}

void
session_end(struct session *s, const char *how)
{
	s->is_over = 1;
	if (s->ended == NULL)
		s->ended = how;
}

void
session_gate_failed(struct session *s, const char *what)
{
	log_event(LOG_ERR, s->worker->facts.session,
	    "event=gate-failed request=%s error=\"%s\"", what,
	    strerror(errno));
	wire_printf(&s->wire, "-ERR [SYS/TEMP] try again later\r\n");
	session_end(s, "error");
}

/* The end of a connection, as logged. */
static const char *
ended_by(enum wire_status status)
{
	return status == WIRE_TIMEOUT ? "timeout" :
	    status == WIRE_EOF ? "closed" :
	    status == WIRE_SHUTDOWN ? "shutdown" : "error";
}

/* As new: what was said in the clear is forgotten when TLS begins (C2). */
static void
session_reset(struct session *s)
{
	s->state = POP3_AUTHORIZATION;
	s->bad = s->is_utf8 = 0;
	login_forget(s);
}

int
session_can_start_tls(const struct session *s)
{
	return !s->has_tls && s->worker->signer != -1;
}

/*
 * The handshake, now; login-timeout is for all of it (C16).  0, or -1 and the
 * session is over: after a handshake that failed there is nothing to say and
 * no way to say it.
 */
static int
begin_tls(struct session *s)
{
	int timeout = (int)s->worker->config->login_timeout * 1000;
	const char *why = "no certificate";
	char reason[LOG_VALUE_MAX];
	enum wire_status status;

	if (s->worker->signer != -1) {
		status = tls_accept(&s->wire, timeout, ask_sign, s->worker);
		if (status == WIRE_OK) {
			s->has_tls = 1;
			return 0;
		}
		why = status == WIRE_ERROR ? tls_error() : ended_by(status);
	}
	log_event(LOG_INFO, s->worker->facts.session,
	    "event=tls-failed client=%s reason=%s", s->worker->facts.client,
	    log_value(why, reason));
	session_end(s, "tls-failed");
	return -1;
}

/*
 * RFC 2595, 4.  Whoever puts octets of his own behind the client's STLS wants
 * them to be taken for what comes over TLS (C2).  He gets nothing, and the
 * client not a refusal, which might make it go on in the clear.
 */
void
command_stls(struct session *s, const struct arguments *args)
{
	(void)args;
	if (!session_can_start_tls(s)) {
		wire_printf(&s->wire, "-ERR %s\r\n",
		    s->has_tls ? "already using TLS" : "no TLS here");
		return;
	}
	wire_printf(&s->wire, "+OK begin TLS\r\n");
	if (wire_flush(&s->wire) != WIRE_OK)
		return;
	if (wire_buffered(&s->wire) != 0) {
		log_event(LOG_NOTICE, s->worker->facts.session,
		    "event=starttls-injection client=%s",
		    s->worker->facts.client);
		session_end(s, "injection");
		return;
	}
	if (begin_tls(s) == 0)
		session_reset(s);
}

/* UPDATE: only here is anything deleted (RFC 1939, 6). */
static void
update(struct session *s)
{
	uint32_t failed, marked = s->drop.count - s->drop.left;

	if (maildrop_expunge(&s->drop, s->worker->config->expire > 0,
	    &failed) == -1) {
		session_gate_failed(s, "expunge");
		return;
	}
	s->removed = failed < marked ? marked - failed : 0;
	if (failed > 0)
		wire_printf(&s->wire, "-ERR [SYS/TEMP] some deleted messages "
		    "not removed\r\n");
	else
		wire_printf(&s->wire, "+OK goodbye\r\n");
}

void
command_quit(struct session *s, const struct arguments *args)
{
	(void)args;
	if (s->state == POP3_TRANSACTION)
		update(s);
	else
		wire_printf(&s->wire, "+OK goodbye\r\n");
	session_end(s, "quit");
}

/* A line that is no command in order; too many in a row are no mail program. */
static void
bad_command(struct session *s, const char *text)
{
	if (++s->bad < POP3_BAD_MAX) {
		wire_printf(&s->wire, "-ERR %s\r\n", text);
		return;
	}
	wire_printf(&s->wire, "-ERR too many bad commands\r\n");
	log_event(LOG_NOTICE, s->worker->facts.session,
	    "event=too-many-errors");
	session_end(s, "errors");
}

/* Another protocol's line may be meant to make us say something (C20). */
static int
end_foreign(struct session *s, const char *line)
{
	if (s->state != POP3_AUTHORIZATION || !is_foreign_verb(line))
		return 0;
	wire_printf(&s->wire, "-ERR this is POP3\r\n");
	log_event(LOG_NOTICE, s->worker->facts.session,
	    "event=foreign-protocol");
	session_end(s, "foreign");
	return 1;
}

static void
handle_line(struct session *s, char *line, size_t len)
{
	const struct pop3_command *command;
	struct arguments args;

	switch (pop3_parse(line, len, s->state, &command, &args)) {
	case PARSE_OK:
		s->bad = 0;
		command->handler(s, &args);
		break;
	case PARSE_UNKNOWN:
		if (!end_foreign(s, line))
			bad_command(s, "unknown command");
		break;
	case PARSE_STATE:
		bad_command(s, s->state == POP3_AUTHORIZATION ?
		    "log in first" : "already logged in");
		break;
	case PARSE_SYNTAX:
		bad_command(s, "wrong arguments");
		break;
	case PARSE_TOO_LONG:
		bad_command(s, "line too long");
		break;
	}
}

void
session_unheard(struct session *s, enum wire_status status)
{
	/* RFC 1939, 3: no UPDATE; nothing is said unless it is our doing. */
	const char *why = "[SYS/TEMP] the server ends this session";

	if (status == WIRE_SHUTDOWN && worker_is_late(s->worker)) {
		status = WIRE_TIMEOUT;
		why = "the time to log in is over";
	} else if (status != WIRE_SHUTDOWN)
		why = NULL;
	if (why != NULL && s->wire.failed == WIRE_OK)
		wire_printf(&s->wire, "-ERR %s\r\n", why);
	session_end(s, ended_by(status));
}

static void
session_loop(struct session *s)
{
	enum wire_status status;
	size_t len;
	char *line;

	while (!s->is_over) {
		status = wire_line(&s->wire, SASL_LINE_MAX, 1, &line, &len);
		if (status == WIRE_TOO_LONG && s->in_exchange)
			login_abandon(s, "line too long");
		else if (status == WIRE_TOO_LONG)
			bad_command(s, "line too long");
		else if (status != WIRE_OK)
			session_unheard(s, status);
		else {
			if (s->in_exchange)
				login_response(s, line, len);
			else
				handle_line(s, line, len);
			/* It may have been a secret. */
			explicit_bzero(line, len);
		}
		if (s->wire.failed != WIRE_OK)
			session_unheard(s, s->wire.failed);
	}
}

static void
log_logout(struct session *s)
{
	char user[LOG_VALUE_MAX];

	log_event(LOG_INFO, s->worker->facts.session,
	    "event=logout user=%s end=%s retrieved=%" PRIu32 " deleted=%"
	    PRIu32 " octets=%" PRIu64, log_value(s->user, user), s->ended,
	    s->retrieved, s->removed, s->octets);
}

/*
 * Input that nobody has read makes the kernel reset the connection when it is
 * closed, and throw away what the client has not got yet: the end of a message
 * that a slow one fetches.  So what came behind QUIT is taken, without waiting
 * for more.
 */
static void
drain(const struct session *s)
{
	uint8_t junk[4096];
	int i;

	for (i = 0; i < DRAIN_MAX; i++)
		if (recv(s->wire.fd, junk, sizeof(junk), MSG_DONTWAIT) <= 0)
			return;
}

void
session_begin(struct session *s, struct worker *worker)
{
	uint32_t seconds = worker->config->idle_timeout;

	s->worker = worker;
	session_reset(s);
	s->has_tls = s->is_over = 0;
	s->ended = NULL;
	s->retrieved = s->removed = 0;
	s->octets = 0;
	wire_init(&s->wire, worker->client,
	    seconds < INT32_MAX / 1000 ? (int)seconds * 1000 : INT32_MAX);
	s->wire.heard = session_heard;
	s->wire.heard_arg = worker;
	s->wire.watch = worker->master;
}

void
session_run(struct session *s)
{
	if (service_is_tls(s->worker->facts.service) && begin_tls(s) == -1)
		return;
	wire_printf(&s->wire, "+OK %s POP3 ready\r\n",
	    s->worker->config->hostname);
	session_loop(s);
	if (wire_flush(&s->wire) == WIRE_OK && s->has_tls)
		tls_close(&s->wire);
	drain(s);
	if (s->state == POP3_TRANSACTION) {
		log_logout(s);
		maildrop_close(&s->drop);
	}
}
