/* LINK: MAILBOX */
/* LIBS: -lmd -lbsd */
/*
 * test_maildir: a Maildir entered, listed, read and emptied, in a directory of
 * its own, as whoever runs it.
 */
#include "mailbox/maildir_sizes.h"
#include "maildir_home.h"

/* Sizes. */

static void
test_sizes(void **state)
{
	static const struct {
		const char	*text;
		uint64_t	 octets;
	} t[] = {
		{ "", 0 }, { "\na", 5 }, { "a\n", 5 }, { "a\n\nb", 8 },
		{ "a\r\n\r\n", 5 }, { "\n\n", 4 }, { ".\n", 5 },
		{ "\na\r", 6 },
	};
	char name[64];
	size_t i;

	(void)state;
	make_maildir();
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		snprintf(name, sizeof(name), "Maildir/new/%zu.x", i);
		put(name, t[i].text);
	}
	put("Maildir/new/8.Q8.x,W=77", "said in the name, and so not counted\n");
	put("Maildir/new/9.Q9.x,S=2,W=100", "not plausible, and so counted\n\n");
	reopen();
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(ops->message(box, i)->octets, t[i].octets);
	assert_int_equal(ops->message(box, 8)->octets, 77);
	assert_int_equal(ops->message(box, 9)->octets, 33);
}

/* A size that the name lies about is never served, and heals. */
static void
test_wrong_size(void **state)
{
	(void)state;
	make_maildir();
	put("Maildir/cur/1.Q1.x,S=3,W=4:2,S", "four\n");
	put("Maildir/new/2.Q2.x,W=9", "a\n");
	reopen();
	assert_int_equal(ops->message(box, 0)->octets, 4);
	assert_int_equal(fetch_error(0), ESTALE);
	assert_int_equal(fetch_error(0), ESTALE);
	assert_int_equal(fetch_error(1), ESTALE);
	reopen();
	assert_true(has("Maildir/cur/1.Q1.x:2,S"));
	assert_string_equal(uidl(0), "1.Q1.x");
	assert_int_equal(ops->message(box, 0)->octets, 8);
	assert_content(0, "four\n");
	assert_content(1, "a\n");
}

/* An edit that changes no size, or sets the time back, is found out. */
static void
test_recount(void **state)
{
	struct timespec old[2] = { { .tv_sec = 5 }, { .tv_sec = 5 } };

	(void)state;
	make_maildir();
	put("Maildir/cur/1.Q1.x,S=6,W=10:2,S", "a\nb\nc\n");
	put("Maildir/new/2.Q2.x,S=4,W=8", "a\n\nb");
	put("Maildir/new/3.x", "\nabc\n");
	assert_int_equal(utimensat(home, "Maildir/new/3.x", old, 0), 0);
	reopen();
	/* Nothing is done for a worker that is wrong. */
	assert_int_equal(ops->recount(box, 1), 0);
	assert_true(has("Maildir/new/2.Q2.x,S=4,W=8"));
	assert_int_equal(ops->recount(box, 0), 0);
	assert_true(has("Maildir/cur/1.Q1.x:2,S"));
	assert_int_equal(ops->recount(box, 3), -1);
	maildir_sizes_store(box);
	put("Maildir/new/3.x", "\na\nb\n");
	assert_int_equal(utimensat(home, "Maildir/new/3.x", old, 0), 0);
	reopen();
	assert_int_equal(ops->message(box, 0)->octets, 11);
	assert_int_equal(ops->message(box, 2)->octets, 7);	/* not so */
	assert_int_equal(ops->recount(box, 2), 0);
	reopen();
	assert_int_equal(ops->message(box, 2)->octets, 8);
}

static void
test_changed_file(void **state)
{
	struct timespec times[2] = { { .tv_sec = 5 }, { .tv_sec = 5 } };

	(void)state;
	make_maildir();
	put("Maildir/new/1.x", "one\n");
	put("Maildir/new/2.x", "two\n");
	reopen();
	put("Maildir/new/1.x", "other\n");
	assert_int_equal(fetch_error(0), ESTALE);
	assert_int_equal(utimensat(home, "Maildir/new/2.x", times, 0), 0);
	assert_int_equal(fetch_error(1), ESTALE);
}

