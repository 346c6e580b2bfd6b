/*
 * client_name: what a client's host is called, as the resolver found it, for
 * trace and log.  It grants nothing.
 */
#ifndef SMTPD_CLIENT_NAME_H
#define SMTPD_CLIENT_NAME_H

#include "privsep/config.h"
#include "privsep/facts.h"

#define CLIENT_NAME_MS	3000	/* that a letter waits for it, at most */

struct client_name {
	int		fd;	/* tells it, once; -1: nothing more will come */
	uint64_t	deadline;
	char		text[HOSTNAME_MAX];	/* "" not looked for */
};

/*
 * Of the session with these facts.  The descriptor (-1: none) is taken over;
 * time runs from here.
 */
void	client_name_begin(struct client_name *, const struct config *,
	    const struct facts *, int fd);
/*
 * The confirmed name, in lower case; "localhost"; "unknown"; or "", where no
 * name is looked for.
 */
const char *client_name_now(struct client_name *);
/* The same, when it has come, time is over or the worker at its gate gone. */
const char *client_name_wait(struct client_name *, int gate);
void	client_name_end(struct client_name *);

#endif
