/* LINK: OUTBOUND smtpd/spool_read smtpd/spool smtpd/envelope smtpd/xtext smtpd/address wire/utf8 privsep/config privsep/log privsep/message */
/*
 * Letters to other hosts, with relays that this test plays: what they may
 * answer, or not, and what becomes of each recipient.
 */
#include "outbound_home.h"

static void
test_one(void **state)
{
	int gate;

	(void)state;
	add("x.example", 3);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), 3);
	say_to(gate, 1, DELIVERY_FAILED, RELAY_AT_RCPT, 550);
	say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
	say_to(gate, 2, DELIVERY_DEFERRED, RELAY_AT_RCPT, 450);
	assert_int_equal(done_count, 3);
	assert_int_equal(results[0].verdict, DELIVERED);
	assert_int_equal(results[1].verdict, DELIVERY_FAILED);
	assert_string_equal(results[1].text, "said?so");
	assert_string_equal(results[1].remote, "127.0.0.1");
	assert_int_equal(results[2].verdict, DELIVERY_DEFERRED);
	assert_true(results[0].has_dsn);
	say_end(gate, 1);
	/* Nobody comes any more: it ends. */
	turn(5000);
	assert_true(is_hung_up(gate));
	close(gate);
	turn(0);
	assert_true(outbound_is_idle(&o));
}

/* What is said at once is heard at once: it goes on record with one sync. */
static void
test_all_at_once(void **state)
{
	uint32_t i;
	int gate;

	(void)state;
	add("x.example", BATCH_MAX);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), BATCH_MAX);
	for (i = 0; i < BATCH_MAX; i++)
		say_to_as(gate, i, DELIVERED, RELAY_AT_END, 250, "2.0.0");
	turn(0);
	assert_int_equal(done_count, BATCH_MAX);
	close(gate);
}

/* Status codes that are none, or of another class. */
static void
test_bad_status(void **state)
{
	static const struct {
		uint32_t	verdict;
		const char	*said, *told;
	} cases[] = {
		{ DELIVERED, "2.1.5", "2.1.5" },
		{ DELIVERED, "5.1.1", "2.0.0" },
		{ DELIVERED, "", "2.0.0" },
		{ DELIVERY_FAILED, "5.123.456", "5.123.456" },
		{ DELIVERY_FAILED, "5.1.1 id=x", "5.0.0" },
		{ DELIVERY_FAILED, "5.1", "5.0.0" },
		{ DELIVERY_FAILED, "5.1.", "5.0.0" },
		{ DELIVERY_FAILED, "5.1.1.1", "5.0.0" },
		{ DELIVERY_FAILED, "5.1234.1", "5.0.0" },
		{ DELIVERY_DEFERRED, "5.1.1", "4.0.0" },
		{ DELIVERY_DEFERRED, "4,1,1", "4.0.0" },
	};
	size_t i, n = sizeof(cases) / sizeof(cases[0]);
	int gate;

	(void)state;
	add("x.example", n);
	gate = relay();
	welcome(gate);
	hear_letter(gate);
	for (i = 0; i < n; i++) {
		say_to_as(gate, (uint32_t)i, cases[i].verdict, RELAY_AT_END,
		    250, cases[i].said);
		turn(0);
		assert_string_equal(results[i].status, cases[i].told);
	}
	close(gate);
}

static void
test_reuse(void **state)
{
	int gate, i;

	(void)state;
	add("x.example", 1);
	gate = relay();
	welcome(gate);
	for (i = 0; i < 5; i++) {
		assert_int_equal(hear_letter(gate), 1);
		say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
		add("x.example", 1);
		say_end(gate, 1);
	}
	assert_int_equal(done_count, 5);
	assert_int_equal(asked_count, 0);
	close(gate);
}

/* Each letter taken is a connection more, each that ends in the middle of one
 * costs half of them, however many recipients that had. */
