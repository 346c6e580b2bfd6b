/* LINK: OUTBOUND smtpd/spool_read smtpd/spool smtpd/envelope smtpd/xtext smtpd/address wire/utf8 privsep/config privsep/log privsep/message */
/*
 * Letters to other hosts, with relays that this test plays: what they may
 * answer, or not, and what becomes of each recipient.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/config_table.h"
#include "privsep/message.h"
#include "smtpd/connection.h"

#define ERRANDS		400

static struct config config;
static struct outbound o;
static struct dns_client *dns;
static uint64_t now = 1000;
static int listener = -1;
static uint64_t asked[OUTBOUND_CONNECTIONS];
static size_t asked_count;
static int is_master_busy;
static uint64_t resolver_tag;		/* the last that was asked for */
static int resolver = -1;		/* our end of it */

static struct letter letters[ERRANDS];
static struct recipient recipients[ERRANDS];
static struct errand errands[ERRANDS];
static char paths[ERRANDS][64];
static size_t errand_count;

static struct errand_result results[ERRANDS];
static int is_done[ERRANDS];
static size_t done_count;
static struct spool_name unparked[ERRANDS];
static size_t unparked_count, slow_count;

static int
need(void *arg, uint64_t tag)
{
	(void)arg;
	if (is_master_busy)
		return -1;
	assert_true(asked_count < OUTBOUND_CONNECTIONS);
	asked[asked_count++] = tag;
	return 0;
}

static int
need_resolver(void *arg, uint64_t tag)
{
	(void)arg;
	resolver_tag = tag;
	return 0;
}

static void
done(void *arg, struct errand *e, const struct errand_result *r)
{
	size_t i = (size_t)(e - errands);

	assert_ptr_equal(arg, &o);
	assert_false(is_done[i]);
	is_done[i] = 1;
	results[i] = *r;
	done_count++;
}

static void
unpark(void *arg, const struct spool_name *name)
{
	(void)arg;
	unparked[unparked_count++] = *name;
}

static void
slow(void *arg, struct errand *e)
{
	(void)arg;
	(void)e;
	slow_count++;
}

static const struct outbound_ops ops = {
	.need = need, .done = done, .unpark = unpark, .slow = slow
};

static int
setup(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);

	(void)state;
	memset(&config, 0, sizeof(config));
	config_default_fixed(&config);
	config.relay_timeout = 60;
	config.retry_count = 2;
	config.retry_schedule[0] = 60;
	config.retry_schedule[1] = 600;
	/* 127.0.1.1 and so on, too. */
	in.sin_addr.s_addr = htonl(INADDR_ANY);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&in, len), 0);
	assert_int_equal(listen(listener, 1000), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &len),
	    0);
	config.route_count = 1;
	strlcpy(config.routes[0].domain, "x.example", HOSTNAME_MAX);
	strlcpy(config.routes[0].to.host, "127.0.0.1", HOSTNAME_MAX);
	config.routes[0].to.port = ntohs(in.sin_port);
	dns = dns_new(need_resolver, NULL);
	assert_non_null(dns);
	outbound_init(&o, &ops, &o, &config, dns);
	o.now = now;
	asked_count = errand_count = done_count = 0;
	unparked_count = slow_count = 0;
	is_master_busy = 0;
	memset(is_done, 0, sizeof(is_done));
	memset(errands, 0, sizeof(errands));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	outbound_free(&o);
	dns_free(dns);
	if (resolver != -1)
		close(resolver);
	resolver = -1;
	close(listener);
	assert_true(TAILQ_EMPTY(&o.connections));
	assert_int_equal(o.connection_count, 0);
	return 0;
}

