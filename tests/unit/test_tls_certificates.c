/* LINK: wire/tls wire/tls_transport wire/tls_policy wire/tls_context wire/tls_rehearse wire/provider wire/provider_key wire/provider_sign wire/wire privsep/signer_content privsep/log privsep/message */
/* LIBS: -lssl -lcrypto */
/*
 * test_tls_certificates: certificates that end the spawner at its start.
 */
#include "tls_session.h"

/* A certificate that can't be used ends the spawner, with a reason. */
static void
die_of(const char *chain, size_t len)
{
	static struct keyring ring;
	int status;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		ring.count = 1;
		strlcpy(ring.pairs[0].chain_file, "/etc/tls/file",
		    sizeof(ring.pairs[0].chain_file));
		ring.pairs[0].chain = chain;
		ring.pairs[0].chain_len = len;
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(9);
		tls_warm(&ring, NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

static void
die_of_key(EVP_PKEY *key, int with_key)
{
	X509 *x = peer_certificate(key, "bad", key);
	BIO *pem = BIO_new(BIO_s_mem());
	size_t len;
	char *text;

	PEM_write_bio_X509(pem, x);
	if (with_key)
		PEM_write_bio_PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL);
	len = (size_t)BIO_get_mem_data(pem, &text);
	die_of(text, len);
	BIO_free(pem);
	X509_free(x);
	EVP_PKEY_free(key);
}

static void
test_bad_certificates(void **state)
{
	(void)state;
	die_of("", 0);
	die_of("nonsense", 8);
	die_of("-----BEGIN CERTIFICATE-----\nAAAA\n"
	    "-----END CERTIFICATE-----\n", 60);
	die_of_key(EVP_RSA_gen(1024), 0);
	die_of_key(EVP_EC_gen("P-521"), 0);
	die_of_key(EVP_EC_gen("P-256"), 1);
	die_of_key(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), 0);
}

/* While this process has no TLS yet. */
int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_certificates),
	};

	return cmocka_run_group_tests_name("test_tls_certificates", tests, NULL,
	    NULL);
}
