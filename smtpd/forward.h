/*
 * forward: ~/.forward, which says where else a user's mail goes.
 *
 * Names and addresses, commands and files (program.h), at commas and at line
 * ends, as in an alias (aliases.h);
 * "#" begins a comment line.  The user's own name, with a backslash or
 * without, is the mailbox; "/dev/null" is nothing.
 *
 * One that can't be used, because somebody else could have written it or it
 * has a mistake, is as if it were not there: the mail is in the mailbox, and
 * the log says why.  What it says is never quoted (C7).
 */
#ifndef SMTPD_FORWARD_H
#define SMTPD_FORWARD_H

#include <time.h>

#include "../privsep/config.h"
#include "../privsep/facts.h"
#include "aliases.h"

#define FORWARD_FILE_MAX	(64 * 1024)	/* octets */
#define FORWARD_MAX		100		/* targets */

struct forward {
	int		 is_set;	/* else only the mailbox */
	int		 keeps;		/* the mailbox, too */
	const char	*addresses[FORWARD_MAX];	/* "name" or an address,
							 * none twice */
	size_t		 count;
	const char	*programs[FORWARD_MAX];	/* none twice */
	size_t		 program_count;
	const char	*refused;	/* why it is not used, or NULL */
	struct aliases	 list;		/* what addresses lie in */
};

/*
 * Call as the user, before confinement.  0, or -1 with errno: whether there is
 * one can't be told now.
 */
int	forward_read(struct forward *, const struct identity *,
	    const struct config *);
/* The same from memory. */
int	forward_parse(struct forward *, const char *text, size_t len,
	    const struct identity *, const struct config *);
void	forward_free(struct forward *);

/* Which ~/.forward that is, if any: without opening it, so at any time. */
struct forward_stamp {
	int		error;		/* errno; ENOENT: there is none */
	uint64_t	device, file, size;
	struct timespec	modified, changed;
};
void	forward_look(const struct identity *, struct forward_stamp *);
int	forward_is_same(const struct forward_stamp *,
	    const struct forward_stamp *);

/* "Delivered-To: ACCOUNT@DOMAIN\n", which a forwarded letter begins with. */
#define FORWARD_MARK_MAX	640
void	forward_mark(const char *account, const struct config *,
	    char mark[FORWARD_MARK_MAX]);
/*
 * Does this letter come back: is the mark in its header?  1 or 0, or -1 with
 * errno.
 */
int	forward_is_marked(int fd, uint64_t offset, uint64_t length,
	    const char *mark);

#endif
