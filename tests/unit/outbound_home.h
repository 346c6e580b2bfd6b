/*
 * outbound_home: the queue's side of letters to other hosts, with hosts that
 * listen, and relays and a resolver that the test plays; each program that uses
 * it has one source.
 */
#ifndef TESTS_OUTBOUND_HOME_H
#define TESTS_OUTBOUND_HOME_H

#include <sys/socket.h>

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

/* No test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

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

#define EACH(test)	cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
