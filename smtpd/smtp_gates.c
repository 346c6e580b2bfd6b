/*
 * smtp_gates: what a worker can ask the session agent.
 *
 * Runs in the session agent, as queue-user; touches the spool, the pipe that
 * it made for the content (intake.c), and what policy looks up.
 *
 * The worker is asked for nothing that it could not make up without harm: the
 * client's address is the master's word, who logged in login's, the date and id
 * ours, and what it alone can know (the HELO name, TLS) is marked as a claim.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "privsep/log.h"
#include "smtpd/address.h"
#include "smtpd/agent.h"
#include "smtpd/idna.h"

#define REFUSALS_MAX	20	/* logged in one session */
#define PIPE_SIZE	(1024 * 1024)
#define HINT_WAIT_MS	100

static const struct policy_verdict ok = { 250, "2.0.0", "Ok" };
static const struct policy_verdict sender_ok = { 250, "2.1.0", "Ok" };
static const struct policy_verdict go_on = { 354, "",
    "End data with <CR><LF>.<CR><LF>" };
static const struct policy_verdict too_many = { 452, "4.5.3",
    "Too many recipients" };
static const struct policy_verdict enough = { 421, "4.7.0",
    "Enough messages for one session, come again" };
static const struct policy_verdict no_host = { 550, "5.1.2",
    "That domain is no host's name" };
static const struct policy_verdict too_long = { 550, "5.1.3",
    "Recipient address too long" };
static const struct policy_verdict nobody = { 554, "5.5.1",
    "No valid recipients" };
static const struct policy_verdict spool_fault = { 451, "4.3.0",
    "Can't queue this message now, try again later" };

static void
put_verdict(struct message *m, uint32_t request,
    const struct policy_verdict *v)
{
	message_begin(m, REPLY_OF(request));
	put_u32(m, v->code);
	put_str(m, v->status);
	put_str(m, v->text);
}

/* Reply with a verdict, and a descriptor unless it is -1. */
static int
reply(int sock, uint32_t request, const struct policy_verdict *v, int fd)
{
	struct message m;

	put_verdict(&m, request, v);
	if (fd != -1)
		put_fd(&m, fd);
	return message_send(sock, &m);
}

/* Reply, and go on in this state unless the worker is gone. */
static int
answer(int sock, uint32_t request, const struct policy_verdict *v, int state)
{
	return reply(sock, request, v, -1) == 0 ? state : STATE_END;
}

static void
forget(struct smtp_session *s)
{
	spool_abort(&s->writer);
	envelope_reset(&s->envelope);
	s->sender[0] = s->envid[0] = '\0';
	s->ret = 0;
	s->is_open = 0;
}

/* What is known of it by now: only a letter waits for more. */
static const char *
name_of(struct smtp_session *s)
{
	const char *name = client_name_now(&s->client);

	return name[0] != '\0' ? name : "-";
}

static void
log_refusal(struct smtp_session *s, const char *command, const char *path,
    const struct policy_verdict *v)
{
	char from[LOG_VALUE_MAX], to[LOG_VALUE_MAX];

	/* A client's guesses must not fill the disk. */
	if (s->refusals++ >= REFUSALS_MAX)
		return;
	log_event(LOG_INFO, s->agent->facts.session,
	    "event=refused command=%s from=%s to=%s code=%u status=%s "
	    "client=%s name=%s", command, log_value(s->sender, from),
	    log_value(path, to), v->code, v->status,
	    s->agent->facts.client, name_of(s));
}

/* May addresses of this transaction hold UTF-8?  A flag of the parser's. */
static int
utf8_of(const struct smtp_session *s)
{
	return (s->flags & MAIL_SMTPUTF8) != 0 ? ADDRESS_UTF8 : 0;
}

static int
is_legal_here(const struct smtp_session *s, const struct address *address)
{
	return utf8_of(s) != 0 ? address_is_legal_utf8(address) :
	    address_is_legal(address);
}

