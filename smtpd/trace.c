/*
 * trace: write one Received: line, count others.
 *
 * Runs in the session agent, as queue-user; touches nothing but memory.
 */
#include <stdio.h>
#include <string.h>

#include "smtpd/trace.h"

size_t
trace_print(const struct trace *t, char text[TRACE_MAX])
{
	char date[64], recipient[PATH_TEXT_MAX + 16] = "";
	struct tm tm;
	int n;

	/* The C locale's names are RFC 5322's: nobody calls setlocale(). */
	if (localtime_r(&t->when, &tm) == NULL || strftime(date, sizeof(date),
	    "%a, %d %b %Y %H:%M:%S %z", &tm) == 0)
		return 0;
	if (t->recipient != NULL && snprintf(recipient, sizeof(recipient),
	    "\n\tfor <%s>", t->recipient) >= (int)sizeof(recipient))
		return 0;
	n = snprintf(text, TRACE_MAX, "Received: from %s ([%s%s])\n"
	    "\tby %s (Postern) with %s id %s%s;\n\t%s\n", t->helo,
	    strchr(t->client, ':') != NULL ? "IPv6:" : "", t->client,
	    t->hostname, t->is_esmtp ? "ESMTP" : "SMTP", t->id, recipient,
	    date);
	return n > 0 && n < TRACE_MAX ? (size_t)n : 0;
}

void
trace_helo(char *dst, size_t size, const char *claim)
{
	static const char legal[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	    "._-:[]";
	size_t i;

	for (i = 0; i + 1 < size && claim[i] != '\0'; i++)
		dst[i] = strchr(legal, claim[i]) != NULL ? claim[i] : '?';
	dst[i] = '\0';
	if (i == 0)
		strlcpy(dst, "unknown", size);
}

void
trace_count(struct trace_count *c, const uint8_t *p, size_t len)
{
	static const char name[] = "received:";
	uint8_t octet;

	for (; len > 0 && !c->is_over; p++, len--) {
		octet = *p;
		if (octet == '\n') {
			c->is_over = c->column == 0;
			c->column = c->matched = 0;
			continue;
		}
		if (octet >= 'A' && octet <= 'Z')
			octet = (uint8_t)(octet - 'A' + 'a');
		if (c->column == c->matched && c->matched < sizeof(name) - 1 &&
		    octet == (uint8_t)name[c->matched] &&
		    ++c->matched == sizeof(name) - 1)
			c->received++;
		c->column++;
	}
}
