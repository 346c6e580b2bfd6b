/*
 * role: how every executable under libexec begins.
 *
 * Runs in spawner, signer, relay and resolver, as their users, and in login,
 * agents and queue, as root, before any of them does anything else; touches the
 * fixed descriptors.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "become.h"
#include "channel.h"
#include "log.h"
#include "message.h"
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

/* A name in the process list: exec by descriptor leaves a number there. */
static void
name_process(void)
{
	const char *name = strchr(program_invocation_short_name, '-');

	if (name != NULL)
		(void)prctl(PR_SET_NAME, name + 1, 0, 0, 0);
}

static int
is_there(int fd)
{
	struct stat st;

	switch (fd) {
	case FD_HINT:
		return is_socket_of(fd, SOCK_DGRAM);
	case FD_KEYRING:
		return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	default:
		return is_socket_of(fd, SOCK_SEQPACKET);
	}
}

/* Those of the role that are there; all others from FD_LINK on are closed. */
static unsigned
keep_descriptors(const char *name, unsigned descriptors)
{
	unsigned have = 0;
	int fd;

	for (fd = FD_LINK; fd < FD_ROLES; fd++) {
		if ((descriptors & ROLE_FD(fd)) != 0 && is_there(fd)) {
			have |= ROLE_FD(fd);
			continue;
		}
		if (fd == FD_LINK && (descriptors & ROLE_FD(fd)) != 0)
			refuse(name);
		close(fd);
	}
	closefrom(FD_ROLES);
	return have;
}

unsigned
role_start(const char *name, enum role role, unsigned descriptors,
    struct config *config)
{
	unsigned have;
	int fd;

	if (!is_socket_of(FD_MASTER, SOCK_SEQPACKET) ||
	    !is_socket_of(FD_LOG, SOCK_SEQPACKET))
		refuse(name);
	have = keep_descriptors(name, descriptors);
	name_process();
	log_init_socket(FD_LOG);
	reset_signals();
	umask(077);
	if (config_receive(FD_CONFIG, role, config) == -1)
		fatal("%s: configuration", name);
	close(FD_CONFIG);
	keep_on_fork_only(FD_MASTER);
	keep_on_fork_only(FD_LOG);
	for (fd = FD_LINK; fd < FD_ROLES; fd++)
		if ((have & ROLE_FD(fd)) != 0)
			keep_on_fork_only(fd);
	return have;
}

void
role_ready(void)
{
	struct message m;

	message_begin(&m, CH_READY);
	if (message_send(FD_MASTER, &m) == -1)
		_exit(0);	/* the master is gone */
}

void
role_enclose(const struct config *config, const struct account_ids *user,
    unsigned what, const struct sandbox_filter *filter)
{
	char empty[CONFIG_PATH_MAX + 8];

	snprintf(empty, sizeof(empty), "%s/empty", config->run_dir);
	become_enclosed(empty);
	become_user(user->uid, user->gid);
	become_sealed();
	become_bounded(RLIMIT_CORE, 0);
#ifndef POSTERN_SANITIZE
	become_bounded(RLIMIT_FSIZE, 0);
	become_bounded(RLIMIT_AS, UINT64_C(512) << 20);
	if ((what & ROLE_FORKS) == 0)
		become_bounded(RLIMIT_NPROC, 0);
#endif
	if ((what & ROLE_CONNECTS) != 0)
		sandbox_landlock_client(NULL, 0);
	else
		sandbox_landlock(NULL, 0);
	sandbox_install(filter);
	malloc_trim(0);
}

void
role_confine_queue(const struct config *config, int spool,
    const int dirs[QUEUE_DIRS_MAX])
{
	struct sandbox_place places[1 + QUEUE_DIRS_MAX] = {
		{ .fd = spool, .use = ROOM_CHANGE },
	};
	struct sandbox_filter filter;
	size_t i, count = 1;

	for (i = 0; i < QUEUE_DIRS_MAX; i++)
		if (dirs[i] != -1)
			places[count++] = (struct sandbox_place){
				.fd = dirs[i], .use = ROOM_READ
			};

	sandbox_compile(SANDBOX_QUEUE, &filter);
	become_user(config->queue_user.uid, config->queue_user.gid);
	become_sealed();
	become_bounded(RLIMIT_CORE, 0);
#ifndef POSTERN_SANITIZE
	become_bounded(RLIMIT_NPROC, 0);
#endif
	sandbox_landlock_client(places, count);
	sandbox_install(&filter);
}
