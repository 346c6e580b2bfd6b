/* LINK: smtpd/session smtpd/commands smtpd/security smtpd/auth smtpd/parameters smtpd/receive smtpd/bdat smtpd/binary smtpd/mime_type smtpd/stubs smtpd/address smtpd/xtext smtpd/data wire/wire wire/sasl privsep/facts privsep/message privsep/log wire/utf8 */
/*
 * SMTP commands: every one in every state, and what arguments are taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/smtp_commands.h"

/* The whole of the protocol's sequence on one page. */
static void
test_every_command_in_every_state(void **unused)
{
	static const struct {
		const char	*line;
		const char	*replies[SMTP_STATES];
	} rows[] = {
		/*			START  READY  MAIL   RCPT   BDAT */
		{ "HELO c",		{ "250", "250", "250", "250", "250" } },
		{ "EHLO c",		{ "250", "250", "250", "250", "250" } },
		{ "EHLO",		{ "501", "501", "501", "501", "501" } },
		{ "MAIL FROM:<x@y>",	{ "503", "250", "503", "503", "503" } },
		{ "MAIL FROM:<no@y>",	{ "503", "550", "503", "503", "503" } },
		{ "MAIL junk",		{ "503", "501", "503", "503", "503" } },
		{ "RCPT TO:<x@y>",	{ "503", "503", "250", "250", "503" } },
		{ "RCPT TO:<no@y>",	{ "503", "503", "550", "550", "503" } },
		{ "RCPT junk",		{ "503", "503", "501", "501", "503" } },
		{ "DATA now",		{ "503", "503", "503", "501", "503" } },
		{ "RSET",		{ "250", "250", "250", "250", "250" } },
		{ "RSET x",		{ "501", "501", "501", "501", "501" } },
		{ "NOOP",		{ "250", "250", "250", "250", "250" } },
		{ "NOOP x y",		{ "250", "250", "250", "250", "250" } },
		{ "VRFY x",		{ "252", "252", "252", "252", "503" } },
		{ "VRFY",		{ "501", "501", "501", "501", "503" } },
		{ "HELP",		{ "214", "214", "214", "214", "214" } },
		{ "HELP MAIL",		{ "214", "214", "214", "214", "214" } },
		{ "QUIT",		{ "221", "221", "221", "221", "221" } },
		{ "QUIT x",		{ "501", "501", "501", "501", "501" } },
		{ "EXPN x",		{ "502", "502", "502", "502", "502" } },
		{ "STARTTLS",		{ "503", "454", "454", "454", "454" } },
		{ "STARTTLS x",		{ "503", "501", "501", "501", "501" } },
		{ "AUTH PLAIN",		{ "502", "502", "502", "502", "502" } },
		{ "GET / HTTP/1.1",	{ "421", "421", "421", "421", "421" } },
		{ "LHLO c",		{ "502", "502", "502", "502", "502" } },
		{ "BDAT 0",		{ "503", "503", "503", "250", "250" } },
		{ "BDAT 0 LAST",	{ "503", "503", "503", "250", "250" } },
		{ "BDAT x",		{ "501", "501", "501", "501", "501" } },
		{ "NONSENSE",		{ "500", "500", "500", "500", "500" } }
	};
	size_t i;
	int state;

	(void)unused;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (state = 0; state < SMTP_STATES; state++) {
			bring_to(state);
			expect_code(rows[i].line, rows[i].replies[state]);
		}
}

