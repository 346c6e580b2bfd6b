/* LINK: MAILBOX */
/*
 * test_mbox: an mbox as a maildrop: what a session sees, while others use the
 * file, too.
 */
#include "mbox_home.h"

#define ONE	FROM "A: one\n\n1\n\n"
#define TWO	FROM "A: two\n\n2\n\n"
#define THREE	FROM "A: three\n\n3\n\n"

/* As another program that rewrites it in place. */
static void
write_file(const char *path, const char *text)
{
	put(path, text, strlen(text));
}

static const char *
uidl(size_t n)
{
	return ops->message(box, n)->uidl;
}

static void
assert_content(size_t n, const char *text)
{
	uint64_t offset, length;
	char got[512];
	ssize_t len;
	int fd;

	assert_int_equal(ops->fetch(box, n, &fd, &offset, &length), 0);
	assert_int_equal(length, strlen(text));
	len = pread(fd, got, (size_t)length, (off_t)offset);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(got, text, strlen(text));
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
}

static int
fetch_error(size_t n)
{
	uint64_t offset, length;
	int fd;

	if (ops->fetch(box, n, &fd, &offset, &length) == 0) {
		close(fd);
		return 0;
	}
	assert_int_equal(fd, -1);
	return errno;
}

static void
expunge(const char *bits)
{
	uint8_t bitmap[8] = { 0 };
	size_t i, failed = 1;

	for (i = 0; bits[i] != '\0'; i++)
		if (bits[i] == '1')
			bitmap[i / 8] |= (uint8_t)(1U << (i % 8));
	assert_int_equal(ops->expunge(box, bitmap, &failed), 0);
	assert_int_equal(failed, 0);
}

static void
test_open(void **state)
{
	(void)state;
	write_file("mbox", ONE TWO);
	reopen();
	assert_string_equal(ops->name, "mbox");
	assert_int_equal(ops->content, CONTENT_MBOX);
	assert_int_equal(ops->count(box), 2);
	assert_int_equal(ops->message(box, 0)->octets, 13);
	assert_content(0, "A: one\n\n1\n");
	assert_content(1, "A: two\n\n2\n");
	assert_int_equal(strlen(uidl(0)), 40);
	assert_string_not_equal(uidl(0), "");
	assert_null(ops->message(box, 2));
	assert_int_equal(fetch_error(2), EINVAL);
	/* No lock is held meanwhile, and nothing was changed. */
	assert_int_equal(faccessat(home, "mbox.lock", F_OK, 0), -1);
	assert_file("mbox", ONE TWO);
}

static void
test_nothing_there(void **state)
{
	(void)state;
	reopen();
	assert_int_equal(ops->count(box), 0);
	write_file("mbox", "");
	reopen();
	assert_int_equal(ops->count(box), 0);
	strlcpy(config.mailbox_path, "~/mail/in", sizeof(config.mailbox_path));
	reopen();
	assert_int_equal(ops->count(box), 0);
	assert_int_equal(faccessat(home, "mail", F_OK, 0), -1);
	/* But a home that is not there may only not be mounted. */
	strlcat(identity.home, "/gone", sizeof(identity.home));
	assert_int_equal(enter(0), -1);
	assert_int_equal(errno, ENOENT);
	assert_null(box);
	*strrchr(identity.home, '/') = '\0';
}

static void
test_no_mbox(void **state)
{
	(void)state;
	write_file("mbox", "Subject: x\n\n" ONE);
	assert_int_equal(enter(0), 0);
	assert_int_equal(ops->open(box), -1);
	assert_int_equal(errno, EBADMSG);
	assert_file("mbox", "Subject: x\n\n" ONE);
}

