/*
 * program_file: a letter appended to a file, as an mbox has it, or put into a
 * Maildir.
 *
 * Runs in a fork of an agent of programs, as the user or as command-user,
 * confined to the directory that the file is in; touches that file and its
 * dotlock, or the Maildir.
 *
 * The file must be the account's own, with one name, and not be a link: who
 * may change a directory on the way to it decides what is in it, but not
 * whose file is written.  It is locked as an mbox is, with the dotlock if the
 * directory is ours to make one in, and written whole or not at all, unless a
 * crash comes between: then the next try finds the letter if it stands at the
 * end, or appends it once more.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "mailbox/io.h"
#include "mailbox/mailbox.h"
#include "mailbox/mbox_keeper.h"
#include "mailbox/mbox_letter.h"
#include "mailbox/path.h"
#include "smtpd/programs.h"

#define LOCK_PATIENCE	30	/* seconds, for other programs' locks */
#define LOCK_PAUSE_MS	50

struct place {
	int		 directory;
	int		 file;
	uid_t		 uid;
	char		 name[NAME_MAX + 1];
	char		 lock_name[NAME_MAX + 1];
	struct dotlock	 dotlock;
	int		 has_dotlock;
};

/* Directory and name; 0, or -1 with errno. */
static int
open_directory(const char *path, struct place *t)
{
	const char *slash = strrchr(path, '/');
	char directory[PROGRAM_TEXT_MAX];
	size_t len = (size_t)(slash - path);

	errno = ENAMETOOLONG;
	if (strlcpy(t->name, slash + 1, sizeof(t->name)) >= sizeof(t->name) ||
	    snprintf(t->lock_name, sizeof(t->lock_name), "%.*s.lock",
	    NAME_MAX, slash + 1) > NAME_MAX)
		return -1;
	memcpy(directory, path, len);
	directory[len] = '\0';
	/* It is synced if it can be read. */
	t->directory = open(len > 0 ? directory : "/",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->directory == -1 && errno == EACCES)
		t->directory = open(len > 0 ? directory : "/",
		    O_PATH | O_DIRECTORY | O_CLOEXEC);
	return t->directory == -1 ? -1 : 0;
}

/* 0, or -1 with errno; EPERM: not a file that we write to. */
static int
open_file(struct place *t)
{
	struct stat st;

	t->file = openat(t->directory, t->name, O_RDWR | O_CREAT | O_NOFOLLOW |
	    O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (t->file == -1) {
		if (errno == ELOOP)
			errno = EPERM;
		return -1;
	}
	if (fstat(t->file, &st) == -1)
		return -1;
	if (!S_ISREG(st.st_mode) || st.st_uid != t->uid || st.st_nlink != 1 ||
	    (st.st_mode & S_IWOTH) != 0) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

/* Is it still what has the name?  Others replace files under their locks. */
static int
is_named(const struct place *t)
{
	struct stat a, b;

	return fstat(t->file, &a) == 0 && fstatat(t->directory, t->name, &b,
	    AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev &&
	    a.st_ino == b.st_ino;
}

/* 1 both locks, 0 not now, -1 with errno. */
static int
try_lock(struct place *t)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (open_file(t) == -1)
		return -1;
	if (fcntl(t->file, F_OFD_SETLK, &whole) == -1) {
		if (errno != EAGAIN && errno != EACCES)
			return -1;
	} else if (is_named(t)) {
		t->has_dotlock = dotlock_make(t->directory, t->lock_name,
		    t->uid, &t->dotlock) == 0;
		/* Where we can't make one, nobody of ours has one either. */
		if (t->has_dotlock || errno != EEXIST)
			return 1;
	}
	/* The fcntl lock goes before we wait: others take it second. */
	close(t->file);
	t->file = -1;
	return 0;
}

static int
lock(struct place *t)
{
	struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000000L };
	int tries, r;

	for (tries = 0; tries < LOCK_PATIENCE * 1000 / LOCK_PAUSE_MS;
	    tries++) {
		r = try_lock(t);
		if (r != 0)
			return r == 1 ? 0 : -1;
		(void)nanosleep(&pause, NULL);
	}
	errno = EBUSY;
	return -1;
}

/* Where a letter that is printed goes, or what it is compared with. */
struct sink {
	int		fd;
	uint64_t	at;
	int		is_compared;
	size_t		used;
	char		buffer[64 * 1024];
};

static int
sink_flush(struct sink *s)
{
	static char there[sizeof(s->buffer)];
	int r;

	if (!s->is_compared)
		r = io_pwrite(s->fd, s->buffer, s->used, s->at);
	else {
		r = io_pread(s->fd, there, s->used, s->at);
		if (r == 0 && memcmp(there, s->buffer, s->used) != 0) {
			errno = ESTALE;
			r = -1;
		}
	}
	s->at += s->used;
	s->used = 0;
	return r;
}

static int
sink_put(void *arg, const void *data, size_t len)
{
	struct sink *s = arg;
	const char *p = data;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		n = sizeof(s->buffer) - s->used;
		if (n > len)
			n = len;
		memcpy(s->buffer + s->used, p, n);
		s->used += n;
		if (s->used == sizeof(s->buffer) && sink_flush(s) == -1)
			return -1;
	}
	return 0;
}

