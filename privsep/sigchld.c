/*
 * sigchld: has a child ended?
 *
 * Runs in spawner, login and agents, as each of them; touches nothing.
 *
 * A ppoll() that finds a descriptor ready returns without letting a signal in,
 * so the handler alone would not hear of dead children as long as requests
 * come without a pause: pending signals are asked for as well.
 */
#include <string.h>

#include "log.h"
#include "sigchld.h"

static volatile sig_atomic_t has_dead;

static void
on_sigchld(int sig)
{
	(void)sig;
	has_dead = 1;
}

void
sigchld_begin(sigset_t *while_waiting)
{
	struct sigaction sa;
	sigset_t block;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_sigchld;
	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	sigemptyset(while_waiting);
	if (sigaction(SIGCHLD, &sa, NULL) == -1 ||
	    sigprocmask(SIG_BLOCK, &block, NULL) == -1)
		fatal("SIGCHLD");
}

int
sigchld_came(void)
{
	sigset_t pending;

	if (has_dead) {
		has_dead = 0;
		return 1;
	}
	return sigpending(&pending) == 0 && sigismember(&pending, SIGCHLD);
}
