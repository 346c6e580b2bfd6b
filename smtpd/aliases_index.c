/*
 * aliases_index: where in a large aliases file each name is, so that a session
 * reads one entry and not all of them.
 *
 * Runs in the queue, which writes SPOOL/aliases.index when it has read a new
 * aliases file, and in session agents, which look names up; both as
 * queue-user.  Touches that file, and reads the aliases file.
 *
 * It is a hint that can be lost: what an alias says is read in the aliases
 * file itself, an index of another one than the session has open is not used,
 * and a page that is not what the queue wrote (C23) means that all of the file
 * is read.
 *
 * Pages of 512 octets; numbers as this host has them, for no other reads it.
 * The first is the header.  In the others names are where their hash says, or
 * in one of the next pages when that one is full.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "privsep/log.h"
#include "smtpd/aliases.h"

#define INDEX_NAME	"aliases.index"
#define INDEX_NEW	"aliases.index.new"
#define INDEX_MAGIC	0x31786c6150747350u
#define PAGE_ENTRIES	42
#define PAGE_USUAL	21		/* entries on average */

struct index_entry {
	uint32_t	hash;		/* of the name */
	uint32_t	offset;		/* of the entry in the aliases file */
	uint32_t	length;
};

struct index_page {
	uint32_t		check;
	uint32_t		count;
	struct index_entry	entries[PAGE_ENTRIES];
};

struct index_header {
	uint64_t	magic;
	uint64_t	file[7];	/* the aliases file, as stat(2) has it */
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

static uint32_t
name_hash(const char *name, size_t len)
{
	return hash_of(name, len, 2166136261u);
}

/* Of a page that has its place: moved, it is none. */
static uint32_t
page_check(const struct index_page *page, uint32_t number)
{
	return hash_of(&page->count, sizeof(*page) - sizeof(page->check),
	    name_hash((const char *)&number, sizeof(number)));
}

static uint32_t
header_check(const struct index_header *h)
{
	return name_hash((const char *)h, offsetof(struct index_header,
	    check));
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
    const struct alias *alias)
{
	uint32_t hash = name_hash(alias->name, strlen(alias->name));
	struct index_page *page = &pages[hash % page_count];

	while (page->count == PAGE_ENTRIES)
		page = page + 1 == pages + page_count ? pages : page + 1;
	page->entries[page->count++] = (struct index_entry){
		.hash = hash, .offset = (uint32_t)alias->offset,
		.length = (uint32_t)alias->length
	};
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
write_file(int dir, const struct index_header *header,
    const struct index_page *pages)
{
	int fd, result = -1;

	(void)unlinkat(dir, INDEX_NEW, 0);
	fd = openat(dir, INDEX_NEW, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600);
	if (fd == -1)
		return -1;
	if (write_all(fd, header, sizeof(*header)) == 0 &&
	    write_all(fd, pages, header->pages * sizeof(*pages)) == 0 &&
	    renameat(dir, INDEX_NEW, dir, INDEX_NAME) == 0)
		result = 0;
	close(fd);
	return result;
}

int
aliases_index_write(const struct aliases_file *file, int dir)
{
	const struct aliases *aliases = &file->aliases;
	struct index_header header;
	struct index_page *pages;
	uint32_t count, i;
	int result;

	if (file->state != ALIASES_GOOD ||
	    file->seen.st_size < ALIASES_INDEX_MIN)
		return 0;
	count = (uint32_t)(aliases->count / PAGE_USUAL) + 1;
	pages = calloc(count, sizeof(*pages));
	if (pages == NULL)
		return -1;
	for (i = 0; i < aliases->count; i++)
		put_entry(pages, count, &aliases->entries[i]);
	for (i = 0; i < count; i++)
		pages[i].check = page_check(&pages[i], i);
	header_make(&header, &file->seen, count);
	result = write_file(dir, &header, pages);
	free(pages);
	return result;
}

void
aliases_index_open(struct aliases_file *file, int dir)
{
	file->index = openat(dir, INDEX_NAME,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

int
aliases_index_is_of(const struct aliases_file *file, const struct stat *st)
{
	struct index_header have, want;

	if (file->index == -1 || st->st_size < ALIASES_INDEX_MIN ||
	    pread(file->index, &have, sizeof(have), 0) != sizeof(have))
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

/* One entry of the aliases file, parsed: 1 if it has that name, 0, or -1. */
static int
read_entry(struct aliases_file *file, const struct index_entry *entry,
    const char *name)
{
	char *text;
	int result = -1;

	if (entry->length > ALIASES_FILE_MAX)
		return -1;
	text = malloc(entry->length + 1);
	if (text == NULL)
		return -1;
	aliases_free(&file->aliases);
	if (pread(file->held, text, entry->length, entry->offset) ==
	    (ssize_t)entry->length && aliases_parse(&file->aliases, text,
	    entry->length, file->path, file->config, file->report) == 0)
		result = aliases_find(&file->aliases, name) != NULL;
	free(text);
	return result;
}

int
aliases_index_find(struct aliases_file *file, const char *name)
{
	struct index_header header;
	struct index_page page;
	uint32_t hash, number, i, tries;
	int found;

	if (pread(file->index, &header, sizeof(header), 0) != sizeof(header) ||
	    header.pages == 0 || header.check != header_check(&header))
		return -1;
	hash = name_hash(name, strlen(name));
	number = hash % header.pages;
	for (tries = 0; tries < header.pages; tries++) {
		if (read_page(file->index, number, &page) == -1)
			return -1;
		for (i = 0; i < page.count; i++) {
			if (page.entries[i].hash != hash)
				continue;
			found = read_entry(file, &page.entries[i], name);
			if (found != 0)
				return found;
		}
		if (page.count < PAGE_ENTRIES)
			break;
		number = (number + 1) % header.pages;
	}
	aliases_free(&file->aliases);
	return 0;
}
