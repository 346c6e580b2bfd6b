/* LINK: MAILBOX smtpd/deliver smtpd/deliver_request smtpd/program smtpd/forward smtpd/aliases smtpd/idna smtpd/account smtpd/aliases_file smtpd/aliases_index smtpd/name_index smtpd/address_key smtpd/address smtpd/xtext wire/utf8 privsep/config privsep/gates privsep/message privsep/log */
/* LIBS: -lmd -lbsd */
/*
 * test_deliver: the delivery gates, asked as the queue asks and as it never
 * would.  The agent runs in a fork, as a user, confined by name only.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "smtpd/deliver.h"

#define SOME_USER	12345	/* when root runs this */

static struct config config;
static struct agent agent;
static int content;		/* 5 octets, then a letter of 9 */
static int queue;		/* the queue's end of the channel */
static pid_t child;

/* Says through the channel with how many directories it was called. */
void
agent_confine(const struct agent *a, enum agent_room room,
    const int *directories, size_t count)
{
	struct message m;

	(void)directories;
	assert_int_equal(room, ROOM_DELIVERY);
	message_begin(&m, 1);
	put_u32(&m, (uint32_t)count);
	message_send(a->gate, &m);
}

static void
remove_tree(const char *path)
{
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", path, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static int
setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char *home = agent.identity.home;

	(void)state;
	snprintf(home, sizeof(agent.identity.home), "%s/deliver.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(home) == NULL)
		return -1;
	agent.identity.uid = getuid() == 0 ? SOME_USER : getuid();
	if (getuid() == 0 && chown(home, SOME_USER, SOME_USER) == -1)
		return -1;
	strlcpy(agent.identity.name, "alice", sizeof(agent.identity.name));
	agent.facts.service = SERVICE_DELIVERY;
	agent.facts.session = 1;
	agent.config = &config;
	config.mailbox_format = MAILBOX_MAILDIR;
	strlcpy(config.mailbox_path, "~/Maildir",
	    sizeof(config.mailbox_path));
	strlcpy(config.hostname, "localhost", sizeof(config.hostname));
	strlcat(home, "/spool", sizeof(agent.identity.home));
	content = open(home, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	*strrchr(home, '/') = '\0';
	return content == -1 || write(content, "HEAD\na: b\n\nc\n", 13) != 13;
}

/* Start the agent; how many directories it confined itself to. */
static uint32_t
start(void)
{
	struct message m;
	uint32_t count;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    pair), 0);
	fflush(NULL);
	child = fork();
	if (child == 0) {
		close(pair[0]);
		if (getuid() == 0 && (setresgid(SOME_USER, SOME_USER,
		    SOME_USER) == -1 || setresuid(SOME_USER, SOME_USER,
		    SOME_USER) == -1))
			_exit(2);
		agent.gate = pair[1];
		deliver_serve(&agent);
		_exit(0);
	}
	close(pair[1]);
	queue = pair[0];
	assert_int_equal(message_wait(queue, &m, 0, 60000), 1);
	count = get_u32(&m);
	assert_int_equal(get_end(&m), 0);
	return count;
}

static void
stop(void)
{
	int status;

	close(queue);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int
teardown(void **state)
{
	(void)state;
	close(content);
	remove_tree(agent.identity.home);
	return 0;
}

/* A request; changed piece by piece for what must be refused. */
struct asked {
	const char	*id, *reverse, *forward;
	uint64_t	 arrived, offset, length, lines;
	uint32_t	 tried_before;
	int		 fd, fds;
};

static struct asked
usual(const char *id)
{
	struct asked a = { id, "bob@example.net", "alice@example.org",
	    1700000000, 5, 8, 3, 0, content, 1 };

	return a;
}

static void
send_deliver(const struct asked *a)
{
	struct message m;
	int i;

	message_begin(&m, REQ_DELIVER);
	put_str(&m, a->id);
	put_u64(&m, a->arrived);
	put_str(&m, a->reverse);
	put_str(&m, a->forward);
	put_u64(&m, a->offset);
	put_u64(&m, a->length);
	put_u64(&m, a->lines);
	put_u32(&m, a->tried_before);
	for (i = 0; i < a->fds; i++)
		put_fd(&m, a->fd);
	assert_int_equal(message_send(queue, &m), 0);
}

static void
send_settle(const char *id)
{
	struct message m;

	message_begin(&m, REQ_SETTLE);
	put_str(&m, id);
	assert_int_equal(message_send(queue, &m), 0);
}

static void
expect_verdict(uint32_t verdict, const char *status)
{
	char got[32], text[VERDICT_TEXT_MAX];
	struct message m;

	assert_int_equal(message_wait(queue, &m, 0, 60000), 1);
	assert_int_equal(m.type, REPLY_OF(REQ_DELIVER));
	assert_int_equal(get_u32(&m), verdict);
	get_str(&m, got, sizeof(got));
	get_str(&m, text, sizeof(text));
	assert_int_equal(get_end(&m), 0);
	assert_string_equal(got, status);
	assert_true(text[0] != '\0');
}

static void
expect_fault(void)
{
	struct message m;
	int n = message_wait(queue, &m, 0, 60000);

	assert_true(n == 0 || (n == -1 && errno == ECONNRESET));
	stop();
}

static int
count_files(const char *folder)
{
	char path[1200];
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/Maildir/%s", agent.identity.home,
	    folder);
	dir = opendir(path);
	if (dir == NULL)
		return -1;
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n - 2;
}

