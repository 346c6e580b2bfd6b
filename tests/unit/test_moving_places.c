/* LINK: MAILBOX privsep/gates privsep/message privsep/log */
/* LIBS: -lmd -lbsd -Wl,--wrap=fsync */
/*
 * test_moving_places: C6.  Deliveries and POP3 sessions while the user herself
 * and, where the directory lets him, another user put links, FIFOs, directories
 * and files of all kinds where a mailbox and its locks should be.
 *
 * Each letter is tried until it is delivered, as the queue does.  Not one may
 * be lost, nothing may hang, and outside of the mailbox nothing may change.
 * POSTERN_DELIVERIES=100000 makes it that many for each place.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
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

#include "mailbox/mailbox.h"
#include "moving_places.h"

#define LETTERS		1000	/* if nobody asks for more */
#define HEAD		"Return-Path: <>\nDelivered-To: victim@example.org\n"
#define BODY		"Marker: %zu.\n\nSome text.\nThe end of it.\n"
#define CANARY		"untouched\n"
#define HANG_SECONDS	20	/* no call of the mailbox takes so long */

static size_t letters;
static struct config config;
static struct identity identity;
static const struct mailbox_ops *ops;

/* On a disk it would take hours; what is on it is another test's. */
int	__wrap_fsync(int);

int
__wrap_fsync(int fd)
{
	(void)fd;
	return 0;
}

/* What is attacked. */

static struct mailbox *
enter(int create)
{
	int dirs[MAILBOX_DIRS_MAX];
	struct mailbox *box;
	size_t count;

	alarm(HANG_SECONDS);
	if (ops->enter(&box, &config, &identity, create, dirs, &count) == -1)
		return NULL;
	return box;
}

static int
deliver(size_t number, int tried_before)
{
	char text[128], id[32];
	struct mailbox_letter letter = { .queue_id = id, .arrived = 1700000000,
	    .head = HEAD, .head_len = strlen(HEAD), .lines = 4 };
	struct mailbox *box = enter(1);
	int r;

	if (box == NULL)
		return -1;
	snprintf(id, sizeof(id), "id%zu", number);
	letter.length = (uint64_t)snprintf(text, sizeof(text), BODY, number);
	letter.tried_before = tried_before;
	letter.content = memfd_create("letter", MFD_CLOEXEC);
	if (pwrite(letter.content, text, letter.length, 0) == -1)
		_exit(102);
	r = ops->append(box, &letter);
	if (r == 0)
		(void)ops->settle(box, id);
	ops->close(box);
	close(letter.content);
	return r;
}

static void
give_up(size_t number)
{
	fprintf(stderr, "letter %zu: %s\n", number, strerror(errno));
	_exit(103);
}

static void
deliver_all(void)
{
	time_t last = time(NULL);
	size_t i;
	int tried;

	become(victim);
	for (i = 0; i < letters; i++) {
		for (tried = 0; deliver(i, tried) == -1; tried = 1) {
			shared->deferred++;
			usleep(100);
			if (time(NULL) - last > 3 * HANG_SECONDS)
				give_up(i);
		}
		last = time(NULL);
	}
}

/* The number of a whole letter in this text, or -1. */
static ssize_t
letter_number(const char *text)
{
	const char *marker = strstr(text, "\nMarker: ");
	char whole[256];
	size_t number;

	if (marker == NULL || sscanf(marker, "\nMarker: %zu.", &number) != 1)
		return -1;
	snprintf(whole, sizeof(whole), BODY, number);
	return strncmp(marker + 1, whole, strlen(whole)) == 0 &&
	    number < letters ? (ssize_t)number : -1;
}

/* Take what is there; some sessions also remove what they took. */
static void
collect(void)
{
	static uint8_t bitmap[1 << 16];
	struct mailbox *box = enter(0);
	uint64_t offset, length;
	char text[512];
	size_t i, n, failed;
	ssize_t len, number;
	int fd;

	if (box == NULL)
		return;
	memset(bitmap, 0, sizeof(bitmap));
	n = ops->open(box) == 0 ? ops->count(box) : 0;
	shared->sessions += n > 0;
	for (i = 0; i < n && i < sizeof(bitmap) * 8; i++) {
		if (ops->fetch(box, i, &fd, &offset, &length) == -1)
			continue;
		len = pread(fd, text, length < sizeof(text) ? (size_t)length :
		    sizeof(text) - 1, (off_t)offset);
		close(fd);
		text[len > 0 ? len : 0] = '\0';
		/* An empty file of the attacker's may be among them. */
		number = letter_number(text);
		if (number == -1 && len > 0) {
			fprintf(stderr, "no letter: `%s'\n", text);
			_exit(104);
		}
		if (number == -1)
			continue;
		shared->seen[number] = 1;
		shared->collected++;
		bitmap[i / 8] |= (uint8_t)(1U << (i % 8));
	}
	if (n > 0 && ops->expunge(box, bitmap, &failed) == 0)
		shared->removed += n;
	ops->close(box);
}

