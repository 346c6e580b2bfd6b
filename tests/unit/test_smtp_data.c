/* LINK: smtpd/data */
/*
 * DATA framing (C1): only CR LF dot CR LF ends the data, whatever stands
 * around it and however the stream is cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "smtpd/data.h"
#include "tests/smtp_data_model.h"

/* Feed in[0, len) in pieces cut at a and b; the content to out. */
static size_t
feed(struct data *data, const uint8_t *in, size_t len, size_t a, size_t b,
    uint8_t *out, size_t *outlen)
{
	const size_t cuts[] = { 0, a, b, len };
	size_t i, n, used, total = 0;

	data_init(data, 0);
	*outlen = 0;
	for (i = 0; i < 3; i++) {
		used = data_take(data, in + cuts[i], cuts[i + 1] - cuts[i],
		    out + *outlen, &n);
		*outlen += n;
		total += used;
		if (used < cuts[i + 1] - cuts[i])
			break;
	}
	assert_int_equal(data->octets, total);
	return total;
}

static void
compare(const uint8_t *in, size_t len, size_t a, size_t b)
{
	struct model model;
	struct data data;
	uint8_t out[256], expected[256];
	size_t outlen, used;

	assert_true(len <= sizeof(out));
	model = model_data(in, len, expected);
	used = feed(&data, in, len, a, b, out, &outlen);
	assert_int_equal(data_is_done(&data), model.is_done);
	assert_int_equal(used, model.used);
	if (!model.is_done)
		return;
	assert_int_equal(data.fault != DATA_GOOD, model.is_faulty);
	assert_int_equal(data_fault_text(&data) != NULL, model.is_faulty);
	if (model.is_faulty)
		return;
	assert_int_equal(outlen, model.len);
	assert_memory_equal(out, expected, outlen);
}

static size_t
append(uint8_t *dst, size_t len, const char *text, size_t textlen)
{
	memcpy(dst + len, text, textlen);
	return len + textlen;
}

/* Every such sequence, cut at every place, and octet by octet. */
static void
test_c1_corpus(void **state)
{
	static const struct {
		const char	*text;
		size_t		 len;
	} ends[] = { { "\r", 1 }, { "\n", 1 }, { "\r\n", 2 }, { "\0", 1 },
	    { "", 0 }, { "\n\r", 2 }, { "\r\r\n", 3 } },
	    dots[] = { { ".", 1 }, { "..", 2 }, { "", 0 }, { "x", 1 } };
	uint8_t in[64];
	size_t e[3], d[2], a, len, start;

	(void)state;
	for (start = 0; start < 2; start++)
	for (e[0] = 0; e[0] < 7; e[0]++)
	for (d[0] = 0; d[0] < 4; d[0]++)
	for (e[1] = 0; e[1] < 7; e[1]++)
	for (d[1] = 0; d[1] < 4; d[1]++)
	for (e[2] = 0; e[2] < 7; e[2]++) {
		len = append(in, 0, "a", start);
		len = append(in, len, ends[e[0]].text, ends[e[0]].len);
		len = append(in, len, dots[d[0]].text, dots[d[0]].len);
		len = append(in, len, ends[e[1]].text, ends[e[1]].len);
		len = append(in, len, dots[d[1]].text, dots[d[1]].len);
		len = append(in, len, ends[e[2]].text, ends[e[2]].len);
		len = append(in, len, "b\r\n.\r\nRSET\r\n", 12);
		for (a = 0; a <= len; a++)
			compare(in, len, a, a);
	}
}

/* Every stream of up to seven of the octets that matter, cut twice. */
static void
test_all_short_streams(void **state)
{
	static const char octets[] = { '\r', '\n', '.', 'x', '\0' };
	uint8_t in[16];
	size_t len, i, a, b, n, total;

	(void)state;
	for (len = 0, total = 1; len <= 7; len++, total *= 5)
		for (n = 0; n < total; n++) {
			size_t rest = n;

			for (i = 0; i < len; i++, rest /= 5)
				in[i] = (uint8_t)octets[rest % 5];
			for (a = 0; a <= len; a++)
				for (b = a; b <= len; b += 2)
					compare(in, len, a, b);
		}
}

