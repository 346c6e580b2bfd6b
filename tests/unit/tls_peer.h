/*
 * tls_peer: for tests of TLS: keys and certificates made on the spot, a
 * signer that has the keys, and a client of OpenSSL's in a thread.
 */
#ifndef TESTS_TLS_PEER_H
#define TESTS_TLS_PEER_H

#include <sys/socket.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "privsep/keyring.h"
#include "privsep/signer_content.h"
#include "privsep/signer_gate.h"

#define PEER_KEYS	5

enum { PEER_P256, PEER_P384, PEER_RSA, PEER_ED25519, PEER_EXACT };

static const enum key_kind peer_kinds[PEER_KEYS] = {
	KEY_P256, KEY_P384, KEY_RSA, KEY_ED25519, KEY_P256,
};

static struct keyring peer_ring;
static EVP_PKEY *peer_keys[PEER_KEYS];

/* What the signer was asked. */
static struct {
	int		 calls;
	int		 refuses;
	uint32_t	 key;
	uint32_t	 scheme;
	uint8_t		 content[SIGN_CONTENT_MAX];
	size_t		 len;
} peer_asked;

struct client {
	/* what it does */
	int		 fd;
	int		 version;	/* this only; 0: any */
	const char	*sni;
	const char	*alpn;		/* with length octets */
	size_t		 alpn_len;
	const char	*groups;
	const char	*sigalgs;
	const char	*ciphers;
	SSL_SESSION	*resume;
	void		(*after)(struct client *);
	/* what it saw */
	SSL		*ssl;
	int		 is_agreed;
	int		 is_reused;
	int		 chain;		/* certificates */
	char		 subject[64];
	char		 alpn_chosen[16];
	char		 error[80];
	SSL_SESSION	*session;
	size_t		 got;		/* of after() */
	pthread_t	 thread;
};

static inline X509 *
peer_certificate(EVP_PKEY *key, const char *name, EVP_PKEY *by)
{
	X509 *x = X509_new();
	X509_NAME *subject = X509_get_subject_name(x);

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
	    (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, subject);
	X509_set_pubkey(x, key);
	X509_sign(x, by, EVP_PKEY_is_a(by, "ED25519") ||
	    EVP_PKEY_is_a(by, "ED448") ? NULL : EVP_sha256());
	return x;
}

/* name: of the pair; as: of the certificate; with_ca: a second one. */
static inline void
peer_pair(size_t i, EVP_PKEY *key, const char *name, const char *as,
    int with_ca)
{
	struct keyring_pair *pair = &peer_ring.pairs[i];
	X509 *x = peer_certificate(key, as, key);
	BIO *pem = BIO_new(BIO_s_mem());
	char *text;

	peer_keys[i] = key;
	PEM_write_bio_X509(pem, x);
	if (with_ca)
		PEM_write_bio_X509(pem, x);
	pair->chain_len = (size_t)BIO_get_mem_data(pem, &text);
	pair->chain = malloc(pair->chain_len);
	memcpy((void *)pair->chain, text, pair->chain_len);
	strlcpy(pair->name, name, sizeof(pair->name));
	strlcpy(pair->chain_file, as, sizeof(pair->chain_file));
	BIO_free(pem);
	X509_free(x);
	peer_ring.count = i + 1;
}

static inline void
peer_make_ring(void)
{
	peer_pair(PEER_P256, EVP_EC_gen("P-256"), "", "first", 1);
	peer_pair(PEER_P384, EVP_EC_gen("P-384"), "p384.example", "p384", 0);
	peer_pair(PEER_RSA, EVP_RSA_gen(2048), "*.rsa.example", "rsa", 0);
	peer_pair(PEER_ED25519, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
	    "ed.example", "ed25519", 0);
	peer_pair(PEER_EXACT, EVP_EC_gen("P-256"), "Exact.RSA.example",
	    "exact", 0);
}

static inline void
peer_free_ring(void)
{
	size_t i;

	for (i = 0; i < peer_ring.count; i++) {
		free((void *)peer_ring.pairs[i].chain);
		EVP_PKEY_free(peer_keys[i]);
	}
}

