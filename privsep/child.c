/*
 * child: exec one role with its fixed descriptors and nothing else.
 *
 * Runs in the master, as root; between fork and exec in the child.
 */
#include <sys/epoll.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "become.h"
#include "hurry.h"
#include "log.h"
#include "master.h"
#include "program.h"

#define SPARE	64	/* above every fixed descriptor */
#define MESSAGES_A_TURN	64	/* from one role: others want theirs, too */
#define LAST_WORDS	4096	/* more than the log socket of a role holds */
#define END_PATIENCE	30	/* seconds for a role to end when let go of */

/* Put a descriptor in its fixed place, by way of a spare one. */
static void
place(int *from, int to)
{
	if (*from == -1)
		return;
	*from = fcntl(*from, F_DUPFD, SPARE + to);
	if (*from == -1)
		_exit(1);
}

static void
settle(int from, int to)
{
	close(to);
	if (from != -1 && dup2(from, to) == -1)
		_exit(1);
}

static void
become_role(int program, const char *name, int channel, int log,
    const struct child_descriptors *d)
{
	char *environment[] = { NULL };
	char title[64];
	char *argv[] = { title, NULL };
	int config = d->config, link = d->link, hint = d->hint;
	int keyring = d->keyring, programs = d->programs;
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	if (null == -1 || dup2(null, STDIN_FILENO) == -1 ||
	    dup2(null, STDOUT_FILENO) == -1)
		_exit(1);
#ifndef POSTERN_SANITIZE
	if (dup2(null, STDERR_FILENO) == -1)
		_exit(1);
#endif
	place(&channel, FD_MASTER);
	place(&log, FD_LOG);
	place(&config, FD_CONFIG);
	place(&link, FD_LINK);
	place(&hint, FD_HINT);
	place(&keyring, FD_KEYRING);
	place(&programs, FD_PROGRAMS);
	place(&program, FD_ROLES);
	settle(channel, FD_MASTER);
	settle(log, FD_LOG);
	settle(config, FD_CONFIG);
	settle(link, FD_LINK);
	settle(hint, FD_HINT);
	settle(keyring, FD_KEYRING);
	settle(programs, FD_PROGRAMS);
	settle(program, FD_ROLES);
	closefrom(FD_ROLES + 1);
	if (fcntl(FD_ROLES, F_SETFD, FD_CLOEXEC) == -1)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	snprintf(title, sizeof(title), "postern-%s", name);
	if (d->user != NULL)
		become_for_exec(d->user->uid, d->user->gid, d->capability);
	/* By descriptor: what leads there may be closed to that user. */
	execveat(FD_ROLES, "", argv, environment, AT_EMPTY_PATH);
	_exit(127);
}

/*
 * It has closed what leads to us: it has ended, or serves without a voice or
 * without being told of anything, and is to be replaced.  The status of one
 * that is on its way out stays what it was.
 */
static void
lost(struct watch *w)
{
	const struct child *c = w->owner;

	watch_close(w);
	if (c->pid != 0)
		(void)kill(c->pid, SIGKILL);
}

/* Root, or the role itself, if that does not read what strangers send. */
static int
is_plain_speaker(const struct child *c, const struct message *m)
{
	return c->stamp == NULL && (m->uid == 0 || m->pid == c->log_pid);
}

static void
log_heard(struct child *c, struct message *m)
{
	char line[LOG_LINE_MAX];
	uint32_t level;

	level = get_u32(m);
	get_str(m, line, sizeof(line));
	if (m->type != CH_LOG || get_end(m) == -1 || level > LOG_DEBUG)
		return;
	/* Others may have been taken over: they neither frame nor flood. */
	if (is_plain_speaker(c, m))
		log_event((int)level, 0, "%s", line);
	else
		speaker_says(c->stamp != NULL ? c->stamp : "agent", m, level,
		    line);
}

