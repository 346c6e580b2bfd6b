/*
 * recipients: the address lists of RFC 5322 section 3.4, as people and programs
 * write them in To, Cc and Bcc and on the command line, and who is in them.
 */
#ifndef CLIENT_RECIPIENTS_H
#define CLIENT_RECIPIENTS_H

#include <stddef.h>

#define RECIPIENTS_LIMIT	1000	/* the server takes no more at once */

struct recipients {
	size_t	count;
	char	*names[RECIPIENTS_LIMIT];	/* printed addresses; a local
						 * part alone has no domain */
};

enum recipients_status {
	RECIPIENTS_OK = 0,
	RECIPIENTS_SYNTAX,
	RECIPIENTS_TOO_MANY,
	RECIPIENTS_ERROR	/* errno: no memory */
};

/*
 * Add the addresses of a list, line ends and all; who is there already is not
 * added again.  Display names, comments, groups, routes and empty places in the
 * list are understood and left out.  At RECIPIENTS_SYNTAX where[] holds the
 * beginning of what was not understood.
 */
#define RECIPIENTS_WHERE_MAX	64
enum recipients_status recipients_add(struct recipients *, const char *,
	    size_t len, char where[RECIPIENTS_WHERE_MAX]);
void	recipients_free(struct recipients *);

#endif
