/* LINK: RELAY */
/* LIBS: -lssl -lcrypto */
/*
 * test_relay_walk: hosts that answer at random, and a small model of what may
 * be said to a host: whatever it answers, nothing but a legal dialogue of RFC
 * 5321 and its extensions goes out, content goes out as it must (C1), and a
 * recipient is delivered exactly when the host said so.
 */
#include "tests/relay_host.h"

#define ROUNDS		700
#define LETTERS		4
#define TIMEOUT_MS	60000

/* What the host, and nobody else, knows. */
static struct {
	unsigned	 offered;	/* PIPE, CHUNK ... */
	int		 is_lmtp;
	int		 greeted;	/* EHLO, LHLO or HELO was good */
	int		 is_open;	/* a transaction is */
	int		 must_end;	/* nothing more may be said */
	int		 is_closed;
	/* of this letter */
	size_t		 rcpt_said;
	int		 accepted[RELAY_TO_MAX];
	size_t		 accepted_count;
	int		 mail_good;
	int		 has_stray;	/* it took a recipient without MAIL */
	int		 was_answered;	/* the end was */
	unsigned	 end_codes[RELAY_TO_MAX];	/* per accepted */
} model;

#define PIPE	0x01
#define CHUNK	0x02
#define SIZE	0x04
#define DSN	0x08
#define MIME8	0x10

/* The letter. */
static char content[4000], stuffed[9000], plain[9000];
static size_t content_len, stuffed_len, plain_len;
static size_t to_count;

static unsigned
pick(unsigned n)
{
	return (unsigned)random() % n;
}

static void
make_letter(void)
{
	static const char letters[] = "\n\n.ab\n.";
	size_t i;

	content_len = pick(8) == 0 ? pick(sizeof(content)) : pick(20);
	stuffed_len = plain_len = 0;
	for (i = 0; i < content_len; i++) {
		content[i] = letters[pick(7)];
		if (content[i] == '.' && (i == 0 || content[i - 1] == '\n'))
			stuffed[stuffed_len++] = '.';
		if (content[i] == '\n')
			stuffed[stuffed_len++] = plain[plain_len++] = '\r';
		stuffed[stuffed_len++] = plain[plain_len++] = content[i];
	}
	if (content_len > 0 && content[content_len - 1] != '\n') {
		memcpy(stuffed + stuffed_len, "\r\n", 2);
		memcpy(plain + plain_len, "\r\n", 2);
		stuffed_len += 2;
		plain_len += 2;
	}
	memcpy(stuffed + stuffed_len, ".\r\n", 3);
	stuffed_len += 3;
}

static void
host_closes(void)
{
	shutdown(host, SHUT_RDWR);
	model.is_closed = model.must_end = 1;
}

/* Sends a reply, cut anywhere, of one or more lines. */
static void
answer(unsigned code)
{
	char text[600];
	size_t len = 0, n, at = 0;
	unsigned lines = pick(6) == 0 ? 1 + pick(5) : 1;

	while (lines-- > 0)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "%u%c%s\r\n", code, lines > 0 ? '-' : ' ',
		    pick(2) ? "2.0.0 ok" : pick(2) ? "5.1.1 \x01 no" : "");
	while (at < len) {
		n = pick(3) == 0 ? 1 + pick((unsigned)(len - at)) : len - at;
		host_put(text + at, n);
		at += n;
	}
	if (code == 421)
		model.must_end = 1;
}

static void
answer_garbage(void)
{
	static const char *const garbage[] = {
		"ok", "999 what", "25", "250-a\r\n251 b", "HTTP/1.1 200", "",
		"150 wait",
	};

	host_say(garbage[pick(sizeof(garbage) / sizeof(garbage[0]))]);
	model.must_end = 1;
}

/*
 * One answer to a command to which good is the right one: the code that was
 * sent, or 0 when there was none that means anything.
 */
static unsigned
answer_somehow(unsigned good)
{
	static const unsigned bad[] = {
		450, 451, 452, 421, 500, 503, 550, 552, 554,
	};
	unsigned code = good;

	switch (pick(24)) {
	case 0:
		if (pick(3) == 0) {
			host_closes();
			return 0;
		}
		break;
	case 1:
		if (pick(3) == 0) {
			answer_garbage();
			return 0;
		}
		break;
	case 2: case 3: case 4: case 5:
		code = bad[pick(9)];
		break;
	case 6:
		code = pick(4) == 0 ? 354 : good;
		if (code == 354 && good != 354)
			model.must_end = 1;
		break;
	default:
		break;
	}
	if (good == 354 && code / 100 == 2)
		model.must_end = 1;
	answer(code);
	return code;
}

