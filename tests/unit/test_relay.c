/* LINK: RELAY */
/* LIBS: -lssl -lcrypto */
/*
 * test_relay: what is said to a remote host that behaves, octet by octet, and
 * what the queue is told of it.
 */
#include "tests/relay_host.h"

#define LETTER		"Subject: hi\n\nline\n.dot\n"
#define LETTER_DATA	"Subject: hi\r\n\r\nline\r\n..dot\r\n.\r\n"
#define LETTER_BDAT	"Subject: hi\r\n\r\nline\r\n.dot\r\n"

static int
setup(void **state)
{
	(void)state;
	mail_reset();
	relay_start(MINUTES5);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	return relay_stop();
}

static void
test_step_by_step(void **state)
{
	(void)state;
	host_greet("mx.example.org greets you");
	assert_int_equal(greeted.extensions, RELAY_HAS_ESMTP);
	assert_string_equal(greeted.tls, "");
	ask_to("alice@example.org");
	ask_to("carol@example.org");
	ask_send(LETTER, 2);
	host_expect("MAIL FROM:<bob@example.net>\r\n");
	assert_true(host_is_silent());
	host_say("250 ok");
	host_expect("RCPT TO:<alice@example.org>\r\n");
	assert_true(host_is_silent());
	host_say("250 ok");
	host_expect("RCPT TO:<carol@example.org>\r\n");
	host_say("250 ok");
	host_expect("DATA\r\n");
	assert_true(host_is_silent());
	host_say("354 go on");
	host_expect(LETTER_DATA);
	assert_true(host_is_silent());
	host_say("250 2.6.0 queued as 1234");
	get_sent(2);
	assert_int_equal(settled[0].verdict, DELIVERED);
	assert_int_equal(settled[1].verdict, DELIVERED);
	assert_int_equal(settled[1].stage, RELAY_AT_END);
	assert_int_equal(settled[1].code, 250);
	assert_string_equal(settled[1].status, "2.6.0");
	assert_string_equal(settled[1].text, "queued as 1234");
	assert_true(sent.is_reusable);
	assert_int_equal(sent.octets, strlen(LETTER_BDAT));
	host_bye();
}

static void
test_pipelined(void **state)
{
	(void)state;
	host_greet("mx,PIPELINING,SIZE 1000");
	assert_int_equal(greeted.size_limit, 1000);
	ask_to("alice@example.org");
	ask_to("carol@example.org");
	ask_send(LETTER, 2);
	host_expect("MAIL FROM:<bob@example.net> SIZE=27\r\n"
	    "RCPT TO:<alice@example.org>\r\nRCPT TO:<carol@example.org>\r\n"
	    "DATA\r\n");
	host_say("250 ok\r\n550 5.1.1 no alice\r\n250 ok\r\n354 go");
	host_expect(LETTER_DATA);
	host_say("250 queued");
	get_sent(2);
	assert_int_equal(settled[0].verdict, DELIVERY_FAILED);
	assert_int_equal(settled[0].stage, RELAY_AT_RCPT);
	assert_string_equal(settled[0].status, "5.1.1");
	assert_int_equal(settled[1].verdict, DELIVERED);
	/* another letter, by the same connection, without RSET */
	ask_to("dave@example.org");
	ask_send("x\n", 1);
	host_expect("MAIL FROM:<bob@example.net> SIZE=3\r\n"
	    "RCPT TO:<dave@example.org>\r\nDATA\r\n");
	host_say("250 ok\r\n450 later\r\n354 go");
	/* nobody is left: an empty letter for nobody */
	host_expect(".\r\n");
	host_say("554 no valid recipients");
	get_sent(1);
	assert_int_equal(settled[0].verdict, DELIVERY_DEFERRED);
	assert_int_equal(sent.octets, 0);
	assert_true(sent.is_reusable);
	/* refused as it should be: the transaction is open, and ended */
	ask_to("dave@example.org");
	ask_send("x\n", 1);
	host_expect("MAIL FROM:<bob@example.net> SIZE=3\r\n"
	    "RCPT TO:<dave@example.org>\r\nDATA\r\n");
	host_say("250 ok\r\n450 later\r\n503 no recipients");
	get_sent(1);
	ask_to("erin@example.org");
	ask_send("x\n", 1);
	host_expect("RSET\r\nMAIL FROM:<bob@example.net> SIZE=3\r\n"
	    "RCPT TO:<erin@example.org>\r\nDATA\r\n");
	host_say("250 ok\r\n250 ok\r\n250 ok\r\n354 go");
	host_expect("x\r\n.\r\n");
	host_say("250 ok");
	get_sent(1);
	assert_int_equal(settled[0].verdict, DELIVERED);
	host_bye();
}

