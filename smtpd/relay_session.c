/*
 * relay_session: serves the relay gate (relay_gate.h).
 *
 * Runs in the relay's children, as relay-user, confined; touches the gate, the
 * connection to the remote host, and the letters' descriptors.  It believes the
 * queue that an address is to be written to, but not that it is one: what
 * would end or bend a command is refused (C5).
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../privsep/gates.h"
#include "../privsep/log.h"
#include "relay.h"
#include "xtext.h"

/* What the gate is asked in which state. */
enum { STATE_NEW, STATE_READY, STATE_ADDRESSED };

#define IDLE_MINUTES	5	/* a host waits as long (RFC 5321 4.5.3.2.7) */

static struct relay the_relay;

/* Nothing of it would end a command. */
static int
is_clean(const char *text)
{
	const unsigned char *p;

	for (p = (const unsigned char *)text; *p != '\0'; p++)
		if (*p < 0x20 || *p == 0x7f)
			return 0;
	return 1;
}

/* One word. */
static int
is_word(const char *text)
{
	return text[0] != '\0' && is_clean(text) && strchr(text, ' ') == NULL;
}

/* Nor would it end the path, outside of what is quoted. */
static int
is_path(const char *path)
{
	int is_quoted = 0;

	if (!is_clean(path))
		return 0;
	for (; *path != '\0'; path++) {
		if (*path == '"')
			is_quoted = !is_quoted;
		else if (is_quoted && *path == '\\' && path[1] != '\0')
			path++;
		else if (!is_quoted && strchr(" <>\\", *path) != NULL)
			return 0;
	}
	return !is_quoted;
}

static void
reply_greet(const struct relay *r, enum relay_verdict verdict)
{
	struct message m;

	message_begin(&m, REPLY_GREET);
	put_u32(&m, (uint32_t)verdict);
	put_u32(&m, r->reply.code);
	put_str(&m, r->reply.status);
	put_str(&m, r->reply.text);
	put_u32(&m, r->extensions.has);
	put_u64(&m, r->extensions.size_limit);
	put_str(&m, r->tls);
	put_u32(&m, (uint32_t)r->is_verified);
	(void)message_send(r->gate, &m);
}

static int
answer_greet(void *session, int sock, struct message *m)
{
	struct relay *r = session;
	struct relay_host *host = &r->host;
	enum relay_verdict verdict;
	int fd;

	(void)sock;
	host->protocol = (enum relay_protocol)get_u32(m);
	host->tls = (enum relay_tls)get_u32(m);
	get_str(m, host->name, sizeof(host->name));
	get_str(m, host->helo, sizeof(host->helo));
	get_str(m, host->user, sizeof(host->user));
	get_str(m, host->secret, sizeof(host->secret));
	fd = get_fd(m);
	wire_init(&r->wire, fd, 0);
	if (get_end(m) == -1 || host->protocol > RELAY_LMTP ||
	    host->tls > RELAY_TLS_VERIFY || !is_clean(host->name) ||
	    !is_word(host->helo))
		return STATE_FAULT;
	message_discard(m);	/* the secret */
	r->wire.watch = r->gate;
	verdict = relay_greet(r);
	reply_greet(r, verdict);
	return verdict == RELAY_READY ? STATE_READY : STATE_END;
}

static int
answer_to(void *session, int sock, struct message *m)
{
	struct relay *r = session;
	struct relay_to *to;

	(void)sock;
	if (r->to_count == RELAY_TO_MAX)
		return STATE_FAULT;
	to = &r->to[r->to_count++];
	get_str(m, to->path, sizeof(to->path));
	to->notify = get_u32(m);
	get_str(m, to->orcpt, sizeof(to->orcpt));
	to->is_settled = 0;
	if (get_end(m) == -1 || to->path[0] == '\0' || !is_path(to->path) ||
	    !notify_is_legal(to->notify) || !orcpt_is_legal(to->orcpt))
		return STATE_FAULT;
	return STATE_ADDRESSED;
}

