/* LINK: OUTBOUND smtpd/spool_read smtpd/spool smtpd/envelope smtpd/xtext smtpd/address wire/utf8 privsep/config privsep/log privsep/message */
/*
 * The hosts that letters go to: some refuse, are dead, silent or moved, or too
 * many, and what that is for their letters and for those of others.
 */
#include <arpa/inet.h>

#include "outbound_home.h"

/* All addresses say 5xx: the letter fails; one that comes later is tried. */
static void
test_refused(void **state)
{
	int gate, i;

	(void)state;
	for (i = 0; i < 2; i++) {
		add("x.example", 1);
		gate = relay();
		greet(gate, RELAY_FAIL, 554, "5.3.2", "no mail here");
		assert_int_equal(done_count, i + 1);
		assert_int_equal(results[i].verdict, DELIVERY_FAILED);
		assert_string_equal(results[i].status, "5.3.2");
		close(gate);
	}
}

/* A dead one rests; then one probe, however many wait. */
static void
test_rest(void **state)
{
	int gate, i;

	(void)state;
	add("x.example", 1);
	gate = relay();
	greet(gate, RELAY_DEFER, 421, "4.3.2", "busy");
	close(gate);
	assert_int_equal(done_count, 1);
	assert_int_equal(results[0].verdict, DELIVERY_DEFERRED);
	assert_string_equal(results[0].status, "4.3.2");
	for (i = 0; i < 20; i++)
		add("x.example", 1);
	turn(1000);
	assert_int_equal(asked_count, 0);
	assert_int_equal(done_count, 21);
	for (i = 0; i < 20; i++)
		add("x.example", 1);
	turn(30000);
	gate = relay();
	for (i = 0; i < 10; i++)
		turn(100);
	assert_int_equal(asked_count, 0);
	assert_int_equal(o.connection_count, 1);
	greet(gate, RELAY_DEFER, 421, "4.3.2", "busy");
	close(gate);
	assert_int_equal(done_count, 41);
	/* Longer, the second time. */
	add("x.example", 1);
	turn(31000);
	assert_int_equal(done_count, 42);
}

static void
test_nobody_listens(void **state)
{
	int i;

	(void)state;
	close(listener);
	add("x.example", 1);
	for (i = 0; i < 100 && done_count == 0; i++) {
		turn(0);
		usleep(1000);
	}
	assert_int_equal(done_count, 1);
	assert_int_equal(results[0].verdict, DELIVERY_DEFERRED);
	assert_string_equal(results[0].status, "4.4.1");
	listener = open("/dev/null", O_RDONLY);
}

/* Addresses enough for a day of silence: not all of them in one attempt. */
static void
test_tarpits(void **state)
{
	int gate, i;

	(void)state;
	add("x.example", 1);
	for (i = 0; i < 3; i++) {
		gate = relay();
		TAILQ_FIRST(&o.connections)->tried = 0;
		turn(4 * 60 * 1000 + 1);
		assert_int_equal(done_count, 0);
		close(gate);
	}
	gate = relay();
	TAILQ_FIRST(&o.connections)->tried = 0;
	turn(4 * 60 * 1000 + 1);
	assert_int_equal(done_count, 1);
	assert_int_equal(results[0].verdict, DELIVERY_DEFERRED);
	close(gate);
}

/* A letter for a host that no other is for. */
static void
add_for_host(size_t number)
{
	struct mail_route *r = &config.routes[1];
	char domain[32];

	config.route_count = 2;
	*r = config.routes[0];
	snprintf(domain, sizeof(domain), "s%zu.example", number);
	strlcpy(r->domain, domain, sizeof(r->domain));
	snprintf(r->to.host, sizeof(r->to.host), "127.0.1.%zu", number);
	add(domain, 1);
}

/* Relays for all who ask; our ends of them. */
static size_t
relays(int *gates)
{
	size_t n = 0;
	int i;

	for (i = 0; i < 10; i++) {
		turn(0);
		for (; asked_count > 0; i = 0)
			gates[n++] = relay();
		usleep(1000);
	}
	return n;
}

/* Is it for that host?  Then it takes its letter. */
static int
takes_letter(int gate, size_t number)
{
	char host[HOSTNAME_MAX], wanted[HOSTNAME_MAX];
	struct message m;

	assert_int_equal(message_wait(gate, &m, 1, 5000), 1);
	(void)get_u32(&m);
	(void)get_u32(&m);
	get_str(&m, host, sizeof(host));
	message_discard(&m);
	snprintf(wanted, sizeof(wanted), "127.0.1.%zu", number);
	if (strcmp(host, wanted) != 0)
		return 0;
	say_greeting(gate, RELAY_READY, 220, "2.0.0", "hello");
	assert_int_equal(hear_letter(gate), 1);
	say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
	say_end(gate, 0);
	return 1;
}

