/*
 * job: what is done with one letter, and the record of it.
 *
 * Runs in the queue, as queue-user; touches the spool, and reads the aliases
 * file.  The order of record, sync and settle is argued in spool.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "privsep/log.h"
#include "smtpd/address.h"
#include "smtpd/expand.h"
#include "smtpd/job.h"

#define SCHEDULE_LIMIT	100000	/* names in memory, at most twice that */
#define LOCKED_WAIT	2	/* seconds, for a letter that is locked */
#define FAULT_WAIT	60	/* seconds, when the spool itself fails */

static void	errand_done(void *, struct errand *,
		    const struct errand_result *);
static void	letter_unparked(void *, const struct spool_name *);

static struct handout_ops handout_ops = {
	.done = errand_done,
	.unpark = letter_unparked,
};

void
queue_init(struct queue *q, const struct config *config,
    int (*need)(void *, uint64_t))
{
	memset(q, 0, sizeof(*q));
	q->config = config;
	TAILQ_INIT(&q->jobs);
	schedule_init(&q->schedule, SCHEDULE_LIMIT);
	handout_ops.need = need;
	handout_init(&q->handout, &handout_ops, q, config->hostname);
	queue_tick(q);
	q->started = q->now;
}

void
queue_tick(struct queue *q)
{
	struct timespec ts;

	q->now = (uint64_t)time(NULL);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	q->now_ms = (uint64_t)ts.tv_sec * 1000 +
	    (uint64_t)ts.tv_nsec / 1000000;
}

/* Look at a letter no earlier than when. */
static void
look_again(struct queue *q, const struct spool_name *name, uint64_t when)
{
	const struct schedule_entry entry = { .when = when, .name = *name };

	schedule_push(&q->schedule, &entry);
}

static void
collect(void *arg, const struct spool_name *name)
{
	struct queue *q = arg;
	const struct schedule_entry entry = { .when = name->due,
	    .name = *name };

	schedule_collect(&q->schedule, &entry);
}

void
queue_scan(struct queue *q)
{
	static size_t told;
	size_t strange;
	int removed;

	handout_forget_parked(&q->handout);
	schedule_begin(&q->schedule);
	if (spool_scan(&q->spool, collect, q, &strange) == -1)
		log_event(LOG_ERR, 0, "event=spool-fault error=\"%s\"",
		    strerror(errno));
	schedule_end(&q->schedule);
	if (strange > told)
		log_event(LOG_WARNING, 0, "event=spool-fault text=\"%zu "
		    "files in queue/ are not named as letters\"", strange);
	told = strange;
	removed = spool_clean(&q->spool);
	if (removed > 0)
		log_event(LOG_INFO, 0, "event=spool-clean removed=%d",
		    removed);
}

void
queue_hint(struct queue *q, const char *text)
{
	struct schedule_entry entry = { .when = q->now, .is_fresh = 1 };

	if (spool_name_parse(text, &entry.name) == 0)
		schedule_push(&q->schedule, &entry);
}

static void
letter_unparked(void *arg, const struct spool_name *name)
{
	struct queue *q = arg;

	look_again(q, name, q->now);
}

static void
job_free(struct queue *q, struct job *job)
{
	TAILQ_REMOVE(&q->jobs, job, link);
	q->job_count--;
	letter_close(&job->letter);
	free(job->errands);
	free(job->news);
	free(job->news_accounts);
	free(job);
}

/* One more piece of news, zeroed but for what is the same for all. */
static struct outcome *
add_news(struct queue *q, struct job *job, const char *account)
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

