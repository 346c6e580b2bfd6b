/* LINK: smtpd/agent smtpd/smtp_gates smtpd/intake smtpd/client_name smtpd/dns_reverse smtpd/dns_reply smtpd/header smtpd/policy smtpd/srs mailbox/sha256 smtpd/idna smtpd/relay_recipients privsep/nss smtpd/trace smtpd/spool smtpd/spool_write smtpd/spool_read smtpd/envelope smtpd/aliases smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/account smtpd/address smtpd/xtext privsep/config privsep/config_route privsep/facts privsep/gates privsep/log privsep/message wire/utf8 */
/*
 * The session agent behind its gates: each test is a worker that talks to an
 * agent of its own, with a spool of its own and accounts made up here.
 */
#include "tests/smtp_agent_home.h"

static void
accepted(void **state)
{
	static const char content[] = "Subject: x\n\n.\nhello\n";
	char stored[4096] = "";
	struct letter l;

	(void)state;
	begin();
	assert_int_equal(data(content, strlen(content)), 250);
	assert_string_equal(status, "2.0.0");
	hinted(&l);
	assert_string_equal(l.envelope.sender, "bob@there.example");
	assert_string_equal(l.envelope.client, "192.0.2.7");
	assert_int_equal(l.envelope.recipient_count, 1);
	assert_string_equal(l.envelope.recipients[0].account, "alice");
	assert_int_equal(pread(l.fd, stored, l.length, (off_t)l.offset),
	    l.length);
	assert_memory_equal(stored,
	    "Received: from client.example (unknown [192.0.2.7])\n"
	    "\tby mx.here.example (Postern) with ESMTP id ", 96);
	assert_non_null(strstr(stored, "\n\tfor <alice@here.example>;\n\t"));
	assert_string_equal(strstr(stored, "Subject:"), content);
	letter_close(&l);
	/* The next transaction of the same session. */
	assert_int_equal(mail("client.example", 0, 0, ""), 250);
	assert_int_equal(rcpt("alice", "here.example"), 250);
	assert_int_equal(rcpt("bob", "HERE.example"), 250);
	assert_int_equal(data("x\n", 2), 250);
	hinted(&l);
	assert_string_equal(l.envelope.sender, "");
	memset(stored, 0, sizeof(stored));
	assert_true(pread(l.fd, stored, l.length, (off_t)l.offset) > 0);
	assert_non_null(strstr(stored, " with SMTP id "));
	assert_null(strstr(stored, "for <"));
	/* No header, so that it can't be taken for a part of ours. */
	assert_memory_equal(stored + l.length - 4, "\n\nx\n", 4);
	letter_close(&l);
	assert_int_equal(count_in(spool.queue, 0), 2);
}

/*
 * A client that says NOOP has all the time it wants, between BDATs as well: no
 * sum of the agent's own with idle-timeout, which would be 0 here, ends that.
 */
static void
patience(void **state)
{
	int fd;

	(void)state;
	leave();
	config.idle_timeout = UINT32_MAX - 59;
	start();
	begin();
	assert_int_equal(simple(REQ_DATA, &fd), 354);
	assert_int_equal(write(fd, "a: b\n", 5), 5);
	close(fd);
	assert_int_equal(commit(5), 250);
}

