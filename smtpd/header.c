/*
 * header: look through a submitted letter's header, and say what it lacks.
 *
 * Runs in the session agent, as queue-user, on what the worker sent; touches
 * nothing but its arguments.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "smtpd/header.h"

void
header_init(struct header *h)
{
	memset(h, 0, sizeof(*h));
	h->state = HEADER_LINE;
}

void
header_init_first(struct header *h)
{
	header_init(h);
	h->is_first_only = h->has_date = h->has_message_id = 1;
}

int
header_is_over(const struct header *h)
{
	return h->state == HEADER_OVER;
}

int
header_is_wanting(const struct header *h)
{
	return !h->has_date || !h->has_message_id;
}

static int
is_blank(uint8_t octet)
{
	return octet == ' ' || octet == '\t';
}

/* ftext of RFC 5322, section 3.6.8: printable, no colon. */
static int
is_name_octet(uint8_t octet)
{
	return octet > 32 && octet < 127 && octet != ':';
}

static int
is_held(const struct header *h, const char *name)
{
	return h->name_len == strlen(name) &&
	    strncasecmp((const char *)h->held, name, h->name_len) == 0;
}

/* The colon came: what is held is a field's name. */
static enum header_state
begin_field(struct header *h)
{
	h->has_field = 1;
	if (is_held(h, "Date"))
		h->has_date = 1;
	else if (is_held(h, "Message-ID"))
		h->has_message_id = 1;
	return h->is_first_only ? HEADER_OVER : HEADER_VALUE;
}

/* What the line is, with one octet more that is held already. */
static enum header_state
judge(struct header *h, uint8_t octet)
{
	if (h->held_len == 1 && is_blank(octet) && h->has_field)
		return HEADER_VALUE;		/* the field goes on */
	if (h->name_len > 0 && octet == ':')
		return begin_field(h);
	/* A name without end is none. */
	if (h->held_len == sizeof(h->held))
		return HEADER_OVER;
	if (h->state == HEADER_LINE && is_name_octet(octet)) {
		h->name_len++;
		return HEADER_LINE;
	}
	if (h->name_len > 0 && is_blank(octet))
		return HEADER_BLANK;
	return HEADER_OVER;			/* an empty line, too */
}

/* Up to and with the line end, or as much as there is. */
static size_t
take_value(struct header *h, const uint8_t *in, size_t len, uint8_t *out)
{
	const uint8_t *lf = memchr(in, '\n', len);
	size_t n = lf != NULL ? (size_t)(lf + 1 - in) : len;

	memcpy(out, in, n);
	if (lf != NULL)
		h->state = HEADER_LINE;
	return n;
}

size_t
header_take(struct header *h, const uint8_t *in, size_t len, uint8_t *out,
    size_t *outlen)
{
	size_t used = 0, n;

	*outlen = 0;
	while (used < len && h->state != HEADER_OVER) {
		if (h->state == HEADER_VALUE) {
			n = take_value(h, in + used, len - used,
			    out + *outlen);
			used += n;
			*outlen += n;
			continue;
		}
		h->held[h->held_len++] = in[used];
		h->state = judge(h, in[used++]);
		if (h->state != HEADER_VALUE)
			continue;
		memcpy(out + *outlen, h->held, h->held_len);
		*outlen += h->held_len;
		h->held_len = h->name_len = 0;
	}
	return used;
}

void
header_end(struct header *h)
{
	h->is_cut = h->state == HEADER_VALUE;
	h->state = HEADER_OVER;
}

/* "From " and ">From ", of a mailbox's file: a field may follow. */
static int
is_separator(const struct header *h)
{
	const size_t quote = h->held_len > 0 && h->held[0] == '>';

	return h->name_len == 4 + quote && h->held_len > h->name_len &&
	    memcmp(h->held + quote, "From ", 5) == 0;
}

/* Is what is held content, with nothing before it? */
static int
is_headless(const struct header *h)
{
	return h->is_first_only && !h->has_field && h->held_len > 0 &&
	    h->held[0] != '\n' && !is_separator(h);
}

int
header_print(const struct header *h, const struct header_origin *origin,
    char text[HEADER_TEXT_MAX])
{
	char date[TRACE_DATE_MAX + 8] = "";
	char message_id[HEADER_TEXT_MAX] = "";
	int n;

	text[0] = '\0';
	if (!header_is_wanting(h))
		return (int)strlcpy(text, is_headless(h) ? "\n" : "",
		    HEADER_TEXT_MAX);
	if (!h->has_date && snprintf(date, sizeof(date), "Date: %s\n",
	    origin->date) >= (int)sizeof(date))
		return -1;
	if (!h->has_message_id && snprintf(message_id, sizeof(message_id),
	    "Message-ID: <%s.%s@%s>\n", origin->id, origin->noise,
	    origin->hostname) >= (int)sizeof(message_id))
		return -1;
	n = snprintf(text, HEADER_TEXT_MAX, "%s%s%s%s", h->is_cut ? "\n" : "",
	    date, message_id,
	    h->held_len > 0 && h->held[0] != '\n' ? "\n" : "");
	return n >= 0 && n < HEADER_TEXT_MAX ? n : -1;
}
