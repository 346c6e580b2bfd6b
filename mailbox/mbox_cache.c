/*
 * mbox_cache: the index of a large mbox, kept in a file.
 *
 * Runs in agents, as the user whose mail it is, while it holds the locks of
 * the mbox; reads and replaces one file in ~/.postern.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "mbox_cache.h"
#include "state.h"

#define NEW_NAME	MBOX_CACHE_NAME ".new"
#define HEAD		64	/* octets before the first record */
#define RECORD		(19 + MBOX_HASH_SIZE)
#define TAIL		8
#define NANOSECONDS	INT64_C(1000000000)
#define SETTLED		(2 * NANOSECONDS)	/* so long no change */

static const uint8_t magic[8] = "PMBOX01\n";

static uint64_t
load_u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static uint8_t *
store_u64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

/* FNV-1a, but eight octets at a time; the rest is filled up with zeros. */
uint64_t
mbox_cache_sum(const uint8_t *p, size_t len)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);
	uint8_t last[8] = { 0 };

	for (; len >= sizeof(last); p += sizeof(last), len -= sizeof(last))
		sum = (sum ^ load_u64(p)) * UINT64_C(0x100000001b3);
	memcpy(last, p, len);
	return (sum ^ load_u64(last)) * UINT64_C(0x100000001b3);
}

int
mbox_cache_begin(struct mbox_cache *c, const uint8_t *data, size_t len)
{
	memset(c, 0, sizeof(*c));
	if (len < HEAD + TAIL || len > MBOX_CACHE_MAX ||
	    memcmp(data, magic, sizeof(magic)) != 0 ||
	    load_u64(data + len - TAIL) != mbox_cache_sum(data, len - TAIL))
		return -1;
	c->identity.dev = (dev_t)load_u64(data + 8);
	c->identity.ino = (ino_t)load_u64(data + 16);
	c->identity.size = load_u64(data + 24);
	c->identity.mtime = (int64_t)load_u64(data + 32);
	c->identity.ctime = (int64_t)load_u64(data + 40);
	c->first = load_u64(data + 48);
	c->left = load_u64(data + 56);
	c->p = data + HEAD;
	c->end = data + len - TAIL;
	if (c->left != (len - HEAD - TAIL) / RECORD ||
	    (len - HEAD - TAIL) % RECORD != 0 ||
	    c->identity.size > INT64_MAX || c->first > c->identity.size)
		return -1;
	c->entry.from = c->first;	/* as if one of no octets were there */
	return 0;
}

int
mbox_cache_next(struct mbox_cache *c)
{
	struct mbox_entry *e = &c->entry;
	uint64_t left, head;

	left = c->identity.size - e->from - e->space;
	if (c->left == 0)
		return left == 0 ? 0 : -1;
	e->from += e->space;
	e->space = load_u64(c->p);
	e->octets = load_u64(c->p + 8);
	e->from_len = (uint16_t)(c->p[16] | c->p[17] << 8);
	head = (uint64_t)e->from_len + c->p[18];
	if (e->from_len < sizeof("From ") || e->from_len > MBOX_FROM_MAX ||
	    c->p[18] > 2 || e->space > left || e->space < head)
		return -1;
	e->length = e->space - head;
	/* Each octet becomes two at most; two line ends may be added. */
	if (e->octets > 2 * e->length + 4)
		return -1;
	memcpy(e->hash, c->p + 19, MBOX_HASH_SIZE);
	c->p += RECORD;
	c->left--;
	return 1;
}

/* The whole file, to be freed, or NULL. */
static uint8_t *
read_file(const struct mailbox *mb, size_t *len)
{
	uint8_t *data = NULL;
	struct stat st;
	int fd;

	fd = state_open(mb->state, MBOX_CACHE_NAME, O_RDONLY, mb->uid);
	if (fd == -1)
		return NULL;
	if (fstat(fd, &st) == 0 && st.st_size >= HEAD + TAIL &&
	    st.st_size <= MBOX_CACHE_MAX)
		data = malloc((size_t)st.st_size);
	*len = data != NULL ? (size_t)st.st_size : 0;
	if (data != NULL && io_pread(fd, data, *len, 0) == -1) {
		free(data);
		data = NULL;
	}
	close(fd);
	return data;
}

