/* LINK: smtpd/srs mailbox/sha256 smtpd/address smtpd/xtext privsep/config wire/utf8 */
/*
 * Reverse-paths rewritten by SRS, and the way back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "privsep/config_table.h"
#include "smtpd/srs.h"

#define NOW	UINT64_C(1700000000)
#define DAY	UINT64_C(86400)

static struct config config;

static void
use_secrets(const char *first, const char *second)
{
	config_default_fixed(&config);
	strcpy(config.srs_domain, "srs.example");
	strcpy(config.srs_secrets[0], first);
	strcpy(config.srs_secrets[1], second);
	config.srs_secret_count = second[0] != '\0' ? 2 : 1;
}

static int
set_up(void **state)
{
	(void)state;
	use_secrets("first secret of ours", "");
	return 0;
}

static const char *
forward(const char *from)
{
	static char to[ADDRESS_PRINT_MAX];

	return srs_forward(&config, from, NOW, to) == 0 ? to : "-";
}

static enum srs_answer
reverse(const char *path, uint64_t now, const char *expected)
{
	struct address a, to;
	char text[ADDRESS_PRINT_MAX];
	enum srs_answer answer;

	assert_int_equal(address_mailbox(path, strlen(path), ADDRESS_UTF8,
	    &a), ADDRESS_OK);
	answer = srs_reverse(&config, a.local, now, &to);
	if (answer == SRS_GOOD) {
		assert_int_equal(address_print(&to, text, sizeof(text)), 0);
		assert_string_equal(text, expected);
	}
	return answer;
}

/* Hashes as another implementation of RFC 2104 has them. */
static void
known(void **state)
{
	char key[101];

	(void)state;
	assert_string_equal(forward("Alice@a.example"),
	    "SRS0=uEnPM+=G3=a.example=Alice@srs.example");
	memset(key, 'k', 100);
	key[100] = '\0';
	use_secrets(key, "");
	assert_string_equal(forward("Alice@a.example"),
	    "SRS0=7/V21/=G3=a.example=Alice@srs.example");
	use_secrets("first secret of ours", "");
	assert_string_equal(forward("SRS0=xyz=AB=c.example=carol@b.example"),
	    "SRS1=Powpr6=b.example==xyz=AB=c.example=carol@srs.example");
}

static void
there_and_back(void **state)
{
	static const char *const paths[] = {
		"alice@a.example", "a=b=c@a.example", "\"a b\"@a.example",
		"bounce+x=y.example@a.example", "srs0@a.example",
		"SRS0=broken@a.example", "SRS2=x=y=z=u@a.example",
		"SRS1=x=/b==xyz=u@a.example", "SRS0=x=y=-=u@a.example",
		"SRS0=x=y=z=@a.example", "-@a", "j\xc3\xb6rg@a.example",
		"a@b\xc3\xbc" "cher.example"
	};
	char copy[ADDRESS_PRINT_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		strcpy(copy, forward(paths[i]));
		assert_non_null(strstr(copy, "SRS0="));
		assert_int_equal(reverse(copy, NOW, paths[i]), SRS_GOOD);
	}
}

/* By one host more: its SRS0 is what comes back. */
static void
further(void **state)
{
	char first[ADDRESS_PRINT_MAX], second[ADDRESS_PRINT_MAX];

	(void)state;
	strcpy(first, forward("SRS0+xyz=AB=c.example=carol@b.example"));
	assert_int_equal(reverse(first, NOW + 1000 * DAY,
	    "SRS0+xyz=AB=c.example=carol@b.example"), SRS_GOOD);
	/* Of a third host, whose hash is not ours. */
	strcpy(second, forward("srs1=abc=b.example==xyz=AB=c.example=carol"
	    "@d.example"));
	assert_int_equal(reverse(second, NOW,
	    "SRS0=xyz=AB=c.example=carol@b.example"), SRS_GOOD);
	assert_null(strstr(second, "d.example"));
}

static void
left_alone(void **state)
{
	char long_one[ADDRESS_PRINT_MAX];

	(void)state;
	assert_string_equal(forward(""), "-");
	assert_string_equal(forward("a@[192.0.2.1]"), "-");
	assert_string_equal(forward("no address"), "-");
	assert_string_equal(forward("\"\"@a.example"), "-");
	/* 64 octets are an address's local part, and 65 are not. */
	memset(long_one, 'x', 39);
	strcpy(long_one + 39, "@a.example");
	assert_string_not_equal(forward(long_one), "-");
	memset(long_one, 'x', 40);
	strcpy(long_one + 40, "@a.example");
	assert_string_equal(forward(long_one), "-");
	config.srs_secret_count = 0;
	assert_string_equal(forward("a@a.example"), "-");
	use_secrets("first secret of ours", "");
	config.srs_domain[0] = '\0';
	assert_string_equal(forward("a@a.example"), "-");
}

/* Every octet of it changed or cut; another secret, another case. */
static void
forged(void **state)
{
	static const char good[] = "SRS0=uEnPM+=G3=a.example=Alice";
	struct address to;
	char bad[sizeof(good)];
	size_t i;

	(void)state;
	assert_int_equal(srs_reverse(&config, good, NOW, &to), SRS_GOOD);
	for (i = 0; good[i] != '\0'; i++) {
		strcpy(bad, good);
		bad[i] = good[i] == 'z' ? 'y' : 'z';
		assert_int_not_equal(srs_reverse(&config, bad, NOW, &to),
		    SRS_GOOD);
		strcpy(bad, good);
		bad[i] = '\0';
		assert_int_not_equal(srs_reverse(&config, bad, NOW, &to),
		    SRS_GOOD);
	}
	assert_int_equal(srs_reverse(&config,
	    "srs0=UENpm+=g3=A.EXAMPLE=aLICE", NOW, &to), SRS_GOOD);
	assert_int_equal(srs_reverse(&config, "SRS0=uEnPM=G3=a.example=Alice",
	    NOW, &to), SRS_FORGED);
	assert_int_equal(srs_reverse(&config, "SRS0==G3=a.example=Alice", NOW,
	    &to), SRS_NONE);
	assert_int_equal(srs_reverse(&config, "alice", NOW, &to), SRS_NONE);
	use_secrets("another secret is it", "");
	assert_int_equal(srs_reverse(&config, good, NOW, &to), SRS_FORGED);
	/* A new one signs, the old one is still good. */
	use_secrets("another secret is it", "first secret of ours");
	assert_int_equal(srs_reverse(&config, good, NOW, &to), SRS_GOOD);
	assert_null(strstr(forward("Alice@a.example"), "uEnPM+"));
}

static void
age(void **state)
{
	static const char good[] =
	    "SRS0=uEnPM+=G3=a.example=Alice@srs.example";
	uint64_t i;

	(void)state;
	for (i = 0; i <= 21; i++)
		assert_int_equal(reverse(good, NOW + i * DAY,
		    "Alice@a.example"), SRS_GOOD);
	for (; i < 1023; i++)
		assert_int_equal(reverse(good, NOW + i * DAY, ""), SRS_OLD);
	/* Written by a host whose clock is a little ahead. */
	assert_int_equal(reverse(good, NOW - DAY, "Alice@a.example"),
	    SRS_GOOD);
	assert_int_equal(reverse(good, NOW - 2 * DAY, ""), SRS_OLD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(known, set_up),
		cmocka_unit_test_setup(there_and_back, set_up),
		cmocka_unit_test_setup(further, set_up),
		cmocka_unit_test_setup(left_alone, set_up),
		cmocka_unit_test_setup(forged, set_up),
		cmocka_unit_test_setup(age, set_up)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
