/* LINK: smtpd/dns_ask smtpd/dns_reply privsep/config privsep/message */
/*
 * Questions to the resolver, which this test plays: one that is silent, floods
 * or goes away costs time, and nothing else.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/message.h"
#include "smtpd/dns_ask.h"

static struct dns_client *dns;
static uint64_t now;
static uint64_t wanted;		/* the last channel that was asked for */
static size_t heard, temporary;

static int
need(void *arg, uint64_t tag)
{
	(void)arg;
	wanted = tag;
	return 0;
}

static void
answered(void *arg, const struct dns_answer *a)
{
	(void)arg;
	heard++;
	temporary += a->status == DNS_TEMPFAIL;
}

static int
setup(void **state)
{
	(void)state;
	now = 1000;
	wanted = 0;
	heard = temporary = 0;
	dns = dns_new(need, NULL);
	assert_non_null(dns);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	dns_free(dns);
	return 0;
}

static struct dns_question *
ask(size_t count)
{
	struct dns_question *q = NULL;
	char name[32];

	while (count-- > 0) {
		snprintf(name, sizeof(name), "d%zu.example", count);
		q = dns_ask(dns, DNS_MX, name, answered, NULL, now);
		assert_non_null(q);
	}
	return q;
}

/* A turn of the queue's loop, so many ms later. */
static void
turn(uint64_t ms)
{
	struct pollfd pfd;

	now += ms;
	dns_poll(dns, &pfd);
	assert_true(poll(&pfd, 1, 0) >= 0);
	dns_run(dns, &pfd, now);
}

/* Give it the channel that it wants: the resolver's end. */
static int
resolver(void)
{
	int pair[2];

	turn(0);
	assert_int_not_equal(wanted, 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
	dns_channel(dns, wanted, pair[1], now);
	wanted = 0;
	turn(0);
	return pair[0];
}

/* What the resolver was asked since it was last looked at; the last id. */
static size_t
count_asked(int gate, uint32_t *id)
{
	struct message m;
	size_t n = 0;

	while (message_recv(gate, &m, 0) == 1) {
		assert_int_equal(m.type, REQ_LOOKUP);
		*id = get_u32(&m);
		n++;
	}
	return n;
}

static void
reply(int gate, uint32_t id)
{
	struct message m;

	message_begin(&m, REPLY_LOOKUP);
	put_u32(&m, id);
	put_u32(&m, DNS_NXDOMAIN);
	put_u32(&m, 0);
	put_u32(&m, 60);
	put_u32(&m, 0);
	(void)message_send(gate, &m);
}

static int
is_open(int gate)
{
	struct message m;

	return message_recv(gate, &m, 0) == -1 && errno == EAGAIN;
}

/*
 * The resolver counts what it is at work on, whoever waits for it: one
 * question too many, and it hangs up.
 */
static void
test_cancelled_counts(void **state)
{
	struct dns_question *q;
	uint32_t id, last;
	int gate;

	(void)state;
	ask(DNS_ASKED_MAX - 1);
	dns_cancel(ask(1));
	gate = resolver();
	assert_int_equal(count_asked(gate, &id), DNS_ASKED_MAX - 1);
	q = ask(1);
	turn(0);
	assert_int_equal(count_asked(gate, &id), 1);
	dns_cancel(q);
	ask(1);
	turn(0);
	assert_int_equal(count_asked(gate, &last), 0);
	reply(gate, id);
	turn(0);
	assert_int_equal(heard, 0);
	assert_int_equal(count_asked(gate, &last), 1);
	close(gate);
}

/* Late ones, too; it has its own patience for each from when it came. */
static void
test_expired_counts(void **state)
{
	uint32_t id, i;
	int gate;

	(void)state;
	ask(DNS_ASKED_MAX * 2);
	gate = resolver();
	assert_int_equal(count_asked(gate, &id), DNS_ASKED_MAX);
	turn(DNS_PATIENCE_MS);
	for (i = 0; i < DNS_ASKED_MAX; i++)
		reply(gate, id - i);
	turn(0);
	assert_int_equal(heard, DNS_ASKED_MAX);
	assert_int_equal(count_asked(gate, &id), DNS_ASKED_MAX);
	turn(DNS_PATIENCE_MS - 1000);
	assert_int_equal(heard, 2 * DNS_ASKED_MAX);
	ask(5);
	turn(0);
	assert_int_equal(count_asked(gate, &i), 0);
	assert_true(is_open(gate));
	assert_true(dns_next(dns) > now);
	reply(gate, id);
	turn(0);
	assert_int_equal(heard, 2 * DNS_ASKED_MAX);
	assert_int_equal(count_asked(gate, &i), 1);
	close(gate);
}

/* One that says nothing at all is left for another. */
static void
test_silence(void **state)
{
	uint32_t id;
	int gate, i;

	(void)state;
	ask(1);
	gate = resolver();
	for (i = 0; i < 60 && wanted == 0; i++) {
		ask(30);
		turn(1000);
		assert_true(wanted != 0 || dns_next(dns) > now);
	}
	assert_int_not_equal(wanted, 0);
	assert_true(count_asked(gate, &id) <= DNS_ASKED_MAX);
	close(gate);
	turn(1000);
	gate = resolver();
	assert_int_equal(count_asked(gate, &id), DNS_ASKED_MAX);
	close(gate);
}

/* Answers to nothing: it is not listened to for ever, nor again. */
static void
test_flood(void **state)
{
	uint32_t id;
	int gate, i;

	(void)state;
	ask(1);
	gate = resolver();
	assert_int_equal(count_asked(gate, &id), 1);
	for (i = 0; i < 50; i++)
		reply(gate, id + 7);
	turn(0);
	assert_int_equal(heard, 0);
	assert_false(is_open(gate));
	close(gate);
	turn(1000);
	gate = resolver();
	assert_int_equal(count_asked(gate, &id), 1);
	reply(gate, id);
	turn(0);
	assert_int_equal(heard, 1);
	assert_int_equal(temporary, 0);
	close(gate);
}

/* It ends at any moment: everybody is told once. */
static void
test_ends(void **state)
{
	uint32_t id;
	int gate, i;

	(void)state;
	ask(10);
	for (i = 0; i < 3; i++) {
		gate = resolver();
		assert_int_equal(count_asked(gate, &id), 10);
		close(gate);
		turn(0);
		assert_true(dns_next(dns) > now);
		turn(1000);
	}
	turn(DNS_PATIENCE_MS + 10000);
	assert_int_equal(heard, 10);
	assert_int_equal(temporary, 10);
	turn(1000);
	assert_int_equal(heard, 10);
}

int
main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	static const struct CMUnitTest tests[] = {
		EACH(test_cancelled_counts), EACH(test_expired_counts),
		EACH(test_silence), EACH(test_flood), EACH(test_ends),
	};

	return cmocka_run_group_tests_name("test_dns_ask", tests, NULL,
	    NULL);
}
