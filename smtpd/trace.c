/*
 * trace: write one Received: line, count others.
 *
 * Runs in the session agent, as queue-user; touches nothing but memory.
 */
#include <stdio.h>
#include <string.h>

#include "privsep/config.h"
#include "smtpd/trace.h"

/* "host.example.org [IPv6:2001:db8::7]" */
#define CLIENT_MAX	(HOSTNAME_MAX + ADDRESS_TEXT_MAX + 16)

int
trace_date(time_t when, char date[TRACE_DATE_MAX])
{
	struct tm tm;

	/* The C locale's names are RFC 5322's: nobody calls setlocale(). */
	return localtime_r(&when, &tm) == NULL || strftime(date,
	    TRACE_DATE_MAX, "%a, %d %b %Y %H:%M:%S %z", &tm) == 0 ? -1 : 0;
}

/*
 * RFC 3848, RFC 6531 section 4.3.  TLS and login need EHLO, whatever the client
 * said after them.  That there was TLS is the worker's claim, the login is not.
 */
static const char *
protocol(const struct trace *t)
{
	if (t->is_lmtp)
		return t->is_utf8 ? "UTF8LMTP" : "LMTP";
	if (t->tls[0] != '\0' && t->has_login)
		return t->is_utf8 ? "UTF8SMTPSA" : "ESMTPSA";
	if (t->tls[0] != '\0')
		return t->is_utf8 ? "UTF8SMTPS" : "ESMTPS";
	if (t->has_login)
		return t->is_utf8 ? "UTF8SMTPA" : "ESMTPA";
	if (t->is_utf8)
		return "UTF8SMTP";
	return t->is_esmtp ? "ESMTP" : "SMTP";
}

/* The kernel's word, or the network's, of who that was. */
static int
print_client(const struct trace *t, char *dst, size_t size)
{
	const char *name = t->name != NULL ? t->name : "";
	int n;

	if (t->uid != FACTS_NO_UID)
		n = snprintf(dst, size, "uid %u", t->uid);
	else
		n = snprintf(dst, size, "%s%s[%s%s]", name, *name ? " " : "",
		    strchr(t->client, ':') != NULL ? "IPv6:" : "", t->client);
	return n > 0 && (size_t)n < size ? 0 : -1;
}

/*
 * Version and cipher stand in a comment, which says that they are a claim.
 * RFC 8314 section 4.3 has a clause for the cipher, "tls" and a name from
 * IANA's list; we would vouch for that, and the worker's library may call the
 * cipher something else.
 */
size_t
trace_print(const struct trace *t, char text[TRACE_MAX])
{
	char date[TRACE_DATE_MAX], recipient[PATH_TEXT_MAX + 16] = "";
	char tls[LOGIN_TLS_MAX + 16] = "", client[CLIENT_MAX];
	int n;

	if (trace_date(t->when, date) == -1 ||
	    print_client(t, client, sizeof(client)) == -1)
		return 0;
	if (t->recipient != NULL && snprintf(recipient, sizeof(recipient),
	    "\n\tfor <%s>", t->recipient) >= (int)sizeof(recipient))
		return 0;
	if (t->tls[0] != '\0' && snprintf(tls, sizeof(tls),
	    "\n\t(claimed %s)", t->tls) >= (int)sizeof(tls))
		return 0;
	n = snprintf(text, TRACE_MAX, "Received: from %s (%s)%s\n"
	    "\tby %s (Postern) with %s id %s%s;\n\t%s\n", t->helo,
	    client, tls, t->hostname, protocol(t), t->id, recipient, date);
	return n > 0 && n < TRACE_MAX ? (size_t)n : 0;
}

/* Octets that are not legal become "?": no claim can end what it stands in. */
static size_t
copy_claim(char *dst, size_t size, const char *claim, const char *more)
{
	static const char legal[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	    "._-";
	size_t i;

	for (i = 0; i + 1 < size && claim[i] != '\0'; i++)
		dst[i] = strchr(legal, claim[i]) != NULL ||
		    strchr(more, claim[i]) != NULL ? claim[i] : '?';
	dst[i] = '\0';
	return i;
}

void
trace_helo(char *dst, size_t size, const char *claim)
{
	if (copy_claim(dst, size, claim, ":[]") == 0)
		strlcpy(dst, "unknown", size);
}

void
trace_tls(char *dst, size_t size, const char *claim)
{
	(void)copy_claim(dst, size, claim, " ");
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
