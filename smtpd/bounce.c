/*
 * bounce: write a delivery status notification.
 *
 * Runs in the queue, as queue-user; reads the letter that it is about, writes
 * into the one that derived.c has begun.
 *
 * A bounce must not be lost for want of an extension at the sender's host: it
 * is plain ASCII unless the letter that comes back whole, or an address, is
 * not.  What strangers said is printable by then (C5).
 */
#include <sys/random.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "smtpd/account.h"
#include "smtpd/address.h"
#include "smtpd/bounce.h"
#include "smtpd/dsn.h"
#include "smtpd/trace.h"
#include "smtpd/xtext.h"

#define LINE_LONG	72	/* columns of what people read */
#define NOISE		20	/* octets of the boundary that are random */

/* What comes back, as it was; one at a time. */
static char returned[BOUNCE_RETURN_MAX];

static int
is_ascii(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((text[i] & 0x80) != 0)
			return 0;
	return 1;
}

/* Up to the empty line, which is not of it, or as many whole lines as fit. */
static size_t
header_length(const char *text, size_t len)
{
	const char *line = text, *end;

	while ((end = memchr(line, '\n', len - (size_t)(line - text))) !=
	    NULL) {
		if (end == line)
			break;
		line = end + 1;
	}
	return (size_t)(line - text);
}

static int
read_letter(const struct letter *l, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = pread(l->fd, returned + done, len - done,
		    (off_t)(l->offset + done));
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = EBADMSG;
			return -1;
		}
		done += (size_t)n;
	}
	return 0;
}

/* Raw octets beyond ASCII in a header without SMTPUTF8 mean nothing. */
static void
make_ascii(char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((text[i] & 0x80) != 0 || text[i] == '\0')
			text[i] = '?';
}

/* Nothing that comes back can have known it; it is looked for anyway. */
static int
make_boundary(struct bounce *b)
{
	static const char legal[] = "0123456789abcdefghijklmnopqrstuv";
	uint8_t noise[NOISE];
	size_t i;

	do {
		if (getrandom(noise, sizeof(noise), 0) != sizeof(noise))
			return -1;
		strlcpy(b->boundary, "postern_", sizeof(b->boundary));
		for (i = 0; i < NOISE; i++)
			b->boundary[8 + i] = legal[noise[i] % 32];
		b->boundary[8 + NOISE] = '\0';
	} while (memmem(returned, b->returned, b->boundary, 8 + NOISE) !=
	    NULL);
	return 0;
}

/* As the sender wrote it. */
static void
written_to(const struct bounce *b, const struct outcome *o,
    char path[ADDRESS_PRINT_MAX])
{
	const struct recipient *r =
	    &b->letter->envelope.recipients[o->recipient];
	struct address address;

	strlcpy(address.local, r->local, sizeof(address.local));
	strlcpy(address.domain, r->domain[0] != '\0' ? r->domain :
	    b->config->hostname, sizeof(address.domain));
	if (address_print(&address, path, ADDRESS_PRINT_MAX) == -1)
		path[0] = '\0';
}

/* Behind a local name: the name, not what it leads to. */
static void
recipient_address(const struct bounce *b, const struct outcome *o,
    char path[ADDRESS_PRINT_MAX])
{
	if ((o->flags & OUTCOME_ELSEWHERE) != 0 && o->target[0] != '\0')
		strlcpy(path, o->target, ADDRESS_PRINT_MAX);
	else
		written_to(b, o, path);
}

static int
has_utf8_address(const struct bounce *b)
{
	const struct envelope *e = &b->letter->envelope;
	char path[ADDRESS_PRINT_MAX];
	const char *orcpt;
	size_t i;

	if (!is_ascii(e->sender, strlen(e->sender)))
		return 1;
	for (i = 0; i < b->count; i++) {
		written_to(b, b->outcomes[i], path);
		if (!is_ascii(path, strlen(path)))
			return 1;
		recipient_address(b, b->outcomes[i], path);
		orcpt = e->recipients[b->outcomes[i]->recipient].orcpt;
		if (!is_ascii(path, strlen(path)) ||
		    !is_ascii(orcpt, strlen(orcpt)))
			return 1;
	}
	return 0;
}

