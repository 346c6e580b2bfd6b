/*
 * expand: from a recipient to the accounts that get the letter.
 */
#ifndef SMTPD_EXPAND_H
#define SMTPD_EXPAND_H

#include <stddef.h>

#include "privsep/facts.h"
#include "smtpd/aliases.h"
#include "smtpd/envelope.h"
#include "smtpd/spool.h"

#define EXPAND_MAX	1000	/* names looked at for one recipient */
#define EXPAND_DEPTH	10	/* aliases behind aliases */

/*
 * Accounts, unique, in the order found: strings of the aliases or the
 * envelope, good until either is freed.
 */
struct expansion {
	size_t		 count;
	const char	*accounts[EXPAND_MAX];
	/*
	 * What could not be expanded, if anything: OUTCOME_DEFERRED or
	 * OUTCOME_FAILED and why; else 0.  The accounts above are good anyway.
	 */
	enum outcome_kind trouble;
	char		 status[OUTCOME_STATUS_MAX];
	char		 text[OUTCOME_TEXT_MAX];
};

void	expand(const struct aliases_file *, const struct recipient *,
	    struct expansion *);

#endif
