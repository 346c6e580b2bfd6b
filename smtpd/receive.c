/*
 * receive: DATA.  The content goes from the connection down the agent's pipe;
 * the agent alone counts, limits, writes and syncs, and says what became of it.
 *
 * Runs in the worker, as worker-user, confined; touches the connection, the
 * write end of the pipe, and the gate through smtpd/stubs.c.
 */
#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"

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

/*
 * Content is gathered for large writes, but not for longer than this: the
 * agent, too, takes silence for death.
 */
#define GATHER_SECONDS	5

enum outcome {
	OUTCOME_END,		/* the end of the data was seen */
	OUTCOME_GONE,		/* the client closed, or the connection broke */
	OUTCOME_TIMEOUT,
	OUTCOME_SHUTDOWN,
	OUTCOME_SLOW,
	OUTCOME_FAR_TOO_BIG
};

struct receive {
	struct data	data;
	int		pipe;		/* -1: lost */
	uint64_t	written;	/* octets the agent was given */
	time_t		started;
	time_t		flushed;	/* when the agent last got some */
};

static void
close_pipe(struct receive *receive)
{
	if (receive->pipe != -1)
		close(receive->pipe);
	receive->pipe = -1;
}

/* Write what was gathered; a pipe that fails is given up. */
static void
flush_content(struct session *session, struct receive *receive)
{
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
	receive->flushed = session_clock();
	session->out_len = 0;
}

/* One piece of the stream, as long as there is any. */
static void
take_piece(struct session *session, struct receive *receive,
    const uint8_t *chunk, size_t len)
{
	size_t used, n;

	if (len > sizeof(session->out) - session->out_len)
		flush_content(session, receive);
	used = data_take(&receive->data, chunk, len,
	    session->out + session->out_len, &n);
	wire_consume(&session->wire, used);
	session->out_len += n;
	/* Of a faulty message the agent needs no more. */
	if (receive->data.fault != DATA_GOOD) {
		session->out_len = 0;
		close_pipe(receive);
	} else if (session_clock() - receive->flushed >= GATHER_SECONDS)
		flush_content(session, receive);
}

/* Has this gone on for longer, or grown bigger, than any message would? */
static enum outcome
check_patience(const struct session *session, const struct receive *receive)
{
	uint64_t limit = session->worker->config->message_size_limit;
	uint64_t elapsed = (uint64_t)(session_clock() - receive->started);

	if (elapsed > SLOW_GRACE + receive->data.octets / SLOW_RATE)
		return OUTCOME_SLOW;
	if (limit > 0 && limit < UINT64_MAX / (2 * FAR_FACTOR) &&
	    receive->data.octets > FAR_FACTOR * limit + FAR_OCTETS)
		return OUTCOME_FAR_TOO_BIG;
	return OUTCOME_END;
}

/* Read up to the end of the data, which stays readable whatever happens. */
static enum outcome
receive_content(struct session *session, struct receive *receive)
{
	const uint8_t *chunk;
	enum wire_status status;
	enum outcome outcome;
	size_t len;

	while (!data_is_done(&receive->data)) {
		status = wire_chunk(&session->wire, &chunk, &len);
		if (status == WIRE_TIMEOUT)
			return OUTCOME_TIMEOUT;
		if (status == WIRE_SHUTDOWN)
			return OUTCOME_SHUTDOWN;
		if (status != WIRE_OK)
			return OUTCOME_GONE;
		take_piece(session, receive, chunk, len);
		outcome = check_patience(session, receive);
		if (outcome != OUTCOME_END)
			return outcome;
	}
	flush_content(session, receive);
	return OUTCOME_END;
}

/* All of it is in the pipe: the agent decides. */
static void
commit(struct session *session, uint64_t octets)
{
	struct verdict verdict;

	if (ask_commit(session->worker->gate, octets, &verdict) == -1) {
		session_gate_failed(session);
		return;
	}
	session_forget(session);
	if (verdict_is_success(&verdict)) {
		session->messages++;
		session->idle = 0;
	}
	session_verdict(session, &verdict);
}

/* The end was seen, in sync with the client. */
static void
conclude(struct session *session, const struct receive *receive,
    int pipe_was_lost)
{
	const char *fault = data_fault_text(&receive->data);

	if (fault == NULL && !pipe_was_lost) {
		commit(session, receive->written);
		return;
	}
	if (session_abort(session) == -1)
		return;
	if (fault == NULL) {
		session_reply(session, "451 4.3.0 Could not store the message");
		return;
	}
	session->errors++;
	wire_printf(&session->wire, "554 5.6.0 %s\r\n", fault);
}

/* The end was not seen: there is no way back to commands. */
static void
give_up(struct session *session, enum outcome outcome)
{
	if (session_abort(session) == -1)
		return;
	switch (outcome) {
	case OUTCOME_TIMEOUT:
		session_end(session, "421 4.4.2 Timeout, closing");
		break;
	case OUTCOME_SHUTDOWN:
		session_end(session, "421 4.3.2 Shutting down, try later");
		break;
	case OUTCOME_SLOW:
		session_end(session, "421 4.4.2 Data comes too slowly");
		break;
	case OUTCOME_FAR_TOO_BIG:
		session_end(session, "552 5.3.4 Message far too big, closing");
		break;
	case OUTCOME_GONE:
	case OUTCOME_END:
		session->is_over = 1;
		break;
	}
}

void
command_data(struct session *session, char *argument)
{
	struct receive receive = { .pipe = -1 };
	struct verdict verdict;
	enum outcome outcome;
	int pipe_was_lost;

	(void)argument;
	if (ask_data(session->worker->gate, &verdict, &receive.pipe) == -1) {
		session_gate_failed(session);
		return;
	}
	session_verdict(session, &verdict);
	if (verdict.code != 354)
		return;
	data_init(&receive.data);
	receive.started = receive.flushed = session_clock();
	session->out_len = 0;
	outcome = receive_content(session, &receive);
	pipe_was_lost = receive.pipe == -1;
	close_pipe(&receive);
	if (outcome == OUTCOME_END)
		conclude(session, &receive, pipe_was_lost);
	else
		give_up(session, outcome);
}
