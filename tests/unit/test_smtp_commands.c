/* LINK: smtpd/session smtpd/commands smtpd/security smtpd/auth smtpd/parameters smtpd/receive smtpd/bdat smtpd/binary smtpd/mime_type smtpd/stubs smtpd/address smtpd/xtext smtpd/data wire/wire wire/sasl privsep/facts privsep/message privsep/log wire/utf8 */
/*
 * SMTP commands: every one in every state, and what arguments are taken; on
 * port 25 and where clients log in, in TLS and in the clear.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/security.h"
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

/* A submission session, where the worker has a signer and nobody logged in. */
static void
submit(uint32_t facts)
{
	setup(NULL);
	worker.facts.service = SERVICE_SUBMISSION;
	worker.facts.flags = facts;
	worker.signer = 9;
	fake_secure.is_needed = 1;
}

static void
submit_in_tls(void)
{
	submit(0);
	expect_code("EHLO c", "250");
	expect_code("STARTTLS", "220 2.0.0");
	expect_code("EHLO c", "250");
}

/* base64 of NUL name NUL "pw" */
#define PLAIN_ALICE	"AGFsaWNlAHB3"
#define PLAIN_NO	"AG5vAHB3"
#define PLAIN_WAIT	"AHdhaXQAcHc="
#define PLAIN_LAST	"AGxhc3QAcHc="
#define PLAIN_ODD	"AG9kZABwdw=="
#define PLAIN_DIE	"AGRpZQBwdw=="
/* root NUL alice NUL pw; alice NUL alice NUL pw */
#define PLAIN_OTHER	"cm9vdABhbGljZQBwdw=="
#define PLAIN_SELF	"YWxpY2UAYWxpY2UAcHc="

#define HEAD	"250-mail.example\r\n250-PIPELINING\r\n" \
		"250-SIZE 1000000\r\n250-8BITMIME\r\n" \
		"250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-DSN\r\n" \
		"250-ENHANCEDSTATUSCODES\r\n"
#define TAIL	"250-VRFY\r\n250 HELP"

/* EHLO says what can be done now, and that changes. */
static void
test_what_is_offered(void **unused)
{
	(void)unused;
	setup(NULL);
	worker.signer = 9;
	worker.facts.flags = FACT_PLAINTEXT;
	expect("EHLO c", HEAD "250-STARTTLS\r\n" TAIL);
	expect_code("STARTTLS", "220 2.0.0");
	expect("EHLO c", HEAD TAIL);
	submit(0);
	expect("EHLO c", HEAD "250-STARTTLS\r\n" TAIL);
	expect_code("STARTTLS", "220 2.0.0");
	expect("EHLO c", HEAD "250-AUTH PLAIN LOGIN\r\n" TAIL);
	expect_code("AUTH PLAIN " PLAIN_ALICE, "235 2.7.0");
	expect("EHLO c", HEAD TAIL);
	submit(FACT_PLAINTEXT);
	expect("EHLO c", HEAD "250-STARTTLS\r\n250-AUTH PLAIN LOGIN\r\n" TAIL);
	expect_code("AUTH PLAIN " PLAIN_ALICE, "235 2.7.0");
	expect("EHLO c", HEAD TAIL);
	expect_code("STARTTLS", "503 5.5.1 STARTTLS comes before AUTH");
	submit(FACT_PLAINTEXT);
	worker.signer = -1;
	expect("EHLO c", HEAD "250-AUTH PLAIN LOGIN\r\n" TAIL);
	submit(0);
	worker.signer = -1;
	expect("EHLO c", HEAD TAIL);
	worker.facts.service = SERVICE_SUBMISSIONS;
	session.is_tls = 1;
	expect("EHLO c", HEAD "250-AUTH PLAIN LOGIN\r\n" TAIL);
}

