/*
 * notice: who is told what, and that it is done once.
 *
 * Runs in the queue, as queue-user; touches the spool.
 *
 * The sender of a letter is told of what has failed since he was last told, at
 * the end of the attempt; once, that it is late; and of what has arrived, if he
 * asked for that.  Of a letter without a sender, postmaster is told what has
 * failed, and of that letter nobody any more: it is kept in failed/ (C26).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "privsep/log.h"
#include "smtpd/bounce.h"
#include "smtpd/derived.h"
#include "smtpd/job.h"

static const char *const names[] = {	/* as on record */
	[BOUNCE_FAILED] = "bounce",
	[BOUNCE_DELAYED] = "delay",
	[BOUNCE_DELIVERED] = "success",
};
#define ACTIONS	(sizeof(names) / sizeof(names[0]))

/* What has been told so far: how often, and up to which attempt. */
struct told {
	unsigned	count;
	uint32_t	attempt;
};

static struct told
look_up(const struct letter *l, enum bounce_action action)
{
	const struct outcome *o;
	struct told told = { 0, 0 };
	size_t i;

	for (i = 0; i < l->outcome_count; i++) {
		o = &l->outcomes[i];
		if (o->kind != OUTCOME_NOTIFIED ||
		    strcmp(o->text, names[action]) != 0)
			continue;
		told.count++;
		if (o->attempt > told.attempt)
			told.attempt = o->attempt;
	}
	return told;
}

/* RFC 3461 section 4.1: what was not asked for is failures and delays. */
static int
is_asked_for(const struct recipient *r, enum bounce_action action)
{
	static const uint32_t bits[] = {
		[BOUNCE_FAILED] = NOTIFY_FAILURE,
		[BOUNCE_DELAYED] = NOTIFY_DELAY,
		[BOUNCE_DELIVERED] = NOTIFY_SUCCESS,
	};

	return r->notify == 0 ? action != BOUNCE_DELIVERED :
	    (r->notify & bits[action]) != 0;
}

static int
is_of(const struct outcome *o, enum bounce_action action)
{
	switch (action) {
	case BOUNCE_FAILED:
		return o->kind == OUTCOME_FAILED;
	case BOUNCE_DELAYED:
		return o->kind == OUTCOME_DEFERRED;
	case BOUNCE_DELIVERED:
		/* A host that has DSN tells him itself. */
		return (o->kind == OUTCOME_DELIVERED ||
		    o->kind == OUTCOME_SPLIT) &&
		    (o->flags & OUTCOME_HAS_DSN) == 0;
	}
	return 0;
}

struct choice {
	const struct outcome	**outcomes;
	size_t			 count;
};

/* Several mailboxes behind one name are one success. */
static int
is_chosen(const struct choice *c, const struct outcome *o)
{
	size_t i;

	if ((o->flags & OUTCOME_ELSEWHERE) != 0)
		return 0;
	for (i = 0; i < c->count; i++)
		if (c->outcomes[i]->recipient == o->recipient &&
		    (c->outcomes[i]->flags & OUTCOME_ELSEWHERE) == 0)
			return 1;
	return 0;
}

static void
choose(struct choice *c, const struct letter *l, const struct outcome *o,
    size_t count, enum bounce_action action, uint32_t after)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (!is_of(&o[i], action) || o[i].attempt <= after ||
		    !is_asked_for(&l->envelope.recipients[o[i].recipient],
		    action))
			continue;
		if (action != BOUNCE_DELIVERED || !is_chosen(c, &o[i]))
			c->outcomes[c->count++] = &o[i];
	}
}

/* Can there be anything to tell, and anybody to tell it? */
static int
is_due(const struct queue *q, const struct job *job,
    enum bounce_action action, const struct told *told, int is_over)
{
	const struct letter *l = &job->letter;
	uint64_t late = q->config->delay_notice;

	if (l->envelope.sender[0] == '\0')
		return action == BOUNCE_FAILED &&
		    l->envelope.derived != DERIVED_DOUBLE;
	if (action == BOUNCE_DELAYED)
		return !is_over && late > 0 && told->count == 0 &&
		    q->now >= l->arrived + late;
	return 1;
}

