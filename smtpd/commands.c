/*
 * commands: the SMTP commands but DATA (receive.c), BDAT (bdat.c), STARTTLS
 * (security.c) and AUTH (auth.c), and the table of them all.
 *
 * Runs in the worker, as worker-user, confined; touches the session, and the
 * gate through smtpd/stubs.c.  Decides nothing but syntax and sequence.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "commands.h"
#include "security.h"

#define EXPN_MAX	1000	/* members told of */

#define IN(state)	(1U << (state))
#define ANYTIME		(IN(SMTP_STATES) - 1)
#define GREETED		(ANYTIME & ~IN(SMTP_START))
/* Between pieces of content the agent can be asked nothing. */
#define ASKABLE		(ANYTIME & ~IN(SMTP_BDAT))

static void
command_unimplemented(struct session *session, char *argument)
{
	(void)argument;
	session_refuse(session, "502 5.5.1 Command not implemented");
}

static void
greet(struct session *session, const char *argument, int is_esmtp)
{
	char name[HELO_MAX];
	const char *refusal;

	if ((refusal = parameters_helo(argument, name)) != NULL) {
		session_refuse(session, refusal);
		return;
	}
	if (session_abort(session) == -1)
		return;
	memcpy(session->helo, name, sizeof(name));
	session->is_esmtp = is_esmtp;
	session->state = SMTP_READY;
}

static void
command_helo(struct session *session, char *argument)
{
	uint32_t errors = session->errors;

	greet(session, argument, 0);
	if (session->is_over || session->errors != errors)
		return;
	wire_printf(&session->wire, "250 %s\r\n",
	    session->worker->config->hostname);
}

/* Is it a service whose clients are known, if only after a login? */
static int
has_known_clients(const struct session *session)
{
	enum service service = session->worker->facts.service;

	return service_is_submission(service) || service == SERVICE_LOCAL;
}

static void
command_ehlo(struct session *session, char *argument)
{
	const struct config *config = session->worker->config;
	uint32_t errors = session->errors;

	greet(session, argument, 1);
	if (session->is_over || session->errors != errors)
		return;
	wire_printf(&session->wire,
	    "250-%s\r\n"
	    "250-PIPELINING\r\n"
	    "250-SIZE %ju\r\n"
	    "250-8BITMIME\r\n"
	    "250-SMTPUTF8\r\n"
	    "250-CHUNKING\r\n"
	    "250-BINARYMIME\r\n"
	    "250-DSN\r\n"
	    "250-ENHANCEDSTATUSCODES\r\n",
	    config->hostname, (uintmax_t)config->message_size_limit);
	if (security_offers_tls(session))
		session_reply(session, "250-STARTTLS");
	if (security_offers_auth(session))
		wire_printf(&session->wire, "250-AUTH %s\r\n",
		    sasl_mechanisms);
	/* RFC 5321, 3.5.2: EXPN must be listed where it is answered. */
	if (has_known_clients(session) &&
	    security_needs_login(session) == NULL)
		session_reply(session, "250-EXPN");
	wire_printf(&session->wire, "250-VRFY\r\n250 HELP\r\n");
}

/* Which parameters EHLO has offered to this client. */
static uint32_t
extensions_of(const struct session *session)
{
	return (session->is_esmtp ? EXTENSION_ANY : 0) |
	    (session->is_logged_in ? EXTENSION_AUTH : 0) |
	    (session->transaction.is_smtputf8 ? EXTENSION_UTF8 : 0);
}

static void
command_mail(struct session *session, char *argument)
{
	struct mail_argument mail;
	struct verdict verdict;
	const char *refusal;
	uint32_t flags;

	refusal = parameters_mail(argument, extensions_of(session), &mail);
	if (refusal != NULL) {
		session_refuse(session, refusal);
		return;
	}
	/* Nothing binary is left of it when the agent gets it (binary.h). */
	flags = (mail.is_8bitmime || mail.is_binarymime ? MAIL_8BITMIME : 0) |
	    (mail.is_smtputf8 ? MAIL_SMTPUTF8 : 0) |
	    (session->is_esmtp ? MAIL_ESMTP : 0);
	if (ask_mail(session->worker->gate, session->helo, session->tls,
	    flags, &mail, &verdict) == -1) {
		session_gate_failed(session);
		return;
	}
	if (verdict_is_success(&verdict))
		session_begin(session, &mail);
	else if (verdict.code / 100 == 5)
		session->refusals++;
	session_verdict(session, &verdict);
}

