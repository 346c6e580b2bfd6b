/*
 * submission: SMTP as a client, over the server's socket for programs of this
 * host.  What can't be done ends the program, with one line and an exit code.
 */
#ifndef CLIENT_SUBMISSION_H
#define CLIENT_SUBMISSION_H

#include <stddef.h>
#include <stdio.h>

#define SUBMISSION_TEXT_MAX	512	/* octets of a reply, with the NUL */

struct submission {
	int	 fd;
	FILE	*in;
	FILE	*out;
	char	 host[256];		/* the server's name for itself */
	int	 is_inside;		/* of a line of the content */
	int	 is_ended;		/* the content, but not answered yet */
	int	 code;			/* of the last reply */
	char	 text[SUBMISSION_TEXT_MAX];	/* its lines, joined */
};

/* Connect to run_dir's socket. */
int	submission_connect(const char *run_dir);
/* Connect, read the greeting, say EHLO. */
void	submission_open(struct submission *, const char *run_dir);
/*
 * Say a line and read its reply.  Everything but the wanted code ends the
 * program; what names who or what is refused, NULL: nothing to name.
 */
void	submission_say(struct submission *, int wanted, const char *what,
	    const char *, ...) __attribute__((format(printf, 4, 5)));
/*
 * A piece of the content of DATA: LF line ends become CR LF, dots are doubled.
 * Where the server takes no more of it, what it said of that ends the program.
 */
void	submission_put(struct submission *, const char *, size_t);
void	submission_end(struct submission *);
void	submission_close(struct submission *);
/* The reply in hand ends the program. */
_Noreturn void submission_fail(const struct submission *, const char *what);
/* -bs: pass octets both ways until the server closes. */
void	submission_relay(int fd);

#endif
