/*
 * queue: the spool's one scheduler: main and its loop.  It runs for ever, or
 * (for inetd, and for "smtpd -q") until nothing is due.
 *
 * Runs as root until it has the spool and the directory of the aliases, then
 * as queue-user for good, before it reads a name in either.  Talks to the
 * master (channels), to session agents (hints), to delivery agents and those
 * of programs, relays and resolver, and to clients of this host (control.c);
 * waits in poll() only.
 *
 * No signal is caught: SIGTERM ends it at any moment, as a crash may, and
 * what that leaves is what spool.c is made for.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "privsep/channel.h"
#include "privsep/log.h"
#include "privsep/message.h"
#include "privsep/role.h"
#include "smtpd/control.h"
#include "smtpd/job.h"
#include "smtpd/scheduler.h"

#define RESCAN_MS	30000	/* hints may be lost, and clocks changed */
#define HINTS_MAX	256	/* in one turn */
#define LOCK_RETRY_MS	500	/* while another one schedules */
#define AGENT_IDLE_MS	200	/* for another letter to the same account */
#define LOOK_EVERY_MS	1000	/* at what others put in */
#define LEAVE_MS	6000	/* for what is under way, at the end */
#define WATCH_MASTER	0
#define WATCH_HINT	1
#define WATCH_SPOOL	2
#define WATCH_DNS	3
#define WATCH_LINES	4	/* groups', two handouts', outbound's */

static struct config config;
static struct queue queue;
static struct control control;
static struct aliases_file recipients;	/* relay-recipients: its index */
static struct dns_client *dns;
static uint64_t rescan_at;	/* monotonic ms */
static uint64_t rescan_soonest;	/* not before, whatever there is to be found */
static int spool_dir;		/* holds the scheduler's lock */
static int spool_watch = -1;	/* letters from elsewhere; or rescans only */
static uint64_t look_at;	/* monotonic ms: look there no sooner */
static int is_once;		/* until nothing is due */

static int
need(uint32_t what, uint64_t tag)
{
	struct message m;

	message_begin(&m, what);
	put_u64(&m, tag);
	return message_send(FD_MASTER, &m);
}

static int
need_delivery(void *arg, uint64_t tag)
{
	(void)arg;
	return need(CH_NEED_DELIVERY, tag);
}

static int
need_relay(void *arg, uint64_t tag)
{
	(void)arg;
	return need(CH_NEED_RELAY, tag);
}

static int
need_resolver(void *arg, uint64_t tag)
{
	(void)arg;
	return need(CH_NEED_RESOLVER, tag);
}

static int
need_program(void *arg, uint64_t tag)
{
	(void)arg;
	return need(CH_NEED_PROGRAM, tag);
}

static const struct handout_ops handout_ops = {
	.need = need_delivery,
	.need_program = need_program,
	.done = queue_errand_done,
	.is_same = queue_errand_is_same,
	.unpark = queue_letter_unparked,
	.slow = queue_errand_waits,
};

static const struct outbound_ops outbound_ops = {
	.need = need_relay,
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
	if (!is_once)
		spool_watch = scheduler_watch(config.spool_dir);
	if (!is_once && spool_watch == -1)
		log_event(LOG_NOTICE, 0, "event=no-watch error=\"%s\" "
		    "text=\"letters of other servers are found by and "
		    "by\"", strerror(errno));
	if (seteuid(0) == -1 || setegid(0) == -1)
		fatal("becoming root again");
}

/* How long we run, by the master's first word. */
static void
await_order(void)
{
	struct message m;

	if (message_recv(FD_MASTER, &m, 0) != 1)
		_exit(0);
	is_once = get_u32(&m) != 0;
	if (m.type != CH_RUN || get_end(&m) == -1)
		bug("the master began with %u", m.type);
}

/* All that is looked up in, and the end of what may be opened. */
static void
open_names(void)
{
	int dirs[QUEUE_DIRS_MAX];

	aliases_open(&queue.aliases, &config, aliases_log);
	aliases_open_as(&recipients, NAMES_RECIPIENTS, &config, aliases_log);
	queue.aliases.index_dir = queue.map.index_dir =
	    recipients.index_dir = spool_dir;
	dirs[0] = queue.aliases.dir;
	dirs[1] = queue.map.dir;
	dirs[2] = recipients.dir;
	role_confine_queue(&config, spool_dir, dirs);
}

/* Read what has changed; with its index, before sessions need one. */
static void
refresh_names(void)
{
	aliases_refresh(&queue.aliases);
	aliases_refresh(&queue.map);
	aliases_refresh(&recipients);
}

