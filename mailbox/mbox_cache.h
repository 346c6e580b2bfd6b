/*
 * mbox_cache: the index of a large mbox as a session left it, in a file in
 * ~/.postern, so that not all of the mbox is read each time it is opened.
 *
 * The file is disposable: whatever is odd about it, it is not there.  What it
 * says is where to look, not what is there: each message is hashed before a
 * client gets it, and all is read before anything is removed.  Who changes
 * what mbox_digest.c hashes or counts changes the number in the first line.
 *
 *	8 octets "PMBOX01\n"
 *	u64 device, inode, size, mtime, ctime (ns) of the mbox
 *	u64 octets before the first message, u64 records
 *	then for each message, in the order of the file:
 *		u64 space, u64 octets, u16 from_len, u8 octets of the empty
 *		line that follows, 20 octets hash
 *	u64 sum of all before.  Little-endian.
 */
#ifndef MAILBOX_MBOX_CACHE_H
#define MAILBOX_MBOX_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "mbox.h"

#define MBOX_CACHE_NAME	"mbox-index"
#define MBOX_CACHE_MAX	(64 * 1024 * 1024)	/* octets; 1.7 million */

/* What the reader has before it; set by mbox_cache_begin(). */
struct mbox_cache {
	const uint8_t		*p;
	const uint8_t		*end;
	uint64_t		 left;		/* records */
	uint64_t		 first;		/* offset of the first message */
	struct mbox_identity	 identity;	/* of the mbox */
	struct mbox_entry	 entry;		/* the last one that was read */
};

/* Begin with a whole file in memory: 0, or -1 it is not one. */
int	mbox_cache_begin(struct mbox_cache *, const uint8_t *, size_t);
/*
 * The next message into entry: 1, 0 at the end, -1 it can't be one.  They lie
 * side by side and, if that ends with 0, fill the mbox.
 */
int	mbox_cache_next(struct mbox_cache *);
/* Tells a torn file, which is all that it is for. */
uint64_t mbox_cache_sum(const uint8_t *, size_t);

/*
 * Fill the index, which is empty, with what is known of an mbox that is now
 * this: 0, and *size is how large it was then, its first message at *first;
 * or -1.  If *is_same, nobody has changed it since.  Otherwise it is likely
 * that what is there now begins with that: the caller looks whether the last
 * of the messages still is where it was.
 */
int	mbox_cache_load(const struct mailbox *, const struct mbox_identity *,
	    struct mbox_index *, uint64_t *first, uint64_t *size,
	    int *is_same);
/* Write down the index, just made from mailbox.known. */
void	mbox_cache_store(const struct mailbox *);
/* It misled us. */
void	mbox_cache_remove(const struct mailbox *);

#endif
