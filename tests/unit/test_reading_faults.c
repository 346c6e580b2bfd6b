/* LINK: MAILBOX privsep/gates privsep/message privsep/log */
/* LIBS: -lmd -lbsd -Wl,--wrap=read,--wrap=pread,--wrap=openat,--wrap=readdir,--wrap=mkdirat,--wrap=write,--wrap=pwrite,--wrap=renameat,--wrap=fallocate */
/*
 * test_reading_faults: a session on a disk that is full, over quota, read-only
 * or broken.  Each call in turn, or all that are like it, fails.
 *
 * Nothing may change, nothing may be shown that is not so; and what only
 * writes something down for the next time may fail without harm.
 */
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mailbox/mailbox.h"

#define COUNT	4

static const char *const letters[COUNT] = {
	"Subject: one\n\nFirst.\n", "Subject: two\n\nSecond.\n",
	"Subject: two\n\nSecond.\n", "Subject: three\n\nThird.\n",
};

static struct config config;
static struct identity identity;
static const struct mailbox_ops *ops;
static struct mailbox *box;
static char uidls[COUNT][UIDL_MAX];

/* Which calls fail. */
static struct {
	int	at;		/* the first, from 1; 0: none */
	int	for_ever;	/* and all after it */
	int	reads;		/* those that read, else those that make */
	int	error;
	int	count;
	int	has_hit_lock;	/* mbox.lock could not be made */
} fault;

static int
fails(int reads)
{
	if (fault.at == 0 || reads != fault.reads)
		return 0;
	fault.count++;
	if (fault.count != fault.at &&
	    !(fault.for_ever && fault.count > fault.at))
		return 0;
	errno = fault.error;
	return 1;
}

#define WRAP(type, name, takes, given, reads, failure)			\
type	__real_##name takes;						\
type	__wrap_##name takes;						\
type									\
__wrap_##name takes							\
{									\
	return fails(reads) ? failure : __real_##name given;		\
}

WRAP(ssize_t, read, (int fd, void *data, size_t len), (fd, data, len), 1, -1)
WRAP(ssize_t, pread, (int fd, void *data, size_t len, off_t at),
    (fd, data, len, at), 1, -1)
WRAP(struct dirent *, readdir, (DIR *dir), (dir), 1, NULL)
WRAP(int, mkdirat, (int dir, const char *name, mode_t mode),
    (dir, name, mode), 0, -1)
WRAP(ssize_t, write, (int fd, const void *data, size_t len), (fd, data, len),
    0, -1)
WRAP(ssize_t, pwrite, (int fd, const void *data, size_t len, off_t at),
    (fd, data, len, at), 0, -1)
WRAP(int, renameat, (int from, const char *old, int to, const char *new),
    (from, old, to, new), 0, -1)
WRAP(int, fallocate, (int fd, int mode, off_t at, off_t len),
    (fd, mode, at, len), 0, -1)

int	__real_openat(int, const char *, int, ...);
int	__wrap_openat(int, const char *, int, ...);

int
__wrap_openat(int dir, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if ((flags & O_CREAT) != 0) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (fails((flags & O_CREAT) == 0)) {
		fault.has_hit_lock |= strcmp(name, "mbox.lock") == 0;
		return -1;
	}
	return __real_openat(dir, name, flags, mode);
}

static void
put(const char *path, const char *text)
{
	char full[sizeof(identity.home) + 64];
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", identity.home, path);
	file = fopen(full, "a");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void
make_directory(const char *path)
{
	char full[sizeof(identity.home) + 64];

	snprintf(full, sizeof(full), "%s/%s", identity.home, path);
	assert_int_equal(mkdir(full, 0700), 0);
}

static void
fill_mbox(void)
{
	int i;

	for (i = 0; i < COUNT; i++) {
		put("mbox", "From a@b Mon Jan  1 00:00:00 2024\n");
		put("mbox", letters[i]);
		put("mbox", "\n");
	}
}

/* Two whose names say their sizes, two that are counted. */
static void
fill_maildir(void)
{
	char name[64];
	int i;

	make_directory("Maildir");
	make_directory("Maildir/new");
	make_directory("Maildir/cur");
	make_directory("Maildir/tmp");
	for (i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), i % 2 ? "Maildir/cur/%d.o.h:2,S" :
		    "Maildir/new/%d.o.h,S=%zu,W=%zu", 1600000000 + i,
		    strlen(letters[i]), strlen(letters[i]) + 3);
		put(name, letters[i]);
	}
}

