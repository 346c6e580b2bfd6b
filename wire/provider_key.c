/*
 * provider_key: key objects of the provider: a public key, and the place of
 * its private half in the keyring.
 *
 * Runs in the spawner, as worker-user, when certificates are loaded, and in
 * the worker, confined, which asks for sizes and names only.  Touches nothing
 * but memory; there is no private key here, and no export of any.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>

#include "provider.h"

#define ED25519_OCTETS	32

static const struct group {
	const char	*name;
	int		 bits;
	int		 security_bits;
	int		 max_size;	/* of ECDSA's two numbers in DER */
	size_t		 point_len;	/* uncompressed */
} groups[] = {
	{ "prime256v1", 256, 128, 72, 65 },
	{ "secp384r1", 384, 192, 104, 97 },
};

#define GROUPS	(sizeof(groups) / sizeof(groups[0]))

static void *
key_new(enum provider_kind kind)
{
	struct provider_key *key = calloc(1, sizeof(*key));

	if (key != NULL)
		key->kind = kind;
	return key;
}

static void *
key_new_ec(void *ctx)
{
	(void)ctx;
	return key_new(PROVIDER_EC);
}

static void *
key_new_rsa(void *ctx)
{
	(void)ctx;
	return key_new(PROVIDER_RSA);
}

static void *
key_new_ed25519(void *ctx)
{
	(void)ctx;
	return key_new(PROVIDER_ED25519);
}

static void
key_free(void *data)
{
	free(data);
}

static int
key_has(const void *data, int selection)
{
	const struct provider_key *key = data;

	if (key == NULL)
		return 0;
	if ((selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 &&
	    key->public_len == 0)
		return 0;
	return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 ||
	    key->has_place;
}

/* Asked with a certificate's key, which came in through key_import(). */
static int
key_match(const void *a, const void *b, int selection)
{
	const struct provider_key *x = a, *y = b;

	(void)selection;
	return x->kind == y->kind && x->group == y->group &&
	    x->public_len > 0 && x->public_len == y->public_len &&
	    memcmp(x->public, y->public, x->public_len) == 0;
}

/* The octets of one parameter behind those that are there; 1, or 0. */
static int
add_octets(struct provider_key *key, const OSSL_PARAM params[],
    const char *name)
{
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, name);
	void *at = key->public + key->public_len;
	size_t room = sizeof(key->public) - key->public_len, len;

	if (p == NULL ||
	    OSSL_PARAM_get_octet_string(p, &at, room, &len) != 1)
		return 0;
	key->public_len += len;
	return 1;
}

static int
import_ec(struct provider_key *key, const OSSL_PARAM params[])
{
	const OSSL_PARAM *p;
	const char *name;
	size_t i;

	p = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_GROUP_NAME);
	if (p == NULL || OSSL_PARAM_get_utf8_string_ptr(p, &name) != 1)
		return 0;
	for (i = 0; i < GROUPS; i++)
		if (strcmp(name, groups[i].name) == 0)
			break;
	if (i == GROUPS)
		return 0;
	key->group = groups[i].name;
	key->bits = groups[i].bits;
	key->security_bits = groups[i].security_bits;
	key->max_size = groups[i].max_size;
	/* A compressed point is of no use: no client takes it (RFC 8422). */
	return add_octets(key, params, OSSL_PKEY_PARAM_PUB_KEY) &&
	    key->public_len == groups[i].point_len;
}

/* One of RSA's numbers, with as many octets as it needs. */
static int
add_number(struct provider_key *key, const OSSL_PARAM params[],
    const char *name, int *bits)
{
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, name);
	size_t room = sizeof(key->public) - key->public_len;
	BIGNUM *n = NULL;
	int ok = 0;

	if (p != NULL && OSSL_PARAM_get_BN(p, &n) == 1 &&
	    (size_t)BN_num_bytes(n) <= room) {
		*bits = BN_num_bits(n);
		key->public_len += (size_t)BN_bn2bin(n,
		    key->public + key->public_len);
		ok = 1;
	}
	BN_free(n);
	return ok;
}

static int
import_rsa(struct provider_key *key, const OSSL_PARAM params[])
{
	int exponent_bits;

	if (!add_number(key, params, OSSL_PKEY_PARAM_RSA_N, &key->bits) ||
	    key->bits < 2048 || key->bits > PROVIDER_RSA_MAX * 8 ||
	    !add_number(key, params, OSSL_PKEY_PARAM_RSA_E, &exponent_bits))
		return 0;
	key->security_bits = BN_security_bits(key->bits, -1);
	key->max_size = (key->bits + 7) / 8;
	return 1;
}

