/* LINK: wire/sasl */
/*
 * test_sasl: PLAIN and LOGIN, with and without an initial response; what is
 * not base64, not the mechanism's form, or not the client's own name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "wire/sasl.h"

static struct sasl sasl;
static char line[8192];

/* A model of the encoder, apart from the decoder under test. */
static const char *
encode(const char *data, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	static char out[8192];
	const uint8_t *p = (const uint8_t *)data;
	size_t i, n = 0;
	uint32_t v;

	for (i = 0; i < len; i += 3) {
		v = (uint32_t)p[i] << 16;
		v |= i + 1 < len ? (uint32_t)p[i + 1] << 8 : 0;
		v |= i + 2 < len ? p[i + 2] : 0;
		out[n++] = digits[v >> 18];
		out[n++] = digits[v >> 12 & 63];
		out[n++] = i + 1 < len ? digits[v >> 6 & 63] : '=';
		out[n++] = i + 2 < len ? digits[v & 63] : '=';
	}
	out[n] = '\0';
	return out;
}

/* One step, on a copy that must be wiped. */
static enum sasl_status
step(const char *response)
{
	enum sasl_status status;
	size_t i, len = strlen(response);

	assert_true(len < sizeof(line));
	memcpy(line, response, len + 1);
	status = sasl_step(&sasl, line);
	for (i = 0; i < len; i++)
		assert_int_equal(line[i], '\0');
	if (status != SASL_CONTINUE && status != SASL_DONE)
		for (i = 0; i < sizeof(sasl.secret); i++)
			assert_int_equal(sasl.secret[i], '\0');
	return status;
}

static enum sasl_status
step_octets(const char *data, size_t len)
{
	return step(encode(data, len));
}

#define STEP(literal)	step_octets(literal, sizeof(literal) - 1)

static void
begin(const char *mechanism)
{
	memset(&sasl, 'x', sizeof(sasl));
	assert_int_equal(sasl_begin(&sasl, mechanism), 0);
}

static void
assert_outcome(const char *name, const char *secret)
{
	assert_string_equal(sasl.name, name);
	assert_string_equal(sasl.secret, secret);
	sasl_end(&sasl);
	assert_string_equal(sasl.name, "");
	assert_string_equal(sasl.secret, "");
}

static void
test_mechanisms(void **state)
{
	static const char *const unknown[] = { "", "PLAI", "PLAINS", "PLAIN ",
	    "CRAM-MD5", "EXTERNAL", "LOGIN=", "NTLM", "PLAIN LOGIN" };
	size_t i;

	(void)state;
	assert_string_equal(sasl_mechanisms, "PLAIN LOGIN");
	begin("plain");
	assert_string_equal(sasl_name(&sasl), "PLAIN");
	begin("LogIn");
	assert_string_equal(sasl_name(&sasl), "LOGIN");
	for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		assert_int_equal(sasl_begin(&sasl, unknown[i]), -1);
}

static void
test_plain(void **state)
{
	(void)state;
	begin("PLAIN");
	assert_int_equal(sasl_step(&sasl, NULL), SASL_CONTINUE);
	assert_string_equal(sasl.challenge, "");
	assert_int_equal(step("AGFsaWNlAHNlY3JldA=="), SASL_DONE);
	assert_outcome("alice", "secret");
	/* With an initial response, and the authorization identity. */
	begin("PLAIN");
	assert_int_equal(STEP("alice\0alice\0 two  words "), SASL_DONE);
	assert_outcome("alice", " two  words ");
	begin("PLAIN");
	assert_int_equal(STEP("\0a\0x"), SASL_DONE);
	assert_outcome("a", "x");
	begin("PLAIN");
	assert_int_equal(STEP("\0J\303\266rg@example.org\0\377\001="),
	    SASL_DONE);
	assert_outcome("J\303\266rg@example.org", "\377\001=");
	/* An empty secret is for login to refuse, as PASS without one. */
	begin("PLAIN");
	assert_int_equal(STEP("\0a\0"), SASL_DONE);
	assert_outcome("a", "");
}

