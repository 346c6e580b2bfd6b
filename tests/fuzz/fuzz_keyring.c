/* LINK: privsep/keyring */
/*
 * A role's decoder of its keyring on any octets.  What it accepts must be,
 * octet for octet, what is written from the ring that came of it.
 */
#include <stdlib.h>
#include <string.h>

#include "privsep/keyring_layout.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct {
	const uint8_t	*data;
	size_t		 pos, size;
} seen;

static void
expect(const void *octets, size_t n)
{
	if (n > seen.size - seen.pos ||
	    memcmp(seen.data + seen.pos, octets, n) != 0)
		abort();
	seen.pos += n;
}

static void
expect_number(size_t v)
{
	uint8_t le[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
	    (uint8_t)(v >> 24) };

	expect(le, sizeof(le));
}

static void
expect_text(const char *s)
{
	expect_number(strlen(s));
	expect(s, strlen(s));
}

static void
expect_here(const char *octets, size_t n)
{
	if ((const uint8_t *)octets != seen.data + seen.pos)
		abort();
	expect(octets, n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct keyring ring;
	size_t i;
	int has_keys;

	if (keyring_decode(data, size, &ring) == -1) {
		if (ring.count != 0)
			abort();
		return 0;
	}
	seen.data = data;
	seen.pos = 0;
	seen.size = size;
	has_keys = ring.pairs[0].key != NULL;
	expect_number(KEYRING_MAGIC);
	expect_number((size_t)has_keys);
	expect_number(ring.count);
	for (i = 0; i < ring.count; i++) {
		expect_text(ring.pairs[i].name);
		expect_text(ring.pairs[i].chain_file);
		expect_text(ring.pairs[i].key_file);
		expect_number(ring.pairs[i].chain_len);
		expect_number(ring.pairs[i].key_len);
	}
	expect_number(KEYRING_END);
	for (i = 0; i < ring.count; i++) {
		expect_here(ring.pairs[i].chain, ring.pairs[i].chain_len);
		if (has_keys)
			expect_here(ring.pairs[i].key, ring.pairs[i].key_len);
	}
	if (seen.pos != size || ring.map != NULL)
		abort();
	return 0;
}
