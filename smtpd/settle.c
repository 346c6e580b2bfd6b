/*
 * settle: what became of each delivery, and the record of it.
 *
 * Runs in the queue, as queue-user; touches the spool.  The order of record,
 * sync and settle is argued in spool.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "privsep/log.h"
#include "smtpd/address.h"
#include "smtpd/job.h"
#include "smtpd/split.h"

#define FAULT_WAIT	60	/* seconds, when the spool itself fails */

/* One more piece of news, zeroed but for what is the same for all. */
struct outcome *
job_add_news(struct queue *q, struct job *job, const char *account)
{
	struct outcome *news, *o;
	const char **accounts;
	size_t size;

	if (job->news_count == job->news_size) {
		size = job->news_size > 0 ? job->news_size * 2 : 8;
		news = reallocarray(job->news, size, sizeof(*news));
		if (news == NULL)
			fatal("out of memory");
		job->news = news;
		accounts = reallocarray(job->news_accounts, size,
		    sizeof(*accounts));
		if (accounts == NULL)
			fatal("out of memory");
		job->news_accounts = accounts;
		job->news_size = size;
	}
	job->news_accounts[job->news_count] = account;
	o = &job->news[job->news_count++];
	memset(o, 0, sizeof(*o));
	o->attempt = job->attempt;
	o->when = q->now;
	job->is_touched = 1;
	return o;
}

/* By ~/.forward, which was read when it was put on record. */
static int
is_by_forward(const struct errand *e)
{
	return e->letter->envelope.recipients[e->recipient].program[0] != '\0';
}

static void
recipient_path(const struct letter *letter, uint32_t i,
    char path[ADDRESS_PRINT_MAX])
{
	struct address address;

	strlcpy(address.local, letter->envelope.recipients[i].local,
	    sizeof(address.local));
	strlcpy(address.domain, letter->envelope.recipients[i].domain,
	    sizeof(address.domain));
	if (address_print(&address, path, ADDRESS_PRINT_MAX) == -1)
		path[0] = '\0';
}

static uint64_t
age_of(const struct queue *q, const struct letter *letter)
{
	return q->now > letter->arrived ? q->now - letter->arrived : 0;
}

void
job_log_outcome(const struct queue *q, const struct job *job,
    const struct outcome *o, const char *account)
{
	static const char *const events[] = {
		[OUTCOME_DELIVERED] = "delivered",
		[OUTCOME_DEFERRED] = "deferred",
		[OUTCOME_FAILED] = "failed",
	};
	static const int levels[] = {
		[OUTCOME_DELIVERED] = LOG_INFO,
		[OUTCOME_DEFERRED] = LOG_NOTICE,
		[OUTCOME_FAILED] = LOG_ERR,
	};
	char path[ADDRESS_PRINT_MAX], to[LOG_VALUE_MAX];
	char text[LOG_VALUE_MAX], who[LOG_VALUE_MAX];
	int level = levels[o->kind];

	/* Somebody has to do something: say it once in a loud voice. */
	if (o->kind == OUTCOME_DEFERRED && account == NULL && o->attempt == 1)
		level = LOG_WARNING;
	recipient_path(&job->letter, o->recipient, path);
	log_event(level, 0, "event=%s id=%s to=%s account=%s delay=%" PRIu64
	    " status=%s text=%s", events[o->kind], job->letter.name.id,
	    log_value(path, to), log_value(account != NULL ? account : "-",
	    who), age_of(q, &job->letter), o->status,
	    log_value(o->text, text));
}

/*
 * The letter is not there yet: it is for the one command or file that
 * ~/.forward names, or for the mailbox after all, because that has changed.
 * 1: it is on its way; 0: *r is what has become of it.
 */
