/* LINK: smtpd/address wire/utf8 */
/*
 * RFC 5321 paths: what is one, what it means, what is none; and that an
 * address printed and parsed again is the same (C5, C13).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/address.h"

#define BARE	ADDRESS_BARE
#define NIL	ADDRESS_NULL

#define L63	"abcdefghijklmnopqrstuvwxyz0123456789-" \
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define L64	L63 "x"
#define A10	"aaaaaaaaaa"
#define A60	A10 A10 A10 A10 A10 A10

static const struct good {
	const char	*text;
	int		 flags;
	const char	*local;
	const char	*domain;
	const char	*printed;
} good_paths[] = {
	{ "<>",				NIL, "", "", "" },
	{ "<a@b>",			0, "a", "b", "a@b" },
	{ "<A.b.C@Example.ORG>",	0, "A.b.C", "Example.ORG",
	    "A.b.C@Example.ORG" },
	{ "<!#$%&'*+-/=?^_`{|}~@x.y>",	0, "!#$%&'*+-/=?^_`{|}~", "x.y",
	    "!#$%&'*+-/=?^_`{|}~@x.y" },
	{ "<\"a\"@x>",			0, "a", "x", "a@x" },
	{ "<\"a.b\"@x>",		0, "a.b", "x", "a.b@x" },
	{ "<\"a..b\"@x>",		0, "a..b", "x", "\"a..b\"@x" },
	{ "<\".a\"@x>",			0, ".a", "x", "\".a\"@x" },
	{ "<\"a.\"@x>",			0, "a.", "x", "\"a.\"@x" },
	{ "<\"\"@x>",			0, "", "x", "\"\"@x" },
	{ "<\" \"@x>",			0, " ", "x", "\" \"@x" },
	{ "<\"a b\"@x>",		0, "a b", "x", "\"a b\"@x" },
	{ "<\"a\\ b\"@x>",		0, "a b", "x", "\"a b\"@x" },
	{ "<\"\\a\"@x>",		0, "a", "x", "a@x" },
	{ "<\"\\\"\"@x>",		0, "\"", "x", "\"\\\"\"@x" },
	{ "<\"\\\\\"@x>",		0, "\\", "x", "\"\\\\\"@x" },
	{ "<\"a@b\"@x>",		0, "a@b", "x", "\"a@b\"@x" },
	{ "<\"a>b\"@x>",		0, "a>b", "x", "\"a>b\"@x" },
	{ "<\"(),:;<>[]\"@x>",		0, "(),:;<>[]", "x",
	    "\"(),:;<>[]\"@x" },
	{ "<a@[192.0.2.7]>",		0, "a", "[192.0.2.7]",
	    "a@[192.0.2.7]" },
	{ "<a@[IPv6:2001:db8::7]>",	0, "a", "[IPv6:2001:db8::7]",
	    "a@[IPv6:2001:db8::7]" },
	{ "<a@[ipv6:::1]>",		0, "a", "[ipv6:::1]",
	    "a@[ipv6:::1]" },
	{ "<a@[IPv6:::ffff:192.0.2.7]>", 0, "a", "[IPv6:::ffff:192.0.2.7]",
	    "a@[IPv6:::ffff:192.0.2.7]" },
	{ "<a@[IPv6:1111:2222:3333:4444:5555:6666:255.255.255.255]>", 0, "a",
	    "[IPv6:1111:2222:3333:4444:5555:6666:255.255.255.255]",
	    "a@[IPv6:1111:2222:3333:4444:5555:6666:255.255.255.255]" },
	{ "<a@1.2.3.4>",		0, "a", "1.2.3.4", "a@1.2.3.4" },
	{ "<a@x-y.z--9>",		0, "a", "x-y.z--9", "a@x-y.z--9" },
	{ "<a@b_c._d.e>",		0, "a", "b_c._d.e", "a@b_c._d.e" },
	{ "<@r:a@x>",			0, "a", "x", "a@x" },
	{ "<@r.example,@s.example:a@x>", 0, "a", "x", "a@x" },
	{ "<@r:\"a:b\"@x>",		0, "a:b", "x", "\"a:b\"@x" },
	{ "<postmaster>",		BARE, "postmaster", "", "postmaster" },
	{ "<PostMaster>",		BARE, "postmaster", "", "postmaster" },
	{ "<Postmaster@x>",		BARE, "Postmaster", "x",
	    "Postmaster@x" },
	{ "<postmaster.x@y>",		BARE, "postmaster.x", "y",
	    "postmaster.x@y" },
	{ "<a@" L63 ".b>",		0, "a", L63 ".b", "a@" L63 ".b" },
	{ "<" A60 "1234@x>",		0, A60 "1234", "x", A60 "1234@x" },
	{ "<" A60 A60 A60 A60 "123456789012@x>", 0, A60 A60 A60 A60
	    "123456789012", "x", A60 A60 A60 A60 "123456789012@x" },
	{ "<\"" A60 A60 A60 A60 "12345678 0\"@x>", 0, A60 A60 A60 A60
	    "12345678 0", "x", "\"" A60 A60 A60 A60 "12345678 0\"@x" },
	{ "<\"" A60 "12\"@x>",		0, A60 "12", "x", A60 "12@x" },
	{ "<\"" A60 " 2\"@x>",		0, A60 " 2", "x",
	    "\"" A60 " 2\"@x" }
};

static void
test_good_paths(void **state)
{
	const struct good *g;
	struct address address;
	char printed[ADDRESS_PRINT_MAX], behind[1024];
	size_t i, used;

	(void)state;
	for (i = 0; i < sizeof(good_paths) / sizeof(good_paths[0]); i++) {
		g = &good_paths[i];
		/* What stands behind the path is not the path's business. */
		snprintf(behind, sizeof(behind), "%s SIZE=1>", g->text);
		assert_int_equal(address_path(behind, strlen(behind), g->flags,
		    &address, &used), ADDRESS_OK);
		assert_int_equal(used, strlen(g->text));
		assert_string_equal(address.local, g->local);
		assert_string_equal(address.domain, g->domain);
		assert_int_equal(address_print(&address, printed,
		    sizeof(printed)), 0);
		assert_string_equal(printed, g->printed);
		assert_int_equal(address_is_null(&address),
		    strcmp(g->text, "<>") == 0);
		assert_int_equal(address_is_legal(&address),
		    strcmp(g->text, "<>") != 0);
	}
}

