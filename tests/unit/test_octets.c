/* LINK: wire/octets */
/*
 * test_octets: the count of stored content on the wire.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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
		{ "", 0 }, { "\n", 2 }, { "\r\n", 2 }, { "\r", 3 },
		{ "a", 3 }, { "a\n", 3 }, { "a\r\n", 3 }, { "a\r", 4 },
		{ "a\nb", 6 }, { "\n\n", 4 }, { "\r\n\n", 4 },
		{ "\r\r\n", 3 }, { "a\rb\n", 5 }, { ".\n", 3 },
		{ "a\r\nb\nc\rd", 11 }
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
	assert_int_equal(octets_total(&o), 4);
	assert_int_equal(octets_total(&o), 4);
	octets_count(&o, "\n", 1);
	assert_int_equal(octets_total(&o), 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rule),
		cmocka_unit_test(test_total_changes_nothing)
	};

	return cmocka_run_group_tests_name("octets", tests, NULL, NULL);
}
