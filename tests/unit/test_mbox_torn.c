/* LINK: MAILBOX privsep/gates privsep/message privsep/log */
/* LIBS: -lmd -lbsd -Wl,--wrap=write,--wrap=pwrite,--wrap=copy_file_range,--wrap=fsync,--wrap=ftruncate,--wrap=unlinkat,--wrap=renameat,--wrap=linkat,--wrap=mkdirat,--wrap=fallocate,--wrap=openat */
/*
 * test_mbox_torn: what a delivery to an mbox leaves when it is cut short, and
 * then somebody else, or the loss of power, changes the file.
 */
#include "mbox_append.h"

static char large[LARGE];

static int
truncate_mbox(size_t size)
{
	int fd = openat(home, "mbox", O_RDWR), r;

	r = ftruncate(fd, (off_t)size);
	close(fd);
	return r;
}

/* Somebody who knows nothing of us appends behind a torn letter. */
static void
test_foreign_after_torn(void **state)
{
	const struct crash_mode *mode;
	struct text after;
	char *with;
	int at, result, how;

	(void)state;
	memset(large, 'y', LARGE);
	for (at = 70; at < LARGE; at += 71)
		large[at] = '\n';
	fresh(OLD "\n");
	make_letter("id", large, LARGE);
	for (how = 0; how < 2; how++)
		for (at = 1, mode = &crash_modes[how]; ; at++) {
			fresh(OLD "\n");
			if (!crash_try(mode, at, run_append, NULL, &result))
				break;
			clear_lock();
			add("mbox", "From d Mon Jan  1 00:00:00 2024\n\nd\n\n");
			assert_int_equal(enter(1), 0);
			assert_int_equal(ops->append(box, &letter), 0);
			after = get("mbox");
			assert_memory_equal(after.data, OLD "\n",
			    strlen(OLD) + 1);
			with = memmem(after.data, after.len, "From d Mon Jan  "
			    "1 00:00:00 2024\n\nd\n\n", 36);
			assert_non_null(with);
			assert_int_equal(after.len, strlen(OLD) + 1 + 36 +
			    strlen(FROM HEAD) + LARGE + 2 -
			    (large[LARGE - 1] == '\n'));
			assert_null(memchr(after.data, '\0', after.len));
			free(after.data);
		}
	close(letter.content);
	crash_report("delivery to an mbox, others append");
}

/*
 * The power failed, and the file is shorter than it was: a file system may
 * put less of a letter to disk than its last octet.
 */
static void
test_cut_short(void **state)
{
	static const size_t lengths[] = { 1, 2, 3, 40, 300, 70000, LARGE };
	size_t i, k, len;
	struct stat st;
	int at, result, how;

	(void)state;
	memset(large, 'y', LARGE);
	for (at = 70; at < LARGE; at += 71)
		large[at] = '\n';
	fresh("");
	make_letter("id", large, LARGE);
	for (how = 0; how < 2; how++)
		for (k = 0; k < 3; k++)
			for (i = 0, at = 1; ; i++) {
				if (i == sizeof(lengths) / sizeof(lengths[0])) {
					at++;
					i = 0;
				}
				fresh(befores[k]);
				len = strlen(befores[k]);
				if (!crash_try(&crash_modes[how], at,
				    run_append, NULL, &result))
					break;
				assert_int_equal(fstatat(home, "mbox", &st, 0),
				    0);
				if (count_state("begun.") == 0 ||
				    (size_t)st.st_size < len + lengths[i])
					continue;
				assert_int_equal(truncate_mbox(len +
				    lengths[i]), 0);
				clear_lock();
				reopen();
				assert_true(file_is("mbox", befores[k], len));
				assert_int_equal(count_state("begun."), 0);
			}
	close(letter.content);
	crash_report("delivery to an mbox, cut short");
}

/* ... or changes the mailbox so that nothing is where it was. */
static void
test_foreign_rewrite_after_torn(void **state)
{
	int at, result;

	(void)state;
	fresh(OLD "\n");
	make_letter("id", "text\n", 5);
	for (at = 1; ; at++) {
		fresh(OLD "\n");
		if (!crash_try(&crash_modes[0], at, run_append, NULL, &result))
			break;
		clear_lock();
		put("mbox", OLD OLD OLD OLD "\n", 4 * strlen(OLD) + 1);
		assert_int_equal(enter(1), 0);
		assert_int_equal(ops->append(box, &letter), 0);
		if (file_is("mbox", OLD OLD OLD OLD "\n", 4 * strlen(OLD) + 1))
			assert_int_equal(count_state("done."), 1);
		else
			assert_file("mbox", OLD OLD OLD OLD "\n" FROM HEAD
			    "text\n\n");
	}
	close(letter.content);
	crash_report("delivery to an mbox, others rewrite it");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_foreign_after_torn),
		TEST(test_cut_short),
		TEST(test_foreign_rewrite_after_torn),
	};

	return cmocka_run_group_tests_name("test_mbox_torn", tests, NULL,
	    NULL);
}
