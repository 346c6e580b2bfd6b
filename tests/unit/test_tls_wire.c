/* LINK: wire/tls wire/tls_transport wire/tls_policy wire/tls_context wire/tls_rehearse wire/provider wire/provider_key wire/provider_sign wire/wire privsep/signer_content privsep/log privsep/message */
/* LIBS: -lssl -lcrypto */
/*
 * test_tls_wire: the wire over TLS: what is said after the handshake, how it
 * ends, and what is left in memory.
 */
#include "tls_session.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TLS_TEST(test_renegotiation),
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

	return cmocka_run_group_tests_name("test_tls_wire", tests, setup_all,
	    teardown_all);
}
