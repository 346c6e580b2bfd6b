/*
 * maildir_append: the delivery of a letter, on disk and once.
 *
 * Runs in agents, as the recipient; creates, links, renames and removes below
 * the Maildir.
 *
 * A delivery is named by its queue id alone, so whoever tries it again finds
 * what an earlier try left.  Three names tell how far that one came:
 *
 *	W  tmp/W.ID	the file, being written
 *	T  tmp/T.ID	the tombstone, a second link to the finished file
 *	N  new/SECONDS.QID.HOST,S=...,W=..., or the same name in cur/
 *
 * 1. W is made with O_EXCL, written, and synced.
 * 2. W is linked to T.  So where T is, the file was complete and on disk.
 * 3. W is renamed to N: from here on the user has the letter, and may remove
 *    it or move it anywhere.
 * 4. new/ is synced.  So when append returns 0, the letter is on disk.
 * 5. settle() removes T, after the queue has put the outcome on record.
 *
 *	W T N	what happened				what is left to do
 *	- - -	never tried				all
 *	W - -	died in 1				remove W, then all
 *	W T -	died between 2 and 3			3, 4
 *	- T N	died in 4 or 5				4
 *	- T -	the same, and the user removed N	4
 *	- - N	settled, and the queue lost its record	4
 *	W T N	the power failed in 3 (see below)	remove W, 4
 *	W - N	the same, and T is gone			remove W, 4
 *
 * N is looked for (one reading of new/ and cur/) only where it makes a
 * difference: if W and T are there, or if T is not and the queue says that
 * there was a try before.  After a crash it says so of every letter, so for
 * the latter what one reading found is remembered, as hashes of the ids.  It
 * may be used until the mailbox is closed: nobody else delivers this letter
 * meanwhile, and what was delivered here since has its T.
 *
 * A try that fails removes T before W, never the other way: T alone says
 * "delivered".
 *
 * Two syncs suffice where the file system keeps the order of changes to names
 * (ext4, XFS, btrfs, ZFS; tmp/ needs none of its own, since the sync of new/
 * can't overtake the link that came before it).  On one that does not, the
 * power must fail for W to come back beside N, and N is found; the letter is
 * doubled only if the user had moved or removed it as well.  It is lost on
 * none, as the content is synced under W before anything else has its name.
 *
 * One queue id is never delivered by two processes at a time: the queue's
 * lock on a letter travels with the descriptor of its content.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "maildir.h"
#include "path.h"

#define COPY_SIZE	(64 * 1024)
#define HEAD_MAX	(16 * 1024)
#define WORK_AGE	(36 * 60 * 60)		/* as every Maildir program */
#define TOMBSTONE_AGE	(8 * 24 * 60 * 60)	/* no letter is queued so long */
#define SWEEP_READ	4096	/* names looked at in one sweep */
#define SWEEP_EVERY	256	/* deliveries, about */

struct delivery_names {
	char	work[MAILDIR_ID_MAX + 3];
	char	tombstone[MAILDIR_ID_MAX + 3];
	char	final[MAILDIR_NAME_MAX + 1];
};

static uint8_t buffer[COPY_SIZE];

/* The id comes from our own queue, but it becomes a part of file names. */
static int
is_queue_id(const char *id)
{
	size_t len = strlen(id), i;

	if (len == 0 || len > MAILDIR_ID_MAX)
		return 0;
	for (i = 0; i < len; i++)
		if (!isascii((unsigned char)id[i]) ||
		    !isalnum((unsigned char)id[i]))
			return 0;
	return 1;
}

static int
tmp_names(const char *id, struct delivery_names *names)
{
	if (!is_queue_id(id)) {
		errno = EINVAL;
		return -1;
	}
	snprintf(names->work, sizeof(names->work), "W.%s", id);
	snprintf(names->tombstone, sizeof(names->tombstone), "T.%s", id);
	return 0;
}

static uint64_t
count_lf(const char *text, size_t len)
{
	const char *lf, *end = text + len;
	uint64_t n = 0;

	for (; (lf = memchr(text, '\n', (size_t)(end - text))) != NULL;
	    text = lf + 1)
		n++;
	return n;
}

/* The host's name as a part of a file name, so short that a UIDL holds all. */
static void
host_part(const char *hostname, size_t used, char *part, size_t size)
{
	size_t i;

	if (used + 2 <= UIDL_MAX && size > UIDL_MAX - used)
		size = UIDL_MAX - used;
	for (i = 0; i + 1 < size && hostname[i] != '\0'; i++) {
		part[i] = hostname[i];
		if (!isascii((unsigned char)part[i]) ||
		    (!isalnum((unsigned char)part[i]) && part[i] != '.' &&
		    part[i] != '-'))
			part[i] = '_';
	}
	if (i == 0)
		part[i++] = '_';
	part[i] = '\0';
}

