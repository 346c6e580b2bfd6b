/* LINK: privsep/signer_keys privsep/signer_certificate privsep/signer_content */
/* LIBS: -lcrypto */
/*
 * The signer's keys: every kind that is served signs by every scheme that it
 * has; a pair that can't be served is refused with its file and a reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "privsep/signer_gate.h"
#include "privsep/signer_keys.h"

#define DAY	86400L
#define CHAIN	"/etc/test/chain.pem"
#define KEY	"/etc/test/key.pem"

static struct {
	char	text[8192];
	int	errors;
	int	warnings;
	int	notices;
} told;

static void
tell(int level, const char *file, const char *text)
{
	size_t n = strlen(told.text);

	snprintf(told.text + n, sizeof(told.text) - n, "%s: %s\n", file, text);
	told.errors += level == LOG_ERR;
	told.warnings += level == LOG_WARNING;
	told.notices += level == LOG_NOTICE;
}

static int
setup(void **state)
{
	(void)state;
	memset(&told, 0, sizeof(told));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	signer_keys_forget();
	return 0;
}

static EVP_PKEY *
make_key(const char *type, const char *group)
{
	EVP_PKEY *key;

	if (strcmp(type, "EC") == 0)
		key = EVP_EC_gen(group);
	else if (strcmp(type, "RSA") == 0)
		key = EVP_RSA_gen((unsigned)atoi(group));
	else
		key = EVP_PKEY_Q_keygen(NULL, NULL, type);
	assert_non_null(key);
	return key;
}

static X509 *
make_certificate(EVP_PKEY *key, long from, long until, const char *usage)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	X509_EXTENSION *e;

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
	X509_gmtime_adj(X509_getm_notBefore(x), from);
	X509_gmtime_adj(X509_getm_notAfter(x), until);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"mail.example.org", -1, -1, 0);
	X509_set_issuer_name(x, name);
	X509_set_pubkey(x, key);
	if (usage != NULL) {
		e = X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage, usage);
		X509_add_ext(x, e, -1);
		X509_EXTENSION_free(e);
	}
	assert_true(X509_sign(x, key, EVP_PKEY_is_a(key, "ED25519") ||
	    EVP_PKEY_is_a(key, "ED448") ? NULL : EVP_sha256()) > 0);
	return x;
}

/* Memory BIOs that live as long as the test does. */
static size_t
octets_of(BIO *bio, const char **octets)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	assert_true(n > 0);
	*octets = p;
	return (size_t)n;
}

static struct keyring_pair
make_pair(EVP_PKEY *key, X509 *x, BIO **chain, BIO **private)
{
	struct keyring_pair pair;

	memset(&pair, 0, sizeof(pair));
	strlcpy(pair.chain_file, CHAIN, sizeof(pair.chain_file));
	strlcpy(pair.key_file, KEY, sizeof(pair.key_file));
	*chain = BIO_new(BIO_s_mem());
	*private = BIO_new(BIO_s_mem());
	assert_true(PEM_write_bio_X509(*chain, x));
	assert_true(PEM_write_bio_PrivateKey(*private, key, NULL, NULL, 0,
	    NULL, NULL));
	pair.chain_len = octets_of(*chain, &pair.chain);
	pair.key_len = octets_of(*private, &pair.key);
	return pair;
}

static int
load(const struct keyring_pair *pairs, size_t n)
{
	static struct keyring ring;

	memset(&ring, 0, sizeof(ring));
	memcpy(ring.pairs, pairs, n * sizeof(*pairs));
	ring.count = n;
	return signer_keys_load(&ring, time(NULL), tell);
}

static void
assert_refused(const struct keyring_pair *pair, const char *file,
    const char *reason)
{
	memset(&told, 0, sizeof(told));
	assert_int_equal(load(pair, 1), -1);
	assert_int_equal(told.errors, 1);
	assert_int_equal(strncmp(told.text, file, strlen(file)), 0);
	if (strstr(told.text, reason) == NULL)
		fail_msg("%snot because: %s", told.text, reason);
	assert_int_equal(ERR_peek_error(), 0);
}