/* A regular file that is as long as it is said to be. */
static int
is_content(const struct relay_letter *letter)
{
	struct stat st;

	return fstat(letter->fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size >= 0 && letter->offset <= (uint64_t)st.st_size &&
	    letter->length <= (uint64_t)st.st_size - letter->offset;
}

/* 0, or -1; the descriptor may be -1 then. */
static int
get_letter(struct message *m, struct relay_letter *letter, uint32_t *count)
{
	get_str(m, letter->id, sizeof(letter->id));
	letter->offset = get_u64(m);
	letter->length = get_u64(m);
	(void)get_u64(m);	/* lines: they are counted when it is looked at */
	letter->flags = get_u32(m);
	get_str(m, letter->reverse_path, sizeof(letter->reverse_path));
	letter->ret = get_u32(m);
	get_str(m, letter->envid, sizeof(letter->envid));
	*count = get_u32(m);
	letter->fd = get_fd(m);
	return get_end(m) == -1 || !is_word(letter->id) ||
	    (letter->flags & ~(uint32_t)MAIL_FLAGS) != 0 ||
	    !is_path(letter->reverse_path) || letter->ret > RET_HDRS ||
	    !envid_is_legal(letter->envid) || !is_content(letter) ? -1 : 0;
}

static void
reply_send(const struct relay *r, const struct relay_letter *letter)
{
	struct message m;

	message_begin(&m, REPLY_SEND);
	put_u32(&m, !r->is_over);
	put_u64(&m, letter->sent);
	(void)message_send(r->gate, &m);
}

/* What is left unread would be an error for who reads the replies. */
static void
forget_hurry(const struct relay *r)
{
	char octet;

	(void)recv(r->gate, &octet, sizeof(octet), MSG_DONTWAIT);
}

static int
answer_send(void *session, int sock, struct message *m)
{
	struct relay *r = session;
	struct relay_letter letter = { .fd = -1 };
	uint32_t count;
	int is_good;

	(void)sock;
	is_good = get_letter(m, &letter, &count) == 0 && count == r->to_count;
	if (is_good) {
		relay_send(r, &letter);
		reply_send(r, &letter);
		r->to_count = 0;
	}
	if (letter.fd != -1)
		close(letter.fd);
	if (!is_good)
		return STATE_FAULT;
	if (!r->is_over)
		return STATE_READY;
	forget_hurry(r);
	return STATE_END;
}

/* Said during a letter, and heard behind it. */
static int
answer_hurry(void *session, int sock, struct message *m)
{
	(void)session;
	(void)sock;
	return get_end(m) == -1 ? STATE_FAULT : STATE_END;
}

static const struct gate relay_gates[] = {
	{ REQ_GREET, "GREET", IN_STATE(STATE_NEW), 1, 1, 24,
	    24 + 2 * HOSTNAME_MAX + RELAY_USER_MAX + RELAY_SECRET_MAX,
	    answer_greet },
	{ REQ_TO, "TO", IN_STATE(STATE_READY) | IN_STATE(STATE_ADDRESSED), 0, 0,
	    12, 12 + PATH_TEXT_MAX + RELAY_ORCPT_MAX, answer_to },
	{ REQ_SEND, "SEND", IN_STATE(STATE_ADDRESSED), 0, 1, 48,
	    48 + QUEUE_ID_MAX + PATH_TEXT_MAX + RELAY_ENVID_MAX, answer_send },
	{ REQ_HURRY, "HURRY", IN_STATE(STATE_READY), 1, 0, 0, 0,
	    answer_hurry },
};

const struct gate_table relay_table = {
	"relay", relay_gates, 4, STATE_NEW
};

int
relay_serve(int gate, int64_t timeout_ms)
{
	int served;

	relay_begin(&the_relay, gate, timeout_ms);
	the_relay.wire.fd = -1;
	served = gates_serve(&relay_table, &the_relay, gate,
	    (int)(IDLE_MINUTES * the_relay.minute_ms));
	if (served == -1 && errno == ETIMEDOUT)
		served = 0;
	if (served == -1)
		the_relay.is_over = 1;
	relay_close(&the_relay);
	return served;
}
