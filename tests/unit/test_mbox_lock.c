/* LINK: MAILBOX privsep/gates privsep/message privsep/log */
/* LIBS: -lmd -lbsd -Wl,--wrap=fstatat,--wrap=openat */
/*
 * test_mbox_lock: the locks of an mbox, and the keeper.
 */
#include <sys/socket.h>

#include "mbox_home.h"
#include "privsep/message.h"

#define LOCK	"mbox.lock"

static void
age(const char *path, time_t seconds)
{
	struct timespec times[2] = {
		{ .tv_sec = time(NULL) - seconds },
		{ .tv_sec = time(NULL) - seconds },
	};

	assert_int_equal(utimensat(home, path, times, 0), 0);
}

static int is_vanishing;	/* LOCK goes when somebody looks at it */

int	__real_fstatat(int, const char *, struct stat *, int);
int	__wrap_fstatat(int, const char *, struct stat *, int);

int
__wrap_fstatat(int directory, const char *name, struct stat *st, int flags)
{
	if (is_vanishing && strcmp(name, LOCK) == 0) {
		is_vanishing = 0;
		assert_int_equal(unlinkat(directory, name, 0), 0);
	}
	return __real_fstatat(directory, name, st, flags);
}

static int replacements;	/* of mbox, still to be done by somebody else */

int	__real_openat(int, const char *, int, ...);
int	__wrap_openat(int, const char *, int, ...);

/* They come between its first opening, O_RDWR, and the second. */
int
__wrap_openat(int directory, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;
	int fd;

	va_start(ap, flags);
	if ((flags & O_CREAT) != 0)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	if (replacements > 0 && strcmp(name, "mbox") == 0 &&
	    (flags & O_ACCMODE) == O_RDONLY) {
		replacements--;
		fd = __real_openat(directory, "new", O_WRONLY | O_CREAT, 0600);
		close(fd);
		assert_int_equal(renameat(directory, "new", directory, name),
		    0);
	}
	return __real_openat(directory, name, flags, mode);
}

static int
lock_error(int patience)
{
	return mbox_lock(box, patience) == 0 ? 0 : errno;
}

static void
test_both(void **state)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct text text;
	int fd;

	(void)state;
	assert_int_equal(enter(1), 0);
	assert_int_equal(mbox_lock(box, 100), 0);
	text = get(LOCK);
	assert_int_equal(atol(text.data), getpid());
	free(text.data);
	fd = openat(home, "mbox", O_RDWR);
	assert_int_equal(fcntl(fd, F_SETLK, &whole), -1);
	close(fd);
	/* They nest. */
	assert_int_equal(mbox_lock(box, 0), 0);
	mbox_unlock(box);
	assert_true(has(LOCK));
	mbox_unlock(box);
	assert_false(has(LOCK));
	fd = openat(home, "mbox", O_RDWR);
	assert_int_equal(fcntl(fd, F_SETLK, &whole), 0);
	/* A POSIX lock of this process is another's to an OFD lock. */
	assert_int_equal(lock_error(50), EBUSY);
	assert_false(has(LOCK));
	close(fd);
	assert_int_equal(lock_error(50), 0);
	mbox_unlock(box);
	mbox_unlock(box);		/* once too often does nothing */
}

static void
test_foreign_dotlock(void **state)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct timespec begun, ended;
	int fd;

	(void)state;
	assert_int_equal(enter(1), 0);
	put(LOCK, "0", 1);			/* as procmail writes it */
	clock_gettime(CLOCK_MONOTONIC, &begun);
	assert_int_equal(lock_error(300), EBUSY);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	assert_in_range((ended.tv_sec - begun.tv_sec) * 1000 +
	    (ended.tv_nsec - begun.tv_nsec) / 1000000, 290, 60000);
	/* Who waits for one does not hold the other. */
	fd = openat(home, "mbox", O_RDWR);
	assert_int_equal(fcntl(fd, F_SETLK, &whole), 0);
	close(fd);
	age(LOCK, DOTLOCK_STALE_SECONDS - 30);
	assert_int_equal(lock_error(50), EBUSY);
	age(LOCK, DOTLOCK_STALE_SECONDS + 30);
	assert_int_equal(lock_error(50), 0);
	mbox_unlock(box);
	assert_false(has(LOCK));
	/* The mailbox of one whose name is like the name of a lock. */
	if (getuid() != 0)
		return;
	put(LOCK, "From a Mon Jan  1 00:00:00 2024\n\n", 33);
	assert_int_equal(fchownat(home, LOCK, 4711, -1, 0), 0);
	age(LOCK, DOTLOCK_STALE_SECONDS + 30);
	assert_int_equal(lock_error(50), EBUSY);
	assert_true(has(LOCK));
}

