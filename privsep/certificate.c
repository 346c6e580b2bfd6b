/*
 * certificate: have a self-signed certificate made when there is none.
 *
 * Runs in the master, as root, once, before it confines itself; makes the
 * directory of the two files if need be, and in it two empty files.  What goes
 * into them is made by make-certificate, as key-user, who gets them open: no
 * octet of a key is ever in this process's memory, nor is OpenSSL.
 */
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "become.h"
#include "certificate.h"
#include "log.h"
#include "program.h"

#define MAKER		"make-certificate"
#define PATIENCE_MS	30000	/* for the lock, and for the maker */
#define STEP_MS		20
#define SPARE		64	/* above the maker's descriptors */
#define FD_KEY		3	/* the maker's */
#define FD_CERTIFICATE	4
#define FD_PROGRAM	5

/* One of the two files. */
struct place {
	const char	*path;
	mode_t		 mode;			/* when it is done */
	char		 directory[CONFIG_PATH_MAX];
	char		 name[NAME_MAX + 1];
	char		 temporary[NAME_MAX + 1];
	int		 dir;			/* descriptors, or -1 */
	int		 fd;
};

enum { KEY, CERTIFICATE, PLACES };

static int
wrong(config_report report, const char *file, const char *why)
{
	char text[CONFIG_PATH_MAX + 256];

	snprintf(text, sizeof(text), "%s: %s", file, why);
	report(text);
	return -1;
}

static int
wrong_errno(config_report report, const char *file)
{
	return wrong(report, file, strerror(errno));
}

/* 1: nothing has this name, not even a link that leads nowhere; -1: told. */
static int
is_missing(const char *path, config_report report)
{
	struct stat st;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? 1 : wrong_errno(report, path);
	/* What it is, and whose, is looked at when it is used. */
	return stat(path, &st) == -1 ? wrong_errno(report, path) : 0;
}

/* 1: the pair has to be made; 0: it is there; -1: told. */
static int
is_wanted(const struct place *places, config_report report)
{
	int key = is_missing(places[KEY].path, report);
	int certificate = is_missing(places[CERTIFICATE].path, report);

	if (key == -1 || certificate == -1)
		return -1;
	if (key == certificate)
		return key;
	return wrong(report, places[key ? KEY : CERTIFICATE].path,
	    key ? "missing, while there is a certificate for it (without "
	    "both, a pair is made)" : "missing, while there is a key for it "
	    "(without both, a pair is made)");
}

static int
name_place(struct place *p, const char *path, mode_t mode,
    config_report report)
{
	const char *slash = strrchr(path, '/');
	size_t len;

	p->path = path;
	p->mode = mode;
	p->dir = p->fd = -1;
	if (slash == NULL || slash == path || slash[1] == '\0')
		return wrong(report, path, "not a file in a directory");
	len = (size_t)(slash - path);
	memcpy(p->directory, path, len);	/* shorter than path */
	p->directory[len] = '\0';
	if (strlcpy(p->name, slash + 1, sizeof(p->name)) >= sizeof(p->name) ||
	    (size_t)snprintf(p->temporary, sizeof(p->temporary), "%s.new",
	    p->name) >= sizeof(p->temporary)) {
		errno = ENAMETOOLONG;
		return wrong_errno(report, path);
	}
	return 0;
}

/* The directory, and the one above it; where more is missing, it's a typo. */
static void
make_directory(const char *path)
{
	char above[CONFIG_PATH_MAX];
	char *slash;

	if (mkdir(path, 0755) == 0 || errno != ENOENT ||
	    strlcpy(above, path, sizeof(above)) >= sizeof(above))
		return;
	slash = strrchr(above, '/');
	if (slash == NULL || slash == above)
		return;
	*slash = '\0';
	if (mkdir(above, 0755) == 0)
		(void)mkdir(path, 0755);
}

static int
open_directory(struct place *p, config_report report)
{
	struct stat st;

	make_directory(p->directory);
	p->dir = open(p->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dir == -1 || fstat(p->dir, &st) == -1)
		return wrong_errno(report, p->directory);
	if ((st.st_uid != 0 && st.st_uid != geteuid()) ||
	    (st.st_mode & 022) != 0)
		return wrong(report, p->directory, "somebody else than root "
		    "can change this directory; no key is made there");
	return 0;
}

