/*
 * mailbox: a user's maildrop, used as that user only.
 *
 * One small vtable, a file per format.  Everything is reached from directory
 * descriptors with O_NOFOLLOW and checked after opening; the process that
 * calls has already become the user.  Functions return 0, or -1 with errno.
 */
#ifndef MAILBOX_MAILBOX_H
#define MAILBOX_MAILBOX_H

#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#include "../privsep/config.h"

#define UIDL_MAX	71	/* RFC 1939: 1 to 70 of 0x21-0x7e, and NUL */
#define MAILBOX_DIRS_MAX 4

/* One message of the index, in maildrop order. */
struct mailbox_message {
	uint64_t	octets;		/* as RETR sends it: CR LF line ends,
					 * final one added, no dot stuffing */
	char		uidl[UIDL_MAX];
};

/* A message to deliver: its content lies in a file, LF line ends. */
struct mailbox_letter {
	const char	*queue_id;	/* names the delivery, [0-9A-Za-z]{1,64} */
	time_t		 arrived;	/* at this host */
	const char	*head;		/* Return-Path, Delivered-To; LF ends */
	size_t		 head_len;
	int		 content;	/* descriptor, read with pread only */
	uint64_t	 offset;	/* where the content starts */
	uint64_t	 length;	/* octets of it */
	uint64_t	 lines;		/* LFs in it */
	int		 tried_before;	/* a former try may have finished */
};

struct mailbox;		/* one open maildrop or delivery target */

/* What stored octets are, and so what a client sees of them. */
enum mailbox_content {
	CONTENT_PLAIN,		/* all of them */
	CONTENT_MBOX		/* what wire/mbox_filter.h lets through */
};

struct mailbox_ops {
	const char	*name;		/* "maildir", "mbox" */
	enum mailbox_content content;	/* of what fetch gives */

	/*
	 * Open the place itself and nothing in it, so that the caller can
	 * confine itself to it: descriptors in dirs (the mailbox keeps them),
	 * *count of them.  With create, make what is missing (mode 0700),
	 * never through a link.  For a reader a maildrop that is not there is
	 * an empty one: 0 with no directories.  But a home that is not there
	 * is ENOENT for both: it may only not be mounted, and a client told
	 * of an empty maildrop forgets what it knew.
	 */
	int	(*enter)(struct mailbox **, const struct config *,
		    const struct identity *, int create,
		    int dirs[MAILBOX_DIRS_MAX], size_t *count);

	/* Lock for one session (EBUSY: another has it) and build the index. */
	int	(*open)(struct mailbox *);
	size_t	(*count)(const struct mailbox *);
	/* Number counts from 0; valid until the next call. */
	const struct mailbox_message *(*message)(const struct mailbox *,
		    size_t number);

	/*
	 * The octets of a message as stored (LF ends): a read-only descriptor,
	 * the caller's; ENOENT: gone; ESTALE: not what was indexed.
	 */
	int	(*fetch)(struct mailbox *, size_t number, int *fd,
		    uint64_t *offset, uint64_t *length);

	/*
	 * What was read of it is not as long as its octets say, though it was
	 * as indexed: look, and take back what says so, for the next session.
	 * NULL: nothing does.
	 */
	int	(*recount)(struct mailbox *, size_t number);

	/*
	 * Is it sure that the message was delivered before then?  (No, if it
	 * is not known.)  NULL: it never is.
	 */
	int	(*is_older)(struct mailbox *, size_t number, time_t than);

	/*
	 * Remove what has its bit set (bit n of octet n/8), on disk when it
	 * returns.  *failed counts those still there (0 unless -1).
	 */
	int	(*expunge)(struct mailbox *, const uint8_t *bitmap,
		    size_t *failed);

	/*
	 * Deliver; on disk when it returns 0, and once, however often the same
	 * queue_id is tried: until settle() a tombstone says that it was here,
	 * even if the user has removed it meanwhile.
	 */
	int	(*append)(struct mailbox *, const struct mailbox_letter *);
	/* The queue has recorded the outcome: the tombstone may go. */
	int	(*settle)(struct mailbox *, const char *queue_id);

	void	(*close)(struct mailbox *);
};

extern const struct mailbox_ops maildir_ops;
extern const struct mailbox_ops mbox_ops;

/*
 * Before enter(): the agent's channel to its companion, which makes what the
 * user may not make where the mailbox is (mbox_keeper.h).  -1, as it is at
 * first: there is none, and this process does it itself.
 */
void	mailbox_use_companion(int sock);

/*
 * A channel that hangs up when nobody wants to know the result any more: who
 * waits for other programs' locks then gives up, with ECANCELED.  What is
 * being done is never broken off.  -1, as it is at first: none.
 */
void	mailbox_use_channel(int sock);
/*
 * Sleep, but not longer than it is worth it: 0, or -1 with ECANCELED at once
 * when the channel has hung up.
 */
int	mailbox_sleep(int ms);

/* The format that the configuration names; NULL with ENOTSUP. */
const struct mailbox_ops *mailbox_format(const struct config *);

#endif
