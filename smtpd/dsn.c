/*
 * dsn: what a delivery status notification calls an outcome (RFC 3464).
 *
 * Runs in the queue, as queue-user; touches memory.
 */
#include <stdio.h>
#include <string.h>

#include "smtpd/dsn.h"

int
dsn_is_quotation(const struct outcome *o)
{
	return o->remote[0] != '\0' && o->code != 0;
}

/*
 * A host's own numbers, whatever has been made of a refusal for now that came
 * too often.  X.0.0 is what we make of a reply without a status, and so no part
 * of it.
 */
void
dsn_diagnostic(const struct outcome *o, char text[DSN_DIAGNOSTIC_MAX])
{
	const char *status = o->status[0] != '\0' ? &o->status[1] : ".0.0";

	if (dsn_is_quotation(o) && strcmp(status, ".0.0") == 0)
		snprintf(text, DSN_DIAGNOSTIC_MAX, "%u %s", o->code, o->text);
	else if (dsn_is_quotation(o))
		snprintf(text, DSN_DIAGNOSTIC_MAX, "%u %u%s %s", o->code,
		    o->code / 100, status, o->text);
	else
		snprintf(text, DSN_DIAGNOSTIC_MAX, "%s %s", o->status,
		    o->text);
}

/* RFC 3464 section 2.3.3; of a list RFC 3461 section 5.2.7.1. */
static const struct success {
	const char	*action;
	const char	*words;
} successes[] = {
	{ "delivered", "delivered" },
	{ "delivered", "delivered to the list, which sends it on" },
	{ "expanded", "sent on to other addresses, as the recipient wishes" },
	{ "relayed", "handed to another host, which will not report further" },
};

static const struct success *
success_of(const struct outcome *o)
{
	if (o->kind == OUTCOME_SPLIT)
		return &successes[(o->flags & OUTCOME_ARRIVED) != 0 ? 1 : 2];
	return &successes[(o->flags & OUTCOME_ELSEWHERE) != 0 ? 3 : 0];
}

const char *
dsn_success(const struct outcome *o)
{
	return success_of(o)->words;
}

const char *
dsn_action(enum bounce_action action, const struct outcome *o)
{
	if (action == BOUNCE_FAILED)
		return "failed";
	if (action == BOUNCE_DELAYED)
		return "delayed";
	return success_of(o)->action;
}

/* Its class must be that of the action (RFC 3464 section 2.3.4). */
const char *
dsn_status(enum bounce_action action, const struct outcome *o)
{
	static const char *const general[] = {
		[BOUNCE_FAILED] = "5.0.0", [BOUNCE_DELAYED] = "4.0.0",
		[BOUNCE_DELIVERED] = "2.0.0",
	};

	return o->status[0] == general[action][0] ? o->status :
	    general[action];
}
