/* LINK: smtpd/agent smtpd/smtp_gates smtpd/intake smtpd/client_name smtpd/dns_reverse smtpd/dns_reply smtpd/header smtpd/policy smtpd/srs mailbox/sha256 smtpd/idna smtpd/relay_recipients privsep/nss smtpd/trace smtpd/spool smtpd/spool_write smtpd/spool_read smtpd/envelope smtpd/aliases smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/account smtpd/address smtpd/xtext privsep/config privsep/config_route privsep/facts privsep/gates privsep/log privsep/message wire/utf8 */
/*
 * Who may send where: relaying, relay domains, addresses with a detail, what
 * VRFY and EXPN tell to whom; and RFC 3461's fields on their way into the
 * spool.
 */
#include <time.h>

#include "smtpd/srs.h"
#include "tests/smtp_agent_home.h"

/* RFC 3461: what was asked for is in the letter's envelope. */
static void
dsn_fields(void **state)
{
	struct letter l;
	const struct recipient *r;

	(void)state;
	ret = RET_HDRS;
	envid = "QQ+2B1";
	notify = NOTIFY_SUCCESS | NOTIFY_DELAY;
	orcpt = "rfc822;al+2Bice@here.example";
	begin();
	/* Said again otherwise: the first counts. */
	notify = NOTIFY_NEVER;
	orcpt = "";
	assert_int_equal(rcpt("alice", "here.example"), 250);
	assert_int_equal(rcpt("bob", "here.example"), 250);
	notify = 0;
	assert_int_equal(rcpt("Carol", "here.example"), 250);
	assert_int_equal(data("x\n", 2), 250);
	hinted(&l);
	r = l.envelope.recipients;
	assert_int_equal(l.envelope.ret, RET_HDRS);
	assert_string_equal(l.envelope.envid, "QQ+2B1");
	assert_int_equal(l.envelope.recipient_count, 3);
	assert_int_equal(r[0].notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
	assert_string_equal(r[0].orcpt, "rfc822;al+2Bice@here.example");
	assert_int_equal(r[1].notify, NOTIFY_NEVER);
	assert_string_equal(r[1].orcpt, "");
	assert_int_equal(r[2].notify, 0);
	letter_close(&l);
	/* Nothing of it is left for the next. */
	ret = 0;
	envid = "";
	begin();
	assert_int_equal(data("x\n", 2), 250);
	hinted(&l);
	assert_int_equal(l.envelope.ret, 0);
	assert_string_equal(l.envelope.envid, "");
	assert_int_equal(l.envelope.recipients[0].notify, 0);
	letter_close(&l);
}

/* What no honest worker sends. */
static void
dsn_faults(void **state)
{
	static const struct {
		uint32_t ret, notify;
		const char *envid, *orcpt;
	} bad[] = {
		{ 3, 0, "", "" }, { 0, 0, "a b", "" }, { 0, 0, "+2b", "" },
		{ 0, 0, "a=b", "" }, { 0, 0, "a\n", "" },
		{ 0, 16, "", "" }, { 0, NOTIFY_NEVER | NOTIFY_DELAY, "", "" },
		{ 0, 0, "", "rfc822" }, { 0, 0, "", "rfc822;" },
		{ 0, 0, "", ";x" }, { 0, 0, "", "rfc822;a+b" },
		{ 0, 0, "", "rfc822;a\r\nb" }, { 0, 0, "", "r c;a" }
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
		put_u32(&m, 0);
		put_u64(&m, 0);
		put_str(&m, "");
		put_u32(&m, bad[i].ret);
		put_str(&m, bad[i].envid);
		assert_int_equal(message_send(gate, &m), 0);
		if (bad[i].ret == 0 && bad[i].envid[0] == '\0') {
			assert_int_equal(verdict(REQ_MAIL, NULL), 250);
			notify = bad[i].notify;
			orcpt = bad[i].orcpt;
			send_rcpt(REQ_RCPT, "alice", "here.example");
		}
		assert_int_equal(message_wait(gate, &m, 0, 60000), 0);
	}
	nothing_queued();
}

/* One recipient of a transaction of its own. */
static uint32_t
try_rcpt(const char *local, const char *domain)
{
	uint32_t code;
	char why[sizeof(status)];

	assert_int_equal(mail("x", MAIL_ESMTP, 0, "a@b.example"), 250);
	code = rcpt(local, domain);
	memcpy(why, status, sizeof(why));
	assert_int_equal(simple(REQ_ABORT, NULL), 250);
	memcpy(status, why, sizeof(why));
	return code;
}

/*
 * Nobody relays but those whom the master or login vouch for, whatever the
 * worker says.
 */
static void
relaying(void **state)
{
	static const struct {
		enum service service;
		const char *login;
		uint32_t facts;
		int may;
	} rows[] = {
		{ SERVICE_SMTP, "", 0, 0 },
		{ SERVICE_SMTP, "", FACT_LOOPBACK | FACT_PLAINTEXT, 0 },
		{ SERVICE_SMTP, "", FACT_TRUSTED, 1 },
		{ SERVICE_SUBMISSION, "bob", 0, 1 },
		{ SERVICE_SUBMISSIONS, "bob", FACT_LOOPBACK, 1 },
		{ SERVICE_LOCAL, "", 0, 1 },
		{ SERVICE_LMTP, "", 0, 0 },
		{ SERVICE_LMTP, "", FACT_TRUSTED, 0 }
	};
	struct letter l;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		facts = rows[i].facts;
		serve(rows[i].service, rows[i].login);
		assert_int_equal(try_rcpt("alice", "here.example"), 250);
		assert_int_equal(try_rcpt("mallory", "here.example"), 550);
		assert_string_equal(status, "5.1.1");
		assert_int_equal(try_rcpt("x", "there.example"),
		    rows[i].may ? 250 : 550);
		assert_string_equal(status, rows[i].may ? "2.1.5" : "5.7.1");
		assert_int_equal(try_rcpt("x", "[192.0.2.2]"),
		    rows[i].may ? 250 : 550);
		if (!rows[i].may)
			continue;
		/* What looks like an address, and is none. */
		assert_int_equal(try_rcpt("x", "192.0.2.2"), 550);
		assert_string_equal(status, "5.1.2");
		assert_int_equal(try_rcpt("x", "17"), 550);
		assert_int_equal(try_rcpt("x", "a.1b"), 250);
		assert_int_equal(try_rcpt("x", ""), 550);
		assert_string_equal(status, "5.1.3");
		begin();
		assert_int_equal(rcpt("far", "There.example"), 250);
		assert_int_equal(data("x\n", 2), 250);
		hinted(&l);
		assert_int_equal(l.envelope.recipient_count, 2);
		assert_string_equal(l.envelope.recipients[0].account, "alice");
		assert_string_equal(l.envelope.recipients[1].local, "far");
		assert_string_equal(l.envelope.recipients[1].domain,
		    "There.example");
		assert_string_equal(l.envelope.recipients[1].account, "");
		letter_close(&l);
	}
}

