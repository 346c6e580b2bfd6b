/*
 * wire: bounded lines in, buffered replies out, over a transport.
 *
 * Runs in the worker, as worker-user, confined; touches the client's
 * connection only.
 */
#include <sys/socket.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "wire.h"

#define NO_DEADLINE	(-1)	/* not asked for yet */
#define HALF_CLOSED_MS	1000	/* one that only listens gets an answer */

static ssize_t
plain_read(struct wire *w, void *buf, size_t len)
{
	return recv(w->fd, buf, len, 0);
}

static ssize_t
plain_write(struct wire *w, const void *buf, size_t len)
{
	return send(w->fd, buf, len, MSG_NOSIGNAL);
}

void
wire_init(struct wire *w, int fd, int timeout_ms)
{
	/* The buffers are not cleared: a page untouched costs nothing. */
	w->fd = fd;
	w->timeout_ms = timeout_ms;
	w->watch = -1;
	w->watch_loosely = 0;
	w->transport_read = plain_read;
	w->transport_write = plain_write;
	w->transport = NULL;
	w->transport_wants = 0;
	w->heard = NULL;
	w->heard_arg = NULL;
	w->failed = WIRE_OK;
	w->error = 0;
	w->in_start = w->in_end = 0;
	w->out_len = 0;
}

int64_t
wire_clock(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
tell_heard(struct wire *w)
{
	if (w->heard != NULL)
		w->heard(w->heard_arg);
}

/*
 * A time that has passed is looked at before the descriptor is: a peer that
 * always has octets ready, but never enough of them, gains nothing by it.
 */
enum wire_status
wire_wait(struct wire *w, short events, int64_t deadline)
{
	struct pollfd pfd[2] = {
		{ .fd = w->fd, .events = events },
		{ .fd = w->watch, .events = w->watch_loosely ? 0 : POLLIN },
	};
	int64_t now, left = -1;
	int n;

	do {
		if (deadline >= 0) {
			now = wire_clock();
			if (now > deadline)
				return WIRE_TIMEOUT;
			left = deadline - now;
		}
		n = poll(pfd, 2, left < INT_MAX ? (int)left : INT_MAX);
	} while (n == -1 && errno == EINTR);
	if (n == 0)
		return WIRE_TIMEOUT;
	if (n == -1)
		return WIRE_ERROR;
	return pfd[1].revents != 0 ? WIRE_SHUTDOWN : WIRE_OK;
}

/* Has the peer closed, and is nothing that it said left to be read? */
static int
is_spent(const struct wire *w)
{
	uint8_t octet;
	ssize_t n;

	if (w->in_start < w->in_end)
		return 0;
	n = recv(w->fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT);
	return n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR);
}

enum wire_status
wire_await(struct wire *w, int fd)
{
	struct pollfd pfd[3] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = w->watch, .events = POLLIN },
		{ .fd = w->fd },	/* at first for its reset only */
	};
	int n, is_late = 0;

	for (;;) {
		n = poll(pfd, 3, is_late ? w->timeout_ms : HALF_CLOSED_MS);
		if (n == -1 && errno != EINTR)
			return WIRE_ERROR;
		if (pfd[0].revents != 0)
			return WIRE_OK;
		if (pfd[1].revents != 0)
			return WIRE_SHUTDOWN;
		if ((pfd[2].revents & ~POLLRDHUP) != 0 ||
		    (pfd[2].revents != 0 && is_spent(w)))
			return WIRE_EOF;
		if (n == 0 && is_late)
			return WIRE_TIMEOUT;
		/* One that has more to say is not asked again. */
		pfd[2].events = n == 0 ? POLLRDHUP : 0;
		is_late = 1;
	}
}

/*
 * Wait for what the transport needs.  The clock starts at the first wait of
 * a line or a buffer and is not set back by a few octets more (C16).
 */
static enum wire_status
wait_ready(struct wire *w, short events, int64_t *deadline)
{
	if (*deadline == NO_DEADLINE && w->timeout_ms >= 0)
		*deadline = wire_clock() + w->timeout_ms;
	if (w->transport_wants != 0)
		events = w->transport_wants;
	return wire_wait(w, events, *deadline);
}

