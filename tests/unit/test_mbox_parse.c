/* LINK: MAILBOX */
/*
 * test_mbox_parse: where the messages of an mbox begin and end.
 */
#include <sys/mman.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mailbox/mbox.h"

#define WINDOW	(256 * 1024)	/* what the parser reads at a time */
#define FROM	"From a@b Mon Nov 23 04:46:20 2026\n"
#define FOUND_MAX 16

static struct mbox_entry found[FOUND_MAX];
static size_t count;
static uint64_t first;
static char text[4 * WINDOW];
static size_t text_len;

static int
take(void *arg, const struct mbox_entry *entry)
{
	(void)arg;
	assert_true(count < FOUND_MAX);
	found[count++] = *entry;
	return 0;
}

static int
scan_octets(const char *p, size_t len)
{
	int fd = memfd_create("mbox", MFD_CLOEXEC), r, saved;
	size_t i;

	assert_true(fd != -1 && write(fd, p, len) == (ssize_t)len);
	memcpy(text, p, len);
	text_len = len;
	count = 0;
	r = mbox_scan(fd, 0, len, &first, take, NULL);
	saved = errno;
	for (i = 0; r == 0 && i < count; i++) {
		assert_int_equal(found[i].from, i == 0 ? first :
		    found[i - 1].from + found[i - 1].space);
		assert_true(mbox_entry_is_intact(fd, &found[i]));
	}
	if (r == 0 && count > 0)
		assert_int_equal(found[count - 1].from +
		    found[count - 1].space, len);
	close(fd);
	errno = saved;
	return r;
}

static void
scan(const char *p)
{
	assert_int_equal(scan_octets(p, strlen(p)), 0);
}

static void
assert_stored(size_t i, const char *content)
{
	assert_true(i < count);
	assert_int_equal(found[i].length, strlen(content));
	assert_memory_equal(text + MBOX_HEADER(&found[i]), content,
	    strlen(content));
}

static void
test_from_lines(void **state)
{
	static const char *const good[] = {
		"From a@b Mon Nov 23 04:46:20 2026",
		"From a@b  Mon Nov  3 04:46:20 2026",
		"From a@b Mon Nov 3 4:46:20 2026",
		"From a@b Mon Nov 23 04:46 2026",
		"From a@b Mon Nov 23 04:46:20 CET 2026",
		"From a@b Mon Nov 23 04:46:20 MET DST 2026",
		"From a@b Mon Nov 23 04:46:20 +0100 2026",
		"From a@b Mon Nov 23 04:46:20 2026 +0100",
		"From a@b Mon Nov 23 04:46:20 2026 GMT+1",
		"From a@b Mon, 23 Nov 2026 04:46:20 +0100",
		"From a@b Mon, 23 Nov 2026 04:46:20 +0100 CET",
		"From a!b Mon Nov 23 04:46:20 2026 remote from host",
		"From MAILER-DAEMON Mon Nov 23 04:46:20 2026",
		"From - Mon Nov 23 04:46:20 2026",
		"From \"John Doe\"@b Mon Nov 23 04:46:20 2026",
		"From Monty Mon Nov 23 04:46:20 2026",
		"From Mon Nov 23 04:46:20 2026",
		"From  Mon Nov 23 04:46:20 2026",
		"From 0123abc Mon Sep 17 00:00:00 2001",
		"From \xc3\xa4@b Mon Nov 23 04:46:20 2026",
		"From a@b Mon Nov 23 04:46:20 2026  ",
		"From a@b mon nov 23 23:59:60 1900",
		"From a@b\tMon Nov 23 04:46:20 2026\t",
		"From a@b Mon Nov 23 04:46:20 2026\r"
	};
	static const char *const bad[] = {
		"", "\n", "From", "From ", "From a@b", "from a@b Mon Nov 23 "
		    "04:46:20 2026", "From:a@b Mon Nov 23 04:46:20 2026",
		">From a@b Mon Nov 23 04:46:20 2026",
		"From here on we walk", "From Monday on",
		"From Mon Nov 23 to Tue Nov 24",
		"From a@b Mun Nov 23 04:46:20 2026",
		"From a@b Mon Nuv 23 04:46:20 2026",
		"From a@b Mon Nov 32 04:46:20 2026",
		"From a@b Mon Nov 0 04:46:20 2026",
		"From a@b Mon Nov 23 24:46:20 2026",
		"From a@b Mon Nov 23 04:60:20 2026",
		"From a@b Mon Nov 23 04:46:61 2026",
		"From a@b Mon Nov 23 04:46:20 26",
		"From a@b Mon Nov 23 04:46:20 20266",
		"From a@b Mon Nov 23 04.46.20 2026",
		"From a@b Mon Nov 23 04:46:20",
		"From a@b Mon Nov 23 2026",
		"From a@b Mon Nov 23 04:46:20 2026 and so on",
		"From a@b Mon Nov 23 04:46:20 2026 remote from",
		"From a@b Mon Nov 23 04:46:20 A B C 2026",
		"From a\x01@b Mon Nov 23 04:46:20 2026",
		"From a@bMon Nov 23 04:46:20 2026"
	};
	char line[2048];
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		n = strlen(good[i]);
		memcpy(line, good[i], n);
		line[n] = '\n';
		assert_true(mbox_is_from((uint8_t *)line, n));
		assert_true(mbox_is_from((uint8_t *)line, n + 1));
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(mbox_is_from((const uint8_t *)bad[i],
		    strlen(bad[i])));
	assert_false(mbox_is_from((const uint8_t *)
	    "From a\0 Mon Nov 23 04:46:20 2026", 33));
	/* No line that long is one. */
	memset(line, 'x', sizeof(line));
	memcpy(line, "From ", 5);
	memcpy(line + MBOX_FROM_MAX - 29, " Mon Nov 23 04:46:20 2026\n\n", 27);
	assert_true(mbox_is_from((uint8_t *)line, MBOX_FROM_MAX - 3));
	memcpy(line + MBOX_FROM_MAX - 25, " Mon Nov 23 04:46:20 2026\n", 26);
	assert_false(mbox_is_from((uint8_t *)line, MBOX_FROM_MAX + 1));
}

