/*
 * relay_host: for tests of the relay: its process, with the queue and the
 * remote host both played by the test.
 */
#ifndef TESTS_RELAY_HOST_H
#define TESTS_RELAY_HOST_H

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/message.h"
#include "smtpd/relay.h"

#define PATIENCE_MS	20000	/* of the test, for what must come */
#define MINUTES5	60000	/* ms, for the relay: more than any test takes */

static int gate = -1, host = -1;	/* our ends */
static pid_t relay_pid;

/* What came through the gate. */
static struct greeted {
	uint32_t	verdict, code, extensions, is_verified;
	uint64_t	size_limit;
	char		status[16], text[512], tls[128];
} greeted;

static struct settled {
	int		count;		/* of REPLY_TO */
	uint32_t	verdict, stage, code;
	char		status[16], text[512];
} settled[RELAY_TO_MAX];

static struct {
	uint32_t	is_reusable;
	uint64_t	octets;
} sent;

/* The relay's process, with so much time for five minutes of the RFC's. */
static inline void
relay_start(int64_t timeout_ms)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    fds), 0);
	relay_pid = fork();
	if (relay_pid == 0) {
		close(fds[0]);
		_exit(relay_serve(fds[1], timeout_ms) == -1 ? 3 : 0);
	}
	close(fds[1]);
	gate = fds[0];
}

/* Its exit status, once the gate is closed. */
static inline int
relay_stop(void)
{
	int status;

	if (gate != -1)
		close(gate);
	if (host != -1)
		close(host);
	gate = host = -1;
	assert_int_equal(waitpid(relay_pid, &status, 0), relay_pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static inline void
ask_greet(enum relay_protocol protocol, enum relay_tls tls, const char *user)
{
	struct message m;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    fds), 0);
	assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	host = fds[0];
	message_begin(&m, REQ_GREET);
	put_u32(&m, protocol);
	put_u32(&m, tls);
	put_str(&m, "mx.example.org");
	put_str(&m, "me.example");
	put_str(&m, user);
	put_str(&m, user[0] != '\0' ? "open sesame" : "");
	put_fd(&m, fds[1]);
	assert_int_equal(message_send(gate, &m), 0);
	close(fds[1]);
}

static inline void
get_reply(struct message *m)
{
	assert_int_equal(message_wait(gate, m, 0, PATIENCE_MS), 1);
}

static inline void
get_greeted(void)
{
	struct message m;

	get_reply(&m);
	assert_int_equal(m.type, REPLY_GREET);
	greeted.verdict = get_u32(&m);
	greeted.code = get_u32(&m);
	get_str(&m, greeted.status, sizeof(greeted.status));
	get_str(&m, greeted.text, sizeof(greeted.text));
	greeted.extensions = get_u32(&m);
	greeted.size_limit = get_u64(&m);
	get_str(&m, greeted.tls, sizeof(greeted.tls));
	greeted.is_verified = get_u32(&m);
	assert_int_equal(get_end(&m), 0);
}

static inline void
ask_to_with(const char *path, uint32_t notify, const char *orcpt)
{
	struct message m;

	message_begin(&m, REQ_TO);
	put_str(&m, path);
	put_u32(&m, notify);
	put_str(&m, orcpt);
	assert_int_equal(message_send(gate, &m), 0);
}

static inline void
ask_to(const char *path)
{
	ask_to_with(path, 0, "");
}

/* What SEND says, for tests that want it otherwise. */
static struct {
	uint32_t	 flags, ret;
	const char	*from, *envid;
	uint64_t	 length;	/* 0: the content's */
} mail;

static inline void
mail_reset(void)
{
	memset(&mail, 0, sizeof(mail));
	mail.from = "bob@example.net";
	mail.envid = "";
}

/* The letter stands in the middle of a file. */
static inline void
ask_send_octets(const char *content, size_t len, uint32_t count)
{
	int fd = memfd_create("letter", MFD_CLOEXEC);
	struct message m;

	assert_int_not_equal(fd, -1);
	assert_int_equal(pwrite(fd, "\r\n.\r\n", 5, 0), 5);
	assert_int_equal(pwrite(fd, content, len, 5), len);
	assert_int_equal(pwrite(fd, "\n.\n", 3, (off_t)(5 + len)), 3);
	message_begin(&m, REQ_SEND);
	put_str(&m, "8DoueYnDckT3vQ9x0bZm");
	put_u64(&m, 5);
	put_u64(&m, mail.length != 0 ? mail.length : len);
	put_u64(&m, 0);
	put_u32(&m, mail.flags);
	put_str(&m, mail.from);
	put_u32(&m, mail.ret);
	put_str(&m, mail.envid);
	put_u32(&m, count);
	put_fd(&m, fd);
	assert_int_equal(message_send(gate, &m), 0);
	close(fd);
}

