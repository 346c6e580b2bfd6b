/* LINK: MAILBOX */
/* LIBS: -lmd -lbsd -Wl,--wrap=maildir_scan_both */
/*
 * test_maildir_append: delivery to a Maildir, and to what every kind of death
 * may leave of a delivery.
 */
#include "maildir_home.h"

/* Delivery. */

#define HEAD	"Return-Path: <>\nDelivered-To: alice@example.org\n"

static char content_text[3 * 1024 * 1024];
static struct mailbox_letter letter;

/* A letter of this text, at an offset in a file; the caller closes it. */
static void
make_letter(const char *id, const char *text)
{
	char name[96];
	size_t len = strlen(text), i;
	int fd;

	snprintf(name, sizeof(name), "spool-%s", id);
	fd = openat(home, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, "ENVELOPE", 8), 8);
	assert_int_equal(write(fd, text, len), len);
	assert_int_equal(write(fd, "OUTCOME", 7), 7);
	memset(&letter, 0, sizeof(letter));
	letter.queue_id = id;
	letter.arrived = 1700000000;
	letter.head = HEAD;
	letter.head_len = strlen(HEAD);
	letter.content = fd;
	letter.offset = 8;
	letter.length = len;
	for (i = 0; i < len; i++)
		letter.lines += text[i] == '\n';
}

/* All names in a folder, NUL-separated would be too fine: their number. */
static int
count_files(const char *path)
{
	int n = 0, fd = openat(home, path, O_RDONLY | O_DIRECTORY);
	DIR *dir = fdopendir(fd);

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n - 2;
}

static int
append(void)
{
	return ops->append(box, &letter);
}

static void
assert_delivered(const char *text)
{
	struct octets octets;
	char all[512];

	assert_int_equal(count_files("Maildir/new"), 1);
	reopen();
	assert_int_equal(ops->count(box), 1);
	snprintf(all, sizeof(all), "%s%s", HEAD, text);
	octets_init(&octets);
	octets.header = HEADER_ENDED;	/* in the spool every header does */
	octets_count(&octets, all, strlen(all));
	assert_int_equal(ops->message(box, 0)->octets, octets_total(&octets));
	assert_content(0, all);
	make_maildir();
}

static void
test_append(void **state)
{
	static const char *const texts[] = {
		"Subject: x\n\nbody\n", "no line end", "", "\n", "a\nb",
	};
	struct stat st;
	char id[16];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		make_maildir();
		snprintf(id, sizeof(id), "id%zu", i);
		make_letter(id, texts[i]);
		assert_int_equal(append(), 0);
		assert_int_equal(count_files("Maildir/tmp"), 1);
		assert_delivered(texts[i]);
		assert_int_equal(ops->settle(box, id), 0);
		assert_int_equal(ops->settle(box, id), 0);
		assert_int_equal(count_files("Maildir/tmp"), 0);
		close(letter.content);
		if (i == 0) {
			assert_int_equal(fstatat(home, "Maildir/new/1700000000"
			    ".Qid0.mail.example.org,S=65,W=70", &st, 0), 0);
			assert_int_equal(st.st_mode & 07777, 0600);
			assert_int_equal(st.st_nlink, 1);
		}
		reopen();
		assert_true(strncmp(uidl(0), "1700000000.Qid", 14) == 0);
		ops->close(box);
		box = NULL;
		remove_tree(strcat(strcpy(content_text, identity.home),
		    "/Maildir"));
	}
}

/* From the same file system, and from another (a memory file). */
static void
test_append_large(void **state)
{
	struct octets octets;
	size_t i, size = sizeof(content_text) - 1;
	int fd;

	(void)state;
	make_maildir();
	for (i = 0; i < size; i++)
		content_text[i] = i % 61 == 60 ? '\n' : (char)('a' + i % 26);
	content_text[size] = '\0';
	make_letter("large", content_text);
	assert_int_equal(append(), 0);
	fd = memfd_create("content", MFD_CLOEXEC);
	assert_int_equal(write(fd, "ENVELOPE", 8), 8);
	assert_int_equal(write(fd, content_text, size), size);
	close(letter.content);
	letter.content = fd;
	letter.queue_id = "large2";
	assert_int_equal(append(), 0);
	close(fd);
	reopen();
	assert_int_equal(ops->count(box), 2);
	for (i = 0; i < 2; i++) {
		static char got[sizeof(content_text) + 1000];
		uint64_t offset, length;

		assert_int_equal(ops->fetch(box, i, &fd, &offset, &length), 0);
		assert_int_equal(length, strlen(HEAD) + size);
		assert_int_equal(pread(fd, got, sizeof(got), 0), length);
		assert_memory_equal(got, HEAD, strlen(HEAD));
		assert_memory_equal(got + strlen(HEAD), content_text, size);
		octets_init(&octets);
		octets.header = HEADER_ENDED;
		octets_count(&octets, got, length);
		assert_int_equal(ops->message(box, i)->octets,
		    octets_total(&octets));
		close(fd);
	}
}