static char list[sizeof(place) + 16];

static void
put_list(const char *content, mode_t mode)
{
	FILE *f;

	snprintf(list, sizeof(list), "%s/recipients", place);
	f = fopen(list, "w");
	assert_non_null(f);
	fputs(content, f);
	fclose(f);
	assert_int_equal(chmod(list, mode), 0);
	strlcpy(config.relay_recipients, list,
	    sizeof(config.relay_recipients));
	leave();
	start();
}

/* A second host of a domain takes its mail from everybody. */
static void
relay_domains(void **state)
{
	char big[140000];

	(void)state;
	strcpy(config.relay_domains[0], "backup.example");
	strcpy(config.relay_domains[1], ".sub.example");
	config.relay_domain_count = 2;
	serve(SERVICE_SMTP, "");
	assert_int_equal(try_rcpt("x", "Backup.example"), 250);
	assert_int_equal(try_rcpt("x", "a.sub.example"), 250);
	assert_int_equal(try_rcpt("x", "sub.example"), 550);
	assert_string_equal(status, "5.7.1");
	assert_int_equal(try_rcpt("x", "xbackup.example"), 550);
	serve(SERVICE_LMTP, "");
	assert_int_equal(try_rcpt("x", "backup.example"), 250);
	if (geteuid() != 0)
		skip();
	service = SERVICE_SMTP;
	put_list("# who there is\nbob@backup.example # Bob\n"
	    " @a.sub.example\r\nlast@b.sub.example", 0644);
	assert_int_equal(try_rcpt("BOB", "backup.example"), 250);
	assert_int_equal(try_rcpt("bo", "backup.example"), 550);
	assert_string_equal(status, "5.1.1");
	assert_int_equal(try_rcpt("x", "a.sub.example"), 250);
	assert_int_equal(try_rcpt("last", "b.sub.example"), 250);
	assert_int_equal(try_rcpt("x", "b.sub.example"), 550);
	assert_int_equal(try_rcpt("x", "there.example"), 550);
	assert_string_equal(status, "5.7.1");
	/* For those who may relay as well: there is no such user. */
	facts = FACT_TRUSTED;
	serve(SERVICE_SMTP, "");
	assert_int_equal(try_rcpt("x", "backup.example"), 550);
	assert_int_equal(try_rcpt("x", "there.example"), 250);
	facts = 0;
	/* Longer than a piece, with a line that is no address. */
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	memcpy(big + sizeof(big) - 21, "\nbob@backup.example\n", 20);
	put_list(big, 0644);
	assert_int_equal(try_rcpt("bob", "backup.example"), 250);
	assert_int_equal(try_rcpt("x", "backup.example"), 550);
	/* One that anybody may write says nothing. */
	put_list("bob@backup.example\n", 0666);
	assert_int_equal(try_rcpt("bob", "backup.example"), 451);
	assert_int_equal(unlink(list), 0);
	leave();
	start();
	assert_int_equal(try_rcpt("bob", "backup.example"), 451);
}

