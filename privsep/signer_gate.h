/*
 * signer_gate: what the signer can be asked, by a worker, once a session.
 *
 * The content to be signed comes whole, never as a hash, so that the signer
 * can see what it is: a TLS 1.3 server's CertificateVerify (RFC 8446, 4.4.3) or
 * a TLS 1.2 ServerKeyExchange of ECDHE (RFC 8422, 5.4; RFC 5246, 7.4.3).
 */
#ifndef PRIVSEP_SIGNER_GATE_H
#define PRIVSEP_SIGNER_GATE_H

#define REQ_SIGN	0x401	/* u32 key: the certificate's place in the
				 *  keyring, u32 scheme, data content
				 *  -> data signature; a request that is not
				 *  granted ends the session instead */
#define REPLY_SIGN	0x8401

#define SIGN_CONTENT_MAX	512	/* octets */
#define SIGN_SIGNATURE_MAX	1024	/* octets: RSA of 8192 bits */

/* SignatureScheme of RFC 8446, 4.2.3: those that are ever asked for. */
enum sign_scheme {
	SIGN_RSA_PKCS1_SHA256 = 0x0401,		/* TLS 1.2 only */
	SIGN_RSA_PKCS1_SHA384 = 0x0501,
	SIGN_RSA_PKCS1_SHA512 = 0x0601,
	SIGN_ECDSA_SHA256 = 0x0403,	/* TLS 1.3: with P-256 only */
	SIGN_ECDSA_SHA384 = 0x0503,	/* TLS 1.3: with P-384 only */
	SIGN_ECDSA_SHA512 = 0x0603,	/* TLS 1.2 only */
	SIGN_RSA_PSS_SHA256 = 0x0804,	/* salt as long as the hash */
	SIGN_RSA_PSS_SHA384 = 0x0805,
	SIGN_RSA_PSS_SHA512 = 0x0806,
	SIGN_ED25519 = 0x0807
};

#endif