/* What is left of a transaction after each command in SMTP_RCPT. */
static void
test_state_afterwards(void **unused)
{
	static const struct {
		const char	*line;
		enum smtp_state	 state;
		enum fake_state	 fake;
	} rows[] = {
		{ "HELO c",		SMTP_READY, FAKE_IDLE },
		{ "EHLO c",		SMTP_READY, FAKE_IDLE },
		{ "EHLO \001",		SMTP_RCPT, FAKE_RCPT },
		{ "RSET",		SMTP_READY, FAKE_IDLE },
		{ "QUIT",		SMTP_READY, FAKE_IDLE },
		{ "NOOP",		SMTP_RCPT, FAKE_RCPT },
		{ "VRFY x",		SMTP_RCPT, FAKE_RCPT },
		{ "RCPT TO:<no@y>",	SMTP_RCPT, FAKE_RCPT },
		{ "RCPT TO:<x@y> X=1",	SMTP_RCPT, FAKE_RCPT },
		{ "MAIL FROM:<x@y>",	SMTP_RCPT, FAKE_RCPT },
		{ "DATA x",		SMTP_RCPT, FAKE_RCPT },
		{ "WHAT",		SMTP_RCPT, FAKE_RCPT }
	};
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bring_to(SMTP_RCPT);
		reply_to(rows[i].line);
		assert_int_equal(session.state, rows[i].state);
		assert_int_equal(fake.state, rows[i].fake);
	}
}

/* Without a transaction the agent isn't bothered. */
static void
test_abort_only_when_open(void **unused)
{
	(void)unused;
	bring_to(SMTP_READY);
	expect_code("RSET", "250 2.0.0");
	expect_code("EHLO c", "250");
	expect_code("QUIT", "221 2.0.0");
	assert_int_equal(asked, 0);
}

static void
test_greetings(void **unused)
{
	char line[SESSION_LINE_MAX] = "EHLO ";

	(void)unused;
	expect("HELO client", "250 mail.example");
	expect("EHLO client", "250-mail.example\r\n250-PIPELINING\r\n"
	    "250-SIZE 1000000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
	    "250-CHUNKING\r\n250-BINARYMIME\r\n250-DSN\r\n"
	    "250-ENHANCEDSTATUSCODES\r\n"
	    "250-VRFY\r\n250 HELP");
	expect_code("ehlo under_score", "250");
	expect_code("Ehlo 192.0.2.7", "250");
	expect_code("EHLO [192.0.2.7]", "250");
	expect_code("EHLO [IPv6:fe80::1%eth0]", "250");
	expect_code("EHLO -", "250");
	expect_code("EHLO  spaces   ", "250");
	assert_string_equal(session.helo, "spaces");
	expect_code("EHLO two words", "501 5.5.4");
	expect_code("EHLO a\tb", "501 5.5.4");
	expect_code("EHLO a\033", "501 5.5.4");
	expect_code("EHLO \303\244", "501 5.5.4");
	expect_code("EHLO ", "501 5.5.4");
	assert_string_equal(session.helo, "spaces");
	memset(line + 5, 'h', 255);
	expect_code(line, "250");
	line[5 + 255] = 'h';
	expect_code(line, "501 5.5.4");
}

static void
test_unknown(void **unused)
{
	(void)unused;
	expect_code("", "500 5.5.2");
	expect_code(" NOOP", "500 5.5.2");
	expect_code("NOOP\tx", "500 5.5.2");
	expect_code("NOOPX", "500 5.5.2");
	expect_code("NOO", "500 5.5.2");
	expect_code("250 OK", "500 5.5.2");
	expect_code("MAIL\303\244", "500 5.5.2");
	expect_code("nOoP", "250 2.0.0");
	expect_code("NOOP \t ", "250 2.0.0");
	assert_int_equal(session.errors, 7);
}

