/*
 * queue_home: a queue without its process, on a spool in a new directory, and
 * the delivery agents, which the test plays; each program that uses it has one
 * source.
 */
#ifndef TESTS_QUEUE_HOME_H
#define TESTS_QUEUE_HOME_H

#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/config.h"
#include "privsep/config_table.h"
#include "privsep/log.h"
#include "privsep/login_gate.h"
#include "privsep/message.h"
#include "smtpd/job.h"
#include "tests/spool_directory.h"

/* No test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

#define MINUTE_MS	60000

static struct config config;
static struct queue q;
static struct dns_client *dns;
static char place[] = "/tmp/test_queue.XXXXXX";
static int dir = -1, agent = -1;
static struct spool_writer writer;
static struct envelope_writer envelope;
static int silent[HANDOUT_CHANNELS];	/* agents that say nothing */
static size_t silent_count;
static uint64_t asked[64];
static size_t asked_count;
static int is_master_busy;

static int
need(void *arg, uint64_t tag)
{
	assert_ptr_equal(arg, &q);
	if (is_master_busy)
		return -1;
	assert_true(asked_count < 64);
	asked[asked_count++] = tag;
	return 0;
}

static const struct handout_ops ops = {
	.need = need,
	.done = queue_errand_done,
	.is_same = queue_errand_is_same,
	.unpark = queue_letter_unparked,
	.slow = queue_errand_waits,
};

static const struct outbound_ops elsewhere = {
	.need = need,
	.done = queue_errand_done,
	.unpark = queue_letter_unparked,
	.slow = queue_errand_waits,
};

static void
set_aliases(const char *text)
{
	aliases_free(&q.aliases.aliases);
	assert_int_equal(aliases_parse(&q.aliases.aliases, text, strlen(text),
	    "aliases", &config, aliases_ignore), 0);
	q.aliases.state = ALIASES_GOOD;
}

static int
setup(void **state)
{
	(void)state;
	config_default_fixed(&config);
	dns = dns_new(need, &q);
	assert_non_null(dns);
	queue_init(&q, &config, &ops, &elsewhere, dns);
	q.aliases.dir = q.aliases.held = -1;
	q.aliases.index_dir = q.aliases.index = -1;
	q.aliases.config = &config;
	q.aliases.path = "";
	q.aliases.report = aliases_ignore;
	set_aliases("team: alice, bob\n");
	memset(strchr(place, '.') + 1, 'X', 6);
	assert_non_null(mkdtemp(place));
	assert_int_equal(spool_enter(place, geteuid(), &dir), 0);
	assert_int_equal(spool_make(dir), 0);
	assert_int_equal(spool_open(&q.spool, dir), 0);
	asked_count = 0;
	is_master_busy = 0;
	agent = writer.fd = -1;
	/* So that what arrives now was never seen by an earlier queue. */
	q.started = q.now - 10;
	return 0;
}

static int
teardown(void **state)
{
	struct job *job;

	(void)state;
	if (agent != -1)
		close(agent);
	while (silent_count > 0)
		close(silent[--silent_count]);
	/* Lines let their errands go, so that the jobs can. */
	handout_forget_parked(&q.handout);
	groups_free(&q.groups);
	q.now_ms += 100 * MINUTE_MS;
	handout_ask(&q.handout, q.now_ms);
	while (asked_count > 0) {
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair),
		    0);
		handout_channel(&q.handout, asked[--asked_count], pair[0],
		    q.now_ms);
		close(pair[1]);
	}
	q.now_ms += 100 * MINUTE_MS;
	handout_expire(&q.handout, q.now_ms);
	queue_settle(&q);
	while ((job = TAILQ_FIRST(&q.jobs)) != NULL)
		job_free(&q, job);
	assert_true(TAILQ_EMPTY(&q.handout.active));
	assert_true(TAILQ_EMPTY(&q.handout.wanting));
	schedule_free(&q.schedule);
	outbound_free(&q.outbound);
	dns_free(dns);
	aliases_close(&q.aliases);
	envelope_free_writer(&envelope);
	remove_spool(&q.spool, dir);
	return rmdir(place);
}

static const char *from = "s@there.example";

