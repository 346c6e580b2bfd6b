/* LINK: smtpd/aliases smtpd/idna smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/expand smtpd/groups smtpd/aliases_include smtpd/account smtpd/address smtpd/xtext smtpd/spool_read smtpd/spool smtpd/envelope privsep/config privsep/log privsep/message wire/utf8 */
/*
 * Aliases: the file's grammar, its mistakes, who may own it (C24), and what a
 * recipient comes to in the end.
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/config.h"
#include "privsep/config_table.h"
#include "smtpd/account.h"
#include "smtpd/expand.h"

static struct config config;
static struct aliases_file file;
static struct expansion x;
static size_t reports, last_line;

static void
report(const char *path, size_t line, const char *text)
{
	assert_non_null(path);
	assert_non_null(text);
	reports++;
	last_line = line;
}

static int
setup(void **state)
{
	(void)state;
	config_default_fixed(&config);
	strcpy(config.domains[0], "here.example");
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
assert_waits(const char *local, const char *account)
{
	run(local, account);
	assert_int_equal(x.count, 0);
	assert_int_equal(x.trouble, OUTCOME_DEFERRED);
	assert_int_equal(x.status[0], '4');
	assert_true(x.text[0] != '\0');
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

static void
put(const char *path, const char *text, mode_t mode)
{
	FILE *f;

	(void)unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

/* On disk: read again when changed, refused when others can write it. */
static void
on_disk(void **state)
{
	char dir[] = "/tmp/test_aliases.XXXXXX";

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	snprintf(config.aliases, sizeof(config.aliases), "%s/aliases", dir);
	aliases_open(&file, &config, report);
	aliases_refresh(&file);
	assert_int_equal(file.state, ALIASES_NONE);
	put(config.aliases, "root: alice\n", 0644);
	aliases_refresh(&file);
	assert_int_equal(file.state, ALIASES_GOOD);
	assert_string_equal(targets("root"), "alice");
	put(config.aliases, "root: bob, carol\n", 0644);
	aliases_refresh(&file);
	assert_string_equal(targets("root"), "bob carol");
	assert_int_equal(reports, 0);
	put(config.aliases, "root: mallory\n", 0664);
	aliases_refresh(&file);
	aliases_refresh(&file);
	assert_int_equal(file.state, ALIASES_REFUSED);
	assert_null(targets("root"));
	assert_int_equal(reports, 1);
	put(config.aliases, "root: mallory\n", 0644);
	assert_int_equal(chown(config.aliases, 12345, 0), 0);
	aliases_refresh(&file);
	assert_int_equal(file.state, ALIASES_REFUSED);
	/* Then mail that may need it waits, and accounts get theirs. */
	assert_waits("root", "");
	assert_waits("unknown", "");
	assert_one("alice", "alice", "alice");
	put(config.aliases, "root: alice\n", 0600);
	aliases_refresh(&file);
	assert_int_equal(file.state, ALIASES_GOOD);
	/* Held open, for a process that can't open it any more. */
	aliases_close(&file);
	aliases_open(&file, &config, report);
	aliases_hold(&file);
	assert_int_equal(unlink(config.aliases), 0);
	aliases_refresh(&file);
	aliases_refresh(&file);
	assert_int_equal(file.state, ALIASES_GOOD);
	assert_string_equal(targets("root"), "alice");
	assert_int_equal(rmdir(dir), 0);
}

/* A member's list, as its owner writes it; NULL: it must be refused. */
static void
include(const char *path, const char *expected)
{
	char got[256] = "";
	size_t i;

	reports = 0;
	run("list", "");
	for (i = 0; i < x.count; i++) {
		strlcat(got, x.targets[i].text, sizeof(got));
		strlcat(got, " ", sizeof(got));
	}
	assert_string_equal(got, expected != NULL ? expected : "");
	assert_int_equal(reports, expected == NULL);
	if (expected == NULL) {
		assert_int_equal(x.trouble, OUTCOME_DEFERRED);
		/* Not where it is, nor what it says. */
		assert_null(strstr(x.text, path));
		assert_null(strstr(x.text, "secret"));
	}
}

