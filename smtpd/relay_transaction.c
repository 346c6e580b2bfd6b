/*
 * relay_transaction: one letter to its recipients: MAIL, RCPT, DATA or BDAT,
 * and what is answered.
 *
 * Runs in the relay's children, as relay-user, confined; touches the
 * connection to the remote host and the gate.
 *
 * The commands of a transaction are numbered: RSET where the one before was
 * left open, MAIL, an RCPT for each recipient, DATA.  With PIPELINING (RFC
 * 2920) as many go out at once as WINDOW allows, so that neither side can wait
 * for the other to read; without it, one.
 *
 * A host that offers CHUNKING (RFC 3030) gets the letter as one BDAT: what
 * ends a letter is then a count and no line (C1), nobody looks for dots, and a
 * round trip is saved where there is no PIPELINING.  BDAT waits for the replies
 * to RCPT: a host that refused them all, and did not know how to pass over the
 * content, would take it for commands.
 */
#include <inttypes.h>
#include <string.h>

#include "../privsep/message.h"
#include "relay.h"

#define WINDOW_OCTETS	16384	/* of commands without replies */
#define WINDOW_COMMANDS	128
#define OCTETS_A_MINUTE	(64 * 1024)	/* less is no connection */
#define LETTER_MINUTES	35	/* besides that; the queue has 40 */

enum command { SAY_RSET, SAY_MAIL, SAY_RCPT, SAY_DATA };

struct transaction {
	struct relay	*relay;
	struct relay_letter *letter;
	unsigned	 first;		/* command, SAY_RSET or SAY_MAIL */
	size_t		 rcpt_count;
	size_t		 rcpt[RELAY_TO_MAX];	/* places in relay.to */
	int		 is_utf8;	/* MAIL says SMTPUTF8 */
	int		 is_chunked;
	size_t		 end;		/* commands there are */
	size_t		 said;
	size_t		 heard;
	size_t		 accepted_count;
	size_t		 accepted[RELAY_TO_MAX];
	int		 has_go;	/* 354 */
	int		 has_stray;	/* a recipient in spite of no MAIL */
};

/* This recipient's verdict is the reply that stands in the relay. */
static void
settle(struct relay *r, size_t i, enum relay_stage stage)
{
	struct message m;

	if (r->to[i].is_settled)
		return;
	r->to[i].is_settled = 1;
	message_begin(&m, REPLY_TO);
	put_u32(&m, (uint32_t)i);
	put_u32(&m, (uint32_t)reply_verdict(&r->reply));
	put_u32(&m, (uint32_t)stage);
	put_u32(&m, r->reply.code);
	put_str(&m, r->reply.status);
	put_str(&m, r->reply.text);
	(void)message_send(r->gate, &m);
}

static void
settle_all(struct relay *r, enum relay_stage stage)
{
	size_t i;

	for (i = 0; i < r->to_count; i++)
		settle(r, i, stage);
}

/* Who can be asked for at this host. */
static void
choose_recipients(struct transaction *t)
{
	struct relay *r = t->relay;
	size_t i;

	for (i = 0; i < r->to_count; i++) {
		if (relay_has(r, RELAY_HAS_SMTPUTF8) || relay_is_ascii(r->to[i].path)) {
			t->rcpt[t->rcpt_count++] = i;
			continue;
		}
		reply_make(&r->reply, "5.6.7", "the host does not take "
		    "SMTPUTF8, which this address needs");
		settle(r, i, RELAY_AT_START);
	}
}

/* Does any of what will be said need SMTPUTF8? */
static int
says_utf8(const struct transaction *t)
{
	size_t i;

	if (!relay_has(t->relay, RELAY_HAS_SMTPUTF8))
		return 0;
	if (relay_needs_utf8(t->letter))
		return 1;
	for (i = 0; i < t->rcpt_count; i++)
		if (!relay_is_ascii(t->relay->to[t->rcpt[i]].path))
			return 1;
	return 0;
}

/* What the n-th command is; *place is a recipient's, among t->rcpt. */
static enum command
command_at(const struct transaction *t, size_t n, size_t *place)
{
	n += t->first;
	if (n < SAY_RCPT)
		return (enum command)n;
	*place = n - SAY_RCPT;
	return *place < t->rcpt_count ? SAY_RCPT : SAY_DATA;
}

