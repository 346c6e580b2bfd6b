/*
 * sasl: the server's side of PLAIN (RFC 4616) and LOGIN, apart from how POP3
 * (RFC 5034) and SMTP (RFC 4954) carry them.  Decides nothing: the outcome of
 * an exchange is a name and a secret for the LOGIN gate.
 */
#ifndef WIRE_SASL_H
#define WIRE_SASL_H

#include <stddef.h>

#include "../privsep/login_gate.h"

/* Longest line of a response that can mean anything: base64 of both, and CR LF. */
#define SASL_LINE_MAX	3072	/* octets */

enum sasl_status {
	SASL_CONTINUE,	/* send the challenge, read a line, step again */
	SASL_DONE,	/* name and secret are there */
	SASL_CANCELLED,	/* the client said "*" */
	SASL_MALFORMED,	/* not base64, or not what the mechanism says */
	SASL_REFUSED	/* well-formed, but can never log in: an authorization
			 * identity that is another, too long a name... */
};

struct sasl_mechanism;

struct sasl {
	const struct sasl_mechanism *mechanism;
	unsigned	 step;
	const char	*challenge;	/* base64, "" for an empty one */
	char		 name[LOGIN_NAME_MAX];
	char		 secret[LOGIN_SECRET_MAX];
};

/* "PLAIN LOGIN": as EHLO's and CAPA's lists have them. */
extern const char sasl_mechanisms[];

/*
 * Begin with a mechanism, in any case; -1: not one of ours.  Follows
 * sasl_step() with the initial response, or NULL if there was none; "=" is an
 * empty one (RFC 4954, 4).
 */
int	sasl_begin(struct sasl *, const char *mechanism);
/* One line of the client's (base64 or "*"), in place, which is wiped. */
enum sasl_status sasl_step(struct sasl *, char *response);
/* "PLAIN": for the LOGIN gate. */
const char *sasl_name(const struct sasl *);
/* Wipe name and secret. */
void	sasl_end(struct sasl *);

#endif
