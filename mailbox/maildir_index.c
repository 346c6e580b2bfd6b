/*
 * maildir_index: the messages of a Maildir.
 *
 * Runs in agents, as the user whose mail it is; reads below the Maildir.
 *
 * The size on the wire comes from ",W=" in the names that our deliveries give;
 * for any other file it is counted, since other programs count otherwise.
 * The order is by the number that begins the name, then by the rest: it does
 * not change when a message is moved to cur/ or its flags change.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../privsep/log.h"
#include "maildir.h"
#include "maildir_sizes.h"

#define ARENA_BLOCK	(64 * 1024)
#define WRITE_COST	100	/* records written in the time to count one */
#define WRITE_OCTETS	(1 << 20)	/* counted in the time to write some */

struct maildir_names {
	struct maildir_names	*next;
	size_t			 used;
	char			 text[ARENA_BLOCK];
};

/* One of the readings that make or refresh an index. */
struct reading {
	uint8_t	number;		/* from 1 */
	int	has_news;	/* it met what none before it had met */
	size_t	missing;	/* of what was there, not met by any yet */
};

/* A copy of a name that stays as long as the index. */
static const char *
index_keep(struct maildir_index *index, const char *name)
{
	struct maildir_names *block = index->names;
	size_t size = strlen(name) + 1;
	char *copy;

	if (block == NULL || sizeof(block->text) - block->used < size) {
		block = malloc(sizeof(*block));
		if (block == NULL)
			return NULL;
		block->used = 0;
		block->next = index->names;
		index->names = block;
	}
	copy = block->text + block->used;
	memcpy(copy, name, size);
	block->used += size;
	return copy;
}

static int
index_grow(struct maildir_index *index)
{
	struct maildir_entry *entries;
	size_t room;

	if (index->count < index->room)
		return 0;
	room = index->room == 0 ? 256 : index->room + index->room / 2;
	entries = reallocarray(index->entries, room, sizeof(*entries));
	if (entries == NULL)
		return -1;
	index->entries = entries;
	index->room = room;
	return 0;
}

