/* LINK: pop3d/session pop3d/login pop3d/commands pop3d/maildrop pop3d/stubs pop3d/transaction pop3d/retrieve pop3d/content pop3d/surrogate pop3d/capabilities pop3d/agent pop3d/policy mailbox/state mailbox/path wire/utf8 wire/octets wire/mbox_filter wire/wire wire/sasl privsep/message privsep/gates privsep/log privsep/facts */
/*
 * test_pop3_session: whole sessions: what a client says and hears, how they
 * end, and what is no command.
 */
#include "pop3_session.h"

static void
test_whole_session(void **state)
{
	(void)state;
	dialogue(LOGIN "STAT\r\nLIST\r\nLIST 2\r\nUIDL\r\nUIDL 3\r\n"
	    "RETR 1\r\nRETR 2\r\nRETR 3\r\nQUIT\r\n");
	assert_heard_after_login("+OK 3 60\r\n"
	    "+OK 3 messages (60 octets)\r\n1 22\r\n2 18\r\n3 20\r\n.\r\n"
	    "+OK 2 18\r\n"
	    "+OK\r\n1 uidl-1\r\n2 uidl-2\r\n3 uidl-3\r\n.\r\n"
	    "+OK 3 uidl-3\r\n"
	    "+OK 22 octets\r\nSubject: one\r\n\r\nbody\r\n.\r\n"
	    "+OK 18 octets\r\n..dot\r\n...\r\n\r\nx\r\n..\r\n.\r\n"
	    "+OK 20 octets\r\nS: three\r\n\r\nno end\r\n.\r\n"
	    "+OK goodbye\r\n");
	assert_int_equal(fake.done->fetches, 1);	/* all at once */
	assert_int_equal(fake.done->expunges, 0);
}

static void
test_lone_lf_and_case(void **state)
{
	(void)state;
	dialogue("user alice\npass   two words \nStat\nqUIT\n");
	assert_heard_after_login("+OK 3 60\r\n+OK goodbye\r\n");
}

static void
test_pipelined_in_one_write(void **state)
{
	(void)state;
	type = SOCK_SEQPACKET;
	dialogue(LOGIN "STAT\r\nNOOP\r\nRETR 1\r\nLIST\r\nDELE 1\r\nRSET\r\n"
	    "QUIT\r\n");
	/* The greeting, and the rest. */
	assert_int_equal(writes, 2);
}

static void
test_deletion(void **state)
{
	(void)state;
	dialogue(LOGIN "DELE 1\r\nDELE 1\r\nRETR 1\r\nLIST 1\r\nSTAT\r\n"
	    "LIST\r\nUIDL\r\nRSET\r\nSTAT\r\nDELE 3\r\nQUIT\r\n");
	assert_heard_after_login("+OK message 1 deleted\r\n"
	    "-ERR message is deleted\r\n-ERR message is deleted\r\n"
	    "-ERR message is deleted\r\n+OK 2 38\r\n"
	    "+OK 2 messages (38 octets)\r\n2 18\r\n3 20\r\n.\r\n"
	    "+OK\r\n2 uidl-2\r\n3 uidl-3\r\n.\r\n"
	    "+OK 3 messages (60 octets)\r\n+OK 3 60\r\n"
	    "+OK message 3 deleted\r\n+OK goodbye\r\n");
	assert_int_equal(fake.done->expunges, 1);
	assert_int_equal(fake.done->bitmap[0], 4);
}

/* The connection drops, or is idle: RFC 1939 wants no UPDATE then. */
static void
test_no_quit_no_deletion(void **state)
{
	(void)state;
	dialogue(LOGIN "DELE 1\r\nQUI");
	assert_heard_after_login("+OK message 1 deleted\r\n");
	assert_int_equal(fake.done->expunges, 0);
}

static void
test_idle(void **state)
{
	pid_t child;
	int fd;

	(void)state;
	config.idle_timeout = 1;
	fd = begin_session(&child);
	assert_int_equal(write(fd, LOGIN "DELE 1\r\n", strlen(LOGIN) + 8),
	    (ssize_t)strlen(LOGIN) + 8);
	hear(fd, NULL);
	end_session(fd, child);
	assert_heard_after_login("+OK message 1 deleted\r\n");
	assert_logged("event=logout user=alice end=timeout");
	assert_int_equal(fake.done->expunges, 0);
}

