/* LINK: MAILBOX privsep/gates privsep/message privsep/log */
/* LIBS: -lmd -lbsd -Wl,--wrap=write,--wrap=pwrite,--wrap=copy_file_range,--wrap=fsync,--wrap=ftruncate,--wrap=unlinkat,--wrap=renameat,--wrap=linkat,--wrap=mkdirat,--wrap=fallocate,--wrap=openat */
/*
 * test_mbox_expunge: removal from an mbox: right, all or nothing whatever ends
 * it, and beside whom.
 */
#include <sys/resource.h>

#include "crash_points.h"
#include "mbox_home.h"

#define COUNT	7

/* Message i has its own size; the last has no empty line behind it. */
static size_t
put_message(char *at, int i, size_t body)
{
	size_t len;

	len = (size_t)sprintf(at, "From u%d Mon Jan  1 00:00:00 2024\n"
	    "Subject: message %d\nStatus: O\n\n", i, i);
	memset(at + len, 'a' + i, body);
	for (; body > 60; body -= 60) {
		at[len + 59] = '\n';
		len += 60;
	}
	len += body;
	at[len++] = '\n';
	if (i < COUNT - 1)
		at[len++] = '\n';
	return len;
}

/* The mailbox with those messages; all: COUNT bits set. */
static struct text
make_mbox(unsigned which, size_t body)
{
	struct text text;
	int i;

	text.data = malloc(COUNT * (body + body / 60 + 200));
	assert_non_null(text.data);
	text.len = 0;
	for (i = 0; i < COUNT; i++)
		if ((which & 1U << i) != 0)
			text.len += put_message(text.data + text.len, i,
			    body * (size_t)(i + 1) / COUNT);
	return text;
}

static unsigned marked;

static int
run_expunge(void *arg)
{
	uint8_t bitmap[1] = { (uint8_t)marked };
	size_t failed;
	int r;

	(void)arg;
	r = ops->expunge(box, bitmap, &failed);
	if ((r == 0) != (failed == 0))
		abort();
	return r;
}

static void
fresh(const struct text *text)
{
	leave();
	empty_directory(home, ".postern");
	if (has("mbox.lock"))
		assert_int_equal(unlinkat(home, "mbox.lock", 0), 0);
	put("mbox", text->data, text->len);
	reopen();
	assert_int_equal(ops->count(box), COUNT);
}

static void
try_every_set(size_t body)
{
	struct text all, left;
	char uidls[COUNT][UIDL_MAX];
	unsigned all_bits = (1U << COUNT) - 1;
	size_t n;
	int i;

	all = make_mbox(all_bits, body);
	for (marked = 0; marked <= all_bits; marked++) {
		fresh(&all);
		for (i = 0; i < COUNT; i++)
			strlcpy(uidls[i], ops->message(box, (size_t)i)->uidl,
			    UIDL_MAX);
		assert_int_equal(run_expunge(NULL), 0);
		left = make_mbox(all_bits & ~marked, body);
		assert_true(file_is("mbox", left.data, left.len));
		free(left.data);
		assert_int_equal(count_state("expunge."), 0);
		assert_false(has("mbox.lock"));
		/* Once more in the same session, and nothing more happens. */
		assert_int_equal(run_expunge(NULL), 0);
		reopen();
		for (i = 0, n = 0; i < COUNT; i++)
			if ((marked & 1U << i) == 0)
				assert_string_equal(uidls[i],
				    ops->message(box, n++)->uidl);
		assert_int_equal(ops->count(box), n);
	}
	free(all.data);
}

/* Every set of messages, small and over several windows. */
static void
test_every_set(void **state)
{
	(void)state;
	try_every_set(300);
	rewrite_window = JOURNAL_WINDOW_MIN;
	try_every_set(9000);
	rewrite_window = JOURNAL_WINDOW_MAX;
}

static void
assert_old_or_new(const struct text *all, const struct text *left)
{
	assert_true(file_is("mbox", all->data, all->len) ||
	    file_is("mbox", left->data, left->len));
	assert_int_equal(count_state("expunge."), 0);
}

static void
try_expunge(const struct crash_mode *mode, const struct text *all,
    const struct text *left)
{
	int at, result;

	for (at = 1; ; at++) {
		fresh(all);
		if (!crash_try(mode, at, run_expunge, NULL, &result))
			break;
		clear_lock();
		reopen();
		assert_old_or_new(all, left);
		if (mode->error != 0 && result == 0)
			assert_true(file_is("mbox", left->data, left->len));
	}
	assert_true(at > 2);
}

