/*
 * master: the process that listens, hands out and limits.  Internal to it.
 *
 * It reads no octet of a client and never blocks: every socket that it holds
 * is non-blocking, everything that others may fill is bounded.
 */
#ifndef PRIVSEP_MASTER_H
#define PRIVSEP_MASTER_H

#include <sys/types.h>

#include <sys/queue.h>

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "channel.h"
#include "config.h"
#include "daemon.h"
#include "facts.h"
#include "inherit.h"
#include "message.h"

/* A descriptor in the event loop; embedded in what it belongs to. */
struct watch {
	int	fd;
	void	(*ready)(struct watch *, uint32_t events);
	void	*owner;
};

/* One exec'd role and the sockets to it. */
struct child {
	pid_t		 pid;		/* 0: none */
	pid_t		 log_pid;	/* the same, when it has ended, too */
	int		 is_let_go;	/* its end is planned */
	time_t		 let_go_at;	/* since then */
	int		 is_ready;	/* CH_READY came */
	const char	*name;		/* executable */
	/*
	 * What its log lines are marked with, bounded in number, if it reads
	 * what strangers send; NULL: they stand as they are.  Those of forks
	 * that are not root are in every case.
	 */
	const char	*stamp;
	struct watch	 channel;
	struct watch	 log;
	void		(*heard)(struct child *, struct message *);
	void		*owner;		/* generation, or NULL for the queue */
};

/* A forked worker that has no client yet. */
struct waiting {
	TAILQ_ENTRY(waiting)	 link;
	uint64_t		 serial;
	int			 channel;
};

/* What the roles are started with; a generation's own until it serves. */
struct setting {
	struct config	*config;
	int		 certificates;	/* memfds of keyring.h; -1: no TLS */
	int		 keys;
};

/* Roles that are exec'd together and ended together. */
struct generation {
	TAILQ_ENTRY(generation)	 link;
	unsigned		 number;
	time_t			 started;
	int			 is_serving;	/* has been seen to work */
	int			 is_retired;
	int			 is_closed;	/* channels let go */
	size_t			 sessions;
	struct child		 spawner;
	struct child		 login;
	struct child		 agents;
	struct child		 programs;
	struct child		 signer;
	/* These two have no sessions: let go of when it retires. */
	struct child		 relay;
	struct child		 resolver;
	TAILQ_HEAD(, waiting)	 waiting;
	size_t			 waiting_count;
	size_t			 asked;		/* workers on their way */
	time_t			 asked_at;	/* or when one came since */
	size_t			 dismissed;	/* let go of, not ended yet */
};

struct source;			/* limits.c */

/* One client's session: worker's channel, the agent side's end until passed. */
struct session {
	TAILQ_ENTRY(session)	 link;
	TAILQ_ENTRY(session)	 hash;
	struct facts		 facts;		/* facts.session: its id */
	struct generation	*generation;
	struct source		*source;
	struct watch		 channel;	/* to the worker */
	struct watch		 gate;		/* far end of the agent pair */
	struct watch		 signer;	/* the same, of the signer's */
	int			 name;		/* for the agent: tells the
						 * client's; -1: none */
	time_t			 login_by;	/* monotonic; 0: no such limit */
	time_t			 alive_by;
	time_t			 kill_by;	/* 0, or asked to say goodbye */
	time_t			 over_at;	/* 0, or its worker has let go */
	unsigned		 log_lines;	/* in this second */
	unsigned		 log_suppressed;
	int			 is_logged_in;
	int			 is_reaped;	/* CH_ENDED came */
	int			 is_paused;	/* a receiver was full */
};

struct master {
	const struct daemon	*daemon;
	struct config		*config;
	TAILQ_HEAD(, generation) generations;	/* newest first */
	TAILQ_HEAD(session_list, session) sessions;
	size_t			 session_count;
	uint64_t		 served;	/* clients that came */
	enum start_mode		 mode;		/* how we were started */
	struct inheritance	*inherited;	/* sockets not yet in use */
	int			 has_enough;	/* no more workers are wanted */
	struct child		 queue;
	int			 hint[2];	/* agents write [1], queue reads [0] */
	int			 epoll;
	int			 is_stopping;
	time_t			 now;		/* monotonic, once a wake-up */
};

