/*
 * mbox_digest: size and hash of a message that is read piece by piece.  Only
 * mbox_parse.c and mbox_digest.c include this.
 */
#ifndef MAILBOX_MBOX_DIGEST_H
#define MAILBOX_MBOX_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include <sha2.h>

#include "../wire/mbox_filter.h"
#include "../wire/octets.h"
#include "mbox.h"

struct mbox_digest {
	struct mbox_filter	filter;
	struct octets		octets;
	SHA2_CTX		hash;
	uint64_t		sum;	/* of what is not worth a SHA-256 */
	size_t			header;	/* octets of it that are hashed */
	size_t			body;	/* octets of it that are summed */
};

void	mbox_digest_begin(struct mbox_digest *, const uint8_t *from_line,
	    size_t);
/* A further piece of what is stored. */
void	mbox_digest_feed(struct mbox_digest *, const uint8_t *, size_t);
/* Has the header ended in what was fed? */
int	mbox_digest_has_body(const struct mbox_digest *);
/* Set octets and hash. */
void	mbox_digest_end(struct mbox_digest *, struct mbox_entry *);

#endif
