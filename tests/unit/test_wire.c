/* LINK: wire/wire */
/*
 * test_wire: lines, limits, batches and time over a socketpair.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "wire/wire.h"

static struct wire w;
static int peer;
static int heard;

static void
count_heard(void *arg)
{
	(void)arg;
	heard++;
}

static void
open_pair(int type, int timeout_ms)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, type, 0, fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	peer = fds[1];
	heard = 0;
	wire_init(&w, fds[0], timeout_ms);
	w.heard = count_heard;
}

static int
setup(void **state)
{
	(void)state;
	open_pair(SOCK_STREAM, 100);
	return 0;
}

static int
setup_packets(void **state)
{
	(void)state;
	open_pair(SOCK_SEQPACKET, 100);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	close(w.fd);
	if (peer != -1)
		close(peer);
	return 0;
}

static void
say(const char *s, size_t len)
{
	assert_int_equal(write(peer, s, len), (ssize_t)len);
}

static void
assert_line(size_t max, int lf_ok, const char *expected, size_t expected_len)
{
	size_t len;
	char *line;

	assert_int_equal(wire_line(&w, max, lf_ok, &line, &len), WIRE_OK);
	assert_int_equal(len, expected_len);
	assert_memory_equal(line, expected, len + 1);
}

static void
assert_status(size_t max, int lf_ok, enum wire_status status)
{
	size_t len;
	char *line;

	assert_int_equal(wire_line(&w, max, lf_ok, &line, &len), status);
}

#define SAY(s)			say(s, sizeof(s) - 1)
#define ASSERT_LINE(m, l, s)	assert_line(m, l, s, sizeof(s) - 1)

static void
test_line_ends(void **state)
{
	(void)state;
	SAY("one\r\ntwo\nthree\r\r\n\n\r\nnul\0nul\r\n");
	ASSERT_LINE(100, 1, "one");
	ASSERT_LINE(100, 1, "two");
	ASSERT_LINE(100, 1, "three\r");
	ASSERT_LINE(100, 1, "");
	ASSERT_LINE(100, 1, "");
	ASSERT_LINE(100, 1, "nul\0nul");
	assert_int_equal(heard, 1);
}

static void
test_crlf_only(void **state)
{
	(void)state;
	SAY("a\nb\r\n\n\r\nc\rd\r\n");
	ASSERT_LINE(100, 0, "a\nb");
	ASSERT_LINE(100, 0, "\n");
	ASSERT_LINE(100, 0, "c\rd");
	/* The CR of the line before does not count. */
	SAY("x\r\n\n");
	ASSERT_LINE(100, 0, "x");
	assert_status(100, 0, WIRE_TIMEOUT);
}

static void
test_trickle(void **state)
{
	static const char text[] = "USER somebody\r\nPASS x\r\n";
	struct wire copy;
	size_t split;

	(void)state;
	w.timeout_ms = 0;
	copy = w;
	for (split = 1; split < 15; split++) {
		w = copy;
		say(text, split);
		assert_status(100, 1, WIRE_TIMEOUT);
		say(text + split, sizeof(text) - 1 - split);
		ASSERT_LINE(100, 1, "USER somebody");
		ASSERT_LINE(100, 1, "PASS x");
	}
}

static void
test_limit(void **state)
{
	(void)state;
	SAY("12345678\r\n123456789\r\n123456789\nok\r\n");
	ASSERT_LINE(10, 1, "12345678");
	assert_status(10, 1, WIRE_TOO_LONG);
	ASSERT_LINE(10, 1, "123456789");
	ASSERT_LINE(10, 1, "ok");
}

static void
test_limit_beyond_buffer(void **state)
{
	static char big[WIRE_IN_SIZE * 3 + 7];
	int lf_ok;

	(void)state;
	memset(big, 'x', sizeof(big));
	for (lf_ok = 0; lf_ok < 2; lf_ok++) {
		say(big, sizeof(big));
		SAY("\r\nnext\r\n");
		assert_status(WIRE_IN_SIZE - 1, lf_ok, WIRE_TOO_LONG);
		ASSERT_LINE(100, lf_ok, "next");
	}
	/* The longest line that is one. */
	say(big, WIRE_IN_SIZE - 3);
	SAY("\r\n");
	assert_line(WIRE_IN_SIZE - 1, 0, (big[WIRE_IN_SIZE - 3] = '\0', big),
	    WIRE_IN_SIZE - 3);
}