static const struct {
	const char	*line;
	const char	*code;
} mails[] = {
	{ "MAIL FROM:<>",			"250 2.1.0" },
	{ "mail from:<a@b>",			"250 2.1.0" },
	{ "MAIL FROM: <a@b>",			"250 2.1.0" },
	{ "MAIL FROM:   <a@b>   ",		"250 2.1.0" },
	{ "MAIL  FROM:<a@b>",			"250 2.1.0" },
	{ "MAIL FROM:<@r:a@b>",			"250 2.1.0" },
	{ "MAIL FROM:<\"a b\"@b>",		"250 2.1.0" },
	{ "MAIL FROM:<\"\"@b>",			"250 2.1.0" },
	{ "MAIL FROM:<a@b> SIZE=1",		"250 2.1.0" },
	{ "MAIL FROM:<a@b>   size=0  Body=7bit", "250 2.1.0" },
	{ "MAIL FROM:<a@b> SIZE=18446744073709551615", "250 2.1.0" },
	{ "MAIL FROM:<a@b> SIZE=00000000000000000001", "250 2.1.0" },
	{ "MAIL FROM:<a@b> BODY=8BITMIME SIZE=5", "250 2.1.0" },
	{ "MAIL FROM:<no@b>",			"550 5.1.1" },
	{ "MAIL FROM:<wait@b>",			"451 4.3.0" },
	{ "MAIL",				"501 5.5.4" },
	{ "MAIL <a@b>",				"501 5.5.4" },
	{ "MAIL FROM <a@b>",			"501 5.5.4" },
	{ "MAIL FROM :<a@b>",			"501 5.5.4" },
	{ "MAIL TO:<a@b>",			"501 5.5.4" },
	{ "MAIL FROM:",				"501 5.1.7" },
	{ "MAIL FROM:a@b",			"501 5.1.7" },
	{ "MAIL FROM:<a>",			"501 5.1.7" },
	{ "MAIL FROM:<postmaster>",		"501 5.1.7" },
	{ "MAIL FROM:<a@b",			"501 5.1.7" },
	{ "MAIL FROM:<\303\244@b>",		"553 5.6.7" },
	{ "MAIL FROM:<a\001@b>",		"501 5.1.7" },
	{ "MAIL FROM:<a@b>x",			"501 5.5.4" },
	{ "MAIL FROM:<a@b>SIZE=1",		"501 5.5.4" },
	{ "MAIL FROM:<a@b> SIZE",		"501 5.5.4" },
	{ "MAIL FROM:<a@b> SIZE=",		"501 5.5.4" },
	{ "MAIL FROM:<a@b> SIZE=x",		"501 5.5.4" },
	{ "MAIL FROM:<a@b> SIZE=-1",		"501 5.5.4" },
	{ "MAIL FROM:<a@b> SIZE=+1",		"501 5.5.4" },
	{ "MAIL FROM:<a@b> SIZE= 1",		"501 5.5.4" },
	{ "MAIL FROM:<a@b> SIZE=18446744073709551616", "501 5.5.4" },
	{ "MAIL FROM:<a@b> SIZE=99999999999999999999", "501 5.5.4" },
	{ "MAIL FROM:<a@b> SIZE=000000000000000000001", "501 5.5.4" },
	{ "MAIL FROM:<a@b> SIZE=1 SIZE=1",	"501 5.5.4" },
	{ "MAIL FROM:<a@b> BODY",		"501 5.5.4" },
	{ "MAIL FROM:<a@b> BODY=BINARY",	"501 5.5.4" },
	{ "MAIL FROM:<a@b> BODY=7BIT=8BITMIME",	"501 5.5.4" },
	{ "MAIL FROM:<a@b> =1",			"501 5.5.4" },
	{ "MAIL FROM:<a@b> -X=1",		"501 5.5.4" },
	{ "MAIL FROM:<a@b> X=\303\244",		"501 5.5.4" },
	{ "MAIL FROM:<a@b> AUTH=<>",		"555 5.5.4" },
	{ "MAIL FROM:<a@b> SIZ=1",		"555 5.5.4" },
	{ "MAIL FROM:<a@b> SIZES=1",		"555 5.5.4" }
};

static void
test_mail(void **unused)
{
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(mails) / sizeof(mails[0]); i++) {
		bring_to(SMTP_READY);
		expect_code(mails[i].line, mails[i].code);
		assert_int_equal(session.state, mails[i].code[0] == '2' ?
		    SMTP_MAIL : SMTP_READY);
	}
}

