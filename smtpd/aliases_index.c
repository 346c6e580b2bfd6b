/*
 * aliases_index: a file of names read by its index (name_index.h): one entry
 * at a time.
 *
 * Runs in the queue, which writes the index when it has read a new file, and
 * in session agents, which look names up; both as queue-user.  Touches the
 * index in the spool, and reads the file.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smtpd/aliases.h"
#include "smtpd/name_index.h"

static const char *const index_names[] = {
	[NAMES_ALIASES] = "aliases.index",
	[NAMES_DOMAIN_MAP] = "domain-map.index",
	[NAMES_RECIPIENTS] = "relay-recipients.index",
};

/* A domain's place is that of one of its addresses. */
static uint32_t
domain_hash(const char *domain)
{
	char name[ALIASES_KEY_MAX + 2];

	snprintf(name, sizeof(name), "@@%s", domain);
	return name_index_hash(name);
}

static void
put(struct name_index_entry *to, uint32_t hash, const struct alias *alias)
{
	*to = (struct name_index_entry){
		.hash = hash, .offset = (uint32_t)alias->offset,
		.length = (uint32_t)alias->length
	};
}

int
aliases_index_write(const struct aliases_file *file, int dir)
{
	const struct aliases *a = &file->aliases;
	struct name_index_entry *entries;
	size_t i, n = 0;
	int result;

	if (file->state != ALIASES_GOOD ||
	    file->seen.st_size < ALIASES_INDEX_MIN)
		return 0;
	entries = calloc(a->count + a->domain_count + 1, sizeof(*entries));
	if (entries == NULL)
		return -1;
	for (i = 0; i < a->count; i++)
		put(&entries[n++], name_index_hash(a->entries[i].name),
		    &a->entries[i]);
	for (i = 0; i < a->domain_count; i++)
		put(&entries[n++], domain_hash(a->domains[i].name),
		    &a->entries[a->domains[i].entry]);
	result = name_index_write(dir, index_names[file->kind], &file->seen,
	    entries, n);
	free(entries);
	return result;
}

void
aliases_index_open(struct aliases_file *file, int dir)
{
	if (file->held != -1)
		file->index = name_index_open(dir, index_names[file->kind]);
}

int
aliases_index_is_of(const struct aliases_file *file, const struct stat *st)
{
	return st->st_size >= ALIASES_INDEX_MIN &&
	    name_index_is_of(file->index, st);
}

/* What is looked for, in which file. */
struct search {
	struct aliases_file	*file;
	const char		*name;		/* or NULL */
	const char		*domain;
};

/* One entry of the file, parsed: 1 if it is the one, 0, or -1. */
static int
read_entry(void *arg, const struct name_index_entry *entry)
{
	const struct search *s = arg;
	struct aliases_file *file = s->file;
	char *text;
	int result = -1;

	if (entry->length > ALIASES_FILE_MAX)
		return -1;
	text = malloc(entry->length + 1);
	if (text == NULL)
		return -1;
	aliases_free(&file->aliases);
	if (pread(file->held, text, entry->length, entry->offset) ==
	    (ssize_t)entry->length && aliases_parse_as(&file->aliases,
	    file->kind, text, entry->length, file->path, file->config,
	    file->report) == 0)
		result = s->name != NULL ?
		    aliases_find(&file->aliases, s->name) != NULL :
		    aliases_find_domain(&file->aliases, s->domain);
	free(text);
	return result;
}

int
aliases_index_find(struct aliases_file *file, const char *name)
{
	struct search s = { .file = file, .name = name };
	int found = name_index_find(file->index, name_index_hash(name),
	    read_entry, &s);

	if (found == 0)
		aliases_free(&file->aliases);
	return found;
}

int
aliases_index_find_domain(struct aliases_file *file, const char *domain)
{
	struct search s = { .file = file, .domain = domain };

	return name_index_find(file->index, domain_hash(domain), read_entry,
	    &s);
}
