/* LINK: smtpd/agent smtpd/idna smtpd/smtp_gates smtpd/intake smtpd/client_name smtpd/dns_reverse smtpd/dns_reply smtpd/header smtpd/policy smtpd/srs mailbox/sha256 smtpd/idna smtpd/relay_recipients privsep/nss smtpd/trace smtpd/spool smtpd/spool_write smtpd/spool_read smtpd/envelope smtpd/aliases smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/account smtpd/address smtpd/xtext privsep/config privsep/config_route privsep/facts privsep/gates privsep/log privsep/message wire/utf8 */
/*
 * SMTPUTF8 (RFC 6531): addresses, what the session agent makes of them, and
 * domains in Punycode (RFC 3492).
 */
#include "smtpd/address.h"
#include "smtpd/idna.h"
#include "tests/smtp_agent_home.h"

static void
test_addresses(void **state)
{
	static const struct {
		const char *path;
		enum address_status plain, utf8;
	} rows[] = {
		{ "<a@b>", ADDRESS_OK, ADDRESS_OK },
		{ "<\303\244@b>", ADDRESS_NONASCII, ADDRESS_OK },
		{ "<a@\303\244.b>", ADDRESS_NONASCII, ADDRESS_OK },
		{ "<a.\344\270\255@x-\303\244>", ADDRESS_NONASCII, ADDRESS_OK },
		{ "<\"\303\244 b\"@x>", ADDRESS_NONASCII, ADDRESS_OK },
		{ "<\360\237\230\200@b>", ADDRESS_NONASCII, ADDRESS_OK },
		/* No UTF-8: cut, too long, a surrogate, beyond the end. */
		{ "<\303@b>", ADDRESS_NONASCII, ADDRESS_SYNTAX },
		{ "<\303\244\244@b>", ADDRESS_NONASCII, ADDRESS_SYNTAX },
		{ "<\300\200@b>", ADDRESS_NONASCII, ADDRESS_SYNTAX },
		{ "<a@\355\240\200>", ADDRESS_NONASCII, ADDRESS_SYNTAX },
		{ "<\364\220\200\200@b>", ADDRESS_NONASCII, ADDRESS_SYNTAX },
		{ "<\377@b>", ADDRESS_NONASCII, ADDRESS_SYNTAX },
		/* Controls, one octet or two: NEL. */
		{ "<a\302\205@b>", ADDRESS_NONASCII, ADDRESS_SYNTAX },
		{ "<a@b\302\232>", ADDRESS_NONASCII, ADDRESS_SYNTAX },
		{ "<\303\244\177@b>", ADDRESS_NONASCII, ADDRESS_SYNTAX },
		{ "<\303\244\n@b>", ADDRESS_NONASCII, ADDRESS_SYNTAX },
		{ "<\303\244..b@b>", ADDRESS_NONASCII, ADDRESS_SYNTAX },
		{ "<a@-\303\244>", ADDRESS_NONASCII, ADDRESS_SYNTAX }
	};
	struct address a, again;
	char out[ADDRESS_PRINT_MAX];
	size_t i, used;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(address_path(rows[i].path,
		    strlen(rows[i].path), 0, &a, &used), rows[i].plain);
		assert_int_equal(address_path(rows[i].path,
		    strlen(rows[i].path), ADDRESS_UTF8, &a, &used),
		    rows[i].utf8);
		if (rows[i].utf8 != ADDRESS_OK) {
			assert_true(address_is_null(&a));
			continue;
		}
		assert_true(address_is_legal_utf8(&a));
		assert_int_equal(address_is_ascii(&a),
		    rows[i].plain == ADDRESS_OK);
		assert_int_equal(address_is_legal(&a),
		    rows[i].plain == ADDRESS_OK);
		assert_int_equal(address_print(&a, out, sizeof(out)), 0);
		assert_int_equal(address_mailbox(out, strlen(out),
		    ADDRESS_UTF8, &again), ADDRESS_OK);
		assert_string_equal(a.local, again.local);
		assert_string_equal(a.domain, again.domain);
	}
}

