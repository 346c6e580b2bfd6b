/* LINK: RELAY */
/* LIBS: -lssl -lcrypto */
/*
 * test_relay_tls: STARTTLS and AUTH as who connects: whom the relay trusts,
 * what it forgets, and when a secret goes out.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "tests/relay_host.h"
#include "wire/tls_client.h"

static EVP_PKEY *ca_key, *host_key;
static X509 *ca;
static SSL *ssl;

/* What the host shows. */
enum shown { GOOD, OTHER_NAME, NAME_ONLY_IN_SUBJECT, SELF_SIGNED, EXPIRED };

static void
add_extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *extension;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(extension);
	assert_int_equal(X509_add_ext(x, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static X509 *
make_certificate(EVP_PKEY *key, const char *name, const char *alternative,
    X509 *issuer, EVP_PKEY *by, long until)
{
	X509 *x = X509_new();
	X509_NAME *subject = X509_get_subject_name(x);

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), random());
	X509_gmtime_adj(X509_getm_notBefore(x), -7200);
	X509_gmtime_adj(X509_getm_notAfter(x), until);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
	    (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, issuer != NULL ?
	    X509_get_subject_name(issuer) : subject);
	X509_set_pubkey(x, key);
	if (issuer == NULL && by == ca_key)
		add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
	if (alternative[0] != '\0')
		add_extension(x, NID_subject_alt_name, alternative);
	assert_true(X509_sign(x, by, EVP_sha256()) > 0);
	return x;
}

static int
setup_all(void **state)
{
	char path[] = "/tmp/relay-ca-XXXXXX";
	int fd = mkstemp(path);
	FILE *pem = fd != -1 ? fdopen(fd, "w") : NULL;

	(void)state;
	if (pem == NULL)
		return -1;
	ca_key = EVP_EC_gen("P-256");
	host_key = EVP_EC_gen("P-256");
	ca = make_certificate(ca_key, "test authority", "", NULL, ca_key, 7200);
	PEM_write_X509(pem, ca);
	fclose(pem);
	tls_client_warm(path);
	unlink(path);
	return 0;
}

static int
teardown_all(void **state)
{
	(void)state;
	X509_free(ca);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(host_key);
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	mail_reset();
	relay_start(MINUTES5);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	SSL_free(ssl);
	ssl = NULL;
	return relay_stop();
}

static X509 *
make_shown(enum shown shown)
{
	switch (shown) {
	case OTHER_NAME:
		return make_certificate(host_key, "mx.example.org",
		    "DNS:other.example.org", ca, ca_key, 3600);
	case NAME_ONLY_IN_SUBJECT:
		return make_certificate(host_key, "mx.example.org", "", ca,
		    ca_key, 3600);
	case SELF_SIGNED:
		return make_certificate(host_key, "mx.example.org",
		    "DNS:mx.example.org", NULL, host_key, 3600);
	case EXPIRED:
		return make_certificate(host_key, "x", "DNS:mx.example.org",
		    ca, ca_key, -60);
	case GOOD:
		break;
	}
	return make_certificate(host_key, "x", "DNS:*.example.org", ca, ca_key,
	    3600);
}

/* The host's side; 0, or -1 when the relay did not agree. */
static int
accept_tls(enum shown shown, int version)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	X509 *x = make_shown(shown);
	int agreed;

	SSL_CTX_set_security_level(context, 0);
	SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
	if (version != 0) {
		SSL_CTX_set_min_proto_version(context, version);
		SSL_CTX_set_max_proto_version(context, version);
	}
	SSL_CTX_use_certificate(context, x);
	SSL_CTX_use_PrivateKey(context, host_key);
	ssl = SSL_new(context);
	SSL_set_fd(ssl, host);
	agreed = SSL_accept(ssl) == 1;
	X509_free(x);
	SSL_CTX_free(context);
	ERR_clear_error();
	return agreed ? 0 : -1;
}

static void
tls_say(const char *line)
{
	char text[512];
	int len = snprintf(text, sizeof(text), "%s\r\n", line);

	assert_int_equal(SSL_write(ssl, text, len), len);
}

