/* LINK: privsep/hurry smtpd/waiting smtpd/job smtpd/job_expand smtpd/program mailbox/sha256 smtpd/settle smtpd/split smtpd/forward smtpd/notice smtpd/bounce smtpd/dsn smtpd/derived smtpd/trace smtpd/schedule smtpd/handout smtpd/handout_line smtpd/handout_talk smtpd/spool smtpd/spool_read smtpd/spool_write smtpd/envelope smtpd/expand smtpd/groups smtpd/aliases_include smtpd/aliases smtpd/aliases_file smtpd/aliases_index smtpd/account smtpd/address smtpd/xtext privsep/config privsep/log privsep/message OUTBOUND privsep/config_route wire/utf8 smtpd/control smtpd/control_gates smtpd/control_gate smtpd/control_work smtpd/control_act smtpd/control_view privsep/facts privsep/gates */
/*
 * What the queue's clients are shown and what is done for them: pages, whose
 * letters, what counts of their outcomes, and every limit.
 */
#include <sys/file.h>

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/control_home.h"

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

static struct message reply;

static int
setup(void **state)
{
	(void)state;
	home_open();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	home_close();
	return 0;
}

/* Turns until there is an answer: its type, or 0 when it is the end. */
static uint32_t
answer(int fd)
{
	int i, n = -1;

	for (i = 0; i < 10000 && n == -1; i++) {
		home_turn();
		n = message_recv(fd, &reply, 0);
		assert_true(n != -1 || errno == EAGAIN || errno == ECONNRESET);
		if (n == -1 && errno == ECONNRESET)
			n = 0;
	}
	assert_int_not_equal(n, -1);
	return n == 0 ? 0 : reply.type;
}

static void
ask(int fd, uint32_t request, const struct selection *s)
{
	struct message m;

	message_begin(&m, request);
	if (s != NULL)
		put_selection(&m, s);
	assert_int_equal(message_send(fd, &m), 0);
}

static struct selection
by_id(const char *id)
{
	struct selection s = { .flags = SELECT_ID };

	strlcpy(s.id, id, sizeof(s.id));
	return s;
}

/* What a list was. */
static struct letter_record seen[64];
static struct recipient_record people[64];	/* of the last letter */
static size_t letters, pages;

static size_t
list(int fd, const struct selection *s)
{
	static const struct selection any;
	uint32_t kind, page;
	size_t n = 0, left = 0;

	letters = pages = 0;
	ask(fd, REQ_LIST, s != NULL ? s : &any);
	do {
		assert_int_equal(answer(fd), REPLY_RECORDS);
		assert_true(reply.len <= MESSAGE_MAX);
		pages++;
		while ((kind = get_u32(&reply)) != 0) {
			if (kind == RECORD_LETTER) {
				assert_int_equal(left, 0);
				assert_in_range(letters, 0, 63);
				get_letter_record(&reply, &seen[letters]);
				left = seen[letters++].recipients;
				n = 0;
				continue;
			}
			assert_int_equal(kind, RECORD_RECIPIENT);
			assert_true(left > 0);
			get_recipient_record(&reply, &people[n++ % 64]);
			left--;
		}
		page = get_u32(&reply);
		assert_int_equal(get_end(&reply), 0);
		if (page == PAGE_MORE)
			ask(fd, REQ_NEXT, NULL);
	} while (page == PAGE_MORE);
	assert_int_equal(page, PAGE_LAST);
	assert_int_equal(left, 0);
	return letters;
}

/* done, left, in delivery, faults: one digit each. */
static unsigned
act(int fd, uint32_t request, const char *id)
{
	const struct selection any = { 0 }, one = by_id(id != NULL ? id : "");
	unsigned n = 0, i;

	ask(fd, request, id != NULL ? &one : &any);
	assert_int_equal(answer(fd), REPLY_DONE);
	for (i = 0; i < 4; i++)
		n = n * 10 + get_u32(&reply);
	assert_int_equal(get_end(&reply), 0);
	return n;
}