/* Is it a file?  The directory itself mostly knows. */
static int
is_file(const struct mailbox *mb, enum maildir_folder folder,
    const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_REG;
	return fstatat(mb->folder[folder], entry->d_name, &st,
	    AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static int
compare_octets(const char *a, size_t alen, const char *b, size_t blen)
{
	int r = memcmp(a, b, alen < blen ? alen : blen);

	if (r != 0)
		return r;
	return (alen > blen) - (alen < blen);
}

int
maildir_compare(const struct maildir_entry *a, const struct maildir_entry *b)
{
	if (a->seconds != b->seconds)
		return a->seconds < b->seconds ? -1 : 1;
	return compare_octets(a->name, a->unique_len, b->name, b->unique_len);
}

static int
compare_base(const struct maildir_entry *a, const struct maildir_entry *b)
{
	return compare_octets(a->name, a->base_len, b->name, b->base_len);
}

/* The order of twins: they were all met by one reading (compare_entries). */
static int
compare_twins(const struct maildir_entry *a, const struct maildir_entry *b)
{
	int r = maildir_compare(a, b);

	return r != 0 ? r : compare_base(a, b);
}

/* The first entry that is not before this one, if it is alike; or NULL. */
static struct maildir_entry *
index_search(struct maildir_index *index, const struct maildir_entry *key,
    int (*compare)(const struct maildir_entry *, const struct maildir_entry *))
{
	size_t low = 0, high = index->sorted, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (compare(&index->entries[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < index->sorted &&
	    compare(&index->entries[low], key) == 0 ?
	    &index->entries[low] : NULL;
}

/*
 * The entry of a name: by its unique part, among twins by its base.  There may
 * be as many twins as anybody wants to make.
 */
static struct maildir_entry *
index_find(struct maildir_index *index, const char *name,
    const struct maildir_name *parsed)
{
	struct maildir_entry key, *entry;

	memset(&key, 0, sizeof(key));
	key.name = name;
	key.seconds = parsed->seconds;
	key.unique_len = parsed->unique_len;
	key.base_len = parsed->base_len;
	entry = index_search(index, &key, maildir_compare);
	if (entry != NULL && (entry->flags & ENTRY_TWIN) != 0)
		entry = index_search(index, &key, compare_twins);
	return entry;
}

/*
 * The entry that a name is of, if it is in the index.  Another name in the
 * same reading is another message, one in a later reading a new name of it.
 */
static struct maildir_entry *
index_known(struct maildir_index *index, const char *name,
    const struct maildir_name *parsed, const struct reading *reading)
{
	struct maildir_entry *entry = index_find(index, name, parsed);

	if (entry != NULL && entry->met == reading->number &&
	    compare_octets(entry->name, entry->base_len, name,
	    parsed->base_len) != 0)
		return NULL;
	return entry;
}

/* It is there, under this name now. */
static int
entry_meet(struct maildir_index *index, struct maildir_entry *entry,
    enum maildir_folder folder, const char *name,
    const struct maildir_name *parsed)
{
	entry->folder = (uint8_t)folder;
	if (entry->name != NULL && strcmp(entry->name, name) == 0)
		return 0;
	name = index_keep(index, name);
	if (name == NULL)
		return -1;
	entry->name = name;
	entry->unique_len = parsed->unique_len;
	entry->base_len = parsed->base_len;
	return 0;
}

static int
index_found(struct mailbox *mb, enum maildir_folder folder,
    const struct dirent *found, void *arg)
{
	struct maildir_index *index = &mb->index;
	struct reading *reading = arg;
	struct maildir_entry *entry;
	struct maildir_name parsed;

	if (!is_file(mb, folder, found) ||
	    strlen(found->d_name) > MAILDIR_NAME_MAX)
		return 0;
	maildir_name_parse(found->d_name, &parsed);
	entry = index_known(index, found->d_name, &parsed, reading);
	if (entry == NULL) {
		if (index_grow(index) == -1)
			return -1;
		entry = &index->entries[index->count];
		memset(entry, 0, sizeof(*entry));
	}
	if (entry_meet(index, entry, folder, found->d_name, &parsed) == -1)
		return -1;
	if (entry == &index->entries[index->count]) {
		index->count++;
		reading->has_news = 1;
	}
	entry->seconds = parsed.seconds;
	entry->octets = parsed.octets;
	entry->size = parsed.size;
	entry->met = reading->number;
	return 0;
}

/* The maildrop's order; of one unique part first what was met last. */
static int
compare_entries(const void *va, const void *vb)
{
	const struct maildir_entry *a = va, *b = vb;
	int r;

	if ((r = maildir_compare(a, b)) != 0)
		return r;
	if (a->met != b->met)
		return a->met > b->met ? -1 : 1;
	return compare_base(a, b);
}

/* Drop what has ENTRY_SKIP. */
static void
index_compact(struct maildir_index *index)
{
	size_t i, kept = 0;

	for (i = 0; i < index->count; i++) {
		if ((index->entries[i].flags & ENTRY_SKIP) != 0)
			continue;
		if (kept != i)
			index->entries[kept] = index->entries[i];
		kept++;
	}
	index->count = index->sorted = kept;
}

/*
 * One base is one message, met twice if it is renamed meanwhile: it is where
 * it was met last.  One unique part with two bases in one reading is
 * somebody's mistake; both get a UIDL of their own.
 */
static void
index_twins(struct maildir_index *index)
{
	struct maildir_entry *e = index->entries, *kept = e;
	size_t i;

	for (i = 0; i < index->count; i++)
		e[i].flags &= (uint8_t)~ENTRY_TWIN;
	for (i = 1; i < index->count; i++) {
		if (maildir_compare(kept, &e[i]) == 0) {
			if (e[i].met < kept->met) {
				e[i].flags |= ENTRY_SKIP;
				continue;
			}
			if (compare_base(kept, &e[i]) == 0) {
				kept->flags |= ENTRY_SKIP;
				e[i].flags |= kept->flags & ENTRY_TWIN;
			} else {
				kept->flags |= ENTRY_TWIN;
				e[i].flags |= ENTRY_TWIN;
			}
		}
		kept = &e[i];
	}
	index_compact(index);
}

static int
index_sort(struct maildir_index *index)
{
	/*
	 * libbsd's mergesort, since glibc's qsort asks for the size of the
	 * machine's memory on its first use, in a confined process; and what
	 * is alike must stay in the order in which it was met.
	 */
	if (index->count > 1 && mergesort(index->entries, index->count,
	    sizeof(*index->entries), compare_entries) == -1)
		return -1;
	index_twins(index);
	return 0;
}

/* Count the octets of one message; -1 with errno. */
static int
entry_count(struct mailbox *mb, struct maildir_entry *entry)
{
	struct stat st;

	if (maildir_entry_count(mb, entry, &st, &entry->octets) == -1)
		return -1;
	entry->size = (uint64_t)st.st_size;
	entry->mtime = maildir_mtime(&st);
	entry->flags |= ENTRY_COUNTED;
	return 0;
}

/* Files that somebody copied there as root, say: their owner misses them. */
static void
log_skipped(const char *first, int error, size_t count)
{
	char name[LOG_VALUE_MAX];

	log_event(LOG_WARNING, 0, "event=messages-skipped messages=%zu "
	    "first=%s text=\"%s\"", count, log_value(first, name),
	    error == ESTALE ? "no file of the user's own" : strerror(error));
}

/*
 * Count what does not say its size.  One file that can't be read does not
 * take the others away; want of memory or descriptors is another matter.
 */
static int
index_count_rest(struct mailbox *mb, size_t *counted, uint64_t *octets)
{
	struct maildir_entry *entry;
	const char *first = NULL;
	size_t i, skipped = 0;
	int error = 0;

	*counted = *octets = 0;
	for (i = 0; i < mb->index.count; i++) {
		entry = &mb->index.entries[i];
		if (entry->octets != MAILDIR_UNSAID)
			continue;
		if (entry_count(mb, entry) == 0) {
			(*counted)++;
			*octets += entry->octets;
			continue;
		}
		if (errno == ENOMEM || errno == EMFILE || errno == ENFILE ||
		    errno == EAGAIN)
			return -1;
		entry->flags |= ENTRY_SKIP;
		if (errno == ENOENT)
			continue;	/* removed just now */
		if (skipped++ == 0) {
			first = entry->name;
			error = errno;
		}
	}
	if (skipped > 0)
		log_skipped(first, error, skipped);
	index_compact(&mb->index);
	return 0;
}

/*
 * Octets of what does not say them: as they are known, or counted.  What was
 * counted is written down if that costs less than to count it once more.
 */
static int
index_sizes(struct mailbox *mb)
{
	size_t i, unsaid = 0, counted, records;
	uint64_t octets;

	for (i = 0; i < mb->index.count; i++)
		unsaid += mb->index.entries[i].octets == MAILDIR_UNSAID;
	if (unsaid == 0)
		return 0;
	records = maildir_sizes_load(mb);
	if (index_count_rest(mb, &counted, &octets) == -1)
		return -1;
	if (counted * WRITE_COST > unsaid + WRITE_COST ||
	    octets > WRITE_OCTETS || records > 2 * unsaid + WRITE_COST)
		maildir_sizes_store(mb);
	return 0;
}

/* Only what that reading met is there. */
static void
index_forget(struct maildir_index *index, uint8_t number)
{
	size_t i;

	for (i = 0; i < index->count; i++)
		if (index->entries[i].met != number)
			index->entries[i].flags |= ENTRY_SKIP;
	index_compact(index);
}

int
maildir_index_build(struct mailbox *mb)
{
	struct maildir_index *index = &mb->index;
	struct maildir_readings readings = { 0 };
	struct reading reading = { 0 };
	int is_whole;

	do {
		reading.number++;
		reading.has_news = 0;
		if (maildir_scan_both(mb, index_found, &reading,
		    &is_whole) == -1)
			return -1;
		if (is_whole && reading.number > 1)
			index_forget(index, reading.number);
		if (index_sort(index) == -1)
			return -1;
	} while (maildir_scan_again(&readings, is_whole, reading.has_news));
	return index_sizes(mb);
}

void
maildir_index_free(struct maildir_index *index)
{
	struct maildir_names *block;

	while ((block = index->names) != NULL) {
		index->names = block->next;
		free(block);
	}
	free(index->entries);
	memset(index, 0, sizeof(*index));
}

static int
refresh_found(struct mailbox *mb, enum maildir_folder folder,
    const struct dirent *found, void *arg)
{
	struct reading *reading = arg;
	struct maildir_entry *entry;
	struct maildir_name parsed;

	if (strlen(found->d_name) > MAILDIR_NAME_MAX)
		return 0;
	maildir_name_parse(found->d_name, &parsed);
	/* A twin that came meanwhile is not what was indexed. */
	entry = index_known(&mb->index, found->d_name, &parsed, reading);
	if (entry == NULL)
		return 0;
	if (entry_meet(&mb->index, entry, folder, found->d_name, &parsed) == -1)
		return -1;
	if (entry->met == 0) {
		reading->has_news = 1;
		reading->missing -= (entry->flags & ENTRY_GONE) == 0;
	}
	entry->flags &= (uint8_t)~ENTRY_GONE;
	entry->met = reading->number;
	return 0;
}

/* Nothing is met yet; how many should be. */
static size_t
refresh_begin(struct maildir_index *index)
{
	size_t i, there = 0;

	for (i = 0; i < index->count; i++) {
		index->entries[i].met = 0;
		there += (index->entries[i].flags & ENTRY_GONE) == 0;
	}
	return there;
}

int
maildir_index_refresh(struct mailbox *mb, const struct maildir_entry *wanted)
{
	struct maildir_index *index = &mb->index;
	struct maildir_readings readings = { 0 };
	struct reading reading = { 0 };
	struct maildir_entry *entry;
	int is_whole;

	reading.missing = refresh_begin(index);
	do {
		reading.number++;
		reading.has_news = 0;
		if (maildir_scan_both(mb, refresh_found, &reading,
		    &is_whole) == -1)
			return -1;
		/* The sooner a name is used, the likelier it is still right. */
		if (!is_whole && (reading.missing == 0 ||
		    (wanted != NULL && wanted->met != 0)))
			return 0;
	} while (maildir_scan_again(&readings, is_whole, reading.has_news));
	for (entry = index->entries; entry < index->entries + index->count;
	    entry++)
		if (entry->met == 0 ||
		    (is_whole && entry->met != reading.number))
			entry->flags |= ENTRY_GONE;
	return 0;
}
