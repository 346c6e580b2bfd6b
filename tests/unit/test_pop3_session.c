/* LINK: pop3d/session pop3d/login pop3d/commands pop3d/maildrop pop3d/stubs pop3d/transaction pop3d/retrieve pop3d/content pop3d/surrogate pop3d/capabilities pop3d/agent pop3d/policy mailbox/state mailbox/path wire/utf8 wire/octets wire/mbox_filter wire/wire wire/sasl privsep/message privsep/gates privsep/log privsep/facts */
/*
 * test_pop3_session: whole sessions of a worker and an agent, what a client
 * says and what it hears.
 */
#include <sys/wait.h>

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "pop3d/session.h"
#include "pop3_fake.h"

/* base64 of "alice", of her secret, and of both as PLAIN has them */
#define ALICE		"YWxpY2U="
#define WORDS		"ICB0d28gd29yZHMg"
#define ALICE_PLAIN	"AGFsaWNlACAgdHdvIHdvcmRzIA=="

#define GREETING	"+OK mail.example POP3 ready\r\n"
#define LOGIN		"USER alice\r\nPASS   two words \r\n"
#define LOGIN_OK_TEXT	"+OK send PASS\r\n+OK 3 messages (60 octets)\r\n"

static const char *three[] = {
	"Subject: one\n\nbody\n",		/* 22 */
	".dot\n..\n\nx\n.\n",			/* 18 */
	"S: three\r\n\r\nno end"		/* 20 */
};

static struct config config;
static uint32_t flags;
static enum service service;
static int signer;
static int logged = -1;		/* a memfd: the log of the last session */
static int type;		/* of the client's socket */
static char output[4 << 20];
static size_t output_len;
static int writes;		/* of the server, with SOCK_SEQPACKET */

static int
setup(void **state)
{
	(void)state;
	strlcpy(config.hostname, "mail.example", sizeof(config.hostname));
	config.idle_timeout = 5;
	config.login_timeout = FAKE_TIMEOUT;
	flags = FACT_PLAINTEXT;
	service = SERVICE_POP3;
	signer = -1;
	type = SOCK_STREAM;
	fake_begin(three, 3);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fake_end();
	return 0;
}

static void
child_life(int client)
{
	static struct session session;
	struct worker worker = { .client = client, .gate = fake.pair[0],
	    .master = -1, .signer = signer, .config = &config };

	dup2(logged, STDERR_FILENO);
	worker.facts.session = 1;
	worker.facts.flags = flags;
	worker.facts.service = service;
	strlcpy(worker.facts.client, "192.0.2.7", sizeof(worker.facts.client));
	fake.is_plaintext_allowed = (flags & FACT_PLAINTEXT) != 0;
	fcntl(client, F_SETFL, O_NONBLOCK);
	session_begin(&session, &worker);
	session_run(&session);
	_exit(0);
}

/* A session in a process of its own; our end of its connection. */
static int
begin_session(pid_t *child)
{
	int fds[2];

	if (logged != -1)
		close(logged);
	logged = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(socketpair(AF_UNIX, type, 0, fds), 0);
	*child = fork();
	assert_int_not_equal(*child, -1);
	if (*child == 0) {
		close(fds[0]);
		child_life(fds[1]);
	}
	close(fds[1]);
	output_len = 0;
	writes = 0;
	return fds[0];
}

/* Append to output, up to this text or the end. */
static void
hear(int fd, const char *until)
{
	ssize_t n;

	output[output_len] = '\0';
	while ((until == NULL || strstr(output, until) == NULL) &&
	    (n = read(fd, output + output_len,
	    sizeof(output) - 1 - output_len)) > 0) {
		output_len += (size_t)n;
		output[output_len] = '\0';
		writes++;
	}
}

