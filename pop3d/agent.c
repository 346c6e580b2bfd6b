/*
 * agent: answers the POP3 gates for one session.
 *
 * Runs in agents' children, as the user who logged in, confined to the
 * maildrop; touches the maildrop and the gate.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../mailbox/mbox_keeper.h"
#include "../privsep/log.h"
#include "agent.h"
#include "policy.h"

#define LOCK_TRIES	50
#define LOCK_PAUSE_MS	20	/* so a second in all */
#define RECORDS_BLOCK	512	/* records written at a time */

static void
log_failure(const struct pop3_agent *a, const char *what, int error)
{
	char user[LOG_VALUE_MAX];

	log_event(LOG_ERR, a->agent->facts.session,
	    "event=maildrop-failed user=%s what=%s error=\"%s\"",
	    log_value(a->agent->identity.name, user), what, strerror(error));
}

static void
log_expired(const struct pop3_agent *a, size_t count)
{
	char user[LOG_VALUE_MAX];

	if (count > 0)
		log_event(LOG_INFO, a->agent->facts.session,
		    "event=expired user=%s messages=%zu",
		    log_value(a->agent->identity.name, user), count);
}

static int
write_all(int fd, const uint8_t *p, size_t len)
{
	ssize_t n;

	for (; len > 0; p += n, len -= (size_t)n) {
		n = write(fd, p, len);
		if (n == -1 && errno == EINTR)
			n = 0;
		else if (n == -1)
			return -1;
	}
	return 0;
}

static void
store_record(uint8_t record[POP3_RECORD], const struct mailbox_message *m)
{
	size_t len = strnlen(m->uidl, UIDL_MAX - 1);
	uint64_t octets = htole64(m->octets);

	memcpy(record, &octets, sizeof(octets));
	memcpy(record + sizeof(octets), m->uidl, len);
	memset(record + sizeof(octets) + len, 0, POP3_RECORD -
	    sizeof(octets) - len);
}

/* The index as a file that nobody can change: -1 with errno. */
static int
make_index(const struct pop3_agent *a, size_t count, uint64_t *octets)
{
	static uint8_t block[RECORDS_BLOCK * POP3_RECORD];
	const struct mailbox_message *m;
	size_t i, n = 0;
	int fd;

	fd = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return -1;
	*octets = 0;
	for (i = 0; i < count; i++) {
		m = a->ops->message(a->box, i);
		*octets += m->octets;
		store_record(block + n++ * POP3_RECORD, m);
		if (n < RECORDS_BLOCK && i + 1 < count)
			continue;
		if (write_all(fd, block, n * POP3_RECORD) == -1)
			goto fail;
		n = 0;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
	    F_SEAL_WRITE | F_SEAL_SEAL) == 0)
		return fd;
fail:
	n = (size_t)errno;
	close(fd);
	errno = (int)n;
	return -1;
}

/*
 * A session that has said goodbye to its client, or lost it, still holds the
 * lock until its agent has ended: whoever comes back at once waits a moment.
 */
static int
open_patiently(struct pop3_agent *a)
{
	int tries;

	for (tries = 0; tries < LOCK_TRIES; tries++) {
		if (a->ops->open(a->box) == 0)
			return 0;
		if (errno != EBUSY)
			return -1;
		if (mailbox_sleep(LOCK_PAUSE_MS) == -1)
			return -1;
	}
	errno = EBUSY;
	return -1;
}

/* Lock and index; the descriptor of the index or -1. */
static int
open_box(struct pop3_agent *a, enum pop3_open *verdict, size_t *count,
    uint64_t *octets)
{
	int fd = -1;

	*verdict = OPEN_TEMPFAIL;
	if (a->box == NULL)
		return -1;		/* logged when it was not entered */
	if (policy_is_too_soon(a->agent, a->stamp, time(NULL))) {
		*verdict = OPEN_LOGIN_DELAY;
		return -1;
	}
	if (open_patiently(a) == -1) {
		if (errno == EBUSY)
			*verdict = OPEN_IN_USE;
		else if (errno != ECANCELED)	/* nobody wants it now */
			log_failure(a, "open", errno);
		return -1;
	}
	*count = a->ops->count(a->box);
	if (*count > UINT32_MAX)
		errno = EFBIG;
	else
		fd = make_index(a, *count, octets);
	if (fd == -1)
		log_failure(a, "index", errno);
	else {
		*verdict = OPEN_OK;
		if (policy_stamp(a->stamp, time(NULL)) == -1)
			log_failure(a, "login-stamp", errno);
	}
	return fd;
}

