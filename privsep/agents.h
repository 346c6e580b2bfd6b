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
	int			 companion;	/* channel to it, or -1: none */
	int			 name;	/* tells the client's name, or -1 */
	struct facts		 facts;
	struct identity		 identity;	/* what this process now is */
	char			 login[ACCOUNT_NAME_MAX]; /* who logged in, or "" */
	uint32_t		 login_uid;	/* the same, or FACTS_NO_UID */
	const struct config	*config;	/* an agent's fields only */
	int			 has_faulted;	/* set by serve: the peer
						 * broke the gates' rules */
};

/*
 * A second process beside an agent that becomes a user, for what needs another
 * group than the user's own (mailbox/mbox_keeper.h).  It is forked first, as
 * the same user, with one other group at most, never 0; its peer is that one
 * agent, and it ends when the agent does.
 */
struct companion {
	/*
	 * As root, before the fork: does this agent get one, and with which
	 * group?  Looks only at what an administrator named.  0 or 1.
	 */
	int		(*is_wanted)(const struct agent *, gid_t *group);
	/*
	 * As the user with that group; must confine itself with
	 * companion_confine() before it reads the first request.
	 */
	void		(*serve)(const struct agent *, int sock);
};

struct agent_program {
	const char	*name;		/* "pop3d", "smtpd", "smtpd-programs" */
	/*
	 * Do its agents run commands?  Then the process is programs and not
	 * agents, and may exec and fork; and so may they.
	 */
	int		 runs_commands;
	/* Once, as root, before any fork: open nothing, only warm (tzset). */
	void		(*warm)(const struct config *);
	/*
	 * As the identity, with its home readable; must confine itself with
	 * agent_confine() before it reads the first request.
	 */
	void		(*serve)(struct agent *);
	const struct companion *companion;	/* or NULL */
};

/* Defined once by pop3d/agent.c, smtpd/agent.c and smtpd/programs.c. */
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

/*
 * What a companion may still do: make and remove files in this directory (-1:
 * nothing), write what it makes, read none, open none that is there already.
 */
void	companion_confine(int directory);

#endif
