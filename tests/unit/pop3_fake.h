/*
 * pop3_fake: the other side of a worker, in the same process: a login that
 * knows one account, the real agent on a maildrop made of strings, and a TLS
 * that leaves everything as it is.
 * For pop3_session.h and fuzz_pop3_command, whose executables have one source
 * each.
 */
#ifndef TESTS_POP3_FAKE_H
#define TESTS_POP3_FAKE_H

#include <sys/mman.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mailbox/mbox_keeper.h"
#include "pop3d/agent.h"
#include "privsep/log.h"
#include "privsep/message.h"
#include "privsep/worker.h"
#include "wire/octets.h"
#include "wire/tls.h"

#define FAKE_MAX 10000
#define FAKE_TIMEOUT 7		/* the login-timeout of these tests, seconds */
#define FAKE_TLS "TLSv1.3 TLS_FAKE_SHA0"

/* What the maildrop has, how it fails, and what was done to it. */
static struct fake {
	const char	**contents;	/* LF ends; NULL: none left to fetch */
	const uint64_t	 *octets;	/* listed, or NULL: counted */
	size_t		  count;
	int		  open_errno;
	int		  fetch_errno;	/* for every message */
	size_t		  unreadable;	/* number of one with a bad disk */
	size_t		  expunge_failed;
	uint32_t	  old;		/* bits of the first messages */
	enum login_verdict verdict;	/* of a wrong secret */
	int		  is_gate_broken;
	int		  is_asked;	/* a reply has not been taken */
	int		  is_plaintext_allowed;
	enum wire_status  tls_status;	/* of a handshake */
	int		  is_tls;	/* it was done, in this process */
	/* shared with the process of the session */
	struct {
		int	opens, fetches, expunges, closes, logins;
		int	handshakes, goodbyes;	/* of TLS */
		size_t	recounted;		/* number of one */
		char	mechanism[LOGIN_MECHANISM_MAX];	/* of the last login */
		char	tls[TLS_TEXT_MAX];
		uint8_t	bitmap[FAKE_MAX / 8 + 1];
	} *done;
	/* the agent's own */
	struct pop3_agent agent;
	struct agent	  who;
	int		  state;
	uint32_t	  used;
	int		  pair[2];
} fake;

static struct config fake_config;	/* the agent's, too large to copy */

struct mailbox {
	struct mailbox_message message;
};
static struct mailbox fake_box;

static uint64_t
fake_octets(const char *s)
{
	struct octets o;

	octets_init(&o);
	octets_count(&o, s, strlen(s));
	return octets_total(&o);
}

static int
fake_open(struct mailbox *box)
{
	(void)box;
	fake.done->opens++;
	errno = fake.open_errno;
	return fake.open_errno == 0 ? 0 : -1;
}

static size_t
fake_count(const struct mailbox *box)
{
	(void)box;
	return fake.count;
}

static const struct mailbox_message *
fake_message(const struct mailbox *box, size_t number)
{
	(void)box;
	fake_box.message.octets = fake.octets != NULL ? fake.octets[number] :
	    fake_octets(fake.contents[number]);
	snprintf(fake_box.message.uidl, UIDL_MAX, "uidl-%zu", number + 1);
	return &fake_box.message;
}

/* The content stands behind some octets of something else. */
static int
fake_fetch(struct mailbox *box, size_t number, int *fd, uint64_t *offset,
    uint64_t *length)
{
	const char *s = fake.contents[number];

	(void)box;
	errno = s == NULL ? ENOENT : fake.fetch_errno;
	if (errno != 0)
		return -1;
	if (fake.unreadable == number + 1) {
		*fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		*offset = 0;
		*length = strlen(s);
		return *fd == -1 ? -1 : 0;
	}
	*fd = memfd_create("message", MFD_CLOEXEC);
	if (*fd == -1 || write(*fd, "head\n", 5) != 5 ||
	    write(*fd, s, strlen(s)) != (ssize_t)strlen(s))
		abort();
	*offset = 5;
	*length = strlen(s);
	return 0;
}

static int
fake_expunge(struct mailbox *box, const uint8_t *bitmap, size_t *failed)
{
	(void)box;
	fake.done->expunges++;
	memcpy(fake.done->bitmap, bitmap, (fake.count + 7) / 8);
	*failed = fake.expunge_failed;
	errno = EIO;
	return *failed > 0 ? -1 : 0;
}

static int
fake_recount(struct mailbox *box, size_t number)
{
	(void)box;
	fake.done->recounted = number + 1;
	return 0;
}

static int
fake_is_older(struct mailbox *box, size_t number, time_t than)
{
	(void)box;
	(void)than;
	return number < 32 && (fake.old >> number & 1) != 0;
}

static void
fake_close(struct mailbox *box)
{
	(void)box;
	fake.done->closes++;
}

static const struct mailbox_ops fake_ops = {
	.name = "fake",
	.open = fake_open,
	.count = fake_count,
	.message = fake_message,
	.fetch = fake_fetch,
	.recount = fake_recount,
	.is_older = fake_is_older,
	.expunge = fake_expunge,
	.close = fake_close
};

