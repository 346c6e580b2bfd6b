/* LINK: smtpd/forward smtpd/aliases smtpd/idna smtpd/account smtpd/aliases_file smtpd/aliases_index smtpd/name_index smtpd/address_key smtpd/address smtpd/xtext privsep/config privsep/log privsep/message wire/utf8 */
/*
 * ~/.forward: what it may say, what it may be (C7), and letters that come
 * back.
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

#include "privsep/config_table.h"
#include "smtpd/forward.h"

static struct config config;
static struct identity who;
static struct forward f;

static int
setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	config_default_fixed(&config);
	strcpy(config.domains[0], "here.example");
	strcpy(config.hostname, "mx.here.example");
	config.domain_count = 1;
	strcpy(who.name, "alice");
	who.uid = geteuid();
	snprintf(who.home, sizeof(who.home), "%s/forward.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	return mkdtemp(who.home) == NULL;
}

static void
path_of(const char *name, char path[1100])
{
	snprintf(path, 1100, "%s/%s", who.home, name);
}

static void
put(const char *name, const char *text, mode_t mode)
{
	char path[1100];
	int fd;

	path_of(name, path);
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int
teardown(void **state)
{
	static const char *const names[] = { ".forward", "other" };
	char path[1100];
	size_t i;

	(void)state;
	forward_free(&f);
	for (i = 0; i < 2; i++) {
		path_of(names[i], path);
		(void)unlink(path);
	}
	return rmdir(who.home);
}

/* What it comes to: "+" is the mailbox, "!" that it is not used. */
static void
assert_says(const char *text, const char *expected)
{
	size_t i, len = strlen(text);
	char *copy = malloc(len + 1), got[512] = "";

	memcpy(copy, text, len);
	forward_free(&f);
	assert_int_equal(forward_parse(&f, copy, len, &who, &config), 0);
	free(copy);
	strlcat(got, f.refused != NULL ? "!" : f.keeps ? "+" : "",
	    sizeof(got));
	for (i = 0; i < f.count; i++) {
		strlcat(got, got[0] != '\0' ? " " : "", sizeof(got));
		strlcat(got, f.addresses[i], sizeof(got));
	}
	for (i = 0; i < f.program_count; i++) {
		strlcat(got, got[0] != '\0' ? " <" : "<", sizeof(got));
		strlcat(got, f.programs[i], sizeof(got));
		strlcat(got, ">", sizeof(got));
	}
	assert_string_equal(got, expected);
	assert_int_equal(f.is_set, f.keeps || f.count > 0 ||
	    f.program_count > 0);
	if (f.refused != NULL)
		assert_null(strstr(f.refused, "secret"));
}

static void
says(void **state)
{
	(void)state;
	assert_says("", "");
	assert_says("# nothing\n\n", "");
	assert_says("bob@else.example\n", "bob@else.example");
	assert_says("bob@Else.Example, bob@else.example,\n carol\n#x\n",
	    "bob@else.example carol");
	assert_says("\\alice, bob@else.example", "+ bob@else.example");
	assert_says("alice", "+");
	assert_says("\"\\alice\"\r\nAlice@HERE.example", "+");
	assert_says("alice@else.example", "alice@else.example");
	assert_says("bob@here.example", "bob");
	assert_says("\\bob", "bob");
	assert_says("\"x\\\"secret", "!");
	config.forward_commands = 0;
	assert_says("|/bin/secret", "!");
	assert_says("\"|/bin/secret x\", bob", "!");
	assert_says("/secret", "!");
	config.forward_commands = 1;
	assert_says("|/bin/cat", "<|/bin/cat>");
	assert_says("\"|/bin/cat x\", bob, \\alice\n/var/box\n|/bin/cat x",
	    "+ bob <|/bin/cat x> </var/box>");
	assert_says("|secret", "!");
	assert_says("\\alice, |/bin/cat secret | /bin/sh", "!");
	assert_says("\"|IFS=' ' && exec /usr/bin/secret || exit 75\"", "!");
	assert_says(":include:/secret", "!");
	assert_says("bob, \\\"(\\\"", "!");
	assert_says("\\\"(\\\"@else.example", "\"(\"@else.example");
	forward_free(&f);
	assert_int_equal(forward_parse(&f, "/dev/null", 9, &who, &config), 0);
	assert_int_equal(f.is_set, 1);
	assert_int_equal(f.keeps + f.count, 0);
	assert_says("/dev/null2", "</dev/null2>");
	assert_says("/dev/null, bob", "bob");
	assert_says("root:x:0:0:secret:/root:/bin/sh\n", "!");
	assert_says("bob secret\n", "!");
}

