/*
 * mbox: what the files of the mbox format share.  Nobody else includes this.
 *
 * An mbox is a row of messages.  Each has its *space* in the file: the "From "
 * line, header and body as they are stored, and the empty line before the next
 * "From " line.  What a client sees of it is wire/mbox_filter.h's.
 *
 * mbox.c, mbox_place.c, mbox_index.c, mbox_parse.c and mbox_uidl.c read;
 * mbox_lock.c and all the others write.  Everything here returns 0, or -1
 * with errno, if nothing else is said.
 */
#ifndef MAILBOX_MBOX_H
#define MAILBOX_MBOX_H

#include <sys/stat.h>

#include <limits.h>
#include <stdint.h>

#include "mailbox.h"
#include "mbox_keeper.h"

#define MBOX_HASH_SIZE	20	/* octets of a SHA-256 that make a UIDL */
#define MBOX_FROM_MAX	1024	/* octets of a "From " line, its LF included */

/* Wait for other programs' locks at most so long. */
#define MBOX_OPEN_PATIENCE_MS		5000	/* POP3: then EBUSY */
#define MBOX_DELIVERY_PATIENCE_MS	30000

/* One message of the index, 64 octets; 100,000 of them fit in memory. */
struct mbox_entry {
	uint64_t	from;		/* offset of its "From " line */
	uint64_t	space;		/* octets from there to the next one,
					 * or to the end of the file */
	uint64_t	length;		/* of header and body as stored, without
					 * the empty line that follows */
	uint64_t	octets;		/* as RETR sends it */
	uint8_t		hash[MBOX_HASH_SIZE];
	uint32_t	ordinal;	/* among those with this hash */
	uint16_t	from_len;	/* octets of the "From " line, its LF
					 * included: the header follows */
	uint16_t	flags;
};
#define MBOX_GONE	0x0001	/* not found again, or we removed it */
#define MBOX_SEEN	0x0002	/* by the refresh that is going on */

/* Where the header of a message begins in the file. */
#define MBOX_HEADER(entry)	((entry)->from + (entry)->from_len)

/*
 * The messages of this session, in the order of the file as it was when the
 * maildrop was opened; after a refresh their offsets are those of the file as
 * it is now (and need not rise, if another program has sorted it).  Messages
 * that came since are not in it, but no entry's space reaches into them.
 */
struct mbox_index {
	struct mbox_entry	*entries;
	size_t			 count;
	size_t			 room;
};

/* Is it the same file, unchanged? */
struct mbox_identity {
	dev_t		dev;
	ino_t		ino;
	uint64_t	size;
	int64_t		mtime;		/* nanoseconds */
	int64_t		ctime;		/* too */
};

/* What is held (mbox_lock.c). */
struct mbox_locks {
	int	depth;		/* nested mbox_lock()s; 0: nothing is held */
	int	has_file;	/* OFD write lock on mailbox.file */
	int	has_dotlock;	/* NAME.lock is ours */
	time_t	touched;	/* when the dotlock last was */
	struct dotlock dotlock;	/* if this process made it itself */
};

struct mailbox {
	uid_t			 uid;		/* whose it must be */
	int			 is_delivery;	/* entered to append */
	char			 hostname[HOSTNAME_MAX];
	int			 state;		/* ~/.postern; -1: a reader's
						 * home has no room for it */
	int			 directory;	/* where the mbox is (O_PATH), or
						 * -1: a reader found none */
	char			 name[NAME_MAX + 1];	/* there */
	int			 file;		/* O_RDWR; -1: no mbox there */
	int			 is_read_only;	/* so is its file system, and
						 * file is O_RDONLY */
	int			 reader;	/* O_RDONLY, another open file:
						 * no lock is ever taken on it,
						 * as workers get copies */
	int			 session;	/* ~/.postern/pop3.lock, or -1 */
	int			 has_waited;	/* for others' locks, to open */
	struct mbox_locks	 locks;
	struct mbox_identity	 known;		/* the file as it was indexed */
	uint64_t		 first;		/* offset of the first message:
						 * behind a pseudo message */
	struct mbox_index	 index;
	int			 is_remembered;	/* the index, from another
						 * session: it may be wrong */
	int			 has_changed;	/* since it was indexed, by
						 * others: check each fetch */
};

/* mbox_age.c */

/* Is it sure, by its "From " line, that it was delivered before then? */
int	mbox_is_older(struct mailbox *, size_t number, time_t than);
/* The same of the line itself, with its LF. */
int	mbox_is_before(const uint8_t *line, size_t len, time_t than);

/* mbox_parse.c */