static void
command_rcpt(struct session *session, char *argument)
{
	struct rcpt_argument rcpt;
	struct verdict verdict;
	const char *refusal;

	refusal = parameters_rcpt(argument, extensions_of(session), &rcpt);
	if (refusal != NULL) {
		session_refuse(session, refusal);
		return;
	}
	if (ask_rcpt(session->worker->gate, &rcpt, &verdict) == -1) {
		session_gate_failed(session);
		return;
	}
	if (verdict_is_success(&verdict)) {
		session->transaction.recipients++;
		session->state = SMTP_RCPT;
	} else if (verdict.code / 100 == 5)
		session->refusals++;
	session_verdict(session, &verdict);
}

static void
command_rset(struct session *session, char *argument)
{
	(void)argument;
	if (session_abort(session) == 0)
		session_reply(session, "250 2.0.0 Forgotten");
}

static void
command_noop(struct session *session, char *argument)
{
	(void)argument;
	session_reply(session, "250 2.0.0 Nothing done");
}

static void
command_vrfy(struct session *session, char *argument)
{
	struct address address;
	struct verdict verdict;
	const char *refusal;

	if ((refusal = parameters_vrfy(argument, extensions_of(session),
	    &address)) != NULL) {
		session_refuse(session, refusal);
		return;
	}
	if (ask_verify(session->worker->gate, &address, &verdict) == -1) {
		session_gate_failed(session);
		return;
	}
	session_verdict(session, &verdict);
}

/* One member a question: a list of any length fits every message. */
static void
command_expn(struct session *session, char *argument)
{
	struct address address;
	struct verdict verdict;
	const char *refusal;
	uint32_t member = 0;
	int is_more = 1;

	if ((refusal = parameters_vrfy(argument, extensions_of(session),
	    &address)) != NULL) {
		session_refuse(session, refusal);
		return;
	}
	for (; is_more; member++) {
		if (ask_expand(session->worker->gate, &address, member,
		    &verdict, &is_more) == -1) {
			session_gate_failed(session);
			return;
		}
		if (is_more && verdict_is_success(&verdict) &&
		    member + 1 < EXPN_MAX)
			session_verdict_line(session, &verdict);
		else
			is_more = 0;
	}
	session_verdict(session, &verdict);
}

static void
command_quit(struct session *session, char *argument)
{
	(void)argument;
	if (session_abort(session) == -1)
		return;
	session_reply(session, "221 2.0.0 Goodbye");
	session->is_over = 1;
}

static void	command_help(struct session *, char *);

static const struct command commands[] = {
	/* name		states		flags		handler */
	{ "HELO",	ANYTIME,	COMMAND_IDLE | COMMAND_SMTP,
							command_helo },
	{ "EHLO",	ANYTIME,	COMMAND_IDLE | COMMAND_SMTP,
							command_ehlo },
	{ "LHLO",	ANYTIME,	COMMAND_IDLE | COMMAND_LMTP,
							command_ehlo },
	{ "STARTTLS",	GREETED,	COMMAND_BARE | COMMAND_IDLE,
							command_starttls },
	{ "AUTH",	IN(SMTP_READY),	COMMAND_IDLE | COMMAND_SUBMISSION |
					COMMAND_SECRET,	command_auth },
	{ "MAIL",	IN(SMTP_READY),	COMMAND_LOGIN,	command_mail },
	{ "RCPT",	IN(SMTP_MAIL) | IN(SMTP_RCPT),
					COMMAND_LOGIN,	command_rcpt },
	{ "DATA",	IN(SMTP_RCPT),	COMMAND_LOGIN | COMMAND_BARE,
							command_data },
	{ "BDAT",	IN(SMTP_RCPT) | IN(SMTP_BDAT),
					COMMAND_LOGIN | COMMAND_PIECE,
							command_bdat },
	{ "RSET",	ANYTIME,	COMMAND_BARE | COMMAND_IDLE,
							command_rset },
	{ "NOOP",	ANYTIME,	COMMAND_IDLE,	command_noop },
	{ "VRFY",	ASKABLE,	COMMAND_LOGIN | COMMAND_IDLE,
							command_vrfy },
	{ "EXPN",	ASKABLE,	COMMAND_LOGIN | COMMAND_IDLE |
					COMMAND_KNOWN,	command_expn },
	{ "HELP",	ANYTIME,	COMMAND_IDLE,	command_help },
	{ "QUIT",	ANYTIME,	COMMAND_BARE,	command_quit },
	{ "ETRN",	ANYTIME,	0,		command_unimplemented },
	{ "SAML",	ANYTIME,	0,		command_unimplemented },
	{ "SEND",	ANYTIME,	0,		command_unimplemented },
	{ "SOML",	ANYTIME,	0,		command_unimplemented },
	{ "TURN",	ANYTIME,	0,		command_unimplemented }
};
#define NCOMMANDS	(sizeof(commands) / sizeof(commands[0]))

