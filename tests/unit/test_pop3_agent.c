/* LINK: pop3d/session pop3d/login pop3d/commands pop3d/maildrop pop3d/stubs pop3d/transaction pop3d/retrieve pop3d/content pop3d/surrogate pop3d/capabilities pop3d/agent pop3d/policy mailbox/state mailbox/path wire/utf8 wire/octets wire/mbox_filter wire/wire wire/sasl privsep/message privsep/gates privsep/log privsep/facts */
/*
 * test_pop3_agent: what the agent refuses: requests that its table does not
 * allow, and those that lie.
 */
#include "pop3_session.h"

/* Requests that the table allows but that lie: a fault, and nothing done. */
static void
test_agent_faults(void **state)
{
	static const struct { uint32_t first, count; } fetches[] = {
		{ 0, 0 }, { 0, 17 }, { 3, 1 }, { 2, 2 }, { UINT32_MAX, 2 },
		{ 0, UINT32_MAX }
	};
	static const struct { uint32_t at, last; size_t len; uint8_t bits; }
	    expunges[] = {
		{ 1, 1, 1, 1 },		/* a gap */
		{ 0, 1, 2, 1 },		/* too long */
		{ 0, 0, 1, 1 },		/* whole but not the last */
		{ 0, 2, 1, 1 },		/* no such flag */
		{ 0, 1, 1, 8 }		/* a message that is not there */
	};
	const struct gate *g = pop3_gates.gates;
	uint8_t bits[2] = { 0, 0 };
	struct message m;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(fetches) / sizeof(fetches[0]); i++) {
		message_begin(&m, REQ_FETCH);
		put_u32(&m, fetches[i].first);
		put_u32(&m, fetches[i].count);
		assert_int_equal(g[1].handler(&fake.agent, fake.pair[1], &m),
		    STATE_FAULT);
	}
	for (i = 0; i < sizeof(expunges) / sizeof(expunges[0]); i++) {
		message_begin(&m, REQ_EXPUNGE);
		put_u32(&m, expunges[i].at);
		put_u32(&m, expunges[i].last);
		bits[0] = expunges[i].bits;
		put_data(&m, bits, expunges[i].len);
		assert_int_equal(g[2].handler(&fake.agent, fake.pair[1], &m),
		    STATE_FAULT);
		free(fake.agent.bitmap);
		fake.agent.bitmap = NULL;
	}
	assert_int_equal(fake.done->expunges, 0);
	assert_int_equal(recv(fake.pair[0], &m, sizeof(m), MSG_DONTWAIT), -1);
}

/* Every request in every state, and with surplus and lacking fields. */
static void
test_gate_table(void **state)
{
	static const struct {
		uint32_t	request;
		size_t		min, max;
		unsigned int	states;
	} rows[] = {
		{ REQ_OPEN, 0, 0, 1 << POP3_ENTERED },
		{ REQ_FETCH, 8, 8, 1 << POP3_OPENED },
		{ REQ_EXPUNGE, 13, 12 + POP3_BITMAP_MAX,
		    1 << POP3_OPENED | 1 << POP3_EXPUNGING },
		{ REQ_RECOUNT, 4, 4, 1 << POP3_OPENED }
	};
	struct message m;
	size_t i;
	int s, is_allowed;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (s = -1; s < 32; s++)
			for (message_begin(&m, rows[i].request);
			    m.len < MESSAGE_MAX; m.len++) {
				is_allowed = s >= 0 && m.len >= rows[i].min &&
				    m.len <= rows[i].max &&
				    (rows[i].states >> s & 1) != 0;
				assert_int_equal(gate_find(&pop3_gates, s, 0,
				    &m) != NULL, is_allowed);
				m.nfds = 1;
				assert_null(gate_find(&pop3_gates, s, 0, &m));
				m.nfds = 0;
			}
	message_begin(&m, REQ_OPEN);
	assert_null(gate_find(&pop3_gates, POP3_ENTERED, 1, &m));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SESSION_TEST(test_agent_faults),
		SESSION_TEST(test_gate_table)
	};

	return cmocka_run_group_tests_name("pop3_agent", tests, NULL, NULL);
}
