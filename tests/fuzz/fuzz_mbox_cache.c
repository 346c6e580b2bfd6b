/* LINK: MAILBOX */
/* LIBS: -lmd */
/*
 * fuzz_mbox_cache: any file in the place of a kept index, as it is and with
 * its sum made right: what it says is possible.
 */
#include <stdlib.h>
#include <string.h>

#include "mailbox/mbox_cache.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
must(int condition)
{
	if (!condition)
		abort();
}

static void
read_all(const uint8_t *data, size_t size)
{
	struct mbox_cache c;
	uint64_t at, count = 0;
	int r;

	if (mbox_cache_begin(&c, data, size) == -1)
		return;
	at = c.first;
	while ((r = mbox_cache_next(&c)) == 1) {
		must(c.entry.from == at);
		must(c.entry.space <= c.identity.size - at);
		must(c.entry.from_len <= MBOX_FROM_MAX &&
		    c.entry.from_len + c.entry.length <= c.entry.space);
		must(c.entry.octets <= 2 * c.entry.length + 4);
		at += c.entry.space;
		must(++count <= size / 39);
	}
	if (r == 0)
		must(c.left == 0 && c.p == c.end && at == c.identity.size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;
	uint64_t sum;
	int i;

	read_all(data, size);
	if (size < 8)
		return 0;
	copy = malloc(size);
	must(copy != NULL);
	memcpy(copy, data, size);
	sum = mbox_cache_sum(copy, size - 8);
	for (i = 0; i < 8; i++)
		copy[size - 8 + (size_t)i] = (uint8_t)(sum >> (8 * i));
	read_all(copy, size);
	free(copy);
	return 0;
}
