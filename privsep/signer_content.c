/*
 * signer_content: what the signer's keys will sign.
 *
 * Runs in the signer, as key-user; pure.  A worker that was taken over asks
 * for whatever it likes: another server's or a client's proof, a certificate,
 * a token, a bare hash.  It gets a signature only on what a client can take
 * for nothing but this server's part in one live handshake.
 */
#include <string.h>

#include "signer_content.h"
#include "signer_gate.h"

/* RFC 8446, 4.4.3: 64 spaces, the context, a zero octet, the hash. */
#define PAD_LEN		64
static const char context[] = "TLS 1.3, server CertificateVerify";
#define CONTEXT_LEN	sizeof(context)		/* with its zero octet */
#define FIXED_LEN	(PAD_LEN + CONTEXT_LEN)

/* RFC 5246, 7.4.3 and RFC 8422, 5.4: both randoms, then the parameters. */
#define RANDOMS_LEN	64
#define CURVE_TYPE	(RANDOMS_LEN)
#define CURVE		(CURVE_TYPE + 1)
#define POINT_LEN	(CURVE + 2)
#define POINT		(POINT_LEN + 1)
#define NAMED_CURVE	3
#define UNCOMPRESSED	4

#define IS(kind)	(1U << (kind))
#define EC		(IS(KEY_P256) | IS(KEY_P384))
#define TLS12		0x01U
#define TLS13		0x02U

/* Which kinds of key sign by which scheme in which version. */
static const struct {
	uint32_t	scheme;
	unsigned	kinds;
	unsigned	versions;
} schemes[] = {
	{ SIGN_RSA_PSS_SHA256, IS(KEY_RSA), TLS12 | TLS13 },
	{ SIGN_RSA_PSS_SHA384, IS(KEY_RSA), TLS12 | TLS13 },
	{ SIGN_RSA_PSS_SHA512, IS(KEY_RSA), TLS12 | TLS13 },
	{ SIGN_RSA_PKCS1_SHA256, IS(KEY_RSA), TLS12 },
	{ SIGN_RSA_PKCS1_SHA384, IS(KEY_RSA), TLS12 },
	{ SIGN_RSA_PKCS1_SHA512, IS(KEY_RSA), TLS12 },
	/* TLS 1.3 ties the curve to the hash (RFC 8446, 4.2.3), 1.2 does not */
	{ SIGN_ECDSA_SHA256, IS(KEY_P256), TLS13 },
	{ SIGN_ECDSA_SHA384, IS(KEY_P384), TLS13 },
	{ SIGN_ECDSA_SHA256, EC, TLS12 },
	{ SIGN_ECDSA_SHA384, EC, TLS12 },
	{ SIGN_ECDSA_SHA512, EC, TLS12 },
	{ SIGN_ED25519, IS(KEY_ED25519), TLS12 | TLS13 },
};

/* Curves of an ephemeral key, and the length of a point on each. */
static const struct {
	unsigned	id;		/* RFC 8422, 5.1.1 */
	size_t		point_len;
	int		has_form;	/* a first octet that tells the form */
} curves[] = {
	{ 23, 65, 1 },		/* secp256r1 */
	{ 24, 97, 1 },		/* secp384r1 */
	{ 25, 133, 1 },		/* secp521r1 */
	{ 29, 32, 0 },		/* x25519 */
	{ 30, 56, 0 },		/* x448 */
};

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

static int
is_certificate_verify(const uint8_t *content, size_t len)
{
	size_t i;

	/* The hash is that of the cipher suite: SHA-256 or SHA-384. */
	if (len != FIXED_LEN + 32 && len != FIXED_LEN + 48)
		return 0;
	for (i = 0; i < PAD_LEN; i++)
		if (content[i] != ' ')
			return 0;
	return memcmp(content + PAD_LEN, context, CONTEXT_LEN) == 0;
}

static int
is_key_exchange(const uint8_t *content, size_t len)
{
	unsigned curve;
	size_t i;

	if (len <= POINT || content[CURVE_TYPE] != NAMED_CURVE)
		return 0;
	curve = (unsigned)content[CURVE] << 8 | content[CURVE + 1];
	for (i = 0; i < COUNT(curves); i++)
		if (curves[i].id == curve)
			return content[POINT_LEN] == curves[i].point_len &&
			    len == POINT + curves[i].point_len &&
			    (!curves[i].has_form ||
			    content[POINT] == UNCOMPRESSED);
	return 0;
}

int
signer_content_is_legal(enum key_kind kind, uint32_t scheme,
    const uint8_t *content, size_t len)
{
	unsigned version;
	size_t i;

	if (is_certificate_verify(content, len))
		version = TLS13;
	else if (is_key_exchange(content, len))
		version = TLS12;
	else
		return 0;
	for (i = 0; i < COUNT(schemes); i++)
		if (schemes[i].scheme == scheme &&
		    (schemes[i].kinds & IS(kind)) != 0 &&
		    (schemes[i].versions & version) != 0)
			return 1;
	return 0;
}
