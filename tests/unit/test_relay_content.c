/* LINK: RELAY */
/* LIBS: -lssl -lcrypto */
/*
 * test_relay_content: a letter's content on the wire, whatever stands in the
 * spool.
 */
#include "tests/relay_host.h"

static int
setup(void **state)
{
	(void)state;
	mail_reset();
	relay_start(MINUTES5);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	return relay_stop();
}

static void
test_C1_content(void **state)
{
	static const struct {
		const char	*stored, *sent;
		size_t		 len;
	} table[] = {
		{ "", ".\r\n", 0 },
		{ "\n", "\r\n.\r\n", 1 },
		{ ".", "..\r\n.\r\n", 1 },
		{ ".\n", "..\r\n.\r\n", 2 },
		{ "..\n", "...\r\n.\r\n", 3 },
		{ ".\n.\n", "..\r\n..\r\n.\r\n", 4 },
		{ "a\r\n.\r\nb", "a\r\n..\r\nb\r\n.\r\n", 7 },
		{ "a\r.\r\nb\n", "a .\r\nb\r\n.\r\n", 7 },
		{ "a\r\r\n.b\n", "a \r\n..b\r\n.\r\n", 7 },
		{ "\r", " \r\n.\r\n", 1 },
		{ "a\n\r", "a\r\n \r\n.\r\n", 3 },
		{ "a\n\r.\r", "a\r\n . \r\n.\r\n", 5 },
		{ "a\0b\n.\0\n", "a b\r\n.. \r\n.\r\n", 7 },
		{ "\r\n", "\r\n.\r\n", 2 },
	};
	size_t i;

	(void)state;
	host_greet("mx,PIPELINING");
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		ask_to("alice@example.org");
		ask_send_octets(table[i].stored, table[i].len, 1);
		host_expect("MAIL FROM:<bob@example.net>\r\n"
		    "RCPT TO:<alice@example.org>\r\nDATA\r\n");
		host_say("250 ok\r\n250 ok\r\n354 go");
		host_expect(table[i].sent);
		assert_true(i % 4 != 0 || host_is_silent());
		host_say("250 ok");
		get_sent(1);
		assert_int_equal(settled[0].verdict, DELIVERED);
	}
	host_bye();
}

/* What the wire must show of it, one octet at a time. */
static size_t
expand(const char *p, size_t len, char *out, int is_stuffed)
{
	size_t i, n = 0;
	char last = '\n';

	for (i = 0; i < len; i++) {
		if (p[i] == '\n' && (i == 0 || p[i - 1] != '\r'))
			out[n++] = '\r';
		if (p[i] == '.' && last == '\n' && is_stuffed)
			out[n++] = '.';
		out[n++] = p[i] == '\0' || (p[i] == '\r' && (i + 1 == len ||
		    p[i + 1] != '\n')) ? ' ' : p[i];
		last = p[i];
	}
	if (n > 0 && out[n - 1] != '\n') {
		out[n++] = '\r';
		out[n++] = '\n';
	}
	return n;
}

/* Large and full of what is special, over every edge of a block. */
static void
test_C1_large(void **state)
{
	static const char special[] = "\n\n\r.a.\0\nb";
	static char stored[200000], want[500000], got[500000];
	char head[64];
	size_t len, i, n, round;

	(void)state;
	srandom(20260901);
	for (round = 0; round < 24; round++) {
		if (round % 12 == 0) {
			if (round > 0)
				host_bye();
			assert_int_equal(relay_stop(), 0);
			relay_start(MINUTES5);
			host_greet(round == 0 ? "mx,PIPELINING" :
			    "mx,PIPELINING,CHUNKING");
		}
		len = round % 3 == 0 ? 65536 + (size_t)random() % 3 - 1 :
		    (size_t)random() % sizeof(stored);
		for (i = 0; i < len; i++)
			stored[i] = random() % 4 == 0 || round % 4 == 0 ?
			    special[random() % 9] : 'x';
		ask_to("alice@example.org");
		ask_send_octets(stored, len, 1);
		n = expand(stored, len, want, round < 12);
		host_expect("MAIL FROM:<bob@example.net>\r\n"
		    "RCPT TO:<alice@example.org>\r\n");
		host_say("250 ok\r\n250 ok");
		if (round < 12) {
			host_expect("DATA\r\n");
			host_say("354 go");
			memcpy(want + n, ".\r\n", 3);
			n += 3;
		} else {
			snprintf(head, sizeof(head), "BDAT %zu LAST\r\n", n);
			host_expect(head);
		}
		assert_int_equal(host_get(got, n), n);
		assert_memory_equal(got, want, n);
		host_say("250 ok");
		get_sent(1);
		assert_int_equal(settled[0].verdict, DELIVERED);
	}
	host_bye();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_C1_content, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_C1_large, setup,
		    teardown),
	};

	return cmocka_run_group_tests_name("relay_content", tests, NULL, NULL);
}