static void
test_mail_refused(void **state)
{
	(void)state;
	host_greet("mx,PIPELINING");
	ask_to("alice@example.org");
	ask_to("carol@example.org");
	ask_send("x\n", 2);
	host_expect("MAIL FROM:<bob@example.net>\r\n"
	    "RCPT TO:<alice@example.org>\r\nRCPT TO:<carol@example.org>\r\n"
	    "DATA\r\n");
	host_say("550-5.7.1 you\r\n550 5.7.1 again\r\n503 MAIL first\r\n"
	    "250 ok\r\n503 no");
	get_sent(2);
	assert_int_equal(settled[1].verdict, DELIVERY_FAILED);
	assert_int_equal(settled[1].stage, RELAY_AT_MAIL);
	assert_string_equal(settled[1].text, "you again");
	assert_true(sent.is_reusable);
	ask_to("alice@example.org");
	ask_send("x\n", 1);
	host_expect("MAIL FROM:<bob@example.net>\r\n"
	    "RCPT TO:<alice@example.org>\r\nDATA\r\n");
	host_say("450 later\r\n503 MAIL first\r\n354 go");
	host_expect(".\r\n");
	host_say("250 thanks for nothing");
	get_sent(1);
	assert_int_equal(settled[0].verdict, DELIVERY_DEFERRED);
	assert_string_equal(settled[0].status, "4.0.0");
	host_bye();
}

static void
test_one_by_one_refused(void **state)
{
	(void)state;
	host_greet("mx");
	ask_to("alice@example.org");
	ask_send("x\n", 1);
	host_expect("MAIL FROM:<bob@example.net>\r\n");
	host_say("451 later");
	get_sent(1);
	assert_int_equal(settled[0].stage, RELAY_AT_MAIL);
	ask_to("alice@example.org");
	ask_to("carol@example.org");
	ask_send("x\n", 2);
	host_expect("MAIL FROM:<bob@example.net>\r\n");
	host_say("250 ok");
	host_expect("RCPT TO:<alice@example.org>\r\n");
	host_say("552 too many");
	host_expect("RCPT TO:<carol@example.org>\r\n");
	host_say("552 5.2.2 mailbox full");
	/* no DATA for nobody */
	get_sent(2);
	assert_int_equal(settled[0].verdict, DELIVERY_DEFERRED);
	assert_int_equal(settled[0].code, 552);
	assert_int_equal(settled[1].verdict, DELIVERY_FAILED);
	ask_to("alice@example.org");
	ask_send("x\n", 1);
	host_expect("RSET\r\n");
	host_say("250 ok");
	host_expect("MAIL FROM:<bob@example.net>\r\n");
	host_say("250 ok");
	host_expect("RCPT TO:<alice@example.org>\r\n");
	host_say("250 ok");
	host_expect("DATA\r\n");
	host_say("554 5.7.1 no");
	get_sent(1);
	assert_int_equal(settled[0].verdict, DELIVERY_FAILED);
	assert_int_equal(settled[0].stage, RELAY_AT_DATA);
	host_bye();
}

static void
test_helo(void **state)
{
	(void)state;
	ask_greet(RELAY_SMTP, RELAY_TLS_MAY, "");
	host_say("220-old\r\n220-host\r\n220 here");
	host_expect("EHLO me.example\r\n");
	host_say("500 what");
	host_expect("HELO me.example\r\n");
	host_say("250-PIPELINING\r\n250 SIZE");
	get_greeted();
	assert_int_equal(greeted.verdict, RELAY_READY);
	assert_int_equal(greeted.extensions, 0);
	mail.ret = RET_FULL;
	mail.envid = "x";
	ask_to_with("alice@example.org", NOTIFY_NEVER, "rfc822;a@b");
	ask_send("x\n", 1);
	host_expect("MAIL FROM:<bob@example.net>\r\n");
	host_say("250 ok");
	host_expect("RCPT TO:<alice@example.org>\r\n");
}

