/*
 * mbox_keeper: the dotlock of an mbox, and the process that keeps it.
 *
 * A mail spool is root:mail 2775 (Debian) or 1777, so a user alone can't make
 * NAME.lock there, or could touch more than that.  So each session on an mbox
 * has a companion of its agent (privsep/agents.h): it is the same user, with
 * the directory's group, and knows one directory and one name.  It is asked
 * four things without a word to them, opens nothing but what it makes, and
 * when the agent ends, however it ends, it removes its lock and ends too.
 *
 * Functions return 0, or -1 with errno.
 */
#ifndef MAILBOX_MBOX_KEEPER_H
#define MAILBOX_MBOX_KEEPER_H

#include <sys/types.h>

#include <limits.h>

#include "../privsep/agents.h"
#include "../privsep/gates.h"

/*
 * A lock that nobody touched for so long is nobody's: as procmail, liblockfile
 * and Dovecot have it, give or take a minute or two.
 */
#define DOTLOCK_STALE_SECONDS	300

struct dotlock {
	int	fd;		/* the lock's file, open while it is held */
	dev_t	dev;
	ino_t	ino;
};

/* mbox_dotlock.c: directory may be O_PATH, name is NAME.lock. */

/*
 * EEXIST: another's, and it is not stale.  A stale one is removed, if it is
 * this user's or root's.
 */
int	dotlock_make(int directory, const char *name, uid_t user,
	    struct dotlock *);
/* It is still in use. */
int	dotlock_touch(const struct dotlock *);
/* Remove it, if it still is ours. */
int	dotlock_remove(int directory, const char *name, struct dotlock *);
/*
 * Remove one that was made here, on this host and in this namespace of
 * processes, by a process that is not there any more.  Reads it and /proc, so
 * before a process is confined; locks that are made from then on say where.
 */
void	dotlock_clear_dead(int directory, const char *name);

/* What an agent asks its keeper; -> u32 errno, 0 done. */
enum keeper_request {
	REQ_KEEPER_MAKE = 0x401, /* make the mbox, empty; EEXIST: is there */
	REQ_KEEPER_LOCK,	/* make NAME.lock; EEXIST: another has it */
	REQ_KEEPER_TOUCH,	/* it is still in use */
	REQ_KEEPER_UNLOCK	/* remove it */
};

enum keeper_state { KEEPER_IDLE, KEEPER_LOCKED };

struct keeper {
	int		directory;	/* -1: there is none */
	char		name[NAME_MAX + 1];
	char		lock_name[NAME_MAX + 1];
	mode_t		mode;		/* of an mbox that it makes */
	uid_t		user;		/* who it is */
	struct dotlock	lock;		/* in KEEPER_LOCKED */
};

extern const struct gate_table keeper_gates;

/* Make the empty mbox; EEXIST: something of that name is there. */
int	keeper_make(int directory, const char *name, mode_t mode);
/* In a directory that its group can write, the group may use the mbox too. */
mode_t	keeper_mode(int directory);
/* Serve to the end; whatever happens, its lock is gone then. */
int	keeper_serve(struct keeper *, int sock);

/* The agent's side: one request and its answer. */
int	keeper_ask(int sock, enum keeper_request);

/* For agent_program.companion; gives one to a session on an mbox only. */
extern const struct companion mailbox_companion;

#endif
