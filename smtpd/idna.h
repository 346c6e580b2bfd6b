/*
 * idna: a domain in UTF-8 (U-labels, RFC 5890) as the DNS knows it: with
 * A-labels, "xn--" and Punycode (RFC 3492).
 *
 * It is encoded as it stands, ASCII letters in lower case.  That a label is one
 * that somebody may register (RFC 5892's tables) is the registries' business: one
 * that is not encodes to a name that is not there.
 */
#ifndef SMTPD_IDNA_H
#define SMTPD_IDNA_H

#define IDNA_MAX	256	/* with its NUL */

/* Nothing but ASCII? */
int	idna_is_ascii(const char *);
/*
 * A domain, or an address literal, which stays as it is; -1 with errno EINVAL
 * for no UTF-8, or what no name in the DNS can be.
 */
int	idna_to_ascii(const char *domain, char ascii[IDNA_MAX]);

#endif
