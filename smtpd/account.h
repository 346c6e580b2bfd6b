/*
 * account: what the name of an account may look like.
 */
#ifndef SMTPD_ACCOUNT_H
#define SMTPD_ACCOUNT_H

#define ACCOUNT_LIMIT	64	/* octets of a name that gets mail */

/*
 * Could this be an account's name?  Nothing that is a path, an option or a
 * pattern anywhere; at most ACCOUNT_LIMIT octets.
 */
int	is_account_name(const char *);

#endif