/* C10: the identity asked for is the identity granted. */
static void
test_c10_authorization_identity(void **state)
{
	(void)state;
	begin("PLAIN");
	assert_int_equal(STEP("root\0alice\0secret"), SASL_REFUSED);
	begin("PLAIN");
	assert_int_equal(STEP("alic\0alice\0secret"), SASL_REFUSED);
	begin("PLAIN");
	assert_int_equal(STEP("alice2\0alice\0secret"), SASL_REFUSED);
	begin("PLAIN");
	assert_int_equal(STEP("Alice\0alice\0secret"), SASL_REFUSED);
	begin("PLAIN");
	assert_int_equal(STEP(" \0alice\0secret"), SASL_REFUSED);
	begin("PLAIN");
	assert_int_equal(STEP("alice\0\0secret"), SASL_MALFORMED);
}

static void
test_plain_malformed(void **state)
{
	(void)state;
	begin("PLAIN");
	assert_int_equal(step(""), SASL_MALFORMED);
	begin("PLAIN");
	assert_int_equal(step("="), SASL_MALFORMED);	/* empty, not a NUL */
	begin("PLAIN");
	assert_int_equal(STEP("alice"), SASL_MALFORMED);
	begin("PLAIN");
	assert_int_equal(STEP("\0alice"), SASL_MALFORMED);
	begin("PLAIN");
	assert_int_equal(STEP("\0\0secret"), SASL_MALFORMED);
	begin("PLAIN");
	assert_int_equal(STEP("\0\0"), SASL_MALFORMED);
	begin("PLAIN");
	assert_int_equal(STEP("\0alice\0secret\0"), SASL_MALFORMED);
	begin("PLAIN");
	assert_int_equal(STEP("\0alice\0sec\0ret"), SASL_MALFORMED);
	begin("PLAIN");
	assert_int_equal(STEP("\0\0alice\0secret"), SASL_MALFORMED);
}

static void
test_login(void **state)
{
	(void)state;
	begin("LOGIN");
	assert_int_equal(sasl_step(&sasl, NULL), SASL_CONTINUE);
	assert_string_equal(sasl.challenge, encode("Username:", 9));
	assert_int_equal(STEP("alice"), SASL_CONTINUE);
	assert_string_equal(sasl.challenge, encode("Password:", 9));
	assert_int_equal(STEP("x"), SASL_DONE);
	assert_outcome("alice", "x");
	/* Microsoft's cloud: the name as initial response. */
	begin("LOGIN");
	assert_int_equal(STEP("alice"), SASL_CONTINUE);
	assert_string_equal(sasl.challenge, encode("Password:", 9));
	assert_int_equal(STEP("  s p "), SASL_DONE);
	assert_outcome("alice", "  s p ");
	begin("LOGIN");
	assert_int_equal(STEP("alice"), SASL_CONTINUE);
	assert_int_equal(step(""), SASL_DONE);
	assert_outcome("alice", "");

	begin("LOGIN");
	assert_int_equal(step("="), SASL_MALFORMED);
	begin("LOGIN");
	assert_int_equal(sasl_step(&sasl, NULL), SASL_CONTINUE);
	assert_int_equal(step(""), SASL_MALFORMED);
	begin("LOGIN");
	assert_int_equal(STEP("ali\0ce"), SASL_MALFORMED);
	begin("LOGIN");
	assert_int_equal(STEP("alice"), SASL_CONTINUE);
	assert_int_equal(STEP("secret\0"), SASL_MALFORMED);
}

static void
test_cancelled(void **state)
{
	(void)state;
	begin("PLAIN");
	assert_int_equal(sasl_step(&sasl, NULL), SASL_CONTINUE);
	assert_int_equal(step("*"), SASL_CANCELLED);
	begin("LOGIN");
	assert_int_equal(sasl_step(&sasl, NULL), SASL_CONTINUE);
	assert_int_equal(step("*"), SASL_CANCELLED);
	begin("LOGIN");
	assert_int_equal(STEP("alice"), SASL_CONTINUE);
	assert_int_equal(step("*"), SASL_CANCELLED);
	assert_string_equal(sasl.name, "");
	/* An initial response can't take back what it begins. */
	begin("PLAIN");
	assert_int_equal(step("*"), SASL_MALFORMED);
	begin("PLAIN");
	assert_int_equal(sasl_step(&sasl, NULL), SASL_CONTINUE);
	assert_int_equal(step("**"), SASL_MALFORMED);
	/* "=" is empty as an initial response only. */
	begin("LOGIN");
	assert_int_equal(STEP("alice"), SASL_CONTINUE);
	assert_int_equal(step("="), SASL_MALFORMED);
	/* No challenge is answered by nothing at all. */
	begin("PLAIN");
	assert_int_equal(sasl_step(&sasl, NULL), SASL_CONTINUE);
	assert_int_equal(sasl_step(&sasl, NULL), SASL_MALFORMED);
}