/* RFC 3207. */
static void
test_starttls(void **unused)
{
	(void)unused;
	setup(NULL);
	worker.signer = 9;
	expect_code("STARTTLS", "503 5.5.1");
	expect_code("HELO c", "250");
	expect_code("STARTTLS", "503 5.5.1 Say EHLO first");
	expect_code("EHLO c", "250");
	expect_code("STARTTLS now", "501 5.5.4");
	expect_code("MAIL FROM:<a@b>", "250");
	expect_code("RCPT TO:<a@b>", "250");
	/* All that was said before is forgotten, here and at the agent. */
	expect("starttls", "220 2.0.0 Ready to start TLS");
	assert_int_equal(fake.state, FAKE_IDLE);
	assert_int_equal(session.state, SMTP_START);
	assert_string_equal(session.helo, "");
	expect_code("MAIL FROM:<a@b>", "503 5.5.1");
	expect_code("STARTTLS", "503 5.5.1");
	expect_code("EHLO c", "250");
	expect_code("STARTTLS", "503 5.5.1 TLS is on already");
	assert_string_equal(session.tls, FAKE_TLS);
	expect_code("MAIL FROM:<a@b>", "250");
	assert_string_equal(fake.tls, FAKE_TLS);
	assert_int_equal(fake_secure.handshakes, 1);
	/* The peer did not agree. */
	setup(NULL);
	worker.signer = 9;
	fake_secure.handshake = WIRE_ERROR;
	expect_code("EHLO c", "250");
	expect_code("STARTTLS", "220 2.0.0");
	assert_true(session.is_over);
	assert_int_equal(session.is_tls, 0);
}

/* C2: whatever was already there, one octet is enough. */
static void
test_c2_injection(void **unused)
{
	(void)unused;
	submit(FACT_PLAINTEXT);
	expect_code("EHLO c", "250");
	session.wire.in_end = session.wire.in_start + 1;
	expect("STARTTLS", "220 2.0.0 Ready to start TLS");
	assert_true(session.is_over);
	assert_int_equal(session.is_tls, 0);
	assert_int_equal(fake_secure.handshakes, 0);
}

/* Nothing but LOGIN goes down the gate before login: the fake sees to it. */
static void
test_before_login(void **unused)
{
	static const char *const lines[] = { "MAIL FROM:<a@b>",
	    "RCPT TO:<a@b>", "DATA", "DATA x", "VRFY a", "VRFY", "MAIL" };
	static const char *const good[] = { "RSET", "NOOP x", "HELP" };
	size_t i, round;

	(void)unused;
	for (round = 0; round < 2; round++) {
		submit(0);
		for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
			expect(lines[i], "530 5.7.0 Must issue a STARTTLS "
			    "command first");
		expect_code("EHLO c", "250");
		for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
			expect(lines[i], "530 5.7.0 Must issue a STARTTLS "
			    "command first");
		if (round == 0) {
			submit_in_tls();
		} else {
			submit(FACT_PLAINTEXT);
			expect_code("EHLO c", "250");
		}
		for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
			expect(lines[i], "530 5.7.0 Authentication required");
		for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
			expect_code(good[i], "2");
		expect_code("AUTH PLAIN " PLAIN_ALICE, "235");
		expect_code("VRFY a", "252");
		expect_code("RCPT TO:<a@b>", "503");
		expect_code("MAIL FROM:<a@b>", "250");
		assert_string_equal(fake.tls, round == 0 ? FAKE_TLS : "");
		expect_code("AUTH PLAIN " PLAIN_ALICE, "503 5.5.1");
		expect_code("RCPT TO:<a@b>", "250");
		assert_int_equal(fake_secure.tries, 1);
	}
	submit(0);
	expect_code("QUIT", "221");
	assert_int_equal(asked, 0);
}

