/* LINK: smtpd/mx privsep/config privsep/config_route */
/*
 * Mail exchangers and their addresses, with a resolver that this test plays.
 */
#include <arpa/inet.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "privsep/config_table.h"
#include "smtpd/mx.h"

#define ASKED_MAX	64

struct dns_question {
	enum dns_type	 type;
	char		 name[HOSTNAME_MAX];
	dns_answered	 answered;
	void		*arg;
};

static struct config config;
static struct next_hop hop;
static struct dns_question *asked[ASKED_MAX];
static size_t asked_count;
static struct mx_result result;
static int result_count;
static struct dns_answer answer;

struct dns_question *
dns_ask(struct dns_client *c, enum dns_type type, const char *name,
    dns_answered answered, void *arg, uint64_t now)
{
	struct dns_question *q;

	(void)c;
	if (!config_is_hostname(name)) {
		errno = EINVAL;
		return NULL;
	}
	q = calloc(1, sizeof(*q));
	assert_int_equal(now, 1234);
	assert_non_null(q);
	assert_true(asked_count < ASKED_MAX);
	q->type = type;
	strlcpy(q->name, name, sizeof(q->name));
	q->answered = answered;
	q->arg = arg;
	asked[asked_count++] = q;
	return q;
}

static struct dns_question *
take(size_t i)
{
	struct dns_question *q = asked[i];

	asked[i] = asked[--asked_count];
	return q;
}

void
dns_cancel(struct dns_question *q)
{
	size_t i;

	for (i = 0; i < asked_count; i++)
		if (asked[i] == q)
			break;
	assert_true(i < asked_count);
	free(take(i));
}

static void
resolved(void *arg, const struct mx_result *r)
{
	assert_ptr_equal(arg, &hop);
	result = *r;
	result_count++;
}

static int
setup(void **state)
{
	(void)state;
	config_default_fixed(&config);
	strlcpy(config.hostname, "me.example", sizeof(config.hostname));
	memset(&hop, 0, sizeof(hop));
	strlcpy(hop.host, "example.org", sizeof(hop.host));
	hop.is_mx = 1;
	hop.port = 25;
	result_count = 0;
	memset(&answer, 0, sizeof(answer));
	answer.ttl = 600;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	assert_int_equal(asked_count, 0);
	return 0;
}

static struct mx *
start(void)
{
	struct mx *mx = mx_start(NULL, &config, &hop, resolved, &hop, 1234);

	assert_non_null(mx);
	assert_int_equal(result_count, 0);
	return mx;
}

/* The answer to the question about that name, as it stands in answer. */
static void
say(enum dns_type type, const char *name)
{
	struct dns_question *q;
	size_t i;

	for (i = 0; i < asked_count; i++)
		if (asked[i]->type == type &&
		    strcmp(asked[i]->name, name) == 0)
			break;
	if (i == asked_count)
		fail_msg("nobody asked for %d of %s", type, name);
	q = take(i);
	answer.type = type;
	q->answered(q->arg, &answer);
	free(q);
	answer.count = 0;
	answer.status = DNS_OK;
}

static void
say_nothing(enum dns_type type, const char *name, enum dns_status status)
{
	answer.status = status;
	answer.count = 0;
	say(type, name);
}

static void
exchanger(uint16_t preference, const char *host)
{
	answer.records[answer.count].preference = preference;
	strlcpy(answer.records[answer.count++].host, host, HOSTNAME_MAX);
}

static void
address(int family, const char *text)
{
	assert_int_equal(inet_pton(family, text,
	    answer.records[answer.count++].address), 1);
}