/* C13: base64 with a bit, a digit or a blank too much or too few. */
static void
test_c13_base64(void **state)
{
	static const char *const bad[] = {
		"Y", "YQ", "YQ=", "Y===", "====", "==", "YQ==YQ==", "YWI=YWI=",
		"YR==", "Yf==", "YWJ=", "YWK=", "YW=I", "=YWI", "Y=Q=",
		" YQ==", "YQ== ", "YQ ==", "YW\tI=", "YWI=\r", "YQ==\n",
		"YQ===", "YQ=====", "YW-_", "YW,.", "Y\377Q=", "\200\200\200\200",
		"YQ=*", "YWJj*", "YWJjZ", "YWJjZA", "YWJjZA="
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin("LOGIN");
		if (step(bad[i]) != SASL_MALFORMED)
			fail_msg("taken: %s", bad[i]);
	}
	begin("LOGIN");
	assert_int_equal(step("YQ=="), SASL_CONTINUE);
	assert_int_equal(step("YWI="), SASL_DONE);
	assert_outcome("a", "ab");
	/* Every digit and every octet but NUL. */
	for (i = 1; i < 256; i++) {
		char data[4] = { (char)i, (char)(256 - i), (char)i, '\0' };

		begin("LOGIN");
		assert_int_equal(STEP("a"), SASL_CONTINUE);
		assert_int_equal(step_octets(data, 3), SASL_DONE);
		assert_outcome("a", data);
	}
}

static void
test_c13_lengths(void **state)
{
	static char name[LOGIN_NAME_MAX + 1], secret[LOGIN_SECRET_MAX + 1];
	static char plain[2 * LOGIN_NAME_MAX + LOGIN_SECRET_MAX + 4];
	size_t n;

	(void)state;
	memset(name, 'n', LOGIN_NAME_MAX);
	memset(secret, 's', LOGIN_SECRET_MAX);
	begin("LOGIN");
	assert_int_equal(step_octets(name, LOGIN_NAME_MAX), SASL_REFUSED);
	begin("LOGIN");
	assert_int_equal(step_octets(name, LOGIN_NAME_MAX - 1), SASL_CONTINUE);
	assert_int_equal(step_octets(secret, LOGIN_SECRET_MAX), SASL_REFUSED);
	begin("LOGIN");
	assert_int_equal(step_octets(name, LOGIN_NAME_MAX - 1), SASL_CONTINUE);
	assert_int_equal(step_octets(secret, LOGIN_SECRET_MAX - 1), SASL_DONE);
	name[LOGIN_NAME_MAX - 1] = secret[LOGIN_SECRET_MAX - 1] = '\0';
	assert_outcome(name, secret);

	/* The longest that fits, authorization identity and all. */
	n = LOGIN_NAME_MAX - 1;
	memcpy(plain, name, n + 1);
	memcpy(plain + n + 1, name, n + 1);
	memcpy(plain + 2 * n + 2, secret, LOGIN_SECRET_MAX);
	n = 2 * n + 2 + LOGIN_SECRET_MAX - 1;
	assert_true(strlen(encode(plain, n)) +
	    strlen("AUTH PLAIN \r\n") <= SASL_LINE_MAX);
	begin("PLAIN");
	assert_int_equal(step_octets(plain, n), SASL_DONE);
	assert_outcome(name, secret);
	plain[n] = 's';
	begin("PLAIN");
	assert_int_equal(step_octets(plain, n + 1), SASL_REFUSED);
	/* Too long a name, after nothing. */
	memset(plain, 'n', sizeof(plain));
	plain[0] = plain[LOGIN_NAME_MAX + 1] = '\0';
	begin("PLAIN");
	assert_int_equal(step_octets(plain, LOGIN_NAME_MAX + 3),
	    SASL_REFUSED);
	/* All of a line. */
	memset(plain, '\0', sizeof(plain));
	begin("PLAIN");
	assert_int_equal(step_octets(plain, sizeof(plain)), SASL_MALFORMED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mechanisms),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_c10_authorization_identity),
		cmocka_unit_test(test_plain_malformed),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_c13_base64),
		cmocka_unit_test(test_c13_lengths)
	};

	return cmocka_run_group_tests_name("test_sasl", tests, NULL, NULL);
}
