/*
 * maildrop: index, deletion marks and messages fetched ahead.
 *
 * Runs in the worker, as worker-user, confined; touches the gate, the index
 * (a sealed memfd) and descriptors of messages, all of them the agent's gift.
 */
#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "maildrop.h"

static uint64_t
load_u64(const uint8_t *p)
{
	uint64_t v = 0;
	int i;

	for (i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

int
maildrop_ask(struct maildrop *d, int gate)
{
	memset(d, 0, sizeof(*d));
	d->gate = gate;
	d->index = -1;
	return ask_open(gate);
}

int
maildrop_open(struct maildrop *d, enum pop3_open *verdict)
{
	if (take_open(d->gate, verdict, &d->count, &d->octets, &d->index) == -1)
		return -1;
	if (*verdict != OPEN_OK)
		return 0;
	d->deleted = calloc(1, (size_t)d->count / 8 + 1);
	if (d->deleted == NULL) {
		maildrop_close(d);
		return -1;
	}
	d->left = d->count;
	d->octets_left = d->octets;
	return 0;
}

static void
drop_ahead(struct maildrop *d)
{
	uint32_t i;

	for (i = 0; i < d->ahead_count; i++)
		if (d->ahead[i].fd != -1)
			close(d->ahead[i].fd);
	d->ahead_count = 0;
}

/* Take what was asked for; 0 if that is nothing. */
static int
take_asked(struct maildrop *d)
{
	uint32_t count = d->asked_count;

	drop_ahead(d);
	d->asked_count = 0;
	if (count == 0)
		return 0;
	if (take_fetch(d->gate, count, d->ahead) == -1)
		return -1;
	d->ahead_first = d->asked_first;
	d->ahead_count = count;
	return 0;
}

static int
ask_for(struct maildrop *d, uint32_t first, uint32_t count)
{
	if (ask_fetch(d->gate, first - 1, count) == -1)
		return -1;
	d->asked_first = first;
	d->asked_count = count;
	return 0;
}

void
maildrop_close(struct maildrop *d)
{
	drop_ahead(d);
	free(d->deleted);
	d->deleted = NULL;
	if (d->index != -1)
		close(d->index);
	d->index = -1;
}

int
maildrop_read(const struct maildrop *d, uint32_t first, uint32_t count,
    struct mailbox_message *out)
{
	uint8_t block[MAILDROP_BLOCK * POP3_RECORD], *p = block;
	size_t size = (size_t)count * POP3_RECORD;
	ssize_t n;
	uint32_t i;

	if (count > MAILDROP_BLOCK || first == 0 || first > d->count ||
	    count > d->count - first + 1) {
		errno = EINVAL;
		return -1;
	}
	n = pread(d->index, block, size, (off_t)(first - 1) * POP3_RECORD);
	if (n == -1 || (size_t)n != size) {
		if (n != -1)
			errno = EBADMSG;
		return -1;
	}
	for (i = 0; i < count; i++, p += POP3_RECORD) {
		out[i].octets = load_u64(p);
		memcpy(out[i].uidl, p + 8, UIDL_MAX - 1);
		out[i].uidl[UIDL_MAX - 1] = '\0';
	}
	return 0;
}

int
maildrop_is_deleted(const struct maildrop *d, uint32_t number)
{
	return (d->deleted[(number - 1) / 8] >> ((number - 1) % 8)) & 1;
}

int
maildrop_delete(struct maildrop *d, uint32_t number)
{
	struct mailbox_message m;

	if (maildrop_read(d, number, 1, &m) == -1)
		return -1;
	d->deleted[(number - 1) / 8] |= (uint8_t)(1U << ((number - 1) % 8));
	d->left--;
	d->octets_left -= m.octets;
	return 0;
}

void
maildrop_reset(struct maildrop *d)
{
	memset(d->deleted, 0, (size_t)d->count / 8 + 1);
	d->left = d->count;
	d->octets_left = d->octets;
}

/* How many messages to ask for, this one among them. */
static uint32_t
run_length(struct maildrop *d, uint32_t number, int more_waits)
{
	uint32_t left = d->count - number + 1;

	/*
	 * Who waits for each reply but goes in order gets more each time; one
	 * message out of order is fetched alone.
	 */
	if (d->last == 0 || number != d->last + 1)
		d->run = 1;
	else if (d->run < POP3_FETCH_MAX)
		d->run *= 2;
	if (more_waits)
		d->run = POP3_FETCH_MAX;
	return d->run < left ? d->run : left;
}

/* Take it from what was fetched ahead; 0 if it was not. */
static int
take_ahead(struct maildrop *d, uint32_t number, struct fetched *f)
{
	struct fetched *a;

	if (number < d->ahead_first ||
	    number - d->ahead_first >= d->ahead_count)
		return 0;
	a = &d->ahead[number - d->ahead_first];
	if (a->fd == -1)
		return 0;
	*f = *a;
	a->fd = -1;
	return 1;
}

/* Has another program changed the file since the agent looked? */
static int
is_stale(const struct fetched *f)
{
	struct stat st;

	return f->stamp != 0 &&
	    (fstat(f->fd, &st) == -1 || POP3_STAMP(&st) != f->stamp);
}

/* The same if it still is there; else nothing that was fetched is. */
static int
take_fresh(struct maildrop *d, uint32_t number, struct fetched *f)
{
	if (!take_ahead(d, number, f))
		return 0;
	if (!is_stale(f))
		return 1;
	close(f->fd);
	drop_ahead(d);
	return 0;
}

/*
 * Not among those that are here: maybe among those that were asked for,
 * otherwise it and those behind it are asked for now.
 */
static int
fetch_now(struct maildrop *d, uint32_t number, int more_waits,
    struct fetched *f)
{
	if (take_asked(d) == -1)
		return -1;
	if (take_fresh(d, number, f))
		return 0;
	if (ask_for(d, number, run_length(d, number, more_waits)) == -1 ||
	    take_asked(d) == -1)
		return -1;
	if (!take_ahead(d, number, f))
		*f = d->ahead[0];
	return 0;
}

/*
 * With half of a whole run sent, ask for the next one: the agent opens it
 * while the client gets the rest of this.  A failure shows in the next call.
 */
static void
fetch_ahead(struct maildrop *d, uint32_t number)
{
	uint32_t next = d->ahead_first + d->ahead_count, left;

	if (d->asked_count > 0 || d->run < POP3_FETCH_MAX ||
	    d->ahead_count < POP3_FETCH_MAX || next > d->count ||
	    number - d->ahead_first < POP3_FETCH_MAX / 2)
		return;
	left = d->count - next + 1;
	(void)ask_for(d, next, left < POP3_FETCH_MAX ? left : POP3_FETCH_MAX);
}

int
maildrop_fetch(struct maildrop *d, uint32_t number, int more_waits,
    struct fetched *f)
{
	if (!take_fresh(d, number, f) &&
	    fetch_now(d, number, more_waits, f) == -1)
		return -1;
	d->last = number;
	fetch_ahead(d, number);
	return 0;
}

int
maildrop_is_unchanged(struct maildrop *d, uint32_t number,
    const struct fetched *f)
{
	struct fetched again;
	int is_same;

	if (!is_stale(f))
		return 1;
	if (maildrop_fetch(d, number, 0, &again) == -1)
		return 0;
	is_same = again.verdict == FETCH_OK && again.offset == f->offset &&
	    again.length == f->length;
	if (again.fd != -1)
		close(again.fd);
	return is_same;
}

int
maildrop_recount(struct maildrop *d, uint32_t number)
{
	if (take_asked(d) == -1)
		return -1;
	drop_ahead(d);
	return ask_recount(d->gate, number - 1);
}

int
maildrop_expunge(struct maildrop *d, int may_expire, uint32_t *failed)
{
	*failed = 0;
	if (take_asked(d) == -1)
		return -1;
	drop_ahead(d);
	if (d->left == d->count && !may_expire)
		return 0;
	return ask_expunge(d->gate, d->deleted, ((size_t)d->count + 7) / 8,
	    failed);
}
