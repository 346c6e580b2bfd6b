/*
 * provider: the OpenSSL provider "postern" itself, and who signs for it.
 *
 * Runs in the spawner, as worker-user, when it is loaded, and in the worker,
 * confined, when a handshake needs its one signature.  Touches no file and no
 * private key.
 */
#include <openssl/core_dispatch.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include "provider.h"

static struct {
	tls_sign	 sign;
	void		*arg;
} signer;

void
provider_sign_with(tls_sign sign, void *arg)
{
	signer.sign = sign;
	signer.arg = arg;
}

int
provider_sign(uint32_t place, uint32_t scheme, const uint8_t *content,
    size_t content_len, uint8_t *signature, size_t *len)
{
	size_t room = *len;

	if (signer.sign == NULL)
		return -1;
	if (signer.sign(signer.arg, place, scheme, content, content_len,
	    signature, len) == -1 || *len == 0 || *len > room)
		return -1;
	return 0;
}

static const OSSL_ALGORITHM *
provider_query(void *ctx, int operation, int *no_cache)
{
	(void)ctx;
	*no_cache = 0;
	switch (operation) {
	case OSSL_OP_KEYMGMT:
		return provider_keymgmt;
	case OSSL_OP_SIGNATURE:
		return provider_signature;
	}
	return NULL;
}

static const OSSL_DISPATCH provider_functions[] = {
	{ OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))provider_query },
	{ 0, NULL }
};

static int
provider_init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *from_core,
    const OSSL_DISPATCH **to_core, void **ctx)
{
	(void)core;
	(void)from_core;
	*to_core = provider_functions;
	*ctx = &signer;		/* must not be NULL, is not used */
	return 1;
}

/*
 * An algorithm that is asked for by name alone is to be the default
 * provider's, in whatever order the two were loaded; "?": if it has one.
 */
int
provider_load(void)
{
	if (OSSL_PROVIDER_load(NULL, "default") == NULL ||
	    OSSL_PROVIDER_add_builtin(NULL, PROVIDER_NAME,
	    provider_init) != 1 ||
	    OSSL_PROVIDER_load(NULL, PROVIDER_NAME) == NULL ||
	    EVP_set_default_properties(NULL, "?provider=default") != 1)
		return -1;
	return 0;
}

static const char *
kind_name(const EVP_PKEY *key)
{
	static const char *const names[] = { "EC", "RSA", "ED25519" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (EVP_PKEY_is_a(key, names[i]))
			return names[i];
	return NULL;
}

static EVP_PKEY *
key_from(const char *kind, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx;
	EVP_PKEY *key = NULL;

	ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, PROVIDER_PROPERTY);
	if (ctx == NULL)
		return NULL;
	if (EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

EVP_PKEY *
provider_key(EVP_PKEY *public, uint32_t place)
{
	OSSL_PARAM where[2] = {
		OSSL_PARAM_construct_uint32(PROVIDER_PARAM_PLACE, &place),
		OSSL_PARAM_construct_end(),
	};
	OSSL_PARAM *data = NULL, *all;
	const char *kind = kind_name(public);
	EVP_PKEY *key = NULL;

	if (kind == NULL ||
	    EVP_PKEY_todata(public, EVP_PKEY_PUBLIC_KEY, &data) != 1)
		return NULL;
	all = OSSL_PARAM_merge(data, where);
	if (all != NULL)
		key = key_from(kind, all);
	OSSL_PARAM_free(all);
	OSSL_PARAM_free(data);
	return key;
}