static const struct wrong {
	const char		*text;
	int			 flags;
	enum address_status	 status;
} wrong_paths[] = {
	{ "",			NIL | BARE, ADDRESS_SYNTAX },
	{ "a@b",		NIL | BARE, ADDRESS_SYNTAX },
	{ "<",			NIL | BARE, ADDRESS_SYNTAX },
	{ "<a",			NIL | BARE, ADDRESS_SYNTAX },
	{ "<a@",		NIL | BARE, ADDRESS_SYNTAX },
	{ "<a@b",		NIL | BARE, ADDRESS_SYNTAX },
	{ "<>",			0,	ADDRESS_SYNTAX },
	{ "<>",			BARE,	ADDRESS_SYNTAX },
	{ "< >",		NIL,	ADDRESS_SYNTAX },
	{ "<a>",		BARE,	ADDRESS_SYNTAX },
	{ "<postmaster>",	NIL,	ADDRESS_SYNTAX },
	{ "<\"postmaster\">",	BARE,	ADDRESS_SYNTAX },
	{ "<postmaster@>",	BARE,	ADDRESS_SYNTAX },
	{ "<postmasters>",	BARE,	ADDRESS_SYNTAX },
	{ "<postmaster",	BARE,	ADDRESS_SYNTAX },
	{ "<@b>",		0,	ADDRESS_SYNTAX },
	{ "<.a@b>",		0,	ADDRESS_SYNTAX },
	{ "<a.@b>",		0,	ADDRESS_SYNTAX },
	{ "<a..b@c>",		0,	ADDRESS_SYNTAX },
	{ "<.@b>",		0,	ADDRESS_SYNTAX },
	{ "<a b@c>",		0,	ADDRESS_SYNTAX },
	{ "<a @c>",		0,	ADDRESS_SYNTAX },
	{ "<a@ c>",		0,	ADDRESS_SYNTAX },
	{ "<a@c >",		0,	ADDRESS_SYNTAX },
	{ "< a@c>",		0,	ADDRESS_SYNTAX },
	{ "<a@b@c>",		0,	ADDRESS_SYNTAX },
	{ "<a@@c>",		0,	ADDRESS_SYNTAX },
	{ "<a(c)@b>",		0,	ADDRESS_SYNTAX },
	{ "<a,b@c>",		0,	ADDRESS_SYNTAX },
	{ "<a<b@c>",		0,	ADDRESS_SYNTAX },
	{ "<<a@c>>",		0,	ADDRESS_SYNTAX },
	{ "<a\\@b@c>",		0,	ADDRESS_SYNTAX },
	{ "<\"a@b>",		0,	ADDRESS_SYNTAX },
	{ "<\"a\\\"@b>",	0,	ADDRESS_SYNTAX },
	{ "<\"a\\",		0,	ADDRESS_SYNTAX },
	{ "<\"a\"b@c>",		0,	ADDRESS_SYNTAX },
	{ "<a\"b\"@c>",		0,	ADDRESS_SYNTAX },
	{ "<\"a\".b@c>",	0,	ADDRESS_SYNTAX },
	{ "<\"a\tb\"@c>",	0,	ADDRESS_SYNTAX },
	{ "<\"a\\\tb\"@c>",	0,	ADDRESS_SYNTAX },
	{ "<\"a\rb\"@c>",	0,	ADDRESS_SYNTAX },
	{ "<\"a\nb\"@c>",	0,	ADDRESS_SYNTAX },
	{ "<a\001@c>",		0,	ADDRESS_SYNTAX },
	{ "<a@c\001>",		0,	ADDRESS_SYNTAX },
	{ "<\"a\177\"@c>",	0,	ADDRESS_NONASCII },
	{ "<\303\244@c>",	0,	ADDRESS_NONASCII },
	{ "<a\303\244@c>",	0,	ADDRESS_NONASCII },
	{ "<a.\303\244@c>",	0,	ADDRESS_NONASCII },
	{ "<\"\303\244\"@c>",	0,	ADDRESS_NONASCII },
	{ "<a@\303\244>",	0,	ADDRESS_NONASCII },
	{ "<a@c\303\244>",	0,	ADDRESS_NONASCII },
	{ "\303\244",		0,	ADDRESS_NONASCII },
	{ "<a@-b>",		0,	ADDRESS_SYNTAX },
	{ "<a@b->",		0,	ADDRESS_SYNTAX },
	{ "<a@b-.c>",		0,	ADDRESS_SYNTAX },
	{ "<a@b..c>",		0,	ADDRESS_SYNTAX },
	{ "<a@.b>",		0,	ADDRESS_SYNTAX },
	{ "<a@b.>",		0,	ADDRESS_SYNTAX },
	{ "<a@b/c>",		0,	ADDRESS_SYNTAX },
	{ "<a@[]>",		0,	ADDRESS_SYNTAX },
	{ "<a@[1.2.3.4>",	0,	ADDRESS_SYNTAX },
	{ "<a@[1.2.3]>",	0,	ADDRESS_SYNTAX },
	{ "<a@[1.2.3.4.5]>",	0,	ADDRESS_SYNTAX },
	{ "<a@[1.2.3.256]>",	0,	ADDRESS_SYNTAX },
	{ "<a@[01.2.3.4]>",	0,	ADDRESS_SYNTAX },
	{ "<a@[ 1.2.3.4]>",	0,	ADDRESS_SYNTAX },
	{ "<a@[::1]>",		0,	ADDRESS_SYNTAX },
	{ "<a@[IPv6:]>",	0,	ADDRESS_SYNTAX },
	{ "<a@[IPv6:1.2.3.4]>",	0,	ADDRESS_SYNTAX },
	{ "<a@[IPv6:fe80::1%lo]>", 0,	ADDRESS_SYNTAX },
	{ "<a@[IPv6:1:2:3:4:5:6:7:8:9]>", 0, ADDRESS_SYNTAX },
	{ "<a@[TAG:x]>",	0,	ADDRESS_SYNTAX },
	{ "<a@[1.2.3.4]x>",	0,	ADDRESS_SYNTAX },
	{ "<a@[1.2.3.4].b>",	0,	ADDRESS_SYNTAX },
	{ "<@:a@b>",		0,	ADDRESS_SYNTAX },
	{ "<@r>",		0,	ADDRESS_SYNTAX },
	{ "<@r:>",		NIL,	ADDRESS_SYNTAX },
	{ "<@r:postmaster>",	BARE,	ADDRESS_SYNTAX },
	{ "<@r,:a@b>",		0,	ADDRESS_SYNTAX },
	{ "<@r,s:a@b>",		0,	ADDRESS_SYNTAX },
	{ "<@r@s:a@b>",		0,	ADDRESS_SYNTAX },
	{ "<@[1.2.3.4]:a@b>",	0,	ADDRESS_SYNTAX },
	{ "<a@" L64 ".b>",	0,	ADDRESS_TOO_LONG },
	{ "<" A60 A60 A60 A60 "1234567890123@x>", 0, ADDRESS_TOO_LONG },
	{ "<" A60 A60 A60 A60 "123456789012@xy>", 0, ADDRESS_TOO_LONG },
	{ "<\"" A60 A60 A60 A60 "12345678901\"@x>", 0, ADDRESS_TOO_LONG },
	{ "<\"" A60 A60 A60 A60 "123456789\\0\"@x>", 0, ADDRESS_TOO_LONG }
};

