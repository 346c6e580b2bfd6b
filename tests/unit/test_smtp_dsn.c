/* LINK: smtpd/session smtpd/commands smtpd/security smtpd/auth smtpd/parameters smtpd/receive smtpd/bdat smtpd/binary smtpd/mime_type smtpd/stubs smtpd/address smtpd/xtext smtpd/data wire/wire wire/sasl privsep/facts privsep/message privsep/log wire/utf8 */
/*
 * RFC 3461's parameters: which are taken, what the agent is told of them; and
 * xtext itself.
 */
#include <errno.h>

#include "smtpd/xtext.h"
#include "tests/smtp_commands.h"

#define LONG_50	"12345678901234567890123456789012345678901234567890"

static void
test_mail(void **unused)
{
	static const struct {
		const char	*parameters;
		const char	*code;
		uint32_t	 ret;
		const char	*envid;
	} rows[] = {
		{ "RET=FULL",			"250 2.1.0", RET_FULL, "" },
		{ "ret=hdrs",			"250 2.1.0", RET_HDRS, "" },
		{ "RET=HDRS ENVID=QQ314159",	"250 2.1.0", RET_HDRS,
		    "QQ314159" },
		{ "ENVID=a+2Bb+3D",		"250 2.1.0", 0, "a+2Bb+3D" },
		{ "envid=+ SIZE=1",		"501 5.5.4", 0, "" },
		{ "ENVID=" LONG_50 LONG_50,	"250 2.1.0", 0,
		    LONG_50 LONG_50 },
		{ "ENVID=" LONG_50 LONG_50 "1",	"501 5.5.4", 0, "" },
		{ "ENVID",			"501 5.5.4", 0, "" },
		{ "ENVID=",			"501 5.5.4", 0, "" },
		{ "ENVID=a=b",			"501 5.5.4", 0, "" },
		{ "ENVID=a+2b",			"501 5.5.4", 0, "" },
		{ "ENVID=a+",			"501 5.5.4", 0, "" },
		{ "ENVID=\303\244",		"501 5.5.4", 0, "" },
		{ "ENVID=a ENVID=a",		"501 5.5.4", 0, "" },
		{ "RET=FULL RET=FULL",		"501 5.5.4", 0, "" },
		{ "RET",			"501 5.5.4", 0, "" },
		{ "RET=",			"501 5.5.4", 0, "" },
		{ "RET=BODY",			"501 5.5.4", 0, "" },
		{ "RET=FULL,HDRS",		"501 5.5.4", 0, "" },
		{ "NOTIFY=NEVER",		"555 5.5.4", 0, "" },
		{ "ORCPT=rfc822;a@b",		"555 5.5.4", 0, "" }
	};
	char line[512];
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bring_to(SMTP_READY);
		snprintf(line, sizeof(line), "MAIL FROM:<a@b> %s",
		    rows[i].parameters);
		expect_code(line, rows[i].code);
		assert_int_equal(fake.ret, rows[i].ret);
		assert_string_equal(fake.envid, rows[i].envid);
	}
}