int
bounce_prepare(struct bounce *b)
{
	const struct letter *l = b->letter;
	const struct envelope *e = &l->envelope;
	size_t len = l->length < sizeof(returned) ? l->length :
	    sizeof(returned);

	if (read_letter(l, len) == -1)
		return -1;
	b->is_whole = b->action == BOUNCE_FAILED && !b->is_double &&
	    e->ret == RET_FULL && l->length <= sizeof(returned) &&
	    (e->flags & MAIL_BINARYMIME) == 0;
	if (!b->is_whole)
		len = header_length(returned, len);
	if (!b->is_whole && (e->flags & MAIL_SMTPUTF8) == 0)
		make_ascii(returned, len);
	b->returned = len;
	b->is_utf8 = has_utf8_address(b);
	b->is_8bit = b->is_utf8 || !is_ascii(returned, len);
	return make_boundary(b);
}

static void
put_recipient(const struct bounce *b, struct envelope_writer *w)
{
	const char delimiter = b->config->recipient_delimiter;
	char account[ADDRESS_LOCAL_LIMIT + 1] = "", *detail;
	struct address address;

	if (b->is_double || address_mailbox(b->letter->envelope.sender,
	    strlen(b->letter->envelope.sender), ADDRESS_UTF8, &address) !=
	    ADDRESS_OK) {
		envelope_put_recipient(w, "postmaster", "", "");
		return;
	}
	/* "user+detail", unless there is an alias of the whole. */
	if (config_is_local_domain(b->config, address.domain)) {
		strlcpy(account, address.local, sizeof(account));
		detail = delimiter != '\0' ? strchr(account + 1, delimiter) :
		    NULL;
		if (detail != NULL)
			*detail = '\0';
		if (detail == NULL || !is_account_name(account))
			account[0] = '\0';
	}
	envelope_put_recipient(w, address.local, address.domain, account);
}

void
bounce_envelope(const struct bounce *b, struct envelope_writer *w)
{
	const char *sender = b->letter->envelope.sender;

	envelope_reset(w);
	envelope_put_text(w, ENVELOPE_SENDER, "");
	put_recipient(b, w);
	envelope_put_u32(w, ENVELOPE_DERIVED, b->is_double ? DERIVED_DOUBLE :
	    DERIVED_NOTICE);
	envelope_put_u32(w, ENVELOPE_FLAGS, MAIL_ESMTP |
	    (b->is_8bit ? MAIL_8BITMIME : 0) |
	    (is_ascii(sender, strlen(sender)) ? 0 : MAIL_SMTPUTF8));
}

static void __attribute__((format(printf, 2, 3)))
put(struct spool_writer *w, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text)) {
		if (w->error == 0)
			w->error = EOVERFLOW;
		return;
	}
	spool_put(w, text, (size_t)n);
}

static void
put_date(struct spool_writer *w, const char *name, uint64_t when)
{
	char date[TRACE_DATE_MAX];

	if (trace_date((time_t)when, date) == 0)
		put(w, "%s: %s\n", name, date);
}

static void
put_header(const struct bounce *b, struct spool_writer *w)
{
	static const char *const subjects[] = {
		[BOUNCE_FAILED] = "Your message could not be delivered",
		[BOUNCE_DELAYED] = "Your message is delayed",
		[BOUNCE_DELIVERED] = "Your message was delivered",
	};
	const char *host = b->config->hostname;
	char date[TRACE_DATE_MAX];

	if (trace_date((time_t)b->now, date) == -1)
		strlcpy(date, "Thu, 01 Jan 1970 00:00:00 +0000", sizeof(date));
	put(w, "Received: by %s (Postern) id %s;\n\t%s\n", host, w->id, date);
	put(w, "From: Mail Delivery System <MAILER-DAEMON@%s>\n", host);
	if (b->is_double)
		put(w, "To: <postmaster@%s>\nSubject: A message without a "
		    "sender could not be delivered\n", host);
	else
		put(w, "To: <%s>\nSubject: %s\n", b->letter->envelope.sender,
		    subjects[b->action]);
	put(w, "Date: %s\nMessage-ID: <%s@%s>\nAuto-Submitted: auto-replied\n"
	    "MIME-Version: 1.0\nContent-Type: multipart/report; "
	    "report-type=delivery-status;\n\tboundary=\"%s\"\n%s\n", date,
	    w->id, host, b->boundary, b->is_8bit ?
	    "Content-Transfer-Encoding: 8bit\n" : "");
}

