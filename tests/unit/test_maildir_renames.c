/* LINK: MAILBOX */
/* LIBS: -lmd -lbsd -Wl,--wrap=readdir,--wrap=openat,--wrap=unlinkat,--wrap=maildir_scan_both */
/*
 * test_maildir_renames: a Maildir in which others rename while it is read.
 *
 * What a file system does to a reader whose names change is not the same on
 * any two: here readdir() itself does the worst that it may.
 */
#include "maildir_home.h"

/* Called with each name that is read, and NULL at a folder's end: hide it? */
static int (*meanwhile)(int dir, const char *name);
/* Called with each name that is about to be opened or unlinked. */
static void (*before_use)(int dir, const char *name);
static int readings;

struct dirent	*__real_readdir(DIR *);
struct dirent	*__wrap_readdir(DIR *);
int	__real_openat(int, const char *, int, ...);
int	__wrap_openat(int, const char *, int, ...);
int	__real_unlinkat(int, const char *, int);
int	__wrap_unlinkat(int, const char *, int);
int	__real_maildir_scan_both(struct mailbox *, maildir_found, void *,
	    int *);
int	__wrap_maildir_scan_both(struct mailbox *, maildir_found, void *,
	    int *);

struct dirent *
__wrap_readdir(DIR *dir)
{
	struct dirent *entry;
	int hides = 0, saved;

	do {
		entry = __real_readdir(dir);
		saved = errno;
		if (meanwhile != NULL)
			hides = meanwhile(dirfd(dir), entry == NULL ? NULL :
			    entry->d_name);
		errno = saved;
	} while (hides && entry != NULL);
	return entry;
}

int
__wrap_openat(int dir, const char *name, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (before_use != NULL)
		before_use(dir, name);
	return __real_openat(dir, name, flags, mode);
}

int
__wrap_unlinkat(int dir, const char *name, int flags)
{
	if (before_use != NULL)
		before_use(dir, name);
	return __real_unlinkat(dir, name, flags);
}

int
__wrap_maildir_scan_both(struct mailbox *mb, maildir_found found, void *arg,
    int *is_whole)
{
	readings++;
	return __real_maildir_scan_both(mb, found, arg, is_whole);
}

/* What others do. */

#define VICTIM	"3.Q3.x,W=5"

static int bad_readings;	/* that are disturbed, from the first on */
static int bad_uses;		/* names that go just before they are used */
static int renames;
static int renamed_in;		/* which reading */

static int
is_victim(const char *name)
{
	return strncmp(name, VICTIM, strlen(VICTIM)) == 0;
}

/* Other flags. */
static void
rename_it(int dir, const char *name)
{
	char to[64];

	snprintf(to, sizeof(to), VICTIM ":2,%s", ++renames % 2 ? "R" : "S");
	assert_int_equal(renameat(dir, name, dir, to), 0);
}

/* Renamed once a reading, in a way that this reading meets neither name. */
static int
rename_away(int dir, const char *name)
{
	if (readings > bad_readings || name == NULL || !is_victim(name))
		return 0;
	if (renamed_in != readings)
		rename_it(dir, name);
	renamed_in = readings;
	return 1;
}

/* From cur/ to new/, which has been read already. */
static int
move_back(int dir, const char *name)
{
	if (readings > bad_readings || name == NULL || !is_victim(name))
		return 0;
	if (strchr(name, ':') != NULL)
		assert_int_equal(renameat(dir, name, home, "Maildir/new/"
		    VICTIM), 0);
	return 1;
}

/* Something changes in every reading, though it is nothing. */
static void
disturb(int dir)
{
	int fd;

	if (readings > bad_readings)
		return;
	fd = __real_openat(dir, ".x", O_WRONLY | O_CREAT, 0600);
	assert_int_not_equal(fd, -1);
	close(fd);
	assert_int_equal(__real_unlinkat(dir, ".x", 0), 0);
}

static int
never_still(int dir, const char *name)
{
	if (name == NULL)
		disturb(dir);
	return 0;
}

/*
 * The victim gets a field after the first folder, or reading, in which it was
 * met: a name of another base.
 */
static int
correct_it(int dir, const char *name)
{
	static const char *const from[] = {
		"Maildir/new/" VICTIM, "Maildir/cur/" VICTIM ":2,"
	};
	int i;

	for (i = 0; i < 2; i++)
		if (name == NULL && readings == 1 && has(from[i]))
			move(from[i], "Maildir/cur/" VICTIM ",S=2:2,");
	return never_still(dir, name);
}

/* The last message goes after the first reading. */
static int
remove_one(int dir, const char *name)
{
	if (name == NULL && readings == 2)
		(void)__real_unlinkat(home, "Maildir/cur/5.Q5.x,W=5:2,", 0);
	return never_still(dir, name);
}

static void
rename_before_use(int dir, const char *name)
{
	if (bad_uses > 0 && is_victim(name)) {
		bad_uses--;
		rename_it(dir, name);
	}
}