static int
answer_mail(void *session, int sock, struct message *request)
{
	struct smtp_session *s = session;
	struct policy_verdict v = sender_ok;
	struct address address;
	char claim[HELO_MAX], tls[LOGIN_TLS_MAX];
	uint64_t size;

	get_str(request, claim, sizeof(claim));
	get_str(request, tls, sizeof(tls));
	s->flags = get_u32(request);
	size = get_u64(request);
	get_str(request, s->sender, sizeof(s->sender));
	s->ret = get_u32(request);
	get_str(request, s->envid, sizeof(s->envid));
	/* Only an honest worker has parsed it before it asks. */
	if (get_end(request) == -1 ||
	    (s->flags & ~(uint32_t)MAIL_FLAGS) != 0 ||
	    s->ret > RET_HDRS || !envid_is_legal(s->envid) ||
	    (s->sender[0] != '\0' && address_mailbox(s->sender,
	    strlen(s->sender), utf8_of(s), &address) != ADDRESS_OK))
		return STATE_FAULT;
	trace_helo(s->helo, sizeof(s->helo), claim);
	trace_tls(s->tls, sizeof(s->tls), tls);
	envelope_reset(&s->envelope);
	if (s->messages >= s->agent->config->max_messages)
		v = enough;
	if (v.code == enough.code ||
	    policy_size(&s->policy, s->spool.queue, size, &v) == -1) {
		log_refusal(s, "MAIL", "", &v);
		forget(s);
		return answer(sock, REQ_MAIL, &v, SMTP_IDLE);
	}
	s->is_open = 1;
	return answer(sock, REQ_MAIL, &v, SMTP_MAIL);
}

/* Take a recipient up; the verdict changes if there is no room for it. */
static void
add_recipient(struct smtp_session *s, const struct address *address,
    const char *account, uint32_t notify, const char *orcpt,
    struct policy_verdict *v)
{
	/* Said twice, delivered once: as it was said first. */
	if (envelope_has_recipient(&s->envelope, address->local,
	    address->domain))
		return;
	if (s->envelope.recipient_count >=
	    s->agent->config->max_recipients) {
		*v = too_many;
		return;
	}
	envelope_put_recipient(&s->envelope, address->local, address->domain,
	    account);
	envelope_put_notify(&s->envelope, notify, orcpt);
	if (s->envelope.error != 0)
		*v = *intake_fault(s->envelope.error);
}

/*
 * Policy speaks the DNS's language.  A domain that is ours becomes the name by
 * which everybody here knows it; another one goes on as it was said.
 */
static enum route
find_route(struct smtp_session *s, struct address *address,
    char account[POLICY_ACCOUNT_MAX], struct policy_verdict *v)
{
	int is_returned = policy_reverse(&s->policy, s->sender, address, v);
	char ascii[IDNA_MAX];
	enum route route;

	if (is_returned == -1)
		return ROUTE_NONE;
	if (idna_to_ascii(address->domain, ascii) == -1) {
		*v = errno == ENOMEM ? spool_fault : no_host;
		return ROUTE_NONE;
	}
	route = (is_returned ? policy_returned : policy_recipient)(&s->policy,
	    address->local, ascii, account, v);
	if (route == ROUTE_LOCAL)
		strlcpy(address->domain, ascii, sizeof(address->domain));
	/* A name is longer in ASCII: a letter of it could not be read back. */
	if (route != ROUTE_NONE && !address_is_legal_utf8(address)) {
		*v = too_long;
		return ROUTE_NONE;
	}
	return route;
}

static int
answer_rcpt(void *session, int sock, struct message *request)
{
	struct smtp_session *s = session;
	struct policy_verdict v;
	struct address address;
	char account[POLICY_ACCOUNT_MAX], path[ADDRESS_PRINT_MAX];
	char orcpt[ORCPT_MAX];
	uint32_t notify;

	get_str(request, address.local, sizeof(address.local));
	get_str(request, address.domain, sizeof(address.domain));
	notify = get_u32(request);
	get_str(request, orcpt, sizeof(orcpt));
	if (get_end(request) == -1 || address_is_null(&address) ||
	    !is_legal_here(s, &address) || !notify_is_legal(notify) ||
	    !orcpt_is_legal(orcpt) ||
	    address_print(&address, path, sizeof(path)) == -1)
		return STATE_FAULT;
	if (find_route(s, &address, account, &v) != ROUTE_NONE)
		add_recipient(s, &address, account, notify, orcpt, &v);
	if (v.code != 250)
		log_refusal(s, "RCPT", path, &v);
	return answer(sock, REQ_RCPT, &v, s->envelope.recipient_count > 0 ?
	    SMTP_RCPT : SMTP_MAIL);
}

