/*
 * security: what a session may do before TLS and before login.
 *
 *			in the clear		in TLS
 * port 25		STARTTLS		-
 * submission		STARTTLS; AUTH where	AUTH
 *			secrets may go so
 * submissions		-			AUTH
 *
 * Where clients log in, nothing but AUTH is asked of the gate before that, and
 * its other end is the login process until then.  After login there is no
 * STARTTLS: the agent knows the login, and a session that is as new (RFC 3207
 * section 4.2) could not make it forget.
 */
#ifndef SMTPD_SECURITY_H
#define SMTPD_SECURITY_H

#include "../wire/sasl.h"
#include "session.h"

/* What EHLO says. */
int	security_offers_tls(const struct session *);
int	security_offers_auth(const struct session *);
/* May a secret be sent now? */
int	security_has_privacy(const struct session *);
/* What a command that needs login is refused with, NULL: it is not. */
const char *security_needs_login(const struct session *);

/*
 * The handshake; then the session's wire speaks TLS.  -1: it failed, which was
 * logged, and the session is over.
 */
int	security_handshake(struct session *);

/* A verb of HTTP, FTP or POP3, which SMTP does not have (C20). */
int	security_is_foreign(const char *verb);

#endif
