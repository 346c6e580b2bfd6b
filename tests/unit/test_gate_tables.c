/* LINK: MAILBOX privsep/gates privsep/message privsep/log privsep/facts pop3d/agent pop3d/policy smtpd/smtp_gates smtpd/intake smtpd/client_name smtpd/dns_reverse smtpd/dns_reply smtpd/header smtpd/deliver smtpd/deliver_request smtpd/program smtpd/forward smtpd/policy smtpd/srs smtpd/idna smtpd/relay_recipients privsep/nss smtpd/trace smtpd/spool smtpd/spool_write smtpd/envelope smtpd/aliases smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/account smtpd/address smtpd/xtext smtpd/control_gates smtpd/control_gate privsep/config privsep/config_route wire/utf8 */
/*
 * test_gate_tables: the constant tables of agents and queue side by side (C9):
 * every request in every state, of every size, with any number of
 * descriptors; and gates_serve() on a table of the test's own.
 */
#include <sys/socket.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mailbox/mbox_keeper.h"
#include "pop3d/agent.h"
#include "smtpd/agent.h"
#include "smtpd/control.h"
#include "smtpd/deliver.h"

#define DESCRIPTORS	(MESSAGE_FDS_MAX + 1)

/* What README.md and the headers of the gates say, written down once more. */
static const struct row {
	const struct gate_table	*table;
	uint32_t		 request;
	uint32_t		 states;
	int			 once;
	int			 descriptors;
	size_t			 min, max;
} rows[] = {
	{ &pop3_gates, 0x101, 1 << 0, 1, 0, 0, 0 },
	{ &pop3_gates, 0x102, 1 << 1, 0, 0, 8, 8 },
	{ &pop3_gates, 0x103, 1 << 1 | 1 << 2, 0, 0, 13, 4108 },
	{ &pop3_gates, 0x104, 1 << 1, 1, 0, 4, 4 },
	{ &smtp_gates, 0x201, 1 << 0, 0, 0, 32, 786 },
	{ &smtp_gates, 0x202, 1 << 1 | 1 << 2, 0, 0, 17, 1023 },
	{ &smtp_gates, 0x203, 1 << 1 | 1 << 2, 0, 0, 0, 0 },
	{ &smtp_gates, 0x204, 1 << 3, 0, 0, 8, 8 },
	{ &smtp_gates, 0x205, 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3, 0, 0, 0, 0 },
	{ &smtp_gates, 0x206, 1 << 0 | 1 << 1 | 1 << 2, 0, 0, 8, 515 },
	{ &smtp_gates, 0x207, 1 << 0 | 1 << 1 | 1 << 2, 0, 0, 12, 519 },
	{ &delivery_gates, 0x302, 1 << 0, 0, 1, 50, 719 },
	{ &delivery_gates, 0x303, 1 << 1, 0, 0, 5, 35 },
	{ &keeper_gates, 0x401, 1 << 0, 0, 0, 0, 0 },
	{ &keeper_gates, 0x402, 1 << 0, 0, 0, 0, 0 },
	{ &keeper_gates, 0x403, 1 << 1, 0, 0, 0, 0 },
	{ &keeper_gates, 0x404, 1 << 1, 0, 0, 0, 0 },
	{ &control_gates, 0x501, 1 << 0, 0, 0, 28, 1019 },
	{ &control_gates, 0x502, 1 << 0, 0, 0, 4, 35 },
	{ &control_gates, 0x503, 1 << 1, 0, 0, 0, 0 },
	{ &control_gates, 0x504, 1 << 0, 0, 0, 28, 1019 },
	{ &control_gates, 0x505, 1 << 0, 0, 0, 28, 1019 },
	{ &control_gates, 0x506, 1 << 0, 0, 0, 28, 1019 },
	{ &control_gates, 0x507, 1 << 0, 0, 0, 28, 1019 },
};
#define ROWS	(sizeof(rows) / sizeof(rows[0]))

static const struct gate_table *const tables[] = {
	&pop3_gates, &smtp_gates, &delivery_gates, &keeper_gates,
	&control_gates
};
#define TABLES	(sizeof(tables) / sizeof(tables[0]))

const struct companion mailbox_companion;

void
control_begin(struct control_client *c, uint32_t request)
{
	(void)c;
	(void)request;
	fail();
}

