/*
 * trace: the Received: line (RFC 5321 section 4.4) that a letter gets here,
 * and the count of those that it brings (section 6.3).
 */
#ifndef SMTPD_TRACE_H
#define SMTPD_TRACE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "smtpd/gates.h"

#define TRACE_MAX	2048	/* octets of a trace with its NUL */

struct trace {
	const char	*helo;		/* trace_helo()'s: a claim */
	const char	*client;	/* numeric address */
	const char	*hostname;
	const char	*id;
	int		 is_esmtp;
	const char	*recipient;	/* the only one's path, or NULL */
	time_t		 when;
};

/* The octets of it in text, LF line ends; 0: does not fit. */
size_t	trace_print(const struct trace *, char text[TRACE_MAX]);
/* What a client called itself, as it may stand in a header line. */
void	trace_helo(char *dst, size_t size, const char *claim);

/* Counts header lines of that name in content that comes in pieces. */
struct trace_count {
	uint32_t	received;
	int		is_over;	/* the header is */
	size_t		column;
	size_t		matched;
};

void	trace_count(struct trace_count *, const uint8_t *, size_t);

#endif