static void
say(struct transaction *t)
{
	struct relay *r = t->relay;
	size_t place;

	switch (command_at(t, t->said++, &place)) {
	case SAY_RSET:
		relay_say(r, "RSET");
		break;
	case SAY_MAIL:
		relay_say_mail(r, t->letter, t->is_utf8);
		break;
	case SAY_RCPT:
		relay_say_rcpt(r, &r->to[t->rcpt[place]], t->is_utf8);
		break;
	case SAY_DATA:
		relay_say(r, "DATA");
		break;
	}
}

/* The transaction is over before its content: this stands for everybody. */
static void
give_up(struct transaction *t, enum relay_stage stage)
{
	settle_all(t->relay, stage);
	if (t->end > t->said)
		t->end = t->said;
}

/*
 * 552 was "too many recipients" once, which is a matter of time (RFC 5321
 * section 4.5.3.1.10), unless the host says that it is something else.
 */
static void
take_rcpt(struct transaction *t, size_t place)
{
	struct relay *r = t->relay;
	size_t i = t->rcpt[place];

	if (reply_is_good(&r->reply)) {
		if (!r->to[i].is_settled)
			t->accepted[t->accepted_count++] = i;
		else
			t->has_stray = 1;
		return;
	}
	if (r->reply.code == 552 && (strcmp(r->reply.status, "5.0.0") == 0 ||
	    strcmp(r->reply.status, "5.5.3") == 0))
		reply_soften(&r->reply);
	settle(r, i, RELAY_AT_RCPT);
	/* Nobody is left to send it to: no DATA, if it has not gone out. */
	if (place + 1 == t->rcpt_count && t->accepted_count == 0 &&
	    t->end > t->said)
		t->end = t->said;
}

static void
take_data(struct transaction *t)
{
	struct relay *r = t->relay;

	t->has_go = r->reply.code == 354;
	if (t->has_go)
		return;
	if (r->reply.code / 100 < 4)
		relay_end(r, "4.5.0", "no 354 to DATA");
	settle_all(r, RELAY_AT_DATA);
}

static void
take(struct transaction *t)
{
	struct relay *r = t->relay;
	size_t place;

	switch (command_at(t, t->heard, &place)) {
	case SAY_RSET:
		if (!reply_is_good(&r->reply)) {
			relay_end(r, "4.5.0", "the host refused RSET");
			give_up(t, RELAY_AT_START);
		} else
			r->is_open = 0;
		break;
	case SAY_MAIL:
		/* It has had enough on this connection, not of this letter. */
		if (r->reply.code == 421 && r->is_used)
			give_up(t, RELAY_AT_START);
		else if (!reply_is_good(&r->reply))
			give_up(t, RELAY_AT_MAIL);
		else
			r->is_open = 1;
		break;
	case SAY_RCPT:
		take_rcpt(t, place);
		break;
	case SAY_DATA:
		take_data(t);
		break;
	}
}

/* A reply that asks for more, where there is no more, is no reply. */
static int
hear_final(struct relay *r, int minutes)
{
	if (relay_hear(r, minutes) == -1)
		return -1;
	if (r->reply.code / 100 != 3)
		return 0;
	relay_end(r, "4.5.0", "the host asks for what it must not");
	return -1;
}

static int
hear(struct transaction *t)
{
	size_t place;

	if (command_at(t, t->heard, &place) == SAY_DATA)
		return relay_hear(t->relay, RELAY_DATA_MINUTES);
	return hear_final(t->relay, RELAY_COMMAND_MINUTES);
}

/*
 * No reply: what the first command that has none was about.  An old connection
 * may have been over before anything of this letter reached the host.
 */
static enum relay_stage
lost_stage(const struct transaction *t)
{
	size_t place;

	switch (command_at(t, t->heard, &place)) {
	case SAY_RSET:
		return RELAY_AT_START;
	case SAY_MAIL:
		return t->relay->is_used ? RELAY_AT_START : RELAY_AT_MAIL;
	case SAY_RCPT:
		return RELAY_AT_RCPT;
	case SAY_DATA:
		break;
	}
	return RELAY_AT_DATA;
}

/* As many commands as may go out before there are replies to them. */
static void
say_batch(struct transaction *t)
{
	size_t before = t->relay->wire.out_len, count = 0;
	int is_pipelined = relay_has(t->relay, RELAY_HAS_PIPELINING);

	do {
		say(t);
		count++;
	} while (is_pipelined && t->said < t->end &&
	    count < WINDOW_COMMANDS &&
	    t->relay->wire.out_len - before < WINDOW_OCTETS);
}

