/* LINK: RELAY */
/* LIBS: -lssl -lcrypto */
/*
 * test_relay_faults: remote hosts that misbehave, at each stage, and what the
 * queue is told; each within its time.
 */
#include <time.h>

#include "tests/relay_host.h"

#define LONG_MS		60000	/* for five minutes: no clock matters */
#define SHORT_MS	600	/* for those whose clock is the matter */

/*
 * What the host does: ">line" says it, "<text" waits for a line that begins
 * so, "!" closes, "#line" says it 100,000 times, "~line" again and again, "^"
 * says what follows without a line end, "." nothing more.
 */
struct fault {
	const char	*name;
	const char	*greeting[8];	/* up to GREET's answer */
	const char	*letter[12];	/* from there to SEND's; none: no SEND */
	int		 is_timed;
	uint32_t	 verdict;	/* relay_verdict, or delivery_verdict */
	uint32_t	 stage;
	uint32_t	 code;
	const char	*status;
	const char	*text;		/* how it begins */
	int		 is_over;
};

#define HELLO	{ ">220 mx", "<EHLO", ">250 mx" }
#define HELLO_P	{ ">220 mx", "<EHLO", ">250-mx", ">250 PIPELINING" }
#define HELLO_C	{ ">220 mx", "<EHLO", ">250-mx", ">250-CHUNKING",	\
		    ">250 PIPELINING" }
#define CLOSED	"the host closed"
#define LATE	"the host did not answer in time"
#define NO_SMTP	"what the host says is not SMTP"
#define ENDLESS	"a reply of the host's has no end"

