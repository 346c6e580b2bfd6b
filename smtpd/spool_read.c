/*
 * spool_read: open, lock and read a letter; record what became of it.
 *
 * Runs in the queue, as queue-user; touches queue/ of the spool only.  A file
 * may be damaged in any way (C23): everything in it is checked and bounded.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smtpd/spool.h"
#include "smtpd/spool_format.h"

#define OUTCOMES_MAX	100000	/* records kept of one file */
#define OUTCOMES_LOOKED	(100 * OUTCOMES_MAX)	/* no letter's can be more */
#define OUTCOMES_READ	256	/* at a time */

/* All of it, or -1: a file that ends too soon is EBADMSG. */
static int
read_all(int fd, void *data, size_t len, uint64_t offset)
{
	uint8_t *p = data;
	ssize_t n;

	while (len > 0) {
		n = pread(fd, p, len, (off_t)offset);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = EBADMSG;
			return -1;
		}
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static int
damaged(void)
{
	errno = EBADMSG;
	return -1;
}

/* What the header says, if it can be true of a file of this size. */
static int
read_header(struct letter *letter, const uint8_t *head, uint64_t size,
    size_t *envelope_len)
{
	if (memcmp(head, FORMAT_MAGIC, FORMAT_MAGIC_LEN) != 0 ||
	    format_load(head + 8, 4) != FORMAT_VERSION)
		return damaged();
	*envelope_len = (size_t)format_load(head + 12, 4);
	letter->offset = format_load(head + 16, 8);
	letter->length = format_load(head + 24, 8);
	letter->lines = format_load(head + 32, 8);
	letter->arrived = format_load(head + 40, 8);
	if (*envelope_len > ENVELOPE_MAX ||
	    letter->offset != FORMAT_HEADER + *envelope_len ||
	    letter->offset > size || letter->length > size - letter->offset ||
	    letter->lines > letter->length || letter->arrived >> 40 != 0)
		return damaged();
	return 0;
}

static int
read_envelope(struct letter *letter, const uint8_t *head, size_t len)
{
	uint64_t check;
	char *data;

	data = malloc(len > 0 ? len : 1);
	if (data == NULL)
		return -1;
	if (read_all(letter->fd, data, len, FORMAT_HEADER) == -1) {
		free(data);
		return -1;
	}
	check = format_check(FORMAT_CHECK_START, head, FORMAT_CHECKED);
	check = format_check(check, data, len);
	if (check != format_load(head + FORMAT_CHECKED, 8)) {
		free(data);
		return damaged();
	}
	return envelope_decode(&letter->envelope, data, len);
}

/*
 * What may stand in a record: printable, or, in addresses only, beyond ASCII.
 */
static int
is_text(char octet, int is_utf8)
{
	return (octet >= ' ' && octet <= '~') || (is_utf8 && octet & 0x80);
}

/* Fixed room, NUL-terminated; what can't stand there is nobody's record. */
static int
decode_padded(char *dst, const uint8_t *src, size_t size, int is_utf8)
{
	size_t i;

	memcpy(dst, src, size);
	if (dst[size - 1] != '\0')
		return -1;
	for (i = 0; dst[i] != '\0'; i++)
		if (!is_text(dst[i], is_utf8))
			return -1;
	return 0;
}

static int
decode_outcome(struct outcome *o, const uint8_t *p, size_t recipient_count)
{
	uint64_t kind = format_load(p + 4, 4);

	if (format_load(p, 4) != FORMAT_OUTCOME_MAGIC ||
	    format_check(FORMAT_CHECK_START, p, FORMAT_OUTCOME_CHECKED) !=
	    format_load(p + FORMAT_OUTCOME_CHECKED, 8))
		return -1;
	o->recipient = (uint32_t)format_load(p + 8, 4);
	o->attempt = (uint32_t)format_load(p + 12, 4);
	o->key = format_load(p + 16, 8);
	o->when = format_load(p + 24, 8);
	o->flags = (uint32_t)format_load(p + FORMAT_FLAGS_AT, 4);
	o->code = (uint32_t)format_load(p + FORMAT_CODE_AT, 4);
	if (kind < OUTCOME_DELIVERED || kind > OUTCOME_NOTIFIED ||
	    o->recipient >= recipient_count)
		return -1;
	o->kind = (enum outcome_kind)kind;
	if (decode_padded(o->status, p + FORMAT_STATUS_AT,
	    sizeof(o->status), 0) == -1 ||
	    decode_padded(o->text, p + FORMAT_TEXT_AT,
	    sizeof(o->text), 0) == -1 ||
	    decode_padded(o->remote, p + FORMAT_REMOTE_AT,
	    sizeof(o->remote), 0) == -1 ||
	    decode_padded(o->target, p + FORMAT_TARGET_AT,
	    sizeof(o->target), 1) == -1)
		return -1;
	return 0;
}

/* A record that was read, the file's index-th of count. */
static int
keep_outcome(struct letter *letter, const uint8_t *p, uint64_t index,
    uint64_t count)
{
	struct outcome o, *grown;
	size_t n = letter->outcome_count;

	if (decode_outcome(&o, p, letter->envelope.recipient_count) == -1)
		return 0;
	/* Of very many the older deferrals say nothing any more. */
	if (o.kind == OUTCOME_DEFERRED && count - index > OUTCOMES_MAX / 2)
		return 0;
	if (n == OUTCOMES_MAX)
		return damaged();
	/* A power of two: all room is in use. */
	if ((n & (n - 1)) == 0) {
		grown = reallocarray(letter->outcomes, n > 0 ? n * 2 : 1,
		    sizeof(*grown));
		if (grown == NULL)
			return -1;
		letter->outcomes = grown;
	}
	o.at = letter->offset + letter->length + index * FORMAT_OUTCOME;
	letter->outcomes[letter->outcome_count++] = o;
	return 0;
}

static int
read_outcomes(struct letter *letter, uint64_t size)
{
	static uint8_t records[OUTCOMES_READ * FORMAT_OUTCOME];
	uint64_t start = letter->offset + letter->length;
	uint64_t count = (size - start) / FORMAT_OUTCOME;
	uint64_t i, n, j;

	letter->outcome_end = start + count * FORMAT_OUTCOME;
	if (count > OUTCOMES_LOOKED)
		return damaged();
	for (i = 0; i < count; i += n) {
		n = count - i < OUTCOMES_READ ? count - i : OUTCOMES_READ;
		if (read_all(letter->fd, records, n * FORMAT_OUTCOME,
		    start + i * FORMAT_OUTCOME) == -1)
			return -1;
		for (j = 0; j < n; j++)
			if (keep_outcome(letter, records + j * FORMAT_OUTCOME,
			    i + j, count) == -1)
				return -1;
	}
	return 0;
}

int
letter_read(int fd, struct letter *letter)
{
	uint8_t head[FORMAT_HEADER];
	struct stat st;
	size_t len;

	memset(letter, 0, sizeof(*letter));
	letter->fd = fd;
	if (fstat(fd, &st) == -1)
		goto fail;
	if (!S_ISREG(st.st_mode)) {
		damaged();
		goto fail;
	}
	if (read_all(fd, head, sizeof(head), 0) == -1 ||
	    read_header(letter, head, (uint64_t)st.st_size, &len) == -1 ||
	    read_envelope(letter, head, len) == -1 ||
	    read_outcomes(letter, (uint64_t)st.st_size) == -1)
		goto fail;
	return 0;
fail:
	letter_close(letter);
	return -1;
}

/*
 * Lock, then see that the name still means this file: whoever had the lock
 * until now (a queue that was just killed and its agents) may have delivered
 * and removed the letter between our opening and our locking it.
 */
static int
lock_named(const struct spool *spool, const char *text, int fd)
{
	struct stat st, named;

	if (flock(fd, LOCK_EX | LOCK_NB) == -1 || fstat(fd, &st) == -1 ||
	    fstatat(spool->queue, text, &named, AT_SYMLINK_NOFOLLOW) == -1)
		return -1;
	if (named.st_ino != st.st_ino || named.st_dev != st.st_dev) {
		errno = ENOENT;
		return -1;
	}
	return 0;
}

int
letter_open(const struct spool *spool, const struct spool_name *name,
    struct letter *letter)
{
	char text[SPOOL_NAME_MAX];
	int fd, saved;

	if (spool_name_print(name, text) == -1)
		return -1;
	fd = openat(spool->queue, text,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1) {
		if (errno == ELOOP)
			errno = EBADMSG;
		return -1;
	}
	if (lock_named(spool, text, fd) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	if (letter_read(fd, letter) == -1)
		return -1;
	letter->name = *name;
	return 0;
}

void
letter_close(struct letter *letter)
{
	int saved = errno;

	if (letter->fd != -1)
		close(letter->fd);
	envelope_free(&letter->envelope);
	free(letter->outcomes);
	memset(letter, 0, sizeof(*letter));
	letter->fd = -1;
	errno = saved;
}

uint64_t
outcome_key(const char *account)
{
	uint64_t key = format_check(FORMAT_CHECK_START, account,
	    strlen(account));

	return key != 0 ? key : 1;
}

static void
encode_padded(uint8_t *dst, const char *src, size_t size, int is_utf8)
{
	size_t i;

	for (i = 0; i + 1 < size && src[i] != '\0'; i++)
		dst[i] = is_text(src[i], is_utf8) ? (uint8_t)src[i] : '?';
}

static void
encode_outcome(uint8_t *p, const struct outcome *o)
{
	memset(p, 0, FORMAT_OUTCOME);
	format_store(p, FORMAT_OUTCOME_MAGIC, 4);
	format_store(p + 4, o->kind, 4);
	format_store(p + 8, o->recipient, 4);
	format_store(p + 12, o->attempt, 4);
	format_store(p + 16, o->key, 8);
	format_store(p + 24, o->when, 8);
	encode_padded(p + FORMAT_STATUS_AT, o->status, sizeof(o->status), 0);
	encode_padded(p + FORMAT_TEXT_AT, o->text, sizeof(o->text), 0);
	encode_padded(p + FORMAT_REMOTE_AT, o->remote, sizeof(o->remote), 0);
	encode_padded(p + FORMAT_TARGET_AT, o->target, sizeof(o->target), 1);
	format_store(p + FORMAT_FLAGS_AT, o->flags, 4);
	format_store(p + FORMAT_CODE_AT, o->code, 4);
	format_store(p + FORMAT_OUTCOME_CHECKED, format_check(
	    FORMAT_CHECK_START, p, FORMAT_OUTCOME_CHECKED), 8);
}

static int
write_records(int fd, const uint8_t *data, size_t count, uint64_t offset)
{
	size_t len = count * FORMAT_OUTCOME;
	ssize_t n = len > 0 ? pwrite(fd, data, len, (off_t)offset) : 0;

	if (n != -1 && (size_t)n != len)
		errno = ENOSPC;
	return n != -1 && (size_t)n == len ? 0 : -1;
}

/* The deferral on record that this one is the next of, or NULL. */
static struct outcome *
find_deferral(const struct letter *letter, const struct outcome *o)
{
	struct outcome *was;
	size_t i;

	if (o->kind != OUTCOME_DEFERRED)
		return NULL;
	for (i = letter->outcome_count; i-- > 0;) {
		was = &letter->outcomes[i];
		if (was->kind == OUTCOME_DEFERRED && was->key == o->key &&
		    was->recipient == o->recipient)
			return was;
	}
	return NULL;
}

/*
 * What a mailbox may forget, or a derived letter tell, is on disk.  That there
 * was an attempt in vain is not worth a wait.
 */
static int
is_worth_sync(const struct outcome *outcomes, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (outcomes[i].kind != OUTCOME_DEFERRED)
			return 1;
	return 0;
}

/*
 * Those that have a place are written there one by one; data gets the others,
 * for the end.  If one is torn by a crash, no more is lost than that there
 * was an attempt.
 */
static int
write_outcomes(int fd, struct letter *letter, const struct outcome *outcomes,
    size_t count, uint8_t *data)
{
	struct outcome *was;
	size_t i, fresh = letter->outcome_count, n = 0;
	uint64_t at;

	for (i = 0; i < count; i++) {
		was = find_deferral(letter, &outcomes[i]);
		at = letter->outcome_end + n * FORMAT_OUTCOME;
		encode_outcome(data + n * FORMAT_OUTCOME, &outcomes[i]);
		if (was != NULL) {
			at = was->at;
			if (write_records(fd, data + n * FORMAT_OUTCOME, 1,
			    at) == -1)
				return -1;
		} else {
			was = &letter->outcomes[fresh + n];
			n++;
		}
		*was = outcomes[i];
		was->at = at;
	}
	if (write_records(fd, data, n, letter->outcome_end) == -1 ||
	    (is_worth_sync(outcomes, count) && fdatasync(fd) == -1))
		return -1;
	letter->outcome_count += n;
	letter->outcome_end += n * FORMAT_OUTCOME;
	return 0;
}

/* A descriptor of its own: that of the letter can't write. */
static int
open_to_record(const struct spool *spool, const struct letter *letter)
{
	char text[SPOOL_NAME_MAX];

	if (spool_name_print(&letter->name, text) == -1)
		return -1;
	return openat(spool->queue, text, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
}

int
letter_reserve(const struct spool *spool, const struct letter *letter,
    size_t count)
{
	int fd = open_to_record(spool, letter), result, saved;

	if (fd == -1)
		return -1;
	/* Beyond the end of the file: nothing there is a record yet. */
	result = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)letter->outcome_end,
	    (off_t)(count * FORMAT_OUTCOME));
	saved = errno;
	close(fd);
	errno = saved;
	return result == -1 && (errno == EOPNOTSUPP || errno == ENOSYS) ? 0 :
	    result;
}

int
letter_record(const struct spool *spool, struct letter *letter,
    const struct outcome *outcomes, size_t count)
{
	struct outcome *grown;
	uint8_t *data;
	int fd = -1, result = -1;

	if (count == 0)
		return 0;
	grown = reallocarray(letter->outcomes, letter->outcome_count + count,
	    sizeof(*grown));
	if (grown == NULL)
		return -1;
	letter->outcomes = grown;
	data = reallocarray(NULL, count, FORMAT_OUTCOME);
	if (data != NULL)
		fd = open_to_record(spool, letter);
	if (fd != -1) {
		result = write_outcomes(fd, letter, outcomes, count, data);
		close(fd);
	}
	free(data);
	return result;
}

uint32_t
letter_attempts(const struct letter *letter)
{
	uint32_t last = 0;
	size_t i;

	for (i = 0; i < letter->outcome_count; i++)
		if (letter->outcomes[i].attempt > last)
			last = letter->outcomes[i].attempt;
	return last;
}
