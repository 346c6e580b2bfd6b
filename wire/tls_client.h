/*
 * tls_client: TLS as who connects (RFC 8446, RFC 5246, RFC 3207, RFC 9525),
 * beside tls.h, which goes for the wire afterwards: tls_error(),
 * tls_describe(), tls_close().
 *
 * One context for all, made before the doors close; no session is kept or
 * resumed, and no certificate of ours is shown.
 */
#ifndef WIRE_TLS_CLIENT_H
#define WIRE_TLS_CLIENT_H

#include <openssl/ssl.h>

#include "tls.h"

/*
 * Runs in the relay's parent: make the context, read the system's trusted
 * certificates (or those in this PEM file) and rehearse.  fatal() when TLS does
 * not work; without trusted certificates nothing can be verified, which is
 * logged.
 */
void	tls_client_warm(const char *bundle);

/*
 * As tls_accept(), but from the other side.  host: the name or numeric address
 * that the certificate must be for; a name goes out as SNI; "": nobody can be
 * verified.  must_verify: WIRE_ERROR unless it is the host's by a certificate
 * that is trusted here; else whatever is shown will do.
 */
enum wire_status tls_connect(struct wire *, const char *host, int must_verify,
	    int timeout_ms);
/* Of the last tls_connect(): was it the host's? */
int	tls_is_verified(void);
/* If not, why: printable, under 64 octets ("hostname mismatch"). */
const char *tls_verify_error(void);

/* As tls_rehearse() of tls_context.h; the context stays the caller's. */
int	tls_rehearse_client(SSL_CTX *);

#endif
