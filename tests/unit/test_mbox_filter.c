/* LINK: wire/mbox_filter */
/*
 * test_mbox_filter: what a client sees of an mbox message, however it is cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/mbox_filter_model.h"
#include "wire/mbox_filter.h"

#define OUT_MAX	(1024 * 1024)

static uint8_t out[OUT_MAX];
static size_t out_len;
static size_t header_len;

static void
take_span(const struct mbox_span *span)
{
	assert_true(span->len <= OUT_MAX - out_len);
	memcpy(out + out_len, span->data, span->len);
	out_len += span->len;
	if (!span->is_body) {
		header_len += span->len;
		assert_int_equal(header_len, out_len);
	}
}

static void
feed(struct mbox_filter *f, const uint8_t *in, size_t len)
{
	struct mbox_span span;
	size_t n, idle = 0;

	while (len > 0) {
		n = mbox_filter_take(f, in, len, &span);
		assert_true(n <= len);
		idle = n == 0 && span.len == 0 ? idle + 1 : 0;
		assert_true(idle < 2);		/* it goes on */
		take_span(&span);
		in += n;
		len -= n;
	}
}

static void
begin(struct mbox_filter *f)
{
	mbox_filter_init(f);
	out_len = header_len = 0;
}

static void
finish(struct mbox_filter *f)
{
	struct mbox_span span;

	mbox_filter_end(f, &span);
	take_span(&span);
	mbox_filter_end(f, &span);
	assert_int_equal(span.len, 0);
}

/* Cut at two places: every pair of them for what is short. */
static void
check(const char *in, size_t len, const char *want, size_t want_len,
    size_t want_header)
{
	const uint8_t *p = (const uint8_t *)in;
	struct mbox_filter f;
	size_t a, b, i;

	for (a = 0; a <= len; a++)
		for (b = a; b <= len; b++) {
			begin(&f);
			feed(&f, p, a);
			feed(&f, p + a, b - a);
			feed(&f, p + b, len - b);
			finish(&f);
			assert_int_equal(out_len, want_len);
			assert_memory_equal(out, want, want_len);
			assert_int_equal(header_len, want_header);
		}
	begin(&f);
	for (i = 0; i < len; i++)
		feed(&f, p + i, 1);
	finish(&f);
	assert_int_equal(out_len, want_len);
	assert_memory_equal(out, want, want_len);
	assert_int_equal(header_len, want_header);
}

struct example {
	const char	*in;
	const char	*want;
	int		 header;	/* octets of it; -1: all */
};

static void
check_all(const struct example *e, size_t count)
{
	size_t i, n;

	for (i = 0; i < count; i++) {
		n = strlen(e[i].want);
		check(e[i].in, strlen(e[i].in), e[i].want, n,
		    e[i].header == -1 ? n : (size_t)e[i].header);
	}
}
#define CHECK(examples)	check_all(examples, sizeof(examples) / \
			    sizeof((examples)[0]))

static void
test_fields(void **state)
{
	static const struct example examples[] = {
		{ "", "", -1 },
		{ "Status: RO\n\nx\n", "\nx\n", 1 },
		{ "A: b\nStatus: RO\nC: d\n\nx\n", "A: b\nC: d\n\nx\n", 11 },
		{ "A: b\nSTATUS:\nx-status: A\nX-UID: 7\nX-Keywords: k\n"
		    "X-IMAP: 1 2\nX-IMAPbase: 1 2\nContent-Length: 9\n"
		    "Lines: 1\n\nx\n", "A: b\n\nx\n", 6 },
		{ "Status: a\n folded\n\tmore\nB: c\n d\n\n",
		    "B: c\n d\n\n", -1 },
		{ "Status: a\r\n folded\r\nB: c\r\n\r\nx\r\n",
		    "B: c\r\n\r\nx\r\n", 8 },
		{ "Statu: a\nStatuss: b\nX-Stat: c\nX: d\nL: e\n"
		    "Content-Type: f\nX-IMAPbas: g\n\n",
		    "Statu: a\nStatuss: b\nX-Stat: c\nX: d\nL: e\n"
		    "Content-Type: f\nX-IMAPbas: g\n\n", -1 },
		{ "Status : a\n\n", "Status : a\n\n", -1 },
		{ "A: b\n\nStatus: body\nLines: 5\n",
		    "A: b\n\nStatus: body\nLines: 5\n", 6 },
		{ "A: b\nStatus: end", "A: b\n", -1 },
		{ "A: b\nStatus", "A: b\nStatus", -1 },
		{ "A: b\n ", "A: b\n ", -1 },
		{ "X-Status:\n", "", -1 }
	};

	(void)state;
	CHECK(examples);
}

