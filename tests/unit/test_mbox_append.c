/* LINK: MAILBOX privsep/gates privsep/message privsep/log */
/* LIBS: -lmd -lbsd -Wl,--wrap=write,--wrap=pwrite,--wrap=copy_file_range,--wrap=fsync,--wrap=ftruncate,--wrap=unlinkat,--wrap=renameat,--wrap=linkat,--wrap=mkdirat,--wrap=fallocate,--wrap=openat */
/*
 * test_mbox_append: delivery to an mbox, once, whatever ends it, and beside
 * whom.
 */
#include "mbox_append.h"

static char large[LARGE + 1];

static int
append(const char *id, const char *data, size_t len)
{
	int r, saved;

	make_letter(id, data, len);
	r = ops->append(box, &letter);
	saved = errno;
	close(letter.content);
	errno = saved;
	return r;
}

/* What is stored of a content, and how the file ends before it. */
static const struct {
	const char	*before, *content, *stored;
} stored[] = {
	{ "", "Subject: x\n\nbody\n", "Subject: x\n\nbody\n\n" },
	{ "", "Subject: x\n\nbody", "Subject: x\n\nbody\n\n" },
	{ "", "", "\n" },
	{ "", "\n", "\n\n" },
	{ "", "a\n\nFrom me\n>From you\n>>From x\nFromage\n From\n>Fro",
	  "a\n\n>From me\n>>From you\n>>>From x\nFromage\n From\n>Fro\n\n" },
	{ "", "From ", ">From \n\n" },
	{ "", "From", "From\n\n" },
	{ "", ">>\n>\nF", ">>\n>\nF\n\n" },
	{ OLD "\n", "a\n", "a\n\n" },
	{ OLD, "a\n", "a\n\n" },		/* no empty line before */
	{ OLD "no end", "a\n", "a\n\n" },
	{ "", "Status: R\nA: b\ncontent-length: 1\n 2\nX-IMAP: 1 2\n\nx\n",
	  "A: b\n\nx\n\n" },
	{ "", " of the head\nLines: 1\nFrom x\nStatus: R\n>From \n\n\n",
	  " of the head\n>From x\n>>From \n\n\n\n" },
	{ "", "A: b\n\nStatus: R\n", "A: b\n\nStatus: R\n\n" },
	{ "", "text\nStatus: R\n", "text\nStatus: R\n\n" },
	{ "", "A: b\nStatus: R", "A: b\n\n" },
	{ "", "A: b\nX-Stat", "A: b\nX-Stat\n\n" },
	/* An empty line may be CR LF. */
	{ OLD "\r\n", "a\n", "a\n\n" },
	{ OLD "x\r\n", "a\n", "a\n\n" },
	{ "\r\n", "a\n", "a\n\n" },
};
static const char *const between[] = {
	"", "", "", "", "", "", "", "", "", "\n", "\n\n",
	"", "", "", "", "", "", "", "\n", "",
};

static void
test_stored(void **state)
{
	char all[1024];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(stored) / sizeof(stored[0]); i++) {
		put("mbox", stored[i].before, strlen(stored[i].before));
		assert_int_equal(enter(1), 0);
		assert_int_equal(append("id", stored[i].content,
		    strlen(stored[i].content)), 0);
		snprintf(all, sizeof(all), "%s%s" FROM HEAD "%s",
		    stored[i].before, between[i], stored[i].stored);
		assert_file("mbox", all);
		assert_int_equal(ops->settle(box, "id"), 0);
		assert_int_equal(count_state("done."), 0);
		assert_int_equal(count_state("begun."), 0);
		assert_false(has("mbox.lock"));
	}
}

static int foreign;		/* letters still to come from somebody else */

static void
append_foreign(void)
{
	add("mbox", "From f Mon Jan  1 00:00:00 2024\n\nforeign\n\n");
	if (--foreign > 0) {
		crash.meanwhile_at += 2;	/* the sync of our next try */
		crash.meanwhile = append_foreign;
	}
}

