/*
 * transaction: the commands of POP3's TRANSACTION state (RFC 1939, 5 and 7)
 * that answer from the index.
 *
 * Runs in the worker, as worker-user, confined; touches the client's
 * connection and the index.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "../privsep/log.h"
#include "session.h"
#include "transaction.h"

void
transaction_failed(struct session *s, const char *what)
{
	log_event(LOG_ERR, s->worker->facts.session,
	    "event=maildrop-failed what=%s error=\"%s\"", what,
	    strerror(errno));
	session_end(s, "error");
}

int
transaction_number(struct session *s, uint64_t value, uint32_t *number)
{
	if (value == 0 || value > s->drop.count) {
		wire_printf(&s->wire, "-ERR no such message\r\n");
		return -1;
	}
	*number = (uint32_t)value;
	if (maildrop_is_deleted(&s->drop, *number)) {
		wire_printf(&s->wire, "-ERR message is deleted\r\n");
		return -1;
	}
	return 0;
}

void
command_noop(struct session *s, const struct arguments *args)
{
	(void)args;
	wire_printf(&s->wire, "+OK\r\n");
}

void
command_stat(struct session *s, const struct arguments *args)
{
	(void)args;
	wire_printf(&s->wire, "+OK %" PRIu32 " %" PRIu64 "\r\n",
	    s->drop.left, s->drop.octets_left);
}

void
command_rset(struct session *s, const struct arguments *args)
{
	(void)args;
	maildrop_reset(&s->drop);
	wire_printf(&s->wire, "+OK %" PRIu32 " messages (%" PRIu64
	    " octets)\r\n", s->drop.left, s->drop.octets_left);
}

void
command_dele(struct session *s, const struct arguments *args)
{
	uint32_t number;

	if (transaction_number(s, args->number[0], &number) == -1)
		return;
	if (maildrop_delete(&s->drop, number) == -1) {
		wire_printf(&s->wire, "-ERR [SYS/TEMP] try again later\r\n");
		transaction_failed(s, "index");
		return;
	}
	wire_printf(&s->wire, "+OK message %" PRIu32 " deleted\r\n", number);
}

static void
put_octets(struct session *s, const char *prefix, uint32_t number,
    const struct mailbox_message *m)
{
	wire_printf(&s->wire, "%s%" PRIu32 " %" PRIu64 "\r\n", prefix, number,
	    m->octets);
}

static void
put_uidl(struct session *s, const char *prefix, uint32_t number,
    const struct mailbox_message *m)
{
	wire_printf(&s->wire, "%s%" PRIu32 " %s\r\n", prefix, number, m->uidl);
}

typedef void (*put_entry)(struct session *, const char *, uint32_t,
    const struct mailbox_message *);

static void
list_one(struct session *s, uint64_t value, put_entry put)
{
	struct mailbox_message m;
	uint32_t number;

	if (transaction_number(s, value, &number) == -1)
		return;
	if (maildrop_read(&s->drop, number, 1, &m) == -1) {
		wire_printf(&s->wire, "-ERR [SYS/TEMP] try again later\r\n");
		transaction_failed(s, "index");
		return;
	}
	put(s, "+OK ", number, &m);
}

static void
list_all(struct session *s, put_entry put)
{
	struct mailbox_message block[MAILDROP_BLOCK];
	uint32_t first, i, n, count = s->drop.count;

	for (first = 1; first <= count; first += n) {
		n = count - first + 1;
		if (n > MAILDROP_BLOCK)
			n = MAILDROP_BLOCK;
		if (maildrop_read(&s->drop, first, n, block) == -1) {
			transaction_failed(s, "index");
			return;
		}
		for (i = 0; i < n; i++)
			if (!maildrop_is_deleted(&s->drop, first + i))
				put(s, "", first + i, &block[i]);
		if (s->wire.failed != WIRE_OK)
			return;
	}
	wire_put(&s->wire, ".\r\n", 3);
}

void
command_list(struct session *s, const struct arguments *args)
{
	if (args->count == 1) {
		list_one(s, args->number[0], put_octets);
		return;
	}
	wire_printf(&s->wire, "+OK %" PRIu32 " messages (%" PRIu64
	    " octets)\r\n", s->drop.left, s->drop.octets_left);
	list_all(s, put_octets);
}

void
command_uidl(struct session *s, const struct arguments *args)
{
	if (args->count == 1) {
		list_one(s, args->number[0], put_uidl);
		return;
	}
	wire_printf(&s->wire, "+OK\r\n");
	list_all(s, put_uidl);
}
