/*
 * spool: where letters wait, one file each.
 *
 * SPOOL/incoming  being written by a session agent, which holds its lock
 * SPOOL/queue     answered with 250: DUE.SIZE.ID, so that a start reads names
 *                 only; a deferral is a rename, and so is putting a letter on
 *                 hold, which has one of the last two DUEs
 * SPOOL/held      letters that the queue itself has written (derived.h), as
 *                 long as what they tell of is not on record: ID
 * SPOOL/failed    unreadable, or can't even be told of: ID, kept for the
 *                 administrator
 *
 * All of it belongs to queue-user.  The file format stands in spool_format.h,
 * what it promises in spool.c.  Functions return 0, or -1 with errno.
 */
#ifndef SMTPD_SPOOL_H
#define SMTPD_SPOOL_H

#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#include "envelope.h"
#include "gates.h"

#define SPOOL_ID_LEN	20	/* octets of the ids that we make */
#define SPOOL_NAME_MAX	64	/* name in queue/ with its NUL */
#define SPOOL_BUFFER	(256 * 1024)

struct spool {
	int	incoming;	/* directories */
	int	queue;
	int	held;
	int	failed;
};

/* The last due times, which no clock comes up to: until somebody releases it. */
#define SPOOL_KEPT	((UINT64_C(1) << 40) - 1)	/* by root, and nobody
							 * else can */
#define SPOOL_ON_HOLD	(SPOOL_KEPT - 1)		/* by who submitted it */

/* What a name in queue/ says. */
struct spool_name {
	uint64_t	due;		/* seconds since 1970, under 2^40 */
	uint64_t	size;		/* octets of trace and content */
	char		id[QUEUE_ID_MAX];
};

static inline int
spool_is_held(const struct spool_name *name)
{
	return name->due >= SPOOL_ON_HOLD;
}

/*
 * The spool directory itself, checked: a directory, not a link, owned by this
 * uid, writable by nobody else (EPERM).  *dir is the caller's.
 */
int	spool_enter(const char *path, uid_t owner, int *dir);
/* Make what is missing below it, on disk when it returns; call as its owner. */
int	spool_make(int dir);
int	spool_open(struct spool *, int dir);
void	spool_close(struct spool *);

/* 20 of [0-9A-Za-z]: microseconds, then random; sorts by time. */
int	spool_id_make(char id[QUEUE_ID_MAX]);
int	spool_id_is_legal(const char *id);
int	spool_name_print(const struct spool_name *, char buf[SPOOL_NAME_MAX]);
/* Strict: exactly what print makes; EINVAL. */
int	spool_name_parse(const char *text, struct spool_name *);

/*
 * Is it as spool_commit() has named it?  Ids of ours begin with the time; of
 * others', and of derived letters, it is not known: 0.
 */
int	spool_name_is_first(const struct spool_name *);

/* Every name in queue/; *strange counts those that are none of ours. */
int	spool_scan(const struct spool *, void (*each)(void *,
	    const struct spool_name *), void *arg, size_t *strange);
/* Remove what dead agents left in incoming/; how many, or -1. */
int	spool_clean(const struct spool *);

/* Ends a letter's stay; durable only after spool_sync(). */
int	spool_remove(const struct spool *, const struct spool_name *);
/* Gives a letter another due time, in *name too. */
int	spool_defer(const struct spool *, struct spool_name *, uint64_t due);
/* To failed/. */
int	spool_fail(const struct spool *, const struct spool_name *);
/* What was removed, deferred and failed so far stays so (one fsync or two). */
int	spool_sync(const struct spool *, int failed_too);

/* One letter on its way in.  Large: have one per process. */
struct spool_writer {
	const struct spool	*spool;
	int			 fd;		/* -1: none open */
	int			 error;		/* sticky errno */
	char			 id[QUEUE_ID_MAX];
	uint64_t		 arrived;	/* seconds since 1970 */
	const struct envelope_writer *envelope;
	uint64_t		 length;	/* octets of trace and content */
	uint64_t		 lines;		/* LFs among them */
	uint64_t		 written;	/* octets already in the file */
	size_t			 fill;
	uint8_t			 buffer[SPOOL_BUFFER];
};

/*
 * Make the file in incoming/, locked.  The envelope is borrowed until commit
 * or abort.
 */
int	spool_begin(struct spool_writer *, const struct spool *,
	    const struct envelope_writer *);
/*
 * The same with an id of the caller's, instead of whatever has it in incoming/:
 * nobody else makes that id.
 */
