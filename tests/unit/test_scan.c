/* LINK: wire/octets */
/*
 * test_scan: looking through text, against an octet after the other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/scan.h"

#define LEN_MAX	200

/* What of these is where is a matter of chance, but none is rare. */
static void
fill(uint8_t *p, size_t len, unsigned int rarely)
{
	static const uint8_t octets[] = { '\n', '\r', '>', 'x' };
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = random() % rarely == 0 ? octets[random() % 4] : 'x';
}

static void
test_pair(void **state)
{
	uint8_t *p;
	const uint8_t *found;
	size_t len, i, round;

	(void)state;
	srandom(3);
	for (round = 0; round < 20000; round++) {
		len = (size_t)random() % LEN_MAX;
		p = malloc(len);
		fill(p, len, 1 + (unsigned int)random() % 20);
		found = scan_pair(p, p + len, '\n', '>');
		for (i = 0; i + 1 < len; i++)
			if (p[i] == '\n' && p[i + 1] == '>')
				break;
		assert_true(found == (i + 1 < len ? p + i : NULL));
		free(p);
	}
}

static void
test_count_bare(void **state)
{
	size_t len, i, round, want;
	uint8_t *p;

	(void)state;
	srandom(4);
	for (round = 0; round < 20000; round++) {
		len = (size_t)random() % (round % 100 == 0 ? 9000 : LEN_MAX);
		p = malloc(len + 1);
		fill(p, len + 1, 1 + (unsigned int)random() % 5);
		for (i = 1, want = 0; i <= len; i++)
			want += p[i] == '\n' && p[i - 1] != '\r';
		assert_int_equal(scan_count_bare(p + 1, p + len + 1, '\r',
		    '\n'), want);
		free(p);
	}
}

/* From one hit to the next; more than a sum of lanes has room for, too. */
static void
test_lines(void **state)
{
	size_t len, i, round, bare, want;
	const uint8_t *found, *at;
	uint8_t *p;

	(void)state;
	srandom(5);
	for (round = 0; round < 20000; round++) {
		len = (size_t)random() % (round % 100 == 0 ? 9000 : LEN_MAX);
		p = malloc(len + 1);
		fill(p, len + 1, 1 + (unsigned int)random() % 30);
		if (round % 300 == 0)
			memset(p, '\n', len + 1);
		at = p + 1;
		bare = want = 0;
		for (i = 1; i <= len; i++) {
			if (p[i - 1] == '\n' && (p[i] == 'x' || p[i] == '>')) {
				found = scan_lines(at, p + len + 1, '>', 'x',
				    &bare);
				assert_true(found == p + i);
				assert_int_equal(bare, want);
				at = found + 1;
			}
			want += p[i] == '\n' && p[i - 1] != '\r';
		}
		assert_null(scan_lines(at, p + len + 1, 'x', '>', &bare));
		assert_int_equal(bare, want);
		free(p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pair),
		cmocka_unit_test(test_count_bare),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests_name("test_scan", tests, NULL, NULL);
}
