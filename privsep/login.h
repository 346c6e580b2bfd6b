/*
 * login: who may come in, and as whom.  Internal to the login executable.
 */
#ifndef PRIVSEP_LOGIN_H
#define PRIVSEP_LOGIN_H

#include <pwd.h>

#include "config.h"
#include "facts.h"

enum account_status {
	ACCOUNT_OK,
	ACCOUNT_UNKNOWN,
	ACCOUNT_REFUSED,	/* exists, but mail is not for it */
	ACCOUNT_TEMPFAIL	/* NSS is out of order */
};

/*
 * Look an account up (NSS) and judge it: uid 0, uids below login-min-uid and
 * 65534 are ACCOUNT_REFUSED.
 */
enum account_status account_find(const struct config *, const char *name,
	    struct identity *);
/* The same of an entry that was looked up. */
enum account_status account_judge(const struct config *,
	    const struct passwd *, struct identity *);
/*
 * The accounts of a Unix group that mail is for, those whose primary group it
 * is among them; names are one after the other, each with its NUL, the
 * caller's to free.  ACCOUNT_REFUSED: there are more than MEMBERS_MAX.
 */
struct members {
	char	*names;
	size_t	 size;			/* octets, with their NULs */
	size_t	 room;
	size_t	 count;
};
enum account_status group_members(const struct config *, const char *group,
	    struct members *);
/*
 * The account that a login name means: itself, or the part before an @ whose
 * domain is local.  0, or -1 when there is none that it could be.
 */
int	account_of_login(const struct config *, const char *login,
	    char account[ACCOUNT_NAME_MAX]);

enum pam_verdict {
	PAM_VERDICT_OK,
	PAM_VERDICT_REFUSED,
	PAM_VERDICT_TEMPFAIL
};

/* Once: start the handle that stays unused, so that modules are loaded. */
void	login_pam_warm(const struct config *);
/*
 * One try, in a fork of the warm process: authenticate and acct_mgmt.  host
 * is the client's address.  secret stays the caller's.
 */
enum pam_verdict login_pam_try(const char *account, const char *secret,
	    const char *host);

#endif
