/*
 * agents: what a protocol gives to the agents process, and what it gets.
 *
 * The agents process (root, no PAM) forks an agent for each session.  The fork
 * becomes its identity, irrevocably, before it reads its first request; then
 * agent_program.serve runs as that identity and the process exits when it
 * returns.
 */
#ifndef PRIVSEP_AGENTS_H
#define PRIVSEP_AGENTS_H

#include "config.h"
#include "facts.h"
#include "gates.h"

struct agent {
	int			 gate;	/* requests come and replies go here */
	int			 hint;	/* smtpd: datagrams to the queue, or -1 */
	struct facts		 facts;
	struct identity		 identity;	/* what this process now is */
	char			 login[ACCOUNT_NAME_MAX]; /* who logged in, or "" */
	const struct config	*config;	/* an agent's fields only */
	int			 has_faulted;	/* set by serve: the peer
						 * broke the gates' rules */
};

struct agent_program {
	const char	*name;		/* "pop3d", "smtpd" */
	/* Once, as root, before any fork: open nothing, only warm (tzset). */
	void		(*warm)(const struct config *);
	/*
	 * As the identity, with its home readable; must confine itself with
	 * agent_confine() before it reads the first request.
	 */
	void		(*serve)(struct agent *);
};

/* Defined once by pop3d/agents.c and smtpd/agents.c. */
extern const struct agent_program agent_program;

/*
 * What an agent may still do after it has become its user: which directories
 * (descriptors, O_PATH is enough) it may change and read, and the system-call
 * table.  Fails closed: returns only when all of it holds.
 */
enum agent_room {
	ROOM_MAILBOX,	/* read, link and unlink below the directories given */
	ROOM_DELIVERY,	/* the same, and create */
	ROOM_SPOOL	/* create and rename there; read system tables (NSS) */
};

void	agent_confine(const struct agent *, enum agent_room,
	    const int *directories, size_t count);

#endif
