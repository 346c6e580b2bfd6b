/* LINK: smtpd/aliases smtpd/idna smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/expand smtpd/groups smtpd/aliases_include smtpd/account smtpd/address smtpd/xtext smtpd/spool_read smtpd/spool smtpd/envelope privsep/config privsep/log privsep/message wire/utf8 */
/*
 * The aliases file on disk: read again when it is changed, who may own it and
 * the files that it includes (C7, C24), and its index (C23).
 */
#include "aliases_home.h"

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

/* No file, no alias; but one that can't be seen may have any. */
static void
directory(void **state)
{
	char dir[] = "/tmp/test_aliases.XXXXXX", loop[64];
	int is_held;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(loop, sizeof(loop), "%s/loop", dir);
	for (is_held = 0; is_held < 2; is_held++) {
		snprintf(config.aliases, sizeof(config.aliases), "%s/aliases",
		    loop);
		aliases_open(&file, &config, report);
		if (is_held)
			aliases_hold(&file);
		aliases_refresh(&file);
		assert_int_equal(file.state, ALIASES_NONE);
		aliases_close(&file);
		assert_int_equal(symlink("loop", loop), 0);
		reports = 0;
		aliases_open(&file, &config, report);
		if (is_held)
			aliases_hold(&file);
		aliases_refresh(&file);
		assert_int_equal(file.state, ALIASES_REFUSED);
		assert_int_equal(reports, 1);
		assert_waits("unknown", "");
		aliases_close(&file);
		assert_int_equal(unlink(loop), 0);
	}
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

static void
answers(const char *target)
{
	char name[32], want[32];
	int i;

	assert_null(look_up("nobody"));
	assert_null(look_up(""));
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), i % 2 == 0 ? "name%d" :
		    "NAME%d", i);
		snprintf(want, sizeof(want), "%s%d ", target, i);
		assert_non_null(look_up(name));
		assert_string_equal(look_up(name), want);
	}
	assert_string_equal(look_up("two"), "alice bob ");
	assert_string_equal(look_up("last"), "dave ");
	assert_string_equal(look_up("Bad"), "BAD");
}

static void
begin_session(int dir)
{
	aliases_close(&file);
	aliases_open(&file, &config, aliases_ignore);
	aliases_hold(&file);
	aliases_index_open(&file, dir);
	aliases_refresh(&file);
	assert_int_equal(file.state, ALIASES_GOOD);
}

static void
session(int dir, const char *target, int is_indexed)
{
	begin_session(dir);
	assert_int_equal(file.is_indexed, is_indexed);
	answers(target);
	/* None of all these has made it read the whole. */
	assert_int_equal(file.is_indexed, is_indexed);
}

/* The queue reads the file, and writes its index. */
static void
write_index(int dir)
{
	aliases_close(&file);
	aliases_open(&file, &config, aliases_ignore);
	file.index_dir = dir;
	aliases_refresh(&file);
}

/* With an index or not, stale or damaged (C23): the same answers. */
static void
indexed(void **state)
{
	char dir[] = "/tmp/test_aliases.XXXXXX", path[64];
	struct stat st;
	off_t at;
	int d;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	snprintf(config.aliases, sizeof(config.aliases), "%s/aliases", dir);
	snprintf(path, sizeof(path), "%s/aliases.index", dir);
	d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put_many("t");
	session(d, "t", 0);
	write_index(d);
	session(d, "t", 1);
	put_many("u");
	session(d, "u", 0);
	write_index(d);
	session(d, "u", 1);
	assert_int_equal(stat(path, &st), 0);
	/* One octet of a page: whoever meets it reads all of the file. */
	for (at = 0; at < st.st_size; at += st.st_size / 40) {
		flip_octet(path, at);
		begin_session(d);
		/* The header's is seen before. */
		assert_int_equal(file.is_indexed, at >= 512);
		answers("u");
		assert_int_equal(file.is_indexed, 0);
		flip_octet(path, at);
	}
	/* So it is with one that is cut off. */
	begin_session(d);
	assert_int_equal(file.is_indexed, 1);
	assert_int_equal(truncate(path, 700), 0);
	answers("u");
	assert_int_equal(file.is_indexed, 0);
	assert_int_equal(truncate(path, 0), 0);
	session(d, "u", 0);
	assert_int_equal(unlink(path) | unlink(config.aliases), 0);
	assert_int_equal(close(d) | rmdir(dir), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(on_disk), TEST(directory), TEST(includes), TEST(indexed),
	};

	return cmocka_run_group_tests_name("test_aliases_file", tests, NULL,
	    NULL);
}
