/* LINK: smtpd/bounce smtpd/dsn smtpd/trace smtpd/spool smtpd/spool_write smtpd/spool_read smtpd/envelope smtpd/address smtpd/account smtpd/xtext privsep/config privsep/config_route privsep/log privsep/message wire/utf8 */
/*
 * The text of a notice, from what strangers may have put into the letter and
 * its envelope: no line of the report is theirs, nothing that comes back ends
 * its part.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/config_table.h"
#include "smtpd/bounce.h"
#include "spool_home.h"

static struct config config;
static struct letter letter, notice;
static char text[2 * BOUNCE_RETURN_MAX];

static int
setup(void **state)
{
	(void)state;
	config_default_fixed(&config);
	strlcpy(config.hostname, "mx.example", sizeof(config.hostname));
	return setup_spool();
}

static int
teardown_letters(void **state)
{
	letter_close(&letter);
	letter_close(&notice);
	return teardown(state);
}

struct sample {
	const char	*sender;
	const char	*envid;
	uint32_t	 ret;
	uint32_t	 flags;
	const char	*local;
	const char	*orcpt;
	const char	*content;
	size_t		 length;	/* 0: as the text */
	struct outcome	 outcome;
	enum bounce_action action;
};

static void
keep(const struct envelope_writer *w, const char *content, size_t len,
    struct letter *l)
{
	struct spool_name name;

	assert_int_equal(spool_begin(&writer, &spool, w), 0);
	spool_put(&writer, content, len);
	assert_int_equal(spool_commit(&writer, &name), 0);
	assert_int_equal(letter_open(&spool, &name, l), 0);
}

/* What is told of it, in text and notice. */
static void
make(const struct sample *s, struct bounce *b)
{
	const struct outcome *outcomes[1] = { &s->outcome };
	struct spool_name name;

	letter_close(&letter);
	letter_close(&notice);
	envelope_reset(&envelope);
	envelope_put_text(&envelope, ENVELOPE_SENDER, s->sender);
	envelope_put_recipient(&envelope, s->local, "b.example", "");
	envelope_put_notify(&envelope, NOTIFY_FAILURE, s->orcpt);
	envelope_put_dsn(&envelope, s->ret, s->envid);
	envelope_put_u32(&envelope, ENVELOPE_FLAGS, s->flags);
	keep(&envelope, s->content, s->length > 0 ? s->length :
	    strlen(s->content), &letter);
	memset(b, 0, sizeof(*b));
	b->config = &config;
	b->letter = &letter;
	b->action = s->action;
	b->is_double = s->sender[0] == '\0';
	b->outcomes = outcomes;
	b->count = 1;
	b->now = 1700000000;
	assert_int_equal(bounce_prepare(b), 0);
	bounce_envelope(b, &envelope);
	assert_int_equal(spool_begin(&writer, &spool, &envelope), 0);
	bounce_write(b, &writer);
	assert_int_equal(spool_commit(&writer, &name), 0);
	assert_int_equal(letter_open(&spool, &name, &notice), 0);
	assert_in_range(notice.length, 1, sizeof(text) - 1);
	assert_int_equal(pread(notice.fd, text, notice.length,
	    (off_t)notice.offset), notice.length);
	text[notice.length] = '\0';
	b->outcomes = NULL;
}

static void
has(const char *what)
{
	if (strstr(text, what) == NULL)
		fail_msg("no \"%s\" in:\n%s", what, text);
}

static size_t
count(const char *what)
{
	const char *p = text;
	size_t n = 0;

	while ((p = strstr(p, what)) != NULL) {
		n++;
		p++;
	}
	return n;
}

static const struct sample plain = {
	.sender = "a@a.example", .envid = "", .local = "bob", .orcpt = "",
	.content = "Subject: x\n\nbody\n",
	.outcome = { .kind = OUTCOME_FAILED, .status = "5.1.1",
	    .text = "no", .remote = "h.example", .code = 550, .when = 1,
	    .flags = OUTCOME_ELSEWHERE, .target = "Bob@c.example" },
};

static void
a_plain_one(void **state)
{
	struct bounce b;

	(void)state;
	make(&plain, &b);
	has("\nTo: <a@a.example>\n");
	has("\nReporting-MTA: dns; mx.example\nArrival-Date: ");
	has("\nFinal-Recipient: rfc822; Bob@c.example\nAction: failed\n"
	    "Status: 5.1.1\nRemote-MTA: dns; h.example\n"
	    "Diagnostic-Code: smtp; 550 5.1.1 no\nLast-Attempt-Date: ");
	has("\nContent-Type: text/rfc822-headers\n\nSubject: x\n\n--");
	assert_int_equal(count(b.boundary), 5);
	has("\n<Bob@c.example>\n    by way of bob@b.example\n    host ");
	/* What was written to, and what is behind it. */
	has("\n\nOriginal-Recipient: rfc822;bob@b.example\nFinal-");
	assert_int_equal(count("Original-"), 1);
	assert_string_equal(notice.envelope.sender, "");
	assert_int_equal(notice.envelope.derived, DERIVED_NOTICE);
	assert_int_equal(notice.envelope.flags, MAIL_ESMTP);
	assert_string_equal(notice.envelope.recipients[0].domain,
	    "a.example");
}

/* What an envelope may hold that would end or bend a line. */
static void
hostile_fields(void **state)
{
	struct sample s = plain;
	struct bounce b;

	(void)state;
	s.envid = "x+0D+0AAction:+20delivered";
	s.orcpt = "rfc822;y+0AStatus:+202.0.0+00z";
	s.outcome.flags = 0;
	make(&s, &b);
	has("\nOriginal-Envelope-Id: x??Action: delivered\n");
	assert_int_equal(count("\nAction: "), 1);
	assert_int_equal(count("\nStatus: "), 1);
	/* Behind a name of ours is nothing of the sender's. */
	has("\nFinal-Recipient: rfc822; bob@b.example\n");
	assert_int_equal(count("c.example"), 0);
}

