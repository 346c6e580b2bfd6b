/*
 * tls: TLS 1.2 and 1.3 as the transport of a wire (RFC 8446, RFC 5246, RFC
 * 9325).  The contexts are made in the spawner, once, before it encloses
 * itself; a worker, its fork, uses them for one connection.
 *
 * There is no private key here: signatures come from a function, which asks
 * the signer.  No tickets, no session cache, no renegotiation, no compression,
 * no early data.
 */
#ifndef WIRE_TLS_H
#define WIRE_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "../privsep/keyring.h"
#include "wire.h"

#define TLS_TEXT_MAX	80	/* "TLSv1.3 TLS_AES_256_GCM_SHA384", with NUL */

/*
 * Sign content with the key in this place of the keyring, by this scheme
 * (privsep/signer_gate.h).  *len is the room, then the length; 0 or -1.
 */
typedef int (*tls_sign)(void *arg, uint32_t key, uint32_t scheme,
	    const uint8_t *content, size_t content_len, uint8_t *signature,
	    size_t *len);

/*
 * Runs in the spawner: make and warm the contexts.  protocol: the one ALPN
 * name that is accepted, like "pop3", which stays the caller's and in place; a
 * client that offers only others is refused; NULL: who offers any is.  The
 * ring may be forgotten afterwards.  fatal() with file and reason on a
 * certificate that can't be used.  An empty ring: nothing, no TLS.
 */
void	tls_warm(const struct keyring *, const char *protocol);
/* Can this worker do TLS? */
int	tls_is_ready(void);

/*
 * The handshake, on a wire without unread input (bug() otherwise); pending
 * output goes out before, in the clear.  Then the wire speaks TLS.
 * timeout_ms is for all of it (-1: none).  WIRE_OK, or why not: WIRE_EOF,
 * WIRE_TIMEOUT, WIRE_SHUTDOWN, and WIRE_ERROR when one side did not agree,
 * after the alert was sent; see tls_error().  A wire that failed is at its end:
 * reads are WIRE_EOF, and so are writes; nothing goes out in the clear any
 * more.
 */
enum wire_status tls_accept(struct wire *, int timeout_ms, tls_sign,
	    void *arg);
/*
 * Why the handshake failed, printable and under 64 octets: OpenSSL's reason
 * ("no shared cipher", "tlsv1 alert unknown ca"), or "closed", "timeout",
 * "shutdown", "not signed".  "" if it did not.
 */
const char *tls_error(void);
/* Version and cipher, "" in the clear. */
void	tls_describe(const struct wire *, char text[TLS_TEXT_MAX]);
/*
 * close_notify, after the last flush, without waiting for the peer's; then the
 * wire is at its end.  Does nothing in the clear.
 */
void	tls_close(struct wire *);

#endif