static inline const EVP_MD *
peer_hash(uint32_t scheme)
{
	switch (scheme) {
	case SIGN_ED25519:
		return NULL;
	case SIGN_RSA_PKCS1_SHA384:
	case SIGN_ECDSA_SHA384:
	case SIGN_RSA_PSS_SHA384:
		return EVP_sha384();
	case SIGN_RSA_PKCS1_SHA512:
	case SIGN_ECDSA_SHA512:
	case SIGN_RSA_PSS_SHA512:
		return EVP_sha512();
	}
	return EVP_sha256();
}

/* A tls_sign, as particular as the real signer. */
static inline int
peer_sign(void *arg, uint32_t key, uint32_t scheme, const uint8_t *content,
    size_t content_len, uint8_t *signature, size_t *len)
{
	EVP_MD_CTX *ctx;
	EVP_PKEY_CTX *params;
	int ok;

	(void)arg;
	peer_asked.calls++;
	peer_asked.key = key;
	peer_asked.scheme = scheme;
	peer_asked.len = content_len;
	if (content_len <= sizeof(peer_asked.content))
		memcpy(peer_asked.content, content, content_len);
	if (peer_asked.refuses || key >= PEER_KEYS ||
	    !signer_content_is_legal(peer_kinds[key], scheme, content,
	    content_len))
		return -1;
	ctx = EVP_MD_CTX_new();
	ok = EVP_DigestSignInit(ctx, &params, peer_hash(scheme), NULL,
	    peer_keys[key]) == 1;
	if (ok && scheme >= SIGN_RSA_PSS_SHA256 &&
	    scheme <= SIGN_RSA_PSS_SHA512)
		ok = EVP_PKEY_CTX_set_rsa_padding(params,
		    RSA_PKCS1_PSS_PADDING) == 1 &&
		    EVP_PKEY_CTX_set_rsa_pss_saltlen(params,
		    RSA_PSS_SALTLEN_DIGEST) == 1;
	ok = ok && EVP_DigestSign(ctx, signature, len, content,
	    content_len) == 1;
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -1;
}

static inline SSL *
client_ssl(struct client *c, SSL_CTX *context)
{
	SSL *ssl = SSL_new(context);

	SSL_set_fd(ssl, c->fd);
	SSL_set_security_level(ssl, 0);
	if (c->version != 0) {
		SSL_set_min_proto_version(ssl, c->version);
		SSL_set_max_proto_version(ssl, c->version);
	}
	if (c->sni != NULL)
		SSL_set_tlsext_host_name(ssl, c->sni);
	if (c->alpn != NULL)
		SSL_set_alpn_protos(ssl, (const unsigned char *)c->alpn,
		    (unsigned int)c->alpn_len);
	if (c->groups != NULL)
		SSL_set1_groups_list(ssl, c->groups);
	if (c->sigalgs != NULL)
		SSL_set1_sigalgs_list(ssl, c->sigalgs);
	if (c->ciphers != NULL)
		SSL_set_cipher_list(ssl, c->ciphers);
	if (c->resume != NULL)
		SSL_set_session(ssl, c->resume);
	return ssl;
}

static inline void
client_look(struct client *c)
{
	const unsigned char *alpn;
	unsigned int alpn_len;
	X509 *x = SSL_get1_peer_certificate(c->ssl);

	c->is_agreed = 1;
	c->is_reused = SSL_session_reused(c->ssl);
	c->chain = sk_X509_num(SSL_get_peer_cert_chain(c->ssl));
	X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName,
	    c->subject, sizeof(c->subject));
	X509_free(x);
	SSL_get0_alpn_selected(c->ssl, &alpn, &alpn_len);
	if (alpn_len > 0 && alpn_len < sizeof(c->alpn_chosen))
		memcpy(c->alpn_chosen, alpn, alpn_len);
}

/* SIGPIPE is for the client blocked, so that the server's would be seen. */
static inline void *
client_run(void *arg)
{
	struct client *c = arg;
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	const char *reason;
	sigset_t pipe_only;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
	c->ssl = client_ssl(c, context);
	ERR_clear_error();
	if (SSL_connect(c->ssl) == 1) {
		client_look(c);
		if (c->after != NULL)
			c->after(c);
		c->session = SSL_get1_session(c->ssl);
	} else {
		reason = ERR_reason_error_string(ERR_peek_error());
		strlcpy(c->error, reason != NULL ? reason : "closed",
		    sizeof(c->error));
	}
	SSL_free(c->ssl);
	SSL_CTX_free(context);
	close(c->fd);
	return NULL;
}

#endif