void
agent_confine(const struct agent *agent, enum agent_room room,
    const int *directories, size_t count)
{
	(void)agent;
	(void)room;
	(void)directories;
	(void)count;
}

static const struct row *
expected(const struct gate_table *table, uint32_t request)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		if (rows[i].table == table && rows[i].request == request)
			return &rows[i];
	return NULL;
}

static void
check(const struct gate_table *table, int state, const struct message *m)
{
	const struct row *row = expected(table, m->type);
	const struct gate *g = gate_find(table, state, 0, m);
	int is_allowed;

	is_allowed = row != NULL && state >= 0 && state < 32 &&
	    (row->states >> state & 1) != 0 && m->nfds == row->descriptors &&
	    m->len >= row->min && m->len <= row->max;
	assert_int_equal(g != NULL, is_allowed);
	if (g == NULL)
		return;
	assert_int_equal(g->request, m->type);
	/* Used before: once is once. */
	assert_int_equal(gate_find(table, state, UINT32_MAX, m) == NULL,
	    row->once);
}

/* Every size of every request in every state, right and surplus descriptors. */
static void
test_walk(void **state)
{
	struct message m;
	size_t t, i;
	int s;

	(void)state;
	for (t = 0; t < TABLES; t++)
		for (i = 0; i < ROWS; i++)
			for (s = -2; s <= 33; s++) {
				message_begin(&m, rows[i].request);
				for (; m.len <= MESSAGE_MAX; m.len++)
					for (m.nfds = 0; m.nfds < 3; m.nfds++)
						check(tables[t], s, &m);
			}
}

/* Every other number is nobody's request. */
static void
test_unknown(void **state)
{
	static const uint32_t far[] = { 0x8101, 0x8201, 0x8302, 0x10101,
	    0x01010000, 0x7fffffff, 0x80000101, UINT32_MAX };
	struct message m;
	uint32_t request;
	size_t t, i;
	int s;

	(void)state;
	for (t = 0; t < TABLES; t++)
		for (s = 0; s < 5; s++) {
			for (request = 0; request < 0x600; request++) {
				message_begin(&m, request);
				for (; m.len < 60; m.len += 4)
					check(tables[t], s, &m);
			}
			for (i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
				message_begin(&m, far[i]);
				assert_null(gate_find(tables[t], s, 0, &m));
			}
		}
}

static void
test_descriptors(void **state)
{
	struct message m;
	size_t i;
	int s;

	(void)state;
	for (i = 0; i < ROWS; i++)
		for (s = 0; s < 5; s++) {
			message_begin(&m, rows[i].request);
			m.len = rows[i].min;
			for (; m.nfds < DESCRIPTORS; m.nfds++)
				check(rows[i].table, s, &m);
		}
}

/* The tables hold what is expected of them, and nothing twice. */
static void
test_whole(void **state)
{
	size_t t, i, j, count = 0;

	(void)state;
	for (t = 0; t < TABLES; t++) {
		assert_in_range(tables[t]->count, 1, 32);
		assert_int_equal(tables[t]->first_state, 0);
		count += tables[t]->count;
		for (i = 0; i < tables[t]->count; i++) {
			const struct gate *g = &tables[t]->gates[i];

			assert_non_null(g->name);
			assert_non_null(g->handler);
			assert_non_null(expected(tables[t], g->request));
			assert_true(g->max_size <= MESSAGE_MAX);
			assert_true(g->descriptors <= MESSAGE_FDS_MAX);
			for (j = 0; j < i; j++)
				assert_int_not_equal(g->request,
				    tables[t]->gates[j].request);
		}
	}
	assert_int_equal(count, ROWS);
}

/* gates_serve(), on a table of four. */

static int handled;	/* calls of handlers */

static int
answer_step(void *session, int sock, struct message *request)
{
	int *next = session;
	struct message reply;

	handled++;
	if (get_end(request) == -1)
		return STATE_FAULT;
	message_begin(&reply, 100);
	message_send(sock, &reply);
	return *next;
}

/* Takes less than what is there. */
static int
answer_careless(void *session, int sock, struct message *request)
{
	(void)session;
	(void)sock;
	(void)request;
	handled++;
	return 1;
}