/* Hand the worker its end and take what it writes there. */
static int
receive(struct smtp_session *s, int sock, const int ends[2])
{
	int sent;

	/* Best effort: fewer turns for a large letter. */
	(void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE);
	sent = reply(sock, REQ_DATA, &go_on, ends[1]);
	/* Ours must go, or the end never comes. */
	close(ends[1]);
	if (sent == -1 || fcntl(ends[0], F_SETFL, O_NONBLOCK) == -1 ||
	    intake_drain(s, ends[0]) == -1) {
		close(ends[0]);
		return STATE_END;
	}
	close(ends[0]);
	return SMTP_DATA;
}

static int
answer_data(void *session, int sock, struct message *request)
{
	struct smtp_session *s = session;
	struct policy_verdict v;
	size_t mark = s->envelope.len;
	int ends[2];

	if (get_end(request) == -1)
		return STATE_FAULT;
	if (s->envelope.recipient_count == 0)
		return answer(sock, REQ_DATA, &nobody, SMTP_MAIL);
	/* Content of no declared size needs room as well. */
	if (policy_size(&s->policy, s->spool.queue, 0, &v) == -1)
		return answer(sock, REQ_DATA, &v, SMTP_RCPT);
	if (intake_begin(s) == 0) {
		if (pipe2(ends, O_CLOEXEC) == 0)
			return receive(s, sock, ends);
		spool_abort(&s->writer);
	}
	v = *intake_fault(errno);
	log_event(LOG_ERR, s->agent->facts.session,
	    "event=spool-fault error=\"%s\"", strerror(errno));
	/* The transaction stays, and another DATA may be tried. */
	s->envelope.len = mark;
	s->envelope.error = 0;
	return answer(sock, REQ_DATA, &v, SMTP_RCPT);
}

