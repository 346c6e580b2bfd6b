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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rule),
		cmocka_unit_test(test_total_changes_nothing)
	};

	return cmocka_run_group_tests_name("octets", tests, NULL, NULL);
}