static int
goes_elsewhere(struct queue *q, struct errand *e,
    const struct errand_result **r)
{
	static const struct errand_result changed = {
		.verdict = DELIVERY_DEFERRED, .status = "4.3.0",
		.text = "what is to be done has just changed"
	};
	static const struct errand_result gone = {
		.verdict = DELIVERED, .status = "2.0.0",
		.text = "~/.forward does not want it any more"
	};

	if ((*r)->verdict == DELIVERY_PROGRAM) {
		strlcpy(e->digest, e->programs[0].digest, sizeof(e->digest));
		e->alias = strdup("");
		if (e->alias == NULL)
			fatal("out of memory");
	} else if ((*r)->verdict != DELIVERY_GONE)
		return 0;
	else if (is_by_forward(e) && !e->is_spare)
		e->is_for_mailbox = 1;
	else {
		*r = is_by_forward(e) ? &gone : &changed;
		return 0;
	}
	handout_forget_addresses(e);
	if (job_is_recordable(q, e->owner, e) &&
	    handout_add(job_handout(q, e), e) == -1)
		fatal("out of memory");
	return 1;
}

void
queue_errand_done(void *arg, struct errand *e, const struct errand_result *r)
{
	static const enum outcome_kind kinds[] = {
		[DELIVERED] = OUTCOME_DELIVERED,
		[DELIVERY_DEFERRED] = OUTCOME_DEFERRED,
		[DELIVERY_FAILED] = OUTCOME_FAILED,
	};
	static const struct errand_result later = {
		.verdict = DELIVERY_DEFERRED, .status = "4.3.0",
		.text = "the letter can't go on now"
	};
	struct queue *q = arg;
	struct job *job = e->owner;
	struct outcome *o;

	if (goes_elsewhere(q, e, &r))
		return;
	if (r->verdict == DELIVERY_FORWARDED) {
		if (job_forward(q, job, e) == 0) {
			job->outstanding--;
			job->is_touched = 1;
			return;
		}
		/* The mailbox must remember what it may have. */
		handout_drop(job_handout(q, e), e, q->now_ms);
		r = &later;
	}
	o = job_add_news(q, job, e->account);
	o->kind = kinds[r->verdict];
	o->recipient = e->recipient;
	o->key = e->key;
	strlcpy(o->status, r->status, sizeof(o->status));
	strlcpy(o->text, r->text, sizeof(o->text));
	strlcpy(o->remote, r->remote, sizeof(o->remote));
	strlcpy(o->target, e->account, sizeof(o->target));
	o->code = r->code;
	if (e->is_elsewhere)
		o->flags = OUTCOME_ELSEWHERE |
		    (r->has_dsn ? OUTCOME_HAS_DSN : 0);
	job->outstanding--;
	job_log_outcome(q, job, o, e->account);
}

void
queue_letter_unparked(void *arg, const struct spool_name *name)
{
	struct queue *q = arg;

	/* It has waited for longer than what is in the schedule now. */
	queue_look_again(q, name, name->due < q->now ? name->due : q->now);
}

void
queue_errand_waits(void *arg, struct errand *e)
{
	struct job *job = e->owner;

	(void)arg;
	job->is_touched = 1;
}

/* Put the first of the news on record. */
static int
record_news(struct queue *q, struct job *job, size_t count)
{
	size_t i;

	if (letter_record(&q->spool, &job->letter, job->news, count) == -1) {
		log_event(LOG_ERR, 0, "event=spool-fault id=%s error=\"%s\"",
		    job->letter.name.id, strerror(errno));
		return -1;
	}
	for (i = 0; i < count; i++)
		job->has_failed |= job->news[i].kind == OUTCOME_FAILED;
	job->news_count -= count;
	for (i = 0; i < job->news_count; i++) {
		job->news[i] = job->news[count + i];
		job->news_accounts[i] = job->news_accounts[count + i];
	}
	return 0;
}

int
job_record(struct queue *q, struct job *job)
{
	return record_news(q, job, job->news_count);
}