/* Five messages, in cur/; nobody else is there yet. */
static void
five(int bad)
{
	char name[sizeof(identity.home) + 16];
	int i;

	meanwhile = NULL;
	before_use = NULL;
	snprintf(name, sizeof(name), "%s/Maildir", identity.home);
	remove_tree(name);
	make_maildir();
	for (i = 1; i <= 5; i++) {
		snprintf(name, sizeof(name), "Maildir/cur/%d.Q%d.x,W=5:2,", i,
		    i);
		put(name, "a\n");
	}
	readings = renames = renamed_in = bad_uses = 0;
	bad_readings = bad;
}

static void
assert_five(void)
{
	char name[UIDL_MAX];
	size_t i;

	assert_int_equal(ops->count(box), 5);
	for (i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "%zu.Q%zu.x", i + 1, i + 1);
		assert_string_equal(uidl(i), name);
		assert_int_equal(ops->message(box, i)->octets, 5);
	}
}

/* The tests. */

static void
test_one_reading(void **state)
{
	(void)state;
	five(0);
	be_quiet();
	reopen();
	assert_five();
	assert_int_equal(readings, 1);
}

/* The tick of the last change is not over when a reading is. */
static int is_same_tick;

static int
look_at_clock(int dir, const char *name)
{
	struct timespec now;
	struct stat st;

	if (name == NULL && readings == 1) {
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
		assert_int_equal(fstat(dir, &st), 0);
		is_same_tick = timespeccmp(&now, &st.st_ctim, <=);
	}
	return 0;
}

/* What changed in this tick may change again without showing. */
static void
test_same_tick(void **state)
{
	int i;

	(void)state;
	is_same_tick = 0;
	for (i = 0; i < 1000 && !is_same_tick; i++) {
		five(0);
		assert_int_equal(enter(0), 0);
		meanwhile = look_at_clock;
		move("Maildir/cur/" VICTIM ":2,", "Maildir/cur/" VICTIM ":2,T");
		assert_int_equal(ops->open(box), 0);
	}
	if (!is_same_tick)
		skip();		/* the machine is too slow for it */
	assert_true(readings > 1);
}

static void
test_hidden_at_open(void **state)
{
	static const int bad[] = { 1, 2, 6 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		five(bad[i]);
		meanwhile = rename_away;
		reopen();
		assert_five();
		assert_int_equal(renames, bad[i]);
		assert_true(readings > bad[i]);
	}
}

static void
test_moved_back_at_open(void **state)
{
	(void)state;
	five(1);
	meanwhile = move_back;
	reopen();
	assert_five();
	assert_true(has("Maildir/new/" VICTIM));
}

/* No reading is whole: all that any has met, each once, under its last name. */
static void
test_never_still(void **state)
{
	(void)state;
	five(1000);
	meanwhile = never_still;
	reopen();
	assert_five();
	assert_int_equal(readings, 7);
	assert_content(2, "a\n");
}

static void
test_never_still_and_corrected(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		five(i < 2 ? 1 : 1000);
		if (i % 2 == 0)
			move("Maildir/cur/" VICTIM ":2,", "Maildir/new/"
			    VICTIM);
		meanwhile = correct_it;
		reopen();
		assert_five();
		assert_content(2, "a\n");
		assert_true(has("Maildir/cur/" VICTIM ",S=2:2,"));
	}
}

/* Twins in spite of the unrest; and what is gone is known to be. */
static void
test_never_still_twins(void **state)
{
	char twin[UIDL_MAX];

	(void)state;
	five(1000);
	put("Maildir/cur/3.Q3.x:2,", "abc\n");
	meanwhile = never_still;
	reopen();
	assert_int_equal(ops->count(box), 6);
	strlcpy(twin, uidl(2), sizeof(twin));
	assert_int_equal(strlen(twin), 64);
	assert_int_equal(strlen(uidl(3)), 64);
	assert_string_not_equal(twin, uidl(3));
	assert_content(2, "abc\n");
	assert_content(3, "a\n");
}

static void
test_gone_at_open(void **state)
{
	(void)state;
	five(2);
	meanwhile = remove_one;
	reopen();		/* the third reading is whole */
	assert_int_equal(ops->count(box), 4);
	assert_string_equal(uidl(3), "4.Q4.x");

	five(1000);
	meanwhile = remove_one;
	reopen();
	assert_five();
	assert_int_equal(fetch_error(4), ENOENT);
	assert_content(3, "a\n");
}

/* A message that is there is never called gone. */
static void
test_hidden_at_fetch(void **state)
{
	int bad;

	(void)state;
	for (bad = 0; bad <= 5; bad++) {
		five(bad);
		reopen();
		assert_five();
		move("Maildir/cur/" VICTIM ":2,", "Maildir/cur/" VICTIM
		    ":2,T");
		readings = 0;
		meanwhile = rename_away;
		assert_content(2, "a\n");
		assert_int_equal(readings, bad + 1);
		readings = 0;
		meanwhile = NULL;
		assert_content(2, "a\n");
		assert_int_equal(readings, 0);
	}
}

