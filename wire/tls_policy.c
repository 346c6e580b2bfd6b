/*
 * tls_policy: what of TLS we allow, as a server and as a client.
 *
 * Runs in the spawner, as worker-user, and in the relay's parent, as
 * relay-user, before either encloses itself; touches memory only.
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tls_policy.h"

/*
 * Mozilla's intermediate list.  The order is the server's; a client that has
 * ChaCha20 first has no AES in hardware and gets its wish.
 */
#define CIPHERS_13	"TLS_AES_128_GCM_SHA256:"			\
			"TLS_AES_256_GCM_SHA384:"			\
			"TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS		"X25519:P-256:P-384"
#define GROUPS_HYBRID	"X25519MLKEM768:" GROUPS	/* OpenSSL 3.5 */
#define SIGNATURES	"ecdsa_secp256r1_sha256:"			\
			"ecdsa_secp384r1_sha384:ed25519:"		\
			"rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:"	\
			"rsa_pss_rsae_sha512:ECDSA+SHA512:RSA+SHA256:"	\
			"RSA+SHA384:RSA+SHA512"

/* Newer libraries' names for what we do without. */
#ifndef SSL_OP_NO_TX_CERTIFICATE_COMPRESSION
#define SSL_OP_NO_TX_CERTIFICATE_COMPRESSION	0
#define SSL_OP_NO_RX_CERTIFICATE_COMPRESSION	0
#endif

/*
 * A connection that ends without close_notify is an end of file: both
 * protocols say themselves where they end, and many clients just close.
 * Plaintext that was read is wiped in OpenSSL's buffer.
 */
#define OPTIONS	(SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |	\
	SSL_OP_NO_TICKET | SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION | \
	SSL_OP_NO_TX_CERTIFICATE_COMPRESSION |				\
	SSL_OP_NO_RX_CERTIFICATE_COMPRESSION |				\
	SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |	\
	SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CLEANSE_PLAINTEXT)

/* NO_AUTO_CHAIN: the chain is what the file has, nothing is looked up. */
#define MODES	(SSL_MODE_ENABLE_PARTIAL_WRITE |			\
	SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS | \
	SSL_MODE_NO_AUTO_CHAIN)

/*
 * No openssl.cnf is read: it could weaken what is said here, for all of the
 * host's programs, and could have code loaded into the process that meets
 * the network.
 */
int
tls_policy_start(void)
{
	return OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1 &&
	    OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1 ? 0 : -1;
}

void
tls_reason(char reason[TLS_REASON_MAX], const char *otherwise)
{
	unsigned long error = ERR_peek_error();
	const char *text = NULL;
	char *p;

	if (error != 0)
		text = ERR_reason_error_string(error);
	if (text == NULL)
		text = otherwise;
	strlcpy(reason, text, TLS_REASON_MAX);
	for (p = reason; *p != '\0'; p++)
		if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
			*p = '?';
}

/*
 * Level 2: nothing below 112 bits, no SHA-1.  AUTO_RETRY is off, so that a
 * peer that sends records without content comes back to the wire's clock.
 */
int
tls_policy_apply(SSL_CTX *context)
{
	SSL_CTX_set_security_level(context, 2);
	SSL_CTX_set_options(context, OPTIONS);
	SSL_CTX_set_mode(context, MODES);
	SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
	if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_num_tickets(context, 0) != 1 ||
	    SSL_CTX_set_max_early_data(context, 0) != 1 ||
	    SSL_CTX_set_recv_max_early_data(context, 0) != 1 ||
	    SSL_CTX_set_ciphersuites(context, CIPHERS_13) != 1 ||
	    SSL_CTX_set_cipher_list(context, TLS_CIPHERS_12) != 1 ||
	    SSL_CTX_set1_sigalgs_list(context, SIGNATURES) != 1)
		return -1;
	if (SSL_CTX_set1_groups_list(context, GROUPS_HYBRID) == 1)
		return 0;
	ERR_clear_error();
	return SSL_CTX_set1_groups_list(context, GROUPS) == 1 ? 0 : -1;
}
