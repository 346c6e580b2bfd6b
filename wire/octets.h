/*
 * octets: how many octets stored content has on the wire, the one definition
 * for all who count it (mailbox) and all who send it (pop3d's worker).
 *
 * The rule: an LF that no CR precedes is sent as CR LF; a CR LF stays one, a
 * lone CR goes as it is; a last line without its LF is ended with CR LF; a
 * header that no empty line ends gets one, since some programs wait for it; no
 * content at all stays none.  Byte stuffing is not counted (RFC 1939, 11).
 */
#ifndef WIRE_OCTETS_H
#define WIRE_OCTETS_H

#include <stddef.h>
#include <stdint.h>

/* Where the header is: it ends with the first empty line. */
enum octets_header {
	HEADER_LINE_BEGINS,
	HEADER_LINE_CR,		/* this line is a CR so far */
	HEADER_LINE_TEXT,
	HEADER_ENDED
};

/*
 * Look for the end of the header in a further piece of content: how many octets
 * of it are header, its empty line included.
 */
size_t		octets_header(enum octets_header *, const void *, size_t);

/* What is between two pieces of content; any split gives the same total. */
struct octets {
	uint64_t	count;	/* of what was seen, final line end excluded */
	uint8_t		last;	/* the last octet seen, LF before the first */
	enum octets_header header;
};

void		octets_init(struct octets *);
/* Count a further piece of content as it is stored. */
void		octets_count(struct octets *, const void *, size_t);
/* What the content has on the wire if it ends here. */
uint64_t	octets_total(const struct octets *);

#endif