/* What is no message. */

static void
test_strange_files(void **state)
{
	(void)state;
	make_maildir();
	put("secret", "secret\n");
	assert_int_equal(symlinkat("../../secret", home, "Maildir/new/1.link"),
	    0);
	assert_int_equal(mkfifoat(home, "Maildir/new/2.fifo", 0600), 0);
	assert_int_equal(mkdirat(home, "Maildir/cur/3.dir", 0700), 0);
	put("Maildir/cur/4.file,S=3,W=4", "abc");
	put("Maildir/cur/5.file,S=3,W=4", "abc");
	put("Maildir/cur/6.file", "abc");
	reopen();
	assert_int_equal(ops->count(box), 3);
	assert_string_equal(uidl(0), "4.file");
	/* And what becomes none after the listing. */
	assert_int_equal(unlinkat(home, "Maildir/cur/4.file,S=3,W=4", 0), 0);
	assert_int_equal(symlinkat("../../secret", home,
	    "Maildir/cur/4.file,S=3,W=4"), 0);
	assert_int_equal(fetch_error(0), ESTALE);
	assert_int_equal(unlinkat(home, "Maildir/cur/5.file,S=3,W=4", 0), 0);
	assert_int_equal(mkfifoat(home, "Maildir/cur/5.file,S=3,W=4", 0600),
	    0);
	assert_int_equal(fetch_error(1), ESTALE);
	/* Further links, as backups make them, are no obstacle. */
	assert_int_equal(linkat(home, "Maildir/cur/6.file", home, "backup",
	    0), 0);
	assert_content(2, "abc");
	assert_int_equal(fetch_error(3), EINVAL);
}

static void
test_foreign_owner(void **state)
{
	(void)state;
	if (getuid() != 0)
		skip();
	make_maildir();
	put("Maildir/new/1.Q1.x,S=4,W=5", "one\n");
	assert_int_equal(fchownat(home, "Maildir/new/1.Q1.x,S=4,W=5", 12345, 0,
	    0), 0);
	reopen();
	assert_int_equal(fetch_error(0), ESTALE);
	assert_int_equal(fchownat(home, "Maildir/new", 12345, 0, 0), 0);
	assert_int_equal(enter(0), -1);
	assert_int_equal(errno, EPERM);
}

/* The place. */

static void
test_no_maildir(void **state)
{
	uint8_t bitmap[1] = { 0 };
	size_t failed;

	(void)state;
	reopen();
	assert_int_equal(ops->count(box), 0);
	assert_int_equal(ops->expunge(box, bitmap, &failed), 0);
	assert_false(has("Maildir"));
	strlcpy(config.mailbox_path, "~/mail/in", sizeof(config.mailbox_path));
	reopen();
	assert_false(has("mail"));
	assert_int_equal(enter(1), 0);
	assert_true(has("mail/in/tmp") && has("mail/in/cur"));
	/* A reader's folder that is missing is empty. */
	assert_int_equal(unlinkat(home, "mail/in/cur", AT_REMOVEDIR), 0);
	put("mail/in/new/1", "x\n");
	reopen();
	assert_int_equal(ops->count(box), 1);
}