static int
print(const struct mailbox_letter *letter, unsigned newlines, int fd,
    uint64_t at, int is_compared)
{
	static struct sink s;

	s.fd = fd;
	s.at = at;
	s.is_compared = is_compared;
	s.used = 0;
	return mbox_letter_print(letter, newlines, sink_put, &s) == -1 ||
	    sink_flush(&s) == -1 ? -1 : 0;
}

static int
count(void *arg, const void *data, size_t len)
{
	uint64_t *length = arg;

	(void)data;
	*length += len;
	return 0;
}

/* Did an earlier try come to its end? */
static int
is_at_end(int fd, uint64_t size, const struct mailbox_letter *letter)
{
	uint64_t length = 0;

	return mbox_letter_print(letter, 0, count, &length) == 0 &&
	    length <= size && print(letter, 0, fd, size - length, 1) == 0;
}

/* So that the letter stands behind an empty line. */
static int
count_newlines(int fd, uint64_t size, unsigned *newlines)
{
	char end[2] = { '\n', '\n' };
	size_t len = size < 2 ? (size_t)size : 2;

	if (io_pread(fd, end + 2 - len, len, size - len) == -1)
		return -1;
	*newlines = end[1] != '\n' ? 2 : end[0] != '\n';
	return 0;
}

/* On disk, or as it was before: 0, or -1 with errno. */
static int
append(struct place *t, const struct mailbox_letter *letter)
{
	struct stat st;
	unsigned newlines;
	uint64_t size;
	int saved;

	if (fstat(t->file, &st) == -1)
		return -1;
	size = (uint64_t)st.st_size;
	if (letter->tried_before && is_at_end(t->file, size, letter))
		return 0;
	if (count_newlines(t->file, size, &newlines) == -1)
		return -1;
	if (print(letter, newlines, t->file, size, 0) == 0 &&
	    fsync(t->file) == 0)
		return size > 0 || path_sync(t->directory) == 0 ||
		    errno == EBADF ? 0 : -1;
	saved = errno;
	if (ftruncate(t->file, (off_t)size) == 0)
		(void)fsync(t->file);
	errno = saved;
	return -1;
}

static const char *
reason(int error)
{
	switch (error) {
	case EPERM:
		return "it is not a file of this account alone";
	case EBUSY:
		return "others have it locked";
	default:
		return strerror(error);
	}
}

static int
append_to_file(const struct program_task *task,
    const struct mailbox_letter *letter, const char **why)
{
	static struct place t;
	int r;

	t.uid = task->agent->identity.uid;
	t.file = -1;
	r = open_directory(task->text, &t);
	if (r == 0) {
		agent_confine(task->agent, ROOM_DELIVERY, &t.directory, 1);
		r = lock(&t);
	}
	if (r == 0)
		r = append(&t, letter);
	if (r == -1)
		*why = reason(errno);
	if (t.has_dotlock)
		(void)dotlock_remove(t.directory, t.lock_name, &t.dotlock);
	return r == 0 ? EX_OK : EX_TEMPFAIL;
}

/* "/a/b/" is the Maildir b of who has /a for a home. */
static int
deliver_to_maildir(const struct program_task *task,
    const struct mailbox_letter *letter, const char **why)
{
	static struct config config;
	struct identity who = task->agent->identity;
	int dirs[MAILBOX_DIRS_MAX];
	struct mailbox *box;
	size_t n = 0, len;
	char *slash;

	config = *task->agent->config;
	len = strlcpy(who.home, task->text, sizeof(who.home));
	while (len > 1 && who.home[len - 1] == '/')
		who.home[--len] = '\0';
	slash = strrchr(who.home, '/');
	snprintf(config.mailbox_path, sizeof(config.mailbox_path), "~/%s",
	    slash + 1);
	slash[slash == who.home] = '\0';
	if (maildir_ops.enter(&box, &config, &who, 1, dirs, &n) == -1) {
		*why = reason(errno);
		return EX_TEMPFAIL;
	}
	agent_confine(task->agent, ROOM_DELIVERY, dirs, n);
	/* The tombstone stays; a later delivery removes it when it is old. */
	if (maildir_ops.append(box, letter) == 0)
		return EX_OK;
	*why = reason(errno);
	return EX_TEMPFAIL;
}

int
program_file_append(const struct program_task *task, const char **why)
{
	struct mailbox_letter letter;

	deliver_request_letter(&task->letter, task->head, &letter);
	return task->text[strlen(task->text) - 1] == '/' ?
	    deliver_to_maildir(task, &letter, why) :
	    append_to_file(task, &letter, why);
}