/* Its owner removes it just when we look how old it is. */
static void
test_foreign_dotlock_vanishes(void **state)
{
	(void)state;
	assert_int_equal(enter(1), 0);
	put(LOCK, "0", 1);
	is_vanishing = 1;
	assert_int_equal(lock_error(0), 0);
	assert_false(is_vanishing);
	mbox_unlock(box);
}

/* Whoever asked for it has gone: it is not waited for, but taken if free. */
static void
test_nobody_waits(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    ends), 0);
	mailbox_use_channel(ends[0]);
	assert_int_equal(enter(1), 0);
	put(LOCK, "0", 1);
	assert_int_equal(write(ends[1], "next", 4), 4);
	assert_int_equal(lock_error(300), EBUSY);
	close(ends[1]);
	alarm(20);
	assert_int_equal(lock_error(60000), ECANCELED);
	alarm(0);
	assert_file(LOCK, "0");
	assert_int_equal(unlinkat(home, LOCK, 0), 0);
	assert_int_equal(lock_error(0), 0);
	mbox_unlock(box);
	mailbox_use_channel(-1);
	close(ends[0]);
}

static void
test_dead_owner(void **state)
{
	const struct {
		const char	*before;	/* the second line */
		int		 has_where;
		const char	*behind;
		int		 stays;
	} locks[] = {
		{ "\n", 1, "", 0 },
		/* not known to be of here: liblockfile's, another host's */
		{ "\n", 0, "", 1 }, { "", 0, "", 1 }, { "\nx", 1, "", 1 },
		{ "\n", 1, "x", 1 }, { "\n\n", 1, "", 1 },
		{ " \n", 1, "", 1 }, { "\r\n", 1, "", 1 }
	};
	char text[256], where[128];
	struct text ours;
	size_t i;
	pid_t pid;

	(void)state;
	assert_int_equal(enter(1), 0);
	dotlock_clear_dead(home, LOCK);
	assert_int_equal(lock_error(0), 0);
	ours = get(LOCK);
	strlcpy(where, strchr(ours.data, '\n') + 1, sizeof(where));
	free(ours.data);
	mbox_unlock(box);
	assert_in_range(strlen(where), 40, 79);
	pid = fork();
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	for (i = 0; i < sizeof(locks) / sizeof(locks[0]); i++) {
		snprintf(text, sizeof(text), "%d%s%s%s", pid, locks[i].before,
		    locks[i].has_where ? where : "", locks[i].behind);
		put(LOCK, text, strlen(text));
		dotlock_clear_dead(home, LOCK);
		assert_int_equal(has(LOCK), locks[i].stays);
	}
	/* A live one's, an unreadable one, somebody's own idea of a lock. */
	snprintf(text, sizeof(text), "%d\n%s", getpid(), where);
	put(LOCK, text, strlen(text));
	dotlock_clear_dead(home, LOCK);
	assert_true(has(LOCK));
	put(LOCK, "-1\n", 3);
	dotlock_clear_dead(home, LOCK);
	put(LOCK, "", 0);
	dotlock_clear_dead(home, LOCK);
	put(LOCK, "99999999999999999999999999", 26);
	dotlock_clear_dead(home, LOCK);
	assert_true(has(LOCK));
	assert_int_equal(unlinkat(home, LOCK, 0), 0);
	assert_int_equal(mkfifoat(home, LOCK, 0600), 0);
	dotlock_clear_dead(home, LOCK);
	assert_true(has(LOCK));
}

/* Held too long and thought stale: what is another's by now stays. */
static void
test_lost_dotlock(void **state)
{
	(void)state;
	assert_int_equal(enter(1), 0);
	assert_int_equal(lock_error(50), 0);
	put("other", "1", 1);
	assert_int_equal(renameat(home, "other", home, LOCK), 0);
	mbox_unlock(box);
	assert_file(LOCK, "1");
}

