/*
 * program_run: a command's life: fed, listened to, waited for, ended.
 *
 * Runs in the agents of programs, as the user or as command-user; touches its
 * fork, and the pipes to it.
 *
 * A command may read its letter or not, write a flood or leave processes
 * behind: what counts is the status with which it ends itself.  One that takes
 * too long, or whose end nobody waits for any more, is asked to end (SIGTERM)
 * and some seconds later made to, with all of its process group.
 */
#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "privsep/log.h"
#include "smtpd/programs.h"

#define GRACE_MS	5000	/* from SIGTERM to SIGKILL */

enum { INPUT, OUTPUT, END, GATE, WATCHED };

struct life {
	const struct program_task *task;
	struct program_end	*end;
	struct program_feed	 feed;
	struct pollfd		 pfd[WATCHED];
	pid_t			 pid;
	int			 trouble;	/* an errno comes, or nothing */
	int64_t			 until;		/* what comes next, and when */
	int			 is_asked;	/* to end */
};

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
close_end(struct pollfd *pfd)
{
	if (pfd->fd != -1)
		close(pfd->fd);
	pfd->fd = -1;
}

/* Both ends closed on exec; ours does not block. */
static int
make_pipe(int ends[2], int ours)
{
	if (pipe2(ends, O_CLOEXEC) == -1)
		return -1;
	return fcntl(ends[ours], F_SETFL, O_NONBLOCK);
}

static void
close_both(int ends[2])
{
	if (ends[0] != -1)
		close(ends[0]);
	if (ends[1] != -1)
		close(ends[1]);
}

/* 0, or -1 with errno. */
static int
begin(struct life *l)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, why[2] = { -1, -1 };
	pid_t self = getpid();
	int saved;

	l->pid = -1;
	if (make_pipe(in, 1) == 0 && make_pipe(out, 0) == 0 &&
	    make_pipe(why, 0) == 0)
		l->pid = fork();
	if (l->pid == 0)
		program_exec(l->task, self, in[0], out[1], why[1]);
	if (l->pid != -1)
		l->pfd[END].fd = (int)syscall(SYS_pidfd_open, l->pid, 0);
	if (l->pid == -1 || l->pfd[END].fd == -1) {
		saved = errno;
		close_both(in);
		close_both(out);
		close_both(why);
		if (l->pid != -1) {
			(void)kill(l->pid, SIGKILL);
			(void)waitpid(l->pid, NULL, 0);
		}
		errno = saved;
		return -1;
	}
	close(in[0]);
	close(out[1]);
	close(why[1]);
	l->pfd[INPUT] = (struct pollfd){ .fd = in[1], .events = POLLOUT };
	l->pfd[OUTPUT] = (struct pollfd){ .fd = out[0], .events = POLLIN };
	l->pfd[END].events = POLLIN;
	/* Only its end is of interest: the queue says nothing now. */
	l->pfd[GATE] = (struct pollfd){ .fd = l->task->agent->gate };
	l->trouble = why[0];
	return 0;
}

/* The beginning is kept, all of it is read. 0: that was the end of it. */
static int
hear(struct life *l)
{
	char buf[4096], *dst = l->end->output;
	size_t len = strlen(dst);
	ssize_t n = read(l->pfd[OUTPUT].fd, buf, sizeof(buf)), i;

	if (n == -1)
		return errno == EAGAIN || errno == EINTR;
	for (i = 0; i < n && len + 1 < PROGRAM_OUTPUT_MAX; i++)
		dst[len++] = buf[i] >= ' ' && buf[i] <= '~' ? buf[i] : ' ';
	dst[len] = '\0';
	return n > 0;
}

/* The whole group, which still has its number: it was not waited for. */
static void
kill_group(const struct life *l, int sig)
{
	if (kill(-l->pid, sig) == -1)	/* setsid() is still to come */
		(void)kill(l->pid, sig);
}

