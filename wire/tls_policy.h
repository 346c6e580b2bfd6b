/*
 * tls_policy: what of TLS we allow, as a server and as a client; for the files
 * of tls only.
 */
#ifndef WIRE_TLS_POLICY_H
#define WIRE_TLS_POLICY_H

#include <openssl/ssl.h>

#define TLS_REASON_MAX	64	/* with its NUL */

/* Of Mozilla's intermediate list for TLS 1.2 what has ECDHE. */
#define TLS_CIPHERS_12	"ECDHE-ECDSA-AES128-GCM-SHA256:"		\
			"ECDHE-RSA-AES128-GCM-SHA256:"			\
			"ECDHE-ECDSA-AES256-GCM-SHA384:"		\
			"ECDHE-RSA-AES256-GCM-SHA384:"			\
			"ECDHE-ECDSA-CHACHA20-POLY1305:"		\
			"ECDHE-RSA-CHACHA20-POLY1305"

/* Start the library, once a process, before anything else.  0 or -1. */
int	tls_policy_start(void);
/* Versions, ciphers, groups, options: 0, or -1 with OpenSSL's queue. */
int	tls_policy_apply(SSL_CTX *);
/* Why OpenSSL's oldest error came, or otherwise when it has none. */
void	tls_reason(char reason[TLS_REASON_MAX], const char *otherwise);

#endif