/* What somebody without a lock appends while the intent is synced stays. */
static void
test_appended_meanwhile(void **state)
{
	(void)state;
	put("mbox", OLD "\n", strlen(OLD) + 1);
	assert_int_equal(enter(1), 0);
	foreign = 2;
	crash.meanwhile = append_foreign;
	crash.meanwhile_at = 2;
	crash.order_len = 0;
	assert_int_equal(append("id", "a\n", 2), 0);
	assert_null(crash.meanwhile);
	assert_file("mbox", OLD "\n"
	    "From f Mon Jan  1 00:00:00 2024\n\nforeign\n\n"
	    "From f Mon Jan  1 00:00:00 2024\n\nforeign\n\n" FROM HEAD
	    "a\n\n");
	assert_int_equal(count_state("begun."), 0);
	assert_int_equal(count_state("done."), 1);
	/* It does not go on for ever. */
	foreign = INT_MAX;
	crash.meanwhile = append_foreign;
	crash.meanwhile_at = 2;
	crash.order_len = 0;
	assert_int_equal(append("other", "b\n", 2), -1);
	assert_int_equal(errno, EBUSY);
	crash.meanwhile = NULL;
	assert_int_equal(count_state("begun."), 0);
	assert_int_equal(append("other", "b\n", 2), 0);
}

/* A letter that says that it ends where the next one does. */
static void
test_swallow(void **state)
{
	static const char other[] = "Subject: other\n\nother\n";
	static const char *const starts[] = { "", "A: b\n", "text\n", ":\n" };
	size_t i, len = strlen(FROM HEAD) + strlen(other) + 1;
	char content[200];

	(void)state;
	for (i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		put("mbox", "", 0);
		assert_int_equal(enter(1), 0);
		snprintf(content, sizeof(content), "%sContent-Length: %zu\n"
		    "\nbody\n", starts[i], len + 6);
		assert_int_equal(append("1", content, strlen(content)), 0);
		assert_int_equal(append("2", other, strlen(other)), 0);
		assert_int_equal(append("3", other, strlen(other)), 0);
		assert_int_equal(ops->settle(box, "1"), 0);
		assert_int_equal(ops->settle(box, "2"), 0);
		assert_int_equal(ops->settle(box, "3"), 0);
		reopen();
		assert_int_equal(ops->count(box), 3);
	}
}

/* However a file ends, what comes behind it changes no message before. */
static void
test_others_stay(void **state)
{
	static const char *const ends[] = {
		"A: b\n\nx\n\n", "A: b\n\nx\n", "A: b\n\nx", "A: b\n\n\n",
		"A: b\n\n", "A: b\n", "A: b", "text\n", "text", "text\n\n",
		"A: b\r\n\r\nx\r\n\r\n", "A: b\r\n\r\nx\r\n",
		"A: b\r\n\r\nx", "A: b\r\n\r\n", "A: b\r\n",
		"A: b\n\n>", "A: b\n\n>Fro", "A: b\n>", "A: b\nStatus: R",
		"A: b\n\n\n\n", "A: b\r\n\r\nx\r\n\r\n\r\n",
		/* nothing but the "From " line, or what is hidden */
		"", "\n", "\r\n", "\n\n", "Status: RO", "Status: RO\n",
		"Status: RO\n\n"
	};
	struct mailbox_message before;
	uint64_t octets, offset, length;
	char mbox[200];
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(mbox, sizeof(mbox), FROM "%s", ends[i]);
		put("mbox", mbox, strlen(mbox));
		reopen();
		before = *ops->message(box, 0);
		octets = before.octets;
		/* In a session that goes on, and in the next one. */
		make_letter("id", "x\n", 2);
		assert_int_equal(ops->append(box, &letter), 0);
		close(letter.content);
		if (ops->fetch(box, 0, &fd, &offset, &length) == -1)
			fail_msg("%zu: %s", i, strerror(errno));
		close(fd);
		assert_int_equal(ops->settle(box, "id"), 0);
		reopen();
		assert_int_equal(ops->count(box), 2);
		assert_int_equal(ops->message(box, 0)->octets, octets);
		assert_string_equal(ops->message(box, 0)->uidl, before.uidl);
	}
}

