/*
 * mbox_uidl: the UIDLs of an mbox, which has no place for them in itself.
 *
 * Runs in agents, as the user whose mail it is; reads and writes
 * ~/.postern/mbox-twins, under the locks of the mbox.
 *
 * A UIDL is the message's hash.  Messages that are alike to the last octet of
 * what is hashed get an *ordinal* behind it, in the order of the file.  As
 * soon as there are several, mbox-twins says which ordinals are in the file
 * and which one is next, so that
 *
 * - the others keep theirs when one is removed,
 * - none is given twice, even when all have gone.
 *
 * It has a line for each such hash: the hash, the next ordinal, the day since
 * 1970 of the last change, and the ordinals, as ranges.  What has none left
 * for a year is dropped.  A file that can't be read as that is begun anew: all
 * that is lost is the memory of ordinals.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "mbox.h"
#include "mbox_twins.h"
#include "path.h"
#include "state.h"

#define TWINS_NAME	"mbox-twins"
#define TWINS_WORK	"mbox-twins.new"
#define TWINS_MAX	(32 * 1024 * 1024)	/* octets of the file */
#define DAYS_KEPT	366
#define HEAP_BITS	12

static const char digits[] = "0123456789abcdef";

void
mbox_uidl(const struct mbox_entry *entry, char uidl[UIDL_MAX])
{
	size_t i;

	for (i = 0; i < MBOX_HASH_SIZE; i++) {
		uidl[2 * i] = digits[entry->hash[i] >> 4];
		uidl[2 * i + 1] = digits[entry->hash[i] & 0xf];
	}
	uidl[2 * i] = '\0';
	if (entry->ordinal > 0)
		snprintf(uidl + 2 * i, UIDL_MAX - 2 * i, ".%" PRIu32,
		    entry->ordinal);
}

static uint32_t
today(void)
{
	time_t now = time(NULL);

	return now < 0 ? 0 : (uint32_t)(now / 86400);
}

/* The whole file with a NUL behind it; NULL with errno, ENOENT: none. */
static char *
read_file(struct mailbox *mb)
{
	struct stat st;
	char *text = NULL;
	size_t len = 0;
	ssize_t n = 0;
	int fd, saved;

	fd = state_open(mb->state, TWINS_NAME, O_RDONLY, mb->uid);
	if (fd == -1)
		return NULL;
	errno = EFBIG;
	if (fstat(fd, &st) == 0 && st.st_size <= TWINS_MAX)
		text = malloc((size_t)st.st_size + 1);
	while (text != NULL && len < (size_t)st.st_size && (n = read(fd,
	    text + len, (size_t)st.st_size - len)) > 0)
		len += (size_t)n;
	saved = errno;
	close(fd);
	errno = saved;
	if (n == -1) {
		free(text);
		return NULL;
	}
	if (text != NULL)
		text[len] = '\0';
	return text;
}

static int
load(struct mailbox *mb, struct twins *twins)
{
	char *text;
	int r;

	memset(twins, 0, sizeof(*twins));
	text = read_file(mb);
	if (text == NULL)
		return errno == ENOENT || errno == EFBIG ? 0 : -1;
	r = twins_parse(twins, text);
	free(text);
	return r;
}

static void
print_twin(FILE *file, const struct twin *t)
{
	size_t k;

	for (k = 0; k < MBOX_HASH_SIZE; k++)
		fprintf(file, "%02x", t->hash[k]);
	fprintf(file, " %" PRIu32 " %" PRIu32 " ", t->next, t->day);
	if (t->live_count == 0)
		putc('-', file);
	for (k = 0; k < t->live_count; k++)
		fprintf(file, "%s%" PRIu32 "-%" PRIu32, k == 0 ? "" : ",",
		    t->live[k].low, t->live[k].high);
	putc('\n', file);
}

/* The file's text, to be freed; NULL with errno. */
static char *
print_twins(const struct twins *twins, uint32_t day, size_t *len)
{
	char *text = NULL;
	FILE *file = open_memstream(&text, len);
	const struct twin *t;
	int has_failed;

	if (file == NULL)
		return NULL;
	for (t = twins->twin; t < twins->twin + twins->count; t++)
		if (t->live_count > 0 || t->day + DAYS_KEPT >= day)
			print_twin(file, t);
	has_failed = ferror(file);
	if (fclose(file) == 0 && !has_failed)
		return text;
	free(text);
	errno = ENOMEM;
	return NULL;
}

static int
write_file(const struct mailbox *mb, const char *text, size_t len)
{
	int fd, r, saved;

	fd = state_open(mb->state, TWINS_WORK, O_WRONLY | O_CREAT | O_TRUNC,
	    mb->uid);
	if (fd == -1)
		return -1;
	r = io_pwrite(fd, text, len, 0);
	if (r == 0)
		r = fsync(fd);
	saved = errno;
	if (close(fd) == -1 && r == 0) {
		saved = errno;
		r = -1;
	}
	errno = saved;
	return r;
}

