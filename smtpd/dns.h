/*
 * dns: the gate between the queue and the resolver (smtpd/resolver.c), over
 * the far end of what CH_RESOLVER gave it.  Any number of questions may be
 * under way; answers come in any order.  And what it tells a session agent.
 *
 * The resolver reads what strangers send: the queue checks its answers like a
 * stranger's (C21).  A host name in an answer has letters, digits, '-', '_' and
 * dots only, labels of 1 to 63 octets, is in lower case and without the final
 * dot.
 */
#ifndef SMTPD_DNS_H
#define SMTPD_DNS_H

#include "../privsep/config.h"

#ifndef REPLY_OF
#define REPLY_OF(request)	((request) | 0x8000)
#endif

#define DNS_RECORDS_MAX	50	/* of one answer; MX: the best ones */
#define DNS_ASKED_MAX	200	/* questions under way on one channel */
#define DNS_PATIENCE_MS	30000	/* of the resolver, for one question */
#define DNS_CROWD	50	/* with so many under way, it has less: */
#define DNS_CROWD_MS	5000
#define DNS_NAMES_MAX	200	/* clients' names that are looked up at once */
#define DNS_NAME_MS	5000	/* the resolver's patience with one of them */
#define DNS_IN		1	/* the Internet's class */

enum dns_type {			/* as in the DNS (RFC 1035, 3596) */
	DNS_A = 1,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_AAAA = 28
};

enum dns_status {
	DNS_OK,			/* with no record: none that can be used */
	DNS_NODATA,		/* the name is there, nothing of this type */
	DNS_NXDOMAIN,
	DNS_TEMPFAIL,		/* no answer, SERVFAIL, nonsense */
	DNS_BOGUS		/* DNSSEC says that it was forged */
};

enum dns_request {
	/*
	 * u32 id, u32 dns_type, str name (a host name) -> u32 id, u32
	 * dns_status, u32 is_secure (DNSSEC), u32 ttl (seconds), u32 count,
	 * then count times, of MX: u32 preference, str host ("": the null MX
	 * of RFC 7505); A: 4 octets; AAAA: 16 octets; PTR: str host.
	 */
	REQ_LOOKUP = 0x501
};
enum { REPLY_LOOKUP = REPLY_OF(REQ_LOOKUP) };

/*
 * What a session agent gets, unasked and once, over the far end of the channel
 * that the master gave the resolver with the client's address (SERVICE_NAME):
 * str name, the host's (dns_reverse_is_name()), or "": none that is confirmed.
 * An end without it says the same.
 */
enum { REPLY_NAME = REPLY_OF(0x502) };

struct dns_record {
	uint16_t	preference;		/* MX */
	char		host[HOSTNAME_MAX];	/* MX, PTR; "" the null MX */
	uint8_t		address[16];		/* A: the first four */
};

struct dns_answer {
	enum dns_type		 type;
	enum dns_status		 status;
	int			 is_secure;
	uint32_t		 ttl;		/* seconds */
	size_t			 count;
	struct dns_record	 records[DNS_RECORDS_MAX]; /* MX: by preference */
};

#endif