/* A transport that gives one octet a time. */
static ssize_t
drip(struct wire *from, void *buf, size_t len)
{
	const char **text = from->transport;

	if (**text == '\0' || len == 0)
		return 0;
	*(char *)buf = *(*text)++;
	return 1;
}

/* A CR at the very end of what is thrown away still belongs to its LF. */
static void
test_limit_one_octet_a_time(void **state)
{
	const char *text = "xxxxxxxxx\r\nok\r\nxxxxxxx\r\n123456\r\n"
	    "x\nx\rxxxxxxx\n\rx\r\nlast\r\n";

	(void)state;
	w.transport_read = drip;
	w.transport = &text;
	assert_status(8, 0, WIRE_TOO_LONG);
	ASSERT_LINE(8, 0, "ok");
	assert_status(8, 0, WIRE_TOO_LONG);
	ASSERT_LINE(8, 0, "123456");
	assert_status(8, 0, WIRE_TOO_LONG);
	ASSERT_LINE(8, 0, "last");
	assert_status(8, 0, WIRE_EOF);
}

/* One write for all replies to what came together. */
static void
test_batch(void **state)
{
	char buf[64];

	(void)state;
	SAY("a\r\nb\r\nc\r\n");
	ASSERT_LINE(10, 1, "a");
	wire_printf(&w, "+OK %d\r\n", 1);
	ASSERT_LINE(10, 1, "b");
	wire_put(&w, "+OK 2\r\n", 7);
	ASSERT_LINE(10, 1, "c");
	wire_put_line(&w, "+OK 3", 5);
	assert_int_equal(recv(peer, buf, sizeof(buf), MSG_DONTWAIT), -1);
	assert_status(10, 1, WIRE_TIMEOUT);
	assert_int_equal(recv(peer, buf, sizeof(buf), MSG_DONTWAIT), 21);
	assert_memory_equal(buf, "+OK 1\r\n+OK 2\r\n+OK 3\r\n", 21);
	assert_int_equal(recv(peer, buf, sizeof(buf), MSG_DONTWAIT), -1);
}

static void
test_end_of_file(void **state)
{
	(void)state;
	SAY("whole\r\npart");
	close(peer);
	peer = -1;
	ASSERT_LINE(10, 1, "whole");
	assert_status(10, 1, WIRE_EOF);
}

static void
test_peer_gone(void **state)
{
	(void)state;
	close(peer);
	peer = -1;
	wire_put(&w, "x", 1);
	assert_int_equal(wire_flush(&w), WIRE_EOF);
	assert_int_equal(w.failed, WIRE_EOF);
	wire_put(&w, "x", 1);
	wire_printf(&w, "x");
	assert_int_equal(w.out_len, 0);
	assert_status(10, 1, WIRE_EOF);
}

/* A peer that does not read is not waited for longer than the timeout. */
static void
test_reader_stalls(void **state)
{
	static char big[WIRE_OUT_SIZE * 2];
	int i;

	(void)state;
	w.timeout_ms = 20;
	for (i = 0; i < 1000 && w.failed == WIRE_OK; i++)
		wire_put(&w, big, sizeof(big));
	assert_int_equal(w.failed, WIRE_TIMEOUT);
}

/* The clock of a line is not set back by a few octets more (C16). */
static void
test_deadline_of_a_line(void **state)
{
	pid_t child;

	(void)state;
	w.timeout_ms = 60;
	child = fork();
	assert_int_not_equal(child, -1);
	if (child == 0) {
		while (write(peer, "x", 1) == 1)
			usleep(10000);
		_exit(0);
	}
	/* Not all thousand octets are waited for, nor an end that never is. */
	assert_status(1000, 1, WIRE_TIMEOUT);
	assert_true(wire_buffered(&w) < 1000);
	kill(child, SIGKILL);
}

