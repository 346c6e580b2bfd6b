/* LINK: privsep/signer_content */
/*
 * test_signer_content: what a private key signs, and everything else that
 * somebody might like it to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "privsep/signer_content.h"
#include "privsep/signer_gate.h"

#define ROOM	(SIGN_CONTENT_MAX + 64)

struct content {
	uint8_t	octets[ROOM];
	size_t	len;
};

static const enum key_kind kinds[] = {
	KEY_RSA, KEY_P256, KEY_P384, KEY_ED25519
};

static const uint32_t schemes[] = {
	SIGN_RSA_PKCS1_SHA256, SIGN_RSA_PKCS1_SHA384, SIGN_RSA_PKCS1_SHA512,
	SIGN_ECDSA_SHA256, SIGN_ECDSA_SHA384, SIGN_ECDSA_SHA512,
	SIGN_RSA_PSS_SHA256, SIGN_RSA_PSS_SHA384, SIGN_RSA_PSS_SHA512,
	SIGN_ED25519
};

static const struct {
	unsigned	id;
	size_t		len;
} curves[] = {
	{ 23, 65 }, { 24, 97 }, { 25, 133 }, { 29, 32 }, { 30, 56 }
};

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/* Would any key sign this, by any scheme that there is or could be? */
static int
is_signed_by_any(const struct content *c)
{
	uint32_t scheme;
	size_t i;

	for (i = 0; i < COUNT(kinds); i++)
		for (scheme = 0; scheme <= 0xa00; scheme++)
			if (signer_content_is_legal(kinds[i], scheme,
			    c->octets, c->len))
				return 1;
	return 0;
}

static int
is_signed(const struct content *c)
{
	return signer_content_is_legal(KEY_ED25519, SIGN_ED25519, c->octets,
	    c->len);
}

static void
add(struct content *c, const void *octets, size_t n)
{
	assert_true(c->len + n <= sizeof(c->octets));
	memcpy(c->octets + c->len, octets, n);
	c->len += n;
}

static void
add_many(struct content *c, int octet, size_t n)
{
	assert_true(c->len + n <= sizeof(c->octets));
	memset(c->octets + c->len, octet, n);
	c->len += n;
}

static void
add_octet(struct content *c, size_t octet)
{
	add_many(c, (int)octet, 1);
}

static struct content
verify_with(const char *context, size_t hash_len)
{
	struct content c = { .len = 0 };

	add_many(&c, ' ', 64);
	add(&c, context, strlen(context) + 1);
	add_many(&c, 0xa5, hash_len);
	return c;
}

static struct content
verify(size_t hash_len)
{
	return verify_with("TLS 1.3, server CertificateVerify", hash_len);
}

static struct content
exchange(size_t curve)
{
	struct content c = { .len = 0 };
	size_t i;

	for (i = 0; i < 64; i++)
		add_octet(&c, i * 7 & 255);
	add_octet(&c, 3);
	add_octet(&c, 0);
	add_octet(&c, curves[curve].id);
	add_octet(&c, curves[curve].len);
	add_octet(&c, 4);
	add_many(&c, 0x5a, curves[curve].len - 1);
	return c;
}

/* The whole table, said once more in another way. */
static int
is_expected(enum key_kind kind, uint32_t scheme, int is_13)
{
	uint32_t low = scheme & 255, high = scheme >> 8;

	if (scheme == SIGN_ED25519)
		return kind == KEY_ED25519;
	if (high == 8)
		return kind == KEY_RSA;
	if (low == 1)
		return kind == KEY_RSA && !is_13;
	if (!is_13)
		return kind == KEY_P256 || kind == KEY_P384;
	return (kind == KEY_P256 && scheme == SIGN_ECDSA_SHA256) ||
	    (kind == KEY_P384 && scheme == SIGN_ECDSA_SHA384);
}

static void
walk_schemes(const struct content *c, int is_13)
{
	size_t k, s;

	for (k = 0; k < COUNT(kinds); k++)
		for (s = 0; s < COUNT(schemes); s++)
			assert_int_equal(signer_content_is_legal(kinds[k],
			    schemes[s], c->octets, c->len),
			    is_expected(kinds[k], schemes[s], is_13));
}

