/*
 * resolver: asks name servers for the queue.
 *
 * Runs as its own process, as resolver-user from its exec on, confined to an
 * empty root without files before it serves.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../privsep/channel.h"
#include "../privsep/facts.h"
#include "../privsep/log.h"
#include "../privsep/message.h"
#include "../privsep/role.h"
#include "../privsep/sandbox.h"

static struct config config;

static void
confine(void)
{
	struct sandbox_filter own;

	tzset();
	sandbox_compile(SANDBOX_RESOLVER, &own);
	role_enclose(&config, &config.resolver_user, ROLE_CONNECTS, &own);
}

static void
serve_channel(struct message *m)
{
	struct facts facts;
	int sock;

	if (m->type != CH_SERVE)
		bug("the resolver was sent %u", m->type);
	get_facts(m, &facts);
	sock = get_fd(m);
	if (get_end(m) == -1 || facts.service != SERVICE_RESOLVER)
		bug("the resolver was sent a malformed channel");
	close(sock);
}

int
main(void)
{
	struct message m;
	int n;

	(void)role_start("smtpd-resolver", ROLE_RESOLVER, 0, &config);
	confine();
	role_ready();
	for (;;) {
		n = message_recv(FD_MASTER, &m, 1);
		if (n == -1 && errno == EBADMSG)
			continue;	/* no descriptor left for it, say */
		if (n != 1)
			return 0;
		serve_channel(&m);
		message_discard(&m);
	}
}
