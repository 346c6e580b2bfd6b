/*
 * The SMTP gates: what a worker can ask the session agent (_posternq), and
 * what the queue can ask login and a delivery agent (the recipient).
 * Every verdict is decided on the answering side and comes as a reply code,
 * an enhanced status code and a text, for the worker to send as they are:
 * u32 code, str enhanced status code ("" none), str text.
 *
 * A transaction is open from a MAIL that got 250 until ABORT or an answered
 * COMMIT; no other verdict opens or ends one.  VERIFY and EXPAND are welcome always
 * but between a DATA that got 354 and its COMMIT or ABORT, which are then the
 * only requests allowed.
 */
#ifndef SMTPD_GATES_H
#define SMTPD_GATES_H

#include "../privsep/login_gate.h"

#define PATH_TEXT_MAX	321	/* a printed mailbox, and more, with its NUL */
#define VERDICT_TEXT_MAX 400
#define QUEUE_ID_MAX	32	/* with its NUL */

enum smtp_request {
	REQ_MAIL = 0x201,	/* str helo and str tls (claims), u32 flags,
				 *  u64 size (0: not declared), str
				 *  reverse-path ("" is null), u32 ret (0 not
				 *  given), str envid ("" none) -> verdict */
	REQ_RCPT,		/* str local-part (unquoted), str domain (""
				 *  none), u32 notify (0 not given), str orcpt
				 *  ("" none) -> verdict */
	REQ_DATA,		/* () -> verdict; with 354 the write end of a
				 *  pipe: content, LF line ends, no stuffing;
				 *  its end is said by closing it and then by
				 *  COMMIT or ABORT */
	REQ_COMMIT,		/* u64 octets written to the pipe -> verdict:
				 *  250 means on disk */
	REQ_ABORT,		/* () -> verdict; forget the transaction */
	REQ_VERIFY,		/* VRFY: str local-part, str domain -> verdict */
	REQ_EXPAND		/* EXPN: str local-part, str domain, u32 member
				 *  (from 0) -> verdict, u32 whether there is
				 *  another */
};
#define MAIL_8BITMIME	0x01
#define MAIL_ESMTP	0x02	/* the client said EHLO */
#define MAIL_SMTPUTF8	0x04	/* SMTPUTF8 (RFC 6531) */
#define MAIL_BINARYMIME	0x08	/* BODY=BINARYMIME (RFC 3030): none that was
				 * taken here, see binary.h */
#define MAIL_FLAGS	(MAIL_8BITMIME | MAIL_ESMTP | MAIL_SMTPUTF8)

/*
 * What the sender wants to be told (RFC 3461): of each recipient, and how much
 * of the letter comes back.  ENVID and ORCPT are kept in xtext (xtext.h).
 */
#define NOTIFY_NEVER	0x01	/* alone */
#define NOTIFY_SUCCESS	0x02
#define NOTIFY_FAILURE	0x04
#define NOTIFY_DELAY	0x08
#define RET_FULL	1
#define RET_HDRS	2

/* The queue to the agent that IDENTIFY (privsep/login_gate.h) gave it. */
enum delivery_request {
	REQ_DELIVER = 0x302,	/* str queue id, u64 arrived, str reverse-path,
				 *  str forward-path (for Delivered-To), u64
				 *  offset, u64 length, u64 lines, u32 flags;
				 *  one read-only descriptor -> u32
				 *  delivery_verdict, str enhanced status code,
				 *  str text; with DELIVERY_FORWARDED after one
				 *  or more, at most 100 of either, of
				 *  REPLY_FORWARD: str address, or the name of
				 *  an account, and REPLY_PROGRAM: str digest
				 *  (program.h), u32 whether others have the
				 *  letter, too; with DELIVERY_PROGRAM after
				 *  one of the latter */
	REQ_SETTLE,		/* str queue id: the outcome is on record;
				 *  not answered */
	REQ_RUN			/* of an agent of programs (programs.h): as
				 *  DELIVER up to the flags, then str alias
				 *  ("" in ~/.forward), str digest; one
				 *  descriptor; answered as DELIVER */
};
#define REPLY_FORWARD	0x8310
#define REPLY_PROGRAM	0x8311
#ifndef REPLY_OF
#define REPLY_OF(request)	((request) | 0x8000)
#endif

/* Of DELIVER and RUN. */
#define DELIVER_TRIED	0x01	/* it may have been done before */
#define DELIVER_MAILBOX	0x02	/* whatever ~/.forward says */
#define DELIVER_FLAGS	(DELIVER_TRIED | DELIVER_MAILBOX)

enum delivery_verdict {
	DELIVERED,
	DELIVERY_DEFERRED,
	DELIVERY_FAILED,
	DELIVERY_FORWARDED,	/* a delivery agent's only: DELIVERED, and goes
				 * on to the addresses and programs */
	DELIVERY_PROGRAM,	/* the same: goes to that program and nowhere
				 * else, so nothing is done yet */
	DELIVERY_GONE		/* of RUN only: there is no such entry (any
				 * more), and nothing was done */
};

#endif
