/*
 * relay_dialogue: commands out, replies in, and the clocks of both.
 *
 * Runs in the relay's children, as relay-user, confined; touches the
 * connection to the remote host.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../privsep/log.h"
#include "relay.h"

#define COMMAND_MAX	2048	/* octets with CR LF; ORCPT is the longest */
#define GOODBYE_MS	2000	/* for the reply to QUIT */
#define LAST_WORDS_MS	5000	/* for why the host closed */

void
relay_begin(struct relay *r, int gate, int64_t timeout_ms)
{
	r->gate = gate;
	r->minute_ms = timeout_ms / 5;
	r->deadline = -1;
	r->is_over = r->is_used = r->is_open = r->is_verified = 0;
	extensions_forget(&r->extensions);
	r->tls[0] = '\0';
	reply_begin(&r->reply);
	r->to_count = 0;
}

void
relay_limit(struct relay *r, int64_t minutes)
{
	r->deadline = wire_clock() + minutes * r->minute_ms;
}

void
relay_end(struct relay *r, const char *status, const char *text)
{
	reply_make(&r->reply, status, "%s", text);
	r->is_over = 1;
}

/* Longest wait from now: what this may take, and all may. */
static int
time_left(const struct relay *r, int64_t until)
{
	int64_t left;

	if (r->deadline >= 0 && r->deadline < until)
		until = r->deadline;
	left = until - wire_clock();
	return left <= 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

void
relay_block(struct relay *r)
{
	r->wire.timeout_ms = time_left(r, wire_clock() +
	    RELAY_BLOCK_MINUTES * r->minute_ms);
}

void
relay_say(struct relay *r, const char *fmt, ...)
{
	char command[COMMAND_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(command, sizeof(command) - 2, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(command) - 2)
		bug("a command of %d octets", n);
	wire_put_line(&r->wire, command, (size_t)n);
	explicit_bzero(command, (size_t)n);
}

/* Why there is no reply. */
static void
lose(struct relay *r, enum wire_status status)
{
	switch (status) {
	case WIRE_EOF:
		relay_end(r, "4.4.2", "the host closed the connection");
		break;
	case WIRE_TIMEOUT:
		relay_end(r, "4.4.2", "the host did not answer in time");
		break;
	case WIRE_TOO_LONG:
		relay_end(r, "4.5.0", "a line of the host's reply is too long");
		break;
	case WIRE_SHUTDOWN:
		relay_end(r, "4.3.2", "the queue has ended");
		break;
	default:
		relay_end(r, "4.4.2", strerror(errno));
		break;
	}
}

/*
 * A host that closed may have said why before: what it said is read, even if
 * what we had to say could not be sent.
 */
static enum wire_status
read_line(struct relay *r, int64_t until, char **line, size_t *len)
{
	struct wire *w = &r->wire;
	enum wire_status status;

	w->timeout_ms = time_left(r, until);
	status = wire_line(w, REPLY_LINE_MAX, 1, line, len);
	if (status != WIRE_EOF || w->failed != WIRE_EOF)
		return status;
	w->failed = WIRE_OK;
	w->out_len = 0;
	w->timeout_ms = time_left(r, wire_clock() + LAST_WORDS_MS);
	return wire_line(w, REPLY_LINE_MAX, 1, line, len);
}

static int
hear(struct relay *r, int minutes, struct extensions *extensions)
{
	int64_t until = wire_clock() + minutes * r->minute_ms;
	enum wire_status status;
	enum reply_step step;
	const char *rest;
	size_t len;
	char *line;

	reply_begin(&r->reply);
	do {
		status = read_line(r, until, &line, &len);
		if (status != WIRE_OK) {
			lose(r, status);
			return -1;
		}
		step = reply_take(&r->reply, line, len, &rest, &len);
		if (step <= REPLY_WHOLE && extensions != NULL &&
		    r->reply.lines > 1)
			extensions_take(extensions, rest, len);
	} while (step == REPLY_MORE);
	if (step == REPLY_GARBAGE)
		relay_end(r, "4.5.0", "what the host says is not SMTP");
	else if (step == REPLY_ENDLESS)
		relay_end(r, "4.5.0", "a reply of the host's has no end");
	else if (r->reply.code == 421)
		r->is_over = 1;
	return step == REPLY_WHOLE ? 0 : -1;
}

int
relay_hear(struct relay *r, int minutes)
{
	return hear(r, minutes, NULL);
}

int
relay_hear_ehlo(struct relay *r, int minutes)
{
	extensions_forget(&r->extensions);
	return hear(r, minutes, &r->extensions);
}

int
relay_keeps_quiet(struct relay *r, int is_looking)
{
	if (is_looking ? !wire_has_input(&r->wire) :
	    wire_buffered(&r->wire) == 0)
		return 0;
	if (relay_hear(r, 1) == 0 && r->reply.code != 421)
		relay_end(r, "4.5.0", "a reply that nobody asked for");
	return -1;
}

/*
 * The queue has closed, or will: so nobody is watched, and a host that does not
 * answer costs two seconds.
 */
void
relay_close(struct relay *r)
{
	if (r->wire.fd == -1)
		return;
	if (!r->is_over) {
		r->wire.watch = -1;
		r->deadline = wire_clock() + GOODBYE_MS;
		relay_say(r, "QUIT");
		(void)relay_hear(r, 1);
	}
	tls_close(&r->wire);
	close(r->wire.fd);
	r->wire.fd = -1;
	r->is_over = 1;
}
