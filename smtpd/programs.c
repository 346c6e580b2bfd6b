/*
 * programs: gives letters to commands and files.
 *
 * Runs in the forks of privsep/agents.c, as the user or as command-user and
 * never as root.  There a fork of its own becomes the command; this process
 * feeds it, waits for it and ends it when its time is over.  Reads ~/.forward
 * or the aliases file, and letters from the descriptors that the queue passes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "privsep/log.h"
#include "smtpd/forward.h"
#include "smtpd/programs.h"

/* As with deliver.c: the queue keeps the time, this is for one that is lost. */
#define PROGRAMS_IDLE_MS	(10 * 60 * 1000)

static void serve(struct agent *);

const struct agent_program agent_program = {
	.name = "smtpd-programs",
	.runs_commands = 1,
	.warm = NULL,
	.serve = serve,
	.companion = NULL,
};

/*
 * 0, or -1 for a request that breaks the rules; content may be -1 then.  Only
 * command-user runs what aliases name; as any account, it may have a ~/.forward
 * of its own.
 */
static int
get_run_request(const struct programs *p, struct message *request,
    struct program_task *t)
{
	deliver_request_get(request, &t->letter);
	get_str(request, t->alias, sizeof(t->alias));
	get_str(request, t->digest, sizeof(t->digest));
	t->letter.content = get_fd(request);
	t->is_of_aliases = t->alias[0] != '\0';
	return get_end(request) == -1 ||
	    !deliver_request_is_legal(&t->letter) ||
	    (t->is_of_aliases && !p->is_command_user) ||
	    !program_is_digest(t->digest) ? -1 : 0;
}

/* Is this line the first of the letter?  A forwarded one has it already. */
static int
begins_with(const struct deliver_request *r, const char *line)
{
	char first[FORWARD_MARK_MAX];
	size_t len = strlen(line);

	return r->length >= len && len < sizeof(first) &&
	    pread(r->content, first, len, (off_t)r->offset) == (ssize_t)len &&
	    memcmp(first, line, len) == 0;
}

/*
 * What stands before the letter: who sent it and, so that it does not go round
 * for ever, where it was.  1: it was here before.
 */
static int
make_head(struct program_task *t)
{
	const struct deliver_request *r = &t->letter;
	char mark[FORWARD_MARK_MAX];
	int is_here = 0;

	if (t->is_of_aliases) {
		snprintf(mark, sizeof(mark), "Delivered-To: %s\n",
		    r->forward_path);
		is_here = forward_is_marked(r->content, r->offset, r->length,
		    mark) == 1;
	} else		/* the delivery agent has looked for it */
		forward_mark(t->agent->identity.name, t->agent->config, mark);
	snprintf(t->head, sizeof(t->head), "Return-Path: <%s>\n%s",
	    r->reverse_path, begins_with(r, mark) ? "" : mark);
	return is_here;
}

static void
run(struct programs *p, struct program_task *t, struct deliver_verdict *v)
{
	struct program_end end;

	if (make_head(t)) {
		v->verdict = DELIVERY_FAILED;
		v->status = "5.4.6";
		snprintf(v->text, sizeof(v->text), "mail for this alias comes "
		    "back to it");
		return;
	}
	if (program_find(p, t, v) == -1)
		return;
	program_run(t, &end);
	program_verdict(t, &end, v);
}

static int
answer_run(void *session, int sock, struct message *request)
{
	struct programs *p = session;
	struct program_task t = { .agent = p->agent };
	struct deliver_verdict v;

	if (get_run_request(p, request, &t) == -1) {
		if (t.letter.content != -1)
			close(t.letter.content);
		return STATE_FAULT;
	}
	run(p, &t, &v);
	/* The queue's lock on the letter ends with the last of these. */
	close(t.letter.content);
	if (deliver_reply(sock, &v) == -1)
		return STATE_END;
	return v.verdict == DELIVERED ? PROGRAMS_UNSETTLED : PROGRAMS_READY;
}

/* Nothing is remembered of what was done: it may be forgotten. */
static int
answer_settle(void *session, int sock, struct message *request)
{
	char id[QUEUE_ID_MAX];

	(void)session;
	(void)sock;
	get_str(request, id, sizeof(id));
	return get_end(request) == -1 ? STATE_FAULT : PROGRAMS_READY;
}

/* Everything that the queue can ask of a process that may run commands. */
static const struct gate gates[] = {
	{
		.request = REQ_RUN, .name = "RUN",
		.states = IN_STATE(PROGRAMS_READY), .descriptors = 1,
		.min_size = DELIVER_SIZE_MIN + 4 + 4 + PROGRAM_DIGEST_MAX - 1,
		.max_size = DELIVER_SIZE_MAX + 3 + ALIAS_NAME_MAX + 3 +
		    PROGRAM_DIGEST_MAX,
		.handler = answer_run
	}, {
		.request = REQ_SETTLE, .name = "SETTLE",
		.states = IN_STATE(PROGRAMS_UNSETTLED),
		.min_size = 5, .max_size = 3 + QUEUE_ID_MAX,
		.handler = answer_settle
	}
};

const struct gate_table program_gates = {
	.service = "program",
	.gates = gates,
	.count = sizeof(gates) / sizeof(gates[0]),
	.first_state = PROGRAMS_READY
};

static int
is_command_user(const struct agent *agent)
{
	const struct account_ids *user = &agent->config->command_user;

	return user->name[0] != '\0' && agent->identity.uid == user->uid;
}

static void
serve(struct agent *agent)
{
	static struct programs p;

	if (getuid() == 0 || geteuid() == 0 || agent->identity.uid == 0)
		bug("an agent of programs as root");
	p.agent = agent;
	p.is_command_user = is_command_user(agent);
	if (p.is_command_user)
		aliases_open(&p.aliases, agent->config, aliases_log);
	if (gates_serve(&program_gates, &p, agent->gate,
	    PROGRAMS_IDLE_MS) == -1)
		log_event(LOG_ERR, agent->facts.session,
		    "event=gate-fault service=program error=\"%s\"",
		    strerror(errno));
	if (p.is_command_user)
		aliases_close(&p.aliases);
}
