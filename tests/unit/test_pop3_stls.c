/* LINK: pop3d/session pop3d/login pop3d/commands pop3d/maildrop pop3d/stubs pop3d/transaction pop3d/retrieve pop3d/content pop3d/surrogate pop3d/capabilities pop3d/agent pop3d/policy mailbox/state mailbox/path wire/utf8 wire/octets wire/mbox_filter wire/wire wire/sasl privsep/message privsep/gates privsep/log privsep/facts */
/*
 * test_pop3_stls: TLS in a session: STLS, TLS from the first octet, and what is
 * never obeyed (C2, C20).
 */
#include "pop3_session.h"

/* The same in two parts: after waits for the reply to the STLS in before. */
static void
dialogue_stls(const char *before, const char *after)
{
	pid_t child;
	int fd = begin_session(&child);

	assert_int_equal(send(fd, before, strlen(before), MSG_NOSIGNAL),
	    (ssize_t)strlen(before));
	hear(fd, "+OK begin TLS\r\n");
	(void)send(fd, after, strlen(after), MSG_NOSIGNAL);
	end_session(fd, child);
}

#define CAPA_BEGIN	"+OK capabilities\r\nTOP\r\nUIDL\r\n"
#define CAPA_END	"RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n" \
	"UTF8 USER\r\nLANG\r\nEXPIRE NEVER\r\nIMPLEMENTATION Postern\r\n.\r\n"

/* RFC 2595: what may be said changes, and it begins anew. */
static void
test_stls(void **state)
{
	(void)state;
	flags = 0;
	signer = 100;
	dialogue_stls("CAPA\r\nUSER alice\r\nstls\r\n", "CAPA\r\nAUTH\r\n"
	    "STLS\r\n" LOGIN "CAPA\r\nSTLS\r\nQUIT\r\n");
	assert_heard(CAPA_BEGIN "STLS\r\n" CAPA_END
	    "-ERR no login without encryption\r\n+OK begin TLS\r\n"
	    CAPA_BEGIN "USER\r\nSASL PLAIN LOGIN\r\n" CAPA_END
	    "+OK mechanisms\r\nPLAIN\r\nLOGIN\r\n.\r\n"
	    "-ERR already using TLS\r\n"
	    LOGIN_OK_TEXT
	    CAPA_BEGIN "USER\r\nSASL PLAIN LOGIN\r\n" CAPA_END
	    "-ERR already logged in\r\n+OK goodbye\r\n");
	assert_int_equal(fake.done->handshakes, 1);
	assert_int_equal(fake.done->goodbyes, 1);
	assert_string_equal(fake.done->mechanism, "USER");
	assert_string_equal(fake.done->tls, FAKE_TLS);

	dialogue_stls("STLS\r\n", "AUTH PLAIN " ALICE_PLAIN "\r\nSTAT\r\n"
	    "QUIT\r\n");
	assert_logged_in("+OK begin TLS\r\n", "PLAIN", FAKE_TLS);

	/* Offered where secrets may come in the clear, too; not after login. */
	flags = FACT_PLAINTEXT;
	dialogue("CAPA\r\nSTLS now\r\n" LOGIN "CAPA\r\nSTLS\r\nSTAT\r\n"
	    "QUIT\r\n");
	assert_heard(CAPA_BEGIN "USER\r\nSASL PLAIN LOGIN\r\nSTLS\r\n"
	    CAPA_END "-ERR wrong arguments\r\n" LOGIN_OK_TEXT
	    CAPA_BEGIN "USER\r\nSASL PLAIN LOGIN\r\n" CAPA_END
	    "-ERR already logged in\r\n+OK 3 60\r\n+OK goodbye\r\n");
	/* No certificate: the session goes on as it was. */
	signer = -1;
	dialogue("STLS\r\n" LOGIN "QUIT\r\n");
	assert_heard("-ERR no TLS here\r\n" LOGIN_OK_TEXT
	    "+OK goodbye\r\n");
	assert_int_equal(fake.done->handshakes, 2);
	assert_int_equal(fake.done->goodbyes, 2);
}