static void
test_pages(void **state)
{
	int fd = home_client(0);
	size_t i;

	(void)state;
	assert_int_equal(list(fd, NULL), 0);
	assert_int_equal(pages, 1);
	for (i = 0; i < 60; i++)
		(void)home_letter(1000, "s@here.example", 1 + (unsigned)i % 7,
		    100);
	(void)home_letter(1000, "s@here.example", 900, 100);
	assert_int_equal(list(fd, NULL), 61);
	assert_true(pages > 5);
	/* Each of them once. */
	for (i = 1; i < letters; i++)
		assert_string_not_equal(seen[i].id, seen[i - 1].id);
	close(fd);
}

static void
test_whose(void **state)
{
	struct spool_name a = home_letter(1000, "a@here.example", 1, 100);
	struct spool_name b = home_letter(1001, "b@here.example", 1, 100);
	struct spool_name c = home_letter(ENVELOPE_NOBODY, "", 1, 100);
	int alice = home_client(1000), root = home_client(0);
	int nobody = home_client(ENVELOPE_NOBODY);
	static const uint32_t acts[] = { REQ_RETRY, REQ_HOLD, REQ_RELEASE,
	    REQ_DELETE };
	struct selection s;
	size_t i;

	(void)state;
	assert_int_equal(list(root, NULL), 3);
	assert_int_equal(list(alice, NULL), 1);
	assert_string_equal(seen[0].id, a.id);
	assert_int_equal(seen[0].owner, 1000);
	assert_int_equal(list(nobody, NULL), 0);
	s = (struct selection){ .flags = SELECT_OWNER, .owner = 1001 };
	assert_int_equal(list(alice, &s), 0);
	assert_int_equal(list(root, &s), 1);
	for (i = 0; i < 4; i++) {
		assert_int_equal(act(alice, acts[i], b.id), 0);
		assert_int_equal(act(alice, acts[i], c.id), 0);
		assert_int_equal(act(alice, acts[i], "AAAAAAAAAAAAAAAAAAAA"),
		    0);
		assert_int_equal(act(nobody, acts[i], NULL), 0);
	}
	assert_int_equal(act(alice, REQ_DELETE, NULL), 1000);
	assert_int_equal(list(root, NULL), 2);
	close(alice);
	close(root);
	close(nobody);
}

static void
test_acts(void **state)
{
	struct spool_name a = home_letter(1000, "a@here.example", 1, 100);
	int alice = home_client(1000), root = home_client(0);

	(void)state;
	assert_int_equal(act(alice, REQ_RELEASE, a.id), 100);
	assert_int_equal(act(alice, REQ_HOLD, a.id), 1000);
	assert_int_equal(act(alice, REQ_HOLD, a.id), 100);
	assert_int_equal(act(alice, REQ_RETRY, a.id), 100);
	list(alice, NULL);
	assert_int_equal(seen[0].place, LETTER_HELD);
	assert_false(seen[0].is_kept);
	/* No scan finds it due, however late it is. */
	q.now += 100ULL * 365 * 86400;
	queue_scan(&q);
	queue_start_due(&q);
	assert_int_equal(q.job_count, 0);
	assert_int_equal(schedule_next(&q.schedule, 1), UINT64_MAX);
	queue_tick(&q);
	assert_int_equal(act(root, REQ_HOLD, a.id), 1000);
	list(alice, NULL);
	assert_true(seen[0].is_kept);
	assert_int_equal(act(alice, REQ_RELEASE, a.id), 100);
	assert_int_equal(act(alice, REQ_HOLD, a.id), 100);
	assert_int_equal(act(alice, REQ_DELETE, a.id), 100);
	assert_int_equal(act(root, REQ_RELEASE, NULL), 1000);
	assert_int_equal(schedule_next(&q.schedule, 1), q.now);
	list(alice, NULL);
	assert_int_equal(seen[0].place, LETTER_WAITING);
	assert_int_equal(act(alice, REQ_DELETE, a.id), 1000);
	assert_int_equal(list(root, NULL), 0);
	close(alice);
	close(root);
}

/* One that comes, or comes again, behind the back of who holds all. */
static void
test_passes(void **state)
{
	static const struct selection any;
	struct pollfd pfd[CONTROL_CLIENTS];
	struct control_client *c;
	int fd = home_client(0);

	(void)state;
	(void)home_letter(1000, "a@here.example", 1, 100);
	ask(fd, REQ_HOLD, &any);
	assert_int_equal(poll(pfd, control_poll(&control, pfd), 0), 1);
	control_ready(&control, pfd);
	c = TAILQ_FIRST(&control.clients);
	while (!c->is_failed)
		assert_int_equal(control_work(c), 0);
	(void)home_letter(1000, "a@here.example", 1, 100);
	assert_int_equal(answer(fd), REPLY_DONE);
	assert_int_equal(get_u32(&reply), 2);
	assert_int_equal(get_u32(&reply), 0);
	message_discard(&reply);
	close(fd);
}