static void
too_many(void **state)
{
	char text[4096];
	size_t i, len = 0;

	(void)state;
	for (i = 0; i < FORWARD_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "u%zu@else.example\n", i);
	assert_int_equal(forward_parse(&f, text, len, &who, &config), 0);
	assert_int_equal(f.count, FORWARD_MAX);
	forward_free(&f);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "one more\n");
	assert_int_equal(forward_parse(&f, text, len, &who, &config), 0);
	assert_non_null(f.refused);
	assert_int_equal(f.is_set, 0);
}

static void
assert_read(int is_set, int is_refused)
{
	forward_free(&f);
	/* A FIFO, or anything else that can be waited for: not here. */
	alarm(10);
	assert_int_equal(forward_read(&f, &who, &config), 0);
	alarm(0);
	assert_int_equal(f.is_set, is_set);
	assert_int_equal(f.refused != NULL, is_refused);
}

static void
on_disk(void **state)
{
	char path[1100], other[1100];

	(void)state;
	path_of(".forward", path);
	path_of("other", other);
	assert_read(0, 0);
	put(".forward", "bob@else.example\n", 0600);
	assert_read(1, 0);
	assert_int_equal(chmod(path, 0644), 0);
	assert_read(1, 0);
	assert_int_equal(chmod(path, 0664), 0);
	assert_read(0, 1);
	assert_int_equal(chmod(path, 0646), 0);
	assert_read(0, 1);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(chmod(who.home, 01777), 0);
	assert_read(0, 1);
	assert_int_equal(chmod(who.home, 0770), 0);
	assert_read(0, 1);
	assert_int_equal(chmod(who.home, 0700), 0);
	assert_int_equal(link(path, other), 0);
	assert_read(0, 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("other", path), 0);
	assert_read(0, 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/shadow", path), 0);
	assert_read(0, 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_read(0, 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_read(0, 1);
	assert_int_equal(rmdir(path), 0);
	put(".forward", "bob@else.example\n", 0600);
	assert_int_equal(truncate(path, (off_t)1 << 30), 0);
	assert_read(0, 1);
	put(".forward", "bob@else.example\n", 0600);
	who.uid++;
	assert_read(0, 1);
	who.uid--;
	assert_read(1, 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 12345, 0), 0);
		assert_read(0, 1);
		assert_int_equal(chown(path, 0, 0), 0);
		assert_int_equal(chown(who.home, 12345, 0), 0);
		assert_read(0, 1);
		assert_int_equal(chown(who.home, 0, 0), 0);
	}
	assert_int_equal(unlink(path), 0);
}

/* The homes that are not there are no reason to wait. */
static void
no_home(void **state)
{
	struct identity other = who;

	(void)state;
	strlcat(other.home, "/none", sizeof(other.home));
	assert_int_equal(forward_read(&f, &other, &config), 0);
	assert_int_equal(f.is_set, 0);
	assert_null(f.refused);
}

static void
marks(void **state)
{
	static const char *const yes[] = {
		"Delivered-To: alice@mx.here.example\n",
		"A: b\ndelivered-to: Alice@MX.here.example\nC: d\n\nx\n",
	}, *const no[] = {
		"", "Delivered-To: alice@mx.here.example",
		"Delivered-To: alice@mx.here.example.org\n",
		"A: b\n\nDelivered-To: alice@mx.here.example\n",
		"X-Delivered-To: alice@mx.here.example\n",
		"A: b\n Delivered-To: alice@mx.here.example\n",
	};
	char mark[FORWARD_MARK_MAX], path[1100];
	size_t i;
	int fd;

	(void)state;
	forward_mark("alice", &config, mark);
	assert_string_equal(mark, yes[0]);
	path_of("other", path);
	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		put("other", yes[i], 0600);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		assert_int_equal(forward_is_marked(fd, 0, strlen(yes[i]),
		    mark), 1);
		assert_int_equal(forward_is_marked(fd, 1, strlen(yes[i]) - 1,
		    mark), i);
		/* It says that it is longer than it is. */
		assert_int_equal(forward_is_marked(fd, 0, strlen(yes[i]) + 1,
		    mark), -1);
		close(fd);
	}
	for (i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		put("other", no[i], 0600);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		assert_int_equal(forward_is_marked(fd, 0, strlen(no[i]),
		    mark), 0);
		close(fd);
	}
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(says), TEST(too_many), TEST(on_disk), TEST(no_home),
		TEST(marks),
	};

	return cmocka_run_group_tests_name("test_forward", tests, NULL, NULL);
}
