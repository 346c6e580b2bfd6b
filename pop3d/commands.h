/*
 * commands: what a POP3 client can say (RFC 1939, 2449, 2595, 5034, 6856) as
 * one constant table, and the strict parser that finds the entry for a line.
 */
#ifndef POP3D_COMMANDS_H
#define POP3D_COMMANDS_H

#include <stddef.h>
#include <stdint.h>

struct session;

/*
 * Octets of a command line, CR LF included.  RFC 2449 asks for 255; only names
 * and secrets, which some sites have long, may have more, and still more in
 * base64 (SASL_LINE_MAX).
 */
#define POP3_COMMAND_MAX	255
#define POP3_LINE_MAX		1024

#define POP3_ARGS_MAX		2

/* Bits, as the table's states are sets of them (RFC 1939, 3). */
enum pop3_state {
	POP3_AUTHORIZATION = 0x1,
	POP3_TRANSACTION = 0x2
};
#define POP3_ANY	(POP3_AUTHORIZATION | POP3_TRANSACTION)

enum pop3_arguments {
	ARGS_NUMBERS,	/* decimal, one space before each */
	ARGS_TEXT,	/* all that follows one space, spaces and all */
	ARGS_WORD	/* the same, spaces at the end left out */
};

struct arguments {
	int		 count;
	uint64_t	 number[POP3_ARGS_MAX];
	char		*text;	/* in the line, NUL-terminated; never NULL */
	size_t		 len;
};

struct pop3_command {
	const char		*name;		/* upper case */
	unsigned int		 states;	/* in which it is allowed */
	enum pop3_arguments	 kind;
	int			 min_args;
	int			 max_args;
	size_t			 max_line;	/* octets with CR LF */
	void			(*handler)(struct session *,
				    const struct arguments *);
};

enum pop3_parse {
	PARSE_OK,
	PARSE_UNKNOWN,	/* no such command */
	PARSE_STATE,	/* not now */
	PARSE_SYNTAX,	/* wrong arguments, or a NUL in the line */
	PARSE_TOO_LONG	/* for this command */
};

/*
 * Parse a line of len octets, with a NUL after it; it is cut up in place.
 * *command is set whenever the verb is known, else NULL.  Does nothing else.
 */
enum pop3_parse pop3_parse(char *line, size_t len, enum pop3_state,
	    const struct pop3_command **command, struct arguments *);

/*
 * Is this a line of another protocol's client: of a browser above all, made to
 * speak to us by a page (C20)?
 */
int	is_foreign_verb(const char *line);

#endif
