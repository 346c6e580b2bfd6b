/* LINK: MAILBOX */
/* LIBS: -lmd */
/*
 * test_mbox_digest: what names the messages of an mbox.  A client that leaves
 * its mail on the server gets all of it again if this ever changes.
 */
#include <sys/mman.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sha2.h>

#include "mailbox/mbox_digest.h"
#include "mailbox/sha256.h"
#include "tests/mbox_filter_model.h"

#define FROM		"From a@b Mon Nov 23 04:46:20 2026"
#define MESSAGE_ROOM	(300 * 1024)
#define ROUNDS		40

static uint8_t *text;		/* the file */
static size_t text_len;
static size_t count;

/* As it is written down in mbox_digest.c, an octet after the other. */
static void
model_hash(const struct mbox_entry *e, uint8_t hash[SHA256_DIGEST_LENGTH])
{
	const uint8_t *in = text + MBOX_HEADER(e);
	uint8_t *out = malloc(e->length + 1), last[16];
	size_t len = model_filter(in, e->length, out), hashed, i, end;
	uint64_t sum = UINT64_C(14695981039346656037);
	SHA2_CTX ctx;

	assert_non_null(out);
	hashed = model_header < 512 ? model_header : 512;
	end = len < model_header + 1024 ? len : model_header + 1024;
	for (i = hashed; i < end; i++)
		sum = (sum ^ out[i]) * UINT64_C(1099511628211);
	if (len < model_header + 1024 && len > 0 && out[len - 1] != '\n')
		sum = (sum ^ '\n') * UINT64_C(1099511628211);
	for (i = 0; i < 8; i++) {
		last[i] = (uint8_t)(e->octets >> (8 * i));
		last[8 + i] = (uint8_t)(sum >> (8 * i));
	}
	SHA256Init(&ctx);
	SHA256Update(&ctx, (const uint8_t *)FROM "\n", sizeof(FROM));
	SHA256Update(&ctx, out, hashed);
	SHA256Update(&ctx, last, sizeof(last));
	SHA256Final(hash, &ctx);
	free(out);
}

static int
compare(void *arg, const struct mbox_entry *e)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];

	(void)arg;
	model_hash(e, hash);
	assert_memory_equal(e->hash, hash, MBOX_HASH_SIZE);
	count++;
	return 0;
}

static void
put_text(const char *p)
{
	memcpy(text + text_len, p, strlen(p));
	text_len += strlen(p);
}

static void
put_lines(size_t len, unsigned int width)
{
	static const char some[] = "abcdefghij klmno pqrstu>From vwxyz:";
	size_t i;

	for (i = 0; i < len; i++)
		text[text_len++] = i % width == width - 1 ? '\n' :
		    (uint8_t)some[(size_t)random() % (sizeof(some) - 1)];
}

/* Sizes about those at which something else is done with an octet. */
static size_t
some_size(void)
{
	static const size_t near[] = { 0, 1, 64, 512, 1024, 8192 };
	size_t n = near[(size_t)random() % 6] + (size_t)random() % 5;

	if (random() % 4 == 0)
		n += (size_t)random() % 3000;
	if (random() % 100 == 0)
		n += 100 * 1024;
	return n;
}

static void
put_message(void)
{
	size_t n;

	put_text(FROM "\nReceived: x");
	put_lines(some_size(), 1 << 20);
	put_text("\n");
	if (random() % 2 == 0)
		put_text("Status: RO\nSubject: x\nX-UID: 4\n");
	for (n = (size_t)random() % 8; n > 0; n--) {
		put_text("X-Field: ");
		put_lines((size_t)random() % 200, 1 << 20);
		put_text("\n");
	}
	if (random() % 8 == 0)
		put_text("no field, ");
	else
		put_text("\n");
	put_lines(some_size(), 60);
	put_text(random() % 4 == 0 ? "x\n\n" : "\n\n");
}

static void
scan_text(mbox_found found, void *arg)
{
	int fd = memfd_create("mbox", MFD_CLOEXEC);
	uint64_t first;

	assert_int_equal(write(fd, text, text_len), text_len);
	assert_int_equal(mbox_scan(fd, 0, text_len, &first, found, arg), 0);
	close(fd);
}