/* Does this session have that command at all? */
static int
is_here(const struct session *session, const struct command *command)
{
	enum service service = session->worker->facts.service;

	if ((command->flags & COMMAND_SUBMISSION) != 0)
		return service_is_submission(service);
	if ((command->flags & COMMAND_KNOWN) != 0)
		return has_known_clients(session);
	if ((command->flags & (COMMAND_SMTP | COMMAND_LMTP)) != 0)
		return service == SERVICE_LMTP ?
		    (command->flags & COMMAND_LMTP) != 0 :
		    (command->flags & COMMAND_SMTP) != 0;
	/* Who is on this host needs none. */
	return command->handler != command_starttls ||
	    !service_is_local(service);
}

static void
command_help(struct session *session, char *argument)
{
	size_t i;

	(void)argument;
	wire_printf(&session->wire, "214 2.0.0 Commands:");
	for (i = 0; i < NCOMMANDS; i++) {
		if (commands[i].handler == command_unimplemented ||
		    !is_here(session, &commands[i]) ||
		    (commands[i].handler == command_starttls &&
		    session->worker->signer == -1))
			continue;
		wire_printf(&session->wire, " %s", commands[i].name);
	}
	session_reply(session, "");
}

const struct command *
command_at(size_t i)
{
	return i < NCOMMANDS ? &commands[i] : NULL;
}

const struct command *
command_find(const char *verb)
{
	size_t i;

	for (i = 0; i < NCOMMANDS; i++)
		if (strcasecmp(commands[i].name, verb) == 0)
			return &commands[i];
	return NULL;
}

/* What should have come first, or should not have come before. */
static const char *
out_of_sequence(const struct session *session, const struct command *command)
{
	enum smtp_state state = session->state;

	if (state == SMTP_START)
		return session->worker->facts.service == SERVICE_LMTP ?
		    "503 5.5.1 Say LHLO first" :
		    "503 5.5.1 Say HELO or EHLO first";
	if (state == SMTP_BDAT)
		return "503 5.5.1 Only BDAT goes on with this message";
	if (command->states == IN(SMTP_READY))
		return "503 5.5.1 A transaction is open already";
	if (state == SMTP_READY)
		return "503 5.5.1 MAIL must come first";
	return "503 5.5.1 No valid recipients";
}

/* Why this command can't be done now; NULL: it can. */
static const char *
refusal_of(const struct session *session, const struct command *command,
    const char *argument)
{
	const char *refusal;

	if (!is_here(session, command))
		return "502 5.5.1 Command not implemented";
	if ((command->flags & COMMAND_LOGIN) != 0 &&
	    (refusal = security_needs_login(session)) != NULL)
		return refusal;
	if ((command->states & IN(session->state)) == 0)
		return out_of_sequence(session, command);
	if ((command->flags & COMMAND_BARE) != 0 && *argument != '\0')
		return "501 5.5.4 No argument allowed";
	return NULL;
}

/*
 * No command of ours.  Somebody who speaks another protocol must not go on;
 * a line may be a secret that was said too late.
 */
static void
unknown(struct session *session, char *line, size_t len, const char *verb)
{
	const char *colon = strchr(line, ':');
	/* "Host: ..." as well: a browser whose first line was not seen whole */
	int is_foreign = (verb != NULL && security_is_foreign(verb)) ||
	    (colon != NULL && colon == line + strcspn(line, " :"));

	explicit_bzero(line, len);
	if (!is_foreign) {
		session_refuse(session, "500 5.5.2 Command not recognized");
		return;
	}
	session->errors++;
	session_forget(session);
	session_end(session, "421 4.7.0 This is a mail server");
}

void
command_run(struct session *session, char *line)
{
	const struct command *command = NULL;
	const char *refusal;
	char *verb = NULL, *argument = NULL;
	size_t len = strlen(line);

	if (parameters_split(line, &verb, &argument) == 0)
		command = command_find(verb);
	if (command == NULL) {
		unknown(session, line, len, verb);
		return;
	}
	if ((command->flags & COMMAND_IDLE) != 0)
		session->idle++;
	if ((refusal = refusal_of(session, command, argument)) == NULL) {
		command->handler(session, argument);
		return;
	}
	if ((command->flags & COMMAND_SECRET) != 0)
		explicit_bzero(argument, strlen(argument));
	if ((command->flags & COMMAND_PIECE) != 0)
		bdat_refuse(session, argument, refusal);
	else
		session_refuse(session, refusal);
}
