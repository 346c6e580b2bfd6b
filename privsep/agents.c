/*
 * agents: forks an agent for each session, which becomes its identity first.
 *
 * Runs as root with the capabilities to change ids only, without PAM, exec or
 * network; reads nothing but the channels from master and login.  A fork of
 * it is an agent: the user (POP3, delivery) or queue-user (an SMTP session)
 * before it reads its first request, and for good; or an agent's companion,
 * the same user with another group.
 *
 * The same code is the process programs (agent_program.runs_commands), which
 * login sends those whose commands are run: a table of system calls with exec
 * and fork is all that it has more.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agents.h"
#include "become.h"
#include "channel.h"
#include "children.h"
#include "log.h"
#include "message.h"
#include "role.h"
#include "sandbox.h"

#define NOBODY_UID	65534
#define UNHEARD		2	/* seconds an answer waits for room */

static struct {
	struct config		config;
	struct children		children;
	struct sandbox_filter	mailbox_filter;
	struct sandbox_filter	spool_filter;
	struct sandbox_filter	companion_filter;
	int			has_hint;
} agents;

/* The places that NSS reads when a session agent looks an account up. */
static const char *const system_tables[] = {
	"/etc", "/lib", "/lib64", "/usr/lib", "/usr/share", "/var/lib", "/run",
};
#define TABLES_MAX	(sizeof(system_tables) / sizeof(system_tables[0]))

static size_t
add_system_tables(struct sandbox_place *places, size_t n)
{
	size_t i;
	int fd;

	for (i = 0; i < TABLES_MAX; i++) {
		fd = open(system_tables[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd == -1)
			continue;
		places[n].fd = fd;
		places[n++].use = ROOM_READ;
	}
	return n;
}

void
agent_confine(const struct agent *agent, enum agent_room room,
    const int *directories, size_t count)
{
	struct sandbox_place places[8 + TABLES_MAX] = { { .fd = -1 } };
	size_t i, n = 0;

	(void)agent;
	if (count > 8)
		bug("agent asks for %zu directories", count);
	for (; n < count; n++) {
		places[n].fd = directories[n];
		places[n].use = ROOM_CHANGE;
	}
	if (room == ROOM_SPOOL)
		n = add_system_tables(places, n);
	sandbox_landlock(places, n);
	for (i = count; i < n; i++)
		close(places[i].fd);
	sandbox_install(room == ROOM_SPOOL ? &agents.spool_filter :
	    &agents.mailbox_filter);
}

void
companion_confine(int directory)
{
	struct sandbox_place place = { .fd = directory, .use = ROOM_MAKE };

	sandbox_landlock(&place, directory != -1);
	sandbox_install(&agents.companion_filter);
}

static void
lose_privilege(uid_t uid, gid_t gid)
{
	become_user(uid, gid);
	become_sealed();
	become_bounded(RLIMIT_CORE, 0);
#ifndef POSTERN_SANITIZE
	if (!agent_program.runs_commands)
		become_bounded(RLIMIT_NPROC, 0);
#endif
}

/* What every fork does before it becomes its user. */
static void
fork_begin(void)
{
	sigset_t none;

	close(FD_MASTER);
	close(FD_LINK);
	sigemptyset(&none);
	if (signal(SIGCHLD, SIG_DFL) == SIG_ERR ||
	    signal(SIGXFSZ, SIG_IGN) == SIG_ERR ||
	    sigprocmask(SIG_SETMASK, &none, NULL) == -1)
		fatal("signals");
}

/* A session's agent that writes the spool, not the user's own mailbox. */
static int
is_spooling(const struct agent *agent)
{
	return agent->facts.service == SERVICE_SMTP ||
	    agent->facts.service == SERVICE_LMTP ||
	    agent->facts.service == SERVICE_LOCAL ||
	    service_is_submission(agent->facts.service);
}

/* What no user may have in a process of his: the session agents' secrets. */
static void
forget_secrets(void)
{
	if (agents.config.srs_secret_count == 0)
		return;
	explicit_bzero(agents.config.srs_secrets,
	    sizeof(agents.config.srs_secrets));
	agents.config.srs_secret_count = 0;
}

static void
agent_life(struct agent *agent)
{
	fork_begin();
	if (!is_spooling(agent))
		forget_secrets();
	/* A recipient has nothing to say to the queue but on its gate. */
	if (agent->hint != -1 && agent->facts.service == SERVICE_DELIVERY) {
		close(agent->hint);
		agent->hint = -1;
	}
	lose_privilege(agent->identity.uid, agent->identity.gid);
	agent_program.serve(agent);
	_exit(agent->has_faulted ? CHILD_FAULTED : 0);
}

/* The one system account for which something is ever run: see login.c. */
static int
is_command_user(const struct agent *agent)
{
	const struct account_ids *user = &agents.config.command_user;

	return agent->facts.service == SERVICE_PROGRAM &&
	    user->name[0] != '\0' && agent->identity.uid == user->uid &&
	    strcmp(agent->identity.name, user->name) == 0;
}

/* Policy repeated where it costs a line: no mail process is ever root. */
static int
is_acceptable(const struct agent *agent)
{
	const struct identity *who = &agent->identity;

	if (who->uid == 0 || who->gid == 0 || who->uid == NOBODY_UID ||
	    who->name[0] == '\0' ||
	    (agent->facts.service == SERVICE_PROGRAM) !=
	    (agent_program.runs_commands != 0))
		return 0;
	if (is_spooling(agent))
		return who->uid == agents.config.queue_user.uid &&
		    service_is_submission(agent->facts.service) ==
		    (agent->login[0] != '\0');
	return (who->uid >= agents.config.login_min_uid ||
	    is_command_user(agent)) && who->home[0] == '/';
}

/* Its peer is the agent: it holds no end of the session itself. */
static void
companion_life(struct agent *agent, int sock, gid_t group)
{
	fork_begin();
	forget_secrets();
	close(agent->gate);
	if (agent->hint != -1)
		close(agent->hint);
	lose_privilege(agent->identity.uid, group);
	agent_program.companion->serve(agent, sock);
	_exit(0);
}

/* Before the agent, so that this one has no other descriptor of either. */
static void
start_companion(struct agent *agent)
{
	gid_t group = agent->identity.gid;
	int ends[2];
	pid_t pid;

	if (is_spooling(agent) || agent_program.companion == NULL ||
	    !agent_program.companion->is_wanted(agent, &group))
		return;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1) {
		log_event(LOG_ERR, agent->facts.session,
		    "event=no-companion text=\"%s\"", strerror(errno));
		return;
	}
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		companion_life(agent, ends[1], group);
	}
	close(ends[1]);
	if (pid == -1) {
		log_event(LOG_ERR, agent->facts.session,
		    "event=no-companion text=\"fork: %s\"", strerror(errno));
		close(ends[0]);
		return;
	}
	agent->companion = ends[0];
	children_add(&agents.children, pid, agent->facts.session, 0,
	    NOTE_USER_CRASHED);
}

