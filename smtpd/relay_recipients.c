/*
 * relay_recipients: the file of who there is in the relay domains.
 *
 * Runs in the session agent, as queue-user; reads that file through a
 * descriptor that was opened before the process confined itself.
 */
#include <string.h>

#include "smtpd/relay_recipients.h"

void
relay_recipients_open(struct relay_recipients *r, const struct config *config,
    int spool)
{
	aliases_open_as(&r->names, NAMES_RECIPIENTS, config, aliases_ignore);
	aliases_hold(&r->names);
	if (spool != -1)
		aliases_index_open(&r->names, spool);
}

void
relay_recipients_close(struct relay_recipients *r)
{
	aliases_close(&r->names);
}

static int
has(struct relay_recipients *r, const char *local, const char *domain)
{
	char key[ADDRESS_KEY_MAX];
	const struct aliases *in;

	return address_key(local, domain, key) == 0 &&
	    aliases_lookup(&r->names, key, &in) != NULL;
}

int
relay_recipients_find(struct relay_recipients *r, const char *local,
    const char *domain)
{
	if (r->names.path[0] == '\0')
		return 1;
	aliases_refresh(&r->names);
	if (r->names.state != ALIASES_GOOD)
		return -1;
	return has(r, local, domain) || has(r, "", domain);
}
