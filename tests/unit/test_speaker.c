/* LINK: privsep/speaker privsep/message privsep/log */
/*
 * Who says what over a shared log socket: by the kernel's word, each so much,
 * and nobody at another's cost.
 */
#include <sys/socket.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/log.h"
#include "privsep/master.h"

#define ALICE	((uid_t)1001)
#define BOB	((uid_t)1002)
#define QUEUE	((uid_t)994)

struct master master;

static struct config config;
static char last[LOG_LINE_MAX];
static int last_level;
static unsigned lines;

static void
sink(int level, const char *line)
{
	strlcpy(last, line, sizeof(last));
	last_level = level;
	lines++;
}

static int
begin(void **state)
{
	(void)state;
	config.queue_user.uid = QUEUE;
	master.config = &config;
	log_init_master(sink);
	return 0;
}

/* Lines that came of so many said. */
static unsigned
say(uid_t uid, pid_t pid, unsigned count)
{
	struct message m;

	message_begin(&m, CH_LOG);
	m.uid = uid;
	m.pid = pid;
	lines = 0;
	while (count-- > 0)
		speaker_says("agent", &m, LOG_INFO, "event=x");
	return lines;
}

static void
test_stamp(void **state)
{
	struct message m;

	(void)state;
	message_begin(&m, CH_LOG);
	m.uid = ALICE;
	m.pid = 77;
	speaker_says("agent", &m, LOG_EMERG, "session=1 event=login user=bob");
	assert_string_equal(last,
	    "by=agent uid=1001 pid=77 session=1 event=login user=bob");
	assert_int_equal(last_level, LOG_ERR);
	speaker_says("relay", &m, LOG_DEBUG, "event=x");
	assert_int_equal(last_level, LOG_DEBUG);
	speaker_tick();
	assert_false(speaker_is_any());
}

static void
test_budget(void **state)
{
	unsigned most;

	(void)state;
	most = say(ALICE, 77, 10000);
	assert_in_range(most, 10, 1000);
	/* Another process is no other user; another user is. */
	assert_int_equal(say(ALICE, 78, 1), 0);
	assert_int_equal(say(BOB, 79, most), most);
	/* So is everybody whom the hash puts beside her. */
	assert_int_equal(say(ALICE + 256, 80, 1), 1);
	assert_true(speaker_is_any());
	lines = 0;
	speaker_tick();
	assert_int_equal(lines, 1);
	assert_string_equal(last,
	    "event=log-suppressed by=agent uid=1001 lines=9951");
	assert_int_equal(last_level, LOG_WARNING);
	assert_false(speaker_is_any());
	assert_int_equal(say(ALICE, 77, 1), 1);
	speaker_tick();
}

/* Each of its processes serves another client, and has more to tell. */
static void
test_sessions(void **state)
{
	unsigned most;

	(void)state;
	most = say(QUEUE, 77, 10000);
	assert_in_range(most, 100, 2000);
	assert_int_equal(say(QUEUE, 77, 1), 0);
	assert_int_equal(say(QUEUE, 78, 100), 100);
	speaker_tick();
}

/* With all that a message can carry there is room for it, too. */
static void
test_sender_is_told(void **state)
{
	struct message m;
	int i, on = 1, pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	message_begin(&m, CH_LOG);
	assert_int_equal(message_send(pair[1], &m), 0);
	assert_int_equal(message_recv(pair[0], &m, 0), 1);
	assert_int_equal(m.uid, MESSAGE_NO_UID);
	assert_int_equal(m.pid, 0);
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on,
	    sizeof(on)), 0);
	message_begin(&m, CH_LOG);
	for (i = 0; i < MESSAGE_FDS_MAX; i++)
		put_fd(&m, pair[0]);
	assert_int_equal(message_send(pair[1], &m), 0);
	assert_int_equal(message_recv(pair[0], &m, MESSAGE_FDS_MAX), 1);
	assert_int_equal(m.nfds, MESSAGE_FDS_MAX);
	assert_int_equal(m.uid, getuid());
	assert_int_equal(m.pid, getpid());
	message_discard(&m);
	close(pair[0]);
	close(pair[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stamp),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_sender_is_told),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
