/* LINK: OUTBOUND smtpd/spool_read smtpd/spool smtpd/envelope smtpd/xtext smtpd/address wire/utf8 privsep/config privsep/log privsep/message */
/*
 * Letters to other hosts that wait: for a relay, for a connection there is no
 * room for, behind a flood or a slow host; and those that are parked meanwhile.
 */
#include <sys/un.h>

#include "outbound_home.h"

static void
test_no_relay(void **state)
{
	int i;

	(void)state;
	is_master_busy = 1;
	add("x.example", 1);
	for (i = 0; i < 20; i++) {
		turn(0);
		usleep(1000);
	}
	assert_int_equal(done_count, 0);
	assert_int_equal(o.connection_count, 0);
	/* Not all the time. */
	assert_true(outbound_next(&o) > now);
	is_master_busy = 0;
	turn(2000);
	close(relay());
}

/* No relay for long: the letter is tried again later, by the schedule. */
static void
test_no_relay_for_long(void **state)
{
	int i;

	(void)state;
	is_master_busy = 1;
	add("x.example", 2);
	for (i = 0; i < 30 && done_count == 0; i++) {
		turn(1000);
		usleep(1000);
		turn(0);
	}
	assert_true(i >= 10);
	assert_int_equal(done_count, 2);
	assert_int_equal(results[0].verdict, DELIVERY_DEFERRED);
	assert_string_equal(results[0].status, "4.3.0");
}

/* Nor has a letter a place for which there is no connection, nor will be. */
static void
test_no_room(void **state)
{
	struct spool_name name = { .due = 1 };

	(void)state;
	o.connection_count = OUTBOUND_CONNECTIONS;
	add("x.example", 1);
	turn(0);
	assert_false(outbound_is_stuck(&errands[0]));
	turn(11000);
	assert_int_equal(slow_count, 1);
	assert_true(outbound_is_stuck(&errands[0]));
	assert_int_equal(outbound_park(&errands[0], &name), 0);
	outbound_withdraw(&errands[0]);
	turn(0);
	assert_int_equal(unparked_count, 1);
	/* It comes again, and is not turned away at once. */
	assert_int_equal(outbound_add(&o, &errands[0]), 0);
	assert_false(outbound_is_stuck(&errands[0]));
	turn(11000);
	assert_true(outbound_is_stuck(&errands[0]));
	assert_int_equal(done_count, 0);
	o.connection_count = 0;
}

/* A flood to one destination: more connections, few, and letters aside. */
static void
test_flood(void **state)
{
	struct spool_name name = { .due = 1 };
	int gates[8], i, n = 0;

	(void)state;
	for (i = 0; i < 150; i++)
		add("x.example", 1);
	assert_true(outbound_is_stuck(&errands[149]));
	assert_false(outbound_is_stuck(&errands[0]));
	assert_int_equal(outbound_park(&errands[149], &name), 0);
	outbound_withdraw(&errands[149]);
	gates[n++] = relay();
	gates[n++] = relay();
	for (i = 0; i < 10; i++)
		turn(10);
	assert_int_equal(o.connection_count, 2);
	for (i = 0; i < 2; i++)
		welcome(gates[i]);
	for (i = 0; i < 2; i++) {
		hear_letter(gates[i]);
		say_to(gates[i], 0, DELIVERED, RELAY_AT_END, 250);
	}
	/* It goes well: so there may be more. */
	gates[n++] = relay();
	assert_true(o.connection_count > 2);
	assert_int_equal(slow_count, 0);
	for (i = 0; i < n; i++)
		close(gates[i]);
	while (asked_count > 0)
		close(relay());
	outbound_forget_parked(&o);
	assert_int_equal(unparked_count, 0);
}

/* A host that is silent is not in others' way. */
static void
test_slow(void **state)
{
	int gate;

	(void)state;
	add("x.example", 1);
	gate = relay();
	add("x.example", 1);
	turn(11000);
	assert_int_equal(slow_count, 2);
	assert_true(outbound_is_stuck(&errands[1]));
	turn(1000);
	assert_int_equal(slow_count, 2);
	/* In the end it is given up. */
	turn(60 * 1000 * 100);
	assert_int_equal(done_count, 2);
	close(gate);
}

/* More connections that can't be had, at once, while there is one. */
static void
test_no_second(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct mail_route *r = &config.routes[config.route_count++];
	int i, sock, gate;

	(void)state;
	snprintf(un.sun_path, sizeof(un.sun_path), "/tmp/outbound.%d",
	    (int)getpid());
	strlcpy(r->domain, "l.example", sizeof(r->domain));
	r->to.protocol = REMOTE_LMTP_SOCKET;
	strlcpy(r->to.host, un.sun_path, sizeof(r->to.host));
	sock = socket(AF_UNIX, SOCK_STREAM, 0);
	(void)unlink(un.sun_path);
	assert_int_equal(bind(sock, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(sock, 1), 0);
	add("l.example", 1);
	gate = relay();
	assert_int_equal(unlink(un.sun_path), 0);
	for (i = 0; i < 20; i++)
		add("l.example", 1);
	alarm(20);
	turn(0);
	turn(600);
	alarm(0);
	assert_int_equal(o.connection_count, 1);
	assert_int_equal(done_count, 0);
	close(gate);
	close(sock);
}

/* What is parked for a line that does not move stays there. */
static void
test_parked_for_slow(void **state)
{
	struct spool_name name = { .due = 1 };
	int gate;

	(void)state;
	add("x.example", 1);
	gate = relay();
	add("x.example", 1);
	turn(11000);
	assert_true(outbound_is_stuck(&errands[1]));
	assert_int_equal(outbound_park(&errands[1], &name), 0);
	outbound_withdraw(&errands[1]);
	turn(0);
	turn(1000);
	assert_int_equal(unparked_count, 0);
	welcome(gate);
	turn(0);
	assert_int_equal(unparked_count, 1);
	close(gate);
}

/* One sender's flood is not in the way of another's letter. */
static void
test_parked_by_sender(void **state)
{
	struct spool_name name = { .due = 1 };
	size_t i;
	int gate;

	(void)state;
	for (i = 0; i < 160; i++)
		add("x.example", 1);
	letters[159].envelope.sender = "b@example.test";
	for (i = 110; i < 160; i++) {
		name.size = i;
		assert_int_equal(outbound_park(&errands[i], &name), 0);
		outbound_withdraw(&errands[i]);
	}
	destination_unpark(errands[0].destination, 2, 1);
	assert_int_equal(unparked_count, 2);
	assert_int_equal(unparked[0].size + unparked[1].size, 110 + 159);
	gate = relay();
	destination_unpark(errands[0].destination, 3, 1);
	assert_int_equal(unparked[4].size, 113);
	close(gate);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		EACH(test_no_relay), EACH(test_no_relay_for_long),
		EACH(test_no_room), EACH(test_flood), EACH(test_slow),
		EACH(test_no_second), EACH(test_parked_for_slow),
		EACH(test_parked_by_sender),
	};

	return cmocka_run_group_tests_name("test_outbound_waiting", tests, NULL,
	    NULL);
}