static void
test_wrong_paths(void **state)
{
	static const struct address empty;
	const struct wrong *w;
	struct address address;
	size_t i, used;

	(void)state;
	for (i = 0; i < sizeof(wrong_paths) / sizeof(wrong_paths[0]); i++) {
		w = &wrong_paths[i];
		if (address_path(w->text, strlen(w->text), w->flags, &address,
		    &used) != w->status)
			fail_msg("%s", w->text);
		assert_memory_equal(&address, &empty, sizeof(empty));
	}
}

/* A NUL ends no address and hides nothing behind it. */
static void
test_nul(void **state)
{
	static const char text[] = "<a\0@b>", quoted[] = "<\"a\0\"@b>";
	static const char domain[] = "<a@b\0>", literal[] = "<a@[1.2.3.4\0]>";
	static const char one[] = "\0";
	struct address address;
	size_t used;

	(void)state;
	assert_int_equal(address_path(text, sizeof(text) - 1, 0, &address,
	    &used), ADDRESS_SYNTAX);
	assert_int_equal(address_path(quoted, sizeof(quoted) - 1, 0, &address,
	    &used), ADDRESS_SYNTAX);
	assert_int_equal(address_path(domain, sizeof(domain) - 1, 0, &address,
	    &used), ADDRESS_SYNTAX);
	assert_int_equal(address_path(literal, sizeof(literal) - 1, 0,
	    &address, &used), ADDRESS_SYNTAX);
	assert_int_equal(address_mailbox(one, 1, ADDRESS_BARE, &address),
	    ADDRESS_SYNTAX);
}