/* user+detail: the whole name first, and the detail stays. */
static void
details(void **state)
{
	struct letter l;

	(void)state;
	assert_int_equal(mail("x", 0, 0, ""), 250);
	assert_int_equal(rcpt("alice+list", "here.example"), 250);
	assert_int_equal(rcpt("ALICE+a+b", "here.example"), 250);
	assert_int_equal(rcpt("alice+", "here.example"), 250);
	assert_int_equal(rcpt("plus+name", "here.example"), 250);
	assert_int_equal(rcpt("root+x", "here.example"), 250);
	assert_int_equal(rcpt("mallory+x", "here.example"), 550);
	assert_int_equal(rcpt("+alice", "here.example"), 550);
	assert_int_equal(rcpt("daemon+x", "here.example"), 550);
	assert_int_equal(rcpt("broken+x", "here.example"), 451);
	assert_int_equal(data("x\n", 2), 250);
	hinted(&l);
	assert_int_equal(l.envelope.recipient_count, 5);
	assert_string_equal(l.envelope.recipients[0].local, "alice+list");
	assert_string_equal(l.envelope.recipients[0].account, "alice");
	assert_string_equal(l.envelope.recipients[1].account, "alice");
	assert_string_equal(l.envelope.recipients[2].account, "alice");
	assert_string_equal(l.envelope.recipients[3].account, "plus+name");
	assert_string_equal(l.envelope.recipients[4].account, "");
	letter_close(&l);
	config.recipient_delimiter = '\0';
	serve(SERVICE_SMTP, "");
	assert_int_equal(try_rcpt("alice+list", "here.example"), 550);
	config.recipient_delimiter = '-';
	serve(SERVICE_SMTP, "");
	assert_int_equal(try_rcpt("alice-list", "here.example"), 250);
	assert_int_equal(try_rcpt("alice+list", "here.example"), 550);
}

static void
session_limits(void **state)
{
	int i;

	(void)state;
	config.max_messages = 2;
	config.max_recipients = 2;
	serve(SERVICE_SMTP, "");
	for (i = 0; i < 2; i++) {
		begin();
		assert_int_equal(rcpt("bob", "here.example"), 250);
		assert_int_equal(rcpt("Carol", "here.example"), 452);
		assert_string_equal(status, "4.5.3");
		assert_int_equal(data("x\n", 2), 250);
	}
	assert_int_equal(mail("x", 0, 0, ""), 421);
	assert_string_equal(status, "4.7.0");
	assert_int_equal(mail("x", 0, 0, ""), 421);
	assert_int_equal(count_in(spool.queue, 0), 2);
}

static uint32_t
vrfy(const char *local, const char *domain)
{
	send_rcpt(REQ_VERIFY, local, domain);
	return verdict(REQ_VERIFY, NULL);
}