static void
test_what_the_agent_is_told(void **unused)
{
	(void)unused;
	bring_to(SMTP_READY);
	expect("MAIL FROM:<@r:\"a b\"@X.y> BODY=8BITMIME SIZE=77",
	    "250 2.1.0 Good");
	assert_string_equal(fake.helo, "client");
	assert_string_equal(fake.sender, "\"a b\"@X.y");
	assert_int_equal(fake.flags, MAIL_8BITMIME | MAIL_ESMTP);
	assert_int_equal(fake.size, 77);
	expect("RCPT TO:<PostMaster>", "250 2.1.5 Good");
	assert_string_equal(fake.recipient, "postmaster");
	expect("RCPT TO:<\"c\"@D>", "250 2.1.5 Good");
	assert_string_equal(fake.recipient, "c@D");
	expect_code("HELO other", "250");
	expect("MAIL FROM:<>", "250 2.1.0 Good");
	assert_string_equal(fake.helo, "other");
	assert_string_equal(fake.sender, "");
	assert_int_equal(fake.flags, 0);
	assert_int_equal(fake.size, 0);
}

static void
test_rcpt(void **unused)
{
	static const struct {
		const char	*line;
		const char	*code;
	} rows[] = {
		{ "RCPT TO:<a@b>",		"250 2.1.5" },
		{ "rcpt to: <a@b> ",		"250 2.1.5" },
		{ "RCPT TO:<Postmaster>",	"250 2.1.5" },
		{ "RCPT TO:<@r,@s:a@b>",	"250 2.1.5" },
		{ "RCPT TO:<a@[192.0.2.1]>",	"250 2.1.5" },
		{ "RCPT TO:<no@b>",		"550 5.1.1" },
		{ "RCPT TO:<wait@b>",		"451 4.3.0" },
		{ "RCPT",			"501 5.5.4" },
		{ "RCPT FROM:<a@b>",		"501 5.5.4" },
		{ "RCPT TO:<>",			"501 5.1.3" },
		{ "RCPT TO:<a>",		"501 5.1.3" },
		{ "RCPT TO:a@b",		"501 5.1.3" },
		{ "RCPT TO:<a@b>,<c@d>",	"501 5.5.4" },
		{ "RCPT TO:<a@b> <c@d>",	"501 5.5.4" },
		{ "RCPT TO:<\303\244@b>",	"553 5.6.7" },
		{ "RCPT TO:<a@b> SIZE=1",	"555 5.5.4" }
	};
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bring_to(SMTP_MAIL);
		expect_code(rows[i].line, rows[i].code);
		assert_int_equal(session.state, rows[i].code[0] == '2' ?
		    SMTP_RCPT : SMTP_MAIL);
	}
}

/* After HELO there are no parameters. */
static void
test_helo_without_parameters(void **unused)
{
	(void)unused;
	setup(NULL);
	expect_code("HELO c", "250");
	expect_code("MAIL FROM:<a@b> SIZE=1", "555 5.5.4");
	expect_code("MAIL FROM:<a@b>", "250");
	expect_code("RCPT TO:<a@b> NOTIFY=NEVER", "555 5.5.4");
}

static void
test_vrfy(void **unused)
{
	(void)unused;
	bring_to(SMTP_READY);
	expect("VRFY a", "252 2.5.2 Try it");
	expect("VRFY a@b", "252 2.5.2 Try it");
	expect("VRFY <a@b>", "252 2.5.2 Try it");
	expect("VRFY no", "550 5.1.1 No");
	expect_code("VRFY a b", "501 5.1.3");
	expect_code("VRFY <a@b> x", "501 5.1.3");
	expect_code("VRFY <>", "501 5.1.3");
	expect_code("VRFY \303\244", "553 5.6.7");
}

