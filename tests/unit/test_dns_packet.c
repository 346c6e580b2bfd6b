/* LINK: smtpd/dns_packet smtpd/dns_reply privsep/message */
/* LIBS: -lresolv */
/*
 * Answers of name servers, right and wrong, and their way to the queue.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "privsep/message.h"
#include "smtpd/dns_packet.h"
#include "smtpd/dns_reply.h"

#define CNAME	5

static uint8_t packet[65535];
static size_t len;
static unsigned records;
static struct dns_answer answer;

static void
put16(unsigned v)
{
	packet[len++] = (uint8_t)(v >> 8);
	packet[len++] = (uint8_t)v;
}

/* "a.b" as labels; a label may be any octets but a dot. */
static void
put_name(const char *name)
{
	size_t n;

	while (*name != '\0') {
		n = strcspn(name, ".");
		packet[len++] = (uint8_t)n;
		memcpy(packet + len, name, n);
		len += n;
		name += n;
		name += *name == '.';
	}
	packet[len++] = 0;
}

static void
begin(enum dns_type type, unsigned rcode, const char *name)
{
	memset(packet, 0, sizeof(packet));
	len = records = 0;
	put16(1);
	put16(0x8180 | rcode);
	put16(1);
	put16(0);
	put16(0);
	put16(0);
	put_name(name);
	put16(type);
	put16(1);
	memset(&answer, 0xff, sizeof(answer));
	answer.type = type;
}

/* The head of a record; its data's length is set by done(). */
static size_t
record(const char *name, unsigned type, uint32_t ttl)
{
	put_name(name);
	put16(type);
	put16(1);
	put16(ttl >> 16);
	put16(ttl & 0xffff);
	put16(0);
	records++;
	packet[6] = (uint8_t)(records >> 8);
	packet[7] = (uint8_t)records;
	return len;
}

static void
done(size_t data)
{
	packet[data - 2] = (uint8_t)((len - data) >> 8);
	packet[data - 1] = (uint8_t)(len - data);
}

static void
alias(const char *from, const char *to)
{
	size_t data = record(from, CNAME, 100);

	put_name(to);
	done(data);
}

static void
exchanger(const char *name, unsigned preference, const char *host)
{
	size_t data = record(name, DNS_MX, 300);

	put16(preference);
	put_name(host);
	done(data);
}

static void
octets(const char *name, unsigned type, const char *text, size_t n)
{
	size_t data = record(name, type, 200);

	memcpy(packet + len, text, n);
	len += n;
	done(data);
}

static void
expect(const char *name, enum dns_status status, size_t count)
{
	dns_packet_read(packet, len, name, &answer);
	assert_int_equal(answer.status, status);
	assert_int_equal(answer.count, count);
}

static void
test_mx(void **state)
{
	(void)state;
	begin(DNS_MX, 0, "Example.ORG");
	exchanger("example.org", 20, "B.example.org");
	exchanger("EXAMPLE.org", 10, "a.example.org");
	exchanger("other.org", 1, "x.example.org");
	expect("Example.org", DNS_OK, 2);
	assert_string_equal(answer.records[0].host, "a.example.org");
	assert_int_equal(answer.records[0].preference, 10);
	assert_string_equal(answer.records[1].host, "b.example.org");
	assert_int_equal(answer.ttl, 300);
}

static void
test_addresses(void **state)
{
	(void)state;
	begin(DNS_A, 0, "h.example");
	octets("h.example", DNS_A, "\300\000\002\001", 4);
	octets("h.example", DNS_A, "\300\000\002", 3);	/* too short */
	octets("h.example", DNS_A, "", 0);
	octets("h.example", DNS_A, "\300\000\002\001\001", 5);
	expect("h.example", DNS_OK, 1);
	assert_memory_equal(answer.records[0].address, "\300\000\002\001", 4);
	begin(DNS_AAAA, 0, "h.example");
	octets("h.example", DNS_AAAA, "0123456789abcdef", 16);
	octets("h.example", DNS_AAAA, "\300\000\002\001", 4);
	expect("h.example", DNS_OK, 1);
}

static void
test_aliases(void **state)
{
	char name[32], next[32];
	int i;

	(void)state;
	begin(DNS_A, 0, "w.example");
	alias("w.example", "x.example");
	alias("x.example", "h.example");
	octets("h.example", DNS_A, "\300\000\002\001", 4);
	octets("w.example", DNS_A, "\300\000\002\002", 4);
	expect("w.example", DNS_OK, 1);
	assert_int_equal(answer.records[0].address[3], 1);
	assert_int_equal(answer.ttl, 100);
	begin(DNS_A, 0, "w.example");
	alias("w.example", "x.example");
	alias("x.example", "w.example");
	expect("w.example", DNS_TEMPFAIL, 0);
	begin(DNS_A, 0, "n0.example");
	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		snprintf(next, sizeof(next), "n%d.example", i + 1);
		alias(name, next);
	}
	expect("n0.example", DNS_TEMPFAIL, 0);
	begin(DNS_MX, 3, "w.example");
	alias("w.example", "x.example");
	expect("w.example", DNS_NXDOMAIN, 0);
}

static void
test_none(void **state)
{
	(void)state;
	begin(DNS_MX, 0, "example.org");
	expect("example.org", DNS_NODATA, 0);
	begin(DNS_MX, 3, "example.org");
	expect("example.org", DNS_NXDOMAIN, 0);
	begin(DNS_MX, 2, "example.org");
	expect("example.org", DNS_TEMPFAIL, 0);
	begin(DNS_MX, 0, "example.org");
	exchanger("example.org", 0, "");
	expect("example.org", DNS_OK, 1);
	assert_string_equal(answer.records[0].host, "");
}

