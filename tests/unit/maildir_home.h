/*
 * maildir_home: what the tests of a Maildir share: a home of their own under
 * TMPDIR, for each test anew, and short ways to put files there.
 */
#ifndef TESTS_UNIT_MAILDIR_HOME_H
#define TESTS_UNIT_MAILDIR_HOME_H

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

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

#include "mailbox/maildir.h"
#include "wire/octets.h"

static struct config config;
static struct identity identity;
static int home;		/* descriptor */
static const struct mailbox_ops *ops;
static struct mailbox *box;

static inline void
remove_tree(const char *path)
{
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", path, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static inline int
setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(identity.home, sizeof(identity.home), "%s/maildir.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(identity.home) == NULL)
		return -1;
	strlcpy(identity.name, "alice", sizeof(identity.name));
	identity.uid = getuid();
	identity.gid = getgid();
	home = open(identity.home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	config.mailbox_format = MAILBOX_MAILDIR;
	strlcpy(config.mailbox_path, "~/Maildir",
	    sizeof(config.mailbox_path));
	strlcpy(config.hostname, "mail.example.org", sizeof(config.hostname));
	ops = mailbox_format(&config);
	box = NULL;
	return home == -1;
}

static inline int
teardown(void **state)
{
	(void)state;
	ops->close(box);
	box = NULL;
	close(home);
	remove_tree(identity.home);
	return 0;
}

static inline int
enter(int create)
{
	int dirs[MAILBOX_DIRS_MAX];
	size_t count;
	int r, saved;

	ops->close(box);
	r = ops->enter(&box, &config, &identity, create, dirs, &count);
	saved = errno;
	if (r == 0)
		assert_int_equal(count, box->maildir != -1);
	else
		assert_null(box);
	errno = saved;
	return r;
}

static inline void
make_maildir(void)
{
	assert_int_equal(enter(1), 0);
}

static inline void
reopen(void)
{
	assert_int_equal(enter(0), 0);
	assert_int_equal(ops->open(box), 0);
}

static inline void
put(const char *path, const char *text)
{
	int fd = openat(home, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static inline int
has(const char *path)
{
	struct stat st;

	return fstatat(home, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline void
move(const char *from, const char *to)
{
	assert_int_equal(renameat(home, from, home, to), 0);
}

/* Wait until a change of new/ or cur/ would show. */
static inline void
be_quiet(void)
{
	struct timespec now, tick = { .tv_nsec = 1000000 };
	struct stat st[2];

	assert_int_equal(fstatat(home, "Maildir/new", &st[0], 0), 0);
	assert_int_equal(fstatat(home, "Maildir/cur", &st[1], 0), 0);
	for (;;) {
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
		if (timespeccmp(&now, &st[0].st_ctim, >) &&
		    timespeccmp(&now, &st[1].st_ctim, >))
			return;
		nanosleep(&tick, NULL);
	}
}

static inline const char *
uidl(size_t n)
{
	return ops->message(box, n)->uidl;
}

static inline void
assert_content(size_t n, const char *text)
{
	uint64_t offset, length;
	char got[512];
	ssize_t len;
	int fd;

	assert_int_equal(ops->fetch(box, n, &fd, &offset, &length), 0);
	assert_int_equal(length, strlen(text));
	len = pread(fd, got, sizeof(got), (off_t)offset);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(got, text, strlen(text));
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
}

static inline int
fetch_error(size_t n)
{
	uint64_t offset, length;
	int fd;

	if (ops->fetch(box, n, &fd, &offset, &length) == 0) {
		close(fd);
		return 0;
	}
	return errno;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
