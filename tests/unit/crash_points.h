/*
 * crash_points: every system call that changes a file is in turn the last one,
 * or fails.
 *
 * The calls are wrapped by the linker: a test that includes this has
 * CRASH_WRAPS in its LIBS line (see test_mbox_append.c).  A try is run in a
 * fork; what it left is then looked at by the test.
 */
#ifndef TESTS_UNIT_CRASH_POINTS_H
#define TESTS_UNIT_CRASH_POINTS_H

#include <sys/stat.h>
#include <sys/types.h>
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
#include <unistd.h>

#include <cmocka.h>

enum crash_how {
	CRASH_NEVER,
	CRASH_KILL,		/* before the call, so the one before is last */
	CRASH_KILL_HALF,	/* in the midst of a write */
	CRASH_FAIL,		/* this call fails, no other */
	CRASH_FAIL_HALF,	/* a short write, then a failure */
	CRASH_FAIL_ON		/* this call and all that are like it fail */
};

static struct {
	enum crash_how	how;
	int		at;		/* the call, from 1 */
	int		error;
	int		count;		/* calls so far */
	int		is_failing;	/* the next write, after a short one */
	int		was_reached;
	int		has_acted;	/* and there was something to stop */
	char		order[64];	/* of calls: d directory synced, s file
					 * synced, t file cut off */
	size_t		order_len;
	void		(*meanwhile)(void);	/* once, in this of those calls */
	size_t		meanwhile_at;		/* from 1 */
} crash;

struct crash_mode {
	enum crash_how	 how;
	int		 error;
	const char	*name;
};

static const struct crash_mode crash_modes[] = {
	{ CRASH_KILL, 0, "kill" },
	{ CRASH_KILL_HALF, 0, "kill in a write" },
	{ CRASH_FAIL, ENOSPC, "ENOSPC once" },
	{ CRASH_FAIL_HALF, ENOSPC, "ENOSPC after a short write" },
	{ CRASH_FAIL_ON, ENOSPC, "ENOSPC" },
	{ CRASH_FAIL, EIO, "EIO once" },
	{ CRASH_FAIL_ON, EIO, "EIO" },
	{ CRASH_FAIL, EDQUOT, "EDQUOT once" },
	{ CRASH_FAIL_ON, EDQUOT, "EDQUOT" },
};
#define CRASH_MODES	(sizeof(crash_modes) / sizeof(crash_modes[0]))

/* Can this call fail so?  What takes nothing from the disk is not full. */
static inline int
crash_fits(int takes_room)
{
	return takes_room || crash.error == EIO;
}

/* -1: the call fails; 1: only half of it happens; 0: it is made. */
static inline int
crash_point(int takes_room, int is_write)
{
	if (crash.how == CRASH_NEVER)
		return 0;
	if (crash.is_failing && is_write) {
		crash.is_failing = 0;
		errno = crash.error;
		return -1;
	}
	if (++crash.count < crash.at)
		return 0;
	if (crash.count > crash.at && crash.how != CRASH_FAIL_ON)
		return 0;
	crash.was_reached = 1;
	switch (crash.how) {
	case CRASH_KILL:
		raise(SIGKILL);
		break;
	case CRASH_KILL_HALF:
		crash.has_acted |= is_write;
		return is_write;
	case CRASH_FAIL_HALF:
		if (!is_write)
			return 0;
		crash.is_failing = crash.has_acted = 1;
		return 1;
	case CRASH_FAIL:
	case CRASH_FAIL_ON:
		if (!crash_fits(takes_room))
			return 0;
		crash.has_acted = 1;
		errno = crash.error;
		return -1;
	case CRASH_NEVER:
		break;
	}
	return 0;
}

static inline size_t
crash_half(size_t len)
{
	return len / 2;
}

static inline void
crash_after_half(void)
{
	if (crash.how == CRASH_KILL_HALF)
		raise(SIGKILL);
}

#define CRASH_WRAP(type, name, takes, given, room)			\
type	__real_##name takes;						\
type	__wrap_##name takes;						\
type									\
__wrap_##name takes							\
{									\
	if (crash_point(room, 0) == -1)					\
		return -1;						\
	return __real_##name given;					\
}

static inline void
crash_note(char call)
{
	if (crash.order_len < sizeof(crash.order) - 1)
		crash.order[crash.order_len++] = call;
	crash.order[crash.order_len] = '\0';
}

int	__real_fsync(int);
int	__wrap_fsync(int);
int	__real_ftruncate(int, off_t);
int	__wrap_ftruncate(int, off_t);

int
__wrap_fsync(int fd)
{
	void (*meanwhile)(void) = crash.meanwhile;
	struct stat st;

	crash_note(fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? 'd' : 's');
	if (crash.order_len == crash.meanwhile_at && meanwhile != NULL) {
		crash.meanwhile = NULL;
		meanwhile();
	}
	return crash_point(0, 0) == -1 ? -1 : __real_fsync(fd);
}