static void
collect_all(void)
{
	become(victim);
	while (!shared->is_over) {
		collect();
		alarm(0);
		nap(4000);
	}
}

/* The test. */

static pid_t
start(void (*life)(void), unsigned number)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		seed = number;
		if (getuid() == 0 && setgroups(0, NULL) == -1)
			_exit(99);
		life();
		_exit(0);
	}
	return pid;
}

static int
wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
make(const char *path, uid_t uid, mode_t mode, const char *text)
{
	char full[256];
	int fd;

	snprintf(full, sizeof(full), "%s/%s", top, path);
	if (text == NULL)
		assert_int_equal(mkdir(full, 0700), 0);
	else {
		fd = open(full, O_WRONLY | O_CREAT | O_EXCL, 0600);
		assert_int_equal(write(fd, text, strlen(text)), strlen(text));
		close(fd);
	}
	assert_int_equal(chown(full, uid, getuid() == 0 ? uid : getgid()), 0);
	assert_int_equal(chmod(full, mode), 0);
}

static int
remove_tree(const char *path)
{
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", path, (char *)NULL);
		_exit(127);
	}
	return wait_for(pid);
}

static int
setup(void **state)
{
	const char *tmp = getenv("TMPDIR"), *n = getenv("POSTERN_DELIVERIES");
	int ends[2];

	(void)state;
	letters = n != NULL ? (size_t)strtoul(n, NULL, 10) : LETTERS;
	victim = getuid() == 0 ? 2000 : getuid();
	other = getuid() == 0 ? 2001 : getuid();
	snprintf(top, sizeof(top), "%s/moving.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(top) == NULL || chmod(top, 0755) == -1)
		return -1;
	make("spool", getuid(), 01777, NULL);
	make("home", victim, 0755, NULL);
	make("home/own", victim, 0700, NULL);
	make("home/own/file", victim, 0600, CANARY);
	make("canary", other, 0777, NULL);
	make("canary/open", other, 0666, CANARY);
	make("canary/file", victim, 0600, CANARY);
	make("canary/dir", other, 0777, NULL);
	shared = mmap(NULL, sizeof(*shared) + letters, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	/* Nobody waits for locks: a letter that must wait is tried again. */
	if (shared == MAP_FAILED || pipe(ends) == -1)
		return -1;
	close(ends[1]);
	mailbox_use_channel(ends[0]);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	shared->is_over = 1;		/* after a failure, too */
	while (wait(NULL) != -1)
		continue;
	munmap(shared, sizeof(*shared) + letters);
	return remove_tree(top);
}

/* What is in a file, and who may do what with it; links to it come and go. */
static void
assert_untouched(const char *path, uid_t uid, mode_t mode)
{
	char full[256], text[64] = "";
	struct stat st;
	int fd;

	snprintf(full, sizeof(full), "%s/%s", top, path);
	assert_int_equal(lstat(full, &st), 0);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_mode & 07777, mode);
	if (!S_ISREG(st.st_mode))
		return;
	assert_int_equal(st.st_nlink, 1);
	fd = open(full, O_RDONLY);
	assert_int_equal(read(fd, text, sizeof(text) - 1), strlen(CANARY));
	close(fd);
	assert_string_equal(text, CANARY);
}

static size_t
count_names(const char *path)
{
	char full[256];
	size_t n = 0;
	DIR *dir;

	snprintf(full, sizeof(full), "%s/%s", top, path);
	dir = opendir(full);
	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n - 2;
}

/* Mark the letters of a file: the attacker has moved some of them about. */
static void
look_into(const char *path)
{
	struct stat st;
	char *text, *p;
	ssize_t number;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);

	if (fd == -1)
		return;
	assert_int_equal(fstat(fd, &st), 0);
	text = calloc(1, (size_t)st.st_size + 1);
	assert_non_null(text);
	if (S_ISREG(st.st_mode))
		assert_int_equal(read(fd, text, (size_t)st.st_size),
		    st.st_size);
	for (p = text; (p = strstr(p, "\nMarker: ")) != NULL; p++) {
		number = letter_number(p);
		assert_int_not_equal(number, -1);
		shared->seen[number] = 1;
	}
	free(text);
	close(fd);
}

