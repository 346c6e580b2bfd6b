/*
 * config_file: opens the configuration file, and looks up the accounts that
 * it names.
 *
 * Runs in the master only, as root, before it serves anybody and at SIGHUP.
 * Opens the one file that the administrator named, after it has made sure
 * that nobody else can change what root is about to obey (C24), and asks NSS
 * for the service accounts.
 */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "config_table.h"

/* /dev/null: everybody may write there, and it stays empty. */
static int
is_null(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

/* Only root and we ourselves may be able to change what we obey (C24). */
static int
is_safe(const struct stat *st)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return 0;
	if (S_ISLNK(st->st_mode) || is_null(st))
		return 1;
	/* In a sticky directory others can't replace what is ours. */
	if (S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX))
		return 1;
	return (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

#define PATH_LINKS_MAX	16
#define UID_NOBODY	65534

/*
 * Put what a link at dir/name says in front of the rest of the way, and go
 * back to the root if it is absolute.  0, or -1 with errno.
 */
static int
follow_link(int *dir, const char *name, char *rest, size_t size)
{
	char target[PATH_MAX], joined[PATH_MAX];
	ssize_t n;
	int len, root;

	n = readlinkat(*dir, name, target, sizeof(target) - 1);
	if (n == -1)
		return -1;
	target[n] = '\0';
	len = snprintf(joined, sizeof(joined), "%s/%s", target, rest);
	if (len < 0 || (size_t)len >= sizeof(joined) || (size_t)len >= size) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(rest, joined, (size_t)len + 1);
	if (target[0] != '/')
		return 0;
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root == -1)
		return -1;
	close(*dir);
	*dir = root;
	return 0;
}

/* Take the first name off a way; 0 when there is none. */
static int
next_name(char *rest, char *name, size_t size)
{
	size_t skip, len;

	skip = strspn(rest, "/");
	len = strcspn(rest + skip, "/");
	if (len == 0 || len >= size)
		return 0;
	memcpy(name, rest + skip, len);
	name[len] = '\0';
	memmove(rest, rest + skip + len, strlen(rest + skip + len) + 1);
	return 1;
}

/*
 * Walk from *dir along rest, one name at a time, and look at the owner and
 * mode of all that is met, links included, so that nobody who could change
 * the outcome goes unseen.  Returns the last thing as an O_PATH descriptor;
 * -1 with errno, EPERM when something is not safe.  *dir stays the caller's.
 */
static int
walk_safely(int *dir, char *rest, size_t size)
{
	char name[NAME_MAX + 1];
	struct stat st;
	int fd, links = 0;

	if (fstat(*dir, &st) == -1)
		return -1;
	while (is_safe(&st) && next_name(rest, name, sizeof(name))) {
		fd = openat(*dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd == -1)
			return -1;
		if (fstat(fd, &st) == -1) {
			close(fd);
			return -1;
		}
		if (S_ISLNK(st.st_mode) && is_safe(&st)) {
			close(fd);
			if (++links > PATH_LINKS_MAX) {
				errno = ELOOP;
				return -1;
			}
			if (follow_link(dir, name, rest, size) == -1 ||
			    fstat(*dir, &st) == -1)
				return -1;
			continue;
		}
		close(*dir);
		*dir = fd;
	}
	if (!is_safe(&st)) {
		errno = EPERM;
		return -1;
	}
	return fcntl(*dir, F_DUPFD_CLOEXEC, 0);
}

int
config_open(const char *path)
{
	struct stat seen, st;
	char rest[PATH_MAX];
	int dir, place, fd;

	if (strlcpy(rest, path, sizeof(rest)) >= sizeof(rest)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (path[0] != '/' && getcwd(rest, sizeof(rest)) != NULL &&
	    (strlcat(rest, "/", sizeof(rest)) >= sizeof(rest) ||
	    strlcat(rest, path, sizeof(rest)) >= sizeof(rest))) {
		errno = ENAMETOOLONG;
		return -1;
	}
	dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir == -1)
		return -1;
	place = walk_safely(&dir, rest, sizeof(rest));
	close(dir);
	if (place == -1)
		return -1;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd != -1 && (fstat(place, &seen) == -1 || fstat(fd, &st) == -1 ||
	    seen.st_dev != st.st_dev || seen.st_ino != st.st_ino)) {
		close(fd);
		fd = -1;
		errno = EAGAIN;
	}
	close(place);
	return fd;
}

