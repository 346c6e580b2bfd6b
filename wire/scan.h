/*
 * scan: looking through text sixteen octets at a time, for loops in which a
 * call of memchr() for each line would be most of the work.
 *
 * Pure functions of the memory that they are given.  Vectors are the
 * compiler's own, so that they are SSE2, NEON or plain integers, whatever the
 * machine has; only what SSE2 does best in a way of its own is told apart.
 */
#ifndef WIRE_SCAN_H
#define WIRE_SCAN_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define SCAN_STEP	16

typedef uint8_t scan_octets __attribute__((vector_size(SCAN_STEP)));
typedef uint64_t scan_halves __attribute__((vector_size(SCAN_STEP)));

static inline scan_octets
scan_load(const uint8_t *p)
{
	scan_octets v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* The first lane that is not 0; there is one. */
static inline unsigned int
scan_first(scan_octets v)
{
#ifdef __SSE2__
	return (unsigned int)__builtin_ctz((unsigned int)
	    _mm_movemask_epi8((__m128i)v));
#else
	scan_halves h = (scan_halves)v;

	if (h[0] != 0)
		return (unsigned int)__builtin_ctzll(le64toh(h[0])) / 8;
	return 8 + (unsigned int)__builtin_ctzll(le64toh(h[1])) / 8;
#endif
}

static inline int
scan_has(scan_octets v)
{
#ifdef __SSE2__
	return _mm_movemask_epi8((__m128i)v) != 0;
#else
	scan_halves h = (scan_halves)v;

	return (h[0] | h[1]) != 0;
#endif
}

/* All lanes together. */
static inline size_t
scan_total(scan_octets v)
{
	size_t total = 0;
	int i;

	for (i = 0; i < SCAN_STEP; i++)
		total += v[i];
	return total;
}

/* How often b is where a is not before it, in p..end; p[-1] is looked at. */
static inline size_t
scan_count_bare(const uint8_t *p, const uint8_t *end, uint8_t a, uint8_t b)
{
	scan_octets sums;
	size_t count = 0;
	int i;

	while (end - p >= SCAN_STEP) {
		/* A lane is minus one for each, so 255 are few enough. */
		memset(&sums, 0, sizeof(sums));
		for (i = 0; i < 255 && end - p >= SCAN_STEP; i++) {
			sums -= (scan_octets)((scan_load(p) == b) &
			    (scan_load(p - 1) != a));
			p += SCAN_STEP;
		}
		count += scan_total(sums);
	}
	for (; p < end; p++)
		count += p[0] == b && p[-1] != a;
	return count;
}

/* Where a is and b follows, or NULL; p..end. */
static inline const uint8_t *
scan_pair(const uint8_t *p, const uint8_t *end, uint8_t a, uint8_t b)
{
	scan_octets hits, more;

	for (; end - p > 2 * SCAN_STEP; p += 2 * SCAN_STEP) {
		hits = (scan_octets)((scan_load(p) == a) &
		    (scan_load(p + 1) == b));
		more = (scan_octets)((scan_load(p + SCAN_STEP) == a) &
		    (scan_load(p + SCAN_STEP + 1) == b));
		if (!scan_has(hits | more))
			continue;
		return scan_has(hits) ? p + scan_first(hits) :
		    p + SCAN_STEP + scan_first(more);
	}
	for (; end - p > SCAN_STEP; p += SCAN_STEP) {
		hits = (scan_octets)((scan_load(p) == a) &
		    (scan_load(p + 1) == b));
		if (scan_has(hits))
			return p + scan_first(hits);
	}
	for (; end - p > 1; p++)
		if (p[0] == a && p[1] == b)
			return p;
	return NULL;
}

/*
 * Where in p..end a line begins with a or b, or NULL; how many LFs without a CR
 * there are before that is added to *bare.  p[-1] is looked at.
 */
static inline const uint8_t *
scan_lines(const uint8_t *p, const uint8_t *end, uint8_t a, uint8_t b,
    size_t *bare)
{
	scan_octets sums, v, before, hits;
	const uint8_t *hit = NULL;
	int i;

	while (hit == NULL && end - p >= SCAN_STEP) {
		memset(&sums, 0, sizeof(sums));
		for (i = 0; i < 255 && end - p >= SCAN_STEP; i++) {
			v = scan_load(p);
			before = scan_load(p - 1);
			hits = (scan_octets)((before == '\n') &
			    ((v == a) | (v == b)));
			if (scan_has(hits)) {
				hit = end = p + scan_first(hits);
				break;
			}
			sums -= (scan_octets)((v == '\n') &
			    (before != '\r'));
			p += SCAN_STEP;
		}
		*bare += scan_total(sums);
	}
	for (; p < end; p++) {
		if (p[-1] == '\n' && (*p == a || *p == b))
			return p;
		*bare += *p == '\n' && p[-1] != '\r';
	}
	return hit;
}

#endif