/* "From " at every place around the end of a block that is read. */
static void
test_quoted_at_blocks(void **state)
{
	static char content[70000];
	struct text got;
	char *at;
	int i;

	(void)state;
	for (i = 65536 - 8; i <= 65536 + 1; i++) {
		memset(content, 'x', sizeof(content));
		memcpy(content + i, "\n>From y\n", 9);
		assert_int_equal(enter(1), 0);
		assert_int_equal(append("id", content, sizeof(content)), 0);
		assert_int_equal(ops->settle(box, "id"), 0);
		got = get("mbox");
		at = memmem(got.data, got.len, "\n>>From y\n", 10);
		assert_non_null(at);
		assert_int_equal(at - got.data, strlen(FROM HEAD) + (size_t)i);
		assert_int_equal(got.len, strlen(FROM HEAD) +
		    sizeof(content) + 3);
		free(got.data);
		put("mbox", "", 0);
	}
}

static void
test_senders(void **state)
{
	static const char *const senders[][2] = {
		{ "", "MAILER-DAEMON" },
		{ "a@b.c", "a@b.c" },
		{ "\"a b\t>c\"@d", "\"a-b->c\"@d" },
		{ "\"a>\"@d", "\"a>\"@d" },
	};
	char head[200], start[200];
	struct text got;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(senders) / sizeof(senders[0]); i++) {
		put("mbox", "", 0);
		assert_int_equal(enter(1), 0);
		make_letter("id", "x\n", 2);
		snprintf(head, sizeof(head), "Return-Path: <%s>\nDelivered-To: "
		    "a\n", senders[i][0]);
		letter.head = head;
		letter.head_len = strlen(head);
		assert_int_equal(ops->append(box, &letter), 0);
		close(letter.content);
		assert_int_equal(ops->settle(box, "id"), 0);
		got = get("mbox");
		snprintf(start, sizeof(start), "From %s Tue Nov 14 22:13:20 "
		    "2023\n", senders[i][1]);
		assert_memory_equal(got.data, start, strlen(start));
		free(got.data);
		/* And what reads it agrees that it is one. */
		reopen();
		assert_int_equal(ops->count(box), 1);
	}
}

static void
test_once(void **state)
{
	uint8_t all[1] = { 1 };
	size_t failed;

	(void)state;
	assert_int_equal(enter(1), 0);
	assert_int_equal(append("id", "text\n", 5), 0);
	assert_int_equal(append("id", "text\n", 5), 0);
	assert_file("mbox", FROM HEAD "text\n\n");
	/* The user takes it, and the queue asks again. */
	reopen();
	assert_int_equal(ops->count(box), 1);
	assert_int_equal(ops->expunge(box, all, &failed), 0);
	assert_int_equal(enter(1), 0);
	assert_int_equal(append("id", "text\n", 5), 0);
	assert_file("mbox", "");
	assert_int_equal(ops->settle(box, "id"), 0);
	assert_int_equal(ops->settle(box, "id"), 0);
	assert_int_equal(append("id", "text\n", 5), 0);
	assert_file("mbox", FROM HEAD "text\n\n");
}

static void
test_refused(void **state)
{
	const char *ids[] = { "", "a/b", "../x", "a.b", "a b", NULL };
	char much[66];
	size_t i;

	(void)state;
	memset(much, 'x', 65);
	much[65] = '\0';
	ids[5] = much;
	put("mbox", OLD, strlen(OLD));
	assert_int_equal(enter(1), 0);
	make_letter("x", "text\n", 5);
	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		letter.queue_id = ids[i];
		assert_int_equal(ops->append(box, &letter), -1);
		assert_int_equal(errno, EINVAL);
		assert_int_equal(ops->settle(box, ids[i]), -1);
	}
	letter.queue_id = "x";
	letter.length += 100;		/* more than there is */
	assert_int_equal(ops->append(box, &letter), -1);
	assert_int_equal(errno, EIO);
	close(letter.content);
	assert_file("mbox", OLD);
	assert_int_equal(count_state("begun."), 0);
}