/* C2: nothing that was said in the clear is left after the handshake. */
static void
test_c2_stls_begins_anew(void **state)
{
	(void)state;
	signer = 100;
	dialogue_stls("USER alice\r\nSTLS\r\n", "PASS   two words \r\n"
	    "QUIT\r\n");
	assert_heard("+OK send PASS\r\n+OK begin TLS\r\n"
	    "-ERR USER comes first\r\n+OK goodbye\r\n");
	assert_int_equal(fake.done->logins, 0);
	/* In an exchange it is a response like any other. */
	dialogue("AUTH PLAIN\r\nSTLS\r\nQUIT\r\n");
	assert_heard("+ \r\n-ERR malformed response\r\n+OK goodbye\r\n");
	assert_int_equal(fake.done->handshakes, 1);
}

/* C2: whatever came behind STLS in one piece with it is never obeyed. */
static void
test_c2_stls_injection(void **state)
{
	static const char *const behind[] = {
		"NOOP\r\n", "USER alice\r\n", "x", "\n", "\r\nQUIT\r\n",
		"\026\003\001"
	};
	char line[128];
	size_t i;

	(void)state;
	signer = 100;
	for (i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
		snprintf(line, sizeof(line), "STLS\r\n%s", behind[i]);
		dialogue(line);
		assert_heard("+OK begin TLS\r\n");
		assert_logged("event=starttls-injection client=192.0.2.7");
	}
	assert_int_equal(fake.done->handshakes, 0);
}

static void
test_handshake_fails(void **state)
{
	(void)state;
	signer = 100;
	fake.tls_status = WIRE_ERROR;
	dialogue_stls("STLS\r\n", "USER alice\r\n");
	assert_heard("+OK begin TLS\r\n");
	assert_logged("event=tls-failed client=192.0.2.7 "
	    "reason=\"no shared cipher\"");
	fake.tls_status = WIRE_TIMEOUT;
	dialogue_stls("STLS\r\n", "");
	assert_heard("+OK begin TLS\r\n");
	assert_logged("event=tls-failed client=192.0.2.7 reason=timeout");
	/* The server ends: no word of it in the clear. */
	fake.tls_status = WIRE_SHUTDOWN;
	dialogue_stls("STLS\r\n", "");
	assert_heard("+OK begin TLS\r\n");
	assert_int_equal(fake.done->goodbyes, 0);
}

static void
test_pop3s(void **state)
{
	(void)state;
	flags = 0;
	service = SERVICE_POP3S;
	signer = 100;
	dialogue("STLS\r\nAUTH PLAIN " ALICE_PLAIN "\r\nSTAT\r\nQUIT\r\n");
	assert_logged_in("-ERR already using TLS\r\n", "PLAIN", FAKE_TLS);
	assert_int_equal(fake.done->handshakes, 1);
	assert_int_equal(fake.done->goodbyes, 1);
	/* Not a word before TLS, nor without it. */
	fake.tls_status = WIRE_EOF;
	dialogue("USER alice\r\n");
	assert_string_equal(output, "");
	assert_logged("event=tls-failed client=192.0.2.7 reason=closed");
	signer = -1;
	dialogue("USER alice\r\n");
	assert_string_equal(output, "");
	assert_logged("reason=\"no certificate\"");
	assert_int_equal(fake.done->handshakes, 2);
}

/* C20: another protocol's client, in the clear or first thing over TLS. */
static void
test_c20_foreign_over_tls(void **state)
{
	static const char *const lines[] = {
		"GET / HTTP/1.1\r\nQUIT\r\n", "PASV\r\nQUIT\r\n",
		"FEAT\r\nQUIT\r\n", "Host: a.example\r\nQUIT\r\n"
	};
	size_t i;

	(void)state;
	signer = 100;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		dialogue_stls("STLS\r\n", lines[i]);
		assert_heard("+OK begin TLS\r\n-ERR this is POP3\r\n");
		assert_logged("event=foreign-protocol");
		service = SERVICE_POP3S;
		dialogue(lines[i]);
		assert_heard("-ERR this is POP3\r\n");
		service = SERVICE_POP3;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SESSION_TEST(test_stls),
		SESSION_TEST(test_c2_stls_begins_anew),
		SESSION_TEST(test_c2_stls_injection),
		SESSION_TEST(test_handshake_fails),
		SESSION_TEST(test_pop3s),
		SESSION_TEST(test_c20_foreign_over_tls)
	};

	return cmocka_run_group_tests_name("pop3_stls", tests, NULL, NULL);
}