/* Sets: all, a tail, one of the middle, several, the first. */
static const unsigned sets[] = { 0x7f, 0x70, 0x08, 0x2a, 0x55, 0x01 };

static void
try_everywhere(size_t body, size_t first_set)
{
	struct text all, left;
	size_t i, mode;

	all = make_mbox(0x7f, body);
	for (i = first_set; i < sizeof(sets) / sizeof(sets[0]); i++) {
		marked = sets[i];
		left = make_mbox(0x7f & ~marked, body);
		for (mode = 0; mode < CRASH_MODES; mode++)
			try_expunge(&crash_modes[mode], &all, &left);
		free(left.data);
	}
	free(all.data);
}

static void
test_everywhere(void **state)
{
	(void)state;
	try_everywhere(1000, 0);
	crash_report("expunge of an mbox");
}

/* So many windows that each slot is written several times. */
static void
test_everywhere_windows(void **state)
{
	(void)state;
	rewrite_window = JOURNAL_WINDOW_MIN;
	try_everywhere(7000, 4);
	rewrite_window = JOURNAL_WINDOW_MAX;
	crash_report("expunge of an mbox, many windows");
}

static int
run_open(void *arg)
{
	(void)arg;
	return enter(0) == 0 ? ops->open(box) : -1;
}

/* What finishes an expunge that was cut short is cut short itself. */
static void
test_recovery_everywhere(void **state)
{
	static const size_t modes[] = { 0, 1, 4, 6 };
	struct text all = make_mbox(0x7f, 5000), left;
	int at, how, second, result, was_reached = 1;
	size_t i;

	(void)state;
	rewrite_window = JOURNAL_WINDOW_MIN;
	marked = 0x22;
	left = make_mbox(0x7f & ~marked, 5000);
	for (at = 1; was_reached; at++)
		for (i = 0; i < 4; i++)
			for (second = 1; ; second++) {
				how = second % 2;
				fresh(&all);
				crash_is_counting = 0;
				was_reached = crash_try(&crash_modes[how], at,
				    run_expunge, NULL, &result);
				crash_is_counting = 1;
				clear_lock();
				if (!crash_try(&crash_modes[modes[i]], second,
				    run_open, NULL, &result))
					break;
				clear_lock();
				reopen();
				assert_old_or_new(&all, &left);
			}
	free(all.data);
	free(left.data);
	rewrite_window = JOURNAL_WINDOW_MAX;
	crash_report("recovery of an mbox");
}

#define FOREIGN	"\nFrom f Mon Jan  1 00:00:00 2024\n\nforeign\n\n"

/* Others append to what a crash has left, once before each recovery. */
static void
test_foreign_append(void **state)
{
	const size_t body = 7000;
	struct text all = make_mbox(0x7f, body), left, got;
	size_t tail = strlen(FOREIGN);
	int at, second, result;

	(void)state;
	rewrite_window = JOURNAL_WINDOW_MIN;
	marked = 0x29;
	left = make_mbox(0x7f & ~marked, body);
	for (at = 1; ; at++) {
		fresh(&all);
		if (!crash_try(&crash_modes[0], at, run_expunge, NULL,
		    &result))
			break;
		clear_lock();
		add("mbox", FOREIGN);
		second = at * 7 % 15 + 1;
		crash_try(&crash_modes[0], second, run_open, NULL, &result);
		clear_lock();
		add("mbox", FOREIGN);
		reopen();
		assert_int_equal(count_state("expunge."), 0);
		got = get("mbox");
		assert_true(got.len == all.len + 2 * tail ||
		    got.len == left.len + 2 * tail);
		assert_memory_equal(got.data, got.len > all.len ? all.data :
		    left.data, got.len - 2 * tail);
		assert_memory_equal(got.data + got.len - 2 * tail,
		    FOREIGN FOREIGN, 2 * tail);
		free(got.data);
	}
	rewrite_window = JOURNAL_WINDOW_MAX;
	free(all.data);
	free(left.data);
	crash_report("expunge of an mbox, others append");
}

/* What a crash has left is rewritten by others, so many octets a message. */
static void
try_foreign_rewrite(size_t body, unsigned which, size_t others_body)
{
	struct text all = make_mbox(0x7f, body), other;
	int at, result;

	other = make_mbox(which, others_body);
	for (at = 1; ; at++) {
		fresh(&all);
		if (!crash_try(&crash_modes[0], at, run_expunge, NULL,
		    &result))
			break;
		clear_lock();
		put("mbox", other.data, other.len);
		reopen();
		assert_int_equal(count_state("expunge."), 0);
		assert_true(file_is("mbox", other.data, other.len));
	}
	assert_true(at > 5);
	free(all.data);
	free(other.data);
}

