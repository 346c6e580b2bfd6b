/* LINK: wire/utf8 */
/*
 * test_utf8: the borders of RFC 3629's syntax, and every character by another
 * way of writing it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/utf8.h"

static void
test_good(void **state)
{
	static const char *const good[] = {
		"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80",
		"\xec\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
		"\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "gr\xc3\xbc\xc3\x9f" "e"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(utf8_is_valid(good[i], strlen(good[i])));
	assert_true(utf8_is_valid("a\0b", 3));
}

static void
test_bad(void **state)
{
	static const char *const bad[] = {
		"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x7f",
		"\xc2\xc0", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xe1\x80",
		"\xe1\x80\x7f", "\xed\xa0\x80", "\xed\xbf\xbf", "\xef\xbf",
		"\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80",
		"\xf1\x80\x80\xc0", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
		"\xfe", "\xff", "gr\xfc\xdf" "e", "a\xc3"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(utf8_is_valid(bad[i], strlen(bad[i])));
}

/* Each code point in as many octets as there are bits for. */
static size_t
encode(uint32_t c, size_t len, char *out)
{
	static const uint8_t first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	size_t i;

	for (i = len - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(first[len] | c);
	return len;
}

static void
test_every_character(void **state)
{
	char text[4];
	size_t len, shortest;
	uint32_t c;

	(void)state;
	for (c = 0x80; c < 0x200000; c++) {
		shortest = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		for (len = 2; len <= 4; len++) {
			if (len < shortest)
				continue;
			assert_int_equal(utf8_is_valid(text,
			    encode(c, len, text)), len == shortest &&
			    c <= 0x10ffff && (c < 0xd800 || c > 0xdfff));
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_every_character)
	};

	return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