static void
test_model(void **state)
{
	size_t round, n;

	(void)state;
	srandom(7);
	for (round = 0; round < ROUNDS; round++) {
		text_len = count = 0;
		for (n = 0; n <= round; n++)
			put_message();
		if (round % 3 == 0)
			text_len -= 2;	/* and it ends without a line end */
		scan_text(compare, NULL);
		assert_int_equal(count, round + 1);
	}
}

static int
name(void *arg, const struct mbox_entry *e)
{
	mbox_uidl(e, arg);
	return 0;
}

/* What clients have in their lists since the first version. */
static void
test_known(void **state)
{
	static const struct {
		const char	*text;
		const char	*uidl;
	} known[] = {
		{ FROM "\n",		/* and with its empty line */
		    "12c2a21b51bbff4caf973edf4bb7e1484610c315" },
		{ FROM "\n\n",
		    "12c2a21b51bbff4caf973edf4bb7e1484610c315" },
		{ FROM "\nA: b\n\nx\n",
		    "605d2a2c16b47e7e7b3efdb249d8354c43f2ed6c" },
		{ FROM "\r\nA: b\r\nStatus: RO\r\n\r\n>From x\r\n\r\n",
		    "13ee09f6725365a6e50e887a6da9ad92303170ef" },
		{ FROM "\nno header\n\nat all",
		    "89ee2d858091fd27ef2b0a791ea6397276ea6255" }
	};
	char uidl[UIDL_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		text_len = 0;
		put_text(known[i].text);
		scan_text(name, uidl);
		assert_string_equal(uidl, known[i].uidl);
	}
	/* A header over 512 octets, a body over 1024. */
	text_len = 0;
	put_text(FROM "\nA: ");
	memset(text + text_len, 'a', 700);
	text_len += 700;
	put_text("\n\n");
	memset(text + text_len, 'b', 2000);
	text_len += 2000;
	put_text("\n");
	scan_text(name, uidl);
	assert_string_equal(uidl, "33606ad221f64681c0ef32ce68e567c1972af56c");
}

/* With the processor's own instructions, where it has some, and without. */
static void
test_sha256(void **state)
{
	uint8_t got[SHA256_SIZE], want[SHA256_DIGEST_LENGTH], *p;
	SHA2_CTX ctx;
	size_t len, i;

	(void)state;
	srandom(9);
	for (len = 0; len < 700; len++) {
		p = malloc(len);
		for (i = 0; i < len; i++)
			p[i] = (uint8_t)random();
		SHA256Init(&ctx);
		SHA256Update(&ctx, p, len);
		SHA256Final(want, &ctx);
		sha256(p, len, got);
		assert_memory_equal(got, want, sizeof(got));
		free(p);
	}
}

/* Any lengths, in any order, with nothing at the end of one touched. */
static void
test_sums(void **state)
{
	struct mbox_summed summed[MBOX_DIGESTS];
	uint64_t sums[MBOX_DIGESTS], want[MBOX_DIGESTS];
	uint8_t *p[MBOX_DIGESTS];
	size_t n, i, k, len, round;

	(void)state;
	assert_true(mbox_sum(MBOX_SUM_START, (const uint8_t *)"a", 1) ==
	    UINT64_C(0xaf63dc4c8601ec8c));
	assert_true(mbox_sum(MBOX_SUM_START, (const uint8_t *)"foobar", 6) ==
	    UINT64_C(0x85944171f73967e8));
	srandom(8);
	for (round = 0; round < 2000; round++) {
		n = (size_t)random() % (MBOX_DIGESTS + 1);
		for (i = 0; i < n; i++) {
			len = (size_t)random() % (random() % 3 == 0 ? 2 : 99);
			p[i] = malloc(len);
			for (k = 0; k < len; k++)
				p[i][k] = (uint8_t)random();
			sums[i] = (uint64_t)random();
			want[i] = mbox_sum(sums[i], p[i], len);
			summed[i].p = p[i];
			summed[i].len = len;
			summed[i].sum = &sums[i];
		}
		mbox_sum_all(summed, n);
		for (i = 0; i < n; i++) {
			assert_true(sums[i] == want[i]);
			free(p[i]);
		}
	}
}

static int
setup(void **state)
{
	(void)state;
	text = malloc((size_t)ROUNDS * MESSAGE_ROOM);
	return text == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	free(text);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_sha256),
	};

	return cmocka_run_group_tests_name("test_mbox_digest", tests, setup,
	    teardown);
}
