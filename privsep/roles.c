/*
 * roles: which roles there are: what each is exec'd with, and as whom.
 *
 * Runs in the master, as root.
 */
#include <sys/socket.h>

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "master.h"

static int
start_role(struct child *c, const char *executable, enum role role,
    const struct config *config, struct child_descriptors *d)
{
	int r;

	d->libexec = config->libexec_dir;
	d->config = config_send(config, role);
	if (d->config == -1)
		return -1;
	r = child_start(c, executable, d);
	close(d->config);
	return r;
}

/* What links OpenSSL is never root; the spawner still has to chroot(2). */
int
roles_start(struct generation *g, const struct setting *with)
{
	const struct config *c = with->config;
	struct child_descriptors spawner = { .link = -1, .hint = -1,
	    .keyring = with->certificates, .user = &c->worker_user,
	    .capability = CAP_SYS_CHROOT };
	struct child_descriptors signer = { .link = -1, .hint = -1,
	    .keyring = with->keys, .user = &c->key_user, .capability = -1 };
	struct child_descriptors login = { .hint = -1, .keyring = -1 };
	struct child_descriptors agents = { .hint = master.hint[1],
	    .keyring = -1 };
	int r, link[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) == -1)
		return -1;
	login.link = link[0];
	agents.link = link[1];
	r = start_role(&g->spawner, master.daemon->spawner, ROLE_SPAWNER, c,
	    &spawner) == -1 ||
	    start_role(&g->login, "login", ROLE_LOGIN, c, &login) == -1 ||
	    start_role(&g->agents, master.daemon->agents, ROLE_AGENTS, c,
	    &agents) == -1 || (with->keys != -1 && start_role(&g->signer,
	    "signer", ROLE_SIGNER, c, &signer) == -1) ? -1 : 0;
	close(link[0]);
	close(link[1]);
	return r;
}
