/* LINK: smtpd/resolver_name smtpd/dns_reverse smtpd/dns_reply privsep/message privsep/log */
/* LIBS: -levent_core */
/*
 * Clients' names in the resolver, with a libunbound that this test plays: each
 * look-up tells once or hangs up, and there are never more questions than may
 * be, whoever has gone away.
 */
#include <sys/socket.h>

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
#include "smtpd/resolver_name.h"

static struct event_base *base;
static char library[1];			/* a libunbound */
static struct {
	void			*arg;
	ub_event_callback_type	 answered;
	int			 type;
	char			 name[HOSTNAME_MAX];
} asked[DNS_NAMES_MAX + 1];
static size_t asked_count;
static int is_instant, fails;
static struct dns_answer answer;

/* A right answer to any question: 192.0.2.7 is a.example, and the reverse. */
const struct dns_answer *
resolver_answer(enum dns_type type, const char *name, int rcode,
    const void *packet, int len, int security)
{
	(void)packet;
	(void)len;
	(void)security;
	memset(&answer, 0, sizeof(answer));
	answer.type = type;
	answer.status = rcode == 0 ? DNS_OK : DNS_TEMPFAIL;
	answer.count = rcode == 0;
	if (type == DNS_PTR) {
		assert_string_equal(name, "7.2.0.192.in-addr.arpa");
		strlcpy(answer.records[0].host, "a.example", HOSTNAME_MAX);
	} else {
		assert_int_equal(type, DNS_A);
		assert_string_equal(name, "a.example");
		memcpy(answer.records[0].address, "\300\000\002\007", 4);
	}
	return &answer;
}

int
ub_resolve_event(struct ub_ctx *ctx, const char *name, int type, int class,
    void *arg, ub_event_callback_type answered, int *id)
{
	static int is_inside;
	char none[1];

	assert_ptr_equal(ctx, library);
	assert_int_equal(class, 1);
	/* It need not bear another question inside its callback. */
	assert_false(is_inside);
	*id = 1;
	if (fails)
		return -1;
	if (is_instant) {
		is_inside = 1;
		answered(arg, 0, none, 1, 0, NULL, 0);
		is_inside = 0;
		return 0;
	}
	assert_in_range(asked_count, 0, DNS_NAMES_MAX - 1);
	asked[asked_count].arg = arg;
	asked[asked_count].answered = answered;
	asked[asked_count].type = type;
	strlcpy(asked[asked_count++].name, name, HOSTNAME_MAX);
	return 0;
}

static void
turn(void)
{
	int i;

	for (i = 0; i < 8; i++)
		assert_int_not_equal(event_base_loop(base, EVLOOP_NONBLOCK),
		    -1);
}

/* libunbound is done with all that it was asked. */
static void
answer_all(int rcode)
{
	char none[1];
	size_t n = asked_count;

	asked_count = 0;
	while (n-- > 0)
		asked[n].answered(asked[n].arg, rcode, none, 1, 0, NULL, 0);
	turn();
}

static int
setup(void **state)
{
	(void)state;
	base = event_base_new();
	assert_non_null(base);
	asked_count = 0;
	is_instant = fails = 0;
	return 0;
}

/* Nothing is left of any look-up. */
static int
teardown(void **state)
{
	(void)state;
	turn();
	answer_all(2);
	assert_int_equal(event_base_get_num_events(base,
	    EVENT_BASE_COUNT_ADDED), 0);
	event_base_free(base);
	return 0;
}

/* The agent's end of one that begins. */
static int
look_up_of(struct ub_ctx *ctx, const char *address)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	resolver_name(base, ctx, address, pair[1]);
	return pair[0];
}

static int
look_up(void)
{
	return look_up_of((struct ub_ctx *)(void *)library, "192.0.2.7");
}

/* It has been told this, or nothing (NULL), and that is all. */
static void
heard(int sock, const char *name)
{
	struct message m;
	char told[HOSTNAME_MAX];
	int n = message_wait(sock, &m, 0, 0);

	assert_int_equal(n, name != NULL);
	if (n == 1) {
		assert_int_equal(m.type, REPLY_NAME);
		get_str(&m, told, sizeof(told));
		assert_int_equal(get_end(&m), 0);
		assert_string_equal(told, name);
		assert_int_equal(message_wait(sock, &m, 0, 0), 0);
	}
	close(sock);
}

static void
test_found(void **state)
{
	int sock = look_up();

	(void)state;
	assert_int_equal(asked_count, 1);
	answer_all(0);
	assert_int_equal(asked_count, 1);
	assert_string_equal(asked[0].name, "a.example");
	answer_all(0);
	heard(sock, "a.example");
	assert_int_equal(asked_count, 0);
}

static void
test_instant(void **state)
{
	int sock;

	(void)state;
	is_instant = 1;
	sock = look_up();
	turn();
	heard(sock, "a.example");
}

static void
test_not_found(void **state)
{
	int sock = look_up();

	(void)state;
	answer_all(2);
	heard(sock, "");
	fails = 1;
	heard(look_up(), "");
}

/* No libunbound for it; no address. */
static void
test_nothing_to_ask(void **state)
{
	(void)state;
	heard(look_up_of(NULL, "192.0.2.7"), NULL);
	heard(look_up_of((struct ub_ctx *)(void *)library, "unknown"), NULL);
	assert_int_equal(asked_count, 0);
}

/* The session is over, or its agent asks, which it must not. */
static void
test_hangs_up(void **state)
{
	int sock = look_up();

	(void)state;
	close(sock);
	turn();
	answer_all(0);
	/* No second question. */
	assert_int_equal(asked_count, 0);
	sock = look_up();
	assert_int_equal(send(sock, "what?", 5, 0), 5);
	turn();
	answer_all(0);
	assert_int_equal(asked_count, 0);
	close(sock);
}

static void
test_time_is_up(void **state)
{
	struct timeval tv = { .tv_sec = DNS_NAME_MS / 1000 };
	int sock = look_up();

	(void)state;
	tv.tv_sec++;
	assert_int_equal(event_base_loopexit(base, &tv), 0);
	assert_int_not_equal(event_base_dispatch(base), -1);
	heard(sock, NULL);
	answer_all(0);
	assert_int_equal(asked_count, 0);
}

/*
 * Questions count until libunbound has answered, though nobody waits: those who
 * connect and go can have it busy with so many and no more.
 */
static void
test_too_many(void **state)
{
	int socks[DNS_NAMES_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < DNS_NAMES_MAX; i++)
		socks[i] = look_up();
	heard(look_up(), NULL);
	for (i = 0; i < DNS_NAMES_MAX; i++)
		close(socks[i]);
	turn();
	assert_int_equal(asked_count, DNS_NAMES_MAX);
	heard(look_up(), NULL);
	answer_all(2);
	assert_int_equal(asked_count, 0);
	is_instant = 1;
	socks[0] = look_up();
	turn();
	heard(socks[0], "a.example");
}

int
main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	static const struct CMUnitTest tests[] = {
		EACH(test_found), EACH(test_instant), EACH(test_not_found),
		EACH(test_nothing_to_ask), EACH(test_hangs_up),
		EACH(test_time_is_up), EACH(test_too_many),
	};

	return cmocka_run_group_tests_name("test_resolver_name", tests, NULL,
	    NULL);
}
