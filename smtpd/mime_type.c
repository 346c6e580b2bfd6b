/*
 * mime_type: Content-Type, and values that are one word.
 *
 * Runs in the worker, as worker-user, on what the client sent.  Touches
 * nothing but its arguments.
 */
#include <string.h>
#include <strings.h>

#include "mime_type.h"

#define COMMENT_DEPTH	10

struct scan {
	const char	*at;
	const char	*end;
};

static int
is_blank(int c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* token of RFC 2045. */
static int
is_token(int c)
{
	return c > 32 && c < 127 && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

/* Blanks and comments, which may hold comments. */
static void
skip(struct scan *s)
{
	int depth = 0;

	for (; s->at < s->end; s->at++) {
		if (*s->at == '(' && depth < COMMENT_DEPTH)
			depth++;
		else if (*s->at == ')' && depth > 0)
			depth--;
		else if (*s->at == '\\' && depth > 0 && s->at + 1 < s->end)
			s->at++;
		else if (depth == 0 && !is_blank(*s->at))
			break;
	}
}

static int
take(struct scan *s, int c)
{
	skip(s);
	if (s->at == s->end || *s->at != c)
		return 0;
	s->at++;
	skip(s);
	return 1;
}

/* A token; its length, 0: there is none. */
static size_t
take_token(struct scan *s, const char **token)
{
	skip(s);
	*token = s->at;
	while (s->at < s->end && is_token(*s->at))
		s->at++;
	return (size_t)(s->at - *token);
}

static int
is_word(const char *token, size_t len, const char *word)
{
	return len == strlen(word) && strncasecmp(token, word, len) == 0;
}

/* A parameter's value, quoted or not; -1: none, or too long for a boundary. */
static int
take_value(struct scan *s, char value[BOUNDARY_MAX])
{
	const char *token;
	size_t n = 0;

	skip(s);
	if (s->at == s->end || *s->at != '"') {
		n = take_token(s, &token);
		if (n == 0 || n >= BOUNDARY_MAX)
			return -1;
		memcpy(value, token, n);
		value[n] = '\0';
		return 0;
	}
	for (s->at++; s->at < s->end && *s->at != '"'; s->at++) {
		if (*s->at == '\n')
			continue;
		if (*s->at == '\\' && s->at + 1 < s->end)
			s->at++;
		if (n + 1 >= BOUNDARY_MAX)
			return -1;
		value[n++] = *s->at;
	}
	if (s->at == s->end)
		return -1;
	s->at++;
	value[n] = '\0';
	return n > 0 && value[n - 1] != ' ' ? 0 : -1;
}

/* Over a value that nobody wants. */
static void
skip_value(struct scan *s)
{
	int is_quoted = 0;

	for (; s->at < s->end && (is_quoted || *s->at != ';'); s->at++) {
		if (*s->at == '"')
			is_quoted = !is_quoted;
		else if (is_quoted && *s->at == '\\' && s->at + 1 < s->end)
			s->at++;
	}
}

/* The boundary among the parameters: 0, or -1. */
static int
find_boundary(struct scan *s, char boundary[BOUNDARY_MAX])
{
	const char *name;
	size_t n;

	while (take(s, ';')) {
		n = take_token(s, &name);
		if (n == 0 || !take(s, '='))
			return -1;
		if (is_word(name, n, "boundary"))
			return take_value(s, boundary);
		skip_value(s);
	}
	return -1;
}

void
mime_type_parse(struct mime_type *type, const char *value, size_t len)
{
	struct scan s = { value, value + len };
	const char *major, *minor;
	size_t major_len, minor_len;

	memset(type, 0, sizeof(*type));
	major_len = take_token(&s, &major);
	if (major_len == 0 || !take(&s, '/'))
		return;
	minor_len = take_token(&s, &minor);
	if (is_word(major, major_len, "message"))
		type->is_message = is_word(minor, minor_len, "rfc822") ||
		    is_word(minor, minor_len, "global");
	if (!is_word(major, major_len, "multipart") ||
	    find_boundary(&s, type->boundary) == -1)
		return;
	type->is_multipart = 1;
	type->is_digest = is_word(minor, minor_len, "digest");
}

int
mime_field_is(const char *field, size_t len, const char *name, size_t *value)
{
	size_t n = strlen(name);

	if (len <= n || strncasecmp(field, name, n) != 0)
		return 0;
	/* RFC 5322, 4.5.8: blanks before the colon. */
	while (n < len && is_blank(field[n]))
		n++;
	if (n == len || field[n] != ':')
		return 0;
	*value = n + 1;
	return 1;
}

int
mime_value_is(const char *value, size_t len, const char *word)
{
	struct scan s = { value, value + len };
	const char *token;
	size_t n = take_token(&s, &token);

	skip(&s);
	return s.at == s.end && is_word(token, n, word);
}
