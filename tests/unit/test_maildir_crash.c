/* LINK: MAILBOX privsep/gates privsep/message privsep/log */
/* LIBS: -lmd -lbsd -Wl,--wrap=write,--wrap=pwrite,--wrap=copy_file_range,--wrap=fsync,--wrap=ftruncate,--wrap=unlinkat,--wrap=renameat,--wrap=linkat,--wrap=mkdirat,--wrap=fallocate,--wrap=openat */
/*
 * test_maildir_crash: every system call of a delivery to a Maildir, and of an
 * expunge, that changes a file is in turn the last one, or fails.
 */
#include "crash_points.h"
#include "maildir_home.h"

#define HEAD	"Return-Path: <>\nDelivered-To: alice@example.org\n"
#define OTHERS	5
#define LARGE	300000

static char large[sizeof(HEAD) + LARGE];
static struct mailbox_letter letter;

static const char *
other(int i)
{
	static char text[64];

	snprintf(text, sizeof(text), "Subject: other %d\n\ntext %d\n", i, i);
	return text;
}

static void
fresh_maildir(void)
{
	char path[sizeof(identity.home) + 16];
	int i;

	ops->close(box);
	box = NULL;
	snprintf(path, sizeof(path), "%s/Maildir", identity.home);
	remove_tree(path);
	make_maildir();
	for (i = 0; i < OTHERS; i++) {
		snprintf(path, sizeof(path), i % 2 ? "Maildir/cur/%d.o.h:2,S" :
		    "Maildir/new/%d.o.h", 1600000000 + i);
		put(path, other(i));
	}
}

static void
write_letter(size_t length)
{
	size_t i;
	int fd;

	memset(large, 'x', sizeof(large));
	memcpy(large, HEAD, strlen(HEAD));
	for (i = strlen(HEAD) + 70; i < strlen(HEAD) + length; i += 71)
		large[i] = '\n';
	large[strlen(HEAD) + length - 1] = '\n';
	fd = openat(home, "spool", O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, large + strlen(HEAD), length), length);
	memset(&letter, 0, sizeof(letter));
	letter.queue_id = "id";
	letter.arrived = 1700000000;
	letter.head = HEAD;
	letter.head_len = strlen(HEAD);
	letter.content = fd;
	letter.length = length;
	for (i = 0; i < length; i++)
		letter.lines += large[strlen(HEAD) + i] == '\n';
}

static int
run_append(void *arg)
{
	(void)arg;
	return ops->append(box, &letter);
}

static void
assert_is(size_t n, const char *text, size_t len)
{
	static char got[sizeof(large)];
	uint64_t offset, length;
	int fd;

	assert_int_equal(ops->fetch(box, n, &fd, &offset, &length), 0);
	assert_int_equal(length, len);
	assert_int_equal(pread(fd, got, len, (off_t)offset), len);
	assert_memory_equal(got, text, len);
	close(fd);
}

/* The others are as they were; how many copies of the letter there are. */
static size_t
count_copies(void)
{
	size_t i;

	reopen();
	assert_true(ops->count(box) >= OTHERS);
	for (i = 0; i < OTHERS; i++)
		assert_is(i, other((int)i), strlen(other((int)i)));
	for (; i < ops->count(box); i++)
		assert_is(i, large, strlen(HEAD) + letter.length);
	return ops->count(box) - OTHERS;
}

static void
try_append(size_t mode)
{
	int at, result;
	size_t copies;

	for (at = 1; ; at++) {
		fresh_maildir();
		letter.tried_before = 0;
		if (!crash_try(&crash_modes[mode], at, run_append, NULL,
		    &result))
			break;
		copies = count_copies();
		assert_in_range(copies, 0, 1);
		if (crash_modes[mode].error == 0)
			;		/* killed: it said nothing */
		else if (result == 0)
			assert_int_equal(copies, 1);
		/* And once more, as the queue does. */
		make_maildir();
		letter.tried_before = 1;
		assert_int_equal(ops->append(box, &letter), 0);
		assert_int_equal(count_copies(), 1);
		make_maildir();
		assert_int_equal(ops->settle(box, "id"), 0);
		assert_false(has("Maildir/tmp/T.id"));
		assert_false(has("Maildir/tmp/W.id"));
	}
	assert_true(at > 5);
}