static void
test_limit(void **state)
{
	const struct destination *d;
	int gate, i;

	(void)state;
	add("x.example", 8);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), 8);
	d = TAILQ_FIRST(&o.busy);
	for (i = 0; i < 8; i++)
		say_to(gate, (uint32_t)i, DELIVERED, RELAY_AT_END, 250);
	assert_int_equal(d->limit, 10);
	add("x.example", 3);
	say_end(gate, 1);
	assert_int_equal(hear_letter(gate), 3);
	/* This is of the letter. */
	say_to(gate, 0, DELIVERY_DEFERRED, RELAY_AT_RCPT, 450);
	assert_int_equal(d->limit, 10);
	say_to(gate, 1, DELIVERY_DEFERRED, RELAY_AT_RCPT, 421);
	say_to(gate, 2, DELIVERY_DEFERRED, RELAY_AT_RCPT, 0);
	assert_int_equal(d->limit, 5);
	close(gate);
}

static void
test_batches(void **state)
{
	int gate;

	(void)state;
	add("x.example", BATCH_MAX + 10);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), BATCH_MAX);
	close(gate);
	turn(0);
	/* It ended without an answer: those it had are put off. */
	assert_int_equal(done_count, BATCH_MAX);
	assert_int_equal(results[0].verdict, DELIVERY_DEFERRED);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), 10);
	close(gate);
}

/* An idle connection that was over is nobody's fault. */
static void
test_restart(void **state)
{
	int gate;

	(void)state;
	add("x.example", 2);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), 2);
	say_to(gate, 0, DELIVERY_DEFERRED, RELAY_AT_START, 0);
	say_to(gate, 1, DELIVERY_DEFERRED, RELAY_AT_START, 421);
	say_end(gate, 0);
	assert_int_equal(done_count, 0);
	close(gate);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), 2);
	say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
	say_to(gate, 1, DELIVERED, RELAY_AT_END, 250);
	assert_int_equal(done_count, 2);
	close(gate);
}

static void
test_restart_is_bounded(void **state)
{
	int gate, i;

	(void)state;
	add("x.example", 1);
	for (i = 0; i < 3; i++) {
		gate = relay();
		welcome(gate);
		hear_letter(gate);
		say_to(gate, 0, DELIVERY_DEFERRED, RELAY_AT_START, 0);
		say_end(gate, 0);
		close(gate);
	}
	assert_int_equal(done_count, 1);
}

/* TLS that fails is left out where it need not be had. */
static void
test_without_tls(void **state)
{
	struct message m;
	int gate;

	(void)state;
	add("x.example", 1);
	gate = relay();
	assert_int_equal(message_wait(gate, &m, 1, 5000), 1);
	assert_int_equal(get_u32(&m), RELAY_SMTP);
	assert_int_equal(get_u32(&m), RELAY_TLS_MAY);
	message_discard(&m);
	message_begin(&m, REPLY_GREET);
	put_u32(&m, RELAY_NO_TLS);
	put_u32(&m, 0);
	put_str(&m, "4.7.5");
	put_str(&m, "handshake");
	put_u32(&m, 0);
	put_u64(&m, 0);
	put_str(&m, "");
	put_u32(&m, 0);
	assert_int_equal(message_send(gate, &m), 0);
	turn(0);
	close(gate);
	gate = relay();
	assert_int_equal(message_wait(gate, &m, 1, 5000), 1);
	assert_int_equal(get_u32(&m), RELAY_SMTP);
	assert_int_equal(get_u32(&m), RELAY_TLS_NONE);
	message_discard(&m);
	assert_int_equal(done_count, 0);
	close(gate);
}