/* What a list may be, and what it can't be made to be (C7). */
static void
includes(void **state)
{
	char dir[] = "/tmp/test_aliases.XXXXXX", list[64], other[64];
	char text[512];
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	snprintf(config.aliases, sizeof(config.aliases), "%s/aliases", dir);
	snprintf(list, sizeof(list), "%s/list", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	snprintf(text, sizeof(text), "bob: carol\nlist: :include:%s\n"
	    "out: :include:/etc/passwd\nup: :include:%s/../passwd\n", list,
	    dir);
	put(config.aliases, text, 0644);
	aliases_open(&file, &config, report);
	aliases_refresh(&file);
	assert_int_equal(reports, 0);
	include(list, NULL);			/* not there */
	put(list, "# ours\nalice, bob\n\n  a@else.example\ndave,\n", 0644);
	include(list, "alice a@else.example dave carol ");
	assert_int_equal(chown(list, 12345, 12345), 0);
	include(list, "alice a@else.example dave carol ");
	put(list, "erin\n", 0644);		/* at once */
	include(list, "erin ");
	put(list, "", 0644);
	run("list", "");
	assert_int_equal(x.trouble, OUTCOME_DEFERRED);
	put(list, "alice\n|/bin/secret\n", 0644);
	include(list, NULL);
	put(list, "/secret\n", 0644);
	include(list, NULL);
	put(list, ":include:/secret\n", 0644);
	include(list, NULL);
	put(list, "root:x:0:0:secret\n", 0644);
	include(list, NULL);
	put(list, "alice\n", 0664);
	include(list, NULL);
	put(list, "alice\n", 0646);
	include(list, NULL);
	put(list, "alice\n", 0644);
	assert_int_equal(link(list, other), 0);
	include(list, NULL);
	assert_int_equal(unlink(list), 0);
	assert_int_equal(symlink("other", list), 0);
	include(list, NULL);
	assert_int_equal(unlink(list), 0);
	assert_int_equal(mkfifo(list, 0644), 0);
	include(list, NULL);
	assert_int_equal(unlink(list), 0);
	put(list, "alice\n", 0644);
	assert_int_equal(truncate(list, (off_t)1 << 30), 0);
	include(list, NULL);
	assert_int_equal(stat(list, &st), 0);
	assert_waits("out", "");
	assert_waits("up", "");
	assert_int_equal(unlink(list) | unlink(other), 0);
	assert_int_equal(unlink(config.aliases) | rmdir(dir), 0);
}

static const char *
look_up(const char *name)
{
	static char text[256];
	const struct aliases *in;
	const struct alias *a;
	size_t i;

	a = aliases_lookup(&file, name, &in);
	if (a == NULL)
		return NULL;
	text[0] = '\0';
	for (i = 0; i < a->count; i++) {
		strlcat(text, aliases_target(in, a, i)->text, sizeof(text));
		strlcat(text, " ", sizeof(text));
	}
	return a->is_bad ? "BAD" : text;
}

#define MANY	6000

static void
put_many(const char *target)
{
	FILE *f;
	int i;

	(void)unlink(config.aliases);
	f = fopen(config.aliases, "w");
	assert_non_null(f);
	fputs("# many\nTwo: alice,\n\tbob\nbad: |x\n", f);
	for (i = 0; i < MANY; i++)
		fprintf(f, "name%d: %s%d\n\n", i, target, i);
	fputs("two: carol\nlast: dave", f);
	fclose(f);
	assert_int_equal(chmod(config.aliases, 0644), 0);
}

/* A session's look-ups; whether there was an index for it. */
static int
session(int dir, const char *target)
{
	char name[32], want[32];
	int i, was_indexed;

	aliases_close(&file);
	aliases_open(&file, &config, aliases_ignore);
	aliases_hold(&file);
	aliases_index_open(&file, dir);
	aliases_refresh(&file);
	was_indexed = file.is_indexed;
	assert_int_equal(file.state, ALIASES_GOOD);
	assert_null(look_up("nobody"));
	assert_null(look_up(""));
	for (i = 0; i < MANY; i += 7) {
		snprintf(name, sizeof(name), i % 2 == 0 ? "name%d" :
		    "NAME%d", i);
		snprintf(want, sizeof(want), "%s%d ", target, i);
		assert_non_null(look_up(name));
		assert_string_equal(look_up(name), want);
	}
	assert_string_equal(look_up("two"), "alice bob ");
	assert_string_equal(look_up("last"), "dave ");
	assert_string_equal(look_up("Bad"), "BAD");
	/* None of all these has made it read the whole. */
	assert_int_equal(file.is_indexed, was_indexed);
	return was_indexed;
}

/* With an index or not, stale or damaged (C23): the same answers. */
static void
indexed(void **state)
{
	char dir[] = "/tmp/test_aliases.XXXXXX", path[64];
	uint8_t noise[512];
	struct stat st;
	int d, fd, i;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	snprintf(config.aliases, sizeof(config.aliases), "%s/aliases", dir);
	snprintf(path, sizeof(path), "%s/aliases.index", dir);
	d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put_many("t");
	assert_int_equal(session(d, "t"), 0);
	aliases_close(&file);
	aliases_open(&file, &config, aliases_ignore);
	file.index_dir = d;
	aliases_refresh(&file);
	assert_int_equal(session(d, "t"), 1);
	put_many("u");
	assert_int_equal(session(d, "u"), 0);
	aliases_close(&file);
	aliases_open(&file, &config, aliases_ignore);
	file.index_dir = d;
	aliases_refresh(&file);
	assert_int_equal(session(d, "u"), 1);
	assert_int_equal(stat(path, &st), 0);
	/* One octet of a page: whoever meets it reads all of the file. */
	for (i = 0; i < 40; i++) {
		fd = open(path, O_RDWR | O_CLOEXEC);
		assert_int_equal(pread(fd, noise, 1, st.st_size / 40 * i), 1);
		noise[0] ^= 0x10;
		assert_int_equal(pwrite(fd, noise, 1, st.st_size / 40 * i), 1);
		close(fd);
		aliases_close(&file);
		aliases_open(&file, &config, aliases_ignore);
		aliases_hold(&file);
		aliases_index_open(&file, d);
		aliases_refresh(&file);
		assert_string_equal(look_up("name77"), "u77 ");
		assert_null(look_up("nobody"));
		assert_string_equal(look_up("last"), "dave ");
	}
	assert_int_equal(file.is_indexed, 0);
	assert_int_equal(truncate(path, 700), 0);
	assert_int_equal(session(d, "u"), 0);
	assert_int_equal(unlink(path) | unlink(config.aliases), 0);
	assert_int_equal(close(d) | rmdir(dir), 0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(grammar), TEST(mistakes), TEST(many), TEST(expansions),
		TEST(elsewhere), TEST(owners),
		TEST(includes), TEST(troubles), TEST(bomb), TEST(account_names),
		TEST(on_disk), TEST(indexed),
	};

	return cmocka_run_group_tests_name("test_aliases", tests, NULL, NULL);
}
