/* LINK: smtpd/resolver_channel smtpd/dns_packet smtpd/dns_reply privsep/config privsep/message privsep/log */
/* LIBS: -levent_core -lresolv */
/*
 * The queue's channel to the resolver, with a libunbound that this test plays:
 * every question has one answer, however busy the queue is.
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

#include <unbound-event.h>

#include "privsep/message.h"
#include "smtpd/dns.h"
#include "smtpd/resolver_channel.h"

static struct event_base *base;
static int queue = -1;			/* our end */
static struct {
	void			*arg;
	ub_event_callback_type	 answered;
} asked[DNS_ASKED_MAX];
static int asked_count, cancelled_count, is_instant;

int
ub_resolve_event(struct ub_ctx *ctx, const char *name, int type, int class,
    void *arg, ub_event_callback_type answered, int *id)
{
	char none[1];

	(void)ctx;
	(void)name;
	(void)type;
	(void)class;
	if (is_instant) {
		answered(arg, 2, none, 0, 0, NULL, 0);
		return 0;
	}
	assert_in_range(asked_count, 0, DNS_ASKED_MAX - 1);
	asked[asked_count].arg = arg;
	asked[asked_count].answered = answered;
	*id = asked_count++;
	return 0;
}

int
ub_cancel(struct ub_ctx *ctx, int id)
{
	(void)ctx;
	(void)id;
	cancelled_count++;
	return 0;
}

static int
setup(void **state)
{
	int pair[2], small = 1;

	(void)state;
	base = event_base_new();
	assert_non_null(base);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	/* Room for a few answers only. */
	assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small,
	    sizeof(small)), 0);
	queue = pair[0];
	assert_int_equal(fcntl(queue, F_SETFL, O_NONBLOCK), 0);
	resolver_channel(base, NULL, pair[1]);
	asked_count = cancelled_count = is_instant = 0;
	return 0;
}

static void
turn(void)
{
	assert_int_not_equal(event_base_loop(base, EVLOOP_NONBLOCK), -1);
}

static int
teardown(void **state)
{
	(void)state;
	if (queue != -1)
		close(queue);
	turn();
	event_base_free(base);
	return 0;
}

static void
ask(uint32_t id)
{
	struct message m;

	message_begin(&m, REQ_LOOKUP);
	put_u32(&m, id);
	put_u32(&m, DNS_MX);
	put_str(&m, "example.org");
	assert_int_equal(message_send(queue, &m), 0);
	turn();
}

/* Its id, or 0: there is none now. */
static uint32_t
answer(void)
{
	struct message m;
	uint32_t id;

	if (message_recv(queue, &m, 0) != 1)
		return 0;
	assert_int_equal(m.type, REPLY_LOOKUP);
	id = get_u32(&m);
	assert_int_equal(get_u32(&m), DNS_TEMPFAIL);
	return id;
}

static void
fail_all(void)
{
	char none[1];
	int i;

	for (i = 0; i < asked_count; i++)
		asked[i].answered(asked[i].arg, 2, none, 0, 0, NULL, 0);
	asked_count = 0;
}

/* All that was asked, once each; more than the socket has room for. */
static void
hear_all(uint32_t first)
{
	uint32_t id, next = first;
	size_t at_once = 0;

	while ((id = answer()) != 0) {
		assert_int_equal(id, next++);
		at_once++;
	}
	assert_true(at_once > 0 && at_once < DNS_ASKED_MAX);
	while (next < first + DNS_ASKED_MAX) {
		turn();
		id = answer();
		assert_int_equal(id, next++);
	}
	turn();
	assert_int_equal(answer(), 0);
	assert_int_equal(errno, EAGAIN);
}

static void
test_busy_queue(void **state)
{
	uint32_t id;

	(void)state;
	for (id = 1; id <= DNS_ASKED_MAX; id++)
		ask(id);
	fail_all();
	hear_all(1);
	/* And it goes on. */
	ask(1000);
	fail_all();
	assert_int_equal(answer(), 1000);
}

/* The same, where the answer was known and given at once. */
static void
test_busy_queue_instant(void **state)
{
	uint32_t id;

	(void)state;
	is_instant = 1;
	for (id = 1; id <= DNS_ASKED_MAX; id++)
		ask(id);
	hear_all(1);
}

/* Names that nobody answers for have a few seconds each when there are many. */
static void
test_crowd(void **state)
{
	struct timeval tv;
	uint32_t id;

	(void)state;
	for (id = 1; id <= DNS_CROWD + 5; id++)
		ask(id);
	tv.tv_sec = DNS_CROWD_MS / 1000 + 1;
	tv.tv_usec = 0;
	assert_int_equal(event_base_loopexit(base, &tv), 0);
	assert_int_not_equal(event_base_dispatch(base), -1);
	for (id = DNS_CROWD + 1; id <= DNS_CROWD + 5; id++)
		assert_int_equal(answer(), id);
	assert_int_equal(answer(), 0);
	assert_int_equal(cancelled_count, 5);
}

/* What was not taken goes with the queue. */
static void
test_queue_ends(void **state)
{
	uint32_t id;

	(void)state;
	for (id = 1; id < DNS_ASKED_MAX; id++)
		ask(id);
	fail_all();
	ask(id);
	close(queue);
	queue = -1;
	turn();
	assert_int_equal(cancelled_count, 1);
	assert_int_equal(event_base_get_num_events(base,
	    EVENT_BASE_COUNT_ADDED), 0);
}

/* Nobody asks for more than it may. */
static void
test_too_many(void **state)
{
	struct message m;
	uint32_t id;

	(void)state;
	for (id = 1; id <= DNS_ASKED_MAX; id++)
		ask(id);
	ask(id);
	assert_int_equal(message_recv(queue, &m, 0), 0);
	assert_int_equal(cancelled_count, DNS_ASKED_MAX);
}

int
main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	static const struct CMUnitTest tests[] = {
		EACH(test_busy_queue), EACH(test_busy_queue_instant),
		EACH(test_crowd), EACH(test_queue_ends),
		EACH(test_too_many),
	};

	return cmocka_run_group_tests_name("test_resolver_channel", tests,
	    NULL, NULL);
}
