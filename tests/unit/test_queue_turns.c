/* LINK: smtpd/waiting smtpd/job smtpd/job_expand smtpd/program mailbox/sha256 smtpd/settle smtpd/split smtpd/forward smtpd/notice smtpd/bounce smtpd/dsn smtpd/derived smtpd/trace smtpd/schedule smtpd/handout smtpd/handout_line smtpd/handout_talk smtpd/spool smtpd/spool_read smtpd/spool_write smtpd/envelope smtpd/expand smtpd/groups smtpd/aliases_include smtpd/aliases smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/account smtpd/address smtpd/xtext privsep/config privsep/log privsep/message OUTBOUND privsep/config_route wire/utf8 */
/*
 * Whose turn it is in the queue: what is due first, and that neither a flood
 * nor mailboxes that hang have all the places.
 */
#include "queue_home.h"

/* The same for an agent that will not say a word. */
static void
give_silent(void)
{
	give_channel();
	silent[silent_count++] = agent;
	agent = -1;
}

static void
take_deliver_after_settle(void)
{
	struct message m;

	heard(&m, REQ_SETTLE);
	turn();
	take_deliver();
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
	assert_true(schedule_next(&s, 1) > 250);
	while (schedule_pop(&s, 500, 1, &e))
		n++;
	assert_int_equal(n, 900);
	assert_int_equal(schedule_next(&s, 1), UINT64_MAX);
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
	assert_int_equal(schedule_kind(&e), SCHEDULE_FRESH);
	e.is_fresh = 0;
	for (i = 0; i < 4; i++) {
		assert_true(schedule_pop(&s, 200, 1, &e));
		n += schedule_kind(&e) == SCHEDULE_NEW;
	}
	assert_int_equal(n, 2);
	/* Only what there is room for. */
	assert_false(schedule_pop(&s, 200, 0, &e));
	assert_int_equal(schedule_next(&s, 1), 2);
	assert_int_equal(schedule_next(&s, 0), UINT64_MAX);
	found = schedule_find(&s, s.heaps[SCHEDULE_AGAIN].entries[5].name.id,
	    NULL);
	assert_ptr_equal(found, &s.heaps[SCHEDULE_AGAIN].entries[5]);
	assert_null(schedule_find(&s, found->name.id, found));
	schedule_free(&s);
}

/* What has just come waits for nobody: not for what was never tried either. */
static void
fresh_first(void **state)
{
	struct schedule s;
	struct schedule_entry e = { .when = 0 };
	size_t i, n = 0;

	(void)state;
	schedule_init(&s, 1000);
	for (i = 0; i < 500; i++) {
		assert_int_equal(spool_id_make(e.name.id), 0);
		e.name.due = (uint64_t)time(NULL) + i % 2 * 60;
		schedule_push(&s, &e);
	}
	e.when = 100;
	for (i = 0; i < 2; i++) {
		e.is_fresh = i == 0;
		e.is_asked = i == 1;
		schedule_push(&s, &e);
	}
	for (i = 0; i < 6; i++) {
		assert_true(schedule_pop(&s, 100, 1, &e));
		n += schedule_kind(&e) == SCHEDULE_FRESH;
	}
	assert_int_equal(n, 2);
	assert_int_equal(schedule_next(&s, 1), 0);
	schedule_free(&s);
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
		turn();
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
	assert_int_equal(schedule_next(&q.schedule, 1), q.now + 5);
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
	turn();
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(heap), TEST(turns), TEST(fresh_first),
		TEST(places_for_new_ones),
		TEST(backlog), TEST(stuck_pair), TEST(stuck_and_deferred),
		TEST(hung_accounts), TEST(hung_backlogs), TEST(flood_of_one),
	};

	/* Log lines of what goes wrong on purpose go to nobody. */
	log_init_socket(open("/dev/null", O_WRONLY | O_CLOEXEC));
	return cmocka_run_group_tests_name("test_queue_turns", tests, NULL, NULL);
}
