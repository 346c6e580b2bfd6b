/*
 * policy: what the session agent says to MAIL, RCPT, VRFY and EXPN.  Decided
 * here and nowhere else; the worker is told.
 */
#ifndef SMTPD_POLICY_H
#define SMTPD_POLICY_H

#include <stdint.h>

#include "privsep/config.h"
#include "privsep/facts.h"
#include "smtpd/account.h"
#include "smtpd/address.h"
#include "smtpd/aliases.h"
#include "smtpd/gates.h"
#include "smtpd/relay_recipients.h"

struct policy {
	const struct config	*config;
	const struct facts	*facts;
	struct aliases_file	*aliases;	/* refreshed when needed */
	struct aliases_file	*map;		/* the same */
	struct relay_recipients	 relay_recipients;
};

/* Texts are constant: nothing of the client's is ever told back. */
struct policy_verdict {
	uint32_t	 code;		/* 250, 550, ... */
	const char	*status;	/* "2.1.5", "" none */
	const char	*text;
};

enum route {
	ROUTE_NONE,	/* refused, for now or for good: the verdict says */
	ROUTE_LOCAL,	/* of this host: an account, an alias, or mapped */
	ROUTE_RELAY	/* elsewhere, and this client may */
};

#define POLICY_ACCOUNT_MAX (ACCOUNT_LIMIT + 1)

/*
 * Is this a message's first server (RFC 6409), which knows whose it is: by a
 * login, or by the uid of a program on this host?
 */
int	policy_is_submission(const struct facts *);

/*
 * May this client send to this recipient, and where does that go?  account is
 * the account found, "" for an alias or postmaster.
 */
enum route policy_recipient(struct policy *, const char *local,
	    const char *domain, char account[POLICY_ACCOUNT_MAX],
	    struct policy_verdict *);
/*
 * An SRS address of ours (srs.h) becomes the one that is behind it: 1, and the
 * letter may go there, whoever brings it; 0: it is none; -1: the verdict says
 * why not.
 */
int	policy_reverse(const struct policy *, const char *sender,
	    struct address *, struct policy_verdict *);
/* Where to, after that: the same as policy_recipient(), for anybody. */
enum route policy_returned(struct policy *, const char *local,
	    const char *domain, char account[POLICY_ACCOUNT_MAX],
	    struct policy_verdict *);
/* Is there room for a message of that size (0: not said)? */
int	policy_size(const struct policy *, int spool, uint64_t size,
	    struct policy_verdict *);
/*
 * VRFY: the same for everybody, but for those who logged in the truth.  What
 * text says lies in a buffer until the next call.
 */
void	policy_verify(struct policy *, const char *local, const char *domain,
	    struct policy_verdict *);
/*
 * EXPN, for those who logged in: the member-th (from 0) of the alias, or the
 * account.  Returns whether there is another after it.
 */
int	policy_expand(struct policy *, const char *local, const char *domain,
	    uint32_t member, struct policy_verdict *);

#endif
