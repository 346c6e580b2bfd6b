/*
 * tls_transport: one session's handshake and transport, whichever side began.
 *
 * Runs in the worker, as worker-user, and in the relay's children, as
 * relay-user, confined; touches the one connection.
 */
#include <sys/socket.h>

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "../privsep/log.h"
#include "tls.h"
#include "tls_policy.h"
#include "tls_transport.h"

/* The one session of this process. */
static struct session {
	SSL		*ssl;		/* NULL: none */
	struct wire	*wire;
	int64_t		 deadline;	/* of the handshake; -1: it is over */
	int		 is_ended;	/* the connection had its end of file */
	int		 is_broken;	/* OpenSSL must not be asked again */
} session;

static char error_text[TLS_REASON_MAX];

/*
 * The connection as OpenSSL sees it.  A socket BIO of its own would use
 * write(2), which raises SIGPIPE.
 */
static int
bio_write(BIO *bio, const char *buf, int len)
{
	ssize_t n;

	BIO_clear_retry_flags(bio);
	n = send(session.wire->fd, buf, (size_t)len, MSG_NOSIGNAL);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_write(bio);
	return (int)n;
}

/*
 * The clock of a handshake is looked at here: OpenSSL reads on without coming
 * back to us while a peer sends records that lead nowhere.
 */
static int
bio_read(BIO *bio, char *buf, int len)
{
	ssize_t n;

	BIO_clear_retry_flags(bio);
	if (session.deadline >= 0 && wire_clock() > session.deadline) {
		errno = EAGAIN;
		n = -1;
	} else
		n = recv(session.wire->fd, buf, (size_t)len, 0);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(bio);
	session.is_ended = n == 0;
	return (int)n;
}

static long
bio_ctrl(BIO *bio, int command, long larg, void *parg)
{
	(void)bio;
	(void)larg;
	(void)parg;
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return session.is_ended;
	}
	return 0;
}

static BIO *
bio_open(void)
{
	static BIO_METHOD *method;
	BIO *bio;

	if (method == NULL) {
		method = BIO_meth_new(BIO_get_new_index() |
		    BIO_TYPE_SOURCE_SINK, "wire");
		if (method == NULL ||
		    BIO_meth_set_write(method, bio_write) != 1 ||
		    BIO_meth_set_read(method, bio_read) != 1 ||
		    BIO_meth_set_ctrl(method, bio_ctrl) != 1)
			return NULL;
	}
	bio = BIO_new(method);
	if (bio != NULL)
		BIO_set_init(bio, 1);
	return bio;
}

/* Never again in the clear, whatever the caller does with the wire now. */
static ssize_t
closed_read(struct wire *w, void *buf, size_t len)
{
	(void)w;
	(void)buf;
	(void)len;
	return 0;
}

static ssize_t
closed_write(struct wire *w, const void *buf, size_t len)
{
	(void)w;
	(void)buf;
	(void)len;
	errno = EPIPE;
	return -1;
}

static void
session_end(struct wire *w)
{
	int saved = errno;

	SSL_free(session.ssl);
	memset(&session, 0, sizeof(session));
	ERR_clear_error();
	w->transport = NULL;
	w->transport_wants = 0;
	w->transport_read = closed_read;
	w->transport_write = closed_write;
	errno = saved;
}

/* How a transport says what OpenSSL said; 0 only for the end of file. */
static ssize_t
transport_result(struct wire *w, int r)
{
	int saved = errno;

	switch (SSL_get_error(session.ssl, r)) {
	case SSL_ERROR_WANT_READ:
		w->transport_wants = POLLIN;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_WANT_WRITE:
		w->transport_wants = POLLOUT;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		session.is_broken = 1;
		errno = saved != 0 ? saved : ECONNRESET;
		return -1;
	}
	/* An alert's reason is its number on top: the peer gave up. */
	session.is_broken = 1;
	errno = ERR_GET_REASON(ERR_peek_error()) >= SSL_AD_REASON_OFFSET ?
	    ECONNRESET : EPROTO;
	return -1;
}

/*
 * Straight into the caller's buffer.  OpenSSL decrypts a record where it
 * received it, wipes what was taken from there (SSL_OP_CLEANSE_PLAINTEXT), and
 * has no other copy: so a secret is gone when the wire's line is wiped and the
 * record was read to its end.
 */
static ssize_t
tls_read(struct wire *w, void *buf, size_t len)
{
	size_t n;
	int r;

	if (session.is_broken) {
		errno = ECONNRESET;
		return -1;
	}
	w->transport_wants = 0;
	ERR_clear_error();
	errno = 0;
	r = SSL_read_ex(session.ssl, buf, len, &n);
	return r == 1 ? (ssize_t)n : transport_result(w, r);
}

