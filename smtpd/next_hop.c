/*
 * next_hop: where a letter for a domain goes next.
 *
 * Runs in the queue, as queue-user; touches nothing.
 */
#include <sys/socket.h>

#include <arpa/inet.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "privsep/config_table.h"
#include "smtpd/next_hop.h"

#define SMTP_PORT	25

/* "[192.0.2.1]", "[IPv6:2001:db8::1]": without what is around it. */
static int
literal(const char *domain, char host[CONFIG_PATH_MAX])
{
	struct in6_addr address;
	int family = AF_INET;
	size_t len = strlen(domain);

	if (len < 3 || domain[len - 1] != ']')
		return -1;
	domain++;
	len -= 2;
	if (len > 5 && strncasecmp(domain, "IPv6:", 5) == 0) {
		family = AF_INET6;
		domain += 5;
		len -= 5;
	}
	if (len >= INET6_ADDRSTRLEN)
		return -1;
	memcpy(host, domain, len);
	host[len] = '\0';
	return inet_pton(family, host, &address) == 1 ? 0 : -1;
}

static int
by_domain(const struct config *c, const char *domain, struct next_hop *hop)
{
	hop->protocol = REMOTE_SMTP;
	hop->tls = config_relay_tls(c, domain);
	hop->port = SMTP_PORT;
	if (domain[0] == '[')
		return literal(domain, hop->host);
	hop->is_mx = 1;
	return config_is_hostname(domain) && strlcpy(hop->host, domain,
	    sizeof(hop->host)) < sizeof(hop->host) ? 0 : -1;
}

static void
by_route(const struct config *c, const struct remote *to,
    struct next_hop *hop)
{
	hop->protocol = to->protocol;
	hop->is_named = 1;
	hop->port = to->port;
	strlcpy(hop->host, to->host, sizeof(hop->host));
	hop->tls = config_relay_tls(c, to->host);
	hop->auth = config_relay_auth(c, to->host);
	/* A password is never sent in the clear, so there is no use in trying. */
	if (hop->auth != NULL && hop->tls == RELAY_TLS_MAY)
		hop->tls = RELAY_TLS_ENCRYPT;
}

static int
make_key(struct next_hop *hop)
{
	static const char *const tls[] = {
		[RELAY_TLS_NONE] = "-none", [RELAY_TLS_MAY] = "",
		[RELAY_TLS_ENCRYPT] = "-encrypt", [RELAY_TLS_VERIFY] = "-verify"
	};
	int n;

	if (hop->protocol == REMOTE_LMTP_SOCKET)
		n = snprintf(hop->key, sizeof(hop->key), "lmtp:%s",
		    hop->host);
	else if (hop->is_mx)
		n = snprintf(hop->key, sizeof(hop->key), "mx%s:%s",
		    tls[hop->tls], hop->host);
	else
		/* What a stranger named is not the same as what a route did. */
		n = snprintf(hop->key, sizeof(hop->key), hop->is_named ?
		    "%s%s:%s:%u" : "%s%s:[%s]:%u",
		    hop->protocol == REMOTE_LMTP ? "lmtp" : "smtp",
		    tls[hop->tls], hop->host, hop->port);
	return n > 0 && (size_t)n < sizeof(hop->key) ? 0 : -1;
}

int
next_hop_find(const struct config *c, const char *domain,
    struct next_hop *hop)
{
	const struct remote *to;
	int is_named;

	memset(hop, 0, sizeof(*hop));
	to = config_route(c, domain, &is_named);
	if (to != NULL)
		by_route(c, to, hop);
	else if (by_domain(c, domain, hop) == -1) {
		errno = EINVAL;
		return -1;
	}
	if (hop->protocol == REMOTE_LMTP_SOCKET)
		hop->tls = RELAY_TLS_NONE;
	if (make_key(hop) == 0)
		return 0;
	errno = EINVAL;
	return -1;
}
