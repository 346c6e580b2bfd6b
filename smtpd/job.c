/*
 * job: a letter that is due: opened and handed out.
 *
 * Runs in the queue, as queue-user; touches the spool.  job_expand.c says to
 * whom it goes, settle.c puts on record what comes of it.
 */
#include <sys/file.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "privsep/log.h"
#include "smtpd/job.h"

#define LOCKED_WAIT	2	/* seconds, for a letter that is locked */
#define FAULT_WAIT	60	/* seconds, when the spool itself fails */
#define NOTICES_MAX	8	/* records of them in one attempt, and some */
#define STARTS_MAX	500	/* letters looked at in one turn */

/*
 * The lock is everybody's who has a copy of the descriptor, so that nothing is
 * tried again before the first try has ended.  But one who does not answer may
 * be stopped by his user, for ever: the others do not wait for that, and a
 * mailbox knows what it has.
 */
static void
unlock(const struct job *job)
{
	size_t i;

	for (i = 0; i < job->errand_count; i++)
		if (job->errands[i].is_silent)
			(void)flock(job->letter.fd, LOCK_UN);
}

void
job_free(struct queue *q, struct job *job)
{
	struct schedule_entry next;
	size_t i;

	TAILQ_REMOVE(&q->jobs, job, link);
	q->job_count--;
	if (sender_close(&q->senders, job->sender, &next))
		schedule_push(&q->schedule, &next);
	q->again_count -= job->is_again != 0;
	unlock(job);
	letter_close(&job->letter);
	for (i = 0; i < job->errand_count; i++) {
		handout_forget_addresses(&job->errands[i]);
		free(job->errands[i].account);
		free(job->errands[i].alias);
	}
	free(job->errands);
	free(job->news);
	free(job->news_accounts);
	free(job);
}

struct job *
job_find(const struct queue *q, const char *id)
{
	struct job *job;

	TAILQ_FOREACH(job, &q->jobs, link)
		if (strcmp(job->letter.name.id, id) == 0)
			break;
	return job;
}

/* Whoever failed, and whatever the aliases say by now: it is not forgotten. */
static int
has_failure(const struct letter *letter)
{
	size_t i;

	for (i = 0; i < letter->outcome_count; i++)
		if (letter->outcomes[i].kind == OUTCOME_FAILED)
			return 1;
	return 0;
}

/* A file that is no letter: out of the way, and kept. */
static void
quarantine(struct queue *q, const struct spool_name *name)
{
	log_event(LOG_ERR, 0, "event=unreadable id=%s text=\"the file is "
	    "damaged; it is kept in failed/\"", name->id);
	if (spool_fail(&q->spool, name) == -1)
		queue_look_again(q, name, q->now + FAULT_WAIT);
}

/* Its sender has many open, and others may need the place: not now. */
static int
is_set_aside(struct queue *q, struct job *job,
    const struct schedule_entry *entry)
{
	job->sender = sender_key(&job->letter.envelope);
	return q->job_count >= JOBS_BUSY && !entry->is_asked &&
	    sender_is_busy(&q->senders, job->sender) &&
	    sender_put_aside(&q->senders, job->sender, entry) == 0;
}

static struct job *
job_open(struct queue *q, const struct schedule_entry *entry)
{
	struct job *job = calloc(1, sizeof(*job));
	int saved;

	if (job == NULL)
		fatal("out of memory");
	if (letter_open(&q->spool, &entry->name, &job->letter) == 0) {
		if (is_set_aside(q, job, entry)) {
			letter_close(&job->letter);
			free(job);
			return NULL;
		}
		if (job_release(q, &job->letter) == -1) {
			queue_look_again(q, &entry->name, q->now + FAULT_WAIT);
			letter_close(&job->letter);
			free(job);
			return NULL;
		}
		job->attempt = letter_attempts(&job->letter) + 1;
		job->is_fresh = entry->is_fresh && job->attempt == 1 &&
		    job->letter.arrived > q->started;
		job->is_asked = entry->is_asked;
		job->has_failed = has_failure(&job->letter);
		TAILQ_INSERT_TAIL(&q->jobs, job, link);
		q->job_count++;
		sender_open(&q->senders, job->sender);
		job->is_again = schedule_kind(entry) == SCHEDULE_AGAIN;
		q->again_count += job->is_again != 0;
		return job;
	}
	saved = errno;
	free(job);
	errno = saved;
	if (errno == EWOULDBLOCK)
		queue_look_again(q, &entry->name, q->now + LOCKED_WAIT);
	else if (errno == EBADMSG)
		quarantine(q, &entry->name);
	else if (errno != ENOENT) {
		log_event(LOG_ERR, 0, "event=spool-fault id=%s error=\"%s\"",
		    entry->name.id, strerror(errno));
		queue_look_again(q, &entry->name, q->now + FAULT_WAIT);
	}
	return NULL;
}

struct handout *
job_handout(struct queue *q, const struct errand *e)
{
	return e->digest[0] != '\0' && !e->is_for_mailbox ? &q->programs :
	    &q->handout;
}

static int
is_outstanding(const struct errand *e)
{
	return (e->line != NULL && !e->is_unsettled) || e->destination != NULL;
}

static int
is_stuck(const struct errand *e)
{
	return e->is_elsewhere ? outbound_is_stuck(e) : handout_is_stuck(e);
}

