/*
 * queue: the queue role as the master has it: running for ever beside a
 * server that does, and otherwise whenever there may be something to do.
 *
 * Runs in the master, as root; never looks into the spool.
 */
#include <sys/epoll.h>
#include <sys/wait.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "master.h"

#define EVERY	1	/* seconds between starts, when one went wrong */
#define TRIES	5	/* of a run that is not for ever */

static struct {
	int		has_begun;
	time_t		last;		/* when it was started */
	int		is_wanted;
	int		has_failed;
	int		tries;		/* that failed, in a row */
	struct watch	hint;		/* is somebody telling of a letter? */
} queue = { .hint = { .fd = -1 } };

static int
is_for_ever(void)
{
	return master.mode == START_ALONE;
}

/* Whoever reads the hints, there is always somebody who listens for them. */
static void
listen_for_hints(int listen)
{
	if (queue.hint.fd != -1)
		watch_change(&queue.hint, listen ? EPOLLIN : 0);
}

static void
hint_ready(struct watch *w, uint32_t events)
{
	(void)w;
	(void)events;
	/* The run reads it; nobody else does. */
	listen_for_hints(0);
	queue_want();
}

static void
queue_heard(struct child *c, struct message *m)
{
	uint64_t tag = get_u64(m);

	if (get_end(m) == 0)
		session_need(c, m->type, tag);
}

static int
start(struct child *c)
{
	struct child_descriptors d = { .link = -1, .hint = master.hint[0],
	    .keyring = -1, .programs = -1,
	    .libexec = master.config->libexec_dir };
	struct message m;
	int r;

	d.config = config_send(master.config, ROLE_QUEUE);
	if (d.config == -1)
		return -1;
	r = child_start(c, master.daemon->queue, &d);
	close(d.config);
	if (r == -1)
		return -1;
	message_begin(&m, CH_RUN);
	put_u32(&m, !is_for_ever());
	(void)message_send(c->channel.fd, &m);
	return 0;
}

static void
queue_start(void)
{
	struct child *c = &master.queue;

	child_forget(c);
	queue.last = master.now;
	queue.is_wanted = 0;
	c->heard = queue_heard;
	listen_for_hints(0);
	if (start(c) == 0)
		return;
	log_event(LOG_CRIT, 0, "event=no-queue text=\"%s\"", strerror(errno));
	queue.has_failed = 1;
}

void
queue_begin(void)
{
	if (master.daemon->queue == NULL)
		return;
	queue.has_begun = 1;
	if (is_for_ever()) {
		queue_start();
		return;
	}
	queue.hint.fd = master.hint[0];
	queue.hint.ready = hint_ready;
	watch_add(&queue.hint, EPOLLIN);
}

void
queue_want(void)
{
	/* Whoever serves one client does not wait for a spool to be mended. */
	if (master.daemon->queue != NULL && queue.tries < TRIES)
		queue.is_wanted = 1;
}

int
queue_is_at_rest(void)
{
	return master.queue.pid == 0 && !queue.is_wanted;
}

int
queue_has_failed(void)
{
	return queue.has_failed;
}

void
queue_tick(void)
{
	child_hurry(&master.queue);
	if (!queue.has_begun || master.queue.pid != 0 ||
	    master.is_stopping || (!is_for_ever() && !queue.is_wanted))
		return;
	if ((is_for_ever() || queue.has_failed) &&
	    master.now - queue.last < EVERY)
		return;
	queue_start();
}

int
queue_ended(pid_t pid, int status)
{
	struct child *c = &master.queue;
	int is_done = !is_for_ever() && WIFEXITED(status) &&
	    WEXITSTATUS(status) == 0;

	if (pid != c->pid)
		return 0;
	c->pid = 0;
	if (!master.is_stopping && !c->is_let_go && !is_done)
		log_event(LOG_CRIT, 0, "event=role-ended role=%s pid=%d "
		    "status=%#x", c->name, (int)pid, (unsigned)status);
	queue.has_failed = !c->is_let_go && !is_done;
	queue.tries = queue.has_failed ? queue.tries + 1 : 0;
	if (c->is_let_go)
		queue_want();		/* it had not come to its end */
	child_let_go(c);
	listen_for_hints(1);
	return 1;
}