static uint32_t
expn(const char *local, const char *domain, uint32_t member, int is_more)
{
	struct message m;
	uint32_t code;

	message_begin(&m, REQ_EXPAND);
	put_str(&m, local);
	put_str(&m, domain);
	put_u32(&m, member);
	assert_int_equal(message_send(gate, &m), 0);
	assert_int_equal(message_wait(gate, &m, 0, 60000), 1);
	assert_int_equal(m.type, REPLY_OF(REQ_EXPAND));
	code = get_u32(&m);
	get_str(&m, status, sizeof(status));
	get_str(&m, text, sizeof(text));
	assert_int_equal(get_u32(&m), is_more);
	assert_int_equal(get_end(&m), 0);
	return code;
}

/* The truth for those who are known; for all others nothing. */
static void
verify_and_expand(void **state)
{
	static const enum service strangers[] = { SERVICE_SMTP, SERVICE_LMTP };
	size_t i;

	(void)state;
	if (geteuid() != 0)
		skip();
	put_aliases("team: alice, \\bob, carol@here.example\n");
	facts = FACT_TRUSTED;
	for (i = 0; i < 2; i++) {
		serve(strangers[i], "");
		assert_int_equal(vrfy("alice", ""), 252);
		assert_int_equal(vrfy("mallory", "here.example"), 252);
		assert_int_equal(expn("team", "", 0, 0), 502);
		assert_int_equal(expn("alice", "", 0, 0), 502);
	}
	for (i = 0; i < 2; i++) {
		facts = 0;
		serve(i == 0 ? SERVICE_LOCAL : SERVICE_SUBMISSION,
		    i == 0 ? "" : "bob");
		assert_int_equal(vrfy("alice", ""), 250);
		assert_string_equal(text, "<alice@mx.here.example>");
		assert_int_equal(vrfy("Team", "HERE.example"), 250);
		assert_string_equal(text, "<Team@HERE.example>");
		assert_int_equal(vrfy("mallory", "here.example"), 550);
		assert_int_equal(vrfy("broken", ""), 451);
		assert_int_equal(vrfy("x", "there.example"), 252);
		assert_int_equal(expn("team", "", 0, 1), 250);
		assert_string_equal(text, "<alice@mx.here.example>");
		assert_int_equal(expn("team", "", 1, 1), 250);
		assert_string_equal(text, "<bob@mx.here.example>");
		assert_int_equal(expn("team", "", 2, 0), 250);
		assert_string_equal(text, "<carol@mx.here.example>");
		assert_int_equal(expn("team", "", 3, 0), 250);
		assert_string_equal(text, "<team@mx.here.example>");
		assert_int_equal(expn("alice", "", 0, 0), 250);
		assert_string_equal(text, "<alice@mx.here.example>");
		assert_int_equal(expn("mallory", "", 0, 0), 550);
		assert_int_equal(expn("x", "there.example", 0, 0), 252);
	}
}

/* A program of this host: who it is says the kernel. */
static void
local_programs(void **state)
{
	static const struct { uint32_t uid; const char *login; } rows[] = {
		{ 1000, "alice" }, { 4242, "#4242" }, { 4711, "#4711" }
	};
	char stored[4096];
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		uid = rows[i].uid;
		serve(SERVICE_LOCAL, "");
		login = rows[i].login;
		begin();
		assert_int_equal(data("From: a\n\nb\n", 11), 250);
		/* Made complete, as a submission is. */
		assert_non_null(strstr(stored_letter(stored), "\nDate: "));
		assert_non_null(strstr(stored, "\nMessage-ID: <"));
		snprintf(text, sizeof(text), "Received: from client.example "
		    "(uid %u)\n\tby mx.here.example (Postern) with ESMTP id ",
		    rows[i].uid);
		assert_memory_equal(stored, text, strlen(text));
	}
	serve(SERVICE_LMTP, "");
	begin();
	assert_int_equal(data("From: a\n\nb\n", 11), 250);
	assert_string_equal(stored_letter(stored), "From: a\n\nb\n");
	assert_non_null(strstr(stored, " with LMTP id "));
}