/* RFC 4954, with the response in the command. */
static void
test_auth(void **unused)
{
	static const struct {
		const char	*line;
		const char	*reply;
	} rows[] = {
		{ "AUTH PLAIN " PLAIN_ALICE,	"235 2.7.0" },
		{ "auth plain   " PLAIN_SELF "  ", "235 2.7.0" },
		{ "AUTH PLAIN " PLAIN_OTHER,	"535 5.7.8" },
		{ "AUTH PLAIN " PLAIN_NO,	"535 5.7.8" },
		{ "AUTH PLAIN " PLAIN_WAIT,	"454 4.7.0" },
		{ "AUTH PLAIN " PLAIN_LAST,	"535 5.7.8" },
		{ "AUTH PLAIN " PLAIN_ODD,	"421 4.3.0" },
		{ "AUTH PLAIN " PLAIN_DIE,	"421 4.3.0" },
		{ "AUTH",			"501 5.5.4" },
		{ "AUTH ",			"501 5.5.4" },
		{ "AUTH CRAM-MD5",		"504 5.5.4" },
		{ "AUTH PLAIN-X " PLAIN_ALICE,	"504 5.5.4" },
		{ "AUTH PLAIN AGFsaWNlAHB3x",	"501 5.5.2" },
		{ "AUTH PLAIN AGFs aWNlAHB3",	"501 5.5.2" },
		{ "AUTH PLAIN =",		"501 5.5.2" },
		{ "AUTH PLAIN !",		"501 5.5.2" },
		{ "AUTH PLAIN \303\244",	"501 5.5.2" },
		{ "AUTH PLAIN *",		"501 5." }
	};
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		submit_in_tls();
		expect_code(rows[i].line, rows[i].reply);
		assert_int_equal(session.is_logged_in,
		    rows[i].reply[0] == '2');
		assert_int_equal(session.errors, rows[i].reply[0] != '2' &&
		    strncmp(rows[i].reply, "421", 3) != 0);
		assert_int_equal(session.is_over, i >= 5 && i <= 7);
	}
	submit_in_tls();
	expect_code("AUTH PLAIN " PLAIN_ALICE, "235");
	assert_string_equal(fake_secure.name, "alice");
	assert_string_equal(fake_secure.secret, "pw");
	assert_string_equal(fake_secure.mechanism, "PLAIN");
	assert_string_equal(fake_secure.tls, FAKE_TLS);
	expect_code("AUTH PLAIN " PLAIN_ALICE, "503 5.5.1");
	submit_in_tls();
	expect("AUTH PLAIN " PLAIN_LAST, "535 5.7.8 Authentication failed\r\n"
	    "421 4.7.0 Too many failed logins");
}

/* When it is not offered. */
static void
test_auth_refused(void **unused)
{
	(void)unused;
	setup(NULL);
	worker.facts.flags = FACT_PLAINTEXT;
	expect_code("AUTH PLAIN " PLAIN_ALICE, "502 5.5.1");
	submit(0);
	expect_code("AUTH PLAIN " PLAIN_ALICE, "503 5.5.1");
	expect_code("EHLO c", "250");
	expect_code("AUTH PLAIN " PLAIN_ALICE, "538 5.7.11");
	expect_code("AUTH NONSENSE", "538 5.7.11");
	submit(FACT_PLAINTEXT);
	expect_code("HELO c", "250");
	expect_code("AUTH PLAIN " PLAIN_ALICE, "503 5.5.1");
	assert_int_equal(fake_secure.tries, 0);
}

/* A secret is not left in the line, however it was answered. */
static void
test_wiped(void **unused)
{
	static const char *const lines[] = { "AUTH PLAIN " PLAIN_ALICE,
	    "AUTH PLAIN " PLAIN_NO, "AUTH NO " PLAIN_ALICE,
	    "AUTH PLAIN " PLAIN_ALICE "!", "AUTH PLAIN  " PLAIN_OTHER,
	    PLAIN_ALICE, "PASS " PLAIN_ALICE, "ATUH PLAIN " PLAIN_ALICE };
	char line[128];
	size_t i, j, state;

	(void)unused;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		for (state = 0; state < 5; state++) {
			if (state == 0)
				setup(NULL);
			else if (state < 4)
				submit(state == 1 ? 0 : FACT_PLAINTEXT);
			else
				submit_in_tls();
			if (state == 3)
				expect_code("EHLO c", "250");
			memset(line, 0, sizeof(line));
			strlcpy(line, lines[i], sizeof(line));
			command_run(&session, line);
			for (j = 0; j + 3 < sizeof(line); j++)
				assert_int_not_equal(memcmp(line + j, "AG", 2),
				    0);
			assert_null(memmem(line, sizeof(line), "HB3", 3));
			assert_null(memmem(line, sizeof(line), "alice", 5));
		}
}

