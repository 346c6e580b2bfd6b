/* LINK: smtpd/waiting smtpd/job smtpd/job_expand smtpd/program mailbox/sha256 smtpd/settle smtpd/split smtpd/forward smtpd/notice smtpd/bounce smtpd/dsn smtpd/derived smtpd/trace smtpd/schedule smtpd/handout smtpd/handout_line smtpd/handout_talk smtpd/spool smtpd/spool_read smtpd/spool_write smtpd/envelope smtpd/expand smtpd/groups smtpd/aliases_include smtpd/aliases smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/account smtpd/address smtpd/xtext privsep/config privsep/log privsep/message OUTBOUND privsep/config_route wire/utf8 */
/*
 * Letters of the queue whose recipients become others: groups, lists,
 * .forward.
 */
#include "queue_home.h"

/* What login says about the only group; until then nobody has the letter. */
static void
answer_group(uint32_t verdict, const char *names, size_t size)
{
	struct pollfd pfd[GROUPS_CHANNELS];
	struct message m;
	int pair[2];

	begin();
	assert_int_equal(q.job_count, 0);
	groups_ask(&q.groups, q.now_ms);
	assert_int_equal(asked_count, 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(groups_channel(&q.groups, asked[--asked_count],
	    pair[0], q.now_ms), 1);
	message_begin(&m, REPLY_MEMBERS);
	put_u32(&m, verdict);
	put_u32(&m, 0);
	put_data(&m, names, size);
	assert_int_equal(message_send(pair[1], &m), 0);
	assert_int_equal(groups_poll(&q.groups, pfd), 1);
	assert_int_equal(poll(pfd, 1, 0), 1);
	groups_ready(&q.groups, pfd, q.now_ms);
	close(pair[1]);
}

/* A letter for a group is closed until it is known who that is. */
static void
group_awaited(void **state)
{
	struct spool_name name;

	(void)state;
	set_aliases("team: :group:staff, alice\n");
	name = letter_for("team", NULL);
	answer_group(MEMBERS_DEFERRED, "", 0);
	begin();
	/* Alice at least; the others another time. */
	assert_int_equal(q.job_count, 1);
	give_channel();
	identify("alice");
	take_deliver();
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	is_asked_to_settle(&name);
	turn();
	assert_int_equal(q.job_count, 0);
	assert_int_equal(count_in(q.spool.queue, 0), 1);
	q.now += 120;
	q.now_ms += 2 * MINUTE_MS;
	answer_group(MEMBERS_FOUND, "bob\0alice", 10);
	begin();
	give_channel();
	identify("bob");
	take_deliver();
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	assert_int_equal(count_in(q.spool.queue, 0), 0);
	/* Known for a minute, so it goes out at once; and then not. */
	letter_for("team", NULL);
	begin();
	assert_int_equal(q.job_count, 1);
	q.now_ms += MINUTE_MS;
	letter_for("team", NULL);
	begin();
	assert_int_equal(q.job_count, 1);
}

/* login's name for whoever was asked for. */
static void
identify_as(const char *account, const char *own)
{
	struct message m;
	char name[64];

	heard(&m, REQ_IDENTIFY);
	get_str(&m, name, sizeof(name));
	assert_string_equal(name, account);
	message_discard(&m);
	say(REQ_IDENTIFY, DELIVERED, NULL, own);
}

/* One account by two names; one of them can't be asked about at first. */
static void
two_names(void **state)
{
	struct message m;

	(void)state;
	set_aliases("team: Bob, bob\n");
	letter_for("team", NULL);
	begin();
	assert_int_equal(asked_count, 2);
	give_channel();
	identify_as("bob", "bob");
	take_deliver();
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	heard(&m, REQ_SETTLE);
	message_discard(&m);
	say(REQ_SETTLE, 0, NULL, NULL);
	give_channel();
	heard(&m, REQ_IDENTIFY);
	message_discard(&m);
	say(REQ_IDENTIFY, DELIVERY_DEFERRED, NULL, "later");
	assert_int_equal(q.job_count, 0);
	assert_int_equal(count_in(q.spool.queue, 0), 1);
	q.now += 120;
	q.now_ms += 2 * MINUTE_MS;
	begin();
	assert_int_equal(asked_count, 1);
	give_channel();
	identify_as("Bob", "bob");
	assert_true(is_closed());
	assert_int_equal(q.job_count, 0);
	assert_int_equal(count_in(q.spool.queue, 0), 0);
	assert_int_equal(count_in(q.spool.held, 0), 0);
}

/* Neither is the name that login has for it: the first one is tried. */
static void
two_other_names(void **state)
{
	int first;

	(void)state;
	set_aliases("team: Bob, BOB\n");
	letter_for("team", NULL);
	begin();
	give_channel();
	identify_as("BOB", "bob");
	take_deliver();
	first = agent;
	agent = -1;
	give_channel();
	identify_as("Bob", "bob");
	assert_true(is_closed());
	close(agent);
	agent = first;
	assert_int_equal(q.job_count, 1);
	say(REQ_DELIVER, DELIVERED, "2.0.0", "ok");
	assert_int_equal(q.job_count, 0);
	assert_int_equal(count_in(q.spool.queue, 0), 0);
}

static void
send_address(const char *address)
{
	struct message m;

	message_begin(&m, REPLY_FORWARD);
	put_str(&m, address);
	assert_int_equal(message_send(agent, &m), 0);
	end();
}

/* The only letter in queue/, opened. */
static void
open_only(struct letter *l, struct spool_name *name)
{
	char text[SPOOL_NAME_MAX];
	struct dirent *entry;
	DIR *d = fdopendir(openat(q.spool.queue, ".",
	    O_RDONLY | O_DIRECTORY));

	text[0] = '\0';
	while ((entry = readdir(d)) != NULL)
		if (entry->d_name[0] != '.') {
			assert_string_equal(text, "");
			strlcpy(text, entry->d_name, sizeof(text));
		}
	closedir(d);
	assert_int_equal(spool_name_parse(text, name), 0);
	assert_int_equal(letter_open(&q.spool, name, l), 0);
}

/* A letter of its own, and nothing left to do for the old one. */
static void
forwarded(void **state)
{
	struct spool_name name, next;
	struct letter l;
	struct message m;
	char text[64];

	(void)state;
	name = letter_for("alice", NULL);
	begin();
	give_channel();
	identify("alice");
	take_deliver();
	send_address("carol@there.example");
	send_address("dave");
	say(REQ_DELIVER, DELIVERY_FORWARDED, "2.0.0", "forwarded");
	heard(&m, REQ_SETTLE);
	end();
	assert_int_equal(count_in(q.spool.held, 0), 0);
	open_only(&l, &next);
	assert_string_not_equal(next.id, name.id);
	assert_string_equal(l.envelope.sender, "s@there.example");
	assert_int_equal(l.envelope.derived, DERIVED_FORWARD);
	assert_int_equal(l.envelope.recipient_count, 2);
	assert_string_equal(l.envelope.recipients[0].local, "carol");
	assert_string_equal(l.envelope.recipients[0].domain, "there.example");
	assert_string_equal(l.envelope.recipients[1].local, "dave");
	assert_string_equal(l.envelope.recipients[1].account, "");
	assert_int_equal(pread(l.fd, text, sizeof(text), (off_t)l.offset),
	    (ssize_t)l.length);
	assert_int_equal(l.length, strlen("Delivered-To: alice@localhost\n"
	    "Received: x\n\nhello\n"));
	assert_memory_equal(text, "Delivered-To: alice@localhost\nReceived: ",
	    40);
	letter_close(&l);
}

/* Not written: it waits, and the mailbox remembers what it has. */
static void
not_forwarded(void **state)
{
	struct spool_name name, next;
	struct letter l;
	int held = q.spool.held;

	(void)state;
	name = letter_for("alice", NULL);
	begin();
	give_channel();
	identify("alice");
	take_deliver();
	send_address("carol@there.example");
	q.spool.held = -1;
	say(REQ_DELIVER, DELIVERY_FORWARDED, "2.0.0", "forwarded");
	q.spool.held = held;
	assert_true(is_closed());
	open_only(&l, &next);
	assert_string_equal(next.id, name.id);
	assert_int_equal(l.outcome_count, 1);
	assert_int_equal(l.outcomes[0].kind, OUTCOME_DEFERRED);
	letter_close(&l);
}

/* What an agent may say of addresses, and in which order. */
static void
forwarded_oddly(void **state)
{
	static const char *const bad[] = {
		"", "a b@there.example", "a@", "<a@there.example>", "a\nb"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]) + 3; i++) {
		letter_for("alice", NULL);
		begin();
		give_channel();
		identify("alice");
		take_deliver();
		if (i < sizeof(bad) / sizeof(bad[0]))
			send_address(bad[i]);
		else if (i == sizeof(bad) / sizeof(bad[0]))
			say(REQ_DELIVER, DELIVERY_FORWARDED, "2.0.0", "none");
		else {
			send_address("a@there.example");
			say(REQ_DELIVER, i % 2 == 0 ? DELIVERED :
			    DELIVERY_FORWARDED + 1, "2.0.0", "odd");
		}
		assert_true(is_closed());
		assert_int_equal(count_in(q.spool.queue, 1), 1);
		assert_int_equal(count_in(q.spool.held, 0), 0);
	}
}

