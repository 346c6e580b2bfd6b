/*
 * signer_certificate: what a pair of PEM files says, and whether it will do.
 * Internal to signer_keys.c.
 */
#ifndef PRIVSEP_SIGNER_CERTIFICATE_H
#define PRIVSEP_SIGNER_CERTIFICATE_H

#include <openssl/evp.h>

#include "signer_keys.h"

/*
 * The public key and its kind of a chain's first certificate, when the whole
 * chain can be parsed and we can sign for it; the caller frees it.  NULL, and
 * told why, otherwise.  Dates are told of and change nothing.
 */
EVP_PKEY *certificate_check(const struct keyring_pair *, time_t now,
	    enum key_kind *, signer_tell);
/* The private key, or NULL and told why. */
EVP_PKEY *certificate_key(const struct keyring_pair *, signer_tell);

#endif
