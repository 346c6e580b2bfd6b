/*
 * signer_certificate: parse and judge certificates and keys in PEM.
 *
 * Runs in the signer, as key-user, before it confines itself; touches memory
 * only.  The files are root's, so this is about mistakes of an administrator,
 * who is told of them with file and reason before anything is replaced.
 */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "signer_certificate.h"

#define CHAIN_MAX	16	/* certificates in one file */
#define DAY		86400L	/* seconds */
#define TEXT_MAX	256

/* The reason that the library has, in its words. */
static void
tell_library(signer_tell tell, const char *file, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	char text[TEXT_MAX];

	snprintf(text, sizeof(text), "%s%s%s", what,
	    reason != NULL ? ": " : "", reason != NULL ? reason : "");
	ERR_clear_error();
	tell(LOG_ERR, file, text);
}

static BIO *
read_only(const char *octets, size_t len)
{
	/* KEYRING_PEM_MAX fits in an int. */
	return BIO_new_mem_buf(octets, (int)len);
}

/* Nothing more to be found is how a well-formed file ends. */
static int
is_end_of_file(void)
{
	unsigned long e = ERR_peek_last_error();

	if (ERR_GET_LIB(e) != ERR_LIB_PEM ||
	    ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
		return 0;
	ERR_clear_error();
	return 1;
}

/* The first certificate, if all that follow it can be parsed, too. */
static X509 *
parse_chain(const struct keyring_pair *pair, signer_tell tell)
{
	BIO *bio = read_only(pair->chain, pair->chain_len);
	X509 *leaf = NULL, *x;
	int n = 0;

	while (bio != NULL && n < CHAIN_MAX &&
	    (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		if (n++ == 0)
			leaf = x;
		else
			X509_free(x);
	}
	BIO_free(bio);
	if (n > 0 && n < CHAIN_MAX && is_end_of_file())
		return leaf;
	if (n == CHAIN_MAX)
		tell(LOG_ERR, pair->chain_file, "too many certificates");
	else if (n == 0 && is_end_of_file())
		tell(LOG_ERR, pair->chain_file, "holds no certificate in PEM");
	else
		tell_library(tell, pair->chain_file, "malformed certificate");
	X509_free(leaf);
	return NULL;
}

static void
tell_dates(const struct keyring_pair *pair, X509 *x, time_t now,
    signer_tell tell)
{
	char text[TEXT_MAX];
	time_t soon = now + SIGNER_WARN_DAYS * DAY;
	int days = 0, seconds = 0;
	ASN1_TIME *at;

	if (X509_cmp_time(X509_get0_notBefore(x), &now) > 0) {
		tell(LOG_WARNING, pair->chain_file,
		    "the certificate is not valid yet");
		return;
	}
	if (X509_cmp_time(X509_get0_notAfter(x), &now) < 0) {
		tell(LOG_WARNING, pair->chain_file,
		    "the certificate has expired");
		return;
	}
	if (X509_cmp_time(X509_get0_notAfter(x), &soon) > 0)
		return;
	at = ASN1_TIME_set(NULL, now);
	if (at != NULL && ASN1_TIME_diff(&days, &seconds, at,
	    X509_get0_notAfter(x)) == 1) {
		snprintf(text, sizeof(text), "the certificate ends in %d days",
		    days);
		tell(LOG_NOTICE, pair->chain_file, text);
	}
	ASN1_TIME_free(at);
}

/* What clients are known to refuse, though it could be served. */
static void
tell_oddities(const struct keyring_pair *pair, X509 *x, signer_tell tell)
{
	/* All bits are set where the certificate does not say. */
	if ((X509_get_key_usage(x) & KU_DIGITAL_SIGNATURE) == 0)
		tell(LOG_WARNING, pair->chain_file, "the certificate's key "
		    "usage is without digitalSignature");
	if ((X509_get_extended_key_usage(x) &
	    (XKU_SSL_SERVER | XKU_ANYEKU)) == 0)
		tell(LOG_WARNING, pair->chain_file, "the certificate is not "
		    "for a server's use");
}

static const struct {
	const char	*type;
	const char	*group;		/* of EC */
	enum key_kind	 kind;
} kinds[] = {
	{ "EC", "prime256v1", KEY_P256 },
	{ "EC", "secp384r1", KEY_P384 },
	{ "RSA", NULL, KEY_RSA },
	{ "ED25519", NULL, KEY_ED25519 },
};

static int
find_kind(const EVP_PKEY *key, enum key_kind *kind)
{
	char group[64];
	size_t i, len;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!EVP_PKEY_is_a(key, kinds[i].type))
			continue;
		if (kinds[i].group == NULL || (EVP_PKEY_get_group_name(key,
		    group, sizeof(group), &len) == 1 &&
		    strcmp(group, kinds[i].group) == 0)) {
			*kind = kinds[i].kind;
			return 0;
		}
	}
	return -1;
}

static int
check_kind(const struct keyring_pair *pair, const EVP_PKEY *key,
    enum key_kind *kind, signer_tell tell)
{
	char text[TEXT_MAX];
	int bits = EVP_PKEY_get_bits(key);

	if (find_kind(key, kind) == -1) {
		tell(LOG_ERR, pair->chain_file, "the certificate's key is "
		    "none of ECDSA P-256 or P-384, RSA, Ed25519");
		return -1;
	}
	if (*kind == KEY_RSA && (bits < SIGNER_KEY_BITS_MIN ||
	    bits > SIGNER_KEY_BITS_MAX)) {
		snprintf(text, sizeof(text), "the certificate's RSA key has "
		    "%d bits; from %d to %d will do", bits,
		    SIGNER_KEY_BITS_MIN, SIGNER_KEY_BITS_MAX);
		tell(LOG_ERR, pair->chain_file, text);
		return -1;
	}
	return 0;
}

EVP_PKEY *
certificate_check(const struct keyring_pair *pair, time_t now,
    enum key_kind *kind, signer_tell tell)
{
	X509 *leaf = parse_chain(pair, tell);
	EVP_PKEY *key;

	if (leaf == NULL)
		return NULL;
	key = X509_get_pubkey(leaf);
	if (key == NULL)
		tell_library(tell, pair->chain_file,
		    "the certificate's key is malformed");
	else if (check_kind(pair, key, kind, tell) == -1) {
		EVP_PKEY_free(key);
		key = NULL;
	} else {
		tell_dates(pair, leaf, now, tell);
		tell_oddities(pair, leaf, tell);
	}
	ERR_clear_error();
	X509_free(leaf);
	return key;
}

/* Nobody is there to type a passphrase, and none is written down. */
static int
no_passphrase(char *buf, int size, int rwflag, void *was_asked)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	*(int *)was_asked = 1;
	return -1;
}

EVP_PKEY *
certificate_key(const struct keyring_pair *pair, signer_tell tell)
{
	BIO *bio = read_only(pair->key, pair->key_len);
	EVP_PKEY *key = NULL;
	int was_asked = 0;

	if (bio != NULL)
		key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase,
		    &was_asked);
	BIO_free(bio);
	if (key != NULL) {
		ERR_clear_error();
		return key;
	}
	if (was_asked) {
		ERR_clear_error();
		tell(LOG_ERR, pair->key_file, "the key is encrypted; Postern "
		    "needs it without a passphrase");
	} else
		tell_library(tell, pair->key_file, "no private key in PEM");
	return NULL;
}
