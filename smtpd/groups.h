/*
 * groups: who is in the Unix groups that aliases name (":group:NAME").
 *
 * The queue can't ask NSS: login is asked, over a channel as a delivery has
 * it, and what it said holds for a minute.  Nothing here waits: a letter that
 * needs to know is closed, and comes again when the answer is there.
 *
 *	ASKING -> (a channel) LISTING -> KNOWN, or one of the others
 */
#ifndef SMTPD_GROUPS_H
#define SMTPD_GROUPS_H

#include <sys/queue.h>

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "smtpd/account.h"
#include "smtpd/handout.h"
#include "smtpd/spool.h"

#define GROUPS_CHANNELS	4	/* asked for or open at once */
#define GROUPS_MAX	500	/* remembered at once */
#define GROUPS_TAG	(UINT64_C(1) << 63)	/* in the tags of channels */

enum group_state {
	GROUP_ASKING,		/* in line for a channel */
	GROUP_LISTING,		/* a channel is asked for or open */
	GROUP_KNOWN,
	GROUP_UNKNOWN,		/* there is none of that name */
	GROUP_TOO_LARGE,	/* more than MEMBERS_MAX */
	GROUP_FAILED		/* could not be asked; soon again */
};

struct group_waiter;

struct group {
	TAILQ_ENTRY(group)	 link;
	char			 name[ACCOUNT_LIMIT + 1];
	enum group_state	 state;
	int			 fd;		/* LISTING: the channel, or -1 */
	uint64_t		 tag;		/* LISTING: of the request */
	uint64_t		 when;		/* monotonic ms: LISTING, until;
						 * ASKING, not before; else good
						 * until */
	int			 is_told;	/* in the log: it is wrong */
	char			*members;	/* names, each with its NUL */
	size_t			 size;		/* octets of them */
	size_t			 room;
	STAILQ_HEAD(, group_waiter) waiters;
};
TAILQ_HEAD(group_list, group);

struct groups {
	const struct handout_ops *ops;	/* need and unpark */
	void			*arg;
	struct group_list	 list;
	size_t			 count;
	size_t			 channels;	/* of those in LISTING */
	uint64_t		 next_tag;
	size_t			 watched;	/* of the last groups_poll() */
	struct group		*watching[GROUPS_CHANNELS];
};

/* Forget all of them, and who waits. */
void	groups_free(struct groups *);
void	groups_init(struct groups *, const struct handout_ops *, void *arg);
/*
 * The group, which login is asked for if nothing is known of it that still
 * holds; NULL: no room for another.  It is good until groups_get() is called
 * again, or a channel is heard.  now: monotonic ms.
 */
struct group *groups_get(struct groups *, const char *name, uint64_t now);
/* Is it ASKING or LISTING? */
int	group_is_awaited(const struct group *);
/* The next member after this one; after NULL the first.  NULL: no more. */
const char *group_next(const struct group *, const char *member);
/* Remember a letter until there is an answer; -1: ENOMEM. */
int	groups_park(struct group *, const struct spool_name *);
/* Forget what is parked: the spool is about to be read anew. */
void	groups_forget_parked(struct groups *);
/* Is nobody asked? */
int	groups_is_idle(const struct groups *);

/* As those of handout.h. */
void	groups_ask(struct groups *, uint64_t now);
/* 1: it was one of ours; 0: it was not. */
int	groups_channel(struct groups *, uint64_t tag, int fd, uint64_t now);
size_t	groups_poll(struct groups *, struct pollfd *);
void	groups_ready(struct groups *, const struct pollfd *, uint64_t now);
void	groups_expire(struct groups *, uint64_t now);
uint64_t groups_next(const struct groups *);

#endif
