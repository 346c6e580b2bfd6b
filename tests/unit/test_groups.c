/* LINK: smtpd/groups smtpd/account privsep/message privsep/log */
/*
 * Groups as the queue knows them, with a login that this test plays: what is
 * asked, how long it holds, and every way in which no answer comes.
 */
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/login_gate.h"
#include "privsep/message.h"
#include "smtpd/groups.h"

static struct groups g;
static uint64_t asked[16], now;
static size_t asked_count, unparked;
static int is_busy, login = -1;

static int
need(void *arg, uint64_t tag)
{
	assert_ptr_equal(arg, &g);
	if (is_busy)
		return -1;
	assert_true(asked_count < 16);
	asked[asked_count++] = tag;
	return 0;
}

static void
unpark(void *arg, const struct spool_name *name)
{
	assert_ptr_equal(arg, &g);
	assert_string_equal(name->id, "letter");
	unparked++;
}

static const struct handout_ops ops = { .need = need, .unpark = unpark };

static int
setup(void **state)
{
	(void)state;
	groups_init(&g, &ops, &g);
	asked_count = unparked = 0;
	is_busy = 0;
	now = 1000;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (login != -1)
		close(login);
	login = -1;
	groups_free(&g);
	return 0;
}

/* What the queue's loop does around its poll(). */
static void
turn(void)
{
	struct pollfd pfd[GROUPS_CHANNELS];
	size_t n;

	groups_ask(&g, now);
	n = groups_poll(&g, pfd);
	assert_true(poll(pfd, (nfds_t)n, 0) >= 0);
	groups_ready(&g, pfd, now);
	groups_expire(&g, now);
}

