/*
 * maildir: what the files of the Maildir format share.  Nobody else includes
 * this.
 *
 * A name in new/ or cur/ is UNIQUE[,FIELD=VALUE]...[:INFO].  Its *base* is all
 * before the colon and never changes as long as nobody corrects its fields;
 * its *unique part* ends before the first comma too, never changes, and is
 * what a UIDL is made of.
 */
#ifndef MAILBOX_MAILDIR_H
#define MAILBOX_MAILDIR_H

#include <sys/stat.h>

#include <dirent.h>
#include <stdint.h>

#include "mailbox.h"

#define MAILDIR_NAME_MAX	255	/* octets of a file name */
#define MAILDIR_UNSAID		UINT64_MAX

enum maildir_folder {
	MAILDIR_NEW,
	MAILDIR_CUR,
	MAILDIR_TMP,
	MAILDIR_FOLDERS
};

/* What a file name says. */
struct maildir_name {
	uint64_t	seconds;	/* leading decimal number, or 0 */
	uint64_t	size;		/* ,S=: stored octets, or UNSAID */
	uint64_t	octets;		/* ,W=: on the wire, or UNSAID */
	uint8_t		unique_len;
	uint8_t		base_len;
};

/* One message of the index, 48 octets; a million of them fit in memory. */
struct maildir_entry {
	const char	*name;		/* in the index's arena */
	uint64_t	 seconds;
	uint64_t	 octets;	/* as LIST says and RETR must send */
	uint64_t	 size;		/* stored octets, or UNSAID */
	int64_t		 mtime;		/* nanoseconds, if counted */
	uint8_t		 unique_len;
	uint8_t		 base_len;
	uint8_t		 folder;	/* MAILDIR_NEW or MAILDIR_CUR */
	uint8_t		 flags;
	uint8_t		 met;		/* by which reading at last; 0: none */
};
#define ENTRY_COUNTED	0x01	/* octets were counted, not read off the name */
#define ENTRY_TWIN	0x02	/* another has this unique part */
#define ENTRY_GONE	0x04	/* known not to be there any more */
#define ENTRY_SKIP	0x08	/* not to be listed */

struct maildir_names;		/* a block of the arena */

struct maildir_index {
	struct maildir_entry	*entries;
	size_t			 count;
	size_t			 sorted;	/* of these, from the first */
	size_t			 room;
	struct maildir_names	*names;
};

/* Whose deliveries were in new/ and cur/: ids hashed, sorted. */
struct maildir_ids {
	uint64_t	*hashes;
	size_t		 count;
	size_t		 room;
	int		 is_known;	/* they were read */
};

struct mailbox {
	uid_t			 uid;		/* whose it must be */
	char			 hostname[HOSTNAME_MAX];
	int			 maildir;	/* the directory, or -1: none */
	int			 folder[MAILDIR_FOLDERS]; /* or -1 */
	int			 lock;		/* postern.lock, or -1 */
	struct maildir_index	 index;
	struct maildir_ids	 delivered;	/* maildir_delivered.c's */
};

/* maildir_name.c */

/*
 * A pure function of the name (at most MAILDIR_NAME_MAX octets), and a strict
 * reader of its fields.
 */
void	maildir_name_parse(const char *name, struct maildir_name *);
/* The UIDL of a name; of its whole base, hashed, if twin. */
void	maildir_name_uidl(const char *name, size_t unique_len, size_t base_len,
	    int twin, char uidl[UIDL_MAX]);
/* Can a file of that size have so many octets on the wire? */
int	maildir_is_plausible(uint64_t size, uint64_t octets);

/* maildir_scan.c */

/*
 * Call found for each entry of a folder that no dot begins, until it returns
 * something else than 0, which is returned; 0 at the end, and at once for a
 * folder that is not there; -1 with errno.
 */
typedef int (*maildir_found)(struct mailbox *, enum maildir_folder,
	    const struct dirent *, void *);
int	maildir_scan(struct mailbox *, enum maildir_folder, maildir_found,
	    void *);
/*
 * One reading of new/, then of cur/.  It is whole if no name came or went
 * meanwhile: then what was not met is not there.
 */
int	maildir_scan_both(struct mailbox *, maildir_found, void *,
	    int *is_whole);

/* Readings of one search. */
struct maildir_readings {
	unsigned	done;
	unsigned	alike;	/* of these, the last that met nothing new */
};
/*
 * After a reading: is another one needed to know of everything that is there?
 * Pauses a moment first.  No, if that one was whole, if many in a row met
 * nothing that was not known, or if there were very many (at most 16).
 */
int	maildir_scan_again(struct maildir_readings *, int is_whole,
	    int has_news);

/* maildir_index.c */

/* Index new/ and cur/; -1 with errno. */
int	maildir_index_build(struct mailbox *);
void	maildir_index_free(struct maildir_index *);
/*
 * Find again what was moved or renamed; mark what is gone.  Not longer than
 * until this one is found, if one is wanted.
 */
int	maildir_index_refresh(struct mailbox *,
	    const struct maildir_entry *wanted);

/*
 * Number, then unique part: what finds a message again, and the index's order
 * (but for twins).  As strcmp().
 */
int	maildir_compare(const struct maildir_entry *,
	    const struct maildir_entry *);

/* maildir.c */

/*
 * Open a message, wherever it is by now, and say what it is: a regular file
 * of the owner's.  -1 with errno: ENOENT gone, ESTALE something else, EAGAIN
 * there, but renamed faster than it can be opened.
 */
int	maildir_entry_open(struct mailbox *, struct maildir_entry *,
	    struct stat *);

/* maildir_count.c */

/* When it was last changed, in nanoseconds. */
int64_t	maildir_mtime(const struct stat *);
/* Its octets on the wire, by reading all of it; -1 with errno. */
int	maildir_entry_count(struct mailbox *, struct maildir_entry *,
	    struct stat *, uint64_t *octets);
/*
 * Its ,S= or ,W= is wrong: take these fields out of its name, so that the next
 * session counts it.  Its unique part, and so its UIDL, stays.
 */
void	maildir_entry_correct(const struct mailbox *,
	    const struct maildir_entry *);
/* As mailbox_ops has it. */
int	maildir_recount(struct mailbox *, size_t number);

/* maildir_delivered.c */

#define MAILDIR_ID_MAX	64	/* characters of a queue id */

/* Is it there?  One reading of the folders.  -1 with errno. */
int	maildir_has_delivery(struct mailbox *, const char *queue_id);
/*
 * May it have been there when that was first asked of this mailbox?  One
 * reading for all that are asked for.  -1 with errno.
 */
int	maildir_may_have(struct mailbox *, const char *queue_id);

/* maildir_append.c */
int	maildir_append(struct mailbox *, const struct mailbox_letter *);
int	maildir_settle(struct mailbox *, const char *queue_id);

/* What there is of a delivery, and so what is left to do; see the table. */
enum maildir_todo { MAILDIR_WRITE, MAILDIR_FINISH, MAILDIR_DONE };
enum maildir_todo maildir_todo(int has_work, int has_tombstone, int has_name);
/* Remove what dead deliveries left in tmp/; bounded. */
void	maildir_sweep(struct mailbox *, time_t now);

#endif