static void
end_session(int fd, pid_t child)
{
	int status;

	shutdown(fd, SHUT_WR);
	hear(fd, NULL);
	close(fd);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* Everything in, everything out: output, NUL-terminated. */
static void
dialogue_octets(const char *input, size_t len)
{
	pid_t child;
	int fd = begin_session(&child);
	ssize_t n = send(fd, input, len, MSG_NOSIGNAL);

	/* It may have ended without asking. */
	assert_true(n == (ssize_t)len || (n == -1 && errno == EPIPE));
	end_session(fd, child);
}

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

static void
assert_logged(const char *text)
{
	static char log[65536];
	ssize_t n = pread(logged, log, sizeof(log) - 1, 0);

	log[n > 0 ? n : 0] = '\0';
	if (strstr(log, text) == NULL)
		fail_msg("no `%s' in the log: %s", text, log);
}

static void
dialogue(const char *input)
{
	dialogue_octets(input, strlen(input));
}

/* What was heard after the greeting. */
static void
assert_heard(const char *expected)
{
	assert_memory_equal(output, GREETING, strlen(GREETING));
	assert_string_equal(output + strlen(GREETING), expected);
}

static void
assert_heard_after_login(const char *expected)
{
	const char *before = GREETING LOGIN_OK_TEXT;

	assert_memory_equal(output, before, strlen(before));
	assert_string_equal(output + strlen(before), expected);
}

/* The first token of each reply line: "+-." of a session without listings. */
static void
assert_signs(const char *expected)
{
	char signs[128];
	size_t n = 0;
	char *p = output + strlen(GREETING);

	for (; *p != '\0' && n + 1 < sizeof(signs); p++) {
		signs[n++] = *p;
		p = strchr(p, '\n');
		assert_non_null(p);
	}
	signs[n] = '\0';
	assert_string_equal(signs, expected);
}

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
test_top(void **state)
{
	(void)state;
	dialogue(LOGIN "TOP 1 0\r\nTOP 1 1\r\nTOP 1 99999999999\r\n"
	    "TOP 2 1\r\nTOP 3 1\r\nTOP 1\r\nTOP 1 -1\r\n");
	assert_heard_after_login(
	    "+OK top of message\r\nSubject: one\r\n\r\n.\r\n"
	    "+OK top of message\r\nSubject: one\r\n\r\nbody\r\n.\r\n"
	    "+OK top of message\r\nSubject: one\r\n\r\nbody\r\n.\r\n"
	    "+OK top of message\r\n..dot\r\n...\r\n\r\nx\r\n.\r\n"
	    "+OK top of message\r\nS: three\r\n\r\nno end\r\n.\r\n"
	    "-ERR wrong arguments\r\n-ERR wrong arguments\r\n");
}

static void
test_header_only(void **state)
{
	static const char *one[] = { "Subject: nothing" };

	(void)state;
	fake.contents = one;
	fake.count = 1;
	dialogue(LOGIN "TOP 1 0\r\nRETR 1\r\n");
	assert_heard("+OK send PASS\r\n+OK 1 messages (20 octets)\r\n"
	    "+OK top of message\r\nSubject: nothing\r\n\r\n.\r\n"
	    "+OK 20 octets\r\nSubject: nothing\r\n\r\n.\r\n");
}

/* Of an mbox only what is mail: counted so by the agent, sent so by us. */
static void
test_mbox(void **state)
{
	static const char *contents[] = {
		"Subject: a\nStatus: RO\n more\nX-UID: 1\n\n>From b\n.c\n",
		"Status: R\n\n>>From d\n.\n>", ""
	};
	static const uint64_t octets[] = { 26, 17, 2 };
	static struct mailbox_ops mbox;

	(void)state;
	fake.contents = contents;
	fake.octets = octets;
	fake.count = 3;
	mbox = fake_ops;
	mbox.content = CONTENT_MBOX;
	fake.agent.ops = &mbox;
	dialogue(LOGIN "RETR 1\r\nTOP 1 1\r\nRETR 2\r\nTOP 2 9\r\n"
	    "RETR 3\r\nTOP 3 1\r\n");
	assert_heard("+OK send PASS\r\n+OK 3 messages (45 octets)\r\n"
	    "+OK 26 octets\r\nSubject: a\r\n\r\nFrom b\r\n..c\r\n.\r\n"
	    "+OK top of message\r\nSubject: a\r\n\r\nFrom b\r\n.\r\n"
	    "+OK 17 octets\r\n\r\n>From d\r\n..\r\n>\r\n.\r\n"
	    "+OK top of message\r\n\r\n>From d\r\n..\r\n>\r\n.\r\n"
	    "+OK 2 octets\r\n\r\n.\r\n+OK top of message\r\n\r\n.\r\n");
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

/* RFC 6856, 4: what came by SMTPUTF8 is ASCII until UTF8 was said. */
static void
test_surrogate(void **state)
{
	static const char *two[] = {
	    "Received: by h with UTF8SMTP;\nS: \xc3\xbc\n\n\xc3\xbc\n",
	    "Received: by h with ESMTP;\nS: \xc3\xbc\n\n\xc3\xbc\n" };

	(void)state;
	fake.contents = two;
	fake.count = 2;
	dialogue(LOGIN "RETR 1\r\nTOP 1 0\r\nTOP 1 1\r\nRETR 2\r\nUTF8\r\n"
	    "RETR 1\r\nTOP 1 0\r\n");
	assert_heard("+OK send PASS\r\n+OK 2 messages (85 octets)\r\n"
	    "+OK 44 octets\r\nReceived: by h with UTF8SMTP;\r\nS: ??\r\n\r\n"
	    "\xc3\xbc\r\n.\r\n"
	    "+OK top of message\r\nReceived: by h with UTF8SMTP;\r\nS: ??\r\n"
	    "\r\n.\r\n"
	    "+OK top of message\r\nReceived: by h with UTF8SMTP;\r\nS: ??\r\n"
	    "\r\n\xc3\xbc\r\n.\r\n"
	    "+OK 41 octets\r\nReceived: by h with ESMTP;\r\nS: \xc3\xbc\r\n"
	    "\r\n\xc3\xbc\r\n.\r\n"
	    "+OK UTF-8 mode\r\n"
	    "+OK 44 octets\r\nReceived: by h with UTF8SMTP;\r\nS: \xc3\xbc"
	    "\r\n\r\n\xc3\xbc\r\n.\r\n"
	    "+OK top of message\r\nReceived: by h with UTF8SMTP;\r\n"
	    "S: \xc3\xbc\r\n\r\n.\r\n");
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

static void
assert_logged_in(const char *before, const char *mechanism, const char *tls)
{
	char expected[256];

	snprintf(expected, sizeof(expected), "%s+OK 3 messages (60 octets)\r\n"
	    "+OK 3 60\r\n+OK goodbye\r\n", before);
	assert_heard(expected);
	assert_string_equal(fake.done->mechanism, mechanism);
	assert_string_equal(fake.done->tls, tls);
	assert_logged("event=logout user=alice end=quit");
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
	dialogue("CAPA\r\nSTLS now\r\n" LOGIN "STLS\r\nSTAT\r\nQUIT\r\n");
	assert_heard(CAPA_BEGIN "USER\r\nSASL PLAIN LOGIN\r\nSTLS\r\n"
	    CAPA_END "-ERR wrong arguments\r\n" LOGIN_OK_TEXT
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

/* Never a wrong count in silence: no dot, and the session is over. */
static void
test_message_changed(void **state)
{
	static const uint64_t more[] = { 22, 19, 20 }, less[] = { 22, 9, 20 };

	(void)state;
	fake.octets = more;
	dialogue(LOGIN "RETR 2\r\nNOOP\r\n");
	assert_non_null(strstr(output, "+OK 19 octets\r\n..dot\r\n"));
	assert_null(strstr(output, "\r\n.\r\n"));
	fake.octets = less;
	dialogue(LOGIN "RETR 2\r\nNOOP\r\n");
	assert_non_null(strstr(output, "+OK 9 octets\r\n"));
	assert_null(strstr(output, "\r\n.\r\n"));
}

static void
test_message_gone(void **state)
{
	static const char *gone[] = { "a\n", NULL, "b\n" };
	static const uint64_t octets[] = { 3, 3, 3 };

	(void)state;
	fake.contents = gone;
	fake.octets = octets;
	dialogue(LOGIN "RETR 1\r\nRETR 2\r\nRETR 3\r\nQUIT\r\n");
	assert_heard("+OK send PASS\r\n+OK 3 messages (9 octets)\r\n"
	    "+OK 3 octets\r\na\r\n.\r\n-ERR message is gone\r\n"
	    "+OK 3 octets\r\nb\r\n.\r\n+OK goodbye\r\n");
	fake.fetch_errno = EIO;
	dialogue(LOGIN "RETR 1\r\nTOP 1 1\r\nQUIT\r\n");
	assert_signs("++--+");
}

/* A disk error on one message; the others can be had. */
static void
test_unreadable(void **state)
{
	(void)state;
	fake.unreadable = 2;
	dialogue(LOGIN "RETR 2\r\nTOP 2 1\r\nRETR 3\r\nDELE 3\r\nQUIT\r\n");
	assert_heard("+OK send PASS\r\n+OK 3 messages (60 octets)\r\n"
	    "-ERR [SYS/TEMP] message can not be read now\r\n"
	    "-ERR [SYS/TEMP] message can not be read now\r\n"
	    "+OK 20 octets\r\nS: three\r\n\r\nno end\r\n.\r\n"
	    "+OK message 3 deleted\r\n+OK goodbye\r\n");
	assert_logged("event=maildrop-failed what=read");
	assert_int_equal(fake.done->bitmap[0], 4);
}

/* More messages than one reply, one block of the index, one bitmap piece. */
static void
test_many_messages(void **state)
{
	static const char *many[FAKE_MAX];
	char input[8192] = LOGIN, *p;
	size_t i;

	(void)state;
	for (i = 0; i < FAKE_MAX; i++)
		many[i] = "m\n";
	fake.contents = many;
	fake.count = FAKE_MAX;
	for (i = 1; i <= 40; i++)
		snprintf(input + strlen(input), 32, "RETR %zu\r\n", i);
	strlcat(input, "DELE 9999\r\nLIST\r\nQUIT\r\n", sizeof(input));
	dialogue(input);
	assert_int_equal(fake.done->fetches, 3);	/* 16, 16, 8 and more */
	assert_int_equal(fake.done->bitmap[9998 / 8], 1 << (9998 % 8));
	assert_non_null(strstr(output, "\r\n9998 5\r\n10000 5\r\n.\r\n"));
	p = strstr(output, "+OK 9999 messages (49995 octets)\r\n1 5\r\n2 5\r\n");
	assert_non_null(p);
}

/* A client that waits for each reply gets more ahead each time. */
static void
test_fetched_ahead(void **state)
{
	static const char *many[100];
	struct maildrop d;
	struct fetched f;
	enum pop3_open verdict;
	uint32_t i;

	(void)state;
	for (i = 0; i < 100; i++)
		many[i] = "m\n";
	fake.contents = many;
	fake.count = 100;
	assert_int_equal(maildrop_ask(&d, -1), 0);
	assert_int_equal(maildrop_open(&d, &verdict), 0);
	for (i = 1; i <= 100; i++) {
		assert_int_equal(maildrop_fetch(&d, i, 0, &f), 0);
		assert_int_equal(f.verdict, FETCH_OK);
		close(f.fd);
	}
	/* 1, 2, 4, 8, then 16 */
	assert_int_equal(fake.done->fetches, 10);
	assert_int_equal(maildrop_fetch(&d, 7, 0, &f), 0);
	close(f.fd);
	assert_int_equal(d.run, 1);
	maildrop_close(&d);
}

static void
fetch_to(struct maildrop *d, uint32_t first, uint32_t last)
{
	struct fetched f;
	char content[8];

	for (; first <= last; first++) {
		assert_int_equal(maildrop_fetch(d, first, 1, &f), 0);
		assert_int_equal(f.verdict, FETCH_OK);
		assert_int_equal(pread(f.fd, content, sizeof(content),
		    (off_t)f.offset), f.length);
		assert_int_equal(content[0], 'a' + first % 26);
		close(f.fd);
	}
}

/* The next run is asked for before this one has ended. */
static void
test_asked_ahead(void **state)
{
	static const char *many[100];
	static char contents[100][3];
	struct maildrop d;
	enum pop3_open verdict;
	uint32_t i, failed;

	(void)state;
	for (i = 0; i < 100; i++) {
		contents[i][0] = (char)('a' + (i + 1) % 26);
		contents[i][1] = '\n';
		many[i] = contents[i];
	}
	fake.contents = many;
	fake.count = 100;
	assert_int_equal(maildrop_ask(&d, -1), 0);
	assert_int_equal(maildrop_open(&d, &verdict), 0);
	fetch_to(&d, 1, 8);
	assert_int_equal(fake.done->fetches, 1);
	fetch_to(&d, 9, 9);
	assert_int_equal(fake.done->fetches, 2);
	assert_int_equal(d.asked_first, 17);
	fetch_to(&d, 10, 24);
	assert_int_equal(fake.done->fetches, 2);
	fetch_to(&d, 25, 25);
	/* Out of order: what was asked for is of use, or is thrown away. */
	fetch_to(&d, 40, 48);
	assert_int_equal(fake.done->fetches, 4);
	fetch_to(&d, 3, 3);
	assert_int_equal(fake.done->fetches, 5);
	assert_int_equal(d.asked_count, 0);
	fetch_to(&d, 80, 90);
	assert_int_equal(d.asked_first, 96);
	assert_int_equal(d.asked_count, 5);
	assert_int_equal(maildrop_delete(&d, 1), 0);
	assert_int_equal(maildrop_expunge(&d, 0, &failed), 0);
	assert_int_equal(fake.done->bitmap[0], 1);
	maildrop_close(&d);
}

static void
test_large_message(void **state)
{
	static char text[1 << 20];
	static const char *one[] = { text };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(text) - 1; i++)
		text[i] = i % 61 == 60 ? '\n' : i % 61 == 0 ? '.' : 'x';
	fake.contents = one;
	fake.count = 1;
	dialogue(LOGIN "RETR 1\r\nQUIT\r\n");
	/* One more octet a line for its LF, one for its dot. */
	assert_true(output_len > sizeof(text) + 2 * (sizeof(text) / 61));
	assert_string_equal(output + output_len - 18,
	    "\r\n.\r\n+OK goodbye\r\n");
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

/* Requests that the table allows but that lie: a fault, and nothing done. */
static void
test_agent_faults(void **state)
{
	static const struct { uint32_t first, count; } fetches[] = {
		{ 0, 0 }, { 0, 17 }, { 3, 1 }, { 2, 2 }, { UINT32_MAX, 2 },
		{ 0, UINT32_MAX }
	};
	static const struct { uint32_t at, last; size_t len; uint8_t bits; }
	    expunges[] = {
		{ 1, 1, 1, 1 },		/* a gap */
		{ 0, 1, 2, 1 },		/* too long */
		{ 0, 0, 1, 1 },		/* whole but not the last */
		{ 0, 2, 1, 1 },		/* no such flag */
		{ 0, 1, 1, 8 }		/* a message that is not there */
	};
	const struct gate *g = pop3_gates.gates;
	uint8_t bits[2] = { 0, 0 };
	struct message m;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(fetches) / sizeof(fetches[0]); i++) {
		message_begin(&m, REQ_FETCH);
		put_u32(&m, fetches[i].first);
		put_u32(&m, fetches[i].count);
		assert_int_equal(g[1].handler(&fake.agent, fake.pair[1], &m),
		    STATE_FAULT);
	}
	for (i = 0; i < sizeof(expunges) / sizeof(expunges[0]); i++) {
		message_begin(&m, REQ_EXPUNGE);
		put_u32(&m, expunges[i].at);
		put_u32(&m, expunges[i].last);
		bits[0] = expunges[i].bits;
		put_data(&m, bits, expunges[i].len);
		assert_int_equal(g[2].handler(&fake.agent, fake.pair[1], &m),
		    STATE_FAULT);
		free(fake.agent.bitmap);
		fake.agent.bitmap = NULL;
	}
	assert_int_equal(fake.done->expunges, 0);
	assert_int_equal(recv(fake.pair[0], &m, sizeof(m), MSG_DONTWAIT), -1);
}

/* Every request in every state, and with surplus and lacking fields. */
static void
test_gate_table(void **state)
{
	static const struct {
		uint32_t	request;
		size_t		min, max;
		unsigned int	states;
	} rows[] = {
		{ REQ_OPEN, 0, 0, 1 << POP3_ENTERED },
		{ REQ_FETCH, 8, 8, 1 << POP3_OPENED },
		{ REQ_EXPUNGE, 13, 12 + POP3_BITMAP_MAX,
		    1 << POP3_OPENED | 1 << POP3_EXPUNGING }
	};
	struct message m;
	size_t i;
	int s, is_allowed;

	(void)state;
	for (i = 0; i < 3; i++)
		for (s = -1; s < 32; s++)
			for (message_begin(&m, rows[i].request);
			    m.len < MESSAGE_MAX; m.len++) {
				is_allowed = s >= 0 && m.len >= rows[i].min &&
				    m.len <= rows[i].max &&
				    (rows[i].states >> s & 1) != 0;
				assert_int_equal(gate_find(&pop3_gates, s, 0,
				    &m) != NULL, is_allowed);
				m.nfds = 1;
				assert_null(gate_find(&pop3_gates, s, 0, &m));
				m.nfds = 0;
			}
	message_begin(&m, REQ_OPEN);
	assert_null(gate_find(&pop3_gates, POP3_ENTERED, 1, &m));
}

#define SESSION_TEST(t)	cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SESSION_TEST(test_whole_session),
		SESSION_TEST(test_lone_lf_and_case),
		SESSION_TEST(test_pipelined_in_one_write),
		SESSION_TEST(test_top),
		SESSION_TEST(test_header_only),
		SESSION_TEST(test_mbox),
		SESSION_TEST(test_deletion),
		SESSION_TEST(test_no_quit_no_deletion),
		SESSION_TEST(test_idle),
		SESSION_TEST(test_shutdown),
		SESSION_TEST(test_end_before_opened),
		SESSION_TEST(test_expunge_fails),
		SESSION_TEST(test_lang),
		SESSION_TEST(test_utf8),
		SESSION_TEST(test_surrogate),
		SESSION_TEST(test_policy),
		SESSION_TEST(test_states),
		SESSION_TEST(test_login_refused),
		SESSION_TEST(test_login_last_and_tempfail),
		SESSION_TEST(test_open_fails),
		SESSION_TEST(test_plaintext_forbidden),
		SESSION_TEST(test_capa_and_auth),
		SESSION_TEST(test_auth),
		SESSION_TEST(test_auth_is_refused_as_pass_is),
		SESSION_TEST(test_auth_malformed),
		SESSION_TEST(test_auth_long_lines),
		SESSION_TEST(test_stls),
		SESSION_TEST(test_c2_stls_begins_anew),
		SESSION_TEST(test_c2_stls_injection),
		SESSION_TEST(test_handshake_fails),
		SESSION_TEST(test_pop3s),
		SESSION_TEST(test_c20_foreign_over_tls),
		SESSION_TEST(test_numbers),
		SESSION_TEST(test_bad_lines),
		SESSION_TEST(test_too_many_errors),
		SESSION_TEST(test_foreign_protocols),
		SESSION_TEST(test_message_changed),
		SESSION_TEST(test_message_gone),
		SESSION_TEST(test_unreadable),
		SESSION_TEST(test_many_messages),
		SESSION_TEST(test_fetched_ahead),
		SESSION_TEST(test_asked_ahead),
		SESSION_TEST(test_large_message),
		SESSION_TEST(test_secret_wiped),
		SESSION_TEST(test_agent_faults),
		SESSION_TEST(test_gate_table)
	};

	return cmocka_run_group_tests_name("pop3_session", tests, NULL, NULL);
}
