/* LINK: smtpd/header */
/*
 * Which letters get a Date and a Message-ID, and where: by hand, and against
 * a slow model however the content is cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/smtp_header_model.h"

#define D	MODEL_DATE
#define M	MODEL_ID

static const struct {
	const char	*in;
	const char	*out;
} letters[] = {
	/* nothing is missing */
	{ "Date: x\nMessage-ID: <y>\n\nbody\n",
	  "Date: x\nMessage-ID: <y>\n\nbody\n" },
	{ "DATE:x\nmessage-id:y\n\n", "DATE:x\nmessage-id:y\n\n" },
	{ "Date :x\nMessage-Id\t : y\n\n", "Date :x\nMessage-Id\t : y\n\n" },
	{ "Date:\nMessage-ID:\n", "Date:\nMessage-ID:\n" },
	/* ... and a strange line needs no empty one then */
	{ "Date: x\nMessage-ID: y\nbody\n", "Date: x\nMessage-ID: y\nbody\n" },
	/* one is, or both are */
	{ "From: a\nMessage-ID: y\n\nbody\n",
	  "From: a\nMessage-ID: y\n" D "\nbody\n" },
	{ "Date: x\n\nbody\n", "Date: x\n" M "\nbody\n" },
	{ "From: a\n\nDate: body\nMessage-ID: body\n",
	  "From: a\n" D M "\nDate: body\nMessage-ID: body\n" },
	/* folded lines are no fields */
	{ "Subject: a\n Date: b\n\tMessage-ID: c\n\n",
	  "Subject: a\n Date: b\n\tMessage-ID: c\n" D M "\n" },
	{ "Subject:\n \n Date: b\n\n", "Subject:\n \n Date: b\n" D M "\n" },
	/* names that only look alike */
	{ "Dates: x\nResent-Date: x\nXMessage-ID: y\nMessage-IDs: y\n\n",
	  "Dates: x\nResent-Date: x\nXMessage-ID: y\nMessage-IDs: y\n"
	  D M "\n" },
	{ "Da te: x\n\n", D M "\n" "Da te: x\n\n" },
	/* no header at all */
	{ "", D M },
	{ "\n", D M "\n" },
	{ "\nDate: x\n", D M "\nDate: x\n" },
	{ "hello\n", D M "\n" "hello\n" },
	{ "hello", D M "\n" "hello" },
	{ " Date: x\n", D M "\n" " Date: x\n" },
	{ ": x\n", D M "\n" ": x\n" },
	{ " : x\n", D M "\n" " : x\n" },
	{ "From alice Mon Nov 23\nDate: x\n\n",
	  D M "\n" "From alice Mon Nov 23\nDate: x\n\n" },
	{ "D\303\244te: x\n\n", D M "\n" "D\303\244te: x\n\n" },
	/* a line in the middle that is no field */
	{ "From: a\nwhat is this\nDate: x\n\n",
	  "From: a\n" D M "\n" "what is this\nDate: x\n\n" },
	{ "Date: x\n-- \nMessage-ID: y\n",
	  "Date: x\n" M "\n" "-- \nMessage-ID: y\n" },
	/* the content is nothing but a header, or ends within it */
	{ "From: a\n", "From: a\n" D M },
	{ "From: a", "From: a\n" D M },
	{ "From: a\n b", "From: a\n b\n" D M },
	{ "From: a\n ", "From: a\n \n" D M },
	{ "From: a\nDate", "From: a\n" D M "\n" "Date" },
	{ "From: a\nDate ", "From: a\n" D M "\n" "Date " },
	{ "Date:\nMessage-ID:", "Date:\nMessage-ID:" },
	/* twice is somebody else's business */
	{ "Date: x\nDate: y\n\n", "Date: x\nDate: y\n" M "\n" }
};
#define LETTERS		(sizeof(letters) / sizeof(letters[0]))

static void
compare(const uint8_t *in, size_t len, const uint8_t cuts[4])
{
	static uint8_t a[8192 + MODEL_ADDED], b[8192 + MODEL_ADDED];
	size_t n;

	assert_true(len <= 8192);
	n = model_header(in, len, MODEL_DATE, MODEL_ID, a);
	assert_int_equal(model_pieces(in, len, cuts, b), n);
	assert_memory_equal(a, b, n);
}

static void
test_letters(void **state)
{
	static const uint8_t cuts[][4] = { { 0, 0, 0, 0 }, { 255, 255, 255,
	    255 }, { 0, 1, 2, 3 }, { 6, 1, 9, 0 }, { 3, 3, 3, 3 } };
	uint8_t out[4096];
	size_t i, j, len, n;

	(void)state;
	for (i = 0; i < LETTERS; i++)
		for (j = 0; j < sizeof(cuts) / sizeof(cuts[0]); j++) {
			len = strlen(letters[i].in);
			n = model_pieces((const uint8_t *)letters[i].in, len,
			    cuts[j], out);
			out[n] = '\0';
			assert_string_equal((char *)out, letters[i].out);
			compare((const uint8_t *)letters[i].in, len, cuts[j]);
		}
}

