/* LINK: MAILBOX */
/* LIBS: -lmd -lbsd */
/*
 * test_maildir_sizes: the file of counted sizes: believed where it can be, and
 * otherwise as if it were not there.  And a Maildir on a full disk.
 */
#include <sys/mount.h>

#include <sched.h>

#include "mailbox/maildir_sizes.h"
#include "maildir_home.h"

#define SIZES	"Maildir/" MAILDIR_SIZES_NAME

static uint8_t saved[1 << 16];
static size_t saved_len;

/* As it was written long ago. */
static void
put_old(const char *path, const char *text)
{
	struct timespec times[2] = { { .tv_sec = 1e9 }, { .tv_sec = 1e9 } };

	put(path, text);
	assert_int_equal(utimensat(home, path, times, 0), 0);
}

static uint64_t
octets(size_t n)
{
	return ops->message(box, n)->octets;
}

static void
save(void)
{
	int fd = openat(home, SIZES, O_RDONLY);
	ssize_t n;

	assert_int_not_equal(fd, -1);
	n = read(fd, saved, sizeof(saved));
	assert_true(n > 0 && (size_t)n < sizeof(saved));
	saved_len = (size_t)n;
	close(fd);
}

static void
restore(size_t len)
{
	int fd = openat(home, SIZES, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, saved, len), len);
	close(fd);
}

/*
 * Three messages of three octets that were counted, and then others of the
 * same size and time: they have the old counts only if those are believed.
 */
static void
make_known(void)
{
	make_maildir();
	put_old("Maildir/new/1.a", "\n\n\n");
	put_old("Maildir/cur/2.b:2,", "\n\n\n");
	put_old("Maildir/cur/3.odd name:2,S", "\n\n\n");
	reopen();
	assert_int_equal(octets(0), 6);
	save();
	put_old("Maildir/new/1.a", "x\n\n");
	put_old("Maildir/cur/2.b:2,", "x\n\n");
	put_old("Maildir/cur/3.odd name:2,S", "x\n\n");
}

static int
is_believed(void)
{
	reopen();
	assert_int_equal(ops->count(box), 3);
	assert_true(octets(0) == 6 || octets(0) == 5);
	assert_int_equal(octets(1), octets(0));
	return octets(0) == 6;
}

static void
test_believed(void **state)
{
	struct stat st;

	(void)state;
	make_known();
	assert_true(is_believed());
	assert_int_equal(fstatat(home, SIZES, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_false(has(SIZES ".new"));
	/* Whatever becomes of the name, if its unique part stays. */
	move("Maildir/new/1.a", "Maildir/cur/1.a,S=3:2,S");
	move("Maildir/cur/3.odd name:2,S", "Maildir/cur/3.odd name:2,RS");
	assert_true(is_believed());
	assert_int_equal(octets(2), 6);
	assert_content(0, "x\n\n");
}

static void
test_changed(void **state)
{
	struct timespec times[2] = { { .tv_sec = 9e8 }, { .tv_sec = 9e8 } };

	(void)state;
	make_known();
	put_old("Maildir/new/1.a", "longer\n");
	assert_int_equal(utimensat(home, "Maildir/cur/2.b:2,", times, 0), 0);
	put_old("Maildir/new/0.new", "0\n\n");
	assert_int_equal(unlinkat(home, "Maildir/cur/3.odd name:2,S", 0), 0);
	put_old("Maildir/new/4.new", "4\n\n");
	reopen();
	assert_int_equal(ops->count(box), 4);
	assert_int_equal(octets(0), 5);
	assert_int_equal(octets(1), 10);
	assert_int_equal(octets(2), 5);
	/* What was known and changes later is not sent. */
	put("Maildir/cur/2.b:2,", "y\n\n");
	reopen();
	put("Maildir/cur/2.b:2,", "zzz");
	assert_int_equal(fetch_error(2), ESTALE);
}

/* Within one tick of the clock a change may not show in the time. */
static void
test_recent(void **state)
{
	(void)state;
	make_maildir();
	put("Maildir/new/1.a", "\n\n\n");
	put("Maildir/new/2.b", "\n\n\n");
	put_old("Maildir/new/3.c", "\n\n\n");
	put_old("Maildir/new/4.same,S=1", "\n\n\n");
	put_old("Maildir/new/4.same,S=2", "\n\n\n");
	reopen();
	save();
	assert_int_equal(saved[8], 1);
	assert_int_equal(saved_len, 24 + 25 + 3);
}

/* Cut short or changed anywhere. */
static void
test_torn(void **state)
{
	size_t i;

	(void)state;
	make_known();
	for (i = 0; i < saved_len; i++) {
		restore(i);
		assert_false(is_believed());
	}
	for (i = 0; i < saved_len; i++) {
		saved[i] ^= 1;
		restore(saved_len);
		assert_false(is_believed());
		saved[i] ^= 1;
	}
	saved_len++;
	restore(saved_len);
	assert_false(is_believed());
	saved_len--;
	restore(saved_len);
	assert_true(is_believed());
}

static void
store(size_t at, uint64_t v)
{
	int i;

	for (i = 0; i < 8; i++)
		saved[at + (size_t)i] = (uint8_t)(v >> (8 * i));
}

/* With a good sum, but not what can have been written. */
static void
test_wrong(void **state)
{
	static const struct { size_t at; uint64_t value; } t[] = {
		{ 8, 2 }, { 8, 4 }, { 8, UINT64_MAX },
		{ 16, 2 }, { 16, 11 }, { 24, UINT64_MAX / 2 },
	};
	uint8_t good[256];
	size_t i, len;

	(void)state;
	make_known();
	len = saved_len;
	assert_true(len < sizeof(good));
	memcpy(good, saved, len);
	for (i = 0; i <= sizeof(t) / sizeof(t[0]); i++) {
		memcpy(saved, good, len);
		if (i > 0)
			store(t[i - 1].at, t[i - 1].value);
		store(len - 8, maildir_sizes_sum(0, saved, len - 8));
		restore(len);
		assert_int_equal(is_believed(), i == 0);
	}
	/* Not in order: 25 octets and the name for each record. */
	memcpy(saved, good, len);
	saved[16 + 25] = '7';
	store(len - 8, maildir_sizes_sum(0, saved, len - 8));
	restore(len);
	assert_false(is_believed());
}

/* What else may be in its place. */
static void
test_strange(void **state)
{
	(void)state;
	make_known();
	assert_int_equal(fchmodat(home, SIZES, 0620, 0), 0);
	assert_false(is_believed());
	restore(saved_len);
	assert_int_equal(linkat(home, SIZES, home, "second", 0), 0);
	assert_false(is_believed());
	move("second", "elsewhere");
	assert_int_equal(unlinkat(home, SIZES, 0), 0);
	assert_int_equal(symlinkat("../elsewhere", home, SIZES), 0);
	assert_false(is_believed());
	assert_int_equal(unlinkat(home, SIZES, 0), 0);
	assert_int_equal(mkfifoat(home, SIZES, 0600), 0);
	assert_false(is_believed());
	assert_int_equal(unlinkat(home, SIZES, 0), 0);
	assert_int_equal(mkdirat(home, SIZES, 0700), 0);
	assert_false(is_believed());
	assert_false(is_believed());
	assert_false(has(SIZES ".new"));
	assert_int_equal(unlinkat(home, SIZES, AT_REMOVEDIR), 0);
	restore(saved_len);
	if (getuid() == 0) {
		assert_int_equal(fchownat(home, SIZES, 12345, 0, 0), 0);
		assert_false(is_believed());
	}
	/* And what is in the way of a new one. */
	assert_int_equal(unlinkat(home, SIZES, 0), 0);
	put("elsewhere", "stays");
	assert_int_equal(symlinkat("../elsewhere", home, SIZES ".new"), 0);
	assert_false(is_believed());
	assert_true(has(SIZES));
	assert_false(has(SIZES ".new"));
}

/* Many, so that buffers are filled more than once. */
static void
test_many(void **state)
{
	char name[96];
	int i;

	(void)state;
	make_maildir();
	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "Maildir/cur/%d.M%dP1V0000.some."
		    "host.example.org:2,S", (i * 7919) % 3000 + 1, i);
		put_old(name, i % 2 ? "\n\n" : "xy");
	}
	reopen();
	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "Maildir/cur/%d.M%dP1V0000.some."
		    "host.example.org:2,S", (i * 7919) % 3000 + 1, i);
		put_old(name, "z\n");
	}
	reopen();
	for (i = 0; i < 3000; i++)
		assert_true(octets((size_t)i) == 4 || octets((size_t)i) == 6);
	/* One more is not worth writing it all anew. */
	put_old("Maildir/cur/4000.x:2,", "\n\n");
	reopen();
	put_old("Maildir/cur/4000.x:2,", "z\n");
	reopen();
	assert_int_equal(octets(3000), 5);
}

