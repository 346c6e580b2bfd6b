/*
 * intake: a letter's content on its way from the pipe into the spool.
 *
 * Runs in the session agent, as queue-user; touches the spool file that is
 * being written, and the read end of the worker's pipe.
 *
 * What comes is counted and limited here, not where it is parsed.  Of a
 * submitted letter the header is looked through and made complete, of others
 * the first line is seen; everything else goes from the pipe straight into the
 * writer's buffer.
 */
#include <sys/random.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "privsep/log.h"
#include "smtpd/address.h"
#include "smtpd/agent.h"

#define RECEIVED_MAX	100	/* RFC 5321 section 6.3: more is a loop */
#define NOISE_OCTETS	8	/* of a Message-ID that we make */
#define PIECE_SIZE	16384

static const struct policy_verdict too_large = { 552, "5.3.4",
    "Message is larger than this host takes" };
static const struct policy_verdict loops = { 554, "5.4.6",
    "Too many hops: this message loops" };
static const struct policy_verdict has_cr = { 554, "5.6.0",
    "A CR in the message ends no line" };
static const struct policy_verdict full = { 452, "4.3.1",
    "Not enough room in the queue, try again later" };
static const struct policy_verdict spool_fault = { 451, "4.3.0",
    "Can't queue this message now, try again later" };

const struct policy_verdict *
intake_fault(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EFBIG ||
	    error == E2BIG ? &full : &spool_fault;
}

/* The first recipient's path, for a letter that has no other. */
static const char *
only_recipient(const struct smtp_session *s, char path[ADDRESS_PRINT_MAX])
{
	const char *local = (const char *)s->envelope.data +
	    s->envelope.where[0];
	struct address address;

	if (s->envelope.recipient_count != 1)
		return NULL;
	strlcpy(address.local, local, sizeof(address.local));
	strlcpy(address.domain, local + strlen(local) + 1,
	    sizeof(address.domain));
	return address_print(&address, path, ADDRESS_PRINT_MAX) == 0 ?
	    path : NULL;
}

/* What we say ourselves: it counts against no limit of the client's. */
static void
put_own(struct smtp_session *s, const char *text, size_t len)
{
	uint64_t lines = s->writer.lines;

	spool_put(&s->writer, text, len);
	s->own_lines += s->writer.lines - lines;
}

static void
put_trace(struct smtp_session *s)
{
	char text[TRACE_MAX], path[ADDRESS_PRINT_MAX];
	const struct trace trace = {
		.is_utf8 = (s->flags & MAIL_SMTPUTF8) != 0,
		.helo = s->helo,
		.client = s->agent->facts.client,
		.name = client_name_wait(&s->client, s->agent->gate),
		.hostname = s->agent->config->hostname,
		.id = s->writer.id,
		.is_esmtp = (s->flags & MAIL_ESMTP) != 0,
		.tls = s->tls,
		.is_lmtp = s->agent->facts.service == SERVICE_LMTP,
		.uid = s->agent->facts.uid,
		.has_login = service_is_submission(s->agent->facts.service),
		.recipient = only_recipient(s, path),
		.when = (time_t)s->writer.arrived,
	};
	size_t len = trace_print(&trace, text);

	if (len == 0)
		bug("trace does not fit");
	put_own(s, text, len);
}

/* By the kernel's word or by login's: never by the worker's. */
static uint32_t
owner_of(const struct agent *agent)
{
	if (agent->facts.service == SERVICE_LOCAL)
		return agent->facts.uid;
	return service_is_submission(agent->facts.service) ?
	    agent->login_uid : ENVELOPE_NOBODY;
}

static void
put_envelope(struct smtp_session *s)
{
	const uint32_t owner = owner_of(s->agent);

	envelope_put_text(&s->envelope, ENVELOPE_SENDER, s->sender);
	envelope_put_text(&s->envelope, ENVELOPE_HELO, s->helo);
	envelope_put_text(&s->envelope, ENVELOPE_CLIENT,
	    s->agent->facts.client);
	envelope_put_u32(&s->envelope, ENVELOPE_FLAGS, s->flags);
	envelope_put_dsn(&s->envelope, s->ret, s->envid);
	if (s->agent->login[0] != '\0')
		envelope_put_text(&s->envelope, ENVELOPE_LOGIN,
		    s->agent->login);
	if (owner != ENVELOPE_NOBODY)
		envelope_put_u32(&s->envelope, ENVELOPE_OWNER, owner);
}

int
intake_begin(struct smtp_session *s)
{
	if (s->spool.queue == -1) {
		errno = ENOENT;
		return -1;
	}
	put_envelope(s);
	if (spool_begin(&s->writer, &s->spool, &s->envelope) == -1)
		return -1;
	s->octets = s->own_lines = 0;
	memset(&s->count, 0, sizeof(s->count));
	memset(&s->fault, 0, sizeof(s->fault));
	if (policy_is_submission(&s->agent->facts))
		header_init(&s->header);
	else
		header_init_first(&s->header);
	put_trace(s);
	return 0;
}

