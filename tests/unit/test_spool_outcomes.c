/* LINK: smtpd/spool smtpd/spool_write smtpd/spool_read smtpd/envelope smtpd/address smtpd/xtext wire/utf8 */
/*
 * What became of a letter's recipients, on record in its file: read back, torn,
 * damaged, written over and very often.
 */
#include "spool_letter.h"

static const struct outcome some[2] = {
	{ .kind = OUTCOME_DEFERRED, .recipient = 0, .attempt = 1, .key = 7,
	    .when = 1000, .status = "4.2.2", .text = "full" },
	{ .kind = OUTCOME_DELIVERED, .recipient = 2, .attempt = 2, .key = 8,
	    .when = 2000, .status = "2.0.0", .text = "fine",
	    .remote = "mx.example", .target = "b\xc3\xbc@x.example",
	    .flags = OUTCOME_ELSEWHERE, .code = 250 },
};

static void
outcomes(void **state)
{
	static uint8_t data[8192];
	struct spool_name name = write_letter();
	struct letter l;
	size_t len, i, first;

	(void)state;
	assert_int_equal(letter_open(&spool, &name, &l), 0);
	assert_int_equal(letter_attempts(&l), 0);
	assert_int_equal(letter_record(&spool, &l, some, 2), 0);
	letter_close(&l);
	assert_int_equal(letter_open(&spool, &name, &l), 0);
	assert_int_equal(l.outcome_count, 2);
	assert_int_equal(l.outcomes[0].kind, OUTCOME_DEFERRED);
	assert_string_equal(l.outcomes[0].status, "4.2.2");
	assert_string_equal(l.outcomes[1].text, "fine");
	assert_int_equal(l.outcomes[1].recipient, 2);
	assert_int_equal(l.outcomes[1].key, 8);
	assert_string_equal(l.outcomes[0].remote, "");
	assert_string_equal(l.outcomes[1].remote, "mx.example");
	assert_string_equal(l.outcomes[1].target, "b\xc3\xbc@x.example");
	assert_int_equal(l.outcomes[1].flags, OUTCOME_ELSEWHERE);
	assert_int_equal(l.outcomes[1].code, 250);
	assert_int_equal(letter_attempts(&l), 2);
	letter_close(&l);
	/* Every torn length of the records. */
	len = slurp(&name, data, sizeof(data));
	first = len - 2 * FORMAT_OUTCOME;
	for (i = first; i <= len; i++) {
		assert_int_equal(letter_read(scratch(data, i), &l), 0);
		assert_int_equal(l.outcome_count, (i - first) / FORMAT_OUTCOME);
		assert_int_equal(l.outcome_end, first +
		    (i - first) / FORMAT_OUTCOME * FORMAT_OUTCOME);
		letter_close(&l);
	}
	/* Every octet of the first one damaged: the second stays. */
	for (i = first; i < first + FORMAT_OUTCOME; i++) {
		data[i] ^= 0x10;
		assert_int_equal(letter_read(scratch(data, len), &l), 0);
		assert_int_equal(l.outcome_count, 1);
		assert_int_equal(l.outcomes[0].key, 8);
		letter_close(&l);
		data[i] ^= 0x10;
	}
}

/* A torn record is written over, and a hostile text made harmless. */
static void
torn_record(void **state)
{
	struct spool_name name = write_letter();
	struct outcome evil = some[0];
	struct letter l;
	char text[SPOOL_NAME_MAX];
	int fd;

	(void)state;
	spool_name_print(&name, text);
	fd = openat(spool.queue, text, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "torn", 4), 4);
	close(fd);
	memset(evil.text, '\n', sizeof(evil.text) - 1);
	memset(evil.target, '\x1b', sizeof(evil.target));
	memset(evil.remote, '\xff', sizeof(evil.remote));
	assert_int_equal(letter_open(&spool, &name, &l), 0);
	assert_int_equal(letter_record(&spool, &l, &evil, 1), 0);
	letter_close(&l);
	assert_int_equal(letter_open(&spool, &name, &l), 0);
	assert_int_equal(l.outcome_count, 1);
	assert_null(strchr(l.outcomes[0].text, '\n'));
	assert_int_equal(strspn(l.outcomes[0].target, "?"), PATH_TEXT_MAX - 1);
	assert_int_equal(strspn(l.outcomes[0].remote, "?"),
	    OUTCOME_REMOTE_MAX - 1);
	letter_close(&l);
}

