/*
 * mx: from a next hop to addresses.
 *
 * Runs in the queue, as queue-user; touches nothing but the channel to the
 * resolver, through dns_ask.  What that says is a stranger's word: it chooses
 * addresses for one destination, and none that would lead back to this host.
 *
 * First the mail exchangers of the domain, if it is one, then all addresses of
 * the best of them at the same time.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smtpd/mx.h"

#define TTL_MIN		30	/* seconds; what is asked again all the time */
#define TTL_MAX		3600
#define AT_ONCE		4	/* questions of one domain; others have some, too */
#define LOOPS		"mail for that domain would come back to this host"

struct host {
	struct mx		*mx;
	char			 name[HOSTNAME_MAX];
	uint32_t		 order;		/* preference, then chance */
	struct dns_question	*questions[2];	/* AAAA, A; NULL: answered */
	size_t			 counts[2];
	uint8_t			 addresses[2][MX_OF_HOST_MAX][16];
};

struct mx {
	struct dns_client	*dns;
	const struct config	*config;
	const struct next_hop	*hop;
	mx_resolved		 resolved;
	void			*arg;
	uint64_t		 now;
	struct dns_question	*question;	/* MX; NULL: answered */
	int			 has_self;	/* some host was us */
	int			 is_secure;
	int			 is_unanswered;	/* something of it, for now */
	uint32_t		 ttl;
	size_t			 host_count;
	size_t			 asked;		/* of questions about hosts */
	size_t			 outstanding;	/* answers to them */
	struct host		 hosts[MX_HOSTS_MAX];
};

int
mx_is_public(const struct sockaddr *sa)
{
	const struct sockaddr_in6 *in6 = (const void *)sa;
	uint32_t a;

	if (sa->sa_family == AF_INET)
		a = ntohl(((const struct sockaddr_in *)(const void *)sa)->
		    sin_addr.s_addr);
	else if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ||
	    IN6_IS_ADDR_V4COMPAT(&in6->sin6_addr))
		return 0;
	else
		return !IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) &&
		    !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr) &&
		    !IN6_IS_ADDR_MULTICAST(&in6->sin6_addr) &&
		    !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr);
	return a >> 24 != 127 && a >> 24 != 0 && a >> 28 < 0xe;
}

static void
make_inet(struct mx_address *to, int family, const void *octets,
    uint16_t port)
{
	struct sockaddr_in *in4 = (void *)&to->address;
	struct sockaddr_in6 *in6 = (void *)&to->address;

	memset(&to->address, 0, sizeof(to->address));
	if (family == AF_INET) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons(port);
		memcpy(&in4->sin_addr, octets, sizeof(in4->sin_addr));
		to->len = sizeof(*in4);
	} else {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		memcpy(&in6->sin6_addr, octets, sizeof(in6->sin6_addr));
		to->len = sizeof(*in6);
	}
	if (inet_ntop(family, octets, to->text, sizeof(to->text)) == NULL)
		strlcpy(to->text, "unknown", sizeof(to->text));
}

static void __attribute__((format(printf, 4, 5)))
conclude(struct mx_result *r, enum outcome_kind kind, const char *status,
    const char *fmt, ...)
{
	va_list ap;

	r->kind = kind;
	r->count = 0;
	strlcpy(r->status, status, sizeof(r->status));
	va_start(ap, fmt);
	/* Cut rather than lost: it is for people. */
	(void)vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
}

static int
is_family(const struct config *config, int family)
{
	return config->relay_family == RELAY_BOTH ||
	    (config->relay_family == RELAY_IPV4) == (family == AF_INET);
}

int
mx_is_known(const struct config *config, const struct next_hop *hop,
    struct mx_result *r)
{
	struct mx_address *to = &r->addresses[0];
	struct sockaddr_un *un = (void *)&to->address;
	uint8_t octets[sizeof(struct in6_addr)];
	int family;

	memset(r, 0, sizeof(*r));
	r->kind = OUTCOME_DELIVERED;
	r->ttl = TTL_MAX;
	r->count = 1;
	if (hop->protocol == REMOTE_LMTP_SOCKET) {
		un->sun_family = AF_UNIX;
		if (strlcpy(un->sun_path, hop->host, sizeof(un->sun_path)) >=
		    sizeof(un->sun_path))
			conclude(r, OUTCOME_DEFERRED, "4.3.5",
			    "the path of the socket is too long");
		to->len = sizeof(*un);
		strlcpy(to->text, "local", sizeof(to->text));
		return 1;
	}
	family = strchr(hop->host, ':') != NULL ? AF_INET6 : AF_INET;
	if (inet_pton(family, hop->host, octets) != 1)
		return 0;
	make_inet(to, family, octets, hop->port);
	strlcpy(to->host, hop->host, sizeof(to->host));
	if (!hop->is_named && !mx_is_public((struct sockaddr *)&to->address))
		conclude(r, OUTCOME_FAILED, "5.4.6", LOOPS);
	else if (!hop->is_named && !is_family(config, family))
		conclude(r, OUTCOME_FAILED, "5.4.4",
		    "mail is not sent to addresses of that family");
	return 1;
}

