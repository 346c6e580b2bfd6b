/* LINK: pop3d/content wire/wire wire/octets */
/*
 * test_pop3_content: line ends, byte stuffing and TOP, for every split of the
 * content into pieces.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pop3d/content.h"
#include "wire/octets.h"

static struct wire w;
static char out[256 * 1024];
static size_t out_len;

static ssize_t
capture(struct wire *from, const void *data, size_t len)
{
	(void)from;
	assert_true(len <= sizeof(out) - out_len);
	memcpy(out + out_len, data, len);
	out_len += len;
	return (ssize_t)len;
}

static void
begin(struct content *c)
{
	wire_init(&w, -1, 0);
	w.transport_write = capture;
	out_len = 0;
	content_begin(c, &w, 0);
}

static const struct {
	const char	*in;
	const char	*out;
} cases[] = {
	{ "", "" },
	{ "a", "a\r\n" },
	{ "a\n", "a\r\n" },
	{ "a\r\n", "a\r\n" },
	{ "a\r", "a\r\r\n" },
	{ "a\r\r\n", "a\r\r\n" },
	{ "a\rb\n", "a\rb\r\n" },
	{ "\n", "\r\n" },
	{ "\r\n\n\r\n", "\r\n\r\n\r\n" },
	{ ".", "..\r\n" },
	{ "..", "...\r\n" },
	{ ".\n.\n", "..\r\n..\r\n" },
	{ ".\r\n.x\r\n", "..\r\n..x\r\n" },
	{ "x.\n.y", "x.\r\n..y\r\n" },
	{ "\r.\n", "\r.\r\n" },
	{ "\n\r\n.\n", "\r\n\r\n..\r\n" }
};

static void
test_all_splits(void **state)
{
	struct content c;
	struct octets o;
	const uint8_t *in;
	size_t i, a, b, len;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		in = (const uint8_t *)cases[i].in;
		len = strlen(cases[i].in);
		octets_init(&o);
		octets_count(&o, in, len);
		for (a = 0; a <= len; a++)
			for (b = a; b <= len; b++) {
				begin(&c);
				content_put(&c, in, a);
				content_put(&c, in + a, b - a);
				content_put(&c, in + b, len - b);
				content_end(&c);
				assert_int_equal(wire_flush(&w), WIRE_OK);
				assert_int_equal(out_len,
				    strlen(cases[i].out));
				assert_memory_equal(out, cases[i].out,
				    out_len);
				if (c.octets > 0)
					content_end_header(&c);
				assert_int_equal(c.octets, octets_total(&o));
			}
	}
}

/* As long as it was, in ASCII up to the first empty line, and no further. */
static void
test_surrogate(void **state)
{
	static const char in[] = "S: \xc3\xbc\0\n.\xff\n\r\x80\r\n\r\n\xc3\n\n";
	static const char expected[] = "S: ???\r\n..?\r\n\r?\r\n\r\n\xc3\r\n\r\n";
	const uint8_t *p = (const uint8_t *)in;
	size_t a, b, len = sizeof(in) - 1;
	struct content c;
	struct octets o;

	(void)state;
	octets_init(&o);
	octets_count(&o, in, len);
	for (a = 0; a <= len; a++)
		for (b = a; b <= len; b++) {
			begin(&c);
			c.is_surrogate = 1;
			content_put(&c, p, a);
			content_put(&c, p + a, b - a);
			content_put(&c, p + b, len - b);
			content_end(&c);
			assert_int_equal(wire_flush(&w), WIRE_OK);
			assert_int_equal(out_len, sizeof(expected) - 1);
			assert_memory_equal(out, expected, out_len);
			assert_int_equal(c.octets, octets_total(&o));
		}
}

/* It is sent once, and only where no empty line has come. */
static void
test_end_of_header(void **state)
{
	static const struct {
		const char	*in;
		const char	*out;
	} headers[] = {
		{ "h", "h\r\n\r\n" },
		{ "h\nh\r\n", "h\r\nh\r\n\r\n" },
		{ "h\n\r\r\n", "h\r\n\r\r\n\r\n" },
		{ "h\n\n", "h\r\n\r\n" },
		{ "h\r\n\r\nb", "h\r\n\r\nb\r\n" },
		{ "\nb", "\r\nb\r\n" }
	};
	const uint8_t *in;
	struct content c;
	size_t i, len, split;

	(void)state;
	for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		in = (const uint8_t *)headers[i].in;
		len = strlen(headers[i].in);
		for (split = 0; split <= len; split++) {
			begin(&c);
			content_put(&c, in, split);
			content_put(&c, in + split, len - split);
			content_end(&c);
			content_end_header(&c);
			content_end_header(&c);
			assert_int_equal(wire_flush(&w), WIRE_OK);
			assert_int_equal(out_len, strlen(headers[i].out));
			assert_memory_equal(out, headers[i].out, out_len);
			assert_int_equal(c.octets, out_len);
		}
	}
}

/* A NUL is sent as another octet, wherever it stands; it is counted as one. */
static void
test_nuls(void **state)
{
	static const uint8_t in[] = "\0.\0\n\0\0\r\0\n.\0\n\0";
	static const uint8_t wanted[] =
	    "\x80.\x80\r\n\x80\x80\r\x80\r\n..\x80\r\n\x80\r\n";
	const size_t len = sizeof(in) - 1;
	struct content c;
	struct octets o;
	size_t a, b;

	(void)state;
	octets_init(&o);
	octets_count(&o, in, len);
	for (a = 0; a <= len; a++)
		for (b = a; b <= len; b++) {
			begin(&c);
			content_put(&c, in, a);
			content_put(&c, in + a, b - a);
			content_put(&c, in + b, len - b);
			content_end(&c);
			assert_int_equal(wire_flush(&w), WIRE_OK);
			assert_int_equal(out_len, sizeof(wanted) - 1);
			assert_memory_equal(out, wanted, out_len);
			content_end_header(&c);
			assert_int_equal(c.octets, octets_total(&o));
		}
}

