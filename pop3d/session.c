/*
 * session: the loop of a POP3 session, and the commands around logging in and
 * out (RFC 1939, 4 and 6; RFC 2449).
 *
 * Runs in the worker, as worker-user, confined; touches the client's
 * connection and the gate.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "../privsep/log.h"
#include "session.h"

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

/* The other side of the gate failed us: nothing can be done for this client. */
static void
gate_failed(struct session *s, const char *what)
{
	log_event(LOG_ERR, s->worker->facts.session,
	    "event=gate-failed request=%s error=\"%s\"", what,
	    strerror(errno));
	wire_printf(&s->wire, "-ERR [SYS/TEMP] try again later\r\n");
	session_end(s, "error");
}

static int
is_secret_allowed(const struct session *s)
{
	return (s->worker->facts.flags & FACT_PLAINTEXT) != 0;
}

static void
reply_plaintext(struct session *s)
{
	wire_printf(&s->wire, "-ERR no login without encryption\r\n");
}

void
command_user(struct session *s, const struct arguments *args)
{
	s->has_user = 0;
	if (!is_secret_allowed(s)) {
		reply_plaintext(s);
		return;
	}
	if (args->len >= sizeof(s->user)) {
		wire_printf(&s->wire, "-ERR name too long\r\n");
		return;
	}
	memcpy(s->user, args->text, args->len + 1);
	s->has_user = 1;
	wire_printf(&s->wire, "+OK send PASS\r\n");
}

/* The agent has become the user; its mailbox is the next question. */
static void
open_maildrop(struct session *s)
{
	enum pop3_open verdict;

	if (maildrop_open(&s->drop, s->worker->gate, &verdict) == -1) {
		gate_failed(s, "open");
		return;
	}
	switch (verdict) {
	case OPEN_OK:
		s->state = POP3_TRANSACTION;
		wire_printf(&s->wire, "+OK %" PRIu32 " messages (%" PRIu64
		    " octets)\r\n", s->drop.count, s->drop.octets);
		return;
	case OPEN_IN_USE:
		wire_printf(&s->wire, "-ERR [IN-USE] another session has this "
		    "maildrop open\r\n");
		break;
	case OPEN_TEMPFAIL:
		wire_printf(&s->wire, "-ERR [SYS/TEMP] the maildrop can not "
		    "be opened now\r\n");
		break;
	}
	/* The login is spent: another needs another session. */
	session_end(s, "not-opened");
}

void
command_pass(struct session *s, const struct arguments *args)
{
	enum login_verdict verdict;

	if (!is_secret_allowed(s)) {
		reply_plaintext(s);
		return;
	}
	if (!s->has_user) {
		wire_printf(&s->wire, "-ERR USER comes first\r\n");
		return;
	}
	s->has_user = 0;
	if (ask_login(s->worker->gate, s->user, args->text, "USER",
	    &verdict) == -1) {
		gate_failed(s, "login");
		return;
	}
	switch (verdict) {
	case LOGIN_OK:
		open_maildrop(s);
		return;
	case LOGIN_TEMPFAIL:
		wire_printf(&s->wire, "-ERR [SYS/TEMP] login does not work "
		    "now, try again later\r\n");
		return;
	case LOGIN_LAST:
		session_end(s, "refused");
		break;
	case LOGIN_REFUSED:
		break;
	}
	wire_printf(&s->wire, "-ERR [AUTH] login refused\r\n");
}

void
command_auth(struct session *s, const struct arguments *args)
{
	if (args->count == 0)
		wire_printf(&s->wire, "+OK no mechanisms\r\n.\r\n");
	else
		wire_printf(&s->wire, "-ERR unrecognized mechanism\r\n");
}

void
command_capa(struct session *s, const struct arguments *args)
{
	(void)args;
	wire_printf(&s->wire, "+OK capabilities\r\nTOP\r\nUIDL\r\n");
	if (is_secret_allowed(s))
		wire_printf(&s->wire, "USER\r\n");
	wire_printf(&s->wire, "RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"
	    "EXPIRE NEVER\r\nIMPLEMENTATION Postern\r\n.\r\n");
}

/* Outlook says it after login; whatever UTF-8 there is, RETR sends (QUIRKS). */
void
command_utf8(struct session *s, const struct arguments *args)
{
	(void)args;
	wire_printf(&s->wire, "+OK\r\n");
}

/* UPDATE: only here is anything deleted (RFC 1939, 6). */
static void
update(struct session *s)
{
	uint32_t failed, marked = s->drop.count - s->drop.left;

	if (maildrop_expunge(&s->drop, &failed) == -1) {
		gate_failed(s, "expunge");
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

static void
end_unheard(struct session *s, enum wire_status status)
{
	/* RFC 1939, 3: no UPDATE; nothing is said unless it is our doing. */
	if (status == WIRE_SHUTDOWN && s->wire.failed == WIRE_OK)
		wire_printf(&s->wire,
		    "-ERR [SYS/TEMP] the server ends this session\r\n");
	session_end(s, status == WIRE_TIMEOUT ? "timeout" :
	    status == WIRE_EOF ? "closed" :
	    status == WIRE_SHUTDOWN ? "shutdown" : "error");
}

static void
session_loop(struct session *s)
{
	enum wire_status status;
	size_t len;
	char *line;

	while (!s->is_over) {
		status = wire_line(&s->wire, POP3_LINE_MAX, 1, &line, &len);
		if (status == WIRE_TOO_LONG)
			bad_command(s, "line too long");
		else if (status != WIRE_OK)
			end_unheard(s, status);
		else {
			handle_line(s, line, len);
			/* It may have been a secret. */
			explicit_bzero(line, len);
		}
		if (s->wire.failed != WIRE_OK)
			end_unheard(s, s->wire.failed);
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

void
session_begin(struct session *s, struct worker *worker)
{
	uint32_t seconds = worker->config->idle_timeout;

	s->worker = worker;
	s->state = POP3_AUTHORIZATION;
	s->is_over = s->bad = s->has_user = 0;
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
	wire_printf(&s->wire, "+OK %s POP3 ready\r\n",
	    s->worker->config->hostname);
	session_loop(s);
	(void)wire_flush(&s->wire);
	if (s->state == POP3_TRANSACTION) {
		log_logout(s);
		maildrop_close(&s->drop);
	}
}
