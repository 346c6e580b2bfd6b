/*
 * aliases_check: what one target of an alias is, for the parser only.
 */
#ifndef SMTPD_ALIASES_CHECK_H
#define SMTPD_ALIASES_CHECK_H

#include "smtpd/aliases.h"
#include "smtpd/program.h"

#define TARGET_TEXT_MAX	PROGRAM_TEXT_MAX	/* one item, with its NUL */

/* What this kind of file may have among its targets. */
#define TARGETS_PROGRAMS	1U	/* commands and files */
#define TARGETS_INCLUDES	2U	/* ":include:PATH" */

/*
 * NULL: item, which has room for TARGET_TEXT_MAX octets, becomes its text, and
 * *kind, which is TARGET_NAME, or TARGET_ACCOUNT behind a backslash, what it
 * is.  Or what is wrong with it.  quoted: it began with a quote.
 */
const char *aliases_check(const struct config *, unsigned may_hold,
	    char *item, int quoted, enum target_kind *kind);

#endif