/* A name may be as long as the room; one more octet, and it is none. */
static void
test_bounds(void **state)
{
	static const uint8_t cuts[4] = { 255, 7, 0, 99 };
	uint8_t in[1024], out[1024 + MODEL_ADDED];
	size_t len;

	(void)state;
	for (len = HEADER_HELD_MAX - 4; len < HEADER_HELD_MAX + 4; len++) {
		memset(in, 'X', len);
		memcpy(in + len, ":\n\n", 3);
		compare(in, len + 3, cuts);
		model_pieces(in, len + 3, cuts, out);
		assert_int_equal(out[0], len < HEADER_HELD_MAX ? 'X' : 'D');
		memset(in + 4, ' ', len - 4);
		compare(in, len + 3, cuts);
		memcpy(in, "Date", 4);
		compare(in, len + 3, cuts);
	}
}

/* What is added to content that only passes through, cut anywhere. */
static void
expect_first(const char *content, const char *added)
{
	const struct header_origin origin = { .hostname = "h" };
	const uint8_t *in = (const uint8_t *)content;
	uint8_t out[512 + HEADER_HELD_MAX];
	char text[HEADER_TEXT_MAX];
	size_t len = strlen(content), cut, used, n;
	struct header header;

	for (cut = 0; cut <= len; cut++) {
		header_init_first(&header);
		used = header_take(&header, in, cut, out, &n);
		assert_int_equal(n, 0);
		if (!header_is_over(&header)) {
			assert_int_equal(used, cut);
			used += header_take(&header, in + cut, len - cut, out,
			    &n);
			assert_int_equal(n, 0);
		}
		if (!header_is_over(&header))
			header_end(&header);
		assert_false(header_is_wanting(&header));
		assert_int_equal(header_print(&header, &origin, text),
		    strlen(added));
		assert_string_equal(text, added);
		assert_int_equal(header.held_len, used);
		assert_memory_equal(header.held, in, used);
	}
}

/* Only what has no header gets the line that ends it. */
static void
test_first(void **state)
{
	static const char *const fields[] = { "", "\n", "\nx\n", "X: y\n",
	    "X:\n y\n", "X : y\nz\n", "X:", "From: x\n", "From x@y Mon\n",
	    "From \n", ">From x@y Mon\n", "Date: x\nhello\n" };
	static const char *const none[] = { " x\n", "\tx: y\n", " \n", "x\n",
	    "hello there\n", ": x\n", "\xc3\xa9: x\n", "X Y: z\n", "From\n",
	    "from x\n", ">>From x\n", ">\n", "Fro m\n", "x" };
	char line[400];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		expect_first(fields[i], "");
	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		expect_first(none[i], "\n");
	memset(line, 'x', sizeof(line));
	strlcpy(line + 300, ": y\n", 10);
	expect_first(line, "\n");
	strlcpy(line + HEADER_HELD_MAX - 1, ": y\n", 10);
	expect_first(line, "");
}

/* The longest host name fits; nothing is ever cut. */
static void
test_print(void **state)
{
	char host[600], text[HEADER_TEXT_MAX];
	struct header_origin origin = model_origin;
	struct header header;
	int len;

	(void)state;
	header_init(&header);
	header_end(&header);
	origin.hostname = host;
	memset(host, 'h', sizeof(host));
	host[255] = '\0';
	len = header_print(&header, &origin, text);
	assert_int_equal(len, strlen(text));
	assert_non_null(strstr(text, ">\n"));
	host[255] = 'h';
	host[599] = '\0';
	assert_int_equal(header_print(&header, &origin, text), -1);
	host[599] = 'h';
	host[470] = '\0';
	assert_int_equal(header_print(&header, &origin, text), -1);
}

/* Letters made of pieces that matter, cut anywhere. */
static void
test_random(void **state)
{
	static const char *const words[] = { "Date", "Message-ID", "date",
	    "Subject", ":", ":", " ", "\t", "\n", "\n", "\n ", "\n\n", "x",
	    "\303", "--", "From ", ": y\n", ": z\n", "Message-id" };
	char text[2048];
	uint8_t cuts[4];
	unsigned int seed = 8;
	int i, n;

	(void)state;
	for (i = 0; i < 100000; i++) {
		text[0] = '\0';
		for (n = rand_r(&seed) % 20; n > 0; n--)
			strlcat(text, words[rand_r(&seed) %
			    (sizeof(words) / sizeof(words[0]))], sizeof(text));
		for (n = 0; n < 4; n++)
			cuts[n] = (uint8_t)(rand_r(&seed) % 24);
		compare((const uint8_t *)text, strlen(text), cuts);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_letters),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_first),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("test_header", tests, NULL, NULL);
}
