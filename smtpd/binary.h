/*
 * binary: a BINARYMIME message (RFC 3030) as an ordinary one.
 *
 * Spool, mailboxes, POP3 and most other hosts have lines, and nothing but text
 * in them.  So while the message comes in, each part of it that says
 * "Content-Transfer-Encoding: binary" becomes base64, octet for octet, and says
 * so; a multipart or message that said it says 8bit.  Nothing else is changed.
 * Outside of such parts the rules are those of every message: lines end with CR
 * LF, and there is no NUL.
 *
 * A message in which two programs could see different parts is refused: with
 * two types, or two encodings, of the same part.
 */
#ifndef SMTPD_BINARY_H
#define SMTPD_BINARY_H

#include <stddef.h>
#include <stdint.h>

#include "data.h"
#include "mime_type.h"

#define BINARY_DEPTH	20	/* multiparts in each other */
#define BINARY_LINE	1024	/* octets of a line that are looked at */
#define BINARY_FIELD	4096	/* octets of a field that are looked at */

enum binary_state {
	BINARY_HEADER,
	BINARY_TEXT,		/* a body of lines */
	BINARY_RAW,		/* a body of octets */
	BINARY_RAW_CR,		/* ... after a CR */
	BINARY_RAW_LINE,	/* ... in what may be a delimiter */
	BINARY_RAW_LINE_CR	/* ... and after a CR in it */
};

struct binary {
	enum binary_state state;
	enum data_fault	fault;
	void		(*put)(void *, const uint8_t *, size_t);
	void		*arg;
	/* the multiparts around */
	struct mime_type around[BINARY_DEPTH];
	size_t		depth;
	/* the header of the part */
	struct mime_type type;
	int		has_type;
	int		is_binary;	/* it says so */
	int		has_encoding;	/* it says any */
	int		is_encoded;	/* base64, or anything but 7bit, 8bit */
	size_t		field_len;
	int		is_passed;	/* the field is too long to look at */
	char		field[BINARY_FIELD];
	/* the line */
	size_t		line_len;
	int		is_long;	/* the beginning of it is gone */
	int		has_cr;
	int		has_crlf;	/* of a raw body, before the line */
	char		line[BINARY_LINE];
	/* base64 */
	size_t		column;
	size_t		held_len;
	uint8_t		held[3];
};

/* put gets the message, with LF line ends, in pieces of any size. */
void	binary_init(struct binary *, void (*put)(void *, const uint8_t *,
	    size_t), void *arg);
/* Take in a piece; after a fault nothing is put any more. */
void	binary_take(struct binary *, const uint8_t *, size_t);
/* That was all. */
void	binary_end(struct binary *);

#endif