/* An SRS address of ours: for a bounce it is whom it stands for. */
static void
srs(void **state)
{
	static const char sender[] = "dave@there.example";
	char path[ADDRESS_PRINT_MAX], old[ADDRESS_PRINT_MAX];
	uint64_t now = (uint64_t)time(NULL);
	struct letter l;

	(void)state;
	strcpy(config.srs_domain, "srs.example");
	strcpy(config.srs_secrets[0], "0123456789abcdef");
	config.srs_secret_count = 1;
	assert_int_equal(srs_forward(&config, sender, now, path), 0);
	assert_int_equal(srs_forward(&config, sender, now - 30 * 86400, old),
	    0);
	*strchr(path, '@') = *strchr(old, '@') = '\0';
	serve(SERVICE_SMTP, "");
	assert_int_equal(mail("client", 0, 0, ""), 250);
	assert_int_equal(rcpt(old, "srs.example"), 550);
	assert_string_equal(status, "5.1.1");
	assert_non_null(strstr(text, "over"));
	assert_int_equal(rcpt("SRS0=abcdef=AA=there.example=dave",
	    "srs.example"), 550);
	assert_string_equal(status, "5.1.1");
	assert_int_equal(rcpt("alice", "srs.example"), 550);
	assert_int_equal(rcpt(path, "other.example"), 550);
	assert_string_equal(status, "5.7.1");
	assert_int_equal(rcpt("postmaster", "srs.example"), 250);
	assert_int_equal(rcpt(path, "SRS.example"), 250);
	assert_int_equal(data("x\n", 2), 250);
	hinted(&l);
	assert_int_equal(l.envelope.recipient_count, 2);
	assert_string_equal(l.envelope.recipients[1].local, "dave");
	assert_string_equal(l.envelope.recipients[1].domain, "there.example");
	assert_string_equal(l.envelope.recipients[1].account, "");
	letter_close(&l);
	/* With a sender it is no bounce, whoever brings it. */
	serve(SERVICE_SUBMISSION, "alice");
	assert_int_equal(mail("client", 0, 0, "alice@here.example"), 250);
	assert_int_equal(rcpt(path, "srs.example"), 550);
	assert_string_equal(status, "5.7.1");
	/* Of one who is here by now; through another forwarder. */
	assert_int_equal(srs_forward(&config, "bob@here.example", now, path),
	    0);
	serve(SERVICE_SMTP, "");
	assert_int_equal(mail("client", 0, 0, ""), 250);
	*strchr(path, '@') = '\0';
	assert_int_equal(rcpt(path, "srs.example"), 250);
	assert_int_equal(data("x\n", 2), 250);
	hinted(&l);
	assert_string_equal(l.envelope.recipients[0].account, "bob");
	letter_close(&l);
}

/* An SRS1 that another host has made of an SRS0 of ours. */
static void
srs_twice(void **state)
{
	char path[ADDRESS_PRINT_MAX];
	uint64_t now = (uint64_t)time(NULL);
	struct letter l;

	(void)state;
	strcpy(config.srs_domain, "srs.example");
	strcpy(config.srs_secrets[0], "0123456789abcdef");
	config.srs_secret_count = 1;
	assert_int_equal(srs_forward(&config, "d@e.example", now, path), 0);
	assert_int_equal(srs_forward(&config, path, now, path), 0);
	assert_memory_equal(path, "SRS1=", 5);
	*strchr(path, '@') = '\0';
	serve(SERVICE_SMTP, "");
	assert_int_equal(mail("client", 0, 0, ""), 250);
	assert_int_equal(rcpt(path, "srs.example"), 250);
	assert_int_equal(data("x\n", 2), 250);
	hinted(&l);
	assert_string_equal(l.envelope.recipients[0].local, "d");
	assert_string_equal(l.envelope.recipients[0].domain, "e.example");
	letter_close(&l);
}

int
main(void)
{
	const struct CMUnitTest policy_tests[] = {
		TEST(dsn_fields), TEST(dsn_faults), TEST(relaying),
		TEST(relay_domains), TEST(details), TEST(session_limits),
		TEST(verify_and_expand), TEST(local_programs), TEST(srs),
		TEST(srs_twice),
	};

	/* Log lines of what goes wrong on purpose go to nobody. */
	log_init_socket(open("/dev/null", O_WRONLY | O_CLOEXEC));
	return cmocka_run_group_tests_name("test_smtp_policy", policy_tests,
	    NULL, NULL);
}
