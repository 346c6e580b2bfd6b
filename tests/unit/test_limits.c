/* LINK: privsep/limits privsep/config privsep/config_route privsep/log privsep/message */
/*
 * What counts against whom: C12's "one counter" whatever way a source takes,
 * C16's sessions, and that all of it is forgotten again.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "privsep/log.h"
#include "privsep/master.h"

struct master master;

static struct config config;
static size_t freed;

void
free_later(void *p)
{
	free(p);
	freed++;
}

static struct source *
source(const char *text)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in in = { .sin_family = AF_INET };

	if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
		return limits_source((struct sockaddr *)(void *)&in,
		    FACTS_NO_UID);
	assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
	return limits_source((struct sockaddr *)(void *)&in6, FACTS_NO_UID);
}

static struct source *
user(uint32_t uid)
{
	static const struct sockaddr local = { .sa_family = AF_UNIX };

	return limits_source(&local, uid);
}

static void
assert_refused(const struct source *s, const char *why)
{
	const char *text = limits_refusal(s);

	if (why == NULL)
		assert_null(text);
	else {
		assert_non_null(text);
		assert_string_equal(text, why);
	}
}

static int
setup(void **state)
{
	int i;

	(void)state;
	memset(&config, 0, sizeof(config));
	config.max_sessions_per_source = 3;
	master.config = &config;
	/* Long enough for all to be forgotten, and the buckets seen to. */
	master.now += 100000;
	for (i = 0; i < 64; i++)
		limits_tick();
	return 0;
}

/* An IPv6 customer has a /64, and hosts of IPv4 one address each. */
static void
test_C12_one_source(void **state)
{
	(void)state;
	assert_ptr_equal(source("192.0.2.1"), source("192.0.2.1"));
	assert_ptr_not_equal(source("192.0.2.1"), source("192.0.2.2"));
	assert_ptr_equal(source("2001:db8::1"),
	    source("2001:db8::ffff:ffff:ffff:ffff"));
	assert_ptr_not_equal(source("2001:db8::1"),
	    source("2001:db8:0:1::1"));
	assert_ptr_equal(user(1000), user(1000));
	assert_ptr_not_equal(user(1000), user(1001));
	/* No number of a user is an address, or the other way round. */
	assert_ptr_not_equal(user(0), source("::"));
	assert_ptr_not_equal(user(0x010200c0), source("192.0.2.1"));
}

static void
test_C16_sessions(void **state)
{
	struct source *s;
	int i;

	(void)state;
	s = source("2001:db8::1");
	for (i = 0; i < 3; i++) {
		assert_refused(s, NULL);
		limits_begin(s);
	}
	assert_refused(source("2001:db8::2"), "source-limit");
	assert_refused(source("2001:db8:1::2"), NULL);
	limits_end(s);
	assert_refused(s, NULL);
	limits_end(s);
	limits_end(s);
}

/* A hundred failures, by whatever sessions; a point less each six seconds. */
static void
test_C12_failures(void **state)
{
	struct source *s;
	int i;

	(void)state;
	s = source("192.0.2.1");
	for (i = 0; i < 99; i++)
		limits_login_failed(s);
	assert_refused(s, NULL);
	limits_login_failed(source("192.0.2.1"));
	assert_refused(s, "source-limit");
	assert_refused(source("192.0.2.2"), NULL);
	master.now += 5;
	assert_refused(source("192.0.2.1"), "source-limit");
	master.now += 1;
	assert_refused(source("192.0.2.1"), NULL);
	/* There is an end to what adds up. */
	for (i = 0; i < 100000; i++)
		limits_login_failed(s);
	master.now += 101 * 6;
	assert_refused(source("192.0.2.1"), NULL);
}

static void
test_C12_crashes(void **state)
{
	struct source *s;
	int i;

	(void)state;
	s = source("192.0.2.1");
	for (i = 0; i < 4; i++)
		limits_crashed(s);
	assert_refused(s, NULL);
	limits_crashed(s);
	assert_refused(s, "source-limit");
}

static void
test_rate(void **state)
{
	struct source *s;
	int i;

	(void)state;
	config.rate_per_source = 5;
	s = source("192.0.2.1");
	for (i = 0; i < 5; i++) {
		assert_refused(s, NULL);
		limits_begin(s);
		limits_end(s);
	}
	assert_refused(s, "source-rate");
	master.now += 59;
	assert_refused(source("192.0.2.1"), "source-rate");
	master.now += 1;
	assert_refused(source("192.0.2.1"), NULL);
	limits_begin(s);
	limits_end(s);
	assert_refused(s, NULL);
}

/* Control clients, which are no sessions. */
static void
test_rate_of_what_is_no_session(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 7; i++)
		assert_true(limits_rate(user(1000), 7));
	assert_false(limits_rate(user(1000), 7));
	assert_true(limits_rate(user(1001), 7));
	master.now += 60;
	assert_true(limits_rate(user(1000), 7));
}

static void
test_exempt(void **state)
{
	int i;

	(void)state;
	config.limits_exempt[0] = (struct network){ AF_INET, { 127 }, 8 };
	config.limits_exempt_count = 1;
	assert_null(source("127.3.2.1"));
	assert_non_null(source("128.0.0.1"));
	for (i = 0; i < 1000; i++) {
		limits_begin(NULL);
		limits_login_failed(NULL);
		limits_crashed(NULL);
	}
	assert_refused(NULL, NULL);
	assert_true(limits_rate(NULL, 0));
}

/* Memory is bounded, and comes back: but not what still counts. */
static void
test_C15_forgotten(void **state)
{
	struct source *kept, *bad;
	size_t known = 0;
	char text[32];
	int i;

	(void)state;
	kept = source("192.0.2.1");
	limits_begin(kept);
	bad = source("192.0.2.2");
	for (i = 0; i < 150; i++)
		limits_login_failed(bad);
	for (i = 0; i < 70000; i++) {
		snprintf(text, sizeof(text), "10.%d.%d.1", i >> 8, i & 255);
		known += source(i < 65536 ? text : "2001:db8:ffff::1") != NULL;
	}
	/* Two others; and beyond the bound nobody is made. */
	assert_int_equal(known, 65536 - 2);
	freed = 0;
	for (i = 0; i < 16; i++)
		limits_tick();
	assert_int_equal(freed, 65536 - 2);
	assert_ptr_equal(source("192.0.2.1"), kept);
	assert_ptr_equal(source("192.0.2.2"), bad);
	assert_refused(bad, "source-limit");
	limits_end(kept);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_C12_one_source, setup),
		cmocka_unit_test_setup(test_C16_sessions, setup),
		cmocka_unit_test_setup(test_C12_failures, setup),
		cmocka_unit_test_setup(test_C12_crashes, setup),
		cmocka_unit_test_setup(test_rate, setup),
		cmocka_unit_test_setup(test_rate_of_what_is_no_session, setup),
		cmocka_unit_test_setup(test_exempt, setup),
		cmocka_unit_test_setup(test_C15_forgotten, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
