/* LINK: smtpd/scheduler smtpd/waiting smtpd/job smtpd/job_expand smtpd/program mailbox/sha256 smtpd/settle smtpd/split smtpd/forward smtpd/notice smtpd/bounce smtpd/dsn smtpd/derived smtpd/trace smtpd/schedule smtpd/handout smtpd/handout_line smtpd/handout_talk smtpd/spool smtpd/spool_read smtpd/spool_write smtpd/envelope smtpd/expand smtpd/groups smtpd/aliases_include smtpd/aliases smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/account smtpd/address smtpd/xtext privsep/config privsep/log privsep/message OUTBOUND privsep/config_route wire/utf8 */
/*
 * Who has the spool, what others put in, and when a run is over.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/config.h"
#include "privsep/config_table.h"
#include "smtpd/scheduler.h"

static const char id[] = "0123456789abcdefABCD";

static struct config config;
static struct queue q;
static struct dns_client *dns;
static char place[] = "/tmp/test_scheduler.XXXXXX";
static int dir;

static int
need(void *arg, uint64_t tag)
{
	(void)arg;
	(void)tag;
	return -1;
}

static const struct handout_ops ops = {
	.need = need,
	.done = queue_errand_done,
	.is_same = queue_errand_is_same,
	.unpark = queue_letter_unparked,
	.slow = queue_errand_waits,
};

static const struct outbound_ops elsewhere = {
	.need = need,
	.done = queue_errand_done,
	.unpark = queue_letter_unparked,
	.slow = queue_errand_waits,
};

static int
setup(void **state)
{
	(void)state;
	strlcpy(place, "/tmp/test_scheduler.XXXXXX", sizeof(place));
	assert_non_null(mkdtemp(place));
	dir = open(place, O_RDONLY | O_DIRECTORY);
	assert_int_not_equal(dir, -1);
	assert_int_equal(spool_make(dir), 0);
	config_default_fixed(&config);
	dns = dns_new(need, &q);
	assert_non_null(dns);
	queue_init(&q, &config, &ops, &elsewhere, dns);
	assert_int_equal(spool_open(&q.spool, dir), 0);
	return 0;
}

static void
empty(const char *name)
{
	char path[sizeof(place) + 16];
	struct dirent *entry;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", place, name);
	d = opendir(path);
	assert_non_null(d);
	while ((entry = readdir(d)) != NULL)
		(void)unlinkat(dirfd(d), entry->d_name, 0);
	closedir(d);
	rmdir(path);
}

static int
teardown(void **state)
{
	(void)state;
	schedule_free(&q.schedule);
	outbound_free(&q.outbound);
	dns_free(dns);
	spool_close(&q.spool);
	empty("incoming");
	empty("queue");
	empty("failed");
	close(dir);
	rmdir(place);
	return 0;
}

/* A file with the name of a letter appears, as when one is committed. */
static struct spool_name
appear(uint64_t due)
{
	struct spool_name name = { .due = due, .size = 1 };
	char text[SPOOL_NAME_MAX];
	int fd;

	strlcpy(name.id, id, sizeof(name.id));
	assert_int_equal(spool_name_print(&name, text), 0);
	fd = openat(q.spool.incoming, id, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_int_not_equal(fd, -1);
	close(fd);
	assert_int_equal(renameat(q.spool.incoming, id, q.spool.queue, text),
	    0);
	return name;
}

static void
lock_is_one_s(void **state)
{
	int other = open(place, O_RDONLY | O_DIRECTORY);

	(void)state;
	assert_int_equal(scheduler_lock(dir), 0);
	assert_int_equal(scheduler_lock(other), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	scheduler_unlock(dir);
	assert_int_equal(scheduler_lock(other), 0);
	/* It goes with its process. */
	close(other);
	assert_int_equal(scheduler_lock(dir), 0);
	scheduler_unlock(dir);
}

static void
watch_tells_of_what_is_due(void **state)
{
	int watch = scheduler_watch(place);

	(void)state;
	assert_int_not_equal(watch, -1);
	assert_int_equal(scheduler_look(watch, &q), 0);
	assert_int_equal(schedule_next(&q.schedule, 1), UINT64_MAX);
	(void)appear(q.now);
	assert_int_equal(scheduler_look(watch, &q), 0);
	assert_int_equal(schedule_count(&q.schedule), 1);
	/* Its own server's hint, if there is one, comes before that. */
	assert_true(schedule_next(&q.schedule, 1) > q.now);
	assert_int_equal(q.schedule.heaps[SCHEDULE_AGAIN].entries[0].is_fresh, 0);
	close(watch);
}

static void
watch_passes_over_deferrals(void **state)
{
	int watch = scheduler_watch(place);
	struct spool_name name = appear(q.now + 60);

	(void)state;
	assert_int_equal(spool_defer(&q.spool, &name, q.now + 120), 0);
	assert_int_equal(scheduler_look(watch, &q), 0);
	assert_int_equal(schedule_count(&q.schedule), 0);
	close(watch);
}

static void
watch_needs_a_spool(void **state)
{
	(void)state;
	assert_int_equal(scheduler_watch("/nonexistent"), -1);
}

static void
news_is_what_was_not_looked_at(void **state)
{
	struct spool_name name;

	(void)state;
	assert_int_equal(scheduler_has_news(&q), 0);
	name = appear(q.now);
	assert_int_equal(scheduler_has_news(&q), 1);
	/* Locked by somebody, say: looked at, and put off. */
	queue_look_again(&q, &name, q.now + 2);
	assert_int_equal(scheduler_has_news(&q), 0);
	schedule_begin(&q.schedule);
	/* Nor is one that is not due. */
	assert_int_equal(spool_defer(&q.spool, &name, q.now + 60), 0);
	assert_int_equal(scheduler_has_news(&q), 0);
}

static void
done_is_when_nothing_is_due(void **state)
{
	struct spool_name name;

	(void)state;
	assert_true(scheduler_is_done(&q));
	name = appear(q.now);
	queue_scan(&q);
	assert_false(scheduler_is_done(&q));
	schedule_begin(&q.schedule);
	queue_look_again(&q, &name, q.now + 1);
	assert_true(scheduler_is_done(&q));
	/* More in the spool than in memory. */
	schedule_begin(&q.schedule);
	q.schedule.heaps[SCHEDULE_AGAIN].horizon = 0;
	assert_false(scheduler_is_done(&q));
	q.schedule.heaps[SCHEDULE_AGAIN].horizon = UINT64_MAX;
	q.handout.channels = 1;
	assert_false(scheduler_is_done(&q));
	q.handout.channels = 0;
	q.job_count = 1;
	assert_false(scheduler_is_done(&q));
	q.job_count = 0;
}

#define SPOOL_TEST(t)	cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_TEST(lock_is_one_s),
		SPOOL_TEST(watch_tells_of_what_is_due),
		SPOOL_TEST(watch_passes_over_deferrals),
		SPOOL_TEST(watch_needs_a_spool),
		SPOOL_TEST(news_is_what_was_not_looked_at),
		SPOOL_TEST(done_is_when_nothing_is_due),
	};

	return cmocka_run_group_tests_name("scheduler", tests, NULL, NULL);
}
