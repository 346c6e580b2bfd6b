/*
 * name_index: where in a large file of names each name's entry is, so that a
 * session reads one entry and not all of them.
 *
 * It is a hint that can be lost: what an entry says is read in the file itself,
 * an index of another file than the caller has open is not used, and a page
 * that is not what was written (C23) is an error, upon which the caller reads
 * all of the file.
 */
#ifndef SMTPD_NAME_INDEX_H
#define SMTPD_NAME_INDEX_H

#include <sys/stat.h>

#include <stddef.h>
#include <stdint.h>

#define NAME_INDEX_NAME_MAX	64	/* of an index, with its NUL */

struct name_index_entry {
	uint32_t	hash;		/* of the name */
	uint32_t	offset;		/* of the entry in the file */
	uint32_t	length;
};

uint32_t name_index_hash(const char *name);
/*
 * Put it in the place of what is there under that name; it is of the file
 * that this is the status of.  0, or -1 with errno.
 */
int	name_index_write(int dir, const char *index, const struct stat *of,
	    const struct name_index_entry *, size_t count);
/* Open it: a descriptor, or -1 with errno. */
int	name_index_open(int dir, const char *index);
/* Is it one, and of that file? */
int	name_index_is_of(int fd, const struct stat *);
/*
 * Whether there is an entry of that hash that has the name, as try says of
 * each: 1, 0, or -1 (try could not tell, or the index can't be used).
 */
int	name_index_find(int fd, uint32_t hash, int (*try)(void *,
	    const struct name_index_entry *), void *arg);

#endif
