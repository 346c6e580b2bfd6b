/*
 * agent: what smtpd's agents process links: a session's agent (SMTP gates) or
 * a delivery's (deliver.h), told apart by facts that the master wrote.
 */
#ifndef SMTPD_AGENT_H
#define SMTPD_AGENT_H

#include "privsep/agents.h"
#include "privsep/gates.h"
#include "smtpd/client_name.h"
#include "smtpd/header.h"
#include "smtpd/policy.h"
#include "smtpd/spool.h"
#include "smtpd/trace.h"
#include "smtpd/xtext.h"

enum smtp_state {
	SMTP_IDLE,
	SMTP_MAIL,	/* a sender, no recipient */
	SMTP_RCPT,	/* at least one */
	SMTP_DATA	/* content came; COMMIT or ABORT */
};

struct smtp_session {
	struct agent		*agent;
	struct spool		 spool;		/* -1s: could not be opened */
	struct aliases_file	 aliases;
	struct aliases_file	 map;
	struct policy		 policy;
	struct client_name	 client;
	uint32_t		 refusals;	/* logged so far */
	uint32_t		 messages;	/* taken so far */
	/* the transaction */
	int			 is_open;
	char			 helo[HELO_MAX];	/* claims, cleaned */
	char			 tls[LOGIN_TLS_MAX];
	char			 sender[PATH_TEXT_MAX];
	uint32_t		 flags;
	uint32_t		 ret;
	char			 envid[ENVID_MAX];
	struct envelope_writer	 envelope;
	/* its content */
	uint64_t		 octets;	/* came down the pipe */
	uint64_t		 own_lines;	/* of writer.lines */
	struct header		 header;	/* over, where none is due */
	struct trace_count	 count;
	struct policy_verdict	 fault;		/* COMMIT's; code 0: none */
	struct spool_writer	 writer;
};

extern const struct gate_table smtp_gates;

/*
 * In intake.c.  Begin the letter's file with all that is known before the
 * content: 0, or -1 with errno.
 */
int	intake_begin(struct smtp_session *);
/* Read a pipe to its end: 0 (see fault), or -1 with errno: it has none. */
int	intake_drain(struct smtp_session *, int fd);
/* What a client is told when the spool failed with this errno. */
const struct policy_verdict *intake_fault(int error);

/* Serve one SMTP session: spool, aliases, confinement, gates. */
void	smtp_serve(struct agent *);

#endif
