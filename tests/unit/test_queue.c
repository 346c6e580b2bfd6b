/* LINK: smtpd/waiting smtpd/job smtpd/job_expand smtpd/program mailbox/sha256 smtpd/settle smtpd/split smtpd/forward smtpd/notice smtpd/bounce smtpd/dsn smtpd/derived smtpd/trace smtpd/schedule smtpd/handout smtpd/handout_line smtpd/handout_talk smtpd/spool smtpd/spool_read smtpd/spool_write smtpd/envelope smtpd/expand smtpd/groups smtpd/aliases_include smtpd/aliases smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/account smtpd/address smtpd/xtext privsep/config privsep/log privsep/message OUTBOUND privsep/config_route wire/utf8 */
/*
 * The queue without its process: letters in a spool handed out to delivery
 * agents that this test plays, in every way in which those can answer; the
 * retry schedule, and what is given up.
 */
#include "queue_home.h"

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
	turn();
	assert_true(is_closed());
	assert_int_equal(q.job_count, 0);
	assert_int_equal(q.handout.channels, 0);
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
	turn();
	is_asked_to_deliver(&two, "alice@localhost", 0);
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	is_asked_to_settle(&two);
	turn();
	assert_true(is_closed());
	assert_int_equal(count_in(q.spool.queue, 0), 0);
}

/* A settled line that is overlooked for a whole turn asks for a new agent. */
static void
not_reused(void **state)
{
	struct spool_name one = letter_for("alice", NULL);
	struct spool_name two = letter_for("alice", NULL);

	(void)state;
	q.handout.idle_ms = 200;
	answer("alice", DELIVERED);
	is_asked_to_settle(&one);
	assert_int_equal(handout_next(&q.handout), q.now_ms);
	end();
	assert_true(is_closed());
	begin();
	assert_int_equal(asked_count, 1);
	give_channel();
	identify("alice");
	is_asked_to_deliver(&two, "alice@localhost", 0);
}

/* Takes up a letter for alice, and is idle then. */
static void
becomes_idle(void)
{
	struct spool_name name = letter_for("alice", NULL);

	q.handout.idle_ms = 200;
	answer("alice", DELIVERED);
	is_asked_to_settle(&name);
	turn();
	assert_false(is_closed());
	assert_int_equal(q.handout.channels, 1);
	assert_int_equal(handout_next(&q.handout), q.now_ms + 200);
}

/* An agent waits a moment for another letter. */
static void
idle(void **state)
{
	struct spool_name name;

	(void)state;
	becomes_idle();
	q.now_ms += 199;
	end();
	name = letter_for("alice", NULL);
	begin();
	assert_int_equal(asked_count, 0);
	is_asked_to_deliver(&name, "alice@localhost", 0);
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	is_asked_to_settle(&name);
	turn();
	q.now_ms += 200;
	end();
	assert_true(is_closed());
	assert_int_equal(q.handout.channels, 0);
	assert_true(TAILQ_EMPTY(&q.handout.wanting));
}

/* What it puts off then, another may not. */
static void
idle_too_long(void **state)
{
	struct spool_name name;

	(void)state;
	becomes_idle();
	name = letter_for("alice", NULL);
	begin();
	is_asked_to_deliver(&name, "alice@localhost", 0);
	say(REQ_DELIVER, DELIVERY_DEFERRED, "4.3.0", "~/.forward has changed");
	assert_true(is_closed());
	assert_int_equal(q.job_count, 1);
	begin();
	assert_int_equal(asked_count, 1);
	give_channel();
	identify("alice");
	is_asked_to_deliver(&name, "alice@localhost", 1);
	say(REQ_DELIVER, DELIVERY_DEFERRED, "4.2.2", "full");
	assert_int_equal(q.job_count, 0);
	assert_int_equal(count_in(q.spool.queue, 0), 1);
}

/* Its end, and others' need of its place, are no fault. */
static void
idle_gives_way(void **state)
{
	char account[8];
	size_t i;

	(void)state;
	becomes_idle();
	close(agent);
	agent = -1;
	end();
	assert_int_equal(q.handout.channels, 0);
	becomes_idle();
	for (i = 0; i < HANDOUT_QUICK; i++) {
		snprintf(account, sizeof(account), "u%zu", i);
		letter_for(account, NULL);
	}
	begin();
	assert_int_equal(asked_count, HANDOUT_QUICK);
	assert_true(is_closed());
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
	due = schedule_next(&q.schedule, 1);
	assert_in_range(due, q.now + 60, q.now + 66);
	/* Not before it is due; a new queue finds it in its name. */
	begin();
	assert_int_equal(asked_count, 0);
	queue_scan(&q);
	assert_int_equal(schedule_next(&q.schedule, 1), due);
	q.now = due;
	begin();
	give_channel();
	identify("alice");
	is_asked_to_deliver(&name, "alice@localhost", 1);
	say(REQ_DELIVER, DELIVERY_DEFERRED, "4.2.2", "full");
	/* The second wait, from the second attempt on record. */
	assert_in_range(schedule_next(&q.schedule, 1), q.now + 300,
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
	assert_int_equal(schedule_next(&q.schedule, 1), q.now);
	begin();
	assert_int_equal(asked_count, 1);
	assert_int_equal(schedule_next(&q.schedule, 1), near.due);
	give_channel();
	identify("alice");
	is_asked_to_deliver(&far, "alice@localhost", 1);
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	assert_int_equal(count_in(q.spool.queue, 0), 1);
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
	turn();
	give_channel();
	identify("alice");
	is_asked_to_deliver(&name, "alice@localhost", 0);
	say(REQ_DELIVER, DELIVERY_DEFERRED, "4.3.0", "later");
	due = schedule_next(&q.schedule, 1);
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
	q.now = schedule_next(&q.schedule, 1);
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
	assert_true(schedule_next(&q.schedule, 1) > q.now);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(retries), TEST(delivered), TEST(reused),
		TEST(not_reused), TEST(scanned), TEST(idle),
		TEST(idle_too_long), TEST(idle_gives_way),
		TEST(deferred), TEST(gives_up), TEST(failed), TEST(several),
		TEST(partly), TEST(damaged), TEST(hints), TEST(gives_up_soon),
		TEST(clock_put_back), TEST(not_forgotten),
		TEST(failure_not_forgotten), TEST(all_news_given_up),
		TEST(told_later), TEST(double_bounce_fails),
		TEST(unknown_outcome),
	};

	/* Log lines of what goes wrong on purpose go to nobody. */
	log_init_socket(open("/dev/null", O_WRONLY | O_CLOEXEC));
	return cmocka_run_group_tests_name("test_queue", tests, NULL, NULL);
}
