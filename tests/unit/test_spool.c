/* LINK: smtpd/spool smtpd/spool_write smtpd/spool_read smtpd/envelope smtpd/address smtpd/xtext wire/utf8 */
/*
 * The spool: what is written is read back; a file that is cut or damaged
 * anywhere is told from a letter and never crashes the reader (C23); locks;
 * names; what dead agents leave.
 */
#include <sys/mman.h>
#include <sys/stat.h>

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

#include "smtpd/spool_format.h"
#include "spool_home.h"

static const char content[] =
    "Received: here\nSubject: x\n\nFrom here\n.\n\nlast";

static int
setup(void **state)
{
	(void)state;
	return setup_spool();
}

static void
make_envelope(void)
{
	envelope_reset(&envelope);
	envelope_put_recipient(&envelope, "alice", "here.example", "alice");
	envelope_put_recipient(&envelope, "po\"st er", "[192.0.2.1]", "");
	envelope_put_recipient(&envelope, "postmaster", "", "");
	envelope_put_text(&envelope, ENVELOPE_SENDER, "bob@there.example");
	envelope_put_text(&envelope, ENVELOPE_HELO, "there.example");
	envelope_put_text(&envelope, ENVELOPE_CLIENT, "2001:db8::1");
	envelope_put_u32(&envelope, ENVELOPE_FLAGS, MAIL_ESMTP);
	envelope_put_text(&envelope, 99, "of a later version");
}

static struct spool_name
write_letter(void)
{
	struct spool_name name;

	make_envelope();
	assert_int_equal(spool_begin(&writer, &spool, &envelope), 0);
	spool_put(&writer, content, sizeof(content) - 1);
	assert_int_equal(spool_commit(&writer, &name), 0);
	return name;
}

