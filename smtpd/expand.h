/*
 * expand: from a recipient to those who get the letter.
 */
#ifndef SMTPD_EXPAND_H
#define SMTPD_EXPAND_H

#include <stddef.h>

#include "privsep/facts.h"
#include "smtpd/aliases.h"
#include "smtpd/envelope.h"
#include "smtpd/groups.h"
#include "smtpd/spool.h"

#define EXPAND_MAX	11000	/* names looked at for one recipient: the
				 * largest group, and what leads there */
#define EXPAND_DEPTH	10	/* aliases behind aliases */
#define EXPAND_INCLUDES	100	/* files read for one recipient */
#define EXPAND_GROUPS	100	/* and Unix groups asked for */

/* Where names are looked up. */
struct expand_names {
	const struct aliases_file *aliases;
	struct aliases_file *map;	/* the domain map; NULL: none */
	struct groups	*groups;	/* NULL: none can be asked for */
	uint64_t	 now;		/* monotonic ms */
};

struct expand_target {
	enum target_kind kind;	/* ACCOUNT, REMOTE or PROGRAM */
	const char	*text;	/* a legal account's name, not root; or
				 * "local@domain"; or a command or a file */
	const char	*alias;	/* of a PROGRAM: the one it stands in */
	const char	*list;	/* "team", if it was found by that alias and
				 * there is an alias "owner-team"; or NULL */
};

/*
 * Targets, unique, in the order found, each as found first: strings of the
 * aliases, the envelope, included or the groups, good until one of these is
 * freed, expand() is called again, or a group is heard of.
 * All zero before the first.
 */
struct expansion {
	size_t		 count;
	struct expand_target targets[EXPAND_MAX];
	int		 is_thrown_away;	/* by one alias at least */
	/*
	 * What could not be expanded, if anything: OUTCOME_DEFERRED or
	 * OUTCOME_FAILED and why; else 0.  The targets above are good anyway.
	 */
	enum outcome_kind trouble;
	char		 status[OUTCOME_STATUS_MAX];
	char		 text[OUTCOME_TEXT_MAX];
	/*
	 * A group that login has been asked for: nothing of this counts, and
	 * the letter is to be parked there (groups.h).  Or NULL.
	 */
	struct group	*awaited;
	struct aliases	 included[EXPAND_INCLUDES];
	size_t		 included_count;
};

void	expand(const struct expand_names *, const struct recipient *,
	    struct expansion *);
/* Forget what the last one was; it is as zeroed then. */
void	expand_free(struct expansion *);

#endif
