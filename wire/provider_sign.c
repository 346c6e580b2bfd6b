/*
 * provider_sign: the provider's signatures: whole contents that go out to be
 * signed, under the code point that TLS has for key, padding and digest.
 *
 * Runs in the worker, as worker-user, confined; touches what provider_sign()
 * leads to, the session's socket to the signer, and keeps no content.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include "../privsep/signer_gate.h"
#include "provider.h"

/*
 * One signature to come.  OpenSSL has one made and begun only to learn
 * whether key and digest go together, and asks for the size first: nothing is
 * to be seen of that outside.
 */
struct signing {
	const struct provider_key *key;	/* the EVP_PKEY_CTX holds it */
	int		 hash;		/* bits; 0: Ed25519, or none yet */
	int		 is_pss;
};

static const struct scheme {
	enum provider_kind kind;
	int		 is_pss;
	int		 hash;
	uint32_t	 code;
} schemes[] = {
	{ PROVIDER_EC, 0, 256, SIGN_ECDSA_SHA256 },
	{ PROVIDER_EC, 0, 384, SIGN_ECDSA_SHA384 },
	{ PROVIDER_EC, 0, 512, SIGN_ECDSA_SHA512 },
	{ PROVIDER_RSA, 0, 256, SIGN_RSA_PKCS1_SHA256 },
	{ PROVIDER_RSA, 0, 384, SIGN_RSA_PKCS1_SHA384 },
	{ PROVIDER_RSA, 0, 512, SIGN_RSA_PKCS1_SHA512 },
	{ PROVIDER_RSA, 1, 256, SIGN_RSA_PSS_SHA256 },
	{ PROVIDER_RSA, 1, 384, SIGN_RSA_PSS_SHA384 },
	{ PROVIDER_RSA, 1, 512, SIGN_RSA_PSS_SHA512 },
	{ PROVIDER_ED25519, 0, 0, SIGN_ED25519 },
};

/* The code point, or 0. */
static uint32_t
find_scheme(const struct signing *s)
{
	size_t i;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (schemes[i].kind == s->key->kind &&
		    schemes[i].is_pss == s->is_pss &&
		    schemes[i].hash == s->hash)
			return schemes[i].code;
	return 0;
}

