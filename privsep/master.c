/*
 * master: the loop that listens, hands out and limits.
 *
 * Runs as root with few capabilities; reads no octet of a client, never
 * blocks, holds no secret but those of relay-auth, which are for the queue.
 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "become.h"
#include "log.h"
#include "master.h"
#include "notify.h"
#include "sandbox.h"

#define EVENTS		64
#define START_PATIENCE	30	/* seconds until the first worker waits */
#define STOP_PATIENCE	7	/* seconds: a goodbye, and then some */

struct master master;

static struct {
	void	**dead;		/* freed after each wake-up */
	size_t	  count;
	size_t	  room;
} graveyard;

static struct watch signals;
static int (*reload_config)(struct config *);
static int is_ready;		/* the start has succeeded */
static int is_reloading;

void
free_later(void *p)
{
	void **grown;

	if (graveyard.count == graveyard.room) {
		graveyard.room = graveyard.room == 0 ? 64 : graveyard.room * 2;
		grown = reallocarray(graveyard.dead, graveyard.room,
		    sizeof(*grown));
		if (grown == NULL)
			fatal("free_later");
		graveyard.dead = grown;
	}
	graveyard.dead[graveyard.count++] = p;
}

static void
bury(void)
{
	while (graveyard.count > 0)
		free(graveyard.dead[--graveyard.count]);
}

void
close_on_fork(int fd)
{
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
		fatal("FD_CLOEXEC");
}

static void
watch_control(int op, struct watch *w, uint32_t events)
{
	struct epoll_event ev;

	memset(&ev, 0, sizeof(ev));
	ev.events = events;
	ev.data.ptr = w;
	if (epoll_ctl(master.epoll, op, w->fd, &ev) == -1)
		fatal("epoll_ctl");
}

void
watch_add(struct watch *w, uint32_t events)
{
	watch_control(EPOLL_CTL_ADD, w, events);
}

void
watch_change(struct watch *w, uint32_t events)
{
	watch_control(EPOLL_CTL_MOD, w, events);
}

void
watch_close(struct watch *w)
{
	watch_control(EPOLL_CTL_DEL, w, 0);
	close(w->fd);
	w->fd = -1;
}

static void
reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		(void)generation_child_ended(pid, status);
}

void
master_stop(void)
{
	struct generation *g;

	if (master.is_stopping)
		return;
	log_event(LOG_INFO, 0, "event=stopping sessions=%zu",
	    master.session_count);
	master.is_stopping = 1;
	notify_stopping();
	listen_close();
	TAILQ_FOREACH(g, &master.generations, link)
		crowd_dismiss_all(g);
	child_let_go(&master.queue);
	session_end_all();
}

/* New sessions get the new configuration; a broken one changes nothing. */
static void
reload(void)
{
	struct config *fresh;

	if (master.is_stopping || (fresh = malloc(sizeof(*fresh))) == NULL)
		return;
	notify_reloading();
	is_reloading = 1;
	if (reload_config(fresh) == -1) {
		config_forget_secrets(fresh);
		free(fresh);
	} else if (generation_start_with(fresh) == 0)
		return;
	log_event(LOG_ERR, 0,
	    "event=reload-failed text=\"the old configuration stays\"");
}

static void
signals_ready(struct watch *w, uint32_t events)
{
	struct signalfd_siginfo si;

	(void)events;
	while (read(w->fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			reap();
		else if (si.ssi_signo == SIGHUP)
			reload();
		else
			master_stop();
	}
}

static void
signals_open(void)
{
	struct sigaction sa;
	sigset_t set;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = SIG_IGN;
	if (sigaction(SIGPIPE, &sa, NULL) == -1)
		fatal("SIGPIPE");
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	signals.fd = -1;
	if (sigprocmask(SIG_BLOCK, &set, NULL) == 0)
		signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (signals.fd == -1)
		fatal("signalfd");
	signals.ready = signals_ready;
	watch_add(&signals, EPOLLIN);
}

/*
 * What the master and its children need, between them; nothing else comes
 * back, for any of them.
 */
static void
confine(void)
{
	struct sandbox_filter filter;

	sandbox_compile(SANDBOX_MASTER, &filter);
	become_limited(CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID) |
	    CAP_BIT(CAP_SETPCAP) | CAP_BIT(CAP_SYS_CHROOT) |
	    CAP_BIT(CAP_KILL) | CAP_BIT(CAP_NET_BIND_SERVICE) |
	    CAP_BIT(CAP_CHOWN) | CAP_BIT(CAP_FOWNER) |
	    CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_DAC_READ_SEARCH) |
	    CAP_BIT(CAP_AUDIT_WRITE) | CAP_BIT(CAP_SYS_RESOURCE));
	become_sealed();
	become_bounded(RLIMIT_CORE, 0);
	sandbox_install(&filter);
	free(filter.code);
}

