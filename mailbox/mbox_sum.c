/*
 * mbox_sum: FNV-1a of 64 bits, of several texts at once.
 *
 * Runs in agents, as the user whose mail it is; touches the memory that it is
 * given.
 *
 * Each octet's multiplication waits for the one before it, and so most of a
 * processor idles.  With several texts in turn there is something to do
 * meanwhile.
 */
#include "mbox_sum.h"

#define LANES	4		/* the multiplications that wait, or so */
#define PRIME	UINT64_C(0x100000001b3)

uint64_t
mbox_sum(uint64_t sum, const uint8_t *p, size_t len)
{
	const uint8_t *end = p + len;

	for (; p < end; p++)
		sum = (sum ^ *p) * PRIME;
	return sum;
}

/* So many octets of each of the lanes. */
static void
advance(struct mbox_summed *const lane[LANES], size_t len)
{
	uint64_t a = *lane[0]->sum, b = *lane[1]->sum;
	uint64_t c = *lane[2]->sum, d = *lane[3]->sum;
	size_t i;

	for (i = 0; i < len; i++) {
		a = (a ^ lane[0]->p[i]) * PRIME;
		b = (b ^ lane[1]->p[i]) * PRIME;
		c = (c ^ lane[2]->p[i]) * PRIME;
		d = (d ^ lane[3]->p[i]) * PRIME;
	}
	*lane[0]->sum = a;
	*lane[1]->sum = b;
	*lane[2]->sum = c;
	*lane[3]->sum = d;
	for (i = 0; i < LANES; i++) {
		lane[i]->p += len;
		lane[i]->len -= len;
	}
}

void
mbox_sum_all(struct mbox_summed *text, size_t count)
{
	struct mbox_summed *lane[LANES], *end = text + count;
	size_t used = 0, i, shortest;

	for (;;) {
		for (i = used; i-- > 0; )
			if (lane[i]->len == 0)
				lane[i] = lane[--used];
		for (; used < LANES && text < end; text++)
			if (text->len > 0)
				lane[used++] = text;
		if (used < LANES)
			break;
		shortest = lane[0]->len;
		for (i = 1; i < LANES; i++)
			if (lane[i]->len < shortest)
				shortest = lane[i]->len;
		advance(lane, shortest);
	}
	for (i = 0; i < used; i++)
		*lane[i]->sum = mbox_sum(*lane[i]->sum, lane[i]->p,
		    lane[i]->len);
}
