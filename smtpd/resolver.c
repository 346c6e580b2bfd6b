/*
 * resolver: asks name servers for the queue, and for the names of clients.
 *
 * Runs as its own process, as resolver-user from its exec on, confined to an
 * empty root without files before it serves.  libunbound reads resolv.conf and
 * hosts before that, and then talks to name servers by UDP and TCP; libevent
 * calls it and us when there is something to read.  The parser of packets sees
 * what strangers send (C21): nothing but this process is behind it.
 *
 * An answer that DNSSEC calls forged is used like one that says nothing about
 * it: many name servers on the way take the signatures away, and mail would
 * stop.  Whether an answer is secure is told.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <unbound-event.h>
#include <unbound.h>

#include "../privsep/channel.h"
#include "../privsep/facts.h"
#include "../privsep/log.h"
#include "../privsep/message.h"
#include "../privsep/role.h"
#include "../privsep/sandbox.h"
#include "dns.h"
#include "resolver_channel.h"
#include "resolver_name.h"

#define ROOT_KEY	"/usr/share/dns/root.key"
#define WARM_SECONDS	2
#define RESEND_MS	"2500"	/* for one that has not answered, at first */

static struct config config;
static struct event_base *base;
static struct ub_ctx *unbound;
/*
 * Has sockets and caches of its own: whoever connects can have it ask, and must
 * not be in the queue's way.  NULL: nobody wants clients' names.
 */
static struct ub_ctx *names;
static int is_warm;

static void
option(struct ub_ctx *ctx, const char *name, const char *value)
{
	int result = ub_ctx_set_option(ctx, name, value);

	if (result != 0)
		fatal("libunbound: %s %s: %s", name, value,
		    ub_strerror(result));
}

/*
 * Bounded in memory and descriptors; the caches are its own.
 *
 * Of how long servers take nothing is kept.  Most often there is one, which asks
 * others for us: if some of those are slow, it would be taken for slow itself,
 * be tried less and less, and all other names would wait for what it is asked
 * once in minutes.  Each question waits for its own answer instead, which may
 * take a while when that server has to ask far hosts, before it is sent again.
 */
static void
set_options(struct ub_ctx *ctx)
{
	option(ctx, "infra-host-ttl:", "0");
	option(ctx, "unknown-server-time-limit:", RESEND_MS);
	option(ctx, "do-not-query-localhost:", "no");
	option(ctx, "msg-cache-size:", "4m");
	option(ctx, "rrset-cache-size:", "8m");
	option(ctx, "neg-cache-size:", "1m");
	option(ctx, "outgoing-range:", "300");
	option(ctx, "num-queries-per-thread:", "400");
	option(ctx, "cache-max-ttl:", "3600");
	option(ctx, "val-permissive-mode:", "yes");
	option(ctx, "unblock-lan-zones:", "yes");
	option(ctx, "insecure-lan-zones:", "yes");
	if (config.relay_family == RELAY_IPV4)
		option(ctx, "do-ip6:", "no");
}

static void
set_servers(struct ub_ctx *ctx)
{
	const struct dns_server *s;
	char text[sizeof(s->address) + 8];
	size_t i;
	int result;

	for (i = 0; i < config.dns_server_count; i++) {
		s = &config.dns_servers[i];
		(void)snprintf(text, sizeof(text), "%s@%u", s->address,
		    s->port);
		result = ub_ctx_set_fwd(ctx, text);
		if (result != 0)
			fatal("name server %s: %s", text, ub_strerror(result));
	}
	/* Without any the root servers are asked. */
	if (config.dns_server_count == 0 &&
	    ub_ctx_resolvconf(ctx, NULL) != 0)
		log_event(LOG_NOTICE, 0, "event=no-resolv-conf text=\"no name "
		    "servers are named: the root servers are asked\"");
	(void)ub_ctx_hosts(ctx, NULL);
	if (access(ROOT_KEY, R_OK) == 0)
		(void)ub_ctx_add_ta_file(ctx, ROOT_KEY);
}

/*
 * libunbound says of some domains without asking that they do not exist: right
 * for a public resolver, but what there is in a network of its own only that
 * network's name servers know.
 */
static void
ask_about_all(struct ub_ctx *ctx)
{
	static const char *const zones[] = { "test.", "home.arpa." };
	size_t i;
	int result;

	for (i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
		result = ub_ctx_zone_remove(ctx, zones[i]);
		if (result != 0)
			fatal("libunbound: %s: %s", zones[i],
			    ub_strerror(result));
	}
}

static void
warmed(void *arg, int rcode, void *packet, int len, int security,
    char *why_bogus, int was_ratelimited)
{
	(void)arg;
	(void)rcode;
	(void)packet;
	(void)len;
	(void)security;
	(void)why_bogus;
	(void)was_ratelimited;
	is_warm = 1;
	(void)event_base_loopbreak(base);
}

/* What it opens at its first question is opened now. */
static struct ub_ctx *
warm(void)
{
	static const struct timeval patience = { .tv_sec = WARM_SECONDS };
	struct ub_ctx *ctx = ub_ctx_create_event(base);
	int result, id;

	if (ctx == NULL)
		fatal("libunbound");
	(void)ub_ctx_debugout(ctx, NULL);
	set_options(ctx);
	set_servers(ctx);
	ask_about_all(ctx);
	is_warm = 0;
	result = ub_resolve_event(ctx, "localhost", DNS_A, DNS_IN, NULL,
	    warmed, &id);
	if (result != 0)
		fatal("libunbound: %s", ub_strerror(result));
	if (!is_warm) {		/* the answer was not at hand */
		(void)event_base_loopexit(base, &patience);
		(void)event_base_dispatch(base);
	}
	return ctx;
}

static void
master_ready(evutil_socket_t master, short events, void *arg)
{
	struct message m;
	struct facts facts;
	int sock, n = message_recv((int)master, &m, 1);

	(void)events;
	(void)arg;
	if (n == -1 && (errno == EBADMSG || errno == EINTR))
		return;		/* no descriptor left for it, say */
	if (n != 1)
		_exit(0);
	if (m.type != CH_SERVE)
		bug("the resolver was sent %u", m.type);
	get_facts(&m, &facts);
	sock = get_fd(&m);
	if (get_end(&m) == -1 || (facts.service != SERVICE_RESOLVER &&
	    facts.service != SERVICE_NAME))
		bug("the resolver was sent a malformed channel");
	if (facts.service == SERVICE_NAME)
		resolver_name(base, names, facts.client, sock);
	else
		resolver_channel(base, unbound, sock);
}

int
main(void)
{
	struct sandbox_filter own;
	struct event *master;

	(void)role_start("smtpd-resolver", ROLE_RESOLVER, 0, &config);
	tzset();
	sandbox_compile(SANDBOX_RESOLVER, &own);
	base = event_base_new();
	if (base == NULL)
		fatal("libevent");
	unbound = warm();
	if (config.client_names)
		names = warm();
	role_enclose(&config, &config.resolver_user, ROLE_CONNECTS, &own);
	role_ready();
	master = event_new(base, FD_MASTER, EV_READ | EV_PERSIST, master_ready,
	    NULL);
	if (master == NULL || event_add(master, NULL) == -1)
		fatal("the master's channel");
	(void)event_base_dispatch(base);
	fatal("the event loop ended");
}