static void
test_odd_names(void **state)
{
	(void)state;
	begin(DNS_MX, 0, "example.org");
	exchanger("example.org", 1, "a b.example");
	exchanger("example.org", 2, "a\nb.example");
	exchanger("example.org", 3, "a/../b.example");
	exchanger("example.org", 4, "\303\244.example");
	exchanger("example.org", 5, "good_1.example");
	octets("example.org", DNS_MX, "\000\006", 2);
	octets("example.org", DNS_MX, "\000\006\001", 3);
	dns_packet_read(packet, len, "example.org", &answer);
	/* The last one points out of its data, into what follows: nothing. */
	assert_true(answer.count <= 1);
	if (answer.count == 1)
		assert_string_equal(answer.records[0].host, "good_1.example");
	begin(DNS_PTR, 0, "1.2.0.192.in-addr.arpa");
	{
		size_t data = record("1.2.0.192.in-addr.arpa", DNS_PTR, 1);

		put_name("evil\r\n.example");
		done(data);
	}
	expect("1.2.0.192.in-addr.arpa", DNS_OK, 0);
	/* Some, and none that is any good: not the same as no mail exchanger. */
	begin(DNS_MX, 0, "example.org");
	exchanger("example.org", 1, "a b.example");
	exchanger("example.org", 2, "a\nb.example");
	expect("example.org", DNS_OK, 0);
	begin(DNS_A, 0, "example.org");
	octets("example.org", DNS_A, "\177\0\0", 3);
	expect("example.org", DNS_OK, 0);
}

static void
test_very_many(void **state)
{
	char host[32];
	int i;

	(void)state;
	begin(DNS_MX, 0, "example.org");
	for (i = 0; i < 400; i++) {
		snprintf(host, sizeof(host), "h%d.example", i);
		exchanger("example.org", 1000 - (unsigned)i, host);
	}
	expect("example.org", DNS_OK, DNS_RECORDS_MAX);
	assert_string_equal(answer.records[0].host, "h399.example");
	assert_int_equal(answer.records[0].preference, 601);
}

/* Cut anywhere, it says less, or nothing, and reads no octet beyond. */
static void
test_cut(void **state)
{
	uint8_t *copy;
	size_t n, whole;

	(void)state;
	begin(DNS_MX, 0, "example.org");
	exchanger("example.org", 10, "a.example");
	exchanger("example.org", 20, "b.example");
	whole = len;
	for (n = 0; n < whole; n++) {
		copy = malloc(n > 0 ? n : 1);
		assert_non_null(copy);
		memcpy(copy, packet, n);
		dns_packet_read(copy, n, "example.org", &answer);
		assert_int_not_equal(answer.status, DNS_OK);
		free(copy);
	}
}

static void
test_reply(void **state)
{
	struct dns_answer back;
	struct message m;
	size_t i;

	(void)state;
	begin(DNS_MX, 0, "example.org");
	exchanger("example.org", 10, "a.example");
	exchanger("example.org", 20, "");
	expect("example.org", DNS_OK, 2);
	answer.is_secure = 1;
	message_begin(&m, 1);
	dns_reply_put(&m, &answer);
	back.type = DNS_MX;
	assert_int_equal(dns_reply_get(&m, &back), 0);
	assert_int_equal(back.count, 2);
	assert_int_equal(back.is_secure, 1);
	assert_string_equal(back.records[0].host, "a.example");
	/* A bad host is not sent, and not taken. */
	strlcpy(answer.records[0].host, "A.example", HOSTNAME_MAX);
	message_begin(&m, 1);
	dns_reply_put(&m, &answer);
	assert_int_equal(dns_reply_get(&m, &back), 0);
	assert_int_equal(back.count, 1);
	/* As many as there is room for. */
	answer.count = DNS_RECORDS_MAX;
	for (i = 0; i < DNS_RECORDS_MAX; i++)
		memset(answer.records[i].host, 0, HOSTNAME_MAX);
	message_begin(&m, 1);
	dns_reply_put(&m, &answer);
	assert_int_equal(m.bad, 0);
	assert_int_equal(dns_reply_get(&m, &back), 0);
	assert_in_range(back.count, 20, DNS_RECORDS_MAX);
}

static void
test_reply_garbage(void **state)
{
	static const uint32_t bad[][4] = {
		{ 5, 0, 0, 0 }, { 0, 2, 0, 0 }, { 0, 0, 0, 51 },
		{ 1, 0, 0, 1 }, { 0, 0, 0, 1 },
	};
	struct message m;
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		message_begin(&m, 1);
		for (n = 0; n < 4; n++)
			put_u32(&m, bad[i][n]);
		answer.type = DNS_A;
		assert_int_equal(dns_reply_get(&m, &answer), -1);
	}
	message_begin(&m, 1);
	for (n = 0; n < 3; n++)
		put_u32(&m, 0);
	put_u32(&m, 1);
	put_u32(&m, 65536);
	put_str(&m, "a.example");
	answer.type = DNS_MX;
	assert_int_equal(dns_reply_get(&m, &answer), -1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mx), cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_aliases), cmocka_unit_test(test_none),
		cmocka_unit_test(test_odd_names),
		cmocka_unit_test(test_very_many), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_reply_garbage),
	};

	return cmocka_run_group_tests_name("test_dns_packet", tests, NULL,
	    NULL);
}
