/*
 * control_view: what is shown of a letter, and which letters are meant.
 *
 * Runs in the queue, as queue-user; reads the spool.
 *
 * Letters are read without their lock, which only who delivers needs: the one
 * who writes outcomes is this process, and not meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "smtpd/address.h"
#include "smtpd/control_view.h"
#include "smtpd/idna.h"
#include "smtpd/next_hop.h"

uint32_t
view_place(const struct queue *q, const struct spool_name *name, int is_failed)
{
	if (is_failed)
		return LETTER_FAILED;
	if (spool_is_held(name))
		return LETTER_HELD;
	if (job_find(q, name->id) != NULL)
		return LETTER_ACTIVE;
	return name->due <= q->now ? LETTER_WAITING : LETTER_DEFERRED;
}

/* Which delivery an outcome is of: an account's, or a recipient as a whole. */
static uint64_t
delivery_of(const struct outcome *o)
{
	return o->key != 0 ? o->key : o->recipient;
}

static int
by_number(const void *left, const void *right)
{
	const uint64_t a = *(const uint64_t *)left;
	const uint64_t b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

/* The deliveries of which all is known, sorted; NULL: no memory. */
static uint64_t *
list_finals(const struct letter *l, size_t *count)
{
	uint64_t *finals = calloc(l->outcome_count + 1, sizeof(*finals));
	size_t i;

	*count = 0;
	if (finals == NULL)
		return NULL;
	for (i = 0; i < l->outcome_count; i++)
		if (outcome_is_final(&l->outcomes[i]))
			finals[(*count)++] = delivery_of(&l->outcomes[i]);
	qsort(finals, *count, sizeof(*finals), by_number);
	return finals;
}

/* Who failed says more than who has it; who is tried again most of all. */
static int
rank(const struct outcome *o)
{
	if (o == NULL)
		return 0;
	if (o->kind == OUTCOME_DEFERRED)
		return 3;
	return o->kind == OUTCOME_FAILED ? 2 : 1;
}

/*
 * A deferral counts until its delivery has ended.  A recipient may also have
 * led nowhere once, and lead to somebody now.
 */
static int
is_past(const struct outcome *o, const uint64_t *finals, size_t count,
    uint32_t newest)
{
	uint64_t delivery = delivery_of(o);

	if (o->kind == OUTCOME_NOTIFIED)
		return 1;
	return o->kind == OUTCOME_DEFERRED &&
	    ((o->key == 0 && o->attempt < newest) ||
	    bsearch(&delivery, finals, count, sizeof(*finals), by_number) !=
	    NULL);
}

static int
find_last(struct view *v)
{
	const struct letter *l = &v->letter;
	const struct outcome *o;
	size_t i, count, recipients = l->envelope.recipient_count;
	uint64_t *finals = list_finals(l, &count);
	uint32_t *newest = calloc(recipients, sizeof(*newest));

	v->last = calloc(recipients, sizeof(*v->last));
	if (finals == NULL || newest == NULL || v->last == NULL) {
		free(finals);
		free(newest);
		errno = ENOMEM;
		return -1;
	}
	for (i = 0; i < l->outcome_count; i++) {
		o = &l->outcomes[i];
		if (o->attempt > newest[o->recipient] &&
		    o->kind != OUTCOME_NOTIFIED)
			newest[o->recipient] = o->attempt;
	}
	for (i = 0; i < l->outcome_count; i++) {
		o = &l->outcomes[i];
		if (rank(o) >= rank(v->last[o->recipient]) &&
		    !is_past(o, finals, count, newest[o->recipient]))
			v->last[o->recipient] = o;
	}
	free(finals);
	free(newest);
	return 0;
}

static int
open_file(const struct queue *q, const struct spool_name *name, int is_failed)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	char text[SPOOL_NAME_MAX];

	if (is_failed)
		return openat(q->spool.failed, name->id, flags);
	if (spool_name_print(name, text) == -1)
		return -1;
	return openat(q->spool.queue, text, flags);
}

void
view_name(struct view *v, const struct queue *q, const struct spool_name *name,
    int is_failed)
{
	memset(v, 0, sizeof(*v));
	v->is_name = 1;
	v->letter.fd = -1;
	v->letter.name = *name;
	v->place = view_place(q, name, is_failed);
}

int
view_open(struct view *v, const struct queue *q, const struct spool_name *name,
    int is_failed)
{
	int fd = open_file(q, name, is_failed), result = -1;

	memset(v, 0, sizeof(*v));
	v->letter.fd = -1;
	if (fd != -1)
		result = letter_read(fd, &v->letter);
	else if (errno == ELOOP)
		errno = EBADMSG;
	if (result == -1 && errno != EBADMSG)
		return -1;
	v->is_damaged = result == -1;
	v->letter.name = *name;
	v->place = view_place(q, name, is_failed);
	if (!v->is_damaged && find_last(v) == -1) {
		view_close(v);
		return -1;
	}
	return 0;
}

void
view_close(struct view *v)
{
	int saved = errno;

	if (!v->is_damaged && !v->is_name)
		letter_close(&v->letter);
	free(v->last);
	memset(v, 0, sizeof(*v));
	v->letter.fd = -1;
	errno = saved;
}