/* Lines of all lengths around the border of the wire's buffer. */
static void
test_buffer_borders(void **state)
{
	static uint8_t text[WIRE_OUT_SIZE + 64];
	struct content c;
	size_t len;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (len = WIRE_OUT_SIZE - 20; len < WIRE_OUT_SIZE + 20; len++) {
		text[len] = '\n';
		text[len + 1] = '.';
		begin(&c);
		content_put(&c, text, len + 2);
		content_end(&c);
		assert_int_equal(wire_flush(&w), WIRE_OK);
		assert_int_equal(out_len, len + 6);
		assert_memory_equal(out, text, len);
		assert_memory_equal(out + len, "\r\n..\r\n", 6);
		assert_int_equal(c.octets, len + 5);
		text[len] = text[len + 1] = 'x';
	}
}

static void
test_top(void **state)
{
	static const struct {
		const char	*in;
		uint64_t	 lines;
		size_t		 taken;
		int		 in_body;
	} tops[] = {
		{ "h\nh\n\nb\nb\n", 0, 5, 1 },
		{ "h\nh\n\nb\nb\n", 1, 7, 1 },
		{ "h\nh\n\nb\nb\n", 2, 9, 1 },
		{ "h\nh\n\nb\nb\n", UINT64_MAX, 9, 1 },
		{ "h\r\n\r\nb\r\n\r\nc", 0, 5, 1 },
		{ "h\r\n\r\nb\r\n\r\nc", 2, 10, 1 },
		{ "h\r\n\r\nb\r\n\r\nc", 3, 11, 1 },
		{ "h\n\r\r\n\rx\nb", 0, 9, 0 },
		{ "\nb\n", 0, 1, 1 },
		{ "\r\nb\n", 0, 2, 1 },
		{ "h\nh", 5, 3, 0 },
		{ "", 0, 0, 0 }
	};
	const uint8_t *in;
	struct top t;
	size_t i, split, len, taken, n;

	(void)state;
	for (i = 0; i < sizeof(tops) / sizeof(tops[0]); i++) {
		in = (const uint8_t *)tops[i].in;
		len = strlen(tops[i].in);
		for (split = 0; split <= len; split++) {
			top_begin(&t, tops[i].lines);
			taken = top_take(&t, in, split);
			n = top_take(&t, in + split, len - split);
			assert_true(taken == split || n == 0);
			taken += n;
			assert_int_equal(taken, tops[i].taken);
			assert_int_equal(t.in_body, tops[i].in_body);
		}
	}
}

/* Octet by octet, the same. */
static size_t
model(const uint8_t *in, size_t len, uint8_t *to)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (in[i] == '.' && (i == 0 || in[i - 1] == '\n'))
			to[n++] = '.';
		if (in[i] == '\n' && (i == 0 || in[i - 1] != '\r'))
			to[n++] = '\r';
		to[n++] = in[i] == '\0' ? 0x80 : in[i];
	}
	return n;
}

/* Lines of all lengths at all places of what is copied in one step. */
static void
test_model(void **state)
{
	static uint8_t in[60000], want[3 * sizeof(in)];
	static const uint8_t rare[] = { '\n', '\r', '.', '\0', '\n', 0xff };
	struct content c;
	size_t round, i, at, n, len;

	(void)state;
	srandom(1939);
	for (round = 0; round < 200; round++) {
		for (i = 0; i < sizeof(in); i++)
			in[i] = random() % 128 < (long)round ?
			    rare[random() % 6] : 'x';
		begin(&c);
		for (at = 0; at < sizeof(in); at += n) {
			n = (size_t)random() % (round % 2 ? 50 : 40000) + 1;
			if (n > sizeof(in) - at)
				n = sizeof(in) - at;
			content_put(&c, in + at, n);
		}
		assert_int_equal(wire_flush(&w), WIRE_OK);
		len = model(in, sizeof(in), want);
		assert_int_equal(out_len, len);
		assert_memory_equal(out, want, len);
	}
}

/* A wire that fails takes nothing more, and nothing is written past it. */
static ssize_t
refuse(struct wire *from, const void *data, size_t len)
{
	(void)from;
	(void)data;
	(void)len;
	errno = EPIPE;
	return -1;
}

static void
test_failing_wire(void **state)
{
	static uint8_t in[WIRE_OUT_SIZE];
	struct content c;
	int i;

	(void)state;
	memset(in, '\n', sizeof(in));
	begin(&c);
	w.transport_write = refuse;
	for (i = 0; i < 4; i++)
		content_put(&c, in, sizeof(in));
	assert_int_equal(w.failed, WIRE_EOF);
	assert_int_equal(w.out_len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_splits),
		cmocka_unit_test(test_end_of_header),
		cmocka_unit_test(test_surrogate),
		cmocka_unit_test(test_nuls),
		cmocka_unit_test(test_buffer_borders),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_failing_wire),
		cmocka_unit_test(test_top)
	};

	return cmocka_run_group_tests_name("pop3_content", tests, NULL, NULL);
}