static enum wire_status
wire_fail(struct wire *w, enum wire_status status)
{
	w->failed = status;
	w->error = errno;
	w->out_len = 0;
	return status;
}

static enum wire_status
write_all(struct wire *w, const uint8_t *p, size_t len)
{
	enum wire_status status;
	int64_t deadline = NO_DEADLINE;
	ssize_t n;

	while (len > 0) {
		n = w->transport_write(w, p, len);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
			continue;
		}
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EPIPE || errno == ECONNRESET))
			return wire_fail(w, WIRE_EOF);
		if (n == -1 && errno != EAGAIN)
			return wire_fail(w, WIRE_ERROR);
		status = wait_ready(w, POLLOUT, &deadline);
		if (status != WIRE_OK)
			return wire_fail(w, status);
		tell_heard(w);
	}
	return WIRE_OK;
}

enum wire_status
wire_flush(struct wire *w)
{
	size_t len = w->out_len;

	if (w->failed != WIRE_OK) {
		errno = w->error;
		return w->failed;
	}
	w->out_len = 0;
	return write_all(w, w->out, len);
}

size_t
wire_room(struct wire *w, size_t least, uint8_t **room)
{
	if (sizeof(w->out) - w->out_len < least)
		(void)wire_flush(w);
	if (w->failed != WIRE_OK)
		return 0;
	*room = w->out + w->out_len;
	return sizeof(w->out) - w->out_len;
}

void
wire_advance(struct wire *w, size_t len)
{
	w->out_len += len;
}

void
wire_put(struct wire *w, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t room;

	while (len > 0 && w->failed == WIRE_OK) {
		if (w->out_len == 0 && len >= sizeof(w->out)) {
			(void)write_all(w, p, len);
			return;
		}
		room = sizeof(w->out) - w->out_len;
		if (room > len)
			room = len;
		memcpy(w->out + w->out_len, p, room);
		w->out_len += room;
		p += room;
		len -= room;
		if (w->out_len == sizeof(w->out))
			(void)wire_flush(w);
	}
}

void
wire_put_line(struct wire *w, const void *line, size_t len)
{
	uint8_t *p;

	/* One comparison for what nearly every line is. */
	if (w->failed == WIRE_OK && len < sizeof(w->out) &&
	    sizeof(w->out) - w->out_len > len + 2) {
		p = w->out + w->out_len;
		memcpy(p, line, len);
		p[len] = '\r';
		p[len + 1] = '\n';
		w->out_len += len + 2;
		return;
	}
	wire_put(w, line, len);
	wire_put(w, "\r\n", 2);
}

void
wire_printf(struct wire *w, const char *fmt, ...)
{
	va_list ap;
	size_t room;
	int n, tries;

	for (tries = 0; tries < 2 && w->failed == WIRE_OK; tries++) {
		room = sizeof(w->out) - w->out_len;
		va_start(ap, fmt);
		n = vsnprintf((char *)w->out + w->out_len, room, fmt, ap);
		va_end(ap);
		if (n >= 0 && (size_t)n < room) {
			w->out_len += (size_t)n;
			return;
		}
		(void)wire_flush(w);
	}
	if (w->failed == WIRE_OK) {
		errno = EMSGSIZE;
		(void)wire_fail(w, WIRE_ERROR);
	}
}

/*
 * Move what is left to the front, so that there is room behind it, and leave
 * no second copy of it.
 */
static void
pull_up(struct wire *w)
{
	size_t len = w->in_end - w->in_start, old_end = w->in_end;

	if (w->in_start == 0)
		return;
	memmove(w->in, w->in + w->in_start, len);
	w->in_start = 0;
	w->in_end = len;
	explicit_bzero(w->in + len, old_end - len);
}