static void
test_order(void **state)
{
	(void)state;
	start();
	exchanger(20, "c.example");
	exchanger(10, "a.example");
	exchanger(10, "b.example");
	say(DNS_MX, "example.org");
	/* Not all at once: other domains have questions, too. */
	assert_int_equal(asked_count, 4);
	address(AF_INET, "192.0.2.1");
	say(DNS_A, "a.example");
	assert_int_equal(asked_count, 4);
	address(AF_INET6, "2001:db8::1");
	say(DNS_AAAA, "a.example");
	address(AF_INET, "192.0.2.3");
	say(DNS_A, "c.example");
	say_nothing(DNS_AAAA, "c.example", DNS_NODATA);
	address(AF_INET, "192.0.2.2");
	say(DNS_A, "b.example");
	assert_int_equal(result_count, 0);
	say_nothing(DNS_AAAA, "b.example", DNS_TEMPFAIL);
	assert_int_equal(result_count, 1);
	assert_int_equal(result.kind, OUTCOME_DELIVERED);
	assert_int_equal(result.count, 4);
	assert_int_equal(result.ttl, 600);
	/* a and b in any order, c last; IPv6 first. */
	assert_string_equal(result.addresses[3].text, "192.0.2.3");
	if (strcmp(result.addresses[0].host, "a.example") == 0) {
		assert_string_equal(result.addresses[0].text, "2001:db8::1");
		assert_string_equal(result.addresses[1].text, "192.0.2.1");
	} else
		assert_string_equal(result.addresses[0].text, "192.0.2.2");
}