static void
test_schemes(void **state)
{
	struct content c;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(curves); i++) {
		c = exchange(i);
		walk_schemes(&c, 0);
	}
	c = verify(32);
	walk_schemes(&c, 1);
	c = verify(48);
	walk_schemes(&c, 1);
}

/* SHA-1, MD5, DSA, the PSS keys' own schemes, brainpool, Ed448, GOST... */
static void
test_other_schemes(void **state)
{
	struct content a = verify(32), b = exchange(0);
	uint32_t scheme;
	size_t i, k;
	int is_ours;

	(void)state;
	for (scheme = 0; scheme <= 0x10000; scheme++) {
		for (is_ours = 0, i = 0; i < COUNT(schemes); i++)
			is_ours |= schemes[i] == scheme;
		for (k = 0; !is_ours && k < COUNT(kinds); k++) {
			assert_false(signer_content_is_legal(kinds[k], scheme,
			    a.octets, a.len));
			assert_false(signer_content_is_legal(kinds[k], scheme,
			    b.octets, b.len));
		}
	}
}

/* Every length but the right ones, shorter and longer. */
static void
test_lengths(void **state)
{
	struct content c;
	size_t i, n;

	(void)state;
	for (n = 0; n <= 128; n++) {
		c = verify(n);
		assert_int_equal(is_signed(&c), n == 32 || n == 48);
	}
	c = verify(48);
	for (n = 0; n < 64 + 34 + 48; n++) {
		c.len = n;
		assert_int_equal(is_signed(&c), n == 64 + 34 + 32);
	}
	for (i = 0; i < COUNT(curves); i++) {
		c = exchange(i);
		for (n = 0; n <= 300; n++) {
			c.len = n;
			assert_int_equal(is_signed(&c),
			    n == 64 + 4 + curves[i].len);
		}
	}
}

/* Each octet of the fixed part in each of its 255 wrong values. */
static void
test_fixed_octets_13(void **state)
{
	struct content good, c;
	size_t at, hash;
	unsigned flip;

	(void)state;
	for (hash = 32; hash <= 48; hash += 16) {
		good = verify(hash);
		for (at = 0; at < good.len; at++)
			for (flip = 1; flip < 256; flip++) {
				c = good;
				c.octets[at] ^= (uint8_t)flip;
				assert_int_equal(is_signed(&c), at >= 64 + 34);
			}
	}
}

static void
test_fixed_octets_12(void **state)
{
	struct content good, c;
	size_t i, at;
	unsigned flip;
	int is_fixed;

	(void)state;
	for (i = 0; i < COUNT(curves); i++) {
		good = exchange(i);
		for (at = 0; at < good.len; at++)
			for (flip = 1; flip < 256; flip++) {
				c = good;
				c.octets[at] ^= (uint8_t)flip;
				is_fixed = (at >= 64 && at < 68) ||
				    (at == 68 && curves[i].id < 29);
				assert_int_equal(is_signed(&c), !is_fixed);
			}
	}
}

/* Each curve with the length of each other one. */
static void
test_curves_mixed(void **state)
{
	struct content c;
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(curves); i++)
		for (j = 0; j < COUNT(curves); j++) {
			c = exchange(i);
			c.octets[66] = (uint8_t)curves[j].id;
			assert_int_equal(is_signed(&c), i == j);
			c = exchange(i);
			c.octets[67] = (uint8_t)curves[j].len;
			assert_int_equal(is_signed(&c), i == j);
		}
}

/* All 65,536 curves; explicit primes, and what else curve_type can say. */
static void
test_curves_all(void **state)
{
	struct content c;
	unsigned id, legal = 0;

	(void)state;
	for (id = 0; id < 65536; id++) {
		c = exchange(3);
		c.octets[65] = (uint8_t)(id >> 8);
		c.octets[66] = (uint8_t)id;
		legal += is_signed(&c);
	}
	assert_int_equal(legal, 1);
	for (id = 0; id < 256; id++) {
		c = exchange(0);
		c.octets[64] = (uint8_t)id;
		assert_int_equal(is_signed(&c), id == 3);
	}
}