static void
test_parameters(void **state)
{
	(void)state;
	host_greet("mx,PIPELINING,SIZE,8BITMIME,SMTPUTF8,DSN");
	mail.ret = RET_HDRS;
	mail.envid = "id+2B1";
	mail.from = "";
	ask_to_with("alice@example.org", NOTIFY_SUCCESS | NOTIFY_DELAY,
	    "rfc822;a+2Bb@example.org");
	ask_to_with("\"a b\"@example.org", NOTIFY_NEVER, "");
	ask_send("Subject: hi\n\nno\xc3\xabl\n", 2);
	host_expect("MAIL FROM:<> SIZE=22 BODY=8BITMIME RET=HDRS "
	    "ENVID=id+2B1\r\nRCPT TO:<alice@example.org> NOTIFY=SUCCESS,DELAY "
	    "ORCPT=rfc822;a+2Bb@example.org\r\n"
	    "RCPT TO:<\"a b\"@example.org> NOTIFY=NEVER\r\nDATA\r\n");
	host_say("250 ok\r\n550 no\r\n550 no\r\n503 no");
	get_sent(2);
	/* SMTPUTF8 where the header or an address is, and not before */
	mail_reset();
	mail.flags = MAIL_SMTPUTF8;
	ask_to("alice@example.org");
	ask_send("Subject: no\xc3\xabl\n\nx\n", 1);
	host_expect("RSET\r\nMAIL FROM:<bob@example.net> SIZE=21 BODY=8BITMIME "
	    "SMTPUTF8\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n");
	host_say("250 ok\r\n250 ok\r\n550 no\r\n503 no");
	get_sent(1);
}

static void
test_utf8_wanted(void **state)
{
	(void)state;
	host_greet("mx,PIPELINING,SMTPUTF8,8BITMIME");
	mail.flags = MAIL_SMTPUTF8;
	ask_to("alice@example.org");
	ask_send("Subject: x\n\nno\xc3\xabl\n", 1);
	host_expect("MAIL FROM:<bob@example.net> BODY=8BITMIME\r\n"
	    "RCPT TO:<alice@example.org>\r\nDATA\r\n");
	host_say("250 ok\r\n550 no\r\n503 no");
	get_sent(1);
	ask_to("no\xc3\xabl@example.org");
	ask_send("x\n", 1);
	host_expect("RSET\r\nMAIL FROM:<bob@example.net> SMTPUTF8\r\n"
	    "RCPT TO:<no\xc3\xabl@example.org>\r\nDATA\r\n");
}

/* What SMTPUTF8 was not said for is in ASCII (RFC 6533 section 3). */
static void
test_utf8_orcpt(void **state)
{
	char orcpt[RELAY_ORCPT_MAX] = "utf-8;";

	(void)state;
	host_greet("mx,PIPELINING,SMTPUTF8,8BITMIME,DSN");
	ask_to_with("alice@example.org", 0,
	    "utf-8;+2B\xc3\xab\xe2\x82\xac\xf0\x9f\x98\x80@example.org");
	while (strlen(orcpt) < 200)
		strlcat(orcpt, "\xc3\xab", sizeof(orcpt));
	ask_to_with("bob@example.org", 0, orcpt);
	ask_send("x\n", 2);
	host_expect("MAIL FROM:<bob@example.net>\r\n"
	    "RCPT TO:<alice@example.org> "
	    "ORCPT=utf-8;+2B\\x{EB}\\x{20AC}\\x{1F600}@example.org\r\n"
	    "RCPT TO:<bob@example.org>\r\nDATA\r\n");
	host_say("250 ok\r\n550 no\r\n550 no\r\n503 no");
	get_sent(2);
	ask_to_with("no\xc3\xabl@example.org", 0, "utf-8;\xc3\xab@b");
	ask_send("x\n", 1);
	host_expect("RSET\r\nMAIL FROM:<bob@example.net> SMTPUTF8\r\n"
	    "RCPT TO:<no\xc3\xabl@example.org> ORCPT=utf-8;\xc3\xab@b\r\n"
	    "DATA\r\n");
}