/* Works at a list until it is over: how many of these letters it shows. */
static size_t
list_moving(struct control_client *c, struct spool_name *names, size_t count,
    size_t moves)
{
	struct letter_record r;
	size_t i, moved = 0, found = 0;
	uint8_t is_shown[64] = { 0 };

	assert_true(count <= sizeof(is_shown));
	while (!control_work(c) || c->state == CONTROL_PAGING) {
		if (c->state == CONTROL_PAGING) {
			message_begin(&c->reply, 0);
			c->state = CONTROL_WORKING;
		}
		if (c->view != NULL && c->shown == 0) {
			view_letter(c->view, &r);
			for (i = 0; i < count; i++)
				is_shown[i] |= strcmp(r.id, names[i].id) == 0;
		}
		/* What was there throughout, but not under one name. */
		for (i = 0; i < moves && c->is_walking && !c->is_failed; i++) {
			assert_int_equal(queue_rename(&q,
			    &names[moved % count], q.now + 100 + moved), 0);
			moved++;
		}
		/* There is an end to it, or it would go on for ever. */
		moves = moved > 4 * MOVES_KEPT ? 0 : moves;
	}
	for (i = 0; i < count; i++)
		found += is_shown[i];
	return found;
}

/* Put off while they are listed: none is missed. */
static void
test_moving(void **state)
{
	static const struct selection any;
	static const size_t moves[] = { 0, 1, 3, MOVES_KEPT + 7 };
	struct spool_name names[40];
	struct pollfd pfd[CONTROL_CLIENTS];
	struct control_client *c;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < 40; i++)
		names[i] = home_letter(1000, "a@here.example", 1, 100);
	for (i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
		fd = home_client(0);
		ask(fd, REQ_LIST, &any);
		assert_int_equal(poll(pfd, control_poll(&control, pfd), 0), 1);
		control_ready(&control, pfd);
		c = TAILQ_FIRST(&control.clients);
		assert_int_equal(list_moving(c, names, 40, moves[i]), 40);
		assert_int_equal(c->faults, 0);
		close(fd);
		while (!TAILQ_EMPTY(&control.clients))
			home_turn();
	}
}

/* Who reads the directory comes to this one last. */
static struct spool_name
last_one(void)
{
	DIR *d = fdopendir(openat(q.spool.queue, ".", O_RDONLY | O_DIRECTORY));
	struct spool_name name, last = { .due = 0 };
	struct dirent *entry;

	assert_non_null(d);
	while ((entry = readdir(d)) != NULL)
		if (spool_name_parse(entry->d_name, &name) == 0)
			last = name;
	closedir(d);
	return last;
}

/* One that moves under the eyes of who looks for it among very many. */
static void
test_moving_one(void **state)
{
	struct spool_name moving;
	const uint32_t requests[] = { REQ_HOLD, REQ_DELETE };
	struct pollfd pfd[CONTROL_CLIENTS];
	struct control_client *c;
	struct selection s;
	size_t i, n;
	int fd = home_client(0);

	(void)state;
	for (i = 0; i < 40; i++)
		home_letter(1000, "a@here.example", 1, 100);
	for (n = 0; n < 2; n++) {
		moving = last_one();
		s = by_id(moving.id);
		ask(fd, requests[n], &s);
		assert_int_equal(poll(pfd, control_poll(&control, pfd), 0), 1);
		control_ready(&control, pfd);
		c = TAILQ_FIRST(&control.clients);
		assert_non_null(c->dir);
		assert_int_equal(control_work(c), 0);
		assert_int_equal(queue_rename(&q, &moving, q.now + 7 + n), 0);
		assert_int_equal(answer(fd), REPLY_DONE);
		assert_int_equal(get_u32(&reply), 1);
		assert_int_equal(get_u32(&reply), 0);
		message_discard(&reply);
	}
	close(fd);
}