static void
test_borders(void **state)
{
	(void)state;
	scan(FROM "A: b\n\nx\n\n" FROM "C: d\n\ny\n\n");
	assert_int_equal(count, 2);
	assert_stored(0, "A: b\n\nx\n");
	assert_stored(1, "C: d\n\ny\n");
	assert_int_equal(found[0].octets, 11);
	/* What is none: no empty line before it, or no date in it. */
	scan(FROM "A: b\n\nx\n" FROM "y\n\nFrom here\n\n>" FROM "\n From a\n");
	assert_int_equal(count, 1);
	assert_int_equal(found[0].octets, 6 + 2 + 3 + 35 + 3 + 2 + 11 + 2 +
	    35 + 2 + 9);
	/* Empty lines belong to the body, but the last one. */
	scan(FROM "A: b\n\n\n\nx\n\n\n\n" FROM "\ny\n\n\n");
	assert_int_equal(count, 2);
	assert_stored(0, "A: b\n\n\n\nx\n\n\n");
	assert_stored(1, "\ny\n\n");
}

static void
test_ends(void **state)
{
	(void)state;
	scan("");
	assert_int_equal(count, 0);
	scan(FROM);
	assert_int_equal(count, 1);
	assert_stored(0, "");
	assert_int_equal(found[0].octets, 2);	/* its empty line */
	scan("From a@b Mon Nov 23 04:46:20 2026");
	assert_int_equal(count, 1);
	assert_stored(0, "");
	/* No final newline; then nothing but that. */
	scan(FROM "A: b\n\nx");
	assert_stored(0, "A: b\n\nx");
	assert_int_equal(found[0].octets, 11);
	scan(FROM "A: b\n\nx\n");
	assert_stored(0, "A: b\n\nx\n");
	/* The empty line that ends a header is its own. */
	scan(FROM "A: b\n\n" FROM "C: d\n\n\n" FROM "\n" FROM "\n\n");
	assert_int_equal(count, 4);
	assert_stored(0, "A: b\n\n");
	assert_stored(1, "C: d\n\n");
	assert_stored(2, "\n");
	assert_stored(3, "\n");
	scan(FROM "A: b");
	assert_stored(0, "A: b");
	assert_int_equal(found[0].octets, 8);
	/* No header at all. */
	scan(FROM "some text\n\n" FROM "more text\nand more\n");
	assert_int_equal(count, 2);
	assert_stored(0, "some text\n");
}

