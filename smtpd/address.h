/*
 * address: the paths and mailboxes of RFC 5321 section 4.1.2, parsed from
 * text and printed as text again.  No input or output, no memory, no state:
 * used by the worker on what the client sent, and by the agents and the queue
 * on what a worker or an aliases file told them.
 *
 * With SMTPUTF8 (RFC 6531) local part and domain may hold UTF-8, but no control
 * characters; what a name may look like beyond that is not decided here.
 *
 * The local part is held without its quoting, so that "a"@x and a@x are the
 * same address.  Its case and the domain's are kept as they came.
 */
#ifndef SMTPD_ADDRESS_H
#define SMTPD_ADDRESS_H

#include <stddef.h>

/*
 * Limits of RFC 5321 section 4.5.3.1, in octets as written on the wire.  Its 64
 * for a local part is what everybody must take, at least: lists and forwarders
 * put whole addresses into one (VERP, SRS), and the path is the limit of that.
 */
#define ADDRESS_PATH_LIMIT	256	/* with angle brackets and route */
#define ADDRESS_LOCAL_LIMIT	(ADDRESS_PATH_LIMIT - 4) /* with its quotes, if
							  * it has any */
#define ADDRESS_DOMAIN_LIMIT	255
#define ADDRESS_LABEL_LIMIT	63

/* Room for address_print()'s text of a legal address, and more. */
#define ADDRESS_PRINT_MAX	321

struct address {
	char	local[ADDRESS_LOCAL_LIMIT + 1];		/* unquoted */
	char	domain[ADDRESS_DOMAIN_LIMIT + 1];	/* "": none */
};

enum address_status {
	ADDRESS_OK = 0,
	ADDRESS_SYNTAX,		/* not what the grammar says */
	ADDRESS_NONASCII,	/* an octet over 126, without ADDRESS_UTF8 */
	ADDRESS_TOO_LONG	/* over one of the limits above */
};

#define ADDRESS_NULL	0x01	/* <> is allowed (MAIL) */
#define ADDRESS_BARE	0x02	/* <postmaster> is allowed (RCPT); for
				 * address_mailbox(), any local part alone */
#define ADDRESS_UTF8	0x04	/* UTF-8 is allowed (RFC 6531) */

/*
 * Parse a path in angle brackets at the beginning of text; *used says how many
 * octets it took, what follows is the caller's.  A source route is checked and
 * dropped.  On any failure *address is empty.
 */
enum address_status address_path(const char *text, size_t len, int flags,
	    struct address *address, size_t *used);

/* Parse all of text as a mailbox without angle brackets. */
enum address_status address_mailbox(const char *text, size_t len, int flags,
	    struct address *address);

/*
 * Canonical text: quoted only where the local part needs it; "" for the null
 * path, the local part alone without a domain.  Parsing it gives the same
 * address.  0, or -1 with errno: EINVAL for a local part that no address can
 * have, ERANGE when size is too small.
 */
int	address_print(const struct address *, char *dst, size_t size);

/* The null reverse-path, <>? */
int	address_is_null(const struct address *);

/*
 * Could these two fields have come out of the parser above (the null path
 * aside)?  For those who get them from a process that they don't trust.
 */
int	address_is_legal(const struct address *);
/* The same with ADDRESS_UTF8. */
int	address_is_legal_utf8(const struct address *);
/* Can it be said to a host without SMTPUTF8? */
int	address_is_ascii(const struct address *);

#endif