/* Under the owner's name, to accounts that are not looked up again. */
static void
list(void **state)
{
	struct spool_name name;
	const struct job *job;

	(void)state;
	set_aliases("team: \\alice, carol, alice\nalice: dave\n"
	    "owner-team: bob\n");
	name = letter_for("team", NULL);
	begin();
	assert_int_equal(count_in(q.spool.held, 0), 0);
	assert_int_equal(count_in(q.spool.queue, 0), 1);
	job = TAILQ_FIRST(&q.jobs);
	assert_non_null(job);
	assert_string_not_equal(job->letter.name.id, name.id);
	assert_string_equal(job->letter.envelope.sender,
	    "owner-team@localhost");
	assert_int_equal(job->letter.envelope.derived, DERIVED_LIST);
	assert_int_equal(job->errand_count, 3);
	assert_string_equal(job->errands[0].account, "alice");
	assert_string_equal(job->errands[1].account, "carol");
	assert_string_equal(job->errands[2].account, "dave");
}

/* One mistake in a list: nobody is left out, and nobody gets it twice. */
static void
list_waits(void **state)
{
	struct spool_name name, next;
	struct letter l;

	(void)state;
	set_aliases("team: alice, bad\nbad: |x\nowner-team: bob\n");
	name = letter_for("team", NULL);
	begin();
	open_only(&l, &next);
	assert_string_equal(next.id, name.id);
	letter_close(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(group_awaited), TEST(two_names),
		TEST(two_other_names), TEST(forwarded), TEST(not_forwarded),
		TEST(forwarded_oddly), TEST(list), TEST(list_waits),
	};

	/* Log lines of what goes wrong on purpose go to nobody. */
	log_init_socket(open("/dev/null", O_WRONLY | O_CLOEXEC));
	return cmocka_run_group_tests_name("test_queue_names", tests, NULL, NULL);
}
