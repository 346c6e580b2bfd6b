/*
 * split: letters that go on as others.
 *
 * Runs in the queue, as queue-user; touches the spool.
 *
 * All of it is done at once, and on disk when it is done: the new letter in
 * held/, that the old one is to go on as this one, and its name in queue/ (see
 * derived.h).  So nothing of it is left for the end of the old one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "privsep/log.h"
#include "smtpd/account.h"
#include "smtpd/address.h"
#include "smtpd/derived.h"
#include "smtpd/forward.h"
#include "smtpd/split.h"
#include "smtpd/xtext.h"

/* One more letter. */
struct split {
	const char	*what;		/* for derived_id() */
	const char	*text;		/* for the record */
	const char	*sender;
	uint32_t	 derived;	/* of enum envelope_derived */
	const char	*head;		/* one header line more, or "" */
	uint32_t	 recipient;	/* of the old one, by which it came */
	uint64_t	 key;
	const struct expand_target *targets;
	size_t		 count;		/* at most RECIPIENTS_MAX */
	const struct errand *programs;	/* whose, or NULL */
};

/* A domain of ours, for those who have none. */
static const char *
local_domain(const struct queue *q)
{
	return config_is_local_domain(q->config, q->config->hostname) ||
	    q->config->domain_count == 0 ? q->config->hostname :
	    q->config->domains[0];
}

static void
put_target(const struct queue *q, struct envelope_writer *to,
    const struct expand_target *t)
{
	struct address address;

	if (address_mailbox(t->text, strlen(t->text), ADDRESS_BARE |
	    ADDRESS_UTF8, &address) != ADDRESS_OK) {
		/* "a..b" is an account's name, and no address. */
		strlcpy(address.local, t->text, sizeof(address.local));
		address.domain[0] = '\0';
	}
	envelope_put_recipient(to, address.local, address.domain[0] != '\0' ?
	    address.domain : local_domain(q),
	    t->kind == TARGET_ACCOUNT ? t->text : "");
}

/* The recipient that a letter came to, as an ORCPT. */
static void
written_to(const struct queue *q, const struct recipient *r,
    char orcpt[ORCPT_MAX])
{
	char path[ADDRESS_PRINT_MAX];
	struct address address;

	strlcpy(address.local, r->local, sizeof(address.local));
	strlcpy(address.domain, r->domain[0] != '\0' ? r->domain :
	    local_domain(q), sizeof(address.domain));
	if (address_print(&address, path, sizeof(path)) == -1)
		path[0] = '\0';
	orcpt[0] = '\0';
	if (path[0] != '\0')
		orcpt_make(path, orcpt);
}

/* To one place only. */
static int
is_single(const struct split *s)
{
	return s->derived != DERIVED_LIST && s->count +
	    (s->programs != NULL ? s->programs->program_count : 0) == 1;
}

/*
 * What was asked for with the recipient goes on.  That the letter has gone on
 * to several is this host's to tell; to a single one, that one's (RFC 3461
 * sections 5.2.7.2 and 5.2.7.3).
 */
static void
put_notify(const struct queue *q, const struct split *s,
    struct envelope_writer *to, const struct recipient *r)
{
	uint32_t notify = r->notify;
	char orcpt[ORCPT_MAX];

	/* Whoever is told of it knows this one, and not where it leads to. */
	if (r->orcpt[0] == '\0')
		written_to(q, r, orcpt);
	else
		strlcpy(orcpt, r->orcpt, sizeof(orcpt));
	if (!is_single(s))
		notify &= ~(uint32_t)NOTIFY_SUCCESS;
	if (r->notify != 0 && notify == 0)
		notify = NOTIFY_NEVER;
	envelope_put_notify(to, notify, orcpt);
}

/*
 * Each with the address that the letter came to.
 */
static void
put_programs(const struct queue *q, const struct split *s,
    const struct envelope *from, struct envelope_writer *to)
{
	const struct recipient *r = &from->recipients[s->recipient];
	const struct errand *e = s->programs;
	size_t i;

	for (i = 0; i < e->program_count; i++) {
		envelope_put_recipient(to, r->local, r->domain[0] != '\0' ?
		    r->domain : local_domain(q), e->account);
		put_notify(q, s, to, r);
		envelope_put_program(to, e->programs[i].digest,
		    e->programs[i].is_spare);
	}
}

static void
make_envelope(const struct queue *q, const struct envelope *from,
    const struct split *s, struct envelope_writer *to)
{
	size_t i;

	envelope_reset(to);
	envelope_put_text(to, ENVELOPE_SENDER, s->sender);
	envelope_put_u32(to, ENVELOPE_FLAGS, from->flags);
	if (s->derived != DERIVED_NOT)
		envelope_put_u32(to, ENVELOPE_DERIVED, s->derived);
	if (from->helo[0] != '\0')
		envelope_put_text(to, ENVELOPE_HELO, from->helo);
	if (from->client[0] != '\0')
		envelope_put_text(to, ENVELOPE_CLIENT, from->client);
	if (from->login[0] != '\0')
		envelope_put_text(to, ENVELOPE_LOGIN, from->login);
	/* A list's owner has not asked for anything. */
	if (s->derived != DERIVED_LIST)
		envelope_put_dsn(to, from->ret, from->envid);
	for (i = 0; i < s->count; i++) {
		put_target(q, to, &s->targets[i]);
		if (s->derived != DERIVED_LIST)
			put_notify(q, s, to, &from->recipients[s->recipient]);
	}
	if (s->programs != NULL)
		put_programs(q, s, from, to);
}