/* pop3d and smtpd may be on their first start both, at the same time. */
static int
lock_directory(const struct place *p, config_report report)
{
	int waited;

	for (waited = 0; waited < PATIENCE_MS; waited += STEP_MS) {
		if (flock(p->dir, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			break;
		(void)poll(NULL, 0, STEP_MS);
	}
	return wrong_errno(report, p->directory);
}

/* Left by a start that was cut short, it is nobody's: we have the lock. */
static int
open_temporary(struct place *p, config_report report)
{
	(void)unlinkat(p->dir, p->temporary, 0);
	p->fd = openat(p->dir, p->temporary, O_WRONLY | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	return p->fd == -1 ? wrong_errno(report, p->path) : 0;
}

static int
open_maker(const struct config *c, config_report report)
{
	char path[PROGRAM_PATH_MAX];
	int fd = program_open(c->libexec_dir, MAKER, path);

	if (fd != -1)
		return fd;
	return errno == EPERM ? wrong(report, path, "not root's program") :
	    wrong_errno(report, path);
}

static void
settle(int from, int to)
{
	if (dup2(from, to) == -1)
		_exit(1);
}

/* Between fork and exec; stderr stays, for the administrator. */
static void
become_maker(int program, const struct config *c, const struct place *places)
{
	char name[] = MAKER, host[HOSTNAME_MAX];
	char *argv[] = { name, host, NULL };
	char *environment[] = { NULL };
	int null = open("/dev/null", O_RDWR);
	int key = fcntl(places[KEY].fd, F_DUPFD, SPARE);
	int certificate = fcntl(places[CERTIFICATE].fd, F_DUPFD, SPARE);
	sigset_t none;

	program = fcntl(program, F_DUPFD, SPARE);
	if (null == -1 || key == -1 || certificate == -1 || program == -1)
		_exit(1);
	settle(null, STDIN_FILENO);
	settle(null, STDOUT_FILENO);
	settle(key, FD_KEY);
	settle(certificate, FD_CERTIFICATE);
	settle(program, FD_PROGRAM);
	closefrom(FD_PROGRAM + 1);
	if (fcntl(FD_PROGRAM, F_SETFD, FD_CLOEXEC) == -1)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	strlcpy(host, c->hostname, sizeof(host));
	become_for_exec(c->key_user.uid, c->key_user.gid, -1);
	execveat(FD_PROGRAM, "", argv, environment, AT_EMPTY_PATH);
	_exit(127);
}

/* 0: it ended as it should; -1 otherwise, and it did end. */
static int
wait_for(pid_t pid)
{
	int waited, status;
	pid_t r;

	for (waited = 0; waited < PATIENCE_MS; waited += STEP_MS) {
		r = waitpid(pid, &status, WNOHANG);
		if (r == pid)
			return WIFEXITED(status) && WEXITSTATUS(status) == 0 ?
			    0 : -1;
		if (r == -1 && errno != EINTR)
			return -1;
		(void)poll(NULL, 0, STEP_MS);
	}
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
	return -1;
}

static int
run_maker(const struct config *c, const struct place *places,
    config_report report)
{
	int program = open_maker(c, report);
	pid_t pid;

	if (program == -1)
		return -1;
	pid = fork();
	if (pid == 0)
		become_maker(program, c, places);
	close(program);
	if (pid == -1)
		return wrong_errno(report, places[CERTIFICATE].path);
	if (wait_for(pid) == -1)
		return wrong(report, places[CERTIFICATE].path,
		    "a self-signed certificate could not be made");
	return 0;
}

static int
finish(const struct place *p, config_report report)
{
	struct stat st;

	if (fstat(p->fd, &st) == -1)
		return wrong_errno(report, p->path);
	if (st.st_size == 0)
		return wrong(report, p->path, MAKER " made nothing");
	if (fchmod(p->fd, p->mode) == -1 || fsync(p->fd) == -1)
		return wrong_errno(report, p->path);
	return 0;
}

/* Both are whole and on disk before either has its name. */
static int
publish(const struct place *places, config_report report)
{
	int i;

	for (i = 0; i < PLACES; i++)
		if (finish(&places[i], report) == -1)
			return -1;
	for (i = 0; i < PLACES; i++)
		if (renameat(places[i].dir, places[i].temporary,
		    places[i].dir, places[i].name) == -1 ||
		    fsync(places[i].dir) == -1)
			return wrong_errno(report, places[i].path);
	return 0;
}

static int
make(const struct config *c, struct place *places, config_report report)
{
	char value[LOG_VALUE_MAX];
	int i, r = 0;

	for (i = 0; i < PLACES && r == 0; i++)
		r = open_temporary(&places[i], report);
	if (r == 0)
		r = run_maker(c, places, report);
	if (r == 0)
		r = publish(places, report);
	for (i = 0; i < PLACES; i++) {
		if (r == -1 && places[i].fd != -1)
			(void)unlinkat(places[i].dir, places[i].temporary, 0);
		if (places[i].fd != -1)
			close(places[i].fd);
	}
	if (r == 0)
		log_event(LOG_NOTICE, 0, "event=certificate-made file=%s "
		    "hostname=%s text=\"self-signed\"",
		    log_value(places[CERTIFICATE].path, value), c->hostname);
	return r;
}

int
certificate_prepare(const struct config *c, config_report report)
{
	struct place places[PLACES];
	int i, r;

	memset(places, 0, sizeof(places));
	if (name_place(&places[KEY], c->tls_key, 0600, report) == -1 ||
	    name_place(&places[CERTIFICATE], c->tls_certificate, 0644,
	    report) == -1)
		return -1;
	r = is_wanted(places, report);
	if (r != 1)
		return r;
	r = 0;
	for (i = 0; i < PLACES && r == 0; i++)
		r = open_directory(&places[i], report);
	if (r == 0)
		r = lock_directory(&places[KEY], report);
	if (r == 0 && (r = is_wanted(places, report)) == 1)
		r = make(c, places, report);
	for (i = 0; i < PLACES; i++)
		if (places[i].dir != -1)
			close(places[i].dir);
	return r;
}
