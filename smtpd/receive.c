/*
 * receive: DATA, and what it has in common with BDAT.  The content goes from
 * the connection down the agent's pipe; the agent alone counts, limits, writes
 * and syncs, and says what became of it.
 *
 * Runs in the worker, as worker-user, confined; touches the connection, the
 * write end of the pipe, and the gate through smtpd/stubs.c.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "receive.h"

/*
 * An agent that takes nothing for so long is stuck.  It is a disk that it may
 * be waiting for, so this is generous.
 */
#define PIPE_PATIENCE_MS	120000

/*
 * Who sends slower than this, after a while that everybody gets, only wants to
 * keep the session busy (C16).
 */
#define SLOW_GRACE	600	/* seconds */
#define SLOW_RATE	64	/* octets a second */

/*
 * The agent answers 552 at the end.  Somebody who goes on far beyond the limit
 * never comes to an end, and is not waited for.
 */
#define FAR_FACTOR	4
#define FAR_OCTETS	(64ULL * 1024 * 1024)

static void
close_pipe(struct receive *receive)
{
	if (receive->pipe != -1)
		close(receive->pipe);
	receive->pipe = -1;
}

/* Content that was made here, of any length. */
static void
put_octets(void *arg, const uint8_t *octets, size_t len)
{
	struct session *session = arg;
	size_t n;

	for (; len > 0; octets += n, len -= n) {
		if (session->out_len == sizeof(session->out))
			receive_flush(session);
		n = sizeof(session->out) - session->out_len;
		if (n > len)
			n = len;
		memcpy(session->out + session->out_len, octets, n);
		session->out_len += n;
	}
}

void
receive_end(struct session *session)
{
	struct receive *receive = &session->receive;
	uint8_t line_end;

	if (session->transaction.is_binarymime) {
		binary_end(&receive->binary);
		receive->data.fault = receive->binary.fault;
	} else if (data_end(&receive->data, &line_end) == 1)
		put_octets(session, &line_end, 1);
	if (receive->data.fault != DATA_GOOD)
		session->out_len = 0;
}

int
receive_open(struct session *session, int is_chunked, struct verdict *verdict)
{
	struct receive *receive = &session->receive;

	if (ask_data(session->worker->gate, verdict, &receive->pipe) == -1) {
		session_gate_failed(session);
		return -1;
	}
	if (verdict->code != 354)
		return 0;
	data_init(&receive->data, is_chunked);
	binary_init(&receive->binary, put_octets, session);
	receive->written = 0;
	receive->started = session_clock();
	session->out_len = 0;
	return 1;
}

/* Write what was gathered; a pipe that fails is given up. */
void
receive_flush(struct session *session)
{
	struct receive *receive = &session->receive;
	struct pollfd pfd = { .fd = receive->pipe, .events = POLLOUT };
	size_t done = 0;
	ssize_t n;

	while (receive->pipe != -1 && done < session->out_len) {
		if (poll(&pfd, 1, PIPE_PATIENCE_MS) == 0) {
			close_pipe(receive);
			break;
		}
		n = write(receive->pipe, session->out + done,
		    session->out_len - done);
		if (n > 0)
			done += (size_t)n;
		else if (n == -1 && errno != EAGAIN && errno != EINTR)
			close_pipe(receive);
	}
	receive->written += done;
	session->out_len = 0;
}

/* The same as text. */
static void
take_binary(struct receive *receive, const uint8_t *chunk, size_t len)
{
	binary_take(&receive->binary, chunk, len);
	receive->data.octets += len;
	receive->data.fault = receive->binary.fault;
}

size_t
receive_take(struct session *session, const uint8_t *chunk, size_t len)
{
	struct receive *receive = &session->receive;
	size_t used = len, n = 0;

	if (len > sizeof(session->out) - session->out_len)
		receive_flush(session);
	if (session->transaction.is_binarymime)
		take_binary(receive, chunk, len);
	else
		used = data_take(&receive->data, chunk, len,
		    session->out + session->out_len, &n);
	wire_consume(&session->wire, used);
	session->out_len += n;
	/* Of a faulty message the agent needs no more. */
	if (receive->data.fault != DATA_GOOD) {
		session->out_len = 0;
		close_pipe(receive);
	}
	return used;
}

int
receive_is_slow(uint64_t octets, time_t since)
{
	uint64_t elapsed = (uint64_t)(session_clock() - since);

	return elapsed > SLOW_GRACE + octets / SLOW_RATE;
}

