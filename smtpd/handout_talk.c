/*
 * handout_talk: the talk on the channel of one account's line.
 *
 * Runs in the queue, as queue-user; touches the channels that the master made,
 * and passes read-only descriptors of letters on them.
 *
 * What comes back is the word of a process that is the recipient, who may be
 * anybody: it decides about that one delivery and nothing else, and its texts
 * are cut and made printable.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "privsep/message.h"
#include "smtpd/address.h"
#include "smtpd/handout_line.h"

#define IDENTIFY_MS	120000	/* login: NSS may be slow */
#define FORWARDS_MAX	100	/* addresses of one .forward; and programs */
#define REUSE_MAX	100	/* letters on a channel, then others' turn */
#define SHORT_LINE	5	/* errands: then parked letters come */
#define UNPARK_MAX	15	/* so many at a time */

/* An agent's text: printable, and cut. */
static void
take_text(char *dst, size_t size, const char *src)
{
	size_t i;

	for (i = 0; i + 1 < size && src[i] != '\0'; i++)
		dst[i] = src[i] >= ' ' && src[i] <= '~' ? src[i] : '?';
	dst[i] = '\0';
}

static struct errand_result
make_result(enum delivery_verdict verdict, const char *status,
    const char *text)
{
	struct errand_result r = { .verdict = verdict };

	take_text(r.status, sizeof(r.status), status);
	take_text(r.text, sizeof(r.text), text);
	return r;
}

/* Give one errand back to its owner, who may free it. */
static void
give_back(struct handout *h, struct errand *e, const struct errand_result *r)
{
	e->line = NULL;
	h->ops->done(h->arg, e, r);
}

/* What is true of the account is true of everybody in its line. */
static void
give_back_all(struct handout *h, struct line *l,
    const struct errand_result *r)
{
	struct errand *e;

	while ((e = TAILQ_FIRST(&l->errands)) != NULL) {
		TAILQ_REMOVE(&l->errands, e, link);
		l->waiting--;
		give_back(h, e, r);
	}
}

/*
 * The channel ended in mid-talk.  A crash may be the letter's fault, so that
 * one waits and the next is tried; silence is the account's.
 */
void
line_broken(struct handout *h, struct line *l, const char *why, int is_silent,
    uint64_t now)
{
	struct errand_result r = make_result(DELIVERY_DEFERRED, "4.3.0", why);
	struct errand *e = l->current;

	l->current = NULL;
	if (e != NULL)
		e->is_silent |= is_silent;
	if (e != NULL && l->state == LINE_DELIVER)
		give_back(h, e, &r);
	else if (e != NULL) {
		/* Delivered; the owner will record it all the same. */
		e->line = NULL;
	}
	if (is_silent || l->state == LINE_IDENTIFY)
		give_back_all(h, l, &r);
	line_close_or_free(h, l, now);
}

void
line_identify(struct handout *h, struct line *l, uint64_t now)
{
	struct message m;

	message_begin(&m, REQ_IDENTIFY);
	put_str(&m, l->account);
	line_set_state(l, LINE_IDENTIFY, now, IDENTIFY_MS);
	if (message_send(l->fd, &m) == -1)
		line_broken(h, l, "no delivery agent", 0, now);
}

/* Delivered-To: the recipient as the sender wrote it. */
static int
forward_path(const struct handout *h, const struct recipient *r,
    char path[ADDRESS_PRINT_MAX])
{
	struct address address;

	strlcpy(address.local, r->local, sizeof(address.local));
	strlcpy(address.domain, r->domain[0] != '\0' ? r->domain :
	    h->hostname, sizeof(address.domain));
	return address_print(&address, path, ADDRESS_PRINT_MAX);
}

static uint32_t
flags_of(const struct errand *e)
{
	return (e->is_tried ? DELIVER_TRIED : 0U) |
	    (e->is_for_mailbox ? DELIVER_MAILBOX : 0U);
}

static void
send_deliver(struct handout *h, struct line *l, struct errand *e, uint64_t now)
{
	const struct letter *letter = e->letter;
	char path[ADDRESS_PRINT_MAX];
	struct message m;

	message_begin(&m, h->is_of_programs ? REQ_RUN : REQ_DELIVER);
	put_str(&m, letter->name.id);
	put_u64(&m, letter->arrived);
	put_str(&m, letter->envelope.sender);
	if (forward_path(h, &letter->envelope.recipients[e->recipient],
	    path) == -1)
		path[0] = '\0';
	put_str(&m, path);
	put_u64(&m, letter->offset);
	put_u64(&m, letter->length);
	put_u64(&m, letter->lines);
	put_u32(&m, flags_of(e));
	if (h->is_of_programs) {
		put_str(&m, e->alias);
		put_str(&m, e->digest);
	}
	put_fd(&m, letter->fd);
	e->is_tried = 1;
	handout_forget_addresses(e);
	l->current = e;
	l->served++;
	line_set_state(l, LINE_DELIVER, now, h->patience);
	if (message_send(l->fd, &m) == -1)
		line_broken(h, l, "no delivery agent", 0, now);
}

