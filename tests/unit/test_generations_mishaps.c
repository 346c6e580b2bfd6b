/* LINK: privsep/generation privsep/crowd privsep/setting privsep/roles privsep/session privsep/child privsep/hurry privsep/speaker privsep/program privsep/crash privsep/facts privsep/message privsep/log */
/* LIBS: -Wl,--wrap=fork,--wrap=socketpair,--wrap=kill */
/*
 * The master's generations among roles that die, hang and are slow, at any
 * moment: thousands of interleavings, each of which can be had again by its
 * seed.
 *
 *	GENERATIONS_SEED	of the first round
 *	GENERATIONS_ROUNDS	how many
 */
#include "generations_checks.h"

#define ROUNDS		800
#define TURNS		60	/* of chaos in a round */

/* What goes wrong, and what people do */

static const int statuses[] = {
	SIGSEGV, SIGKILL, SIGSYS, 0, 1 << 8, SIGABRT
};

static void
a_role_dies(void)
{
	struct process *p = some_process();

	if (p != NULL)
		process_ends(p, statuses[roll(6)]);
}

static void
a_role_stops(void)
{
	struct process *p = some_process();

	if (p != NULL)
		p->is_deaf = 1;
}

static void
a_role_goes_on(void)
{
	struct process *p;

	TAILQ_FOREACH(p, &world.processes, link)
		if (p->is_deaf) {
			p->is_deaf = 0;
			return;
		}
}

static void
a_worker_dies(void)
{
	struct process *p = some_process();
	struct worker *w = p != NULL ? TAILQ_FIRST(&p->workers) : NULL;

	if (w != NULL && !p->is_deaf)
		worker_ends(p, w, statuses[roll(6)]);
}

static void
a_role_lets_go(void)
{
	struct process *p = some_process();

	if (p != NULL)
		shutdown(one_in(2) ? p->channel : p->log, SHUT_RDWR);
}

static void
a_client_goes(void)
{
	struct session *s = TAILQ_FIRST(&master.sessions);

	if (s != NULL)
		session_end(s);
}

static void
a_session_crashes(void)
{
	session_note(1, NOTE_CRASHED);
}

static void
files_change(void)
{
	static time_t looked;

	if (looked != master.now)
		(void)generation_start_awaited();
	looked = master.now;
}

static void
time_passes(void)
{
	master.now += 1 + (one_in(10) ? roll(40) : 0);
}

static const struct {
	void	(*happens)(void);
	unsigned weight;
} mishaps[] = {
	{ a_role_dies, 6 }, { a_role_stops, 1 }, { a_role_goes_on, 1 },
	{ a_worker_dies, 3 }, { a_role_lets_go, 2 }, { a_client_comes, 10 },
	{ a_client_goes, 8 }, { a_session_crashes, 1 }, { a_hangup_comes, 2 },
	{ files_change, 1 }, { time_passes, 8 },
};
#define MISHAPS	(sizeof(mishaps) / sizeof(mishaps[0]))

static void
something_happens(void)
{
	unsigned sum = 0, n;
	size_t i;

	for (i = 0; i < MISHAPS; i++)
		sum += mishaps[i].weight;
	n = roll(sum);
	for (i = 0; n >= mishaps[i].weight; i++)
		n -= mishaps[i].weight;
	mishaps[i].happens();
}

static void
round_of(uint64_t seed)
{
	struct process *p;
	unsigned i;

	dice = seed * 0x9e3779b97f4a7c15u + 1;
	for (i = 0; i < TURNS; i++) {
		while (one_in(2))
			something_happens();
		while (!one_in(4) && (p = some_process()) != NULL)
			process_acts(p);
		(void)turn();
		tick();
		check(seed);
	}
	calm_down(seed);
}

static uint64_t
number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static size_t
descriptors(void)
{
	size_t n = 0;
	int fd;

	for (fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

static void
test_nothing_stops_it(void **state)
{
	uint64_t seed = number_of("GENERATIONS_SEED", 1);
	uint64_t rounds = number_of("GENERATIONS_ROUNDS", ROUNDS);

	(void)state;
	for (; rounds > 0; rounds--)
		round_of(seed++);
	printf("%zu generations were started, %zu served\n", world.starts,
	    world.served);
	assert_in_range(descriptors(), 0, 200);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_stops_it),
	};

	return cmocka_run_group_tests_name("test_generations_mishaps", tests, setup,
	    teardown);
}
