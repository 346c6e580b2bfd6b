/*
 * signer_keys: parse and check the certificates' private keys, and sign.
 *
 * Runs in the signer, as key-user: loading before it confines itself, signing
 * after.  Touches memory only.  With signer_certificate.c the one place where
 * a private key of Postern is ever parsed or used.
 */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <stdio.h>
#include <syslog.h>

#include "signer_certificate.h"
#include "signer_gate.h"
#include "signer_keys.h"

#define LOCKED_OCTETS	(1 << 20)	/* memory for keys, never swapped */
#define LOCKED_LEAST	32		/* octets of the smallest piece */

static struct {
	struct {
		EVP_PKEY	*key;
		enum key_kind	 kind;
	}		pairs[KEYRING_MAX];
	size_t		count;
	EVP_MD_CTX	*context;	/* of every signature in turn */
} keys;

static const struct scheme {
	uint32_t	 scheme;
	unsigned	 kinds;		/* 1 << enum key_kind */
	const char	*digest;	/* NULL: the scheme has its own */
	int		 padding;	/* of RSA, else 0 */
} schemes[] = {
	{ SIGN_ECDSA_SHA256, 1U << KEY_P256 | 1U << KEY_P384, "SHA256", 0 },
	{ SIGN_ECDSA_SHA384, 1U << KEY_P256 | 1U << KEY_P384, "SHA384", 0 },
	{ SIGN_ECDSA_SHA512, 1U << KEY_P256 | 1U << KEY_P384, "SHA512", 0 },
	{ SIGN_RSA_PSS_SHA256, 1U << KEY_RSA, "SHA256", RSA_PKCS1_PSS_PADDING },
	{ SIGN_RSA_PSS_SHA384, 1U << KEY_RSA, "SHA384", RSA_PKCS1_PSS_PADDING },
	{ SIGN_RSA_PSS_SHA512, 1U << KEY_RSA, "SHA512", RSA_PKCS1_PSS_PADDING },
	{ SIGN_RSA_PKCS1_SHA256, 1U << KEY_RSA, "SHA256", RSA_PKCS1_PADDING },
	{ SIGN_RSA_PKCS1_SHA384, 1U << KEY_RSA, "SHA384", RSA_PKCS1_PADDING },
	{ SIGN_RSA_PKCS1_SHA512, 1U << KEY_RSA, "SHA512", RSA_PKCS1_PADDING },
	{ SIGN_ED25519, 1U << KEY_ED25519, NULL, 0 },
};
#define SCHEMES	(sizeof(schemes) / sizeof(schemes[0]))

static const struct scheme *
find_scheme(uint32_t scheme, enum key_kind kind)
{
	size_t i;

	for (i = 0; i < SCHEMES; i++)
		if (schemes[i].scheme == scheme &&
		    (schemes[i].kinds & 1U << kind) != 0)
			return &schemes[i];
	return NULL;
}

static int
set_padding(EVP_PKEY_CTX *ctx, const struct scheme *s)
{
	if (s->padding == 0)
		return 0;
	if (EVP_PKEY_CTX_set_rsa_padding(ctx, s->padding) <= 0)
		return -1;
	if (s->padding == RSA_PKCS1_PSS_PADDING &&
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) <= 0)
		return -1;
	return 0;
}

static int
sign(EVP_PKEY *key, const struct scheme *s, const uint8_t *content,
    size_t content_len, uint8_t *signature, size_t *len)
{
	EVP_PKEY_CTX *ctx;

	EVP_MD_CTX_reset(keys.context);
	if (EVP_DigestSignInit_ex(keys.context, &ctx, s->digest, NULL, NULL,
	    key, NULL) <= 0 || set_padding(ctx, s) == -1 ||
	    EVP_DigestSign(keys.context, signature, len, content,
	    content_len) <= 0) {
		ERR_clear_error();
		return -1;
	}
	return 0;
}