/* "a@" and labels of 9 and a dot, to len octets in all with the brackets. */
static size_t
make_path(char *text, const char *before, size_t len)
{
	size_t n = (size_t)sprintf(text, "<%sa@", before);

	while (n < len - 1) {
		text[n] = (n % 10 == 9 && n < len - 2) ? '.' : 'd';
		n++;
	}
	text[n++] = '>';
	text[n] = '\0';
	return n;
}

static void
test_path_limit(void **state)
{
	struct address address;
	char text[1024];
	size_t len, used;

	(void)state;
	for (len = 250; len <= 262; len++) {
		make_path(text, "", len);
		assert_int_equal(address_path(text, len, 0, &address, &used),
		    len <= 256 ? ADDRESS_OK : ADDRESS_TOO_LONG);
		assert_int_equal(address_mailbox(text + 1, len - 2, 0,
		    &address), len <= 256 ? ADDRESS_OK : ADDRESS_TOO_LONG);
		make_path(text, "@route.example:", len);
		assert_int_equal(address_path(text, len, 0, &address, &used),
		    len <= 256 ? ADDRESS_OK : ADDRESS_TOO_LONG);
	}
	make_path(text, "", 1000);
	assert_int_equal(address_path(text, 1000, 0, &address, &used),
	    ADDRESS_TOO_LONG);
}

