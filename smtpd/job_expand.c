/*
 * job_expand: a letter's recipients become errands: one for each account,
 * address elsewhere, command and file that has not had it yet.
 *
 * Runs in the queue, as queue-user; touches memory, and reads the aliases file
 * and the domain map.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "privsep/log.h"
#include "smtpd/account.h"
#include "smtpd/address.h"
#include "smtpd/domain_map.h"
#include "smtpd/expand.h"
#include "smtpd/idna.h"
#include "smtpd/job.h"
#include "smtpd/split.h"

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

/*
 * From here on it is an errand to that account.  It stays among the job's, so
 * that what comes of the other one is known to be for this one, too.
 */
int
queue_errand_is_same(void *arg, struct errand *e, const char *account)
{
	struct job *job = e->owner;
	uint64_t key = outcome_key(account);
	char name[LOG_VALUE_MAX];
	int is_double;

	(void)arg;
	if (e->digest[0] != '\0' || e->key == key)
		return 0;
	is_double = has_final(&job->letter, key, e->recipient) ||
	    has_errand(job, key);
	e->key = key;
	if (!is_double)
		return 0;
	log_event(LOG_INFO, 0, "event=duplicate id=%s account=%s",
	    job->letter.name.id, log_value(account, name));
	job->outstanding--;
	job->is_touched = 1;
	return 1;
}

/*
 * Is the sender somebody of another host, whose name is not ours to use at a
 * third one?
 */
static int
is_stranger(struct queue *q, const struct envelope *envelope)
{
	struct address sender;
	char domain[IDNA_MAX];

	return q->config->srs_domain[0] != '\0' &&
	    address_mailbox(envelope->sender, strlen(envelope->sender),
	    ADDRESS_UTF8, &sender) == ADDRESS_OK &&
	    idna_to_ascii(sender.domain, domain) == 0 &&
	    !config_is_local_domain(q->config, domain) &&
	    !config_is_srs_domain(q->config, domain) &&
	    domain_map_has(&q->map, domain) == MAP_OTHER;
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

/* To "local@domain" of another host, by what somebody here has written. */
static void
add_forwarded(struct queue *q, struct job *job, const char *path,
    uint32_t recipient)
{
	struct errand *e = new_errand(job, path, outcome_key(path), recipient);

	if (e == NULL)
		return;
	e->is_elsewhere = 1;
	e->is_rewritten = is_stranger(q, &job->letter.envelope);
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
	    /* Its postmaster is ours. */
	    (!config_is_srs_domain(q->config, r->domain) ||
	    strcasecmp(r->local, "postmaster") != 0) &&
	    domain_map_has(&q->map, r->domain) == MAP_OTHER;
}

static void
add_elsewhere(struct queue *q, struct job *job, const struct recipient *r,
    uint32_t recipient)
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
	if (job->letter.envelope.derived == DERIVED_FORWARD)
		add_forwarded(q, job, path, recipient);
	else
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
			if (t->kind == TARGET_REMOTE)
				add_forwarded(q, job, t->text, recipient);
			else
				add_errand(job, t->text, 0, recipient);
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

struct group *
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
			add_elsewhere(q, job, r, i);
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
