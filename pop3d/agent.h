/*
 * agent: what the POP3 agent answers, as a table for tests to walk.
 */
#ifndef POP3D_AGENT_H
#define POP3D_AGENT_H

#include <stddef.h>
#include <stdint.h>

#include "../mailbox/mailbox.h"
#include "../privsep/agents.h"
#include "../privsep/gates.h"
#include "gates.h"

enum pop3_agent_state {
	POP3_ENTERED,		/* nothing read yet */
	POP3_OPENED,		/* locked and indexed */
	POP3_EXPUNGING		/* part of the bitmap has come */
};

struct pop3_agent {
	const struct agent		*agent;
	const struct mailbox_ops	*ops;
	struct mailbox			*box;	/* NULL: could not be entered */
	uint8_t				*bitmap;
	size_t				 bitmap_size;
	size_t				 bitmap_len;	/* received */
	int				 has_logged;	/* a failed fetch */
	int				 stamp;	/* of the last login, or -1 */
};

extern const struct gate_table pop3_gates;

#endif
