/*
 * mbox_journal: what ~/.postern remembers of a change to an mbox that a crash
 * may cut short.  Two kinds of file: "expunge.INODE", a rewrite's journal, and
 * "begun.ID", one delivery's intent.  Both are binary, little-endian, and
 * end in a check; here they are encoded and strictly decoded, as pure
 * functions.
 *
 * A device's number may be another after a restart, so the inode names an
 * mbox; and before anything is done to it, it must look like the one meant.
 */
#ifndef MAILBOX_MBOX_JOURNAL_H
#define MAILBOX_MBOX_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

/* A rewrite. */

#define JOURNAL_FIXED		64	/* octets of a journal's fixed part */
#define JOURNAL_RANGE		24	/* of each range that follows it */
#define JOURNAL_CHECK		8
#define JOURNAL_SLOT		64	/* of a slot before its window */
#define JOURNAL_WINDOW_MIN	4096
#define JOURNAL_WINDOW_MAX	(1024 * 1024)
#define JOURNAL_RANGES_MAX	(8 * 1024 * 1024)
#define JOURNAL_SAMPLE		64	/* octets of a range that are hashed */

/* What stays, behind the first octet that goes. */
struct journal_range {
	uint64_t	offset;
	uint64_t	length;
	uint64_t	sample;		/* hash of its last octets */
};

struct journal {
	uint64_t	 ino;
	uint64_t	 size;		/* of the mbox before */
	uint64_t	 begin;		/* the first octet that goes */
	uint64_t	 kept;		/* sum of the ranges' lengths */
	uint64_t	 window;	/* octets moved at a time */
	uint32_t	 count;
	struct journal_range *ranges;	/* rising; malloc'd */
};

/*
 * A step.  Of the kept octets, those before pos are where they belong; those
 * from pos on, so many as length says, stand in the journal behind the slot.
 * With length 0 all are, and what is left to do is to cut the file off.
 */
struct journal_slot {
	uint64_t	number;		/* of the step, from 1 */
	uint64_t	pos;
	uint64_t	length;
	uint64_t	size;		/* of the mbox now, uncut */
	uint64_t	tail;		/* hash of what is behind the place of
					 * these octets; in the last step that
					 * is what goes */
};

/* Octets of a head with so many ranges. */
size_t	journal_head_size(uint32_t count);
/* Where the slot of this step is: there are two, by turns. */
uint64_t journal_slot_at(const struct journal *, uint64_t number);
/* data has journal_head_size() octets. */
void	journal_put(const struct journal *, uint8_t *data);
/* The number of ranges that a head's fixed part says, or 0. */
uint32_t journal_count(const uint8_t fixed[JOURNAL_FIXED]);
/* 0, and ranges is the caller's; -1 with EBADMSG or ENOMEM. */
int	journal_get(struct journal *, const uint8_t *data, size_t len);

/* window: the octets that the slot is about. */
void	journal_slot_put(const struct journal *, const struct journal_slot *,
	    const uint8_t *window, uint8_t data[JOURNAL_SLOT]);
/* 0 or -1: not possible; the window is to be looked at by journal_slot_is. */
int	journal_slot_get(const struct journal *, struct journal_slot *,
	    const uint8_t data[JOURNAL_SLOT]);
int	journal_slot_is_whole(const struct journal *,
	    const struct journal_slot *, const uint8_t *window,
	    const uint8_t data[JOURNAL_SLOT]);

/* A delivery. */

#define INTENT_PREFIX	256
#define INTENT_SIZE	(64 + INTENT_PREFIX)

struct intent {
	uint64_t	ino;
	uint64_t	start;		/* size of the mbox before */
	uint64_t	length;		/* octets to be added */
	uint64_t	hash;		/* of them */
	uint32_t	has_nul;	/* one of them is a NUL */
	uint32_t	prefix_len;	/* the first of them */
	uint8_t		prefix[INTENT_PREFIX];
};

void	intent_put(const struct intent *, uint8_t data[INTENT_SIZE]);
int	intent_get(struct intent *, const uint8_t *data, size_t len);

/* FNV-1a: finds what a crash has torn, and needs no secret. */
#define JOURNAL_HASH_START	UINT64_C(0xcbf29ce484222325)
uint64_t journal_hash(uint64_t hash, const void *data, size_t len);

#endif