/* A client that goes when its mailbox is being opened; the pid. */
static pid_t
client_that_goes(int fd)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	while (fake.done->opens == 0)
		(void)poll(NULL, 0, 5);
	shutdown(fd, SHUT_RDWR);
	_exit(0);
}

/* The agent waits for a lock; meanwhile the server stops, the client goes. */
static void
test_end_before_opened(void **state)
{
	static const char *const ends[] = { "shutdown", "closed" };
	static struct session session;
	struct worker worker = { .signer = -1, .config = &config };
	int fds[2], channel[2], gate[2], status, i;
	pid_t child;

	(void)state;
	worker.facts.flags = FACT_PLAINTEXT;
	for (i = 0; i < 2; i++) {
		fake_end();
		fake_begin(NULL, 0);
		fake.is_plaintext_allowed = 1;
		assert_int_equal(pipe(channel), 0);
		assert_int_equal(pipe(gate), 0);	/* says nothing */
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM |
		    SOCK_NONBLOCK, 0, fds), 0);
		worker.client = fds[0];
		worker.master = channel[0];
		worker.gate = gate[0];
		assert_int_equal(write(fds[1], LOGIN, strlen(LOGIN)),
		    (ssize_t)strlen(LOGIN));
		child = i == 1 ? client_that_goes(fds[1]) : -1;
		if (i == 0)
			close(channel[1]);
		session_begin(&session, &worker);
		session_run(&session);
		assert_string_equal(session.ended, ends[i]);
		assert_int_equal(fake.done->opens, 1);
		if (i == 0) {
			output_len = 0;
			close(fds[0]);
			hear(fds[1], NULL);
			assert_non_null(strstr(output, "\r\n-ERR [SYS/TEMP] "
			    "the server ends"));
		} else {
			assert_int_equal(waitpid(child, &status, 0), child);
			close(channel[1]);
			close(fds[0]);
		}
		close(fds[1]);
		close(channel[0]);
		close(gate[0]);
		close(gate[1]);
	}
}

/* The master ends us: a word to the client, and no deletion. */
static void
test_shutdown(void **state)
{
	static struct session session;
	struct worker worker = { .gate = fake.pair[0], .signer = -1,
	    .config = &config };
	int fds[2], channel[2];

	(void)state;
	worker.facts.flags = FACT_PLAINTEXT;
	fake.is_plaintext_allowed = 1;
	assert_int_equal(pipe(channel), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fds), 0);
	worker.client = fds[0];
	worker.master = channel[0];
	close(channel[1]);
	assert_int_equal(write(fds[1], LOGIN "DELE 1\r\n",
	    strlen(LOGIN) + 8), (ssize_t)strlen(LOGIN) + 8);
	session_begin(&session, &worker);
	session_run(&session);
	output_len = (size_t)read(fds[1], output, sizeof(output) - 1);
	output[output_len] = '\0';
	output_len += (size_t)read(fds[1], output + output_len,
	    sizeof(output) - 1 - output_len);
	assert_string_equal(session.ended, "shutdown");
	assert_non_null(strstr(output, "\r\n-ERR [SYS/TEMP] the server ends"));
	assert_int_equal(fake.done->expunges, 0);
	close(fds[0]);
	close(fds[1]);
	close(channel[0]);
}

static void
test_expunge_fails(void **state)
{
	(void)state;
	fake.expunge_failed = 1;
	dialogue(LOGIN "DELE 1\r\nDELE 2\r\nQUIT\r\n");
	assert_heard_after_login("+OK message 1 deleted\r\n"
	    "+OK message 2 deleted\r\n"
	    "-ERR [SYS/TEMP] some deleted messages not removed\r\n");
}