/*
 * Hosts that say nothing, more of them than there are connections: whoever
 * comes later waits seconds, and who is known to be quick not at all.
 */
static void
test_silent_hosts(void **state)
{
	static int gates[ERRANDS];
	size_t i, n, count, is_over = 0;

	(void)state;
	add_for_host(1);
	assert_int_equal(relays(gates), 1);
	assert_true(takes_letter(gates[0], 1));
	close(gates[0]);
	for (i = 10; i < 190; i++)
		add_for_host(i);
	count = relays(gates);
	assert_true(count >= OUTBOUND_QUICK / 2 && count < OUTBOUND_QUICK);
	/* It has been quick before. */
	add_for_host(1);
	assert_int_equal(relays(gates + count), 1);
	assert_true(takes_letter(gates[count], 1));
	close(gates[count]);
	assert_int_equal(done_count, 2);
	/* Of this one nothing is known, and it is the last. */
	add_for_host(200);
	for (i = 0; i < 5 && !is_over; i++) {
		assert_true(outbound_next(&o) <= now + 10000);
		turn(10000);
		n = relays(gates + count);
		assert_true(o.connection_count <= OUTBOUND_CONNECTIONS);
		for (count += n; n > 0 && !is_over; n--)
			is_over = takes_letter(gates[count - n], 200) != 0;
	}
	assert_true(is_done[errand_count - 1]);
	assert_int_equal(results[errand_count - 1].verdict, DELIVERED);
	/* The others were not given up before that was needed. */
	assert_true(o.connection_count > OUTBOUND_QUICK);
	while (count > 0)
		close(gates[--count]);
}

/* It takes one letter, whoever it is for. */
static void
take_letter(int gate, int is_reusable)
{
	welcome(gate);
	assert_int_equal(hear_letter(gate), 1);
	say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
	say_end(gate, is_reusable);
}

/* Connections kept for another letter make room as soon as others need it. */
static void
test_idle(void **state)
{
	static int gates[ERRANDS];
	struct message m;
	size_t i, n, ended = 0;

	(void)state;
	for (i = 1; i <= OUTBOUND_QUICK; i++)
		add_for_host(i);
	n = relays(gates);
	assert_true(n < OUTBOUND_QUICK);
	for (i = 0; i < n; i++)
		take_letter(gates[i], 1);
	/* The others are there, and no time has passed. */
	assert_int_equal(relays(gates + n), OUTBOUND_QUICK - n);
	assert_int_equal(done_count, n);
	for (i = 0; i < n; i++)
		ended += message_wait(gates[i], &m, 1, 0) == 0;
	assert_int_equal(ended, OUTBOUND_QUICK - n);
	for (i = 0; i < OUTBOUND_QUICK; i++)
		close(gates[i]);
}

/* As long as others want connections, one with many letters has its share. */
static void
test_share(void **state)
{
	static int gates[ERRANDS];
	const size_t others = 60;
	size_t i, n;

	(void)state;
	for (i = 0; i < others; i++)
		add_for_host(10 + i);
	for (i = 0; i < 40; i++)
		add("x.example", 1);
	n = relays(gates);
	assert_int_equal(n, others + 1);
	while (n > 0) {
		take_letter(gates[--n], 0);
		close(gates[n]);
	}
	assert_int_equal(done_count, others + 1);
	n = relays(gates);
	assert_in_range(n, 2, 20);
	while (n > 0)
		close(gates[--n]);
}

/*
 * Hosts that take their letters and don't say so, who have ten minutes and
 * can't be told to break off: a quick one waits for none of them.
 */
static void
test_silent_after_the_dot(void **state)
{
	static int gates[ERRANDS];
	size_t i, n, count = 0;

	(void)state;
	add_for_host(1);
	assert_int_equal(relays(gates), 1);
	assert_true(takes_letter(gates[0], 1));
	close(gates[0]);
	for (i = 10; i < 10 + OUTBOUND_CONNECTIONS + 30; i++)
		add_for_host(i);
	do {
		n = relays(gates + count);
		for (i = count; i < count + n; i++) {
			welcome(gates[i]);
			assert_int_equal(hear_letter(gates[i]), 1);
		}
		count += n;
		turn(15000);
	} while (n > 0);
	assert_true(o.connection_count > OUTBOUND_QUICK);
	assert_int_equal(done_count, 1);
	add_for_host(1);
	assert_int_equal(relays(gates + count), 1);
	assert_true(takes_letter(gates[count], 1));
	assert_int_equal(done_count, 2);
	for (i = 0; i <= count; i++)
		close(gates[i]);
}

