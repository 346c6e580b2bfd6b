/*
 * role: how every executable under libexec begins.
 *
 * Runs in spawner, login, agents and queue, as root, before any of them does
 * anything else; touches the fixed descriptors.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "become.h"
#include "channel.h"
#include "log.h"
#include "role.h"
#include "sandbox.h"

/* Not a role's business to guess: without its descriptors it does not run. */
static void
refuse(const char *name)
{
	dprintf(STDERR_FILENO,
	    "%s: started by hand; pop3d and smtpd start it\n", name);
	_exit(2);
}

static int
is_socket_of(int fd, int type)
{
	int have;
	socklen_t len = sizeof(have);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &have, &len) == 0 &&
	    have == type;
}

static void
reset_signals(void)
{
	struct sigaction sa;
	sigset_t none;
	int sig;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = SIG_DFL;
	/* Not those of a crash, which a sanitizer's runtime may have taken. */
	for (sig = 1; sig < NSIG; sig++)
		if (sig != SIGSEGV && sig != SIGBUS && sig != SIGILL &&
		    sig != SIGFPE && sig != SIGABRT)
			(void)sigaction(sig, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	if (sigaction(SIGPIPE, &sa, NULL) == -1)
		fatal("sigaction");
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) == -1)
		fatal("sigprocmask");
}

static void
keep_on_fork_only(int fd)
{
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
		fatal("FD_CLOEXEC");
}

int
role_start(const char *name, enum role role, int has_link, int has_hint,
    struct config *config)
{
	int has_hint_fd, last = FD_CONFIG;

	if (!is_socket_of(FD_MASTER, SOCK_SEQPACKET) ||
	    !is_socket_of(FD_LOG, SOCK_SEQPACKET) ||
	    (has_link && !is_socket_of(FD_LINK, SOCK_SEQPACKET)))
		refuse(name);
	has_hint_fd = has_hint && is_socket_of(FD_HINT, SOCK_DGRAM);
	if (has_link)
		last = FD_LINK;
	if (has_hint_fd)
		last = FD_HINT;
	if (last == FD_HINT && !has_link)
		close(FD_LINK);
	closefrom(last + 1);
	log_init_socket(FD_LOG);
	reset_signals();
	umask(077);
	if (config_receive(FD_CONFIG, role, config) == -1)
		fatal("%s: configuration", name);
	close(FD_CONFIG);
	keep_on_fork_only(FD_MASTER);
	keep_on_fork_only(FD_LOG);
	if (has_link)
		keep_on_fork_only(FD_LINK);
	if (has_hint_fd)
		keep_on_fork_only(FD_HINT);
	return has_hint_fd;
}

void
role_confine_queue(const struct config *config, int spool, int aliases_dir)
{
	struct sandbox_place places[2] = {
		{ .fd = spool, .use = ROOM_CHANGE },
		{ .fd = aliases_dir, .use = ROOM_READ },
	};
	struct sandbox_filter filter;

	sandbox_compile(SANDBOX_QUEUE, &filter);
	become_user(config->queue_user.uid, config->queue_user.gid);
	become_sealed();
	become_bounded(RLIMIT_CORE, 0);
#ifndef POSTERN_SANITIZE
	become_bounded(RLIMIT_NPROC, 0);
#endif
	sandbox_landlock(places, aliases_dir == -1 ? 1 : 2);
	sandbox_install(&filter);
}
