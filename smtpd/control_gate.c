/*
 * control_gate: selections and records, into and out of messages.
 *
 * Runs in the queue, as queue-user, and in postern and sendmail, as whoever
 * called them; touches nothing but memory.
 */
#include <string.h>

#include "smtpd/control_gate.h"

static void
put_if(struct message *m, uint32_t flags, uint32_t bit, const char *text)
{
	put_str(m, (flags & bit) != 0 ? text : "");
}

void
put_selection(struct message *m, const struct selection *s)
{
	put_u32(m, s->flags);
	put_u32(m, s->places);
	put_u32(m, s->owner);
	put_if(m, s->flags, SELECT_ID, s->id);
	put_if(m, s->flags, SELECT_SENDER, s->sender);
	put_if(m, s->flags, SELECT_RECIPIENT, s->recipient);
	put_if(m, s->flags, SELECT_DESTINATION, s->destination);
}

void
get_selection(struct message *m, struct selection *s)
{
	memset(s, 0, sizeof(*s));
	s->flags = get_u32(m);
	s->places = get_u32(m);
	s->owner = get_u32(m);
	get_str(m, s->id, sizeof(s->id));
	get_str(m, s->sender, sizeof(s->sender));
	get_str(m, s->recipient, sizeof(s->recipient));
	get_str(m, s->destination, sizeof(s->destination));
	if ((s->flags & ~(uint32_t)SELECT_ALL) != 0 ||
	    s->places >> LETTER_PLACES != 0)
		m->bad = 1;
}

void
put_letter_record(struct message *m, const struct letter_record *r)
{
	put_u32(m, RECORD_LETTER);
	put_str(m, r->id);
	put_u32(m, r->place);
	put_u32(m, r->is_kept);
	put_u32(m, r->is_damaged);
	put_u64(m, r->due);
	put_u64(m, r->size);
	put_u64(m, r->arrived);
	put_u32(m, r->attempts);
	put_u32(m, r->owner);
	put_str(m, r->login);
	put_str(m, r->client);
	put_str(m, r->sender);
	put_u32(m, r->recipients);
}

void
get_letter_record(struct message *m, struct letter_record *r)
{
	get_str(m, r->id, sizeof(r->id));
	r->place = get_u32(m);
	r->is_kept = get_u32(m);
	r->is_damaged = get_u32(m);
	r->due = get_u64(m);
	r->size = get_u64(m);
	r->arrived = get_u64(m);
	r->attempts = get_u32(m);
	r->owner = get_u32(m);
	get_str(m, r->login, sizeof(r->login));
	get_str(m, r->client, sizeof(r->client));
	get_str(m, r->sender, sizeof(r->sender));
	r->recipients = get_u32(m);
	if (r->place >= LETTER_PLACES)
		m->bad = 1;
}

void
put_recipient_record(struct message *m, const struct recipient_record *r)
{
	put_u32(m, RECORD_RECIPIENT);
	put_str(m, r->address);
	put_u32(m, r->state);
	put_u64(m, r->when);
	put_str(m, r->status);
	put_str(m, r->remote);
	put_str(m, r->text);
}

void
get_recipient_record(struct message *m, struct recipient_record *r)
{
	get_str(m, r->address, sizeof(r->address));
	r->state = get_u32(m);
	r->when = get_u64(m);
	get_str(m, r->status, sizeof(r->status));
	get_str(m, r->remote, sizeof(r->remote));
	get_str(m, r->text, sizeof(r->text));
	if (r->state >= RECIPIENT_STATES)
		m->bad = 1;
}