static void
start(void)
{
	if (role_start("smtpd-queue", ROLE_QUEUE, ROLE_FD(FD_HINT),
	    &config) == 0)
		fatal("no descriptor for hints");
	await_order();
	/* In a run of inetd's or of cron's it is others who may listen there. */
	if (is_once)
		config.listener_count = 0;
	/* Dates in letters of our own: no file of zones can be read later. */
	tzset();
	dns = dns_new(need_resolver, NULL);
	if (dns == NULL)
		fatal("out of memory");
	queue_init(&queue, &config, &handout_ops, &outbound_ops, dns);
	control_init(&control, &queue);
	if (spool_enter(config.spool_dir, config.queue_user.uid,
	    &spool_dir) == -1)
		fatal("spool directory %s", config.spool_dir);
	open_spool_as_owner(spool_dir);
	if (!is_once)
		queue.handout.idle_ms = AGENT_IDLE_MS;
	open_names();
	if (fcntl(FD_MASTER, F_SETFL, O_NONBLOCK) == -1)
		fatal("O_NONBLOCK");
}

/* Never more often than the reading of the names is cheap. */
static void
rescan(void)
{
	uint64_t before = queue.now_ms;

	queue_scan(&queue);
	refresh_names();
	queue_tick(&queue);
	rescan_soonest = queue.now_ms + 5 * (queue.now_ms - before);
	rescan_at = rescan_soonest + RESCAN_MS;
}

static uint64_t
sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
next_rescan(void)
{
	if (queue.job_count < JOBS_MAX && queue.senders.aside == 0 &&
	    schedule_is_short(&queue.schedule, queue.now))
		return sooner(rescan_at, rescan_soonest);
	return rescan_at;
}

