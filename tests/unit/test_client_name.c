/* LINK: smtpd/client_name smtpd/dns_reverse smtpd/dns_reply privsep/facts privsep/message */
/*
 * The client's name in the session agent, told by a resolver that this test
 * plays: whatever it says, there is a host's name or "unknown", and soon.
 */
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/message.h"
#include "smtpd/client_name.h"
#include "smtpd/dns.h"

static struct config config;
static struct facts facts;
static struct client_name name;
static int resolver = -1, gate = -1, worker = -1;

static void
begin(int fd)
{
	client_name_begin(&name, &config, &facts, fd);
}

static int
setup(void **state)
{
	int pair[2], gates[2];

	(void)state;
	config.client_names = 1;
	facts_init(&facts);
	facts.service = SERVICE_SMTP;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, gates), 0);
	resolver = pair[0];
	gate = gates[0];
	worker = gates[1];
	begin(pair[1]);
	return 0;
}

static void
hang_up(int *fd)
{
	if (*fd != -1)
		assert_int_equal(close(*fd), 0);
	*fd = -1;
}

static int
teardown(void **state)
{
	(void)state;
	client_name_end(&name);
	hang_up(&resolver);
	hang_up(&gate);
	hang_up(&worker);
	return 0;
}

static void
tell(uint32_t type, const void *data, size_t len)
{
	struct message m;

	message_begin(&m, type);
	put_data(&m, data, len);
	assert_int_equal(message_send(resolver, &m), 0);
}

static long
milliseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000L + ts.tv_nsec / 1000000;
}

static void
test_told(void **state)
{
	(void)state;
	assert_string_equal(client_name_now(&name), "unknown");
	tell(REPLY_NAME, "a.example", 9);
	assert_string_equal(client_name_now(&name), "a.example");
	assert_string_equal(client_name_wait(&name, gate), "a.example");
	assert_int_equal(name.fd, -1);
}

static void
test_waited_for(void **state)
{
	(void)state;
	tell(REPLY_NAME, "a.example", 9);
	assert_string_equal(client_name_wait(&name, gate), "a.example");
}

/* Log and header lines are not the resolver's to write, whoever it is. */
static void
test_C21_no_name(void **state)
{
	static const struct { const char *text; size_t len; } bad[] = {
		{ "", 0 }, { "a\n", 2 }, { "a.example\r\nX-Evil: 1", 20 },
		{ "a\0b", 3 }, { "a b", 3 }, { "a)", 2 }, { "A.example", 9 },
		{ "10.0.0.1", 8 }, { "a_b.example", 11 }, { "\x1b[2J", 4 }
	};
	char longest[HOSTNAME_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		tell(REPLY_NAME, bad[i].text, bad[i].len);
		assert_string_equal(client_name_wait(&name, gate), "unknown");
		(void)teardown(NULL);
		(void)setup(NULL);
	}
	for (i = 0; i < sizeof(longest); i++)
		longest[i] = i % 2 == 0 ? 'a' : '.';
	tell(REPLY_NAME, longest, sizeof(longest));
	assert_string_equal(client_name_wait(&name, gate), "unknown");
}

static void
test_C21_no_reply(void **state)
{
	struct message m;

	(void)state;
	tell(REPLY_LOOKUP, "a.example", 9);
	assert_string_equal(client_name_wait(&name, gate), "unknown");
	(void)teardown(NULL);
	(void)setup(NULL);
	assert_int_equal(send(resolver, "x", 1, 0), 1);
	assert_string_equal(client_name_wait(&name, gate), "unknown");
	(void)teardown(NULL);
	(void)setup(NULL);
	/* More than it says, and a descriptor, which must not stay. */
	message_begin(&m, REPLY_NAME);
	put_str(&m, "a.example");
	put_fd(&m, gate);
	assert_int_equal(message_send(resolver, &m), 0);
	assert_string_equal(client_name_wait(&name, gate), "unknown");
	(void)teardown(NULL);
	(void)setup(NULL);
	message_begin(&m, REPLY_NAME);
	put_str(&m, "a.example");
	put_u32(&m, 1);
	assert_int_equal(message_send(resolver, &m), 0);
	assert_string_equal(client_name_wait(&name, gate), "unknown");
}

static void
test_resolver_ends(void **state)
{
	(void)state;
	hang_up(&resolver);
	assert_string_equal(client_name_wait(&name, gate), "unknown");
	assert_int_equal(name.fd, -1);
}

/* Once, and never again in this session. */
static void
test_silent(void **state)
{
	long before = milliseconds();

	(void)state;
	assert_string_equal(client_name_wait(&name, gate), "unknown");
	assert_true(milliseconds() - before >= CLIENT_NAME_MS - 1);
	assert_int_equal(name.fd, -1);
	assert_string_equal(client_name_wait(&name, gate), "unknown");
}

/* It is the session that has so much time, not the letter. */
static void
test_time_runs(void **state)
{
	(void)state;
	name.deadline -= CLIENT_NAME_MS;
	assert_string_equal(client_name_wait(&name, gate), "unknown");
	(void)teardown(NULL);
	(void)setup(NULL);
	name.deadline -= CLIENT_NAME_MS;
	tell(REPLY_NAME, "a.example", 9);
	assert_string_equal(client_name_wait(&name, gate), "a.example");
}

/* Or agents would stay behind that nobody counts. */
static void
test_worker_is_gone(void **state)
{
	long before = milliseconds();

	(void)state;
	name.deadline += 40 * 1000;
	hang_up(&worker);
	assert_string_equal(client_name_wait(&name, gate), "unknown");
	assert_true(milliseconds() - before < 40 * 1000);
}

static void
test_not_looked_for(void **state)
{
	(void)state;
	(void)teardown(NULL);
	begin(-1);
	assert_string_equal(client_name_wait(&name, -1), "unknown");
	facts.flags = FACT_LOOPBACK;
	begin(-1);
	assert_string_equal(client_name_wait(&name, -1), "localhost");
	config.client_names = 0;
	begin(-1);
	assert_string_equal(client_name_wait(&name, -1), "");
	config.client_names = 1;
	facts.service = SERVICE_LMTP;
	begin(-1);
	assert_string_equal(client_name_wait(&name, -1), "");
}

int
main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	static const struct CMUnitTest tests[] = {
		EACH(test_told), EACH(test_waited_for),
		EACH(test_C21_no_name), EACH(test_C21_no_reply),
		EACH(test_resolver_ends), EACH(test_silent),
		EACH(test_time_runs), EACH(test_worker_is_gone),
		EACH(test_not_looked_for),
	};

	return cmocka_run_group_tests_name("test_client_name", tests, NULL,
	    NULL);
}
