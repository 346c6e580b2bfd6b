/* LINK: smtpd/spool smtpd/spool_write smtpd/spool_read smtpd/envelope smtpd/address smtpd/xtext wire/utf8 */
/*
 * The spool: what fails leaves nothing; locks; names; what dead agents leave,
 * and what is no letter.
 */
#include <sys/syscall.h>

#include "spool_letter.h"

static ino_t synced;	/* what the last fsync() was of */

int
fsync(int fd)
{
	struct stat st;

	synced = fstat(fd, &st) == 0 ? st.st_ino : 0;
	return (int)syscall(SYS_fsync, fd);
}

/* Made on the first start, it is there after a power cut, too. */
static void
made_to_stay(void **state)
{
	struct stat st;
	int parent = openat(spool.queue, "..", O_RDONLY | O_DIRECTORY);

	(void)state;
	assert_int_equal(fstat(parent, &st), 0);
	synced = 0;
	assert_int_equal(spool_make(parent), 0);
	assert_int_equal(synced, st.st_ino);
	close(parent);
}

static void
abort_leaves_nothing(void **state)
{
	(void)state;
	make_envelope();
	assert_int_equal(spool_begin(&writer, &spool, &envelope), 0);
	assert_int_equal(count_in(spool.incoming, 0), 1);
	spool_abort(&writer);
	assert_int_equal(count_in(spool.incoming, 0), 0);
	assert_int_equal(count_in(spool.queue, 0), 0);
}

