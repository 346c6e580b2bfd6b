/*
 * tls_rehearse: a handshake of each version with ourselves.
 *
 * Runs in the spawner, as worker-user, and in the relay's parent, as
 * relay-user, before either encloses itself; touches memory only.  Its key is
 * made here and thrown away, and is nobody's.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tls_client.h"
#include "tls_context.h"

#define STEPS	16	/* more than any handshake takes */

/* The least that a certificate can be. */
static X509 *
make_certificate(EVP_PKEY *key)
{
	X509 *x = X509_new();

	if (x == NULL)
		return NULL;
	if (X509_set_version(x, X509_VERSION_3) == 1 &&
	    ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(x), 0) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(x), 3600) != NULL &&
	    X509_set_pubkey(x, key) == 1 &&
	    X509_sign(x, key, EVP_sha256()) > 0)
		return x;
	X509_free(x);
	return NULL;
}

static int
give_certificate(SSL_CTX *context)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = key != NULL ? make_certificate(key) : NULL;
	int ok;

	ok = x != NULL && SSL_CTX_use_certificate(context, x) == 1 &&
	    SSL_CTX_use_PrivateKey(context, key) == 1;
	X509_free(x);
	EVP_PKEY_free(key);
	return ok ? 0 : -1;
}

static int
waits(SSL *ssl, int r)
{
	return r == 1 || SSL_get_error(ssl, r) == SSL_ERROR_WANT_READ;
}

/* Both sides in turn, as far as each comes. */
static int
shake(SSL *server, SSL *client)
{
	int step, a, b;

	for (step = 0; step < STEPS; step++) {
		a = SSL_do_handshake(client);
		b = SSL_do_handshake(server);
		if (a == 1 && b == 1)
			return 0;
		if (!waits(client, a) || !waits(server, b))
			return -1;
	}
	return -1;
}

/* A ticket may come first, of which one of ours is told on its own. */
static int
pass(SSL *from, SSL *to)
{
	char c = 'x';
	int step, r = -1;

	if (SSL_write(from, &c, 1) != 1)
		return -1;
	for (step = 0; step < STEPS && r != 1; step++) {
		r = SSL_read(to, &c, 1);
		if (!waits(to, r))
			return -1;
	}
	return r == 1 ? 0 : -1;
}

static int
rehearse(SSL *server, SSL *client, int version, const char *group)
{
	BIO *a, *b;

	if (BIO_new_bio_pair(&a, 0, &b, 0) != 1)
		return -1;
	SSL_set_bio(server, a, a);
	SSL_set_bio(client, b, b);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	if (SSL_set_min_proto_version(client, version) != 1 ||
	    SSL_set_max_proto_version(client, version) != 1 ||
	    (group != NULL && SSL_set1_groups_list(client, group) != 1) ||
	    shake(server, client) == -1 ||
	    pass(client, server) == -1 || pass(server, client) == -1)
		return -1;
	(void)SSL_shutdown(server);
	return 0;
}

static int
rehearse_version(SSL_CTX *server_context, SSL_CTX *client_context, int version,
    const char *group)
{
	SSL *server = SSL_new(server_context);
	SSL *client = SSL_new(client_context);
	int r = -1;

	if (server != NULL && client != NULL)
		r = rehearse(server, client, version, group);
	SSL_free(server);
	SSL_free(client);
	return r;
}

/* Without a group the client offers what the library likes best. */
static int
rehearse_all(SSL_CTX *server, SSL_CTX *client)
{
	return server != NULL && client != NULL &&
	    give_certificate(server) == 0 &&
	    rehearse_version(server, client, TLS1_3_VERSION, NULL) == 0 &&
	    rehearse_version(server, client, TLS1_3_VERSION, "X25519") == 0 &&
	    rehearse_version(server, client, TLS1_2_VERSION, "P-256") == 0 ?
	    0 : -1;
}

int
tls_rehearse(SSL_CTX *ours)
{
	SSL_CTX *theirs = SSL_CTX_new(TLS_client_method());
	int r = rehearse_all(ours, theirs);

	SSL_CTX_free(theirs);
	SSL_CTX_free(ours);
	return r;
}

int
tls_rehearse_client(SSL_CTX *ours)
{
	SSL_CTX *theirs = SSL_CTX_new(TLS_server_method());
	int r = rehearse_all(theirs, ours);

	SSL_CTX_free(theirs);
	return r;
}
