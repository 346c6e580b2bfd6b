/* LINK: wire/tls wire/tls_transport wire/tls_policy wire/tls_context wire/tls_rehearse wire/provider wire/provider_key wire/provider_sign wire/wire privsep/signer_content privsep/log privsep/message */
/* LIBS: -lssl -lcrypto */
/*
 * test_tls: handshakes with a real client, what is refused, and the wire over
 * TLS.
 */
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <linux/sockios.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/rand.h>

#include "tls_peer.h"
#include "wire/tls.h"
#include "wire/wire.h"

#define SECONDS	1000	/* ms */
#define MEGABYTE ((size_t)1 << 20)

static struct wire w;
static int peer = -1;		/* its end, while the test has it */
static int heard;

static void
count_heard(void *arg)
{
	(void)arg;
	heard++;
}

static int
setup_all(void **state)
{
	(void)state;
	peer_make_ring();
	tls_warm(&peer_ring, "pop3");
	return tls_is_ready() ? 0 : -1;
}

static int
teardown_all(void **state)
{
	(void)state;
	peer_free_ring();
	return 0;
}

static void
open_wire(void)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	peer = fds[1];
	heard = 0;
	memset(&peer_asked, 0, sizeof(peer_asked));
	wire_init(&w, fds[0], 10 * SECONDS);
	w.heard = count_heard;
}

static int
setup(void **state)
{
	(void)state;
	open_wire();
	return 0;
}

static void
close_wire(void)
{
	tls_close(&w);
	close(w.fd);
	if (peer != -1)
		close(peer);
	peer = -1;
}

static int
teardown(void **state)
{
	(void)state;
	close_wire();
	return 0;
}

static void
start(struct client *c)
{
	c->fd = peer;
	peer = -1;
	assert_int_equal(pthread_create(&c->thread, NULL, client_run, c), 0);
}

static void
finish(struct client *c)
{
	pthread_join(c->thread, NULL);
	SSL_SESSION_free(c->session);
}

static enum wire_status
accept_it(void)
{
	return tls_accept(&w, 10 * SECONDS, peer_sign, NULL);
}

/* A whole session: the client's line back, then goodbye. */
static void
talk(struct client *c)
{
	static const char said[] = "hello\r\n";
	char buf[16];

	if (SSL_write(c->ssl, said, 7) == 7 &&
	    SSL_read(c->ssl, buf, sizeof(buf)) == 7 &&
	    memcmp(buf, said, 7) == 0)
		c->got = 7;
	/* close_notify */
	if (SSL_read(c->ssl, buf, sizeof(buf)) == 0 &&
	    SSL_get_error(c->ssl, 0) == SSL_ERROR_ZERO_RETURN &&
	    SSL_get_shutdown(c->ssl) == SSL_RECEIVED_SHUTDOWN)
		c->got++;
}

static void
echo_line(void)
{
	char *line;
	size_t len;

	assert_int_equal(wire_line(&w, 100, 0, &line, &len), WIRE_OK);
	wire_put_line(&w, line, len);
	assert_int_equal(wire_flush(&w), WIRE_OK);
}

static void
serve_talk(struct client *c)
{
	c->after = talk;
	start(c);
	assert_int_equal(accept_it(), WIRE_OK);
	assert_string_equal(tls_error(), "");
	echo_line();
	tls_close(&w);
	assert_int_equal(wire_chunk(&w, &(const uint8_t *){ NULL },
	    &(size_t){ 0 }), WIRE_EOF);
	finish(c);
	assert_true(c->is_agreed);
	assert_int_equal(c->got, 8);
}

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
ask_renegotiation(struct client *c)
{
	char buf[8];

	SSL_renegotiate(c->ssl);
	SSL_do_handshake(c->ssl);
	/* Their refusal comes as a warning that ends this client. */
	if (SSL_read(c->ssl, buf, sizeof(buf)) <= 0 &&
	    ERR_GET_REASON(ERR_peek_error()) == SSL_R_NO_RENEGOTIATION)
		c->got = 1;
}

