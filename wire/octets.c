/*
 * octets: the count of stored content on the wire.
 *
 * Runs in workers as worker-user and in agents as the user whose mailbox it
 * is; touches nothing but the memory that it is given.
 */
#include <string.h>

#include "octets.h"
#include "scan.h"

void
octets_init(struct octets *o)
{
	o->count = 0;
	o->last = '\n';
	o->header = HEADER_LINE_BEGINS;
}

size_t
octets_header(enum octets_header *header, const void *data, size_t len)
{
	const uint8_t *p = data, *end = p + len;

	while (p < end && *header != HEADER_ENDED) {
		if (*header == HEADER_LINE_TEXT) {
			p = memchr(p, '\n', (size_t)(end - p));
			if (p == NULL)
				return len;
			*header = HEADER_LINE_BEGINS;
		} else if (*p == '\n')
			*header = HEADER_ENDED;
		else if (*p == '\r' && *header == HEADER_LINE_BEGINS)
			*header = HEADER_LINE_CR;
		else
			*header = HEADER_LINE_TEXT;
		p++;
	}
	return (size_t)(p - (const uint8_t *)data);
}

void
octets_count(struct octets *o, const void *data, size_t len)
{
	const uint8_t *p = data, *end = p + len;

	if (len == 0)
		return;
	if (o->header != HEADER_ENDED)
		octets_header(&o->header, data, len);
	o->count += len + (p[0] == '\n' && o->last != '\r') +
	    scan_count_bare(p + 1, end, '\r', '\n');
	o->last = end[-1];
}

uint64_t
octets_total(const struct octets *o)
{
	uint64_t total = o->last == '\n' ? o->count : o->count + 2;

	if (total > 0 && o->header != HEADER_ENDED)
		total += 2;
	return total;
}
