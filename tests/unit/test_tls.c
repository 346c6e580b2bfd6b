/* LINK: wire/tls wire/tls_transport wire/tls_policy wire/tls_context wire/tls_rehearse wire/provider wire/provider_key wire/provider_sign wire/wire privsep/signer_content privsep/log privsep/message */
/* LIBS: -lssl -lcrypto */
/*
 * test_tls: handshakes with a real client: what is agreed on, and what is
 * refused.
 */
#include "tls_session.h"

/* RFC 8446, 4.4.3. */
static void
assert_verify_form(size_t hash_len)
{
	static const char context[] = "TLS 1.3, server CertificateVerify";
	size_t i;

	assert_int_equal(peer_asked.len, 64 + sizeof(context) + hash_len);
	for (i = 0; i < 64; i++)
		assert_int_equal(peer_asked.content[i], ' ');
	assert_memory_equal(peer_asked.content + 64, context, sizeof(context));
}

/* RFC 8422, 5.4: randoms, named curve, group, point. */
static void
assert_exchange_form(unsigned int group, size_t point_len)
{
	const uint8_t *p = peer_asked.content;

	assert_int_equal(peer_asked.len, 64 + 4 + point_len);
	assert_int_equal(p[64], 3);
	assert_int_equal(p[65] << 8 | p[66], group);
	assert_int_equal(p[67], point_len);
}

static const struct kind {
	const char	*sni;
	uint32_t	 place;
	uint32_t	 scheme_12;
	uint32_t	 scheme_13;
} kinds[] = {
	{ NULL, PEER_P256, SIGN_ECDSA_SHA256, SIGN_ECDSA_SHA256 },
	{ "p384.example", PEER_P384, SIGN_ECDSA_SHA256, SIGN_ECDSA_SHA384 },
	{ "x.rsa.example", PEER_RSA, SIGN_RSA_PSS_SHA256, SIGN_RSA_PSS_SHA256 },
	{ "ed.example", PEER_ED25519, SIGN_ED25519, SIGN_ED25519 },
};

static void
test_kinds(void **state)
{
	char text[TLS_TEXT_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct client c = { .sni = kinds[i].sni };

		c.version = TLS1_3_VERSION;
		c.groups = "X25519";
		serve_talk(&c);
		assert_int_equal(peer_asked.calls, 1);
		assert_int_equal(peer_asked.key, kinds[i].place);
		assert_int_equal(peer_asked.scheme, kinds[i].scheme_13);
		assert_verify_form(32);
		assert_true(heard > 0);
		close_wire();
		open_wire();
		c = (struct client){ .sni = kinds[i].sni };
		c.version = TLS1_2_VERSION;
		c.groups = "X25519:P-256:P-384";
		serve_talk(&c);
		assert_int_equal(peer_asked.calls, 1);
		assert_int_equal(peer_asked.key, kinds[i].place);
		assert_int_equal(peer_asked.scheme, kinds[i].scheme_12);
		assert_exchange_form(29, 32);
		tls_describe(&w, text);
		assert_string_equal(text, "");
		close_wire();
		open_wire();
	}
}

static void
test_schemes(void **state)
{
	static const struct {
		const char	*sni;
		int		 version;
		const char	*sigalgs;
		uint32_t	 scheme;
	} cases[] = {
		{ NULL, TLS1_2_VERSION, "ECDSA+SHA512", SIGN_ECDSA_SHA512 },
		{ "p384.example", TLS1_2_VERSION, "ECDSA+SHA384",
		    SIGN_ECDSA_SHA384 },
		{ "a.rsa.example", TLS1_2_VERSION, "RSA+SHA256",
		    SIGN_RSA_PKCS1_SHA256 },
		{ "a.rsa.example", TLS1_2_VERSION, "RSA+SHA384",
		    SIGN_RSA_PKCS1_SHA384 },
		{ "a.rsa.example", TLS1_2_VERSION, "RSA+SHA512",
		    SIGN_RSA_PKCS1_SHA512 },
		{ "a.rsa.example", TLS1_2_VERSION, "rsa_pss_rsae_sha512",
		    SIGN_RSA_PSS_SHA512 },
		{ "a.rsa.example", TLS1_3_VERSION, "rsa_pss_rsae_sha384",
		    SIGN_RSA_PSS_SHA384 },
		{ "a.rsa.example", TLS1_3_VERSION, "rsa_pss_rsae_sha512",
		    SIGN_RSA_PSS_SHA512 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct client c = { .sni = cases[i].sni };

		c.version = cases[i].version;
		c.sigalgs = cases[i].sigalgs;
		serve_talk(&c);
		assert_int_equal(peer_asked.scheme, cases[i].scheme);
		close_wire();
		open_wire();
	}
}

static void
test_groups(void **state)
{
	/* X448 is not ours: its key share leads to a HelloRetryRequest. */
	static const char *const groups[] = {
		"P-384", "P-384:X25519", "X448:P-256", "X448:P-384",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		struct client c = { .version = TLS1_3_VERSION };

		c.groups = groups[i];
		serve_talk(&c);
		assert_int_equal(peer_asked.calls, 1);
		close_wire();
		open_wire();
	}
}

#define X25519MLKEM768	0x11ec

static void
after_group(struct client *c)
{
	/* OpenSSL marks numbers that have no NID of its own. */
	c->got = SSL_get_negotiated_group(c->ssl) & 0xffff;
}

/* Post-quantum, where the library has it (OpenSSL 3.5). */
static void
test_hybrid_group(void **state)
{
	struct client c = { .version = TLS1_3_VERSION, .after = after_group };
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	int has_it;

	(void)state;
	has_it = SSL_CTX_set1_groups_list(context, "X25519MLKEM768") == 1;
	SSL_CTX_free(context);
	ERR_clear_error();
	if (!has_it)
		skip();
	c.groups = "X25519MLKEM768:X25519";
	start(&c);
	assert_int_equal(accept_it(), WIRE_OK);
	finish(&c);
	assert_int_equal(c.got, X25519MLKEM768);
}

static void
after_describe(struct client *c)
{
	c->got = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(c->ssl));
}

