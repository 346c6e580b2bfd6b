/*
 * security: TLS, what is offered when, and who is not welcome.
 *
 * Runs in the worker, as worker-user, confined; touches the client's
 * connection, and the signer through ask_sign(), once.
 *
 * Nothing here protects the agent's side from a worker that was taken over.
 * That a submission's client has logged in is seen there: the gate reaches an
 * agent only through login.  What TLS there is, is this side's claim.
 */
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "../privsep/log.h"
#include "commands.h"
#include "security.h"

/*
 * Somebody's browser or FTP client that was made to talk to us (ALPACA), in
 * TLS or in the clear, must not come as far as a line that we would obey.
 */
static const char *const foreign[] = {
	/* HTTP */
	"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST",
	"PROPFIND", "PUT", "TRACE",
	/* FTP, some of them POP3's */
	"ABOR", "ACCT", "APPE", "CDUP", "CWD", "DELE", "EPRT", "EPSV", "FEAT",
	"LIST", "LPRT", "LPSV", "MKD", "MLSD", "NLST", "PASS", "PASV", "PORT",
	"PWD", "REIN", "REST", "RETR", "RMD", "RNFR", "RNTO", "SITE", "STAT",
	"STOR", "STOU", "SYST", "TYPE", "USER"
};

int
security_is_foreign(const char *verb)
{
	size_t i;

	for (i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (strcasecmp(foreign[i], verb) == 0)
			return 1;
	return 0;
}

int
security_has_privacy(const struct session *session)
{
	return session->is_tls ||
	    (session->worker->facts.flags & FACT_PLAINTEXT) != 0;
}

int
security_offers_tls(const struct session *session)
{
	return session->worker->signer != -1 && !session->is_tls &&
	    !session->is_logged_in &&
	    !service_is_local(session->worker->facts.service);
}

int
security_offers_auth(const struct session *session)
{
	return service_is_submission(session->worker->facts.service) &&
	    !session->is_logged_in && security_has_privacy(session);
}

const char *
security_needs_login(const struct session *session)
{
	if (!service_is_submission(session->worker->facts.service) ||
	    session->is_logged_in)
		return NULL;
	/* Say what helps: AUTH is not offered yet (RFC 3207, 4). */
	if (!security_has_privacy(session) && security_offers_tls(session))
		return "530 5.7.0 Must issue a STARTTLS command first";
	return "530 5.7.0 Authentication required";
}

static int
handshake_failed(struct session *session, const char *why)
{
	char text[LOG_VALUE_MAX];

	log_event(LOG_INFO, session->worker->facts.session,
	    "event=tls-failed client=%s service=%s reason=%s",
	    session->worker->facts.client,
	    service_name(session->worker->facts.service),
	    log_value(why, text));
	session->is_over = session->is_ended_by_us = 1;
	return -1;
}

int
security_handshake(struct session *session)
{
	uint32_t seconds = session->worker->config->login_timeout;

	if (session->worker->signer == -1)
		return handshake_failed(session, "no certificate");
	if (seconds > INT_MAX / 1000)
		seconds = INT_MAX / 1000;
	if (tls_accept(&session->wire, (int)seconds * 1000, ask_sign,
	    session->worker) != WIRE_OK)
		return handshake_failed(session, tls_error());
	session->is_tls = 1;
	tls_describe(&session->wire, session->tls);
	return 0;
}

static const char *
starttls_refusal(const struct session *session)
{
	if (session->is_tls)
		return "503 5.5.1 TLS is on already";
	if (session->worker->signer == -1)
		return "454 4.7.0 TLS is not available";
	if (!session->is_esmtp)
		return "503 5.5.1 Say EHLO first";
	if (session->is_logged_in)
		return "503 5.5.1 STARTTLS comes before AUTH";
	return NULL;
}

/*
 * Whoever stands between the client and us can put commands behind STARTTLS,
 * and they would be obeyed as if they had come through TLS (C2).  What the
 * client said before may be forged as well, and is forgotten.
 */
void
command_starttls(struct session *session, char *argument)
{
	const char *refusal = starttls_refusal(session);

	(void)argument;
	if (refusal != NULL) {
		session_refuse(session, refusal);
		return;
	}
	if (session_restart(session) == -1)
		return;
	session_reply(session, "220 2.0.0 Ready to start TLS");
	if (wire_flush(&session->wire) != WIRE_OK) {
		session->is_over = 1;
		return;
	}
	if (wire_buffered(&session->wire) > 0) {
		log_event(LOG_NOTICE, session->worker->facts.session,
		    "event=starttls-injection client=%s octets=%zu",
		    session->worker->facts.client,
		    wire_buffered(&session->wire));
		session->errors++;
		session->is_over = session->is_ended_by_us = 1;
		return;
	}
	(void)security_handshake(session);
}
