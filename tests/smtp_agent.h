/*
 * A session agent for tests: it does what the local parts of the addresses
 * tell it, and aborts when the worker asks what the gates' order forbids.
 *
 *	sender or recipient	no		550
 *				wait		451
 *				bye		421
 *				odd		a text that no client may see
 *				code		a code that does not exist
 *				early		354
 *				die		no answer
 *	sender			nodata		DATA: 451
 *				yesdata		DATA: 250, which makes no sense
 *				nopipe		DATA: 354 without a pipe
 *				lost		DATA: a pipe that nobody reads
 *				full		COMMIT: 452
 *				late		COMMIT: no answer
 *
 * COMMIT is answered with what was received, for the test to look at.
 */
#ifndef TESTS_SMTP_AGENT_H
#define TESTS_SMTP_AGENT_H

#include <sys/mman.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "privsep/message.h"
#include "smtpd/address.h"
#include "smtpd/gates.h"
#include "smtpd/xtext.h"

enum fake_state { FAKE_IDLE, FAKE_MAIL, FAKE_RCPT, FAKE_DATA };

struct fake_agent {
	enum fake_state	state;
	int		uses_file;	/* instead of a pipe: same process */
	int		content;	/* where it is read from, -1 none */
	char		helo[256];
	char		tls[LOGIN_TLS_MAX];
	uint32_t	flags;
	uint64_t	size;
	char		sender[PATH_TEXT_MAX];
	char		sender_local[65];
	uint32_t	ret;
	char		envid[ENVID_MAX];
	char		recipient[PATH_TEXT_MAX];	/* the last one */
	uint32_t	notify;				/* ... its */
	char		orcpt[ORCPT_MAX];
	unsigned int	recipients;
	unsigned int	commits;
	unsigned int	reads;		/* that the content took */
};

static void
fake_must(int condition)
{
	if (!condition)
		abort();
}

static void
fake_verdict(struct message *reply, uint32_t code, const char *enhanced,
    const char *text)
{
	put_u32(reply, code);
	put_str(reply, enhanced);
	put_str(reply, text);
}

/* What this local part tells us to say: 1 for yes, 0, -1 for no answer. */
static int
fake_obey(const char *local, struct message *reply, const char *yes)
{
	if (strcmp(local, "no") == 0)
		fake_verdict(reply, 550, "5.1.1", "No");
	else if (strcmp(local, "wait") == 0)
		fake_verdict(reply, 451, "4.3.0", "Later");
	else if (strcmp(local, "bye") == 0)
		fake_verdict(reply, 421, "4.3.2", "Going");
	else if (strcmp(local, "odd") == 0)
		fake_verdict(reply, 250, "2.1.0", "two\r\n250 lines");
	else if (strcmp(local, "code") == 0)
		fake_verdict(reply, 777, "2.1.0", "Jackpot");
	else if (strcmp(local, "early") == 0)
		fake_verdict(reply, 354, "", "Go ahead");
	else if (strcmp(local, "die") == 0)
		return -1;
	else {
		fake_verdict(reply, 250, yes, "Good");
		return 1;
	}
	return 0;
}

static void
fake_forget(struct fake_agent *fake)
{
	if (fake->content != -1)
		close(fake->content);
	fake->content = -1;
	fake->recipients = 0;
	fake->sender_local[0] = '\0';
	fake->state = FAKE_IDLE;
}

static int
fake_mail(struct fake_agent *fake, struct message *request,
    struct message *reply)
{
	struct address address;
	int answer;

	get_str(request, fake->helo, sizeof(fake->helo));
	get_str(request, fake->tls, sizeof(fake->tls));
	fake->flags = get_u32(request);
	fake->size = get_u64(request);
	get_str(request, fake->sender, sizeof(fake->sender));
	fake->ret = get_u32(request);
	get_str(request, fake->envid, sizeof(fake->envid));
	fake_must(fake->state == FAKE_IDLE);
	fake_must(fake->ret <= RET_HDRS && envid_is_legal(fake->envid));
	fake_must(fake->helo[0] != '\0');
	fake_must(address_mailbox(fake->sender, strlen(fake->sender),
	    ADDRESS_NULL | (fake->flags & MAIL_SMTPUTF8 ? ADDRESS_UTF8 : 0),
	    &address) == ADDRESS_OK);
	answer = fake_obey(address.local, reply, "2.1.0");
	if (answer == 1) {
		fake->state = FAKE_MAIL;
		memcpy(fake->sender_local, address.local,
		    sizeof(fake->sender_local));
	}
	return answer;
}

static int
fake_rcpt(struct fake_agent *fake, struct message *request,
    struct message *reply)
{
	struct address address;
	int answer;

	memset(&address, 0, sizeof(address));
	get_str(request, address.local, sizeof(address.local));
	get_str(request, address.domain, sizeof(address.domain));
	fake->notify = get_u32(request);
	get_str(request, fake->orcpt, sizeof(fake->orcpt));
	fake_must(notify_is_legal(fake->notify));
	fake_must(orcpt_is_legal(fake->orcpt));
	fake_must(fake->state == FAKE_MAIL || fake->state == FAKE_RCPT);
	fake_must((fake->flags & MAIL_SMTPUTF8) != 0 ?
	    address_is_legal_utf8(&address) : address_is_legal(&address));
	fake_must(address_print(&address, fake->recipient,
	    sizeof(fake->recipient)) == 0);
	answer = fake_obey(address.local, reply, "2.1.5");
	if (answer == 1) {
		fake->state = FAKE_RCPT;
		fake->recipients++;
	}
	return answer;
}

