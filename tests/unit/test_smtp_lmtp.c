/* LINK: smtpd/session smtpd/commands smtpd/security smtpd/auth smtpd/parameters smtpd/receive smtpd/bdat smtpd/binary smtpd/mime_type smtpd/stubs smtpd/address smtpd/xtext smtpd/data wire/wire wire/sasl privsep/facts privsep/message privsep/log wire/utf8 */
/*
 * LMTP (RFC 2033): LHLO, a reply for each recipient, and what there is not.
 */
#include "tests/smtp_session.h"

static int
setup_lmtp(void **state)
{
	(void)setup(state);
	service = SERVICE_LMTP;
	return 0;
}

static void
hello(void)
{
	begin();
	expect("220 mail.example LMTP Postern");
	say("LHLO c\r\n");
	expect("250 HELP");
}

static void
goodbye(void)
{
	say("QUIT\r\n");
	expect("221");
	expect("");
	end();
}

static void
test_what_there_is(void **state)
{
	static const char *const lines[] = { "HELO c", "EHLO c", "STARTTLS",
	    "AUTH PLAIN", "EXPN x" };
	char text[1024] = "";
	size_t i, len;

	(void)state;
	signer = 9;
	facts = FACT_PLAINTEXT;
	begin();
	expect("220");
	say("MAIL FROM:<a@b>\r\n");
	expect("503 5.5.1 Say LHLO first");
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		say(lines[i]);
		say("\r\n");
		expect("502 5.5.1");
	}
	say("LHLO c\r\n");
	for (len = 0; strstr(text, "250 HELP\r\n") == NULL; len++)
		assert_int_equal(recv(client, text + len, 1, 0), 1);
	assert_non_null(strstr(text, "250-PIPELINING\r\n"));
	assert_non_null(strstr(text, "250-ENHANCEDSTATUSCODES\r\n"));
	assert_non_null(strstr(text, "250-CHUNKING\r\n"));
	assert_null(strstr(text, "AUTH"));
	assert_null(strstr(text, "STARTTLS"));
	say("LHLO\r\nHELP\r\n");
	expect("501");
	expect("214 2.0.0 Commands: LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY "
	    "HELP QUIT");
	goodbye();
	/* Elsewhere there is no LHLO. */
	service = SERVICE_SMTP;
	greet();
	say("LHLO c\r\n");
	expect("502 5.5.1");
	goodbye();
}

/* As many replies as RCPT commands were answered with 250. */
static void
test_a_reply_for_each(void **state)
{
	int i;

	(void)state;
	hello();
	open_transaction("a");
	say("RCPT TO:<no@d>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@d>\r\n");
	expect("550");
	expect("250");
	expect("250");
	say("DATA\r\nx\r\n.\r\nNOOP\r\n");
	expect("354");
	for (i = 0; i < 3; i++)
		expect("250 2.0.0 octets=2 ");
	expect("250 2.0.0 Nothing");
	/* The same with BDAT, after the last piece only. */
	open_transaction("a");
	say("RCPT TO:<e@d>\r\nBDAT 3\r\nx\r\nBDAT 0 LAST\r\nNOOP\r\n");
	expect("250 2.1.5");
	expect("250 2.0.0 3 octets");
	for (i = 0; i < 2; i++)
		expect("250 2.0.0 octets=2 ");
	expect("250 2.0.0 Nothing");
	/* One transaction's are not the next one's. */
	open_transaction("a");
	say("RSET\r\n");
	expect("250");
	open_transaction("a");
	say("BDAT 0 LAST\r\nNOOP\r\n");
	expect("250 2.0.0 octets=0 ");
	expect("250 2.0.0 Nothing");
	goodbye();
}

/* A message that is not taken: each is told. */
static void
test_refused_for_each(void **state)
{
	static const struct { const char *sender, *data, *reply; } rows[] = {
		{ "a", "x\ny\r\n", "554 5.6.0" },
		{ "full", "x\r\n", "452 4.3.1" },
		{ "lost", "x\r\n", "451 4.3.0" }
	};
	char line[64];
	size_t i;

	(void)state;
	hello();
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		open_transaction(rows[i].sender);
		say("RCPT TO:<e@d>\r\nDATA\r\n");
		expect("250");
		expect("354");
		say(rows[i].data);
		say(".\r\nNOOP\r\n");
		expect(rows[i].reply);
		expect(rows[i].reply);
		expect("250 2.0.0 Nothing");
		open_transaction(rows[i].sender);
		snprintf(line, sizeof(line), "RCPT TO:<e@d>\r\n"
		    "BDAT %zu LAST\r\n%sNOOP\r\n", strlen(rows[i].data),
		    rows[i].data);
		say(line);
		expect("250");
		expect(rows[i].reply);
		expect(rows[i].reply);
		expect("250 2.0.0 Nothing");
	}
	/* A piece that is not the last one has one reply, good or not. */
	open_transaction("a");
	say("RCPT TO:<e@d>\r\nBDAT 4\r\nx\ny\nNOOP\r\n");
	expect("250");
	expect("554 5.6.0");
	expect("250 2.0.0 Nothing");
	/* The last one has as many as it is waited for, also if it is lost. */
	open_transaction("nodata");
	say("RCPT TO:<e@d>\r\nBDAT 3 LAST\r\nx\r\nNOOP\r\n");
	expect("250");
	expect("451 4.3.0 No disk");
	expect("451 4.3.0 No disk");
	expect("250 2.0.0 Nothing");
	open_transaction("nodata");
	say("RCPT TO:<e@d>\r\nBDAT 3\r\nx\r\nNOOP\r\n");
	expect("250");
	expect("451 4.3.0 No disk");
	expect("250 2.0.0 Nothing");
	/* No data, no recipients: one reply, as in SMTP. */
	open_transaction("nodata");
	say("RCPT TO:<e@d>\r\nDATA\r\n");
	expect("250");
	expect("451 4.3.0 No disk");
	say("RSET\r\nMAIL FROM:<a@b>\r\nDATA\r\nNOOP\r\n");
	expect("250");
	expect("250");
	expect("503 5.5.1 No valid recipients");
	expect("250 2.0.0 Nothing");
	goodbye();
}

int
main(void)
{
	const struct CMUnitTest lmtp_tests[] = {
		cmocka_unit_test_setup(test_what_there_is, setup_lmtp),
		cmocka_unit_test_setup(test_a_reply_for_each, setup_lmtp),
		cmocka_unit_test_setup(test_refused_for_each, setup_lmtp),
	};

	return cmocka_run_group_tests_name("test_smtp_lmtp", lmtp_tests, NULL,
	    NULL);
}
