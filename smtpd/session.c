/*
 * session: greet, read command lines, answer, keep the limits, end.
 *
 * Runs in the worker, as worker-user, confined; touches the client's
 * connection, and the gate through smtpd/stubs.c.  What a client may do before
 * TLS and login stands in security.c.
 */
#include <sys/socket.h>

#include <limits.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../privsep/log.h"
#include "commands.h"
#include "security.h"
#include "session.h"

#define LINGER_SECONDS	2	/* for a last reply to arrive */

time_t
session_clock(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void
session_heard(void *arg)
{
	worker_alive(arg);
}

void
session_init(struct session *session, struct worker *worker)
{
	uint32_t seconds = worker->config->idle_timeout;

	if (seconds > INT_MAX / 1000)
		seconds = INT_MAX / 1000;
	session->worker = worker;
	session->state = SMTP_START;
	session->is_esmtp = 0;
	session->is_over = 0;
	session->is_ended_by_us = 0;
	session->is_tls = session->is_logged_in = 0;
	session->tls[0] = '\0';
	session->helo[0] = '\0';
	memset(&session->transaction, 0, sizeof(session->transaction));
	memset(&session->receive, 0, sizeof(session->receive));
	session->receive.pipe = -1;
	session->commands = session->messages = 0;
	session->errors = session->refusals = session->idle = 0;
	session->out_len = 0;
	wire_init(&session->wire, worker->client, (int)seconds * 1000);
	session->wire.heard = session_heard;
	session->wire.heard_arg = worker;
	session->wire.watch = worker->master;
}

void
session_reply(struct session *session, const char *line)
{
	wire_printf(&session->wire, "%s\r\n", line);
}

void
session_refuse(struct session *session, const char *line)
{
	session->errors++;
	session_reply(session, line);
}

void
session_end(struct session *session, const char *line)
{
	session_reply(session, line);
	session->is_over = 1;
	session->is_ended_by_us = 1;
}

void
session_gate_failed(struct session *session)
{
	session_forget(session);
	session_end(session, "421 4.3.0 Service not available, try later");
}

static void
print_verdict(struct session *session, const struct verdict *verdict, int mark)
{
	wire_printf(&session->wire, "%u%c%s%s%s\r\n", verdict->code, mark,
	    verdict->enhanced, verdict->enhanced[0] != '\0' ? " " : "",
	    verdict->text);
}

void
session_verdict_line(struct session *session, const struct verdict *verdict)
{
	print_verdict(session, verdict, '-');
}

void
session_verdict(struct session *session, const struct verdict *verdict)
{
	print_verdict(session, verdict, ' ');
	if (verdict->code == 421)
		session->is_over = session->is_ended_by_us = 1;
}

void
session_outcome(struct session *session, uint32_t recipients,
    const struct verdict *verdict)
{
	uint32_t n = session->worker->facts.service == SERVICE_LMTP ?
	    recipients : 1;

	/* RFC 2033, 4.2: as many as RCPT commands that got a 2xx. */
	while (n-- > 0)
		session_verdict(session, verdict);
}

void
session_begin(struct session *session, const struct mail_argument *mail)
{
	session->state = SMTP_MAIL;
	session->transaction.is_open = 1;
	session->transaction.recipients = 0;
	session->transaction.size = mail->size;
	session->transaction.is_smtputf8 = mail->is_smtputf8;
	session->transaction.is_binarymime = mail->is_binarymime;
}

void
session_forget(struct session *session)
{
	memset(&session->transaction, 0, sizeof(session->transaction));
	/* Or the agent goes on waiting for more, and hears nothing else. */
	if (session->receive.pipe != -1)
		close(session->receive.pipe);
	session->receive.pipe = -1;
	session->out_len = 0;
	if (session->state != SMTP_START)
		session->state = SMTP_READY;
}

int
session_abort(struct session *session)
{
	int was_open = session->transaction.is_open;

	session_forget(session);
	if (was_open && ask_abort(session->worker->gate) == -1) {
		session_gate_failed(session);
		return -1;
	}
	return 0;
}

int
session_restart(struct session *session)
{
	if (session_abort(session) == -1)
		return -1;
	session->state = SMTP_START;
	session->is_esmtp = 0;
	session->helo[0] = '\0';
	return 0;
}

int
session_is_sane(const struct session *session)
{
	const struct transaction *transaction = &session->transaction;

	if ((session->state == SMTP_BDAT) != (session->receive.pipe != -1))
		return 0;
	switch (session->state) {
	case SMTP_START:
	case SMTP_READY:
		return !transaction->is_open && transaction->recipients == 0 &&
		    transaction->size == 0 && !transaction->is_smtputf8 &&
		    !transaction->is_binarymime;
	case SMTP_MAIL:
		return transaction->is_open && transaction->recipients == 0;
	case SMTP_RCPT:
	case SMTP_BDAT:
		return transaction->is_open && transaction->recipients > 0;
	case SMTP_STATES:
		break;
	}
	return 0;
}

/*
 * A lone CR or LF, or a NUL, has no place in a command; who takes one for a
 * line end can be made to see commands that others don't (C1).
 */
static int
is_clean(const char *line, size_t len)
{
	return memchr(line, '\r', len) == NULL &&
	    memchr(line, '\n', len) == NULL &&
	    memchr(line, '\0', len) == NULL;
}

/* Only abuse needs so many: the client gets a reason and the door. */
static void
check_limits(struct session *session)
{
	if (session->is_over)
		return;
	if (session->errors >= session->worker->config->max_errors)
		session_end(session, "421 4.7.0 Too many errors");
	else if (session->refusals >= SESSION_REFUSALS_MAX)
		session_end(session, "421 4.7.0 Too many refused addresses");
	else if (session->idle >= SESSION_IDLE_MAX)
		session_end(session, "421 4.7.0 Too many commands without "
		    "a message");
}

void
session_hung_up(struct session *session)
{
	session_end(session, worker_is_late(session->worker) ?
	    "421 4.4.2 Timeout, closing" :
	    "421 4.3.2 Shutting down, try later");
}

enum line_status
session_line(struct session *session, size_t max, char **line)
{
	size_t len;

	switch (wire_line(&session->wire, max, 0, line, &len)) {
	case WIRE_OK:
		if (is_clean(*line, len))
			return LINE_GOOD;
		explicit_bzero(*line, len);
		return LINE_UNCLEAN;
	case WIRE_TOO_LONG:
		return LINE_TOO_LONG;
	case WIRE_TIMEOUT:
		session_end(session, "421 4.4.2 Timeout, closing");
		break;
	case WIRE_SHUTDOWN:
		session_hung_up(session);
		break;
	case WIRE_EOF:
	case WIRE_ERROR:
		session->is_over = 1;
		break;
	}
	return LINE_OVER;
}

static void
serve_line(struct session *session)
{
	enum line_status status;
	char *line;

	status = session_line(session, security_offers_auth(session) ?
	    SESSION_AUTH_LINE_MAX : SESSION_LINE_MAX, &line);
	session->commands += status != LINE_OVER;
	switch (status) {
	case LINE_GOOD:
		command_run(session, line);
		break;
	case LINE_UNCLEAN:
		session_refuse(session,
		    "500 5.5.2 Lines end with CR LF and hold no NUL");
		break;
	case LINE_TOO_LONG:
		session_refuse(session, "500 5.5.2 Line too long");
		/* No mail program begins like that (C20). */
		if (session->state == SMTP_START)
			session_end(session, "421 4.7.0 This is a mail server");
		break;
	case LINE_OVER:
		break;
	}
}

/*
 * Closing a socket that has unread input makes TCP reset the connection, and
 * the reset can overtake the last reply.  So say that we are done, and read a
 * little of what was on its way; not for long, since it can be anybody's.
 */
static void
linger(struct session *session)
{
	struct pollfd pfd = { .fd = session->wire.fd, .events = POLLIN };
	time_t end = session_clock() + LINGER_SECONDS;

	if (wire_flush(&session->wire) != WIRE_OK)
		return;
	/* Not after a handshake that failed: that has said its alert. */
	if (session->is_tls)
		tls_close(&session->wire);
	/* What is drained is not looked at, so it need not be decrypted. */
	if (!session->is_ended_by_us ||
	    shutdown(session->wire.fd, SHUT_WR) == -1)
		return;
	while (session_clock() < end && poll(&pfd, 1, 1000) == 1)
		if (recv(session->wire.fd, session->out, sizeof(session->out),
		    0) <= 0)
			return;
}

static void
log_summary(const struct session *session)
{
	char helo[LOG_VALUE_MAX], tls[LOG_VALUE_MAX];

	log_event(LOG_INFO, session->worker->facts.session,
	    "event=disconnect commands=%u messages=%u errors=%u helo=%s "
	    "tls=%s", session->commands, session->messages, session->errors,
	    log_value(session->helo, helo), log_value(
	    session->tls[0] != '\0' ? session->tls : "none", tls));
}

/* TLS comes first where the service has it so: not even a greeting before. */
static void
greet(struct session *session)
{
	if (service_is_tls(session->worker->facts.service) &&
	    security_handshake(session) == -1)
		return;
	wire_printf(&session->wire, "220 %s %s Postern\r\n",
	    session->worker->config->hostname,
	    session->worker->facts.service == SERVICE_LMTP ? "LMTP" :
	    "ESMTP");
}

void
session_run(struct session *session)
{
	greet(session);
	while (!session->is_over) {
		serve_line(session);
		check_limits(session);
		if (!session_is_sane(session))
			bug("smtp session: transaction and state differ");
	}
	log_summary(session);
	linger(session);
}
