/*
 * sha256: the SHA-256 of a text in memory (FIPS 180-4).
 *
 * Runs in agents, as the user whose mail it is; touches the memory that it is
 * given.
 *
 * libmd has it.  But most processors can do it themselves, five times as fast,
 * and an agent that has to hash 100,000 headers does little else.
 */
#include <string.h>

#include <sha2.h>

#include "sha256.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

#define BLOCK		SHA256_BLOCK_LENGTH
#define LENGTH_SIZE	8	/* octets of the length, in bits, at the end */
#define TARGET		__attribute__((target("sha,sse4.1")))

static const uint32_t start[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
};

static const uint32_t constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5,
	0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
	0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
	0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
	0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
	0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5,
	0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
	0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};

/* The state as the instructions have it: a is the highest, or c. */
struct state {
	__m128i	abef;
	__m128i	cdgh;
};

static int
has_instructions(void)
{
	static int has = -1;
	unsigned int a, b, c, d;

	if (has == -1)
		has = __get_cpuid(1, &a, &b, &c, &d) != 0 &&
		    (c & bit_SSE4_1) != 0 &&
		    __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 &&
		    (b & (1U << 29)) != 0;
	return has;
}

/* Four rounds with these words of the schedule. */
TARGET static inline void
rounds(struct state *s, __m128i words, const uint32_t *k)
{
	words = _mm_add_epi32(words, _mm_loadu_si128((const __m128i *)k));
	s->cdgh = _mm_sha256rnds2_epu32(s->cdgh, s->abef, words);
	words = _mm_shuffle_epi32(words, 0x0e);
	s->abef = _mm_sha256rnds2_epu32(s->abef, s->cdgh, words);
}

/* The next four words, of the last sixteen. */
TARGET static inline __m128i
schedule(__m128i w0, __m128i w1, __m128i w2, __m128i w3)
{
	w0 = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1),
	    _mm_alignr_epi8(w3, w2, 4));
	return _mm_sha256msg2_epu32(w0, w3);
}

TARGET static inline __m128i
load_words(const uint8_t *p)
{
	const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11,
	    4, 5, 6, 7, 0, 1, 2, 3);

	return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)p), swap);
}

TARGET static inline void
add_block(struct state *state, const uint8_t *p)
{
	__m128i w0 = load_words(p), w1 = load_words(p + 16);
	__m128i w2 = load_words(p + 32), w3 = load_words(p + 48);
	struct state s = *state;
	int i;

	for (i = 0; i < 64; i += 16) {
		rounds(&s, w0, constants + i);
		w0 = schedule(w0, w1, w2, w3);
		rounds(&s, w1, constants + i + 4);
		w1 = schedule(w1, w2, w3, w0);
		rounds(&s, w2, constants + i + 8);
		w2 = schedule(w2, w3, w0, w1);
		rounds(&s, w3, constants + i + 12);
		w3 = schedule(w3, w0, w1, w2);
	}
	state->abef = _mm_add_epi32(state->abef, s.abef);
	state->cdgh = _mm_add_epi32(state->cdgh, s.cdgh);
}

TARGET static inline void
load_start(struct state *s)
{
	__m128i low = _mm_loadu_si128((const __m128i *)start);
	__m128i high = _mm_loadu_si128((const __m128i *)(start + 4));

	low = _mm_shuffle_epi32(low, 0xb1);	/* b a d c, from below */
	high = _mm_shuffle_epi32(high, 0x1b);	/* h g f e */
	s->abef = _mm_alignr_epi8(low, high, 8);
	s->cdgh = _mm_blend_epi16(high, low, 0xf0);
}

TARGET static inline void
store_digest(const struct state *s, uint8_t digest[SHA256_SIZE])
{
	__m128i low = _mm_shuffle_epi32(s->abef, 0x1b);	/* a b e f */
	__m128i high = _mm_shuffle_epi32(s->cdgh, 0xb1); /* g h c d */
	uint8_t words[SHA256_SIZE];

	_mm_storeu_si128((__m128i *)words, _mm_blend_epi16(low, high, 0xf0));
	_mm_storeu_si128((__m128i *)(words + 16),
	    _mm_alignr_epi8(high, low, 8));
	_mm_storeu_si128((__m128i *)digest, load_words(words));
	_mm_storeu_si128((__m128i *)(digest + 16), load_words(words + 16));
}

TARGET static void
by_instructions(const uint8_t *p, size_t len, uint8_t digest[SHA256_SIZE])
{
	uint8_t last[2 * BLOCK] = { 0 };
	uint64_t bits = (uint64_t)len * 8;
	struct state s;
	size_t n, i;

	load_start(&s);
	for (; len >= BLOCK; p += BLOCK, len -= BLOCK)
		add_block(&s, p);
	memcpy(last, p, len);
	last[len] = 0x80;
	n = len + 1 + LENGTH_SIZE <= BLOCK ? BLOCK : 2 * BLOCK;
	for (i = 1; i <= LENGTH_SIZE; i++, bits >>= 8)
		last[n - i] = (uint8_t)bits;
	for (i = 0; i < n; i += BLOCK)
		add_block(&s, last + i);
	store_digest(&s, digest);
}

#endif

void
sha256(const void *data, size_t len, uint8_t digest[SHA256_SIZE])
{
	SHA2_CTX hash;

#ifdef __x86_64__
	if (has_instructions()) {
		by_instructions(data, len, digest);
		return;
	}
#endif
	SHA256Init(&hash);
	SHA256Update(&hash, data, len);
	SHA256Final(digest, &hash);
}
