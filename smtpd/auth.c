/*
 * auth: AUTH (RFC 4954): carries a SASL exchange (wire/sasl.h) over SMTP and
 * asks login for the verdict.
 *
 * Runs in the worker, as worker-user, confined; touches the client's
 * connection, and the gate through ask_login().  Keeps no secret: what it was
 * sent is wiped where it stands, whether it was taken or not.
 */
#include <string.h>

#include "commands.h"
#include "security.h"

static const char *
auth_refusal(const struct session *session, const char *mechanism)
{
	if (session->is_logged_in)
		return "503 5.5.1 Logged in already";
	if (!session->is_esmtp)
		return "503 5.5.1 Say EHLO first";
	/*
	 * Not 530, which RFC 4954 has for commands other than AUTH: all our
	 * mechanisms send the secret as it is.
	 */
	if (!security_has_privacy(session))
		return "538 5.7.11 Encryption required for requested "
		    "authentication mechanism";
	if (*mechanism == '\0')
		return "501 5.5.4 Syntax: AUTH mechanism [initial-response]";
	return NULL;
}

/* A response; NULL: there is none, and the client was told. */
static char *
read_response(struct session *session)
{
	char *line;

	switch (session_line(session, SASL_LINE_MAX, &line)) {
	case LINE_GOOD:
		return line;
	case LINE_UNCLEAN:
		session_refuse(session, "501 5.5.2 Lines end with CR LF and "
		    "hold no NUL");
		break;
	case LINE_TOO_LONG:
		session_refuse(session, "500 5.5.6 Authentication exchange "
		    "line is too long");
		break;
	case LINE_OVER:
		break;
	}
	return NULL;
}

/* One try; the reply to a failure comes late, and that is login's doing. */
static void
try_login(struct session *session, struct sasl *sasl)
{
	static const char refused[] = "535 5.7.8 Authentication failed";
	enum login_verdict verdict;

	if (ask_login(session->worker->gate, sasl->name, sasl->secret,
	    sasl_name(sasl), session->tls, &verdict) == -1) {
		session_gate_failed(session);
		return;
	}
	switch (verdict) {
	case LOGIN_OK:
		session->is_logged_in = 1;
		session_reply(session, "235 2.7.0 Authentication successful");
		return;
	case LOGIN_REFUSED:
		session_refuse(session, refused);
		return;
	case LOGIN_TEMPFAIL:
		session_refuse(session, "454 4.7.0 Temporary authentication "
		    "failure, try again later");
		return;
	case LOGIN_LAST:
		session_refuse(session, refused);
		session_end(session, "421 4.7.0 Too many failed logins");
		return;
	}
	/* Not a verdict: the gate is out of its mind. */
	session_gate_failed(session);
}

static void
exchange(struct session *session, struct sasl *sasl, char *initial)
{
	enum sasl_status status = sasl_step(sasl, initial);
	char *response;

	while (status == SASL_CONTINUE) {
		wire_printf(&session->wire, "334 %s\r\n", sasl->challenge);
		if ((response = read_response(session)) == NULL)
			return;
		status = sasl_step(sasl, response);
	}
	switch (status) {
	case SASL_DONE:
		try_login(session, sasl);
		break;
	case SASL_CANCELLED:
		session_refuse(session, "501 5.0.0 Authentication cancelled");
		break;
	case SASL_REFUSED:
		session_refuse(session, "535 5.7.8 Authentication failed");
		break;
	case SASL_MALFORMED:
	case SASL_CONTINUE:
		session_refuse(session, "501 5.5.2 Malformed response");
		break;
	}
}

void
command_auth(struct session *session, char *argument)
{
	char *initial = argument + strcspn(argument, " ");
	const char *refusal;
	struct sasl sasl;

	if (*initial == '\0')
		initial = NULL;
	else {
		*initial++ = '\0';
		initial += strspn(initial, " ");
	}
	refusal = auth_refusal(session, argument);
	if (refusal == NULL && sasl_begin(&sasl, argument) == -1)
		refusal = "504 5.5.4 Unknown authentication mechanism";
	if (refusal != NULL) {
		if (initial != NULL)
			explicit_bzero(initial, strlen(initial));
		session_refuse(session, refusal);
		return;
	}
	exchange(session, &sasl, initial);
	sasl_end(&sasl);
}
