/*
 * session: one SMTP client's session in its worker.
 *
 * What stands here is only what a worker needs to speak the protocol.  The
 * envelope itself is the agent's, who is told of it command by command.
 */
#ifndef SMTPD_SESSION_H
#define SMTPD_SESSION_H

#include <stdint.h>
#include <time.h>

#include "../privsep/worker.h"
#include "../wire/tls.h"
#include "../wire/wire.h"
#include "binary.h"
#include "data.h"
#include "parameters.h"
#include "stubs.h"

#define SESSION_LINE_MAX	2048	/* of a command, with its CR LF */
#define SESSION_AUTH_LINE_MAX	3200	/* ... where it can be AUTH with a long
					 * initial response */
#define SESSION_REFUSALS_MAX	100	/* addresses that the agent refused */
#define SESSION_IDLE_MAX	200	/* commands that bring no message on */
#define SESSION_OUT_SIZE	65536	/* content on its way to the pipe */

enum smtp_state {
	SMTP_START,	/* no HELO or EHLO yet */
	SMTP_READY,
	SMTP_MAIL,	/* a transaction is open, without a recipient */
	SMTP_RCPT,	/* ... with one or more */
	SMTP_BDAT,	/* ... and pieces of content came: more must follow */
	SMTP_STATES
};

/*
 * All zero in SMTP_START and SMTP_READY: session_is_sane().
 * Only session_begin() and session_forget() open and close one.
 */
struct transaction {
	int		is_open;
	uint32_t	recipients;	/* accepted */
	uint64_t	size;		/* declared, 0: not */
	int		is_smtputf8;	/* declared */
	int		is_binarymime;
};

/* Content on its way (receive.h). */
struct receive {
	struct data	data;
	struct binary	binary;		/* in place of it, if declared */
	int		pipe;		/* to the agent; -1: none, or lost */
	uint64_t	written;	/* octets the agent was given */
	time_t		started;
};

enum line_status {
	LINE_OVER,		/* the session is */
	LINE_GOOD,
	LINE_UNCLEAN,		/* bare CR or LF, or NUL; it was wiped */
	LINE_TOO_LONG
};

struct session {
	struct worker		*worker;
	enum smtp_state		 state;
	int			 is_esmtp;	/* greeted with EHLO */
	int			 is_over;	/* nothing more is read */
	int			 is_ended_by_us; /* ... and not at QUIT */
	int			 is_tls;
	int			 is_logged_in;	/* the gate is an agent's now */
	char			 tls[TLS_TEXT_MAX]; /* "" in the clear */
	char			 helo[HELO_MAX];
	struct transaction	 transaction;
	struct receive		 receive;	/* with a pipe between commands
						 * in SMTP_BDAT only */
	uint32_t		 commands;	/* counted for the log */
	uint32_t		 messages;	/* ... answered with 250 */
	uint32_t		 errors;
	uint32_t		 refusals;
	uint32_t		 idle;		/* since the last message */
	struct wire		 wire;
	size_t			 out_len;
	uint8_t			 out[SESSION_OUT_SIZE];
};

/* Two steps, so that a transport can be put in between. */
void	session_init(struct session *, struct worker *);
/* Greet, serve commands until the session is over, log its summary. */
void	session_run(struct session *);

/*
 * The next line of at most max octets with its CR LF, valid until the next
 * one is read.
 */
enum line_status session_line(struct session *, size_t max, char **line);

/* One whole reply line, without its CR LF. */
void	session_reply(struct session *, const char *line);
/* The same for a command that made no sense: counts as an error. */
void	session_refuse(struct session *, const char *line);
/* A verdict of the agent's, as it is; 421 ends the session. */
void	session_verdict(struct session *, const struct verdict *);
/* The same, and more lines of that reply follow. */
void	session_verdict_line(struct session *, const struct verdict *);
/*
 * What became of the content: one reply, or with LMTP one for each recipient
 * that the transaction had.
 */
void	session_outcome(struct session *, uint32_t recipients,
	    const struct verdict *);
/* 421: nothing more is read. */
void	session_end(struct session *, const char *line);
/* The same, with why the master wants it. */
void	session_hung_up(struct session *);
/* The agent is gone, or talks nonsense: 421, nothing was accepted. */
void	session_gate_failed(struct session *);

/* The agent said yes to MAIL. */
void	session_begin(struct session *, const struct mail_argument *);
/* The agent has no transaction any more: nor have we. */
void	session_forget(struct session *);
/* Make the agent forget it, if one is open.  -1: the session is over. */
int	session_abort(struct session *);
/* The same, and what the client has said of itself is forgotten, too. */
int	session_restart(struct session *);

/* Monotonic seconds. */
time_t	session_clock(void);

/* Does the transaction fit the state? (C3) */
int	session_is_sane(const struct session *);

#endif