static void
recipients(void **state)
{
	(void)state;
	assert_int_equal(mail("x", 0, 0, ""), 250);
	assert_int_equal(rcpt("alice", "here.example"), 250);
	assert_string_equal(status, "2.1.5");
	assert_int_equal(rcpt("ALICE", "here.example"), 250);
	assert_int_equal(rcpt("Carol", "here.example"), 250);
	assert_int_equal(rcpt("carol", "here.example"), 550);
	assert_int_equal(rcpt("long", "here.example"), 250);
	assert_int_equal(rcpt("alice", "[192.0.2.1]"), 250);
	assert_int_equal(rcpt("alice", "[192.0.2.2]"), 550);
	assert_string_equal(status, "5.7.1");
	assert_int_equal(rcpt("alice", "there.example"), 550);
	assert_string_equal(status, "5.7.1");
	assert_int_equal(rcpt("mallory", "here.example"), 550);
	assert_string_equal(status, "5.1.1");
	/* Any error is a source that could not be asked, ENOENT too. */
	assert_int_equal(rcpt("absent", "here.example"), 451);
	assert_int_equal(rcpt("broken", "here.example"), 451);
	assert_string_equal(status, "4.3.0");
	assert_int_equal(rcpt("BROKEN", "here.example"), 451);
	assert_int_equal(rcpt("daemon", "here.example"), 550);
	assert_int_equal(rcpt("toor", "here.example"), 550);
	assert_int_equal(rcpt("nobody", "here.example"), 550);
	assert_int_equal(rcpt("../x", "here.example"), 550);
	assert_int_equal(rcpt("a b", "here.example"), 550);
	assert_int_equal(rcpt("", "here.example"), 550);
	/* Accepted on every host; they wait for an alias. */
	assert_int_equal(rcpt("root", "here.example"), 250);
	assert_int_equal(rcpt("Postmaster", "here.example"), 250);
	assert_int_equal(rcpt("postmaster", ""), 250);
}

static void
aliases(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	put_aliases("daemon: alice\nteam: alice, bob\nbad: |cmd\n");
	assert_int_equal(mail("x", 0, 0, ""), 250);
	assert_int_equal(rcpt("daemon", "here.example"), 250);
	assert_int_equal(rcpt("TEAM", "here.example"), 250);
	/* A mistake of the administrator's costs time, not the letter. */
	assert_int_equal(rcpt("bad", "here.example"), 250);
	assert_int_equal(rcpt("mallory", "here.example"), 550);
	assert_int_equal(chmod(config.aliases, 0666), 0);
	leave();
	start();
	assert_int_equal(mail("x", 0, 0, ""), 250);
	assert_int_equal(rcpt("alice", "here.example"), 250);
	assert_int_equal(rcpt("team", "here.example"), 451);
}

static void
duplicates_and_limits(void **state)
{
	char local[16];
	struct letter l;
	int i;

	(void)state;
	if (geteuid() != 0)
		skip();
	put_aliases("root: alice\n");
	assert_int_equal(mail("x", 0, 0, ""), 250);
	for (i = 0; i < 3; i++)
		assert_int_equal(rcpt("alice", "here.example"), 250);
	assert_int_equal(rcpt("alice", "Here.Example"), 250);
	assert_int_equal(data("x\n", 2), 250);
	hinted(&l);
	assert_int_equal(l.envelope.recipient_count, 1);
	letter_close(&l);
	/* A thousand different spellings of one alias. */
	assert_int_equal(mail("x", 0, 0, ""), 250);
	for (i = 0; i < RECIPIENTS_MAX; i++) {
		int bit;

		strcpy(local, "postmaster");
		for (bit = 0; bit < 10; bit++)
			if ((i >> bit & 1) != 0)
				local[bit] = (char)(local[bit] - 32);
		assert_int_equal(rcpt(local, "here.example"), 250);
	}
	assert_int_equal(rcpt("alice", "here.example"), 452);
	assert_string_equal(status, "4.5.3");
	assert_int_equal(data("x\n", 2), 250);
}

static void
sizes(void **state)
{
	char *big;
	size_t i;

	(void)state;
	assert_int_equal(mail("x", 0, 1000001, ""), 552);
	assert_string_equal(status, "5.3.4");
	assert_int_equal(mail("x", 0, UINT64_MAX, ""), 552);
	/* Refused, so there is no transaction, and another MAIL is due. */
	big = malloc(1000001);
	memset(big, 'x', 1000001);
	begin();
	assert_int_equal(data(big, 1000001), 552);
	assert_string_equal(status, "5.3.4");
	nothing_queued();
	/* Line ends count as the two octets that they were. */
	for (i = 0; i < 1000000; i += 2)
		big[i] = '\n';
	begin();
	assert_int_equal(data(big, 700000), 552);
	begin();
	assert_int_equal(data(big, 666666), 250);
	free(big);
	assert_int_equal(count_in(spool.queue, 0), 1);
}

static void
wrong_count(void **state)
{
	int fd;

	(void)state;
	begin();
	assert_int_equal(simple(REQ_DATA, &fd), 354);
	assert_int_equal(write(fd, "abc", 3), 3);
	close(fd);
	assert_int_equal(commit(4), 451);
	nothing_queued();
	begin();
	assert_int_equal(data("", 0), 250);
}