/*
 * Does this line (with or without its LF) separate messages: "From ", somebody,
 * and a date as asctime(3) writes it, give or take what other programs do?
 * A line of a body that looks the same is quoted by whoever delivers it.
 */
int	mbox_is_from(const uint8_t *line, size_t len);

/*
 * Read a file of that size to the end, from its beginning (0) or that of a
 * message, and call found for each one but a leading "FOLDER INTERNAL DATA",
 * with all set but ordinal.
 * *first is where the first such message is, or would be: empty lines may stand
 * before it.  It stops when found returns something else than 0, and returns
 * it.  EBADMSG: there is no "From " line, so the file is no mbox; ENODATA: it
 * became shorter.
 */
typedef int (*mbox_found)(void *arg, const struct mbox_entry *);
int	mbox_scan(int fd, uint64_t from, uint64_t size, uint64_t *first,
	    mbox_found found, void *arg);

/* Are its "From " line, its content and its end still what was indexed? */
int	mbox_entry_is_intact(int fd, const struct mbox_entry *);

/* mbox_place.c */

/*
 * Open mailbox.directory, name and state as configured, then the file if it
 * is there.
 */
int	mbox_place_enter(struct mailbox *, const struct config *,
	    const struct identity *, int create);
/*
 * Only mailbox.directory and name, for the keeper, which runs beside the
 * agent; ENOENT: the directory is not there.  Sets nothing else.
 */
int	mbox_place_find(struct mailbox *, const struct config *,
	    const struct identity *, int create);
/*
 * Open the file that now has the name (file and reader): regular, the user's,
 * one link, else EPERM.  ENOENT: none; both are -1 then.  What was open before
 * is closed, and locks on it go with it, so not while a lock is held.
 */
int	mbox_file_open(struct mailbox *);
/* Is the file that is open still the one that has the name?  0 or 1. */
int	mbox_file_is_named(const struct mailbox *);
int	mbox_file_identify(const struct mailbox *, struct mbox_identity *);
int	mbox_identity_is_same(const struct mbox_identity *,
	    const struct mbox_identity *);

/* mbox_index.c: the caller holds the locks */

/*
 * Index the file; none or an empty one has no messages.  Of a large one another
 * session's index is taken where it can be (mbox_cache.h).
 */
int	mbox_index_build(struct mailbox *);
/*
 * Find the messages of the index again, if the file is not as it was indexed.
 * What is not there gets MBOX_GONE.  After this and as long as the locks are
 * held from, space and length hold for all that are not gone.
 */
int	mbox_index_refresh(struct mailbox *);
/* We changed the file ourselves and corrected the index: it is as indexed. */
int	mbox_index_settle(struct mailbox *);
void	mbox_index_free(struct mbox_index *);

/* mbox_uidl.c */

void	mbox_uidl(const struct mbox_entry *, char uidl[UIDL_MAX]);
/*
 * Give ordinals to all entries: those of ~/.postern/mbox-twins, else in the
 * order of the file; what must be remembered is written there.
 */
int	mbox_twins_number(struct mailbox *, struct mbox_index *);
/*
 * These entries (bit n of octet n/8) will be removed: on disk when it returns.
 * Call it before the first octet of the mbox is changed.  Should they stay
 * after all, then one of several identical messages has another UIDL.
 */
int	mbox_twins_remove(struct mailbox *, const uint8_t *bitmap);

/* mbox_lock.c */

/*
 * fcntl (OFD) write lock on the file, then NAME.lock, waiting patience_ms at
 * most in all; EBUSY: others have one of them; ECANCELED: and nobody waits for
 * us any more.  When it returns 0, then mailbox.file is open and the file that
 * has the name (opened again if another came meanwhile), or -1 if there is
 * none and a reader asks (0, no lock).
 * Locks nest; only the first takes time, only the last unlock gives up.
 */
int	mbox_lock(struct mailbox *, int patience_ms);
void	mbox_unlock(struct mailbox *);
/* While something takes long: the dotlock stays fresh. */
void	mbox_lock_touch(struct mailbox *);

/* mbox_lock.c, too */

/* Make the file if it is not there; before the agent is confined. */
int	mbox_create(struct mailbox *);

/* mbox_recover.c: the caller holds the locks */

/*
 * Finish or undo what a crash left: an expunge's journal, an append's torn
 * tail.  Nothing to do is 0 and cheap.  Before every index and append.
 */
int	mbox_recover(struct mailbox *);

/* mbox_expunge.c, mbox_append.c: as mailbox_ops has them; they lock */
int	mbox_expunge(struct mailbox *, const uint8_t *bitmap, size_t *failed);
int	mbox_append(struct mailbox *, const struct mailbox_letter *);
int	mbox_settle(struct mailbox *, const char *queue_id);

#endif
