/*
 * account: the names that are asked of NSS and of login.
 *
 * Runs in the session agent and in the queue, both as queue-user; touches
 * nothing.
 */
#include <string.h>

#include "smtpd/account.h"

int
is_account_name(const char *name)
{
	static const char legal[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	    "._-+$";
	size_t len = strlen(name);

	return len > 0 && len <= ACCOUNT_LIMIT && name[0] != '-' &&
	    name[0] != '.' && strspn(name, legal) == len;
}