static void
test_describe(void **state)
{
	struct client c = { .version = TLS1_3_VERSION };
	struct client old = { .version = TLS1_2_VERSION };
	char text[TLS_TEXT_MAX];

	(void)state;
	tls_describe(&w, text);
	assert_string_equal(text, "");
	c.after = after_describe;
	start(&c);
	assert_int_equal(accept_it(), WIRE_OK);
	tls_describe(&w, text);
	assert_string_equal(text, "TLSv1.3 TLS_AES_128_GCM_SHA256");
	finish(&c);
	assert_int_equal(c.got, 0x1301);
	close_wire();
	open_wire();
	old.after = after_describe;
	start(&old);
	assert_int_equal(accept_it(), WIRE_OK);
	tls_describe(&w, text);
	assert_string_equal(text, "TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256");
	finish(&old);
}

static void
test_names(void **state)
{
	static const struct {
		const char	*sni;
		const char	*subject;
	} cases[] = {
		{ NULL, "first" }, { "unknown.example", "first" },
		{ "p384.example", "p384" }, { "P384.EXAMPLE", "p384" },
		{ "p384.example.", "p384" }, { "xp384.example", "first" },
		{ "p384.exampl", "first" }, { "a.rsa.example", "rsa" },
		{ "A.Rsa.Example", "rsa" }, { "a.b.rsa.example", "first" },
		{ "rsa.example", "first" }, { ".rsa.example", "first" },
		{ "exact.rsa.example", "exact" }, { "*.rsa.example", "rsa" },
		{ "com", "first" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct client c = { .sni = cases[i].sni };

		serve_talk(&c);
		assert_string_equal(c.subject, cases[i].subject);
		assert_int_equal(c.chain, i < 2 ? 2 : c.chain);
		close_wire();
		open_wire();
	}
}

static void
test_alpn(void **state)
{
	static const struct {
		const char	*offer;
		size_t		 len;
		int		 is_taken;
	} cases[] = {
		{ "\4pop3", 5, 1 }, { "\4imap\4pop3", 10, 1 },
		{ "\10http/1.1", 9, 0 }, { "\2h2\10http/1.1", 12, 0 },
		{ "\4POP3", 5, 0 }, { "\5pop3s", 6, 0 }, { "\3pop", 4, 0 },
	};
	size_t i;
	int version;

	(void)state;
	for (i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		struct client c = { .alpn = cases[i / 2].offer };

		version = i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION;
		c.alpn_len = cases[i / 2].len;
		c.version = version;
		if (cases[i / 2].is_taken) {
			serve_talk(&c);
			assert_string_equal(c.alpn_chosen, "pop3");
		} else {
			start(&c);
			assert_int_equal(accept_it(), WIRE_ERROR);
			assert_string_equal(tls_error(),
			    "no application protocol");
			finish(&c);
			assert_string_equal(c.error,
			    "tlsv1 alert no application protocol");
			assert_int_equal(peer_asked.calls, 0);
		}
		close_wire();
		open_wire();
	}
}

static void
assert_refused(struct client *c, const char *ours, const char *theirs)
{
	start(c);
	assert_int_equal(accept_it(), WIRE_ERROR);
	assert_string_equal(tls_error(), ours);
	finish(c);
	assert_false(c->is_agreed);
	assert_non_null(strstr(c->error, theirs));
	/* And nothing goes out in the clear now. */
	wire_put_line(&w, "secret", 6);
	assert_int_equal(wire_flush(&w), WIRE_EOF);
	close_wire();
	open_wire();
}

static void
test_refused(void **state)
{
	struct client old = { .version = TLS1_1_VERSION };
	struct client no_dh = { .version = TLS1_2_VERSION };
	struct client cbc = { .version = TLS1_2_VERSION };
	struct client no_group = { .groups = "P-521" };
	struct client sha1 = { .version = TLS1_2_VERSION };
	struct client unsigned_ = { .version = 0 };

	(void)state;
	old.ciphers = "ALL:@SECLEVEL=0";
	assert_refused(&old, "unsupported protocol", "alert protocol version");
	no_dh.ciphers = "AES128-GCM-SHA256";
	assert_refused(&no_dh, "no shared cipher", "alert handshake failure");
	cbc.ciphers = "ECDHE-ECDSA-AES128-SHA";
	assert_refused(&cbc, "no shared cipher", "alert handshake failure");
	assert_refused(&no_group, "no suitable key share",
	    "alert handshake failure");
	sha1.sigalgs = "ECDSA+SHA1";
	assert_refused(&sha1, "no shared signature algorithms",
	    "alert handshake failure");
	peer_asked.refuses = 1;
	assert_refused(&unsigned_, "not signed", "alert internal error");
	unsigned_ = (struct client){ .version = TLS1_2_VERSION };
	peer_asked.refuses = 1;
	assert_refused(&unsigned_, "not signed", "alert internal error");
}

static void
test_not_tls(void **state)
{
	static const struct {
		const char	*said;
		const char	*error;
	} cases[] = {
		{ "GET / HTTP/1.0\r\n\r\n", "http request" },
		{ "POST / HTTP/1.0\r\n\r\n", "http request" },
		{ "CONNECT a:25 HTTP/1.0\r\n\r\n", "https proxy request" },
		{ "USER alice\r\nPASS secret\r\n", "wrong version number" },
		{ "EHLO there\r\n", "wrong version number" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(write(peer, cases[i].said,
		    strlen(cases[i].said)) > 0);
		assert_int_equal(accept_it(), WIRE_ERROR);
		assert_string_equal(tls_error(), cases[i].error);
		close_wire();
		open_wire();
	}
}

static void
test_ends(void **state)
{
	(void)state;
	close(peer);
	peer = -1;
	assert_int_equal(accept_it(), WIRE_EOF);
	assert_string_equal(tls_error(), "closed");
	close_wire();
	open_wire();
	/* the head of a record, and no more */
	assert_int_equal(write(peer, "\26\3\1\2\0\1", 6), 6);
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	assert_int_equal(accept_it(), WIRE_EOF);
	assert_string_equal(tls_error(), "closed");
	assert_int_equal(peer_asked.calls, 0);
}

/* Octets that come one by one don't set the clock back. */
static void *
drip(void *arg)
{
	static const char hello[] = "\26\3\1\2\0\1\0\1\374";
	int fd = *(int *)arg;
	size_t i;

	for (i = 0; i < 100; i++) {
		if (send(fd, i < sizeof(hello) - 1 ? hello + i : "", 1,
		    MSG_NOSIGNAL) == -1)
			break;
		usleep(20000);
	}
	return NULL;
}

static void
test_timeout(void **state)
{
	pthread_t thread;
	int64_t begun = wire_clock();

	(void)state;
	assert_int_equal(tls_accept(&w, 50, peer_sign, NULL), WIRE_TIMEOUT);
	assert_string_equal(tls_error(), "timeout");
	assert_int_equal(pthread_create(&thread, NULL, drip, &peer), 0);
	assert_int_equal(tls_accept(&w, 200, peer_sign, NULL), WIRE_TIMEOUT);
	assert_in_range(wire_clock() - begun, 245, 60000);
	assert_true(heard > 1);
	shutdown(w.fd, SHUT_RDWR);
	pthread_join(thread, NULL);
}

static void
test_watch(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	w.watch = pair[0];
	close(pair[1]);
	assert_int_equal(accept_it(), WIRE_SHUTDOWN);
	assert_string_equal(tls_error(), "shutdown");
	close(pair[0]);
}

static void
test_no_resumption(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	unsigned int len;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct client c = { .version = versions[i] };
		struct client again = { .version = versions[i] };

		c.after = talk;
		start(&c);
		assert_int_equal(accept_it(), WIRE_OK);
		echo_line();
		tls_close(&w);
		pthread_join(c.thread, NULL);
		assert_false(SSL_SESSION_has_ticket(c.session));
		assert_false(SSL_SESSION_is_resumable(c.session));
		SSL_SESSION_get_id(c.session, &len);
		if (versions[i] == TLS1_2_VERSION)
			assert_int_equal(len, 0);
		close_wire();
		open_wire();
		again.resume = c.session;
		serve_talk(&again);
		assert_false(again.is_reused);
		assert_int_equal(peer_asked.calls, 1);
		SSL_SESSION_free(c.session);
		close_wire();
		open_wire();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TLS_TEST(test_kinds),
		TLS_TEST(test_schemes),
		TLS_TEST(test_groups),
		TLS_TEST(test_hybrid_group),
		TLS_TEST(test_describe),
		TLS_TEST(test_names),
		TLS_TEST(test_alpn),
		TLS_TEST(test_refused),
		TLS_TEST(test_not_tls),
		TLS_TEST(test_ends),
		TLS_TEST(test_timeout),
		TLS_TEST(test_watch),
		TLS_TEST(test_no_resumption),
	};

	return cmocka_run_group_tests_name("test_tls", tests, setup_all,
	    teardown_all);
}
