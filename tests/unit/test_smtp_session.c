/* LINK: smtpd/session smtpd/commands smtpd/security smtpd/auth smtpd/parameters smtpd/receive smtpd/bdat smtpd/binary smtpd/mime_type smtpd/stubs smtpd/address smtpd/xtext smtpd/data wire/wire wire/sasl privsep/facts privsep/message privsep/log wire/utf8 */
/*
 * Whole SMTP sessions, from the greeting to the end (C1, C16).
 */
#include "tests/smtp_session.h"

static void
test_one_letter(void **state)
{
	struct message m;
	char line[LOG_LINE_MAX];

	(void)state;
	begin();
	expect("220 mail.example ESMTP Postern");
	say("EHLO c\r\n");
	expect("250 HELP");
	say("MAIL FROM:<a@b>\r\n");
	expect("250 2.1.0 Good");
	say("RCPT TO:<c@d>\r\n");
	expect("250 2.1.5 Good");
	say("DATA\r\n");
	expect("354 Go ahead");
	say("Subject: x\r\n\r\n..dot\r\n.\r\n");
	expect("250 2.0.0 octets=17 sum=d24fc2fc recipients=1");
	say("DATA\r\n");
	expect("503 5.5.1");
	say("QUIT\r\n");
	expect("221 2.0.0");
	expect("");
	assert_int_equal(message_wait(log_end, &m, 0, 60000), 1);
	assert_int_equal(m.type, CH_LOG);
	get_u32(&m);
	get_str(&m, line, sizeof(line));
	assert_non_null(strstr(line,
	    "event=disconnect commands=6 messages=1 errors=1 helo=c tls=none"));
	end();
}

/* All in one piece, two letters, and content that looks like commands. */
static void
test_pipelined(void **state)
{
	(void)state;
	begin();
	say("EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<no@d>\r\n"
	    "RCPT TO:<e@d>\r\nDATA\r\nQUIT\r\nMAIL FROM:<x@y>\r\n..\r\n.\r\n"
	    "MAIL FROM:<full@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n"
	    "NOOP\r\nRSET\r\nQUIT\r\nNOOP\r\n");
	expect("220");
	expect("250");
	expect("250 2.1.0");
	expect("250 2.1.5");
	expect("550 5.1.1");
	expect("250 2.1.5");
	expect("354");
	expect("250 2.0.0 octets=23 ");
	expect("250 2.1.0");
	expect("250 2.1.5");
	expect("354");
	expect("452 4.3.1 Full");
	expect("250 2.0.0 Nothing");
	expect("250 2.0.0 Forgotten");
	expect("221");
	expect("");
	end();
}

/* C1: every sequence but CR LF dot CR LF is content, and faulty content. */
static void
test_c1_faulty_data(void **state)
{
	static const struct {
		const char	*text;
		size_t		 len;
	} bad[] = { { "a\n.\nb", 5 }, { "a\r.\rb", 5 }, { "a\n.\r\nb", 6 },
	    { "a\r\n.\nb", 6 }, { "a\r\n.\rb", 6 }, { "a\r.\r\nb", 6 },
	    { "a\0b", 3 }, { "a\r\n.\0\r\nb", 8 }, { "a\r\n\0.\r\nb", 8 },
	    { "a\r\r\n.\r\r\nb", 9 } };
	static const char *const faults[] = { "LF", "CR", "LF", "LF", "CR",
	    "CR", "NUL", "NUL", "NUL", "CR" };
	char answer[64];
	size_t i;

	(void)state;
	greet();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		open_transaction("a");
		say("DATA\r\n");
		expect("354");
		say_octets(bad[i].text, bad[i].len);
		say("\r\nQUIT\r\n.\r\nNOOP\r\nDATA\r\n");
		snprintf(answer, sizeof(answer), "554 5.6.0 Message contains "
		    "a %s%s", faults[i][0] == 'N' ? "" : "bare ", faults[i]);
		expect(answer);
		expect("250 2.0.0 Nothing");
		/* C3: nothing is left of the transaction. */
		expect("503 5.5.1");
		if (i == 6) {
			/* Before the errors are too many. */
			say("QUIT\r\n");
			expect("221");
			end();
			greet();
		}
	}
	say("QUIT\r\n");
	expect("221");
	end();
}