static void
clock_update(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	master.now = ts.tv_sec;
}

/* Again ready, when clients are served as the new configuration says. */
static void
notify_tick(void)
{
	if (!is_ready)
		return;
	if (is_reloading && !generation_is_starting() &&
	    !generation_is_wanted()) {
		is_reloading = 0;
		notify_ready();
	}
	notify_status(master.now, master.session_count, master.served);
}

static void
tick(void)
{
	static time_t last;

	generation_tick();
	inetd_tick();
	queue_tick();
	if (master.now == last)
		return;
	last = master.now;
	session_tick();
	speaker_tick();
	limits_tick();
	notify_tick();
	if (!master.is_stopping)
		listen_pause(0);
}

/* Asleep without a clock only when nothing has one. */
static int
patience(void)
{
	struct generation *g = generation_newest();

	if (!TAILQ_EMPTY(&master.sessions) || generation_is_wanted() ||
	    master.is_stopping || g == NULL || g->waiting_count == 0 ||
	    is_reloading || generation_is_starting() || speaker_is_any() ||
	    master.mode != START_ALONE ||
	    (master.daemon->queue != NULL && master.queue.pid == 0))
		return 1000;
	return 60000;
}

static void
turn(void)
{
	struct epoll_event ev[EVENTS];
	struct watch *w;
	int i, n;

	n = epoll_wait(master.epoll, ev, EVENTS, patience());
	if (n == -1 && errno != EINTR)
		fatal("epoll_wait");
	clock_update();
	for (i = 0; i < n; i++) {
		w = ev[i].data.ptr;
		if (w->fd != -1)
			w->ready(w, ev[i].events);
	}
	tick();
	bury();
}

/* Sessions say goodbye, roles end; nothing outlives us. */
static void
finish(void)
{
	struct generation *g;
	time_t by = master.now + STOP_PATIENCE;

	while (master.session_count > 0 && master.now < by)
		turn();
	session_kill_all();
	TAILQ_FOREACH(g, &master.generations, link)
		generation_let_go(g);
	by = master.now + STOP_PATIENCE;
	while ((!TAILQ_EMPTY(&master.generations) || master.queue.pid != 0) &&
	    master.now < by) {
		reap();
		turn();
	}
	TAILQ_FOREACH(g, &master.generations, link)
		roles_kill(g);
	if (master.queue.pid != 0)
		kill(master.queue.pid, SIGKILL);
	child_forget(&master.queue);
	log_event(LOG_INFO, 0, "event=stopped");
}

/* For a run of the queue a failure is one for now: sysexits(3). */
static int
failure(void)
{
	return master.mode == START_QUEUE ? EX_TEMPFAIL : 1;
}

/* Nothing of it remains. */
static void __attribute__((noreturn))
give_up_start(void)
{
	log_event(LOG_CRIT, 0, "event=start-failed");
	listen_close();
	master.is_stopping = 1;
	finish();
	exit(failure());
}

/*
 * A start has succeeded when a worker waits with all its confinement: a host
 * that lacks something for it says so now, and not to every client.
 */
static void
await_first_worker(void)
{
	time_t by = master.now + START_PATIENCE;
	struct generation *g;

	for (;;) {
		g = generation_newest();
		if (g != NULL && g->is_serving)
			return;
		if (g == NULL || generation_is_wanted() || master.now > by ||
		    master.is_stopping)
			give_up_start();
		turn();
	}
}

static void
hint_open(void)
{
	master.hint[0] = master.hint[1] = -1;
	if (master.daemon->queue == NULL)
		return;
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0,
	    master.hint) == -1)
		fatal("socketpair");
}

int
master_run(const struct daemon *daemon, struct config *config,
    struct inheritance *inherited, int (*reload_function)(struct config *),
    void (*ready)(void))
{
	master.daemon = daemon;
	master.config = config;
	master.mode = inherited->mode;
	master.inherited = inherited;
	reload_config = reload_function;
	TAILQ_INIT(&master.generations);
	TAILQ_INIT(&master.sessions);
	master.queue.channel.fd = master.queue.log.fd = -1;
	clock_update();
	master.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (master.epoll == -1)
		fatal("epoll_create1");
	confine();
	signals_open();
	hint_open();
	(void)files_changed(config);
	if (listen_open(config) == -1)
		exit(failure());
	/* A role that is gone at once is one that can't be spoken to. */
	if (generation_start_with(NULL) == -1)
		give_up_start();
	queue_begin();
	await_first_worker();
	if (inherited->mode != START_NOWAIT && inherited->count > 0)
		listen_take(inherited);
	inetd_begin();
	ready();
	is_ready = 1;
	notify_ready();
	log_event(LOG_INFO, 0, "event=started daemon=%s", daemon->name);
	while (!master.is_stopping)
		turn();
	finish();
	return master.mode == START_QUEUE && queue_has_failed() ? failure() : 0;
}
