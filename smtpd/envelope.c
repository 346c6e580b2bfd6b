/*
 * envelope: write and read the envelope's records.
 *
 * Runs in the session agent (writer) and in the queue (reader), both as
 * queue-user.  Touches nothing but memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "smtpd/account.h"
#include "smtpd/address.h"
#include "smtpd/envelope.h"
#include "smtpd/gates.h"
#include "smtpd/program.h"
#include "smtpd/spool_format.h"
#include "smtpd/xtext.h"

#define RECORD_HEAD	8
#define GROW		4096

void
envelope_reset(struct envelope_writer *w)
{
	w->len = 0;
	w->error = 0;
	w->recipient_count = 0;
}

/* Room for n more octets, or NULL with the error noted. */
static uint8_t *
envelope_room(struct envelope_writer *w, size_t n)
{
	uint8_t *p;
	size_t size;

	if (w->error != 0)
		return NULL;
	if (n > ENVELOPE_MAX - w->len) {
		w->error = E2BIG;
		return NULL;
	}
	if (n > w->size - w->len) {
		size = w->len + n;
		size = size < w->size * 2 ? w->size * 2 : size + GROW;
		p = realloc(w->data, size);
		if (p == NULL) {
			w->error = ENOMEM;
			return NULL;
		}
		w->data = p;
		w->size = size;
	}
	p = w->data + w->len;
	w->len += n;
	return p;
}

static uint8_t *
envelope_record(struct envelope_writer *w, enum envelope_tag tag, size_t len)
{
	uint8_t *p = envelope_room(w, RECORD_HEAD + len);

	if (p == NULL)
		return NULL;
	format_store(p, tag, 4);
	format_store(p + 4, len, 4);
	return p + RECORD_HEAD;
}

void
envelope_put_text(struct envelope_writer *w, enum envelope_tag tag,
    const char *text)
{
	size_t size = strlen(text) + 1;
	uint8_t *p = envelope_record(w, tag, size);

	if (p != NULL)
		memcpy(p, text, size);
}

void
envelope_put_u32(struct envelope_writer *w, enum envelope_tag tag, uint32_t v)
{
	uint8_t *p = envelope_record(w, tag, 4);

	if (p != NULL)
		format_store(p, v, 4);
}

static void
put_u32_text(struct envelope_writer *w, enum envelope_tag tag, uint32_t v,
    const char *text)
{
	size_t size = strlen(text) + 1;
	uint8_t *p;

	if (v == 0 && size == 1)
		return;
	if ((p = envelope_record(w, tag, 4 + size)) == NULL)
		return;
	format_store(p, v, 4);
	memcpy(p + 4, text, size);
}

void
envelope_put_notify(struct envelope_writer *w, uint32_t notify,
    const char *orcpt)
{
	put_u32_text(w, ENVELOPE_NOTIFY, notify, orcpt);
}

#define PROGRAM_SPARE	1
#define PROGRAM_ONLY	2

void
envelope_put_program(struct envelope_writer *w, const char *digest,
    int is_spare)
{
	put_u32_text(w, ENVELOPE_PROGRAM, is_spare ? PROGRAM_SPARE :
	    PROGRAM_ONLY, digest);
}

void
envelope_put_dsn(struct envelope_writer *w, uint32_t ret, const char *envid)
{
	put_u32_text(w, ENVELOPE_DSN, ret, envid);
}

void
envelope_put_recipient(struct envelope_writer *w, const char *local,
    const char *domain, const char *account)
{
	size_t local_size = strlen(local) + 1;
	size_t domain_size = strlen(domain) + 1;
	size_t account_size = strlen(account) + 1;
	uint8_t *p;

	if (w->recipient_count == RECIPIENTS_MAX && w->error == 0)
		w->error = E2BIG;
	p = envelope_record(w, ENVELOPE_RECIPIENT,
	    local_size + domain_size + account_size);
	if (p == NULL)
		return;
	w->where[w->recipient_count++] = (uint32_t)(p - w->data);
	memcpy(p, local, local_size);
	memcpy(p + local_size, domain, domain_size);
	memcpy(p + local_size + domain_size, account, account_size);
}

