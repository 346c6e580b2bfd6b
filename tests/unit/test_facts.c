/* LINK: privsep/facts privsep/message */
/*
 * Facts and identities through a message: what goes in comes out, and what
 * nobody honest would send is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "privsep/facts.h"

static struct message message;

static const struct facts good_facts = {
	.session = 7, .service = SERVICE_SMTP, .flags = FACT_LOOPBACK,
	.uid = FACTS_NO_UID,
	.client = "::1", .local = "::1"
};

/* Through a message; 0 when the decoder accepts it. */
static int
pass_facts(const struct facts *in, struct facts *out)
{
	message_begin(&message, 1);
	put_facts(&message, in);
	get_facts(&message, out);
	return get_end(&message);
}

static void
test_facts(void **state)
{
	struct facts in = good_facts, out;

	(void)state;
	assert_int_equal(pass_facts(&in, &out), 0);
	assert_int_equal(out.session, 7);
	assert_int_equal(out.service, SERVICE_SMTP);
	assert_int_equal(out.flags, FACT_LOOPBACK);
	assert_string_equal(out.client, "::1");
	in.session = 0;
	assert_int_equal(pass_facts(&in, &out), -1);
	in = good_facts;
	in.service = 0;
	assert_int_equal(pass_facts(&in, &out), -1);
	in.service = SERVICE_NAME + 1;
	assert_int_equal(pass_facts(&in, &out), -1);
	in = good_facts;
	in.flags = 0x80;
	assert_int_equal(pass_facts(&in, &out), -1);
}

/* Who came over the network is nobody here, root least of all. */
static void
test_uid(void **state)
{
	struct facts in, out;
	int s;

	(void)state;
	for (s = SERVICE_POP3; s <= SERVICE_NAME; s++) {
		int is_local = s == SERVICE_LMTP || s == SERVICE_LOCAL ||
		    s == SERVICE_CONTROL;

		facts_init(&in);
		in.session = 7;
		in.service = (enum service)s;
		assert_int_equal(in.uid, FACTS_NO_UID);
		assert_int_equal(pass_facts(&in, &out), is_local ? -1 : 0);
		in.uid = 1000;
		assert_int_equal(pass_facts(&in, &out), is_local ? 0 : -1);
		assert_int_equal(out.uid, is_local ? 1000 : FACTS_NO_UID);
		in.uid = 0;
		assert_int_equal(pass_facts(&in, &out), is_local ? 0 : -1);
	}
}

static int
pass_identity(const char *name, uint32_t uid, uint32_t gid, const char *home,
    struct identity *out)
{
	message_begin(&message, 1);
	put_str(&message, name);
	put_u32(&message, uid);
	put_u32(&message, gid);
	put_str(&message, home);
	get_identity(&message, out);
	return get_end(&message);
}

/* Nobody becomes root, or stays what it is, by a message. */
static void
test_identity(void **state)
{
	struct identity id, out;

	(void)state;
	assert_int_equal(pass_identity("alice", 1000, 1001, "/home/alice",
	    &id), 0);
	message_begin(&message, 1);
	put_identity(&message, &id);
	get_identity(&message, &out);
	assert_int_equal(get_end(&message), 0);
	assert_string_equal(out.name, "alice");
	assert_int_equal(out.uid, 1000);
	assert_int_equal(out.gid, 1001);
	assert_string_equal(out.home, "/home/alice");

	assert_int_equal(pass_identity("root", 0, 1, "/root", &id), -1);
	assert_int_equal(id.uid, (uid_t)-1);
	assert_int_equal(pass_identity("a", UINT32_MAX, 1, "/", &id), -1);
	assert_int_equal(pass_identity("a", 1, UINT32_MAX, "/", &id), -1);
	assert_int_equal(pass_identity("", 1, 1, "/", &id), -1);
	assert_int_equal(pass_identity("a", 1, 1, "", &id), -1);
	assert_int_equal(pass_identity("a", 1, 1, "home", &id), -1);
}

static void
test_services(void **state)
{
	int s;

	(void)state;
	for (s = SERVICE_POP3; s <= SERVICE_NAME; s++)
		assert_int_equal(service_find(service_name((enum service)s)),
		    s);
	assert_int_equal(service_find("imap"), 0);
	assert_string_equal(service_name((enum service)99), "unknown");
}

int
main(void)
{
	const struct CMUnitTest facts_tests[] = {
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_uid),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_services),
	};

	return cmocka_run_group_tests_name("test_facts", facts_tests, NULL,
	    NULL);
}