static void
test_append_everywhere(void **state)
{
	static const size_t lengths[] = { 100, LARGE };
	size_t i, mode;

	(void)state;
	for (i = 0; i < 2; i++) {
		write_letter(lengths[i]);
		for (mode = 0; mode < CRASH_MODES; mode++)
			try_append(mode);
		close(letter.content);
	}
	crash_report("delivery to a Maildir");
}

/* The first letter of all: the Maildir is made. */
static int
run_first(void *arg)
{
	(void)arg;
	return enter(1) == 0 ? ops->append(box, &letter) : -1;
}

static void
test_first_everywhere(void **state)
{
	char path[sizeof(identity.home) + 16];
	size_t mode;
	int at, result;

	(void)state;
	write_letter(100);
	snprintf(path, sizeof(path), "%s/Maildir", identity.home);
	for (mode = 0; mode < CRASH_MODES; mode++)
		for (at = 1; ; at++) {
			ops->close(box);
			box = NULL;
			remove_tree(path);
			letter.tried_before = 0;
			if (!crash_try(&crash_modes[mode], at, run_first,
			    NULL, &result))
				break;
			if (crash_modes[mode].error != 0 && result == 0) {
				reopen();
				assert_int_equal(ops->count(box), 1);
			}
			make_maildir();
			letter.tried_before = 1;
			assert_int_equal(ops->append(box, &letter), 0);
			reopen();
			assert_int_equal(ops->count(box), 1);
			assert_is(0, large, strlen(HEAD) + letter.length);
		}
	close(letter.content);
	crash_report("first delivery to a Maildir");
}

static const uint8_t marked[1] = { 0x15 };	/* 0, 2 and 4 */

static int
run_expunge(void *arg)
{
	size_t failed;

	(void)arg;
	return ops->expunge(box, marked, &failed);
}

/* What is not marked is there; how many of the marked are. */
static int
count_marked(void)
{
	uint64_t offset, length;
	char got[64];
	int i, fd, found[OTHERS] = { 0 };
	size_t n;
	ssize_t len;

	reopen();
	for (n = 0; n < ops->count(box); n++) {
		assert_int_equal(ops->fetch(box, n, &fd, &offset, &length),
		    0);
		len = pread(fd, got, sizeof(got), (off_t)offset);
		close(fd);
		for (i = 0; i < OTHERS; i++)
			if (len == (ssize_t)strlen(other(i)) &&
			    memcmp(got, other(i), (size_t)len) == 0)
				break;
		assert_true(i < OTHERS);
		found[i]++;
	}
	assert_int_equal(found[1], 1);
	assert_int_equal(found[3], 1);
	for (i = 0; i < OTHERS; i++)
		assert_in_range(found[i], 0, 1);
	return found[0] + found[2] + found[4];
}

static void
test_expunge_everywhere(void **state)
{
	size_t mode;
	int at, result, left;

	(void)state;
	for (mode = 0; mode < CRASH_MODES; mode++)
		for (at = 1; ; at++) {
			fresh_maildir();
			reopen();
			if (!crash_try(&crash_modes[mode], at, run_expunge,
			    NULL, &result))
				break;
			left = count_marked();
			if (crash_modes[mode].error != 0 && result == 0)
				assert_int_equal(left, 0);
		}
	crash_report("expunge of a Maildir");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_append_everywhere),
		TEST(test_first_everywhere),
		TEST(test_expunge_everywhere),
	};

	return cmocka_run_group_tests_name("test_maildir_crash", tests, NULL,
	    NULL);
}
