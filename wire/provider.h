/*
 * provider: an OpenSSL 3 provider, "postern", whose private keys are
 * somewhere else.
 *
 * A key object of it holds a public key and the key's place in the keyring.
 * Signing hands the whole content to a function, which asks the signer; there
 * is nothing to export, to decrypt with or to make a key with.  Runs in the
 * spawner (loading) and the worker (signing).
 */
#ifndef WIRE_PROVIDER_H
#define WIRE_PROVIDER_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/core.h>
#include <openssl/evp.h>

#include "tls.h"

#define PROVIDER_NAME		"postern"
#define PROVIDER_PROPERTY	"provider=" PROVIDER_NAME

/* Add it beside "default", once a process.  0, or -1: OpenSSL's queue. */
int	provider_load(void);

/*
 * A key object for the key in this place, of which public is the public half
 * (EC on P-256 or P-384, RSA of 2048 to 8192 bits, Ed25519).  The caller's;
 * NULL for any other kind, or when OpenSSL's queue says why.
 */
EVP_PKEY *provider_key(EVP_PKEY *public, uint32_t place);

/*
 * Who signs for this process, which serves one session; NULL: nobody.  OpenSSL
 * keeps a key per context, not per session, so there is no better place.
 */
void	provider_sign_with(tls_sign, void *arg);

/* --- between the provider's own files --- */

enum provider_kind {
	PROVIDER_EC,
	PROVIDER_RSA,
	PROVIDER_ED25519
};

#define PROVIDER_RSA_MAX	(8192 / 8)	/* octets of a modulus */
#define PROVIDER_PUBLIC_MAX	(PROVIDER_RSA_MAX + 16)

struct provider_key {
	enum provider_kind kind;
	int		 has_place;	/* else it is somebody's public key */
	uint32_t	 place;
	int		 bits;
	int		 security_bits;
	int		 max_size;	/* octets of a signature */
	const char	*group;		/* EC; NULL */
	size_t		 public_len;
	uint8_t		 public[PROVIDER_PUBLIC_MAX]; /* point; or n and e */
};

/* The place in the keyring, as a parameter of EVP_PKEY_fromdata(). */
#define PROVIDER_PARAM_PLACE	"postern-place"

extern const OSSL_ALGORITHM provider_keymgmt[];
extern const OSSL_ALGORITHM provider_signature[];

/* 0 with *len set, or -1; by whom provider_sign_with() said. */
int	provider_sign(uint32_t place, uint32_t scheme, const uint8_t *content,
	    size_t content_len, uint8_t *signature, size_t *len);

#endif