/* The new file is on disk before it has the name. */
static int
store(struct mailbox *mb, const struct twins *twins)
{
	size_t len;
	char *text = print_twins(twins, today(), &len);
	int r;

	if (text == NULL)
		return -1;
	r = write_file(mb, text, len);
	free(text);			/* keeps errno */
	if (r == -1 || renameat(mb->state, TWINS_WORK, mb->state,
	    TWINS_NAME) == -1)
		return -1;
	return path_sync(mb->state);
}

/* There is no room to write anything down. */
static int
is_full(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EROFS;
}

/* An entry, and as much of its hash as tells it from nearly all others. */
struct named {
	uint64_t		 hash;
	struct mbox_entry	*entry;
};

static int
by_hash(const void *va, const void *vb)
{
	const struct named *a = va, *b = vb;
	int r;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	r = memcmp(a->entry->hash, b->entry->hash, MBOX_HASH_SIZE);
	if (r != 0)
		return r;
	/* the order of the file */
	return (a->entry > b->entry) - (a->entry < b->entry);
}

static int
is_alike(const struct named *a, const struct named *b)
{
	return a->hash == b->hash &&
	    memcmp(a->entry->hash, b->entry->hash, MBOX_HASH_SIZE) == 0;
}

/* The ordinals of all that are alike; 1 if what is remembered changes. */
static int
number_alike(struct twins *twins, struct named *group, size_t count)
{
	struct twin *twin = twins_find(twins, group->entry->hash);
	struct twin_place place = { 0 };
	size_t i;
	int changed;

	if (twin == NULL && count == 1)
		return 0;
	if (twin == NULL) {
		twin = twins_add(twins, group->entry->hash);
		if (twin == NULL)
			return -1;
	}
	changed = twin_fit(twin, count, today());
	if (changed == -1)
		return -1;
	for (i = 0; i < count; i++)
		group[i].entry->ordinal = twin_next(twin, &place);
	return changed;
}

static int
number_all(struct twins *twins, struct named *order, size_t count)
{
	size_t first, end;
	int changed = 0, r;

	for (first = 0; first < count; first = end) {
		end = first + 1;
		while (end < count && is_alike(&order[first], &order[end]))
			end++;
		r = number_alike(twins, order + first, end - first);
		if (r == -1)
			return -1;
		changed |= r;
	}
	return changed;
}

/* A heap of those whose hashes begin alike. */
static size_t
heap_of(const struct mbox_entry *e)
{
	return ((size_t)e->hash[0] << 8 | e->hash[1]) >> (16 - HEAP_BITS);
}

/* First into small heaps, which spares most of the comparisons. */
static int
sort_names(struct named *order, struct mbox_index *index)
{
	static size_t heap[(1 << HEAP_BITS) + 1];
	struct mbox_entry *e;
	struct named *named;
	size_t i, n;

	memset(heap, 0, sizeof(heap));
	for (i = 0; i < index->count; i++)
		heap[heap_of(&index->entries[i])]++;
	for (i = 1; i <= 1 << HEAP_BITS; i++)
		heap[i] += heap[i - 1];		/* where it ends */
	for (i = index->count; i-- > 0; ) {
		e = &index->entries[i];
		named = &order[--heap[heap_of(e)]];
		named->entry = e;
		memcpy(&named->hash, e->hash, sizeof(named->hash));
	}
	for (i = 0; i < 1 << HEAP_BITS; i++) {
		n = heap[i + 1] - heap[i];	/* and now where it begins */
		/* libbsd's mergesort: see maildir_index.c. */
		if (n > 1 && mergesort(order + heap[i], n, sizeof(*order),
		    by_hash) == -1)
			return -1;
	}
	return 0;
}

int
mbox_twins_number(struct mailbox *mb, struct mbox_index *index)
{
	struct named *order;
	struct twins twins;
	int r;

	if (load(mb, &twins) == -1)
		return -1;
	order = calloc(index->count + 1, sizeof(*order));
	if (order == NULL) {
		twins_free(&twins);
		return -1;
	}
	r = sort_names(order, index);
	if (r == 0)
		r = number_all(&twins, order, index->count);
	free(order);
	/* A full disk must not keep anybody from reading. */
	if (r == 1 && store(mb, &twins) == -1 && !is_full(errno))
		r = -1;
	twins_free(&twins);
	return r == -1 ? -1 : 0;
}

int
mbox_twins_remove(struct mailbox *mb, const uint8_t *bitmap)
{
	const struct mbox_entry *entry;
	struct twins twins;
	struct twin *twin;
	size_t i;
	int r = 0;

	if (load(mb, &twins) == -1)
		return -1;
	for (i = 0; i < mb->index.count && r != -1; i++) {
		entry = &mb->index.entries[i];
		if ((bitmap[i / 8] & (1U << (i % 8))) == 0 ||
		    (entry->flags & MBOX_GONE) != 0)
			continue;
		twin = twins_find(&twins, entry->hash);
		if (twin != NULL)
			r = twin_remove(twin, entry->ordinal, today()) == -1 ?
			    -1 : 1;
	}
	/*
	 * Nor from deleting: all that gets mixed up is which of several
	 * messages that are the same is the one that has gone.
	 */
	if (r == 1) {
		r = store(mb, &twins);
		if (r == -1 && is_full(errno))
			r = 0;
	}
	twins_free(&twins);
	return r;
}
