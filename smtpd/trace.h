/*
 * trace: the Received: line (RFC 5321 section 4.4) that a letter gets here,
 * and the count of those that it brings (section 6.3).
 *
 * Who logged in is not in it: the line goes wherever the letter goes, and a
 * login name is half of what it takes to log in.  The log has it, and the
 * letter's envelope.
 */
#ifndef SMTPD_TRACE_H
#define SMTPD_TRACE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "privsep/facts.h"
#include "smtpd/gates.h"

#define TRACE_MAX	2048	/* octets of a trace with its NUL */
#define TRACE_DATE_MAX	64

struct trace {
	const char	*helo;		/* trace_helo()'s: a claim */
	const char	*client;	/* numeric address */
	const char	*name;		/* its host's, or "unknown"; "" or NULL:
					 * nobody has looked */
	uint32_t	 uid;		/* of a client on this host, instead of
					 * its address; FACTS_NO_UID */
	const char	*hostname;
	const char	*id;
	int		 is_esmtp;
	const char	*tls;		/* trace_tls()'s: a claim; "" none */
	int		 has_login;
	int		 is_lmtp;
	int		 is_utf8;	/* SMTPUTF8 was said */
	const char	*recipient;	/* the only one's path, or NULL */
	time_t		 when;
};

/* The octets of it in text, LF line ends; 0: does not fit. */
size_t	trace_print(const struct trace *, char text[TRACE_MAX]);
/* RFC 5322 date and time, in the host's zone; -1 with errno. */
int	trace_date(time_t, char date[TRACE_DATE_MAX]);
/* What a client called itself, as it may stand in a header line. */
void	trace_helo(char *dst, size_t size, const char *claim);
/* Version and cipher, as they may stand in a comment; "" stays so. */
void	trace_tls(char *dst, size_t size, const char *claim);

/* Counts header lines of that name in content that comes in pieces. */
struct trace_count {
	uint32_t	received;
	int		is_over;	/* the header is */
	size_t		column;
	size_t		matched;
};

void	trace_count(struct trace_count *, const uint8_t *, size_t);

#endif
