/*
 * facts: what the master knows about a session, and what login decided about
 * its user, in and out of a message.
 *
 * Runs in every process, touches memory only.  A worker receives facts
 * and never sends any; the decoders are strict all the same, since a process
 * that is about to become an identity obeys what they return.
 */
#include <string.h>

#include "facts.h"

static const struct {
	enum service	 service;
	const char	*name;
} names[] = {
	{ SERVICE_POP3, "pop3" },
	{ SERVICE_POP3S, "pop3s" },
	{ SERVICE_SMTP, "smtp" },
	{ SERVICE_SUBMISSION, "submission" },
	{ SERVICE_SUBMISSIONS, "submissions" },
	{ SERVICE_LMTP, "lmtp" },
	{ SERVICE_DELIVERY, "delivery" },
	{ SERVICE_RELAY, "relay" },
	{ SERVICE_RESOLVER, "resolver" },
	{ SERVICE_LOCAL, "local" },
	{ SERVICE_CONTROL, "control" },
	{ SERVICE_PROGRAM, "program" },
	{ SERVICE_NAME, "name" },
};
#define NAMES (sizeof(names) / sizeof(names[0]))

#define FACTS_ALL (FACT_LOOPBACK | FACT_PLAINTEXT | FACT_TRUSTED)

const char *
service_name(enum service service)
{
	size_t i;

	for (i = 0; i < NAMES; i++)
		if (names[i].service == service)
			return names[i].name;
	return "unknown";
}

enum service
service_find(const char *name)
{
	size_t i;

	for (i = 0; i < NAMES; i++)
		if (strcmp(names[i].name, name) == 0)
			return names[i].service;
	return 0;
}

int
service_is_tls(enum service service)
{
	return service == SERVICE_POP3S || service == SERVICE_SUBMISSIONS;
}

int
service_is_submission(enum service service)
{
	return service == SERVICE_SUBMISSION || service == SERVICE_SUBMISSIONS;
}

int
service_is_local(enum service service)
{
	return service == SERVICE_LMTP || service == SERVICE_LOCAL ||
	    service == SERVICE_CONTROL;
}

void
facts_init(struct facts *f)
{
	memset(f, 0, sizeof(*f));
	/* Not 0: what was not asked for must not be root. */
	f->uid = FACTS_NO_UID;
}

void
put_facts(struct message *m, const struct facts *f)
{
	put_u64(m, f->session);
	put_u32(m, f->service);
	put_u32(m, f->flags);
	put_u32(m, f->uid);
	put_str(m, f->client);
	put_str(m, f->local);
}

void
get_facts(struct message *m, struct facts *f)
{
	uint32_t service;

	facts_init(f);
	f->session = get_u64(m);
	service = get_u32(m);
	f->flags = get_u32(m);
	f->uid = get_u32(m);
	get_str(m, f->client, sizeof(f->client));
	get_str(m, f->local, sizeof(f->local));
	if (service < SERVICE_POP3 || service > SERVICE_NAME ||
	    f->session == 0 || (f->flags & ~(uint32_t)FACTS_ALL) != 0 ||
	    service_is_local((enum service)service) ==
	    (f->uid == FACTS_NO_UID)) {
		m->bad = 1;
		f->uid = FACTS_NO_UID;
	} else
		f->service = (enum service)service;
}

void
put_identity(struct message *m, const struct identity *id)
{
	put_str(m, id->name);
	put_u32(m, id->uid);
	put_u32(m, id->gid);
	put_str(m, id->home);
}

/*
 * Never root, whoever says so, and never -1, which would tell setresuid() to
 * leave the ids as they are.
 */
void
get_identity(struct message *m, struct identity *id)
{
	memset(id, 0, sizeof(*id));
	get_str(m, id->name, sizeof(id->name));
	id->uid = get_u32(m);
	id->gid = get_u32(m);
	get_str(m, id->home, sizeof(id->home));
	if (id->name[0] == '\0' || id->home[0] != '/' || id->uid == 0 ||
	    id->uid == (uid_t)-1 || id->gid == (gid_t)-1) {
		m->bad = 1;
		id->uid = (uid_t)-1;
		id->gid = (gid_t)-1;
	}
}
