/*
 * place: where the server is, and what an address without a domain belongs to.
 */
#ifndef CLIENT_PLACE_H
#define CLIENT_PLACE_H

#include <stdio.h>

#define PLACE_DOMAIN_MAX	256	/* octets, with the NUL */

struct place {
	char	run_dir[108];		/* a socket's path has no more */
	char	domain[PLACE_DOMAIN_MAX];	/* "": the server's own name */
};

/*
 * From a configuration of smtpd; NULL for the usual one.  What it does not say,
 * or a file that can't be read, leaves the defaults.  Only run-dir and the
 * first of domains count.
 */
void	place_find(struct place *, const char *path);
void	place_read(struct place *, FILE *);

#endif
