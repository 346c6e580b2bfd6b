/*
 * stubs: asking the session agent.
 *
 * Runs in the worker, as worker-user.  Touches the gate's socket, and the pipe
 * that comes with DATA.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../privsep/message.h"
#include "../privsep/worker.h"
#include "stubs.h"

int
verdict_is_success(const struct verdict *verdict)
{
	return verdict->code / 100 == 2;
}

/* RFC 3463: class "." subject "." detail, or nothing. */
static int
is_enhanced(const char *text)
{
	int part;
	size_t digits;

	if (*text == '\0')
		return 1;
	for (part = 0; part < 3; part++) {
		digits = strspn(text, "0123456789");
		if (digits < 1 || digits > (part == 0 ? 1 : 3))
			return 0;
		text += digits;
		if (*text != (part < 2 ? '.' : '\0'))
			return 0;
		text += part < 2;
	}
	return 1;
}

int
verdict_is_legal(const struct verdict *verdict)
{
	const char *p;

	if (verdict->code < 200 || verdict->code > 599 ||
	    !is_enhanced(verdict->enhanced))
		return 0;
	for (p = verdict->text; *p != '\0'; p++)
		if (*p < 32 || *p > 126)
			return 0;
	return 1;
}

/* The verdict in a reply; 354 is for DATA alone. */
static int
get_verdict(struct message *reply, int may_be_354, struct verdict *verdict)
{
	verdict->code = get_u32(reply);
	get_str(reply, verdict->enhanced, sizeof(verdict->enhanced));
	get_str(reply, verdict->text, sizeof(verdict->text));
	if (reply->bad == 0 && verdict_is_legal(verdict) &&
	    (verdict->code / 100 != 3 ||
	    (may_be_354 && verdict->code == 354)))
		return 0;
	errno = EBADMSG;
	return -1;
}

static int
ask_verdict(int gate, struct message *request, struct verdict *verdict)
{
	struct message reply;
	int ret = -1;

	memset(verdict, 0, sizeof(*verdict));
	if (gate_ask(gate, request, &reply, REPLY_OF(request->type), 0) == -1)
		return -1;
	if (get_verdict(&reply, 0, verdict) == 0)
		ret = get_end(&reply);
	message_discard(&reply);
	return ret;
}

int
ask_mail(int gate, const char *helo, const char *tls, uint32_t flags,
    const struct mail_argument *mail, struct verdict *verdict)
{
	struct message request;
	char path[ADDRESS_PRINT_MAX];

	if (address_print(&mail->path, path, sizeof(path)) == -1)
		return -1;
	message_begin(&request, REQ_MAIL);
	put_str(&request, helo);
	put_str(&request, tls);
	put_u32(&request, flags);
	put_u64(&request, mail->size);
	put_str(&request, path);
	put_u32(&request, mail->ret);
	put_str(&request, mail->envid);
	return ask_verdict(gate, &request, verdict);
}

int
ask_rcpt(int gate, const struct rcpt_argument *rcpt, struct verdict *verdict)
{
	struct message request;

	message_begin(&request, REQ_RCPT);
	put_str(&request, rcpt->path.local);
	put_str(&request, rcpt->path.domain);
	put_u32(&request, rcpt->notify);
	put_str(&request, rcpt->orcpt);
	return ask_verdict(gate, &request, verdict);
}

int
ask_data(int gate, struct verdict *verdict, int *pipe)
{
	struct message request, reply;
	int ret = -1;

	*pipe = -1;
	memset(verdict, 0, sizeof(*verdict));
	message_begin(&request, REQ_DATA);
	if (gate_ask(gate, &request, &reply, REPLY_OF(REQ_DATA), 1) == -1)
		return -1;
	if (get_verdict(&reply, 1, verdict) == 0 &&
	    (verdict->code == 354 || !verdict_is_success(verdict))) {
		if (verdict->code == 354)
			*pipe = get_fd(&reply);
		ret = get_end(&reply);
	} else
		errno = EBADMSG;
	message_discard(&reply);
	if (ret == -1 && *pipe != -1) {
		close(*pipe);
		*pipe = -1;
	}
	return ret;
}

int
ask_commit(int gate, uint64_t octets, struct verdict *verdict)
{
	struct message request;

	message_begin(&request, REQ_COMMIT);
	put_u64(&request, octets);
	return ask_verdict(gate, &request, verdict);
}

int
ask_abort(int gate)
{
	struct message request;
	struct verdict ignored;

	message_begin(&request, REQ_ABORT);
	return ask_verdict(gate, &request, &ignored);
}

int
ask_verify(int gate, const struct address *address, struct verdict *verdict)
{
	struct message request;

	message_begin(&request, REQ_VERIFY);
	put_str(&request, address->local);
	put_str(&request, address->domain);
	return ask_verdict(gate, &request, verdict);
}

int
ask_expand(int gate, const struct address *address, uint32_t member,
    struct verdict *verdict, int *is_more)
{
	struct message request, reply;
	int ret = -1;

	memset(verdict, 0, sizeof(*verdict));
	message_begin(&request, REQ_EXPAND);
	put_str(&request, address->local);
	put_str(&request, address->domain);
	put_u32(&request, member);
	if (gate_ask(gate, &request, &reply, REPLY_OF(REQ_EXPAND), 0) == -1)
		return -1;
	if (get_verdict(&reply, 0, verdict) == 0) {
		*is_more = get_u32(&reply) != 0;
		ret = get_end(&reply);
	}
	message_discard(&reply);
	return ret;
}