static void
tls_expect(const char *text)
{
	static char got[70000];
	size_t len = strlen(text), have = 0;
	int n;

	while (have < len) {
		n = SSL_read(ssl, got + have, (int)(len - have));
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	got[have] = '\0';
	assert_string_equal(got, text);
}

/* Up to the relay's ClientHello. */
static void
offer_tls(enum relay_tls tls, const char *user)
{
	ask_greet(RELAY_SMTP, tls, user);
	host_say("220 mx.example.org ESMTP");
	host_expect("EHLO me.example\r\n");
	host_say("250-mx\r\n250-PIPELINING\r\n250-AUTH PLAIN LOGIN\r\n"
	    "250 STARTTLS");
	host_expect("STARTTLS\r\n");
}

/* After the handshake. */
static void
greet_again(const char *extension)
{
	char line[80];

	tls_expect("EHLO me.example\r\n");
	snprintf(line, sizeof(line), "250-mx\r\n250 %s", extension);
	tls_say(line);
}

static void
test_good(void **state)
{
	(void)state;
	offer_tls(RELAY_TLS_VERIFY, "");
	host_say("220 go");
	assert_int_equal(accept_tls(GOOD, 0), 0);
	assert_string_equal(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name),
	    "mx.example.org");
	greet_again("SIZE 100000");
	get_greeted();
	assert_int_equal(greeted.verdict, RELAY_READY);
	/* what was said in the clear is forgotten */
	assert_int_equal(greeted.extensions, RELAY_HAS_ESMTP | RELAY_HAS_SIZE);
	assert_int_equal(strncmp(greeted.tls, "TLSv1.3 ", 8), 0);
	assert_true(greeted.is_verified);
	ask_to("alice@example.org");
	ask_send("x\n", 1);
	tls_expect("MAIL FROM:<bob@example.net> SIZE=3\r\n");
	tls_say("250 ok");
	tls_expect("RCPT TO:<alice@example.org>\r\n");
	tls_say("250 ok");
	tls_expect("DATA\r\n");
	tls_say("354 go");
	tls_expect("x\r\n.\r\n");
	tls_say("250 ok");
	get_sent(1);
	assert_int_equal(settled[0].verdict, DELIVERED);
	close(gate);
	gate = -1;
	tls_expect("QUIT\r\n");
	tls_say("221 bye");
	tls_expect("");
}

static void
test_opportunistic(void **state)
{
	static const enum shown shown[] = {
		OTHER_NAME, NAME_ONLY_IN_SUBJECT, SELF_SIGNED, EXPIRED, GOOD
	};
	size_t i;

	for (i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		offer_tls(i % 2 == 0 ? RELAY_TLS_MAY : RELAY_TLS_ENCRYPT, "");
		host_say("220 go");
		assert_int_equal(accept_tls(shown[i], TLS1_2_VERSION), 0);
		greet_again("HELP");
		get_greeted();
		assert_int_equal(greeted.verdict, RELAY_READY);
		assert_int_equal(greeted.is_verified, shown[i] == GOOD);
		assert_int_equal(strncmp(greeted.tls, "TLSv1.2 ECDHE", 13), 0);
		assert_int_equal(teardown(state), 0);
		setup(state);
	}
}

static void
test_not_verified(void **state)
{
	static const struct {
		enum shown	 shown;
		const char	*why;
	} bad[] = {
		{ OTHER_NAME, "ostname mismatch" },
		{ NAME_ONLY_IN_SUBJECT, "ostname mismatch" },
		{ SELF_SIGNED, "self" },
		{ EXPIRED, "expired" },
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		offer_tls(RELAY_TLS_VERIFY, "alice");
		host_say("220 go");
		if (accept_tls(bad[i].shown, 0) == 0)
			tls_expect("");		/* only the alert */
		get_greeted();
		assert_int_equal(greeted.verdict, RELAY_DEFER);
		assert_int_equal(greeted.code, 0);
		assert_string_equal(greeted.status, "4.7.5");
		assert_non_null(strstr(greeted.text, bad[i].why));
		assert_string_equal(greeted.tls, "");
		assert_false(greeted.is_verified);
		assert_int_equal(teardown(state), 0);
		setup(state);
	}
}

/* C2: what comes behind the reply, before the handshake. */
static void
test_C2_injection(void **state)
{
	enum relay_tls tls;

	for (tls = RELAY_TLS_MAY; tls <= RELAY_TLS_VERIFY; tls++) {
		offer_tls(tls, "");
		host_put("220 go\r\n250-mx\r\n250 AUTH PLAIN\r\n", 32);
		get_greeted();
		assert_int_equal(greeted.verdict, RELAY_DEFER);
		assert_string_equal(greeted.status, "4.7.0");
		assert_int_equal(strncmp(greeted.text, "octets behind", 13), 0);
		host_expect_end();
		assert_int_equal(teardown(state), 0);
		setup(state);
	}
}