int
envelope_has_recipient(const struct envelope_writer *w, const char *local,
    const char *domain)
{
	const char *p;
	size_t i;

	for (i = 0; i < w->recipient_count; i++) {
		p = (const char *)w->data + w->where[i];
		if (strcmp(p, local) == 0 &&
		    strcasecmp(p + strlen(p) + 1, domain) == 0)
			return 1;
	}
	return 0;
}

int
envelope_is_login(const char *name)
{
	const unsigned char *p;

	for (p = (const unsigned char *)name; *p != '\0'; p++)
		if (*p < ' ' || *p == 0x7f)
			return 0;
	return name[0] != '\0' && strlen(name) < ENVELOPE_LOGIN_MAX;
}

void
envelope_free_writer(struct envelope_writer *w)
{
	free(w->data);
	memset(w, 0, sizeof(*w));
}

/* Printable, without a space: what may stand in a trace or a log. */
static int
is_plain(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s > '~')
			return 0;
	return 1;
}

/* The next NUL-terminated text of at most left octets; NULL: none. */
static const char *
take_text(const char **p, size_t *left)
{
	const char *text = *p, *end = memchr(text, '\0', *left);

	if (end == NULL)
		return NULL;
	*left -= (size_t)(end + 1 - text);
	*p = end + 1;
	return text;
}

/* A record that is one text and nothing else, and came for the first time. */
static int
decode_text(const char **field, const char *value, size_t len)
{
	if (*field != NULL)
		return -1;
	*field = take_text(&value, &len);
	return *field == NULL || len != 0 ? -1 : 0;
}

static int
decode_recipient(struct envelope *e, const char *value, size_t len)
{
	struct recipient *r;
	struct address address;

	if (e->recipient_count == RECIPIENTS_MAX)
		return -1;
	r = &e->recipients[e->recipient_count];
	if ((r->local = take_text(&value, &len)) == NULL ||
	    (r->domain = take_text(&value, &len)) == NULL ||
	    (r->account = take_text(&value, &len)) == NULL || len != 0)
		return -1;
	if (strlcpy(address.local, r->local, sizeof(address.local)) >=
	    sizeof(address.local) ||
	    strlcpy(address.domain, r->domain, sizeof(address.domain)) >=
	    sizeof(address.domain) || !address_is_legal_utf8(&address))
		return -1;
	if (!is_plain(r->account) || strchr(r->account, '/') != NULL ||
	    strlen(r->account) > ACCOUNT_LIMIT)
		return -1;
	r->orcpt = r->program = NULL;
	e->recipient_count++;
	return 0;
}

/* A number, and a text that comes for the first time. */
static int
decode_u32_text(uint32_t *v, const char **field, const char *value, size_t len)
{
	if (len < 4)
		return -1;
	*v = (uint32_t)format_load((const uint8_t *)value, 4);
	return decode_text(field, value + 4, len - 4);
}

static int
decode_notify(struct envelope *e, const char *value, size_t len)
{
	struct recipient *r;

	if (e->recipient_count == 0)
		return -1;
	r = &e->recipients[e->recipient_count - 1];
	return decode_u32_text(&r->notify, &r->orcpt, value, len) == -1 ||
	    !notify_is_legal(r->notify) || !orcpt_is_legal(r->orcpt) ? -1 : 0;
}

static int
decode_program(struct envelope *e, const char *value, size_t len)
{
	struct recipient *r;
	uint32_t how;

	if (e->recipient_count == 0)
		return -1;
	r = &e->recipients[e->recipient_count - 1];
	if (decode_u32_text(&how, &r->program, value, len) == -1 ||
	    (how != PROGRAM_SPARE && how != PROGRAM_ONLY) ||
	    !program_is_digest(r->program) || r->account[0] == '\0')
		return -1;
	r->is_spare = how == PROGRAM_SPARE;
	return 0;
}

static int
decode_dsn(struct envelope *e, const char *value, size_t len)
{
	return decode_u32_text(&e->ret, &e->envid, value, len) == -1 ||
	    e->ret > RET_HDRS || !envid_is_legal(e->envid) ? -1 : 0;
}

