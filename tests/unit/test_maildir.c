/* LINK: MAILBOX */
/* LIBS: -lmd -lbsd */
/*
 * test_maildir: a Maildir entered, listed, read and emptied, in a directory of
 * its own, as whoever runs it.
 */
#include "mailbox/maildir_sizes.h"
#include "maildir_home.h"

/* Names. */

static void
test_names(void **state)
{
	static const struct {
		const char	*name;
		uint64_t	 seconds, size, octets;
		size_t		 unique, base;
	} t[] = {
		{ "17.Q1.h,S=10,W=12:2,S", 17, 10, 12, 7, 17 },
		{ "17.M1.h:2,S=3,W=4", 17, UINT64_MAX, UINT64_MAX, 7, 7 },
		{ "x,W=5", 0, UINT64_MAX, UINT64_MAX, 1, 5 },
		{ "9.M1.x,S=5,W=6", 9, UINT64_MAX, UINT64_MAX, 6, 14 },
		{ "9.Q1.x,W=5", 9, UINT64_MAX, 5, 6, 10 },
		{ "1.Q1.x,S=5,W=4", 1, UINT64_MAX, UINT64_MAX, 6, 14 },
		{ "1.Q1.x,S=5,W=15", 1, UINT64_MAX, UINT64_MAX, 6, 15 },
		{ "1.Q1.x,W=05", 1, UINT64_MAX, UINT64_MAX, 6, 11 },
		{ "1.Q1.x,W=-5", 1, UINT64_MAX, UINT64_MAX, 6, 11 },
		{ "1.Q1.x,W=5x", 1, UINT64_MAX, UINT64_MAX, 6, 11 },
		{ "1.Q1.x,W=", 1, UINT64_MAX, UINT64_MAX, 6, 9 },
		{ "1.Q1.x,W=5,W=5", 1, UINT64_MAX, UINT64_MAX, 6, 14 },
		{ "1.Q1.x,W=1234567890123456789", 1, UINT64_MAX, UINT64_MAX, 6,
		    28 },
		{ "99999999999999999999.a", UINT64_MAX, UINT64_MAX,
		    UINT64_MAX, 22, 22 },
		{ ":2,S", 0, UINT64_MAX, UINT64_MAX, 2, 4 },
		{ ",S=1", 0, UINT64_MAX, UINT64_MAX, 0, 4 },
	};
	struct maildir_name n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		maildir_name_parse(t[i].name, &n);
		assert_int_equal(n.seconds, t[i].seconds);
		assert_int_equal(n.size, t[i].size);
		assert_int_equal(n.octets, t[i].octets);
		assert_int_equal(n.unique_len, t[i].unique);
		assert_int_equal(n.base_len, t[i].base);
	}
}

static void
test_order(void **state)
{
	static const char *const names[] = {
		"Maildir/cur/9.b:2,S", "Maildir/new/10.a", "Maildir/new/9.a",
		"Maildir/cur/100.z:2,", "Maildir/cur/9.ab:2,", "Maildir/new/q",
		"Maildir/new/.hidden", "Maildir/cur/9.a-b:2,RS",
	};
	static const char *const order[] = {
		"q", "9.a", "9.a-b", "9.ab", "9.b", "10.a", "100.z"
	};
	size_t i;

	(void)state;
	make_maildir();
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		put(names[i], "a\n");
	reopen();
	assert_int_equal(ops->count(box), 7);
	for (i = 0; i < 7; i++)
		assert_string_equal(uidl(i), order[i]);
	assert_null(ops->message(box, 7));
}

/* Many, so that memory grows; the order of a disordered reading. */
static void
test_many(void **state)
{
	char name[64], last[UIDL_MAX] = "";
	int i;

	(void)state;
	make_maildir();
	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "Maildir/%s,S=2,W=3%s",
		    i % 2 ? "cur/" : "new/", "");
		snprintf(name, sizeof(name), "Maildir/%s%06d.x,S=2,W=3",
		    i % 2 ? "cur/" : "new/", (i * 7919) % 3000 + 100000);
		put(name, "a\n");
	}
	reopen();
	assert_int_equal(ops->count(box), 3000);
	for (i = 0; i < 3000; i++) {
		assert_true(strcmp(last, uidl((size_t)i)) < 0);
		strlcpy(last, uidl((size_t)i), sizeof(last));
		assert_int_equal(ops->message(box, (size_t)i)->octets, 5);
	}
}

/* A hundred thousand, all of them links to few files; half are removed. */
#define CROWDED	100000

static void
test_huge(void **state)
{
	static uint8_t bitmap[CROWDED / 8];
	char name[64], file[16];
	size_t failed;
	int i;

	(void)state;
	make_maildir();
	for (i = 0; i < CROWDED; i++) {
		snprintf(file, sizeof(file), "file-%d", i / 10000);
		if (i % 10000 == 0)
			put(file, "a\n");
		snprintf(name, sizeof(name), "Maildir/%s/%d.Q%d.x,S=2,W=5%s",
		    i % 3 ? "cur" : "new", 100000 + (i * 7919) % CROWDED, i,
		    i % 3 ? ":2,S" : "");
		assert_int_equal(linkat(home, file, home, name, 0), 0);
	}
	reopen();
	assert_int_equal(ops->count(box), CROWDED);
	for (i = 0; i < CROWDED; i++)
		assert_int_equal(atoi(uidl((size_t)i)), 100000 + i);
	assert_content(CROWDED - 1, "a\n");
	memset(bitmap, 0x55, sizeof(bitmap));
	assert_int_equal(ops->expunge(box, bitmap, &failed), 0);
	reopen();
	assert_int_equal(ops->count(box), CROWDED / 2);
	for (i = 0; i < CROWDED / 2; i++)
		assert_int_equal(atoi(uidl((size_t)i)), 100001 + 2 * i);
}

