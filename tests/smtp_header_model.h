/*
 * A submitted letter's header as slow and as plain as can be: line by line,
 * with all of it at hand.  What smtpd/header.c is compared with, in the unit
 * test and in the fuzz target.
 */
#ifndef TESTS_SMTP_HEADER_MODEL_H
#define TESTS_SMTP_HEADER_MODEL_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "smtpd/header.h"

#define MODEL_ADDED	(2 * HEADER_TEXT_MAX)

/* The length of a field's name at the start of a line, 0: it is none. */
static size_t
model_field(const uint8_t *line, size_t len)
{
	size_t name = 0, i;

	while (name < len && line[name] > 32 && line[name] < 127 &&
	    line[name] != ':')
		name++;
	for (i = name; i < len && (line[i] == ' ' || line[i] == '\t'); i++)
		;
	return name > 0 && i < len && line[i] == ':' && i < HEADER_HELD_MAX ?
	    name : 0;
}

static int
model_is(const uint8_t *line, size_t len, const char *name)
{
	return len == strlen(name) &&
	    strncasecmp((const char *)line, name, len) == 0;
}

/* What becomes of a letter; out has room for MODEL_ADDED octets more. */
static size_t
model_header(const uint8_t *in, size_t len, const char *date,
    const char *message_id, uint8_t *out)
{
	size_t at = 0, next, name, n;
	int has_field = 0, has_date = 0, has_id = 0;
	char text[MODEL_ADDED] = "";

	for (; at < len; at = next) {
		for (next = at; next < len && in[next] != '\n'; next++)
			;
		next += next < len;
		name = model_field(in + at, next - at);
		if (name == 0 && !(has_field && (in[at] == ' ' ||
		    in[at] == '\t')))
			break;
		has_field = 1;
		has_date |= model_is(in + at, name, "date");
		has_id |= model_is(in + at, name, "message-id");
	}
	if (at == len && len > 0 && in[len - 1] != '\n' &&
	    (!has_date || !has_id))
		strlcat(text, "\n", sizeof(text));
	if (!has_date)
		strlcat(text, date, sizeof(text));
	if (!has_id)
		strlcat(text, message_id, sizeof(text));
	if (at < len && in[at] != '\n' && (!has_date || !has_id))
		strlcat(text, "\n", sizeof(text));
	n = strlen(text);
	memcpy(out, in, at);
	memcpy(out + at, text, n);
	memcpy(out + at + n, in + at, len - at);
	return len + n;
}

static const struct header_origin model_origin = {
	.date = "Mon, 23 Nov 2026 03:00:00 +0000", .id = "ID", .noise = "ef",
	.hostname = "h.example"
};
#define MODEL_DATE	"Date: Mon, 23 Nov 2026 03:00:00 +0000\n"
#define MODEL_ID	"Message-ID: <ID.ef@h.example>\n"

/* The same by smtpd/header.c, cut in pieces of these lengths in turn. */
static size_t
model_pieces(const uint8_t *in, size_t len, const uint8_t cuts[4],
    uint8_t *out)
{
	static uint8_t piece[256 + HEADER_HELD_MAX];
	char text[HEADER_TEXT_MAX];
	struct header header;
	size_t at = 0, i, n, used, room, total = 0;
	int added;

	header_init(&header);
	for (i = 0; at < len && !header_is_over(&header); i++) {
		room = cuts[i % 4] + 1U;
		if (room > len - at)
			room = len - at;
		used = header_take(&header, in + at, room, piece, &n);
		if (n > room + HEADER_HELD_MAX || used > room ||
		    (used < room && !header_is_over(&header)))
			abort();
		memcpy(out + total, piece, n);
		total += n;
		at += used;
	}
	if (!header_is_over(&header))
		header_end(&header);
	added = header_print(&header, &model_origin, text);
	if (added < 0 || (added == 0) != !header_is_wanting(&header))
		abort();
	memcpy(out + total, text, (size_t)added);
	total += (size_t)added;
	memcpy(out + total, header.held, header.held_len);
	total += header.held_len;
	memcpy(out + total, in + at, len - at);
	return total + len - at;
}

#endif