/* One more letter, with so many recipients at that domain. */
static void
add(const char *domain, size_t count)
{
	static int fd = -1;
	struct letter *l = &letters[errand_count];
	struct errand *e;
	size_t i;

	if (fd == -1)
		fd = open("/dev/null", O_RDONLY);
	memset(l, 0, sizeof(*l));
	l->fd = fd;
	snprintf(l->name.id, sizeof(l->name.id), "letter%014zu", errand_count);
	l->envelope.sender = "a@example.test";
	l->envelope.envid = l->envelope.login = "";
	l->envelope.owner = ENVELOPE_NOBODY;
	l->envelope.recipients = &recipients[errand_count];
	l->envelope.recipient_count = count;
	for (i = 0; i < count; i++) {
		recipients[errand_count].orcpt = "";
		e = &errands[errand_count];
		snprintf(paths[errand_count], sizeof(paths[0]), "u%zu@%s", i,
		    domain);
		e->account = paths[errand_count];
		e->letter = l;
		e->recipient = (uint32_t)i;
		e->is_elsewhere = 1;
		assert_int_equal(outbound_add(&o, e), 0);
		errand_count++;
	}
}

/* A turn of the queue's loop, so many ms later. */
static void
turn(uint64_t ms)
{
	static struct pollfd pfd[OUTBOUND_CONNECTIONS];
	struct pollfd names;
	size_t n;

	now += ms;
	dns_poll(dns, &names);
	assert_true(poll(&names, 1, 0) >= 0);
	dns_run(dns, &names, now);
	outbound_run(&o, now);
	n = outbound_poll(&o, pfd);
	assert_true(poll(pfd, n, 0) >= 0);
	outbound_ready(&o, pfd, now);
	outbound_expire(&o, now);
	outbound_run(&o, now);
}

/* The next relay that is asked for: our end of its gate. */
static int
relay(void)
{
	int pair[2], i;
	uint64_t tag;

	for (i = 0; i < 100 && asked_count == 0; i++) {
		turn(0);
		if (asked_count == 0)
			usleep(2000);
	}
	assert_true(asked_count > 0);
	tag = asked[0];
	memmove(asked, asked + 1, --asked_count * sizeof(asked[0]));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	outbound_channel(&o, tag, pair[1], now);
	return pair[0];
}

static void
hear(int gate, struct message *m, uint32_t type)
{
	assert_int_equal(message_wait(gate, m, 1, 5000), 1);
	assert_int_equal(m->type, type);
	message_discard(m);
}

static void
say_greeting(int gate, uint32_t verdict, uint32_t code, const char *status,
    const char *text)
{
	struct message m;

	message_begin(&m, REPLY_GREET);
	put_u32(&m, verdict);
	put_u32(&m, code);
	put_str(&m, status);
	put_str(&m, text);
	put_u32(&m, RELAY_HAS_DSN);
	put_u64(&m, 0);
	put_str(&m, "");
	put_u32(&m, 0);
	assert_int_equal(message_send(gate, &m), 0);
	turn(0);
}

static void
greet(int gate, uint32_t verdict, uint32_t code, const char *status,
    const char *text)
{
	struct message m;

	hear(gate, &m, REQ_GREET);
	say_greeting(gate, verdict, code, status, text);
}

static void
welcome(int gate)
{
	greet(gate, RELAY_READY, 220, "2.0.0", "hello");
}

/* The TOs of one letter, up to its SEND: how many. */
static uint32_t
hear_letter(int gate)
{
	struct message m;
	uint32_t n = 0;

	while (message_wait(gate, &m, 1, 5000) == 1 && m.type == REQ_TO)
		n++;
	assert_int_equal(m.type, REQ_SEND);
	message_discard(&m);
	return n;
}

static void
say_to_as(int gate, uint32_t index, uint32_t verdict, uint32_t stage,
    uint32_t code, const char *status)
{
	struct message m;

	message_begin(&m, REPLY_TO);
	put_u32(&m, index);
	put_u32(&m, verdict);
	put_u32(&m, stage);
	put_u32(&m, code);
	put_str(&m, status);
	put_str(&m, "said\nso");
	assert_int_equal(message_send(gate, &m), 0);
}

