/*
 * tls_context: certificates, and which client gets which.
 *
 * Runs in the spawner, as worker-user, before it encloses itself; the worker,
 * its fork, chooses a certificate by name and an ALPN protocol here.  Touches
 * memory only: no file, no private key.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>

#include "../privsep/log.h"
#include "provider.h"
#include "tls.h"
#include "tls_context.h"
#include "tls_policy.h"

static struct host {
	const char	*name;		/* "" for the first */
	SSL_CTX		*context;
} hosts[KEYRING_MAX];

static size_t host_count;
static char host_names[KEYRING_MAX][HOSTNAME_MAX];

static void
unusable(const struct keyring_pair *pair, const char *what)
{
	char reason[TLS_REASON_MAX], file[LOG_VALUE_MAX];

	tls_reason(reason, "not usable");
	log_event(LOG_ERR, 0, "event=certificate file=%s text=\"%s: %s\"",
	    log_value(pair->chain_file, file), what, reason);
	exit(1);
}

/* Is name (of a client) what the certificate is for? */
static int
is_named(const char *pattern, const char *name, size_t len)
{
	const char *dot;

	if (strncmp(pattern, "*.", 2) == 0) {
		dot = memchr(name, '.', len);
		if (dot == NULL || dot == name)
			return 0;
		len -= (size_t)(dot - name);
		name = dot;
		pattern++;
	}
	return len > 0 && strlen(pattern) == len &&
	    strncasecmp(pattern, name, len) == 0;
}

/* A name in full goes before a wildcard; none that fits is the first's. */
static SSL_CTX *
find_context(const char *name)
{
	SSL_CTX *wild = NULL;
	size_t i, len = strlen(name);

	if (len > 0 && name[len - 1] == '.')
		len--;
	for (i = 1; i < host_count; i++) {
		if (!is_named(hosts[i].name, name, len))
			continue;
		if (hosts[i].name[0] != '*')
			return hosts[i].context;
		if (wild == NULL)
			wild = hosts[i].context;
	}
	return wild;
}

static int
on_server_name(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	SSL_CTX *context;

	(void)alert;
	(void)arg;
	if (name == NULL || (context = find_context(name)) == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	if (SSL_set_SSL_CTX(ssl, context) == NULL)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

/*
 * A client that names protocols and not ours took us for another server: what
 * it says there must not be heard here (C20, ALPACA).
 */
static int
on_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_len,
    const unsigned char *offered, unsigned int len, void *arg)
{
	const char *protocol = arg;
	size_t want = protocol != NULL ? strlen(protocol) : 0;
	unsigned int i, n;

	(void)ssl;
	for (i = 0; want > 0 && i < len; i += n + 1) {
		n = offered[i];
		if (n >= len - i)
			break;
		if (n == want && memcmp(offered + i + 1, protocol, n) == 0) {
			*chosen = offered + i + 1;
			*chosen_len = offered[i];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

SSL_CTX *
tls_context_new(const char *protocol)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (context == NULL)
		return NULL;
	if (tls_policy_apply(context) == -1) {
		SSL_CTX_free(context);
		return NULL;
	}
	SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
	SSL_CTX_set_alpn_select_cb(context, on_alpn, (void *)protocol);
	return context;
}

/* OpenSSL would ask at the terminal. */
static int
no_password(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

/* The leaf, then what certifies it.  NULL: there is no leaf. */
static X509 *
load_chain(SSL_CTX *context, const struct keyring_pair *pair)
{
	X509 *leaf, *next;
	BIO *pem;

	pem = BIO_new_mem_buf(pair->chain, (int)pair->chain_len);
	if (pem == NULL)
		fatal("reading %s", pair->chain_file);
	leaf = PEM_read_bio_X509(pem, NULL, no_password, NULL);
	if (leaf == NULL || SSL_CTX_use_certificate(context, leaf) != 1)
		unusable(pair, "not a certificate that TLS can use");
	while ((next = PEM_read_bio_X509(pem, NULL, no_password, NULL)) != NULL)
		if (SSL_CTX_add0_chain_cert(context, next) != 1)
			unusable(pair, "chain");
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		unusable(pair, "chain");
	ERR_clear_error();
	BIO_free(pem);
	return leaf;
}

/*
 * Begin a signature and ask for its size, by each padding: so the algorithms
 * are fetched, and a key that could not sign is found now.
 */
static int
try_key(EVP_PKEY *key, int is_pss)
{
	static const unsigned char nothing[1];
	const char *hash = EVP_PKEY_is_a(key, "ED25519") ? NULL : "SHA256";
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *params;
	size_t len = 0;
	int ok;

	ok = ctx != NULL && EVP_DigestSignInit_ex(ctx, &params, hash, NULL,
	    NULL, key, NULL) == 1;
	if (ok && is_pss)
		ok = EVP_PKEY_CTX_set_rsa_padding(params,
		    RSA_PKCS1_PSS_PADDING) == 1 &&
		    EVP_PKEY_CTX_set_rsa_pss_saltlen(params,
		    RSA_PSS_SALTLEN_DIGEST) == 1;
	ok = ok && EVP_DigestSign(ctx, NULL, &len, nothing, 0) == 1 && len > 0;
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -1;
}

static SSL_CTX *
load_pair(const struct keyring_pair *pair, uint32_t place, const char *protocol)
{
	static const char secret[] = "PRIVATE KEY-----";
	SSL_CTX *context = tls_context_new(protocol);
	EVP_PKEY *key;
	X509 *leaf;

	if (context == NULL)
		unusable(pair, "no context");
	/* Here it would be in the memory of each worker. */
	if (memmem(pair->chain, pair->chain_len, secret, sizeof(secret) - 1))
		unusable(pair, "a private key is in the certificate's file");
	leaf = load_chain(context, pair);
	key = provider_key(X509_get0_pubkey(leaf), place);
	if (key == NULL)
		unusable(pair, "neither ECDSA on P-256 or P-384, nor RSA of "
		    "2048 to 8192 bits, nor Ed25519");
	if (SSL_CTX_use_PrivateKey(context, key) != 1 ||
	    try_key(key, 0) == -1 ||
	    (EVP_PKEY_is_a(key, "RSA") && try_key(key, 1) == -1))
		unusable(pair, "key");
	EVP_PKEY_free(key);
	X509_free(leaf);
	return context;
}

static void
start_library(void)
{
	if (tls_policy_start() == -1 || provider_load() == -1) {
		errno = ENOTSUP;
		fatal("OpenSSL does not start");
	}
}

void
tls_warm(const struct keyring *ring, const char *protocol)
{
	char reason[TLS_REASON_MAX];
	size_t i;

	if (ring->count == 0 || host_count > 0)
		return;
	start_library();
	for (i = 0; i < ring->count && i < KEYRING_MAX; i++) {
		strlcpy(host_names[i], ring->pairs[i].name, HOSTNAME_MAX);
		hosts[i].name = host_names[i];
		hosts[i].context = load_pair(&ring->pairs[i], (uint32_t)i,
		    protocol);
	}
	if (tls_rehearse(tls_context_new(protocol)) == -1) {
		tls_reason(reason, "no reason");
		errno = ENOTSUP;
		fatal("TLS does not work here: %s", reason);
	}
	host_count = i;
	ERR_clear_error();
}

int
tls_is_ready(void)
{
	return host_count > 0;
}

SSL *
tls_context_session(void)
{
	return SSL_new(hosts[0].context);
}
