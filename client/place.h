/*
 * place: where the server is, and what an address without a domain belongs to.
 */
#ifndef CLIENT_PLACE_H
#define CLIENT_PLACE_H

#include <stdio.h>

#define PLACE_DOMAIN_MAX	256	/* octets, with the NUL */
#define PLACE_PATH_MAX		1024	/* the same */

struct place {
	char	run_dir[108];		/* a socket's path has no more */
	char	domain[PLACE_DOMAIN_MAX];	/* "": the server's own name */
	char	domains[1024];		/* that one and the others, with spaces
					 * between them, or "" */
	char	aliases[PLACE_PATH_MAX];	/* paths of files of names; */
	char	domain_map[PLACE_PATH_MAX];	/* "": none */
	char	relay_recipients[PLACE_PATH_MAX];
};

/*
 * From a configuration of smtpd; NULL for the usual one.  What it does not say,
 * or a file that can't be read, leaves the defaults.  Only run-dir, the first
 * line of domains, and what is named above count.
 */
void	place_find(struct place *, const char *path);
void	place_read(struct place *, FILE *);

#endif