/* Tell the queue; it looks by itself, too, so loss costs half a minute. */
static void
send_hint(const struct smtp_session *s, const struct spool_name *name)
{
	struct pollfd pfd = { .fd = s->agent->hint, .events = POLLOUT };
	char text[SPOOL_NAME_MAX];

	if (pfd.fd == -1 || spool_name_print(name, text) == -1)
		return;
	if (send(pfd.fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) !=
	    -1 || errno != EAGAIN || poll(&pfd, 1, HINT_WAIT_MS) != 1)
		return;
	(void)send(pfd.fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
log_received(struct smtp_session *s, const struct spool_name *name)
{
	const char *login = s->agent->login;
	char from[LOG_VALUE_MAX], helo[LOG_VALUE_MAX], tls[LOG_VALUE_MAX];
	char user[LOG_VALUE_MAX];

	log_event(LOG_INFO, s->agent->facts.session,
	    "event=received id=%s from=%s size=%llu nrcpt=%zu client=%s "
	    "name=%s helo=%s tls=%s user=%s", name->id,
	    log_value(s->sender, from),
	    (unsigned long long)name->size, s->envelope.recipient_count,
	    s->agent->facts.client, name_of(s), log_value(s->helo, helo),
	    log_value(s->tls[0] != '\0' ? s->tls : "none", tls),
	    log_value(login[0] != '\0' ? login : "-", user));
}

/* On disk and told of, or the verdict that says why not. */
static struct policy_verdict
commit(struct smtp_session *s, uint64_t octets, char *text, size_t size)
{
	struct spool_name name;

	if (s->fault.code != 0)
		return s->fault;
	if (octets != s->octets) {
		log_event(LOG_ERR, s->agent->facts.session,
		    "event=gate-fault text=\"%llu octets announced, %llu "
		    "came\"", (unsigned long long)octets,
		    (unsigned long long)s->octets);
		return spool_fault;
	}
	if (spool_commit(&s->writer, &name) == -1) {
		log_event(LOG_ERR, s->agent->facts.session,
		    "event=spool-fault id=%s error=\"%s\"", s->writer.id,
		    strerror(errno));
		return *intake_fault(errno);
	}
	s->messages++;
	send_hint(s, &name);
	log_received(s, &name);
	snprintf(text, size, "Ok: queued as %s", name.id);
	return (struct policy_verdict){ 250, "2.0.0", text };
}

static int
answer_commit(void *session, int sock, struct message *request)
{
	struct smtp_session *s = session;
	struct policy_verdict v;
	char text[QUEUE_ID_MAX + 32];
	uint64_t octets;

	octets = get_u64(request);
	if (get_end(request) == -1)
		return STATE_FAULT;
	v = commit(s, octets, text, sizeof(text));
	if (v.code != 250)
		log_refusal(s, "DATA", "", &v);
	forget(s);
	return answer(sock, REQ_COMMIT, &v, SMTP_IDLE);
}

static int
answer_abort(void *session, int sock, struct message *request)
{
	if (get_end(request) == -1)
		return STATE_FAULT;
	forget(session);
	return answer(sock, REQ_ABORT, &ok, SMTP_IDLE);
}

/* Stay in the state that the transaction is in. */
static int
state_of(const struct smtp_session *s)
{
	return s->envelope.recipient_count > 0 ? SMTP_RCPT :
	    s->is_open ? SMTP_MAIL : SMTP_IDLE;
}

/* What VRFY or EXPN is of, the domain as the DNS has it. */
static void
get_name(struct message *request, struct address *address)
{
	char ascii[IDNA_MAX];

	get_str(request, address->local, sizeof(address->local));
	get_str(request, address->domain, sizeof(address->domain));
	if (idna_to_ascii(address->domain, ascii) == 0)
		strlcpy(address->domain, ascii, sizeof(address->domain));
}

static int
answer_verify(void *session, int sock, struct message *request)
{
	struct smtp_session *s = session;
	struct policy_verdict v;
	struct address address;

	get_name(request, &address);
	if (get_end(request) == -1)
		return STATE_FAULT;
	policy_verify(&s->policy, address.local, address.domain, &v);
	return answer(sock, REQ_VERIFY, &v, state_of(s));
}

static int
answer_expand(void *session, int sock, struct message *request)
{
	struct smtp_session *s = session;
	struct policy_verdict v;
	struct address address;
	struct message m;
	uint32_t member;
	int is_more;

	get_name(request, &address);
	member = get_u32(request);
	if (get_end(request) == -1)
		return STATE_FAULT;
	is_more = policy_expand(&s->policy, address.local, address.domain,
	    member, &v);
	put_verdict(&m, REQ_EXPAND, &v);
	put_u32(&m, (uint32_t)is_more);
	return message_send(sock, &m) == 0 ? state_of(s) : STATE_END;
}

#define ADDRESS_MAX	(8 + ADDRESS_LOCAL_LIMIT + ADDRESS_DOMAIN_LIMIT)
#define ANY_TIME	(IN_STATE(SMTP_IDLE) | IN_STATE(SMTP_MAIL) | \
			    IN_STATE(SMTP_RCPT))

/* Everything that a worker can ask of the process that guards the spool. */
static const struct gate gates[] = {
	{
		.request = REQ_MAIL, .name = "MAIL",
		.states = IN_STATE(SMTP_IDLE),
		.min_size = 32,
		.max_size = 32 + HELO_MAX + LOGIN_TLS_MAX + PATH_TEXT_MAX +
		    ENVID_MAX - 4,
		.handler = answer_mail
	}, {
		.request = REQ_RCPT, .name = "RCPT",
		.states = IN_STATE(SMTP_MAIL) | IN_STATE(SMTP_RCPT),
		.min_size = 17, .max_size = ADDRESS_MAX + 8 + ORCPT_MAX - 1,
		.handler = answer_rcpt
	}, {
		.request = REQ_DATA, .name = "DATA",
		.states = IN_STATE(SMTP_MAIL) | IN_STATE(SMTP_RCPT),
		.handler = answer_data
	}, {
		.request = REQ_COMMIT, .name = "COMMIT",
		.states = IN_STATE(SMTP_DATA),
		.min_size = 8, .max_size = 8,
		.handler = answer_commit
	}, {
		.request = REQ_ABORT, .name = "ABORT",
		.states = ANY_TIME | IN_STATE(SMTP_DATA),
		.handler = answer_abort
	}, {
		.request = REQ_VERIFY, .name = "VERIFY",
		.states = ANY_TIME,
		.min_size = 8, .max_size = ADDRESS_MAX,
		.handler = answer_verify
	}, {
		.request = REQ_EXPAND, .name = "EXPAND",
		.states = ANY_TIME,
		.min_size = 12, .max_size = ADDRESS_MAX + 4,
		.handler = answer_expand
	}
};

const struct gate_table smtp_gates = {
	.service = "smtp",
	.gates = gates,
	.count = sizeof(gates) / sizeof(gates[0]),
	.first_state = SMTP_IDLE
};
