/* LINK: smtpd/derived smtpd/spool smtpd/spool_write smtpd/spool_read smtpd/envelope smtpd/address smtpd/xtext wire/utf8 */
/* LIBS: -Wl,--wrap=write,--wrap=pwrite,--wrap=copy_file_range,--wrap=fsync,--wrap=ftruncate,--wrap=unlinkat,--wrap=renameat,--wrap=linkat,--wrap=mkdirat,--wrap=fallocate,--wrap=openat,--wrap=fdatasync */
/*
 * Derived letters: every system call on the way that changes a file is in turn
 * the last one, or fails.  However often it is begun again, one letter comes,
 * and the parent does not go before it has come.
 */
#include "crash_points.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "smtpd/derived.h"
#include "smtpd/spool_format.h"
#include "spool_home.h"

#define WHAT	"bounce.1"
#define LARGE	300000	/* more than the writer's buffer */

CRASH_WRAP(int, fdatasync, (int fd), (fd), 0)

static struct spool_name parent;
static char large[LARGE];

static void
empty_all(void)
{
	(void)count_in(spool.incoming, 1);
	(void)count_in(spool.queue, 1);
	(void)count_in(spool.held, 1);
}

static int
setup(void **state)
{
	(void)state;
	memset(large, 'x', sizeof(large));
	return setup_spool();
}

static void
make_envelope(const char *sender)
{
	envelope_reset(&envelope);
	envelope_put_text(&envelope, ENVELOPE_SENDER, sender);
	envelope_put_recipient(&envelope, "bob", "here.example", "bob");
}

static void
make_parent(void)
{
	make_envelope("alice@there.example");
	assert_int_equal(spool_begin(&writer, &spool, &envelope), 0);
	spool_put(&writer, "Subject: x\n\ntext\n", 17);
	assert_int_equal(spool_commit(&writer, &parent), 0);
}

static void
ignore(void *arg, const struct spool_name *name)
{
	(void)arg;
	(void)name;
}

static int
is_told(const struct letter *l)
{
	size_t i;

	for (i = 0; i < l->outcome_count; i++)
		if (l->outcomes[i].kind == OUTCOME_NOTIFIED)
			return 1;
	return 0;
}

/* Written, recorded and let go, as the queue does it: 0 or -1. */
static int
tell(struct letter *l, size_t len)
{
	struct outcome news[2] = {
		{ .kind = OUTCOME_FAILED, .attempt = 1, .key = 7,
		    .status = "5.1.1" },
		{ .kind = OUTCOME_NOTIFIED, .attempt = 1 },
	};
	struct spool_writer *w;
	struct spool_name name;

	make_envelope("");
	w = derived_begin(&spool, &envelope, l->name.id, WHAT);
	if (w == NULL)
		return -1;
	spool_put(w, large, len);
	derived_id(l->name.id, WHAT, news[1].target);
	if (spool_hold(w) == -1 ||
	    letter_record(&spool, l, news, 2) == -1 ||
	    derived_release(&spool, news[1].target, 1, &name) == -1)
		return -1;
	return 0;
}

/* The parent from its opening to its end. */
static int
run(void *arg)
{
	const size_t *len = arg;
	struct letter l;
	int result;

	if (letter_open(&spool, &parent, &l) == -1)
		return errno == ENOENT ? 0 : -1;
	result = derived_release_all(&spool, &l, 1, ignore, NULL);
	if (result == 0 && !is_told(&l))
		result = tell(&l, *len);
	if (result == 0)
		result = spool_remove(&spool, &parent);
	letter_close(&l);
	return result == 0 ? spool_sync(&spool, 0) : -1;
}

static size_t came, whole;
static char came_as[QUEUE_ID_MAX];

/* Whatever but the parent is in queue/ is delivered, and gone. */
static void
deliver(void *arg, const struct spool_name *name)
{
	const size_t *len = arg;
	struct letter l;

	if (strcmp(name->id, parent.id) == 0)
		return;
	assert_int_equal(letter_open(&spool, name, &l), 0);
	whole += l.length == *len;
	letter_close(&l);
	strlcpy(came_as, name->id, sizeof(came_as));
	came++;
	assert_int_equal(spool_remove(&spool, name), 0);
}

static void
deliver_all(size_t *len)
{
	size_t strange;

	assert_int_equal(spool_scan(&spool, deliver, len, &strange), 0);
	assert_int_equal(strange, 0);
}

/* is_quick: what has come is delivered before the rest is done again. */
static void
try_everywhere(size_t len, int is_quick)
{
	char id[QUEUE_ID_MAX];
	size_t mode;
	int at, result, reached;

	for (mode = 0; mode < CRASH_MODES; mode++)
		for (at = 1, reached = 1; reached; at++) {
			empty_all();
			make_parent();
			came = whole = 0;
			reached = crash_try(&crash_modes[mode], at, run,
			    &len, &result);
			if (is_quick)
				deliver_all(&len);
			(void)spool_clean(&spool);
			assert_true(derived_clean(&spool) >= 0);
			assert_int_equal(run(&len), 0);
			deliver_all(&len);
			derived_id(parent.id, WHAT, id);
			assert_string_equal(came_as, id);
			assert_int_equal(came, 1);
			assert_int_equal(whole, 1);
			assert_int_equal(count_in(spool.queue, 0), 0);
			assert_int_equal(count_in(spool.incoming, 0), 0);
			assert_int_equal(count_in(spool.held, 0), 0);
		}
}

static void
exactly_once(void **state)
{
	(void)state;
	try_everywhere(17, 0);
	try_everywhere(17, 1);
	crash_report("a derived letter");
	try_everywhere(LARGE, 1);
	crash_report("a large one");
}

static void
ids(void **state)
{
	char a[QUEUE_ID_MAX], b[QUEUE_ID_MAX];

	(void)state;
	make_parent();
	derived_id(parent.id, "bounce.1", a);
	derived_id(parent.id, "bounce.1", b);
	assert_string_equal(a, b);
	assert_true(spool_id_is_legal(a));
	assert_memory_equal(a, parent.id, 9);
	derived_id(parent.id, "bounce.2", b);
	assert_string_not_equal(a, b);
	derived_id(a, "bounce.1", b);
	assert_string_not_equal(a, b);
	/* The shortest id that there can be. */
	derived_id("0123456789abcdef", "x", a);
	assert_int_equal(strlen(a), SPOOL_ID_LEN);
}

/* What has no parent goes; what may be on record stays. */
static void
clean(void **state)
{
	char id[QUEUE_ID_MAX];
	int i;

	(void)state;
	make_parent();
	for (i = 0; i < 2; i++) {
		make_envelope("");
		assert_int_equal(spool_hold(derived_begin(&spool, &envelope,
		    i == 0 ? parent.id : "zzzzzzzzzzzzzzzzzzzz", "x")), 0);
	}
	assert_int_equal(count_in(spool.held, 0), 2);
	assert_int_equal(derived_clean(&spool), 1);
	derived_id(parent.id, "x", id);
	assert_int_equal(faccessat(spool.held, id, F_OK, 0), 0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(exactly_once), TEST(ids), TEST(clean),
	};

	return cmocka_run_group_tests_name("test_derived", tests, NULL, NULL);
}
