/* LINK: smtpd/waiting smtpd/job smtpd/job_expand smtpd/program mailbox/sha256 smtpd/settle smtpd/split smtpd/forward smtpd/notice smtpd/bounce smtpd/dsn smtpd/derived smtpd/trace smtpd/schedule smtpd/handout smtpd/handout_line smtpd/handout_talk smtpd/spool smtpd/spool_read smtpd/spool_write smtpd/envelope smtpd/expand smtpd/groups smtpd/aliases_include smtpd/aliases smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/account smtpd/address smtpd/xtext privsep/config privsep/log privsep/message OUTBOUND privsep/config_route wire/utf8 */
/*
 * Delivery agents that crash, are silent or can't be had, and letters that
 * somebody else holds.
 */
#include <sys/file.h>

#include "queue_home.h"

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

/* Dies between delivery and SETTLE: delivered all the same. */
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

/* The agent's descriptor of the letter that it has. */
static int
copy_of_letter(void)
{
	struct job *job;
	int copy = -1;

	TAILQ_FOREACH(job, &q.jobs, link)
		if (handout_has_begun(&job->errands[0]))
			copy = dup(job->letter.fd);
	assert_int_not_equal(copy, -1);
	return copy;
}

static int
is_locked(int copy)
{
	char path[64];
	int fd, r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", copy);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_not_equal(fd, -1);
	r = flock(fd, LOCK_EX | LOCK_NB);
	close(fd);
	return r == -1;
}

static void
agent_is_silent(void **state)
{
	int copy;

	(void)state;
	letter_for("alice", NULL);
	letter_for("alice", NULL);
	begin();
	give_channel();
	identify("alice");
	copy = copy_of_letter();
	q.now_ms += 4 * MINUTE_MS;
	end();
	assert_int_equal(q.job_count, 2);
	assert_true(handout_next(&q.handout) > q.now_ms);
	assert_true(is_locked(copy));
	q.now_ms += 2 * MINUTE_MS;
	end();
	/* Whoever waits behind it would wait as long: all are deferred. */
	assert_int_equal(q.job_count, 0);
	/* It may be stopped for ever: other recipients are tried again. */
	assert_false(is_locked(copy));
	close(copy);
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
	q.now = schedule_next(&q.schedule, 1);
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
	assert_in_range(schedule_next(&q.schedule, 1), q.now + 1, q.now + 5);
	letter_close(&l);
	q.now += 5;
	begin();
	assert_int_equal(asked_count, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(agent_crashes), TEST(agent_dies_late),
		TEST(agent_is_silent), TEST(no_channel), TEST(root_waits),
		TEST(locked),
	};

	/* Log lines of what goes wrong on purpose go to nobody. */
	log_init_socket(open("/dev/null", O_WRONLY | O_CLOEXEC));
	return cmocka_run_group_tests_name("test_queue_agents", tests, NULL, NULL);
}