int
__wrap_ftruncate(int fd, off_t size)
{
	crash_note('t');
	return crash_point(0, 0) == -1 ? -1 : __real_ftruncate(fd, size);
}

CRASH_WRAP(int, unlinkat, (int dir, const char *name, int flags),
    (dir, name, flags), 0)
CRASH_WRAP(int, renameat, (int from, const char *old, int to,
    const char *new), (from, old, to, new), 1)
CRASH_WRAP(int, linkat, (int from, const char *old, int to, const char *new,
    int flags), (from, old, to, new, flags), 1)
CRASH_WRAP(int, mkdirat, (int dir, const char *name, mode_t mode),
    (dir, name, mode), 1)
CRASH_WRAP(int, fallocate, (int fd, int mode, off_t offset, off_t len),
    (fd, mode, offset, len), 1)

ssize_t	__real_write(int, const void *, size_t);
ssize_t	__wrap_write(int, const void *, size_t);
ssize_t	__real_pwrite(int, const void *, size_t, off_t);
ssize_t	__wrap_pwrite(int, const void *, size_t, off_t);
ssize_t	__real_copy_file_range(int, off_t *, int, off_t *, size_t, unsigned);
ssize_t	__wrap_copy_file_range(int, off_t *, int, off_t *, size_t, unsigned);
int	__real_openat(int, const char *, int, ...);
int	__wrap_openat(int, const char *, int, ...);

ssize_t
__wrap_write(int fd, const void *data, size_t len)
{
	int point = crash_point(1, 1);
	ssize_t n;

	if (point == -1)
		return -1;
	n = __real_write(fd, data, point == 1 ? crash_half(len) : len);
	if (point == 1)
		crash_after_half();
	return n;
}

ssize_t
__wrap_pwrite(int fd, const void *data, size_t len, off_t offset)
{
	int point = crash_point(1, 1);
	ssize_t n;

	if (point == -1)
		return -1;
	n = __real_pwrite(fd, data, point == 1 ? crash_half(len) : len,
	    offset);
	if (point == 1)
		crash_after_half();
	return n;
}

ssize_t
__wrap_copy_file_range(int from, off_t *at, int to, off_t *put, size_t len,
    unsigned flags)
{
	int point = crash_point(1, 1);
	ssize_t n;

	if (point == -1)
		return -1;
	n = __real_copy_file_range(from, at, to, put,
	    point == 1 ? crash_half(len) : len, flags);
	if (point == 1)
		crash_after_half();
	return n;
}

int
__wrap_openat(int dir, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if ((flags & O_CREAT) != 0) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
		if (crash_point(1, 0) == -1)
			return -1;
	}
	return __real_openat(dir, name, flags, mode);
}

static int crash_points[CRASH_MODES];
static int crash_is_counting = 1;

static inline void
crash_count(const struct crash_mode *mode)
{
	if (crash_is_counting)
		crash_points[mode - crash_modes]++;
}

/* Print the number of points tried so far, and begin to count anew. */
static inline void
crash_report(const char *what)
{
	size_t i;
	int sum = 0;

	for (i = 0; i < CRASH_MODES; i++)
		sum += crash_points[i];
	print_message("%s: %d points", what, sum);
	for (i = 0; i < CRASH_MODES; i++) {
		print_message("; %s %d", crash_modes[i].name,
		    crash_points[i]);
		crash_points[i] = 0;
	}
	print_message("\n");
}

/*
 * Run once, in a fork if it may be killed, to be stopped or to fail at this
 * call; it is counted if that came about.  0: the call was never reached (there
 * are fewer); 1: it was, and *result is what run gave (0 if it was killed).
 */
static inline int
crash_try(const struct crash_mode *mode, int at, int (*run)(void *), void *arg,
    int *result)
{
	int status;
	pid_t pid = 0;

	crash.at = at;
	crash.error = mode->error;
	crash.count = crash.is_failing = crash.was_reached = 0;
	crash.has_acted = 0;
	fflush(NULL);
	/* What only fails can go on in this process. */
	if (mode->error == 0 && (pid = fork()) == -1)
		abort();
	if (pid == 0) {
		crash.how = mode->how;
		*result = run(arg);
		crash.how = CRASH_NEVER;
		if (mode->error == 0)
			_exit(crash.was_reached ? 2 : 0);
		if (crash.has_acted)
			crash_count(mode);
		return crash.was_reached;
	}
	if (waitpid(pid, &status, 0) != pid)
		abort();
	*result = 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		crash_count(mode);
		return 1;
	}
	if (!WIFEXITED(status) || (WEXITSTATUS(status) | 2) != 2) {
		fprintf(stderr, "the try ended with %x\n", (unsigned)status);
		abort();
	}
	return WEXITSTATUS(status) == 2;
}

#endif