/* RFC 6531: said with MAIL, for the whole transaction and no longer. */
static void
test_smtputf8(void **unused)
{
	(void)unused;
	bring_to(SMTP_READY);
	expect_code("MAIL FROM:<\303\244@b>", "553 5.6.7");
	expect_code("MAIL FROM:<a@b> SMTPUTF8=1", "501 5.5.4");
	expect_code("MAIL FROM:<a@b> SMTPUTF8 smtputf8", "501 5.5.4");
	expect_code("MAIL FROM:<\303@b> SMTPUTF8", "501 5.1.7");
	expect_code("MAIL FROM:<a@b>", "250");
	expect_code("RCPT TO:<\303\244@b>", "553 5.6.7");
	expect_code("RCPT TO:<a@b> ORCPT=utf-8;\303\244", "501 5.5.4");
	expect_code("RSET", "250");
	expect_code("MAIL FROM:<\303\244@\303\244> BODY=8BITMIME smtputf8",
	    "250");
	assert_int_equal(fake.flags, MAIL_ESMTP | MAIL_8BITMIME |
	    MAIL_SMTPUTF8);
	assert_string_equal(fake.sender, "\303\244@\303\244");
	expect_code("RCPT TO:<\303\244@b> ORCPT=utf-8;\303\244+2B@b", "250");
	assert_string_equal(fake.recipient, "\303\244@b");
	assert_string_equal(fake.orcpt, "utf-8;\303\244+2B@b");
	expect_code("RCPT TO:<a@b> ORCPT=rfc822;\303\244", "501 5.5.4");
	expect_code("RCPT TO:<a@b> ORCPT=utf-8;\303", "501 5.5.4");
	expect_code("RCPT TO:<a@b> ORCPT=utf-8;a\302\205", "501 5.5.4");
	expect_code("RCPT TO:<\303@b>", "501 5.1.3");
	expect_code("RSET", "250");
	expect_code("MAIL FROM:<a@b>", "250");
	assert_int_equal(fake.flags, MAIL_ESMTP);
	expect_code("RCPT TO:<\303\244@b>", "553 5.6.7");
	expect_code("VRFY \303\244", "553 5.6.7");
	expect_code("VRFY \303\244 SMTPUTF8", "252");
	expect_code("VRFY <a@\303\244>  smtputf8", "252");
	expect_code("VRFY SMTPUTF8", "252");
	expect_code("VRFY \303 SMTPUTF8", "501");
	expect_code("HELO c", "250");
	expect_code("MAIL FROM:<a@b> SMTPUTF8", "555");
	expect_code("MAIL FROM:<\303\244@b>", "553 5.6.7");
}

/* Where clients are known, and there after login. */
static void
test_expn(void **unused)
{
	static const enum service services[] = { SERVICE_LOCAL,
	    SERVICE_SUBMISSION };
	const char *answer;
	size_t i, lines;

	(void)unused;
	bring_to(SMTP_READY);
	expect_code("EXPN a", "502 5.5.1");
	for (i = 0; i < 2; i++) {
		setup(NULL);
		worker.facts.service = services[i];
		if (services[i] == SERVICE_SUBMISSION) {
			expect_code("EXPN a", "530 5.7.0");
			session.is_logged_in = fake_secure.is_done = 1;
		}
		expect("EXPN a", "250-2.1.5 <member0@d>\r\n"
		    "250-2.1.5 <member1@d>\r\n250 2.1.5 <member2@d>");
		expect("EXPN no", "550 5.1.1 No");
		expect_code("EXPN", "501 5.5.4");
		expect_code("EXPN a b", "501 5.1.3");
		expect_code("EXPN odd", "421 4.3.0");
		/* Not without end. */
		answer = reply_to("EXPN <list@d>");
		for (lines = 1; (answer = strstr(answer, "\r\n")) != NULL;
		    answer += 2)
			lines++;
		assert_int_equal(lines, 1000);
	}
}