static void
test_no_home(void **state)
{
	char saved[sizeof(identity.home)];

	(void)state;
	strlcpy(saved, identity.home, sizeof(saved));
	strlcat(identity.home, "/missing", sizeof(identity.home));
	assert_int_equal(enter(1), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(enter(0), -1);
	assert_int_equal(errno, ENOENT);
	strlcpy(identity.home, saved, sizeof(identity.home));
	assert_false(has("missing"));
}

static void
test_modes_made(void **state)
{
	static const char *const dirs[] = {
		"Maildir", "Maildir/new", "Maildir/cur", "Maildir/tmp"
	};
	struct stat st;
	size_t i;

	(void)state;
	make_maildir();
	for (i = 0; i < 4; i++) {
		assert_int_equal(fstatat(home, dirs[i], &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0700);
	}
	assert_false(has("Maildir/postern.lock"));
}

static void
test_bad_places(void **state)
{
	static const char *const paths[] = {
		"~", "Maildir", "", "~/", "~/../x", "~/./x", "~/a/..", "~/%x",
		"~/%", "/",
	};
	char name[ACCOUNT_NAME_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		strlcpy(config.mailbox_path, paths[i],
		    sizeof(config.mailbox_path));
		assert_int_equal(enter(1), -1);
		assert_int_equal(errno, EINVAL);
	}
	strlcpy(name, identity.name, sizeof(name));
	strlcpy(config.mailbox_path, "~/%u", sizeof(config.mailbox_path));
	strlcpy(identity.name, "../x", sizeof(identity.name));
	assert_int_equal(enter(1), -1);
	assert_int_equal(errno, EINVAL);
	strlcpy(identity.name, "..", sizeof(identity.name));
	assert_int_equal(enter(1), -1);
	assert_int_equal(errno, EINVAL);
	config.mailbox_format = MAILBOX_MBOX;
	assert_ptr_equal(mailbox_format(&config), &mbox_ops);
}

static void
test_user_in_path(void **state)
{
	(void)state;
	snprintf(config.mailbox_path, sizeof(config.mailbox_path),
	    "%.512s/box-%%u/in", identity.home);
	make_maildir();
	assert_true(has("box-alice/in/new"));
	strlcpy(config.mailbox_path, "~/x%u%u", sizeof(config.mailbox_path));
	make_maildir();
	assert_true(has("xalicealice/new"));
}

/* Links and open doors, at each step of the way. */
static void
test_hostile_places(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(home, "other", 0700), 0);
	assert_int_equal(symlinkat("other", home, "Maildir"), 0);
	assert_int_equal(enter(1), -1);
	assert_int_equal(enter(0), -1);
	assert_false(has("other/new"));
	assert_int_equal(unlinkat(home, "Maildir", 0), 0);
	assert_int_equal(symlinkat("nowhere", home, "Maildir"), 0);
	assert_int_equal(enter(1), -1);
	assert_false(has("nowhere"));
	assert_int_equal(unlinkat(home, "Maildir", 0), 0);

	make_maildir();
	assert_int_equal(unlinkat(home, "Maildir/tmp", AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("../other", home, "Maildir/tmp"), 0);
	assert_int_equal(enter(1), -1);
	assert_int_equal(unlinkat(home, "Maildir/tmp", 0), 0);
	make_maildir();
	assert_int_equal(fchmodat(home, "Maildir/new", 0770, 0), 0);
	assert_int_equal(enter(1), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fchmodat(home, "Maildir/new", 0755, 0), 0);
	assert_int_equal(fchmodat(home, "Maildir", 0702, 0), 0);
	assert_int_equal(enter(0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fchmodat(home, "Maildir", 0700, 0), 0);

	put("victim", "x");
	assert_int_equal(linkat(home, "victim", home, "Maildir/postern.lock",
	    0), 0);
	assert_int_equal(enter(0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(unlinkat(home, "Maildir/postern.lock", 0), 0);
	assert_int_equal(symlinkat("../made", home, "Maildir/postern.lock"),
	    0);
	assert_int_equal(enter(0), -1);
	assert_false(has("made"));
	assert_int_equal(unlinkat(home, "Maildir/postern.lock", 0), 0);
	assert_int_equal(mkfifoat(home, "Maildir/postern.lock", 0600), 0);
	assert_int_equal(enter(0), -1);
	assert_int_equal(errno, EPERM);
}

/* In another process, try to open the maildrop: its errno, 0 if it could. */
static int
open_elsewhere(void)
{
	struct mailbox *other;
	int dirs[MAILBOX_DIRS_MAX], status;
	size_t count;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		if (ops->enter(&other, &config, &identity, 0, dirs,
		    &count) == -1)
			_exit(255);
		_exit(ops->open(other) == -1 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
test_lock(void **state)
{
	(void)state;
	make_maildir();
	reopen();
	assert_true(has("Maildir/postern.lock"));
	assert_int_equal(open_elsewhere(), EBUSY);
	/* Closing another descriptor of the file does not give it up. */
	close(openat(home, "Maildir/postern.lock", O_RDWR));
	assert_int_equal(open_elsewhere(), EBUSY);
	assert_int_equal(enter(0), 0);
	assert_int_equal(open_elsewhere(), 0);
	assert_true(has("Maildir/postern.lock"));
}

/* What others do meanwhile. */

static void
test_fetch_moved(void **state)
{
	(void)state;
	make_maildir();
	put("Maildir/new/1.a,S=4,W=5", "one\n");
	put("Maildir/new/2.b", "two\n");
	put("Maildir/cur/3.c:2,", "three\n");
	put("Maildir/cur/4.d:2,", "four\n");
	reopen();
	move("Maildir/new/1.a,S=4,W=5", "Maildir/cur/1.a,S=4,W=5:2,S");
	move("Maildir/new/2.b", "Maildir/cur/2.b,S=4:2,");
	move("Maildir/cur/3.c:2,", "Maildir/cur/3.c:2,RS");
	assert_int_equal(unlinkat(home, "Maildir/cur/4.d:2,", 0), 0);
	put("Maildir/new/9.late", "late\n");
	assert_content(0, "one\n");
	assert_content(1, "two\n");
	assert_content(2, "three\n");
	assert_int_equal(fetch_error(3), ENOENT);
	assert_int_equal(fetch_error(3), ENOENT);
	move("Maildir/cur/3.c:2,RS", "Maildir/cur/3.c:2,FRS");
	assert_content(2, "three\n");
	assert_int_equal(ops->count(box), 4);
}

static void
test_expunge(void **state)
{
	uint8_t bitmap[2] = { 0 };
	char name[64];
	size_t failed;
	int i;

	(void)state;
	make_maildir();
	for (i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "Maildir/%s%d.x",
		    i % 2 ? "cur/" : "new/", 100 + i);
		put(name, "x\n");
	}
	reopen();
	bitmap[0] = 0x0d;	/* 0, 2, 3 */
	bitmap[1] = 0x08;	/* 11 */
	move("Maildir/new/102.x", "Maildir/cur/102.x:2,T");
	assert_int_equal(unlinkat(home, "Maildir/cur/103.x", 0), 0);
	assert_int_equal(ops->expunge(box, bitmap, &failed), 0);
	assert_int_equal(failed, 0);
	assert_false(has("Maildir/new/100.x"));
	assert_false(has("Maildir/cur/102.x:2,T"));
	assert_false(has("Maildir/cur/111.x"));
	assert_int_equal(fetch_error(0), ENOENT);
	reopen();
	assert_int_equal(ops->count(box), 8);
	assert_string_equal(uidl(0), "101.x");
}

static void
test_expunge_fails(void **state)
{
	uint8_t bitmap[1] = { 3 };
	size_t failed;

	(void)state;
	make_maildir();
	put("Maildir/new/1.x,S=2,W=3", "x\n");
	put("Maildir/new/2.x,S=2,W=3", "x\n");
	reopen();
	assert_int_equal(unlinkat(home, "Maildir/new/1.x,S=2,W=3", 0), 0);
	assert_int_equal(mkdirat(home, "Maildir/new/1.x,S=2,W=3", 0700), 0);
	assert_int_equal(ops->expunge(box, bitmap, &failed), -1);
	assert_int_equal(errno, EISDIR);
	assert_int_equal(failed, 1);
	assert_false(has("Maildir/new/2.x,S=2,W=3"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_sizes), TEST(test_wrong_size), TEST(test_recount),
		TEST(test_changed_file), TEST(test_strange_files),
		TEST(test_foreign_owner), TEST(test_no_maildir),
		TEST(test_no_home), TEST(test_modes_made),
		TEST(test_bad_places), TEST(test_user_in_path),
		TEST(test_hostile_places), TEST(test_lock),
		TEST(test_fetch_moved), TEST(test_expunge),
		TEST(test_expunge_fails),
	};

	return cmocka_run_group_tests_name("test_maildir", tests, NULL, NULL);
}
