/*
 * facts: what the master knows about one session, decided before the first
 * octet is read and told to worker, login and agent alike; and identity, what
 * login decided.  Neither ever comes from a worker.
 */
#ifndef PRIVSEP_FACTS_H
#define PRIVSEP_FACTS_H

#include <sys/types.h>

#include <stdint.h>

#include "message.h"

enum service {
	SERVICE_POP3 = 1,
	SERVICE_POP3S,
	SERVICE_SMTP,
	SERVICE_SUBMISSION,
	SERVICE_SUBMISSIONS,
	SERVICE_LMTP,		/* over a Unix socket */
	/* the queue asks, there is no client: */
	SERVICE_DELIVERY,
	SERVICE_RELAY,
	SERVICE_RESOLVER,
	SERVICE_LOCAL,		/* run-dir/smtpd.sock: programs of this host */
	SERVICE_CONTROL,	/* run-dir/smtpd.ctl: the queue's own clients */
	SERVICE_PROGRAM,	/* the queue asks: a command or a file */
	SERVICE_NAME		/* a session's: its client's name is wanted */
};

#define FACT_LOOPBACK	0x01	/* the client is on this host */
#define FACT_PLAINTEXT	0x02	/* secrets may go in the clear */
#define FACT_TRUSTED	0x04	/* the client is in trusted-networks */

#define ADDRESS_TEXT_MAX 64	/* numeric address with its NUL */
#define ACCOUNT_NAME_MAX 256	/* account name with its NUL */
#define FACTS_NO_UID	UINT32_MAX	/* came over the network, or nobody */
#define FACTS_LOCAL	"local"	/* client and local, of a Unix socket */

struct facts {
	uint64_t	session;	/* unique while the daemon runs, not 0 */
	enum service	service;
	uint32_t	flags;
	uint32_t	uid;		/* of who connected to a Unix socket, as
					 * the kernel has it; else FACTS_NO_UID,
					 * and get_facts() takes neither for
					 * the other */
	char		client[ADDRESS_TEXT_MAX];	/* "192.0.2.7", "::1" */
	char		local[ADDRESS_TEXT_MAX];	/* the address it reached */
};

/* No session, no service, nobody: what facts begin as. */
void	facts_init(struct facts *);
void	put_facts(struct message *, const struct facts *);
void	get_facts(struct message *, struct facts *);

struct identity {
	char	name[ACCOUNT_NAME_MAX];
	uid_t	uid;
	gid_t	gid;
	char	home[1024];		/* absolute */
};

void	put_identity(struct message *, const struct identity *);
void	get_identity(struct message *, struct identity *);

const char *service_name(enum service);
/* The service of that name, or 0. */
enum service service_find(const char *name);
/* Does TLS begin with the connection (pop3s, submissions)? */
int	service_is_tls(enum service);
/* Must a client log in before it may send (RFC 6409)? */
int	service_is_submission(enum service);
/* Do its clients come over a Unix socket, with a uid? */
int	service_is_local(enum service);

#endif