/* RFC 3492, section 7.1, and names that are there. */
static void
test_idna(void **state)
{
	static const struct { const char *name, *ascii; } rows[] = {
		{ "example.org", "example.org" },
		{ "Example.ORG", "Example.ORG" },
		{ "[192.0.2.1]", "[192.0.2.1]" },
		{ "", "" },
		{ "b\303\274cher.Example", "xn--bcher-kva.example" },
		{ "m\303\274nchen.de", "xn--mnchen-3ya.de" },
		{ "\303\244", "xn--4ca" },
		{ "\344\273\226\344\273\254\344\270\272\344\273\200\344\271"
		    "\210\344\270\215\350\257\264\344\270\255\346\226\207",
		    "xn--ihqwcrb4cv8a8dqg056pqjye" },
		{ "\331\204\331\212\331\207\331\205\330\247\330\250\330\252"
		    "\331\203\331\204\331\205\331\210\330\264\330\271\330\261"
		    "\330\250\331\212\330\237",
		    NULL },	/* it has a question mark */
		{ "\343\201\235\343\201\256\343\202\271\343\203\224\343\203"
		    "\274\343\203\211\343\201\247", "xn--d9juau41awczczp" },
		/* Other ways to write the same. */
		{ "B\303\234CHER.Test", "xn--bcher-kva.test" },
		{ "bu\314\210cher.test", "xn--bcher-kva.test" },
		{ "b\303\274cher\343\200\202test", "xn--bcher-kva.test" },
		{ "XN--BCHER-KVA.\303\204", "xn--bcher-kva.xn--4ca" },
		{ "\342\223\224xample.org", "example.org" },
		/* A sharp s is a letter of its own; German and Greek. */
		{ "fa\303\237.de", "xn--fa-hia.de" },
		{ "Fa\303\237.DE", "xn--fa-hia.de" },
		{ "\316\262\317\214\316\273\316\277\317\202.com",
		    "xn--nxasmm1c.com" },
		/* No letters; hyphens; a mark with nothing before it. */
		{ "a.\360\237\230\200.b", NULL }, { "-\303\244.b", NULL },
		{ "\303\244-.b", NULL }, { "ab--\303\244.b", NULL },
		{ "\314\201a.b", NULL }, { "a\342\200\215b.de", NULL },
		{ "\302\255.\303\244", NULL },
		/* Not what Punycode makes of anything. */
		{ "xn--a.\303\244", NULL }, { "xn--.\303\244", NULL },
		{ "xn--\303\244.b", NULL }, { "xn--a-.\303\244", NULL },
		/* Right to left, and both ways in one label. */
		{ "\327\220\327\221.test", "xn--4dbc.test" },
		{ "\327\220a.test", NULL }, { "1\327\220.test", NULL },
		/* Mapped, these would be "@", "a/c", "_", and "[1]". */
		{ "a\357\274\240b.\303\244", NULL },
		{ "\342\204\200.\303\244", NULL },
		{ "a\357\274\277b.\303\244", NULL },
		{ "\357\274\2731\357\274\275", NULL },
		{ ".\303\244", NULL }, { "\303\244.", NULL },
		{ "\303\244..b", NULL }, { "\303", NULL }, { "\377.b", NULL }
	};
	char ascii[IDNA_MAX], name[300];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(idna_to_ascii(rows[i].name, ascii),
		    rows[i].ascii != NULL ? 0 : -1);
		if (rows[i].ascii != NULL)
			assert_string_equal(ascii, rows[i].ascii);
	}
	/* A label of 63 octets at most, as it is in the DNS; a name of 255. */
	for (i = 1; i < 100; i++) {
		memset(name, 'a', i);
		memcpy(name + i, "\303\244", 3);
		assert_int_equal(idna_to_ascii(name, ascii), i < 56 ? 0 : -1);
		if (i < 56)
			assert_in_range(strlen(ascii), 4, 63);
	}
	name[0] = '\0';
	for (i = 0; strlen(name) < 150; i++)
		strlcat(name, "\303\244.aaaaaaaaaa.", sizeof(name));
	strlcat(name, "b", sizeof(name));
	assert_int_equal(idna_to_ascii(name, ascii), 0);
	for (; strlen(name) < 270; i++)
		strlcat(name, ".bbbbbbbbbbbbbb", sizeof(name));
	assert_int_equal(idna_to_ascii(name, ascii), -1);
	/* 253 characters, 5 of which are not here yet, and not one more. */
	for (i = 253; i <= 254; i++) {
		memset(name, 'a', i - 5);
		for (size_t dot = 2; dot < i - 5; dot += 50)
			name[dot] = '.';
		memcpy(name, "\303\244", 2);
		name[i - 5] = '\0';
		assert_int_equal(idna_to_ascii(name, ascii), i == 253 ? 0 : -1);
	}
}