/* How the letter will be called: its size, stored and on the wire, is in it. */
static int
final_name(const struct mailbox *mb, const struct mailbox_letter *letter,
    struct delivery_names *names)
{
	char start[MAILDIR_ID_MAX + 32], host[64];
	char last = letter->head_len > 0 ?
	    letter->head[letter->head_len - 1] : '\n';
	uint64_t size = letter->head_len + letter->length, octets;
	int n;

	if (letter->length > 0 && io_pread(letter->content, &last, 1,
	    letter->offset + letter->length - 1) == -1)
		return -1;
	octets = size + count_lf(letter->head, letter->head_len) +
	    letter->lines + (last == '\n' ? 0 : 2);
	n = snprintf(start, sizeof(start), "%lld.Q%s.",
	    letter->arrived < 0 ? 0LL : (long long)letter->arrived,
	    letter->queue_id);
	if (n < 0 || (size_t)n >= sizeof(start)) {
		errno = EINVAL;
		return -1;
	}
	host_part(mb->hostname, (size_t)n, host, sizeof(host));
	n = snprintf(names->final, sizeof(names->final), "%s%s,S=%llu,W=%llu",
	    start, host, (unsigned long long)size, (unsigned long long)octets);
	if (n < 0 || (size_t)n >= sizeof(names->final)) {
		errno = EINVAL;
		return -1;
	}
	return 0;
}

static int
has_file(const struct mailbox *mb, const char *name, int *has)
{
	struct stat st;

	*has = fstatat(mb->folder[MAILDIR_TMP], name, &st,
	    AT_SYMLINK_NOFOLLOW) == 0;
	return *has || errno == ENOENT ? 0 : -1;
}

enum maildir_todo
maildir_todo(int has_work, int has_tombstone, int has_name)
{
	if (has_name)
		return MAILDIR_DONE;
	if (!has_tombstone)
		return MAILDIR_WRITE;
	return has_work ? MAILDIR_FINISH : MAILDIR_DONE;
}

static int
look(struct mailbox *mb, const struct mailbox_letter *letter,
    const struct delivery_names *names, enum maildir_todo *todo)
{
	int has_work, has_tombstone, has_name = 0;

	if (has_file(mb, names->work, &has_work) == -1 ||
	    has_file(mb, names->tombstone, &has_tombstone) == -1)
		return -1;
	if (has_tombstone)
		has_name = has_work;
	else if (letter->tried_before)
		has_name = maildir_may_have(mb, letter->queue_id);
	if (has_name == 1)
		has_name = maildir_has_delivery(mb, letter->queue_id);
	if (has_name == -1)
		return -1;
	*todo = maildir_todo(has_work, has_tombstone, has_name);
	if (has_work && *todo != MAILDIR_FINISH)
		return unlinkat(mb->folder[MAILDIR_TMP], names->work, 0);
	return 0;
}

/* Does this system, or this pair of files, not know such a copy? */
static int
is_no_copy(int error)
{
	return error == EXDEV || error == EINVAL || error == ENOSYS ||
	    error == EOPNOTSUPP;
}

/* Copy within the kernel as far as it can, and the rest by hand. */
static int
copy_content(int to, int from, uint64_t offset, uint64_t left)
{
	off_t at = (off_t)offset;
	ssize_t n;
	size_t piece;

	while (left > 0) {
		piece = left > (1U << 30) ? 1U << 30 : (size_t)left;
		n = copy_file_range(from, &at, to, NULL, piece, 0);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && !is_no_copy(errno))
			return -1;
		if (n <= 0)
			break;
		left -= (uint64_t)n;
	}
	while (left > 0) {
		piece = left > sizeof(buffer) ? sizeof(buffer) : (size_t)left;
		if (io_pread(from, buffer, piece, (uint64_t)at) == -1 ||
		    io_write(to, buffer, piece) == -1)
			return -1;
		at += (off_t)piece;
		left -= piece;
	}
	return 0;
}

/* Head and content; those of a letter of usual size in one write. */
static int
fill(int fd, const struct mailbox_letter *letter)
{
	size_t head = letter->head_len, first = sizeof(buffer) - head;

	if (first > letter->length)
		first = (size_t)letter->length;
	memcpy(buffer, letter->head, head);
	if (io_pread(letter->content, buffer + head, first,
	    letter->offset) == -1 ||
	    io_write(fd, buffer, head + first) == -1)
		return -1;
	return copy_content(fd, letter->content, letter->offset + first,
	    letter->length - first);
}

static void
remove_work(const struct mailbox *mb, const struct delivery_names *names)
{
	int saved = errno;

	unlinkat(mb->folder[MAILDIR_TMP], names->work, 0);
	errno = saved;
}