static void
test_data_refused(void **state)
{
	(void)state;
	greet();
	open_transaction("nodata");
	say("DATA\r\n");
	expect("451 4.3.0 No disk");
	say("RSET\r\n");
	expect("250");
	open_transaction("lost");
	say("DATA\r\nx\r\n.\r\nNOOP\r\n");
	expect("354");
	expect("451 4.3.0");
	expect("250 2.0.0 Nothing");
	say("DATA\r\n");
	expect("503");
	say("QUIT\r\n");
	expect("221");
	end();
}

/* The agent fails in the middle: 421, never 250. */
static void
test_gate_fails(void **state)
{
	static const char *const senders[] = { "late", "nopipe", "yesdata" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(senders) / sizeof(senders[0]); i++) {
		greet();
		open_transaction(senders[i]);
		say("DATA\r\nx\r\n.\r\nNOOP\r\n");
		if (i == 0)
			expect("354");
		expect("421 4.3.0");
		expect("");
		end();
	}
	greet();
	say("MAIL FROM:<die@b>\r\nQUIT\r\n");
	expect("421 4.3.0");
	expect("");
	end();
}

static void
test_bad_lines(void **state)
{
	static char line[SESSION_LINE_MAX + 100];

	(void)state;
	greet();
	say("NOOP\nNOOP\r\n");
	expect("500 5.5.2");
	say("NOOP\rNOOP\r\n");
	expect("500 5.5.2");
	say_octets("NOOP\0NOOP\r\n", 11);
	expect("500 5.5.2");
	say("\r\n");
	expect("500 5.5.2");
	memset(line, 'x', sizeof(line));
	memcpy(line, "NOOP ", 5);
	memcpy(line + SESSION_LINE_MAX - 2, "\r\n", 3);
	say(line);
	expect("250 2.0.0");
	memset(line + SESSION_LINE_MAX - 2, 'x', 10);
	memcpy(line + SESSION_LINE_MAX - 1, "\r\n", 3);
	say(line);
	expect("500 5.5.2 Line too long");
	say("QUIT\r\n");
	expect("221");
	end();
}

static void
test_limits(void **state)
{
	int i;

	(void)state;
	repeat_until("WHAT\r\n", (int)config.max_errors, "500", "421 4.7.0");
	repeat_until("NOOP\r\n", SESSION_IDLE_MAX - 1, "250", "421 4.7.0");
	repeat_until("MAIL FROM:<no@b>\r\n", SESSION_REFUSALS_MAX, "550",
	    "421 4.7.0");
	/* With messages in between nobody is stopped. */
	greet();
	for (i = 0; i < SESSION_IDLE_MAX + 10; i++) {
		open_transaction("a");
		say("NOOP\r\nDATA\r\nx\r\n.\r\n");
		expect("250 2.0.0 Nothing");
		expect("354");
		expect("250 2.0.0 octets=2 ");
	}
	say("QUIT\r\n");
	expect("221");
	end();
}

/* C20: a browser made to talk to us learns nothing and does nothing. */
static void
test_c20_other_protocols(void **state)
{
	(void)state;
	begin();
	say("POST / HTTP/1.1\r\nHost: mail.example\r\n\r\nEHLO c\r\n"
	    "MAIL FROM:<a@b>\r\n");
	expect("220");
	expect("421 4.7.0");
	expect("");
	end();
}

static void
test_timeout(void **state)
{
	(void)state;
	config.idle_timeout = 1;
	begin();
	expect("220");
	expect("421 4.4.2");
	expect("");
	end();
	greet();
	open_transaction("a");
	say("DATA\r\nx\r\n");
	expect("354");
	expect("421 4.4.2");
	expect("");
	end();
}

/* The master ends us because our time is over, or because its own is. */
static void
test_late(void **state)
{
	struct message m;

	(void)state;
	greet();
	message_begin(&m, CH_LATE);
	assert_int_equal(message_send(master, &m), 0);
	expect("421 4.4.2");
	expect("");
	end();
}

static void
test_shutdown(void **state)
{
	(void)state;
	greet();
	close(master);
	expect("421 4.3.2");
	expect("");
	master = -1;
	end();
	greet();
	open_transaction("a");
	say("DATA\r\nx\r\n");
	expect("354");
	close(master);
	expect("421 4.3.2");
	expect("");
	master = -1;
	end();
}