static ssize_t
tls_write(struct wire *w, const void *buf, size_t len)
{
	ssize_t result;
	size_t n;
	int r;

	if (session.is_broken) {
		errno = EPIPE;
		return -1;
	}
	w->transport_wants = 0;
	ERR_clear_error();
	errno = 0;
	r = SSL_write_ex(session.ssl, buf, len, &n);
	if (r == 1)
		return (ssize_t)n;
	result = transport_result(w, r);
	if (result == 0) {
		errno = EPIPE;
		result = -1;
	}
	return result;
}

/* The handshake failed of itself. */
static enum wire_status
judge_failure(int error)
{
	int saved = errno;

	session.is_broken = 1;
	if (error_text[0] != '\0') {
		errno = EPROTO;
		return WIRE_ERROR;
	}
	if (ERR_peek_error() == 0) {
		if (session.is_ended || error == SSL_ERROR_ZERO_RETURN ||
		    saved == 0 || saved == EPIPE || saved == ECONNRESET) {
			strlcpy(error_text, "closed", sizeof(error_text));
			return WIRE_EOF;
		}
		strlcpy(error_text, strerror(saved), sizeof(error_text));
		errno = saved;
		return WIRE_ERROR;
	}
	tls_reason(error_text, "protocol error");
	errno = EPROTO;
	return WIRE_ERROR;
}

static enum wire_status
wait_for(struct wire *w, short events)
{
	enum wire_status status = wire_wait(w, events, session.deadline);

	switch (status) {
	case WIRE_OK:
		if (w->heard != NULL)
			w->heard(w->heard_arg);
		break;
	case WIRE_TIMEOUT:
		strlcpy(error_text, "timeout", sizeof(error_text));
		break;
	case WIRE_SHUTDOWN:
		strlcpy(error_text, "shutdown", sizeof(error_text));
		break;
	default:
		strlcpy(error_text, strerror(errno), sizeof(error_text));
		break;
	}
	return status;
}

static enum wire_status
shake(struct wire *w)
{
	enum wire_status status;
	int r, error;

	for (;;) {
		ERR_clear_error();
		errno = 0;
		r = SSL_do_handshake(session.ssl);
		if (r == 1)
			return WIRE_OK;
		error = SSL_get_error(session.ssl, r);
		if (error == SSL_ERROR_WANT_READ)
			status = wait_for(w, POLLIN);
		else if (error == SSL_ERROR_WANT_WRITE)
			status = wait_for(w, POLLOUT);
		else
			return judge_failure(error);
		if (status != WIRE_OK)
			return status;
	}
}

static int
session_begin(struct wire *w, SSL *ssl, int timeout_ms)
{
	BIO *bio;

	session.wire = w;
	session.deadline = timeout_ms < 0 ? -1 : wire_clock() + timeout_ms;
	session.ssl = ssl;
	bio = bio_open();
	if (ssl == NULL || bio == NULL) {
		BIO_free(bio);
		strlcpy(error_text, "no memory", sizeof(error_text));
		errno = ENOMEM;
		return -1;
	}
	SSL_set_bio(ssl, bio, bio);
	return 0;
}

enum wire_status
tls_transport_start(struct wire *w, SSL *ssl, int timeout_ms,
    void (*looked)(SSL *))
{
	enum wire_status status;

	if (session.ssl != NULL)
		bug("TLS on TLS");
	if (wire_buffered(w) > 0)
		bug("TLS behind unread input");
	error_text[0] = '\0';
	status = wire_flush(w);
	if (status != WIRE_OK) {
		strlcpy(error_text, "closed", sizeof(error_text));
		SSL_free(ssl);
		return status;
	}
	status = WIRE_ERROR;
	if (session_begin(w, ssl, timeout_ms) == 0)
		status = shake(w);
	if (looked != NULL && ssl != NULL)
		looked(ssl);
	if (status != WIRE_OK) {
		session_end(w);
		return status;
	}
	session.deadline = -1;
	w->transport = &session;
	w->transport_read = tls_read;
	w->transport_write = tls_write;
	/* Some 40 kB that only the handshake needed go back. */
	malloc_trim(0);
	return WIRE_OK;
}

void
tls_transport_reason(const char *reason)
{
	strlcpy(error_text, reason, sizeof(error_text));
}

const char *
tls_error(void)
{
	return error_text;
}

static int
is_tls(const struct wire *w)
{
	return w->transport == &session && session.ssl != NULL;
}

void
tls_describe(const struct wire *w, char text[TLS_TEXT_MAX])
{
	text[0] = '\0';
	if (is_tls(w))
		snprintf(text, TLS_TEXT_MAX, "%s %s",
		    SSL_get_version(session.ssl),
		    SSL_get_cipher_name(session.ssl));
}

/* One way: what the peer may still say is of no interest. */
void
tls_close(struct wire *w)
{
	if (!is_tls(w))
		return;
	if (!session.is_broken) {
		ERR_clear_error();
		(void)SSL_shutdown(session.ssl);
	}
	session_end(w);
}
