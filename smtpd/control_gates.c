/*
 * control_gates: what the queue's clients can ask, as one constant table.
 *
 * Runs in the queue, as queue-user; touches memory.  A handler only notes what
 * is wanted: it is done, and answered, when there is time (control_work.c).
 */
#include <string.h>

#include "smtpd/control.h"

/* The fields of a selection: at least three numbers and four lengths. */
#define SELECTION_MIN	(3 * 4 + 4 * 4)
#define SELECTION_MAX	(SELECTION_MIN + QUEUE_ID_MAX - 1 + \
			    3 * (PATH_TEXT_MAX - 1))

static int
answer_selection(void *session, int sock, struct message *request)
{
	struct control_client *c = session;
	const uint32_t type = request->type;

	(void)sock;
	get_selection(request, &c->selection);
	if (get_end(request) == -1)
		return STATE_FAULT;
	control_begin(c, type);
	return CONTROL_WORKING;
}

static int
answer_content(void *session, int sock, struct message *request)
{
	struct control_client *c = session;

	(void)sock;
	memset(&c->selection, 0, sizeof(c->selection));
	c->selection.flags = SELECT_ID;
	get_str(request, c->selection.id, sizeof(c->selection.id));
	if (get_end(request) == -1)
		return STATE_FAULT;
	control_begin(c, REQ_CONTENT);
	return CONTROL_WORKING;
}

static int
answer_next(void *session, int sock, struct message *request)
{
	(void)session;
	(void)sock;
	return get_end(request) == -1 ? STATE_FAULT : CONTROL_WORKING;
}

#define SELECTING(r, n) { .request = (r), .name = (n), \
	.states = IN_STATE(CONTROL_IDLE), .min_size = SELECTION_MIN, \
	.max_size = SELECTION_MAX, .handler = answer_selection }

static const struct gate gates[] = {
	SELECTING(REQ_LIST, "LIST"),
	{ .request = REQ_CONTENT, .name = "CONTENT",
	    .states = IN_STATE(CONTROL_IDLE), .min_size = 4,
	    .max_size = 4 + QUEUE_ID_MAX - 1, .handler = answer_content },
	{ .request = REQ_NEXT, .name = "NEXT",
	    .states = IN_STATE(CONTROL_PAGING), .handler = answer_next },
	SELECTING(REQ_RETRY, "RETRY"),
	SELECTING(REQ_HOLD, "HOLD"),
	SELECTING(REQ_RELEASE, "RELEASE"),
	SELECTING(REQ_DELETE, "DELETE"),
};

const struct gate_table control_gates = {
	"control", gates, sizeof(gates) / sizeof(gates[0]), CONTROL_IDLE
};
