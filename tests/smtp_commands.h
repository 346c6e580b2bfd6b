/*
 * For tests of SMTP's commands one by one: a worker's session without a
 * client, and its agent (tests/smtp_agent.h), all in this process.
 */
#ifndef TESTS_SMTP_COMMANDS_H
#define TESTS_SMTP_COMMANDS_H

#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/commands.h"
#include "tests/smtp_agent.h"
#include "tests/smtp_secure.h"

/* No test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

static struct config config;
static struct worker worker;
static struct session session;
static struct fake_agent fake;
static int asked;		/* requests that went through the gate */
static char said[WIRE_OUT_SIZE + 1];
static size_t said_len;	/* of what was flushed already */

void
worker_alive(struct worker *w)
{
	(void)w;
}

/* The agent is in this process. */
int
gate_ask(int gate, const struct message *request, struct message *reply,
    uint32_t expected, int maxfds)
{
	struct message copy = *request;
	int to_close;

	(void)gate;
	fake_secure_gate();
	asked++;
	if (fake_answer(&fake, &copy, reply, &to_close) == -1) {
		errno = EPIPE;
		return -1;
	}
	fake_must(reply->type == expected && reply->nfds <= maxfds);
	return 0;
}

static ssize_t
client_reads(struct wire *wire, const void *buf, size_t len)
{
	(void)wire;
	assert_true(len < sizeof(said) - said_len);
	memcpy(said + said_len, buf, len);
	said_len += len;
	return (ssize_t)len;
}

static int
setup(void **state)
{
	(void)state;
	memset(&config, 0, sizeof(config));
	strlcpy(config.hostname, "mail.example", sizeof(config.hostname));
	config.message_size_limit = 1000000;
	config.idle_timeout = 300;
	config.max_errors = 20;
	config.login_timeout = 60;
	memset(&fake_secure, 0, sizeof(fake_secure));
	memset(&fake, 0, sizeof(fake));
	fake.content = -1;
	fake.uses_file = 1;
	worker.client = worker.gate = worker.master = -1;
	worker.signer = -1;
	worker.config = &config;
	worker.facts.service = SERVICE_SMTP;
	worker.facts.flags = 0;
	session_init(&session, &worker);
	session.wire.transport_write = client_reads;
	asked = 0;
	return 0;
}

/* What is answered to a line, without the last CR LF. */
static const char *
reply_to(const char *text)
{
	char line[SESSION_LINE_MAX];
	size_t len;

	assert_true(strlcpy(line, text, sizeof(line)) < sizeof(line));
	session.wire.out_len = said_len = 0;
	command_run(&session, line);
	assert_true(session_is_sane(&session));
	assert_int_equal(wire_flush(&session.wire), WIRE_OK);
	len = said_len;
	assert_true(len > 2);
	assert_memory_equal(said + len - 2, "\r\n", 2);
	said[len - 2] = '\0';
	return said;
}

static void
expect(const char *line, const char *answer)
{
	assert_string_equal(reply_to(line), answer);
}

/* Only the code and enhanced code matter. */
static void
expect_code(const char *line, const char *code)
{
	const char *answer = reply_to(line);

	if (strncmp(answer, code, strlen(code)) != 0)
		fail_msg("\"%s\": %s, not %s", line, answer, code);
}

static void
bring_to(enum smtp_state state)
{
	setup(NULL);
	if (state >= SMTP_READY)
		expect_code("EHLO client", "250");
	if (state >= SMTP_MAIL)
		expect_code("MAIL FROM:<a@b>", "250 2.1.0");
	if (state >= SMTP_RCPT)
		expect_code("RCPT TO:<a@b>", "250 2.1.5");
	if (state >= SMTP_BDAT)
		expect_code("BDAT 0", "250 2.0.0");
	assert_int_equal(session.state, state);
}

#endif