static void
test_renegotiation(void **state)
{
	struct client c = { .version = TLS1_2_VERSION };
	char *line;
	size_t len;

	(void)state;
	c.after = ask_renegotiation;
	start(&c);
	assert_int_equal(accept_it(), WIRE_OK);
	assert_int_not_equal(wire_line(&w, 100, 0, &line, &len), WIRE_OK);
	finish(&c);
	assert_int_equal(c.got, 1);
	assert_int_equal(peer_asked.calls, 1);
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

/* A megabyte there, a megabyte back, through small buffers. */
static void
bulk(struct client *c)
{
	static uint8_t out[MEGABYTE], in[MEGABYTE];
	size_t i, n;

	for (i = 0; i < MEGABYTE; i++)
		out[i] = (uint8_t)(i % 251);
	for (i = 0; i < MEGABYTE; i += n)
		if (SSL_write_ex(c->ssl, out + i, i + 5000 < MEGABYTE ? 5000 :
		    MEGABYTE - i, &n) != 1)
			return;
	for (i = 0; i < MEGABYTE; i += n)
		if (SSL_read_ex(c->ssl, in + i, MEGABYTE - i, &n) != 1)
			return;
	if (memcmp(in, out, MEGABYTE) == 0)
		c->got = MEGABYTE;
}

static void
test_bulk(void **state)
{
	static uint8_t all[MEGABYTE];
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	const uint8_t *chunk;
	size_t i, have, len;
	int small = 2048;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct client c = { .version = versions[i], .after = bulk };

		setsockopt(w.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
		setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
		start(&c);
		assert_int_equal(accept_it(), WIRE_OK);
		for (have = 0; have < MEGABYTE; have += len) {
			assert_int_equal(wire_chunk(&w, &chunk, &len), WIRE_OK);
			assert_true(len <= MEGABYTE - have);
			memcpy(all + have, chunk, len);
			wire_consume(&w, len);
		}
		/* small pieces through the buffer, then the rest at once */
		for (have = 0; have < 100000; have += 100)
			wire_put(&w, all + have, 100);
		wire_put(&w, all + have, MEGABYTE - have);
		assert_int_equal(wire_flush(&w), WIRE_OK);
		finish(&c);
		assert_int_equal(c.got, MEGABYTE);
		close_wire();
		open_wire();
	}
}

/* The peer ends with and without close_notify; both are an end of file. */
static void
say_goodbye(struct client *c)
{
	SSL_write(c->ssl, "QUIT\r\n", 6);
	SSL_shutdown(c->ssl);
}

static void
say_nothing(struct client *c)
{
	SSL_write(c->ssl, "QUIT\r\n", 6);
}

static void
test_end_of_file(void **state)
{
	static void (*const ways[])(struct client *) = {
		say_goodbye, say_nothing,
	};
	char *line;
	size_t i, len;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct client c = { .after = ways[i / 2] };

		c.version = i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION;
		start(&c);
		assert_int_equal(accept_it(), WIRE_OK);
		finish(&c);
		assert_int_equal(wire_line(&w, 100, 0, &line, &len), WIRE_OK);
		assert_string_equal(line, "QUIT");
		assert_int_equal(wire_line(&w, 100, 0, &line, &len), WIRE_EOF);
		/* The client is gone: no SIGPIPE, no error but the end. */
		wire_put_line(&w, "bye", 3);
		assert_int_equal(wire_flush(&w), WIRE_EOF);
		close_wire();
		open_wire();
	}
}

/* A record that was touched on its way. */
static void
spoil(struct client *c)
{
	static const char record[] = "\27\3\3\0\40" "0123456789abcdef"
	    "0123456789abcdef";

	if (write(c->fd, record, sizeof(record) - 1) > 0)
		(void)SSL_read(c->ssl, &(char){ 0 }, 1);
	c->got = ERR_GET_REASON(ERR_peek_error()) ==
	    SSL_R_SSLV3_ALERT_BAD_RECORD_MAC;
}

