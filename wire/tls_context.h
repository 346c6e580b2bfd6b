/*
 * tls_context: what the files of tls share with one another, and with nobody
 * else.
 */
#ifndef WIRE_TLS_CONTEXT_H
#define WIRE_TLS_CONTEXT_H

#include <openssl/ssl.h>

/* A server's context with all that we allow and forbid, but no certificate. */
SSL_CTX	*tls_context_new(const char *protocol);
/* A session to be, on the default certificate's context; NULL: no memory. */
SSL	*tls_context_session(void);

/*
 * Runs in the spawner: a handshake of each version within this process, so
 * that nothing is fetched, opened or built for the first time in a worker.
 * Takes the context.  0, or -1 with OpenSSL's queue.
 */
int	tls_rehearse(SSL_CTX *);

#endif
