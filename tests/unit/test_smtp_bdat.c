/* LINK: smtpd/session smtpd/commands smtpd/security smtpd/auth smtpd/parameters smtpd/receive smtpd/bdat smtpd/binary smtpd/mime_type smtpd/stubs smtpd/address smtpd/xtext smtpd/data wire/wire wire/sasl privsep/facts privsep/message privsep/log wire/utf8 */
/*
 * BDAT (RFC 3030): pieces of any size, cut anywhere; and that after an error
 * nobody takes content for commands (C1, C3).
 */
#include "tests/smtp_bdat_model.h"
#include "tests/smtp_session.h"

/* in, cut at a and b, against the model. */
static void
compare(const uint8_t *in, size_t len, size_t a, size_t b)
{
	const size_t cuts[] = { 0, a, b, len };
	uint8_t out[64], expected[64];
	struct data data;
	size_t i, n, outlen = 0;

	data_init(&data, 1);
	for (i = 0; i < 3; i++) {
		assert_int_equal(data_take(&data, in + cuts[i],
		    cuts[i + 1] - cuts[i], out + outlen, &n),
		    cuts[i + 1] - cuts[i]);
		outlen += n;
		/* Said no later than it must be. */
		assert_int_equal(data.fault != DATA_GOOD,
		    model_is_faulty(in, cuts[i + 1], 0));
		assert_false(data_is_done(&data));
	}
	outlen += data_end(&data, out + outlen);
	assert_true(data_is_done(&data));
	assert_int_equal(data.octets, len);
	assert_int_equal(data.fault != DATA_GOOD,
	    model_is_faulty(in, len, 1));
	if (data.fault != DATA_GOOD)
		return;
	assert_int_equal(outlen, model_content(in, len, expected));
	assert_memory_equal(out, expected, outlen);
}

/* Every sequence that was ever taken for the end of a message. */
static void
test_c1_corpus(void **state)
{
	static const char *const ends[] = { "\r", "\n", "\r\n", "0", "",
	    "\n\r", "\r\r\n" };
	static const char *const dots[] = { ".", "..", "", "x" };
	char text[64];
	size_t e[3], d[2], a, b, len;

	(void)state;
	for (e[0] = 0; e[0] < 7; e[0]++)
	for (d[0] = 0; d[0] < 4; d[0]++)
	for (e[1] = 0; e[1] < 7; e[1]++)
	for (d[1] = 0; d[1] < 4; d[1]++)
	for (e[2] = 0; e[2] < 7; e[2]++) {
		len = (size_t)snprintf(text, sizeof(text), "%s%s%s%s%sb",
		    ends[e[0]], dots[d[0]], ends[e[1]], dots[d[1]],
		    ends[e[2]]);
		for (a = 0; a < len; a++)
			if (text[a] == '0')
				text[a] = '\0';
		for (a = 0; a <= len; a++)
			for (b = a; b <= len; b++)
				compare((const uint8_t *)text, b, a, a);
	}
}

/* Every stream of up to seven of the octets that matter, cut twice. */
static void
test_all_short_streams(void **state)
{
	static const char octets[] = { '\r', '\n', '.', 'x', '\0' };
	uint8_t in[16];
	size_t len, i, a, b, n, total;

	(void)state;
	for (len = 0, total = 1; len <= 7; len++, total *= 5)
		for (n = 0; n < total; n++) {
			size_t rest = n;

			for (i = 0; i < len; i++, rest /= 5)
				in[i] = (uint8_t)octets[rest % 5];
			for (a = 0; a <= len; a += 2)
				for (b = a; b <= len; b++)
					compare(in, len, a, b);
		}
}

static void
test_one_letter(void **state)
{
	(void)state;
	greet();
	open_transaction("a");
	/* The same letter as DATA's test has. */
	say("BDAT 16\r\nSubject: x\r\n\r\n.d");
	expect("250 2.0.0 16 octets received");
	say("BDAT 4 LAST\r\not\r\n");
	expect("250 2.0.0 octets=17 sum=d24fc2fc ");
	/* Commands in the content, a dot, and no end of the last line. */
	open_transaction("a");
	say("BDAT 11 last\r\nQUIT\r\n.\r\nxxNOOP\r\n");
	expect("250 2.0.0 octets=10 ");
	expect("250 2.0.0 Nothing");
	/* Nothing at all is a message, too. */
	open_transaction("a");
	say("BDAT 0\r\nBDAT 0 LAST\r\nBDAT 0 LAST\r\nQUIT\r\n");
	expect("250 2.0.0 0 octets");
	expect("250 2.0.0 octets=0 ");
	expect("503 5.5.1 MAIL must come first");
	expect("221");
	end();
}