static void
say_to(int gate, uint32_t index, uint32_t verdict, uint32_t stage,
    uint32_t code)
{
	say_to_as(gate, index, verdict, stage, code, verdict == DELIVERED ?
	    "2.0.0" : verdict == DELIVERY_FAILED ? "5.1.1" : "4.0.0");
	turn(0);
}

static void
say_end(int gate, uint32_t is_reusable)
{
	struct message m;

	message_begin(&m, REPLY_SEND);
	put_u32(&m, is_reusable);
	put_u64(&m, 100);
	assert_int_equal(message_send(gate, &m), 0);
	turn(0);
}

static int
is_hung_up(int gate)
{
	struct message m;
	int n = message_wait(gate, &m, 1, 2000);

	if (n == 1)
		message_discard(&m);
	return n == 0;
}

static void
test_one(void **state)
{
	int gate;

	(void)state;
	add("x.example", 3);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), 3);
	say_to(gate, 1, DELIVERY_FAILED, RELAY_AT_RCPT, 550);
	say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
	say_to(gate, 2, DELIVERY_DEFERRED, RELAY_AT_RCPT, 450);
	assert_int_equal(done_count, 3);
	assert_int_equal(results[0].verdict, DELIVERED);
	assert_int_equal(results[1].verdict, DELIVERY_FAILED);
	assert_string_equal(results[1].text, "said?so");
	assert_string_equal(results[1].remote, "127.0.0.1");
	assert_int_equal(results[2].verdict, DELIVERY_DEFERRED);
	assert_true(results[0].has_dsn);
	say_end(gate, 1);
	/* Nobody comes any more: it ends. */
	turn(5000);
	assert_true(is_hung_up(gate));
	close(gate);
	turn(0);
	assert_true(outbound_is_idle(&o));
}

/* What is said at once is heard at once: it goes on record with one sync. */
static void
test_all_at_once(void **state)
{
	uint32_t i;
	int gate;

	(void)state;
	add("x.example", BATCH_MAX);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), BATCH_MAX);
	for (i = 0; i < BATCH_MAX; i++)
		say_to_as(gate, i, DELIVERED, RELAY_AT_END, 250, "2.0.0");
	turn(0);
	assert_int_equal(done_count, BATCH_MAX);
	close(gate);
}

/* Status codes that are none, or of another class. */
static void
test_bad_status(void **state)
{
	static const struct {
		uint32_t	verdict;
		const char	*said, *told;
	} cases[] = {
		{ DELIVERED, "2.1.5", "2.1.5" },
		{ DELIVERED, "5.1.1", "2.0.0" },
		{ DELIVERED, "", "2.0.0" },
		{ DELIVERY_FAILED, "5.123.456", "5.123.456" },
		{ DELIVERY_FAILED, "5.1.1 id=x", "5.0.0" },
		{ DELIVERY_FAILED, "5.1", "5.0.0" },
		{ DELIVERY_FAILED, "5.1.", "5.0.0" },
		{ DELIVERY_FAILED, "5.1.1.1", "5.0.0" },
		{ DELIVERY_FAILED, "5.1234.1", "5.0.0" },
		{ DELIVERY_DEFERRED, "5.1.1", "4.0.0" },
		{ DELIVERY_DEFERRED, "4,1,1", "4.0.0" },
	};
	size_t i, n = sizeof(cases) / sizeof(cases[0]);
	int gate;

	(void)state;
	add("x.example", n);
	gate = relay();
	welcome(gate);
	hear_letter(gate);
	for (i = 0; i < n; i++) {
		say_to_as(gate, (uint32_t)i, cases[i].verdict, RELAY_AT_END,
		    250, cases[i].said);
		turn(0);
		assert_string_equal(results[i].status, cases[i].told);
	}
	close(gate);
}

