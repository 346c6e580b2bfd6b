/*
 * login: the process that knows PAM and NSS.
 *
 * Runs as root; the parent only keeps PAM's modules loaded and forks a child
 * for each session that wants in.  The child answers LOGIN for a worker or
 * IDENTIFY for the queue, hands identity and session to agents or programs,
 * and exits; or it answers MEMBERS for the queue, and exits.
 * Reads nothing from the network; a worker's request is the only outside
 * input, by way of the gates below.
 */
#include <sys/resource.h>

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "become.h"
#include "channel.h"
#include "children.h"
#include "gates.h"
#include "log.h"
#include "login.h"
#include "login_gate.h"
#include "message.h"
#include "role.h"
#include "sandbox.h"
#include "worker.h"

#define JUNK_SECRET	"\b\n\r\177INCORRECT"	/* nobody's */
#define FAILURE_STEP_MS	2000	/* failures are answered at multiples of it */
#define SLACK_SECONDS	30	/* for PAM, beyond login-timeout */

static struct {
	struct config	config;
	struct children	children;
	int		has_programs;	/* something may be run */
} login;

/* One session, in its child. */
struct login_session {
	struct facts	facts;
	unsigned	failures;
	int		socket;
};

static long
milliseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000L + ts.tv_nsec / 1000000;
}

/*
 * However long the verdict took, and whatever it was about, the client sees
 * it at a multiple of the step: time tells nothing about accounts.
 */
static void
delay_failure(long since)
{
	long spent = milliseconds() - since;
	long wait = FAILURE_STEP_MS - spent % FAILURE_STEP_MS;

	(void)poll(NULL, 0, (int)wait);
}

static void
reply_login(int sock, enum login_verdict verdict)
{
	struct message m;

	message_begin(&m, REPLY_LOGIN);
	put_u32(&m, (uint32_t)verdict);
	(void)message_send(sock, &m);
}

/* Identity and session go to agents; this process has nothing more to do. */
static int
hand_on(const struct login_session *s, const struct identity *who)
{
	struct message m;

	message_begin(&m, CH_BECOME);
	put_facts(&m, &s->facts);
	put_identity(&m, who);
	put_fd(&m, s->socket);
	return message_send(s->facts.service == SERVICE_PROGRAM ?
	    FD_PROGRAMS : FD_LINK, &m);
}

/* The verdict on one try, and the identity if it is good. */
static enum login_verdict
decide(const char *name, const char *secret, const char *host,
    struct identity *who)
{
	char account[ACCOUNT_NAME_MAX];
	enum account_status status;
	enum pam_verdict verdict;

	if (account_of_login(&login.config, name, account) == -1)
		return LOGIN_REFUSED;
	status = account_find(&login.config, account, who);
	if (status == ACCOUNT_TEMPFAIL)
		return LOGIN_TEMPFAIL;
	/*
	 * PAM is asked in every case, so that no way is shorter; for an
	 * account that may not come in, with a secret that nobody has.
	 */
	verdict = login_pam_try(status == ACCOUNT_OK ? who->name : account,
	    status == ACCOUNT_OK ? secret : JUNK_SECRET, host);
	if (verdict == PAM_VERDICT_TEMPFAIL)
		return LOGIN_TEMPFAIL;
	if (status != ACCOUNT_OK || verdict != PAM_VERDICT_OK)
		return LOGIN_REFUSED;
	return LOGIN_OK;
}

static const char *
verdict_name(enum login_verdict verdict)
{
	switch (verdict) {
	case LOGIN_OK:
		return "login";
	case LOGIN_TEMPFAIL:
		return "login-tempfail";
	default:
		return "login-failed";
	}
}

static void
log_verdict(const struct login_session *s, const char *name,
    const char *mechanism, const char *tls, enum login_verdict verdict)
{
	char user[LOG_VALUE_MAX], how[LOG_VALUE_MAX], claim[LOG_VALUE_MAX];

	log_event(verdict == LOGIN_OK ? LOG_INFO : LOG_NOTICE,
	    s->facts.session, "event=%s user=%s client=%s service=%s "
	    "mechanism=%s tls=%s", verdict_name(verdict),
	    log_value(name, user), s->facts.client,
	    service_name(s->facts.service), log_value(mechanism, how),
	    tls[0] != '\0' ? log_value(tls, claim) : "none");
}

static int
conclude(struct login_session *s, enum login_verdict verdict,
    const struct identity *who, long since)
{
	if (verdict == LOGIN_OK) {
		if (hand_on(s, who) == 0) {
			note_master(s->facts.session, NOTE_LOGGED_IN);
			reply_login(s->socket, LOGIN_OK);
			return STATE_END;
		}
		verdict = LOGIN_TEMPFAIL;
	}
	if (verdict == LOGIN_REFUSED)
		note_master(s->facts.session, NOTE_LOGIN_FAILED);
	if (++s->failures >= LOGIN_TRIES && verdict == LOGIN_REFUSED)
		verdict = LOGIN_LAST;
	delay_failure(since);
	reply_login(s->socket, verdict);
	return s->failures >= LOGIN_TRIES ? STATE_END : 0;
}

