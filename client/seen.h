/*
 * seen: the ids of the letters that were shown.
 */
#ifndef CLIENT_SEEN_H
#define CLIENT_SEEN_H

#include <stddef.h>

#include "smtpd/gates.h"

struct seen {
	char	(*slots)[QUEUE_ID_MAX];	/* "": free */
	size_t	 size;			/* a power of two, or 0 */
	size_t	 count;
};

/* Remember that id; 1: it was there before.  Ends the program without room. */
int	seen_add(struct seen *, const char *id);
/* Nothing was shown, as at first when all of it is zero. */
void	seen_clear(struct seen *);

#endif