/* What goes before the end is the content, with nothing else in it. */
static void
take_data(void)
{
	static char got[sizeof(stuffed)];
	size_t want = model.accepted_count == 0 ? 3 : stuffed_len;
	const char *is = model.accepted_count == 0 ? ".\r\n" : stuffed;

	assert_int_equal(host_get(got, want), want);
	assert_memory_equal(got, is, want);
}

static void
answer_end(void)
{
	size_t i, replies = model.is_lmtp ? model.accepted_count : 1;

	model.was_answered = 1;
	model.is_open = 0;
	for (i = 0; i < replies && !model.must_end; i++)
		model.end_codes[i] = answer_somehow(250);
}

static void
on_data(void)
{
	unsigned code;

	assert_true(model.rcpt_said > 0);
	assert_false(model.offered & CHUNK);
	/* One by one it is said for somebody only. */
	if ((model.offered & PIPE) == 0)
		assert_true(model.accepted_count > 0);
	/* A fair host has no 354 for nobody, mostly. */
	if (model.accepted_count == 0 && pick(3) != 0) {
		answer(503);
		return;
	}
	code = answer_somehow(354);
	if (code != 354)
		return;
	/* What ends a letter might be one, for those whom it has taken. */
	if (model.accepted_count == 0 &&
	    (model.is_lmtp || model.has_stray)) {
		model.must_end = 1;
		return;
	}
	take_data();
	if (model.accepted_count > 0)
		answer_end();
	else {
		(void)answer_somehow(250);
		model.is_open = 0;
	}
}

static void
on_bdat(const char *argument)
{
	static char got[sizeof(plain)];
	char want[40];

	assert_true(model.offered & CHUNK);
	assert_true(model.accepted_count > 0);
	snprintf(want, sizeof(want), "%zu LAST", plain_len);
	assert_string_equal(argument, want);
	assert_int_equal(host_get(got, plain_len), plain_len);
	assert_memory_equal(got, plain, plain_len);
	answer_end();
	/* one that failed leaves it open, and so RSET must come */
	model.is_open = 2;
}

static void
on_mail(const char *argument)
{
	unsigned code;

	assert_true(model.greeted);
	assert_int_not_equal(model.is_open, 1);
	assert_int_equal(strncmp(argument, "FROM:<bob@example.net>", 22), 0);
	if ((model.offered & SIZE) == 0)
		assert_null(strstr(argument, "SIZE="));
	if ((model.offered & DSN) == 0)
		assert_null(strstr(argument, "RET="));
	code = answer_somehow(250);
	model.mail_good = code / 100 == 2;
	model.is_open = model.mail_good;
}

static void
on_rcpt(const char *argument)
{
	unsigned code;

	assert_int_equal(strncmp(argument, "TO:<a@b>", 8), 0);
	if ((model.offered & DSN) == 0)
		assert_null(strstr(argument, "NOTIFY="));
	if ((model.offered & PIPE) == 0)
		assert_true(model.mail_good);
	assert_true(model.rcpt_said < to_count);
	if (!model.mail_good && pick(4) != 0) {
		answer(503);
		code = 503;
	} else
		code = answer_somehow(250);
	if (code / 100 == 2 && model.mail_good) {
		model.accepted[model.rcpt_said] = 1;
		model.accepted_count++;
	} else if (code / 100 == 2)
		model.has_stray = 1;
	model.rcpt_said++;
}

static void
on_command(const char *line)
{
	assert_false(model.must_end);
	if (strncmp(line, "MAIL ", 5) == 0)
		on_mail(line + 5);
	else if (strncmp(line, "RCPT ", 5) == 0)
		on_rcpt(line + 5);
	else if (strcmp(line, "DATA") == 0)
		on_data();
	else if (strncmp(line, "BDAT ", 5) == 0)
		on_bdat(line + 5);
	else if (strcmp(line, "RSET") == 0) {
		assert_int_not_equal(model.is_open, 0);
		if (answer_somehow(250) / 100 == 2)
			model.is_open = 0;
		else
			model.must_end = 1;
	} else
		fail_msg("said: %s", line);
}

/* The next one, until the letter's last answer has come: 1, or 0. */
static int
has_command(void)
{
	struct pollfd pfd[2] = {
		{ .fd = gate, .events = POLLIN },
		{ .fd = model.is_closed ? -1 : host, .events = POLLIN },
	};
	char c;

	for (;;) {
		assert_int_equal(poll(pfd, 2, PATIENCE_MS) > 0, 1);
		if (pfd[1].revents != 0) {
			if (recv(host, &c, 1, MSG_PEEK) == 1)
				return 1;
			pfd[1].fd = -1;
		}
		if (pfd[0].revents != 0 && !get_one())
			return 0;
	}
}