/* Too old: what would be tried again has failed. */
static void
give_up(struct queue *q, struct job *job)
{
	struct outcome *o;
	size_t i;

	for (i = 0; i < job->news_count; i++) {
		o = &job->news[i];
		if (o->kind != OUTCOME_DEFERRED)
			continue;
		o->kind = OUTCOME_FAILED;
		if (o->status[0] == '4')
			o->status[0] = '5';
		job_log_outcome(q, job, o, job->news_accounts[i]);
	}
}

static int
has_news_of(const struct job *job, enum outcome_kind kind)
{
	size_t i;

	for (i = 0; i < job->news_count; i++)
		if (job->news[i].kind == kind)
			return 1;
	return 0;
}

/* Final outcomes to the front of the news; how many. */
static size_t
finals_first(struct job *job)
{
	struct outcome o;
	const char *account;
	size_t i, n = 0;

	for (i = 0; i < job->news_count; i++) {
		if (job->news[i].kind == OUTCOME_DEFERRED)
			continue;
		o = job->news[n];
		job->news[n] = job->news[i];
		job->news[i] = o;
		account = job->news_accounts[n];
		job->news_accounts[n++] = job->news_accounts[i];
		job->news_accounts[i] = account;
	}
	return n;
}

/* To be tried again: on record if that can be, and under a new name. */
static void
job_defer(struct queue *q, struct job *job, int *is_recorded)
{
	struct spool_name *name = &job->letter.name;
	uint32_t noise = (uint32_t)(outcome_key(name->id) ^ q->now_ms);
	uint64_t due = q->now + retry_delay(q->config, job->attempt, noise);

	int has_notices = job_has_notices(job);

	*is_recorded = job_record(q, job) == 0;
	/* If they can't go now, then when the letter comes again. */
	if (*is_recorded && has_notices)
		(void)job_release(q, &job->letter);
	if (queue_rename(q, name, due) == -1)
		log_event(LOG_ERR, 0, "event=spool-fault id=%s error=\"%s\"",
		    name->id, strerror(errno));
	queue_look_again(q, name, due);
}

static int
job_fail(struct queue *q, struct job *job)
{
	(void)job_record(q, job);
	log_event(LOG_ERR, 0, "event=undeliverable id=%s text=\"postmaster "
	    "can't be told; the letter is kept in failed/\"",
	    job->letter.name.id);
	return spool_fail(&q->spool, &job->letter.name);
}

static int
has_final(const struct outcome *outcomes, size_t count, uint64_t key)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (outcome_is_final(&outcomes[i]) && outcomes[i].key == key)
			return 1;
	return 0;
}

/*
 * Asked before the letter leaves the queue, and of the records, not of what
 * led here: is it known of everybody what became of it?
 */
static int
is_over(const struct job *job, int has_failed)
{
	uint64_t key;
	size_t i;

	for (i = 0; i < job->errand_count; i++) {
		key = job->errands[i].key;
		if (!has_final(job->news, job->news_count, key) &&
		    !has_final(job->letter.outcomes,
		    job->letter.outcome_count, key))
			break;
	}
	if (i == job->errand_count && (has_failed || !job->has_trouble))
		return 1;
	log_event(LOG_CRIT, 0, "event=spool-fault id=%s text=\"somebody's "
	    "outcome is not known: it is tried again\"",
	    job->letter.name.id);
	return 0;
}

/* What a turn has to sync. */
struct ending {
	int	removed;	/* something left queue/ */
	int	failed;		/* and went to failed/ */
};

/*
 * It leaves the queue; but first what is told of it is on its way, which also
 * puts everything on record.
 */
