/*
 * queue: the spool's one scheduler: main and its loop.
 *
 * Runs as root until it has the spool and the directory of the aliases, then
 * as queue-user for good, before it reads a name in either.  Talks to the
 * master (channels), to session agents (hints) and to delivery agents; waits
 * in poll() only.
 *
 * No signal is caught: SIGTERM ends it at any moment, as a crash may, and
 * what that leaves is what spool.c is made for.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "privsep/channel.h"
#include "privsep/log.h"
#include "privsep/message.h"
#include "privsep/role.h"
#include "smtpd/job.h"

#define RESCAN_MS	30000	/* hints may be lost, and clocks changed */
#define HINTS_MAX	256	/* in one turn */
#define WATCH_MASTER	0
#define WATCH_HINT	1
#define WATCH_LINES	2

static struct config config;
static struct queue queue;
static uint64_t rescan_at;	/* monotonic ms */

static int
need_channel(void *arg, uint64_t tag)
{
	struct message m;

	(void)arg;
	message_begin(&m, CH_NEED_DELIVERY);
	put_u64(&m, tag);
	return message_send(FD_MASTER, &m);
}

static const struct handout_ops handout_ops = {
	.need = need_channel,
	.done = queue_errand_done,
	.unpark = queue_letter_unparked,
	.slow = queue_errand_waits,
};

/*
 * Below its directory the spool is queue-user's, who may put anything there:
 * root opens no name in it (C6).
 */
static void
open_spool_as_owner(int dir)
{
	const struct account_ids *owner = &config.queue_user;
	int result;

	if (setegid(owner->gid) == -1 || seteuid(owner->uid) == -1)
		fatal("becoming %s", owner->name);
	result = spool_open(&queue.spool, dir);
	if (result == -1 && errno == ENOENT && spool_make(dir) == 0)
		result = spool_open(&queue.spool, dir);
	if (result == -1)
		fatal("spool in %s", config.spool_dir);
	if (seteuid(0) == -1 || setegid(0) == -1)
		fatal("becoming root again");
}

static void
start(void)
{
	int dir;

	if (!role_start("smtpd-queue", ROLE_QUEUE, 0, 1, &config))
		fatal("no descriptor for hints");
	queue_init(&queue, &config, &handout_ops);
	if (spool_enter(config.spool_dir, config.queue_user.uid, &dir) == -1)
		fatal("spool directory %s", config.spool_dir);
	open_spool_as_owner(dir);
	aliases_open(&queue.aliases, &config, aliases_log);
	role_confine_queue(&config, dir, queue.aliases.dir);
	close(dir);
	if (fcntl(FD_MASTER, F_SETFL, O_NONBLOCK) == -1)
		fatal("O_NONBLOCK");
}

/* Never more often than the reading of the names is cheap. */
static void
rescan(void)
{
	uint64_t before = queue.now_ms;

	queue_scan(&queue);
	queue_tick(&queue);
	rescan_at = queue.now_ms + RESCAN_MS +
	    20 * (queue.now_ms - before);
}

static int
timeout(void)
{
	uint64_t due = schedule_next(&queue.schedule);
	uint64_t next = rescan_at, other = handout_next(&queue.handout);

	if (other < next)
		next = other;
	if (queue.job_count < JOBS_MAX && due != UINT64_MAX) {
		due = due > queue.now ? (due - queue.now) * 1000 : 0;
		if (queue.now_ms + due < next)
			next = queue.now_ms + due;
	}
	if (next <= queue.now_ms)
		return 0;
	next -= queue.now_ms;
	return next < RESCAN_MS ? (int)next : RESCAN_MS;
}

static void
master_ready(void)
{
	struct message m;
	uint64_t tag;
	int fd, n;

	for (;;) {
		n = message_recv(FD_MASTER, &m, 1);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n == 0 || (n == -1 && errno != EBADMSG))
			_exit(0);	/* the master is gone */
		if (n == -1)
			continue;
		tag = get_u64(&m);
		fd = m.nfds > 0 ? get_fd(&m) : -1;
		if (m.type != CH_DELIVERY || get_end(&m) == -1)
			bug("the master sent %u", m.type);
		handout_channel(&queue.handout, tag, fd, queue.now_ms);
	}
}

static void
hints_ready(void)
{
	char text[SPOOL_NAME_MAX];
	ssize_t n;
	int i;

	for (i = 0; i < HINTS_MAX; i++) {
		n = recv(FD_HINT, text, sizeof(text), MSG_DONTWAIT);
		if (n == -1)
			return;
		if (n == 0 || (size_t)n == sizeof(text))
			continue;
		text[n] = '\0';
		queue_hint(&queue, text);
	}
}

static void
turn(struct pollfd *pfd)
{
	size_t n;

	if (queue.now_ms >= rescan_at || (queue.schedule.is_cut &&
	    queue.schedule.count == 0 && queue.job_count < JOBS_MAX))
		rescan();
	queue_start_due(&queue);
	queue_settle(&queue);
	handout_ask(&queue.handout, queue.now_ms);

	n = handout_poll(&queue.handout, pfd + WATCH_LINES);
	if (poll(pfd, (nfds_t)(n + WATCH_LINES), timeout()) == -1) {
		if (errno != EINTR)
			fatal("poll");
		return;
	}
	queue_tick(&queue);
	handout_ready(&queue.handout, pfd + WATCH_LINES, queue.now_ms);
	handout_expire(&queue.handout, queue.now_ms);
	if (pfd[WATCH_MASTER].revents != 0)
		master_ready();
	if (pfd[WATCH_HINT].revents != 0)
		hints_ready();
	queue_settle(&queue);
}

int
main(void)
{
	static struct pollfd pfd[WATCH_LINES + HANDOUT_CHANNELS] = {
		[WATCH_MASTER] = { .fd = FD_MASTER, .events = POLLIN },
		[WATCH_HINT] = { .fd = FD_HINT, .events = POLLIN },
	};

	start();
	for (;;)
		turn(pfd);
}