static int
answer_open(void *session, int sock, struct message *request)
{
	struct pop3_agent *a = session;
	struct message reply;
	enum pop3_open verdict;
	uint64_t octets = 0;
	size_t count = 0;
	int fd, r;

	if (get_end(request) == -1)
		return STATE_FAULT;
	fd = open_box(a, &verdict, &count, &octets);
	if (verdict != OPEN_OK)
		count = 0;
	message_begin(&reply, REPLY_OF(REQ_OPEN));
	put_u32(&reply, verdict);
	put_u32(&reply, (uint32_t)count);
	put_u64(&reply, octets);
	if (fd != -1)
		put_fd(&reply, fd);
	r = message_send(sock, &reply);
	if (fd != -1)
		close(fd);
	return r == 0 && verdict == OPEN_OK ? POP3_OPENED : STATE_END;
}

/* One message into the reply. */
static void
fetch_one(struct pop3_agent *a, size_t number, struct message *reply)
{
	enum pop3_fetch verdict = FETCH_OK;
	uint64_t offset = 0, length = 0, stamp = 0;
	struct stat st;
	int fd;

	if (a->ops->fetch(a->box, number, &fd, &offset, &length) == -1) {
		verdict = errno == ENOENT || errno == ESTALE ? FETCH_GONE :
		    FETCH_TEMPFAIL;
		if (verdict == FETCH_TEMPFAIL && errno != ECANCELED &&
		    !a->has_logged) {
			a->has_logged = 1;
			log_failure(a, "fetch", errno);
		}
		offset = length = 0;
	} else if (a->ops->content == CONTENT_MBOX && fstat(fd, &st) == 0)
		stamp = POP3_STAMP(&st);
	put_u32(reply, verdict);
	put_u64(reply, offset);
	put_u64(reply, length);
	put_u32(reply, a->ops->content);
	put_u64(reply, stamp);
	if (verdict == FETCH_OK)
		put_fd(reply, fd);
}

static int
answer_fetch(void *session, int sock, struct message *request)
{
	struct pop3_agent *a = session;
	struct message reply;
	uint32_t first, count, i;
	size_t total;
	int r;

	first = get_u32(request);
	count = get_u32(request);
	total = a->ops->count(a->box);
	if (get_end(request) == -1 || count < 1 || count > POP3_FETCH_MAX ||
	    first >= total || count > total - first)
		return STATE_FAULT;
	message_begin(&reply, REPLY_OF(REQ_FETCH));
	put_u32(&reply, count);
	for (i = 0; i < count; i++)
		fetch_one(a, first + i, &reply);
	r = message_send(sock, &reply);
	while (reply.nfds > 0)
		close(reply.fds[--reply.nfds]);
	return r == 0 ? POP3_OPENED : STATE_END;
}

/*
 * Take a further piece of the bitmap: in order, without a gap, none beyond
 * the last message.  0, or -1 for a fault.
 */
static int
take_piece(struct pop3_agent *a, struct message *request, uint32_t *last)
{
	uint8_t piece[POP3_BITMAP_MAX];
	uint32_t at;
	size_t len;

	at = get_u32(request);
	*last = get_u32(request);
	get_data(request, piece, sizeof(piece), &len);
	if (get_end(request) == -1 || *last > 1 || at != a->bitmap_len ||
	    len == 0 || len > a->bitmap_size - a->bitmap_len)
		return -1;
	memcpy(a->bitmap + a->bitmap_len, piece, len);
	a->bitmap_len += len;
	return *last == (a->bitmap_len == a->bitmap_size) ? 0 : -1;
}

/* Bits of the last octet that stand for no message must be clear. */
static int
has_stray_bits(const struct pop3_agent *a, size_t count)
{
	return count % 8 != 0 &&
	    a->bitmap[a->bitmap_size - 1] >> (count % 8) != 0;
}

/* Bits that are set in the bitmap. */
static size_t
count_marked(const struct pop3_agent *a)
{
	size_t i, n = 0;

	for (i = 0; i < a->bitmap_size; i++)
		n += (size_t)__builtin_popcount(a->bitmap[i]);
	return n;
}

/*
 * What the client wants removed, and in the same step what the site's policy
 * does not keep any longer (RFC 1939, 8).
 */
static uint32_t
expunge(struct pop3_agent *a)
{
	size_t failed = 0, marked, expired;

	marked = count_marked(a);
	expired = policy_expire(a->agent, a->ops, a->box, a->ops->count(a->box),
	    a->bitmap, time(NULL));
	if (marked + expired == 0 ||
	    a->ops->expunge(a->box, a->bitmap, &failed) == 0) {
		log_expired(a, expired);
		return 0;
	}
	log_failure(a, "expunge", errno);
	/* The client asked for nothing, so nothing has failed for it. */
	if (marked == 0)
		return 0;
	if (failed == 0)
		failed = 1;		/* not known to be on disk */
	return failed < UINT32_MAX ? (uint32_t)failed : UINT32_MAX;
}