/* RFC 4954, 5: taken where AUTH was offered, and nothing comes of it. */
static void
test_mail_auth(void **unused)
{
	static const struct {
		const char	*line;
		const char	*code;
	} rows[] = {
		{ "MAIL FROM:<a@b> AUTH=<>",			"250 2.1.0" },
		{ "MAIL FROM:<a@b> auth=e+3Dmc2@b SIZE=4",	"250 2.1.0" },
		{ "MAIL FROM:<a@b> AUTH=x+2B",			"250 2.1.0" },
		{ "MAIL FROM:<a@b> AUTH=x+2b",			"501 5.5.4" },
		{ "MAIL FROM:<a@b> AUTH=x+2",			"501 5.5.4" },
		{ "MAIL FROM:<a@b> AUTH=x+",			"501 5.5.4" },
		{ "MAIL FROM:<a@b> AUTH=+GG",			"501 5.5.4" },
		{ "MAIL FROM:<a@b> AUTH=x=y",			"501 5.5.4" },
		{ "MAIL FROM:<a@b> AUTH=",			"501 5.5.4" },
		{ "MAIL FROM:<a@b> AUTH",			"501 5.5.4" },
		{ "MAIL FROM:<a@b> AUTH=<> AUTH=<>",		"501 5.5.4" }
	};
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		submit_in_tls();
		expect_code("AUTH PLAIN " PLAIN_ALICE, "235");
		expect_code(rows[i].line, rows[i].code);
	}
	submit_in_tls();
	expect_code("AUTH PLAIN " PLAIN_ALICE, "235");
	expect_code("HELO c", "250");
	expect_code("MAIL FROM:<a@b> AUTH=<>", "555 5.5.4");
}

/* C20: none of theirs is one of ours, and all of them end the session. */
static void
test_c20_verbs(void **unused)
{
	static const char *const verbs[] = { "GET / HTTP/1.1",
	    "POST / HTTP/1.1", "PUT /x HTTP/1.1", "OPTIONS * HTTP/1.1",
	    "CONNECT a:25 HTTP/1.1", "get /", "USER anonymous", "PASS guest",
	    "PASV", "EPSV", "PORT 127,0,0,1,0,25", "EPRT |1|::1|25|",
	    "RETR x", "STOR x", "LIST", "CWD /", "TYPE I", "SYST", "FEAT" };
	const struct command *command;
	size_t i, round;

	(void)unused;
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		for (round = 0; round < 3; round++) {
			if (round == 0)
				bring_to(SMTP_RCPT);
			else if (round == 1)
				submit(0);
			else
				submit_in_tls();
			expect(verbs[i], "421 4.7.0 This is a mail server");
			assert_true(session.is_over);
		}
	for (i = 0; (command = command_at(i)) != NULL; i++)
		assert_false(security_is_foreign(command->name));
}

int
main(void)
{
	const struct CMUnitTest command_tests[] = {
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
		cmocka_unit_test_setup(test_what_is_offered, setup),
		cmocka_unit_test_setup(test_starttls, setup),
		cmocka_unit_test_setup(test_c2_injection, setup),
		cmocka_unit_test_setup(test_before_login, setup),
		cmocka_unit_test_setup(test_auth, setup),
		cmocka_unit_test_setup(test_auth_refused, setup),
		cmocka_unit_test_setup(test_wiped, setup),
		cmocka_unit_test_setup(test_mail_auth, setup),
		cmocka_unit_test_setup(test_c20_verbs, setup),
	};

	return cmocka_run_group_tests_name("test_smtp_commands",
	    command_tests, NULL, NULL);
}