static void
finish(struct mx *mx, struct mx_result *r)
{
	mx_resolved resolved = mx->resolved;
	void *arg = mx->arg;

	r->ttl = mx->ttl < TTL_MIN ? TTL_MIN :
	    mx->ttl > TTL_MAX ? TTL_MAX : mx->ttl;
	r->is_secure = mx->is_secure;
	mx_cancel(mx);
	resolved(arg, r);
}

static struct mx_result *
new_result(void)
{
	static struct mx_result r;	/* too large for a stack */

	memset(&r, 0, sizeof(r));
	r.kind = OUTCOME_DELIVERED;
	return &r;
}

static void
add_addresses(struct mx *mx, const struct host *h, int which,
    struct mx_result *r)
{
	struct mx_address *to;
	size_t i;

	for (i = 0; i < h->counts[which] && r->count < MX_ADDRESSES_MAX; i++) {
		to = &r->addresses[r->count];
		make_inet(to, which == 0 ? AF_INET6 : AF_INET,
		    h->addresses[which][i], mx->hop->port);
		strlcpy(to->host, h->name, sizeof(to->host));
		if (!mx->hop->is_named &&
		    !mx_is_public((struct sockaddr *)&to->address))
			mx->has_self = 1;
		else
			r->count++;
	}
}

/* All is answered: what is there to connect to? */
static void
conclude_addresses(struct mx *mx)
{
	struct mx_result *r = new_result();
	size_t n;

	for (n = 0; n < mx->host_count; n++) {
		add_addresses(mx, &mx->hosts[n], 0, r);
		add_addresses(mx, &mx->hosts[n], 1, r);
	}
	if (r->count == 0 && mx->is_unanswered)
		conclude(r, OUTCOME_DEFERRED, "4.4.3",
		    "no name server tells the addresses of %.128s",
		    mx->hop->host);
	else if (r->count == 0 && mx->has_self)
		conclude(r, OUTCOME_FAILED, "5.4.6", LOOPS);
	else if (r->count == 0 && mx->hop->is_named)
		/* An administrator's mistake is no reason to lose mail. */
		conclude(r, OUTCOME_DEFERRED, "4.4.4",
		    "%.128s has no address", mx->hop->host);
	else if (r->count == 0)
		conclude(r, OUTCOME_FAILED, "5.4.4",
		    "no host that takes mail for %.128s has an address",
		    mx->hop->host);
	finish(mx, r);
}

static int	ask_addresses(struct mx *);

static void
heard_address(struct host *h, int which, const struct dns_answer *a)
{
	struct mx *mx = h->mx;
	size_t i;

	h->questions[which] = NULL;
	for (i = 0; a->status == DNS_OK && i < a->count &&
	    i < MX_OF_HOST_MAX; i++)
		memcpy(h->addresses[which][h->counts[which]++],
		    a->records[i].address, sizeof(a->records[i].address));
	if (a->status == DNS_OK && a->ttl < mx->ttl)
		mx->ttl = a->ttl;
	mx->is_unanswered |= a->status == DNS_TEMPFAIL ||
	    a->status == DNS_BOGUS || (a->status == DNS_OK && a->count == 0);
	mx->is_secure &= a->is_secure != 0;
	mx->outstanding--;
	if (ask_addresses(mx) == -1)
		mx->is_unanswered = 1;
	if (mx->outstanding == 0)
		conclude_addresses(mx);
}

static void
heard_aaaa(void *arg, const struct dns_answer *answer)
{
	heard_address(arg, 0, answer);
}

static void
heard_a(void *arg, const struct dns_answer *answer)
{
	heard_address(arg, 1, answer);
}

/*
 * As many questions as may be under way, the best hosts' first.  -1: no memory.
 * What no host can be called has no address.
 */
static int
ask_addresses(struct mx *mx)
{
	static const struct {
		int		family;
		enum dns_type	type;
		dns_answered	heard;
	} ways[] = {
		{ AF_INET6, DNS_AAAA, heard_aaaa }, { AF_INET, DNS_A, heard_a }
	};
	struct host *h;
	size_t i;

	while (mx->outstanding < AT_ONCE && mx->asked < 2 * mx->host_count) {
		h = &mx->hosts[mx->asked / 2];
		i = mx->asked++ % 2;
		h->mx = mx;
		if (!is_family(mx->config, ways[i].family))
			continue;
		h->questions[i] = dns_ask(mx->dns, ways[i].type, h->name,
		    ways[i].heard, h, mx->now);
		if (h->questions[i] != NULL)
			mx->outstanding++;
		else if (errno != EINVAL)
			return -1;
	}
	return 0;
}