/* The same delivery deferred again and again: one record, the last. */
static void
deferred_again(void **state)
{
	struct spool_name name = write_letter();
	struct outcome news[3] = { some[0], some[1], some[0] };
	struct letter l;
	char text[SPOOL_NAME_MAX];
	struct stat first, last;
	uint32_t i;

	(void)state;
	spool_name_print(&name, text);
	news[2].recipient = 1;
	assert_int_equal(letter_open(&spool, &name, &l), 0);
	assert_int_equal(letter_record(&spool, &l, news, 2), 0);
	assert_int_equal(letter_record(&spool, &l, news + 2, 1), 0);
	assert_int_equal(fstatat(spool.queue, text, &first, 0), 0);
	for (i = 2; i < 50; i++) {
		if (i % 2 == 0) {
			letter_close(&l);
			assert_int_equal(letter_open(&spool, &name, &l), 0);
		}
		assert_int_equal(l.outcome_count, 3);
		assert_int_equal(letter_attempts(&l), i == 2 ? 2 : i - 1);
		news[0].attempt = news[2].attempt = i;
		news[1] = news[2];
		snprintf(news[0].text, sizeof(news[0].text), "no. %u", i);
		assert_int_equal(letter_record(&spool, &l, news, 2), 0);
	}
	assert_int_equal(fstatat(spool.queue, text, &last, 0), 0);
	assert_int_equal(first.st_size, last.st_size);
	letter_close(&l);
	assert_int_equal(letter_open(&spool, &name, &l), 0);
	assert_int_equal(l.outcome_count, 3);
	assert_string_equal(l.outcomes[0].text, "no. 49");
	assert_int_equal(l.outcomes[1].kind, OUTCOME_DELIVERED);
	assert_int_equal(l.outcomes[2].recipient, 1);
	assert_int_equal(l.outcomes[2].attempt, 49);
	/* A final one has a place of its own. */
	news[0].kind = OUTCOME_FAILED;
	assert_int_equal(letter_record(&spool, &l, news, 1), 0);
	assert_int_equal(l.outcome_count, 4);
	letter_close(&l);
}

/* More deferrals than are kept: the file is good, and no final one is lost. */
static void
very_many_records(void **state)
{
	static uint8_t data[4096];
	struct spool_name name = write_letter();
	struct outcome news[2] = { some[1], some[0] };
	struct letter l;
	size_t len, i;
	int fd;

	(void)state;
	news[1].attempt = 120;
	assert_int_equal(letter_open(&spool, &name, &l), 0);
	assert_int_equal(letter_record(&spool, &l, news, 2), 0);
	letter_close(&l);
	len = slurp(&name, data, sizeof(data));
	fd = scratch(data, len);
	for (i = 0; i < 120000; i++)
		assert_int_equal(write(fd, data + len -
		    FORMAT_OUTCOME, FORMAT_OUTCOME), FORMAT_OUTCOME);
	assert_int_equal(letter_read(fd, &l), 0);
	assert_true(l.outcome_count > 1 && l.outcome_count < 100000);
	assert_int_equal(l.outcomes[0].kind, OUTCOME_DELIVERED);
	assert_int_equal(l.outcome_end, len + 120000 * FORMAT_OUTCOME);
	assert_int_equal(letter_attempts(&l), 120);
	letter_close(&l);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(outcomes), TEST(torn_record), TEST(deferred_again),
		TEST(very_many_records),
	};

	return cmocka_run_group_tests_name("test_spool_outcomes", tests, NULL,
	    NULL);
}
