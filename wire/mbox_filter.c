/*
 * mbox_filter: what of an mbox message a client sees.
 *
 * Runs in workers as worker-user and in agents as the user whose mailbox it
 * is; touches nothing but the memory that it is given.
 *
 * A body is passed on in spans as long as the input allows: all that stops it
 * is a line that begins with '>'.  In a header the beginning of a line that is
 * cut is held back until it is clear that it is no name to be left out.
 */
#include <string.h>
#include <strings.h>

#include "mbox_filter.h"
#include "scan.h"

static const char *const hidden[] = {
	"Status:", "X-Status:", "X-UID:", "X-Keywords:", "X-IMAP:",
	"X-IMAPbase:", "Content-Length:", "Lines:"
};
#define HIDDEN	(sizeof(hidden) / sizeof(hidden[0]))

static const uint8_t quoted_from[] = ">From ";
#define QUOTED_LEN	(sizeof(quoted_from) - 1)

/* Where a call is in its input. */
struct cursor {
	const uint8_t	*start;		/* of the span so far */
	const uint8_t	*p;
	const uint8_t	*end;
	const uint8_t	*held;		/* to pass instead of the span */
	size_t		 held_len;
	int		 is_body;	/* the span is */
	int		 is_cut;	/* no more into this span */
};

/* What a line may still become. */
enum match { MATCH_NOT, MATCH_MAYBE, MATCH_HIDDEN, MATCH_FROM, MATCH_QUOTED };

void
mbox_filter_init(struct mbox_filter *f)
{
	memset(f, 0, sizeof(*f));
	f->line = MBOX_LINE_START;
	f->in_header = 1;
}

void
mbox_filter_init_fields(struct mbox_filter *f)
{
	mbox_filter_init(f);
	f->keeps_quotes = 1;
}

static enum match
match_from(const uint8_t *held, size_t len)
{
	const uint8_t *text = quoted_from;
	size_t whole = QUOTED_LEN;
	enum match found = MATCH_QUOTED;

	if (held[0] != '>') {
		text++;
		whole--;
		found = MATCH_FROM;
	}
	if (len > whole || memcmp(held, text, len) != 0)
		return MATCH_NOT;
	return len == whole ? found : MATCH_MAYBE;
}

static enum match
match_line(const struct mbox_filter *f, const uint8_t *held, size_t len)
{
	enum match found = MATCH_NOT;
	size_t i;

	switch (held[0]) {
	case '>':
		return match_from(held, len);
	case 'F':
		return f->in_header ? match_from(held, len) : MATCH_NOT;
	case 'S': case 's': case 'X': case 'x':
	case 'C': case 'c': case 'L': case 'l':
		break;
	default:
		return MATCH_NOT;
	}
	if (!f->in_header)
		return MATCH_NOT;
	for (i = 0; i < HIDDEN && found == MATCH_NOT; i++)
		if ((held[0] | 0x20) == (hidden[i][0] | 0x20) &&
		    strncasecmp((const char *)held, hidden[i], len) == 0)
			found = hidden[i][len] == '\0' ? MATCH_HIDDEN :
			    MATCH_MAYBE;
	return found;
}

/* From here on it is body; what is in the span was header. */
static void
header_over(struct mbox_filter *f, struct cursor *c)
{
	f->in_header = 0;
	f->line = MBOX_LINE_PASS;
	if (c->p > c->start)
		c->is_cut = 1;
	else
		c->is_body = 1;
}

/* Pass on what is held; the span is empty then. */
static void
give_held(struct mbox_filter *f, struct cursor *c, size_t skip)
{
	c->held = f->held + skip;
	c->held_len = f->held_len - skip;
	c->is_cut = 1;
	f->held_len = 0;
}

/* The first octet of a line of the header that is not held, if it decides. */
static int
step_blank(struct mbox_filter *f, struct cursor *c)
{
	switch (*c->p) {
	case '\n':
		c->p++;
		header_over(f, c);
		f->line = MBOX_LINE_START;
		return 1;
	case ' ':
	case '\t':
		if (f->is_dropping)
			f->line = MBOX_LINE_DROP;
		else if (f->has_field)
			f->line = MBOX_LINE_PASS;
		else
			header_over(f, c);
		return 1;
	case ':':
		header_over(f, c);
		return 1;
	case '\r':
		if (c->p > c->start) {
			c->is_cut = 1;
			return 1;
		}
		f->held[f->held_len++] = *c->p++;
		c->start = c->p;
		f->line = MBOX_LINE_CR;
		return 1;
	default:
		f->is_dropping = 0;
		return 0;
	}
}

/* All '>'s are alike: one is held, and all before it may go. */
static void
step_quotes(struct cursor *c)
{
	while (c->p < c->end && *c->p == '>')
		c->p++;
	c->is_cut = 1;
}

static void
drop_line(struct mbox_filter *f)
{
	f->line = MBOX_LINE_DROP;
	f->has_field = f->is_dropping = 1;
}

/* A line begins, and all that decides about it is here: nothing is held. */
static void
step_whole(struct mbox_filter *f, struct cursor *c)
{
	enum match found;
	size_t len = 1;

	while ((found = match_line(f, c->p, len)) == MATCH_MAYBE)
		len++;
	if (found == MATCH_HIDDEN ||
	    (found == MATCH_QUOTED && !f->keeps_quotes)) {
		if (c->p > c->start) {	/* what came before goes first */
			c->is_cut = 1;
			return;
		}
		c->start = ++c->p;	/* that octet is never seen */
	}
	if (found == MATCH_HIDDEN)
		drop_line(f);
	else if (found == MATCH_NOT && f->in_header)
		f->line = MBOX_LINE_NAME;
	else
		f->line = MBOX_LINE_PASS;
}

