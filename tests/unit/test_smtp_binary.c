/* LINK: smtpd/binary smtpd/mime_type */
/*
 * BINARYMIME (RFC 3030): what is binary becomes base64, all else stays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/binary.h"

static char out[65536];
static size_t out_len;

static void
put(void *arg, const uint8_t *octets, size_t len)
{
	(void)arg;
	assert_true(len < sizeof(out) - out_len);
	memcpy(out + out_len, octets, len);
	out_len += len;
	out[out_len] = '\0';
}

static enum data_fault
run(const char *in, size_t len, size_t piece)
{
	static struct binary b;
	size_t at, n;

	out_len = 0;
	out[0] = '\0';
	binary_init(&b, put, NULL);
	for (at = 0; at < len; at += n) {
		n = len - at < piece ? len - at : piece;
		binary_take(&b, (const uint8_t *)in + at, n);
	}
	binary_end(&b);
	return b.fault;
}

#define CTE	"Content-Transfer-Encoding: "
#define MIXED	"Content-Type: multipart/mixed; boundary=b\r\n"
#define MIXED_LF "Content-Type: multipart/mixed; boundary=b\n"

/* A literal with the octets in it, NULs too. */
#define ROW(in, out)	{ in, sizeof(in) - 1, out }

static const struct {
	const char	*in;
	size_t		 len;
	const char	*out;
} rows[] = {
	ROW("", ""),
	ROW("A: b\r\n\r\nc\r\n", "A: b\n\nc\n"),
	ROW("A: b", "A: b\n"),
	ROW("A: b\r\n\r\nno end", "A: b\n\nno end\n"),
	/* The whole message. */
	ROW(CTE "binary\r\n\r\n\0\n\r\377", CTE "base64\n\nAAoN/w==\n"),
	ROW("content-transfer-encoding :\r\n (x)\tBinary\r\nA: b\r\n\r\nabc",
	    "A: b\n" CTE "base64\n\nYWJj\n"),
	ROW(CTE "binary\r\n\r\n", CTE "base64\n\n"),
	ROW(CTE "binary", CTE "base64\n"),
	ROW(CTE "binary x\r\n\r\na\r\n", CTE "binary x\n\na\n"),
	/* Parts: the line end before a delimiter is the delimiter's. */
	ROW(MIXED "\r\npre\r\n--b\r\n" CTE "binary\r\n\r\n\r\n\r\n--b\r\n\r\n"
	    "text\r\n--b--\r\npost\r\n",
	    MIXED_LF "\npre\n--b\n" CTE "base64\n\nDQo=\n--b\n\ntext\n--b--\n"
	    "post\n"),
	/* A body that is not there, and one that is empty. */
	ROW(MIXED "\r\n--b\r\n" CTE "binary\r\n--b\r\n" CTE
	    "binary\r\n\r\n--b--",
	    MIXED_LF "\n--b\n" CTE "base64\n--b\n" CTE "base64\n\n--b--\n"),
	/* What only looks like a delimiter. */
	ROW(MIXED "\r\n--b\r\n" CTE "binary\r\n\r\n--bc\r\n-b\r--b\n--b\r\n"
	    "--b-\r\n--b\r\r\n--b",
	    MIXED_LF "\n--b\n" CTE "base64\n\n"
	    "LS1iYw0KLWINLS1iCi0tYg0KLS1iLQ0KLS1iDQ==\n--b\n"),
	/* Padding behind a delimiter is one, letters are not. */
	ROW(MIXED "\r\n--b \t\r\n" CTE "binary\r\n\r\na\r\n--b-- \r\n",
	    MIXED_LF "\n--b \t\n" CTE "base64\n\nYQ==\n--b-- \n"),
	/* Containers. */
	ROW(CTE "binary\r\n" MIXED "\r\n--b\r\nContent-Type: message/rfc822"
	    "\r\n" CTE "binary\r\n\r\n" CTE "binary\r\n\r\na\r\n--b--\r\n",
	    MIXED_LF CTE "8bit\n\n--b\nContent-Type: message/rfc822\n"
	    CTE "8bit\n\n" CTE "base64\n\nYQ==\n--b--\n"),
	ROW("Content-Type: multipart/digest; x=\"a;b\"; boundary=\"b\"\r\n\r\n"
	    "--b\r\n\r\n" CTE "binary\r\n\r\na\r\n--b\r\nContent-Type: "
	    "text/plain\r\n\r\n" CTE "binary\r\n\r\na\r\n",
	    "Content-Type: multipart/digest; x=\"a;b\"; boundary=\"b\"\n\n"
	    "--b\n\n" CTE "base64\n\nYQ==\n--b\nContent-Type: "
	    "text/plain\n\n" CTE "binary\n\na\n"),
	/* An inner one ends with the outer. */
	ROW(MIXED "\r\n--b\r\nContent-Type: multipart/x;\r\n\tboundary=\"c d\""
	    "\r\n\r\n--c d\r\n" CTE "binary\r\n\r\na\r\n--b\r\n\r\n--c d\r\n"
	    CTE "binary\r\n\r\nb\r\n",
	    MIXED_LF "\n--b\nContent-Type: multipart/x;\n\tboundary=\"c d\"\n\n"
	    "--c d\n" CTE "base64\n\nYQ==\n--b\n\n--c d\n" CTE "binary\n\nb\n"),
	/* After the last delimiter there is no part. */
	ROW(MIXED "\r\n--b--\r\n--c\r\n" CTE "binary\r\n\r\na\r\n",
	    MIXED_LF "\n--b--\n--c\n" CTE "binary\n\na\n"),
	/* Encoded already. */
	ROW("Content-Type: message/rfc822\r\n" CTE "base64\r\n\r\n" CTE
	    "binary\r\n\r\na\r\n", "Content-Type: message/rfc822\n" CTE
	    "base64\n\n" CTE "binary\n\na\n")
};

