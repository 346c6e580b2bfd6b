/* LINK: privsep/sandbox-linux privsep/sandbox-tables privsep/log privsep/message privsep/become */
/* LIBS: -lbsd -lseccomp */
/*
 * test_companion: what a companion, confined as agents confines it, can still
 * do: make new files in one directory and remove what is there, and no more.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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
#include <unistd.h>

#include <cmocka.h>

#include "privsep/sandbox.h"

#define KILLED	1000		/* by the system-call filter */

static char place[128], other[128];
static int here, there;		/* directories, O_PATH */

static int
open_new(int dir, int flags)
{
	return openat(dir, "new", flags | O_CREAT | O_EXCL, 0600);
}

static int
make(void)
{
	int fd = open_new(here, O_WRONLY);

	return fd == -1 || write(fd, "1\n", 2) != 2 ? -1 : close(fd);
}

static int
touch(void)
{
	int fd = open_new(here, O_WRONLY);

	return fd == -1 ? -1 : futimens(fd, NULL);
}

static int
remove_it(void)
{
	return unlinkat(here, "mail", 0);
}

static int
look(void)
{
	struct stat st;

	return fstatat(here, "mail", &st, AT_SYMLINK_NOFOLLOW);
}

static int
make_to_read(void)
{
	return open_new(here, O_RDWR);
}

static int
make_elsewhere(void)
{
	return open_new(there, O_WRONLY);
}

static int
remove_elsewhere(void)
{
	return unlinkat(there, "mail", 0);
}

static int
read_mail(void)
{
	return openat(here, "mail", O_RDONLY);
}

static int
write_mail(void)
{
	return openat(here, "mail", O_WRONLY);
}

static int
make_or_open(void)
{
	return openat(here, "mail", O_WRONLY | O_CREAT, 0600);
}

static int
make_unnamed(void)
{
	return openat(here, ".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
}

static int
link_mail(void)
{
	return linkat(here, "mail", here, "new", 0);
}

static int
rename_mail(void)
{
	return renameat(here, "mail", here, "new");
}

static int
make_link(void)
{
	return symlinkat("mail", here, "new");
}

static int
make_directory(void)
{
	return mkdirat(here, "new", 0700);
}

static int
make_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int
change_mode(void)
{
	return fchmodat(here, "mail", 0666, 0);
}

static int
send_signal(void)
{
	return kill(getppid(), 0);
}

static int
fork_more(void)
{
	return fork();
}

static const struct {
	const char	*what;
	int		(*run)(void);
	int		 outcome;	/* 0, an errno or KILLED */
} deeds[] = {
	{ "make a file and write it", make, 0 },
	{ "touch what it has made", touch, 0 },
	{ "remove a file there", remove_it, 0 },
	{ "see that a file is there", look, 0 },
	{ "make a file to read it", make_to_read, EACCES },
	{ "make a file elsewhere", make_elsewhere, EACCES },
	{ "remove a file elsewhere", remove_elsewhere, EACCES },
	{ "read mail", read_mail, KILLED },
	{ "write mail", write_mail, KILLED },
	{ "open what may be there", make_or_open, KILLED },
	{ "make a file without a name", make_unnamed, KILLED },
	{ "link", link_mail, KILLED },
	{ "rename", rename_mail, KILLED },
	{ "make a symbolic link", make_link, KILLED },
	{ "make a directory", make_directory, KILLED },
	{ "make a socket", make_socket, KILLED },
	{ "change a mode", change_mode, KILLED },
	{ "ask for a process", send_signal, KILLED },
	{ "fork", fork_more, KILLED },
};

static void
put(int dir, const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, "mail", 4), 4);
	close(fd);
}

static int
try_deed(int (*run)(void))
{
	struct sandbox_place allowed = { .fd = here, .use = ROOM_MAKE };
	struct rlimit none = { 0, 0 };
	struct sandbox_filter filter;
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &none);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
			_exit(200);
		sandbox_compile(SANDBOX_COMPANION, &filter);
		sandbox_landlock(&allowed, 1);
		sandbox_install(&filter);
		/* Not _exit(): the sanitizer has things to do there. */
		syscall(SYS_exit_group, run() == -1 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? KILLED : -1;
	return WEXITSTATUS(status);
}

static void
test_deeds(void **state)
{
	size_t i;
	int outcome;

	(void)state;
	for (i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
		put(here, "mail");
		put(there, "mail");
		(void)unlinkat(here, "new", 0);
		outcome = try_deed(deeds[i].run);
		if (outcome != deeds[i].outcome)
			fail_msg("%s: %d, not %d", deeds[i].what, outcome,
			    deeds[i].outcome);
	}
}

static int
setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(place, sizeof(place), "%s/here.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	snprintf(other, sizeof(other), "%s/there.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(place) == NULL || mkdtemp(other) == NULL)
		return -1;
	here = open(place, O_PATH | O_DIRECTORY);
	there = open(other, O_PATH | O_DIRECTORY);
	return here == -1 || there == -1;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlinkat(here, "mail", 0);
	(void)unlinkat(here, "new", 0);
	(void)unlinkat(there, "mail", 0);
	(void)unlinkat(there, "new", 0);
	rmdir(place);
	rmdir(other);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_deeds, setup, teardown),
	};

	return cmocka_run_group_tests_name("test_companion", tests, NULL,
	    NULL);
}
