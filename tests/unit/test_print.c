/* LINK: client/print client/print_json wire/utf8 */
/*
 * test_print: what strangers and a queue in other hands chose, on a terminal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/print.h"

/* ESC; CSI as one octet and in UTF-8; DEL; what is as it should be. */
#define HOSTILE		"a\033[2J\302\233 2J\177\t\303\274"
#define NO_UTF8		"a\2332J"

static char *text;
static size_t text_size;

static FILE *
begin(void)
{
	FILE *out = open_memstream(&text, &text_size);

	assert_non_null(out);
	return out;
}

static void
assert_written(FILE *out, const char *wanted)
{
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, wanted);
	free(text);
}

static void
strings(void **state)
{
	FILE *out = begin();

	(void)state;
	print_text(out, HOSTILE);
	assert_written(out, "a?[2J? 2J??\303\274");
	out = begin();
	print_text(out, NO_UTF8);
	assert_written(out, "a?2J");
	out = begin();
	print_json_string(out, HOSTILE "\"\\");
	assert_written(out, "\"a\\u001b[2J\\u009b 2J\\u007f\\u0009\303\274"
	    "\\\"\\\\\"");
	out = begin();
	print_json_string(out, NO_UTF8);
	assert_written(out, "\"a\\ufffd2J\"");
}

static void
content(void **state)
{
	static const char letter[] = "Subject: \303\274\033]0;x\a\n\n"
	    "\tb\r\n\0c\233\n\302\233d";
	char line[3 * 4096];
	FILE *out = begin(), *in;

	(void)state;
	in = fmemopen((void *)(uintptr_t)letter, sizeof(letter) - 1, "r");
	assert_non_null(in);
	print_content(out, in);
	fclose(in);
	assert_written(out, "Subject: \303\274?]0;x?\n\n\tb?\n?c?\n?d");
	/* A line of any length. */
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\033';
	in = fmemopen(line, sizeof(line), "r");
	assert_non_null(in);
	out = begin();
	print_content(out, in);
	fclose(in);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(text_size, sizeof(line));
	assert_int_equal(text[sizeof(line) - 1], '?');
	free(text);
}

/* Of a queue that is not what it was, an id may be anything. */
static void
ids(void **state)
{
	static const struct printer *const printers[] = {
		&print_mailq, &print_show, &print_json
	};
	struct letter_record r;
	FILE *out;
	size_t i;

	(void)state;
	memset(&r, 0, sizeof(r));
	strlcpy(r.id, "\033[2J\"", sizeof(r.id));
	r.is_damaged = 1;
	for (i = 0; i < sizeof(printers) / sizeof(printers[0]); i++) {
		out = begin();
		printers[i]->letter(out, &r, 0);
		assert_int_equal(fclose(out), 0);
		assert_null(strchr(text, '\033'));
		free(text);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings),
		cmocka_unit_test(content),
		cmocka_unit_test(ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
