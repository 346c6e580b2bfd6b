/*
 * resolver_channel: one queue's questions.  For the resolver only.
 */
#ifndef SMTPD_RESOLVER_CHANNEL_H
#define SMTPD_RESOLVER_CHANNEL_H

#include <event2/event.h>
#include <unbound.h>

/* Serve the gate of dns.h on this socket, which is taken over. */
void	resolver_channel(struct event_base *, struct ub_ctx *, int sock);

#endif