/* Bits of the digest of that name, either way of writing it; 0: no such. */
static int
find_hash(const char *name)
{
	static const struct {
		const char	*name;
		int		 bits;
	} hashes[] = {
		{ "SHA256", 256 }, { "SHA2-256", 256 },
		{ "SHA384", 384 }, { "SHA2-384", 384 },
		{ "SHA512", 512 }, { "SHA2-512", 512 },
	};
	size_t i;

	for (i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
		if (strcasecmp(name, hashes[i].name) == 0)
			return hashes[i].bits;
	return 0;
}

static void *
sign_new(void *ctx, const char *properties)
{
	(void)ctx;
	(void)properties;
	return calloc(1, sizeof(struct signing));
}

static void
sign_free(void *data)
{
	free(data);
}

static void *
sign_dup(void *data)
{
	struct signing *copy = malloc(sizeof(*copy));

	if (copy != NULL)
		memcpy(copy, data, sizeof(*copy));
	return copy;
}

static int
set_hash(struct signing *s, const char *name)
{
	int bits = 0;

	if (name != NULL && *name != '\0') {
		bits = find_hash(name);
		if (bits == 0)
			return 0;
	}
	if (s->key != NULL && (s->key->kind == PROVIDER_ED25519) != (bits == 0))
		return 0;
	s->hash = bits;
	return 1;
}

/* The padding comes as a number or as a word, after the way it was set. */
static int
set_padding(struct signing *s, const OSSL_PARAM *p)
{
	const char *word;
	int number;

	if (s->key == NULL || s->key->kind != PROVIDER_RSA)
		return 0;
	if (p->data_type == OSSL_PARAM_UTF8_STRING) {
		if (OSSL_PARAM_get_utf8_string_ptr(p, &word) != 1)
			return 0;
		if (strcmp(word, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0)
			number = RSA_PKCS1_PSS_PADDING;
		else if (strcmp(word, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) == 0)
			number = RSA_PKCS1_PADDING;
		else
			return 0;
	} else if (OSSL_PARAM_get_int(p, &number) != 1)
		return 0;
	if (number != RSA_PKCS1_PSS_PADDING && number != RSA_PKCS1_PADDING)
		return 0;
	s->is_pss = number == RSA_PKCS1_PSS_PADDING;
	return 1;
}

/* TLS knows a salt as long as the digest and no other (RFC 8446, 4.2.3). */
static int
is_salt_of_digest(const struct signing *s, const OSSL_PARAM *p)
{
	const char *word;
	int number;

	if (p->data_type == OSSL_PARAM_UTF8_STRING) {
		if (OSSL_PARAM_get_utf8_string_ptr(p, &word) != 1)
			return 0;
		return strcmp(word, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) == 0;
	}
	if (OSSL_PARAM_get_int(p, &number) != 1)
		return 0;
	return number == RSA_PSS_SALTLEN_DIGEST ||
	    (s->hash != 0 && number == s->hash / 8);
}

/* What is asked for and is not what the scheme means is refused. */
static int
sign_set_params(void *data, const OSSL_PARAM params[])
{
	struct signing *s = data;
	const OSSL_PARAM *p;
	const char *word;

	if (params == NULL)
		return 1;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST);
	if (p != NULL && (OSSL_PARAM_get_utf8_string_ptr(p, &word) != 1 ||
	    !set_hash(s, word)))
		return 0;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (p != NULL && !set_padding(s, p))
		return 0;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
	if (p != NULL && !is_salt_of_digest(s, p))
		return 0;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST);
	return p == NULL ||
	    (OSSL_PARAM_get_utf8_string_ptr(p, &word) == 1 &&
	    find_hash(word) == s->hash);
}

static const OSSL_PARAM *
sign_settable(void *data, void *ctx)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL,
		    0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL,
		    0),
		OSSL_PARAM_END
	};

	(void)data;
	(void)ctx;
	return types;
}

/* Comes more than once; a second time without a key it goes on with its own. */
static int
sign_init(void *data, const char *hash, void *key, const OSSL_PARAM params[])
{
	struct signing *s = data;

	if (key != NULL) {
		s->key = key;
		s->is_pss = 0;
	}
	if (s->key == NULL || !s->key->has_place)
		return 0;
	if ((key != NULL || hash != NULL) && !set_hash(s, hash))
		return 0;
	return sign_set_params(s, params);
}

static int
sign_content(void *data, unsigned char *signature, size_t *len, size_t room,
    const unsigned char *content, size_t content_len)
{
	const struct signing *s = data;
	uint32_t scheme;

	if (s->key == NULL || (scheme = find_scheme(s)) == 0)
		return 0;
	if (signature == NULL) {
		*len = (size_t)s->key->max_size;
		return 1;
	}
	if (content_len > SIGN_CONTENT_MAX)
		return 0;
	*len = room;
	return provider_sign(s->key->place, scheme, content, content_len,
	    signature, len) == 0;
}

/* One call a signature, as libssl makes it: no update and final. */
static const OSSL_DISPATCH functions[] = {
	{ OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))sign_new },
	{ OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))sign_free },
	{ OSSL_FUNC_SIGNATURE_DUPCTX, (void (*)(void))sign_dup },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (void (*)(void))sign_init },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (void (*)(void))sign_content },
	{ OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS,
	    (void (*)(void))sign_set_params },
	{ OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS,
	    (void (*)(void))sign_settable },
	{ 0, NULL }
};

const OSSL_ALGORITHM provider_signature[] = {
	{ "ECDSA", PROVIDER_PROPERTY, functions, "ECDSA by the signer" },
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROVIDER_PROPERTY,
	    functions, "RSA by the signer" },
	{ "ED25519:1.3.101.112", PROVIDER_PROPERTY, functions,
	    "Ed25519 by the signer" },
	{ NULL, NULL, NULL, NULL }
};