static int
answer_login(void *session, int sock, struct message *m)
{
	struct login_session *s = session;
	char name[LOGIN_NAME_MAX], mechanism[LOGIN_MECHANISM_MAX];
	char tls[LOGIN_TLS_MAX];
	static char secret[LOGIN_SECRET_MAX];
	enum login_verdict verdict;
	struct identity who;
	long since = milliseconds();

	(void)sock;
	get_str(m, name, sizeof(name));
	get_str(m, secret, sizeof(secret));
	get_str(m, mechanism, sizeof(mechanism));
	get_str(m, tls, sizeof(tls));
	if (get_end(m) == -1)
		return STATE_FAULT;
	/* Not in the request, either, while a failure waits for its answer. */
	message_discard(m);
	memset(&who, 0, sizeof(who));
	if ((s->facts.flags & FACT_PLAINTEXT) == 0 && tls[0] == '\0')
		verdict = LOGIN_REFUSED;	/* not offered, and not taken */
	else
		verdict = decide(name, secret, s->facts.client, &who);
	explicit_bzero(secret, sizeof(secret));
	log_verdict(s, name, mechanism, tls, verdict);
	return conclude(s, verdict, &who, since);
}

static const struct gate login_gates[] = {
	{ REQ_LOGIN, "LOGIN", IN_STATE(0), 0, 0, 16,
	    16 + LOGIN_NAME_MAX + LOGIN_SECRET_MAX + LOGIN_MECHANISM_MAX +
	    LOGIN_TLS_MAX, answer_login },
};

static const struct gate_table login_table = {
	"login", login_gates, 1, 0
};

static int
reply_identify(int sock, enum identify_verdict verdict, const char *text)
{
	struct message m;

	message_begin(&m, REPLY_IDENTIFY);
	put_u32(&m, (uint32_t)verdict);
	put_str(&m, text);
	(void)message_send(sock, &m);
	return STATE_END;
}

/*
 * Who commands are run as for aliases: the one system account that something
 * may be done as, because the administrator said so.  If it is an account that
 * has mail of its own, it is that.
 */
static int
is_command_user(const char *name, struct identity *who)
{
	const struct account_ids *user = &login.config.command_user;

	if (user->name[0] == '\0' || strcmp(name, user->name) != 0)
		return 0;
	if (account_find(&login.config, name, who) == ACCOUNT_OK)
		return 1;
	memset(who, 0, sizeof(*who));
	strlcpy(who->name, user->name, sizeof(who->name));
	strlcpy(who->home, "/", sizeof(who->home));
	who->uid = user->uid;
	who->gid = user->gid;
	return 1;
}

/*
 * As it is, else in lower case: an alias may name an account as a person
 * writes it.
 */
static enum account_status
find_in_any_case(const char *name, struct identity *who)
{
	enum account_status status = account_find(&login.config, name, who);
	char lower[ACCOUNT_NAME_MAX];
	size_t i;

	if (status != ACCOUNT_UNKNOWN ||
	    strlcpy(lower, name, sizeof(lower)) >= sizeof(lower))
		return status;
	for (i = 0; lower[i] != '\0'; i++)
		if (lower[i] >= 'A' && lower[i] <= 'Z')
			lower[i] = (char)(lower[i] - 'A' + 'a');
	return strcmp(lower, name) == 0 ? status :
	    account_find(&login.config, lower, who);
}

/* The whole name first, so that one with a delimiter in it is found. */
static enum account_status
find_recipient(enum service service, const char *name, struct identity *who)
{
	const char *at = NULL;
	char user[ACCOUNT_NAME_MAX];
	enum account_status status;

	if (service == SERVICE_PROGRAM && is_command_user(name, who))
		return ACCOUNT_OK;
	status = find_in_any_case(name, who);
	if (login.config.recipient_delimiter != '\0')
		at = strchr(name, login.config.recipient_delimiter);
	if (status != ACCOUNT_UNKNOWN || at == NULL || at == name)
		return status;
	memcpy(user, name, (size_t)(at - name));
	user[at - name] = '\0';
	return find_in_any_case(user, who);
}