/* The same content in pieces of every size, in segments of every size. */
static void
test_pieces_and_segments(void **state)
{
	static const char content[] = "From: a\r\n\r\n.\r\nBDAT 9\r\n..";
	const size_t len = sizeof(content) - 1;
	char stream[2048], answer[64] = "";
	size_t piece, segment, at, n, pieces;

	(void)state;
	for (piece = 1; piece <= len; piece += 3)
		for (segment = 1; segment < 12; segment += 5) {
			stream[0] = '\0';
			pieces = 0;
			for (at = 0; at < len; at += n, pieces++) {
				n = len - at < piece ? len - at : piece;
				snprintf(stream + strlen(stream),
				    sizeof(stream) - strlen(stream),
				    "BDAT %zu%s\r\n%.*s", n,
				    at + n == len ? " LAST" : "", (int)n,
				    content + at);
			}
			greet();
			open_transaction("a");
			for (at = 0; at < strlen(stream); at += n) {
				n = strlen(stream) - at < segment ?
				    strlen(stream) - at : segment;
				say_octets(stream + at, n);
			}
			while (--pieces > 0)
				expect("250 2.0.0");
			strlcpy(stream, reply(), sizeof(stream));
			*strstr(stream, " reads=") = '\0';
			if (answer[0] == '\0')
				strlcpy(answer, stream, sizeof(answer));
			assert_string_equal(answer, stream);
			say("QUIT\r\n");
			expect("221");
			end();
		}
	assert_non_null(strstr(answer, "octets=21 "));
}

/*
 * C1, C3: an error in the middle.  The rest of the piece is content still, the
 * transaction is no more, and what of it still comes is not obeyed.
 */
static void
test_c3_errors(void **state)
{
	static const struct {
		const char	*sender, *piece, *reply;
	} rows[] = {
		{ "a", "x\nRSET\r\n", "554 5.6.0 Message contains a bare LF" },
		{ "a", "x\rRSET\r\n", "554 5.6.0 Message contains a bare CR" },
		{ "nodata", "x\r\nNOOP\r\n", "451 4.3.0 No disk" },
		{ "lost", "x\r\nNOOP\r\n", NULL }
	};
	char line[128];
	size_t i, is_last;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (is_last = 0; is_last < 2; is_last++) {
			greet();
			open_transaction(rows[i].sender);
			snprintf(line, sizeof(line), "BDAT %zu%s\r\n%s",
			    strlen(rows[i].piece), is_last ? " LAST" : "",
			    rows[i].piece);
			say(line);
			say("BDAT 6\r\nNOOP\r\nRCPT TO:<c@d>\r\n"
			    "BDAT 12 LAST\r\nMAIL FROM:<>");
			/* Gathered, so that only the last can fail. */
			if (rows[i].reply == NULL && !is_last) {
				expect("250 2.0.0");
				expect("250 2.0.0");
				expect("503 5.5.1 Only BDAT");
				expect("451 4.3.0 Could not store");
			} else {
				expect(rows[i].reply != NULL ? rows[i].reply :
				    "451 4.3.0");
				expect("503 5.5.1 MAIL must come first");
				expect("503 5.5.1 MAIL must come first");
				expect("503 5.5.1 MAIL must come first");
			}
			open_transaction("a");
			say("DATA\r\nx\r\n.\r\nQUIT\r\n");
			expect("354");
			expect("250 2.0.0 octets=2 ");
			expect("221");
			end();
		}
	/* A CR whose LF never came. */
	greet();
	open_transaction("a");
	say("BDAT 2\r\nx\rBDAT 1 LAST\r\n\nNOOP\r\n");
	expect("250 2.0.0 2 octets");
	expect("250 2.0.0 octets=2 ");
	expect("250 2.0.0 Nothing");
	open_transaction("a");
	say("BDAT 2 LAST\r\nx\rNOOP\r\n");
	expect("554 5.6.0");
	expect("250 2.0.0 Nothing");
	say("QUIT\r\n");
	expect("221");
	end();
}

