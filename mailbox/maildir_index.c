/*
 * maildir_index: the messages of a Maildir, from one reading of new/ and cur/.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../wire/octets.h"
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

int
maildir_scan(struct mailbox *mb, enum maildir_folder folder,
    maildir_found found, void *arg)
{
	struct dirent *entry;
	DIR *dir;
	int fd, r = 0, saved;

	if (mb->folder[folder] == -1)
		return 0;
	fd = fcntl(mb->folder[folder], F_DUPFD_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	dir = fdopendir(fd);
	if (dir == NULL) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	rewinddir(dir);		/* the position is shared with the original */
	for (;;) {
		errno = 0;
		entry = readdir(dir);
		if (entry == NULL) {
			r = errno == 0 ? 0 : -1;
			break;
		}
		if (entry->d_name[0] == '.')
			continue;
		r = found(mb, folder, entry, arg);
		if (r != 0)
			break;
	}
	saved = errno;
	closedir(dir);
	errno = saved;
	return r;
}

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
index_found(struct mailbox *mb, enum maildir_folder folder,
    const struct dirent *found, void *arg)
{
	struct maildir_index *index = &mb->index;
	struct maildir_entry *entry;
	struct maildir_name name;

	(void)arg;
	if (!is_file(mb, folder, found) ||
	    strlen(found->d_name) > MAILDIR_NAME_MAX)
		return 0;
	if (index_grow(index) == -1)
		return -1;
	entry = &index->entries[index->count];
	memset(entry, 0, sizeof(*entry));
	entry->name = index_keep(index, found->d_name);
	if (entry->name == NULL)
		return -1;
	maildir_name_parse(entry->name, &name);
	entry->seconds = name.seconds;
	entry->octets = name.octets;
	entry->size = name.size;
	entry->unique_len = name.unique_len;
	entry->base_len = name.base_len;
	entry->folder = (uint8_t)folder;
	index->count++;
	return 0;
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

/* The maildrop's order; of two names of one message, that in cur/ first. */
static int
compare_entries(const void *va, const void *vb)
{
	const struct maildir_entry *a = va, *b = vb;
	int r;

	if ((r = maildir_compare(a, b)) != 0 || (r = compare_base(a, b)) != 0)
		return r;
	if (a->folder != b->folder)
		return a->folder > b->folder ? -1 : 1;
	return strcmp(a->name, b->name);
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
	index->count = kept;
}

/*
 * new/ is read before cur/, so a message that is moved meanwhile is met twice,
 * never missed: one base is one message.  One unique part with two bases is
 * somebody's mistake; both get a UIDL of their own.
 */
static void
index_twins(struct maildir_index *index)
{
	struct maildir_entry *e = index->entries;
	size_t i, kept = 0;

	for (i = 1; i < index->count; i++) {
		if (maildir_compare(&e[kept], &e[i]) == 0) {
			if (compare_base(&e[kept], &e[i]) == 0) {
				e[i].flags |= ENTRY_SKIP;
				continue;
			}
			e[kept].flags |= ENTRY_TWIN;
			e[i].flags |= ENTRY_TWIN;
		}
		kept = i;
	}
	index_compact(index);
}

int64_t
maildir_mtime(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* Count the octets of one message; -1 with errno. */
static int
entry_count(struct mailbox *mb, struct maildir_entry *entry)
{
	static uint8_t buffer[64 * 1024];
	struct octets octets;
	struct stat st;
	ssize_t n;
	int fd, saved;

	fd = maildir_entry_open(mb, entry, &st);
	if (fd == -1)
		return -1;
	octets_init(&octets);
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		octets_count(&octets, buffer, (size_t)n);
	saved = errno;
	close(fd);
	errno = saved;
	if (n == -1)
		return -1;
	entry->octets = octets_total(&octets);
	entry->size = (uint64_t)st.st_size;
	entry->mtime = maildir_mtime(&st);
	entry->flags |= ENTRY_COUNTED;
	return 0;
}

/*
 * Count what does not say its size.  One file that can't be read does not
 * take the others away; want of memory or descriptors is another matter.
 */
static int
index_count_rest(struct mailbox *mb, size_t *counted, uint64_t *octets)
{
	struct maildir_entry *entry;
	size_t i;

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
		if (errno == ENOMEM || errno == EMFILE || errno == ENFILE)
			return -1;
		entry->flags |= ENTRY_SKIP;
	}
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

int
maildir_index_build(struct mailbox *mb)
{
	struct maildir_index *index = &mb->index;

	if (maildir_scan(mb, MAILDIR_NEW, index_found, NULL) == -1 ||
	    maildir_scan(mb, MAILDIR_CUR, index_found, NULL) == -1)
		return -1;
	/*
	 * libbsd's mergesort, since glibc's qsort asks for the size of the
	 * machine's memory on its first use, in a confined process.
	 */
	if (index->count > 1 && mergesort(index->entries, index->count,
	    sizeof(*index->entries), compare_entries) == -1)
		return -1;
	index_twins(index);
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

/* The first entry that is not before this one. */
static size_t
index_lower(const struct maildir_index *index, const struct maildir_entry *key)
{
	size_t low = 0, high = index->count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (maildir_compare(&index->entries[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The entry of a name: by its unique part, among twins by its base. */
static struct maildir_entry *
index_find(struct maildir_index *index, const char *name)
{
	struct maildir_entry key, *entry;
	struct maildir_name parsed;
	size_t i;

	maildir_name_parse(name, &parsed);
	memset(&key, 0, sizeof(key));
	key.name = name;
	key.seconds = parsed.seconds;
	key.unique_len = parsed.unique_len;
	key.base_len = parsed.base_len;
	for (i = index_lower(index, &key); i < index->count; i++) {
		entry = &index->entries[i];
		if (maildir_compare(entry, &key) != 0)
			break;
		if ((entry->flags & ENTRY_TWIN) == 0 ||
		    compare_base(entry, &key) == 0)
			return entry;
	}
	return NULL;
}

static int
refresh_found(struct mailbox *mb, enum maildir_folder folder,
    const struct dirent *found, void *arg)
{
	struct maildir_entry *entry;
	struct maildir_name parsed;
	const char *name;

	(void)arg;
	if (strlen(found->d_name) > MAILDIR_NAME_MAX)
		return 0;
	entry = index_find(&mb->index, found->d_name);
	if (entry == NULL)
		return 0;
	maildir_name_parse(found->d_name, &parsed);
	/* A twin that came meanwhile is not what was indexed. */
	if ((entry->flags & ENTRY_SEEN) != 0 &&
	    compare_octets(entry->name, entry->base_len, found->d_name,
	    parsed.base_len) != 0)
		return 0;
	entry->flags |= ENTRY_SEEN;
	entry->folder = (uint8_t)folder;
	if (strcmp(entry->name, found->d_name) == 0)
		return 0;
	name = index_keep(&mb->index, found->d_name);
	if (name == NULL)
		return -1;
	entry->name = name;
	entry->base_len = parsed.base_len;
	return 0;
}

int
maildir_index_refresh(struct mailbox *mb)
{
	struct maildir_index *index = &mb->index;
	size_t i;

	for (i = 0; i < index->count; i++)
		index->entries[i].flags &= (uint8_t)~ENTRY_SEEN;
	if (maildir_scan(mb, MAILDIR_NEW, refresh_found, NULL) == -1 ||
	    maildir_scan(mb, MAILDIR_CUR, refresh_found, NULL) == -1)
		return -1;
	for (i = 0; i < index->count; i++) {
		if ((index->entries[i].flags & ENTRY_SEEN) != 0)
			index->entries[i].flags &= (uint8_t)~ENTRY_GONE;
		else
			index->entries[i].flags |= ENTRY_GONE;
	}
	return 0;
}

void
maildir_entry_correct(const struct mailbox *mb,
    const struct maildir_entry *entry)
{
	const char *end = entry->name + entry->base_len;
	const char *p = entry->name + entry->unique_len, *next;
	char name[MAILDIR_NAME_MAX + 1];
	size_t len = entry->unique_len;

	memcpy(name, entry->name, len);
	for (; p < end; p = next) {
		next = p + 1 + strcspn(p + 1, ",:");
		if (p[0] == ',' && (p[1] == 'S' || p[1] == 'W') && p[2] == '=')
			continue;
		memcpy(name + len, p, (size_t)(next - p));
		len += (size_t)(next - p);
	}
	if (len == entry->base_len || len == 0)
		return;
	strlcpy(name + len, end, sizeof(name) - len);
	/* Never over another message; and if it can't be, then not. */
	(void)renameat2(mb->folder[entry->folder], entry->name,
	    mb->folder[entry->folder], name, RENAME_NOREPLACE);
}