/* Is this of the file that is there now, which only became longer? */
static int
is_of(const struct mbox_cache *c, const struct mbox_identity *now)
{
	return c->identity.dev == now->dev && c->identity.ino == now->ino &&
	    c->identity.size <= now->size && c->left > 0;
}

static int
fill(struct mbox_cache *c, struct mbox_index *index)
{
	int r;

	index->entries = reallocarray(NULL, c->left, sizeof(*index->entries));
	if (index->entries == NULL)
		return -1;
	index->room = c->left;
	while ((r = mbox_cache_next(c)) == 1)
		index->entries[index->count++] = c->entry;
	if (r == -1)
		mbox_index_free(index);
	return r;
}

int
mbox_cache_load(const struct mailbox *mb, const struct mbox_identity *now,
    struct mbox_index *index, uint64_t *first, uint64_t *size, int *is_same)
{
	struct mbox_cache c;
	uint8_t *data;
	size_t len;
	int r = -1;

	data = read_file(mb, &len);
	if (data != NULL && mbox_cache_begin(&c, data, len) == 0 &&
	    is_of(&c, now))
		r = fill(&c, index);
	free(data);
	if (r == -1)
		return -1;
	*first = c.first;
	*size = c.identity.size;
	*is_same = mbox_identity_is_same(&c.identity, now);
	return 0;
}

/*
 * Has it been left alone for so long that a further change shows, even where
 * time goes in steps of two seconds?
 */
static int
is_settled(const struct mbox_identity *identity)
{
	int64_t now = (int64_t)time(NULL) * NANOSECONDS;

	return identity->mtime < now - SETTLED &&
	    identity->ctime < now - SETTLED;
}

static size_t
write_down(uint8_t *data, const struct mailbox *mb)
{
	const struct mbox_entry *e = mb->index.entries;
	const struct mbox_entry *end = e + mb->index.count;
	int is_known = is_settled(&mb->known);
	uint8_t *p = data;

	memcpy(p, magic, sizeof(magic));
	p = store_u64(p + sizeof(magic), mb->known.dev);
	p = store_u64(p, mb->known.ino);
	p = store_u64(p, mb->known.size);
	p = store_u64(p, is_known ? (uint64_t)mb->known.mtime : 0);
	p = store_u64(p, is_known ? (uint64_t)mb->known.ctime : 0);
	p = store_u64(p, mb->first);
	p = store_u64(p, mb->index.count);
	for (; e < end; e++) {
		p = store_u64(p, e->space);
		p = store_u64(p, e->octets);
		*p++ = (uint8_t)e->from_len;
		*p++ = (uint8_t)(e->from_len >> 8);
		*p++ = (uint8_t)(e->space - e->length - e->from_len);
		memcpy(p, e->hash, MBOX_HASH_SIZE);
		p += MBOX_HASH_SIZE;
	}
	p = store_u64(p, mbox_cache_sum(data, (size_t)(p - data)));
	return (size_t)(p - data);
}

/*
 * Not synced: after a crash the sum tells whether it is whole.  Nobody else
 * writes it, since the locks are held; what is in the way is what a session
 * left that died here, or nothing of ours, and then it stays.
 */
static void
replace(const struct mailbox *mb, const uint8_t *data, size_t len)
{
	int fd, r;

	(void)unlinkat(mb->state, NEW_NAME, 0);
	fd = state_open(mb->state, NEW_NAME, O_WRONLY | O_CREAT | O_EXCL,
	    mb->uid);
	if (fd == -1)
		return;
	r = io_write(fd, data, len);
	if (close(fd) == -1 || r == -1 || renameat(mb->state, NEW_NAME,
	    mb->state, MBOX_CACHE_NAME) == -1)
		(void)unlinkat(mb->state, NEW_NAME, 0);
}

void
mbox_cache_store(const struct mailbox *mb)
{
	size_t max = HEAD + TAIL;
	int saved = errno;
	uint8_t *data;

	if (mb->index.count > (MBOX_CACHE_MAX - max) / RECORD)
		return;
	max += mb->index.count * RECORD;
	data = malloc(max);
	if (data != NULL)
		replace(mb, data, write_down(data, mb));
	free(data);
	errno = saved;
}

void
mbox_cache_remove(const struct mailbox *mb)
{
	int saved = errno;

	(void)unlinkat(mb->state, MBOX_CACHE_NAME, 0);
	errno = saved;
}