static void
look_below(const char *path)
{
	char below[512];
	const struct dirent *d;
	struct stat st;
	DIR *dir;

	if (lstat(path, &st) == -1)
		return;
	if (S_ISREG(st.st_mode))
		look_into(path);
	if (!S_ISDIR(st.st_mode))
		return;
	(void)chmod(path, 0700);
	dir = opendir(path);
	assert_non_null(dir);
	while ((d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		assert_true(snprintf(below, sizeof(below), "%s/%s", path,
		    d->d_name) < (int)sizeof(below));
		look_below(below);
	}
	closedir(dir);
}

static void
check(void)
{
	char home[256], spool[256], own[256];
	size_t i;

	snprintf(spool, sizeof(spool), "%s/spool", top);
	snprintf(home, sizeof(home), "%s/home", top);
	snprintf(own, sizeof(own), "%s/own", top);
	assert_int_equal(count_names("home/own"), 1);
	assert_int_equal(count_names("canary"), 3);
	assert_int_equal(count_names("canary/dir"), 0);
	look_below(spool);
	look_below(home);
	for (i = 0; i < letters; i++)
		if (!shared->seen[i])
			fail_msg("letter %zu is lost", i);
	/* The attackers' second names of other files go before these do. */
	assert_int_equal(rename(strcat(home, "/own"), own), 0);
	home[strlen(home) - 4] = '\0';
	assert_int_equal(remove_tree(home), 0);
	assert_int_equal(remove_tree(spool), 0);
	assert_untouched("own", victim, 0700);
	assert_untouched("own/file", victim, 0600);
	assert_untouched("canary", other, 0777);
	assert_untouched("canary/dir", other, 0777);
	assert_untouched("canary/open", other, 0666);
	assert_untouched("canary/file", victim, 0600);
}

static void
attack(const char *name, enum mailbox_format format, const char *path,
    const char *const *what)
{
	pid_t delivery, collector, attackers[2];
	struct timespec begun, ended;

	strlcpy(identity.name, "victim", sizeof(identity.name));
	snprintf(identity.home, sizeof(identity.home), "%s/home", top);
	identity.uid = identity.gid = victim;
	config.mailbox_format = format;
	snprintf(config.mailbox_path, sizeof(config.mailbox_path), "%s%s",
	    path[0] == '~' ? "" : top, path);
	strlcpy(config.hostname, "mx.example.org", sizeof(config.hostname));
	ops = mailbox_format(&config);
	targets = what;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	attackers[0] = start(attack_as_owner, 1);
	attackers[1] = start(attack_as_other, 2);
	collector = start(collect_all, 3);
	delivery = start(deliver_all, 4);
	assert_int_equal(wait_for(delivery), 0);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	shared->is_over = 1;
	assert_int_equal(wait_for(attackers[0]), 0);
	assert_int_equal(wait_for(attackers[1]), 0);
	assert_int_equal(wait_for(collector), 0);
	print_message("%s: %zu letters in %ld s, %zu tries failed; %zu moves "
	    "of the user, %zu of another; %zu sessions, %zu messages taken, "
	    "%zu removed\n", name, letters, (long)(ended.tv_sec -
	    begun.tv_sec), shared->deferred, shared->moves[0],
	    shared->moves[1], shared->sessions, shared->collected,
	    shared->removed);
	check();
}

static void
test_C6_mbox_in_the_spool(void **state)
{
	static const char *const what[] = {
		"spool/victim", "spool/victim", "spool/victim.lock",
		"home/.postern", "home/.postern/pop3.lock",
		"home/.postern/mbox-twins", "home/.postern/mbox-twins.new",
		NULL
	};

	(void)state;
	attack("mbox in a sticky spool", MAILBOX_MBOX, "/spool/%u", what);
}

static void
test_C6_maildir_in_the_spool(void **state)
{
	static const char *const what[] = {
		"spool/victim", "spool/victim/tmp", "spool/victim/new",
		"spool/victim/cur", "spool/victim/postern.lock",
		"spool/victim/postern.sizes", NULL
	};

	(void)state;
	attack("Maildir in a sticky spool", MAILBOX_MAILDIR, "/spool/%u",
	    what);
}

static void
test_C6_maildir_in_the_home(void **state)
{
	static const char *const what[] = {
		"home/Maildir", "home/Maildir/tmp", "home/Maildir/new",
		"home/Maildir/cur", "home/Maildir/postern.lock",
		"home/Maildir/postern.sizes", "home/.postern", NULL
	};

	(void)state;
	attack("Maildir in the home", MAILBOX_MAILDIR, "~/Maildir", what);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_C6_mbox_in_the_spool),
		TEST(test_C6_maildir_in_the_spool),
		TEST(test_C6_maildir_in_the_home),
	};

	return cmocka_run_group_tests_name("test_moving_places", tests, NULL,
	    NULL);
}
