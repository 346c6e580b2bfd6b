/*
 * content: a message's stored content as POP3 sends it: line ends as
 * wire/octets.h says, 0x80 for every NUL, a dot put before a line that begins
 * with one (RFC 1939, 3), and for TOP only the header and so many lines of
 * the body; and of a surrogate (surrogate.h) a header in ASCII.
 * Content comes in pieces, split anywhere.
 */
#ifndef POP3D_CONTENT_H
#define POP3D_CONTENT_H

#include <stddef.h>
#include <stdint.h>

#include "../wire/octets.h"
#include "../wire/wire.h"

struct content {
	struct wire	*wire;
	uint64_t	 octets;	/* sent, without dots put before */
	uint8_t		 last;		/* octet of content, LF before the first */
	int		 is_surrogate;	/* its header shall be ASCII */
	enum octets_header header;
};

void	content_begin(struct content *, struct wire *, int is_surrogate);
void	content_put(struct content *, const uint8_t *, size_t);
/*
 * Finish the last line, and a header that has not ended if that is wanted; the
 * terminating dot is the caller's.
 */
void	content_end(struct content *);
void	content_end_header(struct content *);

/* Where TOP is: what it lets through. */
struct top {
	uint64_t	lines;		/* of the body still to come */
	int		in_body;	/* the blank line was seen */
	int		is_full;	/* nothing more is wanted */
	int		has_octets;	/* in this line, a first CR left out */
	int		has_cr;		/* a first CR */
};

void	top_begin(struct top *, uint64_t lines);
/* How many octets at the start of this piece are wanted. */
size_t	top_take(struct top *, const uint8_t *, size_t);

#endif
