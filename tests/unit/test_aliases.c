/* LINK: smtpd/aliases smtpd/idna smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/expand smtpd/groups smtpd/aliases_include smtpd/account smtpd/address smtpd/xtext smtpd/spool_read smtpd/spool smtpd/envelope privsep/config privsep/log privsep/message wire/utf8 */
/*
 * Aliases: the file's grammar, and its mistakes.
 */
#include "smtpd/account.h"
#include "aliases_home.h"

static void
grammar(void **state)
{
	(void)state;
	parse("# comment: no\n"
	    "root: alice\n"
	    "  \t\n"
	    "Web.Master :Bob,carol@here.example ,\n"
	    "\tdave,\n"
	    "\n"
	    "\"quoted name\": erin\n"
	    "self: \\self, \"frank\"\n"
	    "crlf: gina\r\n"
	    "last: harry");
	assert_int_equal(reports, 0);
	assert_string_equal(targets("root"), "alice");
	assert_string_equal(targets("ROOT"), "alice");
	assert_string_equal(targets("web.master"), "Bob carol dave");
	assert_string_equal(targets("quoted name"), "erin");
	assert_string_equal(targets("self"), "\\self frank");
	assert_string_equal(targets("crlf"), "gina");
	assert_string_equal(targets("last"), "harry");
	assert_null(targets("comment"));
	assert_null(targets(""));
	assert_null(targets("roo"));
	parse("far: Some.One@Else.Example, \"\\\"a b\\\"@else.example\",\n"
	    "\t\"x\"@else.example\n"
	    "list: :include:/etc/list, bob, :Include: /etc/a b\n"
	    "esc: \"\\bob\", \\bob@here.example\n");
	assert_int_equal(reports, 0);
	assert_string_equal(targets("far"), "@Some.One@else.example "
	    "@\"a b\"@else.example @x@else.example");
	assert_string_equal(targets("list"), "</etc/list bob </etc/a b");
	assert_string_equal(targets("esc"), "\\bob \\bob");
	parse("all: :group:staff, :Group: www-data\nbad: :group:\n"
	    "odd: :group:a/b\nquoted: \":group:staff\"\n");
	assert_string_equal(targets("all"), "%staff %www-data");
	assert_string_equal(targets("bad"), "BAD");
	assert_string_equal(targets("odd"), "BAD");
	assert_string_equal(targets("quoted"), "BAD");
	assert_int_equal(reports, 3);
	parse("cmd: \"|/bin/cat, more\", bob\nfile: /var/mail/x, /a/b/\n"
	    "words: |/bin/cat -x , \"|/bin/cat \\\"a b\\\"\"\n");
	assert_string_equal(targets("cmd"), "!|/bin/cat, more bob");
	assert_string_equal(targets("file"), "!/var/mail/x !/a/b/");
	assert_string_equal(targets("words"),
	    "!|/bin/cat -x !|/bin/cat \"a b\"");
	parse("");
	assert_null(targets("root"));
	parse(":");
	parse("\\");
	parse("a:\\");
	assert_string_equal(targets("a"), "BAD");
	parse("a: \"");
	assert_string_equal(targets("a"), "BAD");
}

static void
mistakes(void **state)
{
	(void)state;
	parse("good: alice\n"
	    "cmd: \"|bin/cat, more\", bob\n"		/* 2 */
	    "file: //\n"
	    "incl: :include:list\n"
	    "far: someone@else..example\n"
	    "none:\n"
	    "what is this\n"				/* 7 */
	    "open: \"x\n"
	    "good: bob\n"				/* 9: twice */
	    "miss: alice\n bob\n"			/* 10: no comma */
	    "back: \\alice@else.example\n"
	    "colon: :exclude:/etc/list\n"
	    "also: carol\n");
	assert_int_equal(reports, 11);
	assert_int_equal(last_line, 9);
	assert_string_equal(targets("miss"), "BAD");
	assert_string_equal(targets("back"), "BAD");
	assert_string_equal(targets("colon"), "BAD");
	assert_string_equal(targets("good"), "alice");
	assert_string_equal(targets("also"), "carol");
	assert_string_equal(targets("cmd"), "BAD");
	assert_string_equal(targets("file"), "BAD");
	assert_string_equal(targets("incl"), "BAD");
	assert_string_equal(targets("far"), "BAD");
	assert_string_equal(targets("none"), "BAD");
	assert_string_equal(targets("open"), "BAD");
	assert_null(targets("what is this"));
}

/* In ASCII a domain is longer: what could not be read back is a mistake. */
static void
too_long(void **state)
{
	char text[400], local[240];
	size_t len;

	(void)state;
	memset(local, 'x', sizeof(local));
	for (len = 232; len <= 236; len++) {
		snprintf(text, sizeof(text), "a: %.*s@b\xc3\xbc" "cher.example\n",
		    (int)len, local);
		parse(text);
		assert_int_equal(reports, len + 1 + 21 > 254);
		assert_int_equal(strcmp(targets("a"), "BAD") == 0,
		    len + 1 + 21 > 254);
	}
}

/* Ten thousand: looked up by halves, so this is done in no time. */
static void
many(void **state)
{
	char *text = malloc(10000 * 32), name[32];
	size_t i, len = 0;

	(void)state;
	for (i = 0; i < 10000; i++)
		len += (size_t)sprintf(text + len, "n%zu: t%zu\n", i * 7919 %
		    10000, i);
	parse(text);
	free(text);
	assert_int_equal(file.aliases.count, 10000);
	for (i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "t%zu", i);
		text = name;
		snprintf(name, sizeof(name), "n%zu", i * 7919 % 10000);
		assert_non_null(targets(text));
	}
}

static void
account_names(void **state)
{
	static const char *const good[] = { "a", "alice", "a.b_c-d+e", "m$" };
	static const char *const bad[] = { "", ".", "..", "-a", "a/b", "a b",
	    "a\n", "a:b", "*", "a@b", "\x80", "%s", "a\\b",
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(is_account_name(good[i]));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(is_account_name(bad[i]));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(grammar), TEST(mistakes), TEST(too_long), TEST(many),
		TEST(account_names),
	};

	return cmocka_run_group_tests_name("test_aliases", tests, NULL, NULL);
}