/* One pair of a new key with a good certificate. */
static struct keyring_pair
fresh(const char *type, const char *group, EVP_PKEY **key, BIO *bios[2])
{
	struct keyring_pair pair;
	X509 *x;

	*key = make_key(type, group);
	x = make_certificate(*key, -DAY, 90 * DAY, NULL);
	pair = make_pair(*key, x, &bios[0], &bios[1]);
	X509_free(x);
	return pair;
}

static void
drop(EVP_PKEY *key, BIO *bios[2])
{
	EVP_PKEY_free(key);
	BIO_free(bios[0]);
	BIO_free(bios[1]);
}

static const char *
digest_of(uint32_t scheme)
{
	switch (scheme) {
	case SIGN_ED25519:
		return NULL;
	case SIGN_RSA_PSS_SHA256:
	case SIGN_RSA_PKCS1_SHA256:
	case SIGN_ECDSA_SHA256:
		return "SHA256";
	case SIGN_RSA_PSS_SHA384:
	case SIGN_RSA_PKCS1_SHA384:
	case SIGN_ECDSA_SHA384:
		return "SHA384";
	default:
		return "SHA512";
	}
}

static int
verifies(EVP_PKEY *key, uint32_t scheme, const uint8_t *content, size_t len,
    const uint8_t *signature, size_t signature_len)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	const char *digest = digest_of(scheme);
	EVP_PKEY_CTX *ctx;
	int r;

	assert_int_equal(EVP_DigestVerifyInit_ex(md, &ctx, digest, NULL, NULL,
	    key, NULL), 1);
	if (EVP_PKEY_is_a(key, "RSA") && scheme >> 8 == 8) {
		EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST);
	}
	r = EVP_DigestVerify(md, signature, signature_len, content, len);
	EVP_MD_CTX_free(md);
	return r == 1;
}

static const struct {
	const char	*type, *group;
	enum key_kind	 kind;
	uint32_t	 schemes[7];
} good[] = {
	{ "EC", "P-256", KEY_P256, { SIGN_ECDSA_SHA256, SIGN_ECDSA_SHA384,
	    SIGN_ECDSA_SHA512 } },
	{ "EC", "P-384", KEY_P384, { SIGN_ECDSA_SHA256, SIGN_ECDSA_SHA384,
	    SIGN_ECDSA_SHA512 } },
	{ "ED25519", "", KEY_ED25519, { SIGN_ED25519 } },
	{ "RSA", "2048", KEY_RSA, { SIGN_RSA_PSS_SHA256, SIGN_RSA_PSS_SHA384,
	    SIGN_RSA_PSS_SHA512, SIGN_RSA_PKCS1_SHA256, SIGN_RSA_PKCS1_SHA384,
	    SIGN_RSA_PKCS1_SHA512 } },
};
#define GOOD	(sizeof(good) / sizeof(good[0]))

static void
sign_all(size_t place, size_t g, EVP_PKEY *key)
{
	static const uint8_t content[130] = "anything";
	uint8_t signature[SIGN_SIGNATURE_MAX];
	size_t i, len;

	for (i = 0; good[g].schemes[i] != 0; i++) {
		len = sizeof(signature);
		assert_int_equal(signer_keys_sign(place, good[g].schemes[i],
		    content, sizeof(content), signature, &len), 0);
		assert_true(verifies(key, good[g].schemes[i], content,
		    sizeof(content), signature, len));
		signature[len / 2] ^= 1;
		assert_false(verifies(key, good[g].schemes[i], content,
		    sizeof(content), signature, len));
	}
	len = sizeof(signature);
	assert_int_equal(signer_keys_sign(place, 0x0203, content,
	    sizeof(content), signature, &len), -1);
	len = 16;	/* no room */
	assert_int_equal(signer_keys_sign(place, good[g].schemes[0], content,
	    sizeof(content), signature, &len), -1);
	assert_int_equal(ERR_peek_error(), 0);
}

