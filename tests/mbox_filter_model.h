/*
 * mbox_filter_model: what a client sees of an mbox message, slowly: the whole
 * message, line by line.
 */
#ifndef TESTS_MBOX_FILTER_MODEL_H
#define TESTS_MBOX_FILTER_MODEL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

static int
model_is_hidden(const uint8_t *line, size_t len)
{
	static const char *const names[] = {
		"status", "x-status", "x-uid", "x-keywords", "x-imap",
		"x-imapbase", "content-length", "lines"
	};
	size_t i, n;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		n = strlen(names[i]);
		if (len > n && line[n] == ':' &&
		    strncasecmp((const char *)line, names[i], n) == 0)
			return 1;
	}
	return 0;
}

static int
model_is_field(const uint8_t *line, size_t len)
{
	size_t i = 0;

	while (i < len && line[i] > 32 && line[i] < 127 && line[i] != ':')
		i++;
	if (i == 0)
		return 0;
	while (i < len && (line[i] == ' ' || line[i] == '\t'))
		i++;
	return i < len && line[i] == ':';
}

static size_t
model_quotes(const uint8_t *line, size_t len)
{
	size_t i = 0;

	while (i < len && line[i] == '>')
		i++;
	return len - i >= 5 && memcmp(line + i, "From ", 5) == 0 ? i : len;
}

/* Of the line that ends a header by being no part of it: what still is one. */
static size_t
model_last(const uint8_t *line, size_t len)
{
	size_t i = 0;

	if (len == 0)
		return 0;
	if (line[0] == '\n' || line[0] == '\r')
		return len >= 2 && line[0] == '\r' && line[1] == '\n' ? 2 : 1;
	while (i < len && line[i] > 32 && line[i] < 127 && line[i] != ':')
		i++;
	while (i > 0 && i < len && (line[i] == ' ' || line[i] == '\t'))
		i++;
	return i;
}

static size_t model_header;	/* octets of the header, of those seen */

/* The octets seen; out has room for len of them. */
static size_t
model_filter(const uint8_t *in, size_t len, uint8_t *out)
{
	int in_header = 1, has_field = 0, dropping = 0, is_blank;
	size_t at, n, quotes, outlen = 0;
	const uint8_t *line, *lf;

	for (at = 0; at < len; at += n) {
		line = in + at;
		lf = memchr(line, '\n', len - at);
		n = lf == NULL ? len - at : (size_t)(lf - line) + 1;
		quotes = model_quotes(line, n);
		is_blank = line[0] == ' ' || line[0] == '\t';
		if (in_header && is_blank && dropping)
			continue;
		dropping = 0;
		if (in_header && model_is_hidden(line, n)) {
			has_field = dropping = 1;
			continue;
		}
		if (in_header && quotes == n) {
			if (model_is_field(line, n))
				has_field = 1;
			else if (!is_blank || !has_field) {
				in_header = 0;
				model_header = outlen + model_last(line, n);
			}
		}
		if (quotes > 0 && quotes < n) {
			memcpy(out + outlen, line + 1, n - 1);
			outlen += n - 1;
		} else {
			memcpy(out + outlen, line, n);
			outlen += n;
		}
	}
	if (in_header)
		model_header = outlen;
	return outlen;
}

#endif
