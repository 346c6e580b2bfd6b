/*
 * name_index: an index of a file of names, in the spool directory.
 *
 * Runs in the queue, which writes one when it has read a new file, and in
 * session agents, which look names up; both as queue-user.  Touches that index
 * and nothing else.
 *
 * Pages of 512 octets; numbers as this host has them, for no other reads it.
 * The first is the header.  In the others names are where their hash says, or
 * in one of the next pages when that one is full.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smtpd/name_index.h"

#define INDEX_MAGIC	0x32786c6150747350u
#define PAGE_ENTRIES	42
#define PAGE_USUAL	21		/* entries on average */

struct index_page {
	uint32_t		check;
	uint32_t		count;
	struct name_index_entry	entries[PAGE_ENTRIES];
};

struct index_header {
	uint64_t	magic;
	uint64_t	file[7];	/* what it is of, as stat(2) has it */
	uint32_t	pages;
	uint32_t	check;
	uint8_t		unused[512 - 72];
};

_Static_assert(sizeof(struct index_page) == 512, "size of a page");
_Static_assert(sizeof(struct index_header) == 512, "size of the header");

/* FNV-1a: names are root's, and a page is to be told from noise. */
static uint32_t
hash_of(const void *data, size_t len, uint32_t hash)
{
	const uint8_t *p = data;

	while (len-- > 0)
		hash = (hash ^ *p++) * 16777619u;
	return hash;
}

uint32_t
name_index_hash(const char *name)
{
	return hash_of(name, strlen(name), 2166136261u);
}

/* Of a page that has its place: moved, it is none. */
static uint32_t
page_check(const struct index_page *page, uint32_t number)
{
	return hash_of(&page->count, sizeof(*page) - sizeof(page->check),
	    hash_of(&number, sizeof(number), 2166136261u));
}

static uint32_t
header_check(const struct index_header *h)
{
	return hash_of(h, offsetof(struct index_header, check), 2166136261u);
}

static void
header_make(struct index_header *h, const struct stat *st, uint32_t pages)
{
	memset(h, 0, sizeof(*h));
	h->magic = INDEX_MAGIC;
	h->file[0] = (uint64_t)st->st_dev;
	h->file[1] = (uint64_t)st->st_ino;
	h->file[2] = (uint64_t)st->st_size;
	h->file[3] = (uint64_t)st->st_mtim.tv_sec;
	h->file[4] = (uint64_t)st->st_mtim.tv_nsec;
	h->file[5] = (uint64_t)st->st_ctim.tv_sec;
	h->file[6] = (uint64_t)st->st_ctim.tv_nsec;
	h->pages = pages;
	h->check = header_check(h);
}

static void
put_entry(struct index_page *pages, uint32_t page_count,
    const struct name_index_entry *entry)
{
	struct index_page *page = &pages[entry->hash % page_count];

	while (page->count == PAGE_ENTRIES)
		page = page + 1 == pages + page_count ? pages : page + 1;
	page->entries[page->count++] = *entry;
}

static int
write_all(int fd, const void *data, size_t size)
{
	const char *p = data;
	ssize_t n;

	for (; size > 0; size -= (size_t)n, p += n) {
		n = write(fd, p, size);
		if (n == -1)
			return -1;
	}
	return 0;
}

static int
write_file(int dir, const char *index, const struct index_header *header,
    const struct index_page *pages)
{
	char new[NAME_INDEX_NAME_MAX + 4];
	int fd, result = -1;

	snprintf(new, sizeof(new), "%s.new", index);
	(void)unlinkat(dir, new, 0);
	fd = openat(dir, new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	if (write_all(fd, header, sizeof(*header)) == 0 &&
	    write_all(fd, pages, header->pages * sizeof(*pages)) == 0 &&
	    renameat(dir, new, dir, index) == 0)
		result = 0;
	close(fd);
	return result;
}

int
name_index_write(int dir, const char *index, const struct stat *of,
    const struct name_index_entry *entries, size_t entry_count)
{
	struct index_header header;
	struct index_page *pages;
	uint32_t count, i;
	size_t n;
	int result;

	if (entry_count > UINT32_MAX / 2) {
		errno = EFBIG;
		return -1;
	}
	count = (uint32_t)(entry_count / PAGE_USUAL) + 1;
	pages = calloc(count, sizeof(*pages));
	if (pages == NULL)
		return -1;
	for (n = 0; n < entry_count; n++)
		put_entry(pages, count, &entries[n]);
	for (i = 0; i < count; i++)
		pages[i].check = page_check(&pages[i], i);
	header_make(&header, of, count);
	result = write_file(dir, index, &header, pages);
	free(pages);
	return result;
}

int
name_index_open(int dir, const char *index)
{
	return openat(dir, index, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
}

int
name_index_is_of(int fd, const struct stat *st)
{
	struct index_header have, want;

	if (fd == -1 || pread(fd, &have, sizeof(have), 0) != sizeof(have))
		return 0;
	header_make(&want, st, have.pages);
	return have.pages > 0 && memcmp(&have, &want, sizeof(have)) == 0;
}

/* 0, or -1: it is none. */
static int
read_page(int fd, uint32_t number, struct index_page *page)
{
	off_t at = (off_t)sizeof(*page) * (1 + (off_t)number);

	return pread(fd, page, sizeof(*page), at) == sizeof(*page) &&
	    page->count <= PAGE_ENTRIES &&
	    page->check == page_check(page, number) ? 0 : -1;
}

int
name_index_find(int fd, uint32_t hash,
    int (*try)(void *, const struct name_index_entry *), void *arg)
{
	struct index_header header;
	struct index_page page;
	uint32_t number, i, tries;
	int found;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
	    header.pages == 0 || header.check != header_check(&header))
		return -1;
	number = hash % header.pages;
	for (tries = 0; tries < header.pages; tries++) {
		if (read_page(fd, number, &page) == -1)
			return -1;
		for (i = 0; i < page.count; i++) {
			if (page.entries[i].hash != hash)
				continue;
			found = try(arg, &page.entries[i]);
			if (found != 0)
				return found;
		}
		if (page.count < PAGE_ENTRIES)
			break;
		number = (number + 1) % header.pages;
	}
	return 0;
}
