/*
 * mbox_twins: what is remembered of messages that are alike.  Only mbox_uidl.c
 * and mbox_twins.c include this.  Memory is the only thing that can fail.
 */
#ifndef MAILBOX_MBOX_TWINS_H
#define MAILBOX_MBOX_TWINS_H

#include <stddef.h>
#include <stdint.h>

#include "mbox.h"

struct twin_range {
	uint32_t	low;
	uint32_t	high;		/* the last one of it */
};

/* Of one hash: the ordinals in the file, rising. */
struct twin {
	uint8_t			 hash[MBOX_HASH_SIZE];
	uint32_t		 next;	/* above all that were ever given */
	uint32_t		 day;	/* of the last change */
	struct twin_range	*live;
	size_t			 live_count;
	size_t			 live_room;
};

struct twins {
	struct twin	*twin;
	size_t		 count;
	size_t		 room;
	size_t		 sorted;	/* so many are, by hash */
};

/* Take a file's text; lines that are none of ours are left out. */
int		 twins_parse(struct twins *, const char *text);
void		 twins_free(struct twins *);
/* NULL: none; valid until the next twins_add. */
struct twin	*twins_find(struct twins *, const uint8_t *hash);
struct twin	*twins_add(struct twins *, const uint8_t *hash);

/* There are so many in the file: 1 if something changed, else 0; or -1. */
int		 twin_fit(struct twin *, size_t count, uint32_t day);
/* The ordinals one after the other, from { 0 } on. */
struct twin_place {
	size_t		 range;
	uint32_t	 number;	/* in it */
};
uint32_t	 twin_next(const struct twin *, struct twin_place *);
int		 twin_remove(struct twin *, uint32_t ordinal, uint32_t day);

#endif