/*
 * ... or rewrite it: then it is theirs, and stays as they left it, be it
 * smaller than it was or larger.
 */
static void
test_foreign_rewrite(void **state)
{
	(void)state;
	marked = 0x29;
	try_foreign_rewrite(1000, 0x5e, 900);
	try_foreign_rewrite(1000, 0x7f, 1001);
	try_foreign_rewrite(1000, 0x5e, 3000);
	try_foreign_rewrite(1000, 0x7e, 1400);
	rewrite_window = JOURNAL_WINDOW_MIN;
	try_foreign_rewrite(7000, 0x7f, 6900);
	try_foreign_rewrite(7000, 0x7f, 7001);
	try_foreign_rewrite(7000, 0x7e, 20000);
	rewrite_window = JOURNAL_WINDOW_MAX;
	crash_report("expunge of an mbox, others rewrite it");
}

/* Messages that are alike: what is remembered of them is changed as well. */
#define ALIKE	"From a Mon Jan  1 00:00:00 2024\nSubject: same\n\nsame\n\n"

static void
try_alike(const struct crash_mode *mode)
{
	static const struct text five = {
		(char *)(uintptr_t)(ALIKE ALIKE ALIKE ALIKE ALIKE),
		5 * sizeof(ALIKE) - 5
	};
	char uidls[6][UIDL_MAX], before[5][UIDL_MAX];
	size_t i, k;
	int at, result;

	for (at = 1; ; at++) {
		leave();
		empty_directory(home, ".postern");
		put("mbox", five.data, five.len);
		reopen();
		assert_int_equal(ops->count(box), 5);
		for (i = 0; i < 5; i++)
			strlcpy(before[i], ops->message(box, i)->uidl,
			    UIDL_MAX);
		if (!crash_try(mode, at, run_expunge, NULL, &result))
			break;
		clear_lock();
		reopen();
		assert_true(ops->count(box) == 5 || ops->count(box) == 3);
		if (mode->error != 0 && result == 0)
			assert_int_equal(ops->count(box), 3);
		assert_true(file_is("mbox", five.data,
		    ops->count(box) * (sizeof(ALIKE) - 1)));
		/* Where nothing can be written, mail can be removed still. */
		if (ops->count(box) == 3 && mode->error != ENOSPC &&
		    mode->error != EDQUOT)
			for (i = 0; i < 3; i++)
				assert_string_equal(ops->message(box, i)->uidl,
				    before[2 * i]);
		/* One that comes now is none of those that were. */
		add("mbox", ALIKE);
		reopen();
		for (i = 0; i < ops->count(box); i++) {
			strlcpy(uidls[i], ops->message(box, i)->uidl,
			    UIDL_MAX);
			for (k = 0; k < i; k++)
				assert_string_not_equal(uidls[i], uidls[k]);
		}
		assert_non_null(strchr(uidls[i - 1], '.'));
		assert_true(atoi(strchr(uidls[i - 1], '.') + 1) >= 5);
	}
	assert_true(at > 5);
}

static void
test_alike_everywhere(void **state)
{
	size_t mode;

	(void)state;
	marked = 0x0a;
	for (mode = 0; mode < CRASH_MODES; mode++)
		try_alike(&crash_modes[mode]);
	crash_report("expunge of an mbox, messages that are alike");
}

/* Somebody who ignores locks appends between index and expunge. */
static void
test_size_changed(void **state)
{
	struct mbox_gap gap = { .offset = 10, .length = 10 };
	struct text all = make_mbox(0x7f, 1000);

	(void)state;
	fresh(&all);
	assert_int_equal(mbox_lock(box, 100), 0);
	assert_int_equal(mbox_rewrite(box, all.len - 1, &gap, 1), -1);
	assert_int_equal(errno, ESTALE);
	mbox_unlock(box);
	assert_true(file_is("mbox", all.data, all.len));
	/* New mail since the maildrop was opened stays. */
	add("mbox", FOREIGN);
	marked = 0x7f;
	assert_int_equal(run_expunge(NULL), 0);
	assert_file("mbox", &FOREIGN[1]);
	free(all.data);
}

/*
 * The tombstone of a letter is on disk before the letter goes, at the end of
 * the file or before it: else it would come again after a power cut.
 */
