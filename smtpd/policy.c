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
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "privsep/nss.h"
#include "smtpd/account.h"
#include "smtpd/address.h"
#include "smtpd/domain_map.h"
#include "smtpd/policy.h"
#include "smtpd/srs.h"

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
static const struct policy_verdict no_host = { 550, "5.1.2",
    "That domain is no host's name" };
static const struct policy_verdict not_there = { 550, "5.1.1",
    "No such user in that domain" };
static const struct policy_verdict list_fault = { 451, "4.3.0",
    "Can't look that address up now, try again later" };
static const struct policy_verdict no_domain = { 550, "5.1.3",
    "Address needs a domain" };
static const struct policy_verdict too_large = { 552, "5.3.4",
    "Message is larger than this host takes" };
static const struct policy_verdict full = { 452, "4.3.1",
    "Not enough room in the queue, try again later" };
static const struct policy_verdict spool_fault = { 451, "4.3.0",
    "Can't use the queue now, try again later" };
static const struct policy_verdict no_bounce = { 550, "5.7.1",
    "That address takes nothing but bounces" };
static const struct policy_verdict expired = { 550, "5.1.1",
    "That address was for bounces, and is over" };
static const struct policy_verdict cannot_verify = { 252, "2.1.5",
    "Not verified: send mail and see" };
static const struct policy_verdict not_offered = { 502, "5.5.1",
    "Command not implemented" };

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

int
policy_is_submission(const struct facts *facts)
{
	return service_is_submission(facts->service) ||
	    facts->service == SERVICE_LOCAL;
}

/*
 * Those whom the administrator or login vouches for.  It is the master's word
 * what the service and the network are, and there is no submission's agent
 * before a login.  LMTP is for mail that has arrived.
 */
static int
may_relay(const struct policy *p)
{
	return policy_is_submission(p->facts) ||
	    (p->facts->service == SERVICE_SMTP &&
	    (p->facts->flags & FACT_TRUSTED) != 0);
}

