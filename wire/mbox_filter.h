/*
 * mbox_filter: what of an mbox message a client sees, the one definition for
 * all who count or name it (mailbox) and all who send it (pop3d's worker).
 *
 * Fed with what is stored between the "From " line and the empty line before
 * the next one, it leaves out
 *
 * - the fields Status, X-Status, X-UID, X-Keywords, X-IMAP, X-IMAPbase,
 *   Content-Length and Lines of the header, with their continuation lines:
 *   mail readers write them into the file, and so their changes change
 *   nothing;
 * - one '>' of each line that begins with '>'s and then "From ": delivery
 *   quotes such lines (mboxrd).
 *
 * The header ends with an empty line, or where a line begins that neither is
 * a field nor goes on with one (nor begins with "From ", which old programs
 * leave there).  Line ends stay as they are stored; wire/octets.h follows.
 */
#ifndef WIRE_MBOX_FILTER_H
#define WIRE_MBOX_FILTER_H

#include <stddef.h>
#include <stdint.h>

#define MBOX_FILTER_HELD 16	/* the longest name of those, and a colon */

enum mbox_filter_line {
	MBOX_LINE_START,	/* a line begins, or may be one of those yet */
	MBOX_LINE_CR,		/* in the header: a CR, maybe of CR LF */
	MBOX_LINE_NAME,		/* in a field's name that is none of those */
	MBOX_LINE_BLANKS,	/* between a name and its colon */
	MBOX_LINE_PASS,		/* in the rest of a line that is seen */
	MBOX_LINE_DROP		/* in the rest of one that is not */
};

struct mbox_filter {
	enum mbox_filter_line	line;
	int			in_header;
	int			has_field;	/* a line may go on with it */
	int			is_dropping;	/* ... and it is left out */
	int			keeps_quotes;
	size_t			held_len;
	uint8_t			held[MBOX_FILTER_HELD];
};

/* Octets to pass on, of the input or of the filter: use them at once. */
struct mbox_span {
	const uint8_t	*data;
	size_t		 len;
	int		 is_body;	/* a span is of one of both */
};

void	mbox_filter_init(struct mbox_filter *);
/* For a delivery: the fields are left out, quotes are somebody's text. */
void	mbox_filter_init_fields(struct mbox_filter *);

/*
 * Take octets in; returns how many, maybe 0, maybe not all: then call it again
 * with the rest.  Each call gives one span, which may be empty.  However the
 * input is cut, all spans together are the same octets.
 */
size_t	mbox_filter_take(struct mbox_filter *, const uint8_t *, size_t,
	    struct mbox_span *);
/*
 * Is it in a body and holds nothing?  Then input with no line that begins with
 * '>' can be passed without it, if only it is told the last octet.
 */
int	mbox_filter_is_plain(const struct mbox_filter *);
void	mbox_filter_passed(struct mbox_filter *, uint8_t last);
/* The input is over: the last span. */
void	mbox_filter_end(struct mbox_filter *, struct mbox_span *);

#endif