/* A ring of all kinds; the octets that they came from may then go. */
static void
test_good(void **state)
{
	struct keyring_pair pairs[GOOD];
	EVP_PKEY *keys[GOOD];
	BIO *bios[GOOD][2];
	size_t i;

	(void)state;
	for (i = 0; i < GOOD; i++)
		pairs[i] = fresh(good[i].type, good[i].group, &keys[i],
		    bios[i]);
	assert_int_equal(load(pairs, GOOD), 0);
	assert_string_equal(told.text, "");
	assert_int_equal(signer_keys_count(), GOOD);
	for (i = 0; i < GOOD; i++) {
		memset((void *)(uintptr_t)pairs[i].key, 0, pairs[i].key_len);
		assert_int_equal(signer_keys_kind(i), good[i].kind);
		sign_all(i, i, keys[i]);
		drop(keys[i], bios[i]);
	}
	assert_int_equal(signer_keys_sign(GOOD, SIGN_ED25519, NULL, 0,
	    NULL, &i), -1);
}

/* Curves and sizes that we do not sign with. */
static void
test_other_kinds(void **state)
{
	static const struct {
		const char *type, *group, *reason;
	} cases[] = {
		{ "EC", "P-521", "none of ECDSA" },
		{ "EC", "secp256k1", "none of ECDSA" },
		{ "ED448", "", "none of ECDSA" },
		{ "RSA", "1024", "1024 bits" },
		{ "RSA", "2040", "2040 bits" },
	};
	struct keyring_pair pair;
	EVP_PKEY *key;
	BIO *bios[2];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pair = fresh(cases[i].type, cases[i].group, &key, bios);
		assert_refused(&pair, CHAIN, cases[i].reason);
		drop(key, bios);
	}
}

static void
test_not_a_pair(void **state)
{
	struct keyring_pair a, b;
	EVP_PKEY *keys[2];
	BIO *bios[2][2];

	(void)state;
	a = fresh("EC", "P-256", &keys[0], bios[0]);
	b = fresh("EC", "P-256", &keys[1], bios[1]);
	a.key = b.key;
	a.key_len = b.key_len;
	assert_refused(&a, KEY, "not the key of the first certificate");
	drop(keys[1], bios[1]);
	b = fresh("ED25519", "", &keys[1], bios[1]);
	a.key = b.key;
	a.key_len = b.key_len;
	assert_refused(&a, KEY, "not the key of the first certificate");
	drop(keys[1], bios[1]);
	drop(keys[0], bios[0]);
}

/* A file that holds the public half of the right key, and any private one. */
static void
test_key_that_lies(void **state)
{
	struct keyring_pair pair;
	EVP_PKEY *key;
	BIO *bios[2], *private;
	char *octets;
	int at, i, n;
	unsigned char *der = NULL;
	PKCS8_PRIV_KEY_INFO *info;

	(void)state;
	pair = fresh("EC", "P-256", &key, bios);
	info = EVP_PKEY2PKCS8(key);
	n = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
	assert_true(n > 0);
	/* After OCTET STRING of 32: the scalar. */
	for (at = 0; at + 1 < n && (der[at] != 4 || der[at + 1] != 32); at++)
		continue;
	for (i = 10; i < 20; i++)
		der[at + 2 + i] ^= 0x55;
	private = BIO_new(BIO_s_mem());
	assert_true(PEM_write_bio(private, "PRIVATE KEY", "", der, n) > 0);
	pair.key_len = octets_of(private, (const char **)&octets);
	pair.key = octets;
	assert_refused(&pair, KEY, "");
	OPENSSL_free(der);
	PKCS8_PRIV_KEY_INFO_free(info);
	BIO_free(private);
	drop(key, bios);
}

static void
test_encrypted(void **state)
{
	static char phrase[] = "phrase";
	struct keyring_pair pair;
	EVP_PKEY *key;
	BIO *bios[2], *old = BIO_new(BIO_s_mem()), *new = BIO_new(BIO_s_mem());

	(void)state;
	pair = fresh("RSA", "2048", &key, bios);
	assert_true(PEM_write_bio_PKCS8PrivateKey(new, key, EVP_aes_128_cbc(),
	    phrase, 6, NULL, NULL));
	pair.key_len = octets_of(new, &pair.key);
	assert_refused(&pair, KEY, "is encrypted");
	assert_true(PEM_write_bio_PrivateKey_traditional(old, key,
	    EVP_aes_128_cbc(), (unsigned char *)phrase, 6, NULL, NULL));
	pair.key_len = octets_of(old, &pair.key);
	assert_refused(&pair, KEY, "is encrypted");
	BIO_free(old);
	BIO_free(new);
	drop(key, bios);
}

