/*
 * The relay gate: what the queue can ask the process that speaks to one remote
 * host (smtpd/relay.c), over the far end of what CH_RELAY gave it.
 *
 *	GREET			once, first
 *	(TO × n, SEND) × m	one transaction each, one letter after another
 *	HURRY, during a SEND	it ends sooner, if it can
 *	the queue's close	QUIT is said; the process ends
 *
 * Between a SEND and its REPLY_SEND the queue may say HURRY, once: whatever it
 * sends there is a reason to break off, unless the end of the letter has gone
 * out already.  Its close means that nobody will hear what becomes of the letter,
 * so the process breaks off at once.  Paths are as in a command without "<" and ">": "" is the null
 * reverse-path.  Paths, parameters and names hold no control octet; a request
 * that does, or one in a wrong state, ends the process.
 *
 * The process logs nothing; all that is to be logged is in its replies.  It
 * reads what a stranger sends: its replies are checked like a stranger's.
 * When it ends without REPLY_GREET, that is RELAY_DEFER; without REPLY_SEND,
 * recipients without a REPLY_TO are DELIVERY_DEFERRED at RELAY_AT_END (it may
 * have been sent).  In both cases the connection is over.
 */
#ifndef SMTPD_RELAY_GATE_H
#define SMTPD_RELAY_GATE_H

#include "../privsep/config.h"
#include "gates.h"

#define RELAY_TO_MAX		100	/* recipients of one transaction */
#define RELAY_USER_MAX		256	/* for AUTH, with their NUL */
#define RELAY_SECRET_MAX	512
#define RELAY_STATUS_MAX	12	/* "5.1.1", with its NUL */
#define RELAY_TEXT_MAX		VERDICT_TEXT_MAX	/* with its NUL */
#define RELAY_ENVID_MAX		101	/* xtext, RFC 3461 4.4, with its NUL */
#define RELAY_ORCPT_MAX		501	/* RFC 3461 4.2, with its NUL */

enum relay_request {
	/*
	 * u32 relay_protocol, u32 relay_tls, str host (whose certificate it
	 * must be, and SNI; "" none), str helo, str user, str secret (user "":
	 * no AUTH); one descriptor: the connected socket, which does not block
	 * -> u32 relay_verdict, u32 code (of the host's reply; 0: it said none,
	 * the verdict is ours), str enhanced status code, str text, u32
	 * extensions (RELAY_HAS_ bits), u64 size limit (0: none named), str tls
	 * ("TLSv1.3 TLS_AES_256_GCM_SHA384"; "" in the clear), u32 is_verified
	 * (the certificate is the host's by a root of this system: for the
	 * log, whatever relay_tls asked for).
	 * After any verdict but RELAY_READY the process ends.
	 */
	REQ_GREET = 0x401,
	/*
	 * str forward-path, u32 notify (NOTIFY_ bits of gates.h, 0: not
	 * given), str orcpt ("addr-type;xtext", "" none) -> no reply.  The
	 * index of a recipient is how many came before it since GREET or SEND.
	 */
	REQ_TO,
	/*
	 * str queue id, u64 offset, u64 length, u64 lines (LFs), u32 flags
	 * (MAIL_ bits), str reverse-path, u32 ret (0 none, 1 FULL, 2 HDRS), str
	 * envid (xtext, "" none), u32 count (of the TOs, at least 1); one
	 * descriptor: the letter, read-only
	 * -> count × REPLY_TO, each index once, in any order, as soon as it is
	 * known; then REPLY_SEND.
	 */
	REQ_SEND,
	/*
	 * Nothing -> no reply but those of a SEND that was not answered; the
	 * process ends.
	 */
	REQ_HURRY
};

enum relay_reply {
	REPLY_GREET = REPLY_OF(REQ_GREET),
	/*
	 * u32 index, u32 delivery_verdict, u32 relay_stage, u32 code (0: ours),
	 * str enhanced status code (never "", and of the verdict's class), str
	 * text (printable ASCII; the lines of a reply joined by a blank, without
	 * codes)
	 */
	REPLY_TO = REPLY_OF(REQ_TO),
	/*
	 * u32 is_reusable (0: the connection is over, close the gate), u64
	 * octets of content sent
	 */
	REPLY_SEND = REPLY_OF(REQ_SEND)
};

enum relay_protocol { RELAY_SMTP, RELAY_LMTP };

enum relay_verdict {
	RELAY_READY,
	RELAY_DEFER,	/* not this host now, whether it greeted 4xx or 5xx:
			 * the next address, or later */
	RELAY_FAIL,	/* 5xx to EHLO and HELO: this host takes none from us;
			 * the next MX, and a bounce if all say so */
	RELAY_NO_TLS	/* RELAY_TLS_MAY, and the handshake failed: connect to
			 * the same address again with RELAY_TLS_NONE */
};

/* What the code and the text of a verdict on a recipient are about. */
enum relay_stage {
	RELAY_AT_START,	/* nothing of this letter was sent: an idle connection
			 * that was over (try again at once on a new one), or
			 * the host lacks what the letter needs */
	RELAY_AT_MAIL,
	RELAY_AT_RCPT,
	RELAY_AT_DATA,	/* up to, but without the end of the letter */
	RELAY_AT_END	/* the end was sent: with code 0 and not delivered, it
			 * may arrive twice ("event=unsure" in the log) */
};

#define RELAY_HAS_ESMTP		0x001	/* it took EHLO or LHLO */
#define RELAY_HAS_PIPELINING	0x002
#define RELAY_HAS_SIZE		0x004
#define RELAY_HAS_8BITMIME	0x008
#define RELAY_HAS_SMTPUTF8	0x010
#define RELAY_HAS_CHUNKING	0x020
#define RELAY_HAS_DSN		0x080
#define RELAY_HAS_STARTTLS	0x100
#define RELAY_HAS_AUTH		0x200	/* by a mechanism that we speak */
#define RELAY_HAS_STATUS	0x400	/* ENHANCEDSTATUSCODES */

#endif
