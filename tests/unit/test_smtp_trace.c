/* LINK: smtpd/agent smtpd/smtp_gates smtpd/intake smtpd/client_name smtpd/dns_reverse smtpd/dns_reply smtpd/header smtpd/policy smtpd/srs mailbox/sha256 smtpd/idna smtpd/relay_recipients privsep/nss smtpd/trace smtpd/spool smtpd/spool_write smtpd/spool_read smtpd/envelope smtpd/aliases smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/account smtpd/address smtpd/xtext privsep/config privsep/config_route privsep/facts privsep/gates privsep/log privsep/message wire/utf8 */
/*
 * What the session agent writes above a letter: the trace, with the client's
 * name, and the fields that a submission lacks; and where a trace is too long.
 */
#include "smtpd/dns.h"
#include "tests/smtp_agent_home.h"

static void
loops(void **state)
{
	char content[16384] = "";
	int i;

	(void)state;
	for (i = 0; i < 100; i++)
		strlcat(content, i % 2 != 0 ? "Received: from x\n\tby y\n" :
		    "RECEIVED:\n", sizeof(content));
	strlcat(content, "X-Received: no\n Received: folded\n\n"
	    "Received: body\n", sizeof(content));
	begin();
	assert_int_equal(data(content, strlen(content)), 250);
	memmove(content + 10, content, strlen(content) + 1);
	memcpy(content, "received:\n", 10);
	begin();
	assert_int_equal(data(content, strlen(content)), 554);
	assert_string_equal(status, "5.4.6");
	assert_int_equal(count_in(spool.queue, 0), 1);
}

/* What the client's host is called: the resolver's word. */
static void
named(void **state)
{
	char stored[4096] = "";
	struct message m;
	int pair[2];

	(void)state;
	leave();
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	name_channel = pair[1];
	start();
	name_channel = -1;
	close(pair[1]);
	message_begin(&m, REPLY_NAME);
	put_str(&m, "host.there.example");
	assert_int_equal(message_send(pair[0], &m), 0);
	close(pair[0]);
	begin();
	assert_int_equal(data("A: b\n\n", 6), 250);
	(void)stored_letter(stored);
	assert_non_null(strstr(stored, "Received: from client.example "
	    "(host.there.example [192.0.2.7])\n\tby "));
	/* And for the next letter. */
	begin();
	assert_int_equal(data("A: b\n\n", 6), 250);
	(void)stored_letter(stored);
	assert_non_null(strstr(stored, " (host.there.example [192.0.2.7])\n"));
}

/* A claim that would forge a header line, a comment or a log line. */
static void
forged_helo(void **state)
{
	char stored[4096] = "";
	struct letter l;

	(void)state;
	assert_int_equal(mail("x)\r\nX-Evil: 1\n (y\x80", 0, 0, ""), 250);
	assert_int_equal(rcpt("alice", "here.example"), 250);
	assert_int_equal(data("\n", 1), 250);
	hinted(&l);
	assert_string_equal(l.envelope.helo, "x???X-Evil:?1???y?");
	assert_true(pread(l.fd, stored, l.length, (off_t)l.offset) > 0);
	assert_null(strstr(stored, "\nX-Evil"));
	letter_close(&l);
}

/* RFC 3848: which protocol, in TLS or not, logged in or not. */
static void
protocols(void **state)
{
	static const struct {
		enum service service;
		const char *login, *tls;
		uint32_t flags;
		const char *with;
	} rows[] = {
		{ SERVICE_SMTP, "", "", 0, " with SMTP id " },
		{ SERVICE_SMTP, "", "", MAIL_ESMTP, " with ESMTP id " },
		{ SERVICE_SMTP, "", "TLSv1.2 X-Y_Z", MAIL_ESMTP,
		    "])\n\t(claimed TLSv1.2 X-Y_Z)\n\tby mx.here.example "
		    "(Postern) with ESMTPS id " },
		{ SERVICE_SUBMISSION, "alice", "", MAIL_ESMTP,
		    " with ESMTPA id " },
		{ SERVICE_SUBMISSION, "alice", "", 0, " with ESMTPA id " },
		{ SERVICE_SUBMISSIONS, "alice", "TLSv1.3 X", MAIL_ESMTP,
		    "(claimed TLSv1.3 X)\n\tby mx.here.example (Postern) with "
		    "ESMTPSA id " },
		/* A claim ends nothing that it stands in. */
		{ SERVICE_SMTP, "", "x)\r\nX-Evil: (\"\\\x80", 0,
		    "(claimed x?" "?" "?X-Evil? ?" "?" "?" "?)\n" },
		{ SERVICE_SMTP, "", "1234567890123456789012345678901234567890"
		    "123456789012345678901234567890123456789", 0,
		    " with ESMTPS id " }
	};
	char stored[4096];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		serve(rows[i].service, rows[i].login);
		tls = rows[i].tls;
		assert_int_equal(mail("x", rows[i].flags, 0, ""), 250);
		assert_int_equal(rcpt("alice", "here.example"), 250);
		assert_int_equal(data("A: b\n\n", 6), 250);
		(void)stored_letter(stored);
		if (strstr(stored, rows[i].with) == NULL)
			fail_msg("%s: not %s", stored, rows[i].with);
		assert_null(strstr(stored, "\nX-Evil"));
		/* Nobody is told by what name somebody logs in. */
		if (login[0] != '\0')
			assert_null(strstr(strstr(stored, " id "), "alice\n"));
	}
}

