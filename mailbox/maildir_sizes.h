/*
 * maildir_sizes: what messages were counted to, in a file in the Maildir, so
 * that a large one whose names say no sizes is not read through each time it
 * is opened.
 *
 * The file is disposable: whatever is odd about it, it is not there.  A count
 * is believed only of a message whose size and time of change are those that
 * it had when it was counted.  Who changes the rule of wire/octets.h changes
 * the number in the first line.
 *
 *	8 octets "PSIZES1\n", u64 records, then for each, in the index's order:
 *	u64 octets, u64 size, i64 mtime (ns), u8 length, unique part of a name;
 *	at last a u64 sum of all before.  Little-endian.
 */
#ifndef MAILBOX_MAILDIR_SIZES_H
#define MAILBOX_MAILDIR_SIZES_H

#include <stddef.h>
#include <stdint.h>

#include "maildir.h"

#define MAILDIR_SIZES_NAME	"postern.sizes"
#define MAILDIR_SIZES_MAX	(64 * 1024 * 1024)	/* octets; for a million */

/* What the reader has before it; set by maildir_sizes_begin(). */
struct maildir_sizes {
	const uint8_t	*p;
	const uint8_t	*end;
	uint64_t	 left;		/* records */
	char		 name[MAILDIR_NAME_MAX + 1];	/* of entry */
	struct maildir_entry entry;	/* the last record that was read */
};

/* Begin with a whole file in memory: 0, or -1 it is not one. */
int	maildir_sizes_begin(struct maildir_sizes *, const uint8_t *, size_t);
/* The next record into entry: 1, 0 at the end, -1 it can't be one. */
int	maildir_sizes_next(struct maildir_sizes *);
/* Of so many octets, going on from the sum of what was before (0: none). */
uint64_t maildir_sizes_sum(uint64_t sum, const void *, size_t);

/*
 * Give what is known to entries of the index that lack their octets; how many
 * records there were.
 */
size_t	maildir_sizes_load(struct mailbox *);
/* Write down what was counted.  What can't be is counted again next time. */
void	maildir_sizes_store(struct mailbox *);

#endif