/* An agent that is gone or out of its mind: 421, and nothing was accepted. */
static void
test_gate_fails(void **unused)
{
	static const char *const locals[] = { "die", "odd", "code", "early" };
	char line[64];
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(locals) / sizeof(locals[0]); i++) {
		bring_to(SMTP_READY);
		snprintf(line, sizeof(line), "MAIL FROM:<%s@b>", locals[i]);
		expect_code(line, "421 4.3.0");
		assert_true(session.is_over);
		assert_int_equal(session.state, SMTP_READY);
		bring_to(SMTP_RCPT);
		snprintf(line, sizeof(line), "RCPT TO:<%s@b>", locals[i]);
		expect_code(line, "421 4.3.0");
		assert_true(session.is_over);
		assert_int_equal(session.state, SMTP_READY);
	}
	bring_to(SMTP_READY);
	expect("MAIL FROM:<bye@b>", "421 4.3.2 Going");
	assert_true(session.is_over);
}

static void
test_verdicts(void **unused)
{
	static const char *const bad[] = { "2", "2.1", "2.1.", "2.1.0.", ".1.0",
	    "22.1.0", "2.1234.0", "2.1.0 ", "a.b.c" };
	struct verdict verdict = { 250, "2.1.0", "Fine" };
	size_t i;
	int c;

	(void)unused;
	assert_true(verdict_is_legal(&verdict));
	verdict.enhanced[0] = '\0';
	assert_true(verdict_is_legal(&verdict));
	strlcpy(verdict.enhanced, "5.123.456", sizeof(verdict.enhanced));
	assert_true(verdict_is_legal(&verdict));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		strlcpy(verdict.enhanced, bad[i], sizeof(verdict.enhanced));
		assert_false(verdict_is_legal(&verdict));
	}
	verdict.enhanced[0] = '\0';
	for (c = 1; c < 256; c++) {
		verdict.text[1] = (char)c;
		assert_int_equal(verdict_is_legal(&verdict),
		    c >= 32 && c < 127);
	}
	verdict.text[1] = 'i';
	verdict.code = 199;
	assert_false(verdict_is_legal(&verdict));
	verdict.code = 600;
	assert_false(verdict_is_legal(&verdict));
}

/* Commands that are offered are in HELP, each with a handler. */
static void
test_table(void **unused)
{
	const struct command *command, *other;
	size_t i, j;

	(void)unused;
	for (i = 0; (command = command_at(i)) != NULL; i++) {
		assert_non_null(command->handler);
		assert_true(command->states != 0);
		assert_true(command->states < 1U << SMTP_STATES);
		assert_ptr_equal(command_find(command->name), command);
		for (j = 0; (other = command_at(j)) != NULL; j++)
			assert_true(i == j ||
			    strcmp(command->name, other->name) != 0);
	}
	assert_null(command_find(""));
	expect("HELP", "214 2.0.0 Commands: HELO EHLO MAIL RCPT DATA BDAT "
	    "RSET NOOP VRFY HELP QUIT");
	worker.signer = 9;
	worker.facts.service = SERVICE_SUBMISSION;
	expect("HELP", "214 2.0.0 Commands: HELO EHLO STARTTLS AUTH MAIL RCPT "
	    "DATA BDAT RSET NOOP VRFY EXPN HELP QUIT");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_every_command_in_every_state,
		    setup),
		cmocka_unit_test_setup(test_state_afterwards, setup),
		cmocka_unit_test_setup(test_abort_only_when_open, setup),
		cmocka_unit_test_setup(test_greetings, setup),
		cmocka_unit_test_setup(test_unknown, setup),
		cmocka_unit_test_setup(test_mail, setup),
		cmocka_unit_test_setup(test_what_the_agent_is_told, setup),
		cmocka_unit_test_setup(test_rcpt, setup),
		cmocka_unit_test_setup(test_helo_without_parameters, setup),
		cmocka_unit_test_setup(test_vrfy, setup),
		cmocka_unit_test_setup(test_smtputf8, setup),
		cmocka_unit_test_setup(test_expn, setup),
		cmocka_unit_test_setup(test_gate_fails, setup),
		cmocka_unit_test_setup(test_verdicts, setup),
		cmocka_unit_test_setup(test_table, setup),
	};

	return cmocka_run_group_tests_name("test_smtp_commands", tests, NULL,
	    NULL);
}
