/*
 * bdat: BDAT (RFC 3030): content in pieces whose length is said before.
 *
 * Runs in the worker, as worker-user, confined; touches the connection, the
 * write end of the agent's pipe, and the gate through smtpd/stubs.c.
 *
 * The one rule here: octets that were announced are read, whatever became of
 * the command.  What is not read as content would be read as commands, and who
 * writes a letter is not who says the commands (C1).  The pipe stays open from
 * the first piece to the last; between them the agent can be asked nothing, so
 * that no command but those that end or forget the transaction may reach it.
 */
#include <string.h>
#include <strings.h>

#include "commands.h"
#include "receive.h"

/* Where the next command begins is anybody's guess: there is none. */
static void
lose_framing(struct session *session)
{
	if (session_abort(session) == -1)
		return;
	session_refuse(session, "501 5.5.4 Syntax: BDAT octets [LAST]");
	session_end(session, "421 4.7.0 Can't tell content from commands");
}

/* Read and forget so many octets: 0, or -1 when the session is over. */
static int
discard(struct session *session, uint64_t left)
{
	const time_t started = session_clock();
	enum receive_outcome outcome = RECEIVE_GOOD;
	const uint8_t *chunk;
	uint64_t octets = 0;
	size_t len;

	if (receive_is_far_too_big(session, left))
		outcome = RECEIVE_FAR_TOO_BIG;
	while (outcome == RECEIVE_GOOD && octets < left) {
		outcome = receive_chunk(session, &chunk, &len);
		if (outcome != RECEIVE_GOOD)
			break;
		if (len > left - octets)
			len = (size_t)(left - octets);
		wire_consume(&session->wire, len);
		octets += len;
		if (receive_is_slow(octets, started))
			outcome = RECEIVE_SLOW;
	}
	if (outcome == RECEIVE_GOOD)
		return 0;
	receive_give_up(session, outcome);
	return -1;
}

/* A piece of the content. */
static enum receive_outcome
receive_piece(struct session *session, uint64_t left)
{
	struct receive *receive = &session->receive;
	const uint8_t *chunk;
	enum receive_outcome outcome;
	size_t len;

	if (left > UINT64_MAX - receive->data.octets ||
	    receive_is_far_too_big(session, receive->data.octets + left))
		return RECEIVE_FAR_TOO_BIG;
	while (left > 0) {
		outcome = receive_chunk(session, &chunk, &len);
		if (outcome != RECEIVE_GOOD)
			return outcome;
		if (len > left)
			len = (size_t)left;
		left -= receive_take(session, chunk, len);
		if (receive_is_slow(receive->data.octets, receive->started))
			return RECEIVE_SLOW;
	}
	return RECEIVE_GOOD;
}

/* The first piece opens the pipe: 1; else the client was told. */
static int
open_pipe(struct session *session, uint64_t octets, int is_last)
{
	uint32_t replies = is_last ? session->transaction.recipients : 1;
	struct verdict verdict;
	int is_open = receive_open(session, 1, &verdict);

	if (is_open == 1)
		session->state = SMTP_BDAT;
	/* A client that has sent all its pieces already must not be believed. */
	if (is_open == 0 && session_abort(session) == 0 &&
	    discard(session, octets) == 0)
		session_outcome(session, replies, &verdict);
	return is_open == 1;
}

/* The piece is here. */
static void
finish_piece(struct session *session, uint64_t octets, int is_last)
{
	struct receive *receive = &session->receive;

	if (is_last)
		receive_end(session);
	/* Good or not, that is it. */
	if (is_last || receive->pipe == -1) {
		receive_conclude(session, is_last);
		return;
	}
	wire_printf(&session->wire, "250 2.0.0 %ju octets received\r\n",
	    (uintmax_t)octets);
}

void
command_bdat(struct session *session, char *argument)
{
	enum receive_outcome outcome;
	uint64_t octets;
	int is_last;

	if (parameters_bdat(argument, &octets, &is_last) == -1) {
		lose_framing(session);
		return;
	}
	if (session->state == SMTP_RCPT && !open_pipe(session, octets, is_last))
		return;
	outcome = receive_piece(session, octets);
	if (outcome == RECEIVE_GOOD)
		finish_piece(session, octets, is_last);
	else
		receive_give_up(session, outcome);
}

void
bdat_refuse(struct session *session, const char *argument,
    const char *refusal)
{
	uint64_t octets;
	int is_last;

	if (parameters_bdat(argument, &octets, &is_last) == -1)
		lose_framing(session);
	/* Not an error more: it follows from one that was told of. */
	else if (discard(session, octets) == 0) {
		session->idle++;
		session_reply(session, refusal);
	}
}
