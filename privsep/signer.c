/*
 * signer: the process that has the TLS private keys.
 *
 * Runs as key-user from its exec on, never as root; reads its keyring, then
 * encloses itself: no file, no socket of its own, no fork, a short list of
 * system calls.  Reads nothing from the network.  A worker is its only outside
 * input: one request a session, by way of the gate below, for a signature on
 * what can only be this server's part in a handshake (signer_content.c).
 */
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "become.h"
#include "channel.h"
#include "facts.h"
#include "gates.h"
#include "keyring.h"
#include "log.h"
#include "message.h"
#include "role.h"
#include "sandbox.h"
#include "signer_content.h"
#include "signer_gate.h"
#include "signer_keys.h"

#define SESSIONS_MAX	20000	/* as max-sessions can't be larger */
#define SLACK_SECONDS	30	/* beyond login-timeout */
#define EVENTS_MAX	64	/* a wake-up */
#define MASTER_BUDGET	64	/* new sessions a wake-up */

/* One worker that may ask, once. */
struct signer_session {
	TAILQ_ENTRY(signer_session) link;
	struct facts	facts;
	int		socket;
	time_t		deadline;	/* CLOCK_MONOTONIC seconds */
	uint32_t	used;		/* gates, as gate_find() has it */
};

static struct {
	struct config	config;
	int		epoll;
	/* All have the same time, so who came first is due first. */
	TAILQ_HEAD(, signer_session) sessions;
	size_t		count;
} signer = { .sessions = TAILQ_HEAD_INITIALIZER(signer.sessions) };

static time_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static int
reply_sign(int sock, const uint8_t *signature, size_t len)
{
	struct message m;

	message_begin(&m, REPLY_SIGN);
	put_data(&m, signature, len);
	return message_send(sock, &m);
}

static int
answer_sign(void *session, int sock, struct message *m)
{
	const struct signer_session *s = session;
	uint8_t content[SIGN_CONTENT_MAX], signature[SIGN_SIGNATURE_MAX];
	size_t content_len, len = sizeof(signature);
	uint32_t key, scheme;

	key = get_u32(m);
	scheme = get_u32(m);
	get_data(m, content, sizeof(content), &content_len);
	if (get_end(m) == -1 || key >= signer_keys_count() ||
	    !signer_content_is_legal(signer_keys_kind(key), scheme, content,
	    content_len))
		return STATE_FAULT;
	if (signer_keys_sign(key, scheme, content, content_len, signature,
	    &len) == -1) {
		log_event(LOG_ERR, s->facts.session, "event=no-signature "
		    "key=%u scheme=%#x client=%s", key, scheme,
		    s->facts.client);
		return STATE_END;
	}
	/* Whoever does not take it has no use for it. */
	return reply_sign(sock, signature, len) == 0 ? 0 : STATE_END;
}

static const struct gate signer_gates[] = {
	{ REQ_SIGN, "SIGN", IN_STATE(0), 1, 0, 12, 12 + SIGN_CONTENT_MAX,
	    answer_sign },
};

static const struct gate_table signer_table = {
	"signer", signer_gates, 1, 0
};

static void
tell_fault(const struct signer_session *s)
{
	struct message m;

	message_begin(&m, CH_NOTE);
	put_u64(&m, s->facts.session);
	put_u32(&m, NOTE_GATE_FAULT);
	(void)message_send(FD_MASTER, &m);
	log_event(LOG_ERR, s->facts.session,
	    "event=gate-fault gates=%s client=%s", signer_table.service,
	    s->facts.client);
}

/* Memory of the session and its place in epoll go with it. */
static void
session_end(struct signer_session *s)
{
	TAILQ_REMOVE(&signer.sessions, s, link);
	signer.count--;
	close(s->socket);
	free(s);
}

/*
 * What has come from the worker.  0: nothing yet, ask again when there is; -1:
 * this session is over.  After its one signature a worker has nothing to say;
 * one that has already said it broke the rules.
 */
static int
session_serve(struct signer_session *s)
{
	struct message m;
	const struct gate *g;
	int n, state = 0;

	for (;;) {
		n = message_recv(s->socket, &m, MESSAGE_FDS_MAX);
		if (n == -1 && errno == EAGAIN)
			return s->used != 0 ? -1 : 0;
		if (n == 0 || (n == -1 && errno != EBADMSG))
			return -1;
		g = n == 1 ? gate_find(&signer_table, state, s->used, &m) :
		    NULL;
		if (g != NULL) {
			s->used |= 1U << (g - signer_gates);
			state = g->handler(s, s->socket, &m);
		} else
			state = STATE_FAULT;
		message_discard(&m);
		if (state == STATE_FAULT)
			tell_fault(s);
		if (state < 0)
			return -1;
	}
}

