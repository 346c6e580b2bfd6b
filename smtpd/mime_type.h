/*
 * mime_type: as much of Content-Type (RFC 2045 section 5.1) as it takes to find
 * a message's parts.  Pure functions over bounded text.
 */
#ifndef SMTPD_MIME_TYPE_H
#define SMTPD_MIME_TYPE_H

#include <stddef.h>

#define BOUNDARY_MAX	71	/* with its NUL (RFC 2046 section 5.1.1) */

struct mime_type {
	int	is_multipart;	/* and has a boundary */
	int	is_digest;	/* whose parts are messages, unless they say */
	int	is_message;	/* rfc822 or global */
	char	boundary[BOUNDARY_MAX];
};

/* A field's value, folded or not; what can't be understood is a leaf. */
void	mime_type_parse(struct mime_type *, const char *, size_t);

/*
 * Is this field's name that one?  Its value then begins at *value, up to len.
 */
int	mime_field_is(const char *field, size_t len, const char *name,
	    size_t *value);
/* Is the value that one word, in any case, with blanks and comments around? */
int	mime_value_is(const char *value, size_t len, const char *word);

#endif