static void
test_uidl_stays(void **state)
{
	char before[UIDL_MAX];

	(void)state;
	make_maildir();
	put("Maildir/new/5.M1P2.host,S=2,W=3", "a\n");
	put("Maildir/new/6.odd name", "a\n");
	reopen();
	assert_string_equal(uidl(0), "5.M1P2.host");
	assert_int_equal(strlen(uidl(1)), 64);
	strlcpy(before, uidl(1), sizeof(before));

	move("Maildir/new/5.M1P2.host,S=2,W=3",
	    "Maildir/cur/5.M1P2.host,S=2,W=3:2,S");
	move("Maildir/new/6.odd name", "Maildir/cur/6.odd name:2,");
	reopen();
	assert_string_equal(uidl(0), "5.M1P2.host");
	assert_string_equal(uidl(1), before);

	move("Maildir/cur/5.M1P2.host,S=2,W=3:2,S",
	    "Maildir/cur/5.M1P2.host:2,FRS");
	reopen();
	assert_string_equal(uidl(0), "5.M1P2.host");
	assert_int_equal(ops->message(box, 0)->octets, 5);
}

static void
test_uidl_hashed(void **state)
{
	char name[200], a[UIDL_MAX], b[UIDL_MAX];
	struct maildir_name n;

	(void)state;
	memset(name, 'x', 70);
	name[70] = '\0';
	maildir_name_parse(name, &n);
	maildir_name_uidl(name, n.unique_len, n.base_len, 0, a);
	assert_string_equal(a, name);
	name[70] = 'y';
	name[71] = '\0';
	maildir_name_parse(name, &n);
	maildir_name_uidl(name, n.unique_len, n.base_len, 0, a);
	assert_int_equal(strlen(a), 64);
	name[70] = 'z';
	maildir_name_uidl(name, n.unique_len, n.base_len, 0, b);
	assert_string_not_equal(a, b);
	maildir_name_uidl("\xc3\xa9", 2, 2, 0, a);
	assert_int_equal(strlen(a), 64);
}

static void
test_uidl_twins(void **state)
{
	char a[UIDL_MAX], b[UIDL_MAX];

	(void)state;
	make_maildir();
	put("Maildir/new/5.same,S=2", "a\n");
	put("Maildir/new/5.same,S=4", "a\nb\n");
	put("Maildir/new/6.other", "a\n");
	/* As seen when it is moved while the folders are read: one message. */
	put("Maildir/new/7.moving", "a\n");
	put("Maildir/cur/7.moving:2,S", "a\n");
	reopen();
	assert_int_equal(ops->count(box), 4);
	strlcpy(a, uidl(0), sizeof(a));
	strlcpy(b, uidl(1), sizeof(b));
	assert_int_equal(strlen(a), 64);
	assert_string_not_equal(a, b);
	assert_string_equal(uidl(2), "6.other");
	assert_string_equal(uidl(3), "7.moving");
	/* Each is found again for itself. */
	move("Maildir/new/5.same,S=2", "Maildir/cur/5.same,S=2:2,");
	move("Maildir/new/5.same,S=4", "Maildir/cur/5.same,S=4:2,S");
	assert_content(0, "a\n");
	assert_content(1, "a\nb\n");
}

/* Seconds of this processor to find so many twins again; the best of three. */
static double
refresh_twins(int count)
{
	struct timespec begun, ended;
	double seconds, best = 0;
	char name[80];
	int i;

	make_maildir();
	for (i = 0; i < count; i++) {
		snprintf(name, sizeof(name),
		    "Maildir/new/5.Qsame.h,S=0,W=0,x=%d", i);
		put(name, "");
	}
	reopen();
	assert_int_equal(ops->count(box), count);
	for (i = 0; i < 3; i++) {
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begun);
		assert_int_equal(maildir_index_refresh(box, NULL), 0);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
		seconds = (double)(ended.tv_sec - begun.tv_sec) +
		    (double)(ended.tv_nsec - begun.tv_nsec) / 1e9;
		if (i == 0 || seconds < best)
			best = seconds;
	}
	for (i = 0; i < count; i++)
		assert_int_equal(box->index.entries[i].flags & ENTRY_GONE, 0);
	return best;
}

/* C15: a user can make as many as there is room for. */
static void
test_many_twins(void **state)
{
	double few, many;

	(void)state;
	few = refresh_twins(2000);
	many = refresh_twins(16000);
	print_message("twins: 2000 in %.1f ms, 16000 in %.1f ms\n", few * 1e3,
	    many * 1e3);
	assert_true(many < few * 24 + 0.01);
}

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
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		TEST(test_order),
		TEST(test_many),
		TEST(test_huge),
		TEST(test_uidl_stays),
		cmocka_unit_test(test_uidl_hashed),
		TEST(test_uidl_twins),
		TEST(test_many_twins),
		TEST(test_sizes),
		TEST(test_wrong_size),
		TEST(test_recount),
		TEST(test_changed_file),
		TEST(test_strange_files),
		TEST(test_foreign_owner),
		TEST(test_no_maildir),
		TEST(test_no_home),
		TEST(test_modes_made),
		TEST(test_bad_places),
		TEST(test_user_in_path),
		TEST(test_hostile_places),
		TEST(test_lock),
		TEST(test_fetch_moved),
		TEST(test_expunge),
		TEST(test_expunge_fails),
	};

	return cmocka_run_group_tests_name("test_maildir", tests, NULL, NULL);
}
