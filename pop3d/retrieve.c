/*
 * retrieve: RETR and TOP (RFC 1939, 5 and 7): from the descriptor of a message
 * to the client, block by block.
 *
 * Runs in the worker, as worker-user, confined; touches the client's
 * connection, and descriptors of messages, for reading.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "../privsep/log.h"
#include "../wire/mbox_filter.h"
#include "content.h"
#include "session.h"
#include "surrogate.h"
#include "transaction.h"

#define RETR_BLOCK	65536	/* octets read at a time */
#define TOP_BLOCK	8192	/* most headers are shorter */

/* One session a process; no page of it is touched before it is needed. */
static uint8_t block[RETR_BLOCK];

/* The content of a message, as it is read. */
struct source {
	struct fetched	 f;
	uint64_t	 at;	/* octets read of f.length */
	int		 is_short;	/* there were fewer than that */
	int		 is_surrogate;	/* sent with an ASCII header */
	struct mbox_filter filter;	/* if f.content is CONTENT_MBOX */
};

/* The next octets: how many, 0 at the end, -1 with errno. */
static ssize_t
source_read(struct source *src, size_t max)
{
	uint64_t left = src->f.length - src->at;
	size_t want = left < max ? (size_t)left : max;
	ssize_t n;

	if (want == 0)
		return 0;
	do
		n = pread(src->f.fd, block, want,
		    (off_t)(src->f.offset + src->at));
	while (n == -1 && errno == EINTR);
	if (n == 0) {
		src->is_short = 1;	/* it was cut short meanwhile */
		errno = ENODATA;
		return -1;
	}
	if (n > 0)
		src->at += (uint64_t)n;
	return n;
}

/* 0 when the descriptor is at hand, else -1 and it was replied. */
static int
source_open(struct session *s, uint32_t number, struct source *src)
{
	int more_waits;

	/* Two or more of the shortest requests: the client pipelines. */
	more_waits = wire_buffered(&s->wire) >= sizeof("RETR 1\n") - 1;
	src->at = 0;
	src->is_short = 0;
	mbox_filter_init(&src->filter);
	if (maildrop_fetch(&s->drop, number, more_waits, &src->f) == -1) {
		wire_printf(&s->wire, "-ERR [SYS/TEMP] try again later\r\n");
		transaction_failed(s, "fetch");
		return -1;
	}
	switch (src->f.verdict) {
	case FETCH_OK:
		return 0;
	case FETCH_GONE:
		wire_printf(&s->wire, "-ERR message is gone\r\n");
		break;
	case FETCH_TEMPFAIL:
		wire_printf(&s->wire, "-ERR [SYS/TEMP] message can not be "
		    "read now\r\n");
		break;
	}
	return -1;
}

/*
 * The first block, before anything is promised: a message that can't be read
 * at all is refused, and the session goes on.  There it is seen, too, whether
 * it is one that this client gets a surrogate for (RFC 6856).
 */
static int
source_begin(struct session *s, struct source *src, size_t max, ssize_t *n)
{
	*n = source_read(src, max);
	src->is_surrogate = *n > 0 && !s->is_utf8 &&
	    surrogate_is_needed(block, (size_t)*n);
	if (*n != -1 || src->is_short)
		return 0;
	log_event(LOG_ERR, s->worker->facts.session,
	    "event=maildrop-failed what=read error=\"%s\"", strerror(errno));
	wire_printf(&s->wire, "-ERR [SYS/TEMP] message can not be read "
	    "now\r\n");
	return -1;
}

/* Octets that the client sees; of these what TOP wants, if it is one. */
static void
put_seen(struct content *c, struct top *top, const uint8_t *p, size_t len)
{
	content_put(c, p, top == NULL ? len : top_take(top, p, len));
}

/* So many octets of the block, or the end of the content. */
static void
put_stored(struct source *src, struct content *c, struct top *top, size_t len)
{
	const uint8_t *p = block;
	struct mbox_span span;
	size_t n;

	if (src->f.content == CONTENT_PLAIN) {
		put_seen(c, top, p, len);
		return;
	}
	if (len == 0) {
		mbox_filter_end(&src->filter, &span);
		put_seen(c, top, span.data, span.len);
	}
	for (; len > 0; p += n, len -= n) {
		n = mbox_filter_take(&src->filter, p, len, &span);
		put_seen(c, top, span.data, span.len);
	}
}