static void
test_malformed(void **state)
{
	struct keyring_pair good_pair, pair;
	EVP_PKEY *key;
	BIO *bios[2];
	char *broken;
	size_t n;

	(void)state;
	good_pair = pair = fresh("EC", "P-256", &key, bios);
	pair.chain = "no certificate\n";
	pair.chain_len = strlen(pair.chain);
	assert_refused(&pair, CHAIN, "holds no certificate");
	pair.chain = good_pair.key;	/* the two files exchanged */
	pair.chain_len = good_pair.key_len;
	assert_refused(&pair, CHAIN, "holds no certificate");
	pair = good_pair;
	pair.key = good_pair.chain;
	pair.key_len = good_pair.chain_len;
	assert_refused(&pair, KEY, "no private key");
	/* Cut anywhere: never a crash, never taken. */
	for (n = 1; n < good_pair.chain_len - 1; n++) {
		pair = good_pair;
		pair.chain_len = n;
		assert_refused(&pair, CHAIN, "");
	}
	for (n = 1; n < good_pair.key_len - 1; n++) {
		pair = good_pair;
		pair.key_len = n;
		assert_refused(&pair, KEY, "");
	}
	/* A good leaf, and something torn behind it. */
	broken = malloc(good_pair.chain_len * 2);
	memcpy(broken, good_pair.chain, good_pair.chain_len);
	memcpy(broken + good_pair.chain_len, good_pair.chain,
	    good_pair.chain_len / 2);
	pair = good_pair;
	pair.chain = broken;
	pair.chain_len = good_pair.chain_len + good_pair.chain_len / 2;
	assert_refused(&pair, CHAIN, "malformed certificate");
	free(broken);
	drop(key, bios);
}

/* A broken pair does not hide another one. */
static void
test_all_are_told(void **state)
{
	struct keyring_pair pairs[3];
	EVP_PKEY *keys[3];
	BIO *bios[3][2];
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++)
		pairs[i] = fresh("EC", "P-256", &keys[i], bios[i]);
	pairs[0].chain_len = pairs[2].key_len = 30;
	assert_int_equal(load(pairs, 3), -1);
	assert_int_equal(told.errors, 2);
	for (i = 0; i < 3; i++)
		drop(keys[i], bios[i]);
}

/* Dates and usages are told of, and served. */
static void
test_warnings(void **state)
{
	static const struct {
		long		 from, until;
		const char	*usage;
		int		 warnings, notices;
		const char	*text;
	} cases[] = {
		{ -DAY, 15 * DAY, NULL, 0, 0, "" },
		{ -DAY, 13 * DAY, NULL, 0, 1, "ends in 12 days" },
		{ -9 * DAY, -DAY, NULL, 1, 0, "has expired" },
		{ DAY, 90 * DAY, NULL, 1, 0, "not valid yet" },
		{ -DAY, 90 * DAY, "keyCertSign", 1, 0, "digitalSignature" },
		{ -DAY, 90 * DAY, "digitalSignature", 0, 0, "" },
	};
	struct keyring_pair pair;
	EVP_PKEY *key = make_key("EC", "P-256");
	BIO *bios[2];
	X509 *x;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&told, 0, sizeof(told));
		x = make_certificate(key, cases[i].from - 10,
		    cases[i].until - 10, cases[i].usage);
		pair = make_pair(key, x, &bios[0], &bios[1]);
		assert_int_equal(load(&pair, 1), 0);
		assert_int_equal(told.errors, 0);
		assert_int_equal(told.warnings, cases[i].warnings);
		assert_int_equal(told.notices, cases[i].notices);
		assert_non_null(strstr(told.text, cases[i].text));
		X509_free(x);
		BIO_free(bios[0]);
		BIO_free(bios[1]);
	}
	EVP_PKEY_free(key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_other_kinds, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_not_a_pair, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_key_that_lies, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_encrypted, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_malformed, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_all_are_told, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_warnings, setup,
		    teardown),
	};

	return cmocka_run_group_tests_name("test_signer_keys", tests, NULL,
	    NULL);
}
