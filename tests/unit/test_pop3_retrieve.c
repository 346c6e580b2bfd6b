/* LINK: pop3d/session pop3d/login pop3d/commands pop3d/maildrop pop3d/stubs pop3d/transaction pop3d/retrieve pop3d/content pop3d/surrogate pop3d/capabilities pop3d/agent pop3d/policy mailbox/state mailbox/path wire/utf8 wire/octets wire/mbox_filter wire/wire wire/sasl privsep/message privsep/gates privsep/log privsep/facts */
/*
 * test_pop3_retrieve: messages on their way out: RETR and TOP, what is asked
 * for ahead, and messages that can't be had.
 */
#include "pop3_session.h"

static void
test_top(void **state)
{
	(void)state;
	dialogue(LOGIN "TOP 1 0\r\nTOP 1 1\r\nTOP 1 99999999999\r\n"
	    "TOP 2 1\r\nTOP 3 1\r\nTOP 1\r\nTOP 1 -1\r\n");
	assert_heard_after_login(
	    "+OK top of message\r\nSubject: one\r\n\r\n.\r\n"
	    "+OK top of message\r\nSubject: one\r\n\r\nbody\r\n.\r\n"
	    "+OK top of message\r\nSubject: one\r\n\r\nbody\r\n.\r\n"
	    "+OK top of message\r\n..dot\r\n...\r\n\r\nx\r\n.\r\n"
	    "+OK top of message\r\nS: three\r\n\r\nno end\r\n.\r\n"
	    "-ERR wrong arguments\r\n-ERR wrong arguments\r\n");
}

static void
test_header_only(void **state)
{
	static const char *one[] = { "Subject: nothing" };

	(void)state;
	fake.contents = one;
	fake.count = 1;
	dialogue(LOGIN "TOP 1 0\r\nRETR 1\r\n");
	assert_heard("+OK send PASS\r\n+OK 1 messages (20 octets)\r\n"
	    "+OK top of message\r\nSubject: nothing\r\n\r\n.\r\n"
	    "+OK 20 octets\r\nSubject: nothing\r\n\r\n.\r\n");
}

/* Of an mbox only what is mail: counted so by the agent, sent so by us. */
static void
test_mbox(void **state)
{
	static const char *contents[] = {
		"Subject: a\nStatus: RO\n more\nX-UID: 1\n\n>From b\n.c\n",
		"Status: R\n\n>>From d\n.\n>", ""
	};
	static const uint64_t octets[] = { 26, 17, 2 };
	static struct mailbox_ops mbox;

	(void)state;
	fake.contents = contents;
	fake.octets = octets;
	fake.count = 3;
	mbox = fake_ops;
	mbox.content = CONTENT_MBOX;
	fake.agent.ops = &mbox;
	dialogue(LOGIN "RETR 1\r\nTOP 1 1\r\nRETR 2\r\nTOP 2 9\r\n"
	    "RETR 3\r\nTOP 3 1\r\n");
	assert_heard("+OK send PASS\r\n+OK 3 messages (45 octets)\r\n"
	    "+OK 26 octets\r\nSubject: a\r\n\r\nFrom b\r\n..c\r\n.\r\n"
	    "+OK top of message\r\nSubject: a\r\n\r\nFrom b\r\n.\r\n"
	    "+OK 17 octets\r\n\r\n>From d\r\n..\r\n>\r\n.\r\n"
	    "+OK top of message\r\n\r\n>From d\r\n..\r\n>\r\n.\r\n"
	    "+OK 2 octets\r\n\r\n.\r\n+OK top of message\r\n\r\n.\r\n");
}