/* Without PIPELINING nothing comes before the answer to what came last. */
static void
expect_patience(void)
{
	struct pollfd pfd = { .fd = host, .events = POLLIN };

	if ((model.offered & PIPE) == 0 && poll(&pfd, 1, 0) == 1)
		fail_msg("pipelined");
}

static void
serve_letter(void)
{
	const char *line;

	while (has_command()) {
		line = host_line();
		if (strncmp(line, "BDAT", 4) != 0)
			expect_patience();
		/* Said in the batch before it could know. */
		if (model.must_end && (model.offered & PIPE) != 0 &&
		    strncmp(line, "BDAT", 4) != 0)
			continue;
		on_command(line);
	}
}

static void
check_verdicts(void)
{
	size_t i, place = 0;
	unsigned code;

	for (i = 0; i < to_count; i++) {
		code = 0;
		if (model.accepted[i] && model.was_answered)
			code = model.end_codes[model.is_lmtp ? place++ : 0];
		if (code / 100 == 2)
			assert_int_equal(settled[i].verdict, DELIVERED);
		else
			assert_int_not_equal(settled[i].verdict, DELIVERED);
		if (settled[i].verdict == DELIVERY_FAILED)
			assert_int_equal(settled[i].code / 100, 5);
		if (model.was_answered && model.accepted[i])
			assert_int_equal(settled[i].stage, RELAY_AT_END);
	}
	assert_int_equal(sent.is_reusable, !model.must_end);
}

static void
walk_letter(void)
{
	size_t i;

	make_letter();
	to_count = 1 + pick(4);
	model.rcpt_said = model.accepted_count = 0;
	model.has_stray = 0;
	model.mail_good = model.was_answered = 0;
	memset(model.accepted, 0, sizeof(model.accepted));
	memset(model.end_codes, 0, sizeof(model.end_codes));
	mail.ret = pick(3);
	for (i = 0; i < to_count; i++)
		ask_to_with("a@b", pick(2), "");
	ask_send_octets(content, content_len, (uint32_t)to_count);
	memset(settled, 0, sizeof(settled));
	serve_letter();
	for (i = 0; i < to_count; i++)
		assert_int_equal(settled[i].count, 1);
	check_verdicts();
}

static void
offer(void)
{
	static const struct {
		unsigned	 bit;
		const char	*line;
	} all[] = {
		{ PIPE, "250-PIPELINING" }, { CHUNK, "250-CHUNKING" },
		{ SIZE, "250-SIZE 100000" }, { DSN, "250-DSN" },
		{ MIME8, "250-8BITMIME" },
	};
	size_t i;

	host_say("250-mx");
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if ((model.offered & all[i].bit) != 0)
			host_say(all[i].line);
	host_say("250 HELP");
	model.greeted = 1;
}

/* The greeting is the other tests' matter: some refuse EHLO. */
static void
walk_greeting(void)
{
	ask_greet(model.is_lmtp ? RELAY_LMTP : RELAY_SMTP, RELAY_TLS_MAY, "");
	host_say("220 mx");
	host_expect_line(model.is_lmtp ? "LHLO me.example" :
	    "EHLO me.example");
	if (!model.is_lmtp && pick(6) == 0) {
		model.offered = 0;
		answer(502);
		host_expect_line("HELO me.example");
		host_say("250 mx");
		model.greeted = 1;
	} else
		offer();
	get_greeted();
	assert_int_equal(greeted.verdict, RELAY_READY);
}

static void
walk(void)
{
	int i;

	memset(&model, 0, sizeof(model));
	model.offered = pick(32);
	model.is_lmtp = pick(4) == 0;
	mail_reset();
	relay_start(TIMEOUT_MS);
	walk_greeting();
	for (i = 0; i < LETTERS && !model.must_end; i++)
		walk_letter();
	if (!model.must_end) {
		close(gate);
		gate = -1;
		host_expect_line("QUIT");
	} else if (!model.is_closed)
		host_expect_end();
	assert_int_equal(relay_stop(), 0);
}

static void
test_C1_random_walk(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < ROUNDS; i++) {
		srandom(i);
		walk();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_C1_random_walk),
	};

	return cmocka_run_group_tests_name("relay_walk", tests, NULL, NULL);
}
