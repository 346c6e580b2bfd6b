/*
 * relay_reply: a reply of a remote host (RFC 5321 section 4.2, RFC 2034), from
 * lines of octets to a code, an enhanced status code and a text that can be
 * stored, logged and sent on (C5).  Pure functions.
 *
 * Verdicts of our own have the same form, with code 0.
 */
#ifndef SMTPD_RELAY_REPLY_H
#define SMTPD_RELAY_REPLY_H

#include <stddef.h>

#include "relay_gate.h"

/* A host that says more than this in one reply has nothing to say. */
#define REPLY_LINES_MAX	256
#define REPLY_LINE_MAX	2048	/* octets with CR LF; RFC 5321 allows 512 */

struct reply {
	unsigned	code;		/* 200 to 599; 0: ours, or none yet */
	size_t		lines;
	char		status[RELAY_STATUS_MAX];	/* never "" when whole */
	char		text[RELAY_TEXT_MAX];	/* printable ASCII */
	size_t		text_len;
};

enum reply_step {
	REPLY_MORE,	/* another line follows */
	REPLY_WHOLE,
	REPLY_GARBAGE,	/* no reply of SMTP */
	REPLY_ENDLESS	/* more than REPLY_LINES_MAX lines */
};

void	reply_begin(struct reply *);
/*
 * One line without its line end; *rest is what of it comes after the code and
 * its separator, as it came.
 */
enum reply_step reply_take(struct reply *, const char *line, size_t len,
	    const char **rest, size_t *rest_len);

/* One of our own; status is "4.4.2" or the like. */
void	reply_make(struct reply *, const char *status, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));

/* By the class of the code, or of our own status; 3yz is a deferral. */
enum delivery_verdict reply_verdict(const struct reply *);
/* 2yz? */
int	reply_is_good(const struct reply *);
/*
 * For a reply that means something else than its code says: another class, in
 * the status code as well.
 */
void	reply_soften(struct reply *);

#endif
