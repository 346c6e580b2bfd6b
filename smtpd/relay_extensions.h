/*
 * relay_extensions: what a remote host says to EHLO or LHLO that it can do
 * (RFC 5321 section 4.1.1.1).  Pure functions.
 */
#ifndef SMTPD_RELAY_EXTENSIONS_H
#define SMTPD_RELAY_EXTENSIONS_H

#include <stddef.h>
#include <stdint.h>

#include "relay_gate.h"

#define RELAY_AUTH_PLAIN	0x01
#define RELAY_AUTH_LOGIN	0x02

struct extensions {
	uint32_t	has;		/* RELAY_HAS_ bits */
	uint32_t	mechanisms;	/* of AUTH, those that we speak */
	uint64_t	size_limit;	/* octets, 0: none named */
};

/* None: before EHLO, and after STARTTLS. */
void	extensions_forget(struct extensions *);
/* One line of the reply after its first, without the code. */
void	extensions_take(struct extensions *, const char *line, size_t len);

#endif
