/*
 * aliases_home: an aliases file of a test's own words, parsed as the queue does
 * it, and what a name and a recipient come to; each program that uses it has
 * one source.
 */
#ifndef TESTS_ALIASES_HOME_H
#define TESTS_ALIASES_HOME_H

#include "names_home.h"

/* No test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

static struct aliases_file file;

static int
setup(void **state)
{
	(void)state;
	config_default_fixed(&config);
	strlcpy(config.domains[0], "here.example",
	    sizeof(config.domains[0]));
	config.domain_count = 1;
	memset(&file, 0, sizeof(file));
	file.dir = file.held = file.index_dir = file.index = -1;
	file.state = ALIASES_GOOD;
	file.config = &config;
	file.path = "";
	file.report = report;
	reports = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	aliases_close(&file);
	expand_free(&x);
	return 0;
}

static void
parse(const char *text)
{
	size_t len = strlen(text);
	/* Exactly so much memory: reading on is seen. */
	char *copy = malloc(len > 0 ? len : 1);

	memcpy(copy, text, len);
	aliases_free(&file.aliases);
	reports = 0;
	assert_int_equal(aliases_parse(&file.aliases, copy, len, "aliases",
	    &config, report), 0);
	free(copy);
}

/* The targets of an alias, each with a mark, joined by one space; NULL: no such alias. */
static const char *
targets(const char *name)
{
	static const char *const marks[] = {
		[TARGET_NAME] = "", [TARGET_ACCOUNT] = "\\",
		[TARGET_REMOTE] = "@", [TARGET_NOTHING] = "-",
		[TARGET_INCLUDE] = "<", [TARGET_GROUP] = "%",
		[TARGET_PROGRAM] = "!"
	};
	static char text[1024];
	const struct alias *a = aliases_find(&file.aliases, name);
	size_t i;

	if (a == NULL)
		return NULL;
	if (a->is_bad)
		return "BAD";
	text[0] = '\0';
	for (i = 0; i < a->count; i++) {
		if (i > 0)
			strlcat(text, " ", sizeof(text));
		strlcat(text, marks[aliases_target(&file.aliases, a,
		    i)->kind], sizeof(text));
		strlcat(text, aliases_target(&file.aliases, a, i)->text,
		    sizeof(text));
	}
	return text;
}

static void
run(const char *local, const char *account)
{
	const struct recipient r = {
		.local = local, .domain = "here.example", .account = account,
		.orcpt = ""
	};

	expand(&(struct expand_names){ .aliases = &file }, &r, &x);
}

static void
assert_one(const char *local, const char *account, const char *expected)
{
	run(local, account);
	assert_int_equal(x.count, 1);
	assert_int_equal(x.trouble, 0);
	assert_string_equal(x.targets[0].text, expected);
	assert_int_equal(x.targets[0].kind, TARGET_ACCOUNT);
}

static void
assert_waits(const char *local, const char *account)
{
	run(local, account);
	assert_int_equal(x.count, 0);
	assert_int_equal(x.trouble, OUTCOME_DEFERRED);
	assert_int_equal(x.status[0], '4');
	assert_true(x.text[0] != '\0');
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