static int
verify(EVP_PKEY *key, const struct scheme *s, const uint8_t *content,
    size_t content_len, const uint8_t *signature, size_t len)
{
	EVP_PKEY_CTX *ctx;

	EVP_MD_CTX_reset(keys.context);
	if (EVP_DigestVerifyInit_ex(keys.context, &ctx, s->digest, NULL, NULL,
	    key, NULL) <= 0 || set_padding(ctx, s) == -1 ||
	    EVP_DigestVerify(keys.context, signature, len, content,
	    content_len) != 1) {
		ERR_clear_error();
		return -1;
	}
	return 0;
}

/*
 * The proof that the key is the certificate's, whatever either says of
 * itself: a signature of each kind that can be asked for, checked with the
 * certificate.  It also warms what the first client would wait for.
 */
static int
has_proof(EVP_PKEY *key, EVP_PKEY *public, enum key_kind kind)
{
	static const uint8_t content[] = "Postern";
	uint8_t signature[SIGN_SIGNATURE_MAX];
	int is_proved = 0;
	size_t i, len;

	for (i = 0; i < SCHEMES && !is_proved; i++) {
		if ((schemes[i].kinds & 1U << kind) == 0)
			continue;
		/* One will do, and of an RSA key each costs milliseconds. */
		is_proved = 1;
		len = sizeof(signature);
		if (sign(key, &schemes[i], content, sizeof(content), signature,
		    &len) == -1 || verify(public, &schemes[i], content,
		    sizeof(content), signature, len) == -1)
			return 0;
	}
	return 1;
}

static int
load_pair(const struct keyring_pair *pair, time_t now, signer_tell tell)
{
	enum key_kind kind;
	char text[CONFIG_PATH_MAX + 64];
	EVP_PKEY *public, *key;

	public = certificate_check(pair, now, &kind, tell);
	if (public == NULL)
		return -1;
	key = certificate_key(pair, tell);
	if (key != NULL && (EVP_PKEY_eq(key, public) != 1 ||
	    !has_proof(key, public, kind))) {
		snprintf(text, sizeof(text), "not the key of the first "
		    "certificate in %s", pair->chain_file);
		tell(LOG_ERR, pair->key_file, text);
		EVP_PKEY_free(key);
		key = NULL;
	}
	EVP_PKEY_free(public);
	if (key == NULL)
		return -1;
	keys.pairs[keys.count].key = key;
	keys.pairs[keys.count++].kind = kind;
	return 0;
}

void
signer_keys_forget(void)
{
	while (keys.count > 0)
		EVP_PKEY_free(keys.pairs[--keys.count].key);
	EVP_MD_CTX_free(keys.context);
	keys.context = NULL;
}

int
signer_keys_load(const struct keyring *ring, time_t now, signer_tell tell)
{
	size_t i;
	int r = 0;

	signer_keys_forget();
	/*
	 * Nothing is read from files: no openssl.cnf can bring modules in.
	 * Where memory can't be locked, keys are in ordinary memory, which is
	 * no core's and no debugger's either.
	 */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1 ||
	    (keys.context = EVP_MD_CTX_new()) == NULL) {
		tell(LOG_ERR, "libcrypto", "can't be used");
		return -1;
	}
	(void)CRYPTO_secure_malloc_init(LOCKED_OCTETS, LOCKED_LEAST);
	for (i = 0; i < ring->count; i++)
		if (load_pair(&ring->pairs[i], now, tell) == -1)
			r = -1;
	ERR_clear_error();
	return r;
}

size_t
signer_keys_count(void)
{
	return keys.count;
}

enum key_kind
signer_keys_kind(size_t key)
{
	return keys.pairs[key].kind;
}

int
signer_keys_sign(size_t key, uint32_t scheme, const uint8_t *content,
    size_t content_len, uint8_t *signature, size_t *len)
{
	const struct scheme *s;

	if (key >= keys.count)
		return -1;
	s = find_scheme(scheme, keys.pairs[key].kind);
	if (s == NULL)
		return -1;
	return sign(keys.pairs[key].key, s, content, content_len, signature,
	    len);
}