static void
test_gone_at_fetch(void **state)
{
	(void)state;
	five(0);
	reopen();
	assert_int_equal(unlinkat(home, "Maildir/cur/" VICTIM ":2,", 0), 0);
	assert_int_equal(unlinkat(home, "Maildir/cur/5.Q5.x,W=5:2,", 0), 0);
	be_quiet();
	readings = 0;
	assert_int_equal(fetch_error(2), ENOENT);
	assert_int_equal(fetch_error(2), ENOENT);
	assert_int_equal(fetch_error(4), ENOENT);
	assert_int_equal(readings, 1);
	assert_content(3, "a\n");
	/* However restless it is. */
	five(1000);
	reopen();
	assert_int_equal(unlinkat(home, "Maildir/cur/" VICTIM ":2,", 0), 0);
	meanwhile = never_still;
	assert_int_equal(fetch_error(2), ENOENT);
	assert_in_range(readings, 2, 32);
	readings = 0;
	assert_int_equal(fetch_error(2), ENOENT);
	assert_int_equal(readings, 0);
}

/* Always renamed before it can be opened: not now, but not gone. */
static void
test_renamed_before_open(void **state)
{
	(void)state;
	five(0);
	reopen();
	before_use = rename_before_use;
	bad_uses = 5;
	assert_content(2, "a\n");
	assert_int_equal(renames, 5);
	bad_uses = 1000;
	assert_int_equal(fetch_error(2), EAGAIN);
	assert_true(renames < 50);
	bad_uses = 0;
	assert_content(2, "a\n");
}

static void
test_renamed_before_unlink(void **state)
{
	uint8_t bitmap[1] = { 0x1e };		/* all but the first */
	size_t failed;

	(void)state;
	five(0);
	reopen();
	before_use = rename_before_use;
	bad_uses = 5;
	assert_int_equal(ops->expunge(box, bitmap, &failed), 0);
	assert_int_equal(renames, 5);
	reopen();
	assert_int_equal(ops->count(box), 1);
	/* At every try: what is left is told. */
	five(0);
	reopen();
	before_use = rename_before_use;
	bad_uses = 1000;
	assert_int_equal(ops->expunge(box, bitmap, &failed), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(failed, 1);
	assert_true(renames < 50);
	before_use = NULL;
	reopen();
	assert_int_equal(ops->count(box), 2);
	assert_string_equal(uidl(1), "3.Q3.x");
}

static void
test_hidden_at_expunge(void **state)
{
	uint8_t bitmap[1] = { 0x1e };
	size_t failed;

	(void)state;
	five(5);
	reopen();
	/* One is renamed, and renamed again while it is looked for. */
	move("Maildir/cur/" VICTIM ":2,", "Maildir/cur/" VICTIM ":2,T");
	assert_int_equal(unlinkat(home, "Maildir/cur/5.Q5.x,W=5:2,", 0), 0);
	readings = 0;
	meanwhile = rename_away;
	assert_int_equal(ops->expunge(box, bitmap, &failed), 0);
	meanwhile = NULL;
	reopen();
	assert_int_equal(ops->count(box), 1);
}

/* A delivery that is looked for is not missed, and so not made twice. */
static void
test_hidden_delivery(void **state)
{
	(void)state;
	five(1);
	meanwhile = rename_away;
	assert_int_equal(maildir_may_have(box, "3"), 1);
	five(1);
	meanwhile = rename_away;
	assert_int_equal(maildir_has_delivery(box, "3"), 1);
	five(0);
	be_quiet();
	readings = 0;
	assert_int_equal(maildir_has_delivery(box, "7"), 0);
	assert_int_equal(readings, 1);
}

static int
teardown_hooks(void **state)
{
	meanwhile = NULL;
	before_use = NULL;
	return teardown(state);
}

#define TEST_HOOKED(name) \
	cmocka_unit_test_setup_teardown(name, setup, teardown_hooks)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_HOOKED(test_one_reading),
		TEST_HOOKED(test_same_tick),
		TEST_HOOKED(test_hidden_at_open),
		TEST_HOOKED(test_moved_back_at_open),
		TEST_HOOKED(test_never_still),
		TEST_HOOKED(test_never_still_and_corrected),
		TEST_HOOKED(test_never_still_twins),
		TEST_HOOKED(test_gone_at_open),
		TEST_HOOKED(test_hidden_at_fetch),
		TEST_HOOKED(test_gone_at_fetch),
		TEST_HOOKED(test_renamed_before_open),
		TEST_HOOKED(test_renamed_before_unlink),
		TEST_HOOKED(test_hidden_at_expunge),
		TEST_HOOKED(test_hidden_delivery),
	};

	return cmocka_run_group_tests_name("test_maildir_renames", tests, NULL,
	    NULL);
}
