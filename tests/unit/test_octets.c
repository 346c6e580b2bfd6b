/* LINK: wire/octets */
/*
 * test_octets: the count of stored content on the wire.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/octets.h"

static uint64_t
count_split(const char *s, size_t len, size_t split)
{
	struct octets o;

	octets_init(&o);
	octets_count(&o, s, split);
	octets_count(&o, s + split, len - split);
	return octets_total(&o);
}

static void
test_rule(void **state)
{
	static const struct {
		const char	*content;
		uint64_t	 octets;
	} cases[] = {
		{ "", 0 }, { "\n", 2 }, { "\r\n", 2 }, { "\n\n", 4 },
		{ "\r\n\n", 4 }, { "\na", 5 }, { "\na\n", 5 },
		{ "\r\na\r\n", 5 }, { "\na\r", 6 }, { "\n\r\r\n", 5 },
		{ "a\n\nb", 8 }, { "a\r\n\r\nb\nc\rd", 13 },
		/* without the end of a header */
		{ "\r", 5 }, { "a", 5 }, { "a\n", 5 }, { "a\r\n", 5 },
		{ "a\r", 6 }, { "a\nb", 8 }, { "\r\r\n", 5 },
		{ "\rb\n", 6 }, { "a\rb\n", 7 }, { ".\n", 5 },
		{ "a\r\nb\nc\rd", 13 }, { "a\n\r\r\n", 8 }
	};
	size_t i, len, split;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		len = strlen(cases[i].content);
		for (split = 0; split <= len; split++)
			assert_int_equal(count_split(cases[i].content, len,
			    split), cases[i].octets);
	}
}

static void
test_total_changes_nothing(void **state)
{
	struct octets o;

	(void)state;
	octets_init(&o);
	octets_count(&o, "ab", 2);
	assert_int_equal(octets_total(&o), 6);
	assert_int_equal(octets_total(&o), 6);
	octets_count(&o, "\n", 1);
	assert_int_equal(octets_total(&o), 6);
	octets_count(&o, "\n", 1);
	assert_int_equal(octets_total(&o), 6);
}

/* Long pieces, in which many octets are looked at in one step. */
static void
test_long(void **state)
{
	static uint8_t in[70000];
	static const uint8_t rare[] = { '\n', '\r', '\n', 'a' };
	struct octets o;
	uint64_t bare;
	size_t round, i, at, n;

	(void)state;
	srandom(5322);
	for (round = 0; round < 60; round++) {
		bare = 0;
		for (i = 0; i < sizeof(in); i++) {
			in[i] = random() % 60 <= (long)round ?
			    rare[random() % 4] : 'x';
			bare += in[i] == '\n' && (i == 0 || in[i - 1] != '\r');
		}
		octets_init(&o);
		for (at = 0; at < sizeof(in); at += n) {
			n = (size_t)random() % (round % 2 ? 50 : 60000) + 1;
			if (n > sizeof(in) - at)
				n = sizeof(in) - at;
			octets_count(&o, in + at, n);
		}
		assert_int_equal(o.count, sizeof(in) + bare);
		assert_int_equal(o.last, in[sizeof(in) - 1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rule),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_total_changes_nothing)
	};

	return cmocka_run_group_tests_name("octets", tests, NULL, NULL);
}