static void
test_touch(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(enter(1), 0);
	assert_int_equal(lock_error(50), 0);
	age(LOCK, 200);
	mbox_lock_touch(box);			/* a moment ago, it thinks */
	assert_int_equal(fstatat(home, LOCK, &st, 0), 0);
	assert_true(time(NULL) - st.st_mtim.tv_sec > 100);
	box->locks.touched -= 100;
	mbox_lock_touch(box);
	assert_int_equal(fstatat(home, LOCK, &st, 0), 0);
	assert_true(time(NULL) - st.st_mtim.tv_sec < 100);
	mbox_unlock(box);
}

/* The file is replaced while somebody waits for it. */
static void
test_replaced(void **state)
{
	(void)state;
	assert_int_equal(enter(1), 0);
	put("new", "From a Mon Jan  1 00:00:00 2024\n\nnew\n", 38);
	assert_int_equal(renameat(home, "new", home, "mbox"), 0);
	assert_int_equal(lock_error(50), 0);
	assert_true(mbox_file_is_named(box));
	mbox_unlock(box);
	/* Removed: a delivery makes it again, a reader has none. */
	assert_int_equal(unlinkat(home, "mbox", 0), 0);
	assert_int_equal(lock_error(50), 0);
	assert_true(has("mbox"));
	mbox_unlock(box);
	assert_int_equal(enter(0), 0);
	assert_int_equal(unlinkat(home, "mbox", 0), 0);
	assert_int_equal(lock_error(50), 0);
	assert_int_equal(box->file, -1);
	assert_false(has(LOCK));
	mbox_unlock(box);
}

/* Just between the two openings of it, as often as wanted. */
static void
test_replaced_between(void **state)
{
	(void)state;
	assert_int_equal(enter(1), 0);
	put("mbox", "From a Mon Jan  1 00:00:00 2024\n\nx\n", 36);
	assert_int_equal(unlinkat(home, "mbox", 0), 0);
	replacements = 2;
	assert_int_equal(lock_error(0), 0);
	assert_int_equal(replacements, 0);
	assert_true(mbox_file_is_named(box));
	mbox_unlock(box);
	/* Always: it is busy, and nothing else is wrong with it. */
	assert_int_equal(unlinkat(home, "mbox", 0), 0);
	replacements = INT_MAX;
	assert_int_equal(lock_error(50), EBUSY);
	replacements = 0;
}

/* A keeper of its own for the test, and the end that an agent would have. */
static pid_t keeper_pid;

static int
start_keeper(mode_t mode)
{
	struct keeper k = { .directory = home, .user = getuid(), .name = "mbox",
	    .lock_name = LOCK, .mode = mode };
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    ends), 0);
	fflush(NULL);
	keeper_pid = fork();
	if (keeper_pid == 0) {
		close(ends[0]);
		_exit(keeper_serve(&k, ends[1]) == 0 ? 0 : errno);
	}
	close(ends[1]);
	return ends[0];
}

