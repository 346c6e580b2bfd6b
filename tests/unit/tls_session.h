/*
 * tls_session: one end of a TLS connection on a wire, a client of tls_peer.h
 * at the other. For the test_tls programs, which have one source each.
 */
#ifndef TESTS_TLS_SESSION_H
#define TESTS_TLS_SESSION_H

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

/* No test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

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

#define TLS_TEST(t)	cmocka_unit_test_setup_teardown(t, setup, teardown)

#endif
