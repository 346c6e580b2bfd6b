/*
 * maildir_sizes: the sizes of messages whose names say none.
 *
 * Runs in agents, as the user whose mail it is, while it holds the session's
 * lock; reads and replaces one file in the Maildir, and looks at messages.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "maildir_sizes.h"

#define NEW_NAME	MAILDIR_SIZES_NAME ".new"
#define HEAD		16	/* octets before the first record */
#define RECORD		25	/* octets of one, and its name */
#define TAIL		8
#define SETTLED		2	/* seconds that a file has not changed for */

static const uint8_t magic[8] = "PSIZES1\n";

static uint64_t
load_u64(const uint8_t *p)
{
	uint64_t v = 0;
	int i;

	for (i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static void
store_u64(uint8_t *p, uint64_t v)
{
	int i;

	for (i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* FNV-1a: it tells a torn file, which is all that it is for. */
uint64_t
maildir_sizes_sum(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data, *end = p + len;

	sum ^= 0xcbf29ce484222325U;
	for (; p < end; p++)
		sum = (sum ^ *p) * 0x100000001b3U;
	return sum ^ 0xcbf29ce484222325U;
}

int
maildir_sizes_begin(struct maildir_sizes *s, const uint8_t *data, size_t len)
{
	memset(s, 0, sizeof(*s));
	if (len < HEAD + TAIL || memcmp(data, magic, sizeof(magic)) != 0)
		return -1;
	s->p = data + HEAD;
	s->end = data + len - TAIL;
	s->left = load_u64(data + sizeof(magic));
	if (maildir_sizes_sum(0, data, len - TAIL) != load_u64(s->end))
		return -1;
	return 0;
}

/* The fields of the record at s->p, whose length is whole. */
static int
read_record(struct maildir_sizes *s, size_t name_len)
{
	struct maildir_entry *e = &s->entry;
	struct maildir_name name;

	memset(e, 0, sizeof(*e));
	e->octets = load_u64(s->p);
	e->size = load_u64(s->p + 8);
	e->mtime = (int64_t)load_u64(s->p + 16);
	memcpy(s->name, s->p + RECORD, name_len);
	s->name[name_len] = '\0';
	s->p += RECORD + name_len;
	if (e->size > INT64_MAX / 4 ||
	    !maildir_is_plausible(e->size, e->octets))
		return -1;
	if (name_len == 0 || strlen(s->name) != name_len)
		return -1;
	maildir_name_parse(s->name, &name);
	if (name.unique_len != name_len)
		return -1;
	e->name = s->name;
	e->seconds = name.seconds;
	e->unique_len = name.unique_len;
	return 0;
}

int
maildir_sizes_next(struct maildir_sizes *s)
{
	char before[MAILDIR_NAME_MAX + 1];
	struct maildir_entry last = s->entry;
	size_t name_len;

	if (s->left == 0)
		return s->p == s->end ? 0 : -1;
	if (s->end - s->p < RECORD)
		return -1;
	name_len = s->p[RECORD - 1];
	if ((size_t)(s->end - s->p) - RECORD < name_len)
		return -1;
	if (last.name != NULL) {
		memcpy(before, s->name, sizeof(before));
		last.name = before;
	}
	if (read_record(s, name_len) == -1 ||
	    (last.name != NULL && maildir_compare(&last, &s->entry) >= 0))
		return -1;
	s->left--;
	return 1;
}

static int
is_ours(const struct mailbox *mb, const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_uid == mb->uid &&
	    st->st_nlink == 1 && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
	    st->st_size <= MAILDIR_SIZES_MAX;
}

/* The whole file, to be freed, or NULL. */
static uint8_t *
read_file(const struct mailbox *mb, size_t *len)
{
	uint8_t *data = NULL;
	struct stat st;
	int fd;

	fd = openat(mb->maildir, MAILDIR_SIZES_NAME, O_RDONLY | O_NOFOLLOW |
	    O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd == -1)
		return NULL;
	if (fstat(fd, &st) == 0 && is_ours(mb, &st) && st.st_size > 0)
		data = malloc((size_t)st.st_size);
	*len = data != NULL ? (size_t)st.st_size : 0;
	if (data != NULL && io_pread(fd, data, *len, 0) == -1) {
		free(data);
		data = NULL;
	}
	close(fd);
	return data;
}

/* Are all records what they must be?  How many, or -1. */
static ssize_t
check_all(struct maildir_sizes *s, const uint8_t *data, size_t len)
{
	ssize_t count = 0;
	int r;

	if (maildir_sizes_begin(s, data, len) == -1)
		return -1;
	while ((r = maildir_sizes_next(s)) == 1)
		count++;
	return r == 0 ? count : -1;
}

/* Is the file still what was counted? */
static void
believe(const struct mailbox *mb, struct maildir_entry *entry,
    const struct maildir_entry *known)
{
	struct stat st;

	if (entry->octets != MAILDIR_UNSAID ||
	    (entry->flags & ENTRY_TWIN) != 0 ||
	    fstatat(mb->folder[entry->folder], entry->name, &st,
	    AT_SYMLINK_NOFOLLOW) == -1 || !S_ISREG(st.st_mode) ||
	    st.st_uid != mb->uid || (uint64_t)st.st_size != known->size ||
	    maildir_mtime(&st) != known->mtime)
		return;
	entry->octets = known->octets;
	entry->size = known->size;
	entry->mtime = known->mtime;
	entry->flags |= ENTRY_COUNTED;
}

size_t
maildir_sizes_load(struct mailbox *mb)
{
	struct maildir_sizes s;
	struct maildir_entry *entry = mb->index.entries;
	struct maildir_entry *end = entry + mb->index.count;
	ssize_t count;
	uint8_t *data;
	size_t len;
	int order;

	data = read_file(mb, &len);
	if (data == NULL)
		return 0;
	count = check_all(&s, data, len);
	if (count == -1) {
		free(data);
		return 0;
	}
	/* Both are in the same order. */
	(void)maildir_sizes_begin(&s, data, len);
	while (maildir_sizes_next(&s) == 1) {
		order = -1;
		while (entry < end &&
		    (order = maildir_compare(entry, &s.entry)) < 0)
			entry++;
		if (order == 0)
			believe(mb, entry++, &s.entry);
	}
	free(data);
	return (size_t)count;
}

/* What is being written. */
struct output {
	int		fd;
	int		has_failed;
	uint64_t	sum;
	size_t		len;
	uint8_t		block[64 * 1024];
};

static void
output_flush(struct output *o)
{
	if (!o->has_failed && io_write(o->fd, o->block, o->len) == -1)
		o->has_failed = 1;
	o->len = 0;
}

static void
output_put(struct output *o, const void *data, size_t len)
{
	if (sizeof(o->block) - o->len < len)
		output_flush(o);
	memcpy(o->block + o->len, data, len);
	o->len += len;
	o->sum = maildir_sizes_sum(o->sum, data, len);
}

static void
output_u64(struct output *o, uint64_t v)
{
	uint8_t octets[8];

	store_u64(octets, v);
	output_put(o, octets, sizeof(octets));
}

/*
 * One that may still be written to, or was within what the clock of its file
 * system can tell apart, is counted again.
 */
static int
is_worth(const struct maildir_entry *e, time_t now)
{
	return (e->flags & ENTRY_COUNTED) != 0 &&
	    (e->flags & ENTRY_TWIN) == 0 &&
	    e->mtime / 1000000000 < now - SETTLED;
}

static void
write_records(struct output *o, const struct maildir_index *index, time_t now)
{
	const struct maildir_entry *e;
	uint64_t count = 0;
	size_t i;

	for (i = 0; i < index->count; i++)
		count += (uint64_t)is_worth(&index->entries[i], now);
	output_put(o, magic, sizeof(magic));
	output_u64(o, count);
	for (i = 0; i < index->count; i++) {
		e = &index->entries[i];
		if (!is_worth(e, now))
			continue;
		output_u64(o, e->octets);
		output_u64(o, e->size);
		output_u64(o, (uint64_t)e->mtime);
		output_put(o, &e->unique_len, 1);
		output_put(o, e->name, e->unique_len);
	}
	output_u64(o, o->sum);
	output_flush(o);
}

/*
 * Not synced: after a crash the sum tells whether it is whole.  Nobody else
 * writes it, since the lock is held; what is in the way is what a session
 * left that died here, or nothing of ours, and then it stays.
 */
void
maildir_sizes_store(struct mailbox *mb)
{
	static struct output o;
	int saved = errno;

	(void)unlinkat(mb->maildir, NEW_NAME, 0);
	memset(&o, 0, offsetof(struct output, block));
	o.fd = openat(mb->maildir, NEW_NAME, O_WRONLY | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	if (o.fd == -1) {
		errno = saved;
		return;
	}
	write_records(&o, &mb->index, time(NULL));
	if (close(o.fd) == -1)
		o.has_failed = 1;
	if (o.has_failed || renameat(mb->maildir, NEW_NAME, mb->maildir,
	    MAILDIR_SIZES_NAME) == -1)
		(void)unlinkat(mb->maildir, NEW_NAME, 0);
	errno = saved;
}
