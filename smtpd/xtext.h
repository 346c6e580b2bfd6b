/*
 * xtext: the fields of RFC 3461 that a client fills in as it likes, ENVID=,
 * NOTIFY= and ORCPT=: what they may look like.  Kept as they came, in xtext, so
 * that what is passed on is what was said.  Pure functions, for the worker on
 * what the client sent, and for those who get the fields from elsewhere.
 */
#ifndef SMTPD_XTEXT_H
#define SMTPD_XTEXT_H

#include <stddef.h>
#include <stdint.h>

#define ENVID_MAX	101	/* with its NUL (RFC 3461 section 4.4) */
#define ORCPT_MAX	501	/* ... (section 4.2), with its address type */

/* Printable, no "=", and a "+" only before two digits, 0 to 9, A to F. */
int	xtext_is_legal(const char *, size_t);

/*
 * The text without the encoding; -1 with errno: EINVAL for what is no xtext,
 * ERANGE when it does not fit.  It can hold any octet but NUL (EINVAL).
 */
int	xtext_decode(const char *xtext, char *dst, size_t size);

/* "" for none, or xtext that fits. */
int	envid_is_legal(const char *);
/*
 * "" for none, or an address type, ";" and xtext that fit.  What is of the type
 * utf-8 may be UTF-8 as it is (RFC 6533 section 3); no receiver of a message
 * that is sent on without SMTPUTF8 may be told of it so.
 */
int	orcpt_is_legal(const char *);
/*
 * ORCPT as clients send it: hosts in use forget to encode, so a "+" that
 * begins no code is one that should have been "+2B", and becomes it.  -1: not
 * even then.
 */
int	orcpt_repair(const char *, size_t, char orcpt[ORCPT_MAX]);
/* Of an address; "" if that is not ASCII, or its xtext does not fit. */
void	orcpt_make(const char *address, char orcpt[ORCPT_MAX]);
/* NOTIFY_ bits of smtpd/gates.h: NEVER alone, or any others; 0 none. */
int	notify_is_legal(uint32_t);

#endif
