/*
 * maildir: a user's Maildir as a maildrop.
 *
 * Runs in agents, as the user whose mail it is, and can touch nothing but
 * what that user can; after maildir_enter() nothing but what is below the
 * Maildir.
 *
 * Directories above the user's own (the home, or what the administrator wrote
 * before the user's name) are opened as they are; from there on no link is
 * followed, and whatever was opened must be the user's and writable by nobody
 * else.  A message may have several links: backups and other servers' copies
 * make them, and reading or unlinking our name of it harms none of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "maildir.h"

#define LOCK_NAME	"postern.lock"

static const char *const folder_names[MAILDIR_FOLDERS] = {
	[MAILDIR_NEW] = "new",
	[MAILDIR_CUR] = "cur",
	[MAILDIR_TMP] = "tmp",
};

static void
close_keep_errno(int fd)
{
	int saved = errno;

	if (fd != -1)
		close(fd);
	errno = saved;
}

int
maildir_sync(int directory)
{
	if (fsync(directory) == 0)
		return 0;
	/* Some network file systems have nothing to sync a directory with. */
	return errno == EINVAL || errno == EOPNOTSUPP ? 0 : -1;
}

/*
 * Is it a directory that only this user can change?  Only the Maildir and
 * below must be the user's; what leads there may be root's.
 */