/* What else there is between two pieces. */
static void
test_between(void **state)
{
	static const struct {
		const char *line, *reply;
		int is_over;		/* the transaction */
	} rows[] = {
		{ "NOOP\r\n", "250 2.0.0 Nothing", 0 },
		{ "HELP\r\n", "214", 0 },
		{ "VRFY x\r\n", "503 5.5.1 Only BDAT", 0 },
		{ "MAIL FROM:<a@b>\r\n", "503 5.5.1 Only BDAT", 0 },
		{ "RCPT TO:<c@d>\r\n", "503 5.5.1 Only BDAT", 0 },
		{ "DATA\r\n", "503 5.5.1 Only BDAT", 0 },
		{ "WHAT\r\n", "500", 0 },
		{ "EHLO\r\n", "501", 0 },
		{ "RSET\r\n", "250 2.0.0 Forgotten", 1 },
		{ "HELO c\r\n", "250", 1 },
		{ "EHLO c\r\n", "250", 1 }
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		greet();
		open_transaction("a");
		say("BDAT 3\r\nx\r\n");
		expect("250 2.0.0");
		say(rows[i].line);
		expect(rows[i].reply);
		say("BDAT 3 LAST\r\ny\r\n");
		expect(rows[i].is_over ? "503" : "250 2.0.0 octets=4 ");
		open_transaction("a");
		say("DATA\r\nx\r\n.\r\nQUIT\r\n");
		expect("354");
		expect("250 2.0.0 octets=2 ");
		expect("221");
		end();
	}
	greet();
	open_transaction("a");
	say("BDAT 3\r\nx\r\nQUIT\r\n");
	expect("250 2.0.0");
	expect("221");
	expect("");
	end();
}

/* Refused for whatever reason: its octets are read. */
static void
test_refused(void **state)
{
	(void)state;
	begin();
	expect("220");
	say("BDAT 6\r\nNOOP\r\nEHLO c\r\n");
	expect("503 5.5.1 Say HELO or EHLO first");
	expect("250");
	say("BDAT 6 LAST\r\nNOOP\r\nMAIL FROM:<a@b>\r\n");
	expect("503 5.5.1 MAIL must come first");
	expect("250 2.1.0");
	say("BDAT 6\r\nNOOP\r\nRCPT TO:<c@d>\r\nBDAT 1 LAST\r\nx");
	expect("503 5.5.1 No valid recipients");
	expect("250 2.1.5");
	expect("250 2.0.0 octets=2 ");
	say("QUIT\r\n");
	expect("221");
	end();
	service = SERVICE_SUBMISSION;
	facts = FACT_PLAINTEXT;
	greet();
	say("BDAT 6\r\nNOOP\r\n" AUTH_ALICE);
	expect("530 5.7.0");
	expect("235");
	say("QUIT\r\n");
	expect("221");
	end();
}

/* How many octets follow?  Nobody knows, and nothing more is obeyed. */
static void
test_c1_framing_lost(void **state)
{
	static const char *const lines[] = { "BDAT", "BDAT x", "BDAT -1",
	    "BDAT +1", "BDAT 1x", "BDAT 1,LAST", "BDAT 1 LASTS",
	    "BDAT 1 LAST 1", "BDAT LAST", "BDAT 18446744073709551616",
	    "BDAT 000000000000000000001", "BDAT 0x10" };
	size_t i, round;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		for (round = 0; round < 3; round++) {
			greet();
			if (round > 0)
				open_transaction("a");
			if (round > 1) {
				say("BDAT 1\r\nx");
				expect("250");
			}
			say(lines[i]);
			say("\r\nRSET\r\nMAIL FROM:<a@b>\r\n");
			expect("501 5.5.4");
			expect("421 4.7.0");
			expect("");
			end();
		}
}