/* What a host lacks: no word of it is said. */
static void
test_does_not_fit(void **state)
{
	(void)state;
	host_greet("mx,PIPELINING,SIZE 20");
	ask_to("alice@example.org");
	ask_send("Subject: x\n\n123456\n", 1);
	get_sent(1);
	assert_string_equal(settled[0].status, "5.3.4");
	assert_int_equal(settled[0].stage, RELAY_AT_START);
	assert_int_equal(settled[0].code, 0);
	ask_to("alice@example.org");
	ask_send("Subject: x\n\n\xff\n", 1);
	get_sent(1);
	assert_string_equal(settled[0].status, "5.6.3");
	mail.from = "no\xc3\xabl@example.net";
	ask_to("alice@example.org");
	ask_send("x\n", 1);
	get_sent(1);
	assert_string_equal(settled[0].status, "5.6.7");
	/* of two recipients one: the other gets it */
	mail_reset();
	mail.flags = MAIL_8BITMIME;
	ask_to("no\xc3\xabl@example.org");
	ask_to("alice@example.org");
	ask_send("x\n", 2);
	host_expect("MAIL FROM:<bob@example.net> SIZE=3\r\n"
	    "RCPT TO:<alice@example.org>\r\nDATA\r\n");
	host_say("250 ok\r\n250 ok\r\n354 go");
	host_expect("x\r\n.\r\n");
	host_say("250 ok");
	get_sent(2);
	assert_string_equal(settled[0].status, "5.6.7");
	assert_int_equal(settled[1].verdict, DELIVERED);
	assert_true(sent.is_reusable);
	host_bye();
}

/* A host that has had enough letters on one connection: a new one, then. */
static void
test_enough(void **state)
{
	(void)state;
	host_greet("mx,PIPELINING");
	ask_to("alice@example.org");
	ask_send("x\n", 1);
	host_expect("MAIL FROM:<bob@example.net>\r\n"
	    "RCPT TO:<alice@example.org>\r\nDATA\r\n");
	host_say("250 ok\r\n250 ok\r\n354 go");
	host_expect("x\r\n.\r\n");
	host_say("250 ok");
	get_sent(1);
	ask_to("alice@example.org");
	ask_send("x\n", 1);
	host_expect("MAIL FROM:<bob@example.net>\r\n"
	    "RCPT TO:<alice@example.org>\r\nDATA\r\n");
	host_say("421 4.7.0 too many");
	get_sent(1);
	assert_int_equal(settled[0].verdict, DELIVERY_DEFERRED);
	assert_int_equal(settled[0].stage, RELAY_AT_START);
	assert_int_equal(settled[0].code, 421);
	assert_false(sent.is_reusable);
}

/* BDAT waits for RCPT, and is for nobody never. */
static void
test_chunking(void **state)
{
	(void)state;
	host_greet("mx,PIPELINING,CHUNKING,8BITMIME");
	ask_to("alice@example.org");
	ask_to("carol@example.org");
	ask_send(LETTER, 2);
	host_expect("MAIL FROM:<bob@example.net>\r\n"
	    "RCPT TO:<alice@example.org>\r\n"
	    "RCPT TO:<carol@example.org>\r\n");
	assert_true(host_is_silent());
	host_say("250 ok\r\n550 no\r\n250 ok");
	host_expect("BDAT 27 LAST\r\n" LETTER_BDAT);
	host_say("452 4.3.1 full");
	get_sent(2);
	assert_int_equal(settled[1].verdict, DELIVERY_DEFERRED);
	assert_int_equal(settled[1].stage, RELAY_AT_END);
	ask_to("alice@example.org");
	ask_send("x", 1);
	host_expect("RSET\r\nMAIL FROM:<bob@example.net>\r\n"
	    "RCPT TO:<alice@example.org>\r\n");
	host_say("250 ok\r\n250 ok\r\n550 no");
	get_sent(1);
	ask_to("alice@example.org");
	ask_send("\x80", 1);
	host_expect("RSET\r\nMAIL FROM:<bob@example.net> BODY=8BITMIME\r\n"
	    "RCPT TO:<alice@example.org>\r\n");
	host_say("250 ok\r\n250 ok\r\n250 ok");
	host_expect("BDAT 3 LAST\r\n\x80\r\n");
	host_say("250 ok");
	get_sent(1);
	assert_int_equal(settled[0].verdict, DELIVERED);
	host_bye();
}