static void
round_trip(void **state)
{
	struct spool_name name = write_letter();
	struct letter l;
	char text[sizeof(content)] = "";

	(void)state;
	assert_int_equal(count_in(spool.incoming, 0), 0);
	assert_int_equal(letter_open(&spool, &name, &l), 0);
	assert_string_equal(l.envelope.sender, "bob@there.example");
	assert_string_equal(l.envelope.helo, "there.example");
	assert_string_equal(l.envelope.client, "2001:db8::1");
	assert_int_equal(l.envelope.flags, MAIL_ESMTP);
	assert_string_equal(l.envelope.login, "");
	assert_int_equal(l.envelope.recipient_count, 3);
	assert_string_equal(l.envelope.recipients[0].account, "alice");
	assert_string_equal(l.envelope.recipients[1].local, "po\"st er");
	assert_string_equal(l.envelope.recipients[1].domain, "[192.0.2.1]");
	assert_string_equal(l.envelope.recipients[2].domain, "");
	assert_int_equal(l.length, sizeof(content) - 1);
	assert_int_equal(l.lines, 6);
	assert_int_equal(name.size, l.length);
	assert_int_equal(pread(l.fd, text, l.length, (off_t)l.offset),
	    l.length);
	assert_string_equal(text, content);
	/* Nobody who gets this descriptor can write through it. */
	assert_int_equal(fcntl(l.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	letter_close(&l);
}

/* Who logged in: any name that NSS may have, once, and no other text. */
static void
login(void **state)
{
	static const struct {
		const char *name;
		int is_good;
	} rows[] = {
		{ "alice", 1 }, { "DOM\\Al Ice", 1 }, { "\xc3\xa4@x", 1 },
		{ "", 0 }, { "a\nb", 0 }, { "a\x7f", 0 }, { "\x1b[2J", 0 }
	};
	struct spool_name name;
	struct letter l;
	char longest[ENVELOPE_LOGIN_MAX + 1];
	size_t i;

	(void)state;
	memset(longest, 'l', sizeof(longest));
	longest[ENVELOPE_LOGIN_MAX] = '\0';
	assert_false(envelope_is_login(longest));
	longest[ENVELOPE_LOGIN_MAX - 1] = '\0';
	assert_true(envelope_is_login(longest));
	for (i = 0; i <= sizeof(rows) / sizeof(rows[0]); i++) {
		int is_twice = i == sizeof(rows) / sizeof(rows[0]);
		const char *who = is_twice ? "alice" : rows[i].name;
		int is_good = !is_twice && rows[i].is_good;

		make_envelope();
		envelope_put_text(&envelope, ENVELOPE_LOGIN, who);
		if (is_twice)
			envelope_put_text(&envelope, ENVELOPE_LOGIN, who);
		else
			assert_int_equal(envelope_is_login(who), is_good);
		assert_int_equal(spool_begin(&writer, &spool, &envelope), 0);
		assert_int_equal(spool_commit(&writer, &name), 0);
		errno = 0;
		assert_int_equal(letter_open(&spool, &name, &l),
		    is_good ? 0 : -1);
		if (is_good) {
			assert_string_equal(l.envelope.login, who);
			letter_close(&l);
		} else
			assert_int_equal(errno, EBADMSG);
	}
}

/* RFC 3461's fields go round; none that no writer makes is read. */
static void
dsn_fields(void **state)
{
	struct spool_name name;
	struct letter l;
	const struct recipient *r;
	size_t i;

	(void)state;
	for (i = 0; i < 6; i++) {
		envelope_reset(&envelope);
		if (i == 1)	/* of whom? */
			envelope_put_notify(&envelope, NOTIFY_DELAY, "");
		envelope_put_recipient(&envelope, "a", "b", "");
		envelope_put_notify(&envelope, i == 2 ? 3 :
		    NOTIFY_SUCCESS | NOTIFY_DELAY, "rfc822;a+2Bb");
		if (i == 3)	/* twice */
			envelope_put_notify(&envelope, NOTIFY_DELAY, "");
		envelope_put_recipient(&envelope, "c", "d", "c");
		envelope_put_notify(&envelope, 0, "");
		envelope_put_recipient(&envelope, "e", "f", "");
		envelope_put_notify(&envelope, NOTIFY_NEVER, "");
		envelope_put_text(&envelope, ENVELOPE_SENDER, "");
		envelope_put_dsn(&envelope, i == 4 ? 3 : RET_HDRS,
		    i == 5 ? "a=b" : "QQ+3D");
		assert_int_equal(spool_begin(&writer, &spool, &envelope), 0);
		assert_int_equal(spool_commit(&writer, &name), 0);
		assert_int_equal(letter_open(&spool, &name, &l), i == 0 ? 0 :
		    -1);
		if (i > 0)
			continue;
		r = l.envelope.recipients;
		assert_int_equal(l.envelope.ret, RET_HDRS);
		assert_string_equal(l.envelope.envid, "QQ+3D");
		assert_int_equal(l.envelope.recipient_count, 3);
		assert_int_equal(r[0].notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
		assert_string_equal(r[0].orcpt, "rfc822;a+2Bb");
		assert_int_equal(r[1].notify, 0);
		assert_string_equal(r[1].orcpt, "");
		assert_int_equal(r[2].notify, NOTIFY_NEVER);
		assert_string_equal(r[2].orcpt, "");
		letter_close(&l);
	}
	/* Letters of before have none of it. */
	name = write_letter();
	assert_int_equal(letter_open(&spool, &name, &l), 0);
	assert_int_equal(l.envelope.ret, 0);
	assert_string_equal(l.envelope.envid, "");
	assert_string_equal(l.envelope.recipients[2].orcpt, "");
	letter_close(&l);
}

/* Larger than the buffer, in odd pieces: the header is written last. */
static void
large(void **state)
{
	struct spool_name name;
	struct letter l;
	char piece[1000];
	size_t i, sum = 0;

	(void)state;
	memset(piece, 'x', sizeof(piece));
	piece[999] = '\n';
	make_envelope();
	for (i = 0; i < RECIPIENTS_MAX - 3; i++) {
		snprintf(piece, sizeof(piece), "r%zu", i);
		envelope_put_recipient(&envelope, piece, "a.example", piece);
	}
	memset(piece, 'x', sizeof(piece) - 1);
	assert_int_equal(spool_begin(&writer, &spool, &envelope), 0);
	for (i = 0; i < 1000; i++, sum += sizeof(piece))
		spool_put(&writer, piece, sizeof(piece));
	assert_int_equal(spool_commit(&writer, &name), 0);
	assert_int_equal(letter_open(&spool, &name, &l), 0);
	assert_int_equal(l.length, sum);
	assert_int_equal(l.lines, 1000);
	assert_int_equal(l.envelope.recipient_count, RECIPIENTS_MAX);
	memset(piece, 0, sizeof(piece));
	assert_int_equal(pread(l.fd, piece, sizeof(piece),
	    (off_t)(l.offset + l.length - sizeof(piece))), sizeof(piece));
	assert_int_equal(piece[0], 'x');
	assert_int_equal(piece[999], '\n');
	letter_close(&l);
	envelope_put_recipient(&envelope, "one.more", "a.example", "");
	assert_int_equal(envelope.error, E2BIG);
}

static void
abort_leaves_nothing(void **state)
{
	(void)state;
	make_envelope();
	assert_int_equal(spool_begin(&writer, &spool, &envelope), 0);
	assert_int_equal(count_in(spool.incoming, 0), 1);
	spool_abort(&writer);
	assert_int_equal(count_in(spool.incoming, 0), 0);
	assert_int_equal(count_in(spool.queue, 0), 0);
}

/* A write that failed is told at commit, and nothing is half-queued. */
static void
failed_write(void **state)
{
	struct spool_name name;

	(void)state;
	make_envelope();
	assert_int_equal(spool_begin(&writer, &spool, &envelope), 0);
	spool_put(&writer, content, 5);
	writer.error = ENOSPC;
	spool_put(&writer, content, 5);
	errno = 0;
	assert_int_equal(spool_commit(&writer, &name), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(count_in(spool.incoming, 0), 0);
	assert_int_equal(count_in(spool.queue, 0), 0);
}

/* A copy of a letter's octets, as a file of its own. */
static int
scratch(const uint8_t *data, size_t len)
{
	int fd = memfd_create("letter", MFD_CLOEXEC);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, data, len), len);
	return fd;
}

static size_t
slurp(const struct spool_name *name, uint8_t *data, size_t size)
{
	char text[SPOOL_NAME_MAX];
	ssize_t n;
	int fd;

	assert_int_equal(spool_name_print(name, text), 0);
	fd = openat(spool.queue, text, O_RDONLY);
	n = read(fd, data, size);
	close(fd);
	assert_true(n > 0);
	return (size_t)n;
}

/* Cut at every length, and every octet changed in two ways. */
static void
damage(void **state)
{
	static uint8_t data[4096];
	struct spool_name name = write_letter();
	struct letter l;
	size_t len, i, body;
	int result;

	(void)state;
	len = slurp(&name, data, sizeof(data));
	body = len - (sizeof(content) - 1);
	for (i = 0; i < len; i++) {
		errno = 0;
		assert_int_equal(letter_read(scratch(data, i), &l), -1);
		assert_int_equal(errno, EBADMSG);
	}
	for (i = 0; i < len * 2; i++) {
		uint8_t was = data[i / 2];

		data[i / 2] = i % 2 != 0 ? (uint8_t)~was : (uint8_t)(was ^ 1);
		errno = 0;
		result = letter_read(scratch(data, len), &l);
		/* Content is its sender's business. */
		assert_int_equal(result, i / 2 < body ? -1 : 0);
		if (result == 0)
			letter_close(&l);
		else
			assert_int_equal(errno, EBADMSG);
		data[i / 2] = was;
	}
}

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

static void
locks(void **state)
{
	struct spool_name name = write_letter();
	struct letter l, second;
	int copy;

	(void)state;
	assert_int_equal(letter_open(&spool, &name, &l), 0);
	assert_int_equal(letter_open(&spool, &name, &second), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	/* The lock lives with a copy that an agent has. */
	copy = dup(l.fd);
	letter_close(&l);
	assert_int_equal(letter_open(&spool, &name, &second), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	close(copy);
	assert_int_equal(letter_open(&spool, &name, &second), 0);
	letter_close(&second);
}

/* Letters of the queue itself: an id of its own, held until it is let go. */
static void
hold(void **state)
{
	static const char id[] = "0123456789abcdefXYZ0";
	int i;

	(void)state;
	make_envelope();
	assert_int_equal(spool_begin_as(&writer, &spool, &envelope, "../x"), -1);
	assert_int_equal(errno, EINVAL);
	/* Left over, and then once more. */
	assert_int_equal(spool_begin_as(&writer, &spool, &envelope, id), 0);
	close(writer.fd);
	for (i = 0; i < 2; i++) {
		assert_int_equal(spool_begin_as(&writer, &spool, &envelope,
		    id), 0);
		spool_put(&writer, content, sizeof(content) - 1);
		assert_int_equal(spool_hold(&writer), 0);
		assert_int_equal(count_in(spool.incoming, 0), 0);
		assert_int_equal(count_in(spool.held, 0), 1);
	}
	assert_int_equal(spool_begin_as(&writer, &spool, &envelope, id), 0);
	writer.error = ENOSPC;
	assert_int_equal(spool_hold(&writer), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(count_in(spool.incoming, 0), 0);
	assert_int_equal(count_in(spool.held, 0), 1);
}

static void
clean_incoming(void **state)
{
	int fd;

	(void)state;
	make_envelope();
	assert_int_equal(spool_begin(&writer, &spool, &envelope), 0);
	/* Its writer lives. */
	assert_int_equal(spool_clean(&spool), 0);
	close(writer.fd);	/* and dies */
	writer.fd = -1;
	fd = openat(spool.incoming, "whatever", O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(mkfifoat(spool.incoming, "pipe", 0600), 0);
	assert_int_equal(spool_clean(&spool), 3);
	assert_int_equal(count_in(spool.incoming, 0), 0);
}

static void
defer_fail_remove(void **state)
{
	struct spool_name name = write_letter(), other = write_letter();
	struct letter l;
	uint64_t due = name.due;

	(void)state;
	assert_int_equal(spool_defer(&spool, &name, due + 60), 0);
	assert_int_equal(name.due, due + 60);
	assert_int_equal(letter_open(&spool, &name, &l), 0);
	letter_close(&l);
	assert_int_equal(spool_fail(&spool, &name), 0);
	assert_int_equal(letter_open(&spool, &name, &l), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(faccessat(spool.failed, name.id, F_OK, 0), 0);
	assert_int_equal(spool_remove(&spool, &other), 0);
	assert_int_equal(spool_sync(&spool, 1), 0);
	assert_int_equal(count_in(spool.queue, 0), 0);
}

static void
odd_files(void **state)
{
	struct spool_name name = { .due = 5, .size = 1,
	    .id = "0123456789abcdefXYZ0" };
	struct letter l;
	char text[SPOOL_NAME_MAX];

	(void)state;
	spool_name_print(&name, text);
	assert_int_equal(mkfifoat(spool.queue, text, 0600), 0);
	assert_int_equal(letter_open(&spool, &name, &l), -1);
	assert_int_equal(errno, EBADMSG);
	unlinkat(spool.queue, text, 0);
	assert_int_equal(symlinkat("/etc/passwd", spool.queue, text), 0);
	assert_int_equal(letter_open(&spool, &name, &l), -1);
	assert_int_equal(errno, EBADMSG);
}

static void
names(void **state)
{
	static const char *const bad[] = {
		"", ".", "..", "x", "0000000001.1", "0000000001.1.",
		"000000001.1.0123456789abcdef", "00000000001.1.0123456789abcdef",
		"0000000001.01.0123456789abcdef", "0000000001..0123456789abcdef",
		"000000000A.1.0123456789abcdef", "0000000001.1.0123456789abcde",
		"0000000001.1.0123456789abcdef/", "0000000001.1.../../../etc/pass",
		"0000000001.1.0123456789abcdef0123456789",
		"0000000001.11111111111111111.0123456789abcdef",
		"0000000001.1.0123456789abcdef\n",
	};
	struct spool_name name;
	char text[SPOOL_NAME_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(spool_name_parse(bad[i], &name), -1);
	assert_int_equal(spool_name_parse("00672b1c0f.ffffffffffffffff."
	    "0123456789ABCDEFxyzz", &name), 0);
	assert_int_equal(name.due, 0x672b1c0f);
	assert_int_equal(name.size, UINT64_MAX);
	assert_int_equal(spool_name_print(&name, text), 0);
	assert_string_equal(text,
	    "00672b1c0f.ffffffffffffffff.0123456789ABCDEFxyzz");
	name.due = UINT64_C(1) << 40;
	assert_int_equal(spool_name_print(&name, text), -1);
}

static void
ids_sort(void **state)
{
	char before[QUEUE_ID_MAX], after[QUEUE_ID_MAX];
	int i;

	(void)state;
	assert_int_equal(spool_id_make(before), 0);
	for (i = 0; i < 100; i++) {
		usleep(2);
		assert_int_equal(spool_id_make(after), 0);
		assert_int_equal(strlen(after), SPOOL_ID_LEN);
		assert_true(spool_id_is_legal(after));
		assert_true(strcmp(before, after) < 0);
		memcpy(before, after, sizeof(before));
	}
}

/* Whose directory it is, and that nobody else may write there (C24). */
static void
enter_checks(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(spool_enter(place, geteuid() + 1, &fd), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(chmod(place, 0770), 0);
	assert_int_equal(spool_enter(place, geteuid(), &fd), -1);
	assert_int_equal(chmod(place, 0700), 0);
	assert_int_equal(symlink(place, "/tmp/test_spool.link"), 0);
	assert_int_equal(spool_enter("/tmp/test_spool.link", geteuid(), &fd),
	    -1);
	unlink("/tmp/test_spool.link");
}

static size_t seen;

static void
count_name(void *arg, const struct spool_name *name)
{
	(void)arg;
	assert_true(spool_id_is_legal(name->id));
	seen++;
}

static void
scan(void **state)
{
	size_t strange;
	int i, fd;

	(void)state;
	for (i = 0; i < 5; i++)
		(void)write_letter();
	fd = openat(spool.queue, "notes.txt", O_CREAT | O_WRONLY, 0600);
	close(fd);
	seen = 0;
	assert_int_equal(spool_scan(&spool, count_name, NULL, &strange), 0);
	assert_int_equal(seen, 5);
	assert_int_equal(strange, 1);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(round_trip), TEST(login), TEST(dsn_fields), TEST(large),
		TEST(abort_leaves_nothing),
		TEST(failed_write), TEST(damage), TEST(outcomes),
		TEST(torn_record), TEST(deferred_again),
		TEST(very_many_records), TEST(locks), TEST(hold), TEST(clean_incoming),
		TEST(defer_fail_remove), TEST(odd_files), TEST(names),
		TEST(ids_sort), TEST(enter_checks), TEST(scan),
	};

	return cmocka_run_group_tests_name("test_spool", tests, NULL, NULL);
}
