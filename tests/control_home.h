/*
 * control_home: a queue without its process, with letters of several users in
 * a spool of its own, for who plays the clients of smtpd.ctl.
 */
#ifndef TESTS_CONTROL_HOME_H
#define TESTS_CONTROL_HOME_H

#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "privsep/config.h"
#include "privsep/config_table.h"
#include "smtpd/control.h"

/* No test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

#define REQUIRE(what)	do { if (!(what)) { fprintf(stderr, "%s:%d: %s: %s\n", \
	__FILE__, __LINE__, #what, strerror(errno)); abort(); } } while (0)

static struct config config;
static struct queue q;
static struct control control;
static struct dns_client *dns;
static char place[] = "/tmp/control_home.XXXXXX";
static int dir = -1;
static struct spool_writer writer;
static struct envelope_writer envelope;

static int
home_need(void *arg, uint64_t tag)
{
	(void)arg;
	(void)tag;
	return -1;	/* no agent and no relay ever comes */
}

static const struct handout_ops home_ops = {
	.need = home_need, .done = queue_errand_done,
	.unpark = queue_letter_unparked, .slow = queue_errand_waits,
};

static const struct outbound_ops home_elsewhere = {
	.need = home_need, .done = queue_errand_done,
	.unpark = queue_letter_unparked, .slow = queue_errand_waits,
};

static void
home_open(void)
{
	config_default_fixed(&config);
	dns = dns_new(home_need, &q);
	REQUIRE(dns != NULL);
	queue_init(&q, &config, &home_ops, &home_elsewhere, dns);
	q.aliases.dir = q.aliases.held = -1;
	q.aliases.index_dir = q.aliases.index = -1;
	q.aliases.config = &config;
	q.aliases.path = "";
	q.aliases.report = aliases_ignore;
	memset(strchr(place, '.') + 1, 'X', 6);
	REQUIRE(mkdtemp(place) != NULL);
	REQUIRE(spool_enter(place, geteuid(), &dir) == 0);
	REQUIRE(spool_make(dir) == 0 && spool_open(&q.spool, dir) == 0);
	control_init(&control, &q);
	control.is_open = 1;
	writer.fd = -1;
}

/* Everything in a directory goes; how many there were. */
static size_t
home_empty(int at)
{
	struct dirent *entry;
	size_t n = 0;
	DIR *d = fdopendir(openat(at, ".", O_RDONLY | O_DIRECTORY));

	while ((entry = readdir(d)) != NULL) {
		n += entry->d_name[0] != '.';
		(void)unlinkat(at, entry->d_name, 0);
	}
	closedir(d);
	return n;
}

static void
home_close(void)
{
	static const char *const names[] = { "incoming", "queue", "held",
	    "failed" };
	size_t i;

	control_free(&control);
	while (!TAILQ_EMPTY(&q.jobs)) {
		job_withdraw(TAILQ_FIRST(&q.jobs));
		job_free(&q, TAILQ_FIRST(&q.jobs));
	}
	schedule_free(&q.schedule);
	outbound_free(&q.outbound);
	dns_free(dns);
	aliases_close(&q.aliases);
	envelope_free_writer(&envelope);
	home_empty(q.spool.incoming);
	home_empty(q.spool.queue);
	home_empty(q.spool.held);
	home_empty(q.spool.failed);
	spool_close(&q.spool);
	for (i = 0; i < 4; i++)
		(void)unlinkat(dir, names[i], AT_REMOVEDIR);
	close(dir);
	REQUIRE(rmdir(place) == 0);
}

/* A letter of that user's, for so many elsewhere, due in so many seconds. */
static struct spool_name
home_letter(uint32_t owner, const char *sender, unsigned recipients,
    uint64_t due)
{
	struct spool_name name;
	char local[32];
	unsigned i;

	envelope_reset(&envelope);
	envelope_put_text(&envelope, ENVELOPE_SENDER, sender);
	if (owner != ENVELOPE_NOBODY)
		envelope_put_u32(&envelope, ENVELOPE_OWNER, owner);
	for (i = 0; i < recipients; i++) {
		snprintf(local, sizeof(local), "r%u", i);
		envelope_put_recipient(&envelope, local,
		    i % 2 == 0 ? "there.example" : "Elsewhere.example", "");
	}
	REQUIRE(spool_begin(&writer, &q.spool, &envelope) == 0);
	spool_put(&writer, "Received: x\n\nhello\n", 19);
	REQUIRE(spool_commit(&writer, &name) == 0);
	REQUIRE(spool_defer(&q.spool, &name, q.now + due) == 0);
	return name;
}

/* A client of that user's; our end does not block. */
static int
home_client(uint32_t uid)
{
	struct facts facts;
	int pair[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) ==
	    0);
	facts_init(&facts);
	facts.session = 1;
	facts.uid = uid;
	control_accept(&control, &facts, pair[0]);
	return pair[1];
}

/* A turn of the loop, as far as clients are concerned. */
static void
home_turn(void)
{
	struct pollfd pfd[CONTROL_CLIENTS];
	size_t n;

	control_run(&control);
	n = control_poll(&control, pfd);
	while (poll(pfd, n, 0) == -1)
		REQUIRE(errno == EINTR);	/* the fuzzer's own clock */
	control_ready(&control, pfd);
	control.resume = 0;
	control_run(&control);
}

#endif
