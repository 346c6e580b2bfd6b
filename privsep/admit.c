/*
 * admit: a client from accept to a worker, or to the door: facts, limits,
 * hand-out.
 *
 * Runs in the master, as root; sends a fixed refusal to whoever is one too
 * many, reads nothing.
 */
#include <sys/epoll.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hurry.h"
#include "local.h"
#include "log.h"
#include "master.h"

#define LINES_A_SECOND	20	/* refusals logged */
#define VICTIM_STEPS	32	/* sessions looked at when full */
#define CONTROL_A_MINUTE 120	/* control clients of one user, but root */
#define CONTROL_A_SECOND 50	/* of all users */

/*
 * What an attacker can cause as often as he can connect is logged a bounded
 * number of times a second; then how many more there were.
 */
static void
log_often(const char *event, const char *client, enum service service,
    const char *why)
{
	static time_t second;
	static unsigned lines, more;

	if (master.now != second) {
		if (more > 0)
			log_event(LOG_NOTICE, 0, "event=log-suppressed "
			    "lines=%u text=\"refusals\"", more);
		second = master.now;
		lines = more = 0;
	}
	if (++lines > LINES_A_SECOND)
		more++;
	else
		log_event(LOG_NOTICE, 0, "%s client=%s service=%s why=%s",
		    event, client, service_name(service), why);
}

static void
address_text(const struct sockaddr *sa, char text[ADDRESS_TEXT_MAX])
{
	const void *a = NULL;

	if (sa->sa_family == AF_INET)
		a = &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
	else if (sa->sa_family == AF_INET6)
		a = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
	if (sa->sa_family == AF_UNIX)
		strlcpy(text, FACTS_LOCAL, ADDRESS_TEXT_MAX);
	else if (a == NULL ||
	    inet_ntop(sa->sa_family, a, text, ADDRESS_TEXT_MAX) == NULL)
		strlcpy(text, "unknown", ADDRESS_TEXT_MAX);
}

static int
is_loopback(const struct sockaddr *sa)
{
	const struct sockaddr_in *in4 = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;

	if (sa->sa_family == AF_UNIX)
		return 1;
	if (sa->sa_family == AF_INET)
		return ntohl(in4->sin_addr.s_addr) >> 24 == 127;
	return sa->sa_family == AF_INET6 &&
	    IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static void
facts_make(struct facts *f, enum service service, uint32_t uid,
    const struct sockaddr *peer, const struct sockaddr *local)
{
	const struct config *c = master.config;

	facts_init(f);
	f->service = service;
	f->uid = uid;
	address_text(peer, f->client);
	address_text(local, f->local);
	if (is_loopback(peer))
		f->flags |= FACT_LOOPBACK;
	if (c->plaintext_login == PLAINTEXT_ALWAYS ||
	    (c->plaintext_login == PLAINTEXT_LOOPBACK && is_loopback(peer)))
		f->flags |= FACT_PLAINTEXT;
	if (network_contains(c->trusted_networks, c->trusted_network_count,
	    peer))
		f->flags |= FACT_TRUSTED;
}

static void
gates_close(const struct gates *gates, int end)
{
	close(gates->agent[end]);
	if (gates->signer[end] != -1)
		close(gates->signer[end]);
}

static int
gates_open(struct gates *gates, int has_signer)
{
	gates->signer[0] = gates->signer[1] = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    gates->agent) == -1)
		return -1;
	if (!has_signer || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC,
	    0, gates->signer) == 0)
		return 0;
	gates_close(gates, 0);
	gates_close(gates, 1);
	return -1;
}

/* Give a client to one that waits; its id, or 0 when it is dead. */
static uint64_t
hand_out(const struct waiting *w, struct facts *f, int client,
    const struct gates *gates)
{
	struct message m;

	f->session = w->serial;
	message_begin(&m, CH_SESSION);
	put_facts(&m, f);
	put_fd(&m, client);
	put_fd(&m, gates->agent[0]);
	if (gates->signer[0] != -1)
		put_fd(&m, gates->signer[0]);
	return message_send(w->channel, &m) == 0 ? w->serial : 0;
}

