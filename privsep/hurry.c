/*
 * hurry: close a socket of this host's users without waiting for anything.
 *
 * Runs in the master, as root, and in the queue, as queue-user; touches its
 * own timer.
 *
 * The wait that SO_LINGER asks for ends with a signal; that must come while it
 * lasts, so it is a timer's.
 */
#include <sys/time.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "hurry.h"
#include "log.h"

#define SOON_US	2000

static void
on_alarm(int sig)
{
	(void)sig;		/* to interrupt is all that it does */
}

static void
set_timer(suseconds_t us)
{
	const struct itimerval timer = {
		.it_interval = { .tv_usec = us }, .it_value = { .tv_usec = us },
	};

	if (setitimer(ITIMER_REAL, &timer, NULL) == -1)
		fatal("setitimer");
}

void
hurry_begin(void)
{
	static int is_ready;
	struct sigaction sa;

	if (!is_ready) {
		memset(&sa, 0, sizeof(sa));
		sa.sa_handler = on_alarm;
		sigemptyset(&sa.sa_mask);
		if (sigaction(SIGALRM, &sa, NULL) == -1)
			fatal("SIGALRM");
		is_ready = 1;
	}
	set_timer(SOON_US);
}

void
hurry_end(void)
{
	set_timer(0);
}

void
hurry_close(int fd)
{
	hurry_begin();
	close(fd);
	hurry_end();
}
