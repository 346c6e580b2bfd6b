/*
 * resolver_channel: one queue's questions, and how answers are read.  For the
 * resolver only.
 */
#ifndef SMTPD_RESOLVER_CHANNEL_H
#define SMTPD_RESOLVER_CHANNEL_H

#include <event2/event.h>
#include <unbound.h>

#include "dns.h"

/*
 * What libunbound's callback was told about this question: never NULL, good
 * until the next call.
 */
const struct dns_answer *resolver_answer(enum dns_type, const char *name,
	    int rcode, const void *packet, int len, int security);
/* Serve the gate of dns.h on this socket, which is taken over. */
void	resolver_channel(struct event_base *, struct ub_ctx *, int sock);

#endif
