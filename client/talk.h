/*
 * talk: with the queue, over the server's socket smtpd.ctl
 * (smtpd/control_gate.h).  What can't be done ends the program, with one line
 * and an exit code.
 */
#ifndef CLIENT_TALK_H
#define CLIENT_TALK_H

#include "smtpd/control_gate.h"

struct talk {
	const char	*run_dir;	/* the caller's */
	int		 fd;		/* -1: not connected */
};

/* Nothing is connected before something is asked. */
void	talk_init(struct talk *, const char *run_dir);
/*
 * Ask, and wait for the answer, which is of this type.  A server that has too
 * many clients just now is asked again for some seconds; so what is asked must
 * be right when it is done twice.
 */
void	talk_ask(struct talk *, const struct message *request,
	    uint32_t reply_type, struct message *reply);
/* The next page: never again what was asked before. */
void	talk_next(struct talk *, uint32_t reply_type, struct message *reply);
/*
 * RETRY, HOLD, RELEASE or DELETE what is selected; how many of them it was and
 * was not done to is added to the sum.
 */
struct talk_sum {
	uint64_t	done, left, in_delivery, faults;
};
void	talk_act(struct talk *, uint32_t request, const struct selection *,
	    struct talk_sum *);
/* The answer must have been taken to its end. */
void	talk_end(struct message *reply);
void	talk_close(struct talk *);

#endif
