/*
 * mbox_rewrite: take octets out of the middle of an mbox, all or nothing.
 * The caller holds the locks.
 */
#ifndef MAILBOX_MBOX_REWRITE_H
#define MAILBOX_MBOX_REWRITE_H

#include "io.h"
#include "mbox.h"
#include "mbox_journal.h"

struct mbox_gap {
	uint64_t	offset;
	uint64_t	length;		/* over 0 */
};

/*
 * Remove these octets: rising, none twice.  size is that of the file as the
 * caller knows it; if it has another by now, nothing is done: ESTALE.  On disk
 * when it returns 0.  After -1 the mbox is as it was, or mbox_rewrite_recover()
 * must be called before anything is read.
 */
int	mbox_rewrite(struct mailbox *, uint64_t size, const struct mbox_gap *,
	    size_t count);
/* Finish what was cut short; 0 also if there is nothing. */
int	mbox_rewrite_recover(struct mailbox *);

/* What mbox_rewrite.c and mbox_resume.c share: a rewrite that is going on. */
struct rewrite {
	struct mailbox		*mb;
	struct journal		 journal;
	struct journal_slot	 slot;		/* the last that is on disk */
	int			 fd;		/* the journal */
	char			 name[32];
};

/* A slot, and behind it its window. */
extern uint8_t rewrite_buffer[JOURNAL_SLOT + JOURNAL_WINDOW_MAX];
#define REWRITE_WINDOW	(rewrite_buffer + JOURNAL_SLOT)

/* Octets moved at a time, if there is room; tests make it smaller. */
extern uint64_t rewrite_window;

/* Set name, and in journal ino and size as they are now. */
int	rewrite_name(struct rewrite *);
/* Put the next slot to disk, or the last one. */
int	rewrite_next_slot(struct rewrite *);
/* From the slot that is on disk, its window in memory, to the end. */
int	rewrite_run(struct rewrite *);
void	rewrite_remove_journal(const struct rewrite *);
void	rewrite_finish(struct rewrite *);
/* Hash on over at most size octets before the end of [from, end). */
int	rewrite_hash_end(int fd, uint64_t from, uint64_t end, size_t size,
	    uint64_t *hash);
/* Of what is cut off: its beginning and its end. */
int	rewrite_hash_tail(int fd, uint64_t from, uint64_t end, uint64_t *hash);

#endif