/*
 * The client was promised so many octets and gets others: no dot, so that it
 * does not take what it has for the message.  The next session must not end
 * here, too.
 */
static void
content_differs(struct session *s, uint32_t number, uint64_t listed,
    uint64_t sent)
{
	log_event(LOG_ERR, s->worker->facts.session,
	    "event=message-changed number=%" PRIu32 " listed=%" PRIu64
	    " sent=%" PRIu64, number, listed, sent);
	if (maildrop_recount(&s->drop, number) == -1)
		log_event(LOG_ERR, s->worker->facts.session,
		    "event=gate-failed request=recount error=\"%s\"",
		    strerror(errno));
	session_end(s, "error");
}

static void
send_message(struct session *s, uint32_t number, uint64_t listed,
    struct source *src)
{
	struct content c;
	ssize_t n;

	if (source_begin(s, src, RETR_BLOCK, &n) == -1)
		return;
	content_begin(&c, &s->wire, src->is_surrogate);
	wire_printf(&s->wire, "+OK %" PRIu64 " octets\r\n", listed);
	for (; n > 0; n = source_read(src, RETR_BLOCK)) {
		put_stored(src, &c, NULL, (size_t)n);
		if (s->wire.failed != WIRE_OK || c.octets > listed)
			break;
	}
	if (s->wire.failed != WIRE_OK)
		return;
	if (n == -1 && !src->is_short) {
		transaction_failed(s, "read");
		return;
	}
	put_stored(src, &c, NULL, 0);
	content_end(&c);
	/* Only if it was counted: what is sent is what was listed. */
	if (c.octets + 2 == listed)
		content_end_header(&c);
	if (n == -1 || c.octets != listed ||
	    !maildrop_is_unchanged(&s->drop, number, &src->f)) {
		content_differs(s, number, listed, c.octets);
		return;
	}
	wire_put(&s->wire, ".\r\n", 3);
	s->retrieved++;
	s->octets += c.octets;
}

void
command_retr(struct session *s, const struct arguments *args)
{
	struct mailbox_message m;
	struct source src;
	uint32_t number;

	if (transaction_number(s, args->number[0], &number) == -1 ||
	    source_open(s, number, &src) == -1)
		return;
	if (maildrop_read(&s->drop, number, 1, &m) == -1) {
		wire_printf(&s->wire, "-ERR [SYS/TEMP] try again later\r\n");
		transaction_failed(s, "index");
	} else
		send_message(s, number, m.octets, &src);
	close(src.f.fd);
}

static void
send_top(struct session *s, uint32_t number, uint64_t lines,
    struct source *src)
{
	struct content c;
	struct top t;
	ssize_t n;

	if (source_begin(s, src, TOP_BLOCK, &n) == -1)
		return;
	content_begin(&c, &s->wire, src->is_surrogate);
	top_begin(&t, lines);
	wire_printf(&s->wire, "+OK top of message\r\n");
	for (; n > 0; n = source_read(src, TOP_BLOCK)) {
		put_stored(src, &c, &t, (size_t)n);
		if (s->wire.failed != WIRE_OK || t.is_full)
			break;
	}
	if (n == -1) {
		transaction_failed(s, "read");
		return;
	}
	put_stored(src, &c, &t, 0);
	content_end(&c);
	content_end_header(&c);
	if (!maildrop_is_unchanged(&s->drop, number, &src->f)) {
		transaction_failed(s, "top");
		return;
	}
	wire_put(&s->wire, ".\r\n", 3);
	s->octets += c.octets;
}

void
command_top(struct session *s, const struct arguments *args)
{
	struct source src;
	uint32_t number;

	if (transaction_number(s, args->number[0], &number) == -1 ||
	    source_open(s, number, &src) == -1)
		return;
	send_top(s, number, args->number[1], &src);
	close(src.f.fd);
}