static void
test_hostile_places(void **state)
{
	(void)state;
	write_file("other", ONE);
	assert_int_equal(symlinkat("other", home, "mbox"), 0);
	assert_int_equal(enter(0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(unlinkat(home, "mbox", 0), 0);
	assert_int_equal(linkat(home, "other", home, "mbox", 0), 0);
	assert_int_equal(enter(0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(unlinkat(home, "mbox", 0), 0);
	assert_int_equal(mkfifoat(home, "mbox", 0600), 0);
	assert_int_equal(enter(0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(unlinkat(home, "mbox", 0), 0);
	assert_int_equal(mkdirat(home, "mbox", 0700), 0);
	assert_int_equal(enter(0), -1);
	assert_int_equal(errno, EPERM);
	strlcpy(config.mailbox_path, "~/link/in", sizeof(config.mailbox_path));
	assert_int_equal(symlinkat("mbox", home, "link"), 0);
	assert_int_equal(enter(0), -1);
	assert_int_equal(errno, ENOTDIR);
	if (getuid() == 0) {
		strlcpy(config.mailbox_path, "~/other",
		    sizeof(config.mailbox_path));
		identity.uid = 12345;
		assert_int_equal(enter(0), -1);
		assert_int_equal(errno, EPERM);
	}
}

static void
test_one_session(void **state)
{
	struct mailbox *first;

	(void)state;
	write_file("mbox", ONE);
	reopen();
	first = box;
	box = NULL;
	assert_int_equal(enter(0), 0);
	assert_int_equal(ops->open(box), -1);
	assert_int_equal(errno, EBUSY);
	ops->close(first);
	assert_int_equal(ops->open(box), 0);
}

/* Status fields come and go, and the file is rewritten each time. */
static void
test_uidl_is_kept(void **state)
{
	char uidls[2][UIDL_MAX];

	(void)state;
	write_file("mbox", ONE TWO);
	reopen();
	strlcpy(uidls[0], uidl(0), UIDL_MAX);
	strlcpy(uidls[1], uidl(1), UIDL_MAX);
	write_file("mbox", FROM "Subject: DON'T DELETE THIS MESSAGE -- FOLDER "
	    "INTERNAL DATA\nX-IMAP: 1 2\n\nx\n\n"
	    FROM "Status: RO\nA: two\nX-UID: 2\n\n2\n\n"
	    FROM "X-Status: D\nA: one\nContent-Length: 2\n\n1\n");
	reopen();
	assert_int_equal(ops->count(box), 2);
	assert_string_equal(uidl(0), uidls[1]);
	assert_string_equal(uidl(1), uidls[0]);
	assert_int_equal(ops->message(box, 0)->octets, 13);
	assert_content(0, "Status: RO\nA: two\nX-UID: 2\n\n2\n");
}

/* In a session, by programs that know nothing of it. */
static void
test_foreign_changes(void **state)
{
	char name[UIDL_MAX];

	(void)state;
	write_file("mbox", ONE TWO THREE);
	reopen();
	strlcpy(name, uidl(1), UIDL_MAX);
	add("mbox", FROM "A: four\n\n4\n\n");		/* delivered */
	assert_content(2, "A: three\n\n3\n");
	assert_int_equal(ops->count(box), 3);
	write_file("mbox", FROM "Status: O\nA: one\n\n1\n\n" TWO THREE);
	assert_content(1, "A: two\n\n2\n");		/* moved */
	assert_content(0, "Status: O\nA: one\n\n1\n");
	assert_string_equal(uidl(1), name);
	write_file("mbox", THREE TWO);				/* removed, sorted */
	assert_int_equal(fetch_error(0), ENOENT);
	assert_content(1, "A: two\n\n2\n");
	assert_content(2, "A: three\n\n3\n");
	write_file("mbox", THREE ONE);				/* put back */
	assert_int_equal(fetch_error(1), ENOENT);
	assert_content(0, "A: one\n\n1\n");
	write_file("mbox", "");
	assert_int_equal(fetch_error(0), ENOENT);
	assert_int_equal(fetch_error(0), ENOENT);
	write_file("mbox", ONE TWO THREE);
	assert_content(1, "A: two\n\n2\n");
	/* Replaced by another file, as an editor does. */
	write_file("new", "" TWO);
	assert_int_equal(renameat(home, "new", home, "mbox"), 0);
	assert_content(1, "A: two\n\n2\n");
	/* A last message that had no final newline gets one. */
	write_file("mbox", ONE FROM "A: two\n\n2");
	reopen();
	assert_content(1, "A: two\n\n2");
	add("mbox", "\n\n" THREE);
	assert_content(1, "A: two\n\n2\n");
}

static void
test_expunge(void **state)
{
	char name[UIDL_MAX];

	(void)state;
	write_file("mbox", ONE TWO THREE);
	reopen();
	strlcpy(name, uidl(1), UIDL_MAX);
	add("mbox", ONE);		/* comes while the session goes on */
	expunge("101");
	assert_file("mbox", TWO ONE);
	reopen();
	assert_int_equal(ops->count(box), 2);
	assert_string_equal(uidl(0), name);
	expunge("11");
	assert_file("mbox", "");
	/* What hides in front stays. */
	write_file("mbox", FROM "Subject: DON'T DELETE THIS MESSAGE -- FOLDER "
	    "INTERNAL DATA\nX-IMAP: 1 2\n\nx\n\n" ONE);
	reopen();
	expunge("1");
	assert_file("mbox", FROM "Subject: DON'T DELETE THIS MESSAGE -- FOLDER "
	    "INTERNAL DATA\nX-IMAP: 1 2\n\nx\n\n");
}

static void
take_uidls(char uidls[][UIDL_MAX])
{
	size_t i;

	for (i = 0; i < ops->count(box); i++)
		strlcpy(uidls[i], uidl(i), UIDL_MAX);
}

/* Messages that are alike: no UIDL twice, none used again. */
static void
test_twins(void **state)
{
	char was[4][UIDL_MAX], now[8][UIDL_MAX];
	size_t i, k;

	(void)state;
	write_file("mbox", ONE TWO ONE ONE);
	reopen();
	take_uidls(was);
	for (i = 0; i < 4; i++)
		for (k = 0; k < i; k++)
			assert_string_not_equal(was[i], was[k]);
	expunge("1010");			/* the first two of three */
	assert_file("mbox", TWO ONE);
	reopen();
	assert_string_equal(uidl(0), was[1]);
	assert_string_equal(uidl(1), was[3]);
	add("mbox", ONE ONE);
	reopen();
	take_uidls(now);
	assert_string_equal(now[1], was[3]);
	for (i = 2; i < 4; i++)
		for (k = 0; k < 4; k++)
			assert_string_not_equal(now[i], was[k]);
	/* All gone, and one comes again. */
	expunge("0111");
	reopen();
	assert_int_equal(ops->count(box), 1);
	add("mbox", ONE);
	reopen();
	for (k = 0; k < 4; k++) {
		assert_string_not_equal(uidl(1), now[k]);
		assert_string_not_equal(uidl(1), was[k]);
	}
	/* Another program takes one away, and one comes. */
	add("mbox", ONE);
	reopen();
	take_uidls(was);
	write_file("mbox", TWO ONE);
	reopen();
	assert_string_equal(uidl(1), was[1]);
	add("mbox", ONE);
	reopen();
	assert_string_equal(uidl(1), was[1]);
	assert_string_not_equal(uidl(2), was[2]);
}

/* A file of ordinals that is none, or lies. */
static void
test_twins_file(void **state)
{
	static const char *const texts[] = {
		"", "\n\n", "garbage", "x\ny\n", "00 1 2 3-4\n",
		"\0", "0000000000000000000000000000000000000000 5 1 4-2\n",
		"0000000000000000000000000000000000000000 5 1 0-9\n",
		"0000000000000000000000000000000000000000 5 1 0-1,1-2\n",
		"0000000000000000000000000000000000000000 4294967295 1 -\n",
		"0000000000000000000000000000000000000000 5 1 \n"
		"0000000000000000000000000000000000000000 5 1 -\n"
		"0000000000000000000000000000000000000000 6 1 0-0,2-3\n"
	};
	char line[200], hash[UIDL_MAX];
	size_t i;

	(void)state;
	write_file("mbox", ONE ONE);
	reopen();
	strlcpy(hash, uidl(0), sizeof(hash));
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		write_file(".postern/mbox-twins", texts[i]);
		reopen();
		assert_string_equal(uidl(0), hash);
		assert_string_not_equal(uidl(1), hash);
	}
	/* What it says holds. */
	snprintf(line, sizeof(line), "%s 9 20000 3-3,5-6\n", hash);
	write_file(".postern/mbox-twins", line);
	reopen();
	assert_string_equal(uidl(0) + 40, ".3");
	assert_string_equal(uidl(1) + 40, ".5");
	/* None left for more than a year: forgotten; with one left: not. */
	snprintf(line, sizeof(line), "%s 9 20000 7-7\n"
	    "ffffffffffffffffffffffffffffffffffffffff 3 100 -\n", hash);
	write_file(".postern/mbox-twins", line);
	reopen();
	assert_string_equal(uidl(0) + 40, ".7");
	assert_string_equal(uidl(1) + 40, ".9");
	snprintf(line, sizeof(line), "%s 10 %lld 7-7,9-9\n", hash,
	    (long long)time(NULL) / 86400);
	assert_file(".postern/mbox-twins", line);
}

static void
test_user_in_path(void **state)
{
	(void)state;
	snprintf(config.mailbox_path, sizeof(config.mailbox_path),
	    "%.512s/%%u", identity.home);
	write_file("alice", ONE);
	reopen();
	assert_int_equal(ops->count(box), 1);
	snprintf(config.mailbox_path, sizeof(config.mailbox_path),
	    "%.512s/nowhere/%%u", identity.home);
	assert_int_equal(enter(0), -1);
	assert_int_equal(errno, ENOENT);
}

/* A hundred thousand: an index of 64 octets each, every UIDL once. */
static void
test_many(void **state)
{
	enum { MANY = 100000 };
	static char last[UIDL_MAX];
	FILE *file;
	size_t i;
	int fd = openat(home, "mbox", O_WRONLY | O_CREAT, 0600);

	(void)state;
	assert_int_equal(sizeof(struct mbox_entry), 64);
	file = fdopen(fd, "w");
	for (i = 0; i < MANY; i++)
		fprintf(file, FROM "A: %zu\n\n%zu\n\n", i % (MANY - 1), i % 2);
	assert_int_equal(fclose(file), 0);
	reopen();
	assert_int_equal(ops->count(box), MANY);
	strlcpy(last, uidl(MANY - 1), sizeof(last));
	assert_int_equal(fetch_error(MANY - 1), 0);
	reopen();
	assert_string_equal(uidl(MANY - 1), last);
}

static double
cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/*
 * Every other one of very many that are alike goes.  If each were looked for
 * among the others this would be minutes.
 */
static void
test_C15_many_alike(void **state)
{
	enum { MANY = 200000 };
	static uint8_t marked[MANY / 8];
	static char last[UIDL_MAX];
	double begun = cpu_seconds();
	size_t i, failed;
	FILE *file;

	(void)state;
	file = fdopen(openat(home, "mbox", O_WRONLY | O_CREAT, 0600), "w");
	for (i = 0; i < MANY; i++)
		fputs(ONE, file);
	assert_int_equal(fclose(file), 0);
	reopen();
	memset(marked, 0x55, sizeof(marked));
	strlcpy(last, uidl(MANY - 1), sizeof(last));
	assert_int_equal(ops->expunge(box, marked, &failed), 0);
	reopen();
	assert_int_equal(ops->count(box), MANY / 2);
	assert_string_equal(uidl(MANY / 2 - 1), last);
	assert_true(cpu_seconds() - begun < 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_open),
		TEST(test_nothing_there),
		TEST(test_no_mbox),
		TEST(test_hostile_places),
		TEST(test_one_session),
		TEST(test_uidl_is_kept),
		TEST(test_foreign_changes),
		TEST(test_expunge),
		TEST(test_twins),
		TEST(test_twins_file),
		TEST(test_user_in_path),
		TEST(test_many),
		TEST(test_C15_many_alike),
	};

	return cmocka_run_group_tests_name("test_mbox", tests, NULL, NULL);
}
