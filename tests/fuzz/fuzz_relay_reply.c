/* LINK: smtpd/relay_reply smtpd/relay_extensions */
/*
 * fuzz_relay_reply: whatever a remote host may answer.  What is kept of it is
 * printable and has an end, and its status code is of the class of its code.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "smtpd/relay_extensions.h"
#include "smtpd/relay_reply.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(const struct reply *reply)
{
	size_t i, dots = 0;

	if (reply->text_len != strlen(reply->text) ||
	    reply->text_len >= sizeof(reply->text))
		abort();
	for (i = 0; i < reply->text_len; i++)
		if (reply->text[i] < ' ' || reply->text[i] > '~')
			abort();
	if (reply->code < 200 || reply->code > 599 ||
	    reply->status[0] != '0' + (int)(reply->code / 100))
		abort();
	for (i = 0; reply->status[i] != '\0'; i++) {
		dots += reply->status[i] == '.';
		if (strchr(".0123456789", reply->status[i]) == NULL)
			abort();
	}
	if (dots != 2 || i < 5 || i >= sizeof(reply->status))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *end = p + size, *lf, *rest;
	struct extensions extensions;
	enum reply_step step;
	struct reply reply;
	size_t len;

	reply_begin(&reply);
	extensions_forget(&extensions);
	for (; p < end; p = lf + 1) {
		lf = memchr(p, '\n', (size_t)(end - p));
		if (lf == NULL)
			lf = end;
		step = reply_take(&reply, p, (size_t)(lf - p), &rest, &len);
		if (step > REPLY_WHOLE) {
			reply_begin(&reply);
			continue;
		}
		check(&reply);
		if (rest < p || rest + len != lf)
			abort();
		extensions_take(&extensions, rest, len);
		if (step == REPLY_WHOLE)
			reply_begin(&reply);
	}
	if ((extensions.mechanisms != 0) !=
	    ((extensions.has & RELAY_HAS_AUTH) != 0))
		abort();
	return 0;
}
