/* LINK: client/recipients client/letter client/options smtpd/address wire/utf8 */
/*
 * sendmail's readers: address lists, headers, command lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/letter.h"
#include "client/options.h"

static struct recipients list;
static char where[RECIPIENTS_WHERE_MAX];

/* All names, with a blank behind each; or "!" and where it stopped. */
static const char *
names(enum recipients_status status)
{
	static char text[4096];
	size_t i;

	text[0] = '\0';
	if (status == RECIPIENTS_SYNTAX) {
		strlcat(text, "!", sizeof(text));
		strlcat(text, where, sizeof(text));
	}
	for (i = 0; status == RECIPIENTS_OK && i < list.count; i++) {
		strlcat(text, list.names[i], sizeof(text));
		strlcat(text, " ", sizeof(text));
	}
	recipients_free(&list);
	return text;
}

static void
lists(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" }, { " ,, ,", "" }, { "(nobody (at all))", "" },
		{ "root", "root " }, { "a@b.c, a@b.c", "a@b.c " },
		{ "a, b@c.d ,e", "a b@c.d e " },
		{ "John Q. Doe <j@d.e>", "j@d.e " },
		{ "\"Doe, John\" <j@d.e>, x", "j@d.e x " },
		{ "(c) a (d\\)) @ b.c (e)", "a@b.c " },
		{ "a . b @ c . d", "a.b@c.d " },
		{ "<@x.y,@z.w:a@b.c>", "a@b.c " },
		{ "friends: a, B <b@c.d>; , e", "a b@c.d e " },
		{ "undisclosed-recipients:;", "" },
		{ "\"a b\"@c.d", "\"a b\"@c.d " },
		{ "a@[192.0.2.1],\n\tb", "a@[192.0.2.1] b " },
		{ "J\xc3\xbcrgen <j\xc3\xbc@d.e>", "j\xc3\xbc@d.e " },
		{ "two words", "!two words" }, { "x, a b", "!a b" },
		{ "<a@b.c", "!<a@b.c" }, { "a@b.c>", "!a@b.c>" },
		{ "<>", "!<>" }, { "<a> b", "!<a> b" },
		{ "<a> <b>", "!<a> <b>" }, { "a;", "!a;" },
		{ "\"a", "!\"a" }, { "(a", "!(a" }, { "[1", "![1" },
		{ "a@b@c", "!a@b@c" }, { "a@", "!a@" },
		{ "g: h: a;", "!h: a;" }, { "a\x01", "!a\x01" },
		{ "\\", "!\\" }, { "\"\\", "!\"\\" }
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(names(recipients_add(&list, cases[i][0],
		    strlen(cases[i][0]), where)), cases[i][1]);
}

static void
too_many(void **state)
{
	char name[16];
	int i;

	(void)state;
	for (i = 0; i < RECIPIENTS_LIMIT; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		assert_int_equal(recipients_add(&list, name, strlen(name),
		    where), RECIPIENTS_OK);
	}
	assert_int_equal(recipients_add(&list, "u0", 2, where),
	    RECIPIENTS_OK);
	assert_int_equal(recipients_add(&list, "v", 1, where),
	    RECIPIENTS_TOO_MANY);
	recipients_free(&list);
}

static const char *
in_header(const char *text)
{
	return names(letter_recipients(text, strlen(text), &list, where));
}

static void
headers(void **state)
{
	(void)state;
	assert_string_equal(in_header("to : a,\n b\nX-To: x\nBCC:c\ncc:d\n"),
	    "a b c d ");
	assert_string_equal(in_header("From: x\n\nTo: a\n"), "");
	assert_string_equal(in_header("no field\nTo: a\n"), "");
	assert_string_equal(in_header("To: z\nResent-To: a\nResent-Bcc: b\n"
	    "Resent-To: y\n"), "a b ");
	assert_string_equal(in_header("Resent-From: q\nTo: a\n"), "a ");
}

static int
parse(struct options *o, const char *first, const char *second)
{
	static char name[] = "/usr/sbin/sendmail", a[64], b[64];
	char *argv[] = { name, a, second != NULL ? b : NULL, NULL };
	const char *what;
	int which;

	strlcpy(a, first, sizeof(a));
	if (second != NULL)
		strlcpy(b, second, sizeof(b));
	optind = 0;
	return options_parse(o, second != NULL ? 3 : 2, argv, &what, &which);
}

static void
command_lines(void **state)
{
	static const char *const bad[] = {
		"-bd", "-bmx", "-b", "-Nfoo", "-N", "-Nsuccess,", "-Nnever,delay",
		"-Nsuccess,success", "-Rx", "-V\x01", "-Z", "-f"
	};
	struct options o;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(&o, bad[i], NULL), -1);
	assert_int_equal(parse(&o, "-oi", "-t"), 0);
	assert_true(o.ignore_dot && o.from_header);
	assert_string_equal(o.program, "sendmail");
	assert_int_equal(parse(&o, "-oem", "x"), 0);
	assert_true(!o.ignore_dot && o.mode == MODE_SEND);
	assert_int_equal(parse(&o, "-Ndelay,success", "-Va b+c"), 0);
	assert_string_equal(o.notify, "DELAY,SUCCESS");
	assert_string_equal(o.envid, "a+20b+2Bc");
	/* The first address ends the options. */
	assert_int_equal(parse(&o, "a", "-t"), 0);
	assert_true(!o.from_header);
	assert_string_equal(o.recipients[1], "-t");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(too_many),
		cmocka_unit_test(headers),
		cmocka_unit_test(command_lines),
	};

	return cmocka_run_group_tests_name("recipients", tests, NULL, NULL);
}