/* The handshake fails: who may goes without, by another connection. */
static void
test_handshake_fails(void **state)
{
	enum relay_tls tls;
	int how;
	char c;

	for (tls = RELAY_TLS_MAY; tls <= RELAY_TLS_ENCRYPT; tls++)
		for (how = 0; how < 3; how++) {
			offer_tls(tls, "");
			host_say("220 go");
			assert_int_equal(host_get(&c, 1), 1);
			assert_int_equal(c, 22);
			if (how == 0)
				host_say("500 what?");
			else if (how == 1)
				shutdown(host, SHUT_RDWR);
			else
				host_put("\x15\x03\x03\x00\x02\x02\x28", 7);
			get_greeted();
			assert_int_equal(greeted.verdict, tls == RELAY_TLS_MAY ?
			    RELAY_NO_TLS : RELAY_DEFER);
			assert_string_equal(greeted.status, "4.7.0");
			assert_int_equal(strncmp(greeted.text, "TLS failed: ",
			    12), 0);
			assert_int_equal(teardown(state), 0);
			setup(state);
		}
}

static void
test_old_version(void **state)
{
	(void)state;
	offer_tls(RELAY_TLS_MAY, "");
	host_say("220 go");
	assert_int_equal(accept_tls(GOOD, TLS1_1_VERSION), -1);
	get_greeted();
	assert_int_equal(greeted.verdict, RELAY_NO_TLS);
}

static void
test_refused(void **state)
{
	static const struct {
		enum relay_tls		 tls;
		const char		*offer, *answer;
		enum relay_verdict	 verdict;
		uint32_t		 code;
		const char		*status;
	} table[] = {
		{ RELAY_TLS_MAY, "250 HELP", NULL, RELAY_READY, 250, "2.0.0" },
		{ RELAY_TLS_NONE, "250 STARTTLS", NULL, RELAY_READY, 250,
		    "2.0.0" },
		{ RELAY_TLS_ENCRYPT, "250 HELP", NULL, RELAY_DEFER, 0,
		    "4.7.4" },
		{ RELAY_TLS_VERIFY, "250 HELP", NULL, RELAY_DEFER, 0, "4.7.4" },
		{ RELAY_TLS_MAY, "250 STARTTLS", "454 4.7.0 not now",
		    RELAY_READY, 454, "4.7.0" },
		{ RELAY_TLS_ENCRYPT, "250 STARTTLS", "554 5.7.3 never",
		    RELAY_DEFER, 554, "4.7.3" },
		{ RELAY_TLS_MAY, "250 STARTTLS", "421 4.3.2 bye", RELAY_DEFER,
		    421, "4.3.2" },
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		ask_greet(RELAY_SMTP, table[i].tls, "");
		host_say("220 mx");
		host_expect("EHLO me.example\r\n");
		host_say("250-mx");
		host_say(table[i].offer);
		if (table[i].answer != NULL) {
			host_expect("STARTTLS\r\n");
			host_say(table[i].answer);
		}
		get_greeted();
		assert_int_equal(greeted.verdict, table[i].verdict);
		assert_int_equal(greeted.code, table[i].code);
		assert_string_equal(greeted.status, table[i].status);
		assert_string_equal(greeted.tls, "");
		assert_int_equal(teardown(state), 0);
		setup(state);
	}
}

/* Under TLS, up to where AUTH comes. */
static void
secure(const char *mechanisms)
{
	offer_tls(RELAY_TLS_MAY, "alice");
	host_say("220 go");
	assert_int_equal(accept_tls(GOOD, 0), 0);
	greet_again(mechanisms);
}

static void
expect_auth(enum relay_verdict verdict, uint32_t code, const char *status)
{
	get_greeted();
	assert_int_equal(greeted.verdict, verdict);
	assert_int_equal(greeted.code, code);
	assert_string_equal(greeted.status, status);
}

static void
test_auth_plain(void **state)
{
	(void)state;
	secure("AUTH LOGIN PLAIN");
	tls_expect("AUTH PLAIN AGFsaWNlAG9wZW4gc2VzYW1l\r\n");
	tls_say("235 2.7.0 welcome");
	expect_auth(RELAY_READY, 235, "2.7.0");
}