static void
test_rows(void **state)
{
	size_t i, piece;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (piece = 1; piece < 20; piece++) {
			assert_int_equal(run(rows[i].in, rows[i].len, piece),
			    DATA_GOOD);
			assert_string_equal(out, rows[i].out);
		}
}

static void
test_faults(void **state)
{
	static const struct {
		const char *in;
		enum data_fault fault;
	} bad[] = {
		{ "A: b\n", DATA_BARE_LF },
		{ "A: b\rc\r\n", DATA_BARE_CR },
		{ "A: b\r\n\r\nc\r", DATA_BARE_CR },
		{ "A: b\r\n\r\nc\nd", DATA_BARE_LF },
		{ MIXED "\r\n--b\r\n\r\na\nb\r\n--b--\r\n", DATA_BARE_LF },
		{ CTE "binary\r\n" CTE "7bit\r\n\r\n", DATA_AMBIGUOUS },
		{ CTE "7bit\r\n" CTE "binary\r\n\r\n", DATA_AMBIGUOUS },
		{ CTE "base64\r\n" CTE "base64\r\n\r\n", DATA_AMBIGUOUS },
		{ MIXED "Content-Type: text/plain\r\n\r\n", DATA_AMBIGUOUS }
	};
	char deep[8192] = "";
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(run(bad[i].in, strlen(bad[i].in), 3),
		    bad[i].fault);
	assert_int_equal(run("A\0b\r\n", 5, 9), DATA_NUL);
	for (i = 0; i < BINARY_DEPTH; i++)
		strlcat(deep, MIXED "\r\n--b\r\n", sizeof(deep));
	assert_int_equal(run(deep, strlen(deep), 100), DATA_GOOD);
	strlcat(deep, MIXED "\r\n", sizeof(deep));
	assert_int_equal(run(deep, strlen(deep), 100), DATA_TOO_DEEP);
}

/* Lines and fields longer than what is looked at come through whole. */
static void
test_long(void **state)
{
	static char in[60000], expected[60000];
	size_t len, i, size;

	(void)state;
	for (size = BINARY_LINE - 30; size < 3 * BINARY_FIELD; size += 13) {
		len = (size_t)snprintf(in, sizeof(in), "X: ");
		for (i = 0; i < size; i++)
			in[len++] = "abc "[i % 4];
		len += (size_t)snprintf(in + len, sizeof(in) - len, "\r\n"
		    CTE "binary\r\n\r\nabc");
		assert_int_equal(run(in, len, 7000), DATA_GOOD);
		memcpy(expected, in, 3 + size);
		snprintf(expected + 3 + size, 100, "\n" CTE
		    "base64\n\nYWJj\n");
		assert_string_equal(out, expected);
	}
	/* A folded one, too, and a body's line. */
	len = (size_t)snprintf(in, sizeof(in), "X:\r\n");
	for (i = 0; i < 600; i++)
		len += (size_t)snprintf(in + len, sizeof(in) - len,
		    " more of it\r\n");
	len += (size_t)snprintf(in + len, sizeof(in) - len, CTE
	    "7bit\r\n\r\n%5000s\r\n", "x");
	assert_int_equal(run(in, len, 999), DATA_GOOD);
	for (i = 0, size = 0; i < len; i++)
		if (in[i] != '\r')
			expected[size++] = in[i];
	expected[size] = '\0';
	assert_string_equal(out, expected);
}

static void
test_types(void **state)
{
	static const struct { const char *value, *boundary; } types[] = {
		{ " multipart/mixed; boundary=abc", "abc" },
		{ "Multipart/Alternative;\n\tBoundary = \"a b\" ", "a b" },
		{ "multipart/x;a=b;boundary=\"\\\"\"", "\"" },
		{ "multipart/x(y); (a;\\)b) boundary=c", "c" },
		{ "multipart/x; a=\"b; boundary=no\"; boundary=c", "c" },
		{ "multipart/x; boundary='()+_,-./:=?", NULL },
		{ "multipart/x; boundary=\"'()+_,-./:=?\"", "'()+_,-./:=?" },
		{ "multipart/x", NULL }, { "multipart/x; boundary=", NULL },
		{ "multipart/x; boundary=\"\"", NULL },
		{ "multipart/x; boundary=\"a ", NULL },
		{ "multipart/x; boundary=\"a \"", NULL },
		{ "multipart/x boundary=a", NULL },
		{ "text/plain; boundary=a", NULL }, { "multipart", NULL },
		{ "", NULL }, { "/", NULL }, { "(((", NULL }
	};
	struct mime_type type;
	char big[200];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		mime_type_parse(&type, types[i].value,
		    strlen(types[i].value));
		if (i == 5)	/* up to what is no token's */
			assert_string_equal(type.boundary, "'");
		else
			assert_int_equal(type.is_multipart,
			    types[i].boundary != NULL);
		if (types[i].boundary != NULL)
			assert_string_equal(type.boundary, types[i].boundary);
	}
	for (i = 1; i < 100; i++) {
		snprintf(big, sizeof(big), "multipart/x; boundary=%0*d",
		    (int)i, 0);
		mime_type_parse(&type, big, strlen(big));
		assert_int_equal(type.is_multipart, i <= 70);
	}
}

int
main(void)
{
	const struct CMUnitTest binary_tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_types),
	};

	return cmocka_run_group_tests_name("test_smtp_binary", binary_tests,
	    NULL, NULL);
}
