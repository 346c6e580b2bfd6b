/*
 * hosts: the addresses behind a destination, as one answer of the DNS had them,
 * and which were in vain of late.  Shared by the destination and the
 * connections that began with them: a later answer makes another set.
 */
#ifndef SMTPD_HOSTS_H
#define SMTPD_HOSTS_H

#include "smtpd/mx.h"

struct hosts {
	size_t			 holders;
	size_t			 count;
	uint64_t		*avoid_until;	/* of each, monotonic ms */
	struct mx_address	 addresses[];
};

/* For one holder.  What old (or NULL) knows of the same addresses stays. */
struct hosts *hosts_new(const struct mx_result *, const struct hosts *old);
/* For another one. */
struct hosts *hosts_hold(struct hosts *);
/* A holder (NULL: none) lets go. */
void	hosts_release(struct hosts *);
/* Where that address is in it: its index, or count. */
size_t	hosts_find(const struct hosts *, const struct mx_address *);

#endif
