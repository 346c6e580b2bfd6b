/*
 * dns_reverse: which host an address belongs to: the name that its owner gives
 * it (PTR; RFC 1035 section 3.5, RFC 3596 section 2.5), if that name has the
 * address.  Questions and what is believed of the answers, as pure functions.
 */
#ifndef SMTPD_DNS_REVERSE_H
#define SMTPD_DNS_REVERSE_H

#include "dns.h"

#define DNS_NAMES_TRIED	3	/* of one address; any more are not looked at */

struct dns_reverse {
	int		is_over;
	/* The next question, until it is over. */
	enum dns_type	type;
	char		asked[HOSTNAME_MAX];
	/* When it is over: the host's name, or "": none that is confirmed. */
	char		name[HOSTNAME_MAX];
	/* Its own: */
	enum dns_type	forward;	/* DNS_A or DNS_AAAA */
	uint8_t		address[16];
	size_t		count, next;
	char		names[DNS_NAMES_TRIED][HOSTNAME_MAX];
};

/* The first question about a numeric address; 0, or -1: it is none. */
int	dns_reverse_begin(struct dns_reverse *, const char *address);
/* The answer to that question: the next one, or the end of them. */
void	dns_reverse_answered(struct dns_reverse *, const struct dns_answer *);
/*
 * A host's name as RFC 1123 section 2.1 wants it, in lower case, that can't be
 * taken for an address?
 */
int	dns_reverse_is_name(const char *);

#endif