static void
test_spoiled(void **state)
{
	struct client c = { .after = spoil };
	char *line;
	size_t len;

	(void)state;
	start(&c);
	assert_int_equal(accept_it(), WIRE_OK);
	assert_int_equal(wire_line(&w, 100, 0, &line, &len), WIRE_ERROR);
	wire_put_line(&w, "bye", 3);
	assert_int_equal(wire_flush(&w), WIRE_EOF);
	finish(&c);
	assert_int_equal(c.got, 1);
}

/* Records without end that carry nothing don't hold up the line's clock. */
static void
update_keys(struct client *c)
{
	while (SSL_key_update(c->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
	    SSL_do_handshake(c->ssl) == 1)
		c->got++;
}

static void
test_key_update_flood(void **state)
{
	struct client c = { .version = TLS1_3_VERSION, .after = update_keys };
	int64_t begun;
	char *line;
	size_t len;

	(void)state;
	start(&c);
	assert_int_equal(accept_it(), WIRE_OK);
	w.timeout_ms = 200;
	begun = wire_clock();
	assert_int_equal(wire_line(&w, 100, 0, &line, &len), WIRE_TIMEOUT);
	assert_in_range(wire_clock() - begun, 199, 60000);
	shutdown(w.fd, SHUT_RDWR);
	finish(&c);
	assert_true(c.got > 10);
}

/*
 * The client wants our key changed, and takes nothing for a while: the answer
 * to that and the reply wait for room together.
 */
static void
want_update(struct client *c)
{
	char buf[4096];

	if (SSL_key_update(c->ssl, SSL_KEY_UPDATE_REQUESTED) == 1 &&
	    SSL_do_handshake(c->ssl) == 1 &&
	    SSL_write(c->ssl, "hello\r\n", 7) == 7)
		c->got = 1;
	usleep(300000);
	while (SSL_read(c->ssl, buf, sizeof(buf)) > 0)
		c->got++;
}

static void
fill_socket(void)
{
	int queued, size;

	assert_int_equal(getsockopt(w.fd, SOL_SOCKET, SO_SNDBUF, &size,
	    &(socklen_t){ sizeof(size) }), 0);
	for (;;) {
		assert_int_equal(ioctl(w.fd, SIOCOUTQ, &queued), 0);
		if (queued >= size)
			return;
		assert_int_equal(w.transport_write(&w, "x", 1), 1);
	}
}

static void
test_key_update(void **state)
{
	struct client c = { .version = TLS1_3_VERSION, .after = want_update };
	int small = 2048;

	(void)state;
	start(&c);
	assert_int_equal(accept_it(), WIRE_OK);
	setsockopt(w.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	fill_socket();
	echo_line();
	assert_int_equal(w.transport_wants, 0);
	tls_close(&w);
	finish(&c);
	assert_true(c.got > 1);
}

/* Where in our writable memory is the pattern, each octet masked? */
static size_t
count_in_memory(const uint8_t *masked, size_t len, uint8_t mask)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	static uint8_t page[1 << 16];
	unsigned long from, to, at;
	char line[512], mode[8];
	size_t found = 0, i, j;
	ssize_t n;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 ||
		    mode[1] != 'w' || to - from > 1UL << 30)
			continue;
		for (at = from; at < to; at += sizeof(page) - len) {
			n = pread(mem, page, sizeof(page), (off_t)at);
			for (i = 0; n > 0 && i + len <= (size_t)n; i++) {
				for (j = 0; j < len; j++)
					if (page[i + j] != (masked[j] ^ mask))
						break;
				found += j == len;
			}
			explicit_bzero(page, sizeof(page));
		}
	}
	fclose(maps);
	close(mem);
	return found;
}

#define SECRET_LEN	24
#define MASK		0x55

static void
tell_secret(struct client *c)
{
	uint8_t line[5 + SECRET_LEN + 2] = "PASS ";
	size_t i;

	for (i = 0; i < SECRET_LEN; i++)
		line[5 + i] = (uint8_t)('A' + i * 7 % 26);
	memcpy(line + 5 + SECRET_LEN, "\r\n", 2);
	SSL_write(c->ssl, line, sizeof(line));
	(void)SSL_read(c->ssl, line, 1);
}

