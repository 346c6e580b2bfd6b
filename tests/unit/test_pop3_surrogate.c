/* LINK: pop3d/surrogate */
/*
 * test_pop3_surrogate: which Received field says that a message came by
 * SMTPUTF8.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pop3d/surrogate.h"

static int
is_needed(const char *text)
{
	size_t len = strlen(text);
	uint8_t *copy = malloc(len + 1);	/* so that ASan sees its end */
	int r;

	assert_non_null(copy);
	memcpy(copy, text, len);
	r = surrogate_is_needed(copy, len);
	free(copy);
	return r;
}

#define BY	"Received: from x.example ([192.0.2.1])\n\tby mail.example "

static void
test_ours(void **state)
{
	static const char *const words[] = { "UTF8SMTP", "UTF8SMTPA",
	    "UTF8SMTPS", "UTF8SMTPSA", "UTF8LMTP", "UTF8LMTPS", "utf8smtp" };
	char text[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		snprintf(text, sizeof(text), "Return-Path: <j\xc3\xb6rg@x>\n"
		    "Delivered-To: a@mail.example\n" BY
		    "(Postern) with %s id 1A;\n\tMon, 23 Nov\n"
		    "Subject: x\n\n", words[i]);
		assert_true(is_needed(text));
	}
}

static void
test_others(void **state)
{
	static const char *const no[] = {
		"", "\n", "Subject: Gr\xc3\xbc\xc3\x9f" "e\n\n",
		BY "with SMTP id 1;\n date\n\n",
		BY "with ESMTPSA id 1;\n date\n\n",
		/* only the topmost is of the host that delivered it */
		BY "with ESMTP id 1;\n date\n"
		BY "with UTF8SMTP id 2;\n date\n\n",
		/* nor does a body */
		"Subject: x\n\n" BY "with UTF8SMTP id 1;\n date\n",
		"Subject: x\r\n\r\n" BY "with UTF8SMTP id 1;\n date\n",
		/* in a comment, a string, a date, or another field */
		BY "(with UTF8SMTP) with ESMTP;\n date\n\n",
		BY "((a) with UTF8SMTP) with ESMTP;\n date\n\n",
		BY "(\\) with UTF8SMTP ) with ESMTP;\n date\n\n",
		BY "for <\"with UTF8SMTP\"@x>;\n date\n\n",
		BY "for <\"\\\" with UTF8SMTP\"@x>;\n date\n\n",
		BY "with ESMTP; with UTF8SMTP\n\n",
		"X-Received: by x with UTF8SMTP;\n\n",
		"Received-By: x with UTF8SMTP;\n\n",
		/* names of hosts */
		"Received: from UTF8SMTP by with with ESMTP;\n\n",
		/* cut short */
		"Received", "Received:", BY "with", BY "(", BY "\"", BY "(\\"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		assert_false(is_needed(no[i]));
}

static void
test_forms(void **state)
{
	static const char *const yes[] = {
		/* as other programs write it */
		"Received: from x (y [192.0.2.1])\r\n"
		"\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n"
		"\tby mail.example (Postfix) with UTF8SMTPS id 4;\r\n\tMon\r\n",
		"received : by x WITH\n UTF8SMTP;\n\n",
		"Received: from with by x with UTF8SMTP id 1;\n\n",
		"no field\nReceived: by x with(a)UTF8LMTP(b);\n\n",
		" goes on\nStatus: RO\n" BY "with UTF8SMTP"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		assert_true(is_needed(yes[i]));
}

/* However long the header is, no more than its beginning is looked at. */
static void
test_bounded(void **state)
{
	static char text[2 * SURROGATE_LOOK + 512];
	size_t at;

	(void)state;
	for (at = 0; at < SURROGATE_LOOK - 200; at += 10)
		memcpy(text + at, "X: 345678\n", 10);
	strcpy(text + at, BY "with UTF8SMTP id 1;\n date\n\n");
	assert_true(is_needed(text));
	for (; at < SURROGATE_LOOK + 10; at += 10)
		memcpy(text + at, "X: 345678\n", 10);
	strcpy(text + at, BY "with UTF8SMTP id 1;\n date\n\n");
	assert_false(is_needed(text));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ours),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_bounded)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
