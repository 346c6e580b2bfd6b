/*
 * control_gate: what programs of this host can ask the queue over smtpd.ctl,
 * whoever they are: the kernel says which user.  For both sides of the socket;
 * nothing here links a server.
 *
 * A user sees and moves the letters that he has submitted (ENVELOPE_OWNER),
 * root all.  Of any other letter nothing is said, not even that it is there.
 *
 * One request at a time; the answer to it is one message:
 *
 *	LIST, CONTENT		a page; more of it, if there is more, to NEXT
 *	RETRY ... DELETE	DONE, when all of them are done
 *
 * or REFUSED, after which the queue closes.
 */
#ifndef SMTPD_CONTROL_GATE_H
#define SMTPD_CONTROL_GATE_H

#include <stdint.h>

#include "privsep/facts.h"
#include "privsep/message.h"
#include "smtpd/gates.h"

enum control_request {
	REQ_LIST = 0x501,	/* selection -> page of records */
	REQ_CONTENT,		/* str id -> page of octets */
	REQ_NEXT,		/* () -> the next page of either */
	REQ_RETRY,		/* selection -> done: try them now */
	REQ_HOLD,		/* selection -> done: leave them alone */
	REQ_RELEASE,		/* selection -> done: no longer on hold */
	REQ_DELETE		/* selection -> done: without a bounce */
};

enum control_reply {
	REPLY_RECORDS = 0x8501,	/* records, u32 0, u32 control_page */
	REPLY_CONTENT,		/* data, u32 control_page; no data: there is no
				 * such letter */
	REPLY_DONE,		/* u32 done, u32 left as they were, u32 in
				 * delivery just now, u32 that the spool failed
				 * with */
	REPLY_REFUSED		/* u32 control_refusal */
};

enum control_page {
	PAGE_LAST,
	PAGE_MORE,		/* NEXT brings it */
	PAGE_FAULT		/* the last; not all could be read */
};

enum control_refusal {
	CONTROL_BUSY = 1,	/* too many clients: try again */
	CONTROL_ELSEWHERE	/* another process has the spool */
};

/* Where a letter is. */
enum letter_place {
	LETTER_ACTIVE,		/* in delivery */
	LETTER_WAITING,		/* due */
	LETTER_DEFERRED,	/* not due yet */
	LETTER_HELD,		/* until it is released */
	LETTER_FAILED,		/* given up, and kept for the administrator */
	LETTER_PLACES
};
#define IN_PLACE(p)	(1U << (p))

/* Which letters; all conditions that are given hold. */
struct selection {
	uint32_t	flags;		/* SELECT_ bits: what is given */
	uint32_t	places;		/* IN_PLACE() bits; 0: any */
	uint32_t	owner;		/* uid */
	char		id[QUEUE_ID_MAX];
	char		sender[PATH_TEXT_MAX];	/* "" is null; "@domain" anybody
						 * there; without regard to
						 * case, as those below */
	char		recipient[PATH_TEXT_MAX];	/* who has not got it yet */
	char		destination[PATH_TEXT_MAX];	/* domain of one, or the
						 * host that it goes by */
};
#define SELECT_ID		0x01
#define SELECT_OWNER		0x02
#define SELECT_SENDER		0x04
#define SELECT_RECIPIENT	0x08
#define SELECT_DESTINATION	0x10
#define SELECT_ALL		0x1f	/* the bits that there are */

void	put_selection(struct message *, const struct selection *);
/* What was not given is empty.  A bit or a place that is none is bad. */
void	get_selection(struct message *, struct selection *);

/* A page is a row of records: a letter, then its recipients, then a letter. */
enum record_kind {
	RECORD_LETTER = 1,
	RECORD_RECIPIENT
};

struct letter_record {
	char		id[QUEUE_ID_MAX];
	uint32_t	place;		/* of enum letter_place */
	uint32_t	is_kept;	/* HELD, and only root can release it */
	uint32_t	is_damaged;	/* nothing below is known but due */
	uint64_t	due;		/* DEFERRED: seconds since 1970 */
	uint64_t	size;		/* octets */
	uint64_t	arrived;	/* seconds since 1970 */
	uint32_t	attempts;
	uint32_t	owner;		/* uid, or ENVELOPE_NOBODY */
	char		login[ACCOUNT_NAME_MAX];	/* or "" */
	char		client[ADDRESS_TEXT_MAX];	/* address, or "" */
	char		sender[PATH_TEXT_MAX];
	uint32_t	recipients;	/* so many records follow */
};

enum recipient_state {
	RECIPIENT_PENDING,	/* not tried yet */
	RECIPIENT_DEFERRED,
	RECIPIENT_DELIVERED,
	RECIPIENT_FAILED,
	RECIPIENT_STATES
};

struct recipient_record {
	char		address[PATH_TEXT_MAX];
	uint32_t	state;		/* of enum recipient_state */
	uint64_t	when;		/* of what follows, or 0 */
	char		status[16];	/* "4.4.1" */
	char		remote[128];	/* who said so; "": this host */
	char		text[512];
};
#define RECORD_ROOM	2048	/* octets of fields that a record has at most */

void	put_letter_record(struct message *, const struct letter_record *);
void	put_recipient_record(struct message *,
	    const struct recipient_record *);
/* After the u32 kind, which the caller has taken. */
void	get_letter_record(struct message *, struct letter_record *);
void	get_recipient_record(struct message *, struct recipient_record *);

#endif
