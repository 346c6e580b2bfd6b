/*
 * octets: the count of stored content on the wire.
 *
 * Runs in workers as worker-user and in agents as the user whose mailbox it
 * is; touches nothing but the memory that it is given.
 */
#include <string.h>

#include "octets.h"

void
octets_init(struct octets *o)
{
	o->count = 0;
	o->last = '\n';
}

void
octets_count(struct octets *o, const void *data, size_t len)
{
	const uint8_t *p = data, *end, *lf;
	uint64_t added = 0;
	uint8_t last = o->last;

	if (len == 0)
		return;
	end = p + len;
	while ((lf = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		if (lf > p)
			last = lf[-1];
		if (last != '\r')
			added++;
		last = '\n';
		p = lf + 1;
		if (p == end)
			break;
	}
	o->count += len + added;
	o->last = end[-1];
}

uint64_t
octets_total(const struct octets *o)
{
	return o->last == '\n' ? o->count : o->count + 2;
}