static void
test_retry(void **state)
{
	struct spool_name a = home_letter(1000, "a@here.example", 1, 5000);
	struct schedule_entry entry;
	int fd = home_client(1000);

	(void)state;
	queue_scan(&q);
	assert_int_equal(act(fd, REQ_RETRY, a.id), 1000);
	assert_int_equal(schedule_pop(&q.schedule, q.now, 1, &entry), 1);
	assert_true(entry.is_asked);
	assert_int_equal(entry.name.due, q.now);
	/* Again, it is due, and is asked for all the same. */
	assert_int_equal(act(fd, REQ_RETRY, a.id), 100);
	assert_int_equal(schedule_pop(&q.schedule, q.now, 1, &entry), 1);
	assert_true(entry.is_asked);
	close(fd);
}

/* Somebody has it: a process that this queue knows nothing of. */
static void
test_locked(void **state)
{
	struct spool_name a = home_letter(1000, "a@here.example", 1, 100);
	int fd = home_client(1000), lock;
	char text[SPOOL_NAME_MAX];

	(void)state;
	assert_int_equal(spool_name_print(&a, text), 0);
	lock = openat(q.spool.queue, text, O_RDONLY);
	assert_int_equal(flock(lock, LOCK_EX), 0);
	assert_int_equal(act(fd, REQ_DELETE, a.id), 10);
	assert_int_equal(list(fd, NULL), 1);
	close(lock);
	assert_int_equal(act(fd, REQ_DELETE, a.id), 1000);
	close(fd);
}

/* Open in the queue: in line it can be had, once it is sent it can't. */
static void
test_open(void **state)
{
	struct spool_name a = home_letter(1000, "a@here.example", 2, 0);
	int fd = home_client(1000);
	struct job *job;

	(void)state;
	queue_scan(&q);
	queue_start_due(&q);
	queue_settle(&q);
	assert_int_equal(q.job_count, 1);
	list(fd, NULL);
	assert_int_equal(seen[0].place, LETTER_ACTIVE);
	assert_int_equal(act(fd, REQ_RETRY, a.id), 100);
	job = TAILQ_FIRST(&q.jobs);
	job->errands[1].is_sent = 1;
	assert_int_equal(act(fd, REQ_HOLD, a.id), 10);
	assert_int_equal(act(fd, REQ_DELETE, a.id), 10);
	job->errands[1].is_sent = 0;
	/* What is not on record yet must come first. */
	(void)job_add_news(&q, job, NULL);
	assert_int_equal(act(fd, REQ_DELETE, a.id), 10);
	job->news_count = 0;
	assert_int_equal(act(fd, REQ_HOLD, a.id), 1000);
	assert_int_equal(q.job_count, 0);
	list(fd, NULL);
	assert_int_equal(seen[0].place, LETTER_HELD);
	close(fd);
}

static void
record(struct letter *l, enum outcome_kind kind, uint32_t recipient,
    uint64_t key, uint32_t attempt, const char *text)
{
	struct outcome o = { .kind = kind, .recipient = recipient, .key = key,
	    .attempt = attempt, .when = 1000 + attempt };

	strlcpy(o.status, "1.2.3", sizeof(o.status));
	strlcpy(o.text, text, sizeof(o.text));
	assert_int_equal(letter_record(&q.spool, l, &o, 1), 0);
}