/* The client goes away anywhere: nothing is committed, nobody aborts. */
static void
test_client_leaves(void **state)
{
	static const char dialogue[] = "EHLO c\r\nMAIL FROM:<a@b>\r\n"
	    "RCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r";
	size_t len;

	(void)state;
	for (len = 0; len < sizeof(dialogue); len += 3) {
		begin();
		say_octets(dialogue, len);
		assert_int_equal(shutdown(client, SHUT_WR), 0);
		while (reply()[0] != '\0')
			;
		end();
	}
}

static void
test_large(void **state)
{
	const size_t size = 8 * 1024 * 1024;
	char *text = malloc(size), answer[64];
	size_t i;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', size);
	/* One line of a megabyte, then shorter ones. */
	for (i = 1024 * 1024; i < size; i += 64)
		memcpy(text + i, "\r\n..", 4);
	memcpy(text + size - 2, "\r\n", 2);
	greet();
	open_transaction("a");
	say("DATA\r\n");
	expect("354");
	say_octets(text, size);
	say(".\r\nQUIT\r\n");
	/* Each line end is an octet less, and so is each stuffed dot. */
	i = (size - 1024 * 1024) / 64;
	snprintf(answer, sizeof(answer), "250 2.0.0 octets=%zu ",
	    size - 2 * i - 1);
	expect(answer);
	expect("221");
	end();
	free(text);
}

/* C16: a hundred seconds a second: nobody is cut off in the first minutes. */
static void
test_c16_slow_data(void **state)
{
	int i;

	(void)state;
	haste = 100;
	config.idle_timeout = 1000000;
	greet();
	open_transaction("a");
	say("DATA\r\n");
	expect("354");
	for (i = 0; i < 4; i++) {
		say("slow\r\n");
		usleep(200000);
	}
	say(".\r\n");
	expect("250 2.0.0 octets=20 ");
	say("QUIT\r\n");
	expect("221");
	end();
}

/* A thousand seconds a second: then whoever goes on so is. */
static void
test_c16_too_slow_data(void **state)
{
	int i;

	(void)state;
	haste = 1000;
	config.idle_timeout = 1000000;
	greet();
	open_transaction("a");
	say("DATA\r\n");
	expect("354");
	for (i = 0; i < 100; i++) {
		say("x");
		usleep(10000);
	}
	expect("421 4.4.2 Data comes too slowly");
	end();
}

/* Far beyond the limit we don't wait for the end. */
static void
test_far_too_big(void **state)
{
	const size_t size = 1024 * 1024;
	char *text = malloc(size);
	int i;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', size);
	config.message_size_limit = 1;
	greet();
	open_transaction("a");
	say("DATA\r\n");
	expect("354");
	for (i = 0; i < 66; i++)
		say_octets(text, size);
	expect("552 5.3.4");
	end();
	free(text);
}

int
main(void)
{
	const struct CMUnitTest session_tests[] = {
		cmocka_unit_test_setup(test_one_letter, setup),
		cmocka_unit_test_setup(test_pipelined, setup),
		cmocka_unit_test_setup(test_c1_faulty_data, setup),
		cmocka_unit_test_setup(test_data_refused, setup),
		cmocka_unit_test_setup(test_gate_fails, setup),
		cmocka_unit_test_setup(test_bad_lines, setup),
		cmocka_unit_test_setup(test_limits, setup),
		cmocka_unit_test_setup(test_c20_other_protocols, setup),
		cmocka_unit_test_setup(test_timeout, setup),
		cmocka_unit_test_setup(test_late, setup),
		cmocka_unit_test_setup(test_shutdown, setup),
		cmocka_unit_test_setup(test_client_leaves, setup),
		cmocka_unit_test_setup(test_large, setup),
		cmocka_unit_test_setup(test_c16_slow_data, setup),
		cmocka_unit_test_setup(test_c16_too_slow_data, setup),
		cmocka_unit_test_setup(test_far_too_big, setup),
	};

	return cmocka_run_group_tests_name("test_smtp_session",
	    session_tests, NULL, NULL);
}