static void
test_auth_login(void **state)
{
	(void)state;
	secure("AUTH GSSAPI LOGIN");
	tls_expect("AUTH LOGIN\r\n");
	tls_say("334 VXNlcm5hbWU6");
	tls_expect("YWxpY2U=\r\n");
	tls_say("334 UGFzc3dvcmQ6");
	tls_expect("b3BlbiBzZXNhbWU=\r\n");
	tls_say("235 2.7.0 welcome");
	expect_auth(RELAY_READY, 235, "2.7.0");
}

/* What the administrator wrote wrongly bounces nobody's mail. */
static void
test_auth_refused(void **state)
{
	secure("AUTH PLAIN");
	tls_expect("AUTH PLAIN AGFsaWNlAG9wZW4gc2VzYW1l\r\n");
	tls_say("535 5.7.8 wrong");
	expect_auth(RELAY_DEFER, 535, "4.7.8");
	tls_expect("QUIT\r\n");
	tls_say("221 bye");
	assert_int_equal(teardown(state), 0);
	setup(state);
	secure("AUTH PLAIN");
	tls_expect("AUTH PLAIN AGFsaWNlAG9wZW4gc2VzYW1l\r\n");
	tls_say("334 ");	/* once more? */
	expect_auth(RELAY_DEFER, 0, "4.5.0");
	assert_int_equal(teardown(state), 0);
	setup(state);
	secure("AUTH LOGIN");
	tls_expect("AUTH LOGIN\r\n");
	tls_say("504 5.5.4 no");
	expect_auth(RELAY_DEFER, 504, "4.5.4");
}

/* Offered before TLS, and not after it. */
static void
test_auth_not_offered(void **state)
{
	(void)state;
	secure("AUTH CRAM-MD5");
	expect_auth(RELAY_DEFER, 0, "4.7.0");
	assert_int_equal(greeted.extensions, RELAY_HAS_ESMTP);
	tls_expect("QUIT\r\n");
}

static void
test_auth_in_the_clear(void **state)
{
	(void)state;
	ask_greet(RELAY_SMTP, RELAY_TLS_NONE, "alice");
	host_say("220 mx");
	host_expect("EHLO me.example\r\n");
	host_say("250-mx\r\n250 AUTH PLAIN");
	expect_auth(RELAY_DEFER, 0, "4.7.11");
	host_expect("QUIT\r\n");
}

/* In this process: the secret goes out, and is then nowhere. */
static void
test_secret_is_wiped(void **state)
{
	static const char *const mechanisms[] = { "AUTH PLAIN", "AUTH LOGIN" };
	static const char *const answers[] = {
		"235 ok\r\n", "334 a\r\n334 b\r\n235 ok\r\n",
	};
	static const char *const secrets[] = {
		"open sesame", "b3BlbiBzZXNhbWU", "AG9wZW4gc2VzYW1l",
	};
	static struct relay r;
	int fds[2];
	size_t i, j;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM |
		    SOCK_NONBLOCK, 0, fds), 0);
		relay_begin(&r, -1, MINUTES5);
		wire_init(&r.wire, fds[1], 0);
		strlcpy(r.host.user, "alice", sizeof(r.host.user));
		strlcpy(r.host.secret, "open sesame", sizeof(r.host.secret));
		strlcpy(r.tls, "TLS, let us say", sizeof(r.tls));
		extensions_take(&r.extensions, mechanisms[i], 10);
		assert_int_equal(write(fds[0], answers[i], strlen(answers[i])),
		    strlen(answers[i]));
		assert_int_equal(relay_authenticate(&r), RELAY_READY);
		explicit_bzero(r.host.secret, sizeof(r.host.secret));
		for (j = 0; j < 3; j++)
			assert_null(memmem(&r, sizeof(r), secrets[j],
			    strlen(secrets[j])));
		close(fds[0]);
		close(fds[1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_good),
		T(test_opportunistic),
		T(test_not_verified),
		T(test_C2_injection),
		T(test_handshake_fails),
		T(test_old_version),
		T(test_refused),
		T(test_auth_plain),
		T(test_auth_login),
		T(test_auth_refused),
		T(test_auth_not_offered),
		T(test_auth_in_the_clear),
		cmocka_unit_test(test_secret_is_wiped),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("relay_tls", tests, setup_all,
	    teardown_all);
}
