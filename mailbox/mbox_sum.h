/*
 * mbox_sum: FNV-1a of 64 bits, of several texts at once.
 */
#ifndef MAILBOX_MBOX_SUM_H
#define MAILBOX_MBOX_SUM_H

#include <stddef.h>
#include <stdint.h>

#define MBOX_SUM_START	UINT64_C(0xcbf29ce484222325)

/* Of so many octets, going on from the sum of what was before. */
uint64_t	mbox_sum(uint64_t sum, const uint8_t *, size_t);

struct mbox_summed {
	const uint8_t	*p;
	size_t		 len;
	uint64_t	*sum;		/* of what was before; set */
};

/* Of each of them; p and len change. */
void		mbox_sum_all(struct mbox_summed *, size_t count);

#endif