/* All commands and their replies; -1: the connection is over. */
static int
converse(struct transaction *t)
{
	struct relay *r = t->relay;

	while (t->heard < t->end) {
		if (relay_keeps_quiet(r, 0) == -1) {
			settle_all(r, lost_stage(t));
			return -1;
		}
		say_batch(t);
		while (t->heard < t->said) {
			if (hear(t) == 0)
				take(t);
			if (r->is_over) {
				settle_all(r, lost_stage(t));
				return -1;
			}
			t->heard++;
		}
	}
	return 0;
}

/* One reply, or with LMTP one for each that was accepted (RFC 2033, 4.2). */
static void
hear_end(struct transaction *t)
{
	struct relay *r = t->relay;
	size_t i;

	r->is_open = 0;
	for (i = 0; i < t->accepted_count && !r->is_over; i++) {
		if (hear_final(r, RELAY_END_MINUTES) == -1)
			break;
		/* RFC 3030 section 2: a BDAT that failed leaves it open. */
		if (t->is_chunked && !reply_is_good(&r->reply))
			r->is_open = 1;
		if (r->host.protocol != RELAY_LMTP)
			break;
		settle(r, t->accepted[i], RELAY_AT_END);
	}
	settle_all(r, RELAY_AT_END);
}

/* The letter itself, to those who were accepted. */
static void
send_content(struct transaction *t)
{
	struct relay *r = t->relay;

	if (t->is_chunked)
		relay_say(r, "BDAT %" PRIu64 " LAST", t->letter->octets);
	if (relay_content_send(r, t->letter, !t->is_chunked) == -1) {
		settle_all(r, RELAY_AT_DATA);
		return;
	}
	t->letter->sent = t->letter->octets;
	if (!t->is_chunked)
		relay_say(r, ".");
	/* From here on it helps nobody to break off, if somebody listens. */
	r->wire.watch_loosely = 1;
	hear_end(t);
	r->wire.watch_loosely = 0;
}

/*
 * DATA had gone out when nobody was left, and the host wants a letter all the
 * same: it gets an empty one for nobody (RFC 2920 section 3.1).  How many
 * replies LMTP would have to that nobody knows; and one that has taken
 * recipients without a MAIL might deliver it to them.
 */
static void
send_nothing(const struct transaction *t)
{
	struct relay *r = t->relay;

	if (r->host.protocol == RELAY_LMTP || t->has_stray) {
		relay_end(r, "4.5.0", "354 without a recipient");
		return;
	}
	relay_say(r, ".");
	(void)hear_final(r, RELAY_COMMAND_MINUTES);
	r->is_open = 0;
}

static void
transact(struct transaction *t)
{
	struct relay *r = t->relay;

	if (relay_keeps_quiet(r, 1) == -1) {
		settle_all(r, RELAY_AT_START);
		return;
	}
	t->first = r->is_open ? SAY_RSET : SAY_MAIL;
	t->is_utf8 = says_utf8(t);
	t->is_chunked = relay_has(r, RELAY_HAS_CHUNKING);
	t->end = t->rcpt_count + (t->first == SAY_RSET) + 1 + !t->is_chunked;
	if (converse(t) == -1)
		return;
	r->is_used = 1;
	if (relay_keeps_quiet(r, 1) == -1) {
		settle_all(r, RELAY_AT_DATA);
		return;
	}
	if (t->accepted_count > 0 && (t->is_chunked || t->has_go))
		send_content(t);
	else if (t->has_go)
		send_nothing(t);
}

void
relay_send(struct relay *r, struct relay_letter *letter)
{
	struct transaction t = { .relay = r, .letter = letter };

	relay_limit(r, LETTER_MINUTES +
	    (int64_t)(letter->length / OCTETS_A_MINUTE));
	if (relay_content_scan(letter) == -1) {
		reply_make(&r->reply, "4.3.0", "the letter can't be read");
		settle_all(r, RELAY_AT_START);
		return;
	}
	if (relay_fits(r, letter) == -1) {
		settle_all(r, RELAY_AT_START);
		return;
	}
	choose_recipients(&t);
	if (t.rcpt_count > 0)
		transact(&t);
}