/* Is this mail exchanger the host that asks? */
static int
is_self(const struct mx *mx, const char *host)
{
	return strcasecmp(host, mx->config->hostname) == 0 ||
	    config_is_local_domain(mx->config, host);
}

static int
compare_hosts(const void *a, const void *b)
{
	const struct host *x = a, *y = b;

	return x->order < y->order ? -1 : x->order > y->order;
}

/*
 * The best ones, those of one preference in random order (RFC 5321 5.1).  If
 * we are one of them, only those that are better than us.
 */
static void
take_hosts(struct mx *mx, const struct dns_answer *a)
{
	uint32_t limit = UINT32_MAX;
	struct host *h;
	size_t i;

	for (i = 0; i < a->count; i++)
		if (is_self(mx, a->records[i].host) &&
		    a->records[i].preference < limit) {
			limit = a->records[i].preference;
			mx->has_self = 1;
		}
	for (i = 0; i < a->count && mx->host_count < MX_HOSTS_MAX; i++) {
		if (a->records[i].preference >= limit ||
		    a->records[i].host[0] == '\0')
			continue;
		h = &mx->hosts[mx->host_count++];
		strlcpy(h->name, a->records[i].host, sizeof(h->name));
		h->order = (uint32_t)a->records[i].preference << 16 |
		    arc4random_uniform(65536);
	}
	qsort(mx->hosts, mx->host_count, sizeof(mx->hosts[0]), compare_hosts);
}

static void
take_itself(struct mx *mx)
{
	mx->host_count = 1;
	strlcpy(mx->hosts[0].name, mx->hop->host, sizeof(mx->hosts[0].name));
}

static void
heard_mx(void *arg, const struct dns_answer *a)
{
	struct mx_result *r = new_result();
	struct mx *mx = arg;

	mx->question = NULL;
	mx->is_secure &= a->is_secure != 0;
	if (a->status == DNS_OK && a->ttl < mx->ttl)
		mx->ttl = a->ttl;
	if (a->status == DNS_NODATA)
		take_itself(mx);
	else if (a->status == DNS_OK)
		take_hosts(mx, a);
	if (a->status == DNS_NXDOMAIN)
		conclude(r, OUTCOME_FAILED, "5.1.2",
		    "there is no domain %.128s", mx->hop->host);
	else if (a->status == DNS_TEMPFAIL || a->status == DNS_BOGUS)
		conclude(r, OUTCOME_DEFERRED, "4.4.3",
		    "no name server tells who takes mail for %.128s",
		    mx->hop->host);
	else if (a->status == DNS_OK && a->count == 0)
		conclude(r, OUTCOME_FAILED, "5.4.4", "the mail exchangers of "
		    "%.128s have names that no host can have", mx->hop->host);
	else if (mx->host_count == 0 && mx->has_self)
		conclude(r, OUTCOME_FAILED, "5.4.6", LOOPS);
	else if (mx->host_count == 0)
		conclude(r, OUTCOME_FAILED, "5.1.10",
		    "the domain %.128s takes no mail", mx->hop->host);
	else if (ask_addresses(mx) == -1)
		conclude(r, OUTCOME_DEFERRED, "4.3.0", "out of memory");
	else if (mx->outstanding > 0)
		return;
	else
		conclude(r, OUTCOME_FAILED, "5.4.4", "no host that takes "
		    "mail for %.128s has an address", mx->hop->host);
	finish(mx, r);
}

struct mx *
mx_start(struct dns_client *dns, const struct config *config,
    const struct next_hop *hop, mx_resolved resolved, void *arg, uint64_t now)
{
	struct mx *mx = calloc(1, sizeof(*mx));

	if (mx == NULL)
		return NULL;
	mx->dns = dns;
	mx->config = config;
	mx->hop = hop;
	mx->resolved = resolved;
	mx->arg = arg;
	mx->now = now;
	mx->is_secure = 1;
	mx->ttl = UINT32_MAX;
	if (hop->is_mx) {
		mx->question = dns_ask(dns, DNS_MX, hop->host, heard_mx, mx,
		    now);
		if (mx->question != NULL)
			return mx;
	} else {
		take_itself(mx);
		if (ask_addresses(mx) == 0 && mx->outstanding > 0)
			return mx;
	}
	mx_cancel(mx);
	errno = ENOMEM;
	return NULL;
}

void
mx_cancel(struct mx *mx)
{
	size_t n;
	int i;

	if (mx->question != NULL)
		dns_cancel(mx->question);
	for (n = 0; n < mx->host_count; n++)
		for (i = 0; i < 2; i++)
			if (mx->hosts[n].questions[i] != NULL)
				dns_cancel(mx->hosts[n].questions[i]);
	free(mx);
}
