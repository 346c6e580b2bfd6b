/*
 * mx: the addresses behind a next hop, in the order in which they are tried
 * (RFC 5321 section 5).
 */
#ifndef SMTPD_MX_H
#define SMTPD_MX_H

#include <sys/socket.h>

#include "smtpd/dns_ask.h"
#include "smtpd/next_hop.h"
#include "smtpd/spool.h"

#define MX_HOSTS_MAX	10	/* the best ones; others are not looked up */
#define MX_ADDRESSES_MAX 40
#define MX_OF_HOST_MAX	8	/* of one host and family */

struct mx_address {
	struct sockaddr_storage	 address;	/* with the port */
	socklen_t		 len;
	char			 host[HOSTNAME_MAX]; /* whose it is; "" a socket */
	char			 text[ADDRESS_TEXT_MAX]; /* numeric */
};

/* What came of a resolution. */
struct mx_result {
	enum outcome_kind	 kind;	/* OUTCOME_DELIVERED: there are some */
	char			 status[OUTCOME_STATUS_MAX];
	char			 text[OUTCOME_TEXT_MAX];
	uint32_t		 ttl;	/* seconds that it is good for */
	int			 is_secure;	/* all of it (DNSSEC) */
	size_t			 count;
	struct mx_address	 addresses[MX_ADDRESSES_MAX];
};

/* A next hop that is an address or a socket is its own result: 1; else 0. */
int	mx_is_known(const struct config *, const struct next_hop *,
	    struct mx_result *);

struct mx;	/* a resolution under way */

/* Is called once, never from within mx_start(). */
typedef void (*mx_resolved)(void *arg, const struct mx_result *);

/*
 * Find the addresses of any other (borrowed until the end).  config: whose
 * name and domains a mail exchanger must not have, relay-family.  NULL with
 * errno ENOMEM.  now: monotonic ms.
 */
struct mx *mx_start(struct dns_client *, const struct config *,
	    const struct next_hop *, mx_resolved, void *arg, uint64_t now);
/* Nobody waits for it any more. */
void	mx_cancel(struct mx *);
/*
 * May mail for a stranger's domain go there?  Not to this host itself, to
 * nobody or to a crowd.
 */
int	mx_is_public(const struct sockaddr *);

#endif
