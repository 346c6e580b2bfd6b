/*
 * pop3_session: a session of a worker in a process of its own, the agent of
 * pop3_fake.h behind it, and what the client hears. For the test_pop3_
 * programs, which have one source each.
 */
#ifndef TESTS_POP3_SESSION_H
#define TESTS_POP3_SESSION_H

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

/* No test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

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

#define SESSION_TEST(t)	cmocka_unit_test_setup_teardown(t, setup, teardown)

#endif
