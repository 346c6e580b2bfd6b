/*
 * address_key: addresses as names that are looked up.
 *
 * Runs in the session agent and in the queue, both as queue-user; touches
 * nothing but memory.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "smtpd/address_key.h"
#include "smtpd/idna.h"

int
address_key(const char *local, const char *domain, char key[ADDRESS_KEY_MAX])
{
	char ascii[IDNA_MAX];
	size_t i;

	if (idna_to_ascii(domain, ascii) == -1)
		return -1;
	if (snprintf(key, ADDRESS_KEY_MAX, "%s@%s", local, ascii) >=
	    ADDRESS_KEY_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (i = 0; key[i] != '\0'; i++)
		if (key[i] >= 'A' && key[i] <= 'Z')
			key[i] = (char)(key[i] - 'A' + 'a');
	return 0;
}

int
address_key_parse(const char *text, char key[ADDRESS_KEY_MAX])
{
	char with_local[ADDRESS_PRINT_MAX];
	struct address address;

	/* A domain is what could stand behind a local part. */
	if (snprintf(with_local, sizeof(with_local), "%s%s",
	    text[0] == '@' ? "x" : "", text) >= (int)sizeof(with_local) ||
	    address_mailbox(with_local, strlen(with_local), ADDRESS_UTF8,
	    &address) != ADDRESS_OK || address.domain[0] == '\0')
		return -1;
	return address_key(text[0] == '@' ? "" : address.local,
	    address.domain, key);
}

const char *
address_key_domain(const char *key)
{
	const char *at = strrchr(key, '@');

	return at != NULL ? at + 1 : "";
}