int
view_is_of(const struct view *v, uint32_t uid)
{
	if (uid == 0)
		return 1;
	return !v->is_damaged && uid != ENVELOPE_NOBODY &&
	    v->letter.envelope.owner == uid;
}

static void
print_recipient(const struct recipient *r, char path[ADDRESS_PRINT_MAX])
{
	struct address address;

	strlcpy(address.local, r->local, sizeof(address.local));
	strlcpy(address.domain, r->domain, sizeof(address.domain));
	if (address_print(&address, path, ADDRESS_PRINT_MAX) == -1)
		path[0] = '\0';
}

static uint32_t
state_of(const struct view *v, uint32_t i)
{
	static const enum recipient_state states[] = {
		RECIPIENT_PENDING, RECIPIENT_DELIVERED, RECIPIENT_FAILED,
		RECIPIENT_DEFERRED
	};

	return states[rank(v->last[i])];
}

/* Does it still wait for the letter?  In failed/ nobody does, and all count. */
static int
is_outstanding(const struct view *v, uint32_t i)
{
	const uint32_t state = state_of(v, i);

	return v->place == LETTER_FAILED || state == RECIPIENT_PENDING ||
	    state == RECIPIENT_DEFERRED;
}

/* "a@b", or "@b" for everybody there. */
static int
is_address(const char *pattern, const char *path)
{
	const char *at = strrchr(path, '@');

	if (pattern[0] == '@')
		return at != NULL && strcasecmp(pattern, at) == 0;
	return strcasecmp(pattern, path) == 0;
}

/* Its domain, or whom a letter for it is given to next. */
static int
is_destination(const struct config *config, const char *pattern,
    const struct recipient *r)
{
	char domain[IDNA_MAX];
	struct next_hop hop;

	if (strcasecmp(pattern, r->domain) == 0)
		return r->domain[0] != '\0';
	if (r->domain[0] == '\0' || r->account[0] != '\0' ||
	    config_is_local_domain(config, r->domain) ||
	    idna_to_ascii(r->domain, domain) == -1)
		return 0;
	if (strcasecmp(pattern, domain) == 0)
		return 1;
	return next_hop_find(config, domain, &hop) == 0 &&
	    (strcasecmp(pattern, hop.host) == 0 ||
	    strcasecmp(pattern, hop.key) == 0);
}

static int
has_recipient(const struct view *v, const struct config *config,
    const struct selection *s)
{
	const struct envelope *e = &v->letter.envelope;
	char path[ADDRESS_PRINT_MAX];
	uint32_t i;

	for (i = 0; i < e->recipient_count; i++) {
		if (!is_outstanding(v, i))
			continue;
		print_recipient(&e->recipients[i], path);
		if (((s->flags & SELECT_RECIPIENT) == 0 ||
		    is_address(s->recipient, path)) &&
		    ((s->flags & SELECT_DESTINATION) == 0 ||
		    is_destination(config, s->destination,
		    &e->recipients[i])))
			return 1;
	}
	return 0;
}

int
view_matches(const struct view *v, const struct config *config,
    const struct selection *s)
{
	if ((s->flags & ~(uint32_t)SELECT_ID) == 0)
		return 1;
	if (v->is_damaged)
		return 0;
	if ((s->flags & SELECT_OWNER) != 0 &&
	    v->letter.envelope.owner != s->owner)
		return 0;
	if ((s->flags & SELECT_SENDER) != 0 &&
	    !is_address(s->sender, v->letter.envelope.sender))
		return 0;
	return (s->flags & (SELECT_RECIPIENT | SELECT_DESTINATION)) == 0 ||
	    has_recipient(v, config, s);
}

void
view_letter(const struct view *v, struct letter_record *r)
{
	const struct letter *l = &v->letter;

	memset(r, 0, sizeof(*r));
	strlcpy(r->id, l->name.id, sizeof(r->id));
	r->place = v->place;
	r->due = v->place == LETTER_DEFERRED ? l->name.due : 0;
	r->size = l->name.size;
	r->owner = ENVELOPE_NOBODY;
	r->is_damaged = v->is_damaged != 0;
	r->is_kept = l->name.due == SPOOL_KEPT;
	if (v->is_damaged)
		return;
	r->size = l->length;
	r->arrived = l->arrived;
	r->attempts = letter_attempts(l);
	r->owner = l->envelope.owner;
	strlcpy(r->login, l->envelope.login, sizeof(r->login));
	strlcpy(r->client, l->envelope.client, sizeof(r->client));
	strlcpy(r->sender, l->envelope.sender, sizeof(r->sender));
	r->recipients = (uint32_t)l->envelope.recipient_count;
}

void
view_recipient(const struct view *v, uint32_t i, struct recipient_record *r)
{
	const struct outcome *o = v->last[i];

	memset(r, 0, sizeof(*r));
	print_recipient(&v->letter.envelope.recipients[i], r->address);
	r->state = state_of(v, i);
	if (o == NULL)
		return;
	r->when = o->when;
	strlcpy(r->status, o->status, sizeof(r->status));
	strlcpy(r->remote, o->remote, sizeof(r->remote));
	strlcpy(r->text, o->text, sizeof(r->text));
}