extern struct master master;

/*
 * master.c: the loop; ready is called once when all has been started.  The
 * sockets that it takes over leave the inheritance.  Returns the exit status.
 */
int	master_run(const struct daemon *, struct config *,
	    struct inheritance *, int (*reload)(struct config *),
	    void (*ready)(void));
/* Be done, as after SIGTERM. */
void	master_stop(void);
void	watch_add(struct watch *, uint32_t events);
void	watch_change(struct watch *, uint32_t events);
/* Remove and close; safe inside any handler. */
void	watch_close(struct watch *);
/* Memory that a handler of the same wake-up may still point to. */
void	free_later(void *);
void	close_on_fork(int fd);

/* child.c: exec a role */
struct child_descriptors {
	const char *libexec;	/* directory */
	int	config;
	int	link;		/* -1 none */
	int	hint;		/* -1 none */
	int	keyring;	/* -1 none */
	int	programs;	/* -1 none */
	/*
	 * Who it is from its exec on, for what links OpenSSL, and the one
	 * capability that it keeps until it has confined itself (-1: none).
	 * NULL: root, until it becomes another by itself.
	 */
	const struct account_ids *user;
	int	capability;
};
int	child_start(struct child *, const char *executable,
	    const struct child_descriptors *);
/* Close the sockets to it: a role ends when its master lets go. */
void	child_let_go(struct child *);
/* It says what only another can know, so it is in other hands: kill it. */
void	child_faulted(const struct child *);
/* Kill it, if it was let go of long ago and has not ended. */
void	child_hurry(const struct child *);
/* It has ended: hear its last words, and close what is left. */
void	child_forget(struct child *);

/* generation.c */
/*
 * Start a new one, or as soon as the once-a-second rule allows.  When its first
 * worker waits and its signer has its keys, it serves and older ones retire;
 * should it end before, they go on.  After a crash the older ones retire at
 * once.
 *
 * With a new configuration (taken over; NULL: the one in force) and the
 * certificates that it names, read anew; both come into force when it serves.
 * -1: logged, nothing is changed.
 */
int	generation_start_with(struct config *);
/* As things are, and nobody new is served by those before, unless it fails. */
int	generation_start_awaited(void);
/* Start a new one as soon as the once-a-second rule allows. */
void	generation_wanted(const char *why);
/* This one must serve nobody from now on: the same, or its start has failed. */
void	generation_failed(struct generation *, const char *why);
int	generation_is_wanted(void);
int	generation_is_starting(void);
void	generation_tick(void);
/*
 * The one for new sessions: the one that serves, unless they are to wait for
 * the one that is starting or there is no other; NULL: none.
 */
struct generation *generation_newest(void);
void	generation_session_over(struct generation *);
/* Close the sockets to its roles, which then end. */
void	generation_let_go(struct generation *);
/* A role's pid ended. 1: it was one of ours. */
int	generation_child_ended(pid_t, int status);

/* crowd.c: the workers that wait */
/* Ask the spawner for as many as are to wait: one, or what a rush needs. */
void	crowd_ask(struct generation *);
/* CH_WAITING.  1: one more waits. */
int	crowd_heard(struct generation *, struct message *);
/* That worker ended.  1: it waited, and has been taken out. */
int	crowd_lost(struct generation *, uint64_t serial);
/* One ended that neither waited nor had a session. */
void	crowd_gone(struct generation *);
/* One that waits, taken out; NULL: none now. */
struct waiting *crowd_take(struct generation *);
/* Let go of one that was taken, or of all that wait: they end. */
void	crowd_dismiss(struct generation *, struct waiting *);
void	crowd_dismiss_all(struct generation *);
/* None that was asked for has come for long. */
int	crowd_is_stuck(const struct generation *);
/* When the rush is over, fewer are to wait. */
void	crowd_shrink(void);
/* A session's id; for what has no worker, a delivery say. */
uint64_t crowd_next_id(void);

