/*
 * children: the forks of login, agents and relay, one a session: reaped, ended
 * at their deadline, and told of to the master when they crash.
 */
#ifndef PRIVSEP_CHILDREN_H
#define PRIVSEP_CHILDREN_H

#include <sys/types.h>

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "channel.h"
#include "facts.h"

/* Exit status of one whose peer broke the gates' rules: NOTE_GATE_FAULT. */
#define CHILD_FAULTED	3

struct children_entry {
	pid_t		pid;
	uint64_t	session;
	time_t		deadline;	/* CLOCK_MONOTONIC seconds, 0 none */
	enum note	crash_note;
	int		is_for_queue;
};

struct children {
	struct children_entry	*entries;	/* unordered */
	size_t			 count;
	size_t			 room;
	sigset_t		 while_waiting;
	size_t			 for_queue;	/* how many are */
};

/*
 * The most that the queue may have at once: it asks for fewer, and one that was
 * taken over must not fill the system with our forks.
 */
#define CHILDREN_FOR_QUEUE	400

void	children_init(struct children *);
/* seconds: how long it may live, 0 for ever. */
void	children_add(struct children *, pid_t, uint64_t session,
	    unsigned seconds, enum note crash_note);
/*
 * Wait for the descriptors or a child's end; reaps, tells the master of
 * crashes, kills what is past its deadline.  Returns poll's count; 0 when
 * only children had news.
 */
int	children_poll(struct children *, struct pollfd *, nfds_t);
/*
 * Fork a child for each session that the master hands over, until it lets go;
 * one too many for the queue gets an end of file.
 * life runs in the child, which has the signals of any process, and must not
 * return.  name is for messages.
 */
void	children_serve(struct children *, const char *name, unsigned seconds,
	    void (*life)(const struct facts *, int sock));
/* One note about a session to the master. */
void	note_master(uint64_t session, enum note);

#endif