/* RFC 6856, 4: what came by SMTPUTF8 is ASCII until UTF8 was said. */
static void
test_surrogate(void **state)
{
	static const char *two[] = {
	    "Received: by h with UTF8SMTP;\nS: \xc3\xbc\n\n\xc3\xbc\n",
	    "Received: by h with ESMTP;\nS: \xc3\xbc\n\n\xc3\xbc\n" };

	(void)state;
	fake.contents = two;
	fake.count = 2;
	dialogue(LOGIN "RETR 1\r\nTOP 1 0\r\nTOP 1 1\r\nRETR 2\r\nUTF8\r\n"
	    "RETR 1\r\nTOP 1 0\r\n");
	assert_heard("+OK send PASS\r\n+OK 2 messages (85 octets)\r\n"
	    "+OK 44 octets\r\nReceived: by h with UTF8SMTP;\r\nS: ??\r\n\r\n"
	    "\xc3\xbc\r\n.\r\n"
	    "+OK top of message\r\nReceived: by h with UTF8SMTP;\r\nS: ??\r\n"
	    "\r\n.\r\n"
	    "+OK top of message\r\nReceived: by h with UTF8SMTP;\r\nS: ??\r\n"
	    "\r\n\xc3\xbc\r\n.\r\n"
	    "+OK 41 octets\r\nReceived: by h with ESMTP;\r\nS: \xc3\xbc\r\n"
	    "\r\n\xc3\xbc\r\n.\r\n"
	    "+OK UTF-8 mode\r\n"
	    "+OK 44 octets\r\nReceived: by h with UTF8SMTP;\r\nS: \xc3\xbc"
	    "\r\n\r\n\xc3\xbc\r\n.\r\n"
	    "+OK top of message\r\nReceived: by h with UTF8SMTP;\r\n"
	    "S: \xc3\xbc\r\n\r\n.\r\n");
}

/* Never a wrong count in silence: no dot, and the session is over. */
static void
test_message_changed(void **state)
{
	static const uint64_t more[] = { 22, 19, 20 }, less[] = { 22, 9, 20 };

	(void)state;
	fake.octets = more;
	dialogue(LOGIN "RETR 2\r\nNOOP\r\n");
	assert_non_null(strstr(output, "+OK 19 octets\r\n..dot\r\n"));
	assert_null(strstr(output, "\r\n.\r\n"));
	/* The agent is told, also when others have been asked for. */
	assert_int_equal(fake.done->recounted, 2);
	fake.octets = less;
	dialogue(LOGIN "RETR 2\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n");
	assert_non_null(strstr(output, "+OK 9 octets\r\n"));
	assert_null(strstr(output, "\r\n.\r\n"));
}

static void
test_message_gone(void **state)
{
	static const char *gone[] = { "a\n", NULL, "b\n" };
	static const uint64_t octets[] = { 3, 3, 3 };

	(void)state;
	fake.contents = gone;
	fake.octets = octets;
	dialogue(LOGIN "RETR 1\r\nRETR 2\r\nRETR 3\r\nQUIT\r\n");
	assert_heard("+OK send PASS\r\n+OK 3 messages (9 octets)\r\n"
	    "+OK 3 octets\r\na\r\n.\r\n-ERR message is gone\r\n"
	    "+OK 3 octets\r\nb\r\n.\r\n+OK goodbye\r\n");
	fake.fetch_errno = EIO;
	dialogue(LOGIN "RETR 1\r\nTOP 1 1\r\nQUIT\r\n");
	assert_signs("++--+");
}

/* A disk error on one message; the others can be had. */
static void
test_unreadable(void **state)
{
	(void)state;
	fake.unreadable = 2;
	dialogue(LOGIN "RETR 2\r\nTOP 2 1\r\nRETR 3\r\nDELE 3\r\nQUIT\r\n");
	assert_heard("+OK send PASS\r\n+OK 3 messages (60 octets)\r\n"
	    "-ERR [SYS/TEMP] message can not be read now\r\n"
	    "-ERR [SYS/TEMP] message can not be read now\r\n"
	    "+OK 20 octets\r\nS: three\r\n\r\nno end\r\n.\r\n"
	    "+OK message 3 deleted\r\n+OK goodbye\r\n");
	assert_logged("event=maildrop-failed what=read");
	assert_int_equal(fake.done->bitmap[0], 4);
}

/* More messages than one reply, one block of the index, one bitmap piece. */
static void
test_many_messages(void **state)
{
	static const char *many[FAKE_MAX];
	char input[8192] = LOGIN, *p;
	size_t i;

	(void)state;
	for (i = 0; i < FAKE_MAX; i++)
		many[i] = "m\n";
	fake.contents = many;
	fake.count = FAKE_MAX;
	for (i = 1; i <= 40; i++)
		snprintf(input + strlen(input), 32, "RETR %zu\r\n", i);
	strlcat(input, "DELE 9999\r\nLIST\r\nQUIT\r\n", sizeof(input));
	dialogue(input);
	assert_int_equal(fake.done->fetches, 3);	/* 16, 16, 8 and more */
	assert_int_equal(fake.done->bitmap[9998 / 8], 1 << (9998 % 8));
	assert_non_null(strstr(output, "\r\n9998 5\r\n10000 5\r\n.\r\n"));
	p = strstr(output, "+OK 9999 messages (49995 octets)\r\n1 5\r\n2 5\r\n");
	assert_non_null(p);
}

