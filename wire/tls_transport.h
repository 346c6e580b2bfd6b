/*
 * tls_transport: what the server's and the client's side of TLS share: a
 * handshake on a wire, and TLS as its transport.
 */
#ifndef WIRE_TLS_TRANSPORT_H
#define WIRE_TLS_TRANSPORT_H

#include <openssl/ssl.h>

#include "wire.h"

/*
 * The handshake, and then the wire speaks TLS, as tls_accept() says.  The
 * session (SSL_set_accept_state() or _connect_state() was called) is taken
 * over, whatever comes of it; NULL: there was no memory.  looked: called when
 * the handshake is over, well or not, to look at the session while it is
 * there; or NULL.
 */
enum wire_status tls_transport_start(struct wire *, SSL *, int timeout_ms,
	    void (*looked)(SSL *));
/* A callback of the handshake says why it will fail, for tls_error(). */
void	tls_transport_reason(const char *);

#endif