static int
answer_expunge(void *session, int sock, struct message *request)
{
	struct pop3_agent *a = session;
	struct message reply;
	size_t count = a->ops->count(a->box);
	uint32_t last, failed = 0;

	if (a->bitmap == NULL) {
		a->bitmap_size = count / 8 + (count % 8 != 0);
		a->bitmap_len = 0;
		a->bitmap = malloc(a->bitmap_size + 1);
		if (a->bitmap == NULL) {
			log_failure(a, "expunge", errno);
			return STATE_END;
		}
	}
	if (take_piece(a, request, &last) == -1)
		return STATE_FAULT;
	if (last) {
		if (has_stray_bits(a, count))
			return STATE_FAULT;
		failed = expunge(a);
	}
	message_begin(&reply, REPLY_OF(REQ_EXPUNGE));
	put_u32(&reply, failed);
	if (message_send(sock, &reply) == -1 || last)
		return STATE_END;
	return POP3_EXPUNGING;
}

/*
 * The worker has ended its session, since a message was not as long as listed.
 * Without this every session would end there.  It is counted here: a worker's
 * word changes no name.
 */
static int
answer_recount(void *session, int sock, struct message *request)
{
	struct pop3_agent *a = session;
	struct message reply;
	uint32_t number = get_u32(request);

	if (get_end(request) == -1 || number >= a->ops->count(a->box))
		return STATE_FAULT;
	if (a->ops->recount != NULL && a->ops->recount(a->box, number) == -1)
		log_failure(a, "recount", errno);
	message_begin(&reply, REPLY_OF(REQ_RECOUNT));
	(void)message_send(sock, &reply);
	return STATE_END;
}

/* Everything that a POP3 worker can ask of the process that is the user. */
static const struct gate gates[] = {
	{
		.request = REQ_OPEN, .name = "OPEN",
		.states = IN_STATE(POP3_ENTERED), .once = 1,
		.min_size = 0, .max_size = 0,
		.handler = answer_open
	}, {
		.request = REQ_FETCH, .name = "FETCH",
		.states = IN_STATE(POP3_OPENED),
		.min_size = 8, .max_size = 8,
		.handler = answer_fetch
	}, {
		.request = REQ_EXPUNGE, .name = "EXPUNGE",
		.states = IN_STATE(POP3_OPENED) | IN_STATE(POP3_EXPUNGING),
		.min_size = 13, .max_size = 12 + POP3_BITMAP_MAX,
		.handler = answer_expunge
	}, {
		.request = REQ_RECOUNT, .name = "RECOUNT",
		.states = IN_STATE(POP3_OPENED), .once = 1,
		.min_size = 4, .max_size = 4,
		.handler = answer_recount
	}
};

const struct gate_table pop3_gates = {
	.service = "pop3",
	.gates = gates,
	.count = sizeof(gates) / sizeof(gates[0]),
	.first_state = POP3_ENTERED
};

/*
 * Open the place of the maildrop, and nothing else from then on.  A maildrop
 * that can't be entered is told when it is asked for, not before.
 */
static void
enter(struct pop3_agent *a)
{
	int dirs[MAILBOX_DIRS_MAX];
	size_t count = 0;

	a->stamp = policy_enter(a->agent);
	mailbox_use_companion(a->agent->companion);
	mailbox_use_channel(a->agent->gate);
	a->ops = mailbox_format(a->agent->config);
	if (a->ops == NULL)
		log_failure(a, "format", errno);
	else if (a->ops->enter(&a->box, a->agent->config, &a->agent->identity,
	    0, dirs, &count) == -1 && (errno != ENOENT || a->box == NULL)) {
		log_failure(a, "enter", errno);
		a->box = NULL;
		count = 0;
	}
	agent_confine(a->agent, ROOM_MAILBOX, dirs, count);
}

static void
warm(const struct config *config)
{
	(void)config;
	tzset();
}

static void
serve(struct agent *agent)
{
	struct pop3_agent a = { .agent = agent, .stamp = -1 };

	enter(&a);
	if (gates_serve(&pop3_gates, &a, agent->gate, -1) == -1) {
		agent->has_faulted = errno == EPROTO;
		log_event(LOG_ERR, agent->facts.session,
		    "event=gate-fault service=pop3 error=\"%s\"",
		    strerror(errno));
	}
	free(a.bitmap);
	if (a.box != NULL)
		a.ops->close(a.box);
}

const struct agent_program agent_program = {
	.name = "pop3d",
	.warm = warm,
	.serve = serve,
	.companion = &mailbox_companion
};
