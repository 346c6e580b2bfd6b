/*
 * next_hop: where a letter for a domain goes next, by configuration alone.
 */
#ifndef SMTPD_NEXT_HOP_H
#define SMTPD_NEXT_HOP_H

#include "privsep/config.h"

/* "mx:example.org", "smtp:relay.example.org:25", "lmtp:/path", with its NUL */
#define NEXT_HOP_KEY_MAX	(CONFIG_PATH_MAX + 16)

struct next_hop {
	enum remote_protocol	 protocol;
	int			 is_mx;		/* host is a domain: ask for MX */
	int			 is_named;	/* by the administrator: any
						 * address may be behind it */
	char			 host[CONFIG_PATH_MAX]; /* name, numeric address
						 * or path of a socket */
	uint16_t		 port;
	enum relay_tls		 tls;
	const struct relay_auth	*auth;		/* NULL: none; config's */
	/*
	 * The same for all domains that share connections, and for no others.
	 */
	char			 key[NEXT_HOP_KEY_MAX];
};

/*
 * domain: of a forward-path, lower case; "[192.0.2.1]" and "[IPv6:...]" are
 * addresses.  0, or -1 for what is no domain (errno EINVAL).
 */
int	next_hop_find(const struct config *, const char *domain,
	    struct next_hop *);

#endif