/* The letter is lost; what still comes is read and thrown away. */
static void
spoil(struct smtp_session *s, const struct policy_verdict *v)
{
	s->fault = *v;
	/* Gives its room back at once. */
	spool_abort(&s->writer);
}

/* Lower-case hexadecimal. */
static int
make_noise(char text[2 * NOISE_OCTETS + 1])
{
	uint8_t noise[NOISE_OCTETS];
	size_t i;

	if (getrandom(noise, sizeof(noise), 0) != (ssize_t)sizeof(noise))
		return -1;
	for (i = 0; i < sizeof(noise); i++)
		snprintf(text + 2 * i, 3, "%02x", noise[i]);
	return 0;
}

/* The header is over: what it lacks, and what was held back. */
static void
finish_header(struct smtp_session *s)
{
	char text[HEADER_TEXT_MAX], date[TRACE_DATE_MAX];
	char noise[2 * NOISE_OCTETS + 1];
	const struct header_origin origin = {
		.date = date, .id = s->writer.id, .noise = noise,
		.hostname = s->agent->config->hostname
	};
	int len;

	if (header_is_wanting(&s->header) && (make_noise(noise) == -1 ||
	    trace_date((time_t)s->writer.arrived, date) == -1)) {
		spoil(s, &spool_fault);
		return;
	}
	len = header_print(&s->header, &origin, text);
	if (len == -1)
		bug("header does not fit");
	if (len == 1 || (len > 1 && text[len - 2] == '\n'))
		s->count.is_over = 1;	/* we have ended it */
	put_own(s, text, (size_t)len);
	spool_put(&s->writer, s->header.held, s->header.held_len);
}

static void
take_header(struct smtp_session *s, const uint8_t *p, size_t len)
{
	static uint8_t out[PIECE_SIZE + HEADER_HELD_MAX];
	size_t used, n;

	used = header_take(&s->header, p, len, out, &n);
	spool_put(&s->writer, out, n);
	if (!header_is_over(&s->header))
		return;
	finish_header(s);
	if (s->fault.code == 0)
		spool_put(&s->writer, p + used, len - used);
}

/* Is the letter still good, with this piece? */
static void
judge(struct smtp_session *s, const uint8_t *p, size_t len)
{
	/* The limit counts line ends as they come: CR LF. */
	if (s->octets + s->writer.lines - s->own_lines >
	    s->agent->config->message_size_limit)
		spoil(s, &too_large);
	else if (s->count.received > RECEIVED_MAX)
		spoil(s, &loops);
	else if (memchr(p, '\r', len) != NULL)
		/*
		 * No honest worker sends one.  The count of octets on the
		 * wire, and what others take for a line's end, rest on it.
		 */
		spoil(s, &has_cr);
	else if (s->writer.error != 0) {
		log_event(LOG_ERR, s->agent->facts.session,
		    "event=spool-fault id=%s error=\"%s\"", s->writer.id,
		    strerror(s->writer.error));
		spoil(s, intake_fault(s->writer.error));
	}
}

/* The next piece: 1, 0 at the end, -1 with errno. */
static int
take_piece(struct smtp_session *s, int fd)
{
	static uint8_t scrap[PIECE_SIZE];
	uint8_t *space = scrap;
	size_t room = sizeof(scrap);
	ssize_t n;

	if (s->fault.code == 0 && header_is_over(&s->header))
		spool_space(&s->writer, &space, &room);
	n = read(fd, space, room);
	if (n <= 0)
		return n == 0 ? 0 : errno == EINTR ? 1 : -1;
	s->octets += (uint64_t)n;
	if (s->fault.code != 0)
		return 1;
	trace_count(&s->count, space, (size_t)n);
	if (space != scrap)
		spool_filled(&s->writer, (size_t)n);
	else
		take_header(s, space, (size_t)n);
	if (s->fault.code == 0)
		judge(s, space, (size_t)n);
	return 1;
}

/*
 * Until there is more, or the end.  A worker closes the pipe before it asks for
 * anything else: with news at the gate and none here there will never be any,
 * whoever it is that has the other end.
 */
static int
await_piece(const struct smtp_session *s, int fd)
{
	struct pollfd pfd[2] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = s->agent->gate, .events = POLLIN }
	};

	if (poll(pfd, 2, -1) == -1)
		return errno == EINTR ? 0 : -1;
	/* It may have come after the look at the pipe, and before this one. */
	if (pfd[0].revents != 0 || poll(pfd, 1, 0) == 1)
		return 0;
	errno = EPIPE;
	return -1;
}

int
intake_drain(struct smtp_session *s, int fd)
{
	int n;

	while ((n = take_piece(s, fd)) != 0)
		if (n == -1 && (errno != EAGAIN || await_piece(s, fd) == -1))
			return -1;
	if (s->fault.code != 0)
		return 0;
	if (!header_is_over(&s->header)) {
		header_end(&s->header);
		finish_header(s);
	}
	/*
	 * Every header in the spool ends with an empty line: there are mail
	 * programs that wait for it.
	 */
	if (!s->count.is_over)
		spool_put(&s->writer, "\n\n", s->count.column == 0 ? 1 : 2);
	return 0;
}
