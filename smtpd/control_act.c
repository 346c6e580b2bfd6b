/*
 * control_act: what is done to a letter because somebody asked for it.
 *
 * Runs in the queue, as queue-user; touches the spool.
 *
 * The rules of spool.c hold.  A name changes only while nobody has the letter
 * open; who meets an old one, in the schedule or in a line, finds no such
 * letter.  A letter is removed under its lock only: whoever may still deliver
 * it has that.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "smtpd/control.h"

/* Closed, if it only stands in lines: 0; -1: somebody has it in his hands. */
static int
take_back(struct queue *q, const struct spool_name *name)
{
	struct job *job = job_find(q, name->id);

	if (job == NULL)
		return 0;
	if (!job_is_waiting(job))
		return -1;
	job_withdraw(job);
	job_free(q, job);
	/* If it stays after all, it is still due. */
	queue_look_again(q, name, q->now);
	return 0;
}

static enum act_result
rename_to(struct queue *q, const struct spool_name *was, uint64_t due,
    struct spool_name *name)
{
	*name = *was;
	if (was->due == due)
		return ACT_DONE;
	if (queue_rename(q, name, due) == 0)
		return ACT_DONE;
	return errno == ENOENT ? ACT_LEFT : ACT_FAULT;
}

static enum act_result
act_retry(struct queue *q, const struct spool_name *was)
{
	struct spool_name name;
	enum act_result result;

	if (spool_is_held(was) || job_find(q, was->id) != NULL)
		return ACT_LEFT;	/* it is being tried, or released first */
	if (was->due <= q->now) {
		queue_ask(q, was);
		return ACT_LEFT;
	}
	result = rename_to(q, was, q->now, &name);
	if (result == ACT_DONE)
		queue_ask(q, &name);
	return result;
}

/* What its owner holds root can keep. */
static enum act_result
act_hold(struct queue *q, const struct spool_name *was, uint64_t due)
{
	struct spool_name name;

	if (was->due >= due)
		return ACT_LEFT;
	if (take_back(q, was) == -1)
		return ACT_IN_DELIVERY;
	return rename_to(q, was, due, &name);
}

static enum act_result
act_release(struct queue *q, const struct spool_name *was)
{
	struct spool_name name;
	enum act_result result;

	if (!spool_is_held(was))
		return ACT_LEFT;
	result = rename_to(q, was, q->now, &name);
	if (result == ACT_DONE)
		queue_ask(q, &name);
	return result;
}

/* What it has brought about already is on its way first (derived.h). */
static enum act_result
remove_locked(struct queue *q, const struct spool_name *name)
{
	enum act_result result = ACT_DONE;
	struct letter letter;

	if (letter_open(&q->spool, name, &letter) == -1)
		switch (errno) {
		case EWOULDBLOCK:
			return ACT_IN_DELIVERY;
		case ENOENT:
			return ACT_LEFT;
		case EBADMSG:
			letter.fd = -1;
			break;
		default:
			return ACT_FAULT;
		}
	if ((letter.fd != -1 && job_release(q, &letter) == -1) ||
	    spool_remove(&q->spool, name) == -1)
		result = ACT_FAULT;
	if (letter.fd != -1)
		letter_close(&letter);
	return result;
}

static enum act_result
act_delete(struct queue *q, const struct view *v)
{
	const struct spool_name *name = &v->letter.name;

	if (v->place == LETTER_FAILED) {
		if (unlinkat(q->spool.failed, name->id, 0) == 0)
			return ACT_DONE;
		return errno == ENOENT ? ACT_LEFT : ACT_FAULT;
	}
	if (take_back(q, name) == -1)
		return ACT_IN_DELIVERY;
	return remove_locked(q, name);
}

enum act_result
control_act(struct queue *q, uint32_t request, uint32_t uid,
    const struct view *v)
{
	const struct spool_name *name = &v->letter.name;

	/* What root keeps, to look at it, stays as it is. */
	if (name->due == SPOOL_KEPT && uid != 0)
		return ACT_LEFT;
	if (request == REQ_DELETE)
		return act_delete(q, v);
	/* It was given up: nothing would be different. */
	if (v->place == LETTER_FAILED)
		return ACT_LEFT;
	switch (request) {
	case REQ_RETRY:
		return act_retry(q, name);
	case REQ_HOLD:
		return act_hold(q, name, uid == 0 ? SPOOL_KEPT :
		    SPOOL_ON_HOLD);
	default:
		return act_release(q, name);
	}
}