/* Relays that break the rules harm their own letter. */
static void
test_hostile(void **state)
{
	static const struct {
		uint32_t	index, verdict, stage;
	} bad[] = {
		{ 2, DELIVERED, RELAY_AT_END }, { 0, 3, RELAY_AT_END },
		{ 0, DELIVERED, 9 }, { UINT32_MAX, DELIVERED, RELAY_AT_END },
	};
	struct message m;
	size_t i, before;
	int gate;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		before = done_count;
		add("x.example", 2);
		gate = relay();
		welcome(gate);
		hear_letter(gate);
		say_to(gate, bad[i].index, bad[i].verdict, bad[i].stage, 250);
		assert_int_equal(done_count, before + 2);
		assert_int_equal(results[before].verdict, DELIVERY_DEFERRED);
		assert_true(is_hung_up(gate));
		close(gate);
	}
	/* Twice the same. */
	add("x.example", 2);
	gate = relay();
	welcome(gate);
	hear_letter(gate);
	before = done_count;
	say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
	say_to(gate, 0, DELIVERY_FAILED, RELAY_AT_END, 550);
	assert_int_equal(done_count, before + 2);
	assert_int_equal(results[before].verdict, DELIVERED);
	assert_int_equal(results[before + 1].verdict, DELIVERY_DEFERRED);
	close(gate);
	/* An end that forgets one; another message; garbage. */
	add("x.example", 1);
	gate = relay();
	welcome(gate);
	hear_letter(gate);
	say_end(gate, 1);
	assert_true(is_hung_up(gate));
	close(gate);
	add("x.example", 1);
	gate = relay();
	message_begin(&m, REPLY_SEND);
	assert_int_equal(message_send(gate, &m), 0);
	turn(0);
	assert_true(is_hung_up(gate) || asked_count > 0 || done_count > 0);
	close(gate);
}

/* A relay that ended before it was given a letter says nothing of that. */
static void
test_ended_idle(void **state)
{
	int gate;

	(void)state;
	add("x.example", 1);
	gate = relay();
	welcome(gate);
	hear_letter(gate);
	say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
	say_end(gate, 1);
	add("x.example", 3);
	close(gate);
	turn(0);
	assert_int_equal(done_count, 1);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), 3);
	close(gate);
}

/* Who has a letter breaks off, but its answer is heard. */
static void
test_hurried(void **state)
{
	struct connection *c;
	struct message m;
	int gate;

	(void)state;
	add("x.example", 3);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), 3);
	c = TAILQ_FIRST(&o.connections);
	connection_hurry(c);
	assert_true(c->is_hurried);
	hear(gate, &m, REQ_HURRY);
	say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
	say_to(gate, 1, DELIVERY_DEFERRED, RELAY_AT_START, 0);
	say_to(gate, 2, DELIVERY_DEFERRED, RELAY_AT_END, 0);
	assert_int_equal(done_count, 3);
	assert_int_equal(results[0].verdict, DELIVERED);
	assert_string_equal(results[1].status, "4.4.2");
	assert_string_equal(results[1].text, CONNECTION_SLOW);
	assert_string_equal(results[2].text, "said?so");
	say_end(gate, 1);
	assert_int_equal(o.connection_count, 0);
	close(gate);
	/* It ends without having read that, but not without an answer. */
	add("x.example", 1);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), 1);
	connection_hurry(TAILQ_FIRST(&o.connections));
	say_to_as(gate, 0, DELIVERY_FAILED, RELAY_AT_RCPT, 550, "5.1.1");
	close(gate);
	turn(0);
	assert_int_equal(done_count, 4);
	assert_int_equal(results[3].verdict, DELIVERY_FAILED);
}

static void
test_bad_domain(void **state)
{
	(void)state;
	errands[0].account = strcpy(paths[0], "u@a..b");
	assert_int_equal(outbound_add(&o, &errands[0]), -1);
	assert_int_equal(errno, EINVAL);
	errands[0].account = strcpy(paths[0], "nobody");
	assert_int_equal(outbound_add(&o, &errands[0]), -1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		EACH(test_one), EACH(test_all_at_once), EACH(test_bad_status),
		EACH(test_reuse), EACH(test_limit), EACH(test_batches), EACH(test_restart),
		EACH(test_restart_is_bounded), EACH(test_without_tls),
		EACH(test_hostile), EACH(test_ended_idle), EACH(test_hurried),
		EACH(test_bad_domain),
	};

	return cmocka_run_group_tests_name("test_outbound", tests, NULL, NULL);
}
