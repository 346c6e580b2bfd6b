/* LINK: pop3d/session pop3d/login pop3d/commands pop3d/maildrop pop3d/stubs pop3d/transaction pop3d/retrieve pop3d/content pop3d/surrogate pop3d/capabilities pop3d/agent pop3d/policy mailbox/state mailbox/path wire/utf8 wire/octets wire/mbox_filter wire/wire wire/sasl privsep/message privsep/gates privsep/log privsep/facts */
/*
 * test_pop3_login: who comes in, by USER and PASS or AUTH, what is offered
 * before and after, and what is left of a secret.
 */
#include "pop3_session.h"

static void
test_login_refused(void **state)
{
	(void)state;
	dialogue("PASS x\r\nUSER alice\r\nPASS wrong\r\nPASS   two words \r\n"
	    "USER nobody\r\nPASS   two words \r\nUSER\r\nUSER \r\n"
	    "USER alice\r\nPASS\r\nQUIT\r\n");
	assert_heard("-ERR USER comes first\r\n+OK send PASS\r\n"
	    "-ERR [AUTH] login refused\r\n-ERR USER comes first\r\n"
	    "+OK send PASS\r\n-ERR [AUTH] login refused\r\n"
	    "-ERR wrong arguments\r\n-ERR wrong arguments\r\n"
	    "+OK send PASS\r\n-ERR [AUTH] login refused\r\n+OK goodbye\r\n");
	assert_int_equal(fake.done->opens, 0);
}

static void
test_login_last_and_tempfail(void **state)
{
	(void)state;
	fake.verdict = LOGIN_LAST;
	dialogue("USER alice\r\nPASS x\r\nNOOP\r\n");
	assert_heard("+OK send PASS\r\n-ERR [AUTH] login refused\r\n");
	fake.verdict = LOGIN_TEMPFAIL;
	dialogue("USER alice\r\nPASS x\r\nQUIT\r\n");
	assert_heard("+OK send PASS\r\n-ERR [SYS/TEMP] login does not work "
	    "now, try again later\r\n+OK goodbye\r\n");
}

static void
test_open_fails(void **state)
{
	(void)state;
	fake.open_errno = EBUSY;
	dialogue(LOGIN "STAT\r\n");
	assert_heard("+OK send PASS\r\n-ERR [IN-USE] another session has "
	    "this maildrop open\r\n");
	fake.open_errno = EACCES;
	dialogue(LOGIN "STAT\r\n");
	assert_heard("+OK send PASS\r\n-ERR [SYS/TEMP] the maildrop can not "
	    "be opened now\r\n");
	fake.is_gate_broken = 1;
	dialogue(LOGIN "STAT\r\n");
	assert_heard("+OK send PASS\r\n-ERR [SYS/TEMP] try again later\r\n");
}

static void
test_plaintext_forbidden(void **state)
{
	(void)state;
	flags = 0;
	dialogue("CAPA\r\nUSER alice\r\nPASS   two words \r\nAUTH\r\n"
	    "AUTH PLAIN\r\nAUTH LOGIN YWxpY2U=\r\nAUTH PLAIN " ALICE_PLAIN
	    "\r\nQUIT\r\n");
	assert_heard("+OK capabilities\r\nTOP\r\nUIDL\r\nRESP-CODES\r\n"
	    "AUTH-RESP-CODE\r\nPIPELINING\r\nUTF8 USER\r\nLANG\r\nEXPIRE NEVER\r\n"
	    "IMPLEMENTATION Postern\r\n.\r\n"
	    "-ERR no login without encryption\r\n"
	    "-ERR no login without encryption\r\n"
	    "+OK mechanisms\r\n.\r\n"
	    "-ERR no login without encryption\r\n"
	    "-ERR no login without encryption\r\n"
	    "-ERR no login without encryption\r\n+OK goodbye\r\n");
	assert_int_equal(fake.done->logins, 0);
}

static void
test_capa_and_auth(void **state)
{
	(void)state;
	dialogue("CAPA\r\nAUTH\r\nAUTH \r\nAUTH CRAM-MD5\r\nUTF8\r\nQUIT\r\n");
	assert_heard("+OK capabilities\r\nTOP\r\nUIDL\r\nUSER\r\n"
	    "SASL PLAIN LOGIN\r\nRESP-CODES\r\n"
	    "AUTH-RESP-CODE\r\nPIPELINING\r\nUTF8 USER\r\nLANG\r\nEXPIRE NEVER\r\n"
	    "IMPLEMENTATION Postern\r\n.\r\n"
	    "+OK mechanisms\r\nPLAIN\r\nLOGIN\r\n.\r\n"
	    "+OK mechanisms\r\nPLAIN\r\nLOGIN\r\n.\r\n"
	    "-ERR unrecognized mechanism\r\n"
	    "+OK UTF-8 mode\r\n+OK goodbye\r\n");
}