static const struct fault faults[] = {
	/* before any letter */
	{ "closes at once", { "!" }, { 0 }, 0, RELAY_DEFER, 0, 0, "4.4.2",
	    CLOSED, 1 },
	{ "silent", { "." }, { 0 }, 1, RELAY_DEFER, 0, 0, "4.4.2", LATE, 1 },
	{ "trickles", { "^2" }, { 0 }, 1, RELAY_DEFER, 0, 0, "4.4.2", LATE, 1 },
	{ "goes on and on", { "~220-mx" }, { 0 }, 1, RELAY_DEFER, 0, 0, "4.4.2",
	    LATE, 1 },
	{ "100,000 lines", { "#220-mx" }, { 0 }, 0, RELAY_DEFER, 0, 0, "4.5.0",
	    ENDLESS, 1 },
	{ "another protocol", { ">HTTP/1.1 400 Bad Request" }, { 0 }, 0,
	    RELAY_DEFER, 0, 0, "4.5.0", NO_SMTP, 1 },
	{ "two codes", { ">220-mx", ">250 mx" }, { 0 }, 0, RELAY_DEFER, 0, 0,
	    "4.5.0", NO_SMTP, 1 },
	{ "greets with 421", { ">421 4.3.2 busy" }, { 0 }, 0, RELAY_DEFER, 0,
	    421, "4.3.2", "busy", 1 },
	{ "greets with 554", { ">554 no mail here", "<QUIT", ">221 bye" },
	    { 0 }, 0, RELAY_DEFER, 0, 554, "4.0.0", "no mail here", 0 },
	{ "greets with 354", { ">354 go" }, { 0 }, 0, RELAY_DEFER, 0, 0,
	    "4.5.0", NO_SMTP, 1 },
	{ "closes after EHLO", { ">220 mx", "<EHLO", "!" }, { 0 }, 0,
	    RELAY_DEFER, 0, 0, "4.4.2", CLOSED, 1 },
	{ "closes in a reply", { ">220 mx", "<EHLO", ">250-mx", "^250 ", "!" },
	    { 0 }, 0, RELAY_DEFER, 0, 0, "4.4.2", CLOSED, 1 },
	{ "EHLO 451", { ">220 mx", "<EHLO", ">451 later", "<QUIT", ">221" },
	    { 0 }, 0, RELAY_DEFER, 0, 451, "4.0.0", "later", 0 },
	{ "EHLO and HELO 550", { ">220 mx", "<EHLO", ">550 a", "<HELO",
	    ">550 5.7.1 b", "<QUIT", ">221" }, { 0 }, 0, RELAY_FAIL, 0, 550,
	    "5.7.1", "b", 0 },
	{ "EHLO 550, HELO silent", { ">220 mx", "<EHLO", ">550 a", "<HELO",
	    "." }, { 0 }, 1, RELAY_DEFER, 0, 0, "4.4.2", LATE, 1 },
	{ "EHLO 100,000 lines", { ">220 mx", "<EHLO", "#250-PIPELINING" },
	    { 0 }, 0, RELAY_DEFER, 0, 0, "4.5.0", ENDLESS, 1 },
	/* MAIL */
	{ "idle, closed", HELLO, { "!" }, 0, DELIVERY_DEFERRED, RELAY_AT_START,
	    0, "4.4.2", CLOSED, 1 },
	{ "idle, 421", HELLO, { ">421 4.4.2 idle" }, 0, DELIVERY_DEFERRED,
	    RELAY_AT_START, 421, "4.4.2", "idle", 1 },
	{ "says more than it was asked", HELLO, { ">250 ok" }, 0,
	    DELIVERY_DEFERRED, RELAY_AT_START, 0, "4.5.0", "a reply that", 1 },
	{ "MAIL, closed", HELLO, { "<MAIL", "!" }, 0, DELIVERY_DEFERRED,
	    RELAY_AT_MAIL, 0, "4.4.2", CLOSED, 1 },
	{ "MAIL, silent", HELLO, { "<MAIL", "." }, 1, DELIVERY_DEFERRED,
	    RELAY_AT_MAIL, 0, "4.4.2", LATE, 1 },
	{ "MAIL, 421", HELLO, { "<MAIL", ">421 4.3.2 down" }, 0,
	    DELIVERY_DEFERRED, RELAY_AT_MAIL, 421, "4.3.2", "down", 1 },
	{ "MAIL, 354", HELLO, { "<MAIL", ">354 go" }, 0, DELIVERY_DEFERRED,
	    RELAY_AT_MAIL, 0, "4.5.0", "the host asks", 1 },
	{ "MAIL, garbage", HELLO, { "<MAIL", ">ok" }, 0, DELIVERY_DEFERRED,
	    RELAY_AT_MAIL, 0, "4.5.0", NO_SMTP, 1 },
	{ "MAIL, 550 closed", HELLO_P, { "<MAIL", "<RCPT", "<DATA",
	    ">550 5.7.1 no", "!" }, 0, DELIVERY_FAILED, RELAY_AT_MAIL, 550,
	    "5.7.1", "no", 1 },
	{ "MAIL, two replies", HELLO, { "<MAIL", "^250 a\r\n250 b\r\n" }, 0,
	    DELIVERY_DEFERRED, RELAY_AT_RCPT, 0, "4.5.0", "a reply that", 1 },
	/* RCPT */
	{ "RCPT, closed", HELLO, { "<MAIL", ">250 ok", "<RCPT", "!" }, 0,
	    DELIVERY_DEFERRED, RELAY_AT_RCPT, 0, "4.4.2", CLOSED, 1 },
	{ "RCPT, 450", HELLO, { "<MAIL", ">250 ok", "<RCPT", ">450 4.2.1 x" },
	    0, DELIVERY_DEFERRED, RELAY_AT_RCPT, 450, "4.2.1", "x", 0 },
	{ "RCPT, 421", HELLO_P, { "<MAIL", "<RCPT", "<DATA", ">250 ok",
	    ">421 x" }, 0, DELIVERY_DEFERRED, RELAY_AT_RCPT, 421, "4.0.0", "x",
	    1 },
	{ "RCPT, 100,000 lines", HELLO, { "<MAIL", ">250 ok", "<RCPT",
	    "#550-no" }, 0, DELIVERY_DEFERRED, RELAY_AT_RCPT, 0, "4.5.0",
	    ENDLESS, 1 },
	{ "RCPT, out of step", HELLO_C, { "<MAIL", "<RCPT",
	    "^250 a\r\n250 b\r\n250 c\r\n" }, 0, DELIVERY_DEFERRED,
	    RELAY_AT_DATA, 0, "4.5.0", "a reply that", 1 },
	/* DATA */
	{ "DATA, closed", HELLO, { "<MAIL", ">250 ok", "<RCPT", ">250 ok",
	    "<DATA", "!" }, 0, DELIVERY_DEFERRED, RELAY_AT_DATA, 0, "4.4.2",
	    CLOSED, 1 },
	{ "DATA, silent", HELLO, { "<MAIL", ">250 ok", "<RCPT", ">250 ok",
	    "<DATA", "." }, 1, DELIVERY_DEFERRED, RELAY_AT_DATA, 0, "4.4.2",
	    LATE, 1 },
	{ "DATA, 451", HELLO, { "<MAIL", ">250 ok", "<RCPT", ">250 ok",
	    "<DATA", ">451 x" }, 0, DELIVERY_DEFERRED, RELAY_AT_DATA, 451,
	    "4.0.0", "x", 0 },
	{ "DATA, 554", HELLO_P, { "<MAIL", "<RCPT", "<DATA", ">250 ok",
	    ">250 ok", ">554 x" }, 0, DELIVERY_FAILED, RELAY_AT_DATA, 554,
	    "5.0.0", "x", 0 },
	{ "DATA, 250", HELLO, { "<MAIL", ">250 ok", "<RCPT", ">250 ok",
	    "<DATA", ">250 ok" }, 0, DELIVERY_DEFERRED, RELAY_AT_DATA, 0,
	    "4.5.0", "no 354", 1 },
	{ "DATA, 421", HELLO_P, { "<MAIL", "<RCPT", "<DATA", ">250 ok",
	    ">250 ok", ">421 x" }, 0, DELIVERY_DEFERRED, RELAY_AT_DATA, 421,
	    "4.0.0", "x", 1 },
	/* the end */
	{ "end, closed", HELLO, { "<MAIL", ">250 ok", "<RCPT", ">250 ok",
	    "<DATA", ">354 go", "<x", "<.", "!" }, 0, DELIVERY_DEFERRED,
	    RELAY_AT_END, 0, "4.4.2", CLOSED, 1 },
	{ "end, silent", HELLO_P, { "<MAIL", "<RCPT", "<DATA", ">250 ok",
	    ">250 ok", ">354 go", "<x", "<.", "." }, 1, DELIVERY_DEFERRED,
	    RELAY_AT_END, 0, "4.4.2", LATE, 1 },
	{ "end, 354", HELLO, { "<MAIL", ">250 ok", "<RCPT", ">250 ok",
	    "<DATA", ">354 go", "<x", "<.", ">354 more" }, 0,
	    DELIVERY_DEFERRED, RELAY_AT_END, 0, "4.5.0", "the host asks", 1 },
	{ "end, 452", HELLO, { "<MAIL", ">250 ok", "<RCPT", ">250 ok",
	    "<DATA", ">354 go", "<x", "<.", ">452 4.3.1 full" }, 0,
	    DELIVERY_DEFERRED, RELAY_AT_END, 452, "4.3.1", "full", 0 },
	{ "end, 554", HELLO, { "<MAIL", ">250 ok", "<RCPT", ">250 ok",
	    "<DATA", ">354 go", "<x", "<.", ">554 5.7.1 spam" }, 0,
	    DELIVERY_FAILED, RELAY_AT_END, 554, "5.7.1", "spam", 0 },
	{ "end, garbage", HELLO, { "<MAIL", ">250 ok", "<RCPT", ">250 ok",
	    "<DATA", ">354 go", "<x", "<.", ">OK" }, 0, DELIVERY_DEFERRED,
	    RELAY_AT_END, 0, "4.5.0", NO_SMTP, 1 },
	{ "end, 250 and closed", HELLO, { "<MAIL", ">250 ok", "<RCPT",
	    ">250 ok", "<DATA", ">354 go", "<x", "<.", ">250 ok", "!" }, 0,
	    DELIVERED, RELAY_AT_END, 250, "2.0.0", "ok", 0 },
	{ "end, 421", HELLO, { "<MAIL", ">250 ok", "<RCPT", ">250 ok",
	    "<DATA", ">354 go", "<x", "<.", ">421 4.3.2 x" }, 0,
	    DELIVERY_DEFERRED, RELAY_AT_END, 421, "4.3.2", "x", 1 },
	{ "BDAT, closed", HELLO_C, { "<MAIL", "<RCPT", ">250 ok", ">250 ok",
	    "<BDAT 3 LAST", "<x", "!" }, 0, DELIVERY_DEFERRED, RELAY_AT_END,
	    0, "4.4.2", CLOSED, 1 },
	{ "BDAT, 503", HELLO_C, { "<MAIL", "<RCPT", ">250 ok", ">250 ok",
	    "<BDAT 3 LAST", "<x", ">503 x" }, 0, DELIVERY_FAILED, RELAY_AT_END,
	    503, "5.0.0", "x", 0 },
};
#define FAULTS	(sizeof(faults) / sizeof(faults[0]))

