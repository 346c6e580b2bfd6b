/*
 * ourselves: is this host at the other end?
 *
 * Runs in the queue, as queue-user; touches nothing.
 */
#include <sys/socket.h>

#include <netinet/in.h>

#include "privsep/facts.h"
#include "smtpd/ourselves.h"

static int
is_same_address(const struct sockaddr_storage *a,
    const struct sockaddr_storage *b)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

	if (a->ss_family != b->ss_family)
		return 0;
	if (a->ss_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return a->ss_family == AF_INET6 &&
	    IN6_ARE_ADDR_EQUAL(&a6->sin6_addr, &b6->sin6_addr);
}

/* An address, or all of its family; the port is at the same place in both. */
static int
is_listening(const struct config *config, const struct sockaddr_storage *at)
{
	const struct sockaddr_in *in4 = (const void *)at;
	const struct sockaddr_storage any = { .ss_family = at->ss_family };
	const struct listener *l;
	size_t i;

	for (i = 0; i < config->listener_count; i++) {
		l = &config->listeners[i];
		if (l->service == SERVICE_SMTP && in4->sin_port ==
		    ((const struct sockaddr_in *)(const void *)
		    &l->address)->sin_port &&
		    (is_same_address(at, &l->address) ||
		    is_same_address(&any, &l->address)))
			return 1;
	}
	return 0;
}

int
ourselves_at(const struct config *config, int sock,
    const struct sockaddr_storage *peer)
{
	struct sockaddr_storage here;
	socklen_t len = sizeof(here);

	return getsockname(sock, (struct sockaddr *)&here, &len) == 0 &&
	    is_same_address(&here, peer) && is_listening(config, peer);
}