/* Words, indented; what is longer than a line has one of its own. */
static void
put_words(struct spool_writer *w, const char *text)
{
	size_t column = 0, n;

	while (*(text += strspn(text, " ")) != '\0') {
		n = strcspn(text, " ");
		if (column > 0 && column + 1 + n > LINE_LONG) {
			spool_put(w, "\n", 1);
			column = 0;
		}
		spool_put(w, column > 0 ? " " : "    ", column > 0 ? 1 : 4);
		spool_put(w, text, n);
		column += (column > 0 ? 1 : 4) + n;
		text += n;
	}
	spool_put(w, "\n", 1);
}

static void
put_person_recipient(const struct bounce *b, const struct outcome *o,
    struct spool_writer *w)
{
	char path[ADDRESS_PRINT_MAX], by[ADDRESS_PRINT_MAX];
	char said[DSN_DIAGNOSTIC_MAX];
	char text[OUTCOME_TEXT_MAX + OUTCOME_REMOTE_MAX + 64];

	recipient_address(b, o, path);
	put(w, "<%s>\n", path);
	written_to(b, o, by);
	if (strcasecmp(by, path) != 0)
		put(w, "    by way of %s\n", by);
	if (b->action == BOUNCE_DELIVERED) {
		put_words(w, dsn_success(o));
		return;
	}
	dsn_diagnostic(o, said);
	if (o->remote[0] != '\0')
		snprintf(text, sizeof(text), "host %s%s: %s", o->remote,
		    dsn_is_quotation(o) ? " said" : "", said);
	else
		snprintf(text, sizeof(text), "%s", said);
	put_words(w, text);
}

/* For a person: short, polite, and nothing that needs explaining. */
static void
put_person(const struct bounce *b, struct spool_writer *w)
{
	static const char *const texts[] = {
		[BOUNCE_FAILED] =
		    "Your message could not be delivered to the following "
		    "recipients.\nIt will not be tried again.\n",
		[BOUNCE_DELAYED] =
		    "Your message has not been delivered to the following "
		    "recipients yet.\nIt will be tried again; you need not do "
		    "anything.\n",
		[BOUNCE_DELIVERED] =
		    "As you have asked to be told: your message has reached "
		    "the following\nrecipients.\n",
	};
	size_t i;

	put(w, "--%s\nContent-Type: text/plain; charset=%s\n%s\n"
	    "This is the mail system at %s.\n\n", b->boundary,
	    b->is_utf8 ? "utf-8" : "us-ascii", b->is_utf8 ?
	    "Content-Transfer-Encoding: 8bit\n" : "", b->config->hostname);
	put(w, "%s", b->is_double ?
	    "A message that names no sender could not be delivered to the "
	    "following\nrecipients.  You are told because nobody else can "
	    "be.\n" : texts[b->action]);
	for (i = 0; i < b->count; i++) {
		spool_put(w, "\n", 1);
		put_person_recipient(b, b->outcomes[i], w);
	}
	put(w, "\n%s\n", b->is_whole ? "Your message is attached." :
	    "The header of the message is attached.");
}