/*
 * Who asks waits for the answer, so that there is room for it.  One who has
 * left his end of the channel in this one, and died, would keep an agent that
 * waits for ever.
 */
static void
bound_answers(int gate)
{
	static const struct timeval patience = { .tv_sec = UNHEARD };

	if (setsockopt(gate, SOL_SOCKET, SO_SNDTIMEO, &patience,
	    sizeof(patience)) == -1)
		fatal("SO_SNDTIMEO");
}

static void
start_agent(struct agent *agent)
{
	pid_t pid;

	if (!is_acceptable(agent)) {
		log_event(LOG_CRIT, agent->facts.session,
		    "event=no-agent text=\"asked to become uid %u\"",
		    agent->identity.uid);
		return;
	}
	bound_answers(agent->gate);
	start_companion(agent);
	pid = fork();
	if (pid == 0)
		agent_life(agent);
	if (agent->companion != -1)
		close(agent->companion);
	if (pid == -1) {
		log_event(LOG_ERR, agent->facts.session,
		    "event=no-agent text=\"fork: %s\"", strerror(errno));
		return;
	}
	children_add(&agents.children, pid, agent->facts.session, 0,
	    is_spooling(agent) ? NOTE_CRASHED : NOTE_USER_CRASHED);
}

static void
agent_prepare(struct agent *agent)
{
	memset(agent, 0, sizeof(*agent));
	agent->config = &agents.config;
	agent->hint = agents.has_hint ? FD_HINT : -1;
	agent->companion = agent->name = -1;
	agent->login_uid = FACTS_NO_UID;
}

