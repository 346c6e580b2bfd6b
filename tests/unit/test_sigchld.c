/* LINK: privsep/sigchld privsep/log privsep/message */
#include <sys/wait.h>

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/sigchld.h"

static sigset_t while_waiting;
static int ready[2];	/* a pipe that can always be read */

/* A child that has ended, not reaped yet. */
static pid_t
dead_child(void)
{
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	assert_true(pid > 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT),
	    0);
	return pid;
}

static void
reap(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void
test_idle(void **state)
{
	static const struct timespec soon = { .tv_nsec = 1000000 };
	pid_t pid;

	(void)state;
	assert_int_equal(ppoll(NULL, 0, &soon, &while_waiting), 0);
	assert_false(sigchld_came());
	pid = dead_child();
	assert_int_equal(ppoll(NULL, 0, NULL, &while_waiting), -1);
	assert_int_equal(errno, EINTR);
	assert_true(sigchld_came());
	assert_false(sigchld_came());
	reap(pid);
}

/* As long as a descriptor is ready, ppoll() lets no signal in. */
static void
test_busy(void **state)
{
	struct pollfd pfd = { .fd = ready[0], .events = POLLIN };
	pid_t pid = dead_child();

	(void)state;
	assert_int_equal(ppoll(&pfd, 1, NULL, &while_waiting), 1);
	assert_true(sigchld_came());
	reap(pid);
	/* It comes in when there is nothing else to do, and no later. */
	assert_int_equal(ppoll(NULL, 0, NULL, &while_waiting), -1);
	assert_true(sigchld_came());
	assert_false(sigchld_came());
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_busy),
	};

	sigchld_begin(&while_waiting);
	if (pipe(ready) == -1 || write(ready[1], "x", 1) != 1)
		return 1;
	return cmocka_run_group_tests_name("test_sigchld", tests, NULL, NULL);
}
