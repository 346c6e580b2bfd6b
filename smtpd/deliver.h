/*
 * deliver: the delivery agent's gates: what the queue can ask of a process
 * that is the recipient.
 */
#ifndef SMTPD_DELIVER_H
#define SMTPD_DELIVER_H

#include "../mailbox/mailbox.h"
#include "../privsep/agents.h"
#include "../privsep/gates.h"
#include "forward.h"
#include "gates.h"

/* A letter is settled before the next one comes; a deferred one at once. */
enum deliver_state {
	DELIVER_READY,
	DELIVER_UNSETTLED	/* the last was delivered, not yet on record */
};

/* Of one agent, from its first letter to its last. */
struct delivery {
	struct agent			*agent;
	const struct mailbox_ops	*ops;
	struct mailbox			*box;	/* NULL: could not be entered */
	int				 error;	/* and why: errno */
	struct forward			 forward;	/* as it began */
	int				 forward_error;	/* errno: not known */
	struct forward_stamp		 forward_stamp;	/* which one it is */
	int				 has_served;
	char				 settling[QUEUE_ID_MAX];
	int				 is_in_box;	/* that letter */
};

extern const struct gate_table delivery_gates;	/* session: struct delivery */

/*
 * Serve a delivery channel (facts.service is SERVICE_DELIVERY): enter the
 * mailbox, making it if it is missing, confine this process to it, and deliver
 * what the queue asks, until the queue closes.
 */
void	deliver_serve(struct agent *);

#endif