/* It is asked again when the first of the answers is over, within bounds. */
static void
test_ttl(void **state)
{
	static const struct {
		uint32_t mx, a, aaaa, result;
	} cases[] = {
		{ 300, 600, 900, 300 }, { 600, 300, 900, 300 },
		{ 900, 600, 300, 300 }, { 5, 600, 600, 30 },
		{ 600, 0, 600, 30 }, { 90000, 80000, 70000, 3600 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start();
		answer.ttl = cases[i].mx;
		exchanger(10, "a.example");
		say(DNS_MX, "example.org");
		answer.ttl = cases[i].a;
		address(AF_INET, "192.0.2.1");
		say(DNS_A, "a.example");
		answer.ttl = cases[i].aaaa;
		address(AF_INET6, "2001:db8::1");
		say(DNS_AAAA, "a.example");
		assert_int_equal(result_count, 1);
		assert_int_equal(result.ttl, cases[i].result);
		result_count = 0;
	}
}

static void
test_shuffled(void **state)
{
	int first = 0, i;

	(void)state;
	for (i = 0; i < 200; i++) {
		result_count = 0;
		start();
		exchanger(10, "a.example");
		exchanger(10, "b.example");
		say(DNS_MX, "example.org");
		address(AF_INET, "192.0.2.1");
		say(DNS_A, "a.example");
		address(AF_INET, "192.0.2.2");
		say(DNS_A, "b.example");
		say_nothing(DNS_AAAA, "a.example", DNS_NODATA);
		say_nothing(DNS_AAAA, "b.example", DNS_NODATA);
		first += strcmp(result.addresses[0].host, "a.example") == 0;
	}
	assert_in_range(first, 50, 150);
}

static void
test_implicit(void **state)
{
	(void)state;
	start();
	say_nothing(DNS_MX, "example.org", DNS_NODATA);
	address(AF_INET, "192.0.2.1");
	say(DNS_A, "example.org");
	say_nothing(DNS_AAAA, "example.org", DNS_NODATA);
	assert_int_equal(result.count, 1);
	assert_string_equal(result.addresses[0].host, "example.org");
}

static void
expect_trouble(enum outcome_kind kind, const char *status)
{
	assert_int_equal(result_count, 1);
	assert_int_equal(result.kind, kind);
	assert_string_equal(result.status, status);
	assert_int_equal(result.count, 0);
}

static void
test_none(void **state)
{
	static const struct {
		enum dns_status		status;
		enum outcome_kind	kind;
		const char		*code;
	} cases[] = {
		{ DNS_NXDOMAIN, OUTCOME_FAILED, "5.1.2" },
		{ DNS_TEMPFAIL, OUTCOME_DEFERRED, "4.4.3" },
		{ DNS_BOGUS, OUTCOME_DEFERRED, "4.4.3" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		result_count = 0;
		start();
		say_nothing(DNS_MX, "example.org", cases[i].status);
		expect_trouble(cases[i].kind, cases[i].code);
	}
	/* RFC 7505 */
	result_count = 0;
	start();
	exchanger(0, "");
	say(DNS_MX, "example.org");
	expect_trouble(OUTCOME_FAILED, "5.1.10");
}

/* A name that no host can have is one that has no address, and no more. */
static void
test_bad_names(void **state)
{
	(void)state;
	start();
	exchanger(10, "-a.example");
	exchanger(20, "b.example");
	exchanger(30, "c-.example");
	say(DNS_MX, "example.org");
	assert_int_equal(asked_count, 2);
	address(AF_INET, "192.0.2.3");
	say(DNS_A, "b.example");
	say_nothing(DNS_AAAA, "b.example", DNS_NODATA);
	assert_int_equal(result_count, 1);
	assert_int_equal(result.kind, OUTCOME_DELIVERED);
	assert_int_equal(result.count, 1);
	result_count = 0;
	start();
	exchanger(10, "-a.example");
	say(DNS_MX, "example.org");
	expect_trouble(OUTCOME_FAILED, "5.4.4");
	/* Nor is a domain with none but such names its own mail exchanger. */
	result_count = 0;
	start();
	say_nothing(DNS_MX, "example.org", DNS_OK);
	expect_trouble(OUTCOME_FAILED, "5.4.4");
	/* Addresses that are none are no answer. */
	result_count = 0;
	start();
	exchanger(10, "b.example");
	say(DNS_MX, "example.org");
	say_nothing(DNS_A, "b.example", DNS_OK);
	say_nothing(DNS_AAAA, "b.example", DNS_NODATA);
	expect_trouble(OUTCOME_DEFERRED, "4.4.3");
}

static void
test_no_address(void **state)
{
	(void)state;
	start();
	exchanger(10, "a.example");
	say(DNS_MX, "example.org");
	say_nothing(DNS_A, "a.example", DNS_NXDOMAIN);
	say_nothing(DNS_AAAA, "a.example", DNS_NXDOMAIN);
	expect_trouble(OUTCOME_FAILED, "5.4.4");
	result_count = 0;
	start();
	exchanger(10, "a.example");
	say(DNS_MX, "example.org");
	say_nothing(DNS_A, "a.example", DNS_TEMPFAIL);
	say_nothing(DNS_AAAA, "a.example", DNS_NODATA);
	expect_trouble(OUTCOME_DEFERRED, "4.4.3");
	/* What the administrator named is not the sender's fault. */
	result_count = 0;
	hop.is_mx = 0;
	hop.is_named = 1;
	start();
	say_nothing(DNS_A, "example.org", DNS_NXDOMAIN);
	say_nothing(DNS_AAAA, "example.org", DNS_NXDOMAIN);
	expect_trouble(OUTCOME_DEFERRED, "4.4.4");
}

static void
test_ourselves(void **state)
{
	(void)state;
	/* Only those that are better than us. */
	start();
	exchanger(5, "a.example");
	exchanger(10, "ME.example");
	exchanger(10, "b.example");
	exchanger(20, "c.example");
	say(DNS_MX, "example.org");
	assert_int_equal(asked_count, 2);
	address(AF_INET, "192.0.2.1");
	say(DNS_A, "a.example");
	say_nothing(DNS_AAAA, "a.example", DNS_NODATA);
	assert_int_equal(result.count, 1);
	/* We are the best: it would come back. */
	result_count = 0;
	start();
	exchanger(10, "me.example");
	exchanger(20, "c.example");
	say(DNS_MX, "example.org");
	expect_trouble(OUTCOME_FAILED, "5.4.6");
}

static void
test_addresses_of_ours(void **state)
{
	static const char *const bad4[] = {
		"127.0.0.1", "127.255.255.255", "0.0.0.0", "0.1.2.3",
		"224.0.0.1", "255.255.255.255", "240.0.0.1"
	};
	static const char *const bad6[] = {
		"::1", "::", "ff02::1", "fe80::1", "::ffff:127.0.0.1",
		"::ffff:192.0.2.1", "::127.0.0.1"
	};
	size_t i;

	(void)state;
	start();
	exchanger(10, "a.example");
	say(DNS_MX, "example.org");
	for (i = 0; i < 7; i++)
		address(AF_INET, bad4[i]);
	say(DNS_A, "a.example");
	for (i = 0; i < 7; i++)
		address(AF_INET6, bad6[i]);
	say(DNS_AAAA, "a.example");
	expect_trouble(OUTCOME_FAILED, "5.4.6");
	/* Behind a route any is right. */
	result_count = 0;
	hop.is_mx = 0;
	hop.is_named = 1;
	start();
	address(AF_INET, "127.0.0.1");
	say(DNS_A, "example.org");
	say_nothing(DNS_AAAA, "example.org", DNS_NODATA);
	assert_int_equal(result.count, 1);
}

static void
test_families(void **state)
{
	(void)state;
	config.relay_family = RELAY_IPV6;
	start();
	exchanger(10, "a.example");
	say(DNS_MX, "example.org");
	assert_int_equal(asked_count, 1);
	address(AF_INET6, "2001:db8::1");
	say(DNS_AAAA, "a.example");
	assert_int_equal(result.count, 1);
}

static void
test_very_many(void **state)
{
	char name[32];
	size_t i, n;

	(void)state;
	start();
	for (i = 0; i < DNS_RECORDS_MAX; i++) {
		snprintf(name, sizeof(name), "h%02zu.example", i);
		exchanger((uint16_t)i, name);
	}
	say(DNS_MX, "example.org");
	for (i = 0; asked_count > 0; i++) {
		assert_true(asked_count <= 4);
		for (n = 0; n < DNS_RECORDS_MAX; n++)
			address(asked[0]->type == DNS_A ? AF_INET : AF_INET6,
			    asked[0]->type == DNS_A ? "192.0.2.1" :
			    "2001:db8::1");
		say(asked[0]->type, asked[0]->name);
	}
	assert_int_equal(i, 2 * MX_HOSTS_MAX);
	assert_int_equal(result.count, MX_ADDRESSES_MAX);
	assert_string_equal(result.addresses[0].host, "h00.example");
}

static void
test_cancelled(void **state)
{
	(void)state;
	mx_cancel(start());
	assert_int_equal(asked_count, 0);
	start();
	exchanger(10, "a.example");
	exchanger(10, "b.example");
	{
		struct mx *mx = asked[0]->arg;

		say(DNS_MX, "example.org");
		say_nothing(DNS_A, "b.example", DNS_NODATA);
		mx_cancel(mx);
	}
	assert_int_equal(result_count, 0);
}

static void
test_known(void **state)
{
	(void)state;
	assert_int_equal(mx_is_known(&config, &hop, &result), 0);
	hop.is_mx = 0;
	strlcpy(hop.host, "192.0.2.1", sizeof(hop.host));
	assert_int_equal(mx_is_known(&config, &hop, &result), 1);
	assert_int_equal(result.kind, OUTCOME_DELIVERED);
	assert_string_equal(result.addresses[0].text, "192.0.2.1");
	strlcpy(hop.host, "::1", sizeof(hop.host));
	assert_int_equal(mx_is_known(&config, &hop, &result), 1);
	assert_int_equal(result.kind, OUTCOME_FAILED);
	hop.is_named = 1;
	assert_int_equal(mx_is_known(&config, &hop, &result), 1);
	assert_int_equal(result.kind, OUTCOME_DELIVERED);
	hop.protocol = REMOTE_LMTP_SOCKET;
	strlcpy(hop.host, "/run/lmtp", sizeof(hop.host));
	assert_int_equal(mx_is_known(&config, &hop, &result), 1);
	assert_int_equal(result.addresses[0].address.ss_family, AF_UNIX);
	memset(hop.host, 'x', 200);
	assert_int_equal(mx_is_known(&config, &hop, &result), 1);
	assert_int_equal(result.kind, OUTCOME_DEFERRED);
}

int
main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	static const struct CMUnitTest tests[] = {
		EACH(test_order), EACH(test_ttl), EACH(test_shuffled),
		EACH(test_implicit), EACH(test_none), EACH(test_bad_names),
		EACH(test_no_address), EACH(test_ourselves),
		EACH(test_addresses_of_ours), EACH(test_families),
		EACH(test_very_many), EACH(test_cancelled), EACH(test_known),
	};

	return cmocka_run_group_tests_name("test_mx", tests, NULL, NULL);
}