static void
statuses(void **state)
{
	struct sample s = plain;
	struct bounce b;

	(void)state;
	s.outcome.status[0] = '4';
	make(&s, &b);
	has("\nStatus: 5.0.0\n");
	s.action = BOUNCE_DELAYED;
	make(&s, &b);
	has("\nAction: delayed\nStatus: 4.1.1\n");
	has("\nWill-Retry-Until: ");
	s.action = BOUNCE_DELIVERED;
	s.outcome.kind = OUTCOME_SPLIT;
	make(&s, &b);
	has("\nAction: expanded\nStatus: 2.0.0\n");
	/* With the list it has arrived. */
	s.outcome.flags = OUTCOME_ARRIVED;
	make(&s, &b);
	has("\nAction: delivered\nStatus: 2.0.0\n");
	s.outcome.flags = OUTCOME_ELSEWHERE;
	s.outcome.kind = OUTCOME_DELIVERED;
	make(&s, &b);
	has("\nAction: relayed\n");
	s.outcome.flags = 0;
	make(&s, &b);
	has("\nAction: delivered\n");
}

/* Whose words they are. */
static void
diagnostics(void **state)
{
	struct sample s = plain;
	struct bounce b;

	(void)state;
	strlcpy(s.outcome.status, "5.0.0", sizeof(s.outcome.status));
	make(&s, &b);
	has("\nStatus: 5.0.0\n");
	has("\nDiagnostic-Code: smtp; 550 no\n");
	has("\n    host h.example said: 550 no\n");
	/* Nothing was said. */
	s.outcome.code = 0;
	strlcpy(s.outcome.status, "5.4.2", sizeof(s.outcome.status));
	make(&s, &b);
	has("\nRemote-MTA: dns; h.example\n"
	    "Diagnostic-Code: X-Postern; 5.4.2 no\n");
	has("\n    host h.example: 5.4.2 no\n");
}

/* What comes back: whole, or a header however odd the letter is. */
static void
what_comes_back(void **state)
{
	static const struct {
		const char *content, *expected;
	} rows[] = {
		{ "Subject: x\n", "headers\n\nSubject: x\n\n--" },
		{ "Subject: x", "headers\n\n\n\n--" },
		{ "\nbody\n", "headers\n\n\n\n--" },
		{ "", "headers\n\n\n\n--" },
		{ "A: \xff\nB: \xc3\xa4\n\nx\n", "headers\n\nA: ?\nB: ??\n\n--" },
	};
	static char large[BOUNCE_RETURN_MAX + 1];
	struct sample s = plain;
	struct bounce b;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		s.content = rows[i].content;
		make(&s, &b);
		has(rows[i].expected);
		assert_int_equal(notice.envelope.flags & MAIL_8BITMIME, 0);
	}
	s.ret = RET_FULL;
	s.content = "A: b\n\n\xff\n--x--\nend";
	make(&s, &b);
	has("Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\n"
	    "A: b\n\n\xff\n--x--\nend\n\n--");
	assert_int_equal(notice.envelope.flags & MAIL_8BITMIME,
	    MAIL_8BITMIME);
	/* At the limit, over it, and never of a delay. */
	memset(large, 'x', sizeof(large));
	memcpy(large, "A: b\n\n", 6);
	s.content = large;
	s.length = BOUNCE_RETURN_MAX;
	make(&s, &b);
	assert_true(notice.length > BOUNCE_RETURN_MAX);
	s.length++;
	make(&s, &b);
	has("headers\n\nA: b\n\n--");
	s.length = 100;
	s.action = BOUNCE_DELAYED;
	make(&s, &b);
	has("headers\n\nA: b\n\n--");
}

static void
utf8(void **state)
{
	struct sample s = plain;
	struct bounce b;

	(void)state;
	s.flags = MAIL_SMTPUTF8;
	s.sender = "j\xc3\xb6rg@a.example";
	s.content = "Subject: \xc3\xa4\n\nx\n";
	make(&s, &b);
	has("\nTo: <j\xc3\xb6rg@a.example>\n");
	has("message/global-delivery-status\n");
	has("message/global-headers\nContent-Transfer-Encoding: 8bit\n\n"
	    "Subject: \xc3\xa4\n");
	assert_int_equal(notice.envelope.flags, MAIL_ESMTP | MAIL_8BITMIME |
	    MAIL_SMTPUTF8);
}

/* To the sender's account here, detail or not; to postmaster of nobody's. */
static void
recipients(void **state)
{
	static const struct {
		const char *sender, *local, *account;
	} rows[] = {
		{ "al@localhost", "al", "" },
		{ "al+x+y@localhost", "al+x+y", "al" },
		{ "\"+x\"@localhost", "+x", "" },
		{ "al+x@far.example", "al+x", "" },
		{ "", "postmaster", "" },
	};
	struct sample s = plain;
	struct bounce b;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		s.sender = rows[i].sender;
		make(&s, &b);
		assert_string_equal(notice.envelope.recipients[0].local,
		    rows[i].local);
		assert_string_equal(notice.envelope.recipients[0].account,
		    rows[i].account);
	}
	assert_int_equal(notice.envelope.derived, DERIVED_DOUBLE);
	has("\nTo: <postmaster@mx.example>\n");
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown_letters)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_plain_one), TEST(hostile_fields), TEST(statuses), TEST(diagnostics),
		TEST(what_comes_back), TEST(utf8), TEST(recipients),
	};

	letter.fd = notice.fd = -1;
	return cmocka_run_group_tests_name("test_bounce", tests, NULL, NULL);
}
