/*
 * agent: the session agent's start: what it opens, and how it is confined.
 *
 * Runs in smtpd-agents' children: for an SMTP session as queue-user, confined
 * to the spool and to what NSS reads; a delivery's agent goes its own way
 * (deliver.c) as the recipient.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mailbox/mbox_keeper.h"
#include "privsep/log.h"
#include "privsep/nss.h"
#include "smtpd/agent.h"
#include "smtpd/deliver.h"

static void serve(struct agent *);

const struct agent_program agent_program = {
	.name = "smtpd",
	.warm = NULL,
	.serve = serve,
	.companion = &mailbox_companion,
};

/*
 * Who connected over the Unix socket, by the uid that the kernel told the
 * master.  One without a name, or one that NSS can't find now, sends as well:
 * cron jobs of such users have something to tell, too.
 */
static void
name_local_user(struct agent *agent)
{
	static char buf[NSS_BUFFER];
	struct passwd pw;

	if (nss_find_uid((uid_t)agent->facts.uid, &pw, buf, sizeof(buf)) !=
	    NSS_FOUND || !envelope_is_login(pw.pw_name) ||
	    strlcpy(agent->login, pw.pw_name, sizeof(agent->login)) >=
	    sizeof(agent->login))
		snprintf(agent->login, sizeof(agent->login), "#%u",
		    agent->facts.uid);
}

static void
serve(struct agent *agent)
{
	if (agent->facts.service == SERVICE_DELIVERY) {
		deliver_serve(agent);
		return;
	}
	if (agent->facts.service == SERVICE_LOCAL)
		name_local_user(agent);
	/* The only way to a submission's agent is through login. */
	if (policy_is_submission(&agent->facts) !=
	    (agent->login[0] != '\0'))
		bug("smtp agent: %s with%s login",
		    service_name(agent->facts.service),
		    agent->login[0] != '\0' ? "" : "out");
	smtp_serve(agent);
}

/* The spool, made on the first start; *dir stays open for Landlock. */
static int
open_spool(struct spool *spool, const struct config *config, int *dir)
{
	if (spool_enter(config->spool_dir, geteuid(), dir) == -1)
		return -1;
	if (spool_open(spool, *dir) == 0)
		return 0;
	if (errno == ENOENT && spool_make(*dir) == 0)
		return spool_open(spool, *dir);
	return -1;
}

void
smtp_serve(struct agent *agent)
{
	/* 256 KiB of it a buffer: costs only what is touched. */
	static struct smtp_session s;
	char name[LOG_VALUE_MAX];
	int dir = -1;

	/* A letter of it could not be read back. */
	if (agent->login[0] != '\0' && !envelope_is_login(agent->login)) {
		log_event(LOG_ERR, agent->facts.session,
		    "event=no-agent text=\"not a name to send mail\" user=%s",
		    log_value(agent->login, name));
		return;
	}
	s.agent = agent;
	client_name_begin(&s.client, agent->config, &agent->facts,
	    agent->name);
	s.spool.incoming = s.spool.queue = s.spool.failed = -1;
	s.writer.fd = -1;
	/* Without a spool every transaction gets 451, and the log says why. */
	if (open_spool(&s.spool, agent->config, &dir) == -1)
		log_event(LOG_ERR, agent->facts.session,
		    "event=spool-fault dir=%s error=\"%s\"",
		    agent->config->spool_dir, strerror(errno));
	aliases_open(&s.aliases, agent->config, aliases_ignore);
	aliases_hold(&s.aliases);
	aliases_open_as(&s.map, NAMES_DOMAIN_MAP, agent->config,
	    aliases_ignore);
	aliases_hold(&s.map);
	if (dir != -1) {
		aliases_index_open(&s.aliases, dir);
		aliases_index_open(&s.map, dir);
	}
	s.policy = (struct policy){
		.config = agent->config, .facts = &agent->facts,
		.aliases = &s.aliases, .map = &s.map
	};
	relay_recipients_open(&s.policy.relay_recipients, agent->config, dir);
	agent_confine(agent, ROOM_SPOOL, &dir, dir != -1);
	/*
	 * As long as the worker lives, for a client that says NOOP all day has
	 * nothing for us; one that only seems to live, the master ends.
	 */
	if (gates_serve(&smtp_gates, &s, agent->gate, -1) == -1) {
		agent->has_faulted = errno == EPROTO;
		log_event(LOG_ERR, agent->facts.session,
		    "event=%s service=smtp error=\"%s\"",
		    agent->has_faulted ? "gate-fault" : "gate-ended",
		    strerror(errno));
	}
	/* A transaction that was not committed leaves nothing. */
	spool_abort(&s.writer);
	aliases_close(&s.aliases);
	aliases_close(&s.map);
	relay_recipients_close(&s.policy.relay_recipients);
	spool_close(&s.spool);
	client_name_end(&s.client);
	if (dir != -1)
		close(dir);
}