static void
test_append_refused(void **state)
{
	const char *ids[] = { "", "a/b", "../x", "a.b", "a b", NULL };
	char much[66];
	size_t i;

	(void)state;
	memset(much, 'x', 65);
	much[65] = '\0';
	ids[5] = much;
	make_maildir();
	make_letter("x", "text\n");
	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		letter.queue_id = ids[i];
		assert_int_equal(append(), -1);
		assert_int_equal(errno, EINVAL);
		assert_int_equal(ops->settle(box, ids[i]), -1);
	}
	letter.queue_id = "x";
	letter.length += 100;		/* more than there is */
	assert_int_equal(append(), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(count_files("Maildir/tmp"), 0);
	assert_int_equal(count_files("Maildir/new"), 0);
	close(letter.content);
}

/* An odd host name, and an id so long that the host has to give way. */
static void
test_append_names(void **state)
{
	static const char id[] =
	    "abcdefghijklmnopqrstuvwxyz0123456789abcdefgh";

	(void)state;
	strlcpy(config.hostname, "h/o:s,t .example.org",
	    sizeof(config.hostname));
	make_maildir();
	make_letter(id, "text\n");
	assert_int_equal(append(), 0);
	reopen();
	assert_int_equal(strlen(uidl(0)), 70);
	assert_string_equal(uidl(0), "1700000000."
	    "Qabcdefghijklmnopqrstuvwxyz0123456789abcdefgh.h_o_s_t_.exam");
	close(letter.content);
}

/* Every line of the truth table in maildir_append.c. */

#define NAME_N	"1700000000.Qid.mail.example.org,S=53,W=56"

struct crash {
	int	 work, tombstone, in_new, in_cur, tried_before;
	int	 todo;
	int	 delivered;	/* copies in new/ and cur/ afterwards */
};

static const struct crash crashes[] = {
	{ 0, 0, 0, 0, 0, MAILDIR_WRITE, 1 },
	{ 0, 0, 0, 0, 1, MAILDIR_WRITE, 1 },
	{ 1, 0, 0, 0, 0, MAILDIR_WRITE, 1 },
	{ 1, 0, 0, 0, 1, MAILDIR_WRITE, 1 },
	{ 1, 1, 0, 0, 0, MAILDIR_FINISH, 1 },
	{ 1, 1, 0, 0, 1, MAILDIR_FINISH, 1 },
	{ 0, 1, 1, 0, 0, MAILDIR_DONE, 1 },
	{ 0, 1, 0, 1, 1, MAILDIR_DONE, 1 },
	{ 0, 1, 0, 0, 0, MAILDIR_DONE, 0 },
	{ 0, 1, 0, 0, 1, MAILDIR_DONE, 0 },
	{ 0, 0, 1, 0, 1, MAILDIR_DONE, 1 },
	{ 0, 0, 0, 1, 1, MAILDIR_DONE, 1 },
	{ 1, 1, 1, 0, 1, MAILDIR_DONE, 1 },
	{ 1, 1, 0, 1, 1, MAILDIR_DONE, 1 },
	{ 1, 0, 1, 0, 1, MAILDIR_DONE, 1 },
	{ 1, 0, 0, 1, 1, MAILDIR_DONE, 1 },
};

static void
stage_crash(const struct crash *c)
{
	const char *whole = HEAD "text\n";

	put("file", whole);
	if (c->tombstone)
		assert_int_equal(linkat(home, "file", home, "Maildir/tmp/T.id",
		    0), 0);
	if (c->work && c->tombstone)
		assert_int_equal(linkat(home, "file", home, "Maildir/tmp/W.id",
		    0), 0);
	else if (c->work)
		put("Maildir/tmp/W.id", "Return-Pa");
	if (c->in_new)
		put("Maildir/new/" NAME_N, whole);
	if (c->in_cur)
		put("Maildir/cur/" NAME_N ":2,S", whole);
	assert_int_equal(unlinkat(home, "file", 0), 0);
}

