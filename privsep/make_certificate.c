/*
 * make_certificate: a new key and a self-signed certificate for a host.
 *
 * Runs as key-user, exec'd by the master on a first start, never as root;
 * writes the key to descriptor 3 and the certificate to descriptor 4, both
 * PEM, and ends.  Before it makes anything it closes itself in like the
 * signer: no file, no socket, no fork.  Argument: the host's name.
 */
#include <sys/resource.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "become.h"
#include "log.h"
#include "sandbox.h"

#define FD_KEY		3
#define FD_CERTIFICATE	4
#define FILE_MAX	65536	/* octets */
#define DAY		86400L	/* seconds */
#define YEARS		5
#define NAME_MAX_CN	64	/* RFC 5280, ub-common-name */
#define HOST_MAX	253
#define SERIAL_BITS	127	/* positive, and 16 octets at most */

/* OpenSSL says why, if anybody can read it. */
static void
must(int is_done, const char *what)
{
	if (is_done)
		return;
	errno = EINVAL;
	fatal("make-certificate: %s", what);
}

static int
is_host(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len <= HOST_MAX && strspn(s, "abcdefghijklmnopqrst"
	    "uvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == len;
}

/*
 * The common name is for those who look at it; clients look at the
 * alternative name.  An issuer must have some name (RFC 5280, 4.1.2.4).
 */
static void
set_names(X509 *x, const char *host)
{
	X509_NAME *name = X509_get_subject_name(x);
	int is_short = strlen(host) <= NAME_MAX_CN;
	const char *value = is_short ? host : "Postern, self-signed";

	must(X509_NAME_add_entry_by_txt(name, is_short ? "CN" : "O",
	    MBSTRING_ASC, (const unsigned char *)value, -1, -1, 0) == 1 &&
	    X509_set_issuer_name(x, name) == 1, "name");
}

static void
set_serial(X509 *x)
{
	BIGNUM *n = BN_new();

	/* The top bit is set: never zero, never short. */
	must(n != NULL && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE,
	    BN_RAND_BOTTOM_ANY) == 1 &&
	    BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL, "serial");
	BN_free(n);
}

static void
set_dates(X509 *x)
{
	/* A day ago: not every client's clock is right. */
	must(X509_gmtime_adj(X509_getm_notBefore(x), -DAY) != NULL &&
	    X509_time_adj_ex(X509_getm_notAfter(x), YEARS * 365 + YEARS / 4,
	    0, NULL) != NULL, "dates");
}

static void
add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e;
	X509V3_CTX ctx;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	must(e != NULL && X509_add_ext(x, e, -1) == 1, "extension");
	X509_EXTENSION_free(e);
}

/* Not by way of text, in which a name could say more than itself. */
static void
add_alternative_name(X509 *x, const char *host)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();

	must(names != NULL && name != NULL && text != NULL &&
	    ASN1_STRING_set(text, host, -1) == 1, "alternative name");
	GENERAL_NAME_set0_value(name, GEN_DNS, text);
	must(sk_GENERAL_NAME_push(names, name) > 0 &&
	    X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1,
	    "alternative name");
	GENERAL_NAMES_free(names);
}

static X509 *
make_certificate(EVP_PKEY *key, const char *host)
{
	X509 *x = X509_new();

	must(x != NULL && X509_set_version(x, X509_VERSION_3) == 1 &&
	    X509_set_pubkey(x, key) == 1, "certificate");
	set_serial(x);
	set_names(x, host);
	set_dates(x);
	add_extension(x, NID_subject_key_identifier, "hash");
	add_extension(x, NID_basic_constraints, "critical,CA:FALSE");
	add_extension(x, NID_key_usage, "critical,digitalSignature");
	add_extension(x, NID_ext_key_usage, "serverAuth");
	add_alternative_name(x, host);
	must(X509_sign(x, key, EVP_sha256()) > 0, "signature");
	return x;
}

static void
write_out(int fd, BIO *bio)
{
	char *octets;
	long left = BIO_get_mem_data(bio, &octets);
	ssize_t n;

	while (left > 0) {
		n = write(fd, octets, (size_t)left);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			fatal("make-certificate: write");
		octets += n;
		left -= n;
	}
	close(fd);
}

static void
confine(pid_t parent)
{
	struct sandbox_filter filter;

	tzset();
	sandbox_compile(SANDBOX_SIGNER, &filter);
	become_bound_to(parent);
	become_bounded(RLIMIT_CORE, 0);
#ifndef POSTERN_SANITIZE
	become_bounded(RLIMIT_FSIZE, FILE_MAX);
	become_bounded(RLIMIT_NPROC, 0);
#endif
	sandbox_landlock(NULL, 0);
	sandbox_install(&filter);
}

int
main(int argc, char **argv)
{
	pid_t parent = getppid();
	BIO *pem;
	EVP_PKEY *key;
	X509 *x;

	if (argc != 2 || !is_host(argv[1]) || geteuid() == 0) {
		dprintf(STDERR_FILENO, "make-certificate: started by hand; "
		    "pop3d and smtpd start it\n");
		return 2;
	}
	become_sealed();
	become_user(getuid(), getgid());
	closefrom(FD_CERTIFICATE + 1);
	must(OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1,
	    "libcrypto");
	confine(parent);
	pem = BIO_new(BIO_s_secmem());
	key = EVP_EC_gen("P-256");
	must(pem != NULL && key != NULL && PEM_write_bio_PKCS8PrivateKey(pem,
	    key, NULL, NULL, 0, NULL, NULL) == 1, "key");
	write_out(FD_KEY, pem);
	BIO_free(pem);
	pem = BIO_new(BIO_s_mem());
	x = make_certificate(key, argv[1]);
	must(pem != NULL && PEM_write_bio_X509(pem, x) == 1, "certificate");
	write_out(FD_CERTIFICATE, pem);
	BIO_free(pem);
	X509_free(x);
	EVP_PKEY_free(key);
	return 0;
}