static void
step_start(struct mbox_filter *f, struct cursor *c)
{
	enum match found;

	if (f->held_len == 0 && f->in_header && step_blank(f, c))
		return;
	if (f->held_len == 0 && c->end - c->p >= MBOX_FILTER_HELD &&
	    (c->p[0] != '>' || c->p[1] != '>')) {
		step_whole(f, c);
		return;
	}
	if (f->held_len == 1 && f->held[0] == '>' && *c->p == '>') {
		step_quotes(c);
		return;
	}
	f->held[f->held_len] = *c->p;
	found = match_line(f, f->held, f->held_len + 1);
	if (found == MATCH_NOT) {
		f->line = f->in_header ? MBOX_LINE_NAME : MBOX_LINE_PASS;
		if (f->held_len > 0)
			give_held(f, c, 0);
		return;
	}
	if (c->p > c->start) {		/* what came before goes first */
		c->is_cut = 1;
		return;
	}
	f->held_len++;
	c->start = ++c->p;
	if (found == MATCH_MAYBE)
		return;
	f->line = MBOX_LINE_PASS;
	if (found != MATCH_HIDDEN) {
		give_held(f, c, found == MATCH_QUOTED && !f->keeps_quotes);
		return;
	}
	drop_line(f);
	f->held_len = 0;
}

static void
step_cr(struct mbox_filter *f, struct cursor *c)
{
	int is_empty = *c->p == '\n';

	if (is_empty) {
		f->held[f->held_len++] = '\n';
		c->start = ++c->p;
	}
	give_held(f, c, 0);
	f->in_header = 0;
	f->line = is_empty ? MBOX_LINE_START : MBOX_LINE_PASS;
}

/* RFC 5322, 3.6.8 */
static int
is_name(uint8_t c)
{
	return c > 32 && c < 127 && c != ':';
}

static void
step_name(struct mbox_filter *f, struct cursor *c)
{
	if (f->line == MBOX_LINE_NAME) {
		while (c->p < c->end && is_name(*c->p))
			c->p++;
		f->line = MBOX_LINE_BLANKS;
		if (c->p == c->end) {
			f->line = MBOX_LINE_NAME;
			return;
		}
	}
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t'))
		c->p++;
	if (c->p == c->end)
		return;
	if (*c->p == ':') {
		f->has_field = 1;
		f->line = MBOX_LINE_PASS;
	} else
		header_over(f, c);
}

/* To the end of a line whose next one must be looked at, or of the input. */
static const uint8_t *
pass_end(const struct mbox_filter *f, const struct cursor *c)
{
	const uint8_t *lf;

	if (f->in_header)
		return memchr(c->p, '\n', (size_t)(c->end - c->p));
	lf = scan_pair(c->p, c->end, '\n', '>');
	/* What follows the last octet is not known yet. */
	if (lf == NULL && c->end[-1] == '\n')
		lf = c->end - 1;
	return lf;
}

static void
step_pass(struct mbox_filter *f, struct cursor *c)
{
	const uint8_t *lf = pass_end(f, c);

	if (lf == NULL) {
		c->p = c->end;
		return;
	}
	c->p = lf + 1;
	f->line = MBOX_LINE_START;
}

static void
step_drop(struct mbox_filter *f, struct cursor *c)
{
	const uint8_t *lf;

	lf = memchr(c->p, '\n', (size_t)(c->end - c->p));
	c->start = c->p = lf == NULL ? c->end : lf + 1;
	if (lf != NULL)
		f->line = MBOX_LINE_START;
}

static void
step(struct mbox_filter *f, struct cursor *c)
{
	switch (f->line) {
	case MBOX_LINE_START:
		step_start(f, c);
		break;
	case MBOX_LINE_CR:
		step_cr(f, c);
		break;
	case MBOX_LINE_NAME:
	case MBOX_LINE_BLANKS:
		step_name(f, c);
		break;
	case MBOX_LINE_PASS:
		step_pass(f, c);
		break;
	case MBOX_LINE_DROP:
		step_drop(f, c);
		break;
	}
}

size_t
mbox_filter_take(struct mbox_filter *f, const uint8_t *in, size_t len,
    struct mbox_span *span)
{
	struct cursor c = { .start = in, .p = in, .end = in + len };

	c.is_body = !f->in_header;
	while (c.p < c.end && !c.is_cut)
		step(f, &c);
	span->data = c.held != NULL ? c.held : c.start;
	span->len = c.held != NULL ? c.held_len : (size_t)(c.p - c.start);
	span->is_body = c.is_body;
	return (size_t)(c.p - in);
}

int
mbox_filter_is_plain(const struct mbox_filter *f)
{
	return !f->in_header && f->held_len == 0;
}

void
mbox_filter_passed(struct mbox_filter *f, uint8_t last)
{
	f->line = last == '\n' ? MBOX_LINE_START : MBOX_LINE_PASS;
}

void
mbox_filter_end(struct mbox_filter *f, struct mbox_span *span)
{
	span->data = f->held;
	span->len = f->held_len;
	span->is_body = !f->in_header;
	f->held_len = 0;
}