static void
test_too_much(void **state)
{
	char *text = malloc(1024 * 1024);
	int i;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', 1024 * 1024);
	config.message_size_limit = 1;
	/* Not even begun: nobody waits for so much. */
	greet();
	open_transaction("a");
	say("BDAT 18446744073709551615 LAST\r\nRSET\r\n");
	expect("552 5.3.4 Message far too big");
	expect("");
	end();
	greet();
	say("BDAT 18446744073709551615\r\nRSET\r\n");
	expect("552 5.3.4 Message far too big");
	expect("");
	end();
	/* Nor in pieces. */
	greet();
	open_transaction("a");
	for (i = 0; i < 64; i++) {
		say("BDAT 1048576\r\n");
		say_octets(text, 1024 * 1024);
		expect("250 2.0.0 1048576");
	}
	say("BDAT 1048576\r\n");
	expect("552 5.3.4");
	expect("");
	end();
	free(text);
}

/* The client goes away, or the server does: nothing is committed. */
static void
test_ends(void **state)
{
	static const char dialogue[] = "EHLO c\r\nMAIL FROM:<a@b>\r\n"
	    "RCPT TO:<c@d>\r\nBDAT 3\r\nx\r\nBDAT 3 LAST\r\nx\r";
	size_t len;

	(void)state;
	for (len = 30; len < sizeof(dialogue); len += 3) {
		begin();
		say_octets(dialogue, len);
		assert_int_equal(shutdown(client, SHUT_WR), 0);
		while (reply()[0] != '\0')
			;
		end();
	}
	greet();
	open_transaction("a");
	say("BDAT 3\r\nx\r\n");
	expect("250");
	close(master);
	expect("421 4.3.2");
	expect("");
	master = -1;
	end();
	config.idle_timeout = 1;
	greet();
	open_transaction("a");
	say("BDAT 3\r\nx\r");
	expect("421 4.4.2");
	expect("");
	end();
	greet();
	open_transaction("late");
	say("BDAT 3\r\nx\r\nBDAT 0 LAST\r\nNOOP\r\n");
	expect("250");
	expect("421 4.3.0");
	expect("");
	end();
}

/* C16: between pieces as within them. */
static void
test_c16_slow(void **state)
{
	int i;

	(void)state;
	haste = 1000;
	config.idle_timeout = 1000000;
	greet();
	open_transaction("a");
	for (i = 0; i < 100; i++) {
		say("BDAT 1\r\nx");
		usleep(10000);
		if (strncmp(reply(), "250", 3) != 0)
			break;
	}
	assert_in_range(i, 10, 99);
	expect("");
	end();
}

static void
test_large(void **state)
{
	const size_t size = 8 * 1024 * 1024;
	char *text = malloc(size), answer[64];
	size_t i;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', size);
	for (i = 62; i < size; i += 64)
		memcpy(text + i, "\r\n", 2);
	greet();
	open_transaction("a");
	snprintf(answer, sizeof(answer), "BDAT %zu\r\n", size - 1);
	say(answer);
	say_octets(text, size - 1);
	say("BDAT 1 LAST\r\n\nQUIT\r\n");
	expect("250");
	snprintf(answer, sizeof(answer), "250 2.0.0 octets=%zu ",
	    size - size / 64);
	expect(answer);
	expect("221");
	end();
	free(text);
}

int
main(void)
{
	const struct CMUnitTest bdat_tests[] = {
		cmocka_unit_test_setup(test_c1_corpus, setup),
		cmocka_unit_test_setup(test_all_short_streams, setup),
		cmocka_unit_test_setup(test_one_letter, setup),
		cmocka_unit_test_setup(test_pieces_and_segments, setup),
		cmocka_unit_test_setup(test_c3_errors, setup),
		cmocka_unit_test_setup(test_between, setup),
		cmocka_unit_test_setup(test_refused, setup),
		cmocka_unit_test_setup(test_c1_framing_lost, setup),
		cmocka_unit_test_setup(test_too_much, setup),
		cmocka_unit_test_setup(test_ends, setup),
		cmocka_unit_test_setup(test_c16_slow, setup),
		cmocka_unit_test_setup(test_large, setup),
	};

	return cmocka_run_group_tests_name("test_smtp_bdat", bdat_tests, NULL,
	    NULL);
}
