/*
 * For tests of whole SMTP sessions: a worker's session in one process, an
 * agent in another (tests/smtp_agent.h), the client in the test.
 */
#ifndef TESTS_SMTP_SESSION_H
#define TESTS_SMTP_SESSION_H

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "privsep/channel.h"
#include "privsep/log.h"
#include "smtpd/session.h"
#include "tests/smtp_agent.h"
#include "tests/smtp_secure.h"

/* No test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

static struct config config;
static enum service service;
static uint32_t facts;
static int signer;
static int haste = 1;			/* how fast time passes */
static int client, master, log_end;	/* our ends */
static pid_t session_pid, agent_pid;

/* In place of the library's: hours pass in seconds. */
int
clock_gettime(clockid_t clock, struct timespec *now)
{
	if (syscall(SYS_clock_gettime, clock, now) == -1)
		return -1;
	now->tv_sec = now->tv_sec % 1000000 * haste +
	    now->tv_nsec * haste / 1000000000;
	now->tv_nsec = now->tv_nsec * haste % 1000000000;
	return 0;
}

void
worker_alive(struct worker *w)
{
	(void)w;
}

int
gate_ask(int gate, const struct message *request, struct message *reply,
    uint32_t expected, int maxfds)
{
	int n;

	fake_secure_gate();
	if (message_send(gate, request) == -1)
		return -1;
	if ((n = message_wait(gate, reply, maxfds, 60000)) != 1) {
		if (n == 0)
			errno = EPIPE;
		return -1;
	}
	if (reply->type == expected)
		return 0;
	message_discard(reply);
	errno = EBADMSG;
	return -1;
}

static void
run_agent(int gate)
{
	static struct message request, reply;
	static struct fake_agent fake = { .content = -1 };
	int to_close;

	while (message_recv(gate, &request, 0) == 1) {
		if (fake_answer(&fake, &request, &reply, &to_close) == -1)
			_exit(0);
		fake_must(message_send(gate, &reply) == 0);
		if (to_close == -1)
			continue;
		/* As the real one: nothing is asked while content flows. */
		close(to_close);
		if (fake.content != -1 && strcmp(fake.sender_local, "lost")) {
			int copy = memfd_create("copy", 0);
			uint8_t buf[65536];
			ssize_t n;

			for (fake.reads = 0; (n = read(fake.content, buf,
			    sizeof(buf))) > 0; fake.reads++)
				fake_must(write(copy, buf, (size_t)n) == n);
			close(fake.content);
			fake.content = copy;
			fake_must(lseek(copy, 0, SEEK_SET) == 0);
		}
	}
	_exit(0);
}

static void
run_session(int fd, int gate, int watch, int logs)
{
	static struct session session;
	static struct worker worker;

	log_init_socket(logs);
	if (fcntl(fd, F_SETFL, O_NONBLOCK) == -1)
		_exit(2);
	worker.client = fd;
	worker.gate = gate;
	worker.master = watch;
	worker.signer = signer;
	worker.facts.session = 7;
	worker.facts.service = service;
	worker.facts.flags = facts;
	fake_secure.is_needed = service_is_submission(service);
	worker.config = &config;
	session_init(&session, &worker);
	session_run(&session);
	_exit(session_is_sane(&session) ? 0 : 3);
}

static void
pair(int type, int ends[2])
{
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
}

static void
begin(void)
{
	int c[2], g[2], m[2], l[2];

	pair(SOCK_STREAM, c);
	pair(SOCK_SEQPACKET, g);
	pair(SOCK_SEQPACKET, m);
	pair(SOCK_SEQPACKET, l);
	if ((agent_pid = fork()) == 0) {
		close(c[0]); close(c[1]); close(g[1]);
		close(m[0]); close(m[1]); close(l[0]); close(l[1]);
		run_agent(g[0]);
	}
	if ((session_pid = fork()) == 0) {
		close(c[0]); close(g[0]); close(m[0]); close(l[0]);
		run_session(c[1], g[1], m[1], l[1]);
	}
	close(c[1]); close(g[0]); close(g[1]); close(m[1]); close(l[1]);
	client = c[0];
	master = m[0];
	log_end = l[0];
}

/* Both processes end in order: no abort, no sanitizer. */
static void
end(void)
{
	int status;

	close(client);
	assert_int_equal(waitpid(session_pid, &status, 0), session_pid);
	assert_int_equal(status, 0);
	assert_int_equal(waitpid(agent_pid, &status, 0), agent_pid);
	assert_int_equal(status, 0);
	close(master);
	close(log_end);
}

static void
say_octets(const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	while (len > 0) {
		n = send(client, p, len, MSG_NOSIGNAL);
		if (n == -1)
			return;		/* the reply tells why */
		p += n;
		len -= (size_t)n;
	}
}

static void
say(const char *text)
{
	say_octets(text, strlen(text));
}

/* The last line of the next reply, without its end; "" at end of file. */
static const char *
reply(void)
{
	static char line[1024];
	size_t len;
	struct pollfd pfd = { .fd = client, .events = POLLIN };

	do {
		for (len = 0; len < 2 || line[len - 2] != '\r' ||
		    line[len - 1] != '\n'; len++) {
			assert_true(len < 512);
			assert_int_equal(poll(&pfd, 1, 60000), 1);
			if (recv(client, line + len, 1, 0) != 1) {
				assert_int_equal(len, 0);
				line[0] = '\0';
				return line;
			}
		}
		line[len - 2] = '\0';
		assert_true(strspn(line, "0123456789") == 3);
	} while (line[3] == '-');
	assert_int_equal(line[3], ' ');
	return line;
}

static void
expect(const char *start)
{
	const char *line = reply();

	if (strncmp(line, start, strlen(start)) != 0 ||
	    (start[0] == '\0' && line[0] != '\0'))
		fail_msg("\"%s\", not \"%s\"", line, start);
}

static int
setup(void **state)
{
	(void)state;
	memset(&config, 0, sizeof(config));
	strlcpy(config.hostname, "mail.example", sizeof(config.hostname));
	config.message_size_limit = 1000000;
	config.idle_timeout = 60;
	config.max_errors = 20;
	config.login_timeout = 60;
	service = SERVICE_SMTP;
	facts = 0;
	signer = -1;
	haste = 1;
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static void
greet(void)
{
	begin();
	expect("220");
	say("EHLO c\r\n");
	expect("250");
}

static void
open_transaction(const char *sender)
{
	char line[128];

	snprintf(line, sizeof(line), "MAIL FROM:<%s@b>\r\n", sender);
	say(line);
	expect("250 2.1.0");
	say("RCPT TO:<c@d>\r\n");
	expect("250 2.1.5");
}

/* Does a line with this come to the log? */
static void
expect_log(const char *what)
{
	char line[LOG_LINE_MAX] = "";
	struct message m;

	while (strstr(line, what) == NULL) {
		if (message_wait(log_end, &m, 0, 60000) != 1)
			fail_msg("\"%s\": not \"%s\"", line, what);
		get_u32(&m);
		get_str(&m, line, sizeof(line));
	}
}

/* The last octets of TLS, then those of TCP. */
static void
expect_close_notify(void)
{
	expect("199 close_notify");
	expect("");
}

static void
repeat_until(const char *line, int times, const char *answer,
    const char *last)
{
	int i;

	greet();
	for (i = 0; i < times; i++) {
		say(line);
		expect(answer);
	}
	expect(last);
	expect("");
	end();
}

#define AUTH_ALICE	"AUTH PLAIN AGFsaWNlAHB3\r\n"

#endif