static void
test_tombstone_first(void **state)
{
	struct text all = make_mbox(0x7f, 100);

	(void)state;
	for (marked = 0x40; marked >= 0x20; marked /= 2) {
		fresh(&all);
		crash.order_len = 0;
		assert_int_equal(run_expunge(NULL), 0);
		/* Journal; directory; a window, a slot, the cut. */
		assert_string_equal(crash.order, marked == 0x40 ? "dts" :
		    "sdssts");
	}
	free(all.data);
}

static void
append_foreign(void)
{
	add("mbox", FOREIGN);
}

/* What somebody without a lock appends while that is synced stays. */
static void
test_appended_meanwhile(void **state)
{
	struct text all = make_mbox(0x7f, 100);
	char *both = malloc(all.len + sizeof(FOREIGN));

	(void)state;
	assert_non_null(both);
	memcpy(both, all.data, all.len);
	memcpy(both + all.len, FOREIGN, sizeof(FOREIGN));
	fresh(&all);
	marked = 0x40;
	crash.meanwhile = append_foreign;
	crash.meanwhile_at = 1;
	crash.order_len = 0;
	assert_int_equal(run_expunge(NULL), -1);
	assert_int_equal(errno, ESTALE);
	assert_null(crash.meanwhile);
	assert_true(file_is("mbox", both, all.len + sizeof(FOREIGN) - 1));
	free(all.data);
	/* The same just before what moved is cut off. */
	all = make_mbox(0x7f, 100);
	fresh(&all);
	free(all.data);
	marked = 0x20;
	crash.meanwhile = append_foreign;
	crash.meanwhile_at = 4;
	crash.order_len = 0;
	assert_int_equal(run_expunge(NULL), 0);
	assert_null(crash.meanwhile);
	all = make_mbox(0x5f, 100);
	memcpy(both, all.data, all.len);
	memcpy(both + all.len, FOREIGN, sizeof(FOREIGN));
	assert_true(file_is("mbox", both, all.len + sizeof(FOREIGN) - 1));
	free(both);
	free(all.data);
}

/* Hardly any room for the journal: it is made of smaller windows. */
static void
test_little_room(void **state)
{
	struct rlimit limit = { .rlim_cur = 100000, .rlim_max = 100000 };
	struct text all = make_mbox(0x7f, 9000), left;
	int status;
	pid_t pid;

	(void)state;
	marked = 0x11;
	left = make_mbox(0x7f & ~marked, 9000);
	fresh(&all);
	for (limit.rlim_cur = 9000; ; limit.rlim_cur += 8000) {
		fresh(&all);
		/* The mbox itself is larger, but never grows. */
		pid = fork();
		if (pid == 0) {
			signal(SIGXFSZ, SIG_IGN);
			limit.rlim_max = limit.rlim_cur;
			setrlimit(RLIMIT_FSIZE, &limit);
			_exit(run_expunge(NULL) == 0 ? 0 : errno);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		clear_lock();
		reopen();
		if (WEXITSTATUS(status) == 0)
			break;
		assert_int_equal(WEXITSTATUS(status), EFBIG);
		assert_true(file_is("mbox", all.data, all.len) ||
		    file_is("mbox", left.data, left.len));
	}
	assert_true(file_is("mbox", left.data, left.len));
	free(all.data);
	free(left.data);
}

/* A journal that nobody of us has written does no harm. */
static void
test_bad_journals(void **state)
{
	struct text all = make_mbox(0x7f, 1000);
	char name[64], data[1000] = "pstrnMB1";
	struct stat st;
	size_t len;

	(void)state;
	for (len = 0; len < sizeof(data); len += 37) {
		fresh(&all);
		assert_int_equal(fstatat(home, "mbox", &st, 0), 0);
		snprintf(name, sizeof(name), ".postern/expunge.%llx",
		    (unsigned long long)st.st_ino);
		put(name, data, len);
		reopen();
		assert_false(has(name));
		assert_true(file_is("mbox", all.data, all.len));
	}
	/* A link is none of ours. */
	assert_int_equal(symlinkat("../mbox", home, name), 0);
	assert_int_equal(enter(0), 0);
	assert_int_equal(ops->open(box), -1);
	assert_true(file_is("mbox", all.data, all.len));
	free(all.data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_set),
		TEST(test_everywhere),
		TEST(test_everywhere_windows),
		TEST(test_recovery_everywhere),
		TEST(test_foreign_append),
		TEST(test_foreign_rewrite),
		TEST(test_alike_everywhere),
		TEST(test_size_changed),
		TEST(test_tombstone_first),
		TEST(test_appended_meanwhile),
		TEST(test_little_room),
		TEST(test_bad_journals),
	};

	return cmocka_run_group_tests_name("test_mbox_expunge", tests, NULL,
	    NULL);
}