/* Nothing can be written: then it is not, and all else is as ever. */
static void
test_file_limit(void **state)
{
	struct rlimit none = { 0, 0 }, before;

	(void)state;
	make_maildir();
	put_old("Maildir/new/1.a", "\n\n\n");
	put_old("Maildir/new/2.b", "\n\n\n");
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	reopen();
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(octets(1), 6);
	assert_false(has(SIZES));
	assert_false(has(SIZES ".new"));
}

/* In a child with a small file system of its own for a home. */
static int
on_full_disk(void)
{
	uint8_t both[1] = { 3 };
	struct mailbox *first;
	size_t failed;
	int fd;

	if (unshare(CLONE_NEWNS) == -1 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
	    mount("small", identity.home, "tmpfs", 0,
	    "size=64k,nr_inodes=7,mode=700") == -1)
		return 2;
	close(home);
	home = open(identity.home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	make_maildir();			/* five inodes with the root */
	put_old("Maildir/new/1.a", "\n\n\n");
	put_old("Maildir/new/2.b", "\n\n\n");
	fd = openat(home, "Maildir/one-too-many", O_WRONLY | O_CREAT, 0600);
	if (fd != -1 || errno != ENOSPC)
		return 3;
	/* Read, locked, and emptied. */
	reopen();
	if (ops->count(box) != 2 || octets(0) != 6)
		return 4;
	first = box;
	box = NULL;
	if (enter(0) == -1 || ops->open(box) != -1 || errno != EBUSY)
		return 5;
	ops->close(box);
	box = first;
	if (ops->expunge(box, both, &failed) == -1 || failed != 0)
		return 6;
	/* Now there is room for the file, and the lock still excludes. */
	box = NULL;
	if (enter(0) == -1 || ops->open(box) != -1 || errno != EBUSY ||
	    !has("Maildir/postern.lock"))
		return 7;
	ops->close(first);
	return ops->open(box) == 0 && ops->count(box) == 0 ? 0 : 8;
}

static void
test_full_disk(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (getuid() != 0)
		skip();
	fflush(NULL);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0)
		_exit(on_full_disk());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 2)
		skip();			/* no mounts here */
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_believed),
		TEST(test_changed),
		TEST(test_recent),
		TEST(test_torn),
		TEST(test_wrong),
		TEST(test_strange),
		TEST(test_many),
		TEST(test_file_limit),
		TEST(test_full_disk),
	};

	return cmocka_run_group_tests_name("test_maildir_sizes", tests, NULL,
	    NULL);
}
