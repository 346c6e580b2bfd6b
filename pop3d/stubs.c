/*
 * stubs: the worker's side of the POP3 gates, one ask_x() for each answer_x()
 * in agent.c.
 *
 * Runs in the worker, as worker-user, confined; touches the gate only.
 */
#include <errno.h>
#include <unistd.h>

#include "../privsep/message.h"
#include "../privsep/worker.h"
#include "maildrop.h"

int
ask_open(int gate)
{
	struct message request;

	message_begin(&request, REQ_OPEN);
	return gate_send(gate, &request);
}

int
take_open(int gate, enum pop3_open *verdict, uint32_t *count, uint64_t *octets,
    int *index)
{
	struct message reply;
	uint32_t v;

	if (gate_receive(gate, &reply, REPLY_OF(REQ_OPEN), 1) == -1)
		return -1;
	v = get_u32(&reply);
	*count = get_u32(&reply);
	*octets = get_u64(&reply);
	*index = v == OPEN_OK ? get_fd(&reply) : -1;
	if (get_end(&reply) == -1 || v > OPEN_LOGIN_DELAY) {
		if (*index != -1)
			close(*index);
		errno = EBADMSG;
		return -1;
	}
	*verdict = (enum pop3_open)v;
	return 0;
}

static int
get_fetched(struct message *reply, struct fetched *f)
{
	uint32_t verdict = get_u32(reply), content;

	f->fd = -1;
	f->offset = get_u64(reply);
	f->length = get_u64(reply);
	content = get_u32(reply);
	f->stamp = get_u64(reply);
	if (verdict > FETCH_TEMPFAIL || content > CONTENT_MBOX)
		return -1;
	f->content = (enum mailbox_content)content;
	f->verdict = (enum pop3_fetch)verdict;
	if (f->verdict == FETCH_OK)
		f->fd = get_fd(reply);
	return 0;
}

int
ask_fetch(int gate, uint32_t first, uint32_t count)
{
	struct message request;

	message_begin(&request, REQ_FETCH);
	put_u32(&request, first);
	put_u32(&request, count);
	return gate_send(gate, &request);
}

int
take_fetch(int gate, uint32_t count, struct fetched *fetched)
{
	struct message reply;
	uint32_t i;

	if (gate_receive(gate, &reply, REPLY_OF(REQ_FETCH),
	    POP3_FETCH_MAX) == -1)
		return -1;
	if (get_u32(&reply) != count) {
		message_discard(&reply);
		errno = EBADMSG;
		return -1;
	}
	for (i = 0; i < count; i++)
		if (get_fetched(&reply, &fetched[i]) == -1)
			break;
	if (get_end(&reply) == 0 && i == count)
		return 0;
	while (i-- > 0)
		if (fetched[i].fd != -1)
			close(fetched[i].fd);
	errno = EBADMSG;
	return -1;
}

int
ask_recount(int gate, uint32_t number)
{
	struct message request, reply;

	message_begin(&request, REQ_RECOUNT);
	put_u32(&request, number);
	if (gate_ask(gate, &request, &reply, REPLY_OF(REQ_RECOUNT), 0) == -1)
		return -1;
	return get_end(&reply);
}

int
ask_expunge(int gate, const uint8_t *bitmap, size_t len, uint32_t *failed)
{
	struct message request, reply;
	size_t at, n;

	for (at = 0; at < len; at += n) {
		n = len - at < POP3_BITMAP_MAX ? len - at : POP3_BITMAP_MAX;
		message_begin(&request, REQ_EXPUNGE);
		put_u32(&request, (uint32_t)at);
		put_u32(&request, at + n == len);
		put_data(&request, bitmap + at, n);
		if (gate_ask(gate, &request, &reply, REPLY_OF(REQ_EXPUNGE),
		    0) == -1)
			return -1;
		*failed = get_u32(&reply);
		if (get_end(&reply) == -1)
			return -1;
	}
	return 0;
}
