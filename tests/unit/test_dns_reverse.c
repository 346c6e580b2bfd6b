/* LINK: smtpd/dns_reverse smtpd/dns_reply privsep/message */
/*
 * From an address to a confirmed name: which questions, and what is believed.
 */
#include <arpa/inet.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/dns_reverse.h"

static struct dns_reverse look;
static struct dns_answer answer;

static void
begin(const char *address)
{
	assert_int_equal(dns_reverse_begin(&look, address), 0);
	assert_false(look.is_over);
	assert_int_equal(look.type, DNS_PTR);
}

static void
said(enum dns_type type, enum dns_status status)
{
	memset(&answer, 0, sizeof(answer));
	answer.type = type;
	answer.status = status;
}

static void
a_name(const char *name)
{
	strlcpy(answer.records[answer.count++].host, name, HOSTNAME_MAX);
}

static void
an_address(const char *address)
{
	assert_int_equal(inet_pton(answer.type == DNS_A ? AF_INET : AF_INET6,
	    address, answer.records[answer.count++].address), 1);
}

static void
ends_with(const char *name)
{
	dns_reverse_answered(&look, &answer);
	assert_true(look.is_over);
	assert_string_equal(look.name, name);
}

static void
asks(enum dns_type type, const char *name)
{
	dns_reverse_answered(&look, &answer);
	assert_false(look.is_over);
	assert_int_equal(look.type, type);
	assert_string_equal(look.asked, name);
}

static void
test_questions(void **state)
{
	static const char *const none[] = {
		"", "unknown", "local", "192.0.2", "192.0.2.7.", "0192.0.2.7",
		"2001:db8::7%eth0", "[2001:db8::7]", "192.0.2.7 "
	};
	size_t i;

	(void)state;
	begin("192.0.2.107");
	assert_string_equal(look.asked, "107.2.0.192.in-addr.arpa");
	begin("2001:db8::3:f");
	assert_string_equal(look.asked, "f.0.0.0.3.0.0.0.0.0.0.0.0.0.0.0."
	    "0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(dns_reverse_begin(&look, none[i]), -1);
}

static void
test_confirmed(void **state)
{
	(void)state;
	begin("192.0.2.7");
	said(DNS_PTR, DNS_OK);
	a_name("client.example.org");
	asks(DNS_A, "client.example.org");
	said(DNS_A, DNS_OK);
	an_address("192.0.2.8");
	an_address("192.0.2.7");
	ends_with("client.example.org");
	begin("2001:db8::7");
	said(DNS_PTR, DNS_OK);
	a_name("client.example.org");
	asks(DNS_AAAA, "client.example.org");
	said(DNS_AAAA, DNS_OK);
	an_address("2001:db8::7");
	ends_with("client.example.org");
}

/* All but the last octet is not enough, nor are the first four of sixteen. */
static void
test_not_confirmed(void **state)
{
	static const char *const near[] = {
		"192.0.2.6", "193.0.2.7", "192.0.2.107", "0.0.0.0"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(near) / sizeof(near[0]); i++) {
		begin("192.0.2.7");
		said(DNS_PTR, DNS_OK);
		a_name("a.example");
		asks(DNS_A, "a.example");
		said(DNS_A, DNS_OK);
		an_address(near[i]);
		ends_with("");
	}
	begin("2001:db8::7");
	said(DNS_PTR, DNS_OK);
	a_name("a.example");
	asks(DNS_AAAA, "a.example");
	said(DNS_AAAA, DNS_OK);
	an_address("2001:db8::8");
	ends_with("");
}

/* An answer of another kind, or none at all, confirms nothing. */
static void
test_failures(void **state)
{
	static const enum dns_status failures[] = {
		DNS_NODATA, DNS_NXDOMAIN, DNS_TEMPFAIL, DNS_BOGUS
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		begin("192.0.2.7");
		said(DNS_PTR, failures[i]);
		a_name("a.example");
		ends_with("");
		begin("192.0.2.7");
		said(DNS_PTR, DNS_OK);
		a_name("a.example");
		asks(DNS_A, "a.example");
		said(DNS_A, failures[i]);
		an_address("192.0.2.7");
		ends_with("");
	}
	begin("192.0.2.7");
	said(DNS_MX, DNS_OK);
	a_name("a.example");
	ends_with("");
}

static void
test_several(void **state)
{
	(void)state;
	begin("192.0.2.7");
	said(DNS_PTR, DNS_OK);
	a_name("a_b.example");
	a_name("a.example");
	a_name("10.0.0.1");
	a_name("b.example");
	a_name("c.example");
	a_name("d.example");
	asks(DNS_A, "a.example");
	said(DNS_A, DNS_TEMPFAIL);
	asks(DNS_A, "b.example");
	said(DNS_A, DNS_OK);
	an_address("192.0.2.8");
	asks(DNS_A, "c.example");
	said(DNS_A, DNS_NXDOMAIN);
	ends_with("");
}

static void
test_names(void **state)
{
	static const char *const good[] = {
		"a", "a.b", "a-b.example", "1.example", "xn--bcher-kva.example",
		"7.2.0.192.in-addr.arpa", "a.1b", "a--b.c"
	};
	static const char *const bad[] = {
		"", ".", "a.", ".a", "a..b", "-a.b", "a-.b", "a.-b", "a.b-",
		"-", "a_b.c", "a b", "a\n", "a\x1b", "A.b", "a)", "\xe4.b",
		"1", "10.0.0.1", "1.2", "a.1", "a:b", "a/b"
	};
	char name[2 * HOSTNAME_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(dns_reverse_is_name(good[i]));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (dns_reverse_is_name(bad[i]))
			fail_msg("%s", bad[i]);
	memset(name, 'a', sizeof(name));
	name[64] = '\0';
	assert_false(dns_reverse_is_name(name));
	name[63] = '\0';
	assert_true(dns_reverse_is_name(name));
	for (i = 0; i < 255; i++)
		name[i] = i % 2 == 0 ? 'a' : '.';
	name[255] = '\0';
	assert_true(dns_reverse_is_name(name));
	name[255] = '.';
	name[256] = 'a';
	name[257] = '\0';
	assert_false(dns_reverse_is_name(name));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_confirmed),
		cmocka_unit_test(test_not_confirmed),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("test_dns_reverse", tests, NULL,
	    NULL);
}