static void
test_header_ends(void **state)
{
	static const struct example examples[] = {
		{ "no field\nStatus: x\n", "no field\nStatus: x\n", 3 },
		{ " leading\nStatus: x\n", " leading\nStatus: x\n", 0 },
		{ ": x\nStatus: x\n", ": x\nStatus: x\n", 0 },
		{ "A: b\ntext\nLines: x\n", "A: b\ntext\nLines: x\n", 9 },
		{ "A: b\n\x80\nLines: x\n", "A: b\n\x80\nLines: x\n", 5 },
		{ "\nStatus: x\n", "\nStatus: x\n", 1 },
		{ "\r\nStatus: x\n", "\r\nStatus: x\n", 2 },
		{ "A: b\n\rStatus: x\nLines: y\n",
		    "A: b\n\rStatus: x\nLines: y\n", 6 },
		{ "A: b\r\n\r", "A: b\r\n\r", -1 },
		/* Old programs leave such lines in a header. */
		{ ">From a b\nStatus: x\nA: b\n\n", "From a b\nA: b\n\n",
		    -1 },
		{ "A: b\nFrom a b\nStatus: x\nC: d\n\n",
		    "A: b\nFrom a b\nC: d\n\n", -1 },
		{ "Status: x\nFrom a\n b\n\n", "From a\n b\n\n", -1 }
	};

	(void)state;
	CHECK(examples);
}

static void
test_quotes(void **state)
{
	static const struct example examples[] = {
		{ "A: b\n\n>From x\n", "A: b\n\nFrom x\n", 6 },
		{ "\n>From x\n>>From y\n>>>From \n>>>>F\n",
		    "\nFrom x\n>From y\n>>From \n>>>>F\n", 1 },
		{ "\nFrom x\n", "\nFrom x\n", 1 },
		{ "\n>From\n>from x\n> From x\n>Fro",
		    "\n>From\n>from x\n> From x\n>Fro", 1 },
		{ "\nx>From y\n\n >From y\n", "\nx>From y\n\n >From y\n", 1 },
		{ "\n>From ", "\nFrom ", 1 },
		{ "\n>From x\r\n>From y\r\n", "\nFrom x\r\nFrom y\r\n", 1 },
		{ "\n>\n>>\n>", "\n>\n>>\n>", 1 },
		{ "\n\n\n>From x\n\n", "\n\n\nFrom x\n\n", 1 },
		{ "A: b\n>>From : c\nD: e\n\n",
		    "A: b\n>From : c\nD: e\n\n", -1 },
		{ ">Field: x\n\n", ">Field: x\n\n", -1 }
	};

	(void)state;
	CHECK(examples);
}

static void
test_octets(void **state)
{
	static const char nul[] = "A: b\0c\nStatus\0: d\n\n\0>From x\n"
	    ">From \0\n";
	static const char want[] = "A: b\0c\nStatus\0: d\n\n\0>From x\n"
	    "From \0\n";
	static const char eight[] = "S\xc3\xa4: b\nLines: 1\n";

	(void)state;
	check(nul, sizeof(nul) - 1, want, sizeof(want) - 1, 13);
	check(eight, sizeof(eight) - 1, eight, sizeof(eight) - 1, 1);
}

