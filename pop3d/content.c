/*
 * content: line ends, NULs, byte stuffing and TOP's selection.
 *
 * Runs in the worker, as worker-user, confined; touches memory and the wire.
 */
#include <string.h>

#include "content.h"

void
content_begin(struct content *c, struct wire *w)
{
	c->wire = w;
	c->octets = 0;
	c->last = '\n';
	c->header = HEADER_LINE_BEGINS;
}

static void
put_text(struct content *c, const uint8_t *p, size_t len)
{
	const uint8_t *end = p + len, *lf;
	uint8_t last = c->last;
	size_t n;

	while (p < end) {
		if (*p == '.' && last == '\n')
			wire_put(c->wire, ".", 1);
		lf = memchr(p, '\n', (size_t)(end - p));
		if (lf == NULL) {
			n = (size_t)(end - p);
			wire_put(c->wire, p, n);
			c->octets += n;
			last = end[-1];
			break;
		}
		n = (size_t)(lf - p);
		if (n > 0)
			last = lf[-1];
		if (last == '\r') {
			wire_put(c->wire, p, n + 1);
			c->octets += n + 1;
		} else {
			wire_put_line(c->wire, p, n);
			c->octets += n + 2;
		}
		last = '\n';
		p = lf + 1;
	}
	c->last = last;
}

/*
 * Some programs take a NUL for the end of all that comes (QUIRKS), and RFC
 * 5322 has none: another octet goes in its place, so that every count stays.
 */
void
content_put(struct content *c, const uint8_t *p, size_t len)
{
	static const uint8_t no_nul = 0x80;
	const uint8_t *end = p + len, *nul;

	if (len == 0)
		return;
	if (c->header != HEADER_ENDED)
		octets_header(&c->header, p, len);
	while (p < end && (nul = memchr(p, '\0', (size_t)(end - p))) != NULL) {
		put_text(c, p, (size_t)(nul - p));
		put_text(c, &no_nul, 1);
		p = nul + 1;
	}
	put_text(c, p, (size_t)(end - p));
}

void
content_end(struct content *c)
{
	if (c->last == '\n')
		return;
	wire_put(c->wire, "\r\n", 2);
	c->octets += 2;
	c->last = '\n';
}

/* Some programs wait for the end of the header (QUIRKS). */
void
content_end_header(struct content *c)
{
	if (c->header == HEADER_ENDED)
		return;
	wire_put(c->wire, "\r\n", 2);
	c->octets += 2;
	c->header = HEADER_ENDED;
}

void
top_begin(struct top *t, uint64_t lines)
{
	memset(t, 0, sizeof(*t));
	t->lines = lines;
}

/* A line has ended: was it the one between header and body, or of the body? */
static void
top_line(struct top *t)
{
	if (t->in_body)
		t->lines--;
	else if (!t->has_octets)
		t->in_body = 1;
	t->has_octets = t->has_cr = 0;
	if (t->in_body && t->lines == 0)
		t->is_full = 1;
}

size_t
top_take(struct top *t, const uint8_t *start, size_t len)
{
	const uint8_t *p = start, *end = start + len, *lf;

	while (p < end && !t->is_full) {
		lf = memchr(p, '\n', (size_t)(end - p));
		if (lf == NULL)
			lf = end;
		if (lf > p && *p == '\r' && !t->has_cr && !t->has_octets) {
			t->has_cr = 1;
			p++;
		}
		if (lf > p)
			t->has_octets = 1;
		if (lf == end)
			return len;
		top_line(t);
		p = lf + 1;
	}
	return (size_t)(p - start);
}