static int
import_ed25519(struct provider_key *key, const OSSL_PARAM params[])
{
	key->bits = 256;
	key->security_bits = 128;
	key->max_size = 64;
	return add_octets(key, params, OSSL_PKEY_PARAM_PUB_KEY) &&
	    key->public_len == ED25519_OCTETS;
}

/* Both our own keys, with a place, and others' that are to be compared. */
static int
key_import(void *data, int selection, const OSSL_PARAM params[])
{
	static int (*const import[])(struct provider_key *,
	    const OSSL_PARAM []) = {
		[PROVIDER_EC] = import_ec,
		[PROVIDER_RSA] = import_rsa,
		[PROVIDER_ED25519] = import_ed25519,
	};
	struct provider_key *key = data;
	const OSSL_PARAM *p;

	if ((selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) == 0 ||
	    key->public_len != 0)
		return 0;
	p = OSSL_PARAM_locate_const(params, PROVIDER_PARAM_PLACE);
	if (p != NULL) {
		if (OSSL_PARAM_get_uint32(p, &key->place) != 1)
			return 0;
		key->has_place = 1;
	}
	return import[key->kind](key, params);
}

static const OSSL_PARAM *
key_import_types(int selection)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_uint32(PROVIDER_PARAM_PLACE, NULL),
		OSSL_PARAM_END
	};

	return (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 ? types : NULL;
}

static int
answer_int(OSSL_PARAM params[], const char *name, int value)
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

	return p == NULL || OSSL_PARAM_set_int(p, value);
}

static int
answer_text(OSSL_PARAM params[], const char *name, const char *value)
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

	return p == NULL || OSSL_PARAM_set_utf8_string(p, value);
}

/*
 * Without the group there is no ECDSA in TLS 1.3, without max-size no PSS.
 * Ed25519 has no digest of its own to choose, which "" says.
 */
static int
key_get_params(void *data, OSSL_PARAM params[])
{
	const struct provider_key *key = data;

	if (!answer_int(params, OSSL_PKEY_PARAM_BITS, key->bits) ||
	    !answer_int(params, OSSL_PKEY_PARAM_SECURITY_BITS,
	    key->security_bits) ||
	    !answer_int(params, OSSL_PKEY_PARAM_MAX_SIZE, key->max_size))
		return 0;
	if (key->group != NULL &&
	    !answer_text(params, OSSL_PKEY_PARAM_GROUP_NAME, key->group))
		return 0;
	if (key->kind == PROVIDER_ED25519)
		return answer_text(params, OSSL_PKEY_PARAM_MANDATORY_DIGEST,
		    "");
	return answer_text(params, OSSL_PKEY_PARAM_DEFAULT_DIGEST, "SHA256");
}

static const OSSL_PARAM *
key_gettable(void *ctx)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL,
		    0),
		OSSL_PARAM_END
	};

	(void)ctx;
	return types;
}

/* What signs with an EC key is not called EC. */
static const char *
operation_ec(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

static const char *
operation_rsa(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "RSA" : NULL;
}

static const char *
operation_ed25519(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ED25519" : NULL;
}

#define KEY_FUNCTIONS(kind) {						\
	{ OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))key_new_##kind },	\
	{ OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))key_free },		\
	{ OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))key_has },		\
	{ OSSL_FUNC_KEYMGMT_MATCH, (void (*)(void))key_match },		\
	{ OSSL_FUNC_KEYMGMT_IMPORT, (void (*)(void))key_import },	\
	{ OSSL_FUNC_KEYMGMT_IMPORT_TYPES,				\
	    (void (*)(void))key_import_types },				\
	{ OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))key_get_params }, \
	{ OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS,				\
	    (void (*)(void))key_gettable },				\
	{ OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME,			\
	    (void (*)(void))operation_##kind },				\
	{ 0, NULL }							\
}

static const OSSL_DISPATCH functions_ec[] = KEY_FUNCTIONS(ec);
static const OSSL_DISPATCH functions_rsa[] = KEY_FUNCTIONS(rsa);
static const OSSL_DISPATCH functions_ed25519[] = KEY_FUNCTIONS(ed25519);

const OSSL_ALGORITHM provider_keymgmt[] = {
	{ "EC:id-ecPublicKey:1.2.840.10045.2.1", PROVIDER_PROPERTY,
	    functions_ec, "EC keys of the signer" },
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROVIDER_PROPERTY,
	    functions_rsa, "RSA keys of the signer" },
	{ "ED25519:1.3.101.112", PROVIDER_PROPERTY,
	    functions_ed25519, "Ed25519 keys of the signer" },
	{ NULL, NULL, NULL, NULL }
};
