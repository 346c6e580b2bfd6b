/*
 * mbox_home: what the tests of writing an mbox share: a home of their own
 * under TMPDIR, for each test anew, and short ways to fill and read it.
 */
#ifndef TESTS_UNIT_MBOX_HOME_H
#define TESTS_UNIT_MBOX_HOME_H

#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mailbox/mbox_append.h"
#include "mailbox/mbox_rewrite.h"

#define HEAD	"Return-Path: <bob@example.net>\n" \
		"Delivered-To: alice@example.org\n"
#define FROM	"From bob@example.net Tue Nov 14 22:13:20 2023\n"
#define DATE	1700000000

static struct config config;
static struct identity identity;
static int home;		/* descriptor */
static const struct mailbox_ops *ops;
static struct mailbox *box;
static struct mailbox_letter letter;
static char letter_file[64] = "spool";

/* A text of any size. */
struct text {
	char	*data;
	size_t	 len;
};

static inline void
empty_directory(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	const struct dirent *d;
	struct stat st;
	DIR *dir;

	if (fd == -1)
		return;
	dir = fdopendir(fd);
	while ((d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISDIR(st.st_mode)) {
			empty_directory(fd, d->d_name);
			unlinkat(fd, d->d_name, AT_REMOVEDIR);
		} else
			unlinkat(fd, d->d_name, 0);
	}
	closedir(dir);
}

static inline void
leave(void)
{
	if (box != NULL)
		ops->close(box);
	box = NULL;
}

static inline int
setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	snprintf(identity.home, sizeof(identity.home), "%s/mbox.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(identity.home) == NULL)
		return -1;
	strlcpy(identity.name, "alice", sizeof(identity.name));
	identity.uid = getuid();
	identity.gid = getgid();
	home = open(identity.home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	config.mailbox_format = MAILBOX_MBOX;
	strlcpy(config.mailbox_path, "~/mbox", sizeof(config.mailbox_path));
	strlcpy(config.hostname, "mail.example.org", sizeof(config.hostname));
	ops = mailbox_format(&config);
	box = NULL;
	return home == -1;
}

static inline int
teardown(void **state)
{
	(void)state;
	leave();
	mailbox_use_companion(-1);
	close(home);
	empty_directory(AT_FDCWD, identity.home);
	rmdir(identity.home);
	return 0;
}

static inline int
enter(int create)
{
	int dirs[MAILBOX_DIRS_MAX];
	size_t count;

	leave();
	return ops->enter(&box, &config, &identity, create, dirs, &count);
}

/* A fresh POP3 session. */
static inline void
reopen(void)
{
	assert_int_equal(enter(0), 0);
	if (ops->open(box) == -1)
		fail_msg("open: %s", strerror(errno));
}

static inline void
put(const char *path, const char *data, size_t len)
{
	int fd = openat(home, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	size_t done;
	ssize_t n;

	assert_int_not_equal(fd, -1);
	for (done = 0; done < len; done += (size_t)n) {
		n = write(fd, data + done, len - done);
		assert_true(n > 0);
	}
	close(fd);
}

static inline void
add(const char *path, const char *text)
{
	int fd = openat(home, path, O_WRONLY | O_APPEND);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/*
 * As a session or a delivery that comes later: the lock of a dead process is
 * seen to be that, or, if its number was not yet written, gets old.
 */
static inline void
clear_lock(void)
{
	struct timespec old[2] = {
		{ .tv_sec = time(NULL) - DOTLOCK_STALE_SECONDS - 10 },
		{ .tv_sec = time(NULL) - DOTLOCK_STALE_SECONDS - 10 },
	};

	leave();
	dotlock_clear_dead(home, "mbox.lock");
	if (utimensat(home, "mbox.lock", old, 0) == -1)
		assert_int_equal(errno, ENOENT);
}

/* A whole file; the caller frees it.  One that is not there is empty. */
static inline struct text
get(const char *path)
{
	int fd = openat(home, path, O_RDONLY);
	struct text text = { NULL, 0 };
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		st.st_size = 0;
	text.data = calloc(1, (size_t)st.st_size + 1);
	assert_non_null(text.data);
	if (fd != -1) {
		assert_int_equal(io_pread(fd, text.data,
		    (size_t)st.st_size, 0), 0);
		close(fd);
	}
	text.len = (size_t)st.st_size;
	return text;
}

static inline int
file_is(const char *path, const char *data, size_t len)
{
	struct text text = get(path);
	int same = text.len == len && memcmp(text.data, data, len) == 0;

	free(text.data);
	return same;
}

static inline void
assert_file(const char *path, const char *data)
{
	struct text text = get(path);

	assert_string_equal(text.data, data);
	assert_int_equal(text.len, strlen(data));
	free(text.data);
}

static inline int
has(const char *path)
{
	struct stat st;

	return fstatat(home, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Files in ~/.postern that begin so. */
static inline int
count_state(const char *prefix)
{
	int n = 0, fd = openat(home, ".postern", O_RDONLY | O_DIRECTORY);
	const struct dirent *d;
	DIR *dir;

	if (fd == -1)
		return 0;
	dir = fdopendir(fd);
	while ((d = readdir(dir)) != NULL)
		n += strncmp(d->d_name, prefix, strlen(prefix)) == 0;
	closedir(dir);
	return n;
}

/* A letter of this content, at an offset in a file; close(letter.content). */
static inline void
make_letter(const char *id, const char *data, size_t len)
{
	size_t i;
	int fd;

	fd = openat(home, letter_file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
	    0600);
	assert_int_equal(write(fd, "ENVELOPE", 8), 8);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(write(fd, "OUTCOME", 7), 7);
	memset(&letter, 0, sizeof(letter));
	letter.queue_id = id;
	letter.arrived = DATE;
	letter.head = HEAD;
	letter.head_len = strlen(HEAD);
	letter.content = fd;
	letter.offset = 8;
	letter.length = len;
	for (i = 0; i < len; i++)
		letter.lines += data[i] == '\n';
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
