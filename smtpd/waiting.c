/*
 * waiting: the names of what waits in the spool, and when it is looked at.
 *
 * Runs in the queue, as queue-user; touches the spool.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "privsep/log.h"
#include "smtpd/derived.h"
#include "smtpd/job.h"

#define SCHEDULE_LIMIT	100000	/* names of each kind; at most twice that */
#define CLOCK_SLACK	60	/* seconds */
#define PROGRAM_SLACK	60	/* seconds, until a command's end is told */

void
queue_init(struct queue *q, const struct config *config,
    const struct handout_ops *handout_ops,
    const struct outbound_ops *outbound_ops, struct dns_client *dns)
{
	memset(q, 0, sizeof(*q));
	q->config = config;
	TAILQ_INIT(&q->jobs);
	aliases_open_as(&q->map, NAMES_DOMAIN_MAP, config, aliases_log);
	schedule_init(&q->schedule, SCHEDULE_LIMIT);
	groups_init(&q->groups, handout_ops, q);
	senders_init(&q->senders);
	handout_init(&q->handout, handout_ops, q, config->hostname);
	handout_init(&q->programs, handout_ops, q, config->hostname);
	q->programs.is_of_programs = 1;
	q->programs.patience = (config->command_timeout + PROGRAM_SLACK) *
	    UINT64_C(1000);
	outbound_init(&q->outbound, outbound_ops, q, config, dns);
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
	q->outbound.now = q->now_ms;
}

void
queue_look_again(struct queue *q, const struct spool_name *name, uint64_t when)
{
	const struct schedule_entry entry = { .when = when, .name = *name };

	schedule_push(&q->schedule, &entry);
}

int
queue_rename(struct queue *q, struct spool_name *name, uint64_t due)
{
	if (spool_defer(&q->spool, name, due) == -1)
		return -1;
	q->moves.last[q->moves.count++ % MOVES_KEPT] = *name;
	return 0;
}

void
queue_ask(struct queue *q, const struct spool_name *name)
{
	const struct schedule_entry entry = {
		.when = q->now, .name = *name, .is_asked = 1
	};

	schedule_push(&q->schedule, &entry);
}

/*
 * Further ahead than any deferral is a time that another clock gave, or a
 * longer schedule: the letter would wait for nothing.
 */
static void
collect(void *arg, const struct spool_name *name)
{
	struct queue *q = arg;
	struct schedule_entry entry = { .when = name->due, .name = *name };

	if (spool_is_held(name))
		return;
	if (entry.when > q->now + retry_delay_max(q->config) + CLOCK_SLACK)
		entry.when = q->now;
	schedule_collect(&q->schedule, &entry);
}

void
queue_scan(struct queue *q)
{
	static size_t told;
	size_t strange;
	int removed;

	groups_forget_parked(&q->groups);
	handout_forget_parked(&q->handout);
	handout_forget_parked(&q->programs);
	outbound_forget_parked(&q->outbound);
	senders_forget(&q->senders);
	schedule_begin(&q->schedule);
	if (spool_scan(&q->spool, collect, q, &strange) == -1)
		log_event(LOG_ERR, 0, "event=spool-fault error=\"%s\"",
		    strerror(errno));
	schedule_end(&q->schedule);
	if (strange > told)
		log_event(LOG_WARNING, 0, "event=spool-fault text=\"%zu "
		    "files in queue/ are not named as letters\"", strange);
	told = strange;
	if (derived_clean(&q->spool) == -1)
		log_event(LOG_ERR, 0, "event=spool-fault error=\"%s\"",
		    strerror(errno));
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