/*
 * "Bob", and "bob-lists" where that leads to bob, are bob: what he gets under
 * that name does not come again.
 */
static void
drop_doubles(struct handout *h, struct line *l)
{
	struct errand *e;

	while (l->own[0] != '\0' && (e = TAILQ_FIRST(&l->errands)) != NULL &&
	    h->ops->is_same(h->arg, e, l->own)) {
		TAILQ_REMOVE(&l->errands, e, link);
		l->waiting--;
		e->line = NULL;
	}
}

void
line_next(struct handout *h, struct line *l, uint64_t now)
{
	struct errand *e;

	if (l->waiting < SHORT_LINE)
		line_unpark(h, l, UNPARK_MAX, 1);
	drop_doubles(h, l);
	e = TAILQ_FIRST(&l->errands);
	if (e == NULL || h->is_closing || (l->served >= REUSE_MAX &&
	    !TAILQ_EMPTY(&h->wanting))) {
		line_close_or_free(h, l, now);
		return;
	}
	TAILQ_REMOVE(&l->errands, e, link);
	l->waiting--;
	send_deliver(h, l, e, now);
}

/*
 * What an agent read at its start, or opened, may be out of date: only a new
 * one knows.  (A command has had its say.)
 */
static void
ask_another(struct handout *h, struct line *l, uint64_t now)
{
	struct errand *e = l->current;

	l->current = NULL;
	TAILQ_INSERT_HEAD(&l->errands, e, link);
	l->waiting++;
	line_close(h, l, now);
}

static void
heard_identify(struct handout *h, struct line *l, struct message *m,
    uint64_t now)
{
	char text[VERDICT_TEXT_MAX + 1];
	uint32_t verdict = get_u32(m);
	struct errand_result r;

	get_str(m, text, sizeof(text));
	if (get_end(m) == -1 || verdict > DELIVERY_FAILED) {
		line_broken(h, l, "no delivery agent", 0, now);
		return;
	}
	if (verdict == DELIVERED) {
		l->wait_ms = 0;
		if (h->is_of_programs || strcmp(text, l->account) == 0 ||
		    strlcpy(l->own, text, sizeof(l->own)) >= sizeof(l->own))
			l->own[0] = '\0';
		line_next(h, l, now);
		return;
	}
	r = make_result((enum delivery_verdict)verdict,
	    verdict == DELIVERY_FAILED ? "5.1.1" : "4.3.0", text);
	give_back_all(h, l, &r);
	line_close_or_free(h, l, now);
}

void
handout_forget_addresses(struct errand *e)
{
	size_t i;

	for (i = 0; i < e->address_count; i++)
		free(e->addresses[i]);
	free(e->addresses);
	e->addresses = NULL;
	e->address_count = 0;
	free(e->programs);
	e->programs = NULL;
	e->program_count = 0;
}

/* One more address, of which the verdict will say that it counts. */
static int
add_address(struct errand *e, const char *text)
{
	struct address address;
	char **grown;

	if (e->address_count == FORWARDS_MAX || address_mailbox(text,
	    strlen(text), ADDRESS_BARE | ADDRESS_UTF8, &address) != ADDRESS_OK)
		return -1;
	grown = reallocarray(e->addresses, e->address_count + 1,
	    sizeof(*grown));
	if (grown == NULL)
		return -1;
	e->addresses = grown;
	grown[e->address_count] = strdup(text);
	if (grown[e->address_count] == NULL)
		return -1;
	e->address_count++;
	return 0;
}

static void
heard_forward(struct handout *h, struct line *l, struct message *m,
    uint64_t now)
{
	char text[PATH_TEXT_MAX];

	get_str(m, text, sizeof(text));
	if (get_end(m) == -1 || add_address(l->current, text) == -1)
		line_broken(h, l, "delivery agent failed", 0, now);
}