/* Every system call in turn is the last, or fails. */

static void
try_append(const struct crash_mode *mode, const char *before,
    const struct text *after)
{
	int at, result, is_new;

	for (at = 1; ; at++) {
		fresh(before);
		if (!crash_try(mode, at, run_append, NULL, &result))
			break;
		clear_lock();
		reopen();
		is_new = file_is("mbox", after->data, after->len);
		assert_true(is_new ||
		    file_is("mbox", before, strlen(before)));
		if (mode->error != 0 && result == 0)
			assert_true(is_new);
		assert_int_equal(count_state("begun."), 0);
		assert_int_equal(count_state("done."), is_new);
		/* The queue asks again. */
		assert_int_equal(enter(1), 0);
		letter.tried_before = 1;
		assert_int_equal(ops->append(box, &letter), 0);
		assert_true(file_is("mbox", after->data, after->len));
		assert_int_equal(ops->settle(box, letter.queue_id), 0);
		assert_int_equal(count_state("done."), 0);
		assert_int_equal(count_state("begun."), 0);
		letter.tried_before = 0;
	}
	assert_true(at > 8);
}

static void
test_everywhere(void **state)
{
	static const size_t lengths[] = { 100, LARGE };
	struct text after;
	size_t i, k, mode;

	(void)state;
	memset(large, 'y', LARGE);
	for (i = 70; i < LARGE; i += 71)
		large[i] = '\n';
	for (i = 0; i < 2; i++)
		for (k = 0; k < 3; k++) {
			fresh(befores[k]);
			make_letter("id", large, lengths[i]);
			assert_int_equal(ops->append(box, &letter), 0);
			after = get("mbox");
			for (mode = 0; mode < CRASH_MODES; mode++)
				try_append(&crash_modes[mode], befores[k],
				    &after);
			free(after.data);
			close(letter.content);
		}
	crash_report("delivery to an mbox");
}

/* The first of all: mailbox and ~/.postern are made. */
static int
run_first(void *arg)
{
	(void)arg;
	return enter(1) == 0 ? ops->append(box, &letter) : -1;
}

static void
test_first_everywhere(void **state)
{
	const char *after = FROM HEAD "text\n\n";
	int at, result;
	size_t mode;

	(void)state;
	make_letter("id", "text\n", 5);
	for (mode = 0; mode < CRASH_MODES; mode++)
		for (at = 1; ; at++) {
			leave();
			empty_directory(AT_FDCWD, identity.home);
			assert_false(has("mbox"));
			if (!crash_try(&crash_modes[mode], at, run_first,
			    NULL, &result))
				break;
			clear_lock();
			if (has("mbox")) {
				reopen();
				if (!file_is("mbox", "", 0))
					assert_file("mbox", after);
			}
			if (crash_modes[mode].error != 0 && result == 0)
				assert_file("mbox", after);
			assert_int_equal(enter(1), 0);
			assert_int_equal(ops->append(box, &letter), 0);
			assert_file("mbox", after);
		}
	close(letter.content);
	crash_report("first delivery to an mbox");
}

/* An intent that is anything but whole means that nothing was written. */
static void
test_bad_intents(void **state)
{
	static const char *const bad[] = { "", "x", "pstrnMD1" };
	char many[INTENT_SIZE + 10] = "pstrnMD1";
	size_t i;

	(void)state;
	fresh(OLD "\n");
	for (i = 0; i < 4; i++) {
		if (i < 3)
			put(".postern/begun.other", bad[i], strlen(bad[i]));
		else
			put(".postern/begun.other", many, sizeof(many));
		put(".postern/begun.a b", "x", 1);
		reopen();
		assert_false(has(".postern/begun.other"));
		assert_true(has(".postern/begun.a b"));
		assert_file("mbox", OLD "\n");
	}
}