/* speaker.c: those who share a role's log socket */
/* A line by the sender of that message; logged, if he may say so much. */
void	speaker_says(const char *stamp, const struct message *, uint32_t level,
	    const char *line);
/* Once a second: tell what was suppressed, and forget. */
void	speaker_tick(void);
int	speaker_is_any(void);	/* there is something to forget */

/* setting.c: what a generation is started with, and what is in force */
/* Read certificates and keys, too.  Takes fresh over; -1: logged, no change. */
int	setting_propose(struct config *fresh);
void	setting_to_start_with(struct setting *);
/* The one that started serves.  -1: it can't; nothing has changed. */
int	setting_into_force(void);
/* It does not, and never will.  1: something new is lost with it. */
int	setting_give_up(void);

/* The pairs between a worker and its privileged side: [0] is the worker's. */
struct gates {
	int	agent[2];
	int	signer[2];	/* -1: no TLS */
};

/* admit.c: a client was accepted.  Takes the descriptor over. */
void	session_accept(int client, enum service, const struct sockaddr *peer,
	    const struct sockaddr *local);
/* A client of the queue's own: goes there. Takes the descriptor over. */
void	session_control(int client);

/* roles.c: what each role is exec'd with, and what is done with all of them */
#define ROLES_MAX	7	/* of a generation */
struct child *roles_at(struct generation *, size_t);	/* NULL at ROLES_MAX */
int	roles_start(struct generation *, const struct setting *);
int	roles_are_ready(struct generation *);
int	roles_have_ended(struct generation *);
void	roles_let_go(struct generation *);
void	roles_forget(struct generation *);	/* what they had to say, too */
void	roles_hurry(struct generation *);	/* child_hurry() */
void	roles_kill(struct generation *);

/* queue.c: the queue role, for ever or when there is something to do */
void	queue_begin(void);
void	queue_tick(void);
void	queue_want(void);		/* run it once, if not for ever */
int	queue_is_at_rest(void);		/* no run is on, or wanted */
int	queue_has_failed(void);		/* the last run did */
/* That pid ended; 1: it was the queue. */
int	queue_ended(pid_t, int status);

/* inetd.c: how a master that was started for a while comes to its end */
void	inetd_begin(void);
void	inetd_tick(void);
void	inetd_client_came(void);

/* session.c */
/* A worker has the client: keep the far ends, count, watch. */
void	session_start(struct generation *, struct waiting *,
	    const struct gates *, struct source *, const struct facts *);
/* The worker sees the end of its channel, says goodbye and exits. */
void	session_end(struct session *);
struct session *session_find(uint64_t id);
void	session_note(uint64_t id, enum note);
/* 0, or -1: no session was ever with that one. */
int	session_worker_ended(uint64_t id, int status);
/* Nobody will tell of the ends of its workers any more. */
void	session_spawner_ended(const struct generation *);
void	session_tick(void);		/* once a second: deadlines */
void	session_end_all(void);		/* let the workers say goodbye */
void	session_kill_all(void);
/* The queue wants what that request (CH_NEED_...) names: hand out a pair. */
void	session_need(struct child *queue, uint32_t request, uint64_t tag);

/* listen.c */
int	listen_open(const struct config *);	/* 0, or -1: keep the old */
/* Listen on what we were given, instead, for good. */
void	listen_take(struct inheritance *);
void	listen_pause(int is_paused);
void	listen_close(void);

/* limits.c */
/* Find or make; with a Unix socket it is the user that counts. */
struct source *limits_source(const struct sockaddr *, uint32_t uid);
/* NULL if another session of this source may begin now, or why not. */
const char *limits_refusal(const struct source *);
/* Count what is no session; 0 when there were more than most in a minute. */
int	limits_rate(struct source *, uint32_t most);
void	limits_begin(struct source *);
void	limits_end(struct source *);
void	limits_login_failed(struct source *);
void	limits_crashed(struct source *);
void	limits_tick(void);

/* files.c: did PAM, NSS or resolver files change since the last call? */
int	files_changed(const struct config *);

#endif