static void
test_deliver(void **state)
{
	static const char text[] = "Return-Path: <bob@example.net>\n"
	    "Delivered-To: alice@example.org\na: b\n\nc\n";
	struct asked a = usual("one");
	char path[1200], got[512];
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(start(), 1);
	send_deliver(&a);
	expect_verdict(DELIVERED, "2.0.0");
	snprintf(path, sizeof(path), "%s/Maildir/new/1700000000.Qone."
	    "localhost,S=71,W=76", agent.identity.home);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_not_equal(fd, -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_uid, agent.identity.uid);
	assert_int_equal(read(fd, got, sizeof(got)), strlen(text));
	assert_memory_equal(got, text, strlen(text));
	close(fd);
	assert_int_equal(count_files("tmp"), 1);
	send_settle("one");		/* is not answered */
	a = usual("two");
	a.reverse = "";
	send_deliver(&a);
	expect_verdict(DELIVERED, "2.0.0");
	assert_int_equal(count_files("tmp"), 1);
	send_settle("two");
	stop();
	assert_int_equal(count_files("tmp"), 0);
	assert_int_equal(count_files("new"), 2);
}

/* A mailbox that is out of reach defers; the agent lives on. */
static void
test_deferred(void **state)
{
	struct asked a = usual("one");
	char path[1200];

	(void)state;
	snprintf(path, sizeof(path), "%s/Maildir", agent.identity.home);
	assert_int_equal(symlink("/nowhere", path), 0);
	assert_int_equal(start(), 0);
	send_deliver(&a);
	expect_verdict(DELIVERY_DEFERRED, "4.2.1");
	send_deliver(&a);
	expect_verdict(DELIVERY_DEFERRED, "4.2.1");
	stop();
	config.mailbox_format = (enum mailbox_format)2;
	assert_int_equal(start(), 0);
	send_deliver(&a);
	expect_verdict(DELIVERY_DEFERRED, "4.3.5");
	send_settle("one");		/* nothing was delivered */
	expect_fault();
}

/* An agent may wait for the next letter; it is not for what it can't know. */
static void
test_out_of_date(void **state)
{
	struct asked a = usual("one");
	char path[1200];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/.forward", agent.identity.home);
	assert_int_equal(start(), 1);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_not_equal(fd, -1);
	/* Not of its first: then the queue would only wait. */
	send_deliver(&a);
	expect_verdict(DELIVERED, "2.0.0");
	send_settle("one");
	a = usual("two");
	send_deliver(&a);
	expect_verdict(DELIVERY_DEFERRED, "4.3.0");
	stop();
	assert_int_equal(start(), 1);
	send_deliver(&a);
	expect_verdict(DELIVERED, "2.0.0");
	send_settle("two");
	assert_int_equal(write(fd, "\n", 1), 1);
	close(fd);
	a = usual("three");
	send_deliver(&a);
	expect_verdict(DELIVERY_DEFERRED, "4.3.0");
	stop();
	assert_int_equal(count_files("new"), 2);
}

static void
test_settle(void **state)
{
	struct asked a = usual("one");

	(void)state;
	start();
	send_settle("one");
	expect_fault();
	start();
	send_deliver(&a);
	expect_verdict(DELIVERED, "2.0.0");
	send_settle("other");
	expect_fault();
	start();
	a.tried_before = 1;
	send_deliver(&a);
	expect_verdict(DELIVERED, "2.0.0");
	send_deliver(&a);		/* not before it is settled */
	expect_fault();
	assert_int_equal(count_files("new"), 1);
}

static void
refuse(const struct asked *a)
{
	start();
	send_deliver(a);
	expect_fault();
	assert_int_equal(count_files("new"), 0);
	assert_int_equal(count_files("tmp"), 0);
}