/* RFC 6856, 3: texts are English, whatever language is chosen. */
static void
test_lang(void **state)
{
	(void)state;
	dialogue("LANG\r\nlang \r\nLANG *\r\nLANG EN\r\nLANG en-GB-oed\r\n"
	    "LANG i-default\r\nLANG i\r\nLANG sv\r\nLANG english\r\n"
	    "LANG en-\r\nLANG -en\r\nLANG en--x\r\nLANG en-verylongs\r\n"
	    "LANG en sv\r\nLANG **\r\nLANG e\xc3\xb1\r\n" LOGIN
	    "LANG en\r\nQUIT\r\n");
	assert_heard("+OK languages\r\nen English\r\ni-default English\r\n"
	    ".\r\n+OK languages\r\nen English\r\ni-default English\r\n"
	    ".\r\n+OK en texts are in English\r\n"
	    "+OK en texts are in English\r\n"
	    "+OK en texts are in English\r\n"
	    "+OK i-default texts are in English\r\n"
	    "-ERR no such language\r\n-ERR no such language\r\n"
	    "-ERR no such language\r\n-ERR no such language\r\n"
	    "-ERR no such language\r\n-ERR no such language\r\n"
	    "-ERR no such language\r\n-ERR no such language\r\n"
	    "-ERR no such language\r\n-ERR no such language\r\n"
	    "+OK send PASS\r\n+OK 3 messages (60 octets)\r\n"
	    "+OK en texts are in English\r\n+OK goodbye\r\n");
}

/* RFC 6856, 2.2: in UTF-8 mode names and passwords are that; else octets. */
static void
test_utf8(void **state)
{
	(void)state;
	dialogue("USER \xfc\r\nPASS \xfc\r\nUTF8\r\nUSER \xfc\r\n"
	    "PASS x\r\nUSER \xc3\xbc\r\nPASS \xfc\r\nPASS x\r\n"
	    "USER \xc3\xbc\r\nPASS \xc3\xbc\r\n" LOGIN "UTF8\r\nQUIT\r\n");
	assert_heard("+OK send PASS\r\n-ERR [AUTH] login refused\r\n"
	    "+OK UTF-8 mode\r\n-ERR name is not UTF-8\r\n"
	    "-ERR USER comes first\r\n+OK send PASS\r\n"
	    "-ERR password is not UTF-8\r\n-ERR USER comes first\r\n"
	    "+OK send PASS\r\n-ERR [AUTH] login refused\r\n"
	    "+OK send PASS\r\n+OK 3 messages (60 octets)\r\n"
	    "+OK UTF-8 mode\r\n+OK goodbye\r\n");
	assert_int_equal(fake.done->logins, 3);
}

/* RFC 2449, 6.5 and 6.7: the policy is told, and the agent acts by it. */
static void
test_policy(void **state)
{
	(void)state;
	config.expire = fake_config.expire = 30;
	config.login_delay = 60;
	fake.old = 0x5;
	dialogue("CAPA\r\n" LOGIN "QUIT\r\n");
	assert_non_null(strstr(output,
	    "\r\nLOGIN-DELAY 60\r\nEXPIRE 30\r\n"));
	assert_int_equal(fake.done->expunges, 1);
	assert_int_equal(fake.done->bitmap[0], 0x5);
	assert_logged("event=expired user=\"\" messages=2");
	assert_logged("deleted=0");

	/* Together with what the client deletes; not if it does not quit. */
	dialogue(LOGIN "DELE 2\r\nQUIT\r\n");
	assert_int_equal(fake.done->expunges, 2);
	assert_int_equal(fake.done->bitmap[0], 0x7);
	dialogue(LOGIN "DELE 2\r\n");
	assert_int_equal(fake.done->expunges, 2);

	/* What failed is the client's affair only if it asked for it. */
	fake.expunge_failed = 1;
	dialogue(LOGIN "QUIT\r\n");
	assert_signs("+++");
	dialogue(LOGIN "DELE 2\r\nQUIT\r\n");
	assert_signs("+++-");

	/* Nothing is old: nothing is done. */
	fake.old = 0;
	dialogue(LOGIN "QUIT\r\n");
	assert_signs("+++");
	assert_int_equal(fake.done->expunges, 4);
	config.expire = config.login_delay = 0;
}

