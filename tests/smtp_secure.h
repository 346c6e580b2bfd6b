/*
 * TLS and login for tests of SMTP's worker: a handshake is five octets, what
 * follows stays in the clear, and whether a login is good is in its name.
 *
 *	name	wait	LOGIN_TEMPFAIL
 *		last	LOGIN_LAST
 *		odd	a verdict that does not exist
 *		die	no answer
 *		no...	LOGIN_REFUSED
 *
 * On a wire without a descriptor fake_secure.handshake is what it comes to.
 */
#ifndef TESTS_SMTP_SECURE_H
#define TESTS_SMTP_SECURE_H

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "privsep/worker.h"
#include "wire/tls.h"

#define FAKE_HELLO	"HELLO"
#define FAKE_GOODBYE	"199 close_notify\r\n"
#define FAKE_TLS	"TLSv1.3 TLS_FAKE"

static struct {
	enum wire_status handshake;
	unsigned int	handshakes;
	unsigned int	closes;
	int		is_needed;	/* login, before anything else */
	int		is_done;
	unsigned int	tries;
	char		name[LOGIN_NAME_MAX];
	char		secret[LOGIN_SECRET_MAX];
	char		mechanism[LOGIN_MECHANISM_MAX];
	char		tls[LOGIN_TLS_MAX];
} fake_secure;

int
ask_sign(void *worker, uint32_t key, uint32_t scheme, const uint8_t *content,
    size_t content_len, uint8_t *signature, size_t *len)
{
	(void)worker;
	(void)key;
	(void)scheme;
	(void)content;
	(void)content_len;
	(void)signature;
	(void)len;
	return -1;
}

enum wire_status
tls_accept(struct wire *wire, int timeout_ms, tls_sign sign, void *arg)
{
	struct pollfd pfd = { .fd = wire->fd, .events = POLLIN };
	char hello[sizeof(FAKE_HELLO)] = "";
	size_t len;

	/* The contract of tls.h: all of it is the worker's word. */
	if (sign != ask_sign || arg == NULL || timeout_ms <= 0 ||
	    wire_buffered(wire) != 0 || wire->out_len != 0)
		abort();
	fake_secure.handshakes++;
	if (wire->fd == -1)
		return fake_secure.handshake;
	for (len = 0; len < sizeof(hello) - 1; len++) {
		if (poll(&pfd, 1, timeout_ms) != 1)
			return WIRE_TIMEOUT;
		if (recv(wire->fd, hello + len, 1, 0) != 1)
			return WIRE_EOF;
	}
	return strcmp(hello, FAKE_HELLO) == 0 ? WIRE_OK : WIRE_ERROR;
}

const char *
tls_error(void)
{
	return "no hello";
}

void
tls_describe(const struct wire *wire, char text[TLS_TEXT_MAX])
{
	(void)wire;
	strlcpy(text, FAKE_TLS, TLS_TEXT_MAX);
}

void
tls_close(struct wire *wire)
{
	if (wire->out_len != 0)
		abort();
	fake_secure.closes++;
	if (wire->fd != -1)
		(void)send(wire->fd, FAKE_GOODBYE, strlen(FAKE_GOODBYE),
		    MSG_NOSIGNAL);
}

int
ask_login(int gate, const char *name, char *secret, const char *mechanism,
    const char *tls, enum login_verdict *verdict)
{
	(void)gate;
	if (fake_secure.is_done || (strcmp(mechanism, "PLAIN") != 0 &&
	    strcmp(mechanism, "LOGIN") != 0) || name[0] == '\0')
		abort();
	fake_secure.tries++;
	strlcpy(fake_secure.name, name, sizeof(fake_secure.name));
	strlcpy(fake_secure.secret, secret, sizeof(fake_secure.secret));
	strlcpy(fake_secure.mechanism, mechanism,
	    sizeof(fake_secure.mechanism));
	strlcpy(fake_secure.tls, tls, sizeof(fake_secure.tls));
	explicit_bzero(secret, strlen(secret));
	*verdict = LOGIN_OK;
	if (strcmp(name, "die") == 0) {
		errno = EPIPE;
		return -1;
	}
	if (strcmp(name, "odd") == 0)
		*verdict = (enum login_verdict)77;
	else if (strcmp(name, "wait") == 0)
		*verdict = LOGIN_TEMPFAIL;
	else if (strcmp(name, "last") == 0)
		*verdict = LOGIN_LAST;
	else if (strncmp(name, "no", 2) == 0)
		*verdict = LOGIN_REFUSED;
	else
		fake_secure.is_done = 1;
	return 0;
}

/* Every gate_ask() of a test calls this first. */
static void
fake_secure_gate(void)
{
	if (fake_secure.is_needed && !fake_secure.is_done)
		abort();
}

#endif