static int
session_watch(struct signer_session *s)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };

	return epoll_ctl(signer.epoll, EPOLL_CTL_ADD, s->socket, &ev);
}

/*
 * Its request is mostly there already: the master passed the socket on when
 * it became readable.
 */
static void
session_begin(const struct facts *facts, int sock)
{
	struct signer_session *s;

	s = signer.count < SESSIONS_MAX ? calloc(1, sizeof(*s)) : NULL;
	if (s == NULL || fcntl(sock, F_SETFL, O_NONBLOCK) == -1) {
		log_event(LOG_ERR, facts->session,
		    "event=no-signature text=\"too many sessions\"");
		free(s);
		close(sock);
		return;
	}
	s->facts = *facts;
	s->socket = sock;
	s->deadline = now() + signer.config.login_timeout + SLACK_SECONDS;
	TAILQ_INSERT_TAIL(&signer.sessions, s, link);
	signer.count++;
	if (session_serve(s) == -1 || session_watch(s) == -1)
		session_end(s);
}

/* The master let go: no session is left that could ask. */
static void
master_gone(void)
{
	_exit(0);
}

static void
master_serve(void)
{
	struct message m;
	struct facts facts;
	int n, sock, budget = MASTER_BUDGET;

	while (budget-- > 0) {
		n = message_recv(FD_MASTER, &m, 1);
		if (n == -1 && errno == EBADMSG)
			continue;	/* no descriptor left for it, say */
		if (n == -1 && errno == EAGAIN)
			return;
		if (n != 1)
			master_gone();
		if (m.type != CH_SERVE)
			bug("signer was sent %u", m.type);
		get_facts(&m, &facts);
		sock = get_fd(&m);
		if (get_end(&m) == -1)
			bug("signer was sent a malformed session");
		session_begin(&facts, sock);
	}
}

/* Who did not ask in time; milliseconds until the next one is due, or -1. */
static int
enforce_deadlines(void)
{
	struct signer_session *s;
	time_t left, t = now();

	while ((s = TAILQ_FIRST(&signer.sessions)) != NULL) {
		left = s->deadline - t;
		if (left > 0)
			return (int)left * 1000;
		session_end(s);
	}
	return -1;
}

static void __attribute__((noreturn))
serve(void)
{
	struct epoll_event events[EVENTS_MAX];
	int i, n;

	for (;;) {
		n = epoll_wait(signer.epoll, events, EVENTS_MAX,
		    enforce_deadlines());
		if (n == -1 && errno != EINTR)
			fatal("epoll_wait");
		/* Each of them is there once, so none is freed before. */
		for (i = 0; i < n; i++)
			if (events[i].data.ptr == NULL)
				master_serve();
			else if (session_serve(events[i].data.ptr) == -1)
				session_end(events[i].data.ptr);
	}
}

static void
tell(int level, const char *file, const char *text)
{
	char value[LOG_VALUE_MAX];

	log_event(level, 0, "event=certificate file=%s text=\"%s\"",
	    log_value(file, value), text);
}

/* A pair that can't be used ends us here: the old generation serves on. */
static void
load_keys(void)
{
	static struct keyring ring;

	if (keyring_receive(FD_KEYRING, &ring) == -1)
		fatal("signer: keyring");
	if (signer_keys_load(&ring, time(NULL), tell) == -1)
		exit(1);
	keyring_forget(&ring);
}

static void
prepare_loop(void)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };

	signer.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (signer.epoll == -1 ||
	    fcntl(FD_MASTER, F_SETFL, O_NONBLOCK) == -1 ||
	    epoll_ctl(signer.epoll, EPOLL_CTL_ADD, FD_MASTER, &ev) == -1)
		fatal("epoll");
}

static void
confine(void)
{
	struct sandbox_filter own;

	tzset();
	sandbox_compile(SANDBOX_SIGNER, &own);
	become_user(signer.config.key_user.uid, signer.config.key_user.gid);
	become_bounded(RLIMIT_CORE, 0);
#ifndef POSTERN_SANITIZE
	become_bounded(RLIMIT_FSIZE, 0);
	become_bounded(RLIMIT_NPROC, 0);
#endif
	sandbox_landlock(NULL, 0);
	sandbox_install(&own);
}

int
main(void)
{
	pid_t master = getppid();
	unsigned have;

	have = role_start("signer", ROLE_SIGNER, ROLE_FD(FD_KEYRING),
	    &signer.config);
	/* Before there is a key to be seen. */
	become_sealed();
	become_bound_to(master);
	if ((have & ROLE_FD(FD_KEYRING)) == 0)
		bug("signer was given no keyring");
	load_keys();
	prepare_loop();
	confine();
	role_ready();
	serve();
}