static void
test_reuse(void **state)
{
	int gate, i;

	(void)state;
	add("x.example", 1);
	gate = relay();
	welcome(gate);
	for (i = 0; i < 5; i++) {
		assert_int_equal(hear_letter(gate), 1);
		say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
		add("x.example", 1);
		say_end(gate, 1);
	}
	assert_int_equal(done_count, 5);
	assert_int_equal(asked_count, 0);
	close(gate);
}

static void
test_batches(void **state)
{
	int gate;

	(void)state;
	add("x.example", BATCH_MAX + 10);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), BATCH_MAX);
	close(gate);
	turn(0);
	/* It ended without an answer: those it had are put off. */
	assert_int_equal(done_count, BATCH_MAX);
	assert_int_equal(results[0].verdict, DELIVERY_DEFERRED);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), 10);
	close(gate);
}

/* An idle connection that was over is nobody's fault. */
static void
test_restart(void **state)
{
	int gate;

	(void)state;
	add("x.example", 2);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), 2);
	say_to(gate, 0, DELIVERY_DEFERRED, RELAY_AT_START, 0);
	say_to(gate, 1, DELIVERY_DEFERRED, RELAY_AT_START, 421);
	say_end(gate, 0);
	assert_int_equal(done_count, 0);
	close(gate);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), 2);
	say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
	say_to(gate, 1, DELIVERED, RELAY_AT_END, 250);
	assert_int_equal(done_count, 2);
	close(gate);
}

static void
test_restart_is_bounded(void **state)
{
	int gate, i;

	(void)state;
	add("x.example", 1);
	for (i = 0; i < 3; i++) {
		gate = relay();
		welcome(gate);
		hear_letter(gate);
		say_to(gate, 0, DELIVERY_DEFERRED, RELAY_AT_START, 0);
		say_end(gate, 0);
		close(gate);
	}
	assert_int_equal(done_count, 1);
}

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

/* TLS that fails is left out where it need not be had. */
static void
test_without_tls(void **state)
{
	struct message m;
	int gate;

	(void)state;
	add("x.example", 1);
	gate = relay();
	assert_int_equal(message_wait(gate, &m, 1, 5000), 1);
	assert_int_equal(get_u32(&m), RELAY_SMTP);
	assert_int_equal(get_u32(&m), RELAY_TLS_MAY);
	message_discard(&m);
	message_begin(&m, REPLY_GREET);
	put_u32(&m, RELAY_NO_TLS);
	put_u32(&m, 0);
	put_str(&m, "4.7.5");
	put_str(&m, "handshake");
	put_u32(&m, 0);
	put_u64(&m, 0);
	put_str(&m, "");
	put_u32(&m, 0);
	assert_int_equal(message_send(gate, &m), 0);
	turn(0);
	close(gate);
	gate = relay();
	assert_int_equal(message_wait(gate, &m, 1, 5000), 1);
	assert_int_equal(get_u32(&m), RELAY_SMTP);
	assert_int_equal(get_u32(&m), RELAY_TLS_NONE);
	message_discard(&m);
	assert_int_equal(done_count, 0);
	close(gate);
}

static void
test_no_relay(void **state)
{
	int i;

	(void)state;
	is_master_busy = 1;
	add("x.example", 1);
	for (i = 0; i < 20; i++) {
		turn(0);
		usleep(1000);
	}
	assert_int_equal(done_count, 0);
	assert_int_equal(o.connection_count, 0);
	/* Not all the time. */
	assert_true(outbound_next(&o) > now);
	is_master_busy = 0;
	turn(2000);
	close(relay());
}

