/*
 * worker: one client's process, from fork to exit.
 *
 * Runs as a fork of the spawner, as worker-user in an empty root with the
 * worker's system-call table; touches its channel to the master, one client,
 * its gate and its channel to the signer.
 */
#include <sys/resource.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "become.h"
#include "channel.h"
#include "log.h"
#include "login_gate.h"
#include "message.h"
#include "signer_gate.h"
#include "worker.h"
#include "worker_life.h"

#define ALIVE_EVERY	5	/* seconds */
#define GATE_PATIENCE_MS 600000	/* an agent may sync a large mailbox */

/*
 * The channel takes FD_MASTER's place: FD_MASTER was the spawner's own, and
 * the other descriptors that a fork inherits are closed with it.
 */
static void
take_channel(int channel)
{
	if (dup3(channel, FD_MASTER, O_CLOEXEC) == -1)
		fatal("worker's channel");
	closefrom(FD_MASTER + 1);
	log_init_worker(FD_MASTER);
}

static void
confine(const struct sandbox_filter *filter)
{
	sigset_t none;

	sigemptyset(&none);
	if (signal(SIGCHLD, SIG_DFL) == SIG_ERR ||
	    sigprocmask(SIG_SETMASK, &none, NULL) == -1)
		fatal("signals");
#ifndef POSTERN_SANITIZE
	become_bounded(RLIMIT_NPROC, 0);
	become_bounded(RLIMIT_NOFILE, 64);
#endif
	sandbox_install(filter);
}

/* Sleep until the master sends a client; its going away ends us. */
static void
await_session(struct worker *w)
{
	struct message m;

	if (message_recv(FD_MASTER, &m, 3) != 1)
		_exit(0);
	if (m.type != CH_SESSION)
		bug("worker was sent %u", m.type);
	get_facts(&m, &w->facts);
	w->client = get_fd(&m);
	w->gate = get_fd(&m);
	w->signer = m.nfds == 3 ? get_fd(&m) : -1;
	if (get_end(&m) == -1)
		bug("worker was sent a malformed session");
}

void
worker_life(int channel, const struct config *config,
    const struct sandbox_filter *filter)
{
	struct worker w = { .config = config, .master = FD_MASTER };

	take_channel(channel);
	confine(filter);
	await_session(&w);
	worker_program.serve(&w);
	_exit(0);
}

void
worker_alive(struct worker *w)
{
	static time_t last;
	struct message m;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (last != 0 && now.tv_sec - last < ALIVE_EVERY)
		return;
	last = now.tv_sec;
	message_begin(&m, CH_ALIVE);
	if (message_send(w->master, &m) == -1)
		_exit(0);
}

static int
receive_within(int ms, int gate, struct message *reply, uint32_t expected,
    int maxfds)
{
	int n;

	n = message_wait(gate, reply, maxfds, ms);
	if (n == -1)
		return -1;
	if (n == 0) {
		errno = EPIPE;
		return -1;
	}
	if (reply->type != expected) {
		message_discard(reply);
		errno = EBADMSG;
		return -1;
	}
	return 0;
}

int
gate_send(int gate, const struct message *request)
{
	return message_send(gate, request);
}

int
gate_receive(int gate, struct message *reply, uint32_t expected, int maxfds)
{
	return receive_within(GATE_PATIENCE_MS, gate, reply, expected, maxfds);
}

int
gate_ask(int gate, const struct message *request, struct message *reply,
    uint32_t expected, int maxfds)
{
	if (gate_send(gate, request) == -1)
		return -1;
	return gate_receive(gate, reply, expected, maxfds);
}

int
ask_login(int gate, const char *name, char *secret, const char *mechanism,
    const char *tls, enum login_verdict *verdict)
{
	struct message request, reply;
	int r;

	message_begin(&request, REQ_LOGIN);
	put_str(&request, name);
	put_str(&request, secret);
	put_str(&request, mechanism);
	put_str(&request, tls);
	explicit_bzero(secret, strlen(secret));
	r = gate_ask(gate, &request, &reply, REPLY_LOGIN, 0);
	explicit_bzero(&request, sizeof(request));
	if (r == -1)
		return -1;
	*verdict = (enum login_verdict)get_u32(&reply);
	return get_end(&reply);
}

int
ask_sign(void *worker, uint32_t key, uint32_t scheme, const uint8_t *content,
    size_t content_len, uint8_t *signature, size_t *len)
{
	struct worker *w = worker;
	struct message request, reply;

	message_begin(&request, REQ_SIGN);
	put_u32(&request, key);
	put_u32(&request, scheme);
	put_data(&request, content, content_len);
	/* A handshake has login-timeout, whoever is slow. */
	if (gate_send(w->signer, &request) == -1 ||
	    receive_within((int)w->config->login_timeout * 1000, w->signer,
	    &reply, REPLY_SIGN, 0) == -1)
		return -1;
	get_data(&reply, signature, *len, len);
	return get_end(&reply);
}