/* RFC 5034: with and without an initial response, pipelined or not. */
static void
test_auth(void **state)
{
	(void)state;
	dialogue("AUTH PLAIN " ALICE_PLAIN "\r\nSTAT\r\nQUIT\r\n");
	assert_logged_in("", "PLAIN", "");
	dialogue("auth plain\r\n" ALICE_PLAIN "\r\nSTAT\r\nQUIT\r\n");
	assert_logged_in("+ \r\n", "PLAIN", "");
	dialogue("AUTH PLAIN \n" ALICE_PLAIN "\nSTAT\nQUIT\n");
	assert_logged_in("+ \r\n", "PLAIN", "");
	dialogue("AUTH LOGIN\r\n" ALICE "\r\n" WORDS "\r\n"
	    "STAT\r\nQUIT\r\n");
	assert_logged_in("+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n", "LOGIN", "");
	dialogue("AUTH Login " ALICE "\r\n" WORDS "\r\nSTAT\r\nQUIT\r\n");
	assert_logged_in("+ UGFzc3dvcmQ6\r\n", "LOGIN", "");
	/* A name said before is not part of it. */
	dialogue("USER bob\r\nAUTH PLAIN " ALICE_PLAIN "\r\nSTAT\r\n"
	    "QUIT\r\n");
	assert_logged_in("+OK send PASS\r\n", "PLAIN", "");
}

static void
test_auth_is_refused_as_pass_is(void **state)
{
	(void)state;
	dialogue("AUTH PLAIN AGJvYgB4\r\nAUTH LOGIN\r\nYm9i\r\neA==\r\n"
	    "AUTH LOGIN\r\nYm9i\r\n\r\nUSER alice\r\n"
	    "AUTH PLAIN AGJvYgB4\r\nPASS   two words \r\nQUIT\r\n");
	assert_heard("-ERR [AUTH] login refused\r\n+ VXNlcm5hbWU6\r\n"
	    "+ UGFzc3dvcmQ6\r\n-ERR [AUTH] login refused\r\n"
	    "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n"
	    "-ERR [AUTH] login refused\r\n+OK send PASS\r\n"
	    "-ERR [AUTH] login refused\r\n-ERR USER comes first\r\n"
	    "+OK goodbye\r\n");
	assert_int_equal(fake.done->logins, 4);
	fake.verdict = LOGIN_LAST;
	dialogue("AUTH PLAIN AGJvYgB4\r\nNOOP\r\n");
	assert_heard("-ERR [AUTH] login refused\r\n");
	fake.verdict = LOGIN_TEMPFAIL;
	dialogue("AUTH PLAIN AGJvYgB4\r\nQUIT\r\n");
	assert_heard("-ERR [SYS/TEMP] login does not work now, try again "
	    "later\r\n+OK goodbye\r\n");
	fake.open_errno = EBUSY;
	dialogue("AUTH PLAIN " ALICE_PLAIN "\r\nSTAT\r\n");
	assert_heard("-ERR [IN-USE] another session has this maildrop open"
	    "\r\n");
}

/* What is no response, or not one's own name, never reaches login (C10). */
static void
test_auth_malformed(void **state)
{
	static const char nul[] = "AUTH PLAIN\r\nAGJvYg\0B4\r\n"
	    "AUTH LOGIN\r\n" ALICE "\r\nQUIT\0\r\nQUIT\r\n";

	(void)state;
	dialogue("AUTH PLAIN\r\n*\r\nAUTH LOGIN\r\n" ALICE "\r\n*\r\n"
	    "AUTH PLAIN *\r\nAUTH PLAIN =\r\nAUTH PLAIN !\r\n"
	    "AUTH PLAIN\r\n\r\nAUTH LOGIN\r\n=\r\nAUTH LOGIN " ALICE " "
	    ALICE "\r\nAUTH PLAIN Ym9iAGFsaWNlAHg=\r\n"
	    "AUTH PLAIN\r\nQUIT\r\nQUIT\r\n");
	assert_heard("+ \r\n-ERR authentication cancelled\r\n"
	    "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n"
	    "-ERR authentication cancelled\r\n"
	    "-ERR malformed response\r\n-ERR malformed response\r\n"
	    "-ERR malformed response\r\n"
	    "+ \r\n-ERR malformed response\r\n"
	    "+ VXNlcm5hbWU6\r\n-ERR malformed response\r\n"
	    "-ERR malformed response\r\n"
	    "-ERR [AUTH] login refused\r\n"
	    "+ \r\n-ERR malformed response\r\n+OK goodbye\r\n");
	dialogue_octets(nul, sizeof(nul) - 1);
	assert_heard("+ \r\n-ERR malformed response\r\n+ VXNlcm5hbWU6\r\n"
	    "+ UGFzc3dvcmQ6\r\n-ERR malformed response\r\n"
	    "+OK goodbye\r\n");
	/* The end in the middle of it. */
	dialogue("AUTH PLAIN\r\nAGJvYgB4");
	assert_heard("+ \r\n");
	assert_int_equal(fake.done->logins, 0);
}

