/*
 * ourselves: is this host at the other end, by a name that is not known for
 * ours (RFC 5321 section 5.1)?
 */
#ifndef SMTPD_OURSELVES_H
#define SMTPD_OURSELVES_H

#include <sys/socket.h>

#include "privsep/config.h"

/*
 * sock is connected to peer.  Others may well be at an address of this machine;
 * but where this host listens for SMTP nobody else does.
 */
int	ourselves_at(const struct config *, int sock,
	    const struct sockaddr_storage *peer);

#endif
