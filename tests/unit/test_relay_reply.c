/* LINK: smtpd/relay_reply smtpd/relay_extensions */
/*
 * test_relay_reply: replies of remote hosts, and what they offer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/relay_extensions.h"
#include "smtpd/relay_reply.h"

static struct reply reply;

/* All lines but the last must ask for more; the last one's step. */
static enum reply_step
take(const char *lines)
{
	enum reply_step step = REPLY_MORE;
	const char *rest, *end;
	size_t rest_len;

	reply_begin(&reply);
	while (*lines != '\0') {
		assert_int_equal(step, REPLY_MORE);
		end = strchr(lines, '\n');
		step = reply_take(&reply, lines, (size_t)(end - lines), &rest,
		    &rest_len);
		lines = end + 1;
	}
	return step;
}

static void
test_good(void **state)
{
	static const struct {
		const char	*lines, *status, *text;
		unsigned	 code;
	} good[] = {
		{ "250 2.1.5 ok\n", "2.1.5", "ok", 250 },
		{ "250 ok\n", "2.0.0", "ok", 250 },
		{ "250\n", "2.0.0", "", 250 },
		{ "250 \n", "2.0.0", "", 250 },
		{ "250-\n250\n", "2.0.0", "", 250 },
		{ "550 5.1.1\n", "5.1.1", "", 550 },
		{ "550-5.1.1 no\n550-5.1.1 such\n550 5.1.1 user\n", "5.1.1",
		    "no such user", 550 },
		{ "550-5.1.1 no\n550 5.7.1 user\n", "5.1.1",
		    "no 5.7.1 user", 550 },
		{ "250-  17 byte chunk\n250 2.0.0  ok\n", "2.0.0",
		    "17 byte chunk ok", 250 },
		{ "550-no\n550 5.1.1 user\n", "5.0.0", "no 5.1.1 user", 550 },
		/* of another class: a text like any other */
		{ "450 5.1.1 no\n", "4.0.0", "5.1.1 no", 450 },
		{ "550 5.1 no\n", "5.0.0", "5.1 no", 550 },
		{ "550 5.1.1000 no\n", "5.0.0", "5.1.1000 no", 550 },
		{ "550 5.1.1. no\n", "5.0.0", "5.1.1. no", 550 },
		{ "550 5..1 no\n", "5.0.0", "5..1 no", 550 },
		{ "550 5.999.999 no\n", "5.999.999", "no", 550 },
		{ "354 go\n", "3.0.0", "go", 354 },
		{ "299 odd\n", "2.0.0", "odd", 299 },
		{ "550 a\tb\x01\x7f\xc3\xa9\n", "5.0.0", "a b????", 550 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(take(good[i].lines), REPLY_WHOLE);
		assert_int_equal(reply.code, good[i].code);
		assert_string_equal(reply.status, good[i].status);
		assert_string_equal(reply.text, good[i].text);
	}
	assert_int_equal(take("250-ok\n"), REPLY_MORE);
}

static void
test_garbage(void **state)
{
	static const char *const bad[] = {
		"\n", "25\n", "2500 ok\n", "250_ok\n", "25x ok\n", " 250 ok\n",
		"150 wait\n", "600 what\n", "050 no\n", "HTTP/1.1 400 Bad\n",
		"250-ok\n251 ok\n", "250-ok\nok\n", "-250 ok\n",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(take(bad[i]), REPLY_GARBAGE);
}

/* C5: never more than its room, never an octet that ends a line. */
static void
test_C5_long(void **state)
{
	char line[1000];
	const char *rest;
	size_t i, len;

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "550-", 4);
	reply_begin(&reply);
	for (i = 0; i < REPLY_LINES_MAX; i++)
		assert_int_equal(reply_take(&reply, line, sizeof(line), &rest,
		    &len), REPLY_MORE);
	assert_int_equal(strlen(reply.text), RELAY_TEXT_MAX - 1);
	assert_int_equal(reply_take(&reply, line, sizeof(line), &rest, &len),
	    REPLY_ENDLESS);
	/* joined exactly at the end of the room */
	for (len = RELAY_TEXT_MAX - 3; len < RELAY_TEXT_MAX + 2; len++) {
		reply_begin(&reply);
		(void)reply_take(&reply, line, len + 4, &rest, &i);
		(void)reply_take(&reply, line, 8, &rest, &i);
		assert_in_range(strlen(reply.text), RELAY_TEXT_MAX - 3,
		    RELAY_TEXT_MAX - 1);
		assert_int_equal(strlen(reply.text), reply.text_len);
	}
}

static void
test_verdicts(void **state)
{
	(void)state;
	assert_int_equal(take("251 will forward\n"), REPLY_WHOLE);
	assert_int_equal(reply_verdict(&reply), DELIVERED);
	assert_true(reply_is_good(&reply));
	assert_int_equal(take("452 4.5.3 many\n"), REPLY_WHOLE);
	assert_int_equal(reply_verdict(&reply), DELIVERY_DEFERRED);
	assert_int_equal(take("554 no\n"), REPLY_WHOLE);
	assert_int_equal(reply_verdict(&reply), DELIVERY_FAILED);
	reply_soften(&reply);
	assert_int_equal(reply_verdict(&reply), DELIVERY_DEFERRED);
	assert_string_equal(reply.status, "4.0.0");
	assert_int_equal(take("354 go\n"), REPLY_WHOLE);
	assert_int_equal(reply_verdict(&reply), DELIVERY_DEFERRED);
	reply_make(&reply, "5.3.4", "%d octets\r\n", 7);
	assert_int_equal(reply_verdict(&reply), DELIVERY_FAILED);
	assert_int_equal(reply.code, 0);
	assert_false(reply_is_good(&reply));
	assert_string_equal(reply.text, "7 octets??");
}

static struct extensions extensions;

static uint32_t
offer(const char *line)
{
	extensions_forget(&extensions);
	extensions_take(&extensions, line, strlen(line));
	return extensions.has;
}

static void
test_extensions(void **state)
{
	(void)state;
	assert_int_equal(offer("PIPELINING"), RELAY_HAS_PIPELINING);
	assert_int_equal(offer("pipelining "), RELAY_HAS_PIPELINING);
	assert_int_equal(offer("PIPELINING what"), RELAY_HAS_PIPELINING);
	assert_int_equal(offer("8BITMIME"), RELAY_HAS_8BITMIME);
	assert_int_equal(offer("SMTPUTF8"), RELAY_HAS_SMTPUTF8);
	assert_int_equal(offer("CHUNKING"), RELAY_HAS_CHUNKING);
	assert_int_equal(offer("BINARYMIME"), 0);
	assert_int_equal(offer("DSN"), RELAY_HAS_DSN);
	assert_int_equal(offer("STARTTLS"), RELAY_HAS_STARTTLS);
	assert_int_equal(offer("ENHANCEDSTATUSCODES"), RELAY_HAS_STATUS);
	assert_int_equal(offer(""), 0);
	assert_int_equal(offer(" PIPELINING"), 0);
	assert_int_equal(offer("XPIPELINING"), 0);
	assert_int_equal(offer("PIPELININGX"), 0);
	assert_int_equal(offer("STARTTL"), 0);
	assert_int_equal(offer("XXXXXXXA"), 0);
}

static void
test_parameters(void **state)
{
	static const struct {
		const char	*line;
		uint64_t	 limit;
	} sizes[] = {
		{ "SIZE", 0 }, { "SIZE 0", 0 }, { "SIZE 52428800", 52428800 },
		{ "size\t1000", 1000 }, { "SIZE 10 20", 10 },
		{ "SIZE 18446744073709551615", UINT64_MAX },
		{ "SIZE 18446744073709551616", 0 }, { "SIZE -1", 0 },
		{ "SIZE 10M", 0 }, { "SIZE 0x10", 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(offer(sizes[i].line), RELAY_HAS_SIZE);
		assert_true(extensions.size_limit == sizes[i].limit);
	}
	assert_int_equal(offer("AUTH"), 0);
	assert_int_equal(offer("AUTH GSSAPI CRAM-MD5"), 0);
	assert_int_equal(offer("AUTH GSSAPI login"), RELAY_HAS_AUTH);
	assert_int_equal(extensions.mechanisms, RELAY_AUTH_LOGIN);
	assert_int_equal(offer("AUTH  PLAIN\tLOGIN "), RELAY_HAS_AUTH);
	assert_int_equal(extensions.mechanisms, RELAY_AUTH_LOGIN |
	    RELAY_AUTH_PLAIN);
	assert_int_equal(offer("AUTH PLAINX"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_C5_long),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_extensions),
		cmocka_unit_test(test_parameters),
	};

	return cmocka_run_group_tests_name("relay_reply", tests, NULL, NULL);
}
