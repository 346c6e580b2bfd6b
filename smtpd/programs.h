/*
 * programs: the process that runs users' commands, and what the queue can ask
 * of one of its agents, which is the user.
 *
 * It asks RUN by the digest of an entry.  The agent reads the file that the
 * entry must stand in itself, ~/.forward of its user, or the aliases if it is
 * command-user: so whatever the queue asks, nothing is run but what that file
 * says, and by nobody but who may.
 */
#ifndef SMTPD_PROGRAMS_H
#define SMTPD_PROGRAMS_H

#include "privsep/agents.h"
#include "privsep/gates.h"
#include "smtpd/aliases.h"
#include "smtpd/deliver_request.h"
#include "smtpd/program.h"

#define PROGRAM_OUTPUT_MAX	401	/* octets kept, with the NUL */
#define PROGRAM_HEAD_MAX	(DELIVER_HEAD_MAX + 640)

/* A letter for a command or a file. */
struct program_task {
	const struct agent	*agent;
	int			 is_of_aliases;	/* or of ~/.forward */
	struct deliver_request	 letter;
	char			 alias[ALIAS_NAME_MAX];	/* or "" */
	char			 digest[PROGRAM_DIGEST_MAX];
	char			 text[PROGRAM_TEXT_MAX]; /* once it is found */
	char			 head[PROGRAM_HEAD_MAX];	/* before it */
};

enum program_end_kind {
	PROGRAM_EXITED,		/* code: its status */
	PROGRAM_SIGNALLED,	/* code: the signal */
	PROGRAM_TIMED_OUT,
	PROGRAM_NOT_RUN,	/* code: errno */
	PROGRAM_ABANDONED	/* nobody wants to know any more */
};

struct program_end {
	enum program_end_kind	 kind;
	int			 code;
	char			 output[PROGRAM_OUTPUT_MAX];	/* printable */
};

enum programs_state {
	PROGRAMS_READY,
	PROGRAMS_UNSETTLED	/* the last is done, not yet on record */
};

extern const struct gate_table program_gates;	/* session: struct programs */

/* One agent's session. */
struct programs {
	struct agent		*agent;
	int			 is_command_user;
	struct aliases_file	 aliases;	/* open for that one only */
};

/*
 * program_find.c.  Sets text: 0; or -1 with the verdict: DELIVERY_GONE, or a
 * deferral.
 */
int	program_find(struct programs *, struct program_task *,
	    struct deliver_verdict *);

/*
 * program_run.c.  Run it and wait for its end, with the letter as its input;
 * at most command-timeout, and no longer than the queue waits at the gate.
 */
void	program_run(const struct program_task *, struct program_end *);

/* program_feed.c: the letter, to a pipe that does not block. */
struct program_feed {
	const struct program_task *task;
	uint64_t	at;		/* of the letter: read so far */
	size_t		start, end;	/* of what is in the buffer */
	int		is_failed;	/* it can't be read */
	char		buffer[64 * 1024];
};
void	program_feed_begin(struct program_feed *, const struct program_task *);
/* 1: more later, 0: that was all, or nobody reads. */
int	program_feed(struct program_feed *, int pipe);

/*
 * program_exec.c.  In the fork: become the command, or write the file; input,
 * output and trouble (an errno, if it can't be run) are ends of pipes.
 */
void	program_exec(const struct program_task *, pid_t parent, int input,
	    int output, int trouble) __attribute__((noreturn));

/* program_environment.c: "NAME=value" strings, ending with NULL. */
#define PROGRAM_VARIABLES	12
struct program_environment {
	char		 text[PROGRAM_VARIABLES][1100];
	char		*variables[PROGRAM_VARIABLES + 1];
	size_t		 count;
};
void	program_environment_make(const struct program_task *,
	    struct program_environment *);

/*
 * program_file.c.  In the fork: append to the file, or deliver to the Maildir
 * if the path ends with a slash.  An exit status of sysexits.h, and if it is
 * not EX_OK *why.
 */
int	program_file_append(const struct program_task *, const char **why);

/* program_verdict.c: what that end means for the letter. */
void	program_verdict(const struct program_task *, const struct program_end *,
	    struct deliver_verdict *);

#endif