static void
test_output_any_size(void **state)
{
	static uint8_t out[5 * WIRE_OUT_SIZE], in[sizeof(out)];
	static const size_t sizes[] = { 1, 7, WIRE_OUT_SIZE - 1, WIRE_OUT_SIZE,
	    WIRE_OUT_SIZE + 1, 2 * WIRE_OUT_SIZE };
	size_t i, at = 0, got = 0;
	ssize_t n;

	(void)state;
	for (i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + i / 251);
	for (i = 0; at < sizeof(out); i++) {
		size_t len = sizes[i % 6];

		if (len > sizeof(out) - at)
			len = sizeof(out) - at;
		wire_put(&w, out + at, len);
		at += len;
		/* More than a socket takes: make room. */
		while ((n = recv(peer, in + got, sizeof(in) - got,
		    MSG_DONTWAIT)) > 0)
			got += (size_t)n;
	}
	assert_int_equal(wire_flush(&w), WIRE_OK);
	while (got < sizeof(in)) {
		n = read(peer, in + got, sizeof(in) - got);
		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_memory_equal(in, out, sizeof(in));
}

static void
test_put_line_at_the_border(void **state)
{
	static char line[WIRE_OUT_SIZE], got[2 * WIRE_OUT_SIZE];
	size_t fill, len, at;

	(void)state;
	memset(line, 'y', sizeof(line));
	for (fill = WIRE_OUT_SIZE - 8; fill < WIRE_OUT_SIZE; fill++) {
		wire_put(&w, line, fill);
		wire_put_line(&w, "abc", 3);
		assert_int_equal(wire_flush(&w), WIRE_OK);
		len = fill + 5;
		for (at = 0; at < len; )
			at += (size_t)read(peer, got + at, len - at);
		assert_memory_equal(got + fill, "abc\r\n", 5);
	}
}

static void
test_printf_too_big(void **state)
{
	static char big[WIRE_OUT_SIZE + 1];

	(void)state;
	memset(big, 'z', sizeof(big) - 1);
	wire_printf(&w, "%s", big);
	assert_int_equal(w.failed, WIRE_ERROR);
	assert_int_equal(w.error, EMSGSIZE);
}

static void
test_printf_needs_room(void **state)
{
	static char big[WIRE_OUT_SIZE - 4];
	static char got[WIRE_OUT_SIZE + 64];
	size_t at;

	(void)state;
	memset(big, 'z', sizeof(big));
	wire_put(&w, big, sizeof(big));
	wire_printf(&w, "%s\r\n", "after");
	assert_int_equal(wire_flush(&w), WIRE_OK);
	for (at = 0; at < sizeof(big) + 7; )
		at += (size_t)read(peer, got + at, sizeof(got) - at);
	assert_memory_equal(got + sizeof(big), "after\r\n", 7);
}

static void
test_chunks(void **state)
{
	const uint8_t *chunk;
	size_t len;

	(void)state;
	SAY("DATA\r\nabcdef\r\nQUIT\r\n");
	ASSERT_LINE(100, 0, "DATA");
	assert_int_equal(wire_chunk(&w, &chunk, &len), WIRE_OK);
	assert_int_equal(len, 14);
	assert_memory_equal(chunk, "abcdef", 6);
	wire_consume(&w, 8);
	assert_int_equal(wire_buffered(&w), 6);
	ASSERT_LINE(100, 0, "QUIT");
	assert_int_equal(wire_chunk(&w, &chunk, &len), WIRE_TIMEOUT);
}

/* What is watched ends a wait, but not what is already there to be read. */
static void
test_watched_end(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	w.watch = fds[0];
	w.timeout_ms = 20;
	assert_status(100, 1, WIRE_TIMEOUT);
	close(fds[1]);
	SAY("NOOP\r\n");
	ASSERT_LINE(100, 1, "NOOP");
	assert_status(100, 1, WIRE_SHUTDOWN);
	close(fds[0]);
}

/* Once a secret was wiped where it stood, the buffer has none of it. */
static void
test_secret_leaves_nothing(void **state)
{
	size_t len;
	char *line;

	(void)state;
	w.timeout_ms = 0;
	SAY("USER a\r\nPASS sec");
	ASSERT_LINE(100, 1, "USER a");
	assert_status(100, 1, WIRE_TIMEOUT);
	SAY("ret-of-mine\r\n");
	assert_int_equal(wire_line(&w, 100, 1, &line, &len), WIRE_OK);
	assert_string_equal(line, "PASS secret-of-mine");
	explicit_bzero(line, len);
	assert_null(memmem(w.in, sizeof(w.in), "sec", 3));
	assert_null(memmem(w.in, sizeof(w.in), "mine", 4));
	SAY("PASS a-secret-too-long\r\nNOOP\r\n");
	assert_status(10, 1, WIRE_TOO_LONG);
	assert_null(memmem(w.in, sizeof(w.in), "secret", 6));
	ASSERT_LINE(100, 1, "NOOP");
}

/* As TLS may: a reader that has to write first, a writer that has to read. */
static int rounds;

static ssize_t
contrary_read(struct wire *self, void *buf, size_t len)
{
	(void)len;
	if (rounds++ == 0) {
		self->transport_wants = POLLOUT;
		errno = EAGAIN;
		return -1;
	}
	self->transport_wants = 0;
	memcpy(buf, "NOOP\r\n", 6);
	return 6;
}

static ssize_t
contrary_write(struct wire *self, const void *buf, size_t len)
{
	(void)buf;
	if (rounds++ == 0) {
		self->transport_wants = POLLIN;
		errno = EAGAIN;
		return -1;
	}
	self->transport_wants = 0;
	return (ssize_t)len;
}

static void
test_transport_wants(void **state)
{
	(void)state;
	w.transport_read = contrary_read;
	w.transport_write = contrary_write;
	rounds = 0;
	ASSERT_LINE(100, 0, "NOOP");	/* there is nothing to poll for */
	assert_int_equal(rounds, 2);
	rounds = 0;
	wire_put(&w, "+OK\r\n", 5);
	SAY("x");
	assert_int_equal(wire_flush(&w), WIRE_OK);
	assert_int_equal(rounds, 2);
	rounds = 0;
	assert_int_equal(read(w.fd, &(char){ 0 }, 1), 1);
	wire_put(&w, "+OK\r\n", 5);
	assert_int_equal(wire_flush(&w), WIRE_TIMEOUT);
}

/* Always ready, never done: the deadline comes all the same. */
static ssize_t
busy_read(struct wire *self, void *buf, size_t len)
{
	(void)self;
	(void)buf;
	(void)len;
	rounds++;
	errno = EAGAIN;
	return -1;
}

static void
test_deadline_of_the_busy(void **state)
{
	int64_t begun = wire_clock();

	(void)state;
	SAY("x");
	w.transport_read = busy_read;
	assert_status(100, 0, WIRE_TIMEOUT);
	assert_in_range(wire_clock() - begun, 100, 60000);
}

/* Somebody else works on the answer. */
static int answer[2];

static void
test_await(void **state)
{
	int watched[2];

	(void)state;
	assert_int_equal(pipe(answer), 0);
	assert_int_equal(pipe(watched), 0);
	w.timeout_ms = 1500;
	w.watch = watched[0];
	/* Nothing is heard, and what the peer says is none. */
	SAY("x");
	assert_int_equal(wire_await(&w, answer[0]), WIRE_TIMEOUT);
	/* The answer comes before anything else. */
	assert_int_equal(write(answer[1], "x", 1), 1);
	close(watched[1]);
	assert_int_equal(wire_await(&w, answer[0]), WIRE_OK);
	assert_int_equal(read(answer[0], &(char){ 0 }, 1), 1);
	assert_int_equal(wire_await(&w, answer[0]), WIRE_SHUTDOWN);
	close(watched[0]);
	w.watch = -1;
	close(peer);
	peer = -1;
	assert_int_equal(wire_await(&w, answer[0]), WIRE_EOF);
	close(answer[0]);
	close(answer[1]);
}

/* It has closed, but it reads: a second, or as long as it has more to say. */
static void
test_await_half_closed(void **state)
{
	int64_t begun = wire_clock();

	(void)state;
	assert_int_equal(pipe(answer), 0);
	w.timeout_ms = 1500;
	SAY("QUIT\r\n");
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	assert_int_equal(wire_await(&w, answer[0]), WIRE_TIMEOUT);
	/* That was all. */
	assert_status(1, 0, WIRE_TOO_LONG);
	assert_int_equal(wire_await(&w, answer[0]), WIRE_EOF);
	assert_true(wire_clock() - begun >= 3500);
	close(answer[0]);
	close(answer[1]);
}

#define WIRE_TEST(t)	cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WIRE_TEST(test_line_ends),
		WIRE_TEST(test_crlf_only),
		WIRE_TEST(test_trickle),
		WIRE_TEST(test_limit),
		WIRE_TEST(test_limit_beyond_buffer),
		WIRE_TEST(test_limit_one_octet_a_time),
		cmocka_unit_test_setup_teardown(test_batch, setup_packets,
		    teardown),
		WIRE_TEST(test_end_of_file),
		WIRE_TEST(test_peer_gone),
		WIRE_TEST(test_reader_stalls),
		WIRE_TEST(test_deadline_of_a_line),
		WIRE_TEST(test_output_any_size),
		WIRE_TEST(test_put_line_at_the_border),
		WIRE_TEST(test_printf_too_big),
		WIRE_TEST(test_printf_needs_room),
		WIRE_TEST(test_chunks),
		WIRE_TEST(test_watched_end),
		WIRE_TEST(test_transport_wants),
		WIRE_TEST(test_deadline_of_the_busy),
		WIRE_TEST(test_secret_leaves_nothing),
		WIRE_TEST(test_await),
		WIRE_TEST(test_await_half_closed)
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