static const struct gate toys[] = {
	{ .request = 1, .name = "STEP", .states = IN_STATE(0) | IN_STATE(1),
	    .handler = answer_step },
	{ .request = 2, .name = "ONCE", .states = IN_STATE(0) | IN_STATE(1),
	    .once = 1, .handler = answer_step },
	{ .request = 3, .name = "CARELESS", .states = IN_STATE(0),
	    .descriptors = 2, .max_size = 100, .handler = answer_careless },
	{ .request = 4, .name = "LARGE", .states = IN_STATE(0),
	    .max_size = MESSAGE_MAX, .handler = answer_careless },
};
static const struct gate_table toy_table = { "toys", toys, 4, 0 };

static int
open_descriptors(void)
{
	struct dirent *d;
	int n = 0;
	DIR *dir = opendir("/proc/self/fd");

	assert_non_null(dir);
	while ((d = readdir(dir)) != NULL)
		n++;
	closedir(dir);
	return n;
}

/* Requests of these numbers in a row, then silence or the end. */
struct talk {
	int		requests[4];
	int		nfds;		/* with each */
	size_t		raw;		/* instead: so many octets */
	int		is_left;	/* the peer goes at the end */
	int		next;		/* the handler's verdict */
	int		result, error;
	int		handled;
};

static void
serve(const struct talk *t)
{
	static const uint8_t raw[MESSAGE_MAX + 5] = { 4 };	/* LARGE */
	int next = t->next, pair[2], before = open_descriptors(), i, n;
	struct message m;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    pair), 0);
	for (i = 0; i < 4 && t->requests[i] != 0; i++) {
		message_begin(&m, (uint32_t)t->requests[i]);
		for (n = 0; n < t->nfds; n++)
			put_fd(&m, pair[0]);
		assert_int_equal(message_send(pair[0], &m), 0);
	}
	if (t->raw != 0)
		assert_int_equal(send(pair[0], raw, t->raw, 0),
		    (ssize_t)t->raw);
	if (t->is_left)
		shutdown(pair[0], SHUT_WR);
	handled = 0;
	errno = 0;
	assert_int_equal(gates_serve(&toy_table, &next, pair[1], 20),
	    t->result);
	if (t->result == -1)
		assert_int_equal(errno, t->error);
	assert_int_equal(handled, t->handled);
	close(pair[0]);
	close(pair[1]);
	/* Whatever rode along is closed, taken or not. */
	assert_int_equal(open_descriptors(), before);
}

static void
test_serve(void **state)
{
	static const struct talk talks[] = {
		{ { 0 }, .is_left = 1, .result = 0 },
		{ { 0 }, .result = -1, .error = ETIMEDOUT },
		{ { 1, 1, 1 }, .next = 0, .is_left = 1, .handled = 3 },
		{ { 1, 2, 1 }, .next = 1, .is_left = 1, .handled = 3 },
		{ { 1, 1 }, .next = STATE_END, .handled = 1 },
		{ { 1, 1 }, .next = STATE_FAULT, .result = -1,
		    .error = EPROTO, .handled = 1 },
		/* a state that no table has */
		{ { 1, 1 }, .next = 40, .result = -1, .error = EPROTO,
		    .handled = 1 },
		{ { 2, 2, 1 }, .next = 0, .result = -1, .error = EPROTO,
		    .handled = 1 },
		{ { 9, 1 }, .result = -1, .error = EPROTO },
		{ { 1 }, .nfds = 1, .result = -1, .error = EPROTO },
		{ { 1 }, .nfds = 16, .result = -1, .error = EPROTO },
		{ { 3 }, .result = -1, .error = EPROTO },
		{ { 3 }, .nfds = 2, .is_left = 1, .handled = 1 },
		{ { 3, 3 }, .nfds = 2, .result = -1, .error = EPROTO,
		    .handled = 1 },
		{ { 0 }, .raw = 1, .result = -1, .error = EPROTO },
		{ { 0 }, .raw = 3, .result = -1, .error = EPROTO },
		{ { 0 }, .raw = MESSAGE_MAX + 4, .is_left = 1, .handled = 1 },
		{ { 0 }, .raw = MESSAGE_MAX + 5, .result = -1,
		    .error = EPROTO },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(talks) / sizeof(talks[0]); i++)
		serve(&talks[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_serve),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("test_gate_tables", tests, NULL,
	    NULL);
}