static void
test_crlf(void **state)
{
	static const char from[] = "From a@b Mon Nov 23 04:46:20 2026\r\n";
	char mbox[400];
	size_t i;

	(void)state;
	snprintf(mbox, sizeof(mbox), "%sA: b\r\n\r\nx\r\n\r\n%sC: d\r\n\r\n"
	    "%sE: f\r\n\r\n\r\n", from, from, from);
	scan(mbox);
	assert_int_equal(count, 3);
	assert_stored(0, "A: b\r\n\r\nx\r\n");
	assert_stored(1, "C: d\r\n\r\n");
	assert_stored(2, "E: f\r\n\r\n");
	assert_int_equal(found[0].octets, 11);
	for (i = 0; i < 3; i++)
		assert_int_equal(found[i].from_len, strlen(from));
}

static void
test_no_mbox(void **state)
{
	static const char *const texts[] = {
		"x", "Subject: x\n\nx\n", "\n" "x\n\n" FROM, " " FROM,
		"\r" FROM, "\n\r", "\n " FROM, "\nFrom nobody\n",
		"From nobody\n\n" FROM, "garbage\n\n" FROM "A: b\n\nx\n"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(scan_octets(texts[i], strlen(texts[i])), -1);
		assert_int_equal(errno, EBADMSG);
		assert_int_equal(count, 0);
	}
}

/* What `echo > /var/mail/user` leaves, and what comes behind it. */
static void
test_begins_empty(void **state)
{
	static const char *const before[] = { "\n", "\r\n", "\n\n\r\n\n" };
	char mbox[WINDOW + 4096];
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		scan(before[i]);
		assert_int_equal(count, 0);
		assert_int_equal(first, strlen(before[i]));
		snprintf(mbox, sizeof(mbox), "%s" FROM "A: b\n\nx\n\n" FROM
		    "A: c\n\n", before[i]);
		scan(mbox);
		assert_int_equal(count, 2);
		assert_int_equal(first, strlen(before[i]));
		assert_stored(0, "A: b\n\nx\n");
	}
	/* At the end of what is read at a time, too. */
	for (len = WINDOW - MBOX_FROM_MAX - 2; len < WINDOW + 3; len++) {
		memset(mbox, '\n', len);
		strcpy(mbox + len, FROM "A: b\n\nx\n");
		scan(mbox);
		assert_int_equal(count, 1);
		assert_int_equal(first, len);
		if (len == WINDOW - MBOX_FROM_MAX + 2)
			len = WINDOW - 3;
	}
}

static void
test_content_length(void **state)
{
	static const char inner[] = "x\n\n" FROM "y\n";	/* 39 octets */
	char mbox[1000];
	size_t i;
	static const struct {
		const char	*length;
		size_t		 count;		/* messages before the last */
	} cases[] = {
		{ "39", 1 },		/* exact */
		{ "40", 1 },		/* with the empty line */
		{ "039", 1 }, { "39 ", 2 }, { "-39", 2 }, { "39x", 2 },
		{ "38", 2 }, { "41", 2 }, { "0", 2 }, { "", 2 },
		{ "99999999999999999999", 2 }, { "9999", 2 },
		{ "18446744073709551615", 2 }, { "3", 2 }
	};

	(void)state;
	assert_int_equal(strlen(inner), 39);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(mbox, sizeof(mbox), FROM "Content-Length: %s\n\n%s\n"
		    FROM "C: d\n\nz\n", cases[i].length, inner);
		scan(mbox);
		assert_int_equal(count, cases[i].count + 1);
		/* On the end of the file, with and without an empty line. */
		if (strcmp(cases[i].length, "41") == 0)
			continue;
		snprintf(mbox, sizeof(mbox), FROM "content-length: %s\n\n%s\n",
		    cases[i].length, inner);
		scan(mbox);
		assert_int_equal(count, cases[i].count);
	}
	/* A lie that swallows the next message lands nowhere. */
	scan(FROM "Content-Length: 70\n\nx\n\n" FROM "A: b\n\ny\n\n" FROM
	    "C: d\n\nz\n\n");
	assert_int_equal(count, 3);
	/* A client sees it in the body, for the header ended before. */
	snprintf(mbox, sizeof(mbox), FROM "text\nContent-Length: 39\n\n%s\n"
	    FROM "C: d\n\nz\n", inner);
	scan(mbox);
	assert_int_equal(count, 3);
	/* In a body it says nothing. */
	scan(FROM "A: b\n\nContent-Length: 37\n\n" FROM "A: b\n\ny\n\n");
	assert_int_equal(count, 2);
}

