/*
 * relay_recipients: who there is in the relay domains (relay-recipients of
 * postern.conf(5)), so that nothing is taken for who is not.
 *
 * A file of addresses as aliases.h has it; "@domain" is everybody there.
 */
#ifndef SMTPD_RELAY_RECIPIENTS_H
#define SMTPD_RELAY_RECIPIENTS_H

#include "smtpd/aliases.h"

struct relay_recipients {
	struct aliases_file	names;
};

/* Before the process is confined; spool: where its index is, or -1. */
void	relay_recipients_open(struct relay_recipients *,
	    const struct config *, int spool);
/* 1: there, or nobody has said who is; 0: not; -1: can't say. */
int	relay_recipients_find(struct relay_recipients *, const char *local,
	    const char *domain);
void	relay_recipients_close(struct relay_recipients *);

#endif
