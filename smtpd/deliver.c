/*
 * deliver: answers the delivery gates.
 *
 * Runs in smtpd-agents' children, as the recipient and never as root,
 * confined to the recipient's mailbox; touches that, and reads the content of
 * letters from the descriptors that the queue passes, and ~/.forward before it
 * is confined.
 *
 * A mailbox that can't be entered (home not mounted, quota, disk full) is a
 * temporary failure of every letter that is asked for, not an agent that
 * dies: so the queue learns why.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../privsep/log.h"
#include "deliver.h"
#include "deliver_request.h"
#include "program.h"

/* The queue keeps the deadline of a delivery; this is for one that is lost. */
#define DELIVER_IDLE_MS	(10 * 60 * 1000)

/* 0, or -1 for a request that breaks the rules; content may be -1 then. */
static int
get_deliver_request(struct message *request, struct deliver_request *r)
{
	deliver_request_get(request, r);
	r->content = get_fd(request);
	return get_end(request) == -1 || !deliver_request_is_legal(r) ? -1 : 0;
}

/* Why a letter has to wait: what the queue records and a bounce will say. */
static void
defer(struct deliver_verdict *v, int is_entering, int error)
{
	v->verdict = DELIVERY_DEFERRED;
	switch (error) {
	case EDQUOT:
	case EFBIG:
		v->status = "4.2.2";		/* mailbox full */
		break;
	case ENOSPC:
		v->status = "4.3.1";		/* mail system full */
		break;
	case ENOTSUP:
		v->status = "4.3.5";		/* incorrectly configured */
		break;
	default:
		/* 4.2.1: mailbox disabled, not accepting messages */
		v->status = is_entering ? "4.2.1" : "4.3.0";
		break;
	}
	snprintf(v->text, sizeof(v->text), "%s: %s", is_entering ?
	    "the mailbox can't be entered" : "delivery to the mailbox failed",
	    strerror(error));
}

static void
deliver_to_box(struct delivery *d, const struct deliver_request *r,
    struct deliver_verdict *v)
{
	struct mailbox_letter letter;
	char head[DELIVER_HEAD_MAX];
	int n;

	if (d->box == NULL) {
		defer(v, 1, d->error);
		return;
	}
	n = snprintf(head, sizeof(head),
	    "Return-Path: <%s>\nDelivered-To: %s\n", r->reverse_path,
	    r->forward_path);
	if (n < 0 || (size_t)n >= sizeof(head))
		bug("head of a letter too long");
	deliver_request_letter(r, head, &letter);
	if (d->ops->append(d->box, &letter) == -1) {
		defer(v, 0, errno);
		return;
	}
	d->is_in_box = 1;
	v->verdict = DELIVERED;
	v->status = "2.0.0";
	snprintf(v->text, sizeof(v->text), "delivered to %s", d->ops->name);
}

/* The mark of those that were forwarded here; 1, 0 or -1. */
static int
comes_back(const struct delivery *d, const struct deliver_request *r)
{
	char mark[FORWARD_MARK_MAX];

	forward_mark(d->agent->identity.name, d->agent->config, mark);
	return forward_is_marked(r->content, r->offset, r->length, mark);
}

/* Where it goes on to, beside the mailbox. */
static void
go_on(const struct forward *f, struct deliver_verdict *v)
{
	v->status = "2.0.0";
	if (f->count == 0 && f->program_count == 0) {
		v->verdict = DELIVERED;
		snprintf(v->text, sizeof(v->text), "thrown away, as "
		    "~/.forward says");
		return;
	}
	v->verdict = !f->keeps && f->count == 0 && f->program_count == 1 ?
	    DELIVERY_PROGRAM : DELIVERY_FORWARDED;
	snprintf(v->text, sizeof(v->text), "forwarded");
}

static void
forward(struct delivery *d, const struct deliver_request *r,
    struct deliver_verdict *v)
{
	const struct forward *f = &d->forward;
	size_t others = f->count + f->program_count;
	int back = others > 0 ? comes_back(d, r) : 0;

	if (back == -1) {
		defer(v, 0, errno);
		return;
	}
	if (f->keeps) {
		deliver_to_box(d, r, v);
		if (v->verdict != DELIVERED || back || others == 0)
			return;
	} else if (back) {
		v->verdict = DELIVERY_FAILED;
		v->status = "5.4.6";
		snprintf(v->text, sizeof(v->text), "mail for this account is "
		    "forwarded, and comes back to it");
		return;
	}
	go_on(f, v);
}

/* Since it was read; who has just been started can't read it anew, either. */
static int
is_out_of_date(struct delivery *d)
{
	struct forward_stamp now;

	if (!d->has_served) {
		d->has_served = 1;
		return 0;
	}
	forward_look(&d->agent->identity, &now);
	return !forward_is_same(&d->forward_stamp, &now);
}

static void
deliver(struct delivery *d, const struct deliver_request *r,
    struct deliver_verdict *v)
{
	d->is_in_box = 0;
	if (is_out_of_date(d)) {
		v->verdict = DELIVERY_DEFERRED;
		v->status = "4.3.0";
		snprintf(v->text, sizeof(v->text), "~/.forward has changed");
	} else if (d->forward_error != 0) {
		v->verdict = DELIVERY_DEFERRED;
		v->status = "4.2.1";
		snprintf(v->text, sizeof(v->text),
		    "the home can't be looked at: %s",
		    strerror(d->forward_error));
	} else if (d->forward.is_set && (r->flags & DELIVER_MAILBOX) == 0)
		forward(d, r, v);
	else
		deliver_to_box(d, r, v);
}