static void
test_crashes(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++) {
		const struct crash *c = &crashes[i];

		assert_int_equal(maildir_todo(c->work, c->tombstone,
		    c->in_new || c->in_cur), c->todo);
		make_maildir();
		stage_crash(c);
		make_letter("id", "text\n");
		letter.tried_before = c->tried_before;
		assert_int_equal(append(), 0);
		close(letter.content);
		assert_false(has("Maildir/tmp/W.id"));
		reopen();
		assert_int_equal(ops->count(box), c->delivered);
		if (c->delivered) {
			assert_content(0, HEAD "text\n");
			assert_int_equal(ops->message(box, 0)->octets, 56);
		}
		make_maildir();
		assert_int_equal(ops->settle(box, "id"), 0);
		assert_int_equal(count_files("Maildir/tmp"), 0);
		/* And once more, after it is settled. */
		make_letter("id", "text\n");
		letter.tried_before = 1;
		if (c->delivered)
			assert_int_equal(append(), 0);
		close(letter.content);
		reopen();
		assert_int_equal(ops->count(box), c->delivered);
		ops->close(box);
		box = NULL;
		remove_tree(strcat(strcpy(content_text, identity.home),
		    "/Maildir"));
	}
}

/* The queue dies before it records, the user takes the letter meanwhile. */
static void
test_append_after_removal(void **state)
{
	uint8_t all[1] = { 1 };
	size_t failed;

	(void)state;
	make_maildir();
	make_letter("id", "text\n");
	assert_int_equal(append(), 0);
	reopen();
	assert_int_equal(ops->expunge(box, all, &failed), 0);
	make_maildir();
	letter.tried_before = 1;
	assert_int_equal(append(), 0);
	assert_int_equal(append(), 0);
	letter.tried_before = 0;
	assert_int_equal(append(), 0);
	assert_int_equal(count_files("Maildir/new"), 0);
	close(letter.content);
	/* Another's id that begins alike is another letter. */
	make_letter("i", "text\n");
	letter.tried_before = 1;
	assert_int_equal(append(), 0);
	assert_int_equal(count_files("Maildir/new"), 1);
	close(letter.content);
}

static int readings;

int	__real_maildir_scan_both(struct mailbox *, maildir_found, void *,
	    int *);
int	__wrap_maildir_scan_both(struct mailbox *, maildir_found, void *,
	    int *);

int
__wrap_maildir_scan_both(struct mailbox *mb, maildir_found found, void *arg,
    int *is_whole)
{
	readings++;
	return __real_maildir_scan_both(mb, found, arg, is_whole);
}

/* After a crash every letter may have been tried: one reading for them all. */
static void
test_append_many_tried(void **state)
{
	char id[16], path[64];
	int i;

	(void)state;
	make_maildir();
	for (i = 0; i < 600; i++) {
		snprintf(path, sizeof(path), i % 2 == 0 ?
		    "Maildir/new/17.Qold%d.host,S=1" :
		    "Maildir/cur/17.Qold%d.host,S=1,W=2:2,S", i);
		put(path, "x");
	}
	put("Maildir/new/17.Qnodot", "x");
	put("Maildir/new/17.other.host", "x");
	be_quiet();
	readings = 0;
	for (i = 0; i < 50; i++) {
		snprintf(id, sizeof(id), "id%d", i);
		make_letter(id, "text\n");
		letter.tried_before = 1;
		assert_int_equal(append(), 0);
		close(letter.content);
		/* Delivered a moment ago, and asked again. */
		if (i == 20)
			assert_int_equal(append(), 0);
		assert_int_equal(ops->settle(box, id), 0);
	}
	assert_int_equal(readings, 1);
	assert_int_equal(count_files("Maildir/new"), 352);
	/* Those that are there are found, and none that begins like them. */
	for (i = 0; i < 600; i += 60) {
		snprintf(id, sizeof(id), "old%d", i);
		make_letter(id, "text\n");
		letter.tried_before = 1;
		assert_int_equal(append(), 0);
		close(letter.content);
	}
	assert_int_equal(count_files("Maildir/new"), 352);
	make_letter("old", "text\n");
	letter.tried_before = 1;
	assert_int_equal(append(), 0);
	close(letter.content);
	assert_int_equal(count_files("Maildir/new"), 353);
}