/* The master gives a channel for the last thing asked. */
static void
give_channel(void)
{
	int pair[2];

	assert_true(asked_count > 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	if (login != -1)
		close(login);
	login = pair[1];
	assert_int_equal(groups_channel(&g, asked[--asked_count], pair[0],
	    now), 1);
}

static struct group *
ask(const char *name)
{
	static const struct spool_name letter = { .id = "letter" };
	struct group *group = groups_get(&g, name, now);
	struct message m;
	char text[128];

	assert_non_null(group);
	assert_true(group_is_awaited(group));
	assert_int_equal(groups_park(group, &letter), 0);
	turn();
	give_channel();
	assert_int_equal(message_wait(login, &m, 0, 0), 1);
	assert_int_equal(m.type, REQ_MEMBERS);
	get_str(&m, text, sizeof(text));
	assert_int_equal(get_end(&m), 0);
	assert_string_equal(text, name);
	return group;
}

static void
say(uint32_t verdict, uint32_t has_more, const char *names, size_t size)
{
	struct message m;

	message_begin(&m, REPLY_MEMBERS);
	put_u32(&m, verdict);
	put_u32(&m, has_more);
	put_data(&m, names, size);
	assert_int_equal(message_send(login, &m), 0);
}

static void
is_list(const struct group *group, const char *want)
{
	char text[256] = "";
	const char *member = NULL;

	while ((member = group_next(group, member)) != NULL) {
		strlcat(text, member, sizeof(text));
		strlcat(text, " ", sizeof(text));
	}
	assert_string_equal(text, want);
}

static void
pages(void **state)
{
	struct group *group = ask("staff");

	(void)state;
	say(MEMBERS_FOUND, 1, "ann\0bob", 8);
	turn();
	assert_int_equal(unparked, 0);
	assert_null(group_next(group, NULL));
	say(MEMBERS_FOUND, 1, "", 0);
	/* A name that no mail can be for is none of them. */
	say(MEMBERS_FOUND, 0, "carl\0a/b\0", 9);
	turn();
	assert_int_equal(unparked, 1);
	assert_int_equal(group->state, GROUP_KNOWN);
	is_list(group, "ann bob carl ");
	assert_true(groups_is_idle(&g));
	assert_int_equal(g.channels, 0);
	/* Good for a minute, and then no more. */
	now += 59999;
	assert_ptr_equal(groups_get(&g, "staff", now), group);
	assert_int_equal(group->state, GROUP_KNOWN);
	now += 1;
	assert_true(group_is_awaited(groups_get(&g, "staff", now)));
	assert_false(groups_is_idle(&g));
	is_list(group, "");
	ask("staff");
	say(MEMBERS_FOUND, 0, "", 0);
	turn();
	assert_int_equal(group->state, GROUP_KNOWN);
	is_list(group, "");
}

static void
verdicts(void **state)
{
	static const enum group_state want[MEMBERS_VERDICTS] = {
		[MEMBERS_FOUND] = GROUP_KNOWN,
		[MEMBERS_DEFERRED] = GROUP_FAILED,
		[MEMBERS_UNKNOWN] = GROUP_UNKNOWN,
		[MEMBERS_TOO_MANY] = GROUP_TOO_LARGE,
	};
	struct group *group;
	uint32_t i;

	(void)state;
	for (i = MEMBERS_VERDICTS; i-- > 0;) {
		group = ask("staff");
		say(i, 0, i == MEMBERS_FOUND ? "ann" : "",
		    i == MEMBERS_FOUND ? 4 : 0);
		turn();
		assert_int_equal(group->state, want[i]);
		is_list(group, i == MEMBERS_FOUND ? "ann " : "");
		/* What is wrong is asked about again soon. */
		now += 9999;
		assert_false(group_is_awaited(groups_get(&g, "staff", now)));
		now++;
	}
	assert_int_equal(unparked, MEMBERS_VERDICTS);
}

/* Whatever login says that is no answer: not known, and never "nobody". */
static void
nonsense(void **state)
{
	struct group *group;
	struct message m;
	int i;

	(void)state;
	for (i = 0; i < 6; i++) {
		group = ask("staff");
		message_begin(&m, i == 0 ? REPLY_IDENTIFY : REPLY_MEMBERS);
		put_u32(&m, i == 1 ? MEMBERS_VERDICTS : MEMBERS_FOUND);
		put_u32(&m, i == 2 ? 2 : 0);
		put_data(&m, "ann", i == 3 ? 3 : 4);
		if (i == 4)
			put_u32(&m, 0);
		if (i == 5)
			close(login);
		else
			assert_int_equal(message_send(login, &m), 0);
		if (i == 5)
			login = -1;
		turn();
		assert_int_equal(group->state, GROUP_FAILED);
		is_list(group, "");
		assert_int_equal(group->fd, -1);
		now += 10000;
	}
	assert_int_equal(unparked, 6);
	assert_int_equal(g.channels, 0);
}

static void
silence(void **state)
{
	struct group *group = ask("staff");

	(void)state;
	assert_int_equal(groups_next(&g), now + 120000);
	now += 120000;
	turn();
	assert_int_equal(group->state, GROUP_FAILED);
	/* The master says nothing, or not now. */
	now += 10000;
	group = groups_get(&g, "staff", now);
	turn();
	now += 60000;
	turn();
	assert_int_equal(group->state, GROUP_FAILED);
	/* Its answer to that, which comes late, is for nobody. */
	give_channel();
	assert_int_equal(read(login, &now, 1), 0);
	now += 10000;
	group = groups_get(&g, "staff", now);
	turn();
	assert_int_equal(groups_channel(&g, asked[--asked_count], -1, now), 1);
	assert_int_equal(group->state, GROUP_FAILED);
	assert_int_equal(g.channels, 0);
	assert_int_equal(groups_channel(&g, 7, -1, now), 0);
}

static void
busy(void **state)
{
	char name[16];
	int i;

	(void)state;
	is_busy = 1;
	assert_non_null(groups_get(&g, "one", now));
	turn();
	assert_int_equal(asked_count, 0);
	assert_int_equal(groups_next(&g), now + 1000);
	is_busy = 0;
	now += 1000;
	/* So many at once, and no more. */
	for (i = 0; i < GROUPS_MAX - 1; i++) {
		snprintf(name, sizeof(name), "g%d", i);
		assert_non_null(groups_get(&g, name, now));
	}
	turn();
	assert_int_equal(asked_count, GROUPS_CHANNELS);
	assert_int_equal(groups_next(&g), now + 60000);
	assert_null(groups_get(&g, "another", now));
	/* One that is over makes room, when its time has come. */
	assert_int_equal(groups_channel(&g, asked[--asked_count], -1, now), 1);
	assert_null(groups_get(&g, "another", now));
	now += 10000;
	assert_non_null(groups_get(&g, "another", now));
	assert_int_equal(g.count, GROUPS_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(pages), TEST(verdicts), TEST(nonsense), TEST(silence),
		TEST(busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
