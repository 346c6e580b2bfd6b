/* LINK: smtpd/session smtpd/commands smtpd/security smtpd/auth smtpd/parameters smtpd/receive smtpd/bdat smtpd/binary smtpd/mime_type smtpd/stubs smtpd/address smtpd/xtext smtpd/data wire/wire wire/sasl privsep/facts privsep/message privsep/log wire/utf8 */
/*
 * Whole SMTP sessions with a handshake or a login in them (C2, C3).
 */
#include "tests/smtp_session.h"
#include "wire/sasl.h"

static void
test_starttls(void **state)
{
	(void)state;
	signer = 9;
	greet();
	open_transaction("a");
	say("STARTTLS\r\n");
	expect("220 2.0.0");
	say(FAKE_HELLO);
	/* As new: no greeting, no HELO, no transaction, nobody known. */
	say("RCPT TO:<c@d>\r\n");
	expect("503 5.5.1");
	say("MAIL FROM:<a@b>\r\n");
	expect("503 5.5.1");
	say("EHLO c\r\n");
	expect("250 HELP");
	open_transaction("a");
	say("DATA\r\nx\r\n.\r\nQUIT\r\n");
	expect("354");
	expect("250 2.0.0 octets=2 ");
	expect("221");
	expect_log("tls=\"" FAKE_TLS "\"");
	expect_close_notify();
	end();
	/* Another end than QUIT: it is said, and what comes is drained. */
	greet();
	say("STARTTLS\r\n");
	expect("220 2.0.0");
	say(FAKE_HELLO "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	expect("421 4.7.0");
	expect_close_notify();
	end();
}

/* C2: in the same segment, or just behind it: nothing of it is obeyed. */
static void
test_c2_injection(void **state)
{
	static const char *const behind[] = { "NOOP\r\n", "\r\n", "x",
	    "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n",
	    FAKE_HELLO };
	char text[128];
	size_t i;

	(void)state;
	signer = 9;
	for (i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
		greet();
		snprintf(text, sizeof(text), "STARTTLS\r\n%s", behind[i]);
		say(text);
		expect("220 2.0.0");
		expect("");
		expect_log("event=starttls-injection");
		expect_log("tls=none");
		end();
		if (strcmp(behind[i], FAKE_HELLO) == 0)
			continue;
		greet();
		say("STARTTLS\r\n");
		expect("220 2.0.0");
		say(behind[i]);
		if (strlen(behind[i]) < 5)
			assert_int_equal(shutdown(client, SHUT_WR), 0);
		expect("");
		expect_log("event=tls-failed");
		end();
	}
}

static void
test_handshake_fails(void **state)
{
	(void)state;
	/* TLS at once: not an octet in the clear. */
	service = SERVICE_SUBMISSIONS;
	signer = 9;
	begin();
	say("EHLO client\r\n");
	expect("");
	expect_log("event=tls-failed client= service=submissions "
	    "reason=\"no hello\"");
	end();
	config.login_timeout = 1;
	begin();
	expect("");
	expect_log("event=tls-failed");
	end();
	signer = -1;
	begin();
	expect("");
	expect_log("reason=\"no certificate\"");
	end();
	signer = 9;
	begin();
	say(FAKE_HELLO);
	expect("220 mail.example ESMTP");
	say("QUIT\r\n");
	expect("221");
	expect_close_notify();
	end();
}

/* RFC 4954, the response on its own; after it, mail. */
static void
test_auth(void **state)
{
	static const struct {
		const char *text;
		const char *replies[4];
	} rows[] = {
		{ AUTH_ALICE, { "235 2.7.0" } },
		{ "AUTH PLAIN\r\nAGFsaWNlAHB3\r\n", { "334 ", "235 2.7.0" } },
		{ "AUTH LOGIN\r\nYWxpY2U=\r\ncHc=\r\n", { "334 VXNlcm5hbWU6",
		    "334 UGFzc3dvcmQ6", "235 2.7.0" } },
		{ "AUTH LOGIN YWxpY2U=\r\ncHc=\r\n", { "334 UGFzc3dvcmQ6",
		    "235 2.7.0" } },
		{ "AUTH PLAIN\r\n*\r\n", { "334 ", "501 5.0.0" } },
		{ "AUTH LOGIN\r\nYWxpY2U=\r\n*\r\n", { "334 ", "334 ",
		    "501 5.0.0" } },
		{ "AUTH PLAIN\r\n\r\n", { "334 ", "501 5.5.2" } },
		{ "AUTH PLAIN\r\nnot base64!\r\n", { "334 ", "501 5.5.2" } },
		{ "AUTH PLAIN\r\nAGFs\naWNlAHB3\r\n", { "334 ", "501 5.5.2" } },
		{ "AUTH PLAIN\r\nQUIT\r\n", { "334 ", "501 5.5.2" } },
		{ "AUTH LOGIN bm8=\r\ncHc=\r\n", { "334 ", "535 5.7.8" } }
	};
	size_t i, j;

	(void)state;
	service = SERVICE_SUBMISSION;
	facts = FACT_PLAINTEXT;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		greet();
		say(rows[i].text);
		for (j = 0; rows[i].replies[j] != NULL; j++)
			expect(rows[i].replies[j]);
		/* One command, one reply, and the session goes on. */
		say("NOOP\r\n");
		expect("250 2.0.0 Nothing");
		if (rows[i].replies[j - 1][0] != '2') {
			say("MAIL FROM:<a@b>\r\n" AUTH_ALICE);
			expect("530 5.7.0");
			expect("235 2.7.0");
		}
		open_transaction("a");
		say("DATA\r\nx\r\n.\r\nQUIT\r\n");
		expect("354");
		expect("250 2.0.0 octets=2 ");
		expect("221");
		expect("");
		end();
	}
}