/* Relays that break the rules harm their own letter. */
static void
test_hostile(void **state)
{
	static const struct {
		uint32_t	index, verdict, stage;
	} bad[] = {
		{ 2, DELIVERED, RELAY_AT_END }, { 0, 3, RELAY_AT_END },
		{ 0, DELIVERED, 9 }, { UINT32_MAX, DELIVERED, RELAY_AT_END },
	};
	struct message m;
	size_t i, before;
	int gate;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		before = done_count;
		add("x.example", 2);
		gate = relay();
		welcome(gate);
		hear_letter(gate);
		say_to(gate, bad[i].index, bad[i].verdict, bad[i].stage, 250);
		assert_int_equal(done_count, before + 2);
		assert_int_equal(results[before].verdict, DELIVERY_DEFERRED);
		assert_true(is_hung_up(gate));
		close(gate);
	}
	/* Twice the same. */
	add("x.example", 2);
	gate = relay();
	welcome(gate);
	hear_letter(gate);
	before = done_count;
	say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
	say_to(gate, 0, DELIVERY_FAILED, RELAY_AT_END, 550);
	assert_int_equal(done_count, before + 2);
	assert_int_equal(results[before].verdict, DELIVERED);
	assert_int_equal(results[before + 1].verdict, DELIVERY_DEFERRED);
	close(gate);
	/* An end that forgets one; another message; garbage. */
	add("x.example", 1);
	gate = relay();
	welcome(gate);
	hear_letter(gate);
	say_end(gate, 1);
	assert_true(is_hung_up(gate));
	close(gate);
	add("x.example", 1);
	gate = relay();
	message_begin(&m, REPLY_SEND);
	assert_int_equal(message_send(gate, &m), 0);
	turn(0);
	assert_true(is_hung_up(gate) || asked_count > 0 || done_count > 0);
	close(gate);
}

/* A flood to one destination: more connections, few, and letters aside. */
static void
test_flood(void **state)
{
	struct spool_name name = { .due = 1 };
	int gates[8], i, n = 0;

	(void)state;
	for (i = 0; i < 150; i++)
		add("x.example", 1);
	assert_true(outbound_is_stuck(&errands[149]));
	assert_false(outbound_is_stuck(&errands[0]));
	assert_int_equal(outbound_park(&errands[149], &name), 0);
	outbound_withdraw(&errands[149]);
	gates[n++] = relay();
	gates[n++] = relay();
	for (i = 0; i < 10; i++)
		turn(10);
	assert_int_equal(o.connection_count, 2);
	for (i = 0; i < 2; i++)
		welcome(gates[i]);
	for (i = 0; i < 2; i++) {
		hear_letter(gates[i]);
		say_to(gates[i], 0, DELIVERED, RELAY_AT_END, 250);
	}
	/* It goes well: so there may be more. */
	gates[n++] = relay();
	assert_true(o.connection_count > 2);
	assert_int_equal(slow_count, 0);
	for (i = 0; i < n; i++)
		close(gates[i]);
	while (asked_count > 0)
		close(relay());
	outbound_forget_parked(&o);
	assert_int_equal(unparked_count, 0);
}

/* A host that is silent is not in others' way. */
static void
test_slow(void **state)
{
	int gate;

	(void)state;
	add("x.example", 1);
	gate = relay();
	add("x.example", 1);
	turn(11000);
	assert_int_equal(slow_count, 2);
	assert_true(outbound_is_stuck(&errands[1]));
	turn(1000);
	assert_int_equal(slow_count, 2);
	/* In the end it is given up. */
	turn(60 * 1000 * 100);
	assert_int_equal(done_count, 2);
	close(gate);
}

