/*
 * login_pam: one PAM conversation.
 *
 * Runs in login: warmed in the parent, tried in its children, as root.  PAM's
 * modules are the host's; what they may do besides is the login table's.
 */
#include <security/pam_appl.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "login.h"

/*
 * The one handle.  The parent starts it and never uses it, so that every
 * child has it fresh with the modules loaded: a handle reused in one process
 * slows down with each login.
 */
static pam_handle_t *warm;

/* What the conversation answers; set in the child that uses the handle. */
static const char *conv_secret;

/* Prompts without echo get the secret, with echo the account, text nothing. */
static int
answer(const struct pam_message *asked, struct pam_response *given)
{
	const void *user = NULL;

	switch (asked->msg_style) {
	case PAM_PROMPT_ECHO_OFF:
		if (conv_secret == NULL)
			return -1;
		given->resp = strdup(conv_secret);
		break;
	case PAM_PROMPT_ECHO_ON:
		if (pam_get_item(warm, PAM_USER, &user) != PAM_SUCCESS ||
		    user == NULL)
			return -1;
		given->resp = strdup(user);
		break;
	case PAM_ERROR_MSG:
	case PAM_TEXT_INFO:
		return 0;
	default:
		return -1;
	}
	return given->resp != NULL ? 0 : -1;
}

static int
converse(int n, const struct pam_message **asked,
    struct pam_response **given, void *arg)
{
	struct pam_response *r;
	int i;

	(void)arg;
	if (n <= 0 || n > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	r = calloc((size_t)n, sizeof(*r));
	if (r == NULL)
		return PAM_BUF_ERR;
	for (i = 0; i < n; i++) {
		if (answer(asked[i], &r[i]) == 0)
			continue;
		while (i-- > 0)
			if (r[i].resp != NULL)
				freezero(r[i].resp, strlen(r[i].resp));
		free(r);
		return PAM_CONV_ERR;
	}
	*given = r;
	return PAM_SUCCESS;
}

/*
 * Without a file of its own the service is what `other' says, which on most
 * hosts refuses, and tells nobody why.
 */
static void
look_for_service(const char *service, const char *dir)
{
	const char *const dirs[] = { dir != NULL ? dir : "/etc/pam.d",
	    "/usr/lib/pam.d", "/usr/etc/pam.d" };
	size_t i, count = dir != NULL ? 1 : sizeof(dirs) / sizeof(dirs[0]);
	char path[CONFIG_PATH_MAX * 2];

	for (i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", dirs[i], service);
		if (access(path, F_OK) == 0 || errno != ENOENT)
			return;
	}
	log_event(LOG_ERR, 0, "event=pam-service-missing service=%s text=\"no "
	    "%s/%s; the service 'other' is used\"", service, dirs[0], service);
}

void
login_pam_warm(const struct config *config)
{
	static const struct pam_conv conv = { .conv = converse };
	const char *dir;
	int r;

	dir = config->pam_confdir[0] != '\0' ? config->pam_confdir : NULL;
	look_for_service(config->pam_service, dir);
	r = pam_start_confdir(config->pam_service, NULL, &conv, dir, &warm);
	if (r == PAM_SUCCESS)
		return;
	/* Not fatal: a login is answered with a temporary error until HUP. */
	log_event(LOG_CRIT, 0, "event=pam-broken service=%s text=\"%s\"",
	    config->pam_service, pam_strerror(NULL, r));
	warm = NULL;
}

static enum pam_verdict
judge(int r)
{
	switch (r) {
	case PAM_SUCCESS:
		return PAM_VERDICT_OK;
	case PAM_AUTH_ERR:
	case PAM_USER_UNKNOWN:
	case PAM_MAXTRIES:
	case PAM_PERM_DENIED:
	case PAM_CRED_INSUFFICIENT:
	case PAM_ACCT_EXPIRED:
	case PAM_CRED_EXPIRED:
	case PAM_NEW_AUTHTOK_REQD:
	case PAM_AUTHTOK_EXPIRED:
	case PAM_CONV_ERR:		/* it asked what mail can't answer */
		return PAM_VERDICT_REFUSED;
	default:
		return PAM_VERDICT_TEMPFAIL;
	}
}

/* A module may not make somebody else of the one who asked. */
static int
is_same_user(const char *account)
{
	const void *user = NULL;

	return pam_get_item(warm, PAM_USER, &user) == PAM_SUCCESS &&
	    user != NULL && strcmp(user, account) == 0;
}

/*
 * Modules ask for a delay after a failure; login keeps its own, which is the
 * same for every kind of failure.
 */
static void
no_delay(int status, unsigned microseconds, void *arg)
{
	(void)status;
	(void)microseconds;
	(void)arg;
}

static int
try(const char *account, const char *host)
{
	int r;

	if ((r = pam_set_item(warm, PAM_USER, account)) != PAM_SUCCESS ||
	    (r = pam_set_item(warm, PAM_RHOST, host)) != PAM_SUCCESS ||
	    (r = pam_set_item(warm, PAM_FAIL_DELAY,
	    (const void *)no_delay)) != PAM_SUCCESS ||
	    (r = pam_authenticate(warm, PAM_SILENT |
	    PAM_DISALLOW_NULL_AUTHTOK)) != PAM_SUCCESS)
		return r;
	if (!is_same_user(account))
		return PAM_PERM_DENIED;
	r = pam_acct_mgmt(warm, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	if (r == PAM_SUCCESS && !is_same_user(account))
		return PAM_PERM_DENIED;
	return r;
}

enum pam_verdict
login_pam_try(const char *account, const char *secret, const char *host)
{
	enum pam_verdict verdict;
	int r;

	if (warm == NULL)
		return PAM_VERDICT_TEMPFAIL;
	conv_secret = secret;
	r = try(account, host);
	conv_secret = NULL;
	verdict = judge(r);
	if (verdict == PAM_VERDICT_TEMPFAIL)
		log_event(LOG_ERR, 0, "event=pam-error text=\"%s\"",
		    pam_strerror(warm, r));
	return verdict;
}