/* The exchange ends the session, or the session the exchange. */
static void
test_auth_ends(void **state)
{
	static char line[SASL_LINE_MAX + 100];
	size_t len;

	(void)state;
	service = SERVICE_SUBMISSION;
	facts = FACT_PLAINTEXT;
	greet();
	say("AUTH PLAIN\r\n");
	expect("334 ");
	memset(line, 'A', sizeof(line));
	memcpy(line + SASL_LINE_MAX, "\r\nNOOP\r\n", 9);
	say(line);
	expect("500 5.5.6");
	expect("250 2.0.0 Nothing");
	say("AUTH PLAIN AGxhc3QAcHc=\r\nNOOP\r\n");
	expect("535 5.7.8");
	expect("421 4.7.0");
	expect("");
	end();
	/* As long as both can be, with the command before it. */
	greet();
	memset(line, 0, sizeof(line));
	strlcpy(line, "AUTH PLAIN AGFs", sizeof(line));
	for (len = strlen(line); len < SASL_LINE_MAX - 4; len += 4)
		memcpy(line + len, "QUFB", 5);
	say(line);
	say("\r\nQUIT\r\n");
	expect("501 5.5.2");
	expect("221");
	end();
	config.idle_timeout = 1;
	greet();
	say("AUTH LOGIN\r\n");
	expect("334 ");
	expect("421 4.4.2");
	expect("");
	end();
	config.idle_timeout = 60;
	greet();
	say("AUTH LOGIN\r\nYWxpY2U=\r\n");
	expect("334 ");
	expect("334 ");
	close(master);
	expect("421 4.3.2");
	expect("");
	master = -1;
	end();
	greet();
	say("AUTH LOGIN\r\n");
	expect("334 ");
	assert_int_equal(shutdown(client, SHUT_WR), 0);
	expect("");
	end();
}

/* Nobody who is not logged in comes as far as the agent (C3). */
static void
test_limits_before_login(void **state)
{
	(void)state;
	service = SERVICE_SUBMISSION;
	signer = 9;
	repeat_until("MAIL FROM:<a@b>\r\n", (int)config.max_errors, "530 5.7.0",
	    "421 4.7.0");
	facts = FACT_PLAINTEXT;
	repeat_until("AUTH PLAIN AG5vAHB3\r\n", (int)config.max_errors,
	    "535 5.7.8", "421 4.7.0");
}

int
main(void)
{
	const struct CMUnitTest security_tests[] = {
		cmocka_unit_test_setup(test_starttls, setup),
		cmocka_unit_test_setup(test_c2_injection, setup),
		cmocka_unit_test_setup(test_handshake_fails, setup),
		cmocka_unit_test_setup(test_auth, setup),
		cmocka_unit_test_setup(test_auth_ends, setup),
		cmocka_unit_test_setup(test_limits_before_login, setup),
	};

	return cmocka_run_group_tests_name("test_smtp_security",
	    security_tests, NULL, NULL);
}