/* Both questions about a host: it has these IPv4 addresses, for a minute. */
static void
resolve(const char *const *addresses, uint32_t count)
{
	struct message m;
	uint32_t id, type, n;
	uint8_t octets[4];
	int i, pair[2];

	if (resolver == -1) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair),
		    0);
		resolver = pair[0];
		turn(0);	/* the question, */
		turn(0);	/* which wants a channel */
		dns_channel(dns, resolver_tag, pair[1], now);
	}
	turn(0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(message_wait(resolver, &m, 1, 5000), 1);
		assert_int_equal(m.type, REQ_LOOKUP);
		id = get_u32(&m);
		type = get_u32(&m);
		message_begin(&m, REPLY_LOOKUP);
		put_u32(&m, id);
		put_u32(&m, type == DNS_A ? DNS_OK : DNS_NODATA);
		put_u32(&m, 0);
		put_u32(&m, 60);
		put_u32(&m, type == DNS_A ? count : 0);
		for (n = 0; type == DNS_A && n < count; n++) {
			assert_int_equal(inet_pton(AF_INET, addresses[n],
			    octets), 1);
			put_data(&m, octets, 4);
		}
		assert_int_equal(message_send(resolver, &m), 0);
	}
	turn(0);
}

/*
 * A destination that is never idle is looked up again all the same; a host that
 * is none of its hosts any more gets no further letter.
 */
static void
test_moves(void **state)
{
	static const char *const old = "127.0.0.1", *const new = "127.0.0.2";
	static int others[ERRANDS];
	const struct connection *c;
	struct message m;
	size_t n = 0;
	int gate, i;

	(void)state;
	strlcpy(config.routes[0].to.host, "h.example", HOSTNAME_MAX);
	add("x.example", 1);
	resolve(&old, 1);
	gate = relay();
	welcome(gate);
	for (i = 0; i < 130; i++) {
		assert_int_equal(hear_letter(gate), 1);
		add("x.example", 1);
		turn(450);
		say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
		say_end(gate, i != 99);
		if (i == 99) {		/* SERVED_MAX */
			close(gate);
			gate = relay();
			welcome(gate);
		}
	}
	assert_int_equal(message_wait(resolver, &m, 1, 0), -1);
	/* The minute is over: the same, and then another one. */
	add("x.example", 1);
	turn(4000);
	resolve(&old, 1);
	assert_int_equal(hear_letter(gate), 1);
	say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
	say_end(gate, 1);
	assert_int_equal(hear_letter(gate), 1);
	n += relays(others + n);
	add("x.example", 1);
	turn(61000);
	resolve(&new, 1);
	say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
	say_end(gate, 1);
	assert_true(is_hung_up(gate));
	close(gate);
	/* Others that were begun meanwhile are too late, too. */
	n += relays(others + n);
	for (i = 0; i < (int)n; i++) {
		welcome(others[i]);
		assert_true(is_hung_up(others[i]));
	}
	TAILQ_FOREACH(c, &o.connections, link)
		if (strcmp(connection_address(c)->text, new) == 0)
			break;
	assert_non_null(c);
	while (n > 0)
		close(others[--n]);
}

/*
 * An address that was in vain comes last for some minutes, even if the host is
 * looked up again meanwhile.
 */
static void
test_avoided(void **state)
{
	static const char *const both[] = { "127.0.0.1", "127.0.0.2" };
	const struct connection *c;
	const char *bad, *good;
	int gate, i;

	(void)state;
	strlcpy(config.routes[0].to.host, "h.example", HOSTNAME_MAX);
	add("x.example", 1);
	resolve(both, 2);
	gate = relay();
	bad = both[strcmp(connection_address(TAILQ_FIRST(&o.connections))->text,
	    both[0]) != 0];
	good = both[bad == both[0]];
	greet(gate, RELAY_DEFER, 421, "4.3.2", "busy");
	close(gate);
	for (i = 0; i < 4; i++) {
		if (i > 0) {
			add("x.example", 1);
			turn(61000);
			resolve(both, 2);
		}
		gate = relay();
		c = TAILQ_FIRST(&o.connections);
		assert_string_equal(connection_address(c)->text, good);
		welcome(gate);
		assert_int_equal(hear_letter(gate), 1);
		say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
		say_end(gate, 0);
		close(gate);
		assert_int_equal(done_count, i + 1);
	}
}

/* Only so many domains are asked for at once, and nobody waits in turns. */
static void
test_many_domains(void **state)
{
	char domain[32];
	int i;

	(void)state;
	for (i = 0; i < 200; i++) {
		snprintf(domain, sizeof(domain), "d%d.example", i);
		add(domain, 1);
	}
	turn(0);
	assert_true(o.resolving > 0 && o.resolving < 100);
	assert_true(outbound_next(&o) > now);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		EACH(test_refused), EACH(test_rest),
		EACH(test_nobody_listens), EACH(test_tarpits),
		EACH(test_silent_hosts), EACH(test_silent_after_the_dot),
		EACH(test_share), EACH(test_idle), EACH(test_moves),
		EACH(test_avoided), EACH(test_many_domains),
	};

	return cmocka_run_group_tests_name("test_outbound_hosts", tests, NULL,
	    NULL);
}
