/* LINK: MAILBOX */
/*
 * test_mbox_age: the day of a "From " line, whatever form its date has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mailbox/mbox.h"

#define DAY	86400
#define NOV_15	1700006400	/* 00:00 UTC, 2023 */

static int
is_before(const char *line, time_t than)
{
	return mbox_is_before((const uint8_t *)line, strlen(line), than);
}

/* A day is over everywhere when the next one is in Greenwich. */
static void
test_forms(void **state)
{
	static const char *const lines[] = {
		"From bob@example.net Tue Nov 14 22:13:20 2023\n",
		"From bob@example.net Tue Nov 14 22:13:20 2023\r\n",
		"From bob@example.net Tue Nov 14 22:13 2023\n",
		"From bob@example.net  Tue Nov 14 22:13:20 CET 2023\n",
		"From bob@example.net Tue Nov 14 22:13:20 MET DST 2023\n",
		"From bob@example.net Tue Nov 14 22:13:20 2023 +0100\n",
		"From bob@example.net Tue, 14 Nov 2023 22:13:20 +0100\n",
		"From bob@example.net Tue, 14 Nov 2023 22:13:20\n",
		"From bob Tue Nov 14 22:13:20 2023 remote from there\n",
		"From Tue Nov 14 22:13:20 2023\n"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_true(mbox_is_from((const uint8_t *)lines[i],
		    strlen(lines[i])));
		assert_true(is_before(lines[i], NOV_15 + DAY));
		assert_false(is_before(lines[i], NOV_15 + DAY - 1));
	}
	assert_true(is_before("From x Thu Nov  2 22:13:20 2023\n", NOV_15));
	assert_true(is_before("From x Fri Jan  2 22:13:20 1970\n", NOV_15));
	assert_false(is_before("From x Fri Jan  2 22:13:20 9999\n", NOV_15));
}

/* What is no such line is of no age. */
static void
test_none(void **state)
{
	static const char *const lines[] = {
		"", "\n", "From\n", "From x\n", "From x 2023\n",
		"Subject: Tue Nov 14 22:13:20 2023\n",
		"From x Nov 14 22:13:20 2023\n",
		"From x Tue Nov 32 22:13:20 2023\n",
		"From x Tue Nov 14 22:13:20 23\n"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_false(is_before(lines[i], NOV_15 + 1000 * DAY));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_none)
	};

	return cmocka_run_group_tests_name("mbox_age", tests, NULL, NULL);
}
