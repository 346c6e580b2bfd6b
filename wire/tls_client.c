/*
 * tls_client: the client's handshake, and whom it trusts.
 *
 * tls_client_warm() runs in the relay's parent, as relay-user, before it
 * encloses itself, and reads the system's trusted certificates;
 * tls_connect() in its children, confined, and touches the connection only.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "../privsep/log.h"
#include "tls_client.h"
#include "tls_policy.h"
#include "tls_transport.h"

/*
 * Old hosts that have DHE only are better met with it than in the clear; of
 * theirs, level 2 takes groups of 2048 bits and more.
 */
#define CIPHERS	TLS_CIPHERS_12 ":DHE-RSA-AES128-GCM-SHA256:"		\
			"DHE-RSA-AES256-GCM-SHA384:"			\
			"DHE-RSA-CHACHA20-POLY1305"

/* Where systems keep what they trust, all in one file. */
static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
};
#define BUNDLES	(sizeof(bundles) / sizeof(bundles[0]))

static SSL_CTX *client_context;

static struct {
	int	is_possible;	/* there was a name to compare with */
	int	is_verified;
	char	error[TLS_REASON_MAX];
} verdict;

static SSL_CTX *
make_context(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (context == NULL)
		return NULL;
	if (tls_policy_apply(context) == -1 ||
	    SSL_CTX_set_cipher_list(context, CIPHERS) != 1) {
		SSL_CTX_free(context);
		return NULL;
	}
	return context;
}

/* All of it into memory now: later there is no file to look things up in. */
static int
load_trust(X509_STORE *store, const char *bundle)
{
	size_t i;

	if (bundle != NULL)
		return X509_STORE_load_file(store, bundle) == 1 ? 0 : -1;
	for (i = 0; i < BUNDLES; i++)
		if (access(bundles[i], R_OK) == 0 &&
		    X509_STORE_load_file(store, bundles[i]) == 1)
			return 0;
	return -1;
}

void
tls_client_warm(const char *bundle)
{
	char reason[TLS_REASON_MAX];

	if (client_context != NULL)
		return;
	if (tls_policy_start() == 0)
		client_context = make_context();
	if (client_context == NULL) {
		errno = ENOTSUP;
		fatal("OpenSSL does not start");
	}
	if (load_trust(SSL_CTX_get_cert_store(client_context), bundle) == -1)
		log_event(LOG_WARNING, 0, "event=no-trusted-certificates "
		    "text=\"no host can be verified\"");
	ERR_clear_error();
	if (tls_rehearse_client(client_context) == -1) {
		tls_reason(reason, "no reason");
		errno = ENOTSUP;
		fatal("TLS does not work here: %s", reason);
	}
	ERR_clear_error();
}

/* A numeric address is in the certificate as one, and never in SNI. */
static int
set_host(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	X509_VERIFY_PARAM_set_hostflags(param,
	    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
	    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
		return 0;
	ERR_clear_error();
	return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 &&
	    SSL_set_tlsext_host_name(ssl, host) == 1 ? 0 : -1;
}

static SSL *
make_session(const char *host, int must_verify)
{
	SSL *ssl = SSL_new(client_context);

	verdict.is_possible = host[0] != '\0';
	verdict.is_verified = 0;
	strlcpy(verdict.error, "not looked at", sizeof(verdict.error));
	if (ssl == NULL)
		return NULL;
	if (verdict.is_possible && set_host(ssl, host) == -1) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_connect_state(ssl);
	SSL_set_verify(ssl, must_verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
	    NULL);
	return ssl;
}

/* OpenSSL looks at the certificate in any case and keeps what it found. */
static void
look(SSL *ssl)
{
	long result = SSL_get_verify_result(ssl);
	int has_shown = SSL_get0_peer_certificate(ssl) != NULL;

	if (result != X509_V_OK)
		strlcpy(verdict.error, X509_verify_cert_error_string(result),
		    sizeof(verdict.error));
	else if (has_shown && !verdict.is_possible)
		strlcpy(verdict.error, "no name to compare with",
		    sizeof(verdict.error));
	else if (has_shown && SSL_is_init_finished(ssl)) {
		verdict.is_verified = 1;
		verdict.error[0] = '\0';
	}
}

enum wire_status
tls_connect(struct wire *w, const char *host, int must_verify, int timeout_ms)
{
	enum wire_status status;

	if (client_context == NULL)
		bug("TLS without a context");
	status = tls_transport_start(w, make_session(host, must_verify),
	    timeout_ms, look);
	if (status == WIRE_OK && must_verify && !verdict.is_verified) {
		tls_close(w);
		tls_transport_reason("certificate verify failed");
		errno = EPROTO;
		return WIRE_ERROR;
	}
	return status;
}

int
tls_is_verified(void)
{
	return verdict.is_verified;
}

const char *
tls_verify_error(void)
{
	return verdict.error;
}
