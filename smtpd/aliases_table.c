/*
 * aliases_table: what was parsed, sorted, and the look-up in it.
 *
 * Runs in the session agent, in delivery agents and in the queue; touches
 * nothing but memory.
 */
#include <stdlib.h>
#include <string.h>

#include "smtpd/aliases.h"

static int
by_name(const void *left, const void *right)
{
	const struct alias *a = left, *b = right;
	int order = strcmp(a->name, b->name);

	if (order != 0)
		return order;
	return a->line < b->line ? -1 : a->line > b->line;
}

void
aliases_sort(struct aliases *a, const char *path, aliases_report report)
{
	size_t i, kept = 0;

	if (a->count == 0)
		return;
	qsort(a->entries, a->count, sizeof(*a->entries), by_name);
	for (i = 1; i < a->count; i++) {
		if (strcmp(a->entries[i].name, a->entries[kept].name) == 0)
			report(path, a->entries[i].line,
			    "this name is set above already");
		else
			a->entries[++kept] = a->entries[i];
	}
	a->count = kept + 1;
}

static int
by_domain(const void *left, const void *right)
{
	const struct alias_domain *a = left, *b = right;

	return strcmp(a->name, b->name);
}

int
aliases_list_domains(struct aliases *a)
{
	struct alias_domain *d = calloc(a->count + 1, sizeof(*d));
	size_t i, kept = 0;

	if (d == NULL)
		return -1;
	a->domains = d;
	for (i = 0; i < a->count; i++) {
		d[i].name = address_key_domain(a->entries[i].name);
		d[i].entry = i;
	}
	qsort(d, a->count, sizeof(*d), by_domain);
	for (i = 0; i < a->count; i++)
		if (i == 0 || by_domain(&d[kept - 1], &d[i]) != 0)
			d[kept++] = d[i];
	a->domain_count = kept;
	return 0;
}

void
aliases_free(struct aliases *aliases)
{
	free(aliases->entries);
	free(aliases->targets);
	free(aliases->domains);
	free(aliases->text);
	memset(aliases, 0, sizeof(*aliases));
}

int
aliases_key(const char *name, char key[ALIASES_KEY_MAX])
{
	size_t i;

	if (strlcpy(key, name, ALIASES_KEY_MAX) >= ALIASES_KEY_MAX)
		return -1;
	for (i = 0; key[i] != '\0'; i++)
		if (key[i] >= 'A' && key[i] <= 'Z')
			key[i] = (char)(key[i] - 'A' + 'a');
	return 0;
}

const struct alias *
aliases_find(const struct aliases *aliases, const char *name)
{
	char key[ALIASES_KEY_MAX];
	size_t low = 0, high = aliases->count, middle;
	int order;

	if (aliases_key(name, key) == -1)
		return NULL;
	while (low < high) {
		middle = low + (high - low) / 2;
		order = strcmp(key, aliases->entries[middle].name);
		if (order == 0)
			return &aliases->entries[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

int
aliases_find_domain(const struct aliases *aliases, const char *domain)
{
	const struct alias_domain key = { .name = domain };

	return aliases->domain_count > 0 && bsearch(&key, aliases->domains,
	    aliases->domain_count, sizeof(key), by_domain) != NULL;
}

const struct target *
aliases_target(const struct aliases *aliases, const struct alias *alias,
    size_t i)
{
	return &aliases->targets[alias->first + i];
}