static int
check_directory(int fd, uid_t uid, int is_own)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return -1;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return -1;
	}
	if ((st.st_uid != uid && (is_own || st.st_uid != 0)) ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

/* Sync the directory in which something was made, if it can be read. */
static int
sync_parent(int parent)
{
	int fd, r;

	fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return errno == EACCES ? 0 : -1;
	r = maildir_sync(fd);
	close_keep_errno(fd);
	return r;
}

/* Open a directory below another, making it if wanted; never by a link. */
static int
open_directory(int parent, const char *name, int flags, int create)
{
	int fd;

	flags |= O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	fd = openat(parent, name, flags);
	if (fd != -1 || errno != ENOENT || !create)
		return fd;
	if (mkdirat(parent, name, 0700) == -1) {
		if (errno != EEXIST)
			return -1;
	} else if (sync_parent(parent) == -1)
		return -1;
	return openat(parent, name, flags);
}

/*
 * Split the configured path: base is opened as it is (the home, or the
 * administrator's part of an absolute path), rest is walked without links.
 */
static int
split_path(const char *path, const char *home, char *base, size_t base_size,
    const char **rest)
{
	const char *slash, *user;
	size_t len;

	if (strncmp(path, "~/", 2) == 0) {
		*rest = path + 2;
		if (home[0] == '/' &&
		    strlcpy(base, home, base_size) < base_size)
			return 0;
		errno = EINVAL;
		return -1;
	}
	/* The last slash before the user's name, or before the last part. */
	user = strstr(path, "%u");
	len = user == NULL ? strlen(path) : (size_t)(user - path);
	slash = memrchr(path, '/', len);
	if (path[0] != '/' || slash == NULL) {
		errno = EINVAL;
		return -1;
	}
	len = (size_t)(slash - path) + 1;
	if (len >= base_size) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(base, path, len);
	base[len] = '\0';
	*rest = slash + 1;
	return 0;
}

/* The next part of the path, "%u" replaced; 1, 0 at the end, -1. */
static int
next_part(const char **rest, const char *user, char part[NAME_MAX + 1])
{
	size_t n, len = 0;
	const char *p;

	*rest += strspn(*rest, "/");
	if (**rest == '\0')
		return 0;
	for (p = *rest; *p != '\0' && *p != '/'; p++) {
		if (p[0] != '%') {
			n = 1;
			part[len] = *p;
		} else if (p[1] == 'u' && strchr(user, '/') == NULL &&
		    (n = strlen(user)) <= NAME_MAX - len) {
			memcpy(part + len, user, n);
			p++;
		} else {
			errno = EINVAL;
			return -1;
		}
		len += n;
		if (len >= NAME_MAX) {
			errno = ENAMETOOLONG;
			return -1;
		}
	}
	part[len] = '\0';
	*rest = p;
	if (len == 0 || strcmp(part, ".") == 0 || strcmp(part, "..") == 0) {
		errno = EINVAL;
		return -1;
	}
	return 1;
}

/* Walk from the base to the Maildir; its descriptor or -1. */
static int
walk(int base, const char *rest, const struct identity *id, int create)
{
	char part[NAME_MAX + 1];
	int fd = -1, next, is_last = 0, r;

	while (!is_last) {
		r = next_part(&rest, id->name, part);
		if (r != 1) {
			if (r == 0)
				errno = EINVAL;
			close_keep_errno(fd);
			return -1;
		}
		is_last = rest[strspn(rest, "/")] == '\0';
		next = open_directory(fd == -1 ? base : fd, part,
		    is_last ? O_RDONLY : O_PATH, create);
		close_keep_errno(fd);
		if (next == -1)
			return -1;
		fd = next;
		if (check_directory(fd, id->uid, is_last) == -1) {
			close_keep_errno(fd);
			return -1;
		}
	}
	return fd;
}

/*
 * The Maildir's descriptor; -1 with errno.  *is_absent: only the Maildir is
 * not there, but the place where it would be is.
 */
static int
open_maildir(const char *path, const struct identity *id, int create,
    int *is_absent)
{
	char base[CONFIG_PATH_MAX + sizeof(id->home)];
	const char *rest;
	struct stat st;
	int fd = -1, top;

	*is_absent = 0;
	if (split_path(path, id->home, base, sizeof(base), &rest) == -1)
		return -1;
	top = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (top == -1 || fstat(top, &st) == -1) {
		close_keep_errno(top);
		return -1;
	}
	if (st.st_uid != id->uid && st.st_uid != 0)
		errno = EPERM;
	else {
		fd = walk(top, rest, id, create);
		*is_absent = fd == -1 && errno == ENOENT;
	}
	close_keep_errno(top);
	return fd;
}

static int
open_folders(struct mailbox *mb, int create)
{
	int fd, i;

	for (i = 0; i < MAILDIR_FOLDERS; i++) {
		fd = open_directory(mb->maildir, folder_names[i], O_RDONLY,
		    create);
		/* For a reader a folder that is not there is empty. */
		if (fd == -1 && errno == ENOENT && !create)
			continue;
		if (fd == -1)
			return -1;
		mb->folder[i] = fd;
		if (check_directory(fd, mb->uid, 1) == -1)
			return -1;
	}
	return 0;
}

/*
 * The file that the session's lock is on.  It is opened here, since a
 * confined reader may not create; it stays when the session ends, since a
 * lock on a file that is removed excludes nobody.
 */
static int
open_lock(struct mailbox *mb)
{
	struct stat st;

	mb->lock = openat(mb->maildir, LOCK_NAME, O_RDWR | O_CREAT |
	    O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (mb->lock == -1 || fstat(mb->lock, &st) == -1)
		return -1;
	if (!S_ISREG(st.st_mode) || st.st_uid != mb->uid || st.st_nlink != 1) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

static void
maildir_close(struct mailbox *mb)
{
	int i;

	if (mb == NULL)
		return;
	maildir_index_free(&mb->index);
	free(mb->delivered.hashes);
	for (i = 0; i < MAILDIR_FOLDERS; i++)
		close_keep_errno(mb->folder[i]);
	close_keep_errno(mb->lock);	/* and so the lock is given up */
	close_keep_errno(mb->maildir);
	free(mb);
}

static struct mailbox *
mailbox_new(const struct config *config, const struct identity *id)
{
	struct mailbox *mb = calloc(1, sizeof(*mb));
	int i;

	if (mb == NULL)
		return NULL;
	mb->uid = id->uid;
	strlcpy(mb->hostname, config->hostname, sizeof(mb->hostname));
	mb->maildir = mb->lock = -1;
	for (i = 0; i < MAILDIR_FOLDERS; i++)
		mb->folder[i] = -1;
	return mb;
}

static int
maildir_enter(struct mailbox **mbp, const struct config *config,
    const struct identity *id, int create, int dirs[MAILBOX_DIRS_MAX],
    size_t *count)
{
	struct mailbox *mb;
	int is_absent;

	*mbp = NULL;
	*count = 0;
	mb = mailbox_new(config, id);
	if (mb == NULL)
		return -1;
	mb->maildir = open_maildir(config->mailbox_path, id, create,
	    &is_absent);
	if (mb->maildir == -1 && is_absent && !create) {
		*mbp = mb;
		return 0;
	}
	if (mb->maildir == -1 || open_folders(mb, create) == -1 ||
	    (!create && open_lock(mb) == -1)) {
		maildir_close(mb);	/* keeps errno */
		return -1;
	}
	dirs[(*count)++] = mb->maildir;
	*mbp = mb;
	return 0;
}

static int
maildir_open(struct mailbox *mb)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (mb->maildir == -1)
		return 0;
	/* Of the open file: closing another descriptor does not drop it. */
	if (fcntl(mb->lock, F_OFD_SETLK, &whole) == -1) {
		if (errno == EAGAIN || errno == EACCES)
			errno = EBUSY;
		return -1;
	}
	return maildir_index_build(mb);
}

static size_t
maildir_count(const struct mailbox *mb)
{
	return mb->index.count;
}

static const struct mailbox_message *
maildir_message(const struct mailbox *mb, size_t number)
{
	static struct mailbox_message message;
	const struct maildir_entry *entry;

	if (number >= mb->index.count)
		return NULL;
	entry = &mb->index.entries[number];
	message.octets = entry->octets;
	maildir_name_uidl(entry->name, entry->unique_len, entry->base_len,
	    (entry->flags & ENTRY_TWIN) != 0, message.uidl);
	return &message;
}

int
maildir_entry_open(struct mailbox *mb, struct maildir_entry *entry,
    struct stat *st)
{
	int fd, tries;

	for (tries = 0; ; tries++) {
		/* Not blocking: somebody may have put a FIFO there. */
		fd = openat(mb->folder[entry->folder], entry->name, O_RDONLY |
		    O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd != -1)
			break;
		if (errno == ELOOP || errno == ENXIO) {
			errno = ESTALE;
			return -1;
		}
		/* Gone is remembered: one rescan a miss, not one a try. */
		if (errno != ENOENT || tries > 0 ||
		    (entry->flags & ENTRY_GONE) != 0)
			return -1;
		if (maildir_index_refresh(mb) == -1)
			return -1;
	}
	if (fstat(fd, st) == -1) {
		close_keep_errno(fd);
		return -1;
	}
	if (!S_ISREG(st->st_mode) || st->st_uid != mb->uid) {
		close(fd);
		errno = ESTALE;
		return -1;
	}
	return fd;
}

/* Is this still the file whose octets were listed? */
static int
is_as_indexed(const struct maildir_entry *entry, const struct stat *st)
{
	uint64_t size = (uint64_t)st->st_size;

	if (entry->size != MAILDIR_UNSAID && entry->size != size)
		return 0;
	if ((entry->flags & ENTRY_COUNTED) != 0)
		return entry->mtime == maildir_mtime(st);
	return maildir_is_plausible(size, entry->octets);
}

static int
maildir_fetch(struct mailbox *mb, size_t number, int *fd, uint64_t *offset,
    uint64_t *length)
{
	struct maildir_entry *entry;
	struct stat st;

	if (number >= mb->index.count) {
		errno = EINVAL;
		return -1;
	}
	entry = &mb->index.entries[number];
	*fd = maildir_entry_open(mb, entry, &st);
	if (*fd == -1)
		return -1;
	if (!is_as_indexed(entry, &st)) {
		close(*fd);
		*fd = -1;
		if ((entry->flags & ENTRY_COUNTED) == 0)
			maildir_entry_correct(mb, entry);
		errno = ESTALE;
		return -1;
	}
	*offset = 0;
	*length = (uint64_t)st.st_size;
	return 0;
}

/*
 * Its name says when, and so does its file: a copy keeps the name.  Only what
 * both say is old is.
 */
static int
maildir_is_older(struct mailbox *mb, size_t number, time_t than)
{
	const struct maildir_entry *entry = &mb->index.entries[number];
	struct stat st;

	if (than <= 0 || entry->seconds == 0 ||
	    entry->seconds >= (uint64_t)than ||
	    (entry->flags & ENTRY_GONE) != 0)
		return 0;
	return fstatat(mb->folder[entry->folder], entry->name, &st,
	    AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	    st.st_mtime < than;
}

/* One pass of removal over what is marked and still there; what is left. */
static size_t
expunge_pass(struct mailbox *mb, const uint8_t *bitmap, int *changed,
    size_t *missed, int *error)
{
	struct maildir_entry *entry;
	size_t i, failed = 0;

	*missed = 0;
	for (i = 0; i < mb->index.count; i++) {
		entry = &mb->index.entries[i];
		if ((bitmap[i / 8] & (1U << (i % 8))) == 0 ||
		    (entry->flags & ENTRY_GONE) != 0)
			continue;
		if (unlinkat(mb->folder[entry->folder], entry->name, 0) == 0) {
			changed[entry->folder] = 1;
			entry->flags |= ENTRY_GONE;
		} else if (errno == ENOENT) {
			(*missed)++;
		} else {
			*error = errno;
			failed++;
		}
	}
	return failed;
}

static int
maildir_expunge(struct mailbox *mb, const uint8_t *bitmap, size_t *failed)
{
	int changed[MAILDIR_FOLDERS] = { 0 }, error = 0, i;
	size_t missed;

	*failed = expunge_pass(mb, bitmap, changed, &missed, &error);
	if (missed > 0) {
		/* Moved or renamed: find them.  Gone is as good as removed. */
		if (maildir_index_refresh(mb) == -1) {
			error = errno;
			*failed += missed;
		} else
			*failed = expunge_pass(mb, bitmap, changed, &missed,
			    &error);
	}
	for (i = 0; i < MAILDIR_FOLDERS; i++)
		if (changed[i] && maildir_sync(mb->folder[i]) == -1)
			error = errno;
	if (error != 0) {
		errno = error;
		return -1;
	}
	return 0;
}

const struct mailbox_ops maildir_ops = {
	.name = "maildir",
	.enter = maildir_enter,
	.open = maildir_open,
	.count = maildir_count,
	.message = maildir_message,
	.fetch = maildir_fetch,
	.is_older = maildir_is_older,
	.expunge = maildir_expunge,
	.append = maildir_append,
	.settle = maildir_settle,
	.close = maildir_close,
};