int
receive_is_far_too_big(const struct session *session, uint64_t octets)
{
	uint64_t limit = session->worker->config->message_size_limit;

	return limit > 0 && limit < UINT64_MAX / (2 * FAR_FACTOR) &&
	    octets > FAR_FACTOR * limit + FAR_OCTETS;
}

enum receive_outcome
receive_chunk(struct session *session, const uint8_t **chunk, size_t *len)
{
	switch (wire_chunk(&session->wire, chunk, len)) {
	case WIRE_OK:
		return RECEIVE_GOOD;
	case WIRE_TIMEOUT:
		return RECEIVE_TIMEOUT;
	case WIRE_SHUTDOWN:
		return RECEIVE_SHUTDOWN;
	case WIRE_TOO_LONG:
	case WIRE_EOF:
	case WIRE_ERROR:
		break;
	}
	return RECEIVE_GONE;
}

/* Read up to the end of the data, which stays readable whatever happens. */
static enum receive_outcome
receive_data(struct session *session)
{
	struct receive *receive = &session->receive;
	const uint8_t *chunk;
	enum receive_outcome outcome;
	size_t len;

	while (!data_is_done(&receive->data)) {
		outcome = receive_chunk(session, &chunk, &len);
		if (outcome != RECEIVE_GOOD)
			return outcome;
		(void)receive_take(session, chunk, len);
		if (receive_is_slow(receive->data.octets, receive->started))
			return RECEIVE_SLOW;
		if (receive_is_far_too_big(session, receive->data.octets))
			return RECEIVE_FAR_TOO_BIG;
	}
	return RECEIVE_GOOD;
}

/* All of it is in the pipe: the agent decides. */
static void
commit(struct session *session)
{
	uint32_t recipients = session->transaction.recipients;
	struct verdict verdict;

	if (ask_commit(session->worker->gate, session->receive.written,
	    &verdict) == -1) {
		session_gate_failed(session);
		return;
	}
	session_forget(session);
	if (verdict_is_success(&verdict)) {
		session->messages++;
		session->idle = 0;
	}
	session_outcome(session, recipients, &verdict);
}

void
receive_conclude(struct session *session, int is_last)
{
	struct receive *receive = &session->receive;
	uint32_t replies = is_last ? session->transaction.recipients : 1;
	const char *fault = data_fault_text(&receive->data);
	struct verdict verdict = { 451, "4.3.0",
	    "Could not store the message" };
	int was_lost;

	receive_flush(session);
	was_lost = receive->pipe == -1;
	close_pipe(receive);
	if (fault == NULL && !was_lost) {
		commit(session);
		return;
	}
	if (session_abort(session) == -1)
		return;
	if (fault != NULL) {
		session->errors++;
		verdict.code = 554;
		strlcpy(verdict.enhanced, "5.6.0", sizeof(verdict.enhanced));
		strlcpy(verdict.text, fault, sizeof(verdict.text));
	}
	session_outcome(session, replies, &verdict);
}

void
receive_give_up(struct session *session, enum receive_outcome outcome)
{
	if (session_abort(session) == -1)
		return;
	switch (outcome) {
	case RECEIVE_TIMEOUT:
		session_end(session, "421 4.4.2 Timeout, closing");
		break;
	case RECEIVE_SHUTDOWN:
		session_hung_up(session);
		break;
	case RECEIVE_SLOW:
		session_end(session, "421 4.4.2 Data comes too slowly");
		break;
	case RECEIVE_FAR_TOO_BIG:
		session_end(session, "552 5.3.4 Message far too big, closing");
		break;
	case RECEIVE_GONE:
	case RECEIVE_GOOD:
		session->is_over = 1;
		break;
	}
}

void
command_data(struct session *session, char *argument)
{
	struct verdict verdict;
	enum receive_outcome outcome;
	int is_open;

	(void)argument;
	if (session->transaction.is_binarymime) {
		session_refuse(session, "503 5.5.1 BINARYMIME needs BDAT");
		return;
	}
	if ((is_open = receive_open(session, 0, &verdict)) == -1)
		return;
	session_verdict(session, &verdict);
	if (!is_open)
		return;
	outcome = receive_data(session);
	if (outcome == RECEIVE_GOOD)
		receive_conclude(session, 1);
	else
		receive_give_up(session, outcome);
}