/* What the objects under test call. */

const struct mailbox_ops *
mailbox_format(const struct config *config)
{
	(void)config;
	return &fake_ops;
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

const struct companion mailbox_companion;

void
mailbox_use_companion(int sock)
{
	(void)sock;
}

void
mailbox_use_channel(int sock)
{
	(void)sock;
}

int
mailbox_sleep(int ms)
{
	(void)ms;
	return 0;
}

void
worker_alive(struct worker *w)
{
	(void)w;
}

/* The handshake: by the right deadline, and on a wire without old input. */
enum wire_status
tls_accept(struct wire *w, int timeout_ms, tls_sign sign, void *arg)
{
	const struct worker *worker = arg;

	if (wire_buffered(w) != 0 || w->out_len != 0 || fake.is_tls ||
	    timeout_ms != FAKE_TIMEOUT * 1000 || sign != ask_sign ||
	    worker->signer == -1)
		abort();
	fake.done->handshakes++;
	fake.is_tls = fake.tls_status == WIRE_OK;
	return fake.tls_status;
}

const char *
tls_error(void)
{
	return "no shared cipher";
}

void
tls_describe(const struct wire *w, char text[TLS_TEXT_MAX])
{
	(void)w;
	snprintf(text, TLS_TEXT_MAX, "%s", fake.is_tls ? FAKE_TLS : "");
}

void
tls_close(struct wire *w)
{
	if (w->out_len != 0 || w->failed != WIRE_OK)
		abort();
	fake.done->goodbyes++;
}

/* The fake handshake has nothing signed. */
int
ask_sign(void *worker, uint32_t key, uint32_t scheme, const uint8_t *content,
    size_t content_len, uint8_t *signature, size_t *len)
{
	(void)worker;
	(void)key;
	(void)scheme;
	(void)content;
	(void)content_len;
	(void)signature;
	(void)len;
	abort();
}

int
ask_login(int gate, const char *name, char *secret, const char *mechanism,
    const char *tls, enum login_verdict *verdict)
{
	int is_right;

	(void)gate;
	if (!fake.is_plaintext_allowed && !fake.is_tls)
		abort();
	if (strlen(name) >= LOGIN_NAME_MAX ||
	    strlen(secret) >= LOGIN_SECRET_MAX)
		abort();
	snprintf(fake.done->mechanism, LOGIN_MECHANISM_MAX, "%s", mechanism);
	snprintf(fake.done->tls, TLS_TEXT_MAX, "%s", tls);
	fake.done->logins++;
	is_right = strcmp(name, "alice") == 0 &&
	    strcmp(secret, "  two words ") == 0;
	*verdict = is_right ? LOGIN_OK : fake.verdict;
	explicit_bzero(secret, strlen(secret));
	return 0;
}

/* The table decides; what it does not allow is an error of the worker. */
int
gate_send(int gate, const struct message *request)
{
	struct message copy = *request;
	const struct gate *g;

	(void)gate;
	if (fake.is_gate_broken) {
		errno = EPIPE;
		return -1;
	}
	g = gate_find(&pop3_gates, fake.state, fake.used, &copy);
	if (g == NULL)
		abort();
	if (g->request == REQ_FETCH)
		fake.done->fetches++;
	fake.used |= 1U << (g - pop3_gates.gates);
	fake.state = g->handler(&fake.agent, fake.pair[1], &copy);
	if (fake.state == STATE_FAULT || fake.is_asked)
		abort();
	fake.is_asked = 1;
	return 0;
}

int
gate_receive(int gate, struct message *reply, uint32_t expected, int maxfds)
{
	(void)gate;
	if (!fake.is_asked || message_recv(fake.pair[0], reply, maxfds) != 1 ||
	    reply->type != expected)
		abort();
	fake.is_asked = 0;
	return 0;
}

int
gate_ask(int gate, const struct message *request, struct message *reply,
    uint32_t expected, int maxfds)
{
	if (gate_send(gate, request) == -1)
		return -1;
	return gate_receive(gate, reply, expected, maxfds);
}

/* A fresh agent on these contents. */
static void
fake_begin(const char **contents, size_t count)
{
	void *done = fake.done;

	if (done == NULL)
		done = mmap(NULL, sizeof(*fake.done), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(&fake, 0, sizeof(fake));
	fake.done = done;
	memset(fake.done, 0, sizeof(*fake.done));
	fake.contents = contents;
	fake.count = count;
	fake.verdict = LOGIN_REFUSED;
	fake_config.expire = fake_config.login_delay = 0;
	fake.who.config = &fake_config;
	fake.agent.agent = &fake.who;
	fake.agent.stamp = -1;
	fake.agent.ops = &fake_ops;
	fake.agent.box = &fake_box;
	fake.state = pop3_gates.first_state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    fake.pair) == -1)
		abort();
}

static void
fake_end(void)
{
	free(fake.agent.bitmap);
	fake.agent.bitmap = NULL;
	close(fake.pair[0]);
	close(fake.pair[1]);
}

#endif
