/*
 * What is in a spool's directories, and the end of them: for tests that made
 * one.
 */
#ifndef TESTS_SPOOL_DIRECTORY_H
#define TESTS_SPOOL_DIRECTORY_H

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "smtpd/spool.h"

/* How many files are there, hidden ones left out; all of them may go. */
static inline size_t
count_in(int at, int remove)
{
	struct dirent *entry;
	size_t n = 0;
	DIR *d = fdopendir(openat(at, ".", O_RDONLY | O_DIRECTORY));

	while ((entry = readdir(d)) != NULL) {
		n += entry->d_name[0] != '.';
		if (remove)
			(void)unlinkat(at, entry->d_name, 0);
	}
	closedir(d);
	return n;
}

/* All that is in it, the directories, and what is open of them. */
static inline void
remove_spool(struct spool *spool, int dir)
{
	(void)count_in(spool->incoming, 1);
	(void)count_in(spool->queue, 1);
	(void)count_in(spool->held, 1);
	(void)count_in(spool->failed, 1);
	spool_close(spool);
	(void)unlinkat(dir, "incoming", AT_REMOVEDIR);
	(void)unlinkat(dir, "queue", AT_REMOVEDIR);
	(void)unlinkat(dir, "held", AT_REMOVEDIR);
	(void)unlinkat(dir, "failed", AT_REMOVEDIR);
	close(dir);
}

#endif