/* An SMTP session: its agent is queue-user, logged in or not. */
static void
become_queue_user(struct agent *agent)
{
	struct identity *who = &agent->identity;

	strlcpy(who->name, agents.config.queue_user.name, sizeof(who->name));
	strlcpy(who->home, "/", sizeof(who->home));
	who->uid = agents.config.queue_user.uid;
	who->gid = agents.config.queue_user.gid;
}

/* A session where nobody logs in. */
static void
serve_master(struct message *m)
{
	struct agent agent;

	agent_prepare(&agent);
	if (m->type != CH_SERVE)
		bug("agents were sent %u", m->type);
	get_facts(m, &agent.facts);
	agent.gate = get_fd(m);
	if (m->nfds == 2)
		agent.name = get_fd(m);
	if (get_end(m) == -1 || !is_spooling(&agent) ||
	    service_is_submission(agent.facts.service))
		bug("agents were sent a malformed session");
	become_queue_user(&agent);
	start_agent(&agent);
	close(agent.gate);
	if (agent.name != -1)
		close(agent.name);
}

static void
serve_login(struct message *m)
{
	struct agent agent;

	agent_prepare(&agent);
	if (m->type != CH_BECOME)
		bug("login sent %u", m->type);
	get_facts(m, &agent.facts);
	get_identity(m, &agent.identity);
	agent.gate = get_fd(m);
	if (get_end(m) == -1)
		bug("login sent a malformed identity");
	if (agent.facts.service != SERVICE_DELIVERY &&
	    agent.facts.service != SERVICE_PROGRAM)
		strlcpy(agent.login, agent.identity.name, sizeof(agent.login));
	if (service_is_submission(agent.facts.service)) {
		/* Who may not log in may not send, either. */
		if (agent.identity.uid < agents.config.login_min_uid)
			bug("login sent uid %u", agent.identity.uid);
		agent.login_uid = agent.identity.uid;
		become_queue_user(&agent);
	}
	start_agent(&agent);
	close(agent.gate);
}

static void
confine(pid_t master)
{
	struct sandbox_filter own;

	tzset();
	sandbox_compile(agent_program.runs_commands ? SANDBOX_PROGRAMS :
	    SANDBOX_AGENTS, &own);
	sandbox_compile(SANDBOX_MAILBOX, &agents.mailbox_filter);
	sandbox_compile(SANDBOX_SPOOL, &agents.spool_filter);
	sandbox_compile(SANDBOX_COMPANION, &agents.companion_filter);
	if (agent_program.warm != NULL)
		agent_program.warm(&agents.config);
	become_limited(CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID));
	become_sealed();
	become_bound_to(master);
	become_bounded(RLIMIT_CORE, 0);
	sandbox_install(&own);
}

int
main(void)
{
	struct pollfd pfd[2] = {
		{ .fd = FD_MASTER, .events = POLLIN },
		{ .fd = FD_LINK, .events = POLLIN },
	};
	struct message m;
	pid_t master = getppid();
	int n;

	agents.has_hint = (role_start(agent_program.name,
	    agent_program.runs_commands ? ROLE_PROGRAMS : ROLE_AGENTS,
	    ROLE_FD(FD_LINK) | ROLE_FD(FD_HINT), &agents.config) &
	    ROLE_FD(FD_HINT)) != 0;
	confine(master);
	children_init(&agents.children);
	role_ready();
	for (;;) {
		n = children_poll(&agents.children, pfd, 2);
		if (n <= 0)
			continue;
		if ((pfd[1].revents & POLLIN) != 0 &&
		    message_recv(FD_LINK, &m, 1) == 1) {
			serve_login(&m);
			message_discard(&m);
		} else if ((pfd[1].revents & POLLHUP) != 0)
			pfd[1].fd = -1;		/* login ended */
		if ((pfd[0].revents & (POLLIN | POLLHUP)) == 0)
			continue;
		n = message_recv(FD_MASTER, &m, 2);
		if (n == -1 && errno == EBADMSG)
			continue;	/* no descriptor left for it, say */
		if (n != 1)
			return 0;
		serve_master(&m);
		message_discard(&m);
	}
}
