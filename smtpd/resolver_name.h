/*
 * resolver_name: the names of clients' addresses, looked up for the session
 * agents.
 */
#ifndef SMTPD_RESOLVER_NAME_H
#define SMTPD_RESOLVER_NAME_H

#include <event2/event.h>
#include <unbound.h>

/*
 * Look up whose this numeric address is and tell whoever has the other end of
 * sock, once (REPLY_NAME in dns.h).  With too many under way, or without a
 * libunbound, it is closed at once.  The descriptor is taken over.
 */
void	resolver_name(struct event_base *, struct ub_ctx *,
	    const char *address, int sock);

#endif