static void
test_mailbox(void **state)
{
	struct address address;

	(void)state;
	assert_int_equal(address_mailbox("a@b", 3, 0, &address), ADDRESS_OK);
	assert_string_equal(address.domain, "b");
	assert_int_equal(address_mailbox("a@bc", 3, 0, &address), ADDRESS_OK);
	assert_string_equal(address.domain, "b");
	assert_int_equal(address_mailbox("a", 1, 0, &address),
	    ADDRESS_SYNTAX);
	assert_int_equal(address_mailbox("a", 1, BARE, &address), ADDRESS_OK);
	assert_string_equal(address.local, "a");
	assert_int_equal(address_mailbox("a@b>", 4, 0, &address),
	    ADDRESS_SYNTAX);
	assert_int_equal(address_mailbox("a@b c", 5, 0, &address),
	    ADDRESS_SYNTAX);
	assert_int_equal(address_mailbox("a@b\n", 4, 0, &address),
	    ADDRESS_SYNTAX);
	assert_int_equal(address_mailbox("@r:a@b", 6, 0, &address),
	    ADDRESS_SYNTAX);
	assert_int_equal(address_mailbox("", 0, NIL, &address), ADDRESS_OK);
	assert_true(address_is_null(&address));
	assert_int_equal(address_mailbox("", 0, BARE, &address),
	    ADDRESS_SYNTAX);
	/* Not the null path, and nothing else that could be told apart. */
	assert_int_equal(address_mailbox("\"\"", 2, NIL | BARE, &address),
	    ADDRESS_SYNTAX);
}

static void
test_print_refuses(void **state)
{
	struct address address;
	char text[ADDRESS_PRINT_MAX];
	int c;

	(void)state;
	memset(&address, 0, sizeof(address));
	strlcpy(address.domain, "x", sizeof(address.domain));
	for (c = 1; c < 256; c++) {
		address.local[0] = (char)c;
		errno = 0;
		if (c >= 32 && c <= 126) {
			assert_int_equal(address_print(&address, text,
			    sizeof(text)), 0);
			assert_true(address_is_legal(&address));
		} else {
			assert_int_equal(address_print(&address, text,
			    sizeof(text)), -1);
			assert_int_equal(errno, EINVAL);
			assert_false(address_is_legal(&address));
		}
	}
	strlcpy(address.local, "abc", sizeof(address.local));
	assert_int_equal(address_print(&address, text, 5), -1);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(address_print(&address, text, 6), 0);
}

static void
test_is_legal(void **state)
{
	static const char *const bad_domains[] = { " ", "b c", "b\nc", "b.",
	    "[1.2.3.4", "a>", "-", "b\"c", "x@y" };
	struct address address;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad_domains) / sizeof(bad_domains[0]); i++) {
		memset(&address, 0, sizeof(address));
		address.local[0] = 'a';
		strlcpy(address.domain, bad_domains[i],
		    sizeof(address.domain));
		assert_false(address_is_legal(&address));
	}
	memset(&address, 0, sizeof(address));
	memset(address.local, 'a', ADDRESS_LOCAL_LIMIT - 62);
	memset(address.domain, 'b', 63);
	assert_true(address_is_legal(&address));
	address.local[ADDRESS_LOCAL_LIMIT - 62] = 'a';
	assert_false(address_is_legal(&address));
	memset(address.local, '"', ADDRESS_LOCAL_LIMIT - 62);
	assert_false(address_is_legal(&address));
}

/* Any printable local part up to the limit comes back as it went. */
static void
test_round_trip(void **state)
{
	struct address address, again;
	char text[ADDRESS_PRINT_MAX];
	unsigned int seed = 1;
	int i, n, len;

	(void)state;
	for (i = 0; i < 20000; i++) {
		memset(&address, 0, sizeof(address));
		strlcpy(address.domain, "[IPv6:::1]", sizeof(address.domain));
		len = rand_r(&seed) % 31;
		for (n = 0; n < len; n++)
			if (i % 2 == 0)
				address.local[n] =
				    ".a\"\\ @>"[rand_r(&seed) % 7];
			else
				address.local[n] =
				    (char)(32 + rand_r(&seed) % 95);
		assert_int_equal(address_print(&address, text, sizeof(text)),
		    0);
		assert_int_equal(address_mailbox(text, strlen(text), 0,
		    &again), ADDRESS_OK);
		assert_memory_equal(&address, &again, sizeof(again));
	}
}

int
main(void)
{
	const struct CMUnitTest address_tests[] = {
		cmocka_unit_test(test_good_paths),
		cmocka_unit_test(test_wrong_paths),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_path_limit),
		cmocka_unit_test(test_mailbox),
		cmocka_unit_test(test_print_refuses),
		cmocka_unit_test(test_is_legal),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests_name("test_smtp_address", address_tests,
	    NULL, NULL);
}