/* A letter for these recipients, NULL at the end; it is hinted at. */
static struct spool_name
letter_for(const char *first, ...)
{
	struct spool_name name;
	char text[SPOOL_NAME_MAX];
	const char *local;
	va_list ap;

	envelope_reset(&envelope);
	va_start(ap, first);
	for (local = first; local != NULL; local = va_arg(ap, const char *))
		envelope_put_recipient(&envelope, local, "localhost",
		    strcmp(local, "team") == 0 || strcmp(local, "root") == 0 ?
		    "" : local);
	va_end(ap);
	envelope_put_text(&envelope, ENVELOPE_SENDER, from);
	assert_int_equal(spool_begin(&writer, &q.spool, &envelope), 0);
	spool_put(&writer, "Received: x\n\nhello\n", 19);
	assert_int_equal(spool_commit(&writer, &name), 0);
	assert_int_equal(spool_name_print(&name, text), 0);
	queue_hint(&q, text);
	return name;
}

/* What the loop does before it waits. */
static void
begin(void)
{
	queue_start_due(&q);
	queue_settle(&q);
	handout_ask(&q.handout, q.now_ms);
}

/* And after. */
static void
end(void)
{
	struct pollfd pfd[HANDOUT_CHANNELS];
	size_t n = handout_poll(&q.handout, pfd);

	assert_true(poll(pfd, n, 0) >= 0);
	handout_ready(&q.handout, pfd, q.now_ms);
	handout_expire(&q.handout, q.now_ms);
	queue_settle(&q);
}

static void
turn(void)
{
	begin();
	end();
}

/* The master gives a channel for the last thing asked; our end is agent. */
static void
give_channel(void)
{
	int pair[2];

	assert_true(asked_count > 0);
	if (agent != -1)
		close(agent);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	agent = pair[1];
	handout_channel(&q.handout, asked[--asked_count], pair[0], q.now_ms);
}

static void
heard(struct message *m, uint32_t type)
{
	assert_int_equal(message_wait(agent, m, 1, 0), 1);
	assert_int_equal(m->type, type);
}

static void
say(uint32_t type, uint32_t verdict, const char *status, const char *text)
{
	struct message m;

	message_begin(&m, REPLY_OF(type));
	if (type != REQ_SETTLE)
		put_u32(&m, verdict);
	if (status != NULL)
		put_str(&m, status);
	if (text != NULL)
		put_str(&m, text);
	assert_int_equal(message_send(agent, &m), 0);
	end();
}

static void
identify(const char *account)
{
	struct message m;
	char name[64];

	heard(&m, REQ_IDENTIFY);
	get_str(&m, name, sizeof(name));
	assert_int_equal(get_end(&m), 0);
	assert_string_equal(name, account);
	say(REQ_IDENTIFY, DELIVERED, NULL, "");
}

/* A DELIVER came; whatever it holds, and so the letter's lock, is let go. */
static void
take_deliver(void)
{
	struct message m;

	heard(&m, REQ_DELIVER);
	message_discard(&m);
}

/* A DELIVER came, and it is this letter, readable and not writable. */
static void
is_asked_to_deliver(const struct spool_name *name, const char *to, int tried)
{
	char text[PATH_TEXT_MAX];
	struct message m;
	uint64_t offset;
	int fd;

	heard(&m, REQ_DELIVER);
	get_str(&m, text, sizeof(text));
	assert_string_equal(text, name->id);
	(void)get_u64(&m);
	get_str(&m, text, sizeof(text));
	assert_string_equal(text, "s@there.example");
	get_str(&m, text, sizeof(text));
	assert_string_equal(text, to);
	offset = get_u64(&m);
	assert_int_equal(get_u64(&m), 19);
	assert_int_equal(get_u64(&m), 3);
	assert_int_equal(get_u32(&m), tried);
	fd = get_fd(&m);
	assert_int_equal(get_end(&m), 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(pread(fd, text, 8, (off_t)offset), 8);
	assert_memory_equal(text, "Received", 8);
	close(fd);
}

static void
is_asked_to_settle(const struct spool_name *name)
{
	char text[QUEUE_ID_MAX];
	struct message m;

	heard(&m, REQ_SETTLE);
	get_str(&m, text, sizeof(text));
	assert_int_equal(get_end(&m), 0);
	assert_string_equal(text, name->id);
}

static int
is_closed(void)
{
	struct message m;

	return message_wait(agent, &m, 0, 0) == 0;
}

/* A channel for the next account, which answers so. */
static void
answer(const char *account, uint32_t verdict)
{
	begin();
	give_channel();
	identify(account);
	take_deliver();
	say(REQ_DELIVER, verdict, verdict == DELIVERED ? "2.0.0" :
	    verdict == DELIVERY_FAILED ? "5.2.0" : "4.2.1", "so");
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
