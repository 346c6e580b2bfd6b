/*
 * login_account: from a name to an account, and whether it may have mail.
 *
 * Runs in login's children, as root; asks NSS.
 */
#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "login.h"

#define NOBODY_UID	65534
#define NSS_BUFFER	65536	/* a passwd entry with all its strings */

int
account_of_login(const struct config *config, const char *login,
    char account[ACCOUNT_NAME_MAX])
{
	const char *at = strrchr(login, '@');
	size_t len = at != NULL ? (size_t)(at - login) : strlen(login);

	if (at != NULL && !config_is_local_domain(config, at + 1))
		return -1;
	if (len == 0 || len >= ACCOUNT_NAME_MAX)
		return -1;
	memcpy(account, login, len);
	account[len] = '\0';
	return 0;
}

/*
 * getpwnam_r(3) leaves open which errors mean "no such name"; these four and
 * 0 do, on every system that we know of.  All else is NSS out of order.
 */
static int
means_unknown(int error)
{
	return error == 0 || error == ENOENT || error == ESRCH ||
	    error == EBADF || error == EPERM;
}

enum account_status
account_find(const struct config *config, const char *name,
    struct identity *who)
{
	static char buf[NSS_BUFFER];
	struct passwd pw, *found = NULL;
	int error;

	do
		error = getpwnam_r(name, &pw, buf, sizeof(buf), &found);
	while (error == EINTR);
	if (found == NULL)
		return means_unknown(error) ? ACCOUNT_UNKNOWN :
		    ACCOUNT_TEMPFAIL;
	if (strlcpy(who->name, pw.pw_name, sizeof(who->name)) >=
	    sizeof(who->name) ||
	    strlcpy(who->home, pw.pw_dir, sizeof(who->home)) >=
	    sizeof(who->home))
		return ACCOUNT_REFUSED;
	who->uid = pw.pw_uid;
	who->gid = pw.pw_gid;
	if (who->uid == 0 || who->gid == 0 || who->uid == NOBODY_UID ||
	    who->uid < config->login_min_uid || who->home[0] != '/')
		return ACCOUNT_REFUSED;
	return ACCOUNT_OK;
}