/* So much of what has come, or that nothing will. */
static void
hear(struct watch *w, int maxfds, void (*heard)(struct child *,
    struct message *), int budget)
{
	struct message m;
	int n;

	while (budget-- > 0 && w->fd != -1) {
		n = message_recv(w->fd, &m, maxfds);
		if (n == 1) {
			heard(w->owner, &m);
			message_discard(&m);
		} else if (n == 0 || (errno != EAGAIN && errno != EBADMSG))
			lost(w);
		else if (errno == EAGAIN)
			return;
	}
}

static void
hear_log(struct watch *w, int budget)
{
	/* Among them users, who might send descriptors as well. */
	hurry_begin();
	hear(w, 0, log_heard, budget);
	hurry_end();
}

static void
log_ready(struct watch *w, uint32_t events)
{
	(void)events;
	hear_log(w, MESSAGES_A_TURN);
}

static void
channel_ready(struct watch *w, uint32_t events)
{
	const struct child *c = w->owner;

	(void)events;
	hear(w, 1, c->heard, MESSAGES_A_TURN);
}

static int
channel_pair(int pair[2])
{
	int size = 1 << 20;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return -1;
	/* Only our end does not block; a role may wait for its master. */
	if (fcntl(pair[0], F_SETFL, O_NONBLOCK) == -1)
		fatal("O_NONBLOCK");
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	(void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

/* Its lines come with who sent each of them. */
static int
log_pair(int pair[2])
{
	int on = 1;

	if (channel_pair(pair) == -1)
		return -1;
	if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on,
	    sizeof(on)) == -1)
		fatal("SO_PASSCRED");
	return 0;
}

int
child_start(struct child *c, const char *executable,
    const struct child_descriptors *d)
{
	char path[PROGRAM_PATH_MAX];
	int channel[2], log[2], program;

	program = program_open(d->libexec, executable, path);
	if (program == -1) {
		log_event(LOG_CRIT, 0, "event=no-role file=%s text=\"%s\"",
		    path, strerror(errno));
		return -1;
	}
	if (channel_pair(channel) == -1) {
		close(program);
		return -1;
	}
	if (log_pair(log) == -1) {
		close(program);
		close(channel[0]);
		close(channel[1]);
		return -1;
	}
	c->name = executable;
	c->is_let_go = c->is_ready = 0;
	c->pid = fork();
	if (c->pid == 0)
		become_role(program, executable, channel[1], log[1], d);
	close(program);
	close(channel[1]);
	close(log[1]);
	if (c->pid == -1) {
		c->pid = 0;
		close(channel[0]);
		close(log[0]);
		return -1;
	}
	c->log_pid = c->pid;
	c->channel.fd = channel[0];
	c->channel.ready = channel_ready;
	c->channel.owner = c;
	c->log.fd = log[0];
	c->log.ready = log_ready;
	c->log.owner = c;
	watch_add(&c->channel, EPOLLIN);
	watch_add(&c->log, EPOLLIN);
	return 0;
}

void
child_let_go(struct child *c)
{
	if (!c->is_let_go)
		c->let_go_at = master.now;
	c->is_let_go = 1;
	/* The log socket stays until the role has said its last words. */
	if (c->channel.fd != -1)
		watch_close(&c->channel);
}

void
child_faulted(const struct child *c)
{
	log_event(LOG_CRIT, 0, "event=channel-fault role=%s pid=%d", c->name,
	    (int)c->pid);
	if (c->pid != 0)
		(void)kill(c->pid, SIGKILL);
}

void
child_hurry(const struct child *c)
{
	if (c->pid != 0 && c->is_let_go &&
	    master.now - c->let_go_at > END_PATIENCE)
		(void)kill(c->pid, SIGKILL);
}

void
child_forget(struct child *c)
{
	child_let_go(c);
	/* What it said last may not have been read yet. */
	if (c->log.fd != -1)
		hear_log(&c->log, LAST_WORDS);
	if (c->log.fd != -1)
		watch_close(&c->log);
}
