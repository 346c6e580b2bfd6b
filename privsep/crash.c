/*
 * crash: tell a crash from an ordinary end.
 *
 * Runs in the master, login and agents, as root; touches nothing.
 */
#include <sys/wait.h>

#include <signal.h>

#include "crash.h"

int
is_crash(int status)
{
	if (!WIFSIGNALED(status))
		return 0;
	switch (WTERMSIG(status)) {
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGABRT:
	case SIGSYS:
	case SIGFPE:
	case SIGTRAP:
	case SIGXFSZ:		/* a worker wrote to a file: RLIMIT_FSIZE is 0 */
		return 1;
	default:
		return 0;
	}
}
