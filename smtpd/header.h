/*
 * header: which fields a submitted letter has, and what it lacks (RFC 6409
 * sections 8.1 and 8.2): Date and Message-ID, put behind the fields that came.
 *
 * A bounded machine over pieces of the stream, LF line ends, however they are
 * cut.  The start of a line is held back until it is clear whether a field
 * begins there; so at the end of the header nothing behind it was passed on.
 *
 * The header ends with an empty line; with a line that neither is a field nor
 * goes on with one; or with the content.
 *
 * A letter that only passes through keeps every octet, but has to have a
 * header if it has content: one whose first line is no field, "hello" in an
 * administrator's telnet, gets an empty line before it.  Else that line would
 * be taken for a part of our trace, and, beginning with a space, go on with it.
 */
#ifndef SMTPD_HEADER_H
#define SMTPD_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "smtpd/trace.h"

#define HEADER_HELD_MAX	256	/* octets: a field's name, colon included */
#define HEADER_TEXT_MAX	512	/* octets of what is added, with its NUL */

enum header_state {
	HEADER_LINE,	/* a line begins, or is no more than a name so far */
	HEADER_BLANK,	/* ... and blanks behind it (RFC 5322 section 4.5) */
	HEADER_VALUE,	/* in the rest of a field's line */
	HEADER_OVER
};

struct header {
	enum header_state state;
	int		 is_first_only;	/* no line but the first is looked at */
	int		 has_field;	/* any: the next line may go on */
	int		 has_date;
	int		 has_message_id;
	int		 is_cut;	/* the content ended within a field */
	size_t		 name_len;	/* of what is held */
	size_t		 held_len;
	uint8_t		 held[HEADER_HELD_MAX];
};

void	header_init(struct header *);
/* No field is looked for or missing: only whether there is a header. */
void	header_init_first(struct header *);
int	header_is_over(const struct header *);

/*
 * Take in a piece.  What belongs to the header goes to out, which has room for
 * len + HEADER_HELD_MAX octets; *outlen says how many it was.  Returns the
 * octets used, less than len only when the header is over: then out is to be
 * followed by header_print()'s text, by held, and by what was not used.
 */
size_t	header_take(struct header *, const uint8_t *in, size_t len,
	    uint8_t *out, size_t *outlen);
/* The content ended; then header_print()'s text and held are still due. */
void	header_end(struct header *);

/* What the missing fields are made of. */
struct header_origin {
	const char	*date;		/* trace_date()'s */
	const char	*id;		/* unique here, of letters and digits */
	const char	*noise;		/* the same, so that it can't be
					 * guessed */
	const char	*hostname;
};

/* Is anything missing? */
int	header_is_wanting(const struct header *);
/*
 * What is missing, and an empty line if content follows that has none before
 * it; its length, or -1: does not fit.  Nothing if nothing is missing, but for
 * that empty line after header_init_first().
 */
int	header_print(const struct header *, const struct header_origin *,
	    char text[HEADER_TEXT_MAX]);

#endif
