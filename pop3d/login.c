/*
 * login: the commands of the AUTHORIZATION state that carry a name and a
 * secret: USER and PASS (RFC 1939, 7), AUTH (RFC 5034).
 *
 * Runs in the worker, as worker-user, confined; touches the client's
 * connection and the gate.
 */
#include <inttypes.h>
#include <string.h>

#include "../wire/utf8.h"
#include "login.h"
#include "session.h"

_Static_assert(ACCOUNT_NAME_MAX == LOGIN_NAME_MAX, "a name is not cut");
_Static_assert(TLS_TEXT_MAX <= LOGIN_TLS_MAX, "nor is what TLS is in use");

int
login_is_allowed(const struct session *s)
{
	return s->has_tls ||
	    (s->worker->facts.flags & FACT_PLAINTEXT) != 0;
}

static void
reply_plaintext(struct session *s)
{
	wire_printf(&s->wire, "-ERR no login without encryption\r\n");
}

static void
reply_refused(struct session *s)
{
	wire_printf(&s->wire, "-ERR [AUTH] login refused\r\n");
}

void
login_forget(struct session *s)
{
	s->has_user = s->in_exchange = 0;
	explicit_bzero(s->user, sizeof(s->user));
	sasl_end(&s->sasl);
}

void
command_user(struct session *s, const struct arguments *args)
{
	s->has_user = 0;
	if (!login_is_allowed(s)) {
		reply_plaintext(s);
		return;
	}
	if (args->len >= sizeof(s->user)) {
		wire_printf(&s->wire, "-ERR name too long\r\n");
		return;
	}
	if (s->is_utf8 && !utf8_is_valid(args->text, args->len)) {
		wire_printf(&s->wire, "-ERR name is not UTF-8\r\n");
		return;
	}
	memcpy(s->user, args->text, args->len + 1);
	s->has_user = 1;
	wire_printf(&s->wire, "+OK send PASS\r\n");
}

/*
 * The agent has become the user; its mailbox is the next question.  It may
 * have to wait for another program's lock, which it gives up when we end.
 */
static void
open_maildrop(struct session *s)
{
	int gate = s->worker->gate;
	enum wire_status status;
	enum pop3_open verdict;

	if (maildrop_ask(&s->drop, gate) == -1) {
		session_gate_failed(s, "open");
		return;
	}
	status = wire_await(&s->wire, gate);
	if (status != WIRE_OK) {
		session_unheard(s, status);
		return;
	}
	if (maildrop_open(&s->drop, &verdict) == -1) {
		session_gate_failed(s, "open");
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
	case OPEN_LOGIN_DELAY:
		wire_printf(&s->wire, "-ERR [LOGIN-DELAY] come again %" PRIu32
		    " seconds after the last login\r\n",
		    s->worker->config->login_delay);
		break;
	}
	/* The login is spent: another needs another session. */
	session_end(s, "not-opened");
}

/* One try, however the name and the secret came; the secret is wiped. */
static void
login_with(struct session *s, const char *name, char *secret,
    const char *mechanism)
{
	enum login_verdict verdict;
	char tls[TLS_TEXT_MAX];

	tls_describe(&s->wire, tls);
	if (ask_login(s->worker->gate, name, secret, mechanism, tls,
	    &verdict) == -1) {
		session_gate_failed(s, "login");
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
	reply_refused(s);
}

void
command_pass(struct session *s, const struct arguments *args)
{
	if (!login_is_allowed(s)) {
		reply_plaintext(s);
		return;
	}
	if (!s->has_user) {
		wire_printf(&s->wire, "-ERR USER comes first\r\n");
		return;
	}
	s->has_user = 0;
	/*
	 * Without UTF8 octets are octets: there are passwords of other
	 * character sets, and PAM compares nothing else (QUIRKS).
	 */
	if (s->is_utf8 && !utf8_is_valid(args->text, args->len)) {
		wire_printf(&s->wire, "-ERR password is not UTF-8\r\n");
		return;
	}
	login_with(s, s->user, args->text, "USER");
}

/* What has come of the client's last response, or of the lack of one. */
static void
go_on(struct session *s, enum sasl_status status)
{
	s->in_exchange = status == SASL_CONTINUE;
	switch (status) {
	case SASL_CONTINUE:
		wire_printf(&s->wire, "+ %s\r\n", s->sasl.challenge);
		return;
	case SASL_DONE:
		strlcpy(s->user, s->sasl.name, sizeof(s->user));
		login_with(s, s->user, s->sasl.secret, sasl_name(&s->sasl));
		break;
	case SASL_CANCELLED:
		wire_printf(&s->wire, "-ERR authentication cancelled\r\n");
		break;
	case SASL_MALFORMED:
		wire_printf(&s->wire, "-ERR malformed response\r\n");
		break;
	case SASL_REFUSED:
		reply_refused(s);
		break;
	}
	sasl_end(&s->sasl);
}

void
login_response(struct session *s, char *line, size_t len)
{
	/* In base64 a NUL is as wrong as anything. */
	go_on(s, strlen(line) == len ? sasl_step(&s->sasl, line) :
	    SASL_MALFORMED);
}

void
login_abandon(struct session *s, const char *why)
{
	s->in_exchange = 0;
	sasl_end(&s->sasl);
	wire_printf(&s->wire, "-ERR %s\r\n", why);
}

/* Mechanisms, one a line, as old programs ask for them (QUIRKS). */
static void
list_mechanisms(struct session *s)
{
	const char *p = login_is_allowed(s) ? sasl_mechanisms : "";
	size_t n;

	wire_printf(&s->wire, "+OK mechanisms\r\n");
	for (; *p != '\0'; p += n + (p[n] == ' ')) {
		n = strcspn(p, " ");
		wire_put_line(&s->wire, p, n);
	}
	wire_put(&s->wire, ".\r\n", 3);
}

void
command_auth(struct session *s, const struct arguments *args)
{
	char *initial = strchr(args->text, ' ');

	if (args->count == 0) {
		list_mechanisms(s);
		return;
	}
	if (initial != NULL)
		*initial++ = '\0';
	if (sasl_begin(&s->sasl, args->text) == -1) {
		wire_printf(&s->wire, "-ERR unrecognized mechanism\r\n");
		return;
	}
	if (!login_is_allowed(s)) {
		reply_plaintext(s);
		return;
	}
	s->has_user = 0;
	go_on(s, sasl_step(&s->sasl, initial));
}