/* A line too long is the end of the exchange, and of nothing else. */
static void
test_auth_long_lines(void **state)
{
	static char line[3 * SASL_LINE_MAX];
	char *p;

	(void)state;
	strlcpy(line, "AUTH PLAIN\r\n", sizeof(line));
	p = line + strlen(line);
	memset(p, 'A', SASL_LINE_MAX);
	strlcpy(p + SASL_LINE_MAX, "\r\nAUTH PLAIN " ALICE_PLAIN "\r\n"
	    "STAT\r\nQUIT\r\n", 128);
	dialogue(line);
	assert_logged_in("+ \r\n-ERR line too long\r\n", "PLAIN", "");
	/* The longest that is read, as a response and with the command. */
	memset(p, 'A', SASL_LINE_MAX);
	strlcpy(p + SASL_LINE_MAX - 4, "\r\nQUIT\r\n", 128);
	dialogue(line);
	assert_heard("+ \r\n-ERR malformed response\r\n+OK goodbye\r\n");
	p[-2] = 'A';
	p[-1] = 'A';
	line[10] = ' ';
	strlcpy(line + SASL_LINE_MAX - 2, "\r\nQUIT\r\n", 128);
	dialogue(line);
	assert_heard("-ERR malformed response\r\n+OK goodbye\r\n");
	assert_int_equal(fake.done->logins, 1);
}

/* A secret that went through leaves nothing in the session's memory. */
static void
test_secret_wiped(void **state)
{
	static struct session session;
	static const char input[] = "USER bob\r\nPASS my-secret\r\n"
	    "PASS another-secret\r\nPASS nul\0secret\r\n"
	    "AUTH PLAIN AGJvYgB4c2VjcmV0\r\n"		/* bob, xsecret */
	    "AUTH PLAIN\r\nAGJvYgB4c2VjcmV0\r\n"
	    "AUTH LOGIN\r\nYm9i\r\nc2VjcmV0\r\n"
	    "AUTH PLAIN\r\nc2VjcmV0\0\r\n"		/* no responses */
	    "AUTH PLAIN\r\nAGJvYgB4c2VjcmV0=\r\n"
	    "AUTH PLAIN YWxpY2UAYm9iAHhzZWNyZXQ=\r\n" /* for alice */
	    "AUTH NTLM c2VjcmV0\r\nAUTH LOGIN Ym9i\r\n";
	struct worker worker = { .gate = fake.pair[0], .master = -1,
	    .signer = -1, .config = &config };
	int fds[2];

	(void)state;
	worker.facts.flags = FACT_PLAINTEXT;
	fake.is_plaintext_allowed = 1;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fds), 0);
	worker.client = fds[0];
	assert_int_equal(write(fds[1], input, sizeof(input) - 1),
	    sizeof(input) - 1);
	shutdown(fds[1], SHUT_WR);
	session_begin(&session, &worker);
	session_run(&session);
	assert_int_equal(fake.done->logins, 4);
	assert_null(memmem(&session, sizeof(session), "secret", 6));
	assert_null(memmem(&session, sizeof(session), "zZWNyZXQ", 8));
	assert_null(memmem(&session, sizeof(session), "c2VjcmV0", 8));
	close(fds[0]);
	close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SESSION_TEST(test_lang),
		SESSION_TEST(test_utf8),
		SESSION_TEST(test_policy),
		SESSION_TEST(test_login_refused),
		SESSION_TEST(test_login_last_and_tempfail),
		SESSION_TEST(test_open_fails),
		SESSION_TEST(test_plaintext_forbidden),
		SESSION_TEST(test_capa_and_auth),
		SESSION_TEST(test_auth),
		SESSION_TEST(test_auth_is_refused_as_pass_is),
		SESSION_TEST(test_auth_malformed),
		SESSION_TEST(test_auth_long_lines),
		SESSION_TEST(test_secret_wiped)
	};

	return cmocka_run_group_tests_name("pop3_login", tests, NULL, NULL);
}
