/*
 * handout: letters to delivery agents.  One line of errands per account, one
 * channel per line, one letter at a time on it.  To agents of programs
 * (programs.h) in the same way, but with a line per command or file.
 *
 *	WANTING -> ASKED (the master) -> IDENTIFY (login) -> DELIVER ->
 *	UNSETTLED (the queue records it) -> SETTLE -> DELIVER ... -> closed
 *
 * Nothing here waits: every send is small and goes to a peer that is waiting
 * for it, every reply comes through poll(), every state has a deadline.
 *
 * A line whose agent has not answered for some seconds is slow.  It must not
 * be in others' way: its channel has no part in those that quick ones share,
 * and letters that wait for it only are put aside by their owner.
 */
#ifndef SMTPD_HANDOUT_H
#define SMTPD_HANDOUT_H

#include <sys/queue.h>

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "privsep/config.h"
#include "smtpd/program.h"
#include "smtpd/spool.h"

#define HANDOUT_CHANNELS	150	/* open or asked for at once, at all */
#define HANDOUT_QUICK	50	/* of them, not counting slow mailboxes */
#define BACKLOG_MAX	20	/* open letters of one account; more wait */

struct errand_result;

struct errand_program {
	char	digest[PROGRAM_DIGEST_MAX];	/* program.h */
	int	is_spare;	/* others have the letter, too */
};

/*
 * One letter for one account, or for one recipient elsewhere (outbound.h).
 * The owner's memory until it is done.
 */
struct errand {
	TAILQ_ENTRY(errand)	 link;
	const struct letter	*letter;
	void			*owner;
	struct line		*line;		/* while handed out */
	struct destination	*destination;	/* the same, elsewhere */
	int			 is_elsewhere;	/* not for an account */
	int			 is_rewritten;	/* the same, with srs_forward()
						 * of the reverse-path */
	int			 is_sent;	/* a relay has it */
	uint32_t		 tries;		/* in vain, and none's fault */
	struct errand_result	*why;		/* a host has put it off; the
						 * connection's */
	char			*account;	/* or "local-part@domain", as
						 * in a command */
	uint64_t		 key;		/* outcome_key(account) */
	uint32_t		 recipient;	/* by which it came */
	int			 is_tried;	/* may have been delivered */
	int			 is_unsettled;	/* delivered, not on record */
	int			 is_silent;	/* its agent did not answer */
	char			**addresses;	/* where it goes on to */
	size_t			 address_count;
	struct errand_program	*programs;	/* the same */
	size_t			 program_count;
	/* A command or a file of the account: which, and by which alias; "" the
	 * account's own ~/.forward.  No digest: its mailbox. */
	char			 digest[PROGRAM_DIGEST_MAX];
	char			*alias;
	int			 is_spare;	/* others have it, too */
	int			 is_for_mailbox;	/* and nowhere else */
};
TAILQ_HEAD(errand_list, errand);

struct errand_result {
	enum delivery_verdict	 verdict;
	char			 status[OUTCOME_STATUS_MAX];
	char			 text[OUTCOME_TEXT_MAX];
	char			 remote[HOSTNAME_MAX];	/* who said so, or
						 * of whom; "" we, of none */
	unsigned		 code;		/* and with what, or 0 */
	int			 has_dsn;	/* and will report further */
};

struct handout_ops {
	/* Ask the master for a channel; -1: not now. */
	int	(*need)(void *arg, uint64_t tag);
	/* The same, for a handout to programs. */
	int	(*need_program)(void *arg, uint64_t tag);
	/* An errand is out of our hands, unless it was delivered: then it
	 * stays until handout_settle() or handout_drop(). */
	void	(*done)(void *arg, struct errand *,
		    const struct errand_result *);
	/* The errand's account is another name of this one: 1, if the letter
	 * goes there anyway, and the errand is none any more. */
	int	(*is_same)(void *arg, struct errand *, const char *account);
	/* A parked letter may come again. */
	void	(*unpark)(void *arg, const struct spool_name *);
	/* The errand waits in a line that has become slow. */
	void	(*slow)(void *arg, struct errand *);
};

struct line;
TAILQ_HEAD(line_list, line);
#define HANDOUT_BUCKETS	256

struct handout {
	const struct handout_ops *ops;
	void			*arg;
	const char		*hostname;	/* for a bare postmaster */
	int			 is_of_programs;	/* not of mailboxes */
	int			 is_closing;	/* nothing more is begun */
	uint64_t		 patience;	/* ms, of one delivery */
	uint64_t		 idle_ms;	/* an agent waits for another
						 * letter; 0, from init: not */
	uint64_t		 next_tag;
	uint64_t		 ask_after;	/* the master was busy: ms */
	size_t			 channels;	/* asked for or open */
	size_t			 watched;	/* of the last handout_poll() */
	struct line		*watching[HANDOUT_CHANNELS];
	struct line_list	 wanting;	/* in the order they came */
	struct line_list	 active;	/* asked for or open */
	struct line_list	 buckets[HANDOUT_BUCKETS];
};

void	handout_init(struct handout *, const struct handout_ops *, void *arg,
	    const char *hostname);
/* Forget where an errand's letter goes on to. */
void	handout_forget_addresses(struct errand *);
/* Put an errand in its account's line: 0, or -1 with errno ENOMEM. */
int	handout_add(struct handout *, struct errand *);
/* Is it not the next of a line that is slow, or longer than BACKLOG_MAX? */
int	handout_is_stuck(const struct errand *);
/* Does its agent have it? */
int	handout_has_begun(const struct errand *);
/* Take an errand that waits out of its line. */
void	handout_withdraw(struct errand *);
/* Remember a letter until that errand's line is short again; -1: ENOMEM. */
int	handout_park(struct handout *, const struct errand *,
	    const struct spool_name *);
/* Forget what is parked: the spool is about to be read anew. */
void	handout_forget_parked(struct handout *);

/*
 * Give idle agents what has come for them, and ask for channels, as far as
 * there may be more.  now_ms: monotonic.
 */
void	handout_ask(struct handout *, uint64_t now_ms);
/* The master's answer; fd -1: not now. */
void	handout_channel(struct handout *, uint64_t tag, int fd,
	    uint64_t now_ms);
/* Fill pfd (room for HANDOUT_CHANNELS); how many. */
size_t	handout_poll(struct handout *, struct pollfd *);
/* After poll(), with the same array. */
void	handout_ready(struct handout *, const struct pollfd *,
	    uint64_t now_ms);
/* End what is over its deadline. */
void	handout_expire(struct handout *, uint64_t now_ms);
/* Begin nothing more; is there still somebody at what was begun before? */
int	handout_close(struct handout *);
/* The next moment at which ask or expire has something to do. */
uint64_t handout_next(const struct handout *);

/* The delivery is on record: the mailbox may forget that it has it. */
void	handout_settle(struct handout *, struct errand *, uint64_t now_ms);
/* It could not be recorded: the mailbox must remember. */
void	handout_drop(struct handout *, struct errand *, uint64_t now_ms);

#endif
