/*
 * policy: which mail is taken.
 *
 * Runs in the session agent, as queue-user; asks NSS and reads the aliases
 * file.  Nothing that it decides on comes from the worker but the address
 * itself.
 */
#include <sys/socket.h>
#include <sys/statvfs.h>

#include <arpa/inet.h>

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "privsep/nss.h"
#include "smtpd/account.h"
#include "smtpd/policy.h"

#define UID_NOBODY		65534
/* What stays free for the letters of others, outcomes and renames. */
#define SPOOL_RESERVE		(8 * 1024 * 1024)
#define SPOOL_FILES_RESERVE	256

static const struct policy_verdict accepted = { 250, "2.1.5", "Ok" };
static const struct policy_verdict unknown = { 550, "5.1.1", "No such user here" };
static const struct policy_verdict temporary = { 451, "4.3.0",
    "Can't look that user up now, try again later" };
static const struct policy_verdict no_relay = { 550, "5.7.1",
    "Relaying denied: not a domain of this host" };
static const struct policy_verdict no_domain = { 550, "5.1.3",
    "Address needs a domain" };
static const struct policy_verdict too_large = { 552, "5.3.4",
    "Message is larger than this host takes" };
static const struct policy_verdict full = { 452, "4.3.1",
    "Not enough room in the queue, try again later" };
static const struct policy_verdict spool_fault = { 451, "4.3.0",
    "Can't use the queue now, try again later" };
static const struct policy_verdict cannot_verify = { 252, "2.1.5",
    "Not verified: send mail and see" };

/* An account that may have a mailbox; system accounts need an alias. */
static enum nss_status
find_mailbox(const struct policy *p, const char *name)
{
	enum nss_status result;
	static char buf[NSS_BUFFER];
	struct passwd pw;

	result = nss_find(name, &pw, buf, sizeof(buf));
	if (result == NSS_FOUND && (pw.pw_uid == 0 ||
	    pw.pw_uid == UID_NOBODY ||
	    pw.pw_uid < p->config->login_min_uid))
		return NSS_UNKNOWN;
	return result;
}

/* The name as it is, else in lower case: mailboxes in any case, as ever. */
static enum nss_status
find_account(const struct policy *p, const char *local,
    char account[POLICY_ACCOUNT_MAX])
{
	enum nss_status result;
	size_t i;

	if (strlcpy(account, local, POLICY_ACCOUNT_MAX) >= POLICY_ACCOUNT_MAX)
		return NSS_UNKNOWN;
	result = find_mailbox(p, account);
	if (result != NSS_UNKNOWN)
		return result;
	for (i = 0; account[i] != '\0'; i++)
		if (account[i] >= 'A' && account[i] <= 'Z')
			account[i] = (char)(account[i] - 'A' + 'a');
	if (strcmp(account, local) == 0)
		return NSS_UNKNOWN;
	return find_mailbox(p, account);
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]", and the session came to that? */
static int
is_this_address(const char *domain, const char *local)
{
	struct in6_addr a, b;
	char text[ADDRESS_TEXT_MAX];
	int family = AF_INET;
	size_t len = strlen(domain);

	if (len < 3 || domain[0] != '[' || domain[len - 1] != ']')
		return 0;
	domain++;
	len -= 2;
	if (len > 5 && strncasecmp(domain, "IPv6:", 5) == 0) {
		family = AF_INET6;
		domain += 5;
		len -= 5;
	}
	if (len >= sizeof(text))
		return 0;
	memcpy(text, domain, len);
	text[len] = '\0';
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	return inet_pton(family, text, &a) == 1 &&
	    inet_pton(family, local, &b) == 1 &&
	    memcmp(&a, &b, sizeof(a)) == 0;
}

static int
is_local(const struct policy *p, const char *domain)
{
	if (domain[0] == '[')
		return is_this_address(domain, p->facts->local);
	return config_is_local_domain(p->config, domain);
}

/* Aliases first; then root and postmaster, always; then accounts. */
static enum route
local_recipient(struct policy *p, const char *local,
    char account[POLICY_ACCOUNT_MAX], struct policy_verdict *v)
{
	enum nss_status result;

	aliases_refresh(p->aliases);
	*v = accepted;
	if (aliases_find(&p->aliases->aliases, local) != NULL ||
	    strcasecmp(local, "postmaster") == 0 ||
	    strcasecmp(local, "root") == 0)
		return ROUTE_LOCAL;
	/* Before NSS, whose modules may make a query or a path of it. */
	result = is_account_name(local) ? find_account(p, local, account) :
	    NSS_UNKNOWN;
	if (result == NSS_FOUND)
		return ROUTE_LOCAL;
	account[0] = '\0';
	/* It may be an alias that we can't see: never say "unknown" then. */
	*v = result == NSS_FAILED ||
	    p->aliases->state == ALIASES_REFUSED ? temporary : unknown;
	return ROUTE_NONE;
}

enum route
policy_recipient(struct policy *p, const char *local, const char *domain,
    char account[POLICY_ACCOUNT_MAX], struct policy_verdict *v)
{
	account[0] = '\0';
	if (domain[0] == '\0' && strcasecmp(local, "postmaster") != 0) {
		*v = no_domain;
		return ROUTE_NONE;
	}
	if (domain[0] == '\0' || is_local(p, domain))
		return local_recipient(p, local, account, v);
	*v = no_relay;
	return ROUTE_NONE;
}

int
policy_size(const struct policy *p, int spool, uint64_t size,
    struct policy_verdict *v)
{
	struct statvfs fs;
	uint64_t free_octets;

	if (size > p->config->message_size_limit) {
		*v = too_large;
		return -1;
	}
	if (fstatvfs(spool, &fs) == -1) {
		*v = spool_fault;
		return -1;
	}
	free_octets = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (free_octets < SPOOL_RESERVE ||
	    (free_octets - SPOOL_RESERVE) / 2 < size ||
	    (fs.f_files > 0 && fs.f_favail < SPOOL_FILES_RESERVE)) {
		*v = full;
		return -1;
	}
	return 0;
}

void
policy_verify(struct policy_verdict *v)
{
	*v = cannot_verify;
}
