/* LINK: smtpd/session smtpd/commands smtpd/security smtpd/auth smtpd/parameters smtpd/receive smtpd/bdat smtpd/binary smtpd/mime_type smtpd/stubs smtpd/address smtpd/xtext smtpd/data wire/wire wire/sasl privsep/facts privsep/message privsep/log wire/utf8 */
/*
 * What TLS and a login change in SMTP: what is offered, and taken, where
 * clients log in, in TLS and in the clear.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/security.h"
#include "tests/smtp_commands.h"

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
	expect("EHLO c", HEAD "250-EXPN\r\n" TAIL);
	submit(FACT_PLAINTEXT);
	expect("EHLO c", HEAD "250-STARTTLS\r\n250-AUTH PLAIN LOGIN\r\n" TAIL);
	expect_code("AUTH PLAIN " PLAIN_ALICE, "235 2.7.0");
	expect("EHLO c", HEAD "250-EXPN\r\n" TAIL);
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
	const struct CMUnitTest tests[] = {
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

	return cmocka_run_group_tests_name("test_smtp_login", tests, NULL,
	    NULL);
}
