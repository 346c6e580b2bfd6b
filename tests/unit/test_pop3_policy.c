/* LINK: pop3d/policy mailbox/state mailbox/path privsep/log privsep/facts privsep/message */
/*
 * test_pop3_policy: login-delay and its stamp, expire, and ~/.postern, in a
 * home that is made for it.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mailbox/state.h"
#include "pop3d/policy.h"

static struct config config;
static struct agent agent = { .config = &config };
static int home = -1;

static int
setup(void **state)
{
	(void)state;
	memset(&agent.identity, 0, sizeof(agent.identity));
	strlcpy(agent.identity.home, "/tmp/postern-policy-XXXXXX",
	    sizeof(agent.identity.home));
	assert_non_null(mkdtemp(agent.identity.home));
	agent.identity.uid = geteuid();
	home = open(agent.identity.home, O_RDONLY | O_DIRECTORY);
	assert_int_not_equal(home, -1);
	config.login_delay = 60;
	config.expire = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlinkat(home, ".postern/login-stamp", 0);
	unlinkat(home, ".postern/other", 0);
	unlinkat(home, ".postern", 0);
	unlinkat(home, ".postern", AT_REMOVEDIR);
	unlinkat(home, "elsewhere", AT_REMOVEDIR);
	close(home);
	return rmdir(agent.identity.home);
}

static void
test_delay(void **state)
{
	int stamp, again;

	(void)state;
	stamp = policy_enter(&agent);
	assert_int_not_equal(stamp, -1);
	assert_false(policy_is_too_soon(&agent, stamp, 1000000));
	assert_int_equal(policy_stamp(stamp, 1000000), 0);
	again = policy_enter(&agent);
	assert_true(policy_is_too_soon(&agent, again, 1000000));
	assert_true(policy_is_too_soon(&agent, again, 1000059));
	assert_false(policy_is_too_soon(&agent, again, 1000060));
	/* The clock was set back: nobody is kept out for years. */
	assert_false(policy_is_too_soon(&agent, again, 999999));
	assert_int_equal(policy_stamp(again, 77), 0);
	assert_true(policy_is_too_soon(&agent, stamp, 78));
	close(stamp);
	close(again);
	config.login_delay = 0;
	assert_int_equal(policy_enter(&agent), -1);
	assert_false(policy_is_too_soon(&agent, -1, 1));
	assert_int_equal(policy_stamp(-1, 1), 0);
}

/* What is not a stamp keeps nobody out. */
static void
test_odd_stamps(void **state)
{
	static const char *const odd[] = {
		"", "\n", "1000000", "x\n", "-1000000\n", " 1000000\n",
		"1000000 \n", "1000000\r\n", "9999999999999999999999999\n",
		"10000000000000000000\n"
	};
	int stamp = policy_enter(&agent);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		assert_int_equal(ftruncate(stamp, 0), 0);
		assert_int_equal(pwrite(stamp, odd[i], strlen(odd[i]), 0),
		    strlen(odd[i]));
		assert_false(policy_is_too_soon(&agent, stamp, 1000001));
	}
	close(stamp);
}

/* C6: nothing is followed or taken that is not the user's own. */
static void
test_hostile_state(void **state)
{
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(mkdirat(home, "elsewhere", 0700), 0);
	assert_int_equal(symlinkat("elsewhere", home, ".postern"), 0);
	assert_int_equal(state_enter(&agent.identity), -1);
	assert_true(errno == ENOTDIR || errno == ELOOP);
	assert_int_equal(policy_enter(&agent), -1);
	assert_int_equal(unlinkat(home, ".postern", 0), 0);

	assert_int_equal(mkdirat(home, ".postern", 0), 0);
	assert_int_equal(fchmodat(home, ".postern", 0770, 0), 0);
	assert_int_equal(state_enter(&agent.identity), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fchmodat(home, ".postern", 0700, 0), 0);

	/* A FIFO, a link and a second name. */
	assert_int_equal(mkfifoat(home, ".postern/login-stamp", 0600), 0);
	assert_int_equal(policy_enter(&agent), -1);
	unlinkat(home, ".postern/login-stamp", 0);
	assert_int_equal(symlinkat("other", home, ".postern/login-stamp"), 0);
	assert_int_equal(policy_enter(&agent), -1);
	unlinkat(home, ".postern/login-stamp", 0);
	fd = policy_enter(&agent);
	assert_int_not_equal(fd, -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	close(fd);
	assert_int_equal(linkat(home, ".postern/login-stamp", home,
	    ".postern/other", 0), 0);
	assert_int_equal(policy_enter(&agent), -1);

	strlcat(agent.identity.home, "/gone", sizeof(agent.identity.home));
	assert_int_equal(state_enter(&agent.identity), -1);
	assert_int_equal(errno, ENOENT);
	*strrchr(agent.identity.home, '/') = '\0';
}

/* Messages are as many days old as their number. */
static int
is_older(struct mailbox *box, size_t number, time_t than)
{
	(void)box;
	return (time_t)(1000 - number) * 86400 < than;
}

static void
test_expire(void **state)
{
	struct mailbox_ops ops = { .name = "fake" };
	uint8_t bitmap[3] = { 0, 0x80, 0 };
	const time_t now = 1000 * 86400;

	(void)state;
	assert_int_equal(policy_expire(&agent, &ops, NULL, 20, bitmap, now), 0);
	config.expire = 12;
	assert_int_equal(policy_expire(&agent, &ops, NULL, 20, bitmap, now), 0);
	ops.is_older = is_older;
	/* Not the twelfth: it has its twelve days this very second. */
	assert_int_equal(policy_expire(&agent, &ops, NULL, 20, bitmap, now), 6);
	assert_int_equal(bitmap[0], 0);
	assert_int_equal(bitmap[1], 0xe0);
	assert_int_equal(bitmap[2], 0x0f);
	assert_int_equal(policy_expire(&agent, &ops, NULL, 20, bitmap, now), 0);
	/* A clock that stands at its beginning. */
	memset(bitmap, 0, sizeof(bitmap));
	assert_int_equal(policy_expire(&agent, &ops, NULL, 20, bitmap, 5), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_delay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_stamps, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_hostile_state, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_expire, setup, teardown)
	};

	return cmocka_run_group_tests_name("pop3_policy", tests, NULL, NULL);
}