static const char *
is_line(const char *at, const char *start)
{
	const char *end = strchr(at, '\n');

	if (strncmp(at, start, strlen(start)) != 0 || end == NULL)
		fail_msg("%s: not %s", at, start);
	return end + 1;
}

/* RFC 6409, 8: what is missing is added, on submission only. */
static void
made_complete(void **state)
{
	static const char whole[] =
	    "Date: x\nmessage-id: y\n\nDate: x\n";
	char stored[4096];
	const char *p;

	(void)state;
	serve(SERVICE_SMTP, "");
	begin();
	assert_int_equal(data("From: a\n\nb\n", 11), 250);
	assert_string_equal(stored_letter(stored), "From: a\n\nb\n");
	serve(SERVICE_SUBMISSION, "bob");
	begin();
	assert_int_equal(data(whole, strlen(whole)), 250);
	assert_string_equal(stored_letter(stored), whole);
	begin();
	assert_int_equal(data("From: a\n\nb\n", 11), 250);
	p = is_line(stored_letter(stored), "From: a\n");
	p = is_line(is_line(p, "Date: "), "Message-ID: <");
	assert_string_equal(p, "\nb\n");
	assert_memory_equal(p - 18, "@mx.here.example>\n", 18);
	/* The id of the letter, and what nobody can guess. */
	assert_non_null(strstr(strstr(stored, " id "), "for"));
	assert_memory_equal(strstr(stored, " id ") + 4, strstr(stored,
	    "Message-ID: <") + 13, 20);
	assert_int_equal(strspn(p - 34, "0123456789abcdef"), 16);
	begin();
	assert_int_equal(data("x", 1), 250);
	p = is_line(stored_letter(stored), "Date: ");
	assert_string_equal(is_line(p, "Message-ID: <"), "\nx");
	begin();
	assert_int_equal(data("", 0), 250);
	p = is_line(stored_letter(stored), "Date: ");
	assert_string_equal(is_line(p, "Message-ID: <"), "\n");
}

/* However the worker cuts it; and a body is not looked at. */
static void
complete_in_pieces(void **state)
{
	static const char content[] = "Subject: a\n Date: b\n\nMessage-ID: c\n";
	char stored[4096];
	const char *p;
	size_t cut, len = strlen(content);
	int fd;

	(void)state;
	serve(SERVICE_SUBMISSIONS, "bob");
	for (cut = 0; cut < len; cut++) {
		begin();
		assert_int_equal(simple(REQ_DATA, &fd), 354);
		assert_int_equal(write(fd, content, cut), cut);
		usleep(2000);
		assert_int_equal(write(fd, content + cut, len - cut),
		    len - cut);
		close(fd);
		assert_int_equal(commit(len), 250);
		p = is_line(stored_letter(stored), "Subject: a\n");
		p = is_line(is_line(p, " Date: b\n"), "Date: ");
		assert_string_equal(is_line(p, "Message-ID: <"),
		    "\nMessage-ID: c\n");
	}
}

/* What we add counts against nobody's limit; what was sent does. */
static void
complete_sizes(void **state)
{
	char *big = malloc(1000001);
	struct letter l;
	size_t i;

	(void)state;
	serve(SERVICE_SUBMISSION, "bob");
	assert_non_null(big);
	memset(big, 'x', 1000001);
	for (i = 100; i < 1000000; i += 100)
		big[i] = '\n';
	memcpy(big, "A: b\n\n", 6);
	/* 990099 octets and 9902 line ends are one too many. */
	begin();
	assert_int_equal(data(big, 990099), 552);
	begin();
	assert_int_equal(data(big, 990097), 250);
	hinted(&l);
	assert_true(l.length > 990097 + 100);
	letter_close(&l);
	/* A header that never ends. */
	memset(big, 'x', 1000001);
	memcpy(big, "A:", 2);
	begin();
	assert_int_equal(data(big, 1000000), 250);
	hinted(&l);
	letter_close(&l);
	begin();
	assert_int_equal(data(big, 1000001), 552);
	for (i = 0; i < 1000000; i += 4)
		memcpy(big + i, "A:b\n", 4);
	begin();
	assert_int_equal(data(big, 800000), 250);
	hinted(&l);
	letter_close(&l);
	begin();
	assert_int_equal(data(big, 800004), 552);
	/* A CR in the header is one, too. */
	begin();
	assert_int_equal(data("A: b\r\n\n", 7), 554);
	begin();
	assert_int_equal(data("A: b\n\n\r", 7), 554);
	free(big);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(named), TEST(forged_helo), TEST(protocols), TEST(loops),
		TEST(made_complete), TEST(complete_in_pieces),
		TEST(complete_sizes),
	};

	/* Log lines of what goes wrong on purpose go to nobody. */
	log_init_socket(open("/dev/null", O_WRONLY | O_CLOEXEC));
	return cmocka_run_group_tests_name("test_smtp_trace", tests, NULL,
	    NULL);
}
