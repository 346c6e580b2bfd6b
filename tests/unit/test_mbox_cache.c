/* LINK: MAILBOX */
/* LIBS: -lmd */
/*
 * test_mbox_cache: the index of an mbox that is kept for the next session,
 * while others use the mbox, and while it is wrong by chance or on purpose.
 */
#include "mailbox/mbox_cache.h"
#include "mbox_home.h"

#define CACHE		".postern/" MBOX_CACHE_NAME
#define COUNT		700
#define SIZE		2048	/* of each message's space */
#define MBOX_SIZE	((size_t)COUNT * SIZE)
#define HEAD_SIZE	64
#define RECORD		39

static char mbox[2 * MBOX_SIZE];
static size_t mbox_len;
static time_t skew;		/* how late it is, by what the program asks */

time_t
time(time_t *t)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (t != NULL)
		*t = now.tv_sec + skew;
	return now.tv_sec + skew;
}

static void
make_message(char *p, int number)
{
	int len;

	memset(p, 'x', SIZE);
	len = snprintf(p, SIZE, FROM "Subject: message %d\n\n%d ", number,
	    number);
	p[len] = 'x';
	memcpy(p + SIZE - 2, "\n\n", 2);
}

static void
put_mbox(void)
{
	put("mbox", mbox, mbox_len);
}

/* In place, as most programs that rewrite it do. */
static void
make_mbox(void)
{
	int i;

	skew = 0;
	for (i = 0; i < COUNT; i++)
		make_message(mbox + (size_t)i * SIZE, i);
	mbox_len = MBOX_SIZE;
	put_mbox();
}

static void
add_message(int number)
{
	make_message(mbox + mbox_len, number);
	mbox[mbox_len + SIZE] = '\0';
	add("mbox", mbox + mbox_len);
	mbox_len += SIZE;
}

static const char *
uidl(size_t n)
{
	static char copy[4][UIDL_MAX];
	static size_t next;

	next = (next + 1) % 4;
	return strcpy(copy[next], ops->message(box, n)->uidl);
}

/* 0 and it is the message of that number; or the errno of the fetch. */
static int
fetch(size_t n, int number)
{
	char got[SIZE], want[SIZE];
	uint64_t offset, length;
	const char *lf;
	int fd;

	if (ops->fetch(box, n, &fd, &offset, &length) == -1)
		return errno;
	make_message(want, number);
	lf = strchr(want, '\n') + 1;
	assert_int_equal(length, SIZE - 1 - (lf - want));
	assert_int_equal(pread(fd, got, length, (off_t)offset), length);
	assert_memory_equal(got, lf, length);
	assert_int_equal(ops->message(box, n)->octets, length + 3);
	close(fd);
	return 0;
}

/* The session sees these messages, from the first to the last. */
static void
check_all(const int *numbers, size_t count)
{
	size_t i;

	assert_int_equal(ops->count(box), count);
	for (i = 0; i < count; i++)
		assert_int_equal(fetch(i, numbers[i]), 0);
}

static void
check_row(size_t count)
{
	int numbers[2 * COUNT];
	size_t i;

	for (i = 0; i < count; i++)
		numbers[i] = (int)i;
	check_all(numbers, count);
}

static void
expunge_one(size_t n)
{
	uint8_t bitmap[COUNT / 4] = { 0 };
	size_t failed;

	bitmap[n / 8] = (uint8_t)(1U << (n % 8));
	assert_int_equal(ops->expunge(box, bitmap, &failed), 0);
}

/* Change octets of the kept file, and make its sum right if asked. */
static void
spoil(size_t at, const void *data, size_t len, int with_sum)
{
	struct text cache = get(CACHE);
	uint64_t sum;
	int i;

	assert_true(at + len <= cache.len);
	memcpy(cache.data + at, data, len);
	sum = mbox_cache_sum((uint8_t *)cache.data, cache.len - 8);
	for (i = 0; with_sum && i < 8; i++)
		cache.data[cache.len - 8 + (size_t)i] = (char)(sum >> (8 * i));
	put(CACHE, cache.data, cache.len);
	free(cache.data);
}

static void
spoil_hash(size_t n)
{
	spoil(HEAD_SIZE + n * RECORD + 19, "another's hash......", 20, 1);
}

static void
test_kept(void **state)
{
	char before[UIDL_MAX];

	(void)state;
	make_mbox();
	reopen();
	assert_false(box->is_remembered);
	assert_true(has(CACHE));
	check_row(COUNT);
	strcpy(before, uidl(5));
	reopen();
	assert_true(box->is_remembered);
	assert_string_equal(uidl(5), before);
	assert_string_not_equal(uidl(6), before);
	check_row(COUNT);
	assert_true(box->is_remembered);
	assert_file("mbox", mbox);
	leave();
	/* For one that is read in no time there is none. */
	put("mbox", FROM "A: b\n\nx\n\n", strlen(FROM) + 9);
	unlinkat(home, CACHE, 0);
	reopen();
	assert_int_equal(ops->count(box), 1);
	assert_false(has(CACHE));
}