static void
expect(const char *in, const char *content)
{
	struct data data;
	uint8_t out[256];
	size_t outlen;

	assert_int_equal(feed(&data, (const uint8_t *)in, strlen(in), 0, 0,
	    out, &outlen), strlen(in));
	assert_true(data_is_done(&data));
	assert_null(data_fault_text(&data));
	assert_int_equal(outlen, strlen(content));
	assert_memory_equal(out, content, outlen);
}

static void
test_content(void **state)
{
	(void)state;
	expect(".\r\n", "");
	expect("\r\n.\r\n", "\n");
	expect("a\r\n.\r\n", "a\n");
	expect("..\r\n.\r\n", ".\n");
	expect("...\r\n.\r\n", "..\n");
	expect(".a\r\n.\r\n", "a\n");
	expect(". \r\n.\r\n", " \n");
	expect("a.\r\n.\r\n", "a.\n");
	expect("a\r\n\r\n..b\r\n\r\n.\r\n", "a\n\n.b\n\n");
	expect("\377\200\r\n.\r\n", "\377\200\n");
}

static void
expect_fault(const char *in, size_t len, enum data_fault fault)
{
	struct data data;
	uint8_t out[256];
	size_t outlen;

	assert_int_equal(feed(&data, (const uint8_t *)in, len, 0, 0, out,
	    &outlen), len);
	assert_true(data_is_done(&data));
	assert_int_equal(data.fault, fault);
}

static void
test_faults(void **state)
{
	(void)state;
	expect_fault("a\nb\r\n.\r\n", 8, DATA_BARE_LF);
	expect_fault("a\rb\r\n.\r\n", 8, DATA_BARE_CR);
	expect_fault("a\0b\r\n.\r\n", 8, DATA_NUL);
	expect_fault("\n.\n\r\n.\r\n", 8, DATA_BARE_LF);
	expect_fault("\r\n.\n\r\n.\r\n", 9, DATA_BARE_LF);
	expect_fault("\r\n.\r\r\n.\r\n", 9, DATA_BARE_CR);
	expect_fault("\n.\r\n.\r\n", 7, DATA_BARE_LF);
}

static double
seconds_for(uint8_t *in, size_t len, const char *pattern)
{
	static uint8_t out[16384];
	struct data data;
	clock_t start;
	size_t i, n, piece;

	for (i = 0; i < len; i++)
		in[i] = (uint8_t)pattern[i % strlen(pattern)];
	in[len - 1] = '\n';
	data_init(&data, 0);
	start = clock();
	for (i = 0; i < len; i += piece) {
		piece = len - i < sizeof(out) ? len - i : sizeof(out);
		data_take(&data, in + i, piece, out, &n);
	}
	return (double)(clock() - start) / CLOCKS_PER_SEC;
}

/*
 * C15: no pattern makes us look at octets again and again.  A quadratic search
 * would take minutes here; the bound leaves room for sanitizers.
 */
static void
test_c15_linear(void **state)
{
	const size_t len = 32 * 1024 * 1024;
	uint8_t *in = malloc(len);

	(void)state;
	assert_non_null(in);
	assert_true(seconds_for(in, len, "\r") < 15);
	assert_true(seconds_for(in, len, "\n") < 15);
	assert_true(seconds_for(in, len, "\r\n") < 15);
	assert_true(seconds_for(in, len, "\r\n.") < 15);
	assert_true(seconds_for(in, len, "x") < 15);
	free(in);
}

int
main(void)
{
	const struct CMUnitTest data_tests[] = {
		cmocka_unit_test(test_c1_corpus),
		cmocka_unit_test(test_all_short_streams),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_c15_linear),
	};

	return cmocka_run_group_tests_name("test_smtp_data", data_tests, NULL,
	    NULL);
}
