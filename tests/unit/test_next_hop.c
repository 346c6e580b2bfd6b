/* LINK: smtpd/next_hop privsep/config privsep/config_route */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "privsep/config_table.h"
#include "smtpd/next_hop.h"

static struct config config;
static struct next_hop hop;

static int
setup(void **state)
{
	(void)state;
	memset(&config, 0, sizeof(config));
	config_default_fixed(&config);
	return 0;
}

static void
add_route(const char *domain, enum remote_protocol protocol, const char *host,
    uint16_t port)
{
	struct mail_route *r = &config.routes[config.route_count++];

	strlcpy(r->domain, domain, sizeof(r->domain));
	r->to.protocol = protocol;
	strlcpy(r->to.host, host, sizeof(r->to.host));
	r->to.port = port;
}

static void
test_domain(void **state)
{
	(void)state;
	assert_int_equal(next_hop_find(&config, "example.org", &hop), 0);
	assert_string_equal(hop.key, "mx:example.org");
	assert_true(hop.is_mx);
	assert_false(hop.is_named);
	assert_int_equal(hop.port, 25);
	assert_int_equal(hop.tls, RELAY_TLS_MAY);
	assert_null(hop.auth);
}

static void
test_literal(void **state)
{
	(void)state;
	assert_int_equal(next_hop_find(&config, "[192.0.2.1]", &hop), 0);
	assert_string_equal(hop.host, "192.0.2.1");
	assert_string_equal(hop.key, "smtp:[192.0.2.1]:25");
	assert_false(hop.is_mx);
	assert_false(hop.is_named);
	assert_int_equal(next_hop_find(&config, "[IPv6:2001:db8::1]", &hop),
	    0);
	assert_string_equal(hop.host, "2001:db8::1");
}

static void
test_nonsense(void **state)
{
	static const char *const bad[] = {
		"", "[", "[]", "[192.0.2]", "[192.0.2.1", "[::1]",
		"[IPv6:192.0.2.1]", "[IPv6:]", "a..b", "-", "a b", "a/b",
		".example", "[IPv6:1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17]"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		if (next_hop_find(&config, bad[i], &hop) == 0)
			fail_msg("%s is taken", bad[i]);
		assert_int_equal(errno, EINVAL);
	}
}

static void
test_routes(void **state)
{
	(void)state;
	strlcpy(config.relay_host.host, "smart.example",
	    sizeof(config.relay_host.host));
	config.relay_host.port = 587;
	add_route("lists.example", REMOTE_LMTP_SOCKET, "/run/lmtp", 0);
	add_route(".example", REMOTE_LMTP, "lmtp.example", 24);
	assert_int_equal(next_hop_find(&config, "other.org", &hop), 0);
	assert_string_equal(hop.key, "smtp:smart.example:587");
	assert_true(hop.is_named);
	assert_false(hop.is_mx);
	assert_int_equal(next_hop_find(&config, "lists.example", &hop), 0);
	assert_string_equal(hop.key, "lmtp:/run/lmtp");
	assert_int_equal(hop.tls, RELAY_TLS_NONE);
	assert_int_equal(next_hop_find(&config, "a.example", &hop), 0);
	assert_string_equal(hop.key, "lmtp:lmtp.example:24");
}

/*
 * A route may lead to this host, and what a stranger names may not: they have
 * nothing in common, whichever came first.
 */
static void
test_literal_is_no_route(void **state)
{
	struct next_hop other;

	(void)state;
	add_route("lists.example", REMOTE_SMTP, "127.0.0.1", 25);
	assert_int_equal(next_hop_find(&config, "lists.example", &hop), 0);
	assert_int_equal(next_hop_find(&config, "[127.0.0.1]", &other), 0);
	assert_true(hop.is_named);
	assert_false(other.is_named);
	assert_string_not_equal(hop.key, other.key);
}

static void
test_secrets(void **state)
{
	(void)state;
	strlcpy(config.relay_host.host, "smart.example",
	    sizeof(config.relay_host.host));
	config.relay_host.port = 587;
	strlcpy(config.relay_auths[0].host, "smart.example",
	    sizeof(config.relay_auths[0].host));
	strlcpy(config.relay_auths[0].user, "us",
	    sizeof(config.relay_auths[0].user));
	config.relay_auth_count = 1;
	assert_int_equal(next_hop_find(&config, "other.org", &hop), 0);
	assert_ptr_equal(hop.auth, &config.relay_auths[0]);
	/* Never in the clear. */
	assert_int_equal(hop.tls, RELAY_TLS_ENCRYPT);
	assert_string_equal(hop.key, "smtp-encrypt:smart.example:587");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_domain, setup),
		cmocka_unit_test_setup(test_literal, setup),
		cmocka_unit_test_setup(test_nonsense, setup),
		cmocka_unit_test_setup(test_routes, setup),
		cmocka_unit_test_setup(test_literal_is_no_route, setup),
		cmocka_unit_test_setup(test_secrets, setup),
	};

	return cmocka_run_group_tests_name("test_next_hop", tests, NULL, NULL);
}