static void
say_often(const char *line, int times, useconds_t pause)
{
	char text[128];
	int len = snprintf(text, sizeof(text), "%s\r\n", line);

	while (times-- > 0 && send(host, text, (size_t)len, MSG_NOSIGNAL) ==
	    len)
		usleep(pause);
}

/* 0, or -1: the host does nothing more. */
static int
act(const char *step)
{
	switch (*step++) {
	case '>':
		host_say(step);
		break;
	case '<':
		assert_int_equal(strncmp(host_line(), step, strlen(step)), 0);
		break;
	case '^':
		host_put(step, strlen(step));
		break;
	case '#':
		say_often(step, 100000, 0);
		return -1;
	case '~':
		say_often(step, 1000, 20000);
		return -1;
	case '!':
		shutdown(host, SHUT_RDWR);
		return -1;
	case '.':
		return -1;
	}
	return 0;
}

static void
play(const char *const *script, size_t max)
{
	size_t i;

	for (i = 0; i < max && script[i] != NULL; i++)
		if (act(script[i]) == -1)
			return;
}

static void
check(const struct fault *f, uint32_t verdict, uint32_t code,
    const char *status, const char *text)
{
	assert_int_equal(verdict, f->verdict);
	assert_int_equal(code, f->code);
	assert_string_equal(status, f->status);
	assert_int_equal(strncmp(text, f->text, strlen(f->text)), 0);
}

