/*
 * spool_write: write one letter into the spool.
 *
 * Runs in the session agent, and in the queue for letters of its own, as
 * queue-user; touches incoming/, queue/ and held/ of the spool only.  What it
 * promises stands in spool.c.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "smtpd/spool.h"
#include "smtpd/spool_format.h"

#define NAME_TRIES	8

/* Write all of it at offset; regular files may still be short once. */
static int
write_all(int fd, const uint8_t *data, size_t len, uint64_t offset)
{
	ssize_t n;

	while (len > 0) {
		n = pwrite(fd, data, len, (off_t)offset);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = EIO;
			return -1;
		}
		data += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static void
flush(struct spool_writer *w)
{
	if (w->error == 0 &&
	    write_all(w->fd, w->buffer, w->fill, w->written) == -1)
		w->error = errno;
	w->written += w->fill;
	w->fill = 0;
}

/* Into the buffer, uncounted: header and envelope. */
static void
put_raw(struct spool_writer *w, const uint8_t *data, size_t len)
{
	size_t n;

	while (len > 0) {
		if (w->fill == sizeof(w->buffer))
			flush(w);
		n = sizeof(w->buffer) - w->fill;
		if (n > len)
			n = len;
		memcpy(w->buffer + w->fill, data, n);
		w->fill += n;
		data += n;
		len -= n;
	}
}

/*
 * A new file that nobody can have taken for a dead agent's: between making
 * and locking it the queue may have cleaned it away.  1, 0 for try again, -1.
 */
static int
make_file(struct spool_writer *w)
{
	struct stat st;

	w->fd = openat(w->spool->incoming, w->id,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (w->fd == -1)
		return errno == EEXIST ? 0 : -1;
	if (flock(w->fd, LOCK_EX | LOCK_NB) == 0 &&
	    fstat(w->fd, &st) == 0 && st.st_nlink == 1)
		return 1;
	close(w->fd);
	w->fd = -1;
	return 0;
}

static int
writer_init(struct spool_writer *w, const struct spool *spool,
    const struct envelope_writer *envelope)
{
	w->spool = spool;
	w->fd = -1;
	w->envelope = envelope;
	w->arrived = (uint64_t)time(NULL);
	w->error = 0;
	w->fill = 0;
	w->length = w->lines = w->written = 0;
	if (envelope->error != 0) {
		errno = envelope->error;
		return -1;
	}
	return 0;
}

/* The file is there, or not: 1, or as make_file() says. */
static int
begin(struct spool_writer *w, int made)
{
	static const uint8_t blank[FORMAT_HEADER];

	if (made != 1) {
		if (made == 0)
			errno = EBUSY;
		return -1;
	}
	put_raw(w, blank, sizeof(blank));
	put_raw(w, w->envelope->data, w->envelope->len);
	return 0;
}

int
spool_begin(struct spool_writer *w, const struct spool *spool,
    const struct envelope_writer *envelope)
{
	int i, made = 0;

	if (writer_init(w, spool, envelope) == -1)
		return -1;
	for (i = 0; i < NAME_TRIES && made == 0; i++) {
		if (spool_id_make(w->id) == -1)
			return -1;
		made = make_file(w);
	}
	return begin(w, made);
}

int
spool_begin_as(struct spool_writer *w, const struct spool *spool,
    const struct envelope_writer *envelope, const char *id)
{
	if (writer_init(w, spool, envelope) == -1)
		return -1;
	if (!spool_id_is_legal(id)) {
		errno = EINVAL;
		return -1;
	}
	strlcpy(w->id, id, sizeof(w->id));
	if (unlinkat(spool->incoming, id, 0) == -1 && errno != ENOENT)
		return -1;
	return begin(w, make_file(w));
}

void
spool_space(struct spool_writer *w, uint8_t **space, size_t *len)
{
	if (w->fill == sizeof(w->buffer))
		flush(w);
	*space = w->buffer + w->fill;
	*len = sizeof(w->buffer) - w->fill;
}

void
spool_filled(struct spool_writer *w, size_t len)
{
	const uint8_t *p = w->buffer + w->fill, *end = p + len;

	w->fill += len;
	w->length += len;
	while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		w->lines++;
		p++;
	}
}

void
spool_put(struct spool_writer *w, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint8_t *space;
	size_t n;

	while (len > 0) {
		spool_space(w, &space, &n);
		if (n > len)
			n = len;
		memcpy(space, p, n);
		spool_filled(w, n);
		p += n;
		len -= n;
	}
}

static void
make_header(const struct spool_writer *w, uint8_t head[FORMAT_HEADER])
{
	uint64_t check;

	memset(head, 0, FORMAT_HEADER);
	memcpy(head, FORMAT_MAGIC, FORMAT_MAGIC_LEN);
	format_store(head + 8, FORMAT_VERSION, 4);
	format_store(head + 12, w->envelope->len, 4);
	format_store(head + 16, FORMAT_HEADER + w->envelope->len, 8);
	format_store(head + 24, w->length, 8);
	format_store(head + 32, w->lines, 8);
	format_store(head + 40, w->arrived, 8);
	check = format_check(FORMAT_CHECK_START, head, FORMAT_CHECKED);
	check = format_check(check, w->envelope->data, w->envelope->len);
	format_store(head + FORMAT_CHECKED, check, 8);
}

/* The header goes last, or, if nothing was written yet, with all the rest. */
static int
finish_file(struct spool_writer *w)
{
	uint8_t head[FORMAT_HEADER];
	int is_whole = w->written == 0;

	make_header(w, head);
	if (is_whole)
		memcpy(w->buffer, head, sizeof(head));
	flush(w);
	if (w->error == 0 && !is_whole &&
	    write_all(w->fd, head, sizeof(head), 0) == -1)
		w->error = errno;
	if (w->error == 0 && fdatasync(w->fd) == -1)
		w->error = errno;
	return w->error == 0 ? 0 : -1;
}

static int
give_up(struct spool_writer *w)
{
	spool_abort(w);
	errno = w->error;
	return -1;
}

/* From incoming/ to where it is to be, which is on disk before we say so. */
static int
move_to(struct spool_writer *w, int dir, const char *name)
{
	if (renameat(w->spool->incoming, w->id, dir, name) == -1) {
		w->error = errno;
		return give_up(w);
	}
	if (fsync(dir) == -1) {
		/*
		 * Nobody was told 250: the sender keeps it, so we don't.  Of
		 * one on hold the next try takes the place.
		 */
		w->error = errno;
		unlinkat(dir, name, 0);
		return give_up(w);
	}
	close(w->fd);
	w->fd = -1;
	return 0;
}

int
spool_commit(struct spool_writer *w, struct spool_name *name)
{
	char text[SPOOL_NAME_MAX];

	if (finish_file(w) == -1)
		return give_up(w);
	name->due = w->arrived;
	name->size = w->length;
	memcpy(name->id, w->id, sizeof(name->id));
	if (spool_name_print(name, text) == -1) {
		w->error = errno;
		return give_up(w);
	}
	return move_to(w, w->spool->queue, text);
}

int
spool_hold(struct spool_writer *w)
{
	if (finish_file(w) == -1)
		return give_up(w);
	return move_to(w, w->spool->held, w->id);
}

void
spool_abort(struct spool_writer *w)
{
	if (w->fd == -1)
		return;
	unlinkat(w->spool->incoming, w->id, 0);
	close(w->fd);
	w->fd = -1;
}
