/*
 * listing: letters of the queue, asked for page by page and written as they
 * come.
 */
#ifndef CLIENT_LISTING_H
#define CLIENT_LISTING_H

#include "print.h"
#include "seen.h"
#include "talk.h"

struct listing {
	struct talk		*talk;
	const struct printer	*printer;
	FILE			*out;		/* a file without a name: the
						 * queue waits for no reader */
	struct seen		 seen;		/* of this selection: a letter
						 * that moves may be told of
						 * twice */
	size_t			 letters;
	uint64_t		 octets;
	int			 is_partial;	/* not all could be read */
};

/* Ends the program if there is no room for what is to be written. */
void	listing_open(struct listing *, struct talk *, const struct printer *);
/* All letters of a selection: how many. */
size_t	listing_add(struct listing *, const struct selection *);
/* Everything to standard output; 0, or an exit code. */
int	listing_close(struct listing *);

/* The octets of a letter: 1; 0: there is none. */
int	listing_content(struct talk *, const char *id, FILE *out);
/*
 * From the beginning of a stream to standard output; what is not clean goes to
 * a terminal by way of print_content().  Ends the program if it can't be
 * written.
 */
void	listing_copy(FILE *from, int is_clean);

#endif