/* A field of xtext, decoded, and made fit for a line of a report. */
static void
put_xtext(const struct bounce *b, struct spool_writer *w, const char *name,
    const char *xtext)
{
	char type[ORCPT_MAX] = "", text[ORCPT_MAX], *p;
	const char *semicolon = strchr(xtext, ';');

	if (xtext[0] == '\0')
		return;
	if (semicolon != NULL) {
		strlcpy(type, xtext, (size_t)(semicolon - xtext) + 2);
		xtext = semicolon + 1;
	}
	if (xtext_decode(xtext, text, sizeof(text)) == -1)
		strlcpy(text, xtext, sizeof(text));
	for (p = text; *p != '\0'; p++)
		if ((*p >= 0 && *p < ' ') || *p == 0x7f ||
		    ((*p & 0x80) != 0 && !b->is_utf8))
			*p = '?';
	put(w, "%s: %s%s\n", name, type, text);
}

static void
put_recipient_status(const struct bounce *b, const struct outcome *o,
    struct spool_writer *w)
{
	const struct recipient *r =
	    &b->letter->envelope.recipients[o->recipient];
	char path[ADDRESS_PRINT_MAX], by[ADDRESS_PRINT_MAX];
	char said[DSN_DIAGNOSTIC_MAX], orcpt[ORCPT_MAX];

	recipient_address(b, o, path);
	written_to(b, o, by);
	/* Unless the client said it, it is known behind an alias only. */
	if (r->orcpt[0] != '\0' || strcasecmp(by, path) == 0)
		strlcpy(orcpt, r->orcpt, sizeof(orcpt));
	else
		orcpt_make(by, orcpt);
	dsn_diagnostic(o, said);
	spool_put(w, "\n", 1);
	put_xtext(b, w, "Original-Recipient", orcpt);
	put(w, "Final-Recipient: %s; %s\n", is_ascii(path, strlen(path)) ?
	    "rfc822" : "utf-8", path);
	put(w, "Action: %s\nStatus: %s\n", dsn_action(b->action, o),
	    dsn_status(b->action, o));
	if (o->remote[0] != '\0')
		put(w, "Remote-MTA: dns; %s\n", o->remote);
	if (b->action != BOUNCE_DELIVERED)
		put(w, "Diagnostic-Code: %s; %s\n", dsn_is_quotation(o) ?
		    "smtp" : "X-Postern", said);
	put_date(w, "Last-Attempt-Date", o->when);
	if (b->action == BOUNCE_DELAYED)
		put_date(w, "Will-Retry-Until", b->letter->arrived +
		    b->config->give_up_after);
}

static void
put_status(const struct bounce *b, struct spool_writer *w)
{
	size_t i;

	put(w, "\n--%s\nContent-Type: message/%sdelivery-status\n%s\n"
	    "Reporting-MTA: dns; %s\n", b->boundary, b->is_utf8 ? "global-" :
	    "", b->is_utf8 ? "Content-Transfer-Encoding: 8bit\n" : "",
	    b->config->hostname);
	put_xtext(b, w, "Original-Envelope-Id", b->letter->envelope.envid);
	put_date(w, "Arrival-Date", b->letter->arrived);
	for (i = 0; i < b->count; i++)
		put_recipient_status(b, b->outcomes[i], w);
}

static void
put_returned(const struct bounce *b, struct spool_writer *w)
{
	static const char *const types[2][2] = {
		{ "text/rfc822-headers", "message/rfc822" },
		{ "message/global-headers", "message/global" },
	};
	int is_global = (b->letter->envelope.flags & MAIL_SMTPUTF8) != 0;

	put(w, "\n--%s\nContent-Type: %s\n%s\n", b->boundary,
	    types[is_global][b->is_whole], is_ascii(returned, b->returned) ?
	    "" : "Content-Transfer-Encoding: 8bit\n");
	spool_put(w, returned, b->returned);
	if (b->returned == 0 || returned[b->returned - 1] != '\n')
		spool_put(w, "\n", 1);
	put(w, "\n--%s--\n", b->boundary);
}

void
bounce_write(const struct bounce *b, struct spool_writer *w)
{
	put_header(b, w);
	put_person(b, w);
	put_status(b, w);
	put_returned(b, w);
}