static void
test_bad_fields(void **state)
{
	static const char *const ids[] = { "", "a/b", "..", "a\nb",
	    "0123456789012345678901234567890x" };
	static const char *const paths[] = { "a\nb", "a\rb", "\x01", "a\x7f" };
	struct asked a;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		a = usual(ids[i]);
		refuse(&a);
	}
	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		a = usual("one");
		a.reverse = paths[i];
		refuse(&a);
		a = usual("one");
		a.forward = paths[i];
		refuse(&a);
	}
	a = usual("one"); a.forward = ""; refuse(&a);
	a = usual("one"); a.offset = 6; refuse(&a);
	a = usual("one"); a.length = 9; refuse(&a);
	a = usual("one"); a.length = UINT64_MAX; refuse(&a);
	a = usual("one"); a.offset = UINT64_MAX; refuse(&a);
	a = usual("one"); a.lines = 9; refuse(&a);
	a = usual("one"); a.arrived = UINT64_MAX; refuse(&a);
	a = usual("one"); a.tried_before = 4; refuse(&a);
	a = usual("one"); a.fds = 0; refuse(&a);
	a = usual("one"); a.fds = 2; refuse(&a);
}

static void
test_bad_content(void **state)
{
	struct asked a = usual("one");
	char path[1200];
	int pair[2];

	(void)state;
	snprintf(path, sizeof(path), "%s/spool", agent.identity.home);
	a.fd = open(path, O_WRONLY | O_CLOEXEC);
	refuse(&a);
	close(a.fd);
	a.fd = open(path, O_PATH | O_CLOEXEC);
	refuse(&a);
	close(a.fd);
	a.fd = open(agent.identity.home, O_RDONLY | O_CLOEXEC);
	refuse(&a);
	close(a.fd);
	assert_int_equal(pipe(pair), 0);
	a.fd = pair[0];
	refuse(&a);
	close(pair[0]);
	close(pair[1]);
}

/* Every request in every state, with wrong sizes and descriptors. */
static void
test_table(void **state)
{
	static const struct {
		uint32_t	request;
		int		state, nfds;
		size_t		len;
		int		allowed;
	} t[] = {
		{ REQ_DELIVER, DELIVER_READY, 1, 50, 1 },
		{ REQ_DELIVER, DELIVER_READY, 1, 719, 1 },
		{ REQ_DELIVER, DELIVER_READY, 1, 49, 0 },
		{ REQ_DELIVER, DELIVER_READY, 1, 720, 0 },
		{ REQ_DELIVER, DELIVER_READY, 0, 50, 0 },
		{ REQ_DELIVER, DELIVER_READY, 2, 50, 0 },
		{ REQ_DELIVER, DELIVER_UNSETTLED, 1, 50, 0 },
		{ REQ_SETTLE, DELIVER_UNSETTLED, 0, 5, 1 },
		{ REQ_SETTLE, DELIVER_UNSETTLED, 0, 35, 1 },
		{ REQ_SETTLE, DELIVER_UNSETTLED, 0, 4, 0 },
		{ REQ_SETTLE, DELIVER_UNSETTLED, 0, 36, 0 },
		{ REQ_SETTLE, DELIVER_UNSETTLED, 1, 5, 0 },
		{ REQ_SETTLE, DELIVER_READY, 0, 5, 0 },
	};
	static const uint32_t others[] = { 0, REQ_MAIL, REQ_COMMIT,
	    REQ_IDENTIFY, REPLY_OF(REQ_DELIVER), UINT32_MAX };
	struct message m;
	size_t i;
	int s;

	(void)state;
	memset(&m, 0, sizeof(m));
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		m.type = t[i].request;
		m.nfds = t[i].nfds;
		m.len = t[i].len;
		assert_int_equal(gate_find(&delivery_gates, t[i].state, 0,
		    &m) != NULL, t[i].allowed);
	}
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		for (s = DELIVER_READY; s <= DELIVER_UNSETTLED; s++) {
			m.type = others[i];
			for (m.nfds = 0; m.nfds < 2; m.nfds++)
				for (m.len = 0; m.len < 100; m.len += 5)
					assert_null(gate_find(&delivery_gates,
					    s, 0, &m));
		}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_deliver),
		TEST(test_deferred),
		TEST(test_out_of_date),
		TEST(test_settle),
		TEST(test_bad_fields),
		TEST(test_bad_content),
		cmocka_unit_test(test_table),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("test_deliver", tests, NULL, NULL);
}