static void
remove_home(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", identity.home, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static void
fresh(void)
{
	const char *tmp = getenv("TMPDIR");

	if (identity.home[0] != '\0')
		remove_home();
	snprintf(identity.home, sizeof(identity.home), "%s/faults.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(identity.home));
	if (config.mailbox_format == MAILBOX_MBOX)
		fill_mbox();
	else
		fill_maildir();
}

static void
begin(enum mailbox_format format)
{
	strlcpy(identity.name, "alice", sizeof(identity.name));
	identity.uid = getuid();
	identity.gid = getgid();
	config.mailbox_format = format;
	strlcpy(config.mailbox_path, format == MAILBOX_MBOX ? "~/mbox" :
	    "~/Maildir", sizeof(config.mailbox_path));
	strlcpy(config.hostname, "mx.example.org", sizeof(config.hostname));
	ops = mailbox_format(&config);
	fresh();
}

static int
is_letter(int fd, uint64_t offset, uint64_t length)
{
	char text[128];
	int i;

	if (length >= sizeof(text) || __real_pread(fd, text, (size_t)length,
	    (off_t)offset) != (ssize_t)length)
		return 0;
	text[length] = '\0';
	for (i = 0; i < COUNT; i++)
		if (strcmp(text, letters[i]) == 0)
			return 1;
	return 0;
}

/* A session: how many messages it could fetch, or -1: not opened. */
static int
session(void)
{
	int dirs[MAILBOX_DIRS_MAX], fd, n = 0, saved;
	uint64_t offset, length;
	size_t i, count;

	if (ops->enter(&box, &config, &identity, 0, dirs, &count) == -1)
		return -1;
	if (ops->open(box) == -1) {
		saved = errno;
		ops->close(box);
		errno = saved;
		return -1;
	}
	for (i = 0; i < ops->count(box); i++) {
		if (ops->fetch(box, i, &fd, &offset, &length) == -1)
			continue;
		assert_true(is_letter(fd, offset, length));
		close(fd);
		n++;
	}
	return n;
}

static int
whole_session(void)
{
	int n = session();

	if (n != -1)
		ops->close(box);
	return n;
}

/* As before anything failed, with the same names. */
static void
check(int is_first)
{
	size_t i;

	memset(&fault, 0, sizeof(fault));
	assert_int_equal(session(), COUNT);
	assert_int_equal(ops->count(box), COUNT);
	for (i = 0; i < COUNT; i++) {
		const struct mailbox_message *m = ops->message(box, i);

		if (is_first)
			strlcpy(uidls[i], m->uidl, UIDL_MAX);
		assert_string_equal(m->uidl, uidls[i]);
	}
	ops->close(box);
}

/* Every call that reads fails; had_session: there are files of ours, too. */
static void
try_reads(int had_session, int for_ever)
{
	int at, n, refused = 0, less = 0;

	for (at = 1; ; at++) {
		fresh();
		if (had_session)
			check(at == 1 && !for_ever);
		memset(&fault, 0, sizeof(fault));
		fault.at = at;
		fault.reads = 1;
		fault.for_ever = for_ever;
		fault.error = EIO;
		n = whole_session();
		if (fault.count < at)
			break;
		fault.at = 0;
		refused += n == -1;
		less += n != -1 && n < COUNT;
		check(0);
	}
	print_message("%s: %d calls read, %d sessions refused, %d without a "
	    "message\n", ops->name, at - 1, refused, less);
	assert_true(at > 5 && refused > 0);
}

static void
test_mbox_read_errors(void **state)
{
	(void)state;
	begin(MAILBOX_MBOX);
	check(1);
	try_reads(1, 0);
	try_reads(0, 1);
	remove_home();
}

static void
test_maildir_read_errors(void **state)
{
	(void)state;
	begin(MAILBOX_MAILDIR);
	check(1);
	try_reads(1, 0);
	try_reads(0, 1);
	remove_home();
}

/* Nothing can be made or written: everything can be read all the same. */
static void
try_full(int error, int had_session)
{
	int at, for_ever, n;

	for (for_ever = 0; for_ever < 2; for_ever++)
		for (at = 1; ; at++) {
			fresh();
			if (had_session)
				check(0);
			memset(&fault, 0, sizeof(fault));
			fault.at = at;
			fault.for_ever = for_ever;
			fault.error = error;
			n = whole_session();
			if (fault.count < at)
				break;
			/* The mbox itself can be written: who took it away? */
			assert_int_equal(n, fault.has_hit_lock &&
			    error == EROFS ? -1 : COUNT);
			check(0);
		}
}

static void
test_full(void **state)
{
	static const int errors[] = { ENOSPC, EDQUOT, EROFS };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		begin(MAILBOX_MBOX);
		check(1);
		try_full(errors[i], 0);
		try_full(errors[i], 1);
		remove_home();
		begin(MAILBOX_MAILDIR);
		check(1);
		try_full(errors[i], 0);
		try_full(errors[i], 1);
		remove_home();
	}
}

/* Alike, and no room to write down which one went: it goes all the same. */
static void
test_twins_on_a_full_disk(void **state)
{
	const uint8_t last[1] = { 0x0c }, second[1] = { 0x02 };
	size_t failed, i;

	(void)state;
	begin(MAILBOX_MBOX);
	check(1);
	assert_int_equal(session(), COUNT);
	memset(&fault, 0, sizeof(fault));
	fault.at = 2;			/* after the dotlock */
	fault.for_ever = 1;
	fault.error = EDQUOT;
	/* What is between others needs a journal; what is last does not. */
	assert_int_equal(ops->expunge(box, second, &failed), -1);
	assert_int_equal(errno, EDQUOT);
	assert_int_equal(failed, 1);
	fault.count = 0;
	fault.error = ENOSPC;
	fault.at = 3;			/* its number, too */
	assert_int_equal(ops->expunge(box, last, &failed), 0);
	fault.at = 0;
	ops->close(box);
	assert_int_equal(session(), 2);
	for (i = 0; i < 2; i++)
		assert_string_equal(ops->message(box, i)->uidl, uidls[i]);
	ops->close(box);
	remove_home();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mbox_read_errors),
		cmocka_unit_test(test_maildir_read_errors),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_twins_on_a_full_disk),
	};

	return cmocka_run_group_tests_name("test_reading_faults", tests, NULL,
	    NULL);
}
