/* LINK: smtpd/spool smtpd/spool_write smtpd/spool_read smtpd/envelope smtpd/address smtpd/xtext wire/utf8 */
/*
 * A letter in the spool: what is written is read back; a file that is cut or
 * damaged anywhere is told from a letter and never crashes the reader (C23).
 */
#include "spool_letter.h"
#include "smtpd/address.h"

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

/*
 * Whom a client may name, the letter is for: what was taken and can't be read
 * back would be lost.
 */
static void
every_recipient(void **state)
{
	static const char *const paths[] = {
		"a@b", "\"\"@b", "\" \"@b", "\"\\\"\"@b", "a@[192.0.2.1]",
		"\"..\"@b", "!#$%&'*+-/=?^_`{|}~@b", "\xc3\xa4@\xc3\xb6.b"
	};
	struct spool_name name;
	struct address address;
	struct letter l;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		assert_int_equal(address_mailbox(paths[i], strlen(paths[i]),
		    ADDRESS_UTF8, &address), ADDRESS_OK);
		envelope_reset(&envelope);
		envelope_put_recipient(&envelope, address.local,
		    address.domain, "");
		envelope_put_text(&envelope, ENVELOPE_SENDER, paths[i]);
		assert_int_equal(spool_begin(&writer, &spool, &envelope), 0);
		assert_int_equal(spool_commit(&writer, &name), 0);
		assert_int_equal(letter_open(&spool, &name, &l), 0);
		assert_string_equal(l.envelope.recipients[0].local,
		    address.local);
		letter_close(&l);
	}
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

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(round_trip), TEST(every_recipient), TEST(login),
		TEST(dsn_fields), TEST(large), TEST(damage),
	};

	return cmocka_run_group_tests_name("test_spool_letter", tests, NULL,
	    NULL);
}