/* What counts of several outcomes. */
static void
test_outcomes(void **state)
{
	static const struct {
		enum recipient_state	 state;
		const char		*text;
	} wanted[] = {
		{ RECIPIENT_PENDING, "" },
		{ RECIPIENT_DEFERRED, "second" },
		{ RECIPIENT_DELIVERED, "at last" },
		{ RECIPIENT_DEFERRED, "one of two" },
		{ RECIPIENT_FAILED, "the other" },
		{ RECIPIENT_DELIVERED, "found" },
	};
	struct spool_name a = home_letter(1000, "a@here.example", 6, 100);
	int fd = home_client(1000);
	struct letter l;
	size_t i;

	(void)state;
	assert_int_equal(letter_open(&q.spool, &a, &l), 0);
	record(&l, OUTCOME_DEFERRED, 1, 11, 1, "first");
	record(&l, OUTCOME_DEFERRED, 1, 11, 2, "second");
	record(&l, OUTCOME_DEFERRED, 2, 12, 1, "not yet");
	record(&l, OUTCOME_DELIVERED, 2, 12, 2, "at last");
	record(&l, OUTCOME_NOTIFIED, 2, 0, 2, "told");
	record(&l, OUTCOME_DEFERRED, 3, 13, 1, "one of two");
	record(&l, OUTCOME_DELIVERED, 3, 14, 2, "the other");
	record(&l, OUTCOME_FAILED, 4, 15, 1, "the other");
	record(&l, OUTCOME_DELIVERED, 4, 16, 2, "one of two");
	/* Led nowhere, and then to somebody. */
	record(&l, OUTCOME_DEFERRED, 5, 0, 1, "no alias");
	record(&l, OUTCOME_DELIVERED, 5, 17, 2, "found");
	letter_close(&l);
	assert_int_equal(list(fd, NULL), 1);
	assert_int_equal(seen[0].attempts, 2);
	assert_int_equal(seen[0].recipients, 6);
	for (i = 0; i < 6; i++) {
		assert_int_equal(people[i].state, wanted[i].state);
		assert_string_equal(people[i].text, wanted[i].text);
		assert_int_equal(people[i].when != 0, i > 0);
	}
	close(fd);
}

static void
test_selection(void **state)
{
	static const struct {
		struct selection s;
		size_t		 count;
	} rows[] = {
		{ { .flags = SELECT_SENDER }, 1 },
		{ { .flags = SELECT_SENDER, .sender = "A@Here.example" }, 1 },
		{ { .flags = SELECT_SENDER, .sender = "@HERE.example" }, 2 },
		{ { .flags = SELECT_SENDER, .sender = "@" }, 0 },
		{ { .flags = SELECT_SENDER, .sender = "here.example" }, 0 },
		{ { .flags = SELECT_RECIPIENT,
		    .recipient = "r1@elsewhere.example" }, 1 },
		{ { .flags = SELECT_RECIPIENT,
		    .recipient = "@there.example" }, 3 },
		{ { .flags = SELECT_DESTINATION,
		    .destination = "elsewhere.EXAMPLE" }, 1 },
		{ { .flags = SELECT_DESTINATION,
		    .destination = "mx:there.example" }, 3 },
		{ { .flags = SELECT_DESTINATION, .destination = "" }, 0 },
		{ { .places = IN_PLACE(LETTER_DEFERRED) }, 2 },
		{ { .places = IN_PLACE(LETTER_WAITING) }, 1 },
		{ { .places = IN_PLACE(LETTER_HELD) |
		    IN_PLACE(LETTER_FAILED) }, 0 },
		{ { .flags = SELECT_ID, .id = "../x" }, 0 },
		{ { .flags = SELECT_ID, .id = "" }, 0 },
	};
	int fd = home_client(0);
	struct letter l;
	struct spool_name a;
	size_t i;

	(void)state;
	a = home_letter(1000, "a@here.example", 3, 100);
	(void)home_letter(1001, "b@Here.example", 1, 100);
	(void)home_letter(1002, "", 1, 0);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(list(fd, &rows[i].s), rows[i].count);
	/* Who has it is no recipient any more. */
	assert_int_equal(letter_open(&q.spool, &a, &l), 0);
	record(&l, OUTCOME_DELIVERED, 1, 11, 1, "taken");
	letter_close(&l);
	assert_int_equal(list(fd, &rows[5].s), 0);
	assert_int_equal(list(fd, &rows[7].s), 0);
	close(fd);
}

/* Damaged in queue/, and kept in failed/: root's, to be removed. */
static void
test_damaged_and_failed(void **state)
{
	struct spool_name a = home_letter(1000, "a@here.example", 1, 100);
	struct spool_name b = home_letter(1000, "a@here.example", 1, 100);
	int root = home_client(0), alice = home_client(1000), fd;
	char text[SPOOL_NAME_MAX];

	(void)state;
	assert_int_equal(spool_name_print(&a, text), 0);
	fd = openat(q.spool.queue, text, O_WRONLY | O_TRUNC);
	close(fd);
	assert_int_equal(spool_fail(&q.spool, &b), 0);
	assert_int_equal(list(root, NULL), 2);
	assert_int_equal(seen[0].is_damaged + seen[1].is_damaged, 1);
	assert_int_equal(list(alice, NULL), 1);
	assert_int_equal(seen[0].place, LETTER_FAILED);
	assert_int_equal(act(alice, REQ_RETRY, b.id), 100);
	assert_int_equal(act(alice, REQ_HOLD, b.id), 100);
	assert_int_equal(act(alice, REQ_DELETE, a.id), 0);
	assert_int_equal(act(alice, REQ_DELETE, b.id), 1000);
	assert_int_equal(act(root, REQ_DELETE, a.id), 1000);
	assert_int_equal(list(root, NULL), 0);
	close(root);
	close(alice);
}