static void
test_rcpt(void **unused)
{
	static const struct {
		const char	*parameters;
		const char	*code;
		uint32_t	 notify;
		const char	*orcpt;
	} rows[] = {
		{ "NOTIFY=NEVER",		"250 2.1.5", NOTIFY_NEVER, "" },
		{ "notify=success",		"250 2.1.5", NOTIFY_SUCCESS,
		    "" },
		{ "NOTIFY=DELAY,FAILURE",	"250 2.1.5",
		    NOTIFY_DELAY | NOTIFY_FAILURE, "" },
		{ "NOTIFY=SUCCESS,FAILURE,DELAY", "250 2.1.5",
		    NOTIFY_SUCCESS | NOTIFY_DELAY | NOTIFY_FAILURE, "" },
		{ "NOTIFY=NEVER,DELAY",		"501 5.5.4", 0, "" },
		{ "NOTIFY=DELAY,NEVER",		"501 5.5.4", 0, "" },
		{ "NOTIFY=DELAY,DELAY",		"501 5.5.4", 0, "" },
		{ "NOTIFY=DELAY,",		"501 5.5.4", 0, "" },
		{ "NOTIFY=,DELAY",		"501 5.5.4", 0, "" },
		{ "NOTIFY=DELAYS",		"501 5.5.4", 0, "" },
		{ "NOTIFY=DELA",		"501 5.5.4", 0, "" },
		{ "NOTIFY",			"501 5.5.4", 0, "" },
		{ "NOTIFY=",			"501 5.5.4", 0, "" },
		{ "NOTIFY=NEVER NOTIFY=NEVER",	"501 5.5.4", 0, "" },
		{ "ORCPT=rfc822;a@b",		"250 2.1.5", 0, "rfc822;a@b" },
		{ "orcpt=X-y;+2B+3D NOTIFY=DELAY", "250 2.1.5", NOTIFY_DELAY,
		    "X-y;+2B+3D" },
		/* Seen in the wild: nothing was encoded. */
		{ "ORCPT=rfc822;a+b@c",		"250 2.1.5", 0,
		    "rfc822;a+2Bb@c" },
		{ "ORCPT=rfc822;a+",		"250 2.1.5", 0, "rfc822;a+2B" },
		{ "ORCPT=rfc822;a+2b",		"250 2.1.5", 0,
		    "rfc822;a+2B2b" },
		{ "ORCPT=rfc822;a+b=c",		"501 5.5.4", 0, "" },
		{ "ORCPT=rfc822",		"501 5.5.4", 0, "" },
		{ "ORCPT=rfc822;",		"501 5.5.4", 0, "" },
		{ "ORCPT=;a",			"501 5.5.4", 0, "" },
		{ "ORCPT=r+2Bc;a",		"501 5.5.4", 0, "" },
		{ "ORCPT=",			"501 5.5.4", 0, "" },
		{ "ORCPT",			"501 5.5.4", 0, "" },
		{ "ORCPT=r;a ORCPT=r;a",	"501 5.5.4", 0, "" },
		{ "ENVID=a",			"555 5.5.4", 0, "" }
	};
	char line[512];
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bring_to(SMTP_MAIL);
		snprintf(line, sizeof(line), "RCPT TO:<a@b> %s",
		    rows[i].parameters);
		expect_code(line, rows[i].code);
		assert_int_equal(fake.notify, rows[i].notify);
		assert_string_equal(fake.orcpt, rows[i].orcpt);
	}
}

static void
test_long_orcpt(void **unused)
{
	char line[1024] = "RCPT TO:<a@b> ORCPT=r;";
	size_t len = strlen(line);

	(void)unused;
	memset(line + len, 'x', 498);
	bring_to(SMTP_MAIL);
	expect_code(line, "250 2.1.5");
	assert_int_equal(strlen(fake.orcpt), 500);
	line[len + 498] = 'x';
	expect_code(line, "501 5.5.4");
	/* What is put right counts, too. */
	line[len + 498] = '\0';
	line[len] = '+';
	expect_code(line, "501 5.5.4");
	line[len + 496] = '\0';
	expect_code(line, "250 2.1.5");
	assert_int_equal(strlen(fake.orcpt), 500);
}

/* What one letter asked for is not the next one's. */
static void
test_forgotten(void **unused)
{
	(void)unused;
	bring_to(SMTP_READY);
	expect_code("MAIL FROM:<a@b> RET=FULL ENVID=x", "250");
	expect_code("RCPT TO:<a@b> NOTIFY=DELAY ORCPT=r;x", "250");
	expect_code("RCPT TO:<c@d>", "250");
	assert_int_equal(fake.notify, 0);
	assert_string_equal(fake.orcpt, "");
	expect("RSET", "250 2.0.0 Forgotten");
	expect_code("MAIL FROM:<a@b>", "250");
	assert_int_equal(fake.ret, 0);
	assert_string_equal(fake.envid, "");
	/* There are none without EHLO. */
	expect_code("HELO c", "250");
	expect_code("MAIL FROM:<a@b> RET=FULL", "555 5.5.4");
	expect_code("MAIL FROM:<a@b>", "250");
	expect_code("RCPT TO:<a@b> NOTIFY=NEVER", "555 5.5.4");
}

static void
test_xtext(void **unused)
{
	char text[8];

	(void)unused;
	assert_int_equal(xtext_decode("a+2Bb", text, sizeof(text)), 0);
	assert_string_equal(text, "a+b");
	assert_int_equal(xtext_decode("", text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(xtext_decode("+FF+0A", text, sizeof(text)), 0);
	assert_string_equal(text, "\377\n");
	assert_int_equal(xtext_decode("1234567", text, sizeof(text)), 0);
	assert_int_equal(xtext_decode("12345678", text, sizeof(text)), -1);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(xtext_decode("a+00", text, sizeof(text)), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(xtext_decode("a+0", text, sizeof(text)), -1);
	assert_int_equal(xtext_decode("a b", text, sizeof(text)), -1);
	assert_int_equal(xtext_decode("", text, 0), -1);
}

int
main(void)
{
	const struct CMUnitTest dsn_tests[] = {
		cmocka_unit_test(test_mail),
		cmocka_unit_test(test_rcpt),
		cmocka_unit_test(test_long_orcpt),
		cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_xtext),
	};

	return cmocka_run_group_tests_name("test_smtp_dsn", dsn_tests, NULL,
	    NULL);
}
