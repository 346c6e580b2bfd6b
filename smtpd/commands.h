/*
 * commands: the table of SMTP commands: what is allowed when, and who does it.
 */
#ifndef SMTPD_COMMANDS_H
#define SMTPD_COMMANDS_H

#include <stddef.h>
#include <stdint.h>

#include "session.h"

#define COMMAND_BARE	0x01	/* takes no argument */
#define COMMAND_IDLE	0x02	/* brings no message on: SESSION_IDLE_MAX */
#define COMMAND_LOGIN	0x04	/* where clients log in, only after that */
#define COMMAND_SUBMISSION 0x08	/* exists only where clients log in */
#define COMMAND_SECRET	0x10	/* its argument may hold one: it is wiped */
#define COMMAND_PIECE	0x20	/* octets follow it, refused or not */
#define COMMAND_SMTP	0x40	/* not LMTP's */
#define COMMAND_LMTP	0x80	/* not SMTP's */
#define COMMAND_KNOWN	0x100	/* exists only where clients are known: by a
				 * login, or by their uid */

struct command {
	const char	*name;
	uint32_t	 states;	/* 1 << enum smtp_state: allowed in */
	uint32_t	 flags;
	void		(*handler)(struct session *, char *argument);
};

/* The command of that name in any case, or NULL. */
const struct command *command_find(const char *verb);
/* For HELP and for tests: the i-th, NULL behind the last. */
const struct command *command_at(size_t i);

/* Do what one command line (no CR, LF, NUL in it) says; it is changed. */
void	command_run(struct session *, char *line);

/* In receive.c. */
void	command_data(struct session *, char *argument);
/* In bdat.c. */
void	command_bdat(struct session *, char *argument);
/* A BDAT that can't be done: what follows it is read all the same. */
void	bdat_refuse(struct session *, const char *argument,
	    const char *refusal);
/* In security.c. */
void	command_starttls(struct session *, char *argument);
/* In auth.c. */
void	command_auth(struct session *, char *argument);

#endif
