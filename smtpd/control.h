/*
 * control: the queue's own clients: what they may ask, and the answers.
 *
 * Nobody waits for them.  So many are served at once, each with one request;
 * what it takes is done in slices of some milliseconds between letters, and
 * what is answered is a page, after which the client has to ask.  Who does not
 * read, or asks for nothing, is let go.
 */
#ifndef SMTPD_CONTROL_H
#define SMTPD_CONTROL_H

#include <dirent.h>
#include <poll.h>

#include "privsep/facts.h"
#include "privsep/gates.h"
#include "smtpd/control_gate.h"
#include "smtpd/control_view.h"

#define CONTROL_CLIENTS	32	/* at once */
#define CONTROL_EACH	4	/* of one user, but root */

enum control_state {
	CONTROL_IDLE,
	CONTROL_PAGING,		/* there is a next page */
	CONTROL_WORKING		/* not read from: the answer comes first */
};

struct control_client {
	TAILQ_ENTRY(control_client) link;
	struct control		*control;
	int			 fd;
	uint64_t		 session;
	uint32_t		 uid;		/* the kernel's word */
	int			 state;		/* of enum control_state */
	uint64_t		 deadline;	/* monotonic ms */
	/* the request, from WORKING until IDLE */
	uint32_t		 request;
	struct selection	 selection;
	struct spool_name	 only;		/* the letter, if it is known */
	DIR			*dir;		/* or where we are in this */
	int			 is_failed;	/* which is failed/ */
	int			 is_walking;	/* there may be more letters */
	uint64_t		 moves;		/* of the queue's: met so far */
	int			 has_missed;	/* some of them */
	struct view		*view;		/* being shown, or NULL */
	uint32_t		 shown;		/* its records so far */
	uint64_t		 offset;	/* in its content */
	uint32_t		 done, left, in_delivery, faults;
	uint32_t		 pass;		/* over all of them, from 0 */
	uint32_t		 done_before;	/* this one */
	int			 is_dirty;	/* the spool is to be synced */
	struct message		 reply;		/* being made */
};
TAILQ_HEAD(control_list, control_client);

struct control {
	struct queue		*queue;
	int			 is_open;	/* the spool is ours */
	struct control_list	 clients;
	size_t			 count;
	uint64_t		 resume;	/* monotonic ms: work no sooner */
	size_t			 watched;	/* of the last control_poll() */
	struct control_client	*watching[CONTROL_CLIENTS];
};

/* control.c */
void	control_init(struct control *, struct queue *);
/* One more client; takes over the descriptor. */
void	control_accept(struct control *, const struct facts *, int fd);
/* Fill pfd (room for CONTROL_CLIENTS); how many. */
size_t	control_poll(struct control *, struct pollfd *);
/* After poll(), with the same array: take requests, let clients go. */
void	control_ready(struct control *, const struct pollfd *);
/* A slice of what there is to do; not between poll() and control_ready(). */
void	control_run(struct control *);
/* When there is something to do again, in monotonic ms. */
uint64_t control_next(const struct control *);
/* At the end of tests. */
void	control_free(struct control *);

/* control_gates.c: the table; a session of it is a struct control_client. */
extern const struct gate_table control_gates;

/*
 * control_work.c.  Begin what client->request asks of client->selection; then
 * do a little of it, until 1: the reply is made, and the state is the next one.
 */
void	control_begin(struct control_client *, uint32_t request);
int	control_work(struct control_client *);
/* Nothing is to be done any more; what was done is on disk and in the log. */
void	control_end(struct control_client *);

/* control_act.c */
enum act_result {
	ACT_DONE,
	ACT_LEFT,		/* nothing was to be done */
	ACT_IN_DELIVERY,
	ACT_FAULT		/* errno */
};
/*
 * RETRY, HOLD, RELEASE or DELETE one letter, which is this user's; the caller
 * syncs the spool.
 */
enum act_result control_act(struct queue *, uint32_t request, uint32_t uid,
	    const struct view *);

#endif