static int
end_keeper(int sock)
{
	int status;

	close(sock);
	assert_int_equal(waitpid(keeper_pid, &status, 0), keeper_pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
test_keeper(void **state)
{
	struct stat st;
	struct text text;
	int sock = start_keeper(0660);

	(void)state;
	mailbox_use_companion(sock);
	assert_int_equal(enter(1), 0);
	assert_int_equal(fstatat(home, "mbox", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(lock_error(50), 0);
	text = get(LOCK);
	assert_int_equal(atol(text.data), keeper_pid);
	free(text.data);
	age(LOCK, 200);
	box->locks.touched -= 100;
	mbox_lock_touch(box);
	assert_int_equal(fstatat(home, LOCK, &st, 0), 0);
	assert_true(time(NULL) - st.st_mtim.tv_sec < 100);
	mbox_unlock(box);
	assert_false(has(LOCK));
	/* Another's lock stays, and is said to be there. */
	put(LOCK, "0", 1);
	assert_int_equal(lock_error(50), EBUSY);
	assert_file(LOCK, "0");
	age(LOCK, DOTLOCK_STALE_SECONDS + 30);
	assert_int_equal(lock_error(50), 0);
	/* The agent ends with the lock held, and it is gone. */
	assert_true(has(LOCK));
	assert_int_equal(end_keeper(sock), 0);
	assert_false(has(LOCK));
	/* Its end is an error, not a wait. */
	mailbox_use_companion(-1);
	leave();
}

static void
test_keeper_dies(void **state)
{
	int sock = start_keeper(0600), status;

	(void)state;
	mailbox_use_companion(sock);
	assert_int_equal(enter(1), 0);
	kill(keeper_pid, SIGKILL);
	waitpid(keeper_pid, &status, 0);
	assert_int_equal(mbox_lock(box, 1000), -1);
	assert_int_not_equal(errno, EBUSY);
	close(sock);
}

/* Whatever it is asked that it can't be asked ends it, its lock with it. */
static const struct {
	uint32_t first, second;
	int	 with;			/* 1 a field, 2 a descriptor, 3 name */
} hostile[] = {
	{ REQ_KEEPER_LOCK, REQ_KEEPER_LOCK, 0 },
	{ REQ_KEEPER_LOCK, REQ_KEEPER_MAKE, 0 },
	{ REQ_KEEPER_UNLOCK, 0, 0 },
	{ REQ_KEEPER_TOUCH, 0, 0 },
	{ REQ_KEEPER_LOCK, 0x400, 0 },
	{ REQ_KEEPER_LOCK, 0x405, 0 },
	{ REQ_KEEPER_LOCK, 0x101, 0 },
	{ REQ_KEEPER_LOCK, 0x8402, 0 },
	{ REQ_KEEPER_LOCK, 0xffffffff, 0 },
	{ REQ_KEEPER_LOCK, REQ_KEEPER_UNLOCK, 1 },
	{ REQ_KEEPER_LOCK, REQ_KEEPER_UNLOCK, 2 },
	{ REQ_KEEPER_LOCK, REQ_KEEPER_UNLOCK, 3 },
	{ REQ_KEEPER_LOCK, REQ_KEEPER_TOUCH, 3 },
	{ REQ_KEEPER_MAKE, REQ_KEEPER_LOCK, 3 },
	{ REQ_KEEPER_MAKE, REQ_KEEPER_MAKE, 3 },
};

static void
send_request(int sock, uint32_t type, int with)
{
	struct message m;

	message_begin(&m, type);
	if (with == 1)
		put_u32(&m, 0);
	else if (with == 2)
		put_fd(&m, home);
	else if (with == 3)
		put_str(&m, "../victim");
	assert_int_equal(message_send(sock, &m), 0);
}

static void
test_keeper_hostile(void **state)
{
	struct message m;
	size_t i;
	int sock;

	(void)state;
	put("victim", "victim\n", 7);
	for (i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		sock = start_keeper(0600);
		if (hostile[i].second != 0) {
			send_request(sock, hostile[i].first, 0);
			assert_int_equal(message_wait(sock, &m, 0, 60000), 1);
			send_request(sock, hostile[i].second, hostile[i].with);
		} else
			send_request(sock, hostile[i].first, 0);
		assert_true(message_wait(sock, &m, 0, 60000) <= 0);
		assert_int_equal(end_keeper(sock), EPROTO);
		assert_false(has(LOCK));
		assert_file("victim", "victim\n");
	}
	/* Neither name is followed. */
	assert_int_equal(symlinkat("victim", home, LOCK), 0);
	if (has("mbox"))
		assert_int_equal(unlinkat(home, "mbox", 0), 0);
	assert_int_equal(symlinkat("victim", home, "mbox"), 0);
	sock = start_keeper(0600);
	assert_int_equal(keeper_ask(sock, REQ_KEEPER_LOCK), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(keeper_ask(sock, REQ_KEEPER_MAKE), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(end_keeper(sock), 0);
	assert_file("victim", "victim\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_both),
		TEST(test_foreign_dotlock),
		TEST(test_foreign_dotlock_vanishes),
		TEST(test_nobody_waits),
		TEST(test_dead_owner),
		TEST(test_lost_dotlock),
		TEST(test_touch),
		TEST(test_replaced),
		TEST(test_replaced_between),
		TEST(test_keeper),
		TEST(test_keeper_dies),
		TEST(test_keeper_hostile),
	};

	return cmocka_run_group_tests_name("test_mbox_lock", tests, NULL,
	    NULL);
}