int	spool_begin_as(struct spool_writer *, const struct spool *,
	    const struct envelope_writer *, const char *id);
/*
 * Room for content, at least one octet; then say how many came.  After an
 * error (spool_writer.error) content is still taken, and thrown away.
 */
void	spool_space(struct spool_writer *, uint8_t **, size_t *);
void	spool_filled(struct spool_writer *, size_t);
void	spool_put(struct spool_writer *, const void *, size_t);
/*
 * On disk, named in queue/ and due at once, or gone: 0 with *name, or -1 with
 * errno.  Either way the writer is free again.
 */
int	spool_commit(struct spool_writer *, struct spool_name *);
/* On disk in held/, in place of what had that id there; as commit otherwise. */
int	spool_hold(struct spool_writer *);
void	spool_abort(struct spool_writer *);

/* What became of one delivery of a letter, as it is on record. */
enum outcome_kind {
	OUTCOME_DELIVERED = 1,
	OUTCOME_DEFERRED,	/* try again */
	OUTCOME_FAILED,		/* for good */
	OUTCOME_SPLIT,		/* a derived letter's: for good here */
	OUTCOME_NOTIFIED	/* nobody's: the sender is told by a derived
				 * letter; text says of what */
};

#define OUTCOME_STATUS_MAX	12	/* "5.1.1", with its NUL */
#define OUTCOME_TEXT_MAX	400	/* with its NUL */
#define OUTCOME_REMOTE_MAX	128	/* with its NUL */

/* Flags of an outcome. */
#define OUTCOME_ELSEWHERE	0x01	/* at another host */
#define OUTCOME_HAS_DSN		0x02	/* which reports further */
#define OUTCOME_ARRIVED		0x04	/* a SPLIT: where it was sent to */

struct outcome {
	enum outcome_kind	kind;
	uint32_t		recipient;	/* index in the envelope */
	uint32_t		attempt;	/* from 1: the letter's */
	uint64_t		key;		/* outcome_key(account), or 0:
						 * the recipient as a whole */
	uint64_t		when;		/* seconds since 1970 */
	uint64_t		at;		/* offset in the file, once it
						 * is on record: the spool's */
	char			status[OUTCOME_STATUS_MAX];
	char			text[OUTCOME_TEXT_MAX];
	char			remote[OUTCOME_REMOTE_MAX];	/* who said so,
						 * or (no code) of whom we do;
						 * "" none; long ones are cut */
	char			target[PATH_TEXT_MAX];	/* account or address;
						 * SPLIT, NOTIFIED: the derived
						 * letter's id */
	uint32_t		flags;
	uint32_t		code;	/* remote's reply, 0: none */
};

/* Is it known of this delivery what became of it? */
static inline int
outcome_is_final(const struct outcome *o)
{
	return o->kind != OUTCOME_DEFERRED && o->kind != OUTCOME_NOTIFIED;
}

/* Names an account in a record, whatever recipient it came by; never 0. */
uint64_t outcome_key(const char *account);

/* One letter on its way out, locked while fd or a copy of it is open. */
struct letter {
	struct spool_name	 name;
	int			 fd;		/* read-only: pread */
	uint64_t		 arrived;
	uint64_t		 offset;	/* of trace and content */
	uint64_t		 length;
	uint64_t		 lines;
	struct envelope		 envelope;
	struct outcome		*outcomes;	/* in the order written */
	size_t			 outcome_count;
	uint64_t		 outcome_end;	/* where the next one goes */
};

/*
 * Open, lock and read.  -1 with errno: ENOENT, no such name; EWOULDBLOCK,
 * locked; EBADMSG, the file is not a letter (it is not locked any more).
 */
int	letter_open(const struct spool *, const struct spool_name *,
	    struct letter *);
/* As letter_open() on an open file, which it takes over; for tests. */
int	letter_read(int fd, struct letter *);
void	letter_close(struct letter *);
/*
 * Put outcomes on record, on disk when it returns unless all of them are
 * deferrals: a final one is appended, a deferral has the place of the one
 * before it of the same delivery.  -1: they may be there or not, and are to be
 * recorded again.
 */
int	letter_record(const struct spool *, struct letter *,
	    const struct outcome *, size_t count);
/*
 * See to it that so many outcomes more can be put on record even if the disk is
 * full by then, as far as the file system promises that.  -1 with errno: there
 * is no room for them.
 */
int	letter_reserve(const struct spool *, const struct letter *,
	    size_t count);
/* The last attempt's number on record; 0: none. */
uint32_t letter_attempts(const struct letter *);

#endif