static void
test_pseudo(void **state)
{
	static const char pseudo[] = FROM "Subject: DON'T DELETE THIS MESSAGE"
	    " -- FOLDER INTERNAL DATA\nX-IMAP: 1234567890 0000000005\n"
	    "Status: RO\n\nThis text is part of the internal format.\n\n";
	char mbox[1000];

	(void)state;
	scan(pseudo);
	assert_int_equal(count, 0);
	assert_int_equal(first, strlen(pseudo));
	snprintf(mbox, sizeof(mbox), "%s" FROM "A: b\n\nx\n\n", pseudo);
	scan(mbox);
	assert_int_equal(count, 1);
	assert_int_equal(first, strlen(pseudo));
	snprintf(mbox, sizeof(mbox), "\n\n%s" FROM "A: b\n\nx\n\n", pseudo);
	scan(mbox);
	assert_int_equal(count, 1);
	assert_int_equal(first, strlen(pseudo) + 2);
	/* Anywhere else, or with half of that, it is a message. */
	snprintf(mbox, sizeof(mbox), FROM "A: b\n\nx\n\n%s", pseudo);
	scan(mbox);
	assert_int_equal(count, 2);
	assert_int_equal(first, 0);
	scan(FROM "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"
	    "\nx\n");
	assert_int_equal(count, 1);
	scan(FROM "X-IMAPbase: 1 2\nSubject: x\n\nx\n");
	assert_int_equal(count, 1);
}

/* What other programs write or change is not in hash or size. */
static void
test_hash(void **state)
{
	static const char *const same[] = {
		FROM "A: b\n\nx\n",
		FROM "A: b\n\nx\n\n",
		FROM "A: b\n\nx",
		FROM "Status: RO\nA: b\nX-Status: A\nX-UID: 5\n\nx\n\n",
		FROM "A: b\nX-Keywords: a\n b\nContent-Length: 2\nLines: 1\n\nx"
		    "\n\n",
		"From a@b Mon Nov 23 04:46:20 2026\r\nA: b\n\nx\n"
	};
	static const char *const other[] = {
		"From a@b Mon Nov 23 04:46:21 2026\nA: b\n\nx\n",
		FROM "A: c\n\nx\n", FROM "A: b\n\ny\n", FROM "A: b\n\nx\n\n\n",
		FROM "A: b\n\nxx\n", FROM "A: b\n\n>From \n"
	};
	struct mbox_entry e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		scan(same[i]);
		assert_int_equal(count, 1);
		if (i == 0)
			e = found[0];
		assert_int_equal(found[0].octets, 11);
		assert_memory_equal(found[0].hash, e.hash, MBOX_HASH_SIZE);
	}
	for (i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		scan(other[i]);
		assert_memory_not_equal(found[0].hash, e.hash,
		    MBOX_HASH_SIZE);
	}
}

