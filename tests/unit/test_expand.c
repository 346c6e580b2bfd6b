/* LINK: smtpd/aliases smtpd/idna smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/expand smtpd/groups smtpd/aliases_include smtpd/account smtpd/address smtpd/xtext smtpd/spool_read smtpd/spool smtpd/envelope privsep/config privsep/log privsep/message wire/utf8 */
/*
 * What a recipient comes to by the aliases, in the end: accounts and addresses,
 * whose list it is, and what leads nowhere or too far.
 */
#include "aliases_home.h"

static void
expansions(void **state)
{
	(void)state;
	parse("root: admin\nadmin: alice\npostmaster2: root\n"
	    "team: alice, bob, Alice2, alice\nboth: team, carol\n"
	    "me: me, bob\nkeep: \\keep, bob\n");
	assert_one("dave", "dave", "dave");
	/* As policy found it, whatever the case in which it was written. */
	assert_one("DAVE", "dave", "dave");
	/* An alias when it was accepted, and none any more. */
	assert_one("gone", "", "gone");
	assert_one("root", "", "alice");
	assert_one("Postmaster", "", "alice");
	assert_one("postmaster2", "", "alice");
	run("both", "");
	assert_int_equal(x.count, 4);
	assert_int_equal(x.trouble, 0);
	parse("nobody: /dev/null\nsome: nobody, alice\n");
	assert_string_equal(targets("nobody"), "-/dev/null");
	run("nobody", "");
	assert_int_equal(x.count, 0);
	assert_int_equal(x.trouble, 0);
	assert_int_equal(x.is_thrown_away, 1);
	assert_one("some", "", "alice");
	assert_one("alice", "alice", "alice");
	assert_int_equal(x.is_thrown_away, 0);
	parse("root: admin\nadmin: alice\npostmaster2: root\n"
	    "me: me, bob\nkeep: \\keep, bob\n");
	/* A detail is the account's, or the alias's. */
	assert_one("dave+x", "dave", "dave");
	assert_one("postmaster2+x", "", "alice");
	assert_one("+x", "", "+x");
	run("me", "me");
	assert_int_equal(x.count, 2);
	assert_string_equal(x.targets[0].text, "me");
	run("keep", "keep");
	assert_int_equal(x.count, 2);
	assert_string_equal(x.targets[0].text, "keep");
	/* So is one that stands in an alias. */
	parse("team: bob+lists, \\bob+x, bob\nfar: bob+x@here.example\n"
	    "deep: team+y\n");
	assert_one("team", "", "bob");
	assert_one("far", "", "bob");
	assert_one("deep", "", "bob");
	config.recipient_delimiter = '-';
	parse("team: www-data\n");
	assert_one("team", "", "www-data");
	config.recipient_delimiter = '+';
}

/* The same address, by whatever way, once; never an account's look-alike. */
static void
elsewhere(void **state)
{
	(void)state;
	parse("far: a@else.example, a@ELSE.example, bob, A@else.example\n"
	    "two: far, c@else.example, far\n");
	run("two", "");
	assert_int_equal(x.trouble, 0);
	assert_int_equal(x.count, 4);
	assert_string_equal(x.targets[0].text, "c@else.example");
	assert_int_equal(x.targets[0].kind, TARGET_REMOTE);
	assert_string_equal(x.targets[1].text, "a@else.example");
	assert_string_equal(x.targets[2].text, "bob");
	assert_int_equal(x.targets[2].kind, TARGET_ACCOUNT);
	assert_string_equal(x.targets[3].text, "A@else.example");
}

/* Whose list it is: that of the nearest alias that has an owner. */
static void
owners(void **state)
{
	size_t i;

	(void)state;
	parse("team: alice, inner, other, dave\nowner-team: bob\n"
	    "Inner: carol@else.example, alice\nowner-INNER: owner-team\n"
	    "other: erin\nboth: dave, team\nowner-owner-team: bob\n");
	run("Team+x", "");
	assert_int_equal(x.count, 4);
	for (i = 0; i < x.count; i++)
		assert_string_equal(x.targets[i].list,
		    x.targets[i].kind == TARGET_REMOTE ? "inner" : "team");
	run("both", "");
	assert_int_equal(x.count, 4);
	assert_string_equal(x.targets[0].text, "dave");
	assert_null(x.targets[0].list);
	run("owner-team", "");
	assert_int_equal(x.count, 1);
	assert_null(x.targets[0].list);
}

static void
troubles(void **state)
{
	char text[4096];
	size_t i, len = 0;

	(void)state;
	parse("");
	assert_waits("root", "");
	assert_non_null(strstr(x.text, "root: ACCOUNT"));
	assert_waits("postmaster", "");
	parse("a: b\nb: c\nc: a\nbad: |cmd\nmix: alice, bad\nsys: root\n");
	assert_waits("a", "");
	assert_waits("bad", "");
	assert_waits("sys", "");
	/* Who can be reached is; the rest waits. */
	run("mix", "");
	assert_int_equal(x.count, 1);
	assert_string_equal(x.targets[0].text, "alice");
	assert_int_equal(x.trouble, OUTCOME_DEFERRED);
	/* Too deep, without a loop. */
	for (i = 0; i < 20; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "d%zu: d%zu\n", i, i + 1);
	parse(text);
	assert_waits("d0", "");
	assert_one("d15", "", "d20");
	/* A name that no account has, never asked of anybody. */
	parse("");
	run("a/../b", "");
	assert_int_equal(x.count, 0);
	assert_int_equal(x.trouble, OUTCOME_FAILED);
	assert_string_equal(x.status, "5.1.1");
}

/* Doubling at each step must not double the work for ever. */
static void
bomb(void **state)
{
	char text[4096];
	size_t i, len = 0;

	(void)state;
	for (i = 0; i < 10; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "e%zu: e%zu, e%zu, e%zu, e%zu\n", i, i + 1, i + 1, i + 1,
		    i + 1);
	parse(text);
	assert_waits("e0", "");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(expansions), TEST(elsewhere), TEST(owners),
		TEST(troubles), TEST(bomb),
	};

	return cmocka_run_group_tests_name("test_expand", tests, NULL, NULL);
}