static void
test_lmtp(void **state)
{
	(void)state;
	ask_greet(RELAY_LMTP, RELAY_TLS_NONE, "");
	host_say("220 lmtp");
	host_expect("LHLO me.example\r\n");
	host_say("250-here\r\n250 PIPELINING");
	get_greeted();
	assert_int_equal(greeted.verdict, RELAY_READY);
	ask_to("alice");
	ask_to("bob");
	ask_to("carol");
	ask_to("dave");
	ask_send("x\n", 4);
	host_expect("MAIL FROM:<bob@example.net>\r\nRCPT TO:<alice>\r\n"
	    "RCPT TO:<bob>\r\nRCPT TO:<carol>\r\nRCPT TO:<dave>\r\nDATA\r\n");
	host_say("250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n250 ok\r\n354 go");
	host_expect("x\r\n.\r\n");
	host_say("250 2.1.5 alice has it");
	host_say("552 5.2.2 carol has no room");
	host_say("451 4.2.0 dave is not there");
	get_sent(4);
	assert_int_equal(settled[0].verdict, DELIVERED);
	assert_int_equal(settled[1].verdict, DELIVERY_FAILED);
	assert_int_equal(settled[1].stage, RELAY_AT_RCPT);
	assert_int_equal(settled[2].verdict, DELIVERY_FAILED);
	assert_string_equal(settled[2].text, "carol has no room");
	assert_int_equal(settled[3].verdict, DELIVERY_DEFERRED);
	assert_true(sent.is_reusable);
	/* closed in the middle: only they may have it who were told of */
	ask_to("alice");
	ask_to("bob");
	ask_send("x\n", 2);
	host_expect("MAIL FROM:<bob@example.net>\r\nRCPT TO:<alice>\r\n"
	    "RCPT TO:<bob>\r\nDATA\r\n");
	host_say("250 ok\r\n250 ok\r\n250 ok\r\n354 go");
	host_expect("x\r\n.\r\n");
	host_say("250 2.1.5 alice has it");
	shutdown(host, SHUT_RDWR);
	get_sent(2);
	assert_int_equal(settled[0].verdict, DELIVERED);
	assert_int_equal(settled[1].verdict, DELIVERY_DEFERRED);
	assert_int_equal(settled[1].stage, RELAY_AT_END);
	assert_int_equal(settled[1].code, 0);
	assert_false(sent.is_reusable);
}

/* More than goes into one window: answers come in between. */
static void
test_window(void **state)
{
	char path[320], line[400];
	int i;

	(void)state;
	host_greet("mx,PIPELINING");
	memset(path, 'a', 60);
	for (i = 60; i < 300; i++)
		path[i] = i % 60 == 0 ? '.' : 'b';
	path[60] = '@';
	path[300] = '\0';
	for (i = 0; i < RELAY_TO_MAX; i++)
		ask_to(path);
	ask_send("x\n", RELAY_TO_MAX);
	host_expect_line("MAIL FROM:<bob@example.net>");
	snprintf(line, sizeof(line), "RCPT TO:<%s>", path);
	for (i = 0; (i + 1) * (int)(strlen(line) + 2) < 16384; i++)
		host_expect_line(line);
	host_expect_line(line);
	assert_true(host_is_silent());
	for (i = 0; i < 1 + 53; i++)
		host_say("250 ok");
	for (i = 53; i < RELAY_TO_MAX; i++)
		host_expect_line(line);
	host_expect_line("DATA");
	for (i = 53; i < RELAY_TO_MAX; i++)
		host_say("250 ok");
	host_say("354 go");
	host_expect("x\r\n.\r\n");
	host_say("250 ok");
	get_sent(RELAY_TO_MAX);
	for (i = 0; i < RELAY_TO_MAX; i++)
		assert_int_equal(settled[i].verdict, DELIVERED);
}

