/*
 * dns_ask: the queue's questions to the resolver, and what it remembers of the
 * answers for as long as they say.
 */
#ifndef SMTPD_DNS_ASK_H
#define SMTPD_DNS_ASK_H

#include <poll.h>

#include "smtpd/dns.h"

struct dns_client;
struct dns_question;

/* Is never called from within dns_ask(); the answer is the client's. */
typedef void (*dns_answered)(void *arg, const struct dns_answer *);

/*
 * need: ask the master for a channel (CH_NEED_RESOLVER); -1: not now.  NULL
 * with errno.
 */
struct dns_client *dns_new(int (*need)(void *arg, uint64_t tag), void *arg);
void	dns_free(struct dns_client *);
/*
 * A question.  Whatever happens, answered() is called once, DNS_TEMPFAIL when
 * no resolver can be had in time; unless it is cancelled.  now: monotonic ms.
 * NULL with errno ENOMEM, or EINVAL for what is no host name.
 */
struct dns_question *dns_ask(struct dns_client *, enum dns_type,
	    const char *name, dns_answered, void *arg, uint64_t now);
/* Nobody waits for the answer any more. */
void	dns_cancel(struct dns_question *);
/* The master's answer; fd -1: not now.  The descriptor is taken over. */
void	dns_channel(struct dns_client *, uint64_t tag, int fd, uint64_t now);
/* Its one descriptor into *pfd (fd -1 if there is none now). */
void	dns_poll(struct dns_client *, struct pollfd *);
/*
 * After poll() and whenever dns_next() has come: read what is there, send what
 * waits, give up on what is late, tell of the answers.
 */
void	dns_run(struct dns_client *, const struct pollfd *, uint64_t now);
/* When dns_run() is due without an event; 0: now; UINT64_MAX: not. */
uint64_t dns_next(const struct dns_client *);

#endif