static void
run_letter(const struct fault *f)
{
	struct pollfd pfd = { .fd = host, .events = POLLIN };

	assert_int_equal(greeted.verdict, RELAY_READY);
	/* What an idle host does, it has done before. */
	if (f->letter[0][0] != '<') {
		play(f->letter, 1);
		(void)poll(&pfd, 1, 0);
	}
	ask_to("alice@example.org");
	ask_send("x\n", 1);
	if (f->letter[0][0] == '<')
		play(f->letter, 12);
	get_sent(1);
	check(f, settled[0].verdict, settled[0].code, settled[0].status,
	    settled[0].text);
	assert_int_equal(settled[0].stage, f->stage);
	assert_int_equal(sent.is_reusable, !f->is_over);
}

/* When it is over nothing more is said, of what there is to be read. */
static void
expect_no_quit(void)
{
	static char rest[4096];

	rest[host_get(rest, sizeof(rest) - 1)] = '\0';
	assert_null(strstr(rest, "QUIT"));
}

static void
run_fault(void **state)
{
	const struct fault *f = *state;
	struct timespec before, after;

	mail_reset();
	clock_gettime(CLOCK_MONOTONIC, &before);
	relay_start(f->is_timed ? SHORT_MS : LONG_MS);
	ask_greet(RELAY_SMTP, RELAY_TLS_NONE, "");
	play(f->greeting, 8);
	get_greeted();
	if (f->letter[0] != NULL)
		run_letter(f);
	else
		check(f, greeted.verdict, greeted.code, greeted.status,
		    greeted.text);
	if (f->is_over)
		expect_no_quit();
	assert_int_equal(relay_stop(), 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	/* at most ten minutes by its clock, but a whole one of ours */
	assert_in_range(after.tv_sec - before.tv_sec, 0, 30);
}

int
main(void)
{
	struct CMUnitTest tests[FAULTS];
	size_t i;

	for (i = 0; i < FAULTS; i++)
		tests[i] = (struct CMUnitTest){ .name = faults[i].name,
		    .test_func = run_fault,
		    .initial_state = (void *)(uintptr_t)&faults[i] };
	return cmocka_run_group_tests_name("relay_faults", tests, NULL, NULL);
}