static int
timeout(void)
{
	uint64_t due = queue_next_start(&queue);
	uint64_t next = next_rescan();

	next = sooner(next, groups_next(&queue.groups));
	next = sooner(next, handout_next(&queue.handout));
	next = sooner(next, handout_next(&queue.programs));
	next = sooner(next, outbound_next(&queue.outbound));
	next = sooner(next, dns_next(dns));
	next = sooner(next, control_next(&control));
	if (spool_watch != -1 && look_at > queue.now_ms && look_at < next)
		next = look_at;
	if (due != UINT64_MAX) {
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
take_channel(struct message *m)
{
	uint64_t tag = get_u64(m);
	int fd = m->nfds > 0 ? get_fd(m) : -1;

	if (get_end(m) == -1)
		bug("the master sent a malformed %u", m->type);
	switch (m->type) {
	case CH_DELIVERY:
		if (groups_channel(&queue.groups, tag, fd, queue.now_ms))
			break;
		handout_channel(&queue.handout, tag, fd, queue.now_ms);
		break;
	case CH_PROGRAM:
		handout_channel(&queue.programs, tag, fd, queue.now_ms);
		break;
	case CH_RELAY:
		outbound_channel(&queue.outbound, tag, fd, queue.now_ms);
		break;
	case CH_RESOLVER:
		dns_channel(dns, tag, fd, queue.now_ms);
		break;
	default:
		bug("the master sent %u", m->type);
	}
}

static void
take_control(struct message *m)
{
	struct facts facts;
	int fd;

	get_facts(m, &facts);
	fd = get_fd(m);
	if (get_end(m) == -1)
		bug("the master sent a malformed control client");
	control_accept(&control, &facts, fd);
}

/* Of what was begun, what would have to be done once more. */
static int
is_busy(void)
{
	const int is_running = handout_close(&queue.programs);

	return is_running || outbound_is_sending(&queue.outbound);
}

/*
 * The master ends, or another queue is to come, with what is configured by now.
 * A mailbox knows what it was given, but a command that nobody waits for would
 * have to be run again, and a letter whose end is on its way to another host be
 * sent again: they may end first, if they do so soon.
 */
static void __attribute__((noreturn))
leave(void)
{
	static struct pollfd pfd[HANDOUT_CHANNELS + OUTBOUND_CONNECTIONS];
	const uint64_t until = queue.now_ms + LEAVE_MS;
	size_t n, programs;

	queue_settle(&queue);	/* what was heard in the same turn */
	while (is_busy() && queue.now_ms < until) {
		programs = handout_poll(&queue.programs, pfd);
		n = programs + outbound_poll(&queue.outbound, pfd + programs);
		if (poll(pfd, (nfds_t)n, (int)(until - queue.now_ms)) == -1 &&
		    errno != EINTR)
			fatal("poll");
		queue_tick(&queue);
		handout_ready(&queue.programs, pfd, queue.now_ms);
		outbound_ready(&queue.outbound, pfd + programs, queue.now_ms);
		queue_settle(&queue);
	}
	_exit(0);
}

static void
master_ready(void)
{
	struct message m;
	int n;

	for (;;) {
		n = message_recv(FD_MASTER, &m, 1);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n == 0 || (n == -1 && errno != EBADMSG))
			leave();
		if (n == -1)
			continue;
		if (m.type == CH_CONTROL)
			take_control(&m);
		else
			take_channel(&m);
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

/*
 * Not each time that a letter appears, which our own do, too, but then and
 * when: an idle spool wakes nobody, a busy one costs a read a second.
 */
static void
spool_ready(void)
{
	look_at = queue.now_ms + LOOK_EVERY_MS;
	if (scheduler_look(spool_watch, &queue) == 0)
		return;
	/* Our own deferrals may be too many for it, again and again. */
	rescan_at = sooner(rescan_at, rescan_soonest > look_at ?
	    rescan_soonest : look_at);
}

/* What can be done without waiting. */
static void
work(void)
{
	if (queue.now_ms >= next_rescan())
		rescan();
	queue_start_due(&queue);
	queue_settle(&queue);
	groups_ask(&queue.groups, queue.now_ms);
	handout_ask(&queue.handout, queue.now_ms);
	handout_ask(&queue.programs, queue.now_ms);
	outbound_run(&queue.outbound, queue.now_ms);
	queue_settle(&queue);
	control_run(&control);
}

static void
await(struct pollfd *pfd)
{
	struct pollfd *groups = pfd + WATCH_LINES, *lines, *programs;
	struct pollfd *others, *clients;
	size_t n;

	pfd[WATCH_SPOOL].fd = queue.now_ms >= look_at ? spool_watch : -1;
	dns_poll(dns, &pfd[WATCH_DNS]);
	lines = groups + groups_poll(&queue.groups, groups);
	programs = lines + handout_poll(&queue.handout, lines);
	others = programs + handout_poll(&queue.programs, programs);
	clients = others + outbound_poll(&queue.outbound, others);
	n = (size_t)(clients - pfd) + control_poll(&control, clients);
	if (poll(pfd, (nfds_t)n, timeout()) == -1) {
		if (errno != EINTR)
			fatal("poll");
		return;
	}
	queue_tick(&queue);
	groups_ready(&queue.groups, groups, queue.now_ms);
	groups_expire(&queue.groups, queue.now_ms);
	handout_ready(&queue.handout, lines, queue.now_ms);
	handout_expire(&queue.handout, queue.now_ms);
	handout_ready(&queue.programs, programs, queue.now_ms);
	handout_expire(&queue.programs, queue.now_ms);
	outbound_ready(&queue.outbound, others, queue.now_ms);
	outbound_expire(&queue.outbound, queue.now_ms);
	dns_run(dns, &pfd[WATCH_DNS], queue.now_ms);
	control_ready(&control, clients);
	if (pfd[WATCH_MASTER].revents != 0)
		master_ready();
	if (pfd[WATCH_HINT].revents != 0)
		hints_ready();
	if (pfd[WATCH_SPOOL].revents != 0)
		spool_ready();
	queue_settle(&queue);
}

/* They wait for nobody: what they tell of is in the spool. */
static void
drop_hints(void)
{
	char text[SPOOL_NAME_MAX];

	while (recv(FD_HINT, text, sizeof(text), MSG_DONTWAIT) != -1)
		;
}

/* 0 when the spool is ours, -1 when it is another's. */
static int
take_spool(void)
{
	if (scheduler_lock(spool_dir) == -1) {
		if (errno != EWOULDBLOCK)
			fatal("locking the spool");
		return -1;
	}
	queue_tick(&queue);
	/* What came before may have been tried by whoever had it. */
	queue.started = queue.now;
	control.is_open = 1;
	refresh_names();
	rescan_at = 0;
	return 0;
}

/* Until nothing is due, for us or for those who found the spool taken. */
static void
run_once(struct pollfd *pfd)
{
	int has_news;

	do {
		drop_hints();
		if (take_spool() == -1)
			_exit(0);
		for (work(); !scheduler_is_done(&queue); work())
			await(pfd);
		scheduler_unlock(spool_dir);
		queue_tick(&queue);
		has_news = scheduler_has_news(&queue);
		if (has_news == -1)
			fatal("looking at the spool again");
	} while (has_news);
	_exit(0);
}

static void
run_for_ever(struct pollfd *pfd)
{
	int is_told = 0;

	while (take_spool() == -1) {
		if (!is_told)
			log_event(LOG_NOTICE, 0, "event=queue-waits "
			    "text=\"another scheduler has the spool\"");
		is_told = 1;
		if (poll(pfd, WATCH_SPOOL, LOCK_RETRY_MS) == -1 &&
		    errno != EINTR)
			fatal("poll");
		if (pfd[WATCH_MASTER].revents != 0)
			master_ready();
		drop_hints();
	}
	if (is_told)
		log_event(LOG_NOTICE, 0, "event=queue-begins");
	for (;;) {
		work();
		await(pfd);
	}
}

int
main(void)
{
	static struct pollfd pfd[WATCH_LINES + GROUPS_CHANNELS +
	    2 * HANDOUT_CHANNELS + OUTBOUND_CONNECTIONS + CONTROL_CLIENTS] = {
		[WATCH_MASTER] = { .fd = FD_MASTER, .events = POLLIN },
		[WATCH_HINT] = { .fd = FD_HINT, .events = POLLIN },
		[WATCH_SPOOL] = { .fd = -1, .events = POLLIN },
		[WATCH_DNS] = { .fd = -1, .events = POLLIN },
	};

	start();
	if (is_once)
		run_once(pfd);
	run_for_ever(pfd);
}