/* A request that would bend a command, or comes at the wrong time. */
static void
faults(void)
{
	char c;

	assert_int_equal(recv(gate, &c, 1, 0), 0);
	assert_int_equal(relay_stop(), 3);
	relay_start(MINUTES5);
}

static void
test_C5_requests(void **state)
{
	static const char *const paths[] = {
		"", "a\r\nDATA", "a@b> NOTIFY=NEVER", "a@b\x01", "<a@b", "a b",
		"\"a@b", "a\"@b", "a\\", "a\x7f",
	};
	static const char *const orcpts[] = {
		"rfc822;a b", "rfc822;a\r\n", "x", "rfc822;a=b",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		host_greet("mx");
		ask_to(paths[i]);
		faults();
	}
	for (i = 0; i < sizeof(orcpts) / sizeof(orcpts[0]); i++) {
		host_greet("mx");
		ask_to_with("a@b", 0, orcpts[i]);
		faults();
	}
	host_greet("mx");
	mail.from = "a@b> SIZE=1";
	ask_to("a@b");
	ask_send("x\n", 1);
	faults();
	mail_reset();
	host_greet("mx");
	mail.envid = "a b";
	ask_to("a@b");
	ask_send("x\n", 1);
	faults();
	mail_reset();
	host_greet("mx");
	ask_to("a@b");
	ask_send("x\n", 2);	/* not as many as there were */
	faults();
	host_greet("mx");
	ask_send("x\n", 0);
	faults();
	host_greet("mx");
	mail.length = 100;	/* more than the file has */
	ask_to("a@b");
	ask_send("x\n", 1);
	faults();
	mail_reset();
	ask_to("a@b");		/* before GREET */
	faults();
}

/* The queue ends before the end of the letter: it does not go out. */
static void
test_queue_ends(void **state)
{
	(void)state;
	host_greet("mx,PIPELINING");
	ask_to("alice@example.org");
	ask_send("x\n", 1);
	host_expect("MAIL FROM:<bob@example.net>\r\n"
	    "RCPT TO:<alice@example.org>\r\nDATA\r\n");
	close(gate);
	gate = -1;
	host_expect_end();
}

static void
ask_to_hurry(void)
{
	struct message m;

	message_begin(&m, REQ_HURRY);
	assert_int_equal(message_send(gate, &m), 0);
}

/* It is to break off, and does: but not when the letter's end is out. */
static void
test_hurried(void **state)
{
	(void)state;
	host_greet("mx,PIPELINING");
	ask_to("alice@example.org");
	ask_send("x\n", 1);
	host_expect("MAIL FROM:<bob@example.net>\r\n"
	    "RCPT TO:<alice@example.org>\r\nDATA\r\n");
	host_say("250 ok\r\n250 ok\r\n354 go");
	host_expect("x\r\n.\r\n");
	ask_to_hurry();
	host_is_silent();
	host_say("250 2.0.0 taken");
	get_one();
	assert_int_equal(settled[0].verdict, DELIVERED);
}

static void
test_hurried_before(void **state)
{
	(void)state;
	host_greet("mx,PIPELINING");
	ask_to("alice@example.org");
	ask_send("x\n", 1);
	host_expect("MAIL FROM:<bob@example.net>\r\n"
	    "RCPT TO:<alice@example.org>\r\nDATA\r\n");
	host_say("250 ok");
	ask_to_hurry();
	get_one();
	assert_int_equal(settled[0].verdict, DELIVERY_DEFERRED);
	assert_int_equal(settled[0].code, 0);
	assert_int_not_equal(settled[0].stage, RELAY_AT_END);
	host_expect_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_step_by_step),
		T(test_pipelined),
		T(test_mail_refused),
		T(test_one_by_one_refused),
		T(test_helo),
		T(test_parameters),
		T(test_utf8_wanted), T(test_utf8_orcpt),
		T(test_does_not_fit), T(test_enough),
		T(test_chunking),
		T(test_lmtp),
		T(test_window),
		T(test_C5_requests),
		T(test_queue_ends), T(test_hurried), T(test_hurried_before),
	};

	return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
