/*
 * idna: a domain in UTF-8 (U-labels, RFC 5890) as the DNS knows it: with
 * A-labels, "xn--" and Punycode (RFC 3492).
 *
 * It is mapped first as a mail program would (UTS 46, not transitional: upper
 * case, full width and what else is but another way to write the same; a sharp
 * s stays one), and each label checked (IDNA2008: RFC 5891, section 5.4; RFC
 * 5893 for right to left).  Everybody who compares domains asks here, so that
 * a letter for a domain goes the same way however its name is written.
 */
#ifndef SMTPD_IDNA_H
#define SMTPD_IDNA_H

#define IDNA_MAX	256	/* with its NUL */

/* Nothing but ASCII? */
int	idna_is_ascii(const char *);
/*
 * A name in ASCII, "xn--" or not, and an address literal stay as they are, what
 * else there is comes out in lower case, fit for the DNS.  -1 with errno EINVAL
 * for what no host's name can be, a label of over 63 octets, no UTF-8, or more
 * than 255 octets, and ENOMEM.
 */
int	idna_to_ascii(const char *domain, char ascii[IDNA_MAX]);

#endif