static void
aborted(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(simple(REQ_ABORT, NULL), 250);
	begin();
	assert_int_equal(simple(REQ_ABORT, NULL), 250);
	begin();
	assert_int_equal(simple(REQ_DATA, &fd), 354);
	assert_int_equal(write(fd, "abc", 3), 3);
	close(fd);
	assert_int_equal(simple(REQ_ABORT, NULL), 250);
	nothing_queued();
	/* A worker that dies in mid-data; leave() looks for what is left. */
	begin();
	assert_int_equal(simple(REQ_DATA, &fd), 354);
	assert_int_equal(write(fd, "abc", 3), 3);
	close(fd);
	leave();
	nothing_queued();
}

static void
verify(void **state)
{
	char known[VERDICT_TEXT_MAX + 1];

	(void)state;
	send_rcpt(REQ_VERIFY, "alice", "here.example");
	assert_int_equal(verdict(REQ_VERIFY, NULL), 252);
	strcpy(known, text);
	send_rcpt(REQ_VERIFY, "mallory", "");
	assert_int_equal(verdict(REQ_VERIFY, NULL), 252);
	assert_string_equal(text, known);
	/* In any state, and it changes none. */
	assert_int_equal(mail("x", 0, 0, ""), 250);
	send_rcpt(REQ_VERIFY, "alice", "here.example");
	assert_int_equal(verdict(REQ_VERIFY, NULL), 252);
	assert_int_equal(simple(REQ_DATA, NULL), 554);
	assert_string_equal(status, "5.5.1");
	assert_int_equal(rcpt("alice", "here.example"), 250);
	send_rcpt(REQ_VERIFY, "alice", "here.example");
	assert_int_equal(verdict(REQ_VERIFY, NULL), 252);
	assert_int_equal(data("x\n", 2), 250);
}

/* Whom we know is told, by whichever name of the domain he asks. */
static void
verify_utf8(void **state)
{
	(void)state;
	leave();
	strlcpy(config.domains[1], "xn--bcher-kva.example",
	    sizeof(config.domains[1]));
	config.domain_count = 2;
	service = SERVICE_SUBMISSION;
	login = "alice";
	start();
	send_rcpt(REQ_VERIFY, "alice", "b\xc3\xbc" "cher.example");
	assert_int_equal(verdict(REQ_VERIFY, NULL), 250);
	assert_string_equal(text, "<alice@xn--bcher-kva.example>");
	send_rcpt(REQ_VERIFY, "alice", "xn--a.b\xc3\xbc");
	assert_int_equal(verdict(REQ_VERIFY, NULL), 252);
}

/* An agent whose login is not what its service needs is a mistake of ours. */
static void
wrong_login(void **state)
{
	static const struct {
		enum service service;
		const char *login;
		int is_bug;
	} rows[] = {
		{ SERVICE_SUBMISSION, "", 1 }, { SERVICE_SUBMISSIONS, "", 1 },
		{ SERVICE_SMTP, "alice", 1 },
		{ SERVICE_SUBMISSION, "a\nb", 0 },
		{ SERVICE_SUBMISSION, "DOM\\al ice\xc3\xa4", -1 }
	};
	struct message m;
	char stored[4096];
	size_t i;
	int how;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		serve(rows[i].service, rows[i].login);
		if (rows[i].is_bug == -1) {
			begin();
			assert_int_equal(data("x\n", 2), 250);
			(void)stored_letter(stored);
			continue;
		}
		assert_int_equal(message_wait(gate, &m, 0, 60000), 0);
		close(gate);
		close(hint);
		gate = -1;
		assert_int_equal(waitpid(pid, &how, 0), pid);
		assert_int_equal(how != 0, rows[i].is_bug);
	}
}

/* No room: refused for now, nothing half-queued, and the agent stays. */
static void
no_room(void **state)
{
	struct rlimit limit = { 0, 0 }, old;

	(void)state;
	leave();
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	start();
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	begin();
	assert_int_equal(data("x\n", 2), 452);
	assert_string_equal(status, "4.3.1");
	nothing_queued();
	begin();
	assert_int_equal(data("x\n", 2), 452);
}