static void
test_content(void **state)
{
	struct spool_name a = home_letter(1000, "a@here.example", 1, 100);
	int fd = home_client(1000), other = home_client(1001);
	char text[64];
	struct message m;
	size_t len;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		message_begin(&m, REQ_CONTENT);
		put_str(&m, a.id);
		assert_int_equal(message_send(i == 0 ? fd : other, &m), 0);
		assert_int_equal(answer(i == 0 ? fd : other), REPLY_CONTENT);
		get_data(&reply, text, sizeof(text), &len);
		assert_int_equal(len, i == 0 ? 19 : 0);
		if (i == 0)
			assert_memory_equal(text, "Received: x\n\nhello\n", 19);
		assert_int_equal(get_u32(&reply), PAGE_LAST);
		assert_int_equal(get_end(&reply), 0);
	}
	close(fd);
	close(other);
}

static void
is_refused(int fd, enum control_refusal why)
{
	assert_int_equal(answer(fd), REPLY_REFUSED);
	assert_int_equal(get_u32(&reply), why);
	assert_int_equal(answer(fd), 0);
	close(fd);
}

static void
test_limits(void **state)
{
	int fds[CONTROL_CLIENTS], fd, i;

	(void)state;
	for (i = 0; i < CONTROL_EACH; i++)
		fds[i] = home_client(1000);
	is_refused(home_client(1000), CONTROL_BUSY);
	for (; i < CONTROL_CLIENTS; i++) {
		q.now_ms++;
		fds[i] = home_client(2000 + (uint32_t)i);
	}
	/* The first is the one that has been silent the longest, but for him. */
	list(fds[0], NULL);
	fd = home_client(1001);
	assert_int_equal(control.count, CONTROL_CLIENTS);
	assert_int_equal(answer(fds[1]), 0);
	assert_int_equal(list(fds[0], NULL), 0);
	assert_int_equal(list(fd, NULL), 0);
	/* Nobody is there for ever. */
	q.now_ms += 61000;
	home_turn();
	assert_int_equal(control.count, 0);
	assert_int_equal(control_next(&control), UINT64_MAX);
	for (i = 0; i < CONTROL_CLIENTS; i++)
		close(fds[i]);
	close(fd);
	control.is_open = 0;
	is_refused(home_client(0), CONTROL_ELSEWHERE);
	control.is_open = 1;
}

/* Asks for page after page and does not read them. */
static void
test_no_reader(void **state)
{
	static const struct selection any;
	int fd = home_client(0), i;

	(void)state;
	for (i = 0; i < 5; i++)
		(void)home_letter(1000, "s@here.example", 1000, 100);
	ask(fd, REQ_LIST, &any);
	for (i = 0; i < 1000 && control.count == 1; i++) {
		home_turn();
		if (control.count == 1 &&
		    TAILQ_FIRST(&control.clients)->state == CONTROL_PAGING)
			ask(fd, REQ_NEXT, NULL);
	}
	assert_int_equal(control.count, 0);
	/* Or goes away in the middle of it. */
	fd = (close(fd), home_client(0));
	ask(fd, REQ_LIST, &any);
	home_turn();
	close(fd);
	home_turn();
	assert_int_equal(control.count, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pages), TEST(test_whose), TEST(test_acts),
		TEST(test_passes), TEST(test_moving), TEST(test_moving_one),
		TEST(test_retry), TEST(test_locked), TEST(test_open),
		TEST(test_outcomes), TEST(test_selection),
		TEST(test_damaged_and_failed), TEST(test_content),
		TEST(test_limits), TEST(test_no_reader),
	};

	return cmocka_run_group_tests_name("test_control", tests, NULL, NULL);
}