/* 0 when some worker took the client. */
static int
find_worker(int client, struct facts *f, struct source *source)
{
	struct generation *g = generation_newest();
	struct waiting *w;
	struct gates gates;

	if (g == NULL || generation_is_wanted())
		return -1;
	/* Nobody is between us and a Unix socket's client. */
	if (gates_open(&gates, g->signer.pid != 0 &&
	    !service_is_local(f->service)) == -1)
		return -1;
	while ((w = crowd_take(g)) != NULL) {
		if (hand_out(w, f, client, &gates) != 0) {
			gates_close(&gates, 0);
			session_start(g, w, &gates, source, f);
			free(w);
			return 0;
		}
		crowd_dismiss(g, w);
	}
	gates_close(&gates, 0);
	gates_close(&gates, 1);
	return -1;
}

/* Better one that has asked for nothing yet than one in the midst of it. */
static int
is_better_victim(const struct session *s, const struct session *than)
{
	if (than == NULL || (s->gate.fd != -1) != (than->gate.fd != -1))
		return than == NULL || s->gate.fd != -1;
	return arc4random_uniform(4) == 0;
}

/*
 * One that has not logged in, at random among some.  Those looked at go to
 * the end of the list, so that a full house costs no more than a few steps.
 */
static struct session *
find_victim(void)
{
	struct session *s, *victim = NULL;
	int i;

	for (i = 0; i < VICTIM_STEPS; i++) {
		s = TAILQ_FIRST(&master.sessions);
		if (s == NULL)
			break;
		TAILQ_REMOVE(&master.sessions, s, link);
		TAILQ_INSERT_TAIL(&master.sessions, s, link);
		if (!s->is_logged_in && s->over_at == 0 && s->kill_by == 0 &&
		    is_better_victim(s, victim))
			victim = s;
	}
	return victim;
}

/* When full, one that has not logged in gives way. */
static int
make_room(void)
{
	struct session *victim;

	if (master.session_count < master.config->max_sessions)
		return 0;
	/* They leave within the grace; half as many again is the bound. */
	if (master.session_count >= master.config->max_sessions +
	    master.config->max_sessions / 2 ||
	    (victim = find_victim()) == NULL)
		return -1;
	log_often("event=gave-way", victim->facts.client,
	    victim->facts.service, "max-sessions");
	session_end(victim);
	return 0;
}

static void
refuse(int client, const struct facts *f, const char *why)
{
	log_often("event=refused", f->client, f->service, why);
	daemon_refuse(master.daemon, client, f->service);
}

/* Small replies at once, and no session with a host that is gone. */
static void
set_options(int client)
{
	int on = 1;

	(void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

void
session_accept(int client, enum service service, const struct sockaddr *peer,
    const struct sockaddr *local)
{
	uint32_t uid = FACTS_NO_UID;
	struct source *source;
	const char *why;
	struct facts f;

	if (!service_is_local(service))
		set_options(client);
	else if (local_peer(client, &uid) == -1) {
		hurry_close(client);
		return;
	}
	source = limits_source(peer, uid);
	facts_make(&f, service, uid, peer, local);
	why = limits_refusal(source);
	if (why != NULL)
		refuse(client, &f, why);
	else if (make_room() == -1)
		refuse(client, &f, "max-sessions");
	else if (find_worker(client, &f, source) == -1)
		refuse(client, &f, "no-worker");
	if (service_is_local(service))
		hurry_close(client);
	else
		close(client);
}

/*
 * Nobody may fill the channel that answers to the queue come by: so many of
 * each user in a minute, so many of all in a second.
 */
static int
may_control(uint32_t uid)
{
	static const struct sockaddr local = { .sa_family = AF_UNIX };
	static time_t second;
	static unsigned count;

	if (second != master.now)
		count = 0;
	second = master.now;
	return (uid == 0 || limits_rate(limits_source(&local, uid),
	    CONTROL_A_MINUTE)) && ++count <= CONTROL_A_SECOND;
}

void
session_control(int client)
{
	struct message m;
	struct facts f;

	facts_init(&f);
	f.service = SERVICE_CONTROL;
	f.flags = FACT_LOOPBACK;
	strlcpy(f.client, FACTS_LOCAL, sizeof(f.client));
	strlcpy(f.local, FACTS_LOCAL, sizeof(f.local));
	if (local_peer(client, &f.uid) == 0 && may_control(f.uid) &&
	    master.queue.channel.fd != -1) {
		f.session = crowd_next_id();
		message_begin(&m, CH_CONTROL);
		put_facts(&m, &f);
		put_fd(&m, client);
		(void)message_send(master.queue.channel.fd, &m);
	}
	/* Who is not served sees the end, and asks again later. */
	hurry_close(client);
}
