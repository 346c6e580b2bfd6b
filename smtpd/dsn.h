/*
 * dsn: what a delivery status notification calls an outcome (RFC 3464).
 */
#ifndef SMTPD_DSN_H
#define SMTPD_DSN_H

#include "smtpd/bounce.h"
#include "smtpd/spool.h"

/* Room for a reply code, a status, the text and a NUL. */
#define DSN_DIAGNOSTIC_MAX	(OUTCOME_TEXT_MAX + 32)

/* Is it a reply of that host, and not what we have found there? */
int	dsn_is_quotation(const struct outcome *);
/* What was said, with its numbers. */
void	dsn_diagnostic(const struct outcome *, char text[DSN_DIAGNOSTIC_MAX]);
/* Of a success, for people: never NULL, and static like the next two. */
const char	*dsn_success(const struct outcome *);
/* The fields Action and Status of a report of that kind. */
const char	*dsn_action(enum bounce_action, const struct outcome *);
const char	*dsn_status(enum bounce_action, const struct outcome *);

#endif
