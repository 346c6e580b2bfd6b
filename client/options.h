/*
 * options: what sendmail was asked to do, by its name and arguments.
 */
#ifndef CLIENT_OPTIONS_H
#define CLIENT_OPTIONS_H

enum mode {
	MODE_SEND,		/* -bm: a message on standard input */
	MODE_SMTP,		/* -bs: SMTP on standard input and output */
	MODE_VERIFY,		/* -bv: are these addresses any good? */
	MODE_QUEUE,		/* -bp, mailq */
	MODE_ALIASES,		/* -bi, newaliases */
	MODE_RETRY		/* -q: what waits is to be tried now */
};

/* DSN (RFC 3461), as it is said to the server; "" is not at all. */
#define NOTIFY_TEXT_MAX	32
#define ENVID_TEXT_MAX	101	/* octets of xtext, with the NUL */

struct options {
	enum mode	 mode;
	const char	*program;	/* the name that it was called by */
	const char	*config;	/* -C; NULL: the usual file */
	const char	*sender;	/* -f, -r; NULL: who calls */
	const char	*full_name;	/* -F; NULL: the account's */
	int		 from_header;	/* -t: recipients are in the header */
	int		 ignore_dot;	/* -i: "." alone does not end it */
	char		 notify[NOTIFY_TEXT_MAX];
	char		 ret[sizeof("FULL")];
	char		 envid[ENVID_TEXT_MAX];
	char		**recipients;	/* of argv, NULL at the end */
};

/*
 * 0, or -1: *what says what is wrong, with the letter of an option in *which
 * (0: none).  Nothing is allocated; argv is kept.  Uses getopt()'s variables.
 */
int	options_parse(struct options *, int argc, char **argv,
	    const char **what, int *which);

#endif