/* Lines longer than any buffer; all that is hidden; all that is quoted. */
static void
test_long(void **state)
{
	static uint8_t in[OUT_MAX], want[OUT_MAX];
	size_t steps[] = { 1, 7, 64, 4096, 65536, OUT_MAX }, i, at, n;
	size_t want_len, len = sizeof(in);
	struct mbox_filter f;

	(void)state;
	memset(in, 'x', len);
	memcpy(in, "Status: ", 8);
	memcpy(in + 200000, "\n ", 2);
	memcpy(in + 300000, "\nA: ", 4);
	memcpy(in + 400000, "\n\n", 2);
	memset(in + 400002, '>', 100000);
	memcpy(in + 500002, "From ", 5);
	memset(in + 600000, '\n', 100000);
	memset(in + 700000, '>', 100000);
	want_len = model_filter(in, len, want);
	assert_int_equal(want_len, len - 300001 - 1);
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		begin(&f);
		for (at = 0; at < len; at += n) {
			n = steps[i] < len - at ? steps[i] : len - at;
			feed(&f, in + at, n);
		}
		finish(&f);
		assert_int_equal(out_len, want_len);
		assert_memory_equal(out, want, want_len);
	}
}

/* Messages of what matters, at random, cut at random, against the model. */
static void
test_random(void **state)
{
	static const char *const pieces[] = {
		"\n", "\r\n", "\r", ">", "From ", "Fro", "Status:", "status",
		"Lines: 1\n", "X-", "IMAP", "base:", " ", "\t", ":", "A: b\n",
		"\n\n", ">From ", "x", "\xff", "Content-", "Length:"
	};
	struct mbox_filter f;
	uint8_t in[400], want[400];
	size_t len, want_len, at, n, round, i, longest;
	const char *piece;

	(void)state;
	srandom(4);
	for (round = 0; round < 200000; round++) {
		len = 0;
		for (i = (size_t)random() % 24; i > 0; i--) {
			piece = pieces[(size_t)random() %
			    (sizeof(pieces) / sizeof(pieces[0]))];
			memcpy(in + len, piece, strlen(piece));
			len += strlen(piece);
		}
		want_len = model_filter(in, len, want);
		begin(&f);
		longest = round % 3 == 0 ? sizeof(in) : round % 3 == 1 ? 40 : 9;
		for (at = 0; at < len; at += n) {
			n = (size_t)random() % longest + 1;
			if (n > len - at)
				n = len - at;
			feed(&f, in + at, n);
		}
		finish(&f);
		assert_int_equal(out_len, want_len);
		assert_memory_equal(out, want, want_len);
		assert_int_equal(header_len, model_header);
	}
}

/* For a delivery: fields go, and no quote. */
static void
test_fields_only(void **state)
{
	static const char in[] = "A: b\nStatus: R\n o\n>From x\n>>From \n"
	    "X-UID: 1\n\n>From y\nStatus: R\n>>>From";
	static const char want[] = "A: b\n>From x\n>>From \n\n>From y\n"
	    "Status: R\n>>>From";
	struct mbox_filter f;
	size_t a;

	(void)state;
	for (a = 0; a < sizeof(in); a++) {
		begin(&f);
		mbox_filter_init_fields(&f);
		feed(&f, (const uint8_t *)in, a);
		feed(&f, (const uint8_t *)in + a, sizeof(in) - 1 - a);
		finish(&f);
		assert_int_equal(out_len, sizeof(want) - 1);
		assert_memory_equal(out, want, out_len);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_header_ends),
		cmocka_unit_test(test_quotes),
		cmocka_unit_test(test_octets),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_fields_only),
	};

	return cmocka_run_group_tests_name("test_mbox_filter", tests, NULL,
	    NULL);
}