static int
decode_u32(uint32_t *v, const char *value, size_t len)
{
	if (len != 4)
		return -1;
	*v = (uint32_t)format_load((const uint8_t *)value, 4);
	return 0;
}

static int
decode_record(struct envelope *e, uint32_t tag, const char *value, size_t len)
{
	switch (tag) {
	case ENVELOPE_SENDER:
		return decode_text(&e->sender, value, len);
	case ENVELOPE_RECIPIENT:
		return decode_recipient(e, value, len);
	case ENVELOPE_HELO:
		return decode_text(&e->helo, value, len);
	case ENVELOPE_CLIENT:
		return decode_text(&e->client, value, len);
	case ENVELOPE_LOGIN:
		return decode_text(&e->login, value, len) == -1 ||
		    !envelope_is_login(e->login) ? -1 : 0;
	case ENVELOPE_DSN:
		return decode_dsn(e, value, len);
	case ENVELOPE_NOTIFY:
		return decode_notify(e, value, len);
	case ENVELOPE_PROGRAM:
		return decode_program(e, value, len);
	case ENVELOPE_FLAGS:
		return decode_u32(&e->flags, value, len);
	case ENVELOPE_DERIVED:
		return decode_u32(&e->derived, value, len);
	case ENVELOPE_OWNER:
		return decode_u32(&e->owner, value, len);
	default:
		return 0;	/* a later version's */
	}
}

static int
decode_records(struct envelope *e, size_t len)
{
	const char *p = e->data;
	size_t left = len;
	uint32_t tag;
	size_t n;

	while (left > 0) {
		if (left < RECORD_HEAD)
			return -1;
		tag = (uint32_t)format_load((const uint8_t *)p, 4);
		n = (size_t)format_load((const uint8_t *)p + 4, 4);
		p += RECORD_HEAD;
		left -= RECORD_HEAD;
		if (n > left || decode_record(e, tag, p, n) == -1)
			return -1;
		p += n;
		left -= n;
	}
	return 0;
}

static int
decode_check(struct envelope *e)
{
	struct address sender;
	size_t i;

	if (e->sender == NULL || e->recipient_count == 0)
		return -1;
	for (i = 0; i < e->recipient_count; i++) {
		if (e->recipients[i].orcpt == NULL)
			e->recipients[i].orcpt = "";
		if (e->recipients[i].program == NULL)
			e->recipients[i].program = "";
	}
	if (e->envid == NULL)
		e->envid = "";
	if (e->helo == NULL)
		e->helo = "";
	if (e->client == NULL)
		e->client = "";
	if (e->login == NULL)
		e->login = "";
	if (e->sender[0] != '\0' && address_mailbox(e->sender,
	    strlen(e->sender), ADDRESS_UTF8, &sender) != ADDRESS_OK)
		return -1;
	return is_plain(e->helo) && is_plain(e->client) ? 0 : -1;
}

/* Many letters are open at once, and most have one recipient. */
static void
decode_shrink(struct envelope *e)
{
	struct recipient *r;

	r = reallocarray(e->recipients, e->recipient_count, sizeof(*r));
	if (r != NULL)
		e->recipients = r;
}

int
envelope_decode(struct envelope *e, char *data, size_t len)
{
	memset(e, 0, sizeof(*e));
	e->data = data;
	e->owner = ENVELOPE_NOBODY;
	e->recipients = calloc(RECIPIENTS_MAX, sizeof(*e->recipients));
	if (e->recipients == NULL) {
		envelope_free(e);
		errno = ENOMEM;
		return -1;
	}
	if (len > ENVELOPE_MAX || decode_records(e, len) == -1 ||
	    decode_check(e) == -1) {
		envelope_free(e);
		errno = EBADMSG;
		return -1;
	}
	decode_shrink(e);
	return 0;
}

void
envelope_free(struct envelope *e)
{
	free(e->data);
	free(e->recipients);
	memset(e, 0, sizeof(*e));
}