static int
fake_data(struct fake_agent *fake, struct message *reply, int *to_close)
{
	int ends[2];

	fake_must(fake->state == FAKE_RCPT);
	if (strcmp(fake->sender_local, "nodata") == 0) {
		fake_verdict(reply, 451, "4.3.0", "No disk");
		return 1;
	}
	if (strcmp(fake->sender_local, "yesdata") == 0) {
		fake_verdict(reply, 250, "2.0.0", "Yes");
		return 1;
	}
	fake_verdict(reply, 354, "", "Go ahead");
	fake->state = FAKE_DATA;
	if (strcmp(fake->sender_local, "nopipe") == 0)
		return 1;
	if (fake->uses_file) {
		ends[0] = memfd_create("content", 0);
		ends[1] = dup(ends[0]);
	} else
		fake_must(pipe(ends) == 0);
	put_fd(reply, ends[1]);
	*to_close = ends[1];
	fake->content = ends[0];
	if (strcmp(fake->sender_local, "lost") == 0) {
		close(fake->content);
		fake->content = -1;
	}
	return 1;
}

/* Read it all; FNV-1a of it. */
static uint32_t
fake_drain(struct fake_agent *fake, uint64_t *octets)
{
	static uint8_t buf[65536];
	uint32_t sum = 2166136261U;
	uint8_t last = '\n';
	ssize_t n, i;

	*octets = 0;
	if (fake->content == -1)
		return sum;
	if (fake->uses_file)
		fake_must(lseek(fake->content, 0, SEEK_SET) == 0);
	while ((n = read(fake->content, buf, sizeof(buf))) > 0) {
		*octets += (uint64_t)n;
		for (i = 0; i < n; i++)
			sum = (sum ^ buf[i]) * 16777619U;
		last = buf[n - 1];
		/* Content has LF line ends and nothing that is none. */
		fake_must(memchr(buf, '\r', (size_t)n) == NULL);
		fake_must(memchr(buf, '\0', (size_t)n) == NULL);
	}
	fake_must(n == 0);
	close(fake->content);
	fake->content = -1;
	if (*octets > 0)
		fake->size = last;
	return sum;
}

static int
fake_commit(struct fake_agent *fake, struct message *request,
    struct message *reply)
{
	uint64_t octets, declared = get_u64(request);
	char text[100];
	uint32_t sum;

	fake_must(fake->state == FAKE_DATA);
	sum = fake_drain(fake, &octets);
	if (strcmp(fake->sender_local, "lost") != 0)
		fake_must(octets == declared);
	/* A message ends with a line end, whoever sent it. */
	if (octets > 0)
		fake_must(fake->size == '\n');
	snprintf(text, sizeof(text),
	    "octets=%ju sum=%08x recipients=%u reads=%u", (uintmax_t)octets,
	    sum, fake->recipients, fake->reads);
	if (strcmp(fake->sender_local, "late") == 0)
		return -1;
	if (strcmp(fake->sender_local, "full") == 0)
		fake_verdict(reply, 452, "4.3.1", "Full");
	else {
		fake_verdict(reply, 250, "2.0.0", text);
		fake->commits++;
	}
	fake_forget(fake);
	return 1;
}

static int
fake_verify(struct message *request, struct message *reply)
{
	struct address address;

	memset(&address, 0, sizeof(address));
	get_str(request, address.local, sizeof(address.local));
	get_str(request, address.domain, sizeof(address.domain));
	fake_must(address_is_legal_utf8(&address));
	if (fake_obey(address.local, reply, "2.1.5") != 1)
		return 1;
	message_begin(reply, REPLY_OF(REQ_VERIFY));
	fake_verdict(reply, 252, "2.5.2", "Try it");
	return 1;
}

/* Each name is a list of three, "list" one without end. */
static int
fake_expand(struct message *request, struct message *reply)
{
	struct address address;
	char text[64];
	uint32_t member;

	memset(&address, 0, sizeof(address));
	get_str(request, address.local, sizeof(address.local));
	get_str(request, address.domain, sizeof(address.domain));
	member = get_u32(request);
	fake_must(address_is_legal_utf8(&address));
	if (fake_obey(address.local, reply, "2.1.5") != 1) {
		put_u32(reply, 0);
		return 1;
	}
	snprintf(text, sizeof(text), "<member%u@d>", member);
	message_begin(reply, REPLY_OF(REQ_EXPAND));
	fake_verdict(reply, 250, "2.1.5", text);
	put_u32(reply, member < 2 || strcmp(address.local, "list") == 0);
	return 1;
}

/*
 * Answer one request.  -1: no answer.  *to_close, if not -1, is to be closed
 * by who sends the reply.
 */
static int
fake_answer(struct fake_agent *fake, struct message *request,
    struct message *reply, int *to_close)
{
	int answer;

	*to_close = -1;
	message_begin(reply, REPLY_OF(request->type));
	switch (request->type) {
	case REQ_MAIL:
		answer = fake_mail(fake, request, reply);
		break;
	case REQ_RCPT:
		answer = fake_rcpt(fake, request, reply);
		break;
	case REQ_DATA:
		answer = fake_data(fake, reply, to_close);
		break;
	case REQ_COMMIT:
		answer = fake_commit(fake, request, reply);
		break;
	case REQ_ABORT:
		fake_must(fake->state != FAKE_IDLE);
		fake_forget(fake);
		fake_verdict(reply, 250, "2.0.0", "Forgotten");
		answer = 1;
		break;
	case REQ_VERIFY:
		answer = fake_verify(request, reply);
		break;
	case REQ_EXPAND:
		answer = fake_expand(request, reply);
		break;
	default:
		abort();
	}
	fake_must(get_end(request) == 0);
	return answer;
}

#endif