static void
test_sweep(void **state)
{
	struct timespec old[2] = { { .tv_sec = DATE }, { .tv_sec = DATE } };

	(void)state;
	fresh("");
	put(".postern/done.old", "", 0);
	put(".postern/done.young", "", 0);
	put(".postern/other", "", 0);
	assert_int_equal(utimensat(home, ".postern/done.old", old, 0), 0);
	assert_int_equal(utimensat(home, ".postern/other", old, 0), 0);
	append_sweep(box, time(NULL));
	assert_false(has(".postern/done.old"));
	assert_true(has(".postern/done.young"));
	assert_true(has(".postern/other"));
}

/* Places that somebody has prepared. */

static int
deliver_to_place(void)
{
	int r = enter(1);

	if (r == 0)
		r = append("id", "text\n", 5);
	return r == 0 ? 0 : errno;
}

static void
test_hostile_places(void **state)
{
	struct stat st;

	(void)state;
	put("victim", "victim\n", 7);
	assert_int_equal(symlinkat("victim", home, "mbox"), 0);
	assert_int_equal(deliver_to_place(), EPERM);
	assert_int_equal(unlinkat(home, "mbox", 0), 0);

	assert_int_equal(symlinkat("nowhere", home, "mbox"), 0);
	assert_int_equal(deliver_to_place(), EPERM);
	assert_false(has("nowhere"));
	assert_int_equal(unlinkat(home, "mbox", 0), 0);

	assert_int_equal(linkat(home, "victim", home, "mbox", 0), 0);
	assert_int_equal(deliver_to_place(), EPERM);
	assert_int_equal(unlinkat(home, "mbox", 0), 0);

	assert_int_equal(mkfifoat(home, "mbox", 0600), 0);
	assert_int_equal(deliver_to_place(), EPERM);
	assert_int_equal(unlinkat(home, "mbox", 0), 0);

	assert_int_equal(mkdirat(home, "mbox", 0700), 0);
	assert_int_equal(deliver_to_place(), EPERM);
	assert_int_equal(unlinkat(home, "mbox", AT_REMOVEDIR), 0);

	if (getuid() == 0) {
		put("mbox", "", 0);
		assert_int_equal(fchownat(home, "mbox", 4711, -1, 0), 0);
		assert_int_equal(deliver_to_place(), EPERM);
		assert_int_equal(unlinkat(home, "mbox", 0), 0);
	}
	assert_file("victim", "victim\n");

	/* The lock's name is a link to something. */
	assert_int_equal(symlinkat("victim", home, "mbox.lock"), 0);
	assert_int_equal(enter(1), 0);
	assert_int_equal(mbox_lock(box, 100), -1);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(unlinkat(home, "mbox.lock", 0), 0);
	assert_file("victim", "victim\n");
	assert_int_equal(deliver_to_place(), 0);
	assert_int_equal(fstatat(home, "mbox", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_uid, getuid());
}

static void
test_hostile_state(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(home, "elsewhere", 0700), 0);
	assert_int_equal(symlinkat("elsewhere", home, ".postern"), 0);
	assert_int_not_equal(deliver_to_place(), 0);
	assert_int_equal(unlinkat(home, "elsewhere", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(home, ".postern", 0), 0);
	/* Links where its files should be. */
	assert_int_equal(mkdirat(home, ".postern", 0700), 0);
	put("victim", "victim\n", 7);
	assert_int_equal(symlinkat("../victim", home, ".postern/begun.id"), 0);
	assert_int_not_equal(deliver_to_place(), 0);
	assert_file("victim", "victim\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_stored),
		TEST(test_appended_meanwhile),
		TEST(test_swallow),
		TEST(test_others_stay),
		TEST(test_quoted_at_blocks),
		TEST(test_senders),
		TEST(test_once),
		TEST(test_refused),
		TEST(test_everywhere),
		TEST(test_first_everywhere),
		TEST(test_bad_intents),
		TEST(test_sweep),
		TEST(test_hostile_places),
		TEST(test_hostile_state),
	};

	return cmocka_run_group_tests_name("test_mbox_append", tests, NULL,
	    NULL);
}
