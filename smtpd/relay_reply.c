/*
 * relay_reply: what a remote host answers.
 *
 * Runs in the relay's children, as relay-user, confined; touches the memory
 * that it is given.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "relay_reply.h"

void
reply_begin(struct reply *r)
{
	r->code = 0;
	r->lines = 0;
	r->status[0] = '\0';
	r->text[0] = '\0';
	r->text_len = 0;
}

static int
is_digit(char ch)
{
	return ch >= '0' && ch <= '9';
}

/* One to three digits at p; how many, or 0. */
static size_t
count_digits(const char *p, const char *end)
{
	size_t n = 0;

	while (p + n < end && n < 4 && is_digit(p[n]))
		n++;
	return n <= 3 ? n : 0;
}

/*
 * The octets of an enhanced status code at the beginning of a text, which must
 * be of the class that the code is of (RFC 3463 section 2); 0: there is none.
 */
static size_t
status_length(const char *text, size_t len, unsigned code)
{
	const char *p = text, *end = text + len;
	size_t n;
	int i;

	if (len < 5 || (unsigned)(*p++ - '0') != code / 100)
		return 0;
	for (i = 0; i < 2; i++) {
		if (p == end || *p++ != '.' || (n = count_digits(p, end)) == 0)
			return 0;
		p += n;
	}
	return p == end || *p == ' ' ? (size_t)(p - text) : 0;
}

/* Joined by a blank, printable, cut: C5. */
static void
append_text(struct reply *r, const char *text, size_t len)
{
	size_t i, n = r->text_len;

	for (; len > 0 && *text == ' '; text++)
		len--;		/* Exim sets numbers in columns */
	if (n > 0 && len > 0 && n + 1 < sizeof(r->text))
		r->text[n++] = ' ';
	for (i = 0; i < len && n + 1 < sizeof(r->text); i++)
		r->text[n++] = text[i] >= ' ' && text[i] <= '~' ? text[i] :
		    text[i] == '\t' ? ' ' : '?';
	r->text[n] = '\0';
	r->text_len = n;
}

/* Its first line decides; the others may repeat it. */
static size_t
take_status(struct reply *r, const char *text, size_t len)
{
	size_t n = status_length(text, len, r->code);

	if (r->lines == 0 && n > 0) {
		memcpy(r->status, text, n);
		r->status[n] = '\0';
	} else if (r->lines == 0) {
		strlcpy(r->status, "2.0.0", sizeof(r->status));
		r->status[0] = (char)('0' + r->code / 100);
	} else if (n != strlen(r->status) || memcmp(text, r->status, n) != 0)
		return 0;
	return n;
}

enum reply_step
reply_take(struct reply *r, const char *line, size_t len, const char **rest,
    size_t *rest_len)
{
	unsigned code;
	size_t n;

	if (len < 3 || line[0] < '2' || line[0] > '5' || !is_digit(line[1]) ||
	    !is_digit(line[2]) || (len > 3 && line[3] != ' ' && line[3] != '-'))
		return REPLY_GARBAGE;
	code = (unsigned)((line[0] - '0') * 100 + (line[1] - '0') * 10 +
	    line[2] - '0');
	if (r->lines > 0 && code != r->code)
		return REPLY_GARBAGE;
	if (r->lines == REPLY_LINES_MAX)
		return REPLY_ENDLESS;
	r->code = code;
	*rest = line + (len > 3 ? 4 : 3);
	*rest_len = len > 3 ? len - 4 : 0;
	n = take_status(r, *rest, *rest_len);
	if (n > 0 && n < *rest_len)
		n++;
	append_text(r, *rest + n, *rest_len - n);
	r->lines++;
	return len > 3 && line[3] == '-' ? REPLY_MORE : REPLY_WHOLE;
}

void
reply_make(struct reply *r, const char *status, const char *fmt, ...)
{
	char text[RELAY_TEXT_MAX];
	va_list ap;

	reply_begin(r);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	append_text(r, text, strlen(text));
	strlcpy(r->status, status, sizeof(r->status));
	r->lines = 1;
}

enum delivery_verdict
reply_verdict(const struct reply *r)
{
	switch (r->status[0]) {
	case '2':
		return DELIVERED;
	case '5':
		return DELIVERY_FAILED;
	default:
		return DELIVERY_DEFERRED;
	}
}

int
reply_is_good(const struct reply *r)
{
	return r->code / 100 == 2;
}

void
reply_soften(struct reply *r)
{
	r->status[0] = '4';
}
