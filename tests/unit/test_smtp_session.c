/* LINK: smtpd/session smtpd/commands smtpd/security smtpd/auth smtpd/parameters smtpd/receive smtpd/stubs smtpd/address smtpd/data wire/wire wire/sasl privsep/facts privsep/message privsep/log */
/*
 * Whole SMTP sessions: a worker's session in one process, an agent in another
 * (tests/smtp_agent.h), the client here; and a random walk of batches of
 * commands against a small model of its own (C1, C3).
 */
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
#include "wire/sasl.h"
#include "tests/smtp_agent.h"
#include "tests/smtp_secure.h"

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
	config.login_timeout = 60;
	service = SERVICE_SMTP;
	facts = 0;
	signer = -1;
	haste = 1;
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static void
test_one_letter(void **state)
{
	struct message m;
	char line[LOG_LINE_MAX];

	(void)state;
	begin();
	expect("220 mail.example ESMTP Postern");
	say("EHLO c\r\n");
	expect("250 HELP");
	say("MAIL FROM:<a@b>\r\n");
	expect("250 2.1.0 Good");
	say("RCPT TO:<c@d>\r\n");
	expect("250 2.1.5 Good");
	say("DATA\r\n");
	expect("354 Go ahead");
	say("Subject: x\r\n\r\n..dot\r\n.\r\n");
	expect("250 2.0.0 octets=17 sum=d24fc2fc recipients=1");
	say("DATA\r\n");
	expect("503 5.5.1");
	say("QUIT\r\n");
	expect("221 2.0.0");
	expect("");
	assert_int_equal(message_wait(log_end, &m, 0, 60000), 1);
	assert_int_equal(m.type, CH_LOG);
	get_u32(&m);
	get_str(&m, line, sizeof(line));
	assert_non_null(strstr(line,
	    "event=disconnect commands=6 messages=1 errors=1 helo=c tls=none"));
	end();
}

/* All in one piece, two letters, and content that looks like commands. */
static void
test_pipelined(void **state)
{
	(void)state;
	begin();
	say("EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<no@d>\r\n"
	    "RCPT TO:<e@d>\r\nDATA\r\nQUIT\r\nMAIL FROM:<x@y>\r\n..\r\n.\r\n"
	    "MAIL FROM:<full@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n"
	    "NOOP\r\nRSET\r\nQUIT\r\nNOOP\r\n");
	expect("220");
	expect("250");
	expect("250 2.1.0");
	expect("250 2.1.5");
	expect("550 5.1.1");
	expect("250 2.1.5");
	expect("354");
	expect("250 2.0.0 octets=23 ");
	expect("250 2.1.0");
	expect("250 2.1.5");
	expect("354");
	expect("452 4.3.1 Full");
	expect("250 2.0.0 Nothing");
	expect("250 2.0.0 Forgotten");
	expect("221");
	expect("");
	end();
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

/* C1: every sequence but CR LF dot CR LF is content, and faulty content. */
static void
test_c1_faulty_data(void **state)
{
	static const struct {
		const char	*text;
		size_t		 len;
	} bad[] = { { "a\n.\nb", 5 }, { "a\r.\rb", 5 }, { "a\n.\r\nb", 6 },
	    { "a\r\n.\nb", 6 }, { "a\r\n.\rb", 6 }, { "a\r.\r\nb", 6 },
	    { "a\0b", 3 }, { "a\r\n.\0\r\nb", 8 }, { "a\r\n\0.\r\nb", 8 },
	    { "a\r\r\n.\r\r\nb", 9 } };
	static const char *const faults[] = { "LF", "CR", "LF", "LF", "CR",
	    "CR", "NUL", "NUL", "NUL", "CR" };
	char answer[64];
	size_t i;

	(void)state;
	greet();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		open_transaction("a");
		say("DATA\r\n");
		expect("354");
		say_octets(bad[i].text, bad[i].len);
		say("\r\nQUIT\r\n.\r\nNOOP\r\nDATA\r\n");
		snprintf(answer, sizeof(answer), "554 5.6.0 Message contains "
		    "a %s%s", faults[i][0] == 'N' ? "" : "bare ", faults[i]);
		expect(answer);
		expect("250 2.0.0 Nothing");
		/* C3: nothing is left of the transaction. */
		expect("503 5.5.1");
		if (i == 6) {
			/* Before the errors are too many. */
			say("QUIT\r\n");
			expect("221");
			end();
			greet();
		}
	}
	say("QUIT\r\n");
	expect("221");
	end();
}