/* The whole file into a new buffer, or NULL with errno. */
static char *
read_all(int fd, size_t *len)
{
	struct stat st;
	char *text;
	ssize_t n = 0;

	if (fstat(fd, &st) == -1)
		return NULL;
	if (!S_ISREG(st.st_mode) && !is_null(&st)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		return NULL;
	}
	if ((text = malloc(CONFIG_FILE_MAX)) == NULL)
		return NULL;
	for (*len = 0; *len < CONFIG_FILE_MAX; *len += (size_t)n) {
		n = read(fd, text + *len, CONFIG_FILE_MAX - *len);
		if (n <= 0)
			break;
	}
	if (n == -1 || *len == CONFIG_FILE_MAX) {
		if (n != -1)
			errno = EFBIG;
		free(text);
		return NULL;
	}
	return text;
}

static int
report_file(const char *path, config_report report)
{
	char text[PATH_MAX + 128];

	if (errno == EPERM)
		snprintf(text, sizeof(text), "%s: refused: somebody else than "
		    "root can change it or a directory above it", path);
	else
		snprintf(text, sizeof(text), "%s: %s", path, errno == EINVAL ?
		    "Not a regular file" : strerror(errno));
	report(text);
	return -1;
}

int
config_read(struct config *c, const char *path, int optional,
    config_report report)
{
	char *text;
	size_t len;
	int fd, result;

	fd = config_open(path);
	if (fd == -1 && errno == ENOENT && optional)
		return 0;
	if (fd == -1)
		return report_file(path, report);
	text = read_all(fd, &len);
	if (text == NULL) {
		close(fd);
		return report_file(path, report);
	}
	close(fd);
	result = config_parse(c, text, len, path, report);
	free(text);
	return result;
}

static int
resolve_user(struct account_ids *user, const char *keyword,
    config_report report)
{
	char text[256];
	struct passwd *pw;

	errno = 0;
	pw = getpwnam(user->name);
	if (pw != NULL && pw->pw_uid != 0 && pw->pw_gid != 0 &&
	    pw->pw_uid != (uid_t)-1 && pw->pw_gid != (gid_t)-1) {
		user->uid = pw->pw_uid;
		user->gid = pw->pw_gid;
		return 0;
	}
	if (pw != NULL)
		snprintf(text, sizeof(text), "%s: %s must not have uid or "
		    "gid 0", keyword, user->name);
	else if (errno == 0 || errno == ENOENT || errno == ESRCH)
		snprintf(text, sizeof(text), "%s: there is no account %s",
		    keyword, user->name);
	else
		snprintf(text, sizeof(text), "%s: can't look up %s: %s",
		    keyword, user->name, strerror(errno));
	report(text);
	return -1;
}

/* Names are different; whoever they stand for must be, too. */
static int
check_uids(const struct config *c, config_report report)
{
	const struct account_ids *users[CONFIG_ACCOUNTS];
	const char *const *names = config_accounts(c, users);
	char text[128];
	size_t i, j;
	int result = 0;

	for (i = 0; i < CONFIG_ACCOUNTS; i++)
		for (j = 0; j < i; j++) {
			if (users[i]->uid == (uid_t)-1 ||
			    users[i]->uid != users[j]->uid)
				continue;
			snprintf(text, sizeof(text), "%s and %s must be two "
			    "accounts, with two user ids", names[i], names[j]);
			report(text);
			result = -1;
		}
	return result;
}

int
config_resolve(struct config *c, int sends_mail, config_report report)
{
	int result = 0;

	if (resolve_user(&c->worker_user, "worker-user", report) == -1)
		result = -1;
	if (resolve_user(&c->queue_user, "queue-user", report) == -1)
		result = -1;
	if (resolve_user(&c->key_user, "key-user", report) == -1)
		result = -1;
	if (sends_mail &&
	    resolve_user(&c->relay_user, "relay-user", report) == -1)
		result = -1;
	if (sends_mail &&
	    resolve_user(&c->resolver_user, "resolver-user", report) == -1)
		result = -1;
	if (c->command_user.name[0] != '\0' &&
	    resolve_user(&c->command_user, "command-user", report) == -1)
		result = -1;
	/* Half of a system may be nobody's. */
	if (c->command_user.uid == UID_NOBODY) {
		report("command-user: must be an account of its own, not "
		    "user id 65534");
		result = -1;
	}
	return result == 0 ? check_uids(c, report) : -1;
}