/* 0, or -1 with errno.  What fails on the way stays in the writer. */
static int
copy_content(const struct letter *l, struct spool_writer *w)
{
	uint64_t done = 0;
	uint8_t *space;
	size_t size;
	ssize_t n;

	while (done < l->length) {
		spool_space(w, &space, &size);
		if (size > l->length - done)
			size = (size_t)(l->length - done);
		n = pread(l->fd, space, size, (off_t)(l->offset + done));
		if (n == -1)
			return -1;
		if (n == 0) {
			errno = EIO;	/* it was there when it was opened */
			return -1;
		}
		spool_filled(w, (size_t)n);
		done += (uint64_t)n;
	}
	return 0;
}

static int
write_letter(struct queue *q, const struct job *job, const struct split *s)
{
	static struct envelope_writer envelope;
	struct spool_writer *w;
	int saved;

	make_envelope(q, &job->letter.envelope, s, &envelope);
	w = derived_begin(&q->spool, &envelope, job->letter.name.id, s->what);
	if (w == NULL)
		return -1;
	spool_put(w, s->head, strlen(s->head));
	if (copy_content(&job->letter, w) == 0)
		return spool_hold(w);
	saved = errno;
	spool_abort(w);
	errno = saved;
	return -1;
}

/* Written, on record, and on its way. */
static int
go_on(struct queue *q, struct job *job, const struct split *s)
{
	struct outcome o = {
		.kind = OUTCOME_SPLIT, .recipient = s->recipient,
		.attempt = job->attempt, .key = s->key, .when = q->now,
		.status = "2.0.0",
	};

	if (s->derived == DERIVED_LIST)
		o.flags = OUTCOME_ARRIVED;
	else if (is_single(s))
		o.flags = OUTCOME_HAS_DSN;
	derived_id(job->letter.name.id, s->what, o.target);
	strlcpy(o.text, s->text, sizeof(o.text));
	if (write_letter(q, job, s) == -1 ||
	    letter_record(&q->spool, &job->letter, &o, 1) == -1) {
		log_event(LOG_ERR, 0, "event=spool-fault id=%s error=\"%s\" "
		    "text=\"it can't go on now\"", job->letter.name.id,
		    strerror(errno));
		return -1;
	}
	/* Or when this one is opened again; which must come, then. */
	if (job_release(q, &job->letter) == -1)
		job->has_more = 1;
	log_event(LOG_INFO, 0, "event=split id=%s derived=%s what=%s "
	    "recipients=%zu", job->letter.name.id, o.target, s->what,
	    s->count + (s->programs != NULL ? s->programs->program_count : 0));
	return 0;
}

static int
is_split(const struct letter *l, uint64_t key)
{
	size_t i;

	for (i = 0; i < l->outcome_count; i++)
		if (l->outcomes[i].key == key &&
		    outcome_is_final(&l->outcomes[i]))
			return 1;
	return 0;
}

static void
put_off(struct queue *q, struct job *job, const struct split *s)
{
	struct outcome *o = job_add_news(q, job, NULL);

	o->kind = OUTCOME_DEFERRED;
	o->recipient = s->recipient;
	o->key = s->key;
	strlcpy(o->status, "4.3.0", sizeof(o->status));
	strlcpy(o->text, "the letter can't go on now", sizeof(o->text));
	job_log_outcome(q, job, o, NULL);
}

void
job_split_list(struct queue *q, struct job *job, const char *list,
    const struct expand_target *targets, size_t count, uint32_t recipient)
{
	char what[ALIAS_NAME_MAX + 32], sender[PATH_TEXT_MAX];
	struct split s = {
		.what = what, .text = "sent on to the members of a list",
		.sender = sender, .derived = DERIVED_LIST, .head = "", .recipient = recipient
	};
	struct address owner;
	size_t done;

	snprintf(owner.local, sizeof(owner.local), "owner-%s", list);
	strlcpy(owner.domain, local_domain(q), sizeof(owner.domain));
	/* A bounce stays one, or it might go round for ever. */
	if (job->letter.envelope.sender[0] == '\0' ||
	    address_print(&owner, sender, sizeof(sender)) == -1)
		sender[0] = '\0';
	for (done = 0; done < count; done += s.count) {
		s.targets = targets + done;
		s.count = count - done < RECIPIENTS_MAX ? count - done :
		    RECIPIENTS_MAX;
		snprintf(what, sizeof(what), "list.%s.%zu", list,
		    done / RECIPIENTS_MAX);
		s.key = outcome_key(what);
		if (!is_split(&job->letter, s.key) && go_on(q, job, &s) == -1)
			put_off(q, job, &s);
	}
}

int
job_forward(struct queue *q, struct job *job, const struct errand *e)
{
	static struct expand_target targets[FORWARD_MAX];
	char what[ACCOUNT_LIMIT + 32], mark[FORWARD_MARK_MAX];
	const struct split s = {
		.what = what, .text = "forwarded",
		.sender = job->letter.envelope.sender,
		.derived = DERIVED_FORWARD, .head = mark,
		.recipient = e->recipient, .key = e->key, .targets = targets,
		.count = e->address_count,
		.programs = e
	};
	size_t i;

	snprintf(what, sizeof(what), "forward.%s", e->account);
	forward_mark(e->account, q->config, mark);
	for (i = 0; i < e->address_count; i++) {
		/* The names among them may be aliases. */
		targets[i].kind = TARGET_NAME;
		targets[i].text = e->addresses[i];
		targets[i].list = NULL;
	}
	return go_on(q, job, &s);
}