static int
write_notice(struct queue *q, struct job *job, struct bounce *b,
    const char *what)
{
	static struct envelope_writer envelope;
	struct spool_writer *w;

	if (bounce_prepare(b) == -1)
		return -1;
	bounce_envelope(b, &envelope);
	w = derived_begin(&q->spool, &envelope, job->letter.name.id, what);
	if (w == NULL)
		return -1;
	bounce_write(b, w);
	return spool_hold(w);
}

static void
log_notice(const struct job *job, const struct bounce *b, const char *id)
{
	char to[LOG_VALUE_MAX];

	log_event(LOG_INFO, 0, "event=notice id=%s derived=%s what=%s%s to=%s "
	    "recipients=%zu", job->letter.name.id, id,
	    b->is_double ? "double-" : "", names[b->action],
	    log_value(b->is_double ? "postmaster" :
	    job->letter.envelope.sender, to), b->count);
}

static int
notify(struct queue *q, struct job *job, enum bounce_action action,
    const struct choice *choice, const struct told *told)
{
	struct bounce b = {
		.config = q->config, .letter = &job->letter, .action = action,
		.is_double = job->letter.envelope.sender[0] == '\0',
		.outcomes = choice->outcomes, .count = choice->count,
		.now = q->now,
	};
	struct outcome *o;
	char what[32];

	snprintf(what, sizeof(what), "%s.%u", names[action], told->count + 1);
	if (write_notice(q, job, &b, what) == -1) {
		log_event(LOG_ERR, 0, "event=spool-fault id=%s error=\"%s\" "
		    "text=\"the sender can't be told now\"",
		    job->letter.name.id, strerror(errno));
		return -1;
	}
	o = job_add_news(q, job, NULL);
	o->kind = OUTCOME_NOTIFIED;
	derived_id(job->letter.name.id, what, o->target);
	strlcpy(o->text, names[action], sizeof(o->text));
	log_notice(job, &b, o->target);
	return 0;
}

static int
notify_of(struct queue *q, struct job *job, enum bounce_action action,
    int is_over)
{
	const struct letter *l = &job->letter;
	const struct told told = look_up(l, action);
	struct choice choice = { 0 };
	int result = 0;

	if (!is_due(q, job, action, &told, is_over))
		return 0;
	choice.outcomes = reallocarray(NULL, l->outcome_count +
	    job->news_count + 1, sizeof(*choice.outcomes));
	if (choice.outcomes == NULL)
		fatal("out of memory");
	/* What was put off before is told by the news of it, or is over. */
	if (action != BOUNCE_DELAYED)
		choose(&choice, l, l->outcomes, l->outcome_count, action,
		    told.attempt);
	choose(&choice, l, job->news, job->news_count, action, told.attempt);
	if (choice.count > 0)
		result = notify(q, job, action, &choice, &told);
	free(choice.outcomes);
	return result;
}

int
job_notify(struct queue *q, struct job *job, int is_over)
{
	size_t i, count = job->news_count;

	for (i = 0; i < ACTIONS; i++)
		if (notify_of(q, job, (enum bounce_action)i, is_over) == -1) {
			job->news_count = count;
			return -1;
		}
	return 0;
}

int
job_has_notices(const struct job *job)
{
	size_t i;

	for (i = 0; i < job->news_count; i++)
		if (job->news[i].kind == OUTCOME_NOTIFIED)
			return 1;
	return 0;
}

/* As fresh as one that a session has just put in. */
static void
hint(void *arg, const struct spool_name *name)
{
	char text[SPOOL_NAME_MAX];

	if (spool_name_print(name, text) == 0)
		queue_hint(arg, text);
}

int
job_release(struct queue *q, struct letter *letter)
{
	if (derived_release_all(&q->spool, letter, q->now, hint, q) == 0)
		return 0;
	log_event(LOG_ERR, 0, "event=spool-fault id=%s error=\"%s\" text=\"a "
	    "letter in held/ can't go\"", letter->name.id, strerror(errno));
	return -1;
}

int
job_is_hopeless(const struct job *job)
{
	size_t i;

	if (job->letter.envelope.derived != DERIVED_DOUBLE)
		return 0;
	for (i = 0; i < job->news_count; i++)
		if (job->news[i].kind == OUTCOME_FAILED)
			return 1;
	return job->has_failed;
}
