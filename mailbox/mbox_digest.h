/*
 * mbox_digest: size and hash of a message that is read piece by piece.  Only
 * mbox_parse.c and mbox_digest.c include this.
 *
 * What is hashed is gathered while a message is read, and hashed for several
 * messages at once: that is several times as fast (mbox_sum.c).
 */
#ifndef MAILBOX_MBOX_DIGEST_H
#define MAILBOX_MBOX_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "../wire/mbox_filter.h"
#include "../wire/octets.h"
#include "mbox.h"
#include "mbox_sum.h"

#define MBOX_DIGESTS		8	/* messages hashed at once, at most */
#define MBOX_HEADER_HASHED	512	/* octets of the header, at most */

struct mbox_digest {
	struct mbox_filter	filter;
	struct octets		octets;
	uint64_t		sum;	/* of what rest had no room for */
	size_t			header;	/* octets of it that are in text */
	size_t			body;	/* octets of it that are summed */
	size_t			text_len;
	size_t			rest_len;
	/* "From " line, header, size and sum: for SHA-256 */
	uint8_t			text[MBOX_FROM_MAX + 1 + MBOX_HEADER_HASHED +
				    16];
	uint8_t			rest[8192];	/* not worth a SHA-256 */
};

void	mbox_digest_begin(struct mbox_digest *, const uint8_t *from_line,
	    size_t);
/* A further piece of what is stored. */
void	mbox_digest_feed(struct mbox_digest *, const uint8_t *, size_t);
/*
 * The same of a body's lines of which none begins with '>', with so many LFs
 * without a CR before them; possible if mbox_digest_is_plain().
 */
void	mbox_digest_feed_plain(struct mbox_digest *, const uint8_t *, size_t,
	    size_t bare);
int	mbox_digest_is_plain(const struct mbox_digest *);
/* Has the header ended in what was fed? */
int	mbox_digest_has_body(const struct mbox_digest *);
/* Set octets. */
void	mbox_digest_end(struct mbox_digest *, struct mbox_entry *);
/* Of so many that have ended, at most MBOX_DIGESTS: set their hashes. */
void	mbox_digest_hash(struct mbox_digest *, struct mbox_entry *,
	    size_t count);

#endif
