/*
 * letter: the message that sendmail was given: read whole before anybody is
 * told of it, since what cron starts may take hours to write it.
 */
#ifndef CLIENT_LETTER_H
#define CLIENT_LETTER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "recipients.h"

#define LETTER_HEADER_MAX	262144	/* octets of all fields together */

struct letter {
	FILE		*content;	/* a file without a name; LF line ends */
	char		*header;	/* its fields, in memory */
	size_t		 header_len;	/* the rest of content is behind it */
	uint64_t	 octets;	/* on the wire, with CR LF */
	int		 is_eightbit;
	int		 has_from;
};

/*
 * Read all of in: to its end, or to a line that is "." alone unless ignore_dot.
 * CR LF and CR are line ends, too, NULs are left out, and a line "From " of an
 * mbox at the beginning as well.  0, or -1 with errno; EFBIG: the header is
 * too long.
 */
int	letter_read(struct letter *, FILE *in, int ignore_dot);

/* A field of a header, with its line ends. */
struct letter_field {
	const char	*text;
	size_t		 len;		/* of all of it */
	size_t		 name_len;
	const char	*value;		/* behind the colon */
	size_t		 value_len;
};

/*
 * The field at the beginning of text: 1, or 0 if there is none, since the
 * header ends there.
 */
int	letter_field(struct letter_field *, const char *text, size_t len);
int	letter_field_is(const struct letter_field *, const char *name);
/* Bcc and Resent-Bcc, which nobody is to see. */
int	letter_field_is_secret(const struct letter_field *);

/*
 * Add who is in To, Cc and Bcc; or, if it is sent again, in the first set of
 * Resent fields alone (RFC 5322 section 3.6.6).
 */
enum recipients_status letter_recipients(const char *header, size_t len,
	    struct recipients *, char where[RECIPIENTS_WHERE_MAX]);

#endif
