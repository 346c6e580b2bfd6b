/*
 * address_key: the one form of an address that two who write it differently
 * have in common: "local@domain", the local part without quotes, the domain in
 * ASCII, and all ASCII letters in lower case.  "@domain" is the whole domain.
 */
#ifndef SMTPD_ADDRESS_KEY_H
#define SMTPD_ADDRESS_KEY_H

#include <stddef.h>

#include "smtpd/address.h"

#define ADDRESS_KEY_MAX	ADDRESS_PRINT_MAX

/* Of local part (unquoted) and domain; -1 with errno: no such domain. */
int	address_key(const char *local, const char *domain,
	    char key[ADDRESS_KEY_MAX]);
/*
 * Of an address as somebody wrote it, or "@" and a domain; -1: it is neither.
 */
int	address_key_parse(const char *text, char key[ADDRESS_KEY_MAX]);
/* The domain of a key. */
const char *address_key_domain(const char *key);

#endif
