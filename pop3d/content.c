/*
 * content: line ends, NULs, byte stuffing, surrogates and TOP's selection.
 *
 * Runs in the worker, as worker-user, confined; touches memory and the wire.
 */
#include <string.h>

#include "../wire/scan.h"
#include "content.h"

/*
 * What the output must have room for, or it is sent: below, pieces would be
 * small.  A TLS record has 16 KiB at most.
 */
#define ROOM_LEAST	256
#define PIECE		1024	/* octets of a header replaced at a time */

void
content_begin(struct content *c, struct wire *w, int is_surrogate)
{
	c->wire = w;
	c->is_surrogate = is_surrogate;
	c->octets = 0;
	c->last = '\n';
	c->header = HEADER_LINE_BEGINS;
}

/* A line that begins with a dot gets one more (RFC 1939, 3). */
static inline uint8_t *
copy_dot(uint8_t *out, const uint8_t *p, const uint8_t *end, size_t *dots)
{
	if (p < end && *p == '.') {
		*out++ = '.';
		++*dots;
	}
	return out;
}

/*
 * An LF, or a NUL; some programs take that for the end of all that comes
 * (QUIRKS), and RFC 5322 has none: another octet goes in its place, so that
 * every count stays.
 */
static inline uint8_t *
copy_special(uint8_t *out, uint8_t c, uint8_t last)
{
	if (c == '\0')
		*out++ = 0x80;
	else {
		if (last != '\r')
			*out++ = '\r';
		*out++ = '\n';
	}
	return out;
}

/*
 * What no LF or NUL is among, sixteen octets at a time, which are copied
 * before they are looked at: so the output must have room for so many more
 * than it will have.
 */
static inline const uint8_t *
copy_run(uint8_t **out, const uint8_t *p, const uint8_t *end)
{
	scan_octets v, hits;
	uint8_t *o = *out;
	unsigned int n;

	for (; end - p >= SCAN_STEP; p += SCAN_STEP, o += SCAN_STEP) {
		v = scan_load(p);
		memcpy(o, &v, SCAN_STEP);
		hits = (scan_octets)((v == '\n') | (v == 0));
		if (scan_has(hits)) {
			n = scan_first(hits);
			*out = o + n;
			return p + n;
		}
	}
	for (; p < end && *p != '\n' && *p != '\0'; p++)
		*o++ = *p;
	*out = o;
	return p;
}

/* All of the input, which last came before; where the output ends. */
static uint8_t *
copy_text(uint8_t *out, const uint8_t *p, const uint8_t *end, uint8_t last,
    size_t *dots)
{
	const uint8_t *run;

	if (last == '\n')
		out = copy_dot(out, p, end, dots);
	while (p < end) {
		run = p;
		p = copy_run(&out, p, end);
		if (p == end)
			break;
		out = copy_special(out, *p, p > run ? p[-1] : last);
		last = *p++;
		if (last == '\n')
			out = copy_dot(out, p, end, dots);
	}
	return out;
}

static void
put_text(struct content *c, const uint8_t *p, size_t len)
{
	size_t room, n, dots = 0;
	uint8_t *out, *end;

	for (; len > 0; p += n, len -= n) {
		room = wire_room(c->wire, ROOM_LEAST, &out);
		if (room == 0)
			return;		/* the wire has failed */
		/* Nothing becomes more than two octets. */
		n = (room - SCAN_STEP) / 2;
		if (n > len)
			n = len;
		end = copy_text(out, p, p + n, c->last, &dots);
		wire_advance(c->wire, (size_t)(end - out));
		c->octets += (size_t)(end - out);
		c->last = p[n - 1];
	}
	c->octets -= dots;
}

/* A NUL would become an octet that is not ASCII, too. */
static void
put_ascii(struct content *c, const uint8_t *p, size_t len)
{
	uint8_t piece[PIECE];
	size_t i, n;

	for (; len > 0; p += n, len -= n) {
		n = len < sizeof(piece) ? len : sizeof(piece);
		for (i = 0; i < n; i++)
			piece[i] = p[i] == 0 || p[i] > 127 ? '?' : p[i];
		put_text(c, piece, n);
	}
}

void
content_put(struct content *c, const uint8_t *p, size_t len)
{
	size_t n;

	if (c->header != HEADER_ENDED && len > 0) {
		n = octets_header(&c->header, p, len);
		if (c->is_surrogate) {
			put_ascii(c, p, n);
			p += n;
			len -= n;
		}
	}
	put_text(c, p, len);
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