/* Those whom we know may know who else is here. */
static int
may_ask(const struct policy *p)
{
	return policy_is_submission(p->facts);
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
static enum nss_status
find_local(struct policy *p, const char *local,
    char account[POLICY_ACCOUNT_MAX])
{
	enum nss_status result;
	const struct aliases *in;

	account[0] = '\0';
	if (aliases_lookup(p->aliases, local, &in) != NULL ||
	    strcasecmp(local, "postmaster") == 0 ||
	    strcasecmp(local, "root") == 0)
		return NSS_FOUND;
	/* Before NSS, whose modules may make a query or a path of it. */
	result = is_account_name(local) ? find_account(p, local, account) :
	    NSS_UNKNOWN;
	if (result != NSS_FOUND)
		account[0] = '\0';
	return result;
}

/* The whole name first, so that one with a delimiter in it is found. */
static enum route
local_recipient(struct policy *p, const char *local,
    char account[POLICY_ACCOUNT_MAX], struct policy_verdict *v)
{
	char user[ADDRESS_LOCAL_LIMIT + 1];
	enum nss_status result;

	aliases_refresh(p->aliases);
	*v = accepted;
	result = find_local(p, local, account);
	if (result == NSS_UNKNOWN && address_without_detail(p->config, local, user) == 0)
		result = find_local(p, user, account);
	if (result == NSS_FOUND)
		return ROUTE_LOCAL;
	/* It may be an alias that we can't see: never say "unknown" then. */
	*v = result == NSS_FAILED ||
	    p->aliases->state == ALIASES_REFUSED ? temporary : unknown;
	return ROUTE_NONE;
}

/*
 * The worker has seen to the syntax, and the gate.  What remains is what looks
 * like an address and would be asked of the DNS as a name: "192.0.2.1".
 */
static int
is_host(const char *domain)
{
	const char *dot = strrchr(domain, '.'), *label;

	if (domain[0] == '[')
		return 1;
	label = dot != NULL ? dot + 1 : domain;
	return label[strspn(label, "0123456789")] != '\0';
}

static enum route
remote_recipient(struct policy *p, const char *local,
    const char *domain, struct policy_verdict *v)
{
	int is_backup = config_is_relay_domain(p->config, domain);
	int found = 1;

	*v = accepted;
	if (!is_backup && !may_relay(p))
		*v = no_relay;
	else if (!is_host(domain))
		*v = no_host;
	else if (is_backup && (found = relay_recipients_find(
	    &p->relay_recipients, local, domain)) != 1)
		*v = found == 0 ? not_there : list_fault;
	return v->code == accepted.code ? ROUTE_RELAY : ROUTE_NONE;
}

/* An address as the host's own domains and the map have it. */
struct found {
	enum map_answer		 answer;	/* the map's */
	const struct alias	*entry;		/* if it is in the map */
	const struct aliases	*in;
	enum route		 route;
};

/* Is the domain one of this host's?  Then *f is all there is to say. */
static int
find_here(struct policy *p, const char *local, const char *domain,
    char account[POLICY_ACCOUNT_MAX], struct found *f,
    struct policy_verdict *v)
{
	int is_srs = config_is_srs_domain(p->config, domain);

	memset(f, 0, sizeof(*f));
	account[0] = '\0';
	aliases_refresh(p->map);
	f->answer = domain_map_find(p->map, local, domain, &f->entry, &f->in);
	if (f->answer == MAP_FOUND) {
		*v = accepted;
		f->route = ROUTE_LOCAL;
	} else if (domain[0] == '\0' || is_local(p, domain) ||
	    ((f->answer == MAP_UNKNOWN || is_srs) &&
	    strcasecmp(local, "postmaster") == 0))
		f->route = local_recipient(p, local, account, v);
	else if (f->answer == MAP_UNKNOWN || is_srs)
		*v = unknown;
	else
		return 0;
	return 1;
}

enum route
policy_recipient(struct policy *p, const char *local, const char *domain,
    char account[POLICY_ACCOUNT_MAX], struct policy_verdict *v)
{
	struct found f;

	account[0] = '\0';
	if (domain[0] == '\0' && strcasecmp(local, "postmaster") != 0) {
		*v = no_domain;
		return ROUTE_NONE;
	}
	if (!find_here(p, local, domain, account, &f, v))
		f.route = remote_recipient(p, local, domain, v);
	/* It may be in the map that we can't see. */
	if (f.route == ROUTE_NONE && f.answer == MAP_FAILED)
		*v = temporary;
	return f.route;
}

/*
 * Nothing but bounces, for nothing else has to come this way: whoever gets a
 * forwarded letter has such an address of its sender, and would have a relay
 * to him for weeks, with this host's good name.  Looked at before the hash, so
 * that this is no place to try hashes without a bounce.  An SRS1 may have been
 * made of an SRS0 of ours: hence twice.
 */
int
policy_reverse(const struct policy *p, const char *sender,
    struct address *address, struct policy_verdict *v)
{
	enum srs_answer answer = SRS_GOOD;
	int i;

	for (i = 0; i < 2 && answer == SRS_GOOD &&
	    config_is_srs_domain(p->config, address->domain) &&
	    srs_is_address(address->local); i++)
		answer = sender[0] != '\0' ? SRS_NONE :
		    srs_reverse(p->config, address->local,
		    (uint64_t)time(NULL), address);
	if (answer == SRS_GOOD)
		return i > 0;
	*v = sender[0] != '\0' ? no_bounce :
	    answer == SRS_OLD ? expired : unknown;
	return -1;
}

enum route
policy_returned(struct policy *p, const char *local, const char *domain,
    char account[POLICY_ACCOUNT_MAX], struct policy_verdict *v)
{
	struct found f;

	if (find_here(p, local, domain, account, &f, v))
		return f.route;
	*v = is_host(domain) ? accepted : no_host;
	return v->code == accepted.code ? ROUTE_RELAY : ROUTE_NONE;
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

/* A place for what is told of one name. */
static char told[VERDICT_TEXT_MAX + 1];

/* "<address>", with this host's name where there is no domain. */
static int
tell(const struct policy *p, const char *local, const char *domain,
    struct policy_verdict *v)
{
	struct address address;
	char path[ADDRESS_PRINT_MAX];

	if (domain[0] == '\0')
		domain = p->config->hostname;
	if (strlcpy(address.local, local, sizeof(address.local)) >=
	    sizeof(address.local) || strlcpy(address.domain, domain,
	    sizeof(address.domain)) >= sizeof(address.domain) ||
	    !address_is_legal(&address) ||
	    address_print(&address, path, sizeof(path)) == -1)
		return -1;
	snprintf(told, sizeof(told), "<%s>", path);
	*v = (struct policy_verdict){ 250, "2.1.5", told };
	return 0;
}

void
policy_verify(struct policy *p, const char *local, const char *domain,
    struct policy_verdict *v)
{
	char account[POLICY_ACCOUNT_MAX];
	struct found f;

	*v = cannot_verify;
	if (may_ask(p) && find_here(p, local, domain, account, &f, v) &&
	    f.route == ROUTE_LOCAL &&
	    tell(p, local, domain, v) == -1)
		*v = cannot_verify;
}

/* What a list sends to that is not an address is nobody's business. */
static void
tell_member(const struct policy *p, const struct target *member,
    struct policy_verdict *v)
{
	struct address address;

	if (member->kind == TARGET_GROUP) {
		snprintf(told, sizeof(told), "Members of the group %.64s",
		    member->text);
		*v = (struct policy_verdict){ 250, "2.1.5", told };
		return;
	}
	if (member->kind > TARGET_REMOTE ||
	    address_mailbox(member->text, strlen(member->text), ADDRESS_BARE,
	    &address) != ADDRESS_OK ||
	    tell(p, address.local, address.domain, v) == -1)
		*v = (struct policy_verdict){ 250, "2.1.5",
		    "Not an address" };
}

int
policy_expand(struct policy *p, const char *local, const char *domain,
    uint32_t member, struct policy_verdict *v)
{
	char account[POLICY_ACCOUNT_MAX];
	struct found f;

	*v = may_ask(p) ? cannot_verify : not_offered;
	if (!may_ask(p) || !find_here(p, local, domain, account, &f, v) ||
	    f.route != ROUTE_LOCAL)
		return 0;
	if (f.entry == NULL)
		f.entry = aliases_lookup(p->aliases, local, &f.in);
	if (f.entry != NULL && !f.entry->is_bad && member < f.entry->count) {
		tell_member(p, aliases_target(f.in, f.entry, member), v);
		return member + 1 < f.entry->count;
	}
	if (tell(p, local, domain, v) == -1)
		*v = cannot_verify;
	return 0;
}