static int
add_program(struct errand *e, const char *digest, uint32_t is_spare)
{
	struct errand_program *grown;

	if (e->program_count == FORWARDS_MAX || is_spare > 1 ||
	    !program_is_digest(digest))
		return -1;
	grown = reallocarray(e->programs, e->program_count + 1,
	    sizeof(*grown));
	if (grown == NULL)
		return -1;
	e->programs = grown;
	grown += e->program_count++;
	strlcpy(grown->digest, digest, sizeof(grown->digest));
	grown->is_spare = (int)is_spare;
	return 0;
}

static void
heard_program(struct handout *h, struct line *l, struct message *m,
    uint64_t now)
{
	char digest[PROGRAM_DIGEST_MAX];
	uint32_t is_spare;

	get_str(m, digest, sizeof(digest));
	is_spare = get_u32(m);
	if (get_end(m) == -1 ||
	    add_program(l->current, digest, is_spare) == -1)
		line_broken(h, l, "delivery agent failed", 0, now);
}

/* Is it one that this kind of agent may give, of what it told before? */
static int
is_verdict(const struct handout *h, const struct errand *e, uint32_t verdict)
{
	switch (verdict) {
	case DELIVERED:
	case DELIVERY_DEFERRED:
	case DELIVERY_FAILED:
		return e->address_count == 0 && e->program_count == 0;
	case DELIVERY_FORWARDED:
		return !h->is_of_programs &&
		    e->address_count + e->program_count > 0;
	case DELIVERY_PROGRAM:
		return !h->is_of_programs && e->address_count == 0 &&
		    e->program_count == 1;
	case DELIVERY_GONE:
		return h->is_of_programs;
	default:
		return 0;
	}
}

static void
heard_deliver(struct handout *h, struct line *l, struct message *m,
    uint64_t now)
{
	char status[OUTCOME_STATUS_MAX], text[VERDICT_TEXT_MAX + 1];
	uint32_t verdict = get_u32(m);
	struct errand *e = l->current;
	struct errand_result r;

	get_str(m, status, sizeof(status));
	get_str(m, text, sizeof(text));
	if (get_end(m) == -1 || !is_verdict(h, e, verdict)) {
		line_broken(h, l, "delivery agent failed", 0, now);
		return;
	}
	r = make_result((enum delivery_verdict)verdict, status, text);
	if (verdict == DELIVERED || verdict == DELIVERY_FORWARDED) {
		/* The owner may settle at once or at the end of the turn. */
		e->is_unsettled = 1;
		l->has_delivered = 1;
		line_set_state(l, LINE_UNSETTLED, now, UINT64_MAX);
		h->ops->done(h->arg, e, &r);
		return;
	}
	if (verdict == DELIVERY_DEFERRED && l->has_delivered &&
	    !h->is_of_programs) {
		ask_another(h, l, now);
		return;
	}
	l->current = NULL;
	give_back(h, e, &r);
	line_next(h, l, now);
}

void
line_heard(struct handout *h, struct line *l, uint64_t now)
{
	struct message m;
	int n = message_recv(l->fd, &m, 0);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 1 && l->state == LINE_IDENTIFY &&
	    m.type == REPLY_OF(REQ_IDENTIFY))
		heard_identify(h, l, &m, now);
	else if (n == 1 && l->state == LINE_DELIVER &&
	    m.type == REPLY_OF(REQ_DELIVER))
		heard_deliver(h, l, &m, now);
	else if (n == 1 && l->state == LINE_DELIVER &&
	    m.type == REPLY_FORWARD && !h->is_of_programs)
		heard_forward(h, l, &m, now);
	else if (n == 1 && l->state == LINE_DELIVER &&
	    m.type == REPLY_PROGRAM && !h->is_of_programs)
		heard_program(h, l, &m, now);
	else
		line_broken(h, l, "delivery agent failed", 0, now);
	if (n == 1)
		message_discard(&m);
}

/*
 * All is on record, to which the agent has nothing to say.  Letters for one
 * account often come in a row, and a new agent costs more than a letter does:
 * this one stays for a moment.  Who waits in its line has it at the next
 * handout_ask(), not now, amid a turn of settling.
 */
void
line_settle(struct handout *h, struct line *l, const char *id, uint64_t now)
{
	int is_over = l->waiting > 0 || l->served >= REUSE_MAX;
	struct message m;

	l->current = NULL;
	message_begin(&m, REQ_SETTLE);
	put_str(&m, id);
	if (message_send(l->fd, &m) == -1) {
		line_broken(h, l, "delivery agent failed", 0, now);
		return;
	}
	line_set_state(l, LINE_IDLE, now, is_over ? 0 : h->idle_ms);
	if (l->waiting == 0)
		line_unpark(h, l, UNPARK_MAX, 1);
}