/* A write that failed is told at commit, and nothing is half-queued. */
static void
failed_write(void **state)
{
	struct spool_name name;

	(void)state;
	make_envelope();
	assert_int_equal(spool_begin(&writer, &spool, &envelope), 0);
	spool_put(&writer, content, 5);
	writer.error = ENOSPC;
	spool_put(&writer, content, 5);
	errno = 0;
	assert_int_equal(spool_commit(&writer, &name), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(count_in(spool.incoming, 0), 0);
	assert_int_equal(count_in(spool.queue, 0), 0);
}

static void
locks(void **state)
{
	struct spool_name name = write_letter();
	struct letter l, second;
	int copy;

	(void)state;
	assert_int_equal(letter_open(&spool, &name, &l), 0);
	assert_int_equal(letter_open(&spool, &name, &second), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	/* The lock lives with a copy that an agent has. */
	copy = dup(l.fd);
	letter_close(&l);
	assert_int_equal(letter_open(&spool, &name, &second), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	close(copy);
	assert_int_equal(letter_open(&spool, &name, &second), 0);
	letter_close(&second);
}

/* Letters of the queue itself: an id of its own, held until it is let go. */
static void
hold(void **state)
{
	static const char id[] = "0123456789abcdefXYZ0";
	int i;

	(void)state;
	make_envelope();
	assert_int_equal(spool_begin_as(&writer, &spool, &envelope, "../x"), -1);
	assert_int_equal(errno, EINVAL);
	/* Left over, and then once more. */
	assert_int_equal(spool_begin_as(&writer, &spool, &envelope, id), 0);
	close(writer.fd);
	for (i = 0; i < 2; i++) {
		assert_int_equal(spool_begin_as(&writer, &spool, &envelope,
		    id), 0);
		spool_put(&writer, content, sizeof(content) - 1);
		assert_int_equal(spool_hold(&writer), 0);
		assert_int_equal(count_in(spool.incoming, 0), 0);
		assert_int_equal(count_in(spool.held, 0), 1);
	}
	assert_int_equal(spool_begin_as(&writer, &spool, &envelope, id), 0);
	writer.error = ENOSPC;
	assert_int_equal(spool_hold(&writer), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(count_in(spool.incoming, 0), 0);
	assert_int_equal(count_in(spool.held, 0), 1);
}

static void
clean_incoming(void **state)
{
	int fd;

	(void)state;
	make_envelope();
	assert_int_equal(spool_begin(&writer, &spool, &envelope), 0);
	/* Its writer lives. */
	assert_int_equal(spool_clean(&spool), 0);
	close(writer.fd);	/* and dies */
	writer.fd = -1;
	fd = openat(spool.incoming, "whatever", O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(mkfifoat(spool.incoming, "pipe", 0600), 0);
	assert_int_equal(spool_clean(&spool), 3);
	assert_int_equal(count_in(spool.incoming, 0), 0);
}

static void
defer_fail_remove(void **state)
{
	struct spool_name name = write_letter(), other = write_letter();
	struct letter l;
	uint64_t due = name.due;

	(void)state;
	assert_int_equal(spool_defer(&spool, &name, due + 60), 0);
	assert_int_equal(name.due, due + 60);
	assert_int_equal(letter_open(&spool, &name, &l), 0);
	letter_close(&l);
	assert_int_equal(spool_fail(&spool, &name), 0);
	assert_int_equal(letter_open(&spool, &name, &l), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(faccessat(spool.failed, name.id, F_OK, 0), 0);
	assert_int_equal(spool_remove(&spool, &other), 0);
	assert_int_equal(spool_sync(&spool, 1), 0);
	assert_int_equal(count_in(spool.queue, 0), 0);
}

static void
odd_files(void **state)
{
	struct spool_name name = { .due = 5, .size = 1,
	    .id = "0123456789abcdefXYZ0" };
	struct letter l;
	char text[SPOOL_NAME_MAX];

	(void)state;
	spool_name_print(&name, text);
	assert_int_equal(mkfifoat(spool.queue, text, 0600), 0);
	assert_int_equal(letter_open(&spool, &name, &l), -1);
	assert_int_equal(errno, EBADMSG);
	unlinkat(spool.queue, text, 0);
	assert_int_equal(symlinkat("/etc/passwd", spool.queue, text), 0);
	assert_int_equal(letter_open(&spool, &name, &l), -1);
	assert_int_equal(errno, EBADMSG);
}

static void
names(void **state)
{
	static const char *const bad[] = {
		"", ".", "..", "x", "0000000001.1", "0000000001.1.",
		"000000001.1.0123456789abcdef", "00000000001.1.0123456789abcdef",
		"0000000001.01.0123456789abcdef", "0000000001..0123456789abcdef",
		"000000000A.1.0123456789abcdef", "0000000001.1.0123456789abcde",
		"0000000001.1.0123456789abcdef/", "0000000001.1.../../../etc/pass",
		"0000000001.1.0123456789abcdef0123456789",
		"0000000001.11111111111111111.0123456789abcdef",
		"0000000001.1.0123456789abcdef\n",
	};
	struct spool_name name;
	char text[SPOOL_NAME_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(spool_name_parse(bad[i], &name), -1);
	assert_int_equal(spool_name_parse("00672b1c0f.ffffffffffffffff."
	    "0123456789ABCDEFxyzz", &name), 0);
	assert_int_equal(name.due, 0x672b1c0f);
	assert_int_equal(name.size, UINT64_MAX);
	assert_int_equal(spool_name_print(&name, text), 0);
	assert_string_equal(text,
	    "00672b1c0f.ffffffffffffffff.0123456789ABCDEFxyzz");
	name.due = UINT64_C(1) << 40;
	assert_int_equal(spool_name_print(&name, text), -1);
}

static void
ids_sort(void **state)
{
	char before[QUEUE_ID_MAX], after[QUEUE_ID_MAX];
	int i;

	(void)state;
	assert_int_equal(spool_id_make(before), 0);
	for (i = 0; i < 100; i++) {
		usleep(2);
		assert_int_equal(spool_id_make(after), 0);
		assert_int_equal(strlen(after), SPOOL_ID_LEN);
		assert_true(spool_id_is_legal(after));
		assert_true(strcmp(before, after) < 0);
		memcpy(before, after, sizeof(before));
	}
}

/* Whose directory it is, and that nobody else may write there (C24). */
static void
enter_checks(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(spool_enter(place, geteuid() + 1, &fd), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(chmod(place, 0770), 0);
	assert_int_equal(spool_enter(place, geteuid(), &fd), -1);
	assert_int_equal(chmod(place, 0700), 0);
	assert_int_equal(symlink(place, "/tmp/test_spool.link"), 0);
	assert_int_equal(spool_enter("/tmp/test_spool.link", geteuid(), &fd),
	    -1);
	unlink("/tmp/test_spool.link");
}

static size_t seen;

static void
count_name(void *arg, const struct spool_name *name)
{
	(void)arg;
	assert_true(spool_id_is_legal(name->id));
	seen++;
}

static void
scan(void **state)
{
	size_t strange;
	int i, fd;

	(void)state;
	for (i = 0; i < 5; i++)
		(void)write_letter();
	fd = openat(spool.queue, "notes.txt", O_CREAT | O_WRONLY, 0600);
	close(fd);
	seen = 0;
	assert_int_equal(spool_scan(&spool, count_name, NULL, &strange), 0);
	assert_int_equal(seen, 5);
	assert_int_equal(strange, 1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(made_to_stay),
		TEST(abort_leaves_nothing), TEST(failed_write), TEST(locks),
		TEST(hold), TEST(clean_incoming), TEST(defer_fail_remove),
		TEST(odd_files), TEST(names), TEST(ids_sort),
		TEST(enter_checks), TEST(scan),
	};

	return cmocka_run_group_tests_name("test_spool", tests, NULL, NULL);
}