static void
job_end(struct queue *q, struct job *job, struct ending *ending,
    int *is_recorded)
{
	int done;

	if (job_has_notices(job)) {
		*is_recorded = job_record(q, job) == 0;
		if (!*is_recorded || job_release(q, &job->letter) == -1) {
			queue_look_again(q, &job->letter.name, q->now +
			    FAULT_WAIT);
			return;
		}
	}
	if (job_is_hopeless(job)) {
		done = job_fail(q, job);
		ending->failed = 1;
	} else
		done = spool_remove(&q->spool, &job->letter.name);
	if (done == -1) {
		log_event(LOG_ERR, 0, "event=spool-fault id=%s error=\"%s\"",
		    job->letter.name.id, strerror(errno));
		*is_recorded = 0;
		queue_look_again(q, &job->letter.name, q->now + FAULT_WAIT);
		return;
	}
	ending->removed = 1;
}

/*
 * Nobody is outstanding: the letter's way goes on or ends.  *is_recorded: the
 * deliveries of this turn are on record, once what is in *ending is synced.
 */
static void
job_finish(struct queue *q, struct job *job, struct ending *ending,
    int *is_recorded)
{
	int has_failed, is_end;

	*is_recorded = 1;
	/* Age alone may be only a clock that was put right. */
	if (age_of(q, &job->letter) > q->config->give_up_after &&
	    job->attempt >= retry_attempts(q->config))
		give_up(q, job);
	has_failed = job->has_failed || has_news_of(job, OUTCOME_FAILED);
	is_end = !has_news_of(job, OUTCOME_DEFERRED) && !job->has_more &&
	    is_over(job, has_failed);
	if (job_notify(q, job, is_end) == -1)
		is_end = 0;
	if (is_end)
		job_end(q, job, ending, is_recorded);
	else
		job_defer(q, job, is_recorded);
}

/* Let the mailboxes forget, or not. */
static void
job_settle(struct queue *q, struct job *job, int is_recorded)
{
	struct errand *e;
	size_t i;

	for (i = 0; i < job->errand_count; i++) {
		e = &job->errands[i];
		if (!e->is_unsettled)
			continue;
		if (is_recorded)
			handout_settle(job_handout(q, e), e, q->now_ms);
		else
			handout_drop(job_handout(q, e), e, q->now_ms);
	}
}

/*
 * A letter that goes on: final outcomes on record now, so that its agents
 * need not wait for the slowest.  A deferral stays news until the end, which
 * it decides about.
 */
static void
job_go_on(struct queue *q, struct job *job)
{
	int is_recorded = 1, is_stuck = job_is_stuck(job);

	if (is_stuck || has_news_of(job, OUTCOME_DELIVERED))
		is_recorded = record_news(q, job, finals_first(job)) == 0;
	job_settle(q, job, is_recorded);
	if (is_stuck && job->news_count == 0)
		job_park(q, job);
}

void
queue_settle(struct queue *q)
{
	struct ending ending = { 0, 0 };
	struct job *job, *next;
	struct job_list ended;
	int is_recorded, is_synced = 1;

	TAILQ_INIT(&ended);
	TAILQ_FOREACH_SAFE(job, &q->jobs, link, next) {
		if (!job->is_touched)
			continue;
		job->is_touched = 0;
		if (has_news_of(job, OUTCOME_DEFERRED) && job_is_stuck(job))
			job_withdraw(job);
		if (job->outstanding > 0) {
			job_go_on(q, job);
			continue;
		}
		job_finish(q, job, &ending, &is_recorded);
		if (!is_recorded)
			job_settle(q, job, 0);
		TAILQ_REMOVE(&q->jobs, job, link);
		TAILQ_INSERT_TAIL(&ended, job, link);
	}
	if (ending.removed && spool_sync(&q->spool, ending.failed) == -1) {
		log_event(LOG_ERR, 0, "event=spool-fault error=\"%s\"",
		    strerror(errno));
		is_synced = 0;
	}
	while ((job = TAILQ_FIRST(&ended)) != NULL) {
		job_settle(q, job, is_synced);
		TAILQ_REMOVE(&ended, job, link);
		TAILQ_INSERT_TAIL(&q->jobs, job, link);
		job_free(q, job);
	}
}