static void
log_outcome(const struct queue *q, const struct job *job,
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

/* A delivery's outcome on record, if it is a final one. */
static const struct outcome *
find_final(const struct letter *letter, uint64_t key, uint32_t recipient)
{
	const struct outcome *o;
	size_t i;

	for (i = 0; i < letter->outcome_count; i++) {
		o = &letter->outcomes[i];
		if (o->kind != OUTCOME_DEFERRED && o->key == key &&
		    (key != 0 || o->recipient == recipient))
			return o;
	}
	return NULL;
}

static int
has_errand(const struct job *job, uint64_t key)
{
	size_t i;

	for (i = 0; i < job->errand_count; i++)
		if (job->errands[i].key == key)
			return 1;
	return 0;
}

static void
add_errand(struct job *job, const char *account, uint32_t recipient)
{
	const struct outcome *final;
	struct errand *e;
	uint64_t key = outcome_key(account);
	size_t size;

	final = find_final(&job->letter, key, recipient);
	if (final != NULL) {
		job->has_failed |= final->kind == OUTCOME_FAILED;
		return;
	}
	/* Two recipients, one mailbox: one copy. */
	if (has_errand(job, key))
		return;
	if (job->errand_count == ERRANDS_MAX) {
		job->has_more = 1;
		return;
	}
	if (job->errand_count == job->errand_size) {
		size = job->errand_size > 0 ? job->errand_size * 2 : 4;
		e = reallocarray(job->errands, size, sizeof(*e));
		if (e == NULL)
			fatal("out of memory");
		job->errands = e;
		job->errand_size = size;
	}
	e = &job->errands[job->errand_count++];
	memset(e, 0, sizeof(*e));
	e->letter = &job->letter;
	e->owner = job;
	e->account = account;
	e->key = key;
	e->recipient = recipient;
	e->is_tried = !job->is_fresh;
}

/* A recipient that leads nowhere, now or for good. */
static void
add_trouble(struct queue *q, struct job *job, const struct expansion *x,
    uint32_t recipient)
{
	struct outcome *o;

	if (find_final(&job->letter, 0, recipient) != NULL) {
		job->has_failed = 1;
		return;
	}
	o = add_news(q, job, NULL);
	o->kind = x->trouble;
	o->recipient = recipient;
	strlcpy(o->status, x->status, sizeof(o->status));
	strlcpy(o->text, x->text, sizeof(o->text));
	log_outcome(q, job, o, NULL);
}

/*
 * Accounts' names live in the aliases, which may be read anew while this
 * letter is out: so each errand gets its own.
 */
static void
own_accounts(struct job *job)
{
	size_t i;

	for (i = 0; i < job->errand_count; i++) {
		job->errands[i].account = strdup(job->errands[i].account);
		if (job->errands[i].account == NULL)
			fatal("out of memory");
	}
}

static void
disown_accounts(struct job *job)
{
	size_t i;

	for (i = 0; i < job->errand_count; i++)
		free((void *)(uintptr_t)job->errands[i].account);
	job->errand_count = 0;
}

static void
job_expand(struct queue *q, struct job *job)
{
	static struct expansion x;	/* too large for a stack */
	const struct envelope *envelope = &job->letter.envelope;
	uint32_t i;
	size_t n;

	aliases_refresh(&q->aliases);
	for (i = 0; i < envelope->recipient_count; i++) {
		expand(&q->aliases, &envelope->recipients[i], &x);
		for (n = 0; n < x.count; n++)
			add_errand(job, x.accounts[n], i);
		if (x.trouble != 0)
			add_trouble(q, job, &x, i);
	}
	own_accounts(job);
}

static void
errand_done(void *arg, struct errand *e, const struct errand_result *r)
{
	static const enum outcome_kind kinds[] = {
		[DELIVERED] = OUTCOME_DELIVERED,
		[DELIVERY_DEFERRED] = OUTCOME_DEFERRED,
		[DELIVERY_FAILED] = OUTCOME_FAILED,
	};
	struct queue *q = arg;
	struct job *job = e->owner;
	struct outcome *o = add_news(q, job, e->account);

	o->kind = kinds[r->verdict];
	o->recipient = e->recipient;
	o->key = e->key;
	strlcpy(o->status, r->status, sizeof(o->status));
	strlcpy(o->text, r->text, sizeof(o->text));
	job->outstanding--;
	log_outcome(q, job, o, e->account);
}

static int
is_open(const struct queue *q, const char *id)
{
	const struct job *job;

	TAILQ_FOREACH(job, &q->jobs, link)
		if (strcmp(job->letter.name.id, id) == 0)
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
		look_again(q, name, q->now + FAULT_WAIT);
}

static struct job *
job_open(struct queue *q, const struct schedule_entry *entry)
{
	struct job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		fatal("out of memory");
	if (letter_open(&q->spool, &entry->name, &job->letter) == 0) {
		job->attempt = letter_attempts(&job->letter) + 1;
		job->is_fresh = entry->is_fresh && job->attempt == 1 &&
		    job->letter.arrived > q->started;
		TAILQ_INSERT_TAIL(&q->jobs, job, link);
		q->job_count++;
		return job;
	}
	free(job);
	if (errno == EWOULDBLOCK)
		look_again(q, &entry->name, q->now + LOCKED_WAIT);
	else if (errno == EBADMSG)
		quarantine(q, &entry->name);
	else if (errno != ENOENT) {
		log_event(LOG_ERR, 0, "event=spool-fault id=%s error=\"%s\"",
		    entry->name.id, strerror(errno));
		look_again(q, &entry->name, q->now + FAULT_WAIT);
	}
	return NULL;
}

/* One account must not have every place in memory: its letters wait aside. */
static int
is_parked(struct queue *q, struct job *job)
{
	const char *account;

	if (job->errand_count != 1 || job->news_count > 0)
		return 0;
	account = job->errands[0].account;
	if (handout_backlog(&q->handout, account) < BACKLOG_MAX ||
	    handout_park(&q->handout, account, &job->letter.name) == -1)
		return 0;
	disown_accounts(job);
	job_free(q, job);
	return 1;
}

static void
job_start(struct queue *q, const struct schedule_entry *entry)
{
	struct job *job;
	size_t i;

	if (is_open(q, entry->name.id))
		return;
	job = job_open(q, entry);
	if (job == NULL)
		return;
	job_expand(q, job);
	if (is_parked(q, job))
		return;
	/* Even with nothing to do there is an end to come to. */
	job->is_touched = 1;
	job->outstanding = job->errand_count;
	for (i = 0; i < job->errand_count; i++)
		if (handout_add(&q->handout, &job->errands[i]) == -1)
			fatal("out of memory");
}

void
queue_start_due(struct queue *q)
{
	struct schedule_entry entry;

	while (q->job_count < JOBS_MAX &&
	    schedule_pop(&q->schedule, q->now, &entry))
		job_start(q, &entry);
}

static int
record_news(struct queue *q, struct job *job)
{
	if (letter_record(&q->spool, &job->letter, job->news,
	    job->news_count) == -1) {
		log_event(LOG_ERR, 0, "event=spool-fault id=%s error=\"%s\"",
		    job->letter.name.id, strerror(errno));
		return -1;
	}
	job->news_count = 0;
	return 0;
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
		log_outcome(q, job, o, job->news_accounts[i]);
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

/* To be tried again: on record if that can be, and under a new name. */
static void
job_defer(struct queue *q, struct job *job, int *is_recorded)
{
	struct spool_name *name = &job->letter.name;
	uint32_t noise = (uint32_t)(outcome_key(name->id) ^ q->now_ms);
	uint64_t due = q->now + retry_delay(q->config, job->attempt, noise);

	*is_recorded = record_news(q, job) == 0;
	if (spool_defer(&q->spool, name, due) == -1)
		log_event(LOG_ERR, 0, "event=spool-fault id=%s error=\"%s\"",
		    name->id, strerror(errno));
	look_again(q, name, due);
}

static int
job_fail(struct queue *q, struct job *job)
{
	(void)record_news(q, job);
	log_event(LOG_ERR, 0, "event=undeliverable id=%s text=\"not "
	    "everybody got it; the letter is kept in failed/\"",
	    job->letter.name.id);
	return spool_fail(&q->spool, &job->letter.name);
}

/* What a turn has to sync. */
struct ending {
	int	removed;	/* something left queue/ */
	int	failed;		/* and went to failed/ */
};

/*
 * Nobody is outstanding: the letter's way goes on or ends.  *is_recorded: the
 * deliveries of this turn are on record, once what is in *ending is synced.
 */
static void
job_finish(struct queue *q, struct job *job, struct ending *ending,
    int *is_recorded)
{
	int done;

	*is_recorded = 1;
	if (age_of(q, &job->letter) > q->config->give_up_after &&
	    !job->has_more)
		give_up(q, job);
	if (has_news_of(job, OUTCOME_DEFERRED) || job->has_more) {
		job_defer(q, job, is_recorded);
		return;
	}
	if (job->has_failed || has_news_of(job, OUTCOME_FAILED)) {
		done = job_fail(q, job);
		ending->failed = 1;
	} else
		done = spool_remove(&q->spool, &job->letter.name);
	if (done == -1) {
		log_event(LOG_ERR, 0, "event=spool-fault id=%s error=\"%s\"",
		    job->letter.name.id, strerror(errno));
		*is_recorded = 0;
		look_again(q, &job->letter.name, q->now + FAULT_WAIT);
		return;
	}
	ending->removed = 1;
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
			handout_settle(&q->handout, e, q->now_ms);
		else
			handout_drop(&q->handout, e, q->now_ms);
	}
}

/*
 * A letter that goes on: final outcomes on record now, so that its agents
 * need not wait for the slowest.
 */
static void
job_go_on(struct queue *q, struct job *job)
{
	int is_recorded = 1;

	if (has_news_of(job, OUTCOME_DELIVERED))
		is_recorded = record_news(q, job) == 0;
	job_settle(q, job, is_recorded);
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
		disown_accounts(job);
		job_free(q, job);
	}
}