int
job_is_stuck(const struct job *job)
{
	size_t i;

	if (job->outstanding == 0)
		return 0;
	for (i = 0; i < job->errand_count; i++)
		if (is_outstanding(&job->errands[i]) &&
		    !is_stuck(&job->errands[i]))
			return 0;
	return 1;
}

int
job_is_waiting(const struct job *job)
{
	const struct errand *e;
	size_t i;

	for (i = 0; i < job->errand_count; i++) {
		e = &job->errands[i];
		if (e->is_unsettled || e->is_sent || handout_has_begun(e))
			return 0;
	}
	return job->news_count == 0;
}

void
job_withdraw(struct job *job)
{
	struct errand *e;
	size_t i;

	for (i = 0; i < job->errand_count; i++) {
		e = &job->errands[i];
		if (is_outstanding(e) && e->is_elsewhere)
			outbound_withdraw(e);
		else if (is_outstanding(e))
			handout_withdraw(e);
	}
	job->outstanding = 0;
	job->has_more = 1;
}

void
job_park(struct queue *q, struct job *job)
{
	const struct spool_name *name = &job->letter.name;
	const struct errand *e = job->errands;
	int result;

	while (!is_outstanding(e))
		e++;
	result = e->is_elsewhere ? outbound_park(e, name) :
	    handout_park(job_handout(q, e), e, name);
	if (result == -1)
		queue_look_again(q, name, q->now + FAULT_WAIT);
	job_withdraw(job);
	job_free(q, job);
}

/*
 * A mailbox knows what it has.  Another host does not; but of what leaves the
 * queue with this errand's success there is no need of a record.
 */
static int
needs_record(const struct job *job, const struct errand *e)
{
	if (!e->is_elsewhere)
		return e->digest[0] != '\0';
	return job->errand_count > 1 || job->news_count > 0 ||
	    job->has_more || job->has_trouble || job->has_failed ||
	    (e->letter->envelope.recipients[e->recipient].notify &
	    NOTIFY_SUCCESS) != 0;
}

int
job_is_recordable(struct queue *q, struct job *job, struct errand *e)
{
	static const struct errand_result full = {
		.verdict = DELIVERY_DEFERRED, .status = "4.3.1",
		.text = "the spool is full: what came of it could not be "
		    "put on record"
	};

	if (job->is_reserved || !needs_record(job, e))
		return 1;
	/* One of each, and what is told of them. */
	if (letter_reserve(&q->spool, &job->letter, job->errand_count +
	    job->news_count + NOTICES_MAX) == 0) {
		job->is_reserved = 1;
		return 1;
	}
	log_event(LOG_ERR, 0, "event=spool-fault id=%s error=\"%s\"",
	    job->letter.name.id, strerror(errno));
	queue_errand_done(q, e, &full);
	return 0;
}

/* 0, or -1: no memory. */
static int
hand_out(struct queue *q, struct job *job, struct errand *e)
{
	static const struct errand_result gone = { .verdict = DELIVERY_GONE };
	static const struct errand_result bad = {
		.verdict = DELIVERY_FAILED, .status = "5.1.2",
		.text = "not a domain that mail can be sent to"
	};

	if (e->digest[0] != '\0' && e->alias[0] == '\0' &&
	    !q->config->forward_commands) {
		queue_errand_done(q, e, &gone);
		return 0;
	}
	if (!job_is_recordable(q, job, e))
		return 0;
	if (!e->is_elsewhere)
		return handout_add(job_handout(q, e), e);
	if (outbound_add(&q->outbound, e) == 0) {
		if (job->is_asked)
			outbound_lift(e);
		return 0;
	}
	if (errno != EINVAL)
		return -1;
	queue_errand_done(q, e, &bad);
	return 0;
}

/* Closed, until it is known who is in the group; this was no attempt. */
static void
job_await(struct queue *q, struct job *job, struct group *group)
{
	const struct spool_name *name = &job->letter.name;

	if (groups_park(group, name) == -1)
		queue_look_again(q, name, q->now + FAULT_WAIT);
	job_free(q, job);
}

static void
job_start(struct queue *q, const struct schedule_entry *entry)
{
	struct group *group;
	struct job *job;
	size_t i;

	if (job_find(q, entry->name.id) != NULL)
		return;
	job = job_open(q, entry);
	if (job == NULL)
		return;
	group = job_expand(q, job);
	if (group != NULL) {
		job_await(q, job, group);
		return;
	}
	/* Even with nothing to do there is an end to come to. */
	job->is_touched = 1;
	job->outstanding = job->errand_count;
	for (i = 0; i < job->errand_count; i++)
		if (hand_out(q, job, &job->errands[i]) == -1)
			fatal("out of memory");
	/* One account must not have every place: its letters wait aside. */
	if (job->news_count == 0 && job_is_stuck(job))
		job_park(q, job);
}

void
queue_start_due(struct queue *q)
{
	struct schedule_entry entry;
	int left = STARTS_MAX;

	while (left-- > 0 && q->job_count < JOBS_MAX &&
	    schedule_pop(&q->schedule, q->now, q->again_count < JOBS_AGAIN,
	    &entry))
		job_start(q, &entry);
}

uint64_t
queue_next_start(const struct queue *q)
{
	if (q->job_count >= JOBS_MAX)
		return UINT64_MAX;
	return schedule_next(&q->schedule, q->again_count < JOBS_AGAIN);
}