/* Declared and not; what is ours is known by its name in the DNS. */
static void
test_agent(void **state)
{
	char stored[4096];
	struct letter l;

	(void)state;
	strcpy(config.domains[1], "xn--bcher-kva.example");
	config.domain_count = 2;
	facts = FACT_TRUSTED;
	serve(SERVICE_SMTP, "");
	tls = "";
	assert_int_equal(mail("x", MAIL_ESMTP | MAIL_SMTPUTF8, 0,
	    "j\303\266rg@b\303\274cher.example"), 250);
	assert_int_equal(rcpt("alice", "b\303\274cher.example"), 250);
	assert_int_equal(rcpt("alice", "XN--bcher-kva.example"), 250);
	assert_int_equal(rcpt("\303\244", "b\303\274cher.example"), 550);
	assert_string_equal(status, "5.1.1");
	assert_int_equal(rcpt("\303\244", "th\303\251re.example"), 250);
	assert_int_equal(rcpt("a", "\303\244aaaaaaaaaabbbbbbbbbbccccccccccdddd"
	    "ddddddeeeeeeeeeeffffffffff"), 550);
	assert_string_equal(status, "5.1.2");
	assert_int_equal(data("Subject: \303\244\n\n\n", 14), 250);
	hinted(&l);
	assert_int_equal(l.envelope.flags, MAIL_ESMTP | MAIL_SMTPUTF8);
	assert_string_equal(l.envelope.sender,
	    "j\303\266rg@b\303\274cher.example");
	assert_int_equal(l.envelope.recipient_count, 2);
	assert_string_equal(l.envelope.recipients[0].domain,
	    "xn--bcher-kva.example");
	assert_string_equal(l.envelope.recipients[0].account, "alice");
	assert_string_equal(l.envelope.recipients[1].local, "\303\244");
	assert_string_equal(l.envelope.recipients[1].domain,
	    "th\303\251re.example");
	memset(stored, 0, sizeof(stored));
	assert_true(pread(l.fd, stored, l.length, (off_t)l.offset) > 0);
	assert_non_null(strstr(stored, " with UTF8SMTP id "));
	letter_close(&l);
	serve(SERVICE_LMTP, "");
	assert_int_equal(mail("x", MAIL_ESMTP | MAIL_SMTPUTF8, 0, ""), 250);
	assert_int_equal(rcpt("alice", "here.example"), 250);
	assert_int_equal(data("A: b\n\n", 6), 250);
	(void)stored_letter(stored);
	assert_non_null(strstr(stored, " with UTF8LMTP id "));
}

/* What only a worker that was taken over sends. */
static void
test_faults(void **state)
{
	static const struct { uint32_t flags; const char *sender, *local; }
	    bad[] = {
		{ 0, "\303\244@b", NULL }, { 0, "a@\303\244", NULL },
		{ MAIL_SMTPUTF8, "\303@b", NULL },
		{ MAIL_SMTPUTF8, "a\302\205@b", NULL },
		{ 0x10, "", NULL }, { 0, "", "\303\244" },
		{ MAIL_SMTPUTF8, "", "\303" }, { MAIL_SMTPUTF8, "", "a\n" }
	};
	struct message m;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		leave();
		start();
		message_begin(&m, REQ_MAIL);
		put_str(&m, "x");
		put_str(&m, "");
		put_u32(&m, bad[i].flags);
		put_u64(&m, 0);
		put_str(&m, bad[i].sender);
		put_u32(&m, 0);
		put_str(&m, "");
		assert_int_equal(message_send(gate, &m), 0);
		if (bad[i].local != NULL) {
			assert_int_equal(verdict(REQ_MAIL, NULL), 250);
			send_rcpt(REQ_RCPT, bad[i].local, "here.example");
		}
		assert_int_equal(message_wait(gate, &m, 0, 60000), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest utf8_tests[] = {
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_idna),
		TEST(test_agent), TEST(test_faults),
	};

	log_init_socket(open("/dev/null", O_WRONLY | O_CLOEXEC));
	return cmocka_run_group_tests_name("test_smtp_utf8", utf8_tests, NULL,
	    NULL);
}