/* A spool that anybody may write to is none: 451, and the agent stays. */
static void
no_spool(void **state)
{
	(void)state;
	leave();
	assert_int_equal(chmod(config.spool_dir, 0777), 0);
	start();
	assert_int_equal(mail("x", 0, 0, ""), 451);
	assert_int_equal(mail("x", 0, 0, ""), 451);
	assert_int_equal(chmod(config.spool_dir, 0700), 0);
}

/* What only a worker that was taken over sends ends its session. */
static void
faults(void **state)
{
	static const struct {
		const char *path;
		const char *local, *domain;
	} bad[] = {
		{ "a\nb@c.example", NULL, NULL },
		{ "no-at-sign", NULL, NULL },
		{ "a@b.example>", NULL, NULL },
		{ "\x80@b.example", NULL, NULL },
		{ NULL, "a\n", "here.example" },
		{ NULL, "", "" },
		{ NULL, "alice", "here.example\n" },
		{ NULL, "alice", "here..example" },
	};
	struct message m;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		leave();
		start();
		if (bad[i].path != NULL) {
			message_begin(&m, REQ_MAIL);
			put_str(&m, "x");
			put_str(&m, "");
			put_u32(&m, 0);
			put_u64(&m, 0);
			put_str(&m, bad[i].path);
			put_u32(&m, 0);
			put_str(&m, "");
			assert_int_equal(message_send(gate, &m), 0);
		} else {
			assert_int_equal(mail("x", 0, 0, ""), 250);
			send_rcpt(REQ_RCPT, bad[i].local, bad[i].domain);
		}
		assert_int_equal(message_wait(gate, &m, 0, 60000), 0);
	}
	nothing_queued();
}

/*
 * Every request in every state: what the table does not allow is refused
 * before any handler sees it; so is a wrong size, or a stray descriptor.
 */
static void
table(void **state)
{
	static const struct {
		uint32_t request;
		uint32_t states;
		size_t size;
	} expected[] = {
		{ REQ_MAIL, IN_STATE(SMTP_IDLE), 32 },
		{ REQ_RCPT, IN_STATE(SMTP_MAIL) | IN_STATE(SMTP_RCPT), 17 },
		{ REQ_DATA, IN_STATE(SMTP_MAIL) | IN_STATE(SMTP_RCPT), 0 },
		{ REQ_COMMIT, IN_STATE(SMTP_DATA), 8 },
		{ REQ_ABORT, 0xf, 0 },
		{ REQ_VERIFY, 0x7, 8 },
		{ REQ_EXPAND, 0x7, 12 },
	};
	struct message m;
	uint32_t request;
	size_t i;
	int s;

	(void)state;
	assert_int_equal(smtp_gates.count, 7);
	for (s = -1; s < 40; s++)
		for (request = 0; request < 0x400; request++) {
			int legal = 0;

			message_begin(&m, request);
			for (i = 0; i < 7; i++)
				if (expected[i].request == request && s >= 0 &&
				    s < 32 && (expected[i].states & 1U << s) !=
				    0) {
					legal = 1;
					m.len = expected[i].size;
				}
			assert_int_equal(gate_find(&smtp_gates, s, 0, &m) !=
			    NULL, legal);
			if (!legal)
				continue;
			m.nfds = 1;
			assert_null(gate_find(&smtp_gates, s, 0, &m));
			m.nfds = 0;
			m.len = 1100;
			assert_null(gate_find(&smtp_gates, s, 0, &m));
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(accepted), TEST(patience), TEST(recipients),
		TEST(aliases), TEST(duplicates_and_limits), TEST(sizes),
		TEST(wrong_count), TEST(aborted), TEST(verify),
		TEST(verify_utf8), TEST(wrong_login), TEST(no_room),
		TEST(no_spool), TEST(faults), TEST(table),
	};

	/* Log lines of what goes wrong on purpose go to nobody. */
	log_init_socket(open("/dev/null", O_WRONLY | O_CLOEXEC));
	return cmocka_run_group_tests_name("test_smtp_agent", tests, NULL,
	    NULL);
}