/* The queue asks for an agent that is this recipient. */
static int
answer_identify(void *session, int sock, struct message *m)
{
	struct login_session *s = session;
	char name[ACCOUNT_NAME_MAX];
	struct identity who;

	get_str(m, name, sizeof(name));
	if (get_end(m) == -1)
		return STATE_FAULT;
	if (s->facts.service == SERVICE_PROGRAM && !login.has_programs)
		return reply_identify(sock, IDENTIFY_DEFERRED,
		    "commands are not allowed now");
	switch (find_recipient(s->facts.service, name, &who)) {
	case ACCOUNT_OK:
		break;
	case ACCOUNT_UNKNOWN:
		return reply_identify(sock, IDENTIFY_FAILED,
		    "no such account");
	case ACCOUNT_REFUSED:
		return reply_identify(sock, IDENTIFY_FAILED,
		    "a system account receives through an alias only");
	case ACCOUNT_TEMPFAIL:
		return reply_identify(sock, IDENTIFY_DEFERRED,
		    "account lookup is out of order");
	}
	if (hand_on(s, &who) == -1)
		return reply_identify(sock, IDENTIFY_DEFERRED,
		    "no delivery agent");
	return reply_identify(sock, IDENTIFIED, who.name);
}

/* As many whole names as one reply holds, of those from here to end. */
static size_t
page_size(const char *names, const char *end)
{
	size_t size = (size_t)(end - names);

	if (size <= MEMBERS_PAGE)
		return size;
	for (size = MEMBERS_PAGE; names[size - 1] != '\0'; size--)
		;
	return size;
}

static int
reply_members(int sock, enum members_verdict verdict,
    const struct members *members)
{
	const char *at = members->names != NULL ? members->names : "";
	const char *end = at + members->size;
	struct message m;
	size_t size;

	do {
		size = page_size(at, end);
		message_begin(&m, REPLY_MEMBERS);
		put_u32(&m, (uint32_t)verdict);
		put_u32(&m, at + size < end);
		put_data(&m, at, size);
		if (message_send(sock, &m) == -1)
			break;
		at += size;
	} while (at < end);
	return STATE_END;
}

/* The queue asks who is in a group. */
static int
answer_members(void *session, int sock, struct message *m)
{
	static const enum members_verdict verdicts[] = {
		[ACCOUNT_OK] = MEMBERS_FOUND,
		[ACCOUNT_UNKNOWN] = MEMBERS_UNKNOWN,
		[ACCOUNT_REFUSED] = MEMBERS_TOO_MANY,
		[ACCOUNT_TEMPFAIL] = MEMBERS_DEFERRED,
	};
	static const struct members nobody;
	enum account_status status;
	char name[ACCOUNT_NAME_MAX];
	struct members members;
	int state;

	(void)session;
	get_str(m, name, sizeof(name));
	if (get_end(m) == -1)
		return STATE_FAULT;
	status = group_members(&login.config, name, &members);
	state = reply_members(sock, verdicts[status],
	    status == ACCOUNT_OK ? &members : &nobody);
	free(members.names);
	return state;
}

static const struct gate queue_gates[] = {
	{ REQ_IDENTIFY, "IDENTIFY", IN_STATE(0), 1, 0, 4,
	    4 + ACCOUNT_NAME_MAX, answer_identify },
	{ REQ_MEMBERS, "MEMBERS", IN_STATE(0), 1, 0, 4,
	    4 + ACCOUNT_NAME_MAX, answer_members },
};

static const struct gate_table queue_table = {
	"queue", queue_gates, 2, 0
};

static void
login_life(const struct facts *facts, int sock)
{
	struct login_session s = { .facts = *facts, .socket = sock };
	const struct gate_table *table;

	table = facts->service == SERVICE_DELIVERY ||
	    facts->service == SERVICE_PROGRAM ? &queue_table : &login_table;
	if (gates_serve(table, &s, sock,
	    (int)login.config.login_timeout * 1000) == -1 && errno == EPROTO) {
		note_master(facts->session, NOTE_GATE_FAULT);
		log_event(LOG_ERR, facts->session,
		    "event=gate-fault gates=%s client=%s", table->service,
		    facts->client);
	}
	_exit(0);
}

static void
confine(pid_t master)
{
	struct sandbox_filter own;

	tzset();
	sandbox_compile(SANDBOX_LOGIN, &own);
	become_limited(CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID) |
	    CAP_BIT(CAP_CHOWN) | CAP_BIT(CAP_FOWNER) |
	    CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_DAC_READ_SEARCH) |
	    CAP_BIT(CAP_AUDIT_WRITE));
	become_sealed();
	become_bound_to(master);
	become_bounded(RLIMIT_CORE, 0);
	sandbox_install(&own);
}

/* NSS keeps its modules loaded, too, after one look-up that finds nothing. */
static void
warm(void)
{
	struct identity who;

	login_pam_warm(&login.config);
	(void)account_find(&login.config, "postern-warm-up", &who);
}

int
main(void)
{
	pid_t master = getppid();

	login.has_programs = (role_start("login", ROLE_LOGIN,
	    ROLE_FD(FD_LINK) | ROLE_FD(FD_PROGRAMS), &login.config) &
	    ROLE_FD(FD_PROGRAMS)) != 0;
	confine(master);
	warm();
	children_init(&login.children);
	role_ready();
	children_serve(&login.children, "login",
	    login.config.login_timeout + SLACK_SECONDS, login_life);
	return 0;
}
