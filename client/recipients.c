/*
 * recipients: reads address lists.
 *
 * Runs in sendmail, as whoever called it, on what its message or its arguments
 * say; touches nothing but memory.
 */
#include <stdlib.h>
#include <string.h>

#include "../smtpd/address.h"
#include "recipients.h"

#define SPEC_MAX	400	/* octets of one address: more is none */

/* One place of the list: what is collected of it. */
struct reader {
	const char	*at;
	const char	*end;
	const char	*begin;		/* of this place, for complaints */
	char		 spec[SPEC_MAX];
	size_t		 len;
	int		 is_parted;	/* a blank after the last octet */
	int		 in_angle;
	int		 had_angle;
	int		 is_bad;
	int		 in_group;
};

static void
begin_place(struct reader *r)
{
	r->begin = r->at;
	r->len = 0;
	r->is_parted = r->in_angle = r->had_angle = r->is_bad = 0;
}

static void
keep(struct reader *r, char c)
{
	if (r->len == sizeof(r->spec))
		r->is_bad = 1;
	else
		r->spec[r->len++] = c;
}

/*
 * Behind a blank, only a dot or an at sign goes on with an address (RFC 5322
 * section 4.4); a further word makes it a name, which must have angle brackets.
 * Both at once it can't be: two words are marked with a blank, which no address
 * has, and forgotten if the brackets come.
 */
static void
keep_octet(struct reader *r, char c)
{
	if (r->had_angle && !r->in_angle) {
		r->is_bad = 1;		/* <a@b> c */
		return;
	}
	if (r->is_parted && r->len > 0 && c != '.' && c != '@' &&
	    r->spec[r->len - 1] != '.' && r->spec[r->len - 1] != '@')
		keep(r, ' ');
	r->is_parted = 0;
	keep(r, c);
}

/* A name of many words is no reason to complain, if brackets follow. */
static void
begin_angle(struct reader *r)
{
	if (r->had_angle) {
		r->is_bad = 1;
		return;
	}
	r->in_angle = r->had_angle = 1;
	r->len = 0;
	r->is_parted = r->is_bad = 0;
}

/* Comments nest; they are a blank. */
static void
skip_comment(struct reader *r)
{
	size_t depth = 0;

	for (; r->at < r->end; r->at++) {
		if (*r->at == '\\' && r->at + 1 < r->end)
			r->at++;
		else if (*r->at == '(')
			depth++;
		else if (*r->at == ')' && --depth == 0) {
			r->at++;
			r->is_parted = 1;
			return;
		}
	}
	r->is_bad = 1;
}

/* "quoted" or [literal], kept as it is; at the opening mark. */
static void
take_until(struct reader *r, char close)
{
	keep_octet(r, *r->at++);
	for (; r->at < r->end; r->at++) {
		if (*r->at == close) {
			keep_octet(r, *r->at++);
			return;
		}
		if (*r->at == '\r' || *r->at == '\n')
			continue;	/* folded there */
		keep_octet(r, *r->at);
		if (*r->at == '\\' && r->at + 1 < r->end)
			keep_octet(r, *++r->at);
	}
	r->is_bad = 1;
}

/* "@a,@b:" in front of an address (RFC 5322 section 4.4). */
static void
drop_route(struct reader *r)
{
	const char *colon;
	size_t len;

	if (r->len == 0 || r->spec[0] != '@')
		return;
	colon = memchr(r->spec, ':', r->len);
	if (colon == NULL)
		return;
	len = (size_t)(colon - r->spec) + 1;
	r->len -= len;
	memmove(r->spec, r->spec + len, r->len);
}

static enum recipients_status
add(struct recipients *list, const struct address *address)
{
	char text[ADDRESS_PRINT_MAX];
	size_t i;

	if (address_print(address, text, sizeof(text)) == -1)
		return RECIPIENTS_SYNTAX;
	for (i = 0; i < list->count; i++)
		if (strcmp(list->names[i], text) == 0)
			return RECIPIENTS_OK;
	if (list->count == RECIPIENTS_LIMIT)
		return RECIPIENTS_TOO_MANY;
	list->names[list->count] = strdup(text);
	if (list->names[list->count] == NULL)
		return RECIPIENTS_ERROR;
	list->count++;
	return RECIPIENTS_OK;
}

static enum recipients_status
end_place(struct reader *r, struct recipients *list)
{
	struct address address;

	if (r->is_bad || r->in_angle)
		return RECIPIENTS_SYNTAX;
	if (r->len == 0)
		return r->had_angle ? RECIPIENTS_SYNTAX : RECIPIENTS_OK;
	drop_route(r);
	if (address_mailbox(r->spec, r->len, ADDRESS_BARE | ADDRESS_UTF8,
	    &address) != ADDRESS_OK)
		return RECIPIENTS_SYNTAX;
	return add(list, &address);
}

/* Something that is neither quoted nor a comment; 1 at the end of a place. */
static int
take_octet(struct reader *r)
{
	const char c = *r->at++;

	switch (c) {
	case ' ': case '\t': case '\r': case '\n':
		r->is_parted = 1;
		break;
	case '<':
		begin_angle(r);
		break;
	case '>':
		r->is_bad |= !r->in_angle;
		r->in_angle = 0;
		break;
	case ':':
		if (r->in_angle) {
			keep_octet(r, c);	/* of a route */
		} else if (r->in_group || r->had_angle) {
			r->is_bad = 1;
		} else {
			begin_place(r);
			r->in_group = 1;
		}
		break;
	case ',':
		if (!r->in_angle || r->len == 0 || r->spec[0] != '@')
			return 1;
		keep_octet(r, c);	/* of a route */
		break;
	case ';':
		r->is_bad |= !r->in_group;
		r->in_group = 0;
		return 1;
	default:
		keep_octet(r, c);
	}
	return 0;
}

static void
say_where(const struct reader *r, char *where)
{
	const char *p = r->begin;
	size_t len;

	while (p < r->end && strchr(" \t\r\n", *p) != NULL)
		p++;
	len = (size_t)(r->end - p);
	if (len > RECIPIENTS_WHERE_MAX - 1)
		len = RECIPIENTS_WHERE_MAX - 1;
	memcpy(where, p, len);
	where[len] = '\0';
}

enum recipients_status
recipients_add(struct recipients *list, const char *text, size_t len,
    char where[RECIPIENTS_WHERE_MAX])
{
	struct reader r = { .at = text, .end = text + len };
	enum recipients_status status = RECIPIENTS_OK;

	begin_place(&r);
	while (status == RECIPIENTS_OK && r.at < r.end) {
		if (*r.at == '(') {
			skip_comment(&r);
		} else if (*r.at == '"') {
			take_until(&r, '"');
		} else if (*r.at == '[') {
			take_until(&r, ']');
		} else if (take_octet(&r)) {
			status = end_place(&r, list);
			if (status == RECIPIENTS_OK)
				begin_place(&r);
		}
	}
	if (status == RECIPIENTS_OK)
		status = end_place(&r, list);
	if (status == RECIPIENTS_SYNTAX)
		say_where(&r, where);
	return status;
}

void
recipients_free(struct recipients *list)
{
	while (list->count > 0)
		free(list->names[--list->count]);
}