/* Killed between any two system calls: delivered once all the same. */
static void
test_append_killed(void **state)
{
	struct rlimit limit = { .rlim_cur = 100000, .rlim_max = 100000 };
	struct rlimit old;
	int status;
	pid_t pid;

	(void)state;
	make_maildir();
	memset(content_text, 'x', 300000);
	content_text[300000] = '\0';
	make_letter("big", content_text);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		signal(SIGXFSZ, SIG_DFL);	/* dies while it writes */
		getrlimit(RLIMIT_CORE, &old);
		old.rlim_cur = 0;
		setrlimit(RLIMIT_CORE, &old);
		setrlimit(RLIMIT_FSIZE, &limit);
		append();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_true(has("Maildir/tmp/W.big"));
	assert_int_equal(append(), 0);
	assert_int_equal(count_files("Maildir/new"), 1);
	assert_false(has("Maildir/tmp/W.big"));
	close(letter.content);
}

/* No room: nothing is left, and the errno says it. */
static void
test_append_no_room(void **state)
{
	struct rlimit limit = { .rlim_cur = 100000, .rlim_max = 100000 };
	int status;
	pid_t pid;

	(void)state;
	make_maildir();
	memset(content_text, 'x', 300000);
	content_text[300000] = '\0';
	make_letter("big", content_text);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &limit);
		_exit(append() == -1 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EFBIG);
	assert_int_equal(count_files("Maildir/tmp"), 0);
	assert_int_equal(count_files("Maildir/new"), 0);
	close(letter.content);
}

static void
test_append_hostile(void **state)
{
	(void)state;
	make_maildir();
	make_letter("id", "text\n");
	put("victim", "victim\n");
	assert_int_equal(symlinkat("../../victim", home, "Maildir/tmp/W.id"),
	    0);
	assert_int_equal(append(), 0);
	assert_delivered("text\n");
	reopen();
	/* Nothing went by the link. */
	assert_int_equal(unlinkat(home, "Maildir/tmp/T.id", 0), 0);
	move("victim", "Maildir/new/1.victim");
	reopen();
	assert_content(0, "victim\n");
	/* What can't be removed is an error, not a loop. */
	make_maildir();
	close(letter.content);
	make_letter("id2", "text\n");
	assert_int_equal(mkdirat(home, "Maildir/tmp/W.id2", 0700), 0);
	assert_int_equal(append(), -1);
	assert_int_equal(errno, EISDIR);
	close(letter.content);
}

static void
age(const char *path, time_t seconds)
{
	struct timespec times[2] = {
		{ .tv_sec = time(NULL) - seconds },
		{ .tv_sec = time(NULL) - seconds },
	};

	assert_int_equal(utimensat(home, path, times, 0), 0);
}

static void
test_sweep(void **state)
{
	static const char *const names[] = {
		"W.old", "W.both", "T.both", "W.young", "T.old", "T.young",
		"1.foreign", "W.od-d",
	};
	char path[64];
	size_t i;

	(void)state;
	make_maildir();
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "Maildir/tmp/%s", names[i]);
		put(path, "x");
		age(path, strstr(names[i], "young") != NULL ? 3600 :
		    names[i][0] == 'T' && i != 2 ? 9 * 86400 : 2 * 86400);
	}
	maildir_sweep(box, time(NULL));
	assert_false(has("Maildir/tmp/W.old"));
	assert_false(has("Maildir/tmp/W.both"));
	/* Never a tombstone alone that once had its file beside it. */
	assert_false(has("Maildir/tmp/T.both"));
	assert_false(has("Maildir/tmp/T.old"));
	assert_true(has("Maildir/tmp/W.young"));
	assert_true(has("Maildir/tmp/T.young"));
	assert_true(has("Maildir/tmp/1.foreign"));
	assert_true(has("Maildir/tmp/W.od-d"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_append),
		TEST(test_append_large),
		TEST(test_append_refused),
		TEST(test_append_names),
		TEST(test_crashes),
		TEST(test_append_after_removal),
		TEST(test_append_many_tried),
		TEST(test_append_killed),
		TEST(test_append_no_room),
		TEST(test_append_hostile),
		TEST(test_sweep),
	};

	return cmocka_run_group_tests_name("test_maildir_append", tests, NULL, NULL);
}
