/*
 * seen: the ids of the letters that were shown.
 *
 * Runs in postern and in sendmail, as whoever called it; touches memory.
 *
 * 25 octets a letter, at most four times that, and it is the caller's own: the
 * queue does not remember what it has told whom.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "fail.h"
#include "seen.h"

#define FIRST_SIZE	256

/* FNV-1a: ids are the queue's, and differ. */
static size_t
slot_of(const struct seen *s, const char *id)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	size_t at;

	for (at = 0; id[at] != '\0'; at++)
		hash = (hash ^ (unsigned char)id[at]) *
		    UINT64_C(0x100000001b3);
	for (at = (size_t)hash & (s->size - 1); s->slots[at][0] != '\0' &&
	    strcmp(s->slots[at], id) != 0; at = (at + 1) & (s->size - 1))
		;
	return at;
}

static void
grow(struct seen *s)
{
	struct seen larger = { .size = s->size > 0 ? s->size * 2 : FIRST_SIZE };
	size_t i;

	larger.slots = calloc(larger.size, sizeof(*larger.slots));
	if (larger.slots == NULL)
		fail(EX_OSERR, "no memory for so many letters");
	for (i = 0; i < s->size; i++)
		if (s->slots[i][0] != '\0')
			memcpy(larger.slots[slot_of(&larger, s->slots[i])],
			    s->slots[i], QUEUE_ID_MAX);
	larger.count = s->count;
	free(s->slots);
	*s = larger;
}

int
seen_add(struct seen *s, const char *id)
{
	size_t at;

	if (s->count * 2 >= s->size)
		grow(s);
	at = slot_of(s, id);
	if (s->slots[at][0] != '\0')
		return 1;
	strlcpy(s->slots[at], id, sizeof(s->slots[at]));
	s->count += id[0] != '\0';
	return 0;
}

void
seen_clear(struct seen *s)
{
	free(s->slots);
	memset(s, 0, sizeof(*s));
}
