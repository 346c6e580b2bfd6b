/*
 * job: a letter that is due: opened, expanded, handed out.
 *
 * Runs in the queue, as queue-user; touches the spool, and reads the aliases
 * file.  settle.c puts on record what comes of it.
 */
#include <sys/file.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "privsep/log.h"
#include "smtpd/account.h"
#include "smtpd/address.h"
#include "smtpd/domain_map.h"
#include "smtpd/expand.h"
#include "smtpd/job.h"
#include "smtpd/split.h"

#define LOCKED_WAIT	2	/* seconds, for a letter that is locked */
#define FAULT_WAIT	60	/* seconds, when the spool itself fails */
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

/* Is a delivery's outcome on record, and a final one? */
static int
has_final(const struct letter *letter, uint64_t key, uint32_t recipient)
{
	const struct outcome *o;
	size_t i;

	for (i = 0; i < letter->outcome_count; i++) {
		o = &letter->outcomes[i];
		if (outcome_is_final(o) && o->key == key &&
		    (key != 0 || o->recipient == recipient))
			return 1;
	}
	return 0;
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

/* One more, but for what makes it one of its kind; NULL: not now. */
static struct errand *
new_errand(struct job *job, const char *account, uint64_t key,
    uint32_t recipient)
{
	struct errand *e;
	size_t size;

	/* Two recipients, one mailbox: one copy. */
	if (has_final(&job->letter, key, recipient) || has_errand(job, key))
		return NULL;
	if (job->errand_count == ERRANDS_MAX) {
		job->has_more = 1;
		return NULL;
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
	/* The aliases may be read anew while this letter is out. */
	e->account = strdup(account);
	if (e->account == NULL)
		fatal("out of memory");
	e->key = key;
	e->recipient = recipient;
	e->is_tried = !job->is_fresh;
	return e;
}

static void
add_errand(struct job *job, const char *account, int is_elsewhere,
    uint32_t recipient)
{
	struct errand *e = new_errand(job, account, outcome_key(account),
	    recipient);

	if (e != NULL)
		e->is_elsewhere = is_elsewhere;
}

/* Each command and file has an outcome of its own. */
static void
add_program(struct job *job, const char *account, const char *digest,
    const char *alias, uint32_t recipient, int is_spare)
{
	char what[ACCOUNT_LIMIT + PROGRAM_DIGEST_MAX + 2];
	struct errand *e;

	snprintf(what, sizeof(what), "%s|%s", account, digest);
	e = new_errand(job, account, outcome_key(what), recipient);
	if (e == NULL)
		return;
	strlcpy(e->digest, digest, sizeof(e->digest));
	e->is_spare = is_spare;
	e->alias = strdup(alias);
	if (e->alias == NULL)
		fatal("out of memory");
}

static void
add_alias_program(const struct queue *q, struct job *job,
    const struct expand_target *t, uint32_t recipient)
{
	char digest[PROGRAM_DIGEST_MAX];

	program_digest(t->text, digest);
	add_program(job, q->config->command_user.name, digest, t->alias,
	    recipient, 0);
}

/* A recipient that leads nowhere, now or for good. */
static void
add_trouble(struct queue *q, struct job *job, const struct expansion *x,
    uint32_t recipient)
{
	struct outcome *o;

	job->has_trouble = 1;
	if (has_final(&job->letter, 0, recipient))
		return;
	o = job_add_news(q, job, NULL);
	o->kind = x->trouble;
	o->recipient = recipient;
	strlcpy(o->status, x->status, sizeof(o->status));
	strlcpy(o->text, x->text, sizeof(o->text));
	job_log_outcome(q, job, o, NULL);
}

static int
is_elsewhere(struct queue *q, const struct recipient *r)
{
	return r->domain[0] != '\0' && r->account[0] == '\0' &&
	    !config_is_local_domain(q->config, r->domain) &&
	    domain_map_has(&q->map, r->domain) == MAP_OTHER;
}

static void
add_elsewhere(struct job *job, const struct recipient *r, uint32_t recipient)
{
	char path[ADDRESS_PRINT_MAX];
	struct address address;
	size_t i;

	strlcpy(address.local, r->local, sizeof(address.local));
	/* "a@X" and "a@x" are one recipient. */
	for (i = 0; r->domain[i] != '\0' && i + 1 < sizeof(address.domain);
	    i++)
		address.domain[i] = (char)tolower((unsigned char)
		    r->domain[i]);
	address.domain[i] = '\0';
	/* policy has printed it before. */
	if (address_print(&address, path, sizeof(path)) == -1)
		bug("a recipient that can't be printed");
	add_errand(job, path, 1, recipient);
}

/* Those of the same list as the target at first, and later ones only. */
static size_t
members(const struct expansion *x, size_t first,
    struct expand_target list[EXPAND_MAX])
{
	size_t i, n = 0;

	for (i = 0; i < first; i++)
		if (x->targets[i].list == x->targets[first].list)
			return 0;
	for (i = first; i < x->count; i++)
		if (x->targets[i].list == x->targets[first].list)
			list[n++] = x->targets[i];
	return n;
}

static void
add_targets(struct queue *q, struct job *job, const struct expansion *x,
    uint32_t recipient)
{
	static struct expand_target list[EXPAND_MAX];
	const struct expand_target *t;
	size_t i, n;

	for (i = 0; i < x->count; i++) {
		t = &x->targets[i];
		if (t->kind == TARGET_PROGRAM) {
			add_alias_program(q, job, t, recipient);
			continue;
		}
		if (t->list == NULL) {
			add_errand(job, t->text, t->kind == TARGET_REMOTE,
			    recipient);
			continue;
		}
		/* A list goes on once: as long as members may be missing, it
		 * waits. */
		if (x->trouble == OUTCOME_DEFERRED)
			continue;
		n = members(x, i, list);
		if (n > 0)
			job_split_list(q, job, t->list, list, n, recipient);
	}
}

/*
 * To errands.  Or the group without which that can't be done; then the job is
 * not one yet.
 */
static struct group *
job_expand(struct queue *q, struct job *job)
{
	static struct expansion x;	/* too large for a stack */
	const struct expand_names names = {
		.aliases = &q->aliases, .map = &q->map,
		.groups = &q->groups, .now = q->now_ms
	};
	const struct envelope *envelope = &job->letter.envelope;
	const struct recipient *r;
	uint32_t i;

	aliases_refresh(&q->aliases);
	aliases_refresh(&q->map);
	for (i = 0; i < envelope->recipient_count; i++) {
		r = &envelope->recipients[i];
		if (r->program[0] != '\0') {
			add_program(job, r->account, r->program, "", i,
			    (int)r->is_spare);
			continue;
		}
		if (is_elsewhere(q, r)) {
			add_elsewhere(job, r, i);
			continue;
		}
		if (envelope->derived == DERIVED_LIST &&
		    r->account[0] != '\0') {
			add_errand(job, r->account, 0, i);
			continue;
		}
		expand(&names, r, &x);
		if (x.awaited != NULL)
			return x.awaited;
		add_targets(q, job, &x, i);
		if (x.is_thrown_away && x.count == 0)
			log_event(LOG_INFO, 0, "event=discarded id=%s "
			    "recipient=%u", job->letter.name.id, i);
		if (x.trouble != 0)
			add_trouble(q, job, &x, i);
	}
	return NULL;
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

/* 0, or -1: no memory. */
static int
hand_out(struct queue *q, const struct job *job, struct errand *e)
{
	const struct errand_result bad = {
		.verdict = DELIVERY_FAILED, .status = "5.1.2",
		.text = "not a domain that mail can be sent to"
	};

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
	if (q->again_count >= JOBS_AGAIN)
		return schedule_next_of(&q->schedule, SCHEDULE_NEW);
	return schedule_next(&q->schedule);
}