/* Send what is pending, then read more behind what is there. */
static enum wire_status
fill(struct wire *w, int64_t *deadline)
{
	enum wire_status status;
	ssize_t n;

	if (w->out_len > 0 || w->failed != WIRE_OK) {
		status = wire_flush(w);
		if (status != WIRE_OK)
			return status;
	}
	if (w->in_start == w->in_end)
		w->in_start = w->in_end = 0;
	else
		pull_up(w);
	for (;;) {
		n = w->transport_read(w, w->in + w->in_end,
		    sizeof(w->in) - w->in_end);
		if (n > 0) {
			w->in_end += (size_t)n;
			tell_heard(w);
			return WIRE_OK;
		}
		if (n == 0 || errno == ECONNRESET)
			return WIRE_EOF;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return WIRE_ERROR;
		status = wait_ready(w, POLLIN, deadline);
		if (status != WIRE_OK)
			return status;
	}
}

/*
 * The LF that ends the line, looking from offset from (relative to the start
 * of the input), or NULL.
 */
static uint8_t *
find_end(struct wire *w, size_t from, int lf_ok)
{
	uint8_t *start = w->in + w->in_start, *end = w->in + w->in_end;
	uint8_t *p = start + from, *lf;

	while (p < end && (lf = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		if (lf_ok || (lf > start && lf[-1] == '\r'))
			return lf;
		p = lf + 1;
	}
	return NULL;
}

/* Throw the line away up to its end, wherever that is. */
static enum wire_status
skip_line(struct wire *w, int lf_ok, int64_t *deadline)
{
	enum wire_status status;
	uint8_t *lf;
	size_t drop;

	while ((lf = find_end(w, 0, lf_ok)) == NULL) {
		/* Its last octet may be the CR of the CR LF to come. */
		drop = w->in_end - w->in_start;
		if (drop > 0)
			drop--;
		explicit_bzero(w->in + w->in_start, drop);
		w->in_start += drop;
		status = fill(w, deadline);
		if (status != WIRE_OK)
			return status;
	}
	drop = (size_t)(lf + 1 - (w->in + w->in_start));
	explicit_bzero(w->in + w->in_start, drop);
	w->in_start += drop;
	return WIRE_TOO_LONG;
}

enum wire_status
wire_line(struct wire *w, size_t max, int lf_ok, char **line, size_t *len)
{
	enum wire_status status;
	int64_t deadline = NO_DEADLINE;
	size_t have, seen = 0, n;
	uint8_t *start, *lf;

	while ((lf = find_end(w, seen, lf_ok)) == NULL) {
		have = w->in_end - w->in_start;
		if (have >= max)
			return skip_line(w, lf_ok, &deadline);
		seen = have;
		status = fill(w, &deadline);
		if (status != WIRE_OK)
			return status;
	}
	start = w->in + w->in_start;
	n = (size_t)(lf - start);
	if (n + 1 > max)
		return skip_line(w, lf_ok, &deadline);
	w->in_start += n + 1;
	if (n > 0 && start[n - 1] == '\r')
		n--;
	start[n] = '\0';
	*line = (char *)start;
	*len = n;
	return WIRE_OK;
}

enum wire_status
wire_chunk(struct wire *w, const uint8_t **chunk, size_t *len)
{
	enum wire_status status;
	int64_t deadline = NO_DEADLINE;

	if (w->in_start == w->in_end) {
		status = fill(w, &deadline);
		if (status != WIRE_OK)
			return status;
	}
	*chunk = w->in + w->in_start;
	*len = w->in_end - w->in_start;
	return WIRE_OK;
}

void
wire_consume(struct wire *w, size_t n)
{
	size_t have = w->in_end - w->in_start;

	w->in_start += n < have ? n : have;
}

size_t
wire_buffered(const struct wire *w)
{
	return w->in_end - w->in_start;
}

int
wire_has_input(struct wire *w)
{
	ssize_t n;

	if (w->in_start < w->in_end)
		return 1;
	w->in_start = w->in_end = 0;
	n = w->transport_read(w, w->in, sizeof(w->in));
	if (n == -1)
		return errno != EAGAIN && errno != EINTR;
	w->in_end = (size_t)n;
	return 1;
}
