/* LINK: privsep/generation privsep/crowd privsep/setting privsep/roles privsep/session privsep/child privsep/hurry privsep/speaker privsep/program privsep/crash privsep/facts privsep/message privsep/log */
/* LIBS: -Wl,--wrap=fork,--wrap=socketpair,--wrap=kill */
/*
 * The master's generations, one case at a time: how many workers are asked for,
 * what a role may tell, and when the next generation is started.
 */
#include "generations_checks.h"

static struct process *
spawner_of(const struct generation *g)
{
	return process_find(g->spawner.pid);
}

/* Nobody is served, all wait that are to; what comes next has a second. */
static void
settle(void)
{
	int i;

	session_end_all();
	for (i = 0; i < 50; i++) {
		calm_down(0);
		world.is_calm = 1;
		everybody_acts();
		(void)turn();
		tick();
	}
	assert_true(TAILQ_EMPTY(&master.sessions));
	master.now += 2;
}

/* What the spawner refuses as too much is never asked for. */
static void
test_a_rush_is_bounded(void **state)
{
	struct generation *g;
	struct waiting *w;
	struct message m;
	struct process *p;
	size_t owed, taken = 0;
	int i;

	(void)state;
	settle();
	g = generation_newest();
	p = spawner_of(g);
	master.config->prefork = 1000;
	/* All in one second: more than SPAWN_MAX would be kept waiting. */
	while (taken < SPAWN_MAX * 3 / 2) {
		process_acts(p);
		(void)turn();
		for (; (w = crowd_take(g)) != NULL; taken++)
			crowd_dismiss(g, w);
	}
	assert_int_equal(g->asked, SPAWN_MAX);
	for (owed = p->owed; message_recv(p->channel, &m, 0) == 1;) {
		assert_int_equal(m.type, CH_SPAWN);
		(void)get_u64(&m);
		owed += get_u32(&m);
	}
	assert_int_equal(owed, SPAWN_MAX);
	/* It will not hear of these again. */
	process_ends(p, SIGKILL);
	master.config->prefork = 4;
	for (i = 0; i < 100; i++) {
		master.now += 20;
		crowd_shrink();
	}
	settle();
}

/* A spawner can't make the master hold descriptors without end. */
static void
test_workers_that_nobody_asked_for(void **state)
{
	struct generation *g;
	struct process *p;
	size_t waiting;
	int i;

	(void)state;
	settle();
	g = generation_newest();
	p = spawner_of(g);
	waiting = g->waiting_count;
	assert_int_equal(g->asked, 0);
	p->first = 1;
	for (p->owed = 50; p->owed > 0;)
		spawn(p);
	(void)turn();
	assert_int_equal(g->waiting_count, waiting);
	assert_int_equal(g->dismissed, 50);
	for (i = 0; i < 3; i++) {
		everybody_acts();
		(void)turn();
	}
	assert_int_equal(g->dismissed, 0);
	assert_int_equal(g->asked, 0);
}

/* Each role tells of what it can have seen; else it is in other hands. */
static void
test_a_role_that_tells_what_it_cannot_know(void **state)
{
	static const struct { size_t role; enum note note; } lies[] = {
		{ 0, NOTE_LOGGED_IN }, { 2, NOTE_LOGGED_IN },
		{ 2, NOTE_LOGIN_FAILED }, { 3, NOTE_LOGGED_IN },
		{ 3, NOTE_CRASHED }, { 4, NOTE_GATE_FAULT },
		{ 4, NOTE_LOGGED_IN }, { 5, NOTE_CRASHED },
		{ 5, NOTE_LOGGED_IN }, { 1, 0 }, { 1, 32 }, { 1, 1000 },
		{ 1, UINT32_MAX },
	};
	struct generation *g;
	struct message m;
	struct session *s;
	struct child *c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		settle();
		a_client_comes();
		g = generation_newest();
		s = TAILQ_FIRST(&master.sessions);
		assert_non_null(s);
		c = roles_at(g, lies[i].role);
		message_begin(&m, CH_NOTE);
		put_u64(&m, s->facts.session);
		put_u32(&m, lies[i].note);
		assert_int_equal(message_send(process_find(c->pid)->channel,
		    &m), 0);
		(void)turn();
		assert_false(s->is_logged_in);
		if (c != &g->spawner)	/* which is not listened to at all */
			assert_true(g->is_retired || process_find(c->pid) ==
			    NULL);
	}
	settle();
}

/* Files have changed: whoever comes waits, however soon after a start. */
static void
test_an_awaited_start_within_the_second(void **state)
{
	struct generation *old;

	(void)state;
	settle();
	a_hangup_comes();
	settle();
	old = generation_newest();
	a_hangup_comes();
	assert_int_equal(generation_start_awaited(), 0);
	assert_null(generation_newest());
	assert_true(generation_is_starting());
	a_hangup_comes();
	assert_null(generation_newest());
	master.now++;
	tick();
	assert_non_null(generation_newest());
	assert_ptr_not_equal(generation_newest(), old);
	assert_false(generation_newest()->is_serving);
	settle();
	assert_true(generation_newest()->is_serving);
}

/* A role that has much to say, and ends before the master gets to hear it. */
static void
test_last_words(void **state)
{
	struct generation *g;
	struct message m;
	struct process *p;
	size_t before;
	int i;

	(void)state;
	settle();
	g = generation_newest();
	p = process_find(g->login.pid);
	g->login.log_pid = getpid();
	message_begin(&m, CH_LOG);
	put_u32(&m, LOG_INFO);
	put_str(&m, "event=said");
	for (i = 0; i < 300; i++)
		assert_int_equal(message_send(p->log, &m), 0);
	before = world.line_count;
	process_ends(p, 0);
	child_forget(&g->login);
	assert_in_range(world.line_count - before, 300, 310);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_rush_is_bounded),
		cmocka_unit_test(test_workers_that_nobody_asked_for),
		cmocka_unit_test(test_a_role_that_tells_what_it_cannot_know),
		cmocka_unit_test(test_an_awaited_start_within_the_second),
		cmocka_unit_test(test_last_words),
	};

	return cmocka_run_group_tests_name("test_generations", tests, setup,
	    teardown);
}