static void
test_appended(void **state)
{
	struct text kept;
	int i;

	(void)state;
	make_mbox();
	reopen();
	kept = get(CACHE);
	for (i = 0; i < 3; i++) {
		add_message(COUNT + i);
		reopen();
		assert_true(box->is_remembered);
		check_row(COUNT + (size_t)i + 1);
	}
	/* A little is not written down, much is. */
	assert_true(file_is(CACHE, kept.data, kept.len));
	for (; mbox_len < MBOX_SIZE + 1024 * 1024; i++)
		add_message(COUNT + i);
	reopen();
	assert_true(box->is_remembered);
	check_row(COUNT + (size_t)i);
	assert_false(file_is(CACHE, kept.data, kept.len));
	free(kept.data);
	/* A last message that goes on: it is another one then. */
	add("mbox", "more of it\n");
	reopen();
	assert_false(box->is_remembered);
	assert_int_equal(ops->count(box), (size_t)COUNT + (size_t)i);
	assert_int_equal(ops->message(box, (size_t)COUNT + (size_t)i - 1)
	    ->octets, SIZE - strlen(FROM) - 1 + 3 + 2 + 12);
}

static void
swap(size_t a, size_t b)
{
	static char one[SIZE];

	memcpy(one, mbox + a * SIZE, SIZE);
	memcpy(mbox + a * SIZE, mbox + b * SIZE, SIZE);
	memcpy(mbox + b * SIZE, one, SIZE);
}

/* What others do to an mbox, of which the last message tells nothing. */
static void
test_changed(void **state)
{
	char before[UIDL_MAX];

	(void)state;
	make_mbox();
	reopen();
	strcpy(before, uidl(1));
	/* Sorted. */
	swap(1, 3);
	put_mbox();
	reopen();
	assert_true(box->is_remembered);
	check_row(COUNT);		/* each is what its number says */
	assert_false(box->is_remembered || has(CACHE));
	reopen();
	assert_string_equal(uidl(3), before);
	/* Another message in the place of one. */
	make_message(mbox + SIZE, 1000);
	put_mbox();
	reopen();
	assert_true(box->is_remembered);
	assert_int_equal(fetch(0, 0), 0);
	assert_int_equal(fetch(1, 3), ENOENT);
	assert_int_equal(fetch(2, 2), 0);
	assert_false(box->is_remembered || has(CACHE));
	reopen();
	assert_int_equal(fetch(1, 1000), 0);
	/* Shorter; another file. */
	mbox_len -= SIZE;
	put_mbox();
	reopen();
	assert_false(box->is_remembered);
	assert_int_equal(ops->count(box), COUNT - 1);
	put("other", mbox, mbox_len);
	assert_int_equal(renameat(home, "other", home, "mbox"), 0);
	reopen();
	assert_false(box->is_remembered);
}

/* Removed is what the client has seen, whatever was remembered. */
static void
test_expunge(void **state)
{
	(void)state;
	make_mbox();
	reopen();
	swap(1, 3);
	put_mbox();
	reopen();
	assert_true(box->is_remembered);
	expunge_one(1);
	memmove(mbox + 3 * SIZE, mbox + 4 * SIZE, MBOX_SIZE - 4 * SIZE);
	mbox[MBOX_SIZE - SIZE] = '\0';
	assert_file("mbox", mbox);
	assert_false(has(CACHE));
	reopen();
	assert_int_equal(ops->count(box), COUNT - 1);
	assert_true(has(CACHE));
	expunge_one(0);
	assert_file("mbox", mbox + SIZE);
	reopen();
	assert_false(box->is_remembered);
	assert_int_equal(fetch(0, 3), 0);
}

/*
 * A change in the moment in which it was indexed might not show: only of what
 * has lain for two seconds nothing at all is read again.
 */
