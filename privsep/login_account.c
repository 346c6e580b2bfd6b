/*
 * login_account: from a name to an account, and whether it may have mail.
 *
 * Runs in login's children, as root; asks NSS.
 */
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "login.h"
#include "nss.h"

#define NOBODY_UID	65534

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

enum account_status
account_judge(const struct config *config, const struct passwd *pw,
    struct identity *who)
{
	if (strlcpy(who->name, pw->pw_name, sizeof(who->name)) >=
	    sizeof(who->name) ||
	    strlcpy(who->home, pw->pw_dir, sizeof(who->home)) >=
	    sizeof(who->home))
		return ACCOUNT_REFUSED;
	who->uid = pw->pw_uid;
	who->gid = pw->pw_gid;
	if (who->uid == 0 || who->gid == 0 || who->uid == NOBODY_UID ||
	    who->uid < config->login_min_uid || who->home[0] != '/')
		return ACCOUNT_REFUSED;
	return ACCOUNT_OK;
}

enum account_status
account_find(const struct config *config, const char *name,
    struct identity *who)
{
	static char buf[NSS_BUFFER];
	struct passwd pw;

	switch (nss_find(name, &pw, buf, sizeof(buf))) {
	case NSS_FOUND:
		break;
	case NSS_UNKNOWN:
		return ACCOUNT_UNKNOWN;
	case NSS_FAILED:
		return ACCOUNT_TEMPFAIL;
	}
	return account_judge(config, &pw, who);
}
