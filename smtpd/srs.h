/*
 * srs: the Sender Rewriting Scheme: the reverse-path of a letter that this
 * host forwards, as an address of its own, so that SPF finds it right at the
 * next host, and the way back for bounces.
 *
 *	alice@a.example		SRS0=HASH=TT=a.example=alice@srs-domain
 *	SRS0=...@b.example	SRS1=HASH=b.example==...@srs-domain
 *	SRS1=HASH=b.example==...@c.example
 *				SRS1=HASH=b.example==...@srs-domain
 *
 * HASH is the beginning of an HMAC-SHA256 with the first of srs-secret over
 * all that comes after it, in lower case: hosts on the way back may fold case.
 * TT is the day, modulo 1024, in base32.  An SRS1 has none: the SRS0 behind it
 * has, and its host looks at it.
 *
 * No input or output, no memory, no state.
 */
#ifndef SMTPD_SRS_H
#define SMTPD_SRS_H

#include <stdint.h>

#include "privsep/config.h"
#include "smtpd/address.h"

#define SRS_HASH_LEN	6	/* base64 characters: 31 bits without case */
#define SRS_DAYS	21	/* that an SRS0 is good for */

enum srs_answer {
	SRS_GOOD,
	SRS_NONE,	/* no such address */
	SRS_FORGED,	/* not written by us: none of our secrets fits */
	SRS_OLD
};

/*
 * Another host's reverse-path as one of ours, at that time (seconds since
 * 1970): 0; or -1: it stays as it is, since it is null, has an empty local part
 * or no domain that the DNS knows, there is no srs-domain, or what would become of it is longer
 * than an address may be (RFC 5321 section 4.5.3.1.1).
 */
int	srs_forward(const struct config *, const char *reverse_path,
	    uint64_t now, char to[ADDRESS_PRINT_MAX]);
/* Does this local part say that it is such an address?  In any case. */
int	srs_is_address(const char *local);
/* What stands behind one of srs-domain; only SRS_GOOD sets it. */
enum srs_answer srs_reverse(const struct config *, const char *local,
	    uint64_t now, struct address *);

#endif