static void
test_settled(void **state)
{
	char before[UIDL_MAX];

	(void)state;
	make_mbox();
	reopen();
	strcpy(before, uidl(COUNT - 1));
	spoil_hash(COUNT - 1);
	reopen();
	assert_false(box->is_remembered);	/* it looked */
	assert_string_equal(uidl(COUNT - 1), before);
	unlinkat(home, CACHE, 0);
	skew = 4;
	reopen();
	spoil_hash(COUNT - 1);
	reopen();
	assert_true(box->is_remembered);	/* it did not */
	assert_string_not_equal(uidl(COUNT - 1), before);
	/* But nobody gets a message by a wrong name. */
	assert_int_equal(fetch(0, 0), 0);
	assert_int_equal(fetch(COUNT - 1, COUNT - 1), ENOENT);
	assert_int_equal(fetch(COUNT - 2, COUNT - 2), 0);
	reopen();
	assert_string_equal(uidl(COUNT - 1), before);
	/* The time of the content may be set back, that of the file not. */
	reopen();
	assert_true(box->is_remembered);
	spoil_hash(COUNT - 1);
	assert_int_equal(fchmodat(home, "mbox", 0640, 0), 0);
	reopen();
	assert_false(box->is_remembered);
}

/* As the user's own hand might leave it. */
static void
test_hostile(void **state)
{
	size_t i;

	(void)state;
	make_mbox();
	reopen();
	leave();
	for (i = 0; i < 6; i++) {
		if (i < 4)
			unlinkat(home, CACHE, 0);
		if (i == 0)
			assert_int_equal(symlinkat("/etc/passwd", home,
			    CACHE), 0);
		else if (i == 1)
			assert_int_equal(mkfifoat(home, CACHE, 0600), 0);
		else if (i == 2)
			put(CACHE, "", 0);
		else if (i == 3)
			assert_int_equal(mkdirat(home, CACHE, 0700), 0);
		else if (i == 4)
			assert_int_equal(mkdirat(home, CACHE ".new", 0700), 0);
		reopen();
		assert_false(box->is_remembered);
		check_row(COUNT);
	}
	unlinkat(home, CACHE, AT_REMOVEDIR);
	unlinkat(home, CACHE ".new", AT_REMOVEDIR);
}

/* Which message has this name, by a session that read all. */
static int
number_of(char (*names)[UIDL_MAX], const char *name)
{
	int i;

	for (i = 0; i < COUNT; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

/*
 * Octets changed anywhere: a session opens, and whatever it gives away is
 * what the name says, whole, and of the size that it says.
 */
static void
test_corrupt(void **state)
{
	static char names[COUNT][UIDL_MAX];
	uint8_t octets[8];
	struct text good;
	size_t i, k, round, seen = 0;
	int number, r;

	(void)state;
	make_mbox();
	skew = 4;
	reopen();
	good = get(CACHE);
	for (i = 0; i < COUNT; i++)
		strcpy(names[i], uidl(i));
	srandom(5);
	for (round = 0; round < 150; round++) {
		put(CACHE, good.data, good.len);
		for (k = 0; k < sizeof(octets); k++)
			octets[k] = (uint8_t)random();
		i = round < 20 ? 8 + (size_t)random() % 56 :
		    HEAD_SIZE + (size_t)random() % (4 * RECORD);
		spoil(i, octets, 1 + (size_t)random() % 8, round % 10 != 0);
		reopen();
		seen += (size_t)box->is_remembered;
		for (i = 0; i < ops->count(box) && i < 8; i++) {
			number = number_of(names, uidl(i));
			r = fetch(i, number);
			assert_true(r == 0 || r == ENOENT);
			assert_true(r != 0 || number != -1);
		}
		leave();
	}
	assert_true(seen > 20 && seen < 150);
	free(good.data);
}

/* Octets that this process has read so far. */
static uint64_t
octets_read(void)
{
	FILE *io = fopen("/proc/self/io", "re");
	unsigned long long n;

	assert_non_null(io);
	assert_int_equal(fscanf(io, "rchar: %llu", &n), 1);
	fclose(io);
	return n;
}

/* What is young is not read as a whole to know that; what is old is. */
static void
test_older(void **state)
{
	uint64_t before;
	size_t i;

	(void)state;
	make_mbox();
	reopen();
	leave();
	reopen();
	assert_true(box->is_remembered);
	before = octets_read();
	for (i = 0; i < COUNT; i++)
		assert_false(ops->is_older(box, i, DATE - 86400));
	assert_true(octets_read() - before < MBOX_SIZE / 4);
	for (i = 0; i < COUNT; i++)
		assert_true(ops->is_older(box, i, DATE + 4 * 86400));
	/* A line that says so, but is another's by now. */
	make_message(mbox + 5 * SIZE, 4711);
	put_mbox();
	assert_false(ops->is_older(box, 5, DATE + 4 * 86400));
	assert_true(ops->is_older(box, 6, DATE + 4 * 86400));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kept),
		TEST(test_appended),
		TEST(test_changed),
		TEST(test_expunge),
		TEST(test_settled),
		TEST(test_hostile),
		TEST(test_corrupt),
		TEST(test_older),
	};

	return cmocka_run_group_tests_name("test_mbox_cache", tests, NULL,
	    NULL);
}
