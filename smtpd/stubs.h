/*
 * stubs: the worker's side of the SMTP gates.  Each ask_x() is the mirror of
 * the agent's answer_x(); the fields are listed once, in smtpd/gates.h.
 *
 * 0, or -1 with errno when the gate failed or the answer was none that may be
 * given to a client: then nothing is known about the other side, and the
 * session should end with a temporary error.
 */
#ifndef SMTPD_STUBS_H
#define SMTPD_STUBS_H

#include <stdint.h>

#include "address.h"
#include "gates.h"
#include "parameters.h"

struct verdict {
	uint32_t	code;				/* 200 to 599 */
	char		enhanced[12];			/* "2.1.5" or "" */
	char		text[VERDICT_TEXT_MAX + 1];	/* printable */
};

int	ask_mail(int gate, const char *helo, const char *tls, uint32_t flags,
	    const struct mail_argument *, struct verdict *);
int	ask_rcpt(int gate, const struct rcpt_argument *, struct verdict *);
/* With 354, and only then, *pipe is the caller's; else -1. */
int	ask_data(int gate, struct verdict *, int *pipe);
int	ask_commit(int gate, uint64_t octets, struct verdict *);
int	ask_abort(int gate);
int	ask_verify(int gate, const struct address *, struct verdict *);

/* *is_more: there is another member after this one. */
int	ask_expand(int gate, const struct address *, uint32_t member,
	    struct verdict *, int *is_more);

int	verdict_is_success(const struct verdict *);	/* 2xx */
/* May this be sent to a client as it is? */
int	verdict_is_legal(const struct verdict *);

#endif