static void
test_data_refused(void **state)
{
	(void)state;
	greet();
	open_transaction("nodata");
	say("DATA\r\n");
	expect("451 4.3.0 No disk");
	say("RSET\r\n");
	expect("250");
	open_transaction("lost");
	say("DATA\r\nx\r\n.\r\nNOOP\r\n");
	expect("354");
	expect("451 4.3.0");
	expect("250 2.0.0 Nothing");
	say("DATA\r\n");
	expect("503");
	say("QUIT\r\n");
	expect("221");
	end();
}

/* The agent fails in the middle: 421, never 250. */
static void
test_gate_fails(void **state)
{
	static const char *const senders[] = { "late", "nopipe", "yesdata" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(senders) / sizeof(senders[0]); i++) {
		greet();
		open_transaction(senders[i]);
		say("DATA\r\nx\r\n.\r\nNOOP\r\n");
		if (i == 0)
			expect("354");
		expect("421 4.3.0");
		expect("");
		end();
	}
	greet();
	say("MAIL FROM:<die@b>\r\nQUIT\r\n");
	expect("421 4.3.0");
	expect("");
	end();
}

static void
test_bad_lines(void **state)
{
	static char line[SESSION_LINE_MAX + 100];

	(void)state;
	greet();
	say("NOOP\nNOOP\r\n");
	expect("500 5.5.2");
	say("NOOP\rNOOP\r\n");
	expect("500 5.5.2");
	say_octets("NOOP\0NOOP\r\n", 11);
	expect("500 5.5.2");
	say("\r\n");
	expect("500 5.5.2");
	memset(line, 'x', sizeof(line));
	memcpy(line, "NOOP ", 5);
	memcpy(line + SESSION_LINE_MAX - 2, "\r\n", 3);
	say(line);
	expect("250 2.0.0");
	memset(line + SESSION_LINE_MAX - 2, 'x', 10);
	memcpy(line + SESSION_LINE_MAX - 1, "\r\n", 3);
	say(line);
	expect("500 5.5.2 Line too long");
	say("QUIT\r\n");
	expect("221");
	end();
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

static void
test_limits(void **state)
{
	int i;

	(void)state;
	repeat_until("WHAT\r\n", SESSION_ERRORS_MAX, "500", "421 4.7.0");
	repeat_until("NOOP\r\n", SESSION_IDLE_MAX - 1, "250", "421 4.7.0");
	repeat_until("MAIL FROM:<no@b>\r\n", SESSION_REFUSALS_MAX, "550",
	    "421 4.7.0");
	/* With messages in between nobody is stopped. */
	greet();
	for (i = 0; i < SESSION_IDLE_MAX + 10; i++) {
		open_transaction("a");
		say("NOOP\r\nDATA\r\nx\r\n.\r\n");
		expect("250 2.0.0 Nothing");
		expect("354");
		expect("250 2.0.0 octets=2 ");
	}
	say("QUIT\r\n");
	expect("221");
	end();
}

/* C20: a browser made to talk to us learns nothing and does nothing. */
static void
test_c20_other_protocols(void **state)
{
	(void)state;
	begin();
	say("POST / HTTP/1.1\r\nHost: mail.example\r\n\r\nEHLO c\r\n"
	    "MAIL FROM:<a@b>\r\n");
	expect("220");
	expect("421 4.7.0");
	expect("");
	end();
}

static void
test_timeout(void **state)
{
	(void)state;
	config.idle_timeout = 1;
	begin();
	expect("220");
	expect("421 4.4.2");
	expect("");
	end();
	greet();
	open_transaction("a");
	say("DATA\r\nx\r\n");
	expect("354");
	expect("421 4.4.2");
	expect("");
	end();
}

static void
test_shutdown(void **state)
{
	(void)state;
	greet();
	close(master);
	expect("421 4.3.2");
	expect("");
	master = -1;
	end();
	greet();
	open_transaction("a");
	say("DATA\r\nx\r\n");
	expect("354");
	close(master);
	expect("421 4.3.2");
	expect("");
	master = -1;
	end();
}

/* The client goes away anywhere: nothing is committed, nobody aborts. */
static void
test_client_leaves(void **state)
{
	static const char dialogue[] = "EHLO c\r\nMAIL FROM:<a@b>\r\n"
	    "RCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r";
	size_t len;

	(void)state;
	for (len = 0; len < sizeof(dialogue); len += 3) {
		begin();
		say_octets(dialogue, len);
		assert_int_equal(shutdown(client, SHUT_WR), 0);
		while (reply()[0] != '\0')
			;
		end();
	}
}

static void
test_large(void **state)
{
	const size_t size = 8 * 1024 * 1024;
	char *text = malloc(size), answer[64];
	size_t i;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', size);
	/* One line of a megabyte, then shorter ones. */
	for (i = 1024 * 1024; i < size; i += 64)
		memcpy(text + i, "\r\n..", 4);
	memcpy(text + size - 2, "\r\n", 2);
	greet();
	open_transaction("a");
	say("DATA\r\n");
	expect("354");
	say_octets(text, size);
	say(".\r\nQUIT\r\n");
	/* Each line end is an octet less, and so is each stuffed dot. */
	i = (size - 1024 * 1024) / 64;
	snprintf(answer, sizeof(answer), "250 2.0.0 octets=%zu ",
	    size - 2 * i - 1);
	expect(answer);
	expect("221");
	end();
	free(text);
}

/*
 * C16: a hundred seconds a second.  Nobody is cut off within the first ten
 * minutes, and what came is not kept from the agent.
 */
static void
test_c16_slow_data(void **state)
{
	const char *line;
	int i;

	(void)state;
	haste = 100;
	config.idle_timeout = 1000000;
	greet();
	open_transaction("a");
	say("DATA\r\n");
	expect("354");
	for (i = 0; i < 4; i++) {
		say("slow\r\n");
		usleep(200000);
	}
	say(".\r\n");
	line = reply();
	assert_int_equal(strncmp(line, "250 2.0.0 octets=20 ", 20), 0);
	line = strstr(line, "reads=");
	assert_non_null(line);
	assert_true(atoi(line + 6) >= 3);
	say("QUIT\r\n");
	expect("221");
	end();
}

/* A thousand seconds a second: then whoever goes on so is. */
static void
test_c16_too_slow_data(void **state)
{
	int i;

	(void)state;
	haste = 1000;
	config.idle_timeout = 1000000;
	greet();
	open_transaction("a");
	say("DATA\r\n");
	expect("354");
	for (i = 0; i < 100; i++) {
		say("x");
		usleep(10000);
	}
	expect("421 4.4.2 Data comes too slowly");
	end();
}

/* Far beyond the limit we don't wait for the end. */
static void
test_far_too_big(void **state)
{
	const size_t size = 1024 * 1024;
	char *text = malloc(size);
	int i;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', size);
	config.message_size_limit = 1;
	greet();
	open_transaction("a");
	say("DATA\r\n");
	expect("354");
	for (i = 0; i < 66; i++)
		say_octets(text, size);
	expect("552 5.3.4");
	end();
	free(text);
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

#define AUTH_ALICE	"AUTH PLAIN AGFsaWNlAHB3\r\n"

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
	repeat_until("MAIL FROM:<a@b>\r\n", SESSION_ERRORS_MAX, "530 5.7.0",
	    "421 4.7.0");
	facts = FACT_PLAINTEXT;
	repeat_until("AUTH PLAIN AG5vAHB3\r\n", SESSION_ERRORS_MAX,
	    "535 5.7.8", "421 4.7.0");
}

/*
 * The random walk.  The model knows SMTP's sequence and limits, nothing of the
 * code under test.
 */
struct model {
	int	greeted, open, recipients, over;
	int	esmtp, submits, plaintext, tls, login;
	int	errors, idle, refusals;
	char	sender[16];
};

struct batch {
	char	text[4096];
	char	expected[64][4];
	int	count;
	int	ends_in_tls;	/* nothing may follow before the handshake */
};

static void
batch_add(struct batch *batch, const char *text, const char *code)
{
	if (text != NULL)
		strlcat(batch->text, text, sizeof(batch->text));
	if (code != NULL)
		strlcpy(batch->expected[batch->count++], code, 4);
}

static void
model_close(struct model *model)
{
	model->open = model->recipients = 0;
	model->sender[0] = '\0';
}

static void
walk_error(struct model *model, struct batch *batch, const char *text,
    const char *code)
{
	model->errors++;
	batch_add(batch, text, code);
}

/* What needs login is refused whatever else is wrong with it. */
static int
walk_needs_login(struct model *model, struct batch *batch, const char *line)
{
	if (!model->submits || model->login)
		return 0;
	walk_error(model, batch, line, "530");
	return 1;
}

static void
walk_mail(struct model *model, struct batch *batch, unsigned int dice)
{
	static const char *const senders[] = { "a", "b", "full", "lost",
	    "nodata", "no", "wait" };
	const char *sender = senders[dice % 7];
	char line[64];

	snprintf(line, sizeof(line), "MAIL FROM:<%s@b>\r\n", sender);
	if (walk_needs_login(model, batch, line))
		return;
	if (!model->greeted || model->open) {
		walk_error(model, batch, line, "503");
	} else if (strcmp(sender, "no") == 0) {
		model->refusals++;
		batch_add(batch, line, "550");
	} else if (strcmp(sender, "wait") == 0) {
		batch_add(batch, line, "451");
	} else {
		model->open = 1;
		strlcpy(model->sender, sender, sizeof(model->sender));
		batch_add(batch, line, "250");
	}
}

static void
walk_rcpt(struct model *model, struct batch *batch, unsigned int dice)
{
	static const char *const lines[] = { "RCPT TO:<c@d>\r\n",
	    "RCPT TO:<no@d>\r\n", "RCPT TO:<wait@d>\r\n",
	    "RCPT TO:<c@d> X=Y\r\n", "RCPT TO:<c@>\r\n" };
	static const char *const codes[] = { "250", "550", "451", "555",
	    "501" };
	unsigned int which = dice % 9;

	if (which > 4)
		which = 0;
	if (walk_needs_login(model, batch, lines[which]))
		return;
	if (!model->open) {
		walk_error(model, batch, lines[which], "503");
	} else if (which > 2) {
		walk_error(model, batch, lines[which], codes[which]);
	} else {
		model->recipients += which == 0;
		model->refusals += which == 1;
		batch_add(batch, lines[which], codes[which]);
	}
}

static void
walk_data(struct model *model, struct batch *batch, unsigned int dice)
{
	const char *code = "250", *text = "x\r\nRSET\r\n..\r\n.\r\n";

	if (walk_needs_login(model, batch, "DATA\r\n"))
		return;
	if (model->recipients == 0) {
		walk_error(model, batch, "DATA\r\n", "503");
		return;
	}
	if (strcmp(model->sender, "nodata") == 0) {
		batch_add(batch, "DATA\r\n", "451");
		return;
	}
	if (strcmp(model->sender, "full") == 0)
		code = "452";
	else if (strcmp(model->sender, "lost") == 0)
		code = "451";
	if (dice % 3 == 0) {
		text = "x\n.\nMAIL FROM:<a@b>\r\n.\n\r\n.\r\n";
		code = "554";
		model->errors++;
	}
	batch_add(batch, "DATA\r\n", "354");
	batch_add(batch, text, code);
	if (strcmp(code, "250") == 0)
		model->idle = 0;
	model_close(model);
}

static void
walk_greet(struct model *model, struct batch *batch, unsigned int dice)
{
	model->idle++;
	switch (dice % 4) {
	case 0:
		walk_error(model, batch, "EHLO\r\n", "501");
		return;
	case 1:
		batch_add(batch, "HELO c\r\n", "250");
		model->esmtp = 0;
		break;
	default:
		batch_add(batch, "EHLO c\r\n", "250");
		model->esmtp = 1;
		break;
	}
	model->greeted = 1;
	model_close(model);
}

static void
walk_other(struct model *model, struct batch *batch, unsigned int dice)
{
	switch (dice % 8) {
	case 0:
		walk_error(model, batch, "WHAT\r\n", "500");
		break;
	case 1:
		walk_error(model, batch, "NOOP\nMAIL FROM:<a@b>\r\n", "500");
		break;
	case 2:
		walk_error(model, batch, "EXPN x\r\n", "502");
		break;
	case 3:
		model->idle++;
		walk_error(model, batch, "RSET now\r\n", "501");
		break;
	case 4:
		model->idle++;
		if (!walk_needs_login(model, batch, "VRFY x\r\n"))
			batch_add(batch, "VRFY x\r\n", "252");
		break;
	case 5:
		model->idle++;
		batch_add(batch, "HELP\r\n", "214");
		break;
	case 6:
		model->idle++;
		batch_add(batch, "NOOP x\r\n", "250");
		break;
	default:
		model->idle++;
		model_close(model);
		batch_add(batch, "RSET\r\n", "250");
		break;
	}
}

/* All is forgotten but the limits. */
static void
walk_starttls(struct model *model, struct batch *batch)
{
	model->idle++;
	if (!model->greeted || model->tls || !model->esmtp || model->login) {
		walk_error(model, batch, "STARTTLS\r\n", "503");
		return;
	}
	batch_add(batch, "STARTTLS\r\n", "220");
	batch->ends_in_tls = 1;
	model_close(model);
	model->tls = 1;
	model->greeted = model->esmtp = 0;
}

static void
walk_auth(struct model *model, struct batch *batch, unsigned int dice)
{
	const char *line = dice % 3 == 0 ? AUTH_ALICE :
	    "AUTH PLAIN AG5vAHB3\r\n";
	const char *code = "535";

	model->idle++;
	if (!model->submits) {
		code = "502";
	} else if (!model->greeted || model->open || model->login ||
	    !model->esmtp)
		code = "503";
	else if (!model->tls && !model->plaintext)
		code = "538";
	else if (dice % 3 == 0) {
		model->login = 1;
		batch_add(batch, line, "235");
		return;
	}
	walk_error(model, batch, line, code);
}

static void
walk_step(struct model *model, struct batch *batch, unsigned int verb,
    unsigned int dice)
{
	if (verb < 3)
		walk_greet(model, batch, dice);
	else if (verb < 14)
		walk_mail(model, batch, dice);
	else if (verb < 26)
		walk_rcpt(model, batch, dice);
	else if (verb < 34)
		walk_data(model, batch, dice);
	else if (verb < 39)
		walk_other(model, batch, dice);
	else if (verb < 42)
		walk_auth(model, batch, dice);
	else if (verb < 47)
		walk_starttls(model, batch);
	else {
		batch_add(batch, "QUIT\r\n", "221");
		model->over = 1;
		return;
	}
	if (model->errors >= SESSION_ERRORS_MAX ||
	    model->refusals >= SESSION_REFUSALS_MAX ||
	    model->idle >= SESSION_IDLE_MAX) {
		batch_add(batch, NULL, "421");
		model->over = 1;
	}
}

/* Some commands in one go; sanity of model and session is in the replies. */
static int
walk_batch(struct model *model, unsigned int *seed)
{
	static struct batch batch;
	int i, length = 1 + rand_r(seed) % 8;

	memset(&batch, 0, sizeof(batch));
	for (i = 0; i < length && !model->over && !batch.ends_in_tls; i++) {
		unsigned int verb = rand_r(seed);

		walk_step(model, &batch, verb % 160 >= 48 ? 3 + verb % 31 :
		    verb % 48, rand_r(seed));
	}
	say(batch.text);
	for (length = 0; length < batch.count; length++)
		expect(batch.expected[length]);
	if (batch.ends_in_tls && !model->over)
		say(FAKE_HELLO);
	return i;
}

/* Port 25 and submission, with and without TLS, in turn. */
static void
test_c3_random_walk(void **state)
{
	struct model model;
	unsigned int seed = 3;
	int steps = 0, sessions = 0, logins = 0, upgrades = 0;

	(void)state;
	signer = 9;
	while (steps < 24000) {
		memset(&model, 0, sizeof(model));
		model.submits = sessions % 3 != 0;
		model.plaintext = sessions % 3 == 1;
		service = model.submits ? SERVICE_SUBMISSION : SERVICE_SMTP;
		facts = model.plaintext ? FACT_PLAINTEXT : 0;
		begin();
		expect("220");
		sessions++;
		/* Most of a session is to come after login. */
		if (model.plaintext && sessions % 4 != 0) {
			say("EHLO c\r\n" AUTH_ALICE);
			expect("250");
			expect("235");
			model.greeted = model.esmtp = model.login = 1;
			model.idle = 2;
		}
		while (!model.over)
			steps += walk_batch(&model, &seed);
		if (model.tls)
			expect_close_notify();
		else
			expect("");
		end();
		logins += model.login;
		upgrades += model.tls;
	}
	print_message("%d sessions, %d logins, %d upgrades\n", sessions,
	    logins, upgrades);
	assert_true(sessions > 10 && logins > 10 && upgrades > 10);
}

int
main(void)
{
	const struct CMUnitTest session_tests[] = {
		cmocka_unit_test_setup(test_one_letter, setup),
		cmocka_unit_test_setup(test_pipelined, setup),
		cmocka_unit_test_setup(test_c1_faulty_data, setup),
		cmocka_unit_test_setup(test_data_refused, setup),
		cmocka_unit_test_setup(test_gate_fails, setup),
		cmocka_unit_test_setup(test_bad_lines, setup),
		cmocka_unit_test_setup(test_limits, setup),
		cmocka_unit_test_setup(test_c20_other_protocols, setup),
		cmocka_unit_test_setup(test_timeout, setup),
		cmocka_unit_test_setup(test_shutdown, setup),
		cmocka_unit_test_setup(test_client_leaves, setup),
		cmocka_unit_test_setup(test_large, setup),
		cmocka_unit_test_setup(test_c16_slow_data, setup),
		cmocka_unit_test_setup(test_c16_too_slow_data, setup),
		cmocka_unit_test_setup(test_far_too_big, setup),
		cmocka_unit_test_setup(test_starttls, setup),
		cmocka_unit_test_setup(test_c2_injection, setup),
		cmocka_unit_test_setup(test_handshake_fails, setup),
		cmocka_unit_test_setup(test_auth, setup),
		cmocka_unit_test_setup(test_auth_ends, setup),
		cmocka_unit_test_setup(test_limits_before_login, setup),
		cmocka_unit_test_setup(test_c3_random_walk, setup),
	};

	return cmocka_run_group_tests_name("test_smtp_session",
	    session_tests, NULL, NULL);
}