/*
 * A line's secret is in memory once, where the wire has it; and when it is
 * wiped there, nowhere.
 */
static void
test_secret(void **state)
{
	struct client c = { .fd = peer, .after = tell_secret };
	uint8_t masked[SECRET_LEN];
	char *line;
	size_t i, len;
	pid_t pid;

	(void)state;
	for (i = 0; i < SECRET_LEN; i++)
		masked[i] = (uint8_t)(('A' + i * 7 % 26) ^ MASK);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		close(w.fd);
		client_run(&c);
		_exit(0);
	}
	close(peer);
	peer = -1;
	assert_int_equal(accept_it(), WIRE_OK);
	assert_int_equal(wire_line(&w, 100, 0, &line, &len), WIRE_OK);
	assert_int_equal(len, 5 + SECRET_LEN);
	assert_int_equal(count_in_memory(masked, SECRET_LEN, MASK), 1);
	explicit_bzero(line, len);
	assert_int_equal(count_in_memory(masked, SECRET_LEN, MASK), 0);
	tls_close(&w);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* What two workers draw after their fork has nothing in common. */
static void
test_fork_randoms(void **state)
{
	uint8_t drawn[3][32];
	int fds[2], i;
	pid_t pid;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(pipe(fds), 0);
		pid = fork();
		assert_int_not_equal(pid, -1);
		if (pid == 0) {
			if (RAND_bytes(drawn[2], 32) != 1 ||
			    write(fds[1], drawn[2], 32) != 32)
				_exit(1);
			_exit(0);
		}
		assert_int_equal(read(fds[0], drawn[i], 32), 32);
		close(fds[0]);
		close(fds[1]);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	assert_int_equal(RAND_bytes(drawn[2], 32), 1);
	assert_memory_not_equal(drawn[0], drawn[1], 32);
	assert_memory_not_equal(drawn[0], drawn[2], 32);
	assert_memory_not_equal(drawn[1], drawn[2], 32);
}

/* STLS: what was pending goes out in the clear, before the handshake. */
static void
test_pending_reply(void **state)
{
	struct client c = { .after = talk };
	char buf[8];

	(void)state;
	wire_put_line(&w, "+OK", 3);
	assert_int_equal(wire_flush(&w), WIRE_OK);
	assert_int_equal(read(peer, buf, 5), 5);
	wire_put_line(&w, "+OK", 3);
	assert_int_equal(tls_accept(&w, 10, peer_sign, NULL), WIRE_TIMEOUT);
	assert_int_equal(read(peer, buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "+OK\r\n", 5);
	close_wire();
	open_wire();
	serve_talk(&c);
}

/* Input behind STLS is the caller's to refuse; it must not get this far. */
static void
test_unread_input(void **state)
{
	int status;
	char *line;
	size_t len;
	pid_t pid;

	(void)state;
	assert_int_equal(write(peer, "STLS\r\nNOOP\r\n", 12), 12);
	assert_int_equal(wire_line(&w, 100, 0, &line, &len), WIRE_OK);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(1);
		(void)accept_it();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

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

#define TLS_TEST(t)	cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest certificates[] = {
		cmocka_unit_test(test_bad_certificates),
	};
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
		TLS_TEST(test_renegotiation),
		TLS_TEST(test_no_resumption),
		TLS_TEST(test_bulk),
		TLS_TEST(test_end_of_file),
		TLS_TEST(test_spoiled),
		TLS_TEST(test_key_update_flood),
		TLS_TEST(test_key_update),
		TLS_TEST(test_secret),
		cmocka_unit_test(test_fork_randoms),
		TLS_TEST(test_pending_reply),
		TLS_TEST(test_unread_input),
	};
	int failed;

	/* first, while this process has no TLS yet */
	failed = cmocka_run_group_tests_name("test_tls: certificates",
	    certificates, NULL, NULL);
	return failed + cmocka_run_group_tests_name("test_tls", tests,
	    setup_all, teardown_all);
}