/* A client that waits for each reply gets more ahead each time. */
static void
test_fetched_ahead(void **state)
{
	static const char *many[100];
	struct maildrop d;
	struct fetched f;
	enum pop3_open verdict;
	uint32_t i;

	(void)state;
	for (i = 0; i < 100; i++)
		many[i] = "m\n";
	fake.contents = many;
	fake.count = 100;
	assert_int_equal(maildrop_ask(&d, -1), 0);
	assert_int_equal(maildrop_open(&d, &verdict), 0);
	for (i = 1; i <= 100; i++) {
		assert_int_equal(maildrop_fetch(&d, i, 0, &f), 0);
		assert_int_equal(f.verdict, FETCH_OK);
		close(f.fd);
	}
	/* 1, 2, 4, 8, then 16 */
	assert_int_equal(fake.done->fetches, 10);
	assert_int_equal(maildrop_fetch(&d, 7, 0, &f), 0);
	close(f.fd);
	assert_int_equal(d.run, 1);
	maildrop_close(&d);
}

static void
fetch_to(struct maildrop *d, uint32_t first, uint32_t last)
{
	struct fetched f;
	char content[8];

	for (; first <= last; first++) {
		assert_int_equal(maildrop_fetch(d, first, 1, &f), 0);
		assert_int_equal(f.verdict, FETCH_OK);
		assert_int_equal(pread(f.fd, content, sizeof(content),
		    (off_t)f.offset), f.length);
		assert_int_equal(content[0], 'a' + first % 26);
		close(f.fd);
	}
}

/* The next run is asked for before this one has ended. */
static void
test_asked_ahead(void **state)
{
	static const char *many[100];
	static char contents[100][3];
	struct maildrop d;
	enum pop3_open verdict;
	uint32_t i, failed;

	(void)state;
	for (i = 0; i < 100; i++) {
		contents[i][0] = (char)('a' + (i + 1) % 26);
		contents[i][1] = '\n';
		many[i] = contents[i];
	}
	fake.contents = many;
	fake.count = 100;
	assert_int_equal(maildrop_ask(&d, -1), 0);
	assert_int_equal(maildrop_open(&d, &verdict), 0);
	fetch_to(&d, 1, 8);
	assert_int_equal(fake.done->fetches, 1);
	fetch_to(&d, 9, 9);
	assert_int_equal(fake.done->fetches, 2);
	assert_int_equal(d.asked_first, 17);
	fetch_to(&d, 10, 24);
	assert_int_equal(fake.done->fetches, 2);
	fetch_to(&d, 25, 25);
	/* Out of order: what was asked for is of use, or is thrown away. */
	fetch_to(&d, 40, 48);
	assert_int_equal(fake.done->fetches, 4);
	fetch_to(&d, 3, 3);
	assert_int_equal(fake.done->fetches, 5);
	assert_int_equal(d.asked_count, 0);
	fetch_to(&d, 80, 90);
	assert_int_equal(d.asked_first, 96);
	assert_int_equal(d.asked_count, 5);
	assert_int_equal(maildrop_delete(&d, 1), 0);
	assert_int_equal(maildrop_expunge(&d, 0, &failed), 0);
	assert_int_equal(fake.done->bitmap[0], 1);
	maildrop_close(&d);
}

static void
test_large_message(void **state)
{
	static char text[1 << 20];
	static const char *one[] = { text };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(text) - 1; i++)
		text[i] = i % 61 == 60 ? '\n' : i % 61 == 0 ? '.' : 'x';
	fake.contents = one;
	fake.count = 1;
	dialogue(LOGIN "RETR 1\r\nQUIT\r\n");
	/* One more octet a line for its LF, one for its dot. */
	assert_true(output_len > sizeof(text) + 2 * (sizeof(text) / 61));
	assert_string_equal(output + output_len - 18,
	    "\r\n.\r\n+OK goodbye\r\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SESSION_TEST(test_top),
		SESSION_TEST(test_header_only),
		SESSION_TEST(test_mbox),
		SESSION_TEST(test_surrogate),
		SESSION_TEST(test_message_changed),
		SESSION_TEST(test_message_gone),
		SESSION_TEST(test_unreadable),
		SESSION_TEST(test_many_messages),
		SESSION_TEST(test_fetched_ahead),
		SESSION_TEST(test_asked_ahead),
		SESSION_TEST(test_large_message)
	};

	return cmocka_run_group_tests_name("pop3_retrieve", tests, NULL, NULL);
}
