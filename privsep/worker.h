/*
 * worker: what a protocol gives to the spawner, and what it gets.
 *
 * The spawner is exec'd with the protocol linked in.  worker_program.warm runs
 * once, before the chroot; serve runs in a fork of its own, confined, for one
 * client, and the process exits when it returns.
 */
#ifndef PRIVSEP_WORKER_H
#define PRIVSEP_WORKER_H

#include "channel.h"
#include "config.h"
#include "facts.h"
#include "message.h"

struct worker {
	int			 client;	/* the connection, non-blocking */
	int			 gate;		/* to login and agent */
	int			 signer;	/* one signature; -1: no TLS */
	int			 master;	/* hangs up when we should end */
	struct facts		 facts;
	const struct config	*config;	/* a worker's fields only */
};

struct worker_program {
	const char	*name;			/* "pop3d", "smtpd" */
	const char	*alpn;			/* TLS protocol name, "pop3" */
	void		(*warm)(const struct config *);	/* NULL: nothing */
	void		(*serve)(struct worker *);
};

/* Defined once by pop3d/worker.c and smtpd/worker.c. */
extern const struct worker_program worker_program;

/*
 * Tell the master that the client was heard of: it ends a session that has
 * not said so for idle-timeout.  Cheap; sends at most once in five seconds.
 */
void	worker_alive(struct worker *);

/*
 * The master hangs up: because the session's time is over (login-timeout)?  If
 * not it is the server that ends, or is full.
 */
static inline int
worker_is_late(const struct worker *w)
{
	struct message m;

	return message_wait(w->master, &m, 0, 0) == 1 && m.type == CH_LATE;
}

/*
 * Send a request and wait for its reply, of the type expected, with at most
 * maxfds descriptors.  0, or -1 with errno (EPIPE: the other side ended or
 * refused; ETIMEDOUT; EBADMSG: not that reply).  A session whose gate failed
 * should answer with a temporary error and end.
 */
int	gate_ask(int gate, const struct message *request,
	    struct message *reply, uint32_t expected, int maxfds);
/*
 * Its two halves, for one who has something else to do meanwhile: what was
 * sent is received before anything else is asked there.
 */
int	gate_send(int gate, const struct message *request);
int	gate_receive(int gate, struct message *reply, uint32_t expected,
	    int maxfds);

/* LOGIN, the one gate that every protocol shares (privsep/login_gate.h). */
enum login_verdict {
	LOGIN_OK = 0,
	LOGIN_REFUSED = 1,	/* wrong, unknown, expired...: never said which */
	LOGIN_TEMPFAIL = 2,	/* PAM or NSS out of order */
	LOGIN_LAST = 3		/* refused, and this was the last try */
};

/*
 * One try.  secret is wiped before this returns.  tls is what the connection
 * is encrypted with, "" for nothing (wire/tls.h): our claim, which is logged.
 * The reply to a failure comes late (at the next multiple of two seconds).
 * 0 with *verdict, or -1.
 */
int	ask_login(int gate, const char *name, char *secret,
	    const char *mechanism, const char *tls,
	    enum login_verdict *verdict);

/* SIGN (privsep/signer_gate.h), as tls_sign wants it; worker is the arg. */
int	ask_sign(void *worker, uint32_t key, uint32_t scheme,
	    const uint8_t *content, size_t content_len, uint8_t *signature,
	    size_t *len);

#endif