/* Two messages, the border anywhere about the edges of what is read at once. */
static void
test_windows(void **state)
{
	static char mbox[4 * WINDOW];
	static const char second[] = FROM "Status: R\nC: d\n\nsecond\n\n" FROM
	    "\nthird";
	size_t border, len, i, step;

	(void)state;
	for (i = 0; i < 2600; i += step) {
		/* Every octet near the edges, and some between. */
		step = (i > 980 && i < 1060) || i > 2000 ? 1 : 13;
		border = WINDOW - 2050 + i;
		memset(mbox, 'x', sizeof(mbox));
		memcpy(mbox, FROM "A: b\n\n", sizeof(FROM "A: b\n\n") - 1);
		mbox[border - 2] = mbox[border - 1] = '\n';
		len = border + sizeof(second) - 1;
		memcpy(mbox + border, second, sizeof(second) - 1);
		assert_int_equal(scan_octets(mbox, len), 0);
		assert_int_equal(count, 3);
		assert_int_equal(found[1].from, border);
		assert_int_equal(found[0].length, border - 1 -
		    (sizeof(FROM) - 1));
		assert_int_equal(found[0].octets, border - 1 -
		    (sizeof(FROM) - 1) + 3);
		assert_stored(1, "Status: R\nC: d\n\nsecond\n");
		assert_int_equal(found[1].octets, 16);
		assert_stored(2, "\nthird");
	}
}

/* A '>' in a line, and then one that begins a line, where a piece ends. */
static void
test_quotes_at_edges(void **state)
{
	static const char quotes[] = "x>From y\n>From z\n>>From \n";
	static char mbox[WINDOW + 4096];
	size_t i, at;

	(void)state;
	for (i = 0; i < 64; i++) {
		at = WINDOW - MBOX_FROM_MAX - 48 + i;
		memset(mbox, 'x', sizeof(mbox));
		memcpy(mbox, FROM "A: b\n\n", sizeof(FROM "A: b\n\n") - 1);
		memcpy(mbox + at, quotes, sizeof(quotes) - 1);
		assert_int_equal(scan_octets(mbox, sizeof(mbox)), 0);
		assert_int_equal(count, 1);
		assert_int_equal(found[0].octets, sizeof(mbox) -
		    (sizeof(FROM) - 1) + 2 + 3 + 2 - 2);
	}
}

/* A header of one line, longer than any window; a body of empty lines. */
static void
test_long(void **state)
{
	static char mbox[4 * WINDOW];
	size_t len;

	(void)state;
	memset(mbox, 'h', sizeof(mbox));
	len = sizeof(FROM) - 1;
	memcpy(mbox, FROM "A: ", len + 3);
	memcpy(mbox + 2 * WINDOW + 77, "\n\n", 2);
	memset(mbox + 3 * WINDOW, '\n', WINDOW - 100);
	memcpy(mbox + sizeof(mbox) - 100, FROM, len);
	assert_int_equal(scan_octets(mbox, sizeof(mbox)), 0);
	assert_int_equal(count, 2);
	assert_int_equal(found[1].from, sizeof(mbox) - 100);
	assert_int_equal(found[0].length, sizeof(mbox) - 100 - len - 1);
	/* NULs and 8-bit octets are octets. */
	memset(mbox + len + 3, '\0', WINDOW);
	memset(mbox + WINDOW, '\xff', WINDOW);
	assert_int_equal(scan_octets(mbox, sizeof(mbox)), 0);
	assert_int_equal(count, 2);
}

/* It became shorter: an error, not a message that ends early. */
static void
test_shorter(void **state)
{
	int fd = memfd_create("mbox", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(write(fd, FROM "\nx\n", sizeof(FROM) + 2),
	    sizeof(FROM) + 2);
	count = 0;
	assert_int_equal(mbox_scan(fd, 0, 500, &first, take, NULL), -1);
	assert_int_equal(errno, ENODATA);
	assert_int_equal(count, 0);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_lines),
		cmocka_unit_test(test_borders),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_crlf),
		cmocka_unit_test(test_no_mbox),
		cmocka_unit_test(test_begins_empty),
		cmocka_unit_test(test_content_length),
		cmocka_unit_test(test_pseudo),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_quotes_at_edges),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_shorter),
	};

	return cmocka_run_group_tests_name("test_mbox_parse", tests, NULL,
	    NULL);
}
