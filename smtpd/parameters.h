/*
 * parameters: the arguments of SMTP commands, parsed strictly (RFC 5321
 * section 4.1.1, RFC 1870, RFC 3030, RFC 3461, RFC 4954, RFC 6152, RFC 6531).
 * Pure functions over NUL-terminated text that is known to hold no CR, LF or
 * NUL.
 *
 * Where a function returns a string, it is NULL for a good argument, else the
 * whole reply line to refuse it with.
 */
#ifndef SMTPD_PARAMETERS_H
#define SMTPD_PARAMETERS_H

#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "xtext.h"

#define HELO_MAX	256	/* with its NUL */

struct mail_argument {
	struct address	path;
	uint64_t	size;		/* declared octets, 0: none */
	int		is_8bitmime;
	int		is_smtputf8;
	int		is_binarymime;
	uint32_t	ret;		/* RET_ of gates.h, 0: none */
	char		envid[ENVID_MAX];	/* in xtext, "": none */
};

struct rcpt_argument {
	struct address	path;
	uint32_t	notify;		/* NOTIFY_ of gates.h, 0: none */
	char		orcpt[ORCPT_MAX];	/* "": none */
};

/*
 * Split a line into its verb and its argument, in place: the argument begins
 * after the spaces behind the verb and has no white space at its end; "" for
 * none.  -1 if there is no verb (letters only).
 */
int	parameters_split(char *line, char **verb, char **argument);

/* HELO and EHLO: any one word, since many clients give no domain. */
const char *parameters_helo(const char *argument, char name[HELO_MAX]);

/*
 * MAIL and RCPT; extensions says which parameters the client may use.
 */
#define EXTENSION_ANY	0x01	/* it said EHLO */
#define EXTENSION_AUTH	0x02	/* AUTH was offered to it */
#define EXTENSION_UTF8	0x04	/* MAIL had SMTPUTF8: RCPT may have UTF-8 */
const char *parameters_mail(const char *argument, uint32_t extensions,
	    struct mail_argument *);
const char *parameters_rcpt(const char *argument, uint32_t extensions,
	    struct rcpt_argument *);

/* BDAT: how many octets follow, and are they the last?  0, or -1. */
int	parameters_bdat(const char *argument, uint64_t *octets, int *is_last);

/* VRFY and EXPN: a path, a mailbox or a local part, and SMTPUTF8; changed. */
const char *parameters_vrfy(char *argument, uint32_t extensions,
	    struct address *);

/* 1 to 20 digits that fit: 0, or -1. */
int	parameters_size(const char *text, size_t len, uint64_t *size);

#endif
