/*
 * surrogate: did a message come by SMTPUTF8?
 *
 * Runs in the worker, as worker-user, confined; a pure function of what
 * anybody may have written.
 */
#include <string.h>
#include <strings.h>

#include "surrogate.h"

/* What is left of a field's value. */
struct value {
	const uint8_t	*p;
	const uint8_t	*end;
};

struct word {
	const uint8_t	*text;
	size_t		 len;
};

static const uint8_t *
next_line(const uint8_t *p, const uint8_t *end)
{
	const uint8_t *lf = memchr(p, '\n', (size_t)(end - p));

	return lf == NULL ? end : lf + 1;
}

static int
is_empty_line(const uint8_t *p, const uint8_t *end)
{
	return p[0] == '\n' || (end - p >= 2 && p[0] == '\r' && p[1] == '\n');
}

static int
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The value of a field of that name at p, or NULL. */
static const uint8_t *
field_value(const uint8_t *p, const uint8_t *end, const char *name)
{
	size_t len = strlen(name);

	if ((size_t)(end - p) <= len ||
	    strncasecmp((const char *)p, name, len) != 0)
		return NULL;
	for (p += len; p < end && (*p == ' ' || *p == '\t'); p++)
		;
	return p < end && *p == ':' ? p + 1 : NULL;
}

/* From a '(' on; comments nest. */
static void
skip_comment(struct value *v)
{
	size_t depth = 0;

	for (; v->p < v->end; v->p++)
		if (*v->p == '\\' && v->end - v->p > 1)
			v->p++;
		else if (*v->p == '(')
			depth++;
		else if (*v->p == ')' && --depth == 0) {
			v->p++;
			return;
		}
}

/* The next word outside comments; 0 at the end, which a ';' is, too. */
static int
take_word(struct value *v, struct word *w)
{
	int is_quoted = 0;

	while (v->p < v->end && (is_blank(*v->p) || *v->p == '('))
		if (*v->p == '(')
			skip_comment(v);
		else
			v->p++;
	w->text = v->p;
	for (; v->p < v->end; v->p++)
		if (*v->p == '"')
			is_quoted = !is_quoted;
		else if (is_quoted)
			v->p += *v->p == '\\' && v->end - v->p > 1;
		else if (is_blank(*v->p) || *v->p == '(' || *v->p == ';')
			break;
	w->len = (size_t)(v->p - w->text);
	return w->len > 0;
}

static int
begins_with(const struct word *w, const char *text)
{
	size_t len = strlen(text);

	return w->len >= len &&
	    strncasecmp((const char *)w->text, text, len) == 0;
}

/* "from" and "by" may be followed by a host that is called "with". */
static int
says_utf8(struct value v)
{
	struct word w;
	int is_protocol = 0;

	while (take_word(&v, &w)) {
		if (is_protocol && (begins_with(&w, "UTF8SMTP") ||
		    begins_with(&w, "UTF8LMTP")))
			return 1;
		is_protocol = w.len == 4 && begins_with(&w, "with");
	}
	return 0;
}

int
surrogate_is_needed(const uint8_t *p, size_t len)
{
	const uint8_t *end;
	struct value v;

	if (len > SURROGATE_LOOK)
		len = SURROGATE_LOOK;
	end = p + len;
	for (; p < end && !is_empty_line(p, end); p = next_line(p, end)) {
		v.p = field_value(p, end, "Received");
		if (v.p == NULL)
			continue;
		do
			v.end = p = next_line(p, end);
		while (p < end && (*p == ' ' || *p == '\t'));
		return says_utf8(v);
	}
	return 0;
}
