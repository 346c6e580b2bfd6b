/* LINK: smtpd/waiting smtpd/job smtpd/settle smtpd/split smtpd/forward smtpd/notice smtpd/bounce smtpd/derived smtpd/trace smtpd/schedule smtpd/handout smtpd/handout_line smtpd/spool smtpd/spool_read smtpd/spool_write smtpd/envelope smtpd/expand smtpd/groups smtpd/aliases_include smtpd/aliases smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/account smtpd/address smtpd/xtext privsep/config privsep/log privsep/message OUTBOUND privsep/config_route wire/utf8 */
/*
 * The queue without its process: the heap, the retry schedule, and letters in
 * a spool handed out to delivery agents that this test plays, in every way in
 * which those can answer, fail or be silent.
 */
#include <sys/socket.h>

#include <dirent.h>
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
	strcpy(strchr(place, '.') + 1, "XXXXXX");
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

static size_t
count_in(int at, int remove)
{
	struct dirent *entry;
	size_t n = 0;
	DIR *d = fdopendir(openat(at, ".", O_RDONLY | O_DIRECTORY));

	while ((entry = readdir(d)) != NULL) {
		n += entry->d_name[0] != '.';
		if (remove)
			(void)unlinkat(at, entry->d_name, 0);
	}
	closedir(d);
	return n;
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
	count_in(q.spool.incoming, 1);
	count_in(q.spool.queue, 1);
	count_in(q.spool.held, 1);
	count_in(q.spool.failed, 1);
	spool_close(&q.spool);
	(void)unlinkat(dir, "incoming", AT_REMOVEDIR);
	(void)unlinkat(dir, "queue", AT_REMOVEDIR);
	(void)unlinkat(dir, "held", AT_REMOVEDIR);
	(void)unlinkat(dir, "failed", AT_REMOVEDIR);
	close(dir);
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

static size_t notices;

static void
take_notice(void *arg, const struct spool_name *name)
{
	struct letter l;

	(void)arg;
	if (letter_open(&q.spool, name, &l) == -1)
		return;
	if (l.envelope.derived != DERIVED_NOT) {
		assert_string_equal(l.envelope.sender, "");
		assert_int_equal(l.length, name->size);
		assert_int_equal(spool_remove(&q.spool, name), 0);
		notices++;
	}
	letter_close(&l);
}

/* Letters of the queue itself that are on their way; they go no further. */
static size_t
take_notices(void)
{
	size_t strange;

	notices = 0;
	assert_int_equal(spool_scan(&q.spool, take_notice, NULL, &strange), 0);
	assert_int_equal(count_in(q.spool.held, 0), 0);
	return notices;
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

/* The same for an agent that will not say a word. */
static void
give_silent(void)
{
	give_channel();
	silent[silent_count++] = agent;
	agent = -1;
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

static void
take_deliver_after_settle(void)
{
	struct message m;

	heard(&m, REQ_SETTLE);
	say(REQ_SETTLE, 0, NULL, NULL);
	take_deliver();
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

static void
heap(void **state)
{
	struct schedule s;
	struct schedule_entry e = { .when = 0 };
	uint64_t last = 0;
	uint32_t noise = 1;
	size_t i, n = 0;

	(void)state;
	schedule_init(&s, 1000);
	for (i = 0; i < 900; i++) {
		noise = noise * 1664525 + 1013904223;
		e.when = noise % 500;
		schedule_push(&s, &e);
	}
	while (schedule_pop(&s, 250, 1, &e)) {
		assert_true(e.when >= last && e.when <= 250);
		last = e.when;
		n++;
	}
	assert_true(schedule_next(&s) > 250);
	while (schedule_pop(&s, 500, 1, &e))
		n++;
	assert_int_equal(n, 900);
	assert_int_equal(schedule_next(&s), UINT64_MAX);
	/* Ten times what fits: the soonest stay, and it is known. */
	schedule_begin(&s);
	for (i = 0; i < 10000; i++) {
		e.when = (i * 7919) % 10000;
		schedule_collect(&s, &e);
	}
	schedule_end(&s);
	assert_int_equal(schedule_count(&s), 1000);
	assert_false(schedule_is_short(&s, UINT64_MAX));
	/* What is put off meanwhile hides nothing. */
	e.when = 5000;
	schedule_push(&s, &e);
	for (i = 0; i < 1000; i++) {
		assert_true(schedule_pop(&s, UINT64_MAX, 1, &e));
		assert_int_equal(e.when, i);
	}
	assert_true(schedule_is_short(&s, UINT64_MAX));
	assert_false(schedule_is_short(&s, 999));
	assert_int_equal(schedule_count(&s), 1);
	/* And what is pushed beyond twice the limit is left to the spool. */
	schedule_begin(&s);
	for (i = 0; i < 3000; i++)
		schedule_push(&s, &e);
	assert_int_equal(schedule_count(&s), 2000);
	while (schedule_pop(&s, UINT64_MAX, 1, &e))
		;
	assert_true(schedule_is_short(&s, UINT64_MAX));
	schedule_free(&s);
}

/* What was never deferred and what was: in turns, however many of either. */
static void
turns(void **state)
{
	const struct schedule_entry *found;
	struct schedule s;
	struct schedule_entry e = { .when = 0 };
	size_t i, n = 0;

	(void)state;
	schedule_init(&s, 1000);
	for (i = 0; i < 100; i++) {
		e.when = i;
		assert_int_equal(spool_id_make(e.name.id), 0);
		schedule_push(&s, &e);
	}
	e.when = 200;
	e.name.due = (uint64_t)time(NULL);
	for (i = 0; i < 2; i++) {
		assert_int_equal(schedule_kind(&e), SCHEDULE_NEW);
		schedule_push(&s, &e);
	}
	e.name.due += 60;
	assert_int_equal(schedule_kind(&e), SCHEDULE_AGAIN);
	e.is_fresh = 1;
	assert_int_equal(schedule_kind(&e), SCHEDULE_NEW);
	for (i = 0; i < 4; i++) {
		assert_true(schedule_pop(&s, 200, 1, &e));
		n += schedule_kind(&e) == SCHEDULE_NEW;
	}
	assert_int_equal(n, 2);
	/* Only what there is room for. */
	assert_false(schedule_pop(&s, 200, 0, &e));
	assert_int_equal(schedule_next(&s), 2);
	assert_int_equal(schedule_next_of(&s, SCHEDULE_NEW), UINT64_MAX);
	found = schedule_find(&s, s.heaps[SCHEDULE_AGAIN].entries[5].name.id,
	    NULL);
	assert_ptr_equal(found, &s.heaps[SCHEDULE_AGAIN].entries[5]);
	assert_null(schedule_find(&s, found->name.id, found));
	schedule_free(&s);
}

static void
retries(void **state)
{
	uint32_t i;

	(void)state;
	config.retry_schedule[0] = 60;
	config.retry_schedule[1] = 300;
	config.retry_count = 2;
	for (i = 0; i < 1000; i++) {
		assert_in_range(retry_delay(&config, 1, i * 77), 60, 66);
		assert_in_range(retry_delay(&config, 2, i * 77), 300, 330);
		assert_in_range(retry_delay(&config, 1000, i), 300, 330);
	}
	config.retry_count = 0;
	assert_true(retry_delay(&config, 1, 0) > 0);
}

static void
delivered(void **state)
{
	struct spool_name name = letter_for("alice", NULL);

	(void)state;
	begin();
	assert_int_equal(asked_count, 1);
	give_channel();
	identify("alice");
	is_asked_to_deliver(&name, "alice@localhost", 0);
	assert_int_equal(count_in(q.spool.queue, 0), 1);
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	/* Off the disk before the mailbox may forget. */
	assert_int_equal(count_in(q.spool.queue, 0), 0);
	is_asked_to_settle(&name);
	say(REQ_SETTLE, 0, NULL, NULL);
	assert_true(is_closed());
	assert_int_equal(q.job_count, 0);
	assert_int_equal(q.handout.channels, 0);
}

/* What login says about the only group; until then nobody has the letter. */
static void
answer_group(uint32_t verdict, const char *names, size_t size)
{
	struct pollfd pfd[GROUPS_CHANNELS];
	struct message m;
	int pair[2];

	begin();
	assert_int_equal(q.job_count, 0);
	groups_ask(&q.groups, q.now_ms);
	assert_int_equal(asked_count, 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(groups_channel(&q.groups, asked[--asked_count],
	    pair[0], q.now_ms), 1);
	message_begin(&m, REPLY_MEMBERS);
	put_u32(&m, verdict);
	put_u32(&m, 0);
	put_data(&m, names, size);
	assert_int_equal(message_send(pair[1], &m), 0);
	assert_int_equal(groups_poll(&q.groups, pfd), 1);
	assert_int_equal(poll(pfd, 1, 0), 1);
	groups_ready(&q.groups, pfd, q.now_ms);
	close(pair[1]);
}

/* A letter for a group is closed until it is known who that is. */
static void
group_awaited(void **state)
{
	struct spool_name name;

	(void)state;
	set_aliases("team: :group:staff, alice\n");
	name = letter_for("team", NULL);
	answer_group(MEMBERS_DEFERRED, "", 0);
	begin();
	/* Alice at least; the others another time. */
	assert_int_equal(q.job_count, 1);
	give_channel();
	identify("alice");
	take_deliver();
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	is_asked_to_settle(&name);
	say(REQ_SETTLE, 0, NULL, NULL);
	assert_int_equal(q.job_count, 0);
	assert_int_equal(count_in(q.spool.queue, 0), 1);
	q.now += 120;
	q.now_ms += 2 * MINUTE_MS;
	answer_group(MEMBERS_FOUND, "bob\0alice", 10);
	begin();
	give_channel();
	identify("bob");
	take_deliver();
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	assert_int_equal(count_in(q.spool.queue, 0), 0);
	/* Known for a minute, so it goes out at once; and then not. */
	letter_for("team", NULL);
	begin();
	assert_int_equal(q.job_count, 1);
	q.now_ms += MINUTE_MS;
	letter_for("team", NULL);
	begin();
	assert_int_equal(q.job_count, 1);
}

/* The same agent takes the next letter for its account. */
static void
reused(void **state)
{
	struct spool_name one = letter_for("alice", NULL);
	struct spool_name two = letter_for("alice", NULL);

	(void)state;
	begin();
	assert_int_equal(asked_count, 1);
	give_channel();
	identify("alice");
	is_asked_to_deliver(&one, "alice@localhost", 0);
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	is_asked_to_settle(&one);
	say(REQ_SETTLE, 0, NULL, NULL);
	is_asked_to_deliver(&two, "alice@localhost", 0);
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	is_asked_to_settle(&two);
	say(REQ_SETTLE, 0, NULL, NULL);
	assert_true(is_closed());
	assert_int_equal(count_in(q.spool.queue, 0), 0);
}

/* Found by a scan, not hinted at: somebody may have tried it before. */
static void
scanned(void **state)
{
	struct spool_name name = letter_for("alice", NULL);

	(void)state;
	queue_scan(&q);
	begin();
	give_channel();
	identify("alice");
	is_asked_to_deliver(&name, "alice@localhost", 1);
}

static void
deferred(void **state)
{
	struct spool_name name = letter_for("alice", NULL);
	uint64_t due;

	(void)state;
	begin();
	give_channel();
	identify("alice");
	is_asked_to_deliver(&name, "alice@localhost", 0);
	say(REQ_DELIVER, DELIVERY_DEFERRED, "4.2.2", "full");
	assert_true(is_closed());
	assert_int_equal(q.job_count, 0);
	due = schedule_next(&q.schedule);
	assert_in_range(due, q.now + 60, q.now + 66);
	/* Not before it is due; a new queue finds it in its name. */
	begin();
	assert_int_equal(asked_count, 0);
	queue_scan(&q);
	assert_int_equal(schedule_next(&q.schedule), due);
	q.now = due;
	begin();
	give_channel();
	identify("alice");
	is_asked_to_deliver(&name, "alice@localhost", 1);
	say(REQ_DELIVER, DELIVERY_DEFERRED, "4.2.2", "full");
	/* The second wait, from the second attempt on record. */
	assert_in_range(schedule_next(&q.schedule), q.now + 300,
	    q.now + 330);
	assert_int_equal(count_in(q.spool.queue, 0), 1);
}

static void
defer_alice(void)
{
	begin();
	give_channel();
	identify("alice");
	take_deliver();
	say(REQ_DELIVER, DELIVERY_DEFERRED, "4.2.2", "full");
}

/* Only after the attempts of the schedule: a clock may have jumped. */
static void
gives_up(void **state)
{
	size_t i;

	(void)state;
	letter_for("alice", NULL);
	q.now += config.give_up_after + 100;
	for (i = 1; i < config.retry_count; i++) {
		defer_alice();
		/* It is late already: that is told once. */
		assert_int_equal(take_notices(), i == 1);
		assert_int_equal(count_in(q.spool.queue, 0), 1);
		q.now += 25 * 3600;
		q.now_ms += 100 * MINUTE_MS;
	}
	defer_alice();
	assert_int_equal(take_notices(), 1);
	assert_int_equal(count_in(q.spool.queue, 0), 0);
	assert_int_equal(count_in(q.spool.failed, 0), 0);
}

/* And sooner if it is to be given up before the schedule is at its end. */
static void
gives_up_soon(void **state)
{
	(void)state;
	config.give_up_after = 100;
	assert_int_equal(retry_attempts(&config), 2);
	letter_for("alice", NULL);
	defer_alice();
	q.now += 101;
	defer_alice();
	assert_int_equal(take_notices(), 1);
	assert_int_equal(count_in(q.spool.queue, 0), 0);
	assert_int_equal(count_in(q.spool.failed, 0), 0);
}

/* The clock was wrong when it was deferred: a due time that none gives. */
static void
clock_put_back(void **state)
{
	struct spool_name far = letter_for("alice", NULL);
	struct spool_name near = letter_for("bob", NULL);

	(void)state;
	assert_int_equal(spool_defer(&q.spool, &far, q.now + 365 * 86400), 0);
	assert_int_equal(spool_defer(&q.spool, &near, q.now + 4 * 3600), 0);
	queue_scan(&q);
	assert_int_equal(schedule_next(&q.schedule), q.now);
	begin();
	assert_int_equal(asked_count, 1);
	assert_int_equal(schedule_next(&q.schedule), near.due);
	give_channel();
	identify("alice");
	is_asked_to_deliver(&far, "alice@localhost", 1);
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	assert_int_equal(count_in(q.spool.queue, 0), 1);
}

/* Many that are tried again leave places to what comes for the first time. */
static void
places_for_new_ones(void **state)
{
	struct spool_name name;
	char account[8], sender[24];
	size_t i;

	(void)state;
	for (i = 0; i < JOBS_MAX; i++) {
		snprintf(account, sizeof(account), "u%zu", i % 20);
		snprintf(sender, sizeof(sender), "%s@there.example", account);
		from = sender;
		name = letter_for(account, NULL);
		assert_int_equal(spool_defer(&q.spool, &name, q.now - 3600),
		    0);
	}
	queue_scan(&q);
	from = "s@there.example";
	letter_for("alice", NULL);
	assert_int_equal(queue_next_start(&q), q.now - 3600);
	begin();
	assert_int_equal(q.again_count, JOBS_AGAIN);
	assert_int_equal(q.job_count, JOBS_AGAIN + 1);
	/* Others wait for a place, not for a time. */
	assert_int_equal(queue_next_start(&q), UINT64_MAX);
	letter_for("bob", NULL);
	assert_int_equal(queue_next_start(&q), q.now);
	begin();
	assert_int_equal(q.job_count, JOBS_AGAIN + 2);
}

static void
failed(void **state)
{
	(void)state;
	letter_for("alice", NULL);
	letter_for("alice", NULL);
	begin();
	give_channel();
	say(REQ_IDENTIFY, DELIVERY_FAILED, NULL, "no such account");
	/* True of all that wait for it. */
	assert_int_equal(take_notices(), 2);
	assert_int_equal(count_in(q.spool.queue, 0), 0);
	assert_int_equal(count_in(q.spool.failed, 0), 0);
	assert_int_equal(q.job_count, 0);
}

/* Two recipients, three accounts, one of them twice: two copies. */
static void
several(void **state)
{
	struct spool_name name = letter_for("alice", "team", NULL);
	struct letter l;
	uint64_t due;

	(void)state;
	begin();
	assert_int_equal(asked_count, 2);
	give_channel();			/* bob's */
	identify("bob");
	is_asked_to_deliver(&name, "team@localhost", 0);
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	/* Recorded while alice's is still out, and settled. */
	is_asked_to_settle(&name);
	say(REQ_SETTLE, 0, NULL, NULL);
	give_channel();
	identify("alice");
	is_asked_to_deliver(&name, "alice@localhost", 0);
	say(REQ_DELIVER, DELIVERY_DEFERRED, "4.3.0", "later");
	due = schedule_next(&q.schedule);
	q.now = due;
	begin();
	/* Only alice is tried again. */
	assert_int_equal(asked_count, 1);
	give_channel();
	identify("alice");
	name.due = due;
	assert_int_equal(letter_open(&q.spool, &name, &l), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	is_asked_to_deliver(&name, "alice@localhost", 1);
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	is_asked_to_settle(&name);
	assert_int_equal(count_in(q.spool.queue, 0), 0);
}

/* Some got it, one never will: told, and not tried again. */
static void
partly(void **state)
{
	(void)state;
	letter_for("alice", "bob", NULL);
	begin();
	give_channel();
	identify("bob");
	say(REQ_DELIVER, DELIVERY_FAILED, "5.2.0", "no");
	give_channel();
	identify("alice");
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	assert_int_equal(take_notices(), 1);
	assert_int_equal(count_in(q.spool.queue, 0), 0);
	assert_int_equal(count_in(q.spool.failed, 0), 0);
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

/*
 * What was answered in one turn still counts when others are put on record in
 * the next, and the last answer comes in a third.
 */
static void
not_forgotten(void **state)
{
	(void)state;
	letter_for("carol", "bob", "alice", NULL);
	answer("alice", DELIVERY_DEFERRED);
	answer("bob", DELIVERED);
	answer("carol", DELIVERED);
	assert_int_equal(q.job_count, 0);
	assert_int_equal(count_in(q.spool.queue, 0), 1);
	q.now = schedule_next(&q.schedule);
	answer("alice", DELIVERED);
	assert_int_equal(count_in(q.spool.queue, 0), 0);
	assert_int_equal(count_in(q.spool.failed, 0), 0);
}

static void
failure_not_forgotten(void **state)
{
	(void)state;
	letter_for("dave", "carol", "bob", "alice", NULL);
	answer("alice", DELIVERY_FAILED);
	answer("bob", DELIVERED);
	answer("carol", DELIVERY_DEFERRED);
	answer("dave", DELIVERED);
	assert_int_equal(take_notices(), 1);
	assert_int_equal(count_in(q.spool.queue, 0), 1);
	q.now += 400;
	/* And not when it was an alias that leads elsewhere by now. */
	set_aliases("alice: bob\n");
	answer("carol", DELIVERED);
	assert_int_equal(asked_count, 0);
	assert_int_equal(take_notices(), 0);
	assert_int_equal(count_in(q.spool.queue, 0), 0);
	assert_int_equal(count_in(q.spool.failed, 0), 0);
}

/* The sender can't be told now: it waits, nobody gets it twice, and he is. */
static void
told_later(void **state)
{
	int held = q.spool.held, broken = open("/dev/null", O_RDONLY);

	(void)state;
	letter_for("bob", "alice", NULL);
	q.spool.held = broken;
	answer("alice", DELIVERY_FAILED);
	answer("bob", DELIVERED);
	q.spool.held = held;
	assert_int_equal(take_notices(), 0);
	assert_int_equal(count_in(q.spool.incoming, 0), 0);
	assert_int_equal(count_in(q.spool.queue, 0), 1);
	q.now += 400;
	begin();
	assert_int_equal(asked_count, 0);
	assert_int_equal(take_notices(), 1);
	assert_int_equal(count_in(q.spool.queue, 0), 0);
	assert_int_equal(count_in(q.spool.failed, 0), 0);
	close(broken);
}

/* A double bounce that fails is kept, and no letter comes of it. */
static void
double_bounce_fails(void **state)
{
	struct spool_name name;
	char text[SPOOL_NAME_MAX];

	(void)state;
	envelope_reset(&envelope);
	envelope_put_recipient(&envelope, "alice", "localhost", "alice");
	envelope_put_text(&envelope, ENVELOPE_SENDER, "");
	envelope_put_u32(&envelope, ENVELOPE_DERIVED, DERIVED_DOUBLE);
	assert_int_equal(spool_begin(&writer, &q.spool, &envelope), 0);
	spool_put(&writer, "Received: x\n\nhello\n", 19);
	assert_int_equal(spool_commit(&writer, &name), 0);
	assert_int_equal(spool_name_print(&name, text), 0);
	queue_hint(&q, text);
	answer("alice", DELIVERY_FAILED);
	assert_int_equal(take_notices(), 0);
	assert_int_equal(count_in(q.spool.queue, 0), 0);
	assert_int_equal(count_in(q.spool.failed, 0), 1);
}

/* Given up with the others' outcomes long on record. */
static void
all_news_given_up(void **state)
{
	(void)state;
	config.retry_count = 1;
	letter_for("bob", "alice", NULL);
	q.now += config.give_up_after + 100;
	answer("alice", DELIVERY_DEFERRED);
	answer("bob", DELIVERED);
	assert_int_equal(take_notices(), 1);
	assert_int_equal(count_in(q.spool.queue, 0), 0);
	assert_int_equal(count_in(q.spool.failed, 0), 0);
}

/* An outcome that is lost by whatever mistake does not cost the letter. */
static void
unknown_outcome(void **state)
{
	struct pollfd pfd[HANDOUT_CHANNELS];
	struct message m;

	(void)state;
	letter_for("alice", NULL);
	begin();
	give_channel();
	identify("alice");
	message_begin(&m, REPLY_OF(REQ_DELIVER));
	put_u32(&m, DELIVERY_DEFERRED);
	put_str(&m, "4.2.2");
	put_str(&m, "full");
	assert_int_equal(message_send(agent, &m), 0);
	assert_int_equal(poll(pfd, handout_poll(&q.handout, pfd), 0), 1);
	handout_ready(&q.handout, pfd, q.now_ms);
	TAILQ_FIRST(&q.jobs)->news_count = 0;
	queue_settle(&q);
	assert_int_equal(q.job_count, 0);
	assert_int_equal(count_in(q.spool.queue, 0), 1);
	assert_true(schedule_next(&q.schedule) > q.now);
}

static void
agent_crashes(void **state)
{
	struct spool_name one = letter_for("alice", NULL);
	struct spool_name two = letter_for("alice", NULL);

	(void)state;
	begin();
	give_channel();
	identify("alice");
	is_asked_to_deliver(&one, "alice@localhost", 0);
	close(agent);
	agent = -1;
	end();
	/* The first waits; the next one gets an agent of its own. */
	begin();
	assert_int_equal(asked_count, 1);
	give_channel();
	identify("alice");
	is_asked_to_deliver(&two, "alice@localhost", 0);
	/* Garbage instead of an answer. */
	say(REQ_SETTLE, 0, NULL, NULL);
	assert_int_equal(q.job_count, 0);
	assert_int_equal(count_in(q.spool.queue, 0), 2);
	assert_int_equal(count_in(q.spool.failed, 0), 0);
}

/* Dies between delivery and SETTLE's reply: delivered all the same. */
static void
agent_dies_late(void **state)
{
	(void)state;
	letter_for("alice", NULL);
	begin();
	give_channel();
	identify("alice");
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	close(agent);
	agent = -1;
	end();
	assert_int_equal(q.job_count, 0);
	assert_int_equal(q.handout.channels, 0);
	assert_int_equal(count_in(q.spool.queue, 0), 0);
}

static void
agent_is_silent(void **state)
{
	(void)state;
	letter_for("alice", NULL);
	letter_for("alice", NULL);
	begin();
	give_channel();
	identify("alice");
	q.now_ms += 4 * MINUTE_MS;
	end();
	assert_int_equal(q.job_count, 2);
	assert_true(handout_next(&q.handout) > q.now_ms);
	q.now_ms += 2 * MINUTE_MS;
	end();
	/* Whoever waits behind it would wait as long: all are deferred. */
	assert_int_equal(q.job_count, 0);
	assert_int_equal(q.handout.channels, 0);
	assert_int_equal(count_in(q.spool.queue, 0), 2);
}

static void
no_channel(void **state)
{
	uint64_t tag;

	(void)state;
	is_master_busy = 1;
	letter_for("alice", NULL);
	begin();
	assert_true(handout_next(&q.handout) > q.now_ms);
	is_master_busy = 0;
	q.now_ms += 1000;
	begin();
	assert_int_equal(asked_count, 1);
	tag = asked[--asked_count];
	handout_channel(&q.handout, tag, -1, q.now_ms);
	begin();
	assert_int_equal(asked_count, 0);
	/* A late answer to an old question is nobody's. */
	handout_channel(&q.handout, tag, dup(dir), q.now_ms);
	q.now_ms += 1000;
	begin();
	assert_int_equal(asked_count, 1);
	/* No answer at all. */
	asked_count = 0;
	q.now_ms += 2 * MINUTE_MS;
	end();
	q.now_ms += MINUTE_MS;
	begin();
	assert_int_equal(asked_count, 1);
	give_channel();
	identify("alice");
}

static void
root_waits(void **state)
{
	(void)state;
	letter_for("root", NULL);
	begin();
	assert_int_equal(asked_count, 0);
	assert_int_equal(q.job_count, 0);
	assert_int_equal(count_in(q.spool.queue, 0), 1);
	q.now = schedule_next(&q.schedule);
	set_aliases("root: alice\n");
	begin();
	assert_int_equal(asked_count, 1);
	give_channel();
	identify("alice");
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	assert_int_equal(count_in(q.spool.queue, 0), 0);
}

/* Locked by its writer or another queue: looked at again, soon. */
static void
locked(void **state)
{
	struct spool_name name = letter_for("alice", NULL);
	struct letter l;

	(void)state;
	assert_int_equal(letter_open(&q.spool, &name, &l), 0);
	begin();
	assert_int_equal(asked_count, 0);
	assert_in_range(schedule_next(&q.schedule), q.now + 1, q.now + 5);
	letter_close(&l);
	q.now += 5;
	begin();
	assert_int_equal(asked_count, 1);
}

static void
send_address(const char *address)
{
	struct message m;

	message_begin(&m, REPLY_FORWARD);
	put_str(&m, address);
	assert_int_equal(message_send(agent, &m), 0);
	end();
}

/* The only letter in queue/, opened. */
static void
open_only(struct letter *l, struct spool_name *name)
{
	char text[SPOOL_NAME_MAX];
	struct dirent *entry;
	DIR *d = fdopendir(openat(q.spool.queue, ".",
	    O_RDONLY | O_DIRECTORY));

	text[0] = '\0';
	while ((entry = readdir(d)) != NULL)
		if (entry->d_name[0] != '.') {
			assert_string_equal(text, "");
			strlcpy(text, entry->d_name, sizeof(text));
		}
	closedir(d);
	assert_int_equal(spool_name_parse(text, name), 0);
	assert_int_equal(letter_open(&q.spool, name, l), 0);
}

/* A letter of its own, and nothing left to do for the old one. */
static void
forwarded(void **state)
{
	struct spool_name name, next;
	struct letter l;
	struct message m;
	char text[64];

	(void)state;
	name = letter_for("alice", NULL);
	begin();
	give_channel();
	identify("alice");
	take_deliver();
	send_address("carol@there.example");
	send_address("dave");
	say(REQ_DELIVER, DELIVERY_FORWARDED, "2.0.0", "forwarded");
	heard(&m, REQ_SETTLE);
	say(REQ_SETTLE, 0, NULL, NULL);
	assert_int_equal(count_in(q.spool.held, 0), 0);
	open_only(&l, &next);
	assert_string_not_equal(next.id, name.id);
	assert_string_equal(l.envelope.sender, "s@there.example");
	assert_int_equal(l.envelope.derived, DERIVED_NOT);
	assert_int_equal(l.envelope.recipient_count, 2);
	assert_string_equal(l.envelope.recipients[0].local, "carol");
	assert_string_equal(l.envelope.recipients[0].domain, "there.example");
	assert_string_equal(l.envelope.recipients[1].local, "dave");
	assert_string_equal(l.envelope.recipients[1].account, "");
	assert_int_equal(pread(l.fd, text, sizeof(text), (off_t)l.offset),
	    (ssize_t)l.length);
	assert_int_equal(l.length, strlen("Delivered-To: alice@localhost\n"
	    "Received: x\n\nhello\n"));
	assert_memory_equal(text, "Delivered-To: alice@localhost\nReceived: ",
	    40);
	letter_close(&l);
}

/* Not written: it waits, and the mailbox remembers what it has. */
static void
not_forwarded(void **state)
{
	struct spool_name name, next;
	struct letter l;
	int held = q.spool.held;

	(void)state;
	name = letter_for("alice", NULL);
	begin();
	give_channel();
	identify("alice");
	take_deliver();
	send_address("carol@there.example");
	q.spool.held = -1;
	say(REQ_DELIVER, DELIVERY_FORWARDED, "2.0.0", "forwarded");
	q.spool.held = held;
	assert_true(is_closed());
	open_only(&l, &next);
	assert_string_equal(next.id, name.id);
	assert_int_equal(l.outcome_count, 1);
	assert_int_equal(l.outcomes[0].kind, OUTCOME_DEFERRED);
	letter_close(&l);
}

/* What an agent may say of addresses, and in which order. */
static void
forwarded_oddly(void **state)
{
	static const char *const bad[] = {
		"", "a b@there.example", "a@", "<a@there.example>", "a\nb"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]) + 3; i++) {
		letter_for("alice", NULL);
		begin();
		give_channel();
		identify("alice");
		take_deliver();
		if (i < sizeof(bad) / sizeof(bad[0]))
			send_address(bad[i]);
		else if (i == sizeof(bad) / sizeof(bad[0]))
			say(REQ_DELIVER, DELIVERY_FORWARDED, "2.0.0", "none");
		else {
			send_address("a@there.example");
			say(REQ_DELIVER, i % 2 == 0 ? DELIVERED :
			    DELIVERY_FORWARDED + 1, "2.0.0", "odd");
		}
		assert_true(is_closed());
		assert_int_equal(count_in(q.spool.queue, 1), 1);
		assert_int_equal(count_in(q.spool.held, 0), 0);
	}
}

/* Under the owner's name, to accounts that are not looked up again. */
static void
list(void **state)
{
	struct spool_name name;
	const struct job *job;

	(void)state;
	set_aliases("team: \\alice, carol, alice\nalice: dave\n"
	    "owner-team: bob\n");
	name = letter_for("team", NULL);
	begin();
	assert_int_equal(count_in(q.spool.held, 0), 0);
	assert_int_equal(count_in(q.spool.queue, 0), 1);
	job = TAILQ_FIRST(&q.jobs);
	assert_non_null(job);
	assert_string_not_equal(job->letter.name.id, name.id);
	assert_string_equal(job->letter.envelope.sender,
	    "owner-team@localhost");
	assert_int_equal(job->letter.envelope.derived, DERIVED_LIST);
	assert_int_equal(job->errand_count, 3);
	assert_string_equal(job->errands[0].account, "alice");
	assert_string_equal(job->errands[1].account, "carol");
	assert_string_equal(job->errands[2].account, "dave");
}

/* One mistake in a list: nobody is left out, and nobody gets it twice. */
static void
list_waits(void **state)
{
	struct spool_name name, next;
	struct letter l;

	(void)state;
	set_aliases("team: alice, bad\nbad: |x\nowner-team: bob\n");
	name = letter_for("team", NULL);
	begin();
	open_only(&l, &next);
	assert_string_equal(next.id, name.id);
	letter_close(&l);
}

static void
damaged(void **state)
{
	struct spool_name name = letter_for("alice", NULL);
	char text[SPOOL_NAME_MAX];
	int fd;

	(void)state;
	spool_name_print(&name, text);
	fd = openat(q.spool.queue, text, O_WRONLY);
	assert_int_equal(pwrite(fd, "?", 1, 140), 1);
	close(fd);
	begin();
	assert_int_equal(q.job_count, 0);
	assert_int_equal(count_in(q.spool.queue, 0), 0);
	assert_int_equal(count_in(q.spool.failed, 0), 1);
}

static void
hints(void **state)
{
	struct spool_name name = letter_for("alice", NULL);
	char text[SPOOL_NAME_MAX];

	(void)state;
	queue_hint(&q, "");
	queue_hint(&q, "../../etc/passwd");
	queue_hint(&q, "0000000001.1.0123456789abcdefXYZ0");	/* no such */
	spool_name_print(&name, text);
	queue_hint(&q, text);
	queue_hint(&q, text);
	begin();
	assert_int_equal(asked_count, 1);
	assert_int_equal(q.job_count, 1);
	assert_int_equal(schedule_count(&q.schedule), 0);
}

/* One account's backlog leaves places for others. */
static void
backlog(void **state)
{
	size_t i, rounds;

	(void)state;
	for (i = 0; i < 60; i++)
		letter_for("alice", NULL);
	letter_for("bob", NULL);
	begin();
	assert_int_equal(q.job_count, BACKLOG_MAX + 1);
	assert_int_equal(asked_count, 2);
	asked[0] ^= asked[1];		/* alice's first: swap */
	asked[1] ^= asked[0];
	asked[0] ^= asked[1];
	give_channel();
	identify("alice");
	for (rounds = 0; rounds < 60; rounds++) {
		say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
		say(REQ_SETTLE, 0, NULL, NULL);
		begin();
	}
	assert_int_equal(count_in(q.spool.queue, 0), 1);
	assert_int_equal(q.job_count, 1);
	/* A scan forgets what is parked, and finds it again. */
	for (i = 0; i < 40; i++)
		letter_for("carol", NULL);
	begin();
	queue_scan(&q);
	begin();
	assert_int_equal(q.job_count, BACKLOG_MAX + 1);
}

/* Two mailboxes that hang, and many letters for both of them. */
static void
stuck_pair(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < 230; i++)
		letter_for("alice", "bob", NULL);
	letter_for("carol", NULL);
	begin();
	assert_true(q.job_count < 2 * BACKLOG_MAX + 2);
	assert_int_equal(asked_count, 3);
	answer("carol", DELIVERED);
	give_silent();
	give_silent();
	/* Slow by now: only what they are busy with is open. */
	q.now_ms += 10000;
	end();
	assert_true(q.job_count <= 2);
	letter_for("alice", "bob", NULL);
	letter_for("alice", "carol", NULL);
	answer("carol", DELIVERED);
	assert_true(q.job_count <= 2);
	assert_int_equal(count_in(q.spool.queue, 0), 232);
	/* They give up, and all come again. */
	q.now_ms += 6 * MINUTE_MS;
	end();
	begin();
	assert_int_equal(asked_count, 2);
	assert_int_equal(count_in(q.spool.queue, 0), 232);
	assert_int_equal(count_in(q.spool.failed, 0), 0);
}

/* A deferral beside a slow mailbox: both are tried again later. */
static void
stuck_and_deferred(void **state)
{
	struct spool_name name;

	(void)state;
	config.retry_schedule[0] = 5;	/* too short for noise */
	letter_for("alice", NULL);
	begin();
	give_silent();
	name = letter_for("carol", "bob", "alice", NULL);
	begin();
	q.now_ms += 10000;
	end();
	assert_int_equal(q.job_count, 2);
	give_channel();
	identify("bob");
	is_asked_to_deliver(&name, "bob@localhost", 0);
	say(REQ_DELIVER, DELIVERY_DEFERRED, "4.2.2", "full");
	assert_int_equal(q.job_count, 2);
	answer("carol", DELIVERED);
	/* Nobody but alice is left, who is slow: closed, and on record. */
	assert_int_equal(q.job_count, 1);
	assert_int_equal(schedule_next(&q.schedule), q.now + 5);
	q.now_ms += 6 * MINUTE_MS;
	end();
	assert_int_equal(q.job_count, 0);
	q.now += 5;
	answer("bob", DELIVERED);
	answer("alice", DELIVERED);
	take_deliver_after_settle();
	say(REQ_DELIVER, DELIVERED, "2.0.0", "so");
	assert_int_equal(asked_count, 0);
	assert_int_equal(count_in(q.spool.queue, 0), 0);
	assert_int_equal(count_in(q.spool.failed, 0), 0);
}

/* More mailboxes hang than there are channels for quick ones. */
static void
hung_accounts(void **state)
{
	char account[8];
	size_t i;

	(void)state;
	for (i = 0; i < HANDOUT_QUICK; i++) {
		snprintf(account, sizeof(account), "u%zu", i);
		letter_for(account, NULL);
	}
	letter_for("alice", NULL);
	begin();
	assert_int_equal(asked_count, HANDOUT_QUICK);
	for (i = 0; i < HANDOUT_QUICK; i++)
		give_silent();
	q.now_ms += 9999;
	end();
	begin();
	assert_int_equal(asked_count, 0);
	assert_true(handout_next(&q.handout) == q.now_ms + 1);
	q.now_ms += 1;
	end();
	answer("alice", DELIVERED);
	assert_int_equal(count_in(q.spool.queue, 0), HANDOUT_QUICK);
}

#define HUNG	(JOBS_MAX / BACKLOG_MAX + 2)

/* Their backlogs don't have all the places in memory. */
static void
hung_backlogs(void **state)
{
	char account[8], sender[24];
	size_t i, n;

	(void)state;
	for (i = 0; i < HUNG; i++) {
		snprintf(account, sizeof(account), "u%zu", i);
		snprintf(sender, sizeof(sender), "%s@there.example", account);
		from = sender;
		for (n = 0; n < BACKLOG_MAX; n++)
			letter_for(account, NULL);
	}
	from = "s@there.example";
	letter_for("alice", NULL);
	begin();
	assert_int_equal(q.job_count, JOBS_MAX);
	while (asked_count > 0)
		give_silent();
	q.now_ms += 10000;
	end();
	answer("alice", DELIVERED);
	while (asked_count > 0)
		give_silent();
	q.now_ms += 10000;
	end();
	assert_int_equal(q.job_count, HUNG);
	assert_int_equal(count_in(q.spool.queue, 0), HUNG * BACKLOG_MAX);
	/* One of them answers at last: its letters come, in their order. */
	agent = silent[0];
	silent[0] = silent[--silent_count];
	say(REQ_IDENTIFY, DELIVERED, NULL, "");
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	say(REQ_SETTLE, 0, NULL, NULL);
	begin();
	assert_int_equal(q.job_count, HUNG - 1 + BACKLOG_MAX - 1);
}

/* One who sends a flood has not all the places. */
static void
flood_of_one(void **state)
{
	const size_t accounts = JOBS_BUSY / BACKLOG_MAX + 3;
	char account[8];
	size_t i, n;

	(void)state;
	for (i = 0; i < accounts; i++) {
		snprintf(account, sizeof(account), "u%zu", i);
		for (n = 0; n < BACKLOG_MAX; n++)
			letter_for(account, NULL);
	}
	from = "other@there.example";
	letter_for("alice", NULL);
	from = "s@there.example";
	begin();
	assert_int_equal(q.job_count, JOBS_BUSY + 1);
	assert_int_equal(q.senders.aside, 3 * BACKLOG_MAX);
	answer("alice", DELIVERED);
	while (asked_count > 0)
		give_silent();
	/* As his letters leave their places, those that wait get them. */
	q.now_ms += 10000;
	end();
	begin();
	assert_int_equal(q.senders.aside, 0);
	assert_int_equal(count_in(q.spool.queue, 0), accounts * BACKLOG_MAX);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(heap), TEST(turns), TEST(places_for_new_ones),
		TEST(retries), TEST(delivered), TEST(group_awaited),
		TEST(reused),
		TEST(scanned), TEST(deferred), TEST(gives_up), TEST(failed),
		TEST(several), TEST(partly), TEST(agent_crashes),
		TEST(agent_dies_late), TEST(agent_is_silent),
		TEST(no_channel), TEST(root_waits), TEST(locked),
		TEST(forwarded), TEST(not_forwarded),
		TEST(forwarded_oddly), TEST(list), TEST(list_waits),
		TEST(damaged), TEST(hints), TEST(backlog),
		TEST(gives_up_soon), TEST(clock_put_back),
		TEST(not_forgotten), TEST(failure_not_forgotten),
		TEST(all_news_given_up),
		TEST(told_later), TEST(double_bounce_fails), TEST(unknown_outcome),
		TEST(stuck_pair), TEST(stuck_and_deferred),
		TEST(hung_accounts), TEST(hung_backlogs), TEST(flood_of_one),
	};

	/* Log lines of what goes wrong on purpose go to nobody. */
	log_init_socket(open("/dev/null", O_WRONLY | O_CLOEXEC));
	return cmocka_run_group_tests_name("test_queue", tests, NULL, NULL);
}