static void
test_other_contexts(void **state)
{
	static const char *const contexts[] = {
		"TLS 1.3, client CertificateVerify",
		"TLS 1.3, server CertificateVerifY",
		"TLS 1.3, Server CertificateVerify",
		"TLS 1.4, server CertificateVerify",
		"DTLS1.3, server CertificateVerify",
		"TLS 1.3, server delegated credentials",
		"TLS 1.3, client delegated credentials",
		"TLS, server delegated credentials",
		"Exported Authenticator",
		"EXPORTER-client authenticator handshake context",
		"HTTP Certificate Verify",
		"SSH-2.0", "",
	};
	struct content c;
	size_t i, hash;

	(void)state;
	for (i = 0; i < COUNT(contexts); i++)
		for (hash = 0; hash <= 64; hash += 16) {
			c = verify_with(contexts[i], hash);
			assert_false(is_signed_by_any(&c));
		}
	/* The padding of a content without the 64 spaces, or with more. */
	c = verify(32);
	memmove(c.octets, c.octets + 1, --c.len);
	assert_false(is_signed_by_any(&c));
	c = verify(32);
	memmove(c.octets + 1, c.octets, c.len++);
	assert_false(is_signed_by_any(&c));
	/* A hash's octets are free, but not its place. */
	c = verify(31);
	add_octet(&c, 0);
	assert_true(is_signed(&c));
	c.octets[64 + 33] = 1;
	assert_false(is_signed_by_any(&c));
}

/* What keys sign elsewhere. */
static void
test_other_things(void **state)
{
	static const uint8_t tbs[] = {
		/* the beginning of a certificate to be signed */
		0x30, 0x82, 0x01, 0x0a, 0xa0, 0x03, 0x02, 0x01, 0x02, 0x02,
		0x10, 0x5f, 0x33, 0x11, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86,
		0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00
	};
	static const char jwt[] = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJyb290In0";
	static const size_t hashes[] = { 16, 20, 28, 32, 36, 48, 64 };
	struct content c;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(hashes); i++) {
		c.len = 0;
		add_many(&c, 0x77, hashes[i]);
		assert_false(is_signed_by_any(&c));
	}
	c.len = 0;
	add(&c, tbs, sizeof(tbs));
	add_many(&c, 0x13, 269 - sizeof(tbs));
	assert_false(is_signed_by_any(&c));
	c.len = 0;
	add(&c, jwt, sizeof(jwt) - 1);
	assert_false(is_signed_by_any(&c));
	/* TLS 1.2 DHE: prime, generator and public value, with no curve. */
	c.len = 0;
	add_many(&c, 0x11, 64);
	add_octet(&c, 0);
	add_octet(&c, 64);
	add_many(&c, 0xff, 64);
	assert_false(is_signed_by_any(&c));
	/* TLS 1.2's CertificateVerify: the handshake's messages themselves. */
	c.len = 0;
	add(&c, "\x01\x00\x00\x70\x03\x03", 6);
	add_many(&c, 0x42, 110);
	assert_false(is_signed_by_any(&c));
	/* A compressed, a hybrid and an infinite point. */
	for (i = 0; i < 8; i++) {
		c = exchange(0);
		c.octets[68] = (uint8_t)i;
		assert_int_equal(is_signed(&c), i == 4);
	}
	c.len = 0;
	assert_false(is_signed_by_any(&c));
}

/* Spaces where the randoms are make no TLS 1.3 content of a TLS 1.2 one. */
static void
test_versions_apart(void **state)
{
	struct content c = exchange(3);

	(void)state;
	memset(c.octets, ' ', 64);
	walk_schemes(&c, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schemes),
		cmocka_unit_test(test_other_schemes),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_fixed_octets_13),
		cmocka_unit_test(test_fixed_octets_12),
		cmocka_unit_test(test_curves_mixed),
		cmocka_unit_test(test_curves_all),
		cmocka_unit_test(test_other_contexts),
		cmocka_unit_test(test_other_things),
		cmocka_unit_test(test_versions_apart),
	};

	return cmocka_run_group_tests_name("test_signer_content", tests, NULL,
	    NULL);
}
