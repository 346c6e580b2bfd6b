/*
 * program_exec: from a fork to a command.
 *
 * Runs in a fork of an agent of programs, as the user or as command-user; it
 * becomes the command, which has a clean environment, three descriptors, a
 * session of its own and no way back: NO_NEW_PRIVS and the system-call table
 * of programs stay with it and with all that it starts.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "smtpd/programs.h"

#define NOFILE_USUAL	1024	/* select(2) has room for these */
#define TROUBLE		3	/* the descriptor that says why not */

static void
reset_signals(void)
{
	struct sigaction sa;
	sigset_t none;
	int sig;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = SIG_DFL;
	for (sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &sa, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
set_limits(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur > NOFILE_USUAL) {
		rl.rlim_cur = NOFILE_USUAL;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
}

/* Ends of pipes to 0, 1, 2 and TROUBLE, by way of descriptors above these. */
static int
place(int input, int output, int trouble)
{
	int in = fcntl(input, F_DUPFD, 10), out = fcntl(output, F_DUPFD, 10);
	int why = fcntl(trouble, F_DUPFD, 10);

	if (in == -1 || out == -1 || why == -1 || dup2(in, 0) == -1 ||
	    dup2(out, 1) == -1 || dup2(out, 2) == -1 ||
	    dup2(why, TROUBLE) == -1 ||
	    fcntl(TROUBLE, F_SETFD, FD_CLOEXEC) == -1)
		return -1;
	closefrom(TROUBLE + 1);
	return 0;
}

/* What it can't be run for; whoever reads it takes it for the errno. */
static void __attribute__((noreturn))
give_up(int trouble)
{
	int error = errno;

	if (write(trouble, &error, sizeof(error)) == -1)
		_exit(EX_OSERR);
	_exit(EX_UNAVAILABLE);
}

static void __attribute__((noreturn))
exec_command(const struct program_task *t, int input, int output, int trouble)
{
	static struct program_environment environment;
	static struct program_words w;

	program_environment_make(t, &environment);
	errno = EINVAL;
	if (program_split(t->text + 1, &w) != NULL)
		give_up(trouble);
	if (place(input, output, trouble) == -1)
		give_up(trouble);
	if (chdir(t->agent->identity.home) == -1 && chdir("/") == -1)
		give_up(TROUBLE);
	set_limits();
	reset_signals();
	execve(w.words[0], w.words, environment.variables);
	give_up(TROUBLE);
}

static void __attribute__((noreturn))
write_file(const struct program_task *t, int output)
{
	const char *why = NULL;
	int status = program_file_append(t, &why);

	if (why != NULL && write(output, why, strlen(why)) == -1)
		_exit(EX_OSERR);
	_exit(status);
}

void
program_exec(const struct program_task *t, pid_t parent, int input,
    int output, int trouble)
{
	/* Whoever waits for the end is not replaced by another try. */
	if (setsid() == -1 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1)
		give_up(trouble);
	if (getppid() != parent)
		_exit(EX_TEMPFAIL);
	umask(077);
	if (program_is_command(t->text))
		exec_command(t, input, output, trouble);
	write_file(t, output);
}