/* Why it must end now. */
static void
ask_to_end(struct life *l, enum program_end_kind kind)
{
	l->end->kind = kind;
	l->is_asked = 1;
	l->until = now_ms() + GRACE_MS;
	kill_group(l, SIGTERM);
}

static void
look_at_time(struct life *l)
{
	if (now_ms() < l->until)
		return;
	if (!l->is_asked) {
		ask_to_end(l, PROGRAM_TIMED_OUT);
		return;
	}
	kill_group(l, SIGKILL);
	l->until = now_ms() + GRACE_MS;
}

static void
feed(struct life *l)
{
	if (program_feed(&l->feed, l->pfd[INPUT].fd))
		return;
	/* It must not take half a letter for a whole one. */
	if (l->feed.is_failed) {
		if (!l->is_asked)
			ask_to_end(l, PROGRAM_ABANDONED);
		kill_group(l, SIGKILL);
	}
	close_end(&l->pfd[INPUT]);
}

/*
 * Nobody waits for its end any more.  A file is written to its end all the
 * same: half of a letter would stay in it, and a lock beside it.
 */
static void
lose_queue(struct life *l)
{
	l->pfd[GATE].fd = -1;
	if (!l->is_asked && program_is_command(l->task->text))
		ask_to_end(l, PROGRAM_ABANDONED);
}

/* Until it has ended by itself, which comes before all else, or by us. */
static void
accompany(struct life *l)
{
	int64_t left;

	for (;;) {
		left = l->until - now_ms();
		if (poll(l->pfd, WATCHED, left > 0 ? (int)left : 0) == -1) {
			if (errno != EINTR)
				fatal("poll");
			continue;
		}
		if (l->pfd[END].revents != 0)
			return;
		if (l->pfd[INPUT].revents != 0)
			feed(l);
		if (l->pfd[OUTPUT].revents != 0 && !hear(l))
			close_end(&l->pfd[OUTPUT]);
		if ((l->pfd[GATE].revents & (POLLHUP | POLLERR)) != 0)
			lose_queue(l);
		look_at_time(l);
	}
}

static void
conclude(struct life *l)
{
	struct program_end *end = l->end;
	int status = 0, error;

	if (l->is_asked)
		kill_group(l, SIGKILL);	/* whoever is left of it */
	while (waitpid(l->pid, &status, 0) == -1 && errno == EINTR)
		;
	/* What it said last; not what those say whom it left behind. */
	while (l->pfd[OUTPUT].fd != -1 && strlen(end->output) + 1 <
	    PROGRAM_OUTPUT_MAX && poll(&l->pfd[OUTPUT], 1, 0) == 1)
		if (!hear(l))
			close_end(&l->pfd[OUTPUT]);
	if (l->is_asked)
		return;
	if (read(l->trouble, &error, sizeof(error)) == sizeof(error)) {
		end->kind = PROGRAM_NOT_RUN;
		end->code = error;
	} else if (WIFSIGNALED(status)) {
		end->kind = PROGRAM_SIGNALLED;
		end->code = WTERMSIG(status);
	} else {
		end->kind = PROGRAM_EXITED;
		end->code = WEXITSTATUS(status);
	}
}

void
program_run(const struct program_task *t, struct program_end *end)
{
	static struct life l;
	size_t i;

	memset(end, 0, sizeof(*end));
	for (i = 0; i < WATCHED; i++)
		l.pfd[i] = (struct pollfd){ .fd = -1 };
	l.task = t;
	l.end = end;
	l.is_asked = 0;
	if (begin(&l) == -1) {
		end->kind = PROGRAM_NOT_RUN;
		end->code = errno;
		return;
	}
	program_feed_begin(&l.feed, t);
	if (!program_is_command(t->text))	/* it is read from its place */
		close_end(&l.pfd[INPUT]);
	l.until = now_ms() + (int64_t)t->agent->config->command_timeout * 1000;
	accompany(&l);
	conclude(&l);
	close(l.trouble);
	close_end(&l.pfd[INPUT]);
	close_end(&l.pfd[OUTPUT]);
	close_end(&l.pfd[END]);
}
