/*
 * utf8: the syntax of UTF-8 (RFC 3629, 4).
 *
 * Runs in workers as worker-user; touches nothing but the memory that it is
 * given.
 */
#include <stdint.h>

#include "utf8.h"

/* A first octet says how many follow, and between what the second one is. */
static const struct lead {
	uint8_t	from, to;	/* of the first octet */
	uint8_t	low, high;	/* of the second */
	uint8_t	more;		/* octets behind the first */
} leads[] = {
	{ 0xc2, 0xdf, 0x80, 0xbf, 1 },
	{ 0xe0, 0xe0, 0xa0, 0xbf, 2 },
	{ 0xe1, 0xec, 0x80, 0xbf, 2 },
	{ 0xed, 0xed, 0x80, 0x9f, 2 },	/* no surrogates */
	{ 0xee, 0xef, 0x80, 0xbf, 2 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 3 },
	{ 0xf1, 0xf3, 0x80, 0xbf, 3 },
	{ 0xf4, 0xf4, 0x80, 0x8f, 3 }	/* up to U+10FFFF */
};

static const struct lead *
find_lead(uint8_t octet)
{
	size_t i;

	for (i = 0; i < sizeof(leads) / sizeof(leads[0]); i++)
		if (octet >= leads[i].from && octet <= leads[i].to)
			return &leads[i];
	return NULL;
}

int
utf8_is_valid(const char *s, size_t len)
{
	const uint8_t *p = (const uint8_t *)s, *end = p + len;
	const struct lead *lead;
	size_t i;

	while (p < end) {
		if (*p < 0x80) {
			p++;
			continue;
		}
		lead = find_lead(*p);
		if (lead == NULL || (size_t)(end - p) <= lead->more ||
		    p[1] < lead->low || p[1] > lead->high)
			return 0;
		for (i = 2; i <= lead->more; i++)
			if ((p[i] & 0xc0) != 0x80)
				return 0;
		p += lead->more + 1;
	}
	return 1;
}