/* More connections that can't be had, at once, while there is one. */
static void
test_no_second(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct mail_route *r = &config.routes[config.route_count++];
	int i, sock, gate;

	(void)state;
	snprintf(un.sun_path, sizeof(un.sun_path), "/tmp/outbound.%d",
	    (int)getpid());
	strlcpy(r->domain, "l.example", sizeof(r->domain));
	r->to.protocol = REMOTE_LMTP_SOCKET;
	strlcpy(r->to.host, un.sun_path, sizeof(r->to.host));
	sock = socket(AF_UNIX, SOCK_STREAM, 0);
	(void)unlink(un.sun_path);
	assert_int_equal(bind(sock, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(sock, 1), 0);
	add("l.example", 1);
	gate = relay();
	assert_int_equal(unlink(un.sun_path), 0);
	for (i = 0; i < 20; i++)
		add("l.example", 1);
	alarm(20);
	turn(0);
	turn(600);
	alarm(0);
	assert_int_equal(o.connection_count, 1);
	assert_int_equal(done_count, 0);
	close(gate);
	close(sock);
}

/* What is parked for a line that does not move stays there. */
static void
test_parked_for_slow(void **state)
{
	struct spool_name name = { .due = 1 };
	int gate;

	(void)state;
	add("x.example", 1);
	gate = relay();
	add("x.example", 1);
	turn(11000);
	assert_true(outbound_is_stuck(&errands[1]));
	assert_int_equal(outbound_park(&errands[1], &name), 0);
	outbound_withdraw(&errands[1]);
	turn(0);
	turn(1000);
	assert_int_equal(unparked_count, 0);
	welcome(gate);
	turn(0);
	assert_int_equal(unparked_count, 1);
	close(gate);
}

/* One sender's flood is not in the way of another's letter. */
static void
test_parked_by_sender(void **state)
{
	struct spool_name name = { .due = 1 };
	size_t i;
	int gate;

	(void)state;
	for (i = 0; i < 160; i++)
		add("x.example", 1);
	letters[159].envelope.sender = "b@example.test";
	for (i = 110; i < 160; i++) {
		name.size = i;
		assert_int_equal(outbound_park(&errands[i], &name), 0);
		outbound_withdraw(&errands[i]);
	}
	destination_unpark(errands[0].destination, 2, 1);
	assert_int_equal(unparked_count, 2);
	assert_int_equal(unparked[0].size + unparked[1].size, 110 + 159);
	gate = relay();
	destination_unpark(errands[0].destination, 3, 1);
	assert_int_equal(unparked[4].size, 113);
	close(gate);
}

/* Nor has a letter a place for which there is no connection, nor will be. */
static void
test_no_room(void **state)
{
	struct spool_name name = { .due = 1 };

	(void)state;
	o.connection_count = OUTBOUND_CONNECTIONS;
	add("x.example", 1);
	turn(0);
	assert_false(outbound_is_stuck(&errands[0]));
	turn(11000);
	assert_int_equal(slow_count, 1);
	assert_true(outbound_is_stuck(&errands[0]));
	assert_int_equal(outbound_park(&errands[0], &name), 0);
	outbound_withdraw(&errands[0]);
	turn(0);
	assert_int_equal(unparked_count, 1);
	/* It comes again, and is not turned away at once. */
	assert_int_equal(outbound_add(&o, &errands[0]), 0);
	assert_false(outbound_is_stuck(&errands[0]));
	turn(11000);
	assert_true(outbound_is_stuck(&errands[0]));
	assert_int_equal(done_count, 0);
	o.connection_count = 0;
}

/* No relay for long: the letter is tried again later, by the schedule. */
static void
test_no_relay_for_long(void **state)
{
	int i;

	(void)state;
	is_master_busy = 1;
	add("x.example", 2);
	for (i = 0; i < 30 && done_count == 0; i++) {
		turn(1000);
		usleep(1000);
		turn(0);
	}
	assert_true(i >= 10);
	assert_int_equal(done_count, 2);
	assert_int_equal(results[0].verdict, DELIVERY_DEFERRED);
	assert_string_equal(results[0].status, "4.3.0");
}

/* A relay that ended before it was given a letter says nothing of that. */
static void
test_ended_idle(void **state)
{
	int gate;

	(void)state;
	add("x.example", 1);
	gate = relay();
	welcome(gate);
	hear_letter(gate);
	say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
	say_end(gate, 1);
	add("x.example", 3);
	close(gate);
	turn(0);
	assert_int_equal(done_count, 1);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), 3);
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

