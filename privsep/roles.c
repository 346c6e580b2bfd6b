/*
 * roles: which roles a generation has: what each is exec'd with, and as whom.
 *
 * Runs in the master, as root.
 */
#include <sys/socket.h>

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "master.h"

struct child *
roles_at(struct generation *g, size_t i)
{
	struct child *const all[ROLES_MAX] = { &g->spawner, &g->login,
	    &g->agents, &g->signer, &g->relay, &g->resolver,
	    &g->programs };

	return i < ROLES_MAX ? all[i] : NULL;
}

int
roles_are_ready(struct generation *g)
{
	struct child *c;
	size_t i;

	/* The spawner says it by way of its first worker. */
	for (i = 0; (c = roles_at(g, i)) != NULL; i++)
		if (c != &g->spawner && c->pid != 0 && !c->is_ready)
			return 0;
	return g->waiting_count > 0;
}

int
roles_have_ended(struct generation *g)
{
	struct child *c;
	size_t i;

	for (i = 0; (c = roles_at(g, i)) != NULL; i++)
		if (c->pid != 0)
			return 0;
	return 1;
}

void
roles_let_go(struct generation *g)
{
	struct child *c;
	size_t i;

	for (i = 0; (c = roles_at(g, i)) != NULL; i++)
		child_let_go(c);
}

void
roles_forget(struct generation *g)
{
	struct child *c;
	size_t i;

	for (i = 0; (c = roles_at(g, i)) != NULL; i++)
		child_forget(c);
}

void
roles_hurry(struct generation *g)
{
	const struct child *c;
	size_t i;

	for (i = 0; (c = roles_at(g, i)) != NULL; i++)
		child_hurry(c);
}

void
roles_kill(struct generation *g)
{
	struct child *c;
	size_t i;

	for (i = 0; (c = roles_at(g, i)) != NULL; i++)
		if (c->pid != 0)
			kill(c->pid, SIGKILL);
}

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

/* Those for mail to other hosts; they, too, still have to chroot(2). */
static int
start_senders(struct generation *g, const struct config *c)
{
	struct child_descriptors relay = { .link = -1, .hint = -1,
	    .keyring = -1, .programs = -1, .user = &c->relay_user,
	    .capability = CAP_SYS_CHROOT };
	struct child_descriptors resolver = relay;

	resolver.user = &c->resolver_user;
	g->relay.stamp = "relay";
	g->resolver.stamp = "resolver";
	if (master.daemon->relay != NULL && start_role(&g->relay,
	    master.daemon->relay, ROLE_RELAY, c, &relay) == -1)
		return -1;
	return master.daemon->resolver != NULL ? start_role(&g->resolver,
	    master.daemon->resolver, ROLE_RESOLVER, c, &resolver) : 0;
}

/*
 * login, and those to whom it hands whom it has let in: agents, and programs
 * if anything may be run.
 */
static int
start_identities(struct generation *g, const struct config *c)
{
	struct child_descriptors login = { .hint = -1, .keyring = -1 };
	struct child_descriptors agents = { .hint = master.hint[1],
	    .keyring = -1, .programs = -1 };
	struct child_descriptors programs = { .hint = -1, .keyring = -1,
	    .programs = -1 };
	int r, link[2], second[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) == -1)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    second) == -1) {
		close(link[0]);
		close(link[1]);
		return -1;
	}
	login.link = link[0];
	agents.link = link[1];
	login.programs = -1;
	programs.link = second[1];
	if (master.daemon->programs != NULL && config_runs_commands(c))
		login.programs = second[0];
	r = start_role(&g->login, "login", ROLE_LOGIN, c, &login) == -1 ||
	    start_role(&g->agents, master.daemon->agents, ROLE_AGENTS, c,
	    &agents) == -1 || (login.programs != -1 &&
	    start_role(&g->programs, master.daemon->programs, ROLE_PROGRAMS,
	    c, &programs) == -1) ? -1 : 0;
	close(link[0]);
	close(link[1]);
	close(second[0]);
	close(second[1]);
	return r;
}

/* What links OpenSSL is never root; the spawner still has to chroot(2). */
int
roles_start(struct generation *g, const struct setting *with)
{
	const struct config *c = with->config;
	struct child_descriptors spawner = { .link = -1, .hint = -1,
	    .keyring = with->certificates, .programs = -1,
	    .user = &c->worker_user, .capability = CAP_SYS_CHROOT };
	struct child_descriptors signer = { .link = -1, .hint = -1,
	    .keyring = with->keys, .programs = -1, .user = &c->key_user,
	    .capability = -1 };

	return start_role(&g->spawner, master.daemon->spawner, ROLE_SPAWNER,
	    c, &spawner) == -1 || start_identities(g, c) == -1 ||
	    (with->keys != -1 && start_role(&g->signer, "signer", ROLE_SIGNER,
	    c, &signer) == -1) || start_senders(g, c) == -1 ? -1 : 0;
}
