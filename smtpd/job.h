/*
 * job: a letter in the queue's hands, from the moment it is due until it is
 * delivered, deferred or failed; and the queue, which has many.
 */
#ifndef SMTPD_JOB_H
#define SMTPD_JOB_H

#include <sys/queue.h>

#include "privsep/config.h"
#include "smtpd/aliases.h"
#include "smtpd/groups.h"
#include "smtpd/handout.h"
#include "smtpd/outbound.h"
#include "smtpd/schedule.h"
#include "smtpd/sender.h"
#include "smtpd/spool.h"

#define JOBS_MAX	400	/* letters open at once */
#define JOBS_BUSY	300	/* of them, of senders who have many */
#define JOBS_AGAIN	300	/* of them, that were deferred before */
#define MOVES_KEPT	1024	/* renames that are remembered */
#define ERRANDS_MAX	2000	/* of one letter in one attempt */

struct job {
	TAILQ_ENTRY(job)	 link;
	struct letter		 letter;
	uint64_t		 sender;	/* sender_key() */
	uint32_t		 attempt;	/* this one's number */
	struct errand		*errands;
	size_t			 errand_count;
	size_t			 errand_size;
	size_t			 outstanding;	/* not answered yet */
	struct outcome		*news;		/* not on record yet */
	const char		**news_accounts;/* whose, or NULL */
	size_t			 news_count;
	size_t			 news_size;
	int			 is_touched;	/* news since the last turn */
	int			 has_failed;	/* somebody, ever */
	int			 has_trouble;	/* one that leads nowhere */
	int			 has_more;	/* errands for a later attempt */
	int			 is_fresh;
	int			 is_asked;	/* no destination may rest */
	int			 is_again;	/* deferred before, by its name */
	int			 is_reserved;	/* there is room for outcomes */
};
TAILQ_HEAD(job_list, job);

/*
 * Letters that got another due time, and so another name, under that one: for
 * who is reading the directory, which may show him neither.
 */
struct queue_moves {
	uint64_t		 count;		/* ever */
	struct spool_name	 last[MOVES_KEPT];	/* the n-th at n %
							 * MOVES_KEPT */
};

struct queue {
	const struct config	*config;
	struct spool		 spool;
	struct aliases_file	 aliases;
	struct aliases_file	 map;		/* domain-map */
	struct schedule		 schedule;
	struct groups		 groups;
	struct senders		 senders;
	struct handout		 handout;
	struct handout		 programs;
	struct outbound		 outbound;
	struct queue_moves	 moves;
	struct job_list		 jobs;
	size_t			 job_count;
	size_t			 again_count;	/* of them */
	uint64_t		 started;	/* seconds since 1970 */
	uint64_t		 now;		/* the same, this turn */
	uint64_t		 now_ms;	/* monotonic, this turn */
};

/*
 * waiting.c.  Opens the map; spool and aliases are the caller's to open, dns
 * to run.
 */
void	queue_init(struct queue *, const struct config *,
	    const struct handout_ops *, const struct outbound_ops *,
	    struct dns_client *dns);
/* Set now and now_ms. */
void	queue_tick(struct queue *);
/* Read the names in the spool anew; remove what dead agents left. */
void	queue_scan(struct queue *);
/* A hint: the name of a letter that has just been committed. */
void	queue_hint(struct queue *, const char *text);
/* Look at a letter no earlier than when. */
void	queue_look_again(struct queue *, const struct spool_name *,
	    uint64_t when);
/* spool_defer(), and whoever is listing the letters hears of it. */
int	queue_rename(struct queue *, struct spool_name *, uint64_t due);
/* Try a letter now, since somebody asks for it, whatever was in vain before. */
void	queue_ask(struct queue *, const struct spool_name *);

/* job.c.  Open what is due, as far as there is room, and hand it out. */
void	queue_start_due(struct queue *);
/* When there is something to start; UINT64_MAX: not before a letter ends. */
uint64_t queue_next_start(const struct queue *);
void	job_free(struct queue *, struct job *);
/* The one that has this letter open, or NULL. */
struct job *job_find(const struct queue *, const char *id);
/* Has nobody taken up what it still waits for, and is the rest on record? */
int	job_is_waiting(const struct job *);
/* Does everybody who is outstanding wait behind a slow or long line? */
int	job_is_stuck(const struct job *);
/*
 * So that these are in nobody's way: leave them to a later attempt, or close
 * the letter, which has no news, until the first one's line is short.
 */
void	job_withdraw(struct job *);
void	job_park(struct queue *, struct job *);

/*
 * May that errand, which is one that is not to be done twice, be begun?  If
 * what becomes of it could not be put on record it is told so, deferred, and
 * the answer is 0.
 */
int	job_is_recordable(struct queue *, struct job *, struct errand *);

/*
 * job_expand.c.  To errands, which are the job's.  NULL; or the group without
 * which that can't be done: then the job is not one yet.
 */
struct group *job_expand(struct queue *, struct job *);

/*
 * settle.c, and job_expand.c: functions of struct handout_ops and outbound_ops;
 * arg is the queue.
 */
void	queue_errand_done(void *, struct errand *,
	    const struct errand_result *);
int	queue_errand_is_same(void *, struct errand *, const char *account);
void	queue_letter_unparked(void *, const struct spool_name *);
void	queue_errand_waits(void *, struct errand *);
/* One more piece of news, filled in but for what and whose it is. */
struct outcome *job_add_news(struct queue *, struct job *,
	    const char *account);
/* account NULL: the recipient leads to none. */
void	job_log_outcome(const struct queue *, const struct job *,
	    const struct outcome *, const char *account);
/* Whoever hands that one out, of mailboxes or programs. */
struct handout *job_handout(struct queue *, const struct errand *);
/* Put all news on record; then they are none any more.  0 or -1. */
int	job_record(struct queue *, struct job *);

/*
 * notice.c: what senders are told, in letters that are derived (derived.h).
 * Write them, as far as the news and what is on record want it, and add the
 * news that they are written; is_over: nothing will be tried again.  0; or -1,
 * logged: then nobody is told, and the letter must stay.
 */
int	job_notify(struct queue *, struct job *, int is_over);
/* Is that among the news? */
int	job_has_notices(const struct job *);
/* Those on record may go: 0; or -1, logged, and the letter must stay. */
int	job_release(struct queue *, struct letter *);
/* Has somebody failed whom nobody can be told of? */
int	job_is_hopeless(const struct job *);
/*
 * The end of a turn: put on record what was answered in it, with as few
 * syncs as can be, and only then let the mailboxes forget.
 */
void	queue_settle(struct queue *);

#endif