/* Step 1. */
static int
write_work(struct mailbox *mb, const struct mailbox_letter *letter,
    const struct delivery_names *names)
{
	int fd, r, saved;

	fd = openat(mb->folder[MAILDIR_TMP], names->work, O_WRONLY | O_CREAT |
	    O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	r = fill(fd, letter);
	if (r == 0)
		r = fsync(fd);
	saved = errno;
	/* A network file system may keep an error for the close. */
	if (close(fd) == -1 && r == 0) {
		saved = errno;
		r = -1;
	}
	errno = saved;
	if (r == -1)
		remove_work(mb, names);
	return r;
}

/*
 * Step 2.  Where the file system has no links, the tombstone is an empty
 * file: all that counts is its name.
 */
static int
mark(struct mailbox *mb, const struct delivery_names *names)
{
	int fd, tmp = mb->folder[MAILDIR_TMP];

	if (linkat(tmp, names->work, tmp, names->tombstone, 0) == 0)
		return 0;
	if (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS ||
	    errno == EMLINK) {
		fd = openat(tmp, names->tombstone, O_WRONLY | O_CREAT |
		    O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd != -1) {
			close(fd);
			return 0;
		}
	}
	if (errno != EEXIST)		/* W and T: left to be finished */
		remove_work(mb, names);
	return -1;
}

/* Step 3. */
static int
finish(struct mailbox *mb, const struct delivery_names *names)
{
	int saved, tmp = mb->folder[MAILDIR_TMP];

	if (renameat(tmp, names->work, mb->folder[MAILDIR_NEW],
	    names->final) == 0)
		return 0;
	saved = errno;
	/* Only in this order; if the first fails, W and T are to finish. */
	if (unlinkat(tmp, names->tombstone, 0) == 0)
		remove_work(mb, names);
	errno = saved;
	return -1;
}

int
maildir_append(struct mailbox *mb, const struct mailbox_letter *letter)
{
	struct delivery_names names;
	enum maildir_todo todo;

	if (letter->head_len > HEAD_MAX || letter->length > INT64_MAX / 4 ||
	    letter->offset > INT64_MAX / 4 ||
	    letter->lines > letter->length) {
		errno = EINVAL;
		return -1;
	}
	if (tmp_names(letter->queue_id, &names) == -1 ||
	    look(mb, letter, &names, &todo) == -1)
		return -1;
	if (todo != MAILDIR_DONE && final_name(mb, letter, &names) == -1)
		return -1;
	if (todo == MAILDIR_WRITE && (write_work(mb, letter, &names) == -1 ||
	    mark(mb, &names) == -1))
		return -1;
	if (todo != MAILDIR_DONE && finish(mb, &names) == -1)
		return -1;
	if (path_sync(mb->folder[MAILDIR_NEW]) == -1)
		return -1;
	if (arc4random_uniform(SWEEP_EVERY) == 0)
		maildir_sweep(mb, time(NULL));
	return 0;
}

int
maildir_settle(struct mailbox *mb, const char *queue_id)
{
	struct delivery_names names;

	if (tmp_names(queue_id, &names) == -1)
		return -1;
	/* Not synced: a tombstone that comes back is removed by a sweep. */
	if (unlinkat(mb->folder[MAILDIR_TMP], names.tombstone, 0) == 0 ||
	    errno == ENOENT)
		return 0;
	return -1;
}

struct sweep {
	time_t	now;
	int	left;		/* names that may still be looked at */
};

static int
sweep_found(struct mailbox *mb, enum maildir_folder folder,
    const struct dirent *found, void *arg)
{
	struct delivery_names names;
	struct sweep *sweep = arg;
	struct stat st;
	time_t age;
	int is_work = found->d_name[0] == 'W', tmp = mb->folder[folder];

	if (sweep->left-- == 0)
		return 1;
	if ((!is_work && found->d_name[0] != 'T') ||
	    found->d_name[1] != '.' ||
	    tmp_names(found->d_name + 2, &names) == -1 ||
	    fstatat(tmp, found->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    st.st_uid != mb->uid)
		return 0;
	age = sweep->now - st.st_mtim.tv_sec;
	if (age <= (is_work ? WORK_AGE : TOMBSTONE_AGE))
		return 0;
	/* T first, always: T alone would say that W was delivered. */
	if ((unlinkat(tmp, names.tombstone, 0) == 0 || errno == ENOENT) &&
	    is_work)
		remove_work(mb, &names);
	return 0;
}

void
maildir_sweep(struct mailbox *mb, time_t now)
{
	struct sweep sweep = { .now = now, .left = SWEEP_READ };

	(void)maildir_scan(mb, MAILDIR_TMP, sweep_found, &sweep);
}
