/*
 * relay_content: a letter's content, from the spool onto the wire.
 *
 * Runs in the relay's children, as relay-user, confined; reads the letter's
 * descriptor, block by block, and writes to the wire.  A letter that fits into
 * one block is read once.
 *
 * C1: whatever is stored, there is no CR and no LF on the wire but in a CR LF,
 * and a dot that begins a line is never alone.  Nothing that we let in has a
 * lone CR or a NUL; if one is there all the same, a blank goes in its place,
 * so that every count stays.
 */
#include <string.h>
#include <unistd.h>

#include "../wire/octets.h"
#include "../wire/scan.h"
#include "relay.h"

#define BLOCK_SIZE	65536
#define ROOM_LEAST	1024	/* of output, or it is sent */

/* The one block of this process, and what of the file is in it. */
static struct {
	int		has_all;	/* of the letter that was looked through */
	size_t		len;
	uint8_t		data[BLOCK_SIZE];
} block;

/* Where the output is. */
struct pour {
	struct wire	*wire;
	int		 is_stuffed;
	int		 has_cr;	/* one is held back */
	uint8_t		 last;		/* of what was put, LF before all */
};

/* The block at this place of the letter; 0, or -1 if it is not all there. */
static int
read_block(const struct relay_letter *letter, uint64_t at)
{
	uint64_t left = letter->length - at;
	size_t want = left < BLOCK_SIZE ? (size_t)left : BLOCK_SIZE;
	ssize_t n;

	for (block.len = 0; block.len < want; block.len += (size_t)n) {
		n = pread(letter->fd, block.data + block.len,
		    want - block.len, (off_t)(letter->offset + at + block.len));
		if (n <= 0)
			return -1;
	}
	return 0;
}

/* The first octet over 127, or the end. */
static const uint8_t *
find_8bit(const uint8_t *p, const uint8_t *end)
{
	while (end - p >= SCAN_STEP && !scan_has((scan_octets)
	    (scan_load(p) > 127)))
		p += SCAN_STEP;
	while (p < end && *p < 128)
		p++;
	return p;
}

static void
look(struct relay_letter *letter, struct octets *octets)
{
	const uint8_t *end = block.data + block.len;
	const uint8_t *high = find_8bit(block.data, end);
	enum octets_header header = octets->header;

	if (high < end) {
		letter->has_8bit = 1;
		octets_header(&header, block.data,
		    (size_t)(high - block.data));
		if (header != HEADER_ENDED)
			letter->has_8bit_header = 1;
	}
	octets_count(octets, block.data, block.len);
}

int
relay_content_scan(struct relay_letter *letter)
{
	struct octets octets;
	uint64_t at;

	block.has_all = 0;
	letter->has_8bit = letter->has_8bit_header = 0;
	octets_init(&octets);
	for (at = 0; at < letter->length; at += block.len) {
		if (read_block(letter, at) == -1)
			return -1;
		look(letter, &octets);
	}
	letter->octets = octets.count + (octets.last == '\n' ? 0 : 2);
	block.has_all = letter->length <= BLOCK_SIZE;
	return 0;
}

/* What needs no look at each octet, sixteen at a time. */
static const uint8_t *
copy_run(uint8_t **out, const uint8_t *p, const uint8_t *end)
{
	scan_octets v, hits;
	uint8_t *o = *out;

	for (; end - p >= SCAN_STEP; p += SCAN_STEP, o += SCAN_STEP) {
		v = scan_load(p);
		memcpy(o, &v, SCAN_STEP);
		hits = (scan_octets)((v == '\n') | (v == '\r') | (v == 0));
		if (scan_has(hits)) {
			*out = o + scan_first(hits);
			return p + scan_first(hits);
		}
	}
	while (p < end && *p != '\n' && *p != '\r' && *p != '\0')
		*o++ = *p++;
	*out = o;
	return p;
}

/* A CR that was held back is one of a CR LF, or stands alone. */
static uint8_t *
let_go(struct pour *pour, uint8_t *out, uint8_t next)
{
	if (!pour->has_cr)
		return out;
	pour->has_cr = 0;
	if (next != '\n') {
		*out++ = ' ';
		pour->last = ' ';
	}
	return out;
}

static uint8_t *
put_special(struct pour *pour, uint8_t *out, uint8_t c)
{
	switch (c) {
	case '\r':
		pour->has_cr = 1;
		return out;
	case '\n':
		*out++ = '\r';
		break;
	default:
		c = ' ';
		break;
	}
	*out++ = c;
	pour->last = c;
	return out;
}

/* All of p..end; at most two octets come out for each. */
static uint8_t *
pour_text(struct pour *pour, uint8_t *out, const uint8_t *p,
    const uint8_t *end)
{
	const uint8_t *run;

	while (p < end) {
		out = let_go(pour, out, *p);
		if (*p == '.' && pour->last == '\n' && pour->is_stuffed)
			*out++ = '.';
		run = p;
		p = copy_run(&out, p, end);
		if (p > run)
			pour->last = p[-1];
		if (p < end)
			out = put_special(pour, out, *p++);
	}
	return out;
}

/* The block onto the wire; 0, or -1: the wire has failed. */
static int
pour_block(struct pour *pour)
{
	const uint8_t *p = block.data, *end = p + block.len;
	size_t room, n;
	uint8_t *out;

	while (p < end) {
		room = wire_room(pour->wire, ROOM_LEAST, &out);
		if (room == 0)
			return -1;
		/* One may be held back, and a run is copied sixteen at once. */
		n = (room - SCAN_STEP - 2) / 2;
		if (n > (size_t)(end - p))
			n = (size_t)(end - p);
		wire_advance(pour->wire,
		    (size_t)(pour_text(pour, out, p, p + n) - out));
		p += n;
	}
	return 0;
}

static int
pour_end(struct pour *pour)
{
	uint8_t *out, *end;

	if (!pour->has_cr && pour->last == '\n')
		return 0;
	if (wire_room(pour->wire, ROOM_LEAST, &out) == 0)
		return -1;
	end = let_go(pour, out, '\0');
	*end++ = '\r';
	*end++ = '\n';
	wire_advance(pour->wire, (size_t)(end - out));
	return 0;
}

/* A write that failed: what the host said before it closed is worth more. */
static int
lose_content(struct relay *r)
{
	if (relay_hear(r, RELAY_BLOCK_MINUTES) == 0 &&
	    r->reply.code / 100 < 4)
		relay_end(r, "4.4.2", "the host closed the connection");
	r->is_over = 1;
	return -1;
}

int
relay_content_send(struct relay *r, const struct relay_letter *letter,
    int is_stuffed)
{
	struct pour pour = {
		.wire = &r->wire,
		.is_stuffed = is_stuffed,
		.last = '\n'
	};
	uint64_t at;

	for (at = 0; at < letter->length; at += block.len) {
		if (!block.has_all && read_block(letter, at) == -1) {
			relay_end(r, "4.3.0", "the letter can't be read");
			return -1;
		}
		relay_block(r);
		if (pour_block(&pour) == -1)
			return lose_content(r);
	}
	return pour_end(&pour) == -1 ? lose_content(r) : 0;
}
