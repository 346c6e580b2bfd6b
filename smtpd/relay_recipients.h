/*
 * relay_recipients: who there is in the relay domains (relay-recipients of
 * postern.conf(5)), so that nothing is taken for who is not.
 *
 * A file of addresses, one a line; "@domain" is everybody there; what stands
 * after "#" is a comment.  Compared without regard to case.
 */
#ifndef SMTPD_RELAY_RECIPIENTS_H
#define SMTPD_RELAY_RECIPIENTS_H

#include "privsep/config.h"

struct relay_recipients {
	int	is_set;		/* there is such a file */
	int	fd;		/* -1: but it can't be used */
};

/* Before the process is confined. */
void	relay_recipients_open(struct relay_recipients *,
	    const struct config *);
/* 1: there, or nobody has said who is; 0: not; -1: can't say, errno. */
int	relay_recipients_find(const struct relay_recipients *,
	    const char *local, const char *domain);
void	relay_recipients_close(struct relay_recipients *);

#endif