static void
test_states(void **state)
{
	(void)state;
	/* Nothing of TRANSACTION before login. */
	dialogue("STAT\r\nLIST\r\nRETR 1\r\nDELE 1\r\nNOOP\r\nRSET\r\n"
	    "UIDL\r\nTOP 1 1\r\nQUIT\r\n");
	assert_signs("--------+");
	assert_int_equal(fake.done->opens, 0);
	/* And nothing of AUTHORIZATION after it. */
	dialogue(LOGIN "USER bob\r\nPASS x\r\nAUTH\r\nAUTH PLAIN\r\nUTF8\r\n"
	    "LAST\r\nSTLS\r\nQUIT\r\n");
	assert_signs("++----+--+");
	assert_int_equal(fake.done->logins, 1);
}

static void
test_numbers(void **state)
{
	(void)state;
	dialogue(LOGIN "LIST 0\r\nLIST 4\r\nLIST 4294967297\r\nLIST 01\r\n"
	    "LIST +1\r\nLIST -1\r\nLIST  1\r\nLIST 1x\r\nLIST 1 2\r\n"
	    "LIST 18446744073809551617\r\nLIST 99999999999999999999999999\r\n"
	    "LIST 1 \r\nQUIT\r\n");
	assert_signs("++-----------++");
}

static void
test_bad_lines(void **state)
{
	static const char nul[] = "NOOP\0\r\nLIST 1\0\r\nUSER a\0b\r\nQUIT\r\n";
	static char line[SASL_LINE_MAX + 100];

	(void)state;
	dialogue_octets(nul, sizeof(nul) - 1);
	assert_signs("---+");
	memset(line, 'x', sizeof(line));
	memcpy(line + SASL_LINE_MAX, "\r\nQUIT\r\n", 9);
	dialogue(line);
	assert_heard("-ERR line too long\r\n+OK goodbye\r\n");
	memcpy(line, "USER ", 5);
	memcpy(line + POP3_LINE_MAX, "\r\nQUIT\r\n", 9);
	dialogue(line);
	assert_heard("-ERR line too long\r\n+OK goodbye\r\n");
	memcpy(line + 400, "\r\nQUIT\r\n", 9);
	dialogue(line);
	assert_heard("-ERR name too long\r\n+OK goodbye\r\n");
	memcpy(line, "CAPA ", 5);
	dialogue(line);
	assert_heard("-ERR line too long\r\n+OK goodbye\r\n");
}

/* Unknown verbs never end a session, but twenty in a row do. */
static void
test_too_many_errors(void **state)
{
	char input[2048] = "";
	int i;

	(void)state;
	for (i = 0; i < 19; i++)
		strlcat(input, "XTND XLST\r\n", sizeof(input));
	strlcat(input, "CAPA\r\n", sizeof(input));
	for (i = 0; i < 30; i++)
		strlcat(input, "XTND\r\n", sizeof(input));
	dialogue(input);
	assert_signs("-------------------+TUUSRAPULEI.--------------------");
	assert_non_null(strstr(output, "-ERR too many bad commands\r\n"));
}

static void
test_foreign_protocols(void **state)
{
	static const char *const lines[] = {
		"GET / HTTP/1.1\r\nQUIT\r\n", "POST /x HTTP/1.0\r\nQUIT\r\n",
		"CONNECT a:25 HTTP/1.1\r\nQUIT\r\n", "EHLO x\r\nQUIT\r\n",
		"SSH-2.0-x\r\nQUIT\r\n", "SYST\r\nQUIT\r\n",
		"PORT 127,0,0,1,0,25\r\nQUIT\r\n"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		dialogue(lines[i]);
		assert_heard("-ERR this is POP3\r\n");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SESSION_TEST(test_whole_session),
		SESSION_TEST(test_lone_lf_and_case),
		SESSION_TEST(test_pipelined_in_one_write),
		SESSION_TEST(test_deletion),
		SESSION_TEST(test_no_quit_no_deletion),
		SESSION_TEST(test_idle),
		SESSION_TEST(test_shutdown),
		SESSION_TEST(test_end_before_opened),
		SESSION_TEST(test_expunge_fails),
		SESSION_TEST(test_states),
		SESSION_TEST(test_numbers),
		SESSION_TEST(test_bad_lines),
		SESSION_TEST(test_too_many_errors),
		SESSION_TEST(test_foreign_protocols)
	};

	return cmocka_run_group_tests_name("pop3_session", tests, NULL, NULL);
}
