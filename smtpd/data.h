/*
 * data: the framing of DATA (RFC 5321 sections 2.3.8, 4.1.1.4 and 4.5.2) as a
 * pure function over pieces of the stream, however they are cut; and what
 * comes by BDAT (RFC 3030), where lines are the same, a dot means nothing and
 * the end is somebody else's business.
 *
 * Only CR LF "." CR LF ends the data (at the very start, "." CR LF).  A CR or
 * LF on its own, or a NUL, never ends a line: it makes the message faulty,
 * and reading goes on to the true end, so that the next command is found where
 * it is (smuggling lives on servers that guess here).
 */
#ifndef SMTPD_DATA_H
#define SMTPD_DATA_H

#include <stddef.h>
#include <stdint.h>

enum data_fault {
	DATA_GOOD = 0,
	DATA_BARE_CR,
	DATA_BARE_LF,
	DATA_NUL,
	DATA_AMBIGUOUS,		/* BINARYMIME only (binary.h) */
	DATA_TOO_DEEP
};

enum data_state {
	DATA_LINE_START,	/* after CR LF, or before the first octet */
	DATA_IN_LINE,
	DATA_CR,		/* a CR that may become a line end */
	DATA_DOT,		/* a line that so far is "." */
	DATA_DOT_CR,		/* ... and now ". CR" */
	DATA_DONE
};

struct data {
	enum data_state	state;
	enum data_fault	fault;		/* the first one */
	int		is_chunked;	/* by BDAT: no dots, no end */
	uint64_t	octets;		/* taken in, framing included */
};

void	data_init(struct data *, int is_chunked);

/*
 * Take in a piece.  Content, with LF line ends and without the stuffed dots,
 * goes to out, which must have room for len octets; *outlen says how many it
 * was.  Returns the octets used: less than len only when the data ended.
 * Once the message is faulty there is no more output.
 */
size_t	data_take(struct data *, const uint8_t *in, size_t len, uint8_t *out,
	    size_t *outlen);

/*
 * BDAT: the stream is over.  A last line without an end gets one: 1 octet in
 * out, else 0.
 */
size_t	data_end(struct data *, uint8_t out[1]);

int	data_is_done(const struct data *);

/* What is wrong with the message, for a reply; NULL: nothing. */
const char *data_fault_text(const struct data *);

#endif