static int
send_targets(const struct forward *f, int sock)
{
	char digest[PROGRAM_DIGEST_MAX];
	struct message m;
	size_t i;

	for (i = 0; i < f->count; i++) {
		message_begin(&m, REPLY_FORWARD);
		put_str(&m, f->addresses[i]);
		if (message_send(sock, &m) == -1)
			return -1;
	}
	/*
	 * What a user's command is the queue need not know.  Should it not be
	 * in ~/.forward any more when its turn comes, then somebody must have
	 * the letter all the same: others, or by way of the first of these the
	 * mailbox.
	 */
	for (i = 0; i < f->program_count; i++) {
		program_digest(f->programs[i], digest);
		message_begin(&m, REPLY_PROGRAM);
		put_str(&m, digest);
		put_u32(&m, f->keeps || f->count > 0 || i > 0);
		if (message_send(sock, &m) == -1)
			return -1;
	}
	return 0;
}

static int
answer_deliver(void *session, int sock, struct message *request)
{
	struct delivery *d = session;
	struct deliver_request r;
	struct deliver_verdict v;

	if (get_deliver_request(request, &r) == -1) {
		if (r.content != -1)
			close(r.content);
		return STATE_FAULT;
	}
	deliver(d, &r, &v);
	/* The queue's lock on the letter ends with the last of these. */
	close(r.content);
	if ((v.verdict == DELIVERY_FORWARDED ||
	    v.verdict == DELIVERY_PROGRAM) &&
	    send_targets(&d->forward, sock) == -1)
		return STATE_END;
	if (deliver_reply(sock, &v) == -1)
		return STATE_END;
	if (v.verdict != DELIVERED && v.verdict != DELIVERY_FORWARDED)
		return DELIVER_READY;
	strlcpy(d->settling, r.id, sizeof(d->settling));
	return DELIVER_UNSETTLED;
}

static int
answer_settle(void *session, int sock, struct message *request)
{
	struct delivery *d = session;
	char id[QUEUE_ID_MAX];

	(void)sock;
	get_str(request, id, sizeof(id));
	if (get_end(request) == -1 || strcmp(id, d->settling) != 0)
		return STATE_FAULT;
	d->settling[0] = '\0';
	/* What stays is removed by a later delivery, when it is old. */
	if (d->is_in_box)
		(void)d->ops->settle(d->box, id);
	return DELIVER_READY;
}

/* Everything that the queue can ask of the process that is the recipient. */
static const struct gate gates[] = {
	{
		.request = REQ_DELIVER, .name = "DELIVER",
		.states = IN_STATE(DELIVER_READY), .descriptors = 1,
		.min_size = DELIVER_SIZE_MIN, .max_size = DELIVER_SIZE_MAX,
		.handler = answer_deliver
	}, {
		.request = REQ_SETTLE, .name = "SETTLE",
		.states = IN_STATE(DELIVER_UNSETTLED),
		.min_size = 5, .max_size = 3 + QUEUE_ID_MAX,
		.handler = answer_settle
	}
};

const struct gate_table delivery_gates = {
	.service = "delivery",
	.gates = gates,
	.count = sizeof(gates) / sizeof(gates[0]),
	.first_state = DELIVER_READY
};

static void
look_for_forward(struct delivery *d)
{
	const struct identity *who = &d->agent->identity;
	char user[LOG_VALUE_MAX];

	forward_look(who, &d->forward_stamp);
	if (forward_read(&d->forward, who, d->agent->config) == -1)
		d->forward_error = errno;
	else if (d->forward.refused != NULL)
		log_event(LOG_NOTICE, d->agent->facts.session,
		    "event=forward-refused user=%s error=\"~/.forward: %s\" "
		    "text=\"mail goes to the mailbox\"",
		    log_value(who->name, user), d->forward.refused);
}

static void
enter(struct delivery *d)
{
	int dirs[MAILBOX_DIRS_MAX];
	size_t count = 0;

	look_for_forward(d);
	mailbox_use_companion(d->agent->companion);
	mailbox_use_channel(d->agent->gate);
	d->ops = mailbox_format(d->agent->config);
	if (d->ops == NULL || d->ops->enter(&d->box, d->agent->config,
	    &d->agent->identity, 1, dirs, &count) == -1) {
		d->error = errno;
		d->box = NULL;
		count = 0;
	}
	agent_confine(d->agent, ROOM_DELIVERY, dirs, count);
}

void
deliver_serve(struct agent *agent)
{
	struct delivery d = { .agent = agent };

	if (getuid() == 0 || geteuid() == 0 || agent->identity.uid == 0)
		bug("a delivery agent as root");
	enter(&d);
	if (gates_serve(&delivery_gates, &d, agent->gate,
	    DELIVER_IDLE_MS) == -1)
		log_event(LOG_ERR, agent->facts.session,
		    "event=gate-fault service=delivery error=\"%s\"",
		    strerror(errno));
	if (d.box != NULL)
		d.ops->close(d.box);
	forward_free(&d.forward);
}
