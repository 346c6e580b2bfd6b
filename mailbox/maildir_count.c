/*
 * maildir_count: how many octets a message has on the wire, by its content;
 * and what said something else is taken back.
 *
 * Runs in agents, as the user whose mail it is; reads messages of the Maildir,
 * renames them, and removes the file of sizes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../wire/octets.h"
#include "maildir.h"
#include "maildir_sizes.h"

int64_t
maildir_mtime(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

int
maildir_entry_count(struct mailbox *mb, struct maildir_entry *entry,
    struct stat *st, uint64_t *total)
{
	static uint8_t buffer[64 * 1024];
	struct octets octets;
	ssize_t n;
	int fd, saved;

	fd = maildir_entry_open(mb, entry, st);
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
	*total = octets_total(&octets);
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

int
maildir_recount(struct mailbox *mb, size_t number)
{
	struct maildir_entry *entry;
	uint64_t octets;
	struct stat st;

	if (number >= mb->index.count) {
		errno = EINVAL;
		return -1;
	}
	entry = &mb->index.entries[number];
	if (maildir_entry_count(mb, entry, &st, &octets) == -1)
		return -1;
	if (octets == entry->octets)
		return 0;
	if ((entry->flags & ENTRY_COUNTED) == 0)
		maildir_entry_correct(mb, entry);
	else	/* it was changed, and its time was set back */
		(void)unlinkat(mb->maildir, MAILDIR_SIZES_NAME, 0);
	return 0;
}