/* Who has a letter breaks off, but its answer is heard. */
static void
test_hurried(void **state)
{
	struct connection *c;
	struct message m;
	int gate;

	(void)state;
	add("x.example", 3);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), 3);
	c = TAILQ_FIRST(&o.connections);
	connection_hurry(c);
	assert_true(c->is_hurried);
	hear(gate, &m, REQ_HURRY);
	say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
	say_to(gate, 1, DELIVERY_DEFERRED, RELAY_AT_START, 0);
	say_to(gate, 2, DELIVERY_DEFERRED, RELAY_AT_END, 0);
	assert_int_equal(done_count, 3);
	assert_int_equal(results[0].verdict, DELIVERED);
	assert_string_equal(results[1].status, "4.4.2");
	assert_string_equal(results[1].text, CONNECTION_SLOW);
	assert_string_equal(results[2].text, "said?so");
	say_end(gate, 1);
	assert_int_equal(o.connection_count, 0);
	close(gate);
	/* It ends without having read that, but not without an answer. */
	add("x.example", 1);
	gate = relay();
	welcome(gate);
	assert_int_equal(hear_letter(gate), 1);
	connection_hurry(TAILQ_FIRST(&o.connections));
	say_to_as(gate, 0, DELIVERY_FAILED, RELAY_AT_RCPT, 550, "5.1.1");
	close(gate);
	turn(0);
	assert_int_equal(done_count, 4);
	assert_int_equal(results[3].verdict, DELIVERY_FAILED);
}

/* Both questions about a host: it has this IPv4 address, for a minute. */
static void
resolve(const char *address)
{
	struct message m;
	uint32_t id, type;
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
	assert_int_equal(inet_pton(AF_INET, address, octets), 1);
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
		put_u32(&m, type == DNS_A);
		if (type == DNS_A)
			put_data(&m, octets, 4);
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
	static int others[ERRANDS];
	const struct connection *c;
	struct message m;
	size_t n = 0;
	int gate, i;

	(void)state;
	strlcpy(config.routes[0].to.host, "h.example", HOSTNAME_MAX);
	add("x.example", 1);
	resolve("127.0.0.1");
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
	resolve("127.0.0.1");
	assert_int_equal(hear_letter(gate), 1);
	say_to(gate, 0, DELIVERED, RELAY_AT_END, 250);
	say_end(gate, 1);
	assert_int_equal(hear_letter(gate), 1);
	n += relays(others + n);
	add("x.example", 1);
	turn(61000);
	resolve("127.0.0.2");
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
		if (strcmp(connection_address(c)->text, "127.0.0.2") == 0)
			break;
	assert_non_null(c);
	while (n > 0)
		close(others[--n]);
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

static void
test_bad_domain(void **state)
{
	(void)state;
	errands[0].account = strcpy(paths[0], "u@a..b");
	assert_int_equal(outbound_add(&o, &errands[0]), -1);
	assert_int_equal(errno, EINVAL);
	errands[0].account = strcpy(paths[0], "nobody");
	assert_int_equal(outbound_add(&o, &errands[0]), -1);
}

int
main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	static const struct CMUnitTest tests[] = {
		EACH(test_one), EACH(test_all_at_once),
		EACH(test_bad_status), EACH(test_reuse), EACH(test_batches),
		EACH(test_restart), EACH(test_restart_is_bounded),
		EACH(test_refused), EACH(test_rest),
		EACH(test_nobody_listens), EACH(test_without_tls),
		EACH(test_no_relay), EACH(test_hostile), EACH(test_flood),
		EACH(test_slow), EACH(test_no_second),
		EACH(test_parked_for_slow),
		EACH(test_parked_by_sender), EACH(test_no_room),
		EACH(test_no_relay_for_long), EACH(test_ended_idle),
		EACH(test_silent_hosts), EACH(test_hurried),
		EACH(test_moves),
		EACH(test_many_domains), EACH(test_tarpits),
		EACH(test_bad_domain),
	};

	return cmocka_run_group_tests_name("test_outbound", tests, NULL,
	    NULL);
}
