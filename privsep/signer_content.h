/*
 * signer_content: is this what a TLS server signs in a handshake, and nothing
 * else?  Pure.
 */
#ifndef PRIVSEP_SIGNER_CONTENT_H
#define PRIVSEP_SIGNER_CONTENT_H

#include <stddef.h>
#include <stdint.h>

enum key_kind {
	KEY_RSA = 1,
	KEY_P256,
	KEY_P384,
	KEY_ED25519
};

/*
 * May a key of this kind sign this content by this scheme (signer_gate.h)?
 * Only if the content is, to the octet, the covered content of a TLS 1.3
 * server's CertificateVerify (RFC 8446, 4.4.3) or the signed parameters of a
 * TLS 1.2 ServerKeyExchange with a named curve (RFC 8422, 5.4), and the scheme
 * is one that this version of TLS has for this kind.
 */
int	signer_content_is_legal(enum key_kind, uint32_t scheme,
	    const uint8_t *content, size_t len);

#endif