static inline void
ask_send(const char *content, uint32_t count)
{
	ask_send_octets(content, strlen(content), count);
}

static inline void
get_settled(struct message *m)
{
	uint32_t i = get_u32(m);
	struct settled *s;

	assert_in_range(i, 0, RELAY_TO_MAX - 1);
	s = &settled[i];
	s->count++;
	s->verdict = get_u32(m);
	s->stage = get_u32(m);
	s->code = get_u32(m);
	get_str(m, s->status, sizeof(s->status));
	get_str(m, s->text, sizeof(s->text));
	assert_int_equal(get_end(m), 0);
	assert_int_equal(s->status[0], s->verdict == DELIVERED ? '2' :
	    s->verdict == DELIVERY_DEFERRED ? '4' : '5');
}

/* One answer to SEND: 1, or 0 when it was the last. */
static inline int
get_one(void)
{
	struct message m;

	get_reply(&m);
	if (m.type == REPLY_TO) {
		get_settled(&m);
		return 1;
	}
	assert_int_equal(m.type, REPLY_SEND);
	sent.is_reusable = get_u32(&m);
	sent.octets = get_u64(&m);
	assert_int_equal(get_end(&m), 0);
	return 0;
}

/* Every recipient's verdict, once, and then the letter's. */
static inline void
get_sent(uint32_t count)
{
	uint32_t i;

	memset(settled, 0, sizeof(settled));
	while (get_one())
		;
	for (i = 0; i < RELAY_TO_MAX; i++)
		assert_int_equal(settled[i].count, i < count);
}

static inline void
host_put(const char *data, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = send(host, data, len, MSG_NOSIGNAL);
		if (n <= 0)
			return;		/* it has hung up: also good */
		data += n;
		len -= (size_t)n;
	}
}

static inline void
host_say(const char *line)
{
	host_put(line, strlen(line));
	host_put("\r\n", 2);
}

/* At most so much, or less at the end; what was read. */
static inline size_t
host_get(char *buf, size_t len)
{
	struct pollfd pfd = { .fd = host, .events = POLLIN };
	size_t have = 0;
	ssize_t n;

	while (have < len) {
		if (poll(&pfd, 1, PATIENCE_MS) != 1)
			fail_msg("the relay says nothing");
		n = recv(host, buf + have, len - have, 0);
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	return have;
}

/* A line without its CR LF; "" at the end. */
static inline const char *
host_line(void)
{
	static char line[4096];
	size_t n = 0;

	while (n < sizeof(line) - 1 && host_get(line + n, 1) == 1) {
		n++;
		if (n >= 2 && line[n - 2] == '\r' && line[n - 1] == '\n') {
			line[n - 2] = '\0';
			return line;
		}
		assert_int_not_equal(line[n - 1], '\n');
	}
	assert_int_equal(n, 0);
	line[0] = '\0';
	return line;
}

static inline void
host_expect(const char *text)
{
	size_t len = strlen(text);
	static char got[200000];

	assert_in_range(len, 0, sizeof(got) - 1);
	got[host_get(got, len)] = '\0';
	assert_string_equal(got, text);
}

static inline void
host_expect_line(const char *line)
{
	assert_string_equal(host_line(), line);
}

/* Nothing more comes than the end. */
static inline void
host_expect_end(void)
{
	char c;

	assert_int_equal(host_get(&c, 1), 0);
}

/* Is the relay waiting for the host, and not saying more of itself? */
static inline int
host_is_silent(void)
{
	struct pollfd pfd = { .fd = host, .events = POLLIN };

	return poll(&pfd, 1, 20) == 0;
}

/* A host with these extensions, "" none, separated by blanks. */
static inline void
host_greet(const char *extensions)
{
	char line[80];
	size_t n;

	ask_greet(RELAY_SMTP, RELAY_TLS_MAY, "");
	host_say("220 mx.example.org ESMTP");
	host_expect("EHLO me.example\r\n");
	while (*extensions != '\0') {
		n = strcspn(extensions, ",");
		snprintf(line, sizeof(line), "250-%.*s", (int)n, extensions);
		host_say(line);
		extensions += n + (extensions[n] == ',');
	}
	host_say("250 HELP");
	get_greeted();
	assert_int_equal(greeted.verdict, RELAY_READY);
}

static inline void
host_bye(void)
{
	close(gate);
	gate = -1;
	host_expect("QUIT\r\n");
	host_say("221 bye");
	host_expect_end();
}

#endif
